//! How far back a plan can see (rule 12.4, design §3.4).
//!
//! The lookback `w` of an operator: a row it emits at `t` depends only on rows it reads stamped in
//! `(t - w, t]`. The left end is open, so what lies farthest back, at a distance `d`, needs `w = d + 1
//! tick`. Each span below is exactly enough: one tick less fails on some history. An operator that looks
//! at nothing but rows stamped as the row at hand has lookback zero by convention. Tolerances of the
//! ordering stage are not in it. What comes later can keep a row of MATCH_RECOGNIZE from being one (a
//! longer match replaces it, A-MATCH-GREEDY); lookback speaks of the past alone.
//!
//! | operator | lookback | because |
//! |---|---|---|
//! | source, filter, projection, union, APPLY, reference join, snapshot | 0 | the row at hand, or rows of its timestamp |
//! | tumbling, hopping | size | the window is `(end - size, end]`; the first tick in it is `size - 1` back |
//! | sliding | size + 1 tick | a row at `ts + size` exists because of the event leaving, exactly `size` back |
//! | session | `2 * max + timeout` | a session open at `t` began after `t - 2 * max`, and whether it began there hangs on an event up to `timeout` before |
//! | LAG, LAST, OVER | limit | a predecessor counts if stamped after `t - limit` (A-LIMIT-EDGE) |
//! | ISFIRST | interval | intervals are `(end - n, end]`; at `end` the first tick is `n - 1` back |
//! | MATCH_RECOGNIZE | limit | the first event of a match is stamped after `last - limit` |
//! | inner join | `(max(high, -low) + 1)` units | a row hangs on its two rows alone; with `high` boundaries between them the earlier is up to `high` units and a unit less a tick back, likewise `-low` |
//! | left join | `(max(high, 0) + max(-low, 0) + 1)` units | the unmatched row at `left + high` units exists because no partner came, and the earliest that could have lies `-low` units and a unit less a tick before `left` |
//!
//! Where a join is bounded by the timestamp of a base alias (rule 8.3), its left row may be stamped later
//! than that by a lead, which is added to the reach towards the right side.

use crate::plan::{Item, Join, NodeId, Op, Plan, Window};
use crate::time::Span;

impl Plan {
    /// The lookback of one operator by itself (rule 12.4).
    pub fn lookback_of(&self, node: NodeId) -> Span {
        match &self.nodes[node].op {
            Op::Source(_) | Op::Filter(_) | Op::Project(_) | Op::Union => Span::ZERO,
            Op::Apply(_) | Op::ReferenceJoin(_) => Span::ZERO,
            Op::Group(group) => match group.window {
                Window::Tumbling { size, .. } | Window::Hopping { size, .. } => size,
                Window::Sliding { size } => size.plus(Span::TICK),
                Window::Session { timeout, max } => max.plus(max).plus(timeout),
                Window::Snapshot => Span::ZERO,
            },
            Op::Lag(lag) => lag.limit,
            Op::Last(last) => last.limit,
            Op::IsFirst(first) => first.interval,
            Op::Over(over) => over.limit,
            Op::Match(pattern) => pattern.limit,
            Op::Join(join) => join_lookback(join, self.lead(self.nodes[node].inputs[0], join.bound.left)),
        }
    }

    /// The lookback of an output: the sum along the path on which it is largest. Lookbacks add, because a
    /// row one lookback back may itself have looked back. Over a chain this is enough, and not always
    /// needed to the tick.
    pub fn lookback(&self, output: usize) -> Span {
        self.lookback_path(output).into_iter().fold(Span::ZERO, |sum, node| sum.plus(self.lookback_of(node)))
    }

    /// The path of [`Plan::lookback`], source first; of equal paths the one through earlier inputs.
    pub fn lookback_path(&self, output: usize) -> Vec<NodeId> {
        let mut totals: Vec<Span> = Vec::with_capacity(self.nodes.len());
        let mut before: Vec<Option<NodeId>> = Vec::with_capacity(self.nodes.len());
        for (id, node) in self.nodes.iter().enumerate() {
            let mut longest: Option<NodeId> = None;
            for &input in &node.inputs {
                if longest.is_none_or(|best| totals[input] > totals[best]) {
                    longest = Some(input);
                }
            }
            let below = longest.map_or(Span::ZERO, |input| totals[input]);
            totals.push(below.plus(self.lookback_of(id)));
            before.push(longest);
        }
        let mut path = vec![self.outputs[output].node];
        while let Some(node) = path.last().and_then(|&node| before[node]) {
            path.push(node);
        }
        path.reverse();
        path
    }

    /// How much later than the instant in a column a row of a node may be stamped, if the column holds the
    /// timestamp of one of the rows it was joined from.
    fn lead(&self, node: NodeId, column: usize) -> Span {
        let Some(node) = self.nodes.get(node) else { return Span::ZERO };
        match &node.op {
            Op::Filter(_) | Op::Lag(_) | Op::Last(_) | Op::IsFirst(_) | Op::Over(_) | Op::Apply(_) => {
                self.lead(node.inputs[0], column)
            }
            Op::ReferenceJoin(join) if column < join.left_columns => self.lead(node.inputs[0], column),
            Op::Project(project) => match project.items.get(column) {
                Some(Item::Column(_, crate::expr::Expr::Column(below))) => self.lead(node.inputs[0], *below),
                _ => Span::ZERO,
            },
            Op::Join(join) => {
                let left = self.lead(node.inputs[0], join.bound.left);
                if column >= join.left_columns {
                    // Stamped with the left row: as far as that may lie behind the right one.
                    return Span(
                        reach(join, join.bound.low.saturating_neg()).0.saturating_add(left.0).max(0),
                    );
                }
                // Stamped with the right row, or `high` units behind the left one.
                let own = self.lead(node.inputs[0], column);
                let right = Span(reach(join, join.bound.high).0.max(0));
                let between = if column == join.bound.left { Span::ZERO } else { own };
                own.max(right.plus(between))
            }
            Op::Source(_) | Op::Group(_) | Op::Union | Op::ReferenceJoin(_) | Op::Match(_) => Span::ZERO,
        }
    }
}

/// The longest time between two rows with `boundaries` of the join's unit between them.
fn reach(join: &Join, boundaries: i64) -> Span {
    let unit = join.bound.unit.fixed().unwrap_or_default().0;
    Span(boundaries.saturating_add(1).saturating_mul(unit).saturating_sub(1))
}

fn join_lookback(join: &Join, lead: Span) -> Span {
    let (low, high) = (join.bound.low, join.bound.high);
    // Stamped with the right row: the left one is the farther.
    let to_left = if high >= 0 { reach(join, high) } else { Span(-1) };
    // Stamped with the left row: the right one is the farther, if it can lie behind it at all.
    let to_right = reach(join, low.saturating_neg()).plus(lead);
    // Stamped `high` units after the left row, by the absence of a right one (or with the left row, which
    // is `to_right`).
    let to_absent =
        if join.left_outer && high >= 0 { reach(join, high.saturating_sub(low)) } else { Span(-1) };
    let farthest = to_left.max(to_right).max(to_absent);
    farthest.plus(Span::TICK)
}
