//! Sliding window (rule 4.8): the window `(T - size, T]` at every instant T at which its content changes.
//!
//! An event enters at its timestamp and has left at its timestamp plus size (A-SLIDING-EXIT). One row for
//! each group that changed at the instant, with the content after all changes, none when that is empty
//! (A-SLIDING-GROUP). All windows are equally long, so one queue in order of time serves all groups; sums
//! are taken back, extremes stand on two stacks for each group. Knows nothing of other windows. Invariant:
//! the queue holds the events in `(T - size, T]`, `total` their aggregates, `queues` their extremes.
//!
//! ```text
//!   size 5, events at 34, 38, 42:   rows at 34 (1), 38 (2), 39 (1), 42 (2), 43 (1), none at 47
//! ```

use std::collections::{BTreeMap, VecDeque};

use rewindow_query::plan::{Group, Window};
use rewindow_query::{Timestamp, Value};

use crate::aggregate::State;
use crate::batch::{Context, Slice};
use crate::calls::Refused;
use crate::codec::{Corrupt, Reader, Writer};
use crate::extremes::{Extremes, Queues, Values};
use crate::grouping::{Ended, Grouping, Read, Rows, read_ticks, text};
use crate::operator::Operator;
use crate::plant::{Plant, Plants};

/// A sliding window at work.
#[derive(Debug)]
pub struct Sliding {
    grouping: Grouping,
    size: i64,
    /// The events inside: timestamp and slot, oldest first.
    log: VecDeque<(i64, u32)>,
    /// Their measures, by lane.
    values: Vec<Values>,
    total: State,
    queues: Vec<(usize, Queues)>,
    /// Slots that hold events.
    active: usize,
    ended: bool,
    plants: Plants,
}

/// An instant whose changes are being collected.
#[derive(Default)]
struct Instant {
    at: i64,
    changed: Vec<u32>,
}

impl Sliding {
    /// Of a grouping whose window is sliding.
    pub fn new(op: &Group, plants: Plants) -> Sliding {
        let size = match op.window {
            Window::Sliding { size } => size.0,
            other => unreachable!("a {} window is no sliding window", other.name()),
        };
        let grouping = Grouping::new(op);
        Sliding {
            size,
            log: VecDeque::new(),
            values: grouping.calls.arguments().map(|_| Values::default()).collect(),
            total: State::new(&grouping.calls),
            queues: grouping
                .calls
                .extreme_lanes()
                .into_iter()
                .map(|lane| (lane, Queues::default()))
                .collect(),
            active: 0,
            grouping,
            ended: false,
            plants,
        }
    }

    fn fit(&mut self) {
        let slots = self.grouping.slots.len();
        self.total.fit(slots);
        self.queues.iter_mut().for_each(|(_, queues)| queues.fit(slots));
    }

    fn advance(&mut self, inputs: &[&Slice], rows: &mut Rows, context: &mut Context) -> Result<(), Ended> {
        let mut instant = Instant::default();
        for batch in &inputs[0].batches {
            let read = self.grouping.read(batch, |_| true, context);
            self.fit();
            self.take(&read, &mut instant, rows, context)?;
            if let Some(at) = read.failed {
                self.exits(at, &mut instant, rows, context)?;
                self.emit(&mut instant, rows, context)?;
                return Err(Ended);
            }
        }
        // Everything stamped before `until` is known, so the last instant is complete.
        self.exits(inputs[0].until.0, &mut instant, rows, context)?;
        self.emit(&mut instant, rows, context)
    }

    fn take(
        &mut self,
        read: &Read,
        instant: &mut Instant,
        rows: &mut Rows,
        context: &mut Context,
    ) -> Result<(), Ended> {
        let mut from = 0;
        while from < read.timestamps.len() {
            let at = read.timestamps[from];
            self.exits(at, instant, rows, context)?;
            if instant.at != at {
                self.emit(instant, rows, context)?;
                instant.at = at;
            }
            self.leave(at, instant);
            let to = from + read.timestamps[from..].iter().take_while(|&&timestamp| timestamp == at).count();
            self.enter(read, from..to, instant)
                .map_err(|refused| context.fail(Timestamp(at), refused.message))?;
            from = to;
        }
        Ok(())
    }

    /// Goes through the instants before `until` at which events only leave.
    fn exits(
        &mut self,
        until: i64,
        instant: &mut Instant,
        rows: &mut Rows,
        context: &mut Context,
    ) -> Result<(), Ended> {
        while let Some(at) = self.log.front().map(|(entered, _)| entered + self.size).filter(|&at| at < until)
        {
            if instant.at != at {
                self.emit(instant, rows, context)?;
                instant.at = at;
            }
            self.leave(at, instant);
        }
        Ok(())
    }

    /// Takes out what leaves at this instant.
    fn leave(&mut self, at: i64, instant: &mut Instant) {
        let start = at - self.size;
        while let Some(&(_, slot)) = self.log.front().filter(|(entered, _)| *entered <= start) {
            self.log.pop_front();
            let values = self.values.iter_mut().map(Values::pop);
            self.total.remove(&self.grouping.calls, slot, values);
            let empty = self.total.rows(slot) == 0;
            if empty {
                self.total.clear(slot);
                self.active -= 1;
            }
            for (_, queues) in &mut self.queues {
                queues.pop(slot);
                if empty {
                    queues.shrink(slot);
                }
            }
            instant.changed.push(slot);
        }
    }

    /// Takes in rows of one instant.
    fn enter(
        &mut self,
        read: &Read,
        range: std::ops::Range<usize>,
        instant: &mut Instant,
    ) -> Result<(), Refused> {
        for row in range.clone() {
            let slot = read.slots[row];
            self.active += usize::from(self.total.rows(slot) == 0);
            self.total.add(&self.grouping.calls, &read.slots, &read.measures, row..row + 1, read.passed)?;
            self.log.push_back((read.timestamps[row], slot));
            for (values, measures) in self.values.iter_mut().zip(&read.measures) {
                values.push(measures.value(row));
            }
            for (lane, queues) in &mut self.queues {
                match read.measures[*lane].ints() {
                    Some(ints) => queues.push_int(slot, ints[row]),
                    None => {
                        let value = self.grouping.calls.comparable(*lane, read.measures[*lane].value(row));
                        queues.push(slot, Extremes::of(&value));
                    }
                }
            }
            instant.changed.push(slot);
        }
        Ok(())
    }

    /// Emits the rows of an instant that is complete.
    ///
    /// # Errors
    /// A result outside its range fails at the instant (C-SUM); it is noted.
    fn emit(&mut self, instant: &mut Instant, rows: &mut Rows, context: &mut Context) -> Result<(), Ended> {
        let changed = &mut instant.changed;
        if changed.len() > 1 {
            changed.sort_unstable_by(|&a, &b| self.grouping.slots.compare(a, b));
            changed.dedup();
        }
        changed.retain(|&slot| self.total.rows(slot) > 0);
        let extremes = |lane, slot| all(&self.queues, lane, slot);
        let pushed = rows.push(instant.at, &self.grouping, &self.total, changed, Some(&extremes), context);
        changed.clear();
        pushed
    }

    /// Timestamps and measures of the events inside, by slot.
    fn events(&self) -> Vec<Vec<(i64, Vec<Value>)>> {
        let mut events: Vec<Vec<(i64, Vec<Value>)>> = vec![Vec::new(); self.grouping.slots.len()];
        for (place, &(at, slot)) in self.log.iter().enumerate() {
            events[slot as usize].push((at, self.values.iter().map(|values| values.get(place)).collect()));
        }
        events
    }
}

/// The extremes of a slot in a lane that asks for them.
fn all(queues: &[(usize, Queues)], lane: usize, slot: u32) -> Extremes {
    let found = queues.iter().find(|(known, _)| *known == lane);
    found.map(|(_, queues)| queues.all(slot)).unwrap_or_default()
}

impl Operator for Sliding {
    fn step(&mut self, inputs: &[&Slice], context: &mut Context) -> Slice {
        if self.ended {
            return Slice::empty(Timestamp::MAX);
        }
        let mut rows = Rows::new(&self.grouping);
        self.ended = self.advance(inputs, &mut rows, context).is_err();
        // Between steps no slot is referred to but by events.
        self.grouping.sweep(self.active, |slot| self.total.rows(slot) > 0);
        let until = if self.ended { Timestamp::MAX } else { inputs[0].until };
        Slice { batches: rows.finish(), until }
    }

    fn save(&self, writer: &mut Writer) {
        let lost = self.plants.is(Plant::SlidingExpiryLost);
        let events = self.events();
        let inside = |slot: &u32| !lost && !events[*slot as usize].is_empty();
        let used: Vec<u32> = self.grouping.slots.sorted().into_iter().filter(inside).collect();
        writer.len(used.len());
        for &slot in &used {
            self.grouping.save_key(slot, writer);
            writer.len(events[slot as usize].len());
            for (at, values) in &events[slot as usize] {
                writer.i64(*at);
                values.iter().for_each(|value| writer.value(value));
            }
        }
        used.iter().for_each(|&slot| self.total.save_running(&self.grouping.calls, slot, writer));
    }

    fn load(&mut self, reader: &mut Reader<'_>) -> Result<(), Corrupt> {
        let mut events: Vec<(i64, u32, Vec<Value>)> = Vec::new();
        let mut slots = Vec::new();
        for _ in 0..reader.len(8)? {
            let slot = self.grouping.load_key(reader)?;
            slots.push(slot);
            for _ in 0..reader.len(8)? {
                let at = read_ticks(reader)?;
                let mut values = Vec::new();
                for lane in 0..self.values.len() {
                    let value = reader.value()?;
                    if self.grouping.calls.refuse(lane, &value).is_some() {
                        return Err(reader.corrupt("a value that can be aggregated"));
                    }
                    values.push(value);
                }
                events.push((at, slot, values));
            }
        }
        // Stable: events of a group keep their order, that of groups at one instant does not matter.
        events.sort_by_key(|event| event.0);
        self.fit();
        for (at, slot, values) in events {
            self.active += usize::from(self.total.rows(slot) == 0);
            self.log.push_back((at, slot));
            self.total.add_row(&self.grouping.calls, slot, &values);
            for (lane, queues) in &mut self.queues {
                let value = self.grouping.calls.comparable(*lane, values[*lane].clone());
                queues.push(slot, Extremes::of(&value));
            }
            self.values.iter_mut().zip(values).for_each(|(queue, value)| queue.push(value));
        }
        for slot in slots {
            self.total.load_running(&self.grouping.calls, slot, reader)?;
        }
        Ok(())
    }

    fn explain(&self) -> BTreeMap<String, String> {
        let events = self.events();
        let used = self.grouping.slots.sorted().into_iter().filter(|&slot| self.total.rows(slot) > 0);
        let extremes = |lane, slot| all(&self.queues, lane, slot);
        let group = |slot: u32| {
            let content = text(&self.grouping.calls, &self.total, slot, Some(&extremes));
            let leave = |(at, _): &(i64, Vec<Value>)| Timestamp(at + self.size).to_string();
            let leaves: Vec<String> = events[slot as usize].iter().map(leave).collect();
            (self.grouping.slots.text(slot), format!("{content}, leaving at {}", leaves.join(", ")))
        };
        used.map(group).collect()
    }
}
