//! What the three windows share: from rows to slots and measures, and from state to rows.
//!
//! Knows no window. Invariants: rows that a window step emits are ordered by (window end, key); an
//! expression or a value that fails ends the reading in front of the first row stamped like it (C-FAIL).

use rewindow_query::Timestamp;
use rewindow_query::expr::Expr;
use rewindow_query::plan::Group;

use crate::aggregate::State;
use crate::batch::{Batch, Context};
use crate::calls::{Calls, Measures};
use crate::codec::{Corrupt, Reader, Writer};
use crate::column::ColumnBuilder;
use crate::eval::evaluate_all;
use crate::extremes::Extremes;
use crate::slots::Slots;

/// Rows of an output batch, about.
const BATCH_ROWS: usize = 4096;

/// Keys and calls of a GROUP BY.
#[derive(Clone, Debug)]
pub struct Grouping {
    keys: Vec<Expr>,
    /// The aggregates.
    pub calls: Calls,
    /// The keys met.
    pub slots: Slots,
}

/// A batch made ready.
#[derive(Debug)]
pub struct Read {
    /// Timestamps of the rows, in ticks.
    pub timestamps: Vec<i64>,
    /// Slot of each row.
    pub slots: Vec<u32>,
    /// The values of each lane.
    pub measures: Vec<Measures>,
    /// So many rows at the front in which no failure counts: they may hold anything, and are not checked.
    pub passed: usize,
    /// A row behind these failed, at this tick; it is noted in the context.
    pub failed: Option<i64>,
}

impl Grouping {
    /// Of a plan.
    pub fn new(group: &Group) -> Grouping {
        let slots = Slots::new(group.keys.len());
        Grouping { keys: group.keys.clone(), calls: Calls::new(&group.calls), slots }
    }

    /// Evaluates keys and arguments, which fail at every row, in a window or not (C-FAIL). Then the rows whose
    /// timestamp `keep` refuses are left out.
    pub fn read(&mut self, batch: &Batch, keep: impl Fn(i64) -> bool, context: &mut Context) -> Read {
        let exprs: Vec<&Expr> = self.keys.iter().chain(self.calls.arguments()).collect();
        let evaluated = evaluate_all(&exprs, batch.clone(), context);
        let mut failed = evaluated.failed;
        let (mut timestamps, mut columns) = (evaluated.batch.timestamps, evaluated.columns);
        let refuses = |row: u32| {
            let lanes = columns[self.keys.len()..].iter().enumerate();
            lanes
                .map(|(lane, column)| self.calls.refuse(lane, &column.value(row as usize)))
                .any(|r| r.is_some())
        };
        if timestamps.first().is_some_and(|&first| !context.counts(first)) {
            let kept: Vec<u32> = (0..timestamps.len() as u32)
                .filter(|&row| context.counts(timestamps[row as usize]) || !refuses(row))
                .collect();
            timestamps = kept.iter().map(|&row| timestamps[row as usize]).collect();
            columns.iter_mut().for_each(|column| *column = column.gather(&kept).into());
        }
        let mut refused = None;
        for lane in 0..columns.len() - self.keys.len() {
            if let (_, Some(found)) = self.calls.measure(lane, &columns[self.keys.len() + lane]) {
                context.fail(Timestamp(timestamps[found.row]), found.message);
                refused = refused.into_iter().chain([timestamps[found.row]]).min();
            }
        }
        if let Some(at) = refused {
            failed = Some(at);
            let before = timestamps.partition_point(|&timestamp| timestamp < at) as u32;
            let rows: Vec<u32> = (0..before).collect();
            timestamps.truncate(rows.len());
            columns.iter_mut().for_each(|column| *column = column.gather(&rows).into());
        }
        let kept: Vec<u32> =
            (0..timestamps.len() as u32).filter(|&row| keep(timestamps[row as usize])).collect();
        if kept.len() < timestamps.len() {
            timestamps = kept.iter().map(|&row| timestamps[row as usize]).collect();
            columns.iter_mut().for_each(|column| *column = column.gather(&kept).into());
        }
        let mut slots = Vec::new();
        self.slots.assign(&columns[..self.keys.len()], timestamps.len(), &mut slots);
        let arguments = columns[self.keys.len()..].iter().enumerate();
        let measures = arguments.map(|(lane, column)| self.calls.measure(lane, column).0).collect();
        let passed = context.passed(&timestamps);
        Read { timestamps, slots, measures, passed, failed }
    }
}

/// Output rows of a window step, collected into batches.
#[derive(Debug)]
pub struct Rows {
    timestamps: Vec<i64>,
    builders: Vec<ColumnBuilder>,
    batches: Vec<Batch>,
}

/// A failure that counts was noted: the operator gives nothing any more (choice C-FAIL).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ended;

/// What noting a failure leaves behind.
impl From<()> for Ended {
    fn from((): ()) -> Ended {
        Ended
    }
}

impl Rows {
    /// None yet.
    pub fn new(grouping: &Grouping) -> Rows {
        let width = grouping.keys.len() + grouping.calls.len();
        Rows { timestamps: Vec::new(), builders: builders(width), batches: Vec::new() }
    }

    /// Appends the rows of the slots, which are in the order of their keys, stamped `end`; none of them where
    /// one fails and that does not count.
    ///
    /// # Errors
    /// A result outside its type's range, which is noted: nothing may be appended any more, and nothing stamped
    /// `end` was.
    pub fn push(
        &mut self,
        end: i64,
        grouping: &Grouping,
        state: &State,
        slots: &[u32],
        extremes: Option<&dyn Fn(usize, u32) -> Extremes>,
        context: &mut Context,
    ) -> Result<(), Ended> {
        let (keys, calls) = self.builders.split_at_mut(grouping.keys.len());
        if let Err(message) = state.emit(&grouping.calls, slots, calls, extremes) {
            if context.counts(end) {
                context.fail(Timestamp(end), message);
                return Err(Ended);
            }
            self.flush();
            return Ok(());
        }
        grouping.slots.emit(slots, keys);
        self.timestamps.resize(self.timestamps.len() + slots.len(), end);
        if self.timestamps.len() >= BATCH_ROWS {
            self.flush();
        }
        Ok(())
    }

    /// The batches.
    pub fn finish(mut self) -> Vec<Batch> {
        self.flush();
        self.batches
    }

    fn flush(&mut self) {
        if self.timestamps.is_empty() {
            self.builders = builders(self.builders.len());
            return;
        }
        let fresh = builders(self.builders.len());
        let built = std::mem::replace(&mut self.builders, fresh);
        let timestamps = std::mem::take(&mut self.timestamps);
        let column = |builder: ColumnBuilder| {
            let mut column = builder.finish();
            // A group whose result failed has left some of its values behind.
            column.truncate(timestamps.len());
            column.into()
        };
        let columns = built.into_iter().map(column).collect();
        self.batches.push(Batch { timestamps, columns });
    }
}

fn builders(width: usize) -> Vec<ColumnBuilder> {
    (0..width).map(|_| ColumnBuilder::default()).collect()
}

/// The results of one group as text, for `explain`.
pub fn text(
    calls: &Calls,
    state: &State,
    slot: u32,
    extremes: Option<&dyn Fn(usize, u32) -> Extremes>,
) -> String {
    let mut results = builders(calls.len());
    match state.emit(calls, &[slot], &mut results, extremes) {
        Ok(()) => {
            let value = |builder: ColumnBuilder| builder.finish().value(0).to_string();
            format!("[{}]", results.into_iter().map(value).collect::<Vec<_>>().join(", "))
        }
        Err(message) => message,
    }
}

/// The end of the interval of `size` ticks, end inclusive, that holds `ticks`; ends are at
/// `k * size + offset` (rules 4.2, 4.6).
#[inline]
pub fn end_of(ticks: i64, size: i64, offset: i64) -> i64 {
    let behind = (ticks - offset).rem_euclid(size);
    if behind == 0 { ticks } else { ticks - behind + size }
}

/// Reads an instant that arithmetic with spans cannot overflow.
///
/// # Errors
/// Bytes that are none.
pub fn read_ticks(reader: &mut Reader<'_>) -> Result<i64, Corrupt> {
    let ticks = reader.i64()?;
    if ticks.unsigned_abs() < 1 << 60 { Ok(ticks) } else { Err(reader.corrupt("an instant")) }
}

/// Writes an instant or none.
pub fn write_option(writer: &mut Writer, ticks: Option<i64>) {
    writer.u8(u8::from(ticks.is_some()));
    ticks.iter().for_each(|&ticks| writer.i64(ticks));
}

/// Reads an instant or none.
///
/// # Errors
/// Bytes that are neither.
pub fn read_option(reader: &mut Reader<'_>) -> Result<Option<i64>, Corrupt> {
    if reader.bool()? { read_ticks(reader).map(Some) } else { Ok(None) }
}

/// Reads the key of a new slot.
///
/// # Errors
/// Bytes that are no key, or one that was read before.
pub fn read_key(slots: &mut Slots, width: usize, reader: &mut Reader<'_>) -> Result<u32, Corrupt> {
    let key: Result<Vec<_>, Corrupt> = (0..width).map(|_| reader.value()).collect();
    let live = slots.live();
    let slot = slots.assign_key(&key?);
    if slots.live() == live { Err(reader.corrupt("a key once")) } else { Ok(slot) }
}

impl Grouping {
    /// Number of values of a key.
    pub fn width(&self) -> usize {
        self.keys.len()
    }

    /// Writes the key of a slot.
    pub fn save_key(&self, slot: u32, writer: &mut Writer) {
        self.slots.key(slot).iter().for_each(|value| writer.value(value));
    }

    /// Reads the key of a new slot.
    ///
    /// # Errors
    /// As [`read_key`].
    pub fn load_key(&mut self, reader: &mut Reader<'_>) -> Result<u32, Corrupt> {
        read_key(&mut self.slots, self.keys.len(), reader)
    }

    /// Forgets keys that `used` does not want, once they are more than twice the `active` ones.
    pub fn sweep(&mut self, active: usize, used: impl FnMut(u32) -> bool) {
        self.slots.sweep(2 * active + 1024, used);
    }
}
