//! Scalar expressions and predicates, row by row (sections 1, 2, 5 and 10).
//!
//! An expression has a value or fails the job; a predicate holds or does not, there is no third
//! (A-NULL-NOT). What is evaluated, and in which order, is choice C-EVAL: what is not reached cannot fail.
//! Invariant: floats are finite, because an operation that leaves the floats is an error (C-ARITH).

use std::cmp::Ordering;
use std::sync::Arc;

use rewindow_query::expr::{CompareOp, Expr, Function, Predicate};
use rewindow_query::value::compare_int_float;
use rewindow_query::{Record, Timestamp, Value};

use crate::arithmetic::{Number, binary, bitnot, negate, number};
use crate::cast::cast;
use crate::fact::Fact;
use crate::functions::{call, text};
use crate::like::like;
use crate::records::member;

/// The value of an expression for a row.
///
/// # Errors
/// What fails the job, in words.
pub(crate) fn evaluate(expr: &Expr, row: &Fact) -> Result<Value, String> {
    match expr {
        Expr::Literal(value) => Ok(value.clone()),
        Expr::Column(index) => Ok(row.columns[*index].clone()),
        Expr::Timestamp => Ok(Value::Datetime(row.timestamp)),
        Expr::Member(of, name) => Ok(member(&evaluate(of, row)?, name)),
        Expr::Negate(of) => negate(&evaluate(of, row)?),
        Expr::BitNot(of) => bitnot(&evaluate(of, row)?),
        Expr::Binary(op, left, right) => binary(*op, &evaluate(left, row)?, &evaluate(right, row)?),
        Expr::Case(branches, otherwise) => {
            for (condition, value) in branches {
                if holds(condition, row)? {
                    return evaluate(value, row);
                }
            }
            evaluate(otherwise, row)
        }
        Expr::Cast { expr, to, lenient } => match cast(&evaluate(expr, row)?, *to) {
            Err(_) if *lenient => Ok(Value::Null),
            converted => converted,
        },
        Expr::Call(Function::Coalesce, arguments) => {
            for argument in arguments {
                let value = evaluate(argument, row)?;
                if !value.is_null() {
                    return Ok(value);
                }
            }
            Ok(Value::Null)
        }
        Expr::Record(members) => {
            let mut record = Vec::new();
            for (name, of) in members {
                record.push((name.clone(), evaluate(of, row)?));
            }
            Ok(Value::Record(Arc::new(Record::new(record))))
        }
        Expr::External(function, arguments) => {
            let values: Result<Vec<Value>, String> = arguments.iter().map(|a| evaluate(a, row)).collect();
            function.call(&values?)
        }
        Expr::Call(function, arguments) => {
            let values: Result<Vec<Value>, String> = arguments.iter().map(|a| evaluate(a, row)).collect();
            call(*function, &values?)
        }
    }
}

/// Whether a predicate holds for a row.
///
/// # Errors
/// What fails the job, in words.
pub(crate) fn holds(predicate: &Predicate, row: &Fact) -> Result<bool, String> {
    match predicate {
        Predicate::Constant(holds) => Ok(*holds),
        Predicate::And(all) => {
            for one in all {
                if !holds(one, row)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        Predicate::Or(any) => {
            for one in any {
                if holds(one, row)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        Predicate::Not(of) => Ok(!holds(of, row)?),
        Predicate::Compare(op, left, right) => {
            Ok(compare(*op, &evaluate(left, row)?, &evaluate(right, row)?))
        }
        Predicate::IsNull(of) => Ok(evaluate(of, row)?.is_null()),
        Predicate::Like { expr, pattern, escape, negated } => {
            let (value, pattern) = (evaluate(expr, row)?, evaluate(pattern, row)?);
            if value.is_null() || pattern.is_null() {
                return Ok(false); // neither form holds with NULL (rule 2.1)
            }
            let matches = match (text(&value), text(&pattern)) {
                (Ok(value), Ok(pattern)) => like(&value, &pattern, *escape),
                _ => false, // C-NEGATED: what is no text is like nothing
            };
            Ok(matches != *negated)
        }
        Predicate::Between { expr, low, high, negated: false } => {
            let value = evaluate(expr, row)?;
            Ok(compare(CompareOp::LessOrEqual, &evaluate(low, row)?, &value)
                && compare(CompareOp::LessOrEqual, &value, &evaluate(high, row)?))
        }
        Predicate::Between { expr, low, high, negated: true } => {
            let (value, low, high) = (evaluate(expr, row)?, evaluate(low, row)?, evaluate(high, row)?);
            let inside = compare(CompareOp::LessOrEqual, &low, &value)
                && compare(CompareOp::LessOrEqual, &value, &high);
            let any_null = value.is_null() || low.is_null() || high.is_null();
            Ok(!any_null && !inside)
        }
        Predicate::In { expr, list, negated } => is_in(expr, list, *negated, row),
    }
}

/// C-IN: NULL equals nothing, so IN goes on behind it; NOT IN can no longer hold.
fn is_in(expr: &Expr, list: &[Expr], negated: bool, row: &Fact) -> Result<bool, String> {
    let value = evaluate(expr, row)?;
    if value.is_null() {
        return Ok(false);
    }
    for element in list {
        let element = evaluate(element, row)?;
        if element.is_null() && negated {
            return Ok(false);
        }
        if compare(CompareOp::Equal, &value, &element) {
            return Ok(!negated);
        }
    }
    Ok(negated)
}

/// C-COMPARE: whether the comparison holds; never with NULL or between what does not compare.
pub(crate) fn compare(op: CompareOp, left: &Value, right: &Value) -> bool {
    let order = match (left, right) {
        (Value::Array(_), Value::Array(_)) | (Value::Record(_), Value::Record(_)) => {
            return match op {
                CompareOp::Equal => left == right,
                CompareOp::NotEqual => left != right,
                _ => false,
            };
        }
        _ => order(left, right),
    };
    order.is_some_and(|order| match op {
        CompareOp::Equal => order.is_eq(),
        CompareOp::NotEqual => order.is_ne(),
        CompareOp::Less => order.is_lt(),
        CompareOp::LessOrEqual => order.is_le(),
        CompareOp::Greater => order.is_gt(),
        CompareOp::GreaterOrEqual => order.is_ge(),
    })
}

/// The order of two values where they have one: numbers, texts, instants.
pub(crate) fn order(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
        (Value::Datetime(a), Value::Datetime(b)) => Some(a.cmp(b)),
        (Value::Datetime(a), Value::Text(b)) => Some(a.cmp(&Timestamp::parse(b)?)),
        (Value::Text(a), Value::Datetime(b)) => Some(Timestamp::parse(a)?.cmp(b)),
        _ => match (number(left)?, number(right)?) {
            (Number::Int(a), Number::Int(b)) => Some(a.cmp(&b)),
            (Number::Int(a), Number::Float(b)) => Some(compare_int_float(a, b)),
            (Number::Float(a), Number::Int(b)) => Some(compare_int_float(b, a).reverse()),
            (Number::Float(a), Number::Float(b)) => a.partial_cmp(&b),
        },
    }
}
