//! Rows in flight, by column, and the slices of time in which operators pass them on.
//!
//! All operators of an instance advance together: in one step every operator reads from each of its
//! inputs the rows stamped in `[its frontier, the new frontier)` and emits the rows of its own next slice.
//! Invariant: rows of a slice are in canonical order (see `rewindow_query::plan`), and stamped before
//! `until` and not before the `until` of the slice in front of it.

use std::ops::Range;
use std::sync::Arc;

use rewindow_query::{Failure, Timestamp, Value};

use crate::column::Column;

/// Rows by column. Timestamps are in ticks and never decrease.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Timestamp of each row, in ticks.
    pub timestamps: Vec<i64>,
    /// The columns, each as long as `timestamps`. Shared: an operator that appends a column copies none.
    pub columns: Vec<Arc<Column>>,
}

impl Batch {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.timestamps.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.timestamps.is_empty()
    }

    /// The rows at these places, in that order.
    #[must_use]
    pub fn gather(&self, rows: &[u32]) -> Batch {
        Batch {
            timestamps: rows.iter().map(|&row| self.timestamps[row as usize]).collect(),
            columns: self.columns.iter().map(|column| Arc::new(column.gather(rows))).collect(),
        }
    }

    /// The first `len` rows.
    #[must_use]
    pub fn truncated(mut self, len: usize) -> Batch {
        if len < self.len() {
            self.timestamps.truncate(len);
            for column in &mut self.columns {
                Arc::make_mut(column).truncate(len);
            }
        }
        self
    }

    /// The rows at these places next to each other.
    #[must_use]
    pub fn slice(&self, rows: Range<usize>) -> Batch {
        if rows == (0..self.len()) {
            return self.clone();
        }
        Batch {
            timestamps: self.timestamps[rows.clone()].to_vec(),
            columns: self.columns.iter().map(|column| Arc::new(column.slice(rows.clone()))).collect(),
        }
    }

    /// Puts the rows of another batch of the same columns behind these.
    pub fn append(&mut self, other: Batch) {
        if self.is_empty() {
            *self = other;
            return;
        }
        if other.is_empty() {
            return;
        }
        self.timestamps.extend(other.timestamps);
        for (column, more) in self.columns.iter_mut().zip(other.columns) {
            Arc::make_mut(column).append(Arc::unwrap_or_clone(more));
        }
    }

    /// All columns of one row.
    pub fn row(&self, row: usize) -> Vec<Value> {
        self.columns.iter().map(|column| column.value(row)).collect()
    }
}

/// What an operator emits in one step.
#[derive(Clone, Debug)]
pub struct Slice {
    /// The rows. Empty batches may occur; all batches have the operator's columns.
    pub batches: Vec<Batch>,
    /// The new frontier: every row stamped before it has now been emitted. [`Timestamp::MAX`] at the end.
    pub until: Timestamp,
}

impl Slice {
    /// A slice without rows.
    pub fn empty(until: Timestamp) -> Slice {
        Slice { batches: Vec::new(), until }
    }
}

/// What happened in a step besides rows: the failures met. An operator that meets one emits its rows
/// stamped before it, then counts as ended (`until` = [`Timestamp::MAX`], choice C-FAIL); the instance
/// cuts everything at the earliest failure.
///
/// A row stamped before `from` is one that nobody asks for: after a replay it may have been made of a part of
/// what it looks back at, and then it fails where the whole would not. It is left out, and all else goes on.
#[derive(Debug)]
pub struct Context {
    /// The earliest failure so far.
    pub failure: Option<Failure>,
    /// When the operator that steps now failed, if it did: it has ended there.
    pub met: Option<Timestamp>,
    /// What fails before it is no failure of the job.
    pub from: Timestamp,
}

impl Default for Context {
    fn default() -> Context {
        Context { failure: None, met: None, from: Timestamp::MIN }
    }
}

impl Context {
    /// Whether a failure at that tick is one of the job.
    pub fn counts(&self, at: i64) -> bool {
        at >= self.from.0
    }

    /// How many of these timestamps, which do not go back, lie before the first at which a failure counts.
    pub fn passed(&self, timestamps: &[i64]) -> usize {
        timestamps.partition_point(|&at| !self.counts(at))
    }

    /// Notes a failure; the earliest is kept.
    pub fn fail(&mut self, at: Timestamp, message: impl Into<String>) {
        self.met = Some(self.met.map_or(at, |known| known.min(at)));
        if self.failure.as_ref().is_none_or(|known| at < known.at) {
            self.failure = Some(Failure { at, message: message.into() });
        }
    }
}
