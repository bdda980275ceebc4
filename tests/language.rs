//! What a job says of its query beyond the text: compatibility level, DATEDIFF mode, functions in JavaScript.
//!
//! What no other suite would catch: a switch that is read and then forgotten on the way to plan, model, engine,
//! world or report. Each is seen in rows, in a campaign, and in a case that is written down and read back.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rewindow_query::functions::Script;
use rewindow_query::{Level, Row};
use rewindow_world::case::Case;
use rewindow_world::language::{Datediff, Language};
use support::{holds_in_the_world, truth};

/// Two streams, a kill, and rows that hang on the level and on what DATEDIFF counts.
const CASE: &str = r#"format = 1
name = "levels"
query = '''
SELECT l.Up AS up, l.at AS at, r.n AS n INTO o FROM a l TIMESTAMP BY t JOIN b r TIMESTAMP BY t
ON DATEDIFF(minute, l, r) BETWEEN 0 AND 0'''
inputs = [
  { name = "a", partitions = 1 },
  { name = "b", partitions = 1 },
]
ordering = { late = "00:00:05", out_of_order = "00:00:00", policy = "adjust" }
deployment.nodes = 1
deployment.checkpoint_interval = "00:00:10"
deployment.poll_interval = "00:00:01"
deployment.batch = 10
deployment.rate = 100
deployment.heartbeat = "00:01:00"
faults = [
  { at = "2024-01-01T00:00:55.0000000Z", kind = "node-kill", node = 0, down = "00:00:01" },
]
events = [
  { in = "a", p = 0, at = "2024-01-01T00:00:50Z", data = '{"t":"2024-01-01T00:00:50Z","Up":true,"at":"2024-01-01"}' },
  { in = "b", p = 0, at = "2024-01-01T00:00:50Z", data = '{"t":"2024-01-01T00:00:50Z","n":1}' },
  { in = "b", p = 0, at = "2024-01-01T00:00:58Z", data = '{"t":"2024-01-01T00:00:58Z","n":2}' },
]
"#;

fn case(level: Level, datediff: Datediff) -> Case {
    let language = Language { level, datediff, scripts: Vec::new() };
    Case { language, ..Case::from_toml(CASE).unwrap() }
}

fn rows(case: &Case) -> Vec<String> {
    let text = case.to_toml();
    assert_eq!(Case::from_toml(&text).as_ref(), Ok(case), "{text}");
    assert_eq!(holds_in_the_world(case), None, "model and engine read it alike, through a kill");
    truth(case).answer.rows.iter().map(|row: &Row| row.record.to_string()).collect()
}

#[test]
fn the_level_decides_how_events_are_read() {
    let first = |level| rows(&case(level, Datediff::Boundaries))[0].clone();
    assert_eq!(first(Level::V1_2), r#"{"up":true,"at":"2024-01-01","n":1}"#);
    assert_eq!(first(Level::V1_1), r#"{"up":1,"at":"2024-01-01","n":1}"#);
    assert_eq!(first(Level::V1_0), r#"{"up":1,"at":"2024-01-01T00:00:00.0000000Z","n":1}"#);
}

#[test]
fn datediff_counts_boundaries_or_time() {
    let count = |datediff| rows(&case(Level::V1_2, datediff)).len();
    assert_eq!((count(Datediff::Boundaries), count(Datediff::Elapsed)), (2, 1));
}

// ---- a job ------------------------------------------------------------------------------------------

const JOB: &str = r#"query = "job.asaql"
compatibility = "1.1"
datediff = "elapsed"

[functions]
udf.half = "half.js"

[[inputs]]
name = "feed"
paths = ["feed.jsonl"]
arrival = "at"
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
cases = 30
"#;

fn job(name: &str, query: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("language-{name}"));
    std::fs::create_dir_all(&folder).unwrap();
    let write = |file: &str, text: &str| std::fs::write(folder.join(file), text).unwrap();
    write("job.toml", JOB);
    write("job.asaql", query);
    write("half.js", "function main(x) { return x / 2; }");
    let line = |i: u32| {
        format!("{{\"n\":{i},\"yes\":true,\"at\":\"2024-01-01T00:{:02}:{:02}Z\"}}\n", i / 6, i % 6 * 10)
    };
    write("feed.jsonl", &(0..30).map(line).collect::<String>());
    folder.join("job.toml")
}

fn rewindow(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rewindow")).args(arguments).output().unwrap()
}

#[test]
fn a_job_says_its_level() {
    let job = job("level", "SELECT yes INTO o FROM feed WHERE n = 1");
    let run = rewindow(&["run", job.to_str().unwrap()]);
    if cfg!(feature = "javascript") {
        assert_eq!(String::from_utf8(run.stdout).unwrap(), "{\"yes\":1}\n");
    } else {
        let said = String::from_utf8(run.stderr).unwrap();
        assert_eq!(run.status.code(), Some(4), "{said}");
        assert!(said.contains("script-feature") && said.contains("--features javascript"), "{said}");
    }
}

#[cfg(feature = "javascript")]
#[test]
fn a_job_with_a_function_in_javascript_runs_is_checked_and_says_what_is_wrong_with_it() {
    let path =
        job("javascript", "SELECT udf.half(SUM(n)) AS half INTO o FROM feed GROUP BY Tumbling(minute, 1)");
    let job = path.to_str().unwrap();
    let run = rewindow(&["run", job]);
    assert!(String::from_utf8(run.stdout).unwrap().starts_with("{\"half\":0}\n{\"half\":10.5}\n"));
    let check = rewindow(&["check", job]);
    let said = String::from_utf8(check.stdout).unwrap();
    assert!(
        said.contains("30 schedules held, none broke."),
        "{said}{}",
        String::from_utf8_lossy(&check.stderr)
    );
    std::fs::write(path.with_file_name("half.js"), "function other() {}").unwrap();
    let broken = rewindow(&["run", job]);
    let said = String::from_utf8(broken.stderr).unwrap();
    assert!(
        broken.status.code() == Some(4) && said.contains("script-invalid") && said.contains("udf.half"),
        "{said}"
    );
    std::fs::remove_file(path.with_file_name("half.js")).unwrap();
    let gone = rewindow(&["run", job]);
    assert!(String::from_utf8(gone.stderr).unwrap().contains("function-unreadable"));
}

/// A case with a script goes into a report and comes back.
#[test]
fn scripts_are_part_of_a_case() {
    let mut case = case(Level::V1_2, Datediff::Boundaries);
    let source = "function main(x) {\n  return x + '\\n'; // \"both\"\n}\n";
    case.language.scripts.push(Script { name: "udf.half".to_owned(), source: source.into() });
    assert_eq!(Case::from_toml(&case.to_toml()), Ok(case));
}
