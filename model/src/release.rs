//! Rules 3.7, 3.8 and 3.10 (when a row is certain): how far the watermark of a shard has come by a moment.
//!
//! ```text
//!   partition 0   e . . . e . . h . . h        h: estimate of the arrival clock, W = arrival - L
//!   partition 1   . e . . . . . . e . .        W of the shard: the least of all partitions and sources
//!   row stamped t                        ^ certain once t < W, less what its operators stay behind
//! ```
//!
//! Only watermark progress produces output, so a row is owed from that moment on, and by nobody earlier.
//! Knows nothing of how long reading takes. Invariant: the watermark of a partition never goes back.

use std::collections::BTreeMap;

use rewindow_query::plan::{NodeId, Op};
use rewindow_query::{Entry, History, Ordering, Plan, Shard, Span, Timestamp};

use crate::ordering::{clock, watermarks};

/// A partition as one source of a shard sees it.
#[derive(Clone, PartialEq, Debug)]
pub struct Lane {
    /// How far its arrival clock stays behind: the late tolerance, nothing without TIMESTAMP BY.
    late: Span,
    /// After each entry: its arrival, and the watermark.
    steps: Vec<(Timestamp, Timestamp)>,
}

/// When the service journals estimates of the arrival clock (rule 3.7).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Clock {
    /// So often while a partition is idle.
    pub heartbeat: Span,
    /// From the first arrival of the job on.
    pub first: Timestamp,
    /// Up to its last one.
    pub last: Timestamp,
}

/// The partitions that a shard reads, once for each of its sources.
pub fn lanes(plan: &Plan, shard: &Shard, ordering: &Ordering, history: &History) -> Vec<Lane> {
    let mut entries: BTreeMap<(usize, u32), Vec<&Entry>> = BTreeMap::new();
    for entry in &history.entries {
        entries.entry((entry.input, entry.partition)).or_default().push(entry);
    }
    entries.values_mut().for_each(|of| of.sort_by_key(|entry| entry.offset));
    let mut lanes = Vec::new();
    for node in plan.nodes_of(&shard.outputs) {
        let Op::Source(source) = &plan.nodes[node].op else { continue };
        for place in shard.reads.iter().filter(|(input, _)| *input == source.input) {
            let of = entries.get(place).map_or(&[][..], Vec::as_slice);
            let arrivals = of.iter().map(|entry| entry.arrival);
            let steps = arrivals.zip(watermarks(source, ordering, of)).collect();
            let late = if source.timestamp_by.is_some() { ordering.late } else { Span::ZERO };
            lanes.push(Lane { late, steps });
        }
    }
    lanes
}

impl Lane {
    /// The watermark when everything that arrived up to `now` has been read. `read` counts the entries that
    /// had arrived when it was last asked; `now` never goes back.
    pub fn at(&self, read: &mut usize, now: Timestamp, journal: &Clock) -> Timestamp {
        while self.steps.get(*read).is_some_and(|(arrival, _)| *arrival <= now) {
            *read += 1;
        }
        let (since, watermark) = match read.checked_sub(1) {
            Some(newest) => self.steps[newest],
            None => (journal.first, Timestamp::MIN),
        };
        let beats = now.min(journal.last).since(since).0.div_euclid(journal.heartbeat.0.max(1));
        if beats < 1 {
            return watermark;
        }
        watermark.max(clock(self.late, since.plus(Span(beats.saturating_mul(journal.heartbeat.0)))))
    }
}

/// How far an output stays behind the watermark at most: a left row without partner waits until the end of a
/// unit, a match until it cannot grow (A-MATCH-TIME); along a path this adds up.
pub fn behind(plan: &Plan, output: usize) -> Span {
    fn of(plan: &Plan, node: NodeId) -> Span {
        let own = match &plan.nodes[node].op {
            Op::Join(join) if join.left_outer => plan.lookback_of(node),
            Op::Match(pattern) => pattern.limit,
            _ => Span::ZERO,
        };
        let below = plan.nodes[node].inputs.iter().map(|&input| of(plan, input)).max();
        own.plus(below.unwrap_or(Span::ZERO))
    }
    of(plan, plan.outputs[output].node)
}
