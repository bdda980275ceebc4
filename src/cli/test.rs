//! `rewindow test`: unit tests for queries, through the model and through the engine.
//!
//! Standard output names what does not pass, expected beside actual, and counts the rest; files that cannot be
//! read are told on standard error, and are never taken for tests that pass.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use rewindow::budget::{self, Budget, Seed};
use rewindow::errors::Problem;
use rewindow::pool;
use rewindow::text::{count, number};
use rewindow::unit::find::{Found, find};
use rewindow::unit::play::Effort;
use rewindow::unit::{self, Test, Verdict, junit, show};
use serde_json::json;

use super::{Exit, Format};

/// How often the engine's input is cut at random, and at how many places it is saved and loaded.
const CUTS: u64 = 4;
const SAVES: usize = 16;

#[derive(Args)]
pub(super) struct Arguments {
    /// Case files, testConfig.json files, or folders that hold such
    #[arg(required = true, value_name = "DIR|FILE")]
    paths: Vec<PathBuf>,
    /// Only tests with this in their name, group or file; several may be given
    #[arg(long, value_name = "WORDS")]
    filter: Vec<String>,
    /// Write a JUnit report to this file
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// A number, `commit` or `random`: where batches are cut [default: from the path; or REWINDOW_SEED]
    #[arg(long, value_parser = budget::parse_seed)]
    seed: Option<Seed>,
    /// How many threads; the result does not depend on it [or REWINDOW_JOBS]
    #[arg(long, value_parser = budget::parse_jobs)]
    jobs: Option<usize>,
    /// Name the tests, and run none
    #[arg(long)]
    list: bool,
    /// Name the tests that pass, too
    #[arg(long, short)]
    verbose: bool,
    /// How the result is written
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

pub(super) fn test(arguments: &Arguments) -> Result<Exit, Problem> {
    let given = Budget { seed: arguments.seed, jobs: arguments.jobs, ..Budget::default() };
    let budget = given.or(Budget::from_environment()?);
    let Found { mut tests, problems, passed_over } = find(&arguments.paths)?;
    let all = tests.len();
    if !arguments.filter.is_empty() {
        tests.retain(|test| arguments.filter.iter().any(|words| test.matches(words)));
        if tests.is_empty() && problems.is_empty() {
            let message =
                format!("none of {} has {} in its name", count(all as u64, "test"), words(&arguments.filter));
            return Err(Problem::new("test-filter", message).help("--list names them all"));
        }
    }
    problems.iter().for_each(|problem| super::note(problem.render(false).trim_end()));
    let unreadable = !problems.is_empty();
    if arguments.list {
        let lines: String = tests.iter().map(|test| line("", test, &show::summary(test))).collect();
        super::print(&lines)?;
        return Ok(if unreadable { Exit::CouldNotRun } else { Exit::Held });
    }
    let first = arguments.paths.first().map_or(Path::new("."), PathBuf::as_path);
    let folder = if first.is_dir() { first } else { first.parent().unwrap_or(Path::new(".")) };
    let name =
        first.file_name().map_or_else(|| "tests".to_owned(), |name| name.to_string_lossy().into_owned());
    let seed = budget.seed_for(&name, folder)?.number;
    let run = Run { seed, tests: &tests, problems: &problems };
    let failed = run.play(arguments, budget.threads())?;
    if arguments.verbose {
        let place = |path: &PathBuf| format!("no test: {}", path.display());
        passed_over.iter().map(place).for_each(|line| super::note(&line));
    }
    Ok(match (unreadable, failed) {
        (true, _) => Exit::CouldNotRun,
        (false, 0) => Exit::Held,
        (false, _) => Exit::Broken,
    })
}

fn words(filter: &[String]) -> String {
    let quoted: Vec<String> = filter.iter().map(|words| format!("`{words}`")).collect();
    quoted.join(" or ")
}

/// One test in one line.
fn line(mark: &str, test: &Test, rest: &str) -> String {
    let place = test.file.display();
    let head = if mark.is_empty() { String::new() } else { format!("{mark:<7} ") };
    format!("{head}{}  {place}  {rest}", test.name).trim_end().to_owned() + "\n"
}

struct Run<'a> {
    seed: u64,
    tests: &'a [Test],
    problems: &'a [Problem],
}

impl Run<'_> {
    /// Runs all tests, prints what came of them, and gives the number of those that failed.
    fn play(&self, arguments: &Arguments, threads: usize) -> Result<usize, Problem> {
        let effort = Effort { seed: self.seed, cuts: CUTS, saves: SAVES };
        let mut verdicts: Vec<Verdict> = Vec::with_capacity(self.tests.len());
        let job = |index: u64| unit::judge(&self.tests[usize::try_from(index).unwrap_or(0)], effort);
        let mut printed = Ok(());
        pool::for_each_in_order(self.tests.len() as u64, threads, job, |_, verdict| {
            let test = &self.tests[verdicts.len()];
            if printed.is_ok() && arguments.format == Format::Text {
                printed = print_one(test, &verdict, arguments.verbose);
            }
            verdicts.push(verdict);
            std::ops::ControlFlow::Continue(())
        });
        printed?;
        let failed = verdicts.iter().filter(|verdict| **verdict != Verdict::Passed).count();
        if let Some(path) = &arguments.junit {
            self.write_junit(path, &verdicts)?;
        }
        match arguments.format {
            Format::Text => super::print(&self.counts(failed))?,
            Format::Json => super::print(&super::json(&self.as_json(&verdicts, failed))?)?,
        }
        Ok(failed)
    }

    fn counts(&self, failed: usize) -> String {
        let (all, seed) = (self.tests.len(), self.seed);
        let unreadable = match self.problems.len() {
            0 => String::new(),
            n => format!(", {} could not be read", count(n as u64, "file")),
        };
        match failed {
            0 => format!("{} passed{unreadable}, seed {seed:#x}\n", count(all as u64, "test")),
            _ => {
                let failed = number(failed as u64);
                format!("{failed} of {} failed{unreadable}, seed {seed:#x}\n", count(all as u64, "test"))
            }
        }
    }

    /// What to type to run one test again.
    fn command(&self, test: &Test) -> String {
        let quoted = |text: &str| match text.chars().all(|c| c.is_alphanumeric() || "-_./\\:".contains(c)) {
            true => text.to_owned(),
            false => format!("'{}'", text.replace('\'', "'\\''")),
        };
        let file = quoted(&test.file.display().to_string());
        format!("rewindow test {file} --filter {} --seed {:#x}", quoted(&test.name), self.seed)
    }

    fn write_junit(&self, path: &Path, verdicts: &[Verdict]) -> Result<(), Problem> {
        let entry = |(test, verdict): (&'_ Test, &Verdict)| {
            let feature = if test.feature.is_empty() { "rewindow" } else { &test.feature };
            junit::Entry {
                name: test.name.clone(),
                class: feature.to_owned(),
                file: test.file.display().to_string(),
                command: self.command(test),
                failure: show::failure(verdict),
            }
        };
        let entries: Vec<junit::Entry> = self.tests.iter().zip(verdicts).map(entry).collect();
        let xml = junit::report(self.seed, &entries, self.problems);
        std::fs::File::create(path).and_then(|mut file| file.write_all(xml.as_bytes())).map_err(|e| {
            Problem::new("output", format!("the JUnit report cannot be written: {e}")).in_file(path)
        })
    }

    fn as_json(&self, verdicts: &[Verdict], failed: usize) -> serde_json::Value {
        let one = |(test, verdict): (&'_ Test, &Verdict)| {
            let failure = show::failure(verdict);
            json!({
                "name": test.name,
                "file": test.file.display().to_string(),
                "passed": failure.is_none(),
                "message": failure.as_ref().map(|(line, _)| line),
                "text": failure.as_ref().map(|(_, text)| text),
            })
        };
        let problem = |problem: &Problem| {
            json!({
                "code": problem.code,
                "place": problem.place.as_ref().map(|place| place.name()),
                "message": problem.message,
                "help": problem.help,
            })
        };
        json!({
            "format": 1,
            "seed": format!("{:#x}", self.seed),
            "passed": verdicts.len() - failed,
            "failed": failed,
            "tests": self.tests.iter().zip(verdicts).map(one).collect::<Vec<_>>(),
            "unreadable": self.problems.iter().map(problem).collect::<Vec<_>>(),
        })
    }
}

fn print_one(test: &Test, verdict: &Verdict, verbose: bool) -> Result<(), Problem> {
    match show::failure(verdict) {
        None if verbose => super::print(&line("passed", test, &show::summary(test))),
        None => Ok(()),
        Some((_, text)) => super::print(&format!("{}{text}\n", line("FAILED", test, ""))),
    }
}
