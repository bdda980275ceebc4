//! A verdict as text: expected beside actual, with the place in the file that expects it.
//!
//! Pure text, the same on every machine. Invariant: no line is wider than [`WIDTH`], and what is left out is said.

use rewindow_query::Timestamp;
use serde_json::{Map, Value as Json};

use super::compare::{Difference, Wanted};
use super::play::Way;
use super::{Expected, Finding, Test, Verdict};
use crate::text::{WIDTH, clip, count, table, wrap};

/// Differences shown of each finding.
const SHOWN: usize = 5;
/// Columns of a row shown.
const COLUMNS: usize = 40;

/// What came of a test that did not pass: one line on it, and the rest.
pub fn failure(verdict: &Verdict) -> Option<(String, String)> {
    match verdict {
        Verdict::Passed => None,
        Verdict::Refused(problem) => {
            Some((format!("the query is refused: {}", problem.message), problem.render(false)))
        }
        Verdict::NotRefused(words) => {
            let line = format!("the query must be refused; {words}");
            Some((line.clone(), wrap(&format!("  {line}"), WIDTH, 2) + "\n"))
        }
        Verdict::Differs { findings, alike } => {
            let first = findings.first().and_then(|finding| finding.differences.first()).map(difference_text);
            let first = first.unwrap_or_default();
            let line = first.lines().next().unwrap_or_default().trim();
            let line = if *alike { line.to_owned() } else { format!("{}: {line}", whose(findings)) };
            Some((line, text(findings, *alike)))
        }
    }
}

/// Who is wrong if not all ways are alike.
fn whose(findings: &[Finding]) -> &'static str {
    let faults = findings.iter().flat_map(|f| &f.differences).any(|d| matches!(d, Difference::Fault(_)));
    let by_model = findings.iter().any(|finding| finding.ways.contains(&Way::Model));
    match (faults, by_model) {
        (true, _) => "a bug of rewindow, which stopped by itself",
        (false, true) => "a bug of rewindow: model and engine differ",
        (false, false) => "a bug of rewindow: the model's rows are those expected, the engine's are not",
    }
}

fn text(findings: &[Finding], alike: bool) -> String {
    let head =
        if alike { "model and engine agree with each other, and not with the test" } else { whose(findings) };
    let mut text = wrap(&format!("  {head}"), WIDTH, 2) + "\n";
    for finding in findings {
        if !alike {
            let ways: Vec<String> = finding.ways.iter().map(ToString::to_string).collect();
            text.push_str(&(wrap(&format!("  {}:", ways.join("; ")), WIDTH, 4) + "\n"));
        }
        for difference in finding.differences.iter().take(SHOWN) {
            text.push_str(&difference_text(difference));
        }
        let more = finding.differences.iter().skip(SHOWN).map(size).sum();
        if more > 0 {
            text.push_str(&format!("    … and {}\n", count(more, "difference")));
        }
    }
    text
}

/// How many differences it stands for.
fn size(difference: &Difference) -> u64 {
    match difference {
        Difference::More { expected, actual, .. } => (*expected).max(*actual) as u64,
        _ => 1,
    }
}

fn difference_text(difference: &Difference) -> String {
    let line = |words: String| wrap(&format!("    {words}"), WIDTH, 6) + "\n";
    match difference {
        Difference::Fault(words) => line(words.clone()),
        Difference::Fails { at, message } => line(format!("the job fails at {at}: {message}")),
        Difference::DoesNotFail => line("the job must fail and does not".to_owned()),
        Difference::NoOutput { name, known } => {
            line(format!("the query has no output `{name}`; it writes to {}", known.join(", ")))
        }
        Difference::Order { output, expected, came } => {
            let words = format!(
                "`{output}`: row {} ({}) came as row {came}: the rows are those expected, in another order",
                expected.number,
                place(expected)
            );
            line(words) + &one_row("expected", &expected.columns)
        }
        Difference::More { output, expected, actual } => {
            let (expected, actual) = (count(*expected as u64, "row"), count(*actual as u64, "row"));
            line(format!("`{output}`: {expected} more expected, {actual} more came"))
        }
        Difference::Drop { event, expected } => {
            let (stream, row, reason) = (&event.stream, event.row, event.reason.name());
            line(match expected {
                true => format!("row {row} of `{stream}` must be dropped as {reason} and is not"),
                false => format!("row {row} of `{stream}` is dropped as {reason} and must not be"),
            })
        }
        Difference::Row { output, expected: Some(expected), actual: Some((at, actual)), apart } => {
            let head =
                format!("`{output}`: row {} ({}) is another, stamped {at}", expected.number, place(expected));
            line(head) + &two_rows(&expected.columns, actual, apart)
        }
        Difference::Row { output, expected: Some(expected), actual: None, .. } => {
            line(format!("`{output}`: row {} ({}) did not come", expected.number, place(expected)))
                + &one_row("expected", &expected.columns)
        }
        Difference::Row { output, expected: None, actual, .. } => {
            let (at, actual) = actual.clone().unwrap_or((Timestamp::MIN, Map::new()));
            line(format!("`{output}`: a row that is not expected, stamped {at}"))
                + &one_row("actual", &actual)
        }
    }
}

fn place(expected: &Wanted) -> String {
    format!("{}:{}", expected.file.display(), expected.line)
}

/// Expected beside actual, a line for each column, `≠` where they differ.
fn two_rows(expected: &Map<String, Json>, actual: &Map<String, Json>, apart: &[String]) -> String {
    let names: Vec<&String> =
        expected.keys().chain(actual.keys().filter(|name| !expected.contains_key(*name))).collect();
    let cell = |row: &Map<String, Json>, name: &str| match row.get(name) {
        None => "(missing)".to_owned(),
        Some(value) => value.to_string(),
    };
    let differs = |name: &str| apart.iter().any(|other| other == name);
    // Columns that differ come first where there is no room for all.
    let (apart, alike): (Vec<&String>, Vec<&String>) = names.iter().partition(|name| differs(name));
    let shown: Vec<&String> = match names.len() > COLUMNS {
        true => apart.into_iter().chain(alike).take(COLUMNS).collect(),
        false => names.clone(),
    };
    let room = (WIDTH - 40) / 2;
    let mut rows = vec![vec![String::new(), String::new(), "expected".to_owned(), "actual".to_owned()]];
    for name in &shown {
        let mark = if differs(name) { "≠" } else { "" };
        let (left, right) = around(&cell(expected, name), &cell(actual, name), room);
        rows.push(vec![mark.to_owned(), clip(name, 24), left, right]);
    }
    let mut text = table(&rows, &[], 6, 2);
    if names.len() > shown.len() {
        text.push_str(&format!("      … and {}\n", count((names.len() - shown.len()) as u64, "column")));
    }
    text
}

/// Two values cut to the room there is, so that where they begin to differ is seen.
fn around(a: &str, b: &str, room: usize) -> (String, String) {
    let common = a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count();
    let skip =
        if a.chars().count().max(b.chars().count()) <= room { 0 } else { common.saturating_sub(room / 2) };
    let cut = |text: &str| {
        let rest: String = text.chars().skip(skip).collect();
        clip(&if skip > 0 { format!("…{rest}") } else { rest }, room)
    };
    (cut(a), cut(b))
}

fn one_row(head: &str, row: &Map<String, Json>) -> String {
    let text = Json::Object(row.clone()).to_string();
    format!("      {head:<8}  {}\n", clip(&text, WIDTH - 16))
}

/// What a test expects, in a few words, for a list.
pub fn summary(test: &Test) -> String {
    let rows = |outputs: &[super::ExpectedOutput]| {
        let rows = outputs.iter().map(|output| output.rows.len() as u64).sum();
        count(rows, "row")
    };
    let events = test.inputs.iter().map(|stream| stream.events.len() as u64).sum();
    let events = count(events, "event");
    match &test.expected {
        Expected::Rows(outputs) => format!("{events}, {}", rows(outputs)),
        Expected::Fails(_) => format!("{events}, the job fails"),
        Expected::Refused(_) => "the query is refused".to_owned(),
    }
}
