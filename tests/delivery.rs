//! Claim 8, *delivery*: copies are copies, nothing is lost, order within a part of the job is kept.
//!
//! What no other suite would catch: a mistake in the judge. This is the only suite that does not ask it: four
//! consumers take what was delivered and are left with what the model says, by a few lines of their own.

mod support;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use rewindow::generate::small_case;
use rewindow::judge::Truth;
use rewindow_query::{Gap, Identity, Row};
use rewindow_world::outcome::Run;
use support::{Reached, Search, engine, run, truth};

/// Gaps announced for a shard at any time.
fn gaps(run: &Run, shard: usize) -> Vec<Gap> {
    let own = run.recoveries.iter().filter(|report| report.shard == shard);
    own.flat_map(|report| report.answer.gaps.iter().copied()).collect()
}

/// What consumers are left with, row by row, outside the announced gaps.
struct Consumers<'a> {
    owed: BTreeMap<Identity, &'a Row>,
    /// Takes every row, and keeps it by identity.
    upsert: BTreeMap<Identity, &'a Row>,
    /// Skips a row whose identity it has.
    unique: BTreeMap<Identity, &'a Row>,
    copies: u64,
}

fn consume<'a>(truth: &'a Truth, run: &'a Run) -> Result<Consumers<'a>, String> {
    let owed = truth.answer.rows.iter().map(|row| (row.identity(), row)).collect();
    let mut consumers = Consumers { owed, upsert: BTreeMap::new(), unique: BTreeMap::new(), copies: 0 };
    let mut last: BTreeMap<(usize, u32, usize), (&Row, BTreeSet<Identity>)> = BTreeMap::new();
    for (index, delivery) in run.deliveries.iter().enumerate() {
        // A write whose acknowledgement was lost: copies, whatever its generation.
        let again = run.written_again.contains(&index);
        let gaps = gaps(run, delivery.shard);
        for row in delivery.rows.iter().filter(|row| !gaps.iter().any(|gap| gap.contains(row.timestamp))) {
            // One generation of a part of the job: in order of time, each row once.
            let (before, seen) = last
                .entry((delivery.shard, delivery.generation, row.output))
                .or_insert_with(|| (row, BTreeSet::new()));
            if before.timestamp > row.timestamp && !again {
                return Err(format!("out of order: {row:?} after {before:?}"));
            }
            *before = row;
            if seen.insert(row.identity()) == again {
                return Err(format!("twice in a generation, or written again before it was: {row:?}"));
            }
            if consumers.upsert.insert(row.identity(), row).is_some_and(|copy| copy != row) {
                return Err(format!("a copy that is none: {row:?}"));
            }
            match consumers.unique.entry(row.identity()) {
                Entry::Occupied(_) => consumers.copies += 1,
                Entry::Vacant(place) => {
                    place.insert(row);
                }
            }
        }
    }
    Ok(consumers)
}

/// Why consumers are not left with what is owed, if they are not.
fn delivered(truth: &Truth, run: &Run) -> Result<u64, String> {
    let consumers = consume(truth, run)?;
    for row in consumers.upsert.values() {
        if consumers.owed.get(&row.identity()) != Some(row) {
            return Err(format!("nobody owes {row:?}"));
        }
    }
    assert_eq!(consumers.upsert, consumers.unique, "copies are copies");
    for (index, row) in truth.answer.rows.iter().enumerate() {
        let shard = truth.shard_of(index);
        let skipped =
            run.skipped.iter().any(|s| s.shard == shard && (s.from..s.until).contains(&row.timestamp));
        let in_gap = gaps(run, shard).iter().any(|gap| gap.contains(row.timestamp));
        if !skipped && !in_gap && !consumers.unique.contains_key(&row.identity()) {
            return Err(format!("lost {row:?}"));
        }
    }
    Ok(consumers.copies)
}

#[test]
fn consumers_are_left_with_what_is_owed() {
    let search = Search::new("delivery", 8_000);
    let mut reached = Reached::default();
    search.run(
        |_, choices| {
            let case = small_case(choices);
            let truth = truth(&case);
            let run = run(&truth, &case, engine(&truth.plan, &case).as_ref());
            // What a job that failed still owes is the judge's to say.
            if truth.answer.failure.is_some() || run.failure.is_some() {
                return Ok(("failed", 0, 0));
            }
            let copies = delivered(&truth, &run).map_err(|why| format!("{why}\n{}", case.to_toml()))?;
            Ok(("complete", copies, truth.answer.rows.len() as u64))
        },
        |(what, copies, rows)| {
            reached.note(what);
            reached.add("copies", copies);
            reached.add("rows", rows);
        },
    );
    search.require(&reached, &["complete", "copies", "rows"]);
}
