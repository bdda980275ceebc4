//! The checkpoint store, with the latest complete checkpoint of each shard, and when it is written.
//!
//! A save that falls due is the state as it stands; its bytes are written at once when every step is
//! recorded, and otherwise only if a fault will ask for them, with the same result.
//!
//! It outlives nodes. It never looks into the bytes; beside them stands what the world itself counted.
//! Invariant: what is in the store may be offered to the next opening of its shard; what can never be used
//! again (saved before a user's restart, or unreadable to the version that runs) is taken out once offered.

use rewindow_query::Timestamp;

use crate::outcome::{CheckpointRecord, What};
use crate::queue::{Event, grid};
use crate::reached;
use crate::run::World;
use crate::trace::fnv1a;

/// A complete checkpoint.
#[derive(Clone)]
pub(crate) struct Stored {
    pub(crate) bytes: Vec<u8>,
    pub(crate) record: CheckpointRecord,
    /// The output position its writer had been opened with: rows before it were never its to give.
    pub(crate) output_from: Timestamp,
    /// The transaction it sealed, where the sink is a transactional one.
    pub(crate) sealed: Option<u64>,
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

impl World<'_> {
    pub(crate) fn ask_to_save(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        if !node.saving {
            node.saving = true;
            let at = grid(self.now, self.case.deployment.checkpoint_interval, node.phase);
            self.queue.push(at, Event::Save(index));
        }
    }

    /// A node saves its shards that have read something since.
    pub(crate) fn save(&mut self, index: usize) {
        self.nodes[index].saving = false;
        for place in 0..self.nodes[index].shards.len() {
            let shard = self.nodes[index].shards[place];
            let part = &self.parts[shard];
            if part.worker.is_none() || !part.dirty || self.puts_off_save(shard) {
                continue;
            }
            let part = &mut self.parts[shard];
            (part.dirty, part.due) = (false, Some(self.now));
            let catching = part.catching.is_some();
            self.reach(reached::SAVED);
            self.reach_times(reached::SAVED_CATCHING, catching.into());
            if self.options.trace || self.sink.asks_for_saves() {
                self.write_due(shard);
            }
        }
    }

    /// In front of a read: a save that fell due is written if a fault will ask for it, that is, if one
    /// strikes before the next save can take its place.
    pub(crate) fn keep_due(&mut self, shard: usize) {
        if self.parts[shard].due.is_none() {
            return;
        }
        let node = &self.nodes[self.parts[shard].node];
        let next_save = grid(self.now, self.case.deployment.checkpoint_interval, node.phase);
        if node.next_strike(self.now).is_some_and(|strike| strike <= next_save) {
            self.write_due(shard);
        } else {
            self.parts[shard].due = None;
        }
    }

    /// Writes a save that fell due, if its state is still at hand.
    pub(crate) fn write_due(&mut self, shard: usize) {
        // All that a checkpoint has behind it must have been written.
        if self.sink.waits(shard) {
            self.parts[shard].due = None;
            return;
        }
        let part = &mut self.parts[shard];
        let (Some(at), Some(worker)) = (part.due.take(), &mut part.worker) else { return };
        let (bytes, frontier) = match worker.checkpoint() {
            Ok(saved) => saved,
            Err(panic) => {
                let generation = part.generation();
                return self.panicked(shard, generation, panic);
            }
        };
        let positions = part.lanes.iter().map(|lane| ((lane.input, lane.partition), lane.position)).collect();
        let record = CheckpointRecord { at, positions, frontier };
        let (node, output_from) = (part.node, part.output_from);
        let (size, hash) = (bytes.len(), self.options.trace.then(|| fnv1a(&bytes)));
        let sealed = self.sink.seal(shard);
        self.store.save(shard, Stored { bytes, record, output_from, sealed });
        self.step(Some(node), Some(shard), || What::Checkpoint { size, hash: hash.unwrap_or_default() });
        self.commit_published(shard, sealed);
    }
}
