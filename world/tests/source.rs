//! The source as a subject sees it when it is opened.
//!
//! Catches a log whose view is off by one entry or one tick; every gap is computed from these numbers.

mod toy;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use rewindow_query::{History, Outcome, Payload, Recovered, Retained, Shard, Span, Timestamp};
use rewindow_world::case::{Case, FaultKind};
use rewindow_world::journal::stored_bytes;
use rewindow_world::run;
use rewindow_world::subject::{Opening, Refusal, Subject, Worker};
use toy::{Toy, case, minute, plan};

/// Asks the log at every opening.
struct Probe {
    toy: Toy,
    seen: RefCell<Vec<(Retained, Vec<u64>)>>,
}

impl Subject for Probe {
    fn name(&self) -> &str {
        "probe"
    }

    fn shards(&self) -> &[Shard] {
        &self.toy.shards
    }

    fn open(&self, shard: usize, opening: &Opening<'_>) -> Result<(Box<dyn Worker>, Recovered), Refusal> {
        let since =
            [Timestamp::MIN, minute(0), minute(20), minute(21), minute(40), minute(99), Timestamp::MAX];
        let answers = since.map(|at| opening.log.first_since(0, 0, at)).to_vec();
        self.seen.borrow_mut().push((opening.log.retained(0, 0), answers));
        assert_eq!(opening.log.retained(0, 7), Retained::default(), "no such partition");
        assert_eq!(opening.log.retained(7, 0), Retained::default(), "no such stream");
        assert_eq!(opening.log.first_since(7, 0, minute(0)), 0);
        self.toy.open(shard, opening)
    }
}

/// What the log says at minute 40, at the opening after a kill, with events every ten minutes.
fn seen(change: impl Fn(&mut Case)) -> (Retained, Vec<u64>) {
    let events: Vec<(u32, i64)> = (0..7).map(|n| (0, n * 10)).collect();
    let mut case = case(1, &events, vec![(35, FaultKind::NodeKill { node: 0, down: Span::minutes(5) })]);
    change(&mut case);
    let probe = Probe { toy: Toy::parallel(1), seen: RefCell::default() };
    run(&case, &plan(), &probe);
    probe.seen.into_inner().pop().expect("it was opened")
}

fn kept(first: u64, lost_until: Option<Timestamp>) -> Retained {
    Retained { first, next: 5, lost_until }
}

#[test]
fn all_is_kept_without_retention() {
    assert_eq!(seen(|_| {}), (kept(0, None), vec![0, 0, 2, 3, 4, 5, 5]));
}

#[test]
fn age_is_counted_from_arrival_and_its_limit_is_kept() {
    let with = |keep| seen(move |case| case.deployment.retention = Some(keep));
    assert_eq!(with(Span::minutes(20)), (kept(2, Some(minute(10))), vec![2, 2, 2, 3, 4, 5, 5]));
    let less = Span(Span::minutes(20).0 - 1);
    assert_eq!(with(less), (kept(3, Some(minute(20))), vec![3, 3, 3, 3, 4, 5, 5]));
    assert_eq!(with(Span::ZERO).0, kept(4, Some(minute(30))));
    assert_eq!(with(Span::hours(1)).0, kept(0, None));
}

#[test]
fn size_is_counted_in_bytes_and_what_arrives_now_is_kept() {
    // Five of seven have arrived, each of the same size.
    let bytes = stored_bytes(&case(1, &[(0, 0)], vec![]).history.entries[0].payload);
    let with = |size| seen(move |case| case.deployment.retention_size = Some(size));
    assert_eq!(with(5 * bytes).0, kept(0, None));
    assert_eq!(with(5 * bytes - 1), (kept(1, Some(minute(0))), vec![1, 1, 2, 3, 4, 5, 5]));
    assert_eq!(with(2 * bytes), (kept(3, Some(minute(20))), vec![3, 3, 3, 3, 4, 5, 5]));
    assert_eq!(with(0), (kept(4, Some(minute(30))), vec![4, 4, 4, 4, 4, 5, 5]));
    // With age the stricter of the two counts.
    let both = |size, keep| {
        seen(move |case| {
            case.deployment.retention_size = Some(size);
            case.deployment.retention = Some(keep);
        })
    };
    assert_eq!(both(2 * bytes, Span::minutes(20)).0, kept(3, Some(minute(20))));
    assert_eq!(both(4 * bytes, Span::minutes(20)).0, kept(2, Some(minute(10))));
}

#[test]
fn an_estimate_takes_up_no_room_and_an_unreadable_event_its_text() {
    let bytes = stored_bytes(&case(1, &[(0, 0)], vec![]).history.entries[0].payload);
    let with = |size, payload: fn() -> Payload| {
        let change = move |case: &mut Case| {
            case.deployment.retention_size = Some(size);
            let mut history = History::clone(&case.history);
            history.entries[2].payload = payload();
            case.history = Arc::new(history);
        };
        seen(change).0
    };
    // Of the events of minutes 0, 10, 30, 40 two fit, and the estimate of minute 20 beside them.
    assert_eq!(with(2 * bytes, || Payload::Estimate), kept(2, Some(minute(10))));
    let text = || Payload::Malformed("four".into());
    assert_eq!(with(2 * bytes + 4, text), kept(2, Some(minute(10))));
    assert_eq!(with(2 * bytes + 3, text), kept(3, Some(minute(20))));
}

#[test]
fn a_cut_happens_once_and_the_log_goes_on() {
    let cut = |at, keep| {
        seen(move |case| {
            let kind = FaultKind::RetentionCut { keep: Span::minutes(keep) };
            case.faults.push(rewindow_world::case::Fault { at: minute(at), kind });
            case.faults.sort_by_key(|fault| fault.at);
        })
    };
    assert_eq!(cut(32, 2).0, kept(3, Some(minute(20))));
    // At 39 everything is forgotten; what arrives at 40 is there.
    assert_eq!(cut(39, 0), (kept(4, Some(minute(30))), vec![4, 4, 4, 4, 4, 5, 5]));
    // At the instant of the opening: what arrives with the cut is kept.
    assert_eq!(cut(40, 0).0, kept(4, Some(minute(30))));
}

/// Answers with positions of its own.
struct Elsewhere(BTreeMap<(usize, u32), u64>);

impl Subject for Elsewhere {
    fn name(&self) -> &str {
        "elsewhere"
    }

    fn shards(&self) -> &[Shard] {
        static SHARDS: std::sync::OnceLock<Vec<Shard>> = std::sync::OnceLock::new();
        SHARDS.get_or_init(|| Toy::single(1).shards)
    }

    fn open(&self, _: usize, _: &Opening<'_>) -> Result<(Box<dyn Worker>, Recovered), Refusal> {
        struct Deaf;
        impl Worker for Deaf {
            fn feed(
                &mut self,
                _: usize,
                _: u32,
                entries: &[rewindow_query::Entry],
            ) -> Result<Vec<rewindow_query::Row>, rewindow_query::Failure> {
                assert!(!entries.is_empty());
                Ok(Vec::new())
            }
            fn finish(&mut self) -> Result<Vec<rewindow_query::Row>, rewindow_query::Failure> {
                Ok(Vec::new())
            }
            fn frontier(&self) -> Timestamp {
                Timestamp::MIN
            }
            fn checkpoint(&self) -> Vec<u8> {
                Vec::new()
            }
        }
        let outcome = Outcome::Fresh;
        Ok((Box::new(Deaf), Recovered { outcome, positions: self.0.clone(), gaps: Vec::new() }))
    }
}

#[test]
fn any_answer_of_a_subject_ends() {
    let cut = FaultKind::RetentionCut { keep: Span::ZERO };
    let kill = FaultKind::NodeKill { node: 0, down: Span::ZERO };
    let case = case(1, &[(0, 0), (0, 10), (0, 30)], vec![(15, cut), (20, kill)]);
    // A position in front of what is kept, none at all, beyond the log, and for a partition nobody has.
    let answers = [vec![((0, 0), 0)], vec![], vec![((0, 0), u64::MAX)], vec![((9, 9), 3)]];
    let fed = answers.map(|answer| run(&case, &plan(), &Elsewhere(answer.into_iter().collect())).entries_fed);
    // Both entries read before the cut are gone at the kill, so only the last one is read after it.
    assert_eq!(fed, [3, 3, 0, 3]);
}
