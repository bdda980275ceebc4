//! The pages in words: README, ARCHITECTURE, everything in `docs/` and beside the suites.
//!
//! What no other suite would catch: a link or a path that leads nowhere since something was moved, and a key of job.toml
//! that the reader knows and its page does not. The keys are asked of the reader itself: it names them all where it meets
//! one that it does not know.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::path::{Path, PathBuf};

use rewindow::generate::Trouble;
use rewindow::job::Job;
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error, StrDeserializer};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every page of the repository; not what a build or a tool put there.
fn pages() -> Vec<PathBuf> {
    fn look(folder: &Path, pages: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !name.starts_with('.') && !name.starts_with("target") {
                look(&path, pages);
            } else if name.ends_with(".md") {
                pages.push(path);
            }
        }
    }
    let mut pages = Vec::new();
    look(root(), &mut pages);
    pages.sort();
    assert!(pages.len() > 10 && pages.iter().any(|page| page.ends_with("docs/job.md")), "{pages:?}");
    pages
}

/// The lines of a page outside of fenced blocks.
fn prose(page: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(page).unwrap();
    let mut fenced = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            lines.push(line.to_owned());
        }
    }
    lines
}

/// The names under which the headings of a page can be linked to.
fn anchors(page: &Path) -> Vec<String> {
    let heading = |line: &String| {
        let words = line.trim_start_matches('#').trim();
        let kept = words.chars().filter(|c| c.is_alphanumeric() || "-_ ".contains(*c));
        kept.collect::<String>().to_lowercase().replace(' ', "-")
    };
    prose(page).iter().filter(|line| line.starts_with('#')).map(heading).collect()
}

/// What stands between `[words](` and `)`.
fn targets(line: &str) -> Vec<&str> {
    line.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target).collect()
}

#[test]
fn links_and_paths_of_the_pages_lead_somewhere() {
    let mut wrong = Vec::new();
    for page in pages() {
        for line in prose(&page) {
            let outside = |target: &&&str| !target.contains("://") && !target.starts_with("mailto:");
            for target in targets(&line).iter().filter(outside) {
                let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
                let path = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
                if !path.exists() || !anchor.is_empty() && !anchors(&path).iter().any(|own| own == anchor) {
                    wrong.push(format!("{}: {target}", page.display()));
                }
            }
            // Paths in words stand from the root, with the name of a room or of docs.
            let rooms =
                ["docs/", "src/", "tests/", "query/", "model/", "engine/", "world/", "examples/", "scripts/"];
            for quoted in line.split('`').skip(1).step_by(2) {
                let plain = quoted.chars().all(|c| c.is_alphanumeric() || "-_./".contains(c));
                let is_path = rooms.iter().any(|room| quoted.starts_with(room)) && plain;
                if is_path && !root().join(quoted).exists() {
                    wrong.push(format!("{}: `{quoted}`", page.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A job with every table, into which an unknown key is put.
const JOB: &str = r#"query = "job.asaql"
datediff = "elapsed"
# the file itself
[[inputs]]
name = "a"
paths = ["a.jsonl"]
arrival = "t"
partitions = 1
# [[inputs]]
[[references]]
name = "r"
versions = [{ from = "2024-01-01", path = "r.csv" }]
# [[references]]
[functions]
# [functions]
[ordering]
late = "5 s"
out_of_order = "0 s"
policy = "adjust"
# [ordering]
[deployment]
nodes = 1
checkpoint_interval = "1 min"
poll_interval = "1 s"
batch = 10
rate = 100
heartbeat = "5 min"
# [deployment]
[vary]
cases = 40
# [vary]
[regions]
names = ["east", "west"]
cases = 40
# [regions]
[subject]
# [subject]
"#;

/// What the reader says of a job.
fn refused(text: &str) -> String {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pages-job.toml");
    std::fs::write(&path, text).unwrap();
    Job::read(&path).unwrap_err().message
}

/// The keys that the reader names where it meets an unknown one.
fn keys(message: &str) -> Vec<String> {
    let (what, expected) = message.split_once("expected ").unwrap_or_else(|| panic!("{message}"));
    assert!(what.starts_with("unknown key `nonsense`"), "{message}");
    expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn the_page_of_job_toml_names_every_key_and_every_fault() {
    let page = prose(&root().join("docs/job.md"));
    let section = |heading: &str| -> String {
        let from = page.iter().position(|line| line == heading).unwrap_or_else(|| panic!("no {heading}"));
        let lines = page[from + 1..].iter().take_while(|line| !line.starts_with("## "));
        lines.map(|line| format!("{line}\n")).collect()
    };
    let mut found = 0;
    for (mark, heading) in [
        ("# the file itself", "## The file itself"),
        ("# [[inputs]]", "## `[[inputs]]`"),
        ("# [[references]]", "## `[[references]]`"),
        ("# [functions]", "## `[functions]`"),
        ("# [ordering]", "## `[ordering]`"),
        ("# [deployment]", "## `[deployment]`"),
        ("# [vary]", "## `[vary]`"),
        ("# [regions]", "## `[regions]`"),
        ("# [subject]", "## `[subject]`"),
    ] {
        let own = section(heading);
        let message = refused(&JOB.replace(&format!("{mark}\n"), "nonsense = 1\n"));
        for key in keys(&message) {
            let row = |line: &str| {
                line.starts_with("| `") && line.split(" | ").next().unwrap().contains(&format!("`{key}`"))
            };
            assert!(own.lines().any(row), "{heading} of docs/job.md has no row for `{key}`");
            found += 1;
        }
    }
    assert!(found > 40, "{found} keys");
    let version = refused(&JOB.replace("from = \"2024-01-01\"", "nonsense = 1"));
    assert!(keys(&version).iter().all(|key| section("## `[[references]]`").contains(&format!("`{key}`"))));

    let faults = section("## `[vary]`");
    let rows: Vec<Vec<&str>> =
        faults.lines().map(|line| line.trim_matches('|').split('|').map(str::trim).collect()).collect();
    for trouble in Trouble::ALL {
        let row = rows.iter().find(|row| row.last() == Some(&trouble.name()));
        let row = row.unwrap_or_else(|| panic!("no row for {}", trouble.name()));
        let word: StrDeserializer<'_, Error> = row[0].trim_matches('`').into_deserializer();
        assert_eq!(Trouble::deserialize(word), Ok(trouble), "{row:?}");
    }
}
