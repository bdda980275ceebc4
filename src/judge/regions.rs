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
//! taken back. What a faulty version did in a way that nobody could have seen before the input ended is nobody's
//! breach. Invariant: the verdict is a function of (truths, case, played).

use std::collections::{BTreeMap, BTreeSet};

use rewindow_query::{Identity, Row, Timestamp, Why};
use rewindow_world::outcome::Delivery;
use rewindow_world::regions::{Faulty, Held, Played, RegionsCase, Signal, generations, horizon};

use super::answers::Allowed;
use super::{Breach, Claim, Kind, Truth, Verdict, judge};

/// What there is to say of a pair that held.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
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
}

/// Judges what was played of a case; `truths` are those of the regions' own cases.
///
/// # Errors
/// The first breach.
pub fn judge_pair(truths: &[Truth], case: &RegionsCase, played: &Played) -> Result<PairHeld, Box<Breach>> {
    let pair = Pair::of(truths, case, played);
    let breach = pair.both_upgraded().or_else(|| pair.region_broken());
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
    })
}

/// What a region went through.
struct Seen {
    allowed: Allowed,
    hurt: bool,
    faulty: Option<Faulty>,
    alarmed: bool,
    /// Generations of a faulty version: shard, first, one past the last.
    faulty_generations: Vec<(usize, u32, u32)>,
    /// The faulty version did nothing that could have been seen in time, or what it did looked right.
    unseen: bool,
    /// What was given by a version taken back, as spans of each shard.
    taken_back: Vec<(usize, Timestamp, Timestamp)>,
}

struct Pair<'a> {
    truths: &'a [Truth],
    case: &'a RegionsCase,
    played: &'a Played,
    regions: Vec<Seen>,
    /// Rows from here on are nobody's: a job failed.
    until: Timestamp,
}

impl<'a> Pair<'a> {
    fn of(truths: &'a [Truth], case: &'a RegionsCase, played: &'a Played) -> Pair<'a> {
        let owed = truths.iter().filter_map(|truth| truth.answer.failure.as_ref());
        let met = played.runs.iter().filter_map(|run| run.failure.as_ref());
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
        let alarms = self.played.decisions.iter().filter(|d| d.region == region);
        let alarmed = alarms.clone().any(|decision| matches!(decision.what, Signal::Alarm(_)));
        let new = generations(run, 0);
        let gaps = run.recoveries.iter().any(|report| !report.answer.gaps.is_empty());
        let fails = !run.failures.is_empty() || run.panicked.is_some() || !run.refused.is_empty();
        let faulty_generations = if faulty.is_some() { new.clone() } else { Vec::new() };
        let taken_back = if alarmed { self.taken_back(region, &new) } else { Vec::new() };
        Seen {
            allowed,
            hurt: !own.outages.is_empty() || gaps || faulty.is_some() || alarmed || fails,
            faulty,
            alarmed,
            unseen: faulty.is_some()
                && !alarmed
                && (!self.could_be_seen(region, &new)
                    || (faulty == Some(Faulty::Wrong) && self.looks_right(region, &new))),
            faulty_generations,
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

    /// Whether a row that is wrong or overdue could have been told from the partner's before the input ended.
    fn could_be_seen(&self, region: usize, new: &[(usize, u32, u32)]) -> bool {
        let (Some(rollout), Some(partner)) = (&self.case.rollout, self.other(region)) else { return false };
        let (own, other) = (&self.played.runs[region], &self.played.runs[partner]);
        let mine = rows_before(own.deliveries.iter(), horizon(own));
        let fresh = rows_before(own.deliveries.iter().filter(|d| is_of(d, new)), horizon(own));
        let opened =
            own.recoveries.iter().filter(|r| new.iter().any(|n| (n.0, n.1) == (r.shard, r.generation)));
        let opened = opened.map(|report| report.at).max().unwrap_or(Timestamp::MAX);
        rows_before(other.deliveries.iter(), horizon(other)).into_iter().any(|(identity, (at, theirs))| {
            let differs = fresh.get(&identity).is_some_and(|(_, row)| *row != theirs);
            let overdue = at >= opened && !mine.contains_key(&identity);
            differs || (overdue && at.plus(rollout.lag) < horizon(own))
        })
    }

    /// Whether a row of the new version is the partner's, which where it is wrong can only be because the partner
    /// owes another one: evidence that misleads everybody.
    fn looks_right(&self, region: usize, new: &[(usize, u32, u32)]) -> bool {
        let Some(partner) = self.other(region) else { return true };
        let (own, other) = (&self.played.runs[region], &self.played.runs[partner]);
        let fresh = rows_before(own.deliveries.iter().filter(|d| is_of(d, new)), horizon(own));
        let new_there = generations(other, 0);
        let theirs = other.deliveries.iter().filter(|delivery| !is_of(delivery, &new_there));
        let theirs = rows_before(theirs, horizon(other));
        fresh.iter().any(|(identity, (_, row))| theirs.get(identity).is_some_and(|(_, theirs)| theirs == row))
    }

    fn other(&self, region: usize) -> Option<usize> {
        (0..self.truths.len()).find(|&other| other != region)
    }

    /// Rules of the rollout: one member after the other, and no further than a fault shows.
    fn both_upgraded(&self) -> Option<Breach> {
        let rollout = self.case.rollout.as_ref()?;
        let mut upgrades = self.played.upgrades.iter().filter(|upgrade| !upgrade.rollback);
        let (first, second) = (upgrades.next()?, upgrades.next()?);
        let [one, two] = [first, second].map(|u| self.case.regions[u.region].name.as_str());
        let misled = rollout.faulty == Some(Faulty::Wrong)
            && self.looks_right(first.region, &generations(&self.played.runs[first.region], 0));
        let (kind, message) = if let Some(faulty) = rollout.faulty.filter(|_| !misled) {
            let message =
                format!("the new version is faulty ({}), and reached {one} and {two}", faulty.name());
            (Kind::BothFaulty, message)
        } else if second.at < first.at.plus(rollout.down).plus(rollout.soak) {
            let span = second.at.since(first.at);
            (Kind::UpgradedTogether, format!("{two} was upgraded {span} after {one}, which had not soaked"))
        } else {
            return None;
        };
        Some(self.breach(second.region, kind, None, second.at, message))
    }

    /// Each region by itself, as a job of one region is judged. A version that says wrong things or nothing is
    /// judged by what came of it.
    fn region_broken(&self) -> Option<Breach> {
        (0..self.truths.len()).find_map(|region| {
            if matches!(self.regions[region].faulty, Some(Faulty::Stall | Faulty::Wrong)) {
                return None;
            }
            let (case, run) = (&self.played.cases[region], &self.played.runs[region]);
            let Verdict::Broken(mut breach) = judge(&self.truths[region], case, run) else { return None };
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
                let excused = self.excused_faulty(region, delivery.shard, delivery.opened);
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

    /// What a faulty version said is excused where it was stopped, or could not be seen.
    fn excused_faulty(&self, region: usize, shard: usize, generation: u32) -> bool {
        let seen = &self.regions[region];
        let of = |&(s, first, next): &(usize, u32, u32)| s == shard && (first..next).contains(&generation);
        seen.faulty_generations.iter().any(of) && (seen.alarmed || seen.unseen)
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
        let unseen = seen.unseen && self.excused_faulty(held.region, held.shard, held.opened);
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

    /// A version that stalls so near the end of the input that nobody could see it.
    fn withheld(&self, shard: usize, row: &Row) -> bool {
        self.regions.iter().enumerate().any(|(region, seen)| {
            let of_shard = |delivery: &&Delivery| delivery.shard == shard;
            let mut given = self.played.runs[region].deliveries.iter().filter(of_shard).flat_map(|d| &d.rows);
            seen.unseen && seen.faulty == Some(Faulty::Stall) && !given.any(|own| own == row)
        })
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

fn is_of(delivery: &Delivery, generations: &[(usize, u32, u32)]) -> bool {
    let of = |&(shard, first, next): &(usize, u32, u32)| {
        shard == delivery.shard && (first..next).contains(&delivery.opened)
    };
    generations.iter().any(of)
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
