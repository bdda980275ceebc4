//! When checkpoints are written, and what the world itself knows of them.
//!
//! A save that falls due is the state as it stands; its bytes are written at once when every step is
//! recorded or something else asks for them, and otherwise only if a fault will, with the same result. Publication and choice
//! are the coordinator's (`control.rs`); beside it stands what the world itself counted, by which its choice is judged.
//!
//! Invariant: a record is kept of every checkpoint the coordinator may still offer.

use std::collections::VecDeque;
use std::sync::Arc;

use rewindow_query::{Span, Timestamp};

use crate::control::{Kept, Publish, Published};
use crate::outcome::{CheckpointRecord, Unpublished, What};
use crate::queue::{Event, grid};
use crate::reached;
use crate::run::World;
use crate::trace::fnv1a;

/// Checkpoints per task that the coordinator keeps.
const KEPT: usize = 2;

/// What the world knows of one checkpoint.
#[derive(Clone)]
pub(crate) struct Saved {
    pub(crate) kept: Kept,
    /// Whether its bytes can be had as they were written.
    whole: bool,
    /// The version of the service that wrote it.
    version: u32,
}

/// The newest checkpoints of each task, of the epoch that is on.
pub(crate) struct Saves {
    tasks: Vec<VecDeque<Saved>>,
    /// The newest one from before the epoch, until the task is opened in it.
    voided: Vec<Option<Saved>>,
    /// All that fall due are written, and not only those that the next fault looks at.
    all: bool,
}

impl Saves {
    pub(crate) fn new(tasks: usize, all: bool) -> Saves {
        Saves { tasks: vec![VecDeque::new(); tasks], voided: vec![None; tasks], all }
    }

    /// The newest of each task, for a job that takes the place of this one.
    pub(crate) fn into_newest(self) -> Vec<Option<Saved>> {
        let all = self.tasks.into_iter().zip(self.voided);
        all.map(|(mut saves, voided)| saves.pop_back().or(voided)).collect()
    }

    /// What another job saved: it must not be used.
    pub(crate) fn take_over(&mut self, newest: Vec<Option<Saved>>) {
        for (own, newest) in self.tasks.iter_mut().zip(newest) {
            own.extend(newest);
        }
    }

    /// The newest one from before the epoch that is on, for a task that is opened in it for the first time.
    pub(crate) fn take_voided(&mut self, task: usize) -> Option<Kept> {
        self.voided[task].take().map(|saved| saved.kept)
    }

    /// What was passed over for a task, opened by a node of that version, is not offered again.
    pub(crate) fn pass_over(&mut self, task: usize, version: u32) {
        while self.tasks[task].back().is_some_and(|saved| !saved.whole || saved.version > version) {
            self.tasks[task].pop_back();
        }
    }

    /// None of a task's can be used again.
    pub(crate) fn void(&mut self, task: usize) {
        let newest = self.tasks[task].drain(..).next_back();
        self.voided[task] = newest.or(self.voided[task].take());
    }
}

impl World<'_> {
    /// The newest checkpoint of a task that is whole and of its epoch, and that its node's version reads.
    pub(crate) fn usable(&self, task: usize) -> Option<Kept> {
        let version = self.nodes[self.parts[task].node].version;
        let usable = |saved: &&Saved| saved.whole && saved.version <= version;
        self.saves.tasks[task].iter().rev().find(usable).map(|saved| saved.kept.clone())
    }

    pub(crate) fn ask_to_save(&mut self, index: usize) {
        self.ask_to_save_from(index, self.now);
    }

    /// A node saves at the first point of its grid at or after `from`.
    fn ask_to_save_from(&mut self, index: usize, from: Timestamp) {
        let node = &mut self.nodes[index];
        if !node.saving {
            node.saving = true;
            let at = grid(from, self.case.deployment.checkpoint_interval, node.phase);
            self.queue.push(at, Event::Save(index));
        }
    }

    /// A node saves its tasks that have read something since.
    pub(crate) fn save(&mut self, index: usize) {
        let Some(node) = self.nodes.get_mut(index) else { return };
        node.saving = false;
        for place in 0..self.nodes[index].tasks.len() {
            let task = self.nodes[index].tasks[place];
            let part = &self.parts[task];
            if part.worker.is_none() || !part.dirty {
                continue;
            }
            if part.spec.role.writes() && self.puts_off_save(part.spec.shard) {
                continue;
            }
            let part = &mut self.parts[task];
            (part.dirty, part.due) = (false, Some(self.now));
            let catching = part.catching.is_some();
            self.reach(reached::SAVED);
            self.reach_times(reached::SAVED_CATCHING, catching.into());
            if self.saves.all {
                self.write_due(task);
            }
        }
    }

    /// In front of a read: a save that fell due is written if a fault will ask for it, that is, if one
    /// strikes before the next save can take its place.
    pub(crate) fn keep_due(&mut self, task: usize) {
        if self.parts[task].due.is_none() {
            return;
        }
        let node = &self.nodes[self.parts[task].node];
        let next_save = grid(self.now, self.case.deployment.checkpoint_interval, node.phase);
        if node.next_strike(self.now).is_some_and(|strike| strike <= next_save) {
            self.write_due(task);
        } else {
            self.parts[task].due = None;
        }
    }

    /// Writes a save that fell due, if its state is still at hand.
    pub(crate) fn write_due(&mut self, task: usize) {
        let (shard, writes) = (self.parts[task].spec.shard, self.parts[task].spec.role.writes());
        // All that a checkpoint has behind it must have been written.
        if writes && self.sink.waits(shard) {
            self.parts[task].due = None;
            return;
        }
        let part = &mut self.parts[task];
        let (Some(at), Some(worker)) = (part.due.take(), &mut part.worker) else { return };
        let saved = worker.checkpoint().and_then(|saved| Ok((saved, worker.wanted()?)));
        let ((bytes, frontier), received) = match saved {
            Ok(saved) => saved,
            Err(panic) => {
                let generation = part.generation;
                return self.panicked(task, generation, panic);
            }
        };
        let positions = part.lanes.iter().map(|lane| ((lane.input, lane.partition), lane.position)).collect();
        let (node, incarnation) = (part.node, part.incarnation);
        let sealed = if writes { self.sink.seal(shard) } else { None };
        let publish =
            Publish { at, node, incarnation, bytes, received, positions, frontier, sealed, late: false };
        self.publish(task, publish);
    }

    /// Hands a checkpoint to the coordinator.
    pub(crate) fn publish(&mut self, task: usize, publish: Publish) {
        let version = self.nodes[publish.node].version;
        // Harm comes to the next checkpoint there is: one that is refused is none.
        let admitted = self.control.admits(task, publish.incarnation);
        let damage = self.damages.get_mut(&publish.node).filter(|_| admitted).and_then(VecDeque::pop_front);
        let record = CheckpointRecord {
            at: publish.at,
            positions: publish.positions.clone(),
            frontier: publish.frontier,
            late: publish.late,
        };
        let (size, hash) = (publish.bytes.len(), self.options.trace.then(|| fnv1a(&publish.bytes)));
        let bytes: Arc<[u8]> = publish.bytes.into();
        let published =
            self.control.publish(task, (publish.incarnation, &bytes, &publish.received), version, damage);
        if let Some(damage) = damage {
            self.reach(reached::DAMAGED);
            self.step(Some(task), || What::Damaged(damage));
        }
        let current = !publish.late && self.parts[task].incarnation == publish.incarnation;
        if let Some(reason) = published.unexpected(damage).filter(|_| current) {
            self.note_unpublished(task, reason);
        }
        match published {
            Published::Done { whole, .. } => {
                let kept = Kept { bytes, record, sealed: publish.sealed };
                let saves = &mut self.saves.tasks[task];
                saves.push_back(Saved { kept, whole, version });
                if saves.len() > KEPT {
                    saves.pop_front();
                }
                self.step(Some(task), || What::Checkpoint { size, hash: hash.unwrap_or_default() });
                self.let_go(task);
                self.commit_published(self.parts[task].spec.shard, publish.sealed);
            }
            Published::Fenced(_) => {
                self.reach(reached::FENCED);
                self.step(Some(task), || What::Fenced);
            }
            Published::Failed(_) => self.save_again(task, publish.incarnation, damage.is_some()),
        }
    }

    fn note_unpublished(&mut self, task: usize, reason: String) {
        let (at, part) = (self.now, &self.parts[task]);
        let (shard, generation) = (part.spec.shard, part.generation);
        self.run.unpublished.push(Unpublished { at, shard, task, generation, reason });
    }

    /// A save failed: the old ones stand, and the process that asked tries again an interval later. Harm is over by then;
    /// a store that never takes anything would be asked without end, and is not.
    fn save_again(&mut self, task: usize, incarnation: u64, harmed: bool) {
        let part = &mut self.parts[task];
        if part.worker.is_none() || part.incarnation != incarnation {
            return;
        }
        part.dirty = true;
        let node = part.node;
        if harmed {
            self.ask_to_save_from(node, self.now.plus(Span::TICK));
        }
    }

    /// Upstream tasks let go of what this one now holds in its checkpoints.
    fn let_go(&mut self, reader: usize) {
        for task in self.parts[reader].spec.upstream.clone() {
            let Some(to) = self.parts[task].spec.downstream.iter().position(|&t| t == reader) else {
                continue;
            };
            let before = self.control.forgettable(task, to);
            let Some(worker) = &mut self.parts[task].worker else { continue };
            match worker.forget(to, before) {
                Ok(kept) => {
                    let largest = self.run.links_max.entry(task).or_default();
                    *largest = kept.max(*largest);
                }
                Err(panic) => return self.panicked(task, self.parts[task].generation, panic),
            }
        }
    }
}
