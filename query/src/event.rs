//! What goes in and what comes out: entries of a source log, rows of an output, dropped events.
//!
//! These are the words that every room shares. Nothing here computes. Invariant: an entry's place is
//! (input, partition, offset); a row's identity is (output, partition, timestamp, key, ordinal) and can
//! be rebuilt by replay, because it names content and never counts from the start of a run (design §3.3).

use std::sync::Arc;

use crate::time::{Span, Timestamp};
use crate::value::{Record, Value};

/// One entry of a source log.
#[derive(Clone, PartialEq, Debug)]
pub struct Entry {
    /// The stream, as an index into [`crate::plan::Plan::inputs`].
    pub input: usize,
    /// The partition of that stream, from 0.
    pub partition: u32,
    /// The place in the partition, from 0, without holes when the log is young.
    pub offset: u64,
    /// When the log accepted it; within a partition never before the entry in front of it.
    pub arrival: Timestamp,
    /// What it carries.
    pub payload: Payload,
}

/// What an entry carries.
#[derive(Clone, PartialEq, Debug)]
pub enum Payload {
    /// A decoded event.
    Event(Arc<Record>),
    /// Text that does not decode; dropped with a data error, the job goes on (rule 1.5).
    Malformed(Arc<str>),
    /// No event: a journaled estimate of the arrival clock, written while the partition was idle
    /// (rule 3.7). It moves the watermark of its partition to `arrival - late` and nothing else.
    Estimate,
}

/// All entries a job will ever read: for each (input, partition) in the order of offsets. Across
/// partitions the order of the vector has no meaning.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct History {
    /// The entries.
    pub entries: Vec<Entry>,
    /// Reference data, in the order of the plan's references.
    pub references: Arc<[Reference]>,
}

impl History {
    /// Of entries, without reference data.
    pub fn of(entries: Vec<Entry>) -> History {
        History { entries, references: Arc::default() }
    }

    /// Other entries, the same reference data.
    #[must_use]
    pub fn with_entries(&self, entries: Vec<Entry>) -> History {
        History { entries, references: self.references.clone() }
    }
}

/// Reference data: versions, each in force from its time until the next one's (A-REF-VERSION); before the
/// first there are no rows.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Reference {
    /// (in force from, rows), sorted by time.
    pub versions: Vec<(Timestamp, Vec<Arc<Record>>)>,
}

/// How a job treats events that are late or out of order (rule 3.4). The early limit is fixed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ordering {
    /// L: how far an event's own time may lie behind its arrival. 0 to 20 days.
    pub late: Span,
    /// O: how far an event's own time may lie behind the largest one seen in its partition.
    pub out_of_order: Span,
    /// What happens to an event outside the tolerances.
    pub policy: Policy,
}

/// What happens to an event outside the tolerances; one setting serves both (rule 3.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// It is moved to the edge of the tolerance.
    Adjust,
    /// It is dropped.
    Drop,
}

/// One output event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// The output, as an index into [`crate::plan::Plan::outputs`].
    pub output: usize,
    /// The partition whose pipeline made it, where the job is fully parallel (rule 11.4); else `None`.
    pub partition: Option<u32>,
    /// Its time, `System.Timestamp()` of the row.
    pub timestamp: Timestamp,
    /// The grouping key, where the output's own SELECT groups; else empty.
    pub key: Arc<[Value]>,
    /// Number, from 0, among the rows that agree in all of the above, in canonical order.
    pub ordinal: u32,
    /// The columns, in the order of the SELECT list.
    pub record: Arc<Record>,
}

/// What a consumer dedupes by.
pub type Identity = (usize, Option<u32>, Timestamp, Arc<[Value]>, u32);

impl Row {
    /// The row's identity: two rows with the same one are copies and must be equal to the bit.
    pub fn identity(&self) -> Identity {
        (self.output, self.partition, self.timestamp, self.key.clone(), self.ordinal)
    }
}

/// An event that did not reach the query.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Dropped {
    /// The stream, as an index into [`crate::plan::Plan::inputs`].
    pub input: usize,
    /// Its partition.
    pub partition: u32,
    /// Its offset.
    pub offset: u64,
    /// Why.
    pub reason: Reason,
}

/// Why an event did not reach the query.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum Reason {
    /// Its own time is more than five minutes ahead of its arrival (rule 3.4.1).
    Early,
    /// It is later than the tolerance and the policy is to drop (rule 3.4.2).
    Late,
    /// It is further out of order than the tolerance and the policy is to drop (rule 3.4.3).
    OutOfOrder,
    /// TIMESTAMP BY gave NULL or no instant (rule 2.8).
    Timestamp,
    /// A column of TIMESTAMP BY ... OVER is NULL (rule 2.8).
    TimestampKey,
    /// The payload does not decode, or does not fit its CREATE TABLE (rules 1.5, 1.8).
    Deserialization,
}

impl Reason {
    /// The word used in case files and reports.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Early => "early",
            Reason::Late => "late",
            Reason::OutOfOrder => "out_of_order",
            Reason::Timestamp => "timestamp",
            Reason::TimestampKey => "timestamp_key",
            Reason::Deserialization => "deserialization",
        }
    }
}

/// An error while the job runs: it fails the job (rule 14.2). Rows stamped before `at` are still owed,
/// nothing at or after it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// The timestamp of the row whose evaluation failed; the earliest one if several did.
    pub at: Timestamp,
    /// What went wrong; wording is free.
    pub message: String,
}
