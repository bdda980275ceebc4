//! Bugs planted on purpose, each behind a named switch, to see that they are found.
//!
//! Each is a mistake that a real stream engine shipped. Knows nothing of how it is found. Invariant:
//! without the feature `plant` a [`Plants`] is empty, has no size, and [`Plants::is`] is never true, so
//! the shipped engine contains none of them.

use rewindow_query::Span;
use rewindow_query::plan::{Op, Plan};

/// A bug that can be switched on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum Plant {
    /// The checkpoint leaves out how far each partition's time had come.
    CheckpointForgetsWatermark,
    /// The position in a checkpoint is one entry too far.
    OffsetOneTooFar,
    /// The position in a checkpoint is one entry short.
    OffsetOneShort,
    /// Rows that wait to be ordered are not in the checkpoint.
    PendingRowsLost,
    /// What the source forgot is not announced.
    RetentionGapSilent,
    /// A user's restart goes on from the checkpoint.
    RestartUsesCheckpoint,
    /// A replay begins where the output does, as if nothing looked back.
    ReplayTooShort,
    /// A replay begins five minutes too late on the arrival axis.
    ReplayIgnoresEarlyLimit,
    /// After a restore the merged watermark counts only partitions that have spoken again.
    IdlePartitionForgotten,
    /// A tumbling window that is open is not in the checkpoint.
    TumblingWindowLost,
    /// A hopping window's older panes are not in the checkpoint.
    HoppingPanesLost,
    /// Rows that have yet to leave a sliding window are not in the checkpoint.
    SlidingExpiryLost,
    /// A restored left join gives rows without partner a second time.
    LeftJoinNullTwice,
    /// A restored left join has forgotten which rows found a partner.
    LeftJoinMatchForgotten,
    /// The rows a join waits with are not in the checkpoint.
    JoinSideLost,
    /// What LAG looks back at is not in the checkpoint.
    LagStateNotSaved,
    /// What LAST looks back at is not in the checkpoint.
    LastStateNotSaved,
    /// ISFIRST forgets over a restore that an interval already had its first row.
    IsFirstForgets,
    /// A session cut at a check point, without events since, is not in the checkpoint.
    SessionIndexLost,
    /// A session that goes on from a check point is restored as if it had begun behind it.
    SessionRestartParity,
    /// Starts of patterns whose match is not decided are not in the checkpoint.
    MatchPartialLost,
    /// The rows an aggregate with OVER looks back at are not in the checkpoint.
    OverRowsLost,
    /// The checkpoint leaves out how far the time of each substream had come.
    SubstreamsForgotten,
    /// After a restore every row meets the newest reference data, not the version of its time.
    ReferenceNewest,
    /// Whoever acted for a task before may go on doing so.
    FencingAbsent,
    /// A checkpoint is written over the one before.
    PublishNotAtomic,
    /// Older checkpoints are taken away before the next one is written.
    CollectTooEarly,
    /// Upstream forgets rows that were received, before a checkpoint has them.
    ForgetBeforeCheckpoint,
    /// A restart goes on in the epoch that ran.
    EpochKept,
    /// A start by the user goes on from what another query saved.
    FingerprintIgnored,
    /// A sender of a link forgets what it has sent, and does not know.
    LinkHistoryDropped,
    /// A restored sender of a link counts its rows from 0.
    LinkNumbersRestart,
    /// A reader of a link takes rows again that it has.
    LinkDuplicatesTaken,
    /// Rows of several links are merged in the order in which packets came.
    MergeByArrival,
    /// A reader of a link takes packets of older epochs and senders.
    LinkEpochIgnored,
    /// After a restore rows are dealt out to other keyed tasks than before.
    KeyedRouteChanges,
    /// A restored writer knows a sealed transaction by whether its number is even.
    TransactionBySlot,
    /// A restored writer does not commit what its checkpoint says is sealed.
    CommitForgotten,
    /// A write that is tried again goes behind those that waited with it.
    RetryReorders,
}

/// A plant with its name and what it is.
type Entry = (Plant, &'static str, &'static str);

/// Every plant that shows in a shard that runs whole.
const TABLE: &[Entry] = &[
    (
        Plant::CheckpointForgetsWatermark,
        "checkpoint-forgets-watermark",
        "the checkpoint leaves out how far each partition's time had come",
    ),
    (Plant::OffsetOneTooFar, "offset-one-too-far", "the position in a checkpoint is one entry too far"),
    (Plant::OffsetOneShort, "offset-one-short", "the position in a checkpoint is one entry short"),
    (Plant::PendingRowsLost, "pending-rows-lost", "rows waiting to be ordered are not in the checkpoint"),
    (Plant::RetentionGapSilent, "retention-gap-silent", "what the source forgot is not announced"),
    (Plant::RestartUsesCheckpoint, "restart-uses-checkpoint", "a user's restart goes on from the checkpoint"),
    (Plant::ReplayTooShort, "replay-too-short", "a replay begins where the output does, without lookback"),
    (
        Plant::ReplayIgnoresEarlyLimit,
        "replay-ignores-early-limit",
        "a replay begins five minutes too late on the arrival axis",
    ),
    (
        Plant::IdlePartitionForgotten,
        "idle-partition-forgotten",
        "after a restore only partitions that have spoken again hold the watermark back",
    ),
    (Plant::TumblingWindowLost, "tumbling-window-lost", "open tumbling windows are not in the checkpoint"),
    (Plant::HoppingPanesLost, "hopping-panes-lost", "panes of hopping windows are not in the checkpoint"),
    (
        Plant::SlidingExpiryLost,
        "sliding-expiry-lost",
        "rows yet to leave a sliding window are not in the checkpoint",
    ),
    (Plant::LeftJoinNullTwice, "left-join-null-twice", "a restored left join repeats rows without partner"),
    (
        Plant::LeftJoinMatchForgotten,
        "left-join-match-forgotten",
        "a restored left join has forgotten which rows found a partner",
    ),
    (Plant::JoinSideLost, "join-side-lost", "the rows a join waits with are not in the checkpoint"),
    (Plant::LagStateNotSaved, "lag-state-not-saved", "what LAG looks back at is not in the checkpoint"),
    (Plant::LastStateNotSaved, "last-state-not-saved", "what LAST looks back at is not in the checkpoint"),
    (Plant::IsFirstForgets, "isfirst-forgets", "ISFIRST forgets that an interval already had its first row"),
    (
        Plant::SessionIndexLost,
        "session-index-lost",
        "sessions cut at a check point and empty since are not in the checkpoint",
    ),
    (
        Plant::SessionRestartParity,
        "session-restart-parity",
        "a session going on from a check point is restored as if it had begun behind it",
    ),
    (Plant::MatchPartialLost, "match-partial-lost", "undecided starts of patterns are not in the checkpoint"),
    (
        Plant::OverRowsLost,
        "over-rows-lost",
        "the rows an aggregate with OVER looks back at are not in the checkpoint",
    ),
    (
        Plant::SubstreamsForgotten,
        "substreams-forgotten",
        "the checkpoint leaves out how far the time of each substream had come",
    ),
    (
        Plant::ReferenceNewest,
        "reference-newest",
        "after a restore every row meets the newest reference data, not the version of its time",
    ),
];

/// Every plant in what nodes do together: checkpoints published, tasks fenced, rows sent and written.
const ACROSS: &[Entry] = &[
    (Plant::FencingAbsent, "fencing-absent", "whoever acted for a task before may go on doing so"),
    (Plant::PublishNotAtomic, "publish-not-atomic", "a checkpoint is written over the one before"),
    (
        Plant::CollectTooEarly,
        "collect-too-early",
        "checkpoints are taken away before the next one is written",
    ),
    (
        Plant::ForgetBeforeCheckpoint,
        "forget-before-checkpoint",
        "upstream forgets rows that were received, before a checkpoint has them",
    ),
    (Plant::EpochKept, "epoch-kept", "a restart goes on in the epoch that ran"),
    (
        Plant::FingerprintIgnored,
        "fingerprint-ignored",
        "a start with another query goes on from what the query before saved",
    ),
    (
        Plant::LinkHistoryDropped,
        "link-history-dropped",
        "a link forgets rows when they are sent, not when a kept checkpoint of the reader has them",
    ),
    (Plant::LinkNumbersRestart, "link-numbers-restart", "a restored sender counts the rows of a link from 0"),
    (Plant::LinkDuplicatesTaken, "link-duplicates-taken", "rows that come twice over a link are taken twice"),
    (
        Plant::MergeByArrival,
        "merge-by-arrival",
        "rows of several links are merged in the order in which packets came",
    ),
    (Plant::LinkEpochIgnored, "link-epoch-ignored", "packets of older epochs and replaced senders are taken"),
    (
        Plant::KeyedRouteChanges,
        "keyed-route-changes",
        "after a restore rows are dealt out to other keyed tasks than before",
    ),
    (
        Plant::TransactionBySlot,
        "transaction-by-slot",
        "a restored writer knows a sealed transaction by whether its number is even",
    ),
    (
        Plant::CommitForgotten,
        "commit-forgotten",
        "a restored writer does not commit what its checkpoint says is sealed",
    ),
    (
        Plant::RetryReorders,
        "retry-reorders",
        "a write that is tried again goes behind those that waited with it",
    ),
];

impl Plant {
    /// All that show in a shard that runs whole, in a fixed order.
    pub fn all() -> impl Iterator<Item = Plant> {
        TABLE.iter().map(|(plant, _, _)| *plant)
    }

    /// All in what nodes do together, in a fixed order.
    pub fn across() -> impl Iterator<Item = Plant> {
        ACROSS.iter().map(|(plant, _, _)| *plant)
    }

    fn entries() -> impl Iterator<Item = &'static Entry> {
        TABLE.iter().chain(ACROSS)
    }

    fn entry(self) -> &'static Entry {
        Plant::entries().find(|(plant, _, _)| *plant == self).expect("every plant is in a table")
    }

    /// Its name, in words joined by hyphens.
    pub fn name(self) -> &'static str {
        self.entry().1
    }

    /// What is wrong with it switched on.
    pub fn about(self) -> &'static str {
        self.entry().2
    }

    /// What a query, its events or the deployment must have for the bug to do anything, in words; `None` where any will do.
    pub fn needs(self) -> Option<&'static str> {
        Some(match self {
            Plant::CheckpointForgetsWatermark
            | Plant::OffsetOneTooFar
            | Plant::OffsetOneShort
            | Plant::PendingRowsLost
            | Plant::RetentionGapSilent
            | Plant::RestartUsesCheckpoint
            | Plant::IdlePartitionForgotten
            | Plant::FencingAbsent
            | Plant::PublishNotAtomic
            | Plant::CollectTooEarly
            | Plant::ForgetBeforeCheckpoint
            | Plant::EpochKept
            | Plant::FingerprintIgnored
            | Plant::RetryReorders => return None,
            Plant::TransactionBySlot | Plant::CommitForgotten => "a transactional sink",
            Plant::ReplayIgnoresEarlyLimit => "events stamped ahead of their arrival",
            Plant::ReplayTooShort => "an operator that looks back",
            Plant::TumblingWindowLost => "a tumbling window",
            Plant::HoppingPanesLost => "a hopping window",
            Plant::SlidingExpiryLost => "a sliding window",
            Plant::LeftJoinNullTwice | Plant::LeftJoinMatchForgotten => "a left join",
            Plant::JoinSideLost => "a join",
            Plant::LagStateNotSaved => "LAG",
            Plant::LastStateNotSaved => "LAST with WHEN",
            Plant::IsFirstForgets => "ISFIRST",
            Plant::SessionIndexLost | Plant::SessionRestartParity => "a session window",
            Plant::MatchPartialLost => "MATCH_RECOGNIZE",
            Plant::OverRowsLost => "an aggregate with OVER",
            Plant::SubstreamsForgotten => "TIMESTAMP BY ... OVER",
            Plant::ReferenceNewest => "a join with reference data",
            Plant::LinkHistoryDropped
            | Plant::LinkNumbersRestart
            | Plant::LinkDuplicatesTaken
            | Plant::LinkEpochIgnored => "a job that is not fully parallel, in stages",
            Plant::MergeByArrival => "a job that is not fully parallel, in stages, of several partitions",
            Plant::KeyedRouteChanges => "a grouping by key, in stages",
        })
    }

    /// Whether the plan has what the bug needs; of events and deployment it says nothing.
    pub fn can_show(self, plan: &Plan) -> bool {
        let any = |has: fn(&Op) -> bool| plan.nodes.iter().any(|node| has(&node.op));
        match self {
            Plant::ReplayTooShort => (0..plan.nodes.len()).any(|node| plan.lookback_of(node) > Span::ZERO),
            Plant::TumblingWindowLost => any(|op| op.name() == "tumbling"),
            Plant::HoppingPanesLost => any(|op| op.name() == "hopping"),
            Plant::SlidingExpiryLost => any(|op| op.name() == "sliding"),
            Plant::LeftJoinNullTwice | Plant::LeftJoinMatchForgotten => {
                any(|op| matches!(op, Op::Join(join) if join.left_outer))
            }
            Plant::JoinSideLost => any(|op| matches!(op, Op::Join(_))),
            Plant::LagStateNotSaved => any(|op| matches!(op, Op::Lag(_))),
            // Without WHEN it finds the row itself, whatever else it remembers.
            Plant::LastStateNotSaved => any(|op| matches!(op, Op::Last(last) if last.when.is_some())),
            Plant::IsFirstForgets => any(|op| matches!(op, Op::IsFirst(_))),
            Plant::SessionIndexLost | Plant::SessionRestartParity => any(|op| op.name() == "session"),
            Plant::MatchPartialLost => any(|op| matches!(op, Op::Match(_))),
            Plant::OverRowsLost => any(|op| matches!(op, Op::Over(_))),
            Plant::SubstreamsForgotten => any(
                |op| matches!(op, Op::Source(source) if source.timestamp_by.is_some() && !source.over.is_empty()),
            ),
            Plant::ReferenceNewest => any(|op| matches!(op, Op::ReferenceJoin(_))),
            Plant::LinkHistoryDropped
            | Plant::LinkNumbersRestart
            | Plant::LinkDuplicatesTaken
            | Plant::LinkEpochIgnored
            | Plant::MergeByArrival => !plan.parallel,
            Plant::KeyedRouteChanges => {
                !plan.parallel && any(|op| matches!(op, Op::Group(group) if !group.keys.is_empty()))
            }
            _ => true,
        }
    }

    /// The plant of that name.
    pub fn parse(name: &str) -> Option<Plant> {
        Plant::entries().find(|(_, known, _)| *known == name).map(|(plant, _, _)| *plant)
    }
}

/// What is switched on, as operators are told when they are made.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plants {
    #[cfg(feature = "plant")]
    plant: Option<Plant>,
}

impl Plants {
    /// Nothing planted.
    pub fn none() -> Plants {
        Plants::default()
    }

    /// Whether nothing is.
    pub fn is_none(self) -> bool {
        Plant::entries().all(|&(plant, _, _)| !self.is(plant))
    }

    /// This one planted, or none.
    #[cfg(feature = "plant")]
    pub fn only(plant: Option<Plant>) -> Plants {
        Plants { plant }
    }

    /// Whether this one is planted.
    #[cfg(feature = "plant")]
    pub fn is(self, plant: Plant) -> bool {
        self.plant == Some(plant)
    }

    /// Whether this one is planted: without the feature, never.
    #[cfg(not(feature = "plant"))]
    #[inline(always)]
    pub fn is(self, _plant: Plant) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_differ() {
        let names: std::collections::BTreeSet<&str> = Plant::entries().map(|(_, name, _)| *name).collect();
        assert_eq!(names.len(), TABLE.len() + ACROSS.len());
        for plant in Plant::all().chain(Plant::across()) {
            assert_eq!(Plant::parse(plant.name()), Some(plant));
        }
        assert_eq!(Plant::parse("nothing"), None);
    }

    #[test]
    fn a_plant_that_needs_an_operator_can_show_only_where_there_is_one() {
        let plain = rewindow_query::analyse("SELECT a FROM s TIMESTAMP BY t WHERE a > 1", None).unwrap();
        for plant in Plant::all() {
            let any = plant.needs().is_none() || plant == Plant::ReplayIgnoresEarlyLimit;
            assert_eq!(plant.can_show(&plain), any, "{}", plant.name());
        }
        let query = |text: &str| rewindow_query::analyse(text, None).unwrap();
        let last = |when: &str| query(&format!("SELECT LAST(a) OVER (LIMIT DURATION(hour, 1){when}) FROM s"));
        assert!(Plant::LastStateNotSaved.can_show(&last(" WHEN a > 1")));
        assert!(!Plant::LastStateNotSaved.can_show(&last("")));
        let join = query("SELECT l.a FROM s l JOIN r ON DATEDIFF(hour, l, r) BETWEEN 0 AND 1");
        assert!(Plant::JoinSideLost.can_show(&join) && !Plant::LeftJoinNullTwice.can_show(&join));
    }

    #[test]
    #[cfg(not(feature = "plant"))]
    fn without_the_feature_nothing_is_planted_and_nothing_is_carried() {
        assert_eq!(std::mem::size_of::<Plants>(), 0);
        assert!(Plant::all().chain(Plant::across()).all(|plant| !Plants::none().is(plant)));
    }
}
