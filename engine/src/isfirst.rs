//! ISFIRST (rule 7.3): 1 for the first row of its key in its interval that satisfies WHEN, else 0.
//!
//! Intervals are those of a tumbling window without offset, end inclusive. A row that fails WHEN gets 0 and
//! is not counted. Knows nothing of LAG and LAST. Invariant: for each key the end of the last interval in
//! which it had a first row; an interval that is over counts for nothing.

use std::collections::BTreeMap;

use rewindow_query::{Timestamp, plan};

use crate::batch::{Batch, Context, Slice};
use crate::codec::{Corrupt, Reader, Writer};
use crate::column::Column;
use crate::grouping::{end_of, read_key, read_ticks};
use crate::looking::{map_batches, read};
use crate::operator::Operator;
use crate::plant::{Plant, Plants};
use crate::slots::Slots;

/// ISFIRST at work.
#[derive(Debug)]
pub struct IsFirst {
    op: plan::IsFirst,
    slots: Slots,
    /// By slot: end of the interval of its last first row; `i64::MIN` if there was none.
    last: Vec<i64>,
    /// Rows still to come are not stamped before this.
    until: Timestamp,
    /// Live slots at which the next sweep is due.
    sweep_at: usize,
    ended: bool,
    plants: Plants,
}

impl IsFirst {
    /// Of a plan node.
    pub fn new(op: &plan::IsFirst, plants: Plants) -> IsFirst {
        let (slots, until) = (Slots::new(op.partition.len()), Timestamp::MIN);
        IsFirst { op: op.clone(), slots, last: Vec::new(), until, sweep_at: 1024, ended: false, plants }
    }

    fn take(&mut self, batch: &Batch, context: &mut Context) -> (Batch, bool) {
        let read = read(batch, &mut self.slots, &self.op.partition, &[], self.op.when.as_ref(), context);
        self.last.resize(self.slots.len().max(self.last.len()), i64::MIN);
        let mut firsts = Vec::with_capacity(read.slots.len());
        for (row, &slot) in read.slots.iter().enumerate() {
            let end = end_of(read.batch.timestamps[row], self.op.interval.0, 0);
            let last = &mut self.last[slot as usize];
            let first = read.counts(row) && *last != end;
            if first {
                *last = end;
            }
            firsts.push(i64::from(first));
        }
        let ended = read.ended;
        (read.append(Column::ints(firsts)), ended)
    }

    /// Whether rows still to come can fall into the interval that ends so.
    fn is_open(&self, end: i64) -> bool {
        end >= self.until.0
    }

    fn sweep(&mut self) {
        if self.slots.live() < self.sweep_at {
            return;
        }
        let (last, until) = (&self.last, self.until.0);
        for slot in self.slots.sweep(0, |slot| last[slot as usize] >= until) {
            self.last[slot as usize] = i64::MIN;
        }
        self.sweep_at = (2 * self.slots.live()).max(1024);
    }

    fn open(&self) -> impl Iterator<Item = u32> {
        self.slots.sorted().into_iter().filter(|&slot| {
            let end = self.last[slot as usize];
            end != i64::MIN && self.is_open(end)
        })
    }
}

impl Operator for IsFirst {
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
        let lost = self.plants.is(Plant::IsFirstForgets);
        let open: Vec<u32> = self.open().filter(|_| !lost).collect();
        writer.len(open.len());
        for slot in open {
            self.slots.key(slot).iter().for_each(|value| writer.value(value));
            writer.i64(self.last[slot as usize]);
        }
    }

    fn load(&mut self, reader: &mut Reader<'_>) -> Result<(), Corrupt> {
        self.until = reader.timestamp()?;
        for _ in 0..reader.len(8)? {
            let slot = read_key(&mut self.slots, self.op.partition.len(), reader)?;
            self.last.resize(self.slots.len(), i64::MIN);
            self.last[slot as usize] = read_ticks(reader)?;
        }
        Ok(())
    }

    fn explain(&self) -> BTreeMap<String, String> {
        let until = |slot: u32| format!("had its first until {}", Timestamp(self.last[slot as usize]));
        self.open().map(|slot| (self.slots.text(slot), until(slot))).collect()
    }
}
