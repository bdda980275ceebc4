//! Every query of the conformance cases: accepted, refused with the right code, or named as later work.
//!
//! What this suite alone catches: a query of the reference that the language no longer reads, and a case
//! added without a decision, because every file must be in exactly one of the three groups.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rewindow_query::analyse;

/// Cases that must be refused, with the code.
const REFUSED: &[(&str, &str)] = &[
    ("error_alias_in_where", "alias-in-where"),
    ("error_count_distinct_over", "distinct-over"),
    ("error_lag_offset_zero", "lag-offset"),
    ("error_nested_analytic_functions", "nested-analytic"),
    ("error_select_star_in_join", "star-in-join"),
    ("error_two_window_functions", "two-windows"),
];

/// Cases that use a part of the language which is not supported yet, with the words that name it.
const LATER: &[(&str, &str)] = &[
    ("array_element_and_length", "GetArrayElement"),
    ("collecttop_two_per_group", "CollectTop"),
    ("concat_and_concat_ws", "CONCAT_WS"),
    ("create_table_drops_rows_that_deviate", "CREATE TABLE"),
    ("cross_and_outer_apply", "APPLY"),
    ("error_windows_mixed_ids", "Windows()"),
    ("hopping_periodic_last_value", "CREATE TABLE"),
    ("json_parse_record_and_null", "JSON_PARSE"),
    ("len_charindex_patindex", "CHARINDEX"),
    ("match_partitions_are_independent", "MATCH_RECOGNIZE"),
    ("match_plus_is_greedy_until_other_row", "MATCH_RECOGNIZE"),
    ("match_two_consecutive_warnings", "MATCH_RECOGNIZE"),
    ("nchar_unicode", "NCHAR"),
    ("nested_arrays_two_steps", "APPLY"),
    ("over_max_last_hour_per_class", "MAX OVER"),
    ("over_when_filters_history", "MIN OVER"),
    ("percentile_cont_95", "PERCENTILE_CONT"),
    ("percentile_disc_median_even_count", "PERCENTILE_DISC"),
    ("reference_join_expired_registration", "reference data"),
    ("reference_threshold_rules", "reference data"),
    ("replicate_and_space", "REPLICATE"),
    ("round_table", "ROUND"),
    ("session_diagram_timeout_and_max", "SessionWindow"),
    ("session_gap_over_timeout_splits", "SessionWindow"),
    ("session_max_duration_continues_from_check", "SessionWindow"),
    ("session_partitioned_splits_per_key", "SessionWindow"),
    ("session_per_user_min_max", "CREATE TABLE"),
    ("snapshot_after_tumbling_default_name_count", "snapshot window"),
    ("snapshot_removes_duplicates_then_average", "snapshot window"),
    ("spread_sample_and_population", "VARP"),
    ("st_within_point_polygon", "ST_WITHIN"),
    ("substream_key_null_drops_event", "TIMESTAMP BY ... OVER"),
    ("substring_and_stuff_edges", "SUBSTRING"),
    ("topone_null_is_smallest", "TopOne"),
    ("validation_base_query_snapshot_count", "APPLY"),
    ("watermark_illustration_substreams", "TIMESTAMP BY ... OVER"),
    ("windows_with_snapshot_member", "Windows()"),
    ("windows_without_ids_null_id", "Windows()"),
];

struct Case {
    query: String,
    /// Streams and reference data, in the order of the file.
    inputs: Vec<String>,
    /// The case expects the query to be rejected.
    rejected: bool,
    /// Names of the outputs the case expects rows of.
    outputs: Vec<String>,
}

fn cases() -> BTreeMap<String, Case> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/conformance");
    let mut cases = BTreeMap::new();
    for entry in std::fs::read_dir(folder).expect("the conformance cases are in the workspace") {
        let path = entry.expect("a folder that can be read").path();
        if path.extension().is_none_or(|e| e != "json") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a case that can be read");
        let json: serde_json::Value = serde_json::from_str(&text).expect("a case is JSON");
        let keys = |member: &str| {
            json[member].as_object().map(|m| m.keys().cloned().collect::<Vec<_>>()).unwrap_or_default()
        };
        let case = Case {
            query: json["query"].as_str().expect("a case has a query").to_owned(),
            inputs: [keys("inputs"), keys("reference_inputs")].concat(),
            rejected: json["expected_error"]["phase"] == "compile",
            outputs: keys("expected"),
        };
        cases.insert(path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), case);
    }
    assert!(cases.len() > 100, "found only {} cases", cases.len());
    cases
}

#[test]
fn every_query_in_scope_is_accepted() {
    for (name, case) in cases() {
        let listed = REFUSED.iter().chain(LATER).any(|(other, _)| *other == name);
        if listed {
            continue;
        }
        assert!(!case.rejected, "{name} expects a refusal and is in no table");
        match analyse(&case.query, Some(&case.inputs)) {
            Ok(plan) => {
                let names: Vec<&str> = plan.inputs.iter().map(|i| &*i.name).collect();
                assert_eq!(names, case.inputs, "{name}");
                for output in &case.outputs {
                    assert!(plan.output(output).is_some(), "{name} lacks output {output}");
                }
            }
            Err(error) => panic!("{name}: {} {}", error.code, error.message),
        }
    }
}

#[test]
fn what_must_be_refused_is_refused_by_its_code() {
    let cases = cases();
    for (name, code) in REFUSED {
        let case = &cases[*name];
        assert!(case.rejected, "{name} does not expect a refusal");
        let error = analyse(&case.query, None).expect_err(name);
        assert_eq!(error.code, *code, "{name}: {}", error.message);
    }
}

#[test]
fn what_comes_later_is_refused_by_name() {
    let cases = cases();
    for (name, words) in LATER {
        let error = analyse(&cases[*name].query, None).expect_err(name);
        assert_eq!(error.code, "unsupported", "{name}: {}", error.message);
        assert!(error.message.contains(words), "{name}: {}", error.message);
        assert!(error.message.contains("is not supported yet (rule "), "{name}: {}", error.message);
    }
}
