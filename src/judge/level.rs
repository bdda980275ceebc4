//! How equal the output was: the named levels of equivalence, from strong to weak.
//!
//! Looks only at what was owed and what consumers see, per output, whatever the verdict: a report names the
//! strongest level that held even where a claim broke.

use std::collections::BTreeMap;
use std::sync::Arc;

use rewindow_query::{Identity, Row, Timestamp, Value};
use rewindow_world::case::{Case, SinkKind};
use rewindow_world::outcome::Run;

use super::answers::Allowed;
use super::rows::Walked;
use super::sinks;
use super::truth::Truth;

/// Equivalence of two outputs. The order is from strong to weak.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum Level {
    /// Of every shard the same rows in the same order.
    ExactSequence,
    /// For every grouping key the same rows in the same order.
    PerKeySequence,
    /// The same rows, each as often.
    Multiset,
    /// The same rows after removing copies by identity; all copies equal.
    AfterRemovingCopies,
    /// The same after removing copies, outside the announced gaps.
    DeclaredPartial,
}

impl Level {
    /// The level in words, for reports.
    pub fn name(self) -> &'static str {
        match self {
            Level::ExactSequence => "exact sequence",
            Level::PerKeySequence => "per-key sequence",
            Level::Multiset => "multiset",
            Level::AfterRemovingCopies => "same after removing copies",
            Level::DeclaredPartial => "gap announced, rest identical",
        }
    }

    /// The level's sign in tables.
    pub fn sign(self) -> char {
        match self {
            Level::ExactSequence => '=',
            Level::PerKeySequence | Level::Multiset => '+',
            Level::AfterRemovingCopies => '#',
            Level::DeclaredPartial => '~',
        }
    }
}

/// The strongest level per output of a run that held: the walk over the rows has seen nearly all of it.
pub(super) fn of_held(truth: &Truth, case: &Case, run: &Run, allowed: &Allowed, rows: &Walked) -> Vec<Level> {
    // What was written is not what consumers see.
    if case.deployment.sink != SinkKind::Append {
        let levels = of_outputs(truth, case, run, allowed);
        return levels.into_iter().map(|level| level.unwrap_or(Level::DeclaredPartial)).collect();
    }
    let level = |output: usize| {
        if rows.partial[output] {
            Some(Level::DeclaredPartial)
        } else if rows.copied[output] {
            Some(Level::AfterRemovingCopies)
        } else if rows.ordered[output] {
            Some(Level::ExactSequence)
        } else {
            of_outputs(truth, case, run, allowed)[output]
        }
    };
    (0..truth.plan.outputs.len()).map(|output| level(output).unwrap_or(Level::DeclaredPartial)).collect()
}

/// The strongest level that held, per output; `None` where not even the weakest did.
///
/// A table has no order: the best it can be is a multiset.
pub(super) fn of_outputs(truth: &Truth, case: &Case, run: &Run, allowed: &Allowed) -> Vec<Option<Level>> {
    let best = match case.deployment.sink {
        SinkKind::Append | SinkKind::Transactional => Level::ExactSequence,
        SinkKind::Upsert | SinkKind::Unique => Level::Multiset,
    };
    let mut levels = vec![Some(best); truth.plan.outputs.len()];
    for shard in 0..truth.shards.len() {
        let mut actual: BTreeMap<usize, Vec<&Row>> = BTreeMap::new();
        for row in sinks::seen(case, run, shard) {
            // What is stamped at or after the failure is nobody's.
            if truth.answer.failure.as_ref().is_none_or(|failure| row.timestamp < failure.at) {
                actual.entry(row.output).or_default().push(row);
            }
        }
        for &output in &truth.shards[shard].outputs {
            let rows = actual.remove(&output).unwrap_or_default();
            let level = of_shard(truth, run, allowed, shard, output, &rows);
            levels[output] = levels[output].zip(level).map(|(a, b)| a.max(b));
        }
    }
    levels
}

fn of_shard(
    truth: &Truth,
    run: &Run,
    allowed: &Allowed,
    shard: usize,
    output: usize,
    actual: &[&Row],
) -> Option<Level> {
    let owed: Vec<&Row> = truth.owed(shard, output).collect();
    if owed.iter().copied().eq(actual.iter().copied()) {
        return Some(Level::ExactSequence);
    }
    // Rows that the user left out count only if they came.
    let came: BTreeMap<Identity, &Row> = actual.iter().map(|row| (row.identity(), *row)).collect();
    let skipped = |row: &Row| {
        let left_out = run
            .skipped
            .iter()
            .any(|s| s.shard == shard && s.from <= row.timestamp && row.timestamp < s.until);
        left_out && !came.contains_key(&row.identity())
    };
    let owed: Vec<&Row> = owed.into_iter().filter(|row| !skipped(row)).collect();
    if owed.iter().eq(actual.iter()) {
        return Some(Level::ExactSequence);
    }
    if by_key(&owed) == by_key(actual) {
        return Some(Level::PerKeySequence);
    }
    if sorted(&owed) == sorted(actual) {
        return Some(Level::Multiset);
    }
    if same_without_copies(&owed, actual) {
        return Some(Level::AfterRemovingCopies);
    }
    let outside = |rows: &[&'_ Row]| -> Vec<Row> {
        rows.iter()
            .filter(|row| !allowed.announced_ever(shard, row.timestamp))
            .map(|row| (*row).clone())
            .collect()
    };
    let (owed, actual) = (outside(&owed), outside(actual));
    let (owed, actual): (Vec<&Row>, Vec<&Row>) = (owed.iter().collect(), actual.iter().collect());
    same_without_copies(&owed, &actual).then_some(Level::DeclaredPartial)
}

/// At which level the consumer of a pair has an output, of the rows stamped before `until` that all regions owe alike.
/// Where it lacks one, or has another in its place, and may, that is the weakest level.
pub(super) fn of_consumer(truths: &[Truth], output: usize, held: &[&Row], until: Timestamp) -> Level {
    let Some((first, others)) = truths.split_first() else { return Level::ExactSequence };
    let alike = |row: &&Row| {
        row.timestamp < until
            && others
                .iter()
                .all(|other| other.find(row).is_some_and(|index| other.answer.rows[index] == **row))
    };
    let mut level = Level::ExactSequence;
    for shard in 0..first.shards.len() {
        let owed: Vec<&Row> = first.owed(shard, output).filter(alike).collect();
        let wanted: BTreeMap<Identity, &Row> = owed.iter().map(|row| (row.identity(), *row)).collect();
        let has: Vec<&Row> =
            held.iter().copied().filter(|row| wanted.contains_key(&row.identity())).collect();
        level = level.max(if owed == has {
            Level::ExactSequence
        } else if by_key(&owed) == by_key(&has) {
            Level::PerKeySequence
        } else if sorted(&owed) == sorted(&has) {
            Level::Multiset
        } else {
            Level::DeclaredPartial
        });
    }
    level
}

fn by_key<'a>(rows: &[&'a Row]) -> BTreeMap<Arc<[Value]>, Vec<&'a Row>> {
    let mut keys: BTreeMap<Arc<[Value]>, Vec<&Row>> = BTreeMap::new();
    rows.iter().for_each(|row| keys.entry(row.key.clone()).or_default().push(row));
    keys
}

fn sorted<'a>(rows: &[&'a Row]) -> Vec<(Identity, &'a rewindow_query::Record)> {
    let mut rows: Vec<_> = rows.iter().map(|row| (row.identity(), &*row.record)).collect();
    rows.sort();
    rows
}

/// Whether the rows are the same after removing copies, and every copy equals the row it copies.
fn same_without_copies(owed: &[&Row], actual: &[&Row]) -> bool {
    let owed: BTreeMap<Identity, &Row> = owed.iter().map(|row| (row.identity(), *row)).collect();
    let came: BTreeMap<Identity, &Row> = actual.iter().map(|row| (row.identity(), *row)).collect();
    owed.len() == came.len() && actual.iter().all(|row| owed.get(&row.identity()) == Some(row))
}
