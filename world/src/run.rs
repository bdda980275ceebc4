//! Runs a case: one event queue, virtual time, no dice.
//!
//! The job is opened at the first arrival, or at the first fault if that is earlier. A task then looks on
//! the grid of `poll_interval` for the next entry to arrive, hands what is there to its worker, at most
//! `batch` entries of each partition in the order (input, partition), and is busy for as long as the
//! largest share takes at `rate`; rows reach the sink at once. A busy task looks again when it is done.
//! What comes over a link costs nothing but the time on its way (`links.rs`). Nodes save on the grid
//! `interval * node / nodes + k * interval`, each task that has read something since. Nothing is stepped
//! while nothing can happen.
//!
//! ```text
//!   arrivals      a  b            c
//!   polls     |   .   !ab    |    .   !c     |      . = arrived    ! = read at the next grid point
//!   saves           S              S                tasks with news only
//! ```
//!
//! A task whose next offset has been forgotten cannot go on: it saves where it stands and is opened again,
//! like one whose node died, so that the gap gets announced. The run ends when all has been read, every
//! fault is over and every task was told that the input ended.
//!
//! It does not know what the right rows are. Invariant: time never goes back, and an event either reads,
//! opens, closes, saves, carries, or puts a task to sleep until a later instant; so every run ends.

use std::collections::{BTreeMap, VecDeque};

use rewindow_query::{Failure, LogView, Payload, Plan, Row, Span, Timestamp, Why};

use crate::case::{Case, Damage, FaultKind};
use crate::change::{Left, Stopped};
use crate::checkpoints::Saves;
use crate::control::{Control, Harmed};
use crate::error::CaseError;
use crate::faults::strikes;
use crate::guarded::{self, Given, Panic};
use crate::journal::Journal;
use crate::links::Links;
use crate::log::Log;
use crate::nodes::{Cause, Node, Part, Renew, ShardState, place};
use crate::outcome::{Delivery, Failed, Panicked, Run, Step, What};
use crate::queue::{Event, Queue, effort, grid};
use crate::reached;
use crate::sink::Sinks;
use crate::subject::Subject;
use crate::zombies::Zombie;

/// How long the service takes to start a failed job again.
pub const RESTART_AFTER: Span = Span::seconds(30);

/// How a run is recorded. What happens in it is the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RunOptions {
    /// Keep every step in [`Run::trace`]. Without it, workers are asked for checkpoints only where a
    /// fault will make use of them; a job that fails by itself, which no fault tells before, is run once more with all.
    pub trace: bool,
}

/// Runs a case and records every step. A case that cannot be run (see [`try_run`]) gives a run in which
/// every shard is refused, with the reason.
pub fn run(case: &Case, plan: &Plan, subject: &dyn Subject) -> Run {
    try_run(case, plan, subject, RunOptions { trace: true }).unwrap_or_else(|error| {
        let shards = 0..guarded::layout(subject).map_or(1, |(shards, _)| shards.max(1));
        Run { refused: shards.map(|shard| (shard, error.to_string())).collect(), ..Run::default() }
    })
}

/// Runs a case, up to its end or until the user starts another job in place of this one ([`begin`] goes on from there).
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
    Ok(begin(case, plan, subject, options)?.0)
}

/// Runs a case as [`try_run`]; gives what is left behind for another job, if one takes the place of this one.
///
/// # Errors
/// As [`try_run`].
pub fn begin(
    case: &Case,
    plan: &Plan,
    subject: &dyn Subject,
    options: RunOptions,
) -> Result<(Run, Option<Left>), CaseError> {
    let (run, left) = play(case, plan, subject, options, None, options.trace)?;
    if options.trace || run.failures.is_empty() {
        return Ok((run, left));
    }
    play(case, plan, subject, options, None, true)
}

/// Runs the job that takes the place of another, from the moment at which that was stopped. The case is what
/// [`Case::changed`] makes of that of the other.
///
/// # Errors
/// As [`try_run`].
pub fn go_on(
    left: Left,
    case: &Case,
    plan: &Plan,
    subject: &dyn Subject,
    options: RunOptions,
) -> Result<(Run, Option<Left>), CaseError> {
    // What was left behind is there once: it cannot be run again where it fails.
    play(case, plan, subject, options, Some(left), true)
}

fn play(
    case: &Case,
    plan: &Plan,
    subject: &dyn Subject,
    options: RunOptions,
    left: Option<Left>,
    saves_all: bool,
) -> Result<(Run, Option<Left>), CaseError> {
    let log = Log::new(Journal::of(case, plan)?, case);
    let (shards, layout) = match guarded::layout(subject) {
        Ok(found) => found,
        Err(Panic(message)) => {
            let at = case.history.entries.iter().map(|entry| entry.arrival).min().unwrap_or_default();
            let panicked = Panicked { shard: 0, generation: 0, at, message };
            return Ok((Run { panicked: Some(panicked), ..Run::default() }, None));
        }
    };
    let deployment = &case.deployment;
    let mut nodes = place(deployment.nodes, deployment.checkpoint_interval, layout.tasks.len());
    nodes.iter_mut().enumerate().for_each(|(index, node)| node.strikes = strikes(case, index));
    let on = |task: usize| task % deployment.nodes as usize;
    let mut states = vec![ShardState { renew: Some(Renew::Fresh), ..ShardState::default() }; shards];
    for (task, spec) in layout.tasks.iter().enumerate() {
        states[spec.shard].tasks.push(task);
    }
    let (inherited, store) = left.map_or((None, Harmed::default()), |mut left| {
        let store = std::mem::take(&mut left.store);
        (Some(left), store)
    });
    let control = Control::over(store, &layout, subject);
    let sink = Sinks::new(case, shards, subject.plants());
    let parts: Vec<Part> =
        layout.tasks.into_iter().enumerate().map(|(task, spec)| Part::new(on(task), spec)).collect();
    let linked = parts.iter().any(Part::is_linked);
    let mut world = World {
        case,
        subject,
        options,
        log,
        queue: Queue::new(case.turns.clone()),
        saves: Saves::new(
            parts.len(),
            saves_all
                || linked
                || sink.asks_for_saves()
                || case.faults.iter().any(|fault| fault.kind.asks_for_saves()),
        ),
        control,
        sink,
        nodes,
        shards: states,
        links: Links::default(),
        zombies: Vec::new(),
        damages: BTreeMap::new(),
        hangs: 0,
        stopped_until: Timestamp::MIN,
        parts,
        now: Timestamp::MIN,
        job: 0,
        before: Timestamp::MIN,
        stopped: None,
        forgotten: BTreeMap::new(),
        run: Run { contract: subject.contract(), ..Run::default() },
    };
    match inherited {
        None => world.start(),
        Some(left) => world.take_over(left),
    }
    world.play();
    world.run.visible = world.sink.visible();
    Ok(world.end())
}

/// Everything there is while a case runs.
pub(crate) struct World<'a> {
    pub(crate) case: &'a Case,
    pub(crate) subject: &'a dyn Subject,
    pub(crate) options: RunOptions,
    pub(crate) log: Log,
    pub(crate) queue: Queue,
    pub(crate) saves: Saves,
    pub(crate) control: Control,
    pub(crate) sink: Sinks,
    /// What is known of each shard.
    pub(crate) shards: Vec<ShardState>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) links: Links,
    /// Workers of nodes that hang, or hung and were given up.
    pub(crate) zombies: Vec<Zombie>,
    /// What harm comes to the next checkpoints of a node.
    pub(crate) damages: BTreeMap<usize, VecDeque<Damage>>,
    /// How often a node hung so far.
    pub(crate) hangs: u64,
    /// Until when a fault that took all nodes down keeps down what is added to them.
    pub(crate) stopped_until: Timestamp,
    /// The tasks.
    pub(crate) parts: Vec<Part>,
    pub(crate) now: Timestamp,
    /// Which of the jobs that took each other's place this is, from 0.
    pub(crate) job: usize,
    /// Where the job before this one left off.
    pub(crate) before: Timestamp,
    /// How the user put another job in place of this one.
    pub(crate) stopped: Option<Stopped>,
    /// Oldest offset kept, as last written to the trace.
    forgotten: BTreeMap<(usize, u32), u64>,
    pub(crate) run: Run,
}

impl World<'_> {
    fn start(&mut self) {
        let first_arrival = self.case.history.entries.iter().map(|entry| entry.arrival).min();
        let first_fault = self.case.faults.first().map(|fault| fault.at);
        self.now = first_arrival.into_iter().chain(first_fault).min().unwrap_or_default();
        for (index, fault) in self.case.faults.iter().enumerate() {
            self.queue.push(fault.at, Event::Fault(index));
        }
        (0..self.nodes.len()).for_each(|node| self.bring_up(node));
    }

    fn play(&mut self) {
        loop {
            self.drain();
            if self.stopped.is_some() {
                return;
            }
            (0..self.parts.len()).for_each(|task| self.finish(task));
            // What was sent last is still under way.
            self.drain();
            if self.stopped.is_some() {
                return;
            }
            self.end_all();
            // What failed at the end of its input is started again; what could not be written yet is.
            if self.sink.is_idle()
                && self.shards.iter().all(|shard| shard.restart.is_none())
                && self.parts.iter().all(|part| part.worker.is_none() || part.finished)
            {
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
                Event::Reboot(node, fault) => self.reboot(node, fault),
                Event::Back(hang) => self.come_back(hang),
                Event::Up(node) => {
                    if self.nodes.get(node).is_some_and(|node| !node.up && node.up_at == at) {
                        self.bring_up(node);
                    }
                }
                Event::Placed => self.placed(),
                Event::Restart(shard) if self.shards[shard].restart == Some(at) => {
                    self.reach(reached::RESTARTED);
                    self.shards[shard].restart = None;
                    self.open_all(shard, Cause::FAILED);
                }
                Event::Restart(_) => {}
                Event::Retry(shard) => self.retry(shard),
                Event::Packet(number) => self.arrive(number),
                Event::Wake(task) if self.parts[task].wake == Some(at) => self.wake(task),
                Event::Wake(_) => {}
                Event::Save(node) => self.save(node),
            }
            if self.stopped.is_some() {
                return;
            }
        }
    }

    fn bring_up(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        (node.up, node.hung) = (true, None);
        for place in 0..self.nodes[index].tasks.len() {
            self.open_waiting(self.nodes[index].tasks[place]);
        }
    }

    /// Opens a task for what befell it since it was last opened, if it may be opened yet.
    pub(crate) fn open_waiting(&mut self, task: usize) {
        if let Some(cause) = self.parts[task].cause.filter(|_| self.can_open(task)) {
            self.open(task, cause);
        }
    }

    /// Whether a task's node is up and what was moved has had its time.
    pub(crate) fn can_open(&self, task: usize) -> bool {
        let part = &self.parts[task];
        self.nodes[part.node].up && part.ready <= self.now
    }

    /// Opens those tasks of a shard that can be; the others follow.
    pub(crate) fn open_all(&mut self, shard: usize, cause: Cause) {
        for task in self.shards[shard].tasks.clone() {
            if self.can_open(task) {
                self.open(task, cause);
            }
        }
    }

    // ---- reading ------------------------------------------------------------------------------------

    /// A task looks for entries, or is done with the last ones.
    fn wake(&mut self, task: usize) {
        self.parts[task].wake = None;
        self.note_level(task);
        if self.is_overtaken(task) {
            self.reopen_overtaken(task);
            return;
        }
        let Some(share) = self.read(task) else { return };
        // What is read while the node is slow counts so many times.
        let share = share * self.slowness_of(task);
        let part = &mut self.parts[task];
        let next = if share > 0 {
            // Effort is counted from the start of the stint, so that rounding does not add up.
            let (since, count) = part.stint.unwrap_or((self.now, 0));
            part.stint = Some((since, count + share));
            Some(since.plus(effort(count + share, self.case.deployment.rate)).max(self.now))
        } else {
            part.stint = None;
            // What it has to say is not out while the sink is away.
            if !part.is_linked() && !self.sink.waits(part.spec.shard) {
                self.run.level.push((part.spec.shard, self.now));
            }
            let arrivals =
                part.lanes.iter().filter_map(|l| self.log.arrival(l.input, l.partition, l.position));
            let next = arrivals.min().map(|at| grid(at, self.case.deployment.poll_interval, Span::ZERO));
            assert!(next.is_none_or(|at| at > self.now), "what is not there yet arrives later");
            next
        };
        if let Some(at) = next {
            part.wake = Some(at);
            self.queue.push(at, Event::Wake(task));
        }
    }

    /// Records that a task has processed all that was in the log when it was opened.
    pub(crate) fn note_level(&mut self, task: usize) {
        let part = &mut self.parts[task];
        if !part.is_level() {
            return;
        }
        let Some(index) = part.catching.take() else { return };
        let report = &mut self.run.recoveries[index];
        report.actual = Some(self.now.since(report.at));
        self.reach(reached::LEVEL);
        self.step(Some(task), || What::Level);
    }

    /// Whether an entry that a task must read next is forgotten.
    fn is_overtaken(&self, task: usize) -> bool {
        let view = self.log.at(self.now);
        self.parts[task].lanes.iter().any(|l| view.is_forgotten(l.input, l.partition, l.position))
    }

    fn reopen_overtaken(&mut self, task: usize) {
        self.reach(reached::EXPIRED_READER);
        self.parts[task].due = Some(self.now);
        self.write_due(task);
        let fault = FaultKind::RetentionCut { keep: Span::ZERO }.name();
        self.open(task, Cause { why: Why::AfterKill, fault });
    }

    /// Hands over what is there, and gives the largest share of a partition; `None` if the job failed.
    fn read(&mut self, task: usize) -> Option<u64> {
        let mut largest = 0;
        for index in 0..self.parts[task].lanes.len() {
            largest = largest.max(self.feed(task, index)?);
        }
        if largest > 0 {
            self.parts[task].dirty = true;
            self.ask_to_save(self.parts[task].node);
        }
        Some(largest)
    }

    /// Hands over what is there of one partition, and gives how much that was.
    fn feed(&mut self, task: usize, index: usize) -> Option<u64> {
        let part = &self.parts[task];
        let lane = part.lanes[index];
        let batch = u64::from(self.case.deployment.batch);
        let backlog = lane.backlog_end.saturating_sub(lane.position);
        let limit = if part.catching.is_some() { backlog.min(batch) } else { batch };
        if self.log.at(self.now).next(lane.input, lane.partition, lane.position, limit).0.is_empty() {
            return Some(0);
        }
        self.keep_due(task);
        let mut worker = self.parts[task].worker.take()?;
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
        let part = &mut self.parts[task];
        (part.worker, part.lanes[index].position) = (Some(worker), next);
        self.step(Some(task), || What::Read { input: lane.input, partition: lane.partition, first, next });
        self.run.entries_fed += share;
        self.reach_times(reached::ESTIMATE, estimates);
        self.reach_times(reached::MALFORMED, malformed);
        self.reach_times(reached::BATCH_CUT, (more && limit == batch).into());
        self.take(task, given).then_some(share)
    }

    /// What a task read itself has ended. A task that reads links only learns it from them.
    fn finish(&mut self, task: usize) {
        if self.parts[task].finished {
            return;
        }
        let Some(mut worker) = self.parts[task].worker.take() else { return };
        let given = (!self.parts[task].lanes.is_empty()).then(|| worker.finish());
        let part = &mut self.parts[task];
        part.finished = true;
        // It stays for those who may ask it again.
        part.worker = part.is_linked().then_some(worker);
        let Some(given) = given else { return };
        self.step(Some(task), || What::Finished);
        self.take(task, given);
    }

    // ---- what comes out -----------------------------------------------------------------------------

    /// Takes what a call gave, and what failure lies behind it; gives whether the task goes on.
    pub(crate) fn take(&mut self, task: usize, given: Result<Given, Panic>) -> bool {
        let given = match given {
            Ok(given) => given,
            Err(panic) => {
                self.panicked(task, self.parts[task].generation, panic);
                return false;
            }
        };
        let failure = match given.result {
            Ok(rows) => {
                self.deliver(task, rows, given.frontier);
                given.behind
            }
            Err(failure) => Some(failure),
        };
        let goes_on = failure.is_none();
        failure.into_iter().for_each(|failure| self.fail(task, failure));
        if goes_on {
            self.send(task);
        }
        goes_on
    }

    fn deliver(&mut self, task: usize, rows: Vec<Row>, frontier: Timestamp) {
        let part = &self.parts[task];
        if !part.spec.role.writes() {
            return;
        }
        let (shard, opened) = (part.spec.shard, part.generation);
        let node = u32::try_from(part.node).unwrap_or(u32::MAX);
        let generation = self.shards[shard].opened.saturating_sub(1);
        self.write(Delivery { at: self.now, node, shard, generation, opened, rows }, frontier);
    }

    /// A runtime error fails a shard. The service starts it again from its last state; a persistent error
    /// fails it again (rule 14.2), and then for good. The others go on, because they owe their rows stamped
    /// before it (C-FAIL).
    fn fail(&mut self, task: usize, failure: Failure) {
        self.reach(reached::FAILED);
        self.step(Some(task), || What::Failed(failure.message.clone()));
        let (shard, generation) = (self.parts[task].spec.shard, self.parts[task].generation);
        self.close_shard(shard);
        let state = &mut self.shards[shard];
        if state.failed {
            state.dead = true;
            self.thaw_dead(shard);
            self.end_writes(shard);
        } else {
            let at = self.now.plus(RESTART_AFTER);
            (state.failed, state.restart) = (true, Some(at));
            self.queue.push(at, Event::Restart(shard));
        }
        self.run.failures.push(Failed { at: self.now, shard, generation, failure: failure.clone() });
        if self.run.failure.as_ref().is_none_or(|earlier| failure.at < earlier.at) {
            self.run.failure = Some(failure);
        }
    }

    /// A panic ends a shard for good; the others go on.
    pub(crate) fn panicked(&mut self, task: usize, generation: u32, panic: Panic) {
        let Panic(message) = panic;
        self.step(Some(task), || What::Panicked(message.clone()));
        let shard = self.parts[task].spec.shard;
        self.close_shard(shard);
        self.shards[shard].dead = true;
        let panicked = Panicked { shard, generation, at: self.now, message };
        self.run.panicked.get_or_insert(panicked);
    }

    /// All tasks of a shard lose what is in memory.
    pub(crate) fn close_shard(&mut self, shard: usize) {
        for &task in &self.shards[shard].tasks {
            self.parts[task].close();
        }
    }

    // ---- recording ----------------------------------------------------------------------------------

    /// Records what a task did, or what happened to source, sink and user.
    pub(crate) fn step(&mut self, task: Option<usize>, what: impl FnOnce() -> What) {
        if !self.options.trace {
            return;
        }
        let part = task.map(|task| &self.parts[task]);
        let number = |index: usize| u32::try_from(index).unwrap_or(u32::MAX);
        self.run.trace.push(Step {
            at: self.now,
            node: part.map(|part| number(part.node)),
            shard: part.map(|part| part.spec.shard),
            task: task.filter(|_| part.is_some_and(Part::is_linked)).map(number),
            what: what(),
        });
    }

    /// Records what the sink did for a shard.
    pub(crate) fn sink_step(&mut self, shard: usize, what: impl FnOnce() -> What) {
        if self.options.trace {
            self.run.trace.push(Step {
                at: self.now,
                node: None,
                shard: Some(shard),
                task: None,
                what: what(),
            });
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
                self.step(None, || What::Forgot { input, partition, first });
            }
        }
    }
}
