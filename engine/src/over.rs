//! Aggregates with OVER (rule 6.2): for each row `f` over the rows of its key stamped in `(t - limit, t]`
//! (A-LIMIT-EDGE), up to the row itself in processing order (A-OVER-TIES), that satisfy WHEN.
//!
//! A row that fails WHEN gets a result and is not counted. Rows leave when the next row of their key is
//! looked at: sums are taken back, extremes stand on two stacks. Knows nothing of windows. Invariant: of a
//! key `log` holds the rows that `state` and `queues` are made of, oldest first; what has expired is never
//! saved.
//!
//! ```text
//!   limit 5:   1 ---- 4 ---- 6        the row at 6 sees those at 4 and 6, not that at 1
//! ```

use std::collections::{BTreeMap, VecDeque};

use rewindow_query::expr::Expr;
use rewindow_query::{Timestamp, Value, plan};

use crate::aggregate::State;
use crate::batch::{Batch, Context, Slice};
use crate::calls::Calls;
use crate::codec::{Corrupt, Reader, Writer};
use crate::column::ColumnBuilder;
use crate::extremes::{Extremes, Queues};
use crate::grouping::{read_key, read_ticks};
use crate::looking::{Read, map_batches, read};
use crate::operator::Operator;
use crate::plant::{Plant, Plants};
use crate::slots::Slots;

/// An aggregate with OVER at work.
#[derive(Debug)]
pub struct Over {
    op: plan::Over,
    /// One call, so at most one argument.
    calls: Calls,
    slots: Slots,
    state: State,
    /// Extremes, if they are asked.
    queues: Option<Queues>,
    /// By slot: timestamps and values of the rows inside.
    log: Vec<VecDeque<(i64, Value)>>,
    /// Rows still to come are not stamped before this.
    until: Timestamp,
    /// Live slots at which the next sweep is due.
    sweep_at: usize,
    ended: bool,
    plants: Plants,
}

impl Over {
    /// Of a plan node.
    pub fn new(op: &plan::Over, plants: Plants) -> Over {
        let calls = Calls::new(std::slice::from_ref(&op.call));
        Over {
            slots: Slots::new(op.partition.len()),
            state: State::new(&calls),
            queues: (!calls.extreme_lanes().is_empty()).then(Queues::default),
            log: Vec::new(),
            until: Timestamp::MIN,
            sweep_at: 1024,
            ended: false,
            op: op.clone(),
            calls,
            plants,
        }
    }

    fn fit(&mut self) {
        let slots = self.slots.len();
        self.state.fit(slots);
        self.queues.iter_mut().for_each(|queues| queues.fit(slots));
        self.log.resize(slots.max(self.log.len()), VecDeque::new());
    }

    fn take(&mut self, batch: &Batch, context: &mut Context) -> (Batch, bool) {
        let arguments: Vec<&Expr> = self.calls.arguments().collect();
        let (partition, when) = (&self.op.partition, self.op.when.as_ref());
        let mut read = read(batch, &mut self.slots, partition, &arguments, when, context);
        self.fit();
        let mut column = ColumnBuilder::with_capacity(read.slots.len());
        let mut kept: Vec<u32> = Vec::with_capacity(read.slots.len());
        let mut ended = read.ended;
        for row in 0..read.slots.len() {
            let at = read.batch.timestamps[row];
            match self.row(&read, row, context.counts(at), &mut column) {
                Ok(()) => kept.push(row as u32),
                Err(message) if context.counts(at) => {
                    context.fail(Timestamp(at), message);
                    kept.retain(|&row| read.batch.timestamps[row as usize] < at);
                    ended = true;
                    break;
                }
                Err(_) => {}
            }
        }
        let mut column = column.finish();
        column.truncate(kept.len());
        if kept.len() < read.batch.len() {
            read.batch = read.batch.gather(&kept);
        }
        (read.append(column), ended)
    }

    /// Takes a row in, if it counts, and appends its result. Kinds that mix are looked for where `checked`.
    ///
    /// # Errors
    /// A value that cannot be aggregated, or a result outside its range; then nothing was appended.
    fn row(
        &mut self,
        read: &Read,
        row: usize,
        checked: bool,
        column: &mut ColumnBuilder,
    ) -> Result<(), String> {
        let (slot, at) = (read.slots[row], read.batch.timestamps[row]);
        self.evict(slot, at.saturating_sub(self.op.limit.0));
        if read.counts(row) {
            let value = read.columns.first().map(|column| column.value(row));
            if let Some(message) = value.as_ref().and_then(|value| self.calls.refuse(0, value)) {
                return Err(message);
            }
            if let (true, Some(value)) = (checked, &value) {
                self.state.check_mix(&self.calls, 0, slot, value)?;
            }
            self.enter(slot, at, value.unwrap_or_default());
        }
        let queues = &self.queues;
        let extremes = |_, slot| queues.as_ref().map(|queues| queues.all(slot)).unwrap_or_default();
        self.state.emit(&self.calls, &[slot], std::slice::from_mut(column), Some(&extremes))
    }

    /// Takes a value in; it goes with those inside (C-MINMAX), or nobody asks for what it makes.
    fn enter(&mut self, slot: u32, at: i64, value: Value) {
        let values = std::slice::from_ref(&value);
        self.state.add_row(&self.calls, slot, &values[..self.lanes()]);
        if let Some(queues) = &mut self.queues {
            queues.push(slot, Extremes::of(&self.calls.comparable(0, value.clone())));
        }
        self.log[slot as usize].push_back((at, value));
    }

    /// Takes the rows of a key out that are stamped at or before `start`.
    fn evict(&mut self, slot: u32, start: i64) {
        let lanes = self.lanes();
        let log = &mut self.log[slot as usize];
        while log.front().is_some_and(|(at, _)| *at <= start) {
            let Some((_, value)) = log.pop_front() else { return };
            self.state.remove(&self.calls, slot, std::iter::once(value).take(lanes));
            let empty = log.is_empty();
            if empty {
                self.state.clear(slot);
            }
            if let Some(queues) = &mut self.queues {
                queues.pop(slot);
                if empty {
                    queues.shrink(slot);
                }
            }
        }
    }

    /// Writes the state of an aggregate from outside, without the rows that have expired.
    fn save_running(&self, slot: u32, writer: &mut Writer) {
        let start = self.until.0.saturating_sub(self.op.limit.0);
        let mut state = self.state.clone();
        for (_, value) in self.log[slot as usize].iter().take_while(|(at, _)| *at <= start) {
            state.remove(&self.calls, slot, std::iter::once(value.clone()).take(self.lanes()));
        }
        state.save_running(&self.calls, slot, writer);
    }

    /// How many arguments there are: none for COUNT(*).
    fn lanes(&self) -> usize {
        self.calls.arguments().count()
    }

    /// Forgets keys whose rows have expired, once there are twice as many as after the last time.
    fn sweep(&mut self) {
        if self.slots.live() < self.sweep_at {
            return;
        }
        let start = self.until.0.saturating_sub(self.op.limit.0);
        let log = &self.log;
        let released =
            self.slots.sweep(0, |slot| log[slot as usize].back().is_some_and(|(at, _)| *at > start));
        released.into_iter().for_each(|slot| self.evict(slot, i64::MAX));
        self.sweep_at = (2 * self.slots.live()).max(1024);
    }

    /// The keys that rows to come can see something of, and what they can see.
    fn seen(&self) -> Vec<(u32, Vec<&(i64, Value)>)> {
        let start = self.until.0.saturating_sub(self.op.limit.0);
        let rows = |slot: u32| self.log[slot as usize].iter().filter(|(at, _)| *at > start).collect();
        let slots = self.slots.sorted().into_iter().map(|slot| (slot, rows(slot)));
        slots.filter(|(_, rows): &(u32, Vec<_>)| !rows.is_empty()).collect()
    }
}

impl Operator for Over {
    fn step(&mut self, inputs: &[&Slice], context: &mut Context) -> Slice {
        if self.ended {
            return Slice::empty(Timestamp::MAX);
        }
        let (slice, ended) = map_batches(inputs[0], |batch| self.take(batch, context));
        (self.ended, self.until) = (ended, slice.until);
        self.sweep();
        slice
    }

    fn save(&self, writer: &mut Writer) {
        writer.timestamp(self.until);
        let seen = if self.plants.is(Plant::OverRowsLost) { Vec::new() } else { self.seen() };
        writer.len(seen.len());
        for (slot, rows) in seen {
            self.slots.key(slot).iter().for_each(|value| writer.value(value));
            writer.len(rows.len());
            for (at, value) in rows {
                writer.i64(*at);
                writer.value(value);
            }
            if self.op.call.user.is_some() {
                self.save_running(slot, writer);
            }
        }
    }

    fn load(&mut self, reader: &mut Reader<'_>) -> Result<(), Corrupt> {
        self.until = reader.timestamp()?;
        for _ in 0..reader.len(8)? {
            let slot = read_key(&mut self.slots, self.op.partition.len(), reader)?;
            self.fit();
            let mut newest = i64::MIN;
            for _ in 0..reader.len(9)? {
                let (at, value) = (read_ticks(reader)?, reader.value()?);
                if at < newest || (self.lanes() > 0 && self.calls.refuse(0, &value).is_some()) {
                    return Err(reader.corrupt("values that can be aggregated, in the order of time"));
                }
                newest = at;
                self.enter(slot, at, value);
            }
            self.state.load_running(&self.calls, slot, reader)?;
        }
        Ok(())
    }

    fn explain(&self) -> BTreeMap<String, String> {
        let row = |(at, value): &(i64, Value)| format!("{value} at {}", Timestamp(*at));
        let text = |rows: Vec<&(i64, Value)>| rows.into_iter().map(row).collect::<Vec<_>>().join(", ");
        self.seen()
            .into_iter()
            .map(|(slot, rows)| (self.slots.text(slot), format!("[{}]", text(rows))))
            .collect()
    }
}
