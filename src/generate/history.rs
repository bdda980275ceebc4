//! Small dense histories: ties, exact edges, late, early, out of order, malformed, idle.
//!
//! Instants lie on a grid of seconds, most of them, so that windows, bounds and tolerances of whole
//! seconds are met exactly; the rest is a tick beside. Knows the tolerances, to hit their edges.

use std::sync::Arc;

use rewindow_query::time::SECOND;
use rewindow_query::{Entry, History, Ordering, Payload, Record, Span, Timestamp, Value};
use rewindow_world::case::CaseInput;

use crate::choices::Choices;

/// 2024-01-01T00:00:00Z.
const BEGIN: Timestamp = Timestamp(63_839_664_000 * SECOND);

/// Most entries of a small history.
const ENTRIES_MAX: u64 = 30;

/// A history of at most 30 entries.
pub(super) fn small(choices: &mut dyn Choices, inputs: &[CaseInput], ordering: &Ordering) -> History {
    let count = choices.draw(ENTRIES_MAX + 1);
    let begin = BEGIN.plus(Span::seconds(choices.range(0, 60)));
    let mut arrival = begin;
    let mut next: Vec<Vec<u64>> = inputs.iter().map(|input| vec![0; input.partitions as usize]).collect();
    let mut entries = Vec::new();
    for _ in 0..count {
        arrival = arrival.plus(pause(choices));
        let input = choices.index(inputs.len());
        let partition = choices.index(inputs[input].partitions as usize);
        let payload = payload(choices, arrival, ordering);
        let offset = next[input][partition];
        next[input][partition] += 1;
        let partition = u32::try_from(partition).expect("an index below a u32");
        entries.push(Entry { input, partition, offset, arrival, payload });
    }
    History::of(entries)
}

fn pause(choices: &mut dyn Choices) -> Span {
    match choices.weighted(&[6, 4, 1, 1, 1]) {
        0 => Span::seconds(1),
        1 => Span::ZERO,
        2 => Span::seconds(choices.range(2, 8)),
        3 => Span::seconds(choices.range(20, 400)),
        _ => Span(choices.range(1, SECOND)),
    }
}

fn payload(choices: &mut dyn Choices, arrival: Timestamp, ordering: &Ordering) -> Payload {
    match choices.weighted(&[40, 1, 1]) {
        0 => Payload::Event(Arc::new(event(choices, arrival, ordering))),
        1 => Payload::Malformed("{\"t\":".into()),
        _ => Payload::Estimate,
    }
}

fn event(choices: &mut dyn Choices, arrival: Timestamp, ordering: &Ordering) -> Record {
    let mut members: Vec<(Arc<str>, Value)> = Vec::new();
    match choices.weighted(&[40, 1, 1, 1]) {
        0 => {
            let at = arrival.minus(distance(choices, ordering));
            members.push(("t".into(), Value::text(at.to_string())));
        }
        1 => members.push(("t".into(), Value::Null)),
        2 => members.push(("t".into(), Value::text("soon"))),
        _ => {}
    }
    members.push(("k".into(), key(choices)));
    if !choices.chance(1, 10) {
        members.push(("n".into(), number(choices)));
    }
    if choices.chance(1, 2) {
        members.push(("x".into(), anything(choices)));
    }
    members.into_iter().collect()
}

/// How far an event's own time lies behind its arrival.
fn distance(choices: &mut dyn Choices, ordering: &Ordering) -> Span {
    let tick = Span(choices.range(-1, 1));
    match choices.weighted(&[10, 6, 3, 3, 3, 1]) {
        0 => Span::ZERO,
        1 => Span::seconds(choices.range(0, 6)),
        2 => ordering.late.plus(tick),
        3 => ordering.out_of_order.plus(tick),
        // Nearly as far ahead as may be: a replay must reach back five minutes more to see it.
        4 => Span(-Span::EARLY.0).plus(Span::seconds(choices.range(0, 8))).plus(tick),
        _ => Span::seconds(choices.range(-10, 60)),
    }
}

fn key(choices: &mut dyn Choices) -> Value {
    match choices.weighted(&[6, 4, 1, 1, 1]) {
        0 => Value::text("a"),
        1 => Value::text("b"),
        2 => Value::Null,
        3 => Value::Int(1),
        _ => Value::Float(1.0),
    }
}

/// A number or NULL; never too large for sums of a few.
fn number(choices: &mut dyn Choices) -> Value {
    match choices.weighted(&[8, 3, 2, 1]) {
        0 => Value::Int(choices.range(0, 4)),
        1 => Value::Float(*choices.pick(&[0.5, 0.1, 0.2, -0.0, 1e16, -1e16, 3.0])),
        2 => Value::Null,
        _ => Value::Int(choices.range(-1_000_000, 1_000_000)),
    }
}

fn anything(choices: &mut dyn Choices) -> Value {
    match choices.weighted(&[3, 2, 2, 2, 1, 1, 1]) {
        0 => number(choices),
        1 => Value::Bit(choices.chance(1, 2)),
        2 => Value::text(*choices.pick(&["", "a", "12", "1.5", "A", "2024-01-01T00:00:05Z", "é"])),
        3 => Value::Null,
        4 => Value::Array(vec![number(choices), key(choices)].into()),
        5 => Value::Record(Arc::new([("y".into(), number(choices))].into_iter().collect())),
        _ => Value::Int(*choices.pick(&[i64::MAX, i64::MIN, 9_007_199_254_740_993])),
    }
}
