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
    match from_json(&json)? {
        Value::Record(record) => Ok(Arc::unwrap_or_clone(record)),
        _ => Err("an event must be a JSON object".to_owned()),
    }
}

/// A JSON value as a value of the language (rule 1.3): whole numbers are bigint, numbers written with a
/// fraction or an exponent are float, text stays text even where it looks like a time.
pub fn from_json(json: &Json) -> Result<Value, String> {
    from_json_at(json, 0)
}

fn from_json_at(json: &Json, depth: usize) -> Result<Value, String> {
    if depth > DEPTH_MAX {
        return Err(format!("nested deeper than {DEPTH_MAX} levels"));
    }
    Ok(match json {
        Json::Null => Value::Null,
        Json::Bool(b) => Value::Bit(*b),
        Json::Number(n) => number(n)?,
        Json::String(s) => Value::text(s.as_str()),
        Json::Array(items) => {
            let items: Result<Vec<Value>, String> =
                items.iter().map(|i| from_json_at(i, depth + 1)).collect();
            Value::Array(items?.into())
        }
        Json::Object(members) => {
            let members: Result<Vec<_>, String> = members
                .iter()
                .map(|(name, value)| Ok((Arc::from(name.as_str()), from_json_at(value, depth + 1)?)))
                .collect();
            Value::Record(Arc::new(Record::new(members?)))
        }
    })
}

fn number(n: &Number) -> Result<Value, String> {
    if let Some(int) = n.as_i64() {
        return Ok(Value::Int(int));
    }
    if n.is_u64() {
        return Err(format!("{n} is outside the bigint range (rule 1.5)"));
    }
    match n.as_f64() {
        // Without arbitrary precision the reader gives a float for an integer of 20 digits and more;
        // written whole and this large, it is a bigint that does not fit.
        Some(f) if f.is_finite() => Ok(Value::Float(f)),
        _ => Err(format!("{n} is no finite float")),
    }
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
    fn what_is_no_event_is_refused_with_a_reason() {
        for bad in ["", "{\"v\": 2", "[1]", "7", "{\"v\": 9223372036854775808}", "{\"v\": 1e999}"] {
            assert!(read_event(bad).is_err(), "{bad}");
        }
        assert!(read_event(&format!("{}{}", "[".repeat(200), "]".repeat(200))).is_err());
    }
}
