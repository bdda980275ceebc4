//! A small record that is changed in place and never lost: two copies that are written in turn.
//!
//! ```text
//!   record-NAME-0:  "RWRC" | format | sequence | body | sum        sequence even
//!   record-NAME-1:  likewise                                       sequence odd
//! ```
//!
//! Read by name, never by listing, so a listing out of date cannot bring an old one back. Every write is read back before it
//! counts, so one that was lost or torn by a store that said `Ok` is an error, and one whose acknowledgement was lost is
//! none. A write that failed is tried again over the same copy. Invariant: the newest body that was saved with `Ok` is
//! read again while at most one copy is damaged, or it is told that one change may be missing.

use crate::checkpoint::{seal, sum};
use crate::codec::{Reader, Writer};
use crate::store::{Store, StoreError};

/// The version of the format that is written, and the only one that is read.
pub const FORMAT: u32 = 1;

const MAGIC: &[u8; 4] = b"RWRC";

/// Where the next change goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    name: String,
    sequence: u64,
}

/// A record as it was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Loaded {
    /// To go on from.
    pub record: Record,
    /// What was last saved; none if nothing ever was.
    pub body: Option<Vec<u8>>,
    /// A copy is damaged: one change that was saved after this body may be missing, never more.
    pub one_missing: bool,
}

enum Copy {
    Absent,
    Damaged,
    Whole { sequence: u64, body: Vec<u8> },
}

impl Record {
    /// The record of that name as it is in the store.
    ///
    /// # Errors
    /// It cannot be read, or not by this program, or both copies are damaged.
    pub fn load<S: Store>(store: &S, name: &str) -> Result<Loaded, StoreError> {
        let copies = [read_twice(store, name, 0)?, read_twice(store, name, 1)?];
        let damaged = copies.iter().filter(|copy| matches!(copy, Copy::Damaged)).count();
        if damaged == 2 {
            return Err(StoreError::Damaged(name.to_owned()));
        }
        let whole = copies.into_iter().filter_map(|copy| match copy {
            Copy::Whole { sequence, body } => Some((sequence, body)),
            Copy::Absent | Copy::Damaged => None,
        });
        let newest = whole.max_by_key(|(sequence, _)| *sequence);
        let (sequence, body) = newest.map_or((0, None), |(sequence, body)| (sequence, Some(body)));
        let record = Record { name: name.to_owned(), sequence };
        Ok(Loaded { record, body, one_missing: damaged == 1 })
    }

    /// Saves a change.
    ///
    /// # Errors
    /// It is not certain that it was saved; the one before still counts, or this one.
    pub fn save<S: Store>(&mut self, store: &mut S, body: &[u8]) -> Result<(), StoreError> {
        let sequence = self.sequence + 1;
        let mut writer = Writer::default();
        writer.raw(MAGIC);
        writer.u32(FORMAT);
        writer.u64(sequence);
        writer.raw(body);
        let mut bytes = writer.finish();
        seal(&mut bytes);
        let name = copy_name(&self.name, sequence);
        match store.put(&name, &bytes) {
            Ok(()) | Err(StoreError::Unknown { .. }) => {}
            Err(error) => return Err(error),
        }
        if store.get(&name)?.as_deref() != Some(&bytes) {
            return Err(StoreError::ReadBack(name));
        }
        self.sequence = sequence;
        Ok(())
    }
}

/// The blob that holds the change of that number.
pub fn copy_name(name: &str, sequence: u64) -> String {
    format!("record-{name}-{}", sequence % 2)
}

/// What looks damaged is read a second time: the fault may have been in the reading.
fn read_twice<S: Store>(store: &S, name: &str, slot: u64) -> Result<Copy, StoreError> {
    match read(store, name, slot)? {
        Copy::Damaged => read(store, name, slot),
        read => Ok(read),
    }
}

fn read<S: Store>(store: &S, name: &str, slot: u64) -> Result<Copy, StoreError> {
    let name = copy_name(name, slot);
    let Some(bytes) = store.get(&name)? else { return Ok(Copy::Absent) };
    let Some((body, tail)) = bytes.split_last_chunk::<8>() else { return Ok(Copy::Damaged) };
    if !body.starts_with(MAGIC) || u64::from_le_bytes(*tail) != sum(body) {
        return Ok(Copy::Damaged);
    }
    let mut reader = Reader::new(body);
    let mut head = || Ok((reader.raw(MAGIC.len())?, reader.u32()?, reader.u64()?));
    let found: Result<_, crate::codec::Corrupt> = head();
    match found {
        Err(_) => Ok(Copy::Damaged),
        Ok((_, found, _)) if found != FORMAT => Err(StoreError::Version { name, found }),
        Ok((_, _, sequence)) if sequence % 2 != slot => Ok(Copy::Damaged),
        Ok((_, _, sequence)) => {
            let body = reader.raw(reader.left()).map_or(Vec::new(), <[u8]>::to_vec);
            Ok(Copy::Whole { sequence, body })
        }
    }
}
