//! What the functions of section 10 give, rule by rule, at the edges the rules name. Would catch a place or a
//! length that counts bytes, a rounding in binary, a pattern that is compiled with other flags.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use rewindow_engine::batch::Batch;
use rewindow_engine::column::Column;
use rewindow_engine::eval::evaluate;
use rewindow_query::Value;
use rewindow_query::expr::{Expr, Function};
use serde_json::json;

/// The function of literals, and of columns: both the same. A failure reads `error`.
fn call(function: Function, arguments: serde_json::Value) -> String {
    let values: Vec<Value> =
        arguments.as_array().unwrap().iter().map(|a| rewindow_query::json::from_json(a).unwrap()).collect();
    let columns = values.iter().map(|value| Column::constant(value, 2).into()).collect();
    let batch = Batch { timestamps: vec![1, 2], columns };
    let shown = |exprs: Vec<Expr>| {
        let found = evaluate(&Expr::Call(function, exprs), &batch);
        found.map_or("error".to_owned(), |column| column.value(1).to_string())
    };
    let literal = shown(values.into_iter().map(Expr::Literal).collect());
    let column = shown((0..batch.columns.len()).map(Expr::Column).collect());
    assert_eq!(literal, column, "{function:?}");
    literal
}

fn check(function: Function, table: &[(serde_json::Value, &str)]) {
    for (arguments, expected) in table {
        assert_eq!(call(function, arguments.clone()), *expected, "{function:?} of {arguments}");
    }
}

#[test]
fn c_text_places_count_characters_from_one() {
    use Function::*;
    check(
        CharIndex,
        &[
            (json!(["b", "äbb"]), "2"),
            (json!(["b", "äbb", 3]), "3"),
            (json!(["b", "äbb", -4]), "2"),
            (json!(["b", "äbb", 9]), "0"),
            (json!(["", "abc"]), "0"),
            (json!(["B", "abc"]), "0"),
            (json!([null, 1]), "null"),
            (json!([1, "abc"]), "error"),
        ],
    );
    check(
        PatIndex,
        &[
            (json!(["%b_%", "aäbcb"]), "3"),
            (json!(["%b", "abcb"]), "4"),
            (json!(["%", "abc"]), "1"),
            (json!(["%", ""]), "1"),
            (json!(["a%", "abc"]), "1"),
            (json!(["b%", "abc"]), "0"),
            (json!(["%[x-z]%", "aaz"]), "3"),
            (json!(["%q%", "abc"]), "0"),
            (json!(["%[", "a["]), "0"),
        ],
    );
    check(
        RegexMatch,
        &[
            (json!(["äBc", "b."]), "2"),
            (json!(["abc", "(?=b)"]), "0"),
            (json!(["abc", "("]), "0"),
            (json!(["a\nb", "a.b"]), "1"),
            (json!(["a\nb", "^b"]), "0"),
            (json!(["abc", "x"]), "0"),
            (json!(["abc", ""]), "1"),
            (json!([1, "x"]), "error"),
            (json!([null, "x"]), "null"),
        ],
    );
}

#[test]
fn c_text_parts_of_text() {
    use Function::*;
    check(
        Substring,
        &[
            (json!(["äbcd", 2, 2]), "\"bc\""),
            (json!(["abcd", 0, 2]), "\"a\""),
            (json!(["abcd", -3, 2]), "\"\""),
            (json!(["abcd", 9, 2]), "\"\""),
            (json!(["abcd", 3, 99]), "\"cd\""),
            (json!(["abcd", 1, -1]), "error"),
            (json!(["abcd", 2.9, 1]), "\"b\""),
            (json!(["abcd", i64::MAX, i64::MAX]), "\"\""),
            (json!(["abcd", i64::MIN, 5]), "\"\""),
        ],
    );
    check(Left, &[(json!(["äbc", 2]), "\"äb\""), (json!(["abc", 0]), "\"\""), (json!(["abc", -1]), "error")]);
    check(
        Right,
        &[
            (json!(["abä", 2]), "\"bä\""),
            (json!(["abc", 9]), "\"abc\""),
            (json!(["abc", 0]), "\"\""),
            (json!(["abc", -1]), "error"),
            (json!(["abc", i64::MAX]), "\"abc\""),
        ],
    );
    check(
        Stuff,
        &[
            (json!(["abcd", 2, 2, "XYZ"]), "\"aXYZd\""),
            (json!(["abcd", 4, 9, ""]), "\"abc\""),
            (json!(["abcd", 5, 0, "X"]), "\"\""),
            (json!(["abcd", 0, 1, "X"]), "\"Xbcd\""),
            (json!(["abcd", 1, -1, "X"]), "error"),
            (json!(["abcd", 1, 0, "X"]), "\"Xabcd\""),
        ],
    );
    check(Reverse, &[(json!(["aäb"]), "\"bäa\""), (json!([1]), "error")]);
    check(Unicode, &[(json!(["ä"]), "228"), (json!([""]), "null")]);
    check(
        NChar,
        &[
            (json!([228]), "\"ä\""),
            (json!([-1]), "null"),
            (json!([1114112]), "null"),
            (json!([0xD800]), "null"),
        ],
    );
}

#[test]
fn c_text_text_made_anew() {
    use Function::*;
    check(
        Replace,
        &[
            (json!(["aaa", "aa", "b"]), "\"ba\""),
            (json!(["abc", "", "x"]), "\"abc\""),
            (json!(["abc", "B", "x"]), "\"abc\""),
        ],
    );
    check(
        Translate,
        &[
            (json!(["abcab", "aba", "xyz"]), "\"xycxy\""),
            (json!(["abc", "ab", "x"]), "error"),
            (json!(["abc", "", ""]), "\"abc\""),
        ],
    );
    check(
        Replicate,
        &[
            (json!(["ab", 2]), "\"abab\""),
            (json!(["ab", 0]), "\"\""),
            (json!(["ab", -1]), "null"),
            (json!(["ab", (1 << 19) + 1]), "error"),
            (json!(["", i64::MAX]), "\"\""),
        ],
    );
    check(Space, &[(json!([2]), "\"  \""), (json!([-1]), "null"), (json!([i64::MAX]), "error")]);
    check(Trim, &[(json!(["\t\u{3000} a b\r\n"]), "\"a b\"")]);
    check(LTrim, &[(json!([" a "]), "\"a \"")]);
    check(RTrim, &[(json!([" a "]), "\" a\"")]);
    check(
        ConcatWs,
        &[
            (json!([", ", "a", null, "b"]), "\"a, b\""),
            (json!([null, "a", "b"]), "\"ab\""),
            (json!([",", null, null]), "\"\""),
            (json!([",", "", ""]), "\",\""),
            (json!([",", 1]), "error"),
        ],
    );
}

#[test]
fn c_number_rounds_in_decimal_and_fails_outside_the_type() {
    use Function::*;
    check(
        Round,
        &[
            (json!([123.9995, 3]), "124.0"),
            (json!([2.675, 2]), "2.68"),
            (json!([-2.5, 0]), "-3.0"),
            (json!([0.5, 0]), "1.0"),
            (json!([0.49999999999999994, 0]), "0.0"),
            (json!([748.58, -1]), "750.0"),
            (json!([748.58, -3]), "1000.0"),
            (json!([748.58, -4]), "0.0"),
            (json!([1.5e300, -300]), "2e+300"),
            (json!([1.7e308, -308]), "error"),
            (json!([5e-324, 323]), "1e-323"),
            (json!([5e-324, 400]), "5e-324"),
            (json!([7, 2]), "7"),
            (json!([748, -1]), "750"),
            (json!([-745, -1]), "-750"),
            (json!([748, -30]), "0"),
            (json!([i64::MAX, -1]), "error"),
            (json!([i64::MIN, -20]), "0"),
            (json!([1.25, i64::MIN]), "0.0"),
            (json!([1.25, i64::MAX]), "1.25"),
            (json!(["1", 0]), "error"),
            (json!([null, 0]), "null"),
        ],
    );
    check(Square, &[(json!([3]), "9.0"), (json!([1e200]), "error"), (json!([true]), "1.0")]);
    check(Sqrt, &[(json!([2]), "1.4142135623730951"), (json!([-1]), "error"), (json!([0]), "0.0")]);
    check(Exp, &[(json!([0]), "1.0"), (json!([1000]), "error"), (json!([-1000]), "0.0")]);
    check(
        Power,
        &[
            (json!([3, 39]), "4052555153018976267"),
            (json!([3, 40]), "error"),
            (json!([2, -1]), "0"),
            (json!([0, 0]), "1"),
            (json!([0, -1]), "error"),
            (json!([-1, i64::MAX]), "-1"),
            (json!([1, i64::MAX]), "1"),
            (json!([-2, 63]), "-9223372036854775808"),
            (json!([2, 0.5]), "1"),
            (json!([2.0, 0.5]), "1.4142135623730951"),
            (json!([-8.0, 0.3]), "error"),
            (json!([10.0, 400]), "error"),
            (json!([0, i64::MAX]), "0"),
        ],
    );
}

#[test]
fn c_record_what_is_not_there_is_null() {
    use Function::*;
    check(
        GetArrayElement,
        &[
            (json!([[1, "b"], 1]), "\"b\""),
            (json!([[1], 1]), "null"),
            (json!([[1], -1]), "null"),
            (json!([{"0": 5}, 0]), "5"),
            (json!(["a", 0]), "error"),
            (json!([null, 0]), "null"),
        ],
    );
    check(GetArrayLength, &[(json!([[1, null]]), "2"), (json!([{}]), "error")]);
    check(
        GetRecordPropertyValue,
        &[
            (json!([{"a": 1, "A": 2}, "A"]), "2"),
            (json!([{"a": 1}, "A"]), "1"),
            (json!([{"a": 1}, "b"]), "null"),
            (json!([[1], "b"]), "error"),
        ],
    );
    check(
        JsonParse,
        &[
            (json!(["{\"a\": [1.5]}"]), "{\"a\":[1.5]}"),
            (json!(["[1]"]), "null"),
            (json!(["{"]), "null"),
            (json!([1]), "null"),
        ],
    );
}

#[test]
fn c_geo_reads_geo_json_and_wkt() {
    use Function::*;
    let square = json!({"type": "Polygon", "coordinates": [[[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]]});
    check(
        CreatePoint,
        &[
            (json!([48.2, 16]), r#"{"type":"Point","coordinates":[16.0,48.2]}"#),
            (json!([91, 0]), "error"),
            (json!([0, 180.5]), "error"),
            (json!(["1", 0]), "error"),
            (json!([null, 0]), "null"),
        ],
    );
    check(
        CreateLineString,
        &[
            (
                json!(["POINT (1 2)", "POINT(3 4)"]),
                r#"{"type":"LineString","coordinates":[[1.0,2.0],[3.0,4.0]]}"#,
            ),
            (json!(["POINT (1 2)"]), "error"),
            (json!([square, square]), "error"),
        ],
    );
    check(
        CreatePolygon,
        &[
            (
                json!(["POINT (0 0)", "POINT (1 0)", "POINT (1 1)"]),
                r#"{"type":"Polygon","coordinates":[[[0.0,0.0],[1.0,0.0],[1.0,1.0],[0.0,0.0]]]}"#,
            ),
            (json!(["POINT (0 0)", "POINT (1 0)", "POINT (0 0)"]), "error"),
        ],
    );
    check(
        StWithin,
        &[
            (json!(["POINT (5 5)", square]), "1"),
            (json!(["POINT (0 5)", square]), "0"),
            (json!([square, "POINT (5 5)"]), "0"),
            (json!([{"type": "Point", "coordinates": [5]}, square]), "error"),
            (json!(["MULTIPOINT (5 5)", square]), "error"),
            (json!(["POINT EMPTY", square]), "error"),
            (json!(["nonsense", square]), "error"),
            (json!([7, square]), "error"),
        ],
    );
    check(
        StIntersects,
        &[
            (json!(["POINT (0 5)", square]), "1"),
            (json!(["LINESTRING (-1 -1, -1 11)", square]), "0"),
            (json!(["LINESTRING (-1 5, 11 5)", square]), "1"),
        ],
    );
    check(
        StOverlaps,
        &[
            (json!(["POLYGON ((5 5, 15 5, 15 15, 5 15, 5 5))", square]), "1"),
            (json!(["POLYGON ((1 1, 2 1, 2 2, 1 2, 1 1))", square]), "0"),
        ],
    );
}

#[test]
fn c_geo_distances_are_geodesics() {
    let metres = |a: &str, b: &str| -> f64 { call(Function::StDistance, json!([a, b])).parse().unwrap() };
    // A degree along the equator is a/360 of the circle of 6,378,137 m.
    let degree = 2.0 * std::f64::consts::PI * 6_378_137.0 / 360.0;
    assert!((metres("POINT (0 0)", "POINT (1 0)") - degree).abs() < 1e-6);
    assert!((metres("POINT (3 0)", "LINESTRING (0 0, 1 0)") - 2.0 * degree).abs() < 1e-6);
    assert!((metres("LINESTRING (0 0, 1 0)", "POINT (3 0)") - 2.0 * degree).abs() < 1e-6);
    // Straight down onto the segment: the vertices are farther away.
    let down = metres("POINT (5 1)", "LINESTRING (0 0, 10 0)");
    assert_eq!(down, metres("POINT (5 1)", "POINT (5 0)"));
    assert_eq!(metres("POINT (5 5)", "POLYGON ((0 0, 10 0, 10 10, 0 10, 0 0))"), 0.0);
    // Inside a hole the border of the hole is nearest.
    let hole = "POLYGON ((0 0, 30 0, 30 30, 0 30, 0 0), (10 10, 20 10, 20 20, 10 20, 10 10))";
    assert_eq!(metres("POINT (15 11)", hole), metres("POINT (15 11)", "POINT (15 10)"));
}

/// What takes too long is refused before it is begun: C-GEO, C-REGEX.
#[test]
fn bounds_of_geometries_and_patterns() {
    let wkt = |kind: &str, points: Vec<String>| match kind {
        "POLYGON" => format!("POLYGON (({}))", points.join(",")),
        kind => format!("{kind} ({})", points.join(",")),
    };
    let east = |count: usize, y: f64| -> Vec<String> {
        (0..count).map(|i| format!("{} {y}", i as f64 / 100.0)).collect()
    };
    let line = |count: usize, y: f64| wkt("LINESTRING", east(count, y));
    let far = "POINT (-50 50)";
    let ring = |count: usize| {
        let mut points = east(count - 1, 0.0);
        points.push("0 60".to_owned());
        wkt("POLYGON", points)
    };
    let crossing =
        |sides: usize| wkt("LINESTRING", (0..=sides).map(|i| format!("{} {}", i % 2, i % 2)).collect());
    check(
        Function::StIntersects,
        &[
            (json!([line(5_000, 0.0), far]), "0"),
            (json!([line(5_001, 0.0), far]), "error"),
            (json!([far, line(5_001, 0.0)]), "error"),
            (json!([ring(4_999), far]), "0"),
            (json!([ring(5_000), far]), "error"),
            (json!([crossing(200), far]), "0"),
            (json!([crossing(201), far]), "error"),
            (json!([crossing(150), crossing(150)]), "error"),
        ],
    );
    check(
        Function::StDistance,
        &[
            (json!([line(500, 0.0), line(500, 0.0)]), "0.0"),
            (json!([line(500, 0.0), line(501, 1.0)]), "error"),
        ],
    );
    check(
        Function::RegexMatch,
        &[
            (json!(["aaa", "a{1000}{1000}"]), "0"),
            (json!(["aaa", "(((((a{99}){99}){99}){99}){99})"]), "0"),
            (json!(["aaa", "(x*){1000}{1000}"]), "0"),
            (json!(["baaa", "a{3}{1}"]), "2"),
        ],
    );
}

proptest! {
    #[test]
    fn no_function_panics_on_any_arguments(
        arguments in prop::collection::vec(prop_oneof![
            any::<i64>().prop_map(|v| json!(v)), (-20_i64..20).prop_map(|v| json!(v)),
            any::<f64>().prop_map(|v| json!(v)), "[%a-cä\\[_^-]{0,5}".prop_map(|v| json!(v)),
            Just(json!(null)), Just(json!([1, [2, 3], null])),
            prop::collection::vec((-3_i64..3, -3_i64..3), 0..6).prop_map(|points| {
                let ring: Vec<_> = points.iter().map(|(x, y)| json!([x, y])).collect();
                json!({"type": "Polygon", "coordinates": [ring]})
            }),
            prop::collection::vec((-3_i64..3, -3_i64..3), 0..6).prop_map(|points| {
                let line: Vec<_> = points.iter().map(|(x, y)| json!([x, y])).collect();
                json!({"type": "LineString", "coordinates": line})
            }),
        ], 0..5),
    ) {
        use Function::*;
        for function in [
            CharIndex, PatIndex, Substring, Left, Right, Stuff, Replace, Translate, Replicate, Space, NChar,
            Unicode, Reverse, Trim, LTrim, RTrim, RegexMatch, JsonParse, ConcatWs, Concat, Square, Sqrt, Power,
            Exp, Round, GetRecordPropertyValue, GetArrayElement, GetArrayLength, CreatePoint, CreateLineString,
            CreatePolygon, StDistance, StWithin, StOverlaps, StIntersects,
        ] {
            call(function, json!(arguments));
        }
    }

    #[test]
    fn patindex_is_the_first_place_that_is_like_the_rest(
        pattern in "[%a-b_]{1,5}", text in "[abc]{0,6}",
    ) {
        // From the rule: try every place with LIKE.
        let like = |text: &str, pattern: &str| {
            let (text, pattern) = (Expr::Literal(Value::text(text)), Expr::Literal(Value::text(pattern)));
            let like = rewindow_query::expr::Predicate::Like { expr: text, pattern, escape: None, negated: false };
            let batch = Batch { timestamps: vec![1], columns: Vec::new() };
            rewindow_engine::eval::holds(&like, &batch).unwrap()[0]
        };
        let expected = match pattern.strip_prefix('%') {
            None => i64::from(like(&text, &pattern)),
            Some("") => 1,
            Some(rest) => (0..=text.len()).find(|&at| like(&text[at..], rest)).map_or(0, |at| at as i64 + 1),
        };
        prop_assert_eq!(call(Function::PatIndex, json!([pattern, text])), expected.to_string());
    }

    #[test]
    fn rounding_a_bigint_is_the_nearest_multiple(int in -100_000_i64..100_000, zeros in 0_u32..7) {
        let unit = 10_i64.pow(zeros);
        let down = int.abs() / unit * unit;
        let expected = if (int.abs() - down) * 2 >= unit { down + unit } else { down } * int.signum();
        prop_assert_eq!(call(Function::Round, json!([int, -i64::from(zeros)])), expected.to_string());
        // As a float it is the same number.
        let float = call(Function::Round, json!([int as f64, -i64::from(zeros)]));
        prop_assert_eq!(float.parse::<f64>().unwrap(), expected as f64);
    }
}
