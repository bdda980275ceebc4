//! `rewindow run --nodes N`: the job in real threads, and its checkpoints in a folder.
//!
//! What is printed is what `run` prints without. Decides nothing of how tasks are run (`rewindow::runtime`).
//! Invariant: a folder of checkpoints is used for one job over the same events, and by one run at a time.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use rewindow::errors::Problem;
use rewindow::runtime::{self, Output, Ran, Settings, Work};
use rewindow_engine::codec::Writer;
use rewindow_engine::store::{DiskStore, MemoryStore, Seal, Store};
use rewindow_query::{Entry, Payload};

/// How a job is run in threads.
#[derive(Args)]
pub(super) struct Threads {
    /// Run the tasks of the job in so many threads, joined by links; the rows are the same
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256))]
    nodes: Option<u16>,
    /// Cut a job that is not fully parallel into so many keyed tasks; 0 for none [default: as many as nodes]
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(0..=256))]
    keyed: Option<u32>,
    /// Save the state in this folder: a run that was killed goes on where it was when started again
    #[arg(long, value_name = "DIR")]
    checkpoints: Option<PathBuf>,
    /// Save a task after so many entries [default: 10000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    checkpoint_every: Option<u64>,
}

/// After how many entries a task is saved.
const SAVE_EVERY: u64 = 10_000;
/// The blob that says whose checkpoints these are; the coordinator's names begin otherwise.
const RUN_OF: &str = "run-of";
/// Held for as long as a run uses the folder; no name of a blob.
const LOCK: &str = ".lock";

impl Threads {
    /// Whether threads are wanted at all.
    pub(super) fn asked(&self) -> bool {
        self.nodes.is_some()
            || self.keyed.is_some()
            || self.checkpoints.is_some()
            || self.checkpoint_every.is_some()
    }

    /// Runs the work and writes its lines to the file, or to standard output. `name` is all that the lines depend on
    /// besides the entries.
    pub(super) fn run(&self, work: &Work<'_>, name: &str, out: Option<&Path>) -> Result<Ran, Problem> {
        let nodes = self.nodes.unwrap_or(1);
        let settings = Settings {
            nodes: nodes.into(),
            keyed: self.keyed.unwrap_or(nodes.into()),
            save_every: self.checkpoint_every.unwrap_or(SAVE_EVERY),
        };
        let (store, _lock): (Box<dyn Store>, Option<File>) = match &self.checkpoints {
            None => (Box::new(MemoryStore::default()), None),
            Some(dir) => {
                // Opening takes away what a write has begun: nobody may be writing by then.
                let lock = lock(dir)?;
                let mut store = DiskStore::open(dir).map_err(|error| of_store(&error))?;
                let out = out.map(|path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned()));
                check_name(&mut store, dir, &seal_of(work, &format!("{name}\n{out:?}")))?;
                (Box::new(store), Some(lock))
            }
        };
        let Some(path) = out else { return runtime::run(work, settings, store, &mut Screen) };
        let file = OpenOptions::new().create(true).write(true).truncate(false).open(path);
        let mut file = file
            .map_err(|e| Problem::new("output", format!("the rows cannot be written: {e}")).in_file(path))?;
        runtime::run(work, settings, store, &mut file).map_err(|problem| match problem.code {
            "output" => problem.in_file(path),
            _ => problem,
        })
    }
}

/// Standard output: what was printed stays.
struct Screen;

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match io::stdout().lock().write_all(bytes) {
            // The reader has had enough, as `head` does.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(bytes.len()),
            done => done.map(|()| bytes.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match io::stdout().lock().flush() {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            done => done,
        }
    }
}

impl Output for Screen {
    fn settle(&mut self) -> io::Result<()> {
        self.flush()
    }

    fn cut(&mut self, _at: u64) -> io::Result<()> {
        Ok(())
    }
}

/// Makes the folder if it is not there, and keeps other runs out of it until the file is dropped.
fn lock(dir: &Path) -> Result<File, Problem> {
    std::fs::create_dir_all(dir).map_err(|error| {
        Problem::new("checkpoint-folder", format!("the folder cannot be made: {error}")).in_file(dir)
    })?;
    let path = dir.join(LOCK);
    let io = |error: io::Error| {
        Problem::new("checkpoint-folder", format!("the folder cannot be locked: {error}")).in_file(&path)
    };
    let file = File::create(&path).map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::Error(error)) => Err(io(error)),
        Err(TryLockError::WouldBlock) => {
            let problem = Problem::new("checkpoint-folder", "another run uses these checkpoints");
            Err(problem.in_file(dir).help("wait until it has ended, or name another folder"))
        }
    }
}

/// Refuses checkpoints of another job, of other events, or behind another output.
fn check_name(store: &mut DiskStore, dir: &Path, name: &[u8]) -> Result<(), Problem> {
    match store.get(RUN_OF).map_err(|error| of_store(&error))? {
        Some(found) if found == name => Ok(()),
        None => store.put(RUN_OF, name).map_err(|error| of_store(&error)),
        Some(_) => {
            let message =
                "these checkpoints are of another query, other events or settings, or another output";
            let help = "name an empty folder to begin, or run what they were begun with";
            Err(Problem::new("checkpoint-foreign", message).in_file(dir).help(help))
        }
    }
}

/// All that the text depends on, in a few bytes.
fn seal_of(work: &Work<'_>, name: &str) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.text(name);
    writer.text(&format!("{:?} {:?} {:?}", work.partitions, work.ordering, work.references));
    for entry in work.entries {
        let Entry { input, partition, offset, arrival, payload } = entry;
        writer.len(*input);
        writer.u32(*partition);
        writer.u64(*offset);
        writer.timestamp(*arrival);
        match payload {
            Payload::Event(record) => record.members().iter().for_each(|(name, value)| {
                writer.text(name);
                writer.value(value);
            }),
            other => writer.text(&format!("{other:?}")),
        }
    }
    let Seal { len, sum } = Seal::of(&writer.finish());
    let mut seal = Writer::default();
    seal.u32(1);
    seal.u64(len);
    seal.u64(sum);
    seal.finish()
}

fn of_store(error: &rewindow_engine::StoreError) -> Problem {
    Problem::new(error.code(), error.to_string())
}

/// The entries of all partitions in the order of arrival.
pub(super) fn in_order(entries: &[Entry]) -> Vec<&Entry> {
    let mut entries: Vec<&Entry> = entries.iter().collect();
    entries.sort_by_key(|e| (e.arrival, e.input, e.partition, e.offset));
    entries
}

/// Said where the run went on from checkpoints.
pub(super) fn say_resumed(ran: &Ran) {
    if ran.resumed > 0 {
        let tasks = rewindow::text::count(ran.resumed as u64, "task");
        super::note(&format!("{tasks} went on from checkpoints: what was dropped before is not told again"));
    }
}
