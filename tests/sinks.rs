//! Sinks: each keeps its promise (rule 13.4), whatever strikes nodes, source and the sink itself.
//!
//! What no other suite would catch: a mistake in how the judge looks at what consumers see. For each kind of sink
//! the promise is looked at here by a few lines of its own, besides the judge; and the plants of writers must be found.

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;

use rewindow::choices::Seeded;
use rewindow::generate::small_case;
use rewindow::judge::{Breach, Truth, Verdict, judge};
use rewindow::report::title;
use rewindow::trial::{shrink_trial, trial};
use rewindow_engine::Plant;
use rewindow_query::Plan;
use rewindow_query::{Identity, Row};
use rewindow_world::case::{Case, FaultKind, SinkKind};
use rewindow_world::engine_subject::EngineSubject;
use rewindow_world::outcome::Run;
use rewindow_world::reached;
use rewindow_world::subject::Subject;
use support::{Reached, Search, engine, holds_in_the_world, run, truth};

/// What consumers should see of a job without gaps, rows left out or a failure.
fn owed(truth: &Truth) -> BTreeSet<Identity> {
    truth.answer.rows.iter().map(Row::identity).collect()
}

/// Whether nothing excuses a difference.
fn is_plain(truth: &Truth, run: &Run) -> bool {
    let whole = run.recoveries.iter().all(|report| report.answer.gaps.is_empty());
    whole && run.skipped.is_empty() && run.failure.is_none() && truth.answer.failure.is_none()
}

/// Why the promise of the sink is not kept, if it is not.
fn promise(truth: &Truth, case: &Case, run: &Run) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    let mut before: Vec<&Row> = Vec::new();
    for visible in &run.visible {
        let row = &visible.row;
        if !seen.insert(row.identity()) {
            return Err(format!("visible twice: {row:?}"));
        }
        if truth.find(row).is_none_or(|owed| truth.answer.rows[owed] != *row) {
            return Err(format!("nobody owes {row:?}"));
        }
        let same = |other: &&&Row| (other.output, other.partition) == (row.output, row.partition);
        let last = before.iter().rfind(same);
        if case.deployment.sink == SinkKind::Transactional
            && last.is_some_and(|last| last.timestamp > row.timestamp)
        {
            return Err(format!("out of order: {row:?}"));
        }
        before.push(row);
    }
    if seen == owed(truth) { Ok(()) } else { Err(format!("{} rows of {}", seen.len(), owed(truth).len())) }
}

fn check(sink: SinkKind, name: &'static str, cases: u64, required: &[&str]) {
    let search = Search::new(name, cases);
    let mut reached = Reached::default();
    search.run(
        |number, choices| {
            let mut case = small_case(choices);
            case.deployment.sink = sink;
            let law = |case: &Case| {
                let truth = truth(case);
                match judge(&truth, case, &run(&truth, case, engine(&truth.plan, case).as_ref())) {
                    Verdict::Held(_) => None,
                    Verdict::Broken(breach) => Some(*breach),
                }
            };
            search.ask(number, &case, &law)?;
            let truth = truth(&case);
            let run = run(&truth, &case, engine(&truth.plan, &case).as_ref());
            let plain = sink != SinkKind::Append && is_plain(&truth, &run);
            if plain {
                promise(&truth, &case, &run).map_err(|why| format!("{why}\n{}", case.to_toml()))?;
            }
            Ok((run.reached, plain && !run.visible.is_empty()))
        },
        |(states, plain)| {
            states.into_iter().for_each(|(state, count)| reached.add(state, count));
            reached.add("seen", plain.into());
        },
    );
    search.require(&reached, required);
}

const ANY: [&str; 4] =
    [reached::SINK_AWAY, reached::WRITES_LOST, reached::SAVE_PUT_OFF, reached::WRITTEN_AGAIN];

#[test]
fn an_append_sink_has_every_row_and_only_copies_besides() {
    check(SinkKind::Append, "sinks-append", 4_000, &[&ANY[..], &[reached::COPIES]].concat());
}

#[test]
fn an_upsert_sink_is_left_with_the_owed_rows() {
    check(SinkKind::Upsert, "sinks-upsert", 4_000, &[&ANY[..], &["seen", reached::REPLACED]].concat());
}

#[test]
fn a_unique_key_sink_is_left_with_the_owed_rows() {
    check(SinkKind::Unique, "sinks-unique", 4_000, &[&ANY[..], &["seen", reached::KEY_SKIPPED]].concat());
}

#[test]
fn a_transactional_sink_shows_every_row_once_and_in_order() {
    let own = ["seen", reached::COMMITTED, reached::COMMITTED_LATE, reached::ABORTED];
    check(SinkKind::Transactional, "sinks-transactional", 12_000, &[&ANY[..], &own[..]].concat());
}

/// Faults of the sink strike no node: without others nothing is opened again, and all rows are there.
#[test]
fn a_sink_that_is_away_loses_nothing() {
    let search = Search::new("sinks-away", 2_000);
    let mut reached = Reached::default();
    search.run(
        |_, choices| {
            let mut case = small_case(choices);
            (case.deployment.retention, case.deployment.retention_size) = (None, None);
            case.faults.retain(|fault| FaultKind::strikes_sink(&fault.kind));
            let truth = truth(&case);
            let run = run(&truth, &case, engine(&truth.plan, &case).as_ref());
            if truth.answer.failure.is_none() {
                let wrong = |why: &str| Err(format!("{why}\n{}", case.to_toml()));
                if !run.recoveries.is_empty() {
                    return wrong("a shard was opened again");
                }
                let writes = run.deliveries.iter().enumerate();
                let first = writes.filter(|(index, _)| !run.written_again.contains(index));
                let rows = |shard: usize| {
                    let own = first.clone().filter(move |(_, delivery)| delivery.shard == shard);
                    own.flat_map(|(_, delivery)| &delivery.rows)
                };
                for shard in 0..truth.shards.len() {
                    for &output in &truth.shards[shard].outputs {
                        let written = rows(shard).filter(|row| row.output == output);
                        if !written.eq(truth.owed(shard, output)) {
                            return wrong("what was written is not what was owed, in order");
                        }
                    }
                }
            }
            Ok(run.reached)
        },
        |states| states.into_iter().for_each(|(state, count)| reached.add(state, count)),
    );
    search.require(&reached, &[reached::SINK_AWAY, reached::SAVE_PUT_OFF, reached::WRITTEN_AGAIN]);
}

/// A plant must be found within so many cases, with the sink that it needs.
const CASES_MAX: u64 = 20_000;

fn planted(plan: &Arc<Plan>, case: &Case, plant: Plant) -> Box<dyn Subject> {
    Box::new(EngineSubject::of_case(plan, case).with_plant(plant))
}

fn breaks(case: &Case, plant: Plant) -> Option<Breach> {
    let truth = truth(case);
    match trial(&truth, case, planted(&truth.plan, case, plant).as_ref(), false).1 {
        Verdict::Held(_) => None,
        Verdict::Broken(breach) => Some(*breach),
    }
}

fn find(sink: SinkKind, plant: Plant) {
    let first = (0..CASES_MAX).find_map(|number| {
        let mut case = small_case(&mut Seeded::new(1, number));
        case.deployment.sink = sink;
        breaks(&case, plant).map(|breach| (number, case, breach))
    });
    let name = plant.name();
    let (number, case, breach) = first.unwrap_or_else(|| panic!("{name}: not in {CASES_MAX} cases"));
    let make = |plan: &Arc<Plan>, case: &Case| planted(plan, case, plant);
    let shrunk = shrink_trial(&truth(&case), &case, &breach, &make, 4_000);
    let (entries, faults, tries) = (shrunk.after.entries, shrunk.after.faults, shrunk.tries);
    let text = shrunk.case.to_toml();
    println!(
        "{name}: case {number}, {tries} tries to {entries} events and {faults} faults: {}\n{text}",
        title(&shrunk.breach)
    );
    assert!(entries <= 8 && faults <= 3, "{name} is not small\n{text}");
    assert_eq!(holds_in_the_world(&shrunk.case), None, "{name}: breaks without the plant too\n{text}");
    assert_eq!(Case::from_toml(&text).as_ref(), Ok(&shrunk.case), "{name}");
}

#[test]
fn a_commit_that_is_forgotten_is_found() {
    find(SinkKind::Transactional, Plant::CommitForgotten);
}

#[test]
fn a_retry_that_reorders_is_found() {
    find(SinkKind::Append, Plant::RetryReorders);
}

/// What shows them stands among the committed cases; that these hold without the plant is asked by `replay.rs`.
#[test]
fn the_committed_case_of_each_breaks_with_it() {
    for plant in [Plant::CommitForgotten, Plant::RetryReorders] {
        let path = format!("{}/tests/cases/engine-{}.toml", env!("CARGO_MANIFEST_DIR"), plant.name());
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let case = Case::from_toml(&text).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert!(breaks(&case, plant).is_some(), "{path} does not show {}", plant.about());
    }
}
