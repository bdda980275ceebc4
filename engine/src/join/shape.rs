//! What a join cannot learn from its own plan node: how wide its right side is, and how far compared
//! timestamps lag behind rows.
//!
//! Reads the plan only. Invariant: a span given is never too small; where none is known there is none.

use rewindow_query::Span;
use rewindow_query::expr::Expr;
use rewindow_query::plan::{Item, NodeId, Op, Plan, SourceColumn};

/// What a join must know of its inputs beyond its own plan node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shape {
    /// Columns of the right side.
    pub right_columns: usize,
    /// How far a left and a right row's compared timestamp can lie behind the row's own; `None` if that is
    /// not known. More than nothing where a side is itself a join (rule 8.3).
    pub behind: [Option<Span>; 2],
}

impl Shape {
    /// Of the join at a node of a plan.
    pub fn of(plan: &Plan, node: NodeId) -> Shape {
        let inputs = &plan.nodes[node].inputs;
        let columns = |input: usize| inputs.get(input).map_or(0, |&id| plan.nodes[id].columns.len());
        let behind = match &plan.nodes[node].op {
            Op::Join(join) => {
                let of = |input: usize, column| inputs.get(input).and_then(|&id| behind(plan, id, column));
                [of(0, join.bound.left), of(1, join.bound.right)]
            }
            _ => [None, None],
        };
        Shape { right_columns: columns(1), behind }
    }
}

/// How far the timestamps in a column can lie behind those of the rows; `None` if it holds something else.
fn behind(plan: &Plan, node: NodeId, column: usize) -> Option<Span> {
    let inputs = &plan.nodes[node].inputs;
    let input = |place: usize, column| inputs.get(place).and_then(|&id| behind(plan, id, column));
    match &plan.nodes[node].op {
        Op::Source(source) => match source.columns.get(column)? {
            SourceColumn::Timestamp => Some(Span::ZERO),
            _ => None,
        },
        // What appends columns lets those of its (first) input stand in front.
        Op::Filter(_)
        | Op::Lag(_)
        | Op::Last(_)
        | Op::IsFirst(_)
        | Op::Over(_)
        | Op::Apply(_)
        | Op::ReferenceJoin(_) => {
            let own = plan.nodes.get(*inputs.first()?)?.columns.len();
            if column < own { input(0, column) } else { None }
        }
        Op::Project(project) => match project.items.get(column)? {
            Item::Column(_, Expr::Column(of)) => input(0, *of),
            Item::Column(_, Expr::Timestamp) => Some(Span::ZERO),
            _ => None,
        },
        Op::Group(_) | Op::Match(_) => None,
        Op::Join(join) => {
            let unit = join.bound.unit.fixed()?.0;
            let span = |units: i64| Span(units.saturating_add(1).max(0).saturating_mul(unit));
            if column < join.left_columns {
                // A partner or the row without one comes at most `high` units later, to the unit's end.
                Some(input(0, column)?.plus(input(1, join.bound.right)?).plus(span(join.bound.high)))
            } else {
                let right = input(1, column - join.left_columns)?;
                Some(right.plus(input(0, join.bound.left)?).plus(span(join.bound.low.saturating_neg())))
            }
        }
        Op::Union => {
            (0..inputs.len()).map(|place| input(place, column)).try_fold(Span::ZERO, |a, b| Some(a.max(b?)))
        }
    }
}
