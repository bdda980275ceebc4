//! Sinks: what consumers see in the end, beside what the sink promises (rule 13.4).
//!
//! | sink | promise |
//! |---|---|
//! | append | what was written, judged row by row (`rows.rs`); copies are copies |
//! | upsert, unique | the table is the owed rows, one of each identity, whatever was written how often |
//! | transactional | every owed row once and in order, no copies at all |
//!
//! Forgiven is what is forgiven of rows that were written: gaps announced in the epoch in which a row was written (C-GAP),
//! what a user's start left out, what lies behind a failure of the shard. A row that is not there is answered for by the
//! last opening that could have given it: of a transactional sink the last before a row at or behind its time became
//! visible, for nothing is filled in in front of that. Knows nothing of how rows got there. Invariant: of an append sink
//! it says nothing.

use std::collections::{BTreeMap, BTreeSet};

use rewindow_query::{Identity, Row, Timestamp};
use rewindow_world::case::{Case, SinkKind};
use rewindow_world::outcome::{Run, Visible};

use super::answers::Allowed;
use super::truth::Truth;
use super::{Breach, Claim, Kind, ended};

/// The first breach of the sink's promise, in order of the rows' timestamps.
pub(super) fn breach(truth: &Truth, case: &Case, run: &Run, allowed: &Allowed) -> Option<Breach> {
    if case.deployment.sink == SinkKind::Append {
        return None;
    }
    let ordered = case.deployment.sink == SinkKind::Transactional;
    let seen = vec![false; truth.answer.rows.len()];
    let closed = if ordered { closed(run) } else { BTreeMap::new() };
    let mut looked = Looked { truth, run, allowed, closed, seen, first: None };
    // For each (shard, output) the place behind the last row seen.
    let mut next: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    // Those that nobody owes.
    let mut invented: BTreeSet<Identity> = BTreeSet::new();
    let end = truth.answer.failure.as_ref().map_or(Timestamp::MAX, |failure| failure.at);
    for visible in run.visible.iter().filter(|visible| visible.row.timestamp < end) {
        let row = &visible.row;
        let Some(owed) = looked.truth.find(row) else {
            if !invented.insert(row.identity()) {
                looked.note(Kind::VisibleTwice, visible.shard, Some(visible), None, "nobody owes it");
            }
            looked.note(Kind::VisibleWrong, visible.shard, Some(visible), None, "nobody owes it");
            continue;
        };
        let expected = &truth.answer.rows[owed];
        if std::mem::replace(&mut looked.seen[owed], true) {
            looked.note(Kind::VisibleTwice, visible.shard, Some(visible), Some(expected), "");
        } else if !expected.record.same_bits(&row.record) {
            looked.note(Kind::VisibleWrong, visible.shard, Some(visible), Some(expected), "");
        }
        let next = next.entry((visible.shard, row.output)).or_default();
        let place = truth.place(owed);
        if ordered && place < *next {
            let why = "a row that stands behind it was visible before";
            looked.note(Kind::VisibleOutOfOrder, visible.shard, Some(visible), Some(expected), why);
        }
        *next = (place + 1).max(*next);
    }
    looked.missing();
    looked.first
}

/// The rows that consumers see, by shard and output.
pub(super) fn seen<'a>(case: &Case, run: &'a Run, shard: usize) -> Vec<&'a Row> {
    match case.deployment.sink {
        SinkKind::Append => {
            run.deliveries.iter().filter(|d| d.shard == shard).flat_map(|d| &d.rows).collect()
        }
        _ => run.visible.iter().filter(|v| v.shard == shard).map(|v| &v.row).collect(),
    }
}

/// For each shard and output the timestamps of visible rows, ascending, each with the moment from which on nothing stamped
/// then or before could still become visible in order.
fn closed(run: &Run) -> BTreeMap<(usize, usize), Vec<(Timestamp, Timestamp)>> {
    let mut closed: BTreeMap<(usize, usize), Vec<(Timestamp, Timestamp)>> = BTreeMap::new();
    for visible in &run.visible {
        let place = (visible.shard, visible.row.output);
        closed.entry(place).or_default().push((visible.row.timestamp, visible.at));
    }
    for rows in closed.values_mut() {
        rows.sort_unstable();
        let mut first = Timestamp::MAX;
        for (_, at) in rows.iter_mut().rev() {
            first = first.min(*at);
            *at = first;
        }
    }
    closed
}

struct Looked<'a> {
    truth: &'a Truth,
    run: &'a Run,
    allowed: &'a Allowed,
    /// Of a transactional sink, [`closed`].
    closed: BTreeMap<(usize, usize), Vec<(Timestamp, Timestamp)>>,
    /// Of each owed row, whether it is visible.
    seen: Vec<bool>,
    first: Option<Breach>,
}

impl Looked<'_> {
    fn missing(&mut self) {
        for owed in 0..self.seen.len() {
            let (row, shard) = (&self.truth.answer.rows[owed], self.truth.shard_of(owed));
            let skipped = self
                .run
                .skipped
                .iter()
                .any(|s| s.shard == shard && s.from <= row.timestamp && row.timestamp < s.until);
            let behind = ended(self.run, shard).is_some_and(|ended| ended <= row.timestamp);
            if !self.seen[owed] && !skipped && !behind {
                self.note(Kind::NotVisible, shard, None, Some(row), "");
            }
        }
    }

    /// Whether an announced gap excuses a difference in a row.
    fn in_gap(&self, shard: usize, visible: Option<&Visible>, row: &Row) -> bool {
        let at = row.timestamp;
        if let Some(visible) = visible {
            return self.allowed.announced(shard, visible.openings, at);
        }
        let of = self.closed.get(&(shard, row.output)).map_or(&[][..], Vec::as_slice);
        let closed = of.get(of.partition_point(|&(other, _)| other < at));
        let until = closed.map_or([u32::MAX; 2], |&(_, moment)| self.allowed.by(shard, moment));
        until.into_iter().any(|until| {
            let answers = self.allowed.answers_for(shard, until, at);
            self.allowed.announced(shard, answers, at)
        })
    }

    fn note(
        &mut self,
        kind: Kind,
        shard: usize,
        visible: Option<&Visible>,
        expected: Option<&Row>,
        message: &str,
    ) {
        let Some(row) = expected.or(visible.map(|visible| &visible.row)) else { return };
        // Twice is twice, whatever it says.
        if kind != Kind::VisibleTwice && self.in_gap(shard, visible, row) {
            return;
        }
        let place = |at, output, kind| (at, output, kind);
        let this = place(row.timestamp, Some(row.output), kind);
        if self.first.as_ref().is_some_and(|f| place(f.at, f.output, f.kind) <= this) {
            return;
        }
        let output = Some(row.output).filter(|&output| output < self.truth.plan.outputs.len());
        let message = message.to_owned();
        let mut breach =
            self.truth.breach(Claim::Delivery, kind, output, Some(shard), row.timestamp, message);
        let last = self.run.recoveries.iter().rfind(|r| r.shard == shard);
        let generation = visible.map_or(last.map_or(0, |report| report.generation), |v| v.generation);
        breach.generation = Some(generation);
        let led =
            |r: &&rewindow_world::outcome::RecoveryReport| r.shard == shard && r.generation <= generation;
        breach.fault = self.run.recoveries.iter().rfind(led).map(|report| report.fault);
        breach.copy = kind == Kind::VisibleTwice;
        (breach.expected, breach.actual) = (expected.cloned(), visible.map(|visible| visible.row.clone()));
        self.first = Some(breach);
    }
}
