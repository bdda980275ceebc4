//! Section 3: raw entries to events with a timestamp, in the order in which the query sees them.
//!
//! For each partition, in order of offsets (rule 3.4), with L the late and O the out-of-order tolerance:
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
use rewindow_query::{Dropped, Entry, Ordering, Payload, Policy, Reason, Record, Span, Timestamp, Value};

use crate::eval::evaluate;
use crate::fact::{Fact, Failures};

pub(crate) fn order(
    source: &Source,
    ordering: &Ordering,
    entries: &[&Entry],
    dropped: &mut BTreeSet<Dropped>,
    failures: &mut Failures,
) -> Vec<Fact> {
    let mut entries: Vec<&Entry> = entries.iter().copied().filter(|e| e.input == source.input).collect();
    entries.sort_by_key(|entry| (entry.partition, entry.offset));
    let mut seen_max: BTreeMap<u32, Timestamp> = BTreeMap::new();
    let mut facts = Vec::new();
    for entry in entries {
        let seen_max = seen_max.entry(entry.partition).or_insert(Timestamp::MIN);
        match stamp(source, ordering, entry, *seen_max, failures) {
            Stamped::At(timestamp, payload) => {
                *seen_max = timestamp.max(*seen_max);
                facts.push(Fact::new(timestamp, columns(source, entry, payload, timestamp)));
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

enum Stamped<'a> {
    /// An event and its timestamp after the policies.
    At(Timestamp, &'a Arc<Record>),
    /// An event that does not reach the query.
    Dropped(Reason),
    /// No event, or one whose TIMESTAMP BY failed the job.
    Nothing,
}

fn stamp<'a>(
    source: &Source,
    ordering: &Ordering,
    entry: &'a Entry,
    seen_max: Timestamp,
    failures: &mut Failures,
) -> Stamped<'a> {
    let arrival = entry.arrival;
    let payload = match &entry.payload {
        Payload::Event(payload) => payload,
        Payload::Malformed(_) => return Stamped::Dropped(Reason::Deserialization), // rule 1.5
        Payload::Estimate => return Stamped::Nothing,
    };
    let Some(timestamp_by) = &source.timestamp_by else {
        return Stamped::At(arrival, payload);
    };
    let raw = Fact::new(arrival, columns(source, entry, payload, arrival));
    let Some(value) = failures.note(arrival, evaluate(timestamp_by, &raw)) else {
        return Stamped::Nothing;
    };
    let own = match value {
        Value::Datetime(own) => own,
        Value::Text(text) => match Timestamp::parse(&text) {
            Some(own) => own,
            None => return Stamped::Dropped(Reason::Timestamp), // rule 2.8
        },
        _ => return Stamped::Dropped(Reason::Timestamp),
    };
    if own > arrival.plus(Span::EARLY) {
        return Stamped::Dropped(Reason::Early);
    }
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
    Stamped::At(timestamp, payload)
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
