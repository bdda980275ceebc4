//! Typed columns with a mixed fallback.
//!
//! A type belongs to a value (rule 1.2), so a column is typed only as long as all its values agree, and
//! falls back to [`Data::Mixed`] when they do not. Knows nothing of expressions or operators. Invariant:
//! `nulls`, where present, is as long as the data, and a null slot's data is a default that nobody reads;
//! a column without a single NULL has no `nulls`.

use std::ops::Range;
use std::sync::Arc;

use rewindow_query::{Timestamp, Value};

use crate::codec::Writer;

/// A column of values.
#[derive(Clone, Debug)]
pub struct Column {
    /// The values.
    pub data: Data,
    /// Which of them are NULL; `None` if none is. [`Data::Null`] and [`Data::Mixed`] never have it.
    pub nulls: Option<Vec<bool>>,
}

/// The values of a column.
#[derive(Clone, Debug)]
pub enum Data {
    /// So many NULLs.
    Null(usize),
    /// bit
    Bit(Vec<bool>),
    /// bigint
    Int(Vec<i64>),
    /// float
    Float(Vec<f64>),
    /// nvarchar(max)
    Text(Vec<Arc<str>>),
    /// datetime, in ticks
    Datetime(Vec<i64>),
    /// Values of several types, or arrays, or records.
    Mixed(Vec<Value>),
}

impl Column {
    /// Number of values.
    pub fn len(&self) -> usize {
        match &self.data {
            Data::Null(len) => *len,
            Data::Bit(v) => v.len(),
            Data::Int(v) => v.len(),
            Data::Float(v) => v.len(),
            Data::Text(v) => v.len(),
            Data::Datetime(v) => v.len(),
            Data::Mixed(v) => v.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the value at `row` is NULL.
    pub fn is_null(&self, row: usize) -> bool {
        match (&self.data, &self.nulls) {
            (Data::Null(_), _) => true,
            (Data::Mixed(v), _) => v[row].is_null(),
            (_, Some(nulls)) => nulls[row],
            (_, None) => false,
        }
    }

    /// The value at `row`.
    pub fn value(&self, row: usize) -> Value {
        if self.is_null(row) {
            return Value::Null;
        }
        match &self.data {
            Data::Null(_) => Value::Null,
            Data::Bit(v) => Value::Bit(v[row]),
            Data::Int(v) => Value::Int(v[row]),
            Data::Float(v) => Value::Float(v[row]),
            Data::Text(v) => Value::Text(v[row].clone()),
            Data::Datetime(v) => Value::Datetime(Timestamp(v[row])),
            Data::Mixed(v) => v[row].clone(),
        }
    }

    /// Appends a value to a checkpoint: [`Column::value`] without a copy of it.
    pub fn save(&self, row: usize, writer: &mut Writer) {
        match &self.data {
            Data::Text(v) if !self.is_null(row) => writer.text_value(&v[row]),
            Data::Mixed(v) if !self.is_null(row) => writer.value(&v[row]),
            _ => writer.value(&self.value(row)),
        }
    }

    /// `len` times the same value.
    pub fn constant(value: &Value, len: usize) -> Column {
        let data = match value {
            Value::Null => Data::Null(len),
            Value::Bit(v) => Data::Bit(vec![*v; len]),
            Value::Int(v) => Data::Int(vec![*v; len]),
            Value::Float(v) => Data::Float(vec![*v; len]),
            Value::Text(v) => Data::Text(vec![v.clone(); len]),
            Value::Datetime(v) => Data::Datetime(vec![v.0; len]),
            Value::Array(_) | Value::Record(_) => Data::Mixed(vec![value.clone(); len]),
        };
        Column { data, nulls: None }
    }

    /// Bigints without NULL.
    pub fn ints(values: Vec<i64>) -> Column {
        Column { data: Data::Int(values), nulls: None }
    }

    /// Bigints; those marked in `nulls`, which is as long, are NULL.
    pub fn ints_or_null(values: Vec<i64>, nulls: Vec<bool>) -> Column {
        debug_assert_eq!(values.len(), nulls.len(), "a mark for each value");
        match nulls.iter().filter(|&&null| null).count() {
            0 => Column::ints(values),
            all if all == values.len() => Column { data: Data::Null(all), nulls: None },
            _ => Column { data: Data::Int(values), nulls: Some(nulls) },
        }
    }

    /// Datetimes without NULL, in ticks.
    pub fn datetimes(ticks: Vec<i64>) -> Column {
        Column { data: Data::Datetime(ticks), nulls: None }
    }

    /// The column of these values, typed if they agree.
    pub fn from_values(values: Vec<Value>) -> Column {
        let mut builder = ColumnBuilder::with_capacity(values.len());
        values.into_iter().for_each(|value| builder.push(value));
        builder.finish()
    }

    /// The values at `rows`, in that order.
    #[must_use]
    pub fn gather(&self, rows: &[u32]) -> Column {
        fn pick<T: Clone>(values: &[T], rows: &[u32]) -> Vec<T> {
            rows.iter().map(|&row| values[row as usize].clone()).collect()
        }
        let data = match &self.data {
            Data::Null(_) => Data::Null(rows.len()),
            Data::Bit(v) => Data::Bit(pick(v, rows)),
            Data::Int(v) => Data::Int(pick(v, rows)),
            Data::Float(v) => Data::Float(pick(v, rows)),
            Data::Text(v) => Data::Text(pick(v, rows)),
            Data::Datetime(v) => Data::Datetime(pick(v, rows)),
            Data::Mixed(v) => Data::Mixed(pick(v, rows)),
        };
        let nulls = self.nulls.as_ref().map(|nulls| pick(nulls, rows)).filter(|nulls| nulls.contains(&true));
        Column { data, nulls }
    }

    /// The values at these places next to each other.
    #[must_use]
    pub fn slice(&self, rows: Range<usize>) -> Column {
        let data = match &self.data {
            Data::Null(_) => Data::Null(rows.len()),
            Data::Bit(v) => Data::Bit(v[rows.clone()].to_vec()),
            Data::Int(v) => Data::Int(v[rows.clone()].to_vec()),
            Data::Float(v) => Data::Float(v[rows.clone()].to_vec()),
            Data::Text(v) => Data::Text(v[rows.clone()].to_vec()),
            Data::Datetime(v) => Data::Datetime(v[rows.clone()].to_vec()),
            Data::Mixed(v) => Data::Mixed(v[rows.clone()].to_vec()),
        };
        let nulls =
            self.nulls.as_ref().map(|nulls| nulls[rows].to_vec()).filter(|nulls| nulls.contains(&true));
        Column { data, nulls }
    }

    /// Puts the values of another column behind these; the column stays typed if both agree.
    pub fn append(&mut self, other: Column) {
        let (len, more) = (self.len(), other.len());
        if len == 0 {
            *self = other;
            return;
        }
        if more == 0 {
            return;
        }
        if matches!(self.data, Data::Null(_)) && !matches!(other.data, Data::Null(_) | Data::Mixed(_)) {
            *self = nulls_of(&other.data, len);
        }
        let nulls = joined_nulls(self, &other, len, more);
        match (&mut self.data, other.data) {
            (Data::Null(n), Data::Null(_)) => *n += more,
            (Data::Bit(a), Data::Bit(b)) => a.extend(b),
            (Data::Int(a), Data::Int(b)) | (Data::Datetime(a), Data::Datetime(b)) => a.extend(b),
            (Data::Float(a), Data::Float(b)) => a.extend(b),
            (Data::Text(a), Data::Text(b)) => a.extend(b),
            (Data::Mixed(a), Data::Mixed(b)) => a.extend(b),
            (Data::Mixed(a), data) => a.extend(values_of(data, other.nulls)),
            (data, Data::Null(_)) => (0..more).for_each(|_| push_default(data)),
            (data, others) => {
                let mine = std::mem::replace(data, Data::Null(0));
                let mut values: Vec<Value> = values_of(mine, self.nulls.take()).collect();
                values.extend(values_of(others, other.nulls));
                *data = Data::Mixed(values);
            }
        }
        let typed = !matches!(self.data, Data::Null(_) | Data::Mixed(_));
        self.nulls = nulls.filter(|_| typed);
    }

    /// The first `len` values.
    pub fn truncate(&mut self, len: usize) {
        match &mut self.data {
            Data::Null(n) => *n = (*n).min(len),
            Data::Bit(v) => v.truncate(len),
            Data::Int(v) => v.truncate(len),
            Data::Float(v) => v.truncate(len),
            Data::Text(v) => v.truncate(len),
            Data::Datetime(v) => v.truncate(len),
            Data::Mixed(v) => v.truncate(len),
        }
        if let Some(nulls) = &mut self.nulls {
            nulls.truncate(len);
        }
        self.nulls.take_if(|nulls| !nulls.contains(&true));
    }
}

/// The nulls of two columns in a row, if there are any.
fn joined_nulls(a: &Column, b: &Column, len: usize, more: usize) -> Option<Vec<bool>> {
    let all_null = matches!(b.data, Data::Null(_));
    if a.nulls.is_none() && b.nulls.is_none() && !all_null {
        return None;
    }
    let mut nulls = a.nulls.clone().unwrap_or_else(|| vec![false; len]);
    match &b.nulls {
        Some(more) => nulls.extend(more),
        None => nulls.resize(len + more, all_null),
    }
    Some(nulls)
}

/// So many NULLs in a column of that type.
fn nulls_of(data: &Data, len: usize) -> Column {
    let mut empty = match data {
        Data::Null(_) => Data::Null(0),
        Data::Bit(_) => Data::Bit(Vec::new()),
        Data::Int(_) => Data::Int(Vec::new()),
        Data::Float(_) => Data::Float(Vec::new()),
        Data::Text(_) => Data::Text(Vec::new()),
        Data::Datetime(_) => Data::Datetime(Vec::new()),
        Data::Mixed(_) => Data::Mixed(Vec::new()),
    };
    (0..len).for_each(|_| push_default(&mut empty));
    Column { data: empty, nulls: Some(vec![true; len]) }
}

fn values_of(data: Data, nulls: Option<Vec<bool>>) -> impl Iterator<Item = Value> {
    let column = Column { data, nulls };
    (0..column.len()).map(move |row| column.value(row))
}

/// Builds a column value by value.
#[derive(Debug, Default)]
pub struct ColumnBuilder {
    data: Option<Data>,
    nulls: Vec<bool>,
    any_null: bool,
}

impl ColumnBuilder {
    /// A builder for about `capacity` values.
    pub fn with_capacity(capacity: usize) -> ColumnBuilder {
        ColumnBuilder { data: None, nulls: Vec::with_capacity(capacity), any_null: false }
    }

    /// Appends a value.
    pub fn push(&mut self, value: Value) {
        let len = self.nulls.len();
        self.nulls.push(value.is_null());
        match (&mut self.data, value) {
            (None, Value::Null) => self.any_null = true,
            (None, value) => self.data = Some(begin(value, len, self.nulls.capacity())),
            (Some(Data::Bit(v)), Value::Bit(x)) => v.push(x),
            (Some(Data::Int(v)), Value::Int(x)) => v.push(x),
            (Some(Data::Float(v)), Value::Float(x)) => v.push(x),
            (Some(Data::Text(v)), Value::Text(x)) => v.push(x),
            (Some(Data::Datetime(v)), Value::Datetime(x)) => v.push(x.0),
            (Some(Data::Mixed(v)), x) => v.push(x),
            (Some(data), Value::Null) => {
                self.any_null = true;
                push_default(data);
            }
            (Some(_), x) => {
                let built = Column { data: self.data.take().expect("matched above"), nulls: None };
                let null = |row: usize| self.nulls[row];
                let mut values: Vec<Value> =
                    (0..len).map(|row| if null(row) { Value::Null } else { built.value(row) }).collect();
                values.push(x);
                self.data = Some(Data::Mixed(values));
            }
        }
    }

    /// Appends bigints, at least one.
    pub fn extend_ints(&mut self, values: impl Iterator<Item = i64>) {
        if self.nulls.is_empty() {
            self.data = Some(Data::Int(Vec::new()));
        }
        let Some(Data::Int(ints)) = &mut self.data else {
            return values.for_each(|value| self.push(Value::Int(value)));
        };
        ints.extend(values);
        self.nulls.resize(ints.len(), false);
    }

    /// Appends floats, at least one.
    pub fn extend_floats(&mut self, values: impl Iterator<Item = f64>) {
        if self.nulls.is_empty() {
            self.data = Some(Data::Float(Vec::new()));
        }
        let Some(Data::Float(floats)) = &mut self.data else {
            return values.for_each(|value| self.push(Value::Float(value)));
        };
        floats.extend(values);
        self.nulls.resize(floats.len(), false);
    }

    /// The column.
    pub fn finish(self) -> Column {
        let len = self.nulls.len();
        let data = self.data.unwrap_or(Data::Null(len));
        let typed = !matches!(data, Data::Null(_) | Data::Mixed(_));
        Column { data, nulls: (typed && self.any_null).then_some(self.nulls) }
    }
}

fn begin(value: Value, nulls_before: usize, capacity: usize) -> Data {
    fn start<T: Clone>(default: T, value: T, before: usize, capacity: usize) -> Vec<T> {
        let mut values = Vec::with_capacity(capacity.max(before + 1));
        values.resize(before, default);
        values.push(value);
        values
    }
    match value {
        Value::Bit(x) => Data::Bit(start(false, x, nulls_before, capacity)),
        Value::Int(x) => Data::Int(start(0, x, nulls_before, capacity)),
        Value::Float(x) => Data::Float(start(0.0, x, nulls_before, capacity)),
        Value::Text(x) => Data::Text(start("".into(), x, nulls_before, capacity)),
        Value::Datetime(x) => Data::Datetime(start(0, x.0, nulls_before, capacity)),
        x => Data::Mixed(start(Value::Null, x, nulls_before, capacity)),
    }
}

fn push_default(data: &mut Data) {
    match data {
        Data::Null(len) => *len += 1,
        Data::Bit(v) => v.push(false),
        Data::Int(v) => v.push(0),
        Data::Float(v) => v.push(0.0),
        Data::Text(v) => v.push("".into()),
        Data::Datetime(v) => v.push(0),
        Data::Mixed(v) => v.push(Value::Null),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_typed_as_long_as_its_values_agree() {
        let values = vec![Value::Null, Value::Int(1), Value::Null, Value::Int(2)];
        let column = Column::from_values(values.clone());
        assert!(matches!(column.data, Data::Int(_)));
        assert_eq!((0..4).map(|row| column.value(row)).collect::<Vec<_>>(), values);
        let values = vec![Value::Int(1), Value::Null, Value::text("x")];
        let column = Column::from_values(values.clone());
        assert!(matches!(column.data, Data::Mixed(_)) && column.nulls.is_none());
        assert_eq!((0..3).map(|row| column.value(row)).collect::<Vec<_>>(), values);
        assert!(matches!(Column::from_values(vec![Value::Null]).data, Data::Null(1)));
    }

    #[test]
    fn columns_of_all_types_append_and_slice_like_lists_of_values() {
        let lists: [&[Value]; 7] = [
            &[],
            &[Value::Null, Value::Null],
            &[Value::Int(1), Value::Int(2)],
            &[Value::Null, Value::Int(3)],
            &[Value::Float(0.5)],
            &[Value::text("x"), Value::Null],
            &[Value::Bit(true), Value::Int(1), Value::Null],
        ];
        for a in lists {
            for b in lists {
                let mut column = Column::from_values(a.to_vec());
                column.append(Column::from_values(b.to_vec()));
                let expected = [a, b].concat();
                let values = |c: &Column| (0..c.len()).map(|row| c.value(row)).collect::<Vec<_>>();
                assert_eq!(values(&column), expected);
                let typed = !matches!(column.data, Data::Null(_) | Data::Mixed(_));
                assert_eq!(column.nulls.is_some(), typed && expected.contains(&Value::Null));
                for from in 0..=expected.len() {
                    assert_eq!(values(&column.slice(from..expected.len())), expected[from..]);
                }
            }
        }
    }

    #[test]
    fn gathering_the_rest_forgets_nulls_that_are_gone() {
        let column = Column::from_values(vec![Value::Int(1), Value::Null, Value::Int(3)]);
        assert!(column.gather(&[2, 0]).nulls.is_none());
        assert!(column.gather(&[1]).is_null(0));
    }
}
