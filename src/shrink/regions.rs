//! Shrinking pairs of regions: first what is between the regions, then the case that both share.
//!
//! The shared case is shrunk by the same passes as a case of one region. Invariant: the pair in hand always breaks
//! with the class it began with, and every step makes it simpler.

use rewindow_query::Span;
use rewindow_world::case::Case;
use rewindow_world::regions::{RegionPlant, RegionsCase};

use super::shrink;
use crate::judge::Breach;
use crate::regions::trial_pair;
use crate::trial::Maker;

/// Rounds over all passes.
const ROUNDS_MAX: usize = 4;

/// The smallest pair found that breaks in the same way, how it does, and how many were tried. `tries_max` bounds the
/// number tried.
pub fn shrink_pair(
    case: &RegionsCase,
    breach: &Breach,
    make: &Maker<'_>,
    plant: Option<RegionPlant>,
    tries_max: u64,
) -> (RegionsCase, Breach, u64) {
    let mut tries = 0;
    let class = breach.class();
    let mut breaks = |candidate: &RegionsCase| {
        if tries >= tries_max || candidate.check().is_err() {
            return None;
        }
        tries += 1;
        let (_, verdict) = trial_pair(candidate, make, plant).ok()?;
        verdict.err().map(|breach| *breach).filter(|breach| breach.class() == class)
    };
    let (mut best, mut found) = (case.clone(), breach.clone());
    for _ in 0..ROUNDS_MAX {
        let before = best.clone();
        while let Some((smaller, breach)) =
            simpler(&best).into_iter().find_map(|smaller| Some((smaller.clone(), breaks(&smaller)?)))
        {
            (best, found) = (smaller, breach);
        }
        let with = |base: &Case| {
            let mut smaller = best.clone();
            smaller.base = Case { faults: Vec::new(), ..base.clone() };
            let entries = base.history.entries.len();
            smaller.regions.iter_mut().for_each(|region| region.twice.retain(|&index| index < entries));
            smaller
        };
        let shrunk = shrink(&best.base, &found, &mut |base| breaks(&with(base)), tries_max);
        let smaller = with(&shrunk.case);
        if let Some(breach) = breaks(&smaller) {
            (best, found) = (smaller, breach);
        }
        if best == before {
            break;
        }
    }
    (best, found, tries)
}

/// Every way to make what is between the regions simpler by one step, most first.
fn simpler(case: &RegionsCase) -> Vec<RegionsCase> {
    let mut all = Vec::new();
    let mut try_with = |change: &dyn Fn(&mut RegionsCase)| {
        let mut smaller = case.clone();
        change(&mut smaller);
        if smaller != *case {
            all.push(smaller);
        }
    };
    try_with(&|smaller| smaller.rollout = None);
    for gone in 0..case.regions.len() {
        try_with(&|smaller| without(smaller, gone));
    }
    for region in 0..case.regions.len() {
        try_with(&|smaller| smaller.regions[region].faults.clear());
        try_with(&|smaller| smaller.regions[region].outages.clear());
        for fault in 0..case.regions[region].faults.len() {
            try_with(&|smaller| {
                smaller.regions[region].faults.remove(fault);
            });
        }
        for outage in 0..case.regions[region].outages.len() {
            try_with(&|smaller| {
                smaller.regions[region].outages.remove(outage);
            });
        }
        try_with(&|smaller| smaller.regions[region].twice.clear());
        try_with(&|smaller| smaller.regions[region].delay = (Span::ZERO, Span::ZERO));
        try_with(&|smaller| smaller.regions[region].delay.1 = smaller.regions[region].delay.0);
        try_with(&|smaller| smaller.regions[region].salt = 0);
    }
    try_with(&|smaller| smaller.rollout.iter_mut().for_each(|rollout| rollout.faulty = None));
    try_with(&|smaller| smaller.rollout.iter_mut().for_each(|rollout| rollout.down = Span::ZERO));
    try_with(&|smaller| smaller.rollout.iter_mut().for_each(|rollout| rollout.batches.truncate(1)));
    all
}

/// A pair of which one region is left, and the rollout only reaches that.
fn without(case: &mut RegionsCase, gone: usize) {
    if case.regions.len() < 2 {
        return;
    }
    case.regions.remove(gone);
    if let Some(rollout) = &mut case.rollout {
        rollout.batches.retain(|&region| region != gone);
        rollout.batches.iter_mut().for_each(|region| *region = 0);
    }
}
