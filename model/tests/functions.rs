//! The functions of section 10 as tables: text, numbers, records and arrays, geometry. Catches a wrong answer
//! that all rows share, which no comparison of two runs could see.

mod support;

use rewindow_query::expr::{Expr, Function};
use rewindow_query::value::Record;
use rewindow_query::{Timestamp, Value};
use support::*;

/// What the function gives for these arguments as JSON, or `fails`.
fn shown(function: Function, arguments: &str) -> String {
    let json: serde_json::Value = serde_json::from_str(arguments).expect("a test writes a JSON array");
    let arguments = json.as_array().expect("a test writes a JSON array").iter();
    let literal = |json| Expr::Literal(rewindow_query::json::from_json(json).expect("it is a value"));
    let call = Expr::Call(function, arguments.map(literal).collect());
    let mut build = Build::default();
    let source = build.source(0, false);
    build.select(source, &[("x", call)]);
    let answer = ask(&build.plan(), vec![event(0, "a", 1)]);
    match answer.rows.first().and_then(|row| row.record.get("x")) {
        Some(value) => value.to_string(),
        None => "fails".to_owned(),
    }
}

#[track_caller]
fn table<const N: usize>(table: [(Function, &str, &str); N]) {
    for (function, arguments, expected) in table {
        assert_eq!(shown(function, arguments), expected, "{function:?}{arguments}");
    }
}

#[test]
fn c_text_places() {
    use Function::*;
    table([
        (CharIndex, r#"["us", "Taurus"]"#, "5"),
        (CharIndex, r#"["u", "Taurus", 4]"#, "5"),
        (CharIndex, r#"["u", "Taurus", -3]"#, "3"),
        (CharIndex, r#"["U", "Taurus"]"#, "0"),
        (CharIndex, r#"["", "Taurus"]"#, "0"),
        (CharIndex, r#"["é", "caféé", 5]"#, "5"),
        (PatIndex, r#"["%100%", "NJB 1006"]"#, "5"),
        (PatIndex, r#"["%999%", "NJB 1006"]"#, "0"),
        (PatIndex, r#"["%6", "NJB 1006"]"#, "8"),
        (PatIndex, r#"["%[0-9]", "NJB 1006"]"#, "8"),
        (PatIndex, r#"["NJ%", "NJB 1006"]"#, "1"),
        (PatIndex, r#"["J%", "NJB 1006"]"#, "0"),
        (PatIndex, r#"["%", ""]"#, "1"),
        (RegexMatch, r#"["Flüe 12", "[0-9]+"]"#, "6"),
        (RegexMatch, r#"["abc", "B"]"#, "2"),
        (RegexMatch, r#"["a\nb", "a.b"]"#, "1"),
        (RegexMatch, r#"["a\nb", "^b"]"#, "0"),
        (RegexMatch, r#"["abc", "("]"#, "0"),
        (RegexMatch, r#"["aa", "(a)\\1"]"#, "0"),
    ]);
}

#[test]
fn c_text_pieces() {
    use Function::*;
    table([
        (Substring, r#"["abcdefg", 0, 3]"#, "\"ab\""),
        (Substring, r#"["abcdefg", -1, 3]"#, "\"a\""),
        (Substring, r#"["abcdefg", -5, 3]"#, "\"\""),
        (Substring, r#"["abcdefg", 9, 2]"#, "\"\""),
        (Substring, r#"["abcdefg", 5, 100]"#, "\"efg\""),
        (Substring, r#"["abcdefg", 2, 9223372036854775807]"#, "\"bcdefg\""),
        (Substring, r#"["abcdefg", -9223372036854775808, 9223372036854775807]"#, "\"\""),
        (Substring, r#"["abcdefg", 2, -1]"#, "fails"),
        (Substring, r#"[null, 2, -1]"#, "null"),
        (Left, r#"["abc", 9]"#, "\"abc\""),
        (Left, r#"["abc", -1]"#, "fails"),
        (Right, r#"["abc", 2]"#, "\"bc\""),
        (Right, r#"["abc", 9]"#, "\"abc\""),
        (Right, r#"["abc", -1]"#, "fails"),
        (Stuff, r#"["abcdef", 3, 0, "XY"]"#, "\"abXYcdef\""),
        (Stuff, r#"["abcdef", 2, 3, "X"]"#, "\"aXef\""),
        (Stuff, r#"["abcdef", 6, 99, ""]"#, "\"abcde\""),
        (Stuff, r#"["abcdef", 7, 1, "X"]"#, "\"\""),
        (Stuff, r#"["abcdef", 0, 1, "X"]"#, "\"Xbcdef\""),
        (Stuff, r#"["abcdef", 1, -1, "X"]"#, "fails"),
    ]);
}

#[test]
fn c_text_made_anew() {
    use Function::*;
    table([
        (Replace, r#"["aaa", "aa", "b"]"#, "\"ba\""),
        (Replace, r#"["abc", "", "x"]"#, "\"abc\""),
        (Translate, r#"["2*[3+4]", "[]+", "()-"]"#, "\"2*(3-4)\""),
        (Translate, r#"["aa", "aa", "xy"]"#, "\"xx\""),
        (Translate, r#"["a", "ab", "x"]"#, "fails"),
        (Replicate, r#"["0", 3]"#, "\"000\""),
        (Replicate, r#"["0", -1]"#, "null"),
        (Replicate, r#"["", 9223372036854775807]"#, "\"\""),
        (Replicate, r#"["0", 1048577]"#, "fails"),
        (Space, "[2]", "\"  \""),
        (NChar, "[33590]", "\"茶\""),
        (NChar, "[1114112]", "null"),
        (NChar, "[55296]", "null"),
        (Unicode, r#"["茶"]"#, "33590"),
        (Unicode, r#"[""]"#, "null"),
        (Reverse, r#"["abc"]"#, "\"cba\""),
        (Trim, r#"["\t a \u00a0\n"]"#, "\"a\""),
        (LTrim, r#"["  a "]"#, "\"a \""),
        (RTrim, r#"[" a  "]"#, "\" a\""),
        (ConcatWs, r#"[", ", "a", null, "b", null]"#, "\"a, b\""),
        (ConcatWs, r#"["-", null, null]"#, "\"\""),
        (ConcatWs, r#"[null, "a", "b"]"#, "\"ab\""),
        (ConcatWs, r#"["-", "a", 1]"#, "fails"),
        (JsonParse, r#"["{\"a\": [1, 2.5]}"]"#, r#"{"a":[1,2.5]}"#),
        (JsonParse, r#"["{oops"]"#, "null"),
        (JsonParse, r#"["[1]"]"#, "null"),
    ]);
}

#[test]
fn c_number() {
    use Function::*;
    table([
        (Square, "[3]", "9.0"),
        (Square, "[1e200]", "fails"),
        (Sqrt, "[2]", "1.4142135623730951"),
        (Sqrt, "[-1]", "fails"),
        (Sqrt, r#"["4"]"#, "fails"),
        (Exp, "[0]", "1.0"),
        (Exp, "[1]", "2.7182818284590455"), // one unit in the last place beside the nearest float
        (Exp, "[1000]", "fails"),
        (Power, "[2, 62]", "4611686018427387904"),
        (Power, "[-2, 63]", "-9223372036854775808"),
        (Power, "[2, 63]", "fails"),
        (Power, "[-1, 9223372036854775807]", "-1"),
        (Power, "[0, 0]", "1"),
        (Power, "[2, -1]", "0"),
        (Power, "[0, -1]", "fails"),
        (Power, "[9, 0.5]", "3"),
        (Power, "[2.0, 3]", "8.0"),
        (Power, "[-8.0, 0.5]", "fails"),
    ]);
}

#[test]
fn c_number_round() {
    use Function::Round;
    table([
        (Round, "[-1, 0]", "-1"),
        (Round, "[750, -2]", "800"),
        (Round, "[-750, -2]", "-800"),
        (Round, "[749, -3]", "1000"),
        (Round, "[9223372036854775807, -19]", "fails"),
        (Round, "[4999999999999999999, -19]", "0"),
        (Round, "[9223372036854775807, -20]", "0"),
        (Round, "[0.5, 0]", "1.0"),
        (Round, "[-0.5, 0]", "-1.0"),
        (Round, "[0.4, 0]", "0.0"),
        (Round, "[1.234, 2]", "1.23"),
        (Round, "[1.234, 10]", "1.234"),
        (Round, "[123.4, -1]", "120.0"),
        (Round, "[123.4, -10]", "0.0"),
        (Round, "[501.0101, -3]", "1000.0"),
        (Round, "[499.0101, -3]", "0.0"),
        (Round, "[123.9995, 3]", "124.0"),
        (Round, "[99.995, 2]", "100.0"),
        (Round, "[1.005, 2]", "1.01"),
        (Round, "[5e-324, 323]", "1e-323"),
        (Round, "[1.7976931348623157e308, -308]", "fails"),
        (Round, "[1.5, 9223372036854775807]", "1.5"),
        (Round, "[1.5, -9223372036854775808]", "0.0"),
        (Round, "[null, 1]", "null"),
    ]);
}

#[test]
fn c_record() {
    use Function::*;
    table([
        (GetRecordPropertyValue, r#"[{"a": 1}, "a"]"#, "1"),
        (GetRecordPropertyValue, r#"[{"a": 1}, "b"]"#, "null"),
        (GetRecordPropertyValue, r#"[[1], "b"]"#, "fails"),
        (GetArrayElement, "[[12, -5, 0], 1]", "-5"),
        (GetArrayElement, "[[12, -5, 0], 3]", "null"),
        (GetArrayElement, "[[12, -5, 0], -1]", "null"),
        (GetArrayElement, r#"[{"0": 7}, 0]"#, "7"),
        (GetArrayElement, "[12, 0]", "fails"),
        (GetArrayLength, "[[12, -5, 0]]", "3"),
        (GetArrayLength, "[null]", "null"),
        (GetArrayLength, r#"["abc"]"#, "fails"),
    ]);
}

#[test]
fn c_geo() {
    use Function::*;
    let square = r#"{"type": "Polygon", "coordinates": [[[0,0],[10,0],[10,10],[0,10],[0,0]]]}"#;
    let with = |other: &str| format!("[{other}, {square}]");
    table([
        (CreatePoint, "[10.1, 76]", r#"{"type":"Point","coordinates":[76.0,10.1]}"#),
        (CreatePoint, "[91, 0]", "fails"),
        (CreatePoint, "[0, -181]", "fails"),
        (StWithin, &with(r#""POINT (5 5)""#), "1"),
        (StWithin, &with(r#"{"type": "Point", "coordinates": [76.6, 10.1]}"#), "0"),
        (StWithin, &with(r#""POINT (0 5)""#), "0"),
        (StIntersects, &with(r#""POINT (0 5)""#), "1"),
        (StIntersects, &with(r#""LINESTRING (-5 5, 15 5)""#), "1"),
        (StIntersects, &with(r#""LINESTRING (-5 -5, -5 15)""#), "0"),
        (StOverlaps, &with(r#""POLYGON ((5 5, 15 5, 15 15, 5 15, 5 5))""#), "1"),
        (StOverlaps, &with(r#""POLYGON ((10 0, 20 0, 20 10, 10 10))""#), "0"),
        (StOverlaps, &with(r#""POLYGON ((1 1, 2 1, 2 2))""#), "0"),
        (StDistance, &with(r#""POINT (5 5)""#), "0.0"),
        (StDistance, r#"["POINT (0 0)", "POINT (0 0)"]"#, "0.0"),
        (StDistance, r#"["POINT (0 0)", 1]"#, "fails"),
        (StDistance, r#"["POINT (0 0)", "POINT (0 91)"]"#, "fails"),
        (StDistance, r#"["POINT (0 0)", "GEOMETRYCOLLECTION (POINT (0 0))"]"#, "fails"),
        (StDistance, r#"["POINT (0 0)", null]"#, "null"),
        (StDistance, r#"["POINT (0 0)", "POLYGON ((1 1, 1 1, 2 2))"]"#, "fails"),
    ]);
    let points = r#""POINT (0 0)", "POINT (1 0)", "POINT (1 1)""#;
    table([
        (
            CreateLineString,
            &format!("[{points}]"),
            r#"{"type":"LineString","coordinates":[[0.0,0.0],[1.0,0.0],[1.0,1.0]]}"#,
        ),
        (CreateLineString, r#"["POINT (0 0)"]"#, "fails"),
        (
            CreatePolygon,
            &format!("[{points}]"),
            r#"{"type":"Polygon","coordinates":[[[0.0,0.0],[1.0,0.0],[1.0,1.0],[0.0,0.0]]]}"#,
        ),
        (CreatePolygon, r#"["POINT (0 0)", "POINT (1 0)", "POINT (0 0)"]"#, "fails"),
    ]);
    // A degree of the equator is a·π/180 metres; the quarter of a meridian is 10 001 965.729 m.
    let metres = |arguments: &str| shown(StDistance, arguments).parse::<f64>().expect("a number of metres");
    assert!((metres(r#"["POINT (0 0)", "POINT (1 0)"]"#) - 111_319.490_793).abs() < 1e-5);
    assert!((metres(r#"["POINT (0 0)", "POINT (0 90)"]"#) - 10_001_965.729_313).abs() < 1e-5);
    assert!((metres(&with(r#""POINT (-1 0)""#)) - 111_319.490_793).abs() < 1e-5, "to a vertex");
    assert!(
        (metres(r#"["POINT (0 1)", "LINESTRING (-1 0, 1 0)"]"#) - 110_574.388_558).abs() < 1e-5,
        "to the middle"
    );
}

#[test]
fn rule_5_10_a_record_is_made_in_its_order() {
    let record = Expr::Record(vec![("b".into(), Expr::Column(V)), ("a".into(), Expr::Column(K))]);
    let mut build = Build::default();
    let source = build.source(0, false);
    let member = Expr::Member(Box::new(Expr::Column(V)), "1".into());
    build.select(source, &[("x", record), ("y", member)]);
    let array = Value::Array([Value::Int(4), Value::Datetime(Timestamp(0))].into());
    let answer = ask(&build.plan(), vec![event(0, "k", array.clone())]);
    let expected: Record = [("b".into(), array), ("a".into(), Value::text("k"))].into_iter().collect();
    assert_eq!(answer.rows[0].record.get("x"), Some(&Value::Record(expected.into())));
    assert_eq!(answer.rows[0].record.get("y"), Some(&Value::Datetime(Timestamp(0))), "a path into an array");
}

/// What a geometry, two of them and a distance may hold at most (C-GEO); regular expressions (C-REGEX).
#[test]
fn geometries_and_patterns_beyond_a_bound_fail_at_once() {
    use Function::*;
    let text = |points: &[String], kind: &str| format!("\"{kind}\"").replace('_', &points.join(", "));
    let along = |count: usize, y: i64| -> Vec<String> {
        (0..count).map(|i| format!("{}.{:02} {y}", i / 100, i % 100)).collect()
    };
    let line = |count: usize, y: i64| text(&along(count, y), "LINESTRING (_)");
    let point = r#""POINT (-50 50)""#;
    table([
        (StIntersects, &format!("[{}, {point}]", line(5_000, 0)), "0"),
        (StIntersects, &format!("[{}, {point}]", line(5_001, 0)), "fails"),
        (StWithin, &format!("[{point}, {}]", line(5_001, 0)), "fails"),
        (StDistance, &format!("[{}, {}]", line(501, 0), line(500, 1)), "fails"),
        (StDistance, &format!("[{}, {}]", line(500, 0), line(500, 0)), "0.0"),
    ]);
    // A ring counts closed.
    let ring = |count: usize| text(&[along(count - 1, 0), vec!["0 60".to_owned()]].concat(), "POLYGON ((_))");
    table([
        (StWithin, &format!("[{point}, {}]", ring(4_999)), "0"),
        (StWithin, &format!("[{point}, {}]", ring(5_000)), "fails"),
    ]);
    // All sides of a zigzag meet: 200 of them in 19,900 pairs, 201 in 20,100.
    let zigzag = |sides: usize| {
        let points: Vec<String> = (0..=sides).map(|i| format!("{0} {0}", i % 2)).collect();
        text(&points, "LINESTRING (_)")
    };
    table([
        (StIntersects, &format!("[{}, {point}]", zigzag(200)), "0"),
        (StIntersects, &format!("[{}, {point}]", zigzag(201)), "fails"),
        (StIntersects, &format!("[{}, {}]", zigzag(150), zigzag(150)), "fails"),
    ]);
    table([
        (RegexMatch, r#"["aaa", "a{1000}{1000}"]"#, "0"),
        (RegexMatch, r#"["aaa", "(((((a{99}){99}){99}){99}){99})"]"#, "0"),
        (RegexMatch, r#"["aaa", "(x*){1000}{1000}"]"#, "0"),
        (RegexMatch, r#"["aaa", "a{3}{1}"]"#, "1"),
    ]);
}
