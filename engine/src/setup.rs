//! What a shard is made from, besides its state and its log: query, part, settings and reference data.
//!
//! Knows nothing of why a shard is opened. Invariant: whoever opens a shard again hands in reference data
//! whose versions in force so far are the same; a checkpoint over others is refused.

use std::sync::Arc;

#[cfg(feature = "plant")]
use crate::plant::Plant;
use rewindow_query::{Ordering, Plan, Recovered, Shard, Timestamp};

use crate::checkpoint::CheckpointError;
use crate::instance::Instance;
use crate::plant::Plants;
use crate::recovery::{self, OpenError, Opening};
use crate::reference::References;

/// What a shard is made from.
#[derive(Clone, Debug)]
pub struct Setup {
    pub(crate) plan: Arc<Plan>,
    /// The plan's, which takes long to make.
    pub(crate) fingerprint: u64,
    pub(crate) shard: Shard,
    pub(crate) ordering: Ordering,
    pub(crate) references: Arc<References>,
}

impl Setup {
    /// Of a plan's shard, without reference data: a join with it then finds no rows.
    pub fn new(plan: Arc<Plan>, shard: Shard, ordering: Ordering) -> Setup {
        Setup { fingerprint: plan.fingerprint(), plan, shard, ordering, references: Arc::default() }
    }

    /// The same of another shard of the plan.
    #[must_use]
    pub fn of_shard(&self, shard: &Shard) -> Setup {
        Setup { shard: shard.clone(), ..self.clone() }
    }

    /// With reference data, in the order of the plan's references (rule 8.7).
    #[must_use]
    pub fn with_references(self, references: Arc<References>) -> Setup {
        Setup { references, ..self }
    }

    /// The shard with empty state, as [`Instance::new`].
    pub fn start(self, output_from: Timestamp) -> Instance {
        Instance::planted(self, output_from, Plants::none())
    }

    /// The shard as it was when the checkpoint was taken, as [`Instance::restore`].
    ///
    /// # Errors
    /// Bytes that are damaged, or belong to another query, shard, setting, version or reference data.
    pub fn restore(self, bytes: &[u8]) -> Result<Instance, CheckpointError> {
        Instance::restore_planted(self, bytes, Plants::none())
    }

    /// The shard after what happened, as [`Instance::open`].
    ///
    /// # Errors
    /// As there, and a checkpoint over other reference data.
    pub fn open(self, opening: Opening<'_>) -> Result<(Instance, Recovered), OpenError> {
        recovery::open(self, &opening, Plants::none())
    }

    /// Like [`Setup::open`], with a bug planted.
    ///
    /// # Errors
    /// As for [`Setup::open`].
    #[cfg(feature = "plant")]
    pub fn open_planted(
        self,
        opening: Opening<'_>,
        plant: Option<Plant>,
    ) -> Result<(Instance, Recovered), OpenError> {
        recovery::open(self, &opening, Plants::only(plant))
    }
}
