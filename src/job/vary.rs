//! The `[vary]` table of job.toml: what schedules are made of.
//!
//! Words to values. Knows nothing of schedules. Invariant: what the table does not name varies.

use rewindow_query::{Ordering, Plan};
use serde::Deserialize;

use crate::generate::{Trouble, Vary};

/// The `[vary]` table: what schedules are made of.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VaryFile {
    pub(super) cases: u64,
    /// All kinds of faults, unless named.
    faults: Option<Vec<TroubleName>>,
    faults_max: Option<u64>,
    deployment: Option<bool>,
    retention: Option<bool>,
    slice: Option<usize>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum TroubleName {
    NodeKill,
    OsUpgrade,
    UpgradeState,
    UpgradeReplay,
    Restart,
    Retention,
    SinkUnavailable,
    SinkAckLost,
}

impl VaryFile {
    /// What may vary: everything, unless the table says otherwise.
    pub(super) fn resolve(&self, plan: &Plan, ordering: &Ordering) -> Vary {
        let trouble = |name: &TroubleName| match name {
            TroubleName::NodeKill => Trouble::NodeKill,
            TroubleName::OsUpgrade => Trouble::OsUpgrade,
            TroubleName::UpgradeState => Trouble::UpgradeState,
            TroubleName::UpgradeReplay => Trouble::UpgradeReplay,
            TroubleName::Restart => Trouble::Restart,
            TroubleName::Retention => Trouble::Retention,
            TroubleName::SinkUnavailable => Trouble::SinkUnavailable,
            TroubleName::SinkAckLost => Trouble::SinkAckLost,
        };
        let all = Vary::all(plan, ordering);
        Vary {
            faults: self.faults.as_ref().map_or(all.faults, |f| f.iter().map(trouble).collect()),
            faults_max: self.faults_max.unwrap_or(all.faults_max),
            deployment: self.deployment.unwrap_or(all.deployment),
            retention: self.retention.unwrap_or(all.retention),
            slice: self.slice,
            ..all
        }
    }
}
