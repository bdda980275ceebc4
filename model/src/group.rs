//! Rule 5.4 (GROUP BY): what the windows share: the rows as members, and the row of a group.
//!
//! Keys and arguments are evaluated once for every row, in a window or not, and fail at the time of that
//! row (choice C-FAIL). Knows nothing of which window a member is in. Invariant: members stand in the
//! order of the rows they are made of.

use std::sync::Arc;

use rewindow_query::expr::Expr;
use rewindow_query::plan::Group;
use rewindow_query::{Timestamp, Value};

use crate::aggregate::{Argument, aggregate, prepare};
use crate::eval::evaluate;
use crate::fact::{Fact, Failures};

/// A row as a grouping sees it.
pub(crate) struct Member {
    pub(crate) timestamp: Timestamp,
    /// The grouping key.
    pub(crate) key: Arc<[Value]>,
    /// Whose events share session borders with it (rule 4.9).
    pub(crate) session: Vec<Value>,
    /// The argument of each aggregate.
    arguments: Vec<Argument>,
}

/// The rows as members; a row that fails is left out.
pub(crate) fn members(group: &Group, rows: &[Fact], failures: &mut Failures) -> Vec<Member> {
    let mut members = Vec::new();
    for row in rows {
        members.extend(failures.note(row.timestamp, member(group, row)));
    }
    members
}

fn member(group: &Group, row: &Fact) -> Result<Member, String> {
    let values = |exprs: &[Expr]| exprs.iter().map(|expr| evaluate(expr, row)).collect();
    // Which of several spellings of a key is shown must not depend on which came first (C-KEY).
    let key: Result<Vec<Value>, String> = values(&group.keys);
    let key = key.map(|key| key.into_iter().map(Value::canonical).collect());
    let arguments: Result<Vec<Argument>, String> =
        group.calls.iter().map(|call| prepare(call, row)).collect();
    let session: Result<Vec<Value>, String> = values(&group.session_by);
    let (key, arguments, session) = (key?, arguments?, session?);
    Ok(Member { timestamp: row.timestamp, key, session, arguments })
}

/// The row of a group whose window ends at `end`: the key, then the aggregates over the content. None if
/// the content is empty (rule 4.4).
pub(crate) fn close(
    group: &Group,
    end: Timestamp,
    key: Arc<[Value]>,
    content: &[&Member],
    failures: &mut Failures,
) -> Option<Fact> {
    if content.is_empty() {
        return None;
    }
    let (mut columns, mut whole) = (key.to_vec(), true);
    for (place, call) in group.calls.iter().enumerate() {
        let arguments: Vec<(Timestamp, &Argument)> =
            content.iter().map(|member| (member.timestamp, &member.arguments[place])).collect();
        match aggregate(call, end, &arguments) {
            Ok(value) => columns.push(value),
            // A later one may have failed earlier: at an event, not at the end.
            Err(failure) => {
                failures.add(failure);
                whole = false;
            }
        }
    }
    whole.then(|| Fact { key, ..Fact::new(end, columns) })
}
