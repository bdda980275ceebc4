//! The three windows against an oracle written from the rules: for each window end, the content is picked
//! from the whole history and folded.

use proptest::prelude::*;
use rewindow_query::Span;
use rewindow_query::plan::{Aggregate, AggregateCall, Group, Window};
use rewindow_query::{Value, value::compare_int_float};

use crate::hopping::Hopping;
use crate::operator::Operator;
use crate::plant::Plants;
use crate::sliding::Sliding;
use crate::testing::{Output, Row, batch, column, cuts, rows, run, run_every_way, survives};
use crate::tumbling::Tumbling;

fn call(function: Aggregate, distinct: bool) -> AggregateCall {
    AggregateCall {
        function,
        argument: Some(column(1)),
        distinct,
        as_text: false,
        order: Vec::new(),
        user: None,
    }
}

fn group(window: Window, keys: usize, extremes: bool) -> Group {
    let mut calls = vec![
        AggregateCall {
            function: Aggregate::Count,
            argument: None,
            distinct: false,
            as_text: false,
            order: Vec::new(),
            user: None,
        },
        call(Aggregate::Count, false),
        call(Aggregate::Count, true),
        call(Aggregate::Sum, false),
        call(Aggregate::Avg, false),
    ];
    if extremes {
        calls.extend([call(Aggregate::Min, false), call(Aggregate::Max, false)]);
    }
    Group { window, keys: (0..keys).map(|key| column(2 * key)).collect(), calls, session_by: Vec::new() }
}

pub(crate) fn make(group: &Group) -> Box<dyn Operator> {
    match group.window {
        Window::Tumbling { .. } | Window::Snapshot => Box::new(Tumbling::new(group, Plants::none())),
        Window::Hopping { .. } => Box::new(Hopping::new(group, Plants::none())),
        Window::Sliding { .. } => Box::new(Sliding::new(group, Plants::none())),
        other => panic!("{} is tested elsewhere", other.name()),
    }
}

/// A number in tenths: enough for the values of these tests, exactly.
fn tenths(value: &Value) -> i128 {
    match value {
        Value::Int(v) => i128::from(*v) * 10,
        Value::Bit(v) => i128::from(*v) * 10,
        Value::Float(v) => (v * 10.0).round() as i128,
        Value::Text(_) => 25,
        _ => 0,
    }
}

fn kind(value: &Value) -> u8 {
    u8::from(matches!(value, Value::Bit(_)))
}

/// Folds a content of values by the rules of section 6; `Err` if the sum leaves its range. Only floats
/// whose tenths are exact in binary are compared as sums (see the proptest below).
fn fold(content: &[&Row], extremes: bool) -> Result<Vec<Value>, ()> {
    let values: Vec<&Value> = content.iter().map(|row| &row.1[1]).filter(|v| !v.is_null()).collect();
    let mut distinct: Vec<Value> = values.iter().map(|v| whole(v)).collect();
    distinct.sort();
    distinct.dedup();
    let count = |n: usize| Value::Int(n as i64);
    let mut results = vec![count(content.len()), count(values.len()), count(distinct.len())];
    if values.is_empty() {
        results.resize(if extremes { 7 } else { 5 }, Value::Null);
        return Ok(results);
    }
    let mut exact = crate::exact::ExactSum::default();
    let floats = values.iter().any(|v| matches!(v, Value::Float(_) | Value::Text(_)));
    for value in &values {
        match value {
            Value::Int(v) => exact.add_int(*v),
            Value::Bit(v) => exact.add_int(i64::from(*v)),
            Value::Float(v) => exact.add_float(*v),
            _ => exact.add_float(2.5),
        }
    }
    results.push(if floats {
        Value::Float(exact.round().ok_or(())?)
    } else {
        let sum: i128 = values.iter().map(|v| tenths(v) / 10).sum();
        Value::Int(i64::try_from(sum).map_err(|_| ())?)
    });
    results.push(Value::Float(exact.mean(values.len() as u64).ok_or(())?));
    if extremes {
        let number = |v: &Value| {
            if let Value::Text(_) = v { Value::Float(2.5) } else { v.clone() }
        };
        let numbers: Vec<Value> = values.iter().map(|v| number(v)).collect();
        for side in [std::cmp::Ordering::Less, std::cmp::Ordering::Greater] {
            let best =
                numbers.iter().cloned().reduce(|best, v| if beats(&v, &best, side) { v } else { best });
            results.push(best.unwrap_or_default());
        }
    }
    Ok(results)
}

fn beats(v: &Value, best: &Value, side: std::cmp::Ordering) -> bool {
    match (v, best) {
        (Value::Int(a), Value::Float(b)) => {
            let order = compare_int_float(*a, *b);
            order == side || order.is_eq()
        }
        (Value::Float(a), Value::Int(b)) => compare_int_float(*b, *a).reverse() == side,
        (a, b) => a.cmp(b) == side,
    }
}

fn whole(value: &Value) -> Value {
    match value {
        Value::Float(v) if v.fract() == 0.0 => Value::Int(*v as i64),
        value => value.clone(),
    }
}

/// Every end at which there may be a window, and for each the content.
pub(crate) fn ends(window: Window, rows: &[Row]) -> Vec<(i64, i64)> {
    let (size, ends): (i64, Vec<i64>) = match window {
        Window::Tumbling { size, offset } => {
            (size.0, (0..300).filter(|end| (end - offset.0).rem_euclid(size.0) == 0).collect())
        }
        Window::Hopping { size, hop, offset } => {
            (size.0, (0..300).filter(|end| (end - offset.0).rem_euclid(hop.0) == 0).collect())
        }
        Window::Sliding { size } => {
            let mut ends: Vec<i64> = rows.iter().flat_map(|row| [row.0, row.0 + size.0]).collect();
            ends.sort_unstable();
            ends.dedup();
            (size.0, ends)
        }
        Window::Snapshot => {
            let mut ends: Vec<i64> = rows.iter().map(|row| row.0).collect();
            ends.dedup();
            (1, ends)
        }
        other => panic!("{} is tested elsewhere", other.name()),
    };
    ends.into_iter().map(|end| (end - size, end)).collect()
}

fn oracle(group: &Group, rows: &[Row]) -> Output {
    let extremes = group.calls.len() > 5;
    let windows = ends(group.window, rows);
    let inside = |row: &Row, (start, end): (i64, i64)| start < row.0 && row.0 <= end;
    let key = |row: &Row| -> Vec<Value> { (0..group.keys.len()).map(|k| row.1[2 * k].clone()).collect() };
    let mut failed: Vec<i64> = Vec::new();
    // C-SUM, C-MINMAX: text that is no number fails at its event, and so does one that mixes kinds.
    for (place, row) in rows.iter().enumerate() {
        let mut met = windows.iter().filter(|&&w| inside(row, w) && w.1 >= row.0);
        let mixes = met.any(|&w| {
            let before = rows[..place].iter().filter(|r| inside(r, w) && key(r) == key(row));
            before.map(|r| &r.1[1]).any(|v| !v.is_null() && !row.1[1].is_null() && kind(v) != kind(&row.1[1]))
        });
        if row.1[1] == Value::text("x") || (extremes && mixes) {
            failed.push(row.0);
        }
    }
    let mut out: Vec<Row> = Vec::new();
    for &window in &windows {
        if failed.iter().any(|&at| at <= window.1) {
            continue;
        }
        let mut keys: Vec<Vec<Value>> = rows.iter().filter(|row| inside(row, window)).map(key).collect();
        keys.sort();
        keys.dedup();
        for group_key in keys {
            let content: Vec<&Row> =
                rows.iter().filter(|row| inside(row, window) && key(row) == group_key).collect();
            let changed = match group.window {
                Window::Sliding { size } => rows
                    .iter()
                    .any(|row| key(row) == group_key && (row.0 == window.1 || row.0 + size.0 == window.1)),
                _ => true,
            };
            if !changed {
                continue;
            }
            match fold(&content, extremes) {
                Ok(results) => out.push((window.1, [group_key, results].concat())),
                Err(()) => failed.push(window.1),
            }
        }
    }
    let at = failed.into_iter().min();
    out.retain(|row| at.is_none_or(|at| row.0 < at));
    (out, at)
}

pub(crate) fn windows() -> impl Strategy<Value = Window> {
    prop_oneof![
        (1_i64..12, -5_i64..5)
            .prop_map(|(size, offset)| Window::Tumbling { size: Span(size), offset: Span(offset) }),
        (1_i64..12, 1_i64..9, -5_i64..5).prop_map(|(size, hop, offset)| Window::Hopping {
            size: Span(size),
            hop: Span(hop),
            offset: Span(offset)
        }),
        (1_i64..12).prop_map(|size| Window::Sliding { size: Span(size) }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]
    #[test]
    fn rules_4_6_to_4_8_windows_agree_with_the_rule_however_they_are_fed(
        rows in rows(), window in windows(), keys in 0_usize..3, extremes: bool, cuts in cuts(1),
    ) {
        let group = group(window, keys, extremes);
        let found = run_every_way(&|| make(&group), std::slice::from_ref(&rows), &cuts);
        prop_assert_eq!(found, oracle(&group, &rows));
    }

    #[test]
    fn foreign_state_never_panics(
        rows in rows(), window in windows(), keys in 0_usize..3, until in 100_i64..140, flip: (usize, u8),
    ) {
        let group = group(window, keys, true);
        survives(&|| make(&group), &[rows], until, flip);
    }
}

fn at(ticks: i64, value: i64) -> Row {
    (ticks, vec![Value::Null, Value::Int(value), Value::Null])
}

fn counts(window: Window, rows: &[Row]) -> Vec<(i64, i64)> {
    let group = group(window, 0, true);
    let (rows, failed) = run_every_way(&|| make(&group), &[rows.to_vec()], &[vec![39], vec![43]]);
    assert_eq!(failed, None);
    let count = |row: Row| match row.1[0] {
        Value::Int(count) => (row.0, count),
        _ => panic!("COUNT(*) is a bigint"),
    };
    rows.into_iter().map(count).collect()
}

#[test]
fn rule_4_8_events_at_34_38_42_with_size_5() {
    let rows = [at(34, 1), at(38, 2), at(42, 3)];
    let expected = [(34, 1), (38, 2), (39, 1), (42, 2), (43, 1)];
    assert_eq!(counts(Window::Sliding { size: Span(5) }, &rows), expected);
}

#[test]
fn rule_4_2_an_event_at_the_end_is_inside_and_at_the_start_is_not() {
    let rows = [at(10, 1), at(11, 1), at(20, 1), at(21, 1)];
    let tumbling = Window::Tumbling { size: Span(10), offset: Span(0) };
    assert_eq!(counts(tumbling, &rows), [(10, 1), (20, 2), (30, 1)]);
    let shifted = Window::Tumbling { size: Span(10), offset: Span(-1) };
    assert_eq!(counts(shifted, &rows), [(19, 2), (29, 2)]);
    let hopping = Window::Hopping { size: Span(10), hop: Span(5), offset: Span(0) };
    assert_eq!(counts(hopping, &rows), [(10, 1), (15, 2), (20, 2), (25, 2), (30, 1)]);
}

#[test]
fn a_hop_larger_than_the_size_leaves_events_out() {
    let rows = [at(3, 1), at(8, 1), at(10, 1)];
    assert_eq!(counts(Window::Hopping { size: Span(3), hop: Span(10), offset: Span(0) }, &rows), [(10, 2)]);
}

#[test]
fn a_hopping_window_of_a_tick_over_a_week_fails_and_a_gap_of_years_is_skipped() {
    let window = Window::Hopping { size: Span::LONGEST, hop: Span::TICK, offset: Span::ZERO };
    let group_of = group(window, 0, true);
    let end = [vec![rewindow_query::Timestamp::MAX]];
    let ((rows, failed), _) = run(&|| make(&group_of), &[vec![at(5, 1)]], &end, 9, false);
    assert_eq!((rows.len(), failed), (0, Some(5)));
    let window = Window::Hopping { size: Span(2), hop: Span::TICK, offset: Span::ZERO };
    let far = 3_000_000_000_000_000;
    assert_eq!(counts(window, &[at(1, 1), at(far, 1)]), [(1, 1), (2, 1), (far, 1), (far + 1, 1)]);
}

#[test]
fn c_sum_overflow_fails_at_the_window_end_and_not_before() {
    let rows = vec![at(1, i64::MAX), at(2, 1), at(3, -1), at(11, i64::MAX), at(12, 1)];
    let group_of = group(Window::Tumbling { size: Span(10), offset: Span(0) }, 0, true);
    let (found, failed) = run_every_way(&|| make(&group_of), &[rows], &[vec![5]]);
    assert_eq!((found.len(), failed), (1, Some(20)));
    assert_eq!(found[0].1[3], Value::Int(i64::MAX));
}

#[test]
fn rows_of_one_end_come_in_the_order_of_keys() {
    let keys = [Value::text("b"), Value::Int(2), Value::Null, Value::Float(1.5), Value::Int(-1)];
    let rows: Vec<Row> = keys.iter().map(|key| (1, vec![key.clone(), Value::Int(1), Value::Null])).collect();
    let group_of = group(Window::Tumbling { size: Span(10), offset: Span(0) }, 1, false);
    let (found, _) = run_every_way(&|| make(&group_of), &[rows], &[vec![5]]);
    let mut sorted = keys.to_vec();
    sorted.sort();
    assert_eq!(found.into_iter().map(|row| row.1[0].clone()).collect::<Vec<_>>(), sorted);
}

#[test]
fn an_endless_supply_of_keys_leaves_no_state_behind() {
    let group_of = group(Window::Sliding { size: Span(3) }, 1, true);
    let mut sliding = Sliding::new(&group_of, Plants::none());
    for step in 0..200 {
        let rows: Vec<Row> = (0..100)
            .map(|key| (step, vec![Value::Int(step * 100 + key), Value::Int(1), Value::Null]))
            .collect();
        let slice =
            crate::batch::Slice { batches: vec![batch(&rows)], until: rewindow_query::Timestamp(step + 1) };
        sliding.step(&[&slice], &mut Default::default());
    }
    let mut writer = crate::codec::Writer::default();
    sliding.save(&mut writer);
    assert!(writer.finish().len() < 20_000);
}
