//! One SELECT, clause by clause, then put together as nodes (rule 5.1).
//!
//! Order of lowering: inputs with TIMESTAMP BY, PARTITION BY and ON; WHERE; GROUP BY; SELECT list;
//! HAVING. Order of nodes: source, analytics, join, filter, group, filter, projection. Stars: rule 5.2,
//! A-STAR-DUP, C-STAR. Invariant: when nodes are pushed no symbol is left in them.

use std::sync::Arc;

use super::scope::{Clause, METADATA, Rows, Scope, Side, Symbol, Typed};
use super::{Builder, Relation, Shown};
use crate::codes::{self, fail};
use crate::error::QueryError;
use crate::expr::{Expr, Predicate};
use crate::parse::ast::{Ast, From, Kind, Name, Select, What};
use crate::plan::{Group, Item, NodeId, Op, Project, Source, SourceColumn};
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
struct Out {
    name: Arc<str>,
    typed: Typed,
    /// All members of a record instead of one column.
    open: bool,
    star: bool,
}

/// A node under construction: its id and what symbol each of its columns is.
struct Level {
    node: NodeId,
    layout: Vec<Symbol>,
}

impl Builder {
    /// Lowers one SELECT and pushes its nodes.
    pub(super) fn select(&mut self, select: &Select, step: &str, used: Use) -> Result<Relation, QueryError> {
        let mut scope = Scope {
            build: self,
            select,
            sides: Vec::new(),
            owners: Vec::new(),
            group: None,
            partition: None,
            joins: Vec::new(),
            probing: false,
        };
        scope.input(&select.from)?;
        for join in &select.joins {
            scope.input(&join.from)?;
            scope.join(join)?;
        }
        let filter = select.filter.as_ref().map(|ast| scope.predicate(ast, Clause::Where)).transpose()?;
        scope.group_by()?;
        let outs = scope.items()?;
        let having = select.having.as_ref().map(|ast| scope.predicate(ast, Clause::Having)).transpose()?;
        let hidden = if used == Use::Output { Vec::new() } else { scope.hidden(&outs)? };
        Ok(scope.assemble(filter, having, outs, hidden, step, used))
    }

    /// The text at a place, short, for messages.
    pub(super) fn text_at(&self, place: &std::ops::Range<usize>) -> String {
        super::scalar::excerpt(&self.text, place)
    }
}

impl Scope<'_> {
    /// FROM or the stream of a JOIN, with TIMESTAMP BY and PARTITION BY.
    fn input(&mut self, from: &From) -> Result<(), QueryError> {
        self.add_side(from)?;
        let side = self.sides.len() - 1;
        if let Some(ast) = &from.timestamp_by {
            if let Rows::Step { .. } = self.sides[side].rows {
                let message = format!(
                    "TIMESTAMP BY works on a raw stream; {} is a step (rule 3.3, A-TIMESTAMP-BY-STEP)",
                    from.stream.text
                );
                let error = fail(codes::TIMESTAMP_BY, &ast.place, "on a step", message);
                return Err(error.help("put it into the step, where the stream is read"));
            }
            let typed = self.value(ast, Clause::TimestampBy)?;
            if !super::types::datetime(typed.ty) {
                return Err(super::scalar::mismatch(
                    &ast.place,
                    typed.ty,
                    "TIMESTAMP BY takes a datetime or ISO 8601 text (rule 3.3)",
                ));
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
        if side == 0 {
            self.partition = name;
        } else if self.partition != name {
            let message = "joined inputs are all partitioned by the same key, or none is (rule 8.6)";
            return Err(fail(codes::JOIN_PARTITION, &from.place, "partitioned differently", message));
        }
        Ok(())
    }

    /// The SELECT list.
    fn items(&mut self) -> Result<Vec<Out>, QueryError> {
        let mut outs: Vec<Out> = Vec::new();
        for (index, item) in self.select.items.iter().enumerate() {
            let (ast, star) = match &item.what {
                What::Value(ast) => (Some(ast), Vec::new()),
                What::Star if self.sides.len() > 1 => {
                    let message = "SELECT * is not allowed over a join (rule 8.1, A-JOIN-STAR)";
                    let help = format!("write {}.*, or name the columns", self.sides[0].name);
                    return Err(fail(codes::STAR_IN_JOIN, &item.place, "of which side?", message).help(help));
                }
                _ if self.group.is_some() => {
                    let message = "a grouping gives keys and aggregates, not all columns (rule 5.4)";
                    return Err(fail(codes::STAR_IN_GROUP, &item.place, "all columns", message));
                }
                What::Star => (None, self.star(0)?),
                What::PathStar(path) => (None, self.path_star(path, item)?),
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
        let Rows::Step { relation, symbols } = &self.sides[side].rows else {
            unreachable!("a stream was seen above")
        };
        let out = |shown: &Shown| Out {
            name: shown.name.clone(),
            typed: Typed { expr: Expr::Column(symbols[shown.column]), ty: shown.ty },
            open: shown.open,
            star: true,
        };
        Ok(relation.shown.iter().map(out).collect())
    }

    /// `alias.*` or `record.*`
    fn path_star(&mut self, path: &[Name], item: &crate::parse::ast::Item) -> Result<Vec<Out>, QueryError> {
        if let [name] = path
            && let Some(side) = self.side_named(&name.text)
        {
            return self.star(side);
        }
        let typed = self.path(path, Clause::Items)?;
        if typed.ty.is_some_and(|ty| ty != Type::Record) {
            return Err(super::scalar::mismatch(&item.place, typed.ty, "`.*` takes a record (rule 5.2)"));
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
                    let same = group.keys.iter().find(|have| have.typed.expr == key);
                    Expr::Column(same.expect("a partitioned grouping has the key").symbol)
                }
                None => key,
            };
            let name = METADATA.iter().find(|m| m.eq_ignore_ascii_case(&name)).map_or(name.as_str(), |m| m);
            hidden.push(Out { name: name.into(), typed: Typed { expr, ty: None }, open: false, star: false });
        }
        if self.group.is_some() || self.sides.len() > 1 || !outs.iter().any(|out| out.open) {
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

    /// Pushes the nodes.
    fn assemble(
        mut self,
        filter: Option<Predicate>,
        having: Option<Predicate>,
        outs: Vec<Out>,
        hidden: Vec<Out>,
        step: &str,
        used: Use,
    ) -> Relation {
        let parallel =
            self.partition.as_deref() == Some("partitionid") && self.sides.iter().all(|side| side.parallel);
        let partition = self.partition.clone();
        let mut level = self.joined(step);
        let select = self.select;
        if let (Some(predicate), Some(ast)) = (filter, &select.filter) {
            level = self.filter(level, predicate, ast, step);
        }
        if let Some(group) = self.group.take() {
            level = self.grouped(level, group, step);
        }
        if let (Some(predicate), Some(ast)) = (having, &select.having) {
            level = self.filter(level, predicate, ast, step);
        }
        let relation = |node, shown, hidden| Relation { node, shown, hidden, partition, parallel };
        // A step that is nothing but stars needs no projection: its readers look at the columns below.
        let passes = |out: &Out| matches!(out.typed.expr, Expr::Column(_));
        if used == Use::Step && outs.iter().all(|out| out.star && passes(out)) && hidden.iter().all(passes) {
            let places = self.places(&level.layout);
            let shown = |out: Out| {
                let Expr::Column(symbol) = out.typed.expr else { unreachable!("seen to pass") };
                Shown { name: out.name, column: places[symbol], open: out.open, ty: out.typed.ty }
            };
            let (outs, hidden) =
                (outs.into_iter().map(shown).collect(), hidden.into_iter().map(shown).collect());
            return relation(level.node, outs, hidden);
        }
        let places = self.places(&level.layout);
        let (mut items, mut columns, mut lists) =
            (Vec::new(), Vec::<Arc<str>>::new(), [Vec::new(), Vec::new()]);
        let visible = outs.len();
        for (column, out) in outs.into_iter().chain(hidden).enumerate() {
            let Typed { mut expr, ty } = out.typed;
            expr.columns_mut(&mut |symbol| *symbol = places[*symbol]);
            let name: Arc<str> = match (out.open, column < visible) {
                (true, _) => format!("$star{column}").into(),
                (false, true) => out.name.clone(),
                (false, false) => format!("${}", out.name).into(),
            };
            items.push(match out.open && used == Use::Output {
                true => Item::Spread(expr),
                false => Item::Column(name.clone(), expr),
            });
            columns.push(name);
            lists[usize::from(column >= visible)].push(Shown { name: out.name, column, open: out.open, ty });
        }
        let op = Op::Project(Project { items });
        let node = self.build.push(op, vec![level.node], columns, step, &select.place);
        let [shown, hidden] = lists;
        relation(node, shown, hidden)
    }

    /// Sources with their analytics, joined from left to right.
    fn joined(&mut self, step: &str) -> Level {
        let sides = std::mem::take(&mut self.sides);
        let names: Vec<String> = sides.iter().map(|side| side.name.clone()).collect();
        let joins = std::mem::take(&mut self.joins);
        let select = self.select;
        let froms = std::iter::once(&select.from).chain(select.joins.iter().map(|join| &join.from));
        let mut levels = sides
            .into_iter()
            .zip(froms)
            .map(|(side, from)| self.side_level(side, from, step))
            .collect::<Vec<_>>();
        let mut left = levels.remove(0);
        for (joined, right) in joins.into_iter().zip(levels) {
            let mut join = joined.join;
            let (of_left, of_right) = (self.places(&left.layout), self.places(&right.layout));
            for (l, r) in &mut join.equal {
                l.columns_mut(&mut |symbol| *symbol = of_left[*symbol]);
                r.columns_mut(&mut |symbol| *symbol = of_right[*symbol]);
            }
            join.bound.left = of_left[join.bound.left];
            join.bound.right = of_right[join.bound.right];
            join.left_columns = left.layout.len();
            let layout: Vec<Symbol> = left.layout.iter().chain(&right.layout).copied().collect();
            let places = self.places(&layout);
            join.on.columns_mut(&mut |symbol| *symbol = places[*symbol]);
            let columns =
                [&left, &right].into_iter().flat_map(|level| self.qualified(level, &names)).collect();
            let node =
                self.build.push(Op::Join(join), vec![left.node, right.node], columns, step, &joined.place);
            left = Level { node, layout };
        }
        left
    }

    /// The columns of one side of a join as `alias.column`.
    fn qualified(&self, level: &Level, names: &[String]) -> Vec<Arc<str>> {
        let node = &self.build.nodes[level.node];
        let columns = node.columns.iter().zip(&level.layout);
        let already = level.layout.iter().any(|symbol| self.owners[*symbol] != self.owners[level.layout[0]]);
        let name = |(column, symbol): (&Arc<str>, &Symbol)| match self.owners[*symbol] {
            Some(side) if !already => format!("{}.{column}", names[side]).into(),
            _ => column.clone(),
        };
        columns.map(name).collect()
    }

    fn side_level(&mut self, side: Side, from: &From, step: &str) -> Level {
        let mut level = match side.rows {
            Rows::Stream { input, columns, by } => {
                let (columns, layout): (Vec<SourceColumn>, Vec<Symbol>) = columns.into_iter().unzip();
                let places = self.places(&layout);
                let timestamp_by = by.map(|mut expr| {
                    expr.columns_mut(&mut |symbol| *symbol = places[*symbol]);
                    expr
                });
                let names = columns.iter().map(source_name).collect();
                let op = Op::Source(Source { input, timestamp_by, columns });
                Level { node: self.build.push(op, Vec::new(), names, step, &from.place), layout }
            }
            Rows::Step { relation, symbols } => {
                let level = Level { node: relation.node, layout: symbols };
                match side.timestamp {
                    Some(symbol) => self.with_timestamp(level, symbol, from, step),
                    None => level,
                }
            }
        };
        for analytic in side.analytics {
            let mut op = analytic.op;
            let places = self.places(&level.layout);
            columns_mut(&mut op, &mut |symbol| *symbol = places[*symbol]);
            let mut columns = self.build.nodes[level.node].columns.clone();
            columns.push(format!("${}{}", op.name(), columns.len()).into());
            level.node = self.build.push(op, vec![level.node], columns, step, &analytic.place);
            level.layout.push(analytic.symbol);
        }
        level
    }

    /// The rows of a step with their timestamp as a last column, to survive a join.
    fn with_timestamp(&mut self, level: Level, symbol: Symbol, from: &From, step: &str) -> Level {
        let mut columns = self.build.nodes[level.node].columns.clone();
        let mut items: Vec<Item> =
            columns.iter().enumerate().map(|(i, name)| Item::Column(name.clone(), Expr::Column(i))).collect();
        items.push(Item::Column("$timestamp".into(), Expr::Timestamp));
        columns.push("$timestamp".into());
        let node =
            self.build.push(Op::Project(Project { items }), vec![level.node], columns, step, &from.place);
        let layout = level.layout.into_iter().chain([symbol]).collect();
        Level { node, layout }
    }

    fn filter(&mut self, level: Level, mut predicate: Predicate, ast: &Ast, step: &str) -> Level {
        let places = self.places(&level.layout);
        predicate.columns_mut(&mut |symbol| *symbol = places[*symbol]);
        let columns = self.build.nodes[level.node].columns.clone();
        let node = self.build.push(Op::Filter(predicate), vec![level.node], columns, step, &ast.place);
        Level { node, layout: level.layout }
    }

    fn grouped(&mut self, level: Level, group: super::group::Grouping, step: &str) -> Level {
        let places = self.places(&level.layout);
        let resolve = |mut expr: Expr| {
            expr.columns_mut(&mut |symbol| *symbol = places[*symbol]);
            expr
        };
        let (mut keys, mut calls, mut columns, mut layout) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for key in group.keys {
            keys.push(resolve(key.typed.expr));
            columns.push(key.name);
            layout.push(key.symbol);
        }
        for aggregated in group.calls {
            let mut call = aggregated.call;
            call.argument = call.argument.map(resolve);
            calls.push(call);
            columns.push(aggregated.name);
            layout.push(aggregated.symbol);
        }
        let op = Op::Group(Group { window: group.window, keys, calls });
        Level { node: self.build.push(op, vec![level.node], columns, step, &group.place), layout }
    }

    /// For each symbol its place in a layout.
    fn places(&self, layout: &[Symbol]) -> Vec<usize> {
        let mut places = vec![usize::MAX; self.owners.len()];
        layout.iter().enumerate().for_each(|(place, symbol)| places[*symbol] = place);
        places
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
        Kind::Call(call) => {
            let name = call.name.to_ascii_lowercase();
            let kept = super::aggregate::named(&name).is_some()
                || matches!(name.as_str(), "lag" | "last" | "isfirst");
            if kept { name.into() } else { format!("Col{}", index + 1).into() }
        }
        _ => format!("Col{}", index + 1).into(),
    }
}

fn source_name(column: &SourceColumn) -> Arc<str> {
    match column {
        SourceColumn::Member(name) => name.clone(),
        SourceColumn::Payload => "$payload".into(),
        SourceColumn::PartitionId => METADATA[0].into(),
        SourceColumn::Arrival => METADATA[1].into(),
        SourceColumn::Timestamp => "$timestamp".into(),
    }
}

/// Every column an analytic operator reads.
pub(super) fn columns_mut(op: &mut Op, change: &mut dyn FnMut(&mut usize)) {
    let (partition, when) = match op {
        Op::Lag(lag) => {
            lag.argument.columns_mut(change);
            lag.default.columns_mut(change);
            (&mut lag.partition, &mut lag.when)
        }
        Op::Last(last) => {
            last.argument.columns_mut(change);
            last.default.columns_mut(change);
            (&mut last.partition, &mut last.when)
        }
        Op::IsFirst(first) => (&mut first.partition, &mut first.when),
        _ => return,
    };
    partition.iter_mut().for_each(|expr| expr.columns_mut(change));
    if let Some(when) = when {
        when.columns_mut(change);
    }
}
