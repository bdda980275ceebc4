//! What the engine's own suites share: cases as JSON, logs in memory, an instance fed in pieces.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;

use rewindow_engine::batch::Batch;
use rewindow_engine::column::Column;
use rewindow_engine::{Instance, Produced, eval};
use rewindow_query::plan::{Op, Plan, SourceColumn};
use rewindow_query::{
    Entry, LogView, Ordering, Payload, Policy, Record, Retained, Row, Shard, Span, Timestamp, Value, json,
};
use serde_json::Value as Json;

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

/// A conformance case, ready to run.
pub struct Conformance {
    pub name: String,
    pub plan: Arc<Plan>,
    pub partitions: Vec<u32>,
    pub ordering: Ordering,
    pub logs: Logs,
    /// For each stream and row of the case, where it lies in the logs.
    pub places: BTreeMap<(String, usize), (usize, u32, u64)>,
    pub output_from: Timestamp,
    pub json: Json,
}

impl Conformance {
    /// `None` where the language subset does not cover the query.
    pub fn read(text: &str) -> Option<Conformance> {
        let json: Json = serde_json::from_str(text).unwrap();
        let plan = Arc::new(rewindow_query::analyse(json["query"].as_str().unwrap(), None).ok()?);
        let settings = &json["settings"];
        let span = |name: &str| Span::parse(settings[name].as_str().unwrap()).unwrap();
        let policy = if settings["policy"] == "drop" { Policy::Drop } else { Policy::Adjust };
        let ordering = Ordering {
            late: span("late_arrival_tolerance"),
            out_of_order: span("out_of_order_tolerance"),
            policy,
        };
        let count = |name: &str| settings["partitions"][name].as_u64().map_or(1, |count| count as u32);
        let partitions = plan.inputs.iter().map(|input| count(&input.name)).collect();
        let output_from =
            settings["start"]["time"].as_str().map_or(Timestamp::MIN, |text| Timestamp::parse(text).unwrap());
        let mut case = Conformance {
            name: json["name"].as_str().unwrap().to_owned(),
            plan,
            partitions,
            ordering,
            logs: Logs::default(),
            places: BTreeMap::new(),
            output_from,
            json: json.clone(),
        };
        for (stream, rows) in json["inputs"].as_object().unwrap() {
            let input = case.plan.input(stream)?;
            for (index, row) in rows.as_array().unwrap().iter().enumerate() {
                case.row(stream, input, index, row);
            }
        }
        Some(case)
    }

    fn row(&mut self, stream: &str, input: usize, index: usize, row: &Json) {
        let partition = row["@partition"].as_u64().unwrap_or(0) as u32;
        let payload = match row["@raw"].as_str() {
            Some(text) => match json::read_event(text) {
                Ok(record) => Payload::Event(Arc::new(record)),
                Err(_) => Payload::Malformed(text.into()),
            },
            None => {
                let mut members = row.as_object().unwrap().clone();
                members.retain(|name, _| !name.starts_with('@'));
                Payload::Event(Arc::new(json::read_event(&Json::Object(members).to_string()).unwrap()))
            }
        };
        let given = row["@arrival"].as_str().map(|text| Timestamp::parse(text).unwrap());
        let arrival = given.unwrap_or_else(|| self.own_time(input, &payload).unwrap_or(at(0.0)));
        let log = self.logs.0.entry((input, partition)).or_default();
        self.places.insert((stream.to_owned(), index), (input, partition, log.len() as u64));
        self.logs.push(input, partition, arrival, payload);
    }

    /// The value of TIMESTAMP BY.
    fn own_time(&self, input: usize, payload: &Payload) -> Option<Timestamp> {
        let Payload::Event(record) = payload else { return None };
        self.plan.nodes.iter().find_map(|node| {
            let Op::Source(source) = &node.op else { return None };
            let value = |column: &SourceColumn| match column {
                SourceColumn::Member(name) => record.get(name).cloned().unwrap_or_default(),
                SourceColumn::Payload => Value::Record(record.clone()),
                _ => Value::Null,
            };
            let column = |c: &SourceColumn| Arc::new(Column::constant(&value(c), 1));
            let batch = Batch { timestamps: vec![0], columns: source.columns.iter().map(column).collect() };
            let expr = source.timestamp_by.as_ref().filter(|_| source.input == input)?;
            match eval::evaluate(expr, &batch).ok()?.value(0) {
                Value::Datetime(t) => Some(t),
                Value::Text(text) => Timestamp::parse(&text),
                _ => None,
            }
        })
    }

    /// Runs the case entry by entry in order of arrival: rows of all shards, drops, and the failure.
    pub fn run(&self) -> (Produced, Option<rewindow_query::Failure>) {
        let mut all = Produced::default();
        for shard in self.plan.shards(&self.partitions) {
            let mut instance = Instance::new(self.plan.clone(), shard, self.ordering, self.output_from);
            let mut take = |produced: Produced| {
                all.rows.extend(produced.rows);
                all.dropped.extend(produced.dropped);
            };
            for entry in self.logs.merged() {
                match instance.feed(entry.input, entry.partition, std::slice::from_ref(&entry)) {
                    Ok(produced) => take(produced),
                    Err(failure) => return (all, Some(failure)),
                }
            }
            match instance.finish() {
                Ok(produced) => take(produced),
                Err(failure) => return (all, Some(failure)),
            }
            if let Some(failure) = instance.failure() {
                return (all, Some(failure.clone()));
            }
        }
        all.dropped.sort();
        all.dropped.dedup();
        (all, None)
    }
}

/// Whether a value is what a case expects: numbers by value, datetimes by instant, all else exactly.
pub fn agrees(value: &Json, expected: &Json) -> bool {
    match (value, expected) {
        (Json::Number(a), Json::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1e-9)
        }
        (Json::String(a), Json::String(b)) => {
            a == b || Timestamp::parse(a).is_some_and(|t| Timestamp::parse(b) == Some(t))
        }
        (Json::Array(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| agrees(a, b)),
        (Json::Object(a), Json::Object(b)) => {
            let names: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            names
                .into_iter()
                .all(|n| agrees(a.get(n).unwrap_or(&Json::Null), b.get(n).unwrap_or(&Json::Null)))
        }
        (a, b) => a == b,
    }
}

pub fn row_json(record: &Record) -> Json {
    json::record_to_json(record)
}
