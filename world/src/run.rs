//! Runs a case: one event queue, virtual time, no dice.
//!
//! The job is opened at the first arrival, or at the first fault if that is earlier. A shard then looks on
//! the grid of `poll_interval` for the next entry to arrive, hands what is there to its worker, at most
//! `batch` entries of each partition in the order (input, partition), and is busy for as long as the
//! largest share takes at `rate`; rows reach the sink at once. A busy shard looks again when it is done.
//! Nodes save on the grid `interval * node / nodes + k * interval`, each shard that has read something
//! since. Nothing is stepped while nothing can happen.
//!
//! ```text
//!   arrivals      a  b            c
//!   polls     |   .   !ab    |    .   !c     |      . = arrived    ! = read at the next grid point
//!   saves           S              S                shards with news only
//! ```
//!
//! A shard whose next offset has been forgotten cannot go on: it saves where it stands and is opened again,
//! like one whose node died, so that the gap gets announced. The run ends when all has been read, every
//! fault is over and every shard was told that the input ended.
//!
//! It does not know what the right rows are. Invariant: time never goes back, and an event either reads,
//! opens, closes, saves, or puts a shard to sleep until a later instant; so every run ends.

use std::collections::BTreeMap;

use rewindow_query::{Failure, LogView, Payload, Plan, Row, Span, Timestamp, Why};

use crate::case::{Case, FaultKind};
use crate::checkpoints::Store;
use crate::error::CaseError;
use crate::faults::foresee;
use crate::guarded::{self, Given, Panic};
use crate::journal::Journal;
use crate::log::Log;
use crate::nodes::{Cause, Node, Part, place};
use crate::outcome::{Delivery, Failed, Panicked, Run, Step, What};
use crate::queue::{Event, Queue, effort, grid};
use crate::reached;
use crate::sink::Sinks;
use crate::subject::Subject;

/// How long the service takes to start a failed job again.
pub const RESTART_AFTER: Span = Span::seconds(30);

/// How a run is recorded. What happens in it is the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RunOptions {
    /// Keep every step in [`Run::trace`]. Without it, workers are asked for checkpoints only where a
    /// fault will make use of them.
    pub trace: bool,
}

/// Runs a case and records every step. A case that cannot be run (see [`try_run`]) gives a run in which
/// every shard is refused, with the reason.
pub fn run(case: &Case, plan: &Plan, subject: &dyn Subject) -> Run {
    try_run(case, plan, subject, RunOptions { trace: true }).unwrap_or_else(|error| {
        let shards = 0..guarded::shards(subject).map_or(1, |shards| shards.len().max(1));
        Run { refused: shards.map(|shard| (shard, error.to_string())).collect(), ..Run::default() }
    })
}

/// Runs a case.
///
/// # Errors
/// A case that [`Case::check`] refuses, that lacks a stream of the plan, or whose heartbeats would
/// make too many entries.
pub fn try_run(
    case: &Case,
    plan: &Plan,
    subject: &dyn Subject,
    options: RunOptions,
) -> Result<Run, CaseError> {
    let log = Log::new(Journal::of(case, plan)?, case.deployment.retention);
    let shards = match guarded::shards(subject) {
        Ok(shards) => shards,
        Err(Panic(message)) => {
            let at = case.history.entries.iter().map(|entry| entry.arrival).min().unwrap_or_default();
            let panicked = Panicked { shard: 0, generation: 0, at, message };
            return Ok(Run { panicked: Some(panicked), ..Run::default() });
        }
    };
    let mut nodes = place(case.deployment.nodes, case.deployment.checkpoint_interval, shards.len());
    foresee(case, &mut nodes);
    let on = |shard: usize| shard % case.deployment.nodes as usize;
    let mut world = World {
        case,
        subject,
        options,
        log,
        queue: Queue::default(),
        store: Store::new(shards.len()),
        sink: Sinks::new(case, shards.len(), subject.plants()),
        nodes,
        parts: shards.iter().enumerate().map(|(index, shard)| Part::new(on(index), shard)).collect(),
        now: Timestamp::MIN,
        forgotten: BTreeMap::new(),
        run: Run { contract: subject.contract(), ..Run::default() },
    };
    world.play();
    world.run.visible = world.sink.visible();
    Ok(world.run)
}

/// Everything there is while a case runs.
pub(crate) struct World<'a> {
    pub(crate) case: &'a Case,
    pub(crate) subject: &'a dyn Subject,
    pub(crate) options: RunOptions,
    pub(crate) log: Log,
    pub(crate) queue: Queue,
    pub(crate) store: Store,
    pub(crate) sink: Sinks,
    pub(crate) nodes: Vec<Node>,
    pub(crate) parts: Vec<Part>,
    pub(crate) now: Timestamp,
    /// Oldest offset kept, as last written to the trace.
    forgotten: BTreeMap<(usize, u32), u64>,
    pub(crate) run: Run,
}

impl World<'_> {
    fn play(&mut self) {
        let first_arrival = self.case.history.entries.iter().map(|entry| entry.arrival).min();
        let first_fault = self.case.faults.first().map(|fault| fault.at);
        self.now = first_arrival.into_iter().chain(first_fault).min().unwrap_or_default();
        for (index, fault) in self.case.faults.iter().enumerate() {
            self.queue.push(fault.at, Event::Fault(index));
        }
        (0..self.nodes.len()).for_each(|node| self.bring_up(node));
        loop {
            self.drain();
            (0..self.parts.len()).for_each(|shard| self.finish(shard));
            // What failed at the end of its input is started again; what could not be written yet is.
            if self.parts.iter().all(|part| part.restart.is_none()) && self.sink.is_idle() {
                return;
            }
        }
    }

    /// Does what is in the queue, until nothing more is to happen.
    fn drain(&mut self) {
        while let Some((at, event)) = self.queue.pop() {
            assert!(at >= self.now, "time never goes back");
            self.now = at;
            match event {
                Event::Fault(index) => self.strike(index),
                Event::Reboot(node, down) => self.reboot(node, down),
                Event::Up(node) if !self.nodes[node].up && self.nodes[node].up_at == at => {
                    self.bring_up(node)
                }
                Event::Up(_) => {}
                Event::Restart(shard) if self.parts[shard].restart == Some(at) => {
                    self.reach(reached::RESTARTED);
                    self.open(shard, Cause::FAILED);
                }
                Event::Restart(_) => {}
                Event::Retry(shard) => self.retry(shard),
                Event::Wake(shard) if self.parts[shard].wake == Some(at) => self.wake(shard),
                Event::Wake(_) => {}
                Event::Save(node) => self.save(node),
            }
        }
    }

    fn bring_up(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        node.up = true;
        let cause = node.cause;
        for place in 0..self.nodes[index].shards.len() {
            self.open(self.nodes[index].shards[place], cause);
        }
    }

    // ---- reading ------------------------------------------------------------------------------------

    /// A shard looks for entries, or is done with the last ones.
    fn wake(&mut self, shard: usize) {
        self.parts[shard].wake = None;
        self.note_level(shard);
        if self.is_overtaken(shard) {
            self.reopen_overtaken(shard);
            return;
        }
        let Some(share) = self.read(shard) else { return };
        let rate = self.case.deployment.rate;
        let part = &mut self.parts[shard];
        let next = if share > 0 {
            // Effort is counted from the start of the stint, so that rounding does not add up.
            let (since, count) = part.stint.unwrap_or((self.now, 0));
            part.stint = Some((since, count + share));
            Some(since.plus(effort(count + share, rate)).max(self.now))
        } else {
            part.stint = None;
            // What it has to say is not out while the sink is away.
            if !self.sink.waits(shard) {
                self.run.level.push((shard, self.now));
            }
            let arrivals =
                part.lanes.iter().filter_map(|l| self.log.arrival(l.input, l.partition, l.position));
            let next = arrivals.min().map(|at| grid(at, self.case.deployment.poll_interval, Span::ZERO));
            assert!(next.is_none_or(|at| at > self.now), "what is not there yet arrives later");
            next
        };
        if let Some(at) = next {
            part.wake = Some(at);
            self.queue.push(at, Event::Wake(shard));
        }
    }

    /// Records that a shard has processed all that was in the log when it was opened.
    fn note_level(&mut self, shard: usize) {
        let part = &mut self.parts[shard];
        if !part.is_level() {
            return;
        }
        let Some(index) = part.catching.take() else { return };
        let node = part.node;
        let report = &mut self.run.recoveries[index];
        report.actual = Some(self.now.since(report.at));
        self.reach(reached::LEVEL);
        self.step(Some(node), Some(shard), || What::Level);
    }

    /// Whether an entry that a shard must read next is forgotten.
    fn is_overtaken(&self, shard: usize) -> bool {
        let view = self.log.at(self.now);
        self.parts[shard].lanes.iter().any(|l| view.is_forgotten(l.input, l.partition, l.position))
    }

    fn reopen_overtaken(&mut self, shard: usize) {
        self.reach(reached::EXPIRED_READER);
        self.parts[shard].due = Some(self.now);
        self.write_due(shard);
        let fault = FaultKind::RetentionCut { keep: Span::ZERO }.name();
        self.open(shard, Cause { why: Why::AfterKill, fault, start: Timestamp::MIN });
    }

    /// Hands over what is there, and gives the largest share of a partition; `None` if the job failed.
    fn read(&mut self, shard: usize) -> Option<u64> {
        let mut largest = 0;
        for index in 0..self.parts[shard].lanes.len() {
            largest = largest.max(self.feed(shard, index)?);
        }
        if largest > 0 {
            self.parts[shard].dirty = true;
            self.ask_to_save(self.parts[shard].node);
        }
        Some(largest)
    }

    /// Hands over what is there of one partition, and gives how much that was.
    fn feed(&mut self, shard: usize, index: usize) -> Option<u64> {
        let part = &self.parts[shard];
        let lane = part.lanes[index];
        let batch = u64::from(self.case.deployment.batch);
        let backlog = lane.backlog_end.saturating_sub(lane.position);
        let limit = if part.catching.is_some() { backlog.min(batch) } else { batch };
        if self.log.at(self.now).next(lane.input, lane.partition, lane.position, limit).0.is_empty() {
            return Some(0);
        }
        self.keep_due(shard);
        let mut worker = self.parts[shard].worker.take()?;
        let (entries, more) = self.log.at(self.now).next(lane.input, lane.partition, lane.position, limit);
        let (mut estimates, mut malformed) = (0, 0);
        for entry in entries {
            match entry.payload {
                Payload::Event(_) => {}
                Payload::Malformed(_) => malformed += 1,
                Payload::Estimate => estimates += 1,
            }
        }
        let share = entries.len() as u64;
        let given = worker.feed(lane.input, lane.partition, entries);
        let (first, next) = (lane.position, lane.position + share);
        let part = &mut self.parts[shard];
        (part.worker, part.lanes[index].position) = (Some(worker), next);
        let node = part.node;
        let what = || What::Read { input: lane.input, partition: lane.partition, first, next };
        self.step(Some(node), Some(shard), what);
        self.run.entries_fed += share;
        self.reach_times(reached::ESTIMATE, estimates);
        self.reach_times(reached::MALFORMED, malformed);
        self.reach_times(reached::BATCH_CUT, (more && limit == batch).into());
        self.take(shard, given).then_some(share)
    }

    /// The input has ended.
    fn finish(&mut self, shard: usize) {
        let Some(mut worker) = self.parts[shard].worker.take() else { return };
        let given = worker.finish();
        self.step(Some(self.parts[shard].node), Some(shard), || What::Finished);
        if self.take(shard, given) {
            self.end_writes(shard);
        }
    }

    // ---- what comes out -----------------------------------------------------------------------------

    /// Takes what a call gave, and what failure lies behind it; gives whether the shard goes on.
    fn take(&mut self, shard: usize, given: Result<Given, Panic>) -> bool {
        let given = match given {
            Ok(given) => given,
            Err(panic) => {
                self.panicked(shard, self.parts[shard].generation(), panic);
                return false;
            }
        };
        let failure = match given.result {
            Ok(rows) => {
                self.deliver(shard, rows, given.frontier);
                given.behind
            }
            Err(failure) => Some(failure),
        };
        let goes_on = failure.is_none();
        failure.into_iter().for_each(|failure| self.fail(shard, failure));
        goes_on
    }

    fn deliver(&mut self, shard: usize, rows: Vec<Row>, frontier: Timestamp) {
        let (node, generation) = (self.parts[shard].node, self.parts[shard].generation());
        let node = u32::try_from(node).unwrap_or(u32::MAX);
        self.write(Delivery { at: self.now, node, shard, generation, rows }, frontier);
    }

    /// A runtime error fails a shard. The service starts it again from its last state; a persistent error
    /// fails it again (rule 14.2), and then for good. The others go on, because they owe their rows stamped
    /// before it (C-FAIL).
    fn fail(&mut self, shard: usize, failure: Failure) {
        self.reach(reached::FAILED);
        self.step(Some(self.parts[shard].node), Some(shard), || What::Failed(failure.message.clone()));
        let part = &mut self.parts[shard];
        let generation = part.generation();
        part.close();
        if part.failed {
            part.dead = true;
            self.end_writes(shard);
        } else {
            let at = self.now.plus(RESTART_AFTER);
            (part.failed, part.restart) = (true, Some(at));
            self.queue.push(at, Event::Restart(shard));
        }
        self.run.failures.push(Failed { at: self.now, shard, generation, failure: failure.clone() });
        if self.run.failure.as_ref().is_none_or(|earlier| failure.at < earlier.at) {
            self.run.failure = Some(failure);
        }
    }

    /// A panic ends a shard for good; the others go on.
    pub(crate) fn panicked(&mut self, shard: usize, generation: u32, panic: Panic) {
        let Panic(message) = panic;
        self.step(Some(self.parts[shard].node), Some(shard), || What::Panicked(message.clone()));
        self.parts[shard].close();
        self.parts[shard].dead = true;
        let panicked = Panicked { shard, generation, at: self.now, message };
        self.run.panicked.get_or_insert(panicked);
    }

    // ---- recording ----------------------------------------------------------------------------------

    pub(crate) fn step(&mut self, node: Option<usize>, shard: Option<usize>, what: impl FnOnce() -> What) {
        if self.options.trace {
            let node = node.and_then(|node| u32::try_from(node).ok());
            self.run.trace.push(Step { at: self.now, node, shard, what: what() });
        }
    }

    pub(crate) fn reach(&mut self, name: &'static str) {
        self.reach_times(name, 1);
    }

    pub(crate) fn reach_times(&mut self, name: &'static str, times: u64) {
        if times > 0 {
            *self.run.reached.entry(name).or_default() += times;
        }
    }

    /// Writes to the trace what the log has forgotten since.
    pub(crate) fn note_forgotten(&mut self) {
        if !self.options.trace {
            return;
        }
        let places: Vec<(usize, u32)> = self.log.journal().places().collect();
        for (input, partition) in places {
            let first = self.log.at(self.now).retained(input, partition).first;
            let known = self.forgotten.entry((input, partition)).or_default();
            if *known < first {
                *known = first;
                self.step(None, None, || What::Forgot { input, partition, first });
            }
        }
    }
}
