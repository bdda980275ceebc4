//! The rest of the language by hand-made plans: sessions, snapshots, OVER, APPLY, reference data, CREATE TABLE,
//! substreams, and the aggregates that spread, rank and collect. Catches an operator whose page misreads its
//! rule, before any engine is compared with it.

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use rewindow_model::answer;
use rewindow_query::event::Reference;
use rewindow_query::expr::{CompareOp, Expr, Predicate};
use rewindow_query::plan::*;
use rewindow_query::{Entry, Plan, Policy, Reason, Record, Span, Timestamp, Type, Value};
use support::*;

fn session(timeout: i64, max: i64, by_key: bool, keys: Vec<Expr>) -> Plan {
    let window = Window::Session { timeout: Span::seconds(timeout), max: Span::seconds(max) };
    let session_by = if by_key { vec![Expr::Column(K)] } else { Vec::new() };
    let mut names: Vec<String> = (0..keys.len()).map(|key| format!("k{key}")).collect();
    names.push("n".to_owned());
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut build = Build::default();
    let source = build.source(0, false);
    build.add(Op::Group(Group { window, keys, calls: vec![count()], session_by }), &[source], &names);
    build.plan()
}

fn events(times: &[i64]) -> Vec<Entry> {
    times.iter().map(|&t| event(t, "a", 1)).collect()
}

#[test]
fn rule_4_9_a_session_ends_by_silence() {
    let plan = session(5, 60, false, vec![]);
    check(&plan, events(&[1, 6, 12]), "11 2 \n 17 1"); // a gap of the timeout extends, one more does not
}

#[test]
fn rule_4_9_a_session_is_cut_at_check_points() {
    let plan = session(5, 10, false, vec![]);
    check(&plan, events(&[5, 8, 11, 14, 17, 19, 22, 25, 28, 31, 34]), "20 6 \n 30 3 \n 39 2");
    check(&plan, events(&[5, 10, 15, 20, 21]), "20 4 \n 26 1"); // stamped at the check point: in the ending one
    check(&plan, events(&[10, 15, 20, 26]), "20 3 \n 31 1"); // nothing came back in time: a fresh session from 26
    check(&plan, events(&[10, 15, 20, 25, 30, 35]), "20 3 \n 30 2 \n 40 1");
}

#[test]
fn c_session_borders_and_contents() {
    let two_keys = vec![event(0, "a", 1), event(3, "b", 1), event(6, "a", 1)];
    let by_key = session(4, 60, true, vec![Expr::Column(K)]);
    check(&by_key, two_keys.clone(), "4 a 1 \n 7 b 1 \n 10 a 1");
    let by_all = session(4, 60, false, vec![Expr::Column(K)]);
    check(&by_all, two_keys, "10 a 2 \n 10 b 1");
    let unnamed = session(4, 60, true, vec![]);
    let ends_together = vec![event(0, "b", 1), event(0, "a", 1), event(0, "b", 1)];
    check(&unnamed, ends_together, "4 1 \n 4 2"); // a before b
}

/// Rule 4.9 as a machine that looks at every second, one after the other.
fn by_the_second(times: &[i64], timeout: i64, max: i64) -> String {
    let (mut open, mut content, mut start, mut last) = (false, 0, 0, 0);
    let mut lines = Vec::new();
    for now in 0..=times.last().unwrap_or(&0) + timeout {
        for _ in times.iter().filter(|&&t| t == now) {
            if !open {
                (open, start) = (true, now);
            }
            last = now;
            content += 1;
        }
        let timed_out = open && now == last + timeout;
        let cut = open && now % max == 0 && now - start >= max;
        if timed_out || cut {
            if content > 0 {
                lines.push(format!("{now} {content}"));
            }
            (open, start, content) = (!timed_out, now, 0);
        }
    }
    lines.join("\n")
}

proptest! {
    #[test]
    fn rule_4_9_agrees_with_a_machine(mut times in prop::collection::vec(0i64..80, 0..20), timeout in 1i64..12, max in 1i64..12) {
        times.sort_unstable();
        prop_assert_eq!(text(&ask(&session(timeout, max, false, vec![]), events(&times))), by_the_second(&times, timeout, max));
    }
}

fn grouped(window: Window, calls: &[AggregateCall]) -> Plan {
    let mut build = Build::default();
    let source = build.source(0, false);
    build.group(source, window, calls);
    build.plan()
}

#[test]
fn rule_4_10_a_snapshot_groups_equal_timestamps() {
    let entries = vec![event(1, "b", 1), event(1, "a", 2), event(1, "b", 3), event(2, "b", 4)];
    check(
        &grouped(Window::Snapshot, &[count(), of_v(Aggregate::Sum)]),
        entries,
        "1 a 1 2 \n 1 b 2 4 \n 2 b 1 4",
    );
}

/// The aggregates of the values of one window.
#[track_caller]
fn aggregated(calls: &[AggregateCall], values: &[Value], expected: &str) {
    let window = Window::Tumbling { size: Span::seconds(100), offset: Span::ZERO };
    let entry =
        |(place, value): (usize, &Value)| event(i64::try_from(place).expect("few") + 1, "a", value.clone());
    let entries = values.iter().enumerate().map(entry).collect();
    check(&grouped(window, calls), entries, expected);
}

fn ints(ints: &[i64]) -> Vec<Value> {
    ints.iter().copied().map(Value::Int).collect()
}

#[test]
fn c_var() {
    use Aggregate::*;
    let all = [of_v(VarP), of_v(StdevP), of_v(Var), of_v(Stdev)];
    aggregated(&all, &ints(&[2, 4, 4, 4, 5, 5, 7, 9]), "100 a 4.0 2.0 4.571428571428571 2.138089935299395");
    aggregated(&all, &ints(&[7]), "100 a 0.0 0.0 null null");
    aggregated(&all, &[Value::Null], "100 a null null null null");
    aggregated(&all, &[Value::text("1"), Value::Bit(false)], "100 a 0.25 0.5 0.5 0.7071067811865476");
    aggregated(&all, &[Value::text("one")], "1 failed");
    aggregated(&[of_v(VarP)], &[Value::Float(1e300), Value::Float(0.0)], "100 failed");
    aggregated(&[of_v(StdevP)], &[Value::Float(1e300), Value::Float(0.0)], "100 a 5e+299");
}

fn ordered(function: Aggregate, descending: bool) -> AggregateCall {
    AggregateCall { order: vec![(Expr::Column(V), descending)], ..of_v(function) }
}

#[test]
fn c_percentile() {
    use Aggregate::*;
    let floats: Vec<Value> = [0.98, 0.93, 0.78, 0.99, 0.89].map(Value::Float).to_vec();
    aggregated(
        &[ordered(PercentileDisc(0.95), false), ordered(PercentileDisc(0.95), true)],
        &floats,
        "100 a 0.99 0.78",
    );
    let between = 0.98 * (1.0 - (3.8 - 3.0)) + 0.99 * (3.8 - 3.0);
    aggregated(&[ordered(PercentileCont(0.95), false)], &floats, &format!("100 a {between}"));
    let disc = |p| ordered(PercentileDisc(p), false);
    aggregated(&[disc(0.5), disc(0.51), disc(0.0), disc(1.0)], &ints(&[30, 10, 40, 20]), "100 a 20 30 10 40");
    let cont = |p| ordered(PercentileCont(p), false);
    aggregated(&[cont(0.5), cont(0.0), cont(1.0)], &ints(&[30, 10, 40, 20]), "100 a 25.0 10.0 40.0");
    aggregated(&[cont(0.5), disc(0.5)], &[Value::Null], "100 a null null");
    aggregated(&[disc(0.1)], &ints(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]), "100 a 1");
    aggregated(&[disc(0.5)], &[Value::Int(1), Value::Datetime(at(0))], "2 failed");
    aggregated(
        &[cont(0.5)],
        &[Value::Float(f64::MAX), Value::Float(f64::MAX)],
        &format!("100 a {}", serde_json::json!(f64::MAX)),
    );
}

#[test]
fn c_collect() {
    use Aggregate::*;
    let values =
        vec![Value::Int(5), Value::Null, Value::Float(5.0), Value::Datetime(Timestamp(0)), Value::Int(7)];
    aggregated(&[of_v(Collect)], &values, r#"100 a [5,null,5.0,"0001-01-01T00:00:00.0000000Z",7]"#);
    let top = |n, descending| ordered(CollectTop(n), descending);
    aggregated(&[top(2, false)], &values, r#"100 a [{"rank":1,"value":null},{"rank":2,"value":5}]"#);
    aggregated(&[top(9, true)], &ints(&[1, 2]), r#"100 a [{"rank":1,"value":2},{"rank":2,"value":1}]"#);
    // Equals stay in processing order, also where the order is DESC.
    let by_zero = AggregateCall { order: vec![(Expr::Literal(Value::Int(0)), true)], ..of_v(TopOne) };
    aggregated(&[by_zero, ordered(TopOne, true), ordered(TopOne, false)], &ints(&[2, 1, 3]), "100 a 2 3 1");
    aggregated(&[ordered(TopOne, false)], &[Value::Int(1), Value::text("b")], "2 failed");
}

fn over(function: Aggregate, when: Option<Predicate>) -> Plan {
    let mut build = Build::default();
    let source = build.source(0, false);
    let call = AggregateCall { argument: Some(Expr::Column(V)), ..of_v(function) };
    let over = Over { call, partition: vec![Expr::Column(K)], limit: Span::seconds(10), when };
    let over = build.add(Op::Over(over), &[source], &["k", "v", "t", "p", "x"]);
    build.select(over, &[("v", Expr::Column(V)), ("x", Expr::Column(4))]);
    build.plan()
}

#[test]
fn rule_6_2_over_looks_back_from_every_row() {
    let entries =
        vec![event(1, "a", 5), event(1, "a", 7), event(2, "b", 9), event(10, "a", 1), event(11, "a", 2)];
    // Rows of one instant see those before them; what is exactly 10 old is out.
    check(&over(Aggregate::Max, None), entries.clone(), "1 5 5 \n 1 7 7 \n 2 9 9 \n 10 1 7 \n 11 2 2");
    let small = Predicate::Compare(CompareOp::Less, Expr::Column(V), Expr::Literal(Value::Int(6)));
    check(
        &over(Aggregate::Min, Some(small.clone())),
        entries.clone(),
        "1 5 5 \n 1 7 5 \n 2 9 null \n 10 1 1 \n 11 2 1",
    );
    check(&over(Aggregate::Count, Some(small.clone())), vec![event(1, "a", 9)], "1 9 0");
    check(&over(Aggregate::Collect, Some(small)), vec![event(1, "a", 9)], "1 9 []");
    check(
        &over(Aggregate::Max, None),
        vec![event(1, "a", 5), event(2, "a", Value::Datetime(at(0)))],
        "1 5 5 \n 2 failed",
    );
}

#[test]
fn rule_5_10_apply_takes_arrays_and_records_apart() {
    let plan = |kind, outer| {
        let mut build = Build::default();
        let source = build.source(0, false);
        let apply = Apply { kind, argument: Expr::Column(V), outer };
        let applied = build.add(Op::Apply(apply), &[source], &["k", "v", "t", "p", "name", "value"]);
        build.select(applied, &[("k", Expr::Column(K)), ("n", Expr::Column(4)), ("v", Expr::Column(5))]);
        build.plan()
    };
    let array = |items: &[i64]| Value::Array(ints(items).into());
    let entries = vec![
        event(1, "a", array(&[7, 8])),
        event(2, "b", array(&[])),
        event(3, "c", Value::Null),
        event(4, "d", 1),
    ];
    check(&plan(ApplyKind::Elements, false), entries.clone(), "1 a 0 7 \n 1 a 1 8 \n 4 failed");
    check(
        &plan(ApplyKind::Elements, true),
        entries,
        "1 a 0 7 \n 1 a 1 8 \n 2 b null null \n 3 c null null \n 4 failed",
    );
    let record = Record::new(vec![("y".into(), Value::Int(1)), ("x".into(), Value::Int(2))]);
    let record = Value::Record(Arc::new(record));
    check(&plan(ApplyKind::Properties, false), vec![event(1, "a", record.clone())], "1 a y 1 \n 1 a x 2");
    check(&plan(ApplyKind::Elements, false), vec![event(1, "a", record)], "1 failed");
}

/// Rule 1.8 of reference data, C-TABLE: what does not fit is left out, the rest is converted.
/// The datetime is shown in seconds.
#[test]
fn c_table_fits_the_rows_of_reference_data() {
    let text_of = "CREATE TABLE names (id bigint, seen datetime)
        SELECT m.k, n.seen, n.more FROM m LEFT JOIN names n ON m.k = n.id";
    let plan = rewindow_query::analyse(text_of, None).expect("it is a query");
    let row = |id: Value, seen: &str, more: i64| {
        let members =
            vec![("id".into(), id), ("seen".into(), Value::text(seen)), ("more".into(), Value::Int(more))];
        Arc::new(Record::new(members))
    };
    let rows = vec![
        row(Value::Float(1.0), "2018-01-31", 1),
        row(Value::Float(1.5), "2018-01-31", 2),
        row(Value::Int(1), "soon", 3),
        row(Value::text("1"), "2018-01-31", 4),
        row(Value::Null, "2018-01-31", 5),
    ];
    let mut history = history(vec![event(9, 1, 1)]);
    history.references = [Reference { versions: vec![(at(0), rows)] }].into();
    let found = text(&answer(&plan, &tolerances(5, 0, Policy::Adjust), &[1], &history));
    assert_eq!(found, "9 1 63652953600 1");
}

#[test]
fn rule_8_7_the_version_in_force_is_joined() {
    let plan = |left_outer| {
        let mut build = Build::default();
        let source = build.source(0, false);
        let equal = vec![(Expr::Column(K), Expr::Column(0))];
        let on = Predicate::Compare(CompareOp::Equal, Expr::Column(K), Expr::Column(4));
        let columns = vec!["id".into(), "name".into(), "".into()];
        let join = ReferenceJoin {
            reference: 0,
            table: Vec::new(),
            columns,
            left_outer,
            on,
            equal,
            left_columns: 4,
        };
        let joined =
            build.add(Op::ReferenceJoin(join), &[source], &["k", "v", "t", "p", "id", "name", "$row"]);
        build.select(joined, &[("k", Expr::Column(K)), ("name", Expr::Column(5)), ("row", Expr::Column(6))]);
        Plan { references: vec![Input { name: "names".into() }], ..build.plan() }
    };
    let row = |id: &str, name: &str| {
        let members = vec![("id".into(), Value::text(id)), ("name".into(), Value::text(name))];
        Arc::new(Record::new(members))
    };
    let versions = vec![
        (at(10), vec![row("a", "one"), row("a", "two"), row("b", "three")]),
        (at(20), vec![row("a", "unseen")]),
        (at(20), vec![row("a", "four")]),
    ];
    let entries =
        vec![event(9, "a", 1), event(10, "a", 1), event(19, "c", 1), event(20, "a", 1), event(30, 1, 1)];
    let joined = |left_outer| {
        let mut history = history(entries.clone());
        history.references = [Reference { versions: versions.clone() }].into();
        text(&answer(&plan(left_outer), &tolerances(5, 0, Policy::Adjust), &[1], &history))
    };
    let found = [
        r#"10 a one row={"id":"a","name":"one"}"#,
        r#"10 a two row={"id":"a","name":"two"}"#,
        r#"20 a four row={"id":"a","name":"four"}"#,
    ];
    assert_eq!(joined(false), found.join("\n"));
    let [one, two, four] = found;
    let outer = ["9 a null null", one, two, "19 c null null", four, "30 1 null null"];
    assert_eq!(joined(true), outer.join("\n"));
}

#[test]
fn c_table_converts_what_fits_and_drops_the_rest() {
    let column = |to| -> Plan {
        let columns = vec![SourceColumn::Member("v".into()), SourceColumn::Payload];
        let table = vec![("V".into(), to), ("missing".into(), Type::Bigint)];
        let source = Source { input: 0, table, over: Vec::new(), timestamp_by: None, columns };
        let mut build = Build::default();
        build.source(0, false);
        let source = build.add(Op::Source(source), &[], &["v", "$payload"]);
        let payload = Expr::Member(Box::new(Expr::Column(1)), "v".into());
        build.select(source, &[("v", Expr::Column(0)), ("same", payload)]);
        build.plan()
    };
    let iso = Value::text("0001-01-01T00:00:03Z");
    let table = [
        (Type::Bigint, Value::Float(3.0), "1 3 3"),
        (Type::Bigint, Value::Float(3.5), ""),
        (Type::Bigint, Value::Float(1e19), ""),
        (Type::Bigint, Value::text("3"), ""),
        (Type::Bigint, Value::Null, "1 null null"),
        (Type::Float, Value::Int(3), "1 3.0 3.0"),
        (Type::Datetime, iso.clone(), "1 3 3"),
        (Type::Datetime, Value::text("soon"), ""),
        (Type::Text, iso, "1 0001-01-01T00:00:03Z 0001-01-01T00:00:03Z"),
        (Type::Text, Value::Int(1), ""),
        (Type::Bit, Value::Int(1), "1 true true"),
        (Type::Bit, Value::Int(2), ""),
        (Type::Array, Value::Array(ints(&[1]).into()), "1 [1] [1]"),
        (Type::Record, Value::Array(ints(&[1]).into()), ""),
    ];
    for (to, value, expected) in table {
        let answer = ask(&column(to), vec![event(1, "a", value.clone())]);
        assert_eq!(text(&answer), expected, "{value} as {}", to.name());
        let reasons: Vec<Reason> = answer.dropped.iter().map(|dropped| dropped.reason).collect();
        assert_eq!(reasons, if expected.is_empty() { vec![Reason::Deserialization] } else { vec![] });
    }
}

#[test]
fn c_substream_out_of_order_is_judged_by_tuple() {
    let columns = ["k", "v", "t"].map(|name| SourceColumn::Member(name.into())).to_vec();
    let (over, timestamp_by) = (vec![Expr::Column(0)], Some(Expr::Column(2)));
    let source = Source { input: 0, table: Vec::new(), over, timestamp_by, columns };
    let mut build = Build::default();
    build.source(0, false);
    let source = build.add(Op::Source(source), &[], &["k", "v", "t"]);
    build.select(source, &[("k", Expr::Column(0)), ("v", Expr::Column(1))]);
    let plan = build.plan();
    let entry_of = |arrival, k: Value, t| {
        entry(arrival, &[("k", k), ("v", Value::Int(t)), ("t", Value::Datetime(at(t)))])
    };
    let (a, b) = (Value::text("a"), Value::text("b"));
    let entries = vec![
        entry_of(10, a.clone(), 10),
        entry_of(11, b.clone(), 7),    // in order: b has seen nothing
        entry_of(11, a.clone(), 8),    // moved to 10
        entry_of(12, Value::Null, 12), // no substream
        entry_of(13, a.clone(), 1000), // early, and a's maximum does not move
        entry_of(13, b, 1),            // late: moved to 8 = 13 - 5
        entry_of(13, a, 10),           // equal is in order
    ];
    let answer = ask(&plan, entries);
    assert_eq!(text(&answer), "7 b 7\n8 b 1\n10 a 10\n10 a 8\n10 a 10");
    let dropped: BTreeMap<u64, Reason> = answer.dropped.iter().map(|d| (d.offset, d.reason)).collect();
    assert_eq!(dropped, BTreeMap::from([(3, Reason::TimestampKey), (4, Reason::Early)]));
}
