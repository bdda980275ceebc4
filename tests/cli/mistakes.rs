//! Mistakes a user can make, each with what has to be said about it.
//!
//! A table for `tests/cli.rs`, which makes each in a fixture of its own. Invariant: every entry breaks one thing.

use super::{Fixture, JOB};

/// A mistake, and what has to be said about it.
pub(crate) struct Mistake {
    pub(crate) name: &'static str,
    pub(crate) make: fn(&Fixture),
    pub(crate) arguments: &'static [&'static str],
    pub(crate) code: &'static str,
    pub(crate) place: &'static str,
    pub(crate) hint: &'static str,
    pub(crate) exit: i32,
}

pub(crate) const RUN: &[&str] = &["run", "job.toml"];
const REPLAY: &[&str] = &["replay", "report.md"];

const REFUSED_RESTART: &str = r#"```toml
format = 1
name = "a"
query = "SELECT k INTO out FROM a TIMESTAMP BY t"
inputs = [{ name = "a", partitions = 1 }]
ordering = { late = "00:00:05", out_of_order = "00:00:00", policy = "adjust" }
deployment.nodes = 1
deployment.checkpoint_interval = "00:01:00"
deployment.poll_interval = "00:00:01"
deployment.batch = 1000
deployment.rate = 1000
deployment.heartbeat = "00:01:00"
events = [{ in = "a", p = 0, at = "2024-01-01T00:00:01Z", data = "{}" }]

[[faults]]
at = "2024-01-01T00:00:10Z"
kind = "restart"
stopped = "00:00:00"
start = "now"
query = "SELECT k INTO out FROM nowhere"
```
"#;

pub(crate) const MISTAKES: &[Mistake] = &[
    Mistake {
        name: "malformed query",
        make: |f| _ = f.replace("job.asaql", "INTO counts", "INTO INTO"),
        arguments: RUN,
        code: "syntax",
        place: "job.asaql:1:",
        hint: "",
        exit: 4,
    },
    Mistake {
        name: "unknown stream",
        make: |f| _ = f.replace("job.asaql", "FROM feed", "FROM feeed"),
        arguments: RUN,
        code: "unknown-stream",
        place: "job.asaql:2:6",
        hint: "help:",
        exit: 4,
    },
    Mistake {
        name: "window over seven days",
        make: |f| _ = f.replace("job.asaql", "minute, 1", "day, 8"),
        arguments: RUN,
        code: "limit-window",
        place: "job.asaql:3:28",
        hint: "help:",
        exit: 4,
    },
    Mistake {
        name: "no job",
        make: |_| {},
        arguments: &["run", "nothing.toml"],
        code: "job-unreadable",
        place: "nothing.toml",
        hint: "there is no such file",
        exit: 4,
    },
    Mistake {
        name: "a folder",
        make: |_| {},
        arguments: &["check", "."],
        code: "job-unreadable",
        place: ".",
        hint: "name its job.toml",
        exit: 4,
    },
    Mistake {
        name: "no job at all",
        make: |_| {},
        arguments: &["check", "feed.jsonl"],
        code: "job-unreadable",
        place: "feed.jsonl",
        hint: "a job is a job.toml",
        exit: 4,
    },
    Mistake {
        name: "a query without events",
        make: |_| {},
        arguments: &["check", "job.asaql"],
        code: "job-needed",
        place: "job.asaql",
        hint: "write a job.toml",
        exit: 4,
    },
    Mistake {
        name: "unknown key",
        make: |f| _ = f.replace("job.toml", "rate = 100", "rates = 100"),
        arguments: RUN,
        code: "job-key",
        place: "job.toml:19:1",
        hint: "no setting is lost to a typo",
        exit: 4,
    },
    Mistake {
        name: "missing key",
        make: |f| _ = f.replace("job.toml", "rate = 100\n", ""),
        arguments: RUN,
        code: "job-missing",
        place: "job.toml:14:1",
        hint: "nothing has a hidden default",
        exit: 4,
    },
    Mistake {
        name: "no TOML",
        make: |f| _ = f.replace("job.toml", "[vary]", "[vary"),
        arguments: RUN,
        code: "job-syntax",
        place: "job.toml:22:",
        hint: "job.toml is TOML",
        exit: 4,
    },
    Mistake {
        name: "a pair that writes to a table",
        make: |f| {
            let regions = "sink = \"upsert\"\n\n[regions]\nnames = [\"east\", \"west\"]\ncases = 3\n\n[vary]";
            f.replace("job.toml", "\n[vary]", regions);
        },
        arguments: &["check", "job.toml"],
        code: "job-value",
        place: "job.toml:21:8",
        hint: "use `append`",
        exit: 4,
    },
    Mistake {
        name: "late over twenty days",
        make: |f| _ = f.replace("job.toml", "\"5 s\"", "\"21 d\""),
        arguments: RUN,
        code: "job-value",
        place: "job.toml:10:8",
        hint: "rule 3.5",
        exit: 4,
    },
    Mistake {
        name: "no span",
        make: |f| _ = f.replace("job.toml", "\"5 s\"", "\"soon\""),
        arguments: RUN,
        code: "job-value",
        place: "job.toml:10:8",
        hint: "`soon` is no span",
        exit: 4,
    },
    Mistake {
        name: "nodes without a node",
        make: |f| _ = f.replace("job.toml", "nodes = 1", "nodes = 0"),
        arguments: RUN,
        code: "job-value",
        place: "job.toml:15:9",
        hint: "help:",
        exit: 4,
    },
    Mistake {
        name: "no nodes",
        make: |f| _ = f.replace("job.toml", "nodes = 1", "nodes = 0"),
        arguments: RUN,
        code: "job-value",
        place: "job.toml:15:9",
        hint: "nodes is 0; 1 is the least, 256 the most",
        exit: 4,
    },
    Mistake {
        name: "less than no nodes",
        make: |f| _ = f.replace("job.toml", "nodes = 1", "nodes = -1"),
        arguments: RUN,
        code: "job-value",
        place: "job.toml:15:9",
        hint: "a whole number from 0 to 4294967295",
        exit: 4,
    },
    Mistake {
        name: "no rate",
        make: |f| _ = f.replace("job.toml", "rate = 100", "rate = 0"),
        arguments: RUN,
        code: "job-value",
        place: "job.toml:19:8",
        hint: "rate is 0; 1 is the least",
        exit: 4,
    },
    Mistake {
        name: "always a checkpoint",
        make: |f| _ = f.replace("job.toml", "\"1 min\"", "\"0 s\""),
        arguments: RUN,
        code: "job-value",
        place: "job.toml:16:23",
        hint: "checkpoint_interval is 0 s; it can be more than that, up to 3660 d",
        exit: 4,
    },
    Mistake {
        name: "a checkpoint every sixty",
        make: |f| _ = f.replace("job.toml", "\"1 min\"", "60"),
        arguments: RUN,
        code: "job-value",
        place: "job.toml:16:23",
        hint: "a span between quotes",
        exit: 4,
    },
    Mistake {
        name: "too many nodes",
        make: |f| _ = f.replace("job.toml", "nodes = 1", "nodes = 100000"),
        arguments: RUN,
        code: "job-value",
        place: "job.toml:15:9",
        hint: "nodes is 100000; 256 is the most",
        exit: 4,
    },
    Mistake {
        name: "too many keyed tasks",
        make: |f| _ = f.replace("job.toml", "nodes = 1", "nodes = 1\nkeyed = 257"),
        arguments: RUN,
        code: "job-value",
        place: "job.toml:16:9",
        hint: "keyed is 257; 256 is the most",
        exit: 4,
    },
    Mistake {
        name: "a rate beyond all",
        make: |f| _ = f.replace("job.toml", "rate = 100", "rate = 2000000000000"),
        arguments: RUN,
        code: "job-value",
        place: "job.toml:19:8",
        hint: "1000000000000 is the most",
        exit: 4,
    },
    Mistake {
        name: "links slower than ten years",
        make: |f| _ = f.replace("job.toml", "rate = 100", "rate = 100\nlink_delay = \"4000 d\""),
        arguments: RUN,
        code: "job-value",
        place: "job.toml:20:14",
        hint: "link_delay is 4000 d; it can be up to 3660 d",
        exit: 4,
    },
    Mistake {
        name: "links faster than nothing",
        make: |f| _ = f.replace("job.toml", "rate = 100", "rate = 100\nlink_delay = \"-1 s\""),
        arguments: RUN,
        code: "job-value",
        place: "job.toml:20:14",
        hint: "link_delay is -1 s",
        exit: 4,
    },
    Mistake {
        name: "two regions of one name",
        make: |f| {
            _ = f.write("job.toml", &(JOB.to_owned() + "[regions]\nnames = [\"a\", \"a\"]\ncases = 1\n"))
        },
        arguments: RUN,
        code: "job-value",
        place: "job.toml:25:9",
        hint: "each has a name, and no other has it",
        exit: 4,
    },
    Mistake {
        name: "a delay of days",
        make: |f| {
            let regions = "[regions]\nnames = [\"a\", \"b\"]\ncases = 1\ndelays = [\"1 s\", \"25 h\"]\n";
            f.write("job.toml", &(JOB.to_owned() + regions));
        },
        arguments: RUN,
        code: "job-value",
        place: "job.toml:27:18",
        hint: "delays is 25 h; it can be up to 24 h",
        exit: 4,
    },
    Mistake {
        name: "no compatibility level",
        make: |f| _ = f.write("job.toml", &("compatibility = 3\n".to_owned() + JOB)),
        arguments: RUN,
        code: "job-value",
        place: "job.toml:1:17",
        hint: "it is one of \"1.0\", \"1.1\", \"1.2\"",
        exit: 4,
    },
    Mistake {
        name: "an empty query",
        make: |f| _ = f.write("job.asaql", ""),
        arguments: RUN,
        code: "syntax",
        place: "job.asaql:1",
        hint: "help: a query needs at least a SELECT … FROM …",
        exit: 4,
    },
    Mistake {
        name: "a source of no size",
        make: |f| _ = f.replace("job.toml", "rate = 100", "rate = 100\nretention_size = 0"),
        arguments: RUN,
        code: "job-value",
        place: "job.toml:20:18",
        hint: "retention_size is 0; 1 is the least, 1125899906842624 the most",
        exit: 4,
    },
    Mistake {
        name: "a source of less than no size",
        make: |f| _ = f.replace("job.toml", "rate = 100", "rate = 100\nretention_size = -1"),
        arguments: RUN,
        code: "job-value",
        place: "job.toml:20:18",
        hint: "invalid value: integer `-1`",
        exit: 4,
    },
    Mistake {
        name: "a size in words",
        make: |f| _ = f.replace("job.toml", "rate = 100", "rate = 100\nretention_size = \"1 GiB\""),
        arguments: RUN,
        code: "job-value",
        place: "job.toml:20:18",
        hint: "expected a whole number, at least 0",
        exit: 4,
    },
    Mistake {
        name: "partitions without a key",
        make: |f| _ = f.replace("job.toml", "partitions = 1", "partitions = 2"),
        arguments: RUN,
        code: "job-value",
        place: "job.toml:7:14",
        hint: "partition_by",
        exit: 4,
    },
    Mistake {
        name: "partitions by a column that no event has",
        make: |f| _ = f.replace("job.toml", "partitions = 1", "partitions = 2\npartition_by = \"kk\""),
        arguments: &["plan", "job.toml"],
        code: "input-partition",
        place: "feed.jsonl",
        hint: "no event has the column `kk` of partition_by ╭─[feed.jsonl] help: the first event has k, t, at",
        exit: 4,
    },
    Mistake {
        name: "partitions by no column",
        make: |f| _ = f.replace("job.toml", "partitions = 1", "partitions = 2\npartition_by = \"\""),
        arguments: RUN,
        code: "job-value",
        place: "job.toml:8:16",
        hint: "partition_by names no column",
        exit: 4,
    },
    Mistake {
        name: "no pairs of regions",
        make: |f| {
            let regions = "cases = 40\n[regions]\nnames = [\"a\", \"b\"]\ncases = 0\n";
            f.replace("job.toml", "cases = 40\n", regions);
        },
        arguments: RUN,
        code: "job-value",
        place: "job.toml:26:9",
        hint: "cases must be more than none",
        exit: 4,
    },
    Mistake {
        name: "unknown fault",
        make: |f| _ = f.replace("job.toml", "cases = 40", "cases = 40\nfaults = [\"meteor\"]"),
        arguments: RUN,
        code: "job-value",
        place: "job.toml:24:11",
        hint: "node-kill",
        exit: 4,
    },
    Mistake {
        name: "no input file",
        make: |f| std::fs::remove_file(f.folder.join("feed.jsonl")).unwrap(),
        arguments: RUN,
        code: "input-unreadable",
        place: "feed.jsonl",
        hint: "relative to the folder",
        exit: 4,
    },
    Mistake {
        name: "a header that names a column twice",
        make: |f| {
            f.replace("job.toml", "feed.jsonl", "feed.csv").write("feed.csv", "k,t,k\n1,2,3\n");
        },
        arguments: RUN,
        code: "input-header",
        place: "feed.csv:1",
        hint: "each once (rule 1.4)",
        exit: 4,
    },
    Mistake {
        name: "a delimiter of two characters",
        make: |f| _ = f.replace("job.toml", "arrival =", "delimiter = \"::\"\narrival ="),
        arguments: RUN,
        code: "job-value",
        place: "job.toml:6:13",
        hint: "one ASCII character",
        exit: 4,
    },
    Mistake {
        name: "reference data without a file",
        make: |f| _ = f.replace("job.toml", "[ordering]", "[[references]]\nname = \"t\"\n\n[ordering]"),
        arguments: RUN,
        code: "job-value",
        place: "job.toml:9:1",
        hint: "path = \"table.csv\" never changes",
        exit: 4,
    },
    Mistake {
        name: "versions out of order",
        make: |f| {
            let versions =
                "[{ from = \"2024-01-02\", path = \"a\" }, { from = \"2024-01-01\", path = \"b\" }]";
            let table = format!("[[references]]\nname = \"t\"\nversions = {versions}\n\n[ordering]");
            f.replace("job.toml", "[ordering]", &table);
        },
        arguments: RUN,
        code: "job-value",
        place: "job.toml:11:59",
        hint: "the oldest first",
        exit: 4,
    },
    Mistake {
        name: "two inputs of one name",
        make: |f| {
            let table = "[[references]]\nname = \"FEED\"\npath = \"feed.jsonl\"\n\n[ordering]";
            f.replace("job.toml", "[ordering]", table);
        },
        arguments: RUN,
        code: "job-value",
        place: "job.toml:10:8",
        hint: "share their names",
        exit: 4,
    },
    Mistake {
        name: "no file of reference data",
        make: |f| {
            f.replace(
                "job.asaql",
                "FROM feed TIMESTAMP BY t",
                "FROM feed TIMESTAMP BY t JOIN r ON feed.k = r.k",
            )
            .replace("job.asaql", "SELECT k,", "SELECT feed.k,")
            .replace("job.asaql", "GROUP BY k,", "GROUP BY feed.k,")
            .replace(
                "job.toml",
                "[ordering]",
                "[[references]]\nname = \"r\"\npath = \"r.csv\"\n\n[ordering]",
            );
        },
        arguments: RUN,
        code: "input-unreadable",
        place: "r.csv",
        hint: "there is no such file",
        exit: 4,
    },
    Mistake {
        name: "a query without files",
        make: |_| {},
        arguments: &["run", "job.asaql"],
        code: "missing-input",
        place: "job.asaql",
        hint: "--input feed=FILE",
        exit: 4,
    },
    Mistake {
        name: "a file for nobody",
        make: |_| {},
        arguments: &["run", "job.asaql", "--input", "food=feed.jsonl"],
        code: "unknown-input",
        place: "job.asaql",
        hint: "it has feed",
        exit: 4,
    },
    Mistake {
        name: "a stream given as reference data",
        make: |_| {},
        arguments: &["run", "job.asaql", "--reference", "feed=feed.jsonl"],
        code: "unknown-input",
        place: "job.asaql",
        hint: "it is read as a stream: --input",
        exit: 4,
    },
    Mistake {
        name: "files for a job that has its own",
        make: |_| {},
        arguments: &["run", "job.toml", "--input", "feed=feed.jsonl"],
        code: "job-complete",
        place: "job.toml",
        hint: "name the query",
        exit: 4,
    },
    Mistake {
        name: "a function nobody registered",
        make: |f| _ = f.replace("job.asaql", "SELECT k,", "SELECT udf.f(k) AS f,"),
        arguments: RUN,
        code: "unregistered-function",
        place: "job.asaql:1:",
        hint: "",
        exit: 4,
    },
    Mistake {
        name: "no arrival anywhere",
        make: |f| _ = f.write("feed.jsonl", "{\"k\":1}\n"),
        arguments: RUN,
        code: "input-empty",
        place: "feed.jsonl",
        hint: "a column `at`",
        exit: 4,
    },
    Mistake {
        name: "unknown output",
        make: |_| {},
        arguments: &["run", "job.toml", "--output", "other"],
        code: "unknown-output",
        place: "",
        hint: "it writes to counts",
        exit: 4,
    },
    Mistake {
        name: "no report",
        make: |f| _ = f.write("report.md", "# A report\n\nwithout a case\n"),
        arguments: REPLAY,
        code: "not-a-report",
        place: "report.md",
        hint: "```toml",
        exit: 125,
    },
    Mistake {
        name: "a restart with a query that is refused",
        make: |f| _ = f.write("report.md", REFUSED_RESTART),
        arguments: REPLAY,
        code: "unknown-stream",
        place: "query of a restart in report.md:1:24",
        hint: "declared streams: a",
        exit: 125,
    },
    Mistake {
        name: "a restart with more partitions than heartbeats can be journaled of",
        make: |f| {
            f.write(
                "report.md",
                &REFUSED_RESTART
                    .replace("query = \"SELECT k INTO out FROM nowhere\"", "partitions = 1024")
                    .replace(
                        "\"{}\" }",
                        "\"{}\" }, { in = \"a\", p = 0, at = \"2024-01-02T00:00:01Z\", data = \"{}\" }",
                    ),
            );
        },
        arguments: REPLAY,
        code: "case-heartbeat",
        place: "report.md",
        hint: "lengthen `heartbeat`",
        exit: 125,
    },
    Mistake {
        name: "half a report",
        make: |f| _ = f.write("report.md", &format!("# A report\n\n{}", &REFUSED_RESTART[..400])),
        arguments: REPLAY,
        code: "report-cut",
        place: "report.md:3",
        hint: "its ```toml block is never closed",
        exit: 125,
    },
    Mistake {
        name: "a report from the future",
        make: |f| _ = f.write("report.md", "# A report\n\n```toml\nformat = 999\n```\n"),
        arguments: REPLAY,
        code: "case-format",
        place: "report.md",
        hint: "",
        exit: 125,
    },
    Mistake {
        name: "no report file",
        make: |_| {},
        arguments: REPLAY,
        code: "report-unreadable",
        place: "report.md",
        hint: "there is no such file",
        exit: 125,
    },
    Mistake {
        name: "reports into a file",
        make: |f| _ = f.write("taken", ""),
        arguments: &["check", "job.toml", "--report", "taken"],
        code: "output",
        place: "taken/cli-reports-into-a-file",
        hint: "help: name another folder",
        exit: 4,
    },
    Mistake {
        name: "unknown plant",
        make: |_| {},
        arguments: &["check", "job.toml", "--plant", "roses"],
        code: if cfg!(feature = "plant") { "unknown-plant" } else { "plant-missing" },
        place: "",
        hint: if cfg!(feature = "plant") { "one of" } else { "--features plant" },
        exit: 4,
    },
];
