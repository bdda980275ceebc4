//! Laws of the three windows and of the aggregates over them. Catches a window that keeps or drops an
//! event at one of its two edges, and an aggregate that depends on more than the content.

mod support;

use proptest::prelude::*;
use rewindow_query::expr::{CompareOp, Expr, Predicate};
use rewindow_query::plan::{Aggregate, AggregateCall, Window};
use rewindow_query::{Entry, Plan, Span, Timestamp, Value};
use support::*;

fn windowed(window: Window, calls: &[AggregateCall]) -> Plan {
    let mut build = Build::default();
    let source = build.source(0, false);
    build.group(source, window, calls);
    build.plan()
}

fn tumbling(size: i64) -> Window {
    Window::Tumbling { size: Span::seconds(size), offset: Span::ZERO }
}

fn hopping(size: i64, hop: i64) -> Window {
    Window::Hopping { size: Span::seconds(size), hop: Span::seconds(hop), offset: Span::ZERO }
}

fn sliding(size: i64) -> Window {
    Window::Sliding { size: Span::seconds(size) }
}

#[test]
fn rule_4_2_a_window_excludes_its_start_and_includes_its_end() {
    let entries = vec![event(10, "a", 1), event(11, "a", 1), event(20, "a", 1)];
    check(&windowed(tumbling(10), &[count()]), entries, "10 a 1 \n 20 a 2");
}

#[test]
fn rule_4_6_an_offset_moves_every_end() {
    let plan = windowed(Window::Tumbling { size: Span::seconds(10), offset: Span(-1) }, &[count()]);
    let entries = vec![event(9, "a", 1), event(10, "a", 1), event(19, "a", 1), event(20, "a", 1)];
    check(&plan, entries, "9+9999999 a 1 \n 19+9999999 a 2 \n 29+9999999 a 1");
}

#[test]
fn rule_4_7_an_event_is_in_every_window_that_covers_it() {
    let entries = vec![event(3, "a", 1), event(8, "a", 1)];
    check(&windowed(hopping(10, 4), &[count()]), entries.clone(), "4 a 1 \n 8 a 2 \n 12 a 2 \n 16 a 1");
    check(&windowed(hopping(2, 5), &[count()]), entries, "");
    check(&windowed(hopping(2, 5), &[count()]), vec![event(4, "a", 1), event(5, "b", 1)], "5 a 1 \n 5 b 1");
}

#[test]
fn rule_4_8_a_sliding_window_speaks_when_an_event_enters_or_leaves() {
    let entries = vec![event(34, "a", 1), event(38, "a", 1), event(42, "a", 1)];
    check(&windowed(sliding(5), &[count()]), entries, "34 a 1 \n 38 a 2 \n 39 a 1 \n 42 a 2 \n 43 a 1");
}

#[test]
fn rule_4_8_changes_of_one_instant_make_one_row_and_other_groups_stay_silent() {
    let entries = vec![event(10, "a", 1), event(12, "b", 1), event(15, "a", 2), event(15, "a", 3)];
    check(
        &windowed(sliding(5), &[count(), of_v(Aggregate::Max)]),
        entries,
        "10 a 1 1 \n 12 b 1 1 \n 15 a 2 3",
    );
}

#[test]
fn rule_2_5_null_is_skipped_except_by_count_star() {
    let calls = [
        count(),
        of_v(Aggregate::Count),
        of_v(Aggregate::Sum),
        of_v(Aggregate::Avg),
        of_v(Aggregate::Min),
        of_v(Aggregate::Max),
    ];
    let plan = windowed(tumbling(10), &calls);
    let entries =
        vec![event(1, "a", 4), event(2, "a", Value::Null), event(3, "a", 1), event(4, "b", Value::Null)];
    check(&plan, entries, "10 a 3 2 5 2.5 1 4 \n 10 b 1 0 null null null null");
}

#[test]
fn rule_2_6_null_is_a_key_and_c_key_tells_types_apart() {
    let plan = windowed(tumbling(10), &[count()]);
    let keys =
        [Value::Float(1.0), Value::Int(1), Value::Null, Value::Float(0.0), Value::Float(-0.0), Value::Null];
    let entries = keys.into_iter().map(|key| event(1, key, 1)).collect();
    check(&plan, entries, "10 null 2 \n 10 0.0 2 \n 10 1 1 \n 10 1.0 1");
}

#[test]
fn c_sum_is_exact_and_overflows_only_where_the_row_is_made() {
    let plan = windowed(tumbling(10), &[of_v(Aggregate::Sum)]);
    let up_and_down = vec![event(1, "a", i64::MAX), event(2, "a", 1), event(3, "a", -2)];
    check(&plan, up_and_down, &format!("10 a {}", i64::MAX - 1));
    check(&plan, vec![event(1, "a", 1), event(11, "a", i64::MAX), event(12, "a", 1)], "10 a 1 \n 20 failed");
    check(&plan, vec![event(1, "a", 1e308), event(2, "a", 1e308)], "10 failed");
    check(&plan, vec![event(1, "a", 1e308), event(2, "a", 1e308), event(3, "a", -1e308)], "10 a 1e+308");
    check(&plan, vec![event(1, "a", "1.5"), event(2, "a", true_bit()), event(3, "a", 2)], "10 a 4.5");
    check(&plan, vec![event(1, "a", true_bit()), event(2, "a", true_bit())], "10 a 2");
    check(&plan, vec![event(1, "a", 1), event(12, "a", "x")], "10 a 1 \n 12 failed");
}

#[test]
fn c_minmax_prefers_the_bigint_and_refuses_to_mix() {
    let plan = windowed(tumbling(10), &[of_v(Aggregate::Min), of_v(Aggregate::Max)]);
    for (a, b) in [(Value::Int(1), Value::Float(1.0)), (Value::Float(1.0), Value::Int(1))] {
        check(&plan, vec![event(1, "a", a), event(2, "a", b)], "10 a 1 1");
    }
    check(&plan, vec![event(1, "a", "10"), event(2, "a", "9")], "10 a 9.0 10.0");
    check(&plan, vec![event(1, "a", 1), event(2, "b", true_bit()), event(3, "a", true_bit())], "3 failed");
    check(&plan, vec![event(1, "a", 1), event(11, "a", true_bit())], "10 a 1 1 \n 20 a true true");
    let as_text = AggregateCall { as_text: true, ..of_v(Aggregate::Max) };
    check(&windowed(tumbling(10), &[as_text]), vec![event(1, "a", "10"), event(2, "a", "9")], "10 a 9");
}

#[test]
fn c_distinct_counts_equal_numbers_once() {
    let distinct = AggregateCall { distinct: true, ..of_v(Aggregate::Count) };
    let values =
        [Value::Int(1), Value::Float(1.0), Value::text("1"), true_bit(), Value::Null, Value::Float(1.5)];
    let entries = values.into_iter().map(|value| event(1, "a", value)).collect();
    check(&windowed(tumbling(10), &[distinct]), entries, "10 a 4");
}

fn true_bit() -> Value {
    Value::Bit(true)
}

#[test]
fn rule_4_12_a_window_over_windows_takes_the_end_as_the_time() {
    let mut build = Build::default();
    let source = build.source(0, false);
    let inner = build.group(source, tumbling(5), &[count()]);
    build.group(inner, tumbling(10), &[of_v(Aggregate::Sum)]);
    let entries = (1..=20).map(|second| event(second, "a", 1)).collect();
    check(&build.plan(), entries, "10 a 10 \n 20 a 10");
}

#[test]
fn c_fail_owes_the_rows_before_the_earliest_failure() {
    let mut build = Build::default();
    let source = build.source(0, false);
    let group = build.group(source, tumbling(10), &[of_v(Aggregate::Sum)]);
    let above = Predicate::Compare(CompareOp::Greater, cast(1), Expr::Literal(Value::Int(0)));
    let having = build.keep(group, above);
    build.select(having, &[("k", Expr::Column(0)), ("n", cast(1))]);
    let plan = build.plan();
    check(&plan, vec![event(1, "a", 1), event(11, "a", 1e300), event(21, "a", 1)], "10 a 1 \n 20 failed");
}

#[test]
fn rows_carry_key_and_ordinal() {
    let mut build = Build::default();
    let source = build.source(0, false);
    let group = build.group(source, tumbling(10), &[count()]);
    let selected = build.select(group, &[("n", Expr::Column(1))]);
    let plain = build.select(source, &[("v", Expr::Column(V))]);
    let plan = build.plan_of(&[selected, plain]);
    let answer = ask(&plan, vec![event(1, "a", 1), event(1, "b", 2)]);
    let names: Vec<_> = answer.rows.iter().map(|r| (r.output, r.key.to_vec(), r.ordinal)).collect();
    let (a, b) = (vec![Value::text("a")], vec![Value::text("b")]);
    assert_eq!(names, [(0, a, 0), (0, b, 0), (1, vec![], 0), (1, vec![], 1)]);
}

fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let event =
        (0i64..40, prop::sample::select(vec!["a", "b"]), -5i64..5).prop_map(|(t, k, v)| event(t, k, v));
    prop::collection::vec(event, 0..30).prop_map(|mut entries| {
        entries.sort_by_key(|entry| entry.arrival);
        entries
    })
}

/// The rows as (end, key, count).
fn counts(plan: &Plan, entries: &[Entry]) -> Vec<(Timestamp, Value, i64)> {
    let answer = ask(plan, entries.to_vec());
    let row = |row: &rewindow_query::Row| {
        let count = row.record.get("a0").cloned();
        let Some(Value::Int(count)) = count else { panic!("COUNT is a bigint") };
        (row.timestamp, row.key[0].clone(), count)
    };
    answer.rows.iter().map(row).collect()
}

fn inside(entries: &[Entry], key: &Value, end: Timestamp, size: i64) -> i64 {
    let is_in = |entry: &&Entry| {
        let rewindow_query::Payload::Event(record) = &entry.payload else { return false };
        record.get("k") == Some(key) && end.minus(Span::seconds(size)) < entry.arrival && entry.arrival <= end
    };
    i64::try_from(entries.iter().filter(is_in).count()).expect("few entries")
}

proptest! {
    #[test]
    fn rule_4_6_every_event_is_in_exactly_one_window(entries in entries(), size in 1i64..12) {
        let rows = counts(&windowed(tumbling(size), &[count()]), &entries);
        let total: i64 = rows.iter().map(|(_, _, count)| count).sum();
        prop_assert_eq!(total, i64::try_from(entries.len()).unwrap());
        for (end, key, count) in rows {
            prop_assert_eq!(end.0 % (size * rewindow_query::time::SECOND), 0);
            prop_assert_eq!(count, inside(&entries, &key, end, size));
        }
    }

    #[test]
    fn rule_4_7_a_hop_of_the_size_is_a_tumbling_window(entries in entries(), size in 1i64..12) {
        let hops = counts(&windowed(hopping(size, size), &[count()]), &entries);
        prop_assert_eq!(hops, counts(&windowed(tumbling(size), &[count()]), &entries));
    }

    #[test]
    fn rule_4_7_every_window_with_content_speaks(entries in entries(), size in 1i64..12, hop in 1i64..12) {
        let rows = counts(&windowed(hopping(size, hop), &[count()]), &entries);
        let mut expected = Vec::new();
        for end in (0..60).filter(|end| end % hop == 0) {
            for key in ["a", "b"].map(Value::text) {
                let count = inside(&entries, &key, at(end), size);
                if count > 0 {
                    expected.push((at(end), key, count));
                }
            }
        }
        prop_assert_eq!(rows, expected);
    }

    #[test]
    fn rule_4_8_content_is_what_lies_in_the_window_at_each_change(entries in entries(), size in 1i64..12) {
        let rows = counts(&windowed(sliding(size), &[count()]), &entries);
        let mut expected = Vec::new();
        for instant in 0..60 {
            for key in ["a", "b"].map(Value::text) {
                let changed = inside(&entries, &key, at(instant), 1) + inside(&entries, &key, at(instant - size), 1) > 0;
                let count = inside(&entries, &key, at(instant), size);
                if changed && count > 0 {
                    expected.push((at(instant), key, count));
                }
            }
        }
        prop_assert_eq!(rows, expected);
    }
}
