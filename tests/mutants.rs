//! Bugs planted on purpose in the engine are found, made small, and written down so that others see them.
//!
//! What no other suite would catch: a blind spot of generator, judge or shrinker. Each plant is a mistake that
//! a real stream engine shipped; a search that holds says nothing while one of these escapes it.

mod support;

use std::ops::ControlFlow;

use rewindow::budget::Budget;
use rewindow::choices::{Choices, Seeded};
use rewindow::generate::{Trouble, Vary, schedule, small_case};
use rewindow::judge::{Breach, Verdict};
use rewindow::language::plan_of;
use rewindow::report::{Finding, Origin, Shrinking, first_difference, markdown, read, title};
use rewindow::shrink::Shrunk;
use rewindow::trial::{shrink_trial, trial};
use rewindow::{fingerprint, pool};
use rewindow_engine::plant::Plant;
use rewindow_query::Plan;
use rewindow_world::case::{Case, Damage, FaultKind, SinkKind};
use rewindow_world::engine_subject::EngineSubject;
use rewindow_world::subject::Subject;
use std::sync::Arc;
use support::{holds_in_the_world, truth};

/// A plant must be found within so many cases.
const CASES_MAX: u64 = 40_000;
/// And its case be made so small.
const EVENTS_MAX: usize = 8;
const FAULTS_MAX: usize = 2;
/// One more for what shows only when a node was replaced that had been given a chance to be wrong.
const FAULTS_MAX_ACROSS: usize = 3;
/// Trying this many smaller cases.
const TRIES_MAX: u64 = 4_000;
/// The campaign is the same every day: whether a plant is found is a matter of code, never of luck.
const SEED: u64 = 1;

fn planted(plan: &Arc<Plan>, case: &Case, plant: Plant) -> Box<dyn Subject> {
    Box::new(EngineSubject::of_case(plan, case).with_plant(plant))
}

/// The faults that expose a plant in what nodes do together, of which a case has few among all there are, and the sink
/// that it needs.
fn exposed_by(plant: Plant) -> Option<(&'static [Trouble], Option<SinkKind>)> {
    use Trouble::{
        Checkpoint, Hang, JobChange, Link, NodeKill, Restart, SinkAckLost, SinkUnavailable, UpgradeReplay,
    };
    Some(match plant {
        Plant::FencingAbsent => (&[Hang], None),
        Plant::PublishNotAtomic | Plant::CollectTooEarly | Plant::ForgetBeforeCheckpoint => {
            (&[Checkpoint, NodeKill], None)
        }
        Plant::EpochKept => (&[Restart, UpgradeReplay], None),
        Plant::FingerprintIgnored => (&[JobChange], None),
        Plant::LinkHistoryDropped | Plant::LinkNumbersRestart | Plant::KeyedRouteChanges => {
            (&[NodeKill], None)
        }
        Plant::LinkDuplicatesTaken | Plant::MergeByArrival => (&[Link, NodeKill], None),
        Plant::LinkEpochIgnored => (&[Link, NodeKill, Restart, Hang], None),
        Plant::TransactionBySlot => (&[Checkpoint, NodeKill], Some(SinkKind::Transactional)),
        Plant::CommitForgotten => (&[SinkUnavailable, NodeKill], Some(SinkKind::Transactional)),
        Plant::RetryReorders => (&[SinkUnavailable, SinkAckLost], Some(SinkKind::Append)),
        _ => return None,
    })
}

/// A small case in which the plant may show.
fn case_for(plant: Plant, choices: &mut dyn Choices) -> Option<Case> {
    let mut case = small_case(choices);
    let Some((faults, sink)) = exposed_by(plant) else { return Some(case) };
    let plan = plan_of(&case).unwrap_or_else(|error| panic!("{error}\n{}", case.query));
    case.deployment.sink = sink.unwrap_or(case.deployment.sink);
    let vary = Vary { faults: faults.to_vec(), ..Vary::all(&plan, &case.ordering) };
    let mut case = plant.can_show(&plan).then(|| schedule(&case, &vary, choices))?;
    // Only what could not be saved twice in a row leaves a transaction that is as even as the last sealed one.
    let full = case.faults.iter_mut().filter(|_| plant == Plant::TransactionBySlot);
    full.for_each(|fault| {
        if let FaultKind::Checkpoint { damage, .. } = &mut fault.kind {
            *damage = Damage::Full;
        }
    });
    Some(case)
}

/// How a case breaks with a bug planted.
fn breaks(case: &Case, plant: Plant) -> Option<Breach> {
    let truth = truth(case);
    match trial(&truth, case, planted(&truth.plan, case, plant).as_ref(), false).1 {
        Verdict::Held(_) => None,
        Verdict::Broken(breach) => Some(*breach),
    }
}

/// The first case that shows the bug.
fn find(plant: Plant) -> Option<(u64, Case, Breach)> {
    let threads = Budget::from_environment().unwrap_or_else(|problem| panic!("{problem}")).threads();
    let mut found = None;
    let job = |number| {
        let case = case_for(plant, &mut Seeded::new(SEED, number))?;
        breaks(&case, plant).map(|breach| (number, case, breach))
    };
    pool::for_each_in_order(CASES_MAX, threads, job, |_, result| {
        found = result;
        if found.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    found
}

/// The report of a finding, as the command writes it.
fn written(plant: Plant, number: u64, shrunk: &Shrunk) -> String {
    let truth = truth(&shrunk.case);
    let subject = planted(&truth.plan, &shrunk.case, plant);
    let (run, _) = trial(&truth, &shrunk.case, subject.as_ref(), true);
    let state = first_difference(&truth, &shrunk.case, &shrunk.breach, subject.as_ref());
    let origin = Origin { driver: "suite mutants".to_owned(), seed: Some(SEED), case: Some(number) };
    markdown(&Finding {
        case: &shrunk.case,
        truth: &truth,
        run: &run,
        breach: &shrunk.breach,
        origin: &origin,
        shrinking: Some(Shrinking::from(shrunk)),
        state: state.as_ref(),
        replay: "rewindow replay report.md",
    })
}

/// One line on what was found, or what is wrong with it.
fn check(plant: Plant) -> Result<String, String> {
    let (number, case, breach) = find(plant).ok_or_else(|| format!("not found in {CASES_MAX} cases"))?;
    if let Some(breach) = holds_in_the_world(&case) {
        return Err(format!("breaks without the plant too: {}\n{}", title(&breach), case.to_toml()));
    }
    let make = |plan: &Arc<Plan>, case: &Case| planted(plan, case, plant);
    let shrunk = shrink_trial(&truth(&case), &case, &breach, &make, TRIES_MAX);
    let report = written(plant, number, &shrunk);
    let faults_max = if exposed_by(plant).is_some() { FAULTS_MAX_ACROSS } else { FAULTS_MAX };
    if shrunk.after.entries > EVENTS_MAX || shrunk.after.faults > faults_max {
        return Err(format!("{:?} is not small\n{report}", shrunk.after));
    }
    let again = read(&report).map_err(|error| format!("{error}\n{report}"))?;
    if again != shrunk.case {
        return Err(format!("the report tells of another case\n{report}"));
    }
    if breaks(&again, plant).map(|breach| breach.class()) != Some(shrunk.breach.class()) {
        return Err(format!("the case of the report does not break in the same way\n{report}"));
    }
    if let Some(breach) = holds_in_the_world(&again) {
        return Err(format!("the case of the report breaks a healthy engine: {}\n{report}", title(&breach)));
    }
    Ok(format!(
        "case {number}, {} tries to {} events and {} faults: {} ({})",
        shrunk.tries,
        shrunk.after.entries,
        shrunk.after.faults,
        title(&shrunk.breach),
        fingerprint::fingerprint(&shrunk.breach, &shrunk.case)
    ))
}

#[test]
fn every_plant_is_found_and_made_small() {
    all_found(Plant::all());
}

#[test]
fn every_plant_in_what_nodes_do_together_is_found_and_made_small() {
    all_found(Plant::across());
}

fn all_found(plants: impl Iterator<Item = Plant>) {
    let mut wrong = Vec::new();
    for plant in plants {
        match check(plant) {
            Ok(line) => println!("{}: {line}", plant.name()),
            Err(why) => wrong.push(format!("{}: {why}", plant.name())),
        }
    }
    assert!(wrong.is_empty(), "{} plants:\n{}", wrong.len(), wrong.join("\n\n"));
}

/// Each plant has its case among the committed ones, which shows it at once; that the case holds without the
/// plant is asked by `replay.rs`.
#[test]
fn the_committed_case_of_every_plant_breaks_with_it() {
    for plant in Plant::all().chain(Plant::across()) {
        let path = format!("{}/tests/cases/engine-{}.toml", env!("CARGO_MANIFEST_DIR"), plant.name());
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let case = read(&text).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert!(breaks(&case, plant).is_some(), "{path} does not show {}", plant.about());
    }
}
