//! Section 6 (aggregates): one value from the content of a group.
//!
//! NULL is skipped, except by COUNT(*) (rule 2.5). [`prepare`] is what can already be said of one
//! argument, and fails at its event; [`aggregate`] looks at the whole content. The result does not
//! depend on the order of the content (choices C-SUM, C-MINMAX, C-DISTINCT).

use std::cmp::Ordering;
use std::collections::BTreeSet;

use rewindow_query::plan::{Aggregate, AggregateCall};
use rewindow_query::{Failure, Timestamp, Type, Value};

use crate::cast::cast;
use crate::eval::order;
use crate::exact::{nearest, total, whole};

/// The argument as the aggregate counts it: SUM and AVG take numbers, text becomes a float, bit 0 or 1;
/// MIN and MAX take text only where it is explicitly cast (rule 6.1).
pub(crate) fn prepare(call: &AggregateCall, value: Value) -> Result<Value, String> {
    let refused = |value: &Value| Err(format!("{value} cannot be an argument of {:?}", call.function));
    match (call.function, &value) {
        (Aggregate::Count, _) | (_, Value::Null) => Ok(value),
        (_, Value::Array(_) | Value::Record(_)) => refused(&value),
        (Aggregate::Min | Aggregate::Max, Value::Text(_)) if call.as_text => Ok(value),
        (_, Value::Text(_)) => cast(&value, Type::Float),
        (Aggregate::Min | Aggregate::Max, _) => Ok(value),
        (Aggregate::Sum | Aggregate::Avg, Value::Bit(bit)) => Ok(Value::Int((*bit).into())),
        (Aggregate::Sum | Aggregate::Avg, Value::Datetime(_)) => refused(&value),
        (Aggregate::Sum | Aggregate::Avg, _) => Ok(value),
    }
}

/// The value of an aggregate over prepared arguments, each with the time of its event, in order. A result
/// that cannot be represented fails at `end`, a mixture of types at the event that mixes.
pub(crate) fn aggregate(
    call: &AggregateCall,
    end: Timestamp,
    arguments: &[(Timestamp, &Value)],
) -> Result<Value, Failure> {
    let present: Vec<(Timestamp, &Value)> =
        arguments.iter().copied().filter(|(_, value)| !value.is_null()).collect();
    let values: Vec<&Value> = present.iter().map(|(_, value)| *value).collect();
    let fail = |message: &str| Failure { at: end, message: message.to_owned() };
    match call.function {
        Aggregate::Count if call.argument.is_none() => Ok(count(arguments.len())),
        Aggregate::Count if call.distinct => {
            let distinct: BTreeSet<Value> = values.into_iter().map(distinct).collect();
            Ok(count(distinct.len()))
        }
        Aggregate::Count => Ok(count(values.len())),
        _ if values.is_empty() => Ok(Value::Null),
        Aggregate::Sum if values.iter().all(|value| matches!(value, Value::Int(_))) => {
            let sum = whole(&total(values)).ok_or_else(|| fail("SUM is outside the bigint range"))?;
            Ok(Value::Int(sum))
        }
        Aggregate::Sum => {
            let sum = nearest(&total(values), 1).ok_or_else(|| fail("SUM is no finite float"))?;
            Ok(Value::Float(sum))
        }
        Aggregate::Avg => {
            let count = values.len() as u64;
            let average = nearest(&total(values), count).ok_or_else(|| fail("AVG is no finite float"))?;
            Ok(Value::Float(average))
        }
        Aggregate::Min => extreme(&present, Ordering::Less),
        Aggregate::Max => extreme(&present, Ordering::Greater),
    }
}

fn count(n: usize) -> Value {
    Value::Int(i64::try_from(n).unwrap_or(i64::MAX))
}

/// What COUNT(DISTINCT) tells apart: a float that is a bigint is that bigint (choice C-DISTINCT).
fn distinct(value: &Value) -> Value {
    let Value::Float(float) = value else {
        return value.clone();
    };
    let whole = Value::Int(*float as i64); // saturates, and then is not equal
    if order(value, &whole) == Some(Ordering::Equal) { whole } else { value.clone() }
}

/// The value that stands on that side of all others; of a bigint and an equal float the bigint.
fn extreme(present: &[(Timestamp, &Value)], side: Ordering) -> Result<Value, Failure> {
    let mut best = present[0].1;
    for &(at, value) in present {
        if family(value) != family(best) {
            let message = format!("{value} and {best} do not mix in MIN or MAX");
            return Err(Failure { at, message });
        }
        let order = order(value, best).expect("values of one family compare");
        if order == side || (order == Ordering::Equal && matches!(value, Value::Int(_))) {
            best = value;
        }
    }
    Ok(best.clone())
}

/// What compares among itself in MIN and MAX (choice C-MINMAX).
fn family(value: &Value) -> Option<Type> {
    match value.kind() {
        Some(Type::Float) => Some(Type::Bigint),
        kind => kind,
    }
}
