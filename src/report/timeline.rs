//! The timeline: what happened, one line per instant, at most twenty.
//!
//! Columns are the source with its faults, one per node that appears, and the output. Entries are
//! numbered as they stand in the case, from 1. Where there are too many lines, those are kept that matter:
//! faults, openings and the row that differs first, then other rows and entries, then saves and reads.

use std::collections::BTreeMap;

use rewindow_query::{Outcome, Payload, Row, Timestamp, Why};
use rewindow_world::journal::Journal;
use rewindow_world::outcome::{Step, What};

use super::Finding;
use super::words::{cell, clip, short};
use crate::judge::legs;

/// Most lines of the table, without its head.
const LINES_MAX: usize = 20;

/// What matters most has the lowest number.
#[derive(Default)]
struct Line {
    weight: u8,
    source: Vec<String>,
    nodes: BTreeMap<u32, Vec<String>>,
    output: Vec<String>,
}

/// The table.
pub(super) fn table(finding: &Finding<'_>) -> String {
    let mut lines: BTreeMap<Timestamp, Line> = BTreeMap::new();
    entries(finding, &mut lines);
    // Up to the job that broke, each by what it was.
    for leg in legs(finding.truth, finding.case, finding.run).iter().take(finding.breach.leg + 1) {
        let own = Finding { case: &leg.case, truth: &leg.truth, run: leg.run, ..*finding };
        let Ok(journal) = Journal::of(&leg.case, &leg.truth.plan) else { return String::new() };
        for step in &leg.run.trace {
            add(&own, &journal, step, &mut lines);
        }
    }
    // An expected row that never came has no step: it stands where the run ends.
    if let (Some(expected), None) = (&finding.breach.expected, &finding.breach.actual) {
        let end = lines.keys().last().copied().unwrap_or(finding.breach.at);
        line(&mut lines, end, 0).output.push(format!("expected **{}**, never came", short(expected)));
    }
    lines.retain(|_, line| !line.source.is_empty() || !line.nodes.is_empty() || !line.output.is_empty());
    write(&lines)
}

fn line(lines: &mut BTreeMap<Timestamp, Line>, at: Timestamp, weight: u8) -> &mut Line {
    let line = lines.entry(at).or_insert_with(|| Line { weight, ..Line::default() });
    line.weight = line.weight.min(weight);
    line
}

fn entries(finding: &Finding<'_>, lines: &mut BTreeMap<Timestamp, Line>) {
    for (index, entry) in finding.case.history.entries.iter().enumerate() {
        let what = match &entry.payload {
            Payload::Event(record) => clip(&record.to_string(), 70),
            Payload::Malformed(_) => "malformed".to_owned(),
            Payload::Estimate => "an estimate of the clock".to_owned(),
        };
        let input = finding.case.inputs.get(entry.input).filter(|_| finding.case.inputs.len() > 1);
        let input = input.map_or(String::new(), |input| format!(" of `{}`", input.name));
        line(lines, entry.arrival, 2).source.push(format!("entry {}{input} `{what}`", index + 1));
    }
}

fn add(finding: &Finding<'_>, journal: &Journal, step: &Step, lines: &mut BTreeMap<Timestamp, Line>) {
    let (weight, text) = match &step.what {
        What::Fault(text) => {
            line(lines, step.at, 0).source.push(format!("**{text}**"));
            return;
        }
        What::Forgot { input, partition, first } => {
            let until = first.checked_sub(1).and_then(|last| journal.original(*input, *partition, last));
            let until = until.map_or("estimates".to_owned(), |index| format!("entry {}", index + 1));
            line(lines, step.at, 1).source.push(format!("forgets up to {until}"));
            return;
        }
        What::Delivered(rows) => {
            rows.iter().for_each(|row| delivered(finding, step, row, lines));
            return;
        }
        What::Opened(why) => (u8::from(*why == Why::Fresh) * 3, opened(finding, step, *why)),
        What::Read { input, partition, first, next } => {
            let of = |offset| journal.original(*input, *partition, offset).map(|index| index + 1);
            let read: Vec<usize> = (*first..*next).filter_map(of).collect();
            if read.is_empty() {
                return;
            }
            (2, format!("reads {}", numbers(&read)))
        }
        What::Checkpoint { .. } => (1, "saves".to_owned()),
        What::Waits { .. } => (2, "waits for the sink".to_owned()),
        What::AckLost => (1, "acknowledgement lost".to_owned()),
        What::Skipped(rows) => (3, format!("{rows} skipped by the sink")),
        What::Committed { rows, .. } => (2, format!("{rows} committed")),
        What::Aborted(rows) => (1, format!("{rows} aborted")),
        What::Damaged(damage) => (0, format!("**its checkpoint is {}**", damage.name())),
        What::Sent { first, next, .. } if first == next => return,
        What::Sent { to, first, next, .. } => (3, format!("sends rows {first}..{next} to task {to}")),
        What::Received { first, next, .. } if first == next => return,
        What::Received { from, first, next } => (2, format!("takes rows {first}..{next} of task {from}")),
        What::HistoryGone { from, wanted } => (0, format!("**misses row {wanted} of task {from}**")),
        What::Resumed => (1, "goes on, unnoticed".to_owned()),
        What::CameBack => (0, "**comes back**, replaced".to_owned()),
        What::Fenced => (1, "is refused".to_owned()),
        What::Level => (3, "level".to_owned()),
        What::Finished => (3, "input ends".to_owned()),
        What::Panicked(message) => (0, format!("**panics**: {}", clip(message, 60))),
        What::Failed(message) => (0, format!("**fails**: {}", clip(message, 60))),
    };
    let shards = finding.truth.shards.len();
    let shard = match (step.task, step.shard.filter(|_| shards > 1)) {
        (Some(task), _) => format!("task {task} "),
        (None, Some(shard)) => format!("shard {shard} "),
        (None, None) => String::new(),
    };
    let line = line(lines, step.at, weight);
    line.nodes.entry(step.node.unwrap_or(0)).or_default().push(format!("{shard}{text}"));
}

fn opened(finding: &Finding<'_>, step: &Step, why: Why) -> String {
    if why == Why::Fresh {
        return "starts".to_owned();
    }
    let report = finding.run.recoveries.iter().find(|r| {
        let is_task = step.task.is_none_or(|task| r.task == task as usize);
        r.at == step.at && Some(r.shard) == step.shard && is_task
    });
    match report.map(|report| report.answer.outcome) {
        Some(Outcome::FromCheckpoint) => match report.and_then(|r| r.checkpoint.as_ref()) {
            Some(saved) => format!("**restores** what it saved at {}", time(saved.at)),
            None => "**restores** a checkpoint".to_owned(),
        },
        Some(Outcome::Replayed { from }) if from == Timestamp::MIN => "**replays** everything".to_owned(),
        Some(Outcome::Replayed { from }) => format!("**replays** from {}", time(from)),
        Some(Outcome::Fresh) | None => "**opens** with nothing".to_owned(),
    }
}

fn delivered(finding: &Finding<'_>, step: &Step, row: &Row, lines: &mut BTreeMap<Timestamp, Line>) {
    let breach = finding.breach;
    let is_it = breach.actual.as_ref() == Some(row);
    let text = match &breach.expected {
        Some(expected) if is_it && expected != row => {
            format!("expected {}, actual **{}**", short(expected), short(row))
        }
        _ if is_it => format!("**{}**", short(row)),
        _ => short(row),
    };
    line(lines, step.at, if is_it { 0 } else { 2 }).output.push(text);
}

/// `1, 2, 5 to 9`
fn numbers(sorted: &[usize]) -> String {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for &number in sorted {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => runs.push((number, number)),
        }
    }
    let run = |&(first, last): &(usize, usize)| match last - first {
        0 => first.to_string(),
        1 => format!("{first}, {last}"),
        _ => format!("{first} to {last}"),
    };
    runs.iter().map(run).collect::<Vec<_>>().join(", ")
}

/// The time of day, with as much fraction as there is.
fn time(at: Timestamp) -> String {
    let text = at.to_string();
    let clock = text.split_once('T').map_or(text.as_str(), |(_, clock)| clock);
    clock.trim_end_matches('Z').trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn write(lines: &BTreeMap<Timestamp, Line>) -> String {
    let mut kept: Vec<(&Timestamp, &Line)> = lines.iter().collect();
    let left_out = kept.len().saturating_sub(LINES_MAX);
    if left_out > 0 {
        kept.sort_by_key(|(at, line)| (line.weight, **at));
        kept.truncate(LINES_MAX - 1);
        kept.sort_by_key(|(at, _)| **at);
    }
    let mut nodes: Vec<u32> = kept.iter().flat_map(|(_, line)| line.nodes.keys().copied()).collect();
    nodes.sort_unstable();
    nodes.dedup();
    let mut rows = vec![
        ["when".to_owned(), "source, faults".to_owned()]
            .into_iter()
            .chain(nodes.iter().map(|node| format!("node {node}")))
            .chain(["output".to_owned()])
            .collect::<Vec<_>>(),
        vec!["---".to_owned(); nodes.len() + 3],
    ];
    let mut day = String::new();
    for (at, line) in kept {
        let text = at.to_string();
        let today = text.split_once('T').map_or("", |(today, _)| today).to_owned();
        let when = if today == day { time(*at) } else { format!("{today} {}", time(*at)) };
        day = today;
        let of_node = |node: &u32| several(line.nodes.get(node).map_or(&[][..], Vec::as_slice));
        rows.push(
            [when, several(&line.source)]
                .into_iter()
                .chain(nodes.iter().map(of_node))
                .chain([several(&line.output)])
                .collect(),
        );
    }
    if left_out > 0 {
        let mut row = vec![String::new(); nodes.len() + 3];
        row[1] = format!("… and {} more instants", left_out + 1);
        rows.push(row);
    }
    rows.iter().map(|row| format!("| {} |", row.join(" | "))).collect::<Vec<_>>().join("\n")
}

/// Several things at one instant: the first few, and how many more.
fn several(things: &[String]) -> String {
    const MOST: usize = 4;
    let mut text = things.iter().take(MOST).map(|thing| cell(thing)).collect::<Vec<_>>().join("; ");
    if things.len() > MOST {
        text.push_str(&format!("; and {} more", things.len() - MOST));
    }
    text
}
