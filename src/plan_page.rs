//! The page of `rewindow plan`: how far back a job can see, what the source has to keep for it, and how long
//! each kind of recovery takes. Before anything runs: nothing here looks at a single row.
//!
//! Lookback is the analysis' (rule 12.4): along a path of steps it adds up, and in front of it stand the
//! tolerances of the ordering stage, `late + 2 x early`. Replay and catch-up follow the formulas of the
//! service's documentation: a node that died replays `rate x time since its checkpoint`, an upgrade without
//! state or a start by the user `rate x lookback`, and either takes as long as the fullest partition needs at
//! its speed: that over `partitions x speed` where all are equally full.
//! Invariant: the screen says what the JSON says, in words.

use std::collections::BTreeMap;
use std::sync::Arc;

use rewindow_query::plan::{Input, Op, Window};
use rewindow_query::{Ordering, Plan, Span};
use rewindow_world::case::Deployment;
use rewindow_world::error::CaseError;
use rewindow_world::journal::stored_bytes;
use serde::Serialize;

use crate::job::{Job, Query};
use crate::simulate::{self, Simulated};
use crate::text::{self, Align, WIDTH};

/// What there is to say about a plan.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct PlanPage {
    /// The job's name.
    pub name: String,
    /// Whether every partition is a pipeline of its own (rule 11.4).
    pub parallel: bool,
    /// The streams it reads.
    pub inputs: Vec<String>,
    /// The reference data it joins.
    pub references: Vec<String>,
    /// One for each output, in order.
    pub outputs: Vec<OutputPlan>,
    /// The largest total over all outputs: what the source has to keep.
    pub needed: Span,
    /// How it is deployed; `None` for a query alone.
    pub deployed: Option<Deployed>,
    /// Remarks of the analysis.
    pub warnings: Vec<String>,
}

/// How far back an output can see.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct OutputPlan {
    /// Its name.
    pub name: String,
    /// The stages on its longest path, in the order in which a row passes them.
    pub stages: Vec<Stage>,
    /// All of them together.
    pub total: Span,
}

/// A stage of a path.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Stage {
    /// The operator's name.
    pub operator: &'static str,
    /// What it does, as written.
    pub what: String,
    /// How far back it can see.
    pub lookback: Span,
    /// Why, with the number of the rule.
    pub because: &'static str,
}

/// What follows from the deployment.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Deployed {
    /// How long the source keeps an entry, by age or for its size, whichever is less; `None` keeps all.
    pub kept: Option<Span>,
    /// What size alone comes to at this rate; `None` if it is not limited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept_by_size: Option<KeptBySize>,
    /// How much is missing; zero if it is enough.
    pub missing: Span,
    /// What would help, if something is missing.
    pub remedies: Vec<String>,
    /// Entries per second that come in.
    pub rate: f64,
    /// Whether the rate was measured in the events of the job.
    pub rate_measured: bool,
    /// Partitions of all inputs together.
    pub partitions: u64,
    /// The share of the fullest of them in the events of the job.
    pub fullest: f64,
    /// Entries per second that are processed of each partition.
    pub speed: u64,
    /// What each kind of recovery takes.
    pub recoveries: Vec<RecoveryPlan>,
    /// What a start "now" came to in virtual time, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub simulated: Option<Simulated>,
}

/// What a source that keeps so many bytes of each partition keeps at a rate.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct KeptBySize {
    /// Bytes of each partition.
    pub bytes: u64,
    /// Bytes that each entry that comes in adds to the fullest partition, on average, in the events of the job.
    pub bytes_each: f64,
    /// How long it takes to fill the fullest partition, to the second below.
    pub lasts: Span,
    /// Bytes that are added to it each second.
    pub bytes_per_second: f64,
}

/// What a kind of recovery takes.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct RecoveryPlan {
    /// The fault.
    pub fault: &'static str,
    /// What is read again, in words.
    pub replays: String,
    /// How far back that is at most.
    pub gap: Span,
    /// How many entries that is.
    pub entries: u64,
    /// How long it takes.
    pub catch_up: Span,
}

impl PlanPage {
    /// The page of a query alone, under the service's default tolerances (rule 3.5).
    pub fn of_query(query: &Query, ordering: &Ordering) -> PlanPage {
        let stem = query.path.file_stem().map(|s| s.to_string_lossy().into_owned());
        PlanPage::new(stem.unwrap_or_default(), &query.plan, ordering)
    }

    /// The page of a job. `rate`: entries per second, or as many as its events show.
    pub fn of_job(job: &Job, rate: Option<f64>) -> PlanPage {
        let mut page = PlanPage::new(job.name.clone(), &job.query.plan, &job.ordering);
        let partitions = job.partitions().iter().map(|&p| u64::from(p)).sum();
        let measured = rate.unwrap_or_else(|| measured_rate(job));
        let fullest = simulate::shares(&job.base(), &job.partitions());
        let by_size = job.deployment.retention_size.and_then(|bytes| KeptBySize::at(job, bytes, measured));
        page.deploy(&job.deployment, (partitions, fullest), measured, rate.is_none(), by_size);
        page
    }

    /// Adds what a start "now" comes to in virtual time.
    ///
    /// # Errors
    /// A case that cannot be run.
    pub fn simulate(&mut self, job: &Job) -> Result<(), CaseError> {
        let Some(deployed) = &mut self.deployed else { return Ok(()) };
        let plan = Arc::new(job.query.plan.clone());
        deployed.simulated = simulate::simulate(&job.base(), &plan, deployed.rate)?;
        Ok(())
    }

    fn new(name: String, plan: &Plan, ordering: &Ordering) -> PlanPage {
        let outputs: Vec<OutputPlan> =
            (0..plan.outputs.len()).map(|output| OutputPlan::new(plan, output, ordering)).collect();
        let names = |inputs: &[Input]| inputs.iter().map(|input| input.name.to_string()).collect();
        PlanPage {
            name,
            parallel: plan.parallel,
            inputs: names(&plan.inputs),
            references: names(&plan.references),
            needed: outputs.iter().map(|o| o.total).max().unwrap_or(Span::ZERO),
            outputs,
            deployed: None,
            warnings: plan.warnings.clone(),
        }
    }

    fn deploy(
        &mut self,
        deployment: &Deployment,
        (partitions, fullest): (u64, f64),
        rate: f64,
        rate_measured: bool,
        kept_by_size: Option<KeptBySize>,
    ) {
        let speed = deployment.rate;
        let kept = deployment.retention.into_iter().chain(kept_by_size.as_ref().map(|kept| kept.lasts)).min();
        let missing = kept.map_or(Span::ZERO, |kept| minus(self.needed, kept).max(Span::ZERO));
        let recovery = |fault, replays: String, gap: Span| {
            let entries = (rate * seconds(gap)).ceil();
            let catch_up = simulate::catch_up(entries, fullest, speed);
            RecoveryPlan { fault, replays, gap, entries: entries as u64, catch_up }
        };
        let (interval, needed) = (deployment.checkpoint_interval, self.needed);
        let lookback = format!("one lookback, {}", exact(needed));
        let recoveries = vec![
            recovery("node kill", format!("since the checkpoint, up to {interval}"), interval),
            recovery("os upgrade", "the same, node after node".to_owned(), interval),
            recovery("upgrade, state", "the same, all nodes at once".to_owned(), interval),
            recovery("upgrade, replay", lookback.clone(), needed),
            recovery("stop, start", lookback, needed),
        ];
        self.deployed = Some(Deployed {
            kept,
            missing,
            remedies: self.remedies(kept, kept_by_size.as_ref(), missing),
            kept_by_size,
            rate,
            rate_measured,
            partitions,
            fullest,
            speed,
            recoveries,
            simulated: None,
        });
    }

    fn remedies(&self, kept: Option<Span>, by_size: Option<&KeptBySize>, missing: Span) -> Vec<String> {
        let Some(kept) = kept.filter(|_| missing > Span::ZERO) else { return Vec::new() };
        let hour = Span::hours(1).0;
        let hours = Span(self.needed.0.div_euclid(hour).saturating_add(1).saturating_mul(hour));
        let spare = exact(minus(hours, self.needed));
        let bytes = by_size.filter(|by_size| by_size.lasts < hours).map(|by_size| {
            let bytes = by_size.bytes_per_second * seconds(hours);
            format!(": {} bytes of each partition", text::number(bytes.ceil() as u64))
        });
        let bytes = bytes.unwrap_or_default();
        let mut remedies = vec![format!("keep {hours}{bytes} (with {spare} to spare)")];
        // Shortening one stage helps only if it stands on every path that is too long.
        let long = self.outputs.iter().filter(|o| o.total > kept);
        let worst = long.max_by_key(|o| o.total);
        let stages = worst.into_iter().flat_map(|o| o.stages.iter().map(move |s| (o, s)));
        if let Some((output, stage)) =
            stages.filter(|(_, s)| s.can_give() > missing && !s.is_fixed()).max_by_key(|(_, s)| s.lookback)
        {
            let least = minus(stage.lookback, missing);
            remedies.push(match stage.operator {
                "ordering" => {
                    format!("accept events up to {} late only", exact(minus(least, Span::minutes(10))))
                }
                operator => format!("shorten the {operator} of `{}` to {}", output.name, exact(least)),
            });
        }
        remedies
    }

    /// The page as text, ending in a line break.
    pub fn screen(&self) -> String {
        let mut screen = String::new();
        self.lookbacks(&mut screen);
        if self.deployed.is_none() {
            self.named(&mut screen);
        }
        for warning in &self.warnings {
            screen.push_str(&text::wrap(&format!("  remark      {warning}"), WIDTH, 14));
            screen.push('\n');
        }
        if let Some(deployed) = &self.deployed {
            self.retention(deployed, &mut screen);
            deployed.recoveries(&mut screen);
        }
        screen
    }

    /// What a query that nobody declared anything for was taken to read.
    fn named(&self, screen: &mut String) {
        for (word, names) in [("reads", &self.inputs), ("joins", &self.references)] {
            if !names.is_empty() {
                screen.push_str(&text::wrap(&format!("  {word}       {}", names.join(", ")), WIDTH, 14));
                screen.push('\n');
            }
        }
    }

    fn lookbacks(&self, screen: &mut String) {
        let several = self.outputs.len() > 1;
        let indent = if several { "    " } else { "  " };
        let longest =
            |of: fn(&Stage) -> usize| self.outputs.iter().flat_map(|o| &o.stages).map(of).max().unwrap_or(0);
        let totals = self.outputs.iter().map(|o| exact(o.total).chars().count()).max().unwrap_or(0);
        let lookback = longest(|s| exact(s.lookback).chars().count()).max(totals).max("lookback".len());
        // What is written may be long: it gets the room that the other columns leave.
        let taken = indent.len() + 8 + lookback + longest(|s| s.because.chars().count()) + 3 * 2;
        let room = WIDTH.saturating_sub(taken);
        let mut rows = vec![vec![String::new(), String::new(), "lookback".into(), "because".into()]];
        for output in &self.outputs {
            if several {
                rows.push(vec![format!("  {}", text::clip(&output.name, 40))]);
            }
            for stage in &output.stages {
                let operator = format!("{indent}{}", stage.operator);
                let what = text::clip(&stage.what, room);
                rows.push(vec![operator, what, exact(stage.lookback), stage.because.to_owned()]);
            }
            let path = if output.stages.len() > 2 { "along the longest path" } else { "" };
            rows.push(vec![
                format!("{indent}in total"),
                path.into(),
                exact(output.total),
                "lookbacks add".into(),
            ]);
        }
        let table = text::table(&rows, &[Align::Left, Align::Left, Align::Right, Align::Left], 0, 2);
        // The name stands over the first two columns, as far as they are blank.
        let blank = table.find(|c| c != ' ').unwrap_or(0);
        let name = text::clip(&self.name, blank.saturating_sub(2));
        screen.push_str(&format!("{name:<blank$}{}", &table[blank..]));
    }

    fn retention(&self, deployed: &Deployed, screen: &mut String) {
        let needed = exact(self.needed);
        screen.push('\n');
        if let Some(KeptBySize { bytes, lasts, .. }) = deployed.kept_by_size {
            let (bytes, rate) = (text::number(bytes), frequency(deployed.rate));
            let words = format!(
                "{bytes} bytes of each partition: at {rate} the fullest is full after {}",
                shown(lasts)
            );
            screen.push_str(&text::wrap(&format!("  size        {words}."), WIDTH, 14));
            screen.push('\n');
        }
        let words = match deployed.kept {
            None => "the source keeps everything: enough".to_owned(),
            Some(kept) if deployed.missing == Span::ZERO => {
                let (needed, spare) = (shown(self.needed), shown(minus(kept, self.needed)));
                let kept = shown(kept);
                format!("the source keeps {kept}, {needed} are needed: enough, with {spare} to spare")
            }
            Some(kept) => format!(
                "the source keeps {}, {needed} are needed: too little. After an upgrade without state, or a \
                 restart, rows of up to {} may be wrong or missing, and are announced as such",
                shown(kept),
                exact(deployed.missing)
            ),
        };
        screen.push_str(&text::wrap(&format!("  retention   {words}."), WIDTH, 14));
        screen.push('\n');
        if !deployed.remedies.is_empty() {
            let remedies = deployed.remedies.join("; or ");
            screen.push_str(&text::wrap(&format!("  remedies    {remedies}"), WIDTH, 14));
            screen.push('\n');
        }
    }
}

impl Deployed {
    fn recoveries(&self, screen: &mut String) {
        let partitions = text::count(self.partitions, "partition");
        let measured = if self.rate_measured { ", as in its events" } else { "" };
        let rate = frequency(self.rate);
        let speed = text::number(self.speed);
        let even = self.fullest * self.partitions as f64 <= 1.05;
        let fullest =
            if even { String::new() } else { format!(", the fullest with {:.0} %", self.fullest * 100.0) };
        let head =
            format!("at {rate}{measured}, and {partitions} of which {speed}/s each are processed{fullest}");
        screen.push('\n');
        screen.push_str(&text::wrap(&format!("  recovery    {head}"), WIDTH, 14));
        screen.push('\n');
        let most = self.speed as f64 / self.fullest;
        let too_slow = self.rate > most;
        let row = |r: &RecoveryPlan| {
            let catch_up = if too_slow { "never".to_owned() } else { duration(r.catch_up) };
            vec![r.fault.to_owned(), r.replays.clone(), up_to(r.entries), catch_up]
        };
        let mut rows: Vec<Vec<String>> = self.recoveries.iter().map(row).collect();
        // What is read again stands above already; the numbers need their room.
        let widest = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let room = WIDTH.saturating_sub(4 + 3 * 3 + widest(0) + widest(2) + widest(3));
        rows.iter_mut().for_each(|row| row[1] = text::clip(&row[1], room));
        screen.push_str(&text::table(&rows, &[Align::Left, Align::Left, Align::Right, Align::Right], 4, 3));
        if let Some(simulated) = &self.simulated {
            screen.push_str(&text::wrap(&format!("  simulated   {}", simulated.words()), WIDTH, 14));
            screen.push('\n');
        }
        if too_slow {
            let line = format!(
                "  too slow    {rate} come in and {} can be processed: the job never catches up",
                frequency(most)
            );
            screen.push_str(&text::wrap(&line, WIDTH, 14));
            screen.push('\n');
        }
    }
}

impl Simulated {
    fn words(&self) -> String {
        let row = match self.first_row {
            Some(after) => format!("the first row after {}", duration(after)),
            None => "no row by then".to_owned(),
        };
        let scaled = match self.scaled {
            1.0 => String::new(),
            by => format!("; rate and speed lowered by {by:.1}"),
        };
        format!(
            "started \"now\" with {} of its events in the source: {} read again, level after {}, {row}. The \
             formula says {} and {}{scaled}",
            shown(self.span),
            text::count(self.entries, "entry"),
            duration(self.catch_up),
            text::count(self.formula_entries, "entry"),
            duration(self.formula),
        )
    }
}

impl KeptBySize {
    /// At so many entries per second; `None` where the job has no events to tell their size from.
    fn at(job: &Job, bytes: u64, rate: f64) -> Option<KeptBySize> {
        let mut partitions = BTreeMap::<(usize, u32), u64>::new();
        for entry in &job.log.history.entries {
            *partitions.entry((entry.input, entry.partition)).or_default() += stored_bytes(&entry.payload);
        }
        let fullest = partitions.into_values().max().filter(|&bytes| bytes > 0)?;
        let bytes_each = fullest as f64 / job.log.history.entries.len() as f64;
        // To the second below. More than fits into a span is as good as for ever.
        let bytes_per_second = bytes_each * rate;
        let seconds = ((bytes as f64 / bytes_per_second) as i64).min(i64::MAX / Span::seconds(1).0);
        let lasts = Span::seconds(seconds);
        Some(KeptBySize { bytes, bytes_each, lasts, bytes_per_second })
    }
}

impl Stage {
    /// By how much a setting or another query can shorten it, if at all: the early limit is fixed.
    fn can_give(&self) -> Span {
        match self.operator {
            "ordering" => minus(self.lookback, plus(Span::EARLY, Span::EARLY)),
            _ => self.lookback,
        }
    }

    /// Whether no setting and no query makes it shorter.
    fn is_fixed(&self) -> bool {
        *self == arrival_stage()
    }
}

impl OutputPlan {
    fn new(plan: &Plan, output: usize, ordering: &Ordering) -> OutputPlan {
        let path = plan.lookback_path(output);
        let sees = |id: &&usize| plan.lookback_of(**id) > Span::ZERO;
        // Late and out of order apply only where a source reads its timestamps from the events (rule 3.4).
        let ordered = is_ordered(plan, plan.outputs[output].node);
        let stage = |&id: &usize| Stage {
            operator: plan.nodes[id].op.name(),
            what: plan.describe(id),
            lookback: plan.lookback_of(id),
            because: because(&plan.nodes[id].op),
        };
        let mut stages = vec![if ordered { ordering_stage(ordering) } else { arrival_stage() }];
        stages.extend(path.iter().filter(sees).map(stage));
        let total = stages.iter().fold(Span::ZERO, |sum, stage| plus(sum, stage.lookback));
        OutputPlan { name: plan.outputs[output].name.to_string(), stages, total }
    }
}

/// The ordering stage has to see so much to rebuild its watermark.
fn ordering_stage(ordering: &Ordering) -> Stage {
    Stage {
        operator: "ordering",
        what: format!("late {}, out of order {}", ordering.late, ordering.out_of_order),
        lookback: plus(ordering.late, plus(Span::EARLY, Span::EARLY)),
        because: "late + 2 x early (5 min, fixed)",
    }
}

/// Without TIMESTAMP BY nothing is late or out of order; a replay reaches back the fixed limit all the same.
fn arrival_stage() -> Stage {
    Stage {
        operator: "ordering",
        what: "by arrival: nothing is late".to_owned(),
        lookback: Span::EARLY,
        because: "early (5 min, fixed; C-REPLAY)",
    }
}

/// Whether any source that a node's rows come from has TIMESTAMP BY.
fn is_ordered(plan: &Plan, node: usize) -> bool {
    let node = &plan.nodes[node];
    match &node.op {
        Op::Source(source) => source.timestamp_by.is_some(),
        _ => node.inputs.iter().any(|&input| is_ordered(plan, input)),
    }
}

fn because(op: &Op) -> &'static str {
    match op {
        Op::Source(_) | Op::Filter(_) | Op::Project(_) | Op::Union => "keeps nothing (rule 12.4)",
        Op::Apply(_) | Op::ReferenceJoin(_) => "keeps nothing (rule 12.4)",
        Op::Group(group) => match group.window {
            Window::Sliding { .. } => "size + 1 tick (rule 12.4)",
            Window::Tumbling { .. } | Window::Hopping { .. } => "size of the window (rule 12.4)",
            Window::Session { .. } => "2 x max + timeout (rule 12.4)",
            Window::Snapshot => "one timestamp (rule 4.10)",
        },
        Op::Join(_) => "bounds + 1 unit (rule 12.4)",
        Op::Lag(_) | Op::Last(_) | Op::Over(_) | Op::Match(_) => "LIMIT DURATION (rule 12.4)",
        Op::IsFirst(_) => "its interval (rule 12.4)",
    }
}

/// Entries per second over the span of arrivals.
fn measured_rate(job: &Job) -> f64 {
    let entries = &job.log.history.entries;
    let arrivals = || entries.iter().map(|entry| entry.arrival);
    match (arrivals().min(), arrivals().max()) {
        (Some(first), Some(last)) if first < last => entries.len() as f64 / seconds(last.since(first)),
        _ => entries.len() as f64,
    }
}

/// A number of entries in few columns: `up to 12,000 entries`, `up to 7.2e15 entries`.
fn up_to(entries: u64) -> String {
    match entries {
        0..1_000_000_000 => format!("up to {}", text::count(entries, "entry")),
        _ => format!("up to {:.1e} entries", entries as f64),
    }
}

fn seconds(span: Span) -> f64 {
    span.0 as f64 / 1e7
}

fn plus(a: Span, b: Span) -> Span {
    Span(a.0.saturating_add(b.0))
}

fn minus(a: Span, b: Span) -> Span {
    Span(a.0.saturating_sub(b.0))
}

/// A span without the ticks that only a proof needs: to the nearest millisecond.
pub fn shown(span: Span) -> String {
    let milli = Span::seconds(1).0 / 1_000;
    Span((span.0.saturating_add(milli / 2)).div_euclid(milli).saturating_mul(milli)).to_string()
}

/// A span to the tick: `6 h + 1 tick`, `50 min - 1 tick`.
pub fn exact(span: Span) -> String {
    let micro = Span::seconds(1).0 / 1_000_000;
    let round = Span(span.0.saturating_add(micro / 2).div_euclid(micro).saturating_mul(micro));
    let ticks = span.0 - round.0;
    match (round, ticks) {
        (_, 0) | (Span::ZERO, _) => span.to_string(),
        (round, ticks) => format!("{round} {} {}", if ticks > 0 { '+' } else { '-' }, Span(ticks.abs())),
    }
}

/// A rate in the largest unit in which it is a readable number: `12,000 entries/s`, `10 entries/h`.
fn frequency(per_second: f64) -> String {
    let units = [("s", 1.0), ("min", 60.0), ("h", 3_600.0), ("d", 86_400.0)];
    let readable = units.iter().find(|(_, length)| per_second * length >= 10.0);
    let (unit, length) = readable.unwrap_or(&units[3]);
    format!("{} entries/{unit}", text::number((per_second * length).round() as u64))
}

/// A length of time as one reads it aloud: tenths below a minute, seconds below an hour, then minutes.
pub fn duration(span: Span) -> String {
    let (tenth, second, minute) = (Span::seconds(1).0 / 10, Span::seconds(1).0, Span::minutes(1).0);
    let grain = match span.0.abs() {
        ticks if ticks < 60 * second => tenth,
        ticks if ticks < 60 * minute => second,
        _ => minute,
    };
    // Rounded up: a catch-up that takes any time at all does not take none.
    let rounded = Span(span.0.saturating_add(grain - 1).div_euclid(grain).saturating_mul(grain));
    if rounded == Span::ZERO { "0 s".to_owned() } else { rounded.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_durations_are_readable() {
        assert_eq!(frequency(12_000.0), "12,000 entries/s");
        assert_eq!(frequency(0.002_9), "10 entries/h");
        assert_eq!(frequency(0.000_01), "1 entries/d");
        let tick = |span: Span, ticks: i64| exact(Span(span.0 + ticks));
        assert_eq!(tick(Span::hours(6), 1), "6 h + 1 tick");
        assert_eq!(tick(Span::minutes(50), -1), "50 min - 1 tick");
        assert_eq!((tick(Span::ZERO, 1), tick(Span::hours(7), 0)), ("1 tick".to_owned(), "7 h".to_owned()));
        assert_eq!(duration(Span(1)), "0.1 s");
        assert_eq!(duration(Span::ZERO), "0 s");
        assert_eq!(duration(Span::seconds(61)), "1 min 1 s");
        assert_eq!(duration(Span::seconds(3_661)), "1 h 2 min");
        assert_eq!(
            [1, 12_000, u64::MAX].map(up_to),
            ["up to 1 entry", "up to 12,000 entries", "up to 1.8e19 entries"]
        );
    }

    #[test]
    fn tolerances_count_where_a_source_has_timestamp_by_and_a_tick_is_said() {
        let query = "SELECT COUNT(*) AS n INTO ordered FROM a TIMESTAMP BY t GROUP BY SlidingWindow(hour, 6)
            SELECT COUNT(*) AS n INTO arrived FROM a GROUP BY TumblingWindow(hour, 1)";
        let plan = rewindow_query::analyse(query, None).unwrap();
        let policy = rewindow_query::Policy::Adjust;
        let ordering = Ordering { late: Span::hours(1), out_of_order: Span::minutes(2), policy };
        let page = PlanPage::new("job".to_owned(), &plan, &ordering);
        let [ordered, arrived] = &page.outputs[..] else { panic!("two outputs") };
        assert_eq!(ordered.total, Span(Span::minutes(430).0 + 1));
        assert_eq!(arrived.total, Span::minutes(65), "late and out of order do not apply (rule 3.4)");
        let screen = page.screen();
        assert!(screen.contains("6 h + 1 tick") && screen.contains("7 h 10 min + 1 tick"), "{screen}");
        assert!(screen.contains("by arrival: nothing is late"), "{screen}");
        assert!(screen.lines().all(|line| line.chars().count() <= WIDTH), "{screen}");
    }
}
