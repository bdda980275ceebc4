//! Rule 6.2 (aggregates with OVER): for every row an aggregate over the rows of its key up to itself.
//!
//! The content are the rows up to and including the current one, in timestamp order and ties in canonical
//! order (A-OVER-TIES), with an equal key, for which WHEN holds, and younger than the limit, `p > t - limit`
//! (A-LIMIT-EDGE). The current row need not satisfy WHEN and gets a result all the same. All arguments are
//! evaluated for every row (C-EVAL, C-OVER), but the aggregate is asked to take only those that count.

use std::collections::BTreeMap;

use rewindow_query::plan::Over;
use rewindow_query::{Timestamp, Value};

use crate::aggregate::{Argument, aggregate, evaluated, prepare};
use crate::eval::holds;
use crate::fact::{Fact, Failures};
use crate::lag::key;

pub(crate) fn over(over: &Over, rows: &[Fact], failures: &mut Failures) -> Vec<Fact> {
    let mut earlier: BTreeMap<Vec<Value>, Vec<(Timestamp, Argument)>> = BTreeMap::new();
    let mut results = Vec::new();
    for row in rows {
        let arguments = || {
            let counts = over.when.as_ref().map_or(Ok(true), |when| holds(when, row))?;
            let key = key(&over.partition, row)?;
            // Every row is evaluated, only those that count have to suit the aggregate.
            evaluated(&over.call, row)?;
            Ok((key, if counts { Some(prepare(&over.call, row)?) } else { None }))
        };
        let Some((key, argument)) = failures.note(row.timestamp, arguments()) else {
            continue;
        };
        let same_key = earlier.entry(key).or_default();
        same_key.extend(argument.map(|argument| (row.timestamp, argument)));
        let old = same_key.partition_point(|(timestamp, _)| *timestamp <= row.timestamp.minus(over.limit));
        let content: Vec<(Timestamp, &Argument)> =
            same_key[old..].iter().map(|(timestamp, argument)| (*timestamp, argument)).collect();
        match aggregate(&over.call, row.timestamp, &content) {
            Ok(value) => results.push(row.with(value)),
            Err(failure) => failures.add(failure),
        }
    }
    results
}
