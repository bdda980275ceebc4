//! Files and arguments by somebody who means harm, or was in a hurry, to the command.
//!
//! What no other suite would catch: a mistake in a job that is blamed on the system under test, numbers at the
//! end of their range that keep the command busy for ever, and files and queries made to fill the memory. Each
//! of these has a guard: on Linux 4 GiB of address space, everywhere a minute, which none comes near.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

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

/// Longest that an answer is waited for; a guard against hanging, far from what any takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// As [`said`], within the guards. What is printed is cut: a million rows are no message.
fn guarded(folder: &Path, arguments: &[&str]) -> (i32, String) {
    let binary = env!("CARGO_BIN_EXE_rewindow");
    let mut command = if cfg!(target_os = "linux") {
        let mut shell = Command::new("sh");
        shell.args(["-c", "ulimit -v 4194304; exec \"$0\" \"$@\"", binary]);
        shell
    } else {
        Command::new(binary)
    };
    command.args(arguments).current_dir(folder).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut errors = child.stderr.take().unwrap();
    let (done, waiting) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = Vec::new();
        let read = errors.read_to_end(&mut text);
        let _ = done.send(read.map(|_| String::from_utf8_lossy(&text).into_owned()));
    });
    match waiting.recv_timeout(PATIENCE) {
        Ok(text) => (child.wait().unwrap().code().unwrap_or(-1), text.unwrap()),
        Err(_) => {
            child.kill().unwrap();
            panic!("no answer within {PATIENCE:?}: {arguments:?} in {}", folder.display());
        }
    }
}

/// A query alone over `feed` from a file; its exit, and words that have to be said.
struct Hostile {
    name: &'static str,
    query: fn() -> String,
    file: &'static str,
    bytes: fn() -> Vec<u8>,
    exit: i32,
    words: &'static str,
}

/// `SELECT x FROM feed`.
fn select(x: &str) -> String {
    format!("SELECT {x} AS x FROM feed TIMESTAMP BY t")
}

fn nested(open: &str, close: &str, depth: usize) -> String {
    select(&format!("{}1{}", open.repeat(depth), close.repeat(depth)))
}

fn plain() -> String {
    QUERY.to_owned()
}

fn minutes() -> Vec<u8> {
    feed().into()
}

fn gzip(bytes: &[u8], members: usize) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap().repeat(members)
}

/// A circle of that many points as GeoJSON, in an event.
fn polygon(points: usize) -> Vec<u8> {
    let point = |i: usize| {
        let (y, x) = (std::f64::consts::TAU * i as f64 / points as f64).sin_cos();
        format!("[{:.7},{:.7}]", 80.0 * x, 80.0 * y)
    };
    let ring: Vec<String> = (0..points).map(point).chain([point(0)]).collect();
    let ring = ring.join(",");
    format!("{{\"t\":\"2024-01-01\",\"g\":{{\"type\":\"Polygon\",\"coordinates\":[[{ring}]]}}}}\n").into()
}

const fn query(name: &'static str, query: fn() -> String, exit: i32, words: &'static str) -> Hostile {
    Hostile { name, query, file: "feed.jsonl", bytes: minutes, exit, words }
}

const fn input(
    name: &'static str,
    file: &'static str,
    bytes: fn() -> Vec<u8>,
    exit: i32,
    words: &'static str,
) -> Hostile {
    Hostile { name, query: plain, file, bytes, exit, words }
}

const HOSTILE: &[Hostile] = &[
    query("a query of a megabyte", || select(&"k+".repeat(500_000)), 4, "error[too-long]"),
    query("brackets", || nested("(", ")", 60_000), 4, "nested deeper than"),
    query(
        "NOT",
        || select(&format!("CASE WHEN {}k = 1 THEN 1 ELSE 2 END", "NOT ".repeat(30_000))),
        4,
        "nested deeper",
    ),
    query("signs", || nested("- ", "", 60_000), 4, "nested deeper than"),
    query("CASE", || nested("CASE WHEN k = 1 THEN ", " ELSE 2 END", 4_000), 4, "nested deeper than"),
    query("calls", || nested("ABS(", ")", 25_000), 4, "nested deeper than"),
    query("a sum", || select(&["k"; 60_000].join("+")), 4, "error["),
    query("a path", || select(&["a"; 60_000].join(".")), 4, "error["),
    query(
        "columns",
        || select(&((0..9_000).map(|i| format!("k AS c{i}, ")).collect::<String>() + "k")),
        4,
        "at most 4096",
    ),
    query(
        "a list of IN",
        || format!("{} WHERE k IN ({})", select("k"), ["7"; 60_000].join(",")),
        0,
        "0 rows",
    ),
    query(
        "steps",
        || {
            let step = |i: usize| format!("s{} AS (SELECT * FROM s{i}), ", i + 1);
            let steps: String = (0..3_700).map(step).collect();
            format!(
                "WITH s0 AS (SELECT * FROM feed TIMESTAMP BY t), {steps} z AS (SELECT * FROM s9) SELECT * FROM s3700"
            )
        },
        0,
        "30 rows",
    ),
    query(
        "ten thousand steps",
        || {
            let step = |i: usize| format!("s{} AS (SELECT * FROM s{i}), ", i + 1);
            let steps: String = (0..10_000).map(step).collect();
            format!("WITH s0 AS (SELECT * FROM feed), {steps} z AS (SELECT * FROM s9) SELECT * FROM z")
        },
        4,
        "error[too-long]",
    ),
    query("UNION", || ["SELECT k FROM feed"; 5_000].join(" UNION "), 0, "150,000 rows"),
    query(
        "a tick over a week",
        || QUERY.replace("TumblingWindow(minute, 1)", "HoppingWindow(Duration(day, 7), Hop(microsecond, 1))"),
        4,
        "error[limit-panes]",
    ),
    query(
        "a million windows",
        || {
            QUERY.replace(
                "TumblingWindow(minute, 1)",
                "HoppingWindow(Duration(second, 1000), Hop(millisecond, 1))",
            )
        },
        4,
        "error[limit-rows]",
    ),
    query(
        "a pattern of four billion",
        || {
            "SELECT * FROM feed TIMESTAMP BY t MATCH_RECOGNIZE (LIMIT DURATION(hour, 1) MEASURES Last(A.k) AS k
         AFTER MATCH SKIP TO NEXT ROW PATTERN ((A?){4000000000}) DEFINE A AS A.k = 1) AS m".to_owned()
        },
        4,
        "found `4000000000`",
    ),
    query(
        "a long regular expression",
        || select("REGEXMATCH('x', REPLICATE('(a|b)*', 170000))"),
        0,
        "30 rows",
    ),
    query(
        "a regular expression that repeats",
        || select("REGEXMATCH('x', '((a{1000}){1000}){1000}')"),
        0,
        "30 rows",
    ),
    query("LIKE", || select("PATINDEX(REPLICATE('%a', 1000) + 'b', REPLICATE('a', 10000))"), 0, "30 rows"),
    query("REPLICATE", || select("REPLICATE(REPLICATE('a', 1000000), 1000000)"), 1, "error[job-fails]"),
    Hostile {
        name: "all with all",
        query: || {
            "SELECT a.k FROM feed a TIMESTAMP BY t JOIN feed b TIMESTAMP BY t
            ON DATEDIFF(hour, a, b) BETWEEN 0 AND 1"
                .to_owned()
        },
        file: "feed.jsonl",
        bytes: || feed().repeat(100).into(),
        exit: 4,
        words: "error[limit-rows]",
    },
    Hostile {
        name: "a polygon",
        query: || select("ST_WITHIN(CreatePoint(1.0, 2.0), g)"),
        file: "feed.jsonl",
        bytes: || polygon(4_000),
        exit: 0,
        words: "1 row ",
    },
    Hostile {
        name: "a polygon of a million points",
        query: || select("ST_WITHIN(CreatePoint(1.0, 2.0), g)"),
        file: "feed.jsonl",
        bytes: || polygon(1_000_000),
        exit: 4,
        words: "error[limit-line]",
    },
    input("nesting", "feed.jsonl", || (feed() + &"{\"a\":".repeat(100_000)).into(), 0, "recursion limit"),
    input("nested arrays", "feed.json", || "[".repeat(900_000).into(), 0, "recursion limit"),
    input("no UTF-8", "feed.jsonl", || b"\xff\xfe".repeat(100_000), 0, "it is not UTF-8"),
    input("blanks", "feed.jsonl", || vec![b' '; 2 << 20], 4, "error[input-empty]"),
    input("a long line", "feed.jsonl", || vec![b'x'; 2 << 20], 4, "error[limit-line]"),
    input(
        "an element",
        "feed.json",
        || [b"[{".as_slice(), &[b'x'; 2 << 20]].concat(),
        4,
        "error[limit-line]",
    ),
    input("a million columns", "feed.csv", || vec![b','; 1_000_000], 4, "error[limit-columns]"),
    input(
        "an open quote",
        "feed.csv",
        || [b"t,k\n1,\"".as_slice(), &b"x\n".repeat(400_000)].concat(),
        0,
        "quote is never",
    ),
    input("lines", "feed.jsonl", || vec![b'\n'; 2_000_000], 4, "error[limit-input]"),
    input("a bomb of one line", "feed.jsonl.gz", || gzip(&[b'0'; 1 << 24], 100), 4, "error[limit-line]"),
    input("a bomb of lines", "feed.jsonl.gz", || gzip(&[b'\n'; 1 << 24], 100), 4, "error[limit-input]"),
    input("half a bomb", "feed.jsonl.gz", || gzip(feed().as_bytes(), 1)[..60].to_vec(), 4, "cannot be read"),
];

#[test]
fn what_is_meant_to_hang_or_to_fill_the_memory_is_answered() {
    let mut wrong = Vec::new();
    for hostile in HOSTILE {
        let folder = folder(&hostile.name.replace(' ', "-"), JOB, &(hostile.query)(), "");
        std::fs::write(folder.join(hostile.file), (hostile.bytes)()).unwrap();
        let feed = format!("feed={}", hostile.file);
        let (exit, text) = guarded(&folder, &["run", "job.asaql", "--input", &feed, "--out", "rows"]);
        let said = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if exit != hostile.exit || !said.contains(hostile.words) || said.contains("panicked") {
            wrong.push(format!("{}: {exit} {}", hostile.name, said.chars().take(1_000).collect::<String>()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
#[cfg(target_os = "linux")]
fn what_is_no_file_is_not_waited_for() {
    let folder = folder("pipes", JOB, QUERY, "");
    let pipe = folder.join("pipe");
    let _ = std::fs::remove_file(&pipe);
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for file in ["pipe", "/dev/zero"] {
        let (exit, text) = guarded(&folder, &["run", "job.asaql", "--input", &format!("feed={file}")]);
        assert!(exit == 4 && text.contains("it is a pipe or a device"), "{file}: {text}");
        let (exit, text) = guarded(&folder, &["replay", file]);
        assert!(exit == 125 && text.contains("it is a pipe or a device"), "{file}: {text}");
    }
    let sparse = std::fs::File::create(folder.join("sparse.jsonl")).unwrap();
    sparse.set_len(20 << 30).unwrap();
    let (exit, text) = guarded(&folder, &["run", "job.asaql", "--input", "feed=sparse.jsonl"]);
    assert!(exit == 4 && text.contains("error[limit-line]"), "{text}");
    std::fs::remove_file(folder.join("sparse.jsonl")).unwrap();
}
