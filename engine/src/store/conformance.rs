//! What every store must do, for whoever writes one.
//!
//! Asks through the trait alone, so knows nothing of how a store works; what a crash in the middle of a put leaves is asked by
//! the tests of each. Would catch: an old blob that comes back, one name taken for another, a list out of order.

use std::collections::BTreeMap;

use crate::store::{NAME_MAX, Store, StoreError};

/// Two names of which one begins the other.
const NAMES: [&str; 2] = ["t1", "t1-e1"];

/// Asks everything of the stores that `open` gives: an empty one for `None`, else the same one opened again.
///
/// # Panics
/// The store does something else.
pub fn check<S: Store>(mut open: impl FnMut(Option<S>) -> S) {
    names(open(None));
    contents(&mut open);
    lists(open(None));
    sequences(&mut open);
}

fn names<S: Store>(mut store: S) {
    let long = "x".repeat(NAME_MAX + 1);
    for name in ["", ".", "..", "../x", "a/b", "a\\b", "a.b", ".tmp-a", "A", "ä", "a b", "a\0", &long] {
        let refused = Err(StoreError::Name(name.to_owned()));
        assert_eq!(store.put(name, b"1"), refused, "put under {name:?}");
        assert_eq!(store.remove(name), refused, "remove of {name:?}");
        assert!(matches!(store.get(name), Err(StoreError::Name(_))), "get of {name:?}");
    }
    assert_eq!(store.list(""), Ok(Vec::new()), "what was refused is not there");
    for name in ["a", "0", "-", "_", &long[1..]] {
        assert_eq!(store.put(name, b"1"), Ok(()), "put under {name:?}");
        assert_eq!(store.get(name), Ok(Some(b"1".to_vec())), "get of {name:?}");
    }
}

fn contents<S: Store>(open: &mut impl FnMut(Option<S>) -> S) {
    let mut store = open(None);
    let every: Vec<u8> = (0..200_000u32).map(|i| (i ^ (i >> 8)) as u8).collect();
    for bytes in [&b""[..], b"\0", &every, b"short", b""] {
        assert_eq!(store.put("a", bytes), Ok(()));
        assert_eq!(store.get("a"), Ok(Some(bytes.to_vec())), "as it was put, {} bytes", bytes.len());
        store = open(Some(store));
        assert_eq!(store.get("a"), Ok(Some(bytes.to_vec())), "opened again, {} bytes", bytes.len());
    }
}

fn lists<S: Store>(mut store: S) {
    for name in ["t10", "t1-e2", "s", "t2", "t1", "t1-e10", "u"] {
        assert_eq!(store.put(name, name.as_bytes()), Ok(()));
    }
    let listed = |prefix: &str| store.list(prefix).map(|names| names.join(" "));
    assert_eq!(listed(""), Ok("s t1 t1-e10 t1-e2 t10 t2 u".to_owned()));
    assert_eq!(listed("t1"), Ok("t1 t1-e10 t1-e2 t10".to_owned()));
    assert_eq!(listed("t1-"), Ok("t1-e10 t1-e2".to_owned()));
    assert_eq!(listed("t3"), Ok(String::new()));
    assert_eq!(listed("../"), Ok(String::new()));
}

/// Every sequence of three steps, the store opened again after each, beside a map.
fn sequences<S: Store>(open: &mut impl FnMut(Option<S>) -> S) {
    let steps: [(usize, Option<&[u8]>); 5] =
        [(0, Some(b"one")), (0, Some(b"2")), (1, Some(b"three")), (0, None), (1, None)];
    for number in 0..steps.len().pow(3) {
        let (mut store, mut map) = (open(None), BTreeMap::new());
        for place in 0..3 {
            let (name, put) = steps[number / steps.len().pow(place) % steps.len()];
            let name = NAMES[name];
            match put {
                Some(bytes) => {
                    assert_eq!(store.put(name, bytes), Ok(()));
                    map.insert(name.to_owned(), bytes.to_vec());
                }
                None => {
                    assert_eq!(store.remove(name), Ok(()), "also of one that is not there");
                    map.remove(name);
                }
            }
            store = open(Some(store));
            assert_eq!(store.list(""), Ok(map.keys().cloned().collect()), "sequence {number}");
            for name in NAMES {
                assert_eq!(store.get(name), Ok(map.get(name).cloned()), "sequence {number}, {name}");
            }
        }
    }
}
