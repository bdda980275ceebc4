//! Random scalar expressions and predicates over the columns of a scope.
//!
//! Knows which types the analysis lets stand together (rule 1.2: most columns have none), and what columns
//! usually hold, so that a job fails now and then but not always. Invariant: the analysis accepts every text
//! made here.

use rewindow_query::value::Type;

use crate::choices::Choices;

/// What values usually are: what a column holds, or what an expression should give.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Want {
    /// Numbers and NULL.
    Number,
    /// Text and NULL.
    Text,
    /// Datetimes, or text in ISO 8601.
    Instant,
    /// Arrays.
    Array,
    /// Records.
    Record,
    /// GeoJSON records or WKT.
    Shape,
    /// Anything.
    Anything,
}

/// A column that expressions may name.
#[derive(Clone, PartialEq, Debug)]
pub struct Column {
    /// Its name as the query must write it, without qualifier.
    pub name: String,
    /// What it usually holds.
    pub usual: Want,
    /// Its static type, if the analysis knows one (a computed column of a step).
    pub ty: Option<Type>,
}

/// What an expression may use.
#[derive(Clone, Debug)]
pub struct Scope<'a> {
    /// The columns; at least one.
    pub columns: &'a [Column],
    /// What stands before every name: `l.`, or nothing.
    pub qualifier: &'a str,
    /// Whether `System.Timestamp()` may be written (not in ON and TIMESTAMP BY).
    pub timestamp: bool,
    /// Families of functions that are switched off.
    pub off: &'a [Family],
    /// Whether arguments are often of a type that fails the job.
    pub risky: bool,
}

/// Parts of the language that a case can do without, to make room for the others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    /// `+ - * / %`, numeric functions
    Arithmetic,
    /// `& | ^ ~`
    Bitwise,
    /// text functions
    Text,
    /// LIKE, PATINDEX, REGEXMATCH
    Pattern,
    /// date functions
    Date,
    /// CAST and TRY_CAST
    Cast,
    /// CASE, COALESCE, NULLIF
    Branch,
    /// records, arrays, JSON_PARSE
    Nested,
    /// geospatial functions
    Shape,
    /// VAR, VARP, STDEV, STDEVP
    Spread,
    /// PERCENTILE_CONT, PERCENTILE_DISC
    Percentile,
    /// COLLECT, COLLECTTOP, TOPONE
    Collected,
    /// COUNT(DISTINCT)
    Distinct,
}

impl Family {
    /// All of them.
    pub const ALL: [Family; 13] = [
        Family::Arithmetic,
        Family::Bitwise,
        Family::Text,
        Family::Pattern,
        Family::Date,
        Family::Cast,
        Family::Branch,
        Family::Nested,
        Family::Shape,
        Family::Spread,
        Family::Percentile,
        Family::Collected,
        Family::Distinct,
    ];

    /// Some to switch off: each with a probability of one in four, in one case of two.
    pub fn some(choices: &mut dyn Choices) -> Vec<Family> {
        if !choices.chance(1, 2) {
            return Vec::new();
        }
        Family::ALL.into_iter().filter(|_| choices.chance(1, 4)).collect()
    }
}

/// An expression, and what the analysis will know of it.
#[derive(Clone, PartialEq, Debug)]
pub struct Written {
    /// The expression, in parentheses where it needs them as an operand.
    pub text: String,
    /// Its static type.
    pub ty: Option<Type>,
    /// What it usually gives.
    pub usual: Want,
}

/// An expression that usually gives what is wanted; at most `depth` calls inside each other.
pub fn scalar(choices: &mut dyn Choices, scope: &Scope<'_>, want: Want, depth: u32) -> String {
    typed(choices, scope, want, depth).text
}

/// As [`scalar`], with what is known of it.
pub fn typed(choices: &mut dyn Choices, scope: &Scope<'_>, want: Want, depth: u32) -> Written {
    let known =
        Written { text: choices.range(0, 3).to_string(), ty: Some(Type::Bigint), usual: Want::Number };
    let fits: Vec<&Column> = scope.columns.iter().filter(|column| column.usual == want).collect();
    if depth == 0 && want == Want::Number || fits.is_empty() {
        return known;
    }
    let column = *choices.pick(&fits);
    Written { text: format!("{}{}", scope.qualifier, column.name), ty: column.ty, usual: column.usual }
}

/// A condition; at most `depth` calls inside each other.
pub fn predicate(choices: &mut dyn Choices, scope: &Scope<'_>, depth: u32) -> String {
    format!("{} > {}", scalar(choices, scope, Want::Number, depth), choices.range(0, 3))
}
