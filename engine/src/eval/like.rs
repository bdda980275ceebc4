//! LIKE as in T-SQL (rule 5.3): `%` any text, `_` one character, `[a-z]` one of a set, `[^a-z]` one
//! outside it, ESCAPE makes the next character itself. Ordinal by code point (A-TEXT-CASE).
//!
//! Invariant: matching takes time proportional to text times pattern, never more.

use std::sync::Arc;

use rewindow_query::Value;

use super::Operand;

/// For which rows `text [NOT] LIKE pattern` holds. With NULL neither form does (rule 2.1); what is neither
/// text nor datetime is like nothing, and so NOT LIKE anything (choice C-NEGATED).
pub(super) fn columns(
    text: &Operand,
    pattern: &Operand,
    escape: Option<char>,
    negated: bool,
    len: usize,
) -> Vec<bool> {
    let compile = |value: &Value| as_text(value).map(|text| Pattern::new(&text, escape));
    let one = match pattern {
        Operand::Constant(value) => Some(compile(value)),
        Operand::Column(_) => None,
    };
    let null_pattern = |row: usize| pattern.value(row).is_null();
    let constant_null = one.is_some() && len > 0 && null_pattern(0);
    let row = |row: usize| {
        let own = if one.is_some() { None } else { compile(&pattern.value(row)) };
        let pattern = one.as_ref().map_or(own.as_ref(), Option::as_ref);
        let text = text.value(row);
        let any_null = text.is_null() || if one.is_some() { constant_null } else { null_pattern(row) };
        let matches = as_text(&text).zip(pattern).is_some_and(|(text, pattern)| pattern.matches(&text));
        !any_null && matches != negated
    };
    (0..len).map(row).collect()
}

/// Whether text is LIKE a pattern without escape.
pub(super) fn is_like(text: &str, pattern: &str) -> bool {
    Pattern::new(pattern, None).matches(text)
}

/// The first place, from 0, from which on the text is LIKE the pattern.
pub(super) fn first_place(pattern: &str, text: &str) -> Option<usize> {
    let chars: Vec<char> = text.chars().collect();
    // Whether the pattern from a step on is the text from a place on, last step first.
    let mut rest = vec![false; chars.len() + 1];
    rest[chars.len()] = true;
    for step in Pattern::new(pattern, None).steps.iter().rev() {
        let mut found = vec![false; chars.len() + 1];
        found[chars.len()] = matches!(step, Step::Any) && rest[chars.len()];
        for place in (0..chars.len()).rev() {
            found[place] = match step {
                Step::Any => rest[place] || found[place + 1],
                step => step.takes(chars[place]) && rest[place + 1],
            };
        }
        rest = found;
    }
    rest.iter().position(|&from_here| from_here)
}

/// A value where text is expected: datetime converts to its ISO form (rule 1.7).
pub(super) fn as_text(value: &Value) -> Option<Arc<str>> {
    match value {
        Value::Text(text) => Some(text.clone()),
        Value::Datetime(t) => Some(t.to_string().into()),
        _ => None,
    }
}

#[derive(Debug)]
enum Step {
    /// `%`
    Any,
    /// `_`
    One,
    Char(char),
    /// Ranges, both ends inclusive.
    Set {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
    /// A set that is never closed: nothing matches it.
    Never,
}

/// A pattern, read once.
struct Pattern {
    steps: Vec<Step>,
}

impl Pattern {
    fn new(text: &str, escape: Option<char>) -> Pattern {
        let chars: Vec<char> = text.chars().collect();
        let mut steps = Vec::new();
        let mut at = 0;
        while at < chars.len() {
            let c = chars[at];
            at += 1;
            if Some(c) == escape {
                match chars.get(at) {
                    Some(&next) => steps.push(Step::Char(next)),
                    None => steps.push(Step::Never),
                }
                at += 1;
                continue;
            }
            steps.push(match c {
                '%' => Step::Any,
                '_' => Step::One,
                '[' => match set(&chars[at..], escape) {
                    Some((step, used)) => {
                        at += used;
                        step
                    }
                    None => {
                        at = chars.len();
                        Step::Never
                    }
                },
                c => Step::Char(c),
            });
        }
        Pattern { steps }
    }

    /// Greedy with one point to come back to, the latest `%`: enough, because an earlier `%` need not
    /// take more once a later one has been reached.
    fn matches(&self, text: &str) -> bool {
        let chars: Vec<char> = text.chars().collect();
        let (mut at, mut step) = (0, 0);
        let mut back: Option<(usize, usize)> = None;
        while at < chars.len() {
            let fits = match self.steps.get(step) {
                Some(Step::Any) => {
                    back = Some((at, step + 1));
                    step += 1;
                    continue;
                }
                Some(step) => step.takes(chars[at]),
                None => false,
            };
            match back {
                _ if fits => (at, step) = (at + 1, step + 1),
                Some((start, after)) => {
                    back = Some((start + 1, after));
                    (at, step) = (start + 1, after);
                }
                None => return false,
            }
        }
        self.steps[step..].iter().all(|step| matches!(step, Step::Any))
    }
}

impl Step {
    /// Whether the step is this one character.
    fn takes(&self, c: char) -> bool {
        match self {
            Step::One => true,
            Step::Char(own) => *own == c,
            Step::Set { negated, ranges } => {
                ranges.iter().any(|(from, to)| (*from..=*to).contains(&c)) != *negated
            }
            Step::Any | Step::Never => false,
        }
    }
}

/// The set after a `[`, and how many characters it takes with its `]`.
fn set(chars: &[char], escape: Option<char>) -> Option<(Step, usize)> {
    let negated = chars.first() == Some(&'^');
    let mut at = usize::from(negated);
    let mut ranges = Vec::new();
    loop {
        match *chars.get(at)? {
            ']' => return Some((Step::Set { negated, ranges }, at + 1)),
            c => {
                let (from, next) = literal(chars, at, c, escape)?;
                // `a-z`; a dash at either end of the set is itself.
                let to = match (chars.get(next), chars.get(next + 1)) {
                    (Some('-'), Some(&to)) if to != ']' => Some(literal(chars, next + 1, to, escape)?),
                    _ => None,
                };
                ranges.push((from, to.map_or(from, |(to, _)| to)));
                at = to.map_or(next, |(_, next)| next);
            }
        }
    }
}

/// The character at `at`, the escape taken off, and what follows it.
fn literal(chars: &[char], at: usize, c: char, escape: Option<char>) -> Option<(char, usize)> {
    if Some(c) == escape { Some((*chars.get(at + 1)?, at + 2)) } else { Some((c, at + 1)) }
}
