//! Sinks: what takes the rows, and what each kind promises (rule 13.4).
//!
//! | sink | consumers see |
//! |---|---|
//! | `append` | every row that was written, copies included |
//! | `upsert` | of each identity the row written last |
//! | `unique` | of each identity the row written first; what comes later is skipped |
//! | `transactional` | every row once, in order, from the moment its writer's checkpoint is published |
//!
//! A sink may be away, and may fail to acknowledge: then `writing.rs` waits and says it again. The sink is one,
//! and each shard writes to it in a line of its own. Invariant: of a line nothing is taken before what stands in front
//! of it.

mod append;
mod line;
mod seen;
mod transactional;
mod unique;
mod upsert;
mod writing;

use std::ops::Index;

use rewindow_engine::Plants;
use rewindow_engine::commit::{Committed, Ledger, Stage};
use rewindow_query::{Row, Timestamp};

use crate::case::{Case, FaultKind, SinkKind};
use crate::outcome::{Delivery, Visible};

pub(crate) use line::Line;
pub(crate) use seen::Seen;

/// What can take rows.
trait Sink {
    /// Takes the rows of a delivery; `stage` says in which transaction they are, if any. Gives how many identities it
    /// had already.
    fn write(&mut self, delivery: &Delivery, stage: Option<&Stage>, frontier: Timestamp) -> u64;

    /// Makes transactions of a shard visible.
    fn commit(&mut self, _at: Timestamp, _shard: usize, _by: u32, _numbers: &[u64]) -> Vec<Committed> {
        Vec::new()
    }

    /// Gives transactions of a shard up; gives how many rows they had.
    fn abort(&mut self, _shard: usize, _by: u32, _numbers: &[u64]) -> u64 {
        0
    }

    /// What it holds of a shard's transactions.
    fn ledger(&self, _shard: usize) -> Option<&Ledger> {
        None
    }

    /// What consumers see, where that is not simply what was written.
    fn visible(&mut self) -> Vec<Visible>;
}

/// The sink, with the line of each shard in front of it.
pub(crate) struct Sinks {
    kind: SinkKind,
    sink: Box<dyn Sink>,
    lines: Vec<Line>,
    /// What it has seen of each shard.
    seen: Vec<Seen>,
    plants: Plants,
    /// It takes nothing before this.
    away_until: Timestamp,
    /// So many of the next writes are not acknowledged.
    acks_to_lose: u32,
    /// Whether the case has faults of the sink.
    faulty: bool,
}

impl Sinks {
    pub(crate) fn new(case: &Case, shards: usize, plants: Plants) -> Sinks {
        let kind = case.deployment.sink;
        Sinks {
            kind,
            sink: match kind {
                SinkKind::Append => Box::new(append::Append),
                SinkKind::Upsert => Box::<upsert::Upsert>::default(),
                SinkKind::Unique => Box::<unique::Unique>::default(),
                SinkKind::Transactional => Box::new(transactional::Transactional::new(shards)),
            },
            lines: (0..shards).map(|_| Line::default()).collect(),
            seen: vec![Seen::default(); shards],
            plants,
            away_until: Timestamp::MIN,
            acks_to_lose: 0,
            faulty: case.faults.iter().any(|fault| FaultKind::strikes_sink(&fault.kind)),
        }
    }

    /// What has been seen of each shard.
    pub(crate) fn seen(&self) -> impl Iterator<Item = &Seen> {
        self.seen.iter()
    }

    /// The user starts a shard at `start`. Gives the span left out, if any.
    pub(crate) fn restart(&mut self, shard: usize, start: Timestamp) -> Option<(Timestamp, Timestamp)> {
        self.seen[shard].restart(start)
    }

    /// Whether checkpoints must be written when they fall due: for this sink depends on them, or they may be
    /// put off.
    pub(crate) fn asks_for_saves(&self) -> bool {
        self.faulty || self.kind == SinkKind::Transactional
    }

    /// Until when it is away, and how many of the next writes are not acknowledged.
    pub(crate) fn troubles(&self) -> (Timestamp, u32) {
        (self.away_until, self.acks_to_lose)
    }

    /// What troubled the sink of the job before troubles this one.
    pub(crate) fn trouble_as(&mut self, (away_until, acks_to_lose): (Timestamp, u32)) {
        (self.away_until, self.acks_to_lose) = (away_until, acks_to_lose);
    }

    pub(crate) fn go_away_until(&mut self, until: Timestamp) {
        self.away_until = self.away_until.max(until);
    }

    pub(crate) fn lose_an_acknowledgement(&mut self) {
        self.acks_to_lose += 1;
    }

    /// Whether a shard has something to write that the sink has not acknowledged.
    pub(crate) fn waits(&self, shard: usize) -> bool {
        self.lines[shard].waits()
    }

    /// Whether nothing waits.
    pub(crate) fn is_idle(&self) -> bool {
        !self.lines.iter().any(Line::waits)
    }

    /// A checkpoint of a shard is saved: the transaction that it seals.
    pub(crate) fn seal(&mut self, shard: usize) -> Option<u64> {
        self.lines[shard].writer.as_mut().map(|writer| writer.seal())
    }

    /// What consumers see at the end.
    pub(crate) fn visible(&mut self) -> Vec<Visible> {
        self.sink.visible()
    }
}

impl Index<usize> for Sinks {
    type Output = Seen;

    fn index(&self, shard: usize) -> &Seen {
        &self.seen[shard]
    }
}

/// A row of a delivery as a consumer sees it.
fn visible(delivery: &Delivery, row: &Row) -> Visible {
    let Delivery { at, shard, opened, generation, .. } = *delivery;
    Visible { at, shard, generation: opened, openings: generation, row: row.clone() }
}
