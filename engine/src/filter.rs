//! WHERE and HAVING: keeps the rows for which the predicate holds, timestamps unchanged (rules 3.2, 5.3, 5.5).
//!
//! Keeps no state. A row whose evaluation fails ends the job at its timestamp (choice C-FAIL).

use std::collections::BTreeMap;

use rewindow_query::Timestamp;
use rewindow_query::expr::Predicate;

use crate::batch::{Context, Slice};
use crate::codec::{Corrupt, Reader, Writer};
use crate::eval;
use crate::operator::Operator;

/// A filter at work.
#[derive(Debug)]
pub struct Filter {
    predicate: Predicate,
}

impl Filter {
    /// The filter of a plan node.
    pub fn new(predicate: &Predicate) -> Filter {
        Filter { predicate: predicate.clone() }
    }
}

impl Operator for Filter {
    fn step(&mut self, inputs: &[&Slice], context: &mut Context) -> Slice {
        let mut out = Slice::empty(inputs[0].until);
        for batch in &inputs[0].batches {
            let (batch, held, ended) = eval::holds_all(&self.predicate, batch.clone(), context);
            if held.contains(&false) {
                let rows: Vec<u32> = (0..held.len() as u32).filter(|&row| held[row as usize]).collect();
                out.batches.push(batch.gather(&rows));
            } else {
                out.batches.push(batch);
            }
            if ended {
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
