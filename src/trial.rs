//! A trial: one case, one subject, one run, one verdict; and the search for a smaller one that breaks.
//!
//! Puts truth, world and judge together and adds nothing of its own. Knows subjects only as what a
//! [`Maker`] makes. Invariant: the verdict of a trial does not depend on whether the run was traced.

use std::sync::Arc;

use rewindow_query::{Plan, QueryError};
use rewindow_world::case::{Case, FaultKind};
use rewindow_world::change::Left;
use rewindow_world::error::CaseError;
use rewindow_world::journal::Journal;
use rewindow_world::outcome::Run;
use rewindow_world::run::{RunOptions, begin, go_on};
use rewindow_world::subject::Subject;

use crate::judge::{Breach, Claim, Kind, Truth, Verdict, deterministic, judge};
use crate::language::plan_of;
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

/// A case that broke as `found`, run twice more before it is believed: the first of these runs, and how it
/// breaks. A subject that does not break again, or breaks in another way, is not deterministic (claim 10).
pub fn confirm(truth: &Truth, case: &Case, found: &Breach, subject: &dyn Subject) -> (Run, Breach) {
    let (run, verdict) = trial_twice(truth, case, subject);
    let again = match verdict {
        // What was seen to differ once need not differ again.
        Verdict::Broken(breach) if breach.kind == Kind::NotDeterministic => return (run, *breach),
        _ if found.kind == Kind::NotDeterministic => return (run, found.clone()),
        // Only what is traced is asked for every checkpoint, and may panic over one.
        Verdict::Broken(breach) if breach.class() == found.class() || breach.kind == Kind::Panicked => {
            return (run, *breach);
        }
        Verdict::Broken(breach) => format!("{}, {}", breach.operator, breach.kind.name()),
        Verdict::Held(_) => "held".to_owned(),
    };
    let message = format!("first {}, {}; run again {again}", found.operator, found.kind.name());
    let kind = Kind::NotDeterministic;
    let breach = truth.breach(Claim::Deterministic, kind, found.output, found.shard, found.at, message);
    (run, breach)
}

/// Runs a case, and every job that the user starts in place of another. A case that cannot be run refuses every shard,
/// with the reason.
pub fn run(truth: &Truth, case: &Case, subject: &dyn Subject, trace: bool) -> Run {
    match begin(case, &truth.plan, subject, RunOptions { trace }) {
        Err(error) => refused(truth.shards.len(), &error.to_string()),
        Ok((mut run, left)) => {
            run.then = left.and_then(|left| follow(left, case, &truth.plan, subject, trace)).map(Box::new);
            run
        }
    }
}

/// Runs the job that takes the place of that of `case`; nothing, and then nothing is judged, if the subject cannot be
/// had at another job.
fn follow(left: Left, case: &Case, plan: &Arc<Plan>, subject: &dyn Subject, trace: bool) -> Option<Run> {
    let changed = case.changed(left.fault());
    let planned = match changed.query == case.query {
        true => Ok(plan.clone()),
        false => plan_of(&changed).map(Arc::new),
    };
    let plan = match planned {
        Ok(plan) => plan,
        Err(error) => return Some(refused(1, &error.to_string())),
    };
    let subject = subject.at_another(&plan, &changed)?;
    Some(match go_on(left, &changed, &plan, subject.as_ref(), RunOptions { trace }) {
        Err(error) => refused(subject.shards().len(), &error.to_string()),
        Ok((mut run, left)) => {
            run.then =
                left.and_then(|left| follow(left, &changed, &plan, subject.as_ref(), trace)).map(Box::new);
            run
        }
    })
}

/// Why a job cannot be run that a user starts in place of another.
#[derive(Clone, Debug)]
pub enum RefusedJob {
    /// The analysis refuses its query: the case, and why.
    Query(Box<Case>, QueryError),
    /// The case cannot be run.
    Case(CaseError),
}

/// The first job that a user starts in place of another and that cannot be run. `plan` is that of the case.
pub fn refused_job(case: &Case, plan: &Arc<Plan>) -> Option<RefusedJob> {
    let (mut case, mut plan) = (case.clone(), plan.clone());
    for index in 0..case.faults.len() {
        if !matches!(case.faults[index].kind, FaultKind::JobChange { .. }) {
            continue;
        }
        let changed = case.changed(index);
        if changed.query != case.query {
            plan = match plan_of(&changed) {
                Ok(plan) => Arc::new(plan),
                Err(error) => return Some(RefusedJob::Query(Box::new(changed), error)),
            };
        }
        if let Err(error) = Journal::of(&changed, &plan) {
            return Some(RefusedJob::Case(error));
        }
        case = changed;
    }
    None
}

fn refused(shards: usize, reason: &str) -> Run {
    let refused = (0..shards.max(1)).map(|shard| (shard, reason.to_owned())).collect();
    Run { refused, ..Run::default() }
}

/// Shrinks a case that broke in a trial. Each try is a trial with a truth of its own.
pub fn shrink_trial(truth: &Truth, case: &Case, breach: &Breach, make: &Maker<'_>, tries_max: u64) -> Shrunk {
    let twice = breach.kind == Kind::NotDeterministic;
    let mut breaks = |candidate: &Case| {
        let truth = truth.of_another(case, candidate).ok()?;
        if refused_job(candidate, &truth.plan).is_some() {
            return None;
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toy::{self, Toy, Wrong};
    use rewindow_query::Span;
    use rewindow_world::case::{FaultKind, StartMode};

    #[test]
    fn two_runs_that_differ_are_named_by_the_first_step_that_does() {
        let mut case = toy::case(200);
        case.faults = vec![case.faults[1].clone()]; // one kill: one restore of one shard
        let truth = Truth::of(&case).unwrap();
        let drifts = Toy::new(&truth.plan, &case, Wrong::Drifts);
        let (_, verdict) = trial_twice(&truth, &case, &drifts);
        let breach = verdict.breach().expect("a subject that drifts is found out");
        assert_eq!((breach.claim, breach.kind), (Claim::Deterministic, Kind::NotDeterministic));
        let told = |words| breach.message.contains(words);
        assert!(told("step ") && told("differs: first `") && told("`, then `"), "{}", breach.message);
        let make = |plan: &Arc<Plan>, case: &Case| -> Box<dyn Subject> {
            Box::new(Toy::new(plan, case, Wrong::Drifts))
        };
        let shrunk = shrink_trial(&truth, &case, breach, &make, 2_000);
        assert_eq!((shrunk.breach.kind, shrunk.after.faults), (Kind::NotDeterministic, 1));
        assert!(shrunk.after.entries < 10, "{shrunk:?}");
    }

    #[test]
    fn nothing_is_asked_of_a_subject_that_cannot_be_had_at_another_job() {
        let mut case = toy::case(1_000);
        let (stopped, start) = (Span::ZERO, StartMode::Now);
        case.faults[2].kind = FaultKind::JobChange { stopped, start, query: None, partitions: Some(9) };
        let truth = Truth::of(&case).unwrap();
        let (run, verdict) = trial(&truth, &case, &Toy::new(&truth.plan, &case, Wrong::Never), false);
        assert!(matches!(verdict, Verdict::Held(_)), "{verdict:?}");
        assert_eq!((run.changed_by, run.then), (Some(2), None));
        let (_, verdict) = trial(&truth, &case, &Toy::new(&truth.plan, &case, Wrong::NeverRestores), false);
        assert!(verdict.breach().is_some(), "what comes before is judged");
    }

    #[test]
    fn a_wrong_answer_is_found_though_every_row_is_right() {
        let mut case = toy::case(1_000);
        case.faults[2].kind = FaultKind::UserRestart { stopped: Span::ZERO, start: StartMode::Now };
        let truth = Truth::of(&case).unwrap();
        let kind = |wrong| {
            let (_, verdict) = trial(&truth, &case, &Toy::new(&truth.plan, &case, wrong), false);
            verdict.breach().map(|breach| breach.kind)
        };
        assert_eq!(kind(Wrong::Never), None);
        assert_eq!(kind(Wrong::ReadsAll), Some(Kind::ReadTooFar));
        assert_eq!(kind(Wrong::NeverRestores), Some(Kind::CheckpointUnused));
        assert_eq!(kind(Wrong::Withholds), Some(Kind::LateRow));
    }

    #[test]
    fn a_breach_that_does_not_come_again_is_one_of_determinism() {
        let mut case = toy::case(200);
        case.faults.truncate(2); // what comes then replays all, and makes it good again
        let truth = Truth::of(&case).unwrap();
        let [wrong, right] = [Wrong::Forgets, Wrong::Never].map(|w| Toy::new(&truth.plan, &case, w));
        let (_, verdict) = trial(&truth, &case, &wrong, false);
        let found = verdict.breach().expect("what is forgotten is missed");
        assert_eq!(confirm(&truth, &case, found, &wrong).1.class(), found.class());
        let (_, breach) = confirm(&truth, &case, found, &right);
        assert_eq!(breach.kind, Kind::NotDeterministic);
        assert!(breach.message.ends_with("run again held"), "{}", breach.message);
        assert_eq!(confirm(&truth, &case, &breach, &right).1, breach, "seen once is enough");
    }
}
