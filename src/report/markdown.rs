//! The report as Markdown, made to be pasted: at most sixty lines and the case.

use rewindow_world::case::{Case, FORMAT};

use super::words::{cell, instant, short, title};
use super::{Finding, timeline};
use crate::judge::Kind;

/// The report. The last line is the command that replays it.
pub fn markdown(finding: &Finding<'_>) -> String {
    let mut out = String::new();
    let mut paragraph = |text: String| {
        out.push_str(&text);
        out.push_str("\n\n");
    };
    paragraph(format!("# {}", title(finding.breach)));
    paragraph(difference(finding));
    paragraph(format!("Replay: `{}` (exit 1: still broken, 0: fixed, 125: cannot run)", finding.replay));
    paragraph(timeline::table(finding));
    let mut rest = Vec::new();
    rest.extend(finding.state.map(super::StateDifference::sentence));
    rest.push(level(finding));
    paragraph(rest.join("\n"));
    paragraph(block(finding.case));
    paragraph(format!("{} · fingerprint {}", origin(finding), finding.fingerprint()));
    out.push_str(finding.replay);
    out.push('\n');
    out
}

/// Expected beside actual at the first difference.
fn difference(finding: &Finding<'_>) -> String {
    let breach = finding.breach;
    let at = instant(breach.at);
    let run = if finding.run.recoveries.is_empty() { "run" } else { "recovered run" };
    let mut text = match (&breach.expected, &breach.actual) {
        (Some(expected), Some(actual)) if expected != actual => format!(
            "The {run} says **{}** at {at}; the uninterrupted run says **{}**.",
            short(actual),
            short(expected)
        ),
        (Some(row), Some(_)) => format!("The {run} says **{}** at {at}, in the wrong place.", short(row)),
        (Some(expected), None) => {
            format!("The uninterrupted run says **{}** at {at}; the {run} never says it.", short(expected))
        }
        (None, Some(actual)) => {
            format!("The {run} says **{}** at {at}; the uninterrupted run says no such thing.", short(actual))
        }
        (None, None) => format!("At {at}: {}.", finding.breach.message),
    };
    if (breach.expected.is_some() || breach.actual.is_some()) && !breach.message.is_empty() {
        text.push_str(&format!(" Note: {}.", breach.message));
    }
    cell(&text).replace("\\|", "|")
}

fn level(finding: &Finding<'_>) -> String {
    let held = finding.breach.level.map_or("none", crate::judge::Level::name);
    let mut text = format!("Claim: {}. Strongest level that held: {held}.", finding.breach.claim.name());
    match finding.shrinking {
        Some(shrinking) if shrinking.minimal => text.push_str(&format!(
            " Minimal: no event and no fault can be left out ({} tries).",
            shrinking.tries
        )),
        Some(shrinking) => {
            text.push_str(&format!(" Shrunk with {} tries, then the budget was spent.", shrinking.tries));
        }
        None if finding.breach.kind == Kind::NotDeterministic => {}
        None => text.push_str(" Not shrunk."),
    }
    if let Some(shrinking) = finding.shrinking {
        let (before, after) = (shrinking.before, shrinking.after);
        text.push_str(&format!(
            " Entries {} → {}, faults {} → {}, partitions {} → {}.",
            before.entries, after.entries, before.faults, after.faults, before.partitions, after.partitions
        ));
    }
    text
}

/// The whole case, in a fence longer than any in it.
fn block(case: &Case) -> String {
    let toml = case.to_toml();
    let mut longest = 0;
    let mut run = 0;
    for c in toml.chars() {
        run = if c == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    let fence = "`".repeat((longest + 1).max(3));
    let end = if toml.ends_with('\n') { "" } else { "\n" };
    format!("{fence}toml\n{toml}{end}{fence}")
}

fn origin(finding: &Finding<'_>) -> String {
    let mut text = format!("found by {}", finding.origin.driver);
    if let Some(seed) = finding.origin.seed {
        text.push_str(&format!(", seed {seed:#010x}"));
    }
    if let Some(case) = finding.origin.case {
        text.push_str(&format!(", case {case}"));
    }
    format!("{text} · rewindow {}, format {FORMAT}", env!("CARGO_PKG_VERSION"))
}
