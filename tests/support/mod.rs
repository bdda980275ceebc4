//! What the suites share: how much to try, the system under test, and what is printed when a case breaks.
//!
//! Holds no claim of its own. Invariant: case `number` of a suite is made from (seed, number) alone, and the
//! first that breaks is that with the smallest number, whatever the number of threads.

#![allow(dead_code, reason = "each suite uses its part")]

pub(crate) mod narrator;
pub(crate) mod queries;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use rewindow::budget::Budget;
use rewindow::choices::Seeded;
use rewindow::judge::{Breach, Truth, Verdict};
use rewindow::pool;
use rewindow::report::{Finding, Origin, Shrinking, first_difference, markdown};
use rewindow::shrink::shrink;
use rewindow::trial::trial;
use rewindow_query::{Plan, analyse};
use rewindow_world::case::Case;
use rewindow_world::engine_subject::EngineSubject;
use rewindow_world::outcome::Run;
use rewindow_world::subject::Subject;

/// Most smaller cases that are tried.
const TRIES_MAX: u64 = 4_000;

/// How a case breaks, if it does.
pub(crate) type Law<'a> = &'a dyn Fn(&Case) -> Option<Breach>;

/// A search over numbered cases.
pub(crate) struct Search {
    name: &'static str,
    seed: u64,
    cases: u64,
    threads: usize,
    /// Cases that one number stands for.
    each: u64,
    /// As many cases as it takes to reach all that is required.
    full: bool,
}

impl Search {
    /// `cases` of them unless `REWINDOW_CASES` says otherwise; the name makes the seed.
    pub(crate) fn new(name: &'static str, cases: u64) -> Search {
        let budget = Budget::from_environment().unwrap_or_else(|problem| panic!("{problem}"));
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let seed = budget.seed_for(name, here).unwrap_or_else(|problem| panic!("{problem}")).number;
        let wanted = budget.cases.unwrap_or(cases);
        Search { name, seed, cases: wanted, threads: budget.threads(), each: 1, full: wanted >= cases }
    }

    /// Every number stands for so many cases, which its job makes of one base: as many are tried in all.
    pub(crate) fn each(self, each: u64) -> Search {
        Search { each, ..self }
    }

    /// Calls `job` for every number, on several threads, and `take` with the results, in order.
    ///
    /// # Panics
    /// With what the first failing job says, and how to have it again.
    pub(crate) fn run<T: Send>(
        &self,
        job: impl Fn(u64, &mut Seeded) -> Result<T, String> + Sync,
        mut take: impl FnMut(T),
    ) {
        let mut failed = None;
        let numbered = |number| job(number, &mut Seeded::new(self.seed, number));
        pool::for_each_in_order(self.cases.div_ceil(self.each), self.threads, numbered, |number, result| {
            match result {
                Ok(result) => take(result),
                Err(text) => failed = Some((number, text)),
            }
            if failed.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        if let Some((number, text)) = failed {
            let (name, seed) = (self.name, self.seed);
            let again = format!("REWINDOW_SEED={seed:#010x} REWINDOW_CASES={}", (number + 1) * self.each);
            panic!("{text}\n\n{name}: number {number} of seed {seed:#010x}; again with {again}");
        }
    }

    /// Looks at one case in the light of a law; what is said of one that breaks is its report, shrunk.
    pub(crate) fn ask(&self, number: u64, case: &Case, law: Law<'_>) -> Result<(), String> {
        match law(case) {
            None => Ok(()),
            Some(breach) => Err(self.report(number, case, &breach, law)),
        }
    }

    fn report(&self, number: u64, case: &Case, breach: &Breach, law: Law<'_>) -> String {
        let driver = format!("suite {}", self.name);
        report(&Origin { driver, seed: Some(self.seed), case: Some(number) }, case, breach, law)
    }

    /// Requires that each of these was reached, if as many cases were tried as the suite asks for.
    pub(crate) fn require(&self, reached: &Reached, names: &[impl AsRef<str>]) {
        println!("{}: {} cases, seed {:#010x}\n{reached}", self.name, self.cases, self.seed);
        let never: Vec<&str> =
            names.iter().map(AsRef::as_ref).filter(|name| reached.count(name) == 0).collect();
        assert!(!self.full || never.is_empty(), "{}: never reached {never:#?}\n{reached}", self.name);
    }
}

/// What was reached, with counts.
#[derive(Default)]
pub(crate) struct Reached(BTreeMap<String, u64>);

impl Reached {
    pub(crate) fn note(&mut self, name: impl Into<String>) {
        self.add(name, 1);
    }

    pub(crate) fn add(&mut self, name: impl Into<String>, count: u64) {
        if count > 0 {
            *self.0.entry(name.into()).or_default() += count;
        }
    }

    pub(crate) fn count(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }
}

impl std::fmt::Display for Reached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|(name, count)| writeln!(f, "  {count:>8}  {name}"))
    }
}

/// The report of a case that breaks, shrunk under the law that it breaks.
pub(crate) fn report(origin: &Origin, case: &Case, breach: &Breach, law: Law<'_>) -> String {
    let shrunk = shrink(case, breach, &mut |case| law(case), TRIES_MAX);
    let truth = truth(&shrunk.case);
    let subject = engine(&truth.plan, &shrunk.case);
    let run = run(&truth, &shrunk.case, subject.as_ref());
    let state = first_difference(&truth, &shrunk.case, &shrunk.breach, subject.as_ref());
    markdown(&Finding {
        case: &shrunk.case,
        truth: &truth,
        run: &run,
        breach: &shrunk.breach,
        origin,
        shrinking: Some(Shrinking::from(&shrunk)),
        state: state.as_ref(),
        replay: "rewindow replay report.md",
    })
}

/// What a case owes; its query must be one that is accepted.
pub(crate) fn truth(case: &Case) -> Truth {
    Truth::of(case).unwrap_or_else(|error| panic!("{error}\n{}", case.query))
}

/// The healthy engine.
pub(crate) fn engine(plan: &Arc<Plan>, case: &Case) -> Box<dyn Subject> {
    Box::new(EngineSubject::of_case(plan, case))
}

/// The healthy engine with every shard whole: what feeds workers by hand brings no packets.
pub(crate) fn whole_engine(plan: &Arc<Plan>, case: &Case) -> Box<dyn Subject> {
    let mut case = case.clone();
    case.deployment.keyed = 0;
    engine(plan, &case)
}

/// A traced run.
pub(crate) fn run(truth: &Truth, case: &Case, subject: &dyn Subject) -> Run {
    rewindow::trial::run(truth, case, subject, true)
}

/// The law of the world: whatever its faults, a case is what the judge says it is.
pub(crate) fn holds_in_the_world(case: &Case) -> Option<Breach> {
    let truth = truth(case);
    match trial(&truth, case, engine(&truth.plan, case).as_ref(), false).1 {
        Verdict::Held(_) => None,
        Verdict::Broken(breach) => Some(*breach),
    }
}

/// A query that must be accepted.
pub(crate) fn plan(query: &str) -> Plan {
    analyse(query, None).unwrap_or_else(|error| panic!("{}: {error}\n{query}", error.code))
}

/// The names under which the operators of a plan are counted: that of the page, LEFT JOIN apart.
pub(crate) fn operator(op: &rewindow_query::plan::Op) -> &'static str {
    match op {
        rewindow_query::plan::Op::Join(join) if join.left_outer => "left join",
        rewindow_query::plan::Op::ReferenceJoin(join) if join.left_outer => "left reference",
        op => op.name(),
    }
}
