//! What `check` and `replay` show: header, progress, the healthy screen, remarks on inputs.
//!
//! Values to text. Decides nothing and measures nothing. Invariant: no figure of wall-clock time stands in
//! anything for standard output, so the same seed gives the same bytes.

use std::collections::BTreeMap;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rewindow::budget::ChosenSeed;
use rewindow::campaign::{Campaign, Cell, Kept, Summary, required};
use rewindow::generate::Vary;
use rewindow::job::{Job, Remark};
use rewindow::judge::{Level, Truth};
use rewindow::plan_page::{PlanPage, duration, exact, shown};
use rewindow::regions::STRIKES;
use rewindow::shard::Shard;
use rewindow::text::{self, Align, WIDTH, count, number};
use rewindow_query::Span;
use rewindow_query::plan::Op;
use rewindow_world::reached;

/// The sign of a fault that never came alone, so that nothing can be said of it by itself.
const MIXED: char = '·';
/// Between a sign and its meaning, so that no line ends there; printed as a blank.
const TIED: &str = "\u{a0}";
/// Least width of a column of the table.
const CELL: usize = 7;
/// Room for the operator and a short step in front of the columns.
const STEP_LEAST: usize = 2 + 8 + 2 + 8;
/// Remarks shown by line before they are only counted.
const REMARKS_MAX: usize = 5;

/// Remarks on lines of the inputs, to standard error: the first few of each kind, then how many more.
pub(super) fn remarks(remarks: &[Remark]) {
    let mut codes: Vec<&str> = remarks.iter().map(|r| r.code).collect();
    codes.sort_unstable();
    codes.dedup();
    for code in codes {
        let of_kind: Vec<&Remark> = remarks.iter().filter(|r| r.code == code).collect();
        for remark in of_kind.iter().take(REMARKS_MAX) {
            let line = format!("warning[{code}]: {}: {}", remark.place(), remark.message);
            super::note(&text::wrap(&line, WIDTH, 3));
        }
        if of_kind.len() > REMARKS_MAX {
            let more = (of_kind.len() - REMARKS_MAX) as u64;
            super::note(&format!("warning[{code}]: and {}", count(more, "more line")));
        }
    }
}

/// The first lines: what is asked.
pub(super) fn header(job: &Job, seed: &ChosenSeed) -> String {
    let plan = &job.query.plan;
    let operators = plan.nodes.iter().filter(|n| !matches!(n.op, Op::Source(_) | Op::Project(_))).count();
    let head = format!(
        "rewindow {}  {}  {}, {}, {}, {seed}",
        env!("CARGO_PKG_VERSION"),
        job.name,
        count(plan.outputs.len() as u64, "output"),
        count(operators as u64, "operator"),
        count(job.log.history.entries.len() as u64, "entry"),
    );
    let page = PlanPage::of_job(job, None);
    let lookback = (0..plan.outputs.len()).map(|o| plan.lookback(o)).max().unwrap_or(Span::ZERO);
    let ordering = Span(page.needed.0.saturating_sub(lookback.0));
    let (kept, missing) = page.deployed.as_ref().map_or((None, Span::ZERO), |d| (d.kept, d.missing));
    let source = match kept {
        None => "source keeps everything · enough".to_owned(),
        Some(kept) if missing == Span::ZERO => format!("source keeps {} · enough", shown(kept)),
        Some(kept) => format!("source keeps {} · {} too little", shown(kept), exact(missing)),
    };
    let parallel = if plan.parallel { " · fully parallel" } else { "" };
    let [lookback, ordering] = [lookback, ordering].map(exact);
    let line = format!("   plan  lookback {lookback} · ordering adds {ordering} · {source}{parallel}");
    format!("{}\n{}\n", text::wrap(&head, WIDTH, 3), text::wrap(&line, WIDTH, 9))
}

/// A bar on a terminal, nothing in a pipe.
pub(super) fn progress_bar(cases: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(cases), ProgressDrawTarget::stderr());
    let template = "  judge  {wide_bar} {percent} %  {per_sec}  {msg}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

/// What stands beside the bar.
pub(super) fn progress_text(summary: &Summary) -> String {
    let held = number(summary.held);
    format!("held {held}  reached {} of {}", summary.states_reached(), reached::ALL.len())
}

/// What a shard says of states that it did not reach.
pub(super) const OF_A_SHARD: &str =
    "a shard need not reach all that has to be seen; what no shard reached was never reached";

/// The screen of a campaign in which nothing broke.
pub(super) fn healthy(campaign: &Campaign<'_>, summary: &Summary, cut_short: bool, all: bool) -> String {
    let Campaign { truth, vary, shard, .. } = *campaign;
    let mut screen = format!("\n{} held, none broke", count(summary.held, "schedule"));
    if shard != Shard::WHOLE {
        screen.push_str(&format!("; shard {shard} of {}", count(campaign.cases, "schedule")));
    }
    screen.push_str(if cut_short { "; the budget of time ended the search.\n\n" } else { ".\n\n" });
    screen.push_str(&table(truth, vary, summary));
    let recoveries = summary.from_checkpoint + summary.replayed;
    let mut lines = vec![
        (
            "recoveries",
            format!(
                "{}: {} from a checkpoint, {} by replay alone; {} of them partial and announced",
                number(recoveries),
                number(summary.from_checkpoint),
                number(summary.replayed),
                number(summary.announced)
            ),
        ),
        (
            "replayed",
            format!(
                "median {}, most {} · catch-up longest {}, estimated {}{}",
                count(summary.backlog_median(), "entry"),
                number(summary.backlog_max()),
                duration(summary.catch_up_max),
                duration(summary.estimated),
                summary.held_up.words()
            ),
        ),
        (
            "delivered",
            format!("{}, {} of them copies", count(summary.rows_matched, "owed row"), number(summary.copies)),
        ),
        ("run again", format!("{}, the same to the byte", count(summary.rerun, "schedule"))),
        ("reached", reached_text(vary, summary, all)),
    ];
    let missing = summary.not_reached(vary);
    if !missing.is_empty() {
        let (label, remedy) = match shard {
            Shard::WHOLE => {
                ("undecided", "more schedules (--cases) or other events may reach what has to be seen")
            }
            _ => ("not here", OF_A_SHARD),
        };
        lines.push((label, format!("never {}: {remedy}", missing.join(", never "))));
    }
    for (label, words) in lines {
        screen.push_str(&text::wrap(&format!("  {label:<10} {words}"), WIDTH, 13));
        screen.push('\n');
    }
    screen
}

fn reached_text(vary: &Vary, summary: &Summary, all: bool) -> String {
    let states = reached::ALL;
    let mut words = format!("{} of {}", summary.states_reached(), states.len());
    let with_count = |state: &str| {
        let times = summary.reached.get(state).copied().unwrap_or(0);
        format!("{state} {}", number(times))
    };
    if all {
        for state in states {
            words.push_str(&format!("\n{}", with_count(state)));
        }
        return words;
    }
    let named: Vec<String> =
        required(vary).into_iter().filter(|s| summary.reached.contains_key(s)).map(with_count).collect();
    if named.is_empty() { words } else { format!("{words}: {}, … (--reached lists all)", named.join(", ")) }
}

/// The table of outputs and faults: first the schedules in which the source kept what was needed, in which
/// nothing may be missing, then the others.
fn table(truth: &Truth, vary: &Vary, summary: &Summary) -> String {
    let faults = summary.faults(vary);
    if faults.is_empty() {
        return String::new();
    }
    let seen: Vec<Kept> =
        Kept::ALL.into_iter().filter(|&kept| summary.cells.keys().any(|key| key.2 == kept)).collect();
    let mut table = String::new();
    for &kept in &seen {
        if seen.contains(&Kept::Short) {
            table.push_str(match kept {
                Kept::Enough => "  while the source kept what was needed\n",
                Kept::Short => "  where the source had forgotten some of it\n",
            });
        }
        for faults in in_width(&faults) {
            table.push_str(&grid(truth, faults, &|output, fault| summary.cells.get(&(output, fault, kept))));
        }
        table.push('\n');
    }
    table.push_str(&legend(summary.cells.values(), Level::name));
    table
}

/// What the signs of a table mean, as far as it has them.
fn legend<'c>(mut cells: impl Iterator<Item = &'c Cell> + Clone, name: fn(Level) -> &'static str) -> String {
    let mut levels: Vec<Level> = cells.clone().filter(|c| c.alone > 0).map(|c| c.level).collect();
    levels.sort_unstable();
    let mut signs: Vec<String> =
        levels.iter().map(|&level| format!("{}{TIED}{}", level.sign(), name(level))).collect();
    signs.dedup();
    if cells.any(|cell| cell.alone == 0) {
        signs.push(format!("{MIXED}{TIED}only with other faults"));
    }
    match signs.is_empty() {
        true => String::new(),
        false => {
            let line = format!("  by itself  {}", signs.join("   "));
            text::wrap(&line, WIDTH, 13).replace(TIED, " ") + "\n\n"
        }
    }
}

/// The table of outputs and what strikes a pair of regions; levels are those of what consumers hold.
pub(super) fn pairs_table(truth: &Truth, cells: &BTreeMap<(usize, &'static str), Cell>) -> String {
    let name = |level| match level {
        Level::DeclaredPartial => "some excused, rest identical",
        level => level.name(),
    };
    let mut table = "\n  what consumers of two regions hold\n".to_owned();
    for strikes in in_width(&STRIKES) {
        table.push_str(&grid(truth, strikes, &|output, strike| cells.get(&(output, strike))));
    }
    table.push('\n');
    table.push_str(&legend(cells.values(), name));
    table
}

/// Columns, as many side by side as leave room for the operator and the step.
fn in_width<'f>(faults: &'f [&'static str]) -> Vec<&'f [&'static str]> {
    let (mut parts, mut from, mut taken) = (Vec::new(), 0, STEP_LEAST);
    for (at, fault) in faults.iter().enumerate() {
        let width = fault.chars().count().max(CELL) + 2;
        if at > from && taken + width > WIDTH {
            parts.push(&faults[from..at]);
            (from, taken) = (at, STEP_LEAST);
        }
        taken += width;
    }
    parts.push(&faults[from..]);
    parts
}

/// Operators and outputs against faults.
fn grid<'c>(
    truth: &Truth,
    faults: &[&'static str],
    cell_of: &dyn Fn(usize, &'static str) -> Option<&'c Cell>,
) -> String {
    let cells = |output: usize| -> Vec<String> {
        let cell = |&fault: &&'static str| match cell_of(output, fault) {
            Some(cell) if cell.alone > 0 => format!("{} {}", number(cell.schedules), cell.level.sign()),
            Some(cell) => format!("{} {MIXED}", number(cell.schedules)),
            None => "-  ".to_owned(),
        };
        faults.iter().map(cell).collect()
    };
    // The faults' names need their room; what is left is the step's.
    let taken: usize = 2 + 8 + 2 + faults.iter().map(|fault| fault.len().max(CELL) + 2).sum::<usize>();
    let room = WIDTH.saturating_sub(taken).max(8);
    let mut rows = vec![vec![String::new(), String::new()]];
    rows[0].extend(faults.iter().map(|fault| (*fault).to_owned()));
    let row = |operator: &str, step: &str, cells: Vec<String>| -> Vec<String> {
        [operator.to_owned(), text::clip(step, room)].into_iter().chain(cells).collect()
    };
    let outputs = &truth.plan.outputs;
    for (output, _) in outputs.iter().enumerate() {
        for (operator, step) in truth.operators(output) {
            let row = row(operator, &step, cells(output));
            // A step that several outputs read stands once if it says the same of all.
            if !rows.contains(&row) {
                rows.push(row);
            }
        }
    }
    let alike = (1..outputs.len()).all(|output| cells(output) == cells(0));
    for (output, name) in outputs.iter().enumerate().take(if alike { 1 } else { outputs.len() }) {
        rows.push(row("ordering", if alike { "" } else { &name.name }, cells(output)));
    }
    let mut align = vec![Align::Left, Align::Left];
    align.extend(faults.iter().map(|_| Align::Right));
    text::table(&rows, &align, 2, 2)
}
