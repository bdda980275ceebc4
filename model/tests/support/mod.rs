//! Plans and histories built by hand, in seconds, and answers as text.
//!
//! A law is about one operator, so its test names that operator and nothing that a query text would bring
//! along. Instants are seconds after tick zero of the platform.

#![allow(dead_code, unreachable_pub)] // each suite uses its part

use std::sync::Arc;

use rewindow_model::{Answer, answer};
use rewindow_query::expr::{Expr, Predicate};
use rewindow_query::plan::{
    Aggregate, AggregateCall, Group, Input, Item, Node, NodeId, Op, Output, Project, Source, SourceColumn,
    Window,
};
use rewindow_query::time::SECOND;
use rewindow_query::{Entry, History, Ordering, Payload, Plan, Policy, Record, Span, Timestamp, Value};

/// Columns of every source of a test: `k`, `v`, then the timestamp and the partition.
pub const K: usize = 0;
/// Column of the value.
pub const V: usize = 1;
/// Column of the timestamp.
pub const T: usize = 2;
/// Column of the partition.
pub const P: usize = 3;

/// An instant in seconds.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp(seconds * SECOND)
}

/// A plan under construction.
#[derive(Default)]
pub struct Build {
    nodes: Vec<Node>,
    inputs: usize,
}

impl Build {
    /// A source of (k, v, timestamp, partition); with `own_time`, TIMESTAMP BY the member `t`.
    pub fn source(&mut self, input: usize, own_time: bool) -> NodeId {
        self.inputs = self.inputs.max(input + 1);
        let mut columns = vec![
            SourceColumn::Member("k".into()),
            SourceColumn::Member("v".into()),
            SourceColumn::Timestamp,
            SourceColumn::PartitionId,
        ];
        let mut names = vec!["k", "v", "$timestamp", "PartitionId"];
        let timestamp_by = own_time.then(|| {
            columns.push(SourceColumn::Member("t".into()));
            names.push("t");
            Expr::Column(4)
        });
        self.add(
            Op::Source(Source { input, table: Vec::new(), over: Vec::new(), timestamp_by, columns }),
            &[],
            &names,
        )
    }

    /// Any node.
    pub fn add(&mut self, op: Op, inputs: &[NodeId], columns: &[&str]) -> NodeId {
        let columns = columns.iter().map(|name| Arc::from(*name)).collect();
        self.nodes.push(Node { op, inputs: inputs.to_vec(), columns, step: "test".into(), place: 0..0 });
        self.nodes.len() - 1
    }

    /// GROUP BY `k` and the window; `k`, then the aggregates as `a0`, `a1`, …
    pub fn group(&mut self, from: NodeId, window: Window, calls: &[AggregateCall]) -> NodeId {
        let mut names = vec!["k".to_owned()];
        names.extend((0..calls.len()).map(|i| format!("a{i}")));
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let group =
            Group { window, keys: vec![Expr::Column(K)], calls: calls.to_vec(), session_by: Vec::new() };
        self.add(Op::Group(group), &[from], &names)
    }

    /// SELECT these columns.
    pub fn select(&mut self, from: NodeId, items: &[(&str, Expr)]) -> NodeId {
        let names: Vec<&str> = items.iter().map(|(name, _)| *name).collect();
        let items = items.iter().map(|(name, expr)| Item::Column(Arc::from(*name), expr.clone())).collect();
        self.add(Op::Project(Project { items }), &[from], &names)
    }

    /// WHERE.
    pub fn keep(&mut self, from: NodeId, predicate: Predicate) -> NodeId {
        let columns = self.nodes[from].columns.clone();
        let names: Vec<&str> = columns.iter().map(|name| &**name).collect();
        self.add(Op::Filter(predicate), &[from], &names)
    }

    /// The plan whose only output is the last node.
    pub fn plan(self) -> Plan {
        let last = self.nodes.len() - 1;
        self.plan_of(&[last])
    }

    /// The plan with these outputs.
    pub fn plan_of(self, outputs: &[NodeId]) -> Plan {
        Plan {
            text: "".into(),
            inputs: (0..self.inputs).map(|i| Input { name: format!("input{i}").into() }).collect(),
            references: Vec::new(),
            nodes: self.nodes,
            outputs: outputs.iter().map(|&node| Output { name: "output".into(), node }).collect(),
            parallel: false,
            abreast: Vec::new(),
            warnings: Vec::new(),
        }
    }
}

/// An aggregate of column `v`.
pub fn of_v(function: Aggregate) -> AggregateCall {
    AggregateCall {
        function,
        argument: Some(Expr::Column(V)),
        distinct: false,
        as_text: false,
        order: Vec::new(),
        user: None,
    }
}

/// COUNT(*)
pub fn count() -> AggregateCall {
    AggregateCall {
        function: Aggregate::Count,
        argument: None,
        distinct: false,
        as_text: false,
        order: Vec::new(),
        user: None,
    }
}

/// `CAST(column AS bigint)`, which fails for text.
pub fn cast(column: usize) -> Expr {
    Expr::Cast { expr: Box::new(Expr::Column(column)), to: rewindow_query::Type::Bigint, lenient: false }
}

/// An event of input 0, partition 0: arrival in seconds, key, value.
pub fn event(arrival: i64, k: impl Into<Cell>, v: impl Into<Cell>) -> Entry {
    entry(arrival, &[("k", k.into().0), ("v", v.into().0)])
}

/// An event whose own time `t` differs from its arrival.
pub fn event_by(arrival: i64, t: i64, v: impl Into<Cell>) -> Entry {
    entry(arrival, &[("v", v.into().0), ("t", Value::Datetime(at(t)))])
}

/// An entry of any members.
pub fn entry(arrival: i64, members: &[(&str, Value)]) -> Entry {
    let members = members.iter().map(|(name, value)| (Arc::from(*name), value.clone())).collect();
    let payload = Payload::Event(Arc::new(Record::new(members)));
    Entry { input: 0, partition: 0, offset: 0, arrival: at(arrival), payload }
}

/// A value of a test.
pub struct Cell(pub Value);

impl From<i64> for Cell {
    fn from(int: i64) -> Cell {
        Cell(Value::Int(int))
    }
}

impl From<f64> for Cell {
    fn from(float: f64) -> Cell {
        Cell(Value::Float(float))
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Cell {
        Cell(Value::text(text))
    }
}

impl From<Value> for Cell {
    fn from(value: Value) -> Cell {
        Cell(value)
    }
}

/// Entries with offsets in the order given, per (input, partition).
pub fn history(entries: Vec<Entry>) -> History {
    let mut next = std::collections::BTreeMap::new();
    let numbered = entries.into_iter().map(|mut entry| {
        let offset = next.entry((entry.input, entry.partition)).or_insert(0);
        entry.offset = *offset;
        *offset += 1;
        entry
    });
    History::of(numbered.collect())
}

/// Tolerances in seconds.
pub fn tolerances(late: i64, out_of_order: i64, policy: Policy) -> Ordering {
    Ordering { late: Span::seconds(late), out_of_order: Span::seconds(out_of_order), policy }
}

/// The answer with one partition for each input, arrival order in time.
pub fn ask(plan: &Plan, entries: Vec<Entry>) -> Answer {
    answer(plan, &tolerances(5, 0, Policy::Adjust), &vec![1; plan.inputs.len()], &history(entries))
}

/// An instant as seconds, with `+1` for a tick more.
pub fn seconds(timestamp: Timestamp) -> String {
    let (whole, ticks) = (timestamp.0.div_euclid(SECOND), timestamp.0.rem_euclid(SECOND));
    if ticks == 0 { whole.to_string() } else { format!("{whole}+{ticks}") }
}

/// Rows as text: `38 a 2`, the values without names; then the failure.
pub fn text(answer: &Answer) -> String {
    let row = |row: &rewindow_query::Row| {
        let values = row.record.members().iter().map(|(name, value)| match value {
            Value::Text(text) => text.to_string(),
            Value::Datetime(timestamp) => seconds(*timestamp),
            Value::Record(_) => format!("{name}={value}"),
            value => value.to_string(),
        });
        let values: Vec<String> = values.collect();
        format!("{} {}", seconds(row.timestamp), values.join(" ")).trim_end().to_owned()
    };
    let mut lines: Vec<String> = answer.rows.iter().map(row).collect();
    lines.extend(answer.failure.iter().map(|failure| format!("{} failed", seconds(failure.at))));
    lines.join("\n")
}

/// The rows are these, one on each line, indentation aside.
#[track_caller]
pub fn check(plan: &Plan, entries: Vec<Entry>, expected: &str) {
    let expected: Vec<&str> = expected.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert_eq!(text(&ask(plan, entries)), expected.join("\n"));
}
