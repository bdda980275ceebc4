//! A trial: one case, one subject, one run, one verdict; and the search for a smaller one that breaks.
//!
//! Puts truth, world and judge together and adds nothing of its own. Knows subjects only as what a
//! [`Maker`] makes. Invariant: the verdict of a trial does not depend on whether the run was traced.

use std::sync::Arc;

use rewindow_query::Plan;
use rewindow_world::case::Case;
use rewindow_world::outcome::Run;
use rewindow_world::run::{RunOptions, try_run};
use rewindow_world::subject::Subject;

use crate::judge::{Breach, Truth, Verdict, deterministic, judge};
use crate::shrink::{Shrunk, shrink};

/// Makes the subject of a case: shrinking changes partitions and ordering, so each try needs its own.
pub type Maker<'a> = dyn Fn(&Arc<Plan>, &Case) -> Box<dyn Subject> + Sync + 'a;

/// Runs a case and judges it. `trace` keeps every step of the run.
pub fn trial(truth: &Truth, case: &Case, subject: &dyn Subject, trace: bool) -> (Run, Verdict) {
    let run = run(truth, case, subject, trace);
    let verdict = judge(truth, case, &run);
    (run, verdict)
}

/// Runs a case twice, traced, and judges the first run; two runs that differ are a breach before all
/// others (claim 10).
pub fn trial_twice(truth: &Truth, case: &Case, subject: &dyn Subject) -> (Run, Verdict) {
    let first = run(truth, case, subject, true);
    let second = run(truth, case, subject, true);
    let verdict = match deterministic(truth, &first, &second) {
        Some(breach) => Verdict::Broken(Box::new(breach)),
        None => judge(truth, case, &first),
    };
    (first, verdict)
}

/// A case that cannot be run refuses every shard, with the reason.
fn run(truth: &Truth, case: &Case, subject: &dyn Subject, trace: bool) -> Run {
    try_run(case, &truth.plan, subject, RunOptions { trace }).unwrap_or_else(|error| {
        let shards = 0..truth.shards.len().max(1);
        Run { refused: shards.map(|shard| (shard, error.to_string())).collect(), ..Run::default() }
    })
}

/// Shrinks a case that broke in a trial. Each try is a trial with a truth of its own.
pub fn shrink_trial(truth: &Truth, case: &Case, breach: &Breach, make: &Maker<'_>, tries_max: u64) -> Shrunk {
    let twice = breach.kind == crate::judge::Kind::NotDeterministic;
    let mut breaks = |candidate: &Case| {
        let truth = Truth::of_plan(truth.plan.clone(), candidate);
        let subject = make(&truth.plan, candidate);
        let (_, verdict) = match twice {
            true => trial_twice(&truth, candidate, &*subject),
            false => trial(&truth, candidate, &*subject, false),
        };
        match verdict {
            Verdict::Held(_) => None,
            Verdict::Broken(breach) => Some(*breach),
        }
    };
    shrink(case, breach, &mut breaks, tries_max)
}
