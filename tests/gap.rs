//! Claim 4, *honest gaps*: where the source forgot what a recovery needed, the job says which rows may be
//! incomplete, no more than was unavoidable, and all others are identical.
//!
//! What no other suite would catch: silence, or an announcement that covers too much, when the log is short:
//! exactly as long as needed, a tick less, or cut while a shard is down or reading.

mod support;

use rewindow::generate::{Trouble, Vary, schedule, small_case};
use rewindow::judge::{Held, Verdict};
use rewindow::trial::trial;
use rewindow_query::Span;
use rewindow_world::case::{Case, Deployment, FaultKind};
use rewindow_world::outcome::Run;
use rewindow_world::reached;
use support::{Reached, Search, engine, holds_in_the_world, truth};

/// What a case with a short log came to.
struct Seen {
    run: Run,
    held: Held,
    /// How long the source keeps, beside what the plan says is needed.
    beside: Option<Span>,
    /// Nothing but size limits what it keeps.
    by_size: bool,
}

fn check(name: &'static str, cases: u64, troubles: &[Trouble], required: &[&str]) {
    let search = Search::new(name, cases);
    let mut reached = Reached::default();
    search.run(
        |number, choices| {
            let base = Case { faults: Vec::new(), ..small_case(choices) };
            let owed = truth(&base);
            let mut vary = Vary::all(&owed.plan, &base.ordering);
            vary.faults = troubles.to_vec();
            let case = schedule(&base, &vary, choices);
            let (run, verdict) = trial(&owed, &case, engine(&owed.plan, &case).as_ref(), false);
            let Verdict::Held(held) = verdict else {
                search.ask(number, &case, &holds_in_the_world)?;
                return Err("broke once and then held".to_owned());
            };
            let beside = case.deployment.retention.map(|keep| Span(keep.0 - vary.lookback.0));
            let Deployment { retention, retention_size, .. } = case.deployment;
            let cut = case.faults.iter().any(|fault| matches!(fault.kind, FaultKind::RetentionCut { .. }));
            let by_size = retention_size.is_some() && retention.is_none() && !cut;
            Ok(Seen { run, held, beside, by_size })
        },
        |seen| note(&seen, &mut reached),
    );
    search.require(&reached, required);
}

/// What is reached here and not counted by the world.
const DIFFERS: &str = "rows differ inside a gap";
const OUTSIDE: &str = "rows hold beside a gap";
const NARROW: &str = "nothing differs inside a gap";
const EXACT: &str = "recovered from a log exactly as long as needed";
const TICK_LESS: &str = "recovered from a log a tick shorter";
const BY_SIZE: &str = "gap in a log that forgets by size alone";
const READER_BY_SIZE: &str = "overtaken in a log that forgets by size alone";

fn note(seen: &Seen, reached: &mut Reached) {
    let Seen { run, held, beside, by_size } = seen;
    run.reached.iter().for_each(|(&state, &count)| reached.add(state, count));
    for report in run.recoveries.iter().filter(|report| !report.answer.gaps.is_empty()) {
        reached.note(format!("gap after {}", report.fault));
        reached.add(BY_SIZE, u64::from(*by_size));
    }
    if *by_size {
        reached.add(READER_BY_SIZE, run.reached.get(reached::EXPIRED_READER).copied().unwrap_or(0));
    }
    if held.recoveries.announced > 0 {
        reached.note(if held.rows_in_gaps > 0 { DIFFERS } else { NARROW });
        reached.add(OUTSIDE, held.rows_matched);
    }
    if !run.recoveries.is_empty() {
        reached.add(EXACT, u64::from(*beside == Some(Span::ZERO)));
        reached.add(TICK_LESS, u64::from(*beside == Some(Span(-1))));
    }
}

#[test]
fn every_fault_with_a_short_log() {
    let required = [
        reached::EXPIRED,
        reached::EXPIRED_READER,
        reached::GAP,
        DIFFERS,
        NARROW,
        OUTSIDE,
        EXACT,
        TICK_LESS,
        BY_SIZE,
        READER_BY_SIZE,
        "gap after node kill",
        "gap after os upgrade",
        "gap after upgrade, state",
        "gap after upgrade, replay",
        "gap after restart",
        "gap after retention",
    ];
    check("gap", 10_000, &Trouble::ALL, &required);
}

#[test]
fn a_log_that_is_cut_with_nothing_else() {
    check("gap-retention", 2_000, &[Trouble::Retention], &[reached::EXPIRED_READER, reached::GAP, OUTSIDE]);
}
