//! Nodes and the tasks placed on them: what is up, what it has read, when it looks again.
//!
//! Tasks are placed round robin. Each partition of a task is read by a lane of its own, all lanes at
//! once, so a task is busy as long as its largest share takes. Only state here; `run.rs` moves it.
//! Invariants: a node that is down has no worker; a lane's position never lies in front of what its
//! worker was handed; while a task catches up no lane reads past the end the log had at its opening.

use std::collections::BTreeMap;

use rewindow_engine::TaskSpec;
use rewindow_query::{Span, Timestamp, Why};

use crate::guarded::GuardedWorker;
use crate::outcome::CheckpointRecord;

/// What a restart of the service is called where the names of faults stand.
pub(crate) const FAILED_JOB: &str = "failed job";

/// A worker node.
pub(crate) struct Node {
    /// Tasks placed here, in order.
    pub(crate) tasks: Vec<usize>,
    pub(crate) up: bool,
    /// When it comes up, while it is down.
    pub(crate) up_at: Timestamp,
    /// Whether a save is in the queue.
    pub(crate) saving: bool,
    /// Its place on the grid of saves.
    pub(crate) phase: Span,
    /// When faults will take it down, sorted.
    pub(crate) strikes: Vec<Timestamp>,
    /// Until when it is slow, and by how much.
    pub(crate) slow: Option<(Timestamp, u32)>,
    /// It hangs since then, and nobody has noticed yet: the number of the hang.
    pub(crate) hung: Option<u64>,
    /// The version of the service that it runs.
    pub(crate) version: u32,
}

/// Why tasks are opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cause {
    pub(crate) why: Why,
    /// Name of the fault.
    pub(crate) fault: &'static str,
}

impl Cause {
    pub(crate) const FRESH: Cause = Cause { why: Why::Fresh, fault: "start" };

    /// The service starts a failed job again from its last state (rule 14.2).
    pub(crate) const FAILED: Cause = Cause { why: Why::AfterKill, fault: FAILED_JOB };

    /// What several faults during one downtime amount to: state is lost if any of them lost it.
    pub(crate) fn merge(self, later: Cause) -> Cause {
        let rank = |cause: &Cause| match cause.why {
            Why::Fresh => 0,
            Why::AfterKill => 1,
            Why::AfterUpgrade { readable: true } => 2,
            Why::AfterUpgrade { readable: false } => 3,
            Why::UserRestart => 4,
        };
        if rank(&later) >= rank(&self) { later } else { self }
    }

    /// Whether the state of before may go on in use (rules 13.1 to 13.3).
    pub(crate) fn keeps_state(self) -> bool {
        matches!(self.why, Why::AfterKill | Why::AfterUpgrade { readable: true })
    }
}

impl Node {
    /// The first strike after `now`.
    pub(crate) fn next_strike(&self, now: Timestamp) -> Option<Timestamp> {
        self.strikes.get(self.strikes.partition_point(|&at| at <= now)).copied()
    }
}

/// What is known of a shard, whichever of its tasks it comes from.
#[derive(Clone, Default)]
pub(crate) struct ShardState {
    /// Its tasks.
    pub(crate) tasks: Vec<usize>,
    /// Openings of its tasks so far.
    pub(crate) opened: u32,
    /// Its state is void: the next task to be opened begins a new epoch, at the user's start if there is one.
    pub(crate) renew: Option<Renew>,
    /// The present epoch, and the output position it began with.
    pub(crate) epoch: u64,
    pub(crate) output_from: Timestamp,
    /// Failed twice, panicked or refused: never opened again.
    pub(crate) dead: bool,
    /// When the service starts it again, while it lies failed.
    pub(crate) restart: Option<Timestamp>,
    /// Whether it has failed before.
    pub(crate) failed: bool,
}

/// Why a shard begins a new epoch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Renew {
    /// For the first time.
    Fresh,
    /// The user starts it at this output time.
    Start(Timestamp),
    /// Its state cannot be used: it goes on where its output stands.
    Position,
}

/// A task and its worker.
pub(crate) struct Part {
    pub(crate) spec: TaskSpec,
    pub(crate) node: usize,
    /// Why it will be opened, while it waits for its node: what befell it, not its node before it came there.
    pub(crate) cause: Option<Cause>,
    /// It was moved, and is not opened before this.
    pub(crate) ready: Timestamp,
    pub(crate) worker: Option<GuardedWorker>,
    /// The generation that the present opening began.
    pub(crate) generation: u32,
    /// The number of the present opening among all of the task.
    pub(crate) incarnation: u64,
    pub(crate) lanes: Vec<Lane>,
    /// The index of the recovery report, while catching up.
    pub(crate) catching: Option<usize>,
    /// When it looks next; other wake-ups in the queue are stale.
    pub(crate) wake: Option<Timestamp>,
    /// Since when it has been busy without a pause, and with how many entries of the largest share; one that was read
    /// while the node was slow counts so many times.
    pub(crate) stint: Option<(Timestamp, u64)>,
    /// Whether it has read anything since the last save fell due.
    pub(crate) dirty: bool,
    /// When the last save fell due, if its bytes have not been asked for yet.
    pub(crate) due: Option<Timestamp>,
    /// Its input has ended; it stays for its links.
    pub(crate) finished: bool,
    /// Where it began to read in the epoch that is on, as the world counted.
    pub(crate) began: Option<BTreeMap<(usize, u32), u64>>,
    /// A checkpoint that a new epoch was begun over, though it was whole: told with the next opening.
    pub(crate) passed_over: Option<CheckpointRecord>,
}

/// One partition as one task reads it.
#[derive(Clone, Copy)]
pub(crate) struct Lane {
    pub(crate) input: usize,
    pub(crate) partition: u32,
    /// Next offset to read.
    pub(crate) position: u64,
    /// End of the log when the task was opened.
    pub(crate) backlog_end: u64,
}

impl Part {
    pub(crate) fn new(node: usize, spec: TaskSpec) -> Part {
        let lane =
            |&(input, partition): &(usize, u32)| Lane { input, partition, position: 0, backlog_end: 0 };
        Part {
            node,
            cause: Some(Cause::FRESH),
            ready: Timestamp::MIN,
            worker: None,
            generation: 0,
            incarnation: 0,
            lanes: spec.reads.iter().map(lane).collect(),
            catching: None,
            wake: None,
            stint: None,
            dirty: false,
            due: None,
            finished: false,
            began: None,
            passed_over: None,
            spec,
        }
    }

    /// Whether it has links.
    pub(crate) fn is_linked(&self) -> bool {
        !self.spec.upstream.is_empty() || !self.spec.downstream.is_empty()
    }

    /// Whether every lane has read what was in the log at the opening.
    pub(crate) fn is_level(&self) -> bool {
        self.lanes.iter().all(|lane| lane.position >= lane.backlog_end)
    }

    /// Something befalls it, after all that has befallen it since it was last opened.
    pub(crate) fn befall(&mut self, cause: Cause) {
        self.cause = Some(self.cause.map_or(cause, |before| before.merge(cause)));
    }

    /// Loses all that is in memory.
    pub(crate) fn close(&mut self) {
        self.worker = None;
        self.catching = None;
        self.wake = None;
        self.stint = None;
        self.dirty = false;
        self.due = None;
        self.finished = false;
    }
}

/// The nodes of a case with the tasks placed round robin.
pub(crate) fn place(nodes: u32, interval: Span, tasks: usize) -> Vec<Node> {
    (0..nodes).map(|index| node(index, nodes, interval, tasks)).collect()
}

/// A node that is not up yet, with its tasks.
pub(crate) fn node(index: u32, nodes: u32, interval: Span, tasks: usize) -> Node {
    Node {
        tasks: (index as usize..tasks).step_by(nodes as usize).collect(),
        up: false,
        up_at: Timestamp::MIN,
        saving: false,
        // Both factors are bounded by `check.rs`: the product stays inside an i64.
        phase: Span(interval.0 * i64::from(index) / i64::from(nodes)),
        strikes: Vec::new(),
        slow: None,
        hung: None,
        version: 0,
    }
}
