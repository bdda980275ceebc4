//! Every query of the conformance cases: accepted, or refused with the right code.
//!
//! What this suite alone catches: a query of the reference that the language no longer reads, and a case
//! added without a decision, because every file must be in exactly one of the two groups.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rewindow_query::{Declared, analyse, analyse_with};

/// Cases that must be refused, with the code.
const REFUSED: &[(&str, &str)] = &[
    ("error_alias_in_where", "alias-in-where"),
    ("error_count_distinct_over", "distinct-over"),
    ("error_lag_offset_zero", "lag-offset"),
    ("error_nested_analytic_functions", "nested-analytic"),
    ("error_select_star_in_join", "star-in-join"),
    ("error_two_window_functions", "two-windows"),
    ("error_windows_mixed_ids", "window-ids"),
];

struct Case {
    query: String,
    /// Streams, in the order of the file.
    inputs: Vec<String>,
    /// Reference data, in the order of the file.
    references: Vec<String>,
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
            inputs: keys("inputs"),
            references: keys("reference_inputs"),
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
        let listed = REFUSED.iter().any(|(other, _)| *other == name);
        if listed {
            continue;
        }
        assert!(!case.rejected, "{name} expects a refusal and is in no table");
        let declared = Declared {
            inputs: Some(&case.inputs),
            references: Some(&case.references),
            ..Declared::default()
        };
        match analyse_with(&case.query, &declared) {
            Ok(plan) => {
                let names: Vec<&str> = plan.inputs.iter().map(|i| &*i.name).collect();
                assert_eq!(names, case.inputs, "{name}");
                let names: Vec<&str> = plan.references.iter().map(|i| &*i.name).collect();
                assert_eq!(names, case.references, "{name}");
                // Bare, as people find a query in a repository, it is the same.
                let bare = analyse(&case.query, None).unwrap_or_else(|e| panic!("{name}: {}", e.message));
                assert_eq!(bare.to_string(), plan.to_string(), "{name}");
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
