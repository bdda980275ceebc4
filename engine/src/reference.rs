//! Join with reference data (rule 8.7): each stream row meets the version in force at its own timestamp.
//!
//! The version is chosen by event time (A-REF-VERSION), so nothing of it need be journaled or saved, and a
//! replay meets the same one. Rows keep their timestamps and nothing waits. Knows no stream join. Invariant:
//! rows leave in the order of (stream row, row of the version); state is an index of one version, which is
//! made again from the data.

use std::collections::BTreeMap;
use std::sync::Arc;

use rewindow_query::event::Reference;
use rewindow_query::expr::{CompareOp, Expr, Predicate};
use rewindow_query::plan::ReferenceJoin;
use rewindow_query::{Record, Timestamp, Value};

use crate::batch::{Batch, Context, Slice};
use crate::codec::{Corrupt, Reader, Writer};
use crate::column::{Column, Data};
use crate::eval::{evaluate, evaluate_all, holds_all};
use crate::join::equate::reduce;
use crate::operator::Operator;
use crate::plant::{Plant, Plants};
use crate::slots::Slots;
use crate::table;

/// Pairs judged at once, about.
const CANDIDATES: usize = 8192;

/// A join with reference data at work.
#[derive(Debug)]
pub struct Lookup {
    op: ReferenceJoin,
    data: Arc<Reference>,
    /// Equality of the keys, then ON.
    asked: Predicate,
    /// Keys of the reference rows that read the stream row's timestamp: nothing can be indexed by them.
    timed: Vec<Expr>,
    index: Option<Index>,
    ended: bool,
    /// Only a planted bug looks at it.
    restored: bool,
    plants: Plants,
}

/// A version made ready.
#[derive(Debug)]
struct Index {
    /// Its place among the versions; `None` before the first.
    version: Option<usize>,
    /// The columns, and behind the last row one more of NULLs.
    columns: Vec<Arc<Column>>,
    rows: usize,
    slots: Slots,
    /// The rows of each slot.
    chains: Vec<Vec<u32>>,
    /// A key of some row fails.
    failed: Option<String>,
}

impl Lookup {
    /// Of a plan node, with the data of its reference.
    pub fn new(op: &ReferenceJoin, data: Arc<Reference>, plants: Plants) -> Lookup {
        let moved = |expr: &Expr| {
            let mut expr = expr.clone();
            expr.columns_mut(&mut |column| *column += op.left_columns);
            expr
        };
        let equal =
            |(left, right): &(Expr, Expr)| Predicate::Compare(CompareOp::Equal, left.clone(), moved(right));
        let asked = Predicate::And(op.equal.iter().map(equal).chain([op.on.clone()]).collect());
        let rights = || op.equal.iter().map(|(_, right)| right);
        let timed = if rights().any(reads_time) { rights().map(moved).collect() } else { Vec::new() };
        Lookup { op: op.clone(), data, asked, timed, index: None, ended: false, restored: false, plants }
    }

    fn is_indexed(&self) -> bool {
        self.timed.is_empty()
    }

    /// The newest version in force at an instant.
    fn version_at(&self, at: i64) -> Option<usize> {
        if self.restored && self.plants.is(Plant::ReferenceNewest) {
            return self.data.versions.len().checked_sub(1);
        }
        self.data.versions.partition_point(|(from, _)| from.0 <= at).checked_sub(1)
    }

    fn index(&self, version: Option<usize>) -> Index {
        // A row that does not fit CREATE TABLE is left out (rule 1.8).
        let fit = |row: &Arc<Record>| table::fit(row, &self.op.table);
        let rows: Vec<Arc<Record>> = version
            .map_or_else(Vec::new, |version| self.data.versions[version].1.iter().filter_map(fit).collect());
        let member = |name: &Arc<str>| {
            let value = |row: &Arc<Record>| match &**name {
                "" => Value::Record(row.clone()),
                name => row.get(name).cloned().unwrap_or_default(),
            };
            Arc::new(Column::from_values(rows.iter().map(value).collect()))
        };
        let columns: Vec<Arc<Column>> = self.op.columns.iter().map(member).collect();
        let batch = Batch { timestamps: vec![0; rows.len()], columns };
        let width = if self.is_indexed() { self.op.equal.len() } else { 0 };
        let (mut slots, mut keys, mut failed) = (Slots::new(width), Vec::new(), None);
        for (_, right) in &self.op.equal[..width] {
            match evaluate(right, &batch) {
                Ok(column) => keys.push(reduce(&column).0),
                Err(fault) => failed = failed.or(Some(fault.message)),
            }
        }
        let mut chains: Vec<Vec<u32>> = Vec::new();
        if failed.is_none() {
            let mut given = Vec::new();
            slots.assign(&keys, rows.len(), &mut given);
            chains.resize(slots.len(), Vec::new());
            for (row, &slot) in given.iter().enumerate() {
                // NULL matches nothing (rule 2.7).
                if !keys.iter().any(|key| key.is_null(row)) {
                    chains[slot as usize].push(row as u32);
                }
            }
        }
        let padded = |column: Arc<Column>| {
            let mut column = Arc::unwrap_or_clone(column);
            column.append(Column { data: Data::Null(1), nulls: None });
            Arc::new(column)
        };
        let columns = batch.columns.into_iter().map(padded).collect();
        Index { version, columns, rows: rows.len(), slots, chains, failed }
    }

    /// Joins the rows of a batch; `false` when the operator has ended.
    fn take(&mut self, batch: &Batch, joined: &mut Vec<Batch>, context: &mut Context) -> bool {
        let lefts: Vec<&Expr> = self.op.equal.iter().map(|(left, _)| left).collect();
        let evaluated = evaluate_all(&lefts, batch.clone(), context);
        let batch = evaluated.batch;
        let keys: Vec<Arc<Column>> = if self.is_indexed() {
            evaluated.columns.iter().map(|column| reduce(column).0).collect()
        } else {
            Vec::new()
        };
        let mut row = 0;
        while row < batch.len() {
            let version = self.version_at(batch.timestamps[row]);
            let index = match self.index.take().filter(|index| index.version == version) {
                Some(index) => index,
                None => self.index(version),
            };
            if let Some(message) = &index.failed {
                if context.counts(batch.timestamps[row]) {
                    context.fail(Timestamp(batch.timestamps[row]), message.clone());
                    return false;
                }
                row += 1;
                continue;
            }
            let until = version.map_or(0, |version| version + 1);
            let until = self.data.versions.get(until).map_or(i64::MAX, |(from, _)| from.0);
            let end = batch.timestamps.partition_point(|&at| at < until).max(row + 1);
            while row < end {
                let Some(next) = self.join(&batch, row..end, &keys, &index, joined, context) else {
                    return false;
                };
                row = next;
            }
            self.index = Some(index);
        }
        evaluated.failed.is_none()
    }

    /// Joins some of the rows, all of one version; gives the first that is left, `None` when one failed.
    fn join(
        &self,
        batch: &Batch,
        range: std::ops::Range<usize>,
        keys: &[Arc<Column>],
        index: &Index,
        joined: &mut Vec<Batch>,
        context: &mut Context,
    ) -> Option<usize> {
        let (mut lefts, mut rights): (Vec<u32>, Vec<u32>) = (Vec::new(), Vec::new());
        let mut next = range.start;
        while next < range.end && lefts.len() < CANDIDATES {
            let key: Vec<Value> = keys.iter().map(|key| key.value(next)).collect();
            if !key.iter().any(Value::is_null)
                && let Some(chain) =
                    index.slots.find_key(&key).and_then(|slot| index.chains.get(slot as usize))
            {
                rights.extend_from_slice(chain);
                lefts.resize(rights.len(), next as u32);
            }
            next += 1;
        }
        let mut pairs = batch.gather(&lefts);
        pairs.columns.extend(index.columns.iter().map(|column| Arc::new(column.gather(&rights))));
        // Which pair it is, because those whose failure does not count are left out.
        pairs.columns.push(Arc::new(Column::ints((0..lefts.len() as i64).collect())));
        let timed: Vec<&Expr> = self.timed.iter().collect();
        let evaluated = evaluate_all(&timed, pairs, context);
        let (pairs, held, failed) = holds_all(&self.asked, evaluated.batch, context);
        let ended = failed || evaluated.failed.is_some();
        // Rows stamped like the failure or later are not owed any more (C-FAIL).
        let known = context.failure.as_ref().filter(|_| ended).map(|failure| failure.at.0);
        let asked: Vec<usize> = match pairs.columns.last().map(|column| &column.data) {
            Some(Data::Int(numbers)) => numbers.iter().map(|&number| number as usize).collect(),
            _ => Vec::new(),
        };
        let (mut left, mut right) = (Vec::new(), Vec::new());
        let mut answers = asked.into_iter().zip(held).peekable();
        let mut candidates = (0..lefts.len()).peekable();
        for row in range.start..next {
            if known.is_some_and(|known| batch.timestamps[row] >= known) {
                break;
            }
            let (before, mut failed) = (left.len(), false);
            while let Some(pair) = candidates.next_if(|&pair| lefts[pair] as usize == row) {
                match answers.next_if(|&(answered, _)| answered == pair) {
                    Some((_, true)) => {
                        left.push(row as u32);
                        right.push(rights[pair]);
                    }
                    Some((_, false)) => {}
                    // Its failure does not count; it is one of the row, which is absent then.
                    None => failed = true,
                }
            }
            if failed {
                left.truncate(before);
                right.truncate(before);
            } else if self.op.left_outer && left.len() == before {
                left.push(row as u32);
                right.push(index.rows as u32);
            }
        }
        let mut rows = batch.gather(&left);
        rows.columns.extend(index.columns.iter().map(|column| Arc::new(column.gather(&right))));
        joined.push(rows);
        (!ended).then_some(next)
    }
}

/// Whether an expression reads the timestamp of its row.
fn reads_time(expr: &Expr) -> bool {
    let mut reads = false;
    expr.visit(&mut |expr| reads |= matches!(expr, Expr::Timestamp));
    reads
}

impl Operator for Lookup {
    fn step(&mut self, inputs: &[&Slice], context: &mut Context) -> Slice {
        if self.ended {
            return Slice::empty(Timestamp::MAX);
        }
        let mut batches = Vec::new();
        for batch in inputs[0].batches.iter().filter(|batch| !batch.is_empty()) {
            if !self.take(batch, &mut batches, context) {
                self.ended = true;
                return Slice { batches, until: Timestamp::MAX };
            }
        }
        batches.retain(|batch| !batch.is_empty());
        Slice { batches, until: inputs[0].until }
    }

    fn save(&self, _: &mut Writer) {}

    fn load(&mut self, _: &mut Reader<'_>) -> Result<(), Corrupt> {
        self.restored = true;
        Ok(())
    }

    fn explain(&self) -> BTreeMap<String, String> {
        BTreeMap::new()
    }
}

/// The reference data of a plan, with a sum of each version to tell it from other data.
#[derive(Clone, Debug, Default)]
pub struct References {
    tables: Vec<Arc<Reference>>,
    sums: Vec<(Timestamp, u64)>,
}

impl References {
    /// Of data in the order of the plan's references.
    pub fn new(references: &[Reference]) -> References {
        let sorted = |reference: &Reference| {
            let mut reference = reference.clone();
            // Stable: of two versions of one time the later in the list is in force.
            reference.versions.sort_by_key(|(from, _)| *from);
            Arc::new(reference)
        };
        let tables: Vec<Arc<Reference>> = references.iter().map(sorted).collect();
        let mut sums = Vec::new();
        for (table, reference) in tables.iter().enumerate() {
            for (from, rows) in &reference.versions {
                let mut writer = Writer::default();
                writer.len(table);
                writer.timestamp(*from);
                rows.iter().for_each(|row| writer.value(&Value::Record(row.clone())));
                sums.push((*from, crate::checkpoint::sum(&writer.finish())));
            }
        }
        References { tables, sums }
    }

    /// The data of a reference; none at all if there is none.
    pub fn table(&self, reference: usize) -> Arc<Reference> {
        self.tables.get(reference).cloned().unwrap_or_default()
    }

    /// A sum over the versions that rows stamped before an instant can have met. Later ones may be appended
    /// without harm (rule 8.7).
    pub fn sum_before(&self, frontier: Timestamp) -> u64 {
        let met = self.sums.iter().filter(|(from, _)| *from < frontier);
        let mut writer = Writer::default();
        met.for_each(|(_, sum)| writer.u64(*sum));
        crate::checkpoint::sum(&writer.finish())
    }
}
