//! Every way through both rooms: the model; the engine whole, cut into batches, saved and loaded on the way,
//! and started where the output starts.
//!
//! Judges nothing. Dice are rolled here for where to cut and save, from a seed and nothing else. Invariant: all
//! ways see the same entries in the same order.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use rewindow_engine::instance::{Instance, Produced};
use rewindow_engine::recovery::Opening;
use rewindow_engine::reference::References;
use rewindow_engine::setup::Setup;
use rewindow_query::{Dropped, Entry, LogView, Plan, Retained, Row, Shard, Timestamp, Why};
use rewindow_world::guarded::guarded;

use super::Test;
use super::feed::Fed;
use crate::choices::{Choices, Seeded};

/// How much is tried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Effort {
    /// Where the dice begin.
    pub seed: u64,
    /// How often the input is cut anew.
    pub cuts: u64,
    /// At how many places, at most, the engine is saved and loaded; at every place if there are no more.
    pub saves: usize,
}

/// A way through a room.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Way {
    /// The model.
    Model,
    /// The engine, in batches as large as they come.
    Whole,
    /// The engine, cut into batches at random; the numbers are the sizes of the batches.
    Cut(Vec<usize>),
    /// The engine, an entry at a time, saved and loaded after so many.
    Saved(usize),
    /// The engine, started at the output's start with what it asks for of the log.
    Started,
}

/// What a way gave.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Played {
    /// The rows, by output and partition in order.
    pub rows: Vec<Row>,
    /// The events that did not reach the query; `None` where the way did not read all of them.
    pub dropped: Option<Vec<Dropped>>,
    /// When and why the job failed.
    pub failure: Option<(Timestamp, String)>,
    /// What went wrong in the program itself.
    pub fault: Option<String>,
}

impl Way {
    /// Whether it is of the same kind.
    pub fn is_like(&self, other: &Way) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }

    /// Whether it is a way through the engine.
    pub fn is_engine(&self) -> bool {
        *self != Way::Model
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Way::Model => f.write_str("model"),
            Way::Whole => f.write_str("engine"),
            Way::Cut(sizes) => {
                let shown: Vec<String> = sizes.iter().take(12).map(usize::to_string).collect();
                let more = if sizes.len() > shown.len() { ", …" } else { "" };
                write!(f, "engine in batches of {}{more}", shown.join(", "))
            }
            Way::Saved(after) => {
                write!(f, "engine saved and loaded after {}", crate::text::count(*after as u64, "entry"))
            }
            Way::Started => f.write_str("engine started where the output starts"),
        }
    }
}

/// Plays a test every way, and hands over what each gave.
pub fn every_way(test: &Test, plan: &Arc<Plan>, fed: &Fed, effort: Effort, see: &mut dyn FnMut(Way, Played)) {
    see(Way::Model, safely(|| model(test, plan, fed)));
    let stage = Stage { test, plan, fed, references: Arc::new(References::new(&fed.history.references)) };
    let total = fed.history.entries.len();
    let whole = &mut |left| left;
    see(Way::Whole, safely(|| stage.play(None, false, whole)));
    for number in 0..effort.cuts {
        let mut dice = Seeded::new(effort.seed, number);
        let mut sizes = Vec::new();
        let mut cut = |left: usize| {
            let size = 1 + usize::try_from(dice.draw(left as u64)).unwrap_or(0);
            sizes.push(size);
            size
        };
        let played = safely(|| stage.play(None, false, &mut cut));
        see(Way::Cut(sizes), played);
    }
    for after in places(total, effort) {
        see(Way::Saved(after), safely(|| stage.play(Some(after), false, &mut |_| 1)));
    }
    if test.start.is_some() {
        see(Way::Started, safely(|| stage.play(None, true, whole)));
    }
}

/// After how many entries to save: everywhere, or here and there.
fn places(total: usize, effort: Effort) -> Vec<usize> {
    if total < effort.saves {
        return (0..=total).collect();
    }
    let mut dice = Seeded::new(effort.seed, u64::MAX);
    let draw = |_| usize::try_from(dice.draw(total as u64 + 1)).unwrap_or(total);
    let mut places: Vec<usize> = (0..effort.saves).map(draw).collect();
    places.sort_unstable();
    places.dedup();
    places
}

/// A panic is a bug of this program, and no reason not to look at the other ways and tests.
fn safely(play: impl FnOnce() -> Played) -> Played {
    guarded(play).unwrap_or_else(|panic| Played { fault: Some(panic.0), ..Played::default() })
}

fn model(test: &Test, plan: &Plan, fed: &Fed) -> Played {
    let answer = rewindow_model::answer(plan, &test.ordering, &fed.partitions, &fed.history);
    Played {
        rows: answer.rows,
        dropped: Some(answer.dropped),
        failure: answer.failure.map(|failure| (failure.at, failure.message)),
        fault: None,
    }
}

/// The engine and what it is given.
struct Stage<'a> {
    test: &'a Test,
    plan: &'a Arc<Plan>,
    fed: &'a Fed,
    references: Arc<References>,
}

impl Stage<'_> {
    /// `cut` says how many of the entries left of a partition go into a batch; each shard is saved and loaded
    /// after `saved` entries, or opened as a job that is started.
    fn play(&self, saved: Option<usize>, opened: bool, cut: &mut dyn FnMut(usize) -> usize) -> Played {
        let mut played = Played::default();
        let mut dropped = Vec::new();
        for shard in self.plan.shards(&self.fed.partitions) {
            let mut keep = |produced: Produced| {
                played.rows.extend(produced.rows);
                dropped.extend(produced.dropped);
            };
            match self.shard(&shard, saved, opened, cut, &mut keep) {
                Ok(()) => {}
                Err(Stop::Failed(at, message)) => {
                    let first = played.failure.take().filter(|(known, _)| *known <= at);
                    played.failure = Some(first.unwrap_or((at, message)));
                }
                Err(Stop::Fault(words)) => played.fault = Some(words),
            }
        }
        // What a shard gave at or after the failure of another is not owed (choice C-FAIL).
        if let Some((at, _)) = &played.failure {
            played.rows.retain(|row| row.timestamp < *at);
        }
        played.rows.sort_by_key(|row| (row.output, row.partition)); // stable: the order inside stays
        dropped.sort();
        dropped.dedup();
        // A job that is started reads only what it needs.
        played.dropped = (!opened).then_some(dropped);
        played
    }

    fn shard(
        &self,
        shard: &Shard,
        saved: Option<usize>,
        opened: bool,
        cut: &mut dyn FnMut(usize) -> usize,
        keep: &mut dyn FnMut(Produced),
    ) -> Result<(), Stop> {
        let from = self.test.start.unwrap_or(Timestamp::MIN);
        let setup = Setup::new(self.plan.clone(), shard.clone(), self.test.ordering)
            .with_references(self.references.clone());
        let mut instance = if opened { self.open(setup.clone(), from)? } else { setup.clone().start(from) };
        let begun = instance.positions();
        let unread = |entry: &Entry| {
            begun.get(&(entry.input, entry.partition)).is_none_or(|first| entry.offset < *first)
        };
        let (mut left, mut taken) = (self.fed.history.entries.as_slice(), 0);
        loop {
            if saved == Some(taken) {
                let bytes = instance.checkpoint();
                let restored = setup.clone().restore(&bytes);
                instance =
                    restored.map_err(|e| Stop::Fault(format!("it does not read its checkpoint: {e}")))?;
            }
            let Some(first) = left.first() else { break };
            let same = |entry: &&Entry| (entry.input, entry.partition) == (first.input, first.partition);
            let run = left.iter().take_while(same).count();
            let (batch, rest) = left.split_at(cut(run).clamp(1, run));
            (left, taken) = (rest, taken + batch.len());
            let kept = batch.iter().position(|entry| !unread(entry)).unwrap_or(batch.len());
            keep(instance.feed(first.input, first.partition, &batch[kept..])?);
        }
        keep(instance.finish()?);
        instance.failure().map_or(Ok(()), |failure| Err(failure.clone().into()))
    }

    fn open(&self, setup: Setup, output_from: Timestamp) -> Result<Instance, Stop> {
        let log = Log::of(&self.fed.history.entries);
        let opening = Opening { why: Why::Fresh, output_from, checkpoint: None, log: &log };
        let (instance, recovered) = setup.open(opening).map_err(|e| Stop::Fault(e.to_string()))?;
        match recovered.gaps.as_slice() {
            [] => Ok(instance),
            _ => Err(Stop::Fault("it announces a gap in a log that keeps all".to_owned())),
        }
    }
}

/// Why a shard did not come to its end.
enum Stop {
    Failed(Timestamp, String),
    Fault(String),
}

impl From<rewindow_query::Failure> for Stop {
    fn from(failure: rewindow_query::Failure) -> Stop {
        Stop::Failed(failure.at, failure.message)
    }
}

/// A log that keeps everything.
struct Log {
    arrivals: BTreeMap<(usize, u32), Vec<Timestamp>>,
}

impl Log {
    fn of(entries: &[Entry]) -> Log {
        let mut arrivals: BTreeMap<(usize, u32), Vec<Timestamp>> = BTreeMap::new();
        for entry in entries {
            arrivals.entry((entry.input, entry.partition)).or_default().push(entry.arrival);
        }
        Log { arrivals }
    }

    fn of_partition(&self, input: usize, partition: u32) -> &[Timestamp] {
        self.arrivals.get(&(input, partition)).map_or(&[], Vec::as_slice)
    }
}

impl LogView for Log {
    fn retained(&self, input: usize, partition: u32) -> Retained {
        Retained { first: 0, next: self.of_partition(input, partition).len() as u64, lost_until: None }
    }

    fn first_since(&self, input: usize, partition: u32, arrival: Timestamp) -> u64 {
        self.of_partition(input, partition).partition_point(|at| *at < arrival) as u64
    }
}
