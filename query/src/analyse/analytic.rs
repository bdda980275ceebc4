//! LAG, LAST, ISFIRST: below WHERE and JOIN, over every event of one input (rules 5.1, 7).
//!
//! An analytic function becomes a node behind the side of FROM that its arguments touch, and reads there
//! as a column. Equal calls share one node. Invariant: its expressions range over that side alone, and a
//! partitioned SELECT has its key in `partition`.

use std::ops::Range;

use super::scope::{self, Clause, Scope, Symbol, Typed};
use super::types::{self, Ty};
use super::window;
use super::{aggregate, external};
use crate::codes::{self, fail};
use crate::error::QueryError;
use crate::expr::{Expr, Predicate};
use crate::parse::ast::{Ast, Call, Kind, Over};
use crate::plan::{self, Aggregate, IsFirst, Lag, Last, Op};
use crate::time::Span;
use crate::value::{Type, Value};

impl Scope<'_> {
    /// An analytic function anywhere a scalar may stand (rule 7.4).
    pub(super) fn analytic(&mut self, call: &Call, ast: &Ast, clause: Clause) -> Result<Typed, QueryError> {
        let name = call.name.to_uppercase();
        if self.is_grouped(clause) {
            let message =
                format!("{name} of single events is no grouping key and has no value for a group (rule 5.4)");
            let error = fail(codes::NOT_GROUPED, &ast.place, "not grouped", message);
            return Err(error.help("compute it in a step of WITH, or aggregate it"));
        }
        match clause {
            Clause::Analytic => {
                let message = format!("{name} cannot stand inside another analytic function (section 7)");
                let error = fail(codes::NESTED_ANALYTIC, &ast.place, "nested", message);
                return Err(error.help("compute the inner one in a step of WITH"));
            }
            Clause::TimestampBy | Clause::Partition => {
                let message = format!("{name} cannot stand here: events are not in order yet (rule 5.1)");
                return Err(fail(codes::ANALYTIC_PLACE, &ast.place, "not here", message));
            }
            _ => {}
        }
        if call.distinct {
            return Err(fail(
                codes::BAD_ARGUMENTS,
                &ast.place,
                "arguments",
                format!("{name} takes no DISTINCT"),
            ));
        }
        let (op, ty) = match name.as_str() {
            "ISFIRST" => self.is_first(call, ast)?,
            "LAG" | "LAST" => self.looks_back(&name, call, ast)?,
            _ if external::is_anomaly(&name.to_ascii_lowercase()) => self.anomaly(&name, call, ast)?,
            _ => self.over_aggregate(&name, call, ast)?,
        };
        let side = self.side_for(&op, &name, ast)?;
        let op = self.partitioned(op, side);
        if let Some(same) = self.sides[side].analytics.iter().find(|have| have.op == op) {
            return Ok(Typed { expr: Expr::Column(same.symbol), ty: same.ty });
        }
        if self.probing {
            return Err(scope::not_a_key());
        }
        let symbol = self.symbol(Some(side));
        self.sides[side].analytics.push(scope::Analytic { symbol, op, ty, place: ast.place.clone() });
        Ok(Typed { expr: Expr::Column(symbol), ty })
    }

    /// LAG(x [, offset [, default]]) and LAST(x [, default]).
    fn looks_back(&mut self, name: &str, call: &Call, ast: &Ast) -> Result<(Op, Ty), QueryError> {
        let lag = name == "LAG";
        if !call.star {
            self.count_arguments(call, ast, 1, if lag { 3 } else { 2 })?;
        }
        let argument = match call.args.first() {
            Some(argument) => self.value(argument, Clause::Analytic)?,
            None => Typed { expr: self.whole_row(ast)?, ty: None },
        };
        let offset = match call.args.get(1).filter(|_| lag) {
            Some(offset) => lag_offset(offset)?,
            None => 1,
        };
        let default = match call.args.get(if lag { 2 } else { 1 }) {
            Some(default) => self.default_of(name, &argument, default)?,
            None => Expr::Literal(Value::Null),
        };
        let over = call.over.as_ref().filter(|over| over.limit.is_some());
        let Some(over) = over else {
            let message = format!("{name} needs LIMIT DURATION: how far back it may look (section 7)");
            let error = fail(codes::NO_LIMIT, &ast.place, "no limit", message);
            return Err(error.help(format!("write {name}(...) OVER (LIMIT DURATION(hour, 1))")));
        };
        let (partition, when) = self.over(over, name)?;
        let limit = limit(over)?;
        let (argument, ty) = (argument.expr, argument.ty);
        let op = match lag {
            true => Op::Lag(Lag { argument, offset, default, partition, limit, when }),
            false => Op::Last(Last { argument, default, partition, limit, when }),
        };
        external::refuse_inside(&op, name)?;
        Ok((op, ty))
    }

    /// An aggregate with OVER (rule 6.2).
    fn over_aggregate(&mut self, name: &str, call: &Call, ast: &Ast) -> Result<(Op, Ty), QueryError> {
        let over = call.over.as_ref().expect("the caller has seen it");
        let Some((_, place)) = &over.limit else {
            let message = format!("{name} OVER needs LIMIT DURATION: how far back it may look (rule 6.2)");
            let error = fail(codes::NO_LIMIT, &ast.place, "no limit", message);
            return Err(error.help(format!("write {name}(...) OVER (LIMIT DURATION(hour, 1))")));
        };
        let function = aggregate::named(&name.to_ascii_lowercase());
        let documented = matches!(
            function,
            Some(Aggregate::Count | Aggregate::Sum | Aggregate::Avg | Aggregate::Min | Aggregate::Max)
                | Some(Aggregate::Collect | Aggregate::CollectTop(_) | Aggregate::TopOne)
        );
        if !documented {
            let message = format!("{name} has no form with LIMIT DURATION (rule 6.2, A-OVER-LIST)");
            let error = fail(codes::NO_OVER, place, "not here", message);
            return Err(error.help(format!("use {name} in a GROUP BY with a window")));
        }
        let (aggregate, ty) = self.aggregate_call(call, ast, Clause::Analytic)?;
        let ordered = function.is_some_and(aggregate::is_ordered);
        let (partition, when) = self.over(over, if ordered { "" } else { name })?;
        Ok((Op::Over(plan::Over { call: aggregate, partition, limit: limit(over)?, when }), ty))
    }

    fn default_of(&mut self, name: &str, argument: &Typed, default: &Ast) -> Result<Expr, QueryError> {
        let typed = self.value(default, Clause::Analytic)?;
        if let (Some(have), Some(want)) = (typed.ty, argument.ty)
            && !types::unites(have, want)
        {
            let (have, want) = (have.name(), want.name());
            let message = format!("the default of {name} is {have}, its argument {want} (rule 7.1)");
            return Err(fail(codes::TYPE_MISMATCH, &default.place, have, message));
        }
        Ok(typed.expr)
    }

    /// The whole event at hand, where there is one stream.
    pub(super) fn whole_row(&mut self, ast: &Ast) -> Result<Expr, QueryError> {
        if self.streams() > 1 {
            return Err(two_sides("a `*`", &ast.place));
        }
        self.whole_event(0, ast)
    }

    /// ISFIRST(unit, n)
    fn is_first(&mut self, call: &Call, ast: &Ast) -> Result<(Op, Ty), QueryError> {
        self.count_arguments(call, ast, 2, 2)?;
        let interval = window::length(&call.args[0], &call.args[1], false, codes::LIMIT_WINDOW)?;
        let (partition, when) = match &call.over {
            Some(over) => {
                if let Some((_, place)) = &over.limit {
                    let message = "ISFIRST takes no LIMIT DURATION: its interval is its limit (rule 7.3)";
                    return Err(fail(codes::BAD_ARGUMENTS, place, "not here", message));
                }
                self.over(over, "ISFIRST")?
            }
            None => (Vec::new(), None),
        };
        let op = Op::IsFirst(IsFirst { interval, partition, when });
        external::refuse_inside(&op, "ISFIRST")?;
        Ok((op, Some(Type::Bigint)))
    }

    /// PARTITION BY and WHEN; ORDER BY is refused, in the name of the function, unless that is empty.
    pub(super) fn over(
        &mut self,
        over: &Over,
        name: &str,
    ) -> Result<(Vec<Expr>, Option<Predicate>), QueryError> {
        if let Some((order, _)) = over.order.first().filter(|_| !name.is_empty()) {
            let message =
                format!("{name} takes no ORDER BY: events are in the order of their timestamps (section 7)");
            return Err(fail(codes::BAD_ARGUMENTS, &order.place, "not here", message));
        }
        let mut partition: Vec<Expr> = Vec::new();
        for key in &over.partition {
            let expr = self.value(key, Clause::Analytic)?.expr;
            if !partition.contains(&expr) {
                partition.push(expr);
            }
        }
        let when = over.when.as_ref().map(|when| self.predicate(when, Clause::Analytic)).transpose()?;
        Ok((partition, when))
    }

    /// The one side whose columns an analytic function reads.
    fn side_for(&self, op: &Op, name: &str, ast: &Ast) -> Result<usize, QueryError> {
        if self.sides.len() == 1 {
            return Ok(0);
        }
        let mut sides: Vec<usize> =
            symbols(op).into_iter().filter_map(|symbol| self.owners[symbol]).collect();
        sides.sort_unstable();
        sides.dedup();
        match sides.as_slice() {
            [one] if self.is_stream(*one) => Ok(*one),
            [] if self.streams() == 1 => Ok(0),
            [] => Err(two_sides(&format!("{name} without a column"), &ast.place)
                .help("name a column of one side, as in PARTITION BY a.id; or compute it in a step of WITH")),
            _ => Err(two_sides(name, &ast.place)
                .help("it is evaluated before the join: use columns of one side, or join in a step of WITH")),
        }
    }

    /// Adds the partition key of the SELECT (rule 11.1, C-PARTITION).
    fn partitioned(&self, mut op: Op, side: usize) -> Op {
        let partition = match &mut op {
            Op::Lag(lag) => &mut lag.partition,
            Op::Last(last) => &mut last.partition,
            Op::IsFirst(first) => &mut first.partition,
            Op::Over(over) => &mut over.partition,
            _ => return op,
        };
        if let Some(key) = &self.sides[side].key
            && !partition.contains(key)
        {
            partition.push(key.clone());
        }
        op
    }
}

fn two_sides(what: &str, place: &Range<usize>) -> QueryError {
    let message = format!("{what} must belong to exactly one side of the join (rule 5.1)");
    fail(codes::ANALYTIC_SIDE, place, "which side?", message)
}

fn lag_offset(ast: &Ast) -> Result<u32, QueryError> {
    let offset = match ast.kind {
        Kind::Integer(n) => u32::try_from(n).ok().filter(|n| *n >= 1),
        _ => None,
    };
    offset.ok_or_else(|| {
        let message = "the offset of LAG is a whole constant of at least 1 (rule 7.1)";
        let error = fail(codes::LAG_OFFSET, &ast.place, "not 1 or more", message);
        error.help("LAST gives the latest event, the current one included")
    })
}

/// LIMIT DURATION(unit, n)
pub(super) fn limit(over: &Over) -> Result<Span, QueryError> {
    let (args, place) = over.limit.as_ref().expect("the caller has seen it");
    limit_of(args, place)
}

/// The arguments of a LIMIT DURATION and its place as a span.
pub(super) fn limit_of(args: &[Ast], place: &Range<usize>) -> Result<Span, QueryError> {
    match args {
        [unit, number] => window::length(unit, number, false, codes::LIMIT_DURATION),
        _ => {
            let message = "LIMIT DURATION takes a unit and a number (section 7)";
            Err(fail(codes::BAD_ARGUMENTS, place, "arguments", message))
        }
    }
}

/// The symbols an analytic function reads.
fn symbols(op: &Op) -> Vec<Symbol> {
    let mut found = Vec::new();
    let mut op = op.clone();
    super::assemble::columns_mut(&mut op, &mut |symbol| found.push(*symbol));
    found
}
