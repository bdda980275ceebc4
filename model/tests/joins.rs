//! Laws of the stream join. Catches a bound that measures elapsed time where it should count boundaries,
//! and an unmatched row that is stamped wrongly, twice, or although there was a partner.

mod support;

use proptest::prelude::*;
use rewindow_query::expr::{CompareOp, Expr, Function, Predicate};
use rewindow_query::plan::{Bound, Join, Op};
use rewindow_query::{Entry, Plan, Unit, Value};
use support::*;

const COLUMNS: usize = 4;

/// `l JOIN r ON l.k = r.k AND DATEDIFF(unit, l, r) BETWEEN low AND high [AND more]`.
fn joined(unit: Unit, low: i64, high: i64, left_outer: bool, more: Option<Predicate>) -> Plan {
    let int = |int| Expr::Literal(Value::Int(int));
    let between = Predicate::Between {
        expr: Expr::Call(Function::DateDiff(unit), vec![Expr::Column(T), Expr::Column(COLUMNS + T)]),
        low: int(low),
        high: int(high),
        negated: false,
    };
    let equal = Predicate::Compare(CompareOp::Equal, Expr::Column(K), Expr::Column(COLUMNS + K));
    let join = Join {
        left_outer,
        on: Predicate::And([equal, between].into_iter().chain(more).collect()),
        bound: Bound { unit, low, high, left: T, right: T },
        equal: vec![(Expr::Column(K), Expr::Column(K))],
        left_columns: COLUMNS,
    };
    let mut build = Build::default();
    let (left, right) = (build.source(0, false), build.source(1, false));
    let names = ["k", "v", "$t", "p", "k2", "v2", "$t2", "p2"];
    let pairs = build.add(Op::Join(join), &[left, right], &names);
    build.select(pairs, &[("l", Expr::Column(V)), ("r", Expr::Column(COLUMNS + V))]);
    build.plan()
}

fn left(second: i64, v: i64) -> Entry {
    event(second, "a", v)
}

fn right(second: i64, v: impl Into<Cell>) -> Entry {
    Entry { input: 1, ..event(second, "a", v) }
}

#[test]
fn rule_8_2_the_bound_counts_boundaries() {
    let plan = joined(Unit::Minute, 0, 1, false, None);
    let entries = vec![left(59, 1), right(0, 10), right(61, 11), right(119, 12), right(120, 13)];
    check(&plan, entries, "59 1 10 \n 61 1 11 \n 119 1 12");
}

#[test]
fn rule_8_3_every_pair_comes_out_at_the_later_of_its_rows() {
    let plan = joined(Unit::Second, -5, 5, false, None);
    let entries = vec![left(10, 1), left(10, 2), right(8, 20), right(8, 20), right(14, 21)];
    check(&plan, entries, "10 1 20 \n 10 1 20 \n 10 2 20 \n 10 2 20 \n 14 1 21 \n 14 2 21");
}

#[test]
fn rule_8_4_a_row_without_partner_comes_out_once_with_nulls() {
    let plan = joined(Unit::Second, -2, 10, true, None);
    check(&plan, vec![left(0, 1), left(30, 2), right(4, 9)], "4 1 9 \n 40 2 null");
    let before = joined(Unit::Second, -5, -1, true, None);
    check(&before, vec![left(30, 1), left(31, 2), right(30, 9)], "30 1 null \n 31 2 9");
}

#[test]
fn rule_8_4_a_predicate_on_the_left_side_belongs_to_the_match() {
    let positive = Predicate::Compare(CompareOp::Greater, Expr::Column(V), Expr::Literal(Value::Int(0)));
    let plan = joined(Unit::Second, 0, 5, true, Some(positive));
    check(&plan, vec![left(0, -1), left(0, 1), right(1, 9)], "1 1 9 \n 5 -1 null");
}

#[test]
fn rule_2_7_null_keys_never_match() {
    let plan = joined(Unit::Second, 0, 5, true, None);
    let null = |input, second| Entry { input, ..event(second, Value::Null, 7) };
    check(&plan, vec![null(0, 1), null(1, 1)], "6 7 null");
}

#[test]
fn c_fail_on_fails_at_the_later_of_the_two() {
    let more = Predicate::Compare(CompareOp::Greater, cast(COLUMNS + V), Expr::Literal(Value::Int(0)));
    let plan = joined(Unit::Second, 0, 5, false, Some(more));
    check(&plan, vec![left(1, 1), right(2, 5), right(4, "x")], "2 1 5 \n 4 failed");
    check(&plan, vec![left(1, 1), right(2, 5), right(7, "x")], "2 1 5");
}

/// The left row is itself a pair, stamped 14; the bound counts from its `a`, stamped 10 (rule 8.3).
#[test]
fn c_leftjoin_an_unmatched_row_never_comes_before_its_left_row() {
    let chained = |high| {
        let mut build = Build::default();
        let sources = [build.source(0, false), build.source(1, false), build.source(2, false)];
        let bound = |low, high| Bound { unit: Unit::Second, low, high, left: T, right: T };
        let on = |right: usize, low, high| Predicate::Between {
            expr: Expr::Call(
                Function::DateDiff(Unit::Second),
                vec![Expr::Column(T), Expr::Column(right + T)],
            ),
            low: Expr::Literal(Value::Int(low)),
            high: Expr::Literal(Value::Int(high)),
            negated: false,
        };
        let join = |left_outer, left_columns, low, high| {
            let (on, bound) = (on(left_columns, low, high), bound(low, high));
            Op::Join(Join { left_outer, on, bound, equal: vec![], left_columns })
        };
        let pairs = build.add(join(false, COLUMNS, 0, 5), &sources[..2], &[""; 2 * COLUMNS]);
        let triples = build.add(join(true, 2 * COLUMNS, 0, high), &[pairs, sources[2]], &[""; 3 * COLUMNS]);
        build.select(triples, &[("l", Expr::Column(V)), ("x", Expr::Column(2 * COLUMNS + V))]);
        build.plan()
    };
    let third = Entry { input: 2, ..event(12, "a", 3) };
    let entries = |more: &[Entry]| [&[left(10, 1), right(14, 2)], more].concat();
    check(&chained(2), entries(&[]), "14 1 null");
    check(&chained(7), entries(&[]), "17 1 null");
    check(&chained(2), entries(&[third]), "14 1 3");
}

proptest! {
    #[test]
    fn rule_8_on_decides_and_nothing_else(
        lefts in prop::collection::vec((0i64..300, 0i64..3), 0..12),
        rights in prop::collection::vec((0i64..300, 0i64..3), 0..12),
        low in -3i64..3, width in 0i64..4, seconds in any::<bool>(),
    ) {
        let unit = if seconds { Unit::Second } else { Unit::Minute };
        let length = if seconds { 1 } else { 60 };
        let high = low + width;
        let of = |input, rows: &[(i64, i64)]| -> Vec<Entry> {
            let mut rows: Vec<_> = rows.to_vec();
            rows.sort();
            rows.into_iter().enumerate().map(|(i, (t, k))| Entry { input, ..event(t, k, i64::try_from(i).unwrap()) }).collect()
        };
        let (lefts_in, rights_in) = (of(0, &lefts), of(1, &rights));
        let answer = ask(&joined(unit, low, high, true, None), [lefts_in, rights_in].concat());
        let (mut lefts, mut rights) = (lefts, rights);
        lefts.sort();
        rights.sort();
        let mut expected = Vec::new();
        for (l, (lt, lk)) in lefts.iter().enumerate() {
            let partners: Vec<_> = rights.iter().enumerate().filter(|(_, (rt, rk))| {
                lk == rk && (low..=high).contains(&(rt / length - lt / length))
            }).collect();
            for (r, (rt, _)) in &partners {
                expected.push((*lt.max(rt), l, *r, format!("{l} {r}")));
            }
            if partners.is_empty() {
                expected.push((lt + high.max(0) * length, l, 0, format!("{l} null")));
            }
        }
        expected.sort();
        let expected: Vec<String> = expected.into_iter().map(|(t, _, _, row)| format!("{t} {row}")).collect();
        prop_assert_eq!(text(&answer), expected.join("\n"));
    }
}
