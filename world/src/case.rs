//! A case: everything a run depends on, as a value (design §6).
//!
//! Text in, text out: [`Case`] is what a TOML case file, a report's fenced block and a generator all hold.
//! It knows nothing of how it is run or judged. Invariant: a run of a case rolls no dice, so two runs of
//! equal cases give equal bytes.

use std::sync::Arc;

use rewindow_query::{History, Ordering, Span, Timestamp};

use crate::language::Language;

/// The version of the case format written by this program. Readers refuse what they do not know.
pub const FORMAT: u32 = 1;

/// Everything a run depends on.
#[derive(Clone, PartialEq, Debug)]
pub struct Case {
    /// A short name, for files and reports.
    pub name: String,
    /// The query as text.
    pub query: Arc<str>,
    /// How that text is read.
    pub language: Language,
    /// Streams and their numbers of partitions; `History` indexes into this list, and the analysis maps
    /// its own inputs onto it by name.
    pub inputs: Vec<CaseInput>,
    /// Names of the reference data in the query, in the order of `history.references`.
    pub references: Vec<String>,
    /// Tolerances and policy.
    pub ordering: Ordering,
    /// How the job is deployed.
    pub deployment: Deployment,
    /// What the source log will accept, and when. `Entry::input` indexes `inputs`.
    pub history: Arc<History>,
    /// What goes wrong, sorted by time.
    pub faults: Vec<Fault>,
    /// Who moves next where several could at the same instant, counted modulo their number; behind the end of the list
    /// the first of them always does.
    pub turns: Vec<u32>,
}

/// A stream of a case.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CaseInput {
    /// Its name in the query.
    pub name: String,
    /// Number of partitions, at least 1.
    pub partitions: u32,
}

/// How a job is deployed. Nothing here has a hidden default: a case file states all of it.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deployment {
    /// Worker nodes, at least 1. Tasks are placed round robin.
    pub nodes: u32,
    /// Keyed tasks for each shard of a job that is not fully parallel, which is then cut into tasks joined by links; 0
    /// leaves every shard whole.
    #[serde(default)]
    pub keyed: u32,
    /// How long a packet takes from one task to the next.
    #[serde(default)]
    pub link_delay: Span,
    /// Each node saves a checkpoint this often, shifted against the others by `interval * node / nodes`.
    pub checkpoint_interval: Span,
    /// A node looks for new entries this often; when it finds none it sleeps to the next look that will.
    pub poll_interval: Span,
    /// Most entries of one partition handed over in one batch; where batches are cut must not matter.
    pub batch: u32,
    /// Entries per second that a node processes of each partition, at most; sets how long catch-up takes.
    pub rate: u64,
    /// How long the source keeps an entry after its arrival; `None` keeps all.
    pub retention: Option<Span>,
    /// How many bytes of each partition the source keeps; `None` keeps all, as far as age allows. An event counts with
    /// the bytes of its text as JSON, an unreadable one with its own, an estimate with nothing.
    #[serde(default)]
    pub retention_size: Option<u64>,
    /// While a partition is idle, an estimate of the arrival clock is journaled this often (rule 3.7).
    pub heartbeat: Span,
    /// What takes the rows.
    #[serde(default)]
    pub sink: SinkKind,
}

/// What takes the rows, and promises what of them (rule 13.4).
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum SinkKind {
    /// Takes every row as it comes, copies included.
    #[default]
    Append,
    /// Keeps one row of each identity, the last one written.
    Upsert,
    /// Keeps one row of each identity, the first one written.
    Unique,
    /// Shows rows when the checkpoint that has them behind it is published, each once.
    Transactional,
}

impl SinkKind {
    /// All of them.
    pub const ALL: [SinkKind; 4] =
        [SinkKind::Append, SinkKind::Upsert, SinkKind::Unique, SinkKind::Transactional];

    /// Its name in case files and reports.
    pub fn name(self) -> &'static str {
        match self {
            SinkKind::Append => "append",
            SinkKind::Upsert => "upsert",
            SinkKind::Unique => "unique",
            SinkKind::Transactional => "transactional",
        }
    }
}

/// Something goes wrong, at a moment of virtual time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// When, on the axis of arrivals.
    pub at: Timestamp,
    /// What.
    pub kind: FaultKind,
}

/// What can go wrong. Each may strike while an earlier one is still being recovered from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FaultKind {
    /// A node dies, losing all since its last checkpoint, and is replaced after `down`.
    NodeKill {
        /// Which.
        node: u32,
        /// Until the replacement starts.
        down: Span,
    },
    /// Every node is rebooted, one after the other, each gone for `down`.
    OsUpgrade {
        /// For each node.
        down: Span,
    },
    /// The service is replaced by a new version, all nodes at once.
    ServiceUpgrade {
        /// Whether the new version reads the old checkpoints.
        readable: bool,
        /// Until the new version starts.
        down: Span,
    },
    /// The user stops the job and starts it again.
    UserRestart {
        /// Between stop and start.
        stopped: Span,
        /// From which output time it starts.
        start: StartMode,
    },
    /// The user stops the job and starts another in its place: with another query, over more partitions, or both. It has a
    /// sink of its own; of what the job before saved nothing may be used.
    JobChange {
        /// Between stop and start.
        stopped: Span,
        /// From which output time it starts; "last stopped" is by what the job before delivered.
        start: StartMode,
        /// The query from then on; `None` leaves it.
        query: Option<Arc<str>>,
        /// How many partitions every stream has from then on, at least; `None` leaves them. Events that arrive after the stop
        /// are dealt out to them in turn.
        partitions: Option<u32>,
    },
    /// The source forgets everything that arrived more than `keep` before the moment of the fault.
    RetentionCut {
        /// What is kept.
        keep: Span,
    },
    /// The sink takes nothing for a while; what is written waits, and all behind it (rule 14.3).
    SinkUnavailable {
        /// For so long.
        span: Span,
    },
    /// The next write is done, but its writer does not hear of it, and writes again.
    SinkAckLost,
    /// A node stops answering. After `noticed` it is replaced; after `back` it goes on as if nothing had happened.
    Hang {
        /// Which.
        node: u32,
        /// Until its replacement starts.
        noticed: Span,
        /// Until it goes on.
        back: Span,
    },
    /// A node processes entries so many times more slowly.
    Slow {
        /// Which.
        node: u32,
        /// How many times.
        times: u32,
        /// For how long.
        during: Span,
    },
    /// A new version of the service, which reads the old state, reaches one node after the other, each gone for `down`: for a
    /// while both versions run side by side.
    RollingUpgrade {
        /// For each node.
        down: Span,
    },
    /// The service goes back to the version before, all nodes at once. What the newer one has saved it cannot read.
    Rollback {
        /// Until the older version starts.
        down: Span,
    },
    /// The job goes on with another number of nodes; tasks that move are opened on their new node.
    Scale {
        /// How many from now on.
        nodes: u32,
        /// Until the tasks that move are opened.
        down: Span,
    },
    /// The next checkpoint that a node saves comes to harm.
    Checkpoint {
        /// Which node.
        node: u32,
        /// What harm.
        damage: Damage,
    },
    /// What a node sends over links is disturbed.
    Link {
        /// Which node.
        node: u32,
        /// How.
        trouble: LinkTrouble,
        /// For how long.
        during: Span,
    },
}

/// What harm comes to a checkpoint.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum Damage {
    /// The node is told that it was saved, but only its first half is there.
    Torn,
    /// The node is told that it was saved, but it is not there.
    Lost,
    /// A bit of it has changed when it is read.
    Corrupt,
    /// It could not be saved, and the node is told so.
    Full,
    /// It was saved, but the node is told that it was not.
    Unacknowledged,
    /// It was saved, but is not listed when it is looked for the next time.
    Unlisted,
}

impl Damage {
    /// All of them.
    pub const ALL: [Damage; 6] =
        [Damage::Torn, Damage::Lost, Damage::Corrupt, Damage::Full, Damage::Unacknowledged, Damage::Unlisted];

    /// The word in case files and reports.
    pub fn name(self) -> &'static str {
        match self {
            Damage::Torn => "torn",
            Damage::Lost => "lost",
            Damage::Corrupt => "corrupt",
            Damage::Full => "full",
            Damage::Unacknowledged => "unacknowledged",
            Damage::Unlisted => "unlisted",
        }
    }
}

/// What happens to packets on their way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LinkTrouble {
    /// Each takes so much longer.
    Delay(Span),
    /// Each arrives again, so much later.
    Twice(Span),
    /// Every second one of each link takes so much longer, so that the next may overtake it.
    Swap(Span),
}

impl LinkTrouble {
    /// The word in case files and reports, and the span.
    pub fn parts(self) -> (&'static str, Span) {
        match self {
            LinkTrouble::Delay(by) => ("delay", by),
            LinkTrouble::Twice(after) => ("twice", after),
            LinkTrouble::Swap(by) => ("swap", by),
        }
    }
}

/// Where a started job begins to give output (rule 12.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StartMode {
    /// At the moment of the start.
    Now,
    /// At a given time.
    Custom(Timestamp),
    /// At the time of the last row delivered, inclusive; the earliest over all shards (A-START-LAST).
    WhenLastStopped,
}

impl FaultKind {
    /// Whether it strikes the sink, and no node.
    pub fn strikes_sink(&self) -> bool {
        matches!(self, FaultKind::SinkUnavailable { .. } | FaultKind::SinkAckLost)
    }

    /// The fault's name in tables, case files and reports.
    pub fn name(&self) -> &'static str {
        match self {
            FaultKind::NodeKill { .. } => "node kill",
            FaultKind::OsUpgrade { .. } => "os upgrade",
            FaultKind::ServiceUpgrade { readable: true, .. } => "upgrade, state",
            FaultKind::ServiceUpgrade { readable: false, .. } => "upgrade, replay",
            FaultKind::UserRestart { .. } => "restart",
            FaultKind::JobChange { .. } => "restart, changed",
            FaultKind::RetentionCut { .. } => "retention",
            FaultKind::SinkUnavailable { .. } => "sink unavailable",
            FaultKind::SinkAckLost => "sink ack lost",
            FaultKind::Hang { .. } => "hang",
            FaultKind::Slow { .. } => "slow node",
            FaultKind::RollingUpgrade { .. } => "rolling upgrade",
            FaultKind::Rollback { .. } => "rollback",
            FaultKind::Scale { .. } => "scale",
            FaultKind::Checkpoint { .. } => "checkpoint",
            FaultKind::Link { .. } => "link",
        }
    }

    /// Whether checkpoints matter beyond the next that a fault asks for.
    pub(crate) fn asks_for_saves(&self) -> bool {
        match self {
            FaultKind::NodeKill { .. }
            | FaultKind::OsUpgrade { .. }
            | FaultKind::ServiceUpgrade { .. }
            | FaultKind::UserRestart { .. }
            | FaultKind::JobChange { .. }
            | FaultKind::RetentionCut { .. }
            | FaultKind::Slow { .. }
            | FaultKind::SinkUnavailable { .. }
            | FaultKind::SinkAckLost
            | FaultKind::Link { .. } => false,
            FaultKind::Hang { .. }
            | FaultKind::RollingUpgrade { .. }
            | FaultKind::Rollback { .. }
            | FaultKind::Scale { .. }
            | FaultKind::Checkpoint { .. } => true,
        }
    }
}
