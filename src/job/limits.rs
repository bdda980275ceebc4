//! What of a job.toml lies outside its limits, where the types do not say it.
//!
//! Numbers, spans and names to flaws with the key they stand under, so that the page can point at it. Reads nothing.
//! Invariant: what has no flaw here is refused by no check of a case for a number or a span of its own.

use rewindow_query::{Ordering, Span};
use rewindow_world::case::Deployment;
use rewindow_world::check::{INPUTS_MAX, NODES_MAX, RATE_MAX, RETENTION_SIZE_MAX, SPAN_MAX};
use rewindow_world::regions::{DELAY_MAX, check_sink};

use super::page::{Flaw, JobFile, delimiter_flaw};
use super::vary::RegionsFile;
use super::{InputFile, log};

/// What to do about a number or a span out of bounds.
const BOUNDS: &str = "docs/job.md has the bounds of every key";

/// What is wrong with ordering, deployment, and what varies.
pub(super) fn settings(file: &JobFile) -> Vec<Flaw> {
    let mut flaws = Vec::new();
    flaws.extend(ordering(&file.ordering));
    flaws.extend(deployment(&file.deployment));
    if file.vary.cases == 0 {
        flaws.push(Flaw::new(&["vary", "cases"], "cases must be more than none", "cases = 2000"));
    }
    flaws.extend(file.regions.as_ref().and_then(regions));
    if file.regions.is_some() {
        flaws.extend(
            check_sink(file.deployment.sink).err().map(|error| {
                Flaw::new(&["deployment", "sink"], error.message, error.hint.unwrap_or_default())
            }),
        );
    }
    for (key, count) in [("inputs", file.inputs.len()), ("references", file.references.len())] {
        if count > INPUTS_MAX {
            let message = format!("{count} {key}; {INPUTS_MAX} is the most");
            flaws.push(Flaw::new(&[key], message, "leave out what the query does not read"));
        }
    }
    if file.inputs.is_empty() {
        flaws.push(Flaw::new(&["inputs"], "a job has at least one input", "add an [[inputs]] table"));
    }
    flaws
}

fn ordering(ordering: &Ordering) -> Option<Flaw> {
    let Ordering { late, out_of_order, .. } = *ordering;
    let within = |span: Span| span >= Span::ZERO && span <= Span::LATE_MAX;
    if !within(late) {
        let message = format!("late is {late}; it can be up to 20 days (rule 3.5)");
        return Some(Flaw::new(&["ordering", "late"], message, "late = \"5 s\" is the service's default"));
    }
    (!within(out_of_order)).then(|| {
        let message = format!("out_of_order is {out_of_order}; it can be up to 20 days");
        let help = "out_of_order = \"0 s\" is the service's default";
        Flaw::new(&["ordering", "out_of_order"], message, help)
    })
}

fn deployment(d: &Deployment) -> Option<Flaw> {
    let numbers = [
        ("nodes", u64::from(d.nodes), 1, u64::from(NODES_MAX)),
        ("keyed", u64::from(d.keyed), 0, u64::from(NODES_MAX)),
        ("batch", u64::from(d.batch), 1, u64::from(u32::MAX)),
        ("rate", d.rate, 1, RATE_MAX),
        ("retention_size", d.retention_size.unwrap_or(1), 1, RETENTION_SIZE_MAX),
    ];
    for (key, value, least, most) in numbers {
        if !(least..=most).contains(&value) {
            let message = if value > most {
                format!("{key} is {value}; {most} is the most")
            } else {
                format!("{key} is {value}; {least} is the least, {most} the most")
            };
            return Some(Flaw::new(&["deployment", key], message, BOUNDS));
        }
    }
    let spans = [
        ("checkpoint_interval", d.checkpoint_interval),
        ("poll_interval", d.poll_interval),
        ("heartbeat", d.heartbeat),
        ("retention", d.retention.unwrap_or(Span::TICK)),
    ];
    if let Some((key, _)) = spans.iter().find(|(_, span)| *span == Span::ZERO) {
        let message = format!("{key} is 0 s; it can be more than that, up to {SPAN_MAX}");
        return Some(Flaw::new(&["deployment", key], message, BOUNDS));
    }
    let spans = spans.into_iter().chain([("link_delay", d.link_delay)]);
    spans.into_iter().find_map(|(key, span)| span_flaw(&["deployment", key], span, SPAN_MAX))
}

/// A span that is less than nothing, or too long.
fn span_flaw(path: &[&str], span: Span, most: Span) -> Option<Flaw> {
    if (Span::ZERO..=most).contains(&span) {
        return None;
    }
    // A place in a list has a number, the key in front of it the name.
    let key = path.iter().rev().find(|key| key.parse::<usize>().is_err()).unwrap_or(&"");
    let message = format!("{key} is {span}; it can be up to {most}");
    Some(Flaw::new(path, message, BOUNDS))
}

fn regions(regions: &RegionsFile) -> Option<Flaw> {
    if regions.cases == 0 {
        let help = "cases = 200; without [regions] the job is in one region";
        return Some(Flaw::new(&["regions", "cases"], "cases must be more than none", help));
    }
    let [first, second] = &regions.names;
    if first.is_empty() || second.is_empty() || first == second {
        let message = format!("the regions are named `{first}` and `{second}`");
        let help = "names = [\"east\", \"west\"]: each has a name, and no other has it";
        return Some(Flaw::new(&["regions", "names"], message, help));
    }
    let delays = regions.delays.iter().flatten().zip(["0", "1"]);
    let mut delays = delays.filter_map(|(span, at)| span_flaw(&["regions", "delays", at], *span, DELAY_MAX));
    if let Some(flaw) = delays.next() {
        return Some(flaw);
    }
    if regions.soak == Some(Span::ZERO) {
        return Some(Flaw::new(&["regions", "soak"], "soak must be more than nothing", "soak = \"30 min\""));
    }
    let spans = [("soak", regions.soak), ("lag", regions.lag)];
    spans.into_iter().find_map(|(key, span)| span_flaw(&["regions", key], span?, SPAN_MAX))
}

/// What is wrong with an input, behind those.
pub(super) fn input_flaw(input: &InputFile, before: &[InputFile]) -> Option<Flaw> {
    if before.iter().any(|i| i.name.eq_ignore_ascii_case(&input.name)) {
        return Some(Flaw::new(&["name"], format!("two inputs are named `{}`", input.name), "names differ"));
    }
    if input.paths.is_empty() {
        return Some(Flaw::new(&["paths"], "an input has at least one file", "paths = [\"a.jsonl\"]"));
    }
    if let Some(delimiter) = &input.delimiter
        && let Some(flaw) = delimiter_flaw(delimiter)
    {
        return Some(flaw);
    }
    if !(1..=log::PARTITIONS_MAX).contains(&input.partitions) {
        let message = format!("an input has 1 to {} partitions", log::PARTITIONS_MAX);
        return Some(Flaw::new(&["partitions"], message, "partitions = 1 needs no partition_by"));
    }
    if input.partition_by.as_ref().is_some_and(String::is_empty) {
        let help =
            "partition_by = \"column\" spreads by that column's value; leave it out with one partition";
        return Some(Flaw::new(&["partition_by"], "partition_by names no column", help));
    }
    (input.partitions > 1 && input.partition_by.is_none()).then(|| {
        let message = "with several partitions something must decide which one an event goes to";
        Flaw::new(&["partitions"], message, "partition_by = \"column\" spreads by that column's value")
    })
}
