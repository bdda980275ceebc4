//! The command as a user meets it: arguments and files in, screen and exit code out.
//!
//! Catches what no other suite looks at: that each mistake a user can make is answered with its code, its
//! place, a hint and the right exit, that screens stay within their width, that standard output is the same
//! for the same seed, and that the jobs of `examples/` work as their README says.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

#[path = "cli/mistakes.rs"]
mod mistakes;
#[path = "cli/pairs.rs"]
mod pairs;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use mistakes::{MISTAKES, RUN};

/// A job that works, in a folder of its own; tests break one thing in it.
struct Fixture {
    folder: PathBuf,
}

const QUERY: &str =
    "SELECT k, COUNT(*) AS n INTO counts\nFROM feed TIMESTAMP BY t\nGROUP BY k, TumblingWindow(minute, 1)\n";

const JOB: &str = r#"query = "job.asaql"

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
cases = 40
"#;

/// Twelve events, one every twenty seconds, two keys.
fn feed() -> String {
    let line = |i: u32| {
        let (minute, second) = (i * 20 / 60, i * 20 % 60);
        let time = format!("2024-01-01T00:{minute:02}:{second:02}");
        format!("{{\"k\":{},\"t\":\"{time}Z\",\"at\":\"{time}.5Z\"}}\n", i % 2)
    };
    (0..12).map(line).collect()
}

impl Fixture {
    fn new(name: &str) -> Fixture {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cli-{name}"));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let fixture = Fixture { folder };
        fixture.write("job.toml", JOB).write("job.asaql", QUERY).write("feed.jsonl", &feed());
        fixture
    }

    fn write(&self, file: &str, text: &str) -> &Fixture {
        std::fs::write(self.folder.join(file), text).unwrap();
        self
    }

    fn replace(&self, file: &str, from: &str, to: &str) -> &Fixture {
        let text = std::fs::read_to_string(self.folder.join(file)).unwrap();
        assert!(text.contains(from), "{file} has no {from}");
        self.write(file, &text.replacen(from, to, 1))
    }

    fn run(&self, arguments: &[&str]) -> Said {
        said(&self.folder, arguments, &[])
    }
}

/// What the command said.
#[derive(PartialEq, Debug)]
struct Said {
    out: String,
    err: String,
    exit: i32,
}

fn said(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rewindow"));
    command.args(arguments).current_dir(folder);
    for name in ["CASES", "TIME", "SEED", "JOBS", "DETERMINISM", "REPORT_DIR"] {
        command.env_remove(format!("REWINDOW_{name}"));
    }
    command.envs(variables.iter().copied());
    let Output { stdout, stderr, status } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { out: text(stdout), err: text(stderr), exit: status.code().unwrap() }
}

fn narrow(said: &Said) {
    // A row is data, and a command has to stand on one line to be copied.
    let free =
        |line: &&str| line.starts_with('{') || line.starts_with("  report ") || line.starts_with("  replay ");
    for line in said.out.lines().chain(said.err.lines()).filter(|line| !free(line)) {
        assert!(line.chars().count() <= 100, "wider than the screen: {line}");
        assert!(!line.contains('\x1b'), "a colour in a pipe: {line:?}");
    }
}

#[test]
fn every_mistake_is_answered_with_code_place_hint_and_exit() {
    for mistake in MISTAKES {
        let fixture = Fixture::new(&mistake.name.replace(' ', "-"));
        (mistake.make)(&fixture);
        let said = fixture.run(mistake.arguments);
        let name = mistake.name;
        assert_eq!(said.exit, mistake.exit, "{name}: {}", said.err);
        assert_eq!(said.out, "", "{name}: a problem is no output");
        assert!(said.err.starts_with(&format!("error[{}]: ", mistake.code)), "{name}: {}", said.err);
        assert!(said.err.contains(mistake.place), "{name}: no place {}: {}", mistake.place, said.err);
        let words = said.err.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains(mistake.hint), "{name}: no hint {}: {}", mistake.hint, said.err);
        narrow(&said);
    }
}

#[test]
fn a_catch_up_that_took_longer_than_estimated_is_told_with_its_reason() {
    let fixture = Fixture::new("slow-catch-up");
    let vary = "cases = 200\nfaults = [\"node-kill\", \"slow\"]\ndeployment = false\n";
    fixture.replace("job.toml", "cases = 40\n", vary);
    let said = fixture.run(&["check", "job.toml", "--seed", "1", "--format", "json"]);
    let value: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    let recoveries = &value["recoveries"];
    assert_ne!(recoveries["catch_up_max"], recoveries["estimated"], "{value}");
    assert_eq!((&recoveries["slowed"], &recoveries["stood"]), (&true.into(), &"00:00:00".into()), "{value}");
    let said = fixture.run(&["check", "job.toml", "--seed", "1"]);
    let words = said.out.split_whitespace().collect::<Vec<_>>().join(" ");
    let (_, told) = words.split_once("catch-up longest ").unwrap();
    assert!(told.split(" delivered").next().unwrap().ends_with(" s, the node was slow"), "{told}");
    narrow(&said);
}

#[test]
fn wrong_arguments_are_input_that_cannot_run() {
    let fixture = Fixture::new("arguments");
    assert_eq!(fixture.run(&[]).exit, 4);
    assert_eq!(fixture.run(&["check", "job.toml", "--cases", "none"]).exit, 4);
    assert_eq!(fixture.run(&["replay"]).exit, 125, "neither fixed nor broken, for git bisect");
    assert_eq!(fixture.run(&["--help"]).exit, 0);
    for command in ["check", "run", "plan", "replay", "test"] {
        let help = fixture.run(&[command, "--help"]);
        assert!(help.exit == 0 && help.out.contains("\nExit codes: 0 "), "{command}: {}", help.out);
    }
    let said = said(&fixture.folder, &["check", "job.toml"], &[("REWINDOW_CASES", "many")]);
    assert!(said.exit == 4 && said.err.starts_with("error[environment]: REWINDOW_CASES"), "{}", said.err);
}

#[test]
fn a_query_that_cannot_run_is_shown_at_its_place() {
    let fixture = Fixture::new("picture");
    fixture.replace("job.asaql", "minute, 1", "day, 8");
    let err = fixture.run(&["plan", "job.asaql"]).err;
    let lines: Vec<&str> = err.lines().collect();
    assert_eq!(lines[1], "   ╭─[job.asaql:3:28]", "{err}");
    assert_eq!(lines[2], " 3 │ GROUP BY k, TumblingWindow(day, 8)", "{err}");
}

#[test]
fn lines_that_are_no_events_are_named_and_do_not_stop_the_job() {
    let fixture = Fixture::new("odd-lines");
    let odd = "{broken\n{\"k\":1,\"t\":\"2024-01-01T00:04:00Z\"}\n{\"k\":1,\"t\":null,\"at\":\"2024-01-01T00:04:01Z\"}\n";
    fixture.write("feed.jsonl", &(feed() + odd));
    let said = fixture.run(RUN);
    assert_eq!(said.exit, 0, "{}", said.err);
    for words in [
        "warning[malformed-line]: feed.jsonl:13:",
        "warning[missing-arrival]: feed.jsonl:14:",
        "dropped deserialization: 1 event: feed.jsonl:13",
        "dropped timestamp: 1 event: feed.jsonl:15",
    ] {
        assert!(said.err.contains(words), "no {words} in {}", said.err);
    }
    assert_eq!(said.out.lines().count(), 9, "{}", said.out);
    // The event at 00:00:00 closes a window of its own; the next one holds 20, 40 and 60 seconds.
    assert_eq!(said.out.lines().nth(2), Some(r#"{"k":1,"n":2}"#));
    narrow(&said);
}

#[test]
fn the_same_seed_gives_the_same_bytes_on_any_number_of_threads() {
    let fixture = Fixture::new("same-seed");
    let check = |jobs| fixture.run(&["check", "job.toml", "--seed", "7", "--jobs", jobs, "--reached"]);
    let one = check("1");
    assert!(one.exit == 0 || one.exit == 2, "{}{}", one.out, one.err);
    assert!(one.out.contains("40 schedules held, none broke."), "{}", one.out);
    assert_eq!(check("3").out, one.out);
    let json =
        |cases| fixture.run(&["check", "job.toml", "--format", "json", "--seed", "7", "--cases", cases]);
    let value: serde_json::Value = serde_json::from_str(&json("10").out).unwrap();
    assert_eq!((&value["schedules"], &value["seed"]), (&10.into(), &7.into()));
    narrow(&one);
}

#[test]
fn a_search_that_reached_too_little_is_undecided() {
    let fixture = Fixture::new("undecided");
    let said = fixture.run(&["check", "job.toml", "--cases", "1", "--seed", "1"]);
    assert_eq!(said.exit, 2, "{}", said.out);
    assert!(said.out.contains("  undecided  never "), "{}", said.out);
}

/// What was found is said before it is written down.
#[test]
fn a_result_that_cannot_be_written_does_not_hide_the_verdict() {
    let fixture = Fixture::new("unwritable");
    std::fs::create_dir_all(fixture.folder.join("out/cli-unwritable/result.json")).unwrap();
    let said = fixture.run(&["check", "job.toml", "--report", "out"]);
    assert_eq!(said.exit, 4, "{}", said.err);
    assert!(said.out.contains("40 schedules held, none broke."), "{}", said.out);
    assert!(said.err.contains("error[output]: the report cannot be written"), "{}", said.err);
}

#[test]
#[cfg(feature = "plant")]
fn a_report_that_cannot_be_written_does_not_hide_the_bug() {
    let fixture = Fixture::new("unwritable-report");
    fixture.write("target", "");
    let said = fixture.run(&["check", "job.toml", "--seed", "7", "--plant", "tumbling-window-lost"]);
    assert_eq!(said.exit, 1, "{}", said.err);
    assert!(said.out.contains("broken  `counts` leaves out an entry after a node kill"), "{}", said.out);
    assert!(!said.out.contains("  report ") && !said.out.contains("  replay "), "{}", said.out);
    assert!(said.err.contains("error[output]: the report cannot be written"), "{}", said.err);
    narrow(&said);
}

fn example(name: &str) -> String {
    format!("{}/examples/{name}/job.toml", env!("CARGO_MANIFEST_DIR"))
}

fn anywhere(arguments: &[&str]) -> Said {
    said(Path::new(env!("CARGO_TARGET_TMPDIR")), arguments, &[])
}

#[test]
fn the_examples_plan_what_their_comments_say() {
    for (name, words) in [
        ("earthquakes", "30 h 10 min are needed: enough, with 17 h 50 min to spare"),
        ("flights-landed", "enough"),
        ("turnaround", "too little"),
    ] {
        let said = anywhere(&["plan", &example(name)]);
        assert_eq!(said.exit, 0, "{}", said.err);
        let text = said.out.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(words), "{name}: {}", said.out);
        narrow(&said);
    }
}

/// Twelve events, 768 bytes in all, within 220 s: an hour of them is 12,567.3 bytes.
#[test]
fn a_plan_says_how_long_a_size_lasts() {
    let fixture = Fixture::new("size");
    fixture.replace("job.toml", "rate = 100", "rate = 100\nretention_size = 1_000");
    let words = |said: &Said| said.out.split_whitespace().collect::<Vec<_>>().join(" ");
    let said = fixture.run(&["plan", "job.toml"]);
    narrow(&said);
    for part in [
        "size 1,000 bytes of each partition: at 196 entries/h the fullest is full after",
        "retention the source keeps 4 min 46 s, 11 min 5 s are needed: too little",
        "remedies keep 1 h: 12,568 bytes of each partition (with 48 min 55 s to spare)",
    ] {
        assert!(words(&said).contains(part), "{part}: {}", said.out);
    }
    // Nothing is late by less than nothing, and one minute of a window cannot give six.
    assert!(!said.out.contains("accept events") && !said.out.contains("shorten"), "{}", said.out);
    let page = |arguments: &[&str]| -> serde_json::Value {
        serde_json::from_str(&fixture.run(arguments).out).unwrap()
    };
    let size = page(&["plan", "job.toml", "--format", "json"])["deployed"]["kept_by_size"].clone();
    let each = (feed().len() - 12) as f64 / 12.0;
    assert_eq!((size["bytes"].as_u64(), size["bytes_each"].as_f64()), (Some(1_000), Some(each)));
    // The stricter of the two, and enough where both are.
    fixture.replace("job.toml", "= 1_000", "= 1_000_000\nretention = \"20 min\"");
    assert!(
        words(&fixture.run(&["plan", "job.toml"])).contains("keeps 20 min, 11 min 5 s are needed: enough")
    );
    let header = fixture.run(&["check", "job.toml", "--cases", "1"]);
    assert!(words(&header).contains("source keeps 20 min · enough"), "{}", header.out);
}

#[test]
#[cfg(unix)]
fn a_variable_that_is_no_text_is_refused() {
    use std::os::unix::ffi::OsStrExt;
    let fixture = Fixture::new("odd-variable");
    let mut command = Command::new(env!("CARGO_BIN_EXE_rewindow"));
    command.args(["check", "job.toml"]).current_dir(&fixture.folder);
    command.env("REWINDOW_CASES", std::ffi::OsStr::from_bytes(b"\xff"));
    let said = command.output().unwrap();
    let err = String::from_utf8(said.stderr).unwrap();
    assert_eq!((said.status.code(), said.stdout.len()), (Some(4), 0), "{err}");
    assert!(err.starts_with("error[environment]: REWINDOW_CASES: ") && err.contains("is not UTF-8"), "{err}");
    assert!(err.contains("help: correct it, or unset REWINDOW_CASES"), "{err}");
}

/// More comes in than can be processed, by far: no time is given for what never ends.
#[test]
fn a_job_that_never_catches_up_is_not_given_a_time() {
    let fixture = Fixture::new("too-slow");
    fixture.replace("job.toml", "rate = 100", "rate = 100\nretention_size = 1_000");
    for rate in ["101", "1e12"] {
        let said = fixture.run(&["plan", "job.toml", "--rate", rate]);
        assert_eq!(said.exit, 0, "{}", said.err);
        let rows = said.out.lines().filter(|line| line.trim_end().ends_with(" entries   never"));
        assert_eq!(rows.count(), 5, "{}", said.out);
        let words = said.out.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains("the job never catches up"), "{}", said.out);
        narrow(&said);
    }
    let said = fixture.run(&["plan", "job.toml", "--rate", "100"]);
    assert!(!said.out.contains("never"), "{}", said.out);
    let said = anywhere(&["plan", &example("earthquakes"), "--rate", "1e12"]);
    assert!(said.out.contains("entries   never"), "{}", said.out);
    narrow(&said);
}

#[test]
fn lookbacks_along_a_path_add() {
    let said = anywhere(&["plan", &example("turnaround"), "--format", "json"]);
    let page: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    let stages = page["outputs"][0]["stages"].as_array().unwrap();
    let of = |index: usize| {
        (stages[index]["operator"].as_str().unwrap(), stages[index]["lookback"].as_str().unwrap())
    };
    assert_eq!(stages.len(), 4);
    assert_eq!(of(0), ("ordering", "00:40:00"));
    assert_eq!(of(1), ("lag", "1.00:00:00"));
    assert_eq!(of(2), ("tumbling", "06:00:00"));
    assert_eq!(of(3), ("tumbling", "1.00:00:00"));
    assert_eq!(page["outputs"][0]["total"], "2.06:40:00");
}

#[test]
fn the_examples_run_and_hold() {
    for (name, rows) in EXAMPLE_ROWS {
        let said = anywhere(&["run", &example(name)]);
        assert_eq!((said.exit, said.out.lines().count()), (0, *rows), "{name}: {}", said.err);
        let said = anywhere(&["check", &example(name), "--cases", "20"]);
        assert!(matches!(said.exit, 0 | 2), "{name}: {}{}", said.out, said.err);
        narrow(&said);
    }
}

const EXAMPLE_ROWS: &[(&str, usize)] = &[
    ("carriers", 313),
    ("earthquakes", 3_100),
    ("flights-landed", 1_604),
    ("turnaround", 14),
    ("delays", 167),
];

/// A planted bug is found, made small, written down, and replayed from the report.
#[test]
#[cfg(feature = "plant")]
fn a_planted_bug_is_found_shrunk_reported_and_replayed() {
    let fixture = Fixture::new("planted");
    let plant = ["--plant", "tumbling-window-lost"];
    let check = |folder| {
        fixture.run(&[&["check", "job.toml", "--seed", "7", "--report", folder], &plant[..]].concat())
    };
    let said = check("one");
    assert_eq!(said.exit, 1, "{}{}", said.out, said.err);
    assert!(said.out.contains("broken  `counts` leaves out an entry after a node kill"), "{}", said.out);
    narrow(&said);
    let fixed = |text: &str| text.replace("one/", "two/");
    assert_eq!(check("two").out, fixed(&said.out), "same seed, same bytes");
    let path = said.out.lines().find_map(|line| line.strip_prefix("  report    ")).unwrap();
    let read = |path: &str| std::fs::read_to_string(fixture.folder.join(path)).unwrap();
    assert_eq!(read(&fixed(path)), fixed(&read(path)), "the same report");
    let value: serde_json::Value =
        serde_json::from_str(&read(&path.replace("report.md", "result.json"))).unwrap();
    assert!(value.is_object());
    assert!(said.out.lines().any(|l| l.starts_with("  replay    ") && l.contains("--features plant")));
    assert_eq!(fixture.run(&["replay", path, plant[0], plant[1]]).exit, 1, "it reproduces");
    assert_eq!(fixture.run(&["replay", path]).exit, 0, "without the bug it is fixed");
    assert_eq!(fixture.run(&["replay", &path.replace("report.md", "case.toml"), plant[0], plant[1]]).exit, 1);
}
