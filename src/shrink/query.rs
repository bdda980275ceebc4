//! Shrinking the query: statements, steps and clauses that the breach does not need, and scripts nobody calls.
//!
//! Candidates are texts with one part left out; those the analysis refuses cost no try. Each is shorter, so it ends.

use rewindow_query::smaller;
use rewindow_world::case::Case;

use super::Search;
use crate::language::plan_of;

impl Search<'_> {
    /// Leaves out parts of the query, larger ones first, as long as one can be.
    pub(super) fn query(&mut self) {
        while !self.is_spent() {
            let with = |query: String| Case { query: query.into(), ..self.best.clone() };
            let candidates = smaller(&self.best.query).into_iter().map(with);
            let accepted: Vec<Case> = candidates.filter(|case| plan_of(case).is_ok()).collect();
            if !accepted.into_iter().any(|candidate| self.attempt(candidate)) {
                break;
            }
        }
        for index in (0..self.best.language.scripts.len()).rev() {
            let mut candidate = self.best.clone();
            candidate.language.scripts.remove(index);
            if plan_of(&candidate).is_ok_and(|plan| plan.check_functions().is_ok()) {
                self.attempt(candidate);
            }
        }
    }
}
