//! What hangs, and what comes back: what waits in its memory, what ends it, and what it may not use up.
//!
//! Catches a world that lets a node write that nobody hears of, or that keeps a process alive whose machine is gone. That
//! rows come out right all the same is asked in `faults.rs`.

mod toy;

use rewindow_query::{Span, Timestamp};
use rewindow_world::case::{Case, Damage, FaultKind};
use rewindow_world::outcome::{Run, What};
use rewindow_world::{reached, run};
use toy::{Toy, breaches, case, minute, plan};

/// One event a minute from minute 1 to `minutes`, one partition, on node 0 of 2.
fn steady(minutes: i64, faults: Vec<(i64, FaultKind)>) -> Case {
    let events: Vec<(u32, i64)> = (1..=minutes).map(|m| (0, m)).collect();
    case(1, &events, faults)
}

fn hang(noticed: i64, back: i64) -> FaultKind {
    FaultKind::Hang { node: 0, noticed: Span::minutes(noticed), back: Span::minutes(back) }
}

fn away(minutes: i64) -> FaultKind {
    FaultKind::SinkUnavailable { span: Span::minutes(minutes) }
}

fn kill(down: i64) -> FaultKind {
    FaultKind::NodeKill { node: 0, down: Span::minutes(down) }
}

fn held(case: &Case) -> Run {
    let subject = Toy::parallel(1);
    let run = run(case, &plan(), &subject);
    assert_eq!(breaches(case, &subject, &run), Vec::<String>::new());
    run
}

/// When rows reached the sink in `from..until`.
fn written(run: &Run, from: i64, until: i64) -> Vec<Timestamp> {
    let inside = |at: &Timestamp| (minute(from)..minute(until)).contains(at);
    run.deliveries.iter().map(|delivery| delivery.at).filter(inside).collect()
}

fn count(run: &Run, what: &What) -> usize {
    run.trace.iter().filter(|step| step.what == *what).count()
}

#[test]
fn what_waits_in_a_node_that_hangs_is_written_when_it_goes_on() {
    // Away from 30 to 35; hangs from 33 to 41, and nobody notices.
    let run = held(&steady(60, vec![(30, away(5)), (33, hang(20, 8))]));
    assert_eq!((written(&run, 30, 41), run.reached[reached::PAUSED]), (vec![], 1));
    let at_41 = written(&run, 41, 42);
    assert!(at_41.len() >= 3, "30, 31 and 32 waited in it: {at_41:?}");
    assert!(run.recoveries.is_empty() && !run.reached.contains_key(reached::COPIES));
}

#[test]
fn what_waits_in_a_node_that_is_replaced_is_refused() {
    // Replaced at 43, back at 51 with what waited since 30.
    let run = held(&steady(60, vec![(30, away(5)), (33, hang(10, 18))]));
    assert_eq!(written(&run, 30, 43), []);
    assert_eq!(count(&run, &What::CameBack), 1);
    // What waited, what it read since, and its save.
    assert_eq!(count(&run, &What::Fenced), 3);
    assert!(run.deliveries.iter().all(|delivery| delivery.at < minute(43) || delivery.opened == 1));
}

#[test]
fn what_waits_in_a_node_that_dies_hanging_is_lost_with_it() {
    let run = held(&steady(60, vec![(30, away(5)), (33, hang(20, 25)), (34, kill(10))]));
    assert_eq!((written(&run, 30, 44), run.reached[reached::WRITES_LOST]), (vec![], 1));
    assert_eq!(count(&run, &What::CameBack), 0);
}

#[test]
fn a_process_that_hangs_ends_with_its_machine_and_with_its_version() {
    let down = Span::minutes(1);
    let ends = [
        FaultKind::OsUpgrade { down },
        FaultKind::RollingUpgrade { down },
        FaultKind::ServiceUpgrade { readable: true, down },
        FaultKind::ServiceUpgrade { readable: false, down },
        FaultKind::Rollback { down },
    ];
    for end in ends {
        // Noticed before and after.
        for noticed in [2, 20] {
            let run = held(&steady(60, vec![(33, hang(noticed, 15)), (40, end.clone())]));
            assert_eq!(count(&run, &What::CameBack) + count(&run, &What::Resumed), 0, "{end:?} {noticed}");
        }
    }
    // The user's stop does not reach it: it is refused when it comes back.
    let stop =
        FaultKind::UserRestart { stopped: down, start: rewindow_world::case::StartMode::WhenLastStopped };
    let run = held(&steady(60, vec![(33, hang(10, 15)), (40, stop)]));
    assert_eq!(count(&run, &What::CameBack), 1);
    assert!(count(&run, &What::Fenced) > 0);
}

fn harm(damage: Damage) -> FaultKind {
    FaultKind::Checkpoint { node: 0, damage }
}

#[test]
fn a_save_that_is_refused_does_not_use_up_the_harm_meant_for_the_next_one() {
    // Replaced at 34; comes back at 37 and is refused; the save of 40 is the next one.
    let run = held(&steady(60, vec![(33, hang(1, 4)), (36, harm(Damage::Torn))]));
    let when = |what: &What| run.trace.iter().find(|step| step.what == *what).map(|step| step.at);
    assert_eq!(when(&What::CameBack), Some(minute(37)));
    assert_eq!(when(&What::Damaged(Damage::Torn)), Some(minute(40)));
}

#[test]
fn a_save_that_fails_is_tried_again_at_the_next_interval() {
    // The last event comes at 29; what fails at 30, and again at 40, is saved at 50.
    let run = held(&steady(29, vec![(25, harm(Damage::Full)), (26, harm(Damage::Full)), (90, kill(1))]));
    let saved: Vec<Timestamp> = run
        .trace
        .iter()
        .filter(|step| matches!(step.what, What::Checkpoint { .. }))
        .map(|step| step.at)
        .collect();
    assert!(saved.contains(&minute(50)), "{saved:?}");
    assert!(!saved.contains(&minute(30)) && !saved.contains(&minute(40)), "{saved:?}");
}
