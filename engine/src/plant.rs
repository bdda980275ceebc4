//! Bugs planted on purpose, each behind a named switch, to see that they are found.
//!
//! Each is a mistake that a real stream engine shipped. Knows nothing of how it is found. Invariant:
//! without the feature `plant` a [`Plants`] is empty, has no size, and [`Plants::is`] is never true, so
//! the shipped engine contains none of them.

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
}

/// Every plant with its name and what it is.
const TABLE: [(Plant, &str, &str); 21] = [
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
];

impl Plant {
    /// All of them, in a fixed order.
    pub fn all() -> impl Iterator<Item = Plant> {
        TABLE.iter().map(|(plant, _, _)| *plant)
    }

    fn entry(self) -> &'static (Plant, &'static str, &'static str) {
        TABLE.iter().find(|(plant, _, _)| *plant == self).expect("every plant is in the table")
    }

    /// Its name, in words joined by hyphens.
    pub fn name(self) -> &'static str {
        self.entry().1
    }

    /// What is wrong with it switched on.
    pub fn about(self) -> &'static str {
        self.entry().2
    }

    /// The plant of that name.
    pub fn parse(name: &str) -> Option<Plant> {
        TABLE.iter().find(|(_, known, _)| *known == name).map(|(plant, _, _)| *plant)
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
        let names: std::collections::BTreeSet<&str> = Plant::all().map(Plant::name).collect();
        assert_eq!(names.len(), TABLE.len());
        for plant in Plant::all() {
            assert_eq!(Plant::parse(plant.name()), Some(plant));
        }
        assert_eq!(Plant::parse("nothing"), None);
    }

    #[test]
    #[cfg(not(feature = "plant"))]
    fn without_the_feature_nothing_is_planted_and_nothing_is_carried() {
        assert_eq!(std::mem::size_of::<Plants>(), 0);
        assert!(Plant::all().all(|plant| !Plants::none().is(plant)));
    }
}
