//! Tumbling window (rule 4.6): windows `(end - size, end]` with ends at `k * size + offset`; and the snapshot
//! window (rule 4.10), which is one of a single tick.
//!
//! Rows come in the order of their timestamps, so one window is open at a time. Batches are cut at window
//! ends, no event is tested. A window closes when the frontier is past its end (A-WATERMARK-CLOSE). Knows
//! nothing of other windows. Invariant: every group of the state has rows, all stamped in the open window.
//!
//! ```text
//!   ... end - size ]( end - size + 1 ............ end ]( ...      until > end: rows stamped `end`
//! ```

use std::collections::BTreeMap;

use rewindow_query::Timestamp;
use rewindow_query::plan::{Group, Window};

use crate::aggregate::State;
use crate::batch::{Context, Slice};
use crate::codec::{Corrupt, Reader, Writer};
use crate::grouping::{Ended, Grouping, Rows, end_of, read_option, text, write_option};
use crate::operator::Operator;
use crate::plant::{Plant, Plants};

/// A tumbling window at work.
#[derive(Debug)]
pub struct Tumbling {
    grouping: Grouping,
    state: State,
    size: i64,
    offset: i64,
    /// End of the open window; `None` while it is empty.
    end: Option<i64>,
    ended: bool,
    plants: Plants,
}

impl Tumbling {
    /// Of a grouping whose window is tumbling or snapshot.
    pub fn new(op: &Group, plants: Plants) -> Tumbling {
        let (size, offset) = match op.window {
            Window::Tumbling { size, offset } => (size.0, offset.0),
            Window::Snapshot => (1, 0),
            other => unreachable!("a {} window is no tumbling window", other.name()),
        };
        let mut grouping = Grouping::new(op);
        grouping.calls = grouping.calls.pruning().forgetting();
        let state = State::new(&grouping.calls);
        Tumbling { grouping, state, size, offset, end: None, ended: false, plants }
    }

    /// Emits the open window if it ends before `until`.
    ///
    /// # Errors
    /// A result outside its range fails at the window end (C-SUM); it is noted.
    fn close(&mut self, until: i64, rows: &mut Rows, context: &mut Context) -> Result<(), Ended> {
        let Some(end) = self.end.take_if(|end| *end < until) else { return Ok(()) };
        let state = &self.state;
        let used: Vec<u32> =
            self.grouping.slots.order().iter().copied().filter(|&slot| state.rows(slot) > 0).collect();
        rows.push(end, &self.grouping, &self.state, &used, None, context)?;
        self.grouping.sweep(used.len(), |slot| self.state.rows(slot) > 0);
        used.iter().for_each(|&slot| self.state.clear(slot));
        Ok(())
    }

    fn advance(&mut self, inputs: &[&Slice], rows: &mut Rows, context: &mut Context) -> Result<(), Ended> {
        for batch in &inputs[0].batches {
            let read = self.grouping.read(batch, |_| true, context);
            self.state.fit(self.grouping.slots.len());
            let mut from = 0;
            while from < read.timestamps.len() {
                let end = end_of(read.timestamps[from], self.size, self.offset);
                self.close(end, rows, context)?;
                self.end = Some(end);
                let to = from + read.timestamps[from..].partition_point(|&timestamp| timestamp <= end);
                let (calls, measures) = (&self.grouping.calls, &read.measures);
                let added = self.state.add(calls, &read.slots, measures, from..to, read.passed);
                added.map_err(|refused| {
                    context.fail(Timestamp(read.timestamps[refused.row]), refused.message);
                })?;
                from = to;
            }
            if let Some(at) = read.failed {
                self.close(at, rows, context)?;
                return Err(Ended);
            }
        }
        self.close(inputs[0].until.0, rows, context)
    }
}

impl Operator for Tumbling {
    fn step(&mut self, inputs: &[&Slice], context: &mut Context) -> Slice {
        if self.ended {
            return Slice::empty(Timestamp::MAX);
        }
        let mut rows = Rows::new(&self.grouping);
        self.ended = self.advance(inputs, &mut rows, context).is_err();
        let until = if self.ended { Timestamp::MAX } else { inputs[0].until };
        Slice { batches: rows.finish(), until }
    }

    fn save(&self, writer: &mut Writer) {
        let end = self.end.filter(|_| !self.plants.is(Plant::TumblingWindowLost));
        write_option(writer, end);
        if end.is_none() {
            return;
        }
        let used: Vec<u32> =
            self.grouping.slots.sorted().into_iter().filter(|&slot| self.state.rows(slot) > 0).collect();
        writer.len(used.len());
        for slot in used {
            self.grouping.save_key(slot, writer);
            self.state.save(&self.grouping.calls, slot, writer);
        }
    }

    fn load(&mut self, reader: &mut Reader<'_>) -> Result<(), Corrupt> {
        self.end = read_option(reader)?;
        if self.end.is_none() {
            return Ok(());
        }
        for _ in 0..reader.len(8)? {
            let slot = self.grouping.load_key(reader)?;
            self.state.fit(self.grouping.slots.len());
            self.state.load(&self.grouping.calls, slot, reader)?;
        }
        Ok(())
    }

    fn explain(&self) -> BTreeMap<String, String> {
        let Some(end) = self.end else { return BTreeMap::new() };
        let used = self.grouping.slots.sorted().into_iter().filter(|&slot| self.state.rows(slot) > 0);
        let group = |slot| {
            let content = text(&self.grouping.calls, &self.state, slot, None);
            (self.grouping.slots.text(slot), format!("until {}: {content}", Timestamp(end)))
        };
        used.map(group).collect()
    }
}
