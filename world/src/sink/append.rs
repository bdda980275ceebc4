//! The append sink: takes every row as it comes, copies included. Invariant: it refuses nothing.

use rewindow_engine::commit::Stage;
use rewindow_query::Timestamp;

use crate::outcome::{Delivery, Visible};

use super::Sink;

/// What consumers see is what was written: nothing has to be kept.
pub(super) struct Append;

impl Sink for Append {
    fn write(&mut self, _: &Delivery, _: Option<&Stage>, _: Timestamp) -> u64 {
        0
    }

    fn visible(&mut self) -> Vec<Visible> {
        Vec::new()
    }
}
