//! Bugs planted on purpose in consumer and update service, to see them found.
//!
//! They exist in every build, because they are values of the play and no switch of the engine; only tests and the
//! feature `plant` of the command pass one.

/// A planted bug.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum RegionPlant {
    /// The update service puts both members of a pair into one batch.
    BatchesTogether,
    /// The consumer takes what a region has stored at a switch without looking whether it has it.
    FailoverNoDedupe,
    /// The consumer goes back to the primary as soon as that is there, before it caught up.
    TakenBackTooEarly,
    /// The update service goes on whatever it sees.
    RolloutNeverStops,
}

impl RegionPlant {
    /// All of them.
    pub const ALL: [RegionPlant; 4] = [
        RegionPlant::BatchesTogether,
        RegionPlant::FailoverNoDedupe,
        RegionPlant::TakenBackTooEarly,
        RegionPlant::RolloutNeverStops,
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            RegionPlant::BatchesTogether => "batches-together",
            RegionPlant::FailoverNoDedupe => "failover-no-dedupe",
            RegionPlant::TakenBackTooEarly => "taken-back-too-early",
            RegionPlant::RolloutNeverStops => "rollout-never-stops",
        }
    }

    /// The plant of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<RegionPlant> {
        RegionPlant::ALL.into_iter().find(|plant| plant.name() == name)
    }
}
