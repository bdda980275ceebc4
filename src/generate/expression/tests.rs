use std::collections::BTreeSet;

use rewindow_query::analyse;
use rewindow_query::value::Type;

use super::*;
use crate::choices::Seeded;

fn columns() -> Vec<Column> {
    let column = |name: &str, usual, ty| Column { name: name.to_owned(), usual, ty };
    vec![
        column("n", Want::Number, None),
        column("s", Want::Text, None),
        column("d", Want::Instant, None),
        column("l", Want::Array, None),
        column("r", Want::Record, None),
        column("g", Want::Shape, None),
        column("x", Want::Anything, None),
        column("one", Want::Number, Some(Type::Bigint)),
        column("half", Want::Number, Some(Type::Float)),
        column("word", Want::Text, Some(Type::Text)),
        column("at", Want::Instant, Some(Type::Datetime)),
        column("yes", Want::Number, Some(Type::Bit)),
    ]
}

fn accepted(text: &str) -> bool {
    let step = "WITH t AS (SELECT n, s, d, l, r, g, x, 1 AS one, 0.5 AS half, 'w' AS word, \
        System.Timestamp() AS at, TRY_CAST(x AS bit) AS yes FROM i)";
    let plan = analyse(&format!("{step} SELECT {text} INTO o FROM t"), None);
    plan.is_ok_and(|plan| !plan.warnings.iter().any(|warning| warning.contains("the job fails")))
}

#[test]
fn every_expression_is_accepted_and_of_the_type_it_is_said_to_be() {
    let columns = columns();
    let mut types = BTreeSet::new();
    for number in 0..6_000 {
        let choices = &mut Seeded::new(11, number);
        let off = Family::some(choices);
        let risky = (choices as &mut dyn Choices).chance(1, 2);
        let scope = Scope { columns: &columns, qualifier: "t.", timestamp: true, off: &off, risky };
        let want = *(choices as &mut dyn Choices).pick(&Want::ALL);
        let Written { text, ty, .. } = typed(choices, &scope, want, 3);
        assert!(accepted(&format!("{text} AS v")), "{number}: {text}");
        // What is cast tells its static type: only an array can be cast to an array.
        for to in Writer::TYPES {
            let cast = accepted(&format!("CAST({text} AS {}) AS v", to.name()));
            assert_eq!(cast, ty.is_none_or(|from| casts(from, to)), "{number}: {ty:?} to {to:?}: {text}");
        }
        types.insert(ty.map_or("none", Type::name));
    }
    assert_eq!(types.len(), 8, "{types:?}");
}

#[test]
fn every_condition_is_accepted() {
    let columns = columns();
    for number in 0..4_000 {
        let choices = &mut Seeded::new(12, number);
        let off = Family::some(choices);
        let risky = (choices as &mut dyn Choices).chance(1, 2);
        let scope = Scope { columns: &columns, qualifier: "", timestamp: true, off: &off, risky };
        let text = predicate(choices, &scope, 3);
        assert!(accepted(&format!("CASE WHEN {text} THEN 1 ELSE 0 END AS v")), "{number}: {text}");
    }
}

#[test]
fn the_simplest_expression_is_a_column_or_a_constant() {
    let columns = columns();
    let scope = Scope { columns: &columns, qualifier: "", timestamp: true, off: &[], risky: false };
    let simple = |want| scalar(&mut crate::choices::Tape::new(&[]), &scope, want, 0);
    assert_eq!(simple(Want::Number), "n");
    assert_eq!(simple(Want::Text), "s");
}
