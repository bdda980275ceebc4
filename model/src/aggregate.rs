//! Section 6 (aggregates): one value from the content of a group.
//!
//! NULL is skipped, except by COUNT(*) and by those that collect (rule 2.5, A-COLLECT-NULL). [`prepare`] is
//! what can already be said of one event, and fails at it; [`aggregate`] looks at the whole content. Of the
//! order of the content only those that collect know (choices C-SUM, C-VAR, C-MINMAX, C-DISTINCT).

use std::cmp::Ordering;
use std::collections::BTreeSet;

use rewindow_query::plan::{Aggregate, AggregateCall};
use rewindow_query::{Failure, Timestamp, Type, Value};

use crate::cast::cast;
use crate::collect::{collect, collect_top, order_key, top_one};
use crate::eval::{evaluate, order};
use crate::exact::{nearest, nearest_of_squares, nearest_root, spread, total, whole};
use crate::fact::Fact;
use crate::percentile::{cont, disc};

/// What an aggregate knows of an event.
#[derive(Clone, Debug)]
pub(crate) struct Argument {
    /// The argument as the aggregate counts it; NULL for COUNT(*).
    pub(crate) value: Value,
    /// The values of ORDER BY, of COLLECTTOP and TOPONE.
    pub(crate) order: Vec<Value>,
}

/// The argument of an aggregate for a row it takes in.
pub(crate) fn prepare(call: &AggregateCall, row: &Fact) -> Result<Argument, String> {
    let Argument { value, order } = evaluated(call, row)?;
    let order: Result<Vec<Value>, String> = order.into_iter().map(order_key).collect();
    Ok(Argument { value: prepared(call, value)?, order: order? })
}

/// Argument and ORDER BY for a row, whether or not the aggregate can take them.
pub(crate) fn evaluated(call: &AggregateCall, row: &Fact) -> Result<Argument, String> {
    let value = call.argument.as_ref().map_or(Ok(Value::Null), |argument| evaluate(argument, row))?;
    let mut order = Vec::new();
    if let Aggregate::CollectTop(_) | Aggregate::TopOne = call.function {
        for (expr, _) in &call.order {
            order.push(evaluate(expr, row)?);
        }
    }
    Ok(Argument { value, order })
}

/// SUM and its like take numbers, text becomes a float, bit 0 or 1; MIN and its like take bit and datetime
/// too, and text only where it is explicitly cast (rule 6.1).
pub(crate) fn prepared(call: &AggregateCall, value: Value) -> Result<Value, String> {
    use Aggregate::{Collect, CollectTop, Count, Max, Min, PercentileDisc, TopOne, User};
    let as_is = matches!(call.function, Min | Max | PercentileDisc(_));
    match (call.function, &value) {
        (Count | Collect | CollectTop(_) | TopOne | User, _) | (_, Value::Null) => Ok(value),
        (_, Value::Text(_)) if as_is && call.as_text => Ok(value),
        (_, Value::Text(_)) => cast(&value, Type::Float),
        (_, Value::Bit(_) | Value::Datetime(_)) if as_is => Ok(value),
        (_, Value::Bit(bit)) => Ok(Value::Int((*bit).into())),
        (_, Value::Int(_) | Value::Float(_)) => Ok(value),
        (function, _) => Err(format!("{value} cannot be an argument of {function:?}")),
    }
}

/// The value of an aggregate over prepared arguments, each with the time of its event, in order. A result
/// that cannot be represented fails at `end`, a mixture of types at the event that mixes.
pub(crate) fn aggregate(
    call: &AggregateCall,
    end: Timestamp,
    arguments: &[(Timestamp, &Argument)],
) -> Result<Value, Failure> {
    let all = arguments.iter().map(|(at, argument)| (*at, &argument.value));
    let present: Vec<(Timestamp, &Value)> = all.filter(|(_, value)| !value.is_null()).collect();
    let values: Vec<&Value> = present.iter().map(|(_, value)| *value).collect();
    let n = values.len() as u64;
    let descending = call.order.first().is_some_and(|(_, descending)| *descending);
    let float = |float: Option<f64>| {
        let name = format!("{:?}", call.function).to_uppercase();
        float.map(Value::Float).ok_or(Failure { at: end, message: format!("{name} is no finite float") })
    };
    match call.function {
        Aggregate::Count if call.argument.is_none() => Ok(count(arguments.len())),
        Aggregate::Count if call.distinct => {
            let distinct: BTreeSet<Value> = values.into_iter().map(distinct).collect();
            Ok(count(distinct.len()))
        }
        Aggregate::Count => Ok(count(values.len())),
        Aggregate::Collect => Ok(collect(arguments)),
        Aggregate::CollectTop(most) => Ok(collect_top(call, most, arguments)),
        Aggregate::TopOne => Ok(top_one(call, arguments)),
        Aggregate::User => user(call, &present).map_err(|message| Failure { at: end, message }),
        _ if values.is_empty() => Ok(Value::Null),
        Aggregate::Sum if values.iter().all(|value| matches!(value, Value::Int(_))) => {
            let outside = || Failure { at: end, message: "SUM is outside the bigint range".to_owned() };
            Ok(Value::Int(whole(&total(values)).ok_or_else(outside)?))
        }
        Aggregate::Sum => float(nearest(&total(values), 1)),
        Aggregate::Avg => float(nearest(&total(values), n)),
        Aggregate::Min => extreme(&present, Ordering::Less),
        Aggregate::Max => extreme(&present, Ordering::Greater),
        Aggregate::Var | Aggregate::Stdev if n == 1 => Ok(Value::Null), // A-STDEV-ONE
        Aggregate::Var => float(nearest_of_squares(&spread(&values), n * (n - 1))),
        Aggregate::VarP => float(nearest_of_squares(&spread(&values), n * n)),
        Aggregate::Stdev => float(nearest_root(&spread(&values), n * (n - 1))),
        Aggregate::StdevP => float(nearest_root(&spread(&values), n * n)),
        Aggregate::PercentileCont(p) => Ok(cont(p, descending, &values)),
        Aggregate::PercentileDisc(p) => {
            one_family(&present)?;
            Ok(disc(p, descending, &values))
        }
    }
}

/// An aggregate from outside, from its first value to its last; never takes one back (choice C-EXTERNAL).
fn user(call: &AggregateCall, present: &[(Timestamp, &Value)]) -> Result<Value, String> {
    let Some(user) = &call.user else { return Err("an aggregate without a name".to_owned()) };
    let mut state = user.init()?;
    for (at, value) in present {
        state = user.accumulate(state, value, *at)?;
    }
    user.compute(&state)
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
    one_family(present)?;
    let mut best = present[0].1;
    for &(_, value) in present {
        let order = order(value, best).expect("values of one family compare");
        if order == side || (order == Ordering::Equal && matches!(value, Value::Int(_))) {
            best = value;
        }
    }
    Ok(best.clone())
}

/// Fails at the first event whose value does not compare with those before it.
fn one_family(present: &[(Timestamp, &Value)]) -> Result<(), Failure> {
    let first = present[0].1;
    match present.iter().find(|(_, value)| family(value) != family(first)) {
        Some((at, value)) => Err(Failure { at: *at, message: format!("{value} and {first} do not compare") }),
        None => Ok(()),
    }
}

/// What compares among itself in MIN and MAX (choice C-MINMAX).
fn family(value: &Value) -> Option<Type> {
    match value.kind() {
        Some(Type::Float) => Some(Type::Bigint),
        kind => kind,
    }
}
