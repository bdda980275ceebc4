//! The clock: estimates, looks, saves, catch-up, and the trace as text.
//!
//! Catches a world whose rows are right but whose axis of time is not: reports name these instants.

mod toy;

use rewindow_query::{Payload, Span, Timestamp};
use rewindow_world::case::FaultKind;
use rewindow_world::journal::Journal;
use rewindow_world::outcome::{Run, What};
use rewindow_world::{reached, run, trace_hash, trace_text};
use toy::{Toy, case, minute, plan};

fn times(run: &Run, node: u32, is: impl Fn(&What) -> bool) -> Vec<Timestamp> {
    run.trace.iter().filter(|s| s.node == Some(node) && is(&s.what)).map(|s| s.at).collect()
}

fn minutes(list: &[i64]) -> Vec<Timestamp> {
    list.iter().map(|&m| minute(m)).collect()
}

#[test]
fn idle_partitions_are_journaled_up_to_the_next_arrival_and_the_end() {
    // Heartbeat 20 min. Partition 1 begins late, 2 has nothing at all.
    let case = case(3, &[(0, 0), (0, 40), (1, 30), (0, 65)], vec![]);
    let mut sorted = case.clone();
    std::sync::Arc::make_mut(&mut sorted.history).entries.sort_by_key(|e| (e.partition, e.offset));
    let journal = Journal::of(&sorted, &plan()).unwrap();
    let shape = |partition| -> Vec<(Timestamp, bool, Option<usize>)> {
        let entries = journal.entries(0, partition);
        assert!(entries.iter().zip(0..).all(|(entry, offset)| entry.offset == offset));
        let is = |e: &rewindow_query::Entry| e.payload == Payload::Estimate;
        entries.iter().map(|e| (e.arrival, is(e), journal.original(0, partition, e.offset))).collect()
    };
    // Strictly before the next arrival: nothing at 40 but the event.
    let (event, estimate) = (|m, index| (minute(m), false, Some(index)), |m| (minute(m), true, None));
    assert_eq!(shape(0), [event(0, 0), estimate(20), event(40, 1), estimate(60), event(65, 2)]);
    assert_eq!(shape(1), [estimate(20), event(30, 3), estimate(50)]);
    assert_eq!(shape(2), [estimate(20), estimate(40), estimate(60)]);
    assert_eq!(journal.original(0, 0, 99), None);
    assert_eq!(journal.original(7, 0, 0), None);
    let run = run(&case, &plan(), &Toy::single(3));
    assert_eq!(run.reached[reached::ESTIMATE], 7);
    assert_eq!(run.entries_fed, 11);
}

#[test]
fn estimates_in_the_history_are_kept_and_not_doubled() {
    let mut case = case(1, &[(0, 0), (0, 20), (0, 30)], vec![]);
    std::sync::Arc::make_mut(&mut case.history).entries[1].payload = Payload::Estimate;
    let journal = Journal::of(&case, &plan()).unwrap();
    assert_eq!(journal.entries(0, 0), case.history.entries);
}

#[test]
fn shards_look_on_the_grid_and_only_when_there_is_something() {
    let mut case = case(2, &[(0, 1), (0, 5), (0, 6), (1, 7)], vec![]);
    case.deployment.poll_interval = Span::minutes(5);
    case.deployment.heartbeat = Span::minutes(100);
    let run = run(&case, &plan(), &Toy::parallel(2));
    // The job is opened at the first arrival and looks then; afterwards on the grid.
    assert_eq!(times(&run, 0, |what| matches!(what, What::Read { .. })), minutes(&[1, 5, 10]));
    assert_eq!(times(&run, 1, |what| matches!(what, What::Read { .. })), minutes(&[10]));
}

#[test]
fn nodes_save_in_turn_and_only_news() {
    let events: Vec<(u32, i64)> = (0..30).flat_map(|m| [(0, m), (1, m), (2, m)]).chain([(0, 80)]).collect();
    let mut case = case(3, &events, vec![]);
    case.deployment.nodes = 3;
    case.deployment.checkpoint_interval = Span::minutes(9);
    case.deployment.heartbeat = Span::minutes(100);
    let run = run(&case, &plan(), &Toy::parallel(3));
    let saves = |node| times(&run, node, |what| matches!(what, What::Checkpoint { .. }));
    let midnight = minute(0).0.rem_euclid(Span::minutes(9).0);
    assert_eq!(midnight, 0, "the scene begins on the grid");
    assert_eq!(saves(0), minutes(&[0, 9, 18, 27, 36, 81]));
    assert_eq!(saves(1), minutes(&[3, 12, 21, 30]));
    assert_eq!(saves(2), minutes(&[6, 15, 24, 33]));
}

#[test]
fn catch_up_takes_what_the_formula_says() {
    // 50 entries of partition 0 and 20 of partition 1 behind, 7 a second, new ones arriving meanwhile.
    let back = (0..50).map(|_| (0, 10)).chain((0..20).map(|_| (1, 10)));
    let mut case = case(2, &back.chain((0..90).map(|_| (1, 21))).collect::<Vec<_>>(), vec![]);
    case.deployment.nodes = 1;
    case.deployment.poll_interval = Span::minutes(5);
    case.deployment.heartbeat = Span::minutes(100);
    let kill = FaultKind::NodeKill { node: 0, down: Span::minutes(16) };
    case.faults.push(rewindow_world::case::Fault { at: minute(5), kind: kill });
    // The backlog is read at 21, together with the arrivals of that minute, which belong to it too.
    for (arrival, want) in [(21, 110), (22, 50)] {
        let mut entries = case.history.entries.clone();
        entries[70..].iter_mut().for_each(|e| e.arrival = minute(arrival));
        case.history = std::sync::Arc::new(case.history.with_entries(entries));
        for batch in [1, 3, 1000] {
            case.deployment.batch = batch;
            let run = run(&case, &plan(), &Toy::single(2));
            let report = &run.recoveries[0];
            assert_eq!(report.estimated, Span((want * Span::seconds(1).0 + 6) / 7));
            assert_eq!(report.actual, Some(report.estimated));
            assert_eq!(times(&run, 0, |what| *what == What::Level), [report.at.plus(report.estimated)]);
        }
    }
}

#[test]
fn a_slow_node_takes_so_many_times_longer_whatever_its_rate() {
    for (rate, times) in [(1, 10), (3, 2), (7, 7)] {
        let slow = FaultKind::Slow { node: 0, times, during: Span::hours(10) };
        let kill = FaultKind::NodeKill { node: 0, down: Span::minutes(16) };
        let mut case = case(1, &[(0, 10); 21], vec![(4, slow), (5, kill)]);
        (case.deployment.nodes, case.deployment.rate) = (1, rate);
        let run = run(&case, &plan(), &Toy::single(1));
        let report = &run.recoveries[0];
        let seconds = |ticks: i64| Span((ticks * Span::seconds(1).0 + rate as i64 - 1) / rate as i64);
        assert_eq!((report.estimated, report.slowness), (seconds(21), u64::from(times)));
        assert_eq!(report.actual, Some(seconds(21 * i64::from(times))));
    }
}

#[test]
fn what_was_read_before_a_node_became_slow_takes_no_longer_and_after_it_no_less() {
    // 100 entries behind, one a second from 21 on; ten times slower for the first half minute, or the last of the first
    // minute: three entries are read meanwhile.
    for slow_from in [Span::ZERO, Span::seconds(30)] {
        let mut case = case(1, &[(0, 10); 100], vec![]);
        (case.deployment.nodes, case.deployment.rate, case.deployment.batch) = (1, 1, 1);
        let slow = FaultKind::Slow { node: 0, times: 10, during: Span::seconds(30) };
        let kill = FaultKind::NodeKill { node: 0, down: Span::minutes(16) };
        case.faults.push(rewindow_world::case::Fault { at: minute(5), kind: kill });
        case.faults.push(rewindow_world::case::Fault { at: minute(21).plus(slow_from), kind: slow });
        let run = run(&case, &plan(), &Toy::single(1));
        assert_eq!(run.recoveries[0].actual, Some(Span::seconds(100 + 3 * 9)), "{slow_from}");
    }
}

#[test]
fn an_instant_recovery_without_backlog_is_level_at_once() {
    let kill = FaultKind::NodeKill { node: 0, down: Span::ZERO };
    let run = run(&case(1, &[(0, 0), (0, 30)], vec![(12, kill)]), &plan(), &Toy::parallel(1));
    assert_eq!((run.recoveries[0].backlog, run.recoveries[0].actual), (0, Some(Span::ZERO)));
    assert_eq!(run.reached[reached::EMPTY_BACKLOG], 1);
}

#[test]
fn the_trace_has_a_fixed_form() {
    let kill = FaultKind::NodeKill { node: 0, down: Span::seconds(30) };
    let run = run(&case(1, &[(0, 1), (0, 11)], vec![(12, kill)]), &plan(), &Toy::parallel(1));
    let want = "\
2018-01-31T00:01:00.0000000Z node 0 shard 0 opened fresh
2018-01-31T00:01:00.0000000Z node 0 shard 0 read 0/0 0..1
2018-01-31T00:01:00.0000000Z node 0 shard 0 delivered 1
  row output 0 at 2018-01-31T00:01:00.0000000Z partition 0 key (0) number 0 {\"n\":1}
2018-01-31T00:10:00.0000000Z node 0 shard 0 saved 40 bytes eb7e68778080de9d
2018-01-31T00:11:00.0000000Z node 0 shard 0 read 0/0 1..2
2018-01-31T00:11:00.0000000Z node 0 shard 0 delivered 1
  row output 0 at 2018-01-31T00:11:00.0000000Z partition 0 key (1) number 0 {\"n\":2}
2018-01-31T00:12:00.0000000Z fault: node kill, node 0, down 30 s
2018-01-31T00:12:30.0000000Z node 0 shard 0 opened after kill
2018-01-31T00:12:30.0000000Z node 0 shard 0 read 0/0 1..2
2018-01-31T00:12:30.0000000Z node 0 shard 0 delivered 1
  row output 0 at 2018-01-31T00:11:00.0000000Z partition 0 key (1) number 0 {\"n\":2}
2018-01-31T00:12:30.1428572Z node 0 shard 0 level
2018-01-31T00:20:00.0000000Z node 0 shard 0 saved 48 bytes ";
    let text = trace_text(&run);
    assert!(text.starts_with(want), "{text}");
    let recovery = text.lines().find(|line| line.starts_with("recovery")).unwrap();
    assert_eq!(
        recovery,
        "recovery 2018-01-31T00:12:30.0000000Z node 0 shard 0 generation 1 after kill by node kill output from \
         before time offered 2018-01-31T00:10:00.0000000Z frontier 2018-01-31T00:01:00.0000000Z 0/0:1 answer \
         checkpoint 0/0:1 kept 0/0:0..2 backlog 1 estimated 1428572 ticks actual 1428572 ticks"
    );
    let mut fnv = 0xcbf2_9ce4_8422_2325_u64;
    text.bytes().for_each(|byte| fnv = (fnv ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    assert_eq!(trace_hash(&run), fnv);
}
