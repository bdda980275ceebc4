//! Every bug planted in an operator shows: restored in the middle, the output is no longer the same.
//! Catches a switch that was left hanging.

use std::sync::Arc;

use rewindow_query::event::Reference;
use rewindow_query::expr::{CompareOp, Expr, Function, Predicate};
use rewindow_query::plan::{self, Aggregate, AggregateCall, Bound, Group, Window};
use rewindow_query::{Record, Span, Timestamp, Unit, Value};

use crate::hopping::Hopping;
use crate::isfirst::IsFirst;
use crate::join::{Join, Shape};
use crate::lag::Lag;
use crate::last::Last;
use crate::operator::Operator;
use crate::over::Over;
use crate::pattern::Match;
use crate::plant::{Plant, Plants};
use crate::reference::Lookup;
use crate::session::Session;
use crate::sliding::Sliding;
use crate::testing::{Row, column, run};
use crate::tumbling::Tumbling;

fn call(function: Aggregate, argument: Option<Expr>) -> AggregateCall {
    AggregateCall { function, argument, distinct: false, as_text: false, order: Vec::new(), user: None }
}

fn group(window: Window) -> Group {
    let calls = vec![call(Aggregate::Count, None)];
    Group { window, keys: Vec::new(), calls, session_by: Vec::new() }
}

fn join() -> plan::Join {
    let same = Predicate::Compare(CompareOp::Equal, column(1), column(3));
    let difference = Expr::Call(Function::DateDiff(Unit::Microsecond), vec![column(0), column(2)]);
    let int = |v| Expr::Literal(Value::Int(v));
    let bound = Predicate::Between { expr: difference, low: int(0), high: int(1), negated: false };
    plan::Join {
        left_outer: true,
        on: Predicate::And(vec![same, bound]),
        bound: Bound { unit: Unit::Microsecond, low: 0, high: 1, left: 0, right: 0 },
        equal: vec![(column(1), column(1))],
        left_columns: 2,
    }
}

fn make(plant: Plant, plants: Plants) -> Option<Box<dyn Operator>> {
    let (limit, argument, default) = (Span(50), column(1), Expr::Literal(Value::Int(-1)));
    Some(match plant {
        Plant::TumblingWindowLost => {
            Box::new(Tumbling::new(&group(Window::Tumbling { size: Span(20), offset: Span(0) }), plants))
        }
        Plant::HoppingPanesLost => {
            let window = Window::Hopping { size: Span(20), hop: Span(5), offset: Span(0) };
            Box::new(Hopping::new(&group(window), plants))
        }
        Plant::SlidingExpiryLost => {
            Box::new(Sliding::new(&group(Window::Sliding { size: Span(20) }), plants))
        }
        Plant::LeftJoinNullTwice | Plant::LeftJoinMatchForgotten | Plant::JoinSideLost => {
            let shape = Shape { right_columns: 2, behind: [Some(Span::ZERO); 2] };
            Box::new(Join::new(&join(), shape, plants))
        }
        Plant::LagStateNotSaved => {
            let partition = Vec::new();
            Box::new(Lag::new(
                &plan::Lag { argument, offset: 1, default, partition, limit, when: None },
                plants,
            ))
        }
        Plant::LastStateNotSaved => {
            let when = Some(Predicate::Compare(CompareOp::Less, column(1), Expr::Literal(Value::Int(2))));
            Box::new(Last::new(&plan::Last { argument, default, partition: Vec::new(), limit, when }, plants))
        }
        Plant::IsFirstForgets => {
            let op = plan::IsFirst { interval: Span(20), partition: Vec::new(), when: None };
            Box::new(IsFirst::new(&op, plants))
        }
        Plant::SessionIndexLost | Plant::SessionRestartParity => {
            let window = Window::Session { timeout: Span(20), max: Span(8) };
            Box::new(Session::new(&group(window), plants))
        }
        Plant::MatchPartialLost => {
            let a = plan::Variable {
                name: "A".into(),
                define: Predicate::Compare(CompareOp::Less, column(0), Expr::Literal(Value::Int(9))),
                terms: vec![plan::MatchTerm::Current(argument)],
            };
            let classes = plan::MatchExpr { expr: column(0), terms: vec![plan::MatchTerm::Classifier] };
            let op = plan::Match {
                limit,
                partition: Vec::new(),
                variables: vec![a],
                pattern: plan::Pattern::Repeat(Box::new(plan::Pattern::Variable(0)), 2, None),
                measures: vec![("classes".into(), classes)],
            };
            Box::new(Match::new(&op, plants))
        }
        Plant::OverRowsLost => {
            let call = call(Aggregate::Sum, Some(argument));
            Box::new(Over::new(&plan::Over { call, partition: Vec::new(), limit, when: None }, plants))
        }
        Plant::ReferenceNewest => {
            let version = |from: i64, name: &str| {
                let row = Record::new(vec![("r".into(), Value::text(name))]);
                (Timestamp(from), vec![Arc::new(row)])
            };
            let data = Reference { versions: vec![version(0, "old"), version(30, "new")] };
            let op = plan::ReferenceJoin {
                left_outer: false,
                reference: 0,
                table: Vec::new(),
                columns: vec!["r".into()],
                equal: Vec::new(),
                on: Predicate::And(Vec::new()),
                left_columns: 2,
            };
            Box::new(Lookup::new(&op, Arc::new(data), plants))
        }
        _ => return None,
    })
}

#[test]
fn every_operator_plant_breaks_a_restore_and_nothing_else_does() {
    let row = |at: i64, value: i64| -> Row { (at, vec![Value::Datetime(Timestamp(at)), Value::Int(value)]) };
    let left = vec![row(1, 1), row(2, 9), row(11, 2), row(17, 2), row(34, 3)];
    let right = vec![row(3, 1), row(12, 2), row(36, 3)];
    let frontiers: Vec<Vec<Timestamp>> =
        [10, 16, 25, 35, i64::MAX].iter().map(|&at| vec![Timestamp(at); 2]).collect();
    let mut tried = 0;
    for plant in Plant::all() {
        let Some(_) = make(plant, Plants::none()) else { continue };
        tried += 1;
        let output = |plants: Plants, restore: bool| {
            let made = || make(plant, plants).expect("made above");
            // A broken restore may break promises that `run` asserts: that, too, is seen.
            let inputs = [left.clone(), right.clone()];
            let run = || run(&made, &inputs, &frontiers, 2, restore).0;
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).ok()
        };
        let whole = output(Plants::none(), false);
        assert!(whole.is_some());
        assert_eq!(output(Plants::none(), true), whole, "{}: sound without it", plant.name());
        assert_ne!(output(Plants::only(Some(plant)), true), whole, "{}: not seen", plant.name());
    }
    assert_eq!(tried, 14, "a plant without a test");
}
