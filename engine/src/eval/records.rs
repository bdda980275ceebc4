//! Functions of records and arrays (section 10; choices C-RECORD, C-JSON).
//!
//! What is outside an array or not in a record is NULL. Knows no columns.

use rewindow_query::expr::Function;
use rewindow_query::{Value, json};

use super::arithmetic::wrong;
use super::numbers::bigint;
use super::text::text;

/// The function of these arguments, none of them NULL; `None` if it is none of records and arrays.
pub(super) fn call(function: Function, arguments: &[Value]) -> Option<Result<Value, String>> {
    Some(match (function, arguments) {
        (Function::JsonParse, [Value::Text(text)]) => {
            Ok(json::read_event(text)
                .map_or(Value::Null, |record| Value::Record(std::sync::Arc::new(record))))
        }
        (Function::JsonParse, _) => Ok(Value::Null), // it never fails
        (Function::GetRecordPropertyValue, [record, name]) => property(record, name),
        (Function::GetArrayElement, [array, index]) => element(array, index),
        (Function::GetArrayLength, [array]) => match array {
            Value::Array(items) => Ok(Value::Int(items.len() as i64)),
            other => Err(wrong("GetArrayLength", other)),
        },
        _ => return None,
    })
}

fn property(record: &Value, name: &Value) -> Result<Value, String> {
    let Value::Record(record) = record else { return Err(wrong("GetRecordPropertyValue", record)) };
    let name = text("GetRecordPropertyValue", name)?;
    Ok(record.get(&name).cloned().unwrap_or_default())
}

/// From 0. Of a record it is the member whose name is that number, so that a path means the same whatever it meets.
fn element(array: &Value, index: &Value) -> Result<Value, String> {
    let index = bigint("GetArrayElement", index)?;
    match array {
        Value::Array(items) => {
            let place = usize::try_from(index).ok();
            Ok(place.and_then(|place| items.get(place)).cloned().unwrap_or_default())
        }
        Value::Record(record) => Ok(record.get(&index.to_string()).cloned().unwrap_or_default()),
        other => Err(wrong("GetArrayElement", other)),
    }
}
