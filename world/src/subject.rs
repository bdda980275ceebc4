//! What can be put into the world: the system under test.
//!
//! A [`Subject`] is opened with what happened and decides itself how it recovers; log, checkpoint and the
//! output position are handed in, never global. The world judges nothing here: it records what the
//! subject answers. Invariant: all a worker knows comes through these calls, in this order.

use std::collections::BTreeMap;

use rewindow_engine::Plants;
use rewindow_query::{Entry, Failure, LogView, Recovered, Row, Shard, Timestamp, Why};

/// A system under test: makes workers for the shards of one job.
pub trait Subject {
    /// Its name, for reports.
    fn name(&self) -> &str;

    /// The parts of the job, in the order in which they are placed on nodes.
    fn shards(&self) -> &[Shard];

    /// How exactly it is held to the formulas.
    fn contract(&self) -> Contract {
        Contract::default()
    }

    /// Bugs planted in those parts of the engine that the world drives for the subject.
    fn plants(&self) -> Plants {
        Plants::none()
    }

    /// Opens a shard after what happened.
    ///
    /// # Errors
    /// A subject that cannot or will not open says why; the world records a refusal and leaves the
    /// shard down.
    fn open(&self, shard: usize, opening: &Opening<'_>) -> Result<(Box<dyn Worker>, Recovered), String>;
}

/// How exactly a subject is held to the formulas: by default in everything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Contract {
    /// A checkpoint that may be used is used, and a replay reads exactly one lookback. Without it a checkpoint
    /// may be left alone, and a replay may reach farther back, never less far.
    pub exact: bool,
    /// A row is given as soon as the watermark makes it certain. Without it, at the end of the input at the
    /// latest.
    pub prompt: bool,
}

impl Default for Contract {
    fn default() -> Contract {
        Contract { exact: true, prompt: true }
    }
}

/// What a subject is told when a shard is opened.
pub struct Opening<'a> {
    /// What happened.
    pub why: Why,
    /// Rows stamped at or after this are wanted, and none before it.
    pub output_from: Timestamp,
    /// The latest complete checkpoint of the shard, if there is one. It is handed over even where it must
    /// not be used: not using it is part of what is judged.
    pub checkpoint: Option<&'a [u8]>,
    /// The source.
    pub log: &'a dyn LogView,
}

/// A shard at work on a node.
pub trait Worker {
    /// Takes the next entries of one partition, in the order of offsets, and gives the rows that have
    /// become certain.
    ///
    /// # Errors
    /// A failure fails the job (rule 14.2). Rows stamped before it are still owed (C-FAIL): a worker
    /// gives them with `Ok` first, and tells the failure by [`Worker::failure`] or by its next call. It is
    /// not called again afterwards; the other shards go on.
    fn feed(&mut self, input: usize, partition: u32, entries: &[Entry]) -> Result<Vec<Row>, Failure>;

    /// The input has ended: gives all rows that are left.
    ///
    /// # Errors
    /// As for `feed`.
    fn finish(&mut self) -> Result<Vec<Row>, Failure>;

    /// The failure that lies behind the rows given so far, if the next call is to tell one. Asked after
    /// every call, and the only way to tell a failure behind the rows of `finish`.
    fn failure(&self) -> Option<Failure> {
        None
    }

    /// Every row stamped before this has been given.
    fn frontier(&self) -> Timestamp;

    /// The state as bytes, from which `Subject::open` can go on. Changes nothing.
    fn checkpoint(&self) -> Vec<u8>;

    /// The state as ordered text, `operator/key` to content, for the report's "first differs".
    fn explain(&self) -> BTreeMap<String, String> {
        BTreeMap::new()
    }
}
