//! The calls of a grouping: which arguments they share, what is asked of each, and which values are refused.
//!
//! Knows no state. Invariant: a value that [`Calls::measure`] lets pass can be counted, summed and compared
//! as its argument asks (choices C-SUM, C-MINMAX); whether it goes with others in a group is decided there.

use std::sync::Arc;

use rewindow_query::expr::Expr;
use rewindow_query::plan::{Aggregate, AggregateCall};
use rewindow_query::{Type, Value};

use crate::column::{Column, Data};
use crate::listed::List;
use crate::user;

/// The aggregates of a grouping: calls, and the distinct arguments they share.
#[derive(Clone, Debug)]
pub struct Calls {
    pub(crate) arguments: Vec<Argument>,
    pub(crate) calls: Vec<Call>,
}

/// An argument and what is asked of it.
#[derive(Clone, Debug)]
pub(crate) struct Argument {
    expr: Expr,
    as_text: bool,
    /// SUM or AVG is asked.
    pub(crate) sums: bool,
    /// MIN or MAX is asked.
    pub(crate) extremes: bool,
    /// COUNT(DISTINCT) is asked.
    pub(crate) distinct: bool,
    /// A variance is asked.
    pub(crate) squares: bool,
    /// What is kept as it came; such an argument is shared by equal lists only.
    pub(crate) list: List,
    /// Values are never taken back one by one, so those that cannot come out may be forgotten.
    pub(crate) prunes: bool,
    /// Nothing is ever taken back, so an aggregate from outside keeps its state alone.
    pub(crate) forgets: bool,
}

/// What a column of the output is; numbers are lanes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Call {
    /// COUNT(*)
    Rows,
    /// COUNT(DISTINCT x)
    Distinct(usize),
    /// COLLECT and the percentiles; whether DESC.
    Listed(Aggregate, usize, bool),
    /// COLLECTTOP and TOPONE.
    Top(Aggregate, usize),
    /// An aggregate from outside.
    User(usize),
    /// The others.
    Of(Aggregate, usize),
}

/// The values of one argument in a batch.
#[derive(Clone, Debug)]
pub enum Measures {
    /// All bigints: a column of [`Data::Int`] without NULL.
    Ints(Arc<Column>),
    /// Any values, checked by [`Calls::measure`].
    Any(Arc<Column>),
}

/// A row that cannot be aggregated, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused {
    /// The row in its batch.
    pub row: usize,
    /// Why.
    pub message: String,
}

impl Calls {
    /// Sorts out the calls of a plan.
    pub fn new(plan: &[AggregateCall]) -> Calls {
        let mut arguments: Vec<Argument> = Vec::new();
        let mut calls = Vec::new();
        for call in plan {
            let Some(expr) = &call.argument else {
                calls.push(Call::Rows);
                continue;
            };
            let list = List::of(call);
            let expr = list.expr(expr, call);
            let known = |a: &Argument| a.expr == expr && a.as_text == call.as_text && a.list == list;
            let at = arguments.iter().position(known).unwrap_or_else(|| {
                arguments.push(Argument::new(expr.clone(), call.as_text, list.clone()));
                arguments.len() - 1
            });
            arguments[at].ask(call);
            calls.push(match call.function {
                Aggregate::Count if call.distinct => Call::Distinct(at),
                Aggregate::CollectTop(_) | Aggregate::TopOne => Call::Top(call.function, at),
                Aggregate::User => Call::User(at),
                Aggregate::Collect | Aggregate::PercentileCont(_) | Aggregate::PercentileDisc(_) => {
                    let descending = call.order.first().is_some_and(|(_, descending)| *descending);
                    Call::Listed(call.function, at, descending)
                }
                function => Call::Of(function, at),
            });
        }
        Calls { arguments, calls }
    }

    /// For a window that never takes single values back.
    #[must_use]
    pub fn pruning(mut self) -> Calls {
        self.arguments.iter_mut().for_each(|argument| argument.prunes = true);
        self
    }

    /// For a window that never takes anything back.
    #[must_use]
    pub fn forgetting(mut self) -> Calls {
        self.arguments.iter_mut().for_each(|argument| argument.forgets = true);
        self
    }

    /// The lanes in which kinds of values must not mix (C-MINMAX).
    pub fn compared_lanes(&self) -> Vec<usize> {
        (0..self.arguments.len()).filter(|&lane| self.arguments[lane].compares()).collect()
    }

    /// Whether one of them comes from outside the language.
    pub fn is_external(&self) -> bool {
        self.calls.iter().any(|call| matches!(call, Call::User(_)))
    }

    /// Number of columns emitted.
    pub fn len(&self) -> usize {
        self.calls.len()
    }

    /// Whether nothing is aggregated.
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// The arguments to be evaluated, in the order of the lanes.
    pub fn arguments(&self) -> impl Iterator<Item = &Expr> {
        self.arguments.iter().map(|argument| &argument.expr)
    }

    /// The lanes of which extremes are asked.
    pub fn extreme_lanes(&self) -> Vec<usize> {
        (0..self.arguments.len()).filter(|&lane| self.arguments[lane].extremes).collect()
    }

    /// Readies an evaluated argument: refuses the first value that cannot be summed or compared (C-SUM,
    /// C-MINMAX).
    pub fn measure(&self, lane: usize, column: &Arc<Column>) -> (Measures, Option<Refused>) {
        if matches!((&column.data, &column.nulls), (Data::Int(_), None)) {
            return (Measures::Ints(column.clone()), None);
        }
        let argument = &self.arguments[lane];
        let harmless = matches!(column.data, Data::Null(_) | Data::Bit(_) | Data::Int(_) | Data::Float(_));
        let refused = if harmless || !argument.refuses() {
            None
        } else {
            let refuse = |row| argument.refuse(&column.value(row)).map(|message| Refused { row, message });
            (0..column.len()).find_map(refuse)
        };
        (Measures::Any(column.clone()), refused)
    }

    /// Why a value cannot be aggregated, if it cannot.
    pub fn refuse(&self, lane: usize, value: &Value) -> Option<String> {
        self.arguments[lane].refuse(value)
    }

    /// What MIN and MAX compare for a value: text is a number unless it was cast to text.
    pub fn comparable(&self, lane: usize, value: Value) -> Value {
        self.arguments[lane].comparable(value)
    }
}

impl Argument {
    fn new(expr: Expr, as_text: bool, list: List) -> Argument {
        let (sums, extremes, distinct, squares) = (false, false, false, false);
        let (prunes, forgets) = (false, false);
        Argument { expr, as_text, sums, extremes, distinct, squares, list, prunes, forgets }
    }

    fn ask(&mut self, call: &AggregateCall) {
        match call.function {
            Aggregate::Count => self.distinct |= call.distinct,
            Aggregate::Sum | Aggregate::Avg => self.sums = true,
            Aggregate::Min | Aggregate::Max => self.extremes = true,
            Aggregate::Var | Aggregate::VarP | Aggregate::Stdev | Aggregate::StdevP => {
                (self.sums, self.squares) = (true, true);
            }
            Aggregate::PercentileCont(_)
            | Aggregate::PercentileDisc(_)
            | Aggregate::Collect
            | Aggregate::CollectTop(_)
            | Aggregate::TopOne
            | Aggregate::User => {}
        }
    }

    /// Whether its state is more than counts, sums and extremes.
    pub(crate) fn is_general(&self) -> bool {
        self.distinct || self.squares || self.list != List::None
    }

    /// Whether its values are compared, so that kinds must not mix.
    pub(crate) fn compares(&self) -> bool {
        self.extremes || self.list == List::Disc
    }

    /// What is compared for a value: text is a number unless it was cast to text.
    pub(crate) fn comparable(&self, value: Value) -> Value {
        match &value {
            Value::Text(text) if !self.as_text => decimal(text).map_or(Value::Null, Value::Float),
            _ => value,
        }
    }

    fn adds(&self) -> bool {
        self.sums || self.list == List::Cont
    }

    /// Whether some values cannot be aggregated.
    fn refuses(&self) -> bool {
        self.adds() || self.compares() || matches!(self.list, List::Top(_))
    }

    /// Why a value cannot be aggregated, if it cannot.
    pub(crate) fn refuse(&self, value: &Value) -> Option<String> {
        match &self.list {
            List::Top(order) => return order.refuse(value),
            List::User(_) => return user::refuse(value),
            _ => {}
        }
        if !self.refuses() {
            return None;
        }
        let kind = value.kind()?;
        match (kind, value) {
            (Type::Array | Type::Record, _) => Some(format!("{} cannot be aggregated", kind.name())),
            (Type::Datetime, _) if self.adds() => Some("datetime cannot be summed".to_owned()),
            (Type::Text, Value::Text(text)) if self.adds() || !self.as_text => {
                decimal(text).is_none().then(|| format!("text `{text}` is no number"))
            }
            _ => None,
        }
    }
}

/// The float that a text is (C-CAST); Rust also reads `inf` and `nan`, which are no finite numbers.
pub fn decimal(text: &str) -> Option<f64> {
    text.trim_matches(' ').parse::<f64>().ok().filter(|float| float.is_finite())
}

impl Measures {
    /// The value of a row.
    #[inline]
    pub fn value(&self, row: usize) -> Value {
        match self {
            Measures::Ints(column) | Measures::Any(column) => column.value(row),
        }
    }

    /// The values, if all are bigints.
    pub fn ints(&self) -> Option<&[i64]> {
        match self {
            Measures::Ints(column) => match &column.data {
                Data::Int(ints) => Some(ints),
                _ => None,
            },
            Measures::Any(_) => None,
        }
    }
}
