//! One operator in the words of its user: for the planner's table and for reports.
//!
//! Where the text is at hand the user's own spelling is quoted, `TumblingWindow(hour, 6)`; a plan made
//! without text is described by its numbers. Never longer than a line of a table.

use crate::parse::shorten;
use crate::plan::{NodeId, Op, Plan, Window};
use crate::time::{Span, Unit};

impl Plan {
    /// Short text a user recognises the operator by, such as `LAG(…) LIMIT DURATION(hour, 24)`.
    pub fn describe(&self, node: NodeId) -> String {
        let node = &self.nodes[node];
        let written = self.text.get(node.place.clone()).unwrap_or_default();
        match &node.op {
            Op::Source(source) => self.inputs.get(source.input).map_or("?", |i| &*i.name).to_owned(),
            Op::Filter(_) if written.is_empty() => "WHERE".to_owned(),
            Op::Filter(_) => format!("WHERE {}", shorten(written)),
            Op::Project(_) => "SELECT".to_owned(),
            Op::Union => "UNION".to_owned(),
            Op::Group(_) if !written.is_empty() => one_line(written),
            Op::Group(group) => match group.window {
                Window::Tumbling { size, .. } => format!("TumblingWindow({})", length(size)),
                Window::Hopping { size, hop, .. } => {
                    format!("HoppingWindow(Duration({}), Hop({}))", length(size), length(hop))
                }
                Window::Sliding { size } => format!("SlidingWindow({})", length(size)),
                Window::Session { timeout, max } => {
                    format!("SessionWindow(Timeout({}), MaxDuration({}))", length(timeout), length(max))
                }
                Window::Snapshot => "System.Timestamp()".to_owned(),
            },
            Op::Join(join) => {
                let kind = if join.left_outer { "LEFT JOIN" } else { "JOIN" };
                let (unit, low, high) = (join.bound.unit.name(), join.bound.low, join.bound.high);
                format!("{kind} … DATEDIFF({unit}, …) BETWEEN {low} AND {high}")
            }
            Op::Lag(lag) => format!("LAG(…) LIMIT DURATION({})", limit(written, lag.limit)),
            Op::Last(last) => format!("LAST(…) LIMIT DURATION({})", limit(written, last.limit)),
            Op::Over(over) => {
                let name = written.split('(').next().map(str::trim).filter(|name| !name.is_empty());
                let name = name.unwrap_or("aggregate").to_uppercase();
                format!("{name}(…) OVER LIMIT DURATION({})", limit(written, over.limit))
            }
            Op::Apply(apply) => if apply.outer { "OUTER APPLY" } else { "CROSS APPLY" }.to_owned(),
            Op::ReferenceJoin(join) => {
                let kind = if join.left_outer { "LEFT JOIN" } else { "JOIN" };
                let name = self.references.get(join.reference).map_or("?", |reference| &*reference.name);
                format!("{kind} {name}")
            }
            Op::Match(pattern) => {
                format!("MATCH_RECOGNIZE LIMIT DURATION({})", length(pattern.limit))
            }
            Op::IsFirst(first) => {
                let call = written.find(')').map(|end| one_line(&written[..=end]));
                call.unwrap_or_else(|| format!("ISFIRST({})", length(first.interval)))
            }
        }
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The arguments of DURATION as written, else computed. The last one belongs to the operator itself.
fn limit(written: &str, span: Span) -> String {
    let lower = written.to_ascii_lowercase();
    let inside = lower.rfind("duration").and_then(|at| {
        let open = at + written[at..].find('(')?;
        let close = open + written[open..].find(')')?;
        Some(one_line(&written[open + 1..close]))
    });
    inside.unwrap_or_else(|| length(span))
}

/// Unit and number: the largest unit that gives a whole one.
fn length(span: Span) -> String {
    let units = [Unit::Day, Unit::Hour, Unit::Minute, Unit::Second, Unit::Millisecond, Unit::Microsecond];
    let fits = |unit: &Unit| unit.fixed().is_some_and(|Span(ticks)| span.0 % ticks == 0 && span.0 != 0);
    match units.into_iter().find(fits) {
        Some(unit) => format!("{}, {}", unit.name(), span.0 / unit.fixed().unwrap_or(Span::TICK).0),
        None => span.to_string(),
    }
}
