//! Pairs of regions: one case, played and judged; the search for a smaller one; many of them for a job.
//!
//! Beside [`crate::trial`] for one region, and made of the same parts. Invariant: what is said of pair `i` of a
//! campaign follows from (seed, i) alone.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use rewindow_query::{Plan, QueryError};
use rewindow_world::CaseError;
use rewindow_world::case::Case;
use rewindow_world::outcome::Run;
use rewindow_world::regions::{Alarm, Faulty, PlayOptions, Played, RegionPlant, RegionsCase, Signal, play};

use crate::campaign::Cell;
use crate::choices::Seeded;
use crate::generate::regions::{VaryRegions, pair};
use crate::generate::{Trouble, Vary};
use crate::judge::regions::{PairHeld, judge_pair};
use crate::judge::{Breach, Level, Truth};
use crate::pool;
use crate::shard::Shard;
use crate::trial::Maker;

pub use crate::shrink::regions::shrink_pair;

/// Why a pair cannot be judged.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum Unplayable {
    /// The case is refused.
    #[error("{0}")]
    Case(CaseError),
    /// Its query is.
    #[error("{0}")]
    Query(QueryError),
}

/// What is said of a pair.
pub type PairVerdict = Result<PairHeld, Box<Breach>>;

/// Plays a pair and judges it.
///
/// # Errors
/// The case or its query is refused.
pub fn trial_pair(
    case: &RegionsCase,
    make: &Maker<'_>,
    plant: Option<RegionPlant>,
) -> Result<(Played, PairVerdict), Unplayable> {
    let plan = crate::language::plan_of(&case.base).map_err(Unplayable::Query)?;
    trial_of_plan(&Arc::new(plan), case, make, plant)
}

/// Likewise, of a query that is analysed already.
///
/// # Errors
/// The case is refused.
pub fn trial_of_plan(
    plan: &Arc<Plan>,
    case: &RegionsCase,
    make: &Maker<'_>,
    plant: Option<RegionPlant>,
) -> Result<(Played, PairVerdict), Unplayable> {
    let maker = |case: &Case| make(plan, case);
    let played = play(case, plan, &maker, PlayOptions { plant }).map_err(Unplayable::Case)?;
    let truths: Vec<Truth> = played.cases.iter().map(|own| Truth::of_plan(plan.clone(), own)).collect();
    let verdict = judge_pair(&truths, case, &played);
    Ok((played, verdict))
}

/// Many pairs of one job.
pub struct Pairs<'a> {
    /// The job as a case in which nothing goes wrong.
    pub base: &'a Case,
    /// Its query.
    pub plan: &'a Arc<Plan>,
    /// What may vary in a region.
    pub vary: &'a Vary,
    /// What may vary between regions.
    pub regions: &'a VaryRegions,
    /// Makes the system under test.
    pub subject: &'a Maker<'a>,
    /// A bug in consumer or update service.
    pub plant: Option<RegionPlant>,
    /// The seed.
    pub seed: u64,
    /// How many.
    pub cases: u64,
    /// Which of them.
    pub shard: Shard,
    /// How many threads.
    pub threads: usize,
}

/// What came of many pairs.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct PairsOutcome {
    /// How many held.
    pub held: u64,
    /// The rows their consumers hold, together.
    pub rows: u64,
    /// What was reached, by name.
    pub reached: BTreeMap<&'static str, u64>,
    /// By output and what struck the pair, one of [`STRIKES`].
    pub cells: BTreeMap<(usize, &'static str), Cell>,
    /// The first that did not hold.
    pub broken: Option<Box<BrokenPair>>,
    /// The budget of time ended it.
    pub cut_short: bool,
}

/// A pair that broke.
#[derive(Clone, PartialEq, Debug)]
pub struct BrokenPair {
    /// Its number.
    pub number: u64,
    /// The whole case.
    pub case: RegionsCase,
    /// In which way.
    pub breach: Breach,
}

impl Pairs<'_> {
    /// The pair of a number.
    #[must_use]
    pub fn case(&self, number: u64) -> RegionsCase {
        let told = |trouble: &&Trouble| TOLD.contains(trouble);
        let faults = self.vary.faults.iter().filter(told).copied().collect();
        let vary = Vary { faults, ..self.vary.clone() };
        pair(self.base, &vary, self.regions, &mut Seeded::new(self.seed, number))
    }

    /// Judges them. `stop` is asked before each further one is counted.
    ///
    /// # Errors
    /// A pair that cannot be played.
    pub fn run(&self, stop: &dyn Fn() -> bool) -> Result<PairsOutcome, Unplayable> {
        let mut outcome = PairsOutcome::default();
        let mut failed = None;
        let job = |place| {
            let case = self.case(self.shard.case(place));
            let (played, verdict) = trial_of_plan(self.plan, &case, self.subject, self.plant)?;
            let reached = reached(&played, verdict.as_ref().ok());
            let struck = struck(&case, &played);
            Ok((verdict.map_err(|breach| (case, breach)), reached, struck))
        };
        pool::for_each_in_order(self.shard.count(self.cases), self.threads, job, |place, result| {
            if stop() {
                outcome.cut_short = true;
                return ControlFlow::Break(());
            }
            match result {
                Ok((Ok(held), reached, struck)) => {
                    outcome.held += 1;
                    outcome.rows += held.rows;
                    outcome.add(&held.levels, &struck);
                    reached.into_iter().for_each(|name| *outcome.reached.entry(name).or_default() += 1);
                    return ControlFlow::Continue(());
                }
                Ok((Err((case, breach)), ..)) => {
                    let number = self.shard.case(place);
                    outcome.broken = Some(Box::new(BrokenPair { number, case, breach: *breach }));
                }
                Err(error) => failed = Some(error),
            }
            ControlFlow::Break(())
        });
        failed.map_or(Ok(outcome), Err)
    }
}

impl PairsOutcome {
    /// States that had to be reached for the verdict to mean something, and were not.
    #[must_use]
    pub fn not_reached(&self) -> Vec<&'static str> {
        REQUIRED_OF_JOB.into_iter().filter(|state| !self.reached.contains_key(state)).collect()
    }

    fn add(&mut self, levels: &[Level], struck: &[&'static str]) {
        for (output, &level) in levels.iter().enumerate() {
            for &strike in struck {
                let cell =
                    self.cells.entry((output, strike)).or_insert(Cell { schedules: 0, alone: 0, level });
                cell.add(level, is_alone(strike, struck));
            }
        }
    }
}

/// What can strike a pair, in the order of the columns of its table.
///
/// `delays` is what no pair is without, and stands for pairs in which nothing else struck; a `gap` was announced by a
/// region that was opened again; the last four are a rollout by what is wrong with the new version, if anything.
pub const STRIKES: [&str; 10] = [
    "delays",
    "sent twice",
    "region gone",
    "node kill",
    "os upgrade",
    "gap",
    "rollout",
    "wrong",
    "stalls",
    "crashes",
];

/// Faults of a region that a table of pairs tells; the search of `tests/regions.rs` has all that strike one.
const TOLD: [Trouble; 3] = [Trouble::NodeKill, Trouble::OsUpgrade, Trouble::Retention];

/// What struck a pair, in the order of [`STRIKES`].
#[must_use]
pub fn struck(case: &RegionsCase, played: &Played) -> Vec<&'static str> {
    let fault = |name: &str| {
        case.regions.iter().flat_map(|region| &region.faults).any(|fault| fault.kind.name() == name)
    };
    let upgrade = played.upgrades.iter().find(|upgrade| !upgrade.rollback);
    let version = upgrade.map(|upgrade| match upgrade.faulty {
        None => "rollout",
        Some(Faulty::Wrong) => "wrong",
        Some(Faulty::Stall) => "stalls",
        Some(Faulty::Crash { .. }) => "crashes",
    });
    let gap = |run: &Run| run.recoveries.iter().any(|report| !report.answer.gaps.is_empty());
    let is = |&strike: &&'static str| match strike {
        "delays" => false,
        "sent twice" => case.regions.iter().any(|region| !region.twice.is_empty()),
        "region gone" => case.regions.iter().any(|region| !region.outages.is_empty()),
        "gap" => played.runs.iter().any(gap),
        fault_name @ ("node kill" | "os upgrade") => fault(fault_name),
        faulty => version == Some(faulty),
    };
    let struck: Vec<&'static str> = STRIKES.into_iter().filter(is).collect();
    if struck.is_empty() { vec!["delays"] } else { struck }
}

/// Whether nothing else struck. A gap is announced by what was opened again, so what may have opened it is no other.
fn is_alone(strike: &str, struck: &[&'static str]) -> bool {
    let opens = ["region gone", "node kill", "os upgrade", "rollout"];
    struck.iter().all(|other| *other == strike || (strike == "gap" && opens.contains(other)))
}

/// States that a search over pairs must reach, or its verdict says little.
pub const REQUIRED: [&str; 14] = [
    "region gone",
    "gap announced",
    "alarm of the update service",
    "primary caught up",
    "deduped",
    "both upgraded in turn",
    "rollout stopped",
    "not whole in time",
    "rolled back",
    "rollout rests",
    "regions owe the same",
    "regions owe different rows",
    "a region unhurt",
    "every region hurt",
];

/// Those of them without which "held" says little of the pairs of one job: a consumer that went over to the other
/// region, a rollout that went through, and one that was stopped. The others hang on what the job is.
pub const REQUIRED_OF_JOB: [&str; 3] = ["region gone", "both upgraded in turn", "rollout stopped"];

/// What a pair reached.
#[must_use]
pub fn reached(played: &Played, held: Option<&PairHeld>) -> Vec<&'static str> {
    let mut names: Vec<&'static str> =
        played.consumer.switches.iter().map(|switch| switch.why.name()).collect();
    let goods = played.decisions.iter().filter(|decision| decision.what == Signal::Good).count();
    let decided = |what: fn(&Signal) -> bool| played.decisions.iter().any(|decision| what(&decision.what));
    let flags = [
        ("deduped", played.consumer.deduped > 0),
        ("both upgraded in turn", goods > 1),
        ("rollout stopped", decided(|what| matches!(what, Signal::Alarm(_)))),
        ("not whole in time", decided(|what| *what == Signal::Alarm(Alarm::NotWhole))),
        ("rolled back", decided(|what| *what == Signal::RolledBack)),
        ("rollout rests", decided(|what| *what == Signal::Rests)),
        ("rows withdrawn", played.consumer.withdrawn > 0),
        ("regions owe the same", held.is_some_and(|held| held.alike && held.rows > 0)),
        ("regions owe different rows", held.is_some_and(|held| !held.alike)),
        ("a region unhurt", held.is_some_and(|held| held.unhurt)),
        ("every region hurt", held.is_some_and(|held| !held.unhurt)),
    ];
    names.extend(flags.into_iter().filter(|&(_, is)| is).map(|(name, _)| name));
    names.sort_unstable();
    names.dedup();
    names
}
