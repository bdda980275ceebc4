//! Links between tasks: rows by number, so that a replay gives the same row the same number.
//!
//! ```text
//!   sender     0 1 2 3 4 5 6 7 8 9        history 3..10: the reader's kept checkpoints have 0..3
//!   packets          [3 4 5] [6 7] [8 9]  late, twice, in another order, from a sender that is gone
//!   reader     wants 6: takes 6 7, passes over 3 4 5 the second time, asks again in front of 8 9
//! ```
//!
//! Knows nothing of what carries the packets. Invariants: row `n` of a link is the same row in every packet of
//! an epoch; a reader takes each number once, in their order; `until` never goes back.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use rewindow_query::{Failure, Timestamp};

use crate::batch::Batch;
use crate::checkpoint::{load_failure, save_failure};
use crate::codec::{Corrupt, Reader, Writer};
use crate::column::{Column, ColumnBuilder};
use crate::plant::{Plant, Plants};

/// What goes over a link in one go.
#[derive(Clone, Debug)]
pub struct Packet {
    /// The epoch of the shard: rows of different epochs have nothing in common.
    pub epoch: u64,
    /// The incarnation of the sender.
    pub sender: u64,
    /// Number of the first row.
    pub first: u64,
    /// The rows, in canonical order.
    pub rows: Batch,
    /// Everything the sender will ever send stamped before this has been sent, with this packet at the latest.
    pub until: Timestamp,
    /// The earliest failure met so far in front of the link.
    pub failure: Option<Failure>,
    /// For each stream on the link, where a failure ended the operator that gives it: in all tasks that share it, it gives
    /// nothing more from there on (choice C-FAIL).
    pub ended: Vec<Option<Timestamp>>,
}

impl Packet {
    /// Number of the row behind the last.
    pub fn next(&self) -> u64 {
        self.first + self.rows.len() as u64
    }
}

/// Rows that were asked for and are not kept any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("rows of the link are kept from number {oldest} on: begin a new epoch of the shard")]
pub struct Forgotten {
    /// The oldest number that is kept.
    pub oldest: u64,
}

/// What a reader makes of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Taken {
    /// All that was new in it.
    New,
    /// Nothing: rows in front of it are missing, from this number on.
    Missing(u64),
    /// Nothing: it is of another epoch, or of a sender that has been replaced.
    Stale,
}

/// The reader's end of a link.
#[derive(Debug)]
pub(crate) struct Inbox {
    /// Number of columns on the wire.
    width: usize,
    /// Number of the next row wanted.
    pub next: u64,
    /// Every row stamped before this has been taken.
    pub until: Timestamp,
    /// The earliest failure in front of the link.
    pub failure: Option<Failure>,
    /// Where failures ended its streams.
    pub ended: Vec<Option<Timestamp>>,
    /// The newest incarnation of the sender that was heard.
    sender: u64,
    /// Rows taken and not released: the last ones in front of `next`.
    waiting: VecDeque<Batch>,
    /// Released up to here; only planted bugs come behind it.
    released: i64,
    plants: Plants,
}

impl Inbox {
    pub(crate) fn new(width: usize, plants: Plants) -> Inbox {
        Inbox {
            width,
            next: 0,
            until: Timestamp::MIN,
            failure: None,
            ended: Vec::new(),
            sender: 0,
            waiting: VecDeque::new(),
            released: i64::MIN,
            plants,
        }
    }

    /// Takes what is new in a packet.
    pub(crate) fn take(&mut self, packet: &Packet, epoch: u64) -> Taken {
        let trusting = self.plants.is(Plant::LinkEpochIgnored);
        if !trusting && (packet.epoch != epoch || packet.sender < self.sender) {
            return Taken::Stale;
        }
        self.sender = packet.sender.max(self.sender);
        if packet.first > self.next {
            return Taken::Missing(self.next);
        }
        let twice = self.plants.is(Plant::LinkDuplicatesTaken);
        let known = if twice { 0 } else { (self.next - packet.first).min(packet.rows.len() as u64) as usize };
        debug_assert!(
            cfg!(feature = "plant") || self.agrees(packet, known),
            "a number always has the same row"
        );
        let rows = packet.rows.slice(known..packet.rows.len());
        if !rows.is_empty() {
            self.next += rows.len() as u64;
            self.waiting.push_back(rows);
            if cfg!(feature = "plant") {
                self.straighten();
            }
        }
        self.until = self.until.max(packet.until);
        if let Some(failure) = &packet.failure
            && self.failure.as_ref().is_none_or(|known| failure.at < known.at)
        {
            self.failure = Some(failure.clone());
        }
        end(&mut self.ended, &packet.ended);
        Taken::New
    }

    /// Whether those of the first `known` rows of a packet that wait here are the same.
    fn agrees(&self, packet: &Packet, known: usize) -> bool {
        let waiting = self.rows();
        let oldest = self.next - waiting.len() as u64;
        (0..known).all(|row| {
            let number = packet.first + row as u64;
            number < oldest || {
                let place = (number - oldest) as usize;
                waiting.timestamps[place] == packet.rows.timestamps[row]
                    && waiting.row(place) == packet.rows.row(row)
            }
        })
    }

    /// Only planted bugs come here with rows out of order: those are moved to where they still can go.
    fn straighten(&mut self) {
        let stamps = |batch: &Batch| batch.timestamps.clone();
        let all: Vec<i64> = self.waiting.iter().flat_map(stamps).collect();
        if all.is_sorted() && all.first().is_none_or(|&first| first >= self.released) {
            return;
        }
        let mut rows = self.rows();
        rows.timestamps.iter_mut().for_each(|at| *at = (*at).max(self.released));
        let mut order: Vec<u32> = (0..rows.len() as u32).collect();
        order.sort_by_key(|&row| rows.timestamps[row as usize]);
        self.waiting = VecDeque::from([rows.gather(&order)]);
    }

    /// Gives the rows stamped before `until`, which is not behind the link's.
    pub(crate) fn release(&mut self, until: Timestamp) -> Vec<Batch> {
        self.released = until.0;
        let mut released = Vec::new();
        while let Some(batch) = self.waiting.pop_front() {
            let ready = batch.timestamps.partition_point(|&at| at < until.0);
            if ready == batch.len() {
                released.push(batch);
                continue;
            }
            if ready > 0 {
                released.push(batch.slice(0..ready));
            }
            self.waiting.push_front(batch.slice(ready..batch.len()));
            break;
        }
        released
    }

    fn rows(&self) -> Batch {
        joined(self.waiting.iter().cloned())
    }

    pub(crate) fn save(&self, writer: &mut Writer) {
        writer.u64(self.next);
        writer.timestamp(self.until);
        save_failure(self.failure.as_ref(), writer);
        save_ended(&self.ended, writer);
        writer.u64(self.sender);
        save_rows(&self.rows(), writer);
    }

    /// Reads what [`Inbox::save`] wrote; the rows lie at or after `released`.
    pub(crate) fn load(&mut self, released: Timestamp, reader: &mut Reader<'_>) -> Result<(), Corrupt> {
        self.next = reader.u64()?;
        self.until = reader.timestamp()?;
        self.failure = load_failure(reader)?;
        self.ended = load_ended(reader)?;
        self.sender = reader.u64()?;
        self.released = released.0;
        let rows = load_rows(self.width, released, reader)?;
        if rows.len() as u64 > self.next {
            return Err(reader.corrupt("rows that have numbers"));
        }
        self.waiting = if rows.is_empty() { VecDeque::new() } else { VecDeque::from([rows]) };
        Ok(())
    }

    pub(crate) fn explain(&self) -> String {
        let waiting: usize = self.waiting.iter().map(Batch::len).sum();
        format!("next {}, until {}, waiting {waiting}", self.next, self.until)
    }
}

/// The sender's end of a link.
#[derive(Debug)]
pub(crate) struct Outbox {
    /// Number of columns on the wire.
    width: usize,
    /// Rows that may be asked for again.
    history: VecDeque<Batch>,
    /// Their numbers.
    pub held: Range<u64>,
    until: Timestamp,
    failure: Option<Failure>,
    ended: Vec<Option<Timestamp>>,
    /// What was last sent: number of the next row, `until`, instant of the failure.
    sent: (u64, Timestamp, Option<Timestamp>),
    plants: Plants,
}

impl Outbox {
    pub(crate) fn new(width: usize, plants: Plants) -> Outbox {
        Outbox {
            width,
            history: VecDeque::new(),
            held: 0..0,
            until: Timestamp::MIN,
            failure: None,
            ended: Vec::new(),
            sent: (0, Timestamp::MIN, None),
            plants,
        }
    }

    /// Appends rows, stamped at or after the last `until` and before this one.
    pub(crate) fn push(
        &mut self,
        rows: Batch,
        until: Timestamp,
        failure: Option<&Failure>,
        ended: &[Option<Timestamp>],
    ) {
        assert!(until >= self.until, "a link does not go back");
        if let (Some(first), Some(last)) = (rows.timestamps.first(), rows.timestamps.last()) {
            assert!(
                self.until.0 <= *first && *last < until.0,
                "rows lie between what was said and what is said"
            );
            self.held.end += rows.len() as u64;
            self.history.push_back(rows);
        }
        self.until = until;
        self.failure = failure.cloned();
        end(&mut self.ended, ended);
    }

    /// What is new since the last call.
    pub(crate) fn outgoing(&mut self, epoch: u64, sender: u64) -> Option<Packet> {
        let now = (self.held.end, self.until, self.failure.as_ref().map(|failure| failure.at));
        if now == self.sent {
            return None;
        }
        let packet = self.packet(self.sent.0, epoch, sender);
        self.sent = now;
        if self.plants.is(Plant::LinkHistoryDropped) {
            self.forget(self.held.end);
        }
        Some(packet)
    }

    /// The rows from a number on; none where that lies ahead of them.
    pub(crate) fn resend(&self, from: u64, epoch: u64, sender: u64) -> Result<Packet, Forgotten> {
        if from < self.held.start && self.plants.is(Plant::LinkHistoryDropped) {
            return Ok(Packet { first: from, ..self.packet(self.held.end, epoch, sender) });
        }
        if from < self.held.start {
            return Err(Forgotten { oldest: self.held.start });
        }
        Ok(self.packet(from.min(self.held.end), epoch, sender))
    }

    fn packet(&self, first: u64, epoch: u64, sender: u64) -> Packet {
        let mut number = self.held.start;
        let parts = self.history.iter().filter_map(|batch| {
            let skipped = first.saturating_sub(number).min(batch.len() as u64) as usize;
            number += batch.len() as u64;
            (skipped < batch.len()).then(|| batch.slice(skipped..batch.len()))
        });
        let rows = joined(parts);
        let (failure, ended) = (self.failure.clone(), self.ended.clone());
        Packet { epoch, sender, first, rows, until: self.until, failure, ended }
    }

    /// Forgets the rows in front of a number.
    pub(crate) fn forget(&mut self, before: u64) {
        while self.held.start < before.min(self.held.end) {
            let batch = self.history.pop_front().expect("what is held is in the history");
            let gone = (before - self.held.start).min(batch.len() as u64) as usize;
            self.held.start += gone as u64;
            if gone < batch.len() {
                self.history.push_front(batch.slice(gone..batch.len()));
            }
        }
    }

    pub(crate) fn save(&self, writer: &mut Writer) {
        writer.u64(self.held.end);
        writer.timestamp(self.until);
        save_failure(self.failure.as_ref(), writer);
        save_ended(&self.ended, writer);
        save_rows(&joined(self.history.iter().cloned()), writer);
    }

    /// Reads what [`Outbox::save`] wrote. What was sent behind the checkpoint is not known: that it is there
    /// again is said in the next packet, and rows are asked for.
    pub(crate) fn load(&mut self, reader: &mut Reader<'_>) -> Result<(), Corrupt> {
        let end = reader.u64()?;
        self.until = reader.timestamp()?;
        self.failure = load_failure(reader)?;
        self.ended = load_ended(reader)?;
        let rows = load_rows(self.width, Timestamp::MIN, reader)?;
        if rows.timestamps.last().is_some_and(|&last| last >= self.until.0) {
            return Err(reader.corrupt("rows that were sent"));
        }
        let start =
            end.checked_sub(rows.len() as u64).ok_or_else(|| reader.corrupt("rows that have numbers"))?;
        self.held = start..end;
        self.history = if rows.is_empty() { VecDeque::new() } else { VecDeque::from([rows]) };
        if self.plants.is(Plant::LinkNumbersRestart) {
            (self.held, self.history) = (0..0, VecDeque::new());
        }
        self.sent = (self.held.end, Timestamp::MIN, None);
        Ok(())
    }

    pub(crate) fn explain(&self) -> String {
        format!("next {}, until {}, held from {}", self.held.end, self.until, self.held.start)
    }
}

/// The earliest ends of each stream.
fn end(known: &mut Vec<Option<Timestamp>>, told: &[Option<Timestamp>]) {
    known.resize(known.len().max(told.len()), None);
    for (known, &told) in known.iter_mut().zip(told) {
        *known = [*known, told].into_iter().flatten().min();
    }
}

fn save_ended(ended: &[Option<Timestamp>], writer: &mut Writer) {
    writer.len(ended.len());
    for end in ended {
        writer.u8(u8::from(end.is_some()));
        end.iter().for_each(|&at| writer.timestamp(at));
    }
}

fn load_ended(reader: &mut Reader<'_>) -> Result<Vec<Option<Timestamp>>, Corrupt> {
    let len = reader.len(1)?;
    (0..len).map(|_| Ok(if reader.bool()? { Some(reader.timestamp()?) } else { None })).collect()
}

fn joined(batches: impl Iterator<Item = Batch>) -> Batch {
    let mut all = Batch::default();
    batches.for_each(|batch| all.append(batch));
    all
}

fn save_rows(rows: &Batch, writer: &mut Writer) {
    writer.len(rows.len());
    for row in 0..rows.len() {
        writer.i64(rows.timestamps[row]);
        rows.columns.iter().for_each(|column| writer.value(&column.value(row)));
    }
}

/// Rows of so many columns, in order of time and not before `from`.
fn load_rows(width: usize, from: Timestamp, reader: &mut Reader<'_>) -> Result<Batch, Corrupt> {
    let len = reader.len(8 + width)?;
    let mut timestamps: Vec<i64> = Vec::with_capacity(len);
    let mut builders: Vec<ColumnBuilder> = Vec::new();
    builders.resize_with(width, ColumnBuilder::default);
    for _ in 0..len {
        let at = reader.i64()?;
        if at < timestamps.last().copied().unwrap_or(from.0) {
            return Err(reader.corrupt("timestamps in order"));
        }
        timestamps.push(at);
        for builder in &mut builders {
            builder.push(reader.value()?);
        }
    }
    let columns: Vec<Arc<Column>> = builders.into_iter().map(|builder| Arc::new(builder.finish())).collect();
    Ok(Batch { timestamps, columns })
}
