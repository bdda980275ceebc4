//! How a shard goes on after what happened: from its checkpoint, or by reading again (design §3, sections
//! 12 and 13).
//!
//! | why | checkpoint | otherwise |
//! |---|---|---|
//! | fresh | never | from the start of what is owed |
//! | node kill, upgrade with readable state | used, if it is whole | replay |
//! | upgrade without, user restart | never | replay |
//!
//! A replay reads every entry that can be stamped within one lookback of the output position:
//!
//! ```text
//!       first stamp needed               output_from
//!   |- 5 min -|------------ w ------------------|-----> rows are given
//!   X         output_from - w + 1 tick
//!   read what arrived at X or later: an event is stamped at most 5 min after its arrival (rules 12.3, 12.5)
//! ```
//!
//! What the source has forgotten of that is announced, never passed over (choice C-LOST). Knows nothing of
//! how state is computed. Invariant: a row outside the announced gaps equals that of the uninterrupted run.

use std::collections::BTreeMap;
use std::sync::Arc;

use rewindow_query::{
    Gap, LogView, Ordering, Outcome, Plan, QueryError, Recovered, Shard, Span, Timestamp, Why,
};

use crate::checkpoint::CheckpointError;
use crate::instance::Instance;
use crate::plant::{Plant, Plants};
use crate::setup::Setup;

/// What a shard is told when it is opened.
pub struct Opening<'a> {
    /// What happened.
    pub why: Why,
    /// Rows stamped at or after this are wanted, and none before it; [`Timestamp::MIN`] wants all.
    pub output_from: Timestamp,
    /// The latest checkpoint, if there is one; whether it may be used is decided here.
    pub checkpoint: Option<&'a [u8]>,
    /// The source.
    pub log: &'a dyn LogView,
}

/// A shard that will not open.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OpenError {
    /// It was given a whole checkpoint that is not its own: something is mixed up, and to replay over it
    /// would hide that.
    #[error("{0}")]
    Checkpoint(#[from] CheckpointError),
    /// The query calls a function for which nothing is registered (choice C-EXTERNAL).
    #[error("{0}")]
    Function(#[from] QueryError),
    /// The log has forgotten what a task would read next: rows would get other numbers, so the task cannot go
    /// on in this epoch.
    #[error(
        "partition {partition} of input {input} is kept from offset {kept} on, the task needs {wanted}: begin a new epoch of the shard"
    )]
    Overtaken {
        /// The stream.
        input: usize,
        /// Its partition.
        partition: u32,
        /// The offset that is read next.
        wanted: u64,
        /// The oldest that is kept.
        kept: u64,
    },
}

impl OpenError {
    /// The stable code of the kind of error.
    pub fn code(&self) -> &'static str {
        match self {
            OpenError::Checkpoint(error) => error.code(),
            OpenError::Function(error) => error.code,
            OpenError::Overtaken { .. } => "overtaken",
        }
    }
}

impl Instance {
    /// Opens a shard after what happened, and says how.
    ///
    /// # Errors
    /// A whole checkpoint of another query, shard, setting or version. A damaged one is no error: there is as
    /// good as none.
    pub fn open(
        plan: Arc<Plan>,
        shard: Shard,
        ordering: Ordering,
        opening: Opening<'_>,
    ) -> Result<(Instance, Recovered), OpenError> {
        Setup::new(plan, shard, ordering).open(opening)
    }

    /// Like [`Instance::open`], with a bug planted.
    ///
    /// # Errors
    /// As for [`Instance::open`].
    #[cfg(feature = "plant")]
    pub fn open_planted(
        plan: Arc<Plan>,
        shard: Shard,
        ordering: Ordering,
        opening: Opening<'_>,
        plant: Option<Plant>,
    ) -> Result<(Instance, Recovered), OpenError> {
        Setup::new(plan, shard, ordering).open_planted(opening, plant)
    }
}

pub(crate) fn open(
    setup: Setup,
    opening: &Opening<'_>,
    plants: Plants,
) -> Result<(Instance, Recovered), OpenError> {
    setup.plan.check_functions()?;
    let ignorant = plants.is(Plant::FingerprintIgnored);
    let usable = |bytes: &&[u8]| {
        is_usable(opening.why, plants)
            || ignorant && opening.why == Why::UserRestart && Instance::is_of_another_query(&setup, bytes)
    };
    let restored = match opening.checkpoint.filter(usable) {
        None => None,
        Some(bytes) => match Instance::restore_planted(setup.clone(), bytes, plants) {
            Ok(instance) => Some(instance),
            Err(error) if error.is_damage() || ignorant => None,
            Err(error) => return Err(error.into()),
        },
    };
    // State that was built up for a later start lacks what earlier rows look back at.
    let restored = restored.filter(|instance| instance.output_from <= opening.output_from);
    let (instance, mut recovered) = match restored {
        Some(instance) => go_on(instance, opening),
        None => replay(Instance::planted(setup, opening.output_from, plants), opening),
    };
    if plants.is(Plant::RetentionGapSilent) {
        recovered.gaps.clear();
    }
    Ok((instance, recovered))
}

/// Whether state saved before this happened may be used.
pub(crate) fn is_usable(why: Why, plants: Plants) -> bool {
    match why {
        Why::AfterKill | Why::AfterUpgrade { readable: true } => true,
        Why::UserRestart => plants.is(Plant::RestartUsesCheckpoint),
        Why::Fresh | Why::AfterUpgrade { readable: false } => false,
    }
}

/// From a checkpoint: reads what came after it, or what is left of that.
fn go_on(mut instance: Instance, opening: &Opening<'_>) -> (Instance, Recovered) {
    instance.output_from = opening.output_from;
    let mut lost = None;
    for (&(input, partition), position) in &mut instance.positions {
        let kept = opening.log.retained(input, partition);
        if kept.first > *position {
            lost = lost.max(kept.lost_until);
            *position = kept.first;
        }
    }
    let from = instance.frontier().max(opening.output_from);
    let gaps = gaps(&instance, from, lost);
    let recovered = Recovered { outcome: Outcome::FromCheckpoint, positions: instance.positions(), gaps };
    (instance, recovered)
}

/// Without a checkpoint: reads again what the rows that are wanted can see.
pub(crate) fn replay(mut instance: Instance, opening: &Opening<'_>) -> (Instance, Recovered) {
    let from = replay_from(&instance, opening.output_from);
    let mut lost = None;
    let mut positions = BTreeMap::new();
    for &(input, partition) in instance.positions.keys() {
        let kept = opening.log.retained(input, partition);
        lost = lost.max(kept.lost_until.filter(|&arrival| arrival >= from));
        positions.insert((input, partition), opening.log.first_since(input, partition, from));
    }
    instance.positions = positions;
    let gaps = gaps(&instance, opening.output_from, lost);
    let fresh = opening.why == Why::Fresh;
    let outcome = if fresh { Outcome::Fresh } else { Outcome::Replayed { from } };
    let recovered = Recovered { outcome, positions: instance.positions(), gaps };
    (instance, recovered)
}

/// Start of a replay on the arrival axis: all that arrived earlier is stamped at or before
/// `output_from - w`, which no row wanted can see (rules 12.3 to 12.5).
fn replay_from(instance: &Instance, output_from: Timestamp) -> Timestamp {
    let forgetful = instance.plants.is(Plant::ReplayTooShort);
    let seen = if forgetful { Span::TICK } else { lookback(instance) };
    let early = if instance.plants.is(Plant::ReplayIgnoresEarlyLimit) { Span::ZERO } else { Span::EARLY };
    // One step at a time: each stops at the end of time by itself.
    output_from.minus(seen).plus(Span::TICK).minus(early)
}

/// How far the shard's rows look back, at least the tick of the row itself.
fn lookback(instance: &Instance) -> Span {
    let outputs = instance.shard.outputs.iter();
    outputs.map(|&output| instance.plan.lookback(output)).max().unwrap_or(Span::ZERO).max(Span::TICK)
}

/// The rows that may lack something, if the newest entry lost that was needed arrived then (choice C-LOST).
fn gaps(instance: &Instance, from: Timestamp, lost: Option<Timestamp>) -> Vec<Gap> {
    let gap = lost.map(|arrival| Gap { from, until: arrival.plus(Span::EARLY).plus(lookback(instance)) });
    Gap::merge(gap.into_iter().collect())
}
