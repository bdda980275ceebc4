//! A pattern as a program for the backtracking search (rule 9.2).
//!
//! Knows no event. Invariant: the program has at most [`PLACES_MAX`] steps, every jump leads inside it, and
//! it ends with [`Step::Found`]; a turn of a repetition that may be empty stands between its marks.

use rewindow_query::plan::Pattern;

/// Most steps of a program: enough for any pattern of 10,000 places, at up to four steps each (choice
/// C-MATCH-LIMIT). Repetitions are written out, so this bounds `{n,}` too.
pub const PLACES_MAX: usize = 50_000;

/// A step of the search. Places count from the program's first step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// The next event must satisfy this variable; `None` is `.`.
    Test(Option<usize>),
    /// Go on at the first place, and if that fails at the second.
    Split(usize, usize),
    /// Go on there.
    Jump(usize),
    /// A turn begins: remember how many events are matched.
    Mark(usize),
    /// The turn must have taken an event (choice C-MATCH).
    Turn(usize),
    /// This way leads nowhere.
    Fail,
    /// A match.
    Found,
}

/// The program of a pattern, and how many marks it uses. `None` if it would be too long.
pub fn compile(pattern: &Pattern) -> Option<(Vec<Step>, usize)> {
    let mut compiler = Compiler::default();
    compiler.add(pattern)?;
    compiler.put(Step::Found)?;
    Some((compiler.steps, compiler.marks))
}

#[derive(Default)]
struct Compiler {
    steps: Vec<Step>,
    marks: usize,
}

impl Compiler {
    fn put(&mut self, step: Step) -> Option<usize> {
        self.steps.push(step);
        (self.steps.len() <= PLACES_MAX).then(|| self.steps.len() - 1)
    }

    fn add(&mut self, pattern: &Pattern) -> Option<()> {
        match pattern {
            Pattern::Variable(variable) => self.put(Step::Test(Some(*variable))).map(drop),
            Pattern::Any => self.put(Step::Test(None)).map(drop),
            Pattern::Sequence(parts) => parts.iter().try_for_each(|part| self.add(part)),
            Pattern::Either(parts) => self.either(parts),
            Pattern::Repeat(part, least, most) => self.repeat(part, *least, *most),
        }
    }

    fn either(&mut self, parts: &[Pattern]) -> Option<()> {
        let Some((last, before)) = parts.split_last() else { return self.put(Step::Fail).map(drop) };
        let mut exits = Vec::new();
        for part in before {
            let split = self.put(Step::Fail)?;
            self.add(part)?;
            exits.push(self.put(Step::Fail)?);
            self.steps[split] = Step::Split(split + 1, self.steps.len());
        }
        self.add(last)?;
        exits.into_iter().for_each(|exit| self.steps[exit] = Step::Jump(self.steps.len()));
        Some(())
    }

    fn repeat(&mut self, part: &Pattern, least: u32, most: Option<u32>) -> Option<()> {
        for _ in 0..least {
            let before = self.steps.len();
            self.add(part)?;
            if self.steps.len() == before {
                break;
            }
        }
        match most {
            None => {
                let split = self.put(Step::Fail)?;
                self.turn(part)?;
                self.put(Step::Jump(split))?;
                self.steps[split] = Step::Split(split + 1, self.steps.len());
            }
            Some(most) => {
                let mut splits = Vec::new();
                for _ in least..most {
                    splits.push(self.put(Step::Fail)?);
                    self.turn(part)?;
                }
                for split in splits {
                    self.steps[split] = Step::Split(split + 1, self.steps.len());
                }
            }
        }
        Some(())
    }

    /// A turn beyond the least number.
    fn turn(&mut self, part: &Pattern) -> Option<()> {
        if !may_be_empty(part) {
            return self.add(part);
        }
        let mark = self.marks;
        self.marks += 1;
        self.put(Step::Mark(mark))?;
        self.add(part)?;
        self.put(Step::Turn(mark)).map(drop)
    }
}

fn may_be_empty(pattern: &Pattern) -> bool {
    match pattern {
        Pattern::Variable(_) | Pattern::Any => false,
        Pattern::Sequence(parts) => parts.iter().all(may_be_empty),
        Pattern::Either(parts) => parts.iter().any(may_be_empty),
        Pattern::Repeat(part, least, _) => *least == 0 || may_be_empty(part),
    }
}
