//! Rule 1.8, choice C-CAST: explicit conversion.
//!
//! NULL stays NULL. Whether a failure fails the job (CAST) or is NULL (TRY_CAST) is the caller's choice.

use rewindow_query::{Timestamp, Type, Value};

/// The value as a value of that type.
///
/// # Errors
/// Says what does not convert.
pub(crate) fn cast(value: &Value, to: Type) -> Result<Value, String> {
    if value.is_null() || value.kind() == Some(to) {
        return Ok(value.clone());
    }
    let converted = match to {
        Type::Bigint => to_bigint(value).map(Value::Int),
        Type::Float => to_float(value).map(Value::Float),
        Type::Text => Some(Value::text(to_text(value))),
        Type::Datetime => match value {
            Value::Text(text) => Timestamp::parse(text).map(Value::Datetime),
            _ => None,
        },
        Type::Bit => to_bit(value).map(Value::Bit),
        Type::Array | Type::Record => None,
    };
    converted.ok_or_else(|| format!("{value} cannot be cast to {}", to.name()))
}

fn to_bigint(value: &Value) -> Option<i64> {
    match value {
        Value::Bit(bit) => Some((*bit).into()),
        Value::Float(float) => whole(*float),
        Value::Text(text) => text.trim_matches(' ').parse().ok(), // an optional sign, then digits
        _ => None,
    }
}

/// The float without its fraction; `None` outside the bigint range, -2^63 up to but not including 2^63.
pub(crate) fn whole(float: f64) -> Option<i64> {
    let limit = 9_223_372_036_854_775_808.0;
    let whole = float.trunc();
    (-limit..limit).contains(&whole).then_some(whole as i64)
}

fn to_float(value: &Value) -> Option<f64> {
    match value {
        Value::Bit(bit) => Some(f64::from(u8::from(*bit))),
        Value::Int(int) => Some(*int as f64), // the nearest float
        Value::Text(text) => {
            let text = text.trim_matches(' ');
            let decimal = text.chars().all(|c| c.is_ascii_digit() || "+-.eE".contains(c)); // no NaN, no inf
            text.parse().ok().filter(|float: &f64| decimal && float.is_finite())
        }
        _ => None,
    }
}

fn to_bit(value: &Value) -> Option<bool> {
    match value {
        Value::Int(int) => Some(*int != 0),
        Value::Float(float) => Some(*float != 0.0),
        Value::Text(text) => match text.to_ascii_lowercase().as_str() {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// The value as text; a number in its shortest decimal form without exponent, zero without a sign.
pub(crate) fn to_text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bit(bit) => u8::from(*bit).to_string(),
        Value::Int(int) => int.to_string(),
        Value::Float(float) => (float + 0.0).to_string(), // -0.0 + 0.0 is 0.0
        Value::Text(text) => text.to_string(),
        Value::Datetime(timestamp) => timestamp.to_string(),
        Value::Array(_) | Value::Record(_) => value.to_string(), // JSON
    }
}
