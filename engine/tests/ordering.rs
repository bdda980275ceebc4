//! The ordering stage against the policies written down naively (rules 3.4 to 3.8). Would catch wrong
//! stamps, wrong drops, wrong order, and rows released before they are certain.

#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;

use common::{Logs, at, ordering, plan};
use proptest::prelude::*;
use rewindow_engine::column::Column;
use rewindow_engine::{Instance, OutputBatch};
use rewindow_query::{Dropped, Ordering, Payload, Policy, Reason, Shard, Span, Timestamp, Value};

const OVER: &str = "SELECT id, System.Timestamp() AS stamp FROM Feed TIMESTAMP BY t OVER k, PartitionId PARTITION BY PartitionId";

const QUERY: &str = "SELECT id, System.Timestamp() AS stamp FROM Feed TIMESTAMP BY t";

/// An entry: gap to the arrival in front of it, own time against arrival, both in half seconds; `None` is
/// an estimate, a time of 1000 an unusable one.
type Step = (u32, i64, Option<i64>);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let own = prop_oneof![
        1 => Just(None),
        1 => Just(Some(1000)),
        12 => (-14..3i64).prop_map(Some),
        2 => Just(Some(0)),
        2 => (597..604i64).prop_map(Some),
    ];
    prop::collection::vec((0..3u32, 0..4i64, own), 0..30)
}

fn logs(steps: &[Step]) -> Logs {
    let (mut logs, mut clock) = (Logs::default(), 0);
    for (id, &(partition, gap, own)) in steps.iter().enumerate() {
        clock += gap;
        let arrival = at(clock as f64 / 2.0);
        match own {
            None => logs.push(0, partition, arrival, Payload::Estimate),
            Some(1000) => logs.event(0, partition, arrival, &format!(r#"{{"id":{id},"t":"soon","k":1}}"#)),
            Some(own) => {
                let t = at((clock + own) as f64 / 2.0);
                // Every seventh event has no key; only substreams ask for it.
                let k = if id % 7 == 6 { "null" } else { ["1", "1.0", "\"a\""][id % 3] };
                logs.event(0, partition, arrival, &format!(r#"{{"id":{id},"t":"{t}","k":{k}}}"#));
            }
        }
    }
    logs
}

/// Stamp, partition, offset, id: in this order they leave.
type Judged = (Timestamp, u32, u64, i64);

/// Rules 3.4.1 to 3.4.4, one event after the other; with substreams as rule 3.9 and C-SUBSTREAM have it.
fn judged(logs: &Logs, ordering: Ordering, substreams: bool) -> (Vec<Judged>, Vec<Dropped>) {
    let (mut rows, mut dropped) = (Vec::new(), Vec::new());
    for (&(input, partition), entries) in &logs.0 {
        let mut all_seen: Vec<(Value, Timestamp)> = Vec::new();
        for entry in entries {
            let Payload::Event(record) = &entry.payload else { continue };
            let mut drop = |reason| dropped.push(Dropped { input, partition, offset: entry.offset, reason });
            let Some(Value::Text(text)) = record.get("t") else { unreachable!() };
            let Some(own) = Timestamp::parse(text) else {
                drop(Reason::Timestamp);
                continue;
            };
            let key = if substreams { record.get("k").cloned().unwrap() } else { Value::Int(0) };
            if key.is_null() {
                drop(Reason::TimestampKey);
                continue;
            }
            if own > entry.arrival.plus(Span::minutes(5)) {
                drop(Reason::Early);
                continue;
            }
            let late = own < entry.arrival.minus(ordering.late);
            let own = own.max(entry.arrival.minus(ordering.late));
            let seen = all_seen.iter().filter(|(known, _)| *known == key).map(|(_, stamp)| *stamp).max();
            let behind = seen.map_or(Timestamp::MIN, |seen| seen.minus(ordering.out_of_order));
            if ordering.policy == Policy::Drop && (late || own < behind) {
                drop(if late { Reason::Late } else { Reason::OutOfOrder });
                continue;
            }
            let stamp = own.max(behind);
            all_seen.push((key, stamp));
            let Some(Value::Int(id)) = record.get("id") else { unreachable!() };
            rows.push((stamp, partition, entry.offset, *id));
        }
    }
    rows.sort();
    dropped.sort();
    (rows, dropped)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn every_event_gets_the_stamp_and_place_the_rules_give_it(
        steps in steps(),
        (drop, substreams) in any::<(bool, bool)>(),
        (late, disorder) in (0..6i64, 0..4i64),
        cuts in prop::collection::vec(1..6usize, 40),
    ) {
        let policy = if drop { Policy::Drop } else { Policy::Adjust };
        let (logs, ordering) = (logs(&steps), ordering(late, disorder, policy));
        let plan = plan(if substreams { OVER } else { QUERY });
        // A partitioned plan would be a shard for each; the stage is to merge them.
        let shard = Shard { reads: (0..3).map(|partition| (0, partition)).collect(), ..plan.shards(&[3]).remove(0) };
        let mut instance = Instance::new(plan, shard, ordering, Timestamp::MIN);
        let (mut found, mut dropped) = (Vec::new(), Vec::new());
        let mut take = |rows: Vec<rewindow_query::Row>, before: Timestamp, after: Timestamp| {
            for row in rows {
                assert!(before <= row.timestamp && row.timestamp < after, "released when certain, not later");
                let members = row.record.members();
                assert_eq!(members[1].1, Value::Datetime(row.timestamp));
                found.push((row.timestamp, members[0].1.clone()));
            }
        };
        let entries = logs.merged();
        let mut rest = entries.as_slice();
        for cut in cuts {
            let Some(first) = rest.first() else { break };
            let place = (first.input, first.partition);
            let same = rest.iter().take_while(|e| (e.input, e.partition) == place).count();
            let (now, later) = rest.split_at(same.min(cut));
            rest = later;
            let before = instance.frontier();
            let produced = instance.feed(place.0, place.1, now).unwrap();
            dropped.extend(produced.dropped);
            prop_assert!(before <= instance.frontier(), "progress is never taken back");
            take(produced.rows, before, instance.frontier());
        }
        prop_assert!(rest.is_empty());
        let before = instance.frontier();
        take(instance.finish().unwrap().rows, before, Timestamp::MAX);
        dropped.sort();
        let (rows, drops) = judged(&logs, ordering, substreams);
        let expected: Vec<_> = rows.into_iter().map(|(stamp, _, _, id)| (stamp, Value::Int(id))).collect();
        prop_assert_eq!(found, expected);
        prop_assert_eq!(dropped, drops);
    }
}

#[test]
fn a_row_stamped_at_the_watermark_waits() {
    let plan = plan(QUERY);
    let shard = plan.shards(&[1]).remove(0);
    let mut instance = Instance::new(plan, shard, ordering(5, 2, Policy::Adjust), Timestamp::MIN);
    let mut logs = Logs::default();
    for (arrival, own) in [(10.0, 8.0), (10.0, 10.0), (11.0, 8.0)] {
        logs.event(0, 0, at(arrival), &format!(r#"{{"id":1,"t":"{}"}}"#, at(own)));
    }
    logs.push(0, 0, at(13.0), Payload::Estimate);
    logs.push(0, 0, at(13.0000001), Payload::Estimate);
    let log = &logs.0[&(0, 0)];
    let counts: Vec<usize> =
        log.iter().map(|e| instance.feed(0, 0, std::slice::from_ref(e)).unwrap().rows.len()).collect();
    // seen 10 - O 2 = 8: the two stamped 8 wait until an estimate of 13 - L 5 is passed by a tick.
    assert_eq!(counts, [0, 0, 0, 0, 2]);
    assert_eq!(instance.frontier(), at(8.0000001));
}

#[test]
fn an_idle_partition_holds_back_until_its_arrival_clock_is_estimated() {
    let plan = plan(QUERY);
    let shard = plan.shards(&[2]).remove(0);
    let mut instance = Instance::new(plan, shard, ordering(5, 0, Policy::Adjust), Timestamp::MIN);
    let mut logs = Logs::default();
    logs.event(0, 0, at(10.0), &format!(r#"{{"id":1,"t":"{}"}}"#, at(10.0)));
    logs.event(0, 0, at(20.0), &format!(r#"{{"id":2,"t":"{}"}}"#, at(20.0)));
    logs.push(0, 1, at(16.0), Payload::Estimate);
    assert!(instance.feed(0, 0, &logs.0[&(0, 0)]).unwrap().rows.is_empty());
    assert_eq!(instance.frontier(), Timestamp::MIN);
    assert_eq!(instance.feed(0, 1, &logs.0[&(0, 1)]).unwrap().rows.len(), 1);
    assert_eq!(instance.frontier(), at(11.0));
}

#[test]
fn without_timestamp_by_the_arrival_is_the_timestamp_and_no_tolerance_applies() {
    let plan = plan("SELECT id, EventEnqueuedUtcTime AS a, PartitionId AS p FROM Feed");
    let shard = plan.shards(&[1]).remove(0);
    let mut instance = Instance::new(plan, shard, ordering(0, 0, Policy::Drop), Timestamp::MIN);
    let mut logs = Logs::default();
    for (id, arrival) in [(1, 1.0), (2, 2.0), (3, 2.0)] {
        logs.event(0, 0, at(arrival), &format!(r#"{{"id":{id}}}"#));
    }
    logs.push(0, 0, at(2.5), Payload::Estimate);
    let log = &logs.0[&(0, 0)];
    assert_eq!(instance.feed(0, 0, &log[..2]).unwrap().rows.len(), 1, "more may arrive at 2");
    let rows = instance.feed(0, 0, &log[2..]).unwrap().rows;
    let texts: Vec<String> = rows.iter().map(|row| row.record.to_string()).collect();
    assert_eq!(
        texts,
        [
            r#"{"id":2,"a":"2024-03-05T00:00:02.0000000Z","p":0}"#,
            r#"{"id":3,"a":"2024-03-05T00:00:02.0000000Z","p":0}"#,
        ]
    );
    assert_eq!((rows[0].ordinal, rows[1].ordinal), (0, 1));
}

#[test]
fn columns_are_fed_as_entries_are_and_say_what_rows_say() {
    for (query, rows) in [
        ("SELECT v FROM Feed TIMESTAMP BY t WHERE v > 1", 3),
        ("SELECT *, v + 1 AS w FROM Feed TIMESTAMP BY t", 4),
        ("SELECT COUNT(*) AS n, v AS k FROM Feed TIMESTAMP BY t GROUP BY v, TumblingWindow(second, 1)", 4),
        (
            "SELECT v, MIN(v) AS l, AVG(v) AS a FROM Feed TIMESTAMP BY t GROUP BY v, SlidingWindow(second, 2)",
            4,
        ),
    ] {
        columns_say_what_rows_say(query, rows);
    }
}

fn columns_say_what_rows_say(query: &str, expected: usize) {
    let plan = plan(query);
    let shard = plan.shards(&[1]).remove(0);
    let policy = ordering(5, 1, Policy::Adjust);
    let mut logs = Logs::default();
    for (v, own) in [(1, 1.0), (2, 3.0), (3, 2.5), (4, 9.0)] {
        logs.event(0, 0, at(own + 1.0), &format!(r#"{{"v":{v},"t":"{}"}}"#, at(own)));
    }
    let rows = common::whole(&plan, &shard, policy, &logs);
    let source = plan.nodes.iter().find_map(|node| match &node.op {
        rewindow_query::plan::Op::Source(source) => Some(source.clone()),
        _ => None,
    });
    let log = &logs.0[&(0, 0)];
    let column = |name: &str| {
        Column::from_values(
            log.iter()
                .map(|entry| match &entry.payload {
                    Payload::Event(record) => record.get(name).cloned().unwrap(),
                    _ => Value::Null,
                })
                .collect(),
        )
    };
    let source = source.unwrap();
    let columns = source.columns.iter().map(|kind| match kind {
        rewindow_query::plan::SourceColumn::Member(name) => column(name),
        rewindow_query::plan::SourceColumn::Payload => Column::from_values(
            log.iter()
                .map(|entry| match &entry.payload {
                    Payload::Event(record) => Value::Record(record.clone()),
                    _ => Value::Null,
                })
                .collect(),
        ),
        _ => Column::constant(&Value::Null, log.len()),
    });
    let arrivals: Vec<i64> = log.iter().map(|entry| entry.arrival.0).collect();
    let mut instance = Instance::new(plan.clone(), shard.clone(), policy, Timestamp::MIN);
    let mut found = instance.feed_columns(0, 0, 0, &arrivals, columns.collect()).unwrap().batches;
    found.extend(instance.finish_columns().unwrap().batches);
    let said: Vec<Said> =
        found.iter().flat_map(|batch| (0..batch.timestamps.len()).map(|row| said(batch, row))).collect();
    let rows: Vec<_> =
        rows.iter().map(|row| (row.timestamp, row.key.to_vec(), row.record.members().to_vec())).collect();
    assert_eq!((said.len(), &said), (expected, &rows), "{query}");
    assert_eq!(instance.positions()[&(0, 0)], 4);
}

/// Timestamp, key and members of a row.
type Said = (Timestamp, Vec<Value>, Vec<(Arc<str>, Value)>);

/// A row given by column.
fn said(batch: &OutputBatch, row: usize) -> Said {
    let mut members = Vec::new();
    for (name, column) in batch.names.iter().zip(&batch.columns) {
        match (&**name, column.value(row)) {
            ("*", Value::Record(record)) => members.extend(record.members().iter().cloned()),
            (_, value) => members.push((name.clone(), value)),
        }
    }
    let key = batch.key.iter().map(|column| column.value(row)).collect();
    (Timestamp(batch.timestamps[row]), key, members)
}
