//! What the query of a case means beyond its text: compatibility level, reading of DATEDIFF, scripts.
//!
//! In a case file these are keys of their own, left out where they say what a new job has:
//!
//! ```toml
//! compatibility = "1.1"
//! datediff = "elapsed"
//! functions = [ { name = "udf.half", source = "function main(x) { return x / 2; }" } ]
//! ```
//!
//! Runs no script. Invariant: what is written is read back as equal.

use std::fmt::Write;
use std::sync::Arc;

use rewindow_query::functions::Script;
use rewindow_query::{Declared, Entry, Level, Payload};
use serde::Deserialize;

use crate::case_file::{block, quoted};

/// How the text of a query is read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Language {
    /// The compatibility level (section 15).
    pub level: Level,
    /// What DATEDIFF of two streams counts (A-JOIN-DATEDIFF).
    pub datediff: Datediff,
    /// Functions written elsewhere, by name.
    pub scripts: Vec<Script>,
}

/// What `DATEDIFF(unit, a, b)` of two streams counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Datediff {
    /// Boundaries of the unit between them.
    #[default]
    Boundaries,
    /// The time that has passed, as a float.
    Elapsed,
}

impl Language {
    /// What the analysis has to know of it; functions, streams and reference data are for others to add.
    pub fn declared(&self) -> Declared<'static> {
        Declared { level: self.level, elapsed: self.datediff == Datediff::Elapsed, ..Declared::default() }
    }

    /// An entry as a job of this level reads it (rule 1.3).
    #[must_use]
    pub fn read(&self, entry: &Entry) -> Entry {
        match &entry.payload {
            Payload::Event(record) if self.level < Level::V1_2 => {
                let record = self.level.read(record.as_ref().clone());
                Entry { payload: Payload::Event(Arc::new(record)), ..entry.clone() }
            }
            _ => entry.clone(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScriptText {
    name: String,
    source: String,
}

impl ScriptText {
    pub(crate) fn into_script(self) -> Script {
        Script { name: self.name, source: self.source.into() }
    }
}

/// Writes what differs from a new job's.
pub(crate) fn write(out: &mut String, language: &Language) -> std::fmt::Result {
    let Language { level, datediff, scripts } = language;
    if *level != Level::default() {
        writeln!(out, "compatibility = \"{}\"", level.name())?;
    }
    if *datediff == Datediff::Elapsed {
        writeln!(out, "datediff = \"elapsed\"")?;
    }
    if scripts.is_empty() {
        return Ok(());
    }
    writeln!(out, "functions = [")?;
    for script in scripts {
        writeln!(out, "  {{ name = {}, source = {} }},", quoted(&script.name), block(&script.source))?;
    }
    writeln!(out, "]")
}
