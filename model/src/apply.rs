//! Rule 5.10 (CROSS APPLY, OUTER APPLY): one row for each element of an array or property of a record.
//!
//! Elements carry their index, from 0, and properties their name. They come in their own order, in the place
//! of their row; timestamps stay (choice C-APPLY). A row without any stays only with OUTER, with NULLs.

use rewindow_query::Value;
use rewindow_query::plan::{Apply, ApplyKind};

use crate::eval::evaluate;
use crate::fact::{Fact, Failures};

pub(crate) fn apply(apply: &Apply, rows: &[Fact], failures: &mut Failures) -> Vec<Fact> {
    let mut applied = Vec::new();
    for row in rows {
        let parts = || parts(apply.kind, &evaluate(&apply.argument, row)?);
        let Some(parts) = failures.note(row.timestamp, parts()) else {
            continue;
        };
        if parts.is_empty() && apply.outer {
            applied.push(row.with(Value::Null).with(Value::Null));
        }
        applied.extend(parts.into_iter().map(|(name, value)| row.with(name).with(value)));
    }
    applied
}

/// Index and value of the elements, or name and value of the properties.
fn parts(kind: ApplyKind, of: &Value) -> Result<Vec<(Value, Value)>, String> {
    Ok(match (kind, of) {
        (_, Value::Null) => Vec::new(),
        (ApplyKind::Elements, Value::Array(elements)) => {
            (0..).map(Value::Int).zip(elements.iter().cloned()).collect()
        }
        (ApplyKind::Properties, Value::Record(record)) => {
            let property =
                |(name, value): &(_, Value)| (Value::Text(std::sync::Arc::clone(name)), value.clone());
            record.members().iter().map(property).collect()
        }
        (ApplyKind::Elements, _) => return Err(format!("{of} is no array")),
        (ApplyKind::Properties, _) => return Err(format!("{of} is no record")),
    })
}
