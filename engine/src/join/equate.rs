//! Which candidates a join must look at: keys that `on` demands equal, reduced to what `=` cannot tell apart.
//!
//! Only prunes: every candidate is still judged by the whole `on`. Invariant: two rows that `on` accepts
//! have equal reduced keys, and a pair that is pruned could not have failed the job either, since every
//! condition in front of the equalities used cannot fail (C-EVAL).

use std::sync::Arc;

use rewindow_query::expr::{CompareOp, Expr, Function, Predicate};
use rewindow_query::plan::Join;
use rewindow_query::value::compare_int_float;
use rewindow_query::{Record, Timestamp, Type, Value};

use crate::column::{Column, Data};

/// The expressions whose reduced values must agree, over the left and over the right columns.
pub(super) fn keys(op: &Join) -> (Vec<Expr>, Vec<Expr>) {
    let mut conjuncts = Vec::new();
    flatten(&op.on, &mut conjuncts);
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for conjunct in conjuncts {
        if let Some((l, r)) = op.equal.iter().find(|pair| is_equality(conjunct, pair, op)) {
            left.push(l.clone());
            right.push(r.clone());
        } else if !cannot_fail(conjunct, op) {
            break;
        }
    }
    (left, right)
}

fn flatten<'a>(predicate: &'a Predicate, conjuncts: &mut Vec<&'a Predicate>) {
    match predicate {
        Predicate::And(parts) => parts.iter().for_each(|part| flatten(part, conjuncts)),
        other => conjuncts.push(other),
    }
}

/// Whether the conjunct is the equality of this pair, and cannot fail.
fn is_equality(conjunct: &Predicate, (left, right): &(Expr, Expr), op: &Join) -> bool {
    let Predicate::Compare(CompareOp::Equal, a, b) = conjunct else { return false };
    let Some(right) = shifted(right, op.left_columns) else { return false };
    let same = (a == left && *b == right) || (*a == right && b == left);
    same && is_plain(left, op) && is_plain(&right, op)
}

/// A right-side expression over the columns of both sides; `None` for kinds that are not pruned by.
fn shifted(expr: &Expr, by: usize) -> Option<Expr> {
    Some(match expr {
        Expr::Column(column) => Expr::Column(column + by),
        Expr::Literal(value) => Expr::Literal(value.clone()),
        Expr::Member(of, name) => Expr::Member(Box::new(shifted(of, by)?), name.clone()),
        Expr::Cast { expr, to, lenient } => {
            Expr::Cast { expr: Box::new(shifted(expr, by)?), to: *to, lenient: *lenient }
        }
        _ => return None,
    })
}

fn cannot_fail(predicate: &Predicate, op: &Join) -> bool {
    match predicate {
        Predicate::Constant(_) => true,
        Predicate::And(parts) | Predicate::Or(parts) => parts.iter().all(|part| cannot_fail(part, op)),
        Predicate::Not(part) => cannot_fail(part, op),
        Predicate::Compare(_, a, b) => is_plain(a, op) && is_plain(b, op),
        Predicate::IsNull(expr) => is_plain(expr, op),
        Predicate::Like { .. } => false,
        Predicate::Between { expr, low, high, .. } => [expr, low, high].iter().all(|expr| is_plain(expr, op)),
        Predicate::In { expr, list, .. } => is_plain(expr, op) && list.iter().all(|item| is_plain(item, op)),
    }
}

/// Whether the expression, over the columns of both sides, cannot fail.
fn is_plain(expr: &Expr, op: &Join) -> bool {
    let times = [Expr::Column(op.bound.left), Expr::Column(op.left_columns + op.bound.right)];
    match expr {
        Expr::Literal(_) | Expr::Column(_) | Expr::Timestamp => true,
        Expr::Member(of, _) => is_plain(of, op),
        Expr::Cast { expr, to, lenient } => (*lenient || *to == Type::Text) && is_plain(expr, op),
        Expr::Call(Function::DateDiff(_), arguments) => arguments.iter().all(|a| times.contains(a)),
        _ => false,
    }
}

/// The column with each value replaced by what stands for all values that `=` holds equal to it
/// (C-COMPARE): numbers and bits by exact value, ISO text by its instant. Values that are not equal may
/// become so; NULL stays NULL, which matches nothing (rule 2.7).
pub(super) fn reduce(column: &Arc<Column>) -> Arc<Column> {
    let as_they_are = match &column.data {
        Data::Null(_) | Data::Int(_) | Data::Datetime(_) => true,
        Data::Text(texts) => !texts.iter().any(|text| may_be_instant(text)),
        Data::Bit(_) | Data::Float(_) | Data::Mixed(_) => false,
    };
    if as_they_are {
        return column.clone();
    }
    let values = (0..column.len()).map(|row| reduce_value(column.value(row)));
    Arc::new(Column::from_values(values.collect()))
}

/// Cheap and never wrong where it says no: ISO 8601 begins with a digit or the sign of a long year.
fn may_be_instant(text: &str) -> bool {
    text.trim_start().starts_with(|c: char| c.is_ascii_digit() || c == '+' || c == '-')
}

fn reduce_value(value: Value) -> Value {
    match value {
        Value::Bit(bit) => Value::Int(i64::from(bit)),
        // The cast saturates: only a float that is exactly this bigint becomes one.
        Value::Float(float) if compare_int_float(float as i64, float).is_eq() => Value::Int(float as i64),
        Value::Text(text) if may_be_instant(&text) => match Timestamp::parse(&text) {
            Some(instant) => Value::Datetime(instant),
            None => Value::Text(text),
        },
        Value::Array(_) => Value::Array([].into()),
        Value::Record(_) => Value::Record(Arc::new(Record::default())),
        value => value,
    }
}
