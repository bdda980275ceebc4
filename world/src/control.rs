//! The engine's coordinator at work in this world, over a store that faults do harm to.
//!
//! Who may act, from which checkpoint a task goes on and what links may forget is decided there, never here.
//! Invariant: harm comes to checkpoints, not to the coordinator's own records.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use rewindow_engine::Layout;
use rewindow_engine::coordinator::{Coordinator, GrantError, PublishError};
use rewindow_engine::plant::Plants;
use rewindow_engine::store::{MemoryStore, Store, StoreError};
use rewindow_query::Timestamp;

use crate::case::Damage;
use crate::outcome::CheckpointRecord;
use crate::subject::Subject;

/// A checkpoint and what the world knows of it.
#[derive(Clone)]
pub(crate) struct Kept {
    pub(crate) bytes: Arc<[u8]>,
    pub(crate) record: CheckpointRecord,
    /// The transaction it sealed, where the sink is a transactional one.
    pub(crate) sealed: Option<u64>,
}

/// A checkpoint to be published.
pub(crate) struct Publish {
    /// When it fell due.
    pub(crate) at: Timestamp,
    /// The node whose process wrote it.
    pub(crate) node: usize,
    pub(crate) incarnation: u64,
    pub(crate) bytes: Vec<u8>,
    pub(crate) received: Vec<u64>,
    pub(crate) positions: BTreeMap<(usize, u32), u64>,
    pub(crate) frontier: Timestamp,
    /// The transaction it seals.
    pub(crate) sealed: Option<u64>,
    /// By a node that had been replaced.
    pub(crate) late: bool,
}

/// What became of it.
pub(crate) enum Published {
    /// It is in the store; whether it can be read as it was written, and why older ones could not be cleared away.
    Done { whole: bool, uncollected: Option<String> },
    /// Its writer was replaced.
    Fenced(String),
    /// The store did not take it.
    Failed(String),
}

impl Published {
    /// Why it is not what must come of a checkpoint of a task that may act: a full store takes none, every other takes
    /// it, whatever becomes of it later, and gives away the older ones.
    pub(crate) fn unexpected(&self, damage: Option<Damage>) -> Option<String> {
        match self {
            Published::Done { uncollected, .. } => uncollected.clone(),
            Published::Fenced(reason) => Some(reason.clone()),
            Published::Failed(_) if damage == Some(Damage::Full) => None,
            Published::Failed(reason) => Some(reason.clone()),
        }
    }
}

/// What the coordinator says to an opening.
pub(crate) enum Granted {
    /// The task may be opened.
    GoOn {
        incarnation: u64,
        /// The bytes to go on from.
        checkpoint: Option<Vec<u8>>,
        /// Without them, where the epoch began.
        begin: Option<BTreeMap<(usize, u32), u64>>,
        /// Checkpoints that could not be used.
        skipped: u64,
    },
    /// The shard must begin a new epoch.
    Again,
}

/// The coordinator and its store.
pub(crate) struct Control {
    layout: Layout,
    plants: Plants,
    /// Gone only while it is started again.
    coordinator: Option<Coordinator<Harmed>>,
}

impl Control {
    /// Over what another job has left behind, which is nothing where there was none.
    pub(crate) fn over(store: Harmed, layout: &Layout, subject: &dyn Subject) -> Control {
        let plants = subject.plants();
        let coordinator = Coordinator::planted(store, layout, plants).ok();
        Control { layout: layout.clone(), plants, coordinator }
    }

    /// What is left behind for another job.
    pub(crate) fn into_store(self) -> Harmed {
        self.coordinator.map(Coordinator::into_store).unwrap_or_default()
    }

    /// The process it runs in is replaced: all it knows is in the store.
    pub(crate) fn restart(&mut self) {
        if let Some(coordinator) = self.coordinator.take() {
            let store = coordinator.into_store();
            self.coordinator = Coordinator::planted(store, &self.layout, self.plants).ok();
        }
    }

    /// A new epoch of a shard.
    pub(crate) fn begin(&mut self, shard: usize, output_from: Timestamp) -> Result<u64, String> {
        self.get()?.begin(shard, output_from).map_err(|error| error.to_string())
    }

    /// A task is opened by a node that runs this version.
    pub(crate) fn open(&mut self, task: usize, version: u32) -> Result<Granted, String> {
        match self.get()?.open(task, true, &|written| written <= version) {
            Ok(grant) => Ok(Granted::GoOn {
                incarnation: grant.incarnation,
                checkpoint: grant.checkpoint.map(|kept| kept.bytes),
                begin: grant.begin,
                skipped: grant.skipped.len() as u64,
            }),
            Err(GrantError::Again(_)) => Ok(Granted::Again),
            Err(GrantError::Store(error)) => Err(error.to_string()),
        }
    }

    /// Where a task began in this epoch.
    pub(crate) fn began(
        &mut self,
        task: usize,
        incarnation: u64,
        positions: &BTreeMap<(usize, u32), u64>,
    ) -> Result<(), String> {
        self.get()?.began(task, incarnation, positions).map_err(|error| error.to_string())
    }

    /// Whether an incarnation of a task may write.
    pub(crate) fn admits(&self, task: usize, incarnation: u64) -> bool {
        self.coordinator.as_ref().is_some_and(|coordinator| coordinator.admits(task, incarnation))
    }

    /// A checkpoint, written by a node that runs this version, and the harm that comes to it.
    pub(crate) fn publish(
        &mut self,
        task: usize,
        (incarnation, bytes, received): (u64, &[u8], &[u64]),
        version: u32,
        damage: Option<Damage>,
    ) -> Published {
        let coordinator = match self.get() {
            Ok(coordinator) => coordinator,
            Err(reason) => return Published::Failed(reason),
        };
        coordinator.set_version(version);
        coordinator.store_mut().harm = damage;
        let published = coordinator.publish(task, incarnation, bytes, received);
        coordinator.store_mut().harm = None;
        match published {
            Ok(_) => {
                // What cannot be taken out now will be next time; that it cannot is told.
                let uncollected = coordinator.collect().err().map(|error| error.to_string());
                let whole = !matches!(damage, Some(Damage::Torn | Damage::Lost | Damage::Corrupt));
                Published::Done { whole, uncollected }
            }
            Err(error @ PublishError::Fenced { .. }) => Published::Fenced(error.to_string()),
            Err(error) => Published::Failed(error.to_string()),
        }
    }

    /// Rows of a link in front of this number are in every checkpoint its reader may go on from.
    pub(crate) fn forgettable(&self, task: usize, to: usize) -> u64 {
        self.coordinator.as_ref().map_or(0, |coordinator| coordinator.forgettable(task, to))
    }

    fn get(&mut self) -> Result<&mut Coordinator<Harmed>, String> {
        self.coordinator.as_mut().ok_or_else(|| "the coordinator cannot read its own records".to_owned())
    }
}

/// A store whose next checkpoint comes to harm.
#[derive(Default)]
pub(crate) struct Harmed {
    inner: MemoryStore,
    harm: Option<Damage>,
    /// Left out of the next listing that would have it.
    unlisted: RefCell<Option<String>>,
}

impl Store for Harmed {
    fn put(&mut self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        // Records are named in words, checkpoints by their task.
        let of_checkpoint =
            name.strip_prefix('t').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        let place = || "the store".to_owned();
        match self.harm.take_if(|_| of_checkpoint) {
            None => self.inner.put(name, bytes),
            Some(Damage::Torn) => self.inner.put(name, &bytes[..bytes.len() / 2]),
            Some(Damage::Lost) => Ok(()),
            Some(Damage::Corrupt) => {
                let mut bytes = bytes.to_vec();
                let middle = bytes.len() / 2;
                bytes.iter_mut().skip(middle).take(1).for_each(|byte| *byte ^= 1);
                self.inner.put(name, &bytes)
            }
            Some(Damage::Full) => Err(StoreError::Full { name: name.to_owned(), place: place() }),
            Some(Damage::Unacknowledged) => {
                self.inner.put(name, bytes)?;
                Err(StoreError::Unknown { name: name.to_owned(), place: place() })
            }
            Some(Damage::Unlisted) => {
                self.unlisted = RefCell::new(Some(name.to_owned()));
                self.inner.put(name, bytes)
            }
        }
    }

    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.get(name)
    }

    fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let mut names = self.inner.list(prefix)?;
        let unlisted = self.unlisted.borrow_mut().take_if(|name| names.contains(name));
        names.retain(|name| unlisted.as_ref() != Some(name));
        Ok(names)
    }

    fn remove(&mut self, name: &str) -> Result<(), StoreError> {
        self.inner.remove(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rewindow_engine::{Role, TaskSpec};

    const DAMAGES: [Damage; 6] =
        [Damage::Torn, Damage::Lost, Damage::Corrupt, Damage::Full, Damage::Unacknowledged, Damage::Unlisted];

    fn control() -> Control {
        let links = Vec::new;
        let whole = TaskSpec {
            shard: 0,
            role: Role::Whole,
            reads: vec![(0, 0)],
            upstream: links(),
            downstream: links(),
        };
        let (layout, plants) = (Layout { tasks: vec![whole] }, Plants::none());
        let coordinator = Coordinator::planted(Harmed::default(), &layout, plants).ok();
        Control { layout, plants, coordinator }
    }

    fn opened(control: &mut Control) -> u64 {
        match control.open(0, 0) {
            Ok(Granted::GoOn { incarnation, .. }) => incarnation,
            _ => panic!("it may be opened"),
        }
    }

    #[test]
    fn what_is_not_listed_the_next_time_is_listed_after_that() {
        let mut store = Harmed { harm: Some(Damage::Unlisted), ..Harmed::default() };
        for name in ["record", "t0-e1-n1", "t0-e1-n2"] {
            store.put(name, b"1").unwrap();
        }
        assert_eq!(store.get("t0-e1-n1"), Ok(Some(b"1".to_vec())));
        assert_eq!(store.list("r").unwrap(), ["record"], "another listing, which would not have had it");
        assert_eq!(store.list("t").unwrap(), ["t0-e1-n2"]);
        assert_eq!(store.list("t").unwrap(), ["t0-e1-n1", "t0-e1-n2"]);
    }

    #[test]
    fn only_a_full_store_takes_no_checkpoint_of_a_task_that_may_act() {
        let mut control = control();
        control.begin(0, Timestamp::MIN).unwrap();
        let incarnation = opened(&mut control);
        let mut unexpected = |incarnation, damage| {
            control.publish(0, (incarnation, b"state", &[]), 0, damage).unexpected(damage)
        };
        assert_eq!(unexpected(incarnation, None), None);
        DAMAGES.into_iter().for_each(|damage| assert_eq!(unexpected(incarnation, Some(damage)), None));
        assert!(unexpected(incarnation + 1, None).is_some(), "one that it does not know it refuses");
        let full = Published::Failed("full".to_owned());
        assert_eq!(full.unexpected(Some(Damage::Full)), None);
        assert!(full.unexpected(None).is_some());
        control.coordinator = None;
        assert!(control.publish(0, (incarnation, b"state", &[]), 0, None).unexpected(None).is_some());
    }
}
