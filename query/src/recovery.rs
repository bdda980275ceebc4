//! Words about recovery that every room shares: why a job is opened, what it answers, what is missing.
//!
//! Only words and views; who decides is `engine` (what to do), `model` (what must come out), `world` (what
//! happens). Invariant: a [`Gap`] is half open, and intervals in a list are sorted and do not touch.

use std::collections::BTreeMap;

use crate::time::Timestamp;

/// Why a job, or its part on one node, is opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// For the first time.
    Fresh,
    /// The node died or its machine was rebooted; the program is the same (rule 13.1).
    AfterKill,
    /// The service was upgraded; whether the new version reads the old one's state (rule 13.2).
    AfterUpgrade {
        /// The checkpoint may be used.
        readable: bool,
    },
    /// The user stopped it and started it again; a checkpoint must not be used (rule 13.3).
    UserRestart,
}

/// What the source still has of one partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Retained {
    /// Offset of the oldest entry kept; equals `next` when nothing is kept.
    pub first: u64,
    /// Offset the next entry will get.
    pub next: u64,
    /// Arrival of the newest entry that was forgotten; `None` while nothing was.
    pub lost_until: Option<Timestamp>,
}

/// The source log as a job may look at it while it decides how to recover.
pub trait LogView {
    /// What is kept of a partition.
    fn retained(&self, input: usize, partition: u32) -> Retained;

    /// Offset of the oldest kept entry that arrived at `arrival` or later; `next` if there is none.
    fn first_since(&self, input: usize, partition: u32, arrival: Timestamp) -> u64;
}

/// Rows stamped in `from..until` (half open) may be missing, incomplete or wrong.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize)]
pub struct Gap {
    /// First timestamp that may be affected.
    pub from: Timestamp,
    /// First timestamp after it that is certain again.
    pub until: Timestamp,
}

impl Gap {
    /// Whether a row stamped so lies in the gap.
    pub fn contains(&self, timestamp: Timestamp) -> bool {
        self.from <= timestamp && timestamp < self.until
    }

    /// The union of gaps: sorted, without empty ones, those that overlap or touch joined.
    pub fn merge(mut gaps: Vec<Gap>) -> Vec<Gap> {
        gaps.retain(|gap| gap.from < gap.until);
        gaps.sort();
        let mut merged: Vec<Gap> = Vec::new();
        for gap in gaps {
            match merged.last_mut() {
                Some(last) if gap.from <= last.until => last.until = last.until.max(gap.until),
                _ => merged.push(gap),
            }
        }
        merged
    }
}

/// How a job says it was opened. The answer is judged as well as the rows.
#[derive(Clone, PartialEq, Debug)]
pub struct Recovered {
    /// Where state came from.
    pub outcome: Outcome,
    /// Next offset to read, for each (input, partition) the part reads.
    pub positions: BTreeMap<(usize, u32), u64>,
    /// Rows that may be incomplete because the source has forgotten; empty if none.
    pub gaps: Vec<Gap>,
}

/// Where the state of an opened job came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Nothing was needed.
    Fresh,
    /// A checkpoint, then the entries after it.
    FromCheckpoint,
    /// No checkpoint: entries that arrived at `from` or later are read again.
    Replayed {
        /// Start of the replay on the arrival axis, before retention cuts it.
        from: Timestamp,
    },
}
