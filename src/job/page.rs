//! job.toml as text: what may stand in it, and where in it something is wrong.
//!
//! Reads no other file. Invariant: what passes [`Page::read`] is within the limits that can be told without
//! reading the query and the inputs.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use rewindow_query::functions::Script;
use rewindow_query::{Level, Ordering, Span};
use rewindow_world::case::Deployment;
use rewindow_world::language::Datediff;
use serde::Deserialize;
use toml::de::{DeTable, DeValue};

use super::reference::ReferenceFile;
use super::vary::{RegionsFile, VaryFile};
use super::{InputFile, TEXT_MAX, log, read_text};
use crate::errors::Problem;

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct JobFile {
    pub(super) name: Option<String>,
    pub(super) query: PathBuf,
    pub(super) inputs: Vec<InputFile>,
    #[serde(default)]
    pub(super) references: Vec<ReferenceFile>,
    #[serde(default)]
    pub(super) compatibility: Level,
    #[serde(default)]
    pub(super) datediff: Datediff,
    #[serde(default)]
    pub(super) functions: FunctionFiles,
    pub(super) ordering: Ordering,
    pub(super) deployment: Deployment,
    pub(super) vary: VaryFile,
    pub(super) regions: Option<RegionsFile>,
    #[serde(default, rename = "subject")]
    _subject: SubjectFile,
}

/// The `[functions]` table: JavaScript files, by the name under which the query calls them.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct FunctionFiles {
    #[serde(default)]
    udf: BTreeMap<String, PathBuf>,
    #[serde(default)]
    uda: BTreeMap<String, PathBuf>,
}

impl FunctionFiles {
    /// The scripts, read from files relative to a folder.
    pub(super) fn load(&self, folder: &Path) -> Result<Vec<Script>, Problem> {
        let script = |prefix: &str, (name, path): (&String, &PathBuf)| {
            let source = read_text(&folder.join(path), "function-unreadable", "the function", TEXT_MAX)?;
            Ok(Script { name: format!("{prefix}.{name}"), source: source.into() })
        };
        let udf = self.udf.iter().map(|file| script("udf", file));
        udf.chain(self.uda.iter().map(|file| script("uda", file))).collect()
    }
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

/// A job.toml, to point into.
pub(super) struct Page<'a> {
    pub(super) path: &'a Path,
    pub(super) text: &'a str,
}

impl Page<'_> {
    /// What the page says, within its limits.
    pub(super) fn read(&self) -> Result<JobFile, Problem> {
        let document = DeTable::parse(self.text).map_err(|e| self.syntax(&e))?;
        let file: JobFile = toml::from_str(self.text).map_err(|e| self.meaning(&e))?;
        self.check(&file, document.get_ref())?;
        Ok(file)
    }

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
        let settings = settings(file).into_iter().flatten();
        let inputs = file.inputs.iter().enumerate().filter_map(|(index, input)| {
            let flaw = input_flaw(input, &file.inputs[..index])?;
            Some(flaw.under("inputs", index))
        });
        let references = file.references.iter().enumerate().filter_map(|(index, reference)| {
            let names = file.inputs.iter().map(|i| &i.name);
            let names = names.chain(file.references[..index].iter().map(|r| &r.name));
            Some(reference.flaw(names)?.under("references", index))
        });
        match settings.chain(inputs).chain(references).next() {
            None => Ok(()),
            Some(Flaw { path, message, help }) => {
                let path: Vec<&str> = path.iter().map(String::as_str).collect();
                // Where a key is missing, the place is the table that lacks it.
                let place = (1..=path.len()).rev().find_map(|length| span_of(document, &path[..length]));
                let problem = Problem::new("job-value", message);
                let problem = problem.in_text(self.path, self.text, place.unwrap_or(0..0), "here");
                Err(problem.help(help))
            }
        }
    }
}

/// A value that is not within its limits.
pub(super) struct Flaw {
    /// Keys from the top of the document; places in lists by number.
    path: Vec<String>,
    message: String,
    help: String,
}

impl Flaw {
    pub(super) fn new(path: &[&str], message: impl Into<String>, help: impl Into<String>) -> Flaw {
        let path = path.iter().map(|key| (*key).to_owned()).collect();
        Flaw { path, message: message.into(), help: help.into() }
    }

    /// The same in the table that stands there in a list of that name.
    fn under(mut self, list: &str, index: usize) -> Flaw {
        self.path.splice(0..0, [list.to_owned(), index.to_string()]);
        self
    }
}

/// What is wrong with ordering, deployment and what varies.
fn settings(file: &JobFile) -> [Option<Flaw>; 6] {
    let Ordering { late, out_of_order, .. } = file.ordering;
    let d = &file.deployment;
    let within = |span: Span| span >= Span::ZERO && span <= Span::LATE_MAX;
    let positive = [
        ("nodes", d.nodes > 0),
        ("batch", d.batch > 0),
        ("rate", d.rate > 0),
        ("checkpoint_interval", d.checkpoint_interval > Span::ZERO),
        ("poll_interval", d.poll_interval > Span::ZERO),
        ("heartbeat", d.heartbeat > Span::ZERO),
        ("retention", d.retention.is_none_or(|r| r > Span::ZERO)),
        ("retention_size", d.retention_size.is_none_or(|bytes| bytes > 0)),
    ];
    let idle = positive.iter().find(|(_, holds)| !holds).map(|(key, _)| key);
    [
        (!within(late)).then(|| {
            let message = format!("late is {late}; it can be up to 20 days (rule 3.5)");
            Flaw::new(&["ordering", "late"], message, "late = \"5 s\" is the service's default")
        }),
        (!within(out_of_order)).then(|| {
            let message = format!("out_of_order is {out_of_order}; it can be up to 20 days");
            let help = "out_of_order = \"0 s\" is the service's default";
            Flaw::new(&["ordering", "out_of_order"], message, help)
        }),
        idle.map(|key| {
            Flaw::new(&["deployment", key], format!("{key} must be more than nothing"), "see examples/")
        }),
        (file.vary.cases == 0)
            .then(|| Flaw::new(&["vary", "cases"], "cases must be more than none", "cases = 2000")),
        file.regions.as_ref().is_some_and(|regions| regions.cases == 0).then(|| {
            let help = "cases = 200; without [regions] the job is in one region";
            Flaw::new(&["regions", "cases"], "cases must be more than none", help)
        }),
        file.inputs
            .is_empty()
            .then(|| Flaw::new(&["inputs"], "a job has at least one input", "add an [[inputs]] table")),
    ]
}

/// What is wrong with an input, behind those.
fn input_flaw(input: &InputFile, before: &[InputFile]) -> Option<Flaw> {
    if before.iter().any(|i| i.name.eq_ignore_ascii_case(&input.name)) {
        return Some(Flaw::new(&["name"], format!("two inputs are named `{}`", input.name), "names differ"));
    }
    if input.paths.is_empty() {
        return Some(Flaw::new(&["paths"], "an input has at least one file", "paths = [\"a.jsonl\"]"));
    }
    if let Some(delimiter) = &input.delimiter
        && let Some(flaw) = delimiter_flaw(delimiter)
    {
        return Some(flaw);
    }
    if !(1..=log::PARTITIONS_MAX).contains(&input.partitions) {
        let message = format!("an input has 1 to {} partitions", log::PARTITIONS_MAX);
        return Some(Flaw::new(&["partitions"], message, "partitions = 1 needs no partition_by"));
    }
    if input.partition_by.as_ref().is_some_and(String::is_empty) {
        let help =
            "partition_by = \"column\" spreads by that column's value; leave it out with one partition";
        return Some(Flaw::new(&["partition_by"], "partition_by names no column", help));
    }
    (input.partitions > 1 && input.partition_by.is_none()).then(|| {
        let message = "with several partitions something must decide which one an event goes to";
        Flaw::new(&["partitions"], message, "partition_by = \"column\" spreads by that column's value")
    })
}

/// What is wrong with a delimiter of CSV.
pub(super) fn delimiter_flaw(delimiter: &str) -> Option<Flaw> {
    let fits = |c: char| c.is_ascii() && !matches!(c, '"' | '\r' | '\n');
    let mut characters = delimiter.chars();
    if characters.next().is_some_and(fits) && characters.next().is_none() {
        return None;
    }
    let message = "a delimiter is one ASCII character, and neither a quote nor a line end";
    Some(Flaw::new(&["delimiter"], message, "delimiter = \";\", or leave it out for commas"))
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
