//! Claims 1 and 3 of a job in stages: whatever query, cut, and fate of packets and tasks, its merge tasks give the
//! model's rows, in the model's order.
//!
//! What no other suite would catch: a rule that holds in a shard run whole and not where the plan is cut, in some
//! mixture of operators, keys, ties, tolerances and failures. No world stands between: what is lost, late or
//! twice here is more than any world would do.

#![allow(clippy::unwrap_used, unreachable_pub)]

#[path = "../engine/tests/common/net.rs"]
mod net;
mod support;

use std::sync::Arc;

use net::{Job, run};
use rewindow::choices::Choices;
use rewindow::generate::small_case;
use rewindow_engine::{Layout, Plants, References, Role, Setup};
use rewindow_query::{Entry, Failure, LogView, Retained, Row, Timestamp};
use rewindow_world::case::Case;
use rewindow_world::journal::Journal;
use support::{Reached, Search, operator, truth};

/// A log that forgets nothing.
struct Whole<'a>(&'a Journal);

impl LogView for Whole<'_> {
    fn retained(&self, input: usize, partition: u32) -> Retained {
        Retained { first: 0, next: self.0.entries(input, partition).len() as u64, lost_until: None }
    }

    fn first_since(&self, input: usize, partition: u32, arrival: Timestamp) -> u64 {
        self.0.entries(input, partition).partition_point(|entry| entry.arrival < arrival) as u64
    }
}

/// What comes out, and what was met on the way.
fn staged(case: &Case, keyed: u32, choices: &mut dyn Choices) -> Result<Vec<String>, String> {
    let truth = truth(case);
    if truth.plan.parallel {
        // Runs whole.
        return Ok(Vec::new());
    }
    let (plan, journal) = (&truth.plan, Journal::of(case, &truth.plan).expect("a small case can be run"));
    let partitions = case.partitions(plan).expect("the streams of a small case");
    let layout = Arc::new(Layout::staged(plan, &partitions, keyed));
    let references = Arc::new(References::new(&case.references_of(plan)));
    let (mut rows, mut failure, mut met): (Vec<Row>, Option<Failure>, Vec<String>) =
        (Vec::new(), None, Vec::new());
    for (shard, of) in plan.shards(&partitions).into_iter().enumerate() {
        let setup = Setup::new(plan.clone(), of, case.ordering).with_references(references.clone());
        let entries = |input, partition| -> &[Entry] { journal.entries(input, partition) };
        let log = Whole(&journal);
        let job = Job {
            setup,
            layout: layout.clone(),
            shard,
            entries: &entries,
            log: &log,
            plants: Plants::none(),
        };
        let steps = choices.index(200);
        let ran = run(&job, &mut |bound| choices.index(bound), steps)?;
        rows.extend(ran.rows);
        if let Some(found) = ran.failure
            && failure.as_ref().is_none_or(|known| found.at < known.at)
        {
            failure = Some(found);
        }
        met.extend(ran.happened.into_keys().map(String::from));
    }
    let answer = &truth.answer;
    let at = |failure: &Option<Failure>| failure.as_ref().map(|failure| failure.at);
    if at(&failure) != at(&answer.failure) {
        return Err(format!("failed {failure:?}, not {:?}", answer.failure));
    }
    // Another output may have come further than the one that failed.
    rows.retain(|row| at(&failure).is_none_or(|at| row.timestamp < at));
    if rows != answer.rows {
        return Err(format!("the model gives {:#?}\nthe tasks {rows:#?}", answer.rows));
    }
    if rows.is_empty() {
        return Ok(met);
    }
    if failure.is_some() {
        met.push("failure behind rows".to_owned());
    }
    for task in &layout.tasks {
        let direct = task.upstream.iter().any(|&from| !matches!(layout.tasks[from].role, Role::Keyed { .. }));
        met.push(match task.role {
            Role::Whole | Role::Partition { .. } => continue,
            Role::Keyed { .. } => "keyed".to_owned(),
            Role::Merge if direct => "merge of partitions".to_owned(),
            Role::Merge => "merge of keyed tasks".to_owned(),
        });
    }
    met.extend(plan.nodes.iter().map(|node| operator(&node.op).to_owned()));
    Ok(met)
}

#[test]
fn tasks_and_model_agree_whatever_becomes_of_packets_and_tasks() {
    let search = Search::new("links", 6_000);
    let mut reached = Reached::default();
    search.run(
        |_, choices| {
            let case = Case { faults: Vec::new(), ..small_case(choices) };
            let keyed = 1 + choices.draw(3) as u32;
            staged(&case, keyed, choices).map_err(|why| format!("{why}\n{}", case.to_toml()))
        },
        |met| met.into_iter().for_each(|what| reached.note(what)),
    );
    let links = ["asked again", "packet lost", "stale packet", "restored", "from the beginning of the epoch"];
    let epochs = ["new epoch", "new epoch, on the way", "failure behind rows"];
    let roles = ["keyed", "merge of partitions", "merge of keyed tasks"];
    let windows = ["tumbling", "hopping", "sliding", "session", "snapshot", "apply", "reference"];
    let above = ["join", "left join", "lag", "last", "isfirst", "over", "match", "union"];
    let names: Vec<&str> = [&links[..], &epochs, &roles, &windows, &above].concat();
    search.require(&reached, &names);
}
