//! Rows: every delivered row against the owed one of its identity, every owed row against what came.
//!
//! One walk over the deliveries, in their order. Within a generation rows come in canonical order, so
//! the next owed row is nearly always the one delivered: the index is asked only where it is not.
//!
//! ```text
//!   generation 0   r1 r2 r3 ✗                       killed; the checkpoint's frontier lies before r3
//!   generation 1         r3 r4 ✗                    r3 is a copy; r2 here would be a needless repetition
//!   generation 2               [gap] r7 r8          r5, r6 may be missing or wrong: announced
//! ```

use std::collections::BTreeMap;

use rewindow_model::guarantee::may_use_checkpoint;
use rewindow_query::plan::{Aggregate, Op};
use rewindow_query::{Identity, Row, Timestamp, Value};
use rewindow_world::case::Case;
use rewindow_world::outcome::{Delivery, RecoveryReport, Run};

use super::answers::Allowed;
use super::excused::Excused;
use super::openings::Openings;
use super::truth::Truth;
use super::{Breach, Claim, Kind, ended};

/// Said of a row whose content is wrong although a copy of it came before.
const ANOTHER_COPY: &str = "another copy had been delivered before";

/// What the walk found.
pub(super) struct Walked {
    /// The first breach in order of the rows' timestamps.
    pub(super) first: Option<Breach>,
    pub(super) matched: u64,
    pub(super) copies: u64,
    pub(super) in_gaps: u64,
    pub(super) skipped: u64,
    /// For each owed row when it first came, right or wrong.
    pub(super) came: Vec<Option<Timestamp>>,
    /// Of each output: first occurrences came in canonical order.
    pub(super) ordered: Vec<bool>,
    /// Of each output: a row came more than once.
    pub(super) copied: Vec<bool>,
    /// Of each output: a row in an announced gap is missing or otherwise.
    pub(super) partial: Vec<bool>,
}

/// Judges all rows of a run.
pub(super) fn walk(
    truth: &Truth,
    case: &Case,
    run: &Run,
    allowed: &Allowed,
    excused: &Excused,
    openings: &Openings<'_>,
) -> Walked {
    let outputs = truth.plan.outputs.len();
    let mut walk = Walk {
        truth,
        run,
        allowed,
        excused,
        openings,
        mistaken: vec![None; truth.answer.rows.len()],
        invented: BTreeMap::new(),
        faulty: !case.faults.is_empty(),
        seen: vec![None; truth.answer.rows.len()],
        cursors: vec![Cursor::default(); truth.shards.len() * outputs],
        found: Walked {
            first: None,
            matched: 0,
            copies: 0,
            in_gaps: 0,
            skipped: 0,
            came: vec![None; truth.answer.rows.len()],
            ordered: vec![true; outputs],
            copied: vec![false; outputs],
            partial: vec![false; outputs],
        },
    };
    for (index, delivery) in run.deliveries.iter().enumerate() {
        match run.written_again.binary_search(&index) {
            Ok(_) => walk.again(delivery),
            Err(_) => walk.delivery(delivery),
        }
    }
    walk.missing();
    walk.found
}

struct Walk<'a> {
    truth: &'a Truth,
    run: &'a Run,
    allowed: &'a Allowed,
    excused: &'a Excused,
    openings: &'a Openings<'a>,
    /// For each owed row the last opening of a faulty version that gave it otherwise than owed.
    mistaken: Vec<Option<u32>>,
    /// For each row that nobody owes the last opening that gave it.
    invented: BTreeMap<Identity, u32>,
    faulty: bool,
    /// For each owed row the last opening that delivered it.
    seen: Vec<Option<u32>>,
    /// For each (shard, output).
    cursors: Vec<Cursor>,
    found: Walked,
}

#[derive(Clone, Copy, Default)]
struct Cursor {
    /// The opening of the task that writes.
    generation: u32,
    /// Place after the last row delivered in it; `None` before the first.
    next: Option<usize>,
    /// Place after the furthest row delivered in any generation.
    furthest: usize,
}

impl Walk<'_> {
    fn delivery(&mut self, delivery: &Delivery) {
        let opened = self.openings.find(delivery.shard, delivery.opened);
        // Another task had been opened to write in place of the one that did.
        let replaced = self.openings.replaced(delivery.shard, delivery.opened, delivery.generation);
        let failed = self.truth.answer.failure.as_ref().map_or(Timestamp::MAX, |failure| failure.at);
        for row in &delivery.rows {
            // What is stamped at or after the failure is nobody's: it may have come before it was known.
            if row.timestamp < failed && replaced {
                let message = "the node that gave it had been replaced".to_owned();
                self.note(Kind::Zombie, delivery, None, Some(row), message);
            } else if row.timestamp < failed {
                self.row(delivery, opened, row);
            }
        }
    }

    /// The same write again, because its acknowledgement was lost: copies, and nobody's fault.
    fn again(&mut self, delivery: &Delivery) {
        for row in &delivery.rows {
            let Some(owed) = self.truth.find(row) else { continue };
            if self.truth.answer.rows[owed].record.same_bits(&row.record)
                && self.seen[owed] == Some(delivery.opened)
            {
                self.found.matched += 1;
                self.found.copies += 1;
                self.found.copied[row.output] = true;
            }
        }
    }

    fn row(&mut self, delivery: &Delivery, opened: Option<&RecoveryReport>, row: &Row) {
        let outputs = self.truth.plan.outputs.len();
        let owner = self.truth.shards.get(delivery.shard).filter(|shard| {
            row.output < outputs && shard.partition == row.partition && shard.outputs.contains(&row.output)
        });
        if owner.is_none() {
            let message = "this shard does not own the output or partition of the row".to_owned();
            // A gap is announced of the rows a shard owns, of no other's.
            return self.blame(Kind::Invented, delivery, None, Some(row), message);
        }
        if opened.is_some_and(|opened| row.timestamp < opened.output_from) {
            let from = opened.map_or(Timestamp::MIN, |opened| opened.output_from);
            let message = format!("rows from {from} on were asked for");
            return self.note(Kind::BeforeStart, delivery, None, Some(row), message);
        }
        let cursor = delivery.shard * outputs + row.output;
        if self.cursors[cursor].generation != delivery.opened {
            self.cursors[cursor].generation = delivery.opened;
            self.cursors[cursor].next = None;
        }
        let sequence = self.truth.sequence(delivery.shard, row.output);
        let next = self.cursors[cursor].next.and_then(|next| sequence.get(next).copied());
        let rows = &self.truth.answer.rows;
        match next.filter(|&owed| rows[owed] == *row).or_else(|| self.truth.find(row)) {
            None => {
                let before = [self.invented.insert(row.identity(), delivery.opened), None];
                if let Some(message) = given_again(before, delivery, opened, row) {
                    self.note(Kind::Repeated, delivery, None, Some(row), message);
                }
                self.note(Kind::Invented, delivery, None, Some(row), String::new());
            }
            Some(owed)
                if !rows[owed].record.same_bits(&row.record)
                    && self.excused.content(delivery.shard, delivery.opened) =>
            {
                // Excused is what it says, not its order or number.
                self.found.came[owed].get_or_insert(delivery.at);
                let before = [self.mistaken[owed].replace(delivery.opened), self.seen[owed]];
                if let Some(message) = given_again(before, delivery, opened, &rows[owed]) {
                    return self.note(Kind::Repeated, delivery, Some(&rows[owed]), Some(row), message);
                }
                self.in_order(delivery, owed, cursor);
            }
            Some(owed) if !rows[owed].record.same_bits(&row.record) => {
                let kind = content(self.truth, row.output, &rows[owed], row);
                // It came, if otherwise than owed: that is one difference, not a lost row besides.
                self.found.came[owed].get_or_insert(delivery.at);
                let before = [self.seen[owed].replace(delivery.opened), self.mistaken[owed]];
                // A gap excuses what it says, not how often it comes.
                if let Some(message) = given_again(before, delivery, opened, &rows[owed]) {
                    self.note(Kind::Repeated, delivery, Some(&rows[owed]), Some(row), message);
                }
                let message = if before[0].is_some() { ANOTHER_COPY } else { "" };
                self.note(kind, delivery, Some(&rows[owed]), Some(row), message.to_owned());
            }
            Some(owed) => self.matched(delivery, opened, owed, cursor),
        }
    }

    fn matched(&mut self, delivery: &Delivery, opened: Option<&RecoveryReport>, owed: usize, cursor: usize) {
        let row = &self.truth.answer.rows[owed];
        let place = self.truth.place(owed);
        self.found.matched += 1;
        self.found.came[owed].get_or_insert(delivery.at);
        let before = [self.seen[owed].replace(delivery.opened), self.mistaken[owed]];
        match before[0] {
            None => self.found.ordered[row.output] &= self.cursors[cursor].furthest <= place,
            Some(_) => {
                self.found.copies += 1;
                self.found.copied[row.output] = true;
            }
        }
        if let Some(message) = given_again(before, delivery, opened, row) {
            return self.note(Kind::Repeated, delivery, Some(row), Some(row), message);
        }
        self.cursors[cursor].furthest = self.cursors[cursor].furthest.max(place + 1);
        self.in_order(delivery, owed, cursor);
    }

    /// Within an opening rows come in canonical order.
    fn in_order(&mut self, delivery: &Delivery, owed: usize, cursor: usize) {
        let (row, place) = (&self.truth.answer.rows[owed], self.truth.place(owed));
        let next = &mut self.cursors[cursor].next;
        let early = next.is_some_and(|next| place < next);
        *next = Some(next.unwrap_or(0).max(place + 1));
        if early {
            let message = "a row that stands after it in canonical order came first".to_owned();
            self.note(Kind::OutOfOrder, delivery, Some(row), Some(row), message);
        }
    }

    /// Owed rows that never came.
    fn missing(&mut self) {
        for owed in 0..self.seen.len() {
            if self.seen[owed].is_some() {
                continue;
            }
            let (row, shard) = (&self.truth.answer.rows[owed], self.truth.shard_of(owed));
            let left_out = |s: &&rewindow_world::outcome::Skipped| {
                s.shard == shard && s.from <= row.timestamp && row.timestamp < s.until
            };
            if self.run.skipped.iter().any(|s| left_out(&s)) {
                self.found.skipped += 1;
                continue;
            }
            if self.excused.absent(shard, row.timestamp, self.mistaken[owed].is_some()) {
                continue;
            }
            // A shard that failed where the question is moot owes nothing after it.
            if ended(self.run, shard).is_some_and(|ended| ended <= row.timestamp) {
                continue;
            }
            let generation = self.allowed.answers_for(shard, u32::MAX, row.timestamp);
            let rows = Vec::new();
            let delivery =
                Delivery { at: row.timestamp, node: 0, shard, generation, opened: generation, rows };
            self.note(Kind::Lost, &delivery, Some(row), None, String::new());
        }
    }

    /// Forgives a difference in an announced gap; otherwise somebody is to blame.
    fn note(
        &mut self,
        kind: Kind,
        delivery: &Delivery,
        expected: Option<&Row>,
        actual: Option<&Row>,
        message: String,
    ) {
        let Some(row) = expected.or(actual) else { return };
        let about_content = !matches!(kind, Kind::BeforeStart | Kind::Repeated | Kind::Zombie);
        if about_content && self.allowed.announced(delivery.shard, delivery.generation, row.timestamp) {
            self.found.in_gaps += 1;
            if let Some(partial) = self.found.partial.get_mut(row.output) {
                *partial = true;
            }
            return;
        }
        let silent =
            about_content && self.allowed.unavoidable(delivery.shard, delivery.generation, row.timestamp);
        let kind = if silent { Kind::GapSilent } else { kind };
        self.blame(kind, delivery, expected, actual, message);
    }

    /// Keeps the first by timestamp, output, kind.
    fn blame(
        &mut self,
        kind: Kind,
        delivery: &Delivery,
        expected: Option<&Row>,
        actual: Option<&Row>,
        message: String,
    ) {
        let Some(row) = expected.or(actual) else { return };
        let claim = match kind {
            Kind::GapSilent => Claim::HonestGaps,
            Kind::Repeated | Kind::OutOfOrder | Kind::BeforeStart | Kind::Zombie => Claim::Delivery,
            _ if self.faulty => Claim::Recover,
            _ => Claim::Agree,
        };
        let first = self.found.first.as_ref();
        let order = |at, output: Option<usize>, kind| (at, output, kind);
        if first
            .is_some_and(|f| order(f.at, f.output, f.kind) <= order(row.timestamp, Some(row.output), kind))
        {
            return;
        }
        let output = Some(row.output).filter(|&output| output < self.truth.plan.outputs.len());
        let shard = Some(delivery.shard);
        let mut breach = self.truth.breach(claim, kind, output, shard, row.timestamp, message);
        breach.generation = Some(delivery.generation);
        let led = self.openings.up_to(delivery.shard, delivery.generation);
        breach.fault = led.map(|report| report.fault);
        breach.copy = kind == Kind::Repeated || breach.message == ANOTHER_COPY;
        (breach.expected, breach.actual) = (expected.cloned(), actual.cloned());
        self.found.first = Some(breach);
    }
}

/// What is wrong with a row that openings had given before, if any had.
fn given_again(
    before: [Option<u32>; 2],
    delivery: &Delivery,
    opened: Option<&RecoveryReport>,
    row: &Row,
) -> Option<String> {
    if before.contains(&Some(delivery.opened)) {
        return Some("twice in one generation".to_owned());
    }
    before.iter().flatten().next()?;
    opened.and_then(|opened| needless(opened, row))
}

/// Why a repetition was not needed: the checkpoint it could go on from had the row behind it.
fn needless(opened: &RecoveryReport, row: &Row) -> Option<String> {
    let checkpoint = opened.checkpoint.as_ref().filter(|_| may_use_checkpoint(opened.why))?;
    (row.timestamp < checkpoint.frontier)
        .then(|| format!("the checkpoint had given all rows before {}", checkpoint.frontier))
}

/// In which way the content of a row differs: below a grouping that counts or adds up, by the first
/// number that differs.
fn content(truth: &Truth, output: usize, expected: &Row, actual: &Row) -> Kind {
    let counts = |call: &rewindow_query::plan::AggregateCall| {
        matches!(call.function, Aggregate::Count | Aggregate::Sum)
    };
    let nodes = truth.plan.nodes_of(&[output]);
    let adds_up = nodes.iter().rev().any(|&id| match &truth.plan.nodes[id].op {
        Op::Group(group) => group.calls.iter().any(counts),
        _ => false,
    });
    let (a, b) = (expected.record.members(), actual.record.members());
    let differs = a.iter().zip(b).find(|((_, x), (_, y))| x != y).map(|((_, x), (_, y))| (x, y));
    match differs {
        Some((Value::Int(_) | Value::Float(_), Value::Int(_) | Value::Float(_))) if adds_up => {
            if differs.is_some_and(|(x, y)| y > x) { Kind::CountsMore } else { Kind::CountsLess }
        }
        _ => Kind::Differs,
    }
}
