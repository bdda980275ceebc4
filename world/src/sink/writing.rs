//! Writing: in order, again if need be, and never lost but with the node (rule 14.3, Retry).
//!
//! ```text
//!   rows    a     b   c                 a | b c      b, c wait; the sink is back: b, then c
//!   sink    ok    away........ back
//!   saves       S         (S)       S                put off while anything waits: it would have b behind it
//! ```
//!
//! What waits is in the memory of the writer, and is lost with its node: then it is written again by replay. A node
//! that hangs writes nothing: what waits goes on waiting in it, and is lost with it, or fenced, if it is replaced. A job
//! that failed for good still writes what waits. Which transactions to commit is the engine's to say. Invariant: a
//! checkpoint is saved only when all that it has behind it was taken by the sink.

use rewindow_engine::Plant;
use rewindow_engine::commit::Writer;
use rewindow_query::{Span, Timestamp};

use crate::case::SinkKind;
use crate::nodes::Part;
use crate::outcome::{Delivery, Sealed, Told, What};
use crate::queue::Event;
use crate::reached;
use crate::run::World;

use super::Line;
use super::line::{Job, Waiting};

/// How long a writer waits for an acknowledgement before it writes again.
const WRITE_AGAIN_AFTER: Span = Span::seconds(10);

impl World<'_> {
    /// A worker whose frontier is now `frontier` has rows to write.
    pub(crate) fn write(&mut self, mut delivery: Delivery, frontier: Timestamp) {
        let shard = delivery.shard;
        self.note_frontier(&delivery, frontier);
        let rows = &mut delivery.rows;
        let stage = self.sink.lines[shard].writer.as_mut().map(|writer| {
            let stage = writer.stage(std::mem::take(rows));
            rows.clone_from(&stage.rows);
            stage
        });
        self.submit(shard, Job::Rows { delivery, stage, frontier });
    }

    fn note_frontier(&mut self, delivery: &Delivery, frontier: Timestamp) {
        let told = self.run.frontiers.entry(delivery.shard).or_default();
        let opened = delivery.opened;
        if told.last().is_none_or(|last| (last.opened, last.frontier) != (opened, frontier)) {
            told.push(Told { at: self.now, opened, frontier });
        }
    }

    /// A checkpoint of a shard that sealed this transaction was published.
    pub(crate) fn commit_published(&mut self, shard: usize, sealed: Option<u64>) {
        let writer = self.sink.lines[shard].writer.as_mut();
        if let Some((writer, sealed)) = writer.zip(sealed) {
            let numbers = writer.published(sealed);
            let (deliveries, away_until) = (self.run.deliveries.len(), self.sink.away_until);
            let opened = self.sink.lines[shard].by;
            self.run.sealed.push(Sealed { at: self.now, shard, opened, deliveries, away_until });
            self.submit_commit(shard, numbers, false);
        }
    }

    /// Shards whose input has ended, and that do not begin again, will write no more.
    pub(crate) fn end_all(&mut self) {
        for shard in 0..self.shards.len() {
            let ended = self.writer_of(shard).is_some_and(|writer| writer.finished);
            if ended && self.shards[shard].restart.is_none() {
                self.end_writes(shard);
            }
        }
    }

    /// The task of a shard that writes.
    fn writer_of(&self, shard: usize) -> Option<&Part> {
        self.shards[shard].tasks.iter().map(|&task| &self.parts[task]).find(|part| part.spec.role.writes())
    }

    /// A shard will write no more.
    pub(crate) fn end_writes(&mut self, shard: usize) {
        if let Some(writer) = self.sink.lines[shard].writer.as_mut() {
            let numbers = writer.end();
            self.submit_commit(shard, numbers, false);
        }
    }

    /// The memory of a shard's writer is lost; one that failed for good writes what is left.
    pub(crate) fn drop_writes(&mut self, shard: usize) {
        if self.shards[shard].dead || !self.sink.waits(shard) {
            return;
        }
        self.sink.lines[shard].waiting.clear();
        self.reach(reached::WRITES_LOST);
    }

    /// The process that writes for a shard hangs, and with it what waits.
    pub(crate) fn freeze_writes(&mut self, shard: usize) -> Line {
        std::mem::take(&mut self.sink.lines[shard])
    }

    /// It goes on.
    pub(crate) fn thaw_writes(&mut self, shard: usize, line: Line) {
        self.sink.lines[shard] = line;
        self.pump(shard);
    }

    /// A shard was opened, from the checkpoint that sealed this transaction or from none.
    pub(crate) fn open_writer(&mut self, shard: usize, generation: u32, sealed: Option<u64>) {
        let line = &mut self.sink.lines[shard];
        line.waiting.clear();
        (line.rest_until, line.by) = (None, generation);
        let Some(ledger) = self.sink.sink.ledger(shard) else { return };
        let (writer, settlement) = Writer::open(ledger, sealed, self.sink.plants);
        line.writer = Some(writer);
        self.submit_commit(shard, settlement.commit, true);
        if !settlement.abort.is_empty() {
            self.submit(shard, Job::Abort { by: generation, numbers: settlement.abort });
        }
    }

    /// Whether a save of a shard is put off, because something waits to be written.
    pub(crate) fn puts_off_save(&mut self, shard: usize) -> bool {
        let waits = self.sink.waits(shard);
        self.reach_times(reached::SAVE_PUT_OFF, waits.into());
        waits
    }

    /// What could not be written is tried again.
    pub(crate) fn retry(&mut self, shard: usize) {
        let line = &mut self.sink.lines[shard];
        if self.sink.plants.is(Plant::RetryReorders) && line.waiting.len() > 1 {
            line.waiting.rotate_left(1);
        }
        self.pump(shard);
    }

    fn submit_commit(&mut self, shard: usize, numbers: Vec<u64>, successor: bool) {
        if !numbers.is_empty() {
            let by = self.sink.lines[shard].by;
            self.submit(shard, Job::Commit { by, numbers, successor });
        }
    }

    fn submit(&mut self, shard: usize, job: Job) {
        let line = &mut self.sink.lines[shard];
        line.waiting.push_back(Waiting { job, done: false });
        // Behind another one it waits for its turn.
        if line.waiting.len() == 1 {
            self.pump(shard);
        }
    }

    /// Writes what waits, as far as the sink takes it.
    fn pump(&mut self, shard: usize) {
        let before = self.sink.waits(shard);
        while let Some(first) = self.sink.lines[shard].waiting.pop_front() {
            let writes = first.done || self.is_write(shard, &first.job);
            let until = self.sink.away_until.max(self.sink.lines[shard].rest_until.unwrap_or(Timestamp::MIN));
            if writes && self.now < until {
                self.sink.lines[shard].waiting.push_front(first);
                self.rest(shard, until);
                return;
            }
            self.sink.lines[shard].rest_until = None;
            if writes && self.sink.acks_to_lose > 0 && !first.done {
                self.sink.acks_to_lose -= 1;
                let again = Waiting { job: first.job.clone(), done: true };
                self.apply(shard, first);
                self.sink_step(shard, || What::AckLost);
                self.sink.lines[shard].waiting.push_front(again);
                self.rest(shard, self.now.plus(WRITE_AGAIN_AFTER));
                return;
            }
            self.apply(shard, first);
        }
        // What was put off can be saved now.
        let dirty = self.writer_of(shard).filter(|writer| writer.dirty).map(|writer| writer.node);
        if let Some(node) = dirty.filter(|_| before) {
            self.ask_to_save(node);
        }
    }

    /// The first that waits is tried again at `until`.
    fn rest(&mut self, shard: usize, until: Timestamp) {
        let line = &mut self.sink.lines[shard];
        if line.rest_until != Some(until) {
            line.rest_until = Some(until);
            self.queue.push(until, Event::Retry(shard));
            if self.now < self.sink.away_until {
                self.reach(reached::SINK_AWAY);
                self.sink_step(shard, || What::Waits { until });
            }
        }
    }

    /// Whether the sink has to be there for it: progress without rows is not written.
    fn is_write(&self, shard: usize, job: &Job) -> bool {
        let rows = |numbers: &[u64]| self.sink.sink.ledger(shard).map_or(0, |ledger| ledger.rows_of(numbers));
        match job {
            Job::Rows { delivery, .. } => !delivery.rows.is_empty(),
            Job::Commit { numbers, .. } | Job::Abort { numbers, .. } => rows(numbers) > 0,
        }
    }

    /// The sink does it.
    fn apply(&mut self, shard: usize, waiting: Waiting) {
        match waiting.job {
            Job::Rows { delivery, stage, frontier } => {
                let delivery = Delivery { at: self.now, ..delivery };
                let known = self.sink.sink.write(&delivery, stage.as_ref(), frontier);
                match self.sink.kind {
                    SinkKind::Upsert => self.reach_times(reached::REPLACED, known),
                    SinkKind::Unique if known > 0 => {
                        self.reach_times(reached::KEY_SKIPPED, known);
                        self.sink_step(shard, || What::Skipped(known));
                    }
                    _ => {}
                }
                if stage.is_none() {
                    let copies = self.sink.seen[shard].append(&delivery.rows, frontier);
                    self.reach_times(reached::COPIES, copies);
                }
                self.record(delivery, waiting.done);
            }
            Job::Commit { by, numbers, successor } => {
                for transaction in self.sink.sink.commit(self.now, shard, by, &numbers) {
                    let rows = transaction.rows.len() as u64;
                    self.sink.seen[shard].append(&transaction.rows, transaction.frontier);
                    self.reach_times(reached::COMMITTED, (rows > 0).into());
                    self.reach_times(reached::COMMITTED_LATE, (rows > 0 && successor).into());
                    let number = transaction.number;
                    self.sink_step(shard, || What::Committed { number, rows });
                }
            }
            Job::Abort { by, numbers } => {
                let rows = self.sink.sink.abort(shard, by, &numbers);
                if rows > 0 {
                    self.reach(reached::ABORTED);
                    self.sink_step(shard, || What::Aborted(rows));
                }
            }
        }
    }

    fn record(&mut self, delivery: Delivery, again: bool) {
        if delivery.rows.is_empty() {
            return;
        }
        if again {
            self.reach(reached::WRITTEN_AGAIN);
            self.run.written_again.push(self.run.deliveries.len());
        }
        let mut writer = self.shards[delivery.shard].tasks.iter().copied();
        let writer = writer.rfind(|&task| self.parts[task].spec.role.writes());
        self.step(writer, || What::Delivered(delivery.rows.clone()));
        self.run.deliveries.push(delivery);
    }
}
