//! Paired regions: one application, a log and a job in each region, one consumer, one update service.
//!
//! A region is a world of its own: its own log, nodes, checkpoints and sink. So a pair is played by running
//! each region with [`crate::try_run`] and putting the runs together in virtual time:
//!
//! ```text
//!   application ──┬─ delay ─→ log, job, sink of region 0 ─┐
//!                 └─ delay ─→ log, job, sink of region 1 ─┴─→ consumer (one at a time, dedupes)
//!                                      ↑ ↑
//!                     update service: batch after batch, looks, stops, rolls back
//! ```
//!
//! `fan` makes the logs, `service` decides on upgrades from what it could have seen by then,
//! `consumer` reads. Neither knows the right rows. What may be promised is in `docs/regions.md`. Invariant: what
//! happens up to a moment does not depend on what is decided later.

mod check;
mod compile;
mod consumer;
mod fan;
mod file;
mod plant;
mod service;

use std::rc::Rc;

use rewindow_query::{Plan, Span, Timestamp};

use crate::case::{Case, Fault};
use crate::error::CaseError;
use crate::faulty::Versions;
use crate::outcome::{Run, What};
use crate::run::{RunOptions, try_run};
use crate::subject::Subject;

pub use crate::faulty::Faulty;
pub use check::{DELAY_MAX, check_sink};
pub use consumer::{Consumed, Held, Switch, Why};
pub use plant::RegionPlant;
pub use service::{Alarm, Decision, Signal, whole};

/// Everything the play of a pair depends on.
#[derive(Clone, PartialEq, Debug)]
pub struct RegionsCase {
    /// What the application sends, and when: the arrival of an entry is the moment of sending. Query, ordering
    /// and deployment are those of every region. It has no faults of its own.
    pub base: Case,
    /// One or two; the first is the primary.
    pub regions: Vec<Region>,
    /// The upgrade that is rolled out, if there is one.
    pub rollout: Option<Rollout>,
}

/// One region.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Region {
    /// Its name.
    pub name: String,
    /// Shortest and longest time from sending until its log has an event.
    pub delay: (Span, Span),
    /// Which of these delays each event has: a number that stands for a row of dice rolled before.
    pub salt: u32,
    /// Entries of the base, by index, that reach this region's log twice: the acknowledgement was lost and the
    /// application sent again. Sorted.
    pub twice: Vec<usize>,
    /// When the whole region is gone. Sorted, apart from each other.
    pub outages: Vec<Outage>,
    /// What else goes wrong in it, sorted by time: no upgrades and no restarts by the user.
    pub faults: Vec<Fault>,
}

/// A region is gone: its nodes are down, its log takes nothing, its sink cannot be read. What was in log, store
/// and sink is there again afterwards.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outage {
    /// When it goes.
    pub at: Timestamp,
    /// When it is back.
    pub back: Timestamp,
}

/// A new version of the service, rolled out in batches of one region each.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rollout {
    /// When the first batch is upgraded.
    pub at: Timestamp,
    /// Regions by index, in the order of their batches; none twice. Members of a pair are never in one batch.
    pub batches: Vec<usize>,
    /// Whether the new version reads the old checkpoints.
    pub readable: bool,
    /// How long a region is down for it.
    pub down: Span,
    /// How long a batch is watched, at least, before the next.
    pub soak: Span,
    /// How much later than its partner an upgraded region may give a row.
    pub lag: Span,
    /// What is wrong with the new version, if anything.
    pub faulty: Option<Faulty>,
}

/// A version change of a region, as it happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Upgrade {
    /// When.
    pub at: Timestamp,
    /// Of which region.
    pub region: usize,
    /// Whether the checkpoints are read. After a rollback they never are.
    pub readable: bool,
    /// For how long it is down.
    pub down: Span,
    /// What is wrong with the version that begins here.
    pub faulty: Option<Faulty>,
    /// Whether it goes back to the version before.
    pub rollback: bool,
}

/// What came of a pair.
#[derive(Clone, PartialEq, Debug)]
pub struct Played {
    /// The case of each region, as its world ran it.
    pub cases: Vec<Case>,
    /// What happened in each.
    pub runs: Vec<Run>,
    /// Version changes, in the order of their moments.
    pub upgrades: Vec<Upgrade>,
    /// What the update service decided, in order.
    pub decisions: Vec<Decision>,
    /// What the consumer did and holds.
    pub consumer: Consumed,
}

/// Makes the subject of a region's case.
pub type RegionMaker<'a> = dyn Fn(&Case) -> Box<dyn Subject> + 'a;

/// How a pair is played.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PlayOptions {
    /// A bug planted on purpose.
    pub plant: Option<RegionPlant>,
}

/// Plays a case.
///
/// # Errors
/// A case that [`RegionsCase::check`] refuses, or a region whose case cannot be run.
pub fn play(
    case: &RegionsCase,
    plan: &Plan,
    make: &RegionMaker<'_>,
    options: PlayOptions,
) -> Result<Played, CaseError> {
    case.check()?;
    let mut stage = Stage { case, plan, make, upgrades: Vec::new(), cases: Vec::new(), runs: Vec::new() };
    for region in 0..case.regions.len() {
        let (own, run) = stage.run(region)?;
        stage.cases.push(own);
        stage.runs.push(run);
    }
    let decisions = service::roll_out(&mut stage, options.plant)?;
    let Stage { cases, runs, mut upgrades, .. } = stage;
    upgrades.sort_by_key(|upgrade| (upgrade.at, upgrade.region));
    let consumer = consumer::consume(case, plan, &runs, &upgrades, &decisions, options.plant);
    Ok(Played { cases, runs, upgrades, decisions, consumer })
}

/// The regions as far as they are decided.
struct Stage<'a> {
    case: &'a RegionsCase,
    plan: &'a Plan,
    make: &'a RegionMaker<'a>,
    upgrades: Vec<Upgrade>,
    cases: Vec<Case>,
    runs: Vec<Run>,
}

impl Stage<'_> {
    /// A region with the upgrades known so far.
    fn run(&self, region: usize) -> Result<(Case, Run), CaseError> {
        let own: Vec<&Upgrade> = self.upgrades.iter().filter(|u| u.region == region).collect();
        let case = compile::compile(self.case, region, &own);
        let inner: Rc<dyn Subject> = Rc::from((self.make)(&case));
        let subject = Versions::new(inner, own.iter().map(|upgrade| upgrade.faulty).collect());
        let run = try_run(&case, self.plan, &subject, RunOptions { trace: true })?;
        Ok((case, run))
    }

    /// Upgrades a region and runs it again.
    fn upgrade(&mut self, upgrade: Upgrade) -> Result<(), CaseError> {
        let region = upgrade.region;
        self.upgrades.push(upgrade);
        (self.cases[region], self.runs[region]) = self.run(region)?;
        Ok(())
    }
}

/// From which moment on a region gives what it gives only because its input ended. Nobody could have seen that in
/// time to act.
#[must_use]
pub fn horizon(run: &Run) -> Timestamp {
    let ended = run.trace.iter().find(|step| step.what == What::Finished);
    ended.map_or(Timestamp::MAX, |step| step.at)
}

/// Generations of each shard of a region, counted by openings of the task that writes, that ran the version which the
/// `number`th version change of that region brought, from 0: shard, first generation, one past the last.
#[must_use]
pub fn generations(run: &Run, number: usize) -> Vec<(usize, u32, u32)> {
    let mut shards: Vec<usize> = run.recoveries.iter().map(|report| report.shard).collect();
    shards.sort_unstable();
    shards.dedup();
    let of = |shard: usize| {
        let mut openings = run.recoveries.iter().filter(|r| r.shard == shard && r.role.writes());
        let first = openings.find(|r| r.version as usize == number + 1)?;
        let next = openings.find(|r| r.version as usize > number + 1);
        Some((shard, first.generation, next.map_or(u32::MAX, |next| next.generation)))
    };
    shards.into_iter().filter_map(of).collect()
}
