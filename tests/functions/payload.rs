//! Payloads: one column for each sort of value, mostly what it should be, and at every edge of it.
//!
//! In half of the cases a column is of one type throughout, because then the engine computes it as a whole.

use std::sync::Arc;

use rewindow::choices::Choices;
use rewindow::generate::expression::{Column, Want};
use rewindow_query::{Record, Value};

const COLUMNS: [(&str, Want); 13] = [
    ("n", Want::Number),
    ("m", Want::Number),
    ("f", Want::Number),
    ("b", Want::Number),
    ("s", Want::Text),
    ("t", Want::Text),
    ("d", Want::Instant),
    ("e", Want::Instant),
    ("l", Want::Array),
    ("r", Want::Record),
    ("g", Want::Shape),
    ("x", Want::Anything),
    ("y", Want::Anything),
];

const INTS: [i64; 16] = [
    0,
    1,
    2,
    -1,
    3,
    10,
    i64::MAX,
    i64::MIN,
    9_007_199_254_740_993,
    -9_007_199_254_740_993,
    i64::MAX - 1,
    i64::MIN + 1,
    55_296,
    1 << 32,
    -19,
    400,
];
const FLOATS: [f64; 22] = [
    0.0,
    0.5,
    1.0,
    -1.0,
    2.5,
    -0.0,
    0.1,
    1e308,
    -1e308,
    f64::MAX,
    f64::MIN,
    5e-324,
    -5e-324,
    f64::MIN_POSITIVE,
    9_007_199_254_740_992.0,
    9_223_372_036_854_775_808.0,
    -9_223_372_036_854_775_808.0,
    1e22,
    123.9995,
    0.285,
    1e-7,
    4_503_599_627_370_497.5,
];
const TEXTS: [&str; 30] = [
    "",
    "a",
    "abc",
    "bab",
    "aB c",
    "  a\u{3000}",
    "\ta\r\n",
    "é",
    "e\u{301}a",
    "👩‍👩‍👧a",
    "𝔘",
    "a\0b",
    "\0",
    "ß",
    "ŉ",
    "İ",
    "ΣΑΣ",
    "12",
    " 12 ",
    "+7",
    "-9223372036854775808",
    "9223372036854775808",
    "1.5",
    "1e400",
    "NaN",
    "True",
    "0",
    "[a]",
    "%",
    "{\"a\": [1, {\"b\": 2.50}]}",
];
const INSTANTS: [&str; 14] = [
    "2024-03-05T10:20:30.1234567Z",
    "2024-02-29T00:00:00Z",
    "2024-12-29",
    "2023-01-01T23:59:59.9999999Z",
    "2024-03-31 06:00",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.9999999Z",
    "1900-02-28T12:00:00+14:00",
    "2024-03-05T10:20:30.12345678901Z",
    "2024-02-30T00:00:00Z",
    "0000-01-01T00:00:00Z",
    "10000-01-01T00:00:00Z",
    "2024-W10-2",
    "2024-03-05T10:20:30[Europe/Paris]",
];

/// What expressions may name.
pub(crate) fn columns() -> Vec<Column> {
    COLUMNS.map(|(name, usual)| Column { name: name.to_owned(), usual, ty: None }).to_vec()
}

/// Up to so many events.
pub(crate) fn events(choices: &mut dyn Choices, most: i64) -> Vec<Record> {
    // How often a column is of another sort, of 12, and NULL or missing, of 12: drawn for each case.
    let odd: Vec<u64> = COLUMNS.iter().map(|_| *choices.pick(&[0, 0, 1, 3])).collect();
    let none: Vec<u64> = COLUMNS.iter().map(|_| *choices.pick(&[0, 1, 1, 4])).collect();
    let count = choices.range(1, most);
    (0..count)
        .map(|_| {
            let mut members: Vec<(Arc<str>, Value)> = Vec::new();
            for (at, (name, want)) in COLUMNS.iter().enumerate() {
                if choices.chance(none[at], 12) {
                    if choices.chance(1, 2) {
                        members.push(((*name).into(), Value::Null));
                    }
                    continue;
                }
                let value = match *name {
                    _ if choices.chance(odd[at], 12) => anything(choices, 2),
                    "f" => Value::Float(*choices.pick(&FLOATS)),
                    "b" => Value::Bit(choices.chance(1, 2)),
                    "m" => Value::Int(choices.range(-3, 9)),
                    _ => of(choices, *want),
                };
                members.push(((*name).into(), value));
            }
            members.into_iter().collect()
        })
        .collect()
}

fn of(choices: &mut dyn Choices, want: Want) -> Value {
    match want {
        Want::Number => number(choices),
        Want::Text => text(choices),
        // Those that are none are behind.
        Want::Instant => {
            let most = if choices.chance(1, 12) { INSTANTS.len() } else { 9 };
            Value::text(*choices.pick(&INSTANTS[..most]))
        }
        Want::Array => {
            let count = choices.range(0, 3);
            Value::Array((0..count).map(|_| anything(choices, 1)).collect())
        }
        Want::Record => record(choices, 2),
        Want::Shape => shape(choices),
        Want::Anything => anything(choices, 2),
    }
}

fn number(choices: &mut dyn Choices) -> Value {
    match choices.index(4) {
        0 => Value::Int(choices.range(-3, 9)),
        1 => Value::Int(*choices.pick(&INTS)),
        2 => Value::Float(*choices.pick(&FLOATS)),
        _ => {
            // Any bits at all.
            let float = f64::from_bits(choices.range(i64::MIN, i64::MAX).cast_unsigned());
            Value::Float(if float.is_finite() { float } else { 0.25 })
        }
    }
}

fn text(choices: &mut dyn Choices) -> Value {
    if choices.chance(1, 2) {
        return Value::text(*choices.pick(&TEXTS));
    }
    let length = if choices.chance(1, 40) { 3_000 } else { choices.range(0, 8) };
    let letter = |choices: &mut dyn Choices| *choices.pick(&['a', 'b', 'c', 'A', ' ', '-', 'é', '\u{301}']);
    Value::text((0..length).map(|_| letter(choices)).collect::<String>())
}

fn record(choices: &mut dyn Choices, depth: u32) -> Value {
    let mut members: Vec<(Arc<str>, Value)> = Vec::new();
    for name in ["a", "A", "b", "c", "0", "1"] {
        if choices.chance(1, 2) {
            members.push((name.into(), anything(choices, depth.saturating_sub(1))));
        }
    }
    Value::Record(Arc::new(Record::new(members)))
}

fn anything(choices: &mut dyn Choices, depth: u32) -> Value {
    match choices.weighted(&[3, 3, 2, 2, u64::from(depth), u64::from(depth), 1]) {
        0 => number(choices),
        1 => text(choices),
        2 => Value::Bit(choices.chance(1, 2)),
        3 => of(choices, Want::Instant),
        4 => record(choices, depth),
        5 => {
            let count = choices.range(0, 2);
            Value::Array((0..count).map(|_| anything(choices, depth - 1)).collect())
        }
        _ => Value::Null,
    }
}

/// GeoJSON, mostly as it should be.
fn shape(choices: &mut dyn Choices) -> Value {
    let position = |choices: &mut dyn Choices| {
        let mut numbers: Vec<Value> = Vec::new();
        for _ in 0..(if choices.chance(1, 30) { choices.range(0, 3) } else { 2 }) {
            numbers.push(match choices.index(3) {
                0 => Value::Int(choices.range(0, 4)),
                1 => Value::Float(choices.range(-90_000, 90_000) as f64 / 1_000.0),
                _ if choices.chance(1, 10) => anything(choices, 0),
                _ => Value::Int(choices.range(0, 4)),
            });
        }
        Value::Array(numbers.into())
    };
    let line = |choices: &mut dyn Choices| {
        let least = if choices.chance(1, 20) { 0 } else { 3 };
        let count = choices.range(least, 6);
        let mut points: Vec<Value> = (0..count).map(|_| position(choices)).collect();
        if choices.chance(1, 2) {
            points.extend(points.first().cloned());
        }
        Value::Array(points.into())
    };
    let (kind, coordinates) = match choices.index(3) {
        0 => ("Point", position(choices)),
        1 => ("LineString", line(choices)),
        // Any points make a polygon, but few make a valid one.
        2 if choices.chance(2, 3) => {
            let (x, y) = (choices.range(0, 4), choices.range(0, 4));
            let (wide, high) = (choices.range(1, 4), choices.range(1, 4));
            let corner = |(dx, dy): (i64, i64)| Value::Array([Value::Int(x + dx), Value::Int(y + dy)].into());
            let corners = [(0, 0), (wide, 0), (wide, high), (0, high), (0, 0)].map(corner);
            ("Polygon", Value::Array([Value::Array(corners.to_vec().into())].into()))
        }
        _ => {
            let count = if choices.chance(1, 8) { choices.range(0, 2) } else { 1 };
            ("Polygon", Value::Array((0..count).map(|_| line(choices)).collect()))
        }
    };
    let kind = if choices.chance(1, 30) { "polygon" } else { kind };
    let members = vec![("type".into(), Value::text(kind)), ("coordinates".into(), coordinates)];
    Value::Record(Arc::new(Record::new(members)))
}
