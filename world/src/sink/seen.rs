//! What a sink has seen of one shard.
//!
//! What is staged in a transaction counts when it is committed. Invariant: all rows of a shard stamped before
//! `position` were delivered since the user's last start or lie before that start; `covered` is the
//! highest `position` there ever was.

use rewindow_query::{Row, Timestamp};

/// What the sink knows of one shard.
#[derive(Clone, Copy)]
pub(crate) struct Seen {
    /// The output position: the frontier delivered, or the user's start if that is later.
    pub(crate) position: Timestamp,
    /// Highest position ever reached.
    pub(crate) covered: Timestamp,
    /// Latest timestamp of a row delivered since the user's last start.
    pub(crate) last_row: Option<Timestamp>,
}

impl Default for Seen {
    fn default() -> Seen {
        Seen { position: Timestamp::MIN, covered: Timestamp::MIN, last_row: None }
    }
}

impl Seen {
    /// Takes rows from a worker whose frontier is now `frontier`; gives how many of them are copies
    /// for certain, because everything before their time had been delivered.
    pub(crate) fn append(&mut self, rows: &[Row], frontier: Timestamp) -> u64 {
        let copies = rows.iter().filter(|row| row.timestamp < self.covered).count() as u64;
        let latest = rows.iter().map(|row| row.timestamp).max();
        self.last_row = self.last_row.max(latest);
        self.position = self.position.max(frontier);
        self.covered = self.covered.max(frontier);
        copies
    }

    /// The user starts the job at `start`. Gives the span left out, if any.
    pub(crate) fn restart(&mut self, start: Timestamp) -> Option<(Timestamp, Timestamp)> {
        let skipped = (self.covered < start).then_some((self.covered, start));
        *self = Seen { position: start, covered: self.covered.max(start), last_row: None };
        skipped
    }

    /// Where "when last stopped" would start this shard (C-LAST). One output may be ahead of another: what
    /// the one behind still owes lies at the position or later.
    pub(crate) fn last_stopped(&self) -> Timestamp {
        self.last_row.map_or(self.position, |row| row.min(self.position))
    }
}
