//! A job as a user writes it down: `job.toml`, its query, its inputs; or a bare `.asaql` query.
//!
//! Reads files and says precisely what is wrong with them; runs nothing. `page` is job.toml as text, `limits` its
//! bounds, [`read`] the formats of events, [`log`] the source log made of them, `reference` the data that is joined,
//! [`bare`] a query without a job. Invariant: a [`Job`] is complete and within its limits, so nothing after it has to ask
//! again; two readings of the same files are equal.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rewindow_query::plan::Op;
use rewindow_query::{History, Ordering, Plan, QueryError, Type};
use rewindow_world::case::{Case, CaseInput, Deployment};
use rewindow_world::language::Language;
use serde::Deserialize;

use crate::errors::Problem;
use crate::generate::Vary;
use crate::generate::regions::VaryRegions;
use crate::language;

pub mod bare;
mod limits;
pub mod log;
mod own_time;
mod page;
pub mod read;
mod reference;
mod vary;

pub use log::{Log, Remark};
pub use read::Format;

/// Largest job.toml or query, in bytes.
const TEXT_MAX: u64 = 1 << 20;

/// A query file.
#[derive(Clone, PartialEq, Debug)]
pub struct Query {
    /// Where it is.
    pub path: PathBuf,
    /// Its text.
    pub text: Arc<str>,
    /// What it means.
    pub plan: Plan,
}

/// A job with everything it needs.
#[derive(Clone, PartialEq, Debug)]
pub struct Job {
    /// Its name: `name` of job.toml, else the name of its folder.
    pub name: String,
    /// The job.toml.
    pub path: PathBuf,
    /// What is asked.
    pub query: Query,
    /// The streams, in the order of job.toml.
    pub inputs: Vec<InputFile>,
    /// Names of the reference data, in the order of job.toml.
    pub references: Vec<String>,
    /// How the query is read, and the scripts it calls.
    pub language: Language,
    /// Tolerances and policy.
    pub ordering: Ordering,
    /// How it is deployed.
    pub deployment: Deployment,
    /// What to vary, and how many schedules to try.
    pub vary: Vary,
    /// How many schedules `check` tries unless told otherwise.
    pub cases: u64,
    /// What varies between two regions, and how many pairs are tried, if it runs in two.
    pub regions: Option<(VaryRegions, u64)>,
    /// The events, and the reference data.
    pub log: Log,
}

/// What a path given by a user turned out to be.
#[derive(Clone, PartialEq, Debug)]
pub enum Source {
    /// A query alone: enough for `plan`; `run` needs files for its inputs ([`bare`]).
    Query(Query),
    /// A job.
    Job(Box<Job>),
}

/// A stream and the files that hold it: one `[[inputs]]` of job.toml.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputFile {
    /// Its name in the query.
    pub name: String,
    /// Files of events; relative ones from the folder of job.toml.
    pub paths: Vec<PathBuf>,
    /// How they are written; each by its ending, unless this says it.
    #[serde(default)]
    pub format: Option<Format>,
    /// What stands between the fields of CSV, one character; a comma, or a tab in `.tsv`, unless this says it.
    #[serde(default)]
    pub delimiter: Option<String>,
    /// What says when the log accepted an event.
    pub arrival: Arrival,
    /// Number of partitions.
    pub partitions: u32,
    /// The column whose value decides the partition (see [`log`]); needed with more than one.
    #[serde(default)]
    pub partition_by: Option<String>,
}

/// What says when the log accepted an event.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(from = "String")]
pub enum Arrival {
    /// That column.
    Column(String),
    /// The event itself, as in a local run of the service (section 16), so that nothing is late or out of
    /// order: the value of TIMESTAMP BY; without one the column EventEnqueuedUtcTime; without that all events
    /// arrive at once. In the order of these instants, equal ones in that of the file.
    Own,
}

impl From<String> for Arrival {
    fn from(column: String) -> Arrival {
        Arrival::Column(column)
    }
}

impl InputFile {
    /// An input of one partition, each file in the format that its ending says.
    pub fn new(name: impl Into<String>, paths: Vec<PathBuf>, arrival: Arrival) -> InputFile {
        let name = name.into();
        InputFile { name, paths, format: None, delimiter: None, arrival, partitions: 1, partition_by: None }
    }

    fn format_of(&self, path: &Path) -> Format {
        self.format.unwrap_or_else(|| Format::of(path))
    }

    fn delimiter(&self) -> Option<u8> {
        self.delimiter.as_ref().and_then(|text| text.bytes().next())
    }
}

/// CREATE TABLE of a stream of the plan; empty without one.
fn table_of(plan: &Plan, input: usize) -> &[(Arc<str>, Type)] {
    let mut tables = plan.nodes.iter().filter_map(|node| match &node.op {
        Op::Source(source) if source.input == input => Some(&source.table[..]),
        _ => None,
    });
    tables.next().unwrap_or_default()
}

/// CREATE TABLE of reference data of the plan; empty without one.
fn table_of_reference<'p>(plan: &'p Plan, name: &str) -> &'p [(Arc<str>, Type)] {
    let named = |reference: usize| plan.references[reference].name.eq_ignore_ascii_case(name);
    let mut tables = plan.nodes.iter().filter_map(|node| match &node.op {
        Op::ReferenceJoin(join) if named(join.reference) => Some(&join.table[..]),
        _ => None,
    });
    tables.next().unwrap_or_default()
}

/// Reads a job or a query, by the ending of its name.
///
/// # Errors
/// All that can be wrong with it, in the first place where something is.
pub fn open(path: &Path) -> Result<Source, Problem> {
    if path.is_dir() {
        let problem = Problem::new("job-unreadable", "the job is a folder").in_file(path);
        return Err(problem.help(format!("name its job.toml: {}", path.join("job.toml").display())));
    }
    match path.extension().and_then(|e| e.to_str()) {
        Some("asaql" | "sql") => Ok(Source::Query(bare::query(path)?)),
        Some("toml") => Ok(Source::Job(Box::new(Job::read(path)?))),
        _ => Err(Problem::new("job-unreadable", "the name ends neither in .toml nor in .asaql")
            .in_file(path)
            .help("a job is a job.toml, or a .asaql query for `rewindow plan` and `rewindow run`")),
    }
}

impl Job {
    /// Reads a job.toml, its query and its inputs.
    ///
    /// # Errors
    /// All that can be wrong with them, in the first place where something is.
    pub fn read(path: &Path) -> Result<Job, Problem> {
        let text = read_text(path, "job-unreadable", "the job", TEXT_MAX)?;
        let file = page::Page { path, text: &text }.read()?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let names: Vec<String> = file.inputs.iter().map(|i| i.name.clone()).collect();
        let references: Vec<String> = file.references.iter().map(|r| r.name.clone()).collect();
        let language = Language {
            level: file.compatibility,
            datediff: file.datediff,
            scripts: file.functions.load(folder)?,
        };
        let planned = |text: &str| language::plan(text, &language, Some(&names), &references);
        let query = Query::read(&folder.join(&file.query), planned)?;
        query.check_partitions(&file.inputs.iter().map(|i| i.partitions).collect::<Vec<u32>>())?;
        let mut inputs = file.inputs;
        for input in &mut inputs {
            input.paths.iter_mut().for_each(|p| *p = folder.join(&p));
        }
        let mut budget = read::Budget::default();
        let mut log = Log::read(&inputs, &query.plan, &mut budget)?;
        let tables =
            file.references.iter().map(|r| r.load(folder, &query.plan, &mut budget, &mut log.remarks));
        let tables = tables.collect::<Result<Vec<_>, Problem>>()?;
        let entries = Arc::unwrap_or_clone(log.history).entries;
        log.history = Arc::new(History { entries, references: tables.into() });
        let name = file.name.unwrap_or_else(|| folder_name(path));
        let (cases, ordering, deployment) = (file.vary.cases, file.ordering, file.deployment);
        let vary = file.vary.resolve(&query.plan, &ordering, &deployment);
        let path = path.to_owned();
        let regions = file.regions.map(|regions| regions.resolve());
        let job = Job {
            name,
            path,
            query,
            inputs,
            references,
            language,
            ordering,
            deployment,
            vary,
            cases,
            regions,
            log,
        };
        job.base().check().map_err(|e| Problem::of_case(&e, &job.path))?;
        Ok(job)
    }

    /// The job as a case in which nothing goes wrong.
    pub fn base(&self) -> Case {
        let input = |i: &InputFile| CaseInput { name: i.name.clone(), partitions: i.partitions };
        Case {
            name: self.name.clone(),
            query: self.query.text.clone(),
            inputs: self.inputs.iter().map(input).collect(),
            language: self.language.clone(),
            references: self.references.clone(),
            ordering: self.ordering,
            deployment: self.deployment.clone(),
            history: self.log.history.clone(),
            faults: Vec::new(),
            turns: Vec::new(),
        }
    }

    /// Partitions of each input, in the order of `inputs`, which is the plan's order too.
    pub fn partitions(&self) -> Vec<u32> {
        self.inputs.iter().map(|input| input.partitions).collect()
    }

    /// The folder it lies in; reports and seeds go by it.
    pub fn folder(&self) -> &Path {
        self.path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }
}

/// The folder a file is in, by name; `job` if it has none.
fn folder_name(path: &Path) -> String {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let folder = absolute.parent().and_then(Path::file_name);
    folder.map_or_else(|| "job".to_owned(), |name| name.to_string_lossy().into_owned())
}

impl Query {
    /// Reads a query file and plans it.
    ///
    /// # Errors
    /// A file that cannot be read, and the first thing that keeps the query from being planned.
    pub fn read(path: &Path, plan: impl Fn(&str) -> Result<Plan, QueryError>) -> Result<Query, Problem> {
        let text = read_text(path, "query-unreadable", "the query", TEXT_MAX)?;
        let plan = plan(&text).map_err(|e| Problem::of_query(e, path, &text))?;
        Ok(Query { path: path.to_owned(), text: text.into(), plan })
    }

    /// Whether it can be asked of streams with these numbers of partitions, in the order of the plan.
    ///
    /// # Errors
    /// Substreams that would span partitions (rule 3.9).
    pub fn check_partitions(&self, partitions: &[u32]) -> Result<(), Problem> {
        self.plan.check_partitions(partitions).map_err(|e| Problem::of_query(e, &self.path, &self.text))
    }

    /// Whether it can run: every function from outside the language has an implementation.
    ///
    /// # Errors
    /// The first function that has none.
    pub fn check_functions(&self) -> Result<(), Problem> {
        self.plan.check_functions().map_err(|e| Problem::of_query(e, &self.path, &self.text))
    }
}

/// A whole text file of at most `most` bytes.
///
/// # Errors
/// A file that cannot be read, is larger, or is not UTF-8.
pub fn read_text(path: &Path, code: &'static str, what: &str, most: u64) -> Result<String, Problem> {
    let unreadable = |error: &std::io::Error| Problem::of_io(code, what, path, error);
    let file = read::open_file(path).map_err(|e| unreadable(&e))?;
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(|e| unreadable(&e))?;
    if bytes.len() as u64 > most {
        let message = format!("{what} is larger than {} MiB", most >> 20);
        return Err(Problem::new(code, message).in_file(path));
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| Problem::new(code, format!("{what} is not UTF-8")).in_file(path))?;
    // Editors that put a byte order mark in front mean nothing by it.
    Ok(match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    })
}
