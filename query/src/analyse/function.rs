//! Calls by name: which functions exist, what they take, what they give (section 10).
//!
//! Aggregates, analytic functions, windows and functions from outside are recognised here and handed on.
//! Names ignore case.

use super::external;
use super::scope::{Clause, Scope, Typed};
use super::types::{self, Ty};
use super::window;
use crate::codes::{self, fail};
use crate::error::QueryError;
use crate::expr::{Expr, Function};
use crate::parse::ast::{Ast, Call, Kind};
use crate::time::Unit;
use crate::value::Type;

impl Scope<'_> {
    /// A call of whatever kind.
    pub(super) fn call(&mut self, call: &Call, ast: &Ast, clause: Clause) -> Result<Typed, QueryError> {
        let name = call.name.to_ascii_lowercase();
        if let Some(bare) = self.without_prefix(call)? {
            return self.call(&bare, ast, clause);
        }
        if super::aggregate::named(&name).is_some() {
            return self.aggregate(call, ast, clause);
        }
        if matches!(name.as_str(), "lag" | "last" | "isfirst") || external::is_anomaly(&name) {
            return self.analytic(call, ast, clause);
        }
        if let Some(error) = window::misplaced(&name, &ast.place) {
            return Err(error);
        }
        if super::apply::named(&name).is_some() {
            let message = format!("{} stands behind CROSS APPLY or OUTER APPLY (rule 5.10)", call.name);
            let error = fail(codes::APPLY_PLACE, &ast.place, "not here", message);
            return Err(
                error.help(format!("write FROM stream AS s CROSS APPLY {}(s.column) AS x", call.name))
            );
        }
        if call.star || call.distinct || call.over.is_some() {
            let message = format!("{} takes neither `*` nor DISTINCT nor OVER (section 10)", call.name);
            return Err(fail(codes::BAD_ARGUMENTS, &ast.place, "scalar function", message));
        }
        if name == external::METADATA_PROPERTY {
            return self.metadata_property(call, ast, clause);
        }
        if let Some(function) = dated(&name) {
            return self.date_function(function, call, ast, clause);
        }
        let Some((function, takes, least)) = plain(&name) else {
            return self.external(call, clause);
        };
        let most = if takes.ends_with("*") { usize::MAX } else { takes.len() };
        self.count_arguments(call, ast, least, most)?;
        let args = call.args.iter().map(|arg| self.value(arg, clause)).collect::<Result<Vec<_>, _>>()?;
        let takes = takes.trim_end_matches('*').as_bytes();
        for (index, (arg, ast)) in args.iter().zip(&call.args).enumerate() {
            let wanted = takes.get(index).or(takes.last()).copied().unwrap_or(b'.');
            if let Some(needs) = lacks(wanted, arg.ty) {
                self.doubt(&ast.place, arg.ty, &format!("{} takes {needs} (section 10)", call.name));
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
        let mut sides = 0;
        for (place, arg) in rest.iter().enumerate() {
            let number = place == 0 && matches!(function, Function::DateAdd(_));
            // DATEDIFF on aliases reads the timestamps of their rows (rules 8.1, 8.2).
            let side = if matches!(function, Function::DateDiff(_)) { self.side_of(arg) } else { None };
            let typed = match side {
                Some(side) if !self.is_grouped(clause) && clause != Clause::TimestampBy => {
                    sides += 1;
                    self.timestamp_of(side, arg)?
                }
                _ => self.value(arg, clause)?,
            };
            let fits = if number { types::numeric(typed.ty) } else { types::datetime(typed.ty) };
            if !fits {
                let needs = if number { "a number" } else { "a datetime" };
                let message = format!("{} takes {needs} here (section 10)", call.name);
                self.doubt(&arg.place, typed.ty, &message);
            }
            args.push(typed.expr);
        }
        if let (Function::DateDiff(unit), true, Clause::On, 2) = (function, self.build.elapsed, clause, sides)
            && let Some(length) = unit.fixed().filter(|_| unit != Unit::Week)
        {
            return Ok(Typed { expr: super::join::elapsed(args, length), ty: Some(Type::Float) });
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

/// Functions whose first argument is a unit, or that fix one.
enum Dated {
    Diff,
    Add,
    DatePart,
    DateName,
    Part(Unit),
}

/// Whether the language has a function of that name in lower case: scalar, aggregate or analytic.
pub(super) fn is_known(name: &str) -> bool {
    plain(name).is_some()
        || dated(name).is_some()
        || super::aggregate::named(name).is_some()
        || matches!(name, "lag" | "last" | "isfirst" | external::METADATA_PROPERTY)
        || external::is_anomaly(name)
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

/// What an argument must be, if a value of the static type can never be it: `n` a number, `t` text, `d` a
/// datetime, `a` an array, `r` a record, `g` a shape (GeoJSON or WKT), `.` anything.
fn lacks(wanted: u8, ty: Ty) -> Option<&'static str> {
    let (fits, needs) = match wanted {
        b'n' => (types::numeric(ty), "a number"),
        b't' => (types::text(ty), "text"),
        b'a' => (ty.is_none_or(|ty| ty == Type::Array), "an array"),
        b'r' => (ty.is_none_or(|ty| ty == Type::Record), "a record"),
        b'g' => {
            (ty.is_none_or(|ty| matches!(ty, Type::Record | Type::Text)), "a record or text with a shape")
        }
        _ => (true, ""),
    };
    (!fits).then_some(needs)
}

/// The arguments of a call that are numbers, arrays or records, or aggregated, or stand before the others of
/// COALESCE and NULLIF: no constant text makes sense there.
pub(super) fn named_arguments(call: &Call) -> impl Iterator<Item = &Ast> {
    let name = call.name.to_ascii_lowercase();
    let first = super::aggregate::named(&name).is_some()
        || super::apply::named(&name).is_some()
        || matches!(name.as_str(), "lag" | "last" | "coalesce" | "nullif");
    let own = call.args.iter().take(usize::from(first));
    own.chain(taken(call, if name == "dateadd" { b".n." } else { b"" }, b"nar"))
}

/// The arguments of a call that are shapes.
pub(super) fn shapes(call: &Call) -> impl Iterator<Item = &Ast> {
    taken(call, b"", b"g")
}

/// The arguments of a call that are of one of some letters (see [`lacks`]); `other` tells the letters of a call
/// that is no plain function.
fn taken<'a>(call: &'a Call, other: &'static [u8], wanted: &'static [u8]) -> impl Iterator<Item = &'a Ast> {
    let plain = plain(&call.name.to_ascii_lowercase());
    let takes = plain.map_or(other, |(_, takes, _)| takes.trim_end_matches('*').as_bytes());
    let letter = move |place| takes.get(place).or(takes.last());
    let args = call.args.iter().enumerate();
    args.filter(move |(place, _)| letter(*place).is_some_and(|l| wanted.contains(l))).map(|(_, arg)| arg)
}

/// The arguments of a call that are datetimes.
pub(super) fn dates(call: &Call) -> &[Ast] {
    let from = match dated(&call.name.to_ascii_lowercase()) {
        Some(Dated::Part(_)) => 0,
        Some(Dated::Diff | Dated::DatePart | Dated::DateName) => 1,
        Some(Dated::Add) => 2,
        None => return &[],
    };
    call.args.get(from..).unwrap_or_default()
}

/// A function, what its arguments are (see [`lacks`]; with `*` the last repeats), and how many it needs.
fn plain(name: &str) -> Option<(Function, &'static str, usize)> {
    Some(match name {
        "datetimefromparts" => (Function::DateTimeFromParts, "nnnnnnn", 7),
        "coalesce" => (Function::Coalesce, ".*", 1),
        "nullif" => (Function::NullIf, "..", 2),
        "gettype" => (Function::GetType, ".", 1),
        "abs" => (Function::Abs, "n", 1),
        "ceiling" => (Function::Ceiling, "n", 1),
        "floor" => (Function::Floor, "n", 1),
        "sign" => (Function::Sign, "n", 1),
        "square" => (Function::Square, "n", 1),
        "sqrt" => (Function::Sqrt, "n", 1),
        "power" => (Function::Power, "nn", 2),
        "exp" => (Function::Exp, "n", 1),
        "round" => (Function::Round, "nn", 2),
        "len" => (Function::Len, "t", 1),
        "upper" => (Function::Upper, "t", 1),
        "lower" => (Function::Lower, "t", 1),
        "concat" => (Function::Concat, "t*", 1),
        "concat_ws" => (Function::ConcatWs, "tt*", 2),
        "charindex" => (Function::CharIndex, "ttn", 2),
        "patindex" => (Function::PatIndex, "tt", 2),
        "substring" => (Function::Substring, "tnn", 3),
        "left" => (Function::Left, "tn", 2),
        "right" => (Function::Right, "tn", 2),
        "stuff" => (Function::Stuff, "tnnt", 4),
        "replace" => (Function::Replace, "ttt", 3),
        "translate" => (Function::Translate, "ttt", 3),
        "replicate" => (Function::Replicate, "tn", 2),
        "space" => (Function::Space, "n", 1),
        "nchar" => (Function::NChar, "n", 1),
        "unicode" => (Function::Unicode, "t", 1),
        "reverse" => (Function::Reverse, "t", 1),
        "trim" => (Function::Trim, "t", 1),
        "ltrim" => (Function::LTrim, "t", 1),
        "rtrim" => (Function::RTrim, "t", 1),
        "regexmatch" => (Function::RegexMatch, "tt", 2),
        "json_parse" => (Function::JsonParse, "t", 1),
        "getrecordpropertyvalue" => (Function::GetRecordPropertyValue, "rt", 2),
        "getarrayelement" => (Function::GetArrayElement, "an", 2),
        "getarraylength" => (Function::GetArrayLength, "a", 1),
        "createpoint" => (Function::CreatePoint, "nn", 2),
        "createlinestring" => (Function::CreateLineString, "gg*", 2),
        "createpolygon" => (Function::CreatePolygon, "ggg*", 3),
        "st_distance" => (Function::StDistance, "gg", 2),
        "st_within" => (Function::StWithin, "gg", 2),
        "st_overlaps" => (Function::StOverlaps, "gg", 2),
        "st_intersects" => (Function::StIntersects, "gg", 2),
        _ => return None,
    })
}

/// What a function gives where it does not give NULL.
fn result(function: Function, args: &[Typed]) -> Ty {
    use Function as F;
    match function {
        F::DateDiff(_) | F::DatePart(_) | F::Len | F::CharIndex | F::PatIndex | F::Unicode => {
            Some(Type::Bigint)
        }
        F::RegexMatch | F::GetArrayLength | F::StWithin | F::StOverlaps | F::StIntersects => {
            Some(Type::Bigint)
        }
        F::DateAdd(_) | F::DateTimeFromParts => Some(Type::Datetime),
        F::DateName(_) | F::GetType | F::Upper | F::Lower | F::Concat | F::ConcatWs => Some(Type::Text),
        F::Substring | F::Left | F::Right | F::Stuff | F::Replace | F::Translate | F::Replicate => {
            Some(Type::Text)
        }
        F::Space | F::NChar | F::Reverse | F::Trim | F::LTrim | F::RTrim => Some(Type::Text),
        F::Square | F::Sqrt | F::Exp | F::StDistance => Some(Type::Float),
        F::JsonParse | F::CreatePoint | F::CreateLineString | F::CreatePolygon => Some(Type::Record),
        F::GetRecordPropertyValue | F::GetArrayElement => None,
        F::NullIf => args[0].ty,
        F::Coalesce => args[0].ty.filter(|ty| args.iter().all(|arg| arg.ty == Some(*ty))),
        F::Abs | F::Ceiling | F::Floor | F::Sign | F::Power | F::Round => {
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
