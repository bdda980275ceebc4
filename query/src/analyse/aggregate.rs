//! Aggregates: where they may stand and what they take (section 6).
//!
//! Equal calls share one column of the grouping. Names ignore case.

use super::group::Aggregated;
use super::scope::{Clause, Rows, Scope, Typed};
use super::types::{self, Ty};
use crate::codes::{self, fail, unsupported};
use crate::error::QueryError;
use crate::expr::Expr;
use crate::parse::ast::{Ast, Call, Kind};
use crate::plan::{Aggregate, AggregateCall, SourceColumn};
use crate::value::Type;

/// The aggregate of a name in lower case; numbers in its arguments are not read yet.
pub(super) fn named(name: &str) -> Option<Aggregate> {
    Some(match name {
        "count" => Aggregate::Count,
        "sum" => Aggregate::Sum,
        "avg" => Aggregate::Avg,
        "min" => Aggregate::Min,
        "max" => Aggregate::Max,
        "var" => Aggregate::Var,
        "varp" => Aggregate::VarP,
        "stdev" => Aggregate::Stdev,
        "stdevp" => Aggregate::StdevP,
        "percentile_cont" => Aggregate::PercentileCont(0.0),
        "percentile_disc" => Aggregate::PercentileDisc(0.0),
        "collect" => Aggregate::Collect,
        "collecttop" => Aggregate::CollectTop(0),
        "topone" => Aggregate::TopOne,
        _ if name.starts_with("uda.") => Aggregate::User,
        _ => return None,
    })
}

/// Whether OVER (ORDER BY ...) is part of the aggregate itself (rule 6.1).
pub(super) fn is_ordered(function: Aggregate) -> bool {
    matches!(function, Aggregate::CollectTop(_) | Aggregate::TopOne) || is_percentile(function)
}

fn is_percentile(function: Aggregate) -> bool {
    matches!(function, Aggregate::PercentileCont(_) | Aggregate::PercentileDisc(_))
}

impl Scope<'_> {
    /// An aggregate: over a group, or with OVER over the events before each one.
    pub(super) fn aggregate(&mut self, call: &Call, ast: &Ast, clause: Clause) -> Result<Typed, QueryError> {
        let name = call.name.to_ascii_lowercase();
        let function = named(&name).expect("the caller has looked it up");
        if let Some(over) = &call.over {
            let windowed = over.limit.is_none() && over.partition.is_empty() && over.when.is_none();
            if call.distinct && !is_ordered(function) {
                let message = "DISTINCT cannot be combined with OVER (rule 6.1)";
                return Err(fail(codes::DISTINCT_OVER, &ast.place, "DISTINCT with OVER", message));
            }
            if !(windowed && is_ordered(function)) {
                return self.analytic(call, ast, clause);
            }
        }
        self.check_place(&name, ast, clause)?;
        let (call, ty) = self.aggregate_call(call, ast, Clause::Aggregate)?;
        let calls = &self.group.as_ref().expect("checked with the place").calls;
        if let Some(same) = calls.iter().find(|have| have.call == call) {
            return Ok(Typed { expr: Expr::Column(same.symbol), ty: same.ty });
        }
        let name = format!("${name}{}", calls.len()).into();
        let symbol = self.symbol(None);
        let group = self.group.as_mut().expect("checked with the place");
        group.calls.push(Aggregated { call, ty, symbol, name });
        Ok(Typed { expr: Expr::Column(symbol), ty })
    }

    /// What is aggregated, and the type of the result; expressions are lowered in `clause`.
    pub(super) fn aggregate_call(
        &mut self,
        call: &Call,
        ast: &Ast,
        clause: Clause,
    ) -> Result<(AggregateCall, Ty), QueryError> {
        let name = call.name.to_ascii_lowercase();
        let function = named(&name).expect("the caller has looked it up");
        if call.distinct && function != Aggregate::Count {
            return Err(unsupported(&format!("{}(DISTINCT ...)", name.to_uppercase()), "6.1", &ast.place));
        }
        let (function, order) = self.ordered(function, call, ast, clause)?;
        let (argument, ty) = if is_percentile(function) {
            // The argument is what is ordered by.
            (Some(order[0].0.expr.clone()), order[0].0.ty)
        } else {
            self.argument(function, call, ast, clause)?
        };
        if !is_percentile(function) {
            self.check_argument(function, call, ty);
        }
        let as_text = matches!(function, Aggregate::Min | Aggregate::Max)
            && matches!(argument, Some(Expr::Cast { to: Type::Text, .. }));
        let ty = match function {
            Aggregate::Count => Some(Type::Bigint),
            Aggregate::Avg | Aggregate::Var | Aggregate::VarP | Aggregate::Stdev | Aggregate::StdevP => {
                Some(Type::Float)
            }
            Aggregate::PercentileCont(_) => Some(Type::Float),
            Aggregate::Sum => ty.filter(|ty| matches!(ty, Type::Bigint | Type::Float)),
            Aggregate::Min | Aggregate::Max => ty.filter(|ty| *ty != Type::Text || as_text),
            Aggregate::Collect | Aggregate::CollectTop(_) => Some(Type::Array),
            Aggregate::TopOne | Aggregate::PercentileDisc(_) => ty,
            Aggregate::User => None,
        };
        let user = (function == Aggregate::User).then(|| self.external_aggregate(call, Vec::new()));
        let order = order.into_iter().map(|(typed, descending)| (typed.expr, descending)).collect();
        Ok((AggregateCall { function, argument, distinct: call.distinct, as_text, order, user }, ty))
    }

    /// The number in front and the ORDER BY behind: of COLLECTTOP, TOPONE and the percentiles.
    fn ordered(
        &mut self,
        function: Aggregate,
        call: &Call,
        ast: &Ast,
        clause: Clause,
    ) -> Result<(Aggregate, Vec<(Typed, bool)>), QueryError> {
        if !is_ordered(function) {
            return Ok((function, Vec::new()));
        }
        let name = call.name.to_uppercase();
        let Some(over) = call.over.as_ref().filter(|over| !over.order.is_empty()) else {
            let message = format!("{name} needs OVER (ORDER BY ...) (rule 6.1)");
            let error = fail(codes::NO_ORDER, &ast.place, "no order", message);
            return Err(error.help("write OVER (ORDER BY x DESC)"));
        };
        let function = match function {
            Aggregate::CollectTop(_) => Aggregate::CollectTop(top_count(call, ast)?),
            Aggregate::PercentileCont(_) => Aggregate::PercentileCont(share(call, ast)?),
            Aggregate::PercentileDisc(_) => Aggregate::PercentileDisc(share(call, ast)?),
            other => other,
        };
        if is_percentile(function)
            && let Some((second, _)) = over.order.get(1)
        {
            let message = format!("{name} orders by one expression (rule 6.1)");
            return Err(fail(codes::BAD_ARGUMENTS, &second.place, "one too many", message));
        }
        let mut order = Vec::new();
        for (key, descending) in &over.order {
            let typed = self.value(key, clause)?;
            let number = types::numeric(typed.ty) || is_percentile(function) && typed.ty == Some(Type::Text);
            if !(number || typed.ty == Some(Type::Datetime) && !is_percentile(function)) {
                let message = format!("{name} orders numbers and datetimes (rule 6.1)");
                self.doubt(&key.place, typed.ty, &message);
            }
            order.push((typed, *descending));
        }
        Ok((function, order))
    }

    fn check_place(&self, name: &str, ast: &Ast, clause: Clause) -> Result<(), QueryError> {
        if self.is_grouped(clause) {
            return Ok(());
        }
        let name = name.to_uppercase();
        if matches!(clause, Clause::Items | Clause::Having) {
            let message = format!("{name} needs a GROUP BY with a window (rule 6.1)");
            let error = fail(codes::NO_WINDOW, &ast.place, "no window", message);
            return Err(error.help("add one, such as GROUP BY TumblingWindow(minute, 5)"));
        }
        let (what, help) = match clause {
            Clause::Where => ("in WHERE, before the groups exist", "filter groups with HAVING"),
            Clause::Aggregate => {
                ("inside another aggregate", "aggregate in a step of WITH, then again over the step")
            }
            Clause::Analytic => ("inside an analytic function", "aggregate in a step of WITH"),
            _ => ("here, before the groups exist", "aggregate in a step of WITH"),
        };
        let message = format!("{name} cannot stand {what} (rules 5.1, 6.1)");
        Err(fail(codes::AGGREGATE_PLACE, &ast.place, "no group yet", message).help(help))
    }

    /// The argument; none for COUNT(*) and COUNT(stream), the whole event for COLLECT() and its like.
    fn argument(
        &mut self,
        function: Aggregate,
        call: &Call,
        ast: &Ast,
        clause: Clause,
    ) -> Result<(Option<Expr>, Ty), QueryError> {
        if call.star && function == Aggregate::Count && !call.distinct {
            return Ok((None, None));
        }
        let before = usize::from(matches!(function, Aggregate::CollectTop(_)));
        let collects = matches!(function, Aggregate::Collect | Aggregate::CollectTop(_) | Aggregate::TopOne);
        self.count_arguments(call, ast, if collects { before } else { 1 }, before + 1)?;
        let Some(arg) = call.args.get(before) else {
            return Ok((Some(self.whole_row(ast)?), Some(Type::Record)));
        };
        if function == Aggregate::Count
            && let Some(side) = self.side_of(arg)
        {
            if self.streams() > 1 || !self.is_stream(side) {
                return Err(unsupported("COUNT of one side of a join", "6.1", &arg.place)
                    .help("count a column of that side that is never NULL"));
            }
            if !call.distinct {
                return Ok((None, None));
            }
            return Ok((Some(self.whole_event(side, arg)?), None));
        }
        let typed = self.value(arg, clause)?;
        Ok((Some(typed.expr), typed.ty))
    }

    /// The whole event of a side as a record, for COLLECT(), COUNT(DISTINCT stream) and LAG(*).
    pub(super) fn whole_event(&mut self, side: usize, place: &Ast) -> Result<Expr, QueryError> {
        match &self.sides[side].rows {
            Rows::Stream { .. } => Ok(Expr::Column(self.source_column(side, SourceColumn::Payload)?)),
            Rows::Step { relation, symbols } => match relation.shown.as_slice() {
                [only] if only.open => Ok(Expr::Column(symbols[only.column])),
                shown if shown.iter().all(|s| !s.open) => {
                    let member = |s: &super::Shown| (s.name.clone(), Expr::Column(symbols[s.column]));
                    Ok(Expr::Record(shown.iter().map(member).collect()))
                }
                _ => {
                    let what = "the whole row of a step that has a star beside columns of its own";
                    let error = unsupported(what, "6.1", &place.place);
                    Err(error.help("name the columns in the step, or one column here"))
                }
            },
            Rows::Reference { .. } | Rows::Apply { .. } => {
                let error = unsupported("the whole row of reference data or of APPLY", "6.1", &place.place);
                Err(error.help("name a column instead"))
            }
        }
    }

    fn check_argument(&mut self, function: Aggregate, call: &Call, ty: Ty) {
        let Some(place) = call.args.first().map(|arg| &arg.place) else { return };
        let fits = match function {
            Aggregate::Sum | Aggregate::Avg => types::numeric(ty) || ty == Some(Type::Text),
            Aggregate::Var | Aggregate::VarP | Aggregate::Stdev | Aggregate::StdevP => {
                types::numeric(ty) || ty == Some(Type::Text)
            }
            Aggregate::Min | Aggregate::Max => !matches!(ty, Some(Type::Record | Type::Array)),
            _ => true,
        };
        if !fits {
            self.doubt(place, ty, &format!("{} takes numbers (rule 6.1)", call.name));
        }
    }
}

/// The number of COLLECTTOP.
fn top_count(call: &Call, ast: &Ast) -> Result<u32, QueryError> {
    let count = match call.args.first().map(|arg| &arg.kind) {
        Some(Kind::Integer(n)) => u32::try_from(*n).ok().filter(|n| *n >= 1),
        _ => None,
    };
    count.ok_or_else(|| {
        let place = call.args.first().map_or(&ast.place, |arg| &arg.place);
        let message = "COLLECTTOP takes a whole constant of at least 1 first (rule 6.1)";
        fail(codes::BAD_ARGUMENTS, place, "no such constant", message)
    })
}

/// The share of a percentile.
fn share(call: &Call, ast: &Ast) -> Result<f64, QueryError> {
    let share = match call.args.as_slice() {
        [only] => match only.kind {
            Kind::Integer(n) => Some(n as f64),
            Kind::Decimal(float, _) => Some(float),
            _ => None,
        },
        _ => None,
    };
    share.filter(|share| (0.0..=1.0).contains(share)).map(|share| share + 0.0).ok_or_else(|| {
        let place = call.args.first().map_or(&ast.place, |arg| &arg.place);
        let message = format!("{} takes one constant from 0 to 1 (rule 6.1)", call.name.to_uppercase());
        fail(codes::BAD_ARGUMENTS, place, "no such constant", message)
    })
}
