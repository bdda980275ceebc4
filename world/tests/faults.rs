//! Faults alone and in combination, with a subject that recovers exactly and twins that do not.
//!
//! Catches a world that is unfair: one that loses what a correct subject would have saved, or that lets
//! a broken one pass. That the timing is right is asked in `time.rs`.

mod toy;

use proptest::prelude::*;
use rewindow_query::{Outcome, Span, Timestamp, Why};
use rewindow_world::case::{Case, Damage, FaultKind, SinkKind, StartMode};
use rewindow_world::outcome::{Run, What};
use rewindow_world::{RunOptions, reached, run, trace_hash, try_run};
use toy::{Bug, Toy, breaches, case, minute, plan};

fn kill(node: u32, down: i64) -> FaultKind {
    FaultKind::NodeKill { node, down: Span::minutes(down) }
}

fn upgrade(readable: bool, down: i64) -> FaultKind {
    FaultKind::ServiceUpgrade { readable, down: Span::minutes(down) }
}

fn restart(stopped: i64, start: StartMode) -> FaultKind {
    FaultKind::UserRestart { stopped: Span::minutes(stopped), start }
}

/// One event a minute, taking turns over the partitions, from minute 1 to `minutes`.
fn steady(partitions: u32, minutes: i64, faults: Vec<(i64, FaultKind)>) -> Case {
    let events: Vec<(u32, i64)> = (1..=minutes).map(|m| (m as u32 % partitions, m)).collect();
    case(partitions, &events, faults)
}

fn held(case: &Case, subject: &Toy) -> Run {
    let run = run(case, &plan(), subject);
    assert_eq!(breaches(case, subject, &run), Vec::<String>::new());
    assert!(run.refused.is_empty());
    run
}

fn of(run: &Run, shard: usize) -> Vec<(Why, Timestamp, bool)> {
    let mine = run.recoveries.iter().filter(|r| r.shard == shard);
    mine.map(|r| (r.why, r.output_from, r.answer.outcome == Outcome::FromCheckpoint)).collect()
}

#[test]
fn nothing_happens() {
    let run = held(&steady(2, 30, vec![]), &Toy::parallel(2));
    assert_eq!(run.deliveries.iter().map(|d| d.rows.len()).sum::<usize>(), 30);
    assert!(run.recoveries.is_empty() && run.skipped.is_empty());
    assert_eq!(run.trace.iter().filter(|s| s.what == What::Finished).count(), 2);
}

#[test]
fn a_kill_takes_one_node_and_redelivers_from_its_checkpoint() {
    let run = held(&steady(2, 60, vec![(40, kill(1, 2))]), &Toy::parallel(2));
    assert_eq!(of(&run, 0), []);
    assert_eq!(of(&run, 1), [(Why::AfterKill, Timestamp::MIN, true)]);
    let report = &run.recoveries[0];
    assert_eq!((report.at, report.node, report.generation, report.fault), (minute(42), 1, 1, "node kill"));
    // Node 1 of 2 saves at 5, 15, 25, 35: half an interval after node 0. The wake at 35 reads first.
    assert_eq!(report.checkpoint.as_ref().map(|record| record.at), Some(minute(35)));
    assert_eq!(
        run.reached[reached::COPIES],
        1,
        "37 came out twice; so did 39, but no frontier had passed it"
    );
    assert_eq!(run.reached[reached::RESTORED_OPEN], 1);
}

#[test]
fn a_kill_before_the_first_checkpoint_replays_from_what_was_delivered() {
    let run = held(&steady(2, 60, vec![(4, kill(1, 2))]), &Toy::parallel(2));
    assert_eq!(
        of(&run, 1),
        [(Why::AfterKill, minute(3), false)],
        "frontier delivered: the event of minute 3"
    );
    assert_eq!(run.recoveries[0].answer.outcome, Outcome::Replayed { from: minute(3 - 60) });
    assert_eq!(run.reached[reached::NO_CHECKPOINT], 1);
}

#[test]
fn an_upgrade_offers_state_and_drops_what_cannot_be_read() {
    let case = steady(2, 90, vec![(37, upgrade(true, 2)), (52, upgrade(false, 1)), (53, kill(0, 1))]);
    let run = held(&case, &Toy::parallel(2));
    let whys: Vec<(Why, bool, bool)> = run
        .recoveries
        .iter()
        .filter(|r| r.shard == 0)
        .map(|r| (r.why, r.checkpoint.is_some(), r.answer.outcome == Outcome::FromCheckpoint))
        .collect();
    let (state, replay) = (Why::AfterUpgrade { readable: true }, Why::AfterUpgrade { readable: false });
    // At 53 the fault comes before the node is up again: one opening, by the stronger cause.
    assert_eq!(whys, [(state, true, true), (replay, true, false)]);
    let case = steady(2, 90, vec![(52, upgrade(false, 1)), (54, kill(0, 1))]);
    let run = held(&case, &Toy::parallel(2));
    let last = run.recoveries.iter().rfind(|r| r.shard == 0).unwrap();
    assert_eq!((last.why, &last.checkpoint), (Why::AfterKill, &None), "the old version's state is gone");
}

#[test]
fn an_os_upgrade_rolls() {
    let run =
        held(&steady(4, 90, vec![(37, FaultKind::OsUpgrade { down: Span::minutes(3) })]), &Toy::parallel(4));
    let when: Vec<(Timestamp, u32, usize)> = run.recoveries.iter().map(|r| (r.at, r.node, r.shard)).collect();
    assert_eq!(when, [(minute(40), 0, 0), (minute(40), 0, 2), (minute(43), 1, 1), (minute(43), 1, 3)]);
    assert!(run.recoveries.iter().all(|r| r.fault == "os upgrade" && r.why == Why::AfterKill));
}

#[test]
fn what_is_installed_on_all_nodes_ends_a_rolling_upgrade_under_way() {
    let rolling = FaultKind::RollingUpgrade { down: Span::minutes(5) };
    let rollback = FaultKind::Rollback { down: Span::minutes(1) };
    for (then, version) in [(rollback, 0), (upgrade(true, 1), 2)] {
        // Node 0 is down until 35; then it would be the turn of node 1.
        let faults = vec![(30, rolling.clone()), (33, then), (50, kill(0, 1)), (50, kill(1, 1))];
        let run = held(&steady(2, 60, faults), &Toy::parallel(2));
        let opened: Vec<_> = run.recoveries.iter().map(|r| (r.shard, r.at, r.version)).collect();
        let at = |minutes| [(0, minute(minutes), version), (1, minute(minutes), version)];
        let first = [(1, minute(34), version), (0, minute(35), version)];
        assert_eq!(opened, [first, at(51)].concat());
    }
}

#[test]
fn a_restart_chooses_where_output_begins() {
    let start = |mode| {
        let run = held(&steady(2, 120, vec![(60, restart(5, mode))]), &Toy::parallel(2));
        let skipped: Vec<_> = run.skipped.iter().map(|s| (s.shard, s.from, s.until)).collect();
        (run.recoveries[0].output_from, run.recoveries[0].checkpoint.is_some(), skipped)
    };
    // The fault comes before the reading of minute 60: 59 went to partition 1, 58 to partition 0.
    let (from, offered, skipped) = start(StartMode::Now);
    assert_eq!((from, offered), (minute(65), true), "offered, though it must not be used");
    assert_eq!(skipped, [(0, minute(58), minute(65)), (1, minute(59), minute(65))]);
    assert_eq!(start(StartMode::Custom(minute(20))), (minute(20), true, vec![]));
    // C-LAST: the earliest over all shards, inclusive; the other one has delivered a row past it.
    assert_eq!(start(StartMode::WhenLastStopped), (minute(58), true, vec![]));
}

#[test]
fn a_start_lasts_and_old_checkpoints_do_not() {
    // Stop at 60, start at 65 with output from 80; a kill at 66 finds no checkpoint, a kill at 100 does.
    let faults = vec![(60, restart(5, StartMode::Custom(minute(80)))), (66, kill(0, 1)), (100, kill(0, 1))];
    let run = held(&steady(2, 140, faults), &Toy::parallel(2));
    assert_eq!(
        of(&run, 0),
        [
            (Why::UserRestart, minute(80), false),
            (Why::AfterKill, minute(80), false),
            (Why::AfterKill, minute(80), true)
        ]
    );
    assert_eq!(run.recoveries.iter().find(|r| r.at == minute(67)).unwrap().checkpoint, None);
}

#[test]
fn a_stop_soon_after_a_start_counts_from_that_start() {
    // Nothing came out since the start at 65, so its output position is where "when last stopped" begins.
    let last = restart(1, StartMode::WhenLastStopped);
    let faults = vec![(60, restart(5, StartMode::Custom(minute(200)))), (70, last)];
    let run = held(&steady(1, 240, faults), &Toy::parallel(1));
    assert_eq!(of(&run, 0)[1], (Why::UserRestart, minute(200), false));
    // Started back at 10, stopped while it has come to about 20: rows up to 59 had been delivered before.
    let faults = vec![
        (60, restart(5, StartMode::Custom(minute(10)))),
        (65, restart(0, StartMode::Custom(minute(90)))),
    ];
    let mut case = steady(1, 120, faults);
    (case.deployment.rate, case.faults[1].at) = (1, minute(65).plus(Span::seconds(20)));
    let run = held(&case, &Toy::parallel(1));
    let skipped: Vec<_> = run.skipped.iter().map(|s| (s.from, s.until)).collect();
    assert_eq!(skipped, [(minute(59), minute(90))]);
    assert_eq!(run.reached[reached::STARTED_BACK], 1);
    // And to 40 instead: ahead of what came since the start, not of what was delivered before.
    case.faults[1].kind = restart(0, StartMode::Custom(minute(40)));
    assert_eq!(held(&case, &Toy::parallel(1)).skipped, []);
}

#[test]
fn faults_on_a_node_that_is_down_become_one_opening() {
    let faults = vec![(30, kill(0, 10)), (35, kill(0, 2)), (36, upgrade(false, 1)), (38, kill(0, 20))];
    let run = held(&steady(2, 90, faults), &Toy::parallel(2));
    let openings: Vec<_> = run.recoveries.iter().map(|r| (r.shard, r.at, r.fault)).collect();
    // A later kill restarts the downtime, but never shortens it; the upgrade is the stronger cause.
    assert_eq!(openings, [(1, minute(37), "upgrade, replay"), (0, minute(58), "upgrade, replay")]);
    assert_eq!(run.reached[reached::STRUCK_DOWN], 3);
}

#[test]
fn a_second_restart_while_stopped_replaces_the_first() {
    let faults = vec![
        (60, restart(10, StartMode::Now)),
        (63, restart(5, StartMode::WhenLastStopped)),
        (64, kill(1, 10)),
    ];
    let run = held(&steady(2, 120, faults), &Toy::parallel(2));
    let openings: Vec<_> = run.recoveries.iter().map(|r| (r.shard, r.at, r.why, r.output_from)).collect();
    let (why, from) = (Why::UserRestart, minute(58));
    assert_eq!(openings, [(0, minute(70), why, from), (1, minute(74), why, from)]);
    assert!(run.skipped.is_empty(), "what the first start would have left out is wanted after all");
}

#[test]
fn a_kill_during_catch_up_goes_back_to_the_same_checkpoint() {
    // Seven entries a minute, so that catching up takes long.
    let mut case = steady(1, 240, vec![(121, kill(0, 60)), (182, kill(0, 1))]);
    case.deployment.rate = 1;
    case.deployment.batch = 7;
    case.faults[1].at = minute(181).plus(Span::seconds(20));
    let run = held(&case, &Toy::parallel(1));
    assert_eq!(run.reached[reached::STRUCK_AGAIN], 1);
    let checkpoints: Vec<_> = run.recoveries.iter().map(|r| r.checkpoint.clone().map(|c| c.at)).collect();
    assert_eq!(checkpoints, [Some(minute(120)), Some(minute(120))]);
    assert_eq!(run.recoveries[0].actual, None);
    assert_eq!(run.recoveries[1].actual, Some(run.recoveries[1].estimated));
}

#[test]
fn a_source_that_forgets_is_announced() {
    // Everything older than 10 minutes is gone when the new version starts, an hour is needed.
    let mut case = steady(1, 120, vec![(60, upgrade(false, 1))]);
    case.deployment.retention = Some(Span::minutes(10));
    let run = held(&case, &Toy::parallel(1));
    let report = &run.recoveries[0];
    let kept = report.retained[&(0, 0)];
    assert_eq!(kept.lost_until, Some(minute(50)), "kept for exactly ten minutes at 61: from 51 on");
    assert_eq!((kept.first, kept.next), (50, 61));
    assert_eq!(
        report.answer.gaps.iter().map(|g| (g.from, g.until)).collect::<Vec<_>>(),
        [(minute(59), minute(110))]
    );
    assert_eq!((run.reached[reached::EXPIRED], run.reached[reached::GAP]), (1, 1));
    // The same by a cut, just before.
    let cut = FaultKind::RetentionCut { keep: Span::minutes(9) };
    let run = held(&steady(1, 120, vec![(60, cut), (60, upgrade(false, 1))]), &Toy::parallel(1));
    assert_eq!(run.recoveries[0].retained[&(0, 0)].lost_until, Some(minute(50)));
    assert_eq!(run.reached[reached::TWO_AT_ONCE], 1);
    assert!(run.trace.iter().any(|s| s.what == What::Forgot { input: 0, partition: 0, first: 50 }));
}

#[test]
fn a_reader_overtaken_by_retention_is_opened_again_where_it_stood() {
    let mut case = steady(1, 60, vec![(30, FaultKind::RetentionCut { keep: Span::ZERO })]);
    case.deployment.poll_interval = Span::minutes(20);
    let run = held(&case, &Toy::parallel(1));
    // Read up to 20; at the cut 21 to 29 are forgotten unread; noticed at the next look, minute 40.
    let report = &run.recoveries[0];
    assert_eq!((report.at, report.why, report.fault), (minute(40), Why::AfterKill, "retention"));
    let record = report.checkpoint.as_ref().unwrap();
    assert_eq!((record.at, record.frontier, record.positions[&(0, 0)]), (minute(40), minute(20), 20));
    assert_eq!(
        report.answer.gaps.iter().map(|g| (g.from, g.until)).collect::<Vec<_>>(),
        [(minute(20), minute(89))]
    );
    assert_eq!(run.reached[reached::EXPIRED_READER], 1);
    // A source that keeps less than the time between two looks loses to every one of them, and ends.
    case.deployment.retention = Some(Span::minutes(1));
    assert!(held(&case, &Toy::parallel(1)).reached[reached::EXPIRED_READER] >= 2);
}

#[test]
fn broken_twins_are_seen() {
    let faults = || {
        let cut = FaultKind::RetentionCut { keep: Span::minutes(5) };
        vec![
            (37, kill(0, 2)),
            (60, restart(5, StartMode::Now)),
            (90, upgrade(false, 1)),
            (120, cut),
            (120, upgrade(false, 1)),
        ]
    };
    let case = steady(2, 180, faults());
    held(&case, &Toy::parallel(2));
    for bug in [Bug::LosesState, Bug::TrustsOldState, Bug::Jumps, Bug::Silent] {
        let subject = Toy::parallel(2).with(bug);
        let run = run(&case, &plan(), &subject);
        assert!(!breaches(&case, &subject, &run).is_empty(), "{bug:?}");
    }
}

#[test]
fn a_refusal_is_recorded_and_leaves_the_shard_down() {
    let case = steady(2, 60, vec![(37, kill(1, 2)), (50, kill(1, 2))]);
    let run = run(&case, &plan(), &Toy::parallel(2).with(Bug::Refuses));
    assert_eq!(run.refused, [(1, "not after a kill".to_owned())]);
    assert_eq!(run.deliveries.iter().filter(|d| d.shard == 0).map(|d| d.rows.len()).sum::<usize>(), 30);
    assert!(run.deliveries.iter().all(|d| d.shard == 0 || d.at <= minute(37)));
}

#[test]
fn a_shard_that_failed_is_started_again_once_and_the_earliest_failure_counts() {
    let mut case = steady(2, 60, vec![(50, upgrade(true, 1))]);
    let mut history = (*case.history).clone();
    for at in [20, 31] {
        history.entries[at - 1].payload = rewindow_query::Payload::Malformed("fatal".into());
    }
    case.history = std::sync::Arc::new(history);
    let run = run(&case, &plan(), &Toy::parallel(2));
    assert_eq!(run.failure.as_ref().map(|f| f.at), Some(minute(20)));
    let again: Vec<_> = run.recoveries.iter().map(|r| (r.shard, r.generation, r.fault)).collect();
    assert_eq!(again, [(0, 1, "failed job"), (1, 1, "failed job")], "and not by the upgrade");
    let failures: Vec<_> = run.failures.iter().map(|f| (f.shard, f.generation, f.failure.at)).collect();
    let twice = |shard, at| [(shard, 0, minute(at)), (shard, 1, minute(at))];
    assert_eq!(failures, [twice(0, 20), twice(1, 31)].concat());
    assert_eq!((run.reached[reached::FAILED], run.reached[reached::RESTARTED]), (4, 2));
}

#[test]
fn a_failure_behind_the_last_rows_counts() {
    let mut case = steady(1, 30, vec![]);
    let mut history = (*case.history).clone();
    history.entries[19].payload = rewindow_query::Payload::Malformed("doomed".into());
    case.history = std::sync::Arc::new(history);
    let run = run(&case, &plan(), &Toy::parallel(1));
    assert_eq!(run.failure.as_ref().map(|f| f.at), Some(minute(20)));
    assert_eq!(run.deliveries.iter().map(|d| d.rows.len()).sum::<usize>(), 29);
    assert_eq!(run.reached[reached::MALFORMED], 1);
}

#[test]
fn a_case_that_cannot_run_is_refused_in_words() {
    let mut foreign = steady(1, 5, vec![]);
    foreign.inputs[0].name = "other".to_owned();
    let mut slow = steady(1, 500_000, vec![]);
    slow.deployment.heartbeat = Span::seconds(1);
    for (case, code) in [(foreign, "case-input"), (slow, "case-heartbeat")] {
        let error = try_run(&case, &plan(), &Toy::parallel(1), RunOptions { trace: false }).unwrap_err();
        assert_eq!(error.code, code, "{error}");
        assert_eq!(run(&case, &plan(), &Toy::parallel(1)).refused, [(0, error.to_string())]);
    }
}

#[test]
fn an_empty_case_runs() {
    let run = held(&case(1, &[], vec![]), &Toy::parallel(1));
    assert!(run.deliveries.is_empty() && run.trace.len() == 2);
    held(
        &case(1, &[], vec![(5, upgrade(false, 3)), (6, restart(1, StartMode::WhenLastStopped))]),
        &Toy::single(1),
    );
}

// ---- at random ---------------------------------------------------------------------------------------

fn any_kind() -> impl Strategy<Value = FaultKind> {
    let down = prop_oneof![Just(0), 1..40_i64];
    let start = prop_oneof![
        Just(StartMode::Now),
        Just(StartMode::WhenLastStopped),
        (0..300_i64).prop_map(|at| StartMode::Custom(minute(at)))
    ];
    prop_oneof![
        3 => (0..3_u32, down.clone()).prop_map(|(node, down)| kill(node, down)),
        1 => down.clone().prop_map(|down| FaultKind::OsUpgrade { down: Span::minutes(down) }),
        2 => (any::<bool>(), down.clone()).prop_map(|(readable, down)| upgrade(readable, down)),
        2 => (down, start).prop_map(|(stopped, start)| restart(stopped, start)),
        1 => (0..90_i64).prop_map(|keep| FaultKind::RetentionCut { keep: Span::minutes(keep) }),
        2 => (0..60_i64).prop_map(|span| FaultKind::SinkUnavailable { span: Span::minutes(span) }),
        1 => Just(FaultKind::SinkAckLost),
        1 => (0..3_u32, 0..20_i64, 0..40_i64).prop_map(|(node, noticed, back)| {
            FaultKind::Hang { node, noticed: Span::minutes(noticed), back: Span::minutes(back) }
        }),
        1 => (0..3_u32, 1..20_u32, 0..90_i64).prop_map(|(node, times, during)| {
            FaultKind::Slow { node, times, during: Span::minutes(during) }
        }),
        1 => (0..9_i64).prop_map(|down| FaultKind::RollingUpgrade { down: Span::minutes(down) }),
        1 => (0..9_i64).prop_map(|down| FaultKind::Rollback { down: Span::minutes(down) }),
        1 => (1..6_u32, 0..9_i64).prop_map(|(nodes, down)| {
            FaultKind::Scale { nodes, down: Span::minutes(down) }
        }),
        2 => (0..3_u32, 0..Damage::ALL.len()).prop_map(|(node, damage)| {
            FaultKind::Checkpoint { node, damage: Damage::ALL[damage] }
        }),
    ]
}

fn any_case() -> impl Strategy<Value = (Case, bool)> {
    let events = prop::collection::vec((0..3_u32, 0..240_i64), 0..60);
    let faults = prop::collection::vec((0..300_i64, any_kind()), 0..7);
    let pace = (1..30_i64, 1..5_i64, 1..6_u32, 1..9_u64, prop::option::of(0..200_i64), any::<bool>());
    let sink = prop::sample::select(SinkKind::ALL.to_vec());
    (events, faults, pace, sink).prop_map(|(mut events, mut faults, pace, sink)| {
        events.sort_by_key(|(_, at)| *at);
        faults.sort_by_key(|(at, _)| *at);
        let mut case = case(3, &events, faults);
        case.deployment.sink = sink;
        case.deployment.nodes = 3;
        case.deployment.checkpoint_interval = Span::minutes(pace.0);
        case.deployment.poll_interval = Span::minutes(pace.1);
        case.deployment.batch = pace.2;
        case.deployment.rate = pace.3;
        // By age, by size, by both.
        case.deployment.retention = pace.4.filter(|keep| keep % 3 != 0).map(Span::minutes);
        case.deployment.retention_size = pace.4.filter(|keep| keep % 3 != 1).map(i64::unsigned_abs);
        if pace.5 {
            // Seconds instead of minutes, and a second for an entry: faults strike inside recoveries.
            for fault in &mut case.faults {
                fault.at = minute(120).plus(Span(fault.at.since(minute(0)).0 / 60));
                if let FaultKind::NodeKill { down, .. }
                | FaultKind::ServiceUpgrade { down, .. }
                | FaultKind::SinkUnavailable { span: down } = &mut fault.kind
                {
                    *down = Span(down.0 / 60);
                }
            }
            case.deployment.rate = 1;
        }
        (case, pace.5)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn an_exact_subject_survives_any_schedule((case, single) in any_case()) {
        let subject = if single { Toy::single(3) } else { Toy::parallel(3) };
        let full = run(&case, &plan(), &subject);
        prop_assert_eq!(breaches(&case, &subject, &full), Vec::<String>::new());
        for report in &full.recoveries {
            let busy = i128::from(report.estimated.0) * i128::from(report.slowness);
            let longest = Span(i64::try_from(busy).unwrap()).plus(report.stood);
            let right = |actual| (report.estimated..=longest).contains(&actual);
            prop_assert!(report.actual.is_none_or(right), "{:?}", report);
        }
        for shard in 0..subject.shards.len() {
            let last = full.recoveries.iter().rfind(|r| r.shard == shard);
            prop_assert!(last.is_none_or(|r| r.actual.is_some()), "the last recovery is never interrupted");
        }
        prop_assert!(full.skipped.iter().all(|skipped| skipped.from < skipped.until));
        // Determinism, and the fast way of running is the same run.
        let again = run(&case, &plan(), &subject);
        prop_assert_eq!(&full, &again);
        prop_assert_eq!(trace_hash(&full), trace_hash(&again));
        let fast = try_run(&case, &plan(), &subject, RunOptions { trace: false }).unwrap();
        prop_assert_eq!(Run { trace: Vec::new(), ..full }, fast);
    }
}

/// The `sometimes` beside the property above: the same strategy gets everywhere.
#[test]
fn random_schedules_reach_every_state() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut left: Vec<&str> = reached::ALL.to_vec();
    // The strategy makes no malformed entries, and starts no other job.
    let others =
        [reached::FAILED, reached::RESTARTED, reached::MALFORMED, reached::CHANGED, reached::STARTED_FAILED];
    left.retain(|name| !others.contains(name));
    // Its tasks have no links.
    left.retain(|name| !reached::OF_LINKS.contains(name));
    for _ in 0..4_000 {
        let (case, single) = any_case().new_tree(&mut runner).expect("a case").current();
        let subject = if single { Toy::single(3) } else { Toy::parallel(3) };
        let run = try_run(&case, &plan(), &subject, RunOptions { trace: false }).unwrap();
        left.retain(|name| !run.reached.contains_key(name));
        assert!(run.reached.keys().all(|name| reached::ALL.contains(name)));
    }
    assert_eq!(left, Vec::<&str>::new());
}
