//! What LAG, LAST and ISFIRST share: evaluated rows with slots and WHEN, and the appended column.
//!
//! Knows none of them. Invariant: partition keys, arguments and WHEN are evaluated for every row (C-EVAL);
//! a row that fails ends the reading in front of the first row stamped like it (C-FAIL).

use std::sync::Arc;

use rewindow_query::Timestamp;
use rewindow_query::expr::{Expr, Predicate};

use crate::batch::{Batch, Context, Slice};
use crate::column::Column;
use crate::eval::{evaluate_all, holds_all, spared};
use crate::slots::Slots;

/// A batch made ready.
#[derive(Debug)]
pub struct Read {
    /// The rows that are left.
    pub batch: Batch,
    /// Slot of each row.
    pub slots: Vec<u32>,
    /// The arguments.
    pub columns: Vec<Arc<Column>>,
    /// Whether each row satisfies WHEN; `None` without WHEN.
    pub when: Option<Vec<bool>>,
    /// A row behind these failed; it is noted in the context.
    pub ended: bool,
}

/// Evaluates a batch: PARTITION BY (NULLs form one partition, A-PARTITION-NULL), arguments, WHEN.
pub fn read(
    batch: &Batch,
    slots: &mut Slots,
    partition: &[Expr],
    arguments: &[&Expr],
    when: Option<&Predicate>,
    context: &mut Context,
) -> Read {
    let exprs: Vec<&Expr> = partition.iter().chain(arguments.iter().copied()).collect();
    // First, so that WHEN leaves no row out of those the other columns were made for.
    let batch = when.map_or_else(|| batch.clone(), |when| spared(when, batch.clone(), context));
    let evaluated = evaluate_all(&exprs, batch, context);
    let (mut batch, mut ended) = (evaluated.batch, evaluated.failed.is_some());
    let mut columns = evaluated.columns;
    let when = when.map(|when| {
        let (rest, held, failed) = holds_all(when, std::mem::take(&mut batch), context);
        (batch, ended) = (rest, ended || failed);
        held
    });
    for column in columns.iter_mut().filter(|column| column.len() > batch.len()) {
        Arc::make_mut(column).truncate(batch.len());
    }
    let arguments = columns.split_off(partition.len());
    let mut given = Vec::new();
    slots.assign(&columns, batch.len(), &mut given);
    Read { batch, slots: given, columns: arguments, when, ended }
}

impl Read {
    /// Whether the row satisfies WHEN.
    #[inline]
    pub fn counts(&self, row: usize) -> bool {
        self.when.as_ref().is_none_or(|when| when[row])
    }

    /// The rows with one more column.
    pub fn append(self, column: Column) -> Batch {
        let mut batch = self.batch;
        batch.columns.push(Arc::new(column));
        batch
    }
}

/// Runs `read` over the batches of a slice until one ends; gives the slice and whether the operator ended.
pub fn map_batches(input: &Slice, mut read: impl FnMut(&Batch) -> (Batch, bool)) -> (Slice, bool) {
    let mut batches = Vec::new();
    for batch in &input.batches {
        let (batch, ended) = read(batch);
        batches.push(batch);
        if ended {
            return (Slice { batches, until: Timestamp::MAX }, true);
        }
    }
    (Slice { batches, until: input.until }, false)
}
