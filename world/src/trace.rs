//! The trace as text, and its hash: what two runs of one case are compared by.
//!
//! Both are fixed: a line per step, delivery and recovery, written field by field, never by `Debug` of a
//! type that may change. The hash is FNV-1a, 64 bits, over the bytes of the text. Invariant: runs that
//! compare equal give equal text.

use std::fmt::{self, Write};

use rewindow_query::{Outcome, Row, Why};

use crate::outcome::{RecoveryReport, Run, Step, What};

/// FNV-1a, 64 bits.
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    let mut hash = Fnv::default();
    hash.take(bytes);
    hash.0
}

/// The trace of a run in its fixed text form, one step per line; after the steps, each on a line of its
/// own, deliveries, recoveries, spans left out, refusals, failure and counters.
pub fn trace_text(run: &Run) -> String {
    let mut text = String::new();
    write_run(&mut text, run).expect("a String takes all that is written");
    text
}

/// The hash of [`trace_text`], without making the text.
pub fn trace_hash(run: &Run) -> u64 {
    let mut hash = Fnv::default();
    write_run(&mut hash, run).expect("a hash takes all that is written");
    hash.0
}

/// A step in the same form, without its last line end.
pub fn step_text(step: &Step) -> String {
    let mut text = String::new();
    write_step(&mut text, step).expect("a String takes all that is written");
    text.truncate(text.trim_end().len());
    text
}

struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Fnv {
        Fnv(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn take(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

impl Write for Fnv {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.take(text.as_bytes());
        Ok(())
    }
}

fn write_run(out: &mut impl Write, run: &Run) -> fmt::Result {
    for step in &run.trace {
        write_step(out, step)?;
    }
    for delivery in &run.deliveries {
        let (at, node) = (delivery.at, delivery.node);
        writeln!(out, "delivery {at} node {node} shard {} generation {}", delivery.shard, delivery.opened)?;
        write_rows(out, &delivery.rows)?;
    }
    for index in &run.written_again {
        writeln!(out, "written again: delivery {index}")?;
    }
    for seen in &run.visible {
        writeln!(out, "visible {} shard {} generation {}", seen.at, seen.shard, seen.generation)?;
        write_rows(out, std::slice::from_ref(&seen.row))?;
    }
    for recovery in &run.recoveries {
        write_recovery(out, recovery)?;
    }
    for skipped in &run.skipped {
        writeln!(out, "skipped shard {} from {} until {}", skipped.shard, skipped.from, skipped.until)?;
    }
    for (shard, reason) in &run.refused {
        writeln!(out, "refused shard {shard}: {reason}")?;
    }
    if let Some(panicked) = &run.panicked {
        let (shard, generation) = (panicked.shard, panicked.generation);
        writeln!(out, "panicked shard {shard} generation {generation}: {}", panicked.message)?;
    }
    if let Some(failure) = &run.failure {
        writeln!(out, "failed at {}: {}", failure.at, failure.message)?;
    }
    for (name, count) in &run.reached {
        writeln!(out, "reached {name}: {count}")?;
    }
    writeln!(out, "entries fed: {}", run.entries_fed)?;
    match &run.then {
        None => Ok(()),
        Some(then) => {
            writeln!(out, "another job")?;
            write_run(out, then)
        }
    }
}

fn write_step(out: &mut impl Write, step: &Step) -> fmt::Result {
    write!(out, "{}", step.at)?;
    if let Some(node) = step.node {
        write!(out, " node {node}")?;
    }
    if let Some(shard) = step.shard {
        write!(out, " shard {shard}")?;
    }
    if let Some(task) = step.task {
        write!(out, " task {task}")?;
    }
    match &step.what {
        What::Fault(text) => writeln!(out, " fault: {text}"),
        What::Opened(why) => writeln!(out, " opened {}", why_name(*why)),
        What::Read { input, partition, first, next } => {
            writeln!(out, " read {input}/{partition} {first}..{next}")
        }
        What::Delivered(rows) => {
            writeln!(out, " delivered {}", rows.len())?;
            write_rows(out, rows)
        }
        What::Waits { until } => writeln!(out, " waits for the sink until {until}"),
        What::AckLost => writeln!(out, " acknowledgement lost"),
        What::Skipped(rows) => writeln!(out, " skipped {rows}"),
        What::Committed { number, rows } => writeln!(out, " committed {number} with {rows}"),
        What::Aborted(rows) => writeln!(out, " aborted {rows}"),
        What::Checkpoint { size, hash } => writeln!(out, " saved {size} bytes {hash:016x}"),
        What::Forgot { input, partition, first } => {
            writeln!(out, " forgot {input}/{partition} before {first}")
        }
        What::Damaged(damage) => writeln!(out, " the checkpoint is {}", damage.name()),
        What::Sent { to, first, next, until } => {
            writeln!(out, " sent rows {first}..{next} to task {to}, up to {until}")
        }
        What::Received { from, first, next } => {
            writeln!(out, " received rows {first}..{next} of task {from}")
        }
        What::HistoryGone { from, wanted } => {
            writeln!(out, " wanted row {wanted} of task {from}, which is gone")
        }
        What::Resumed => writeln!(out, " goes on, unnoticed"),
        What::CameBack => writeln!(out, " comes back, replaced"),
        What::Fenced => writeln!(out, " refused: replaced"),
        What::Level => writeln!(out, " level"),
        What::Finished => writeln!(out, " finished"),
        What::Failed(message) => writeln!(out, " failed: {message}"),
        What::Panicked(message) => writeln!(out, " panicked: {message}"),
    }
}

fn write_rows(out: &mut impl Write, rows: &[Row]) -> fmt::Result {
    for row in rows {
        write!(out, "  row output {} at {}", row.output, row.timestamp)?;
        if let Some(partition) = row.partition {
            write!(out, " partition {partition}")?;
        }
        out.write_str(" key (")?;
        for (index, value) in row.key.iter().enumerate() {
            write!(out, "{}{value}", if index == 0 { "" } else { ", " })?;
        }
        writeln!(out, ") number {} {}", row.ordinal, row.record)?;
    }
    Ok(())
}

fn write_recovery(out: &mut impl Write, report: &RecoveryReport) -> fmt::Result {
    write!(out, "recovery {} node {} shard {}", report.at, report.node, report.shard)?;
    write!(out, " generation {} {} by {}", report.generation, why_name(report.why), report.fault)?;
    write!(out, " output from {}", report.output_from)?;
    if let Some(checkpoint) = &report.checkpoint {
        write!(out, " offered {} frontier {}", checkpoint.at, checkpoint.frontier)?;
        for ((input, partition), next) in &checkpoint.positions {
            write!(out, " {input}/{partition}:{next}")?;
        }
    }
    match report.answer.outcome {
        Outcome::Fresh => out.write_str(" answer fresh")?,
        Outcome::FromCheckpoint => out.write_str(" answer checkpoint")?,
        Outcome::Replayed { from } => write!(out, " answer replay from {from}")?,
    }
    for ((input, partition), next) in &report.answer.positions {
        write!(out, " {input}/{partition}:{next}")?;
    }
    for gap in &report.answer.gaps {
        write!(out, " gap {}..{}", gap.from, gap.until)?;
    }
    for ((input, partition), kept) in &report.retained {
        write!(out, " kept {input}/{partition}:{}..{}", kept.first, kept.next)?;
        if let Some(lost) = kept.lost_until {
            write!(out, " lost until {lost}")?;
        }
    }
    write!(out, " backlog {} estimated {} ticks", report.backlog, report.estimated.0)?;
    match report.actual {
        Some(actual) => writeln!(out, " actual {} ticks", actual.0),
        None => writeln!(out, " interrupted"),
    }
}

fn why_name(why: Why) -> &'static str {
    match why {
        Why::Fresh => "fresh",
        Why::AfterKill => "after kill",
        Why::AfterUpgrade { readable: true } => "after upgrade, state readable",
        Why::AfterUpgrade { readable: false } => "after upgrade, state unreadable",
        Why::UserRestart => "after user restart",
    }
}
