//! Rule 5.3, 5.5 (WHERE, HAVING): keeps the rows for which the predicate holds.
//!
//! Timestamps stay (rule 3.2). NULL is not true: a comparison with it does not hold (rule 2.1).

use rewindow_query::expr::Predicate;

use crate::eval::holds;
use crate::fact::{Fact, Failures};

pub(crate) fn filter(predicate: &Predicate, rows: &[Fact], failures: &mut Failures) -> Vec<Fact> {
    let mut kept = Vec::new();
    for row in rows {
        if failures.note(row.timestamp, holds(predicate, row)) == Some(true) {
            kept.push(row.clone());
        }
    }
    kept
}
