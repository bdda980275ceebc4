//! The threaded runtime: the tasks of a job in real threads, one for each node.
//!
//! The same tasks, links, coordinator and stores that the simulated world drives; here packets go through trays of limited
//! room, and no clock decides anything: a task is saved every so many entries. What threads share is all in `shared`,
//! which `proofs/loom` walks through. Knows nothing of files of events nor of what a row looks like as text.
//! Invariant: the text is the same whatever the numbers of nodes and keyed tasks, whoever comes first, and however often
//! the run was killed and started again over the same store.

mod node;
mod opening;
mod output;
mod shared;
mod sync;

use std::collections::BTreeMap;
use std::sync::Arc;

use rewindow_engine::{Coordinator, Layout, References, Setup, Store, StoreError};
use rewindow_query::{Dropped, Entry, Failure, Ordering, Plan, Row};

use crate::errors::Problem;
use node::{Halt, Node, Post, Runner};
use opening::Opened;
use output::Ledger;
pub use output::Output;
use shared::{Fence, Gate, Mail};

/// Most letters in a tray.
const ROOM: usize = 8;
/// How many entries a reader of the log may be ahead of the last: what it gives has to wait for that one.
const WINDOW: u64 = 4_096;

/// What is run.
pub struct Work<'a> {
    /// The query.
    pub plan: Arc<Plan>,
    /// Number of partitions of each input.
    pub partitions: &'a [u32],
    /// Tolerances and policy.
    pub ordering: Ordering,
    /// Reference data, in the order of the plan.
    pub references: Arc<References>,
    /// Every entry, as the query reads it, in the order of arrival, input, partition and offset.
    pub entries: &'a [&'a Entry],
    /// An entry as a job of this level reads it.
    pub read: &'a (dyn Fn(&Entry) -> Entry + Sync),
    /// The line of a row, if it is wanted.
    pub line: &'a (dyn Fn(&Row) -> Option<String> + Sync),
}

/// How it is run; the rows do not depend on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Number of threads, at least 1.
    pub nodes: usize,
    /// Number of keyed tasks of a shard that is cut; 0 to leave every shard whole.
    pub keyed: u32,
    /// A task is saved after so many entries or rows, at least 1.
    pub save_every: u64,
}

/// What came of a run.
#[derive(Clone, PartialEq, Debug)]
pub struct Ran {
    /// Rows of the whole text, also those that stood in it when the run went on.
    pub rows: u64,
    /// Events that did not reach the query, those that were read in this run.
    pub dropped: Vec<Dropped>,
    /// The first failure; the text ends in front of it.
    pub failure: Option<Failure>,
    /// Tasks that went on from a checkpoint.
    pub resumed: usize,
}

/// Runs the work over a store, going on from what is in it, and writes the lines of the rows in the order of timestamp,
/// output and partition.
///
/// # Errors
/// The store fails, or holds what is not of this work; the output cannot be written.
///
/// # Panics
/// When a thread panics, once all have come to rest.
pub fn run(
    work: &Work<'_>,
    settings: Settings,
    store: Box<dyn Store>,
    out: &mut dyn Output,
) -> Result<Ran, Problem> {
    let layout = Arc::new(Layout::staged(&work.plan, work.partitions, settings.keyed));
    let shards = work.plan.shards(work.partitions).into_iter();
    let setup =
        |shard| Setup::new(work.plan.clone(), shard, work.ordering).with_references(work.references.clone());
    let setups: Vec<Setup> = shards.map(setup).collect();
    let mut coordinator = Coordinator::new(store, &layout).map_err(|error| of_store(&error))?;
    let Opened { tasks, letters, saved, resumed } =
        opening::open(&mut coordinator, &layout, &setups, work.entries)?;
    let ledger = Ledger::new(out, saved)?;

    let mut runners: Vec<Runner<'_>> = Vec::new();
    for (id, (task, letters)) in tasks.into_iter().zip(letters).enumerate() {
        runners.push(Runner::new(id, task, &layout, letters, work, settings.save_every.max(1)));
    }
    let senders: Vec<usize> = layout.tasks.iter().map(|task| task.upstream.len()).collect();
    let lanes = runners.iter().map(Runner::next_read).collect();
    let mail: Post = Mail::new(&senders, ROOM, lanes, WINDOW);
    let gate = Gate::new(Desk { coordinator, ledger });

    let mut nodes: Vec<Node<'_, '_>> = Vec::new();
    nodes.resize_with(settings.nodes.max(1).min(runners.len().max(1)), || Node::new(&mail, &gate));
    let count = nodes.len();
    for (id, runner) in runners.into_iter().enumerate() {
        nodes[id % count].place(runner);
    }
    let ended: Vec<Result<Vec<Dropped>, Halt>> = std::thread::scope(|scope| {
        let threads: Vec<_> = nodes.into_iter().map(|node| scope.spawn(|| node.run())).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| Err(Halt::Panicked(panic))))
            .collect()
    });
    let mut dropped = all_dropped(ended)?;
    dropped.sort_unstable();
    dropped.dedup();
    let Desk { ledger, .. } = gate.into_inner().expect("no thread has panicked");
    let (rows, failure) = ledger.finish()?;
    Ok(Ran { rows, dropped, failure, resumed })
}

/// What all nodes have dropped, if all came to their end.
fn all_dropped(ended: Vec<Result<Vec<Dropped>, Halt>>) -> Result<Vec<Dropped>, Problem> {
    let (mut all, mut problem) = (Vec::new(), None);
    let mut stopped = false;
    for node in ended {
        match node {
            Ok(dropped) => all.extend(dropped),
            Err(Halt::Stopped) => stopped = true,
            Err(Halt::Problem(found)) => problem = problem.or(Some(found)),
            Err(Halt::Panicked(panic)) => std::panic::resume_unwind(panic),
        }
    }
    assert!(!stopped || problem.is_some(), "who stops the others says why");
    problem.map_or(Ok(all), Err)
}

/// What is changed at the gate.
struct Desk<'a> {
    coordinator: Coordinator<Box<dyn Store>>,
    ledger: Ledger<'a>,
}

impl Fence for Desk<'_> {
    fn admits(&self, task: usize, incarnation: u64) -> bool {
        self.coordinator.admits(task, incarnation)
    }
}

fn of_store(error: &StoreError) -> Problem {
    Problem::new(error.code(), error.to_string())
}

/// What each writer saved.
type SavedOf = BTreeMap<usize, Option<output::Saved>>;
