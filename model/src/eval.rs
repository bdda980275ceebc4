//! Scalar expressions and predicates, row by row (sections 1, 2, 5 and 10).
//!
//! An expression has a value or fails the job; a predicate holds or does not, there is no third
//! (A-NULL-NOT). What is evaluated, and in which order, is choice C-EVAL: what is not reached cannot fail.
//! Invariant: floats are finite, because an operation that leaves the floats is an error (C-ARITH).

use std::cmp::Ordering;

use rewindow_query::expr::{BinaryOp, CompareOp, Expr, Function, Predicate};
use rewindow_query::value::compare_int_float;
use rewindow_query::{Timestamp, Value};

use crate::cast::{cast, to_text, whole};
use crate::dates;
use crate::fact::Fact;
use crate::like::like;

/// The value of an expression for a row.
///
/// # Errors
/// What fails the job, in words.
pub(crate) fn evaluate(expr: &Expr, row: &Fact) -> Result<Value, String> {
    match expr {
        Expr::Literal(value) => Ok(value.clone()),
        Expr::Column(index) => Ok(row.columns[*index].clone()),
        Expr::Timestamp => Ok(Value::Datetime(row.timestamp)),
        Expr::Member(of, name) => Ok(match evaluate(of, row)? {
            Value::Record(record) => record.get(name).cloned().unwrap_or(Value::Null),
            _ => Value::Null, // A-FIELD-OF-NULL
        }),
        Expr::Negate(of) => negate(&evaluate(of, row)?),
        Expr::BitNot(of) => match evaluate(of, row)? {
            Value::Null => Ok(Value::Null),
            Value::Bit(bit) => Ok(Value::Bit(!bit)),
            Value::Int(int) => Ok(Value::Int(!int)),
            other => Err(format!("~ of {other}, which is no bigint")),
        },
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

/// A number as the operators see it: a bit counts as bigint 0 or 1 (C-ARITH, C-COMPARE).
enum Number {
    Int(i64),
    Float(f64),
}

fn number(value: &Value) -> Option<Number> {
    match value {
        Value::Bit(bit) => Some(Number::Int((*bit).into())),
        Value::Int(int) => Some(Number::Int(*int)),
        Value::Float(float) => Some(Number::Float(*float)),
        _ => None,
    }
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

fn negate(value: &Value) -> Result<Value, String> {
    match (value, number(value)) {
        (Value::Null, _) => Ok(Value::Null),
        (_, Some(Number::Int(int))) => int.checked_neg().map(Value::Int).ok_or_else(|| overflow("-", value)),
        (_, Some(Number::Float(float))) => Ok(Value::Float(-float)),
        _ => Err(format!("- of {value}, which is no number")),
    }
}

/// C-ARITH; NULL comes before any type is looked at.
fn binary(op: BinaryOp, left: &Value, right: &Value) -> Result<Value, String> {
    if left.is_null() || right.is_null() {
        return Ok(Value::Null);
    }
    match op {
        BinaryOp::BitAnd | BinaryOp::BitOr | BinaryOp::BitXor => return bitwise(op, left, right),
        BinaryOp::Add => {
            if let (Value::Text(_), Value::Text(_) | Value::Datetime(_))
            | (Value::Datetime(_), Value::Text(_)) = (left, right)
            {
                return Ok(Value::text(to_text(left) + &to_text(right)));
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

fn as_float(number: &Number) -> f64 {
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

fn overflow(op: &str, of: &Value) -> String {
    format!("{op} of {of} is no bigint")
}

/// Section 10. NULL for a NULL argument, except in GetType's company CONCAT, which counts it as empty
/// text (rule 2.3), and NULLIF, which compares.
fn call(function: Function, arguments: &[Value]) -> Result<Value, String> {
    match function {
        Function::Concat => {
            let texts: Result<Vec<String>, String> = arguments.iter().map(text).collect();
            return Ok(Value::text(texts?.concat()));
        }
        Function::NullIf => {
            let equal = compare(CompareOp::Equal, &arguments[0], &arguments[1]);
            return Ok(if equal { Value::Null } else { arguments[0].clone() });
        }
        _ if arguments.iter().any(Value::is_null) => return Ok(Value::Null),
        _ => {}
    }
    let first = &arguments[0];
    Ok(match function {
        Function::DateDiff(unit) => {
            Value::Int(dates::datediff(unit, dates::instant(first)?, dates::instant(&arguments[1])?)?)
        }
        Function::DateAdd(unit) => {
            Value::Datetime(dates::dateadd(unit, truncated(first)?, dates::instant(&arguments[1])?)?)
        }
        Function::DatePart(unit) => Value::Int(dates::datepart(unit, dates::instant(first)?)?),
        Function::DateName(unit) => Value::text(dates::datename(unit, dates::instant(first)?)?),
        Function::DateTimeFromParts => {
            let parts: Result<Vec<i64>, String> = arguments.iter().map(truncated).collect();
            let parts: [i64; 7] = parts?.try_into().map_err(|_| "seven parts make a datetime".to_owned())?;
            Value::Datetime(dates::from_parts(parts)?)
        }
        Function::GetType => Value::text(first.kind().map_or("", |kind| kind.name())),
        Function::Abs => match numeric(first)? {
            Number::Int(int) => Value::Int(int.checked_abs().ok_or_else(|| overflow("ABS", first))?),
            Number::Float(float) => Value::Float(float.abs()),
        },
        Function::Ceiling => float_only(first, f64::ceil)?,
        Function::Floor => float_only(first, f64::floor)?,
        Function::Sign => match numeric(first)? {
            Number::Int(int) => Value::Int(int.signum()),
            Number::Float(0.0) => Value::Float(0.0),
            Number::Float(float) => Value::Float(float.signum()),
        },
        Function::Len => {
            let characters = text(first)?.trim_end_matches(' ').chars().count();
            Value::Int(i64::try_from(characters).unwrap_or(i64::MAX))
        }
        Function::Upper => Value::text(text(first)?.to_uppercase()),
        Function::Lower => Value::text(text(first)?.to_lowercase()),
        Function::Coalesce | Function::Concat | Function::NullIf => Value::Null, // answered above
    })
}

/// The argument of a numeric function; text is an error there (A-IMPLICIT-CAST).
fn numeric(value: &Value) -> Result<Number, String> {
    number(value).ok_or_else(|| format!("{value} is no number"))
}

/// Rounding changes floats only.
fn float_only(value: &Value, round: fn(f64) -> f64) -> Result<Value, String> {
    Ok(match numeric(value)? {
        Number::Int(int) => Value::Int(int),
        Number::Float(float) => Value::Float(round(float)),
    })
}

/// A number without its fraction, as a bigint.
fn truncated(value: &Value) -> Result<i64, String> {
    match numeric(value)? {
        Number::Int(int) => Ok(int),
        Number::Float(float) => whole(float).ok_or_else(|| format!("{value} is no bigint")),
    }
}

/// The argument of a text function: text, or a datetime in ISO form (rule 1.7); NULL as empty text.
fn text(value: &Value) -> Result<String, String> {
    match value {
        Value::Null | Value::Text(_) | Value::Datetime(_) => Ok(to_text(value)),
        _ => Err(format!("{value} is no text")),
    }
}
