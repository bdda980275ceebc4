//! Claim 2, *resume*: saving and loading at any point changes nothing that follows, and neither does saving.
//!
//! What no other suite would catch: state that is missing from a checkpoint at one place in a history where the
//! world happens to save nowhere near. Here every place is tried.

mod support;

use std::sync::Arc;

use rewindow::generate::small_case;
use rewindow::judge::Breach;
use rewindow::laws;
use rewindow_engine::reference::References;
use rewindow_engine::setup::Setup;
use rewindow_query::{Entry, Timestamp};
use rewindow_world::case::Case;
use rewindow_world::journal::Journal;
use support::{Reached, Search, operator, truth, whole_engine};

fn resumes(case: &Case) -> Option<Breach> {
    let truth = truth(case);
    let subject = whole_engine(&truth.plan, case);
    laws::resume_everywhere(&truth, case, subject.as_ref()).expect("a small case can be run")
}

#[test]
fn a_checkpoint_at_any_place_changes_nothing() {
    let search = Search::new("resume", 1_000);
    let mut reached = Reached::default();
    search.run(
        |number, choices| {
            let case = Case { faults: Vec::new(), ..small_case(choices) };
            search.ask(number, &case, &resumes)?;
            Ok(case)
        },
        |case| note(&case, &mut reached),
    );
    let required = [
        "cut",
        "rows after the middle",
        "tumbling",
        "hopping",
        "sliding",
        "session",
        "snapshot",
        "join",
        "left join",
        "reference",
        "left reference",
        "lag",
        "last",
        "isfirst",
        "over",
        "apply",
        "match",
        "union",
        "failure",
    ];
    search.require(&reached, &required);
}

/// A state has one form: what was loaded is saved again as the same bytes, and explains itself alike. Then
/// nothing can pile up over many restarts, and states can be compared.
#[test]
fn what_is_loaded_is_saved_as_the_same_bytes() {
    let search = Search::new("resume-bytes", 3_000);
    let mut reached = Reached::default();
    search.run(
        |_, choices| {
            let case = small_case(choices);
            let truth = truth(&case);
            let journal = Journal::of(&case, &truth.plan).expect("a small case can be run");
            let references = Arc::new(References::new(&case.references_of(&truth.plan)));
            let mut compared = 0;
            for shard in &truth.shards {
                let setup = Setup::new(truth.plan.clone(), shard.clone(), case.ordering);
                let setup = setup.with_references(references.clone());
                let mut instance = setup.clone().start(Timestamp::MIN);
                let lanes = shard.reads.iter().map(|&(input, p)| journal.entries(input, p));
                let mut entries: Vec<&Entry> = lanes.flatten().collect();
                entries.sort_by_key(|e| (e.arrival, e.input, e.partition, e.offset));
                for entry in entries {
                    if instance.feed(entry.input, entry.partition, std::slice::from_ref(entry)).is_err() {
                        break;
                    }
                    let bytes = instance.checkpoint();
                    let loaded = setup
                        .clone()
                        .restore(&bytes)
                        .map_err(|error| format!("{error}\n{}", case.to_toml()))?;
                    if loaded.explain() != instance.explain() || loaded.checkpoint() != bytes {
                        let (held, owed) = (loaded.explain(), instance.explain());
                        return Err(format!("loaded {held:#?}\nsaved {owed:#?}\n{}", case.to_toml()));
                    }
                    compared += 1;
                }
            }
            Ok(compared)
        },
        |compared| reached.add("states", compared),
    );
    search.require(&reached, &["states"]);
}

fn note(case: &Case, reached: &mut Reached) {
    let truth = truth(case);
    let journal = Journal::of(case, &truth.plan).expect("a small case can be run");
    let cuts: usize =
        journal.places().map(|(input, partition)| journal.entries(input, partition).len()).sum();
    reached.add("cut", cuts as u64 + 1);
    let middle =
        case.history.entries.get(case.history.entries.len() / 2).map_or(Timestamp::MIN, |e| e.arrival);
    reached.add(
        "rows after the middle",
        truth.answer.rows.iter().filter(|row| row.timestamp > middle).count() as u64,
    );
    reached.add("failure", u64::from(truth.answer.failure.is_some()));
    if !truth.answer.rows.is_empty() {
        truth.plan.nodes.iter().for_each(|node| reached.note(operator(&node.op)));
    }
}
