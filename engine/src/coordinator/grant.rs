//! The opening of a task: who acts for it from now on, and from where.
//!
//! Knows nothing of how checkpoints come to be published. Invariant: whatever was skipped will never be offered again, and
//! what replaced it is told.

use std::collections::BTreeMap;

use rewindow_query::Timestamp;

use crate::coordinator::Coordinator;
use crate::coordinator::records::{Entry, TaskRecord, cut_of};
use crate::plant::Plant;
use crate::store::{Seal, Store, StoreError};

/// A task may be opened so.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Grant {
    /// The epoch it is part of.
    pub epoch: u64,
    /// Who acts for it from now on; all before are fenced.
    pub incarnation: u64,
    /// Rows from here on are wanted.
    pub output_from: Timestamp,
    /// The checkpoint to go on from.
    pub checkpoint: Option<Kept>,
    /// Without a checkpoint, where the epoch began for it; `None`: it begins now, and that is to be told
    /// ([`Coordinator::began`]).
    pub begin: Option<BTreeMap<(usize, u32), u64>>,
    /// Newer checkpoints that could not be used, newest first.
    pub skipped: Vec<Skipped>,
}

/// A checkpoint as it was published.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kept {
    /// Its bytes, whole.
    pub bytes: Vec<u8>,
    /// Its number among the task's.
    pub number: u64,
    /// The program that wrote it.
    pub version: u32,
    /// For each upstream link, the number of the next row wanted.
    pub received: Vec<u64>,
}

/// A checkpoint that could not be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Skipped {
    /// Its number among the task's.
    pub number: u64,
    /// Why.
    pub why: Skip,
}

/// Why a checkpoint could not be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Skip {
    /// It is not in the store.
    Missing,
    /// Its bytes are not those that were published.
    Damaged,
    /// This program does not read what that one wrote.
    Version(u32),
    /// State was not to be used.
    Unwanted,
    /// Upstream no longer holds what it would ask for.
    Forgotten,
}

/// A task that was not opened.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum GrantError {
    /// It cannot go on in this epoch.
    #[error("{0}")]
    Again(Again),
    /// The store did not take it.
    #[error("{0}")]
    Store(#[from] StoreError),
}

/// A shard that must begin a new epoch, all its tasks together.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("task {task} can neither go on nor begin where its epoch began: begin a new epoch of shard {shard}")]
pub struct Again {
    /// The shard.
    pub shard: usize,
    /// The task that cannot go on.
    pub task: usize,
    /// Its checkpoints, none of which could be used, newest first.
    pub skipped: Vec<Skipped>,
}

impl<S: Store> Coordinator<S> {
    /// Fences whoever acted for the task and says from where the next one goes on: the newest checkpoint that can be used,
    /// if `use_state`, else where the epoch began. `readable` tells whether the program that opens it reads what the
    /// program of that version wrote.
    ///
    /// # Errors
    /// [`GrantError::Again`]: the shard must begin a new epoch, nobody was fenced yet. Or the store failed.
    pub fn open(
        &mut self,
        task: usize,
        use_state: bool,
        readable: &dyn Fn(u32) -> bool,
    ) -> Result<Grant, GrantError> {
        let shard = self.layout.tasks[task].shard;
        let again = |skipped| Err(GrantError::Again(Again { shard, task, skipped }));
        if !self.shards[shard].runs {
            return again(Vec::new());
        }
        let (epoch, output_from) = (self.epoch(shard), self.shards[shard].state.output_from);
        let mut state = self.tasks[task].state.clone();
        let fresh = state.epoch != epoch;
        if fresh {
            let (cut, links) = (cut_of(&self.layout, shard), self.layout.tasks[task].upstream.len());
            let TaskRecord { incarnation, number, .. } = state;
            state = TaskRecord {
                cut,
                epoch,
                incarnation,
                number,
                floor: vec![0; links],
                ..TaskRecord::default()
            };
        }
        state.incarnation += 1;
        let incarnation = state.incarnation;
        let (checkpoint, skipped) = self.choose(task, &mut state, use_state, readable)?;
        if checkpoint.is_none() && !fresh && !self.may_begin_again(task, &state, !skipped.is_empty()) {
            return again(skipped);
        }
        let begin = if checkpoint.is_none() { state.begin.clone() } else { None };
        self.save_task(task, state)?;
        if fresh {
            let of = &mut self.tasks[task];
            of.begin_unsure = false;
            of.told.fill(0);
        }
        Ok(Grant { epoch, incarnation, output_from, checkpoint, begin, skipped })
    }

    /// The newest checkpoint that can be used; those behind it are dropped from `state`.
    fn choose(
        &self,
        task: usize,
        state: &mut TaskRecord,
        use_state: bool,
        readable: &dyn Fn(u32) -> bool,
    ) -> Result<(Option<Kept>, Vec<Skipped>), StoreError> {
        let mut skipped = Vec::new();
        while let Some(entry) = state.kept.last() {
            let why = if !use_state {
                Skip::Unwanted
            } else if !readable(entry.version) {
                Skip::Version(entry.version)
            } else if !self.is_held(entry, &state.floor) {
                Skip::Forgotten
            } else {
                match self.read(&self.name_of(task, state.epoch, entry.number), entry.seal)? {
                    Ok(bytes) => {
                        let Entry { number, version, ref received, .. } = *entry;
                        let received = received.clone();
                        return Ok((Some(Kept { bytes, number, version, received }), skipped));
                    }
                    Err(why) => why,
                }
            };
            skipped.push(Skipped { number: entry.number, why });
            state.kept.pop();
        }
        Ok((None, skipped))
    }

    /// Whether upstream holds every row that this checkpoint would ask for.
    fn is_held(&self, entry: &Entry, floor: &[u64]) -> bool {
        self.plants.is(Plant::ForgetBeforeCheckpoint)
            || entry.received.iter().zip(floor).all(|(received, floor)| received >= floor)
    }

    /// The bytes of that sum. What looks damaged is read a second time: the fault may have been in the reading.
    fn read(&self, name: &str, seal: Seal) -> Result<Result<Vec<u8>, Skip>, StoreError> {
        let mut why = Skip::Missing;
        for _ in 0..2 {
            match self.store.get(name)? {
                Some(bytes) if Seal::of(&bytes) == seal => return Ok(Ok(bytes)),
                Some(_) => why = Skip::Damaged,
                None => {}
            }
        }
        Ok(Err(why))
    }

    /// Whether a task without a checkpoint may begin where the epoch began, as if it had never run.
    fn may_begin_again(&self, task: usize, state: &TaskRecord, lost_some: bool) -> bool {
        let spec = &self.layout.tasks[task];
        let forgotten = state.floor.iter().any(|&floor| floor > 0);
        let alone = spec.upstream.is_empty() && spec.downstream.is_empty();
        let unknown = state.begin.is_none() && !spec.reads.is_empty();
        // Nobody counts the rows of a task that is alone: a new epoch costs it one lookback, not all since it began.
        !(forgotten || lost_some && alone || unknown && (lost_some || self.tasks[task].begin_unsure))
    }
}
