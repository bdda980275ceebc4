//! What a query means: whole histories in, whole outputs out.
//!
//! [`answer`] is what a job says when nothing happens to it. Every operator is one page, named as
//! [`Op::name`] names it, and computes all its rows from all rows in front of it. Nothing here is kept
//! between calls, nothing is incremental, nothing knows of nodes, batches or watermarks: that is the
//! engine's trade, and the two are compared. [`guarantee`](mod@guarantee) says when a recovery must make no difference.
//!
//! Invariant: the rows of a node are sorted by timestamp, rows of equal timestamp in canonical order
//! (choice C-ORDER).

mod aggregate;
mod apply;
mod arithmetic;
mod cast;
mod collect;
mod dates;
mod eval;
mod exact;
mod fact;
mod filter;
mod functions;
mod geo;
mod group;
pub mod guarantee;
mod hopping;
mod isfirst;
mod join;
mod lag;
mod last;
mod like;
mod match_;
mod numbers;
mod ordering;
mod over;
mod percentile;
mod project;
mod records;
mod reference;
pub mod release;
mod session;
mod sliding;
mod snapshot;
mod terms;
mod text;
mod tumbling;
mod union;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rewindow_query::plan::{Op, Window};
use rewindow_query::{Dropped, Entry, Failure, History, Ordering, Plan, Record, Row, Shard, Timestamp};

use fact::{Fact, Failures};

/// What a job says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Answer {
    /// Its rows, sorted by (output, partition, timestamp, canonical order).
    pub rows: Vec<Row>,
    /// Events that did not reach the query, sorted; one entry may be here once for each reason.
    pub dropped: Vec<Dropped>,
    /// The earliest failure; rows stamped at or after it are not in `rows` (choice C-FAIL).
    pub failure: Option<Failure>,
}

/// What the job says when nothing happens to it and its input is complete at the end, with every
/// watermark at infinity. `partitions[input]` is the number of partitions of each input of the plan.
pub fn answer(plan: &Plan, ordering: &Ordering, partitions: &[u32], history: &History) -> Answer {
    answer_from(plan, ordering, partitions, history, Timestamp::MIN)
}

/// What the job says likewise if it is started at the output time `from`: a failure stamped before that is none (choice
/// C-FAIL). Rows stamped before it are in the answer all the same.
pub fn answer_from(
    plan: &Plan,
    ordering: &Ordering,
    partitions: &[u32],
    history: &History,
    from: Timestamp,
) -> Answer {
    let mut rows = Vec::new();
    let mut dropped = BTreeSet::new();
    let mut failures = Failures::since(from);
    for shard in plan.shards(partitions) {
        rows.extend(answer_of(&shard, plan, ordering, history, &mut dropped, &mut failures));
    }
    rows.sort_by_key(|row| (row.output, row.partition)); // stable: the order inside stays
    let failure = failures.earliest;
    if let Some(failure) = &failure {
        rows.retain(|row| row.timestamp < failure.at);
    }
    Answer { rows, dropped: dropped.into_iter().collect(), failure }
}

/// A shard is a job of its own: it reads its entries and nothing else.
fn answer_of(
    shard: &Shard,
    plan: &Plan,
    ordering: &Ordering,
    history: &History,
    dropped: &mut BTreeSet<Dropped>,
    failures: &mut Failures,
) -> Vec<Row> {
    let reads = |entry: &&Entry| shard.reads.contains(&(entry.input, entry.partition));
    let entries: Vec<&Entry> = history.entries.iter().filter(reads).collect();
    let mut made: Vec<Vec<Fact>> = vec![Vec::new(); plan.nodes.len()];
    for id in plan.nodes_of(&shard.outputs) {
        let node = &plan.nodes[id];
        let input = |i: usize| made[node.inputs[i]].as_slice();
        let mut own = Failures::since(failures.from);
        let mut rows = match &node.op {
            Op::Source(source) => ordering::order(source, ordering, &entries, dropped),
            Op::Filter(predicate) => filter::filter(predicate, input(0), &mut own),
            Op::Project(project) => project::project(project, input(0), &mut own),
            Op::Group(group) => {
                let members = group::members(group, input(0), &mut own);
                match group.window {
                    Window::Tumbling { size, offset } => {
                        tumbling::tumbling(group, size, offset, &members, &mut own)
                    }
                    Window::Hopping { size, hop, offset } => {
                        hopping::hopping(group, size, hop, offset, &members, &mut own)
                    }
                    Window::Sliding { size } => sliding::sliding(group, size, &members, &mut own),
                    Window::Session { timeout, max } => {
                        session::session(group, timeout, max, &members, &mut own)
                    }
                    Window::Snapshot => snapshot::snapshot(group, &members, &mut own),
                }
            }
            Op::Join(join) => {
                let width = plan.nodes[node.inputs[1]].columns.len();
                join::join(join, width, input(0), input(1), &mut own)
            }
            Op::Lag(lag) => lag::lag(lag, input(0), &mut own),
            Op::Last(last) => last::last(last, input(0), &mut own),
            Op::IsFirst(isfirst) => isfirst::isfirst(isfirst, input(0), &mut own),
            Op::Over(over) => over::over(over, input(0), &mut own),
            Op::Apply(apply) => apply::apply(apply, input(0), &mut own),
            Op::ReferenceJoin(join) => {
                reference::reference(join, history.references.get(join.reference), input(0), &mut own)
            }
            Op::Match(matching) => match_::match_(matching, input(0), &mut own),
            Op::Union => union::union(node.inputs.iter().map(|&id| made[id].as_slice())),
        };
        // An operator that failed gives no row from then on (choice C-FAIL).
        if let Some(failure) = &own.earliest {
            rows.retain(|fact| fact.timestamp < failure.at);
        }
        own.earliest.into_iter().for_each(|failure| failures.add(failure));
        debug_assert!(rows.is_sorted_by_key(|fact| fact.timestamp), "rows are sorted by timestamp");
        made[id] = rows;
    }
    let rows = |&output: &usize| rows_of(plan, output, shard.partition, &made[plan.outputs[output].node]);
    shard.outputs.iter().flat_map(rows).collect()
}

/// Facts as rows with an identity (design §3.3): equal (timestamp, key) are numbered in canonical order.
fn rows_of(plan: &Plan, output: usize, partition: Option<u32>, facts: &[Fact]) -> Vec<Row> {
    let columns = &plan.nodes[plan.outputs[output].node].columns;
    let mut numbers = BTreeMap::new();
    let row = |fact: &Fact| {
        let number = numbers.entry((fact.timestamp, fact.key.clone())).or_insert(0);
        let ordinal = *number;
        *number += 1;
        let names = fact.names.as_deref().unwrap_or(columns);
        let record: Record = names.iter().cloned().zip(fact.columns.iter().cloned()).collect();
        let (timestamp, key) = (fact.timestamp, fact.key.clone());
        Row { output, partition, timestamp, key, ordinal, record: Arc::new(record) }
    };
    facts.iter().map(row).collect()
}
