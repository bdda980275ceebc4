//! Everything about the values of one argument in one group.
//!
//! In two forms: 32 bytes while all is bigint and plain, a general cell else. Invariant: both forms of the
//! same content are saved as the same bytes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use rewindow_query::functions::ExternalAggregate;
use rewindow_query::plan::Aggregate;
use rewindow_query::{Type, Value};

use crate::calls::{Argument, decimal};
use crate::codec::{Corrupt, Reader, Writer};
use crate::exact::ExactSum;
use crate::extremes::Extremes;
use crate::listed::{self, List, Order};
use crate::spread::{Spread, Squares};
use crate::user::{self, Running};

#[derive(Clone, Copy, Debug)]
pub(super) struct IntCell {
    pub(super) count: i64,
    pub(super) sum: i64,
    pub(super) min: i64,
    pub(super) max: i64,
}

pub(super) const EMPTY: IntCell = IntCell { count: 0, sum: 0, min: i64::MAX, max: i64::MIN };

/// Everything about the values of one argument in one group.
#[derive(Clone, Debug, Default)]
pub(super) struct Cell {
    /// Values that are not NULL.
    pub(super) count: u64,
    /// Among them, those that make a SUM a float: float and text.
    pub(super) floats: u64,
    /// Among them bits and datetimes, which do not mix with others in MIN and MAX.
    pub(super) bits: u64,
    pub(super) datetimes: u64,
    pub(super) sum: ExactSum,
    /// For the variances.
    squares: Squares,
    /// Only right while nothing was taken back.
    pub(super) extremes: Extremes,
    /// For COUNT(DISTINCT): how often each value is there.
    pub(super) distinct: BTreeMap<Value, u64>,
    /// What has to be kept as it came, in processing order.
    pub(super) list: VecDeque<Value>,
    /// The state of an aggregate from outside, once it has seen a value.
    pub(super) running: Option<Running>,
}

pub(super) fn whole(count: u64) -> Value {
    Value::Int(i64::try_from(count).unwrap_or(i64::MAX))
}

impl IntCell {
    /// Adds a bigint unless the sum would leave 64 bits.
    #[inline]
    pub(super) fn add(&mut self, int: i64) -> bool {
        let Some(sum) = self.sum.checked_add(int) else { return false };
        *self = IntCell { count: self.count + 1, sum, min: self.min.min(int), max: self.max.max(int) };
        true
    }

    #[inline]
    pub(super) fn merge(&mut self, other: &IntCell, add: bool) -> bool {
        let sum = if add { self.sum.checked_add(other.sum) } else { self.sum.checked_sub(other.sum) };
        let Some(sum) = sum else { return false };
        self.sum = sum;
        self.count += if add { other.count } else { -other.count };
        true
    }

    pub(super) fn result(&self, function: Aggregate) -> Result<Value, String> {
        Ok(match function {
            Aggregate::Count => Value::Int(self.count),
            _ if self.count == 0 => Value::Null,
            Aggregate::Sum => Value::Int(self.sum),
            Aggregate::Avg => Value::Float(self.mean()),
            _ => return self.to_cell().result(function),
        })
    }

    /// The mean of at least one value. Bigints have a finite one.
    #[inline]
    pub(super) fn mean(&self) -> f64 {
        let mean = self.exact().mean(self.count as u64);
        mean.expect("a sum of bigints over their count is finite")
    }

    fn exact(&self) -> ExactSum {
        let mut sum = ExactSum::default();
        sum.add_int(self.sum);
        sum
    }

    pub(super) fn extremes(&self) -> Extremes {
        match self.min > self.max {
            true => Extremes::default(),
            false => Extremes { min: Value::Int(self.min), max: Value::Int(self.max) },
        }
    }

    pub(super) fn to_cell(self) -> Cell {
        Cell { count: self.count as u64, sum: self.exact(), extremes: self.extremes(), ..Cell::default() }
    }
}

impl Cell {
    /// C-MINMAX: numbers, bits and datetimes do not mix.
    pub(super) fn check_mix(&self, value: &Value) -> Result<(), String> {
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

    pub(super) fn change(&mut self, argument: &Argument, value: &Value, add: bool) {
        let step = |count: &mut u64| if add { *count += 1 } else { *count -= 1 };
        step(&mut self.count);
        match value {
            Value::Float(_) | Value::Text(_) => step(&mut self.floats),
            Value::Bit(_) => step(&mut self.bits),
            Value::Datetime(_) => step(&mut self.datetimes),
            _ => {}
        }
        if argument.squares {
            self.squares.change(value, add);
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

    pub(super) fn merge(&mut self, other: &Cell, add: bool) {
        let change = |mine: &mut u64, theirs: u64| {
            if add { *mine += theirs } else { *mine -= theirs }
        };
        change(&mut self.count, other.count);
        change(&mut self.floats, other.floats);
        change(&mut self.bits, other.bits);
        change(&mut self.datetimes, other.datetimes);
        if add {
            self.sum.add(&other.sum)
        } else {
            self.sum.subtract(&other.sum)
        }
        self.squares.combine(&other.squares, add);
        for (key, &times) in &other.distinct {
            self.change_distinct(key.clone(), times, add);
        }
        if add {
            self.list.extend(other.list.iter().cloned());
        } else {
            // What leaves is the oldest.
            self.list.drain(..other.list.len().min(self.list.len()));
        }
        if let Some(theirs) = &other.running {
            let mine = self.running.get_or_insert_with(|| theirs.empty());
            if add {
                other.list.iter().for_each(|value| mine.enter(value))
            } else {
                mine.leave_all(theirs, &other.list)
            }
        }
    }

    /// Takes the oldest value of a list back.
    pub(super) fn pop(&mut self) {
        let Some(value) = self.list.pop_front() else { return };
        if let Some(running) = &mut self.running {
            running.leave(&value);
        }
    }

    /// The result of an aggregate from outside.
    pub(super) fn user(&self, user: &Arc<ExternalAggregate>) -> Result<Value, String> {
        match &self.running {
            Some(running) => running.result(&self.list),
            None => Running::new(user).result(&self.list),
        }
    }

    pub(super) fn result(&self, function: Aggregate) -> Result<Value, String> {
        Ok(match function {
            Aggregate::Count => whole(self.count),
            _ if self.count == 0 => Value::Null,
            Aggregate::Sum if self.floats == 0 => {
                let sum = self.sum.ints();
                Value::Int(i64::try_from(sum).map_err(|_| format!("SUM {sum} is no bigint"))?)
            }
            Aggregate::Sum => Value::Float(self.sum.round().ok_or("SUM is no finite float")?),
            Aggregate::Avg => Value::Float(self.sum.mean(self.count).ok_or("AVG is no finite float")?),
            Aggregate::Var | Aggregate::Stdev if self.count == 1 => Value::Null,
            Aggregate::Var | Aggregate::VarP => {
                let sample = function == Aggregate::Var;
                let spread = Spread::new(&self.sum, &self.squares, self.count, sample);
                Value::Float(spread.variance().ok_or("the variance is no finite float")?)
            }
            Aggregate::Stdev | Aggregate::StdevP => {
                let sample = function == Aggregate::Stdev;
                let spread = Spread::new(&self.sum, &self.squares, self.count, sample);
                Value::Float(spread.deviation().ok_or("the deviation is no finite float")?)
            }
            // MIN and MAX stand in `extremes`, the others are lists.
            _ => Value::Null,
        })
    }

    /// Whether nothing was added.
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0 && self.list.is_empty()
    }

    /// Keeps a value for a function of lists.
    pub(super) fn push(&mut self, argument: &Argument, value: &Value) {
        if let List::User(user) = &argument.list {
            self.running.get_or_insert_with(|| Running::new(user)).enter(value);
            if argument.forgets {
                return;
            }
        }
        let compared = argument.list == List::Disc;
        self.list.push_back(if compared { argument.comparable(value.clone()) } else { value.clone() });
        if let (List::Top(order), true) = (&argument.list, argument.prunes) {
            order.prune(&mut self.list);
        }
    }

    /// The result of a percentile or of COLLECT.
    pub(super) fn listed(&self, function: Aggregate, descending: bool) -> Value {
        match function {
            Aggregate::PercentileCont(p) => listed::percentile_cont(&self.list, p, descending),
            Aggregate::PercentileDisc(p) => listed::percentile_disc(&self.list, p, descending),
            _ => Value::Array(self.list.iter().cloned().collect()),
        }
    }

    /// The result of COLLECTTOP or TOPONE.
    pub(super) fn top(&self, function: Aggregate, order: &Order) -> Value {
        let mut first = order.first(&self.list).into_iter();
        match function {
            Aggregate::TopOne => first.next().unwrap_or_default(),
            _ => listed::ranked(first),
        }
    }

    /// As bigints only, if it is that.
    pub(super) fn as_ints(&self) -> Option<IntCell> {
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

    pub(super) fn save(&self, argument: &Argument, writer: &mut Writer) {
        [self.count, self.floats, self.bits, self.datetimes].iter().for_each(|&count| writer.u64(count));
        if argument.sums {
            self.sum.save(writer);
        }
        if argument.squares {
            self.squares.save(writer);
        }
        if argument.list != List::None {
            writer.len(self.list.len());
            self.list.iter().for_each(|value| writer.value(value));
        }
        if let List::User(_) = &argument.list {
            user::save(self.running.as_ref(), writer);
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

    pub(super) fn load(argument: &Argument, rows: u64, reader: &mut Reader<'_>) -> Result<Cell, Corrupt> {
        let mut cell = Cell { count: reader.u64()?, floats: reader.u64()?, ..Cell::default() };
        (cell.bits, cell.datetimes) = (reader.u64()?, reader.u64()?);
        let kinds = cell.floats.checked_add(cell.bits).and_then(|sum| sum.checked_add(cell.datetimes));
        if cell.count > rows || kinds.is_none_or(|kinds| kinds > cell.count) {
            return Err(reader.corrupt("counts that fit"));
        }
        if argument.sums {
            cell.sum = ExactSum::load(reader)?;
        }
        if argument.squares {
            cell.squares = Squares::load(reader)?;
        }
        if argument.list != List::None {
            for _ in 0..reader.len(1)? {
                let value = reader.value()?;
                if argument.list.skips(&value) || argument.refuse(&value).is_some() {
                    return Err(reader.corrupt("a value that is kept"));
                }
                cell.list.push_back(value);
            }
            let most = if argument.list.is_all() { rows } else { cell.count };
            if cell.list.len() as u64 > most {
                return Err(reader.corrupt("no more values than rows"));
            }
        }
        if let List::User(user) = &argument.list {
            cell.running = user::load(user, reader)?;
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
