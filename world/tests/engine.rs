//! The engine in the world, end to end: a life with faults says what a life without them says.
//!
//! Catches wiring: a shard, position or output position handed on wrongly. Whether the engine is right is
//! asked elsewhere.

mod toy;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rewindow_query::{Outcome, Span, Timestamp, analyse};
use rewindow_world::case::{Case, FaultKind, LinkTrouble, StartMode};
use rewindow_world::engine_subject::EngineSubject;
use rewindow_world::outcome::{Run, What};
use rewindow_world::run;
use rewindow_world::subject::Subject;
use toy::{case, minute};

const QUERY: &str =
    "SELECT COUNT(*) AS n, MAX(id) AS latest INTO counts FROM Feed GROUP BY TumblingWindow(minute, 10)";

fn live(case: &Case) -> Run {
    live_as(QUERY, case)
}

fn live_as(query: &str, case: &Case) -> Run {
    let plan = Arc::new(analyse(query, None).expect("a query"));
    let partitions = case.partitions(&plan).expect("a stream of the case");
    let subject = EngineSubject::new(plan.clone(), case.ordering, &partitions);
    assert_eq!(subject.name(), "engine");
    run(case, &plan, &subject)
}

fn rows(run: &Run) -> BTreeMap<Timestamp, String> {
    assert_eq!((&run.refused, &run.failure), (&vec![], &None));
    let rows = run.deliveries.iter().flat_map(|delivery| &delivery.rows);
    let mut told = BTreeMap::new();
    for row in rows {
        let text = row.record.to_string();
        let known = told.entry(row.timestamp).or_insert_with(|| text.clone());
        assert_eq!(*known, text, "copies are equal");
    }
    told
}

#[test]
fn faults_change_nothing() {
    let events: Vec<(u32, i64)> = (1..240).map(|m| (m as u32 % 3, m)).collect();
    let quiet = rows(&live(&case(3, &events, vec![])));
    assert_eq!(quiet.len(), 24);
    let down = Span::minutes(2);
    let kill = |node| FaultKind::NodeKill { node, down };
    let restart = FaultKind::UserRestart { stopped: down, start: StartMode::WhenLastStopped };
    let faults = vec![
        (5, kill(0)),
        (47, kill(0)),
        (93, FaultKind::ServiceUpgrade { readable: false, down }),
        (131, FaultKind::ServiceUpgrade { readable: true, down }),
        (155, restart),
        (197, FaultKind::OsUpgrade { down }),
    ];
    let stormy = live(&case(3, &events, faults));
    assert_eq!(rows(&stormy), quiet);
    let answers: Vec<bool> =
        stormy.recoveries.iter().map(|report| report.answer.outcome == Outcome::FromCheckpoint).collect();
    assert_eq!(answers, [false, true, false, true, false, true]);
    assert_eq!(stormy.recoveries[4].output_from, minute(150));
}

/// One output is ahead of the other by nearly an hour: who starts again where the first one stopped loses what
/// the second still owes.
#[test]
fn a_start_when_last_stopped_waits_for_the_output_that_is_behind() {
    let query = "SELECT id INTO ahead FROM Feed PARTITION BY PartitionId
         SELECT l.id AS alone INTO behind FROM Feed l PARTITION BY PartitionId
         LEFT JOIN Feed r PARTITION BY PartitionId ON DATEDIFF(hour, l, r) BETWEEN 0 AND 0
         AND l.PartitionId = r.PartitionId AND r.id = l.id + 1000";
    let events: Vec<(u32, i64)> = (1..15).map(|m| (0, 10 * m)).collect();
    let behind = |run: &Run| -> BTreeSet<Timestamp> {
        let rows = run.deliveries.iter().flat_map(|delivery| &delivery.rows);
        rows.filter(|row| row.output == 1).map(|row| row.timestamp).collect()
    };
    let restart = FaultKind::UserRestart { stopped: Span::minutes(1), start: StartMode::WhenLastStopped };
    let quiet = live_as(query, &case(1, &events, vec![]));
    let stopped = live_as(query, &case(1, &events, vec![(55, restart)]));
    assert_eq!(behind(&quiet).len(), 14);
    assert_eq!(behind(&stopped), behind(&quiet));
    assert_eq!(stopped.skipped, []);
}

/// A replay begins in the middle of windows that nobody asks for: what fails in such a piece of a window would
/// not have failed in the whole of it.
#[test]
fn what_a_replay_sees_in_part_cannot_fail_the_job() {
    let queries = [
        "SELECT 60 / (COUNT(*) - 1) AS n INTO o FROM Feed GROUP BY TumblingWindow(minute, 10)",
        "SELECT COUNT(*) AS n INTO o FROM Feed GROUP BY HoppingWindow(minute, 20, 10)
         HAVING COUNT(*) > 5 OR System.Timestamp() < '2018-01-31T00:20:00Z' OR System.Timestamp() > '2018-01-31T04:00:00Z' OR 1 / 0 = 1",
        // Of whole windows the large numbers cancel out, but not of their later halves.
        "WITH w AS (SELECT SUM(CASE WHEN id % 5 = 1 THEN -9000000000000000000 WHEN id % 5 = 3 THEN
            9000000000000000000 WHEN id % 5 = 4 THEN 9000000000000000000 ELSE 0 END) AS n
            FROM Feed GROUP BY TumblingWindow(minute, 10))
         SELECT n INTO o FROM w",
        "SELECT 60 / COALESCE(LAG(id + 1) OVER (LIMIT DURATION(minute, 10)), CASE WHEN id = 0 THEN 1 ELSE 0 END) AS n
         INTO o FROM Feed",
        "WITH w AS (SELECT id, LAG(id) OVER (LIMIT DURATION(minute, 10)) AS before FROM Feed)
         SELECT COUNT(*) AS n, MAX(CAST(COALESCE(CAST(before AS nvarchar(max)), CASE WHEN id = 0 THEN '0' ELSE 'none' END)
            AS bigint)) AS m INTO o FROM w GROUP BY TumblingWindow(minute, 10)",
        "WITH w AS (SELECT id, COALESCE(LAG(id) OVER (LIMIT DURATION(minute, 10)), 0 - id) AS before FROM Feed)
         SELECT COUNT(*) AS n INTO o FROM w a JOIN w b ON DATEDIFF(minute, a, b) BETWEEN 0 AND 2
         AND 60 / (CASE WHEN a.id > 0 AND a.before < 0 THEN 0 ELSE 1 END) = 60
         GROUP BY TumblingWindow(minute, 10)",
    ];
    let events: Vec<(u32, i64)> = (1..120).map(|m| (0, 2 * m)).collect();
    for query in queries {
        let quiet = rows(&live_as(query, &case(1, &events, vec![])));
        assert!(quiet.len() >= 24, "{query}");
        for minute in 100..112 {
            let upgrade = FaultKind::ServiceUpgrade { readable: false, down: Span::minutes(1) };
            let replayed = live_as(query, &case(1, &events, vec![(minute, upgrade)]));
            assert!(matches!(replayed.recoveries[0].answer.outcome, Outcome::Replayed { .. }));
            assert_eq!(replayed.failure, None, "upgrade in minute {minute} of\n{query}");
            assert_eq!(rows(&replayed), quiet, "upgrade in minute {minute} of\n{query}");
        }
    }
}

/// A task that feeds two sends to both in each round: counted over all links, every second packet would be all of one.
#[test]
fn on_each_link_every_second_packet_is_overtaken() {
    let query = "SELECT id, COUNT(*) AS n INTO counts FROM Feed GROUP BY id, TumblingWindow(minute, 10)";
    let trouble = LinkTrouble::Swap(Span::seconds(90));
    let swap = FaultKind::Link { node: 0, trouble, during: Span::hours(4) };
    let events: Vec<(u32, i64)> = (1..240).map(|m| (0, m)).collect();
    let staged = |faults| {
        let mut case = case(1, &events, faults);
        (case.deployment.nodes, case.deployment.keyed) = (4, 2);
        let plan = Arc::new(analyse(query, None).expect("a query"));
        run(&case, &plan, &EngineSubject::of_case(&plan, &case))
    };
    let (quiet, swapped) = (staged(vec![]), staged(vec![(0, swap)]));
    let given = |run: &Run| -> Vec<rewindow_query::Row> {
        run.deliveries.iter().flat_map(|delivery| delivery.rows.clone()).collect()
    };
    assert_eq!(given(&swapped), given(&quiet));
    let overtaken = |reader: u32| {
        let first = |step: &rewindow_world::outcome::Step| match step.what {
            What::Received { from: 0, first, .. } if step.task == Some(reader) => Some(first),
            _ => None,
        };
        let firsts: Vec<u64> = swapped.trace.iter().filter_map(first).collect();
        firsts.windows(2).filter(|two| two[1] < two[0]).count()
    };
    for keyed in [1, 2] {
        assert!(overtaken(keyed) > 10, "link to task {keyed}: {}", overtaken(keyed));
    }
}
