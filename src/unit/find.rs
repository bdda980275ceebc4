//! Finding tests: case files and `testConfig.json`, in a folder and all below it.
//!
//! Of the other JSON files of a folder those that are data are passed over and counted; one that is broken, or
//! looks like a case and is none, is a problem. Invariant: the same files give the same tests in the same order.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::text::Document;
use super::{Test, case, config};
use crate::errors::Problem;
use crate::job::read_text;

/// Largest file of tests, in bytes.
pub(super) const FILE_MAX: u64 = 64 << 20;
/// Most files looked at.
const FILES_MAX: usize = 100_000;
/// Deepest folder looked into.
const DEPTH_MAX: usize = 64;

/// What was found.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Found {
    /// The tests, by file.
    pub tests: Vec<Test>,
    /// Files that should be tests and cannot be read.
    pub problems: Vec<Problem>,
    /// JSON files that are no tests.
    pub passed_over: Vec<PathBuf>,
}

/// What a JSON file is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Sort {
    Case,
    Config,
    Data,
}

/// All tests of files and folders, in the order given, in a folder by name. A path that does not exist, is no test, or
/// holds none is one of the problems, so long as others gave something.
///
/// # Errors
/// The first path, where none gave anything.
pub fn find(paths: &[PathBuf]) -> Result<Found, Problem> {
    let mut found = Found::default();
    let mut refused = 0;
    for path in paths {
        let looked = if path.is_dir() { folder(path, &mut found) } else { file(path, &mut found) };
        if let Err(problem) = looked {
            found.problems.push(problem);
            refused += 1;
        }
    }
    if refused > 0 && found.tests.is_empty() && found.problems.len() == refused {
        return Err(found.problems.swap_remove(0));
    }
    Ok(found)
}

fn file(path: &Path, found: &mut Found) -> Result<(), Problem> {
    let ending = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
    if ending.as_deref().is_some_and(|e| e == "asaql" || e == "sql") {
        let problem =
            Problem::new("test-needed", "a query alone is no test: nothing says which rows are right");
        return Err(problem.in_file(path).help(
            "write a case file (docs/testing.md) or a testConfig.json beside it; `rewindow plan` takes a query alone",
        ));
    }
    let text = read(path)?;
    match sort(path, &text)? {
        Sort::Data => {
            let problem = Problem::new("test-needed", "the file is neither a case nor a testConfig.json");
            Err(problem.in_file(path).help("a case has `query`, `inputs` and `expected` (docs/testing.md)"))
        }
        sort => {
            take(sort, path, &text, found);
            Ok(())
        }
    }
}

fn folder(path: &Path, found: &mut Found) -> Result<(), Problem> {
    let (mut files, mut has_query) = (BTreeSet::new(), false);
    walk(path, 0, &mut files)?;
    let before = (found.tests.len(), found.problems.len());
    let ends = |file: &Path, ending: &str| {
        file.extension().is_some_and(|e| e.to_string_lossy().eq_ignore_ascii_case(ending))
    };
    let mut rest = Vec::new();
    // Configurations first: what they name is data, whatever it looks like.
    let mut data: BTreeSet<PathBuf> = BTreeSet::new();
    for file in files {
        has_query |= ends(&file, "asaql");
        if !ends(&file, "json") {
            continue;
        }
        let text = match read(&file) {
            Ok(text) => text,
            Err(problem) => {
                found.problems.push(problem);
                continue;
            }
        };
        match sort(&file, &text) {
            Ok(Sort::Config) => {
                data.extend(config::files(&file, &text));
                rest.push((file, Ok(Sort::Config)));
            }
            sort => rest.push((file, sort)),
        }
    }
    for (file, sort) in rest {
        match sort {
            _ if data.contains(&config::plain(&file)) => {}
            Ok(Sort::Data) => found.passed_over.push(file),
            Ok(sort) => match read(&file) {
                Ok(text) => take(sort, &file, &text, found),
                Err(problem) => found.problems.push(problem),
            },
            Err(problem) => found.problems.push(problem),
        }
    }
    if (found.tests.len(), found.problems.len()) != before {
        return Ok(());
    }
    let problem = Problem::new("test-needed", "the folder holds no tests").in_file(path);
    Err(problem.help(if has_query {
        "a query beside data is no test: nothing says which rows are right; write a case file (docs/testing.md) \
         or a testConfig.json"
    } else {
        "tests are case files (docs/testing.md), or a testConfig.json"
    }))
}

/// All files of a folder and below; hidden folders and links to folders are left out.
fn walk(folder: &Path, depth: usize, files: &mut BTreeSet<PathBuf>) -> Result<(), Problem> {
    let unreadable = |e: &std::io::Error| Problem::of_io("test-unreadable", "the folder", folder, e);
    for entry in std::fs::read_dir(folder).map_err(|e| unreadable(&e))? {
        let entry = entry.map_err(|e| unreadable(&e))?;
        let (path, kind) = (entry.path(), entry.file_type().map_err(|e| unreadable(&e))?);
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        if kind.is_dir() && !hidden && depth < DEPTH_MAX {
            walk(&path, depth + 1, files)?;
        } else if path.is_file() {
            files.insert(path);
        }
        if files.len() > FILES_MAX {
            let message = format!("the folder holds more than {FILES_MAX} files");
            return Err(Problem::new("test-unreadable", message)
                .in_file(folder)
                .help("name a smaller folder"));
        }
    }
    Ok(())
}

/// The text of a regular file: a pipe would never end.
pub(super) fn read(path: &Path) -> Result<String, Problem> {
    if path.exists() && !path.is_file() {
        return Err(Problem::new("test-unreadable", "the test is no regular file").in_file(path));
    }
    read_text(path, "test-unreadable", "the test", FILE_MAX)
}

/// What a file is, by its first value: names and endings say nothing.
fn sort(path: &Path, text: &str) -> Result<Sort, Problem> {
    let document = Document::new(path, text);
    let first = document.first()?;
    let Some(first) = first.filter(|first| first.raw().starts_with('{')) else { return Ok(Sort::Data) };
    let members = first.object("the file")?;
    let has = |member: &str| members.iter().any(|(name, _)| name == member);
    Ok(if has("TestCases") {
        Sort::Config
    } else if has("query") || has("expected") || has("expected_error") {
        Sort::Case
    } else {
        Sort::Data
    })
}

fn take(sort: Sort, path: &Path, text: &str, found: &mut Found) {
    match sort {
        Sort::Case => match case::read(path, text) {
            Ok(test) => found.tests.push(test),
            Err(problem) => found.problems.push(problem),
        },
        Sort::Config => match config::read(path, text) {
            Ok(tests) => found.tests.extend(tests),
            Err(problem) => found.problems.push(problem),
        },
        Sort::Data => {}
    }
}
