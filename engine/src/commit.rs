//! The writer of a transactional sink: rows become visible with the checkpoint that has them behind it.
//!
//! ```text
//!   stage 1  1  1 | seal 1, save | stage 2  2 ✗          killed
//!                 checkpoint (1) published, commit 1
//!   open from checkpoint (1): commit 1 again, abort 2, number 3 is next
//! ```
//!
//! Rows are staged in a transaction with a number. A checkpoint seals the open one and remembers its number; only
//! when the checkpoint is published is every sealed one up to it committed. What is opened from a checkpoint first
//! commits what that says is sealed, and aborts all else; what is opened without one aborts all. Rows that are
//! visible already, because a checkpoint behind them was lost, are not staged again.
//!
//! It knows nothing of how commands reach the sink. They must be applied in order, may be applied twice, and no
//! checkpoint may be saved while one of them waits. Invariants: a number is never used twice; of an
//! output no row is visible twice, nor behind a later one.

use std::collections::BTreeMap;

use rewindow_query::{Row, Timestamp};

use crate::plant::{Plant, Plants};

/// What a transactional sink holds of one writer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ledger {
    /// Staged and neither committed nor aborted.
    pending: BTreeMap<u64, Pending>,
    /// The largest number ever staged.
    newest: u64,
    /// The largest incarnation heard of; what comes from an earlier one is refused.
    incarnation: u64,
    /// For each output the timestamp of the last visible row. Rows of one timestamp leave together.
    last: BTreeMap<usize, Timestamp>,
}

#[derive(Clone, Debug, PartialEq)]
struct Pending {
    incarnation: u64,
    rows: Vec<Row>,
    frontier: Timestamp,
}

/// A transaction that became visible.
#[derive(Clone, Debug, PartialEq)]
pub struct Committed {
    /// Its number.
    pub number: u64,
    /// Which incarnation of the writer staged it.
    pub incarnation: u64,
    /// Its rows, in the order in which they were staged.
    pub rows: Vec<Row>,
    /// Every row of the writer stamped before this is visible now.
    pub frontier: Timestamp,
}

/// Rows to be staged.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    /// In which transaction.
    pub number: u64,
    /// How many of its rows were staged before these.
    pub first: u64,
    /// The rows.
    pub rows: Vec<Row>,
}

/// What a writer that is opened has the sink do before anything else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settlement {
    /// Transactions to commit, in order.
    pub commit: Vec<u64>,
    /// Transactions to abort.
    pub abort: Vec<u64>,
}

impl Ledger {
    /// Takes rows into a transaction, those left out that it has. Gives whether it listened.
    pub fn stage(&mut self, incarnation: u64, stage: &Stage, frontier: Timestamp) -> bool {
        if !self.admits(incarnation) {
            return false;
        }
        self.newest = self.newest.max(stage.number);
        let blank = || Pending { incarnation, rows: Vec::new(), frontier };
        let pending = self.pending.entry(stage.number).or_insert_with(blank);
        let known = (pending.rows.len() as u64).saturating_sub(stage.first);
        let known = usize::try_from(known).unwrap_or(usize::MAX);
        pending.rows.extend(stage.rows.iter().skip(known).cloned());
        pending.frontier = pending.frontier.max(frontier);
        true
    }

    /// Makes transactions visible; those that are not pending were committed before.
    pub fn commit(&mut self, incarnation: u64, numbers: &[u64]) -> Vec<Committed> {
        if !self.admits(incarnation) {
            return Vec::new();
        }
        let mut committed = Vec::new();
        for &number in numbers {
            let Some(pending) = self.pending.remove(&number) else { continue };
            note_last(&mut self.last, &pending.rows);
            let Pending { incarnation, rows, frontier } = pending;
            committed.push(Committed { number, incarnation, rows, frontier });
        }
        committed
    }

    /// Forgets transactions that were never visible, and gives how many rows they had.
    pub fn abort(&mut self, incarnation: u64, numbers: &[u64]) -> u64 {
        if !self.admits(incarnation) {
            return 0;
        }
        let aborted = numbers.iter().filter_map(|number| self.pending.remove(number));
        aborted.map(|pending| pending.rows.len() as u64).sum()
    }

    /// How many rows of these transactions are not visible yet.
    pub fn rows_of(&self, numbers: &[u64]) -> u64 {
        numbers.iter().filter_map(|number| self.pending.get(number)).map(|p| p.rows.len() as u64).sum()
    }

    fn admits(&mut self, incarnation: u64) -> bool {
        self.incarnation = self.incarnation.max(incarnation);
        incarnation == self.incarnation
    }
}

/// The writer's side.
#[derive(Clone, Debug)]
pub struct Writer {
    /// The transaction that is being filled.
    open: u64,
    /// Rows staged in it.
    staged: u64,
    /// Sealed, and not yet told to be committed.
    sealed: Vec<u64>,
    /// For each output what was visible when the writer was opened.
    visible: BTreeMap<usize, Timestamp>,
}

impl Writer {
    /// Opens a writer over what its predecessors left: from the checkpoint that sealed this number, or from none.
    pub fn open(ledger: &Ledger, checkpoint: Option<u64>, plants: Plants) -> (Writer, Settlement) {
        let behind = |number: u64| match checkpoint {
            Some(sealed) if plants.is(Plant::TransactionBySlot) => number % 2 == sealed % 2,
            Some(_) if plants.is(Plant::CommitForgotten) => false,
            Some(sealed) => number <= sealed,
            None => false,
        };
        let (commit, abort): (Vec<u64>, Vec<u64>) =
            ledger.pending.keys().partition(|&&number| behind(number));
        let mut visible = ledger.last.clone();
        for number in &commit {
            note_last(&mut visible, &ledger.pending[number].rows);
        }
        let open = ledger.newest.max(checkpoint.unwrap_or(0)) + 1;
        (Writer { open, staged: 0, sealed: Vec::new(), visible }, Settlement { commit, abort })
    }

    /// Rows on their way to the sink; those that are visible already are left out.
    pub fn stage(&mut self, mut rows: Vec<Row>) -> Stage {
        rows.retain(|row| self.visible.get(&row.output).is_none_or(|&last| last < row.timestamp));
        let first = self.staged;
        self.staged += rows.len() as u64;
        Stage { number: self.open, first, rows }
    }

    /// A checkpoint is saved: gives the number to be kept with it.
    pub fn seal(&mut self) -> u64 {
        self.sealed.push(self.open);
        self.staged = 0;
        self.open += 1;
        self.open - 1
    }

    /// The checkpoint with that number is published: gives what to commit, in order. One that was never heard of
    /// again is covered by the next.
    pub fn published(&mut self, number: u64) -> Vec<u64> {
        let (commit, rest) = std::mem::take(&mut self.sealed).into_iter().partition(|&own| own <= number);
        self.sealed = rest;
        commit
    }

    /// There will be no further row: gives what to commit, in order.
    pub fn end(&mut self) -> Vec<u64> {
        let last = self.seal();
        self.published(last)
    }
}

fn note_last(last: &mut BTreeMap<usize, Timestamp>, rows: &[Row]) {
    for row in rows {
        let known = last.entry(row.output).or_insert(row.timestamp);
        *known = row.timestamp.max(*known);
    }
}
