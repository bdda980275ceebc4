//! The coordinator under every order of openings, publications, new epochs, restarts of its own and faults of its store, beside a
//! plain account of who was told what. Would catch a promise that holds for each step alone and not for all together;
//! each planted bug of the protocol is found by it.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use rewindow_query::Timestamp;

use crate::coordinator::{Coordinator, GrantError, PublishError, Skip};
use crate::layout::{Layout, Role, TaskSpec};
use crate::plant::Plants;
use crate::store::faulty::Injected;
use crate::store::{Fault, Faulty, MemoryStore, Store};

#[derive(Clone, Debug)]
enum Op {
    Begin(usize),
    Open {
        task: usize,
        use_state: bool,
        readable_max: u32,
    },
    /// By the newest but so many.
    Publish {
        task: usize,
        back: usize,
        more: [u64; 2],
    },
    Version(u32),
    Collect,
    Restart,
    Inject(Injected),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let fault = prop_oneof![
        (0..60usize, any::<bool>()).prop_map(|(keep, acknowledged)| Fault::TornPut { keep, acknowledged }),
        Just(Fault::LostPut),
        (0..300usize).prop_map(|bit| Fault::FlippedPut { bit }),
        Just(Fault::FullDisk),
        Just(Fault::LateAcknowledgement),
        (0..300usize).prop_map(|bit| Fault::FlippedGet { bit }),
        (0..5usize).prop_map(|changes| Fault::StaleList { changes }),
        Just(Fault::LostRemove),
    ];
    let prefix = prop_oneof![6 => Just("t"), 1 => Just("record-"), 1 => Just("")];
    let inject = (fault, prefix, 0..3u64)
        .prop_map(|(fault, prefix, after)| Op::Inject(Injected { fault, prefix: prefix.into(), after }));
    let op = prop_oneof![
        1 => (0..2usize).prop_map(Op::Begin),
        5 => (0..4usize, 0..10u32, 0..8u32).prop_map(|(task, state, max)| Op::Open {
            task,
            use_state: state > 0,
            readable_max: if max == 0 { 0 } else { 9 }
        }),
        12 => (0..4usize, 0..8usize, [0..5u64, 0..5u64]).prop_map(|(task, back, more)| Op::Publish {
            task,
            back: back.saturating_sub(5),
            more
        }),
        1 => (0..2u32).prop_map(Op::Version),
        2 => Just(Op::Collect),
        1 => Just(Op::Restart),
        4 => inject,
    ];
    proptest::collection::vec(op, 1..60)
}

/// Two partitions and their merge; and a shard that runs whole.
fn layout() -> Layout {
    let task = |shard, role, reads: &[(usize, u32)], upstream: &[usize], downstream: &[usize]| TaskSpec {
        shard,
        role,
        reads: reads.to_vec(),
        upstream: upstream.to_vec(),
        downstream: downstream.to_vec(),
    };
    Layout {
        tasks: vec![
            task(0, Role::Partition { input: 0, partition: 0 }, &[(0, 0)], &[], &[2]),
            task(0, Role::Partition { input: 0, partition: 1 }, &[(0, 1)], &[], &[2]),
            task(0, Role::Merge, &[], &[0, 1], &[]),
            task(1, Role::Whole, &[(0, 0)], &[], &[]),
        ],
    }
}

/// Who was granted a task.
struct Live {
    incarnation: u64,
    epoch: u64,
    received: Vec<u64>,
    /// Whether where it began is known, so that it may go on.
    runs: bool,
}

/// A checkpoint that someone who was admitted tried to publish.
#[derive(Clone)]
struct Attempt {
    number: u64,
    epoch: u64,
    version: u32,
    bytes: Vec<u8>,
    received: Vec<u64>,
    /// Something went wrong in the store meanwhile.
    harmed: bool,
}

/// What was told of one task.
#[derive(Default)]
struct Account {
    live: Vec<Live>,
    attempts: BTreeMap<u64, Attempt>,
    /// Those that count in this epoch.
    chain: Vec<Attempt>,
    /// Beginnings by epoch: tried, and whether that was acknowledged.
    begun: BTreeMap<(u64, u64), bool>,
}

/// How often something happened, by name.
type Seen = BTreeMap<&'static str, u32>;

struct Play<'a> {
    coordinator: Coordinator<Faulty<MemoryStore>>,
    plants: Plants,
    accounts: Vec<Account>,
    epochs: [u64; 2],
    /// The most that was told to be forgettable, of a link in an epoch.
    forgotten: BTreeMap<(u64, usize), u64>,
    version: u32,
    /// Nothing went wrong with a record so far, so nothing is uncertain.
    clear: bool,
    seen: &'a mut Seen,
}

/// Plays it through; says what is wrong.
fn play(ops: &[Op], plants: Plants, seen: &mut Seen) -> Result<(), String> {
    let store = Faulty::new(MemoryStore::default());
    let coordinator = Coordinator::planted(store, &layout(), plants).map_err(|error| error.to_string())?;
    let accounts = (0..4).map(|_| Account::default()).collect();
    let (epochs, forgotten) = ([0; 2], BTreeMap::new());
    let mut play = Play { coordinator, plants, accounts, epochs, forgotten, version: 0, clear: true, seen };
    for shard in 0..2 {
        play.begin(shard)?;
    }
    for op in ops {
        match op {
            Op::Begin(shard) => play.begin(*shard)?,
            Op::Open { task, use_state, readable_max } => play.open(*task, *use_state, *readable_max)?,
            Op::Publish { task, back, more } => play.publish(*task, *back, more)?,
            Op::Version(version) => {
                play.version = *version;
                play.coordinator.set_version(*version);
            }
            Op::Collect => drop(play.coordinator.collect()),
            Op::Restart => play = play.restart()?,
            Op::Inject(injected) => {
                play.clear &= injected.prefix == "t";
                play.coordinator.store_mut().inject_later(injected.clone());
            }
        }
        play.check().map_err(|why| format!("{why}, after {op:?}"))?;
    }
    Ok(())
}

fn wrong<T>(why: impl Into<String>) -> Result<T, String> {
    Err(why.into())
}

fn shard_of(task: usize) -> usize {
    usize::from(task == 3)
}

impl Play<'_> {
    fn see(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    fn begin(&mut self, shard: usize) -> Result<(), String> {
        let Ok(epoch) = self.coordinator.begin(shard, Timestamp(1)) else {
            self.see("begin failed");
            return Ok(());
        };
        if epoch <= self.epochs[shard] {
            return wrong(format!("epoch {epoch} is not new"));
        }
        self.epochs[shard] = epoch;
        (0..4).filter(|&task| shard_of(task) == shard).for_each(|task| self.accounts[task].chain.clear());
        Ok(())
    }

    fn intact(&self, task: usize, attempt: &Attempt) -> bool {
        let name = self.coordinator.name_of(task, attempt.epoch, attempt.number);
        self.coordinator.store().inner().get(&name) == Ok(Some(attempt.bytes.clone()))
    }

    fn open(&mut self, task: usize, use_state: bool, readable_max: u32) -> Result<(), String> {
        let shard = shard_of(task);
        let usable =
            |attempt: &&Attempt| use_state && attempt.version <= readable_max && self.intact(task, attempt);
        let best = self.accounts[task].chain.iter().rev().take(2).find(usable).map(|attempt| attempt.number);
        let (struck, empty) = (self.coordinator.store().struck().len(), self.accounts[task].chain.is_empty());
        let grant = match self.coordinator.open(task, use_state, &|version| version <= readable_max) {
            Ok(grant) => grant,
            Err(GrantError::Store(_)) => {
                self.see("open failed");
                return Ok(());
            }
            Err(GrantError::Again(again)) => {
                self.see("again");
                let misread = self.coordinator.store().struck().len() > struck;
                if self.clear && !misread && best.is_some() {
                    return wrong(format!("{again}, but checkpoint {best:?} is whole"));
                }
                if self.clear && !misread && empty && self.accounts[task].live.is_empty() {
                    return wrong(format!("{again}, but nothing was lost"));
                }
                // What a supervisor does.
                return self.begin(shard);
            }
        };
        let epoch = self.epochs[shard];
        let (incarnation, mut received) = (grant.incarnation, vec![0; if task == 2 { 2 } else { 0 }]);
        if grant.epoch != epoch || self.accounts[task].live.iter().any(|live| live.incarnation >= incarnation)
        {
            return wrong(format!("granted {incarnation} in epoch {}", grant.epoch));
        }
        for skipped in &grant.skipped {
            self.see(match skipped.why {
                Skip::Missing => "skipped: missing",
                Skip::Damaged => "skipped: damaged",
                Skip::Version(_) => "skipped: version",
                Skip::Unwanted => "skipped: unwanted",
                Skip::Forgotten => return wrong("a checkpoint was kept that upstream forgot"),
            });
        }
        let account = &mut self.accounts[task];
        let mut runs = true;
        if let Some(kept) = &grant.checkpoint {
            let at = account.chain.iter().position(|attempt| attempt.number == kept.number);
            let Some(at) = at else { return wrong(format!("checkpoint {} does not count", kept.number)) };
            let attempt = &account.chain[at];
            if attempt.bytes != kept.bytes || attempt.received != kept.received || attempt.epoch != epoch {
                return wrong(format!("checkpoint {} is not as published", kept.number));
            }
            if !use_state || attempt.version > readable_max {
                return wrong(format!("checkpoint {} was not to be used", kept.number));
            }
            if best.is_some_and(|best| best > kept.number)
                && self.coordinator.store().struck().len() == struck
            {
                return wrong(format!("checkpoint {} is not the newest", kept.number));
            }
            received.clone_from(&kept.received);
            account.chain.truncate(at + 1);
        } else {
            account.chain.clear();
            if task != 2 {
                let of_epoch: Vec<(u64, bool)> = account
                    .begun
                    .range((epoch, 0)..(epoch + 1, 0))
                    .map(|(&(_, at), &told)| (at, told))
                    .collect();
                let told = of_epoch.iter().find(|(_, told)| *told).map(|(at, _)| *at);
                let begin = grant.begin.as_ref().map(|begin| begin[&(0, 0)]);
                let known = begin.is_none_or(|at| of_epoch.iter().any(|&(tried, _)| tried == at));
                if told.is_some() && begin != told || !known {
                    return wrong(format!("begins at {begin:?}, began at {told:?}"));
                }
                if begin.is_none() {
                    let positions = BTreeMap::from([((0, 0), incarnation)]);
                    runs = self.coordinator.began(task, incarnation, &positions).is_ok();
                    account.begun.insert((epoch, incarnation), runs);
                }
            }
        }
        for (link, &received) in received.iter().enumerate() {
            let forgotten = self.forgotten.get(&(epoch, link)).copied().unwrap_or(0);
            if received < forgotten {
                return wrong(format!("wants {received} of link {link}, forgotten before {forgotten}"));
            }
        }
        self.accounts[task].live.push(Live { incarnation, epoch, received, runs });
        Ok(())
    }

    fn publish(&mut self, task: usize, back: usize, more: &[u64; 2]) -> Result<(), String> {
        let account = &mut self.accounts[task];
        let newest = back == 0;
        let Some(live) = account.live.iter_mut().rev().nth(back).filter(|live| live.runs) else {
            return Ok(());
        };
        live.received.iter_mut().zip(more).for_each(|(received, more)| *received += more);
        let admitted = newest && live.epoch == self.epochs[shard_of(task)];
        let (epoch, received) = (live.epoch, live.received.clone());
        let number = self.coordinator.tasks[task].state.number + 1;
        let bytes = format!("{task} in {epoch} by {}: {number} {received:?}", live.incarnation).into_bytes();
        let struck = self.coordinator.store().struck().len();
        let published = self.coordinator.publish(task, live.incarnation, &bytes, &received);
        let harmed = self.coordinator.store().struck().len() > struck;
        let attempt = Attempt { number, epoch, version: self.version, bytes, received, harmed };
        match published {
            Err(PublishError::Fenced { .. }) => {
                self.see("fenced");
                if admitted && self.clear {
                    return wrong("the newest one was fenced");
                }
            }
            _ if !admitted => {
                return wrong(format!("one that was replaced published {number} of task {task}"));
            }
            Err(_) => {
                self.see("publish failed");
                self.accounts[task].attempts.insert(number, attempt);
            }
            Ok(published) => {
                self.see("published");
                if published.number != number || published.epoch != epoch {
                    return wrong(format!("published {published:?}"));
                }
                let account = &mut self.accounts[task];
                account.attempts.insert(number, attempt.clone());
                account.chain.push(attempt);
                account.chain.drain(..account.chain.len().saturating_sub(2));
            }
        }
        Ok(())
    }

    /// The coordinator ends and another one takes over. What was uncertain is now one or the other.
    fn restart(self) -> Result<Self, String> {
        let Play { coordinator, plants, mut accounts, mut epochs, forgotten, version, clear, seen } = self;
        let mut store = coordinator.into_store();
        let probe = Coordinator::new(&mut store as &mut dyn Store, &layout()).map(drop);
        if probe.is_err() {
            // The fault was in the reading; one that lasts would fail below.
            store.calm();
        }
        let mut coordinator =
            Coordinator::planted(store, &layout(), plants).map_err(|error| format!("restart: {error}"))?;
        coordinator.set_version(version);
        for (shard, epoch) in epochs.iter_mut().enumerate() {
            if coordinator.epoch(shard) < *epoch {
                return wrong(format!("epoch {epoch} of shard {shard} was forgotten"));
            }
            *epoch = coordinator.epoch(shard);
        }
        for (task, account) in accounts.iter_mut().enumerate() {
            let before: Vec<u64> = account.chain.iter().rev().take(2).map(|attempt| attempt.number).collect();
            let kept =
                if coordinator.is_current(task) { &coordinator.tasks[task].state.kept[..] } else { &[] };
            account.chain.clear();
            for entry in kept {
                let Some(attempt) = account.attempts.get(&entry.number) else {
                    return wrong(format!("nobody published {} of task {task}", entry.number));
                };
                account.chain.push(attempt.clone());
            }
            let after: Vec<u64> = account.chain.iter().rev().map(|attempt| attempt.number).collect();
            if clear && before != after {
                return wrong(format!("kept {before:?} of task {task}, after the restart {after:?}"));
            }
        }
        Ok(Play { coordinator, plants, accounts, epochs, forgotten, version, clear, seen })
    }

    /// What is true at any time.
    fn check(&mut self) -> Result<(), String> {
        for (task, account) in self.accounts.iter().enumerate() {
            let epoch = self.epochs[shard_of(task)];
            for (back, live) in account.live.iter().rev().enumerate() {
                let may = back == 0 && live.epoch == epoch;
                let admits = self.coordinator.admits(task, live.incarnation);
                if admits && !may || self.clear && admits != may {
                    return wrong(format!("incarnation {} of task {task}: {admits}", live.incarnation));
                }
            }
            for attempt in account.chain.iter().rev().take(2).filter(|attempt| !attempt.harmed) {
                if !self.intact(task, attempt) {
                    return wrong(format!("checkpoint {} of task {task} is gone", attempt.number));
                }
            }
        }
        for link in 0..2 {
            let told = self.coordinator.forgettable(link, 0);
            let epoch = self.epochs[0];
            let chain = &self.accounts[2].chain;
            let held = chain.iter().rev().take(2).map(|attempt| attempt.received[link]).min().unwrap_or(0);
            if told > held {
                return wrong(format!(
                    "rows before {told} of link {link} forgotten, checkpoints have {held}"
                ));
            }
            let most = self.forgotten.entry((epoch, link)).or_default();
            *most = told.max(*most);
            if told > 0 {
                self.see("forgettable");
            }
        }
        Ok(())
    }
}

impl Store for &mut (dyn Store + '_) {
    fn put(&mut self, name: &str, bytes: &[u8]) -> Result<(), crate::store::StoreError> {
        (**self).put(name, bytes)
    }
    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, crate::store::StoreError> {
        (**self).get(name)
    }
    fn list(&self, prefix: &str) -> Result<Vec<String>, crate::store::StoreError> {
        (**self).list(prefix)
    }
    fn remove(&mut self, name: &str) -> Result<(), crate::store::StoreError> {
        (**self).remove(name)
    }
}

/// What is found in so many plays, with the shortest way there.
fn search(plants: Plants, cases: u32) -> (Option<String>, Seen) {
    let seen = std::cell::RefCell::new(Seen::new());
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 20_000, ..Config::default() };
    let rng = proptest::test_runner::TestRng::deterministic_rng(config.rng_algorithm);
    let found = TestRunner::new_with_rng(config, rng)
        .run(&ops(), |ops| play(&ops, plants, &mut seen.borrow_mut()).map_err(TestCaseError::fail));
    (found.err().map(|error| error.to_string()), seen.into_inner())
}

#[test]
fn no_order_of_steps_and_faults_breaks_a_promise() {
    let (found, seen) = search(Plants::none(), 6000);
    assert_eq!(found, None);
    let reached: BTreeSet<&str> = seen.keys().copied().collect();
    let wanted = [
        "again",
        "begin failed",
        "fenced",
        "forgettable",
        "open failed",
        "publish failed",
        "published",
        "skipped: damaged",
        "skipped: missing",
        "skipped: unwanted",
        "skipped: version",
    ];
    assert_eq!(reached, BTreeSet::from(wanted), "{seen:?}");
}

#[test]
#[cfg(feature = "plant")]
fn every_plant_of_the_protocol_is_found() {
    use crate::plant::Plant;
    for plant in [
        Plant::FencingAbsent,
        Plant::PublishNotAtomic,
        Plant::CollectTooEarly,
        Plant::ForgetBeforeCheckpoint,
        Plant::EpochKept,
    ] {
        let (found, _) = search(Plants::only(Some(plant)), 6000);
        let found = found.unwrap_or_else(|| panic!("{} is not found", plant.name()));
        println!("{}: {found}", plant.name());
    }
}
