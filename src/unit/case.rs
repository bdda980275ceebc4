//! Case files: one JSON object, as `tests/conformance/README.md` says.
//!
//! Reads text and says precisely what is wrong with it; runs nothing. Invariant: nothing of a file is passed
//! over in silence, so that no setting is lost to a typo.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rewindow_query::json::read_event;
use rewindow_query::{Level, Ordering, Payload, Policy, Reason, Span, Timestamp};
use serde_json::Value as Json;

use super::text::{Document, Node};
use super::{Drop, Event, Expected, ExpectedOutput, ExpectedRow, Stream, Table, Test, Tolerance};
use crate::errors::Problem;
use crate::job::log::PARTITIONS_MAX;

/// What an event may carry besides its payload.
const EVENT_MEMBERS: &[&str] = &["@arrival", "@partition", "@raw"];
const SETTINGS: &[&str] = &[
    "out_of_order_tolerance",
    "late_arrival_tolerance",
    "policy",
    "compatibility_level",
    "partitions",
    "start",
];
/// Words for people; nothing depends on them.
const REMARKS: &[&str] =
    &["source", "derived", "reasoning", "notes", "note", "comment", "description", "ambiguity"];
const REASONS: [Reason; 6] = [
    Reason::Early,
    Reason::Late,
    Reason::OutOfOrder,
    Reason::Timestamp,
    Reason::TimestampKey,
    Reason::Deserialization,
];

/// Reads the text of a case file.
///
/// # Errors
/// All that can be wrong with it, in the first place where something is.
pub fn read(path: &Path, text: &str) -> Result<Test, Problem> {
    let document = Document::new(path, text);
    let root = document.root()?;
    let mut test = blank(path);
    let mut rows = Vec::new();
    let mut error = None;
    let mut has_query = false;
    let members = root.object("a case")?;
    for (name, node) in &members {
        match name.as_str() {
            "name" => test.name = node.text("name")?,
            "feature" => test.feature = node.text("feature")?,
            "query" => {
                test.query = node.text("query")?.into();
                has_query = true;
            }
            "inputs" => test.inputs = streams(*node)?,
            "reference_inputs" => test.references = tables(*node)?,
            "settings" => {} // after the streams, which it speaks of
            "expected" => rows = outputs(*node, path)?,
            "expected_error" if node.is_null() => {}
            "expected_error" => error = Some(expected_error(*node)?),
            "expected_drops" if node.is_null() => {}
            "expected_drops" => test.drops = Some(drops(*node)?),
            "compare_until" if node.is_null() => {}
            "compare_until" => test.until = Some(instant(*node, "compare_until")?),
            "tolerance" if node.is_null() => {}
            "tolerance" => test.tolerance = tolerance(*node)?,
            "unordered" => test.unordered = node.flag("unordered")?,
            known if REMARKS.contains(&known) => {}
            unknown => return Err(unknown_member(*node, "a case", unknown)),
        }
    }
    if let Some((_, node)) = members.iter().find(|(name, _)| name == "settings") {
        settings(*node, &mut test)?;
    }
    if !has_query {
        return Err(missing(root, "a case", "query").help("`query` is the text that is tested"));
    }
    let says = |member: &str| members.iter().any(|(name, node)| name == member && !node.is_null());
    if !says("expected") && error.is_none() {
        let problem = missing(root, "a case", "expected");
        return Err(problem.help("`expected` gives the rows of each output, or `expected_error` the failure"));
    }
    test.expected = match error {
        None => Expected::Rows(rows),
        Some((Phase::Compile, code)) => Expected::Refused(code),
        // A failing job owes the rows before the failure; a case that lists none does not ask for them.
        Some((Phase::Runtime, _)) => {
            Expected::Fails(rows.into_iter().filter(|output| !output.rows.is_empty()).collect())
        }
    };
    check_drops(&test, root)?;
    Ok(test)
}

/// A test of which nothing is known but its file; settings are the service's own (rule 3.5).
pub(super) fn blank(path: &Path) -> Test {
    let mut place = path.as_os_str().to_owned();
    place.push(", query");
    Test {
        name: path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned()),
        feature: String::new(),
        file: path.to_owned(),
        query: "".into(),
        query_place: PathBuf::from(place),
        inputs: Vec::new(),
        references: Vec::new(),
        ordering: Ordering { late: Span::seconds(5), out_of_order: Span::ZERO, policy: Policy::Adjust },
        level: Level::default(),
        start: None,
        expected: Expected::Rows(Vec::new()),
        drops: None,
        until: None,
        tolerance: Tolerance::Relative,
        unordered: false,
    }
}

// ---- what goes in ---------------------------------------------------------------------------------------

fn streams(node: Node<'_>) -> Result<Vec<Stream>, Problem> {
    let mut streams: Vec<Stream> = Vec::new();
    for (name, rows) in node.object("inputs")? {
        if streams.iter().any(|other| other.name.eq_ignore_ascii_case(&name)) {
            return Err(rows.problem_of_name("test-member", format!("two inputs are named `{name}`")));
        }
        let events = rows.list(&format!("inputs.{name}"))?;
        let events = events.into_iter().map(event).collect::<Result<_, _>>()?;
        streams.push(Stream { name, partitions: None, events });
    }
    Ok(streams)
}

/// An event; the payload is read from the text as it is written, without the members that are not its own.
fn event(node: Node<'_>) -> Result<Event, Problem> {
    let mut event = Event { payload: Payload::Malformed("".into()), arrival: None, partition: 0 };
    let (mut raw, mut plain) = (None, String::from("{"));
    for (name, value) in node.object("an event")? {
        match name.as_str() {
            "@arrival" if value.is_null() => {}
            "@arrival" => event.arrival = Some(instant(value, "@arrival")?),
            "@partition" => {
                let number = value.whole("@partition")?;
                event.partition =
                    u32::try_from(number).ok().filter(|n| *n < PARTITIONS_MAX).ok_or_else(|| {
                        value.problem(
                            "test-value",
                            format!("partitions are numbered 0 to {}", PARTITIONS_MAX - 1),
                        )
                    })?;
            }
            "@raw" => raw = Some(value.text("@raw")?),
            other if other.starts_with('@') => {
                let problem =
                    value.problem_of_name("test-member", format!("an event has no member `{other}`"));
                return Err(problem.help(format!("members with @ are {}", EVENT_MEMBERS.join(", "))));
            }
            other => {
                let comma = if plain.len() > 1 { "," } else { "" };
                plain.push_str(&format!("{comma}{}:{}", Json::from(other), value.raw()));
            }
        }
    }
    let text = raw.unwrap_or(plain + "}");
    event.payload = match read_event(&text) {
        Ok(record) => Payload::Event(Arc::new(record)),
        Err(_) => Payload::Malformed(text.into()),
    };
    Ok(event)
}

fn tables(node: Node<'_>) -> Result<Vec<Table>, Problem> {
    let mut tables: Vec<Table> = Vec::new();
    for (name, rows) in node.object("reference_inputs")? {
        if tables.iter().any(|other| other.name.eq_ignore_ascii_case(&name)) {
            return Err(
                rows.problem_of_name("test-member", format!("two reference inputs are named `{name}`"))
            );
        }
        let rows = rows.list(&format!("reference_inputs.{name}"))?;
        let rows = rows.into_iter().map(reference_row).collect::<Result<_, _>>()?;
        tables.push(Table { name, rows });
    }
    Ok(tables)
}

pub(super) fn reference_row(node: Node<'_>) -> Result<Arc<rewindow_query::Record>, Problem> {
    let bad = |why: String| node.problem("test-value", format!("a row of reference data: {why}"));
    read_event(node.raw()).map(Arc::new).map_err(bad)
}

fn settings(node: Node<'_>, test: &mut Test) -> Result<(), Problem> {
    for (name, value) in node.object("settings")? {
        match name.as_str() {
            "out_of_order_tolerance" => test.ordering.out_of_order = span(value, &name)?,
            "late_arrival_tolerance" => test.ordering.late = span(value, &name)?,
            "policy" => {
                test.ordering.policy = match value.text("policy")?.to_ascii_lowercase().as_str() {
                    "adjust" => Policy::Adjust,
                    "drop" => Policy::Drop,
                    _ => return Err(value.problem("test-value", "policy is `adjust` or `drop` (rule 3.4)")),
                };
            }
            "compatibility_level" => test.level = compatibility_level(value)?,
            "partitions" => partitions(value, test)?,
            "start" if value.is_null() => {}
            "start" => test.start = Some(start(value)?),
            unknown => {
                let problem =
                    value.problem_of_name("test-member", format!("there is no setting `{unknown}`"));
                return Err(problem.help(format!("settings are {}", SETTINGS.join(", "))));
            }
        }
    }
    Ok(())
}

fn span(node: Node<'_>, name: &str) -> Result<Span, Problem> {
    let text = node.text(name)?;
    let span = Span::parse(&text).filter(|span| (Span::ZERO..=Span::LATE_MAX).contains(span));
    span.ok_or_else(|| {
        let message = format!("{name} must be a time of up to 20 days (rule 3.5)");
        node.problem("test-value", message).help("it is written [d.]hh:mm:ss, such as 00:00:05")
    })
}

fn compatibility_level(node: Node<'_>) -> Result<Level, Problem> {
    Level::parse(node.raw().trim_matches('"')).ok_or_else(|| {
        let names = Level::ALL.map(Level::name).join(", ");
        node.problem("test-value", format!("compatibility levels are {names} (section 15)"))
    })
}

fn partitions(node: Node<'_>, test: &mut Test) -> Result<(), Problem> {
    for (name, value) in node.object("partitions")? {
        let count = value.whole(&format!("partitions.{name}"))?;
        let count = u32::try_from(count).ok().filter(|count| (1..=PARTITIONS_MAX).contains(count));
        let count = count.ok_or_else(|| {
            value.problem("test-value", format!("an input has 1 to {PARTITIONS_MAX} partitions"))
        })?;
        let stream = test.inputs.iter_mut().find(|stream| stream.name.eq_ignore_ascii_case(&name));
        let stream = stream.ok_or_else(|| {
            value.problem_of_name("test-member", format!("there is no input named `{name}`"))
        })?;
        if let Some(event) = stream.events.iter().find(|event| event.partition >= count) {
            let message = format!("an event of `{name}` is in partition {}", event.partition);
            return Err(value.problem("test-value", message));
        }
        stream.partitions = Some(count);
    }
    Ok(())
}

/// The ways to start (rule 12.2) in words, and as the service's own interface names them.
const START_MODES: [&str; 8] = [
    "now",
    "custom",
    "custom time",
    "last stopped",
    "when last stopped",
    "jobstarttime",
    "customtime",
    "lastoutputeventtime",
];

/// Whatever the mode, a test has no clock: the time is stated.
fn start(node: Node<'_>) -> Result<Timestamp, Problem> {
    let mut time = None;
    for (name, value) in node.object("start")? {
        match name.as_str() {
            "mode" => {
                let mode = value.text("mode")?.to_ascii_lowercase().replace(['_', '-'], " ");
                if !START_MODES.contains(&mode.as_str()) {
                    let message = format!("there is no start mode `{mode}` (rule 12.2)");
                    return Err(value.problem("test-value", message).help(
                        "custom, now or when_last_stopped; or JobStartTime, CustomTime, LastOutputEventTime",
                    ));
                }
            }
            "time" => time = Some(instant(value, "start.time")?),
            unknown => return Err(unknown_member(value, "start", unknown)),
        }
    }
    time.ok_or_else(|| {
        missing(node, "start", "time").help("`time` is the time of the first output (rule 12.1)")
    })
}

// ---- what comes out -------------------------------------------------------------------------------------

fn outputs(node: Node<'_>, path: &Path) -> Result<Vec<ExpectedOutput>, Problem> {
    if node.is_null() {
        return Ok(Vec::new());
    }
    let mut outputs = Vec::new();
    for (name, rows) in node.object("expected")? {
        let rows = rows.list(&format!("expected.{name}"))?;
        let rows = rows.into_iter().map(expected_row).collect::<Result<_, _>>()?;
        outputs.push(ExpectedOutput { name, file: path.to_owned(), rows, ignored: Vec::new() });
    }
    Ok(outputs)
}

pub(super) fn expected_row(node: Node<'_>) -> Result<ExpectedRow, Problem> {
    match node.json()? {
        Json::Object(columns) => Ok(ExpectedRow { columns, line: node.line() }),
        _ => Err(node.problem("test-value", "an expected row must be an object")),
    }
}

enum Phase {
    Compile,
    Runtime,
}

fn expected_error(node: Node<'_>) -> Result<(Phase, Option<String>), Problem> {
    let (mut phase, mut code) = (None, None);
    for (name, value) in node.object("expected_error")? {
        match name.as_str() {
            "phase" => {
                phase = Some(match value.text("phase")?.as_str() {
                    "compile" => Phase::Compile,
                    "runtime" => Phase::Runtime,
                    _ => return Err(value.problem("test-value", "phase is `compile` or `runtime`")),
                });
            }
            "code" => code = Some(error_code(value)?),
            "about" | "rule" => {} // words for people
            unknown => return Err(unknown_member(value, "expected_error", unknown)),
        }
    }
    let phase =
        phase.ok_or_else(|| missing(node, "expected_error", "phase").help("`compile` or `runtime`"))?;
    Ok((phase, code))
}

fn error_code(node: Node<'_>) -> Result<String, Problem> {
    let code = node.text("code")?;
    if rewindow_query::codes::ALL.iter().any(|(known, _)| *known == code) {
        return Ok(code);
    }
    Err(node.problem("test-value", format!("no query is refused as `{code}`")))
}

fn drops(node: Node<'_>) -> Result<Vec<Drop>, Problem> {
    let mut drops = Vec::new();
    for item in node.list("expected_drops")? {
        let (mut stream, mut row, mut reason) = (None, None, None);
        for (name, value) in item.object("a drop")? {
            match name.as_str() {
                "stream" => stream = Some(value.text("stream")?),
                "row" => row = Some(usize::try_from(value.whole("row")?).unwrap_or(usize::MAX)),
                "reason" => {
                    let word = value.text("reason")?;
                    let known = REASONS.into_iter().find(|reason| reason.name() == word);
                    let names = REASONS.map(Reason::name).join(", ");
                    let problem = || value.problem("test-value", format!("there is no reason `{word}`"));
                    reason = Some(known.ok_or_else(|| problem().help(format!("reasons are {names}")))?);
                }
                unknown => return Err(unknown_member(value, "a drop", unknown)),
            }
        }
        drops.push(Drop {
            stream: stream.ok_or_else(|| missing(item, "a drop", "stream"))?,
            row: row.ok_or_else(|| missing(item, "a drop", "row"))?,
            reason: reason.ok_or_else(|| missing(item, "a drop", "reason"))?,
        });
    }
    Ok(drops)
}

/// A drop names an event there is.
fn check_drops(test: &Test, root: Node<'_>) -> Result<(), Problem> {
    for drop in test.drops.iter().flatten() {
        let stream = test.inputs.iter().find(|stream| stream.name == drop.stream);
        if stream.is_none_or(|stream| drop.row >= stream.events.len()) {
            let message = format!("expected_drops: `{}` has no row {}", drop.stream, drop.row);
            return Err(root.problem("test-value", message).help("rows are numbered from 0"));
        }
    }
    Ok(())
}

fn tolerance(node: Node<'_>) -> Result<Tolerance, Problem> {
    match node.number("tolerance")? {
        distance if distance >= 0.0 => Ok(Tolerance::Absolute(distance)),
        _ => Err(node.problem("test-value", "tolerance must not be negative")),
    }
}

fn instant(node: Node<'_>, what: &str) -> Result<Timestamp, Problem> {
    let text = node.text(what)?;
    Timestamp::parse(&text).ok_or_else(|| {
        let message = format!("{what} must be an instant in ISO 8601 form");
        node.problem("test-value", message).help("such as 2024-03-05T12:00:00Z")
    })
}

pub(super) fn unknown_member(node: Node<'_>, what: &str, name: &str) -> Problem {
    let message = format!("{what} has no member `{name}`");
    let help = "what is not known is refused, so that nothing is lost to a typo";
    node.problem_of_name("test-member", message).help(help)
}

pub(super) fn missing(node: Node<'_>, what: &str, name: &str) -> Problem {
    node.problem("test-missing", format!("{what} lacks `{name}`"))
}
