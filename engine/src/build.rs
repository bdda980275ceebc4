//! From plan node to operator: the one place that knows them all.

use rewindow_query::plan::{NodeId, Op, Plan, Window};

use crate::operator::Operator;
use crate::output::key_columns;
use crate::plant::Plants;
use crate::reference::References;
use crate::{
    apply, filter, hopping, isfirst, join, lag, last, over, pattern, project, reference, session, sliding,
    tumbling, union,
};

/// The operator of a plan node, with empty state. `None` for a Source, which is not fed by slices
/// (`ordering`).
pub fn build(plan: &Plan, id: NodeId, references: &References, plants: Plants) -> Option<Box<dyn Operator>> {
    let node = &plan.nodes[id];
    Some(match &node.op {
        Op::Source(_) => return None,
        Op::Filter(predicate) => Box::new(filter::Filter::new(predicate)),
        Op::Project(project) => {
            let carry = key_columns(plan, node.inputs[0]).unwrap_or(0..0);
            Box::new(project::Project::new(project, carry))
        }
        Op::Group(group) => match group.window {
            Window::Tumbling { .. } | Window::Snapshot => Box::new(tumbling::Tumbling::new(group, plants)),
            Window::Hopping { .. } => Box::new(hopping::Hopping::new(group, plants)),
            Window::Sliding { .. } => Box::new(sliding::Sliding::new(group, plants)),
            Window::Session { .. } => Box::new(session::Session::new(group, plants)),
        },
        Op::Join(op) => Box::new(join::Join::new(op, join::Shape::of(plan, id), plants)),
        Op::Lag(lag) => Box::new(lag::Lag::new(lag, plants)),
        Op::Last(last) => Box::new(last::Last::new(last, plants)),
        Op::IsFirst(first) => Box::new(isfirst::IsFirst::new(first, plants)),
        Op::Over(over) => Box::new(over::Over::new(over, plants)),
        Op::Apply(apply) => Box::new(apply::Apply::new(apply)),
        Op::ReferenceJoin(op) => Box::new(reference::Lookup::new(op, references.table(op.reference), plants)),
        Op::Match(op) => Box::new(pattern::Match::new(op, plants)),
        Op::Union => Box::new(union::Union::new(node.inputs.len(), width(plan, id))),
    })
}

/// How many columns a node emits by the plan; a grouping key carried along stands behind them.
pub fn width(plan: &Plan, id: NodeId) -> usize {
    let node = &plan.nodes[id];
    match &node.op {
        Op::Project(project) => project.items.len(),
        Op::Filter(_) => width(plan, node.inputs[0]),
        _ => node.columns.len(),
    }
}

/// Whether an operator lets the columns behind its input's own pass, or is to be spared them.
pub fn passes_key(op: &Op) -> bool {
    matches!(op, Op::Project(_) | Op::Filter(_))
}
