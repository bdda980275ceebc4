//! Which cases of regions can be played: bounds, and what a region may not have of its own.

use rewindow_query::Span;

use super::{Faulty, RegionsCase, compile};
use crate::case::FaultKind;
use crate::check::{FAULTS_MAX, SPAN_MAX, within};
use crate::error::CaseError;

/// Longest delay of a region.
const DELAY_MAX: Span = Span::hours(24);

impl RegionsCase {
    /// Whether the case can be played at all.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), CaseError> {
        self.base.check()?;
        let wrong = |found: String, hint: &str| Err(CaseError::new("case-regions", found).hint(hint));
        if !self.base.faults.is_empty() {
            return wrong("the case has faults of no region".to_owned(), "each fault belongs to a region");
        }
        if !(1..=2).contains(&self.regions.len()) {
            return wrong(format!("{} regions", self.regions.len()), "one or two");
        }
        for (index, region) in self.regions.iter().enumerate() {
            let name = &region.name;
            if name.is_empty() || self.regions[..index].iter().any(|other| other.name == *name) {
                return wrong(format!("region `{name}`"), "each region has a name, and no other has it");
            }
            let (least, most) = region.delay;
            within("the shortest delay", least, Span::ZERO, DELAY_MAX)?;
            within("the longest delay", most, least, DELAY_MAX)?;
            let entries = self.base.history.entries.len();
            if region.twice.iter().any(|&index| index >= entries) || !region.twice.is_sorted() {
                return wrong(format!("`twice` of {name}"), "indices of entries from 0, sorted");
            }
            for (number, outage) in region.outages.iter().enumerate() {
                let before = number.checked_sub(1).map(|before| region.outages[before].back);
                let apart = before.is_none_or(|back| back < outage.at);
                if !outage.at.is_calendar() || !outage.back.is_calendar() || outage.back < outage.at || !apart
                {
                    return wrong(format!("outage of {name} at {}", outage.at), "sorted, apart, back later");
                }
                within("an outage", outage.back.since(outage.at), Span::ZERO, SPAN_MAX)?;
            }
            let outages = region.outages.len() * self.base.deployment.nodes as usize;
            if region.faults.len() + outages > FAULTS_MAX {
                return wrong(format!("{} faults of {name}", region.faults.len()), "fewer");
            }
            let mut before = rewindow_query::Timestamp::MIN;
            for fault in &region.faults {
                fault.check(&self.base.deployment, before)?;
                before = fault.at;
                match fault.kind {
                    FaultKind::ServiceUpgrade { .. }
                    | FaultKind::RollingUpgrade { .. }
                    | FaultKind::Rollback { .. } => {
                        return wrong(
                            format!("an upgrade among the faults of {name}"),
                            "write it as `rollout`",
                        );
                    }
                    FaultKind::UserRestart { .. } | FaultKind::JobChange { .. } => {
                        let hint = "a restart changes what a region owes: try it in a case of one region";
                        return wrong(format!("a restart among the faults of {name}"), hint);
                    }
                    _ => {}
                }
            }
        }
        self.check_rollout()
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
            if span.0 / every.0 >= compile::CRASHES_MAX {
                return wrong(
                    format!("it crashes every {every}, for {span}"),
                    "fewer crashes: lengthen `every`",
                );
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::Fault;
    use crate::regions::file::tests::pair;

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
}
