//! Section 6 (COLLECT, COLLECTTOP, TOPONE), choice C-COLLECT.
//!
//! Anything is collected, NULL too (A-COLLECT-NULL). Without ORDER BY in processing order; with it equals in
//! processing order (A-TOP-TIES), also where the order is DESC.

use std::cmp::Ordering;
use std::sync::Arc;

use rewindow_query::plan::AggregateCall;
use rewindow_query::{Record, Timestamp, Value};

use crate::aggregate::Argument;
use crate::eval::order;

/// A value as ORDER BY takes it: NULL, a number, a datetime.
pub(crate) fn order_key(value: Value) -> Result<Value, String> {
    match value {
        Value::Null | Value::Bit(_) | Value::Int(_) | Value::Float(_) | Value::Datetime(_) => Ok(value),
        _ => Err(format!("{value} cannot be ordered by")),
    }
}

/// COLLECT
pub(crate) fn collect(arguments: &[(Timestamp, &Argument)]) -> Value {
    Value::Array(arguments.iter().map(|(_, argument)| argument.value.clone()).collect())
}

/// COLLECTTOP: records of rank, from 1, and value.
pub(crate) fn collect_top(call: &AggregateCall, most: u32, arguments: &[(Timestamp, &Argument)]) -> Value {
    let ranked = (1..=i64::from(most)).zip(ordered(call, arguments));
    let record = |(rank, value)| {
        let members = vec![("rank".into(), Value::Int(rank)), ("value".into(), value)];
        Value::Record(Arc::new(Record::new(members)))
    };
    Value::Array(ranked.map(record).collect())
}

/// TOPONE: the first, NULL of nothing.
pub(crate) fn top_one(call: &AggregateCall, arguments: &[(Timestamp, &Argument)]) -> Value {
    ordered(call, arguments).into_iter().next().unwrap_or(Value::Null)
}

fn ordered(call: &AggregateCall, arguments: &[(Timestamp, &Argument)]) -> Vec<Value> {
    let mut ordered: Vec<&Argument> = arguments.iter().map(|(_, argument)| *argument).collect();
    ordered.sort_by(|a, b| {
        let columns = call.order.iter().zip(a.order.iter().zip(&b.order));
        let by_column = |((_, descending), (a, b)): (&(_, bool), (&Value, &Value))| {
            let ascending = compared(a, b);
            if *descending { ascending.reverse() } else { ascending }
        };
        columns.map(by_column).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    });
    ordered.into_iter().map(|argument| argument.value.clone()).collect()
}

/// NULL, then numbers, then datetimes (rule 2.7).
fn compared(a: &Value, b: &Value) -> Ordering {
    let rank = |value: &Value| match value {
        Value::Null => 0,
        Value::Datetime(_) => 2,
        _ => 1,
    };
    rank(a).cmp(&rank(b)).then_with(|| order(a, b).unwrap_or(Ordering::Equal)) // only NULLs do not compare
}
