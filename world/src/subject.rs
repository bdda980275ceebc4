//! What can be put into the world: the system under test.
//!
//! A [`Subject`] is opened with what happened and decides itself how it recovers; log, checkpoint and the
//! output position are handed in, never global. The world judges nothing here: it records what the
//! subject answers. Invariant: all a worker knows comes through these calls, in this order.

use std::collections::BTreeMap;
use std::sync::Arc;

use rewindow_engine::plant::Plants;
use rewindow_engine::{Layout, Packet};
use rewindow_query::{Entry, Failure, LogView, Plan, Recovered, Row, Shard, Timestamp, Why};

use crate::case::Case;

/// A system under test: makes workers for the tasks of one job.
pub trait Subject {
    /// Its name, for reports.
    fn name(&self) -> &str;

    /// The parts of the job that own its rows.
    fn shards(&self) -> &[Shard];

    /// How exactly it is held to the formulas.
    fn contract(&self) -> Contract {
        Contract::default()
    }

    /// The tasks, in the order in which they are placed on nodes: each shard as one, where nothing else is said.
    fn layout(&self) -> Layout {
        Layout::whole(self.shards())
    }

    /// Bugs planted in those parts of the engine that the world drives for the subject; nothing outside of tests of
    /// this toolkit.
    fn plants(&self) -> Plants {
        Plants::none()
    }

    /// The same system under test at another job, which the user started in place of this one; `None` if it cannot be had,
    /// and then nothing is asked of it from there on.
    fn at_another(&self, _plan: &Arc<Plan>, _case: &Case) -> Option<Box<dyn Subject>> {
        None
    }

    /// Opens a task after what happened.
    ///
    /// # Errors
    /// A subject that cannot or will not open says why; the world records a refusal and leaves the
    /// task down.
    fn open(&self, task: usize, opening: &Opening<'_>) -> Result<(Box<dyn Worker>, Recovered), Refusal>;
}

/// How exactly a subject is held to the formulas: by default in everything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Contract {
    /// A checkpoint that may be used is used, and a replay reads exactly one lookback. Without it a checkpoint
    /// may be left alone, and a replay may reach farther back, never less far.
    pub exact: bool,
    /// A row is given as soon as the watermark makes it certain, and the frontier says so. Without it, at the end of the
    /// input at the latest.
    pub prompt: bool,
}

impl Default for Contract {
    fn default() -> Contract {
        Contract { exact: true, prompt: true }
    }
}

/// Why a task was not opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// It cannot or will not be opened.
    Refused(String),
    /// It cannot go on in this epoch: the source has forgotten what its state needs next, and the tasks behind its links
    /// count on it. The shard has to begin again.
    Overtaken,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Refusal::Refused(reason) => out.write_str(reason),
            Refusal::Overtaken => out.write_str("the source has forgotten what its state needs next"),
        }
    }
}

impl From<String> for Refusal {
    fn from(reason: String) -> Refusal {
        Refusal::Refused(reason)
    }
}

/// What a subject is told when a task is opened.
pub struct Opening<'a> {
    /// What happened.
    pub why: Why,
    /// Which version of the service runs the task: how many were installed before.
    pub version: u32,
    /// The epoch of its shard; only tasks with links need to know.
    pub epoch: u64,
    /// The number of this opening among all of the task; only tasks with links need to know.
    pub incarnation: u64,
    /// Where the task began in this epoch, if it is opened again without a checkpoint; only for tasks with links.
    pub begin: Option<&'a BTreeMap<(usize, u32), u64>>,
    /// Rows stamped at or after this are wanted, and none before it.
    pub output_from: Timestamp,
    /// The latest complete checkpoint of the task, if there is one. It is handed over even where it must
    /// not be used: not using it is part of what is judged.
    pub checkpoint: Option<&'a [u8]>,
    /// The source.
    pub log: &'a dyn LogView,
}

/// What became of a packet.
#[derive(Clone, PartialEq, Debug)]
pub enum Taken {
    /// It was taken, or was known already; these rows have become certain.
    Rows(Vec<Row>),
    /// Rows in front of it are missing, from this number on; nothing was taken.
    Missing {
        /// Number of the first one missing.
        from: u64,
    },
    /// It comes from an epoch or a sender that is over.
    Stale,
}

/// A task at work on a node. The last methods concern links, which a task without any never hears of.
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

    /// Takes a packet of an upstream task, by its place among them.
    ///
    /// # Errors
    /// As for `feed`.
    fn receive(&mut self, _from: usize, _packet: &Packet) -> Result<Taken, Failure> {
        Ok(Taken::Stale)
    }

    /// What is to be sent since the last call: places among the downstream tasks, with packets.
    fn outgoing(&mut self) -> Vec<(usize, Packet)> {
        Vec::new()
    }

    /// For each upstream task the number of the row wanted next.
    fn wanted(&self) -> Vec<u64> {
        Vec::new()
    }

    /// All from a number on that was sent to a downstream task; `None` if it was forgotten.
    fn resend(&self, _to: usize, _from: u64) -> Option<Packet> {
        None
    }

    /// The downstream task holds everything in front of this number in its checkpoints.
    fn forget(&mut self, _to: usize, _before: u64) {}

    /// How many rows are kept for a downstream task.
    fn kept(&self, _to: usize) -> u64 {
        0
    }
}
