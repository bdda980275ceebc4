//! Every bug planted in ordering, checkpoint and recovery is found by a history a person can follow. Would
//! catch a plant that does nothing, and a suite that would not notice it.
#![cfg(feature = "plant")]
#![allow(clippy::unwrap_used)]

mod common;

use common::{Logs, View, at, drain, ordering, plan, whole};
use rewindow_engine::{Instance, Opening, Plant};
use rewindow_query::{Gap, Ordering, Outcome, Payload, Policy, Row, Timestamp, Why};

const QUERY: &str = "SELECT k, COUNT(*) AS n FROM Feed TIMESTAMP BY t GROUP BY k, TumblingWindow(minute, 10)";

fn policy() -> Ordering {
    ordering(60, 5, Policy::Drop)
}

/// Two partitions, an event each second in one and every third in the other, a few out of order, some early.
fn logs() -> Logs {
    let mut logs = Logs::default();
    for second in 0..3000 {
        let partition = u32::from(second % 3 == 0);
        let shift = match second % 10 {
            3 => -4,
            // Further back than the tolerance of 5 s: dropped.
            7 => -30,
            5 if second % 100 == 5 => 290,
            _ => 0,
        };
        // One partition is silent for a while, and its time is estimated.
        if partition == 1 && (700..760).contains(&second) {
            logs.push(0, 1, at(f64::from(second)), Payload::Estimate);
            continue;
        }
        let t = at(f64::from(second + if partition == 0 { shift } else { shift.min(0) }));
        logs.event(0, partition, at(f64::from(second)), &format!(r#"{{"k":"a","t":"{t}"}}"#));
    }
    logs
}

/// What a kill, or a restart, after so many entries leaves: outcome, gaps, all rows owed.
fn interrupted(
    why: Why,
    after: usize,
    forgotten: f64,
    plant: Option<Plant>,
) -> (Outcome, Vec<Gap>, Vec<Row>) {
    let (plan, logs) = (plan(QUERY), logs());
    let shard = plan.shards(&[2]).remove(0);
    let open = |why, output_from, checkpoint: Option<&[u8]>, forgotten| {
        let log = View { logs: &logs, forgotten_before: forgotten };
        let opening = Opening { why, output_from, checkpoint, log: &log };
        Instance::open_planted(plan.clone(), shard.clone(), policy(), opening, plant).unwrap()
    };
    let (mut first, _) = open(Why::Fresh, Timestamp::MIN, None, Timestamp::MIN);
    let mut rows = Vec::new();
    for entry in logs.merged().into_iter().take(after) {
        rows.extend(first.feed(entry.input, entry.partition, &[entry]).unwrap().rows);
    }
    let bytes = first.checkpoint();
    let from = if why == Why::AfterKill { Timestamp::MIN } else { first.frontier() };
    let (mut second, recovered) = open(why, from, Some(&bytes), at(forgotten));
    rows.retain(|row| row.timestamp < from || why == Why::AfterKill);
    rows.extend(drain(&mut second, &logs));
    (recovered.outcome, recovered.gaps, rows)
}

fn owed() -> Vec<Row> {
    let (plan, logs) = (plan(QUERY), logs());
    let shard = plan.shards(&[2]).remove(0);
    whole(&plan, &shard, policy(), &logs)
}

/// Whether a run with the plant is told from one that is right, somewhere along the history.
fn found(plant: Option<Plant>) -> bool {
    let whole = owed();
    let (_, gaps, rows) = interrupted(Why::UserRestart, 2000, 1990.0, plant);
    if gaps.is_empty() && rows != whole {
        return true;
    }
    let places = (1..2990).step_by(83).flat_map(|after| [(after, Why::AfterKill), (after, Why::UserRestart)]);
    places.into_iter().any(|(after, why)| {
        let (outcome, gaps, rows) = interrupted(why, after, -1.0, plant);
        let used = outcome == Outcome::FromCheckpoint;
        rows != whole || !gaps.is_empty() || used != (why == Why::AfterKill)
    })
}

#[test]
fn every_plant_of_the_core_is_found_and_nothing_else() {
    assert!(!found(None), "without a plant nothing is found");
    for plant in [
        Plant::CheckpointForgetsWatermark,
        Plant::OffsetOneTooFar,
        Plant::OffsetOneShort,
        Plant::PendingRowsLost,
        Plant::RetentionGapSilent,
        Plant::RestartUsesCheckpoint,
        Plant::ReplayTooShort,
        Plant::ReplayIgnoresEarlyLimit,
        Plant::IdlePartitionForgotten,
        Plant::TumblingWindowLost,
    ] {
        assert!(found(Some(plant)), "{} is not found", plant.name());
    }
}
