//! Claim 3, *recover*: where nothing needed is forgotten, any schedule of faults gives the uninterrupted rows.
//!
//! What no other suite would catch: what goes wrong between things that are each right: a fault inside the
//! recovery from another, nodes that save at different moments, a catch-up that is cut short. The source keeps
//! everything here; `gap.rs` is about the rest.

mod support;

use std::collections::BTreeSet;

use rewindow::generate::{Trouble, Vary, schedule, small_case};
use rewindow::judge::{Truth, Verdict};
use rewindow::trial::trial;
use rewindow_world::case::Case;
use rewindow_world::outcome::Run;
use rewindow_world::reached;
use support::{Reached, Search, engine, holds_in_the_world, truth};

/// All that can happen to a job whose source forgets nothing.
const TROUBLES: [Trouble; 15] = [
    Trouble::NodeKill,
    Trouble::OsUpgrade,
    Trouble::UpgradeState,
    Trouble::UpgradeReplay,
    Trouble::Restart,
    Trouble::JobChange,
    Trouble::Hang,
    Trouble::RollingUpgrade,
    Trouble::Rollback,
    Trouble::Scale,
    Trouble::Slow,
    Trouble::Checkpoint,
    Trouble::Link,
    Trouble::SinkUnavailable,
    Trouble::SinkAckLost,
];
/// Those in front of these open tasks again.
const OPENING: usize = 10;

/// Schedules that one job goes through: to make a job, and to work out what it owes, takes half as long as to try one.
const SCHEDULES: u64 = 4;

fn check(name: &'static str, cases: u64, troubles: &[Trouble], required: &[&str]) {
    let search = Search::new(name, cases).each(SCHEDULES);
    let mut reached = Reached::default();
    search.run(
        |number, choices| {
            let base = small_case(choices);
            let owed = truth(&base);
            let mut vary = Vary::all(&owed.plan, &base.ordering);
            (vary.faults, vary.retention) = (troubles.to_vec(), false);
            let mut base = Case { faults: Vec::new(), ..base };
            (base.deployment.retention, base.deployment.retention_size) = (None, None);
            (0..SCHEDULES).map(|_| one(&search, number, &schedule(&base, &vary, choices), &owed)).collect()
        },
        |seen: Vec<(Run, Vec<&str>)>| seen.iter().for_each(|(run, sink)| note(run, sink, &mut reached)),
    );
    search.require(&reached, required);
}

/// What a schedule came to, and those of its faults that struck the sink: nothing is opened again for them.
fn one(search: &Search, number: u64, case: &Case, owed: &Truth) -> Result<(Run, Vec<&'static str>), String> {
    let (run, verdict) = trial(owed, case, engine(&owed.plan, case).as_ref(), false);
    if let Verdict::Broken(_) = verdict {
        search.ask(number, case, &holds_in_the_world)?;
        return Err("broke once and then held".to_owned());
    }
    // The judge refuses a gap that need not be. Here none need be.
    if run.legs().flat_map(|leg| &leg.recoveries).any(|report| !report.answer.gaps.is_empty()) {
        return Err(format!("a gap where nothing is forgotten\n{}", case.to_toml()));
    }
    let sink = case.faults.iter().filter(|fault| fault.kind.strikes_sink());
    Ok((run, sink.map(|fault| fault.kind.name()).collect()))
}

fn note(run: &Run, sink: &[&'static str], reached: &mut Reached) {
    for (&state, &count) in run.legs().flat_map(|leg| &leg.reached) {
        reached.add(state, count);
    }
    let reports = run.legs().flat_map(|leg| &leg.recoveries);
    let kinds: BTreeSet<&str> = reports.map(|report| report.fault).chain(sink.iter().copied()).collect();
    for first in &kinds {
        kinds
            .iter()
            .filter(|second| *second > first)
            .for_each(|second| reached.note(format!("{first} and {second}")));
    }
}

#[test]
fn node_kill() {
    let states =
        [reached::FROM_CHECKPOINT, reached::RESTORED_OPEN, reached::NO_CHECKPOINT, reached::STRUCK_AGAIN];
    check("recover-node-kill", 2_000, &[Trouble::NodeKill], &states);
}

#[test]
fn os_upgrade() {
    let states = [reached::OS_UPGRADE, reached::FROM_CHECKPOINT, reached::STRUCK_DOWN];
    check("recover-os-upgrade", 2_000, &[Trouble::OsUpgrade], &states);
}

#[test]
fn service_upgrade() {
    let troubles = [Trouble::UpgradeState, Trouble::UpgradeReplay];
    let states =
        [reached::UPGRADE_STATE, reached::UPGRADE_REPLAY, reached::REPLAYED, reached::FROM_CHECKPOINT];
    check("recover-service-upgrade", 2_000, &troubles, &states);
}

#[test]
fn user_restart() {
    let states = [
        reached::START_NOW,
        reached::START_CUSTOM,
        reached::START_LAST,
        reached::SKIPPED,
        reached::STARTED_BACK,
        reached::COPIES,
    ];
    check("recover-user-restart", 2_000, &[Trouble::Restart], &states);
}

#[test]
fn another_job() {
    let states = [reached::CHANGED, reached::REPLAYED, reached::START_LAST, reached::SKIPPED];
    check("recover-job-change", 2_000, &[Trouble::JobChange, Trouble::NodeKill], &states);
}

#[test]
fn all_together() {
    let mut required: Vec<String> = Vec::new();
    let opening = &TROUBLES[..OPENING];
    for (at, first) in opening.iter().enumerate() {
        for second in &opening[at + 1..] {
            let (first, second) = (first.name(), second.name());
            required.push(format!("{} and {}", first.min(second), first.max(second)));
        }
    }
    // Nothing is forgotten here, and the last needs more luck than one sink in four has: `sinks` asks for it.
    let forgetful = [reached::EXPIRED, reached::EXPIRED_READER, reached::GAP, reached::COMMITTED_LATE];
    required.extend(reached::ALL.iter().filter(|state| !forgetful.contains(state)).map(|s| (*s).to_owned()));
    let required: Vec<&str> = required.iter().map(String::as_str).collect();
    check("recover", 10_000, &TROUBLES, &required);
}
