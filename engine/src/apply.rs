//! CROSS APPLY and OUTER APPLY (rule 5.10): one row for each element of an array or property of a record.
//!
//! Timestamps stay what they are; elements and properties come in their own order (choice C-APPLY). Keeps no
//! state. Invariant: the rows of one input row are neighbours, in its place.

use std::collections::BTreeMap;
use std::sync::Arc;

use rewindow_query::plan::{self, ApplyKind};
use rewindow_query::{Timestamp, Value};

use crate::batch::{Batch, Context, Slice};
use crate::codec::{Corrupt, Reader, Writer};
use crate::column::Column;
use crate::eval::evaluate_all;
use crate::looking::map_batches;
use crate::operator::Operator;

/// APPLY at work.
#[derive(Debug)]
pub struct Apply {
    op: plan::Apply,
    ended: bool,
}

impl Apply {
    /// Of a plan node.
    pub fn new(op: &plan::Apply) -> Apply {
        Apply { op: op.clone(), ended: false }
    }

    fn take(&self, batch: &Batch, context: &mut Context) -> (Batch, bool) {
        let evaluated = evaluate_all(&[&self.op.argument], batch.clone(), context);
        let (batch, mut ended) = (evaluated.batch, evaluated.failed.is_some());
        let mut parts = Parts::default();
        for row in 0..batch.len() {
            if let Err(message) = self.take_apart(row, &evaluated.columns[0], &mut parts) {
                let at = batch.timestamps[row];
                if !context.counts(at) {
                    continue;
                }
                context.fail(Timestamp(at), message);
                ended = true;
                // Rows of this timestamp are not owed any more (C-FAIL).
                parts.cut(|row| batch.timestamps[row as usize] < at);
                break;
            }
        }
        let mut applied = batch.gather(&parts.rows);
        let columns = [parts.names, parts.values].map(|values| Arc::new(Column::from_values(values)));
        applied.columns.extend(columns);
        (applied, ended)
    }

    fn take_apart(&self, row: usize, column: &Column, parts: &mut Parts) -> Result<(), String> {
        let before = parts.rows.len();
        match (self.op.kind, column.value(row)) {
            (_, Value::Null) => {}
            (ApplyKind::Elements, Value::Array(items)) => {
                for (index, item) in (0_i64..).zip(items.iter()) {
                    parts.push(row, Value::Int(index), item.clone());
                }
            }
            (ApplyKind::Properties, Value::Record(record)) => {
                for (name, value) in record.members() {
                    parts.push(row, Value::Text(name.clone()), value.clone());
                }
            }
            (kind, other) => {
                let found = other.kind().map_or("NULL", |kind| kind.name());
                return Err(match kind {
                    ApplyKind::Elements => format!("GetArrayElements of {found}, which is no array"),
                    ApplyKind::Properties => format!("GetRecordProperties of {found}, which is no record"),
                });
            }
        }
        if self.op.outer && parts.rows.len() == before {
            parts.push(row, Value::Null, Value::Null);
        }
        Ok(())
    }
}

/// The rows of a batch: which input row each comes from, and its two columns.
#[derive(Default)]
struct Parts {
    rows: Vec<u32>,
    names: Vec<Value>,
    values: Vec<Value>,
}

impl Parts {
    fn push(&mut self, row: usize, name: Value, value: Value) {
        self.rows.push(row as u32);
        self.names.push(name);
        self.values.push(value);
    }

    fn cut(&mut self, keep: impl Fn(u32) -> bool) {
        let kept = self.rows.partition_point(|&row| keep(row));
        self.rows.truncate(kept);
        self.names.truncate(kept);
        self.values.truncate(kept);
    }
}

impl Operator for Apply {
    fn step(&mut self, inputs: &[&Slice], context: &mut Context) -> Slice {
        if self.ended {
            return Slice::empty(Timestamp::MAX);
        }
        let (slice, ended) = map_batches(inputs[0], |batch| self.take(batch, context));
        self.ended = ended;
        slice
    }

    fn save(&self, _: &mut Writer) {}

    fn load(&mut self, _: &mut Reader<'_>) -> Result<(), Corrupt> {
        Ok(())
    }

    fn explain(&self) -> BTreeMap<String, String> {
        BTreeMap::new()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rewindow_query::Record;

    use super::*;
    use crate::testing::{Row, column, cuts, run_every_way};

    fn taken(kind: ApplyKind, value: &Value) -> Result<Vec<(Value, Value)>, ()> {
        match (kind, value) {
            (_, Value::Null) => Ok(Vec::new()),
            (ApplyKind::Elements, Value::Array(items)) => {
                Ok(items.iter().enumerate().map(|(at, v)| (Value::Int(at as i64), v.clone())).collect())
            }
            (ApplyKind::Properties, Value::Record(record)) => {
                Ok(record.members().iter().map(|(n, v)| (Value::Text(n.clone()), v.clone())).collect())
            }
            _ => Err(()),
        }
    }

    fn nested(kind: ApplyKind) -> impl Strategy<Value = Value> {
        let some = prop_oneof![Just(Value::Null), (0_i64..3).prop_map(Value::Int)];
        let items = prop::collection::vec(some, 0..4);
        prop_oneof![
            12 => items.prop_map(move |items| match kind {
                ApplyKind::Elements => Value::Array(items.into()),
                ApplyKind::Properties => {
                    let named = items.into_iter().enumerate();
                    Value::Record(Arc::new(named.map(|(n, v)| (Arc::from(format!("p{n}")), v)).collect::<Record>()))
                }
            }),
            2 => Just(Value::Null),
            1 => Just(Value::text("[1]")),
        ]
    }

    fn inputs() -> impl Strategy<Value = (ApplyKind, Vec<Row>)> {
        prop_oneof![Just(ApplyKind::Elements), Just(ApplyKind::Properties)].prop_flat_map(|kind| {
            let row = (100_i64..130, nested(kind), 0_i64..4);
            let rows = prop::collection::vec(row, 0..10).prop_map(|mut rows| {
                rows.sort_by_key(|row| row.0);
                rows.into_iter().map(|(at, value, n)| (at, vec![value, Value::Int(n)])).collect()
            });
            (Just(kind), rows)
        })
    }

    proptest! {
        #[test]
        fn rule_5_10_agrees_with_the_rule_however_it_is_fed((kind, rows) in inputs(), outer: bool, cuts in cuts(1)) {
            let op = plan::Apply { kind, argument: column(0), outer };
            let found = run_every_way(&|| Box::new(Apply::new(&op)), std::slice::from_ref(&rows), &cuts);
            let failed = rows.iter().find(|row| taken(kind, &row.1[0]).is_err()).map(|row| row.0);
            let mut expected: Vec<Row> = Vec::new();
            for (at, values) in rows.iter().filter(|row| failed.is_none_or(|failed| row.0 < failed)) {
                let mut parts = taken(kind, &values[0]).unwrap_or_default();
                if parts.is_empty() && outer {
                    parts.push((Value::Null, Value::Null));
                }
                expected.extend(parts.into_iter().map(|(name, value)| {
                    (*at, values.iter().cloned().chain([name, value]).collect())
                }));
            }
            prop_assert_eq!(found, (expected, failed));
        }
    }
}
