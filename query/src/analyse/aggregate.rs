//! Aggregates: where they may stand and what they take (section 6).
//!
//! Equal calls share one column of the grouping. Names ignore case.

use super::group::Aggregated;
use super::scalar::mismatch;
use super::scope::{Clause, Rows, Scope, Typed};
use super::types::{self, Ty};
use crate::codes::{self, fail, unsupported};
use crate::error::QueryError;
use crate::expr::Expr;
use crate::parse::ast::{Ast, Call};
use crate::plan::{Aggregate, AggregateCall, SourceColumn};
use crate::value::Type;

/// The aggregate of a name in lower case.
pub(super) fn named(name: &str) -> Option<Aggregate> {
    Some(match name {
        "count" => Aggregate::Count,
        "sum" => Aggregate::Sum,
        "avg" => Aggregate::Avg,
        "min" => Aggregate::Min,
        "max" => Aggregate::Max,
        _ => return None,
    })
}

impl Scope<'_> {
    /// An aggregate above a grouping.
    pub(super) fn aggregate(&mut self, call: &Call, ast: &Ast, clause: Clause) -> Result<Typed, QueryError> {
        let name = call.name.to_ascii_lowercase();
        let function = named(&name).expect("the caller has looked it up");
        if let Some(over) = &call.over {
            if call.distinct {
                let message = "DISTINCT cannot be combined with OVER (rule 6.1)";
                return Err(fail(codes::DISTINCT_OVER, &ast.place, "DISTINCT with OVER", message));
            }
            return Err(unsupported(&format!("{} OVER", name.to_uppercase()), "6.2", &over.place));
        }
        self.check_place(&name, ast, clause)?;
        let (argument, ty) = self.argument(function, call, ast)?;
        self.check_argument(function, call, ty)?;
        let as_text = matches!(function, Aggregate::Min | Aggregate::Max)
            && matches!(argument, Some(Expr::Cast { to: Type::Text, .. }));
        let ty = match function {
            Aggregate::Count => Some(Type::Bigint),
            Aggregate::Avg => Some(Type::Float),
            Aggregate::Sum => ty.filter(|ty| matches!(ty, Type::Bigint | Type::Float)),
            Aggregate::Min | Aggregate::Max => ty.filter(|ty| *ty != Type::Text || as_text),
        };
        let call = AggregateCall { function, argument, distinct: call.distinct, as_text };
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

    /// The argument; none for COUNT(*) and COUNT(stream).
    fn argument(
        &mut self,
        function: Aggregate,
        call: &Call,
        ast: &Ast,
    ) -> Result<(Option<Expr>, Ty), QueryError> {
        if call.star && function == Aggregate::Count && !call.distinct {
            return Ok((None, None));
        }
        self.count_arguments(call, ast, 1, 1)?;
        let arg = &call.args[0];
        if call.distinct && function != Aggregate::Count {
            return Err(unsupported(
                &format!("{}(DISTINCT ...)", call.name.to_uppercase()),
                "6.1",
                &ast.place,
            ));
        }
        if function == Aggregate::Count
            && let Some(side) = self.side_of(arg)
        {
            if self.sides.len() > 1 {
                return Err(unsupported("COUNT of one side of a join", "6.1", &arg.place)
                    .help("count a column of that side that is never NULL"));
            }
            if !call.distinct {
                return Ok((None, None));
            }
            return Ok((Some(self.whole_event(side, arg)?), None));
        }
        let typed = self.value(arg, Clause::Aggregate)?;
        Ok((Some(typed.expr), typed.ty))
    }

    /// The whole event of a side as a record, for COUNT(DISTINCT stream) and LAG(*).
    pub(super) fn whole_event(&mut self, side: usize, place: &Ast) -> Result<Expr, QueryError> {
        match &self.sides[side].rows {
            Rows::Stream { .. } => Ok(Expr::Column(self.source_column(side, SourceColumn::Payload)?)),
            Rows::Step { relation, symbols } => match relation.shown.as_slice() {
                [only] if only.open => Ok(Expr::Column(symbols[only.column])),
                _ => Err(unsupported("the whole row of a step with columns of its own", "6.1", &place.place)
                    .help("name a column instead")),
            },
        }
    }

    fn check_argument(&self, function: Aggregate, call: &Call, ty: Ty) -> Result<(), QueryError> {
        let Some(place) = call.args.first().map(|arg| &arg.place) else { return Ok(()) };
        let fits = match function {
            Aggregate::Count => true,
            Aggregate::Sum | Aggregate::Avg => types::numeric(ty) || ty == Some(Type::Text),
            Aggregate::Min | Aggregate::Max => !matches!(ty, Some(Type::Record | Type::Array)),
        };
        if fits {
            Ok(())
        } else {
            Err(mismatch(place, ty, &format!("{} takes numbers (rule 6.1)", call.name)))
        }
    }
}
