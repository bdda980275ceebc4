//! Shrinking: the smallest case that still breaks in the same way.
//!
//! Deterministic passes over the *case*, never over the dice that made it, repeated until none changes
//! anything: so it does not matter who found the failure. Knows nothing of why a case breaks; it only
//! asks. Invariants: the case in hand always breaks with the class it began with, and every step taken
//! makes it strictly simpler, so shrinking ends.

mod entries;
mod query;
pub(crate) mod regions;
mod settings;
#[cfg(test)]
mod tests;
mod times;

use rewindow_world::case::Case;

use crate::judge::{Breach, Class};

pub(crate) use entries::in_order;

/// The result of shrinking.
#[derive(Clone, PartialEq, Debug)]
pub struct Shrunk {
    /// The smallest case found.
    pub case: Case,
    /// How it breaks.
    pub breach: Breach,
    /// How many cases were tried.
    pub tries: u64,
    /// Size of the case shrinking began with.
    pub before: Size,
    /// Size of the smallest.
    pub after: Size,
    /// Leaving out any single entry or fault was tried and does not break in this way.
    pub minimal: bool,
}

/// What is counted about a case.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Size {
    /// Entries of the history.
    pub entries: usize,
    /// Faults.
    pub faults: usize,
    /// Partitions of all inputs together.
    pub partitions: u32,
    /// Worker nodes.
    pub nodes: u32,
}

impl Size {
    /// The size of a case.
    pub fn of(case: &Case) -> Size {
        Size {
            entries: case.history.entries.len(),
            faults: case.faults.len(),
            partitions: case.inputs.iter().map(|input| input.partitions).sum(),
            nodes: case.deployment.nodes,
        }
    }
}

/// Rounds over all passes; each makes the case strictly simpler, and in practice three or four suffice.
const ROUNDS_MAX: usize = 16;

/// Shrinks a case that breaks. `judge` runs a case and gives the breach, if any; cases that break with
/// another class than `breach` count as not broken. `tries_max` bounds the number of cases tried, not
/// the time, so that the result is the same on every machine.
pub fn shrink(
    case: &Case,
    breach: &Breach,
    judge: &mut dyn FnMut(&Case) -> Option<Breach>,
    tries_max: u64,
) -> Shrunk {
    let mut search = Search {
        best: entries::in_order(case),
        class: breach.class(),
        breach: breach.clone(),
        judge,
        tries: 0,
        tries_max,
    };
    // Order of arrival is how entries are numbered everywhere; a case that breaks only in the order it
    // was written in is kept as it is.
    if search.best != *case && !search.try_best() {
        search.best = case.clone();
    }
    for _ in 0..ROUNDS_MAX {
        let before = search.best.clone();
        search.faults();
        search.query();
        search.entries();
        search.partitions();
        search.settings();
        search.times();
        search.payloads();
        if search.best == before || search.is_spent() {
            break;
        }
    }
    let minimal = search.is_minimal();
    Shrunk {
        before: Size::of(case),
        after: Size::of(&search.best),
        case: search.best,
        breach: search.breach,
        tries: search.tries,
        minimal,
    }
}

/// The search, with the smallest case found so far.
struct Search<'a> {
    best: Case,
    class: Class,
    breach: Breach,
    judge: &'a mut dyn FnMut(&Case) -> Option<Breach>,
    tries: u64,
    tries_max: u64,
}

impl Search<'_> {
    fn is_spent(&self) -> bool {
        self.tries >= self.tries_max
    }

    /// How the candidate breaks, if in the same way.
    fn breaks(&mut self, candidate: &Case) -> Option<Breach> {
        if self.is_spent() || candidate.check().is_err() {
            return None;
        }
        self.tries += 1;
        (self.judge)(candidate).filter(|breach| breach.class() == self.class)
    }

    /// Takes the candidate if it breaks in the same way.
    fn attempt(&mut self, candidate: Case) -> bool {
        if candidate == self.best {
            return false;
        }
        let Some(breach) = self.breaks(&candidate) else { return false };
        (self.best, self.breach) = (candidate, breach);
        true
    }

    fn try_best(&mut self) -> bool {
        let candidate = self.best.clone();
        let breach = self.breaks(&candidate);
        breach.map(|breach| self.breach = breach).is_some()
    }

    /// Leaves out runs of things, longest runs first, down to single ones.
    fn remove(&mut self, count: fn(&Case) -> usize, without: fn(&Case, usize, usize) -> Case) {
        let mut run = count(&self.best);
        while run > 0 {
            let mut at = 0;
            while at < count(&self.best) && !self.is_spent() {
                let end = (at + run).min(count(&self.best));
                if !self.attempt(without(&self.best, at, end)) {
                    at = end;
                }
            }
            run /= 2;
        }
    }

    fn faults(&mut self) {
        self.remove(|case| case.faults.len(), without_faults);
    }

    fn entries(&mut self) {
        self.remove(|case| case.history.entries.len(), entries::without);
    }

    /// Tries to leave out every single entry and fault once more.
    fn is_minimal(&mut self) -> bool {
        let case = self.best.clone();
        let mut smaller = (0..case.faults.len())
            .map(|at| without_faults(&case, at, at + 1))
            .chain((0..case.history.entries.len()).map(|at| entries::without(&case, at, at + 1)));
        smaller.all(|candidate| self.breaks(&candidate).is_none()) && !self.is_spent()
    }
}

fn without_faults(case: &Case, from: usize, until: usize) -> Case {
    let mut smaller = case.clone();
    smaller.faults.drain(from..until);
    smaller
}
