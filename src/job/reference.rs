//! Reference data of a job: tables, static or in versions, that streams are joined with (rule 8.7).
//!
//! Files of the same formats as events, whose every event is a row. Knows nothing of joins. Invariant: versions
//! stand in order of the time from which they are in force.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rewindow_query::event::Reference;
use rewindow_query::{Plan, Record, Timestamp, Type};
use serde::Deserialize;

use super::log::Remark;
use super::page::{Flaw, delimiter_flaw};
use super::read::{self, Budget, Format};
use crate::errors::Problem;

/// One `[[references]]` of job.toml.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReferenceFile {
    /// Its name in the query.
    pub(super) name: String,
    /// The file of data that never changes; relative from the folder of job.toml.
    path: Option<PathBuf>,
    /// Data that is replaced from time to time.
    #[serde(default)]
    versions: Vec<VersionFile>,
    format: Option<Format>,
    delimiter: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VersionFile {
    /// From when on it is in force.
    from: Timestamp,
    path: PathBuf,
}

impl ReferenceFile {
    /// Data in one file that never changes.
    pub(super) fn fixed(name: String, path: PathBuf) -> ReferenceFile {
        ReferenceFile { name, path: Some(path), versions: Vec::new(), format: None, delimiter: None }
    }

    /// What is wrong with it; `names` are those of everything declared before it.
    pub(super) fn flaw<'n>(&self, mut names: impl Iterator<Item = &'n String>) -> Option<Flaw> {
        if names.any(|name| name.eq_ignore_ascii_case(&self.name)) {
            let message = format!("two inputs are named `{}`", self.name);
            return Some(Flaw::new(&["name"], message, "streams and reference data share their names"));
        }
        let help = "path = \"table.csv\" never changes; \
            versions = [{ from = \"2018-01-31T00:00:00Z\", path = \"table.csv\" }] are replaced";
        match (&self.path, &self.versions[..]) {
            (Some(_), []) => {}
            (None, []) => return Some(Flaw::new(&["path"], "reference data needs path or versions", help)),
            (Some(_), _) => {
                return Some(Flaw::new(&["versions"], "reference data has path or versions, not both", help));
            }
            (None, versions) => {
                if let Some(at) = versions.windows(2).position(|pair| pair[0].from > pair[1].from) {
                    let place = (at + 1).to_string();
                    let message = "versions stand in order of time, the oldest first (rule 8.7)";
                    return Some(Flaw::new(&["versions", &place, "from"], message, "sort them by `from`"));
                }
            }
        }
        self.delimiter.as_deref().and_then(delimiter_flaw)
    }

    /// Reads the files. A row that cannot be read is left out, with a remark. `plan` says what the columns of
    /// CSV are (C-CSV).
    pub(super) fn load(
        &self,
        folder: &Path,
        plan: &Plan,
        budget: &mut Budget,
        remarks: &mut Vec<Remark>,
    ) -> Result<Reference, Problem> {
        let fixed = self.path.iter().map(|path| (Timestamp(0), path));
        let all = fixed.chain(self.versions.iter().map(|version| (version.from, &version.path)));
        let table = super::table_of_reference(plan, &self.name);
        let mut versions = Vec::new();
        for (from, path) in all {
            versions.push((from, self.rows(&folder.join(path), table, budget, remarks)?));
        }
        Ok(Reference { versions })
    }

    fn rows(
        &self,
        path: &Path,
        table: &[(Arc<str>, Type)],
        budget: &mut Budget,
        remarks: &mut Vec<Remark>,
    ) -> Result<Vec<Arc<Record>>, Problem> {
        let format = self.format.unwrap_or_else(|| Format::of(path));
        let delimiter = self.delimiter.as_ref().and_then(|text| text.bytes().next());
        let what = format!("reference data `{}`", self.name);
        let mut rows = Vec::new();
        let source = read::Source { path, format, delimiter, what: &what, table };
        read::read(&source, budget, &mut |number, found| {
            match found {
                Ok(row) => rows.push(Arc::new(row)),
                Err(malformed) => {
                    let place = format.place(&path.display().to_string(), number);
                    let message = format!("left out: {}", malformed.message);
                    remarks.push(Remark { code: "malformed-reference", place, message });
                }
            }
            Ok(())
        })?;
        Ok(rows)
    }
}
