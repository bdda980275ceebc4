//! The room where it happens: clock, source log, nodes, checkpoints, sink, faults.
//!
//! [`case::Case`] goes in, [`outcome::Run`] comes out. Single-threaded, one event queue, virtual time: the
//! same case gives the same trace, byte for byte. This room does not see `model` and rolls no dice.

pub mod case;
pub mod outcome;
pub mod subject;
