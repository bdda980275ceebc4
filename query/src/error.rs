//! Why a query is refused: a stable code, the place in the text, and what to do.

use std::ops::Range;

/// A query that cannot run.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message}")]
pub struct QueryError {
    /// Stable name of the kind of error, such as `limit-window`; never reused for something else.
    pub code: &'static str,
    /// What is wrong, naming the rule it breaks.
    pub message: String,
    /// Byte range in the query text.
    pub place: Range<usize>,
    /// A word or two to stand under the place, such as `8 days`.
    pub label: String,
    /// What to do instead.
    pub help: Option<String>,
}

impl QueryError {
    /// Line and column of the place, from 1, columns in characters.
    pub fn line_and_column(&self, text: &str) -> (usize, usize) {
        let before = text.get(..self.place.start.min(text.len())).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
        (line, column)
    }
}
