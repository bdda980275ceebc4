//! Section 10 (record and array functions), choice C-RECORD.
//!
//! What is not there is NULL; a first argument of another type is an error in a function and NULL in a path
//! (A-FIELD-OF-NULL).

use rewindow_query::Value;

/// `value.name`: a member of a record, or an element of an array where the name is a whole number.
pub(crate) fn member(value: &Value, name: &str) -> Value {
    let found = match value {
        Value::Record(record) => record.get(name),
        Value::Array(elements) if name.bytes().all(|digit| digit.is_ascii_digit()) => {
            name.parse().ok().and_then(|place: usize| elements.get(place))
        }
        _ => None,
    };
    found.cloned().unwrap_or(Value::Null)
}

/// GetRecordPropertyValue
pub(crate) fn property(value: &Value, name: &str) -> Result<Value, String> {
    match value {
        Value::Record(record) => Ok(record.get(name).cloned().unwrap_or(Value::Null)),
        _ => Err(format!("{value} is no record")),
    }
}

/// GetArrayElement, from 0.
pub(crate) fn element(value: &Value, place: i64) -> Result<Value, String> {
    match value {
        Value::Array(_) | Value::Record(_) => Ok(member(value, &place.to_string())),
        _ => Err(format!("{value} is no array")),
    }
}

/// GetArrayLength
pub(crate) fn length(value: &Value) -> Result<Value, String> {
    match value {
        Value::Array(elements) => Ok(Value::Int(i64::try_from(elements.len()).unwrap_or(i64::MAX))),
        _ => Err(format!("{value} is no array")),
    }
}
