//! What the engine's own suites share: logs in memory, an instance fed in pieces.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

pub mod net;

use std::collections::BTreeMap;
use std::sync::Arc;

use rewindow_engine::Instance;
use rewindow_query::plan::Plan;
use rewindow_query::{
    Entry, LogView, Ordering, Payload, Policy, Retained, Row, Shard, Span, Timestamp, json,
};

/// An instant of 2024-03-05, by seconds from midnight.
pub fn at(seconds: f64) -> Timestamp {
    let midnight = Timestamp::parse("2024-03-05").unwrap();
    midnight.plus(Span((seconds * 1e7).round() as i64))
}

pub fn ordering(late: i64, out_of_order: i64, policy: Policy) -> Ordering {
    Ordering { late: Span::seconds(late), out_of_order: Span::seconds(out_of_order), policy }
}

pub fn plan(query: &str) -> Arc<Plan> {
    Arc::new(rewindow_query::analyse(query, None).unwrap_or_else(|error| panic!("{query}: {error}")))
}

/// Logs of a job, by (input, partition), offsets from 0.
#[derive(Clone, Default, Debug)]
pub struct Logs(pub BTreeMap<(usize, u32), Vec<Entry>>);

impl Logs {
    pub fn push(&mut self, input: usize, partition: u32, arrival: Timestamp, payload: Payload) {
        let log = self.0.entry((input, partition)).or_default();
        log.push(Entry { input, partition, offset: log.len() as u64, arrival, payload });
    }

    pub fn event(&mut self, input: usize, partition: u32, arrival: Timestamp, json: &str) {
        let record = json::read_event(json).unwrap();
        self.push(input, partition, arrival, Payload::Event(Arc::new(record)));
    }

    /// All entries in order of arrival, as a reader of all partitions would meet them.
    pub fn merged(&self) -> Vec<Entry> {
        let mut entries: Vec<Entry> = self.0.values().flatten().cloned().collect();
        entries.sort_by_key(|entry| (entry.arrival, entry.input, entry.partition, entry.offset));
        entries
    }
}

/// A log that has forgotten what arrived before an instant.
pub struct View<'a> {
    pub logs: &'a Logs,
    pub forgotten_before: Timestamp,
}

impl LogView for View<'_> {
    fn retained(&self, input: usize, partition: u32) -> Retained {
        let empty = Vec::new();
        let log = self.logs.0.get(&(input, partition)).unwrap_or(&empty);
        let first = log.partition_point(|entry| entry.arrival < self.forgotten_before);
        let lost_until = first.checked_sub(1).map(|last| log[last].arrival);
        Retained { first: first as u64, next: log.len() as u64, lost_until }
    }

    fn first_since(&self, input: usize, partition: u32, arrival: Timestamp) -> u64 {
        let Some(log) = self.logs.0.get(&(input, partition)) else { return 0 };
        let found = log.partition_point(|entry| entry.arrival < arrival) as u64;
        found.max(self.retained(input, partition).first)
    }
}

/// Feeds what lies at or after the instance's positions, in the merged order, then ends the input.
pub fn drain(instance: &mut Instance, logs: &Logs) -> Vec<Row> {
    let positions = instance.positions();
    let mut rows = Vec::new();
    for entry in logs.merged() {
        let place = (entry.input, entry.partition);
        if positions.get(&place).is_some_and(|&next| entry.offset >= next) {
            rows.extend(instance.feed(place.0, place.1, &[entry]).unwrap().rows);
        }
    }
    rows.extend(instance.finish().unwrap().rows);
    rows
}

/// The rows of the whole job, uninterrupted, each partition of each input fed at once.
pub fn whole(plan: &Arc<Plan>, shard: &Shard, ordering: Ordering, logs: &Logs) -> Vec<Row> {
    let mut instance = Instance::new(plan.clone(), shard.clone(), ordering, Timestamp::MIN);
    let mut rows = Vec::new();
    for (&(input, partition), entries) in &logs.0 {
        rows.extend(instance.feed(input, partition, entries).unwrap().rows);
    }
    rows.extend(instance.finish().unwrap().rows);
    rows
}
