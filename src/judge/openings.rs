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
    /// Of each shard the generations that began with its writer.
    writers: BTreeMap<usize, Vec<u32>>,
}

impl<'r> Openings<'r> {
    pub(super) fn of(run: &'r Run) -> Openings<'r> {
        let mut shards: BTreeMap<usize, Vec<&RecoveryReport>> = BTreeMap::new();
        let mut writers: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
        for report in &run.recoveries {
            shards.entry(report.shard).or_default().push(report);
            if report.role.writes() {
                writers.entry(report.shard).or_default().push(report.generation);
            }
        }
        Openings { shards, writers }
    }

    /// The recovery that began a generation.
    pub(super) fn find(&self, shard: usize, generation: u32) -> Option<&'r RecoveryReport> {
        self.up_to(shard, generation).filter(|report| report.generation == generation)
    }

    /// The last recovery up to a generation.
    pub(super) fn up_to(&self, shard: usize, generation: u32) -> Option<&'r RecoveryReport> {
        let of = self.shard(shard);
        of[..of.partition_point(|report| report.generation <= generation)].last().copied()
    }

    /// Whether the writer of a shard was opened again behind a generation, up to another.
    pub(super) fn replaced(&self, shard: usize, opened: u32, until: u32) -> bool {
        let of = self.writers.get(&shard).map_or(&[][..], Vec::as_slice);
        of.get(of.partition_point(|&generation| generation <= opened)).is_some_and(|&next| next <= until)
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

#[cfg(test)]
mod tests {
    use super::super::tests::kill;
    use super::*;
    use rewindow_engine::Role;
    use rewindow_query::Span;

    /// Two shards, in one of them a writer and a task that reads for it, opened in turn.
    fn run() -> Run {
        let report = |shard, generation, role| {
            let at = kill().at.plus(Span::seconds(i64::from(generation)));
            RecoveryReport { shard, generation, role, at, ..kill() }
        };
        let reads = Role::Partition { input: 0, partition: 0 };
        let of_first = [(2, Role::Merge), (3, reads), (5, Role::Merge), (6, reads)];
        let recoveries = of_first.map(|(generation, role)| report(0, generation, role));
        Run {
            recoveries: recoveries.into_iter().chain([report(1, 4, Role::Whole)]).collect(),
            ..Run::default()
        }
    }

    #[test]
    fn what_is_found_is_what_a_walk_over_all_would_find() {
        let run = run();
        let openings = Openings::of(&run);
        let of = |shard: usize| run.recoveries.iter().filter(move |report| report.shard == shard);
        for (shard, generation) in [0, 1, 2].into_iter().flat_map(|shard| (0..8).map(move |g| (shard, g))) {
            assert_eq!(
                openings.find(shard, generation),
                of(shard).find(|report| report.generation == generation)
            );
            assert_eq!(
                openings.up_to(shard, generation),
                of(shard).rfind(|report| report.generation <= generation)
            );
            let now = kill().at.plus(Span::seconds(i64::from(generation)));
            assert_eq!(openings.by(shard, now), of(shard).rfind(|report| report.at <= now));
            assert_eq!(openings.any_since(shard, now), of(shard).any(|report| report.at >= now));
            for until in generation..8 {
                let newer =
                    |r: &RecoveryReport| r.role.writes() && (generation + 1..=until).contains(&r.generation);
                assert_eq!(openings.replaced(shard, generation, until), of(shard).any(newer));
            }
        }
    }
}
