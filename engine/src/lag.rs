//! LAG (rule 7.1): the offset-th last row of the same key *before* the current one that satisfies WHEN.
//!
//! A predecessor at `p` counts for a row at `t` if `p > t - limit` (A-LIMIT-EDGE); rows of equal timestamp
//! count in processing order. Its argument was evaluated on the predecessor; NULL is a value, not "no row".
//! The default is evaluated on the current row, which need not satisfy WHEN. Knows nothing of LAST.
//! Invariant: a row is looked up before it is noted.

use std::collections::BTreeMap;

use rewindow_query::{Timestamp, plan};

use crate::batch::{Batch, Context, Slice};
use crate::codec::{Corrupt, Reader, Writer};
use crate::column::ColumnBuilder;
use crate::history::History;
use crate::looking::{map_batches, read};
use crate::operator::Operator;
use crate::plant::{Plant, Plants};
use crate::slots::Slots;

/// LAG at work.
#[derive(Debug)]
pub struct Lag {
    op: plan::Lag,
    slots: Slots,
    history: History,
    /// Rows still to come are not stamped before this.
    until: Timestamp,
    ended: bool,
    plants: Plants,
}

impl Lag {
    /// Of a plan node.
    pub fn new(op: &plan::Lag, plants: Plants) -> Lag {
        let slots = Slots::new(op.partition.len());
        let history = History::new(op.offset as usize, op.limit.0);
        Lag { op: op.clone(), slots, history, until: Timestamp::MIN, ended: false, plants }
    }

    fn take(&mut self, batch: &Batch, context: &mut Context) -> (Batch, bool) {
        let arguments = [&self.op.argument, &self.op.default];
        let read =
            read(batch, &mut self.slots, &self.op.partition, &arguments, self.op.when.as_ref(), context);
        self.history.fit(self.slots.len());
        if let Some(column) = self.history.run_ints(&read, false) {
            let ended = read.ended;
            return (read.append(column), ended);
        }
        let mut column = ColumnBuilder::with_capacity(read.slots.len());
        for (row, &slot) in read.slots.iter().enumerate() {
            let at = read.batch.timestamps[row];
            let found = self.history.look(slot, at);
            column.push(found.unwrap_or_else(|| read.columns[1].value(row)));
            if read.counts(row) {
                self.history.note(slot, at, read.columns[0].value(row));
            }
        }
        let ended = read.ended;
        (read.append(column.finish()), ended)
    }
}

impl Operator for Lag {
    fn step(&mut self, inputs: &[&Slice], context: &mut Context) -> Slice {
        if self.ended {
            return Slice::empty(Timestamp::MAX);
        }
        let (slice, ended) = map_batches(inputs[0], |batch| self.take(batch, context));
        (self.ended, self.until) = (ended, slice.until);
        self.history.sweep(&mut self.slots, self.until);
        slice
    }

    fn save(&self, writer: &mut Writer) {
        writer.timestamp(self.until);
        let lost = self.plants.is(Plant::LagStateNotSaved);
        let until = if lost { Timestamp::MAX } else { self.until };
        self.history.save(&self.slots, until, writer);
    }

    fn load(&mut self, reader: &mut Reader<'_>) -> Result<(), Corrupt> {
        self.until = reader.timestamp()?;
        self.history.load(&mut self.slots, self.op.partition.len(), reader)
    }

    fn explain(&self) -> BTreeMap<String, String> {
        self.history.explain(&self.slots, self.until)
    }
}
