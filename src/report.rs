//! Reports: one finding written down so that somebody else can see it, replay it and commit it.
//!
//! [`markdown`] is made to be pasted into an issue, [`json`](json()) to be read by machines; [`read`] gets
//! the case back out of either a report or a bare case file. Nothing here depends on paths, clocks or
//! hosts. Invariants: same finding, same bytes; the case read back from a report equals the one written.

mod json;
mod markdown;
mod pair;
mod read;
mod recoveries;
mod state;
#[cfg(test)]
mod tests;
mod timeline;
mod words;

use rewindow_world::case::Case;
use rewindow_world::outcome::Run;
use serde::Serialize;

use crate::fingerprint::fingerprint;
use crate::judge::{Breach, Truth};
use crate::shrink::Size;

pub use json::{breach_json, json};
pub use markdown::markdown;
pub use pair::{PairStep, pair_steps, pair_text};
pub use read::{ReadError, read};
pub use recoveries::{HeldUp, Recovery, recoveries, recoveries_text};
pub use state::{StateDifference, first_difference};
pub use words::title;

/// Everything a report is written from.
#[derive(Clone, Copy, Debug)]
pub struct Finding<'a> {
    /// The case, shrunk if it was.
    pub case: &'a Case,
    /// Its truth.
    pub truth: &'a Truth,
    /// A traced run of it.
    pub run: &'a Run,
    /// How it breaks.
    pub breach: &'a Breach,
    /// How it was found.
    pub origin: &'a Origin,
    /// How it was shrunk, if it was.
    pub shrinking: Option<Shrinking>,
    /// The state that first differs after a restore, if that could be told.
    pub state: Option<&'a StateDifference>,
    /// The command that replays it, as a user would type it.
    pub replay: &'a str,
}

impl Finding<'_> {
    /// The finding's fingerprint.
    pub fn fingerprint(&self) -> String {
        fingerprint(self.breach, self.case)
    }
}

/// How a finding was found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Origin {
    /// What drove the search, in words, such as `random search`.
    pub driver: String,
    /// Its seed, where it has one.
    pub seed: Option<u64>,
    /// The number of the case, where cases are numbered.
    pub case: Option<u64>,
}

/// How a case was shrunk.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Shrinking {
    /// Size before.
    pub before: Size,
    /// Size after.
    pub after: Size,
    /// How many cases were tried.
    pub tries: u64,
    /// No entry and no fault can be left out.
    pub minimal: bool,
}

impl From<&crate::shrink::Shrunk> for Shrinking {
    fn from(shrunk: &crate::shrink::Shrunk) -> Shrinking {
        let crate::shrink::Shrunk { before, after, tries, minimal, .. } = *shrunk;
        Shrinking { before, after, tries, minimal }
    }
}
