//! The room where it happens: clock, source log, nodes, checkpoints, sink, faults.
//!
//! [`case::Case`] goes in, [`outcome::Run`] comes out. Single-threaded, one event queue, virtual time: the
//! same case gives the same trace, byte for byte. This room does not see `model` and rolls no dice.

pub mod case;
pub mod case_file;
pub mod change;
pub mod check;
mod checkpoints;
mod control;
pub mod engine_subject;
pub mod error;
mod faults;
mod faulty;
pub mod guarded;
pub mod journal;
pub mod language;
mod links;
mod log;
mod nodes;
mod opening;
pub mod outcome;
mod queue;
pub mod reached;
mod reference_file;
pub mod regions;
pub mod run;
mod sink;
pub mod subject;
pub mod trace;
mod zombies;

pub use error::CaseError;
pub use run::{RunOptions, run, try_run};
pub use trace::{step_text, trace_hash, trace_text};
