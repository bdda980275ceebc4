//! The transactional sink: rows are staged, and become visible when their transaction is committed.
//!
//! What it holds of each writer is the engine's `Ledger`; here is only what consumers see. Invariant: what is visible
//! stays visible.

use std::collections::BTreeMap;

use rewindow_engine::commit::{Committed, Ledger, Stage};
use rewindow_query::Timestamp;

use crate::outcome::{Delivery, Visible};

use super::Sink;

pub(super) struct Transactional {
    ledgers: Vec<Ledger>,
    /// Of each transaction of a shard how often its tasks had been opened when it was last written to.
    openings: BTreeMap<(usize, u64), u32>,
    shown: Vec<Visible>,
}

impl Transactional {
    pub(super) fn new(shards: usize) -> Transactional {
        Transactional {
            ledgers: vec![Ledger::default(); shards],
            openings: BTreeMap::new(),
            shown: Vec::new(),
        }
    }
}

impl Sink for Transactional {
    fn write(&mut self, delivery: &Delivery, stage: Option<&Stage>, frontier: Timestamp) -> u64 {
        let Some(stage) = stage else { return 0 };
        if self.ledgers[delivery.shard].stage(delivery.opened.into(), stage, frontier) {
            self.openings.insert((delivery.shard, stage.number), delivery.generation);
        }
        0
    }

    fn commit(&mut self, at: Timestamp, shard: usize, by: u32, numbers: &[u64]) -> Vec<Committed> {
        let committed = self.ledgers[shard].commit(by.into(), numbers);
        for transaction in &committed {
            let generation = u32::try_from(transaction.incarnation).unwrap_or(u32::MAX);
            let openings = self.openings.remove(&(shard, transaction.number)).unwrap_or(generation);
            let visible = transaction.rows.iter().cloned();
            self.shown.extend(visible.map(|row| Visible { at, shard, generation, openings, row }));
        }
        committed
    }

    fn abort(&mut self, shard: usize, by: u32, numbers: &[u64]) -> u64 {
        self.ledgers[shard].abort(by.into(), numbers)
    }

    fn ledger(&self, shard: usize) -> Option<&Ledger> {
        Some(&self.ledgers[shard])
    }

    fn visible(&mut self) -> Vec<Visible> {
        std::mem::take(&mut self.shown)
    }
}
