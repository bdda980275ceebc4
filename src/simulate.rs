//! The service's own way to estimate how long a job takes to catch up, done in virtual time: fill the source
//! with the largest window, start the job "now", and see when the first row comes.
//!
//! ```text
//!   source    e e e e e e e e e e e e e|e e e e e ...     the job's own events, evenly spaced at the rate
//!             |<-- lookback + 5 min -->|now
//!   job                                |read ....... level ... first row
//! ```
//!
//! Events keep their order, partitions, content and delays; only their instants are new. Where there would be
//! too many, rate and speed are lowered by the same factor, which leaves every instant where it was. Judges
//! nothing. Invariant: same job, same rate, same numbers.

use std::sync::Arc;

use rewindow_model::guarantee::replay_from;
use rewindow_query::expr::Expr;
use rewindow_query::plan::{Op, Source, SourceColumn};
use rewindow_query::{Entry, Payload, Plan, Record, Span, Timestamp, Value};
use rewindow_world::case::{Case, Fault, FaultKind, StartMode};
use rewindow_world::engine_subject::EngineSubject;
use rewindow_world::error::CaseError;
use rewindow_world::run::{RunOptions, try_run};
use serde::Serialize;

use crate::shrink::in_order;

/// Most events laid into the source.
const EVENTS_MAX: f64 = 200_000.0;

/// What a start "now" came to.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Simulated {
    /// How far back it read: the longest lookback and the five minutes of the early limit.
    pub span: Span,
    /// Entries it read again; of a part of the job, the most.
    pub entries: u64,
    /// From the start until they were processed.
    pub catch_up: Span,
    /// From the start until the first row; `None` if none came within another such span.
    pub first_row: Option<Span>,
    /// Rate and speed were lowered by this factor; 1 if they were not.
    pub scaled: f64,
    /// Entries by the formula, rate x span.
    pub formula_entries: u64,
    /// Catch-up by the formula.
    pub formula: Span,
}

/// Starts the job of a case "now"; `rate` entries come in each second. `None` where there are no events to
/// make a source of, and where more of them come in than can be processed, so that nothing catches up.
///
/// # Errors
/// A case that cannot be run: its heartbeats would make too many entries.
pub fn simulate(base: &Case, plan: &Arc<Plan>, rate: f64) -> Result<Option<Simulated>, CaseError> {
    let partitions = base.partitions(plan)?;
    let share = shares(base, &partitions);
    let from = |shard| replay_from(plan, &shard, Timestamp(0));
    let span = plan.shards(&partitions).into_iter().map(from).min();
    // What arrived at `from` or later up to now: both ends count.
    let span = span.map_or(Span::EARLY, |from| Timestamp(0).since(from).plus(Span::TICK));
    if rate * share > base.deployment.rate as f64 {
        return Ok(None);
    }
    let (scaled, speed) = scale(rate * seconds(span) * 2.0, base.deployment.rate);
    let Some((case, now)) = source(base, plan, rate / scaled, span) else { return Ok(None) };
    let start = FaultKind::UserRestart { stopped: Span::ZERO, start: StartMode::Now };
    let mut case = Case { faults: vec![Fault { at: now, kind: start }], ..case };
    (case.deployment.rate, case.deployment.retention) = (speed, None);
    case.deployment.retention_size = None;
    let subject = EngineSubject::of_case(plan, &case);
    let run = try_run(&case, plan, &subject, RunOptions { trace: false })?;
    let started = |shard: usize| run.recoveries.iter().find(|r| r.shard == shard && r.generation == 1);
    let first = run.deliveries.iter().filter(|d| d.generation == 1 && started(d.shard).is_some());
    let of_one = |count: u64| (count as f64 * scaled).round() as u64;
    let formula_entries = rate * seconds(span);
    Ok(Some(Simulated {
        span,
        entries: of_one(run.recoveries.iter().map(|r| r.backlog).max().unwrap_or(0)),
        catch_up: run.recoveries.iter().filter_map(|r| r.actual).max().unwrap_or(Span::ZERO),
        first_row: first.map(|delivery| delivery.at.since(now)).min(),
        scaled,
        formula_entries: formula_entries.ceil() as u64,
        formula: catch_up(formula_entries, share, base.deployment.rate),
    }))
}

/// How long it takes to process so many entries, of which the fullest partition holds `share`.
pub fn catch_up(entries: f64, share: f64, speed: u64) -> Span {
    Span(((entries * share).ceil() / speed as f64 * 1e7).ceil() as i64)
}

/// The share of the fullest partition in the events of a case; an even share where there are none.
pub fn shares(case: &Case, partitions: &[u32]) -> f64 {
    let mut counts = std::collections::BTreeMap::<(usize, u32), u64>::new();
    for entry in &case.history.entries {
        *counts.entry((entry.input, entry.partition)).or_default() += 1;
    }
    match counts.values().max() {
        Some(&most) => most as f64 / case.history.entries.len() as f64,
        None => 1.0 / partitions.iter().map(|&p| f64::from(p)).sum::<f64>().max(1.0),
    }
}

/// By how much rate and speed are lowered for that many events, and the speed then: a whole number.
fn scale(events: f64, speed: u64) -> (f64, u64) {
    let factor = (events / EVENTS_MAX).max(1.0);
    let lowered = ((speed as f64 / factor).floor() as u64).max(1);
    (speed as f64 / lowered as f64, lowered)
}

/// The job's events laid out evenly: one span up to the moment of the start, and another behind it.
fn source(base: &Case, plan: &Plan, rate: f64, span: Span) -> Option<(Case, Timestamp)> {
    let mut pattern: Vec<&Entry> = base.history.entries.iter().collect();
    pattern.sort_by_key(|e| (e.arrival, e.input, e.partition, e.offset));
    let begin = pattern.first()?.arrival;
    let before = ((rate * seconds(span)).ceil() as usize).max(1);
    let columns: Vec<Vec<Arc<str>>> = base.inputs.iter().map(|i| timestamps(plan, &i.name)).collect();
    let instant = |number: usize| begin.plus(Span((number as f64 / rate * 1e7).round() as i64));
    let entry = |number: usize| {
        let like = pattern[number % pattern.len()];
        let arrival = instant(number);
        let payload = moved(&like.payload, &columns[like.input], arrival.since(like.arrival));
        Entry { arrival, payload, ..like.clone() }
    };
    let entries = (0..before * 2).map(entry).collect();
    let mut case = base.clone();
    case.history = Arc::new(base.history.with_entries(entries));
    Some((in_order(&case), instant(before - 1)))
}

/// The members that TIMESTAMP BY reads of an input.
fn timestamps(plan: &Plan, input: &str) -> Vec<Arc<str>> {
    let mut members = Vec::new();
    let reads = |source: &&Source| plan.inputs[source.input].name.eq_ignore_ascii_case(input);
    let sources = plan.nodes.iter().filter_map(|node| match &node.op {
        Op::Source(source) => Some(source),
        _ => None,
    });
    for source in sources.filter(reads) {
        let Some(by) = &source.timestamp_by else { continue };
        by.visit(&mut |expr| {
            if let Expr::Column(column) = expr
                && let Some(SourceColumn::Member(name)) = source.columns.get(*column)
            {
                members.push(name.clone());
            }
        });
    }
    members
}

/// A payload with those members moved in time; what is no instant stays.
fn moved(payload: &Payload, members: &[Arc<str>], by: Span) -> Payload {
    let Payload::Event(record) = payload else { return payload.clone() };
    let is_time = |name: &str| members.iter().any(|member| member.eq_ignore_ascii_case(name));
    let members = record.members().iter().map(|(name, value)| {
        let value = match value {
            Value::Datetime(at) if is_time(name) => Value::Datetime(at.plus(by)),
            Value::Text(text) if is_time(name) => match Timestamp::parse(text) {
                Some(at) => Value::text(at.plus(by).to_string()),
                None => value.clone(),
            },
            other => other.clone(),
        };
        (name.clone(), value)
    });
    Payload::Event(Arc::new(Record::from_iter(members)))
}

fn seconds(span: Span) -> f64 {
    span.0 as f64 / 1e7
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::plan_of;
    use crate::toy;

    fn simulated(rate: f64, speed: u64) -> Simulated {
        let mut case = Case { faults: Vec::new(), ..toy::case(400) };
        // Evenly over both partitions, so that the formula has nothing to average.
        let entries = case.history.entries.iter().zip(0..).map(|(entry, number)| Entry {
            partition: number % 2,
            offset: u64::from(number / 2),
            ..entry.clone()
        });
        case.history = Arc::new(case.history.with_entries(entries.collect()));
        (case.deployment.rate, case.deployment.heartbeat) = (speed, Span::hours(1));
        let plan = Arc::new(plan_of(&case).unwrap());
        simulate(&case, &plan, rate).unwrap().expect("there are events")
    }

    #[test]
    fn what_is_simulated_is_what_the_formula_says() {
        for (rate, speed) in [(1.0, 50), (4.0, 7), (20.0, 1_000), (0.5, 3)] {
            let found = simulated(rate, speed);
            // Ten seconds of window, five minutes of early limit; events lie on whole parts of a second.
            assert_eq!(found.span, Span::seconds(310));
            assert_eq!((found.entries, found.scaled), (found.formula_entries, 1.0), "{found:?}");
            assert_eq!(found.catch_up, found.formula, "{found:?}");
            let first = found.first_row.expect("windows end");
            assert!(found.catch_up <= first && first <= found.catch_up.plus(Span::seconds(40)), "{found:?}");
        }
    }

    #[test]
    fn what_never_catches_up_is_not_simulated() {
        let case = Case { faults: Vec::new(), ..toy::case(40) };
        let plan = Arc::new(plan_of(&case).unwrap());
        assert_eq!(simulate(&case, &plan, 12_000.0).unwrap(), None);
        let empty = Case { history: Arc::default(), ..case };
        assert_eq!(simulate(&empty, &plan, 1.0).unwrap(), None);
    }

    #[test]
    fn what_would_be_too_much_is_scaled_down_and_takes_as_long() {
        let found = simulated(6_000.0, 50_000);
        assert!(found.scaled > 1.0, "{found:?}");
        let near = |a: f64, b: f64| (a / b - 1.0).abs() < 0.001;
        assert!(near(found.entries as f64, found.formula_entries as f64), "{found:?}");
        assert!(near(seconds(found.catch_up), seconds(found.formula)), "{found:?}");
    }
}
