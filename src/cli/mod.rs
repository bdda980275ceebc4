//! What a user types: arguments, dispatch, exit codes. One file for each command.
//!
//! A command returns its exit and prints its screen; a [`Problem`] that ends it is printed here. No meaning is
//! decided here. Invariant: standard output holds only what is asked for and is the same for the same
//! arguments and files; progress, remarks, figures of time and problems go to standard error.

mod broken;
mod check;
mod pairs;
mod plan;
mod replay;
mod run;
mod screen;
mod subject;
mod test;
mod threads;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use rewindow::budget;
use rewindow::errors::Problem;
use rewindow::judge::Kind;

/// Says whether a streaming job gives the same rows after every kind of failure.
#[derive(Parser)]
#[command(name = "rewindow", version, max_term_width = 100, disable_help_subcommand = true)]
#[command(after_help = "Exit codes:
  0 held, 1 broken, 2 undecided, 3 not deterministic, 4 could not run
  of run: 0 all rows were given, 1 the job failed, 4 could not run
  of replay: 0 fixed, 1 reproduces, 3 not deterministic, 125 cannot run
  of test: 0 all passed, 1 some failed, 4 could not run")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Judge many failure schedules against the model
    #[command(
        after_help = "Exit codes: 0 held, 1 broken, 2 undecided (a state that had to be reached never was),
  3 not deterministic, 4 could not run"
    )]
    Check(check::Arguments),
    /// Run the query once, without failures; rows as JSON lines
    #[command(
        after_help = "Exit codes: 0 all rows were given, 1 the job failed (the rows before that were given),
  4 could not run"
    )]
    Run(run::Arguments),
    /// How far back the query can see, what the source must keep, how long recoveries take
    #[command(after_help = "Exit codes: 0 the page was given, 4 could not run")]
    Plan(plan::Arguments),
    /// Run the case of a report or case file again
    #[command(after_help = "Exit codes: 0 fixed, 1 reproduces, 3 not deterministic, 125 cannot run")]
    Replay(replay::Arguments),
    /// Unit tests for queries: case files, or the vendor's testConfig.json
    #[command(
        after_help = "Exit codes: 0 all passed, 1 some failed, 4 a file could not be read or nothing was found"
    )]
    Test(test::Arguments),
}

/// How a screen is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// For machines
    Json,
}

/// How a command ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Exit {
    /// All that was asked for was done and held; of `replay`: the case does not break (any more).
    Held = 0,
    /// A claim is broken; of `replay`: still; of `run`: the job failed; of `test`: a test failed.
    Broken = 1,
    /// Nothing broke, but a state that had to be reached never was.
    Undecided = 2,
    /// Two runs of one case differ.
    NotDeterministic = 3,
    /// Bad input; nothing is said about the job.
    CouldNotRun = 4,
    /// The same of `replay`, in the word of `git bisect`: skip this version.
    CannotReplay = 125,
}

impl Exit {
    /// Of a breach.
    fn of(kind: Kind) -> Exit {
        match kind {
            Kind::NotDeterministic => Exit::NotDeterministic,
            _ => Exit::Broken,
        }
    }
}

/// Runs the command that the arguments ask for.
pub(crate) fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are no errors; anything else is input that cannot be run.
            let exit = if error.use_stderr() { usage_exit() } else { Exit::Held };
            let _ = error.print();
            return ExitCode::from(exit as u8);
        }
    };
    let (result, otherwise) = match arguments.command {
        Command::Check(arguments) => (check::check(&arguments), Exit::CouldNotRun),
        Command::Run(arguments) => (run::run(&arguments), Exit::CouldNotRun),
        Command::Plan(arguments) => (plan::plan(&arguments), Exit::CouldNotRun),
        Command::Replay(arguments) => (replay::replay(&arguments), Exit::CannotReplay),
        Command::Test(arguments) => (test::test(&arguments), Exit::CouldNotRun),
    };
    let exit = result.unwrap_or_else(|problem| {
        tell(&problem);
        otherwise
    });
    ExitCode::from(exit as u8)
}

/// A wrong argument of `replay` must not look like "reproduces" or "fixed" to `git bisect`.
fn usage_exit() -> Exit {
    let replay = std::env::args_os().nth(1).is_some_and(|first| first == "replay");
    if replay { Exit::CannotReplay } else { Exit::CouldNotRun }
}

/// Writes what was asked for to standard output.
fn print(text: &str) -> Result<(), Problem> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        // The reader has had enough, as `head` does.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Problem::new("output", format!("standard output cannot be written: {error}"))),
        Ok(()) => Ok(()),
    }
}

/// Shows a problem on standard error.
fn tell(problem: &Problem) {
    let colour = std::io::stderr().is_terminal() && !budget::colours_unwanted();
    note(problem.render(colour).trim_end());
}

/// Writes a line to standard error. Nobody can be told if that fails.
fn note(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// A value as JSON on several lines.
fn json(value: &impl serde::Serialize) -> Result<String, Problem> {
    let text = serde_json::to_string_pretty(value);
    text.map(|t| t + "\n").map_err(|e| Problem::new("output", format!("the result is no JSON: {e}")))
}
