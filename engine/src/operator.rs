//! What every operator of the engine can do.
//!
//! An operator keeps the state of one plan node. It sees slices, never single heartbeats, so it cannot
//! depend on when progress is reported (rule 13.6). Invariant: saving changes nothing, and
//! `load(save(x))` behaves like `x` for every future input.

use std::collections::BTreeMap;

use crate::batch::{Context, Slice};
use crate::codec::{Corrupt, Reader, Writer};

/// A plan node at work.
pub trait Operator: Send {
    /// Takes the next slice of each input and gives the next slice of the output. `inputs[i].until` never
    /// goes back; slices of different inputs may end at different times (a join downstream of another
    /// join's hold): an operator with several inputs keeps what it cannot use yet.
    fn step(&mut self, inputs: &[&Slice], context: &mut Context) -> Slice;

    /// Appends the state to a checkpoint.
    fn save(&self, writer: &mut Writer);

    /// Takes the state out of a checkpoint, into a newly made operator of the same plan node.
    ///
    /// # Errors
    /// Bytes that are no such state; the operator is not to be used afterwards.
    fn load(&mut self, reader: &mut Reader<'_>) -> Result<(), Corrupt>;

    /// The state as text by key (`us` → `[4.7, 2.3]`), for reports; equal states give equal text.
    fn explain(&self) -> BTreeMap<String, String>;
}
