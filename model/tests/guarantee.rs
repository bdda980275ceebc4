//! The guarantee, against the model itself: what is promised after a recovery is what an answer over the
//! entries that are left really gives. Catches a promise that is too wide or too narrow by a tick.

mod support;

use std::collections::BTreeMap;

use proptest::prelude::*;
use rewindow_model::answer;
use rewindow_model::guarantee::{
    Guarantee, Opened, expected_outcome, guarantee, may_use_checkpoint, replay_from,
};
use rewindow_query::plan::{Aggregate, Window};
use rewindow_query::{
    Entry, Gap, History, Outcome, Plan, Policy, Retained, Row, Span, Timestamp, Value, Why, analyse,
};
use support::*;

const NO_STATE: Why = Why::AfterUpgrade { readable: false };

/// A count over `size` seconds, on the event's own time; with size 0 the events themselves.
fn plan(size: i64, sliding: bool) -> Plan {
    let mut build = Build::default();
    let source = build.source(0, true);
    let size = Span::seconds(size);
    let window =
        if sliding { Window::Sliding { size } } else { Window::Tumbling { size, offset: Span::ZERO } };
    if size == Span::ZERO {
        build.select(source, &[("v", rewindow_query::expr::Expr::Column(V))]);
    } else {
        build.group(source, window, &[count(), of_v(Aggregate::Sum)]);
    }
    build.plan()
}

fn opened(
    plan: &Plan,
    why: Why,
    output_from: Timestamp,
    first: u64,
    lost_until: Option<Timestamp>,
) -> Opened {
    let retained = BTreeMap::from([((0, 0), Retained { first, next: 1_000, lost_until })]);
    Opened { shard: plan.shards(&[1])[0].clone(), why, output_from, checkpoint: None, retained }
}

fn of(plan: &Plan, opened: Opened) -> Guarantee {
    guarantee(plan, &[opened]).remove(0)
}

fn outside(from: Timestamp, until: Timestamp) -> Guarantee {
    Guarantee::IdenticalOutside(vec![Gap { from, until }])
}

#[test]
fn rules_13_1_to_13_3_say_who_may_use_a_checkpoint() {
    assert!(may_use_checkpoint(Why::AfterKill));
    assert!(may_use_checkpoint(Why::AfterUpgrade { readable: true }));
    for why in [Why::Fresh, Why::UserRestart, NO_STATE] {
        assert!(!may_use_checkpoint(why));
    }
}

#[test]
fn rule_13_1_from_a_checkpoint_only_what_lies_behind_its_position_counts() {
    let plan = plan(60, false);
    let resumed = |first, frontier, output_from| {
        let opened = opened(&plan, Why::AfterKill, output_from, first, Some(at(2_000)));
        let checkpoint = Some((BTreeMap::from([((0, 0), 10)]), frontier));
        Opened { checkpoint, ..opened }
    };
    let begun = Timestamp::MIN;
    assert_eq!(of(&plan, resumed(10, at(1_990), begun)), Guarantee::Identical);
    assert_eq!(of(&plan, resumed(11, at(1_990), begun)), outside(at(1_990), at(2_000 + 300 + 60)));
    assert_eq!(of(&plan, resumed(11, at(1_990), at(2_100))), outside(at(2_100), at(2_360)));
    assert_eq!(
        of(&plan, resumed(11, at(2_360), begun)),
        Guarantee::Identical,
        "all that is affected was given"
    );
    assert_eq!(expected_outcome(&plan, &resumed(11, at(1_990), begun)), Outcome::FromCheckpoint);
    let restarted = Opened { why: Why::UserRestart, ..resumed(11, at(1_990), at(5_000)) };
    assert_eq!(of(&plan, restarted.clone()), Guarantee::Identical, "a replay needs less here");
    let from = at(5_000 - 300 - 60).plus(Span::TICK);
    assert_eq!(expected_outcome(&plan, &restarted), Outcome::Replayed { from });
}

#[test]
fn rule_12_3_a_replay_needs_what_arrived_within_lookback_and_five_minutes() {
    for (size, reach) in [(60, Span::seconds(60)), (0, Span::TICK)] {
        let plan = plan(size, false);
        let needed = at(5_000 - 300).minus(reach).plus(Span::TICK);
        assert_eq!(replay_from(&plan, &plan.shards(&[1])[0], at(5_000)), needed);
        let lost = |until| of(&plan, opened(&plan, NO_STATE, at(5_000), 7, Some(until)));
        assert_eq!(lost(needed.minus(Span::TICK)), Guarantee::Identical);
        assert_eq!(lost(needed), outside(at(5_000), needed.plus(Span::EARLY).plus(reach)));
    }
}

#[test]
fn c_nostate_a_kill_before_the_first_checkpoint_replays_by_lookback() {
    let plan = plan(60, false);
    let killed = |from, lost| opened(&plan, Why::AfterKill, from, 7, lost);
    assert_eq!(
        expected_outcome(&plan, &killed(Timestamp::MIN, None)),
        Outcome::Replayed { from: Timestamp::MIN }
    );
    assert_eq!(of(&plan, killed(Timestamp::MIN, None)), Guarantee::Identical);
    assert_eq!(of(&plan, killed(Timestamp::MIN, Some(at(9)))), outside(Timestamp::MIN, at(369)));
    assert_eq!(expected_outcome(&plan, &opened(&plan, Why::Fresh, Timestamp::MIN, 0, None)), Outcome::Fresh);
}

/// The rows stamped `from` and later when only entries that arrived after `lost` are left.
fn rows(plan: &Plan, entries: &[Entry], lost: Timestamp, from: Timestamp) -> Vec<Row> {
    let whole = history(entries.to_vec());
    let kept = whole.entries.into_iter().filter(|entry| entry.arrival > lost).collect();
    let mut rows = answer(plan, &tolerances(30, 10, Policy::Adjust), &[1], &History::of(kept)).rows;
    rows.retain(|row| row.timestamp >= from);
    rows
}

/// An event that runs the whole five minutes ahead of its arrival is the newest one forgotten. It is the
/// first of its window, so its last row stands one tick in front of the end of the gap.
#[test]
fn c_lost_the_gap_is_tight() {
    for (size, sliding) in [(0, false), (60, false), (60, true)] {
        let plan = plan(size, sliding);
        let own = at(1_260).plus(Span::TICK);
        let lost = own.minus(Span::EARLY);
        // The row of a sliding window at `ts + size` is there because the event leaves (C-LOOKBACK), and
        // something must be left in the window.
        let (reach, companion) = match (size, sliding) {
            (0, _) => (Span::TICK, at(9_000)),
            (_, false) => (Span::seconds(60), at(9_000)),
            (_, true) => (Span::seconds(60).plus(Span::TICK), at(1_320)),
        };
        let until = own.plus(reach);
        assert_eq!(of(&plan, opened(&plan, NO_STATE, own, 1, Some(lost))), outside(own, until));
        let entries = [stamped(lost, own), stamped(companion, companion)];
        let whole = rows(&plan, &entries, Timestamp::MIN, at(0));
        let left = rows(&plan, &entries, lost, at(0));
        let differences = whole.iter().filter(|row| !left.contains(row)).map(|row| row.timestamp);
        assert_eq!(differences.max(), Some(until.minus(Span::TICK)), "size {size}, sliding {sliding}");
    }
}

fn stamped(arrival: Timestamp, own: Timestamp) -> Entry {
    let members = [("v", Value::Int(1)), ("t", Value::Datetime(own))];
    Entry { arrival, ..entry(0, &members) }
}

fn disorder() -> impl Strategy<Value = Vec<Entry>> {
    prop::collection::vec((0i64..60, prop_oneof![-40i64..310, Just(300)]), 0..40).prop_map(|steps| {
        let mut arrival = 2_000;
        let event = |(step, ahead)| {
            arrival += step;
            event_by(arrival, arrival + ahead, arrival)
        };
        steps.into_iter().map(event).collect()
    })
}

proptest! {
    /// Claim 5: one lookback is enough. And honest gaps: outside of them nothing differs.
    #[test]
    fn rule_13_5_outside_the_gaps_nothing_differs(
        entries in disorder(), size in 0i64..200, sliding in any::<bool>(), lost in 2_000i64..3_500, from in 2_000i64..4_000,
    ) {
        let plan = plan(size, sliding);
        let opened = opened(&plan, NO_STATE, at(from), 7, Some(at(lost)));
        let owed = |mut rows: Vec<Row>| {
            if let Guarantee::IdenticalOutside(gaps) = of(&plan, opened.clone()) {
                rows.retain(|row| !gaps.iter().any(|gap| gap.contains(row.timestamp)));
            }
            rows
        };
        let whole = owed(rows(&plan, &entries, Timestamp::MIN, at(from)));
        prop_assert_eq!(whole, owed(rows(&plan, &entries, at(lost), at(from))));
    }
}

/// One query for each operator and for chains of them; each reads `a`, some also `b`.
const QUERIES: &[&str] = &[
    "SELECT k, v FROM a TIMESTAMP BY t WHERE v > 2",
    "SELECT k, COUNT(*) AS n, SUM(v) AS s FROM a TIMESTAMP BY t GROUP BY k, TumblingWindow(second, 30)",
    "SELECT k, COUNT(*) AS n FROM a TIMESTAMP BY t GROUP BY k, HoppingWindow(second, 30, 7)",
    "SELECT k, MAX(v) AS m FROM a TIMESTAMP BY t GROUP BY k, SlidingWindow(second, 30)",
    "SELECT v, LAG(v, 2) OVER (PARTITION BY k LIMIT DURATION(second, 30)) AS x FROM a TIMESTAMP BY t",
    "SELECT v, LAST(v) OVER (PARTITION BY k LIMIT DURATION(second, 30) WHEN v > 2) AS x FROM a TIMESTAMP BY t",
    "SELECT v, ISFIRST(second, 30) OVER (PARTITION BY k) AS x FROM a TIMESTAMP BY t",
    "SELECT a.v AS l, b.v AS r FROM a TIMESTAMP BY t JOIN b TIMESTAMP BY t \
     ON a.k = b.k AND DATEDIFF(second, a, b) BETWEEN -5 AND 20",
    "SELECT a.v AS l, b.v AS r FROM a TIMESTAMP BY t LEFT JOIN b TIMESTAMP BY t \
     ON a.k = b.k AND DATEDIFF(second, a, b) BETWEEN 1 AND 20",
    "SELECT v FROM a TIMESTAMP BY t UNION SELECT v FROM b TIMESTAMP BY t",
    "WITH s AS (SELECT k, SUM(v) AS v FROM a TIMESTAMP BY t GROUP BY k, SlidingWindow(second, 20)) \
     SELECT SUM(v) AS v FROM s GROUP BY TumblingWindow(second, 30)",
    "WITH s AS (SELECT k, v, LAG(v) OVER (LIMIT DURATION(second, 20)) AS x FROM a TIMESTAMP BY t) \
     SELECT k, MIN(x) AS x FROM s GROUP BY k, SlidingWindow(second, 10)",
];

/// Event of `a` or `b`: seconds since the one in front, seconds ahead of the arrival, stream, key, value.
type Seed = (i64, i64, bool, i64, i64);

fn two_streams(seeds: &[Seed]) -> History {
    let mut arrival = 2_000;
    let event = |&(step, ahead, second, k, v): &Seed| {
        arrival += step;
        let members =
            [("k", Value::Int(k)), ("v", Value::Int(v)), ("t", Value::Datetime(at(arrival + ahead)))];
        Entry { input: second.into(), ..entry(arrival, &members) }
    };
    history(seeds.iter().map(event).collect())
}

proptest! {
    /// Claims 4 and 5 for every operator: what arrived one lookback and five minutes back is enough, and where
    /// even some of that is forgotten, nothing differs outside of the gap.
    #[test]
    fn rule_12_4_one_lookback_is_enough_and_gaps_are_honest(
        seeds in prop::collection::vec((0i64..9, prop_oneof![-20i64..20, 280i64..301], any::<bool>(), 0i64..2, 0i64..6), 0..60),
        from in 2_000i64..2_600, lost in 2_000i64..2_300,
    ) {
        let whole = two_streams(&seeds);
        for query in QUERIES {
            let plan = analyse(query, Some(&["a".to_owned(), "b".to_owned()])).expect("the query is in the language");
            let shard = plan.shards(&[1, 1])[0].clone();
            let rows = |oldest: Timestamp, gaps: &[Gap]| {
                let kept = whole.entries.iter().filter(|entry| entry.arrival >= oldest).cloned().collect();
                let entries = History::of(kept);
                let mut rows = answer(&plan, &tolerances(15, 4, Policy::Adjust), &[1, 1], &entries).rows;
                rows.retain(|row| row.timestamp >= at(from) && !gaps.iter().any(|gap| gap.contains(row.timestamp)));
                rows
            };
            let needed = replay_from(&plan, &shard, at(from));
            prop_assert_eq!(rows(Timestamp::MIN, &[]), rows(needed, &[]), "{}", query);

            let retained = Retained { first: 7, next: 1_000, lost_until: Some(at(lost)) };
            let retained = [0, 1].map(|input| ((input, 0), retained)).into();
            let opened = Opened { shard, why: NO_STATE, output_from: at(from), checkpoint: None, retained };
            let gaps = match of(&plan, opened) {
                Guarantee::Identical => Vec::new(),
                Guarantee::IdenticalOutside(gaps) => gaps,
            };
            let kept = rows(at(lost).plus(Span::TICK).max(needed), &gaps);
            prop_assert_eq!(rows(Timestamp::MIN, &gaps), kept, "{}", query);
        }
    }
}
