//! Calls by name: which functions exist, what they take, what they give (section 10).
//!
//! Aggregates, analytic functions and windows are recognised here and handed on. What the language has
//! and this analysis leaves out is refused by name. Names ignore case.

use super::scalar::mismatch;
use super::scope::{Clause, Scope, Typed};
use super::types::{self, Ty};
use super::window;
use crate::codes::{self, fail, unsupported};
use crate::error::QueryError;
use crate::expr::{Expr, Function};
use crate::parse::ast::{Ast, Call, Kind};
use crate::time::Unit;
use crate::value::Type;

/// Functions of the language that are not supported yet, with their rule.
const LATER: &[(&str, &str)] = &[
    ("square", "10"),
    ("sqrt", "10"),
    ("power", "10"),
    ("exp", "10"),
    ("round", "10"),
    ("charindex", "10"),
    ("concat_ws", "10"),
    ("left", "10"),
    ("right", "10"),
    ("substring", "10"),
    ("stuff", "10"),
    ("replace", "10"),
    ("translate", "10"),
    ("replicate", "10"),
    ("space", "10"),
    ("nchar", "10"),
    ("unicode", "10"),
    ("reverse", "10"),
    ("trim", "10"),
    ("ltrim", "10"),
    ("rtrim", "10"),
    ("patindex", "10"),
    ("regexmatch", "10"),
    ("json_parse", "10"),
    ("getrecordpropertyvalue", "10"),
    ("getarrayelement", "10"),
    ("getarraylength", "10"),
    ("getarrayelements", "5.10"),
    ("getrecordproperties", "5.10"),
    ("createpoint", "10"),
    ("createlinestring", "10"),
    ("createpolygon", "10"),
    ("st_distance", "10"),
    ("st_within", "10"),
    ("st_overlaps", "10"),
    ("st_intersects", "10"),
    ("getmetadatapropertyvalue", "10"),
    ("var", "6.1"),
    ("varp", "6.1"),
    ("stdev", "6.1"),
    ("stdevp", "6.1"),
    ("percentile_cont", "6.1"),
    ("percentile_disc", "6.1"),
    ("collect", "6.1"),
    ("collecttop", "6.1"),
    ("topone", "6.1"),
    ("system.window", "4.11"),
    ("anomalydetection_spikeanddip", "7.5"),
    ("anomalydetection_changepoint", "7.5"),
];

impl Scope<'_> {
    /// A call of whatever kind.
    pub(super) fn call(&mut self, call: &Call, ast: &Ast, clause: Clause) -> Result<Typed, QueryError> {
        let name = call.name.to_ascii_lowercase();
        if super::aggregate::named(&name).is_some() {
            return self.aggregate(call, ast, clause);
        }
        if matches!(name.as_str(), "lag" | "last" | "isfirst") {
            return self.analytic(call, ast, clause);
        }
        if let Some(error) = window::misplaced(&name, &ast.place) {
            return Err(error);
        }
        refuse_later(&name, call)?;
        if call.star || call.distinct || call.over.is_some() {
            let message = format!("{} takes neither `*` nor DISTINCT nor OVER (section 10)", call.name);
            return Err(fail(codes::BAD_ARGUMENTS, &ast.place, "scalar function", message));
        }
        if let Some(function) = dated(&name) {
            return self.date_function(function, call, ast, clause);
        }
        let Some((function, least, most)) = plain(&name) else {
            let message = format!("there is no function {} (section 10)", call.name);
            return Err(fail(codes::UNKNOWN_FUNCTION, &call.name_place, "unknown function", message));
        };
        self.count_arguments(call, ast, least, most)?;
        let args = call.args.iter().map(|arg| self.value(arg, clause)).collect::<Result<Vec<_>, _>>()?;
        for (arg, place) in args.iter().zip(call.args.iter().map(|a| &a.place)) {
            let (fits, needs) = match function {
                Function::Abs | Function::Ceiling | Function::Floor | Function::Sign => {
                    (types::numeric(arg.ty), "a number")
                }
                Function::Len | Function::Upper | Function::Lower | Function::Concat => {
                    (types::text(arg.ty), "text")
                }
                Function::DateTimeFromParts => (types::numeric(arg.ty), "numbers"),
                _ => (true, ""),
            };
            if !fits {
                return Err(mismatch(place, arg.ty, &format!("{} takes {needs} (section 10)", call.name)));
            }
        }
        let ty = result(function, &args);
        let args = args.into_iter().map(|arg| arg.expr).collect();
        Ok(Typed { expr: Expr::Call(function, args), ty })
    }

    /// Functions that begin with a unit, or stand for one.
    fn date_function(
        &mut self,
        function: Dated,
        call: &Call,
        ast: &Ast,
        clause: Clause,
    ) -> Result<Typed, QueryError> {
        let (count, ty) = match function {
            Dated::Part(_) => (1, Type::Bigint),
            Dated::Diff => (3, Type::Bigint),
            Dated::Add => (3, Type::Datetime),
            Dated::DatePart => (2, Type::Bigint),
            Dated::DateName => (2, Type::Text),
        };
        self.count_arguments(call, ast, count, count)?;
        let (function, rest) = match function {
            Dated::Part(unit) => (Function::DatePart(unit), &call.args[..]),
            Dated::Diff => (Function::DateDiff(unit(&call.args[0])?), &call.args[1..]),
            Dated::Add => (Function::DateAdd(unit(&call.args[0])?), &call.args[1..]),
            Dated::DatePart => (Function::DatePart(unit(&call.args[0])?), &call.args[1..]),
            Dated::DateName => (Function::DateName(unit(&call.args[0])?), &call.args[1..]),
        };
        let mut args = Vec::new();
        for (place, arg) in rest.iter().enumerate() {
            let number = place == 0 && matches!(function, Function::DateAdd(_));
            // DATEDIFF on aliases reads the timestamps of their rows (rules 8.1, 8.2).
            let side = if matches!(function, Function::DateDiff(_)) { self.side_of(arg) } else { None };
            let typed = match side {
                Some(side) if !self.is_grouped(clause) && clause != Clause::TimestampBy => {
                    self.timestamp_of(side)?
                }
                _ => self.value(arg, clause)?,
            };
            let fits = if number { types::numeric(typed.ty) } else { types::datetime(typed.ty) };
            if !fits {
                let needs = if number { "a number" } else { "a datetime" };
                return Err(mismatch(
                    &arg.place,
                    typed.ty,
                    &format!("{} takes {needs} here (section 10)", call.name),
                ));
            }
            args.push(typed.expr);
        }
        Ok(Typed { expr: Expr::Call(function, args), ty: Some(ty) })
    }

    pub(super) fn count_arguments(
        &self,
        call: &Call,
        ast: &Ast,
        least: usize,
        most: usize,
    ) -> Result<(), QueryError> {
        let found = call.args.len();
        if (least..=most).contains(&found) && !call.star {
            return Ok(());
        }
        let wanted = match (least, most) {
            (a, b) if a == b => format!("{a}"),
            (a, usize::MAX) => format!("at least {a}"),
            (a, b) => format!("{a} to {b}"),
        };
        let message = format!(
            "{} takes {wanted} argument(s), not {}",
            call.name,
            if call.star { "`*`".to_owned() } else { found.to_string() }
        );
        Err(fail(codes::BAD_ARGUMENTS, &ast.place, "arguments", message))
    }
}

fn refuse_later(name: &str, call: &Call) -> Result<(), QueryError> {
    if name.starts_with("udf.") {
        return Err(unsupported("a user-defined function (udf.*)", "10", &call.name_place));
    }
    if name.starts_with("uda.") {
        return Err(unsupported("a user-defined aggregate (uda.*)", "6.1", &call.name_place));
    }
    match LATER.iter().find(|(later, _)| *later == name) {
        Some((_, rule)) => Err(unsupported(&call.name, rule, &call.name_place)),
        None => Ok(()),
    }
}

/// Functions whose first argument is a unit, or that fix one.
enum Dated {
    Diff,
    Add,
    DatePart,
    DateName,
    Part(Unit),
}

fn dated(name: &str) -> Option<Dated> {
    Some(match name {
        "datediff" => Dated::Diff,
        "dateadd" => Dated::Add,
        "datepart" => Dated::DatePart,
        "datename" => Dated::DateName,
        "day" => Dated::Part(Unit::Day),
        "month" => Dated::Part(Unit::Month),
        "year" => Dated::Part(Unit::Year),
        _ => return None,
    })
}

fn plain(name: &str) -> Option<(Function, usize, usize)> {
    Some(match name {
        "datetimefromparts" => (Function::DateTimeFromParts, 7, 7),
        "coalesce" => (Function::Coalesce, 1, usize::MAX),
        "nullif" => (Function::NullIf, 2, 2),
        "gettype" => (Function::GetType, 1, 1),
        "abs" => (Function::Abs, 1, 1),
        "ceiling" => (Function::Ceiling, 1, 1),
        "floor" => (Function::Floor, 1, 1),
        "sign" => (Function::Sign, 1, 1),
        "len" => (Function::Len, 1, 1),
        "upper" => (Function::Upper, 1, 1),
        "lower" => (Function::Lower, 1, 1),
        "concat" => (Function::Concat, 1, usize::MAX),
        _ => return None,
    })
}

fn result(function: Function, args: &[Typed]) -> Ty {
    match function {
        Function::DateDiff(_) | Function::DatePart(_) | Function::Len => Some(Type::Bigint),
        Function::DateAdd(_) | Function::DateTimeFromParts => Some(Type::Datetime),
        Function::DateName(_) | Function::GetType | Function::Upper | Function::Lower | Function::Concat => {
            Some(Type::Text)
        }
        Function::NullIf => args[0].ty,
        Function::Coalesce => args[0].ty.filter(|ty| args.iter().all(|arg| arg.ty == Some(*ty))),
        Function::Abs | Function::Ceiling | Function::Floor | Function::Sign => {
            args[0].ty.filter(|ty| *ty != Type::Bit)
        }
    }
}

/// The unit an argument names.
pub(super) fn unit(ast: &Ast) -> Result<Unit, QueryError> {
    let name = match &ast.kind {
        Kind::Path(path) if path.len() == 1 => path[0].text.as_str(),
        Kind::Text(text) => text.as_str(),
        _ => "",
    };
    Unit::parse(name).ok_or_else(|| {
        let message = "a unit of time is expected here (rule 4.5)";
        fail(codes::UNKNOWN_UNIT, &ast.place, "no unit", message)
            .help("such as day, hour, minute, second, millisecond, microsecond")
    })
}
