//! The upsert sink: a table with one row of each identity, the last one written (as Cosmos DB or Table storage).
//!
//! Invariant: a copy changes nothing that a consumer sees.

use std::collections::BTreeMap;

use rewindow_engine::commit::Stage;
use rewindow_query::{Identity, Timestamp};

use crate::outcome::{Delivery, Visible};

use super::{Sink, visible};

#[derive(Default)]
pub(super) struct Upsert {
    table: BTreeMap<Identity, Visible>,
}

impl Sink for Upsert {
    fn write(&mut self, delivery: &Delivery, _: Option<&Stage>, _: Timestamp) -> u64 {
        let rows = delivery.rows.iter();
        rows.map(|row| u64::from(self.table.insert(row.identity(), visible(delivery, row)).is_some())).sum()
    }

    fn visible(&mut self) -> Vec<Visible> {
        std::mem::take(&mut self.table).into_values().collect()
    }
}
