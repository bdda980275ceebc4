//! A job as a user writes it down: `job.toml`, its query, its inputs; or a bare `.asaql` query.
//!
//! Reads files and says precisely what is wrong with them; runs nothing. Invariant: a [`Job`] is complete
//! and within its limits, so nothing after it has to ask again; two readings of the same files are equal.

use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rewindow_query::{Ordering, Plan, Span, analyse};
use rewindow_world::case::{Case, CaseInput, Deployment};
use serde::Deserialize;
use toml::de::{DeTable, DeValue};

use crate::errors::Problem;
use crate::generate::{Trouble, Vary};

pub mod log;

pub use log::{Log, Remark};

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
    /// Tolerances and policy.
    pub ordering: Ordering,
    /// How it is deployed.
    pub deployment: Deployment,
    /// What to vary, and how many schedules to try.
    pub vary: Vary,
    /// How many schedules `check` tries unless told otherwise.
    pub cases: u64,
    /// The events.
    pub log: Log,
}

/// What a path given by a user turned out to be.
#[derive(Clone, PartialEq, Debug)]
pub enum Source {
    /// A query alone: enough for `plan`.
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
    /// Files of JSON lines; relative ones from the folder of job.toml.
    pub paths: Vec<PathBuf>,
    /// The column that says when the log accepted an event.
    pub arrival: String,
    /// Number of partitions.
    pub partitions: u32,
    /// The column whose value decides the partition (see [`log`]); needed with more than one.
    #[serde(default)]
    pub partition_by: Option<String>,
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JobFile {
    name: Option<String>,
    query: PathBuf,
    inputs: Vec<InputFile>,
    ordering: Ordering,
    deployment: Deployment,
    vary: VaryFile,
    #[serde(default, rename = "subject")]
    _subject: SubjectFile,
}

/// The system under test; so far only our own engine can be named.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct SubjectFile {
    #[serde(default, rename = "kind")]
    _kind: SubjectKind,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "lowercase")]
enum SubjectKind {
    #[default]
    Engine,
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
        Some("asaql" | "sql") => Ok(Source::Query(read_query(path, "query-unreadable", None)?)),
        Some("toml") => Ok(Source::Job(Box::new(Job::read(path)?))),
        _ => Err(Problem::new("job-unreadable", "the name ends neither in .toml nor in .asaql")
            .in_file(path)
            .help("a job is a job.toml, or a .asaql query for `rewindow plan`")),
    }
}

impl Job {
    /// Reads a job.toml, its query and its inputs.
    ///
    /// # Errors
    /// All that can be wrong with them, in the first place where something is.
    pub fn read(path: &Path) -> Result<Job, Problem> {
        let text = read_text(path, "job-unreadable", "the job", TEXT_MAX)?;
        let page = Page { path, text: &text };
        let document = DeTable::parse(&text).map_err(|e| page.syntax(&e))?;
        let file: JobFile = toml::from_str(&text).map_err(|e| page.meaning(&e))?;
        page.check(&file, document.get_ref())?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let names: Vec<String> = file.inputs.iter().map(|i| i.name.clone()).collect();
        let query = read_query(&folder.join(&file.query), "query-unreadable", Some(&names))?;
        let mut inputs = file.inputs;
        for input in &mut inputs {
            input.paths.iter_mut().for_each(|p| *p = folder.join(&p));
        }
        let log = Log::read(&inputs)?;
        let name = file.name.unwrap_or_else(|| folder_name(path));
        let (cases, ordering, deployment) = (file.vary.cases, file.ordering, file.deployment);
        let vary = file.vary.resolve(&query.plan, &ordering);
        let job = Job { name, path: path.to_owned(), query, inputs, ordering, deployment, vary, cases, log };
        job.base().check().map_err(|e| Problem::of_case(&e, path))?;
        Ok(job)
    }

    /// The job as a case in which nothing goes wrong.
    pub fn base(&self) -> Case {
        let input = |i: &InputFile| CaseInput { name: i.name.clone(), partitions: i.partitions };
        Case {
            name: self.name.clone(),
            query: self.query.text.clone(),
            inputs: self.inputs.iter().map(input).collect(),
            references: Vec::new(),
            ordering: self.ordering,
            deployment: self.deployment.clone(),
            history: self.log.history.clone(),
            faults: Vec::new(),
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

/// The `[vary]` table: what schedules are made of.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VaryFile {
    cases: u64,
    /// All kinds of faults, unless named.
    faults: Option<Vec<TroubleName>>,
    faults_max: Option<u64>,
    deployment: Option<bool>,
    retention: Option<bool>,
    slice: Option<usize>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum TroubleName {
    NodeKill,
    OsUpgrade,
    UpgradeState,
    UpgradeReplay,
    Restart,
    Retention,
}

impl VaryFile {
    /// What may vary: everything, unless the table says otherwise.
    fn resolve(&self, plan: &Plan, ordering: &Ordering) -> Vary {
        let trouble = |name: &TroubleName| match name {
            TroubleName::NodeKill => Trouble::NodeKill,
            TroubleName::OsUpgrade => Trouble::OsUpgrade,
            TroubleName::UpgradeState => Trouble::UpgradeState,
            TroubleName::UpgradeReplay => Trouble::UpgradeReplay,
            TroubleName::Restart => Trouble::Restart,
            TroubleName::Retention => Trouble::Retention,
        };
        let all = Vary::all(plan, ordering);
        Vary {
            faults: self.faults.as_ref().map_or(all.faults, |f| f.iter().map(trouble).collect()),
            faults_max: self.faults_max.unwrap_or(all.faults_max),
            deployment: self.deployment.unwrap_or(all.deployment),
            retention: self.retention.unwrap_or(all.retention),
            slice: self.slice,
            ..all
        }
    }
}

/// The folder a file is in, by name; `job` if it has none.
fn folder_name(path: &Path) -> String {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let folder = absolute.parent().and_then(Path::file_name);
    folder.map_or_else(|| "job".to_owned(), |name| name.to_string_lossy().into_owned())
}

fn read_query(path: &Path, code: &'static str, inputs: Option<&[String]>) -> Result<Query, Problem> {
    let text = read_text(path, code, "the query", TEXT_MAX)?;
    let plan = analyse(&text, inputs).map_err(|e| Problem::of_query(e, path, &text))?;
    Ok(Query { path: path.to_owned(), text: text.into(), plan })
}

/// A whole text file of at most `most` bytes.
///
/// # Errors
/// A file that cannot be read, is larger, or is not UTF-8.
pub fn read_text(path: &Path, code: &'static str, what: &str, most: u64) -> Result<String, Problem> {
    let unreadable = |error: &std::io::Error| Problem::of_io(code, what, path, error);
    let file = std::fs::File::open(path).map_err(|e| unreadable(&e))?;
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

/// A job.toml, to point into.
struct Page<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Page<'_> {
    fn syntax(&self, error: &toml::de::Error) -> Problem {
        let place = error.span().unwrap_or(0..0);
        Problem::new("job-syntax", one_line(error.message()))
            .in_text(self.path, self.text, place, "here")
            .help("job.toml is TOML: `key = \"value\"`, `[table]`, `[[list of tables]]`")
    }

    fn meaning(&self, error: &toml::de::Error) -> Problem {
        let message = one_line(error.message());
        let place = error.span().unwrap_or(0..0);
        let (code, label, help) = if message.starts_with("unknown field") {
            (
                "job-key",
                "unknown key",
                "a key that is not known is refused, so that no setting is lost to a typo",
            )
        } else if message.starts_with("missing field") {
            ("job-missing", "here", "nothing has a hidden default: a job states all of it (see examples/)")
        } else {
            ("job-value", "this value", "see examples/ for jobs that work")
        };
        let message = message.replace("unknown field", "unknown key").replace("missing field", "missing key");
        Problem::new(code, message).in_text(self.path, self.text, place, label).help(help)
    }

    /// Limits that the types do not say.
    fn check(&self, file: &JobFile, document: &DeTable<'_>) -> Result<(), Problem> {
        let refuse = |path: &[&str], message: String, help: &str| {
            let place = span_of(document, path).unwrap_or(0..0);
            Err(Problem::new("job-value", message).in_text(self.path, self.text, place, "here").help(help))
        };
        let Ordering { late, out_of_order, .. } = file.ordering;
        if late < Span::ZERO || late > Span::LATE_MAX {
            let message = format!("late is {late}; it can be up to 20 days (rule 3.5)");
            return refuse(&["ordering", "late"], message, "late = \"5 s\" is the service's default");
        }
        if out_of_order < Span::ZERO || out_of_order > Span::LATE_MAX {
            let message = format!("out_of_order is {out_of_order}; it can be up to 20 days");
            return refuse(
                &["ordering", "out_of_order"],
                message,
                "out_of_order = \"0 s\" is the service's default",
            );
        }
        let d = &file.deployment;
        let positive = [
            ("nodes", d.nodes > 0),
            ("batch", d.batch > 0),
            ("rate", d.rate > 0),
            ("checkpoint_interval", d.checkpoint_interval > Span::ZERO),
            ("poll_interval", d.poll_interval > Span::ZERO),
            ("heartbeat", d.heartbeat > Span::ZERO),
            ("retention", d.retention.is_none_or(|r| r > Span::ZERO)),
        ];
        if let Some((key, _)) = positive.iter().find(|(_, holds)| !holds) {
            return refuse(&["deployment", key], format!("{key} must be more than nothing"), "see examples/");
        }
        if file.vary.cases == 0 {
            return refuse(&["vary", "cases"], "cases must be more than none".to_owned(), "cases = 2000");
        }
        if file.inputs.is_empty() {
            return refuse(&["inputs"], "a job has at least one input".to_owned(), "add an [[inputs]] table");
        }
        for (index, input) in file.inputs.iter().enumerate() {
            let index_text = index.to_string();
            let at = |key: &'static str| ["inputs", &index_text, key];
            let twin = file.inputs[..index].iter().find(|i| i.name.eq_ignore_ascii_case(&input.name));
            if twin.is_some() {
                return refuse(&at("name"), format!("two inputs are named `{}`", input.name), "names differ");
            }
            if input.paths.is_empty() {
                return refuse(
                    &at("paths"),
                    "an input has at least one file".to_owned(),
                    "paths = [\"a.jsonl\"]",
                );
            }
            if !(1..=log::PARTITIONS_MAX).contains(&input.partitions) {
                let message = format!("an input has 1 to {} partitions", log::PARTITIONS_MAX);
                return refuse(&at("partitions"), message, "partitions = 1 needs no partition_by");
            }
            if input.partitions > 1 && input.partition_by.is_none() {
                let message =
                    "with several partitions something must decide which one an event goes to".to_owned();
                return refuse(
                    &at("partitions"),
                    message,
                    "partition_by = \"column\" spreads by that column's value",
                );
            }
        }
        Ok(())
    }
}

fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The bytes of a value in a document; lists are indexed by number.
fn span_of(document: &DeTable<'_>, path: &[&str]) -> Option<Range<usize>> {
    let (first, rest) = path.split_first()?;
    let mut value = document.get(*first)?;
    for key in rest {
        value = match value.get_ref() {
            DeValue::Table(table) => table.get(*key)?,
            DeValue::Array(items) => items.get(key.parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    Some(value.span())
}
