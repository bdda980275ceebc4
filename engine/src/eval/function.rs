//! Functions of values, one row at a time (rules 2.3, 2.4, section 10; choice C-CALL): who computes which.
//!
//! Text where a number is needed, and the other way round, is a runtime error (A-IMPLICIT-CAST); NULL gives
//! NULL before any type is looked at, except in CONCAT and CONCAT_WS.

use rewindow_query::Value;
use rewindow_query::expr::Function;

use super::{compare, date, geo, numbers, records, text};

/// The function of these arguments. COALESCE is not among them: it is lazy.
pub(super) fn call(function: Function, arguments: &[Value]) -> Result<Value, String> {
    match (function, arguments) {
        (Function::Concat, parts) => text::concat(parts),
        (Function::ConcatWs, parts) => text::concat_ws(parts),
        (Function::Coalesce, parts) => Ok(parts.iter().find(|v| !v.is_null()).cloned().unwrap_or_default()),
        (Function::NullIf, [a, b]) => Ok(if compare::equal(a, b) { Value::Null } else { a.clone() }),
        (_, arguments) if arguments.iter().any(Value::is_null) => Ok(Value::Null),
        (Function::GetType, [x]) => Ok(x.kind().map_or(Value::Null, |kind| Value::text(kind.name()))),
        (Function::Len, [x]) => {
            let text = text::text("LEN", x)?;
            Ok(Value::Int(text.trim_end_matches(' ').chars().count() as i64))
        }
        (Function::Upper, [x]) => Ok(Value::text(text::text("UPPER", x)?.to_uppercase())),
        (Function::Lower, [x]) => Ok(Value::text(text::text("LOWER", x)?.to_lowercase())),
        (Function::DateDiff(unit), [a, b]) => date::diff(unit, a, b),
        (Function::DateAdd(unit), [n, t]) => date::add(unit, n, t),
        (Function::DatePart(unit), [t]) => date::part(unit, t),
        (Function::DateName(unit), [t]) => date::name(unit, t),
        (Function::DateTimeFromParts, parts) => date::from_parts(parts),
        (function, arguments) => text::call(function, arguments)
            .or_else(|| numbers::call(function, arguments))
            .or_else(|| records::call(function, arguments))
            .or_else(|| geo::call(function, arguments))
            .unwrap_or_else(|| Err(format!("{function:?} does not take {} arguments", arguments.len()))),
    }
}
