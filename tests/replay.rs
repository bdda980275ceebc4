//! Committed cases hold, and a report can be replayed by whoever gets it.
//!
//! What no other suite would catch: the return of a bug that was found once. Each file of `tests/cases` broke
//! something when it was committed.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use rewindow::choices::Seeded;
use rewindow::generate::small_case;
use rewindow::laws;
use rewindow::report::{Origin, read, title};
use rewindow::trial::{trial, trial_twice};
use rewindow_world::case::Case;
use support::{engine, holds_in_the_world, report, truth, whole_engine};

/// How often a committed case is cut anew, with no fault in it.
const CUTS: u64 = 4;

fn committed() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let files = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path());
    let mut files: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|e| e == "toml")).collect();
    files.sort();
    files
}

/// Every law that a case can be asked about: its faults, twice over; without them, cut anywhere; resumed
/// anywhere.
fn check(text: &str) -> Result<(), String> {
    let case = read(text).map_err(|error| error.to_string())?;
    let truth = truth(&case);
    let subject = engine(&truth.plan, &case);
    let say = |breach: &rewindow::judge::Breach| format!("{}: {}", title(breach), breach.message);
    let (traced, verdict) = trial_twice(&truth, &case, subject.as_ref());
    if let Some(breach) = verdict.breach() {
        return Err(say(breach));
    }
    let (fast, verdict) = trial(&truth, &case, subject.as_ref(), false);
    if let Some(breach) = verdict.breach() {
        return Err(format!("without a trace: {}", say(breach)));
    }
    if fast.failures != traced.failures {
        return Err(format!("without a trace {:?}, with it {:?}", fast.failures, traced.failures));
    }
    let whole = whole_engine(&truth.plan, &case);
    for cut in 0..CUTS {
        let mut choices = Seeded::new(0, cut);
        let verdict = laws::agree(&truth, &case, whole.as_ref(), &mut choices).map_err(|e| e.to_string())?;
        if let Some(breach) = verdict.breach() {
            return Err(say(breach));
        }
    }
    let resumed = laws::resume_everywhere(&truth, &case, whole.as_ref()).map_err(|e| e.to_string())?;
    resumed.as_ref().map_or(Ok(()), |breach| Err(say(breach)))
}

#[test]
fn committed_cases_hold() {
    let mut wrong = Vec::new();
    for path in committed() {
        if let Err(why) = check(&std::fs::read_to_string(&path).unwrap()) {
            wrong.push(format!("{}: {why}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{} committed cases break:\n{}", wrong.len(), wrong.join("\n"));
}

/// A case file says all there is to a case, in the form in which the program would write it: numbers and
/// times may be written by hand, but nothing is lost or added.
#[test]
fn committed_cases_read_back_as_written() {
    for path in committed() {
        let case = read(&std::fs::read_to_string(&path).unwrap())
            .unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert_eq!(Case::from_toml(&case.to_toml()).as_ref(), Ok(&case), "{}", path.display());
        let stem = path.file_stem().unwrap().to_string_lossy();
        assert!(stem.contains('-') && !stem.contains(' '), "{stem}: <room>-<what>.toml");
    }
}

/// From a finding to its report to the command that replays it. The finding is made up: a law that no case with
/// a fault obeys.
#[test]
fn a_report_is_replayed_by_the_command() {
    let case = (0..).map(|number| small_case(&mut Seeded::new(2, number)));
    let case =
        case.take(1_000).find(|case| case.faults.len() >= 2 && case.history.entries.len() >= 4).unwrap();
    let broken = made_up(&case).unwrap();
    let origin = Origin { driver: "suite replay".to_owned(), seed: Some(2), case: None };
    let text = report(&origin, &case, &broken, &made_up);
    let shrunk = read(&text).unwrap();
    assert_eq!(shrunk.faults.len(), 1, "{text}");
    assert!(holds_in_the_world(&shrunk).is_none(), "{text}");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("replay");
    std::fs::create_dir_all(&folder).unwrap();
    for (name, text) in [("report.md", text.clone()), ("case.toml", shrunk.to_toml())] {
        std::fs::write(folder.join(name), text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_rewindow"));
        let said = command.args(["replay", name]).current_dir(&folder).output().unwrap();
        let stdout = String::from_utf8(said.stdout).unwrap();
        assert_eq!(said.status.code(), Some(0), "{name}: {stdout}{}", String::from_utf8_lossy(&said.stderr));
        assert!(stdout.starts_with("held "), "{name}: {stdout}");
    }
}

fn made_up(case: &Case) -> Option<rewindow::judge::Breach> {
    use rewindow::judge::{Breach, Claim, Kind};
    (!case.faults.is_empty()).then(|| Breach {
        claim: Claim::Recover,
        kind: Kind::Lost,
        output: None,
        output_name: "out".into(),
        operator: "project",
        shard: None,
        generation: None,
        fault: None,
        at: case.faults[0].at,
        expected: None,
        actual: None,
        copy: false,
        message: "made up".to_owned(),
        level: None,
        leg: 0,
    })
}
