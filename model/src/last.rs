//! Rule 7.2 (LAST): LAG that may find the current row itself.
//!
//! Among the rows up to and including the current one with an equal key and for which WHEN holds, the
//! last. Its x if it is younger than the limit (A-LIMIT-EDGE), also where that x is NULL; else the default.
//! All arguments are evaluated for every row (C-EVAL).

use std::collections::BTreeMap;

use rewindow_query::Value;
use rewindow_query::plan::Last;

use crate::eval::{evaluate, holds};
use crate::fact::{Fact, Failures};
use crate::lag::key;

pub(crate) fn last(last: &Last, rows: &[Fact], failures: &mut Failures) -> Vec<Fact> {
    let mut latest: BTreeMap<Vec<Value>, (&Fact, Value)> = BTreeMap::new();
    let mut with_last = Vec::new();
    for row in rows {
        let arguments = || {
            let counts = last.when.as_ref().map_or(Ok(true), |when| holds(when, row))?;
            Ok((
                key(&last.partition, row)?,
                counts,
                evaluate(&last.argument, row)?,
                evaluate(&last.default, row)?,
            ))
        };
        let Some((key, counts, x, default)) = failures.note(row.timestamp, arguments()) else {
            continue;
        };
        if counts {
            latest.insert(key.clone(), (row, x));
        }
        let found = latest.get(&key);
        let young = found.filter(|(found, _)| found.timestamp > row.timestamp.minus(last.limit));
        with_last.push(row.with(young.map_or(default, |(_, x)| x.clone())));
    }
    with_last
}
