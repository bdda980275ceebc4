//! Names of one SELECT: what a path means, and which columns its inputs must give for it.
//!
//! Rules 1.2, 1.9, 3.11, 5.2; A-NAME-CASE, A-UNKNOWN-COLUMN, A-DOUBLE-QUOTES. A stream's payload is
//! dynamic: any name is a member, asked of the source when it is first used. A step's columns are known.
//! Invariant: a symbol stands for one column of one side for the whole SELECT.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::group::Grouping;
use super::join::Joined;
use super::quoted::{Quoted, lone_quoted};
use super::reads::froms;
use super::recognize::Matching;
use super::types::Ty;
use super::{Builder, Relation, Shown};
use crate::codes::{self, fail};
use crate::error::QueryError;
use crate::expr::{Expr, Function};
use crate::parse::ast::{Ast, From, Kind, Name, Quote, Recognize, Select};
use crate::plan::{Op, SourceColumn};
use crate::value::{Type, Value};

/// Metadata of an input (rule 3.11), readable by name and no part of `*`.
pub(super) const METADATA: [&str; 3] = ["PartitionId", "EventEnqueuedUtcTime", "EventProcessedUtcTime"];

/// A column while its place is not known yet.
pub(super) type Symbol = usize;

/// An expression with what is known of its type.
#[derive(Clone, Debug)]
pub(super) struct Typed {
    pub(super) expr: Expr,
    pub(super) ty: Ty,
}

/// The clause an expression stands in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Clause {
    TimestampBy,
    Partition,
    On,
    /// ON of reference data, or the argument of APPLY: at the rows of the one stream so far.
    Beside,
    Where,
    Key,
    /// Inside an aggregate.
    Aggregate,
    /// Inside an analytic function.
    Analytic,
    Items,
    Having,
}

/// One SELECT while it is lowered.
pub(super) struct Scope<'a> {
    pub(super) build: &'a mut Builder,
    pub(super) select: &'a Select,
    pub(super) sides: Vec<Side>,
    /// The side each symbol belongs to; `None` for those of the grouping.
    pub(super) owners: Vec<Option<usize>>,
    pub(super) group: Option<Grouping>,
    /// The key the SELECT is partitioned by, in lower case.
    pub(super) partition: Option<String>,
    /// The joins so far, over symbols.
    pub(super) joins: Vec<Joined>,
    /// While trying whether an expression is a grouping key: nothing may be asked for or remarked.
    pub(super) probing: bool,
    /// While DEFINE and MEASURES are lowered.
    pub(super) matching: Option<Matching>,
    /// MATCH_RECOGNIZE of FROM with its variables in lower case, in the scope that lowers it.
    pub(super) pattern: Option<(&'a Recognize, BTreeSet<String>)>,
}

/// One stream or step of FROM and JOIN.
pub(super) struct Side {
    pub(super) name: String,
    pub(super) rows: Rows,
    /// The column that carries the row's timestamp through a join, if one is needed.
    pub(super) timestamp: Option<Symbol>,
    /// LAG, LAST and ISFIRST over this side, in order.
    pub(super) analytics: Vec<Analytic>,
    /// The value of the partition key.
    pub(super) key: Option<Expr>,
    pub(super) parallel: bool,
    /// The substream its rows belong to (rule 3.9); `None` for a part that its columns do not carry.
    pub(super) over: Vec<Option<Expr>>,
}

/// Where a side's rows come from.
pub(super) enum Rows {
    Stream { input: usize, columns: Vec<(SourceColumn, Symbol)>, by: Option<Expr> },
    Step { relation: Relation, symbols: Vec<Symbol> },
    Reference { reference: usize, columns: Vec<(Arc<str>, Symbol)> },
    Apply { names: [&'static str; 2], symbols: [Symbol; 2] },
}

/// An analytic function of a side; `op` is over symbols.
pub(super) struct Analytic {
    pub(super) symbol: Symbol,
    pub(super) op: Op,
    pub(super) ty: Ty,
    pub(super) place: std::ops::Range<usize>,
}

impl<'a> Scope<'a> {
    /// Of a SELECT nothing of which is lowered yet.
    pub(super) fn new(build: &'a mut Builder, select: &'a Select) -> Scope<'a> {
        Scope {
            build,
            select,
            sides: Vec::new(),
            owners: Vec::new(),
            group: None,
            partition: None,
            joins: Vec::new(),
            probing: false,
            matching: None,
            pattern: None,
        }
    }

    pub(super) fn symbol(&mut self, side: Option<usize>) -> Symbol {
        self.owners.push(side);
        self.owners.len() - 1
    }

    /// Adds a stream, a step or reference data of FROM or JOIN.
    pub(super) fn add_side(&mut self, from: &From, reference: bool) -> Result<(), QueryError> {
        let name = from.alias.as_ref().unwrap_or(&from.stream);
        self.check_name(name)?;
        let side = self.sides.len();
        let step = match &from.pattern {
            Some(pattern) => Some(self.build.recognized(from, pattern)?),
            None => self.build.step_named(&from.stream.text).cloned(),
        };
        let parallel = step.as_ref().is_none_or(|relation| relation.parallel);
        let mut over = Vec::new();
        let rows = match step {
            Some(relation) => {
                let width = self.build.nodes[relation.node].columns.len();
                self.charge(width, &from.place)?;
                let symbols: Vec<Symbol> = (0..width).map(|_| self.symbol(Some(side))).collect();
                over = relation.over.iter().map(|key| key.map(|c| Expr::Column(symbols[c]))).collect();
                Rows::Step { relation, symbols }
            }
            None if reference => {
                Rows::Reference { reference: self.build.reference(&from.stream)?, columns: Vec::new() }
            }
            None => Rows::Stream { input: self.build.stream(&from.stream)?, columns: Vec::new(), by: None },
        };
        self.push_side(name, rows, parallel, over);
        Ok(())
    }

    pub(super) fn push_side(&mut self, name: &Name, rows: Rows, parallel: bool, over: Vec<Option<Expr>>) {
        let name = name.text.clone();
        let analytics = Vec::new();
        self.sides.push(Side { name, rows, timestamp: None, analytics, key: None, parallel, over });
    }

    /// Two inputs of one SELECT have two names.
    pub(super) fn check_name(&self, name: &Name) -> Result<(), QueryError> {
        if self.sides.iter().any(|s| s.name.eq_ignore_ascii_case(&name.text)) {
            let message = format!("two inputs of this SELECT are named {}", name.text);
            let error = fail(codes::DUPLICATE_ALIAS, &name.place, "second input of this name", message);
            return Err(error.help("give each an alias of its own: FROM stream AS a"));
        }
        Ok(())
    }

    /// Whether a side is a stream or a step: its rows have timestamps of their own.
    pub(super) fn is_stream(&self, side: usize) -> bool {
        matches!(self.sides[side].rows, Rows::Stream { .. } | Rows::Step { .. })
    }

    /// How many streams and steps are joined; APPLY and reference data leave timestamps alone.
    pub(super) fn streams(&self) -> usize {
        (0..self.sides.len()).filter(|&side| self.is_stream(side)).count()
    }

    /// The side of that name.
    pub(super) fn side_named(&self, name: &str) -> Option<usize> {
        let exact = self.sides.iter().position(|s| s.name == name);
        exact.or_else(|| self.sides.iter().position(|s| s.name.eq_ignore_ascii_case(name)))
    }

    /// A side named by a path of one part, as in `DATEDIFF(minute, a, b)` and `COUNT(stream)`.
    pub(super) fn side_of(&self, ast: &Ast) -> Option<usize> {
        match &ast.kind {
            Kind::Path(path) if path.len() == 1 => self.side_named(&path[0].text),
            _ => None,
        }
    }

    /// The timestamp of a side's row: the row's own where there is one side, else a column that
    /// survives the join (rules 8.2, 8.3).
    pub(super) fn timestamp_of(&mut self, side: usize, place: &Ast) -> Result<Typed, QueryError> {
        let ty = Some(Type::Datetime);
        if !self.is_stream(side) {
            let message =
                "reference data and the rows of APPLY have no timestamp of their own (rules 5.10, 8.7)";
            return Err(fail(codes::REFERENCE_PLACE, &place.place, "no stream", message));
        }
        if self.streams() == 1 {
            return Ok(Typed { expr: Expr::Timestamp, ty });
        }
        if let Some(symbol) = self.sides[side].timestamp {
            return Ok(Typed { expr: Expr::Column(symbol), ty });
        }
        let symbol = match &self.sides[side].rows {
            Rows::Stream { .. } => self.source_column(side, SourceColumn::Timestamp)?,
            Rows::Step { .. } if self.probing => return Err(not_a_key()),
            _ => self.symbol(Some(side)),
        };
        self.sides[side].timestamp = Some(symbol);
        Ok(Typed { expr: Expr::Column(symbol), ty })
    }

    /// A column of a stream, asked of its source if it was not yet.
    pub(super) fn source_column(&mut self, side: usize, wanted: SourceColumn) -> Result<Symbol, QueryError> {
        let fresh = self.owners.len();
        let probing = self.probing;
        let Rows::Stream { columns, .. } = &mut self.sides[side].rows else {
            unreachable!("only a stream is asked for source columns");
        };
        if let Some((_, symbol)) = columns.iter().find(|(column, _)| *column == wanted) {
            return Ok(*symbol);
        }
        if probing {
            let alike = columns.iter().find(|(column, _)| spelled_alike(column, &wanted));
            return alike.map(|(_, symbol)| *symbol).ok_or_else(not_a_key);
        }
        if columns.len() >= super::COLUMNS_MAX {
            return Err(super::too_many_columns(&self.select.place));
        }
        columns.push((wanted, fresh));
        self.owners.push(Some(side));
        Ok(fresh)
    }

    /// What a path means (rule 1.9).
    pub(super) fn path(&mut self, path: &[Name], clause: Clause) -> Result<Typed, QueryError> {
        if let [name] = path
            && name.quote == Quote::Double
            && (clause != Clause::Having || self.alias(&name.text).is_none())
        {
            match self.quoted(name, clause) {
                Quoted::Column => {}
                Quoted::Text => return Ok(self.double_quoted(name)),
                Quoted::Either(side) => return self.either(side, name),
            }
        }
        let mut qualified = if path.len() > 1 { self.side_named(&path[0].text) } else { None };
        // TIMESTAMP BY and PARTITION BY see the input they belong to, which is the one added last.
        let last = self.sides.len() - 1;
        let own = matches!(clause, Clause::TimestampBy | Clause::Partition);
        qualified = qualified.filter(|side| !own || *side == last);
        let (side, rest) = match qualified {
            Some(side) => (side, &path[1..]),
            None if own => (last, path),
            None => (self.side_with(&path[0])?, path),
        };
        if qualified.is_none() && path.len() > 1 {
            self.remark_on_stream_name(path);
        }
        self.path_of(side, rest, path, qualified.is_none(), clause)
    }

    /// What a path means on a side; `path` is the whole one, with its alias if it has one.
    fn path_of(
        &mut self,
        side: usize,
        rest: &[Name],
        path: &[Name],
        unqualified: bool,
        clause: Clause,
    ) -> Result<Typed, QueryError> {
        let (first, members) = rest.split_first().expect("a path has a part behind its alias");
        if unqualified
            && let [name] = path
            && let Some(typed) = self.not_a_column(side, name, clause)?
        {
            return Ok(typed);
        }
        let mut typed = match self.payload_first(side, first, clause)? {
            Some(typed) => typed,
            None => self.column(side, first)?,
        };
        for member in members {
            typed = Typed { expr: part_of(typed.expr, member), ty: None };
        }
        Ok(typed)
    }

    /// A name of metadata in another spelling, which the SELECT does not read spelled exactly: the payload's own
    /// member of that spelling comes first (A-NAME-CASE, C-METADATA).
    fn payload_first(
        &mut self,
        side: usize,
        name: &Name,
        clause: Clause,
    ) -> Result<Option<Typed>, QueryError> {
        let Some(metadata) = METADATA.iter().find(|m| m.eq_ignore_ascii_case(&name.text)) else {
            return Ok(None);
        };
        let exact = *metadata == name.text || self.reads_of(side, metadata);
        let key = matches!(clause, Clause::TimestampBy | Clause::Partition)
            || self.partition.as_deref().is_some_and(|key| key.eq_ignore_ascii_case(&name.text));
        if exact || key || !matches!(self.sides[side].rows, Rows::Stream { .. }) {
            return Ok(None);
        }
        let member = self.source_column(side, SourceColumn::Member(name.text.as_str().into()))?;
        let otherwise = self.column(side, name)?.expr;
        let either = vec![Expr::Column(member), otherwise];
        Ok(Some(Typed { expr: Expr::Call(Function::Coalesce, either), ty: None }))
    }

    /// A path of the event being matched (rule 9.4).
    pub(super) fn event_path(&mut self, path: &[Name], clause: Clause) -> Result<Typed, QueryError> {
        self.path_of(0, path, path, false, clause)
    }

    /// `Lane.brand` with `FROM Lane l` is a column `Lane`, which is hardly meant.
    fn remark_on_stream_name(&mut self, path: &[Name]) {
        let select = self.select;
        for from in froms(select) {
            if let Some(alias) = &from.alias
                && from.stream.text.eq_ignore_ascii_case(&path[0].text)
            {
                let (stream, alias, column) = (&path[0].text, &alias.text, &path[1].text);
                self.warn(format!(
                    "{stream}.{column} reads a column {stream}: the stream is named {alias} here, write {alias}.{column}"
                ));
            }
        }
    }

    /// A single name that is an alias of the SELECT list.
    fn not_a_column(
        &mut self,
        side: usize,
        name: &Name,
        clause: Clause,
    ) -> Result<Option<Typed>, QueryError> {
        // `"c" AS c` is the column itself.
        let itself = |ast: &&Ast| lone_quoted(ast).is_none_or(|quoted| quoted.text != name.text);
        let alias = self.alias(&name.text).filter(itself);
        if self.known(side, name) {
            return Ok(None);
        }
        if let Some(alias) = alias {
            if clause == Clause::Having {
                return self.value(alias, Clause::Items).map(Some);
            }
            if !matches!(clause, Clause::Items | Clause::TimestampBy | Clause::Partition) {
                let message = format!(
                    "{} is an alias of this SELECT list, which does not exist yet here (rule 5.2)",
                    name.text
                );
                let help = "repeat the expression, or compute it in a step of WITH";
                return Err(fail(codes::ALIAS_IN_WHERE, &name.place, "alias", message).help(help));
            }
        }
        Ok(None)
    }

    /// Whether the name surely is a column of the side: a column of a step, metadata, or a name that the
    /// query reads from the payload elsewhere.
    pub(super) fn known(&self, side: usize, name: &Name) -> bool {
        if self.declared_type(side, &name.text).is_some() {
            return true;
        }
        match &self.sides[side].rows {
            Rows::Step { relation, .. } if find(relation, &name.text).is_some() => true,
            Rows::Step { relation, .. } if relation.shown.iter().all(|s| !s.open) => false,
            Rows::Apply { names, .. } => names.iter().any(|n| n.eq_ignore_ascii_case(&name.text)),
            Rows::Reference { .. } => self.reads(&name.text),
            _ => METADATA.iter().any(|m| m.eq_ignore_ascii_case(&name.text)) || self.reads(&name.text),
        }
    }

    /// The side an unqualified name belongs to.
    pub(super) fn side_with(&self, name: &Name) -> Result<usize, QueryError> {
        if self.sides.len() == 1 {
            return Ok(0);
        }
        let named =
            |table: &[(Arc<str>, Type)]| table.iter().any(|(c, _)| c.eq_ignore_ascii_case(&name.text));
        let has = |side: &Side| match &side.rows {
            Rows::Step { relation, .. } => find(relation, &name.text).is_some(),
            Rows::Apply { names, .. } => names.iter().any(|n| n.eq_ignore_ascii_case(&name.text)),
            Rows::Stream { input, .. } => named(self.build.table_of(*input)),
            Rows::Reference { reference, .. } => named(self.build.table_of_reference(*reference)),
        };
        let open = |side: &Side| match &side.rows {
            Rows::Stream { .. } | Rows::Reference { .. } => true,
            Rows::Apply { .. } => false,
            Rows::Step { relation, .. } => relation.shown.iter().any(|s| s.open),
        };
        let having: Vec<usize> = (0..self.sides.len()).filter(|&s| has(&self.sides[s])).collect();
        let opening: Vec<usize> = (0..self.sides.len()).filter(|&s| open(&self.sides[s])).collect();
        match (having.as_slice(), opening.as_slice()) {
            ([one], _) => Ok(*one),
            ([], [one]) => Ok(*one),
            ([], []) => Ok(0),
            _ => {
                let sides: Vec<&str> = self.sides.iter().map(|s| s.name.as_str()).collect();
                let message = format!("{} may belong to more than one of {}", name.text, sides.join(", "));
                let help = format!("write {}.{}", sides[0], name.text);
                Err(fail(codes::AMBIGUOUS_COLUMN, &name.place, "whose?", message).help(help))
            }
        }
    }

    /// A column of a side by name.
    pub(super) fn column(&mut self, side: usize, name: &Name) -> Result<Typed, QueryError> {
        let symbols = match &self.sides[side].rows {
            Rows::Step { symbols, .. } => symbols.clone(),
            Rows::Stream { .. } => {
                let wanted = match METADATA.iter().position(|m| m.eq_ignore_ascii_case(&name.text)) {
                    Some(0) => SourceColumn::PartitionId,
                    Some(_) => SourceColumn::Arrival,
                    None => SourceColumn::Member(name.text.as_str().into()),
                };
                let ty = match wanted {
                    SourceColumn::PartitionId => Some(Type::Bigint),
                    SourceColumn::Arrival => Some(Type::Datetime),
                    _ => None,
                };
                let ty = match &wanted {
                    SourceColumn::Member(name) => self.declared_type(side, name),
                    _ => ty,
                };
                let symbol = self.source_column(side, wanted)?;
                return Ok(Typed { expr: Expr::Column(symbol), ty });
            }
            Rows::Reference { .. } => {
                let ty = self.declared_type(side, &name.text);
                let symbol = self.reference_column(side, &name.text)?;
                return Ok(Typed { expr: Expr::Column(symbol), ty });
            }
            Rows::Apply { names, symbols } => {
                let ty = if names[0] == "ArrayIndex" { Type::Bigint } else { Type::Text };
                let found = names.iter().position(|n| n.eq_ignore_ascii_case(&name.text));
                if let Some(column) = found {
                    let ty = (column == 0).then_some(ty);
                    return Ok(Typed { expr: Expr::Column(symbols[column]), ty });
                }
                let (step, names) = (self.select_name(side), names.join(" and "));
                let message = format!("{step} has the columns {names} only (rule 5.10)");
                return Err(fail(codes::APPLY_PLACE, &name.place, "no such column", message));
            }
        };
        let Rows::Step { relation, .. } = &self.sides[side].rows else { unreachable!("seen above") };
        if let Some(shown) = find(relation, &name.text) {
            return Ok(Typed { expr: Expr::Column(symbols[shown.column]), ty: shown.ty });
        }
        let open: Vec<usize> = relation.shown.iter().filter(|s| s.open).map(|s| s.column).collect();
        match open.as_slice() {
            [one] => {
                let record = Box::new(Expr::Column(symbols[*one]));
                Ok(Typed { expr: Expr::Member(record, name.text.as_str().into()), ty: None })
            }
            [] => {
                let step = self.select_name(side);
                self.warn(format!("{step} has no column {}: it reads as NULL (A-UNKNOWN-COLUMN)", name.text));
                Ok(Typed { expr: Expr::Literal(Value::Null), ty: None })
            }
            _ => {
                let message = format!("{} may come from more than one star of the step", name.text);
                let help = "name the columns in the step instead of its stars";
                Err(fail(codes::AMBIGUOUS_COLUMN, &name.place, "from which star?", message).help(help))
            }
        }
    }

    /// The type CREATE TABLE gives a column, if it names it (rule 1.8).
    pub(super) fn declared_type(&self, side: usize, name: &str) -> Ty {
        let table = match &self.sides[side].rows {
            Rows::Stream { input, .. } => self.build.table_of(*input),
            Rows::Reference { reference, .. } => self.build.table_of_reference(*reference),
            Rows::Step { .. } | Rows::Apply { .. } => return None,
        };
        let exact = table.iter().find(|(column, _)| **column == *name);
        let found = exact.or_else(|| table.iter().find(|(column, _)| column.eq_ignore_ascii_case(name)));
        found.map(|(_, ty)| *ty)
    }

    /// A column of reference data, asked of the join if it was not yet; the empty name is the whole row.
    pub(super) fn reference_column(&mut self, side: usize, name: &str) -> Result<Symbol, QueryError> {
        let fresh = self.owners.len();
        let probing = self.probing;
        let Rows::Reference { columns, .. } = &mut self.sides[side].rows else {
            unreachable!("only reference data is asked for its columns");
        };
        if let Some((_, symbol)) = columns.iter().find(|(column, _)| **column == *name) {
            return Ok(*symbol);
        }
        if probing {
            let alike = columns.iter().find(|(column, _)| column.eq_ignore_ascii_case(name));
            return alike.map(|(_, symbol)| *symbol).ok_or_else(not_a_key);
        }
        if columns.len() >= super::COLUMNS_MAX {
            return Err(super::too_many_columns(&self.select.place));
        }
        columns.push((name.into(), fresh));
        self.owners.push(Some(side));
        Ok(fresh)
    }

    /// Whether two expressions are one but for the case of the names they read: as a key, `deviceid` is
    /// `deviceId` (C-NAME).
    pub(super) fn alike(&self, a: &Expr, b: &Expr) -> bool {
        a == b || self.folded(a) == self.folded(b)
    }

    /// The expression with every name in lower case, and every column as the first one of its name.
    fn folded(&self, expr: &Expr) -> Expr {
        let mut folded = expr.clone();
        folded.columns_mut(&mut |symbol| *symbol = self.first_of_name(*symbol));
        folded.members_mut(&mut |name| *name = name.to_ascii_lowercase().into());
        folded
    }

    fn first_of_name(&self, symbol: Symbol) -> Symbol {
        let side = self.owners[symbol].map(|side| &self.sides[side].rows);
        let first = match side {
            Some(Rows::Stream { columns, .. }) => {
                let own = columns.iter().find(|(_, have)| *have == symbol);
                own.and_then(|(own, _)| columns.iter().find(|(column, _)| spelled_alike(column, own)))
                    .map(|(_, first)| *first)
            }
            Some(Rows::Reference { columns, .. }) => {
                let own = columns.iter().find(|(_, have)| *have == symbol);
                own.and_then(|(own, _)| columns.iter().find(|(column, _)| column.eq_ignore_ascii_case(own)))
                    .map(|(_, first)| *first)
            }
            _ => None,
        };
        first.unwrap_or(symbol)
    }

    fn select_name(&self, side: usize) -> String {
        self.sides[side].name.clone()
    }

    pub(super) fn warn(&mut self, warning: String) {
        if !self.probing {
            self.build.warn(warning);
        }
    }
}

/// Whether two columns of a stream are members whose names differ in case at most, or the same.
fn spelled_alike(a: &SourceColumn, b: &SourceColumn) -> bool {
    match (a, b) {
        (SourceColumn::Member(a), SourceColumn::Member(b)) => a.eq_ignore_ascii_case(b),
        _ => a == b,
    }
}

/// A member of a record, or with a whole number an element of an array (C-RECORD).
pub(super) fn part_of(expr: Expr, member: &Name) -> Expr {
    match member.text.parse::<i64>() {
        Ok(index) if member.quote != Quote::None && member.text.bytes().all(|b| b.is_ascii_digit()) => {
            let args = vec![expr, Expr::Literal(Value::Int(index))];
            Expr::Call(Function::GetArrayElement, args)
        }
        _ => Expr::Member(Box::new(expr), member.text.as_str().into()),
    }
}

/// A column of a step by name: exactly, else ignoring case; visible ones first.
fn find<'r>(relation: &'r Relation, name: &str) -> Option<&'r Shown> {
    let named = |s: &&Shown| !s.open;
    let all = || relation.shown.iter().chain(&relation.hidden).filter(named);
    all().find(|s| *s.name == *name).or_else(|| all().find(|s| s.name.eq_ignore_ascii_case(name)))
}

/// The answer while probing; never shown.
pub(super) fn not_a_key() -> QueryError {
    fail(codes::NOT_GROUPED, &(0..0), "", "not a key")
}
