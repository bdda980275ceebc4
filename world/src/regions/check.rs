//! Which cases of regions can be played: bounds, and what a region may not have of its own.
//!
//! Invariant: what passes can be played to its end, whatever is decided meanwhile.

use rewindow_query::Span;

use super::{Faulty, Region, RegionsCase, compile};
use crate::case::{FaultKind, SinkKind};
use crate::check::{Before, FAULTS_MAX, SPAN_MAX, within};
use crate::error::CaseError;

/// Longest delay of a region.
pub const DELAY_MAX: Span = Span::hours(24);
/// Most version changes of a region: the new one comes, and is taken back.
const UPGRADES_MAX: usize = 2;

/// Whether the consumer of a pair can read such a sink: it takes what is written, when it is written.
///
/// # Errors
/// A table does not show which version wrote a row, nor what stood there before; a transaction shows rows later.
pub fn check_sink(sink: SinkKind) -> Result<(), CaseError> {
    if sink == SinkKind::Append {
        return Ok(());
    }
    let found = format!("a pair with the sink `{}`", sink.name());
    let hint = "the consumer of a pair reads what is written and removes copies itself: use `append`";
    Err(CaseError::new("case-regions", found).hint(hint))
}

/// What of a case of regions is wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Part {
    /// The case of all regions: the keys that lead there.
    Base(&'static [&'static str]),
    /// Their number.
    Members,
    /// One of them.
    Region(usize),
    /// An outage of a region.
    Outage(usize, usize),
    /// A fault of a region.
    Fault(usize, usize),
    Rollout,
}

/// An error in a fault of a region, which it names.
pub(super) fn of_fault(mut error: CaseError, index: usize, region: &str) -> CaseError {
    error.message = format!("fault {} of {region}: {}", index + 1, error.message);
    error
}

impl RegionsCase {
    /// Whether the case can be played at all.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), CaseError> {
        self.check_parts().map_err(|(_, error)| error)
    }

    /// The same, telling where.
    pub(super) fn check_parts(&self) -> Result<(), (Part, CaseError)> {
        self.base.check().map_err(|error| (Part::Base(&[]), error))?;
        let sink = Part::Base(&["deployment", "sink"]);
        check_sink(self.base.deployment.sink).map_err(|error| (sink, error))?;
        let wrong =
            |part, found: String, hint: &str| Err((part, CaseError::new("case-regions", found).hint(hint)));
        if !self.base.faults.is_empty() {
            let found = "the case has faults of no region".to_owned();
            return wrong(Part::Base(&["faults"]), found, "each fault belongs to a region");
        }
        if !(1..=2).contains(&self.regions.len()) {
            return wrong(Part::Members, format!("{} regions", self.regions.len()), "one or two");
        }
        for (index, region) in self.regions.iter().enumerate() {
            self.check_region(index).map_err(|error| (Part::Region(index), error))?;
            for number in 0..region.outages.len() {
                check_outage(region, number).map_err(|error| (Part::Outage(index, number), error))?;
            }
            let mut before = Before::all(self.base.deployment.nodes);
            for (number, fault) in region.faults.iter().enumerate() {
                let checked = fault.check(&mut before).and_then(|()| check_fault(&fault.kind));
                checked
                    .map_err(|error| (Part::Fault(index, number), of_fault(error, number, &region.name)))?;
            }
        }
        self.check_rollout().map_err(|error| (Part::Rollout, error))
    }

    /// What is said of a region besides its outages and faults.
    fn check_region(&self, index: usize) -> Result<(), CaseError> {
        let wrong = |found: String, hint: &str| Err(CaseError::new("case-regions", found).hint(hint));
        let region = &self.regions[index];
        let name = &region.name;
        if name.is_empty() || self.regions[..index].iter().any(|other| other.name == *name) {
            return wrong(format!("region `{name}`"), "each region has a name, and no other has it");
        }
        let (least, most) = region.delay;
        within(&format!("the shortest delay of {name}"), least, Span::ZERO, DELAY_MAX)?;
        within(&format!("the longest delay of {name}"), most, least, DELAY_MAX)?;
        let entries = self.base.history.entries.len();
        if region.twice.iter().any(|&index| index >= entries) || !region.twice.is_sorted() {
            return wrong(format!("`twice` of {name}"), "indices of entries from 0, sorted");
        }
        if self.faults(index, 0) > FAULTS_MAX {
            return wrong(format!("{} faults of {name}", region.faults.len()), "fewer");
        }
        Ok(())
    }

    /// Faults of a region's own case, at most, with so many crashes.
    fn faults(&self, region: usize, crashes: usize) -> usize {
        let own = &self.regions[region];
        let struck = (own.outages.len() + crashes) * self.base.deployment.nodes as usize;
        own.faults.len() + struck + UPGRADES_MAX
    }

    fn check_rollout(&self) -> Result<(), CaseError> {
        let Some(rollout) = &self.rollout else { return Ok(()) };
        let wrong = |found: String, hint: &str| Err(CaseError::new("case-rollout", found).hint(hint));
        if !rollout.at.is_calendar() {
            return wrong(format!("it begins at {}", rollout.at), "in the years 1 to 9999");
        }
        for (batch, &region) in rollout.batches.iter().enumerate() {
            if region >= self.regions.len() || rollout.batches[..batch].contains(&region) {
                return wrong(
                    format!("batch {}", batch + 1),
                    "each region at most once, one region in a batch",
                );
            }
        }
        within("down", rollout.down, Span::ZERO, SPAN_MAX)?;
        within("soak", rollout.soak, Span::TICK, SPAN_MAX)?;
        within("lag", rollout.lag, Span::ZERO, SPAN_MAX)?;
        let Some(Faulty::Crash { every }) = rollout.faulty else { return Ok(()) };
        // Whoever watches for one soak must be able to see it crash again.
        let shows = Span(every.0.saturating_mul(3)).plus(Span::seconds(3));
        if every < Span::seconds(5) || shows > rollout.soak {
            let hint = "5 s at least, and three times that within `soak`";
            return wrong(format!("it crashes every {every}"), hint);
        }
        for region in 0..self.regions.len() {
            let span = compile::crashes_until(self, region).since(rollout.at);
            let crashes = usize::try_from(span.0 / every.0).unwrap_or(usize::MAX);
            // Each is a fault for each node.
            if crashes >= compile::CRASHES_MAX || self.faults(region, crashes) > FAULTS_MAX {
                return wrong(
                    format!("it crashes every {every}, for {span}"),
                    "fewer crashes: lengthen `every`, or fewer nodes",
                );
            }
        }
        Ok(())
    }
}

fn check_outage(region: &Region, number: usize) -> Result<(), CaseError> {
    let outage = &region.outages[number];
    let before = number.checked_sub(1).map(|before| region.outages[before].back);
    let apart = before.is_none_or(|back| back < outage.at);
    if !outage.at.is_calendar() || !outage.back.is_calendar() || outage.back < outage.at || !apart {
        let found = format!("outage of {} at {}", region.name, outage.at);
        return Err(CaseError::new("case-regions", found).hint("sorted, apart, back later"));
    }
    within(&format!("an outage of {}", region.name), outage.back.since(outage.at), Span::ZERO, SPAN_MAX)
}

/// Whether a region may have such a fault of its own.
fn check_fault(kind: &FaultKind) -> Result<(), CaseError> {
    let (found, hint) = match kind {
        FaultKind::ServiceUpgrade { .. } | FaultKind::RollingUpgrade { .. } | FaultKind::Rollback { .. } => {
            ("an upgrade", "write it as `rollout`")
        }
        FaultKind::UserRestart { .. } | FaultKind::JobChange { .. } => {
            ("a restart", "a restart changes what a region owes: try it in a case of one region")
        }
        FaultKind::Scale { .. } => (
            "another number of nodes",
            "outages and crashes strike the nodes a region began with: try it in a case of one region",
        ),
        _ => return Ok(()),
    };
    Err(CaseError::new("case-regions", found).hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::{Fault, SinkKind};
    use crate::regions::file::tests::pair;
    use crate::regions::{Rollout, Upgrade};

    #[test]
    fn what_changes_the_version_of_a_region_is_its_rollout_alone() {
        let mut case = pair(3);
        let at = case.base.history.entries[0].arrival;
        let down = Span::seconds(1);
        case.regions[0].faults = vec![Fault { at, kind: FaultKind::OsUpgrade { down } }];
        assert_eq!(case.check(), Ok(()));
        for kind in [
            FaultKind::ServiceUpgrade { readable: true, down },
            FaultKind::RollingUpgrade { down },
            FaultKind::Rollback { down },
        ] {
            case.regions[0].faults = vec![Fault { at, kind }];
            assert_eq!(case.check().map_err(|error| error.code), Err("case-regions"));
        }
    }

    #[test]
    fn the_nodes_of_a_region_are_those_it_began_with() {
        let mut case = pair(3);
        let at = case.base.history.entries[0].arrival;
        let kind = FaultKind::Scale { nodes: 3, down: Span::seconds(1) };
        case.regions[0].faults = vec![Fault { at, kind }];
        assert_eq!(case.check().map_err(|error| error.code), Err("case-regions"));
    }

    #[test]
    fn a_pair_writes_to_sinks_that_show_what_is_written() {
        let mut case = pair(3);
        for sink in SinkKind::ALL {
            case.base.deployment.sink = sink;
            let appends = if sink == SinkKind::Append { Ok(()) } else { Err("case-regions") };
            assert_eq!(case.check().map_err(|error| error.code), appends, "{}", sink.name());
        }
    }

    /// What passes can be played, whatever is decided: each crash is one fault for each node.
    #[test]
    fn what_a_version_may_crash_is_bounded_by_node() {
        let mut case = pair(3);
        // All is sent by then, and has come.
        let at = case.base.history.entries[2].arrival.plus(Span::seconds(3));
        let every = Span::seconds(5);
        for (nodes, most) in [(1, 199), (50, 199), (60, 166), (256, 39)] {
            case.base.deployment.nodes = nodes;
            let mut passed = 0;
            for crashes in [10, 39, 40, 166, 167, 199, 200, 300] {
                let soak = Span(every.0 * crashes / 2);
                let (lag, faulty) = (Span::seconds(1), Some(Faulty::Crash { every }));
                let down = Span::ZERO;
                case.rollout =
                    Some(Rollout { at, batches: vec![0, 1], readable: true, down, soak, lag, faulty });
                if case.check().is_err_and(|error| error.code == "case-rollout") {
                    continue;
                }
                assert_eq!(case.check(), Ok(()));
                let come = Upgrade { at, region: 0, readable: true, down, faulty, rollback: false };
                let gone = Upgrade { at: at.plus(soak), faulty: None, rollback: true, ..come.clone() };
                for upgrades in [&[&come][..], &[&come, &gone]] {
                    assert_eq!(compile::compile(&case, 0, upgrades).check(), Ok(()), "{nodes}, {crashes}");
                }
                passed = passed.max(crashes);
            }
            assert_eq!(passed, most, "{nodes} nodes");
        }
    }
}
