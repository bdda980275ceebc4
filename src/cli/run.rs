//! `rewindow run`: the rows of a job when nothing goes wrong, as JSON lines.
//!
//! The engine runs in the world, without faults; rows are given in order of (timestamp, output, partition),
//! with the output's name where the job has several. What was dropped is said on standard error.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use rewindow::errors::Problem;
use rewindow::job::{self, Job, Source};
use rewindow::text::{WIDTH, count, wrap};
use rewindow_query::plan::{Op, Output};
use rewindow_query::{Dropped, Plan, Row, json};
use rewindow_world::{RunOptions, try_run};
use serde_json::{Map, Value as Json};

use super::{Exit, screen, subject};

#[derive(Args)]
pub(super) struct Arguments {
    /// A job.toml
    job: PathBuf,
    /// Write the rows to this file
    #[arg(long)]
    out: Option<PathBuf>,
    /// Only the rows of this output
    #[arg(long)]
    output: Option<String>,
}

/// Dropped events named by place before they are only counted.
const DROPPED_MAX: usize = 5;

pub(super) fn run(arguments: &Arguments) -> Result<Exit, Problem> {
    let job = read_job(&arguments.job)?;
    let plan = &job.query.plan;
    let only = match &arguments.output {
        None => None,
        Some(name) => Some(plan.output(name).ok_or_else(|| unknown_output(plan, name))?),
    };
    screen::remarks(&job.log.remarks);
    let case = job.base();
    let subject = subject::of(plan, &case, None)?;
    let mut run = try_run(&case, plan, subject.as_ref(), RunOptions { trace: false })
        .map_err(|e| Problem::of_case(&e, &job.path))?;
    if let Some((_, reason)) = run.refused.pop() {
        return Err(Problem::new("refused", format!("the engine does not open this job: {reason}")));
    }
    let mut rows: Vec<Row> = run.deliveries.into_iter().flat_map(|delivery| delivery.rows).collect();
    rows.retain(|row| only.is_none_or(|output| row.output == output));
    rows.sort_by_key(|row| (row.timestamp, row.output, row.partition)); // stable: the order inside stays
    let text: String = rows.iter().map(|row| line(plan, row, only.is_none())).collect();
    match &arguments.out {
        None => super::print(&text)?,
        Some(path) => std::fs::File::create(path)
            .and_then(|mut f| f.write_all(text.as_bytes()))
            .map_err(|e| Problem::new("output", format!("the rows cannot be written: {e}")).in_file(path))?,
    }
    dropped(&job);
    super::note(&format!(
        "{} from {}",
        count(rows.len() as u64, "row"),
        count(job.log.history.entries.len() as u64, "entry")
    ));
    match run.failure {
        None => Ok(Exit::Held),
        Some(failure) => {
            let message = format!("the job fails at {}: {}", failure.at, failure.message);
            Err(Problem::new("job-fails", message)
                .help("rows stamped before that were given; nothing at or after it is owed (rule 14.2)"))
        }
    }
}

/// A job; a query alone has no events to run over.
pub(super) fn read_job(path: &std::path::Path) -> Result<Job, Problem> {
    match job::open(path)? {
        Source::Job(job) => Ok(*job),
        Source::Query(_) => Err(Problem::new("job-needed", "a query alone has no events").in_file(path).help(
            "write a job.toml beside it that names its inputs (see examples/); `rewindow plan` takes a query",
        )),
    }
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

/// Says on standard error which events did not reach the query, by reason and by line.
fn dropped(job: &Job) {
    let dropped = drops(job);
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

/// What the ordering stage drops: the model's answer to a plan of sources alone.
fn drops(job: &Job) -> Vec<Dropped> {
    let mut plan = job.query.plan.clone();
    plan.nodes.retain(|node| matches!(node.op, Op::Source(_)));
    plan.outputs = (0..plan.nodes.len()).map(|node| Output { name: node.to_string().into(), node }).collect();
    let mut dropped =
        rewindow_model::answer(&plan, &job.ordering, &job.partitions(), &job.log.history).dropped;
    dropped.dedup();
    dropped
}
