//! Rule 8.7 (join with reference data): every pair of a stream row and a row of the version in force.
//!
//! In force is the newest version whose time is at or before the timestamp of the stream row
//! (A-REF-VERSION); before the first there are no rows. There is no bound in time and no waiting, the result
//! has the timestamp of the stream row. A stream row of a LEFT JOIN without any partner comes out once, with
//! NULLs. Matches stand in the order of the version's rows (choice C-REFERENCE).

use std::sync::Arc;

use rewindow_query::event::Reference;
use rewindow_query::expr::{CompareOp, Expr};
use rewindow_query::plan::ReferenceJoin;
use rewindow_query::{Record, Timestamp, Value};

use crate::eval::{compare, evaluate, holds};
use crate::fact::{Fact, Failures};
use crate::ordering::fitted;

pub(crate) fn reference(
    join: &ReferenceJoin,
    reference: Option<&Reference>,
    rows: &[Fact],
    failures: &mut Failures,
) -> Vec<Fact> {
    let mut joined = Vec::new();
    for row in rows {
        let version = reference.map_or(&[][..], |reference| in_force(reference, row.timestamp));
        let pairs = failures.note(row.timestamp, partners(join, row, version));
        joined.extend(pairs.into_iter().flatten());
    }
    joined
}

fn in_force(reference: &Reference, timestamp: Timestamp) -> &[Arc<Record>] {
    let newest = reference.versions.iter().rev().find(|(from, _)| *from <= timestamp);
    newest.map_or(&[], |(_, rows)| rows)
}

/// The pairs of a stream row. Any failure is one of the stream row.
fn partners(join: &ReferenceJoin, row: &Fact, version: &[Arc<Record>]) -> Result<Vec<Fact>, String> {
    let own = keys(join.equal.iter().map(|(left, _)| left), row)?;
    let mut keyed = Vec::new();
    // A row that does not fit CREATE TABLE is none (rule 1.8).
    for record in version.iter().filter_map(|record| fitted(&join.table, record)) {
        let columns = Fact::new(row.timestamp, columns(join, &record));
        keyed.push((keys(join.equal.iter().map(|(_, right)| right), &columns)?, columns));
    }
    let mut pairs = Vec::new();
    for (keys, columns) in keyed {
        let equal = own.iter().zip(&keys).all(|(left, right)| compare(CompareOp::Equal, left, right));
        let pair = Fact::new(row.timestamp, [row.columns.as_slice(), &columns.columns].concat());
        if equal && holds(&join.on, &pair)? {
            pairs.push(pair);
        }
    }
    if pairs.is_empty() && join.left_outer {
        let nulls = vec![Value::Null; join.columns.len()];
        pairs.push(Fact::new(row.timestamp, [row.columns.as_slice(), &nulls].concat()));
    }
    Ok(pairs)
}

fn keys<'a>(exprs: impl Iterator<Item = &'a Expr>, row: &Fact) -> Result<Vec<Value>, String> {
    exprs.map(|expr| evaluate(expr, row)).collect()
}

/// What the join takes out of a reference row; the empty name is the whole of it.
fn columns(join: &ReferenceJoin, record: &Arc<Record>) -> Vec<Value> {
    let column = |name: &Arc<str>| match &**name {
        "" => Value::Record(record.clone()),
        name => record.get(name).cloned().unwrap_or(Value::Null),
    };
    join.columns.iter().map(column).collect()
}
