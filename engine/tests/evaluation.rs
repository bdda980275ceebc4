//! What scalar expressions and predicates mean, rule by rule, and that a column at once means the same as
//! row by row. Would catch a fast path that differs from the slow one, and a fault at the wrong row.

#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;

use common::{at, ordering};
use proptest::prelude::*;
use rewindow_engine::Instance;
use rewindow_engine::batch::Batch;
use rewindow_engine::column::Column;
use rewindow_engine::eval::{evaluate, holds};
use rewindow_query::expr::{BinaryOp, CompareOp, Expr, Function, Predicate};
use rewindow_query::{Entry, Payload, Policy, Timestamp, Type, Unit, Value, json};

/// `SELECT <expr> AS x` over one event: the value as JSON, or `error`.
fn value(expr: &str, event: &str) -> String {
    let plan = common::plan(&format!("SELECT {expr} AS x FROM Feed"));
    let shard = plan.shards(&[1]).remove(0);
    let mut instance = Instance::new(plan, shard, ordering(5, 0, Policy::Adjust), Timestamp::MIN);
    let payload = Payload::Event(Arc::new(json::read_event(event).unwrap()));
    let entry = Entry { input: 0, partition: 0, offset: 0, arrival: at(1.0), payload };
    instance.feed(0, 0, &[entry]).unwrap();
    let rows = instance.finish().unwrap().rows;
    match instance.failure() {
        Some(_) => "error".to_owned(),
        None => rows[0].record.members()[0].1.to_string(),
    }
}

fn check(event: &str, table: &[(&str, &str)]) {
    for (expr, expected) in table {
        assert_eq!(value(expr, event), *expected, "{expr} over {event}");
    }
}

fn truth(table: &[(&str, bool)], event: &str) {
    for (predicate, expected) in table {
        let expr = format!("CASE WHEN {predicate} THEN 1 ELSE 0 END");
        assert_eq!(value(&expr, event), if *expected { "1" } else { "0" }, "{predicate} over {event}");
    }
}

const EVENT: &str = r#"{"i":7,"z":0,"big":9223372036854775807,"f":2.5,"t":"abc","b":true,"n":null,
    "d":"2024-03-05T12:34:56.1234567Z","a":[1,2],"r":{"Id":5,"id":6}}"#;

#[test]
fn arithmetic_follows_c_arith() {
    check(
        EVENT,
        &[
            ("i + 1", "8"),
            ("i / 2", "3"),
            ("-i / 2", "-3"),
            ("-i % 4", "-3"),
            ("i / f", "2.8"),
            ("f % 2", "0.5"),
            ("b + i", "8"),
            ("big + 1", "error"),
            ("big * 2.0", "1.8446744073709552e+19"),
            ("i / z", "error"),
            ("f / z", "error"),
            ("f / 0.0", "error"),
            ("n / z", "null"),
            ("n + t", "null"),
            ("t + 'd'", "\"abcd\""),
            ("t + i", "error"),
            ("i - t", "error"),
            ("t + CAST(d AS datetime)", "\"abc2024-03-05T12:34:56.1234567Z\""),
            ("i & 3", "3"),
            ("i | 8", "15"),
            ("i ^ 1", "6"),
            ("~i", "-8"),
            ("f & 1", "error"),
            ("b & b", "true"),
            ("b & i", "1"),
        ],
    );
}

#[test]
fn comparison_follows_c_compare_and_null_never_holds() {
    truth(
        &[
            ("i = 7.0", true),
            ("i < 7.5", true),
            ("big < 9223372036854775808.0", true),
            ("b = 1", true),
            ("t = 'abc'", true),
            ("t = 'ABC'", false),
            ("t < 'abd'", true),
            ("n = n", false),
            ("n <> 1", false),
            ("NOT (n = 1)", true),
            ("t = 7", false),
            ("t <> 7", false),
            ("i <> t", false),
            ("CAST(d AS datetime) = '2024-03-05T13:34:56.1234567+01:00'", true),
            ("CAST(d AS datetime) <> 'soon'", false),
            ("a = a", true),
            ("a <> r", false),
            ("a < a", false),
            ("n IS NULL", true),
            ("i BETWEEN 7 AND 7", true),
            ("i NOT BETWEEN 8 AND 9", true),
            ("n NOT BETWEEN 8 AND 9", false),
            ("i NOT BETWEEN 8 AND n", false),
            ("i IN (1, n, 7)", true),
            ("i IN (1, n)", false),
            ("i NOT IN (1, n)", false),
            ("i NOT IN (1, 2)", true),
            ("n NOT IN (1, 2)", false),
        ],
        EVENT,
    );
}

#[test]
fn like_follows_the_rules_of_patterns() {
    let event = r#"{"t":"Signal_5%x]","e":"","n":null,"i":5}"#;
    truth(
        &[
            ("t LIKE 'Signal%'", true),
            ("t LIKE '%5%'", true),
            ("t LIKE 'signal%'", false),
            ("t LIKE 'Signal_5__]'", true),
            ("t LIKE 'Signal!_5!%x]' ESCAPE '!'", true),
            ("t LIKE '%[0-9]!%%' ESCAPE '!'", true),
            ("t LIKE 'S[^a-h]%'", true),
            ("t LIKE 'S[a-h]%'", false),
            ("t LIKE '%[x'", false),
            ("t LIKE '%'", true),
            ("e LIKE ''", true),
            ("e LIKE '_'", false),
            ("n LIKE '%'", false),
            ("n NOT LIKE '%'", false),
            ("t NOT LIKE n", false),
            ("t NOT LIKE 'x'", true),
        ],
        event,
    );
}

#[test]
fn casts_follow_c_cast() {
    let event = r#"{"f":2.7,"m":-2.7,"h":1e30,"t":" 42 ","p":"+7","x":"4.5","nan":"NaN","e":"1e400",
        "yes":"TRUE","d":"2024-03-05","whole":70.0,"b":false,"a":[1,"x"],"n":null}"#;
    check(
        event,
        &[
            ("CAST(f AS bigint)", "2"),
            ("CAST(m AS bigint)", "-2"),
            ("CAST(h AS bigint)", "error"),
            ("CAST(t AS bigint)", "42"),
            ("CAST(p AS bigint)", "7"),
            ("CAST(x AS bigint)", "error"),
            ("TRY_CAST(x AS bigint)", "null"),
            ("CAST(x AS float)", "4.5"),
            ("TRY_CAST(nan AS float)", "null"),
            ("TRY_CAST(e AS float)", "null"),
            ("CAST(b AS float)", "0.0"),
            ("CAST(whole AS nvarchar(max))", "\"70\""),
            ("CAST(h AS nvarchar(max))", "\"1000000000000000000000000000000\""),
            ("CAST(b AS nvarchar(max))", "\"0\""),
            ("CAST(a AS nvarchar(max))", "\"[1,\\\"x\\\"]\""),
            ("CAST(d AS datetime)", "\"2024-03-05T00:00:00.0000000Z\""),
            ("CAST(x AS datetime)", "error"),
            ("CAST(yes AS bit)", "true"),
            ("CAST(f AS bit)", "true"),
            ("CAST(n AS bigint)", "null"),
            ("TRY_CAST(a AS bigint)", "null"),
        ],
    );
}

#[test]
fn dates_follow_c_date() {
    // 2024-03-05 was a Tuesday; 2024-01-01 a Monday.
    let event = r#"{"a":"2024-03-05T12:34:56.1234567Z","b":"2024-03-10T00:00:00Z","jan":"2024-01-31","n":null,"t":"soon"}"#;
    check(
        event,
        &[
            ("DATEDIFF(day, a, b)", "5"),
            ("DATEDIFF(week, a, b)", "1"),
            ("DATEDIFF(week, b, a)", "-1"),
            ("DATEDIFF(hour, a, b)", "108"),
            ("DATEDIFF(month, a, jan)", "-2"),
            ("DATEDIFF(quarter, '2023-12-31', a)", "1"),
            ("DATEDIFF(year, '2023-12-31T23:59:59', '2024-01-01')", "1"),
            ("DATEDIFF(day, n, t)", "null"),
            ("DATEDIFF(day, a, t)", "error"),
            ("DATEADD(month, 1, jan)", "\"2024-02-29T00:00:00.0000000Z\""),
            ("DATEADD(year, -1, '2024-02-29')", "\"2023-02-28T00:00:00.0000000Z\""),
            ("DATEADD(second, 1.9, jan)", "\"2024-01-31T00:00:01.0000000Z\""),
            ("DATEADD(day, 3000000, a)", "error"),
            ("DATEADD(year, 8000, a)", "error"),
            ("DATEPART(weekday, a)", "3"),
            ("DATEPART(week, '2024-01-06')", "1"),
            ("DATEPART(week, '2024-01-07')", "2"),
            ("DATEPART(week, '2023-01-01')", "1"),
            ("DATEPART(dayofyear, a)", "65"),
            ("DATEPART(quarter, a)", "1"),
            ("DATEPART(millisecond, a)", "123"),
            ("DATEPART(microsecond, a)", "123456"),
            ("DATENAME(month, a)", "\"March\""),
            ("DATENAME(weekday, a)", "\"Tuesday\""),
            ("DATENAME(day, a)", "\"5\""),
            ("DATETIMEFROMPARTS(2024, 2, 29, 1, 2, 3, 4)", "\"2024-02-29T01:02:03.0040000Z\""),
            ("DATETIMEFROMPARTS(2023, 2, 29, 1, 2, 3, 4)", "error"),
        ],
    );
}

#[test]
fn functions_follow_their_rules() {
    check(
        EVENT,
        &[
            ("COALESCE(n, i, 1 / z)", "7"),
            ("COALESCE(n, 1 / z)", "error"),
            ("NULLIF(i, 7)", "null"),
            ("NULLIF(i, 8)", "7"),
            ("GetType(f)", "\"float\""),
            ("ABS(-f)", "2.5"),
            ("ABS(-big - 1)", "error"),
            ("CEILING(f)", "3.0"),
            ("FLOOR(-f)", "-3.0"),
            ("SIGN(-i)", "-1"),
            ("ABS(t)", "error"),
            ("LEN('ab  ')", "2"),
            ("LEN(n)", "null"),
            ("UPPER(t)", "\"ABC\""),
            ("CONCAT('x', n, t)", "\"xabc\""),
            ("r.Id", "5"),
            ("r.id", "6"),
            ("r.ID", "5"),
            ("r.none", "null"),
            ("i.none", "null"),
            ("CASE WHEN i = 7 THEN 1 ELSE 1 / z END", "1"),
            ("CASE WHEN z = 0 OR 1 / z > 0 THEN 1 ELSE 2 END", "1"),
            ("CASE WHEN z <> 0 AND 1 / z > 0 THEN 1 ELSE 2 END", "2"),
            ("CASE WHEN i IN (7, 1 / z) THEN 1 ELSE 2 END", "1"),
            ("CASE WHEN i BETWEEN 8 AND 1 / z THEN 1 ELSE 2 END", "2"),
        ],
    );
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        2 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::Bit),
        4 => (-3..4i64).prop_map(Value::Int),
        1 => prop_oneof![Just(i64::MAX), Just(i64::MIN)].prop_map(Value::Int),
        3 => prop_oneof![Just(0.5), Just(-2.0), Just(3.0), Just(1e308)].prop_map(Value::Float),
        2 => prop_oneof![Just("a"), Just("1"), Just("2024-03-05"), Just("a%")].prop_map(Value::text),
        1 => (0..3i64).prop_map(|n| Value::Datetime(at(n as f64 * 40_000.0))),
        1 => Just(Value::Array(vec![Value::Int(1)].into())),
    ]
}

/// A column whose values agree in type more often than chance would have it.
fn any_column(rows: usize) -> impl Strategy<Value = Vec<Value>> {
    let ints = || prop_oneof![Just(Value::Null), (-2..3i64).prop_map(Value::Int)];
    let floats = prop_oneof![Just(Value::Null), (-2..3i64).prop_map(|n| Value::Float(n as f64 / 2.0))];
    prop_oneof![
        prop::collection::vec(any_value(), rows),
        prop::collection::vec(ints(), rows),
        prop::collection::vec(floats, rows),
        prop::collection::vec((-2..3i64).prop_map(Value::Int), rows),
        prop::collection::vec((0..3i64).prop_map(|n| Value::Datetime(at(n as f64 * 40_000.0))), rows),
        prop::collection::vec(prop_oneof![Just("a"), Just("b")].prop_map(Value::text), rows),
    ]
}

fn any_expr() -> impl Strategy<Value = Expr> {
    let leaf = prop_oneof![
        (0..3usize).prop_map(Expr::Column),
        any_value().prop_map(Expr::Literal),
        Just(Expr::Timestamp),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        use BinaryOp::{Add, BitAnd, Divide, Modulo, Multiply, Subtract};
        let op =
            prop_oneof![Just(Add), Just(BitAnd), Just(Divide), Just(Modulo), Just(Multiply), Just(Subtract)];
        let compare =
            prop_oneof![Just(CompareOp::Equal), Just(CompareOp::Less), Just(CompareOp::GreaterOrEqual)];
        let e = || inner.clone();
        let atom = prop_oneof![
            (compare, e(), e()).prop_map(|(op, a, b)| Predicate::Compare(op, a, b)),
            e().prop_map(Predicate::IsNull),
            (e(), e(), e(), any::<bool>()).prop_map(|(expr, low, high, negated)| Predicate::Between {
                expr,
                low,
                high,
                negated
            }),
            (e(), prop::collection::vec(e(), 1..3), any::<bool>())
                .prop_map(|(expr, list, negated)| Predicate::In { expr, list, negated }),
            (e(), e(), any::<bool>()).prop_map(|(expr, pattern, negated)| Predicate::Like {
                expr,
                pattern,
                escape: None,
                negated
            }),
        ];
        let predicate = atom.prop_recursive(2, 6, 3, |p| {
            prop_oneof![
                prop::collection::vec(p.clone(), 1..4).prop_map(Predicate::And),
                prop::collection::vec(p.clone(), 1..4).prop_map(Predicate::Or),
                p.prop_map(|p| Predicate::Not(Box::new(p))),
            ]
        });
        let to = prop_oneof![Just(Type::Bigint), Just(Type::Float), Just(Type::Text), Just(Type::Datetime)];
        prop_oneof![
            3 => (op, e(), e()).prop_map(|(op, a, b)| Expr::Binary(op, Box::new(a), Box::new(b))),
            1 => e().prop_map(|x| Expr::Negate(Box::new(x))),
            2 => (prop::collection::vec((predicate, e()), 1..3), e())
                .prop_map(|(branches, otherwise)| Expr::Case(branches, Box::new(otherwise))),
            1 => (e(), to, any::<bool>())
                .prop_map(|(expr, to, lenient)| Expr::Cast { expr: Box::new(expr), to, lenient }),
            1 => prop::collection::vec(e(), 1..4).prop_map(|v| Expr::Call(Function::Coalesce, v)),
            1 => (e(), e()).prop_map(|(a, b)| Expr::Call(Function::DateDiff(Unit::Hour), vec![a, b])),
            1 => (e(), e()).prop_map(|(a, b)| Expr::Call(Function::NullIf, vec![a, b])),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_column_at_once_means_the_same_as_row_by_row(
        expr in any_expr(),
        columns in (1..6usize).prop_flat_map(|rows| prop::collection::vec(any_column(rows), 3)),
    ) {
        let rows = columns[0].len();
        let batch = |rows: std::ops::Range<usize>| Batch {
            timestamps: rows.clone().map(|row| at(row as f64).0).collect(),
            columns: columns.iter().map(|c| Arc::new(Column::from_values(c[rows.clone()].to_vec()))).collect(),
        };
        let together = evaluate(&expr, &batch(0..rows));
        let mut alone = Ok(Vec::new());
        for row in 0..rows {
            match (evaluate(&expr, &batch(row..row + 1)), &mut alone) {
                (Ok(column), Ok(values)) => values.push(column.value(0)),
                (Err(_), Ok(_)) => alone = Err(row),
                _ => {}
            }
        }
        match (together, alone) {
            (Ok(column), Ok(values)) => {
                let found: Vec<Value> = (0..rows).map(|row| column.value(row)).collect();
                prop_assert_eq!(format!("{found:?}"), format!("{values:?}"));
                let typed = column.nulls.as_ref();
                prop_assert!(typed.is_none_or(|nulls| nulls.len() == rows && nulls.contains(&true)));
            }
            (Err(fault), Err(row)) => prop_assert_eq!(fault.row, row),
            (together, alone) => prop_assert!(false, "{:?} against {:?}", together, alone),
        }
        let predicate = Predicate::Compare(CompareOp::LessOrEqual, expr, Expr::Column(0));
        if let Ok(held) = holds(&predicate, &batch(0..rows)) {
            for (row, held) in held.into_iter().enumerate() {
                prop_assert_eq!(Ok(vec![held]), holds(&predicate, &batch(row..row + 1)));
            }
        }
    }
}
