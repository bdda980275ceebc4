//! Laws that need no world: *agree* and *resume* (claims 1 and 2), straight on a subject's workers.
//!
//! A worker is fed the whole history by hand, cut and interleaved as the choices say, or saved and opened
//! again in between; what it gives is judged like a run in which nothing happened. Knows subjects only by
//! their trait. Invariant: entries of a partition are fed in order, each once.

use std::collections::BTreeMap;

use rewindow_query::{Entry, LogView, Outcome, Retained, Row, Timestamp, Why};
use rewindow_world::case::{Case, SinkKind};
use rewindow_world::error::CaseError;
use rewindow_world::guarded::{self, Given, GuardedWorker, Panic};
use rewindow_world::journal::Journal;
use rewindow_world::outcome::{Delivery, Failed, Panicked, Run};
use rewindow_world::subject::{Opening, Refusal, Subject};

use crate::choices::Choices;
use crate::judge::{Breach, Claim, Kind, Truth, Verdict, judge};

/// Claim 1: the output is the model's, however the input is cut into batches and partitions interleave.
///
/// # Errors
/// A case that cannot be run.
pub fn agree(
    truth: &Truth,
    case: &Case,
    subject: &dyn Subject,
    choices: &mut dyn Choices,
) -> Result<Verdict, CaseError> {
    let journal = Journal::of(case, &truth.plan)?;
    let mut fed = Fed::default();
    for shard in 0..truth.shards.len() {
        let Some(mut worker) = fed.opened(shard, fresh(subject, shard, &journal)) else { continue };
        let mut lanes: Vec<&[Entry]> =
            truth.shards[shard].reads.iter().map(|&(input, p)| journal.entries(input, p)).collect();
        let mut alive = true;
        while alive && lanes.iter().any(|lane| !lane.is_empty()) {
            lanes.retain(|lane| !lane.is_empty());
            let lane = choices.index(lanes.len());
            let count = match choices.draw(3) {
                0 => lanes[lane].len(),
                1 => 1,
                _ => 1 + choices.index(lanes[lane].len()),
            };
            let (batch, left) = lanes[lane].split_at(count);
            lanes[lane] = left;
            let given = worker.feed(batch[0].input, batch[0].partition, batch);
            alive = fed.take(shard, given);
        }
        if alive {
            fed.finish(shard, &mut worker);
        }
    }
    Ok(quiet(truth, case, &fed.run))
}

/// Claim 2 at one place: a shard is fed the first `cut` entries in order of arrival, saved, and opened
/// again from the bytes; both workers go on, and both must give what is owed. `cut` counts journaled
/// estimates too; beyond the end it means the end.
///
/// # Errors
/// A case that cannot be run.
pub fn resume(truth: &Truth, case: &Case, subject: &dyn Subject, cut: usize) -> Result<Verdict, CaseError> {
    let journal = Journal::of(case, &truth.plan)?;
    let (mut original, mut resumed) = (Fed::default(), Fed::default());
    for shard in 0..truth.shards.len() {
        let entries = merged(truth, &journal, shard);
        let (before, after) = entries.split_at(cut.min(entries.len()));
        let Some(mut worker) = original.opened(shard, fresh(subject, shard, &journal)) else { continue };
        let mut alive = true;
        for entry in before {
            let given = worker.feed(entry.input, entry.partition, std::slice::from_ref(entry));
            resumed.take(shard, given.clone());
            alive = original.take(shard, given);
            if !alive {
                break;
            }
        }
        if !alive {
            continue;
        }
        let bytes = match worker.checkpoint() {
            Ok((bytes, _)) => bytes,
            Err(panic) => {
                original.panicked(shard, panic);
                continue;
            }
        };
        let log = Whole(&journal);
        let opening = Opening { checkpoint: Some(&bytes), ..opening_of(Why::AfterKill, &log) };
        if let Some((mut again, answer)) = resumed.opened(shard, guarded::open(subject, shard, &opening)) {
            let read = positions(truth, shard, before);
            if answer.outcome != Outcome::FromCheckpoint || answer.positions != read {
                let message =
                    format!("opened as {:?} at {:?}, saved at {read:?}", answer.outcome, answer.positions);
                let at = before.last().map_or(Timestamp::MIN, |entry| entry.arrival);
                let kind = Kind::WrongPosition;
                return Ok(broken(truth.breach(Claim::Resume, kind, None, Some(shard), at, message)));
            }
            resumed.go_on(shard, &mut again, after);
        }
        original.go_on(shard, &mut worker, after);
    }
    // Taking a checkpoint must change nothing either: the original is judged after it.
    for fed in [&original, &resumed] {
        if let Verdict::Broken(mut breach) = quiet(truth, case, &fed.run) {
            breach.claim = Claim::Resume;
            return Ok(Verdict::Broken(breach));
        }
    }
    Ok(quiet(truth, case, &resumed.run))
}

/// Claim 2 at every place; the first breach, if there is one.
///
/// # Errors
/// A case that cannot be run.
pub fn resume_everywhere(
    truth: &Truth,
    case: &Case,
    subject: &dyn Subject,
) -> Result<Option<Breach>, CaseError> {
    let journal = Journal::of(case, &truth.plan)?;
    let longest = (0..truth.shards.len()).map(|shard| merged(truth, &journal, shard).len()).max();
    for cut in 0..=longest.unwrap_or(0) {
        if let Verdict::Broken(breach) = resume(truth, case, subject, cut)? {
            return Ok(Some(*breach));
        }
    }
    Ok(None)
}

/// A log that has forgotten nothing and in which everything has arrived.
pub(crate) struct Whole<'a>(pub(crate) &'a Journal);

impl LogView for Whole<'_> {
    fn retained(&self, input: usize, partition: u32) -> Retained {
        Retained { first: 0, next: self.0.entries(input, partition).len() as u64, lost_until: None }
    }

    fn first_since(&self, input: usize, partition: u32, arrival: Timestamp) -> u64 {
        self.0.entries(input, partition).partition_point(|entry| entry.arrival < arrival) as u64
    }
}

/// An opening of a task by itself that wants all rows.
fn opening_of(why: Why, log: &dyn LogView) -> Opening<'_> {
    let output_from = Timestamp::MIN;
    Opening { why, version: 0, epoch: 1, incarnation: 1, begin: None, output_from, checkpoint: None, log }
}

/// A worker that starts with nothing.
pub(crate) fn fresh(
    subject: &dyn Subject,
    shard: usize,
    journal: &Journal,
) -> Result<Result<GuardedWorker, Refusal>, Panic> {
    let log = Whole(journal);
    let opening = opening_of(Why::Fresh, &log);
    guarded::open(subject, shard, &opening).map(|opened| opened.map(|(worker, _)| worker))
}

/// What workers gave, as a run.
#[derive(Default)]
struct Fed {
    run: Run,
}

impl Fed {
    /// What was opened, if it was; a refusal or a panic is kept.
    fn opened<T>(&mut self, shard: usize, opened: Result<Result<T, Refusal>, Panic>) -> Option<T> {
        match opened {
            Ok(Ok(opened)) => return Some(opened),
            Ok(Err(refusal)) => self.run.refused.push((shard, refusal.to_string())),
            Err(panic) => self.panicked(shard, panic),
        }
        None
    }

    fn panicked(&mut self, shard: usize, panic: Panic) {
        let Panic(message) = panic;
        let panicked = Panicked { shard, generation: 0, at: Timestamp::MIN, message };
        self.run.panicked.get_or_insert(panicked);
    }

    /// Keeps what a call gave and what failure lies behind it; whether the worker goes on.
    fn take(&mut self, shard: usize, given: Result<Given, Panic>) -> bool {
        let Given { result, behind, .. } = match given {
            Ok(given) => given,
            Err(panic) => {
                self.panicked(shard, panic);
                return false;
            }
        };
        let failure = match result {
            Ok(rows) => {
                if !rows.is_empty() {
                    let at = Timestamp::MIN;
                    self.run.deliveries.push(Delivery { at, node: 0, shard, generation: 0, opened: 0, rows });
                }
                behind
            }
            Err(failure) => Some(failure),
        };
        let Some(failure) = failure else { return true };
        let failed = Failed { at: Timestamp::MIN, shard, generation: 0, failure: failure.clone() };
        self.run.failures.push(failed);
        if self.run.failure.as_ref().is_none_or(|earlier| failure.at < earlier.at) {
            self.run.failure = Some(failure);
        }
        false
    }

    fn go_on(&mut self, shard: usize, worker: &mut GuardedWorker, entries: &[&Entry]) {
        for entry in entries {
            let given = worker.feed(entry.input, entry.partition, std::slice::from_ref(entry));
            if !self.take(shard, given) {
                return;
            }
        }
        self.finish(shard, worker);
    }

    fn finish(&mut self, shard: usize, worker: &mut GuardedWorker) {
        let given = worker.finish();
        self.take(shard, given);
    }
}

/// Everything a shard reads, in order of arrival.
fn merged<'a>(truth: &Truth, journal: &'a Journal, shard: usize) -> Vec<&'a Entry> {
    let reads = &truth.shards[shard].reads;
    let mut entries: Vec<&Entry> = reads.iter().flat_map(|&(input, p)| journal.entries(input, p)).collect();
    entries.sort_by_key(|e| (e.arrival, e.input, e.partition, e.offset));
    entries
}

fn positions(truth: &Truth, shard: usize, read: &[&Entry]) -> BTreeMap<(usize, u32), u64> {
    let mut positions: BTreeMap<(usize, u32), u64> =
        truth.shards[shard].reads.iter().map(|&place| (place, 0)).collect();
    for entry in read {
        positions.insert((entry.input, entry.partition), entry.offset + 1);
    }
    positions
}

/// Judged as a run without faults, and by what was given: there is no sink here.
fn quiet(truth: &Truth, case: &Case, run: &Run) -> Verdict {
    let mut case = Case { faults: Vec::new(), ..case.clone() };
    case.deployment.sink = SinkKind::Append;
    let verdict = judge(truth, &case, run);
    match &verdict {
        Verdict::Held(_) => other_order(truth, run).map_or(verdict, broken),
        Verdict::Broken(_) => verdict,
    }
}

/// The first row whose columns stand in another order than those of the row owed: equal records may do that.
fn other_order(truth: &Truth, run: &Run) -> Option<Breach> {
    fn names(row: &Row) -> Vec<&str> {
        row.record.members().iter().map(|(name, _)| &**name).collect()
    }
    run.deliveries.iter().find_map(|delivery| {
        delivery.rows.iter().find_map(|row| {
            let owed = &truth.answer.rows[truth.find(row)?];
            let message = || format!("columns {:?}, not {:?}", names(row), names(owed));
            let breach = || {
                let (output, shard) = (Some(row.output), Some(delivery.shard));
                truth.breach(Claim::Agree, Kind::Differs, output, shard, row.timestamp, message())
            };
            (names(row) != names(owed)).then(breach)
        })
    })
}

fn broken(breach: Breach) -> Verdict {
    Verdict::Broken(Box::new(breach))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choices::Seeded;
    use crate::toy::{self, Toy, Wrong};

    #[test]
    fn a_right_toy_obeys_and_wrong_ones_are_caught() {
        let case = toy::case(12);
        let truth = Truth::of(&case).unwrap();
        for wrong in [Wrong::Never, Wrong::CountsTwice, Wrong::Forgets, Wrong::Panics] {
            let toy = Toy::new(&truth.plan, &case, wrong);
            let agreed = agree(&truth, &case, &toy, &mut Seeded::new(1, 1)).unwrap();
            assert_eq!(agreed.breach(), None, "a restore is needed to be wrong");
            let breach = resume_everywhere(&truth, &case, &toy).unwrap();
            assert_eq!(breach.as_ref().is_some_and(|b| b.kind == Kind::Panicked), wrong == Wrong::Panics);
            assert_eq!(breach.map(|b| b.claim), (wrong != Wrong::Never).then_some(Claim::Resume));
        }
    }

    #[test]
    fn columns_stand_in_the_order_of_the_select_list() {
        let case = toy::case(12);
        let truth = Truth::of(&case).unwrap();
        let toy = Toy::new(&truth.plan, &case, Wrong::Reverses);
        let agreed = agree(&truth, &case, &toy, &mut Seeded::new(1, 1)).unwrap();
        assert_eq!(agreed.breach().map(|breach| breach.kind), Some(Kind::Differs));
    }
}
