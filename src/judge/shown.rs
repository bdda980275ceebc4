//! When a new version in one region shows itself to whoever compares the regions, or looks right.
//!
//! ```text
//!   partner      r1   r2   r3                r3 is due one lag after both it and the last part were there
//!   new version       x2   ...               x2 differs from r2: shown when both are given
//! ```
//!
//! One that crashes says what is right, and shows itself when its parts are opened again a second time.
//! A version that is wrong may say by chance what the partner owes and this region does not: then it misleads. What
//! comes after the input of a region ended came too late to act on. Knows the runs, and not what the service made of
//! them. Invariant: what is shown at a moment follows from what was given up to it.

use std::collections::{BTreeMap, BTreeSet};

use rewindow_query::{Identity, Row, Timestamp};
use rewindow_world::outcome::{Delivery, RecoveryReport, Run};
use rewindow_world::regions::{Faulty, Rollout, Upgrade, generations, horizon, whole};

/// By itself any version may be opened again; the one after so many shows it.
const RESTARTS_MAX: usize = 1;

/// Generations of shards, by openings: shard, first, one past the last.
type Generations = Vec<(usize, u32, u32)>;

/// What can be told of a version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Shown {
    /// When it first shows that something is wrong, in time.
    wrong: Option<Timestamp>,
    /// When it first counts as right: it has soaked, and said something that the partner said too.
    right: Option<Timestamp>,
}

impl Shown {
    /// Of the version that an upgrade brought to a region, beside its partner but for what those generations there gave.
    pub(super) fn of(
        own: &Run,
        partner: Option<(&Run, Generations)>,
        rollout: &Rollout,
        upgrade: &Upgrade,
    ) -> Shown {
        let (end, new) = (horizon(own), generations(own, 0));
        let whole = whole(own, 0);
        let in_time = upgrade.at.plus(rollout.down).plus(rollout.soak);
        let mut wrong: Vec<Timestamp> = Vec::new();
        if whole.is_none_or(|whole| whole > in_time) {
            wrong.push(in_time);
        }
        if let Some(Faulty::Crash { .. }) = upgrade.faulty {
            wrong.extend(restarts(own, &new).into_iter().nth(RESTARTS_MAX));
        }
        let mut right: Vec<Timestamp> = Vec::new();
        let all = rows_before(own.deliveries.iter(), end);
        let fresh = rows_before(own.deliveries.iter().filter(|d| is_of(d, &new)), end);
        let theirs = partner.as_ref().map_or_else(BTreeMap::new, |(partner, left_out)| {
            rows_before(partner.deliveries.iter().filter(|d| !is_of(d, left_out)), horizon(partner))
        });
        for (identity, (at, row)) in &theirs {
            match fresh.get(identity) {
                Some((given, own)) if own == row => right.push((*at).max(*given)),
                Some((given, _)) => wrong.push((*at).max(*given)),
                None => {}
            }
            // What was overdue when the version came is none of its doing.
            if at.plus(rollout.lag) > upgrade.at {
                let due = whole.map(|whole| whole.max(*at).plus(rollout.lag));
                let came = |due| all.get(identity).is_some_and(|&(given, _)| given <= due);
                wrong.extend(due.filter(|&due| !came(due)));
            }
        }
        let soaked = whole.map(|whole| whole.plus(rollout.soak));
        let right = right.into_iter().min().zip(soaked).map(|(at, soaked)| at.max(soaked));
        let wrong = wrong.into_iter().filter(|&at| at < end).min();
        // A version without fault is judged by its rows alone; an alarm over it does no harm.
        Shown { wrong: wrong.filter(|_| upgrade.faulty.is_some()), right: right.filter(|&at| at < end) }
    }

    /// The moment by which there must be an alarm: the version showed itself before it looked right.
    pub(super) fn must_be_noticed(&self) -> Option<Timestamp> {
        self.wrong.filter(|&wrong| self.right.is_none_or(|right| wrong <= right))
    }

    /// Whether it looked right before it showed itself.
    pub(super) fn misleads(&self) -> bool {
        self.right.is_some() && self.must_be_noticed().is_none()
    }
}

pub(super) fn is_of(delivery: &Delivery, generations: &[(usize, u32, u32)]) -> bool {
    let of = |&(shard, first, next): &(usize, u32, u32)| {
        shard == delivery.shard && (first..next).contains(&delivery.opened)
    };
    generations.iter().any(of)
}

/// When parts that write were opened again with the version that was theirs already.
fn restarts(run: &Run, new: &Generations) -> BTreeSet<Timestamp> {
    let again = |report: &&RecoveryReport| {
        let of = |&(shard, first, next): &(usize, u32, u32)| {
            shard == report.shard && first < report.generation && report.generation < next
        };
        report.role.writes() && new.iter().any(of)
    };
    run.recoveries.iter().filter(again).map(|report| report.at).collect()
}

/// Each row when it was first given, before an instant.
fn rows_before<'a>(
    deliveries: impl Iterator<Item = &'a Delivery>,
    end: Timestamp,
) -> BTreeMap<Identity, (Timestamp, &'a Row)> {
    let mut rows = BTreeMap::new();
    for delivery in deliveries.filter(|delivery| delivery.at < end) {
        for row in &delivery.rows {
            rows.entry(row.identity()).or_insert((delivery.at, row));
        }
    }
    rows
}
