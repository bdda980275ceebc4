//! What `rewindow check` says of a job in two regions: pairs, judged; the first that breaks, made small. And `replay`
//! of the case file of a pair.
//!
//! Beside `check.rs` and `replay.rs`, which are about one region. Invariant: nothing is said of a job without `[regions]`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rewindow::errors::Problem;
use rewindow::job::Job;
use rewindow::judge::Truth;
use rewindow::language::plan_of;
use rewindow::regions::{BrokenPair, Pairs, PairsOutcome, Unplayable, shrink_pair, trial_pair};
use rewindow::report::{breach_json, pair_steps, pair_text, recoveries, recoveries_text, title};
use rewindow::shard::Shard;
use rewindow::text::{WIDTH, count, wrap};
use rewindow::trial::Maker;
use rewindow_world::regions::RegionsCase;
use serde_json::json;

use super::{Exit, Format, check, replay, screen, subject};

/// Most smaller pairs that are tried.
const TRIES_MAX: u64 = 1_000;

/// What came of the pairs of a job.
pub(super) struct Judged {
    /// What to print.
    pub(super) said: String,
    /// Whether they held.
    pub(super) exit: Exit,
    /// The same for machines.
    pub(super) value: serde_json::Value,
    /// Why the case of a pair that broke could not be written.
    pub(super) unwritten: Option<Problem>,
}

/// What is searched, and with what.
pub(super) struct Search<'a> {
    pub(super) job: &'a Job,
    pub(super) seed: u64,
    pub(super) shard: Shard,
    pub(super) threads: usize,
    pub(super) subject: &'a Maker<'a>,
    pub(super) truth: &'a Truth,
    /// Where reports go.
    pub(super) folder: &'a Path,
    /// The bug that was planted.
    pub(super) plant: Option<&'a str>,
}

impl Search<'_> {
    /// Judges the pairs of a job; nothing for a job in one region.
    pub(super) fn judge(&self, stop: &dyn Fn() -> bool) -> Result<Option<Judged>, Problem> {
        let Search { job, seed, shard, threads, subject, truth, .. } = *self;
        let Some((regions, cases)) = &job.regions else { return Ok(None) };
        let (base, plan) = (job.base(), Arc::new(job.query.plan.clone()));
        let (vary, cases) = (&job.vary, *cases);
        let pairs = Pairs {
            base: &base,
            plan: &plan,
            vary,
            regions,
            subject,
            plant: None,
            seed,
            cases,
            shard,
            threads,
        };
        let outcome = pairs.run(stop).map_err(|error| match error {
            Unplayable::Case(error) => Problem::of_case(&error, &job.path),
            Unplayable::Query(error) => Problem::of_query(error, &job.query.path, &job.query.text),
        })?;
        let mut value = value(truth, &outcome);
        Ok(Some(match &outcome.broken {
            None => {
                // A part of a campaign need not reach what the whole must.
                let decided = shard != Shard::WHOLE || outcome.not_reached().is_empty();
                let exit = if decided { Exit::Held } else { Exit::Undecided };
                let said = screen::pairs_table(truth, &outcome.cells) + &held(&outcome, shard);
                Judged { said, exit, value, unwritten: None }
            }
            Some(broken) => {
                let (said, own, unwritten) = self.broken(broken);
                let members = own.as_object().into_iter().flatten();
                members.for_each(|(name, member)| value[name] = member.clone());
                Judged { said, exit: Exit::of(broken.breach.kind), value, unwritten }
            }
        }))
    }

    /// Makes a pair that broke small and writes it down. Gives what to print, the same for machines, and why it could
    /// not be written.
    fn broken(&self, broken: &BrokenPair) -> (String, serde_json::Value, Option<Problem>) {
        let (case, breach, tries) = shrink_pair(&broken.case, &broken.breach, self.subject, None, TRIES_MAX);
        let path = self.folder.join(format!("{}-{}", breach.operator, breach.kind.name())).join("case.toml");
        let unwritten = check::write(&path, &case.to_toml()).err();
        let replay = unwritten.is_none().then(|| subject::replay_command(&path, self.plant));
        let case_file = unwritten.is_none().then(|| path.display().to_string());
        let line = format!("broken  {}, pair {}: {}", title(&breach), broken.number, breach.message);
        let mut said = format!("\n{}\n  shrunk    in {}\n", wrap(&line, WIDTH, 8), count(tries, "try"));
        if let Some(replay) = &replay {
            said.push_str(&format!("  replay    {replay}\n"));
        }
        let value = json!({
            "pair": broken.number, "breach": breach_json(&breach), "case_file": case_file, "replay": replay,
        });
        (said, value, unwritten)
    }
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
        "never_reached": outcome.not_reached(), "cut_short": outcome.cut_short,
    })
}

/// Plays and judges the pair of a case file, and prints what came of it.
pub(super) fn replay(text: &str, asked: &replay::Arguments, subject: &Maker<'_>) -> Result<Exit, Problem> {
    let path = &asked.case;
    let case = RegionsCase::from_toml(text).map_err(|error| Problem::of_case(&error, path))?;
    let refused = |error| {
        let query = PathBuf::from(format!("query of {}", path.display()));
        Problem::of_query(error, &query, &case.base.query)
    };
    let (played, verdict) = trial_pair(&case, subject, None).map_err(|error| match error {
        Unplayable::Case(error) => Problem::of_case(&error, path),
        Unplayable::Query(error) => refused(error),
    })?;
    let plan = Arc::new(plan_of(&case.base).map_err(refused)?);
    let region = |index: usize| {
        let own = &played.cases[index];
        (&case.regions[index].name, Truth::of_plan(plan.clone(), own), own, &played.runs[index])
    };
    let regions: Vec<_> = (0..played.cases.len()).map(region).collect();
    let name = &case.base.name;
    let breach = verdict.err();
    super::print(&match asked.format {
        Format::Text => {
            let line = match &breach {
                None => format!("held  {name} does not break"),
                Some(breach) => format!("broken  {}: {}", title(breach), breach.message),
            };
            let mut said = wrap(&line, WIDTH, 8) + "\n";
            let steps = pair_text(&case, &played);
            if !steps.is_empty() {
                said.push_str(&format!("\n{steps}"));
            }
            if asked.recoveries {
                for (name, truth, case, run) in &regions {
                    let told = recoveries_text(truth, case, run);
                    said.push_str(&format!("\nregion {name}\n\n{told}"));
                }
            }
            said
        }
        Format::Json => {
            let verdict = if breach.is_none() { "held" } else { "broken" };
            let consumer = &played.consumer;
            let mut value = json!({
                "version": 1, "verdict": verdict, "case": name, "steps": pair_steps(&case, &played),
                "consumer": {
                    "rows": consumer.rows.len(), "deduped": consumer.deduped, "withdrawn": consumer.withdrawn,
                },
            });
            if let Some(breach) = &breach {
                value["breach"] = breach_json(breach);
            }
            if asked.recoveries {
                let told = regions.iter().map(|(name, truth, case, run)| {
                    json!({ "region": name, "recoveries": recoveries(truth, case, run) })
                });
                value["regions"] = told.collect();
            }
            super::json(&value)?
        }
    })?;
    Ok(breach.map_or(Exit::Held, |breach| Exit::of(breach.kind)))
}

fn held(outcome: &PairsOutcome, shard: Shard) -> String {
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
    let cut = if outcome.cut_short { "; the budget of time ended the search" } else { "" };
    let mut said = wrap(&(line + cut), WIDTH, 13) + "\n";
    let never = outcome.not_reached();
    if !never.is_empty() {
        let (label, remedy) = match shard {
            Shard::WHOLE => {
                ("undecided", "more pairs (cases of [regions]) or other events may reach what has to be seen")
            }
            _ => ("not here", screen::OF_A_SHARD),
        };
        let line = format!("  {label:<10} never {}: {remedy}", never.join(", never "));
        said.push_str(&(wrap(&line, WIDTH, 13) + "\n"));
    }
    said
}
