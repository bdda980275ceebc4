//! A region as a case of its own: its log, its faults, its outages and the upgrades decided so far.
//!
//! An outage is the death of every node for as long. A new version that crashes is a node that dies again and
//! again until it is taken back. Invariant: upgrades are the only faults of the case that change the version, so
//! version `i` of a node is what upgrade `i` brought, counted from 1.

use rewindow_query::{Span, Timestamp};

use super::{Faulty, RegionsCase, Upgrade, fan};
use crate::case::{Case, Fault, FaultKind};

/// A node that crashes is back after this long.
const BACK_AFTER: Span = Span::seconds(1);

/// Most crashes of a version that nobody takes back; see `check.rs`.
pub(super) const CRASHES_MAX: usize = 200;

/// Until when a version that nobody takes back goes on crashing: everything else is over by then.
pub(super) fn crashes_until(case: &RegionsCase, region: usize) -> Timestamp {
    let own = &case.regions[region];
    let last = |fault: &Fault| match fault.kind {
        FaultKind::OsUpgrade { down } => {
            fault.at.plus(Span(down.0.saturating_mul(i64::from(case.base.deployment.nodes))))
        }
        FaultKind::NodeKill { down, .. } => fault.at.plus(down),
        _ => fault.at,
    };
    let sent = case.base.history.entries.iter().map(|entry| entry.arrival.plus(own.delay.1));
    let outages = own.outages.iter().map(|outage| outage.back);
    let all = sent.chain(outages).chain(own.faults.iter().map(last)).chain(case.rollout.iter().map(|r| r.at));
    let watched = case.rollout.as_ref().map_or(Span::ZERO, |rollout| rollout.soak.plus(rollout.soak));
    all.max().unwrap_or_default().plus(watched)
}

/// The case of one region with its upgrades, in the order in which they were decided.
pub(super) fn compile(case: &RegionsCase, region: usize, upgrades: &[&Upgrade]) -> Case {
    let own = &case.regions[region];
    let history = fan::fan(case, own);
    let nodes = case.base.deployment.nodes;
    let all = |at, down| (0..nodes).map(move |node| Fault { at, kind: FaultKind::NodeKill { node, down } });
    let mut faults = own.faults.clone();
    for outage in &own.outages {
        faults.extend(all(outage.at, outage.back.since(outage.at)));
    }
    for (index, upgrade) in upgrades.iter().enumerate() {
        let (readable, down) = (upgrade.readable, upgrade.down);
        faults.push(Fault { at: upgrade.at, kind: FaultKind::ServiceUpgrade { readable, down } });
        if let Some(Faulty::Crash { every }) = upgrade.faulty {
            // Whoever takes it back later than that has seen it without crashes since.
            let end = crashes_until(case, region);
            let until = upgrades.get(index + 1).map_or(end, |next| next.at.min(end));
            let first = upgrade.at.plus(upgrade.down).plus(every);
            let crashes = std::iter::successors(Some(first), |at| Some(at.plus(every)));
            let crashes = crashes.take(CRASHES_MAX).take_while(|&at| at < until);
            faults.extend(crashes.flat_map(|at| all(at, BACK_AFTER)));
        }
    }
    faults.sort_by_key(|fault| fault.at);
    Case { name: format!("{}, {}", case.base.name, own.name), history, faults, ..case.base.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::regions::{Rollout, file::tests::pair};

    /// A version is taken back by what was seen of it; more crashes before then would be others than were seen.
    #[test]
    fn what_takes_a_version_back_changes_nothing_before_it() {
        let mut case = pair(3);
        let at = case.base.history.entries[0].arrival;
        let (down, soak, lag) = (Span::seconds(1), Span::seconds(30), Span::seconds(1));
        let faulty = Some(Faulty::Crash { every: Span::seconds(5) });
        let batches = vec![0];
        case.rollout = Some(Rollout { at, batches, readable: true, down, soak, lag, faulty });
        let come = Upgrade { at, region: 0, readable: true, down, faulty, rollback: false };
        for after in [10, 60, 300] {
            let at = at.plus(Span::seconds(after));
            let gone = Upgrade { at, faulty: None, rollback: true, ..come.clone() };
            let before = |upgrades: &[&Upgrade]| -> Vec<Fault> {
                let faults = compile(&case, 0, upgrades).faults;
                faults.into_iter().filter(|fault| fault.at < at).collect()
            };
            assert_eq!(before(&[&come, &gone]), before(&[&come]), "{after} s later");
        }
    }
}
