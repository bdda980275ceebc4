//! What the operators' tests share: feeding rows in every way that must not matter.
//!
//! Knows no operator's rule; oracles are written beside each test, from the rule. Catches what no single
//! run shows: dependence on how slices and batches are cut, on saving, on restoring, and state whose bytes
//! differ although it is equal.

use proptest::prelude::*;
use rewindow_query::expr::Expr;
use rewindow_query::{Timestamp, Value};

use crate::batch::{Batch, Context, Slice};
use crate::codec::{Reader, Writer};
use crate::column::Column;
use crate::operator::Operator;

/// A row: timestamp in ticks, values.
pub(crate) type Row = (i64, Vec<Value>);

/// Makes the operator under test.
pub(crate) type Make<'a> = &'a dyn Fn() -> Box<dyn Operator>;

/// What came out: rows, and when it failed.
pub(crate) type Output = (Vec<Row>, Option<i64>);

pub(crate) fn column(index: usize) -> Expr {
    Expr::Column(index)
}

/// A batch of rows, which must not be none.
pub(crate) fn batch(rows: &[Row]) -> Batch {
    let width = rows[0].1.len();
    let column =
        |place: usize| Column::from_values(rows.iter().map(|row| row.1[place].clone()).collect()).into();
    Batch { timestamps: rows.iter().map(|row| row.0).collect(), columns: (0..width).map(column).collect() }
}

fn slice(rows: &[Row], from: Timestamp, until: Timestamp, batch_rows: usize) -> Slice {
    let inside = |row: &&Row| from.0 <= row.0 && row.0 < until.0;
    let rows: Vec<Row> = rows.iter().filter(inside).cloned().collect();
    Slice { batches: rows.chunks(batch_rows).map(batch).collect(), until }
}

fn bytes(operator: &dyn Operator) -> Vec<u8> {
    let mut writer = Writer::default();
    operator.save(&mut writer);
    writer.finish()
}

/// Feeds the inputs up to each of the frontiers (one for each input), the last of which should be the end.
/// With `restore` the operator is saved, made anew and loaded in front of each step. Gives the output and
/// the state after each step.
pub(crate) fn run(
    make: Make<'_>,
    inputs: &[Vec<Row>],
    frontiers: &[Vec<Timestamp>],
    batch_rows: usize,
    restore: bool,
) -> (Output, Vec<Vec<u8>>) {
    let mut operator = make();
    let (mut rows, mut states, mut context) = (Vec::new(), Vec::new(), Context::default());
    let mut from = vec![Timestamp::MIN; inputs.len()];
    let mut known = Timestamp::MIN;
    for frontier in frontiers {
        if restore {
            let saved = bytes(&*operator);
            operator = make();
            let mut reader = Reader::new(&saved);
            operator.load(&mut reader).expect("own bytes are read");
            reader.end().expect("all of them");
            assert_eq!(bytes(&*operator), saved, "a loaded state is saved as it was");
        }
        let slices: Vec<Slice> = (0..inputs.len())
            .map(|input| slice(&inputs[input], from[input], frontier[input], batch_rows))
            .collect();
        let output = operator.step(&slices.iter().collect::<Vec<_>>(), &mut context);
        for batch in &output.batches {
            for row in 0..batch.len() {
                let at = batch.timestamps[row];
                assert!(known.0 <= at && at < output.until.0, "rows lie between the frontiers");
                rows.push((at, batch.row(row)));
            }
        }
        (known, from) = (output.until, frontier.clone());
        if context.failure.is_some() {
            break;
        }
        operator.explain();
        states.push(bytes(&*operator));
    }
    assert!(rows.is_sorted_by_key(|row| row.0), "rows come in the order of time");
    let failed = context.failure.map(|failure| failure.at.0);
    // What an operator emits behind its failure is cut by the instance.
    rows.retain(|row| failed.is_none_or(|at| row.0 < at));
    ((rows, failed), states)
}

/// Runs in one step, then cut at each of `cuts`, plain and restored, in batches of one to three rows, and
/// compares all outputs, and the states at equal frontiers. Gives the output.
pub(crate) fn run_every_way(make: Make<'_>, inputs: &[Vec<Row>], cuts: &[Vec<i64>]) -> Output {
    let end = vec![Timestamp::MAX; inputs.len()];
    let (whole, _) = run(make, inputs, std::slice::from_ref(&end), 1000, false);
    let mut frontiers: Vec<Vec<Timestamp>> = Vec::new();
    for cut in cuts {
        let last = frontiers.last().cloned().unwrap_or_else(|| vec![Timestamp::MIN; inputs.len()]);
        frontiers.push(last.iter().zip(cut).map(|(&last, &cut)| last.max(Timestamp(cut))).collect());
    }
    let direct = frontiers.last().cloned();
    frontiers.push(end);
    let (cut, states) = run(make, inputs, &frontiers, 3, false);
    assert_eq!(cut, whole, "cut at {cuts:?}");
    let (restored, restored_states) = run(make, inputs, &frontiers, 1, true);
    assert_eq!(restored, whole, "restored at {cuts:?}");
    assert_eq!(states, restored_states, "equal states are equal bytes");
    if let (Some(frontier), true) = (direct, states.len() > cuts.len()) {
        let (_, once) = run(make, inputs, &[frontier], 2, false);
        assert_eq!(once.last(), states.get(cuts.len() - 1), "state does not remember the cuts");
    }
    whole
}

/// Foreign bytes must not panic a reader, nor what it leaves behind.
pub(crate) fn survives(make: Make<'_>, inputs: &[Vec<Row>], until: i64, flip: (usize, u8)) {
    let (_, states) = run(make, inputs, &[vec![Timestamp(until); inputs.len()]], 4, false);
    let Some(mut state) = states.into_iter().next() else { return };
    if state.is_empty() {
        return;
    }
    let at = flip.0 % state.len();
    state[at] ^= flip.1;
    let mut operator = make();
    if operator.load(&mut Reader::new(&state)).is_ok() {
        let slices: Vec<Slice> = inputs.iter().map(|_| Slice::empty(Timestamp(until + 50))).collect();
        operator.step(&slices.iter().collect::<Vec<_>>(), &mut Context::default());
        operator.explain();
        bytes(&*operator);
    }
}

/// Rows with a small key, a value of any kind and a small number, at up to 30 ticks.
pub(crate) fn rows() -> impl Strategy<Value = Vec<Row>> {
    let key = prop_oneof![
        6 => (0_i64..3).prop_map(Value::Int),
        1 => Just(Value::Null),
        1 => Just(Value::text("k")),
        1 => Just(Value::Float(1.0)),
    ];
    let row = (0_i64..30, key, values(), (0_i64..4).prop_map(Value::Int));
    prop::collection::vec(row, 0..14).prop_map(|mut rows| {
        rows.sort_by_key(|row| row.0);
        rows.into_iter().map(|(at, key, value, small)| (100 + at, vec![key, value, small])).collect()
    })
}

/// Values that are summed and compared, seldom ones that fail.
pub(crate) fn values() -> impl Strategy<Value = Value> {
    prop_oneof![
        40 => (-3_i64..4).prop_map(Value::Int),
        6 => (-6_i64..7).prop_map(|v| Value::Float(v as f64 / 10.0)),
        3 => Just(Value::Null),
        3 => Just(Value::text(" 2.5 ")),
        1 => Just(Value::Int(i64::MAX)),
        1 => Just(Value::Bit(true)),
        1 => Just(Value::text("x")),
    ]
}

/// Frontiers to cut at.
pub(crate) fn cuts(inputs: usize) -> impl Strategy<Value = Vec<Vec<i64>>> {
    let cut = prop::collection::vec(98_i64..145, inputs);
    prop::collection::vec(cut, 1..6).prop_map(|mut cuts| {
        cuts.sort();
        cuts
    })
}
