//! Comparison (rule 2.1, choice C-COMPARE): numbers by exact value, text by code point, instants also with
//! ISO text; all else does not compare, and then no operator holds, not even `<>`.

use std::cmp::Ordering;

use rewindow_query::Value;
use rewindow_query::expr::CompareOp;
use rewindow_query::value::compare_int_float;

use super::{Operand, instant};
use crate::column::{Column, Data};

/// Whether two values are equal in the sense of `=`: never with NULL or across types that do not compare.
pub fn equal(a: &Value, b: &Value) -> bool {
    holds(CompareOp::Equal, a, b)
}

/// Whether `a op b` holds.
pub(super) fn holds(op: CompareOp, a: &Value, b: &Value) -> bool {
    use Value::{Array, Bit, Datetime, Float, Int, Record, Text};
    let ordering = match (a, b) {
        (Bit(a), Bit(b)) => a.cmp(b),
        (Bit(a), Int(b)) => i64::from(*a).cmp(b),
        (Int(a), Bit(b)) => a.cmp(&i64::from(*b)),
        (Bit(a), Float(b)) => compare_int_float(i64::from(*a), *b),
        (Float(a), Bit(b)) => compare_int_float(i64::from(*b), *a).reverse(),
        (Int(a), Int(b)) => a.cmp(b),
        (Int(a), Float(b)) => compare_int_float(*a, *b),
        (Float(a), Int(b)) => compare_int_float(*b, *a).reverse(),
        (Float(a), Float(b)) => floats(*a, *b),
        (Text(a), Text(b)) => a.cmp(b),
        (Datetime(a), Datetime(b)) => a.cmp(b),
        (Datetime(a), Text(b)) => match instant(b) {
            Some(b) => a.cmp(&b),
            None => return false,
        },
        (Text(a), Datetime(b)) => match instant(a) {
            Some(a) => a.cmp(b),
            None => return false,
        },
        (Array(_), Array(_)) | (Record(_), Record(_)) => {
            return match op {
                CompareOp::Equal => a == b,
                CompareOp::NotEqual => a != b,
                _ => false,
            };
        }
        _ => return false,
    };
    accepts(op, ordering)
}

fn accepts(op: CompareOp, ordering: Ordering) -> bool {
    match op {
        CompareOp::Equal => ordering.is_eq(),
        CompareOp::NotEqual => ordering.is_ne(),
        CompareOp::Less => ordering.is_lt(),
        CompareOp::LessOrEqual => ordering.is_le(),
        CompareOp::Greater => ordering.is_gt(),
        CompareOp::GreaterOrEqual => ordering.is_ge(),
    }
}

/// Floats are finite, so this is total; the two zeros are equal.
fn floats(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or(Ordering::Equal)
}

/// The other way round: `a op b` is `b mirrored(op) a`.
fn mirrored(op: CompareOp) -> CompareOp {
    match op {
        CompareOp::Less => CompareOp::Greater,
        CompareOp::LessOrEqual => CompareOp::GreaterOrEqual,
        CompareOp::Greater => CompareOp::Less,
        CompareOp::GreaterOrEqual => CompareOp::LessOrEqual,
        same => same,
    }
}

/// For which rows `left op right` holds.
pub(super) fn columns(op: CompareOp, left: &Operand, right: &Operand, len: usize) -> Vec<bool> {
    let typed = match (left, right) {
        (Operand::Constant(a), Operand::Constant(b)) => Some(vec![holds(op, a, b); len]),
        (Operand::Column(a), Operand::Constant(b)) => with_constant(op, a, b),
        (Operand::Constant(a), Operand::Column(b)) => with_constant(mirrored(op), b, a),
        (Operand::Column(a), Operand::Column(b)) => two_columns(op, a, b),
    };
    typed.unwrap_or_else(|| (0..len).map(|row| holds(op, &left.value(row), &right.value(row))).collect())
}

fn with_constant(op: CompareOp, column: &Column, constant: &Value) -> Option<Vec<bool>> {
    let mut held: Vec<bool> = match (&column.data, constant) {
        (Data::Null(len), _) => vec![false; *len],
        (_, Value::Null) => vec![false; column.len()],
        (Data::Int(v), Value::Int(b)) => ordered(op, v, *b),
        (Data::Datetime(v), Value::Datetime(b)) => ordered(op, v, b.0),
        (Data::Datetime(v), Value::Text(b)) => match instant(b) {
            Some(b) => ordered(op, v, b.0),
            None => vec![false; v.len()],
        },
        (Data::Int(v), Value::Float(b)) => v.iter().map(|a| accepts(op, compare_int_float(*a, *b))).collect(),
        (Data::Float(v), Value::Float(b)) => v.iter().map(|a| accepts(op, floats(*a, *b))).collect(),
        (Data::Float(v), Value::Int(b)) => {
            v.iter().map(|a| accepts(op, compare_int_float(*b, *a).reverse())).collect()
        }
        (Data::Text(v), Value::Text(b)) => match op {
            CompareOp::Equal => v.iter().map(|a| a == b).collect(),
            CompareOp::NotEqual => v.iter().map(|a| a != b).collect(),
            _ => v.iter().map(|a| accepts(op, a.cmp(b))).collect(),
        },
        _ => return None,
    };
    mask(&mut held, column);
    Some(held)
}

/// A loop for each operator, so that each is a plain comparison of machine integers.
fn ordered(op: CompareOp, values: &[i64], b: i64) -> Vec<bool> {
    match op {
        CompareOp::Equal => values.iter().map(|&a| a == b).collect(),
        CompareOp::NotEqual => values.iter().map(|&a| a != b).collect(),
        CompareOp::Less => values.iter().map(|&a| a < b).collect(),
        CompareOp::LessOrEqual => values.iter().map(|&a| a <= b).collect(),
        CompareOp::Greater => values.iter().map(|&a| a > b).collect(),
        CompareOp::GreaterOrEqual => values.iter().map(|&a| a >= b).collect(),
    }
}

fn two_columns(op: CompareOp, left: &Column, right: &Column) -> Option<Vec<bool>> {
    fn each<T>(op: CompareOp, a: &[T], b: &[T], compare: impl Fn(&T, &T) -> Ordering) -> Vec<bool> {
        a.iter().zip(b).map(|(a, b)| accepts(op, compare(a, b))).collect()
    }
    let mut held = match (&left.data, &right.data) {
        (Data::Null(len), _) | (_, Data::Null(len)) => vec![false; *len],
        (Data::Int(a), Data::Int(b)) | (Data::Datetime(a), Data::Datetime(b)) => each(op, a, b, i64::cmp),
        (Data::Float(a), Data::Float(b)) => each(op, a, b, |a, b| floats(*a, *b)),
        (Data::Text(a), Data::Text(b)) => each(op, a, b, |a, b| a.cmp(b)),
        _ => return None,
    };
    mask(&mut held, left);
    mask(&mut held, right);
    Some(held)
}

/// A comparison with NULL does not hold.
fn mask(held: &mut [bool], column: &Column) {
    if let Some(nulls) = &column.nulls {
        held.iter_mut().zip(nulls).for_each(|(held, null)| *held &= !null);
    }
}
