//! Openings: the recoveries of a run, found by shard and number or by moment.
//!
//! Made once for a run, so that asking costs nothing however many recoveries there are. Knows only the run. Invariant: of
//! each shard recoveries are in order of time and of generation, as in the run.

use std::collections::BTreeMap;

use rewindow_query::Timestamp;
use rewindow_world::outcome::{RecoveryReport, Run};

/// The recoveries of a run.
pub(super) struct Openings<'r> {
    shards: BTreeMap<usize, Vec<&'r RecoveryReport>>,
}

impl<'r> Openings<'r> {
    pub(super) fn of(run: &'r Run) -> Openings<'r> {
        let mut shards: BTreeMap<usize, Vec<&RecoveryReport>> = BTreeMap::new();
        for report in &run.recoveries {
            shards.entry(report.shard).or_default().push(report);
        }
        Openings { shards }
    }

    /// The recovery that the shard lived by at a moment.
    pub(super) fn by(&self, shard: usize, now: Timestamp) -> Option<&'r RecoveryReport> {
        let of = self.shard(shard);
        of[..of.partition_point(|report| report.at <= now)].last().copied()
    }

    /// Whether the shard was opened at that moment or later.
    pub(super) fn any_since(&self, shard: usize, at: Timestamp) -> bool {
        self.shard(shard).last().is_some_and(|report| report.at >= at)
    }

    fn shard(&self, shard: usize) -> &[&'r RecoveryReport] {
        self.shards.get(&shard).map_or(&[], Vec::as_slice)
    }
}
