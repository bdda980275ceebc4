//! Legs: the jobs of a case that took each other's place, each with what it owes.
//!
//! ```text
//!   case      ------ stop|
//!   case.changed()       |start ------ stop|
//!   and so on                              |start ------
//! ```
//!
//! Each is a case of its own, which owes what any case owes from the start on. Knows nothing of rows. Invariant: the legs
//! of a run are those that were run, in order.

use std::borrow::Cow;

use rewindow_query::{QueryError, Timestamp};
use rewindow_world::case::Case;
use rewindow_world::outcome::Run;

use super::truth::Truth;

/// One job of a case.
#[derive(Clone, Debug)]
pub struct Leg<'a> {
    /// What it is.
    pub case: Cow<'a, Case>,
    /// What it owes.
    pub truth: Cow<'a, Truth>,
    /// Its run.
    pub run: &'a Run,
}

/// All jobs of a case that were run, beginning with the case as it stands; up to one whose query is refused.
pub fn legs<'a>(truth: &'a Truth, case: &'a Case, run: &'a Run) -> Vec<Leg<'a>> {
    let mut legs = vec![Leg { case: Cow::Borrowed(case), truth: Cow::Borrowed(truth), run }];
    while let Some(last) = legs.last()
        && let Some(Ok(leg)) = next(&last.truth, &last.case, last.run)
    {
        legs.push(leg);
    }
    legs
}

/// The job that the user started in place of this one.
pub(super) fn next<'a>(truth: &Truth, case: &Case, run: &'a Run) -> Option<Result<Leg<'a>, QueryError>> {
    let (fault, then) = run.changed_by.zip(run.then.as_deref())?;
    let changed = case.changed(fault);
    // The earliest output time it was ever started at: what failed before that is none of its failures.
    let from = then.recoveries.iter().map(|report| report.output_from).min();
    let owed = truth.of_another_from(case, &changed, from.unwrap_or(Timestamp::MIN));
    Some(owed.map(|owed| Leg { case: Cow::Owned(changed), truth: Cow::Owned(owed), run: then }))
}
