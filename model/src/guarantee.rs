//! Rules 13.1 to 13.5, 12.3 to 12.5 (the guarantee): when a recovery must make no difference, and where it
//! may make one.
//!
//! ```text
//!   arrivals    ----forgotten----][----kept---------------------------------
//!                      a: the newest one forgotten that was needed
//!   rows            [from  may be incomplete  a + 5 min + w)[  identical ...
//! ```
//!
//! A checkpoint needs the entries behind its positions. A replay for rows stamped `f` and later, with
//! lookback `w`, needs what can be stamped in `(f - w, ...`, and that arrived at `f - w + 1 tick - 5 min`
//! or later: the early limit lets no event run further ahead of its arrival (rules 12.3, 12.5). An entry
//! that arrived at `a` is stamped at `a + 5 min` at the latest, and its last row comes before `w` later.
//! Where w is zero a row still depends on entries stamped like itself: everything counts at least one
//! tick (choice C-LOST).
//!
//! Knows nothing of how a subject recovers. Invariant: `f` of a replay and of its gap are the same.

use std::collections::BTreeMap;

use rewindow_query::{Gap, Outcome, Plan, Retained, Shard, Span, Timestamp, Why};

/// What happened when a shard was opened, as an observer outside of it knows it.
#[derive(Clone, PartialEq, Debug)]
pub struct Opened {
    /// Which part of the job.
    pub shard: Shard,
    /// What happened.
    pub why: Why,
    /// Rows stamped at or after this are wanted, and none before it.
    pub output_from: Timestamp,
    /// The newest complete checkpoint, if one existed.
    pub checkpoint: Option<Saved>,
    /// What the source kept at that moment.
    pub retained: BTreeMap<(usize, u32), Retained>,
}

/// What is known of a checkpoint: next offset per (input, partition), and the frontier before which its
/// writer had given every row.
pub type Saved = (BTreeMap<(usize, u32), u64>, Timestamp);

/// What is owed after an opening.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Guarantee {
    /// Every row, as if nothing had happened.
    Identical,
    /// Every row stamped outside these intervals, as if nothing had happened; they must be announced. The
    /// list is not empty, sorted, and its intervals do not touch.
    IdenticalOutside(Vec<Gap>),
}

/// The guarantee of each opening, in the order of `opened`.
pub fn guarantee(plan: &Plan, opened: &[Opened]) -> Vec<Guarantee> {
    opened.iter().map(|opened| guarantee_of(plan, opened)).collect()
}

fn guarantee_of(plan: &Plan, opened: &Opened) -> Guarantee {
    let from = match usable_checkpoint(opened) {
        // Its writer had given the rows before the frontier, and was asked for none before `output_from`.
        Some((_, frontier)) => (*frontier).max(opened.output_from),
        None => opened.output_from,
    };
    let lost = opened.shard.reads.iter().filter_map(|place| lost_until(plan, opened, *place)).max();
    let until = lost.map(|lost| lost.plus(Span::EARLY).plus(reach(plan, &opened.shard)));
    match Gap::merge(until.map(|until| Gap { from, until }).into_iter().collect()) {
        gaps if gaps.is_empty() => Guarantee::Identical,
        gaps => Guarantee::IdenticalOutside(gaps),
    }
}

/// Arrival of the newest entry of a partition that was needed and is forgotten.
fn lost_until(plan: &Plan, opened: &Opened, place: (usize, u32)) -> Option<Timestamp> {
    let retained = opened.retained.get(&place)?;
    let newest = retained.lost_until?;
    let needed = match usable_checkpoint(opened) {
        Some((positions, _)) => retained.first > positions.get(&place).copied().unwrap_or(0),
        None => newest >= replay_from(plan, &opened.shard, opened.output_from),
    };
    needed.then_some(newest)
}

/// Whether saved state may be used (rules 13.1 to 13.3): after a kill, a reboot and an upgrade that reads
/// it, never after a user's stop and start.
pub fn may_use_checkpoint(why: Why) -> bool {
    match why {
        Why::AfterKill | Why::AfterUpgrade { readable: true } => true,
        Why::Fresh | Why::AfterUpgrade { readable: false } | Why::UserRestart => false,
    }
}

fn usable_checkpoint(opened: &Opened) -> Option<&Saved> {
    opened.checkpoint.as_ref().filter(|_| may_use_checkpoint(opened.why))
}

/// Where the state should come from, by the table of design §3: a checkpoint that may be used, else one
/// lookback, also after a kill before the first checkpoint (choice C-NOSTATE).
pub fn expected_outcome(plan: &Plan, opened: &Opened) -> Outcome {
    match opened.why {
        Why::Fresh => Outcome::Fresh,
        _ if usable_checkpoint(opened).is_some() => Outcome::FromCheckpoint,
        _ => Outcome::Replayed { from: replay_from(plan, &opened.shard, opened.output_from) },
    }
}

/// The first arrival that a replay for rows stamped `output_from` and later needs (rules 12.3, 12.5).
pub fn replay_from(plan: &Plan, shard: &Shard, output_from: Timestamp) -> Timestamp {
    output_from.minus(reach(plan, shard)).plus(Span::TICK).minus(Span::EARLY)
}

/// The longest lookback of the shard's outputs, at least a tick: rows at `t` depend on entries stamped in
/// `(t - reach, t]`.
fn reach(plan: &Plan, shard: &Shard) -> Span {
    let lookbacks = shard.outputs.iter().map(|&output| plan.lookback(output));
    lookbacks.fold(Span::TICK, Span::max)
}
