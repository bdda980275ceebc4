//! Claim 1, *agree*: the engine gives the model's rows, however its input is cut into batches.
//!
//! What no other suite would catch: a rule that the engine reads otherwise than the model in some mixture of
//! operators, keys, NULLs, ties and tolerances that nobody wrote down. The last test here is the only one that
//! doubts what both rooms take from the analysis: the equalities and the bound it found in an ON.

mod support;

use std::sync::Arc;

use rewindow::choices::{Choices, Seeded};
use rewindow::generate::small_case;
use rewindow::judge::{Breach, Truth, Verdict};
use rewindow::laws;
use rewindow_engine::reference::References;
use rewindow_engine::setup::Setup;
use rewindow_query::plan::{NodeId, Op, Source};
use rewindow_query::{Dropped, Entry, Plan, Policy, Reason, Span, Timestamp, Value, analyse};
use rewindow_world::case::Case;
use rewindow_world::journal::Journal;
use support::{Reached, Search, holds_in_the_world, operator, truth, whole_engine};

/// How often each case is cut anew.
const CUTS: u64 = 3;

fn quiet(case: &Case) -> Case {
    Case { faults: Vec::new(), ..case.clone() }
}

fn agrees(case: &Case, cuts: u64) -> Option<Breach> {
    let truth = truth(case);
    (0..CUTS).find_map(|cut| {
        let subject = whole_engine(&truth.plan, case);
        let mut choices = Seeded::new(cuts, cut);
        match laws::agree(&truth, case, subject.as_ref(), &mut choices).expect("a small case can be run") {
            Verdict::Held(_) => None,
            Verdict::Broken(breach) => Some(*breach),
        }
    })
}

#[test]
fn engine_and_model_agree_however_the_input_is_cut() {
    let search = Search::new("agree", 40_000);
    let mut reached = Reached::default();
    search.run(
        |number, choices| {
            let case = quiet(&small_case(choices));
            search.ask(number, &case, &|case| agrees(case, number))?;
            Ok((truth(&case), case, number))
        },
        |(truth, case, number)| note(&truth, &case, number, &mut reached),
    );
    search.require(&reached, &required());
}

/// Operators that keep state or change times, and those that are seen through where two of them meet.
const OPERATORS: [&str; 16] = [
    "tumbling",
    "hopping",
    "sliding",
    "session",
    "snapshot",
    "join",
    "left join",
    "reference",
    "left reference",
    "lag",
    "last",
    "isfirst",
    "over",
    "apply",
    "match",
    "union",
];

fn required() -> Vec<String> {
    let mut names: Vec<String> = OPERATORS.map(String::from).to_vec();
    names.extend(["ordering", "filter", "project"].map(String::from));
    for upper in OPERATORS {
        names.extend(OPERATORS.iter().map(|lower| format!("{upper} of {lower}")));
    }
    let states = ["row", "NULL in a row", "no row", "failure", "failure behind rows", "late, moved"];
    names.extend(states.map(String::from));
    names.extend(["out of order, moved", "parallel", "several outputs", "estimate"].map(String::from));
    names.extend(["substreams", "declared", "repartitioned", "versions of reference data"].map(String::from));
    for reason in [
        Reason::Early,
        Reason::Late,
        Reason::OutOfOrder,
        Reason::Timestamp,
        Reason::TimestampKey,
        Reason::Deserialization,
    ] {
        names.push(format!("dropped {}", reason.name()));
    }
    names
}

fn note(truth: &Truth, case: &Case, number: u64, reached: &mut Reached) {
    let answer = &truth.answer;
    let plan = &truth.plan;
    // Only where rows come out is anything compared.
    for output in 0..plan.outputs.len() {
        if answer.rows.iter().any(|row| row.output == output) {
            for node in plan.nodes_of(&[output]) {
                let name = operator(&plan.nodes[node].op);
                reached.note(name);
                for below in stateful_below(plan, node) {
                    reached.note(format!("{name} of {}", operator(&plan.nodes[below].op)));
                }
            }
        }
    }
    reached.note(if answer.rows.is_empty() { "no row" } else { "row" });
    let nulls = |row: &&rewindow_query::Row| row.record.members().iter().any(|(_, v)| *v == Value::Null);
    reached.add("NULL in a row", answer.rows.iter().filter(nulls).count() as u64);
    if answer.failure.is_some() {
        reached.note(if answer.rows.is_empty() { "failure" } else { "failure behind rows" });
    }
    for drop in &answer.dropped {
        reached.note(format!("dropped {}", drop.reason.name()));
    }
    reached.add("parallel", u64::from(plan.parallel));
    reached.add("several outputs", u64::from(plan.outputs.len() > 1));
    let source = |test: &dyn Fn(&Source) -> bool| {
        plan.nodes.iter().any(|node| matches!(&node.op, Op::Source(source) if test(source)))
    };
    let shows = !answer.rows.is_empty();
    reached.add("substreams", u64::from(shows && source(&|source| !source.over.is_empty())));
    reached.add("declared", u64::from(shows && source(&|source| !source.table.is_empty())));
    reached.add("repartitioned", u64::from(shows && case.query.contains(" INTO 3")));
    let versions = case.history.references.iter().any(|reference| reference.versions.len() > 1);
    reached.add("versions of reference data", u64::from(shows && versions));
    let estimates = case.history.entries.iter().filter(|e| e.payload == rewindow_query::Payload::Estimate);
    reached.add("estimate", estimates.count() as u64);
    // Whether a policy moved something that shows: without its tolerance the rows are others.
    if number.is_multiple_of(8) && case.ordering.policy == Policy::Adjust {
        let mut other = case.clone();
        other.ordering.late = Span::hours(24);
        reached.add("late, moved", u64::from(Truth::of_plan(plan.clone(), &other).answer != *answer));
        let mut other = case.clone();
        other.ordering.out_of_order = Span::hours(24);
        reached.add("out of order, moved", u64::from(Truth::of_plan(plan.clone(), &other).answer != *answer));
    }
}

/// The nearest nodes below that are no mere filter or projection.
fn stateful_below(plan: &Plan, node: NodeId) -> Vec<NodeId> {
    let mut found = Vec::new();
    for &below in &plan.nodes[node].inputs {
        match plan.nodes[below].op {
            Op::Filter(_) | Op::Project(_) => found.extend(stateful_below(plan, below)),
            Op::Source(_) => {}
            _ => found.push(below),
        }
    }
    found
}

/// TIMESTAMP BY takes an expression: where it gives no instant the event is dropped (rule 2.8). Only cases in which
/// none fails: the arrival that such a failure is stamped with is no point of the watermark.
#[test]
fn engine_and_model_agree_on_what_timestamp_by_says() {
    const INSTANTS: [&str; 4] = [
        "TRY_CAST(t AS datetime)",
        "DATEADD(second, n, t)",
        "CASE WHEN k = 'a' THEN t ELSE DATEADD(second, 6 / n, TRY_CAST(t AS datetime)) END",
        "COALESCE(t, x)",
    ];
    let search = Search::new("agree-timestamp-by", 6_000);
    let mut reached = Reached::default();
    search.run(
        |number, choices| {
            let case = small_case(choices);
            let instant = format!("TIMESTAMP BY {}", (choices as &mut dyn Choices).pick(&INSTANTS));
            // What CREATE TABLE says of t would have to fit.
            if case.query.contains("CREATE TABLE") {
                return Ok("declared");
            }
            let query = case.query.replace("TIMESTAMP BY t", &instant);
            let case = Case { query: query.into(), ..case };
            if truth(&case).answer.failure.is_some() {
                return Ok("fails");
            }
            search.ask(number, &case, &|case| agrees(&quiet(case), number))?;
            search.ask(number, &case, &holds_in_the_world)?;
            Ok(if truth(&case).answer.rows.is_empty() { "no rows" } else { "rows" })
        },
        |what| reached.note(what),
    );
    search.require(&reached, &["rows"]);
}

// ---- what did not reach the query -----------------------------------------------------------------------

/// A subject of the world gives rows only; which events were dropped, and why, is asked of the engine itself.
#[test]
fn engine_and_model_drop_the_same_events() {
    let search = Search::new("agree-drops", 6_000);
    let mut reached = Reached::default();
    search.run(
        |_, choices| {
            let case = small_case(choices);
            let truth = truth(&case);
            // What a job that fails still drops is nobody's business.
            if truth.answer.failure.is_some() {
                return Ok(Vec::new());
            }
            let dropped = dropped(&truth, &case, choices);
            if dropped != truth.answer.dropped {
                let owed = &truth.answer.dropped;
                return Err(format!("dropped {dropped:?}, expected {owed:?}\n{}", case.to_toml()));
            }
            Ok(dropped)
        },
        |dropped| dropped.iter().for_each(|drop| reached.note(drop.reason.name())),
    );
    let reasons = [
        Reason::Early,
        Reason::Late,
        Reason::OutOfOrder,
        Reason::Timestamp,
        Reason::TimestampKey,
        Reason::Deserialization,
    ];
    search.require(&reached, &reasons.map(Reason::name));
}

fn dropped(truth: &Truth, case: &Case, choices: &mut dyn Choices) -> Vec<Dropped> {
    let journal = Journal::of(case, &truth.plan).expect("a small case can be run");
    let references = Arc::new(References::new(&case.references_of(&truth.plan)));
    let mut dropped = Vec::new();
    for shard in &truth.shards {
        let setup = Setup::new(truth.plan.clone(), shard.clone(), case.ordering);
        let mut instance = setup.with_references(references.clone()).start(Timestamp::MIN);
        let mut lanes: Vec<&[Entry]> =
            shard.reads.iter().map(|&(input, partition)| journal.entries(input, partition)).collect();
        while lanes.iter().any(|lane| !lane.is_empty()) {
            lanes.retain(|lane| !lane.is_empty());
            let lane = choices.index(lanes.len());
            let (batch, left) = lanes[lane].split_at(1 + choices.index(lanes[lane].len()));
            lanes[lane] = left;
            let produced = instance.feed(batch[0].input, batch[0].partition, batch);
            dropped.extend(produced.expect("the model does not fail").dropped);
        }
        dropped.extend(instance.finish().expect("the model does not fail").dropped);
    }
    // The journal's own estimates push the offsets; a case numbers its events without them.
    let original = |drop: Dropped| {
        let index = journal.original(drop.input, drop.partition, drop.offset);
        let entry = &case.history.entries[index.expect("an estimate is never dropped")];
        Dropped { offset: entry.offset, ..drop }
    };
    let mut dropped: Vec<Dropped> = dropped.into_iter().map(original).collect();
    dropped.sort();
    dropped.dedup();
    dropped
}

// ---- what the analysis finds in an ON -----------------------------------------------------------------

/// A condition of a join, in one of the many ways to write it.
fn on(choices: &mut dyn Choices) -> String {
    let (low, high) = (choices.range(-3, 2), choices.range(0, 4));
    let high = low + high;
    let unit = *choices.pick(&["second", "ss", "millisecond", "minute"]);
    let scale = if unit == "millisecond" { 1_000 } else { 1 };
    let (low, high) = (low * scale, high * scale + choices.range(0, 1) * (scale - 1));
    let far = format!("DATEDIFF({unit}, l, r)");
    let near = format!("DATEDIFF({unit}, r, l)");
    let bound = match choices.index(8) {
        0 => format!("{far} BETWEEN {low} AND {high}"),
        1 => format!("{far} >= {low} AND {far} <= {high}"),
        2 => format!("{low} <= {far} AND {high} >= {far}"),
        3 => format!("{far} > {} AND {far} < {}", low - 1, high + 1),
        4 => format!("{near} BETWEEN {} AND {}", -high, -low),
        5 => format!("{far} = {low}"),
        6 => format!("{far} >= {low} AND {near} >= {}", -high),
        _ => format!("{far} BETWEEN {} AND {high} AND {} > {near}", low - scale, 1 - low),
    };
    let mut parts = vec![bound];
    for _ in 0..choices.range(0, 2) {
        parts.push(match choices.index(10) {
            0 => "l.k = r.k".to_owned(),
            1 => "r.k = l.k".to_owned(),
            2 => "l.n = r.n".to_owned(),
            3 => "l.n + 1 = r.n".to_owned(),
            4 => "r.n * 2 = l.n".to_owned(),
            5 => "(l.k = r.k OR l.n = r.n)".to_owned(),
            6 => "NOT (l.k <> r.k)".to_owned(),
            7 => "l.n = 1".to_owned(),
            8 => "(l.k = r.k AND (l.n >= r.n))".to_owned(),
            _ => "l.n = l.k".to_owned(),
        });
    }
    if choices.chance(1, 2) {
        parts.reverse();
    }
    parts.join(" AND ")
}

/// What `on` alone says: no equality is taken out of it, and the bound in time is wide.
fn unaided(plan: &Plan, inner: bool) -> Plan {
    let mut plan = plan.clone();
    for node in &mut plan.nodes {
        if let Op::Join(join) = &mut node.op {
            join.equal.clear();
            join.bound.low -= 1_000_000;
            // The end of the bound stamps unmatched rows, so it can be doubted only where there are none.
            join.left_outer &= !inner;
            join.bound.high += if join.left_outer { 0 } else { 1_000_000 };
        }
    }
    plan
}

/// C-EVAL lets an ON fail only for pairs within the bound and with equal keys, so a join that fails with or
/// without this help says nothing here.
#[test]
fn what_the_analysis_finds_in_an_on_is_what_the_on_says() {
    let search = Search::new("agree-on", 6_000);
    let mut reached = Reached::default();
    search.run(
        |_, choices| {
            let case = small_case(choices);
            let kind = if choices.chance(1, 2) { "LEFT JOIN" } else { "JOIN" };
            let on = on(choices);
            let query = format!(
                "SELECT l.k AS lk, l.n AS ln, r.k AS rk, r.n AS rn FROM a l TIMESTAMP BY t {kind} b r TIMESTAMP BY t ON {on}"
            );
            let Ok(plan) = analyse(&query, None) else { return Ok("refused") };
            let equal = plan.nodes.iter().any(|n| matches!(&n.op, Op::Join(join) if !join.equal.is_empty()));
            let narrow = answer(&plan, &case);
            let (wide, inner) = (answer(&unaided(&plan, false), &case), answer(&unaided(&plan, true), &case));
            let both_inner = {
                let mut plan = plan.clone();
                plan.nodes.iter_mut().for_each(|n| {
                    if let Op::Join(join) = &mut n.op {
                        join.left_outer = false;
                    }
                });
                answer(&plan, &case)
            };
            if [&narrow, &wide, &inner, &both_inner].iter().any(|a| a.failure.is_some()) {
                return Ok("failed");
            }
            if narrow.rows != wide.rows || both_inner.rows != inner.rows {
                let case = Case { query: query.as_str().into(), ..case };
                return Err(format!("{narrow:#?}\nunaided {wide:#?}\n{}", case.to_toml()));
            }
            Ok(match (narrow.rows.is_empty(), equal) {
                (true, _) => "no rows",
                (false, true) => "rows, by equality",
                (false, false) => "rows, by time alone",
            })
        },
        |what| reached.note(what),
    );
    search.require(&reached, &["rows, by equality", "rows, by time alone"]);
    let said = reached.count("rows, by equality") + reached.count("rows, by time alone");
    assert!(reached.count("refused") <= said, "most of the conditions are accepted\n{reached}");
}

fn answer(plan: &Plan, case: &Case) -> rewindow_model::Answer {
    let partitions = case.partitions(plan).expect("the streams of a small case");
    let mut answer = rewindow_model::answer(plan, &case.ordering, &partitions, &case.history);
    // Rows of equal timestamp are numbered in the order of pairs, which is the same with and without help.
    answer.rows.sort_by_key(|row| (row.timestamp, row.ordinal));
    debug_assert!(answer.rows.iter().all(|row| row.timestamp < Timestamp::MAX));
    answer
}
