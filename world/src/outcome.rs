//! What a run leaves behind: deliveries, recoveries, the trace.
//!
//! Everything a judge, a report or a counter reads afterwards. Nothing here decides whether it is right.
//! Invariant: lists are in order of virtual time; what is equal in two runs compares equal here.

use std::collections::BTreeMap;

use rewindow_engine::Role;
use rewindow_query::{Failure, Recovered, Retained, Row, Span, Timestamp, Why};

use crate::case::Damage;
use crate::subject::Contract;

/// All that can be observed of a run.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Run {
    /// How exactly the subject is held to the formulas.
    pub contract: Contract,
    /// What reached the sink, in order; for a transactional sink, what was staged.
    pub deliveries: Vec<Delivery>,
    /// Moments at which a shard had read all that had arrived and the sink had all it gave, in order.
    pub level: Vec<(usize, Timestamp)>,
    /// What the worker that writes for a shard said of how far it has come, in order, whenever it said something else.
    pub frontiers: BTreeMap<usize, Vec<Told>>,
    /// Those deliveries, by index, that are one before them written again because its acknowledgement was lost.
    pub written_again: Vec<usize>,
    /// What consumers see in the end: of a transactional sink in order, of a table by identity. Of an append sink
    /// that is `deliveries`, and this is empty.
    pub visible: Vec<Visible>,
    /// Of a transactional sink, every published checkpoint of a writer, in order.
    pub sealed: Vec<Sealed>,
    /// Every opening of a shard after the first.
    pub recoveries: Vec<RecoveryReport>,
    /// Spans of output time that a user's choice of start leaves out, per shard.
    pub skipped: Vec<Skipped>,
    /// How far shards had come whenever the user stopped them.
    pub stopped: Vec<Stopped>,
    /// The job's failure, if it failed: the earliest of `failures`.
    pub failure: Option<Failure>,
    /// Every failure of a shard: the first of each is followed by a restart.
    pub failures: Vec<Failed>,
    /// A subject that would not open: shard and reason. It is not asked again.
    pub refused: Vec<(usize, String)>,
    /// What the coordinator should have done and did not: checkpoints of tasks that it let act.
    pub unpublished: Vec<Unpublished>,
    /// The first panic of the subject. The shard is not opened again; the others go on.
    pub panicked: Option<Panicked>,
    /// Every observable step.
    pub trace: Vec<Step>,
    /// What was reached, by name, with counts: the `sometimes` of design §5.
    pub reached: BTreeMap<&'static str, u64>,
    /// Entries handed to workers in total, replayed ones included.
    pub entries_fed: u64,
    /// Most rows that each task kept for those that read from it, when one of them had saved.
    pub links_max: BTreeMap<usize, u64>,
    /// The index of the fault by which the user started another job in place of this one: the run ended there.
    pub changed_by: Option<usize>,
    /// The run of that other job.
    pub then: Option<Box<Run>>,
}

impl Run {
    /// This run, and those of the jobs that took its place, one after the other.
    pub fn legs(&self) -> impl Iterator<Item = &Run> {
        std::iter::successors(Some(self), |run| run.then.as_deref())
    }
}

/// How far a worker said it has come: every row stamped before `frontier` has been given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Told {
    /// When.
    pub at: Timestamp,
    /// How often tasks of the shard had been opened before this worker was.
    pub opened: u32,
    /// How far.
    pub frontier: Timestamp,
}

/// The coordinator refused a checkpoint, or could not clear away after it, though no harm was done to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unpublished {
    /// When.
    pub at: Timestamp,
    /// Of which shard.
    pub shard: usize,
    /// Which task wrote it.
    pub task: usize,
    /// How often tasks of the shard had been opened before that task was.
    pub generation: u32,
    /// What it said.
    pub reason: String,
}

/// The subject panicked, which no subject may, whatever it is given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Panicked {
    /// Which shard it worked at.
    pub shard: usize,
    /// How often the shard had been opened before; of a panic while it is opened, with this opening.
    pub generation: u32,
    /// When.
    pub at: Timestamp,
    /// What it said, and where in its source.
    pub message: String,
}

/// A shard failed with a runtime error.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failed {
    /// When, in virtual time.
    pub at: Timestamp,
    /// Which shard.
    pub shard: usize,
    /// How often it had been opened before.
    pub generation: u32,
    /// At which timestamp of the output, and why.
    pub failure: Failure,
}

/// Rows handed to the sink in one go.
#[derive(Clone, PartialEq, Debug)]
pub struct Delivery {
    /// When.
    pub at: Timestamp,
    /// From which node.
    pub node: u32,
    /// Of which shard.
    pub shard: usize,
    /// How often tasks of the shard had been opened before.
    pub generation: u32,
    /// The same when the task that writes was opened; rows of one opening are in order.
    pub opened: u32,
    /// The rows.
    pub rows: Vec<Row>,
}

/// A row that consumers see.
#[derive(Clone, PartialEq, Debug)]
pub struct Visible {
    /// Since when.
    pub at: Timestamp,
    /// Of which shard.
    pub shard: usize,
    /// Which generation of the shard wrote it.
    pub generation: u32,
    /// How often tasks of the shard had been opened before it was written, as [`Delivery::generation`].
    pub openings: u32,
    /// The row.
    pub row: Row,
}

/// A checkpoint was published that sealed what its writer had staged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sealed {
    /// When.
    pub at: Timestamp,
    /// Of which shard.
    pub shard: usize,
    /// How often tasks of the shard had been opened before the one that writes was.
    pub opened: u32,
    /// How many deliveries of the run there were: those of this opening among them are behind the checkpoint.
    pub deliveries: usize,
    /// Until when the sink was away, or had been.
    pub away_until: Timestamp,
}

/// Rows of a shard stamped in `from..until` are not owed: the user started the job at a later time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Skipped {
    /// Since when: before that they were owed.
    pub at: Timestamp,
    /// Which shard.
    pub shard: usize,
    /// The output position when the user stopped: every row before it was delivered, or left out by an
    /// earlier start.
    pub from: Timestamp,
    /// The output time chosen for the start.
    pub until: Timestamp,
}

/// The user stopped a shard. What it had not given since its last start is not asked of the openings since then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stopped {
    /// Which shard.
    pub shard: usize,
    /// How many openings of its tasks there had been.
    pub openings: u32,
    /// The output position: every row before it was given since the last start, or lies before that.
    pub position: Timestamp,
}

/// What happened when a shard was opened again. The service in the articles shows no such report.
#[derive(Clone, PartialEq, Debug)]
pub struct RecoveryReport {
    /// When it was opened.
    pub at: Timestamp,
    /// Where.
    pub node: u32,
    /// Which shard.
    pub shard: usize,
    /// Which task of the job.
    pub task: usize,
    /// What it does for its shard.
    pub role: Role,
    /// The epoch of the shard: what has state in common. It changes whenever a shard begins without any.
    pub epoch: u64,
    /// Generation of the shard that begins here, 1 for the first recovery of a shard that is one task.
    pub generation: u32,
    /// Which version of the service ran it from then on: how many were installed before.
    pub version: u32,
    /// What it was told.
    pub why: Why,
    /// The fault's name, as in [`crate::case::FaultKind::name`].
    pub fault: &'static str,
    /// Rows stamped at or after this were wanted.
    pub output_from: Timestamp,
    /// The positions stored in the checkpoint that was offered, and its output position; `None` if
    /// none was complete. This is the world's own record, not the subject's word.
    pub checkpoint: Option<CheckpointRecord>,
    /// Where the epoch of the shard began for this task, if it has links and begins there again without a checkpoint. This
    /// is the world's own record, not the coordinator's word.
    pub begin: Option<BTreeMap<(usize, u32), u64>>,
    /// What the subject answered.
    pub answer: Recovered,
    /// What the source kept at that moment, for each partition the shard reads.
    pub retained: BTreeMap<(usize, u32), Retained>,
    /// Of a replay: the first offset kept of each partition that arrived at the answered `from` or later.
    pub since: BTreeMap<(usize, u32), u64>,
    /// Entries between the positions answered and the end of the log at that moment.
    pub backlog: u64,
    /// Catch-up by the formula: the largest backlog of a partition at the configured rate.
    pub estimated: Span,
    /// How many times slower than the configured rate the node was meanwhile, at most: 1 unless it was slow when the task
    /// was opened, or became so while it caught up. Then it may take so many times longer.
    pub slowness: u64,
    /// For how long it stood still meanwhile, because the node hung and nobody noticed.
    pub stood: Span,
    /// From the opening until that backlog was processed; `None` if the next fault or the end came first.
    pub actual: Option<Span>,
}

/// What the world knows of a complete checkpoint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CheckpointRecord {
    /// When it was saved.
    pub at: Timestamp,
    /// Next offset per (input, partition), counted by the world from what it had handed over.
    pub positions: BTreeMap<(usize, u32), u64>,
    /// The worker's frontier when it was saved.
    pub frontier: Timestamp,
    /// Saved by a node that had been replaced.
    pub late: bool,
}

/// One observable step.
#[derive(Clone, PartialEq, Debug)]
pub struct Step {
    /// Virtual time.
    pub at: Timestamp,
    /// On which node; `None` for the source, the sink and the user.
    pub node: Option<u32>,
    /// Of which shard, where one is concerned.
    pub shard: Option<usize>,
    /// Of which task, if it has links.
    pub task: Option<u32>,
    /// What.
    pub what: What,
}

/// What happened in a step.
#[derive(Clone, PartialEq, Debug)]
pub enum What {
    /// A fault struck; the text is its name and particulars.
    Fault(String),
    /// A shard was opened.
    Opened(Why),
    /// Entries of a partition were read, `first..next`.
    Read {
        /// Stream.
        input: usize,
        /// Partition.
        partition: u32,
        /// First offset.
        first: u64,
        /// One past the last.
        next: u64,
    },
    /// Rows went to the sink.
    Delivered(Vec<Row>),
    /// A write found the sink unavailable, and is tried again.
    Waits {
        /// When it will be tried again.
        until: Timestamp,
    },
    /// A write was done, and its writer did not hear of it.
    AckLost,
    /// The sink left out rows whose identity it has.
    Skipped(u64),
    /// A transaction became visible.
    Committed {
        /// Its number.
        number: u64,
        /// Its rows.
        rows: u64,
    },
    /// Transactions were given up, with so many rows that nobody had seen.
    Aborted(u64),
    /// A checkpoint was completed; its size and a hash of its bytes.
    Checkpoint {
        /// Bytes.
        size: usize,
        /// Of the bytes.
        hash: u64,
    },
    /// The source forgot entries of a partition in front of this offset.
    Forgot {
        /// Stream.
        input: usize,
        /// Partition.
        partition: u32,
        /// Oldest offset kept.
        first: u64,
    },
    /// Harm came to a checkpoint.
    Damaged(Damage),
    /// A packet was sent to a task.
    Sent {
        /// The reader.
        to: usize,
        /// Number of the first row.
        first: u64,
        /// One past the last.
        next: u64,
        /// Frontier of the sender.
        until: Timestamp,
    },
    /// A packet of a task arrived and was taken.
    Received {
        /// The sender.
        from: usize,
        /// Number of the first row.
        first: u64,
        /// One past the last.
        next: u64,
    },
    /// A task wanted rows that its upstream task no longer had.
    HistoryGone {
        /// The upstream task.
        from: usize,
        /// Number of the row wanted.
        wanted: u64,
    },
    /// A node that hung goes on, and nobody had noticed.
    Resumed,
    /// A node that hung goes on, and has been replaced.
    CameBack,
    /// A node that has been replaced was refused.
    Fenced,
    /// A task had processed all that was in the log when it was opened.
    Level,
    /// The input ended.
    Finished,
    /// The job failed.
    Failed(String),
    /// The subject panicked.
    Panicked(String),
}
