//! MATCH_RECOGNIZE against an oracle written from section 9: at each event the pattern is tried on the whole
//! history, by recursion over the pattern.

use std::sync::Arc;

use proptest::prelude::*;
use rewindow_query::expr::{CompareOp, Expr, Predicate};
use rewindow_query::plan::{self, MatchExpr, MatchTerm, Pattern, Variable};
use rewindow_query::{Span, Timestamp, Value};

use crate::batch::{Context, Slice};
use crate::operator::Operator;
use crate::pattern::Match;
use crate::plant::Plants;
use crate::testing::{Output, Row, batch, column, cuts, run_every_way, survives};

fn compare(op: CompareOp, left: Expr, right: Expr) -> Predicate {
    Predicate::Compare(op, left, right)
}

fn variable(name: &str, define: Predicate, terms: Vec<MatchTerm>) -> Variable {
    Variable { name: name.into(), define, terms }
}

/// A: x >= 1. B: x > Last(A.x) or no A yet. C: x >= Max(C.x), its own included, and x >= Min(A.x) or no A.
fn match_of(pattern: Pattern, limit: i64) -> plan::Match {
    let x = || column(1);
    let a = compare(CompareOp::GreaterOrEqual, column(0), Expr::Literal(Value::Int(1)));
    let or = |parts| Predicate::Or(parts);
    let b = or(vec![compare(CompareOp::Greater, column(0), column(1)), Predicate::IsNull(column(1))]);
    let above =
        or(vec![Predicate::IsNull(column(2)), compare(CompareOp::GreaterOrEqual, column(0), column(2))]);
    let c = Predicate::And(vec![compare(CompareOp::GreaterOrEqual, column(0), column(1)), above]);
    let current = || MatchTerm::Current(x());
    let measure = |name: &str, term| (Arc::from(name), MatchExpr { expr: column(0), terms: vec![term] });
    plan::Match {
        limit: Span(limit),
        partition: vec![column(0)],
        variables: vec![
            variable("A", a, vec![current()]),
            variable("B", b, vec![current(), MatchTerm::Last(0, x())]),
            variable("C", c, vec![current(), MatchTerm::Max(2, x()), MatchTerm::Min(0, x())]),
        ],
        pattern,
        measures: vec![
            measure("classes", MatchTerm::Classifier),
            measure("first", MatchTerm::First(0, x())),
            measure("last", MatchTerm::Last(1, x())),
            measure("least", MatchTerm::Min(2, x())),
            measure("greatest", MatchTerm::Max(0, x())),
        ],
    }
}

/// The events of a partition from a first one on that are within the limit, and the path so far.
struct Way<'a> {
    events: Vec<&'a Row>,
    path: Vec<Option<usize>>,
}

impl Way<'_> {
    fn of(&self, variable: usize) -> Vec<Value> {
        let own = self.path.iter().zip(&self.events).filter(|(of, _)| **of == Some(variable));
        own.map(|(_, row)| row.1[1].clone()).collect()
    }

    fn some(&self, variable: usize) -> Vec<Value> {
        self.of(variable).into_iter().filter(|v| !v.is_null()).collect()
    }

    fn holds(&self, variable: usize, x: &Value) -> bool {
        let both = |a: &Value, b: &Value| !a.is_null() && !b.is_null();
        match variable {
            0 => *x >= Value::Int(1),
            1 => self.of(0).last().is_none_or(|last| last.is_null() || (both(x, last) && x > last)),
            _ => {
                let greatest = self.some(2).into_iter().max();
                let least = self.some(0).into_iter().min();
                !x.is_null() && greatest.is_none_or(|it| *x >= it) && least.is_none_or(|it| *x >= it)
            }
        }
    }

    fn go(&mut self, pattern: &Pattern, rest: &mut dyn FnMut(&mut Self) -> bool) -> bool {
        match pattern {
            Pattern::Variable(_) | Pattern::Any => {
                let variable = if let Pattern::Variable(v) = pattern { Some(*v) } else { None };
                let Some(row) = self.events.get(self.path.len()) else { return false };
                if variable.is_some_and(|variable| !self.holds(variable, &row.1[1])) {
                    return false;
                }
                self.path.push(variable);
                let length = self.path.len();
                if rest(self) {
                    return true;
                }
                self.path.truncate(length - 1);
                false
            }
            Pattern::Sequence(parts) => match parts.split_first() {
                None => rest(self),
                Some((first, others)) => {
                    let others = Pattern::Sequence(others.to_vec());
                    self.go(first, &mut |way| way.go(&others, rest))
                }
            },
            Pattern::Either(parts) => parts.iter().any(|part| self.go(part, rest)),
            Pattern::Repeat(part, least, most) => {
                let less = |n: u32| n.saturating_sub(1);
                let again = Pattern::Repeat(part.clone(), less(*least), most.map(less));
                let before = self.path.len();
                let (bound, free) = (*least > 0, *least == 0);
                if most.is_none_or(|most| most > 0 || bound)
                    && self.go(part, &mut |way| (bound || way.path.len() > before) && way.go(&again, rest))
                {
                    return true;
                }
                free && rest(self)
            }
        }
    }
}

fn expected(rows: &[Row], op: &plan::Match) -> Output {
    let mut found: Vec<(i64, usize, Vec<Value>)> = Vec::new();
    for (start, first) in rows.iter().enumerate() {
        let inside = |row: &&Row| row.1[0] == first.1[0] && row.0 - first.0 < op.limit.0;
        let mut way = Way { events: rows[start..].iter().filter(inside).collect(), path: Vec::new() };
        if way.go(&op.pattern, &mut |way| !way.path.is_empty()) {
            let at = way.events[way.path.len() - 1].0;
            let names = way.path.iter().flatten().map(|&v| Value::text(["A", "B", "C"][v]));
            let row = vec![
                Value::Array(names.collect()),
                way.of(0).first().cloned().unwrap_or_default(),
                way.of(1).last().cloned().unwrap_or_default(),
                way.some(2).into_iter().min().unwrap_or_default(),
                way.some(0).into_iter().max().unwrap_or_default(),
            ];
            found.push((at, start, row));
        }
    }
    found.sort_by_key(|(at, start, _)| (*at, *start));
    (found.into_iter().map(|(at, _, row)| (at, row)).collect(), None)
}

fn patterns() -> impl Strategy<Value = Pattern> {
    let leaf = prop_oneof![5 => (0_usize..3).prop_map(Pattern::Variable), 1 => Just(Pattern::Any)];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let parts = || prop::collection::vec(inner.clone(), 0..4);
        let times = prop_oneof![
            Just((0, None)), Just((1, None)), Just((0, Some(1))), Just((2, None)), Just((1, Some(2))),
        ];
        prop_oneof![
            3 => parts().prop_map(Pattern::Sequence),
            1 => parts().prop_map(Pattern::Either),
            3 => (inner.clone(), times).prop_map(|(p, (least, most))| Pattern::Repeat(Box::new(p), least, most)),
        ]
    })
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let x = prop_oneof![8 => (0_i64..4).prop_map(Value::Int), 1 => Just(Value::Null)];
    prop::collection::vec((100_i64..130, 0_i64..2, x), 0..12).prop_map(|mut rows| {
        rows.sort_by_key(|row| row.0);
        rows.into_iter().map(|(at, key, x)| (at, vec![Value::Int(key), x])).collect()
    })
}

fn make(op: &plan::Match) -> Box<dyn Operator> {
    Box::new(Match::new(op, Plants::none()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn section_9_agrees_with_the_rules_however_it_is_fed(
        rows in rows(), pattern in patterns(), limit in 1_i64..25, cuts in cuts(1),
    ) {
        let op = match_of(pattern, limit);
        let found = run_every_way(&|| make(&op), std::slice::from_ref(&rows), &cuts);
        prop_assert_eq!(found, expected(&rows, &op));
    }

    #[test]
    fn resumed_at_every_cut(rows in rows(), limit in 1_i64..25) {
        let a = Pattern::Repeat(Box::new(Pattern::Variable(0)), 1, None);
        let op = match_of(Pattern::Sequence(vec![a, Pattern::Any, Pattern::Variable(1)]), limit);
        let cuts: Vec<Vec<i64>> = (99..156).map(|at| vec![at]).collect();
        let found = run_every_way(&|| make(&op), std::slice::from_ref(&rows), &cuts);
        prop_assert_eq!(found, expected(&rows, &op));
    }

    #[test]
    fn foreign_state_never_panics(rows in rows(), pattern in patterns(), until in 100_i64..140, flip: (usize, u8)) {
        let op = match_of(pattern, 15);
        survives(&|| make(&op), &[rows], until, flip);
    }
}

fn row(at: i64, x: Value) -> Row {
    (at, vec![Value::Null, x])
}

fn plus(pattern: Pattern) -> Pattern {
    Pattern::Repeat(Box::new(pattern), 1, None)
}

#[test]
fn a_match_time_output_is_held_until_the_match_cannot_grow() {
    let op = match_of(plus(Pattern::Variable(0)), 10);
    let mut operator = make(&op);
    let mut context = Context::default();
    let mut step = |rows: &[Row], until: i64| {
        let batches = if rows.is_empty() { Vec::new() } else { vec![batch(rows)] };
        let slice = operator.step(&[&Slice { batches, until: Timestamp(until) }], &mut context);
        (slice.batches.iter().map(|batch| batch.len()).sum::<usize>(), slice.until.0)
    };
    assert_eq!(step(&[row(1, Value::Int(1)), row(3, Value::Int(2))], 5), (0, 1), "both may grow");
    assert_eq!(step(&[], 11), (0, 3), "the first has all events within its limit, and is stamped 3");
    assert_eq!(step(&[row(11, Value::Int(0))], 12), (2, 12), "the second meets an event that is no A");
}

#[test]
fn c_match_a_failing_definition_fails_at_the_event_tested() {
    let mut op = match_of(Pattern::Sequence(vec![plus(Pattern::Variable(0)), Pattern::Variable(1)]), 50);
    let cast = Expr::Cast { expr: Box::new(column(1)), to: rewindow_query::Type::Bigint, lenient: false };
    op.variables[1].terms[0] = MatchTerm::Current(cast);
    let rows = vec![
        row(1, Value::Int(1)),
        row(2, Value::Int(2)),
        row(3, Value::Int(0)),
        row(4, Value::Int(1)),
        row(5, Value::text("x")),
        row(6, Value::Int(1)),
    ];
    let (found, failed) = run_every_way(&|| make(&op), &[rows], &[vec![3], vec![5], vec![6]]);
    assert_eq!((found.len(), failed), (1, Some(5)), "{found:?}");
}

#[test]
fn c_match_limit_a_search_without_end_fails_at_its_first_event() {
    let any = || Box::new(plus(Pattern::Any));
    let nested = Pattern::Repeat(any(), 1, None);
    let op = match_of(Pattern::Sequence(vec![nested, Pattern::Variable(2), Pattern::Variable(2)]), 1000);
    let rows: Vec<Row> = (1..60).map(|at| row(at, Value::Null)).collect();
    let (found, failed) = run_every_way(&|| make(&op), &[rows], &[vec![10]]);
    assert_eq!((found.len(), failed), (0, Some(1)));
    let op = match_of(Pattern::Repeat(any(), u32::MAX, None), 1000);
    let (_, failed) = run_every_way(&|| make(&op), &[vec![row(7, Value::Null)]], &[vec![10]]);
    assert_eq!(failed, Some(7), "a program without end");
    let op = match_of(Pattern::Repeat(Box::new(Pattern::Sequence(Vec::new())), u32::MAX, None), 1000);
    assert_eq!(run_every_way(&|| make(&op), &[vec![row(7, Value::Null)]], &[vec![10]]), (Vec::new(), None));
}
