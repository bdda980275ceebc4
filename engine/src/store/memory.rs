//! A store in memory, for the search.
//!
//! Durable for as long as it lives: a simulated crash hands it on to the next opener. Invariant: as of every store.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::store::{Store, StoreError, checked_name};

/// Blobs in a map.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MemoryStore {
    blobs: BTreeMap<String, Vec<u8>>,
}

impl Store for MemoryStore {
    fn put(&mut self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let name = checked_name(name)?;
        match self.blobs.get_mut(name) {
            Some(old) => {
                old.clear();
                old.extend_from_slice(bytes);
            }
            None => drop(self.blobs.insert(name.to_owned(), bytes.to_vec())),
        }
        Ok(())
    }

    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.blobs.get(checked_name(name)?).cloned())
    }

    fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let from = self.blobs.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        Ok(from.map(|(name, _)| name).take_while(|name| name.starts_with(prefix)).cloned().collect())
    }

    fn remove(&mut self, name: &str) -> Result<(), StoreError> {
        self.blobs.remove(checked_name(name)?);
        Ok(())
    }
}
