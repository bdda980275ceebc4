//! `rewindow run`: the rows of a job, or of a query over files, when nothing goes wrong, as JSON lines.
//!
//! The engine itself, shard by shard, without a world around it; rows are given in order of (timestamp, output,
//! partition), with the output's name where the job has several. What was dropped is said on standard error. That a
//! job fails is an answer, not a mistake in what was given: it has an exit of its own.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use rewindow::errors::Problem;
use rewindow::job::bare::{self, Bare, Named};
use rewindow::job::{self, Job, Log, Query, Source};
use rewindow::runtime::Work;
use rewindow::text::{WIDTH, count, number, wrap};
use rewindow_engine::instance::Produced;
use rewindow_engine::{References, Setup};
use rewindow_query::plan::{Group, Node, Op, Window};
use rewindow_query::{Dropped, Entry, Failure, Ordering, Plan, Row, Shard, Timestamp, Value, json};
use rewindow_world::language::Language;
use serde_json::{Map, Value as Json};

use super::{Exit, screen, threads};

#[derive(Args)]
pub(super) struct Arguments {
    /// A job.toml, or an .asaql query with a file for each of its inputs
    job: PathBuf,
    /// A stream of a query alone, and a file of its events by its ending: JSON, CSV, or Parquet (needs the
    /// feature `parquet`)
    #[arg(long, value_name = "NAME=FILE", value_parser = parse_file)]
    input: Vec<Named<PathBuf>>,
    /// Reference data of a query alone, and its file
    #[arg(long, value_name = "NAME=FILE", value_parser = parse_file)]
    reference: Vec<Named<PathBuf>>,
    /// The column that says when events of a stream arrived [default: they come in order of their own time]
    #[arg(long, value_name = "NAME=COLUMN", value_parser = parse_named)]
    arrival: Vec<Named<String>>,
    /// Write the rows to this file
    #[arg(long)]
    out: Option<PathBuf>,
    /// Only the rows of this output
    #[arg(long)]
    output: Option<String>,
    #[command(flatten)]
    threads: threads::Threads,
}

/// What is run: a job, or a query over files.
struct Material {
    query: Query,
    log: Log,
    ordering: Ordering,
    language: Language,
    partitions: Vec<u32>,
}

/// Most entries handed over at once; where they are cut does not matter.
const BATCH: usize = 256;
/// Rows of one batch above which the next one is smaller, so that a bound is met soon after it is passed.
const ROWS_OF_BATCH: usize = 1 << 16;
/// Most rows of a run: they are sorted, so they are held.
const ROWS_MAX: usize = 5_000_000;
/// Most bytes of what is in them, about.
const BYTES_MAX: usize = 1 << 30;
/// Most places of events in hopping windows: all may be open at once.
const PLACES_MAX: i64 = 10_000_000;
/// Dropped events named by place before they are only counted.
const DROPPED_MAX: usize = 5;

pub(super) fn run(arguments: &Arguments) -> Result<Exit, Problem> {
    let job = material(arguments)?;
    let plan = &job.query.plan;
    let only = match &arguments.output {
        None => None,
        Some(name) => Some(plan.output(name).ok_or_else(|| unknown_output(plan, name))?),
    };
    screen::remarks(&job.log.remarks);
    check_places(&job)?;
    if arguments.threads.asked() {
        return in_threads(&job, arguments, only);
    }
    let Ran { mut rows, dropped, failure, .. } = play(&job)?;
    if let Some(failure) = &failure {
        rows.retain(|row| row.timestamp < failure.at);
    }
    rows.retain(|row| only.is_none_or(|output| row.output == output));
    rows.sort_by_key(|row| (row.timestamp, row.output, row.partition)); // stable: the order inside stays
    let text: String = rows.iter().map(|row| line(plan, row, only.is_none())).collect();
    match &arguments.out {
        None => super::print(&text)?,
        Some(path) => std::fs::File::create(path)
            .and_then(|mut f| f.write_all(text.as_bytes()))
            .map_err(|e| Problem::new("output", format!("the rows cannot be written: {e}")).in_file(path))?,
    }
    end(&job, rows.len() as u64, &dropped, failure)
}

/// The same in threads: rows are written as they become certain, in the same order.
fn in_threads(job: &Material, arguments: &Arguments, only: Option<usize>) -> Result<Exit, Problem> {
    let plan = &job.query.plan;
    let entries = threads::in_order(&job.log.history.entries);
    let work = Work {
        plan: Arc::new(plan.clone()),
        partitions: &job.partitions,
        ordering: job.ordering,
        references: Arc::new(References::new(&job.log.history.references)),
        entries: &entries,
        read: &|entry| job.language.read(entry),
        line: &|row| only.is_none_or(|output| row.output == output).then(|| line(plan, row, only.is_none())),
    };
    let name = format!("{}\n{:?}\n{only:?}", job.query.text, job.language);
    let ran = arguments.threads.run(&work, &name, arguments.out.as_deref())?;
    threads::say_resumed(&ran);
    end(job, ran.rows, &ran.dropped, ran.failure)
}

/// Says what became of the run.
fn end(job: &Material, rows: u64, dropped: &[Dropped], failure: Option<Failure>) -> Result<Exit, Problem> {
    say_dropped(job, dropped);
    let entries = job.log.history.entries.len() as u64;
    super::note(&format!("{} from {}", count(rows, "row"), count(entries, "entry")));
    match failure {
        None => Ok(Exit::Held),
        Some(failure) => {
            let message = format!("the job fails at {}: {}", failure.at, failure.message);
            let help = "rows stamped before that were given; nothing at or after it is owed (rule 14.2)";
            super::tell(&Problem::new("job-fails", message).help(help));
            Ok(Exit::Broken)
        }
    }
}

/// What the arguments say is to be run.
fn material(arguments: &Arguments) -> Result<Material, Problem> {
    let Arguments { input, reference, arrival, .. } = arguments;
    let source = job::open(&arguments.job)?;
    let query = match &source {
        Source::Query(query) => query,
        Source::Job(job) => &job.query,
    };
    query.check_functions()?;
    match source {
        Source::Query(query) => {
            let Bare { query, log } = Bare::read(query, input, reference, arrival)?;
            let partitions = vec![1; query.plan.inputs.len()];
            Ok(Material { query, log, ordering: bare::DEFAULTS, language: Language::default(), partitions })
        }
        Source::Job(_) if !(input.is_empty() && reference.is_empty() && arrival.is_empty()) => {
            let message = "--input, --reference and --arrival are for a query alone";
            Err(Problem::new("job-complete", message).in_file(&arguments.job).help(
                "a job.toml names its inputs itself; to run its query over other files, name the query",
            ))
        }
        Source::Job(job) => {
            let partitions = job.partitions();
            let Job { query, log, ordering, language, .. } = *job;
            Ok(Material { query, log, ordering, language, partitions })
        }
    }
}

/// A job whose query can run; a query alone has no events to check it over.
pub(super) fn read_job(path: &Path) -> Result<Job, Problem> {
    match job::open(path)? {
        Source::Job(job) => job.query.check_functions().map(|()| *job),
        Source::Query(_) => {
            Err(Problem::new("job-needed", "a query alone has no events").in_file(path).help(
                "write a job.toml beside it that names its inputs (see examples/); `rewindow plan` and \
             `rewindow run` take a query",
            ))
        }
    }
}

fn parse_named(text: &str) -> Result<Named<String>, String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !value.is_empty() => {
            Ok(Named { name: name.to_owned(), value: value.to_owned() })
        }
        _ => Err("a name of the query, `=`, and what belongs to it".to_owned()),
    }
}

fn parse_file(text: &str) -> Result<Named<PathBuf>, String> {
    parse_named(text).map(|Named { name, value }| Named { name, value: value.into() })
}

fn unknown_output(plan: &Plan, name: &str) -> Problem {
    let names: Vec<&str> = plan.outputs.iter().map(|o| &*o.name).collect();
    Problem::new("unknown-output", format!("the query has no output `{name}`"))
        .help(format!("it writes to {}", names.join(", ")))
}

fn line(plan: &Plan, row: &Row, all: bool) -> String {
    let record = json::record_to_json(&row.record);
    if !all || plan.outputs.len() == 1 {
        return format!("{record}\n");
    }
    let mut object = Map::new();
    object.insert("output".to_owned(), Json::String(plan.outputs[row.output].name.to_string()));
    object.insert("row".to_owned(), record);
    format!("{}\n", Json::Object(object))
}

/// What came of a run.
struct Ran {
    rows: Vec<Row>,
    dropped: Vec<Dropped>,
    failure: Option<Failure>,
    /// Of the rows, about.
    bytes: usize,
}

impl Ran {
    /// Whether it is more than can be held.
    fn is_full(&self) -> bool {
        self.rows.len() > ROWS_MAX || self.bytes > BYTES_MAX
    }
}

/// What a value takes, about.
fn bytes(value: &Value) -> usize {
    match value {
        Value::Text(text) => text.len(),
        Value::Array(items) => items.iter().map(bytes).sum(),
        Value::Record(record) => record.members().iter().map(|(_, value)| bytes(value)).sum(),
        _ => size_of::<Value>(),
    }
}

/// Feeds every shard its entries in order of arrival, as a job that nothing happens to.
fn play(job: &Material) -> Result<Ran, Problem> {
    let plan = Arc::new(job.query.plan.clone());
    let entries = threads::in_order(&job.log.history.entries);
    let mut ran = Ran { rows: Vec::new(), dropped: Vec::new(), failure: None, bytes: 0 };
    let references = Arc::new(References::new(&job.log.history.references));
    for shard in plan.shards(&job.partitions) {
        if let Err(failure) = play_shard(&plan, shard, job, &references, &entries, &mut ran) {
            let first = ran.failure.take().filter(|known| known.at <= failure.at);
            ran.failure = Some(first.unwrap_or(failure));
        }
        if ran.is_full() {
            let (rows, bytes) = (number(ROWS_MAX as u64), BYTES_MAX >> 20);
            return Err(too_many(format!("the query gives more than {rows} rows or {bytes} MiB of them")));
        }
    }
    ran.dropped.sort_unstable();
    ran.dropped.dedup();
    Ok(ran)
}

/// Feeds a shard until it has given too many rows.
fn play_shard(
    plan: &Arc<Plan>,
    shard: Shard,
    job: &Material,
    references: &Arc<References>,
    entries: &[&Entry],
    ran: &mut Ran,
) -> Result<(), Failure> {
    let reads = shard.reads.clone();
    let setup = Setup::new(plan.clone(), shard, job.ordering).with_references(references.clone());
    let mut instance = setup.start(Timestamp::MIN);
    let mut keep = |produced: Produced| {
        let count = produced.rows.len();
        ran.bytes += produced.rows.iter().map(|row| bytes(&Value::Record(row.record.clone()))).sum::<usize>();
        ran.rows.extend(produced.rows);
        ran.dropped.extend(produced.dropped);
        (count, ran.is_full())
    };
    let mut own = entries.iter().filter(|e| reads.contains(&(e.input, e.partition))).peekable();
    let (mut batch, mut most): (Vec<Entry>, usize) = (Vec::new(), BATCH / 64);
    while let Some(entry) = own.next() {
        batch.push(job.language.read(entry));
        let goes_on = |next: &&&Entry| (next.input, next.partition) == (entry.input, entry.partition);
        if batch.len() >= most || !own.peek().is_some_and(goes_on) {
            let (rows, full) = keep(instance.feed(entry.input, entry.partition, &batch)?);
            if full {
                return Ok(());
            }
            most = if rows > ROWS_OF_BATCH { (most / 2).max(1) } else { (most * 2).min(BATCH) };
            batch.clear();
        }
    }
    keep(instance.finish()?);
    // What fails in the rows of the end has no later call to be told by.
    instance.failure().map_or(Ok(()), |failure| Err(failure.clone()))
}

/// Refuses hopping windows so close that all places of events in them could not be held.
fn check_places(job: &Material) -> Result<(), Problem> {
    let entries = i64::try_from(job.log.history.entries.len()).unwrap_or(i64::MAX);
    let places = |node: &Node| match &node.op {
        Op::Group(Group { window: Window::Hopping { size, hop, .. }, .. }) => (size.0 / hop.0.max(1)).max(1),
        _ => 1,
    };
    let most = job.query.plan.nodes.iter().map(places).max().unwrap_or(1);
    if entries.saturating_mul(most) <= PLACES_MAX || most == 1 {
        return Ok(());
    }
    let (entries, most) = (count(entries.unsigned_abs(), "entry"), count(most.unsigned_abs(), "window"));
    Err(too_many(format!("{entries}, each in {most} of one GROUP BY, are too many to be held")))
}

fn too_many(message: String) -> Problem {
    Problem::new("limit-rows", message)
        .help("a longer hop, a narrower join, or fewer events; `run` holds all rows to sort them")
}

/// Says on standard error which events did not reach the query, by reason and by line.
fn say_dropped(job: &Material, dropped: &[Dropped]) {
    let mut reasons: Vec<_> = dropped.iter().map(|d| d.reason).collect();
    reasons.sort_unstable();
    reasons.dedup();
    for reason in reasons {
        let of_kind: Vec<&Dropped> = dropped.iter().filter(|d| d.reason == reason).collect();
        let place = |d: &&Dropped| job.log.place(d.input, d.partition, d.offset);
        let mut places: Vec<String> = of_kind.iter().take(DROPPED_MAX).filter_map(place).collect();
        if of_kind.len() > DROPPED_MAX {
            places.push("…".to_owned());
        }
        let head = format!("dropped {}: {}", reason.name(), count(of_kind.len() as u64, "event"));
        super::note(&wrap(&format!("{head}: {}", places.join(", ")), WIDTH, 3));
    }
}
