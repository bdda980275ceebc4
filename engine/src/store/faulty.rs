//! A store in which things go wrong, as told beforehand.
//!
//! Rolls no dice: what goes wrong, at which call, is given. Knows nothing of what is in a blob. Invariant: with nothing
//! injected it is the store inside.

use std::cell::RefCell;
use std::collections::BTreeSet;

use crate::store::{Store, StoreError};

/// Something that goes wrong once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// Of a put only the first bytes are there, never all of them.
    TornPut {
        /// How many, at most.
        keep: usize,
        /// Whether the store says that all is well.
        acknowledged: bool,
    },
    /// A put that is acknowledged changes nothing.
    LostPut,
    /// A put, acknowledged, of which one bit is not what was given.
    FlippedPut {
        /// Which, counted from the front and around.
        bit: usize,
    },
    /// A put finds no room.
    FullDisk,
    /// A put is done, but its acknowledgement is lost.
    LateAcknowledgement,
    /// A get gives one bit that is not as it is stored.
    FlippedGet {
        /// Which, counted from the front and around.
        bit: usize,
    },
    /// A list is as it was before so many changes.
    StaleList {
        /// How many.
        changes: usize,
    },
    /// A remove that is acknowledged changes nothing.
    LostRemove,
}

/// A fault and the call it strikes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Injected {
    /// What goes wrong.
    pub fault: Fault,
    /// Of the calls that it can strike, only those whose name begins so count.
    pub prefix: String,
    /// How many of them it lets pass.
    pub after: u64,
}

/// A store in which things go wrong.
#[derive(Debug, Default)]
pub struct Faulty<S> {
    inner: S,
    pending: RefCell<Vec<Injected>>,
    struck: RefCell<Vec<Fault>>,
    /// Each change of what a list gives: the name, and whether it came or went.
    changes: Vec<(String, bool)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Call {
    Put,
    Get,
    List,
    Remove,
}

impl Fault {
    fn call(self) -> Call {
        match self {
            Fault::TornPut { .. }
            | Fault::LostPut
            | Fault::FlippedPut { .. }
            | Fault::FullDisk
            | Fault::LateAcknowledgement => Call::Put,
            Fault::FlippedGet { .. } => Call::Get,
            Fault::StaleList { .. } => Call::List,
            Fault::LostRemove => Call::Remove,
        }
    }
}

impl<S: Store> Faulty<S> {
    /// Nothing goes wrong yet.
    pub fn new(inner: S) -> Faulty<S> {
        Faulty { inner, pending: RefCell::default(), struck: RefCell::default(), changes: Vec::new() }
    }

    /// Lets the fault strike the next call it can whose name begins so.
    pub fn inject(&mut self, fault: Fault, prefix: &str) {
        self.inject_later(Injected { fault, prefix: prefix.to_owned(), after: 0 });
    }

    /// Lets a fault strike later.
    pub fn inject_later(&mut self, injected: Injected) {
        self.pending.get_mut().push(injected);
    }

    /// Nothing that has not struck yet will.
    pub fn calm(&mut self) {
        self.pending.get_mut().clear();
    }

    /// What has struck, in this order.
    pub fn struck(&self) -> Vec<Fault> {
        self.struck.borrow().clone()
    }

    /// The store inside.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// The store inside, to do damage to what is there.
    pub fn inner_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// What strikes this call, of which every fault that waits for it takes note.
    fn strike(&self, call: Call, name: &str) -> Option<Fault> {
        let mut pending = self.pending.borrow_mut();
        let mut strikes = None;
        for (index, injected) in pending.iter_mut().enumerate() {
            if injected.fault.call() != call || !name.starts_with(&injected.prefix) {
                continue;
            }
            match injected.after.checked_sub(1) {
                Some(left) => injected.after = left,
                None => strikes = strikes.or(Some(index)),
            }
        }
        let fault = pending.remove(strikes?).fault;
        self.struck.borrow_mut().push(fault);
        Some(fault)
    }

    fn put_inside(&mut self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let new = self.inner.get(name)?.is_none();
        self.inner.put(name, bytes)?;
        if new {
            self.changes.push((name.to_owned(), true));
        }
        Ok(())
    }
}

impl<S: Store> Store for Faulty<S> {
    fn put(&mut self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let place = || "a store in which things go wrong".to_owned();
        let unknown = || StoreError::Unknown { name: name.to_owned(), place: place() };
        match self.strike(Call::Put, name) {
            Some(Fault::TornPut { keep, acknowledged }) => {
                self.put_inside(name, &bytes[..keep.min(bytes.len().saturating_sub(1))])?;
                if acknowledged { Ok(()) } else { Err(unknown()) }
            }
            Some(Fault::LostPut) => Ok(()),
            Some(Fault::FlippedPut { bit }) => self.put_inside(name, &flipped(bytes.to_vec(), bit)),
            Some(Fault::FullDisk) => Err(StoreError::Full { name: name.to_owned(), place: place() }),
            Some(Fault::LateAcknowledgement) => {
                self.put_inside(name, bytes)?;
                Err(unknown())
            }
            _ => self.put_inside(name, bytes),
        }
    }

    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let bytes = self.inner.get(name)?;
        match self.strike(Call::Get, name) {
            Some(Fault::FlippedGet { bit }) => Ok(bytes.map(|bytes| flipped(bytes, bit))),
            _ => Ok(bytes),
        }
    }

    fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let names = self.inner.list(prefix)?;
        let Some(Fault::StaleList { changes }) = self.strike(Call::List, prefix) else { return Ok(names) };
        let mut names: BTreeSet<String> = names.into_iter().collect();
        for (name, came) in
            self.changes.iter().rev().take(changes).filter(|(name, _)| name.starts_with(prefix))
        {
            if *came {
                names.remove(name);
            } else {
                names.insert(name.clone());
            }
        }
        Ok(names.into_iter().collect())
    }

    fn remove(&mut self, name: &str) -> Result<(), StoreError> {
        if self.strike(Call::Remove, name).is_some() {
            return Ok(());
        }
        let there = self.inner.get(name)?.is_some();
        self.inner.remove(name)?;
        if there {
            self.changes.push((name.to_owned(), false));
        }
        Ok(())
    }
}

/// The bytes with one bit turned over; none if there are none.
fn flipped(mut bytes: Vec<u8>, bit: usize) -> Vec<u8> {
    let len = bytes.len();
    if let Some(byte) = (bit / 8).checked_rem(len).and_then(|at| bytes.get_mut(at)) {
        *byte ^= 1 << (bit % 8);
    }
    bytes
}
