//! The elapsed mode of DATEDIFF in joins (A-JOIN-DATEDIFF, choice C-ELAPSED): model and engine, both modes.
//!
//! What no other suite would catch: the elapsed mode, because cases are analysed without it.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::sync::Arc;

use rewindow::choices::{Choices, Seeded};
use rewindow_engine::Instance;
use rewindow_query::{
    Declared, Entry, History, Ordering, Payload, Plan, Policy, Record, Row, Span, Timestamp, Value,
    analyse_with,
};

const ORDERING: Ordering = Ordering { late: Span(0), out_of_order: Span(0), policy: Policy::Adjust };

fn plan(query: &str, elapsed: bool) -> Arc<Plan> {
    Arc::new(analyse_with(query, &Declared { elapsed, ..Declared::default() }).unwrap())
}

fn entry(input: usize, offset: u64, tick: i64) -> Entry {
    let payload = Payload::Event(Arc::new(Record::new(vec![("v".into(), Value::Int(tick))])));
    Entry { input, partition: 0, offset, arrival: Timestamp(tick), payload }
}

fn model(plan: &Plan, history: &History) -> Vec<Row> {
    rewindow_model::answer(plan, &ORDERING, &[1, 1], history).rows
}

/// In order of arrival, made again from a checkpoint before every entry where `saved`.
fn engine(plan: &Arc<Plan>, history: &History, saved: bool) -> Vec<Row> {
    let shard = plan.shards(&[1, 1]).remove(0);
    let mut instance = Instance::new(plan.clone(), shard.clone(), ORDERING, Timestamp::MIN);
    let mut rows = Vec::new();
    for entry in &history.entries {
        if saved {
            instance =
                Instance::restore(plan.clone(), shard.clone(), ORDERING, &instance.checkpoint()).unwrap();
        }
        rows.extend(instance.feed(entry.input, 0, std::slice::from_ref(entry)).unwrap().rows);
    }
    rows.extend(instance.finish().unwrap().rows);
    rows
}

const SECOND: i64 = 10_000_000;

#[test]
fn fifteen_seconds_are_not_a_tick_more() {
    let query =
        "SELECT a.v AS a, b.v AS b INTO o FROM A a JOIN B b ON DATEDIFF(second, a, b) BETWEEN 0 AND 15";
    let base = 1_000 * SECOND + 7_000_000;
    let times = [base - 1, base, base + 15 * SECOND, base + 15 * SECOND + 1, base + 16 * SECOND - 7_000_001];
    let mut entries = vec![entry(0, 0, base)];
    entries.extend(times.iter().enumerate().map(|(offset, tick)| entry(1, offset as u64, *tick)));
    entries.sort_by_key(|entry| entry.arrival);
    let history = History::of(entries);
    let partners = |elapsed| {
        let plan = plan(query, elapsed);
        let rows = model(&plan, &history);
        assert_eq!(engine(&plan, &history, true), rows);
        let partner = |row: &Row| match row.record.get("b") {
            Some(Value::Int(tick)) => tick - base,
            other => panic!("{other:?}"),
        };
        rows.iter().map(partner).collect::<Vec<_>>()
    };
    assert_eq!(partners(true), [0, 15 * SECOND]);
    // By boundaries the same second counts, and all of the fifteenth after it.
    assert_eq!(partners(false), [-1, 0, 15 * SECOND, 15 * SECOND + 1, 16 * SECOND - 7_000_001]);
}

#[test]
fn model_and_engine_agree_in_both_modes() {
    let queries = [
        "SELECT a.v AS a, b.v AS b INTO o FROM A a JOIN B b ON DATEDIFF(second, a, b) BETWEEN -1 AND 2",
        "SELECT a.v AS a, b.v AS b INTO o FROM A a LEFT JOIN B b ON DATEDIFF(second, a, b) BETWEEN 0 AND 2 AND b.v % 2 = 0",
        "SELECT a.v AS a, b.v AS b INTO o FROM A a LEFT JOIN B b ON DATEDIFF(second, b, a) BETWEEN 1 AND 3",
        "SELECT a.v AS a, b.v AS b INTO o FROM A a LEFT JOIN B b ON DATEDIFF(ms, a, b) > -1500 AND DATEDIFF(ms, a, b) < 700",
    ];
    let (mut rows, mut differ) = (0, 0);
    for (number, query) in queries.iter().enumerate() {
        let plans = [false, true].map(|elapsed| plan(query, elapsed));
        for seed in 0..150 {
            let choices: &mut dyn Choices = &mut Seeded::new(number as u64, seed);
            let mut at = 100 * SECOND;
            let mut next = [0_u64; 2];
            let entries = (0..choices.range(0, 14)).map(|_| {
                at += [0, 1, SECOND / 2, SECOND - 1, SECOND, 2 * SECOND][choices.index(6)];
                let input = choices.index(2);
                next[input] += 1;
                entry(input, next[input] - 1, at)
            });
            let history = History::of(entries.collect());
            let answers = plans.each_ref().map(|plan| {
                let expected = model(plan, &history);
                assert_eq!(engine(plan, &history, false), expected, "{query}");
                assert_eq!(engine(plan, &history, true), expected, "{query}, saved");
                expected
            });
            rows += answers[1].len();
            differ += usize::from(answers[0] != answers[1]);
        }
    }
    assert!(rows > 1_000 && differ > 100, "{rows} rows, {differ} differ");
}
