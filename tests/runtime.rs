//! Claims 1 and 2 of the threaded runtime: whatever the numbers of threads and keyed tasks, however often it is killed and
//! started again over its store, the text of a job is that of the model's rows, byte for byte.
//!
//! What no other suite would catch: a row, a packet or a checkpoint lost between real threads, and a file of rows that is
//! not the same after a SIGKILL. Nothing here depends on how long anything takes.

#![allow(clippy::unwrap_used)]

mod support;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use rewindow::choices::{Choices, Seeded};
use rewindow::generate::small_case;
use rewindow::judge::Truth;
use rewindow::runtime::{Output, Ran, Settings, Work, run};
use rewindow_engine::store::{MemoryStore, Store, StoreError};
use rewindow_engine::{Layout, References, Role};
use rewindow_query::{Entry, Row};
use rewindow_world::case::Case;
use support::{Reached, Search, operator, truth};

/// A store that outlives a run, as a folder does.
#[derive(Clone, Default)]
struct Folder(Arc<Mutex<MemoryStore>>);

impl Store for Folder {
    fn put(&mut self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.0.lock().unwrap().put(name, bytes)
    }
    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.lock().unwrap().get(name)
    }
    fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.0.lock().unwrap().list(prefix)
    }
    fn remove(&mut self, name: &str) -> Result<(), StoreError> {
        self.0.lock().unwrap().remove(name)
    }
}

/// A file that takes so many bytes and then no more, in the middle of a line if it comes so.
struct Sheet<'a> {
    text: &'a mut Vec<u8>,
    most: usize,
}

impl Write for Sheet<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.most.saturating_sub(self.text.len());
        if room == 0 && !bytes.is_empty() {
            return Err(io::Error::other("planted"));
        }
        let taken = room.min(bytes.len());
        self.text.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Output for Sheet<'_> {
    fn settle(&mut self) -> io::Result<()> {
        Ok(())
    }
    fn cut(&mut self, at: u64) -> io::Result<()> {
        self.text.cut(at)
    }
}

/// Everything there is to a row. Zeros are equal whatever their sign, and which of them a group shows is not promised
/// (C-KEY).
fn line(row: &Row) -> String {
    format!("{row:?}\n").replace("Float(-0.0)", "Float(0.0)")
}

/// The lines of rows in the order of a run.
fn text(rows: &[Row]) -> String {
    let mut rows: Vec<&Row> = rows.iter().collect();
    rows.sort_by_key(|row| (row.timestamp, row.output, row.partition));
    rows.into_iter().map(line).collect()
}

/// Something to run, as often as one likes.
struct Job<'a> {
    case: &'a Case,
    truth: &'a Truth,
    partitions: Vec<u32>,
    entries: Vec<&'a Entry>,
}

impl<'a> Job<'a> {
    fn new(case: &'a Case, truth: &'a Truth) -> Job<'a> {
        let mut entries: Vec<&Entry> = case.history.entries.iter().collect();
        entries.sort_by_key(|e| (e.arrival, e.input, e.partition, e.offset));
        let partitions = case.partitions(&truth.plan).expect("the streams of a small case");
        Job { case, truth, partitions, entries }
    }

    fn run(&self, settings: Settings, store: &Folder, out: &mut dyn Output) -> Result<Ran, String> {
        self.run_reading(settings, store, out, &|entry| self.case.language.read(entry))
    }

    fn run_reading(
        &self,
        settings: Settings,
        store: &Folder,
        out: &mut dyn Output,
        read: &(dyn Fn(&Entry) -> Entry + Sync),
    ) -> Result<Ran, String> {
        let plan = &self.truth.plan;
        let work = Work {
            plan: plan.clone(),
            partitions: &self.partitions,
            ordering: self.case.ordering,
            references: Arc::new(References::new(&self.case.references_of(plan))),
            entries: &self.entries,
            read,
            line: &|row| Some(line(row)),
        };
        run(&work, settings, Box::new(store.clone()), out).map_err(|problem| problem.message)
    }
}

/// Runs a case in threads, killed at some bytes of the text and started again, perhaps in other numbers.
fn in_threads(case: &Case, choices: &mut dyn Choices) -> Result<Vec<String>, String> {
    let truth = truth(case);
    let job = Job::new(case, &truth);
    let expected = text(&truth.answer.rows);
    let (store, mut written, mut met) = (Folder::default(), Vec::new(), Vec::new());
    let keyed = choices.draw(4) as u32;
    let mut settings = || Settings { nodes: 1 + choices.index(4), keyed, save_every: 1 + choices.draw(12) };
    let stops = [settings(), settings()];
    let last = settings();
    for settings in stops {
        let most = choices.index(expected.len() + 1);
        let ran = job.run(settings, &store, &mut Sheet { text: &mut written, most });
        match ran {
            Err(message) if message.contains("planted") => met.push("killed".to_owned()),
            Err(message) => return Err(message),
            Ok(_) => met.push("came to its end".to_owned()),
        }
        if !expected.as_bytes().starts_with(&written) {
            return Err(format!(
                "{}\nis not how this begins:\n{expected}",
                String::from_utf8_lossy(&written)
            ));
        }
    }
    let ran = job.run(last, &store, &mut written)?;
    if written != expected.as_bytes() {
        return Err(format!("threads give\n{}\nthe model\n{expected}", String::from_utf8_lossy(&written)));
    }
    if ran.rows != truth.answer.rows.len() as u64 {
        return Err(format!("{} rows were counted, not {}", ran.rows, truth.answer.rows.len()));
    }
    let (failed, owed) = (&ran.failure, &truth.answer.failure);
    if failed.as_ref().map(|failure| failure.at) != owed.as_ref().map(|failure| failure.at) {
        return Err(format!("failed {failed:?}, not {owed:?}"));
    }
    if ran.resumed > 0 {
        met.push("went on from a checkpoint".to_owned());
    }
    if failed.is_some() {
        met.push("failure".to_owned());
    }
    if !expected.is_empty() {
        let layout = Layout::staged(&truth.plan, &job.partitions, keyed);
        met.extend(layout.tasks.iter().map(|task| match task.role {
            Role::Whole => "whole".to_owned(),
            Role::Partition { .. } => "partition".to_owned(),
            Role::Keyed { .. } => "keyed".to_owned(),
            Role::Merge => "merge".to_owned(),
        }));
        met.extend(truth.plan.nodes.iter().map(|node| operator(&node.op).to_owned()));
    }
    Ok(met)
}

#[test]
fn threads_give_the_text_of_the_model_however_often_they_are_killed() {
    let search = Search::new("runtime", 3_000);
    let mut reached = Reached::default();
    search.run(
        |_, choices| {
            let case = Case { faults: Vec::new(), ..small_case(choices) };
            in_threads(&case, choices).map_err(|why| format!("{why}\n{}", case.to_toml()))
        },
        |met| met.into_iter().for_each(|what| reached.note(what)),
    );
    let runs = ["killed", "came to its end", "went on from a checkpoint", "failure"];
    let roles = ["whole", "partition", "keyed", "merge"];
    let operators =
        ["tumbling", "hopping", "sliding", "session", "snapshot", "join", "left join", "lag", "union"];
    let names: Vec<&str> = [&runs[..], &roles, &operators].concat();
    search.require(&reached, &names);
}

#[test]
fn a_thread_that_panics_ends_the_run_instead_of_hanging_it() {
    let cases = (0..200).map(|number| small_case(&mut Seeded::new(1, number)));
    let mut panicked = 0;
    for case in cases.filter(|case| case.history.entries.len() > 4) {
        let truth = truth(&case);
        let job = Job::new(&case, &truth);
        let third = job.entries[2];
        let read = |entry: &Entry| {
            assert!(!std::ptr::eq(entry, third), "planted");
            case.language.read(entry)
        };
        let settings = Settings { nodes: 3, keyed: 2, save_every: 3 };
        let run = || job.run_reading(settings, &Folder::default(), &mut Vec::new(), &read);
        let came = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
        // A shard that had failed before reads no further.
        panicked += u32::from(came.is_err());
    }
    assert!(panicked > 50, "only {panicked} runs met the entry");
}

fn rewindow(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rewindow"));
    command.arg("run").args(arguments).current_dir(env!("CARGO_MANIFEST_DIR"));
    command
}

fn printed(arguments: &[&str]) -> String {
    let output = rewindow(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_example_prints_the_same_in_threads() {
    let mut examples = 0;
    for folder in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")).unwrap() {
        let job = folder.unwrap().path().join("job.toml");
        if !job.exists() {
            continue;
        }
        let job = job.to_str().unwrap();
        let alone = printed(&[job]);
        assert!(!alone.is_empty(), "{job} gives rows");
        for threads in [&["--nodes", "1"][..], &["--nodes", "3", "--checkpoint-every", "100"]] {
            let arguments = [&[job], threads].concat();
            assert!(printed(&arguments) == alone, "{arguments:?} prints other rows");
        }
        examples += 1;
    }
    assert!(examples >= 6, "only {examples} examples were found");
}

/// A folder of its own.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("runtime-{name}"));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

const QUERY: &str = "SELECT k, COUNT(*) AS n INTO counts FROM feed TIMESTAMP BY t\n\
    GROUP BY k, HoppingWindow(second, 60, 10)\n";

/// Many events of a few keys.
fn feed(count: u32) -> String {
    let line = |i: u32| {
        let (hour, minute, second) = (i / 3600, i / 60 % 60, i % 60);
        format!("{{\"k\":{},\"t\":\"2024-01-01T{hour:02}:{minute:02}:{second:02}Z\"}}\n", i % 7)
    };
    (0..count).map(line).collect()
}

#[test]
fn a_file_of_rows_is_the_same_after_kills() {
    let folder = folder("killed");
    let at = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    std::fs::write(at("job.asaql"), QUERY).unwrap();
    std::fs::write(at("feed.jsonl"), feed(40_000)).unwrap();
    let (query, input) = (at("job.asaql"), format!("feed={}", at("feed.jsonl")));
    let common = [query.as_str(), "--input", &input, "--arrival", "feed=t"];
    let whole = printed(&common);
    assert!(whole.len() > 100_000, "a text that can be cut");
    let (out, checkpoints) = (at("rows.jsonl"), at("checkpoints"));
    let threads = ["--nodes", "3", "--checkpoint-every", "500", "--checkpoints", &checkpoints, "--out", &out];
    let arguments = [&common[..], &threads].concat();
    let mut killed = 0;
    for part in 1..=3 {
        let mut child = rewindow(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let size = || std::fs::metadata(&out).map_or(0, |file| file.len());
        // Looks until the file is so long, or the run has ended.
        while size() < (whole.len() / 4 * part) as u64 && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        killed += u32::from(child.try_wait().unwrap().is_none());
        let _ = child.kill();
        child.wait().unwrap();
        let written = std::fs::read(&out).unwrap_or_default();
        assert!(whole.as_bytes().starts_with(&written), "what is in the file is right");
    }
    assert!(killed > 0, "no run was killed on its way");
    let last = rewindow(&arguments).output().unwrap();
    let said = String::from_utf8_lossy(&last.stderr);
    assert!(last.status.success(), "{said}");
    assert!(said.contains("went on from checkpoints"), "{said}");
    assert!(std::fs::read_to_string(&out).unwrap() == whole, "the file is that of a run that was not killed");

    // The same folder for something else.
    std::fs::write(at("feed.jsonl"), feed(39_999)).unwrap();
    let other = rewindow(&arguments).output().unwrap();
    let said = String::from_utf8_lossy(&other.stderr);
    assert!(!other.status.success() && said.contains("checkpoint-foreign"), "{said}");
}

#[test]
fn a_run_that_is_refused_leaves_the_one_that_runs_its_files() {
    let folder = folder("locked");
    let at = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    std::fs::write(at("job.asaql"), QUERY).unwrap();
    std::fs::write(at("feed.jsonl"), feed(10)).unwrap();
    let (query, input, checkpoints) =
        (at("job.asaql"), format!("feed={}", at("feed.jsonl")), at("checkpoints"));
    // One runs, and is in the middle of a write.
    std::fs::create_dir_all(&checkpoints).unwrap();
    let lock = std::fs::File::create(at("checkpoints/.lock")).unwrap();
    lock.lock().unwrap();
    std::fs::write(at("checkpoints/.tmp-t0-e1-n5"), "half").unwrap();
    let arguments = [query.as_str(), "--input", &input, "--arrival", "feed=t", "--checkpoints", &checkpoints];
    let second = rewindow(&arguments).output().unwrap();
    let said = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(4), "{said}");
    assert!(said.contains("another run uses these checkpoints"), "{said}");
    assert_eq!(std::fs::read_to_string(at("checkpoints/.tmp-t0-e1-n5")).unwrap(), "half");
    // It has ended: what it had begun to write goes.
    drop(lock);
    assert!(rewindow(&arguments).output().unwrap().status.success());
    assert!(!folder.join("checkpoints/.tmp-t0-e1-n5").exists());
}

#[test]
fn what_else_lies_in_the_folder_of_checkpoints_stays() {
    let folder = folder("others");
    let at = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    std::fs::write(at("job.asaql"), QUERY).unwrap();
    std::fs::write(at("feed.jsonl"), feed(2_000)).unwrap();
    let (query, input, checkpoints) =
        (at("job.asaql"), format!("feed={}", at("feed.jsonl")), at("checkpoints"));
    std::fs::create_dir_all(at("checkpoints/tmp")).unwrap();
    std::fs::write(at("checkpoints/todo"), "mine").unwrap();
    let arguments = [query.as_str(), "--input", &input, "--arrival", "feed=t", "--checkpoints", &checkpoints];
    let run = rewindow(&arguments).args(["--checkpoint-every", "500"]).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    assert_eq!(std::fs::read_to_string(at("checkpoints/todo")).unwrap(), "mine");
    assert!(folder.join("checkpoints/tmp").is_dir());
}
