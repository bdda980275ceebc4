//! What happened in a run as people would tell it, a line for each thing that matters to them.
//!
//! Knows nothing of what should have happened. Invariant: equal runs are told alike.

use std::collections::{BTreeMap, BTreeSet};

use rewindow_engine::{Layout, Role};
use rewindow_query::{Outcome, Row, Span, Timestamp, Value};
use rewindow_world::outcome::{RecoveryReport, Run, What};

/// Hours, minutes and seconds.
fn clock(at: Timestamp) -> String {
    at.to_string().get(11..19).expect("an instant has a time of day").to_owned()
}

/// Hours and minutes, and seconds if there are any.
fn short(at: Timestamp) -> String {
    let clock = clock(at);
    clock.strip_suffix(":00").unwrap_or(&clock).to_owned()
}

/// `row of 00:05: a, 5`, said to be a copy if it was written before.
fn row(row: &Row, seen: &mut BTreeSet<String>) -> String {
    let columns = row.record.members().iter().map(|(_, value)| match value {
        Value::Text(text) => text.to_string(),
        value => value.to_string(),
    });
    let columns: Vec<String> = columns.collect();
    let place = row.partition.map_or_else(String::new, |partition| format!(" in partition {partition}"));
    let text = format!("row of {}{place}: {}", short(row.timestamp), columns.join(", "));
    if seen.insert(format!("{:?}", row.identity())) { text } else { format!("{text} (again)") }
}

fn role(role: Role) -> String {
    match role {
        Role::Whole => "job".to_owned(),
        Role::Partition { partition, .. } => format!("partition {partition}"),
        Role::Keyed { index } => format!("keyed {index}"),
        Role::Merge => "merge".to_owned(),
    }
}

fn opened(report: &RecoveryReport) -> String {
    let mut text = format!("node {} opens {}, {}: ", report.node, role(report.role), report.fault);
    match report.answer.outcome {
        Outcome::Fresh => text.push_str("from the beginning"),
        Outcome::FromCheckpoint => {
            let saved = report.checkpoint.as_ref().map(|record| short(record.at)).unwrap_or_default();
            text.push_str(&format!("from the checkpoint of {saved}"));
        }
        Outcome::Replayed { from } => text.push_str(&format!("replays from {}", short(from))),
    }
    for (&(_, partition), &next) in &report.answer.positions {
        let end = report.retained.get(&(0, partition)).map_or(next, |kept| kept.next);
        text.push_str(&format!(", reads {partition}:{next}..{end}"));
    }
    for gap in &report.answer.gaps {
        text.push_str(&format!(", may lack something {}..{}", short(gap.from), short(gap.until)));
    }
    if let Some(actual) = report.actual.filter(|&actual| actual > Span::ZERO) {
        text.push_str(&format!(", level {actual} later"));
    }
    if report.slowness > 1 || report.stood > Span::ZERO { text + " (slow)" } else { text }
}

/// What happened, line by line. Of a job in tasks saves are left out, and of rows on links all but those sent again.
pub(crate) fn story(run: &Run, layout: &Layout) -> Vec<String> {
    let mut lines: Vec<(Timestamp, String)> = Vec::new();
    let mut seen = BTreeSet::new();
    let mut reports = run.recoveries.iter().peekable();
    let mut harm = false;
    let mut sent: BTreeMap<(u32, usize), u64> = BTreeMap::new();
    for step in &run.trace {
        let harmed = std::mem::replace(&mut harm, matches!(step.what, What::Damaged(_)));
        let node = || step.node.map_or_else(String::new, |node| format!("node {node} "));
        let text = match &step.what {
            What::Fault(text) => text.clone(),
            What::Opened(_) => {
                let Some(report) = reports.next_if(|report| report.at == step.at) else { continue };
                opened(report)
            }
            What::Delivered(rows) => {
                lines.extend(rows.iter().map(|r| (step.at, row(r, &mut seen))));
                continue;
            }
            What::Checkpoint { .. } if step.task.is_none() && !harmed => format!("{}saves", node()),
            &What::Sent { to, first, next, .. } => {
                let from = step.task.expect("only tasks with links send");
                let before = sent.insert((from, to), next).unwrap_or(0);
                if first >= before || first == next {
                    continue;
                }
                let name = |task: usize| role(layout.tasks[task].role);
                format!("{} sends {} rows {first}..{next} again", name(from as usize), name(to))
            }
            What::Damaged(damage) => format!("{}saves: {}", node(), damage.name()),
            What::CameBack => format!("{}comes back, and has been replaced", node()),
            What::Resumed => format!("{}goes on", node()),
            What::Fenced => format!("{}is refused", node()),
            What::Committed { number, rows } => format!("transaction {number} committed: {rows} rows"),
            What::Aborted(rows) => format!("given up: {rows} rows"),
            What::Skipped(rows) => format!("{rows} rows skipped"),
            What::Waits { .. } => "a write waits".to_owned(),
            What::AckLost => "a write is not acknowledged".to_owned(),
            What::HistoryGone { .. } => format!("{}wants rows that are gone", node()),
            What::Failed(why) => format!("{}failed: {why}", node()),
            What::Panicked(why) => format!("panicked: {why}"),
            _ => continue,
        };
        lines.push((step.at, text));
    }
    let mut told: Vec<String> = Vec::new();
    for (at, text) in lines {
        let line = format!("{} {text}", clock(at));
        // What is tried again and again is told once.
        if told.last().is_none_or(|last| last.get(9..) != Some(&text[..])) {
            told.push(line);
        }
    }
    told
}
