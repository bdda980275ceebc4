//! The text as a tree, every part with its place; nothing is looked up yet.
//!
//! Knows the grammar's shapes and no meaning. Invariant: [`Ast::depth`] is the height of the tree and at
//! most [`DEPTH_MAX`], so every recursion over it, here and later, is bounded.

use std::ops::Range;

use crate::codes::{self, fail};
use crate::error::QueryError;
use crate::expr::{BinaryOp, CompareOp};

/// Greatest height of an expression.
pub(crate) const DEPTH_MAX: usize = 96;

/// A whole text.
pub(crate) struct Script {
    pub(crate) tables: Vec<Table>,
    pub(crate) steps: Vec<Step>,
    pub(crate) statements: Vec<Query>,
}

/// `CREATE TABLE name (column type, ...)`
pub(crate) struct Table {
    pub(crate) name: Name,
    /// Column, type in lower case without blanks, place of the type.
    pub(crate) columns: Vec<(Name, String, Range<usize>)>,
    /// Where its text ends.
    pub(crate) end: usize,
}

/// `name AS (query)` of WITH.
pub(crate) struct Step {
    pub(crate) name: Name,
    pub(crate) query: Query,
}

/// SELECT ... UNION SELECT ...
pub(crate) struct Query {
    pub(crate) branches: Vec<Select>,
    pub(crate) place: Range<usize>,
}

/// One SELECT.
pub(crate) struct Select {
    pub(crate) items: Vec<Item>,
    pub(crate) into: Option<Name>,
    pub(crate) from: From,
    pub(crate) joins: Vec<More>,
    pub(crate) filter: Option<Ast>,
    pub(crate) group: Vec<Ast>,
    pub(crate) having: Option<Ast>,
    pub(crate) place: Range<usize>,
}

/// An item of a SELECT list.
pub(crate) struct Item {
    pub(crate) what: What,
    pub(crate) alias: Option<Name>,
    pub(crate) place: Range<usize>,
}

/// What an item selects.
pub(crate) enum What {
    Star,
    /// `alias.*`, `record.*`
    PathStar(Vec<Name>),
    Value(Ast),
}

/// A stream or step in FROM or JOIN.
pub(crate) struct From {
    pub(crate) stream: Name,
    pub(crate) alias: Option<Name>,
    pub(crate) timestamp_by: Option<Ast>,
    /// OVER of TIMESTAMP BY: the columns that name a substream.
    pub(crate) over: Vec<Ast>,
    pub(crate) partition: Option<Ast>,
    pub(crate) pattern: Option<Box<Recognize>>,
    pub(crate) place: Range<usize>,
}

/// What follows the first input of FROM, in the order of the text.
pub(crate) enum More {
    Join(Box<JoinClause>),
    Apply(ApplyClause),
}

/// `CROSS APPLY function(argument) [AS] alias`
pub(crate) struct ApplyClause {
    pub(crate) outer: bool,
    pub(crate) call: Ast,
    pub(crate) alias: Name,
    pub(crate) place: Range<usize>,
}

/// MATCH_RECOGNIZE (...)
pub(crate) struct Recognize {
    /// The arguments of LIMIT DURATION, and its place.
    pub(crate) limit: (Vec<Ast>, Range<usize>),
    pub(crate) partition: Vec<Ast>,
    pub(crate) measures: Vec<(Ast, Name)>,
    pub(crate) pattern: Shape,
    pub(crate) define: Vec<(Name, Ast)>,
    pub(crate) place: Range<usize>,
}

/// A pattern of MATCH_RECOGNIZE.
pub(crate) enum Shape {
    Variable(Name),
    Any,
    Sequence(Vec<Shape>),
    Either(Vec<Shape>),
    Repeat(Box<Shape>, u32, Option<u32>),
}

/// `JOIN stream ON condition`
pub(crate) struct JoinClause {
    pub(crate) left_outer: bool,
    pub(crate) from: From,
    pub(crate) on: Ast,
    pub(crate) place: Range<usize>,
}

/// How a name was quoted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Quote {
    None,
    Bracket,
    /// Double quotes: a name or a text (A-DOUBLE-QUOTES).
    Double,
}

/// A name.
#[derive(Clone, Debug)]
pub(crate) struct Name {
    pub(crate) text: String,
    pub(crate) quote: Quote,
    pub(crate) place: Range<usize>,
}

/// An expression or condition.
#[derive(Clone, Debug)]
pub(crate) struct Ast {
    pub(crate) kind: Kind,
    pub(crate) place: Range<usize>,
    pub(crate) depth: usize,
}

/// What an expression is.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Null,
    Integer(i64),
    /// A number with fraction or exponent: its value, and as written with its sign.
    Decimal(f64, String),
    Text(String),
    Path(Vec<Name>),
    /// `System.Timestamp()`
    Timestamp,
    /// `System.Window().Id`
    WindowId,
    Negate(Box<Ast>),
    BitNot(Box<Ast>),
    Binary(BinaryOp, Box<Ast>, Box<Ast>),
    Compare(CompareOp, Box<Ast>, Box<Ast>),
    And(Vec<Ast>),
    Or(Vec<Ast>),
    Not(Box<Ast>),
    IsNull(Box<Ast>, bool),
    Like {
        expr: Box<Ast>,
        pattern: Box<Ast>,
        escape: Option<Box<Ast>>,
        negated: bool,
    },
    Between {
        expr: Box<Ast>,
        low: Box<Ast>,
        high: Box<Ast>,
        negated: bool,
    },
    In {
        expr: Box<Ast>,
        list: Vec<Ast>,
        negated: bool,
    },
    Case {
        operand: Option<Box<Ast>>,
        branches: Vec<(Ast, Ast)>,
        otherwise: Box<Ast>,
    },
    Cast {
        expr: Box<Ast>,
        /// Name and, in parentheses, length, as written in lower case without blanks.
        to: String,
        to_place: Range<usize>,
        lenient: bool,
    },
    Call(Box<Call>),
}

/// A call of a function, aggregate, window or analytic.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// As written, dotted where it was (`udf.f`).
    pub(crate) name: String,
    pub(crate) name_place: Range<usize>,
    pub(crate) args: Vec<Ast>,
    /// `f(*)`
    pub(crate) star: bool,
    pub(crate) distinct: bool,
    pub(crate) over: Option<Over>,
}

/// OVER (...)
#[derive(Clone, Debug)]
pub(crate) struct Over {
    pub(crate) partition: Vec<Ast>,
    /// ORDER BY: expressions, and whether DESC.
    pub(crate) order: Vec<(Ast, bool)>,
    /// The arguments of LIMIT DURATION, and its place.
    pub(crate) limit: Option<(Vec<Ast>, Range<usize>)>,
    pub(crate) when: Option<Ast>,
    pub(crate) place: Range<usize>,
}

impl Ast {
    /// A node over its parts; refuses to grow too high.
    pub(crate) fn new(kind: Kind, place: Range<usize>) -> Result<Ast, QueryError> {
        // A path is as deep as it is long: each part is a member of the one before.
        let mut depth = if let Kind::Path(path) = &kind { path.len() } else { 0 };
        kind.each_part(&mut |part| depth = depth.max(part.depth));
        if depth >= DEPTH_MAX {
            return Err(too_deep(&place));
        }
        Ok(Ast { kind, place, depth: depth + 1 })
    }

    /// Whether `test` holds for this node or one below it.
    pub(crate) fn any(&self, test: &mut dyn FnMut(&Ast) -> bool) -> bool {
        if test(self) {
            return true;
        }
        let mut found = false;
        self.kind.each_part(&mut |part| found = found || part.any(test));
        found
    }
}

impl Kind {
    /// Visits the parts of a node, left to right.
    fn each_part<'a>(&'a self, see: &mut dyn FnMut(&'a Ast)) {
        match self {
            Kind::Null
            | Kind::Integer(_)
            | Kind::Decimal(..)
            | Kind::Text(_)
            | Kind::Path(_)
            | Kind::WindowId
            | Kind::Timestamp => {}
            Kind::Negate(a) | Kind::BitNot(a) | Kind::Not(a) | Kind::IsNull(a, _) => see(a),
            Kind::Cast { expr, .. } => see(expr),
            Kind::Binary(_, a, b) | Kind::Compare(_, a, b) => {
                see(a);
                see(b);
            }
            Kind::And(parts) | Kind::Or(parts) => parts.iter().for_each(see),
            Kind::Like { expr, pattern, escape, .. } => {
                see(expr);
                see(pattern);
                escape.iter().for_each(|e| see(e));
            }
            Kind::Between { expr, low, high, .. } => [expr, low, high].into_iter().for_each(|e| see(e)),
            Kind::In { expr, list, .. } => {
                see(expr);
                list.iter().for_each(see);
            }
            Kind::Case { operand, branches, otherwise } => {
                operand.iter().for_each(|e| see(e));
                for (when, then) in branches {
                    see(when);
                    see(then);
                }
                see(otherwise);
            }
            Kind::Call(call) => {
                call.args.iter().for_each(&mut *see);
                if let Some(over) = &call.over {
                    over.partition.iter().for_each(&mut *see);
                    over.order.iter().for_each(|(e, _)| see(e));
                    over.limit.iter().flat_map(|(args, _)| args).for_each(&mut *see);
                    over.when.iter().for_each(see);
                }
            }
        }
    }
}

pub(crate) fn too_deep(place: &Range<usize>) -> QueryError {
    let message = format!("the expression is nested deeper than {DEPTH_MAX} levels");
    fail(codes::TOO_DEEP, place, "too deep", message).help("compute a part of it in a step of WITH")
}
