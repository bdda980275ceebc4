//! The coordinator over a directory, stopped and started again after every step. Would catch what only the two together get
//! wrong: a record or checkpoint that is not where the next process looks for it.

use std::path::Path;

use rewindow_engine::store::{DiskStore, Fault, Faulty, MemoryStore, Store, conformance};
use rewindow_engine::{Coordinator, Layout, Role, TaskSpec};
use rewindow_query::Timestamp;

fn layout() -> Layout {
    let task = |role, reads: &[(usize, u32)], upstream: &[usize], downstream: &[usize]| TaskSpec {
        shard: 0,
        role,
        reads: reads.to_vec(),
        upstream: upstream.to_vec(),
        downstream: downstream.to_vec(),
    };
    let partition = |partition| Role::Partition { input: 0, partition };
    Layout {
        tasks: vec![
            task(partition(0), &[(0, 0)], &[], &[2]),
            task(partition(1), &[(0, 1)], &[], &[2]),
            task(Role::Merge, &[], &[0, 1], &[]),
        ],
    }
}

/// A history with a checkpoint that is damaged and one that finds no room; every process does one step of it and ends.
fn history<S: Store>(mut store: Faulty<S>, mut reopen: impl FnMut(Faulty<S>) -> Faulty<S>) -> String {
    let mut told = Vec::new();
    for step in 0..14 {
        let mut coordinator = Coordinator::new(store, &layout()).expect("a store that is whole");
        let one = match step {
            0 => format!("{:?}", coordinator.begin(0, Timestamp(5))),
            1 | 5 | 7 | 10 | 13 => {
                let grant = coordinator.open(2, true, &|_| true);
                format!("{:?}", grant.map(|grant| (grant.incarnation, grant.checkpoint, grant.skipped)))
            }
            8 => format!("{:?}", coordinator.publish(2, 2, b"from one that was replaced", &[9, 9])),
            6 => {
                let newest = coordinator.kept(2).pop().expect("two were published");
                coordinator.store_mut().inject(Fault::FlippedPut { bit: 9 }, &newest);
                let put = coordinator.store_mut().put(&newest, b"state 4");
                format!("{newest} damaged: {put:?}")
            }
            9 => {
                coordinator.store_mut().inject(Fault::FullDisk, "t2");
                let full = coordinator.publish(2, 3, b"state 9", &[9, 9]);
                format!("{}", full.expect_err("there is no room").to_string().contains("free some"))
            }
            11 => format!("{:?} {:?}", coordinator.collect(), coordinator.store().list("t")),
            12 => format!("{:?}", coordinator.begin(0, Timestamp(8))),
            _ => {
                let bytes = format!("state {step}").into_bytes();
                let published = coordinator.publish(2, 1, &bytes, &[step, 0]);
                format!("{published:?} {}", coordinator.forgettable(0, 0))
            }
        };
        told.push(format!("{step}: {one}"));
        store = reopen(coordinator.into_store());
    }
    told.join("\n")
}

#[test]
fn a_history_in_a_directory_is_the_one_in_memory() {
    let dir = tempfile::tempdir().expect("a directory for the test");
    let open = |path: &Path| Faulty::new(DiskStore::open(path).expect("a store in it"));
    let disk = history(open(dir.path()), |_| open(dir.path()));
    let memory = history(Faulty::new(MemoryStore::default()), |store| store);
    assert_eq!(disk, memory);
    let expected = "\
0: Ok(1)
1: Ok((1, None, []))
2: Ok(Published { epoch: 1, number: 1 }) 0
3: Ok(Published { epoch: 1, number: 2 }) 2
4: Ok(Published { epoch: 1, number: 3 }) 3
5: Ok((2, Some(Kept { bytes: [115, 116, 97, 116, 101, 32, 52], number: 3, version: 0, received: [4, 0] }), []))
6: t2-e1-n3 damaged: Ok(())
7: Ok((3, Some(Kept { bytes: [115, 116, 97, 116, 101, 32, 51], number: 2, version: 0, received: [3, 0] }), [Skipped { number: 3, why: Damaged }]))
8: Err(Fenced { task: 2, incarnation: 2, current: 3 })
9: true
10: Ok((4, Some(Kept { bytes: [115, 116, 97, 116, 101, 32, 51], number: 2, version: 0, received: [3, 0] }), []))
11: Ok(2) Ok([\"t2-e1-n2\"])
12: Ok(2)
13: Ok((5, None, []))";
    assert_eq!(memory, expected);
}

#[test]
fn a_store_from_outside_is_asked_the_same() {
    conformance::check(|store| store.unwrap_or_else(|| Box::new(MemoryStore::default()) as Box<dyn Store>));
}
