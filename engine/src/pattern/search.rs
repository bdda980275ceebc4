//! The search for the match of one first event: depth first, greedy, leftmost branch first (A-MATCH-GREEDY).
//!
//! It stops where it would need an event that is not known yet and goes on from there, so nothing is tried
//! twice. Knows neither partitions nor other searches. Invariants: `path` has a variable for each event
//! taken; what a search comes to depends on the events alone, not on when it had to wait.

use std::collections::VecDeque;

use rewindow_query::Value;

use super::program::Step;
use super::terms::{Event, Terms};

/// Most tests of one search (choice C-MATCH-LIMIT).
pub const TESTS_MAX: u32 = 100_000;

/// Most steps of one search: ways that test nothing are bounded too.
const STEPS_MAX: u32 = 10_000_000;

/// What a search is made of that does not change.
#[derive(Debug)]
pub struct Machine {
    /// The pattern.
    pub program: Vec<Step>,
    /// Marks of the program.
    pub marks: usize,
    /// Definitions and measures.
    pub terms: Terms,
    /// LIMIT DURATION.
    pub limit: i64,
}

/// A search at work.
#[derive(Debug)]
pub struct Search {
    /// Number of the first event in its partition.
    pub first: u64,
    /// Its timestamp.
    pub at: i64,
    /// Variables of the events taken; `None` for `.`.
    pub path: Vec<Option<usize>>,
    step: usize,
    ways: Vec<Way>,
    marks: Vec<usize>,
    /// For each fold of the terms: how many events were taken when it changed, and to what.
    folds: Vec<Vec<(usize, Option<Value>)>>,
    tests: u32,
    steps: u32,
}

/// A way not yet tried.
#[derive(Debug)]
struct Way {
    step: usize,
    taken: usize,
    marks: Vec<usize>,
}

/// What a search has come to.
#[derive(Debug)]
pub enum Found {
    /// It needs an event that is not known yet.
    Waits,
    /// No match.
    Nothing,
    /// The path is a match.
    Match,
    /// It failed.
    Failed(i64, String),
}

impl Search {
    /// At the first event.
    pub fn new(machine: &Machine, first: u64, at: i64) -> Search {
        Search {
            first,
            at,
            path: Vec::new(),
            step: 0,
            ways: Vec::new(),
            marks: vec![0; machine.marks],
            folds: vec![Vec::new(); machine.terms.folds.len()],
            tests: 0,
            steps: 0,
        }
    }

    /// Goes on. `events` begin with the number `from`; nothing stamped before `until` is to come.
    pub fn run(&mut self, machine: &Machine, events: &VecDeque<Event>, from: u64, until: i64) -> Found {
        let first = (self.first - from) as usize;
        loop {
            self.steps += 1;
            if self.steps > STEPS_MAX {
                return Found::Failed(self.at, "a pattern takes too many steps to be searched".to_owned());
            }
            let goes_on = match machine.program[self.step] {
                Step::Test(variable) => match events.get(first + self.path.len()) {
                    None if until < self.at.saturating_add(machine.limit) => return Found::Waits,
                    Some(event) if event.at - self.at < machine.limit => {
                        match self.test(machine, variable, event) {
                            Ok(holds) => holds,
                            Err((at, message)) => return Found::Failed(at, message),
                        }
                    }
                    _ => false,
                },
                Step::Split(next, other) => {
                    self.ways.push(Way { step: other, taken: self.path.len(), marks: self.marks.clone() });
                    self.go(next)
                }
                Step::Jump(next) => self.go(next),
                Step::Mark(mark) => {
                    self.marks[mark] = self.path.len();
                    self.go(self.step + 1)
                }
                Step::Turn(mark) => self.path.len() > self.marks[mark] && self.go(self.step + 1),
                Step::Fail => false,
                Step::Found if self.path.is_empty() => false,
                Step::Found => return Found::Match,
            };
            if !goes_on && !self.back() {
                return Found::Nothing;
            }
        }
    }

    fn go(&mut self, step: usize) -> bool {
        self.step = step;
        true
    }

    fn test(
        &mut self,
        machine: &Machine,
        variable: Option<usize>,
        event: &Event,
    ) -> Result<bool, (i64, String)> {
        if self.tests == TESTS_MAX {
            let message = format!("no match of the pattern is found in {TESTS_MAX} tests from one event");
            return Err((self.at, message));
        }
        self.tests += 1;
        if let Some(variable) = variable {
            // Of the variable itself the event being tested is the last one (rule 9.4).
            let folded = |fold: usize| {
                let (kind, of, expr) = machine.terms.folds[fold];
                let so_far = self.folds[fold].last().map(|(_, value)| value.clone());
                match of == variable {
                    true => kind.add(so_far, &event.values[expr]),
                    false => so_far.unwrap_or(Some(Value::Null)),
                }
            };
            let held = machine.terms.test(variable, event, &self.path, folded);
            if !held.map_err(|message| (event.at, message))? {
                return Ok(false);
            }
        }
        self.path.push(variable);
        for (fold, &(kind, of, expr)) in self.folds.iter_mut().zip(&machine.terms.folds) {
            if variable == Some(of) {
                let folded = kind.add(fold.last().map(|(_, value)| value.clone()), &event.values[expr]);
                fold.push((self.path.len(), folded));
            }
        }
        Ok(self.go(self.step + 1))
    }

    /// Takes the way left last; `false` if there is none.
    fn back(&mut self) -> bool {
        let Some(way) = self.ways.pop() else { return false };
        self.path.truncate(way.taken);
        for fold in &mut self.folds {
            while fold.last().is_some_and(|(taken, _)| *taken > way.taken) {
                fold.pop();
            }
        }
        self.marks = way.marks;
        self.go(way.step)
    }
}
