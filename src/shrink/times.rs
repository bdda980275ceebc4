//! Shrinking instants: rounder and closer together.
//!
//! An instant is an arrival, a fault's moment, a custom start, or text in a payload that reads as one: the
//! last because an event's own time is a member like any other here.

use std::sync::Arc;

use rewindow_query::{Entry, Payload, Span, Timestamp, Value};
use rewindow_world::case::{Case, Fault, FaultKind, StartMode};

use super::{Search, entries};

const GRAINS: [Span; 6] = [
    Span::hours(24),
    Span::hours(1),
    Span::minutes(1),
    Span::seconds(10),
    Span::seconds(1),
    Span(10_000), // a millisecond
];

/// Up to so many entries are looked at one by one.
const SINGLY_MAX: usize = 48;

impl Search<'_> {
    /// Rounder instants, all alike and then one by one, and shorter pauses.
    pub(super) fn times(&mut self) {
        self.rounder(|case, round| every(case, round));
        if self.best.history.entries.len() <= SINGLY_MAX {
            self.pauses();
            for index in 0..self.best.history.entries.len() {
                self.rounder(|case, round| one_entry(case, index, round));
            }
        }
        for index in 0..self.best.faults.len() {
            self.rounder(|case, round| one_fault(case, index, round));
        }
    }

    /// Rounds down to the coarsest grain that still breaks.
    fn rounder(&mut self, with: impl Fn(&Case, &dyn Fn(Timestamp) -> Timestamp) -> Case) {
        for grain in GRAINS {
            let round = |at: Timestamp| Timestamp(at.0.div_euclid(grain.0) * grain.0);
            let candidate = with(&self.best, &round);
            // Rounded already at this grain: all finer ones change nothing.
            if candidate == self.best {
                return;
            }
            // A longer history would be rounder, but slower to run and no simpler.
            if extent(&candidate) <= extent(&self.best) && self.attempt(candidate) {
                return;
            }
        }
    }

    /// Takes whole days, hours, minutes and seconds out of the pauses between instants.
    fn pauses(&mut self) {
        for unit in [Span::hours(24), Span::hours(1), Span::minutes(1), Span::seconds(1)] {
            let mut index = 1;
            loop {
                let instants = instants(&self.best);
                let Some(&after) = instants.get(index) else { break };
                let units = (after.since(instants[index - 1]).0 - 1) / unit.0;
                // Halving finds the most that can go in few tries, also where not all of it can.
                let halves = std::iter::successors(Some(units), |n| Some(n / 2));
                let shorter = halves.take_while(|&n| n > 0).any(|n| {
                    let closer = |at: Timestamp| if at >= after { at.minus(Span(n * unit.0)) } else { at };
                    self.attempt(every(&self.best, &closer))
                });
                if !shorter {
                    index += 1;
                }
            }
        }
    }
}

/// From the first arrival or fault to the last.
fn extent(case: &Case) -> Span {
    let arrivals = case.history.entries.iter().map(|entry| entry.arrival);
    let all = || arrivals.clone().chain(case.faults.iter().map(|fault| fault.at));
    all().max().zip(all().min()).map_or(Span::ZERO, |(last, first)| last.since(first))
}

/// All instants of a case but custom starts, sorted, each once.
fn instants(case: &Case) -> Vec<Timestamp> {
    let mut all: Vec<Timestamp> = case.faults.iter().map(|fault| fault.at).collect();
    for entry in &case.history.entries {
        all.push(entry.arrival);
        if let Payload::Event(record) = &entry.payload {
            all.extend(record.members().iter().filter_map(|(_, value)| instant(value)));
        }
    }
    all.sort_unstable();
    all.dedup();
    all
}

fn instant(value: &Value) -> Option<Timestamp> {
    match value {
        Value::Text(text) => Timestamp::parse(text),
        _ => None,
    }
}

fn every(case: &Case, to: &dyn Fn(Timestamp) -> Timestamp) -> Case {
    let entries = case.history.entries.iter().map(|entry| moved(entry, to)).collect();
    let mut case = entries::with_entries(case, entries);
    case.faults = case.faults.iter().map(|fault| moved_fault(fault, to)).collect();
    case.faults.sort_by_key(|fault| fault.at);
    case
}

fn one_entry(case: &Case, index: usize, to: &dyn Fn(Timestamp) -> Timestamp) -> Case {
    let mut entries = case.history.entries.clone();
    entries[index] = moved(&entries[index], to);
    Case { history: Arc::new(case.history.with_entries(entries)), ..case.clone() }
}

fn one_fault(case: &Case, index: usize, to: &dyn Fn(Timestamp) -> Timestamp) -> Case {
    let mut case = case.clone();
    case.faults[index] = moved_fault(&case.faults[index], to);
    case
}

fn moved(entry: &Entry, to: &dyn Fn(Timestamp) -> Timestamp) -> Entry {
    let payload = match &entry.payload {
        Payload::Event(record) => {
            let members = record.members().iter().map(|(name, value)| {
                let moved =
                    instant(value).filter(|&at| to(at) != at).map(|at| Value::text(to(at).to_string()));
                (name.clone(), moved.unwrap_or_else(|| value.clone()))
            });
            Payload::Event(Arc::new(members.collect()))
        }
        other => other.clone(),
    };
    Entry { arrival: to(entry.arrival), payload, ..entry.clone() }
}

fn moved_fault(fault: &Fault, to: &dyn Fn(Timestamp) -> Timestamp) -> Fault {
    let kind = match fault.kind {
        FaultKind::UserRestart { stopped, start: StartMode::Custom(at) } => {
            FaultKind::UserRestart { stopped, start: StartMode::Custom(to(at)) }
        }
        FaultKind::JobChange { stopped, start: StartMode::Custom(at), ref query, partitions } => {
            let start = StartMode::Custom(to(at));
            FaultKind::JobChange { stopped, start, query: query.clone(), partitions }
        }
        ref other => other.clone(),
    };
    Fault { at: to(fault.at), kind }
}
