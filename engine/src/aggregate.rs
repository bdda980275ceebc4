//! Aggregates (rule 6.1) as state by slot.
//!
//! Calls with the same argument share one lane of state. While an argument was only ever bigint a lane is a
//! row of 32 bytes for each slot; anything else promotes it to general cells. Counts, sums and distinct sets
//! can be taken back exactly; least and greatest values cannot, see [`crate::extremes`]. Knows nothing of
//! windows and keys. Invariant: what a slot says depends on its content alone, never on the order of adding
//! and taking back, and a saved slot is the same bytes in either form.

use std::ops::Range;

use rewindow_query::Value;
use rewindow_query::plan::Aggregate;

use crate::calls::{Argument, Call, Calls, Measures, Refused};
use crate::codec::{Corrupt, Reader, Writer};
use crate::column::ColumnBuilder;
use crate::extremes::Extremes;
use crate::listed::List;
use crate::user;

mod cell;

use cell::{Cell, EMPTY, IntCell, whole};

/// The state of all slots.
#[derive(Clone, Debug)]
pub struct State {
    rows: Vec<u64>,
    lanes: Vec<Lane>,
}

/// The state of all slots for one argument.
#[derive(Clone, Debug)]
enum Lane {
    /// Bigints and NULLs so far, sums within 64 bits.
    Ints(Vec<IntCell>),
    /// Anything.
    Cells(Vec<Cell>),
}

impl State {
    /// No slots yet.
    pub fn new(calls: &Calls) -> State {
        let lane = |argument: &Argument| {
            if argument.is_general() { Lane::Cells(Vec::new()) } else { Lane::Ints(Vec::new()) }
        };
        State { rows: Vec::new(), lanes: calls.arguments.iter().map(lane).collect() }
    }

    /// Makes room for so many slots.
    pub fn fit(&mut self, slots: usize) {
        if slots > self.rows.len() {
            self.rows.resize(slots, 0);
            for lane in &mut self.lanes {
                match lane {
                    Lane::Ints(cells) => cells.resize(slots, EMPTY),
                    Lane::Cells(cells) => cells.resize(slots, Cell::default()),
                }
            }
        }
    }

    /// Rows in the group of a slot.
    #[inline]
    pub fn rows(&self, slot: u32) -> u64 {
        self.rows[slot as usize]
    }

    /// Empties a slot.
    pub fn clear(&mut self, slot: u32) {
        self.rows[slot as usize] = 0;
        for lane in &mut self.lanes {
            match lane {
                Lane::Ints(cells) => cells[slot as usize] = EMPTY,
                Lane::Cells(cells) => cells[slot as usize] = Cell::default(),
            }
        }
    }

    /// Takes the rows of a range in. The first row that mixes kinds in a group is refused; the state is
    /// then only good for what is stamped before it. Rows in front of `passed` are not asked: where they mix,
    /// nobody asks for the result, and once one of the kinds has left the group it is as if they never had.
    pub fn add(
        &mut self,
        calls: &Calls,
        slots: &[u32],
        measures: &[Measures],
        range: Range<usize>,
        passed: usize,
    ) -> Result<(), Refused> {
        slots[range.clone()].iter().for_each(|&slot| self.rows[slot as usize] += 1);
        let mut refused: Option<Refused> = None;
        for (lane, measures) in measures.iter().enumerate() {
            let mut from = range.start;
            if let (Lane::Ints(cells), Some(ints)) = (&mut self.lanes[lane], measures.ints()) {
                from = add_ints(cells, slots, ints, range.clone());
            }
            // What is left could not be added as bigints.
            for (row, &slot) in (from..range.end).zip(&slots[from..range.end]) {
                if let Err(message) = self.add_value(calls, lane, slot, &measures.value(row), row >= passed) {
                    if refused.as_ref().is_none_or(|known| row < known.row) {
                        refused = Some(Refused { row, message });
                    }
                    break;
                }
            }
        }
        refused.map_or(Ok(()), Err)
    }

    /// Takes one row in that was taken in before; `values` are its measures by lane.
    pub fn add_row(&mut self, calls: &Calls, slot: u32, values: &[Value]) {
        self.rows[slot as usize] += 1;
        for (lane, value) in values.iter().enumerate() {
            let added = self.add_value(calls, lane, slot, value, false);
            debug_assert!(added.is_ok(), "what is not checked is not refused");
        }
    }

    /// Takes one value in, without counting a row.
    fn add_value(
        &mut self,
        calls: &Calls,
        lane: usize,
        slot: u32,
        value: &Value,
        checked: bool,
    ) -> Result<(), String> {
        let argument = &calls.arguments[lane];
        // Looked at before anything is kept: what is refused must not be in what is saved.
        if checked && argument.list == List::Disc {
            self.check_mix(calls, lane, slot, value)?;
        }
        if !argument.list.skips(value) {
            self.lanes[lane].cells()[slot as usize].push(argument, value);
        }
        if argument.list.is_all() {
            return Ok(());
        }
        if let (Lane::Ints(cells), Value::Int(int)) = (&mut self.lanes[lane], value)
            && cells[slot as usize].add(*int)
        {
            return Ok(());
        }
        if value.is_null() {
            return Ok(());
        }
        let cell = &mut self.lanes[lane].cells()[slot as usize];
        if argument.extremes && checked {
            cell.check_mix(value)?;
        }
        cell.change(argument, value, true);
        if argument.extremes {
            cell.extremes.add(&calls.comparable(lane, value.clone()));
        }
        Ok(())
    }

    /// Whether a value would mix kinds with what the slot holds (C-MINMAX).
    pub fn check_mix(&self, calls: &Calls, lane: usize, slot: u32, value: &Value) -> Result<(), String> {
        if !calls.arguments[lane].compares() || value.is_null() {
            return Ok(());
        }
        match &self.lanes[lane] {
            Lane::Ints(cells) => cells[slot as usize].to_cell().check_mix(value),
            Lane::Cells(cells) => cells[slot as usize].check_mix(value),
        }
    }

    /// Whether a lane has only ever held bigints.
    pub fn is_ints(&self, lane: usize) -> bool {
        matches!(self.lanes[lane], Lane::Ints(_))
    }

    /// Takes a row back out of its slot; `values` are its measures by lane.
    pub fn remove(&mut self, calls: &Calls, slot: u32, values: impl Iterator<Item = Value>) {
        self.rows[slot as usize] -= 1;
        for (lane, value) in values.enumerate() {
            if let (Lane::Ints(cells), Value::Int(int)) = (&mut self.lanes[lane], &value) {
                let cell = &mut cells[slot as usize];
                if let Some(sum) = cell.sum.checked_sub(*int) {
                    (cell.count, cell.sum) = (cell.count - 1, sum);
                    continue;
                }
            }
            let argument = &calls.arguments[lane];
            if !argument.list.skips(&value) {
                self.lanes[lane].cells()[slot as usize].pop();
            }
            if !value.is_null() && !argument.list.is_all() {
                self.lanes[lane].cells()[slot as usize].change(argument, &value, false);
            }
        }
    }

    /// Adds (or takes back) the group `from` of another state, except its extremes.
    pub fn merge(&mut self, slot: u32, other: &State, from: u32, add: bool) {
        let (to, from) = (slot as usize, from as usize);
        if add {
            self.rows[to] += other.rows[from]
        } else {
            self.rows[to] -= other.rows[from]
        }
        for (lane, theirs) in self.lanes.iter_mut().zip(&other.lanes) {
            let theirs = match theirs {
                Lane::Ints(theirs) => {
                    let theirs = &theirs[from];
                    if let Lane::Ints(cells) = lane
                        && cells[to].merge(theirs, add)
                    {
                        continue;
                    }
                    &theirs.to_cell()
                }
                Lane::Cells(theirs) => &theirs[from],
            };
            if !theirs.is_empty() {
                lane.cells()[to].merge(theirs, add);
            }
        }
    }

    /// The extremes of a slot, of a state from which nothing was taken back.
    pub fn extremes(&self, lane: usize, slot: u32) -> Extremes {
        match &self.lanes[lane] {
            Lane::Ints(cells) => cells[slot as usize].extremes(),
            Lane::Cells(cells) => cells[slot as usize].extremes.clone(),
        }
    }

    /// Appends the results of the slots, a builder for each call. `extremes` gives those of a lane and slot
    /// where things were taken back.
    ///
    /// # Errors
    /// A sum outside its type's range (C-SUM); the builders are not to be used afterwards.
    pub fn emit(
        &self,
        calls: &Calls,
        slots: &[u32],
        builders: &mut [ColumnBuilder],
        extremes: Option<&dyn Fn(usize, u32) -> Extremes>,
    ) -> Result<(), String> {
        // So few slots at a time that their state is still at hand for the next call.
        let parts = slots.chunks(256).flat_map(|part| (0..calls.len()).map(move |call| (part, call)));
        for (slots, call) in parts {
            let (call, builder) = (calls.calls[call], &mut builders[call]);
            if self.emit_ints(call, slots, builder, extremes.is_none()) {
                continue;
            }
            for &slot in slots {
                builder.push(match call {
                    Call::Rows => whole(self.rows[slot as usize]),
                    Call::Distinct(lane) => match &self.lanes[lane] {
                        Lane::Cells(cells) => whole(cells[slot as usize].distinct.len() as u64),
                        Lane::Ints(_) => Value::Int(0),
                    },
                    Call::Of(function @ (Aggregate::Min | Aggregate::Max), lane) => {
                        let both = match extremes {
                            Some(extremes) => extremes(lane, slot),
                            None => self.extremes(lane, slot),
                        };
                        if function == Aggregate::Min { both.min } else { both.max }
                    }
                    Call::Listed(function, lane, descending) => match &self.lanes[lane] {
                        Lane::Cells(cells) => cells[slot as usize].listed(function, descending),
                        Lane::Ints(_) => Value::Null,
                    },
                    Call::Top(function, lane) => match (&calls.arguments[lane].list, &self.lanes[lane]) {
                        (List::Top(order), Lane::Cells(cells)) => cells[slot as usize].top(function, order),
                        _ => Value::Null,
                    },
                    Call::User(lane) => match (&calls.arguments[lane].list, &self.lanes[lane]) {
                        (List::User(user), Lane::Cells(cells)) => cells[slot as usize].user(user)?,
                        _ => Value::Null,
                    },
                    Call::Of(function, lane) => match &self.lanes[lane] {
                        Lane::Ints(cells) => cells[slot as usize].result(function)?,
                        Lane::Cells(cells) => cells[slot as usize].result(function)?,
                    },
                });
            }
        }
        Ok(())
    }

    /// [`State::emit`] for one call over bigints alone, none of whose results is NULL; gives whether it is that.
    /// `own`: the least and greatest values are those of the state.
    fn emit_ints(&self, call: Call, slots: &[u32], builder: &mut ColumnBuilder, own: bool) -> bool {
        let Call::Of(function, lane) = call else { return false };
        let Lane::Ints(cells) = &self.lanes[lane] else { return false };
        let cells = slots.iter().map(|&slot| &cells[slot as usize]);
        if function != Aggregate::Count && cells.clone().any(|cell| cell.count == 0) {
            return false;
        }
        match function {
            Aggregate::Count => builder.extend_ints(cells.map(|cell| cell.count)),
            Aggregate::Sum => builder.extend_ints(cells.map(|cell| cell.sum)),
            Aggregate::Avg => builder.extend_floats(cells.map(IntCell::mean)),
            Aggregate::Min if own => builder.extend_ints(cells.map(|cell| cell.min)),
            Aggregate::Max if own => builder.extend_ints(cells.map(|cell| cell.max)),
            _ => return false,
        }
        true
    }

    /// Appends a slot to a checkpoint.
    pub fn save(&self, calls: &Calls, slot: u32, writer: &mut Writer) {
        writer.u64(self.rows[slot as usize]);
        for (argument, lane) in calls.arguments.iter().zip(&self.lanes) {
            match lane {
                Lane::Ints(cells) => cells[slot as usize].to_cell().save(argument, writer),
                Lane::Cells(cells) => cells[slot as usize].save(argument, writer),
            }
        }
    }

    /// Appends what the values of a slot do not say of it: the states of aggregates from outside, which hang on
    /// what was taken back. For operators that make a slot again from its values.
    pub fn save_running(&self, calls: &Calls, slot: u32, writer: &mut Writer) {
        for (argument, lane) in calls.arguments.iter().zip(&self.lanes) {
            if let (List::User(_), Lane::Cells(cells)) = (&argument.list, lane) {
                user::save(cells[slot as usize].running.as_ref(), writer);
            }
        }
    }

    /// Reads what [`State::save_running`] wrote, into a slot made again.
    ///
    /// # Errors
    /// Bytes that are no such state.
    pub fn load_running(&mut self, calls: &Calls, slot: u32, reader: &mut Reader<'_>) -> Result<(), Corrupt> {
        for (argument, lane) in calls.arguments.iter().zip(&mut self.lanes) {
            if let (List::User(user), Lane::Cells(cells)) = (&argument.list, lane) {
                cells[slot as usize].running = user::load(user, reader)?;
            }
        }
        Ok(())
    }

    /// Reads a slot, for which there is room, from a checkpoint.
    ///
    /// # Errors
    /// Bytes that are no such state.
    pub fn load(&mut self, calls: &Calls, slot: u32, reader: &mut Reader<'_>) -> Result<(), Corrupt> {
        let rows = reader.u64()?;
        if rows == 0 {
            return Err(reader.corrupt("a group with rows"));
        }
        self.rows[slot as usize] = rows;
        for (argument, lane) in calls.arguments.iter().zip(&mut self.lanes) {
            let cell = Cell::load(argument, rows, reader)?;
            match (cell.as_ints(), &mut *lane) {
                (Some(ints), Lane::Ints(cells)) => cells[slot as usize] = ints,
                _ => lane.cells()[slot as usize] = cell,
            }
        }
        Ok(())
    }
}

/// Adds bigints until a sum leaves 64 bits; gives the first row not added.
fn add_ints(cells: &mut [IntCell], slots: &[u32], ints: &[i64], range: Range<usize>) -> usize {
    let start = range.start;
    for (done, (&slot, &int)) in slots[range.clone()].iter().zip(&ints[range.clone()]).enumerate() {
        if !cells[slot as usize].add(int) {
            return start + done;
        }
    }
    range.end
}

impl Lane {
    /// The lane as general cells.
    fn cells(&mut self) -> &mut Vec<Cell> {
        if let Lane::Ints(ints) = self {
            *self = Lane::Cells(ints.iter().map(|cell| cell.to_cell()).collect());
        }
        match self {
            Lane::Cells(cells) => cells,
            Lane::Ints(_) => unreachable!("promoted above"),
        }
    }
}
