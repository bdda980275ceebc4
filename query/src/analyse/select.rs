//! One SELECT, clause by clause (rule 5.1); [`super::assemble`] makes nodes of it.
//!
//! Order of lowering: inputs with TIMESTAMP BY, PARTITION BY and ON; WHERE; GROUP BY; SELECT list;
//! HAVING. Stars: rule 5.2, A-STAR-DUP, C-STAR. Invariant: no two visible columns have one name.

use std::sync::Arc;

use super::scope::{Clause, METADATA, Rows, Scope, Symbol, Typed};
use super::{Builder, Relation, Shown};
use crate::codes::{self, fail};
use crate::error::QueryError;
use crate::expr::Expr;
use crate::parse::ast::{Ast, From, Kind, More, Name, Quote, Select, What};
use crate::plan::{Op, SourceColumn};
use crate::value::Type;

/// Who reads the rows of a SELECT.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Use {
    /// A consumer outside: ends in a projection, members are spread there.
    Output,
    /// Other SELECTs, by name.
    Step,
    /// A UNION, by position.
    Branch,
}

/// A column of the SELECT list, over symbols.
pub(super) struct Out {
    pub(super) name: Arc<str>,
    pub(super) typed: Typed,
    /// All members of a record instead of one column.
    pub(super) open: bool,
    pub(super) star: bool,
}

impl Builder {
    /// Lowers one SELECT and pushes its nodes.
    pub(super) fn select(&mut self, select: &Select, step: &str, used: Use) -> Result<Relation, QueryError> {
        self.step = step.to_owned();
        let mut scope = Scope::new(self, select);
        scope.input(&select.from)?;
        for more in &select.joins {
            match more {
                More::Join(join) if scope.build.is_reference(join) => {
                    scope.reference(&join.from)?;
                    scope.reference_join(join)?;
                }
                More::Join(join) => {
                    scope.input(&join.from)?;
                    scope.join(join)?;
                }
                More::Apply(apply) => scope.apply(apply)?,
            }
        }
        let filter = select.filter.as_ref().map(|ast| scope.predicate(ast, Clause::Where)).transpose()?;
        scope.group_by()?;
        let outs = scope.items()?;
        let having = select.having.as_ref().map(|ast| scope.predicate(ast, Clause::Having)).transpose()?;
        scope.charge_windows()?;
        let hidden = if used == Use::Output { Vec::new() } else { scope.hidden(&outs)? };
        Ok(scope.assemble(filter, having, outs, hidden, step, used))
    }

    /// The text at a place, short, for messages.
    pub(super) fn text_at(&self, place: &std::ops::Range<usize>) -> String {
        super::scalar::excerpt(&self.text, place)
    }
}

impl Scope<'_> {
    /// Reference data of a JOIN: neither ordered nor partitioned (rule 8.7).
    fn reference(&mut self, from: &From) -> Result<(), QueryError> {
        if let Some(ast) = from.timestamp_by.as_ref().or(from.partition.as_ref()) {
            let message = format!(
                "{} is reference data: it has no time and no partitions (rule 8.7)",
                from.stream.text
            );
            return Err(fail(codes::REFERENCE_PLACE, &ast.place, "reference data", message));
        }
        self.add_side(from, true)
    }

    /// FROM or the stream of a JOIN, with TIMESTAMP BY and PARTITION BY.
    pub(super) fn input(&mut self, from: &From) -> Result<(), QueryError> {
        self.add_side(from, false)?;
        let side = self.sides.len() - 1;
        if from.pattern.is_some() {
            // They belong to what the pattern reads, and have been lowered with it.
            let name = self.inherit_partition(side);
            return self.agree_on_partition(name, side, from);
        }
        if let Some(ast) = &from.timestamp_by {
            if let Rows::Step { .. } = self.sides[side].rows
                && !self.read_through(side, from)
            {
                let message = format!(
                    "TIMESTAMP BY works on a raw stream, or a step that only passes one on; {} is another step (rule 3.3, A-TIMESTAMP-BY-STEP)",
                    from.stream.text
                );
                let error = fail(codes::TIMESTAMP_BY, &ast.place, "on a step", message);
                return Err(error.help("put it into the step, where the stream is read"));
            }
            let typed = self.value(ast, Clause::TimestampBy)?;
            if !super::types::datetime(typed.ty) {
                let ty = typed.ty.map_or("NULL", Type::name);
                self.warn(format!(
                    "TIMESTAMP BY takes a datetime or ISO 8601 text (rule 3.3), not {ty}: every event is dropped (rule 2.8)"
                ));
            }
            for key in &from.over {
                let key = self.value(key, Clause::TimestampBy)?.expr;
                if !self.sides[side].over.contains(&Some(key.clone())) {
                    self.sides[side].over.push(Some(key));
                }
            }
            if let Rows::Stream { by, .. } = &mut self.sides[side].rows {
                *by = Some(typed.expr);
            }
        }
        let mut name = None;
        if let Some(ast) = &from.partition {
            let Kind::Path(path) = &ast.kind else {
                let message = "PARTITION BY takes a column (rule 11.3)";
                return Err(fail(codes::PARTITION_KEY, &ast.place, "no column", message));
            };
            name = Some(path[path.len() - 1].text.to_ascii_lowercase());
            let key = self.value(ast, Clause::Partition)?.expr;
            if let Expr::Literal(_) = key {
                let message =
                    format!("{} carries no column to be partitioned by so (rule 11.3)", from.stream.text);
                let error = fail(codes::PARTITION_KEY, &ast.place, "not carried", message);
                return Err(error.help("partition the step itself by it, or select the column there"));
            }
            self.sides[side].key = Some(key);
        }
        self.agree_on_partition(name, side, from)
    }

    /// Reads the stream that a step passes on as it is, `SELECT * FROM stream`, partitioned or not: the side
    /// becomes the raw stream (A-TIMESTAMP-BY-STEP, C-PASSED). `false` for any other step.
    fn read_through(&mut self, side: usize, from: &From) -> bool {
        let Rows::Step { relation, .. } = &self.sides[side].rows else { return false };
        let Op::Source(source) = &self.build.nodes[relation.node].op else { return false };
        let [shown] = relation.shown.as_slice() else { return false };
        let whole = shown.open && source.columns[shown.column] == SourceColumn::Payload;
        if !whole || source.timestamp_by.is_some() {
            return false;
        }
        let input = source.input;
        self.build.passed.push(from.stream.text.to_ascii_lowercase());
        self.sides[side].rows = Rows::Stream { input, columns: Vec::new(), by: None };
        self.sides[side].over.clear();
        true
    }

    /// Joined inputs are partitioned alike (rule 8.6).
    fn agree_on_partition(
        &mut self,
        name: Option<String>,
        side: usize,
        from: &From,
    ) -> Result<(), QueryError> {
        if side == 0 {
            self.partition = name;
        } else if self.partition != name {
            let message = "joined inputs are all partitioned by the same key, or none is (rule 8.6)";
            return Err(fail(codes::JOIN_PARTITION, &from.place, "partitioned differently", message));
        }
        Ok(())
    }

    /// Matches stay inside the partitions of what they were found in (rule 11.1).
    fn inherit_partition(&mut self, side: usize) -> Option<String> {
        let Rows::Step { relation, symbols } = &self.sides[side].rows else { return None };
        let name = relation.partition.clone()?;
        let carried = relation.hidden.iter().find(|h| h.name.eq_ignore_ascii_case(&name));
        self.sides[side].key = carried.map(|h| Expr::Column(symbols[h.column]));
        self.sides[side].key.as_ref().map(|_| name)
    }

    /// The SELECT list.
    fn items(&mut self) -> Result<Vec<Out>, QueryError> {
        let mut outs: Vec<Out> = Vec::new();
        for (index, item) in self.select.items.iter().enumerate() {
            let (ast, star) = match &item.what {
                What::Value(ast) => (Some(ast), Vec::new()),
                What::Star if self.streams() > 1 => {
                    let message = "SELECT * is not allowed over a join (rule 8.1, A-JOIN-STAR)";
                    let help = format!("write {}.*, or name the columns", self.sides[0].name);
                    return Err(fail(codes::STAR_IN_JOIN, &item.place, "of which side?", message).help(help));
                }
                _ if self.group.is_some() => {
                    let message = "a grouping gives keys and aggregates, not all columns (rule 5.4)";
                    return Err(fail(codes::STAR_IN_GROUP, &item.place, "all columns", message));
                }
                What::Star => {
                    let mut all = Vec::new();
                    for side in 0..self.sides.len() {
                        all.extend(self.star(side)?);
                    }
                    (None, all)
                }
                What::PathStar(path) => (None, self.path_star(path)?),
            };
            for out in star {
                if out.open || !outs.iter().any(|have| !have.open && have.name == out.name) {
                    outs.push(out);
                }
            }
            if outs.len() >= super::COLUMNS_MAX {
                return Err(super::too_many_columns(&item.place));
            }
            let Some(ast) = ast else { continue };
            let typed = self.value(ast, Clause::Items)?;
            let name = match &item.alias {
                Some(alias) => alias.text.as_str().into(),
                None => default_name(ast, index),
            };
            if let Some(side) = self.starred(&outs).into_iter().find(|&side| self.surely_has(side, &name)) {
                let place = item.alias.as_ref().map_or(&item.place, |alias| &alias.place);
                let side = &self.sides[side].name;
                let message = format!("`*` already gives the column {name} of {side} (A-STAR-DUP)");
                let help =
                    format!("put {name} before the star to replace the column, or give it another alias");
                return Err(fail(codes::STAR_DUPLICATE, place, "already there", message).help(help));
            }
            if let Some(have) = outs.iter().find(|have| !have.open && have.name == name) {
                let place = item.alias.as_ref().map_or(&item.place, |alias| &alias.place);
                return Err(if have.star {
                    let message = format!("`*` already gives a column {name} (A-STAR-DUP)");
                    let help =
                        format!("put {name} before the star to replace its column, or give it another alias");
                    fail(codes::STAR_DUPLICATE, place, "already there", message).help(help)
                } else {
                    let message = format!("two columns are named {name} (choice C-NAME)");
                    fail(codes::DUPLICATE_COLUMN, place, "second of this name", message)
                        .help("give one an alias")
                });
            }
            outs.push(Out { name, typed, open: false, star: false });
        }
        Ok(outs)
    }

    /// All columns of a side, in order (rule 5.2).
    fn star(&mut self, side: usize) -> Result<Vec<Out>, QueryError> {
        if let Rows::Stream { .. } = self.sides[side].rows {
            let expr = Expr::Column(self.source_column(side, SourceColumn::Payload)?);
            return Ok(vec![open(Typed { expr, ty: Some(Type::Record) })]);
        }
        if let Rows::Reference { .. } = self.sides[side].rows {
            let expr = Expr::Column(self.reference_column(side, "")?);
            return Ok(vec![open(Typed { expr, ty: Some(Type::Record) })]);
        }
        if let Rows::Apply { names, symbols } = &self.sides[side].rows {
            let out = |(name, symbol): (&&str, &Symbol)| Out {
                name: Arc::from(*name),
                typed: Typed { expr: Expr::Column(*symbol), ty: None },
                open: false,
                star: true,
            };
            return Ok(names.iter().zip(symbols).map(out).collect());
        }
        let Rows::Step { relation, symbols } = &self.sides[side].rows else {
            unreachable!("all others were seen above")
        };
        let out = |shown: &Shown| Out {
            name: shown.name.clone(),
            typed: Typed { expr: Expr::Column(symbols[shown.column]), ty: shown.ty },
            open: shown.open,
            star: true,
        };
        Ok(relation.shown.iter().map(out).collect())
    }

    /// The sides all members of which stand in the list so far.
    fn starred(&self, outs: &[Out]) -> Vec<usize> {
        let whole = |symbol: Symbol| {
            self.owners[symbol].filter(|&side| match &self.sides[side].rows {
                Rows::Stream { columns, .. } => columns.contains(&(SourceColumn::Payload, symbol)),
                Rows::Reference { columns, .. } => columns.contains(&("".into(), symbol)),
                Rows::Step { relation, symbols } => {
                    relation.shown.iter().any(|shown| shown.open && symbols[shown.column] == symbol)
                }
                Rows::Apply { .. } => false,
            })
        };
        let open = outs.iter().filter(|out| out.open);
        open.filter_map(|out| if let Expr::Column(symbol) = out.typed.expr { whole(symbol) } else { None })
            .collect()
    }

    /// `alias.*` or `record.*`
    fn path_star(&mut self, path: &[Name]) -> Result<Vec<Out>, QueryError> {
        if let [name] = path
            && let Some(side) = self.side_named(&name.text)
        {
            return self.star(side);
        }
        let column = |name: &Name| Name { quote: Quote::Bracket, ..name.clone() };
        let path: Vec<Name> = path.iter().map(column).collect();
        let typed = self.path(&path, Clause::Items)?;
        if typed.ty.is_some_and(|ty| ty != Type::Record) {
            let ty = typed.ty.map_or("NULL", Type::name);
            self.warn(format!("`.*` takes a record (rule 5.2), not {ty}: it brings nothing (choice C-STAR)"));
        }
        Ok(vec![open(typed)])
    }

    /// Columns that readers of a step may name although `*` does not give them: the partition key
    /// (rule 11.1) and, behind a star, metadata the text mentions (rule 3.11).
    fn hidden(&mut self, outs: &[Out]) -> Result<Vec<Out>, QueryError> {
        let mut hidden: Vec<Out> = Vec::new();
        let named =
            |list: &[Out], name: &str| list.iter().any(|o| !o.open && o.name.eq_ignore_ascii_case(name));
        if let (Some(name), Some(key)) = (self.partition.clone(), self.sides[0].key.clone())
            && !named(outs, &name)
        {
            let expr = match &self.group {
                Some(group) => {
                    let same = group.keys.iter().find(|have| self.alike(&have.typed.expr, &key));
                    Expr::Column(same.expect("a partitioned grouping has the key").symbol)
                }
                None => key,
            };
            let name = METADATA.iter().find(|m| m.eq_ignore_ascii_case(&name)).map_or(name.as_str(), |m| m);
            hidden.push(Out { name: name.into(), typed: Typed { expr, ty: None }, open: false, star: false });
        }
        if self.group.is_some() || self.streams() > 1 || !outs.iter().any(|out| out.open) {
            return Ok(hidden);
        }
        for (place, name) in METADATA.into_iter().enumerate() {
            if !self.build.mentions[place] || named(outs, name) || named(&hidden, name) {
                continue;
            }
            let expr = match &self.sides[0].rows {
                Rows::Stream { .. } => {
                    let column = if place == 0 { SourceColumn::PartitionId } else { SourceColumn::Arrival };
                    Some(Expr::Column(self.source_column(0, column)?))
                }
                Rows::Step { relation, symbols } => {
                    relation.hidden.iter().find(|h| *h.name == *name).map(|h| Expr::Column(symbols[h.column]))
                }
                Rows::Reference { .. } | Rows::Apply { .. } => None,
            };
            if let Some(expr) = expr {
                let ty = if place == 0 { Type::Bigint } else { Type::Datetime };
                hidden.push(Out {
                    name: name.into(),
                    typed: Typed { expr, ty: Some(ty) },
                    open: false,
                    star: false,
                });
            }
        }
        Ok(hidden)
    }
}

fn open(typed: Typed) -> Out {
    Out { name: "*".into(), typed, open: true, star: true }
}

/// The name of an item without alias (C-NAME).
fn default_name(ast: &Ast, index: usize) -> Arc<str> {
    match &ast.kind {
        Kind::Path(path) => path[path.len() - 1].text.as_str().into(),
        Kind::Timestamp => "Timestamp".into(),
        Kind::WindowId => "Id".into(),
        Kind::Call(call) => {
            let name = call.name.to_ascii_lowercase();
            let kept = super::aggregate::named(&name).is_some()
                || matches!(name.as_str(), "lag" | "last" | "isfirst");
            if kept { name.into() } else { format!("Col{}", index + 1).into() }
        }
        _ => format!("Col{}", index + 1).into(),
    }
}
