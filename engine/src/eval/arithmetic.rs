//! Arithmetic and bitwise operators (rules 2.2, 5.11; choice C-ARITH).
//!
//! bigint with bigint stays bigint and fails on overflow; a float makes it float, and a result that is not
//! finite fails. A NULL operand gives NULL before any type is looked at.

use std::sync::Arc;

use rewindow_query::Value;
use rewindow_query::expr::BinaryOp;

use super::{Operand, text};
use crate::column::{Column, Data};

/// `a op b`
pub(super) fn binary(op: BinaryOp, a: &Value, b: &Value) -> Result<Value, String> {
    if a.is_null() || b.is_null() {
        return Ok(Value::Null);
    }
    if matches!(op, BinaryOp::BitAnd | BinaryOp::BitOr | BinaryOp::BitXor) {
        return bitwise(op, a, b);
    }
    match (number(a), number(b)) {
        (Some(Number::Int(a)), Some(Number::Int(b))) => ints(op, a, b).map(Value::Int),
        (Some(a), Some(b)) => floats(op, a.float(), b.float()).map(Value::Float),
        _ => join(op, a, b),
    }
}

/// `-x`
pub(super) fn negate(x: &Value) -> Result<Value, String> {
    if x.is_null() {
        return Ok(Value::Null);
    }
    match number(x) {
        Some(Number::Int(i)) => match i.checked_neg() {
            Some(i) => Ok(Value::Int(i)),
            None => Err(format!("-({i}) is outside the bigint range")),
        },
        Some(Number::Float(f)) => Ok(Value::Float(-f)),
        None => Err(wrong("-", x)),
    }
}

/// `~x`
pub(super) fn bit_not(x: &Value) -> Result<Value, String> {
    match x {
        Value::Null => Ok(Value::Null),
        Value::Bit(b) => Ok(Value::Bit(!b)),
        Value::Int(i) => Ok(Value::Int(!i)),
        _ => Err(wrong("~", x)),
    }
}

/// A value where a number is needed; bit counts as bigint.
#[derive(Clone, Copy)]
pub(super) enum Number {
    Int(i64),
    Float(f64),
}

impl Number {
    pub(super) fn float(self) -> f64 {
        match self {
            Number::Int(i) => i as f64,
            Number::Float(f) => f,
        }
    }
}

/// The value as a number; `None` for NULL and what is none.
pub(super) fn number(value: &Value) -> Option<Number> {
    match value {
        Value::Bit(b) => Some(Number::Int(i64::from(*b))),
        Value::Int(i) => Some(Number::Int(*i)),
        Value::Float(f) => Some(Number::Float(*f)),
        _ => None,
    }
}

fn symbol(op: BinaryOp) -> &'static str {
    match op {
        BinaryOp::Add => "+",
        BinaryOp::Subtract => "-",
        BinaryOp::Multiply => "*",
        BinaryOp::Divide => "/",
        BinaryOp::Modulo => "%",
        BinaryOp::BitAnd => "&",
        BinaryOp::BitOr => "|",
        BinaryOp::BitXor => "^",
    }
}

/// What is said of an operand of the wrong type.
pub(super) fn wrong(what: &str, value: &Value) -> String {
    format!("`{what}` does not take {}: {value}", value.kind().map_or("NULL", |kind| kind.name()))
}

fn ints(op: BinaryOp, a: i64, b: i64) -> Result<i64, String> {
    if b == 0 && matches!(op, BinaryOp::Divide | BinaryOp::Modulo) {
        return Err(format!("division by zero: {a} {} 0", symbol(op)));
    }
    let result = match op {
        BinaryOp::Add => a.checked_add(b),
        BinaryOp::Subtract => a.checked_sub(b),
        BinaryOp::Multiply => a.checked_mul(b),
        BinaryOp::Divide => a.checked_div(b),
        // The remainder by -1 is 0 whatever the dividend; only the machine's division overflows.
        _ => Some(a.wrapping_rem(b)),
    };
    result.ok_or_else(|| format!("{a} {} {b} is outside the bigint range", symbol(op)))
}

fn floats(op: BinaryOp, a: f64, b: f64) -> Result<f64, String> {
    let result = match op {
        BinaryOp::Add => a + b,
        BinaryOp::Subtract => a - b,
        BinaryOp::Multiply => a * b,
        BinaryOp::Divide => a / b,
        _ => a % b,
    };
    if result.is_finite() {
        return Ok(result);
    }
    let why = if b == 0.0 { "division by zero" } else { "not a finite float" };
    Err(format!("{why}: {a} {} {b}", symbol(op)))
}

fn bitwise(op: BinaryOp, a: &Value, b: &Value) -> Result<Value, String> {
    let apply = |a: i64, b: i64| match op {
        BinaryOp::BitAnd => a & b,
        BinaryOp::BitOr => a | b,
        _ => a ^ b,
    };
    let whole = |value: &Value| match value {
        Value::Bit(b) => Ok(i64::from(*b)),
        Value::Int(i) => Ok(*i),
        _ => Err(wrong(symbol(op), value)),
    };
    let result = apply(whole(a)?, whole(b)?);
    let bits = matches!((a, b), (Value::Bit(_), Value::Bit(_)));
    Ok(if bits { Value::Bit(result != 0) } else { Value::Int(result) })
}

/// `+` with text on at least one side.
fn join(op: BinaryOp, a: &Value, b: &Value) -> Result<Value, String> {
    let texts = match (op, a, b) {
        (BinaryOp::Add, Value::Text(a), Value::Text(b)) => [a.clone(), b.clone()],
        (BinaryOp::Add, Value::Text(a), Value::Datetime(b)) => [a.clone(), b.to_string().into()],
        (BinaryOp::Add, Value::Datetime(a), Value::Text(b)) => [a.to_string().into(), b.clone()],
        _ => return Err(wrong(symbol(op), if number(a).is_some() { b } else { a })),
    };
    text::join("+", "", &texts)
}

/// The whole column at once, where both operands are bigint or float and no row fails; `None` sends the
/// caller to the rows, which also finds the one that fails.
pub(super) fn typed(op: BinaryOp, left: &Operand, right: &Operand, len: usize) -> Option<Operand> {
    if matches!(op, BinaryOp::BitAnd | BinaryOp::BitOr | BinaryOp::BitXor) {
        return None;
    }
    let (a, b) = (Side::of(left)?, Side::of(right)?);
    let nulls = merge(left, right);
    let live = |row: usize| nulls.as_ref().is_none_or(|nulls| !nulls[row]);
    if let (Some(a), Some(b)) = (a.ints(), b.ints()) {
        let mut result = Vec::with_capacity(len);
        for row in 0..len {
            result.push(if live(row) { ints(op, a.at(row), b.at(row)).ok()? } else { 0 });
        }
        return Some(Operand::typed(Data::Int(result), nulls));
    }
    let mut result = Vec::with_capacity(len);
    for row in 0..len {
        result.push(if live(row) { floats(op, a.float(row), b.float(row)).ok()? } else { 0.0 });
    }
    Some(Operand::typed(Data::Float(result), nulls))
}

/// A side of a typed operation.
enum Side<'a> {
    Int(Lane<'a, i64>),
    Float(Lane<'a, f64>),
}

/// One value for every row, or a value each.
#[derive(Clone, Copy)]
enum Lane<'a, T> {
    One(T),
    Each(&'a [T]),
}

impl<T: Copy> Lane<'_, T> {
    #[inline]
    fn at(&self, row: usize) -> T {
        match self {
            Lane::One(value) => *value,
            Lane::Each(values) => values[row],
        }
    }
}

impl<'a> Side<'a> {
    fn of(operand: &'a Operand) -> Option<Side<'a>> {
        match operand {
            Operand::Constant(Value::Int(i)) => Some(Side::Int(Lane::One(*i))),
            Operand::Constant(Value::Float(f)) => Some(Side::Float(Lane::One(*f))),
            Operand::Constant(_) => None,
            Operand::Column(column) => match &column.data {
                Data::Int(v) => Some(Side::Int(Lane::Each(v))),
                Data::Float(v) => Some(Side::Float(Lane::Each(v))),
                _ => None,
            },
        }
    }

    fn ints(&self) -> Option<Lane<'a, i64>> {
        match self {
            Side::Int(lane) => Some(*lane),
            Side::Float(_) => None,
        }
    }

    fn float(&self, row: usize) -> f64 {
        match self {
            Side::Int(lane) => lane.at(row) as f64,
            Side::Float(lane) => lane.at(row),
        }
    }
}

fn merge(left: &Operand, right: &Operand) -> Option<Vec<bool>> {
    let nulls = |operand: &Operand| match operand {
        Operand::Column(column) => column_nulls(column),
        Operand::Constant(_) => None,
    };
    match (nulls(left), nulls(right)) {
        (Some(mut a), Some(b)) => {
            a.iter_mut().zip(b).for_each(|(a, b)| *a |= b);
            Some(a)
        }
        (a, b) => a.or(b),
    }
}

fn column_nulls(column: &Arc<Column>) -> Option<Vec<bool>> {
    column.nulls.clone()
}
