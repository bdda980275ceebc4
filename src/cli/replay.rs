//! `rewindow replay`: the case of a report or case file, once more. Made for `git bisect run`.

use std::path::{Path, PathBuf};

use clap::Args;
use rewindow::errors::Problem;
use rewindow::judge::{Truth, Verdict};
use rewindow::report::{Finding, Origin, ReadError, first_difference, read, recoveries, recoveries_text};
use rewindow::trial::RefusedJob;
use rewindow::{job, trial};
use rewindow_world::journal::Journal;
use rewindow_world::regions::RegionsCase;

use super::{Exit, Format, broken, pairs, subject};

#[derive(Args)]
pub(super) struct Arguments {
    /// A report.md or a case.toml
    pub(super) case: PathBuf,
    /// Plant the bug that the report is about (needs the feature `plant`)
    #[arg(long, value_name = "NAME")]
    plant: Option<String>,
    /// Report every recovery: what was used, what was read again, how long it took, what is lost
    #[arg(long)]
    pub(super) recoveries: bool,
    /// How the result is written
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(super) format: Format,
}

/// Largest report that is read, in bytes.
const REPORT_MAX: u64 = 64 << 20;

pub(super) fn replay(arguments: &Arguments) -> Result<Exit, Problem> {
    let make = subject::maker(arguments.plant.as_deref())?;
    let path = &arguments.case;
    let text = job::read_text(path, "report-unreadable", "the report", REPORT_MAX)?;
    if RegionsCase::is_one(&text) {
        return pairs::replay(&text, arguments, &*make);
    }
    let case = read(&text).map_err(|error| match error {
        ReadError::NotAReport => Problem::new("not-a-report", "there is no case in this file")
            .in_file(path)
            .help("a report.md holds one in its ```toml block; a case.toml begins with `format = 1`"),
        ReadError::Cut(line) => {
            let message = "the report is cut off: its ```toml block is never closed";
            let name = format!("{}:{line}", path.display());
            Problem::new("report-cut", message).in_file(Path::new(&name)).help(
                "get the whole report, down to the line of ``` behind the case, or the case.toml beside it",
            )
        }
        ReadError::UnreadableCase(error) => Problem::of_case(&error, path),
    })?;
    case.check().map_err(|error| Problem::of_case(&error, path))?;
    let query = PathBuf::from(format!("query of {}", path.display()));
    let truth = Truth::of(&case).map_err(|error| Problem::of_query(error, &query, &case.query))?;
    Journal::of(&case, &truth.plan).map_err(|error| Problem::of_case(&error, path))?;
    match trial::refused_job(&case, &truth.plan) {
        Some(RefusedJob::Query(other, error)) => {
            let query = PathBuf::from(format!("query of a restart in {}", path.display()));
            return Err(Problem::of_query(error, &query, &other.query));
        }
        Some(RefusedJob::Case(error)) => return Err(Problem::of_case(&error, path)),
        None => {}
    }
    let subject = make(&truth.plan, &case);
    let (run, verdict) = trial::trial_twice(&truth, &case, subject.as_ref());
    let told = match arguments.recoveries {
        true => format!("\n{}", recoveries_text(&truth, &case, &run)),
        false => String::new(),
    };
    let Verdict::Broken(breach) = verdict else {
        super::print(&match arguments.format {
            Format::Text => format!("held  {} does not break\n{told}", case.name),
            Format::Json => {
                let mut value = serde_json::json!({ "version": 1, "verdict": "held", "case": case.name });
                if arguments.recoveries {
                    value["recoveries"] = serde_json::json!(recoveries(&truth, &case, &run));
                }
                super::json(&value)?
            }
        })?;
        return Ok(Exit::Held);
    };
    let state = first_difference(&truth, &case, &breach, subject.as_ref());
    let replay = subject::replay_command(path, arguments.plant.as_deref());
    let origin = Origin { driver: "replay".to_owned(), seed: None, case: None };
    let finding = Finding {
        case: &case,
        truth: &truth,
        run: &run,
        breach: &breach,
        origin: &origin,
        shrinking: None,
        state: state.as_ref(),
        replay: &replay,
    };
    super::print(&match arguments.format {
        Format::Text => broken::screen(&finding, None) + &told,
        Format::Json => rewindow::report::json(&finding),
    })?;
    Ok(Exit::of(breach.kind))
}
