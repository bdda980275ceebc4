//! The sink with a unique key: a table with one row of each identity, the first one written (as SQL, violations
//! skipped).
//!
//! Invariant: what a consumer has seen never changes.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use rewindow_engine::commit::Stage;
use rewindow_query::{Identity, Timestamp};

use crate::outcome::{Delivery, Visible};

use super::{Sink, visible};

#[derive(Default)]
pub(super) struct Unique {
    table: BTreeMap<Identity, Visible>,
}

impl Sink for Unique {
    fn write(&mut self, delivery: &Delivery, _: Option<&Stage>, _: Timestamp) -> u64 {
        let mut skipped = 0;
        for row in &delivery.rows {
            match self.table.entry(row.identity()) {
                Entry::Occupied(_) => skipped += 1,
                Entry::Vacant(place) => {
                    place.insert(visible(delivery, row));
                }
            }
        }
        skipped
    }

    fn visible(&mut self) -> Vec<Visible> {
        std::mem::take(&mut self.table).into_values().collect()
    }
}
