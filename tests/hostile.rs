//! Files and arguments by somebody who means harm, or was in a hurry, to the command.
//!
//! What no other suite would catch: a mistake in a job that is blamed on the system under test, and numbers at
//! the end of their range that keep the command busy for ever.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::path::{Path, PathBuf};
use std::process::Command;

const QUERY: &str =
    "SELECT k, COUNT(*) AS n FROM feed TIMESTAMP BY t GROUP BY k, TumblingWindow(minute, 1)\n";

const JOB: &str = r#"query = "job.asaql"
[[inputs]]
name = "feed"
paths = ["feed.jsonl"]
arrival = "t"
partitions = 1
[ordering]
late = "5 s"
out_of_order = "0 s"
policy = "adjust"
[deployment]
nodes = 1
checkpoint_interval = "1 min"
poll_interval = "1 s"
batch = 10
rate = 100
heartbeat = "5 min"
[vary]
cases = 20
"#;

fn event(time: &str) -> String {
    format!("{{\"k\":1,\"t\":\"{time}\"}}\n")
}

fn folder(name: &str, job: &str, query: &str, feed: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("hostile-{name}"));
    std::fs::create_dir_all(&folder).unwrap();
    for (file, text) in [("job.toml", job), ("job.asaql", query), ("feed.jsonl", feed)] {
        std::fs::write(folder.join(file), text).unwrap();
    }
    folder
}

/// Exit, and all that was said.
fn said(folder: &Path, arguments: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rewindow"));
    let output = command.args(arguments).current_dir(folder).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

fn feed() -> String {
    (0..30).map(|minute| event(&format!("2024-01-01T00:{minute:02}:30Z"))).collect()
}

#[test]
fn more_heartbeats_than_a_log_can_hold_are_the_mistake_of_the_job() {
    let busy = JOB.replace("\"5 min\"", "\"1 tick\"");
    let ages = event("0001-01-01T00:00:00Z") + &event("9999-12-31T23:59:59Z");
    for (name, job, feed) in [("ticks", busy.as_str(), feed()), ("ages", JOB, ages)] {
        let (exit, text) = said(&folder(name, job, QUERY, &feed), &["check", "job.toml"]);
        assert!(exit == 4 && text.contains("error[case-heartbeat]") && text.contains("lengthen"), "{text}");
    }
}

#[test]
fn marks_and_line_ends_of_other_systems_mean_nothing() {
    let dress = |text: &str| format!("\u{feff}{}", text.replace('\n', "\r\n"));
    let plain = said(&folder("plain", JOB, QUERY, &feed()), &["run", "job.toml"]);
    let dressed = folder("dressed", &dress(JOB), &dress(QUERY), &dress(&feed()));
    assert_eq!(said(&dressed, &["run", "job.toml"]), plain);
    assert_eq!(plain.0, 0);
}

#[test]
fn an_event_in_over_a_million_windows_is_refused_before_it_is_counted() {
    let query = QUERY.replace("TumblingWindow(minute, 1)", "HoppingWindow(Duration(day, 1), Hop(ms, 1))");
    let (exit, text) = said(&folder("panes", JOB, &query, &feed()), &["check", "job.toml"]);
    assert!(exit == 4 && text.contains("error[limit-panes]") && text.contains("help: a hop of"), "{text}");
}

#[test]
fn a_rate_beyond_measure_is_no_rate() {
    let folder = folder("rate", JOB, QUERY, &feed());
    for rate in ["1e300", "inf", "NaN", "0"] {
        assert_eq!(said(&folder, &["plan", "job.toml", "--rate", rate]).0, 4, "{rate}");
    }
    assert_eq!(said(&folder, &["plan", "job.toml", "--rate", "1e12"]).0, 0);
}
