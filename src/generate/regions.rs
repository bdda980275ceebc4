//! Pairs of regions for a job: delays, outages, faults of each, a rollout.
//!
//! Spans follow the length of the history, so that outages and soaks of any job lie inside it. Knows nothing of what
//! is right. Invariant: every case it makes passes [`RegionsCase::check`].

use rewindow_query::time::SECOND;
use rewindow_query::{Span, Timestamp};
use rewindow_world::case::{Case, SinkKind};
use rewindow_world::regions::{Faulty, Outage, Region, RegionsCase, Rollout};

use super::{Trouble, Vary, schedule, small_case};
use crate::choices::Choices;

/// What is set of regions, and does not vary. Nothing of it is needed.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct VaryRegions {
    /// Names; `primary` and `secondary` where there are none.
    pub names: Vec<String>,
    /// Longest delay of each, in that order; else chosen.
    pub delays: Vec<Span>,
    /// How long a batch is watched; else chosen.
    pub soak: Option<Span>,
    /// How much later than its partner a region may give a row; else chosen.
    pub lag: Option<Span>,
}

/// What strikes one region: the rest changes its version, what it owes or its nodes, and is for its rollout or for cases
/// of one region.
pub const STRIKING: [Trouble; 9] = [
    Trouble::NodeKill,
    Trouble::OsUpgrade,
    Trouble::Retention,
    Trouble::SinkUnavailable,
    Trouble::SinkAckLost,
    Trouble::Hang,
    Trouble::Slow,
    Trouble::Checkpoint,
    Trouble::Link,
];

/// A small case in two regions.
pub fn small_pair(choices: &mut dyn Choices) -> RegionsCase {
    let mut base = Case { faults: Vec::new(), ..small_case(choices) };
    // A consumer of two regions reads what they write, and removes copies itself.
    base.deployment.sink = SinkKind::Append;
    let Ok(plan) = crate::language::plan_of(&base) else {
        return pair(&base, &none(), &VaryRegions::default(), choices);
    };
    let vary = Vary::all(&plan, &base.ordering);
    pair(&base, &vary, &VaryRegions::default(), choices)
}

fn none() -> Vary {
    Vary {
        faults: Vec::new(),
        faults_max: 0,
        deployment: false,
        retention: false,
        slice: None,
        grids: Vec::new(),
        lookback: Span::ZERO,
    }
}

/// A job in two regions.
pub fn pair(base: &Case, vary: &Vary, regions: &VaryRegions, choices: &mut dyn Choices) -> RegionsCase {
    let may = |trouble: &&Trouble| STRIKING.contains(trouble);
    let own =
        Vary { faults: vary.faults.iter().filter(may).copied().collect(), faults_max: 2, ..vary.clone() };
    // One deployment for both, with the retention of a schedule; then the faults of each.
    let mut scene = schedule(base, &own, choices);
    // In stages only if the job is.
    scene.deployment.keyed = base.deployment.keyed;
    let still = Vary { deployment: false, retention: false, slice: None, ..own };
    let base = Case { faults: Vec::new(), ..scene };
    let arrivals = || base.history.entries.iter().map(|entry| entry.arrival);
    let begin = arrivals().min().unwrap_or(Timestamp(63_839_664_000 * SECOND));
    let length = arrivals().max().unwrap_or(begin).since(begin).0.max(10 * SECOND);
    let names = ["primary", "secondary"];
    let mut made = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let faults = match choices.weighted(&[2, 1]) {
            0 => Vec::new(),
            _ => schedule(&base, &still, choices).faults,
        };
        made.push(Region {
            name: regions.names.get(index).map_or_else(|| (*name).to_owned(), Clone::clone),
            delay: delay(regions.delays.get(index).copied(), choices),
            salt: u32::try_from(choices.draw(1_000)).unwrap_or(0),
            twice: twice(base.history.entries.len(), choices),
            outages: outages(begin, length, choices),
            faults,
        });
    }
    let rollout = choices.chance(2, 3).then(|| rollout(begin, length, regions, choices));
    let mut case = RegionsCase { base, regions: made, rollout };
    if choices.chance(1, 2) {
        keep_one(&mut case, choices);
    }
    // What crashes too often for the length of the case stalls instead.
    if case.check().is_err_and(|error| error.code == "case-rollout")
        && let Some(rollout) = &mut case.rollout
    {
        rollout.faulty = Some(Faulty::Stall);
    }
    case
}

/// What strikes by itself shows what comes of it.
fn keep_one(case: &mut RegionsCase, choices: &mut dyn Choices) {
    let kept = choices.index(4);
    if kept != 0 {
        case.rollout = None;
    }
    for region in &mut case.regions {
        if kept != 1 {
            region.outages.clear();
        }
        if kept != 2 {
            region.faults.clear();
        }
        if kept != 3 {
            region.twice.clear();
        }
    }
}

fn delay(set: Option<Span>, choices: &mut dyn Choices) -> (Span, Span) {
    if let Some(most) = set {
        return (Span::ZERO, most);
    }
    let least = [Span::ZERO, Span::seconds(1), Span(1), Span::seconds(4)];
    let more = [Span::ZERO, Span::seconds(1), Span::seconds(3), Span::seconds(20)];
    let least = *choices.pick(&least);
    (least, least.plus(*choices.pick(&more)))
}

/// Seldom: then regions owe different rows.
fn twice(entries: usize, choices: &mut dyn Choices) -> Vec<usize> {
    match choices.weighted(&[8, 1]) {
        1 if entries > 0 => vec![choices.index(entries)],
        _ => Vec::new(),
    }
}

fn outages(begin: Timestamp, length: i64, choices: &mut dyn Choices) -> Vec<Outage> {
    let mut outages = Vec::new();
    let mut from = begin;
    for _ in 0..choices.weighted(&[4, 3, 1]) {
        let at = from.plus(Span(choices.range(0, length)));
        let back = at.plus(match choices.weighted(&[2, 1]) {
            0 => Span(choices.range(0, length / 2)),
            _ => Span::seconds(1),
        });
        outages.push(Outage { at, back });
        from = back.plus(Span::TICK);
    }
    outages
}

fn rollout(begin: Timestamp, length: i64, regions: &VaryRegions, choices: &mut dyn Choices) -> Rollout {
    let at = begin.plus(Span(choices.range(0, length * 3 / 4)));
    let batches = match choices.weighted(&[3, 3, 1]) {
        0 => vec![1, 0],
        1 => vec![0, 1],
        _ => vec![choices.index(2)],
    };
    let soak = regions.soak.unwrap_or_else(|| Span((length / choices.range(3, 20)).max(SECOND)));
    let lag = regions.lag.unwrap_or_else(|| Span(choices.range(SECOND, length / 2)));
    let faulty = match choices.weighted(&[3, 2, 2, 2]) {
        0 => None,
        1 => Some(Faulty::Wrong),
        2 => Some(Faulty::Stall),
        _ => Some(Faulty::Crash { every: Span((soak.0 / 4).max(5 * SECOND)) }),
    };
    let down = *choices.pick(&[Span::seconds(1), Span::ZERO, Span::seconds(20)]);
    Rollout { at, batches, readable: choices.chance(1, 2), down, soak, lag, faulty }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choices::{Recorded, Seeded, Tape};

    #[test]
    fn every_pair_is_valid_can_be_written_down_and_is_made_again_from_its_tape() {
        for number in 0..400 {
            let mut seeded = Seeded::new(11, number);
            let mut recorded = Recorded::new(&mut seeded);
            let case = small_pair(&mut recorded);
            case.check().unwrap_or_else(|error| panic!("pair {number}: {error}\n{}", case.to_toml()));
            assert_eq!(small_pair(&mut Tape::new(&recorded.tape())), case, "pair {number}");
            assert_eq!(RegionsCase::from_toml(&case.to_toml()).as_ref(), Ok(&case), "pair {number}");
        }
    }
}
