//! CREATE TABLE (rule 1.8, choice C-TABLE): whether an event fits the declared columns of its stream.
//!
//! Loss-free conversions only. Knows no ordering: an event that does not fit is dropped before anything else
//! is asked of it. Invariant: a record that comes out has of each declared column its type, or NULL, or none.

use std::sync::Arc;

use rewindow_query::{Record, Type, Value};

use crate::eval;

/// The event with its declared columns converted; `None` if one does not fit. Columns are found by
/// A-NAME-CASE; a missing one fits.
pub fn fit(record: &Arc<Record>, table: &[(Arc<str>, Type)]) -> Option<Arc<Record>> {
    let mut changed: Option<Vec<(Arc<str>, Value)>> = None;
    for (name, declared) in table {
        let members = record.members();
        let exact = members.iter().position(|(known, _)| known == name);
        let loose = || members.iter().position(|(known, _)| known.eq_ignore_ascii_case(name));
        let Some(place) = exact.or_else(loose) else { continue };
        let value = &members[place].1;
        if value.kind().is_none_or(|kind| kind == *declared) {
            continue;
        }
        let fitting = convert(value, *declared)?;
        changed.get_or_insert_with(|| members.to_vec())[place].1 = fitting;
    }
    Some(changed.map_or_else(|| record.clone(), |members| Arc::new(Record::new(members))))
}

/// A value of another type as one of the declared type, if nothing is lost.
fn convert(value: &Value, declared: Type) -> Option<Value> {
    Some(match (declared, value) {
        (Type::Bigint, Value::Float(float)) if float.fract() == 0.0 => Value::Int(eval::whole(*float)?),
        (Type::Float, Value::Int(int)) => Value::Float(*int as f64),
        (Type::Datetime, Value::Text(text)) => Value::Datetime(eval::instant(text)?),
        (Type::Bit, Value::Int(int @ (0 | 1))) => Value::Bit(*int == 1),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use rewindow_query::json;

    use super::*;

    fn check(event: &str, columns: &[(&str, Type)], expected: &str) {
        let record = Arc::new(json::read_event(event).expect("an event"));
        let table: Vec<(Arc<str>, Type)> = columns.iter().map(|(name, ty)| (Arc::from(*name), *ty)).collect();
        let found = fit(&record, &table).map_or("dropped".to_owned(), |record| record.to_string());
        assert_eq!(found, expected, "{event} as {columns:?}");
    }

    #[test]
    fn c_table_loses_nothing_and_drops_the_rest() {
        check(r#"{"a":1,"b":"x"}"#, &[("a", Type::Bigint), ("c", Type::Bit)], r#"{"a":1,"b":"x"}"#);
        check(r#"{"a":null}"#, &[("a", Type::Record)], r#"{"a":null}"#);
        check(r#"{"a":2.0}"#, &[("a", Type::Bigint)], r#"{"a":2}"#);
        check(r#"{"a":2.5}"#, &[("a", Type::Bigint)], "dropped");
        check(r#"{"a":1e19}"#, &[("a", Type::Bigint)], "dropped");
        check(r#"{"a":2}"#, &[("a", Type::Float)], r#"{"a":2.0}"#);
        check(r#"{"a":"12"}"#, &[("a", Type::Bigint)], "dropped");
        check(r#"{"a":12}"#, &[("a", Type::Text)], "dropped");
        check(r#"{"a":"2024-03-05"}"#, &[("a", Type::Datetime)], r#"{"a":"2024-03-05T00:00:00.0000000Z"}"#);
        check(r#"{"a":"soon"}"#, &[("a", Type::Datetime)], "dropped");
        check(r#"{"a":1,"b":0}"#, &[("a", Type::Bit), ("b", Type::Bit)], r#"{"a":true,"b":false}"#);
        check(r#"{"a":2}"#, &[("a", Type::Bit)], "dropped");
        check(r#"{"a":true}"#, &[("a", Type::Bigint)], "dropped");
        check(r#"{"a":[1]}"#, &[("a", Type::Record)], "dropped");
        check(r#"{"A":1,"a":2}"#, &[("a", Type::Float)], r#"{"A":1,"a":2.0}"#);
        check(r#"{"A":1}"#, &[("a", Type::Float)], r#"{"A":1.0}"#);
    }
}
