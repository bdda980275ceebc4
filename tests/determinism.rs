//! Claim 10, *deterministic*: same case, same run, byte for byte; in one process, in two, on any number of
//! threads.
//!
//! What no other suite would catch: an order that comes from memory addresses, hashes or threads. Two processes
//! differ in all of these, two runs in one process hardly do.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use rewindow::generate::small_case;
use rewindow::judge::Verdict;
use rewindow::trial::trial_twice;
use rewindow_world::{trace_hash, trace_text};
use support::{Reached, Search, engine, holds_in_the_world, run, truth};

#[test]
fn a_case_runs_the_same_twice() {
    let search = Search::new("determinism", 1_500);
    let mut reached = Reached::default();
    search.run(
        |number, choices| {
            let case = small_case(choices);
            let owed = truth(&case);
            let (first, verdict) = trial_twice(&owed, &case, engine(&owed.plan, &case).as_ref());
            if let Verdict::Broken(_) = verdict {
                search.ask(number, &case, &holds_in_the_world)?;
            }
            // A subject, plan and truth of their own: nothing is left over from the first.
            let again = truth(&case);
            let second = run(&again, &case, engine(&again.plan, &case).as_ref());
            if (trace_text(&first), trace_hash(&first)) != (trace_text(&second), trace_hash(&second)) {
                return Err(format!(
                    "two traces\n{}\n{}\n{}",
                    trace_text(&first),
                    trace_text(&second),
                    case.to_toml()
                ));
            }
            Ok((first.trace.len() as u64, first.recoveries.len() as u64))
        },
        |(steps, recoveries)| {
            reached.add("steps", steps);
            reached.add("recoveries", recoveries);
        },
    );
    search.require(&reached, &["steps", "recoveries"]);
}

/// What a process leaves behind: its exit, its standard output, and every file of its report folder.
#[derive(PartialEq, Debug)]
struct Left {
    exit: Option<i32>,
    stdout: String,
    files: BTreeMap<String, String>,
}

/// A job with joins, windows and looks back, over enough keys for an order to show.
fn fixture(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("determinism-{name}"));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let query = "WITH s AS (SELECT k, n, LAG(n, 1, 0) OVER (PARTITION BY k LIMIT DURATION(minute, 2)) AS p FROM feed TIMESTAMP BY t)\n\
        SELECT k, COUNT(*) AS c, SUM(p) AS s INTO sums FROM s GROUP BY k, SlidingWindow(second, 50);\n\
        SELECT l.k AS k, r.n AS n INTO pairs FROM feed l TIMESTAMP BY t LEFT JOIN feed r TIMESTAMP BY t\n\
        ON l.k = r.k AND DATEDIFF(second, l, r) BETWEEN 1 AND 40";
    std::fs::write(folder.join("job.asaql"), query).unwrap();
    let feed = (0..160).map(|i: u32| {
        let (minute, second) = (i * 7 / 60, i * 7 % 60);
        let time = format!("2024-01-01T00:{minute:02}:{second:02}");
        format!("{{\"k\":\"key {}\",\"n\":{},\"t\":\"{time}Z\",\"at\":\"{time}.5Z\"}}\n", i * i % 11, i % 5)
    });
    std::fs::write(folder.join("feed.jsonl"), feed.collect::<String>()).unwrap();
    let job = "query = \"job.asaql\"\n[[inputs]]\nname = \"feed\"\npaths = [\"feed.jsonl\"]\narrival = \"at\"\n\
        partitions = 3\npartition_by = \"k\"\n[ordering]\nlate = \"5 s\"\nout_of_order = \"2 s\"\npolicy = \"adjust\"\n\
        [deployment]\nnodes = 2\ncheckpoint_interval = \"1 min\"\npoll_interval = \"1 s\"\nbatch = 10\nrate = 100\n\
        heartbeat = \"5 min\"\n[vary]\ncases = 150\n";
    std::fs::write(folder.join("job.toml"), job).unwrap();
    folder
}

fn left(folder: &Path, arguments: &[&str]) -> Left {
    let report = folder.join("report");
    let _ = std::fs::remove_dir_all(&report);
    let mut command = Command::new(env!("CARGO_BIN_EXE_rewindow"));
    command.args(arguments).current_dir(folder).env("REWINDOW_REPORT_DIR", "report");
    for variable in
        ["REWINDOW_CASES", "REWINDOW_TIME", "REWINDOW_SEED", "REWINDOW_JOBS", "REWINDOW_DETERMINISM"]
    {
        command.env_remove(variable);
    }
    let said = command.output().unwrap();
    let mut files = BTreeMap::new();
    gather(&report, &mut files);
    Left { exit: said.status.code(), stdout: String::from_utf8(said.stdout).unwrap(), files }
}

fn gather(folder: &Path, files: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => gather(&path, files),
            false => {
                let text = std::fs::read_to_string(&path).unwrap();
                files.insert(path.display().to_string(), text);
            }
        }
    }
}

#[test]
fn two_processes_leave_the_same_behind() {
    let folder = fixture("held");
    let check = ["check", "job.toml", "--seed", "7", "--format", "json", "--jobs"];
    let jobs = |jobs| left(&folder, &[&check[..], &[jobs]].concat());
    let one = jobs("1");
    assert_eq!(one.exit, Some(0), "{}", one.stdout);
    assert!(!one.files.is_empty(), "a result is written");
    assert_eq!(jobs("1"), one);
    assert_eq!(jobs("3"), one);
    let text = ["check", "job.toml", "--seed", "7", "--reached"];
    assert_eq!(left(&folder, &text), left(&folder, &text));
    let rows = left(&folder, &["run", "job.toml"]);
    assert!(rows.stdout.lines().count() > 100, "{}", rows.stdout);
    assert_eq!(left(&folder, &["run", "job.toml"]), rows);
}

/// With planted bugs built in: what is found, how it is shrunk and what is written of it.
#[test]
#[cfg(feature = "plant")]
fn two_processes_write_the_same_report() {
    let folder = fixture("broken");
    let check = ["check", "job.toml", "--seed", "7", "--plant", "lag-state-not-saved", "--jobs"];
    let jobs = |jobs| left(&folder, &[&check[..], &[jobs]].concat());
    let one = jobs("1");
    assert_eq!((one.exit, one.files.len()), (Some(1), 3), "{}", one.stdout);
    assert_eq!(jobs("4"), one);
}
