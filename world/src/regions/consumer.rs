//! The consumer: reads the primary, leaves it when it is in trouble, takes it back after it caught up.
//!
//! A sink keeps what it was given, so the consumer may read what came before. It keeps, for each output and
//! partition, a mark: the largest timestamp it has read. Rows before the mark it has; at the mark and behind it dedupes by
//! the set of identities, never by the largest one.
//!
//! | signal of the region in use | it |
//! |---|---|
//! | gone, a part failed, the update service raised the alarm | switches, if the other can be read |
//! | a gap was announced that the mark has not passed | switches, if the other can be read and has none |
//! | another region is in use, the primary can be read, all its parts have caught up, and the mark has passed every gap it announced | takes it back |
//! | the alarm was raised | gives back what it took of that version, whose rows may be wrong, and sets the mark back |
//!
//! It does not know the right rows. Invariant: what it holds has each identity once.

use std::collections::{BTreeMap, BTreeSet};

use rewindow_query::{Gap, Identity, Plan, Row, Timestamp};

use super::service::{Decision, Signal, whole};
use super::{RegionPlant, RegionsCase, Upgrade, generations};
use crate::outcome::Run;

/// What a consumer did and holds.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Consumed {
    /// The rows it holds, in the order in which it took them.
    pub rows: Vec<Held>,
    /// When it changed the region, in order.
    pub switches: Vec<Switch>,
    /// Rows it left aside because it had them.
    pub deduped: u64,
    /// Rows it took and gave back, because a faulty version had made them.
    pub withdrawn: u64,
}

/// A row a consumer holds.
#[derive(Clone, PartialEq, Debug)]
pub struct Held {
    /// The row.
    pub row: Row,
    /// From which region.
    pub region: usize,
    /// Of which shard there.
    pub shard: usize,
    /// Of which generation of that shard.
    pub generation: u32,
    /// The same when the task that wrote it was opened.
    pub opened: u32,
    /// When the region gave it.
    pub given: Timestamp,
    /// When it was taken.
    pub taken: Timestamp,
}

/// A change of region.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Switch {
    /// When.
    pub at: Timestamp,
    /// To which region.
    pub to: usize,
    /// Why.
    pub why: Why,
}

/// Why a consumer changes the region.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// The one in use is gone.
    Gone,
    /// A part of the job failed there.
    Failed,
    /// The update service raised the alarm.
    Alarm,
    /// It announced a gap.
    Gap,
    /// The primary is back and has caught up.
    PrimaryBack,
}

impl Why {
    /// In words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Why::Gone => "region gone",
            Why::Failed => "a part failed",
            Why::Alarm => "alarm of the update service",
            Why::Gap => "gap announced",
            Why::PrimaryBack => "primary caught up",
        }
    }
}

/// What a consumer hears; the order of the variants is the order within an instant.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Event {
    Back,
    Gone,
    /// Index of the recovery.
    Opened(usize),
    Alarm,
    RolledBack,
    /// Index of the delivery.
    Given(usize),
    /// A shard and its generation.
    Level(usize, u32),
    Failed(usize),
}

/// What a consumer knows of a region.
struct Known<'a> {
    run: &'a Run,
    gone: bool,
    alarmed: bool,
    failed: BTreeSet<usize>,
    /// Parts that are catching up, with the generation.
    catching: BTreeMap<usize, u32>,
    /// Of each shard what it announced, what a version taken back leaves open included.
    gaps: Vec<(usize, Gap)>,
    /// Deliveries so far.
    stored: usize,
    /// Generations whose rows are not to be believed.
    wrong: Vec<(usize, u32, u32)>,
}

struct Consumer<'a> {
    regions: Vec<Known<'a>>,
    /// Of each shard the outputs it gives, and its partition.
    owns: Vec<(Vec<usize>, Option<u32>)>,
    using: usize,
    now: Timestamp,
    marks: BTreeMap<(usize, Option<u32>), Timestamp>,
    has: BTreeSet<Identity>,
    plant: Option<RegionPlant>,
    done: Consumed,
}

/// Reads the sinks of all regions as they fill.
pub(super) fn consume(
    case: &RegionsCase,
    plan: &Plan,
    runs: &[Run],
    upgrades: &[Upgrade],
    decisions: &[Decision],
    plant: Option<RegionPlant>,
) -> Consumed {
    let known = |run| Known {
        run,
        gone: false,
        alarmed: false,
        failed: BTreeSet::new(),
        catching: BTreeMap::new(),
        gaps: Vec::new(),
        stored: 0,
        wrong: Vec::new(),
    };
    let partitions = case.base.partitions(plan).unwrap_or_default();
    let shards = plan.shards(&partitions);
    let mut consumer = Consumer {
        regions: runs.iter().map(known).collect(),
        owns: shards.into_iter().map(|shard| (shard.outputs, shard.partition)).collect(),
        using: 0,
        now: Timestamp::MIN,
        marks: BTreeMap::new(),
        has: BTreeSet::new(),
        plant,
        done: Consumed::default(),
    };
    let mut events = Vec::new();
    for (region, run) in runs.iter().enumerate() {
        events
            .extend(heard(case, run, region, upgrades, decisions).into_iter().map(|(at, e)| (at, e, region)));
    }
    events.sort();
    for (at, event, region) in events {
        assert!(at >= consumer.now, "time never goes back");
        consumer.now = at;
        consumer.hear(region, event);
        consumer.choose();
    }
    consumer.done
}

/// Everything a consumer hears of one region.
fn heard(
    case: &RegionsCase,
    run: &Run,
    region: usize,
    upgrades: &[Upgrade],
    decisions: &[Decision],
) -> Vec<(Timestamp, Event)> {
    let outages = &case.regions[region].outages;
    let mut events: Vec<_> =
        outages.iter().flat_map(|o| [(o.at, Event::Gone), (o.back, Event::Back)]).collect();
    for (index, report) in run.recoveries.iter().enumerate() {
        events.push((report.at, Event::Opened(index)));
        let level = report.actual.map(|taken| report.at.plus(taken));
        events.extend(level.map(|at| (at, Event::Level(report.task, report.generation))));
    }
    events.extend(run.deliveries.iter().enumerate().map(|(index, d)| (d.at, Event::Given(index))));
    events.extend(run.failures.iter().map(|failed| (failed.at, Event::Failed(failed.shard))));
    events.extend(run.panicked.iter().map(|panicked| (panicked.at, Event::Failed(panicked.shard))));
    for decision in decisions.iter().filter(|decision| decision.region == region) {
        if let Signal::Alarm(_) = decision.what {
            events.push((decision.at, Event::Alarm));
        }
    }
    let changes = upgrades.iter().filter(|upgrade| upgrade.region == region);
    for (number, _) in changes.enumerate().filter(|(_, upgrade)| upgrade.rollback) {
        events.extend(whole(run, number).map(|at| (at, Event::RolledBack)));
    }
    events
}

impl Consumer<'_> {
    fn hear(&mut self, region: usize, event: Event) {
        let known = &mut self.regions[region];
        match event {
            Event::Back => known.gone = false,
            Event::Gone => {
                known.gone = true;
                // It has caught up when every part was opened again and has.
                known.catching = known.run.recoveries.iter().map(|report| (report.task, u32::MAX)).collect();
            }
            Event::Opened(index) => {
                let report = &known.run.recoveries[index];
                known.failed.remove(&report.shard);
                known.catching.insert(report.task, report.generation);
                known.gaps.extend(report.answer.gaps.iter().map(|&gap| (report.shard, gap)));
            }
            Event::Level(task, generation) => {
                if known.catching.get(&task) == Some(&generation) {
                    known.catching.remove(&task);
                }
            }
            Event::Failed(shard) => {
                known.failed.insert(shard);
            }
            Event::Alarm => {
                known.alarmed = true;
                known.wrong = generations(known.run, 0);
                self.give_back(region);
            }
            Event::RolledBack => {
                known.alarmed = false;
                // What that version gave will not be given again, and was not believed.
                for &(shard, _, next) in &known.wrong {
                    let report =
                        known.run.recoveries.iter().find(|r| (r.shard, r.generation) == (shard, next));
                    let until = report.map_or(Timestamp::MAX, |report| report.output_from);
                    known.gaps.push((shard, Gap { from: Timestamp::MIN, until }));
                }
            }
            Event::Given(index) => {
                known.stored = known.stored.max(index + 1);
                if self.using == region {
                    self.take(region, index, false);
                }
            }
        }
    }

    /// Which region to read from now on.
    fn choose(&mut self) {
        let Some(other) = (0..self.regions.len()).find(|&other| other != self.using) else { return };
        let careless = self.plant == Some(RegionPlant::TakenBackTooEarly);
        let clean = |region: usize| self.is_clean(region) || (careless && region == 0);
        let level = careless || self.regions[other].catching.is_empty();
        let (own, able) = (self.trouble(self.using), self.trouble(other).is_none());
        let why = match own {
            _ if !able => return,
            Some(why) => why,
            None if !clean(self.using) && clean(other) => Why::Gap,
            None if other == 0 && level && clean(other) => Why::PrimaryBack,
            None => return,
        };
        self.using = other;
        self.done.switches.push(Switch { at: self.now, to: other, why });
        self.read_stored(other);
    }

    /// Why a region cannot be read, or should not.
    fn trouble(&self, region: usize) -> Option<Why> {
        let known = &self.regions[region];
        match known {
            Known { gone: true, .. } => Some(Why::Gone),
            Known { alarmed: true, .. } => Some(Why::Alarm),
            Known { failed, .. } if !failed.is_empty() => Some(Why::Failed),
            _ => None,
        }
    }

    /// Whether the mark has passed all gaps of a region.
    fn is_clean(&self, region: usize) -> bool {
        self.regions[region].gaps.iter().all(|(shard, gap)| {
            let Some((outputs, partition)) = self.owns.get(*shard) else { return false };
            let passed = |&output: &usize| {
                self.marks.get(&(output, *partition)).is_some_and(|&mark| mark >= gap.until)
            };
            outputs.iter().all(passed)
        })
    }

    fn read_stored(&mut self, region: usize) {
        for index in 0..self.regions[region].stored {
            self.take(region, index, true);
        }
    }

    /// Takes the rows of a delivery that it does not have.
    fn take(&mut self, region: usize, index: usize, at_switch: bool) {
        let known = &self.regions[region];
        let delivery = &known.run.deliveries[index];
        let (shard, generation, opened) = (delivery.shard, delivery.generation, delivery.opened);
        if known.wrong.iter().any(|&(s, from, until)| s == shard && (from..until).contains(&opened)) {
            return;
        }
        let blind = at_switch && self.plant == Some(RegionPlant::FailoverNoDedupe);
        for row in &delivery.rows {
            let mark = self.marks.entry((row.output, row.partition)).or_insert(Timestamp::MIN);
            if row.timestamp < *mark || (!self.has.insert(row.identity()) && !blind) {
                self.done.deduped += 1;
                continue;
            }
            *mark = row.timestamp;
            let (given, taken) = (delivery.at, self.now);
            self.done.rows.push(Held { row: row.clone(), region, shard, generation, opened, given, taken });
        }
    }

    /// Gives back what it took of a version that was wrong, and reads again from there.
    fn give_back(&mut self, region: usize) {
        let wrong = self.regions[region].wrong.clone();
        let is_wrong = |held: &Held| {
            let of = |&(shard, from, until): &(usize, u32, u32)| {
                shard == held.shard && (from..until).contains(&held.opened)
            };
            held.region == region && wrong.iter().any(of)
        };
        for held in self.done.rows.extract_if(.., |held| is_wrong(held)) {
            self.done.withdrawn += 1;
            self.has.remove(&held.row.identity());
            let mark = self.marks.entry((held.row.output, held.row.partition)).or_insert(Timestamp::MIN);
            *mark = (*mark).min(held.row.timestamp);
        }
        self.read_stored(self.using);
    }
}
