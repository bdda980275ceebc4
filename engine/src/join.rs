//! Join of two streams within a bound of time (section 8).
//!
//! Rows of both sides are taken in the order of time; each looks up the rows of the other side that have its
//! key and lie within the bound (rule 8.2, counting boundaries), and the whole ON is then asked about all
//! such candidates at once (C-EVAL). Knows neither WHERE nor reference data.
//! Invariants: every pair is a candidate once, when its later row comes; output is in the order of
//! (timestamp, left place, right place); a left row without partner comes out once, when no partner is
//! possible any more, and until then holds the output back to its timestamp (rule 8.4).
//!
//! ```text
//!   left outer, DATEDIFF(minute, l, r) BETWEEN 0 AND 1:
//!   minute      | 0 . l . . | 1 . . n . | 2            n: timestamp of the row without partner, l + 1 min
//!   partners    | xxxxxxxxx | xxxxxxxxx |              up to the end of minute 1: known only at 2
//! ```

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use rewindow_query::expr::{Expr, Predicate};
use rewindow_query::{Span, Timestamp, Unit, Value, plan};

use crate::batch::{Batch, Context, Slice};
use crate::codec::{Corrupt, Reader, Writer};
use crate::column::{Column, Data};
use crate::eval::{Fault, evaluate, evaluate_leniently, holds};
use crate::grouping::read_ticks;
use crate::operator::Operator;
use crate::plant::{Plant, Plants};
use crate::slots::{NONE, Slots};

pub(crate) mod equate;
mod shape;
mod side;

pub use shape::Shape;

use side::{Fate, NO_UNIT, Side, append_columns};

/// Candidates judged at once, about.
const CANDIDATES: usize = 8192;

/// A join at work.
#[derive(Debug)]
pub struct Join {
    op: plan::Join,
    shape: Shape,
    unit: i64,
    /// Ticks from a boundary of units to tick zero: weeks begin on Sunday, tick zero is a Monday.
    shift: i64,
    keys: [Vec<Expr>; 2],
    /// Equality of the keys, then ON.
    asked: Predicate,
    /// Keys that are not equal may share a slot, so equality must be asked, too.
    merged: bool,
    slots: Slots,
    /// Rows of each slot, both sides together, that are not cut.
    counts: Vec<u32>,
    sides: [Side; 2],
    /// Place of the next row of each side.
    places: [u64; 2],
    /// Rows that one side has ahead of the other.
    ahead: [Vec<Batch>; 2],
    until: [Timestamp; 2],
    /// Left outer: left rows without partner so far, by the timestamp they would have and their number.
    waiting: BTreeSet<(i64, u64)>,
    /// Pairs that wait for a row without partner in front of them.
    pending: VecDeque<Pairs>,
    /// The first failure of ON; told when all rows in front of it are out.
    failed: Option<(i64, String)>,
    ended: bool,
    /// What fails before it is no failure of the job; the context says so at each step.
    counts_from: i64,
    plants: Plants,
}

/// Matched pairs, in the order of (timestamp, left place, right place).
#[derive(Debug, Default)]
struct Pairs {
    batch: Batch,
    left: Vec<u64>,
}

/// A pair to be judged: timestamp, number of the left row, number of the right row.
type Candidate = (i64, u64, u64);

impl Join {
    /// Of a plan node.
    pub fn new(op: &plan::Join, shape: Shape, plants: Plants) -> Join {
        Join {
            unit: op.bound.unit.fixed().map_or(1, |span| span.0),
            shift: if op.bound.unit == Unit::Week { Span::hours(24).0 } else { 0 },
            slots: Slots::new(op.equal.len()),
            keys: equate::keys(op),
            asked: equate::asked(op),
            merged: false,
            op: op.clone(),
            shape,
            counts: Vec::new(),
            sides: [Side::default(), Side::default()],
            places: [0; 2],
            ahead: [Vec::new(), Vec::new()],
            until: [Timestamp::MIN; 2],
            waiting: BTreeSet::new(),
            pending: VecDeque::new(),
            failed: None,
            ended: false,
            counts_from: i64::MIN,
            plants,
        }
    }

    fn frontier(&self) -> i64 {
        self.until[0].min(self.until[1]).0
    }

    /// The unit of time an instant lies in.
    fn unit_of(&self, ticks: i64) -> i64 {
        ticks.saturating_add(self.shift).div_euclid(self.unit)
    }

    /// First instant after the unit.
    fn end_of(&self, unit: i64) -> i64 {
        unit.saturating_add(1).saturating_mul(self.unit).saturating_sub(self.shift)
    }

    /// The frontier at which no row to come can match a row that lies in this unit.
    fn over(&self, side: usize, unit: i64) -> i64 {
        if unit == NO_UNIT {
            return i64::MIN;
        }
        let other = 1 - side;
        let last = if side == 0 {
            unit.saturating_add(self.op.bound.high)
        } else {
            unit.saturating_sub(self.op.bound.low)
        };
        self.shape.behind[other].map_or(i64::MAX, |behind| self.end_of(last).saturating_add(behind.0))
    }

    /// Whether a row is of no use any more.
    fn is_over(&self, side: usize, at: usize) -> bool {
        let rows = &self.sides[side];
        let waits = side == 0 && self.op.left_outer && rows.fates[at] == Fate::Open;
        !waits && self.over(side, rows.units[at]) <= self.frontier()
    }

    /// Takes the rows before the frontier in; gives their numbers.
    fn take_in(&mut self, side: usize) -> std::ops::Range<u64> {
        let from = self.sides[side].end();
        let frontier = self.frontier();
        for batch in std::mem::take(&mut self.ahead[side]) {
            let known = batch.timestamps.partition_point(|&timestamp| timestamp < frontier);
            if known < batch.len() {
                let rest: Vec<u32> = (known as u32..batch.len() as u32).collect();
                self.ahead[side].push(batch.gather(&rest));
            }
            if known > 0 {
                let batch = self.without_failed(side, batch.truncated(known));
                // Counted behind the failed rows, so that batches cut otherwise give the same places.
                let place = self.places[side];
                self.places[side] += batch.len() as u64;
                let fates = vec![Fate::Open; batch.len()];
                self.append(side, batch, place, &fates);
            }
        }
        from..self.sides[side].end()
    }

    /// The rows whose keys can be evaluated; one that cannot fails the job and counts as absent (C-FAIL).
    fn without_failed(&mut self, side: usize, batch: Batch) -> Batch {
        let keys = &self.keys[side];
        let first = |batch: &Batch| {
            keys.iter().filter_map(|key| evaluate(key, batch).err()).min_by_key(|fault| fault.row)
        };
        if first(&batch).is_none() {
            return batch;
        }
        let failed = self.first_that_counts(&batch, first);
        failed.into_iter().for_each(|(at, message)| self.fail(at, message));
        let marks: Vec<Vec<bool>> =
            self.keys[side].iter().map(|key| evaluate_leniently(key, &batch).1).collect();
        let sound = |row: &u32| !marks.iter().any(|marks| marks.get(*row as usize).is_some_and(|&mark| mark));
        let sound: Vec<u32> = (0..batch.len() as u32).filter(sound).collect();
        batch.gather(&sound)
    }

    /// The first failure that counts of a batch in order of time: one that does not may stand before it.
    fn first_that_counts(
        &self,
        batch: &Batch,
        first: impl Fn(&Batch) -> Option<Fault>,
    ) -> Option<(i64, String)> {
        let passed = batch.timestamps.partition_point(|&at| at < self.counts_from);
        let rows: Vec<u32> = (passed as u32..batch.len() as u32).collect();
        let fault = first(&batch.gather(&rows))?;
        Some((batch.timestamps[passed + fault.row], fault.message))
    }

    /// Notes a failure; the earliest that counts is kept.
    fn fail(&mut self, at: i64, message: String) {
        if at >= self.counts_from && self.failed.as_ref().is_none_or(|(known, _)| at < *known) {
            self.failed = Some((at, message));
        }
    }

    /// Appends rows to a side: their slots, units, and what waits for a partner.
    fn append(&mut self, side: usize, batch: Batch, place: u64, fates: &[Fate]) {
        let column = if side == 0 { self.op.bound.left } else { self.op.bound.right };
        let ticks = |row: usize| match batch.columns.get(column).map(|column| column.value(row)) {
            Some(Value::Datetime(Timestamp(ticks))) => Some(ticks),
            _ => None,
        };
        let ticks: Vec<Option<i64>> = (0..batch.len()).map(ticks).collect();
        let units = ticks.iter().map(|ticks| ticks.map_or(NO_UNIT, |ticks| self.unit_of(ticks))).collect();
        let reach = self.op.bound.high.max(0).saturating_mul(self.unit);
        let alone = |ticks: &Option<i64>| ticks.map_or(i64::MIN, |ticks| ticks.saturating_add(reach));
        // Never before the row itself, whose compared timestamp may be that of an earlier event.
        let stamps: Vec<i64> =
            ticks.iter().map(alone).zip(&batch.timestamps).map(|(a, &b)| a.max(b)).collect();
        let slots = self.slots_of(side, &batch);
        let rows = &mut self.sides[side];
        let first = rows.end();
        rows.append(&batch, place, units, slots, &stamps);
        for (number, (&fate, stamp)) in (first..).zip(fates.iter().zip(stamps)) {
            let at = rows.at(number);
            rows.fates[at] = fate;
            if side == 0 && self.op.left_outer && fate == Fate::Open {
                self.waiting.insert((stamp, number));
            }
        }
    }

    /// The slot of each row's key, [`NONE`] where a part of it is NULL.
    fn slots_of(&mut self, side: usize, batch: &Batch) -> Vec<u32> {
        let mut keys: Vec<Arc<Column>> = Vec::new();
        for key in &self.keys[side] {
            let (reduced, merged) = equate::reduce(&evaluate_leniently(key, batch).0);
            keys.push(reduced);
            self.merged |= merged;
        }
        let mut slots = Vec::new();
        self.slots.assign(&keys, batch.len(), &mut slots);
        self.counts.resize(self.slots.len(), 0);
        slots.iter().for_each(|&slot| self.counts[slot as usize] += 1);
        for (row, slot) in slots.iter_mut().enumerate() {
            if keys.iter().any(|key| key.is_null(row)) {
                leave(&mut self.slots, &mut self.counts, *slot);
                *slot = NONE;
            }
        }
        slots
    }

    /// Pairs the new rows, in the order of time, with all rows before them.
    fn pair(&mut self, left: std::ops::Range<u64>, right: std::ops::Range<u64>) {
        let mut candidates: Vec<Candidate> = Vec::new();
        let mut next = [left.start, right.start];
        let ends = [left.end, right.end];
        let mut last = i64::MIN;
        loop {
            let stamp = |side: usize| {
                let rows = &self.sides[side];
                (next[side] < ends[side]).then(|| rows.timestamps[rows.at(next[side])])
            };
            let (side, at) = match (stamp(0), stamp(1)) {
                (None, None) => break,
                (Some(l), Some(r)) if l <= r => (0, l),
                (Some(l), None) => (0, l),
                (_, Some(r)) => (1, r),
            };
            if candidates.len() >= CANDIDATES && at > last {
                self.judge(&mut candidates);
            }
            last = at;
            self.find(side, next[side], at, &mut candidates);
            self.sides[side].link(next[side]);
            next[side] += 1;
        }
        self.judge(&mut candidates);
    }

    /// Appends the candidates of one row among the linked rows of the other side.
    fn find(&self, side: usize, number: u64, stamp: i64, candidates: &mut Vec<Candidate>) {
        let rows = &self.sides[side];
        let (slot, unit) = (rows.slots[rows.at(number)], rows.units[rows.at(number)]);
        if slot == NONE || unit == NO_UNIT {
            return;
        }
        let (low, high) = (self.op.bound.low, self.op.bound.high);
        self.sides[1 - side].chain(slot, |other, other_unit| {
            let (difference, pair) = if side == 0 {
                (other_unit - unit, (stamp, number, other))
            } else {
                (unit - other_unit, (stamp, other, number))
            };
            if (low..=high).contains(&difference) {
                candidates.push(pair);
            }
        });
    }

    /// Evaluates ON over the candidates, and keeps those that match.
    fn judge(&mut self, candidates: &mut Vec<Candidate>) {
        if candidates.is_empty() {
            return;
        }
        candidates.sort_unstable();
        let rows = |side: usize, of: fn(&Candidate) -> u64| -> Vec<u32> {
            candidates.iter().map(|pair| self.sides[side].at(of(pair)) as u32).collect()
        };
        let (left, right) = (rows(0, |pair| pair.1), rows(1, |pair| pair.2));
        let mut columns = self.sides[0].gather(&left);
        columns.extend(self.sides[1].gather(&right));
        let batch = Batch { timestamps: candidates.iter().map(|pair| pair.0).collect(), columns };
        let on = if self.merged { &self.asked } else { &self.op.on }.clone();
        let mut held = match holds(&on, &batch) {
            Ok(held) => held,
            Err(_) => {
                let failed = self.first_that_counts(&batch, |batch| holds(&on, batch).err());
                failed.into_iter().for_each(|(at, message)| self.fail(at, message));
                // A pair whose ON fails is no match. What follows still decides which of the left rows
                // stamped before the failure have partners.
                let one = Expr::Case(
                    vec![(on, Expr::Literal(Value::Int(1)))],
                    Box::new(Expr::Literal(Value::Null)),
                );
                let (matched, marks) = evaluate_leniently(&one, &batch);
                let failed = |row: usize| marks.get(row).is_some_and(|&mark| mark);
                (0..batch.len()).map(|row| !matched.is_null(row) && !failed(row)).collect()
            }
        };
        for (&(_, number, _), _) in candidates.iter().zip(&held).filter(|(_, held)| **held) {
            let at = self.sides[0].at(number);
            if std::mem::replace(&mut self.sides[0].fates[at], Fate::Matched) == Fate::Open {
                self.waiting.remove(&(self.sides[0].stamps[at], number));
            }
        }
        let failed = self.failed.as_ref().map_or(i64::MAX, |(at, _)| *at);
        held.iter_mut().zip(candidates.iter()).for_each(|(held, pair)| *held &= pair.0 < failed);
        let kept: Vec<u32> = (0..held.len() as u32).filter(|&row| held[row as usize]).collect();
        if !kept.is_empty() {
            let places = &self.sides[0].places;
            let place = |&row: &u32| places[left[row as usize] as usize];
            self.pending
                .push_back(Pairs { left: kept.iter().map(place).collect(), batch: batch.gather(&kept) });
        }
        candidates.clear();
    }

    /// Finds the left rows that have no partner and can have none; gives their numbers and how far all rows
    /// are known.
    fn resolve(&mut self) -> (Vec<u64>, i64) {
        let frontier = self.frontier();
        let left = &self.sides[0];
        let unknown = |&&(stamp, number): &&(i64, u64)| {
            stamp < frontier && self.over(0, left.units[left.at(number)]) > frontier
        };
        let until = self.waiting.iter().find(unknown).map_or(frontier, |(stamp, _)| *stamp);
        let later = self.waiting.split_off(&(until, 0));
        let alone =
            std::mem::replace(&mut self.waiting, later).into_iter().map(|(_, number)| number).collect();
        (alone, until)
    }

    /// The rows stamped before `until`: pairs, and left rows without partner.
    fn emit(&mut self, alone: Vec<u64>, until: i64) -> Vec<Batch> {
        let mut ready: Vec<Pairs> = Vec::new();
        while let Some(pairs) = self.pending.pop_front() {
            let known = pairs.batch.timestamps.partition_point(|&timestamp| timestamp < until);
            if known < pairs.left.len() {
                let rest: Vec<u32> = (known as u32..pairs.left.len() as u32).collect();
                self.pending.push_front(Pairs {
                    batch: pairs.batch.gather(&rest),
                    left: pairs.left[known..].to_vec(),
                });
            }
            let all = known == pairs.left.len();
            ready.push(Pairs { batch: pairs.batch.truncated(known), left: pairs.left[..known].to_vec() });
            if !all {
                break;
            }
        }
        if !alone.is_empty() {
            ready = vec![merged(ready, self.without_partner(&alone))];
        }
        ready.into_iter().map(|pairs| pairs.batch).filter(|batch| !batch.is_empty()).collect()
    }

    /// Left rows with NULLs for the right side.
    fn without_partner(&mut self, alone: &[u64]) -> Pairs {
        let left = &mut self.sides[0];
        let rows: Vec<u32> = alone.iter().map(|&number| left.at(number) as u32).collect();
        rows.iter().for_each(|&row| left.fates[row as usize] = Fate::Alone);
        let mut columns = left.gather(&rows);
        let nulls = Arc::new(Column { data: Data::Null(rows.len()), nulls: None });
        columns.extend(std::iter::repeat_n(nulls, self.shape.right_columns));
        Pairs {
            batch: Batch { timestamps: rows.iter().map(|&row| left.stamps[row as usize]).collect(), columns },
            left: rows.iter().map(|&row| left.places[row as usize]).collect(),
        }
    }

    /// Cuts what is of no use any more.
    fn cut(&mut self) {
        for side in 0..2 {
            if side == 0 && self.plants.is(Plant::LeftJoinNullTwice) {
                continue;
            }
            let mut rows = std::mem::take(&mut self.sides[side]);
            let outer = side == 0 && self.op.left_outer;
            let frontier = self.frontier();
            let gone = |rows: &Side, at: usize| {
                !(outer && rows.fates[at] == Fate::Open) && self.over(side, rows.units[at]) <= frontier
            };
            let mut left = Vec::new();
            rows.cut(gone, |slot| left.push(slot));
            left.into_iter()
                .filter(|&slot| slot != NONE)
                .for_each(|slot| leave(&mut self.slots, &mut self.counts, slot));
            self.sides[side] = rows;
        }
    }

    /// The rows of a side that a checkpoint keeps.
    fn kept(&self, side: usize) -> Vec<usize> {
        if self.plants.is(Plant::JoinSideLost) {
            return Vec::new();
        }
        let again = side == 0 && self.plants.is(Plant::LeftJoinNullTwice);
        let rows = &self.sides[side];
        rows.kept()
            .filter(|&at| !self.is_over(side, at) || (again && rows.fates[at] == Fate::Alone))
            .collect()
    }

    fn width(&self, side: usize) -> usize {
        if side == 0 { self.op.left_columns } else { self.shape.right_columns }
    }

    fn load_side(&mut self, side: usize, reader: &mut Reader<'_>) -> Result<(), Corrupt> {
        let mut newest = (i64::MIN, None);
        for _ in 0..reader.len(25)? {
            let (place, matched) = (reader.u64()?, reader.bool()?);
            let (timestamp, batch) = read_row(reader, self.width(side))?;
            if place >= self.places[side] || Some(place) <= newest.1 || timestamp < newest.0 {
                return Err(reader.corrupt("rows in their order"));
            }
            newest = (timestamp, Some(place));
            let number = self.sides[side].end();
            self.append(side, batch, place, &[if matched { Fate::Matched } else { Fate::Open }]);
            self.sides[side].link(number);
        }
        for _ in 0..reader.len(16)? {
            let (_, batch) = read_row(reader, self.width(side))?;
            self.ahead[side].push(batch);
        }
        Ok(())
    }
}

/// A row less in a slot.
fn leave(slots: &mut Slots, counts: &mut [u32], slot: u32) {
    counts[slot as usize] -= 1;
    if counts[slot as usize] == 0 {
        slots.release(slot);
    }
}

/// Pairs and rows without partner in one batch, in the order of (timestamp, left place, right place).
fn merged(pairs: Vec<Pairs>, alone: Pairs) -> Pairs {
    let mut columns: Vec<Column> = Vec::new();
    let (mut timestamps, mut left) = (Vec::new(), Vec::new());
    for part in pairs.iter().chain([&alone]).filter(|part| !part.left.is_empty()) {
        append_columns(&mut columns, &part.batch.columns);
        timestamps.extend_from_slice(&part.batch.timestamps);
        left.extend_from_slice(&part.left);
    }
    let mut order: Vec<u32> = (0..left.len() as u32).collect();
    // Stable: pairs of one left row keep the order of their right places.
    order.sort_by_key(|&row| (timestamps[row as usize], left[row as usize]));
    let batch = Batch { timestamps, columns: columns.into_iter().map(Arc::new).collect() };
    Pairs { left: order.iter().map(|&row| left[row as usize]).collect(), batch: batch.gather(&order) }
}

fn write_row(writer: &mut Writer, timestamp: i64, columns: &[impl Borrow<Column>], row: usize) {
    writer.i64(timestamp);
    writer.len(columns.len());
    columns.iter().for_each(|column| column.borrow().save(row, writer));
}

fn read_row(reader: &mut Reader<'_>, width: usize) -> Result<(i64, Batch), Corrupt> {
    let timestamp = read_ticks(reader)?;
    let values = reader.values()?;
    if values.len() != width {
        return Err(reader.corrupt("as many values as columns"));
    }
    let columns = values.iter().map(|value| Arc::new(Column::constant(value, 1))).collect();
    Ok((timestamp, Batch { timestamps: vec![timestamp], columns }))
}

impl Operator for Join {
    fn step(&mut self, inputs: &[&Slice], context: &mut Context) -> Slice {
        if self.ended {
            return Slice::empty(Timestamp::MAX);
        }
        self.counts_from = context.from.0;
        for (side, input) in inputs.iter().enumerate().take(2) {
            self.ahead[side].extend(input.batches.iter().filter(|batch| !batch.is_empty()).cloned());
            self.until[side] = input.until;
        }
        let (left, right) = (self.take_in(0), self.take_in(1));
        self.pair(left, right);
        let (mut alone, mut until) = self.resolve();
        if let Some((at, message)) = self.failed.take_if(|(at, _)| *at <= until) {
            context.fail(Timestamp(at), message);
            let left = &self.sides[0];
            alone.retain(|&number| left.stamps[left.at(number)] < at);
            (self.ended, until) = (true, at);
        }
        let batches = self.emit(alone, until);
        self.cut();
        Slice { batches, until: if self.ended { Timestamp::MAX } else { Timestamp(until) } }
    }

    fn save(&self, writer: &mut Writer) {
        for side in 0..2 {
            writer.timestamp(self.until[side]);
            writer.u64(self.places[side]);
            let (rows, kept) = (&self.sides[side], self.kept(side));
            let forgotten = self.plants.is(Plant::LeftJoinMatchForgotten);
            writer.len(kept.len());
            for at in kept {
                writer.u64(rows.places[at]);
                writer.u8(u8::from(rows.fates[at] == Fate::Matched && !forgotten));
                write_row(writer, rows.timestamps[at], &rows.columns, at);
            }
            let ahead =
                || self.ahead[side].iter().flat_map(|batch| (0..batch.len()).map(move |row| (batch, row)));
            writer.len(ahead().count());
            ahead().for_each(|(batch, row)| write_row(writer, batch.timestamps[row], &batch.columns, row));
        }
        let pending =
            || self.pending.iter().flat_map(|pairs| (0..pairs.left.len()).map(move |row| (pairs, row)));
        writer.len(pending().count());
        for (pairs, row) in pending() {
            writer.u64(pairs.left[row]);
            write_row(writer, pairs.batch.timestamps[row], &pairs.batch.columns, row);
        }
        writer.u8(u8::from(self.failed.is_some()));
        if let Some((at, message)) = &self.failed {
            writer.i64(*at);
            writer.text(message);
        }
    }

    fn load(&mut self, reader: &mut Reader<'_>) -> Result<(), Corrupt> {
        for side in 0..2 {
            self.until[side] = reader.timestamp()?;
            self.places[side] = reader.u64()?;
            self.load_side(side, reader)?;
        }
        let mut newest = i64::MIN;
        for _ in 0..reader.len(24)? {
            let place = reader.u64()?;
            let (timestamp, batch) = read_row(reader, self.width(0) + self.width(1))?;
            if timestamp < newest {
                return Err(reader.corrupt("pairs in their order"));
            }
            newest = timestamp;
            self.pending.push_back(Pairs { batch, left: vec![place] });
        }
        if reader.bool()? {
            self.failed = Some((read_ticks(reader)?, reader.text()?.to_string()));
        }
        Ok(())
    }

    fn explain(&self) -> BTreeMap<String, String> {
        let mut known: BTreeMap<String, String> = BTreeMap::new();
        for (side, name) in ["left", "right"].into_iter().enumerate() {
            let rows = &self.sides[side];
            for at in self.kept(side) {
                let key =
                    if rows.slots[at] == NONE { "NULL".to_owned() } else { self.slots.text(rows.slots[at]) };
                let fate = if rows.fates[at] == Fate::Matched { " matched" } else { "" };
                let part = format!("{name} row at {}{fate}", Timestamp(rows.timestamps[at]));
                let so_far = known.entry(key).or_default();
                *so_far = if so_far.is_empty() { part } else { format!("{so_far}; {part}") };
            }
        }
        known
    }
}
