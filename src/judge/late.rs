//! Late rows: a row that the watermark has made certain is given, not kept (rule 3.10).
//!
//! Asked at every moment at which a shard had read all that had arrived, so neither polls nor processing nor a
//! catch-up can be to blame:
//!
//! ```text
//!   arrivals   a  b        c
//!   reads         .ab|         .c|          | = level: every row below the watermark must have come
//! ```
//!
//! Knows nothing of content. Invariant: every owed row is asked about once, at the first such moment.

use rewindow_query::Timestamp;
use rewindow_world::case::Case;
use rewindow_world::outcome::{RecoveryReport, Run};

use rewindow_model::release::behind;

use super::answers::Allowed;
use super::excused::Excused;
use super::openings::Openings;
use super::truth::Truth;
use super::{Breach, Claim, Kind};

/// The first row that came too late; `came` says of each owed row when it first came.
pub(super) fn breach(
    truth: &Truth,
    case: &Case,
    run: &Run,
    allowed: &Allowed,
    faulty: &Excused,
    openings: &Openings<'_>,
    came: &[Option<Timestamp>],
) -> Option<Breach> {
    if !run.contract.prompt {
        return None;
    }
    let clock = truth.clock(case);
    let mut watched: Vec<Watched> = (0..truth.shards.len()).map(|shard| Watched::new(truth, shard)).collect();
    for &(shard, now) in &run.level {
        let Some(watched) = watched.get_mut(shard).filter(|_| !faulty.late(shard, now)) else { continue };
        let lanes = truth.lanes(shard).iter().zip(&mut watched.read);
        let Some(watermark) = lanes.map(|(lane, read)| lane.at(read, now, &clock)).min() else { continue };
        if watermark <= watched.watermark {
            continue;
        }
        watched.watermark = watermark;
        for (output, behind, next) in &mut watched.outputs {
            let until = watermark.minus(*behind);
            while let Some(&owed) = truth.sequence(shard, *output).get(*next) {
                let row = &truth.answer.rows[owed];
                if row.timestamp >= until {
                    break;
                }
                *next += 1;
                if came[owed].is_some_and(|at| at <= now)
                    || excused(run, allowed, openings.by(shard, now), shard, now, row.timestamp)
                {
                    continue;
                }
                let message = format!(
                    "everything up to {now} was read and the watermark stood at {watermark}, but it {}",
                    came[owed].map_or("never came".to_owned(), |at| format!("came only at {at}"))
                );
                let (output, shard) = (Some(*output), Some(shard));
                let mut breach =
                    truth.breach(Claim::Live, Kind::LateRow, output, shard, row.timestamp, message);
                breach.expected = Some(row.clone());
                let last = openings.by(shard.unwrap_or_default(), now);
                breach.generation = Some(last.map_or(0, |report| report.generation));
                breach.fault = last.map(|report| report.fault);
                return Some(breach);
            }
        }
    }
    None
}

/// A shard while its moments are walked through.
struct Watched {
    watermark: Timestamp,
    /// Entries read of each lane.
    read: Vec<usize>,
    /// Of each output: how far it stays behind, and the place of the next row to ask about.
    outputs: Vec<(usize, rewindow_query::Span, usize)>,
}

impl Watched {
    fn new(truth: &Truth, shard: usize) -> Watched {
        let outputs = truth.shards[shard].outputs.iter();
        Watched {
            watermark: Timestamp::MIN,
            read: vec![0; truth.lanes(shard).len()],
            outputs: outputs.map(|&output| (output, behind(&truth.plan, output), 0)).collect(),
        }
    }
}

/// A row in an announced gap may never come, and what the user left out is not owed from then on.
fn excused(
    run: &Run,
    allowed: &Allowed,
    opening: Option<&RecoveryReport>,
    shard: usize,
    now: Timestamp,
    at: Timestamp,
) -> bool {
    let left_out =
        run.skipped.iter().any(|s| s.shard == shard && s.at <= now && s.from <= at && at < s.until);
    let generation = opening.map_or(0, |report| report.generation);
    left_out || allowed.announced(shard, allowed.asked(shard, generation, at), at)
}
