//! Scalar expressions and predicates of an analysed plan.
//!
//! Names are resolved: a column is an index into the columns of the node's input. The two kinds are
//! apart because the language keeps them apart: a predicate is true or false, never NULL (rule 2.1,
//! A-NULL-NOT), and is no value. How they evaluate is written twice, in `model` and in `engine`.

use std::sync::Arc;

use crate::functions::ExternalScalar;
use crate::time::Unit;
use crate::value::{Type, Value};

/// A scalar expression.
#[derive(Clone, PartialEq, Debug)]
pub enum Expr {
    /// A constant.
    Literal(Value),
    /// Column of the input, by index.
    Column(usize),
    /// `System.Timestamp()`: the timestamp of the row at hand.
    Timestamp,
    /// Member of a record by name; NULL when the record is NULL, is no record or has no such member
    /// (A-FIELD-OF-NULL, A-NAME-CASE).
    Member(Box<Expr>, Arc<str>),
    /// `-x`
    Negate(Box<Expr>),
    /// `~x`
    BitNot(Box<Expr>),
    /// Arithmetic, joining of text, bitwise.
    Binary(BinaryOp, Box<Expr>, Box<Expr>),
    /// CASE, searched form; the simple form is turned into `=` predicates. Branches are tried in order,
    /// and what is not reached is not evaluated. Without ELSE the rest is `Literal(Null)`.
    Case(Vec<(Predicate, Expr)>, Box<Expr>),
    /// CAST (a failure fails the job) or TRY_CAST (a failure is NULL).
    Cast {
        /// What is converted.
        expr: Box<Expr>,
        /// To which type.
        to: Type,
        /// TRY_CAST.
        lenient: bool,
    },
    /// A function of its arguments.
    Call(Function, Vec<Expr>),
    /// A function from outside the language of its arguments, NULL among them (choice C-EXTERNAL).
    External(ExternalScalar, Vec<Expr>),
    /// A record of named values, in this order: `LAG(*)`, `COLLECT()` and `COUNT(DISTINCT step)` over columns
    /// that have names.
    Record(Vec<(Arc<str>, Expr)>),
}

/// Operators on two values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BinaryOp {
    /// `+`: adds numbers, joins texts (rule 5.11)
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`: between bigints whole division (A-INT-DIV)
    Divide,
    /// `%`: sign of the dividend
    Modulo,
    /// `&`
    BitAnd,
    /// `|`
    BitOr,
    /// `^`
    BitXor,
}

/// A condition.
#[derive(Clone, PartialEq, Debug)]
pub enum Predicate {
    /// Always (`true`) or never (`false`).
    Constant(bool),
    /// All of them, tried in order; what follows the first that does not hold is not evaluated.
    And(Vec<Predicate>),
    /// Any of them, tried in order; what follows the first that holds is not evaluated.
    Or(Vec<Predicate>),
    /// Two-valued: a comparison with NULL does not hold, so its NOT does (A-NULL-NOT).
    Not(Box<Predicate>),
    /// Comparison; never holds with NULL or between values that do not compare (choice C-COMPARE).
    Compare(CompareOp, Expr, Expr),
    /// `x IS NULL`
    IsNull(Expr),
    /// `x [NOT] LIKE pattern [ESCAPE c]`; neither form holds with NULL.
    Like {
        /// The text.
        expr: Expr,
        /// The pattern: `%` any text, `_` one character, `[a-z]`, `[^a-z]` as in T-SQL.
        pattern: Expr,
        /// The escape character.
        escape: Option<char>,
        /// NOT LIKE.
        negated: bool,
    },
    /// `x [NOT] BETWEEN low AND high`, both ends inclusive; neither form holds with NULL.
    Between {
        /// The value.
        expr: Expr,
        /// Lower end.
        low: Expr,
        /// Upper end.
        high: Expr,
        /// NOT BETWEEN.
        negated: bool,
    },
    /// `x [NOT] IN (a, b, ...)`. With x NULL neither holds; NOT IN does not hold either when a list
    /// element is NULL (choice C-IN).
    In {
        /// The value.
        expr: Expr,
        /// The list, not empty.
        list: Vec<Expr>,
        /// NOT IN.
        negated: bool,
    },
}

/// Comparison operators.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CompareOp {
    /// `=`
    Equal,
    /// `<>`, `!=`
    NotEqual,
    /// `<`, `!>=`
    Less,
    /// `<=`, `!>`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`, `!<`
    GreaterOrEqual,
}

/// Scalar functions. The number of arguments is checked by the analysis.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Function {
    /// `DATEDIFF(unit, a, b)`: boundaries crossed from a to b, negative if b is earlier
    DateDiff(Unit),
    /// `DATEADD(unit, n, t)`
    DateAdd(Unit),
    /// `DATEPART(unit, t)`
    DatePart(Unit),
    /// `DATENAME(unit, t)`
    DateName(Unit),
    /// `DATETIMEFROMPARTS(year, month, day, hour, minute, second, millisecond)`
    DateTimeFromParts,
    /// `COALESCE(a, b, ...)`: the first that is not NULL; what follows is not evaluated
    Coalesce,
    /// `NULLIF(a, b)`
    NullIf,
    /// `GetType(x)`; NULL for NULL
    GetType,
    /// `ABS(x)`
    Abs,
    /// `CEILING(x)`
    Ceiling,
    /// `FLOOR(x)`
    Floor,
    /// `SIGN(x)`
    Sign,
    /// `LEN(x)`: characters, trailing blanks not counted
    Len,
    /// `UPPER(x)`
    Upper,
    /// `LOWER(x)`
    Lower,
    /// `CONCAT(a, b, ...)`: NULL counts as empty text
    Concat,
    /// `CONCAT_WS(separator, a, b, ...)`: NULL and its separator are left out
    ConcatWs,
    /// `SQUARE(x)`, a float
    Square,
    /// `SQRT(x)`, a float
    Sqrt,
    /// `POWER(x, y)`, of the type of x
    Power,
    /// `EXP(x)`, a float
    Exp,
    /// `ROUND(x, n)`: half away from zero
    Round,
    /// `CHARINDEX(pattern, x [, start])`: place from 1, 0 if not found
    CharIndex,
    /// `PATINDEX('%pattern%', x)`: place from 1, 0 if not found
    PatIndex,
    /// `SUBSTRING(x, start, length)`
    Substring,
    /// `LEFT(x, n)`
    Left,
    /// `RIGHT(x, n)`
    Right,
    /// `STUFF(x, start, length, insert)`
    Stuff,
    /// `REPLACE(x, pattern, with)`
    Replace,
    /// `TRANSLATE(x, from, to)`
    Translate,
    /// `REPLICATE(x, n)`
    Replicate,
    /// `SPACE(n)`
    Space,
    /// `NCHAR(n)`
    NChar,
    /// `UNICODE(x)`
    Unicode,
    /// `REVERSE(x)`
    Reverse,
    /// `TRIM(x)`
    Trim,
    /// `LTRIM(x)`
    LTrim,
    /// `RTRIM(x)`
    RTrim,
    /// `REGEXMATCH(x, pattern)`: place from 1, 0 if there is no match or the pattern is invalid
    RegexMatch,
    /// `JSON_PARSE(text)`: a record, else NULL
    JsonParse,
    /// `GetRecordPropertyValue(record, name)`
    GetRecordPropertyValue,
    /// `GetArrayElement(array, i)`, from 0; also the path `a.[0]`
    GetArrayElement,
    /// `GetArrayLength(array)`
    GetArrayLength,
    /// `CreatePoint(lat, lon)`: GeoJSON, longitude first
    CreatePoint,
    /// `CreateLineString(point, point, ...)`
    CreateLineString,
    /// `CreatePolygon(point, point, ...)`
    CreatePolygon,
    /// `ST_DISTANCE(a, b)` in metres on the WGS84 ellipsoid
    StDistance,
    /// `ST_WITHIN(a, b)`: 1 or 0
    StWithin,
    /// `ST_OVERLAPS(a, b)`: 1 or 0
    StOverlaps,
    /// `ST_INTERSECTS(a, b)`: 1 or 0
    StIntersects,
}
