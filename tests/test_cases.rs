//! Case files of `rewindow test`: what they may hold, what is said of those that hold something else, and what of
//! queries that do something else.
//!
//! Catches what `conformance` cannot, whose files are all sound: a mistake in a file that is passed over, or told
//! without its place; a member that is read and not heeded; a difference that is seen and not shown.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::path::Path;

use rewindow::unit::compare::Difference;
use rewindow::unit::play::{Effort, Way};
use rewindow::unit::{Finding, Verdict, case, judge, show};
use serde_json::{Value as Json, json};

const EFFORT: Effort = Effort { seed: 1, cuts: 3, saves: 40 };

/// A case that holds; tests change one thing in it.
fn sound() -> Json {
    json!({
        "name": "counts",
        "query": "SELECT k, COUNT(*) AS n FROM Feed TIMESTAMP BY at GROUP BY k, TumblingWindow(second, 10)",
        "inputs": {"Feed": [
            {"k": "a", "at": "2024-03-05T00:00:01Z"},
            {"k": "a", "at": "2024-03-05T00:00:02Z"},
            {"k": "b", "at": "2024-03-05T00:00:12Z"}
        ]},
        "settings": {"late_arrival_tolerance": "00:00:05"},
        "expected": {"output": [{"k": "a", "n": 2}, {"k": "b", "n": 1}]}
    })
}

/// The case with members replaced; `null` takes one away.
fn with(changes: &Json) -> Json {
    let mut case = sound();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Json::Null => drop(case.as_object_mut().unwrap().remove(name)),
            value => case[name] = value.clone(),
        }
    }
    case
}

fn said(case: &Json) -> String {
    let text = serde_json::to_string_pretty(case).unwrap();
    let test =
        case::read(Path::new("case.json"), &text).unwrap_or_else(|problem| panic!("{problem}\n{text}"));
    let verdict = judge(&test, EFFORT);
    show::failure(&verdict).map_or_else(|| "passed".to_owned(), |(_, text)| text)
}

#[test]
fn a_job_that_fails_in_both_rooms_at_one_time_is_no_bug_of_ours() {
    let said = said(&with(&json!({ "query": "SELECT ROUND(k, 1) AS n FROM Feed TIMESTAMP BY at" })));
    assert!(said.contains("agree with each other") && said.contains("the job fails at"), "{said}");
    assert_eq!(said.matches("the job fails").count(), 1, "the words of one room are enough: {said}");
}

#[test]
fn every_member_of_a_case_is_heeded() {
    let feed = |rows: Json| json!({ "Feed": rows });
    let (one, ten) = ("2024-03-05T00:00:01Z", "2024-03-05T00:00:10Z");
    let plain = "SELECT k, System.Timestamp() AS t FROM Feed TIMESTAMP BY at";
    let rows = |rows: Json| json!({ "output": rows });
    // What is changed, and what is said of it: `passed`, or some of the words.
    let cases: &[(Json, &str)] = &[
        (json!({}), "passed"),
        (json!({"settings": null}), "passed"),
        (json!({"expected": rows(json!([{"k": "a", "n": 2.0}, {"n": 1, "k": "b"}]))}), "passed"),
        (json!({"expected": rows(json!([{"k": "a", "n": 2.000000001}, {"n": 1, "k": "b"}]))}), "passed"),
        (json!({"expected": rows(json!([{"k": "a", "n": 2.00000001}, {"n": 1, "k": "b"}]))}), "≠  n"),
        (
            json!({"expected": rows(json!([{"k": "a", "n": 1.6}, {"n": 1, "k": "b"}])), "tolerance": 0.5}),
            "passed",
        ),
        (
            json!({"expected": rows(json!([{"k": "a", "n": 1.4}, {"n": 1, "k": "b"}])), "tolerance": 0.5}),
            "≠  n",
        ),
        // A missing column equals null only where the expected row shows null.
        (json!({"expected": rows(json!([{"k": "a", "n": 2, "x": null}, {"n": 1, "k": "b"}]))}), "passed"),
        (json!({"expected": rows(json!([{"k": "a", "n": 2, "x": 0}, {"n": 1, "k": "b"}]))}), "≠  x  0"),
        (json!({"expected": rows(json!([{"k": "a"}, {"n": 1, "k": "b"}]))}), "≠  n  (missing)"),
        (json!({"expected": rows(json!([{"k": "a", "n": 2}]))}), "a row that is not expected, stamped"),
        (json!({"expected": rows(json!([{"n": 1, "k": "b"}, {"k": "a", "n": 2}]))}), "row 1 (case.json:"),
        (
            json!({"expected": rows(json!([{"n": 1, "k": "b"}, {"k": "a", "n": 2}])), "unordered": true}),
            "passed",
        ),
        (json!({"expected": {"outputs": []}}), "has no output `outputs`; it writes to output"),
        (json!({"expected": rows(json!([{"k": "a", "n": 2}])), "compare_until": ten}), "passed"),
        (
            json!({"expected": rows(json!([{"k": "b", "n": 1}])),
                   "settings": {"start": {"mode": "custom", "time": "2024-03-05T00:00:11Z"}}}),
            "passed",
        ),
        (
            json!({"expected": rows(json!([{"k": "b", "n": 1}])),
                   "settings": {"start": {"mode": "custom", "time": ten}}}),
            "a row that is not expected",
        ),
        (json!({"query": "SELECT nonsense FROM"}), "error[syntax]"),
        (json!({"query": "SELECT udf.f(k) AS n FROM Feed"}), "case.json, query:1:8"),
        (json!({"query": "SELECT k FROM Fed"}), "error[unknown-stream]"),
        // Errors.
        (json!({"expected_error": {"phase": "compile"}}), "must be refused; the query is accepted"),
        (json!({"query": "SELECT", "expected_error": {"phase": "compile", "about": "no columns"}}), "passed"),
        (json!({"query": "SELECT", "expected_error": {"phase": "compile", "code": "syntax"}}), "passed"),
        (
            json!({"query": "SELECT", "expected_error": {"phase": "compile", "code": "lag-offset"}}),
            "is refused as syntax",
        ),
        (json!({"expected_error": {"phase": "runtime"}}), "the job must fail and does not"),
        (
            json!({"query": "SELECT CAST(k AS bigint) AS n FROM Feed TIMESTAMP BY at"}),
            "the job fails at 2024-03-05T00:00:01",
        ),
        (
            json!({"query": "SELECT CAST(k AS bigint) AS n FROM Feed TIMESTAMP BY at",
                   "expected": {}, "expected_error": {"phase": "runtime"}}),
            "passed",
        ),
        (
            json!({"query": "SELECT 1 / (n - 2) AS q FROM Feed TIMESTAMP BY at", "expected_error": {"phase": "runtime"},
                   "inputs": feed(json!([{"n": 1, "at": one}, {"n": 2, "at": ten}])), "expected": rows(json!([{"q": 7}]))}),
            "≠  q  7",
        ),
        // Arrivals, partitions, drops.
        (
            json!({"query": plain, "inputs": feed(json!([{"k": 1, "at": one, "@arrival": ten}])),
                   "expected": rows(json!([{"k": 1, "t": "2024-03-05T00:00:05Z"}]))}),
            "passed",
        ),
        (
            json!({"query": plain, "inputs": feed(json!([{"k": 1, "at": one, "@arrival": ten}])),
                   "settings": {"policy": "drop"}, "expected": rows(json!([])),
                   "expected_drops": [{"stream": "Feed", "row": 0, "reason": "late"}]}),
            "passed",
        ),
        (
            json!({"query": plain, "inputs": feed(json!([{"k": 1, "at": one, "@arrival": ten}])),
                   "settings": {"policy": "Drop"}, "expected": rows(json!([])), "expected_drops": []}),
            "row 0 of `Feed` is dropped as late and must not be",
        ),
        (
            json!({"query": plain, "inputs": feed(json!([{"k": 1, "at": one, "@arrival": ten}])),
                   "settings": {"policy": "drop"}, "expected": rows(json!([]))}),
            "passed",
        ),
        (
            json!({"expected_drops": [{"stream": "Feed", "row": 2, "reason": "early"}]}),
            "row 2 of `Feed` must be dropped as early",
        ),
        (
            json!({"query": plain, "inputs": feed(json!([{"k": 1, "at": ten}, {"k": 2, "at": one, "@arrival": ten}])),
                   "settings": {"out_of_order_tolerance": "00:00:08", "late_arrival_tolerance": "0.00:01:00"},
                   "expected": rows(json!([{"k": 2, "t": "2024-03-05T00:00:02"}, {"k": 1, "t": ten}]))}),
            "passed",
        ),
        (
            json!({"query": plain, "inputs": feed(json!([{"@raw": "{nothing", "@arrival": one}])),
                   "expected": rows(json!([])), "expected_drops": [{"stream": "Feed", "row": 0, "reason": "deserialization"}]}),
            "passed",
        ),
        (
            json!({"query": "SELECT PartitionId AS p FROM Feed PARTITION BY PartitionId", "settings": {"partitions": {"Feed": 3}},
                   "inputs": feed(json!([{"@partition": 2, "@arrival": one}])), "expected": rows(json!([{"p": 2}]))}),
            "passed",
        ),
        // Values: as written, and by the compatibility level.
        (
            json!({"query": "SELECT GetType(k) AS k FROM Feed", "inputs": feed(json!([{"k": true}])),
                   "settings": {"compatibility_level": "1.2"}, "expected": rows(json!([{"k": "bit"}]))}),
            "passed",
        ),
        (
            json!({"query": "SELECT GetType(k) AS k FROM Feed", "inputs": feed(json!([{"k": true}])),
                   "settings": {"compatibility_level": "1.1"}, "expected": rows(json!([{"k": "bigint"}]))}),
            "passed",
        ),
        (
            json!({"query": "SELECT k FROM Feed", "inputs": feed(json!([{"k": one}])),
                   "expected": rows(json!([{"k": "2024-03-05T00:00:01.0000000Z"}]))}),
            "passed",
        ),
        (
            json!({"query": "SELECT k FROM Feed", "inputs": feed(json!([{"k": 9007199254740993i64}])),
                   "expected": rows(json!([{"k": 9007199254740992i64}]))}),
            "≠  k  9007199254740992  9007199254740993",
        ),
        (
            json!({"query": "SELECT k FROM Feed", "inputs": feed(json!([{"k": {"a": [1, {"b": 2.5}]}}])),
                   "expected": rows(json!([{"k": {"a": [1, {"b": 2.6}]}}]))}),
            "≠  k",
        ),
        (
            json!({"query": "SELECT f.k, r.name FROM Feed f JOIN Names r ON f.k = r.k",
                   "inputs": feed(json!([{"k": 1}])), "reference_inputs": {"Names": [{"k": 1, "name": "one"}]},
                   "expected": rows(json!([{"k": 1, "name": "one"}]))}),
            "passed",
        ),
    ];
    for (changes, words) in cases {
        let said = said(&with(changes));
        assert!(if *words == "passed" { said == *words } else { said.contains(words) }, "{changes}\n{said}");
        assert!(said.lines().all(|line| line.chars().count() <= 100), "wider than the screen:\n{said}");
    }
}

/// Numbers that are close to several rows are given to each other so that all find one.
#[test]
fn rows_of_one_timestamp_find_the_partners_there_are() {
    let at = "2024-03-05T00:00:01Z";
    let inputs = json!({"Feed": [{"v": 1.0, "at": at}, {"v": 1.4, "at": at}, {"v": 5, "at": at}]});
    let query = "SELECT v FROM Feed TIMESTAMP BY at";
    let case = |expected: Json| {
        with(&json!({"query": query, "inputs": inputs, "tolerance": 0.5, "expected": {"output": expected}}))
    };
    assert_eq!(said(&case(json!([{"v": 5}, {"v": 1.4}, {"v": 0.6}]))), "passed");
    assert_eq!(said(&case(json!([{"v": 1.2}, {"v": 0.6}, {"v": 5}]))), "passed");
    assert!(said(&case(json!([{"v": 0.6}, {"v": 0.6}, {"v": 5}]))).contains("≠  v"));
}

#[test]
fn many_rows_in_any_order_are_compared_in_bounded_time() {
    let row = |i: u32| json!({"v": i, "w": format!("w{}", i % 7)});
    let case = |first: u32| {
        let expected: Vec<Json> = (first..first + 3_000).rev().map(row).collect();
        let events: Vec<Json> = (0..3_000).map(row).collect();
        with(&json!({"query": "SELECT v, w FROM Feed", "unordered": true,
                     "inputs": {"Feed": events}, "expected": {"output": expected}}))
    };
    assert_eq!(said(&case(0)), "passed");
    let said = said(&case(7_000));
    assert!(said.contains("… and 2,995 differences"), "{said}");
}

#[test]
fn a_failure_shows_expected_beside_actual() {
    let case = with(&json!({"expected": {"output": [{"k": "a", "n": 3}, {"k": "b", "n": 1}]}}));
    assert_eq!(
        said(&case),
        "  model and engine agree with each other, and not with the test\n    \
         `output`: row 1 (case.json:25) is another, stamped 2024-03-05T00:00:10.0000000Z\n            \
         expected  actual\n         k  \"a\"       \"a\"\n      ≠  n  3         2\n"
    );
}

/// What cannot happen as long as model and engine agree.
#[test]
fn a_bug_of_the_program_is_called_one() {
    let finding = |ways: Vec<Way>, words: &str| Finding {
        ways,
        differences: vec![Difference::Fault(words.to_owned())],
    };
    let rows = |ways: Vec<Way>| Finding { ways, differences: vec![Difference::DoesNotFail] };
    let text =
        |findings: Vec<Finding>| show::failure(&Verdict::Differs { findings, alike: false }).unwrap().1;
    let said = text(vec![finding(vec![Way::Cut(vec![1, 2])], "index out of range")]);
    assert!(
        said.contains("bug of rewindow, which stopped") && said.contains("engine in batches of 1, 2"),
        "{said}"
    );
    let said = text(vec![rows(vec![Way::Model])]);
    assert!(said.contains("model and engine differ") && said.contains("\n  model:\n"), "{said}");
    let said = text(vec![rows(vec![Way::Whole, Way::Saved(3), Way::Started])]);
    assert!(
        said.contains("the engine's are not") && said.contains("after 3 entries; engine started"),
        "{said}"
    );
}

/// Each mistake is told with its code and its line, and with words that name it.
#[test]
fn what_is_wrong_with_a_case_is_said_with_its_place() {
    let changed: &[(Json, &str, &str)] = &[
        (json!({"query": null}), "test-missing", "lacks `query`"),
        (json!({"expected": null}), "test-missing", "lacks `expected`"),
        (json!({"query": 7}), "test-value", "query must be text; it is a number"),
        (json!({"name": ["a"]}), "test-value", "name must be text; it is a list"),
        (json!({"inputs": []}), "test-value", "inputs must be an object; it is a list"),
        (json!({"inputs": {"Feed": {"k": 1}}}), "test-value", "inputs.Feed must be a list"),
        (json!({"inputs": {"Feed": [7]}}), "test-value", "an event must be an object"),
        (json!({"inputs": {"Feed": [], "feed": []}}), "test-member", "two inputs are named `feed`"),
        (json!({"inputs": {"Feed": [{"@arrival": "noon"}]}}), "test-value", "@arrival must be an instant"),
        (json!({"inputs": {"Feed": [{"@arrival": 7}]}}), "test-value", "@arrival must be text"),
        (
            json!({"inputs": {"Feed": [{"@partition": -1}]}}),
            "test-value",
            "@partition must be a whole number",
        ),
        (json!({"inputs": {"Feed": [{"@partition": 99_999}]}}), "test-value", "numbered 0 to 1023"),
        (json!({"inputs": {"Feed": [{"@raw": {}}]}}), "test-value", "@raw must be text"),
        (json!({"inputs": {"Feed": [{"@arival": 1}]}}), "test-member", "no member `@arival`"),
        (json!({"reference_inputs": {"R": [[1]]}}), "test-value", "must be a JSON object"),
        (json!({"settings": {"polcy": "drop"}}), "test-member", "no setting `polcy`"),
        (json!({"settings": {"policy": "keep"}}), "test-value", "`adjust` or `drop`"),
        (json!({"settings": {"late_arrival_tolerance": "21.00:00:00"}}), "test-value", "up to 20 days"),
        (json!({"settings": {"out_of_order_tolerance": "-00:00:01"}}), "test-value", "up to 20 days"),
        (json!({"settings": {"out_of_order_tolerance": 5}}), "test-value", "must be text"),
        (json!({"settings": {"compatibility_level": "2.0"}}), "test-value", "1.0, 1.1, 1.2"),
        (json!({"settings": {"partitions": {"Fed": 2}}}), "test-member", "no input named `Fed`"),
        (json!({"settings": {"partitions": {"Feed": 0}}}), "test-value", "1 to 1024 partitions"),
        (
            json!({"inputs": {"Feed": [{"@partition": 2}]}, "settings": {"partitions": {"Feed": 2}}}),
            "test-value",
            "in partition 2",
        ),
        (json!({"settings": {"start": {"mode": "custom"}}}), "test-missing", "lacks `time`"),
        (
            json!({"settings": {"start": {"mode": "soon", "time": "2024-01-01"}}}),
            "test-value",
            "start mode `soon`",
        ),
        (json!({"settings": {"start": {"at": "2024-01-01"}}}), "test-member", "no member `at`"),
        (json!({"expected": {"output": {}}}), "test-value", "expected.output must be a list"),
        (json!({"expected": {"output": [1]}}), "test-value", "expected row must be an object"),
        (json!({"expected_error": {"about": "x"}}), "test-missing", "lacks `phase`"),
        (json!({"expected_error": {"phase": "later"}}), "test-value", "`compile` or `runtime`"),
        (json!({"expected_error": {"phase": "compile", "code": "no-such"}}), "test-value", "`no-such`"),
        (json!({"expected_error": {"phase": "compile", "why": ""}}), "test-member", "no member `why`"),
        (
            json!({"expected_drops": [{"stream": "Feed", "row": 0, "reason": "lost"}]}),
            "test-value",
            "reason `lost`",
        ),
        (
            json!({"expected_drops": [{"stream": "Feed", "row": 3, "reason": "late"}]}),
            "test-value",
            "no row 3",
        ),
        (json!({"expected_drops": [{"stream": "Feed", "reason": "late"}]}), "test-missing", "lacks `row`"),
        (json!({"compare_until": "soon"}), "test-value", "compare_until must be an instant"),
        (json!({"tolerance": -1}), "test-value", "must not be negative"),
        (json!({"tolerance": "1"}), "test-value", "tolerance must be a number"),
        (json!({"unordered": "yes"}), "test-value", "unordered must be true or false"),
        (json!({"expcted": {}}), "test-member", "no member `expcted`"),
    ];
    let mut texts: Vec<(String, &str, &str)> = changed
        .iter()
        .map(|(changes, code, words)| (serde_json::to_string_pretty(&with(changes)).unwrap(), *code, *words))
        .collect();
    let deep = format!(
        "{{\"query\": \"SELECT\", \"expected\": {{\"output\": [{{\"a\": {}1{}}}]}}}}",
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    texts.extend([
        ("{\"query\": \"SELECT 1\"".to_owned(), "test-syntax", "EOF"),
        ("{\"query\": \"SELECT 1\", \"expected\": {},}".to_owned(), "test-syntax", "key must be a string"),
        ("{\"query\": \"a\", \"query\": \"b\"}".to_owned(), "test-member", "has `query` twice"),
        ("{\"a\\\"\\\\\": 1}".to_owned(), "test-member", "no member `a\"\\`"),
        ("{\"query\": \"a\", \"expected\": {}} more".to_owned(), "test-syntax", "trailing characters"),
        (
            "{\"query\": \"a\", \"expected\": {\"o\": [{\"x\": 1e999}]}}".to_owned(),
            "test-syntax",
            "out of range",
        ),
        (deep, "test-syntax", "recursion limit"),
    ]);
    for (text, code, words) in &texts {
        let start: String = text.chars().take(2_000).collect();
        let problem = case::read(Path::new("case.json"), text).expect_err(&start);
        let said = problem.render(false);
        assert_eq!(problem.code, *code, "{said}");
        assert!(said.replace('\n', " ").contains(words), "{words}\n{said}");
        assert!(said.contains("╭─[case.json:"), "without its place:\n{said}");
        assert!(said.lines().all(|line| line.chars().count() <= 100), "wider than the screen:\n{said}");
    }
}
