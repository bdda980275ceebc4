//! Aggregates of values kept as they came: percentiles, COLLECT, COLLECTTOP, TOPONE (choices C-PERCENTILE,
//! C-COLLECT).
//!
//! Knows no windows. What is taken back is always the oldest, so the content is a queue in processing order,
//! and a result is computed from the whole of it. Invariant: a list holds what its argument lets pass, see
//! [`crate::calls::Calls::measure`].

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::sync::Arc;

use rewindow_query::expr::Expr;
use rewindow_query::functions::ExternalAggregate;
use rewindow_query::plan::{Aggregate, AggregateCall};
use rewindow_query::value::compare_int_float;
use rewindow_query::{Record, Value};

use crate::calls::decimal;
use crate::user;

/// What is kept of an argument.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum List {
    /// Nothing.
    None,
    /// COLLECT: all values.
    Collect,
    /// COLLECTTOP and TOPONE: all values, each in a record with what it is ordered by.
    Top(Order),
    /// PERCENTILE_CONT: values that are not NULL.
    Cont,
    /// PERCENTILE_DISC: values that are not NULL.
    Disc,
    /// An aggregate from outside: values that are not NULL, each in a record with its timestamp.
    User(Arc<ExternalAggregate>),
}

/// The ORDER BY of COLLECTTOP and TOPONE, and how many come out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Order {
    most: usize,
    /// DESC, for each order key.
    descending: Vec<bool>,
}

impl List {
    /// What a call needs.
    pub fn of(call: &AggregateCall) -> List {
        let order = |most| {
            let descending = call.order.iter().map(|(_, descending)| *descending).collect();
            List::Top(Order { most, descending })
        };
        match call.function {
            Aggregate::Collect => List::Collect,
            Aggregate::CollectTop(most) => order(most as usize),
            Aggregate::TopOne => order(1),
            Aggregate::PercentileCont(_) => List::Cont,
            Aggregate::PercentileDisc(_) => List::Disc,
            Aggregate::User => call.user.clone().map_or(List::None, List::User),
            _ => List::None,
        }
    }

    /// What is evaluated for a call of this argument: with order keys a record of the value and the keys.
    pub fn expr(&self, argument: &Expr, call: &AggregateCall) -> Expr {
        match self {
            List::User(_) => return user::expr(argument),
            List::Top(_) => {}
            _ => return argument.clone(),
        }
        let keys = call.order.iter().enumerate().map(|(at, (key, _))| (at.to_string().into(), key.clone()));
        Expr::Record(std::iter::once((Arc::from("value"), argument.clone())).chain(keys).collect())
    }

    /// Whether the value is not kept.
    pub fn skips(&self, value: &Value) -> bool {
        match self {
            List::None => true,
            List::Collect | List::Top(_) => false,
            List::Cont | List::Disc => value.is_null(),
            List::User(_) => user::parts(value).is_none_or(|(value, _)| value.is_null()),
        }
    }

    /// Whether values are only kept, neither counted nor compared.
    pub fn is_all(&self) -> bool {
        matches!(self, List::Collect | List::Top(_) | List::User(_))
    }
}

impl Order {
    /// Why a record of value and order keys is none, if it is none.
    pub fn refuse(&self, value: &Value) -> Option<String> {
        let Value::Record(record) = value else { return Some("no value to be ordered".to_owned()) };
        let members = record.members();
        if members.len() != self.descending.len() + 1 {
            return Some("a value with as many order keys as asked for".to_owned());
        }
        let unfit = |key: &&Value| {
            !matches!(key, Value::Null | Value::Bit(_) | Value::Int(_) | Value::Float(_) | Value::Datetime(_))
        };
        let found = members[1..].iter().map(|(_, key)| key).find(unfit)?;
        let kind = found.kind().map_or("NULL", |kind| kind.name());
        Some(format!("{kind} {found} cannot be ordered by"))
    }

    /// The first values in this order, of equals the older first.
    pub fn first(&self, list: &VecDeque<Value>) -> Vec<Value> {
        let value = |place: usize| members(&list[place]).first().map(|(_, v)| v.clone()).unwrap_or_default();
        self.places(list).into_iter().map(value).collect()
    }

    /// Forgets what can never come out, once it is most of the list.
    pub fn prune(&self, list: &mut VecDeque<Value>) {
        if list.len() >= self.most.saturating_mul(2).saturating_add(16) {
            let mut places = self.places(list);
            places.sort_unstable();
            *list = places.into_iter().map(|place| std::mem::take(&mut list[place])).collect();
        }
    }

    fn places(&self, list: &VecDeque<Value>) -> Vec<usize> {
        let compare = |&a: &usize, &b: &usize| self.compare(&list[a], &list[b]).then(a.cmp(&b));
        if self.most == 1 {
            return (0..list.len()).min_by(compare).into_iter().collect();
        }
        let mut places: Vec<usize> = (0..list.len()).collect();
        if self.most == 0 {
            return Vec::new();
        }
        if places.len() > self.most {
            places.select_nth_unstable_by(self.most - 1, compare);
            places.truncate(self.most);
        }
        places.sort_unstable_by(compare);
        places
    }

    fn compare(&self, a: &Value, b: &Value) -> Ordering {
        let keys = members(a).iter().zip(members(b)).skip(1).zip(&self.descending);
        let key = |((a, b), descending): ((&Member, &Member), &bool)| {
            let order = compare(&a.1, &b.1);
            if *descending { order.reverse() } else { order }
        };
        keys.map(key).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    }
}

type Member = (Arc<str>, Value);

fn members(value: &Value) -> &[Member] {
    match value {
        Value::Record(record) => record.members(),
        _ => &[],
    }
}

/// The order of ORDER BY: NULL, numbers by exact value with a bit as 0 or 1, datetimes (C-COLLECT).
fn compare(a: &Value, b: &Value) -> Ordering {
    let plain = |value: &Value| match value {
        Value::Bit(bit) => Value::Int(i64::from(*bit)),
        value => value.clone(),
    };
    match (&plain(a), &plain(b)) {
        (Value::Int(a), Value::Float(b)) => compare_int_float(*a, *b),
        (Value::Float(a), Value::Int(b)) => compare_int_float(*b, *a).reverse(),
        (a, b) => a.cmp(b),
    }
}

/// The array that COLLECTTOP gives: records of rank, from 1, and value.
pub fn ranked(values: impl Iterator<Item = Value>) -> Value {
    let record = |(at, value): (usize, Value)| {
        let members = vec![("rank".into(), Value::Int(at as i64 + 1)), ("value".into(), value)];
        Value::Record(Arc::new(Record::new(members)))
    };
    Value::Array(values.enumerate().map(record).collect())
}

/// Linear interpolation at `p * (n - 1)` (rule 6.1); NULL of nothing.
pub fn percentile_cont(list: &VecDeque<Value>, p: f64, descending: bool) -> Value {
    let mut floats: Vec<f64> = list.iter().map(float).collect();
    let Some(last) = floats.len().checked_sub(1) else { return Value::Null };
    floats.sort_unstable_by(|a, b| if descending { b.total_cmp(a) } else { a.total_cmp(b) });
    let place = p * last as f64;
    let below = place.floor();
    let (part, at) = (place - below, (below as usize).min(last));
    let found = if part == 0.0 || at == last {
        floats[at]
    } else {
        let (a, b) = (floats[at], floats[at + 1]);
        (a * (1.0 - part) + b * part).clamp(a.min(b), a.max(b))
    };
    // A zero has no sign.
    Value::Float(found + 0.0)
}

fn float(value: &Value) -> f64 {
    match value {
        Value::Int(int) => *int as f64,
        Value::Bit(bit) => f64::from(u8::from(*bit)),
        Value::Float(float) => *float,
        Value::Text(text) => decimal(text).unwrap_or_default(),
        _ => 0.0,
    }
}

/// The first value whose share reaches `p` (rule 6.1); NULL of nothing.
pub fn percentile_disc(list: &VecDeque<Value>, p: f64, descending: bool) -> Value {
    let Some(last) = list.len().checked_sub(1) else { return Value::Null };
    let count = list.len() as f64;
    let places: Vec<usize> = (0..list.len()).collect();
    let at = places.partition_point(|&at| ((at + 1) as f64) / count < p).min(last);
    let mut values: Vec<Value> = list.iter().cloned().collect();
    // Of equals the bigint stands in front of the float, in DESC behind it.
    let compare = |a: &Value, b: &Value| if descending { b.cmp(a) } else { a.cmp(b) };
    values.select_nth_unstable_by(at, compare);
    match values.swap_remove(at) {
        // The two zeros are equal, and nothing says which of them stands first.
        Value::Float(float) => Value::Float(float + 0.0),
        other => other,
    }
}
