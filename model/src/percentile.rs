//! Section 6 (PERCENTILE_CONT, PERCENTILE_DISC), choice C-PERCENTILE.
//!
//! ```text
//!   values      .78     .89     .93     .98     .99
//!   places       0       1       2       3       4
//!   p = .95                                 ^ .95 * 4 = 3.8     CONT .988    DISC .99, the first with share 1 >= p
//! ```
//!
//! Values are not NULL, there is at least one, and they compare among themselves.

use rewindow_query::Value;

use crate::arithmetic::{as_float, number};

/// The value at place `p * (n - 1)`, between two places in proportion. Every operation is one on floats.
pub(crate) fn cont(p: f64, descending: bool, values: &[&Value]) -> Value {
    let float = |value: &Value| as_float(&number(value).expect("values are prepared as numbers"));
    let values: Vec<f64> = sorted(descending, values).into_iter().map(float).collect();
    let place = p * ((values.len() - 1) as f64);
    let (below, fraction) = (place.floor(), place - place.floor());
    let a = values[below as usize];
    let between = match values.get(below as usize + 1) {
        Some(&b) if fraction > 0.0 => (a * (1.0 - fraction) + b * fraction).clamp(a.min(b), a.max(b)),
        _ => a,
    };
    Value::Float(between + 0.0) // no -0
}

/// The first value whose share of the values up to it is at least p.
pub(crate) fn disc(p: f64, descending: bool, values: &[&Value]) -> Value {
    let n = values.len();
    let enough = |place: &usize| (*place as f64) / (n as f64) >= p;
    let place = (1..=n).find(enough).unwrap_or(n);
    match sorted(descending, values)[place - 1] {
        Value::Float(float) => Value::Float(float + 0.0), // no -0
        value => value.clone(),
    }
}

/// In the order of C-KEY, which is that of C-MINMAX with a bigint before an equal float.
fn sorted<'a>(descending: bool, values: &[&'a Value]) -> Vec<&'a Value> {
    let mut sorted = values.to_vec();
    sorted.sort();
    if descending {
        sorted.reverse();
    }
    sorted
}
