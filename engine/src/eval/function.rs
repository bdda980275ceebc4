//! Functions of values, one row at a time (rules 2.3, 2.4, section 10; choices C-ARITH, C-DATE).
//!
//! Text where a number is needed, and the other way round, is a runtime error (A-IMPLICIT-CAST); NULL gives
//! NULL before any type is looked at, except in CONCAT.

use rewindow_query::Value;
use rewindow_query::expr::Function;

use super::arithmetic::{Number, number, wrong};
use super::{compare, date, like};

/// The function of these arguments. COALESCE is not among them: it is lazy.
pub(super) fn call(function: Function, arguments: &[Value]) -> Result<Value, String> {
    match (function, arguments) {
        (Function::Concat, parts) => concat(parts),
        (Function::Coalesce, parts) => Ok(parts.iter().find(|v| !v.is_null()).cloned().unwrap_or_default()),
        (Function::NullIf, [a, b]) => Ok(if compare::equal(a, b) { Value::Null } else { a.clone() }),
        (_, arguments) if arguments.iter().any(Value::is_null) => Ok(Value::Null),
        (Function::GetType, [x]) => Ok(x.kind().map_or(Value::Null, |kind| Value::text(kind.name()))),
        (Function::Abs, [x]) => numeric("ABS", x, i64::checked_abs, f64::abs),
        (Function::Ceiling, [x]) => numeric("CEILING", x, Some, f64::ceil),
        (Function::Floor, [x]) => numeric("FLOOR", x, Some, f64::floor),
        (Function::Sign, [x]) => numeric("SIGN", x, |i| Some(i.signum()), sign),
        (Function::Len, [x]) => {
            let text = text("LEN", x)?;
            Ok(Value::Int(text.trim_end_matches(' ').chars().count() as i64))
        }
        (Function::Upper, [x]) => Ok(Value::text(text("UPPER", x)?.to_uppercase())),
        (Function::Lower, [x]) => Ok(Value::text(text("LOWER", x)?.to_lowercase())),
        (Function::DateDiff(unit), [a, b]) => date::diff(unit, a, b),
        (Function::DateAdd(unit), [n, t]) => date::add(unit, n, t),
        (Function::DatePart(unit), [t]) => date::part(unit, t),
        (Function::DateName(unit), [t]) => date::name(unit, t),
        (Function::DateTimeFromParts, parts) => date::from_parts(parts),
        (function, arguments) => Err(format!("{function:?} does not take {} arguments", arguments.len())),
    }
}

fn sign(x: f64) -> f64 {
    if x == 0.0 { 0.0 } else { x.signum() }
}

fn numeric(
    name: &str,
    x: &Value,
    int: impl Fn(i64) -> Option<i64>,
    float: impl Fn(f64) -> f64,
) -> Result<Value, String> {
    match number(x) {
        Some(Number::Int(i)) => match int(i) {
            Some(i) => Ok(Value::Int(i)),
            None => Err(format!("{name}({i}) is outside the bigint range")),
        },
        Some(Number::Float(f)) => Ok(Value::Float(float(f))),
        None => Err(wrong(name, x)),
    }
}

fn text(name: &str, x: &Value) -> Result<std::sync::Arc<str>, String> {
    like::as_text(x).ok_or_else(|| wrong(name, x))
}

/// NULL counts as empty text; nothing but NULL gives empty text (rule 2.3).
fn concat(parts: &[Value]) -> Result<Value, String> {
    let mut joined = String::new();
    for part in parts.iter().filter(|part| !part.is_null()) {
        joined.push_str(&text("CONCAT", part)?);
    }
    Ok(Value::text(joined))
}
