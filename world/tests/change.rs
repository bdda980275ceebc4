//! Another job in place of the one that ran: what it is, and what it finds.
//!
//! What no other suite would catch: a change that moves what arrived before it, or a start at which what was saved before
//! is not there to be misused.

mod toy;

use std::collections::BTreeMap;
use std::sync::Arc;

use rewindow_query::{Outcome, Span, Timestamp, Why};
use rewindow_world::case::{Case, FaultKind, StartMode};
use rewindow_world::run::{begin, go_on};
use rewindow_world::{RunOptions, reached};
use toy::{Toy, case, minute, plan};

fn change(query: Option<&str>, partitions: Option<u32>) -> FaultKind {
    let query = query.map(Arc::from);
    FaultKind::JobChange { stopped: Span::minutes(5), start: StartMode::WhenLastStopped, query, partitions }
}

/// Two partitions with an event each every ten minutes, and these faults.
fn steady(faults: Vec<(i64, FaultKind)>) -> Case {
    let events: Vec<(u32, i64)> = (0..12).flat_map(|n| [(0, n * 10), (1, n * 10)]).collect();
    case(2, &events, faults)
}

#[test]
fn what_arrived_stays_and_what_arrives_is_dealt_out_in_turn() {
    let case = steady(vec![(50, change(Some("SELECT 2"), Some(3)))]);
    let changed = case.changed(0);
    assert_eq!(changed.check(), Ok(()));
    assert_eq!((&*changed.query, changed.inputs[0].partitions), ("SELECT 2", 3));
    let mut of = BTreeMap::<u32, Vec<Timestamp>>::new();
    for (before, after) in case.history.entries.iter().zip(&changed.history.entries) {
        assert_eq!((before.arrival, &before.payload), (after.arrival, &after.payload));
        assert!(before.arrival > minute(50) || before == after, "what arrives with the stop has arrived");
        of.entry(after.partition).or_default().push(after.arrival);
    }
    let later = |partition| -> Vec<Timestamp> {
        of[&partition].iter().copied().filter(|&at| at > minute(50)).collect()
    };
    assert_eq!(later(0), [60, 70, 90, 100].map(minute));
    assert_eq!(later(1), [60, 80, 90, 110].map(minute));
    assert_eq!(later(2), [70, 80, 100, 110].map(minute));
    // A change of nothing, and a fault that is none.
    assert_eq!(case.changed(1), case);
    let same = steady(vec![(50, change(None, Some(2)))]).changed(0);
    assert_eq!(same.inputs, steady(Vec::new()).inputs);
}

#[test]
fn a_history_listed_partition_by_partition_is_dealt_out_as_well() {
    let events: Vec<(u32, i64)> = (0..2).flat_map(|p| (0..12).map(move |n| (p, n * 10))).collect();
    let case = case(2, &events, vec![(50, change(None, Some(3)))]);
    let changed = case.changed(0);
    assert_eq!(changed.check(), Ok(()));
    let of = |case: &Case| {
        let all = case.history.entries.iter();
        let mut all: Vec<_> = all.map(|e| (e.arrival, e.partition, e.offset)).collect();
        all.sort_unstable();
        all
    };
    assert_eq!(of(&changed), of(&steady(vec![(50, change(None, Some(3)))]).changed(0)));
}

#[test]
fn fewer_partitions_are_refused() {
    let code = |faults| steady(faults).check().map_err(|error| error.code);
    assert_eq!(code(vec![(50, change(None, Some(1)))]), Err("case-fault"));
    assert_eq!(code(vec![(50, change(None, Some(4))), (60, change(None, Some(3)))]), Err("case-fault"));
    assert_eq!(code(vec![(50, change(None, Some(3))), (60, change(None, Some(4)))]), Ok(()));
    assert_eq!(code(vec![(50, change(None, Some(1_025)))]), Err("case-fault"));
    let changes = |count: i64| (0..count).map(|n| (50 + n, change(None, Some(3)))).collect();
    assert_eq!((code(changes(32)), code(changes(33))), (Ok(()), Err("case-bound")));
}

#[test]
fn the_other_job_begins_with_what_was_left_behind_and_uses_none_of_it() {
    let cut = FaultKind::RetentionCut { keep: Span::minutes(20) };
    let scale = FaultKind::Scale { nodes: 3, down: Span::ZERO };
    let case = steady(vec![(30, scale), (52, cut), (55, change(None, Some(3)))]);
    let options = RunOptions { trace: true };
    let (run, left) = begin(&case, &plan(), &Toy::parallel(2), options).unwrap();
    let left = left.expect("the user starts another");
    assert_eq!((left.fault(), run.changed_by, run.reached[reached::CHANGED]), (2, Some(2), 1));
    assert!(run.skipped.iter().all(|s| s.until == Timestamp::MAX), "nothing more is asked of it");
    assert!(run.trace.iter().all(|step| step.at <= minute(55)), "it ends with the stop");
    let (then, end) = go_on(left, &case.changed(2), &plan(), &Toy::parallel(3), options).unwrap();
    assert!(end.is_none());
    assert_eq!(then.recoveries.len(), 3);
    for report in &then.recoveries {
        assert_eq!((report.at, report.why, report.fault), (minute(60), Why::UserRestart, "restart, changed"));
        assert_eq!((report.generation, report.node), (1, u32::try_from(report.task).unwrap()));
        assert!(matches!(report.answer.outcome, Outcome::Replayed { .. }));
        // What was saved is there for those that have a predecessor, and the source has not got anything back.
        assert_eq!(report.checkpoint.is_some(), report.task < 2);
        let kept = report.retained[&(0, u32::try_from(report.task).unwrap())];
        assert!(kept.lost_until.is_some(), "{kept:?}");
    }
    let from = then.recoveries[0].output_from;
    assert!(then.deliveries.iter().flat_map(|d| &d.rows).all(|row| row.timestamp >= from));
    assert!(then.deliveries.iter().any(|d| d.shard == 2), "the new partition gives rows");
    // Whoever lives by what was saved is seen.
    let left = begin(&case, &plan(), &Toy::parallel(2), options).unwrap().1.unwrap();
    let trusting = Toy::parallel(3).with(toy::Bug::TrustsOldState);
    let (then, _) = go_on(left, &case.changed(2), &plan(), &trusting, options).unwrap();
    let used = |r: &&rewindow_world::outcome::RecoveryReport| r.answer.outcome == Outcome::FromCheckpoint;
    assert_eq!(then.recoveries.iter().filter(used).count(), 2);
}

#[test]
fn a_job_that_has_failed_is_another_one_once_the_user_starts_it() {
    let restart = |start| FaultKind::UserRestart { stopped: Span::minutes(5), start };
    let mut case = steady(vec![(100, restart(StartMode::Now))]);
    let mut history = (*case.history).clone();
    history.entries[0].payload = rewindow_query::Payload::Malformed("fatal".into());
    let failed_at = history.entries[0].arrival;
    case.history = std::sync::Arc::new(history);
    let options = RunOptions { trace: true };
    let subject = Toy::parallel(2);
    let (run, left) = begin(&case, &plan(), &subject, options).unwrap();
    assert_eq!((run.changed_by, run.failures.len(), run.reached[reached::STARTED_FAILED]), (Some(0), 2, 1));
    let left = left.expect("the user starts it");
    let (then, end) = go_on(left, &case.changed(0), &plan(), &subject, options).unwrap();
    assert!(end.is_none() && then.failures.is_empty(), "it begins behind {failed_at}");
    let given: Vec<_> = then.deliveries.iter().flat_map(|d| &d.rows).map(|row| row.timestamp).collect();
    assert_eq!(given.iter().min(), Some(&minute(110)), "from the start on");
    assert_eq!((then.recoveries.len(), then.recoveries[0].why), (2, Why::UserRestart));
    // One that has not failed goes on as the job it is.
    let (run, left) =
        begin(&steady(vec![(100, restart(StartMode::Now))]), &plan(), &subject, options).unwrap();
    assert!(left.is_none() && run.changed_by.is_none());
    assert!(!run.reached.contains_key(reached::STARTED_FAILED));
}

#[test]
fn a_second_start_sees_where_the_job_left_off_that_both_take_the_place_of() {
    let restart = |start| FaultKind::UserRestart { stopped: Span::minutes(5), start };
    let last = StartMode::WhenLastStopped;
    let from = |faults| {
        let case = steady(faults);
        let (_, left) = begin(&case, &plan(), &Toy::parallel(2), RunOptions { trace: true }).unwrap();
        let index = left.as_ref().expect("the user starts another").fault();
        let (run, _) = go_on(
            left.unwrap(),
            &case.changed(index),
            &plan(),
            &Toy::parallel(3),
            RunOptions { trace: true },
        )
        .unwrap();
        run.recoveries.iter().map(|report| report.output_from).min().unwrap()
    };
    let one = from(vec![(55, change(None, Some(3)))]);
    assert!(one > minute(0), "{one}");
    assert_eq!(from(vec![(55, change(None, Some(3))), (57, restart(last))]), one);
}
