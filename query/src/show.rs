//! Plans as text: for people by column names, canonically by column numbers.
//!
//! One writer for both, so that what is shown is what is fingerprinted. The canonical text is part of the
//! checkpoint format (see [`crate::fingerprint`]); change it only with its version. Invariant: two
//! expressions that differ have different canonical texts.

use std::fmt::{self, Display, Write};
use std::sync::Arc;

use crate::expr::{BinaryOp, CompareOp, Expr, Function, Predicate};
use crate::functions::External;
use crate::plan::{
    Aggregate, AggregateCall, ApplyKind, Item, Match, MatchTerm, Op, Pattern, Plan, SourceColumn, Window,
};
use crate::time::{Span, span_to_clock};
use crate::value::{Type, Value};

/// Writes columns by their names, or canonically as `#3`.
#[derive(Clone, Copy)]
struct Show<'a, T: ?Sized> {
    what: &'a T,
    names: Option<&'a [Arc<str>]>,
}

impl<'a, T: ?Sized> Show<'a, T> {
    fn with<U: ?Sized>(&self, what: &'a U) -> Show<'a, U> {
        Show { what, names: self.names }
    }
}

/// One line for each node: number, operator, details, inputs, step.
impl Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (id, node) in self.nodes.iter().enumerate() {
            write!(f, "{id} {}", node.op.name())?;
            let mut names: Vec<Arc<str>> = Vec::new();
            for &input in &node.inputs {
                names.extend(self.nodes[input].columns.iter().cloned());
            }
            if let Op::Join(_) = &node.op {
                names.clone_from(&node.columns);
            }
            if let Op::ReferenceJoin(join) = &node.op {
                names.clone_from(&node.columns);
                let reference = self.references.get(join.reference).map_or("?", |input| &*input.name);
                write!(f, " {reference}")?;
            }
            if let Op::Source(source) = &node.op {
                names.clone_from(&node.columns);
                let stream = self.inputs.get(source.input).map_or("?", |input| &*input.name);
                write!(f, " {stream}")?;
            }
            write!(f, "{}", Show { what: &node.op, names: Some(&names) })?;
            if !node.inputs.is_empty() {
                write!(f, " <- {}", List(node.inputs.iter()))?;
            }
            writeln!(f)?;
        }
        for output in &self.outputs {
            writeln!(f, "{} <- {}", output.name, output.node)?;
        }
        if self.parallel { writeln!(f, "parallel") } else { Ok(()) }
    }
}

impl Plan {
    /// The plan's meaning as text: no places, no step names, columns by number.
    pub(crate) fn canonical(&self) -> String {
        let mut text = String::new();
        for input in &self.inputs {
            let _ = writeln!(text, "input {}", quoted(&input.name));
        }
        for reference in &self.references {
            let _ = writeln!(text, "reference {}", quoted(&reference.name));
        }
        for node in &self.nodes {
            let _ = write!(text, "{}", node.op.name());
            if let Op::Source(source) = &node.op {
                let _ = write!(text, " {}", source.input);
            }
            if let Op::ReferenceJoin(join) = &node.op {
                let _ = write!(text, " {}", join.reference);
            }
            let _ =
                writeln!(text, "{} <- {}", Show { what: &node.op, names: None }, List(node.inputs.iter()));
        }
        for output in &self.outputs {
            let _ = writeln!(text, "output {} {}", quoted(&output.name), output.node);
        }
        let _ = writeln!(text, "parallel {}", self.parallel);
        text
    }
}

impl Display for Show<'_, Op> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.what {
            Op::Source(source) => {
                let columns = source.columns.iter().map(|c| self.with(c));
                write!(f, " [{}]", List(columns))?;
                self.table(f, &source.table)?;
                source.timestamp_by.iter().try_for_each(|by| write!(f, " timestamp by {}", self.with(by)))?;
                if !source.over.is_empty() {
                    write!(f, " over [{}]", List(source.over.iter().map(|e| self.with(e))))?;
                }
                Ok(())
            }
            Op::Filter(predicate) => write!(f, " {}", self.with(predicate)),
            Op::Project(project) => write!(f, " {}", List(project.items.iter().map(|i| self.with(i)))),
            Op::Group(group) => {
                write!(f, "{}", self.with(&group.window))?;
                let keys = group.keys.iter().map(|e| self.with(e));
                let calls = group.calls.iter().map(|c| self.with(c));
                write!(f, " by [{}] of [{}]", List(keys), List(calls))?;
                if !group.session_by.is_empty() {
                    let lines = group.session_by.iter().map(|e| self.with(e));
                    write!(f, " sessions by [{}]", List(lines))?;
                }
                Ok(())
            }
            Op::Join(join) => {
                let bound = join.bound;
                let kind = if join.left_outer { " left" } else { "" };
                write!(f, "{kind} {} {}..={} ", bound.unit.name(), bound.low, bound.high)?;
                let right = bound.right + join.left_columns;
                write!(f, "of {} {}", self.column(bound.left), self.column(right))?;
                write!(f, " on {}", self.with(&join.on))
            }
            Op::Lag(lag) => {
                write!(
                    f,
                    " {} {} default {}",
                    self.with(&lag.argument),
                    lag.offset,
                    self.with(&lag.default)
                )?;
                self.over(f, &lag.partition, Some(lag.limit), lag.when.as_ref())
            }
            Op::Last(last) => {
                write!(f, " {} default {}", self.with(&last.argument), self.with(&last.default))?;
                self.over(f, &last.partition, Some(last.limit), last.when.as_ref())
            }
            Op::IsFirst(first) => {
                write!(f, " {}", self.span(first.interval))?;
                self.over(f, &first.partition, None, first.when.as_ref())
            }
            Op::Over(over) => {
                write!(f, " {}", self.with(&over.call))?;
                self.over(f, &over.partition, Some(over.limit), over.when.as_ref())
            }
            Op::Apply(apply) => {
                let kind = if apply.outer { "outer" } else { "cross" };
                let what = match apply.kind {
                    ApplyKind::Elements => "elements",
                    ApplyKind::Properties => "properties",
                };
                write!(f, " {kind} {what} of {}", self.with(&apply.argument))
            }
            Op::ReferenceJoin(join) => {
                let kind = if join.left_outer { " left" } else { "" };
                let columns = join.columns.iter().map(|name| match (&**name, self.names) {
                    ("", _) => "*".to_owned(),
                    (name, Some(_)) => name.to_owned(),
                    (name, None) => quoted(name),
                });
                write!(f, "{kind} [{}]", List(columns))?;
                self.table(f, &join.table)?;
                write!(f, " on {}", self.with(&join.on))
            }
            Op::Match(pattern) => self.with(pattern).fmt(f),
            Op::Union => Ok(()),
        }
    }
}

impl Show<'_, Op> {
    /// CREATE TABLE of an input, if it has one.
    fn table(&self, f: &mut fmt::Formatter<'_>, table: &[(Arc<str>, Type)]) -> fmt::Result {
        if table.is_empty() {
            return Ok(());
        }
        let declared = table.iter().map(|(name, ty)| match self.names {
            Some(_) => format!("{name} {}", ty.name()),
            None => format!("{} {}", quoted(name), ty.name()),
        });
        write!(f, " table [{}]", List(declared))
    }
}

impl Display for Show<'_, Match> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, " {}", self.pattern(&self.what.pattern))?;
        if !self.what.partition.is_empty() {
            write!(f, " by [{}]", List(self.what.partition.iter().map(|e| self.with(e))))?;
        }
        write!(f, " limit {}", self.span(self.what.limit))?;
        for variable in &self.what.variables {
            let name = if self.names.is_some() { variable.name.to_string() } else { quoted(&variable.name) };
            let terms = self.terms(&variable.terms);
            let names = self.names.map(|_| terms.as_slice());
            write!(f, " define {name} as {}", Show { what: &variable.define, names })?;
            if self.names.is_none() {
                write!(f, " over [{}]", List(terms.iter()))?;
            }
        }
        for (name, measure) in &self.what.measures {
            let name = if self.names.is_some() { name.to_string() } else { quoted(name) };
            let terms = self.terms(&measure.terms);
            let names = self.names.map(|_| terms.as_slice());
            write!(f, " measure {name} = {}", Show { what: &measure.expr, names })?;
            if self.names.is_none() {
                write!(f, " over [{}]", List(terms.iter()))?;
            }
        }
        Ok(())
    }
}

impl Show<'_, Match> {
    /// A variable by name, canonically by its number.
    fn variable(&self, index: usize) -> String {
        match (self.names, self.what.variables.get(index)) {
            (Some(_), Some(variable)) => variable.name.to_string(),
            _ => format!("@{index}"),
        }
    }

    fn terms(&self, terms: &[MatchTerm]) -> Vec<Arc<str>> {
        let of = |name: &str, variable: usize, expr: &Expr| {
            format!("{name}({}, {})", self.variable(variable), self.with(expr))
        };
        let show = |term: &MatchTerm| match term {
            MatchTerm::Current(expr) => self.with(expr).to_string(),
            MatchTerm::First(variable, expr) => of("first", *variable, expr),
            MatchTerm::Last(variable, expr) => of("last", *variable, expr),
            MatchTerm::Min(variable, expr) => of("min", *variable, expr),
            MatchTerm::Max(variable, expr) => of("max", *variable, expr),
            MatchTerm::Classifier => "classifier()".to_owned(),
        };
        terms.iter().map(|term| show(term).into()).collect()
    }

    fn pattern(&self, pattern: &Pattern) -> String {
        let all = |parts: &[Pattern], between: &str| {
            let parts: Vec<String> = parts.iter().map(|part| self.pattern(part)).collect();
            format!("({})", parts.join(between))
        };
        match pattern {
            Pattern::Variable(index) => self.variable(*index),
            Pattern::Any => ".".to_owned(),
            Pattern::Sequence(parts) => all(parts, " "),
            Pattern::Either(parts) => all(parts, " | "),
            Pattern::Repeat(inner, least, most) => {
                let most = most.map_or(String::new(), |most| most.to_string());
                format!("{}{{{least},{most}}}", self.pattern(inner))
            }
        }
    }
}

impl<'a> Show<'a, Op> {
    fn over(
        &self,
        f: &mut fmt::Formatter<'_>,
        partition: &'a [Expr],
        limit: Option<Span>,
        when: Option<&'a Predicate>,
    ) -> fmt::Result {
        if !partition.is_empty() {
            write!(f, " by [{}]", List(partition.iter().map(|e| self.with(e))))?;
        }
        limit.iter().try_for_each(|limit| write!(f, " limit {}", self.span(*limit)))?;
        when.iter().try_for_each(|when| write!(f, " when {}", self.with(*when)))
    }
}

impl<T: ?Sized> Show<'_, T> {
    fn column(&self, index: usize) -> String {
        match self.names.and_then(|names| names.get(index)) {
            Some(name) => name.to_string(),
            None => format!("#{index}"),
        }
    }

    /// A function from outside: name, version and constants; for people the name alone.
    fn external<I: ?Sized>(&self, f: &mut fmt::Formatter<'_>, external: &External<I>) -> fmt::Result {
        if self.names.is_some() {
            return write!(f, " {}", external.name);
        }
        let name = external.name.to_ascii_lowercase();
        write!(f, " {} {:016x} [", quoted(&name), external.version)?;
        external.parameters.iter().try_for_each(|value| {
            literal(f, value)?;
            f.write_str(",")
        })?;
        f.write_str("]")
    }

    /// For people as in `6 h`, canonically exact.
    fn span(&self, span: Span) -> String {
        if self.names.is_some() { span.to_string() } else { span_to_clock(span) }
    }
}

impl Display for Show<'_, Window> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shift = |offset: Span| match offset {
            Span::ZERO => String::new(),
            offset => format!(" offset {}", self.span(offset)),
        };
        match *self.what {
            Window::Tumbling { size, offset } => write!(f, " {}{}", self.span(size), shift(offset)),
            Window::Hopping { size, hop, offset } => {
                write!(f, " {} every {}{}", self.span(size), self.span(hop), shift(offset))
            }
            Window::Sliding { size } => write!(f, " {}", self.span(size)),
            Window::Session { timeout, max } => {
                write!(f, " timeout {} max {}", self.span(timeout), self.span(max))
            }
            Window::Snapshot => Ok(()),
        }
    }
}

impl Display for Show<'_, SourceColumn> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.what, self.names) {
            (SourceColumn::Member(name), Some(_)) => f.write_str(name),
            (SourceColumn::Member(name), None) => f.write_str(&quoted(name)),
            (SourceColumn::Payload, _) => f.write_str("$payload"),
            (SourceColumn::PartitionId, _) => f.write_str("$partition"),
            (SourceColumn::Arrival, _) => f.write_str("$arrival"),
            (SourceColumn::Timestamp, _) => f.write_str("$timestamp"),
        }
    }
}

impl Display for Show<'_, Item> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.what, self.names) {
            (Item::Column(name, expr), Some(_)) => {
                let shown = self.with(expr).to_string();
                if *shown == **name { f.write_str(name) } else { write!(f, "{name} = {shown}") }
            }
            (Item::Column(name, expr), None) => write!(f, "{} = {}", quoted(name), self.with(expr)),
            (Item::Spread(expr), _) => write!(f, "{}.*", self.with(expr)),
        }
    }
}

impl Display for Show<'_, AggregateCall> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.what.function {
            Aggregate::Count => "count",
            Aggregate::Sum => "sum",
            Aggregate::Avg => "avg",
            Aggregate::Min => "min",
            Aggregate::Max => "max",
            Aggregate::Var => "var",
            Aggregate::VarP => "varp",
            Aggregate::Stdev => "stdev",
            Aggregate::StdevP => "stdevp",
            Aggregate::PercentileCont(_) => "percentile_cont",
            Aggregate::PercentileDisc(_) => "percentile_disc",
            Aggregate::Collect => "collect",
            Aggregate::CollectTop(_) => "collecttop",
            Aggregate::TopOne => "topone",
            Aggregate::User => "user",
        };
        f.write_str(name)?;
        match self.what.function {
            Aggregate::PercentileCont(p) | Aggregate::PercentileDisc(p) if self.names.is_some() => {
                write!(f, " {p}")?;
            }
            Aggregate::PercentileCont(p) | Aggregate::PercentileDisc(p) => {
                write!(f, " {:016x}", p.to_bits())?;
            }
            Aggregate::CollectTop(n) => write!(f, " {n}")?,
            _ => {}
        }
        if let Some(user) = &self.what.user {
            self.external(f, user)?;
        }
        let distinct = if self.what.distinct { "distinct " } else { "" };
        let text = if self.what.as_text { " as text" } else { "" };
        match &self.what.argument {
            None => f.write_str("(*)")?,
            Some(argument) => write!(f, "({distinct}{}{text})", self.with(argument))?,
        }
        if !self.what.order.is_empty() {
            let order = self.what.order.iter().map(|(expr, descending)| {
                format!("{}{}", self.with(expr), if *descending { " desc" } else { "" })
            });
            write!(f, " order by [{}]", List(order))?;
        }
        Ok(())
    }
}

impl Display for Show<'_, Expr> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.what {
            Expr::Literal(Value::Float(float)) if self.names.is_none() => {
                write!(f, "float {:016x}", float.to_bits())
            }
            Expr::Literal(value) => literal(f, value),
            Expr::Column(index) => f.write_str(&self.column(*index)),
            Expr::Timestamp => f.write_str("timestamp()"),
            Expr::Member(record, name) if self.names.is_some() => {
                write!(f, "{}.{name}", self.with(&**record))
            }
            Expr::Member(record, name) => write!(f, "{}.{}", self.with(&**record), quoted(name)),
            Expr::Negate(inner) => write!(f, "-({})", self.with(&**inner)),
            Expr::BitNot(inner) => write!(f, "~({})", self.with(&**inner)),
            Expr::Binary(op, a, b) => write!(f, "({} {} {})", self.with(&**a), sign(*op), self.with(&**b)),
            Expr::Case(branches, otherwise) => {
                f.write_str("case")?;
                for (when, then) in branches {
                    write!(f, " when {} then {}", self.with(when), self.with(then))?;
                }
                write!(f, " else {} end", self.with(&**otherwise))
            }
            Expr::Cast { expr, to, lenient } => {
                write!(
                    f,
                    "{}cast({} as {})",
                    if *lenient { "try_" } else { "" },
                    self.with(&**expr),
                    to.name()
                )
            }
            Expr::Call(function, args) => {
                write!(f, "{}({})", function_name(*function), List(args.iter().map(|e| self.with(e))))
            }
            Expr::External(function, args) => {
                f.write_str("external")?;
                self.external(f, function)?;
                write!(f, "({})", List(args.iter().map(|e| self.with(e))))
            }
            Expr::Record(members) => {
                let members = members.iter().map(|(name, expr)| match self.names {
                    Some(_) => format!("{name}: {}", self.with(expr)),
                    None => format!("{}: {}", quoted(name), self.with(expr)),
                });
                write!(f, "{{{}}}", List(members))
            }
        }
    }
}

impl Display for Show<'_, Predicate> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let not = |negated: bool| if negated { " not" } else { "" };
        match self.what {
            Predicate::Constant(holds) => write!(f, "{holds}"),
            Predicate::And(parts) => self.joined(f, parts, " and "),
            Predicate::Or(parts) => self.joined(f, parts, " or "),
            Predicate::Not(inner) => write!(f, "not ({})", self.with(&**inner)),
            Predicate::Compare(op, a, b) => {
                write!(f, "{} {} {}", self.with(a), comparison(*op), self.with(b))
            }
            Predicate::IsNull(expr) => write!(f, "{} is null", self.with(expr)),
            Predicate::Like { expr, pattern, escape, negated } => {
                write!(f, "{}{} like {}", self.with(expr), not(*negated), self.with(pattern))?;
                escape.iter().try_for_each(|c| write!(f, " escape {}", quoted(c.encode_utf8(&mut [0; 4]))))
            }
            Predicate::Between { expr, low, high, negated } => {
                let (low, high) = (self.with(low), self.with(high));
                write!(f, "{}{} between {low} and {high}", self.with(expr), not(*negated))
            }
            Predicate::In { expr, list, negated } => {
                let list = List(list.iter().map(|e| self.with(e)));
                write!(f, "{}{} in ({list})", self.with(expr), not(*negated))
            }
        }
    }
}

impl<'a> Show<'a, Predicate> {
    fn joined(&self, f: &mut fmt::Formatter<'_>, parts: &'a [Predicate], word: &str) -> fmt::Result {
        f.write_char('(')?;
        for (place, part) in parts.iter().enumerate() {
            if place > 0 {
                f.write_str(word)?;
            }
            write!(f, "{}", self.with(part))?;
        }
        f.write_char(')')
    }
}

/// In single quotes, which are doubled inside: no other character is touched, so the text depends on no
/// table of printable characters.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A constant with its type.
fn literal(f: &mut fmt::Formatter<'_>, value: &Value) -> fmt::Result {
    match value {
        Value::Null => f.write_str("null"),
        Value::Float(float) => write!(f, "{float:?}"),
        Value::Text(text) => f.write_str(&quoted(text)),
        Value::Datetime(t) => write!(f, "datetime {t}"),
        Value::Bit(bit) => write!(f, "bit {}", u8::from(*bit)),
        other => write!(f, "{other}"),
    }
}

fn function_name(function: Function) -> String {
    match function {
        Function::DateDiff(unit) => format!("datediff {}", unit.name()),
        Function::DateAdd(unit) => format!("dateadd {}", unit.name()),
        Function::DatePart(unit) => format!("datepart {}", unit.name()),
        Function::DateName(unit) => format!("datename {}", unit.name()),
        Function::DateTimeFromParts => "datetimefromparts".to_owned(),
        Function::Coalesce => "coalesce".to_owned(),
        Function::NullIf => "nullif".to_owned(),
        Function::GetType => "gettype".to_owned(),
        Function::Abs => "abs".to_owned(),
        Function::Ceiling => "ceiling".to_owned(),
        Function::Floor => "floor".to_owned(),
        Function::Sign => "sign".to_owned(),
        Function::Len => "len".to_owned(),
        Function::Upper => "upper".to_owned(),
        Function::Lower => "lower".to_owned(),
        Function::Concat => "concat".to_owned(),
        Function::ConcatWs => "concat_ws".to_owned(),
        Function::Square => "square".to_owned(),
        Function::Sqrt => "sqrt".to_owned(),
        Function::Power => "power".to_owned(),
        Function::Exp => "exp".to_owned(),
        Function::Round => "round".to_owned(),
        Function::CharIndex => "charindex".to_owned(),
        Function::PatIndex => "patindex".to_owned(),
        Function::Substring => "substring".to_owned(),
        Function::Left => "left".to_owned(),
        Function::Right => "right".to_owned(),
        Function::Stuff => "stuff".to_owned(),
        Function::Replace => "replace".to_owned(),
        Function::Translate => "translate".to_owned(),
        Function::Replicate => "replicate".to_owned(),
        Function::Space => "space".to_owned(),
        Function::NChar => "nchar".to_owned(),
        Function::Unicode => "unicode".to_owned(),
        Function::Reverse => "reverse".to_owned(),
        Function::Trim => "trim".to_owned(),
        Function::LTrim => "ltrim".to_owned(),
        Function::RTrim => "rtrim".to_owned(),
        Function::RegexMatch => "regexmatch".to_owned(),
        Function::JsonParse => "json_parse".to_owned(),
        Function::GetRecordPropertyValue => "getrecordpropertyvalue".to_owned(),
        Function::GetArrayElement => "getarrayelement".to_owned(),
        Function::GetArrayLength => "getarraylength".to_owned(),
        Function::CreatePoint => "createpoint".to_owned(),
        Function::CreateLineString => "createlinestring".to_owned(),
        Function::CreatePolygon => "createpolygon".to_owned(),
        Function::StDistance => "st_distance".to_owned(),
        Function::StWithin => "st_within".to_owned(),
        Function::StOverlaps => "st_overlaps".to_owned(),
        Function::StIntersects => "st_intersects".to_owned(),
    }
}

fn sign(op: BinaryOp) -> &'static str {
    match op {
        BinaryOp::Add => "+",
        BinaryOp::Subtract => "-",
        BinaryOp::Multiply => "*",
        BinaryOp::Divide => "/",
        BinaryOp::Modulo => "%",
        BinaryOp::BitAnd => "&",
        BinaryOp::BitOr => "|",
        BinaryOp::BitXor => "^",
    }
}

fn comparison(op: CompareOp) -> &'static str {
    match op {
        CompareOp::Equal => "=",
        CompareOp::NotEqual => "<>",
        CompareOp::Less => "<",
        CompareOp::LessOrEqual => "<=",
        CompareOp::Greater => ">",
        CompareOp::GreaterOrEqual => ">=",
    }
}

/// Things with commas between.
struct List<I>(I);

impl<I: Iterator<Item = T> + Clone, T: Display> Display for List<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, item) in self.0.clone().enumerate() {
            let comma = if place > 0 { ", " } else { "" };
            write!(f, "{comma}{item}")?;
        }
        Ok(())
    }
}
