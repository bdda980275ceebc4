//! Laws of the ordering stage and of the operators that look at single rows: filter, projection, union,
//! LAG, LAST, ISFIRST. Catches policies applied in the wrong order, and a past that is looked at too far
//! or not far enough.

mod support;

use proptest::prelude::*;
use rewindow_model::answer;
use rewindow_query::expr::{CompareOp, Expr, Predicate};
use rewindow_query::plan::{IsFirst, Item, Lag, Last, Op, Project, Source, SourceColumn};
use rewindow_query::{
    Entry, History, Ordering, Payload, Plan, Policy, Reason, Record, Span, Timestamp, Value,
};
use support::*;

fn by_own_time() -> Plan {
    let mut build = Build::default();
    let source = build.source(0, true);
    build.select(source, &[("v", Expr::Column(V))]);
    build.plan()
}

#[track_caller]
fn check_ordering(
    late: i64,
    out_of_order: i64,
    policy: Policy,
    entries: Vec<Entry>,
    rows: &str,
    drops: &[(u64, Reason)],
) {
    let answer = answer(&by_own_time(), &tolerances(late, out_of_order, policy), &[1], &history(entries));
    assert_eq!(text(&answer).replace('\n', ", "), rows);
    let dropped: Vec<_> = answer.dropped.iter().map(|d| (d.offset, d.reason)).collect();
    assert_eq!(dropped, drops);
}

#[test]
fn rule_3_4_1_early_is_dropped_and_does_not_move_the_maximum() {
    let entries = vec![event_by(100, 401, 1), event_by(100, 400, 2), event_by(101, 395, 3)];
    check_ordering(5, 10, Policy::Adjust, entries, "395 3, 400 2", &[(0, Reason::Early)]);
}

#[test]
fn rule_3_4_2_exactly_late_is_in_time() {
    let entries = || vec![event_by(100, 95, 1), event_by(200, 194, 2)];
    check_ordering(5, 0, Policy::Adjust, entries(), "95 1, 195 2", &[]);
    check_ordering(5, 0, Policy::Drop, entries(), "95 1", &[(1, Reason::Late)]);
}

#[test]
fn rule_3_4_3_out_of_order_is_judged_against_the_largest_timestamp_seen() {
    let entries = || vec![event_by(100, 100, 1), event_by(101, 97, 2), event_by(102, 96, 3)];
    check_ordering(60, 3, Policy::Adjust, entries(), "97 2, 97 3, 100 1", &[]);
    check_ordering(60, 3, Policy::Drop, entries(), "97 2, 100 1", &[(2, Reason::OutOfOrder)]);
}

#[test]
fn rule_3_4_late_comes_before_out_of_order() {
    // 70 becomes 95 for being late, and then 97 for being out of order; under drop it is dropped as late.
    let entries = || vec![event_by(100, 100, 1), event_by(100, 70, 2)];
    check_ordering(5, 3, Policy::Adjust, entries(), "97 2, 100 1", &[]);
    check_ordering(5, 3, Policy::Drop, entries(), "100 1", &[(1, Reason::Late)]);
}

#[test]
fn rule_3_4_disorder_is_judged_inside_a_partition_and_merged_by_time() {
    let mut other = event_by(101, 50, 2);
    other.partition = 1;
    let history = history(vec![event_by(100, 100, 1), other]);
    let answer = answer(&by_own_time(), &tolerances(60, 0, Policy::Drop), &[2], &history);
    assert_eq!(text(&answer), "50 2\n100 1");
}

#[test]
fn rule_2_8_what_is_no_instant_is_dropped_and_so_is_what_does_not_decode() {
    let with = |t: Value| entry(100, &[("v", Value::Int(1)), ("t", t)]);
    let mut malformed = event_by(100, 100, 0);
    malformed.payload = Payload::Malformed("{".into());
    let mut estimate = event_by(9_000, 0, 0);
    estimate.payload = Payload::Estimate;
    let entries = vec![
        with(Value::Null),
        with(Value::Int(5)),
        with(Value::text("yesterday")),
        with(Value::text("0001-01-01T00:01:39Z")),
        malformed,
        estimate,
    ];
    let (t, d) = (Reason::Timestamp, Reason::Deserialization);
    check_ordering(5, 0, Policy::Adjust, entries, "99 1", &[(0, t), (1, t), (2, t), (4, d)]);
}

#[test]
fn rule_14_1_an_entry_is_reported_once_for_each_reason() {
    let mut build = Build::default();
    let sources = [build.source(0, true), build.source(0, true), build.source(0, false)];
    let selects = sources.map(|source| build.select(source, &[("v", Expr::Column(V))]));
    let plan = build.plan_of(&selects);
    let answer = ask(&plan, vec![entry(100, &[("v", Value::Int(1))]), event_by(100, 500, 2)]);
    let dropped: Vec<_> = answer.dropped.iter().map(|d| (d.offset, d.reason)).collect();
    assert_eq!(dropped, [(0, Reason::Timestamp), (1, Reason::Early)]);
    let rows: Vec<_> = answer.rows.iter().map(|row| (row.output, row.ordinal)).collect();
    assert_eq!(rows, [(2, 0), (2, 1)], "without TIMESTAMP BY both are events");
}

#[test]
fn rule_3_1_without_timestamp_by_the_arrival_is_the_timestamp_and_policies_rest() {
    let mut build = Build::default();
    let source = build.source(0, false);
    build.select(source, &[("v", Expr::Column(V))]);
    check(&build.plan(), vec![event(7, "a", 1), event(7, "a", 2), event(9, "a", 3)], "7 1 \n 7 2 \n 9 3");
}

#[test]
fn rule_2_8_an_event_whose_timestamp_by_fails_is_dropped() {
    let mut build = Build::default();
    let columns = vec![SourceColumn::Member("t".into()), SourceColumn::Member("v".into())];
    let own =
        Expr::Cast { expr: Box::new(Expr::Column(0)), to: rewindow_query::Type::Datetime, lenient: false };
    let source = build.add(
        Op::Source(Source {
            input: 0,
            table: Vec::new(),
            over: Vec::new(),
            timestamp_by: Some(own),
            columns,
        }),
        &[],
        &["t", "v"],
    );
    build.select(source, &[("v", Expr::Column(1))]);
    let mut plan = build.plan();
    plan.inputs = vec![rewindow_query::plan::Input { name: "input".into() }];
    let bad = entry(10, &[("t", Value::text("soon")), ("v", Value::Int(2))]);
    check(&plan, vec![event_by(9, 9, 1), bad, event_by(11, 9, 3), event_by(12, 12, 4)], "9 1 \n 9 3 \n 12 4");
}

fn disorder() -> impl Strategy<Value = Vec<Entry>> {
    prop::collection::vec((0i64..60, -900i64..900), 0..25).prop_map(|steps| {
        let mut arrival = 2_000;
        let event = |(step, ahead)| {
            arrival += step;
            event_by(arrival, arrival + ahead, arrival)
        };
        steps.into_iter().map(event).collect()
    })
}

proptest! {
    /// Reading from `X - 5 min` on the arrival axis gives every event stamped X or later the timestamp of
    /// the uninterrupted run.
    #[test]
    fn rule_12_5_reading_five_minutes_earlier_is_enough(
        entries in disorder(), late in 0i64..600, out_of_order in 0i64..600, drop in any::<bool>(), x in 2_000i64..4_000,
    ) {
        let policy = if drop { Policy::Drop } else { Policy::Adjust };
        let ask = |entries: &History| answer(&by_own_time(), &tolerances(late, out_of_order, policy), &[1], entries);
        let whole = history(entries);
        let tail = whole.entries.iter().filter(|e| e.arrival >= at(x - 300)).cloned().collect();
        let after_x = |history: &History| {
            let mut rows = ask(history).rows;
            rows.retain(|row| row.timestamp >= at(x));
            rows
        };
        prop_assert_eq!(after_x(&whole), after_x(&History::of(tail)));
    }
}

fn over_source(op: impl Fn() -> Op) -> Plan {
    let mut build = Build::default();
    let source = build.source(0, false);
    let looked = build.add(op(), &[source], &["k", "v", "$timestamp", "PartitionId", "x"]);
    build.select(looked, &[("v", Expr::Column(V)), ("x", Expr::Column(4))]);
    build.plan()
}

fn positive() -> Predicate {
    Predicate::Compare(CompareOp::Greater, Expr::Column(V), Expr::Literal(Value::Int(0)))
}

fn lag(offset: u32, limit: i64, when: Option<Predicate>) -> Plan {
    over_source(|| {
        Op::Lag(Lag {
            argument: Expr::Column(V),
            offset,
            default: Expr::Literal(Value::text("none")),
            partition: vec![Expr::Column(K)],
            limit: Span::seconds(limit),
            when: when.clone(),
        })
    })
}

fn last(limit: i64, when: Option<Predicate>) -> Plan {
    over_source(|| {
        Op::Last(Last {
            argument: Expr::Column(V),
            default: Expr::Literal(Value::text("none")),
            partition: vec![Expr::Column(K)],
            limit: Span::seconds(limit),
            when: when.clone(),
        })
    })
}

#[test]
fn rule_7_1_lag_looks_strictly_before_at_its_own_key() {
    let entries = || vec![event(1, "a", 1), event(2, "b", 2), event(2, "a", 3), event(2, "a", 4)];
    check(&lag(1, 60, None), entries(), "1 1 none \n 2 2 none \n 2 3 1 \n 2 4 3");
    check(&lag(2, 60, None), entries(), "1 1 none \n 2 2 none \n 2 3 none \n 2 4 1");
}

#[test]
fn rule_7_1_a_null_that_is_found_is_null_and_a_row_too_old_is_not_found() {
    let entries = vec![event(1, "a", Value::Null), event(2, "a", 2), event(7, "a", 3)];
    check(&lag(1, 5, None), entries, "1 null none \n 2 2 null \n 7 3 none");
    check(&lag(1, 5, None), vec![event(2, "a", 2), event(6, "a", 3)], "2 2 none \n 6 3 2");
}

#[test]
fn rule_7_1_when_chooses_which_rows_are_looked_at() {
    let entries = vec![event(1, "a", 1), event(2, "a", -2), event(3, "a", -3)];
    check(&lag(1, 60, Some(positive())), entries, "1 1 none \n 2 -2 1 \n 3 -3 1");
}

#[test]
fn rule_7_2_last_includes_the_current_row() {
    let entries = vec![event(1, "a", -1), event(2, "a", 2), event(3, "a", -3), event(7, "a", -4)];
    check(&last(5, Some(positive())), entries, "1 -1 none \n 2 2 2 \n 3 -3 2 \n 7 -4 none");
}

#[test]
fn rule_7_3_intervals_include_their_end() {
    let plan = |when: Option<Predicate>| {
        over_source(|| {
            let partition = vec![Expr::Column(K)];
            Op::IsFirst(IsFirst { interval: Span::seconds(10), partition, when: when.clone() })
        })
    };
    let entries =
        || vec![event(1, "a", 1), event(2, "b", -2), event(10, "a", 3), event(11, "a", 4), event(12, "b", 5)];
    check(&plan(None), entries(), "1 1 1 \n 2 -2 1 \n 10 3 0 \n 11 4 1 \n 12 5 1");
    check(&plan(Some(positive())), entries(), "1 1 1 \n 2 -2 0 \n 10 3 0 \n 11 4 1 \n 12 5 1");
}

#[test]
fn c_eval_arguments_of_lag_are_evaluated_for_every_row() {
    let plan = over_source(|| {
        Op::Lag(Lag {
            argument: cast(V),
            offset: 1,
            default: Expr::Literal(Value::Null),
            partition: vec![],
            limit: Span::seconds(60),
            when: Some(Predicate::Constant(false)),
        })
    });
    check(&plan, vec![event(1, "a", 1), event(2, "a", "x"), event(3, "a", 3)], "1 1 null \n 2 failed");
}

#[test]
fn rule_5_6_union_keeps_duplicates_in_the_order_of_branches() {
    let mut build = Build::default();
    let source = build.source(0, false);
    let all = build.select(source, &[("v", Expr::Column(V))]);
    let some = build
        .keep(all, Predicate::Compare(CompareOp::Greater, Expr::Column(0), Expr::Literal(Value::Int(1))));
    build.add(Op::Union, &[some, all], &["v"]);
    let entries = vec![event(1, "a", 1), event(1, "a", 2), event(2, "a", 3)];
    check(&build.plan(), entries, "1 2 \n 1 1 \n 1 2 \n 2 3 \n 2 3");
}

#[test]
fn rule_5_2_a_star_leaves_out_names_that_are_taken() {
    let star = |place: usize| {
        let mut build = Build::default();
        let columns = vec![SourceColumn::Payload];
        let source = build.add(
            Op::Source(Source { input: 0, table: Vec::new(), over: Vec::new(), timestamp_by: None, columns }),
            &[],
            &["$payload"],
        );
        let v = Expr::Member(Box::new(Expr::Column(0)), "v".into());
        let negated = Item::Column("v".into(), Expr::Negate(Box::new(v)));
        let mut items = vec![negated];
        items.insert(place, Item::Spread(Expr::Column(0)));
        build.add(Op::Project(Project { items }), &[source], &[]);
        let mut plan = build.plan();
        plan.inputs = vec![rewindow_query::plan::Input { name: "input".into() }];
        plan
    };
    let record =
        |plan: &Plan| -> Record { ask(plan, vec![event(1, "a", 1)]).rows[0].record.as_ref().clone() };
    assert_eq!(record(&star(1)).to_string(), r#"{"v":-1,"k":"a"}"#);
    assert_eq!(record(&star(0)).to_string(), r#"{"k":"a","v":-1}"#, "C-STAR");
}

#[test]
fn rule_11_4_partitions_of_a_parallel_job_are_pipelines_of_their_own() {
    let mut plan = lag(1, 60, None);
    plan.parallel = true;
    let mut other = event(2, "a", 2);
    other.partition = 1;
    let entries = history(vec![event(1, "a", 1), other, event(3, "a", 3)]);
    let answer = answer(
        &plan,
        &Ordering { late: Span::ZERO, out_of_order: Span::ZERO, policy: Policy::Drop },
        &[2],
        &entries,
    );
    assert_eq!(text(&answer), "1 1 none\n3 3 1\n2 2 none");
    let partitions: Vec<_> = answer.rows.iter().map(|row| row.partition).collect();
    assert_eq!(partitions, [Some(0), Some(0), Some(1)]);
    assert!(answer.rows.iter().all(|row| row.timestamp < Timestamp::MAX));
}
