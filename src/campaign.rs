//! A campaign: many failure schedules of one job, judged on many threads, added up in order.
//!
//! Schedule `i` is made from (seed, i) alone, results are taken in the order of `i`, and the first breach is
//! that with the smallest `i`: what a campaign says depends neither on the number of threads nor on their
//! timing. Only a budget of time decides, where one is given, how far it gets. Knows nothing of screens.
//! Invariant: the summary covers exactly the first `held` schedules of the shard, and what broke is the next one.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use rewindow_query::Span;
use rewindow_world::case::Case;
use rewindow_world::outcome::Run;
use rewindow_world::reached;

use crate::budget::Determinism;
use crate::choices::Seeded;
use crate::generate::{self, Trouble, Vary};
use crate::judge::{Breach, Level, Truth, Verdict};
use crate::pool;
use crate::report::HeldUp;
use crate::shard::Shard;
use crate::trial::{self, Maker};

/// Of the cases that held, one in so many is run again where a sample is asked for.
const SAMPLE: u64 = 100;

/// What a campaign tries.
pub struct Campaign<'a> {
    /// The job as a case in which nothing goes wrong.
    pub base: &'a Case,
    /// What it owes.
    pub truth: &'a Truth,
    /// What varies.
    pub vary: &'a Vary,
    /// Makes the system under test, a new one for each case.
    pub subject: &'a Maker<'a>,
    /// The seed.
    pub seed: u64,
    /// How many schedules.
    pub cases: u64,
    /// Which of them.
    pub shard: Shard,
    /// How many threads.
    pub threads: usize,
    /// Which cases that held are run again.
    pub determinism: Determinism,
}

/// What came out.
#[derive(Clone, PartialEq, Debug)]
pub struct Outcome {
    /// Of the schedules that held.
    pub summary: Summary,
    /// The first that did not.
    pub broken: Option<Box<Broken>>,
    /// The budget of time ended it.
    pub cut_short: bool,
}

/// A schedule that broke.
#[derive(Clone, PartialEq, Debug)]
pub struct Broken {
    /// Its number.
    pub number: u64,
    /// The whole case.
    pub case: Case,
    /// In which way.
    pub breach: Breach,
}

/// What the schedules that held have in common.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Summary {
    /// How many held.
    pub held: u64,
    /// How many of them were run a second time, with the same result.
    pub rerun: u64,
    /// By output, fault, and what the source still had.
    pub cells: BTreeMap<(usize, &'static str, Kept), Cell>,
    /// Recoveries from a checkpoint.
    pub from_checkpoint: u64,
    /// Recoveries by replay alone.
    pub replayed: u64,
    /// Recoveries that announced a gap.
    pub announced: u64,
    /// How many recoveries had to read so many entries again.
    pub backlogs: BTreeMap<u64, u64>,
    /// Longest catch-up that nothing cut short.
    pub catch_up_max: Span,
    /// The estimate of that catch-up.
    pub estimated: Span,
    /// Why it took longer, if it did.
    pub held_up: HeldUp,
    /// States reached, with counts.
    pub reached: BTreeMap<&'static str, u64>,
    /// Rows delivered that were owed, copies included.
    pub rows_matched: u64,
    /// Of these, copies.
    pub copies: u64,
}

/// Whether the source still had what the recoveries of a schedule needed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kept {
    /// All of it: nothing may be missing.
    Enough,
    /// Not all: rows may be missing, and are announced.
    Short,
}

impl Kept {
    /// Both.
    pub const ALL: [Kept; 2] = [Kept::Enough, Kept::Short];

    /// The word in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Kept::Enough => "enough",
            Kept::Short => "short",
        }
    }
}

/// An output under a fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cell {
    /// Schedules in which the fault struck a part that writes the output.
    pub schedules: u64,
    /// Of these, schedules with no other kind of fault.
    pub alone: u64,
    /// The weakest level over the latter; over all while there is none.
    pub level: Level,
}

impl Cell {
    /// One more schedule, in which the output held at that level.
    pub(crate) fn add(&mut self, level: Level, alone: bool) {
        self.level = match (alone, self.alone) {
            (true, 0) => level,
            (true, _) | (false, 0) => self.level.max(level),
            (false, _) => self.level,
        };
        self.schedules += 1;
        self.alone += u64::from(alone);
    }
}

/// A schedule, judged.
struct Trial {
    verdict: Verdict,
    case: Option<Box<Case>>,
    rerun: bool,
    kinds: Vec<&'static str>,
    struck: Vec<(usize, &'static str)>,
    recoveries: Vec<(u64, Option<Span>, Span, HeldUp)>,
    reached: BTreeMap<&'static str, u64>,
}

impl Campaign<'_> {
    /// Runs it. `stop` is asked before each further schedule is counted; `progress` sees every step.
    pub fn run(&self, stop: &dyn Fn() -> bool, progress: &mut dyn FnMut(&Summary)) -> Outcome {
        let mut outcome = Outcome { summary: Summary::default(), broken: None, cut_short: false };
        let job = |place| self.trial(self.shard.case(place));
        pool::for_each_in_order(self.shard.count(self.cases), self.threads, job, |place, trial| {
            if stop() {
                outcome.cut_short = true;
                return ControlFlow::Break(());
            }
            match (trial.verdict.breach(), &trial.case) {
                (Some(breach), Some(case)) => {
                    let (case, breach) = ((**case).clone(), breach.clone());
                    let number = self.shard.case(place);
                    outcome.broken = Some(Box::new(Broken { number, case, breach }));
                    return ControlFlow::Break(());
                }
                _ => outcome.summary.add(&trial),
            }
            progress(&outcome.summary);
            ControlFlow::Continue(())
        });
        outcome
    }

    /// The schedule of a number.
    pub fn case(&self, number: u64) -> Case {
        generate::schedule(self.base, self.vary, &mut Seeded::new(self.seed, number))
    }

    fn trial(&self, number: u64) -> Trial {
        let case = self.case(number);
        // With part of the history another truth is owed.
        let own = self.vary.slice.map(|_| Truth::of_plan(self.truth.plan.clone(), &case));
        let truth = own.as_ref().unwrap_or(self.truth);
        let again = match self.determinism {
            Determinism::Off => false,
            Determinism::Sample => number.is_multiple_of(SAMPLE),
            Determinism::All => true,
        };
        let subject = (self.subject)(&truth.plan, &case);
        let (run, verdict) = match again {
            true => trial::trial_twice(truth, &case, subject.as_ref()),
            false => trial::trial(truth, &case, subject.as_ref(), false),
        };
        let mut kinds: Vec<&'static str> = case.faults.iter().map(|fault| fault.kind.name()).collect();
        kinds.sort_unstable();
        kinds.dedup();
        Trial {
            rerun: again,
            struck: struck(truth, &case, &run),
            recoveries: run
                .legs()
                .flat_map(|leg| &leg.recoveries)
                .map(|r| (r.backlog, r.actual, r.estimated, HeldUp::of(r)))
                .collect(),
            reached: reached_by(&run),
            case: verdict.breach().map(|_| Box::new(case)),
            kinds,
            verdict,
        }
    }
}

/// What was reached, by all jobs of a case.
fn reached_by(run: &Run) -> BTreeMap<&'static str, u64> {
    let mut reached = BTreeMap::new();
    for (&state, &count) in run.legs().flat_map(|leg| &leg.reached) {
        *reached.entry(state).or_default() += count;
    }
    reached
}

/// Which outputs were struck by which faults: a task of theirs was opened again for it. What opens nothing strikes all;
/// a disturbance of links only if a packet was disturbed.
fn struck(truth: &Truth, case: &Case, run: &Run) -> Vec<(usize, &'static str)> {
    let mut struck = Vec::new();
    for report in &run.recoveries {
        let outputs = truth.shards.get(report.shard).map_or(&[][..], |shard| &shard.outputs);
        struck.extend(outputs.iter().map(|&output| (output, report.fault)));
    }
    // What strikes a job that took the place of another strikes all of it.
    for report in run.legs().skip(1).flat_map(|leg| &leg.recoveries) {
        struck.extend((0..truth.plan.outputs.len()).map(|output| (output, report.fault)));
    }
    let disturbed = run.legs().any(|leg| leg.reached.contains_key(reached::LINK_DISTURBED));
    let opening_nothing = [
        Trouble::Retention,
        Trouble::SinkUnavailable,
        Trouble::SinkAckLost,
        Trouble::Slow,
        Trouble::Checkpoint,
        Trouble::Link,
    ];
    for trouble in opening_nothing {
        let name = trouble.name();
        let strikes = trouble != Trouble::Link || disturbed;
        if strikes && case.faults.iter().any(|fault| fault.kind.name() == name) {
            struck.extend((0..truth.plan.outputs.len()).map(|output| (output, name)));
        }
    }
    struck.sort_unstable();
    struck.dedup();
    struck
}

impl Summary {
    fn add(&mut self, trial: &Trial) {
        let Verdict::Held(held) = &trial.verdict else { return };
        self.held += 1;
        self.rerun += u64::from(trial.rerun);
        for &(output, fault) in &trial.struck {
            let level = held.levels.get(output).copied().unwrap_or(Level::ExactSequence);
            let alone = trial.kinds.len() <= 1;
            let short = held.short.get(output).is_some_and(|&short| short);
            let kept = if short { Kept::Short } else { Kept::Enough };
            let cell =
                self.cells.entry((output, fault, kept)).or_insert(Cell { schedules: 0, alone: 0, level });
            cell.add(level, alone);
        }
        self.from_checkpoint += held.recoveries.from_checkpoint;
        self.replayed += held.recoveries.replayed;
        self.announced += held.recoveries.announced;
        self.rows_matched += held.rows_matched;
        self.copies += held.copies;
        for &(backlog, actual, estimated, held_up) in &trial.recoveries {
            *self.backlogs.entry(backlog).or_default() += 1;
            if let Some(actual) = actual.filter(|actual| *actual > self.catch_up_max) {
                (self.catch_up_max, self.estimated) = (actual, estimated);
                self.held_up = if actual > estimated { held_up } else { HeldUp::default() };
            }
        }
        for (&state, &count) in &trial.reached {
            *self.reached.entry(state).or_default() += count;
        }
    }

    /// The names of all faults that struck, beginning with those that a search was asked for.
    pub fn faults(&self, vary: &Vary) -> Vec<&'static str> {
        let mut faults: Vec<&'static str> = vary.faults.iter().map(|trouble| trouble.name()).collect();
        for &(_, fault, _) in self.cells.keys() {
            if !faults.contains(&fault) {
                faults.push(fault);
            }
        }
        faults
    }

    /// The median of the entries that a recovery had to read again; 0 without recoveries.
    pub fn backlog_median(&self) -> u64 {
        let all: u64 = self.backlogs.values().sum();
        let mut seen = 0;
        let middle = self.backlogs.iter().find(|(_, count)| {
            seen += **count;
            seen * 2 >= all
        });
        middle.map_or(0, |(backlog, _)| *backlog)
    }

    /// The most entries that a recovery had to read again.
    pub fn backlog_max(&self) -> u64 {
        self.backlogs.keys().next_back().copied().unwrap_or(0)
    }

    /// How many of all named states were reached.
    pub fn states_reached(&self) -> usize {
        reached::ALL.iter().filter(|state| self.reached.contains_key(*state)).count()
    }

    /// States that had to be reached for the verdict to mean something, and were not.
    pub fn not_reached(&self, vary: &Vary) -> Vec<&'static str> {
        required(vary).into_iter().filter(|state| !self.reached.contains_key(state)).collect()
    }
}

/// States without which "held" says little, by what may go wrong.
pub fn required(vary: &Vary) -> Vec<&'static str> {
    let may = |trouble| vary.faults.contains(&trouble) && vary.faults_max > 0;
    let mut states = vec![reached::SAVED];
    if may(Trouble::NodeKill) || may(Trouble::OsUpgrade) || may(Trouble::UpgradeState) {
        states.extend([reached::FROM_CHECKPOINT, reached::RESTORED_OPEN, reached::LEVEL]);
    }
    if may(Trouble::UpgradeReplay) || may(Trouble::Restart) {
        states.push(reached::REPLAYED);
    }
    if may(Trouble::JobChange) {
        states.push(reached::CHANGED);
    }
    if may(Trouble::OsUpgrade) {
        states.push(reached::OS_UPGRADE);
    }
    if may(Trouble::UpgradeState) {
        states.push(reached::UPGRADE_STATE);
    }
    if may(Trouble::UpgradeReplay) {
        states.push(reached::UPGRADE_REPLAY);
    }
    if may(Trouble::Retention) {
        states.extend([reached::EXPIRED, reached::GAP]);
    }
    if may(Trouble::RollingUpgrade) && vary.deployment {
        // A single node never differs from the others.
        states.push(reached::MIXED_VERSIONS);
    }
    let each = [
        (Trouble::SinkUnavailable, reached::SINK_AWAY),
        (Trouble::SinkAckLost, reached::WRITTEN_AGAIN),
        (Trouble::Hang, reached::FENCED),
        (Trouble::Slow, reached::SLOWED),
        (Trouble::Rollback, reached::ROLLED_BACK),
        (Trouble::Scale, reached::SCALED),
        (Trouble::Checkpoint, reached::SKIPPED_CHECKPOINT),
        // Only a job that is cut into tasks has links.
        (Trouble::Link, reached::LINK_DISTURBED),
        (Trouble::Link, reached::PACKET_MISSING),
        (Trouble::Link, reached::RESENT),
    ];
    states.extend(each.into_iter().filter(|&(trouble, _)| may(trouble)).map(|(_, state)| state));
    states
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toy::{Toy, Wrong, case};
    use rewindow_world::engine_subject::EngineSubject;

    /// The toy knows nothing of a log that forgets.
    fn kills(truth: &Truth, base: &Case) -> Vary {
        let faults = vec![Trouble::NodeKill, Trouble::OsUpgrade, Trouble::UpgradeState];
        Vary { faults, retention: false, ..Vary::all(&truth.plan, &base.ordering) }
    }

    fn outcome(wrong: Wrong, cases: u64, threads: usize) -> Outcome {
        shard_outcome(wrong, cases, threads, Shard::WHOLE)
    }

    fn shard_outcome(wrong: Wrong, cases: u64, threads: usize, shard: Shard) -> Outcome {
        let base = Case { faults: Vec::new(), ..case(40) };
        let truth = Truth::of(&base).unwrap();
        let vary = kills(&truth, &base);
        let campaign = Campaign {
            base: &base,
            truth: &truth,
            vary: &vary,
            subject: &move |plan, case| Box::new(Toy::new(plan, case, wrong)),
            seed: 5,
            cases,
            shard,
            threads,
            determinism: Determinism::Sample,
        };
        campaign.run(&|| false, &mut |_| {})
    }

    #[test]
    fn the_number_of_threads_does_not_show_in_what_a_campaign_says() {
        let one = outcome(Wrong::Never, 60, 1);
        assert_eq!((one.summary.held, one.summary.rerun, &one.broken), (60, 1, &None));
        assert!(one.summary.cells.values().any(|cell| cell.alone > 0), "{one:?}");
        assert_eq!(outcome(Wrong::Never, 60, 4), one);
    }

    #[test]
    fn shards_together_say_what_the_whole_says() {
        let whole = outcome(Wrong::Never, 61, 2).summary;
        let shards = ["1/3", "2/3", "3/3"].map(|text| Shard::parse(text).unwrap());
        let parts = shards.map(|shard| shard_outcome(Wrong::Never, 61, 2, shard).summary);
        assert_eq!(parts.each_ref().map(|part| part.held), [21, 20, 20]);
        let sum = |of: fn(&Summary) -> u64| parts.iter().map(of).sum::<u64>();
        assert_eq!((sum(|s| s.held), sum(|s| s.rerun)), (whole.held, whole.rerun));
        assert_eq!((sum(|s| s.rows_matched), sum(|s| s.copies)), (whole.rows_matched, whole.copies));
        let mut reached = BTreeMap::new();
        for (state, count) in parts.iter().flat_map(|part| &part.reached) {
            *reached.entry(*state).or_default() += count;
        }
        assert_eq!(reached, whole.reached);
        // The first breach is in one of them, under its number in the whole.
        let first = outcome(Wrong::Forgets, 60, 2).broken.expect("a subject that forgets is found out");
        let found = shards.map(|shard| shard_outcome(Wrong::Forgets, 60, 2, shard).broken);
        assert!(found.contains(&Some(first)), "{found:?}");
    }

    #[test]
    fn the_first_breach_is_that_of_the_smallest_number() {
        let one = outcome(Wrong::Forgets, 60, 1);
        let broken = one.broken.as_ref().expect("a subject that forgets is found out");
        assert_eq!(broken.number, one.summary.held);
        assert_eq!(outcome(Wrong::Forgets, 60, 4), one);
        // The same schedule comes of its number alone.
        assert_eq!(outcome(Wrong::Forgets, broken.number, 2).broken, None);
    }

    #[test]
    fn a_budget_of_time_ends_a_campaign_between_schedules() {
        let base = case(10);
        let truth = Truth::of(&base).unwrap();
        let vary = kills(&truth, &base);
        let left = std::cell::Cell::new(3);
        let campaign = Campaign {
            base: &base,
            truth: &truth,
            vary: &vary,
            subject: &|plan, case| Box::new(Toy::new(plan, case, Wrong::Never)),
            seed: 5,
            cases: 60,
            shard: Shard::WHOLE,
            threads: 2,
            determinism: Determinism::Off,
        };
        let stop = || left.replace(left.get() - 1) == 0;
        let outcome = campaign.run(&stop, &mut |_| {});
        assert_eq!((outcome.summary.held, outcome.cut_short), (3, true));
    }

    #[test]
    fn schedules_that_the_source_fell_short_of_stand_apart() {
        let base = Case { faults: Vec::new(), ..case(400) };
        let truth = Truth::of(&base).unwrap();
        let vary = Vary::all(&truth.plan, &base.ordering);
        let campaign = Campaign {
            base: &base,
            truth: &truth,
            vary: &vary,
            subject: &|plan, case| Box::new(EngineSubject::of_case(plan, case)),
            seed: 5,
            cases: 400,
            shard: Shard::WHOLE,
            threads: 2,
            determinism: Determinism::Off,
        };
        let outcome = campaign.run(&|| false, &mut |_| {});
        assert!(outcome.broken.is_none(), "{outcome:?}");
        let levels = |kept| {
            let of =
                |(key, cell): (&(usize, &'static str, Kept), &Cell)| (key.2 == kept).then_some(cell.level);
            outcome.summary.cells.iter().filter_map(of).collect::<Vec<Level>>()
        };
        let partial = |kept| levels(kept).contains(&Level::DeclaredPartial);
        assert!(partial(Kept::Short) && !partial(Kept::Enough), "{outcome:?}");
        assert_eq!(levels(Kept::Enough).len(), outcome.summary.faults(&vary).len());
    }

    #[test]
    fn the_median_is_that_of_all_recoveries() {
        let of = |backlogs: &[(u64, u64)]| {
            let backlogs = backlogs.iter().copied().collect();
            Summary { backlogs, ..Summary::default() }.backlog_median()
        };
        assert_eq!(of(&[]), 0);
        assert_eq!(of(&[(7, 1)]), 7);
        assert_eq!(of(&[(1, 3), (5, 2), (9, 1)]), 1);
        assert_eq!(of(&[(1, 2), (5, 2), (9, 1)]), 5);
    }
}
