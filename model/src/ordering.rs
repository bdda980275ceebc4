//! Section 3: raw entries to events with a timestamp, in the order in which the query sees them.
//!
//! For each partition, and with TIMESTAMP BY … OVER for each value of its tuple (rule 3.9, choice
//! C-SUBSTREAM), in order of offsets (rule 3.4), with L the late and O the out-of-order tolerance:
//!
//! ```text
//! 1  et > arrival + 5 min     early: dropped, and the maximum does not move
//! 2  et < arrival - L         late: moved to arrival - L, or dropped
//! 3  ts < max - O             out of order: moved to max - O, or dropped
//! 4  max becomes at least ts
//! ```
//!
//! Equality is always in time. Without TIMESTAMP BY the arrival is the timestamp and none of this
//! applies. Estimates of the arrival clock change only when results appear, not what they contain
//! (rule 3.7), so here they are no entries at all.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rewindow_query::plan::{Source, SourceColumn};
use rewindow_query::{
    Dropped, Entry, Ordering, Payload, Policy, Reason, Record, Span, Timestamp, Type, Value,
};

use crate::cast::whole;
use crate::dates::instant;
use crate::eval::evaluate;
use crate::fact::Fact;
use crate::lag::key;

pub(crate) fn order(
    source: &Source,
    ordering: &Ordering,
    entries: &[&Entry],
    dropped: &mut BTreeSet<Dropped>,
) -> Vec<Fact> {
    let mut entries: Vec<&Entry> = entries.iter().copied().filter(|e| e.input == source.input).collect();
    entries.sort_by_key(|entry| (entry.partition, entry.offset));
    let mut seen_max: BTreeMap<(u32, Vec<Value>), Timestamp> = BTreeMap::new();
    let mut facts = Vec::new();
    for entry in entries {
        match stamp(source, ordering, entry, &mut seen_max) {
            Stamped::At(timestamp, payload) => {
                facts.push(Fact::new(timestamp, columns(source, entry, &payload, timestamp)));
            }
            Stamped::Dropped(reason) => {
                let Entry { input, partition, offset, .. } = *entry;
                dropped.insert(Dropped { input, partition, offset, reason });
            }
            Stamped::Nothing => {}
        }
    }
    facts.sort_by_key(|fact| fact.timestamp); // stable: ties by (partition, offset), rule 3.6
    facts
}

/// The watermark of a partition after each of its entries, in order of offsets (rule 3.7): what was seen less
/// the out-of-order tolerance, or the arrival clock. With substreams it is the clock alone (rule 3.9). An event
/// that is early or cannot be read moves nothing.
pub(crate) fn watermarks(source: &Source, ordering: &Ordering, entries: &[&Entry]) -> Vec<Timestamp> {
    let late = if source.timestamp_by.is_some() { ordering.late } else { Span::ZERO };
    let (mut seen_max, mut watermark) = (BTreeMap::new(), Timestamp::MIN);
    let mut after = |entry: &&Entry| {
        let arrived = clock(late, entry.arrival);
        let reached = match (&entry.payload, stamp(source, ordering, entry, &mut seen_max)) {
            (_, Stamped::At(seen, _)) if source.timestamp_by.is_some() && source.over.is_empty() => {
                arrived.max(seen.minus(ordering.out_of_order))
            }
            (Payload::Estimate, _) | (_, Stamped::At(..)) => arrived,
            (_, Stamped::Dropped(Reason::Late | Reason::OutOfOrder)) => arrived,
            _ => Timestamp::MIN,
        };
        watermark = watermark.max(reached);
        watermark
    };
    entries.iter().map(&mut after).collect()
}

/// The arrival clock less the late tolerance: no event that is still to come is stamped earlier.
pub(crate) fn clock(late: Span, arrival: Timestamp) -> Timestamp {
    arrival.minus(late)
}

enum Stamped {
    /// An event as its CREATE TABLE reads it, and its timestamp after the policies.
    At(Timestamp, Arc<Record>),
    /// An event that does not reach the query.
    Dropped(Reason),
    /// No event.
    Nothing,
}

/// `seen_max` holds the largest timestamp so far of each partition and tuple.
fn stamp(
    source: &Source,
    ordering: &Ordering,
    entry: &Entry,
    seen_max: &mut BTreeMap<(u32, Vec<Value>), Timestamp>,
) -> Stamped {
    let arrival = entry.arrival;
    let payload = match &entry.payload {
        Payload::Event(payload) => payload,
        Payload::Malformed(_) => return Stamped::Dropped(Reason::Deserialization), // rule 1.5
        Payload::Estimate => return Stamped::Nothing,
    };
    let Some(payload) = fitted(&source.table, payload) else {
        return Stamped::Dropped(Reason::Deserialization); // rule 1.8
    };
    let Some(timestamp_by) = &source.timestamp_by else {
        return Stamped::At(arrival, payload);
    };
    let raw = Fact::new(arrival, columns(source, entry, &payload, arrival));
    let Ok(own) = evaluate(timestamp_by, &raw).and_then(|value| instant(&value)) else {
        return Stamped::Dropped(Reason::Timestamp); // rules 2.8, 14.1
    };
    let tuple = match key(&source.over, &raw) {
        Ok(tuple) if !tuple.iter().any(Value::is_null) => tuple,
        _ => return Stamped::Dropped(Reason::TimestampKey), // rules 2.8, 14.1
    };
    if own > arrival.plus(Span::EARLY) {
        return Stamped::Dropped(Reason::Early);
    }
    let seen_max = seen_max.entry((entry.partition, tuple)).or_insert(Timestamp::MIN);
    let mut timestamp = own;
    for (earliest, reason) in [
        (arrival.minus(ordering.late), Reason::Late),
        (seen_max.minus(ordering.out_of_order), Reason::OutOfOrder),
    ] {
        if timestamp < earliest {
            match ordering.policy {
                Policy::Adjust => timestamp = earliest,
                Policy::Drop => return Stamped::Dropped(reason),
            }
        }
    }
    *seen_max = timestamp.max(*seen_max);
    Stamped::At(timestamp, payload)
}

/// The payload with its declared members converted; none if one of them does not fit (choice C-TABLE).
pub(crate) fn fitted(table: &[(Arc<str>, Type)], payload: &Arc<Record>) -> Option<Arc<Record>> {
    if table.is_empty() {
        return Some(payload.clone());
    }
    let mut members = payload.members().to_vec();
    for (name, to) in table {
        let exact = members.iter().position(|(member, _)| member == name);
        let found =
            exact.or_else(|| members.iter().position(|(member, _)| member.eq_ignore_ascii_case(name)));
        if let Some(place) = found {
            members[place].1 = fit(&members[place].1, *to)?;
        }
    }
    Some(Arc::new(Record::new(members)))
}

/// The value as the declared type, if nothing is lost; NULL fits every type.
fn fit(value: &Value, to: Type) -> Option<Value> {
    match (to, value) {
        (_, Value::Null) => Some(Value::Null),
        (to, value) if value.kind() == Some(to) => Some(value.clone()),
        (Type::Bigint, Value::Float(float)) if float.fract() == 0.0 => whole(*float).map(Value::Int),
        (Type::Float, Value::Int(int)) => Some(Value::Float(*int as f64)), // the nearest float
        (Type::Datetime, Value::Text(text)) => Timestamp::parse(text).map(Value::Datetime),
        (Type::Bit, Value::Int(int @ (0 | 1))) => Some(Value::Bit(*int == 1)),
        _ => None,
    }
}

/// What the query takes out of an entry. Only the timestamp is moved by the policies, never the payload
/// (rule 3.4).
fn columns(source: &Source, entry: &Entry, payload: &Arc<Record>, timestamp: Timestamp) -> Vec<Value> {
    let column = |column: &SourceColumn| match column {
        SourceColumn::Member(name) => payload.get(name).cloned().unwrap_or(Value::Null),
        SourceColumn::Payload => Value::Record(payload.clone()),
        SourceColumn::PartitionId => Value::Int(entry.partition.into()),
        SourceColumn::Arrival => Value::Datetime(entry.arrival),
        SourceColumn::Timestamp => Value::Datetime(timestamp),
    };
    source.columns.iter().map(column).collect()
}
