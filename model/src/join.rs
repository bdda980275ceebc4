//! Section 8 (stream join): every pair of rows for which ON holds, duplicates kept (rule 8.3).
//!
//! ```text
//!   DATEDIFF(minute, left, right) BETWEEN 0 AND 1 counts boundaries, both ends inclusive (rule 8.2):
//!
//!   left        |      12:00:59             |
//!   right       |12:00:00 ...      12:01:59.9999999|    the whole of its own minute and of the next
//! ```
//!
//! A pair is stamped with the later of its two rows. A left row of a LEFT JOIN without any partner comes
//! out once, with NULLs, stamped `ts(left) + high` units, with `high < 0` `ts(left)` (rule 8.4,
//! A-LEFTJOIN-TS), and never before the row itself is there (choice C-LEFTJOIN).
//!
//! ON alone defines what matches. The bound and the equalities that the analysis found in it only
//! say which pairs it is asked about: keys are evaluated for every row, the whole of ON for the pairs that
//! satisfy both (choice C-EVAL).

use std::collections::BTreeMap;

use rewindow_query::expr::{CompareOp, Expr};
use rewindow_query::plan::Join;
use rewindow_query::{Span, Timestamp, Value};

use crate::dates::boundaries;
use crate::eval::{compare, evaluate, holds};
use crate::fact::{Fact, Failures};

/// `right_columns` is how many NULLs stand for a missing right row.
pub(crate) fn join(
    join: &Join,
    right_columns: usize,
    left: &[Fact],
    right: &[Fact],
    failures: &mut Failures,
) -> Vec<Fact> {
    let (left_keys, right_keys): (Vec<&Expr>, Vec<&Expr>) = join.equal.iter().map(|(l, r)| (l, r)).unzip();
    let left = sides(join, join.bound.left, &left_keys, left, failures);
    let right = sides(join, join.bound.right, &right_keys, right, failures);
    let mut right_by_time: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
    for (place, side) in right.iter().enumerate() {
        if let Some((boundaries, _)) = side.time {
            right_by_time.entry(boundaries).or_default().push(place);
        }
    }
    let mut rows = Vec::new();
    for (left_place, l) in left.iter().enumerate() {
        let mut matched = false;
        for right_place in in_bound(join, l, &right_by_time) {
            let r = &right[right_place];
            let equal = l.keys.iter().zip(&r.keys).all(|(l, r)| compare(CompareOp::Equal, l, r));
            if !equal {
                continue;
            }
            let timestamp = l.row.timestamp.max(r.row.timestamp);
            let pair = Fact::new(timestamp, [l.row.columns.as_slice(), &r.row.columns].concat());
            if failures.note(timestamp, holds(&join.on, &pair)) == Some(true) {
                matched = true;
                rows.push(((timestamp, left_place, right_place), pair));
            }
        }
        if join.left_outer && !matched {
            let timestamp = unmatched(join, l);
            let nulls = vec![Value::Null; right_columns];
            let alone = Fact::new(timestamp, [l.row.columns.as_slice(), &nulls].concat());
            rows.push(((timestamp, left_place, 0), alone));
        }
    }
    rows.sort_by_key(|(place, _)| *place);
    rows.into_iter().map(|(_, row)| row).collect()
}

/// A row of one side.
struct Side<'a> {
    row: &'a Fact,
    /// The timestamp that DATEDIFF reads and its place among the boundaries of the unit; none if it is
    /// NULL, because the row is itself an unmatched one, and then nothing is in bound.
    time: Option<(i64, Timestamp)>,
    keys: Vec<Value>,
}

fn sides<'a>(
    join: &Join,
    time: usize,
    keys: &[&Expr],
    rows: &'a [Fact],
    failures: &mut Failures,
) -> Vec<Side<'a>> {
    let mut sides = Vec::new();
    for row in rows {
        let side = || {
            let time = match row.columns[time] {
                Value::Datetime(timestamp) => Some((boundaries(join.bound.unit, timestamp)?, timestamp)),
                _ => None,
            };
            let keys: Result<Vec<Value>, String> = keys.iter().map(|key| evaluate(key, row)).collect();
            Ok(Side { row, time, keys: keys? })
        };
        sides.extend(failures.note(row.timestamp, side()));
    }
    sides
}

/// Places of the right rows whose DATEDIFF from the left row lies in `low..=high`, in order.
fn in_bound(join: &Join, left: &Side<'_>, right_by_time: &BTreeMap<i64, Vec<usize>>) -> Vec<usize> {
    let Some((boundaries, _)) = left.time else {
        return Vec::new();
    };
    let (low, high) = (boundaries.saturating_add(join.bound.low), boundaries.saturating_add(join.bound.high));
    if low > high {
        return Vec::new();
    }
    let mut places: Vec<usize> =
        right_by_time.range(low..=high).flat_map(|(_, places)| places).copied().collect();
    places.sort_unstable();
    places
}

/// When it is certain that the left row stays alone.
fn unmatched(join: &Join, left: &Side<'_>) -> Timestamp {
    let Some((_, timestamp)) = left.time else {
        return left.row.timestamp;
    };
    let unit = join.bound.unit.fixed().expect("a bound has a unit of fixed length");
    let high = Span(unit.0.saturating_mul(join.bound.high.max(0)));
    timestamp.plus(high).max(left.row.timestamp)
}
