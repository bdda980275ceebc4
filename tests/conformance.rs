//! The worked examples of `tests/conformance` and `tests/conformance-own`, through the model and through the
//! engine: whole, cut anywhere, and over a checkpoint at every place.
//!
//! What no other suite would catch: a rule that model and engine read alike, and wrongly. The expected rows are
//! the reference's own, or worked out by hand from its rules. `rewindow test tests/conformance` runs the same files through the same reader and judge,
//! with fewer places to save.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::path::PathBuf;

use rewindow::unit::find::find;
use rewindow::unit::play::Effort;
use rewindow::unit::{Drop, Expected, Test, Verdict, judge, show};
use rewindow_query::Reason;
use serde_json::{Map, Value as Json};

/// Cut six times anew, and saved after every entry.
const EFFORT: Effort = Effort { seed: 0, cuts: 6, saves: usize::MAX };

/// The reference's own cases.
fn tests() -> Vec<Test> {
    tests_in("tests/conformance", 106)
}

fn tests_in(folder: &str, least: usize) -> Vec<Test> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(folder);
    let found = find(&[folder]).unwrap();
    assert_eq!((found.problems, found.passed_over), (vec![], vec![]), "every file is a case");
    assert!(found.tests.len() >= least, "cases are never deleted");
    found.tests
}

fn holds(test: &Test) -> bool {
    judge(test, EFFORT) == Verdict::Passed
}

#[test]
fn worked_examples_come_out_as_published() {
    all_hold(&tests());
}

/// Worked out by hand from the rules and from the pages' examples.
#[test]
fn cases_of_our_own_come_out_as_worked_out() {
    all_hold(&tests_in("tests/conformance-own", 296));
}

fn all_hold(tests: &[Test]) {
    let failure = |test: &Test| Some(format!("{}\n{}", test.name, show::failure(&judge(test, EFFORT))?.1));
    let wrong: Vec<String> = tests.iter().filter_map(failure).collect();
    assert!(wrong.is_empty(), "{} of {} do not hold:\n{}", wrong.len(), tests.len(), wrong.join("\n"));
    let named = |test: &Test| test.file.file_stem().unwrap().to_string_lossy() == test.name;
    assert!(tests.iter().all(named), "a case is named as its file");
}

/// Rows of the first output of a case that expects any.
fn rows_of(test: &mut Test) -> Option<&mut Vec<rewindow::unit::ExpectedRow>> {
    match &mut test.expected {
        Expected::Rows(outputs) => outputs.iter_mut().map(|o| &mut o.rows).find(|rows| !rows.is_empty()),
        _ => None,
    }
}

/// The comparison itself: with a row left out, doubled or changed in any column, no case holds.
#[test]
fn a_row_otherwise_than_published_is_seen() {
    let mut spoiled = 0;
    for test in tests() {
        let mut spoil = |what: &str, change: &dyn Fn(&mut Vec<rewindow::unit::ExpectedRow>)| {
            let mut other = test.clone();
            let Some(rows) = rows_of(&mut other) else { return };
            change(rows);
            assert!(!holds(&other), "{}: {what}", test.name);
            spoiled += 1;
        };
        spoil("left out", &|rows| drop(rows.pop()));
        spoil("doubled", &|rows| rows.push(rows[rows.len() - 1].clone()));
        spoil("one more column", &|rows| drop(rows[0].columns.insert("new".to_owned(), Json::from(1))));
        spoil("another value", &|rows| {
            let (_, value) = rows[0].columns.iter_mut().next_back().unwrap();
            *value = Json::from("no such value");
        });
        spoil("no column", &|rows| rows[0].columns = Map::new());
    }
    assert!(spoiled > 400, "{spoiled} cases were spoiled");
}

#[test]
fn an_order_otherwise_than_published_is_seen() {
    let mut spoiled = 0;
    for test in tests().into_iter().filter(|test| !test.unordered) {
        let mut other = test.clone();
        let Some(rows) = rows_of(&mut other).filter(|rows| rows.len() > 1) else { continue };
        rows.rotate_left(1);
        // Rows of one timestamp may stand in any order; such cases hold all the same.
        spoiled += usize::from(!holds(&other));
    }
    assert!(spoiled > 40, "{spoiled} cases were spoiled");
}

#[test]
fn drops_refusals_and_failures_otherwise_than_published_are_seen() {
    let (mut drops, mut refused) = (0, 0);
    for mut test in tests() {
        match &test.expected {
            Expected::Rows(rows) => {
                let rows = rows.clone();
                for expected in [Expected::Refused(None), Expected::Fails(rows)] {
                    let spoiled = Test { expected, ..test.clone() };
                    assert!(!holds(&spoiled), "{} neither is refused nor fails", test.name);
                }
            }
            Expected::Refused(_) => {
                refused += 1;
                let spoiled = Test { expected: Expected::Rows(Vec::new()), ..test.clone() };
                assert!(matches!(judge(&spoiled, EFFORT), Verdict::Refused(_)), "{} is refused", test.name);
                let spoiled = Test { expected: Expected::Refused(Some("syntax".to_owned())), ..test.clone() };
                assert!(!holds(&spoiled), "{} is not refused as syntax", test.name);
                continue;
            }
            Expected::Fails(_) => continue,
        }
        let Some(stream) = test.inputs.iter().find(|stream| !stream.events.is_empty()) else { continue };
        let lost = Drop { stream: stream.name.clone(), row: 0, reason: Reason::Late };
        match test.drops.get_or_insert_default() {
            expected if expected.is_empty() => expected.push(lost),
            expected => drop(expected.pop()),
        }
        assert!(!holds(&test), "{} drops something else", test.name);
        drops += 1;
    }
    assert!(drops > 90 && refused >= 7, "{drops} and {refused} cases were spoiled");
}
