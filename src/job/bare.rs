//! A query alone, as people find it in a repository, over files named on the command line.
//!
//! Streams that nobody declared have no types, and whatever is joined without DATEDIFF is reference data
//! (rule 8.7). It runs as the service runs a query over local files (section 16): events come in the order of
//! their own time, so that none is late or out of order. Invariant: every input of the query has a file, and
//! every file belongs to an input.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rewindow_query::{Declared, History, Ordering, Policy, Span, analyse_with};

use super::read::Budget;
use super::reference::ReferenceFile;
use super::{Arrival, InputFile, Log, Query};
use crate::errors::Problem;

/// The service's own tolerances (rule 3.5).
pub const DEFAULTS: Ordering =
    Ordering { late: Span::seconds(5), out_of_order: Span::ZERO, policy: Policy::Adjust };

/// A name of the query, and what was said of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Named<T> {
    /// The name, in any case.
    pub name: String,
    /// What.
    pub value: T,
}

/// A query with its events.
#[derive(Clone, PartialEq, Debug)]
pub struct Bare {
    /// What is asked.
    pub query: Query,
    /// The events, and the reference data.
    pub log: Log,
}

/// Reads a query alone.
///
/// # Errors
/// A file that cannot be read, and the first thing that keeps the query from being planned.
pub fn query(path: &Path) -> Result<Query, Problem> {
    Query::read(path, |text| analyse_with(text, &Declared { endpoints: true, ..Declared::default() }))
}

impl Bare {
    /// Reads the files of a query's inputs: streams (several files of one name follow each other), reference
    /// data, and the columns that say when events arrived, where they do not say it themselves.
    ///
    /// # Errors
    /// Names that the query does not have, inputs without a file, files that cannot be read.
    pub fn read(
        query: Query,
        streams: &[Named<PathBuf>],
        references: &[Named<PathBuf>],
        arrivals: &[Named<String>],
    ) -> Result<Bare, Problem> {
        let plan = &query.plan;
        let names = |list: &[rewindow_query::plan::Input]| -> Vec<String> {
            list.iter().map(|input| input.name.to_string()).collect()
        };
        let (inputs, tables) = (names(&plan.inputs), names(&plan.references));
        known(&query.path, streams, "--input", &inputs, &tables)?;
        known(&query.path, arrivals, "--arrival", &inputs, &tables)?;
        known(&query.path, references, "--reference", &tables, &inputs)?;
        let mut budget = Budget::default();
        let mut files = Vec::new();
        for name in &inputs {
            let paths: Vec<PathBuf> = of(streams, name).cloned().collect();
            if paths.is_empty() {
                return Err(missing(&query.path, "input", "--input", name));
            }
            let arrival = of(arrivals, name).last().map_or(Arrival::Own, |c| Arrival::Column(c.clone()));
            files.push(InputFile::new(name.as_str(), paths, arrival));
        }
        let mut log = Log::read(&files, plan, &mut budget)?;
        let mut loaded = Vec::new();
        for name in &tables {
            let Some(path) = of(references, name).last() else {
                return Err(missing(&query.path, "reference data", "--reference", name));
            };
            let table = ReferenceFile::fixed(name.clone(), path.clone());
            loaded.push(table.load(Path::new(""), plan, &mut budget, &mut log.remarks)?);
        }
        let entries = Arc::unwrap_or_clone(log.history).entries;
        log.history = Arc::new(History { entries, references: loaded.into() });
        Ok(Bare { query, log })
    }
}

/// What was said of a name.
fn of<'a, T>(list: &'a [Named<T>], name: &'a str) -> impl Iterator<Item = &'a T> {
    list.iter().filter(|named| named.name.eq_ignore_ascii_case(name)).map(|named| &named.value)
}

/// Every name is one of `names`; `others` are for the other option.
fn known<T>(
    query: &Path,
    given: &[Named<T>],
    option: &str,
    names: &[String],
    others: &[String],
) -> Result<(), Problem> {
    let among = |list: &[String], name: &str| list.iter().any(|own| own.eq_ignore_ascii_case(name));
    let Some(named) = given.iter().find(|named| !among(names, &named.name)) else { return Ok(()) };
    let reference = option == "--reference";
    let kind = if reference { "reference data" } else { "stream" };
    let message = format!("the query has no {kind} `{}`", named.name);
    let help = match (among(others, &named.name), reference) {
        (true, true) => {
            "it is read as a stream: --input; reference data is joined without DATEDIFF".to_owned()
        }
        (true, false) => "it is joined without DATEDIFF, so it is reference data: --reference".to_owned(),
        (false, _) if names.is_empty() => format!("leave {option} out"),
        (false, _) => format!("it has {}", names.join(", ")),
    };
    Err(Problem::new("unknown-input", message).in_file(query).help(help))
}

fn missing(query: &Path, kind: &str, option: &str, name: &str) -> Problem {
    let problem = Problem::new("missing-input", format!("{kind} `{name}` of the query has no file"));
    problem.in_file(query).help(format!(
        "{option} {name}=FILE, a file of JSON, CSV or Parquet; or write a job.toml (see examples/)"
    ))
}
