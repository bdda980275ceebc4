//! Shrinking the query: statements, steps and clauses that the breach does not need.
//!
//! Candidates are texts with one part left out; those the analysis refuses cost no try. Each is shorter, so it ends.

use rewindow_query::{Declared, analyse_with, smaller};
use rewindow_world::case::Case;

use super::Search;

impl Search<'_> {
    /// Leaves out parts of the query, larger ones first, as long as one can be.
    pub(super) fn query(&mut self) {
        while !self.is_spent() {
            let candidates = smaller(&self.best.query);
            let accepted = candidates.into_iter().filter_map(|text| with_query(&self.best, text));
            let accepted: Vec<Case> = accepted.collect();
            if !accepted.into_iter().any(|candidate| self.attempt(candidate)) {
                return;
            }
        }
    }
}

/// The case with another query, if that is accepted.
fn with_query(case: &Case, text: String) -> Option<Case> {
    let names: Vec<String> = case.inputs.iter().map(|input| input.name.clone()).collect();
    let declared =
        Declared { inputs: Some(&names), references: Some(&case.references), ..Declared::default() };
    analyse_with(&text, &declared).ok()?;
    Some(Case { query: text.into(), ..case.clone() })
}
