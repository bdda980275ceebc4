//! One SELECT as nodes: symbols become places, and every node is pushed after its inputs (rule 5.1).
//!
//! Order of nodes: source, analytics, join and APPLY, filter, group, filter, projection. Knows nothing of
//! names; what they mean was settled while the SELECT was lowered. Invariant: no symbol is left in a node.

use std::ops::Range;
use std::sync::Arc;

use super::join::Beside;
use super::scope::{METADATA, Rows, Scope, Side, Symbol, Typed};
use super::select::{Out, Use};
use super::{Relation, Shown};
use crate::expr::{Expr, Predicate};
use crate::parse::ast::{Ast, From, More};
use crate::plan::{
    AggregateCall, Apply, Group, Item, Join, NodeId, Op, Project, ReferenceJoin, Source, SourceColumn,
};
use crate::value::Value;

/// A node under construction: its id and what symbol each of its columns is.
struct Level {
    node: NodeId,
    layout: Vec<Symbol>,
}

/// What a join or an APPLY combines the left with.
enum Right {
    Stream(Level),
    Beside(Box<Side>),
}

impl Scope<'_> {
    /// Pushes the nodes.
    pub(super) fn assemble(
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
        let over = self.substream(&outs, &hidden);
        let select = self.select;
        if partition.as_deref() == Some("partitionid") && self.streams() > 1 {
            let inputs = self.sides.iter().flat_map(|side| self.build.aligned(side)).collect();
            self.build.align(inputs, false, &select.place);
        }
        let mut level = self.joined(step);
        if let (Some(predicate), Some(ast)) = (filter, &select.filter) {
            level = self.filter(level, predicate, ast, step);
        }
        if let Some(group) = self.group.take() {
            level = self.grouped(level, group, step);
        }
        if let (Some(predicate), Some(ast)) = (having, &select.having) {
            level = self.filter(level, predicate, ast, step);
        }
        let relation =
            |node, shown, hidden, over| Relation { node, shown, hidden, partition, parallel, over };
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
            let over = over.into_iter().map(|(_, symbol)| symbol.map(|symbol| places[symbol]));
            return relation(level.node, outs, hidden, over.collect());
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
        relation(node, shown, hidden, over.into_iter().map(|(column, _)| column).collect())
    }

    /// For each part of the substream its column among the items, and its symbol below them (rule 3.9).
    fn substream(&self, outs: &[Out], hidden: &[Out]) -> Vec<(Option<usize>, Option<Symbol>)> {
        let find = |key: &Option<Expr>| {
            let Some(key) = key else { return (None, None) };
            let above = match &self.group {
                Some(group) => {
                    let same = group.keys.iter().find(|have| self.alike(&have.typed.expr, key));
                    same.map(|key| Expr::Column(key.symbol))
                }
                None => Some(key.clone()),
            };
            let mut all = outs.iter().chain(hidden);
            let named = |out: &Out| above.as_ref().is_some_and(|above| self.alike(&out.typed.expr, above));
            let column = all.position(|out| !out.open && named(out));
            let symbol = match above {
                Some(Expr::Column(symbol)) => Some(symbol),
                _ => None,
            };
            (column, symbol)
        };
        self.sides[0].over.iter().map(find).collect()
    }

    /// Sources with their analytics, joined from left to right.
    fn joined(&mut self, step: &str) -> Level {
        let sides = std::mem::take(&mut self.sides);
        let names: Vec<String> = sides.iter().map(|side| side.name.clone()).collect();
        let joins = std::mem::take(&mut self.joins);
        let select = self.select;
        let mut sides = sides.into_iter();
        let first = sides.next().expect("a SELECT has FROM");
        let mut left = self.side_level(first, &select.from, step);
        // All streams stand before the first join.
        let mut rights = Vec::new();
        for (side, more) in sides.zip(&select.joins) {
            rights.push(match (&side.rows, more) {
                (Rows::Stream { .. } | Rows::Step { .. }, More::Join(clause)) => {
                    Right::Stream(self.side_level(side, &clause.from, step))
                }
                _ => Right::Beside(Box::new(side)),
            });
        }
        for (joined, right) in joins.into_iter().zip(rights) {
            let place = &joined.place;
            left = match (joined.what, right) {
                (Beside::Stream(join), Right::Stream(right)) => {
                    self.joined_stream(left, right, join, &names, place, step)
                }
                (Beside::Reference(join), Right::Beside(side)) => {
                    self.joined_reference(left, *side, join, &names, place, step)
                }
                (Beside::Apply(apply), Right::Beside(side)) => self.applied(left, *side, apply, place, step),
                _ => unreachable!("a join was pushed with its side"),
            };
        }
        left
    }

    fn joined_stream(
        &mut self,
        left: Level,
        right: Level,
        mut join: Join,
        names: &[String],
        place: &Range<usize>,
        step: &str,
    ) -> Level {
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
        let columns = [&left, &right].into_iter().flat_map(|level| self.qualified(level, names)).collect();
        let node = self.build.push(Op::Join(join), vec![left.node, right.node], columns, step, place);
        Level { node, layout }
    }

    fn joined_reference(
        &mut self,
        left: Level,
        side: Side,
        mut join: ReferenceJoin,
        names: &[String],
        place: &Range<usize>,
        step: &str,
    ) -> Level {
        let Rows::Reference { columns: asked, .. } = side.rows else {
            unreachable!("the side of a reference join is reference data");
        };
        let mut columns = self.qualified(&left, names);
        let (members, symbols): (Vec<Arc<str>>, Vec<Symbol>) = asked.into_iter().unzip();
        for member in &members {
            let member = if member.is_empty() { "$row" } else { member };
            columns.push(format!("{}.{member}", side.name).into());
        }
        let (of_left, of_right) = (self.places(&left.layout), self.places(&symbols));
        for (l, r) in &mut join.equal {
            l.columns_mut(&mut |symbol| *symbol = of_left[*symbol]);
            r.columns_mut(&mut |symbol| *symbol = of_right[*symbol]);
        }
        join.left_columns = left.layout.len();
        join.columns = members;
        let layout: Vec<Symbol> = left.layout.into_iter().chain(symbols).collect();
        let places = self.places(&layout);
        join.on.columns_mut(&mut |symbol| *symbol = places[*symbol]);
        let node = self.build.push(Op::ReferenceJoin(join), vec![left.node], columns, step, place);
        Level { node, layout }
    }

    fn applied(
        &mut self,
        left: Level,
        side: Side,
        mut apply: Apply,
        place: &Range<usize>,
        step: &str,
    ) -> Level {
        let Rows::Apply { names, symbols } = side.rows else { unreachable!("the side of an APPLY is one") };
        let places = self.places(&left.layout);
        apply.argument.columns_mut(&mut |symbol| *symbol = places[*symbol]);
        let mut columns = self.build.nodes[left.node].columns.clone();
        columns.extend(names.iter().map(|name| Arc::from(format!("{}.{name}", side.name))));
        let layout = left.layout.into_iter().chain(symbols).collect();
        let node = self.build.push(Op::Apply(apply), vec![left.node], columns, step, place);
        Level { node, layout }
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
                let over = side.over.into_iter().flatten().map(|mut expr| {
                    expr.columns_mut(&mut |symbol| *symbol = places[*symbol]);
                    expr
                });
                let (over, table) = (over.collect(), self.build.table_of(input).to_vec());
                let names = columns.iter().map(source_name).collect();
                let op = Op::Source(Source { input, table, over, timestamp_by, columns });
                Level { node: self.build.push(op, Vec::new(), names, step, &from.place), layout }
            }
            Rows::Reference { .. } | Rows::Apply { .. } => {
                unreachable!("reference data and APPLY have no rows of their own")
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

    /// One grouping for each window, and their union (rule 4.11).
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
            call_columns_mut(&mut call, &mut |symbol| *symbol = places[*symbol]);
            calls.push(call);
            columns.push(aggregated.name);
            layout.push(aggregated.symbol);
        }
        let mut branches = Vec::new();
        let mut place = group.windows[0].place.clone();
        for member in group.windows {
            let session_by = member.session_by.into_iter().map(&resolve).collect();
            let op = Op::Group(Group {
                window: member.window,
                keys: keys.clone(),
                calls: calls.clone(),
                session_by,
            });
            let mut node = self.build.push(op, vec![level.node], columns.clone(), step, &member.place);
            if let (Some(_), Some(id)) = (group.id, member.id) {
                let item = |(i, name): (usize, &Arc<str>)| Item::Column(name.clone(), Expr::Column(i));
                let mut items: Vec<Item> = columns.iter().enumerate().map(item).collect();
                items.push(Item::Column("$id".into(), Expr::Literal(Value::Text(id))));
                let names = columns.iter().cloned().chain(["$id".into()]).collect();
                let op = Op::Project(Project { items });
                node = self.build.push(op, vec![node], names, step, &member.place);
            }
            place.end = member.place.end;
            branches.push(node);
        }
        if let Some(symbol) = group.id {
            columns.push("$id".into());
            layout.push(symbol);
        }
        let node = match branches.as_slice() {
            [only] => *only,
            _ => self.build.push(Op::Union, branches, columns, step, &place),
        };
        Level { node, layout }
    }

    /// The one input of a pattern, and for each symbol its place there.
    pub(super) fn lone(&mut self, step: &str) -> (NodeId, Vec<usize>) {
        let side = self.sides.remove(0);
        let select = self.select;
        let level = self.side_level(side, &select.from, step);
        (level.node, self.places(&level.layout))
    }

    /// For each symbol its place in a layout.
    fn places(&self, layout: &[Symbol]) -> Vec<usize> {
        let mut places = vec![usize::MAX; self.owners.len()];
        layout.iter().enumerate().for_each(|(place, symbol)| places[*symbol] = place);
        places
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
        Op::Over(over) => {
            call_columns_mut(&mut over.call, change);
            (&mut over.partition, &mut over.when)
        }
        _ => return,
    };
    partition.iter_mut().for_each(|expr| expr.columns_mut(change));
    if let Some(when) = when {
        when.columns_mut(change);
    }
}

/// Every column an aggregate reads.
fn call_columns_mut(call: &mut AggregateCall, change: &mut dyn FnMut(&mut usize)) {
    call.argument.iter_mut().for_each(|expr| expr.columns_mut(change));
    call.order.iter_mut().for_each(|(expr, _)| expr.columns_mut(change));
}
