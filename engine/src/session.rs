//! Session window (rule 4.9): ended by a silence longer than the timeout, or at a check point.
//!
//! Borders are set by the events that agree in the session key, grouping keys only split the contents
//! (A-SESSION-NOPART). One heap wakes every line of sessions at the earliest instant at which it can end; a
//! line that has gone on meanwhile is put back, so no event touches the heap. Knows nothing of other windows.
//! Invariants: the heap holds each line once, at or before its end; lines whose end is before the frontier
//! are closed, and forgotten once no event can go on with them, so state is bounded by the events within
//! timeout of the frontier and the sessions open there.
//!
//! ```text
//!   max       c - max            c            c + max     check points: multiples of max, from tick zero
//!   events        |  t0 . . . . .|. tl                     forced close at the first c with c - t0 >= max
//!   rows                         ^ stamped c   ^ tl + timeout
//!   after c: t0 = c, empty. An event within timeout of tl goes on from c; otherwise the line is over.
//! ```

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use rewindow_query::Timestamp;
use rewindow_query::plan::{Group, Window};

use crate::aggregate::State;
use crate::batch::{Context, Slice};
use crate::codec::{Corrupt, Reader, Writer};
use crate::grouping::{Ended, Grouping, Read, Rows, end_of, read_key, read_ticks, text};
use crate::operator::Operator;
use crate::plant::{Plant, Plants};
use crate::slots::{NONE, Slots};

/// A session window at work.
#[derive(Debug)]
pub struct Session {
    /// Keys of the output, then the session key.
    grouping: Grouping,
    /// How many values of a key are put out.
    width: usize,
    state: State,
    timeout: i64,
    max: i64,
    /// Session keys that have a line.
    keys: Slots,
    /// By slot of `keys`.
    lines: Vec<Line>,
    /// By slot of `grouping`: the line whose contents it is in, or [`NONE`].
    owners: Vec<u32>,
    /// Groups that are in contents.
    active: usize,
    /// Lines by an instant at which, or after which, they end.
    due: BinaryHeap<Reverse<(i64, u32)>>,
    ended: bool,
    plants: Plants,
}

/// The sessions of one session key, of which one at most is open.
#[derive(Clone, Debug, Default)]
struct Line {
    /// Start of the open session, or the check point it goes on from.
    start: i64,
    /// The last event.
    last: i64,
    /// Groups of the contents. None between a forced close and the next event.
    groups: Vec<u32>,
    open: bool,
    /// Where it stands in the heap; other entries of the line are left over.
    wake: i64,
}

impl Session {
    /// Of a grouping whose window is a session.
    pub fn new(op: &Group, plants: Plants) -> Session {
        let (timeout, max) = match op.window {
            Window::Session { timeout, max } => (timeout.0, max.0),
            other => unreachable!("a {} window is no session", other.name()),
        };
        let mut all = op.clone();
        all.keys.extend_from_slice(&op.session_by);
        let mut grouping = Grouping::new(&all);
        grouping.calls = grouping.calls.forgetting();
        let state = State::new(&grouping.calls);
        Session {
            grouping,
            width: op.keys.len(),
            state,
            timeout,
            max,
            keys: Slots::new(op.session_by.len()),
            lines: Vec::new(),
            owners: Vec::new(),
            active: 0,
            due: BinaryHeap::new(),
            ended: false,
            plants,
        }
    }

    /// When the line ends if no event comes: its open session, or the empty one waiting to go on.
    fn end(&self, line: &Line) -> i64 {
        let timed_out = line.last + self.timeout;
        if line.groups.is_empty() { timed_out } else { timed_out.min(self.check_point(line.start)) }
    }

    /// The first check point at which a session that started then is old enough to be ended.
    fn check_point(&self, start: i64) -> i64 {
        end_of(start + self.max, self.max, 0)
    }

    fn fit(&mut self) {
        let slots = self.grouping.slots.len();
        self.state.fit(slots);
        self.owners.resize(slots, NONE);
    }

    fn advance(&mut self, inputs: &[&Slice], rows: &mut Rows, context: &mut Context) -> Result<(), Ended> {
        for batch in &inputs[0].batches {
            let read = self.grouping.read(batch, |_| true, context);
            self.fit();
            self.take(&read, rows, context)?;
            if let Some(at) = read.failed {
                self.close(at, rows, context)?;
                return Err(Ended);
            }
        }
        self.close(inputs[0].until.0, rows, context)
    }

    /// Takes rows in; those between two ends are aggregated together.
    fn take(&mut self, read: &Read, rows: &mut Rows, context: &mut Context) -> Result<(), Ended> {
        let mut from = 0;
        for row in 0..read.timestamps.len() {
            let at = read.timestamps[row];
            if self.due.peek().is_some_and(|Reverse((end, _))| *end < at) {
                self.aggregate(read, from..row, context)?;
                from = row;
                self.close(at, rows, context)?;
            }
            self.enter(read.slots[row], at);
        }
        self.aggregate(read, from..read.timestamps.len(), context)
    }

    fn aggregate(
        &mut self,
        read: &Read,
        range: std::ops::Range<usize>,
        context: &mut Context,
    ) -> Result<(), Ended> {
        let added = self.state.add(&self.grouping.calls, &read.slots, &read.measures, range, read.passed);
        added.map_err(|refused| {
            context.fail(Timestamp(read.timestamps[refused.row]), refused.message);
            Ended
        })
    }

    /// An event of a group, when all that ends before it is closed: what is open of its line goes on.
    fn enter(&mut self, group: u32, at: i64) {
        let known = self.owners[group as usize];
        let slot = if known == NONE { self.line_of(group) } else { known };
        let line = &mut self.lines[slot as usize];
        if !line.open {
            *line = Line { start: at, last: at, groups: Vec::new(), open: true, wake: i64::MAX };
        } else if line.groups.is_empty() {
            // It goes on from the last check point before it; one stamped like the event is the next end.
            line.start = end_of(at, self.max, 0) - self.max;
        }
        line.last = at;
        if known == NONE {
            line.groups.push(group);
            self.owners[group as usize] = slot;
            self.active += 1;
            if line.groups.len() == 1 {
                self.wake(slot);
            }
        }
    }

    /// Sees to it that the heap holds the line at or before its end.
    fn wake(&mut self, slot: u32) {
        let end = self.end(&self.lines[slot as usize]);
        let line = &mut self.lines[slot as usize];
        if end < line.wake {
            line.wake = end;
            self.due.push(Reverse((end, slot)));
        }
    }

    fn line_of(&mut self, group: u32) -> u32 {
        let slot = self.keys.assign_key(&self.grouping.slots.key(group)[self.width..]);
        if slot as usize >= self.lines.len() {
            self.lines.resize(slot as usize + 1, Line::default());
        }
        slot
    }

    /// Closes what ends before `until`, in the order of (end, key).
    ///
    /// # Errors
    /// A result outside its range fails at the end of its session (C-SUM); it is noted.
    fn close(&mut self, until: i64, rows: &mut Rows, context: &mut Context) -> Result<(), Ended> {
        while let Some(&Reverse((end, _))) = self.due.peek().filter(|Reverse((end, _))| *end < until) {
            let mut groups = Vec::new();
            while let Some(&Reverse((_, slot))) = self.due.peek().filter(|Reverse((at, _))| *at == end) {
                self.due.pop();
                let line = &mut self.lines[slot as usize];
                if !line.open || line.wake != end {
                    continue;
                }
                line.wake = i64::MAX;
                if self.end(&self.lines[slot as usize]) <= end {
                    groups.append(&mut self.close_line(slot, end));
                }
                if self.lines[slot as usize].open {
                    self.wake(slot);
                }
            }
            groups.sort_unstable_by(|&a, &b| self.grouping.slots.compare(a, b));
            rows.push(end, &self.grouping, &self.state, &groups, None, context)?;
            for &group in &groups {
                self.state.clear(group);
                self.owners[group as usize] = NONE;
            }
            self.active -= groups.len();
        }
        Ok(())
    }

    /// Ends the open session of a line, and the line if none can go on; gives the contents.
    fn close_line(&mut self, slot: u32, end: i64) -> Vec<u32> {
        let line = &mut self.lines[slot as usize];
        if end >= line.last + self.timeout {
            line.open = false;
            self.keys.release(slot);
        }
        std::mem::take(&mut line.groups)
    }
}

impl Operator for Session {
    fn step(&mut self, inputs: &[&Slice], context: &mut Context) -> Slice {
        if self.ended {
            return Slice::empty(Timestamp::MAX);
        }
        let mut rows = Rows::new(&self.grouping);
        self.ended = self.advance(inputs, &mut rows, context).is_err();
        // Between steps no group is referred to but from contents.
        self.grouping.sweep(self.active, |group| self.owners[group as usize] != NONE);
        let mut batches = rows.finish();
        batches.iter_mut().for_each(|batch| drop(batch.columns.drain(self.width..self.grouping.width())));
        let until = if self.ended { Timestamp::MAX } else { inputs[0].until };
        Slice { batches, until }
    }

    fn save(&self, writer: &mut Writer) {
        let lost = self.plants.is(Plant::SessionIndexLost);
        let kept = |slot: &u32| !(lost && self.lines[*slot as usize].groups.is_empty());
        let slots: Vec<u32> = self.keys.sorted().into_iter().filter(kept).collect();
        writer.len(slots.len());
        for slot in slots {
            let line = &self.lines[slot as usize];
            self.keys.key(slot).iter().for_each(|value| writer.value(value));
            writer.i64(line.last);
            writer.len(line.groups.len());
            if line.groups.is_empty() {
                continue;
            }
            let goes_on = line.start.rem_euclid(self.max) == 0;
            writer.i64(line.start + i64::from(goes_on && self.plants.is(Plant::SessionRestartParity)));
            for group in self.sorted(line) {
                self.grouping.slots.key(group)[..self.width].iter().for_each(|value| writer.value(value));
                self.state.save(&self.grouping.calls, group, writer);
            }
        }
    }

    fn load(&mut self, reader: &mut Reader<'_>) -> Result<(), Corrupt> {
        for _ in 0..reader.len(16)? {
            let slot = read_key(&mut self.keys, self.grouping.width() - self.width, reader)?;
            self.lines.resize(self.keys.len(), Line::default());
            let last = read_ticks(reader)?;
            let mut line = Line { start: last, last, groups: Vec::new(), open: true, wake: i64::MAX };
            let groups = reader.len(8)?;
            if groups > 0 {
                line.start = read_ticks(reader)?;
            }
            for _ in 0..groups {
                let mut key = (0..self.width).map(|_| reader.value()).collect::<Result<Vec<_>, _>>()?;
                key.extend(self.keys.key(slot));
                let live = self.grouping.slots.live();
                let group = self.grouping.slots.assign_key(&key);
                if self.grouping.slots.live() == live {
                    return Err(reader.corrupt("a key once"));
                }
                self.fit();
                self.state.load(&self.grouping.calls, group, reader)?;
                self.owners[group as usize] = slot;
                line.groups.push(group);
            }
            self.active += groups;
            self.lines[slot as usize] = line;
            self.wake(slot);
        }
        Ok(())
    }

    fn explain(&self) -> BTreeMap<String, String> {
        let mut texts = BTreeMap::new();
        for slot in self.keys.sorted() {
            let line = &self.lines[slot as usize];
            let group = |group| {
                let content = text(&self.grouping.calls, &self.state, group, None);
                let key = self.grouping.slots.key(group);
                let key: Vec<String> = key[..self.width].iter().map(ToString::to_string).collect();
                format!("({}): {content}", key.join(", "))
            };
            let groups: Vec<String> = self.sorted(line).into_iter().map(group).collect();
            let from = if groups.is_empty() { "cut".to_owned() } else { Timestamp(line.start).to_string() };
            let last = Timestamp(line.last);
            texts.insert(self.keys.text(slot), format!("from {from}, last {last} [{}]", groups.join(", ")));
        }
        texts
    }
}

impl Session {
    /// The groups of a line's contents in the order of their keys.
    fn sorted(&self, line: &Line) -> Vec<u32> {
        let mut groups = line.groups.clone();
        groups.sort_unstable_by(|&a, &b| self.grouping.slots.compare(a, b));
        groups
    }
}
