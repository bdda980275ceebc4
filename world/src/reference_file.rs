//! Reference data in case files (rule 8.7): the `references` of the page that [`crate::case_file`] shows.
//!
//! ```toml
//! references = [
//!   { name = "plates", versions = [
//!     { from = "2018-01-31T00:00:00Z", rows = ['{"plate":"A 1","owner":"x"}'] },
//!   ] },
//! ]
//! ```
//!
//! Left out where the query joins none. Invariant: as for events, what is written is read back as equal.

use std::fmt::Write;
use std::sync::Arc;

use rewindow_query::event::Reference;
use rewindow_query::{Timestamp, json};
use serde::Deserialize;

use crate::case_file::quoted;
use crate::error::CaseError;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReferenceText {
    name: String,
    versions: Vec<VersionText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VersionText {
    from: Timestamp,
    rows: Vec<String>,
}

impl ReferenceText {
    pub(crate) fn read(self) -> Result<(String, Reference), CaseError> {
        let ReferenceText { name, versions } = self;
        let row = |text: String| {
            json::read_event(&text).map(Arc::new).map_err(|reason| {
                let found = format!("reference data `{name}` has a row that is no record: {reason}");
                CaseError::new("case-reference", found).hint("rows are JSON objects, as text")
            })
        };
        let version = |version: VersionText| {
            let rows: Result<Vec<_>, CaseError> = version.rows.into_iter().map(row).collect();
            Ok((version.from, rows?))
        };
        let versions: Result<Vec<_>, CaseError> = versions.into_iter().map(version).collect();
        versions.map(|versions| (name.clone(), Reference { versions }))
    }
}

/// Writes the list, or nothing where there is none.
pub(crate) fn write(out: &mut String, names: &[String], references: &[Reference]) -> std::fmt::Result {
    if names.is_empty() {
        return Ok(());
    }
    writeln!(out, "references = [")?;
    for (name, reference) in names.iter().zip(references) {
        writeln!(out, "  {{ name = {}, versions = [", quoted(name))?;
        for (from, rows) in &reference.versions {
            writeln!(out, "    {{ from = \"{from}\", rows = [")?;
            for row in rows {
                writeln!(out, "      {},", quoted(&row.to_string()))?;
            }
            writeln!(out, "    ] }},")?;
        }
        writeln!(out, "  ] }},")?;
    }
    writeln!(out, "]")
}
