//! The rows that LAG and LAST can still look back at, by slot.
//!
//! The newest `depth` rows that satisfied WHEN are kept: with depth 1 a plain row for each slot, typed as
//! long as all values are bigints. The duration is tested when a row is looked up (A-LIMIT-EDGE), so no
//! timer runs; what has expired is dropped when state is saved or keys have doubled. Knows no expression.
//! Invariant: timestamps of a slot's rows never decrease.

use std::collections::VecDeque;

use rewindow_query::{Timestamp, Value};

use crate::codec::{Corrupt, Reader, Writer};
use crate::column::{Column, Data};
use crate::grouping::{read_key, read_ticks};
use crate::looking::Read;
use crate::slots::Slots;

/// Before every instant: no row.
const NEVER: i64 = i64::MIN;

/// Rows to look back at.
#[derive(Clone, Debug)]
pub struct History {
    depth: usize,
    limit: i64,
    rows: Rows,
    /// Live slots at which the next sweep is due.
    sweep_at: usize,
}

#[derive(Clone, Debug)]
enum Rows {
    /// Depth 1, bigints so far.
    Ints(Vec<(i64, i64)>),
    /// Depth 1.
    One(Vec<(i64, Value)>),
    /// Any depth, newest last.
    Many(Vec<VecDeque<(i64, Value)>>),
}

impl History {
    /// Nothing yet: the newest `depth` rows count, for less than `limit` ticks.
    pub fn new(depth: usize, limit: i64) -> History {
        let rows = if depth == 1 { Rows::Ints(Vec::new()) } else { Rows::Many(Vec::new()) };
        History { depth, limit, rows, sweep_at: 1024 }
    }

    /// Makes room for so many slots.
    pub fn fit(&mut self, slots: usize) {
        match &mut self.rows {
            Rows::Ints(rows) => rows.resize(slots.max(rows.len()), (NEVER, 0)),
            Rows::One(rows) => rows.resize(slots.max(rows.len()), (NEVER, Value::Null)),
            Rows::Many(rows) => rows.resize(slots.max(rows.len()), VecDeque::new()),
        }
    }

    /// The depth-th last row of a slot, if it is stamped after `at - limit`.
    #[inline]
    pub fn look(&self, slot: u32, at: i64) -> Option<Value> {
        let after = at - self.limit;
        match &self.rows {
            Rows::Ints(rows) => {
                let (stamped, value) = rows[slot as usize];
                (stamped > after).then_some(Value::Int(value))
            }
            Rows::One(rows) => {
                let (stamped, value) = &rows[slot as usize];
                (*stamped > after).then(|| value.clone())
            }
            Rows::Many(rows) => {
                let rows = &rows[slot as usize];
                let place = rows.len().checked_sub(self.depth)?;
                let (stamped, value) = &rows[place];
                (*stamped > after).then(|| value.clone())
            }
        }
    }

    /// Looks back from each row of a batch whose argument is all bigints and whose default is NULL, and notes those
    /// that count: before it looks, if `notes_first`. `None`, and nothing is done, for other values.
    pub fn run_ints(&mut self, read: &Read, notes_first: bool) -> Option<Column> {
        let [argument, default] = &read.columns[..] else { return None };
        let (Rows::Ints(rows), Data::Int(ints), None, Data::Null(_)) =
            (&mut self.rows, &argument.data, &argument.nulls, &default.data)
        else {
            return None;
        };
        let slots = &read.slots;
        let (mut values, mut nulls) = (Vec::with_capacity(slots.len()), Vec::with_capacity(slots.len()));
        for (place, ((&at, &slot), &int)) in read.batch.timestamps.iter().zip(slots).zip(ints).enumerate() {
            let row = &mut rows[slot as usize];
            let before = *row;
            if read.counts(place) {
                *row = (at, int);
            }
            let (stamped, value) = if notes_first { *row } else { before };
            let found = stamped > at - self.limit;
            values.push(if found { value } else { 0 });
            nulls.push(!found);
        }
        Some(Column::ints_or_null(values, nulls))
    }

    /// A row that may be looked back at.
    #[inline]
    pub fn note(&mut self, slot: u32, at: i64, value: Value) {
        if let (Rows::Ints(rows), Value::Int(int)) = (&mut self.rows, &value) {
            rows[slot as usize] = (at, *int);
            return;
        }
        if let Rows::Ints(rows) = &self.rows {
            self.rows = Rows::One(rows.iter().map(|&(at, int)| (at, Value::Int(int))).collect());
        }
        match &mut self.rows {
            Rows::Ints(_) => {}
            Rows::One(rows) => rows[slot as usize] = (at, value),
            Rows::Many(rows) => {
                let rows = &mut rows[slot as usize];
                rows.push_back((at, value));
                if rows.len() > self.depth {
                    rows.pop_front();
                }
                let after = at - self.limit;
                while rows.front().is_some_and(|(stamped, _)| *stamped <= after) {
                    rows.pop_front();
                }
            }
        }
    }

    /// The rows of a slot that a row at `until` or later can see.
    fn seen(&self, slot: u32, until: Timestamp) -> Vec<(i64, Value)> {
        let after = until.0.saturating_sub(self.limit);
        let rows: Vec<(i64, Value)> = match &self.rows {
            Rows::Ints(rows) => Vec::from([rows[slot as usize]].map(|(at, int)| (at, Value::Int(int)))),
            Rows::One(rows) => vec![rows[slot as usize].clone()],
            Rows::Many(rows) => rows[slot as usize].iter().cloned().collect(),
        };
        rows.into_iter().filter(|&(stamped, _)| stamped > after && stamped != NEVER).collect()
    }

    /// Forgets keys whose rows have expired, once there are twice as many as after the last time.
    pub fn sweep(&mut self, slots: &mut Slots, until: Timestamp) {
        if slots.live() < self.sweep_at {
            return;
        }
        let after = until.0.saturating_sub(self.limit);
        let rows = &self.rows;
        let newest = |slot: u32| match rows {
            Rows::Ints(rows) => rows[slot as usize].0,
            Rows::One(rows) => rows[slot as usize].0,
            Rows::Many(rows) => rows[slot as usize].back().map_or(NEVER, |(at, _)| *at),
        };
        let released = slots.sweep(0, |slot| newest(slot) > after);
        for slot in released {
            match &mut self.rows {
                Rows::Ints(rows) => rows[slot as usize] = (NEVER, 0),
                Rows::One(rows) => rows[slot as usize] = (NEVER, Value::Null),
                Rows::Many(rows) => rows[slot as usize] = VecDeque::new(),
            }
        }
        self.sweep_at = (2 * slots.live()).max(1024);
    }

    /// Appends all rows that can still be seen from `until` on, by key.
    pub fn save(&self, slots: &Slots, until: Timestamp, writer: &mut Writer) {
        let seen = |slot| Some((slot, self.seen(slot, until))).filter(|(_, rows)| !rows.is_empty());
        let kept: Vec<_> = slots.sorted().into_iter().filter_map(seen).collect();
        writer.len(kept.len());
        for (slot, rows) in kept {
            slots.key(slot).iter().for_each(|value| writer.value(value));
            writer.len(rows.len());
            for (at, value) in rows {
                writer.i64(at);
                writer.value(&value);
            }
        }
    }

    /// Reads what [`History::save`] wrote; a key has `width` values.
    ///
    /// # Errors
    /// Bytes that are no such state.
    pub fn load(&mut self, slots: &mut Slots, width: usize, reader: &mut Reader<'_>) -> Result<(), Corrupt> {
        for _ in 0..reader.len(8)? {
            let slot = read_key(slots, width, reader)?;
            self.fit(slots.len());
            let rows = reader.len(9)?;
            if rows > self.depth {
                return Err(reader.corrupt("no more rows than are looked back at"));
            }
            let mut newest = NEVER;
            for _ in 0..rows {
                let at = read_ticks(reader)?;
                if at < newest {
                    return Err(reader.corrupt("rows in the order of time"));
                }
                newest = at;
                let value = reader.value()?;
                self.note(slot, at, value);
            }
        }
        Ok(())
    }

    /// The rows of each key as text.
    pub fn explain(&self, slots: &Slots, until: Timestamp) -> std::collections::BTreeMap<String, String> {
        let row = |(at, value): (i64, Value)| format!("{} at {}", value, Timestamp(at));
        let rows = |slot| self.seen(slot, until).into_iter().map(row).collect::<Vec<_>>().join(", ");
        let all = slots.sorted().into_iter().map(|slot| (slots.text(slot), format!("[{}]", rows(slot))));
        all.filter(|(_, text)| text != "[]").collect()
    }
}
