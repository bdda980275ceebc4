//! LAG, LAST and ISFIRST against an oracle written from the rules: each row looks through the whole
//! history in front of it.

use proptest::prelude::*;
use rewindow_query::expr::{BinaryOp, CompareOp, Expr, Predicate};
use rewindow_query::{Span, Value, plan};

use crate::isfirst::IsFirst;
use crate::lag::Lag;
use crate::last::Last;
use crate::operator::Operator;
use crate::plant::Plants;
use crate::testing::{Output, Row, column, cuts, rows, run_every_way, survives};

/// WHEN small >= 1
fn when(is: bool) -> Option<Predicate> {
    let one = Expr::Literal(Value::Int(1));
    is.then(|| Predicate::Compare(CompareOp::GreaterOrEqual, column(2), one))
}

fn counts(row: &Row, when: bool) -> bool {
    !when || row.1[2] >= Value::Int(1)
}

fn partition(by_key: bool) -> Vec<Expr> {
    if by_key { vec![column(0)] } else { Vec::new() }
}

fn lag(by_key: bool, offset: u32, limit: i64, with_when: bool) -> plan::Lag {
    plan::Lag {
        argument: column(1),
        offset,
        default: column(2),
        partition: partition(by_key),
        limit: Span(limit),
        when: when(with_when),
    }
}

fn last(by_key: bool, limit: i64, with_when: bool) -> plan::Last {
    let lag = lag(by_key, 1, limit, with_when);
    let (argument, default) = (lag.argument, lag.default);
    plan::Last { argument, default, partition: lag.partition, limit: lag.limit, when: lag.when }
}

/// The value `back` rows before the end of the candidates (0: the last), if it is within the limit.
fn look(rows: &[Row], seen: usize, row: &Row, by_key: bool, back: usize, limit: i64, when: bool) -> Value {
    let same = |r: &&Row| (!by_key || r.1[0] == row.1[0]) && counts(r, when);
    let found = rows[..seen].iter().filter(same).rev().nth(back);
    match found {
        Some(found) if found.0 > row.0 - limit => found.1[1].clone(),
        _ => row.1[2].clone(),
    }
}

fn appended(rows: &[Row], value: impl Fn(usize, &Row) -> Value) -> Output {
    let with =
        |(place, row): (usize, &Row)| (row.0, row.1.iter().cloned().chain([value(place, row)]).collect());
    (rows.iter().enumerate().map(with).collect(), None)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn rules_7_1_and_7_2_agree_with_the_rule_however_they_are_fed(
        rows in rows(), by_key: bool, offset in 1_u32..4, limit in 1_i64..20, with_when: bool, cuts in cuts(1),
    ) {
        let op = lag(by_key, offset, limit, with_when);
        let found = run_every_way(&|| Box::new(Lag::new(&op, Plants::none())), std::slice::from_ref(&rows), &cuts);
        let back = offset as usize - 1;
        let expected = appended(&rows, |at, row| look(&rows, at, row, by_key, back, limit, with_when));
        prop_assert_eq!(found, expected);

        let op = last(by_key, limit, with_when);
        let found = run_every_way(&|| Box::new(Last::new(&op, Plants::none())), std::slice::from_ref(&rows), &cuts);
        let expected = appended(&rows, |at, row| look(&rows, at + 1, row, by_key, 0, limit, with_when));
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn rule_7_3_agrees_with_the_rule_however_it_is_fed(
        rows in rows(), by_key: bool, interval in 1_i64..15, with_when: bool, cuts in cuts(1),
    ) {
        let op = plan::IsFirst { interval: Span(interval), partition: partition(by_key), when: when(with_when) };
        let found = run_every_way(&|| Box::new(IsFirst::new(&op, Plants::none())), std::slice::from_ref(&rows), &cuts);
        let interval_of = |row: &Row| (row.0 + interval - 1) / interval;
        let expected = appended(&rows, |at, row| {
            let before = rows[..at].iter().any(|r| {
                (!by_key || r.1[0] == row.1[0]) && counts(r, with_when) && interval_of(r) == interval_of(row)
            });
            Value::Int(i64::from(counts(row, with_when) && !before))
        });
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn foreign_state_never_panics(rows in rows(), offset in 1_u32..4, until in 100_i64..140, flip: (usize, u8)) {
        let op = lag(true, offset, 9, false);
        survives(&|| Box::new(Lag::new(&op, Plants::none())), std::slice::from_ref(&rows), until, flip);
        let op = plan::IsFirst { interval: Span(20), partition: partition(true), when: None };
        survives(&|| Box::new(IsFirst::new(&op, Plants::none())), &[rows], until, flip);
    }
}

fn values(make: &dyn Fn() -> Box<dyn Operator>, rows: &[(i64, Value, i64)]) -> Vec<Value> {
    let row =
        |(at, value, small): &(i64, Value, i64)| (*at, vec![Value::Null, value.clone(), Value::Int(*small)]);
    let rows: Vec<Row> = rows.iter().map(row).collect();
    let (rows, _) = run_every_way(make, &[rows], &[vec![3], vec![7]]);
    rows.into_iter().map(|row| row.1[3].clone()).collect()
}

#[test]
fn rule_7_1_null_is_found_and_a_limit_exactly_old_is_not() {
    let op = lag(false, 1, 5, false);
    let rows = [(1, Value::Null, 9), (6, Value::Int(6), 9), (10, Value::Int(10), 9), (10, Value::Int(11), 9)];
    let found = values(&|| Box::new(Lag::new(&op, Plants::none())), &rows);
    assert_eq!(found, [Value::Int(9), Value::Int(9), Value::Int(6), Value::Int(10)]);
    let rows = [(1, Value::Null, 9), (5, Value::Int(6), 9)];
    let found = values(&|| Box::new(Lag::new(&op, Plants::none())), &rows);
    assert_eq!(found, [Value::Int(9), Value::Null], "NULL is a value, no default");
}

#[test]
fn rule_7_2_last_sees_the_row_itself_if_it_satisfies_when() {
    let op = last(false, 5, true);
    let rows = [(1, Value::Int(1), 1), (2, Value::Int(2), 0), (6, Value::Int(3), 0)];
    let found = values(&|| Box::new(Last::new(&op, Plants::none())), &rows);
    assert_eq!(found, [Value::Int(1), Value::Int(1), Value::Int(0)]);
}

#[test]
fn rule_7_3_an_interval_includes_its_end() {
    let op = plan::IsFirst { interval: Span(5), partition: Vec::new(), when: None };
    let rows = [5, 5, 6, 10, 11].map(|at| (at, Value::Null, 0));
    let found = values(&|| Box::new(IsFirst::new(&op, Plants::none())), &rows);
    assert_eq!(found, [1, 0, 1, 0, 1].map(Value::Int));
}

#[test]
fn c_eval_an_argument_fails_at_its_own_event() {
    let two = Expr::Literal(Value::Int(2));
    let failing = Expr::Binary(BinaryOp::Divide, Box::new(two), Box::new(column(2)));
    let op = plan::Lag { argument: failing, ..lag(false, 1, 5, true) };
    let row = |at, small| (at, vec![Value::Null, Value::Null, Value::Int(small)]);
    let rows = vec![row(1, 1), row(2, 2), row(2, 0), row(4, 1)];
    let (found, failed) = run_every_way(&|| Box::new(Lag::new(&op, Plants::none())), &[rows], &[vec![2]]);
    assert_eq!((found.len(), failed), (1, Some(2)));
}
