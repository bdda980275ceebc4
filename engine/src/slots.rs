//! Grouping and partition keys as dense slot numbers.
//!
//! A key is a tuple of values; keys are equal as choice C-KEY says. A slot is given on first sight, so
//! state by slot is plain vectors. A single bigint key is looked up by its value alone; anything else by
//! hash and comparison, without making a [`Value`] per row. Knows nothing of what is kept by slot.
//!
//! Invariants: the hash function is fixed and slot numbers depend on the order of arrival alone; slots that
//! were released are given again, so the number of slots is bounded by the keys alive; [`Slots::order`] is
//! the order of keys whatever the slot numbers are, so no output depends on them.

use std::cmp::Ordering;

use rewindow_query::Value;

use crate::column::{Column, ColumnBuilder, Data};

/// The slot of a row that has none.
pub const NONE: u32 = u32::MAX;

/// Keys and their slots.
#[derive(Clone, Debug)]
pub struct Slots {
    width: usize,
    keys: Keys,
    table: Table,
    alive: Vec<bool>,
    live: usize,
    /// Slots that may be given again.
    free: Vec<u32>,
    /// Slots released, still in `order` or `added`.
    gone: Vec<u32>,
    /// Slots in the order of their keys; dead ones until the next purge.
    order: Vec<u32>,
    /// Slots given since `order` was brought up to date.
    added: Vec<u32>,
}

/// The keys by slot.
#[derive(Clone, Debug)]
enum Keys {
    /// One key column, bigints so far.
    Ints(Vec<i64>),
    /// Tuples.
    Tuples(Vec<Box<[Value]>>),
}

impl Slots {
    /// No keys yet; a key has `width` values.
    pub fn new(width: usize) -> Slots {
        let keys = if width == 1 { Keys::Ints(Vec::new()) } else { Keys::Tuples(Vec::new()) };
        Slots {
            width,
            keys,
            table: Table::default(),
            alive: Vec::new(),
            live: 0,
            free: Vec::new(),
            gone: Vec::new(),
            order: Vec::new(),
            added: Vec::new(),
        }
    }

    /// One more than the largest slot ever given: the length that state by slot needs.
    pub fn len(&self) -> usize {
        self.alive.len()
    }

    /// Whether no slot was ever given.
    pub fn is_empty(&self) -> bool {
        self.alive.is_empty()
    }

    /// Number of keys that have a slot.
    pub fn live(&self) -> usize {
        self.live
    }

    /// The slot of each row's key, given where it is new. `columns` has as many columns as a key has
    /// values, each of `rows` values.
    pub fn assign(&mut self, columns: &[std::sync::Arc<Column>], rows: usize, slots: &mut Vec<u32>) {
        slots.clear();
        debug_assert_eq!(columns.len(), self.width, "a column for each value of a key");
        if self.width == 0 {
            let slot = if rows > 0 { self.assign_key(&[]) } else { 0 };
            slots.resize(rows, slot);
            return;
        }
        if let (Keys::Ints(_), [column]) = (&self.keys, columns) {
            if let (Data::Int(ints), None) = (&column.data, &column.nulls) {
                for ints in ints.chunks(32) {
                    self.table.touch(ints);
                    slots.extend(ints.iter().map(|&int| self.assign_int(int)));
                }
                return;
            }
            self.generalise();
        }
        let mut hashes = vec![0; rows];
        columns.iter().for_each(|column| hash_column(column, &mut hashes));
        for (row, &hash) in hashes.iter().enumerate() {
            let slot = match self.find_hashed(hash, |key| same(key, columns, row)) {
                NONE => {
                    let key = columns.iter().map(|column| column.value(row).canonical());
                    self.insert_tuple(hash, key.collect())
                }
                slot => slot,
            };
            slots.push(slot);
        }
    }

    /// The slot of one key, given if it is new.
    pub fn assign_key(&mut self, key: &[Value]) -> u32 {
        if let Keys::Ints(_) = self.keys {
            if let [Value::Int(int)] = key {
                return self.assign_int(*int);
            }
            self.generalise();
        }
        let hash = hash_key(key);
        match self.find_hashed(hash, |known| known == key) {
            NONE => self.insert_tuple(hash, key.iter().cloned().map(Value::canonical).collect()),
            slot => slot,
        }
    }

    /// The slot of a key, if it has one.
    pub fn find_key(&self, key: &[Value]) -> Option<u32> {
        let slot = match (&self.keys, key) {
            (Keys::Ints(_), [Value::Int(int)]) => self.table.find(*int as u64, |_| true),
            (Keys::Ints(_), _) => NONE,
            (Keys::Tuples(_), key) => self.find_hashed(hash_key(key), |known| known == key),
        };
        (slot != NONE).then_some(slot)
    }

    /// The key of a slot.
    pub fn key(&self, slot: u32) -> Vec<Value> {
        match &self.keys {
            Keys::Ints(keys) => vec![Value::Int(keys[slot as usize])],
            Keys::Tuples(keys) => keys[slot as usize].to_vec(),
        }
    }

    /// The key of a slot as text, for `explain`.
    pub fn text(&self, slot: u32) -> String {
        self.key(slot).iter().map(Value::to_string).collect::<Vec<_>>().join(", ")
    }

    /// Appends the values of the slots' keys, a builder for each.
    pub fn emit(&self, slots: &[u32], builders: &mut [ColumnBuilder]) {
        match &self.keys {
            _ if slots.is_empty() => {}
            Keys::Ints(keys) => {
                builders[0].extend_ints(slots.iter().map(|&slot| keys[slot as usize]));
            }
            Keys::Tuples(keys) => {
                for (place, builder) in builders.iter_mut().enumerate().take(self.width) {
                    slots.iter().for_each(|&slot| builder.push(keys[slot as usize][place].clone()));
                }
            }
        }
    }

    /// The order of two slots' keys (C-KEY, value by value).
    pub fn compare(&self, a: u32, b: u32) -> Ordering {
        self.keys.compare(a, b)
    }

    /// All live slots in the order of their keys. Cheap while the set of keys does not change.
    pub fn order(&mut self) -> &[u32] {
        if !self.gone.is_empty() {
            self.purge();
        }
        if !self.added.is_empty() {
            let mut added = std::mem::take(&mut self.added);
            added.sort_unstable_by(|&a, &b| self.keys.compare(a, b));
            self.order = merge(&self.order, &added, |a, b| self.keys.compare(a, b));
        }
        &self.order
    }

    /// Live slots in the order of their keys, without bringing the kept order up to date.
    pub fn sorted(&self) -> Vec<u32> {
        let mut slots: Vec<u32> =
            (0..self.alive.len() as u32).filter(|&slot| self.alive[slot as usize]).collect();
        slots.sort_unstable_by(|&a, &b| self.keys.compare(a, b));
        slots
    }

    /// Whether the slot has a key.
    pub fn is_alive(&self, slot: u32) -> bool {
        self.alive[slot as usize]
    }

    /// Forgets the keys of all slots that `keep` does not want, if there are more than `most` live ones.
    /// Gives the slots forgotten; their state is to be cleared.
    pub fn sweep(&mut self, most: usize, mut keep: impl FnMut(u32) -> bool) -> Vec<u32> {
        if self.live <= most {
            return Vec::new();
        }
        let unwanted = |slot: &u32| self.alive[*slot as usize] && !keep(*slot);
        let released: Vec<u32> = (0..self.alive.len() as u32).filter(unwanted).collect();
        released.iter().for_each(|&slot| self.release(slot));
        released
    }

    /// Forgets the key of a live slot; the slot will be given again.
    pub fn release(&mut self, slot: u32) {
        debug_assert!(self.alive[slot as usize], "a slot is released once");
        let tag = match &mut self.keys {
            Keys::Ints(keys) => keys[slot as usize] as u64,
            Keys::Tuples(keys) => hash_key(&std::mem::take(&mut keys[slot as usize])),
        };
        self.table.remove(tag, slot);
        self.alive[slot as usize] = false;
        self.live -= 1;
        self.gone.push(slot);
        if self.gone.len() > self.live / 2 + 64 {
            self.purge();
        }
    }

    fn purge(&mut self) {
        let alive = &self.alive;
        self.order.retain(|&slot| alive[slot as usize]);
        self.added.retain(|&slot| alive[slot as usize]);
        self.free.append(&mut self.gone);
    }

    #[inline]
    fn assign_int(&mut self, int: i64) -> u32 {
        match self.table.find(int as u64, |_| true) {
            NONE => self.insert_int(int),
            slot => slot,
        }
    }

    #[cold]
    fn insert_int(&mut self, int: i64) -> u32 {
        let slot = self.give();
        if let Keys::Ints(keys) = &mut self.keys {
            put(keys, slot, int);
        }
        self.table.insert(int as u64, slot);
        slot
    }

    fn insert_tuple(&mut self, hash: u64, key: Box<[Value]>) -> u32 {
        let slot = self.give();
        if let Keys::Tuples(keys) = &mut self.keys {
            put(keys, slot, key);
        }
        self.table.insert(hash, slot);
        slot
    }

    fn give(&mut self) -> u32 {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.alive.push(false);
            self.alive.len() as u32 - 1
        });
        self.alive[slot as usize] = true;
        self.live += 1;
        self.added.push(slot);
        slot
    }

    fn find_hashed(&self, hash: u64, is_key: impl Fn(&[Value]) -> bool) -> u32 {
        let Keys::Tuples(keys) = &self.keys else { return NONE };
        self.table.find(hash, |slot| is_key(&keys[slot as usize]))
    }

    /// From bigints to tuples; slots stay what they are.
    fn generalise(&mut self) {
        let Keys::Ints(ints) = &self.keys else { return };
        let keys: Vec<Box<[Value]>> = ints.iter().map(|&int| Box::from([Value::Int(int)])).collect();
        self.table = Table::default();
        for (slot, key) in keys.iter().enumerate().filter(|(slot, _)| self.alive[*slot]) {
            self.table.insert(hash_key(key), slot as u32);
        }
        self.keys = Keys::Tuples(keys);
    }
}

impl Keys {
    fn compare(&self, a: u32, b: u32) -> Ordering {
        match self {
            Keys::Ints(keys) => keys[a as usize].cmp(&keys[b as usize]),
            Keys::Tuples(keys) => keys[a as usize].cmp(&keys[b as usize]),
        }
    }
}

fn put<T>(keys: &mut Vec<T>, slot: u32, key: T) {
    match keys.get_mut(slot as usize) {
        Some(place) => *place = key,
        None => keys.push(key),
    }
}

fn merge(a: &[u32], b: &[u32], compare: impl Fn(u32, u32) -> Ordering) -> Vec<u32> {
    let mut merged = Vec::with_capacity(a.len() + b.len());
    let (mut i, mut j) = (0, 0);
    while i < a.len() && j < b.len() {
        if compare(a[i], b[j]) == Ordering::Less {
            merged.push(a[i]);
            i += 1;
        } else {
            merged.push(b[j]);
            j += 1;
        }
    }
    merged.extend_from_slice(&a[i..]);
    merged.extend_from_slice(&b[j..]);
    merged
}

/// Open addressing with linear probing: tag to slot. A tag may stand for several slots.
#[derive(Clone, Debug, Default)]
struct Table {
    /// Tag, and slot + 1; 0 is free. A power of two of places, at most half of them taken.
    places: Vec<(u64, u32)>,
    taken: usize,
}

impl Table {
    #[inline]
    fn home(&self, tag: u64) -> usize {
        // Multiply-shift: the upper bits of the product are the well mixed ones.
        let shift = 64 - self.places.len().trailing_zeros();
        (tag.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> shift) as usize
    }

    /// Has the places of these tags brought near, all at the same time: in a large table finding one after the
    /// other would wait for memory each time.
    #[inline]
    fn touch(&self, tags: &[i64]) {
        if self.places.len() >= 1 << 14 {
            let near = tags.iter().map(|&tag| self.places[self.home(tag as u64)].1);
            std::hint::black_box(near.fold(0, |all, slot| all ^ slot));
        }
    }

    #[inline]
    fn find(&self, tag: u64, is: impl Fn(u32) -> bool) -> u32 {
        if self.places.is_empty() {
            return NONE;
        }
        let mask = self.places.len() - 1;
        let mut at = self.home(tag);
        loop {
            let (known, slot) = self.places[at & mask];
            if slot == 0 {
                return NONE;
            }
            if known == tag && is(slot - 1) {
                return slot - 1;
            }
            at += 1;
        }
    }

    fn insert(&mut self, tag: u64, slot: u32) {
        if (self.taken + 1) * 2 > self.places.len() {
            let wider = vec![(0, 0); (self.places.len() * 2).max(64)];
            let old = std::mem::replace(&mut self.places, wider);
            old.into_iter().filter(|place| place.1 != 0).for_each(|place| self.place(place));
        }
        self.taken += 1;
        self.place((tag, slot + 1));
    }

    fn place(&mut self, place: (u64, u32)) {
        let mask = self.places.len() - 1;
        let mut at = self.home(place.0) & mask;
        while self.places[at].1 != 0 {
            at = (at + 1) & mask;
        }
        self.places[at] = place;
    }

    /// Takes an entry out and moves those behind it up, so that no probe meets a hole.
    fn remove(&mut self, tag: u64, slot: u32) {
        let mask = self.places.len() - 1;
        let mut hole = self.home(tag) & mask;
        while self.places[hole] != (tag, slot + 1) {
            debug_assert!(self.places[hole].1 != 0, "a live slot stands in the table");
            hole = (hole + 1) & mask;
        }
        self.taken -= 1;
        let mut at = hole;
        loop {
            self.places[hole] = (0, 0);
            loop {
                at = (at + 1) & mask;
                if self.places[at].1 == 0 {
                    return;
                }
                // The entry may move into the hole unless its home lies between hole and entry.
                let home = self.home(self.places[at].0) & mask;
                if (at.wrapping_sub(home) & mask) >= (at.wrapping_sub(hole) & mask) {
                    break;
                }
            }
            self.places[hole] = self.places[at];
            hole = at;
        }
    }
}

fn mix(hash: u64, value: u64) -> u64 {
    (hash.rotate_left(5) ^ value).wrapping_mul(0x517C_C1B7_2722_0A95)
}

fn hash_bytes(hash: u64, bytes: &[u8]) -> u64 {
    let mut hash = mix(hash, bytes.len() as u64);
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        hash = mix(hash, word.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)));
    }
    words.remainder().iter().fold(hash, |hash, &byte| mix(hash, u64::from(byte)))
}

fn hash_key(key: &[Value]) -> u64 {
    key.iter().fold(0, hash_value)
}

fn hash_float(hash: u64, float: f64) -> u64 {
    mix(hash ^ 3, if float == 0.0 { 0 } else { float.to_bits() })
}

fn hash_value(hash: u64, value: &Value) -> u64 {
    match value {
        Value::Null => mix(hash, 0),
        Value::Bit(v) => mix(hash ^ 1, u64::from(*v)),
        Value::Int(v) => mix(hash ^ 2, *v as u64),
        Value::Float(v) => hash_float(hash, *v),
        Value::Text(v) => hash_bytes(hash ^ 4, v.as_bytes()),
        Value::Datetime(v) => mix(hash ^ 5, v.0 as u64),
        Value::Array(items) => items.iter().fold(mix(hash ^ 6, items.len() as u64), hash_value),
        Value::Record(record) => record
            .sorted()
            .iter()
            .fold(hash ^ 7, |hash, (name, value)| hash_value(hash_bytes(hash, name.as_bytes()), value)),
    }
}

/// Mixes each row's value into its hash, as [`hash_value`] does.
fn hash_column(column: &Column, hashes: &mut [u64]) {
    if column.nulls.is_some() {
        hashes.iter_mut().enumerate().for_each(|(row, hash)| *hash = hash_value(*hash, &column.value(row)));
        return;
    }
    fn each<T>(values: &[T], hashes: &mut [u64], mixed: impl Fn(u64, &T) -> u64) {
        hashes.iter_mut().zip(values).for_each(|(hash, value)| *hash = mixed(*hash, value));
    }
    match &column.data {
        Data::Null(_) => hashes.iter_mut().for_each(|hash| *hash = mix(*hash, 0)),
        Data::Bit(v) => each(v, hashes, |hash, &v| mix(hash ^ 1, u64::from(v))),
        Data::Int(v) => each(v, hashes, |hash, &v| mix(hash ^ 2, v as u64)),
        Data::Float(v) => each(v, hashes, |hash, &v| hash_float(hash, v)),
        Data::Text(v) => each(v, hashes, |hash, v| hash_bytes(hash ^ 4, v.as_bytes())),
        Data::Datetime(v) => each(v, hashes, |hash, &v| mix(hash ^ 5, v as u64)),
        Data::Mixed(v) => each(v, hashes, hash_value),
    }
}

/// Whether a row's key is this key.
fn same(key: &[Value], columns: &[std::sync::Arc<Column>], row: usize) -> bool {
    key.iter().zip(columns).all(|(value, column)| match (value, &column.data) {
        _ if column.is_null(row) => value.is_null(),
        (Value::Text(a), Data::Text(b)) => *a == b[row],
        (Value::Int(a), Data::Int(b)) => *a == b[row],
        (value, Data::Mixed(b)) => *value == b[row],
        (value, _) => *value == column.value(row),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;

    fn values() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            (-3_i64..4).prop_map(Value::Int),
            (-3_i64..4).prop_map(|v| Value::Float(v as f64 / 2.0)),
            Just(Value::Float(-0.0)),
            "[ab]{0,2}".prop_map(Value::text),
            any::<bool>().prop_map(Value::Bit),
        ]
    }

    fn assign(slots: &mut Slots, keys: &[Vec<Value>]) -> Vec<u32> {
        let width = keys.first().map_or(0, Vec::len);
        let column =
            |place: usize| Arc::new(Column::from_values(keys.iter().map(|key| key[place].clone()).collect()));
        let columns: Vec<_> = (0..width).map(column).collect();
        let mut given = Vec::new();
        slots.assign(&columns, keys.len(), &mut given);
        given
    }

    proptest! {
        #[test]
        fn c_key_a_slot_is_a_key_through_batches_types_and_releases(
            batches in prop::collection::vec(
                (prop::collection::vec(prop::collection::vec(values(), 2), 0..12), any::<u8>()), 1..8),
            width in 1_usize..3,
        ) {
            let mut slots = Slots::new(width);
            let mut known: BTreeMap<Vec<Value>, u32> = BTreeMap::new();
            for (mut keys, release) in batches {
                keys.iter_mut().for_each(|key| key.truncate(width));
                if keys.is_empty() { continue; }
                let given = assign(&mut slots, &keys);
                for (key, slot) in keys.iter().zip(given) {
                    prop_assert_eq!(*known.entry(key.clone()).or_insert(slot), slot);
                    prop_assert_eq!(&slots.key(slot), key);
                    prop_assert_eq!(slots.assign_key(key), slot);
                }
                let gone = known.keys().nth(usize::from(release) % known.len()).cloned().expect("not empty");
                slots.release(known.remove(&gone).expect("known"));
                let expected: Vec<u32> = known.values().copied().collect();
                prop_assert_eq!(slots.sorted(), expected.clone());
                if release & 1 == 0 {
                    prop_assert_eq!(slots.order(), expected);
                }
                prop_assert_eq!(slots.live(), known.len());
            }
        }
    }

    #[test]
    fn an_endless_supply_of_keys_needs_bounded_slots() {
        let mut slots = Slots::new(1);
        for key in 0..100_000 {
            let slot = slots.assign_key(&[Value::Int(key * 7)]);
            slots.release(slot);
        }
        assert!(slots.len() < 200 && slots.table.places.len() < 1000, "{} slots", slots.len());
    }

    #[test]
    fn bigints_stay_a_plain_column_until_something_else_comes() {
        let mut slots = Slots::new(1);
        let given = assign(&mut slots, &[vec![Value::Int(5)], vec![Value::Int(-1)], vec![Value::Int(5)]]);
        assert_eq!(given, [0, 1, 0]);
        assert!(matches!(slots.keys, Keys::Ints(_)));
        let given = assign(&mut slots, &[vec![Value::Float(5.0)], vec![Value::Int(5)], vec![Value::Null]]);
        assert_eq!(given, [2, 0, 3], "1 and 1.0 are two keys");
        assert_eq!(slots.order(), [3, 1, 0, 2]);
    }
}
