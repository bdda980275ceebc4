//! Values of the language as JSON that `prelude.js` reads and writes (choice C-SCRIPT).
//!
//! Numbers of JavaScript are floats: a bigint beyond 2^53 becomes the nearest one. Coming back, a whole number
//! inside the bigint range is a bigint. Datetimes have milliseconds there. Invariant: what comes back is a
//! value of the language, or refused.

use std::sync::Arc;

use rewindow_query::{Record, Timestamp, Value};
use serde_json::{Value as Json, json};

/// Ticks of a millisecond.
const MS: i64 = 10_000;

/// 1970-01-01, in ticks.
fn epoch() -> i64 {
    Timestamp::parse("1970-01-01T00:00:00Z").expect("1970 is a year").0
}

/// A value for a script.
pub(super) fn encode(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bit(bit) => json!(bit),
        Value::Int(int) => json!(*int as f64),
        Value::Float(float) if *float == 0.0 && float.is_sign_negative() => json!(["n", "-0"]),
        Value::Float(float) => json!(float),
        Value::Text(text) => json!(text),
        Value::Datetime(at) => json!(["d", (at.0 - epoch()).div_euclid(MS)]),
        Value::Array(items) => {
            Json::Array(std::iter::once(json!("a")).chain(items.iter().map(encode)).collect())
        }
        Value::Record(record) => {
            let members = record.members().iter().map(|(name, value)| json!([name, encode(value)]));
            Json::Array(std::iter::once(json!("r")).chain(members).collect())
        }
    }
}

/// A value from a script.
pub(super) fn decode(json: &Json) -> Result<Value, String> {
    let strange = || format!("gave {json}, which is no value");
    Ok(match json {
        Json::Null => Value::Null,
        Json::Bool(bit) => Value::Bit(*bit),
        Json::Number(number) => of_float(number.as_f64().ok_or_else(strange)?),
        Json::String(text) => Value::text(text.as_str()),
        Json::Object(_) => return Err(strange()),
        Json::Array(parts) => match (parts.first().and_then(Json::as_str), parts.get(1)) {
            (Some("n"), Some(number)) if number == "-0" => Value::Int(0),
            (Some("n"), Some(number)) => {
                let number = number.as_str().unwrap_or_default();
                return Err(format!("gave {number}, which is no finite float (rule 1.1)"));
            }
            (Some("d"), Some(ms)) => Value::Datetime(datetime(ms.as_f64().ok_or_else(strange)?)?),
            (Some("a"), _) => {
                let items: Result<Vec<Value>, String> = parts[1..].iter().map(decode).collect();
                Value::Array(items?.into())
            }
            (Some("r"), _) => {
                let member = |member: &Json| match (member.get(0).and_then(Json::as_str), member.get(1)) {
                    (Some(name), Some(value)) => Ok((Arc::from(name), decode(value)?)),
                    _ => Err(strange()),
                };
                let members: Result<Vec<_>, String> = parts[1..].iter().map(member).collect();
                Value::Record(Arc::new(Record::new(members?)))
            }
            _ => return Err(strange()),
        },
    })
}

/// A whole number inside the range is a bigint.
fn of_float(float: f64) -> Value {
    let inside = (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&float);
    if inside && float.fract() == 0.0 { Value::Int(float as i64) } else { Value::Float(float) }
}

fn datetime(ms: f64) -> Result<Timestamp, String> {
    // A Date is at most 8.64e15 ms from 1970, which is 8.64e19 ticks: more than 64 bits.
    let ticks = (ms as i64).checked_mul(MS).and_then(|ticks| ticks.checked_add(epoch()));
    let inside = ticks.map(Timestamp).filter(|at| (Timestamp::MIN..=Timestamp::MAX).contains(at));
    inside.ok_or_else(|| "gave a Date outside the years 1 to 9999".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_go_there_and_come_back() {
        let at = Timestamp::parse("2024-03-05T10:20:30.1230000Z").unwrap();
        let record =
            Record::new(vec![("__proto__".into(), Value::Int(1)), ("a".into(), Value::Datetime(at))]);
        for value in [
            Value::Null,
            Value::Bit(true),
            Value::Int(-(1 << 53)),
            Value::Float(0.5),
            Value::text("é"),
            Value::Datetime(at),
            Value::Array([Value::Null, Value::Int(2)].into()),
            Value::Record(Arc::new(record)),
        ] {
            assert_eq!(decode(&encode(&value)), Ok(value));
        }
        assert_eq!(decode(&encode(&Value::Float(3.0))), Ok(Value::Int(3)));
        assert_eq!(decode(&json!(1e300)), Ok(Value::Float(1e300)));
        assert_eq!(
            decode(&json!(9_223_372_036_854_775_808.0)),
            Ok(Value::Float(9_223_372_036_854_775_808.0))
        );
        assert!(decode(&json!(["n", "NaN"])).is_err());
        assert!(decode(&json!(["d", 8.64e15])).is_err());
        assert!(decode(&json!(["d", -8.64e15])).is_err());
    }
}
