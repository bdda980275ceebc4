//! UNION: all rows of all branches, duplicates and timestamps kept (rule 5.6), equal timestamps in the
//! order of branches (choice C-ORDER).
//!
//! State: rows of a branch that is ahead of another, until the other has come as far. Invariant: what waits
//! is stamped at or after what was emitted.

use std::collections::BTreeMap;
use std::sync::Arc;

use rewindow_query::Timestamp;

use crate::batch::{Batch, Context, Slice};
use crate::codec::{Corrupt, Reader, Writer};
use crate::column::{Column, ColumnBuilder};
use crate::operator::Operator;

/// A union at work.
#[derive(Debug)]
pub struct Union {
    branches: Vec<Branch>,
    columns: usize,
}

#[derive(Debug)]
struct Branch {
    until: Timestamp,
    waiting: Option<Batch>,
}

impl Union {
    /// The union of so many branches of so many columns.
    pub fn new(branches: usize, columns: usize) -> Union {
        let branch = || Branch { until: Timestamp::MIN, waiting: None };
        Union { branches: std::iter::repeat_with(branch).take(branches).collect(), columns }
    }
}

impl Operator for Union {
    fn step(&mut self, inputs: &[&Slice], _context: &mut Context) -> Slice {
        for (branch, input) in self.branches.iter_mut().zip(inputs) {
            branch.until = input.until;
            input
                .batches
                .iter()
                .for_each(|batch| branch.waiting = join(branch.waiting.take(), batch.clone()));
        }
        let until = self.branches.iter().map(|branch| branch.until).min().unwrap_or(Timestamp::MAX);
        let mut merged = None;
        for branch in &mut self.branches {
            let Some(batch) = branch.waiting.take() else { continue };
            let ready = batch.timestamps.partition_point(|&timestamp| timestamp < until.0);
            let (now, later) = split(batch, ready);
            branch.waiting = later;
            if let Some(now) = now {
                merged = join(merged, now);
            }
        }
        let Some(merged) = merged else { return Slice::empty(until) };
        if merged.timestamps.is_sorted() {
            return Slice { batches: vec![merged], until };
        }
        let mut order: Vec<u32> = (0..merged.len() as u32).collect();
        // Stable: branches were joined in their order.
        order.sort_by_key(|&row| merged.timestamps[row as usize]);
        Slice { batches: vec![merged.gather(&order)], until }
    }

    fn save(&self, writer: &mut Writer) {
        for branch in &self.branches {
            writer.timestamp(branch.until);
            writer.len(branch.waiting.as_ref().map_or(0, Batch::len));
            let Some(batch) = &branch.waiting else { continue };
            for row in 0..batch.len() {
                writer.i64(batch.timestamps[row]);
                batch.columns.iter().for_each(|column| writer.value(&column.value(row)));
            }
        }
    }

    fn load(&mut self, reader: &mut Reader<'_>) -> Result<(), Corrupt> {
        for branch in &mut self.branches {
            branch.until = reader.timestamp()?;
            let len = reader.len(8 + self.columns)?;
            let mut timestamps = Vec::with_capacity(len);
            let mut builders: Vec<ColumnBuilder> = Vec::new();
            builders.resize_with(self.columns, ColumnBuilder::default);
            for _ in 0..len {
                timestamps.push(reader.i64()?);
                for builder in &mut builders {
                    builder.push(reader.value()?);
                }
            }
            if !timestamps.is_sorted() {
                return Err(reader.corrupt("timestamps in order"));
            }
            let columns: Vec<Arc<Column>> =
                builders.into_iter().map(|builder| Arc::new(builder.finish())).collect();
            branch.waiting = (len > 0).then_some(Batch { timestamps, columns });
        }
        Ok(())
    }

    fn explain(&self) -> BTreeMap<String, String> {
        let mut texts = BTreeMap::new();
        for (index, branch) in self.branches.iter().enumerate() {
            if let Some(batch) = &branch.waiting {
                let stamps: Vec<String> =
                    batch.timestamps.iter().map(|&t| Timestamp(t).to_string()).collect();
                texts.insert(format!("branch {index}"), format!("waiting [{}]", stamps.join(", ")));
            }
        }
        texts
    }
}

/// One batch behind the other.
fn join(first: Option<Batch>, second: Batch) -> Option<Batch> {
    let Some(mut first) = first.filter(|batch| !batch.is_empty()) else {
        return Some(second).filter(|batch| !batch.is_empty());
    };
    first.timestamps.extend(second.timestamps);
    for (column, more) in first.columns.iter_mut().zip(second.columns) {
        Arc::make_mut(column).append(Arc::unwrap_or_clone(more));
    }
    Some(first)
}

/// The first `len` rows and the rest, `None` where there are none.
fn split(batch: Batch, len: usize) -> (Option<Batch>, Option<Batch>) {
    if len == batch.len() {
        return (Some(batch).filter(|batch| !batch.is_empty()), None);
    }
    if len == 0 {
        return (None, Some(batch));
    }
    let rest = Batch {
        timestamps: batch.timestamps[len..].to_vec(),
        columns: batch.columns.iter().map(|column| Arc::new(column.slice(len..batch.len()))).collect(),
    };
    (Some(batch.truncated(len)), Some(rest))
}
