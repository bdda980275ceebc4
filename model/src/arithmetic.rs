//! Rule 5.11, choice C-ARITH: operators on one and two values.
//!
//! NULL gives NULL before any type is looked at. A bit counts as bigint 0 or 1. What leaves the bigints
//! or the finite floats is an error, never a wrapped or an infinite value.

use rewindow_query::Value;
use rewindow_query::expr::BinaryOp;

use crate::cast::to_text;
use crate::text::joined;

/// `-x`
pub(crate) fn negate(value: &Value) -> Result<Value, String> {
    match (value, number(value)) {
        (Value::Null, _) => Ok(Value::Null),
        (_, Some(Number::Int(int))) => int.checked_neg().map(Value::Int).ok_or_else(|| overflow("-", value)),
        (_, Some(Number::Float(float))) => Ok(Value::Float(-float)),
        _ => Err(format!("- of {value}, which is no number")),
    }
}

/// `~x`
pub(crate) fn bitnot(value: &Value) -> Result<Value, String> {
    match value {
        Value::Null => Ok(Value::Null),
        Value::Bit(bit) => Ok(Value::Bit(!bit)),
        Value::Int(int) => Ok(Value::Int(!int)),
        _ => Err(format!("~ of {value}, which is no bigint")),
    }
}

/// `a op b`
pub(crate) fn binary(op: BinaryOp, left: &Value, right: &Value) -> Result<Value, String> {
    if left.is_null() || right.is_null() {
        return Ok(Value::Null);
    }
    match op {
        BinaryOp::BitAnd | BinaryOp::BitOr | BinaryOp::BitXor => return bitwise(op, left, right),
        BinaryOp::Add => {
            if let (Value::Text(_), Value::Text(_) | Value::Datetime(_))
            | (Value::Datetime(_), Value::Text(_)) = (left, right)
            {
                return joined(&[to_text(left), to_text(right)]);
            }
        }
        _ => {}
    }
    match (number(left), number(right)) {
        (Some(Number::Int(a)), Some(Number::Int(b))) => {
            let result = match op {
                BinaryOp::Add => a.checked_add(b),
                BinaryOp::Subtract => a.checked_sub(b),
                BinaryOp::Multiply => a.checked_mul(b),
                BinaryOp::Divide => a.checked_div(b), // towards zero (A-INT-DIV)
                _ if b == -1 => Some(0),              // also for the one dividend whose quotient overflows
                _ => a.checked_rem(b),
            };
            result
                .map(Value::Int)
                .ok_or_else(|| overflow(symbol(op), &Value::Array([left.clone(), right.clone()].into())))
        }
        (Some(a), Some(b)) => {
            let (a, b) = (as_float(&a), as_float(&b));
            let result = match op {
                BinaryOp::Add => a + b,
                BinaryOp::Subtract => a - b,
                BinaryOp::Multiply => a * b,
                BinaryOp::Divide => a / b,
                _ => a % b,
            };
            if result.is_finite() {
                Ok(Value::Float(result))
            } else {
                Err(format!("{a} {} {b} is not finite", symbol(op)))
            }
        }
        _ => Err(format!("{left} {} {right}: an operand is no number", symbol(op))),
    }
}

/// Rule 5.11: bit only if both are.
fn bitwise(op: BinaryOp, left: &Value, right: &Value) -> Result<Value, String> {
    let apply = |a: i64, b: i64| match op {
        BinaryOp::BitAnd => a & b,
        BinaryOp::BitOr => a | b,
        _ => a ^ b,
    };
    match (number(left), number(right)) {
        (Some(Number::Int(a)), Some(Number::Int(b))) => Ok(match (left, right) {
            (Value::Bit(_), Value::Bit(_)) => Value::Bit(apply(a, b) == 1),
            _ => Value::Int(apply(a, b)),
        }),
        _ => Err(format!("{left} {} {right}: an operand is no bigint", symbol(op))),
    }
}

pub(crate) fn as_float(number: &Number) -> f64 {
    match number {
        Number::Int(int) => *int as f64, // the nearest float
        Number::Float(float) => *float,
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

pub(crate) fn overflow(op: &str, of: &Value) -> String {
    format!("{op} of {of} is no bigint")
}

/// A number as the operators see it: a bit counts as bigint 0 or 1 (C-ARITH, C-COMPARE).
pub(crate) enum Number {
    Int(i64),
    Float(f64),
}

/// The value as a number; none for NULL and for what is no number.
pub(crate) fn number(value: &Value) -> Option<Number> {
    match value {
        Value::Bit(bit) => Some(Number::Int((*bit).into())),
        Value::Int(int) => Some(Number::Int(*int)),
        Value::Float(float) => Some(Number::Float(*float)),
        _ => None,
    }
}
