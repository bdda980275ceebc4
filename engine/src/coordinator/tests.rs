//! The coordinator, step by step: each rule of it once, by hand.

use std::collections::BTreeMap;

use rewindow_query::Timestamp;

use crate::coordinator::{Again, Coordinator, Grant, GrantError, PublishError, Skip, Skipped};
use crate::layout::{Layout, Role, TaskSpec};
use crate::store::{MemoryStore, Store, StoreError};

/// Two partitions, two keyed tasks, a merge; and a shard that runs whole.
pub(super) fn layout() -> Layout {
    let task = |shard, role, reads: &[(usize, u32)], upstream: &[usize], downstream: &[usize]| TaskSpec {
        shard,
        role,
        reads: reads.to_vec(),
        upstream: upstream.to_vec(),
        downstream: downstream.to_vec(),
    };
    Layout {
        tasks: vec![
            task(0, Role::Partition { input: 0, partition: 0 }, &[(0, 0)], &[], &[2, 3]),
            task(0, Role::Partition { input: 0, partition: 1 }, &[(0, 1)], &[], &[2, 3]),
            task(0, Role::Keyed { index: 0 }, &[], &[0, 1], &[4]),
            task(0, Role::Keyed { index: 1 }, &[], &[0, 1], &[4]),
            task(0, Role::Merge, &[], &[2, 3], &[]),
            task(1, Role::Whole, &[(0, 0), (0, 1)], &[], &[]),
        ],
    }
}

type Tested = Coordinator<MemoryStore>;

fn begun() -> Tested {
    let mut coordinator = Coordinator::new(MemoryStore::default(), &layout()).unwrap();
    assert_eq!(coordinator.begin(0, Timestamp(7)).unwrap(), 1);
    assert_eq!(coordinator.begin(1, Timestamp(8)).unwrap(), 1);
    coordinator
}

fn open(coordinator: &mut Tested, task: usize) -> Grant {
    coordinator.open(task, true, &|_| true).unwrap()
}

fn again(coordinator: &mut Tested, task: usize) -> Again {
    match coordinator.open(task, true, &|_| true) {
        Err(GrantError::Again(again)) => again,
        other => panic!("{other:?}"),
    }
}

fn restarted(coordinator: Tested) -> Tested {
    Coordinator::new(coordinator.into_store(), &layout()).unwrap()
}

fn flip(coordinator: &mut Tested, name: &str) {
    let mut bytes = coordinator.store().get(name).unwrap().unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    coordinator.store_mut().put(name, &bytes).unwrap();
}

fn at(partition: u32, position: u64) -> BTreeMap<(usize, u32), u64> {
    BTreeMap::from([((0, partition), position)])
}

#[test]
fn nobody_is_opened_in_front_of_the_first_epoch() {
    let mut coordinator = Coordinator::new(MemoryStore::default(), &layout()).unwrap();
    assert_eq!(again(&mut coordinator, 2), Again { shard: 0, task: 2, skipped: vec![] });
    assert!(!coordinator.admits(2, 0));
}

#[test]
fn the_newest_checkpoint_is_granted_and_its_writer_alone_is_admitted() {
    let mut coordinator = begun();
    let first = open(&mut coordinator, 2);
    assert_eq!((first.epoch, first.incarnation, first.output_from), (1, 1, Timestamp(7)));
    assert_eq!((first.checkpoint, first.begin), (None, None));
    coordinator.set_version(3);
    coordinator.publish(2, 1, b"one", &[4, 5]).unwrap();
    coordinator.publish(2, 1, b"two", &[6, 5]).unwrap();
    let mut coordinator = restarted(coordinator);
    assert!(coordinator.admits(2, 1), "a task outlives its coordinator");
    let second = open(&mut coordinator, 2);
    let kept = second.checkpoint.unwrap();
    assert_eq!((kept.bytes.as_slice(), kept.number, kept.version), (&b"two"[..], 2, 3));
    assert_eq!((kept.received, second.incarnation), (vec![6, 5], 2));
    assert!(coordinator.admits(2, 2) && !coordinator.admits(2, 1));
    let fenced = coordinator.publish(2, 1, b"late", &[9, 9]).unwrap_err();
    assert_eq!(fenced, PublishError::Fenced { task: 2, incarnation: 1, current: 2 });
    assert_eq!(open(&mut coordinator, 2).checkpoint.unwrap().bytes, b"two");
}

#[test]
fn a_damaged_checkpoint_costs_nothing_but_the_one_before() {
    for lost in [false, true] {
        let mut coordinator = begun();
        open(&mut coordinator, 2);
        for (bytes, received) in [(b"one", 1), (b"two", 2), (b"six", 6)] {
            coordinator.publish(2, 1, bytes, &[received, 0]).unwrap();
            coordinator.collect().unwrap();
        }
        assert_eq!(coordinator.kept(2), ["t2-e1-n2", "t2-e1-n3"]);
        assert_eq!(coordinator.forgettable(0, 0), 2, "what the older one has");
        match lost {
            false => flip(&mut coordinator, "t2-e1-n3"),
            true => coordinator.store_mut().remove("t2-e1-n3").unwrap(),
        }
        let grant = open(&mut coordinator, 2);
        let why = if lost { Skip::Missing } else { Skip::Damaged };
        assert_eq!(grant.skipped, [Skipped { number: 3, why }]);
        assert_eq!(grant.checkpoint.unwrap().bytes, b"two");
        // The one that was skipped held more than the next one will: it may not count for what is forgotten.
        coordinator.publish(2, 2, b"new", &[3, 0]).unwrap();
        assert_eq!(coordinator.forgettable(0, 0), 2);
        assert_eq!(coordinator.kept(2), ["t2-e1-n2", "t2-e1-n4"]);
        flip(&mut coordinator, "t2-e1-n2");
        flip(&mut coordinator, "t2-e1-n4");
        assert_eq!(again(&mut coordinator, 2).skipped.len(), 2);
        assert!(coordinator.admits(2, 2), "nobody was fenced");
        assert_eq!(coordinator.begin(0, Timestamp(20)).unwrap(), 2);
        assert!(!coordinator.admits(2, 2));
        let grant = open(&mut coordinator, 2);
        assert_eq!((grant.incarnation, grant.checkpoint, grant.output_from), (3, None, Timestamp(20)));
        assert_eq!(coordinator.forgettable(0, 0), 0);
    }
}

#[test]
fn without_a_checkpoint_a_task_begins_where_its_epoch_began() {
    let mut coordinator = begun();
    let first = open(&mut coordinator, 0);
    assert_eq!(first.begin, None);
    coordinator.began(0, 1, &at(0, 17)).unwrap();
    let mut coordinator = restarted(coordinator);
    assert_eq!(open(&mut coordinator, 0).begin, Some(at(0, 17)));
    coordinator.began(0, 2, &at(0, 17)).unwrap();
    assert_eq!(coordinator.began(0, 2, &at(0, 18)), Err(PublishError::Elsewhere { task: 0 }));
    // One checkpoint: nothing in front of it may be forgotten yet, since it could prove damaged.
    coordinator.publish(0, 2, b"one", &[]).unwrap();
    open(&mut coordinator, 2);
    coordinator.publish(2, 1, b"one", &[5, 5]).unwrap();
    assert_eq!((coordinator.forgettable(0, 0), coordinator.forgettable(1, 0)), (0, 0));
    flip(&mut coordinator, "t2-e1-n1");
    assert_eq!(open(&mut coordinator, 2).checkpoint, None);
    flip(&mut coordinator, "t0-e1-n1");
    let grant = open(&mut coordinator, 0);
    assert_eq!((grant.checkpoint, grant.begin), (None, Some(at(0, 17))));
}

#[test]
fn a_task_that_runs_alone_does_not_read_the_whole_epoch_again() {
    let mut coordinator = begun();
    open(&mut coordinator, 5);
    coordinator.began(5, 1, &at(0, 17)).unwrap();
    assert_eq!(open(&mut coordinator, 5).begin, Some(at(0, 17)), "nothing was published yet");
    coordinator.publish(5, 2, b"one", &[]).unwrap();
    flip(&mut coordinator, "t5-e1-n1");
    assert_eq!(again(&mut coordinator, 5).task, 5);
}

#[test]
fn a_new_epoch_makes_everything_before_it_void_for_its_shard_alone() {
    let mut coordinator = begun();
    for task in [2, 5] {
        open(&mut coordinator, task);
        let received = &[9, 9][..if task == 2 { 2 } else { 0 }];
        coordinator.publish(task, 1, b"one", received).unwrap();
        coordinator.publish(task, 1, b"two", received).unwrap();
    }
    assert_eq!(coordinator.forgettable(1, 0), 9);
    coordinator.begin(0, Timestamp(9)).unwrap();
    let mut coordinator = restarted(coordinator);
    assert!(!coordinator.admits(2, 1) && coordinator.admits(5, 1));
    assert_eq!(coordinator.forgettable(1, 0), 0);
    assert_eq!(coordinator.collect().unwrap(), 2);
    let grant = open(&mut coordinator, 2);
    assert_eq!((grant.epoch, grant.incarnation, grant.checkpoint), (2, 2, None));
    assert_eq!(open(&mut coordinator, 5).checkpoint.unwrap().bytes, b"two");
    coordinator.publish(2, 2, b"ten", &[1, 1]).unwrap();
    assert_eq!(coordinator.kept(2), ["t2-e2-n3"]);
}

/// A store that does not let go of one name.
#[derive(Default)]
struct Stuck {
    inner: MemoryStore,
    name: &'static str,
}

impl Store for Stuck {
    fn put(&mut self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.inner.put(name, bytes)
    }
    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.get(name)
    }
    fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.inner.list(prefix)
    }
    fn remove(&mut self, name: &str) -> Result<(), StoreError> {
        if name == self.name {
            let why = "planted".to_owned();
            return Err(StoreError::Io { doing: "remove", place: name.to_owned(), why });
        }
        self.inner.remove(name)
    }
}

#[test]
fn what_cannot_be_taken_out_keeps_nothing_else_in() {
    let store = Stuck { inner: MemoryStore::default(), name: "t2-e1-n1" };
    let mut coordinator = Coordinator::new(store, &layout()).unwrap();
    coordinator.begin(0, Timestamp(7)).unwrap();
    coordinator.open(2, true, &|_| true).unwrap();
    for bytes in [b"1", b"2", b"3", b"4"] {
        coordinator.publish(2, 1, bytes, &[0, 0]).unwrap();
    }
    let error = coordinator.collect().unwrap_err();
    assert!(matches!(&error, StoreError::Io { place, .. } if place == "t2-e1-n1"), "{error}");
    assert_eq!(coordinator.store().list("t").unwrap(), ["t2-e1-n1", "t2-e1-n3", "t2-e1-n4"]);
    coordinator.store_mut().name = "";
    assert_eq!(coordinator.collect(), Ok(1));
}

#[test]
fn only_checkpoints_are_taken_out() {
    let mut coordinator = begun();
    let others =
        ["t", "t1", "t1-e1", "t01-e1-n1", "t1-e1-n1-x", "t1-e1-n", "t1-e1-nx", "task-1", "tmp", "todo"];
    // Also those of a layout with more tasks, and of an epoch that is over.
    for name in others.into_iter().chain(["t0-e0-n1", "t99-e1-n20"]) {
        coordinator.store_mut().put(name, b"1").unwrap();
    }
    assert_eq!(coordinator.collect(), Ok(2));
    let left = coordinator.store().list("t").unwrap();
    assert!(others.iter().all(|other| left.iter().any(|name| name == other)), "{left:?}");
    assert_eq!(left.len(), others.len());
}

#[test]
fn a_rollback_takes_the_checkpoint_its_version_reads() {
    let mut coordinator = begun();
    open(&mut coordinator, 2);
    coordinator.publish(2, 1, b"old", &[1, 1]).unwrap();
    coordinator.set_version(1);
    coordinator.publish(2, 1, b"new", &[2, 2]).unwrap();
    let grant = coordinator.open(2, true, &|version| version < 1).unwrap();
    assert_eq!(grant.skipped, [Skipped { number: 2, why: Skip::Version(1) }]);
    assert_eq!(grant.checkpoint.unwrap().bytes, b"old");
    let grant = coordinator.open(2, false, &|_| true);
    assert!(matches!(grant, Err(GrantError::Again(Again { task: 2, .. }))), "rows were forgotten: {grant:?}");
}

#[test]
fn a_shard_that_is_cut_otherwise_begins_anew_and_numbers_go_on() {
    let mut coordinator = begun();
    for task in [2, 5] {
        open(&mut coordinator, task);
        let received = &[0, 0][..if task == 2 { 2 } else { 0 }];
        coordinator.publish(task, 1, b"one", received).unwrap();
    }
    let mut wider = layout();
    wider.tasks[0].reads.push((0, 2));
    let mut coordinator = Coordinator::new(coordinator.into_store(), &wider).unwrap();
    assert!(!coordinator.admits(2, 1) && coordinator.admits(5, 1));
    again(&mut coordinator, 2);
    assert_eq!(coordinator.begin(0, Timestamp(1)).unwrap(), 2);
    assert_eq!(open(&mut coordinator, 2).incarnation, 2);
    assert_eq!(open(&mut coordinator, 5).checkpoint.unwrap().bytes, b"one");
}
