//! job.toml as text: what may stand in it, and where in it something is wrong.
//!
//! Reads no other file. Invariant: what passes [`Page::read`] is within the limits that can be told without
//! reading the query and the inputs.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use rewindow_query::functions::Script;
use rewindow_query::{Level, Ordering};
use rewindow_world::case::Deployment;
use rewindow_world::error::in_words;
use rewindow_world::language::Datediff;
use serde::Deserialize;
use toml::de::{DeTable, DeValue};

use super::limits::{input_flaw, settings};
use super::reference::ReferenceFile;
use super::vary::{RegionsFile, VaryFile};
use super::{InputFile, TEXT_MAX, read_text};
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
    #[serde(default, deserialize_with = "level")]
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

/// A compatibility level; one that is none is told which there are.
fn level<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Level, D::Error> {
    let value = toml::Value::deserialize(deserializer)?;
    value.as_str().and_then(Level::parse).ok_or_else(|| {
        let names = Level::ALL.map(|level| format!("\"{}\"", level.name())).join(", ");
        serde::de::Error::custom(format!("{value} is no compatibility level: it is one of {names}"))
    })
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
        let message = in_words(&one_line(error.message()));
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
        let settings = settings(file).into_iter();
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
