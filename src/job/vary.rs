//! The tables `[vary]` and `[regions]` of job.toml: what schedules and pairs are made of.
//!
//! Words to values. Knows nothing of schedules. Invariant: what the table does not name varies.

use rewindow_query::{Ordering, Plan, Span};
use rewindow_world::case::Deployment;
use serde::Deserialize;

use crate::generate::regions::VaryRegions;
use crate::generate::{Trouble, Vary};

/// The `[vary]` table: what schedules are made of.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VaryFile {
    pub(super) cases: u64,
    /// All kinds of faults, unless named.
    faults: Option<Vec<Trouble>>,
    faults_max: Option<u64>,
    deployment: Option<bool>,
    retention: Option<bool>,
    slice: Option<usize>,
}

impl VaryFile {
    /// What may vary: everything, unless the table says otherwise.
    pub(super) fn resolve(&self, plan: &Plan, ordering: &Ordering, deployment: &Deployment) -> Vary {
        let mut all = Vary::all(plan, ordering);
        let varies = self.deployment.unwrap_or(all.deployment);
        if !varies && deployment.keyed == 0 {
            // Each shard stays on one node: there are no links, unless somebody asks for them.
            all.faults.retain(|&fault| fault != Trouble::Link);
        }
        Vary {
            faults: self.faults.clone().unwrap_or(all.faults),
            faults_max: self.faults_max.unwrap_or(all.faults_max),
            deployment: varies,
            retention: self.retention.unwrap_or(all.retention),
            slice: self.slice,
            ..all
        }
    }
}

/// The `[regions]` table: the job runs in two regions, and pairs are tried too (docs/regions.md).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RegionsFile {
    /// Of the primary and the other.
    pub(super) names: [String; 2],
    /// Longest from sending until the log has an event, of each.
    pub(super) delays: Option<[Span; 2]>,
    pub(super) soak: Option<Span>,
    pub(super) lag: Option<Span>,
    /// How many pairs.
    pub(super) cases: u64,
}

impl RegionsFile {
    /// What may vary, and how many pairs.
    pub(super) fn resolve(self) -> (VaryRegions, u64) {
        let delays = self.delays.map_or_else(Vec::new, |delays| delays.to_vec());
        let (soak, lag) = (self.soak, self.lag);
        (VaryRegions { names: self.names.to_vec(), delays, soak, lag }, self.cases)
    }
}
