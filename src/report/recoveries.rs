//! The report of every recovery of a run: what was used, what was read again, how long it took, what is lost.
//!
//! The service of the articles shows none of this. Values for machines, explained in `docs/world.md`, and the same in
//! words. Knows nothing of verdicts. Invariant: one report for each opening after the first, in order of virtual time.

use rewindow_engine::Role;
use rewindow_query::{Gap, Outcome, Span, Timestamp};
use rewindow_world::case::Case;
use rewindow_world::outcome::{RecoveryReport, Run};
use serde::Serialize;
use serde_json::{Value as Json, json as object};

use super::words::instant;
use crate::judge::{Leg, Truth, legs};
use crate::plan_page::{duration, exact};
use crate::text::{WIDTH, count, wrap};

/// What a recovery came to.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Recovery {
    /// When it began.
    pub at: String,
    /// On which node.
    pub node: u32,
    /// Which shard.
    pub shard: usize,
    /// Which task of the job; shards that are one task are numbered alike.
    pub task: usize,
    /// What that does for its shard: `whole`, `merge`, `{"keyed": 3}` with its number among the keyed tasks, or
    /// `{"partition": {"input": NAME, "partition": 0}}`.
    pub role: Json,
    /// The outputs of the shard, by name.
    pub outputs: Vec<String>,
    /// The generation of the shard that began.
    pub generation: u32,
    /// Which version of the service ran it from then on: how many were installed before.
    pub version: u32,
    /// The fault, by name.
    pub fault: &'static str,
    /// Where its state came from, as the subject said.
    pub outcome: Json,
    /// Rows stamped at or after this were wanted, `tick N` behind the year 9999; `None` wants all.
    pub output_from: Option<String>,
    /// When the checkpoint it went on from was saved, and its frontier; `None` if none was used.
    pub checkpoint: Option<Json>,
    /// How far back on the arrival axis it read: to the checkpoint, or to the start of the replay; `None` if
    /// to the beginning, or if the replay starts at an arrival still to come.
    pub span_ticks: Option<i64>,
    /// How far back the rows of the shard can see.
    pub lookback_ticks: i64,
    /// How long before the newest entry had come that the source had forgotten: of what came later it had all. `None` if
    /// it had forgotten nothing.
    pub kept_ticks: Option<i64>,
    /// When that entry came.
    pub lost_until: Option<String>,
    /// Entries read again.
    pub backlog: u64,
    /// Catch-up by the formula.
    pub estimated_ticks: i64,
    /// Catch-up as it was; `None` if something else came first.
    pub actual_ticks: Option<i64>,
    /// How many times slower its node was meanwhile, at most. Only if that is more than 1, or it stood still, it may
    /// have taken longer than estimated.
    pub slowness: u64,
    /// For how long it stood still meanwhile, because its node hung and nobody noticed.
    pub stood_ticks: i64,
    /// Intervals of rows it announced as incomplete.
    pub gaps: Vec<Json>,
}

/// The recoveries of a run, and of the jobs that took the place of its own.
pub fn recoveries(truth: &Truth, case: &Case, run: &Run) -> Vec<Recovery> {
    let of = |leg: Leg<'_>| -> Vec<Recovery> {
        leg.run.recoveries.iter().map(|report| recovery(&leg.truth, report)).collect()
    };
    legs(truth, case, run).into_iter().flat_map(of).collect()
}

fn recovery(truth: &Truth, report: &RecoveryReport) -> Recovery {
    let used = report.checkpoint.as_ref().filter(|_| report.answer.outcome == Outcome::FromCheckpoint);
    let outcome = match report.answer.outcome {
        Outcome::Fresh => object!("fresh"),
        Outcome::FromCheckpoint => object!("checkpoint"),
        Outcome::Replayed { from } => object!({ "replayed": from.to_string() }),
    };
    let gap = |gap: &Gap| object!({ "from": gap.from.to_string(), "until": gap.until.to_string() });
    Recovery {
        at: report.at.to_string(),
        node: report.node,
        shard: report.shard,
        task: report.task,
        role: role_json(truth, report.role),
        outputs: outputs(truth, report),
        generation: report.generation,
        version: report.version,
        fault: report.fault,
        outcome,
        output_from: begins(report.output_from).then(|| report.output_from.to_string()),
        checkpoint: used.map(|saved| {
            let frontier = saved.frontier.is_calendar().then(|| saved.frontier.to_string());
            object!({ "at": saved.at.to_string(), "frontier": frontier })
        }),
        span_ticks: span(report).map(|span| span.0),
        lookback_ticks: lookback(truth, report).0,
        kept_ticks: lost_until(report).map(|newest| report.at.since(newest).0),
        lost_until: lost_until(report).map(|newest| newest.to_string()),
        backlog: report.backlog,
        estimated_ticks: report.estimated.0,
        actual_ticks: report.actual.map(|actual| actual.0),
        slowness: report.slowness,
        stood_ticks: report.stood.0,
        gaps: report.answer.gaps.iter().map(gap).collect(),
    }
}

fn role_json(truth: &Truth, role: Role) -> Json {
    match role {
        Role::Whole => object!("whole"),
        Role::Partition { input, partition } => {
            object!({ "partition": { "input": input_name(truth, input), "partition": partition } })
        }
        Role::Keyed { index } => object!({ "keyed": index }),
        Role::Merge => object!("merge"),
    }
}

fn input_name(truth: &Truth, input: usize) -> String {
    truth.plan.inputs.get(input).map_or(String::new(), |input| input.name.to_string())
}

/// The part of the job that was opened: a shard, or what one of its tasks does where they are joined by links.
fn part(truth: &Truth, report: &RecoveryReport) -> String {
    let shard = report.shard;
    match report.role {
        Role::Whole => format!("shard {shard}"),
        Role::Partition { input, partition } => {
            format!("shard {shard}, partition {partition} of `{}`", input_name(truth, input))
        }
        Role::Keyed { index } => format!("shard {shard}, keyed task {index}"),
        Role::Merge => format!("shard {shard}, merge task"),
    }
}

/// What made a catch-up take longer than its estimate.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct HeldUp {
    /// The node was slow.
    pub slow: bool,
    /// For how long it stood still.
    pub stood: Span,
}

impl HeldUp {
    /// Of a recovery.
    pub fn of(report: &RecoveryReport) -> HeldUp {
        HeldUp { slow: report.slowness > 1, stood: report.stood }
    }

    /// To be put behind what it took: `, the node was slow`; nothing if nothing held it up.
    pub fn words(self) -> String {
        match (self.slow, self.stood) {
            (false, Span::ZERO) => String::new(),
            (true, Span::ZERO) => ", the node was slow".to_owned(),
            (false, stood) => format!(", the node stood still for {}", duration(stood)),
            (true, stood) => format!(", the node was slow and stood still for {}", duration(stood)),
        }
    }
}

/// Whether something that begins there leaves out anything at all.
fn begins(at: Timestamp) -> bool {
    at >= Timestamp(0)
}

fn outputs(truth: &Truth, report: &RecoveryReport) -> Vec<String> {
    let outputs = truth.shards.get(report.shard).map_or(&[][..], |shard| &shard.outputs);
    outputs.iter().map(|&output| truth.plan.outputs[output].name.to_string()).collect()
}

fn lookback(truth: &Truth, report: &RecoveryReport) -> Span {
    let outputs = truth.shards.get(report.shard).map_or(&[][..], |shard| &shard.outputs);
    outputs.iter().map(|&output| truth.plan.lookback(output)).max().unwrap_or(Span::ZERO)
}

/// How far back it read, on the arrival axis.
fn span(report: &RecoveryReport) -> Option<Span> {
    match (report.answer.outcome, &report.checkpoint) {
        (Outcome::FromCheckpoint, Some(saved)) => Some(report.at.since(saved.at)),
        (Outcome::Replayed { from }, _) if begins(from) && from <= report.at => Some(report.at.since(from)),
        _ => None,
    }
}

/// When the newest entry arrived that the source had forgotten, of any partition.
fn lost_until(report: &RecoveryReport) -> Option<Timestamp> {
    report.retained.values().filter_map(|kept| kept.lost_until).max()
}

/// The recoveries in words, a paragraph each.
pub fn recoveries_text(truth: &Truth, case: &Case, run: &Run) -> String {
    let legs = legs(truth, case, run);
    let reports = legs.iter().flat_map(|leg| leg.run.recoveries.iter().map(move |report| (leg, report)));
    let paragraphs = (1..)
        .zip(reports)
        .map(|(number, (leg, report))| paragraph(number, &leg.truth, report, HeldUp::of(report)));
    let paragraphs: Vec<String> = paragraphs.collect();
    if paragraphs.is_empty() {
        return "no recovery: nothing had to be opened again\n".to_owned();
    }
    paragraphs.join("\n")
}

fn paragraph(number: usize, truth: &Truth, report: &RecoveryReport, held_up: HeldUp) -> String {
    let entries = count(report.backlog, "entry");
    let (state, read) = match (report.answer.outcome, &report.checkpoint, span(report)) {
        (Outcome::FromCheckpoint, Some(saved), Some(span)) => (
            format!("from the checkpoint of {}, {} before", instant(saved.at), duration(span)),
            format!("{entries} that came since"),
        ),
        (Outcome::FromCheckpoint, ..) => ("from a checkpoint that nobody has".to_owned(), entries),
        (Outcome::Replayed { from }, _, Some(span)) => (
            "none: by replay alone".to_owned(),
            format!("{entries} that came since {}, {} before", instant(from), duration(span)),
        ),
        (Outcome::Replayed { from }, ..) if from > report.at => {
            let ahead = duration(from.since(report.at));
            (
                "none: by replay alone".to_owned(),
                format!("{entries} that come from {} on, {ahead} ahead", instant(from)),
            )
        }
        (Outcome::Replayed { .. }, ..) => {
            ("none: by replay alone".to_owned(), format!("{entries}, from the beginning"))
        }
        (Outcome::Fresh, ..) => ("none, and it says none was needed".to_owned(), entries),
    };
    let kept = match lost_until(report) {
        None => ("kept", "the source has everything there ever was".to_owned()),
        Some(newest) => {
            let before = duration(report.at.since(newest));
            (
                "forgotten",
                format!("by the source, entries up to that of {}, {before} before", instant(newest)),
            )
        }
    };
    let level = match report.actual {
        None => "never: something else came first".to_owned(),
        Some(actual) if actual == report.estimated => format!("after {}, as estimated", duration(actual)),
        Some(actual) => {
            format!("after {}, estimated {}{}", duration(actual), duration(report.estimated), held_up.words())
        }
    };
    let gap = |gap: &Gap| match begins(gap.from) {
        true => format!("rows from {} up to {} may be incomplete", instant(gap.from), instant(gap.until)),
        false => format!("rows up to {} may be incomplete", instant(gap.until)),
    };
    let gaps: Vec<String> = report.answer.gaps.iter().map(gap).collect();
    let needed = match begins(report.output_from) {
        true => format!("rows from {} on", instant(report.output_from)),
        false => "all rows".to_owned(),
    };
    let head = format!(
        "{number:>3}  {}  {}: `{}` ({}) opened again on node {}",
        instant(report.at),
        report.fault,
        outputs(truth, report).join("`, `"),
        part(truth, report),
        report.node
    );
    let lines = [
        ("wanted", format!("{needed}, which look back {}", exact(lookback(truth, report)))),
        ("state", state),
        ("read again", read),
        kept,
        ("level", level),
        ("gaps", if gaps.is_empty() { "none".to_owned() } else { gaps.join("; ") }),
    ];
    let mut text = wrap(&head, WIDTH, 5);
    for (label, words) in lines {
        text.push('\n');
        text.push_str(&wrap(&format!("     {label:<11} {words}"), WIDTH, 17));
    }
    text.push('\n');
    text
}
