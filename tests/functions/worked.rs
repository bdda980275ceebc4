//! What random expressions found, worked out by hand: each was answered in two ways once, and the rule or choice
//! beside it says which of the two was right.

use rewindow_query::json::{read_event, to_json};
use serde_json::{Value as Json, json};

use crate::asked::Question;

/// Requires what both say of an item, row by row, and `fails` behind the rows before a failure.
#[track_caller]
fn says(item: &str, tail: &str, events: &[&str], expected: &[Json]) {
    let events = events.iter().map(|text| read_event(text).unwrap()).collect();
    let asked = Question::new(vec![item.to_owned()], tail, events).ask_everywhere();
    let asked = asked.unwrap_or_else(|said| panic!("{said}"));
    let mut said: Vec<Json> = asked.rows.iter().map(|row| to_json(&row.record.members()[0].1)).collect();
    said.extend(asked.failed.then(|| json!("fails")));
    // As text: 0.0 equals -0.0, and neither is 0.
    let text = |values: &[Json]| values.iter().map(Json::to_string).collect::<Vec<_>>();
    assert_eq!(text(&said), text(expected), "{item} {tail}");
}

#[track_caller]
fn gives(item: &str, expected: Json) {
    says(item, "FROM s", &["{}"], &[expected]);
}

#[test]
fn c_text_patindex_takes_one_percent_sign_off() {
    gives("PATINDEX('', '')", json!(1));
    gives("PATINDEX('', 'a')", json!(0));
    gives("PATINDEX('%', '')", json!(1));
    gives("PATINDEX('%%b', 'ab')", json!(1));
    gives("PATINDEX('%b', 'ab')", json!(2));
}

/// Else a few steps that double a text, or one REPLACE, fill any memory.
#[test]
fn c_text_no_text_is_put_together_beyond_a_million_characters() {
    let long = "REPLICATE('é', 1048576)";
    for (item, length) in [
        (long.to_owned(), json!(1_048_576)),
        (format!("CONCAT({long}, NULL, '')"), json!(1_048_576)),
        (format!("REPLACE({long}, 'x', {long})"), json!(1_048_576)),
        (format!("STUFF({long}, 1, 2, 'ab')"), json!(1_048_576)),
        (format!("CONCAT_WS({long}, 'a')"), json!(1)),
        (format!("CONCAT_WS({long}, 'a', 'b')"), json!("fails")),
        (format!("CONCAT({long}, 'a')"), json!("fails")),
        (format!("({long} + 'a')"), json!("fails")),
        (format!("REPLACE({long}, 'é', {long})"), json!("fails")),
        (format!("REPLACE({long}, 'é', 'ab')"), json!("fails")),
        (format!("STUFF({long}, 1, 2, 'abc')"), json!("fails")),
        ("REPLICATE('ab', 524289)".to_owned(), json!("fails")),
    ] {
        gives(&format!("LEN({item})"), length);
    }
}

#[test]
fn c_number_a_rounded_zero_keeps_its_sign() {
    gives("ROUND(-1e-7, 3)", json!(-0.0));
    gives("ROUND(-4.0, -3)", json!(-0.0));
    gives("CEILING(-0.5)", json!(-0.0));
    gives("ROUND(1e-7, 3)", json!(0.0));
}

#[test]
fn c_geo_what_is_read_is_as_whole_as_what_is_created() {
    let meets = |a: &str| format!("ST_INTERSECTS({a}, 'POINT(0 0)')");
    gives(&meets("'LINESTRING(0 0, 0 0)'"), json!(1));
    gives(&meets("'POLYGON((0 0, 1 0, 0 1))'"), json!(1));
    gives(&meets("'POLYGON((-9 -9, -9 9, 9 9, 9 -9), (-1 -1, 1 -1, 0 1))'"), json!(0));
    for bad in [
        "'LINESTRING(0 0)'",
        "'LINESTRING EMPTY'",
        "'POINT EMPTY'",
        "'POLYGON EMPTY'",
        "'POLYGON((0 0, 1 0, 0 0))'",
        "'POLYGON((0 0, 9 0, 0 9), (1 1, 2 2, 1 1))'",
        "'POLYGON((0 0, 4 4, 4 0, 0 4, 0 0))'",
        "'POLYGON((0 35, 0 1, 0 4), (0 3, -13 3, 2 -36, 4 3))'",
        "'POLYGON((0 0, 4 0, 2 0, 2 2))'",
        "'POLYGON((0 0, 9 0, 0 9), (7 7, 8 7, 7 8))'",
        "'MULTIPOINT((0 0))'",
        "'GEOMETRYCOLLECTION(POINT(0 0))'",
    ] {
        gives(&meets(bad), json!("fails"));
    }
    let point = r#"{"g": {"type": "Point", "coordinates": [0, 0.0]}}"#;
    let bit = r#"{"g": {"type": "Point", "coordinates": [0, false]}}"#;
    says(&meets("g"), "FROM s", &[point, bit], &[json!(1), json!("fails")]);
}

/// A reader that followed these to the bottom would not come back.
#[test]
fn c_geo_collections_are_not_followed() {
    let depth = 100_000;
    let text = format!("{}POINT(0 0){}", "GEOMETRYCOLLECTION(".repeat(depth), ")".repeat(depth));
    let event = json!({ "g": text }).to_string();
    says("ST_INTERSECTS(g, g)", "FROM s", &[&event], &[json!("fails")]);
}

#[test]
fn c_record_text_is_no_index() {
    let events =
        [r#"{"r": {"0": 5}, "i": 0}"#, r#"{"r": {"0": 5}, "i": 0.9}"#, r#"{"r": {"0": 5}, "i": "0"}"#];
    says("GetArrayElement(r, i)", "FROM s", &events, &[json!(5), json!(5), json!("fails")]);
}

#[test]
fn c_sum_a_zero_has_no_sign() {
    let events = [r#"{"f": -5e-324}"#, r#"{"f": 0.0}"#];
    says("AVG(f)", "FROM s GROUP BY TumblingWindow(day, 1)", &events, &[json!(0.0)]);
    says("SUM(f)", "FROM s GROUP BY TumblingWindow(day, 1)", &[r#"{"f": -0.0}"#], &[json!(0.0)]);
}

#[test]
fn c_percentile_a_zero_has_no_sign() {
    let (events, tail) = ([r#"{"f": 0.0}"#, r#"{"f": -0.0}"#], "FROM s GROUP BY TumblingWindow(day, 1)");
    for name in ["PERCENTILE_DISC", "PERCENTILE_CONT"] {
        says(&format!("{name}(1) OVER (ORDER BY f)"), tail, &events, &[json!(0.0)]);
        says(&format!("{name}(1) OVER (ORDER BY f DESC)"), tail, &events, &[json!(0.0)]);
    }
    // Of MIN and MAX the earlier of two equals stays what it is.
    says("MAX(f)", tail, &events, &[json!(0.0)]);
    says("MIN(f)", tail, &[events[1], events[0]], &[json!(-0.0)]);
}

#[test]
fn c_over_only_rows_that_count_have_to_suit_the_aggregate() {
    let over = "SUM(v) OVER (LIMIT DURATION(minute, 1) WHEN w = 1)";
    let events = [r#"{"v": 1, "w": 1}"#, r#"{"v": [2], "w": 0}"#, r#"{"v": [3], "w": 1}"#];
    says(over, "FROM s", &events, &[json!(1), json!(1), json!("fails")]);
    let over = "TOPONE(v) OVER (ORDER BY v LIMIT DURATION(minute, 1) WHEN w = 1)";
    says(over, "FROM s", &events, &[json!(1), json!(1), json!("fails")]);
    // What is evaluated can fail all the same.
    let over = "SUM(1 / v) OVER (LIMIT DURATION(minute, 1) WHEN w = 1)";
    says(over, "FROM s", &[r#"{"v": 0, "w": 0}"#], &[json!("fails")]);
}

/// A sum that fails at the end of the window does not hide a mixture that failed before it.
#[test]
fn c_fail_the_earliest_failure_of_a_group_counts() {
    let events = [r#"{"b": false}"#, r#"{"b": 9223372036854775807}"#, r#"{"b": true}"#, "{}"];
    let items = "CONCAT(CAST(SUM(b) AS nvarchar(max)), CAST(MIN(b) AS nvarchar(max)))";
    says(items, "FROM s GROUP BY SlidingWindow(second, 5)", &events, &[json!("00"), json!("fails")]);
}

/// The failure was counted half, and the checkpoint behind it could not be read.
#[test]
fn c_minmax_a_percentile_that_mixes_fails_the_same_after_a_restore() {
    let disc = "PERCENTILE_DISC(0.5) OVER (ORDER BY b)";
    let events = [r#"{"b": true}"#, r#"{"b": 0}"#, r#"{"b": true}"#];
    for window in ["TumblingWindow(day, 1)", "HoppingWindow(day, 2, 1)", "SlidingWindow(second, 9)"] {
        let tail = format!("FROM s GROUP BY {window}");
        let before: &[Json] = if window.starts_with("Sliding") { &[json!(true)] } else { &[] };
        let expected: Vec<Json> = before.iter().cloned().chain([json!("fails")]).collect();
        says(disc, &tail, &events, &expected);
    }
}
