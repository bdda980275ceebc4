//! Static types, where they are known: what can never work is remarked before the job runs.
//!
//! A type belongs to a value (rule 1.2), so most columns have none here and are not judged. Knows the
//! tables of C-ARITH, C-CAST and rule 6.1 as far as types go. A wrong type fails the job, not the query (rule
//! 14.2, C-TYPES). Invariant: nothing is remarked that some value of the known types could do.

use std::ops::Range;

use crate::codes::{self, fail};
use crate::error::QueryError;
use crate::expr::BinaryOp;
use crate::value::Type;

/// A static type; `None` if it is not known, or the value is NULL.
pub(super) type Ty = Option<Type>;

fn is_number(ty: Type) -> bool {
    matches!(ty, Type::Bit | Type::Bigint | Type::Float)
}

/// Whether a value of one type can stand beside one of the other in a column of a UNION.
pub(super) fn unites(a: Type, b: Type) -> bool {
    a == b || is_number(a) && is_number(b)
}

/// Whether comparisons between the types can hold (C-COMPARE).
pub(super) fn compares(a: Type, b: Type) -> bool {
    unites(a, b) || matches!((a, b), (Type::Text, Type::Datetime) | (Type::Datetime, Type::Text))
}

/// The type of an arithmetic or bitwise result, or why there is none (C-ARITH, rule 5.11).
pub(super) fn binary(op: BinaryOp, a: Ty, b: Ty) -> Result<Ty, String> {
    let (Some(a), Some(b)) = (a, b) else { return Ok(None) };
    let bitwise = matches!(op, BinaryOp::BitAnd | BinaryOp::BitOr | BinaryOp::BitXor);
    if bitwise {
        let whole = |ty| matches!(ty, Type::Bit | Type::Bigint);
        return match (whole(a) && whole(b), a == Type::Bit && b == Type::Bit) {
            (true, true) => Ok(Some(Type::Bit)),
            (true, false) => Ok(Some(Type::Bigint)),
            _ => Err(format!(
                "{} and {} have no bits: bitwise operators take bigint or bit (rule 5.11)",
                a.name(),
                b.name()
            )),
        };
    }
    if is_number(a) && is_number(b) {
        let float = a == Type::Float || b == Type::Float;
        return Ok(Some(if float { Type::Float } else { Type::Bigint }));
    }
    let joins = op == BinaryOp::Add
        && matches!((a, b), (Type::Text, Type::Text | Type::Datetime) | (Type::Datetime, Type::Text));
    if joins {
        return Ok(Some(Type::Text));
    }
    Err(format!("{} and {} cannot be combined so (choice C-ARITH)", a.name(), b.name()))
}

/// The type of a CASE whose results are numbers of different types (rule 5.9); `None` where nothing is to be
/// converted: they are alike, or one is no number.
pub(super) fn highest(types: &[Ty]) -> Option<Type> {
    let has = |ty| types.contains(&Some(ty));
    if !types.iter().all(|ty| numeric(*ty)) {
        return None;
    }
    match (has(Type::Float), has(Type::Bigint), has(Type::Bit)) {
        (true, ..) => Some(Type::Float),
        (_, true, true) => Some(Type::Bigint),
        _ => None,
    }
}

/// Whether a value of the type can be a number in a numeric function (A-IMPLICIT-CAST).
pub(super) fn numeric(ty: Ty) -> bool {
    ty.is_none_or(is_number)
}

/// Whether a value of the type can be a datetime where one is needed (rule 1.7).
pub(super) fn datetime(ty: Ty) -> bool {
    ty.is_none_or(|ty| matches!(ty, Type::Datetime | Type::Text))
}

/// Whether a value of the type can be text where text is needed (rule 1.7).
pub(super) fn text(ty: Ty) -> bool {
    ty.is_none_or(|ty| !matches!(ty, Type::Record | Type::Array))
}

/// Whether some value of one type can be cast to the other (C-CAST).
pub(super) fn casts(from: Type, to: Type) -> bool {
    match to {
        Type::Text => true,
        Type::Bigint | Type::Float | Type::Bit => is_number(from) || from == Type::Text,
        Type::Datetime => matches!(from, Type::Datetime | Type::Text),
        Type::Record | Type::Array => from == to,
    }
}

/// The type named in CAST; lengths other than `max` do not exist (rule 1.1).
pub(super) fn named(name: &str) -> Option<Type> {
    Some(match name {
        "bigint" => Type::Bigint,
        "float" => Type::Float,
        "nvarchar(max)" => Type::Text,
        "datetime" => Type::Datetime,
        "bit" => Type::Bit,
        "record" => Type::Record,
        "array" => Type::Array,
        _ => return None,
    })
}

/// No type of that name (rule 1.1).
pub(super) fn unknown(name: &str, place: &Range<usize>) -> QueryError {
    let message = format!("there is no type {name} (rule 1.1)");
    let help = "types are bigint, float, nvarchar(max), datetime, bit, record, array";
    fail(codes::UNKNOWN_TYPE, place, "unknown type", message).help(help)
}
