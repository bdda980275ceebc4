//! A shard in stages gives the rows of the shard run whole, in the same order, whatever becomes of packets and
//! tasks meanwhile. Would catch a link that loses, repeats or renumbers rows, a merge that depends on who was
//! first, a cut of the plan that changes a rule, and an upstream that forgets too early.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod common;

use std::sync::Arc;

use common::net::{Job, Ran, run};
use common::{Logs, View, at, ordering, plan};
use proptest::prelude::*;
use rewindow_engine::{Instance, Layout, OpenError, Plants, Role, Setup, Task, TaskOpening};
use rewindow_query::{Entry, Failure, Ordering, Outcome, Payload, Plan, Policy, Row, Shard, Timestamp, Why};

const QUERIES: [&str; 22] = [
    "SELECT k, COUNT(*) AS n, SUM(v) AS s FROM Feed TIMESTAMP BY t GROUP BY k, TumblingWindow(second, 7)",
    "SELECT k, AVG(v) AS a FROM Feed TIMESTAMP BY t GROUP BY k, HoppingWindow(second, 9, 4) HAVING COUNT(*) > 1",
    "SELECT k, MAX(v) AS m FROM Feed TIMESTAMP BY t WHERE v > 0 GROUP BY k, SlidingWindow(second, 6)",
    "SELECT k, COUNT(*) AS n FROM Feed TIMESTAMP BY t
     GROUP BY k, SessionWindow(second, 3, 12) OVER (PARTITION BY k)",
    "SELECT k, COUNT(*) AS n FROM Feed TIMESTAMP BY t GROUP BY k, SessionWindow(second, 3, 12)",
    "SELECT k, v, COLLECT(v) AS c FROM Feed TIMESTAMP BY t GROUP BY k, v, System.Timestamp()",
    "SELECT COUNT(*) AS n FROM Feed TIMESTAMP BY t GROUP BY TumblingWindow(second, 5)",
    "SELECT *, v * 2 AS w FROM Feed WHERE v <> 2",
    "SELECT k, v - LAG(v, 2, 0) OVER (PARTITION BY k LIMIT DURATION(second, 15)) AS d FROM Feed TIMESTAMP BY t",
    "WITH A AS (SELECT k, COUNT(*) AS n FROM Feed TIMESTAMP BY t GROUP BY k, TumblingWindow(second, 5))
     SELECT k, n - LAG(n) OVER (LIMIT DURATION(second, 30)) AS d FROM A",
    "WITH A AS (SELECT k, COUNT(*) AS n FROM Feed TIMESTAMP BY t GROUP BY k, TumblingWindow(second, 5))
     SELECT k, SUM(n) AS n FROM A GROUP BY k, HoppingWindow(second, 20, 10)",
    "WITH A AS (SELECT k, COUNT(*) AS n FROM Feed TIMESTAMP BY t GROUP BY k, TumblingWindow(second, 5)),
          B AS (SELECT k, v AS n FROM Feed TIMESTAMP BY t)
     SELECT k, n FROM A UNION SELECT k, n FROM B",
    "SELECT L.v AS l, R.v AS r FROM Feed L TIMESTAMP BY t JOIN Feed R TIMESTAMP BY t
     ON DATEDIFF(second, L, R) BETWEEN 0 AND 5 AND L.k = R.k",
    "SELECT L.v AS l, R.v AS r FROM Feed L TIMESTAMP BY t LEFT JOIN Other R
     ON DATEDIFF(second, L, R) BETWEEN 1 AND 4 AND L.k = R.k WHERE L.v > 0",
    "WITH A AS (SELECT k, COUNT(*) AS n FROM Feed TIMESTAMP BY t GROUP BY k, TumblingWindow(second, 5)),
          B AS (SELECT v, MIN(k) AS m FROM Other TIMESTAMP BY t GROUP BY v, HoppingWindow(second, 6, 3))
     SELECT A.k, A.n, B.m FROM A JOIN B ON DATEDIFF(second, A, B) BETWEEN -5 AND 5",
    "SELECT k, COUNT(*) AS n FROM Feed TIMESTAMP BY t
     GROUP BY k, Windows(Window('a', TumblingWindow(second, 4)), Window('b', HoppingWindow(second, 8, 4)))",
    "SELECT k, CAST(x AS bigint) AS x FROM Feed TIMESTAMP BY t",
    "SELECT k, SUM(CAST(x AS bigint)) AS x FROM Feed TIMESTAMP BY t GROUP BY k, TumblingWindow(second, 4)",
    "SELECT CAST(x AS bigint) AS k, COUNT(*) AS n FROM Feed TIMESTAMP BY t
     GROUP BY CAST(x AS bigint), HoppingWindow(second, 4, 2)",
    "WITH A AS (SELECT k, CAST(x AS bigint) AS x FROM Feed TIMESTAMP BY t WHERE v > 0),
          B AS (SELECT k, CAST(x AS bigint) AS x FROM Other TIMESTAMP BY t)
     SELECT k, COUNT(x) AS n FROM A GROUP BY k, TumblingWindow(second, 3)
     UNION SELECT k, x AS n FROM B",
    "SELECT k, v, a.ArrayValue AS e FROM Feed TIMESTAMP BY t CROSS APPLY GetArrayElements(list) AS a",
    "SELECT a.ArrayValue AS e, COUNT(*) AS n FROM Feed TIMESTAMP BY t CROSS APPLY GetArrayElements(list) AS a
     GROUP BY a.ArrayValue, SlidingWindow(second, 3)",
];

fn policy() -> Ordering {
    ordering(5, 2, Policy::Adjust)
}

type Step = (usize, u32, i64, i64, i64, u32, u32);

prop_compose! {
    fn logs()(steps in prop::collection::vec(
        (0..2usize, 0..3u32, 0..3i64, -7..2i64, 0..5i64, 0..4u32, 0..60u32), 0..40)) -> Logs {
        history(&steps)
    }
}

fn history(steps: &[Step]) -> Logs {
    let (mut logs, mut clock) = (Logs::default(), 0);
    for &(input, partition, gap, own, v, k, kind) in steps {
        clock += gap;
        let arrival = at(clock as f64);
        if kind < 3 {
            logs.push(input, partition, arrival, Payload::Estimate);
            continue;
        }
        let t = at((clock + own) as f64);
        let x = if kind == 3 { "no" } else { "7" };
        let k = if k == 3 { "null".to_owned() } else { format!(r#""k{k}""#) };
        let event = format!(r#"{{"k":{k},"v":{v},"t":"{t}","x":"{x}","list":[{v},"{v}"]}}"#);
        logs.event(input, partition, arrival, &event);
    }
    logs
}

fn partitions(plan: &Plan) -> Vec<u32> {
    (0..plan.inputs.len()).map(|input| 3 - input as u32).collect()
}

/// The shard run whole: rows, and the instant of a failure.
fn whole(plan: &Arc<Plan>, shard: &Shard, logs: &Logs) -> (Vec<Row>, Option<Failure>) {
    let mut instance = Instance::new(plan.clone(), shard.clone(), policy(), Timestamp::MIN);
    let mut rows = Vec::new();
    for (&(input, partition), entries) in &logs.0 {
        match instance.feed(input, partition, entries) {
            Ok(produced) => rows.extend(produced.rows),
            Err(failure) => return (rows, Some(failure)),
        }
    }
    rows.extend(instance.finish().map_or_else(|_| Vec::new(), |produced| produced.rows));
    (rows, instance.failure().cloned())
}

fn staged(
    plan: &Arc<Plan>,
    keyed: u32,
    logs: &Logs,
    seed: u64,
    steps: usize,
    plants: Plants,
) -> Result<Ran, String> {
    let partitions = partitions(plan);
    let layout = Arc::new(Layout::staged(plan, &partitions, keyed));
    let shard = plan.shards(&partitions).remove(0);
    let entries =
        |input, partition| -> &[Entry] { logs.0.get(&(input, partition)).map_or(&[], Vec::as_slice) };
    let view = View { logs, forgotten_before: Timestamp::MIN };
    let setup = Setup::new(plan.clone(), shard, policy());
    let job = Job { setup, layout, shard: 0, entries: &entries, log: &view, plants };
    let mut state = seed | 1;
    let mut draw = |bound: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % bound as u64) as usize
    };
    run(&job, &mut draw, steps)
}

fn check(
    query: usize,
    keyed: u32,
    logs: &Logs,
    seed: u64,
    steps: usize,
    plants: Plants,
) -> Result<Ran, String> {
    let plan = plan(QUERIES[query]);
    let shard = plan.shards(&partitions(&plan)).remove(0);
    let (rows, failure) = whole(&plan, &shard, logs);
    let ran = staged(&plan, keyed, logs, seed, steps, plants)?;
    let at = |failure: &Option<Failure>| failure.as_ref().map(|failure| failure.at);
    if at(&ran.failure) != at(&failure) {
        return Err(format!("{}: failed {:?}, not {failure:?}", QUERIES[query], ran.failure));
    }
    if ran.rows != rows {
        return Err(format!("{}\n  whole {rows:#?}\n  staged {:#?}", QUERIES[query], ran.rows));
    }
    Ok(ran)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_shard_in_stages_gives_the_rows_of_the_whole(
        query in 0..QUERIES.len(), keyed in 1..4u32, logs in logs(), seed in any::<u64>(), steps in 0..300usize,
    ) {
        let held = check(query, keyed, &logs, seed, steps, Plants::none());
        prop_assert!(held.is_ok(), "{}", held.unwrap_err());
    }
}

/// A long history in which much is in the making all the time.
fn busy() -> Logs {
    paced(1)
}

/// With such a pace: a replay reads what arrived five minutes ago, and so may leave something out.
fn paced(seconds: i64) -> Logs {
    let steps: Vec<Step> = (0..60_i64)
        .map(|n| {
            (
                usize::from(n % 4 == 3),
                (n % 3) as u32,
                seconds * (n % 2),
                -(n % 5),
                n % 4,
                (n % 7 % 4) as u32,
                9,
            )
        })
        .collect();
    history(&steps)
}

#[test]
fn everything_that_can_happen_happens() {
    let (busy, slow) = (busy(), paced(60));
    let mut happened = std::collections::BTreeMap::new();
    for seed in 0..40 {
        let logs = if seed % 2 == 0 { &busy } else { &slow };
        for query in [0, 3, 11, 14] {
            let ran = check(query, 2, logs, seed, 250, Plants::none()).unwrap();
            assert!(!ran.rows.is_empty());
            for (what, count) in ran.happened {
                *happened.entry(what).or_insert(0) += count;
            }
        }
    }
    let what: Vec<&str> = happened.keys().copied().collect();
    let wanted = [
        "asked again",
        "from the beginning of the epoch",
        "new epoch",
        "new epoch, on the way",
        "packet lost",
        "restored",
        "stale packet",
    ];
    assert_eq!(what, wanted, "{happened:?}");
}

#[test]
#[cfg(feature = "plant")]
fn every_bug_planted_in_links_is_found() {
    use rewindow_engine::Plant;
    let plants = [
        Plant::LinkHistoryDropped,
        Plant::LinkNumbersRestart,
        Plant::LinkDuplicatesTaken,
        Plant::MergeByArrival,
        Plant::LinkEpochIgnored,
        Plant::KeyedRouteChanges,
    ];
    let (busy, slow) = (busy(), paced(60));
    let hidden = plants.into_iter().filter(|&plant| {
        let breaks = |seed| {
            let query = [0, 11, 19][seed as usize % 3];
            let logs = if seed % 2 == 0 { &busy } else { &slow };
            let checked = || check(query, 2, logs, seed, 250, Plants::only(Some(plant)));
            std::panic::catch_unwind(checked).map_or(true, |checked| checked.is_err())
        };
        let found = (0..300).find(|&seed| breaks(seed));
        println!("{}: {found:?}", plant.name());
        found.is_none()
    });
    assert_eq!(hidden.map(Plant::name).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn stages_are_where_a_plan_has_them() {
    let roles = |query: &str, keyed: u32| -> String {
        let plan = plan(query);
        let layout = Layout::staged(&plan, &[2; 3], keyed);
        let text = |role: Role| match role {
            Role::Whole => "whole".to_owned(),
            Role::Partition { input, partition } => format!("{input}/{partition}"),
            Role::Keyed { index } => format!("key {index}"),
            Role::Merge => "merge".to_owned(),
        };
        let task = |task: &rewindow_engine::TaskSpec| {
            let links: Vec<String> = task.downstream.iter().map(|&to| text(layout.tasks[to].role)).collect();
            format!("{} -> [{}]", text(task.role), links.join(", "))
        };
        layout.tasks.iter().map(task).collect::<Vec<_>>().join("; ")
    };
    assert_eq!(roles(QUERIES[0], 0), "whole -> []");
    assert_eq!(
        roles(QUERIES[0], 2),
        "0/0 -> [key 0, key 1]; 0/1 -> [key 0, key 1]; key 0 -> [merge]; key 1 -> [merge]; merge -> []"
    );
    assert_eq!(roles(QUERIES[4], 2), "0/0 -> [merge]; 0/1 -> [merge]; merge -> []", "one line of sessions");
    assert_eq!(roles(QUERIES[6], 3), "0/0 -> [merge]; 0/1 -> [merge]; merge -> []", "one group");
    assert_eq!(
        roles(QUERIES[19], 1),
        "0/0 -> [key 0]; 0/1 -> [key 0]; 1/0 -> [merge]; 1/1 -> [merge]; key 0 -> [merge]; merge -> []"
    );
    let parallel = "SELECT COUNT(*) AS n FROM Feed PARTITION BY PartitionId GROUP BY PartitionId, TumblingWindow(second, 5)";
    assert_eq!(roles(parallel, 2), "whole -> []; whole -> []");
}

#[test]
fn a_task_whose_log_has_forgotten_cannot_go_on_in_its_epoch_and_foreign_checkpoints_are_refused() {
    let (plan, logs) = (plan(QUERIES[0]), busy());
    let partitions = partitions(&plan);
    let layout = Arc::new(Layout::staged(&plan, &partitions, 2));
    let shard = plan.shards(&partitions).remove(0);
    let open = |task: usize, epoch: u64, checkpoint: Option<&[u8]>, begin: bool, forgotten: f64| {
        let log = View { logs: &logs, forgotten_before: at(forgotten) };
        let places = [((0, 0), 0), ((0, 1), 0), ((0, 2), 0)].into();
        let begin = begin.then_some(&places);
        let (output_from, incarnation) = (Timestamp::MIN, 1);
        let opening = TaskOpening {
            why: Why::AfterKill,
            output_from,
            epoch,
            incarnation,
            checkpoint,
            begin,
            log: &log,
        };
        let setup = Setup::new(plan.clone(), shard.clone(), policy());
        Task::open(setup, &layout, task, opening, Plants::none())
    };
    let code = |opened: Result<(Task, rewindow_query::Recovered), OpenError>| opened.err().unwrap().code();
    assert_eq!(code(open(0, 1, None, true, 20.0)), "overtaken");
    let (_, recovered) = open(0, 2, None, false, 20.0).unwrap();
    assert!(matches!(recovered.outcome, Outcome::Replayed { .. }) && !recovered.gaps.is_empty());
    let (mut task, _) = open(0, 1, None, true, 0.0).unwrap();
    task.feed(0, 0, &logs.0[&(0, 0)][..5]).unwrap();
    let bytes = task.checkpoint();
    assert_eq!(code(open(0, 1, Some(&bytes), true, 40.0)), "overtaken");
    assert_eq!(code(open(0, 2, Some(&bytes), true, 0.0)), "checkpoint-epoch");
    assert_eq!(code(open(1, 1, Some(&bytes), true, 0.0)), "checkpoint-shard");
    assert_eq!(code(open(3, 1, Some(&bytes), true, 0.0)), "checkpoint-shard");
    let (_, recovered) = open(0, 1, Some(&bytes), true, 0.0).unwrap();
    assert_eq!((recovered.outcome, recovered.positions[&(0, 0)]), (Outcome::FromCheckpoint, 5));
    let (task, recovered) = open(0, 1, Some(&bytes[..bytes.len() - 1]), true, 0.0).unwrap();
    assert_eq!(recovered.positions[&(0, 0)], 0, "a torn checkpoint is as good as none");
    assert_eq!(task.positions(), recovered.positions);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_a_reader_of_checkpoints_panic(place in any::<prop::sample::Index>(), flip in 1..=255u8) {
        let (plan, logs) = (plan(QUERIES[11]), busy());
        let layout = Arc::new(Layout::staged(&plan, &[3], 2));
        let shard = plan.shards(&[3]).remove(0);
        let log = View { logs: &logs, forgotten_before: Timestamp::MIN };
        let open = |checkpoint: Option<&[u8]>| {
            let (output_from, why) = (Timestamp::MIN, Why::AfterKill);
            let opening =
                TaskOpening { why, output_from, epoch: 1, incarnation: 1, checkpoint, begin: None, log: &log };
            Task::open(Setup::new(plan.clone(), shard.clone(), policy()), &layout, 0, opening, Plants::none())
        };
        let (mut task, _) = open(None).unwrap();
        task.feed(0, 0, &logs.0[&(0, 0)]).unwrap();
        let mut bytes = task.checkpoint();
        bytes.truncate(bytes.len() - 8);
        let place = place.index(bytes.len());
        bytes[place] ^= flip;
        rewindow_engine::checkpoint::seal(&mut bytes);
        if let Ok((task, _)) = open(Some(&bytes)) {
            task.explain();
            task.checkpoint();
        }
    }
}
