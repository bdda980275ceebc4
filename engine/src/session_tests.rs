//! Session windows against an oracle written from rule 4.9: for each session key, time is walked tick by tick.

use proptest::prelude::*;
use rewindow_query::plan::{Aggregate, AggregateCall, Group, Window};
use rewindow_query::{Span, Value};

use crate::operator::Operator;
use crate::plant::Plants;
use crate::session::Session;
use crate::testing::{Output, Row, column, cuts, run_every_way, survives};

fn group(timeout: i64, max: i64, keys: &[usize], by: &[usize]) -> Group {
    let call = |function, argument: Option<usize>| AggregateCall {
        function,
        argument: argument.map(column),
        distinct: false,
        as_text: false,
        order: Vec::new(),
        user: None,
    };
    Group {
        window: Window::Session { timeout: Span(timeout), max: Span(max) },
        keys: keys.iter().map(|&key| column(key)).collect(),
        calls: vec![call(Aggregate::Count, None), call(Aggregate::Max, Some(2))],
        session_by: by.iter().map(|&key| column(key)).collect(),
    }
}

fn make(op: &Group) -> Box<dyn Operator> {
    Box::new(Session::new(op, Plants::none()))
}

/// Rule 4.9 by the tick: what ends at an instant ends after the events of that instant.
fn sessions(rows: &[&Row], timeout: i64, max: i64) -> Vec<(i64, Vec<Row>)> {
    let mut found = Vec::new();
    let mut open: Option<(i64, i64)> = None;
    let mut content: Vec<Row> = Vec::new();
    for now in 0..200 {
        for row in rows.iter().filter(|row| row.0 == now) {
            match &mut open {
                Some((_, last)) => *last = now,
                None => open = Some((now, now)),
            }
            content.push((*row).clone());
        }
        let Some((start, last)) = open else { continue };
        let timed_out = now == last + timeout;
        let forced = now % max == 0 && now - start >= max;
        if timed_out || forced {
            if !content.is_empty() {
                found.push((now, std::mem::take(&mut content)));
            }
            open = if timed_out { None } else { Some((now, last)) };
        }
    }
    found
}

/// End, grouping key, session key, results.
type Found = (i64, Vec<Value>, Vec<Value>, Vec<Value>);

fn expected(rows: &[Row], timeout: i64, max: i64, keys: &[usize], by: &[usize]) -> Output {
    let pick = |row: &Row, of: &[usize]| of.iter().map(|&at| row.1[at].clone()).collect::<Vec<_>>();
    let mut lines: Vec<Vec<Value>> = rows.iter().map(|row| pick(row, by)).collect();
    lines.sort();
    lines.dedup();
    let mut found: Vec<Found> = Vec::new();
    for line in lines {
        let own: Vec<&Row> = rows.iter().filter(|row| pick(row, by) == line).collect();
        for (end, content) in sessions(&own, timeout, max) {
            let mut groups: Vec<Vec<Value>> = content.iter().map(|row| pick(row, keys)).collect();
            groups.sort();
            groups.dedup();
            for group in groups {
                let inside: Vec<&Row> = content.iter().filter(|row| pick(row, keys) == group).collect();
                let greatest = inside.iter().map(|row| row.1[2].clone()).max().unwrap_or_default();
                let results = vec![Value::Int(inside.len() as i64), greatest];
                found.push((end, group, line.clone(), results));
            }
        }
    }
    found.sort();
    let row = |(end, group, _, results): Found| (end, group.into_iter().chain(results).collect());
    (found.into_iter().map(row).collect(), None)
}

/// Rows with two small keys and a number, dense enough for sessions to meet check points.
fn rows() -> impl Strategy<Value = Vec<Row>> {
    let row = (0_i64..40, 0_i64..3, 0_i64..2, -2_i64..3);
    prop::collection::vec(row, 0..24).prop_map(|mut rows| {
        rows.sort_by_key(|row| row.0);
        let values = |a, b, n| vec![Value::Int(a), Value::Int(b), Value::Int(n)];
        rows.into_iter().map(|(at, a, b, n)| (100 + at, values(a, b, n))).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn rule_4_9_agrees_with_the_rule_however_it_is_fed(
        rows in rows(), timeout in 1_i64..12, max in 1_i64..12,
        keys in prop::sample::select(vec![vec![], vec![0], vec![1], vec![1, 0]]),
        by in prop::sample::select(vec![vec![], vec![0], vec![0, 1]]),
        cuts in cuts(1),
    ) {
        let op = group(timeout, max, &keys, &by);
        let found = run_every_way(&|| make(&op), std::slice::from_ref(&rows), &cuts);
        prop_assert_eq!(found, expected(&rows, timeout, max, &keys, &by));
    }

    #[test]
    fn resumed_at_every_cut(rows in rows(), timeout in 1_i64..12, max in 1_i64..12) {
        let op = group(timeout, max, &[1], &[0]);
        let cuts: Vec<Vec<i64>> = (99..165).map(|at| vec![at]).collect();
        let found = run_every_way(&|| make(&op), std::slice::from_ref(&rows), &cuts);
        prop_assert_eq!(found, expected(&rows, timeout, max, &[1], &[0]));
    }

    #[test]
    fn foreign_state_never_panics(rows in rows(), until in 100_i64..150, flip: (usize, u8)) {
        let op = group(5, 7, &[1], &[0]);
        survives(&|| make(&op), &[rows], until, flip);
    }
}

fn ends(timeout: i64, max: i64, events: &[i64]) -> Vec<(i64, Value)> {
    let op = group(timeout, max, &[], &[]);
    let row = |&at: &i64| (at, vec![Value::Null, Value::Null, Value::Int(at)]);
    let rows: Vec<Row> = events.iter().map(row).collect();
    let (rows, failed) = run_every_way(&|| make(&op), &[rows], &[vec![11], vec![21], vec![24]]);
    assert_eq!(failed, None);
    rows.into_iter().map(|(at, values)| (at, values[0].clone())).collect()
}

#[test]
fn rule_4_9_borders() {
    let int = Value::Int;
    assert_eq!(ends(5, 100, &[1, 6, 12]), [(11, int(2)), (17, int(1))], "a gap of the timeout extends");
    assert_eq!(ends(5, 10, &[1, 5, 9, 13, 17, 20]), [(20, int(6))], "the check point at 10 comes too early");
    assert_eq!(ends(5, 10, &[1, 6, 11, 16, 21]), [(20, int(4)), (26, int(1))], "an event behind 20 goes on");
    let long = [1, 6, 11, 16, 21, 26, 31, 36];
    let forced = [(20, int(4)), (30, int(2)), (40, int(2))];
    assert_eq!(ends(5, 10, &long), forced, "a session goes on from its check point");
    assert_eq!(
        ends(3, 10, &[8, 11, 14, 17, 20, 22, 25, 28, 31]).first(),
        Some(&(20, int(5))),
        "20 is inside"
    );
}

#[test]
fn lines_that_are_over_leave_no_state() {
    let op = group(5, 7, &[1], &[0]);
    let mut session = Session::new(&op, Plants::none());
    let mut context = crate::batch::Context::default();
    for at in 0..5000_i64 {
        let row = (at * 3, vec![Value::Int(at), Value::Int(at), Value::Int(at)]);
        let until = rewindow_query::Timestamp(at * 3 + 1);
        let slice = crate::batch::Slice { batches: vec![crate::testing::batch(&[row])], until };
        session.step(&[&slice], &mut context);
        assert!(session.explain().len() < 5, "{:?}", session.explain());
    }
    let mut writer = crate::codec::Writer::default();
    session.save(&mut writer);
    assert!(writer.finish().len() < 1000);
}
