//! Frontiers: what is certain lies behind what the worker itself says it has given (rules 3.8, 3.10).
//!
//! The output position follows the frontier, and whatever begins without state begins there. So a worker that says less
//! than it has given has all replayed and given again, and what is lost widened to the left, on its own word:
//!
//! ```text
//!   arrivals    a  b        c
//!   reads          .ab|         .c|    | = level: the frontier is at least the watermark, less what the
//!   frontier       ----W1       ------W2   outputs stay behind; only rows in announced gaps may lie between
//! ```
//!
//! A subject that is not prompt may keep rows to the end, and its frontier with them: of it nothing is asked here. A task
//! that merges waits for those upstream, which may have begun again without it: it is asked while it is the last of its
//! shard that was opened. What a checkpoint of a shard that is one task says is not less than what its worker had said
//! before. Knows nothing of rows. Invariant: nothing is asked of an opening that has not said anything yet.

use rewindow_engine::Role;
use rewindow_query::{Span, Timestamp};
use rewindow_world::case::Case;
use rewindow_world::outcome::{RecoveryReport, Run, Told};

use rewindow_model::release::behind;

use super::answers::Allowed;
use super::excused::Excused;
use super::openings::Openings;
use super::truth::Truth;
use super::{Breach, Claim, Kind};

/// The first frontier that is behind.
pub(super) fn breach(
    truth: &Truth,
    case: &Case,
    run: &Run,
    allowed: &Allowed,
    faulty: &Excused,
    openings: &Openings<'_>,
) -> Option<Breach> {
    if !run.contract.prompt {
        return None;
    }
    let clock = truth.clock(case);
    let mut watched: Vec<Watched> =
        (0..truth.shards.len()).map(|shard| Watched::new(truth, run, shard)).collect();
    let level = run.level.iter().find_map(|&(shard, now)| {
        let watched = watched.get_mut(shard).filter(|_| !faulty.late(shard, now))?;
        let lanes = truth.lanes(shard).iter().zip(&mut watched.read);
        let watermark = lanes.map(|(lane, read)| lane.at(read, now, &clock)).min()?;
        let told = watched.told(now)?;
        let opening = openings.by(shard, now);
        if told.opened != opening.map_or(0, |report| report.generation) {
            return None;
        }
        // Nothing is owed from the failure on.
        let failure = truth.answer.failure.as_ref().map_or(Timestamp::MAX, |failure| failure.at);
        let until = watermark.minus(watched.behind).min(failure);
        let from = told.frontier.max(opening.map_or(Timestamp::MIN, |report| report.output_from));
        let first = allowed.first_not_announced(shard, told.opened, from);
        (first < until).then(|| {
            let message = format!(
                "everything up to {now} was read and the watermark stood at {watermark}, but it says that it has \
                 given all rows before {}, and not those before {until}",
                told.frontier
            );
            found(truth, shard, opening, now, message)
        })
    });
    level.or_else(|| run.recoveries.iter().find_map(|report| saved(truth, run, faulty, openings, report)))
}

/// What a checkpoint says, beside what its worker had said.
fn saved(
    truth: &Truth,
    run: &Run,
    faulty: &Excused,
    openings: &Openings<'_>,
    report: &RecoveryReport,
) -> Option<Breach> {
    let saved = report.checkpoint.as_ref().filter(|saved| report.role == Role::Whole && !saved.late)?;
    if faulty.late(report.shard, saved.at) {
        return None;
    }
    let by = openings.by(report.shard, saved.at);
    let opened = by.map_or(0, |report| report.generation);
    let told = run.frontiers.get(&report.shard)?.iter().take_while(|told| told.at < saved.at);
    let told = told.filter(|told| told.opened == opened).map(|told| told.frontier).max()?;
    (saved.frontier < told).then(|| {
        let message = format!(
            "its checkpoint of {} says that it had given all rows before {}, it had said {told} before",
            saved.at, saved.frontier
        );
        found(truth, report.shard, by, saved.at, message)
    })
}

fn found(
    truth: &Truth,
    shard: usize,
    opening: Option<&RecoveryReport>,
    at: Timestamp,
    message: String,
) -> Breach {
    let mut breach = truth.breach(Claim::Live, Kind::FrontierBehind, None, Some(shard), at, message);
    breach.generation = Some(opening.map_or(0, |report| report.generation));
    breach.fault = opening.map(|report| report.fault);
    breach
}

/// A shard while its moments are walked through.
struct Watched<'r> {
    /// Entries read of each lane.
    read: Vec<usize>,
    /// How far the least of its outputs stays behind the watermark.
    behind: Span,
    /// What is still to be said.
    next: std::slice::Iter<'r, Told>,
    /// The furthest that its newest worker has said.
    told: Option<Told>,
}

impl<'r> Watched<'r> {
    fn new(truth: &Truth, run: &'r Run, shard: usize) -> Watched<'r> {
        let outputs = truth.shards[shard].outputs.iter();
        Watched {
            read: vec![0; truth.lanes(shard).len()],
            behind: outputs.map(|&output| behind(&truth.plan, output)).max().unwrap_or(Span::ZERO),
            next: run.frontiers.get(&shard).map_or(&[][..], Vec::as_slice).iter(),
            told: None,
        }
    }

    /// What had been said by then; `now` never goes back.
    fn told(&mut self, now: Timestamp) -> Option<Told> {
        while let Some(&next) = self.next.as_slice().first().filter(|next| next.at <= now) {
            self.next.next();
            // A worker that was replaced says nothing of its shard.
            let further = |told: Told| (told.opened, told.frontier) < (next.opened, next.frontier);
            if self.told.is_none_or(further) {
                self.told = Some(next);
            }
        }
        self.told
    }
}
