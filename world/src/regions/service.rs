//! The update service: one region after the other, and no further than it has reason to go.
//!
//! ```text
//!   upgrade A ── opened ──── soak ────┬─ evidence and no alarm ─→ upgrade B ── …
//!                  (looks at signals) └─ alarm ─→ stop, roll back, consumers leave A
//!                                     └─ neither ─→ waits
//! ```
//!
//! A region is *whole* when every part of the job has been opened with the new version: before that nothing counts as
//! good, and one that is not whole within downtime and soak counts as ill. Alarms: that; a part of the job failed; it
//! was opened again twice; a row that the partner gave is overdue; a row says something else than the partner's.
//! All of that before its input ends: to take a version back later would undo that end.
//! Evidence: a row of the new version that the partner gave alike. A region that is gone cannot be upgraded: the
//! service waits until it is back. Everything is a fold over runs up to a moment: what is decided at a moment changes
//! nothing before it. Invariant: no two regions are upgraded at once.

use std::collections::{BTreeMap, BTreeSet};

use rewindow_query::{Identity, Row, Span, Timestamp};

use super::{RegionPlant, RegionsCase, Rollout, Stage, Upgrade, generations, horizon};
use crate::error::CaseError;
use crate::outcome::{Delivery, RecoveryReport, Run, What};

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
    /// Parts of the job were not there in time with the new version.
    NotWhole,
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
            Alarm::NotWhole => "is not whole in time",
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
        let seen = look(stage, rollout, region, here);
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
        let at = reachable(stage.case, region, at);
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

/// When the last part of a job was opened with the version that the `number`th version change of its region brought,
/// from 0, or a later one; `None` if a part never was that is not gone for good.
#[must_use]
pub fn whole(run: &Run, number: usize) -> Option<Timestamp> {
    let openings = |step: &&crate::outcome::Step| matches!(step.what, What::Opened(_));
    let task = |step: &crate::outcome::Step| Some((step.shard?, step.task));
    let parts: BTreeSet<_> = run.trace.iter().filter(openings).filter_map(task).collect();
    let mut last = None;
    for part in parts {
        let upgraded = |report: &&RecoveryReport| {
            let own = part.1.is_none_or(|task| report.task == task as usize);
            report.shard == part.0 && own && report.version as usize > number
        };
        match run.recoveries.iter().find(upgraded) {
            Some(report) => last = last.max(Some(report.at)),
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

/// `since` is when the region was upgraded.
fn look(stage: &Stage<'_>, rollout: &Rollout, region: usize, since: Timestamp) -> Seen {
    let partner = (0..stage.runs.len()).find(|&other| other != region).map(|partner| &stage.runs[partner]);
    let own = &stage.runs[region];
    let look = Look { own, partner, rollout, since, whole: whole(own, 0), new: generations(own, 0) };
    look.seen()
}

/// An upgraded region beside its partner.
struct Look<'a> {
    own: &'a Run,
    partner: Option<&'a Run>,
    rollout: &'a Rollout,
    since: Timestamp,
    whole: Option<Timestamp>,
    /// Generations of the new version.
    new: Vec<(usize, u32, u32)>,
}

impl Look<'_> {
    /// The first alarm, and the moment from which on the region counts as well.
    fn seen(&self) -> Seen {
        let new_rows = first_seen(self.own, |delivery| self.is_new(delivery.shard, delivery.opened));
        let all_rows = first_seen(self.own, |_| true);
        let mut alarms = self.of_the_region();
        let mut evidence = match self.partner {
            Some(_) => None,
            None => new_rows.values().map(|&(at, _)| at).min(),
        };
        let partner_rows = self.partner.map_or_else(BTreeMap::new, |partner| first_seen(partner, |_| true));
        for (identity, &(theirs_at, theirs)) in &partner_rows {
            // Whoever waits for a row does not know whether it will come after all, or what it will say.
            let first = all_rows.get(identity).map(|&(at, _)| at);
            alarms.extend(self.overdue(theirs_at, first).map(|at| (at, Alarm::Behind)));
            match new_rows.get(identity) {
                Some(&(at, row)) if row == theirs => earliest(&mut evidence, at.max(theirs_at)),
                Some(&(at, _)) => alarms.push((at.max(theirs_at), Alarm::Disagrees)),
                None => {}
            }
        }
        let end = horizon(self.own);
        let alarm = alarms.into_iter().filter(|&(at, _)| at < end).min();
        let soaked = self.whole.map(|whole| whole.plus(self.rollout.soak));
        let good = evidence.zip(soaked).map(|(at, soaked)| at.max(soaked)).filter(|&at| at < end);
        Seen { alarm, good }
    }

    fn is_new(&self, shard: usize, generation: u32) -> bool {
        self.new.iter().any(|&(s, from, until)| s == shard && (from..until).contains(&generation))
    }

    /// What can be told without its partner.
    fn of_the_region(&self) -> Vec<(Timestamp, Alarm)> {
        let own = self.own;
        let failed = own.failures.iter().filter(|f| self.is_new(f.shard, f.generation)).map(|f| f.at);
        let panicked = own.panicked.iter().filter(|p| self.is_new(p.shard, p.generation)).map(|p| p.at);
        let again = own.recoveries.iter().filter(|r| {
            // Not the opening that brought the new version.
            r.role.writes()
                && self.is_new(r.shard, r.generation)
                && !self.new.iter().any(|n| (n.0, n.1) == (r.shard, r.generation))
        });
        let again: BTreeSet<Timestamp> = again.map(|report| report.at).collect();
        let in_time = self.since.plus(self.rollout.down).plus(self.rollout.soak);
        let mut alarms: Vec<_> = failed.chain(panicked).map(|at| (at, Alarm::Failed)).collect();
        alarms.extend(again.iter().nth(RESTARTS_MAX).map(|&at| (at, Alarm::Restarts)));
        if self.whole.is_none_or(|whole| whole > in_time) {
            alarms.push((in_time, Alarm::NotWhole));
        }
        alarms
    }

    /// When a row that the partner gave becomes overdue. One that was overdue already
    /// when the version came is none of its doing; one that came before is there.
    fn overdue(&self, theirs: Timestamp, ours: Option<Timestamp>) -> Option<Timestamp> {
        let due = theirs.max(self.whole?).plus(self.rollout.lag);
        let late = ours.is_none_or(|ours| ours > due);
        (late && theirs.plus(self.rollout.lag) > self.since).then_some(due)
    }
}

fn earliest(known: &mut Option<Timestamp>, at: Timestamp) {
    *known = Some(known.map_or(at, |known| known.min(at)));
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
