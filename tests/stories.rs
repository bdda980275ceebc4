//! The stories of the articles: one fault each, told line by line as the run shows it, and held by the judge.
//!
//! What no other suite would catch: a world in which every law holds and what happens is not what readers of the
//! articles would expect: another checkpoint, a longer replay, a row that comes late or twice. Each file of
//! `tests/cases/stories` begins with a picture of its timeline; how far each recovery reaches back is worked out here
//! by the formulas, from the case alone. Where a protection can be taken out, the story is broken without it.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

mod support;

use std::path::PathBuf;
use std::sync::Arc;

use rewindow::judge::{Kind, Leg, Truth, Verdict, legs};
use rewindow::trial::trial;
use rewindow_engine::plant::Plant;
use rewindow_query::{Entry, Outcome, Span};
use rewindow_world::case::{Case, Fault};
use rewindow_world::engine_subject::EngineSubject;
use rewindow_world::outcome::Run;
use rewindow_world::reached;
use support::narrator::story;
use support::{engine, truth};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/cases/stories")
}

fn committed(name: &str) -> Case {
    let path = folder().join(name).with_extension("toml");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let picture = text.lines().take_while(|line| line.starts_with('#'));
    assert!(picture.count() >= 4, "{name}: begins with a picture of its timeline");
    let case = Case::from_toml(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(Case::from_toml(&case.to_toml()).as_ref(), Ok(&case), "{name}: reads back as written");
    assert_eq!(case.name, name.replace('-', " "));
    case
}

// ---- what recoveries cost ---------------------------------------------------------------------------

/// Positions, entries and time of every recovery are those of the formulas (rules 12.3 and 13.1), worked out from the
/// case: from the checkpoint's positions; or all that arrived since one lookback and five minutes before the output.
fn costs(name: &str, case: &Case, truth: &Truth, run: &Run) {
    let lookback = truth.plan.lookback(0).max(Span::TICK);
    for report in &run.recoveries {
        let mut largest = 0;
        for (&(input, partition), kept) in &report.retained {
            let arrived = |entry: &&Entry| {
                (entry.input, entry.partition) == (input, partition) && entry.arrival <= report.at
            };
            let arrived: Vec<_> = case.history.entries.iter().filter(arrived).collect();
            assert_eq!(kept.next, arrived.len() as u64, "{name}: the end of the log");
            let position = report.answer.positions[&(input, partition)];
            let wanted = match (report.answer.outcome, &report.checkpoint) {
                (Outcome::FromCheckpoint, Some(record)) => record.positions[&(input, partition)],
                (Outcome::Replayed { from }, _) => {
                    let reach = report.output_from.minus(lookback).plus(Span::TICK).minus(Span::EARLY);
                    assert_eq!(from, reach, "{name}: a replay reaches back one lookback");
                    arrived.iter().filter(|entry| entry.arrival < from).count() as u64
                }
                (Outcome::Fresh, _) | (Outcome::FromCheckpoint, None) => 0,
            };
            assert_eq!(position, wanted.max(kept.first), "{name}: where it goes on");
            largest = largest.max(kept.next - position);
        }
        let seconds = largest.div_ceil(case.deployment.rate);
        if largest.is_multiple_of(case.deployment.rate) {
            assert_eq!(report.estimated, Span::seconds(seconds as i64), "{name}: by the rate");
        }
        if let Some(actual) = report.actual.filter(|_| report.slowness == 1 && report.stood == Span::ZERO) {
            assert_eq!(actual, report.estimated, "{name}: catching up takes as long as was said");
        }
    }
}

// ---- telling ----------------------------------------------------------------------------------------

/// How a story breaks without a protection.
fn broken_by(case: &Case, plant: Plant) -> Option<Kind> {
    let truth = truth(case);
    let subject = EngineSubject::of_case(&Arc::clone(&truth.plan), case).with_plant(plant);
    match trial(&truth, case, &subject, true).1 {
        Verdict::Held(_) => None,
        Verdict::Broken(breach) => Some(breach.kind),
    }
}

/// A story is told as expected and held, costs what the formulas say, and is broken by each of the plants, as told.
fn tell(name: &str, expected: &[&str], broken: &[(Plant, Kind)]) -> Run {
    let case = committed(name);
    let truth = truth(&case);
    let subject = engine(&truth.plan, &case);
    let (run, verdict) = trial(&truth, &case, subject.as_ref(), true);
    let legs = legs(&truth, &case, &run);
    let layout = |leg: &Leg<'_>| engine(&leg.truth.plan, &leg.case).layout();
    let told: Vec<String> = legs.iter().flat_map(|leg| story(leg.run, &layout(leg))).collect();
    if let Verdict::Broken(breach) = verdict {
        panic!("{name}: {}\n{}", breach.message, told.join("\n"));
    }
    legs.iter().for_each(|leg| costs(name, &leg.case, &leg.truth, leg.run));
    assert!(told == expected, "{name} goes otherwise:\n{}", told.join("\n"));
    for &(plant, kind) in broken {
        assert_eq!(broken_by(&case, plant), Some(kind), "{name} without protection: {}", plant.about());
    }
    run
}

// ---- the stories ------------------------------------------------------------------------------------

#[test]
fn node_kill_restores_checkpoint() {
    let told = [
        "00:04:00 node 0 saves",
        "00:06:00 row of 00:05: 5",
        "00:08:00 node 0 saves",
        "00:10:30 node kill, node 0, down 1 min",
        "00:11:30 node 0 opens job, node kill: from the checkpoint of 00:08, reads 0:8..11, level 3 s later",
        "00:11:30 row of 00:10: 5",
        "00:12:00 node 0 saves",
        "00:16:00 row of 00:15: 5",
        "00:16:00 node 0 saves",
        "00:16:01 row of 00:20: 1",
    ];
    let broken = [
        (Plant::OffsetOneTooFar, Kind::WrongPosition),
        (Plant::PendingRowsLost, Kind::CountsLess),
        (Plant::TumblingWindowLost, Kind::CountsLess),
    ];
    tell("node-kill-restores-checkpoint", &told, &broken);
}

#[test]
fn service_upgrade_reads_state() {
    let told = [
        "00:04:00 node 0 saves",
        "00:06:00 row of 00:05: 5",
        "00:08:00 node 0 saves",
        "00:10:30 upgrade, state, down 1 min",
        "00:11:30 node 0 opens job, upgrade, state: from the checkpoint of 00:08, reads 0:8..11, level 3 s later",
        "00:11:30 row of 00:10: 5",
        "00:12:00 node 0 saves",
        "00:16:00 row of 00:15: 5",
        "00:16:00 node 0 saves",
        "00:16:01 row of 00:20: 1",
    ];
    let broken =
        [(Plant::OffsetOneShort, Kind::WrongPosition), (Plant::TumblingWindowLost, Kind::CountsLess)];
    tell("service-upgrade-reads-state", &told, &broken);
}

#[test]
fn service_upgrade_replays() {
    let told = [
        "00:04:00 node 0 saves",
        "00:06:00 row of 00:05: 5",
        "00:08:00 node 0 saves",
        "00:11:00 row of 00:10: 5",
        "00:12:00 node 0 saves",
        "00:16:00 row of 00:15: 5",
        "00:16:00 node 0 saves",
        "00:18:30 upgrade, replay, down 1 min",
        "00:19:30 node 0 opens job, upgrade, replay: replays from 00:08, reads 0:8..19, level 11 s later",
        "00:20:00 node 0 saves",
        "00:21:00 row of 00:20: 5",
        "00:24:00 node 0 saves",
        "00:26:00 row of 00:25: 5",
        "00:28:00 node 0 saves",
        "00:28:00 row of 00:30: 1",
    ];
    let broken =
        [(Plant::ReplayTooShort, Kind::ReadTooLittle), (Plant::ReplayIgnoresEarlyLimit, Kind::ReadTooLittle)];
    tell("service-upgrade-replays", &told, &broken);
}

#[test]
fn user_restart_replays() {
    let told = [
        "00:04:00 node 0 saves",
        "00:06:00 row of 00:05: 5",
        "00:08:00 node 0 saves",
        "00:11:00 row of 00:10: 5",
        "00:12:00 node 0 saves",
        "00:16:00 row of 00:15: 5",
        "00:16:00 node 0 saves",
        "00:18:30 restart, stopped 4 min, output from the last one",
        "00:22:30 node 0 opens job, restart: replays from 00:05, reads 0:5..22, level 17 s later",
        "00:22:30 row of 00:15: 5 (again)",
        "00:22:30 row of 00:20: 5",
        "00:24:00 node 0 saves",
        "00:26:00 row of 00:25: 5",
        "00:28:00 node 0 saves",
        "00:28:00 row of 00:30: 1",
    ];
    let broken = [
        (Plant::RestartUsesCheckpoint, Kind::CheckpointForbidden),
        (Plant::ReplayTooShort, Kind::ReadTooLittle),
    ];
    tell("user-restart-replays", &told, &broken);
}

#[test]
fn changed_query_starts_anew() {
    let told = [
        "00:04:00 node 0 saves",
        "00:06:00 row of 00:05: 5",
        "00:08:00 node 0 saves",
        "00:11:00 row of 00:10: 5",
        "00:12:00 node 0 saves",
        "00:16:00 row of 00:15: 5",
        "00:16:00 node 0 saves",
        "00:18:30 restart, changed, stopped 4 min, output from the last one, another query",
        "00:22:30 node 0 opens job, restart, changed: replays from 00:00, reads 0:0..22, level 22 s later",
        "00:22:30 row of 00:20: 10",
        "00:24:00 node 0 saves",
        "00:28:00 row of 00:30: 6",
    ];
    let broken = [
        (Plant::FingerprintIgnored, Kind::CheckpointForbidden),
        (Plant::RestartUsesCheckpoint, Kind::Refused),
        (Plant::ReplayTooShort, Kind::ReadTooLittle),
    ];
    let run = tell("changed-query-starts-anew", &told, &broken);
    let then = run.then.as_deref().unwrap();
    assert!(then.recoveries[0].checkpoint.is_some(), "what the query before saved was there");
}

#[test]
fn partitions_added_while_stopped() {
    let told = [
        "00:04:00 node 0 saves",
        "00:06:00 row of 00:05: 5",
        "00:08:00 node 0 saves",
        "00:11:00 row of 00:10: 5",
        "00:12:00 node 0 saves",
        "00:16:00 row of 00:15: 5",
        "00:16:00 node 0 saves",
        "00:18:30 restart, changed, stopped 4 min, output from the last one, 2 partitions",
        "00:22:30 node 0 opens job, restart, changed: replays from 00:05, reads 0:5..20, reads 1:0..2, level 15 s later",
        "00:22:30 row of 00:15: 5",
        "00:22:30 row of 00:20: 5",
        "00:24:00 node 0 saves",
        "00:28:00 row of 00:25: 5",
        "00:28:00 row of 00:30: 1",
    ];
    let broken = [(Plant::ReplayTooShort, Kind::ReadTooLittle)];
    tell("partitions-added-while-stopped", &told, &broken);
}

#[test]
fn retention_shorter_than_window() {
    let told = [
        "00:04:00 node 0 saves",
        "00:11:00 row of 00:10: 10",
        "00:12:00 node 0 saves",
        "00:18:30 upgrade, replay, down 1 min",
        "00:19:30 node 0 opens job, upgrade, replay: replays from 00:03, reads 0:13..19, may lack something 00:18..00:28, level 6 s later",
        "00:20:00 node 0 saves",
        "00:21:00 row of 00:20: 7",
        "00:24:00 node 0 saves",
        "00:28:00 row of 00:30: 6",
    ];
    let broken = [(Plant::RetentionGapSilent, Kind::GapSilent)];
    tell("retention-shorter-than-window", &told, &broken);
}

#[test]
fn stateless_query_replays_nothing() {
    let told = [
        "00:02:00 row of 00:01: 2",
        "00:04:00 node 0 saves",
        "00:06:00 row of 00:05: 2",
        "00:08:00 node 0 saves",
        "00:10:30 upgrade, replay, down 1 min",
        "00:11:30 node 0 opens job, upgrade, replay: replays from 00:07, reads 0:6..9, level 3 s later",
        "00:12:00 node 0 saves",
        "00:13:00 row of 00:12: 2",
        "00:14:00 row of 00:13: 2",
        "00:16:00 node 0 saves",
    ];
    let broken = [(Plant::ReplayIgnoresEarlyLimit, Kind::ReadTooLittle)];
    tell("stateless-query-replays-nothing", &told, &broken);
}

#[test]
fn os_upgrade_rolls_node_by_node() {
    let told = [
        "00:02:00 node 1 saves",
        "00:04:00 node 0 saves",
        "00:06:00 row of 00:05 in partition 0: 5",
        "00:06:00 row of 00:05 in partition 1: 5",
        "00:06:00 node 1 saves",
        "00:08:00 node 0 saves",
        "00:10:00 node 1 saves",
        "00:10:30 os upgrade, each node down 1 min",
        "00:11:00 row of 00:10 in partition 1: 5",
        "00:11:30 node 0 opens job, os upgrade: from the checkpoint of 00:08, reads 0:8..11, level 3 s later",
        "00:11:30 row of 00:10 in partition 0: 5",
        "00:12:00 node 0 saves",
        "00:12:30 node 1 opens job, os upgrade: from the checkpoint of 00:10, reads 1:10..12, level 2 s later",
        "00:12:30 row of 00:10 in partition 1: 5 (again)",
        "00:14:00 node 1 saves",
        "00:16:00 row of 00:15 in partition 0: 5",
        "00:16:00 row of 00:15 in partition 1: 5",
        "00:16:00 node 0 saves",
        "00:18:00 node 1 saves",
        "00:18:00 row of 00:20 in partition 0: 1",
        "00:18:00 row of 00:20 in partition 1: 1",
    ];
    let broken =
        [(Plant::OffsetOneShort, Kind::WrongPosition), (Plant::TumblingWindowLost, Kind::CountsLess)];
    tell("os-upgrade-rolls-node-by-node", &told, &broken);
}

#[test]
fn zombie_is_fenced() {
    let told = [
        "00:04:00 node 0 saves",
        "00:06:00 row of 00:05: 5",
        "00:08:00 node 0 saves",
        "00:09:30 hang, node 0, replaced after 2 min, back after 5 min 15 s",
        "00:11:30 node 0 opens job, hang: from the checkpoint of 00:08, reads 0:8..11, level 3 s later",
        "00:11:30 row of 00:10: 5",
        "00:12:00 node 0 saves",
        "00:14:45 node 0 comes back, and has been replaced",
        "00:14:45 node 0 is refused",
        "00:16:00 row of 00:15: 5",
        "00:16:00 node 0 saves",
        "00:16:01 row of 00:20: 1",
    ];
    let broken = [(Plant::FencingAbsent, Kind::Zombie)];
    tell("zombie-is-fenced", &told, &broken);
}

#[test]
fn torn_checkpoint_falls_back_to_the_one_before() {
    let told = [
        "00:04:00 node 0 saves",
        "00:06:00 row of 00:05: 5",
        "00:06:30 checkpoint, the next of node 0 is torn",
        "00:08:00 node 0 saves: torn",
        "00:10:30 node kill, node 0, down 1 min",
        "00:11:30 node 0 opens job, node kill: from the checkpoint of 00:04, reads 0:4..11, level 7 s later",
        "00:11:30 row of 00:05: 5 (again)",
        "00:11:30 row of 00:10: 5",
        "00:12:00 node 0 saves",
        "00:16:00 row of 00:15: 5",
        "00:16:00 node 0 saves",
        "00:16:01 row of 00:20: 1",
    ];
    let broken =
        [(Plant::PublishNotAtomic, Kind::CheckpointUnused), (Plant::CollectTooEarly, Kind::CheckpointUnused)];
    tell("torn-checkpoint-falls-back-to-the-one-before", &told, &broken);
}

#[test]
fn rollback_cannot_read_newer_state() {
    let told = [
        "00:04:00 node 0 saves",
        "00:06:00 row of 00:05: 5",
        "00:06:30 upgrade, state, down 1 min",
        "00:07:30 node 0 opens job, upgrade, state: from the checkpoint of 00:04, reads 0:4..7, level 3 s later",
        "00:07:30 row of 00:05: 5 (again)",
        "00:08:00 node 0 saves",
        "00:11:00 row of 00:10: 5",
        "00:12:00 node 0 saves",
        "00:16:00 row of 00:15: 5",
        "00:16:00 node 0 saves",
        "00:16:30 rollback, down 1 min",
        "00:17:30 node 0 opens job, rollback: replays from 00:06, reads 0:6..17, level 11 s later",
        "00:20:00 node 0 saves",
        "00:21:00 row of 00:20: 5",
        "00:24:00 node 0 saves",
        "00:26:00 row of 00:25: 5",
        "00:28:00 node 0 saves",
        "00:28:00 row of 00:30: 1",
    ];
    let broken = [(Plant::ReplayTooShort, Kind::ReadTooLittle), (Plant::EpochKept, Kind::Refused)];
    tell("rollback-cannot-read-newer-state", &told, &broken);
}

#[test]
fn packet_delayed_across_a_restart() {
    let told = [
        "00:06:02 row of 00:05: a, 5, 15",
        "00:06:02 row of 00:05: b, 5, 15",
        "00:11:02 row of 00:10: a, 5, 40",
        "00:11:02 row of 00:10: b, 5, 40",
        "00:16:02 row of 00:15: a, 5, 65",
        "00:16:02 row of 00:15: b, 5, 65",
        "00:19:30 link, what node 0 sends: delay 5 min, for 1 min",
        "00:20:30 restart, stopped 1 min, output from the last one",
        "00:21:30 node 0 opens partition 0, restart: replays from 00:05, reads 0:5..21, level 16 s later",
        "00:21:30 node 0 opens keyed 0, restart: replays from 00:05",
        "00:21:30 node 0 opens merge, restart: replays from 00:05",
        "00:21:30 node 1 opens partition 1, restart: replays from 00:05, reads 1:5..21, level 16 s later",
        "00:21:30 node 1 opens keyed 1, restart: replays from 00:05",
        "00:21:32 row of 00:15: a, 5, 65 (again)",
        "00:21:32 row of 00:15: b, 5, 65 (again)",
        "00:21:32 row of 00:20: a, 5, 90",
        "00:21:32 row of 00:20: b, 5, 90",
        "00:26:02 row of 00:25: a, 5, 115",
        "00:26:02 row of 00:25: b, 5, 115",
        "00:30:02 row of 00:30: a, 1, 26",
        "00:30:02 row of 00:30: b, 1, 26",
    ];
    let broken = [(Plant::LinkEpochIgnored, Kind::CountsLess), (Plant::RestartUsesCheckpoint, Kind::Refused)];
    let run = tell("packet-delayed-across-a-restart", &told, &broken);
    assert_eq!(
        run.reached.get(reached::PACKET_STALE),
        Some(&2),
        "both packets of the old epoch come, and are not taken"
    );
}

#[test]
fn node_restart_asks_upstream_again() {
    let told = [
        "00:06:02 row of 00:05: a, 5",
        "00:06:02 row of 00:05: b, 5",
        "00:10:30 node kill, node 1, down 1 min",
        "00:11:30 node 1 opens partition 1, node kill: from the checkpoint of 00:10, reads 1:10..11, level 1 s later",
        "00:11:30 node 1 opens keyed 1, node kill: from the checkpoint of 00:10",
        "00:11:30 partition 0 sends keyed 1 rows 4..5 again",
        "00:11:30 partition 1 sends keyed 1 rows 4..5 again",
        "00:11:32 row of 00:10: a, 5",
        "00:11:32 row of 00:10: b, 5",
        "00:16:02 row of 00:15: a, 5",
        "00:16:02 row of 00:15: b, 5",
        "00:20:02 row of 00:20: a, 1",
        "00:20:02 row of 00:20: b, 1",
    ];
    let broken = [
        (Plant::LinkHistoryDropped, Kind::CountsLess),
        (Plant::LinkNumbersRestart, Kind::CountsLess),
        (Plant::KeyedRouteChanges, Kind::CountsLess),
    ];
    tell("node-restart-asks-upstream-again", &told, &broken);
}

/// The job of [`node_restart_asks_upstream_again`] started again in ways that may use nothing of before: none of its
/// tasks has less to be tempted by than a job of one task.
#[test]
fn what_must_not_be_used_is_offered_to_every_task() {
    let staged = committed("node-restart-asks-upstream-again");
    let restart = committed("user-restart-replays").faults[0].clone();
    let upgrade = committed("service-upgrade-replays").faults[0].clone();
    let another = committed("changed-query-starts-anew").faults[0].clone();
    for fault in [restart, upgrade, another] {
        let (at, name) = (staged.faults[0].at, fault.kind.name());
        let case = Case { faults: vec![Fault { at, ..fault }], ..staged.clone() };
        let truth = truth(&case);
        let (run, verdict) = trial(&truth, &case, &*engine(&truth.plan, &case), true);
        assert!(matches!(verdict, Verdict::Held(_)), "{name}: {verdict:?}");
        let last = legs(&truth, &case, &run).pop().unwrap();
        let tasks = last.run.recoveries.iter().filter(|report| report.checkpoint.is_some());
        assert_eq!(tasks.count(), engine(&last.truth.plan, &last.case).layout().tasks.len(), "{name}");
        assert!(last.run.recoveries.iter().all(|report| report.answer.outcome != Outcome::FromCheckpoint));
    }
}

#[test]
fn sink_away_nothing_lost() {
    let told = [
        "00:04:00 node 0 saves",
        "00:06:00 row of 00:05: 5",
        "00:08:00 node 0 saves",
        "00:09:30 sink unavailable for 8 min",
        "00:11:00 a write waits",
        "00:17:30 row of 00:10: 5",
        "00:17:30 row of 00:15: 5",
        "00:20:00 node 0 saves",
        "00:21:00 row of 00:20: 5",
        "00:24:00 node 0 saves",
        "00:24:00 row of 00:25: 1",
    ];
    let broken = [(Plant::RetryReorders, Kind::OutOfOrder)];
    let run = tell("sink-away-nothing-lost", &told, &broken);
    assert_eq!(run.reached.get(reached::SAVE_PUT_OFF), Some(&2), "0:12 and 0:16");
}

#[test]
fn transaction_committed_by_successor() {
    let told = [
        "00:04:00 node 0 saves",
        "00:04:00 transaction 1 committed: 0 rows",
        "00:06:00 row of 00:05: 5",
        "00:07:30 sink unavailable for 3 min 30 s",
        "00:08:00 node 0 saves",
        "00:08:00 a write waits",
        "00:10:30 node kill, node 0, down 1 min",
        "00:11:30 transaction 2 committed: 1 rows",
        "00:11:30 node 0 opens job, node kill: from the checkpoint of 00:08, reads 0:8..11, level 3 s later",
        "00:11:30 row of 00:10: 5",
        "00:12:00 node 0 saves",
        "00:12:00 transaction 3 committed: 1 rows",
        "00:16:00 row of 00:15: 5",
        "00:16:00 node 0 saves",
        "00:16:00 transaction 4 committed: 1 rows",
        "00:16:01 row of 00:20: 1",
        "00:16:01 transaction 5 committed: 1 rows",
    ];
    let broken = [(Plant::CommitForgotten, Kind::NotVisible)];
    tell("transaction-committed-by-successor", &told, &broken);
}

#[test]
fn slow_node() {
    let told = [
        "00:04:00 node 0 saves",
        "00:06:00 row of 00:05: 5",
        "00:08:00 node 0 saves",
        "00:10:30 node kill, node 0, down 1 min",
        "00:11:00 slow node, node 0, 10 times slower for 10 min",
        "00:11:30 node 0 opens job, node kill: from the checkpoint of 00:08, reads 0:8..11, level 3 s later (slow)",
        "00:11:30 row of 00:10: 5",
        "00:12:00 node 0 saves",
        "00:16:00 row of 00:15: 5",
        "00:16:00 node 0 saves",
        "00:16:01 row of 00:20: 1",
    ];
    let broken = [(Plant::PendingRowsLost, Kind::CountsLess)];
    tell("slow-node", &told, &broken);
}

#[test]
fn scale_out() {
    let told = [
        "00:06:02 row of 00:05: a, 5",
        "00:06:02 row of 00:05: b, 5",
        "00:10:30 scale, 3 nodes, tasks that move down 1 min",
        "00:11:30 node 2 opens keyed 0, scale: from the checkpoint of 00:08",
        "00:11:30 partition 0 sends keyed 0 rows 3..5 again",
        "00:11:30 partition 1 sends keyed 0 rows 3..5 again",
        "00:11:30 node 0 opens keyed 1, scale: from the checkpoint of 00:10",
        "00:11:30 partition 0 sends keyed 1 rows 4..5 again",
        "00:11:30 partition 1 sends keyed 1 rows 4..5 again",
        "00:11:30 node 1 opens merge, scale: from the checkpoint of 00:08",
        "00:11:32 row of 00:10: a, 5",
        "00:11:32 row of 00:10: b, 5",
        "00:16:02 row of 00:15: a, 5",
        "00:16:02 row of 00:15: b, 5",
        "00:20:02 row of 00:20: a, 1",
        "00:20:02 row of 00:20: b, 1",
    ];
    let broken = [
        (Plant::LinkHistoryDropped, Kind::CountsLess),
        (Plant::LinkNumbersRestart, Kind::Lost),
        (Plant::MergeByArrival, Kind::OutOfOrder),
    ];
    tell("scale-out", &told, &broken);
}

/// No file without its test, and no picture without its story.
#[test]
fn every_file_is_told() {
    let mut files: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|file| file.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    files.sort();
    let source = include_str!("stories.rs");
    let untold: Vec<&String> =
        files.iter().filter(|name| !source.contains(&format!("tell(\"{name}\""))).collect();
    assert!(files.len() >= 16 && untold.is_empty(), "{untold:?} of {} are not told", files.len());
}
