//! Tasks that a scaling moves: when they are opened, why, and what no longer concerns them.
//!
//! Catches a world in which a task that was moved takes over what befell its new node, or does not take along what
//! befell itself; and one in which the process that it was goes on somewhere else. That rows come out right all the same
//! is asked in `faults.rs`.

mod toy;

use rewindow_query::{Span, Timestamp, Why};
use rewindow_world::case::{Case, Damage, FaultKind, StartMode};
use rewindow_world::outcome::{Run, What};
use rewindow_world::run;
use toy::{Toy, breaches, case, minute, plan};

/// One event a minute in each partition, on so many nodes.
fn steady(partitions: u32, nodes: u32, faults: Vec<(i64, FaultKind)>) -> Case {
    let events: Vec<(u32, i64)> = (1..=60).flat_map(|m| (0..partitions).map(move |p| (p, m))).collect();
    let mut case = case(partitions, &events, faults);
    case.deployment.nodes = nodes;
    assert_eq!(case.check(), Ok(()));
    case
}

fn held(case: &Case) -> Run {
    let subject = Toy::parallel(case.inputs[0].partitions);
    let run = run(case, &plan(), &subject);
    assert_eq!(breaches(case, &subject, &run), Vec::<String>::new());
    run
}

fn scale(nodes: u32, down: i64) -> FaultKind {
    FaultKind::Scale { nodes, down: Span::minutes(down) }
}

fn kill(node: u32, down: i64) -> FaultKind {
    FaultKind::NodeKill { node, down: Span::minutes(down) }
}

fn hang(node: u32, noticed: i64, back: i64) -> FaultKind {
    FaultKind::Hang { node, noticed: Span::minutes(noticed), back: Span::minutes(back) }
}

fn restart(stopped: i64) -> FaultKind {
    FaultKind::UserRestart { stopped: Span::minutes(stopped), start: StartMode::WhenLastStopped }
}

/// Recoveries of a shard: when, where, for which fault.
fn of(run: &Run, shard: usize) -> Vec<(Timestamp, u32, &'static str)> {
    run.recoveries.iter().filter(|r| r.shard == shard).map(|r| (r.at, r.node, r.fault)).collect()
}

#[test]
fn a_task_moved_away_from_a_node_that_hangs_does_not_go_on_there() {
    // Back at 41, before anybody noticed; shard 1 is moved by then.
    let run = held(&steady(2, 2, vec![(33, hang(1, 20, 8)), (35, scale(1, 10)), (50, kill(0, 1))]));
    assert_eq!(of(&run, 1), [(minute(45), 0, "scale"), (minute(51), 0, "node kill")]);
    let steps = |what: &What| run.trace.iter().filter(|step| step.what == *what).count();
    assert_eq!((steps(&What::Resumed), steps(&What::CameBack)), (0, 1));
}

#[test]
fn a_task_that_was_moved_waits_for_its_move_and_not_for_its_new_node() {
    // Of three nodes two are left: shard 2 goes to node 0, which is up, shard 3 to node 1, which is up again at 32.
    let run = held(&steady(4, 3, vec![(30, kill(1, 2)), (31, scale(2, 10))]));
    assert_eq!(of(&run, 0), []);
    assert_eq!(of(&run, 1), [(minute(32), 1, "node kill")]);
    assert_eq!((of(&run, 2), of(&run, 3)), (vec![(minute(41), 0, "scale")], vec![(minute(41), 1, "scale")]));
}

#[test]
fn a_second_move_does_not_cut_the_first_one_short() {
    let run = held(&steady(3, 1, vec![(30, scale(3, 10)), (31, scale(2, 1))]));
    assert_eq!((of(&run, 1), of(&run, 2)), (vec![(minute(40), 1, "scale")], vec![(minute(40), 0, "scale")]));
}

#[test]
fn a_task_that_was_moved_takes_along_what_befell_it() {
    // Stopped at 30 and kept down by the kill of its node, shard 4 is moved to node 1, which hangs from 32 to 34.
    let faults = vec![(30, restart(1)), (30, kill(0, 20)), (32, hang(1, 20, 2)), (33, scale(3, 5))];
    let run = held(&steady(5, 2, faults));
    assert_eq!(of(&run, 4), [(minute(38), 1, "restart")]);
    let why = run.recoveries.iter().find(|r| r.shard == 4).map(|r| r.why);
    assert_eq!(why, Some(Why::UserRestart));
}

#[test]
fn a_node_that_is_added_waits_for_the_user_like_the_others() {
    let run = held(&steady(3, 2, vec![(30, restart(10)), (31, scale(3, 1))]));
    assert_eq!(of(&run, 2), [(minute(40), 2, "restart")]);
}

#[test]
fn a_node_that_was_added_can_be_struck() {
    let code = |faults| {
        let mut case = steady(3, 2, vec![]);
        case.faults = toy::case(1, &[], faults).faults;
        case.check().map_err(|error| error.code)
    };
    assert_eq!(code(vec![(30, scale(3, 1)), (40, kill(2, 5))]), Ok(()));
    assert_eq!(code(vec![(30, scale(3, 1)), (40, kill(3, 5))]), Err("case-fault"));
    assert_eq!(code(vec![(30, kill(2, 5)), (40, scale(3, 1))]), Err("case-fault"), "there is none yet");
    // Taken away at 45, it can be struck to no effect.
    let run =
        held(&steady(3, 2, vec![(30, scale(3, 1)), (40, kill(2, 3)), (45, scale(2, 1)), (50, kill(2, 1))]));
    let kill = (minute(43), 2, "node kill");
    assert_eq!(of(&run, 2), [(minute(31), 2, "scale"), kill, (minute(46), 0, "scale")]);
    // What it saves before it dies is there: its saves are due at 20 / 3 minutes past each tenth.
    let saved = run.recoveries.iter().find(|r| r.at == minute(43)).and_then(|r| r.checkpoint.clone());
    assert_eq!(saved.map(|saved| saved.at), Some(minute(36).plus(Span::seconds(40))));
}

#[test]
fn harm_to_the_checkpoints_of_a_node_passes_over_what_another_one_writes() {
    // Nobody has opened shard 1 yet when its old node comes back at 39 and saves.
    let lost = FaultKind::Checkpoint { node: 0, damage: Damage::Lost };
    let run = held(&steady(2, 2, vec![(33, hang(1, 2, 6)), (34, scale(1, 20)), (36, lost)]));
    let harmed = run.trace.iter().find(|step| matches!(step.what, What::Damaged(_)));
    assert_eq!(harmed.map(|step| (step.at, step.shard)), Some((minute(40), Some(0))));
    let saved = run.recoveries.iter().find(|r| r.shard == 1).and_then(|r| r.checkpoint.clone());
    assert_eq!(saved.map(|saved| saved.at), Some(minute(39)));
}
