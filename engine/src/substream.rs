//! Substreams of a partition (rule 3.9, choice C-SUBSTREAM): for each tuple of TIMESTAMP BY … OVER the largest
//! timestamp so far, after the policies.
//!
//! Tuples are equal as C-KEY says. Knows no policy. Invariant: a tuple whose largest timestamp can no longer
//! put an event out of order is never saved, and forgotten once tuples have doubled; so what is kept is
//! bounded by the tuples met within the tolerances.

use std::sync::Arc;

use rewindow_query::Timestamp;
use rewindow_query::expr::Expr;

use crate::batch::Batch;
use crate::codec::{Corrupt, Reader, Writer};
use crate::column::Column;
use crate::eval;
use crate::grouping::{read_key, read_ticks};
use crate::slots::Slots;

/// No timestamp.
const NEVER: i64 = i64::MIN;

/// The tuples of some events.
#[derive(Debug)]
pub struct Tuples {
    /// A column for each value of the tuple; NULL also where a value cannot be computed.
    pub columns: Vec<Arc<Column>>,
}

impl Tuples {
    /// Evaluates OVER for every event of a batch.
    pub fn new(over: &[Expr], batch: &Batch) -> Tuples {
        Tuples { columns: over.iter().map(|expr| eval::evaluate_leniently(expr, batch).0).collect() }
    }

    /// Whether the event has no tuple: it is dropped (rule 2.8).
    pub fn is_missing(&self, row: usize) -> bool {
        self.columns.iter().any(|column| column.is_null(row))
    }
}

/// The substreams of a partition.
#[derive(Debug)]
pub struct Substreams {
    width: usize,
    slots: Slots,
    /// By slot.
    seen: Vec<i64>,
    /// Live slots at which the next sweep is due.
    sweep_at: usize,
}

impl Substreams {
    /// None yet; a tuple has `width` values.
    pub fn new(width: usize) -> Substreams {
        Substreams { width, slots: Slots::new(width), seen: Vec::new(), sweep_at: 1024 }
    }

    /// The substream of each row.
    pub fn assign(&mut self, tuples: &[Arc<Column>], rows: usize) -> Vec<u32> {
        let mut given = Vec::new();
        self.slots.assign(tuples, rows, &mut given);
        self.fit();
        given
    }

    fn fit(&mut self) {
        self.seen.resize(self.slots.len().max(self.seen.len()), NEVER);
    }

    /// The largest timestamp of a substream, which may be none, and its place.
    pub fn seen(&mut self, slot: u32) -> &mut i64 {
        &mut self.seen[slot as usize]
    }

    /// Forgets what is stamped at or before `floor`, once there are twice as many as after the last time.
    pub fn sweep(&mut self, floor: i64) {
        if self.slots.live() < self.sweep_at {
            return;
        }
        let seen = &self.seen;
        for slot in self.slots.sweep(0, |slot| seen[slot as usize] > floor) {
            self.seen[slot as usize] = NEVER;
        }
        self.sweep_at = (2 * self.slots.live()).max(1024);
    }

    fn kept(&self, floor: i64) -> Vec<u32> {
        self.slots.sorted().into_iter().filter(|&slot| self.seen[slot as usize] > floor).collect()
    }

    /// Appends what is stamped after `floor` to a checkpoint.
    pub fn save(&self, floor: i64, writer: &mut Writer) {
        let kept = self.kept(floor);
        writer.len(kept.len());
        for slot in kept {
            self.slots.key(slot).iter().for_each(|value| writer.value(value));
            writer.i64(self.seen[slot as usize]);
        }
    }

    /// Reads what [`Substreams::save`] wrote.
    ///
    /// # Errors
    /// Bytes that are no such state.
    pub fn load(&mut self, reader: &mut Reader<'_>) -> Result<(), Corrupt> {
        for _ in 0..reader.len(8)? {
            let slot = read_key(&mut self.slots, self.width, reader)?;
            self.fit();
            self.seen[slot as usize] = read_ticks(reader)?;
        }
        Ok(())
    }

    /// What is stamped after `floor` as text.
    pub fn explain(&self, floor: i64) -> String {
        let text = |slot| format!("({}) at {}", self.slots.text(slot), Timestamp(self.seen[slot as usize]));
        self.kept(floor).into_iter().map(text).collect::<Vec<_>>().join(", ")
    }
}
