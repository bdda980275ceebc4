//! The end of the pipeline: rows with names, keys and ordinals (design §3.3).
//!
//! A row's key is that of the grouping its columns come from, through projections and filters only; its
//! ordinal counts the rows of equal timestamp and key. Keeps no state: all rows of one timestamp are emitted
//! in one step, because releases are strict, and equal keys are neighbours in canonical order. Invariant:
//! a row stamped before `output_from` or at or after a failure never leaves.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use rewindow_query::plan::{Item, NodeId, Op, Plan};
use rewindow_query::{Record, Row, Timestamp, Value};

use crate::batch::{Batch, Slice};
use crate::column::Column;

/// Makes the rows of one output.
#[derive(Debug)]
pub struct Output {
    output: usize,
    partition: Option<u32>,
    shape: Vec<Member>,
    /// Names of what `shape` makes.
    names: Arc<[Arc<str>]>,
    /// Columns with the key.
    key: Range<usize>,
    no_key: Arc<[Value]>,
}

/// Rows of one output by column, in their order: what as many [`Row`]s say, without a record for each.
#[derive(Clone, Debug)]
pub struct OutputBatch {
    /// Index of the output in the plan.
    pub output: usize,
    /// Of a parallel job, the partition.
    pub partition: Option<u32>,
    /// Timestamp of each row, in ticks.
    pub timestamps: Vec<i64>,
    /// Name of each column; `*` stands for the members of the record in it, which may differ from row to row.
    pub names: Arc<[Arc<str>]>,
    /// The columns, each as long as `timestamps`.
    pub columns: Vec<Arc<Column>>,
    /// The columns of the rows' key, none without a grouping.
    pub key: Vec<Arc<Column>>,
}

/// What a column of the last node becomes.
#[derive(Debug)]
enum Member {
    /// A member of that name.
    Named(usize, Arc<str>),
    /// The members of the record in it, but for names taken by items further left, or explicit ones
    /// anywhere (rule 5.2, choice C-STAR).
    Spread(usize),
}

impl Output {
    /// The output of a plan, its rows carrying `partition`.
    pub fn new(plan: &Plan, output: usize, partition: Option<u32>) -> Output {
        let node = &plan.nodes[plan.outputs[output].node];
        let shape: Vec<Member> = match &node.op {
            Op::Project(project) => {
                let member = |(column, item): (usize, &Item)| match item {
                    Item::Column(name, _) => Member::Named(column, name.clone()),
                    Item::Spread(_) => Member::Spread(column),
                };
                project.items.iter().enumerate().map(member).collect()
            }
            _ => {
                let visible = node.columns.iter().enumerate().filter(|(_, name)| !name.starts_with('$'));
                visible.map(|(column, name)| Member::Named(column, name.clone())).collect()
            }
        };
        let key = key_columns(plan, plan.outputs[output].node).unwrap_or(0..0);
        let name = |member: &Member| match member {
            Member::Named(_, name) => name.clone(),
            Member::Spread(_) => "*".into(),
        };
        let names = shape.iter().map(name).collect();
        Output { output, partition, shape, names, key, no_key: Arc::from([]) }
    }

    /// Appends the rows of a slice stamped in `from..until`, by column.
    pub fn columns(&self, slice: &Slice, from: Timestamp, until: Timestamp, batches: &mut Vec<OutputBatch>) {
        for batch in &slice.batches {
            let wanted = wanted(batch, from, until);
            if wanted.is_empty() {
                continue;
            }
            let Batch { timestamps, columns } = batch.slice(wanted);
            let column = |member: &Member| match member {
                Member::Named(column, _) | Member::Spread(column) => columns[*column].clone(),
            };
            batches.push(OutputBatch {
                output: self.output,
                partition: self.partition,
                timestamps,
                names: self.names.clone(),
                columns: self.shape.iter().map(column).collect(),
                key: columns[self.key.clone()].to_vec(),
            });
        }
    }

    /// Appends the rows of a slice stamped in `from..until`.
    pub fn write(&self, slice: &Slice, from: Timestamp, until: Timestamp, rows: &mut Vec<Row>) {
        let mut last: Option<(i64, Arc<[Value]>, u32)> = None;
        for batch in &slice.batches {
            for row in wanted(batch, from, until) {
                let timestamp = batch.timestamps[row];
                let key = self.key_of(batch, row);
                let ordinal = match &last {
                    Some((stamp, known, ordinal)) if *stamp == timestamp && *known == key => ordinal + 1,
                    _ => 0,
                };
                last = Some((timestamp, key.clone(), ordinal));
                let record = Arc::new(self.record(batch, row));
                let (output, partition, timestamp) = (self.output, self.partition, Timestamp(timestamp));
                rows.push(Row { output, partition, timestamp, key, ordinal, record });
            }
        }
    }

    fn key_of(&self, batch: &Batch, row: usize) -> Arc<[Value]> {
        if self.key.is_empty() {
            return self.no_key.clone();
        }
        batch.columns[self.key.clone()].iter().map(|column| column.value(row)).collect()
    }

    fn record(&self, batch: &Batch, row: usize) -> Record {
        let mut members = Vec::with_capacity(self.shape.len());
        let mut spread = false;
        for member in &self.shape {
            match member {
                Member::Named(column, name) => {
                    members.push((name.clone(), batch.columns[*column].value(row)))
                }
                Member::Spread(column) => {
                    spread = true;
                    self.spread(&batch.columns[*column].value(row), &mut members);
                }
            }
        }
        debug_assert!(spread || members.len() == self.shape.len());
        Record::new(members)
    }

    /// NULL, and what is no record, spreads to nothing.
    fn spread(&self, value: &Value, members: &mut Vec<(Arc<str>, Value)>) {
        let Value::Record(record) = value else { return };
        let explicit = self.shape.iter().filter_map(|member| match member {
            Member::Named(_, name) => Some(name.clone()),
            Member::Spread(_) => None,
        });
        let taken: BTreeSet<Arc<str>> =
            explicit.chain(members.iter().map(|(name, _)| name.clone())).collect();
        members.extend(record.members().iter().filter(|(name, _)| !taken.contains(name)).cloned());
    }
}

/// The rows of a batch stamped in `from..until`.
fn wanted(batch: &Batch, from: Timestamp, until: Timestamp) -> Range<usize> {
    let first = batch.timestamps.partition_point(|&timestamp| timestamp < from.0);
    let end = batch.timestamps.partition_point(|&timestamp| timestamp < until.0);
    first..end.max(first)
}

/// The columns that hold the grouping key in what the node emits: those of the first grouping below it
/// with only projections and filters between. `None` if there is none.
pub fn key_columns(plan: &Plan, node: NodeId) -> Option<Range<usize>> {
    let of = &plan.nodes[node];
    match &of.op {
        Op::Group(group) => Some(0..group.keys.len()),
        Op::Filter(_) => key_columns(plan, of.inputs[0]),
        Op::Project(project) => {
            let width = key_columns(plan, of.inputs[0])?.len();
            Some(project.items.len()..project.items.len() + width)
        }
        _ => None,
    }
}
