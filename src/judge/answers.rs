//! Answers: what a subject said when it was opened, beside what it may say.
//!
//! A right row does not excuse a wrong answer: a checkpoint used after a user restart is a breach even
//! where every row is right (rule 13.3). Gaps are held against the guarantee, which is the model's.
//! Invariant: what is forgiven later was announced here, and was unavoidable.

use std::cmp::Ordering::{Equal, Greater, Less};
use std::collections::BTreeMap;

use rewindow_model::guarantee::{self, Guarantee, Opened};
use rewindow_query::{Gap, Outcome, Span, Timestamp};
use rewindow_world::outcome::{RecoveryReport, Run, Stopped};
use rewindow_world::subject::Contract;

use super::openings::Openings;
use super::truth::Truth;
use super::{Breach, Claim, Kind};

/// Gaps of a run: of each shard, what was unavoidable and what was announced, by generation.
pub(super) struct Allowed {
    shards: Vec<Vec<Generation>>,
}

struct Generation {
    number: u32,
    at: Timestamp,
    output_from: Timestamp,
    /// How far the shard had come when the user stopped it next.
    stopped: Timestamp,
    /// Only generations of one epoch have state in common.
    epoch: u64,
    unavoidable: Vec<Gap>,
    announced: Vec<Gap>,
}

impl Allowed {
    pub(super) fn of(truth: &Truth, run: &Run) -> Allowed {
        let mut shards: Vec<Vec<Generation>> = truth.shards.iter().map(|_| Vec::new()).collect();
        for report in &run.recoveries {
            let stop = |s: &&Stopped| s.shard == report.shard && report.generation < s.openings;
            let stopped = run.stopped.iter().find(stop).map_or(Timestamp::MAX, |stop| stop.position);
            if let Some(shard) = shards.get_mut(report.shard) {
                shard.push(Generation {
                    number: report.generation,
                    at: report.at,
                    output_from: report.output_from,
                    stopped,
                    epoch: report.epoch,
                    unavoidable: unavoidable(truth, report),
                    announced: report.answer.gaps.clone(),
                });
            }
        }
        Allowed { shards }
    }

    /// Whether rows of this timestamp may be affected in a generation: it announced so, or one whose state it
    /// goes on from (choice C-GAP). What was announced before a replay is no excuse after it.
    pub(super) fn announced(&self, shard: usize, generation: u32, at: Timestamp) -> bool {
        self.generations(shard, generation).any(|g| g.announced.iter().any(|gap| gap.contains(at)))
    }

    /// The first instant at or behind one that [`Allowed::announced`] does not hold of.
    pub(super) fn first_not_announced(&self, shard: usize, generation: u32, from: Timestamp) -> Timestamp {
        let mut gaps: Vec<Gap> =
            self.generations(shard, generation).flat_map(|g| g.announced.iter().copied()).collect();
        gaps.sort_by_key(|gap| gap.from);
        gaps.iter().fold(from, |at, gap| if gap.contains(at) { gap.until } else { at })
    }

    /// The last generation, up to `until`, that a row was wanted of.
    pub(super) fn asked(&self, shard: usize, until: u32, at: Timestamp) -> u32 {
        self.last(shard, |g| g.number <= until && g.output_from <= at)
    }

    /// The generation that answers for a row that never came: the last one, up to `until`, that it was wanted of and
    /// that the user did not stop before it had come there.
    pub(super) fn answers_for(&self, shard: usize, until: u32, at: Timestamp) -> u32 {
        self.last(shard, |g| g.number <= until && g.output_from <= at && at < g.stopped)
    }

    /// Whether an opening was asked for rows of this timestamp, and the user did not stop it before it had come there.
    pub(super) fn comes_to(&self, report: &RecoveryReport, at: Timestamp) -> bool {
        self.generation(report).is_some_and(|g| g.output_from <= at && at < g.stopped)
    }

    fn last(&self, shard: usize, wanted: impl Fn(&Generation) -> bool) -> u32 {
        let of = self.shards.get(shard).map_or(&[][..], Vec::as_slice);
        of.iter().rfind(|g| wanted(g)).map_or(0, |generation| generation.number)
    }

    /// The last generation that began before an instant, and the last that had begun by then: different only if one
    /// began at that very instant.
    pub(super) fn by(&self, shard: usize, at: Timestamp) -> [u32; 2] {
        let of = self.shards.get(shard).map_or(&[][..], Vec::as_slice);
        let before = of.iter().rfind(|g| g.at < at).map_or(0, |g| g.number);
        [before, of.iter().rfind(|g| g.at <= at).map_or(0, |g| g.number)]
    }

    /// For each output, whether something that a recovery needed was forgotten.
    pub(super) fn short(&self, truth: &Truth) -> Vec<bool> {
        let mut short = vec![false; truth.plan.outputs.len()];
        for (shard, generations) in truth.shards.iter().zip(&self.shards) {
            let lost = generations.iter().any(|generation| !generation.unavoidable.is_empty());
            shard.outputs.iter().for_each(|&output| short[output] |= lost);
        }
        short
    }

    /// Whether any generation announced it.
    pub(super) fn announced_ever(&self, shard: usize, at: Timestamp) -> bool {
        let mut of = self.shards.get(shard).into_iter().flatten();
        of.any(|g| g.announced.iter().any(|gap| gap.contains(at)))
    }

    /// Whether it was unavoidable that rows of this timestamp be affected.
    pub(super) fn unavoidable(&self, shard: usize, generation: u32, at: Timestamp) -> bool {
        self.generations(shard, generation).any(|g| g.unavoidable.iter().any(|gap| gap.contains(at)))
    }

    /// A generation and those whose state it may have gone on from, or has it in common with: those of its epoch.
    fn generations(&self, shard: usize, until: u32) -> impl Iterator<Item = &Generation> {
        let of = self.shards.get(shard).map_or(&[][..], Vec::as_slice);
        let before = move |g: &&Generation| g.number <= until;
        let epoch = of.iter().rfind(before).map_or(0, |generation| generation.epoch);
        of.iter().filter(before).filter(move |generation| generation.epoch == epoch)
    }

    fn generation(&self, report: &RecoveryReport) -> Option<&Generation> {
        self.shards.get(report.shard)?.iter().find(|g| g.number == report.generation)
    }
}

/// The gaps that no subject could have avoided at this opening.
fn unavoidable(truth: &Truth, report: &RecoveryReport) -> Vec<Gap> {
    // Most sources have forgotten nothing, and then nothing has to be asked.
    if report.retained.values().all(|kept| kept.lost_until.is_none()) {
        return Vec::new();
    }
    let given = guarantee::guarantee(&truth.plan, &[opened(truth, report)]);
    given.into_iter().fold(Vec::new(), |gaps, guarantee| match guarantee {
        Guarantee::Identical => gaps,
        Guarantee::IdenticalOutside(more) => Gap::merge([gaps, more].concat()),
    })
}

/// An opening as the model asks for it.
fn opened(truth: &Truth, report: &RecoveryReport) -> Opened {
    Opened {
        shard: truth.shards[report.shard].clone(),
        why: report.why,
        output_from: report.output_from,
        checkpoint: report.checkpoint.as_ref().map(|saved| (saved.positions.clone(), saved.frontier)),
        retained: report.retained.clone(),
    }
}

/// A subject that would not open.
pub(super) fn refusal(truth: &Truth, run: &Run) -> Option<Breach> {
    let (shard, reason) = run.refused.first()?;
    let last = run.recoveries.iter().rfind(|r| r.shard == *shard);
    let at = last.map_or(Timestamp::MIN, |report| report.at);
    let breach = truth.breach(Claim::Answers, Kind::Refused, None, Some(*shard), at, reason.clone());
    Some(breach)
}

/// A shard that the plan does not have: nobody owes anything of it, and nothing can be held against it.
pub(super) fn stranger(truth: &Truth, run: &Run) -> Option<Breach> {
    let known = truth.shards.len();
    let opened = run.recoveries.iter().map(|report| (report.shard, report.at));
    let gave = run.deliveries.iter().map(|delivery| (delivery.shard, delivery.at));
    let failed = run.failures.iter().map(|failed| (failed.shard, failed.at));
    let mut all = opened.chain(gave).chain(failed).chain(run.level.iter().copied());
    let (shard, at) = all.find(|&(shard, _)| shard >= known)?;
    let message = format!(
        "it works at shard {shard}, counted from 0, and the plan has {known}: a subject has the shards that \
         `Plan::shards` gives for the partitions of the case"
    );
    Some(truth.breach(Claim::Answers, Kind::Refused, None, None, at, message))
}

/// A checkpoint that the coordinator refused, though its task may act and the store was there: the next recovery would
/// replay, and nobody would ask why.
pub(super) fn unpublished(truth: &Truth, run: &Run, openings: &Openings<'_>) -> Option<Breach> {
    let refused = run.unpublished.first()?;
    let (shard, message) = (Some(refused.shard), format!("task {}: {}", refused.task, refused.reason));
    let mut breach = truth.breach(Claim::Answers, Kind::PublishRefused, None, shard, refused.at, message);
    breach.generation = Some(refused.generation);
    breach.fault = openings.by(refused.shard, refused.at).map(|report| report.fault);
    Some(breach)
}

/// The first answer that is not allowed.
pub(super) fn breach(truth: &Truth, run: &Run, allowed: &Allowed) -> Option<Breach> {
    run.recoveries.iter().find_map(|report| {
        let (claim, kind, message) = checkpoint(report)
            .or_else(|| outcome(truth, run.contract, report))
            .or_else(|| positions(run.contract, report))
            .or_else(|| allowed.generation(report).and_then(gaps))?;
        let mut breach = truth.breach(claim, kind, None, Some(report.shard), report.at, message);
        (breach.generation, breach.fault) = (Some(report.generation), Some(report.fault));
        Some(breach)
    })
}

type Found = (Claim, Kind, String);

/// A checkpoint may be used after a kill and after an upgrade that reads it, never else (rules 13.1 to
/// 13.3), and only if there is one.
fn checkpoint(report: &RecoveryReport) -> Option<Found> {
    if report.answer.outcome != Outcome::FromCheckpoint {
        return None;
    }
    if report.checkpoint.as_ref().is_some_and(|saved| saved.late) {
        let message = "it went on from what a node saved that had been replaced".to_owned();
        return Some((Claim::Answers, Kind::Zombie, message));
    }
    let message = if !guarantee::may_use_checkpoint(report.why) {
        format!("it went on from a checkpoint after: {}", report.fault)
    } else if report.checkpoint.is_none() {
        "it says it went on from a checkpoint, and there was none".to_owned()
    } else {
        return None;
    };
    Some((Claim::Answers, Kind::CheckpointForbidden, message))
}

/// State comes from where the table of design §3 says: a checkpoint that may be used is used, and else a
/// replay reads exactly one lookback. A subject whose contract is not exact may do with less state and read
/// more.
fn outcome(truth: &Truth, contract: Contract, report: &RecoveryReport) -> Option<Found> {
    use Outcome::{Fresh, FromCheckpoint, Replayed};
    let lax = !contract.exact;
    let (kind, message) =
        match (guarantee::expected_outcome(&truth.plan, &opened(truth, report)), report.answer.outcome) {
            (Fresh, _) | (_, FromCheckpoint) => return None,
            (FromCheckpoint, Replayed { .. }) if lax => return None,
            (FromCheckpoint, _) => {
                let at = report.checkpoint.as_ref().map_or(report.at, |saved| saved.at);
                (Kind::CheckpointUnused, format!("it might have gone on from the checkpoint of {at}"))
            }
            (Replayed { from: want }, Replayed { from }) if from > want || (from < want && !lax) => {
                let kind = if from < want { Kind::ReadTooFar } else { Kind::ReadTooLittle };
                (kind, format!("it reads what arrived at {from} or later, needed is {want} or later"))
            }
            (Replayed { .. }, Replayed { .. }) => return None,
            (Replayed { from }, Fresh) => (
                Kind::ReadTooLittle,
                format!("it says nothing was needed, and what arrived since {from} was"),
            ),
        };
    Some((Claim::Answers, kind, message))
}

/// The positions answered name every partition of the shard, lie inside the log, and are exactly those of the
/// checkpoint, moved forward only over what the source has forgotten, or of the first entry kept that arrived
/// at the start of the replay or later; a task that begins its epoch again begins where it began before.
fn positions(contract: Contract, report: &RecoveryReport) -> Option<Found> {
    let found = |kind, message: String| Some((Claim::Answers, kind, message));
    for (&(input, partition), kept) in &report.retained {
        let Some(&position) = report.answer.positions.get(&(input, partition)) else {
            let message = format!("no position for partition {partition} of input {input}");
            return found(Kind::WrongPosition, message);
        };
        let (first, next) = (kept.first, kept.next);
        if position < first || next < position {
            let message =
                format!("position {position} of partition {partition}, the log has {first}..{next}");
            return found(Kind::WrongPosition, message);
        }
        let saved = report.checkpoint.as_ref().filter(|_| report.answer.outcome == Outcome::FromCheckpoint);
        if let Some(saved) = saved {
            let saved = saved.positions.get(&(input, partition)).copied().unwrap_or(0);
            if position != saved.max(first) {
                return found(
                    Kind::WrongPosition,
                    format!(
                        "position {position} of partition {partition}, the checkpoint has {saved}, the log \
                         begins at {first}"
                    ),
                );
            }
        } else if let Some(begin) = &report.begin {
            let begin = begin.get(&(input, partition)).copied().unwrap_or(0);
            if position != begin {
                return found(
                    Kind::WrongPosition,
                    format!("position {position} of partition {partition}, the epoch began at {begin}"),
                );
            }
        } else if let Some(&since) = report.since.get(&(input, partition)) {
            let message =
                format!("position {position} of partition {partition}, the replay begins at {since}");
            match position.cmp(&since) {
                Less if contract.exact => return found(Kind::ReadTooFar, message),
                Greater => return found(Kind::ReadTooLittle, message),
                Less | Equal => {}
            }
        }
    }
    None
}

/// What is announced lies inside what was unavoidable.
fn gaps(generation: &Generation) -> Option<Found> {
    let inside = |gap: &Gap| {
        gap.from >= gap.until
            || generation.unavoidable.iter().any(|u| u.from <= gap.from && gap.until <= u.until)
    };
    let wide = generation.announced.iter().find(|gap| !inside(gap))?;
    let kind = if generation.unavoidable.is_empty() { Kind::GapNeedless } else { Kind::GapTooWide };
    let unavoidable: Vec<String> =
        generation.unavoidable.iter().map(|gap| format!("{}..{}", gap.from, gap.until)).collect();
    let unavoidable = if unavoidable.is_empty() { "nothing".to_owned() } else { unavoidable.join(", ") };
    let message = format!("it announced {}..{}, unavoidable was {unavoidable}", wide.from, wide.until);
    Some((Claim::HonestGaps, kind, message))
}

/// At the end every task is level again, and a catch-up that was not interrupted took what the formula
/// says. Where its node was slow or stood still it took longer: as many times as the node was slower, at most, and the
/// time it stood still.
pub(super) fn catch_up(truth: &Truth, run: &Run) -> Option<Breach> {
    let last: BTreeMap<usize, &RecoveryReport> =
        run.recoveries.iter().map(|report| (report.task, report)).collect();
    let over = run.failure.is_some() || !run.refused.is_empty() || run.panicked.is_some();
    let over = over || run.changed_by.is_some();
    let behind = last.into_values().find(|report| report.actual.is_none() && !over);
    let (report, kind, message) = match behind {
        Some(report) => (report, Kind::NotLevel, "it never caught up".to_owned()),
        None => {
            let other = |r: &&RecoveryReport| {
                r.actual.is_some_and(|actual| !(r.estimated..=longest(r)).contains(&actual))
            };
            let report = run.recoveries.iter().find(other)?;
            let (actual, longest) = (report.actual.unwrap_or(Span::ZERO), longest(report));
            let most =
                if longest > report.estimated { format!(", at most {longest}") } else { String::new() };
            (report, Kind::CatchUp, format!("it took {actual}, estimated {}{most}", report.estimated))
        }
    };
    let mut breach = truth.breach(Claim::Live, kind, None, Some(report.shard), report.at, message);
    (breach.generation, breach.fault) = (Some(report.generation), Some(report.fault));
    Some(breach)
}

/// How long a catch-up may take.
fn longest(report: &RecoveryReport) -> Span {
    let busy = i128::from(report.estimated.0) * i128::from(report.slowness);
    Span(i64::try_from(busy).unwrap_or(i64::MAX).saturating_add(report.stood.0))
}
