//! Streams, steps and reference data, and how FROM reads them.
//!
//! A relation knows its columns with what they hold, the keys it can be partitioned by and the columns that
//! name its substreams, so that what is written over it is valid and seldom fails at run time.

use std::sync::Arc;

use rewindow_query::value::Type;

use super::expression::{Column, Want};
use super::features::{Features, Mode};
use crate::choices::Choices;

/// The streams of a small case.
pub(super) const INPUTS: [&str; 2] = ["a", "b"];

/// The reference data of a small case.
pub(super) const REFERENCES: [&str; 2] = ["plates", "zones"];

/// Members of a payload that are there only where the query names them, or takes whole payloads.
pub(super) const EXTRAS: [&str; 5] = ["s", "d", "tags", "rec", "place"];

/// A stream or a step.
#[derive(Clone, Debug)]
pub(super) struct Relation {
    pub(super) name: String,
    /// What TIMESTAMP BY needs behind the name; nothing for a step.
    pub(super) timed: String,
    pub(super) columns: Vec<Column>,
    /// Columns that are no part of the list but can be named: PartitionId, the key of a step.
    pub(super) hidden: Vec<String>,
    /// The columns that name its substreams; `None` where some are not carried (rule 3.9).
    pub(super) over: Option<Vec<String>>,
    /// Whether it stands for whole payloads: then it has no columns but theirs.
    pub(super) open: bool,
}

/// A relation as FROM or JOIN reads it.
#[derive(Clone, Debug)]
pub(super) struct Side {
    /// What stands in FROM.
    pub(super) text: String,
    /// `l.`, or nothing.
    pub(super) qualifier: String,
    /// Without qualifier.
    pub(super) columns: Vec<Column>,
    /// The key it is partitioned by.
    pub(super) by: Option<String>,
    /// As for relations.
    pub(super) over: Option<Vec<String>>,
    pub(super) open: bool,
}

impl Side {
    /// The columns as an expression over several sides names them.
    pub(super) fn qualified(&self) -> Vec<Column> {
        let name =
            |column: &Column| Column { name: format!("{}{}", self.qualifier, column.name), ..column.clone() };
        self.columns.iter().map(name).collect()
    }

    /// The columns of the substream, qualified.
    pub(super) fn substream(&self) -> Option<Vec<String>> {
        let over = self.over.as_ref()?;
        Some(over.iter().map(|name| format!("{}{name}", self.qualifier)).collect())
    }
}

pub(super) fn column(name: &str, usual: Want, ty: Option<Type>) -> Column {
    Column { name: name.to_owned(), usual, ty }
}

/// A column that names substreams, which may be one that is no part of the list.
pub(super) fn naming(columns: &[Column], name: &str) -> Column {
    let found = columns.iter().find(|column| column.name == name).cloned();
    found.unwrap_or_else(|| match name.ends_with("PartitionId") {
        true => column(name, Want::Number, Some(Type::Bigint)),
        false => column(name, Want::Anything, None),
    })
}

/// The members of an event, without those of CREATE TABLE.
fn members() -> Vec<Column> {
    let of = [
        ("k", Want::Anything),
        ("n", Want::Number),
        ("x", Want::Anything),
        ("s", Want::Text),
        ("d", Want::Instant),
        ("tags", Want::Array),
        ("rec", Want::Record),
        ("place", Want::Shape),
    ];
    of.into_iter().map(|(name, usual)| column(name, usual, None)).collect()
}

/// The streams, and the text of their CREATE TABLEs.
pub(super) fn streams(choices: &mut dyn Choices, features: &Features) -> (Vec<Relation>, String) {
    let (mut relations, mut tables) = (Vec::new(), String::new());
    let timed = match (features.by_arrival, features.mode) {
        (true, _) => String::new(),
        (false, Mode::Substreams) => format!(" TIMESTAMP BY t OVER {}", over(choices).join(", ")),
        (false, _) => " TIMESTAMP BY t".to_owned(),
    };
    let over: Vec<String> = match timed.split_once(" OVER ") {
        Some((_, list)) => list.split(", ").map(str::to_owned).collect(),
        None => Vec::new(),
    };
    for name in INPUTS {
        let mut columns = members();
        if features.tables && choices.chance(2, 3) {
            tables.push_str(&table(choices, name, &mut columns));
        }
        relations.push(Relation {
            name: name.to_owned(),
            timed: timed.clone(),
            columns,
            hidden: vec!["PartitionId".to_owned()],
            over: Some(over.clone()),
            open: true,
        });
    }
    (relations, tables)
}

/// The columns of TIMESTAMP BY … OVER.
fn over(choices: &mut dyn Choices) -> Vec<&'static str> {
    match choices.weighted(&[4, 1, 2]) {
        0 => vec!["k"],
        1 => vec!["k", "n"],
        _ => vec!["PartitionId", "k"],
    }
}

/// A CREATE TABLE (rule 1.8), and what it says of the columns.
fn table(choices: &mut dyn Choices, name: &str, columns: &mut [Column]) -> String {
    let mut declared = Vec::new();
    if choices.chance(1, 2) {
        declared.push(format!("t {}", choices.pick(&["datetime", "nvarchar(max)"])));
    }
    for column in columns {
        let types: &[(&str, Type)] = match column.name.as_str() {
            "n" => &[("float", Type::Float), ("bigint", Type::Bigint)],
            "k" | "s" => &[("nvarchar(max)", Type::Text)],
            "d" => &[("datetime", Type::Datetime), ("nvarchar(max)", Type::Text)],
            "tags" => &[("array", Type::Array)],
            "rec" => &[("record", Type::Record)],
            _ => continue,
        };
        if choices.chance(1, 3) {
            let (spelled, ty) = choices.pick(types);
            declared.push(format!("{} {spelled}", column.name));
            column.ty = Some(*ty);
        }
    }
    if declared.is_empty() {
        declared.push("missing bit".to_owned());
    }
    format!("CREATE TABLE {name} ({});\n", declared.join(", "))
}

/// The columns of reference data.
pub(super) fn reference_columns() -> Vec<Column> {
    [("k", Want::Anything), ("v", Want::Number), ("w", Want::Anything)]
        .into_iter()
        .map(|(name, usual)| column(name, usual, None))
        .collect()
}

/// The names of the reference data, as a case holds them.
pub(super) fn reference_names(query: &str) -> Vec<String> {
    REFERENCES.iter().filter(|name| query.contains(*name)).map(|name| (*name).to_owned()).collect()
}

/// The members of [`EXTRAS`] that a query may see.
pub(super) fn extras(query: &str) -> Vec<Arc<str>> {
    let whole = query.contains('*') || query.contains("COLLECT") || query.contains("TOPONE");
    let named = |name: &&str| whole || query.contains(*name);
    EXTRAS.into_iter().filter(named).map(Arc::from).collect()
}
