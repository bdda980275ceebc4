//! Section 10, choices C-CALL and C-DATE: functions of evaluated arguments.
//!
//! This page says which argument is what; the functions themselves are on the pages of their kind.
//! COALESCE is not here, because it does not evaluate all of its arguments. Their number was checked by
//! the analysis.

use rewindow_query::Value;
use rewindow_query::expr::{CompareOp, Function};

use crate::cast::to_text;
use crate::eval::compare;
use crate::numbers::truncated;
use crate::{dates, geo, numbers, records, text as texts};

/// The value of a function. NULL for a NULL argument, except in CONCAT and CONCAT_WS (rule 2.3) and
/// NULLIF, which compares.
pub(crate) fn call(function: Function, arguments: &[Value]) -> Result<Value, String> {
    match function {
        Function::Concat => {
            let texts: Result<Vec<String>, String> = arguments.iter().map(text).collect();
            return texts::joined(&texts?);
        }
        Function::ConcatWs => {
            let present = arguments[1..].iter().filter(|argument| !argument.is_null());
            let texts: Result<Vec<String>, String> = present.map(text).collect();
            return texts::concat_ws(&text(&arguments[0])?, &texts?);
        }
        Function::NullIf => {
            let equal = compare(CompareOp::Equal, &arguments[0], &arguments[1]);
            return Ok(if equal { Value::Null } else { arguments[0].clone() });
        }
        _ if arguments.iter().any(Value::is_null) => return Ok(Value::Null),
        _ => {}
    }
    let first = &arguments[0];
    let text_at = |place: usize| text(&arguments[place]);
    let number_at = |place: usize| truncated(&arguments[place]);
    Ok(match function {
        Function::DateDiff(unit) => {
            Value::Int(dates::datediff(unit, dates::instant(first)?, dates::instant(&arguments[1])?)?)
        }
        Function::DateAdd(unit) => {
            Value::Datetime(dates::dateadd(unit, number_at(0)?, dates::instant(&arguments[1])?)?)
        }
        Function::DatePart(unit) => Value::Int(dates::datepart(unit, dates::instant(first)?)?),
        Function::DateName(unit) => Value::text(dates::datename(unit, dates::instant(first)?)?),
        Function::DateTimeFromParts => {
            let parts: Result<Vec<i64>, String> = arguments.iter().map(truncated).collect();
            let parts: [i64; 7] = parts?.try_into().map_err(|_| "seven parts make a datetime".to_owned())?;
            Value::Datetime(dates::from_parts(parts)?)
        }
        Function::GetType => Value::text(first.kind().map_or("", |kind| kind.name())),
        Function::Abs => numbers::abs(first)?,
        Function::Ceiling => numbers::float_only(first, f64::ceil)?,
        Function::Floor => numbers::float_only(first, f64::floor)?,
        Function::Sign => numbers::sign(first)?,
        Function::Square => numbers::square(first)?,
        Function::Sqrt => numbers::sqrt(first)?,
        Function::Exp => numbers::exp(first)?,
        Function::Power => numbers::power(first, &arguments[1])?,
        Function::Round => numbers::round(first, number_at(1)?)?,
        Function::Len => {
            let characters = text(first)?.trim_end_matches(' ').chars().count();
            Value::Int(i64::try_from(characters).unwrap_or(i64::MAX))
        }
        Function::Upper => Value::text(text(first)?.to_uppercase()),
        Function::Lower => Value::text(text(first)?.to_lowercase()),
        Function::Trim => Value::text(text(first)?.trim()),
        Function::LTrim => Value::text(text(first)?.trim_start()),
        Function::RTrim => Value::text(text(first)?.trim_end()),
        Function::Reverse => Value::text(text(first)?.chars().rev().collect::<String>()),
        Function::CharIndex => {
            let start = if arguments.len() > 2 { number_at(2)? } else { 1 };
            texts::char_index(&text(first)?, &text_at(1)?, start)
        }
        Function::PatIndex => texts::pat_index(&text(first)?, &text_at(1)?),
        Function::Substring => texts::substring(&text(first)?, number_at(1)?, number_at(2)?)?,
        Function::Left => texts::left(&text(first)?, number_at(1)?)?,
        Function::Right => texts::right(&text(first)?, number_at(1)?)?,
        Function::Stuff => texts::stuff(&text(first)?, number_at(1)?, number_at(2)?, &text_at(3)?)?,
        Function::Replace => texts::replace(&text(first)?, &text_at(1)?, &text_at(2)?)?,
        Function::Translate => texts::translate(&text(first)?, &text_at(1)?, &text_at(2)?)?,
        Function::Replicate => texts::replicate(&text(first)?, number_at(1)?)?,
        Function::Space => texts::replicate(" ", number_at(0)?)?,
        Function::NChar => texts::nchar(number_at(0)?),
        Function::Unicode => texts::unicode(&text(first)?),
        Function::RegexMatch => texts::regex_match(&text(first)?, &text_at(1)?),
        Function::JsonParse => texts::json_parse(first),
        Function::GetRecordPropertyValue => records::property(first, &text_at(1)?)?,
        Function::GetArrayElement => records::element(first, number_at(1)?)?,
        Function::GetArrayLength => records::length(first)?,
        Function::CreatePoint => geo::point(first, &arguments[1])?,
        Function::CreateLineString => geo::line_string(arguments)?,
        Function::CreatePolygon => geo::polygon(arguments)?,
        Function::StDistance => geo::distance(first, &arguments[1])?,
        Function::StWithin => geo::within(first, &arguments[1])?,
        Function::StOverlaps => geo::overlaps(first, &arguments[1])?,
        Function::StIntersects => geo::intersects(first, &arguments[1])?,
        Function::Coalesce | Function::Concat | Function::ConcatWs | Function::NullIf => Value::Null, // answered above
    })
}

/// The argument of a text function: text, or a datetime in ISO form (rule 1.7); NULL as empty text.
pub(crate) fn text(value: &Value) -> Result<String, String> {
    match value {
        Value::Null | Value::Text(_) | Value::Datetime(_) => Ok(to_text(value)),
        _ => Err(format!("{value} is no text")),
    }
}
