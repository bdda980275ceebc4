//! A report says what happened and gives its case back.

use super::*;
use crate::judge::{Truth, Verdict};
use crate::shrink::Shrunk;
use crate::toy::{self, Toy, Wrong};
use crate::trial::{shrink_trial, trial};
use rewindow_query::{Outcome, Span, Timestamp};
use rewindow_world::engine_subject::EngineSubject;

struct Written {
    shrunk: Shrunk,
    markdown: String,
    json: String,
}

fn written(wrong: Wrong) -> Written {
    let mut case = toy::case(120);
    case.faults.truncate(2);
    let truth = Truth::of(&case).unwrap();
    let (_, verdict) = trial(&truth, &case, &Toy::new(&truth.plan, &case, wrong), false);
    let Verdict::Broken(breach) = verdict else { panic!("{verdict:?}") };
    let make = move |plan: &_, case: &_| -> Box<dyn rewindow_world::subject::Subject> {
        Box::new(Toy::new(plan, case, wrong))
    };
    let shrunk = shrink_trial(&truth, &case, &breach, &make, 10_000);
    let truth = Truth::of(&shrunk.case).unwrap();
    let toy = Toy::new(&truth.plan, &shrunk.case, wrong);
    let (run, _) = trial(&truth, &shrunk.case, &toy, true);
    let state = first_difference(&truth, &shrunk.case, &shrunk.breach, &toy);
    let origin = Origin { driver: "random search".to_owned(), seed: Some(0x8f21_c0de), case: Some(61) };
    let finding = Finding {
        case: &shrunk.case,
        truth: &truth,
        run: &run,
        breach: &shrunk.breach,
        origin: &origin,
        shrinking: Some((&shrunk).into()),
        state: state.as_ref(),
        replay: "rewindow replay report.md",
    };
    let (markdown, json) = (markdown(&finding), json(&finding));
    Written { shrunk, markdown, json }
}

#[test]
fn a_report_gives_its_case_back() {
    let Written { shrunk, markdown, .. } = written(Wrong::CountsTwice);
    assert_eq!(read(&markdown).as_ref(), Ok(&shrunk.case), "{markdown}");
    assert_eq!(read(&markdown.replace('\n', "\r\n")).as_ref(), Ok(&shrunk.case), "line ends do not matter");
    let quoted = format!("Somebody wrote:\n\n{markdown}\n\nand it is true.\n");
    assert_eq!(read(&quoted).as_ref(), Ok(&shrunk.case));
    assert_eq!(read(&shrunk.case.to_toml()), Ok(shrunk.case), "a bare case file is read too");
}

#[test]
fn a_report_says_what_happened() {
    let Written { markdown, json, .. } = written(Wrong::CountsTwice);
    let block = markdown.find("```toml").unwrap();
    assert!(markdown[..block].lines().count() <= 60);
    for part in [
        "# `counts` counts an entry twice after a node kill",
        "c 2",
        "the uninterrupted run says",
        "**node kill, node 0",
        "**restores** what it saved",
        "First difference in state, right after the restore: `toy/0/0` is `0 0 `, should be `0 `.",
        "Strongest level that held: none. Minimal: no event and no fault can be left out",
        "found by random search, seed 0x8f21c0de, case 61 · rewindow",
        "fingerprint tumbling-counted-twice-",
    ] {
        assert!(markdown.contains(part), "`{part}` is missing:\n{markdown}");
    }
    assert_eq!(markdown.lines().last(), Some("rewindow replay report.md"));
    assert_eq!(written(Wrong::CountsTwice).markdown, markdown, "same finding, same bytes");
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&value["kind"], &value["version"]), (&"counted-twice".into(), &1.into()));
}

#[test]
fn other_bugs_have_other_fingerprints() {
    let of = |wrong| {
        let Written { shrunk, .. } = written(wrong);
        crate::fingerprint::fingerprint(&shrunk.breach, &shrunk.case)
    };
    let (twice, forgets) = (of(Wrong::CountsTwice), of(Wrong::Forgets));
    assert_ne!(twice, forgets);
    assert!(
        forgets.starts_with("tumbling-lost-") || forgets.starts_with("tumbling-counted-too-little-"),
        "{forgets}"
    );
}

#[test]
fn what_is_no_report_is_refused_by_name() {
    let code = |text: &str| read(text).map(|_| ()).map_err(|error| error.code());
    assert_eq!(code(""), Err("not-a-report"));
    assert_eq!(code("# a title\n\nand no case\n"), Err("not-a-report"));
    assert_eq!(read("# a title\n\n````toml\nformat = 1\n```\n"), Err(ReadError::Cut(3)), "never closed");
    assert_eq!(code("```toml\nformat = 1\n"), Err("report-cut"));
    let in_a_text = "format = 1\nquery = \"\"\"\n```toml\n\"\"\"\n";
    assert_eq!(code(in_a_text), Err("unreadable-case"), "a bare file has no fences");
    assert_eq!(code("```toml\nformat = 1\n```\n"), Err("unreadable-case"));
    assert_eq!(code("format = 99\n"), Err("unreadable-case"));
    let ReadError::UnreadableCase(error) = read("a\nb\n```toml\nformat = 99\n```\n").unwrap_err() else {
        panic!("another error")
    };
    assert_eq!(error.place, Some((4, 1)), "lines count from the beginning of the report");
}

/// A run that held, with a replay, a kill and a restart.
fn recovered() -> (Truth, Case, rewindow_world::outcome::Run) {
    let mut case = toy::case(1_200);
    case.deployment.rate = 2;
    let truth = Truth::of(&case).unwrap();
    let (run, verdict) = trial(&truth, &case, &Toy::new(&truth.plan, &case, Wrong::Never), false);
    assert!(verdict.breach().is_none(), "{verdict:?}");
    (truth, case, run)
}

#[test]
fn every_recovery_is_reported_in_words() {
    let (truth, case, run) = recovered();
    insta::assert_snapshot!(recoveries_text(&truth, &case, &run));
}

#[test]
fn every_recovery_is_reported_to_machines() {
    let (truth, case, run) = recovered();
    insta::assert_json_snapshot!(recoveries(&truth, &case, &run));
}

#[test]
fn a_gap_and_a_forgotten_log_are_in_the_report() {
    use rewindow_query::{Gap, Retained};
    let (truth, case, mut run) = recovered();
    run.recoveries.truncate(1);
    let report = &mut run.recoveries[0];
    report.retained.insert((0, 0), Retained { first: 7, next: 9, lost_until: Some(toy::at(100)) });
    report.answer.gaps = vec![Gap { from: toy::at(100), until: toy::at(500) }];
    report.actual = None;
    insta::assert_snapshot!(recoveries_text(&truth, &case, &run));
}

/// A committed story, with the recoveries it comes to.
fn story(name: &str) -> (String, serde_json::Value) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/stories");
    let case = Case::from_toml(&std::fs::read_to_string(folder.join(name)).unwrap()).unwrap();
    told(&case)
}

fn told(case: &Case) -> (String, serde_json::Value) {
    let truth = Truth::of(case).unwrap();
    let subject = EngineSubject::of_case(&truth.plan, case);
    let (run, verdict) = trial(&truth, case, &subject, false);
    assert!(verdict.breach().is_none(), "{verdict:?}");
    (recoveries_text(&truth, case, &run), serde_json::to_value(recoveries(&truth, case, &run)).unwrap())
}

#[test]
fn recoveries_of_a_job_in_stages_name_the_task() {
    let (text, json) = story("packet-delayed-across-a-restart.toml");
    let heads: Vec<&str> = text.lines().filter(|line| line.contains("opened again")).collect();
    let mut apart = heads.clone();
    apart.iter_mut().for_each(|head| *head = &head[5..]);
    apart.sort_unstable();
    apart.dedup();
    assert!(heads.len() > 1 && apart.len() == heads.len(), "{text}");
    assert!(text.contains("(shard 0, keyed task 1) opened again on node"), "{text}");
    let of =
        |field: &str| json.as_array().unwrap().iter().map(|told| told[field].clone()).collect::<Vec<_>>();
    assert!(of("role").contains(&serde_json::json!({ "keyed": 1 })), "{json}");
    assert!(of("task").iter().all(serde_json::Value::is_u64), "{json}");
    assert!(of("version").iter().all(|version| *version == 0), "{json}");
    assert!(of("slowness").iter().all(|times| *times == 1), "{json}");
    assert!(of("stood_ticks").iter().all(|stood| *stood == 0), "{json}");

    let (_, json) = story("node-restart-asks-upstream-again.toml");
    assert!(json.as_array().unwrap().iter().all(|told| told["role"] != "whole"), "{json}");
}

/// A node that is twice slower; and one that stands still and is not replaced.
#[test]
fn why_a_catch_up_took_longer_than_estimated_is_told() {
    let (truth, case, mut run) = recovered();
    run.recoveries.truncate(1);
    let report = &mut run.recoveries[0];
    (report.actual, report.estimated) = (Some(Span::seconds(126)), Span::seconds(7));
    let level = |run: &Run| {
        let text = recoveries_text(&truth, &case, run);
        text.lines().find_map(|line| line.trim().strip_prefix("level")).unwrap().trim().to_owned()
    };
    run.recoveries[0].slowness = 2;
    assert_eq!(level(&run), "after 2 min 6 s, estimated 7 s, the node was slow");
    run.recoveries[0].stood = Span::seconds(3);
    assert_eq!(level(&run), "after 2 min 6 s, estimated 7 s, the node was slow and stood still for 3 s");
    run.recoveries[0].slowness = 1;
    assert_eq!(level(&run), "after 2 min 6 s, estimated 7 s, the node stood still for 3 s");
    let json = serde_json::to_value(recoveries(&truth, &case, &run)).unwrap();
    assert_eq!((&json[0]["slowness"], &json[0]["stood_ticks"]), (&1.into(), &30_000_000.into()));
}

#[test]
fn times_outside_the_calendar_are_told_by_how_far_they_lie_outside() {
    let (truth, case, mut run) = recovered();
    run.recoveries.truncate(1);
    let report = &mut run.recoveries[0];
    // Stopped at the end of the calendar, and started afterwards.
    let last = Timestamp::parse("9999-12-31T23:59:59.9999999Z").unwrap();
    report.at = last.plus(Span::TICK).plus(Span::minutes(2));
    report.output_from = report.at;
    report.answer.outcome = Outcome::Replayed { from: report.at.minus(Span::minutes(5)) };
    let (text, json) = (recoveries_text(&truth, &case, &run), recoveries(&truth, &case, &run));
    assert!(text.starts_with("  1  2 min past the year 9999  upgrade, replay:"), "{text}");
    assert!(text.contains("rows from 2 min past the year 9999 on, which look back 10 s"), "{text}");
    assert!(text.contains("that came since 9999-12-31T23:57:00Z, 5 min before"), "{text}");
    assert!(json[0].output_from.is_some(), "null would be all rows");
    // A start that lies ahead.
    let report = &mut run.recoveries[0];
    (report.at, report.output_from) = (toy::at(0), toy::at(600));
    report.answer.outcome = Outcome::Replayed { from: toy::at(300) };
    let (text, json) = (recoveries_text(&truth, &case, &run), recoveries(&truth, &case, &run));
    assert!(text.contains("entries that come from 2024-01-01T00:05:00Z on, 5 min ahead"), "{text}");
    assert_eq!(json[0].span_ticks, None);
}

#[test]
fn what_the_source_kept_is_not_told_as_more_than_it_kept() {
    // It keeps five minutes of entries that come every minute, and is looked at at 0:11:30.
    let (text, json) = story("stateless-query-replays-nothing.toml");
    assert!(!text.contains("in the last 5 min 30 s"), "{text}");
    let told = "forgotten   by the source, entries up to that of 2024-01-01T00:06:00Z, 5 min 30 s before";
    assert!(text.contains(told), "{text}");
    assert_eq!(json[0]["lost_until"], "2024-01-01T00:06:00.0000000Z", "{json}");
    assert_eq!(json[0]["kept_ticks"], 3_300_000_000_i64, "{json}");
}
