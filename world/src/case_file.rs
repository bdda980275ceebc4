//! Cases as TOML text: what is committed under `tests/cases` and stands in the fenced block of a report.
//!
//! ```toml
//! format = 1
//! name = "two events"
//! query = '''
//! SELECT COUNT(*) AS n INTO counts FROM Feed TIMESTAMP BY t GROUP BY TumblingWindow(hour, 1)
//! '''
//! inputs = [
//!   { name = "Feed", partitions = 1 },
//! ]
//! ordering = { late = "00:00:05", out_of_order = "00:00:00", policy = "adjust" }
//! deployment.nodes = 1
//! deployment.checkpoint_interval = "00:05:00"
//! deployment.poll_interval = "00:01:00"
//! deployment.batch = 100
//! deployment.rate = 1000
//! deployment.retention = "1.00:00:00"
//! deployment.heartbeat = "00:10:00"
//! faults = [
//!   { at = "2018-01-31T02:17:10Z", kind = "node-kill", node = 0, down = "00:00:30" },
//! ]
//! events = [
//!   { in = "Feed", p = 0, at = "2018-01-31T02:14:00Z", data = '{"t":"2018-01-31T02:13:58Z"}' },
//!   { in = "Feed", p = 0, at = "2018-01-31T02:15:00Z", malformed = '{"t":' },
//!   { in = "Feed", p = 0, at = "2018-01-31T02:16:00Z", estimate = true },
//! ]
//! ```
//!
//! The format number is the first line, so that a reader of another age can refuse the rest unseen.
//! Offsets are implied by order. It does not look into the query. Invariant: what [`Case::to_toml`]
//! writes, [`Case::from_toml`] reads back as an equal case, if the case passes [`Case::check`] and its
//! events hold only what JSON can say (no datetime values, no member twice).

use std::fmt::Write;
use std::ops::Range;
use std::sync::Arc;

use rewindow_query::time::span_to_clock;
use rewindow_query::{Entry, History, Level, Ordering, Payload, Policy, Span, Timestamp, json};
use serde::Deserialize;
use toml::Spanned;

use crate::case::{
    Case, CaseInput, Damage, Deployment, FORMAT, Fault, FaultKind, LinkTrouble, SinkKind, StartMode,
};
use crate::check::{Before, ENTRIES_MAX, FAULTS_MAX, INPUTS_MAX};
use crate::error::{CaseError, in_words};
use crate::language::{self, Datediff, Language, ScriptText};
use crate::reference_file::{self, ReferenceText};

/// Most bytes of a case file that are looked at.
pub const BYTES_MAX: usize = 64 << 20;

impl Case {
    /// Reads a case file.
    ///
    /// # Errors
    /// Text that is too long (`case-bound`), of another format (`case-format`), no TOML or not of this
    /// shape (`case-syntax`), or a case that [`Case::check`] refuses; with the place in the text where
    /// there is one.
    pub fn from_toml(text: &str) -> Result<Case, CaseError> {
        if text.len() > BYTES_MAX {
            let found = format!("{} bytes", text.len());
            return Err(CaseError::new("case-bound", found).hint(format!("at most {BYTES_MAX}")));
        }
        check_format(text)?;
        let file: File = toml::from_str(text).map_err(|error| syntax(text, &error))?;
        file.into_case(text)
    }

    /// Writes the case as a file of format [`FORMAT`].
    pub fn to_toml(&self) -> String {
        let mut out = String::new();
        self.write(&mut out).expect("a String takes all that is written");
        out
    }
}

// ---- reading ----------------------------------------------------------------------------------------

/// The first line that says anything must be `format = N`, with an N this program knows.
fn check_format(text: &str) -> Result<(), CaseError> {
    let mut byte = 0;
    for line in text.split_inclusive('\n') {
        let said = line.trim_start_matches('\u{feff}').split('#').next().unwrap_or_default().trim();
        if said.is_empty() {
            byte += line.len();
            continue;
        }
        let number = said.strip_prefix("format").map(str::trim_start).and_then(|rest| rest.strip_prefix('='));
        return match number.map(|number| number.trim().parse::<u32>()) {
            Some(Ok(FORMAT)) => Ok(()),
            Some(Ok(other)) => {
                Err(CaseError::new("case-format", format!("this is a case of format {other}"))
                    .hint(format!("this program reads format {FORMAT}; use the version that wrote it"))
                    .at(text, byte))
            }
            _ => Err(no_format().at(text, byte)),
        };
    }
    Err(no_format().at(text, 0))
}

fn no_format() -> CaseError {
    CaseError::new("case-format", "a case begins with the number of its format")
        .hint(format!("write `format = {FORMAT}` on the first line"))
}

pub(crate) fn syntax(text: &str, error: &toml::de::Error) -> CaseError {
    let found = CaseError::new("case-syntax", in_words(error.message()));
    match error.span() {
        Some(span) => found.at(text, span.start),
        None => found,
    }
}

/// Puts an error of a setting, which begins with its key, where that stands.
fn at_setting(text: &str, error: CaseError) -> CaseError {
    let key = error.message.split(' ').next().unwrap_or_default().to_owned();
    error.at_key(text, &["deployment", &key]).at_key(text, &["ordering", &key])
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "format")]
    _format: u32,
    name: String,
    query: String,
    #[serde(default)]
    compatibility: Level,
    #[serde(default)]
    datediff: Datediff,
    #[serde(default)]
    functions: Vec<ScriptText>,
    inputs: Vec<Spanned<InputText>>,
    #[serde(default)]
    references: Vec<Spanned<ReferenceText>>,
    ordering: Ordering,
    deployment: Deployment,
    faults: Vec<Spanned<FaultText>>,
    #[serde(default)]
    turns: Vec<u32>,
    events: Vec<Spanned<EventText>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InputText {
    name: String,
    partitions: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EventText {
    #[serde(rename = "in")]
    input: String,
    p: u32,
    at: Timestamp,
    data: Option<String>,
    malformed: Option<String>,
    estimate: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FaultText {
    at: Timestamp,
    kind: String,
    node: Option<u32>,
    down: Option<Span>,
    readable: Option<bool>,
    stopped: Option<Span>,
    start: Option<String>,
    query: Option<String>,
    partitions: Option<u32>,
    keep: Option<Span>,
    span: Option<Span>,
    noticed: Option<Span>,
    back: Option<Span>,
    times: Option<u32>,
    nodes: Option<u32>,
    during: Option<Span>,
    damage: Option<String>,
    packets: Option<String>,
    by: Option<Span>,
}

impl File {
    fn into_case(self, text: &str) -> Result<Case, CaseError> {
        let bound = [("inputs", self.inputs.len(), INPUTS_MAX), ("faults", self.faults.len(), FAULTS_MAX)];
        for (what, found, most) in bound.into_iter().chain([("events", self.events.len(), ENTRIES_MAX)]) {
            if found > most {
                let error = CaseError::new("case-bound", format!("{found} {what}"));
                return Err(error.hint(format!("at most {most}")));
            }
        }
        let (mut references, mut tables) = (Vec::new(), Vec::new());
        for reference in self.references {
            let Range { start, .. } = reference.span();
            let (name, table) = reference.into_inner().read().map_err(|error| error.at(text, start))?;
            references.push(name);
            tables.push(table);
        }
        // Part by part, each checked beside those in front of it, so that what is wrong is said where it stands.
        let mut case = Case {
            name: self.name,
            query: self.query.into(),
            language: Language {
                level: self.compatibility,
                datediff: self.datediff,
                scripts: self.functions.into_iter().map(ScriptText::into_script).collect(),
            },
            inputs: Vec::with_capacity(self.inputs.len()),
            references,
            ordering: self.ordering,
            deployment: self.deployment,
            history: Arc::new(History { entries: Vec::new(), references: tables.into() }),
            faults: Vec::with_capacity(self.faults.len()),
            turns: self.turns,
        };
        for input in self.inputs {
            let Range { start, .. } = input.span();
            let InputText { name, partitions } = input.into_inner();
            case.inputs.push(CaseInput { name, partitions });
            case.check_inputs().map_err(|error| error.at(text, start))?;
        }
        case.check().map_err(|error| at_setting(text, error))?;
        let mut before = Before::all(case.deployment.nodes);
        for fault in self.faults {
            let Range { start, .. } = fault.span();
            let fault = fault.into_inner().into_fault().map_err(|error| error.at(text, start))?;
            fault.check(&mut before).map_err(|error| error.at(text, start))?;
            case.faults.push(fault);
        }
        let places: Vec<usize> = self.events.iter().map(|event| event.span().start).collect();
        let mut reader = Reader { inputs: &case.inputs, next: vec![Vec::new(); case.inputs.len()] };
        let mut entries = Vec::with_capacity(self.events.len());
        for event in self.events {
            let Range { start, .. } = event.span();
            entries.push(reader.entry(event.into_inner()).map_err(|error| error.at(text, start))?);
        }
        case.history = Arc::new(History { entries, references: case.history.references.clone() });
        for (verdict, &place) in case.check_entries().zip(&places) {
            verdict.map_err(|error| error.at(text, place))?;
        }
        case.check()?;
        Ok(case)
    }
}

/// Gives events their inputs and offsets.
struct Reader<'a> {
    inputs: &'a [CaseInput],
    /// Next offsets by input, for (partition, next) seen so far; partitions are checked later.
    next: Vec<Vec<(u32, u64)>>,
}

impl Reader<'_> {
    fn entry(&mut self, event: EventText) -> Result<Entry, CaseError> {
        let Some(input) = self.inputs.iter().position(|own| own.name.eq_ignore_ascii_case(&event.input))
        else {
            let error = CaseError::new("case-entry", format!("there is no input `{}`", event.input));
            return Err(error.hint("declare it in `inputs`"));
        };
        let payload = match (event.data, event.malformed, event.estimate) {
            (Some(data), None, None) => {
                let record = json::read_event(&data).map_err(|reason| {
                    CaseError::new("case-entry", format!("`data` is no event: {reason}"))
                        .hint("an event meant to be unreadable is written `malformed = '…'`")
                })?;
                Payload::Event(Arc::new(record))
            }
            (None, Some(malformed), None) => Payload::Malformed(malformed.into()),
            (None, None, Some(true)) => Payload::Estimate,
            _ => {
                let error = CaseError::new("case-entry", "what the entry carries is not clear");
                return Err(error.hint("write one of `data`, `malformed`, `estimate = true`"));
            }
        };
        Ok(Entry {
            input,
            partition: event.p,
            offset: self.offset(input, event.p),
            arrival: event.at,
            payload,
        })
    }

    fn offset(&mut self, input: usize, partition: u32) -> u64 {
        let known = &mut self.next[input];
        match known.binary_search_by_key(&partition, |&(partition, _)| partition) {
            Ok(index) => {
                known[index].1 += 1;
                known[index].1 - 1
            }
            Err(index) => {
                known.insert(index, (partition, 1));
                0
            }
        }
    }
}

impl FaultText {
    pub(crate) fn into_fault(mut self) -> Result<Fault, CaseError> {
        let kind = std::mem::take(&mut self.kind);
        let made = match kind.as_str() {
            "node-kill" => FaultKind::NodeKill {
                node: need(self.node.take(), "node")?,
                down: need(self.down.take(), "down")?,
            },
            "os-upgrade" => FaultKind::OsUpgrade { down: need(self.down.take(), "down")? },
            "service-upgrade" => FaultKind::ServiceUpgrade {
                readable: need(self.readable.take(), "readable")?,
                down: need(self.down.take(), "down")?,
            },
            "restart" if self.query.is_some() || self.partitions.is_some() => FaultKind::JobChange {
                stopped: need(self.stopped.take(), "stopped")?,
                start: read_start(&need(self.start.take(), "start")?)?,
                query: self.query.take().map(Arc::from),
                partitions: self.partitions.take(),
            },
            "restart" => FaultKind::UserRestart {
                stopped: need(self.stopped.take(), "stopped")?,
                start: read_start(&need(self.start.take(), "start")?)?,
            },
            "retention-cut" => FaultKind::RetentionCut { keep: need(self.keep.take(), "keep")? },
            "sink-unavailable" => FaultKind::SinkUnavailable { span: need(self.span.take(), "span")? },
            "sink-ack-lost" => FaultKind::SinkAckLost,
            "hang" => FaultKind::Hang {
                node: need(self.node.take(), "node")?,
                noticed: need(self.noticed.take(), "noticed")?,
                back: need(self.back.take(), "back")?,
            },
            "slow" => FaultKind::Slow {
                node: need(self.node.take(), "node")?,
                times: need(self.times.take(), "times")?,
                during: need(self.during.take(), "during")?,
            },
            "rolling-upgrade" => FaultKind::RollingUpgrade { down: need(self.down.take(), "down")? },
            "rollback" => FaultKind::Rollback { down: need(self.down.take(), "down")? },
            "scale" => FaultKind::Scale {
                nodes: need(self.nodes.take(), "nodes")?,
                down: need(self.down.take(), "down")?,
            },
            "checkpoint" => FaultKind::Checkpoint {
                node: need(self.node.take(), "node")?,
                damage: read_damage(&need(self.damage.take(), "damage")?)?,
            },
            "link" => FaultKind::Link {
                node: need(self.node.take(), "node")?,
                trouble: read_trouble(&need(self.packets.take(), "packets")?, need(self.by.take(), "by")?)?,
                during: need(self.during.take(), "during")?,
            },
            other => {
                let error = CaseError::new("case-fault", format!("there is no fault `{other}`"));
                return Err(error.hint(
                    "node-kill, os-upgrade, service-upgrade, restart, retention-cut, hang, slow, rolling-upgrade, \
                     rollback, scale, checkpoint, link, sink-unavailable, sink-ack-lost",
                ));
            }
        };
        let left = [
            ("node", self.node.is_some()),
            ("down", self.down.is_some()),
            ("readable", self.readable.is_some()),
            ("stopped", self.stopped.is_some()),
            ("start", self.start.is_some()),
            ("query", self.query.is_some()),
            ("partitions", self.partitions.is_some()),
            ("keep", self.keep.is_some()),
            ("span", self.span.is_some()),
            ("noticed", self.noticed.is_some()),
            ("back", self.back.is_some()),
            ("times", self.times.is_some()),
            ("nodes", self.nodes.is_some()),
            ("during", self.during.is_some()),
            ("damage", self.damage.is_some()),
            ("packets", self.packets.is_some()),
            ("by", self.by.is_some()),
        ];
        match left.into_iter().find(|&(_, is)| is) {
            Some((name, _)) => Err(CaseError::new("case-fault", format!("a {kind} has no `{name}`"))),
            None => Ok(Fault { at: self.at, kind: made }),
        }
    }
}

fn need<T>(value: Option<T>, name: &str) -> Result<T, CaseError> {
    value.ok_or_else(|| CaseError::new("case-fault", format!("`{name}` is missing")))
}

fn read_damage(text: &str) -> Result<Damage, CaseError> {
    Damage::ALL.into_iter().find(|damage| damage.name() == text).ok_or_else(|| {
        let error = CaseError::new("case-fault", format!("there is no damage `{text}`"));
        error.hint(Damage::ALL.map(Damage::name).join(", "))
    })
}

fn read_trouble(text: &str, by: Span) -> Result<LinkTrouble, CaseError> {
    let all = [LinkTrouble::Delay(by), LinkTrouble::Twice(by), LinkTrouble::Swap(by)];
    all.into_iter().find(|trouble| trouble.parts().0 == text).ok_or_else(|| {
        let error = CaseError::new("case-fault", format!("`{text}` is nothing that happens to packets"));
        error.hint("delay, twice, swap")
    })
}

fn read_start(text: &str) -> Result<StartMode, CaseError> {
    match text {
        "now" => Ok(StartMode::Now),
        "last-stopped" => Ok(StartMode::WhenLastStopped),
        time => Timestamp::parse(time).map(StartMode::Custom).ok_or_else(|| {
            CaseError::new("case-fault", format!("`{time}` is no start"))
                .hint("now, last-stopped, or an ISO 8601 instant")
        }),
    }
}

// ---- writing ----------------------------------------------------------------------------------------

impl Case {
    fn write(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "format = {FORMAT}")?;
        writeln!(out, "name = {}", quoted(&self.name))?;
        writeln!(out, "query = {}", block(&self.query))?;
        language::write(out, &self.language)?;
        writeln!(out, "inputs = [")?;
        for input in &self.inputs {
            writeln!(out, "  {{ name = {}, partitions = {} }},", quoted(&input.name), input.partitions)?;
        }
        writeln!(out, "]")?;
        reference_file::write(out, &self.references, &self.history.references)?;
        let Ordering { late, out_of_order, policy } = &self.ordering;
        let policy = match policy {
            Policy::Adjust => "adjust",
            Policy::Drop => "drop",
        };
        let (late, out_of_order) = (clock(*late), clock(*out_of_order));
        writeln!(
            out,
            "ordering = {{ late = {late}, out_of_order = {out_of_order}, policy = \"{policy}\" }}"
        )?;
        self.deployment.write(out)?;
        writeln!(out, "faults = [")?;
        for fault in &self.faults {
            writeln!(out, "  {{ at = \"{}\", {} }},", fault.at, fault_fields(&fault.kind))?;
        }
        writeln!(out, "]")?;
        if !self.turns.is_empty() {
            writeln!(out, "turns = {:?}", self.turns)?;
        }
        writeln!(out, "events = [")?;
        for entry in &self.history.entries {
            let name = self.inputs.get(entry.input).map_or("", |input| input.name.as_str());
            let (name, partition, at) = (quoted(name), entry.partition, entry.arrival);
            write!(out, "  {{ in = {name}, p = {partition}, at = \"{at}\", ")?;
            match &entry.payload {
                Payload::Event(record) => write!(out, "data = {}", quoted(&record.to_string()))?,
                Payload::Malformed(text) => write!(out, "malformed = {}", quoted(text))?,
                Payload::Estimate => write!(out, "estimate = true")?,
            }
            writeln!(out, " }},")?;
        }
        writeln!(out, "]")
    }
}

impl Deployment {
    fn write(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "deployment.nodes = {}", self.nodes)?;
        if self.keyed > 0 {
            writeln!(out, "deployment.keyed = {}", self.keyed)?;
        }
        if self.link_delay > Span::ZERO {
            writeln!(out, "deployment.link_delay = {}", clock(self.link_delay))?;
        }
        writeln!(out, "deployment.checkpoint_interval = {}", clock(self.checkpoint_interval))?;
        writeln!(out, "deployment.poll_interval = {}", clock(self.poll_interval))?;
        writeln!(out, "deployment.batch = {}", self.batch)?;
        writeln!(out, "deployment.rate = {}", self.rate)?;
        if let Some(retention) = self.retention {
            writeln!(out, "deployment.retention = {}", clock(retention))?;
        }
        if let Some(bytes) = self.retention_size {
            writeln!(out, "deployment.retention_size = {bytes}")?;
        }
        writeln!(out, "deployment.heartbeat = {}", clock(self.heartbeat))?;
        match self.sink {
            SinkKind::Append => Ok(()),
            sink => writeln!(out, "deployment.sink = \"{}\"", sink.name()),
        }
    }
}

pub(crate) fn fault_fields(kind: &FaultKind) -> String {
    match kind {
        FaultKind::NodeKill { node, down } => {
            format!("kind = \"node-kill\", node = {node}, down = {}", clock(*down))
        }
        FaultKind::OsUpgrade { down } => format!("kind = \"os-upgrade\", down = {}", clock(*down)),
        FaultKind::ServiceUpgrade { readable, down } => {
            format!("kind = \"service-upgrade\", readable = {readable}, down = {}", clock(*down))
        }
        FaultKind::UserRestart { stopped, start } => restart_fields(*stopped, *start),
        FaultKind::JobChange { stopped, start, query, partitions } => {
            let mut fields = restart_fields(*stopped, *start);
            if let Some(partitions) = partitions {
                fields.push_str(&format!(", partitions = {partitions}"));
            }
            if let Some(query) = query {
                fields.push_str(&format!(", query = {}", block(query)));
            }
            fields
        }
        FaultKind::RetentionCut { keep } => format!("kind = \"retention-cut\", keep = {}", clock(*keep)),
        FaultKind::SinkUnavailable { span } => {
            format!("kind = \"sink-unavailable\", span = {}", clock(*span))
        }
        FaultKind::SinkAckLost => "kind = \"sink-ack-lost\"".to_owned(),
        FaultKind::Hang { node, noticed, back } => {
            let (noticed, back) = (clock(*noticed), clock(*back));
            format!("kind = \"hang\", node = {node}, noticed = {noticed}, back = {back}")
        }
        FaultKind::Slow { node, times, during } => {
            format!("kind = \"slow\", node = {node}, times = {times}, during = {}", clock(*during))
        }
        FaultKind::RollingUpgrade { down } => format!("kind = \"rolling-upgrade\", down = {}", clock(*down)),
        FaultKind::Rollback { down } => format!("kind = \"rollback\", down = {}", clock(*down)),
        FaultKind::Scale { nodes, down } => {
            format!("kind = \"scale\", nodes = {nodes}, down = {}", clock(*down))
        }
        FaultKind::Checkpoint { node, damage } => {
            format!("kind = \"checkpoint\", node = {node}, damage = \"{}\"", damage.name())
        }
        FaultKind::Link { node, trouble, during } => {
            let ((word, by), during) = (trouble.parts(), clock(*during));
            let by = clock(by);
            format!("kind = \"link\", node = {node}, packets = \"{word}\", by = {by}, during = {during}")
        }
    }
}

fn restart_fields(stopped: Span, start: StartMode) -> String {
    let start = match start {
        StartMode::Now => "now".to_owned(),
        StartMode::Custom(at) => at.to_string(),
        StartMode::WhenLastStopped => "last-stopped".to_owned(),
    };
    format!("kind = \"restart\", stopped = {}, start = \"{start}\"", clock(stopped))
}

pub(crate) fn clock(span: Span) -> String {
    format!("\"{}\"", span_to_clock(span))
}

/// Text on one line: between double quotes, or as it is between single ones where that spares escapes.
pub(crate) fn quoted(text: &str) -> String {
    let control = text.chars().any(char::is_control);
    match (control, text.contains(['"', '\\']), text.contains('\'')) {
        (false, true, false) => format!("'{text}'"),
        _ => format!("\"{}\"", escaped(text, false)),
    }
}

/// Text on lines of its own: as it is between triple quotes where it can stand so, else escaped.
pub(crate) fn block(text: &str) -> String {
    let clean = !text.chars().any(|c| c.is_control() && c != '\t' && c != '\n');
    if clean && !text.contains("'''") && !text.ends_with('\'') {
        format!("'''\n{text}'''")
    } else {
        format!("\"\"\"\n{}\"\"\"", escaped(text, true))
    }
}

fn escaped(text: &str, lines: bool) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' if lines => out.push('\n'),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}
