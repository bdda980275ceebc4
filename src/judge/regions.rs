//! Claim 9, *regions*: what the consumer of a pair holds, and how far a new version got.
//!
//! It knows what each region owes ([`Truth`] of its own log) and what was played. A region is *hurt* if it was ever
//! gone, failed, announced a gap, ran a faulty version or had the alarm raised over it. The promise (`docs/regions.md`):
//!
//! - a row the consumer holds is one that the region it came from owes, to the bit;
//! - each identity is held once;
//! - an identity that every region owes is held.
//!
//! If some region was never hurt, without exception; else outside the announced gaps and what was given by versions
//! taken back. Each region by itself is judged as a job of one region is; a version that is wrong or stalls is excused
//! for what it did while it ran (`Excused`). That it shows itself and nobody acts is a breach of its own
//! (`shown.rs`), so what it did unseen is nobody's. Invariant: the verdict is a function of (truths, case, played).

use std::collections::{BTreeMap, BTreeSet};

use rewindow_query::{Failure, Identity, Row, Timestamp, Why};
use rewindow_world::outcome::Delivery;
use rewindow_world::regions::{Faulty, Held, Played, RegionsCase, Signal, Upgrade, generations};

use super::answers::Allowed;
use super::excused::Excused;
use super::shown::{Shown, is_of};
use super::{Breach, Claim, Kind, Level, Truth, Verdict, judge_but, level};

/// What there is to say of a pair that held.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PairHeld {
    /// Rows the consumer holds.
    pub rows: u64,
    /// Rows it left aside because it had them.
    pub deduped: u64,
    /// Changes of region.
    pub switches: u64,
    /// Whether all regions owe the same rows.
    pub alike: bool,
    /// Whether some region was never hurt.
    pub unhurt: bool,
    /// Rollouts stopped by an alarm.
    pub stopped: u64,
    /// Of each output, the level at which the consumer has the rows that all regions owe alike.
    pub levels: Vec<Level>,
}

/// Judges what was played of a case; `truths` are those of the regions' own cases.
///
/// # Errors
/// The first breach.
pub fn judge_pair(truths: &[Truth], case: &RegionsCase, played: &Played) -> Result<PairHeld, Box<Breach>> {
    let pair = Pair::of(truths, case, played);
    let breach = pair.both_upgraded().or_else(|| pair.unnoticed()).or_else(|| pair.region_broken());
    let breach = breach.or_else(|| pair.disagree()).or_else(|| pair.held_wrong());
    let breach = breach.or_else(|| pair.repeated()).or_else(|| pair.lost());
    if let Some(breach) = breach {
        return Err(Box::new(breach));
    }
    let alarms = played.decisions.iter().filter(|decision| matches!(decision.what, Signal::Alarm(_)));
    Ok(PairHeld {
        rows: played.consumer.rows.len() as u64,
        deduped: played.consumer.deduped,
        switches: played.consumer.switches.len() as u64,
        alike: truths.windows(2).all(|two| two[0].answer.rows == two[1].answer.rows),
        unhurt: pair.regions.iter().any(|region| !region.hurt),
        stopped: alarms.count() as u64,
        levels: pair.levels(),
    })
}

/// What a region went through.
struct Seen {
    allowed: Allowed,
    hurt: bool,
    faulty: Option<Faulty>,
    /// The first alarm.
    alarmed: Option<Timestamp>,
    /// What a faulty version did.
    excused: Excused,
    /// What was given by a version taken back, as spans of each shard.
    taken_back: Vec<(usize, Timestamp, Timestamp)>,
}

struct Pair<'a> {
    truths: &'a [Truth],
    case: &'a RegionsCase,
    played: &'a Played,
    regions: Vec<Seen>,
    /// Rows from here on are nobody's: a job had to fail, or every one failed.
    until: Timestamp,
}

impl<'a> Pair<'a> {
    fn of(truths: &'a [Truth], case: &'a RegionsCase, played: &'a Played) -> Pair<'a> {
        let owed = truths.iter().filter_map(|truth| truth.answer.failure.as_ref());
        let met: Vec<&Failure> = played.runs.iter().filter_map(|run| run.failure.as_ref()).collect();
        // One that a gap excuses in its region ends nothing for a consumer that can read the other.
        let met = if met.len() == played.runs.len() { met } else { Vec::new() };
        let until = owed.chain(met).map(|failure| failure.at).min().unwrap_or(Timestamp::MAX);
        let mut pair = Pair { truths, case, played, regions: Vec::new(), until };
        pair.regions = (0..truths.len()).map(|region| pair.seen(region)).collect();
        pair
    }

    fn seen(&self, region: usize) -> Seen {
        let (run, own) = (&self.played.runs[region], &self.case.regions[region]);
        let allowed = Allowed::of(&self.truths[region], run);
        let upgrade = self.played.upgrades.iter().find(|u| u.region == region && !u.rollback);
        let faulty = upgrade.and_then(|upgrade| upgrade.faulty);
        let alarm =
            |d: &&rewindow_world::regions::Decision| d.region == region && matches!(d.what, Signal::Alarm(_));
        let alarmed = self.played.decisions.iter().filter(alarm).map(|decision| decision.at).min();
        let new = generations(run, 0);
        let gaps = run.recoveries.iter().any(|report| !report.answer.gaps.is_empty());
        let fails = !run.failures.is_empty() || run.panicked.is_some() || !run.refused.is_empty();
        let taken_back = if alarmed.is_some() { self.taken_back(region, &new) } else { Vec::new() };
        Seen {
            allowed,
            hurt: !own.outages.is_empty() || gaps || faulty.is_some() || alarmed.is_some() || fails,
            faulty,
            alarmed,
            excused: Excused::of(run, faulty),
            taken_back,
        }
    }

    /// From the first row a version gave until the first that the next one must give.
    fn taken_back(&self, region: usize, new: &[(usize, u32, u32)]) -> Vec<(usize, Timestamp, Timestamp)> {
        let run = &self.played.runs[region];
        let span = |&(shard, first, next): &(usize, u32, u32)| {
            let given = run.deliveries.iter().filter(|d| is_of(d, &[(shard, first, next)]));
            let from = given.flat_map(|d| &d.rows).map(|row| row.timestamp).min()?;
            let rolled_back = run.recoveries.iter().find(|r| (r.shard, r.generation) == (shard, next));
            Some((shard, from, rolled_back.map_or(Timestamp::MAX, |report| report.output_from)))
        };
        new.iter().filter_map(span).collect()
    }

    /// Rules of the rollout: one member after the other, and no further than a fault shows.
    fn both_upgraded(&self) -> Option<Breach> {
        let rollout = self.case.rollout.as_ref()?;
        let mut upgrades = self.played.upgrades.iter().filter(|upgrade| !upgrade.rollback);
        let (first, second) = (upgrades.next()?, upgrades.next()?);
        let [one, two] = [first, second].map(|u| self.case.regions[u.region].name.as_str());
        let misled = self.shown(first.region).is_some_and(|shown| shown.misleads());
        let (kind, message) = if let Some(faulty) = rollout.faulty.filter(|_| !misled) {
            let message =
                format!("the new version is faulty ({}), and reached {one} and {two}", faulty.name());
            (Kind::BothFaulty, message)
        } else if !self.has_soaked(first.region, second.at) {
            let span = second.at.since(first.at);
            (Kind::UpgradedTogether, format!("{two} was upgraded {span} after {one}, which had not soaked"))
        } else {
            return None;
        };
        Some(self.breach(second.region, kind, None, second.at, message))
    }

    fn levels(&self) -> Vec<Level> {
        let outputs = self.truths.first().map_or(0, |truth| truth.plan.outputs.len());
        let level = |output| {
            let held = self.played.consumer.rows.iter().map(|held| &held.row);
            let held: Vec<&Row> = held.filter(|row| row.output == output).collect();
            level::of_consumer(self.truths, output, &held, self.until)
        };
        (0..outputs).map(level).collect()
    }

    /// Whether all parts of a region have run the new version for one soak.
    fn has_soaked(&self, region: usize, at: Timestamp) -> bool {
        let soak = self.case.rollout.as_ref().map(|rollout| rollout.soak);
        let whole = rewindow_world::regions::whole(&self.played.runs[region], 0);
        whole.zip(soak).is_some_and(|(whole, soak)| whole.plus(soak) <= at)
    }

    /// What shows of the version that a region was upgraded to.
    fn shown(&self, region: usize) -> Option<Shown> {
        let upgrade = self.played.upgrades.iter().find(|u| u.region == region && !u.rollback)?;
        let partner = (0..self.truths.len()).find(|&other| other != region).map(|other| {
            // What this one is compared with is not the same version.
            let after = |u: &&Upgrade| u.region == other && !u.rollback && u.at >= upgrade.at;
            let run = &self.played.runs[other];
            let left_out = self.played.upgrades.iter().find(after).map(|_| generations(run, 0));
            (run, left_out.unwrap_or_default())
        });
        Some(Shown::of(&self.played.runs[region], partner, self.case.rollout.as_ref()?, upgrade))
    }

    /// A faulty version that showed itself, and was not stopped then.
    fn unnoticed(&self) -> Option<Breach> {
        (0..self.truths.len()).find_map(|region| {
            let (seen, shown) = (&self.regions[region], self.shown(region)?);
            let at = shown.must_be_noticed().filter(|&at| seen.alarmed.is_none_or(|alarm| alarm > at))?;
            let name = &self.case.regions[region].name;
            let message = format!("the new version showed itself in {name}, and no alarm was raised by then");
            Some(self.breach(region, Kind::FaultUnnoticed, None, at, message))
        })
    }

    /// Each region by itself, as a job of one region is judged, but for what a faulty version did.
    fn region_broken(&self) -> Option<Breach> {
        (0..self.truths.len()).find_map(|region| {
            let (case, run) = (&self.played.cases[region], &self.played.runs[region]);
            let verdict = judge_but(&self.truths[region], case, run, &self.regions[region].excused);
            let Verdict::Broken(mut breach) = verdict else { return None };
            let name = &self.case.regions[region].name;
            breach.message = match breach.message.as_str() {
                "" => format!("in region {name}"),
                said => format!("in region {name}: {said}"),
            };
            Some(*breach)
        })
    }

    /// What two regions owe alike they must say alike.
    fn disagree(&self) -> Option<Breach> {
        let [one, two] = self.truths else { return None };
        let mut said: BTreeMap<Identity, &Row> = BTreeMap::new();
        for (region, truth) in self.truths.iter().enumerate() {
            for delivery in &self.played.runs[region].deliveries {
                let excused = self.regions[region].excused.wrote(delivery.shard, delivery.opened);
                for row in delivery.rows.iter().filter(|row| row.timestamp < self.until && !excused) {
                    let alike = matches!((owed(one, row), owed(two, row)), (Some(a), Some(b)) if a == b);
                    let shard = truth.find(row).map_or(delivery.shard, |owed| truth.shard_of(owed));
                    let gap =
                        self.regions[region].allowed.announced(shard, delivery.generation, row.timestamp);
                    if !alike || gap {
                        continue;
                    }
                    let known = *said.entry(row.identity()).or_insert(row);
                    if known != row {
                        let name = &self.case.regions[region].name;
                        let message = format!("{name} says otherwise than what was said before");
                        let mut breach = self.breach(
                            region,
                            Kind::RegionsDisagree,
                            Some(row.output),
                            row.timestamp,
                            message,
                        );
                        (breach.expected, breach.actual) = (owed(one, row).cloned(), Some(row.clone()));
                        return Some(breach);
                    }
                }
            }
        }
        None
    }

    /// Each row held must be owed by the region it came from.
    fn held_wrong(&self) -> Option<Breach> {
        self.played.consumer.rows.iter().find_map(|held| {
            let row = &held.row;
            let owed = owed(&self.truths[held.region], row);
            if owed == Some(row) || row.timestamp >= self.until || self.excused_held(held) {
                return None;
            }
            let message =
                format!("taken from {}, which does not owe it", self.case.regions[held.region].name);
            let kind = Kind::RegionsDisagree;
            let mut breach = self.breach(held.region, kind, Some(row.output), row.timestamp, message);
            (breach.expected, breach.actual) = (owed.cloned(), Some(row.clone()));
            Some(breach)
        })
    }

    fn excused_held(&self, held: &Held) -> bool {
        let seen = &self.regions[held.region];
        // Under alarm a consumer gives back what that version said; without, nobody could tell.
        let unseen = seen.alarmed.is_none() && seen.excused.wrote(held.shard, held.opened);
        let all_hurt = self.regions.iter().all(|region| region.hurt);
        unseen || (all_hurt && seen.allowed.announced(held.shard, held.generation, held.row.timestamp))
    }

    fn repeated(&self) -> Option<Breach> {
        let mut has = BTreeSet::new();
        let twice = self.played.consumer.rows.iter().find(|held| !has.insert(held.row.identity()))?;
        let message = format!("taken a second time, from {}", self.case.regions[twice.region].name);
        let (row, kind) = (&twice.row, Kind::ConsumerRepeated);
        let mut breach = self.breach(twice.region, kind, Some(row.output), row.timestamp, message);
        (breach.actual, breach.copy) = (Some(row.clone()), true);
        Some(breach)
    }

    /// Each identity that all regions owe must be held.
    fn lost(&self) -> Option<Breach> {
        let has: BTreeSet<Identity> =
            self.played.consumer.rows.iter().map(|held| held.row.identity()).collect();
        let all_hurt = self.regions.iter().all(|region| region.hurt);
        let (first, others) = self.truths.split_first()?;
        first.answer.rows.iter().enumerate().find_map(|(index, row)| {
            let owed_by_all = others.iter().all(|truth| truth.find(row).is_some());
            if !owed_by_all || row.timestamp >= self.until || has.contains(&row.identity()) {
                return None;
            }
            let shard = first.shard_of(index);
            if (all_hurt && self.in_doubt(shard, row.timestamp)) || self.withheld(shard, row) {
                return None;
            }
            let message = "every region owes it, and the consumer does not have it".to_owned();
            let mut breach = self.breach(0, Kind::ConsumerLost, Some(row.output), row.timestamp, message);
            breach.expected = Some(row.clone());
            Some(breach)
        })
    }

    /// Whether some region announced a gap there, or gave it by a version that was taken back.
    fn in_doubt(&self, shard: usize, at: Timestamp) -> bool {
        self.regions.iter().any(|region| {
            let span =
                |&(s, from, until): &(usize, Timestamp, Timestamp)| s == shard && from <= at && at < until;
            region.allowed.announced_ever(shard, at) || region.taken_back.iter().any(span)
        })
    }

    /// The consumer reads to the end a region in which a version stalls that nobody could tell in time, and which owes
    /// the row only since.
    fn withheld(&self, shard: usize, row: &Row) -> bool {
        let using = self.played.consumer.switches.last().map_or(0, |switch| switch.to);
        let Some(seen) = self.regions.get(using) else { return false };
        let given = |delivery: &Delivery| delivery.shard == shard && delivery.rows.contains(row);
        seen.faulty == Some(Faulty::Stall)
            && seen.alarmed.is_none()
            && seen.excused.absent(shard, row.timestamp, false)
            && !self.played.runs[using].deliveries.iter().any(given)
    }

    fn breach(
        &self,
        region: usize,
        kind: Kind,
        output: Option<usize>,
        at: Timestamp,
        message: String,
    ) -> Breach {
        let mut breach = self.truths[region].breach(Claim::Regions, kind, output, None, at, message);
        let last = self.played.runs[region].recoveries.iter().rfind(|r| r.at <= at || r.why != Why::Fresh);
        breach.fault = last.map(|report| report.fault);
        breach
    }
}

/// The owed row of a row's identity.
fn owed<'t>(truth: &'t Truth, row: &Row) -> Option<&'t Row> {
    truth.find(row).map(|owed| &truth.answer.rows[owed])
}
