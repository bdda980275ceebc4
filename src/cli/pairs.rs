//! What `rewindow check` says of a job in two regions: pairs, judged; the first that breaks, made small.
//!
//! Beside `check.rs`, which is about one region. Invariant: nothing is said of a job without `[regions]`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rewindow::errors::Problem;
use rewindow::job::Job;
use rewindow::judge::Truth;
use rewindow::regions::{BrokenPair, Pairs, PairsOutcome, Unplayable, shrink_pair, trial_pair};
use rewindow::report::title;
use rewindow::text::{WIDTH, count, wrap};
use rewindow::trial::Maker;
use rewindow_world::regions::RegionsCase;
use serde_json::json;

use super::screen;

/// Most smaller pairs that are tried.
const TRIES_MAX: u64 = 1_000;

/// What came of the pairs of a job.
pub(super) struct Judged {
    /// What to print.
    pub(super) said: String,
    /// Whether they held.
    pub(super) held: bool,
    /// The same for machines.
    pub(super) value: serde_json::Value,
}

/// Judges the pairs of a job; nothing for a job in one region.
pub(super) fn judge(
    job: &Job,
    seed: u64,
    threads: usize,
    subject: &Maker<'_>,
    truth: &Truth,
    stop: &dyn Fn() -> bool,
    folder: &Path,
) -> Result<Option<Judged>, Problem> {
    let Some((regions, cases)) = &job.regions else { return Ok(None) };
    let (base, plan) = (job.base(), Arc::new(job.query.plan.clone()));
    let (vary, cases) = (&job.vary, *cases);
    let pairs = Pairs { base: &base, plan: &plan, vary, regions, subject, plant: None, seed, cases, threads };
    let outcome = pairs.run(stop).map_err(|error| match error {
        Unplayable::Case(error) => Problem::of_case(&error, &job.path),
        Unplayable::Query(error) => Problem::of_query(error, &job.query.path, &job.query.text),
    })?;
    let said = match &outcome.broken {
        None => screen::pairs_table(truth, &outcome.cells) + &held(&outcome),
        Some(broken) => say_broken(broken, subject, folder)?,
    };
    Ok(Some(Judged { said, held: outcome.broken.is_none(), value: value(truth, &outcome) }))
}

fn value(truth: &Truth, outcome: &PairsOutcome) -> serde_json::Value {
    let cells = outcome.cells.iter().map(|(&(output, strike), cell)| {
        json!({
            "output": &*truth.plan.outputs[output].name, "operator": truth.operator(output),
            "operators": truth.operators(output).iter().map(|(o, _)| *o).collect::<Vec<_>>(),
            "fault": strike, "schedules": cell.schedules, "alone": cell.alone, "level": cell.level.name(),
        })
    });
    json!({
        "held": outcome.held, "rows": outcome.rows, "broken": outcome.broken.is_some(),
        "cells": cells.collect::<Vec<_>>(), "reached": &outcome.reached,
    })
}

/// Plays and judges the pair of a case file. Gives what to print, and whether it held.
pub(super) fn replay(text: &str, path: &Path, subject: &Maker<'_>) -> Result<(String, bool), Problem> {
    let case = RegionsCase::from_toml(text).map_err(|error| Problem::of_case(&error, path))?;
    let (_, verdict) = trial_pair(&case, subject, None).map_err(|error| match error {
        Unplayable::Case(error) => Problem::of_case(&error, path),
        Unplayable::Query(error) => {
            let query = PathBuf::from(format!("query of {}", path.display()));
            Problem::of_query(error, &query, &case.base.query)
        }
    })?;
    Ok(match verdict {
        Ok(_) => (format!("held  {} does not break\n", case.base.name), true),
        Err(breach) => (format!("broken  {}: {}\n", title(&breach), breach.message), false),
    })
}

fn held(outcome: &PairsOutcome) -> String {
    let reached = |name: &str| outcome.reached.get(name).copied().unwrap_or(0);
    let line = format!(
        "  regions    {} held, {}: {} with a switch because a region was gone, {} because of a gap; {} stopped, \
         {} upgraded in turn",
        count(outcome.held, "pair"),
        count(outcome.rows, "row"),
        reached("region gone"),
        reached("gap announced"),
        count(reached("rollout stopped"), "rollout"),
        count(reached("both upgraded in turn"), "pair"),
    );
    wrap(&line, WIDTH, 13) + "\n"
}

fn say_broken(broken: &BrokenPair, subject: &Maker<'_>, folder: &Path) -> Result<String, Problem> {
    let (case, breach, tries) = shrink_pair(&broken.case, &broken.breach, subject, None, TRIES_MAX);
    let path = folder.join(format!("{}-{}", breach.operator, breach.kind.name())).join("case.toml");
    let written = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    written.and_then(|()| std::fs::write(&path, case.to_toml())).map_err(|error| {
        Problem::new("output", format!("the case cannot be written: {error}")).in_file(&path)
    })?;
    let line = format!("broken  {}, pair {}: {}", title(&breach), broken.number, breach.message);
    let line = wrap(&line, WIDTH, 8);
    Ok(format!(
        "\n{line}\n  shrunk    in {}\n  replay    rewindow replay {}\n",
        count(tries, "try"),
        path.display()
    ))
}
