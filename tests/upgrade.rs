//! Claim 7, *upgrade*: every checkpoint ever written is loaded or refused by name, never misread.
//!
//! What no other suite would catch: a format that changes while its number stays. `tests/golden/FORMAT` holds what
//! programs of that format wrote, as hexadecimal text; these files are never written again, a new format adds new ones.
//! And a user's restart with another query, or over other partitions, that goes on from what the former job left.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

#[path = "../engine/tests/common/mod.rs"]
mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use common::{Logs, View, at, ordering};
use rewindow_engine::checkpoint::{FORMAT, seal};
use rewindow_engine::coordinator::{Again, GrantError};
use rewindow_engine::{
    Coordinator, Instance, Layout, MemoryStore, OpenError, Packet, Plants, Received, Setup, Store, Task,
    TaskOpening,
};
use rewindow_query::{Ordering, Outcome, Payload, Plan, Policy, Recovered, Row, Timestamp, Why};

/// Name, keyed tasks, query. A file of `tests/golden` for each task of each.
const GOLDEN: &[(&str, u32, &str)] = &[
    ("ordering", 0, "SELECT k, n FROM a TIMESTAMP BY t"),
    ("substreams", 0, "SELECT k, n FROM one TIMESTAMP BY t OVER k"),
    (
        "tumbling",
        0,
        "SELECT k, COUNT(*) AS c, SUM(n) AS s FROM a TIMESTAMP BY t GROUP BY k, Tumbling(second, 7)",
    ),
    (
        "hopping",
        0,
        "SELECT k, AVG(n) AS m, MAX(n) AS x FROM a TIMESTAMP BY t GROUP BY k, Hopping(second, 9, 4)",
    ),
    (
        "sliding",
        0,
        "SELECT k, MIN(n) AS s, COUNT(*) AS c FROM a TIMESTAMP BY t GROUP BY k, Sliding(second, 6)",
    ),
    (
        "session",
        0,
        "SELECT k, COUNT(*) AS c FROM a TIMESTAMP BY t GROUP BY k, Session(second, 3, 12) OVER (PARTITION BY k)",
    ),
    ("snapshot", 0, "SELECT k, COLLECT(n) AS l FROM a TIMESTAMP BY t GROUP BY k, System.Timestamp()"),
    (
        "lag",
        0,
        "SELECT n, LAG(n, 2, -1) OVER (PARTITION BY k LIMIT DURATION(second, 15)) AS p FROM a TIMESTAMP BY t",
    ),
    (
        "last",
        0,
        "SELECT n, LAST(n) OVER (LIMIT DURATION(second, 9) WHEN k = 'k1') AS p FROM a TIMESTAMP BY t",
    ),
    ("isfirst", 0, "SELECT n, ISFIRST(second, 9) OVER (PARTITION BY k) AS f FROM a TIMESTAMP BY t"),
    (
        "over",
        0,
        "SELECT n, SUM(n) OVER (PARTITION BY k LIMIT DURATION(second, 9)) AS s FROM a TIMESTAMP BY t",
    ),
    (
        "join",
        0,
        "SELECT l.n AS x, r.n AS y FROM a l TIMESTAMP BY t JOIN b r TIMESTAMP BY t ON l.k = r.k AND DATEDIFF(second, l, r) BETWEEN 0 AND 8",
    ),
    (
        "left-join",
        0,
        "SELECT l.n AS x, r.n AS y FROM a l TIMESTAMP BY t LEFT JOIN b r TIMESTAMP BY t ON l.k = r.k AND DATEDIFF(second, l, r) BETWEEN -1 AND 4",
    ),
    (
        "match",
        0,
        "SELECT * FROM a TIMESTAMP BY t MATCH_RECOGNIZE (LIMIT DURATION(second, 9) PARTITION BY k \
         MEASURES First(A.n) AS f, Last(B.n) AS l AFTER MATCH SKIP TO NEXT ROW PATTERN (A C* B) \
         DEFINE A AS A.n < 2, B AS B.n >= 2) AS m",
    ),
    (
        "parallel",
        0,
        "SELECT COUNT(*) AS c FROM a TIMESTAMP BY t PARTITION BY PartitionId GROUP BY PartitionId, Tumbling(second, 7)",
    ),
    (
        "tasks",
        2,
        "SELECT k, COUNT(*) AS c, SUM(n) AS s FROM a TIMESTAMP BY t GROUP BY k, Hopping(second, 9, 4)",
    ),
    (
        "tasks-union",
        2,
        "WITH g AS (SELECT k, COUNT(*) AS n FROM a TIMESTAMP BY t GROUP BY k, Tumbling(second, 5)), \
         o AS (SELECT k, n FROM b TIMESTAMP BY t) SELECT k, n FROM g UNION SELECT k, n FROM o",
    ),
    (
        "tasks-join",
        1,
        "SELECT l.n AS x, r.n AS y FROM a l TIMESTAMP BY t LEFT JOIN b r TIMESTAMP BY t ON l.k = r.k AND DATEDIFF(second, l, r) BETWEEN -1 AND 4",
    ),
];

/// When the golden checkpoints were taken: amid everything.
const CUT: f64 = 61.0;
/// The epoch they belong to.
const EPOCH: u64 = 3;

fn tolerances() -> Ordering {
    ordering(6, 3, Policy::Adjust)
}

/// Streams by the place they have in the query: the second has fewer partitions.
fn partitions(plan: &Plan) -> Vec<u32> {
    let one = plan.inputs.iter().any(|input| &*input.name == "one");
    (0..plan.inputs.len()).map(|input| if one { 1 } else { 3 - input as u32 }).collect()
}

/// Two minutes, or so many times as much: an event a second, some late, some out of order; `partitions` of each stream.
fn history(partitions: &[u32], pace: f64) -> Logs {
    let mut logs = Logs::default();
    for n in 0..120_u32 {
        let input = if partitions.len() > 1 && n % 3 == 2 { 1 } else { 0 };
        let partition = n / 3 % partitions[input];
        let own = at(f64::from(n) * pace - f64::from(n * 7 % 5));
        let key = if n % 11 == 0 { "null".to_owned() } else { format!(r#""k{}""#, n % 4) };
        let event = format!(r#"{{"k":{key},"n":{},"t":"{own}"}}"#, n * 5 % 7);
        logs.event(input, partition, at(f64::from(n) * pace), &event);
        if n % 17 == 0 {
            logs.push(input, partition, at(f64::from(n) * pace), Payload::Estimate);
        }
    }
    logs
}

/// What is the same for all tasks of a job.
struct Job {
    plan: Arc<Plan>,
    layout: Arc<Layout>,
    partitions: Vec<u32>,
    ordering: Ordering,
    logs: Logs,
}

impl Job {
    fn new(query: &str, keyed: u32) -> Job {
        let plan = common::plan(query);
        let partitions = partitions(&plan);
        Job::over(query, keyed, &partitions, 1.0)
    }

    fn over(query: &str, keyed: u32, partitions: &[u32], pace: f64) -> Job {
        let plan = common::plan(query);
        let layout = Arc::new(Layout::staged(&plan, partitions, keyed));
        let logs = history(partitions, pace);
        Job { plan, layout, partitions: partitions.to_vec(), ordering: tolerances(), logs }
    }

    fn view(&self) -> View<'_> {
        View { logs: &self.logs, forgotten_before: Timestamp::MIN }
    }

    fn setup(&self, task: usize) -> Setup {
        let shard = self.plan.shards(&self.partitions).remove(self.layout.tasks[task].shard);
        Setup::new(self.plan.clone(), shard, self.ordering)
    }

    /// A task that died and goes on from these bytes.
    fn restore(&self, task: usize, bytes: &[u8], epoch: u64) -> Result<(Task, Recovered), OpenError> {
        let opening = TaskOpening {
            why: Why::AfterKill,
            output_from: Timestamp::MIN,
            epoch,
            incarnation: 2,
            checkpoint: Some(bytes),
            begin: None,
            log: &self.view(),
        };
        Task::open(self.setup(task), &self.layout, task, opening, Plants::none())
    }

    fn fresh(&self) -> Crew<'_> {
        let open = |task| {
            let opening = TaskOpening {
                why: Why::Fresh,
                output_from: Timestamp::MIN,
                epoch: EPOCH,
                incarnation: 1,
                checkpoint: None,
                begin: None,
                log: &self.view(),
            };
            Task::open(self.setup(task), &self.layout, task, opening, Plants::none()).unwrap().0
        };
        Crew { job: self, tasks: (0..self.layout.tasks.len()).map(open).collect(), rows: Vec::new() }
    }

    /// Every row of the job, by shards run whole.
    fn whole(&self) -> Vec<Row> {
        let shards = self.plan.shards(&self.partitions);
        let mut rows = Vec::new();
        for shard in shards {
            let mut instance = Instance::new(self.plan.clone(), shard, self.ordering, Timestamp::MIN);
            rows.extend(common::drain(&mut instance, &self.logs));
        }
        sorted(rows)
    }
}

fn sorted(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort_by_key(|row| (row.output, row.partition, row.timestamp, row.ordinal));
    rows
}

/// All tasks of a job at work, each packet taken as soon as it is sent.
struct Crew<'a> {
    job: &'a Job,
    tasks: Vec<Task>,
    rows: Vec<Row>,
}

impl Crew<'_> {
    /// Reads what arrives before `until`.
    fn read(&mut self, until: Timestamp) {
        for entry in self.job.logs.merged().into_iter().filter(|entry| entry.arrival < until) {
            for task in 0..self.tasks.len() {
                let next = self.tasks[task].positions().get(&(entry.input, entry.partition)).copied();
                if next == Some(entry.offset) {
                    let entries = std::slice::from_ref(&entry);
                    let given = self.tasks[task].feed(entry.input, entry.partition, entries);
                    self.rows.extend(given.unwrap().rows);
                }
            }
            self.carry();
        }
    }

    /// The input ends.
    fn end(mut self) -> Vec<Row> {
        self.read(Timestamp::MAX);
        for task in 0..self.tasks.len() {
            let given = self.tasks[task].finish().unwrap();
            self.rows.extend(given.rows);
            self.carry();
        }
        sorted(self.rows)
    }

    /// Tasks stand in the order of their links.
    fn carry(&mut self) {
        for task in 0..self.tasks.len() {
            for (to, packet) in self.tasks[task].outgoing() {
                let reader = self.job.layout.tasks[task].downstream[to];
                self.hand(task, reader, &packet);
            }
        }
    }

    fn hand(&mut self, from: usize, to: usize, packet: &Packet) {
        let place = self.job.layout.tasks[to].upstream.iter().position(|&task| task == from).unwrap();
        match self.tasks[to].receive(place, packet).unwrap() {
            Received::Rows(given) => self.rows.extend(given.rows),
            other => panic!("a packet in its order was not taken: {other:?}"),
        }
    }

    /// After a restore every task asks again for what it lacks.
    fn ask(&mut self) {
        for to in 0..self.tasks.len() {
            for (place, &from) in self.job.layout.tasks[to].upstream.iter().enumerate() {
                let link =
                    self.job.layout.tasks[from].downstream.iter().position(|&task| task == to).unwrap();
                let packet = self.tasks[from].resend(link, self.tasks[to].wanted(place)).unwrap();
                self.hand(from, to, &packet);
            }
        }
    }
}

// ---- files --------------------------------------------------------------------------------------------

fn hex(bytes: &[u8]) -> String {
    let line = |line: &[u8]| line.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n";
    bytes.chunks(50).map(line).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(|c| !c.is_ascii_whitespace()).collect();
    let byte = |two: &[u8]| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

fn path(format: u32, name: &str, task: usize) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    folder.join(format.to_string()).join(format!("{name}-{task}.hex"))
}

fn golden(name: &str, job: &Job) -> Vec<Vec<u8>> {
    let read = |task| {
        let path = path(FORMAT, name, task);
        bytes(&std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    };
    (0..job.layout.tasks.len()).map(read).collect()
}

/// What this program writes is what stands there. Otherwise what it writes is put beside, for a new format's folder.
#[test]
fn a_format_does_not_change_while_its_number_stays() {
    let mut other = Vec::new();
    for &(name, keyed, query) in GOLDEN {
        let job = Job::new(query, keyed);
        let mut crew = job.fresh();
        crew.read(at(CUT));
        for (task, written) in crew.tasks.iter().map(Task::checkpoint).enumerate() {
            let known = path(FORMAT, name, task);
            if std::fs::read_to_string(&known).ok().map(|text| bytes(&text)).as_ref() == Some(&written) {
                continue;
            }
            let beside = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("golden");
            std::fs::create_dir_all(&beside).unwrap();
            let beside = beside.join(known.file_name().unwrap());
            std::fs::write(&beside, hex(&written)).unwrap();
            other.push(format!("{}: now {}", known.display(), beside.display()));
        }
    }
    assert!(
        other.is_empty(),
        "checkpoints of format {FORMAT} look otherwise now; raise `checkpoint::FORMAT` and add a folder:\n{}",
        other.join("\n")
    );
}

#[test]
fn golden_checkpoints_are_gone_on_from_as_if_nothing_had_happened() {
    for &(name, keyed, query) in GOLDEN {
        let job = Job::new(query, keyed);
        let whole = job.whole();
        let mut before = job.fresh();
        before.read(at(CUT));
        let mut after = Crew { job: &job, tasks: Vec::new(), rows: Vec::new() };
        for (task, bytes) in golden(name, &job).iter().enumerate() {
            let (restored, recovered) = job.restore(task, bytes, EPOCH).unwrap();
            assert_eq!(recovered.outcome, Outcome::FromCheckpoint, "{name}");
            assert_eq!(recovered.positions, before.tasks[task].positions(), "{name}");
            assert_eq!(&restored.checkpoint(), bytes, "{name}: saved as it was loaded");
            after.tasks.push(restored);
        }
        after.ask();
        let count = before.rows.len();
        assert!(0 < count && count < whole.len(), "{name}: {count} of {}", whole.len());
        let rows = [before.rows, after.end()].concat();
        assert_eq!(sorted(rows), whole, "{name}");
    }
}

#[test]
fn golden_checkpoints_of_another_job_are_refused_by_name() {
    let foreign = Job::new("SELECT k, n + 1 AS m FROM a TIMESTAMP BY t", 0);
    let code = |opened: Result<(Task, Recovered), OpenError>| opened.map(|_| ()).unwrap_err().code();
    let mut refused = BTreeSet::new();
    for &(name, keyed, query) in GOLDEN {
        let job = Job::new(query, keyed);
        let more: Vec<u32> = job.partitions.iter().map(|count| count + 1).collect();
        let wider = Job::over(query, keyed, &more, 1.0);
        let later = Job { ordering: ordering(7, 3, Policy::Adjust), ..Job::new(query, keyed) };
        let last = job.layout.tasks.len() - 1;
        for (task, bytes) in golden(name, &job).iter().enumerate() {
            let whole =
                job.layout.tasks[task].upstream.is_empty() && job.layout.tasks[task].downstream.is_empty();
            if whole && task == 0 {
                // What is in stages begins otherwise than what is whole.
                assert_eq!(code(foreign.restore(0, bytes, EPOCH)), "checkpoint-query", "{name}");
            }
            assert_eq!(code(later.restore(task, bytes, EPOCH)), "checkpoint-ordering", "{name}");
            if !whole {
                assert_eq!(code(job.restore(task, bytes, EPOCH + 1)), "checkpoint-epoch", "{name}");
            }
            let mut newer = bytes[..bytes.len() - 8].to_vec();
            newer[4] += 1;
            seal(&mut newer);
            assert_eq!(code(job.restore(task, &newer, EPOCH)), "checkpoint-version", "{name}");
            // A part that is the same over more partitions is told from it by its epoch alone.
            let part = |job: &Job, task: usize| {
                let spec = &job.layout.tasks[task];
                (spec.reads.clone(), spec.upstream.len(), spec.downstream.len())
            };
            let wider_tasks = 0..wider.layout.tasks.len();
            let of_role = |other: &usize| wider.layout.tasks[*other].role == job.layout.tasks[task].role;
            for other in wider_tasks.filter(of_role).filter(|&other| part(&wider, other) != part(&job, task))
            {
                assert_eq!(code(wider.restore(other, bytes, EPOCH)), "checkpoint-shard", "{name}");
                refused.insert(name);
            }
            let other = (task + 1) % (last + 1);
            if other != task {
                assert_eq!(code(job.restore(other, bytes, EPOCH)), "checkpoint-shard", "{name}");
            }
        }
    }
    assert_eq!(refused.len(), GOLDEN.len(), "each has a part that other partitions make another");
}

#[test]
fn golden_checkpoints_that_were_torn_are_as_good_as_none() {
    for &(name, keyed, query) in GOLDEN {
        let job = Job::new(query, keyed);
        for (task, bytes) in golden(name, &job).iter().enumerate() {
            let torn = |bytes: &[u8]| {
                let (_, recovered) = job.restore(task, bytes, EPOCH).unwrap();
                assert!(matches!(recovered.outcome, Outcome::Replayed { .. }), "{name}: {recovered:?}");
            };
            (0..bytes.len()).for_each(|len| torn(&bytes[..len]));
            for place in 0..bytes.len() {
                let mut changed = bytes.clone();
                changed[place] ^= 1 << (place % 8);
                torn(&changed);
            }
        }
    }
}

// ---- a user's restart ---------------------------------------------------------------------------------

const FORMER: &str = "SELECT k, COUNT(*) AS c FROM a TIMESTAMP BY t GROUP BY k, Tumbling(minute, 3)";
const LATTER: &str = "SELECT k, COUNT(*) AS c FROM a TIMESTAMP BY t GROUP BY k, Hopping(minute, 4, 2)";
/// Slow enough for a replay to leave something out: it reads ten minutes and more.
const PACE: f64 = 30.0;

/// The former job runs for half an hour and saves twice, as its coordinator lets it.
fn former(job: &Job) -> MemoryStore {
    let mut coordinator = Coordinator::new(MemoryStore::default(), &job.layout).unwrap();
    let mut crew = opened(job, &mut coordinator, Why::Fresh, Timestamp::MIN).unwrap();
    for until in [40.0, CUT] {
        crew.read(at(until * PACE));
        for (task, at_work) in crew.tasks.iter().enumerate() {
            let (incarnation, received) = (at_work.incarnation(), at_work.received());
            coordinator.publish(task, incarnation, &at_work.checkpoint(), &received).unwrap();
        }
    }
    assert!(!crew.rows.is_empty());
    let kept: usize = (0..job.layout.tasks.len()).map(|task| coordinator.kept(task).len()).sum();
    assert_eq!(kept, 2 * job.layout.tasks.len());
    coordinator.into_store()
}

/// All tasks of all shards in a new epoch, as a start by the user begins one.
fn opened<'a>(
    job: &'a Job,
    coordinator: &mut Coordinator<MemoryStore>,
    why: Why,
    output_from: Timestamp,
) -> Result<Crew<'a>, OpenError> {
    let shards: BTreeSet<usize> = job.layout.tasks.iter().map(|task| task.shard).collect();
    for shard in shards {
        coordinator.begin(shard, output_from).unwrap();
    }
    granted(job, coordinator, why)
}

/// All tasks, as the coordinator lets them.
fn granted<'a>(
    job: &'a Job,
    coordinator: &mut Coordinator<MemoryStore>,
    why: Why,
) -> Result<Crew<'a>, OpenError> {
    let mut crew = Crew { job, tasks: Vec::new(), rows: Vec::new() };
    for task in 0..job.layout.tasks.len() {
        let grant = coordinator.open(task, true, &|_| true).unwrap();
        let opening = TaskOpening {
            why,
            output_from: grant.output_from,
            epoch: grant.epoch,
            incarnation: grant.incarnation,
            checkpoint: grant.checkpoint.as_ref().map(|kept| &kept.bytes[..]),
            begin: grant.begin.as_ref(),
            log: &job.view(),
        };
        let (opened, recovered) = Task::open(job.setup(task), &job.layout, task, opening, Plants::none())?;
        assert!(recovered.gaps.is_empty(), "nothing was forgotten");
        if grant.checkpoint.is_none() && grant.begin.is_none() {
            coordinator.began(task, grant.incarnation, &recovered.positions).unwrap();
        }
        crew.tasks.push(opened);
    }
    Ok(crew)
}

/// The job after the restart says from there on what it says from its beginning.
fn says_the_same(job: &Job, store: MemoryStore) {
    let mut coordinator = Coordinator::new(store, &job.layout).unwrap();
    let from = at(CUT * PACE);
    let crew = opened(job, &mut coordinator, Why::UserRestart, from).unwrap();
    let positions: BTreeMap<(usize, u32), u64> = crew.tasks.iter().flat_map(Task::positions).collect();
    assert!(positions.values().any(|&next| next > 0), "a replay, not all over again: {positions:?}");
    assert!((0..crew.tasks.len()).all(|task| coordinator.kept(task).is_empty()), "nothing of before is used");
    let owed: Vec<Row> = job.whole().into_iter().filter(|row| row.timestamp >= from).collect();
    assert!(!owed.is_empty());
    assert_eq!(crew.end(), owed);
    assert!(coordinator.collect().unwrap() > 0, "and then it is rubbish");
    assert_eq!(coordinator.store().list("t").unwrap().iter().filter(|name| name.contains("-e")).count(), 0);
}

#[test]
fn a_restart_with_another_query_uses_nothing_of_before() {
    for keyed in [0, 2] {
        let (before, after) = (Job::over(FORMER, keyed, &[3], PACE), Job::over(LATTER, keyed, &[3], PACE));
        let store = former(&before);
        // Whoever forgets to begin a new epoch is offered the old state, and refuses it by name.
        let mut coordinator = Coordinator::new(store.clone(), &after.layout).unwrap();
        let refused = granted(&after, &mut coordinator, Why::AfterKill);
        assert_eq!(refused.map(|_| ()).unwrap_err().code(), "checkpoint-query");
        says_the_same(&after, store);
    }
}

#[test]
fn a_restart_over_other_partitions_uses_nothing_of_before() {
    for keyed in [0, 2] {
        let before = Job::over(FORMER, keyed, &[3], PACE);
        for partitions in [2, 4] {
            let after = Job::over(FORMER, keyed, &[partitions], PACE);
            let store = former(&before);
            let mut coordinator = Coordinator::new(store.clone(), &after.layout).unwrap();
            let refused = coordinator.open(0, true, &|_| true).unwrap_err();
            assert!(
                matches!(refused, GrantError::Again(Again { shard: 0, .. })),
                "its parts are others: {refused:?}"
            );
            says_the_same(&after, store);
        }
    }
}
