//! A row inside the model, and what goes wrong while rows are made.
//!
//! Knows nothing of operators. Invariant: [`Failures`] remembers the earliest failure only, because
//! nothing at or after it is owed (choice C-FAIL); the row that failed is left out and the rest goes on.

use std::sync::Arc;

use rewindow_query::{Failure, Timestamp, Value};

/// A row between two operators.
#[derive(Clone, Debug)]
pub(crate) struct Fact {
    /// Its time.
    pub(crate) timestamp: Timestamp,
    /// Its columns, as many as the node names; more or fewer only behind `names`.
    pub(crate) columns: Vec<Value>,
    /// The values of the grouping key, while nothing but filters and projections came after the
    /// grouping; else empty. This is the key of an output row's identity.
    pub(crate) key: Arc<[Value]>,
    /// Names of the columns where they depend on the row: after a projection with a star.
    pub(crate) names: Option<Arc<[Arc<str>]>>,
}

impl Fact {
    /// A row of no group.
    pub(crate) fn new(timestamp: Timestamp, columns: Vec<Value>) -> Fact {
        Fact { timestamp, columns, key: Arc::from([]), names: None }
    }

    /// This row with one column more; a row of no group, since an operator stands in between.
    pub(crate) fn with(&self, value: Value) -> Fact {
        let mut columns = self.columns.clone();
        columns.push(value);
        Fact::new(self.timestamp, columns)
    }
}

/// The failures met, of which the earliest counts.
pub(crate) struct Failures {
    /// Those stamped before this are none (choice C-FAIL).
    pub(crate) from: Timestamp,
    /// The earliest, the first met among equals.
    pub(crate) earliest: Option<Failure>,
}

impl Failures {
    /// None met yet, of a job that was started at `from`.
    pub(crate) fn since(from: Timestamp) -> Failures {
        Failures { from, earliest: None }
    }

    /// The value, or none, with the failure at `at` noted.
    pub(crate) fn note<T>(&mut self, at: Timestamp, result: Result<T, String>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(message) => {
                self.add(Failure { at, message });
                None
            }
        }
    }

    /// Notes a failure that knows its time.
    pub(crate) fn add(&mut self, failure: Failure) {
        let earlier = self.earliest.as_ref().is_none_or(|earliest| failure.at < earliest.at);
        if earlier && failure.at >= self.from {
            self.earliest = Some(failure);
        }
    }
}
