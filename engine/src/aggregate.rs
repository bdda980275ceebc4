//! Aggregates (rule 6.1) as state by slot.
//!
//! Calls with the same argument share one lane of state. While an argument was only ever bigint a lane is a
//! row of 32 bytes for each slot; anything else promotes it to general cells. Counts, sums and distinct sets
//! can be taken back exactly; least and greatest values cannot, see [`crate::extremes`]. Knows nothing of
//! windows and keys. Invariant: what a slot says depends on its content alone, never on the order of adding
//! and taking back, and a saved slot is the same bytes in either form.

use std::collections::BTreeMap;
use std::ops::Range;

use rewindow_query::plan::Aggregate;
use rewindow_query::{Type, Value};

use crate::calls::{Argument, Call, Calls, Measures, Refused, decimal};
use crate::codec::{Corrupt, Reader, Writer};
use crate::column::ColumnBuilder;
use crate::exact::ExactSum;
use crate::extremes::Extremes;

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

#[derive(Clone, Copy, Debug)]
struct IntCell {
    count: i64,
    sum: i64,
    min: i64,
    max: i64,
}

const EMPTY: IntCell = IntCell { count: 0, sum: 0, min: i64::MAX, max: i64::MIN };

/// Everything about the values of one argument in one group.
#[derive(Clone, Debug, Default)]
struct Cell {
    /// Values that are not NULL.
    count: u64,
    /// Among them, those that make a SUM a float: float and text.
    floats: u64,
    /// Among them bits and datetimes, which do not mix with others in MIN and MAX.
    bits: u64,
    datetimes: u64,
    sum: ExactSum,
    /// Only right while nothing was taken back.
    extremes: Extremes,
    /// For COUNT(DISTINCT): how often each value is there.
    distinct: BTreeMap<Value, u64>,
}

impl State {
    /// No slots yet.
    pub fn new(calls: &Calls) -> State {
        let lane = |argument: &Argument| {
            if argument.distinct { Lane::Cells(Vec::new()) } else { Lane::Ints(Vec::new()) }
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
        if !calls.arguments[lane].extremes || value.is_null() {
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
            if !value.is_null() {
                self.lanes[lane].cells()[slot as usize].change(&calls.arguments[lane], &value, false);
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
            if theirs.count > 0 {
                lane.cells()[to].merge(theirs, add);
            }
        }
    }

    /// The extremes of a slot, of a state from which nothing was taken back.
    pub fn extremes(&self, lane: usize, slot: u32) -> Extremes {
        match &self.lanes[lane] {
            Lane::Ints(cells) => cells[slot as usize].to_cell().extremes,
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
        for (call, builder) in calls.calls.iter().zip(builders) {
            for &slot in slots {
                builder.push(match *call {
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
                    Call::Of(function, lane) => match &self.lanes[lane] {
                        Lane::Ints(cells) => cells[slot as usize].result(function)?,
                        Lane::Cells(cells) => cells[slot as usize].result(function)?,
                    },
                });
            }
        }
        Ok(())
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

fn whole(count: u64) -> Value {
    Value::Int(i64::try_from(count).unwrap_or(i64::MAX))
}

impl IntCell {
    /// Adds a bigint unless the sum would leave 64 bits.
    #[inline]
    fn add(&mut self, int: i64) -> bool {
        let Some(sum) = self.sum.checked_add(int) else { return false };
        *self = IntCell { count: self.count + 1, sum, min: self.min.min(int), max: self.max.max(int) };
        true
    }

    #[inline]
    fn merge(&mut self, other: &IntCell, add: bool) -> bool {
        let sum = if add { self.sum.checked_add(other.sum) } else { self.sum.checked_sub(other.sum) };
        let Some(sum) = sum else { return false };
        self.sum = sum;
        self.count += if add { other.count } else { -other.count };
        true
    }

    fn result(&self, function: Aggregate) -> Result<Value, String> {
        Ok(match function {
            Aggregate::Count => Value::Int(self.count),
            _ if self.count == 0 => Value::Null,
            Aggregate::Sum => Value::Int(self.sum),
            _ => return self.to_cell().result(function),
        })
    }

    fn to_cell(self) -> Cell {
        let mut sum = ExactSum::default();
        sum.add_int(self.sum);
        let extremes = if self.min > self.max {
            Extremes::default()
        } else {
            Extremes { min: Value::Int(self.min), max: Value::Int(self.max) }
        };
        Cell { count: self.count as u64, sum, extremes, ..Cell::default() }
    }
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

impl Cell {
    /// C-MINMAX: numbers, bits and datetimes do not mix.
    fn check_mix(&self, value: &Value) -> Result<(), String> {
        let same = match value {
            Value::Bit(_) => self.bits,
            Value::Datetime(_) => self.datetimes,
            _ => self.count - self.bits - self.datetimes,
        };
        if same == self.count {
            return Ok(());
        }
        let kind = value.kind().map_or("NULL", Type::name);
        Err(format!("MIN or MAX of {kind} together with values of another type"))
    }

    fn change(&mut self, argument: &Argument, value: &Value, add: bool) {
        let step = |count: &mut u64| if add { *count += 1 } else { *count -= 1 };
        step(&mut self.count);
        match value {
            Value::Float(_) | Value::Text(_) => step(&mut self.floats),
            Value::Bit(_) => step(&mut self.bits),
            Value::Datetime(_) => step(&mut self.datetimes),
            _ => {}
        }
        if argument.sums {
            let sum = &mut self.sum;
            let (int, float) = match value {
                Value::Int(v) => (*v, 0.0),
                Value::Bit(v) => (i64::from(*v), 0.0),
                Value::Float(v) => (0, *v),
                Value::Text(v) => (0, decimal(v).unwrap_or_default()),
                _ => (0, 0.0),
            };
            if add {
                sum.add_int(int)
            } else {
                sum.subtract_int(int)
            }
            if add { sum.add_float(float) } else { sum.subtract_float(float) }
        }
        if argument.distinct {
            self.change_distinct(distinct_key(value), 1, add);
        }
    }

    fn change_distinct(&mut self, key: Value, times: u64, add: bool) {
        if add {
            *self.distinct.entry(key).or_default() += times;
        } else if let Some(count) = self.distinct.get_mut(&key) {
            *count -= times;
            if *count == 0 {
                self.distinct.remove(&key);
            }
        }
    }

    fn merge(&mut self, other: &Cell, add: bool) {
        let change = |mine: &mut u64, theirs: u64| if add { *mine += theirs } else { *mine -= theirs };
        change(&mut self.count, other.count);
        change(&mut self.floats, other.floats);
        change(&mut self.bits, other.bits);
        change(&mut self.datetimes, other.datetimes);
        if add {
            self.sum.add(&other.sum)
        } else {
            self.sum.subtract(&other.sum)
        }
        for (key, &times) in &other.distinct {
            self.change_distinct(key.clone(), times, add);
        }
    }

    fn result(&self, function: Aggregate) -> Result<Value, String> {
        Ok(match function {
            Aggregate::Count => whole(self.count),
            _ if self.count == 0 => Value::Null,
            Aggregate::Sum if self.floats == 0 => {
                let sum = self.sum.ints();
                Value::Int(i64::try_from(sum).map_err(|_| format!("SUM {sum} is no bigint"))?)
            }
            Aggregate::Sum => Value::Float(self.sum.round().ok_or("SUM is no finite float")?),
            _ => Value::Float(self.sum.mean(self.count).ok_or("AVG is no finite float")?),
        })
    }

    /// As bigints only, if it is that.
    fn as_ints(&self) -> Option<IntCell> {
        if self.floats + self.bits + self.datetimes > 0 || !self.distinct.is_empty() {
            return None;
        }
        let (min, max) = match (&self.extremes.min, &self.extremes.max) {
            (Value::Int(min), Value::Int(max)) => (*min, *max),
            (Value::Null, Value::Null) => (EMPTY.min, EMPTY.max),
            _ => return None,
        };
        let (count, sum) = (i64::try_from(self.count).ok()?, i64::try_from(self.sum.ints()).ok()?);
        Some(IntCell { count, sum, min, max })
    }

    fn save(&self, argument: &Argument, writer: &mut Writer) {
        [self.count, self.floats, self.bits, self.datetimes].iter().for_each(|&count| writer.u64(count));
        if argument.sums {
            self.sum.save(writer);
        }
        if argument.extremes {
            writer.value(&self.extremes.min);
            writer.value(&self.extremes.max);
        }
        if argument.distinct {
            writer.len(self.distinct.len());
            for (key, &times) in &self.distinct {
                writer.value(key);
                writer.u64(times);
            }
        }
    }

    fn load(argument: &Argument, rows: u64, reader: &mut Reader<'_>) -> Result<Cell, Corrupt> {
        let mut cell = Cell { count: reader.u64()?, floats: reader.u64()?, ..Cell::default() };
        (cell.bits, cell.datetimes) = (reader.u64()?, reader.u64()?);
        let kinds = cell.floats.checked_add(cell.bits).and_then(|sum| sum.checked_add(cell.datetimes));
        if cell.count > rows || kinds.is_none_or(|kinds| kinds > cell.count) {
            return Err(reader.corrupt("counts that fit"));
        }
        if argument.sums {
            cell.sum = ExactSum::load(reader)?;
        }
        if argument.extremes {
            cell.extremes = Extremes { min: reader.value()?, max: reader.value()? };
            if (cell.count == 0) != cell.extremes.min.is_null()
                || cell.extremes.min.is_null() != cell.extremes.max.is_null()
            {
                return Err(reader.corrupt("extremes of a group"));
            }
        }
        if argument.distinct {
            let mut total = 0_u64;
            for _ in 0..reader.len(9)? {
                let (key, times) = (reader.value()?, reader.u64()?);
                total = total.saturating_add(times);
                if times == 0 || cell.distinct.insert(key, times).is_some() {
                    return Err(reader.corrupt("a set of values"));
                }
            }
            if total != cell.count {
                return Err(reader.corrupt("as many values as counted"));
            }
        }
        Ok(cell)
    }
}

/// C-DISTINCT: by `=` for numbers, so that 1 and 1.0 are one; by C-KEY otherwise.
fn distinct_key(value: &Value) -> Value {
    match value {
        Value::Float(float) => {
            let int = *float as i64;
            // The cast saturates: only a float that is exactly this bigint is one.
            let exact = rewindow_query::value::compare_int_float(int, *float).is_eq();
            if exact { Value::Int(int) } else { Value::Float(*float) }
        }
        value => value.clone(),
    }
}
