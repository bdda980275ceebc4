//! Where checkpoints are kept: blobs by name.
//!
//! Knows nothing of what is in a blob, nor of when it may go: that is the coordinator's. Invariant of every store: a name
//! holds exactly what was last put under it with `Ok`, whole, also after the process was killed at any step.

pub mod conformance;
pub mod disk;
pub mod faulty;
pub mod memory;
pub mod record;

pub use disk::DiskStore;
pub use faulty::{Fault, Faulty};
pub use memory::MemoryStore;
pub use record::Record;

/// Longest name, in bytes: what file systems allow, less what a store needs to mark its own files.
pub const NAME_MAX: usize = 200;

/// Blobs by name. One writer at a time.
pub trait Store: Send {
    /// Puts the bytes under the name, in place of what was there: whole or not at all, and durably if `Ok`.
    ///
    /// # Errors
    /// What was there before is still there, except after [`StoreError::Unknown`], where either may be.
    fn put(&mut self, name: &str, bytes: &[u8]) -> Result<(), StoreError>;

    /// The bytes under the name.
    ///
    /// # Errors
    /// They cannot be read just now.
    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// All names that begin so, sorted.
    ///
    /// # Errors
    /// They cannot be read just now.
    fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError>;

    /// Takes the name out; one that is not there is no error.
    ///
    /// # Errors
    /// It may still be there.
    fn remove(&mut self, name: &str) -> Result<(), StoreError>;
}

impl<S: Store + ?Sized> Store for Box<S> {
    fn put(&mut self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        (**self).put(name, bytes)
    }

    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        (**self).get(name)
    }

    fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        (**self).list(prefix)
    }

    fn remove(&mut self, name: &str) -> Result<(), StoreError> {
        (**self).remove(name)
    }
}

/// What a store could not do.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StoreError {
    /// No store takes such a name.
    #[error("a store cannot hold the name `{0}`: use 1 to {NAME_MAX} small letters, digits, `-` and `_`")]
    Name(String),
    /// There is no room for it.
    #[error(
        "no room for `{name}` in {place}: free some or keep checkpoints elsewhere; what was there before still is"
    )]
    Full {
        /// The blob.
        name: String,
        /// The store.
        place: String,
    },
    /// The write was sent off and nothing is known of what became of it.
    #[error("whether `{name}` was written to {place} is not known: read it back, or write it again")]
    Unknown {
        /// The blob.
        name: String,
        /// The store.
        place: String,
    },
    /// Reading or writing failed.
    #[error("cannot {doing} {place}: {why}; check that it exists and may be written, then try again")]
    Io {
        /// What was tried, in words.
        doing: &'static str,
        /// The file.
        place: String,
        /// What the system says.
        why: String,
    },
    /// What was written is not what is read back.
    #[error("the record `{0}` reads otherwise than it was written: try again, and check the store's disk")]
    ReadBack(String),
    /// Both copies of a record are damaged, so nothing is known of what was promised.
    #[error(
        "both copies of the record `{0}` are damaged: restore the store from a copy, or begin with an empty one"
    )]
    Damaged(String),
    /// A record of a program that is newer than this one.
    #[error(
        "the record `{name}` has format {found}, this program reads {}: run the program that wrote it",
        record::FORMAT
    )]
    Version {
        /// The record.
        name: String,
        /// The format it names.
        found: u32,
    },
}

impl StoreError {
    /// The stable code of the kind of error.
    pub fn code(&self) -> &'static str {
        match self {
            StoreError::Name(_) => "store-name",
            StoreError::Full { .. } => "store-full",
            StoreError::Unknown { .. } => "store-unknown",
            StoreError::Io { .. } => "store-io",
            StoreError::ReadBack(_) => "store-read-back",
            StoreError::Damaged(_) => "store-damaged",
            StoreError::Version { .. } => "store-version",
        }
    }
}

/// Refuses a name that not every store could hold.
///
/// # Errors
/// An empty or long name, or one with anything but small letters, digits, `-` and `_`: some file systems take `A` for `a`.
pub fn checked_name(name: &str) -> Result<&str, StoreError> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    if name.is_empty() || name.len() > NAME_MAX || !name.bytes().all(plain) {
        return Err(StoreError::Name(name.to_owned()));
    }
    Ok(name)
}

/// What is known of bytes without keeping them: enough to tell them from damaged ones.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seal {
    /// Their number.
    pub len: u64,
    /// Their sum.
    pub sum: u64,
}

impl Seal {
    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Seal {
        Seal { len: bytes.len() as u64, sum: crate::checkpoint::sum(bytes) }
    }
}

#[cfg(test)]
mod disk_tests;
#[cfg(test)]
mod tests;
