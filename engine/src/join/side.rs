//! The rows of one side of a join: an append-only log, chained by slot, cut at the front.
//!
//! Knows neither `on` nor the other side. Invariants: rows stand in the order of their places; row `i` has
//! the number `first + i`, which never changes; a chain leads from the newest linked row of a slot to older
//! ones, and ends where the log has been cut.

use std::sync::Arc;

use crate::batch::Batch;
use crate::column::{Column, Data};
use crate::slots::NONE;

/// A row that cannot match: its timestamp column is NULL.
pub(super) const NO_UNIT: i64 = i64::MIN;

/// Rows cut before memory is given back.
const SLACK: usize = 1024;

/// What has become of a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// No partner so far.
    Open,
    /// It found a partner.
    Matched,
    /// It came out without one.
    Alone,
}

/// One side.
#[derive(Debug, Default)]
pub(super) struct Side {
    /// Number of the first row kept in memory.
    first: u64,
    /// Rows at the front that are cut but still in memory.
    cut: usize,
    /// Place of each row in its input.
    pub(super) places: Vec<u64>,
    /// Timestamp of each row.
    pub(super) timestamps: Vec<i64>,
    /// Unit of time in which each row lies, [`NO_UNIT`] if it can never match.
    pub(super) units: Vec<i64>,
    /// Slot of each row's key; [`NONE`] where it is NULL.
    pub(super) slots: Vec<u32>,
    /// Timestamp each row would have without partner.
    pub(super) stamps: Vec<i64>,
    /// Fate of each row.
    pub(super) fates: Vec<Fate>,
    pub(super) columns: Vec<Column>,
    /// Number + 1 of the row before in the chain; 0 for none.
    previous: Vec<u64>,
    /// By slot: number + 1 of the newest linked row.
    heads: Vec<u64>,
}

impl Side {
    /// Number of the next row to be appended.
    pub(super) fn end(&self) -> u64 {
        self.first + self.places.len() as u64
    }

    /// Number of the first row that is not cut.
    pub(super) fn start(&self) -> u64 {
        self.first + self.cut as u64
    }

    /// Where a row stands in the vectors.
    #[inline]
    pub(super) fn at(&self, number: u64) -> usize {
        (number - self.first) as usize
    }

    /// Appends rows, not yet linked; `place` is that of the first.
    pub(super) fn append(
        &mut self,
        batch: &Batch,
        place: u64,
        units: Vec<i64>,
        slots: Vec<u32>,
        stamps: &[i64],
    ) {
        let rows = batch.len();
        self.places.extend((0..rows as u64).map(|row| place + row));
        self.timestamps.extend_from_slice(&batch.timestamps);
        self.units.extend(units);
        self.slots.extend(slots);
        self.stamps.extend_from_slice(stamps);
        self.fates.resize(self.places.len(), Fate::Open);
        self.previous.resize(self.places.len(), 0);
        append_columns(&mut self.columns, &batch.columns);
    }

    /// Puts a row at the head of its slot's chain.
    #[inline]
    pub(super) fn link(&mut self, number: u64) {
        let at = self.at(number);
        let slot = self.slots[at];
        if slot == NONE || self.units[at] == NO_UNIT {
            return;
        }
        if slot as usize >= self.heads.len() {
            self.heads.resize(slot as usize + 1, 0);
        }
        self.previous[at] = std::mem::replace(&mut self.heads[slot as usize], number + 1);
    }

    /// Calls `visit` with the number and unit of each linked row of a slot, newest first.
    #[inline]
    pub(super) fn chain(&self, slot: u32, mut visit: impl FnMut(u64, i64)) {
        let mut next = self.heads.get(slot as usize).copied().unwrap_or(0);
        while next > self.start() {
            let at = self.at(next - 1);
            visit(next - 1, self.units[at]);
            next = self.previous[at];
        }
    }

    /// Cuts rows off the front as long as `gone` says so; `leave` learns the slot of each.
    pub(super) fn cut(&mut self, gone: impl Fn(&Side, usize) -> bool, mut leave: impl FnMut(u32)) {
        while self.cut < self.places.len() && gone(self, self.cut) {
            leave(self.slots[self.cut]);
            self.cut += 1;
        }
        if self.cut >= SLACK && self.cut * 2 >= self.places.len() {
            let rows = self.cut;
            self.places.drain(..rows);
            self.timestamps.drain(..rows);
            self.units.drain(..rows);
            self.slots.drain(..rows);
            self.stamps.drain(..rows);
            self.fates.drain(..rows);
            self.previous.drain(..rows);
            self.columns.iter_mut().for_each(|column| drop_front(column, rows));
            self.first += rows as u64;
            self.cut = 0;
        }
    }

    /// The columns of these rows.
    pub(super) fn gather(&self, rows: &[u32]) -> Vec<Arc<Column>> {
        self.columns.iter().map(|column| Arc::new(column.gather(rows))).collect()
    }

    /// Where the rows that are not cut stand.
    pub(super) fn kept(&self) -> std::ops::Range<usize> {
        self.cut..self.places.len()
    }
}

/// Appends to each column its counterpart.
pub(super) fn append_columns(columns: &mut Vec<Column>, more: &[Arc<Column>]) {
    if columns.is_empty() {
        columns.extend(more.iter().map(|column| Column::clone(column)));
        return;
    }
    columns.iter_mut().zip(more).for_each(|(column, more)| append(column, more));
}

/// Appends values; the column stays typed if it can, and its cost is that of what is appended.
fn append(column: &mut Column, more: &Column) {
    let (len, added) = (column.len(), more.len());
    if added == 0 {
        return;
    }
    if let Data::Null(nulls) = column.data
        && !matches!(more.data, Data::Mixed(_))
    {
        *column = nulls_of_kind(nulls, &more.data);
    }
    let fits = std::mem::discriminant(&column.data) == std::mem::discriminant(&more.data);
    if !fits && !matches!(column.data, Data::Mixed(_)) && !matches!(more.data, Data::Null(_)) {
        let values = (0..len).map(|row| column.value(row)).collect();
        *column = Column { data: Data::Mixed(values), nulls: None };
    }
    let typed = !matches!(column.data, Data::Mixed(_) | Data::Null(_));
    if typed && (column.nulls.is_some() || more.nulls.is_some() || matches!(more.data, Data::Null(_))) {
        let nulls = column.nulls.get_or_insert_with(|| vec![false; len]);
        nulls.extend((0..added).map(|row| more.is_null(row)));
    }
    match (&mut column.data, &more.data) {
        (Data::Null(n), _) => *n += added,
        (Data::Mixed(v), _) => v.extend((0..added).map(|row| more.value(row))),
        (Data::Bit(v), Data::Bit(w)) => v.extend_from_slice(w),
        (Data::Int(v), Data::Int(w)) => v.extend_from_slice(w),
        (Data::Float(v), Data::Float(w)) => v.extend_from_slice(w),
        (Data::Text(v), Data::Text(w)) => v.extend_from_slice(w),
        (Data::Datetime(v), Data::Datetime(w)) => v.extend_from_slice(w),
        // What is left is NULLs onto a typed column.
        (Data::Bit(v), _) => v.resize(len + added, false),
        (Data::Int(v), _) => v.resize(len + added, 0),
        (Data::Float(v), _) => v.resize(len + added, 0.0),
        (Data::Text(v), _) => v.resize(len + added, "".into()),
        (Data::Datetime(v), _) => v.resize(len + added, 0),
    }
}

fn nulls_of_kind(nulls: usize, kind: &Data) -> Column {
    let data = match kind {
        Data::Null(_) | Data::Mixed(_) => return Column { data: Data::Null(nulls), nulls: None },
        Data::Bit(_) => Data::Bit(vec![false; nulls]),
        Data::Int(_) => Data::Int(vec![0; nulls]),
        Data::Float(_) => Data::Float(vec![0.0; nulls]),
        Data::Text(_) => Data::Text(vec!["".into(); nulls]),
        Data::Datetime(_) => Data::Datetime(vec![0; nulls]),
    };
    Column { data, nulls: (nulls > 0).then(|| vec![true; nulls]) }
}

fn drop_front(column: &mut Column, rows: usize) {
    match &mut column.data {
        Data::Null(n) => *n -= rows,
        Data::Bit(v) => drop(v.drain(..rows)),
        Data::Int(v) => drop(v.drain(..rows)),
        Data::Float(v) => drop(v.drain(..rows)),
        Data::Text(v) => drop(v.drain(..rows)),
        Data::Datetime(v) => drop(v.drain(..rows)),
        Data::Mixed(v) => drop(v.drain(..rows)),
    }
    if let Some(nulls) = &mut column.nulls {
        nulls.drain(..rows);
    }
    column.nulls.take_if(|nulls| !nulls.contains(&true));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rewindow_query::Value;

    use super::*;

    fn values() -> impl Strategy<Value = Vec<Value>> {
        let one_kind = prop_oneof![
            prop::collection::vec(Just(Value::Int(1)), 0..4),
            prop::collection::vec(Just(Value::Null), 0..4),
            prop::collection::vec(prop_oneof![Just(Value::text("a")), Just(Value::Null)], 0..4),
            prop::collection::vec(prop_oneof![Just(Value::Float(0.5)), Just(Value::Int(2))], 0..4),
        ];
        one_kind
    }

    proptest! {
        #[test]
        fn a_log_column_holds_what_was_appended_and_not_cut(
            parts in prop::collection::vec(values(), 1..6), dropped in 0_usize..4,
        ) {
            let mut column = Column::from_values(Vec::new());
            let mut expected = Vec::new();
            for part in parts {
                append(&mut column, &Column::from_values(part.clone()));
                expected.extend(part);
            }
            let dropped = dropped.min(expected.len());
            drop_front(&mut column, dropped);
            let found: Vec<Value> = (0..column.len()).map(|row| column.value(row)).collect();
            prop_assert_eq!(&found, &expected[dropped..]);
            if let Some(nulls) = &column.nulls {
                prop_assert_eq!(nulls.len(), column.len());
            }
        }
    }
}
