//! Another job in place of one: a query with another number in it, more partitions, or both.
//!
//! A number is a window, a bound in time, a threshold or a factor: state of the one query mostly has the shape of the
//! other's, and only its name tells it apart. Invariant: the analysis accepts the other query, which has the same outputs
//! and is another.

use std::ops::Range;
use std::sync::Arc;

use rewindow_query::Span;
use rewindow_world::case::{Case, Fault, FaultKind, StartMode};
use rewindow_world::check::{ENTRIES_MAX, JOB_CHANGES_MAX, PARTITIONS_MAX};

use crate::choices::Choices;
use crate::language::plan_of;

/// So many numbers are tried.
const TRIES: usize = 3;

/// A fault by which another job takes the place of that of the case.
pub(super) fn job_change(
    case: &Case,
    stopped: Span,
    start: StartMode,
    choices: &mut dyn Choices,
) -> FaultKind {
    let of = choices.weighted(&[2, 1, 1]);
    let most = case.inputs.iter().map(|input| input.partitions).max().unwrap_or(1);
    let more = most.saturating_add(u32::try_from(choices.range(1, 2)).unwrap_or(1)).min(PARTITIONS_MAX);
    let query = if of == 1 { None } else { another_query(case, choices) };
    let partitions = ((of > 0 || query.is_none()) && takes(case, more)).then_some(more);
    match query.is_none() && partitions.is_none() {
        true => FaultKind::UserRestart { stopped, start },
        false => FaultKind::JobChange { stopped, start, query, partitions },
    }
}

/// Whether a job may have so many partitions: one that keeps rule 3.9 as it is does not break it then.
fn takes(case: &Case, partitions: u32) -> bool {
    let Ok(plan) = plan_of(case) else { return true };
    let now: Vec<u32> = case.inputs.iter().map(|input| input.partitions).collect();
    let then: Vec<u32> = now.iter().map(|&count| count.max(partitions)).collect();
    (plan.check_partitions(&then).is_ok() || plan.check_partitions(&now).is_err()) && fits(case, &then)
}

/// Whether so many partitions, each of them silent but for heartbeats, make no more entries than a case may have.
fn fits(case: &Case, partitions: &[u32]) -> bool {
    let arrivals = || case.history.entries.iter().map(|entry| entry.arrival);
    let (Some(first), Some(last)) = (arrivals().min(), arrivals().max()) else { return true };
    let estimates = last.since(first).0 / case.deployment.heartbeat.0.max(1) + 1;
    let all: i64 = partitions.iter().map(|&count| i64::from(count)).sum();
    estimates.saturating_mul(all).saturating_add(case.history.entries.len() as i64) <= ENTRIES_MAX as i64
}

/// No more changes than a case may have; the others are restarts of the same job.
pub(super) fn never_too_many(faults: &mut [Fault]) {
    let changes = faults.iter_mut().filter(|fault| matches!(fault.kind, FaultKind::JobChange { .. }));
    for fault in changes.skip(JOB_CHANGES_MAX) {
        if let FaultKind::JobChange { stopped, start, .. } = fault.kind {
            fault.kind = FaultKind::UserRestart { stopped, start };
        }
    }
}

/// Of several changes, none takes partitions away that one before has added.
pub(super) fn never_fewer(faults: &mut [Fault]) {
    let mut most = 0;
    for fault in faults {
        if let FaultKind::JobChange { partitions: Some(count), .. } = &mut fault.kind {
            most = most.max(*count);
            *count = most;
        }
    }
}

/// The query with another number in it.
fn another_query(case: &Case, choices: &mut dyn Choices) -> Option<Arc<str>> {
    let numbers = numbers(&case.query);
    if numbers.is_empty() {
        return None;
    }
    let own = plan_of(case).ok()?;
    for _ in 0..TRIES {
        let place = choices.pick(&numbers).clone();
        let Ok(number) = case.query[place.clone()].parse::<u64>() else { continue };
        let other = match choices.weighted(&[2, 2, 1]) {
            0 => number.saturating_add(1),
            1 => number.saturating_mul(2),
            _ => number.saturating_sub(1),
        };
        let mut text = case.query.to_string();
        text.replace_range(place, &other.to_string());
        let changed = Case { query: text.into(), ..case.clone() };
        let fits = |plan: &rewindow_query::Plan| {
            plan.outputs.len() == own.outputs.len() && plan.fingerprint() != own.fingerprint()
        };
        if plan_of(&changed).is_ok_and(|plan| fits(&plan)) {
            return Some(changed.query);
        }
    }
    None
}

/// Where whole numbers stand in a query, outside of texts, names and fractions.
fn numbers(query: &str) -> Vec<Range<usize>> {
    let bytes = query.as_bytes();
    let part = |at: usize| {
        bytes.get(at).is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'))
    };
    let (mut found, mut at, mut quoted) = (Vec::new(), 0, None);
    while at < bytes.len() {
        let byte = bytes[at];
        match quoted {
            Some(end) if byte == end => quoted = None,
            Some(_) => {}
            None => {
                quoted = match byte {
                    b'\'' | b'"' => Some(byte),
                    b'[' => Some(b']'),
                    _ => None,
                }
            }
        }
        let begins = quoted.is_none() && byte.is_ascii_digit() && (at == 0 || !part(at - 1));
        let end = (at..bytes.len()).find(|&end| !bytes[end].is_ascii_digit()).unwrap_or(bytes.len());
        if begins && !part(end) {
            found.push(at..end);
        }
        at = end.max(at + 1);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_outside_of_texts_names_and_fractions() {
        let query = "SELECT q1, 12 AS [a 3], '4' AS t, 1.5 AS f FROM a GROUP BY TumblingWindow(second, 78)";
        let found: Vec<&str> = numbers(query).into_iter().map(|place| &query[place]).collect();
        assert_eq!(found, ["12", "78"]);
        assert!(numbers("").is_empty());
    }
}
