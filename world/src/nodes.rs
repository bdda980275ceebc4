//! Nodes and the shards placed on them: what is up, what it has read, when it looks again.
//!
//! Shards are placed round robin. Each partition of a shard is read by a lane of its own, all lanes at
//! once, so a shard is busy as long as its largest share takes. Only state here; `run.rs` moves it.
//! Invariants: a node that is down has no worker; a lane's position never lies in front of what its
//! worker was handed; while a shard catches up no lane reads past the end the log had at its opening.

use rewindow_query::{Shard, Span, Timestamp, Why};

use crate::guarded::GuardedWorker;

/// What a restart of the service is called where the names of faults stand.
pub(crate) const FAILED_JOB: &str = "failed job";

/// A worker node.
pub(crate) struct Node {
    /// Shards placed here, in order.
    pub(crate) shards: Vec<usize>,
    pub(crate) up: bool,
    /// When it comes up, while it is down.
    pub(crate) up_at: Timestamp,
    /// Why its shards will be opened.
    pub(crate) cause: Cause,
    /// Whether a save is in the queue.
    pub(crate) saving: bool,
    /// Its place on the grid of saves.
    pub(crate) phase: Span,
    /// When faults will take it down, sorted.
    pub(crate) strikes: Vec<Timestamp>,
}

/// Why shards are opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cause {
    pub(crate) why: Why,
    /// Name of the fault.
    pub(crate) fault: &'static str,
    /// The user's start, for a user's restart.
    pub(crate) start: Timestamp,
}

impl Cause {
    pub(crate) const FRESH: Cause = Cause { why: Why::Fresh, fault: "start", start: Timestamp::MIN };

    /// The service starts a failed job again from its last state (rule 14.2).
    pub(crate) const FAILED: Cause = Cause { why: Why::AfterKill, fault: FAILED_JOB, start: Timestamp::MIN };

    /// What several faults during one downtime amount to: state is lost if any of them lost it, and
    /// the user's last word on the start counts.
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
}

impl Node {
    /// The first strike after `now`.
    pub(crate) fn next_strike(&self, now: Timestamp) -> Option<Timestamp> {
        self.strikes.get(self.strikes.partition_point(|&at| at <= now)).copied()
    }
}

/// A shard and its worker.
pub(crate) struct Part {
    pub(crate) node: usize,
    pub(crate) worker: Option<GuardedWorker>,
    /// Failed twice, panicked or refused: never opened again.
    pub(crate) dead: bool,
    /// When the service starts it again, while it lies failed.
    pub(crate) restart: Option<Timestamp>,
    /// Whether it has failed before.
    pub(crate) failed: bool,
    /// Openings so far.
    pub(crate) opened: u32,
    /// Output position of the present opening.
    pub(crate) output_from: Timestamp,
    pub(crate) lanes: Vec<Lane>,
    /// The index of the recovery report, while catching up.
    pub(crate) catching: Option<usize>,
    /// When it looks next; other wake-ups in the queue are stale.
    pub(crate) wake: Option<Timestamp>,
    /// Since when it has been busy without a pause, and with how many entries of the largest share.
    pub(crate) stint: Option<(Timestamp, u64)>,
    /// Whether it has read anything since the last save fell due.
    pub(crate) dirty: bool,
    /// When the last save fell due, if its bytes have not been asked for yet.
    pub(crate) due: Option<Timestamp>,
}

/// One partition as one shard reads it.
#[derive(Clone, Copy)]
pub(crate) struct Lane {
    pub(crate) input: usize,
    pub(crate) partition: u32,
    /// Next offset to read.
    pub(crate) position: u64,
    /// End of the log when the shard was opened.
    pub(crate) backlog_end: u64,
}

impl Part {
    pub(crate) fn new(node: usize, shard: &Shard) -> Part {
        let lane =
            |&(input, partition): &(usize, u32)| Lane { input, partition, position: 0, backlog_end: 0 };
        Part {
            node,
            worker: None,
            dead: false,
            restart: None,
            failed: false,
            opened: 0,
            output_from: Timestamp::MIN,
            lanes: shard.reads.iter().map(lane).collect(),
            catching: None,
            wake: None,
            stint: None,
            dirty: false,
            due: None,
        }
    }

    /// The generation of the present opening.
    pub(crate) fn generation(&self) -> u32 {
        self.opened.saturating_sub(1)
    }

    /// Whether every lane has read what was in the log at the opening.
    pub(crate) fn is_level(&self) -> bool {
        self.lanes.iter().all(|lane| lane.position >= lane.backlog_end)
    }

    /// Loses all that is in memory.
    pub(crate) fn close(&mut self) {
        self.worker = None;
        self.restart = None;
        self.catching = None;
        self.wake = None;
        self.stint = None;
        self.dirty = false;
        self.due = None;
    }
}

/// The nodes of a case with the shards placed round robin.
pub(crate) fn place(nodes: u32, interval: Span, shards: usize) -> Vec<Node> {
    let node = |index: u32| Node {
        shards: (index as usize..shards).step_by(nodes as usize).collect(),
        up: false,
        up_at: Timestamp::MIN,
        cause: Cause::FRESH,
        saving: false,
        // Both factors are bounded by `check.rs`: the product stays inside an i64.
        phase: Span(interval.0 * i64::from(index) / i64::from(nodes)),
        strikes: Vec::new(),
    };
    (0..nodes).map(node).collect()
}
