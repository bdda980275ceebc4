//! Files of events: which format they have, one event after the other, and where each of them stands.
//!
//! Formats are JSON (lines, or arrays), CSV and Parquet, each also gzipped, which is seen by the first bytes.
//! What is read is handed on at once and never held twice. Knows nothing of inputs, arrivals or queries.
//! Invariants: every event, and whatever stands where one was expected, is handed on once, with its place;
//! what is read stays within a [`Budget`], whatever the file says of itself.

mod csv;
mod json;
#[cfg(feature = "parquet")]
mod parquet;
mod stream;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use rewindow_query::{Record, Type, Value};
use serde::Deserialize;

use crate::errors::{Place, Problem};
use stream::Stream;

/// Longest line, element of an array or row of CSV that is read, in bytes.
pub const LINE_MAX: usize = 1 << 20;
/// Most events of a job, all files together; blank lines count too.
pub const ENTRIES_MAX: usize = 1_000_000;
/// Most bytes of all files of a job together, after gzip.
pub const BYTES_MAX: u64 = 1 << 30;
/// Most memory that the events of a job take, in bytes, by a rough count.
pub const MEMORY_MAX: u64 = 2 << 30;
/// Most columns of a file of CSV or Parquet.
pub const COLUMNS_MAX: usize = 4_096;

/// How a file is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// JSON: one object on each line, or arrays of objects.
    Json,
    /// Comma separated values with a header, as RFC 4180 has them (rule 1.4).
    Csv,
    /// Apache Parquet.
    Parquet,
}

impl Format {
    /// By the ending of the file's name, a `.gz` behind it aside; JSON where it says nothing.
    pub fn of(path: &Path) -> Format {
        let name = path.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase());
        let name = name.unwrap_or_default();
        match name.strip_suffix(".gz").unwrap_or(&name).rsplit_once('.').map(|(_, ending)| ending) {
            Some("csv" | "tsv") => Format::Csv,
            Some("parquet" | "pq") => Format::Parquet,
            _ => Format::Json,
        }
    }

    /// A place in a file of this format: `feed.jsonl:17`, `feed.parquet:row 17`.
    pub fn place(self, file: &str, number: u64) -> String {
        match self {
            Format::Json | Format::Csv => format!("{file}:{number}"),
            Format::Parquet => format!("{file}:row {number}"),
        }
    }
}

/// A file to be read.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// Where it is.
    pub path: &'a Path,
    /// How it is written.
    pub format: Format,
    /// What stands between the fields of CSV; `None`: a tab in `.tsv`, else a comma.
    pub delimiter: Option<u8>,
    /// What it holds, for errors: "input `quakes`".
    pub what: &'a str,
    /// CREATE TABLE of the stream, by which the text of CSV becomes values (choice C-CSV).
    pub table: &'a [(Arc<str>, Type)],
}

/// What stands where an event was expected.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Malformed {
    /// The text, as far as it is text.
    pub text: Arc<str>,
    /// What is wrong with it.
    pub message: String,
    /// The column, where it is known.
    pub column: Option<u64>,
}

/// An event, or what stands in its place.
pub type Found = Result<Record, Malformed>;

/// Reads a file, and hands every event to `take` with the number of its line, or of its row in Parquet,
/// from 1.
///
/// # Errors
/// A file that cannot be read, or is none of its format as a whole; bounds; what `take` refuses.
pub fn read(
    source: &Source<'_>,
    budget: &mut Budget,
    take: &mut dyn FnMut(u64, Found) -> Result<(), Problem>,
) -> Result<(), Problem> {
    let file = open_file(source.path)
        .map_err(|e| Problem::of_io("input-unreadable", source.what, source.path, &e))?;
    match source.format {
        Format::Json => json::read(&mut Stream::new(source, file, budget)?, take),
        Format::Csv => csv::read(source, &mut Stream::new(source, file, budget)?, take),
        #[cfg(feature = "parquet")]
        Format::Parquet => parquet::read(source, file, budget, take),
        #[cfg(not(feature = "parquet"))]
        Format::Parquet => {
            let message = format!("{} is Parquet, and this rewindow was built without it", source.what);
            Err(Problem::new("feature-parquet", message)
                .in_file(source.path)
                .help("cargo install --path . --features parquet builds one that reads it"))
        }
    }
}

/// Opens a regular file. Anything else is refused: a pipe without a writer would never be opened, a device
/// never end.
pub(super) fn open_file(path: &Path) -> std::io::Result<File> {
    let kind = std::fs::metadata(path)?.file_type();
    if kind.is_dir() {
        return Err(std::io::ErrorKind::IsADirectory.into());
    }
    if !kind.is_file() {
        return Err(std::io::Error::other("it is a pipe or a device; write what it gives to a file"));
    }
    File::open(path)
}

/// What may still be read, of all files of a job together.
#[derive(Debug, Default)]
pub struct Budget {
    entries: usize,
    bytes: u64,
    memory: u64,
}

impl Budget {
    /// Counts bytes that were read.
    fn spend(&mut self, bytes: usize, path: &Path, line: u64) -> Result<(), Problem> {
        self.bytes = self.bytes.saturating_add(bytes as u64);
        if self.bytes > BYTES_MAX {
            let message = format!("the inputs of a job are larger than {} GiB", BYTES_MAX >> 30);
            return Err(too_much(message, path, line));
        }
        Ok(())
    }

    /// Counts a line, an element or a row.
    fn enter(&mut self, path: &Path, line: u64) -> Result<(), Problem> {
        self.entries += 1;
        if self.entries > ENTRIES_MAX {
            let message = format!("the inputs of a job have more than {ENTRIES_MAX} lines");
            return Err(too_much(message, path, line));
        }
        Ok(())
    }

    /// Counts the memory of what was made of one.
    fn keep(&mut self, found: &Found, path: &Path, line: u64) -> Result<(), Problem> {
        let memory = match found {
            Ok(record) => of_record(record),
            Err(malformed) => malformed.text.len() as u64,
        };
        self.memory = self.memory.saturating_add(memory);
        if self.memory > MEMORY_MAX {
            let message = format!("the events of a job take more than {} GiB of memory", MEMORY_MAX >> 30);
            return Err(too_much(message, path, line));
        }
        Ok(())
    }
}

fn too_much(message: String, path: &Path, line: u64) -> Problem {
    at_line(Problem::new("limit-input", message), path, line)
        .help("a sample of the events finds the same bugs sooner")
}

/// A rough count: a name, a value and what it points to.
fn of_record(record: &Record) -> u64 {
    record.members().iter().map(|(_, value)| 40 + of_value(value)).sum()
}

fn of_value(value: &Value) -> u64 {
    match value {
        Value::Text(text) => 16 + text.len() as u64,
        Value::Array(items) => 16 + items.iter().map(|item| 24 + of_value(item)).sum::<u64>(),
        Value::Record(record) => 40 + of_record(record),
        _ => 0,
    }
}

fn at_line(problem: Problem, path: &Path, line: u64) -> Problem {
    let first_line = usize::try_from(line).unwrap_or(usize::MAX);
    let file = path.display().to_string();
    problem.at(Place { file, text: String::new(), first_line, range: 0..0, label: String::new() })
}

/// Something that is no event, with the text it has instead.
fn malformed(text: &[u8], message: impl Into<String>) -> Malformed {
    let text = String::from_utf8_lossy(text);
    Malformed { text: text.trim().into(), message: message.into(), column: None }
}
