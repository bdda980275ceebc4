//! JSON in and out (rules 1.3, 1.5, 1.6), at compatibility level 1.2.
//!
//! Text to values and back; knows nothing of files. Invariant: what [`read_event`] accepts is a record
//! whose integers fit a bigint and whose floats are finite.

use std::sync::Arc;

use serde_json::{Map, Number, Value as Json};

use crate::value::{Record, Value};

/// Depth of nesting a reader accepts; deeper payloads are refused, never followed.
pub const DEPTH_MAX: usize = 64;

/// Reads one event: a JSON object. The error says what is wrong, in words and with the column
/// where the text itself is malformed.
pub fn read_event(text: &str) -> Result<Record, String> {
    let json: Json = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let mut odd = false;
    let value = from_json_at(&json, 0, &mut odd)?;
    // The parser gives a float for a whole number of twenty digits and for `-0`. Only the text can tell
    // them from 1e20 and -0.0, and it is looked at only where such a float has turned up.
    if odd {
        let minus_zeros = whole_numbers(text)?;
        if !minus_zeros.is_empty() {
            let mut text = text.to_owned();
            minus_zeros.into_iter().for_each(|at| text.replace_range(at..=at, " "));
            return read_event(&text);
        }
    }
    match value {
        Value::Record(record) => Ok(Arc::unwrap_or_clone(record)),
        _ => Err("an event must be a JSON object".to_owned()),
    }
}

/// A JSON value as a value of the language (rule 1.3): whole numbers are bigint, numbers written with a
/// fraction or an exponent are float, text stays text even where it looks like a time.
pub fn from_json(json: &Json) -> Result<Value, String> {
    from_json_at(json, 0, &mut false)
}

/// `odd` is set by a float that may have been written as a whole number.
fn from_json_at(json: &Json, depth: usize, odd: &mut bool) -> Result<Value, String> {
    if depth > DEPTH_MAX {
        return Err(format!("nested deeper than {DEPTH_MAX} levels"));
    }
    Ok(match json {
        Json::Null => Value::Null,
        Json::Bool(b) => Value::Bit(*b),
        Json::Number(n) => number(n, odd)?,
        Json::String(s) => Value::text(s.as_str()),
        Json::Array(items) => {
            let items: Result<Vec<Value>, String> =
                items.iter().map(|i| from_json_at(i, depth + 1, odd)).collect();
            Value::Array(items?.into())
        }
        Json::Object(members) => {
            let members: Result<Vec<_>, String> = members
                .iter()
                .map(|(name, value)| Ok((Arc::from(name.as_str()), from_json_at(value, depth + 1, odd)?)))
                .collect();
            Value::Record(Arc::new(Record::new(members?)))
        }
    })
}

fn number(n: &Number, odd: &mut bool) -> Result<Value, String> {
    if let Some(int) = n.as_i64() {
        return Ok(Value::Int(int));
    }
    if n.is_u64() {
        return Err(outside(&n.to_string()));
    }
    match n.as_f64() {
        Some(f) if f.is_finite() => {
            *odd |= f.abs() >= 9.2e18 || f == 0.0 && f.is_sign_negative();
            Ok(Value::Float(f))
        }
        _ => Err(format!("{n} is no finite float")),
    }
}

fn outside(number: &str) -> String {
    format!("{number} is outside the bigint range (rule 1.5)")
}

/// Looks at every number of a JSON text that is written without fraction and exponent: refuses one that
/// is no bigint, and gives the places of the signs of `-0`.
fn whole_numbers(text: &str) -> Result<Vec<usize>, String> {
    let bytes = text.as_bytes();
    let (mut at, mut minus_zeros) = (0, Vec::new());
    while let Some(&byte) = bytes.get(at) {
        let start = at;
        at += 1;
        if byte == b'"' {
            while bytes.get(at).is_some_and(|b| *b != b'"') {
                at += if bytes[at] == b'\\' { 2 } else { 1 };
            }
            at += 1;
        } else if byte == b'-' || byte.is_ascii_digit() {
            let in_number = |b: &&u8| b.is_ascii_digit() || matches!(**b, b'+' | b'-' | b'.' | b'e' | b'E');
            at += bytes[at..].iter().take_while(in_number).count();
            let number = &text[start..at];
            if number.contains(['.', 'e', 'E']) {
                continue;
            }
            if number.parse::<i64>().is_err() {
                return Err(outside(number));
            }
            if number == "-0" {
                minus_zeros.push(start);
            }
        }
    }
    Ok(minus_zeros)
}

/// A value as JSON (rule 1.6).
pub fn to_json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bit(b) => Json::Bool(*b),
        Value::Int(i) => Json::Number((*i).into()),
        Value::Float(f) => Number::from_f64(*f).map_or(Json::Null, Json::Number),
        Value::Text(s) => Json::String(s.to_string()),
        Value::Datetime(t) => Json::String(t.to_string()),
        Value::Array(items) => Json::Array(items.iter().map(to_json).collect()),
        Value::Record(record) => record_to_json(record),
    }
}

/// A record as a JSON object, members in order.
pub fn record_to_json(record: &Record) -> Json {
    let members: Map<String, Json> =
        record.members().iter().map(|(name, value)| (name.to_string(), to_json(value))).collect();
    Json::Object(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_by_the_type_of_each_value() {
        let event =
            read_event(r#"{"a":1,"b":1.0,"c":"2024-01-01","d":null,"e":true,"f":[1],"g":{"h":2}}"#).unwrap();
        let kinds: Vec<_> = event.members().iter().map(|(_, v)| v.kind().map(|t| t.name())).collect();
        assert_eq!(
            kinds,
            [
                Some("bigint"),
                Some("float"),
                Some("nvarchar(max)"),
                None,
                Some("bit"),
                Some("array"),
                Some("record")
            ]
        );
    }

    #[test]
    fn a_whole_number_is_a_bigint_or_refused_however_long() {
        let value = |text: &str| read_event(text).map(|event| event.get("v").cloned().unwrap_or_default());
        assert_eq!(value(r#"{"v": 9223372036854775807}"#), Ok(Value::Int(i64::MAX)));
        assert_eq!(value(r#"{"v": -9223372036854775808}"#), Ok(Value::Int(i64::MIN)));
        for bad in
            ["9223372036854775808", "-9223372036854775809", "99999999999999999999", "-99999999999999999999"]
        {
            assert!(value(&format!("{{\"v\": {bad}}}")).is_err_and(|e| e.contains("1.5")), "{bad}");
            assert!(value(&format!("{{\"a\": [1e30, {{\"b\": {bad}}}]}}")).is_err(), "{bad} inside");
        }
        for float in ["1e20", "99999999999999999999.0", "-1E30", "1e-7"] {
            let expected = Value::Float(float.parse().unwrap());
            assert_eq!(value(&format!("{{\"v\": {float}}}")), Ok(expected), "{float}");
        }
        // Digits in a text are no number, and an escaped quote does not end it.
        assert_eq!(value(r#"{"t": "\\\" 99999999999999999999", "v": 1e20}"#), Ok(Value::Float(1e20)));
        assert!(matches!(value(r#"{"v": -0, "t": "-0"}"#), Ok(Value::Int(0))));
        assert!(matches!(value(r#"{"v": -0.0}"#), Ok(Value::Float(f)) if f.is_sign_negative()));
    }

    #[test]
    fn what_is_no_event_is_refused_with_a_reason() {
        for bad in ["", "{\"v\": 2", "[1]", "7", "{\"v\": 9223372036854775808}", "{\"v\": 1e999}"] {
            assert!(read_event(bad).is_err(), "{bad}");
        }
        assert!(read_event(&format!("{}{}", "[".repeat(200), "]".repeat(200))).is_err());
    }
}
