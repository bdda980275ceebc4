//! `rewindow check`: many failure schedules of a job, judged; the first that breaks, shrunk and reported.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use rewindow::budget::{self, Budget, ChosenSeed, Determinism, Seed, Stopwatch};
use rewindow::campaign::{Broken, Campaign, Outcome};
use rewindow::errors::Problem;
use rewindow::job::Job;
use rewindow::judge::Truth;
use rewindow::report::{Finding, Origin, Shrinking, first_difference};
use rewindow::shard::Shard;
use rewindow::text::{WIDTH, count, number, wrap};
use rewindow::trial::{self, Maker};
use rewindow_world::journal::Journal;
use serde_json::json;

use super::pairs::Judged;
use super::{Exit, Format, broken, pairs, run, screen, subject};

/// How many smaller cases are tried, at most; a number and no time, so that the result is the same
/// everywhere.
const TRIES_MAX: u64 = 4_000;

#[derive(Args)]
pub(super) struct Arguments {
    /// A job.toml
    job: PathBuf,
    /// How many schedules [default: as the job says; or REWINDOW_CASES]
    #[arg(long, value_parser = budget::parse_cases)]
    cases: Option<u64>,
    /// Only part I of N: no schedule is in two, all are the whole; never undecided for what it did not reach
    #[arg(long, value_name = "I/N", value_parser = Shard::parse)]
    shard: Option<Shard>,
    /// A number, `commit` or `random` [default: from name and version; or REWINDOW_SEED]
    #[arg(long, value_parser = budget::parse_seed)]
    seed: Option<Seed>,
    /// No new schedule after this long, such as `90s` [or REWINDOW_TIME]
    #[arg(long, value_parser = budget::parse_time)]
    time: Option<Duration>,
    /// How many threads; the result does not depend on it [or REWINDOW_JOBS]
    #[arg(long, value_parser = budget::parse_jobs)]
    jobs: Option<usize>,
    /// Plant a bug, to see it found (needs the feature `plant`)
    #[arg(long, value_name = "NAME")]
    plant: Option<String>,
    /// Where reports go [default: target/rewindow; or REWINDOW_REPORT_DIR]
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// How the result is written
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// List all states that were reached
    #[arg(long)]
    reached: bool,
}

pub(super) fn check(arguments: &Arguments) -> Result<Exit, Problem> {
    let given = Budget {
        cases: arguments.cases,
        time: arguments.time,
        seed: arguments.seed,
        jobs: arguments.jobs,
        determinism: None,
        report_dir: arguments.report.clone(),
    };
    let budget = given.or(Budget::from_environment()?);
    let make = subject::maker(arguments.plant.as_deref())?;
    let job = run::read_job(&arguments.job)?;
    subject::can_show(arguments.plant.as_deref(), &job.query.plan, job.deployment.sink)?;
    let seed = budget.seed_for(&job.name, job.folder())?;
    screen::remarks(&job.log.remarks);
    let folder = report_folder(&budget, &job);
    if budget.report_dir.is_some() {
        try_folder(&folder)?;
    }
    let text = arguments.format == Format::Text;
    if text {
        super::print(&screen::header(&job, &seed))?;
    }
    let base = job.base();
    // What no run could begin with is the job's mistake, and no refusal of the system under test.
    Journal::of(&base, &job.query.plan).map_err(|error| Problem::of_case(&error, &arguments.job))?;
    let truth = Truth::of_plan(Arc::new(job.query.plan.clone()), &base);
    let campaign = Campaign {
        base: &base,
        truth: &truth,
        vary: &job.vary,
        subject: &*make,
        seed: seed.number,
        cases: budget.cases.unwrap_or(job.cases),
        shard: arguments.shard.unwrap_or(Shard::WHOLE),
        threads: budget.threads(),
        determinism: budget.determinism.unwrap_or(Determinism::Sample),
    };
    let watch = Stopwatch::start();
    let outcome = judge_all(&campaign, budget.time, watch);
    let taken = watch.elapsed();
    let found =
        Found { job: &job, campaign: &campaign, seed: &seed, arguments, budget: &budget, folder: &folder };
    let exit = match &outcome.broken {
        Some(broken) => found.broken(broken, watch)?,
        None => {
            let stop = || budget.time.is_some_and(|time| watch.elapsed() >= time);
            let pairs = found.pairs(&*make, &stop)?;
            let exit = found.held(&outcome, pairs.as_ref())?;
            if let Some(plant) = &arguments.plant {
                super::note(&wrap(&format!("remark: {}", subject::not_found(plant)), WIDTH, 3));
            }
            exit
        }
    };
    let per_second = outcome.summary.held as f64 / taken.as_secs_f64().max(1e-6);
    super::note(&format!(
        "judged for {:.1} s, {} schedules a second on {}",
        taken.as_secs_f64(),
        number(per_second as u64),
        count(campaign.threads as u64, "thread")
    ));
    Ok(exit)
}

fn judge_all(campaign: &Campaign<'_>, time: Option<Duration>, watch: Stopwatch) -> Outcome {
    let bar = screen::progress_bar(campaign.shard.count(campaign.cases));
    let stop = || time.is_some_and(|time| watch.elapsed() >= time);
    let outcome = campaign.run(&stop, &mut |summary| {
        bar.set_position(summary.held);
        bar.set_message(screen::progress_text(summary));
    });
    bar.finish_and_clear();
    outcome
}

/// What is needed to say what was found.
struct Found<'a> {
    job: &'a Job,
    campaign: &'a Campaign<'a>,
    seed: &'a ChosenSeed,
    arguments: &'a Arguments,
    budget: &'a Budget,
    folder: &'a Path,
}

impl Found<'_> {
    /// What came of the pairs, for a job in two regions.
    fn pairs(&self, subject: &Maker<'_>, stop: &dyn Fn() -> bool) -> Result<Option<Judged>, Problem> {
        let search = pairs::Search {
            job: self.job,
            seed: self.seed.number,
            shard: self.campaign.shard,
            threads: self.campaign.threads,
            subject,
            truth: self.campaign.truth,
            folder: self.folder,
            plant: self.arguments.plant.as_deref(),
        };
        search.judge(stop)
    }

    fn held(&self, outcome: &Outcome, pairs: Option<&Judged>) -> Result<Exit, Problem> {
        let (vary, summary) = (self.campaign.vary, &outcome.summary);
        let never = summary.not_reached(vary);
        let (exit, verdict) = match pairs.map_or(Exit::Held, |pairs| pairs.exit) {
            // A part of a campaign need not reach what the whole must.
            Exit::Held if never.is_empty() || self.campaign.shard != Shard::WHOLE => (Exit::Held, "held"),
            Exit::Held | Exit::Undecided => (Exit::Undecided, "undecided"),
            broken => (broken, "broken"),
        };
        let truth = self.campaign.truth;
        let cells = summary.cells.iter().map(|(&(output, fault, kept), cell)| {
            json!({
                "output": &*truth.plan.outputs[output].name, "operator": truth.operator(output),
                "operators": truth.operators(output).iter().map(|(o, _)| *o).collect::<Vec<_>>(),
                "fault": fault, "kept": kept.name(), "schedules": cell.schedules, "level": cell.level.name(),
            })
        });
        let mut value = json!({
            "version": 1, "program": env!("CARGO_PKG_VERSION"), "verdict": verdict,
            "job": self.job.name, "seed": self.seed.number, "schedules": summary.held,
            "run_again": summary.rerun, "cut_short": outcome.cut_short,
            "cells": cells.collect::<Vec<_>>(),
            "recoveries": {
                "from_checkpoint": summary.from_checkpoint, "replayed": summary.replayed,
                "announced": summary.announced, "entries_median": summary.backlog_median(),
                "entries_max": summary.backlog_max(), "catch_up_max": summary.catch_up_max,
                "estimated": summary.estimated, "slowed": summary.held_up.slow, "stood": summary.held_up.stood,
            },
            "rows": { "matched": summary.rows_matched, "copies": summary.copies },
            "reached": &summary.reached, "never_reached": never,
        });
        if self.campaign.shard != Shard::WHOLE {
            value["shard"] = json!(self.campaign.shard);
        }
        if let Some(pairs) = pairs {
            value["pairs"] = pairs.value.clone();
        }
        let all = self.arguments.reached;
        super::print(&match self.arguments.format {
            Format::Json => super::json(&value)?,
            Format::Text => screen::healthy(self.campaign, summary, outcome.cut_short, all),
        })?;
        match (self.arguments.format, pairs) {
            (Format::Text, Some(pairs)) => super::print(&pairs.said)?,
            (Format::Json, Some(pairs)) if pairs.exit == Exit::Broken => super::note(pairs.said.trim_end()),
            _ => {}
        }
        // What was found stands on the screen by now, whatever becomes of the files.
        if let Some(problem) = pairs.and_then(|pairs| pairs.unwritten.as_ref()) {
            super::tell(problem);
        }
        let written = match self.budget.report_dir {
            Some(_) => write(&self.folder.join("result.json"), &super::json(&value)?),
            None => Ok(()),
        };
        match written {
            Err(problem) if matches!(exit, Exit::Held | Exit::Undecided) => Err(problem),
            Err(problem) => {
                super::tell(&problem);
                Ok(exit)
            }
            Ok(()) => Ok(exit),
        }
    }

    fn broken(&self, broken: &Broken, watch: Stopwatch) -> Result<Exit, Problem> {
        super::note(&format!("found in {:.1} s; shrinking", watch.elapsed().as_secs_f64()));
        let own = Truth::of_plan(self.campaign.truth.plan.clone(), &broken.case);
        let make: &Maker<'_> = self.campaign.subject;
        let subject = make(&own.plan, &broken.case);
        let (_, breach) = trial::confirm(&own, &broken.case, &broken.breach, subject.as_ref());
        let before = watch.elapsed();
        let shrunk = trial::shrink_trial(&own, &broken.case, &breach, make, TRIES_MAX);
        super::note(&format!("shrunk in {:.1} s", (watch.elapsed() - before).as_secs_f64()));
        let truth = own.of_another(&broken.case, &shrunk.case).expect("what was shrunk to was run");
        let subject = make(&truth.plan, &shrunk.case);
        let (run, breach) = trial::confirm(&truth, &shrunk.case, &shrunk.breach, subject.as_ref());
        let state = first_difference(&truth, &shrunk.case, &breach, subject.as_ref());
        let origin = Origin {
            driver: "random search".to_owned(),
            seed: Some(self.seed.number),
            case: Some(broken.number),
        };
        let mut finding = Finding {
            case: &shrunk.case,
            truth: &truth,
            run: &run,
            breach: &breach,
            origin: &origin,
            shrinking: Some(Shrinking::from(&shrunk)),
            state: state.as_ref(),
            replay: "",
        };
        let folder = self.folder.join(finding.fingerprint());
        let report = folder.join("report.md");
        let replay = subject::replay_command(&report, self.arguments.plant.as_deref());
        finding.replay = &replay;
        let written = write(&report, &rewindow::report::markdown(&finding))
            .and_then(|()| write(&folder.join("case.toml"), &shrunk.case.to_toml()))
            .and_then(|()| write(&folder.join("result.json"), &rewindow::report::json(&finding)));
        if written.is_err() {
            finding.replay = "";
        }
        super::print(&match self.arguments.format {
            Format::Json => rewindow::report::json(&finding),
            Format::Text => broken::screen(&finding, written.is_ok().then_some(&report)),
        })?;
        if let Err(problem) = written {
            super::tell(&problem);
        }
        Ok(Exit::of(breach.kind))
    }
}

/// Where reports of a job go.
fn report_folder(budget: &Budget, job: &Job) -> PathBuf {
    let root = budget.report_dir.clone().unwrap_or_else(|| PathBuf::from("target/rewindow"));
    let safe = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let name: String = job.name.chars().map(safe).collect();
    // A name of dots would lead out of the folder.
    root.join(if name.chars().all(|c| c == '.') { "job" } else { &name })
}

/// Makes a folder that was asked for, and refuses one that takes no files, before any time is spent.
fn try_folder(folder: &Path) -> Result<(), Problem> {
    let trial = folder.join(".writable");
    let tried = std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&trial, ""))
        .and_then(|()| std::fs::remove_file(&trial));
    tried.map_err(|error| {
        Problem::new("output", format!("reports cannot be written there: {error}"))
            .in_file(folder)
            .help("name another folder: --report DIR, or REWINDOW_REPORT_DIR")
    })
}

/// Writes a file of a report, and the folders it lies in.
pub(super) fn write(path: &Path, text: &str) -> Result<(), Problem> {
    let written =
        path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(path, text));
    written.map_err(|e| {
        Problem::new("output", format!("the report cannot be written: {e}"))
            .in_file(path)
            .help("the same seed finds the same again; name another folder: --report DIR")
    })
}
