//! Section 10, choices C-CALL and C-DATE: functions of evaluated arguments.
//!
//! COALESCE is not here, because it does not evaluate all of its arguments. Their number was checked by
//! the analysis.

use rewindow_query::Value;
use rewindow_query::expr::{CompareOp, Function};

use crate::arithmetic::{Number, number, overflow};
use crate::cast::{to_text, whole};
use crate::dates;
use crate::eval::compare;

/// The value of a function. NULL for a NULL argument, except in CONCAT, which counts it as empty text
/// (rule 2.3), and NULLIF, which compares.
pub(crate) fn call(function: Function, arguments: &[Value]) -> Result<Value, String> {
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
pub(crate) fn text(value: &Value) -> Result<String, String> {
    match value {
        Value::Null | Value::Text(_) | Value::Datetime(_) => Ok(to_text(value)),
        _ => Err(format!("{value} is no text")),
    }
}
