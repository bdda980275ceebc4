//! Who may act for a task, from which checkpoint it goes on, and what may be forgotten meanwhile.
//!
//! A checkpoint is published in two steps: its bytes under a name of their own, then the record of the task that names them
//! with their sum. Only what a record names is ever used, so nothing depends on a listing, a torn write is told from a
//! whole one whoever wrote the bytes, and a crash between the steps leaves rubbish that [`Coordinator::collect`] takes away.
//!
//! ```text
//!   kept of a task:      older              newer            being written
//!                          |                  |
//!   row of its link:  -----X------------------X---------->
//!                     may   asked for again, should the
//!                     go    newer prove damaged
//! ```
//!
//! Knows no task and no link, moves nothing, and reads no bytes. It may be dropped at any time and made again over the same
//! store. Invariants: of each task one incarnation is admitted at most, the newest; what is granted was published by an
//! incarnation that was admitted then, in the epoch that runs, and is whole; upstream holds every row it will ask for.

use std::collections::{BTreeMap, BTreeSet};

use rewindow_query::Timestamp;

use crate::layout::Layout;
use crate::plant::{Plant, Plants};
use crate::store::{Record, Seal, Store, StoreError};

mod grant;
mod records;

pub use grant::{Again, Grant, GrantError, Kept, Skip, Skipped};
use records::{Entry, ShardRecord, TaskRecord, cut_of};

/// How many checkpoints of a task are kept: one may be damaged.
const KEPT: usize = 2;

/// The coordinator of a job.
#[derive(Debug)]
pub struct Coordinator<S> {
    store: S,
    layout: Layout,
    shards: Vec<ShardState>,
    tasks: Vec<TaskState>,
    version: u32,
    plants: Plants,
}

#[derive(Debug)]
struct ShardState {
    record: Record,
    state: ShardRecord,
    /// Whether an epoch runs: not in front of the first, nor after a record was found damaged or the shard cut otherwise.
    runs: bool,
}

#[derive(Debug)]
struct TaskState {
    record: Record,
    state: TaskRecord,
    /// A copy of the record was damaged: a beginning may have been told and forgotten.
    begin_unsure: bool,
    /// The most that was ever told of each link; only a plant looks at it.
    told: Vec<u64>,
}

/// A checkpoint that counts from now on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Published {
    /// The epoch it belongs to.
    pub epoch: u64,
    /// Its number among the task's: one larger each time, over all epochs.
    pub number: u64,
}

/// Why something did not become part of what counts.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PublishError {
    /// Another one acts for the task by now: whoever asked must stop.
    #[error("incarnation {incarnation} of task {task} was replaced by {current}: it must stop")]
    Fenced {
        /// The task.
        task: usize,
        /// Who asked.
        incarnation: u64,
        /// The newest one; it may not act either if the shard has begun a new epoch since.
        current: u64,
    },
    /// It began elsewhere in this epoch before.
    #[error(
        "task {task} began this epoch at other positions: rows would be numbered anew; begin a new epoch"
    )]
    Elsewhere {
        /// The task.
        task: usize,
    },
    /// The store did not take it.
    #[error("{0}")]
    Store(#[from] StoreError),
}

impl<S: Store> Coordinator<S> {
    /// The coordinator of these tasks, going on from what is in the store.
    ///
    /// # Errors
    /// The store cannot be read, or both copies of a record are damaged.
    pub fn new(store: S, layout: &Layout) -> Result<Coordinator<S>, StoreError> {
        Coordinator::planted(store, layout, Plants::none())
    }

    /// The same with a bug planted.
    ///
    /// # Errors
    /// As of [`Coordinator::new`].
    pub fn planted(store: S, layout: &Layout, plants: Plants) -> Result<Coordinator<S>, StoreError> {
        let shards = layout.tasks.iter().map(|task| task.shard + 1).max().unwrap_or(0);
        let shards = (0..shards).map(|shard| load_shard(&store, layout, shard)).collect::<Result<_, _>>()?;
        let tasks = 0..layout.tasks.len();
        let tasks = tasks.map(|task| load_task(&store, layout, task)).collect::<Result<_, _>>()?;
        Ok(Coordinator { store, layout: layout.clone(), shards, tasks, version: 0, plants })
    }

    /// Which program writes checkpoints from now on.
    pub fn set_version(&mut self, version: u32) {
        self.version = version;
    }

    /// What it keeps everything in.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// What it keeps everything in, to do damage to.
    pub fn store_mut(&mut self) -> &mut S {
        &mut self.store
    }

    /// What it kept everything in, for the next one.
    pub fn into_store(self) -> S {
        self.store
    }

    /// The epoch of a shard; 0 in front of the first.
    pub fn epoch(&self, shard: usize) -> u64 {
        self.shards[shard].state.epoch
    }

    /// The newest incarnation of a task; 0 in front of the first.
    pub fn incarnation(&self, task: usize) -> u64 {
        self.tasks[task].state.incarnation
    }

    /// The names in the store of the checkpoints of the task that may still be used, oldest first.
    pub fn kept(&self, task: usize) -> Vec<String> {
        let state = &self.tasks[task].state;
        if !self.is_current(task) {
            return Vec::new();
        }
        state.kept.iter().map(|entry| self.name_of(task, state.epoch, entry.number)).collect()
    }

    /// Begins a new epoch of the shard: whoever ran is fenced, and checkpoints taken before will not be used again.
    ///
    /// # Errors
    /// The store did not take it: the epoch before goes on.
    pub fn begin(&mut self, shard: usize, output_from: Timestamp) -> Result<u64, StoreError> {
        if self.plants.is(Plant::EpochKept) && self.shards[shard].runs {
            return Ok(self.epoch(shard));
        }
        let of_tasks = self.tasks_of(shard).map(|task| self.tasks[task].state.epoch);
        let epoch = of_tasks.max().unwrap_or(0).max(self.epoch(shard)) + 1;
        let state = ShardRecord { cut: cut_of(&self.layout, shard), epoch, output_from };
        let of = &mut self.shards[shard];
        of.record.save(&mut self.store, &state.save())?;
        (of.state, of.runs) = (state, true);
        Ok(epoch)
    }

    /// Where a task that reads the log began in this epoch; to be told before it is fed anything.
    ///
    /// # Errors
    /// The task was replaced, or began elsewhere before, or the store did not take it.
    pub fn began(
        &mut self,
        task: usize,
        incarnation: u64,
        positions: &BTreeMap<(usize, u32), u64>,
    ) -> Result<(), PublishError> {
        self.fence(task, incarnation)?;
        match &self.tasks[task].state.begin {
            Some(begin) if begin == positions => return Ok(()),
            Some(_) => return Err(PublishError::Elsewhere { task }),
            None => {}
        }
        let state = TaskRecord { begin: Some(positions.clone()), ..self.tasks[task].state.clone() };
        Ok(self.save_task(task, state)?)
    }

    /// Makes a checkpoint of the task count, and with it `received`: for each upstream link the number of the next row
    /// wanted. The one before is kept, those before that are not.
    ///
    /// # Errors
    /// The task was replaced, or the store did not take it: then those before still count.
    pub fn publish(
        &mut self,
        task: usize,
        incarnation: u64,
        bytes: &[u8],
        received: &[u64],
    ) -> Result<Published, PublishError> {
        let links = self.layout.tasks[task].upstream.len();
        assert_eq!(received.len(), links, "a checkpoint of task {task} tells of each of its links");
        for (told, &now) in self.tasks[task].told.iter_mut().zip(received) {
            *told = now.max(*told);
        }
        self.fence(task, incarnation)?;
        let epoch = self.tasks[task].state.epoch;
        // A number is never used again, whatever becomes of this attempt.
        self.tasks[task].state.number += 1;
        let number = self.tasks[task].state.number;
        if self.plants.is(Plant::CollectTooEarly) {
            for name in self.kept(task) {
                self.store.remove(&name)?;
            }
        }
        self.put(&self.name_of(task, epoch, number), bytes)?;
        let mut state = self.tasks[task].state.clone();
        let (version, seal, received) = (self.version, Seal::of(bytes), received.to_vec());
        state.kept.push(Entry { number, version, seal, received });
        state.kept.drain(..state.kept.len().saturating_sub(KEPT));
        if let [older, _] = &state.kept[..] {
            raise(&mut state.floor, &older.received);
        }
        self.save_task(task, state)?;
        Ok(Published { epoch, number })
    }

    /// Whether what this incarnation writes or sends may be let through. To be asked under the same lock as the write.
    pub fn admits(&self, task: usize, incarnation: u64) -> bool {
        if self.plants.is(Plant::FencingAbsent) {
            return (1..=self.incarnation(task)).contains(&incarnation);
        }
        self.is_current(task) && self.incarnation(task) == incarnation && incarnation > 0
    }

    /// The first row the reader of a link can still ask for: rows of `task` for its `to`-th downstream task in front of this
    /// number are in both checkpoints kept of it. 0 until there are two.
    pub fn forgettable(&self, task: usize, to: usize) -> u64 {
        let downstream = &self.layout.tasks[task].downstream;
        let reader = downstream[to];
        let before = downstream[..to].iter().filter(|&&other| other == reader).count();
        let upstream = self.layout.tasks[reader].upstream.iter().enumerate();
        let link = upstream.filter(|&(_, &from)| from == task).nth(before);
        let (link, _) = link.expect("every link has two ends");
        if !self.is_current(reader) {
            return 0;
        }
        if self.plants.is(Plant::ForgetBeforeCheckpoint) {
            return self.tasks[reader].told[link];
        }
        self.tasks[reader].state.floor[link]
    }

    /// Takes out of the store every checkpoint that will not be used again, and nothing else that lies there; tells how
    /// many there were.
    ///
    /// # Errors
    /// Some could not be taken out, and this is why the first was not; all others are. They will be next time.
    pub fn collect(&mut self) -> Result<usize, StoreError> {
        let kept: BTreeSet<String> = (0..self.tasks.len()).flat_map(|task| self.kept(task)).collect();
        let rubbish = self.store.list("t")?.into_iter();
        let (mut gone, mut first) = (0, None);
        for name in rubbish.filter(|name| is_checkpoint(name) && !kept.contains(name)) {
            match self.store.remove(&name) {
                Ok(()) => gone += 1,
                Err(error) => first = first.or(Some(error)),
            }
        }
        first.map_or(Ok(gone), Err)
    }

    fn tasks_of(&self, shard: usize) -> impl Iterator<Item = usize> {
        let tasks = self.layout.tasks.iter().enumerate();
        tasks.filter(move |(_, spec)| spec.shard == shard).map(|(task, _)| task)
    }

    /// Whether the task was opened in the epoch that runs.
    fn is_current(&self, task: usize) -> bool {
        let shard = &self.shards[self.layout.tasks[task].shard];
        shard.runs && self.tasks[task].state.epoch == shard.state.epoch
    }

    fn fence(&self, task: usize, incarnation: u64) -> Result<(), PublishError> {
        if self.admits(task, incarnation) {
            return Ok(());
        }
        Err(PublishError::Fenced { task, incarnation, current: self.incarnation(task) })
    }

    fn name_of(&self, task: usize, epoch: u64, number: u64) -> String {
        if self.plants.is(Plant::PublishNotAtomic) {
            return format!("t{task}");
        }
        format!("t{task}-e{epoch}-n{number}")
    }

    /// Puts a blob; where it is not known whether that was done, it is read back.
    fn put(&mut self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        match self.store.put(name, bytes) {
            Err(StoreError::Unknown { .. }) if self.store.get(name)?.as_deref() == Some(bytes) => Ok(()),
            done => done,
        }
    }

    fn save_task(&mut self, task: usize, state: TaskRecord) -> Result<(), StoreError> {
        let of = &mut self.tasks[task];
        of.record.save(&mut self.store, &state.save())?;
        of.state = state;
        Ok(())
    }
}

/// Whether [`Coordinator::publish`] gives such names, of whatever task.
fn is_checkpoint(name: &str) -> bool {
    let number = |digits: &str| digits.parse::<u64>().is_ok_and(|number| number.to_string() == digits);
    let mut parts = name.split('-');
    let mut part = |letter| parts.next().and_then(|part| part.strip_prefix(letter)).is_some_and(number);
    part('t') && part('e') && part('n') && parts.next().is_none()
}

/// A floor never goes down.
fn raise(floor: &mut [u64], to: &[u64]) {
    for (floor, &to) in floor.iter_mut().zip(to) {
        *floor = to.max(*floor);
    }
}

fn load_shard<S: Store>(store: &S, layout: &Layout, shard: usize) -> Result<ShardState, StoreError> {
    let name = format!("shard-{shard}");
    let loaded = Record::load(store, &name)?;
    let cut = cut_of(layout, shard);
    let found = loaded.body.as_deref().map(ShardRecord::load).transpose();
    let found = found.map_err(|_| StoreError::Damaged(name))?;
    let mut state = found.unwrap_or(ShardRecord { cut, epoch: 0, output_from: Timestamp::MIN });
    let runs = state.epoch > 0 && state.cut == cut && !loaded.one_missing;
    // The epoch whose beginning may be missing: its number is not given again.
    state.epoch += u64::from(loaded.one_missing);
    Ok(ShardState { record: loaded.record, state, runs })
}

fn load_task<S: Store>(store: &S, layout: &Layout, task: usize) -> Result<TaskState, StoreError> {
    let name = format!("task-{task}");
    let spec = &layout.tasks[task];
    let loaded = Record::load(store, &name)?;
    let found = loaded.body.as_deref().map(TaskRecord::load).transpose();
    let mut state = found.map_err(|_| StoreError::Damaged(name.clone()))?.unwrap_or_default();
    let (cut, links) = (cut_of(layout, spec.shard), spec.upstream.len());
    if state.cut != cut {
        // Of another layout: who may act is still to be known, the rest is over.
        let TaskRecord { incarnation, number, .. } = state;
        state = TaskRecord { cut, incarnation, number, floor: vec![0; links], ..TaskRecord::default() };
    }
    if state.floor.len() != links || state.kept.iter().any(|entry| entry.received.len() != links) {
        return Err(StoreError::Damaged(name));
    }
    if loaded.one_missing {
        // It may have opened the task once more, or published one checkpoint more, for which the older one had to go.
        state.incarnation += 1;
        state.number += 1;
        if let Some(newest) = state.kept.pop() {
            raise(&mut state.floor, &newest.received);
            state.kept = vec![newest];
        }
    }
    Ok(TaskState { record: loaded.record, state, begin_unsure: loaded.one_missing, told: vec![0; links] })
}

#[cfg(test)]
mod protocol_tests;
#[cfg(test)]
mod tests;
