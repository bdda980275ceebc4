//! Small dense histories: ties, exact edges, late, early, out of order, malformed, idle.
//!
//! Instants lie on a grid of seconds, most of them, so that windows, bounds and tolerances of whole
//! seconds are met exactly; the rest is a tick beside. Knows the tolerances, to hit their edges.

use std::sync::Arc;

use rewindow_query::event::Reference;
use rewindow_query::time::SECOND;
use rewindow_query::{Entry, History, Ordering, Payload, Record, Span, Timestamp, Value};
use rewindow_world::case::CaseInput;

use crate::choices::Choices;

/// 2024-01-01T00:00:00Z.
const BEGIN: Timestamp = Timestamp(63_839_664_000 * SECOND);

/// Most entries of a small history.
const ENTRIES_MAX: u64 = 30;

/// A history of at most 30 entries.
///
/// `extras`: members besides t, k, n and x that the query may see.
pub(super) fn small(
    choices: &mut dyn Choices,
    inputs: &[CaseInput],
    ordering: &Ordering,
    extras: &[Arc<str>],
) -> History {
    let count = choices.draw(ENTRIES_MAX + 1);
    let begin = BEGIN.plus(Span::seconds(choices.range(0, 60)));
    let mut arrival = begin;
    let mut next: Vec<Vec<u64>> = inputs.iter().map(|input| vec![0; input.partitions as usize]).collect();
    let mut entries = Vec::new();
    for _ in 0..count {
        arrival = arrival.plus(pause(choices));
        let input = choices.index(inputs.len());
        let partition = choices.index(inputs[input].partitions as usize);
        let payload = payload(choices, arrival, ordering, extras);
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

fn payload(
    choices: &mut dyn Choices,
    arrival: Timestamp,
    ordering: &Ordering,
    extras: &[Arc<str>],
) -> Payload {
    match choices.weighted(&[40, 1, 1]) {
        0 => Payload::Event(Arc::new(event(choices, arrival, ordering, extras))),
        1 => Payload::Malformed("{\"t\":".into()),
        _ => Payload::Estimate,
    }
}

fn event(choices: &mut dyn Choices, arrival: Timestamp, ordering: &Ordering, extras: &[Arc<str>]) -> Record {
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
    for name in extras {
        if choices.chance(2, 3) {
            members.push((name.clone(), extra(choices, name, arrival)));
        }
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

/// What the columns of that name usually hold; seldom something else.
fn extra(choices: &mut dyn Choices, name: &str, arrival: Timestamp) -> Value {
    if choices.chance(1, 20) {
        return anything(choices);
    }
    match name {
        "s" => Value::text(*choices.pick(&["a", "b", "Ab", " a b ", "", "12", "1.5", "a%_[", "é", "x-y-z"])),
        "d" => {
            let at = arrival.plus(Span::seconds(choices.range(-5, 5)));
            Value::text(match choices.chance(1, 4) {
                true => choices
                    .pick(&["2024-02-29", "2024-12-31T23:59:59.9999999Z", "1999-12-31T24:00"])
                    .to_string(),
                false => at.to_string(),
            })
        }
        "tags" => {
            let count = choices.range(0, 3);
            Value::Array((0..count).map(|_| element(choices)).collect::<Vec<_>>().into())
        }
        "rec" => record(choices, 2),
        _ => place(choices),
    }
}

fn element(choices: &mut dyn Choices) -> Value {
    match choices.weighted(&[5, 3, 1, 1]) {
        0 => number(choices),
        1 => key(choices),
        2 => record(choices, 1),
        _ => Value::Array(vec![number(choices)].into()),
    }
}

fn record(choices: &mut dyn Choices, depth: u32) -> Value {
    let mut members: Vec<(Arc<str>, Value)> = Vec::new();
    for name in ["a", "b", "c", "A"] {
        if !choices.chance(1, 3) {
            let value = match name {
                "a" => number(choices),
                "b" => Value::Array(vec![number(choices), key(choices)].into()),
                "c" if depth > 0 => record(choices, depth - 1),
                _ => key(choices),
            };
            members.push((name.into(), value));
        }
    }
    Value::Record(Arc::new(members.into_iter().collect()))
}

/// GeoJSON, or the same as text.
fn place(choices: &mut dyn Choices) -> Value {
    let mut point = || (choices.range(-2, 2), choices.range(-2, 2));
    let (points, of) = ([point(), point(), point()], choices.weighted(&[4, 2, 2, 2]));
    let number = |n: i64| if n % 2 == 0 { Value::Int(n) } else { Value::Float(n as f64 / 2.0) };
    let pair = |(x, y): (i64, i64)| Value::Array(vec![number(x), number(y)].into());
    let array =
        |points: &[(i64, i64)]| Value::Array(points.iter().map(|p| pair(*p)).collect::<Vec<_>>().into());
    let shape = |ty: &str, coordinates: Value| {
        let members = [("type".into(), Value::text(ty)), ("coordinates".into(), coordinates)];
        Value::Record(Arc::new(members.into_iter().collect()))
    };
    let (x, y) = points[0];
    match of {
        0 => shape("Point", pair(points[0])),
        1 => Value::text(format!("POINT ({x} {y})")),
        2 => shape("LineString", array(&[points[0], points[1]])),
        _ => {
            let ring = [(x, y), (x + 2, y), (x + 2, y + 2), (x, y)];
            shape("Polygon", Value::Array(vec![array(&ring)].into()))
        }
    }
}

/// Reference data of a few small versions, some of one time, some without rows.
pub(super) fn reference(choices: &mut dyn Choices) -> Reference {
    let mut versions = Vec::new();
    let mut from = BEGIN.minus(Span::seconds(choices.range(0, 1)));
    for _ in 0..choices.range(1, 4) {
        let count = if choices.chance(1, 8) { 0 } else { choices.range(1, 5) };
        let rows = (0..count).map(|_| Arc::new(reference_row(choices))).collect();
        versions.push((from, rows));
        from = from.plus(Span::seconds(*choices.pick(&[30, 0, 7, 60])));
    }
    Reference { versions }
}

fn reference_row(choices: &mut dyn Choices) -> Record {
    let mut members: Vec<(Arc<str>, Value)> = vec![("k".into(), key(choices)), ("v".into(), number(choices))];
    if choices.chance(1, 3) {
        members.push(("w".into(), anything(choices)));
    }
    members.into_iter().collect()
}

fn anything(choices: &mut dyn Choices) -> Value {
    match choices.weighted(&[3, 2, 2, 2, 1, 1, 1]) {
        0 => number(choices),
        1 => Value::Bit(choices.chance(1, 2)),
        2 => Value::text(*choices.pick(&["", "a", "12", "1.5", "A", "2024-01-01T00:00:05Z", "é"])),
        3 => Value::Null,
        4 => Value::Array(vec![number(choices), key(choices)].into()),
        5 => Value::Record(Arc::new([("a".into(), number(choices))].into_iter().collect())),
        _ => Value::Int(*choices.pick(&[i64::MAX, i64::MIN, 9_007_199_254_740_993])),
    }
}
