//! The checkpoint store: the latest complete checkpoint of each shard.
//!
//! It outlives nodes. It never looks into the bytes; beside them stands what the world itself counted.
//! Invariant: what is in the store may be offered to the next opening of its shard; what can never be used
//! again (saved before a user's restart, or unreadable to the version that runs) is taken out once offered.

use rewindow_query::Timestamp;

use crate::outcome::CheckpointRecord;

/// A complete checkpoint.
#[derive(Clone)]
pub(crate) struct Stored {
    pub(crate) bytes: Vec<u8>,
    pub(crate) record: CheckpointRecord,
    /// The output position its writer had been opened with: rows before it were never its to give.
    pub(crate) output_from: Timestamp,
}

/// Latest checkpoints by shard.
pub(crate) struct Store {
    latest: Vec<Option<Stored>>,
}

impl Store {
    pub(crate) fn new(shards: usize) -> Store {
        Store { latest: (0..shards).map(|_| None).collect() }
    }

    pub(crate) fn save(&mut self, shard: usize, stored: Stored) {
        self.latest[shard] = Some(stored);
    }

    pub(crate) fn latest(&self, shard: usize) -> Option<&Stored> {
        self.latest[shard].as_ref()
    }

    /// Takes out what can never be used again.
    pub(crate) fn forget(&mut self, shard: usize) {
        self.latest[shard] = None;
    }
}
