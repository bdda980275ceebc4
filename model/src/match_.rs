//! Section 9 (MATCH_RECOGNIZE): a regular expression over consecutive events of one key.
//!
//! ```text
//!   PATTERN (A B+ C)          events    a  b  b  c  a  c      one attempt from every event; the first way
//!                                       [A  B  B  C]          that is not empty is the match
//! ```
//!
//! From every event one attempt, at most one match (rule 9.3). Ways are tried as in a backtracking regular
//! expression, greedily and leftmost branch first (A-MATCH-GREEDY); events at `limit` or more after the first
//! are out of reach (rule 9.2). A match takes at least one event, and so does every turn of a repetition
//! beyond the least number. The row has the timestamp of the last event of the match (A-MATCH-TIME); rows of
//! equal timestamp stand in the order of their first events. What fails, and where: choices C-MATCH and
//! C-MATCH-LIMIT.

use std::collections::BTreeMap;
use std::rc::Rc;

use rewindow_query::plan::{Match, Pattern};
use rewindow_query::{Failure, Value};

use crate::eval::{evaluate, holds};
use crate::fact::{Fact, Failures};
use crate::lag::key;
use crate::terms::terms;

/// How often one attempt may test an event (choice C-MATCH-LIMIT).
const TESTS_MAX: u32 = 100_000;

pub(crate) fn match_(matching: &Match, rows: &[Fact], failures: &mut Failures) -> Vec<Fact> {
    let mut keyed: BTreeMap<Vec<Value>, Vec<(usize, &Fact)>> = BTreeMap::new();
    for (place, row) in rows.iter().enumerate() {
        if let Some(key) = failures.note(row.timestamp, key(&matching.partition, row)) {
            keyed.entry(key).or_default().push((place, row));
        }
    }
    let mut matched = Vec::new();
    for line in keyed.values() {
        let events: Vec<&Fact> = line.iter().map(|(_, row)| *row).collect();
        for (first, (place, row)) in line.iter().enumerate() {
            let out = |event: &&&Fact| event.timestamp.since(row.timestamp) < matching.limit;
            let reach = events[first..].iter().take_while(out).count();
            match attempt(matching, &events[first..first + reach]) {
                Ok(found) => matched.extend(found.map(|row| (*place, row))),
                Err(failure) => failures.add(failure),
            }
        }
    }
    matched.sort_by_key(|(place, row)| (row.timestamp, *place));
    matched.into_iter().map(|(_, row)| row).collect()
}

/// The row of the match that begins at the first of the events, if there is one.
fn attempt(matching: &Match, events: &[&Fact]) -> Result<Option<Fact>, Failure> {
    let Some(taken) = search(matching, events)? else { return Ok(None) };
    let timestamp = events[taken.len() - 1].timestamp;
    let fail = |message| Failure { at: timestamp, message };
    let mut columns = Vec::new();
    for (_, measure) in &matching.measures {
        let read = terms(matching, &measure.terms, events, &taken, None).map_err(fail)?;
        columns.push(evaluate(&measure.expr, &Fact::new(timestamp, read)).map_err(fail)?);
    }
    Ok(Some(Fact::new(timestamp, columns)))
}

/// The variable each event of a match was taken by; none for `.`.
pub(crate) type Taken = Vec<Option<usize>>;

/// What is still to be done on a way, first thing first.
struct Todo<'a> {
    task: Task<'a>,
    then: Rest<'a>,
}

type Rest<'a> = Option<Rc<Todo<'a>>>;

#[derive(Clone, Copy)]
enum Task<'a> {
    /// Take this pattern.
    Take(&'a Pattern),
    /// Take the next turn of a repetition, of which so many are done.
    Turn(&'a Pattern, u32, Option<u32>, u32),
    /// Give the way up if nothing was taken since so many events were.
    Progress(usize),
}

/// The first way through the pattern, depth first. Ways not yet tried wait on a stack, each with how many
/// events it has taken.
fn search(matching: &Match, events: &[&Fact]) -> Result<Option<Taken>, Failure> {
    let mut taken: Taken = Vec::new();
    let mut ways: Vec<(usize, Rest<'_>)> = vec![(0, before(Task::Take(&matching.pattern), &None))];
    let mut tests = 0;
    while let Some((count, todo)) = ways.pop() {
        taken.truncate(count);
        let Some(todo) = todo else {
            if taken.is_empty() {
                continue; // a match takes at least one event
            }
            return Ok(Some(taken));
        };
        let then = &todo.then;
        match todo.task {
            Task::Take(Pattern::Variable(variable)) => {
                if test(matching, events, &taken, Some(*variable), &mut tests)? {
                    taken.push(Some(*variable));
                    ways.push((count + 1, then.clone()));
                }
            }
            Task::Take(Pattern::Any) => {
                if test(matching, events, &taken, None, &mut tests)? {
                    taken.push(None);
                    ways.push((count + 1, then.clone()));
                }
            }
            Task::Take(Pattern::Sequence(parts)) => {
                let todo =
                    parts.iter().rev().fold(then.clone(), |rest, part| before(Task::Take(part), &rest));
                ways.push((count, todo));
            }
            Task::Take(Pattern::Either(branches)) => {
                // The stack gives back the last one first.
                ways.extend(branches.iter().rev().map(|branch| (count, before(Task::Take(branch), then))));
            }
            Task::Take(Pattern::Repeat(pattern, least, most)) => {
                ways.push((count, before(Task::Turn(pattern, *least, *most, 0), then)));
            }
            Task::Turn(pattern, least, most, done) if done < least => {
                let next = before(Task::Turn(pattern, least, most, done + 1), then);
                ways.push((count, before(Task::Take(pattern), &next)));
            }
            Task::Turn(pattern, least, most, done) => {
                ways.push((count, then.clone()));
                if most.is_none_or(|most| done < most) {
                    let next = before(Task::Turn(pattern, least, most, done.saturating_add(1)), then);
                    ways.push((count, before(Task::Take(pattern), &before(Task::Progress(count), &next))));
                }
            }
            Task::Progress(since) => {
                if count > since {
                    ways.push((count, then.clone()));
                }
            }
        }
    }
    Ok(None)
}

fn before<'a>(task: Task<'a>, then: &Rest<'a>) -> Rest<'a> {
    Some(Rc::new(Todo { task, then: then.clone() }))
}

/// Whether the event behind the taken ones can be taken by the variable, or by `.`.
fn test(
    matching: &Match,
    events: &[&Fact],
    taken: &Taken,
    variable: Option<usize>,
    tests: &mut u32,
) -> Result<bool, Failure> {
    let Some(event) = events.get(taken.len()) else { return Ok(false) };
    if *tests == TESTS_MAX {
        let message = format!("a pattern tested events {TESTS_MAX} times from one row");
        return Err(Failure { at: events[0].timestamp, message });
    }
    *tests += 1;
    let Some(variable) = variable else { return Ok(true) };
    let define = &matching.variables[variable];
    let defined = || {
        let read = terms(matching, &define.terms, events, taken, Some((variable, event)))?;
        holds(&define.define, &Fact::new(event.timestamp, read))
    };
    defined().map_err(|message| Failure { at: event.timestamp, message })
}
