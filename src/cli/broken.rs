//! The screen of a case that breaks: what, when, expected and actual, how small, what to do next.
//!
//! Short by design; the report holds the rest, and the timeline here is the report's, told line by line.
//! Invariant: no line is wider than the screen, and no figure of wall-clock time is shown.

use std::path::Path;

use rewindow::judge::Breach;
use rewindow::report::{Finding, markdown, title};
use rewindow::text::{WIDTH, clip, count, wrap};
use rewindow_query::Row;

/// Most lines of the timeline.
const LINES_MAX: usize = 12;

pub(super) fn screen(finding: &Finding<'_>, report: Option<&Path>) -> String {
    let mut screen = String::from("\n");
    let mut line = |text: String| {
        screen.push_str(&text);
        screen.push('\n');
    };
    let case = finding.origin.case.map_or(String::new(), |number| format!(", schedule {number}"));
    line(wrap(&format!("broken  {}{case}", title(finding.breach)), WIDTH, 8));
    line(String::new());
    let report_text = markdown(finding);
    let table: Vec<&str> = report_text.lines().filter(|l| l.starts_with("| ")).collect();
    timeline(&table).into_iter().for_each(&mut line);
    line(String::new());
    let mut part = |label: &str, text: &str| {
        line(wrap(&format!("  {label:<9} {}", bare(text)), WIDTH, 12));
    };
    rows(finding.breach).iter().for_each(|(label, text)| part(label, text));
    let state = report_text.lines().find(|l| l.starts_with("First difference in state"));
    if let Some((_, words)) = state.and_then(|l| l.split_once(": ")) {
        part("state", &format!("first differs right after the restore: {words}"));
    }
    if let Some(shrinking) = finding.shrinking {
        let (before, after) = (shrinking.before, shrinking.after);
        let less = |from: u64, to: u64, thing: &str| format!("{} → {to}", count(from, thing));
        let sizes = [
            less(before.entries as u64, after.entries as u64, "entry"),
            less(before.faults as u64, after.faults as u64, "fault"),
            less(before.partitions.into(), after.partitions.into(), "partition"),
            less(before.nodes.into(), after.nodes.into(), "node"),
        ];
        let minimal = if shrinking.minimal { "; nothing can be left out" } else { "" };
        part("shrunk", &format!("{}, in {}{minimal}", sizes.join(", "), count(shrinking.tries, "try")));
    }
    if let Some(report) = report {
        line(format!("  report    {}", report.display()));
    }
    // Where the report could not be written, there is nothing to replay.
    if !finding.replay.is_empty() {
        line(format!("  replay    {}", finding.replay));
    }
    screen
}

/// Expected beside actual, one above the other, and the rest in words.
fn rows(breach: &Breach) -> Vec<(&'static str, String)> {
    let say = |row: &Option<Row>, none: &str| match row {
        Some(row) => clip(&row.record.to_string(), 160),
        None => none.to_owned(),
    };
    let mut rows = vec![("at", breach.at.to_string())];
    if breach.expected.is_some() || breach.actual.is_some() {
        rows.push(("expected", say(&breach.expected, "no such row")));
        rows.push(("actual", say(&breach.actual, "the row never came")));
    }
    if !breach.message.is_empty() {
        rows.push(("because", clip(&breach.message, 240)));
    }
    rows
}

/// The rows of the report's table as lines: when, then what happened where.
fn timeline(table: &[&str]) -> Vec<String> {
    let cells = |row: &str| -> Vec<String> {
        row.trim_matches('|').split(" | ").map(|cell| bare(cell.trim())).collect()
    };
    let Some((head, rows)) = table.split_first() else { return Vec::new() };
    let names = cells(head);
    let rows = rows.get(1..).unwrap_or_default();
    let mut lines = Vec::new();
    // Where there is no room for all, what only saves is left out first, then the middle.
    let quiet = |row: &&&str| cells(row).iter().skip(1).all(|cell| cell.is_empty() || is_quiet(cell));
    let loud: Vec<&&str> = rows.iter().filter(|row| rows.len() <= LINES_MAX || !quiet(row)).collect();
    let shown = loud.len().min(LINES_MAX);
    let (head_lines, tail) = (shown.div_ceil(2), shown / 2);
    let kept = loud[..head_lines].iter().chain(&loud[loud.len() - tail..]);
    for row in kept {
        let row = cells(row);
        let said = row.iter().enumerate().skip(1).filter(|(_, cell)| !cell.is_empty());
        let said: Vec<String> = said
            .map(|(column, cell)| match names.get(column) {
                Some(name) if name.starts_with("node") => format!("{name} {cell}"),
                Some(name) if name == "output" => format!("row {cell}"),
                _ => cell.clone(),
            })
            .collect();
        let when = row.first().map_or("", String::as_str);
        lines.push(wrap(&format!("  {:<22} {}", when, clip(&said.join(" · "), 220)), WIDTH, 25));
    }
    if rows.len() > shown {
        lines.push(format!("  … {} in the report", count((rows.len() - shown) as u64, "more instant")));
    }
    lines
}

/// Whether a node only saves or reads at an instant.
fn is_quiet(cell: &str) -> bool {
    cell.split("; ").all(|what| {
        what.ends_with("saves")
            || what.contains("reads ")
            || what.ends_with("level")
            || what.starts_with("and ")
    })
}

/// Text without the marks of Markdown.
fn bare(text: &str) -> String {
    text.replace("**", "").replace("\\|", "|").replace('`', "")
}
