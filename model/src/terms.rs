//! Rules 9.4, 9.5: what definitions and measures of a pattern read of the events taken so far.
//!
//! First, Last, Min and Max range over the events taken by a variable, in its own definition with the one being
//! tested as the last, and are NULL without any. Min and Max are those of section 6 without a cast (C-MATCH). A
//! plain column is that of the event being tested.

use rewindow_query::Value;
use rewindow_query::expr::Expr;
use rewindow_query::plan::{Aggregate, AggregateCall, Match, MatchTerm};

use crate::aggregate::{Argument, aggregate, prepare};
use crate::eval::evaluate;
use crate::fact::Fact;
use crate::match_::Taken;

/// The values of the terms, in order. `tested` is the variable of a definition, and the event it is asked of.
pub(crate) fn terms(
    matching: &Match,
    terms: &[MatchTerm],
    events: &[&Fact],
    taken: &Taken,
    tested: Option<(usize, &Fact)>,
) -> Result<Vec<Value>, String> {
    let of = |variable: usize| {
        let of_variable = move |(_, by): &(_, &Option<usize>)| **by == Some(variable);
        let own = tested.filter(|(by, _)| *by == variable).map(|(_, event)| event);
        events.iter().zip(taken).filter(of_variable).map(|(event, _)| *event).chain(own)
    };
    let value = |expr: &Expr, event: Option<&Fact>| event.map_or(Ok(Value::Null), |e| evaluate(expr, e));
    let term = |term: &MatchTerm| match term {
        MatchTerm::Current(expr) => value(expr, tested.map(|(_, event)| event)),
        MatchTerm::First(variable, expr) => value(expr, of(*variable).next()),
        MatchTerm::Last(variable, expr) => value(expr, of(*variable).next_back()),
        MatchTerm::Min(variable, expr) => extreme(Aggregate::Min, expr, of(*variable)),
        MatchTerm::Max(variable, expr) => extreme(Aggregate::Max, expr, of(*variable)),
        MatchTerm::Classifier => {
            let name = |variable: &usize| Value::Text(matching.variables[*variable].name.clone());
            Ok(Value::Array(taken.iter().flatten().map(name).collect()))
        }
    };
    terms.iter().map(term).collect()
}

fn extreme<'a>(
    function: Aggregate,
    of: &Expr,
    events: impl Iterator<Item = &'a Fact>,
) -> Result<Value, String> {
    let argument = Some(of.clone());
    let call =
        AggregateCall { function, argument, distinct: false, as_text: false, order: Vec::new(), user: None };
    let mut arguments = Vec::new();
    for event in events {
        arguments.push((event.timestamp, prepare(&call, event)?));
    }
    let arguments: Vec<(_, &Argument)> = arguments.iter().map(|(at, argument)| (*at, argument)).collect();
    let end = arguments.last().map_or(rewindow_query::Timestamp::MIN, |(at, _)| *at);
    aggregate(&call, end, &arguments).map_err(|failure| failure.message)
}
