//! Unit tests for queries: events in, rows expected; through the model and through the engine.
//!
//! A [`Test`] is read from a case file ([`case`]) or from the vendor's `testConfig.json` ([`config`]); [`find`]
//! looks for both. [`judge`] runs it every way a [`Plan`] can be played ([`play`]) and compares what comes out
//! with what is expected ([`compare`]); [`show`] and [`junit`] write the result down. Nothing here knows the
//! command line. Invariant: a verdict depends on the test and the seed alone.

pub mod case;
pub mod compare;
pub mod config;
pub mod feed;
pub mod find;
pub mod junit;
pub mod play;
pub mod show;
mod text;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rewindow_query::{
    Declared, Level, Ordering, Payload, Plan, QueryError, Reason, Record, Timestamp, analyse_with,
};
use serde_json::{Map, Value as Json};

use crate::errors::Problem;
use compare::Difference;
use play::{Effort, Way};

/// A query, its inputs and what must come of them.
#[derive(Clone, PartialEq, Debug)]
pub struct Test {
    /// Its name.
    pub name: String,
    /// The group it belongs to, for machines; may be empty.
    pub feature: String,
    /// The file it was read from.
    pub file: PathBuf,
    /// The text of the query.
    pub query: Arc<str>,
    /// Where the query stands, for people: the file itself, or `file, query`.
    pub query_place: PathBuf,
    /// The streams, in the order of the file.
    pub inputs: Vec<Stream>,
    /// The reference data, in the order of the file.
    pub references: Vec<Table>,
    /// Tolerances and policy.
    pub ordering: Ordering,
    /// The compatibility level (section 15).
    pub level: Level,
    /// The output starts here (rule 12.1); without it, at the beginning.
    pub start: Option<Timestamp>,
    /// What is expected.
    pub expected: Expected,
    /// The events that must be dropped, and no others; `None` where the test does not say.
    pub drops: Option<Vec<Drop>>,
    /// Only rows stamped at or before this are compared.
    pub until: Option<Timestamp>,
    /// How numbers are compared.
    pub tolerance: Tolerance,
    /// Rows may come in any order; else in the order of their timestamps.
    pub unordered: bool,
}

/// A stream and its events.
#[derive(Clone, PartialEq, Debug)]
pub struct Stream {
    /// Its name in the query.
    pub name: String,
    /// Number of partitions, if it is stated; at least as many as the events need.
    pub partitions: Option<u32>,
    /// The events, in the order of the file.
    pub events: Vec<Event>,
}

/// An event of a stream.
#[derive(Clone, PartialEq, Debug)]
pub struct Event {
    /// What it carries.
    pub payload: Payload,
    /// When it arrived; without it, at its own time.
    pub arrival: Option<Timestamp>,
    /// Its partition, from 0.
    pub partition: u32,
}

/// Reference data: one version, in force from the beginning.
#[derive(Clone, PartialEq, Debug)]
pub struct Table {
    /// Its name in the query.
    pub name: String,
    /// Its rows.
    pub rows: Vec<Arc<Record>>,
}

/// What must come of a test.
#[derive(Clone, PartialEq, Debug)]
pub enum Expected {
    /// These rows.
    Rows(Vec<ExpectedOutput>),
    /// The query is refused, with this code if one is stated.
    Refused(Option<String>),
    /// The job fails; rows that are stated come before.
    Fails(Vec<ExpectedOutput>),
}

/// The rows of an output.
#[derive(Clone, PartialEq, Debug)]
pub struct ExpectedOutput {
    /// Its name in the query.
    pub name: String,
    /// The file that says so.
    pub file: PathBuf,
    /// The rows, in order.
    pub rows: Vec<ExpectedRow>,
    /// Columns that are not compared.
    pub ignored: Vec<String>,
}

/// A row that is expected.
#[derive(Clone, PartialEq, Debug)]
pub struct ExpectedRow {
    /// Its columns.
    pub columns: Map<String, Json>,
    /// The line of the file it begins in, from 1.
    pub line: usize,
}

/// An event that must be dropped.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Drop {
    /// The stream.
    pub stream: String,
    /// The number of its event, from 0.
    pub row: usize,
    /// Why.
    pub reason: Reason,
}

/// When two numbers count as equal.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Tolerance {
    /// Whole numbers exactly, others within a billionth of the larger.
    Relative,
    /// Within this distance.
    Absolute(f64),
}

/// What came of a test.
#[derive(Clone, PartialEq, Debug)]
pub enum Verdict {
    /// All ways gave what is expected.
    Passed,
    /// The query is refused and should not be.
    Refused(Box<Problem>),
    /// The query should be refused: not at all, or not with the code that is expected.
    NotRefused(String),
    /// Rows, drops or the end of the job are not those expected.
    Differs {
        /// What was found, the model's first.
        findings: Vec<Finding>,
        /// Every way gave the same: the query means something else than the test expects. Where not, the
        /// fault is this program's.
        alike: bool,
    },
}

/// What some ways gave instead of what is expected.
#[derive(Clone, PartialEq, Debug)]
pub struct Finding {
    /// The ways that all gave this; the first of each kind stands for its kind.
    pub ways: Vec<Way>,
    /// How it differs.
    pub differences: Vec<Difference>,
}

impl Test {
    /// Analyses the query among the streams and reference data of the test.
    ///
    /// # Errors
    /// The query is refused, or calls a function that nothing computes.
    pub fn plan(&self) -> Result<Plan, QueryError> {
        let inputs: Vec<String> = self.inputs.iter().map(|s| s.name.clone()).collect();
        let references: Vec<String> = self.references.iter().map(|t| t.name.clone()).collect();
        // Where a refusal is expected and no stream is stated, the streams are not what it is about.
        let bare = inputs.is_empty() && matches!(self.expected, Expected::Refused(_));
        let inputs = (!bare).then_some(inputs.as_slice());
        let declared =
            Declared { inputs, references: Some(&references), level: self.level, ..Declared::default() };
        let plan = analyse_with(&self.query, &declared)?;
        plan.check_functions()?;
        let partitions: Vec<u32> = self.inputs.iter().map(|s| s.partitions.unwrap_or(1)).collect();
        plan.check_partitions(&partitions)?;
        Ok(plan)
    }

    /// Whether its name, its group or its file contains the words.
    pub fn matches(&self, words: &str) -> bool {
        let file = self.file.display().to_string();
        [self.name.as_str(), &self.feature, &file].iter().any(|text| text.contains(words))
    }
}

/// Runs a test every way and says what came of it.
pub fn judge(test: &Test, effort: Effort) -> Verdict {
    let plan = match (test.plan(), &test.expected) {
        (Err(error), Expected::Refused(code)) => return refusal(&error, code.as_deref()),
        (Ok(_), Expected::Refused(_)) => return Verdict::NotRefused("the query is accepted".to_owned()),
        (Err(error), _) => {
            return Verdict::Refused(Box::new(Problem::of_query(error, &test.query_place, &test.query)));
        }
        (Ok(plan), _) => Arc::new(plan),
    };
    let fed = feed::Fed::of(test, &plan);
    let mut findings: Vec<Finding> = Vec::new();
    let mut alike = true;
    let mut before: Option<(play::Played, Vec<Difference>)> = None;
    play::every_way(test, &plan, &fed, effort, &mut |way, played| {
        // Most ways give what the way before gave.
        let known = before.as_ref().filter(|(last, _)| *last == played).map(|(_, known)| known.clone());
        let differences = known.unwrap_or_else(|| compare::compare(test, &plan, &fed, &played));
        before = Some((played, differences.clone()));
        // Why a job fails is said in each room's own words; that it fails there is what they agree on.
        let differences = match findings.first() {
            Some(first) if fail_alike(&first.differences, &differences) => first.differences.clone(),
            _ => differences,
        };
        alike &= match findings.first() {
            // A job that is started reads less, so it may drop less.
            Some(first) if way == Way::Started => differences.iter().all(|d| first.differences.contains(d)),
            Some(first) => first.differences == differences,
            None => way == Way::Model || differences.is_empty(),
        };
        if differences.is_empty() {
            return;
        }
        match findings.iter_mut().find(|finding| finding.differences == differences) {
            Some(finding) if finding.ways.iter().any(|other| other.is_like(&way)) => {}
            Some(finding) => finding.ways.push(way),
            None => findings.push(Finding { ways: vec![way], differences }),
        }
    });
    if findings.is_empty() { Verdict::Passed } else { Verdict::Differs { findings, alike } }
}

/// Whether both are a failure at the same time.
fn fail_alike(one: &[Difference], other: &[Difference]) -> bool {
    matches!((one, other), ([Difference::Fails { at, .. }], [Difference::Fails { at: then, .. }]) if at == then)
}

fn refusal(error: &QueryError, code: Option<&str>) -> Verdict {
    if error.code == rewindow_query::codes::UNSUPPORTED {
        return Verdict::NotRefused(format!(
            "the query is refused only as not supported yet: {}",
            error.message
        ));
    }
    match code {
        Some(code) if code != error.code => Verdict::NotRefused(format!(
            "the query is refused as {}, not as {code}: {}",
            error.code, error.message
        )),
        _ => Verdict::Passed,
    }
}

/// The folder of a file.
fn folder_of(file: &Path) -> &Path {
    file.parent().unwrap_or(Path::new(""))
}
