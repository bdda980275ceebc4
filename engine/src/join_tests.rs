//! The join against an oracle written from section 8: every pair of the whole history is looked at.

use proptest::prelude::*;
use rewindow_query::expr::{BinaryOp, CompareOp, Expr, Function, Predicate};
use rewindow_query::plan::{self, Bound};
use rewindow_query::{Span, Timestamp, Unit, Value};

use crate::eval::equal;
use crate::join::{Join, Shape};
use crate::operator::Operator;
use crate::plant::Plants;
use crate::testing::{Output, Row, column, cuts, run_every_way, survives};

/// Columns of each side: timestamp, key, small number.
const WIDTH: usize = 3;

/// A unit of ten ticks.
const UNIT: Unit = Unit::Microsecond;

/// Where the condition that may fail stands among the others.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Division {
    None,
    First,
    Last,
    /// In a key, which is evaluated for every row.
    Key,
}

fn join(left_outer: bool, low: i64, high: i64, keyed: bool, division: Division) -> plan::Join {
    let int = |v| Expr::Literal(Value::Int(v));
    let difference = Expr::Call(Function::DateDiff(UNIT), vec![column(0), column(WIDTH)]);
    let bound = Predicate::Between { expr: difference, low: int(low), high: int(high), negated: false };
    let same = Predicate::Compare(CompareOp::Equal, column(1), column(WIDTH + 1));
    let quotient = Expr::Binary(BinaryOp::Divide, Box::new(column(2)), Box::new(column(WIDTH + 2)));
    let divides = Predicate::Compare(CompareOp::GreaterOrEqual, quotient, int(1));
    let mut parts = vec![bound];
    if division == Division::First {
        parts.push(divides.clone());
    }
    if keyed {
        parts.push(same);
    }
    if division == Division::Last {
        parts.push(divides);
    }
    let key = |small| Expr::Binary(BinaryOp::Divide, Box::new(int(6)), Box::new(column(small)));
    if division == Division::Key {
        parts.push(Predicate::Compare(CompareOp::Equal, key(2), key(WIDTH + 2)));
    }
    plan::Join {
        left_outer,
        on: Predicate::And(parts),
        bound: Bound { unit: UNIT, low, high, left: 0, right: 0 },
        equal: [keyed.then(|| (column(1), column(1))), (division == Division::Key).then(|| (key(2), key(2)))]
            .into_iter()
            .flatten()
            .collect(),
        left_columns: WIDTH,
    }
}

fn make(op: &plan::Join) -> Box<dyn Operator> {
    let shape = Shape { right_columns: WIDTH, behind: [Some(Span::ZERO); 2] };
    Box::new(Join::new(op, shape, Plants::none()))
}

/// Whether ON holds for a pair; `None` if it fails the job. It is asked within the bound and with equal
/// keys only (C-EVAL).
fn matches(op: &plan::Join, keyed: bool, division: Division, left: &Row, right: &Row) -> Option<bool> {
    let difference = right.0.div_euclid(10) - left.0.div_euclid(10);
    if !(op.bound.low..=op.bound.high).contains(&difference) {
        return Some(false);
    }
    let same = !keyed || equal(&left.1[1], &right.1[1]);
    let divides = match (&left.1[2], &right.1[2]) {
        (_, Value::Int(0)) => None,
        (Value::Int(a), Value::Int(b)) => Some(a / b >= 1),
        _ => Some(false),
    };
    match division {
        Division::None => Some(same),
        Division::First | Division::Last if same => divides,
        Division::First | Division::Last => Some(false),
        Division::Key => {
            let key = |row: &Row| if let Value::Int(small) = row.1[2] { 6 / small } else { 0 };
            Some(same && key(left) == key(right))
        }
    }
}

fn oracle(op: &plan::Join, keyed: bool, division: Division, left: &[Row], right: &[Row]) -> Output {
    let mut rows: Vec<(i64, usize, usize, Vec<Value>)> = Vec::new();
    // A row whose key fails counts as absent.
    let absent = |row: &&Row| division == Division::Key && row.1[2] == Value::Int(0);
    let mut failed: Option<i64> = left.iter().chain(right).filter(absent).map(|row| row.0).min();
    for (l, left) in left.iter().enumerate().filter(|(_, row)| !absent(row)) {
        let mut alone = true;
        for (r, right) in right.iter().enumerate().filter(|(_, row)| !absent(row)) {
            let at = left.0.max(right.0);
            match matches(op, keyed, division, left, right) {
                Some(true) => {
                    alone = false;
                    rows.push((at, l, r, [left.1.clone(), right.1.clone()].concat()));
                }
                Some(false) => {}
                None => failed = Some(failed.map_or(at, |known| known.min(at))),
            }
        }
        if alone && op.left_outer {
            let nulls = vec![Value::Null; WIDTH];
            rows.push((left.0 + op.bound.high.max(0) * 10, l, 0, [left.1.clone(), nulls].concat()));
        }
    }
    rows.sort_by_key(|row| (row.0, row.1, row.2));
    rows.retain(|row| failed.is_none_or(|at| row.0 < at));
    (rows.into_iter().map(|row| (row.0, row.3)).collect(), failed)
}

fn side() -> impl Strategy<Value = Vec<Row>> {
    let key = prop_oneof![
        6 => (0_i64..3).prop_map(Value::Int),
        1 => Just(Value::Null),
        1 => Just(Value::Bit(true)),
        1 => (0_i64..3).prop_map(|v| Value::Float(v as f64)),
        1 => Just(Value::text("2020-01-01")),
        1 => Just(Value::text("2020-01-01T00:00:00Z")),
        1 => Just(Value::Datetime(Timestamp::parse("2020-01-01").expect("an instant"))),
    ];
    let small = prop_oneof![8 => 1_i64..5, 1 => Just(0_i64)];
    prop::collection::vec((100_i64..140, key, small), 0..12).prop_map(|mut rows| {
        rows.sort_by_key(|row| row.0);
        let row = |(at, key, small)| (at, vec![Value::Datetime(Timestamp(at)), key, Value::Int(small)]);
        rows.into_iter().map(row).collect()
    })
}

fn division() -> impl Strategy<Value = Division> {
    prop_oneof![4 => Just(Division::None), 1 => Just(Division::First), 1 => Just(Division::Last), 1 => Just(Division::Key)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]
    #[test]
    fn section_8_agrees_with_the_rule_however_it_is_fed(
        left in side(), right in side(), left_outer: bool, low in -2_i64..2, more in 0_i64..3,
        keyed: bool, division in division(), cuts in cuts(2),
    ) {
        let op = join(left_outer, low, low + more, keyed, division);
        let found = run_every_way(&|| make(&op), &[left.clone(), right.clone()], &cuts);
        prop_assert_eq!(found, oracle(&op, keyed, division, &left, &right));
    }

    #[test]
    fn foreign_state_never_panics(left in side(), right in side(), until in 100_i64..140, flip: (usize, u8)) {
        let op = join(true, 0, 1, true, Division::None);
        survives(&|| make(&op), &[left, right], until, flip);
    }
}

fn row(at: i64, key: i64) -> Row {
    (at, vec![Value::Datetime(Timestamp(at)), Value::Int(key), Value::Int(1)])
}

fn stamps(op: &plan::Join, left: &[i64], right: &[i64]) -> Vec<i64> {
    let rows = |at: &[i64]| at.iter().map(|&at| row(at, 1)).collect::<Vec<Row>>();
    let (found, failed) =
        run_every_way(&|| make(op), &[rows(left), rows(right)], &[vec![15, 25], vec![40, 30]]);
    assert_eq!(failed, None);
    found.into_iter().map(|row| row.0).collect()
}

#[test]
fn rule_8_2_boundaries_are_counted_not_time_elapsed() {
    let same_unit = join(false, 0, 0, true, Division::None);
    assert_eq!(stamps(&same_unit, &[10], &[9, 10, 19, 20]), [10, 19]);
    assert_eq!(stamps(&same_unit, &[19], &[10]), [19], "an earlier partner in the same unit");
    let next_unit = join(false, 1, 1, true, Division::None);
    assert_eq!(stamps(&next_unit, &[10], &[19, 20, 29, 30]), [20, 29]);
}

#[test]
fn rule_8_4_a_left_row_without_partner_is_stamped_left_plus_high() {
    let op = join(true, 0, 1, true, Division::None);
    assert_eq!(stamps(&op, &[12], &[]), [22]);
    assert_eq!(stamps(&op, &[12], &[29]), [29], "a partner after that timestamp, in the last unit");
    assert_eq!(stamps(&op, &[12], &[30]), [22]);
    let before = join(true, -2, -1, true, Division::None);
    assert_eq!(stamps(&before, &[32], &[]), [32], "high below 0: the left timestamp");
}

#[test]
fn an_inner_join_forgets_what_cannot_match_any_more() {
    let op = join(false, 0, 1, true, Division::None);
    let mut join = make(&op);
    for step in 0..500 {
        let batch = crate::testing::batch(&[row(step * 10, step)]);
        let slice = crate::batch::Slice { batches: vec![batch], until: Timestamp(step * 10 + 1) };
        join.step(&[&slice, &slice], &mut Default::default());
    }
    assert!(join.explain().len() < 6, "{:?}", join.explain());
}

#[test]
fn a_row_whose_key_fails_takes_no_place_however_it_is_fed() {
    let op = join(true, -1, 1, false, Division::Key);
    let side = |rows: &[(i64, i64)]| -> Vec<Row> {
        let row = |&(at, small): &(i64, i64)| {
            (at, vec![Value::Datetime(Timestamp(at)), Value::Int(0), Value::Int(small)])
        };
        rows.iter().map(row).collect()
    };
    let left = side(&[(100, 1), (111, 0), (111, 1)]);
    let (found, failed) = run_every_way(&|| make(&op), &[left, Vec::new()], &[vec![112, 112]]);
    assert_eq!((found.len(), found[0].0, failed), (1, 110, Some(111)));
}
