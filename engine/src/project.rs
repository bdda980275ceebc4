//! SELECT: new columns from old ones, timestamps unchanged (rules 3.2, 5.2).
//!
//! Keeps no state. Emits one column for each item, for an item that spreads the record it spreads, and
//! behind them those columns of its input that it was told to carry: the grouping key, by which a row is
//! known further down (`output`).

use std::collections::BTreeMap;
use std::ops::Range;

use rewindow_query::Timestamp;
use rewindow_query::expr::Expr;
use rewindow_query::plan::{self, Item};

use crate::batch::{Batch, Context, Slice};
use crate::codec::{Corrupt, Reader, Writer};
use crate::eval;
use crate::operator::Operator;

/// A projection at work.
#[derive(Debug)]
pub struct Project {
    items: Vec<Expr>,
    carry: Range<usize>,
}

impl Project {
    /// The projection of a plan node, which carries these columns of its input along.
    pub fn new(project: &plan::Project, carry: Range<usize>) -> Project {
        let expr = |item: &Item| match item {
            Item::Column(_, expr) | Item::Spread(expr) => expr.clone(),
        };
        Project { items: project.items.iter().map(expr).collect(), carry }
    }
}

impl Operator for Project {
    fn step(&mut self, inputs: &[&Slice], context: &mut Context) -> Slice {
        let mut out = Slice::empty(inputs[0].until);
        let items: Vec<&Expr> = self.items.iter().collect();
        for batch in &inputs[0].batches {
            let evaluated = eval::evaluate_all(&items, batch.clone(), context);
            let (Batch { timestamps, columns: old }, mut columns) = (evaluated.batch, evaluated.columns);
            columns.extend_from_slice(&old[self.carry.clone()]);
            out.batches.push(Batch { timestamps, columns });
            if evaluated.failed.is_some() {
                out.until = Timestamp::MAX;
                break;
            }
        }
        out
    }

    fn save(&self, _writer: &mut Writer) {}

    fn load(&mut self, _reader: &mut Reader<'_>) -> Result<(), Corrupt> {
        Ok(())
    }

    fn explain(&self) -> BTreeMap<String, String> {
        BTreeMap::new()
    }
}
