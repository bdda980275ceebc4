//! What was done about a pair of regions, in order: the update service with its version, the consumer between regions.
//!
//! Values for machines, and the same in words. Knows nothing of verdicts. Invariant: in order of virtual time; within an
//! instant the service stands in front of the consumer, who heeds it.

use rewindow_query::Timestamp;
use rewindow_world::regions::{Decision, Played, RegionsCase, Signal, Switch, Why};
use serde::Serialize;

use super::words::instant;
use crate::text::{WIDTH, wrap};

/// Something that was done.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct PairStep {
    /// When.
    pub at: String,
    /// `service` or `consumer`.
    pub who: &'static str,
    /// `upgraded`, `is well`, `alarm`, `rolled back` or `rests` by the service; `switched` or `took back` by the consumer.
    pub what: &'static str,
    /// In which region; of a consumer, which one it reads from then on.
    pub region: String,
    /// What the alarm is about, or why the consumer switched.
    pub why: Option<&'static str>,
}

enum Done<'a> {
    Service(&'a Decision),
    Consumer(&'a Switch),
}

/// All that was done, in order.
pub fn pair_steps(case: &RegionsCase, played: &Played) -> Vec<PairStep> {
    done(played).iter().map(|(at, done)| step(case, *at, done)).collect()
}

/// The same in words, a line each; nothing if nothing was done.
pub fn pair_text(case: &RegionsCase, played: &Played) -> String {
    let done = done(played);
    let width = done.iter().map(|(at, _)| instant(*at).len()).max().unwrap_or(0);
    let line = |(at, done): &(Timestamp, Done<'_>)| {
        let step = step(case, *at, done);
        let (region, why) = (&step.region, step.why.unwrap_or_default());
        let words = match step.what {
            "upgraded" => format!("brings the new version to {region}"),
            "is well" => format!("has seen that {region} is well"),
            "alarm" => format!("raises the alarm: {region} {why}; the rollout is stopped"),
            "rolled back" => format!("takes the version back in {region}"),
            "rests" => format!("has seen neither good nor bad of {region}: the rollout rests"),
            "took back" => format!("reads {region} again: {why}"),
            _ => format!("reads {region} from now on: {why}"),
        };
        wrap(&format!("  {:<width$}  {:<8}  {words}", instant(*at), step.who), WIDTH, width + 14) + "\n"
    };
    done.iter().map(line).collect()
}

fn done(played: &Played) -> Vec<(Timestamp, Done<'_>)> {
    let decided = played.decisions.iter().map(|decision| (decision.at, Done::Service(decision)));
    let switched = played.consumer.switches.iter().map(|switch| (switch.at, Done::Consumer(switch)));
    let mut all: Vec<_> = decided.chain(switched).collect();
    all.sort_by_key(|done| done.0);
    all
}

fn step(case: &RegionsCase, at: Timestamp, done: &Done<'_>) -> PairStep {
    let (who, region, what, why) = match done {
        Done::Service(decision) => {
            let (what, why) = match decision.what {
                Signal::Upgraded => ("upgraded", None),
                Signal::Good => ("is well", None),
                Signal::Alarm(alarm) => ("alarm", Some(alarm.name())),
                Signal::RolledBack => ("rolled back", None),
                Signal::Rests => ("rests", None),
            };
            ("service", decision.region, what, why)
        }
        Done::Consumer(switch) => {
            let what = if switch.why == Why::PrimaryBack { "took back" } else { "switched" };
            ("consumer", switch.to, what, Some(switch.why.name()))
        }
    };
    let region = case.regions.get(region).map_or(String::new(), |region| region.name.clone());
    PairStep { at: at.to_string(), who, what, region, why }
}
