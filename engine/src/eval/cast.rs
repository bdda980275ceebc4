//! CAST and TRY_CAST (rule 1.8, choice C-CAST).

use std::sync::Arc;

use rewindow_query::{Type, Value};

use super::Operand;
use crate::column::Data;

/// 2^63 as a float, the first one above every bigint.
const BIGINT_END: f64 = 9_223_372_036_854_775_808.0;

/// The value converted; NULL stays NULL.
pub(super) fn cast(value: &Value, to: Type) -> Result<Value, String> {
    let converted = match (to, value) {
        (_, Value::Null) => Some(Value::Null),
        (Type::Bigint, value) => bigint(value).map(Value::Int),
        (Type::Float, value) => float(value).map(Value::Float),
        (Type::Text, value) => Some(Value::Text(text(value))),
        (Type::Datetime, Value::Datetime(t)) => Some(Value::Datetime(*t)),
        (Type::Datetime, Value::Text(text)) => super::instant(text).map(Value::Datetime),
        (Type::Bit, value) => bit(value).map(Value::Bit),
        (Type::Record, Value::Record(_)) | (Type::Array, Value::Array(_)) => Some(value.clone()),
        (Type::Datetime | Type::Record | Type::Array, _) => None,
    };
    converted.ok_or_else(|| {
        let from = value.kind().map_or("NULL", |kind| kind.name());
        format!("{from} {value} cannot be cast to {}", to.name())
    })
}

/// Whether every value already is of that type, or NULL.
pub(super) fn is_already(operand: &Operand, to: Type) -> bool {
    let Operand::Column(column) = operand else { return false };
    match &column.data {
        Data::Null(_) => true,
        Data::Bit(_) => to == Type::Bit,
        Data::Int(_) => to == Type::Bigint,
        Data::Float(_) => to == Type::Float,
        Data::Text(_) => to == Type::Text,
        Data::Datetime(_) => to == Type::Datetime,
        Data::Mixed(_) => false,
    }
}

fn bigint(value: &Value) -> Option<i64> {
    match value {
        Value::Bit(b) => Some(i64::from(*b)),
        Value::Int(i) => Some(*i),
        Value::Float(f) => whole(*f),
        Value::Text(text) => {
            let text = text.trim_matches(' ');
            let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
            let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            if plain { text.parse().ok() } else { None }
        }
        _ => None,
    }
}

/// The whole part; `None` outside the bigint range.
pub(crate) fn whole(float: f64) -> Option<i64> {
    let whole = float.trunc();
    (-BIGINT_END..BIGINT_END).contains(&whole).then_some(whole as i64)
}

fn float(value: &Value) -> Option<f64> {
    match value {
        Value::Bit(b) => Some(f64::from(u8::from(*b))),
        Value::Int(i) => Some(*i as f64),
        Value::Float(f) => Some(*f),
        Value::Text(text) => decimal(text),
        _ => None,
    }
}

/// The float that text spells in decimal, blanks around it ignored; neither `inf` nor `nan` nor what
/// overflows is one.
pub(super) fn decimal(text: &str) -> Option<f64> {
    text.trim_matches(' ').parse::<f64>().ok().filter(|f| f.is_finite())
}

fn bit(value: &Value) -> Option<bool> {
    match value {
        Value::Bit(b) => Some(*b),
        Value::Int(i) => Some(*i != 0),
        Value::Float(f) => Some(*f != 0.0),
        Value::Text(text) => match text.to_ascii_lowercase().as_str() {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// Numbers in shortest decimal form without exponent, which is how they print; a zero has no sign.
fn text(value: &Value) -> Arc<str> {
    match value {
        Value::Text(text) => text.clone(),
        Value::Bit(b) => Arc::from(if *b { "1" } else { "0" }),
        Value::Int(i) => i.to_string().into(),
        Value::Float(f) if *f == 0.0 => Arc::from("0"),
        Value::Float(f) => f.to_string().into(),
        Value::Datetime(t) => t.to_string().into(),
        other => other.to_string().into(),
    }
}
