//! Rule 5.2 (SELECT list): computes new columns, left to right; timestamps stay (rule 3.2).
//!
//! A star spreads the members of a record at its place. A member is left out if an item further left
//! already has its name (rule 5.2), or if an explicit column further right has it (choice C-STAR).

use std::collections::BTreeSet;
use std::sync::Arc;

use rewindow_query::Value;
use rewindow_query::plan::{Item, Project};

use crate::eval::evaluate;
use crate::fact::{Fact, Failures};

pub(crate) fn project(project: &Project, rows: &[Fact], failures: &mut Failures) -> Vec<Fact> {
    let mut projected = Vec::new();
    for row in rows {
        if let Some((names, columns)) = failures.note(row.timestamp, items(project, row)) {
            let has_star = project.items.iter().any(|item| matches!(item, Item::Spread(_)));
            let names = has_star.then(|| Arc::from(names));
            projected.push(Fact { timestamp: row.timestamp, columns, key: row.key.clone(), names });
        }
    }
    projected
}

/// The names and values of the items for one row.
fn items(project: &Project, row: &Fact) -> Result<(Vec<Arc<str>>, Vec<Value>), String> {
    let mut names: Vec<Arc<str>> = Vec::new();
    let mut columns = Vec::new();
    for (place, item) in project.items.iter().enumerate() {
        match item {
            Item::Column(name, expr) => {
                names.push(name.clone());
                columns.push(evaluate(expr, row)?);
            }
            Item::Spread(expr) => {
                let explicit = project.items[place..].iter().filter_map(|item| match item {
                    Item::Column(name, _) => Some(name.clone()),
                    Item::Spread(_) => None,
                });
                let taken: BTreeSet<Arc<str>> = names.iter().cloned().chain(explicit).collect();
                if let Value::Record(record) = evaluate(expr, row)? {
                    for (name, value) in record.members().iter().filter(|(name, _)| !taken.contains(name)) {
                        names.push(name.clone());
                        columns.push(value.clone());
                    }
                }
            }
        }
    }
    Ok((names, columns))
}
