//! Withheld: what a published checkpoint has behind it is visible then (docs/sinks.md: latency is up to an interval).
//!
//! ```text
//!   staged      a b c |seal, publish             of a transactional sink alone
//!   visible           |a b c                     the sink is there: at once
//!   visible           |....away....|a b c        else as soon as it is back, if the same writer lives on
//! ```
//!
//! An acknowledgement that is lost delays nothing: what was done is visible. A writer that is lost while the sink is away
//! has its successor commit, and what comes of that is judged at the end (`sinks.rs`). Knows nothing of what is owed.
//! Invariant: every staged row is asked about once, at the first publication behind it.

use std::collections::BTreeMap;

use rewindow_query::{Identity, Timestamp};
use rewindow_world::case::{Case, FaultKind, SinkKind};
use rewindow_world::outcome::{Run, Sealed};

use super::openings::Openings;
use super::truth::Truth;
use super::{Breach, Claim, Kind};

/// The first row that consumers saw later than they should.
pub(super) fn breach(truth: &Truth, case: &Case, run: &Run, openings: &Openings<'_>) -> Option<Breach> {
    if case.deployment.sink != SinkKind::Transactional {
        return None;
    }
    let mut shown: BTreeMap<(usize, u32, Identity), Timestamp> = BTreeMap::new();
    for visible in &run.visible {
        let row = (visible.shard, visible.generation, visible.row.identity());
        let at = shown.entry(row).or_insert(visible.at);
        *at = visible.at.min(*at);
    }
    let mut staged: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (index, delivery) in run.deliveries.iter().enumerate() {
        staged.entry(delivery.shard).or_default().push(index);
    }
    let mut next: BTreeMap<usize, usize> = BTreeMap::new();
    for sealed in &run.sealed {
        let (of, next) = (staged.get(&sealed.shard), next.entry(sealed.shard).or_default());
        let due = due(case, run, openings, sealed);
        while let Some(&index) = of.and_then(|of| of.get(*next)).filter(|&&index| index < sealed.deliveries) {
            *next += 1;
            let delivery = &run.deliveries[index];
            let Some(due) = due.filter(|_| delivery.opened == sealed.opened) else { continue };
            for row in &delivery.rows {
                let seen = shown.get(&(sealed.shard, delivery.opened, row.identity()));
                if seen.is_some_and(|&at| at <= due) {
                    continue;
                }
                let message = format!(
                    "the checkpoint published at {} has it behind it, so it was due at {due}; consumers saw it {}",
                    sealed.at,
                    seen.map_or("never".to_owned(), |at| format!("at {at}"))
                );
                let (output, shard) = (Some(row.output), Some(sealed.shard));
                let output = output.filter(|&output| output < truth.plan.outputs.len());
                let mut breach =
                    truth.breach(Claim::Live, Kind::VisibleLate, output, shard, row.timestamp, message);
                breach.generation = Some(delivery.opened);
                breach.fault = openings.by(sealed.shard, sealed.at).map(|report| report.fault);
                breach.expected = Some(row.clone());
                return Some(breach);
            }
        }
    }
    None
}

/// When what was sealed must be visible; nothing where the sink was away and it cannot be told whether the writer was
/// there when it came back.
fn due(case: &Case, run: &Run, openings: &Openings<'_>, sealed: &Sealed) -> Option<Timestamp> {
    if sealed.away_until <= sealed.at {
        return Some(sealed.at);
    }
    let mut back = sealed.away_until;
    for fault in case.faults.iter().filter(|fault| fault.at >= sealed.at) {
        match fault.kind {
            FaultKind::SinkUnavailable { span } if fault.at <= back => back = fault.at.plus(span).max(back),
            _ => {}
        }
    }
    let hangs = case.faults.iter().any(|f| matches!(f.kind, FaultKind::Hang { .. }) && f.at <= back);
    let lives = run.changed_by.is_none() && !hangs && !openings.any_since(sealed.shard, sealed.at);
    lives.then_some(back)
}
