//! Several links into one stream, and several streams onto one link.
//!
//! ```text
//!   link 0   1a 3a 4a             1a 1b 3a 3b 4a       by (timestamp, link, number)
//!   link 1   1b 3b          ->
//! ```
//!
//! What comes from partitions is merged by (timestamp, link, number), which is (timestamp, partition, offset);
//! what comes from keyed tasks by (timestamp, key). Knows no numbers and no messages. Invariant: the order of
//! the rows does not depend on when they came.

use std::cmp::Ordering;
use std::sync::Arc;

use rewindow_query::Value;
use rewindow_query::expr::Expr;

use crate::batch::Batch;
use crate::column::{Column, Data};
use crate::eval::evaluate_leniently;

/// Number of columns on a wire whose streams have so many.
pub(crate) fn wire_width(widths: &[usize]) -> usize {
    match widths {
        [only] => *only,
        many => 1 + many.iter().max().copied().unwrap_or(0),
    }
}

/// The rows of several streams by (timestamp, stream), with the number of the stream in front if there are
/// several.
pub(crate) fn pack(mut streams: Vec<Batch>, width: usize) -> Batch {
    if streams.len() == 1 {
        return streams.remove(0);
    }
    let mut wire = Batch::default();
    for (stream, batch) in streams.into_iter().enumerate() {
        let (len, none) = (batch.len(), Column { data: Data::Null(batch.len()), nulls: None });
        if len == 0 {
            continue;
        }
        let mut columns = vec![Arc::new(Column::ints(vec![stream as i64; len]))];
        columns.extend(batch.columns);
        columns.resize(width, Arc::new(none));
        wire.append(Batch { timestamps: batch.timestamps, columns });
    }
    sorted(wire, 0)
}

/// The streams of rows that were packed.
pub(crate) fn unpack(batches: Vec<Batch>, widths: &[usize]) -> Vec<Batch> {
    let mut streams = vec![Batch::default(); widths.len()];
    for batch in batches {
        if let [only] = streams.as_mut_slice() {
            only.append(batch);
            continue;
        }
        for (number, (stream, &width)) in streams.iter_mut().zip(widths).enumerate() {
            let is_its = |row: usize| batch.columns[0].value(row) == Value::Int(number as i64);
            let rows: Vec<u32> = (0..batch.len() as u32).filter(|&row| is_its(row as usize)).collect();
            if rows.is_empty() {
                continue;
            }
            let columns = batch.columns[1..=width].to_vec();
            stream.append(Batch { timestamps: batch.timestamps.clone(), columns }.gather(&rows));
        }
    }
    streams
}

/// The rows of one stream that came over several links, each in order; by timestamp, then by so many columns at
/// the front, then by link.
pub(crate) fn merge(links: Vec<Batch>, keys: usize) -> Batch {
    let several = links.iter().filter(|batch| !batch.is_empty()).count() > 1;
    let mut all = Batch::default();
    links.into_iter().for_each(|batch| all.append(batch));
    if several { sorted(all, keys) } else { all }
}

fn sorted(batch: Batch, keys: usize) -> Batch {
    let by_key = |a: usize, b: usize| {
        let keys = batch.columns[..keys].iter();
        keys.map(|column| column.value(a).cmp(&column.value(b)))
            .find(|o| o.is_ne())
            .unwrap_or(Ordering::Equal)
    };
    let compare =
        |a: usize, b: usize| batch.timestamps[a].cmp(&batch.timestamps[b]).then_with(|| by_key(a, b));
    if (1..batch.len()).all(|row| compare(row - 1, row).is_le()) {
        return batch;
    }
    let mut order: Vec<u32> = (0..batch.len() as u32).collect();
    // Stable: links were joined in their order.
    order.sort_by(|&a, &b| compare(a as usize, b as usize));
    batch.gather(&order)
}

/// To which of so many tasks each row goes: equal keys (C-KEY) to the same one, in every version and on every
/// machine. A row whose key fails goes to the first, where the grouping meets the failure (C-FAIL).
pub(crate) fn routes(by: &[Expr], rows: &Batch, tasks: usize, changed: bool) -> Vec<usize> {
    let keys: Vec<(Arc<Column>, Vec<bool>)> = by.iter().map(|expr| evaluate_leniently(expr, rows)).collect();
    let route = |row: usize| {
        if keys.iter().any(|(_, failed)| failed.get(row) == Some(&true)) {
            return 0;
        }
        let mut hash = Hash::default();
        keys.iter().for_each(|(column, _)| hash.value(&column.value(row)));
        let place = (hash.0 ^ (hash.0 >> 32)) % tasks as u64;
        (place as usize + usize::from(changed)) % tasks
    };
    (0..rows.len()).map(route).collect()
}

/// FNV-1a over tag and content of values.
struct Hash(u64);

impl Default for Hash {
    fn default() -> Hash {
        Hash(0xcbf2_9ce4_8422_2325)
    }
}

impl Hash {
    fn bytes(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    fn text(&mut self, text: &str) {
        self.bytes(&(text.len() as u64).to_le_bytes());
        self.bytes(text.as_bytes());
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.bytes(&[0]),
            Value::Bit(v) => self.bytes(&[1, u8::from(*v)]),
            Value::Int(v) => {
                self.bytes(&[2]);
                self.bytes(&v.to_le_bytes());
            }
            Value::Float(v) => {
                // Minus zero and zero are one key.
                let v = if *v == 0.0 { 0.0 } else { *v };
                self.bytes(&[3]);
                self.bytes(&v.to_bits().to_le_bytes());
            }
            Value::Text(v) => {
                self.bytes(&[4]);
                self.text(v);
            }
            Value::Datetime(v) => {
                self.bytes(&[5]);
                self.bytes(&v.0.to_le_bytes());
            }
            Value::Array(items) => {
                self.bytes(&[6]);
                self.bytes(&(items.len() as u64).to_le_bytes());
                items.iter().for_each(|item| self.value(item));
            }
            Value::Record(record) => {
                self.bytes(&[7]);
                self.bytes(&(record.members().len() as u64).to_le_bytes());
                for (name, value) in record.sorted() {
                    self.text(name);
                    self.value(value);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{batch, column};

    fn routes_of(values: &[Value], tasks: usize) -> Vec<usize> {
        let rows: Vec<_> = values.iter().map(|value| (1, vec![value.clone()])).collect();
        routes(&[column(0)], &batch(&rows), tasks, false)
    }

    #[test]
    fn equal_keys_take_the_same_way_and_the_way_never_changes() {
        let list = |item: f64| Value::Array([Value::Float(item)].into());
        let pairs = [(Value::Float(0.0), Value::Float(-0.0)), (list(0.0), list(-0.0))];
        for (a, b) in pairs {
            let routes = routes_of(&[a, b], 1000);
            assert_eq!(routes[0], routes[1]);
        }
        let values = [Value::Null, Value::Bit(true), Value::Int(1), Value::Float(1.0), Value::text("us")];
        assert_eq!(routes_of(&values, 1000), PINNED, "a checkpoint of an older version relies on it");
        let ints: Vec<Value> = (0..300).map(Value::Int).collect();
        let routes = routes_of(&ints, 3);
        assert!((0..3).all(|task| routes.iter().filter(|&&route| route == task).count() > 60));
    }

    const PINNED: [usize; 5] = [995, 224, 368, 852, 585];

    #[test]
    fn streams_are_packed_by_timestamp_and_unpacked_as_they_were() {
        let one = batch(&[(1, vec![Value::Int(1)]), (3, vec![Value::text("x")])]);
        let two = batch(&[(1, vec![Value::Int(2), Value::Null]), (2, vec![Value::Int(3), Value::Int(4)])]);
        let wire = pack(vec![one.clone(), two.clone()], wire_width(&[1, 2]));
        assert_eq!(wire.timestamps, [1, 1, 2, 3]);
        let rows = |batch: &Batch| (0..batch.len()).map(|row| batch.row(row)).collect::<Vec<_>>();
        let halves = vec![wire.slice(0..1), wire.slice(1..4)];
        let back = unpack(halves, &[1, 2]);
        assert_eq!((rows(&back[0]), rows(&back[1])), (rows(&one), rows(&two)));
    }
}
