//! The keys a join demands equal: ON is asked about no pair without equal keys (C-EVAL).
//!
//! Keys are reduced to what `=` cannot tell apart, so that equal ones share a slot. Invariant: two values
//! that `=` holds equal reduce to the same value; where the converse does not hold the reduction says so,
//! and [`asked`] compares the keys themselves.

use std::sync::Arc;

use rewindow_query::expr::{CompareOp, Expr, Predicate};
use rewindow_query::plan::Join;
use rewindow_query::value::compare_int_float;
use rewindow_query::{Record, Timestamp, Value};

use crate::column::{Column, Data};

/// The key expressions over the left and over the right columns.
pub(super) fn keys(op: &Join) -> [Vec<Expr>; 2] {
    let (left, right) = op.equal.iter().cloned().unzip();
    [left, right]
}

/// ON behind the equality of the keys, over the columns of both sides.
pub(super) fn asked(op: &Join) -> Predicate {
    let equality = |(left, right): &(Expr, Expr)| {
        let mut right = right.clone();
        right.columns_mut(&mut |column| *column += op.left_columns);
        Predicate::Compare(CompareOp::Equal, left.clone(), right)
    };
    Predicate::And(op.equal.iter().map(equality).chain([op.on.clone()]).collect())
}

/// The column with each value replaced by what stands for all values that `=` holds equal to it
/// (C-COMPARE): numbers and bits by exact value, ISO text by its instant. NULL stays NULL, which matches
/// nothing (rule 2.7). Says whether values that are not equal may have become so.
pub(crate) fn reduce(column: &Arc<Column>) -> (Arc<Column>, bool) {
    let as_they_are = match &column.data {
        Data::Null(_) | Data::Int(_) | Data::Datetime(_) => true,
        Data::Text(texts) => !texts.iter().any(|text| may_be_instant(text)),
        Data::Bit(_) | Data::Float(_) | Data::Mixed(_) => false,
    };
    if as_they_are {
        return (column.clone(), false);
    }
    let mut merged = false;
    let values = (0..column.len()).map(|row| reduce_value(column.value(row), &mut merged)).collect();
    (Arc::new(Column::from_values(values)), merged)
}

/// Cheap and never wrong where it says no: ISO 8601 begins with a digit or the sign of a long year.
fn may_be_instant(text: &str) -> bool {
    text.trim_start().starts_with(|c: char| c.is_ascii_digit() || c == '+' || c == '-')
}

fn reduce_value(value: Value, merged: &mut bool) -> Value {
    match value {
        Value::Bit(bit) => Value::Int(i64::from(bit)),
        // The cast saturates: only a float that is exactly this bigint becomes one.
        Value::Float(float) if compare_int_float(float as i64, float).is_eq() => Value::Int(float as i64),
        Value::Text(text) if may_be_instant(&text) => match Timestamp::parse(&text) {
            Some(instant) => {
                // Two spellings of an instant are equal to it, but not to each other.
                *merged = true;
                Value::Datetime(instant)
            }
            None => Value::Text(text),
        },
        Value::Array(_) => {
            *merged = true;
            Value::Array([].into())
        }
        Value::Record(_) => {
            *merged = true;
            Value::Record(Arc::new(Record::default()))
        }
        value => value,
    }
}
