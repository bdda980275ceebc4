//! Shrinking the history: fewer entries, fewer partitions, plainer payloads.
//!
//! Offsets are always counted anew, so a smaller history is a whole one, without holes.

use std::collections::BTreeMap;
use std::sync::Arc;

use rewindow_query::{Entry, Payload, Record, Timestamp, Value};
use rewindow_world::case::Case;

use super::Search;

/// Up to so many entries are looked at one by one; more are only treated alike.
const SINGLY_MAX: usize = 48;

/// The case with its entries in order of arrival, offsets counted anew.
pub(crate) fn in_order(case: &Case) -> Case {
    with_entries(case, case.history.entries.clone())
}

/// The case without the entries `from..until`.
pub(super) fn without(case: &Case, from: usize, until: usize) -> Case {
    let entries = &case.history.entries;
    with_entries(case, entries[..from].iter().chain(&entries[until..]).cloned().collect())
}

/// The case with other entries: sorted by arrival, ties by place, offsets counted anew.
pub(super) fn with_entries(case: &Case, mut entries: Vec<Entry>) -> Case {
    entries.sort_by_key(|e| (e.arrival, e.input, e.partition, e.offset));
    let mut next: BTreeMap<(usize, u32), u64> = BTreeMap::new();
    for entry in &mut entries {
        let next = next.entry((entry.input, entry.partition)).or_default();
        entry.offset = *next;
        *next += 1;
    }
    Case { history: Arc::new(case.history.with_entries(entries)), ..case.clone() }
}

/// The case with an entry's payload replaced.
fn with_payload(case: &Case, index: usize, payload: Payload) -> Case {
    let mut entries = case.history.entries.clone();
    entries[index].payload = payload;
    Case { history: Arc::new(case.history.with_entries(entries)), ..case.clone() }
}

impl Search<'_> {
    /// Fewer partitions: all in one; else half as many; else without those that have no entry.
    pub(super) fn partitions(&mut self) {
        if self.best.inputs.iter().all(|input| input.partitions == 1) {
            return;
        }
        if self.attempt(remapped(&self.best, |_, _| 0)) {
            return;
        }
        while self.best.inputs.iter().any(|input| input.partitions > 1) {
            if !self.attempt(remapped(&self.best, |_, partition| partition / 2)) {
                break;
            }
        }
        let mut used: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
        for entry in &self.best.history.entries {
            used.entry(entry.input).or_default().push(entry.partition);
        }
        used.values_mut().for_each(|partitions| {
            partitions.sort_unstable();
            partitions.dedup();
        });
        let place = |input: usize, partition: u32| {
            let of = used.get(&input).map_or(&[][..], Vec::as_slice);
            u32::try_from(of.iter().position(|&p| p == partition).unwrap_or(0)).unwrap_or(0)
        };
        self.attempt(remapped(&self.best, place));
    }

    /// Plainer payloads: members left out, numbers to 0 or 1, text to one letter.
    pub(super) fn payloads(&mut self) {
        for name in member_names(&self.best) {
            let candidate = mapped(&self.best, |record| without_member(record, &name));
            if self.attempt(candidate) {
                continue;
            }
            for plain in [Value::Int(0), Value::Int(1), Value::text("a")] {
                if self.attempt(mapped(&self.best, |record| simplified(record, &name, &plain))) {
                    break;
                }
            }
        }
        if self.best.history.entries.len() <= SINGLY_MAX {
            (0..self.best.history.entries.len()).for_each(|index| self.payload(index));
        }
    }

    fn payload(&mut self, index: usize) {
        let names = match &self.best.history.entries[index].payload {
            Payload::Event(record) => record.members().iter().map(|(name, _)| name.clone()).collect(),
            Payload::Malformed(text) if &**text != "x" => {
                self.attempt(with_payload(&self.best, index, Payload::Malformed("x".into())));
                return;
            }
            _ => Vec::<Arc<str>>::new(),
        };
        for name in names {
            let replaced =
                |best: &Case, by: &dyn Fn(&Record) -> Record| match &best.history.entries[index].payload {
                    Payload::Event(record) => with_payload(best, index, Payload::Event(Arc::new(by(record)))),
                    _ => best.clone(),
                };
            if self.attempt(replaced(&self.best, &|record| without_member(record, &name))) {
                continue;
            }
            for plain in [Value::Int(0), Value::Int(1), Value::text("a")] {
                if self.attempt(replaced(&self.best, &|record| simplified(record, &name, &plain))) {
                    break;
                }
            }
        }
    }
}

/// The case with partitions renamed, entries of equal arrival in the order of their old places.
fn remapped(case: &Case, to: impl Fn(usize, u32) -> u32) -> Case {
    let mut entries = case.history.entries.clone();
    entries.sort_by_key(|e| (e.arrival, e.input, e.partition, e.offset));
    for (place, entry) in entries.iter_mut().enumerate() {
        entry.partition = to(entry.input, entry.partition);
        entry.offset = place as u64;
    }
    let mut smaller = with_entries(case, entries);
    for (index, input) in smaller.inputs.iter_mut().enumerate() {
        let last = (0..input.partitions).map(|partition| to(index, partition)).max();
        input.partitions = last.unwrap_or(0) + 1;
    }
    smaller
}

fn member_names(case: &Case) -> Vec<Arc<str>> {
    let mut names: Vec<Arc<str>> = Vec::new();
    for entry in &case.history.entries {
        if let Payload::Event(record) = &entry.payload {
            for (name, _) in record.members() {
                if !names.contains(name) {
                    names.push(name.clone());
                }
            }
        }
    }
    names
}

/// The case with every event's record replaced.
fn mapped(case: &Case, by: impl Fn(&Record) -> Record) -> Case {
    let mut entries = case.history.entries.clone();
    for entry in &mut entries {
        if let Payload::Event(record) = &entry.payload {
            entry.payload = Payload::Event(Arc::new(by(record)));
        }
    }
    Case { history: Arc::new(case.history.with_entries(entries)), ..case.clone() }
}

fn without_member(record: &Record, name: &str) -> Record {
    record.members().iter().filter(|(own, _)| &**own != name).cloned().collect()
}

/// The record with a member made plain, if that makes it simpler.
fn simplified(record: &Record, name: &str, plain: &Value) -> Record {
    let simpler = |(own, value): &(Arc<str>, Value)| {
        let value = if &**own == name && is_simpler(plain, value) { plain.clone() } else { value.clone() };
        (own.clone(), value)
    };
    record.members().iter().map(simpler).collect()
}

/// Numbers go to 0, else to 1; text to `a`. What is an instant in text is left to the passes over times.
fn is_simpler(plain: &Value, value: &Value) -> bool {
    match (plain, value) {
        (Value::Int(0), Value::Int(v)) => *v != 0,
        (Value::Int(1), Value::Int(v)) => !(0..=1).contains(v),
        (Value::Int(_), Value::Float(_)) => true,
        (Value::Text(_), Value::Text(v)) => &**v != "a" && Timestamp::parse(v).is_none(),
        _ => false,
    }
}
