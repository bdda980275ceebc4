//! Rule 7.3 (ISFIRST): 1 for the first row of its key in its interval for which WHEN holds, else 0.
//!
//! Intervals are those of a tumbling window: they end at multiples of their length and include the end.
//! A row that fails WHEN gets 0 and is not counted. All arguments are evaluated for every row (C-EVAL).

use std::collections::BTreeSet;

use rewindow_query::plan::IsFirst;
use rewindow_query::{Span, Value};

use crate::eval::holds;
use crate::fact::{Fact, Failures};
use crate::lag::key;
use crate::tumbling::window_end;

pub(crate) fn isfirst(isfirst: &IsFirst, rows: &[Fact], failures: &mut Failures) -> Vec<Fact> {
    let mut seen = BTreeSet::new();
    let mut marked = Vec::new();
    for row in rows {
        let arguments = || {
            let counts = isfirst.when.as_ref().map_or(Ok(true), |when| holds(when, row))?;
            Ok((key(&isfirst.partition, row)?, counts))
        };
        let Some((key, counts)) = failures.note(row.timestamp, arguments()) else {
            continue;
        };
        let interval = window_end(row.timestamp, isfirst.interval, Span::ZERO);
        let first = counts && seen.insert((interval, key));
        marked.push(row.with(Value::Int(first.into())));
    }
    marked
}
