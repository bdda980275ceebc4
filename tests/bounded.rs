//! Claim 11, *bounded*: nothing grows with uptime.
//!
//! ```text
//!   steady input   ....x....x....x....x....|....x....x....x....x....    x: a node is killed
//!                  checkpoints and links   |  no larger than in the first half
//! ```
//!
//! What no other suite would catch: an operator, a stage or a link that forgets nothing: every row is right, and after a
//! month the job dies. Steady input over many lookbacks, a node killed every now and then, each operator alone and in
//! chains, whole and in tasks: twice the time gives no larger checkpoints and no longer histories of links, but for what the
//! entries of one more lookback can explain. Two subjects that keep everything are found.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use rewindow_engine::{Layout, Packet};
use rewindow_query::event::Reference;
use rewindow_query::{
    Entry, Failure, History, Ordering, Payload, Plan, Policy, Record, Recovered, Row, Shard, Span, Timestamp,
    Value,
};
use rewindow_world::case::{Case, CaseInput, Deployment, Fault, FaultKind, SinkKind};
use rewindow_world::language::Language;
use rewindow_world::outcome::{Run, What};
use rewindow_world::subject::{Opening, Refusal, Subject, Taken, Worker};
use support::queries::{CHAINS, QUERIES};
use support::{engine, plan, run, truth};

/// Between events of a stream.
const STEP: Span = Span(5_000_000);
/// Lengths of the two runs: 40 and 80 times the longest lookback of an operator alone.
const HALF: Span = Span::seconds(200);
const WHOLE: Span = Span::seconds(400);
/// A node is killed this often, each now behind a save, now halfway to the next: all that comes of it has come in the
/// first half, and comes again in the second.
const KILLS: Span = Span::seconds(35);
const ORDERING: Ordering =
    Ordering { late: Span::seconds(2), out_of_order: Span::seconds(1), policy: Policy::Adjust };
/// What one entry may come to in a checkpoint, and what numbers may grow by as they get longer.
const ENTRY: u64 = 64;

fn start() -> Timestamp {
    Timestamp::parse("2024-01-01T00:00:00Z").unwrap()
}

fn reference() -> Reference {
    let row = |key: &str, n: i64| {
        let members: [(Arc<str>, Value); 3] =
            [("k".into(), Value::text(key)), ("n".into(), Value::Int(n)), ("says".into(), Value::text("x"))];
        Arc::new(Record::from_iter(members))
    };
    Reference { versions: vec![(Timestamp::MIN, vec![row("a", 1), row("b", 2)])] }
}

/// The same few events over and over, on every stream.
fn steady(plan: &Plan, span: Span) -> History {
    let mut entries = Vec::new();
    for number in 0..span.0 / STEP.0 {
        for input in 0..plan.inputs.len() {
            let arrival = start().plus(Span(STEP.0 * number)).plus(Span(input as i64));
            let n = (number + input as i64) % 4;
            let members: [(Arc<str>, Value); 5] = [
                ("t".into(), Value::text(arrival.to_string())),
                ("k".into(), Value::text(if number % 3 == 0 { "a" } else { "b" })),
                ("n".into(), Value::Int(n)),
                ("list".into(), Value::Array((0..n).map(Value::Int).collect())),
                ("yes".into(), Value::Bit(true)),
            ];
            let payload = Payload::Event(Arc::new(Record::from_iter(members)));
            entries.push(Entry { input, partition: 0, offset: number as u64, arrival, payload });
        }
    }
    History { entries, references: plan.references.iter().map(|_| reference()).collect() }
}

fn case(query: &str, keyed: u32, span: Span) -> Case {
    let plan = plan(query);
    let nodes = if keyed == 0 { 1 } else { 2 };
    let kills = (1..span.0 / KILLS.0).map(|number| Fault {
        at: start().plus(Span(KILLS.0 * number)),
        kind: FaultKind::NodeKill { node: number as u32 / 2 % nodes, down: Span::seconds(3) },
    });
    Case {
        name: "steady".to_owned(),
        query: query.into(),
        language: Language::default(),
        inputs: plan
            .inputs
            .iter()
            .map(|input| CaseInput { name: input.name.to_string(), partitions: 1 })
            .collect(),
        references: plan.references.iter().map(|reference| reference.name.to_string()).collect(),
        ordering: ORDERING,
        deployment: Deployment {
            nodes,
            keyed,
            link_delay: Span::seconds(1),
            checkpoint_interval: Span::seconds(10),
            poll_interval: Span::seconds(1),
            batch: 100,
            rate: 1_000,
            retention: None,
            retention_size: None,
            heartbeat: Span::seconds(10),
            sink: SinkKind::Append,
        },
        history: Arc::new(steady(&plan, span)),
        faults: kills.collect(),
        turns: Vec::new(),
    }
}

/// How large things got.
#[derive(Default)]
struct Sizes {
    /// Of each task the largest checkpoint, and how many there were.
    checkpoints: BTreeMap<usize, (u64, u64)>,
    /// Of each task the most rows kept for its readers.
    links: BTreeMap<usize, u64>,
}

/// Of what was saved before `until`.
fn sizes(run: &Run, until: Timestamp) -> Sizes {
    let mut sizes = Sizes { links: run.links_max.clone(), ..Sizes::default() };
    for step in run.trace.iter().filter(|step| step.at < until) {
        if let What::Checkpoint { size, .. } = step.what {
            let task = step.task.map_or_else(|| step.shard.unwrap(), |task| task as usize);
            let (largest, count) = sizes.checkpoints.entry(task).or_default();
            (*largest, *count) = ((*largest).max(size as u64), *count + 1);
        }
    }
    sizes
}

/// Entries that can be within one lookback and the tolerances of each other.
fn entries(plan: &Plan) -> u64 {
    let seen = plan.lookback(0).0 + ORDERING.late.0 + ORDERING.out_of_order.0;
    (seen / STEP.0 + 1) as u64 * plan.inputs.len() as u64
}

type Make<'a> = &'a dyn Fn(&Arc<Plan>, &Case) -> Box<dyn Subject>;

/// What grew, if anything did.
fn grows(query: &str, keyed: u32, make: Make<'_>) -> Option<String> {
    let play = |span: Span| {
        let case = case(query, keyed, span);
        let truth = truth(&case);
        let run = run(&truth, &case, make(&truth.plan, &case).as_ref());
        assert!(run.refused.is_empty() && run.panicked.is_none() && run.failure.is_none(), "{query}");
        let kills = case.faults.len() as u64;
        let opened =
            run.recoveries.iter().filter(|r| r.answer.outcome == rewindow_query::Outcome::FromCheckpoint);
        assert!(opened.count() as u64 >= kills, "{query}: {kills} kills, from checkpoints");
        // What is saved behind the last event has less to hold.
        (sizes(&run, start().plus(span)), entries(&truth.plan), !truth.plan.parallel && keyed > 0)
    };
    let ((half, entries, linked), (whole, ..)) = (play(HALF), play(WHOLE));
    assert_eq!(linked, !half.links.is_empty(), "{query}: links have histories");
    assert!(!half.checkpoints.is_empty(), "{query}: nothing was saved");
    for (task, &(largest, count)) in &whole.checkpoints {
        let (before, earlier) = half.checkpoints.get(task).copied().unwrap_or_default();
        assert!(count > earlier, "{query}: task {task} saved {earlier} times, and then no more");
        if largest > before + entries * ENTRY {
            return Some(format!("task {task}, checkpoints: {before}, then {largest} bytes"));
        }
    }
    for (task, &most) in &whole.links {
        let before = half.links.get(task).copied().unwrap_or_default();
        if most > before + entries {
            return Some(format!("task {task}, rows kept for readers: {before}, then {most}"));
        }
    }
    None
}

fn everything() -> impl Iterator<Item = (&'static str, u32)> {
    let queries = QUERIES.iter().map(|&(_, query)| query).chain(CHAINS.iter().copied());
    queries.flat_map(|query| [0, 2].map(|keyed| (query, keyed)))
}

#[test]
fn nothing_grows_with_uptime() {
    let grown: Vec<String> = everything()
        .filter_map(|(query, keyed)| {
            grows(query, keyed, &|plan, case| engine(plan, case))
                .map(|what| format!("keyed {keyed}, {what}\n{query}"))
        })
        .collect();
    assert!(grown.is_empty(), "{}", grown.join("\n\n"));
}

// ---- subjects that keep too much --------------------------------------------------------------------

/// What is kept for good.
#[derive(Clone, Copy, PartialEq)]
enum Keeps {
    /// Every entry, in checkpoints.
    Entries,
    /// What readers have long had.
    Links,
}

/// The engine, and all it ever saw.
struct Hoarder {
    inner: Box<dyn Subject>,
    keeps: Keeps,
}

struct HoardingWorker {
    inner: Box<dyn Worker>,
    keeps: Keeps,
    hoard: Vec<u8>,
}

impl Subject for Hoarder {
    fn name(&self) -> &'static str {
        "hoarder"
    }

    fn shards(&self) -> &[Shard] {
        self.inner.shards()
    }

    fn layout(&self) -> Layout {
        self.inner.layout()
    }

    fn open(&self, task: usize, opening: &Opening<'_>) -> Result<(Box<dyn Worker>, Recovered), Refusal> {
        // The hoard, its length behind it, stands behind the engine's own bytes.
        let (own, hoard) = match opening.checkpoint.and_then(|bytes| bytes.split_last_chunk::<8>()) {
            Some((bytes, length)) => {
                let (own, hoard) = bytes.split_at(bytes.len() - u64::from_le_bytes(*length) as usize);
                (Some(own), hoard.to_vec())
            }
            None => (None, Vec::new()),
        };
        let (inner, recovered) = self.inner.open(task, &Opening { checkpoint: own, ..*opening })?;
        Ok((Box::new(HoardingWorker { inner, keeps: self.keeps, hoard }), recovered))
    }
}

impl Worker for HoardingWorker {
    fn feed(&mut self, input: usize, partition: u32, entries: &[Entry]) -> Result<Vec<Row>, Failure> {
        if self.keeps == Keeps::Entries {
            self.hoard.resize(self.hoard.len() + 50 * entries.len(), 7);
        }
        self.inner.feed(input, partition, entries)
    }

    fn finish(&mut self) -> Result<Vec<Row>, Failure> {
        self.inner.finish()
    }

    fn failure(&self) -> Option<Failure> {
        self.inner.failure()
    }

    fn frontier(&self) -> Timestamp {
        self.inner.frontier()
    }

    fn checkpoint(&self) -> Vec<u8> {
        let mut bytes = self.inner.checkpoint();
        bytes.extend_from_slice(&self.hoard);
        bytes.extend_from_slice(&(self.hoard.len() as u64).to_le_bytes());
        bytes
    }

    fn receive(&mut self, from: usize, packet: &Packet) -> Result<Taken, Failure> {
        self.inner.receive(from, packet)
    }

    fn outgoing(&mut self) -> Vec<(usize, Packet)> {
        self.inner.outgoing()
    }

    fn wanted(&self) -> Vec<u64> {
        self.inner.wanted()
    }

    fn resend(&self, to: usize, from: u64) -> Option<Packet> {
        self.inner.resend(to, from)
    }

    fn forget(&mut self, to: usize, before: u64) {
        if self.keeps != Keeps::Links {
            self.inner.forget(to, before);
        }
    }

    fn kept(&self, to: usize) -> u64 {
        self.inner.kept(to)
    }
}

#[test]
fn what_keeps_everything_is_found() {
    let hoarder = |keeps| {
        move |plan: &Arc<Plan>, case: &Case| -> Box<dyn Subject> {
            Box::new(Hoarder { inner: engine(plan, case), keeps })
        }
    };
    for (query, keyed) in everything() {
        let grown = grows(query, keyed, &hoarder(Keeps::Entries));
        assert!(
            grown.is_some_and(|what| what.contains("checkpoints")),
            "keyed {keyed}: not found in\n{query}"
        );
    }
    let (_, filter) = QUERIES[1];
    assert!(grows(filter, 0, &hoarder(Keeps::Links)).is_none(), "without links there is nothing to keep");
    assert!(grows(filter, 2, &hoarder(Keeps::Links)).is_some(), "histories of links");
}
