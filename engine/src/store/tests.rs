//! Stores against the suite of all stores, records over a store in which things go wrong, and that store itself.

use crate::store::faulty::Injected;
use crate::store::record::copy_name;
use crate::store::{DiskStore, Fault, Faulty, MemoryStore, Record, Store, StoreError, conformance};

#[test]
fn a_store_in_memory_conforms() {
    conformance::check(|store| store.unwrap_or_else(MemoryStore::default));
}

#[test]
fn a_store_without_faults_conforms() {
    conformance::check(|store| store.unwrap_or_else(|| Faulty::new(MemoryStore::default())));
}

#[test]
fn a_store_in_a_directory_conforms() {
    let root = tempfile::tempdir().unwrap();
    let mut number = 0;
    conformance::check(|store: Option<(usize, DiskStore)>| -> (usize, DiskStore) {
        let number = store.map_or_else(
            || {
                number += 1;
                number
            },
            |(number, _)| number,
        );
        (number, DiskStore::open(root.path().join(number.to_string())).unwrap())
    });
}

/// A store with something beside it.
impl<S: Store> Store for (usize, S) {
    fn put(&mut self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.1.put(name, bytes)
    }
    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.1.get(name)
    }
    fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.1.list(prefix)
    }
    fn remove(&mut self, name: &str) -> Result<(), StoreError> {
        self.1.remove(name)
    }
}

fn faulty() -> Faulty<MemoryStore> {
    Faulty::new(MemoryStore::default())
}

#[test]
fn each_fault_does_what_it_says_and_does_it_once() {
    let with = |fault: Fault| {
        let mut store = faulty();
        store.put("a", b"old").unwrap();
        store.inject(fault, "a");
        store.put("b", b"other").unwrap();
        store
    };
    let mut store = with(Fault::TornPut { keep: 2, acknowledged: true });
    assert_eq!((store.put("a", b"new"), store.get("a")), (Ok(()), Ok(Some(b"ne".to_vec()))));
    assert_eq!((store.put("a", b"new"), store.get("a")), (Ok(()), Ok(Some(b"new".to_vec()))));
    let mut store = with(Fault::TornPut { keep: 9, acknowledged: false });
    assert!(matches!(store.put("a", b"new"), Err(StoreError::Unknown { .. })));
    assert_eq!(store.get("a"), Ok(Some(b"ne".to_vec())));
    let mut store = with(Fault::LostPut);
    assert_eq!((store.put("a", b"new"), store.get("a")), (Ok(()), Ok(Some(b"old".to_vec()))));
    let mut store = with(Fault::FlippedPut { bit: 8 });
    assert_eq!((store.put("a", b"new"), store.get("a")), (Ok(()), Ok(Some(b"ndw".to_vec()))));
    let mut store = with(Fault::FullDisk);
    assert!(matches!(store.put("a", b"new"), Err(StoreError::Full { .. })));
    assert_eq!(store.get("a"), Ok(Some(b"old".to_vec())));
    let mut store = with(Fault::LateAcknowledgement);
    assert!(matches!(store.put("a", b"new"), Err(StoreError::Unknown { .. })));
    assert_eq!(store.get("a"), Ok(Some(b"new".to_vec())));
    let store = with(Fault::FlippedGet { bit: 0 });
    assert_eq!((store.get("a"), store.get("a")), (Ok(Some(b"nld".to_vec())), Ok(Some(b"old".to_vec()))));
    let mut store = with(Fault::LostRemove);
    assert_eq!((store.remove("a"), store.list("")), (Ok(()), Ok(vec!["a".into(), "b".into()])));
    assert_eq!((store.remove("a"), store.list("")), (Ok(()), Ok(vec!["b".into()])));
    let mut store = with(Fault::LostPut);
    store.calm();
    store.remove("a").unwrap();
    store.inject(Fault::StaleList { changes: 2 }, "");
    assert_eq!((store.list(""), store.list("")), (Ok(vec!["a".into()]), Ok(vec!["b".into()])));
    assert_eq!(store.struck(), [Fault::StaleList { changes: 2 }]);
    store.inject_later(Injected { fault: Fault::FullDisk, prefix: String::new(), after: 1 });
    assert_eq!(store.put("c", b"1"), Ok(()));
    assert!(store.put("c", b"2").is_err());
}

#[test]
fn a_record_is_what_was_last_saved_whatever_goes_wrong_with_one_put() {
    let mut told = 0;
    for fault in [
        Fault::TornPut { keep: 0, acknowledged: true },
        Fault::TornPut { keep: 11, acknowledged: true },
        Fault::TornPut { keep: 20, acknowledged: false },
        Fault::LostPut,
        Fault::FlippedPut { bit: 100 },
        Fault::FullDisk,
        Fault::LateAcknowledgement,
        Fault::FlippedGet { bit: 3 },
    ] {
        for saves in 0..5u8 {
            let mut store = faulty();
            let mut record = Record::load(&store, "x").unwrap().record;
            for save in 0..saves {
                record.save(&mut store, &[save; 9]).unwrap();
            }
            store.inject(fault, "record-x");
            let saved = record.save(&mut store, &[100; 9]);
            assert_eq!(saved.is_ok(), fault == Fault::LateAcknowledgement, "{fault:?}");
            told += usize::from(saved.is_err());
            let loaded = Record::load(&store, "x").unwrap();
            let before = saves.checked_sub(1).map(|save| vec![save; 9]);
            assert!(loaded.body == before || loaded.body == Some(vec![100; 9]), "{fault:?} after {saves}");
            assert!(saved.is_err() || loaded.body == Some(vec![100; 9]));
            // It can be tried again, and reads after a restart as it was saved.
            record.save(&mut store, b"new").unwrap();
            let loaded = Record::load(&store, "x").unwrap();
            assert_eq!((loaded.body.as_deref(), loaded.one_missing), (Some(&b"new"[..]), false));
            assert_eq!(loaded.record, record);
        }
    }
    assert_eq!(told, 7 * 5);
}

#[test]
fn a_record_of_which_one_copy_is_damaged_says_so_and_of_which_both_are_is_refused() {
    for saves in 1..4u64 {
        let mut store = MemoryStore::default();
        let mut record = Record::load(&store, "x").unwrap().record;
        for save in 1..=saves {
            record.save(&mut store, &[save as u8]).unwrap();
        }
        let newest = copy_name("x", saves);
        let whole = store.get(&newest).unwrap().unwrap();
        for cut in 0..whole.len() {
            store.put(&newest, &whole[..cut]).unwrap();
            let loaded = Record::load(&store, "x").unwrap();
            let before = (saves > 1).then(|| vec![saves as u8 - 1]);
            assert_eq!((loaded.body, loaded.one_missing), (before, true));
        }
        store.put(&copy_name("x", saves + 1), b"nothing").unwrap();
        assert_eq!(Record::load(&store, "x"), Err(StoreError::Damaged("x".into())));
        let mut newer = whole[..whole.len() - 8].to_vec();
        newer[4] = 9;
        crate::checkpoint::seal(&mut newer);
        store.put(&newest, &newer).unwrap();
        assert_eq!(Record::load(&store, "x").unwrap_err().code(), "store-version");
    }
}
