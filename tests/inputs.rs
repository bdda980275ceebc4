//! Inputs as people have them: every format, gzipped or not, damaged or not; reference data; a query alone.
//!
//! What no other suite would catch: a format that reads an event otherwise than another, a damaged event that
//! takes its neighbours with it or is not named, and a query from a repository that needs a job to be tried.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use rewindow::job::{Job, Log};
use rewindow_query::Payload;

const QUERY: &str =
    "CREATE TABLE feed (k bigint, x float, b bit, s nvarchar(max), t datetime, at nvarchar(max))
    SELECT k, x, b, s, t INTO rows FROM feed TIMESTAMP BY t";

const JOB: &str = r#"query = "job.asaql"
[[inputs]]
name = "feed"
paths = ["FILE"]
arrival = "at"
partitions = 3
partition_by = "k"
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

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("inputs-{name}"));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// The log of one file under [`QUERY`].
fn log(name: &str, file: &str, bytes: &[u8]) -> Log {
    let folder = folder(name);
    std::fs::write(folder.join("job.toml"), JOB.replace("FILE", file)).unwrap();
    std::fs::write(folder.join("job.asaql"), QUERY).unwrap();
    std::fs::write(folder.join(file), bytes).unwrap();
    Job::read(&folder.join("job.toml")).unwrap_or_else(|problem| panic!("{name}: {problem}")).log
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    // Two members, as `cat a.gz b.gz` makes them.
    let half = |part: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(part).unwrap();
        encoder.finish().unwrap()
    };
    let (front, behind) = bytes.split_at(bytes.len() / 2);
    [half(front), half(behind)].concat()
}

const LINES: &str = r#"{"k":1,"x":0.5,"b":true,"s":"a, \"quoted\" text","t":"2024-01-01T00:00:01.0000000Z","at":"2024-01-01T00:00:01Z"}
{"k":-7,"x":1e20,"b":false,"s":"","t":"2024-01-01T00:00:02.0000000Z","at":"2024-01-01T00:00:02Z"}
{"k":9223372036854775807,"x":-0.25,"b":null,"s":"two\nlines","t":"2024-01-01T00:00:03.0000000Z","at":"2024-01-01T00:00:04Z"}
{"k":null,"x":null,"b":true,"s":"ü 漢","t":"2024-01-01T00:00:03.5000000Z","at":"2024-01-01T00:00:03Z"}
"#;

const CSV: &str = "k,x,b,s,t,at
1,0.5,true,\"a, \"\"quoted\"\" text\",2024-01-01T00:00:01.0000000Z,2024-01-01T00:00:01Z
-7,1e20,0,,2024-01-01T00:00:02.0000000Z,2024-01-01T00:00:02Z
9223372036854775807,-0.25,null,\"two
lines\",2024-01-01T00:00:03.0000000Z,2024-01-01T00:00:04Z
,,1,ü 漢,2024-01-01T00:00:03.5000000Z,2024-01-01T00:00:03Z
";

/// The lines of JSON as one array, over many lines and blank ones.
fn array() -> String {
    let elements: Vec<String> = LINES.lines().map(|line| line.replace(",\"b\"", ",\n\n  \"b\"")).collect();
    format!("\u{feff} \n[\n{}\n]\n", elements.join(" ,\n"))
}

/// A datetime and its ISO form are the same event: CSV has only the one, JSON only the other.
fn seen(log: &Log) -> Vec<String> {
    let shown = |payload: &Payload| match payload {
        Payload::Event(event) => event.to_string(),
        other => format!("{other:?}"),
    };
    let entries = log.history.entries.iter();
    entries.map(|e| format!("{} {} {} {}", e.partition, e.offset, e.arrival, shown(&e.payload))).collect()
}

#[test]
fn the_same_events_give_the_same_log_in_every_format() {
    let lines = log("lines", "feed.jsonl", LINES.as_bytes());
    assert!(lines.remarks.is_empty(), "{:?}", lines.remarks);
    let expected = seen(&lines);
    assert_eq!(expected.len(), 4);
    let windows = LINES.replace('\n', "\r\n");
    let array = array();
    let arrays = LINES.lines().map(|line| format!("[{line}]")).collect::<String>();
    let semicolons = CSV.replace("\"a, ", "\"a; ").replace(',', ";").replace("\"a; ", "\"a, ");
    let tabs = CSV.replace("\"a, ", "\"a\u{1}").replace(',', "\t").replace('\u{1}', ", ");
    let mut files: Vec<(&str, Vec<u8>)> = vec![
        ("feed", windows.clone().into()),
        ("feed.json", array.clone().into()),
        ("arrays.json", arrays.into()),
        ("feed.csv", CSV.into()),
        ("feed.tsv", tabs.into()),
        ("feed.CSV.gz", gzip(CSV.as_bytes())),
        ("feed.jsonl.gz", gzip(windows.as_bytes())),
        ("array.json.gz", gzip(array.as_bytes())),
        ("named-otherwise.jsonl", gzip(LINES.as_bytes())),
    ];
    if cfg!(feature = "parquet") {
        let parquet =
            std::fs::read(format!("{}/tests/inputs/feed.parquet", env!("CARGO_MANIFEST_DIR"))).unwrap();
        files.push(("feed.parquet.gz", gzip(&parquet)));
        files.push(("feed.parquet", parquet));
    }
    for (file, bytes) in files {
        let log = log(&format!("same-{file}"), file, &bytes);
        assert_eq!((seen(&log), log.remarks), (expected.clone(), vec![]), "{file}");
    }
    let job =
        JOB.replace("FILE", "feed.txt").replace("arrival", "format = \"csv\"\ndelimiter = \";\"\narrival");
    let folder = folder("semicolons");
    for (file, text) in [("job.toml", job.as_str()), ("job.asaql", QUERY), ("feed.txt", &semicolons)] {
        std::fs::write(folder.join(file), text).unwrap();
    }
    assert_eq!(seen(&Job::read(&folder.join("job.toml")).unwrap().log), expected);
}

/// A damaged file, the events that are left of it by `k`, and the remarks, each as `place message`.
struct Damage {
    file: &'static str,
    text: &'static [u8],
    events: &'static [i64],
    remarks: &'static [&'static str],
}

const DAMAGE: &[Damage] = &[
    Damage {
        file: "lines.jsonl",
        text: b"{\"k\":1,\"at\":\"2024\x2d01-01\"}\n{broken\n{\"k\":2,\"at\":\"2024-01-01\"}\n\xff\xfe\n[]\n{\"k\":99999999999999999999}\n{\"k\":3,\"at\":\"2024-01-01\"}",
        events: &[1, 2, 3],
        remarks: &["2:2 key must be a string", "4 it is not UTF-8", "5 an event must be", "6 99999999999999999999"],
    },
    Damage {
        file: "comma.json",
        text: b"[{\"k\":1,\"at\":\"2024-01-01\"},, {\"k\" 2, \"x\": [{\"k\":8}], \"at\":\"2024-01-01\"}, 7,\n \"a]\", {\"k\":3,\"at\":\"2024-01-01\"} x, {\"k\":4,\"at\":\"2024-01-01\"}]",
        events: &[1, 4],
        remarks: &["1:6 expected `:`", "1 an event must be", "2 an event must be", "2:"],
    },
    Damage {
        file: "quote.json",
        text: b"[\n{\"k\":1,\"at\":\"2024-01-01},\n{\"k\":2,\"at\":\"2024-01-01\"},\n{\"k\":3,\"x\":[[1},\n{\"k\":4,\"at\":\"2024-01-01\"}\n]",
        events: &[2, 4],
        remarks: &["2:", "4:"],
    },
    Damage {
        file: "brace.json",
        text: b"[\n{\"k\":1,\"at\":\"2024-01-01\",\n{\"k\":2,\"at\":\"2024-01-01\"},\n{\"k\":3,\"at\":\"2024-01-01\"}\n]",
        events: &[2, 3],
        remarks: &["2:"],
    },
    Damage {
        file: "cut.json",
        text: b"[{\"k\":1,\"at\":\"2024-01-01\"},\n{\"k\":2,\"at\":\"2024-01-01\"},\n{\"k\":3,\"a",
        events: &[1, 2],
        remarks: &["3:", "3 the array that opens in line 1 is never closed"],
    },
    Damage {
        file: "behind.json",
        text: b"[{\"k\":1,\"at\":\"2024-01-01\"}]]\n{\"k\":2,\"at\":\"2024-01-01\"}\n[{\"k\":3,\"at\":\"2024-01-01\"}]",
        events: &[1, 2, 3],
        remarks: &["1:1 expected value"],
    },
    Damage {
        file: "fields.csv",
        text: b"k,at\n1,2024-01-01\n\n2\n3,2024-01-01,x\n4,2024-01-01\n5,\xff\n6,2024-01-01",
        events: &[1, 4, 6],
        remarks: &["4 it has 1 fields where", "5 it has 3 fields where", "7 it is not UTF-8"],
    },
    Damage {
        file: "quote.csv",
        text: b"k,at,s\n1,2024-01-01,\"open\n2,2024-01-01,x\n3,2024-01-01,\"a\nb\"\n4,2024-01-01,y\n",
        events: &[2, 3, 4],
        remarks: &["2 "],
    },
    Damage {
        file: "open.csv",
        text: b"k,at,s\n1,2024-01-01,x\n2,2024-01-01,\"open\n3,2024-01-01,y\n4,2024-01-01,z",
        events: &[1, 3, 4],
        remarks: &["3 a quote is never closed"],
    },
    Damage {
        file: "mac.csv",
        text: b"k,at\r1,2024-01-01\r2,2024-01-01\r",
        events: &[1, 2],
        remarks: &[],
    },
];

#[test]
fn what_is_damaged_is_named_and_takes_nothing_with_it() {
    for damage in DAMAGE {
        let file = damage.file;
        let log = log(&format!("damage-{file}"), file, damage.text);
        let event = |payload: &Payload| match payload {
            Payload::Event(event) => event.get("k").map(|k| k.to_string().parse::<i64>().unwrap()),
            _ => None,
        };
        let mut events: Vec<i64> = log.history.entries.iter().filter_map(|e| event(&e.payload)).collect();
        events.sort_unstable();
        assert_eq!(events, damage.events, "{file}: {:?}", log.remarks);
        let remark = |r: &rewindow::job::Remark| {
            let (_, place) = r.place.rsplit_once(&format!("{file}:")).unwrap();
            format!("{place} {}", r.message)
        };
        let remarks: Vec<String> = log.remarks.iter().map(remark).collect();
        let named = remarks.len() == damage.remarks.len()
            && remarks.iter().zip(damage.remarks).all(|(said, begin)| said.starts_with(begin));
        assert!(named, "{file}: {remarks:?}, not {:?}", damage.remarks);
        let kept = log.history.entries.len() - events.len();
        assert_eq!(kept, remarks.len(), "{file}: what is no event is an entry all the same");
    }
}

/// Exit, standard output and standard error.
fn said(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rewindow"));
    let output = command.args(arguments).current_dir(folder).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn write(folder: &Path, files: &[(&str, &str)]) {
    for (file, text) in files {
        std::fs::write(folder.join(file), text).unwrap();
    }
}

#[test]
fn csv_is_text_where_no_table_says_otherwise_and_what_does_not_fit_the_table_is_dropped() {
    let folder = folder("table");
    let feed = "t,N,x\n2024-01-01,07,1\n2024-01-02,seven,2\n2024-01-03,,inf\n";
    let plain = "SELECT GetType(N) AS ty, N, CAST(x AS nvarchar(max)) AS x FROM feed TIMESTAMP BY t";
    let table = format!("CREATE TABLE feed (n bigint, x float) {plain}");
    write(&folder, &[("feed.csv", feed), ("plain.asaql", plain), ("table.asaql", &table)]);
    let (exit, out, _) = said(&folder, &["run", "plain.asaql", "--input", "feed=feed.csv"]);
    let text = |n: &str, x: &str| format!("{{\"ty\":\"nvarchar(max)\",\"N\":\"{n}\",\"x\":\"{x}\"}}\n");
    assert_eq!((exit, out), (0, text("07", "1") + &text("seven", "2") + &text("", "inf")));
    let (exit, out, err) = said(&folder, &["run", "table.asaql", "--input", "feed=feed.csv"]);
    assert_eq!((exit, out.as_str()), (0, "{\"ty\":\"bigint\",\"N\":7,\"x\":\"1\"}\n"));
    assert!(err.contains("dropped deserialization: 2 events: feed.csv:3, feed.csv:4"), "{err}");
}

#[test]
fn reference_data_is_joined_in_the_version_in_force() {
    let folder = folder("versions");
    let query = "SELECT f.k, r.name FROM feed f TIMESTAMP BY t LEFT JOIN names r ON f.k = r.k";
    let tables = r#"
[[references]]
name = "names"
versions = [
    { from = "2024-01-02", path = "old.jsonl" },
    { from = "2024-01-03T00:00:00Z", path = "new.json.gz" },
]
"#;
    let job = JOB.replace("FILE", "feed.csv").replace("\n[ordering]", &format!("\n{tables}[ordering]"));
    let days = "k,t,at\n1,2024-01-01,2024-01-01\n1,2024-01-02,2024-01-02\n1,2024-01-03,2024-01-03\n";
    write(&folder, &[("job.toml", &job), ("job.asaql", query), ("feed.csv", days)]);
    write(&folder, &[("old.jsonl", "{\"k\":\"1\",\"name\":\"old\"}\n{broken\n")]);
    std::fs::write(folder.join("new.json.gz"), gzip(b"[{\"k\":\"1\",\"name\":\"new\"}]")).unwrap();
    let (exit, out, err) = said(&folder, &["run", "job.toml"]);
    let row = |name: &str| format!("{{\"k\":\"1\",\"name\":{name}}}\n");
    assert_eq!((exit, out), (0, row("null") + &row("\"old\"") + &row("\"new\"")), "{err}");
    assert!(err.contains("warning[malformed-reference]: old.jsonl:2: left out: key must"), "{err}");
    assert!(matches!(said(&folder, &["check", "job.toml"]).0, 0 | 2));
}

#[test]
fn a_query_alone_is_planned_and_run() {
    let folder = folder("bare");
    let query = "WITH named AS (
            SELECT s.device, s.temp, d.Site AS site FROM sensors s TIMESTAMP BY time JOIN Devices d ON s.device = d.id
        )
        SELECT site, udf.round(AVG(temp)) AS temp INTO [power-bi] FROM named GROUP BY site, TumblingWindow(minute, 5)
        SELECT device, AnomalyDetection_SpikeAndDip(temp, 95, 120, 'spikesanddips')
            OVER (PARTITION BY device LIMIT DURATION(minute, 2)) AS score INTO alerts FROM sensors TIMESTAMP BY time";
    write(&folder, &[("job.asaql", query)]);
    let (exit, out, err) = said(&folder, &["plan", "job.asaql"]);
    assert_eq!(exit, 0, "{err}");
    for words in [
        "power-bi",
        "alerts",
        "TumblingWindow(minute, 5)",
        "2 min",
        "reads       sensors",
        "joins       Devices",
    ] {
        assert!(out.contains(words), "no {words} in {out}");
    }
    let files = ["--input", "sensors=s.json", "--reference", "devices=d.csv"];
    let (exit, out, err) = said(&folder, &[&["run", "job.asaql"][..], &files].concat());
    assert!(exit == 4 && out.is_empty() && err.contains("udf.round"), "{err}");

    let (_, rest) = query.split_once("udf.round(AVG(temp))").unwrap();
    let (front, _) = query.split_once("udf.round(AVG(temp))").unwrap();
    let (rest, _) = rest.split_once("SELECT device").unwrap();
    let sensors = r#"[{"device":"b","temp":1,"time":"2024-01-01T00:03:00Z"},
        {"device":"a","temp":2,"time":"2024-01-01T00:01:00Z"},{"device":"c","temp":9,"time":"2024-01-01T00:02:00Z"},
        {"device":"a","temp":7,"time":"soon"}, {"device":"a","temp":4,"time":"2024-01-01T00:05:00Z"}]"#;
    let runs = format!("{front}AVG(temp){rest}");
    write(&folder, &[("job.asaql", &runs), ("s.json", sensors), ("d.csv", "id,Site\na,north\nb,north\n")]);
    let (exit, out, err) = said(&folder, &[&["run", "job.asaql"][..], &files].concat());
    let mean = 7.0 / 3.0;
    assert_eq!(
        (exit, out),
        (0, format!("{{\"site\":\"north\",\"temp\":{mean}}}\n")),
        "no event is late: {err}"
    );
    assert!(err.contains("dropped timestamp: 1 event: s.json:3"), "{err}");
}

#[test]
fn events_that_do_not_say_when_they_were_have_one_timestamp_as_in_a_local_run() {
    let folder = folder("when");
    let query = "SELECT k, System.Timestamp() AS at FROM feed";
    let plain = "{\"k\":2}\n{\"k\":1}\n";
    let saved = "{\"k\":2,\"EventEnqueuedUtcTime\":\"2024-01-02T00:00:00Z\"}\n{\"k\":1,\"EventEnqueuedUtcTime\":\"2024-01-01\"}\n";
    write(&folder, &[("job.asaql", query), ("plain.jsonl", plain), ("saved.jsonl", saved)]);
    let run = |more: &[&str]| said(&folder, &[&["run", "job.asaql"][..], more].concat());
    let (exit, out, err) = run(&["--input", "feed=plain.jsonl"]);
    let row = |k: u8, day: &str| format!("{{\"k\":{k},\"at\":\"{day}T00:00:00.0000000Z\"}}\n");
    assert_eq!((exit, out), (0, row(2, "2000-01-01") + &row(1, "2000-01-01")));
    assert!(err.contains("warning[no-time]: plain.jsonl: neither TIMESTAMP BY nor"), "{err}");
    let (_, out, err) = run(&["--input", "FEED=saved.jsonl"]);
    assert_eq!(out, row(1, "2024-01-01") + &row(2, "2024-01-02"));
    assert!(!err.contains("warning"), "{err}");
    let (_, named, _) = run(&["--input", "feed=saved.jsonl", "--arrival", "feed=eventenqueuedutctime"]);
    assert_eq!(named, out);
}

/// The rows of the end come when nothing is fed any more: who fails there must not look like who is done.
#[test]
fn a_query_that_fails_at_its_last_event_has_failed() {
    let folder = folder("fails-last");
    write(&folder, &[("job.asaql", "SELECT 12 / x AS y FROM feed TIMESTAMP BY t")]);
    for (divisors, rows) in [(&[0][..], 0), (&[3, 4, 0], 2), (&[3, 0, 4], 1)] {
        let event = |(at, x): (usize, &i32)| format!("{{\"x\":{x},\"t\":\"2024-01-01T00:00:0{at}Z\"}}\n");
        let feed: String = divisors.iter().enumerate().map(event).collect();
        write(&folder, &[("feed.jsonl", &feed)]);
        for threads in [&[][..], &["--nodes", "2"]] {
            let arguments = [&["run", "job.asaql", "--input", "feed=feed.jsonl"], threads].concat();
            let (exit, out, err) = said(&folder, &arguments);
            assert_eq!((exit, out.lines().count()), (1, rows), "{divisors:?} {threads:?}: {err}");
            assert!(err.contains("error[job-fails]: the job fails at 2024-01-01T00:00:0"), "{err}");
        }
    }
}

/// What the format cannot say about itself is asked of the job.
#[test]
#[cfg(not(feature = "parquet"))]
fn without_the_feature_parquet_is_refused_by_its_name() {
    let folder = folder("no-parquet");
    write(&folder, &[("job.asaql", "SELECT k FROM feed"), ("feed.parquet", "PAR1")]);
    let (exit, _, err) = said(&folder, &["run", "job.asaql", "--input", "feed=feed.parquet"]);
    assert!(
        exit == 4 && err.contains("error[feature-parquet]") && err.contains("--features parquet"),
        "{err}"
    );
}

#[cfg(feature = "parquet")]
mod parquet {
    use super::*;

    fn fixture(name: &str) -> Vec<u8> {
        std::fs::read(format!("{}/tests/inputs/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    }

    #[test]
    fn every_type_of_parquet_becomes_the_type_that_means_it_or_drops_its_row() {
        let folder = folder("parquet-types");
        std::fs::write(folder.join("types.parquet"), fixture("types.parquet")).unwrap();
        write(&folder, &[("job.asaql", "SELECT * FROM feed")]);
        let (exit, out, err) = said(&folder, &["run", "job.asaql", "--input", "feed=types.parquet"]);
        assert_eq!(exit, 0, "{err}");
        assert_eq!(out, String::from_utf8(fixture("types.jsonl")).unwrap());
        for words in [
            "types.parquet:row 2: column",
            "no finite float",
            "types.parquet:row 3: column",
            "outside the bigint",
        ] {
            assert!(err.contains(words), "no {words} in {err}");
        }
    }

    #[test]
    fn damaged_parquet_is_a_problem_and_never_a_panic() {
        let folder = folder("parquet-damage");
        write(&folder, &[("job.asaql", "SELECT * FROM feed")]);
        let whole = fixture("types.parquet");
        let mut files: Vec<Vec<u8>> =
            vec![vec![], b"PAR1".to_vec(), b"PAR1PAR1".to_vec(), whole[..whole.len() / 2].to_vec()];
        for at in (0..whole.len()).step_by(whole.len() / 60 + 1) {
            let mut bytes = whole.clone();
            bytes[at] ^= 0xff;
            files.push(bytes);
        }
        for (index, bytes) in files.iter().enumerate() {
            std::fs::write(folder.join("feed.parquet"), bytes).unwrap();
            let (exit, _, err) = said(&folder, &["run", "job.asaql", "--input", "feed=feed.parquet"]);
            assert!(matches!(exit, 0 | 4) && !err.contains("panicked"), "{index}: {exit} {err}");
        }
    }
}
