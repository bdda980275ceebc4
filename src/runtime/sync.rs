//! Where `shared` gets its locks from: here `std`, in `proofs/loom` a module of the same name with loom's.

pub(super) use std::sync::{Condvar, Mutex, MutexGuard};
