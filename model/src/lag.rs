//! Rule 7.1 (LAG): what an earlier row of the same key had.
//!
//! Among the rows before the current one, in timestamp order and ties in canonical order, with an equal
//! key and for which WHEN holds, the offset-th last. Its x if it is younger than the limit, `p > t - limit`
//! (A-LIMIT-EDGE), also where that x is NULL; else the default. The current row need not satisfy WHEN.
//! All arguments are evaluated for every row (C-EVAL).

use std::collections::BTreeMap;

use rewindow_query::Value;
use rewindow_query::expr::Expr;
use rewindow_query::plan::Lag;

use crate::eval::{evaluate, holds};
use crate::fact::{Fact, Failures};

pub(crate) fn lag(lag: &Lag, rows: &[Fact], failures: &mut Failures) -> Vec<Fact> {
    let mut earlier: BTreeMap<Vec<Value>, Vec<(&Fact, Value)>> = BTreeMap::new();
    let mut lagged = Vec::new();
    for row in rows {
        let arguments = || {
            let counts = lag.when.as_ref().map_or(Ok(true), |when| holds(when, row))?;
            Ok((
                key(&lag.partition, row)?,
                counts,
                evaluate(&lag.argument, row)?,
                evaluate(&lag.default, row)?,
            ))
        };
        let Some((key, counts, x, default)) = failures.note(row.timestamp, arguments()) else {
            continue;
        };
        let same_key = earlier.entry(key).or_default();
        let found = same_key.iter().rev().nth(lag.offset as usize - 1);
        let young = found.filter(|(found, _)| found.timestamp > row.timestamp.minus(lag.limit));
        lagged.push(row.with(young.map_or(default, |(_, x)| x.clone())));
        if counts {
            same_key.push((row, x));
        }
    }
    lagged
}

/// The values of PARTITION BY; NULLs are one partition (A-PARTITION-NULL).
pub(crate) fn key(partition: &[Expr], row: &Fact) -> Result<Vec<Value>, String> {
    partition.iter().map(|expr| evaluate(expr, row)).collect()
}
