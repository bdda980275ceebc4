//! Every aggregate in every window and with OVER against an oracle written from the rules: the content is
//! picked from the whole history, and folded anew for every row.
//!
//! Variances are proved in `spread`; here they must be those of the content. Would catch a list that loses or
//! keeps a value when panes merge, rows leave or state is restored.

use proptest::prelude::*;
use rewindow_query::expr::{CompareOp, Expr, Predicate};
use rewindow_query::plan::{self, Aggregate, AggregateCall, Group, Window};
use rewindow_query::{Span, Value};

use crate::exact::ExactSum;
use crate::over::Over;
use crate::plant::Plants;
use crate::spread::{Spread, Squares};
use crate::testing::{Output, Row, column, cuts, rows, run_every_way, survives};
use crate::windows_tests::{ends, make, windows};

/// The calls under test, over column 1: of numbers, or anything in an order by `orders`.
fn calls(lists: bool, order: usize, descending: bool) -> Vec<AggregateCall> {
    let call = |function, order: &[(usize, bool)]| AggregateCall {
        function,
        argument: Some(column(1)),
        distinct: false,
        as_text: false,
        order: order.iter().map(|&(key, descending)| (column(key), descending)).collect(),
        user: None,
    };
    if lists {
        return vec![
            call(Aggregate::Collect, &[]),
            call(Aggregate::CollectTop(2), &[(order, descending), (0, false)]),
            call(Aggregate::TopOne, &[(order, descending)]),
            call(Aggregate::CollectTop(0), &[(order, descending)]),
        ];
    }
    vec![
        call(Aggregate::Var, &[]),
        call(Aggregate::VarP, &[]),
        call(Aggregate::Stdev, &[]),
        call(Aggregate::StdevP, &[]),
        call(Aggregate::PercentileCont(0.3), &[(1, descending)]),
        call(Aggregate::PercentileDisc(0.3), &[(1, descending)]),
        call(Aggregate::PercentileDisc(0.0), &[(1, descending)]),
        call(Aggregate::Sum, &[]),
        call(Aggregate::Min, &[]),
    ]
}

fn number(value: &Value) -> Value {
    match value {
        Value::Text(_) => Value::Float(2.5),
        value => value.clone(),
    }
}

fn float(value: &Value) -> f64 {
    match number(value) {
        Value::Int(int) => int as f64,
        Value::Bit(bit) => f64::from(u8::from(bit)),
        Value::Float(float) => float,
        _ => panic!("a number"),
    }
}

/// The order of C-COLLECT as a number and a tie-break of none: NULL, numbers; the test has no datetimes, and
/// numbers small enough for floats but for one.
fn rank(value: &Value) -> (bool, f64) {
    if value.is_null() { (false, 0.0) } else { (true, float(value)) }
}

fn spread(values: &[&Value], sample: bool) -> Spread {
    let (mut sum, mut squares) = (ExactSum::default(), Squares::default());
    for value in values {
        match number(value) {
            Value::Float(float) => sum.add_float(float),
            Value::Bit(bit) => sum.add_int(i64::from(bit)),
            Value::Int(int) => sum.add_int(int),
            _ => {}
        }
        squares.change(&number(value), true);
    }
    Spread::new(&sum, &squares, values.len() as u64, sample)
}

/// One aggregate of a content in processing order; `Err` if it cannot be represented.
fn fold(call: &AggregateCall, content: &[&Row]) -> Result<Value, ()> {
    let all: Vec<&Value> = content.iter().map(|row| &row.1[1]).collect();
    let present: Vec<&Value> = all.iter().copied().filter(|value| !value.is_null()).collect();
    let n = present.len();
    let descending = call.order.first().is_some_and(|key| key.1);
    let mut sorted: Vec<Value> = present.iter().map(|value| number(value)).collect();
    sorted.sort();
    if descending {
        sorted.reverse();
    }
    Ok(match call.function {
        Aggregate::Collect => Value::Array(all.into_iter().cloned().collect()),
        Aggregate::CollectTop(most) => {
            let value = |(at, value): (usize, &Value)| {
                let members =
                    vec![("rank".into(), Value::Int(at as i64 + 1)), ("value".into(), value.clone())];
                Value::Record(rewindow_query::Record::new(members).into())
            };
            Value::Array(
                in_order(call, content).into_iter().take(most as usize).enumerate().map(value).collect(),
            )
        }
        Aggregate::TopOne => in_order(call, content).first().map_or(Value::Null, |value| (*value).clone()),
        _ if n == 0 => Value::Null,
        Aggregate::Var | Aggregate::Stdev if n == 1 => Value::Null,
        Aggregate::Var => Value::Float(spread(&present, true).variance().ok_or(())?),
        Aggregate::VarP => Value::Float(spread(&present, false).variance().ok_or(())?),
        Aggregate::Stdev => Value::Float(spread(&present, true).deviation().ok_or(())?),
        Aggregate::StdevP => Value::Float(spread(&present, false).deviation().ok_or(())?),
        Aggregate::PercentileCont(p) => {
            // A bit is a number here, so the values are sorted as floats.
            let mut floats: Vec<f64> = sorted.iter().map(float).collect();
            floats.sort_by(|a, b| a.partial_cmp(b).expect("no NaN"));
            if descending {
                floats.reverse();
            }
            let (place, y) = (p * (n - 1) as f64, |at: usize| floats[at]);
            let (k, f) = (place.floor() as usize, place - place.floor());
            let between = |a: f64, b: f64| (a * (1.0 - f) + b * f).max(a.min(b)).min(a.max(b));
            Value::Float(if f == 0.0 || k == n - 1 { y(k) } else { between(y(k), y(k + 1)) })
        }
        Aggregate::PercentileDisc(p) => {
            let k = (1..=n).find(|&k| k as f64 / n as f64 >= p).expect("p is at most 1");
            sorted[k - 1].clone()
        }
        Aggregate::Min => sorted.iter().min().cloned().unwrap_or_default(),
        _ => {
            let mut sum = ExactSum::default();
            present.iter().for_each(|value| match number(value) {
                Value::Float(float) => sum.add_float(float),
                Value::Bit(bit) => sum.add_int(i64::from(bit)),
                Value::Int(int) => sum.add_int(int),
                _ => {}
            });
            if present.iter().any(|value| matches!(number(value), Value::Float(_))) {
                Value::Float(sum.round().ok_or(())?)
            } else {
                Value::Int(i64::try_from(sum.ints()).map_err(|_| ())?)
            }
        }
    })
}

/// The values of a content in the order of a call; the sort is stable (A-TOP-TIES).
fn in_order<'a>(call: &AggregateCall, content: &[&'a Row]) -> Vec<&'a Value> {
    let mut rows = content.to_vec();
    rows.sort_by(|a, b| {
        let key = |(expr, descending): &(Expr, bool)| {
            let Expr::Column(at) = expr else { panic!("keys are columns") };
            let order = rank(&a.1[*at]).partial_cmp(&rank(&b.1[*at])).expect("no NaN");
            if *descending { order.reverse() } else { order }
        };
        call.order.iter().map(key).find(|order| order.is_ne()).unwrap_or(std::cmp::Ordering::Equal)
    });
    rows.into_iter().map(|row| &row.1[1]).collect()
}

/// Whether a row cannot be taken in by a call, given what is in.
fn fails(call: &AggregateCall, before: &[&Row], row: &Row) -> bool {
    let value = &row.1[1];
    match call.function {
        Aggregate::Collect => false,
        Aggregate::CollectTop(_) | Aggregate::TopOne => call.order.iter().any(|(expr, _)| match expr {
            Expr::Column(at) => matches!(row.1[*at], Value::Text(_)),
            _ => false,
        }),
        Aggregate::PercentileDisc(_) | Aggregate::Min => {
            let bit = |value: &Value| matches!(value, Value::Bit(_));
            let mixes = |other: &&Row| !other.1[1].is_null() && bit(&other.1[1]) != bit(value);
            *value == Value::text("x") || (!value.is_null() && before.iter().any(mixes))
        }
        _ => *value == Value::text("x"),
    }
}

fn oracle(window: Window, calls: &[AggregateCall], rows: &[Row]) -> Output {
    let windows = ends(window, rows);
    let inside = |row: &Row, (start, end): (i64, i64)| start < row.0 && row.0 <= end;
    let mut failed: Vec<i64> = Vec::new();
    for (place, row) in rows.iter().enumerate() {
        let bad = |&w: &(i64, i64)| {
            let same = |other: &&Row| inside(other, w) && other.1[0] == row.1[0];
            let before: Vec<&Row> = rows[..place].iter().filter(same).collect();
            inside(row, w) && calls.iter().any(|call| fails(call, &before, row))
        };
        // What no aggregate can take fails at its event, also between the windows (C-FAIL).
        let alone = calls.iter().any(|call| fails(call, &[], row));
        failed.extend((alone || windows.iter().any(bad)).then_some(row.0));
    }
    let mut out: Vec<Row> = Vec::new();
    for &window_at in &windows {
        if failed.iter().any(|&at| at <= window_at.1) {
            continue;
        }
        let mut keys: Vec<Value> =
            rows.iter().filter(|row| inside(row, window_at)).map(|row| row.1[0].clone()).collect();
        keys.sort();
        keys.dedup();
        for key in keys {
            let mine = |row: &&Row| row.1[0] == key;
            let changes = |row: &Row, size: Span| row.0 == window_at.1 || row.0 + size.0 == window_at.1;
            match window {
                Window::Sliding { size } if !rows.iter().filter(mine).any(|row| changes(row, size)) => {
                    continue;
                }
                _ => {}
            }
            let content: Vec<&Row> = rows.iter().filter(|row| inside(row, window_at)).filter(mine).collect();
            let results: Result<Vec<Value>, ()> = calls.iter().map(|call| fold(call, &content)).collect();
            match results {
                Ok(results) => out.push((window_at.1, [vec![key], results].concat())),
                Err(()) => failed.push(window_at.1),
            }
        }
    }
    cut(out, failed)
}

fn cut(mut out: Vec<Row>, failed: Vec<i64>) -> Output {
    let at = failed.into_iter().min();
    out.retain(|row| at.is_none_or(|at| row.0 < at));
    (out, at)
}

/// Rule 6.2, row by row.
fn over_oracle(op: &plan::Over, rows: &[Row]) -> Output {
    let counts = |row: &Row| op.when.is_none() || row.1[2] > Value::Int(0);
    let (mut out, mut failed) = (Vec::new(), Vec::new());
    for (place, row) in rows.iter().enumerate() {
        let seen = |other: &&Row| other.1[0] == row.1[0] && other.0 > row.0 - op.limit.0 && counts(other);
        let before: Vec<&Row> = rows[..place].iter().filter(seen).collect();
        let content: Vec<&Row> = rows[..=place].iter().filter(seen).collect();
        let result = match counts(row) && fails(&op.call, &before, row) {
            true => Err(()),
            false => fold(&op.call, &content),
        };
        match result {
            Ok(result) => out.push((row.0, [row.1.clone(), vec![result]].concat())),
            Err(()) => failed.push(row.0),
        }
    }
    cut(out, failed)
}

fn group(window: Window, calls: Vec<AggregateCall>) -> Group {
    Group { window, keys: vec![column(0)], calls, session_by: Vec::new() }
}

fn over(call: AggregateCall, limit: i64, when: bool) -> plan::Over {
    let when = when.then(|| Predicate::Compare(CompareOp::Greater, column(2), Expr::Literal(Value::Int(0))));
    plan::Over { call, partition: vec![column(0)], limit: Span(limit), when }
}

/// Rows whose numbers rank alike as floats, for the oracle of ORDER BY.
fn ranked_rows() -> impl Strategy<Value = Vec<Row>> {
    rows().prop_map(|rows| rows.into_iter().filter(|row| row.1[1] != Value::Int(i64::MAX)).collect())
}

proptest! {
    #[test]
    fn lists_are_those_of_the_content_in_every_window(
        window in prop_oneof![3 => windows(), 1 => Just(Window::Snapshot)],
        rows in ranked_rows(), cuts in cuts(1), order in 1_usize..3, descending in any::<bool>(),
    ) {
        let calls = calls(true, order, descending);
        let group = group(window, calls.clone());
        let expected = oracle(window, &calls, &rows);
        prop_assert_eq!(run_every_way(&|| make(&group), &[rows], &cuts), expected);
    }

    #[test]
    fn numbers_are_those_of_the_content_in_every_window(
        window in prop_oneof![3 => windows(), 1 => Just(Window::Snapshot)],
        rows in rows(), cuts in cuts(1), descending in any::<bool>(),
    ) {
        let calls = calls(false, 1, descending);
        let group = group(window, calls.clone());
        let expected = oracle(window, &calls, &rows);
        prop_assert_eq!(run_every_way(&|| make(&group), &[rows], &cuts), expected);
    }

    #[test]
    fn rule_6_2_over_is_the_aggregate_of_what_lies_behind(
        rows in ranked_rows(), cuts in cuts(1), call in 0_usize..14, limit in 1_i64..12, when in any::<bool>(),
        descending in any::<bool>(),
    ) {
        let mut calls = [calls(false, 1, descending), calls(true, 2, descending)].concat();
        calls.push(AggregateCall { function: Aggregate::Sum, ..calls[0].clone() });
        let op = over(calls[call % calls.len()].clone(), limit, when);
        let expected = over_oracle(&op, &rows);
        let found = run_every_way(&|| Box::new(Over::new(&op, Plants::none())), &[rows], &cuts);
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn foreign_state_is_refused_or_does_no_harm(
        window in windows(), rows in rows(), lists in any::<bool>(), call in 0_usize..4,
        flip in (any::<usize>(), 1_u8..), until in 98_i64..140,
    ) {
        let calls = calls(lists, 2, true);
        let group = group(window, calls.clone());
        survives(&|| make(&group), std::slice::from_ref(&rows), until, flip);
        let op = over(calls[call].clone(), 9, false);
        survives(&|| Box::new(Over::new(&op, Plants::none())), &[rows], until, flip);
    }
}

fn at(at: i64, value: Value) -> Row {
    (at, vec![Value::Null, value, Value::Int(1)])
}

#[test]
fn rule_6_1_the_percentiles_of_the_page() {
    let rows = [0.78, 0.89, 0.93, 0.98, 0.99].map(|v| at(5, Value::Float(v)));
    let of = |function| AggregateCall {
        function,
        order: vec![(column(1), false)],
        ..calls(false, 1, false)[0].clone()
    };
    let calls = vec![of(Aggregate::PercentileCont(0.95)), of(Aggregate::PercentileDisc(0.95))];
    let group = group(Window::Tumbling { size: Span(10), offset: Span(0) }, calls);
    let (found, _) = run_every_way(&|| make(&group), &[rows.to_vec()], &[vec![7]]);
    let Value::Float(cont) = found[0].1[1] else { panic!("CONT is a float") };
    assert!((cont - 0.988).abs() < 1e-12, "{cont}");
    assert_eq!(found[0].1[2], Value::Float(0.99));
}

#[test]
fn c_over_of_no_row_counts_are_zero_and_lists_empty() {
    let (none, row) = (Value::Int(0), |call| {
        let op = over(call, 5, true);
        let rows = vec![(1, vec![Value::Null, Value::Int(7), Value::Int(0)])];
        run_every_way(&|| Box::new(Over::new(&op, Plants::none())), &[rows], &[vec![1]]).0[0].1[3].clone()
    });
    let count =
        AggregateCall { function: Aggregate::Count, argument: None, ..calls(false, 1, false)[0].clone() };
    assert_eq!(row(count), none);
    let found: Vec<String> = calls(true, 1, true).into_iter().map(|call| row(call).to_string()).collect();
    assert_eq!(found, ["[]", "[]", "null", "[]"]);
    assert!(calls(false, 1, true).into_iter().all(|call| row(call).is_null()));
}

#[test]
fn a_limit_edge_and_ties_in_processing_order() {
    let rows = vec![at(1, Value::Int(1)), at(6, Value::Int(2)), at(6, Value::Int(4)), at(10, Value::Int(8))];
    let sum = AggregateCall { function: Aggregate::Sum, ..calls(false, 1, false)[0].clone() };
    let op = over(sum, 5, false);
    let (found, _) =
        run_every_way(&|| Box::new(Over::new(&op, Plants::none())), &[rows], &[vec![6], vec![7]]);
    let sums: Vec<Value> = found.iter().map(|row| row.1[3].clone()).collect();
    assert_eq!(sums, [1, 2, 6, 14].map(Value::Int));
}

#[test]
fn a_top_keeps_no_more_of_a_tumbling_window_than_can_come_out() {
    let group =
        group(Window::Tumbling { size: Span(1000), offset: Span(0) }, vec![calls(true, 1, true)[2].clone()]);
    let mut tumbling = make(&group);
    let rows: Vec<Row> = (1..=900).map(|stamp| at(stamp, Value::Int(stamp % 7))).collect();
    let slice = crate::batch::Slice {
        batches: vec![crate::testing::batch(&rows)],
        until: rewindow_query::Timestamp(901),
    };
    tumbling.step(&[&slice], &mut Default::default());
    let mut writer = crate::codec::Writer::default();
    tumbling.save(&mut writer);
    assert!(writer.finish().len() < 3000);
}

#[test]
fn an_endless_supply_of_keys_leaves_no_state_behind() {
    let op = over(calls(false, 1, false)[8].clone(), 3, false);
    let mut operator: Box<dyn crate::operator::Operator> = Box::new(Over::new(&op, Plants::none()));
    for step in 0..200 {
        let row = |key| (step, vec![Value::Int(step * 100 + key), Value::Int(1), Value::Null]);
        let rows: Vec<Row> = (0..100).map(row).collect();
        let batches = vec![crate::testing::batch(&rows)];
        let slice = crate::batch::Slice { batches, until: rewindow_query::Timestamp(step + 1) };
        operator.step(&[&slice], &mut Default::default());
    }
    let mut writer = crate::codec::Writer::default();
    operator.save(&mut writer);
    assert!(writer.finish().len() < 20_000);
}
