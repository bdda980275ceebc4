//! Links between tasks: rows by number, so that a replay gives the same row the same number.
//!
//! Knows nothing of what carries the packets, late, twice or in another order. Invariant: row `n` of a link is the same row
//! in every packet of an epoch.

use rewindow_query::{Failure, Timestamp};

use crate::batch::Batch;

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
}

impl Packet {
    /// Number of the row behind the last.
    pub fn next(&self) -> u64 {
        self.first + self.rows.len() as u64
    }
}
