//! The update service: one region after the other, and no further than it has reason to go.
//!
//! ```text
//!   upgrade A ── opened ──── soak ────┬─ evidence and no alarm ─→ upgrade B ── …
//!                  (looks at signals) └─ alarm ─→ stop, roll back, consumers leave A
//!                                     └─ neither ─→ waits
//! ```
//!
//! Alarms: a part of the job failed; it was opened again twice; a row that the partner gave is overdue; a row says
//! something else than the partner's. Evidence: a row of the new version that the partner gave alike. A region that
//! is gone cannot be upgraded: the service waits until it is back; and it takes a version back only when all parts
//! of the job have been opened with it. Everything is a fold over runs up to a moment: what is decided at a moment
//! changes nothing before it. Invariant: no two regions are upgraded at once.

use std::collections::{BTreeMap, BTreeSet};

use rewindow_query::{Identity, Row, Span, Timestamp, Why};

use super::{RegionPlant, RegionsCase, Rollout, Stage, Upgrade, generations, horizon};
use crate::error::CaseError;
use crate::outcome::{Delivery, Run, What};

/// Between what the service sees and what it does, so that what it saw has happened.
const REACTS_AFTER: Span = Span::seconds(1);

/// A restart by itself may happen to any version; so many may not.
const RESTARTS_MAX: usize = 1;

/// Something the service saw or did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Decision {
    /// When.
    pub at: Timestamp,
    /// In which region.
    pub region: usize,
    /// What.
    pub what: Signal,
}

/// What the service saw or did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signal {
    /// It upgraded the region.
    Upgraded,
    /// The region has soaked, and there is evidence that it is well.
    Good,
    /// Something is wrong: the rollout is stopped, and consumers are told to leave the region.
    Alarm(Alarm),
    /// It took the version back.
    RolledBack,
    /// Until the end there was neither an alarm nor evidence: the rollout rests.
    Rests,
}

/// What is wrong.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Alarm {
    /// A part of the job failed or panicked.
    Failed,
    /// Parts of the job had to be opened again and again.
    Restarts,
    /// The partner gave a row that this region still lacks.
    Behind,
    /// A row says something else than the partner's of the same identity.
    Disagrees,
}

impl Alarm {
    /// In words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Alarm::Failed => "failed",
            Alarm::Restarts => "restarts again and again",
            Alarm::Behind => "is behind its partner",
            Alarm::Disagrees => "disagrees with its partner",
        }
    }
}

/// Rolls out, batch after batch.
pub(super) fn roll_out(
    stage: &mut Stage<'_>,
    plant: Option<RegionPlant>,
) -> Result<Vec<Decision>, CaseError> {
    let Some(rollout) = &stage.case.rollout else { return Ok(Vec::new()) };
    let mut decisions = Vec::new();
    let mut at = rollout.at;
    for (batch, &region) in rollout.batches.iter().enumerate() {
        let here = reachable(stage.case, region, at);
        if plant == Some(RegionPlant::BatchesTogether) && batch > 0 {
            // What was done in the first batch was done to all.
            break;
        }
        let members = match plant {
            Some(RegionPlant::BatchesTogether) => &rollout.batches[..],
            _ => &rollout.batches[batch..=batch],
        };
        for &member in members {
            stage.upgrade(first(rollout, member, reachable(stage.case, member, at)))?;
            decisions.push(Decision { at: here, region: member, what: Signal::Upgraded });
        }
        let seen = look(stage, rollout, region);
        let what = match seen {
            _ if plant == Some(RegionPlant::RolloutNeverStops) => {
                at = here.plus(rollout.down).plus(rollout.soak);
                continue;
            }
            Seen { alarm: Some((when, alarm)), good } if good.is_none_or(|good| when <= good) => {
                (when, Signal::Alarm(alarm))
            }
            Seen { good: Some(when), .. } => (when, Signal::Good),
            Seen { .. } => (here, Signal::Rests),
        };
        decisions.push(Decision { at: what.0, region, what: what.1 });
        match what {
            (when, Signal::Good) => at = when.plus(REACTS_AFTER),
            (when, Signal::Alarm(_)) => {
                roll_back(stage, rollout, when.plus(REACTS_AFTER), &mut decisions)?;
                break;
            }
            _ => break,
        }
    }
    Ok(decisions)
}

fn first(rollout: &Rollout, region: usize, at: Timestamp) -> Upgrade {
    let Rollout { readable, down, faulty, .. } = *rollout;
    Upgrade { at, region, readable, down, faulty, rollback: false }
}

/// Every region that has the version loses it. What a version that is taken back has saved is not read.
fn roll_back(
    stage: &mut Stage<'_>,
    rollout: &Rollout,
    at: Timestamp,
    decisions: &mut Vec<Decision>,
) -> Result<(), CaseError> {
    let regions: Vec<usize> = stage.upgrades.iter().map(|upgrade| upgrade.region).collect();
    for region in regions {
        // Where a part never opens, nothing can be taken back.
        let Some(opened) = opened(&stage.runs[region], 0) else { continue };
        let at = reachable(stage.case, region, at.max(opened.plus(REACTS_AFTER)));
        let (down, readable) = (rollout.down, false);
        stage.upgrade(Upgrade { at, region, readable, down, faulty: None, rollback: true })?;
        decisions.push(Decision { at, region, what: Signal::RolledBack });
    }
    Ok(())
}

/// The first moment from `at` on at which a region can be worked at.
fn reachable(case: &RegionsCase, region: usize, at: Timestamp) -> Timestamp {
    let outages = &case.regions[region].outages;
    outages.iter().fold(at, |at, outage| {
        let gone = outage.at <= at && at < outage.back.plus(REACTS_AFTER);
        if gone { outage.back.plus(REACTS_AFTER) } else { at }
    })
}

/// When the last part of a job was opened after the `number`th version change of its region, from 0; `None` if a
/// part never was that is not gone for good.
pub(super) fn opened(run: &Run, number: usize) -> Option<Timestamp> {
    let openings = |step: &&crate::outcome::Step| matches!(step.what, What::Opened(_));
    let task = |step: &crate::outcome::Step| Some((step.shard?, step.task));
    let parts: BTreeSet<_> = run.trace.iter().filter(openings).filter_map(task).collect();
    let mut last = None;
    for part in parts {
        let upgraded = |step: &&crate::outcome::Step| {
            task(step) == Some(part) && matches!(step.what, What::Opened(Why::AfterUpgrade { .. }))
        };
        match run.trace.iter().filter(upgraded).nth(number) {
            Some(step) => last = last.max(Some(step.at)),
            None if is_gone(run, part.0) => {}
            None => return None,
        }
    }
    last
}

/// Whether a part is never opened again.
fn is_gone(run: &Run, part: usize) -> bool {
    run.refused.iter().any(|(shard, _)| *shard == part)
        || run.panicked.as_ref().is_some_and(|panicked| panicked.shard == part)
        || run.failures.iter().filter(|failed| failed.shard == part).count() > 1
}

/// What the service sees of an upgraded region, each with the first moment at which it can be seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Seen {
    alarm: Option<(Timestamp, Alarm)>,
    /// It has soaked and there is evidence.
    good: Option<Timestamp>,
}

fn look(stage: &Stage<'_>, rollout: &Rollout, region: usize) -> Seen {
    let partner = (0..stage.runs.len()).find(|&other| other != region);
    let (own, partner) = (&stage.runs[region], partner.map(|partner| &stage.runs[partner]));
    signals(own, partner, rollout)
        .map_or(Seen { alarm: None, good: None }, |(alarm, good)| Seen { alarm, good })
}

/// The first alarm, and the moment from which on a region counts as well; `None` if it was never opened.
#[allow(clippy::type_complexity, reason = "two moments, either of which may never come")]
pub fn signals(
    own: &Run,
    partner: Option<&Run>,
    rollout: &Rollout,
) -> Option<(Option<(Timestamp, Alarm)>, Option<Timestamp>)> {
    let opened = opened(own, 0)?;
    let new = generations(own, 0);
    let is_new = |shard: usize, generation: u32| {
        new.iter().any(|&(s, from, until)| s == shard && (from..until).contains(&generation))
    };
    let new_rows = first_seen(own, |delivery| is_new(delivery.shard, delivery.opened));
    let all_rows = first_seen(own, |_| true);
    let mut alarms: Vec<(Timestamp, Alarm)> = Vec::new();
    let failed = own.failures.iter().filter(|f| is_new(f.shard, f.generation)).map(|f| f.at);
    let panicked = own.panicked.iter().filter(|p| is_new(p.shard, p.generation)).map(|p| p.at);
    alarms.extend(failed.chain(panicked).map(|at| (at, Alarm::Failed)));
    let again = own.recoveries.iter().filter(|r| {
        // Not the opening that brought the new version.
        r.role.writes()
            && is_new(r.shard, r.generation)
            && !new.iter().any(|n| (n.0, n.1) == (r.shard, r.generation))
    });
    let again: BTreeSet<Timestamp> = again.map(|report| report.at).collect();
    alarms.extend(again.iter().nth(RESTARTS_MAX).map(|&at| (at, Alarm::Restarts)));
    let mut evidence = match partner {
        Some(_) => None,
        None => new_rows.values().map(|&(at, _)| at).min(),
    };
    let mut disagrees = Timestamp::MAX;
    let partner_rows = partner.map_or_else(BTreeMap::new, |partner| first_seen(partner, |_| true));
    for (identity, &(theirs_at, theirs)) in &partner_rows {
        match new_rows.get(identity) {
            Some(&(at, row)) if row == theirs => {
                let at = at.max(theirs_at);
                evidence = Some(evidence.map_or(at, |known: Timestamp| known.min(at)));
            }
            // Both rows came before the end of their inputs, if not of each other's.
            Some(&(at, _)) => disagrees = disagrees.min(at.max(theirs_at)),
            None => {
                let due = theirs_at.plus(rollout.lag);
                let came = all_rows.get(identity).is_some_and(|&(at, _)| at <= due);
                if theirs_at >= opened && !came {
                    alarms.push((due, Alarm::Behind));
                }
            }
        }
    }
    let end = horizon(own);
    let disagrees = Some((disagrees, Alarm::Disagrees)).filter(|&(at, _)| at < Timestamp::MAX);
    let alarm = alarms.into_iter().filter(|&(at, _)| at < end).chain(disagrees).min();
    let good = evidence.map(|at| at.max(opened.plus(rollout.soak))).filter(|&at| at < end);
    Some((alarm, good))
}

/// Each row when it was first given, as far as that was before the end of the input.
fn first_seen(run: &Run, which: impl Fn(&Delivery) -> bool) -> BTreeMap<Identity, (Timestamp, &Row)> {
    let end = horizon(run);
    let mut seen = BTreeMap::new();
    for delivery in run.deliveries.iter().filter(|delivery| delivery.at < end && which(delivery)) {
        for row in &delivery.rows {
            seen.entry(row.identity()).or_insert((delivery.at, row));
        }
    }
    seen
}
