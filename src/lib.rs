//! The front door: generates cases, judges runs, shrinks and reports what broke.
//!
//! [`generate`] makes cases, [`trial`] runs and judges one, [`shrink`] makes a broken one small, [`report`]
//! writes it down so that [`report::read`] gets it back; [`mod@unit`] runs unit tests of queries. No operator logic
//! lives here: what is right comes from `model`, what happened from `world`. Invariant: a verdict depends on the case
//! and the subject alone.

pub mod budget;
pub mod campaign;
pub mod choices;
pub mod errors;
pub mod fingerprint;
pub mod fuzz;
pub mod generate;
pub mod javascript;
pub mod job;
pub mod judge;
pub mod language;
pub mod laws;
pub mod plan_page;
pub mod pool;
pub mod regions;
pub mod report;
pub mod runtime;
pub mod shard;
pub mod shrink;
pub mod simulate;
pub mod text;
#[cfg(test)]
mod toy;
pub mod trial;
pub mod unit;
