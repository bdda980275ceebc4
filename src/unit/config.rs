//! The vendor's test configuration: the `testConfig.json` of its npm package `azure-streamanalytics-cicd`.
//!
//! ```json
//! { "Script": "job.asaql",
//!   "TestCases": [ { "Name": "Case 1",
//!     "Inputs": [ { "InputAlias": "entry", "Type": "Data Stream", "Format": "Json",
//!                   "FilePath": "entry.json", "ScriptType": "InputMock" } ],
//!     "ExpectedOutputs": [ { "OutputAlias": "output", "FilePath": "output.json",
//!                            "IgnoreFields": ["at"], "Required": true } ] } ] }
//! ```
//!
//! As there, events arrive at their own time, so no tolerance plays a part, and without TIMESTAMP BY all stand at
//! one instant (section 16). Invariant: what is read depends on the files named, not on where one stands.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rewindow_query::json::read_event;
use rewindow_query::{Payload, Record, Value};

use super::case::{blank, expected_row, missing, reference_row, unknown_member};
use super::text::{Document, Node};
use super::{Event, Expected, ExpectedOutput, Stream, Table, Test, find, folder_of};
use crate::errors::Problem;

/// How many folders above the configuration the query is looked for in.
const ABOVE: usize = 2;

/// Reads the text of a configuration, and the files it names.
///
/// # Errors
/// All that can be wrong with them, in the first place where something is.
pub fn read(path: &Path, text: &str) -> Result<Vec<Test>, Problem> {
    let document = Document::new(path, text);
    let root = document.root()?;
    let (mut script, mut cases) = (None, None);
    for (name, node) in root.object("a test configuration")? {
        match name.as_str() {
            "Script" if node.is_null() => {}
            "Script" => script = Some((node.text("Script")?, node)),
            "TestCases" => cases = Some(node.list("TestCases")?),
            unknown => return Err(unknown_member(node, "a test configuration", unknown)),
        }
    }
    let cases = cases.ok_or_else(|| missing(root, "a test configuration", "TestCases"))?;
    let query = query(path, script.filter(|(text, _)| !text.trim().is_empty()), root)?;
    let query_text: Arc<str> =
        crate::job::read_text(&query, "query-unreadable", "the query", 1 << 20)?.into();
    cases.into_iter().map(|node| case(path, &query, &query_text, node)).collect()
}

/// The files that a configuration names, as [`plain`] gives them; of one that cannot be read, those found so far.
pub(super) fn files(path: &Path, text: &str) -> Vec<PathBuf> {
    let document = Document::new(path, text);
    let mut files = Vec::new();
    let Ok(members) = document.root().and_then(|root| root.object("")) else { return files };
    for case in members
        .iter()
        .filter(|(name, _)| name == "TestCases")
        .flat_map(|(_, node)| node.list("").unwrap_or_default())
    {
        for (_, list) in case.object("").unwrap_or_default() {
            for item in list.list("").unwrap_or_default() {
                for (name, node) in item.object("").unwrap_or_default() {
                    let file = node.text("").ok().filter(|_| name == "FilePath");
                    files.extend(file.and_then(|file| resolve(path, &file)).map(|file| plain(&file)));
                }
            }
        }
    }
    files
}

/// A file by its one true name.
pub(super) fn plain(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// A file that a configuration names: from its folder; what is not there (a path of another machine) by its name
/// alone, beside the configuration.
fn resolve(config: &Path, named: &str) -> Option<PathBuf> {
    let named = named.replace('\\', "/");
    let folder = folder_of(config);
    let name = named.rsplit('/').next().filter(|name| !name.is_empty())?;
    [folder.join(&named), folder.join(name)].into_iter().find(|path| path.is_file())
}

/// The query: what `Script` names, else the start file of the project, else the only query there is, in the
/// folder of the configuration or above.
fn query(config: &Path, script: Option<(String, Node<'_>)>, root: Node<'_>) -> Result<PathBuf, Problem> {
    let absolute = std::path::absolute(config).unwrap_or_else(|_| config.to_owned());
    let above =
        absolute.parent().map_or(0, |folder| folder.components().count().saturating_sub(1)).min(ABOVE);
    let folder = folder_of(config);
    let folders: Vec<PathBuf> =
        (0..=above).map(|up| (0..up).fold(folder.to_owned(), |folder, _| folder.join(".."))).collect();
    if let Some((text, node)) = script {
        let named = text.replace('\\', "/");
        let name = named.rsplit('/').next().unwrap_or(&named);
        let tried = [folder.join(&named)].into_iter().chain(folders.iter().map(|folder| folder.join(name)));
        return tried.into_iter().find(|path| path.is_file()).ok_or_else(|| {
            node.problem("test-value", format!("there is no query `{named}`")).help(
                "`Script` is a path from the folder of this file; by its name alone it is found above, too",
            )
        });
    }
    for folder in &folders {
        if let Some(query) = start_file(folder).or_else(|| only_query(folder)) {
            return Ok(query);
        }
    }
    Err(root
        .problem("test-missing", "nothing says which query is tested")
        .help("`Script` is its path from the folder of this file"))
}

/// The `startFile` of the folder's asaproj.json.
fn start_file(folder: &Path) -> Option<PathBuf> {
    let text = find::read(&folder.join("asaproj.json")).ok()?;
    let project: serde_json::Value = serde_json::from_str(&text).ok()?;
    Some(folder.join(project["startFile"].as_str()?.replace('\\', "/"))).filter(|path| path.is_file())
}

fn only_query(folder: &Path) -> Option<PathBuf> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let mut queries = std::fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let is_query = |path: &PathBuf| path.extension().is_some_and(|e| e.eq_ignore_ascii_case("asaql"));
    let only = queries.by_ref().find(is_query)?;
    queries.find(is_query).is_none().then_some(only)
}

// ---- a case ---------------------------------------------------------------------------------------------

fn case(config: &Path, query: &Path, text: &Arc<str>, node: Node<'_>) -> Result<Test, Problem> {
    let mut test = blank(config);
    (test.query, test.query_place, test.drops) = (text.clone(), query.to_owned(), None);
    let (mut inputs, mut outputs, mut named) = (None, None, false);
    for (name, value) in node.object("a test case")? {
        match name.as_str() {
            "Name" => {
                test.name = value.text("Name")?;
                named = true;
            }
            "Inputs" => inputs = Some(value.list("Inputs")?),
            "ExpectedOutputs" => outputs = Some(value.list("ExpectedOutputs")?),
            unknown => return Err(unknown_member(value, "a test case", unknown)),
        }
    }
    if !named {
        return Err(missing(node, "a test case", "Name"));
    }
    for input in inputs.ok_or_else(|| missing(node, "a test case", "Inputs"))? {
        read_input(config, input, &mut test)?;
    }
    let outputs = outputs.ok_or_else(|| missing(node, "a test case", "ExpectedOutputs"))?;
    let outputs = outputs.into_iter().filter_map(|output| expected_output(config, output).transpose());
    test.expected = Expected::Rows(outputs.collect::<Result<_, _>>()?);
    Ok(test)
}

fn read_input(config: &Path, node: Node<'_>, test: &mut Test) -> Result<(), Problem> {
    let (mut alias, mut file, mut is_reference, mut is_csv) = (None, None, false, false);
    for (name, value) in node.object("an input")? {
        match name.as_str() {
            "InputAlias" => alias = Some(value.text("InputAlias")?),
            "FilePath" => file = Some(value),
            "ScriptType" => {} // InputMock, whatever it says
            "Type" => {
                is_reference = match word(value, "Type")?.as_str() {
                    "datastream" | "stream" => false,
                    "referencedata" | "reference" => true,
                    _ => return Err(value.problem("test-value", "Type is `Data Stream` or `Reference Data`")),
                }
            }
            "Format" => {
                is_csv = match word(value, "Format")?.as_str() {
                    "json" => false,
                    "csv" => true,
                    _ => return Err(value.problem("test-value", "Format is `Json` or `Csv`")),
                }
            }
            unknown => return Err(unknown_member(value, "an input", unknown)),
        }
    }
    let name = alias.ok_or_else(|| missing(node, "an input", "InputAlias"))?;
    let file = named_file(config, file.ok_or_else(|| missing(node, "an input", "FilePath"))?)?;
    let twin = test.inputs.iter().map(|s| &s.name).chain(test.references.iter().map(|t| &t.name));
    if twin.into_iter().any(|other| other.eq_ignore_ascii_case(&name)) {
        return Err(node.problem("test-member", format!("two inputs are named `{name}`")));
    }
    let text = find::read(&file)?;
    let document = Document::new(&file, &text);
    let records = if is_csv { csv(&document)? } else { Vec::new() };
    let nodes = if is_csv { Vec::new() } else { rows(&document)? };
    if is_reference {
        let read = nodes.into_iter().map(reference_row).collect::<Result<Vec<_>, _>>()?;
        test.references.push(Table { name, rows: read.into_iter().chain(records).collect() });
    } else {
        let read = nodes.into_iter().map(|node| match read_event(node.raw()) {
            Ok(record) => Payload::Event(Arc::new(record)),
            Err(_) => Payload::Malformed(node.raw().into()),
        });
        let payloads = read.chain(records.into_iter().map(Payload::Event));
        let events = payloads.map(|payload| Event { payload, arrival: None, partition: 0 }).collect();
        test.inputs.push(Stream { name, partitions: None, events });
    }
    Ok(())
}

/// An output, unless it is not required.
fn expected_output(config: &Path, node: Node<'_>) -> Result<Option<ExpectedOutput>, Problem> {
    let (mut alias, mut file, mut required, mut ignored) = (None, None, true, Vec::new());
    for (name, value) in node.object("an expected output")? {
        match name.as_str() {
            "OutputAlias" => alias = Some(value.text("OutputAlias")?),
            "FilePath" => file = Some(value),
            "Required" => required = value.flag("Required")?,
            "IgnoreFields" if value.is_null() => {}
            "IgnoreFields" => {
                let names = value.list("IgnoreFields")?;
                ignored = names.into_iter().map(|name| name.text("a field")).collect::<Result<_, _>>()?;
            }
            unknown => return Err(unknown_member(value, "an expected output", unknown)),
        }
    }
    let name = alias.ok_or_else(|| missing(node, "an expected output", "OutputAlias"))?;
    if !required {
        return Ok(None);
    }
    let file = named_file(config, file.ok_or_else(|| missing(node, "an expected output", "FilePath"))?)?;
    let text = find::read(&file)?;
    let document = Document::new(&file, &text);
    let rows = rows(&document)?.into_iter().map(expected_row).collect::<Result<_, _>>()?;
    Ok(Some(ExpectedOutput { name, file, rows, ignored }))
}

fn word(node: Node<'_>, what: &str) -> Result<String, Problem> {
    Ok(node.text(what)?.replace([' ', '_', '-'], "").to_ascii_lowercase())
}

fn named_file(config: &Path, node: Node<'_>) -> Result<PathBuf, Problem> {
    let named = node.text("FilePath")?;
    resolve(config, &named).ok_or_else(|| {
        node.problem("test-value", format!("there is no file `{named}`"))
            .help("`FilePath` is a path from the folder of this file, or the name of a file beside it")
    })
}

/// The rows of a file: JSON values one after the other, or a list of them.
fn rows<'a>(document: &'a Document<'a>) -> Result<Vec<Node<'a>>, Problem> {
    let mut rows = Vec::new();
    for root in document.roots()? {
        match root.raw().starts_with('[') {
            true => rows.extend(root.list("the file")?),
            false => rows.push(root),
        }
    }
    Ok(rows)
}

/// The rows of a CSV file: a header with the names, fields as text (rule 1.4).
fn csv(document: &Document<'_>) -> Result<Vec<Arc<Record>>, Problem> {
    let mut lines = csv_lines(document.text).into_iter();
    let Some(header) = lines.next() else { return Ok(Vec::new()) };
    let bad = |line: usize, message: String| {
        let start = document.text.split_inclusive('\n').take(line - 1).map(str::len).sum::<usize>();
        Problem::new("test-value", message).in_text(document.path, document.text, start..start + 1, "here")
    };
    let mut names: Vec<&str> = header.fields.iter().map(String::as_str).collect();
    names.sort_unstable();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(bad(1, format!("the header names `{}` twice (rule 1.4)", pair[0])));
    }
    let names: Vec<Arc<str>> = header.fields.iter().map(|name| name.as_str().into()).collect();
    lines
        .map(|line| {
            if line.fields.len() != names.len() {
                let message = format!("{} fields where the header has {}", line.fields.len(), names.len());
                return Err(bad(line.number, message));
            }
            let members =
                names.iter().cloned().zip(line.fields.iter().map(|field| Value::text(field.as_str())));
            Ok(Arc::new(members.collect()))
        })
        .collect()
}

/// A line of CSV; it may span several of the file.
struct CsvLine {
    number: usize,
    fields: Vec<String>,
}

/// Fields between commas, in quotes where they hold commas, line ends or quotes (doubled); empty lines are none.
fn csv_lines(text: &str) -> Vec<CsvLine> {
    let (mut lines, mut fields, mut field) = (Vec::new(), Vec::new(), String::new());
    let (mut quoted, mut number, mut begun) = (false, 1, 1);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        number += usize::from(c == '\n');
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => field.extend(chars.next()),
            '"' if quoted || field.is_empty() => quoted = !quoted,
            ',' if !quoted => fields.push(std::mem::take(&mut field)),
            '\r' if !quoted && chars.peek() == Some(&'\n') => {}
            '\n' if !quoted => {
                if !fields.is_empty() || !field.is_empty() {
                    fields.push(std::mem::take(&mut field));
                    lines.push(CsvLine { number: begun, fields: std::mem::take(&mut fields) });
                }
                begun = number;
            }
            c => field.push(c),
        }
    }
    if !fields.is_empty() || !field.is_empty() {
        fields.push(field);
        lines.push(CsvLine { number: begun, fields });
    }
    lines
}
