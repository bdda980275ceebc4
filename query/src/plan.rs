//! The analysed plan: a graph of operators, names resolved, limits checked.
//!
//! Made by [`crate::analyse`], read by `model`, `engine` and the front door. It is the question, and says
//! nothing of how to answer it. Invariants: a node's inputs stand before it; every column index is
//! inside its input's columns; sizes are whole, positive ticks of at most seven days; names of steps are
//! gone. What a node emits at time `t` depends only on what it read stamped in `(t - lookback, t]`.
//!
//! Canonical order: everywhere rows are ordered by timestamp, and rows of equal timestamp
//! - of a source by (partition, offset),
//! - of a grouping by (window member, grouping key in the order of keys),
//! - of a join by (place of the left row, place of the right row), an unmatched left row at its left place,
//! - of a union by (branch, place in the branch),
//! - of anything else as in its input.

use std::sync::Arc;

use crate::expr::{Expr, Predicate};
use crate::functions::ExternalAggregate;
use crate::time::{Span, Unit};
use crate::value::Type;

/// Index of a node in [`Plan::nodes`].
pub type NodeId = usize;

/// An analysed query.
#[derive(Clone, PartialEq, Debug)]
pub struct Plan {
    /// The query as written.
    pub text: Arc<str>,
    /// The streams it reads, each once, in order of first mention.
    pub inputs: Vec<Input>,
    /// Reference data it joins, each once, in order of first mention.
    pub references: Vec<Input>,
    /// Operators, each after its inputs.
    pub nodes: Vec<Node>,
    /// The outputs, in the order of their statements.
    pub outputs: Vec<Output>,
    /// Whether every path from source to output is partitioned by PartitionId (rule 11.4): then each
    /// partition is a pipeline of its own, with its own watermark and its own output.
    pub parallel: bool,
    /// The streams that are joined or united partition by partition, so that they must have equally many
    /// (rules 5.6, 8.6).
    pub abreast: Vec<Abreast>,
    /// Remarks that do not stop the query (an unknown column that reads as NULL, …).
    pub warnings: Vec<String>,
}

/// A stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Input {
    /// Its name as first written.
    pub name: Arc<str>,
}

/// Streams that must have equally many partitions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Abreast {
    /// The streams, sorted.
    pub inputs: Vec<usize>,
    /// Whether a UNION brings them together, not a JOIN.
    pub union: bool,
    /// Byte range in the text that says so.
    pub place: std::ops::Range<usize>,
}

/// Where rows leave the job.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Output {
    /// The INTO name; `output` without INTO.
    pub name: Arc<str>,
    /// The node whose rows it takes.
    pub node: NodeId,
}

/// One operator.
#[derive(Clone, PartialEq, Debug)]
pub struct Node {
    /// What it does.
    pub op: Op,
    /// Whose rows it reads, in the order its operator counts them.
    pub inputs: Vec<NodeId>,
    /// Names of the columns it emits, for reports and for the last projection; hidden ones begin with `$`.
    pub columns: Vec<Arc<str>>,
    /// The step or output it belongs to, as a user would name it.
    pub step: Arc<str>,
    /// Byte range in the text that it came from.
    pub place: std::ops::Range<usize>,
}

/// The operators.
#[derive(Clone, PartialEq, Debug)]
pub enum Op {
    /// Reads a stream and orders it (section 3).
    Source(Source),
    /// Keeps the rows for which the predicate holds.
    Filter(Predicate),
    /// Computes new columns.
    Project(Project),
    /// Groups by window and keys (section 4), and aggregates (section 6).
    /// Emits `keys` then `calls`; timestamps are window ends.
    Group(Group),
    /// Joins two streams within a bound of time (section 8). Emits the left columns, then the right ones.
    Join(Join),
    /// Appends one column: LAG (rule 7.1).
    Lag(Lag),
    /// Appends one column: LAST (rule 7.2).
    Last(Last),
    /// Appends one column: ISFIRST (rule 7.3).
    IsFirst(IsFirst),
    /// Appends one column: an aggregate with OVER (rule 6.2).
    Over(Over),
    /// One row per element or property (rule 5.10). Appends two columns: ArrayIndex and ArrayValue, or
    /// PropertyName and PropertyValue.
    Apply(Apply),
    /// Joins reference data (rule 8.7). Emits the left columns, then the reference columns.
    ReferenceJoin(ReferenceJoin),
    /// MATCH_RECOGNIZE (section 9). Emits the measures.
    Match(Match),
    /// All rows of all inputs (rule 5.6); columns by position.
    Union,
}

/// A stream as one FROM reads it. Emits `columns`.
#[derive(Clone, PartialEq, Debug)]
pub struct Source {
    /// Index into [`Plan::inputs`].
    pub input: usize,
    /// CREATE TABLE of the stream: an event with a value that does not fit is dropped (rule 1.8); text in
    /// ISO form becomes a datetime where a datetime is declared. Empty without one.
    pub table: Vec<(Arc<str>, Type)>,
    /// TIMESTAMP BY … OVER (rule 3.9): over the emitted columns. Empty without substreams.
    pub over: Vec<Expr>,
    /// TIMESTAMP BY, over the emitted columns; without it the arrival is the timestamp, and late and
    /// out-of-order settings do not apply (rule 3.4).
    pub timestamp_by: Option<Expr>,
    /// What is taken out of each entry.
    pub columns: Vec<SourceColumn>,
}

/// What a source column holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SourceColumn {
    /// The payload's member of that name (A-NAME-CASE); NULL where the event has none.
    Member(Arc<str>),
    /// The whole payload as a record, for `SELECT *` and `LAG(*)`.
    Payload,
    /// PartitionId, from 0 (rule 3.11).
    PartitionId,
    /// EventEnqueuedUtcTime: the arrival. EventProcessedUtcTime reads the same, for repeatability
    /// (rule 13.6).
    Arrival,
    /// The timestamp after the policies, so that it survives a join: `DATEDIFF(unit, a, b)` and
    /// `System.Timestamp()` of one side (rules 8.2, 8.3).
    Timestamp,
}

/// New columns from old ones.
#[derive(Clone, PartialEq, Debug)]
pub struct Project {
    /// The items, left to right.
    pub items: Vec<Item>,
}

/// An item of a projection.
#[derive(Clone, PartialEq, Debug)]
pub enum Item {
    /// A column of that name.
    Column(Arc<str>, Expr),
    /// The members of a record column, at this place: `*`, `alias.*`, `recordColumn.*`. Only in the
    /// projection in front of an output. Emits one column each; a member whose name an item further
    /// left already has is left out (rule 5.2), and so is one an explicit column further right has
    /// (choice C-STAR). NULL spreads to nothing.
    Spread(Expr),
}

/// GROUP BY.
#[derive(Clone, PartialEq, Debug)]
pub struct Group {
    /// The window.
    pub window: Window,
    /// Grouping keys over the input. A partition key of the step stands last if it is not among them.
    pub keys: Vec<Expr>,
    /// Aggregates over the input.
    pub calls: Vec<AggregateCall>,
    /// OVER (PARTITION BY …) of a session window, and the key of a partitioned step: events that agree in
    /// it share session borders. Empty: one line of sessions for all events (A-SESSION-NOPART). Empty for
    /// every other window.
    pub session_by: Vec<Expr>,
}

/// Windows; every one is (start, end] (rule 4.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Window {
    /// Rule 4.6. Ends at `k * size + offset`, counted from 0001-01-01.
    Tumbling {
        /// Length.
        size: Span,
        /// Shift of all ends, may be negative.
        offset: Span,
    },
    /// Rule 4.7. Ends at `k * hop + offset`.
    Hopping {
        /// Length.
        size: Span,
        /// Distance of ends.
        hop: Span,
        /// Shift of all ends, may be negative.
        offset: Span,
    },
    /// Rule 4.8.
    Sliding {
        /// Length.
        size: Span,
    },
    /// Rule 4.9. Whose events set the borders is in [`Group::session_by`].
    Session {
        /// A longer silence than this ends the session.
        timeout: Span,
        /// Distance of the check points at which a session this old or older is ended.
        max: Span,
    },
    /// Rule 4.10: events of equal timestamp.
    Snapshot,
}

/// One aggregate of a grouping.
#[derive(Clone, PartialEq, Debug)]
pub struct AggregateCall {
    /// Which.
    pub function: Aggregate,
    /// Of what; `None` is COUNT(*). COLLECT, COLLECTTOP and TOPONE without argument are given a record of
    /// the whole event.
    pub argument: Option<Expr>,
    /// DISTINCT.
    pub distinct: bool,
    /// The argument is explicitly cast to nvarchar(max), so MIN and MAX compare text (rule 6.1).
    pub as_text: bool,
    /// ORDER BY of COLLECTTOP, TOPONE and the percentiles, most significant first; `true` is DESC. NULL is
    /// the smallest (rule 2.7). Empty for all others.
    pub order: Vec<(Expr, bool)>,
    /// Whose aggregate [`Aggregate::User`] is; `None` for all others.
    pub user: Option<Arc<ExternalAggregate>>,
}

/// The aggregates of rule 6.1.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Aggregate {
    /// COUNT
    Count,
    /// SUM
    Sum,
    /// AVG
    Avg,
    /// MIN
    Min,
    /// MAX
    Max,
    /// VAR: divisor n - 1; NULL of one value (A-STDEV-ONE)
    Var,
    /// VARP: divisor n
    VarP,
    /// STDEV: square root of VAR
    Stdev,
    /// STDEVP: square root of VARP
    StdevP,
    /// PERCENTILE_CONT(p) OVER (ORDER BY x): the argument is x, `order` says whether DESC
    PercentileCont(f64),
    /// PERCENTILE_DISC(p) OVER (ORDER BY x): the argument is x, `order` says whether DESC
    PercentileDisc(f64),
    /// COLLECT: an array in processing order
    Collect,
    /// COLLECTTOP(n): an array of records `{rank, value}`
    CollectTop(u32),
    /// TOPONE
    TopOne,
    /// `uda.*` and AnomalyDetection_*: see [`AggregateCall::user`]
    User,
}

/// A join of two streams.
#[derive(Clone, PartialEq, Debug)]
pub struct Join {
    /// LEFT OUTER JOIN: a left row without any partner comes out once, with NULLs (rule 8.4).
    pub left_outer: bool,
    /// The whole ON condition, over left columns then right columns; DATEDIFF on aliases reads their
    /// timestamp columns. This alone defines what matches.
    pub on: Predicate,
    /// What the analysis found in `on`: the bound in time, for lookback, for state and for the
    /// timestamp of an unmatched row.
    pub bound: Bound,
    /// What the analysis found in `on`: pairs of (left, right) expressions that `on` demands equal,
    /// each over its own side's columns.
    pub equal: Vec<(Expr, Expr)>,
    /// How many columns the left side has.
    pub left_columns: usize,
}

/// A bound on the distance in time of two rows that match: `DATEDIFF(unit, left, right)` lies in
/// `low..=high`, both ends inclusive, counting boundaries (rule 8.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bound {
    /// The unit; one of fixed length.
    pub unit: Unit,
    /// Least difference.
    pub low: i64,
    /// Greatest difference.
    pub high: i64,
    /// Left column with the timestamp that is compared.
    pub left: usize,
    /// Right column (counted from the right side's first) with the timestamp that is compared.
    pub right: usize,
}

/// LAG(x, offset, default) OVER (PARTITION BY … LIMIT DURATION(…) WHEN …).
#[derive(Clone, PartialEq, Debug)]
pub struct Lag {
    /// x
    pub argument: Expr,
    /// How many rows back; at least 1.
    pub offset: u32,
    /// For rows that have no such predecessor; evaluated on the current row.
    pub default: Expr,
    /// PARTITION BY; equal keys share a history.
    pub partition: Vec<Expr>,
    /// LIMIT DURATION: a predecessor at `p` counts for a row at `t` if `p > t - limit` (A-LIMIT-EDGE).
    pub limit: Span,
    /// WHEN: which rows may be looked back at.
    pub when: Option<Predicate>,
}

/// LAST(x, default) OVER (…): LAG that may find the current row itself.
#[derive(Clone, PartialEq, Debug)]
pub struct Last {
    /// x
    pub argument: Expr,
    /// For rows that find nothing; evaluated on the current row.
    pub default: Expr,
    /// PARTITION BY.
    pub partition: Vec<Expr>,
    /// LIMIT DURATION, as for LAG.
    pub limit: Span,
    /// WHEN.
    pub when: Option<Predicate>,
}

/// ISFIRST(unit, n) OVER (PARTITION BY … WHEN …).
#[derive(Clone, PartialEq, Debug)]
pub struct IsFirst {
    /// Length of the intervals; they end at multiples of it and include their end.
    pub interval: Span,
    /// PARTITION BY.
    pub partition: Vec<Expr>,
    /// WHEN: a row that fails it gets 0 and is not counted.
    pub when: Option<Predicate>,
}

/// `f(x) OVER ([PARTITION BY …] LIMIT DURATION(…) [WHEN …])`: over the rows of equal key from the duration
/// back to the current one, `p > t - limit`, that satisfy WHEN (rule 6.2, A-LIMIT-EDGE, A-OVER-TIES).
#[derive(Clone, PartialEq, Debug)]
pub struct Over {
    /// The aggregate; never DISTINCT.
    pub call: AggregateCall,
    /// PARTITION BY.
    pub partition: Vec<Expr>,
    /// LIMIT DURATION.
    pub limit: Span,
    /// WHEN: which rows count; a row that fails it still gets a result.
    pub when: Option<Predicate>,
}

/// CROSS APPLY and OUTER APPLY.
#[derive(Clone, PartialEq, Debug)]
pub struct Apply {
    /// What is taken apart.
    pub kind: ApplyKind,
    /// The array or record; NULL counts as none, anything else that is none of them is a runtime error.
    pub argument: Expr,
    /// OUTER: a row without elements stays once, with NULLs.
    pub outer: bool,
}

/// What APPLY takes apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ApplyKind {
    /// GetArrayElements: ArrayIndex from 0, ArrayValue.
    Elements,
    /// GetRecordProperties: PropertyName, PropertyValue.
    Properties,
}

/// A join of a stream with reference data: no bound in time, no waiting, the stream row's timestamp.
#[derive(Clone, PartialEq, Debug)]
pub struct ReferenceJoin {
    /// Index into [`Plan::references`].
    pub reference: usize,
    /// CREATE TABLE of the reference data: a row with a value that does not fit is left out, as an event of a
    /// stream is (rule 1.8). Empty without one.
    pub table: Vec<(Arc<str>, Type)>,
    /// Members of a reference row that become columns; the empty name is the whole row as a record.
    pub columns: Vec<Arc<str>>,
    /// LEFT OUTER JOIN.
    pub left_outer: bool,
    /// The whole ON condition, over left columns then reference columns.
    pub on: Predicate,
    /// Pairs of (left, reference) expressions that `on` demands equal, each over its own side's columns.
    pub equal: Vec<(Expr, Expr)>,
    /// How many columns the left side has.
    pub left_columns: usize,
}

/// MATCH_RECOGNIZE.
#[derive(Clone, PartialEq, Debug)]
pub struct Match {
    /// LIMIT DURATION: all events of a match are stamped within it, `last - first < limit`.
    pub limit: Span,
    /// PARTITION BY.
    pub partition: Vec<Expr>,
    /// Variables in the order of DEFINE; a variable of the pattern without DEFINE comes last and always
    /// holds.
    pub variables: Vec<Variable>,
    /// PATTERN.
    pub pattern: Pattern,
    /// MEASURES: name and expression.
    pub measures: Vec<(Arc<str>, MatchExpr)>,
}

/// A variable of a pattern.
#[derive(Clone, PartialEq, Debug)]
pub struct Variable {
    /// Its name.
    pub name: Arc<str>,
    /// DEFINE, over the columns of [`Variable::terms`].
    pub define: Predicate,
    /// What the definition reads, in the order of its columns.
    pub terms: Vec<MatchTerm>,
}

/// A measure: an expression over the columns of its terms.
#[derive(Clone, PartialEq, Debug)]
pub struct MatchExpr {
    /// The expression.
    pub expr: Expr,
    /// What it reads, in the order of its columns.
    pub terms: Vec<MatchTerm>,
}

/// What a definition or a measure of a pattern reads (rules 9.4, 9.5).
#[derive(Clone, PartialEq, Debug)]
pub enum MatchTerm {
    /// `V.col` in its own DEFINE: of the event being tested.
    Current(Expr),
    /// First(V.x): of the first event matched to the variable; NULL without one.
    First(usize, Expr),
    /// Last(V.x); in a measure also plain `V.x`.
    Last(usize, Expr),
    /// Min(V.x)
    Min(usize, Expr),
    /// Max(V.x)
    Max(usize, Expr),
    /// Classifier(): names of the variables in order of events, as an array of text.
    Classifier,
}

/// A pattern (rule 9.2), greedy, leftmost branch first (A-MATCH-GREEDY).
#[derive(Clone, PartialEq, Debug)]
pub enum Pattern {
    /// One event of a variable, by index.
    Variable(usize),
    /// `.`: any one event.
    Any,
    /// One after the other.
    Sequence(Vec<Pattern>),
    /// `a | b`
    Either(Vec<Pattern>),
    /// `p*`, `p+`, `p?`, `p{n,}` as an extension: at least and at most so often.
    Repeat(Box<Pattern>, u32, Option<u32>),
}

impl Op {
    /// The operator's name in plans, tables and reports; the same word as its file in `model` and
    /// `engine`.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Source(_) => "ordering",
            Op::Filter(_) => "filter",
            Op::Project(_) => "project",
            Op::Group(group) => group.window.name(),
            Op::Join(_) => "join",
            Op::Lag(_) => "lag",
            Op::Last(_) => "last",
            Op::IsFirst(_) => "isfirst",
            Op::Over(_) => "over",
            Op::Apply(_) => "apply",
            Op::ReferenceJoin(_) => "reference",
            Op::Match(_) => "match",
            Op::Union => "union",
        }
    }
}

impl Window {
    /// The window's name.
    pub fn name(self) -> &'static str {
        match self {
            Window::Tumbling { .. } => "tumbling",
            Window::Hopping { .. } => "hopping",
            Window::Sliding { .. } => "sliding",
            Window::Session { .. } => "session",
            Window::Snapshot => "snapshot",
        }
    }
}

impl Plan {
    /// The index of a stream by name, ignoring case.
    pub fn input(&self, name: &str) -> Option<usize> {
        self.inputs.iter().position(|i| i.name.eq_ignore_ascii_case(name))
    }

    /// The index of an output by name, ignoring case.
    pub fn output(&self, name: &str) -> Option<usize> {
        self.outputs.iter().position(|o| o.name.eq_ignore_ascii_case(name))
    }
}
