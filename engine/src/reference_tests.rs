//! Joins with reference data against an oracle written from rule 8.7: each stream row is held against every
//! row of the version in force. Also: a checkpoint is not read over other data.

use std::sync::Arc;

use proptest::prelude::*;
use rewindow_query::event::Reference;
use rewindow_query::expr::{BinaryOp, CompareOp, Expr, Predicate};
use rewindow_query::plan::{Input, Node, Op, ReferenceJoin};
use rewindow_query::{Entry, Ordering, Payload, Policy, Record, Span, Timestamp, Type, Value};

use crate::checkpoint::CheckpointError;
use crate::plant::Plants;
use crate::reference::{Lookup, References};
use crate::setup::Setup;
use crate::testing::{Output, Row, column, cuts, rows, run_every_way};

/// ON l.key = r.k AND l.small <= r.v; over key, value, small, then k, the whole row, v.
fn op(left_outer: bool) -> ReferenceJoin {
    let bound = Predicate::Compare(CompareOp::LessOrEqual, column(2), column(5));
    ReferenceJoin {
        reference: 0,
        table: Vec::new(),
        columns: vec!["k".into(), "".into(), "v".into()],
        left_outer,
        on: Predicate::And(vec![Predicate::Compare(CompareOp::Equal, column(0), column(3)), bound]),
        equal: vec![(column(0), column(0))],
        left_columns: 3,
    }
}

fn record(k: &Value, v: i64) -> Arc<Record> {
    let members = [(Arc::from("k"), k.clone()), (Arc::from("v"), Value::Int(v))];
    Arc::new(members.into_iter().collect())
}

/// The `=` of the language for the keys of these tests.
fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Null, _) | (_, Value::Null) => false,
        (Value::Int(a), Value::Float(b)) | (Value::Float(b), Value::Int(a)) => *a as f64 == *b,
        (a, b) => a == b,
    }
}

fn expected(rows: &[Row], data: &Reference, left_outer: bool) -> Output {
    let none = Vec::new();
    let mut joined = Vec::new();
    for (at, values) in rows {
        let version = data.versions.iter().filter(|(from, _)| from.0 <= *at).max_by_key(|(from, _)| *from);
        let meets = |row: &&Arc<Record>| {
            equal(&values[0], row.get("k").expect("has it")) && values[2] <= *row.get("v").expect("has it")
        };
        let found: Vec<&Arc<Record>> = version.map_or(&none, |(_, rows)| rows).iter().filter(meets).collect();
        let row = |row: Option<&Arc<Record>>| {
            let right = match row {
                None => [Value::Null, Value::Null, Value::Null],
                Some(row) => {
                    let member = |name| row.get(name).cloned().expect("has it");
                    [member("k"), Value::Record(row.clone()), member("v")]
                }
            };
            (*at, values.iter().cloned().chain(right).collect())
        };
        if found.is_empty() && left_outer {
            joined.push(row(None));
        }
        joined.extend(found.into_iter().map(|found| row(Some(found))));
    }
    (joined, None)
}

fn data() -> impl Strategy<Value = Reference> {
    let key = prop_oneof![
        4 => (0_i64..3).prop_map(Value::Int),
        1 => Just(Value::Null),
        1 => Just(Value::text("k")),
        1 => Just(Value::Float(1.0)),
    ];
    let rows = prop::collection::vec((key, 0_i64..4), 0..5);
    let version = (95_i64..130, rows)
        .prop_map(|(from, rows)| (Timestamp(from), rows.iter().map(|(k, v)| record(k, *v)).collect()));
    prop::collection::vec(version, 0..4).prop_map(|versions| Reference { versions })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    #[test]
    fn rule_8_7_agrees_with_the_rule_however_it_is_fed(
        rows in rows(), data in data(), left_outer: bool, cuts in cuts(1),
    ) {
        let references = References::new(std::slice::from_ref(&data));
        let op = op(left_outer);
        let found = run_every_way(
            &|| Box::new(Lookup::new(&op, references.table(0), Plants::none())), std::slice::from_ref(&rows), &cuts);
        prop_assert_eq!(found, expected(&rows, &data, left_outer));
    }
}

#[test]
fn c_reference_a_failing_key_of_a_version_fails_at_its_first_stream_row() {
    let two = Box::new(Expr::Literal(Value::Int(2)));
    let mut op = op(true);
    op.equal = vec![(column(0), Expr::Binary(BinaryOp::Divide, two, Box::new(column(2))))];
    let version = |from, v| (Timestamp(from), vec![record(&Value::Int(1), v)]);
    let data = Reference { versions: vec![version(0, 1), version(10, 0), version(20, 1)] };
    let references = References::new(&[data]);
    let row = |at| (at, vec![Value::Int(2), Value::Null, Value::Int(0)]);
    let rows = vec![row(5), row(9), row(12), row(25)];
    let make = || -> Box<dyn crate::operator::Operator> {
        Box::new(Lookup::new(&op, references.table(0), Plants::none()))
    };
    let (found, failed) = run_every_way(&make, &[rows], &[vec![6], vec![13]]);
    assert_eq!((found.len(), failed), (2, Some(12)));
}

/// C-TABLE: rows of a version that do not fit are left out, the others are converted before they are joined.
#[test]
fn rule_1_8_rows_that_do_not_fit_are_no_rows() {
    let mut op = op(false);
    op.table = vec![("k".into(), Type::Bigint), ("v".into(), Type::Float)];
    let keys = [Value::Float(1.0), Value::Float(1.5), Value::text("1"), Value::Null, Value::Int(1)];
    let version: Vec<Arc<Record>> = (1..).zip(&keys).map(|(v, k)| record(k, v)).collect();
    let references = References::new(&[Reference { versions: vec![(Timestamp(0), version)] }]);
    let make = || -> Box<dyn crate::operator::Operator> {
        Box::new(Lookup::new(&op, references.table(0), Plants::none()))
    };
    let rows = vec![(5, vec![Value::Int(1), Value::Null, Value::Int(0)])];
    let (found, failed) = run_every_way(&make, &[rows], &[vec![6]]);
    let joined: Vec<(Value, Value)> =
        found.iter().map(|(_, columns)| (columns[3].clone(), columns[5].clone())).collect();
    let expected = [1.0, 5.0].map(|v| (Value::Int(1), Value::Float(v)));
    assert_eq!((joined, failed), (expected.to_vec(), None));
}

fn setup(data: Reference) -> Setup {
    let mut plan =
        rewindow_query::analyse("SELECT k, v, n FROM a TIMESTAMP BY t", None).expect("it is a query");
    let below = plan.outputs[0].node;
    plan.references.push(Input { name: "r".into() });
    let columns = ["k", "v", "n", "rk", "r", "rv"].map(Arc::from).to_vec();
    plan.nodes.push(Node {
        op: Op::ReferenceJoin(op(true)),
        inputs: vec![below],
        columns,
        step: "output".into(),
        place: 0..0,
    });
    plan.outputs[0].node = plan.nodes.len() - 1;
    let plan = Arc::new(plan);
    let shard = plan.shards(&[1]).remove(0);
    let ordering = Ordering { late: Span(0), out_of_order: Span(0), policy: Policy::Adjust };
    Setup::new(plan, shard, ordering).with_references(Arc::new(References::new(&[data])))
}

fn entry(offset: u64, second: i64) -> Entry {
    let at = Timestamp::MIN.max(Timestamp(Span::hours(1).0 + Span::seconds(second).0));
    let members = [
        (Arc::from("t"), Value::Datetime(at)),
        (Arc::from("k"), Value::Int(1)),
        (Arc::from("n"), Value::Int(0)),
    ];
    let record = members.into_iter().collect::<Record>();
    Entry { input: 0, partition: 0, offset, arrival: at, payload: Payload::Event(Arc::new(record)) }
}

#[test]
fn a_checkpoint_is_refused_over_other_data_and_read_over_longer_data() {
    let hour = Span::hours(1).0;
    let version =
        |second: i64, v| (Timestamp(hour + Span::seconds(second).0), vec![record(&Value::Int(1), v)]);
    let data = |versions| Reference { versions };
    let mut instance = setup(data(vec![version(0, 7), version(100, 8)])).start(Timestamp::MIN);
    let produced = instance.feed(0, 0, &[entry(0, 10), entry(1, 20)]).expect("no failure");
    assert_eq!(produced.rows[0].record.get("rv"), Some(&Value::Int(7)));
    let bytes = instance.checkpoint();
    let restore = |versions| setup(data(versions)).restore(&bytes);
    assert!(restore(vec![version(0, 7), version(100, 8)]).is_ok());
    assert!(restore(vec![version(0, 7), version(100, 9), version(200, 9)]).is_ok(), "nobody has met them");
    for other in [Vec::new(), vec![version(0, 6)], vec![version(0, 7), version(15, 8)], vec![version(1, 7)]] {
        assert!(matches!(restore(other), Err(CheckpointError::References)));
    }
    let mut again = restore(vec![version(0, 7), version(25, 9)]).expect("its data");
    let rows = again.feed(0, 0, &[entry(2, 30), entry(3, 40)]).expect("no failure").rows;
    assert_eq!(
        rows.iter().map(|row| row.record.get("rv").cloned()).collect::<Vec<_>>(),
        [Some(Value::Int(7)), Some(Value::Int(9)),]
    );
}
