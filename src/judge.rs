//! The judge: compares what a run delivered and answered with what was owed.
//!
//! It knows the truth ([`Truth`]: the model's answer to the whole history) and the run, and nothing of how
//! either came about. Every difference is either forgiven by a rule named here or is a [`Breach`]; among
//! several, the cause is reported before its effects: panics, refusals, answers, failures, rows by timestamp, what
//! consumers see, catch-up. Invariant: the verdict is a function of (truth, case, run).

mod answers;
mod excused;
mod frontier;
mod late;
mod legs;
mod level;
#[cfg(test)]
mod lying_tests;
mod openings;
pub mod regions;
#[cfg(test)]
mod regions_tests;
mod rows;
mod shown;
mod sinks;
#[cfg(test)]
mod tests;
mod truth;
mod withheld;

use std::sync::Arc;

use rewindow_query::{Row, Span, Timestamp};
use rewindow_world::case::Case;
use rewindow_world::outcome::{Failed, RecoveryReport, Run, Step};
use rewindow_world::step_text;

pub use legs::{Leg, legs};
pub use level::Level;
pub use truth::Truth;

use answers::Allowed;
use excused::Excused;
use openings::Openings;

/// What the judge says of a run.
#[derive(Clone, PartialEq, Debug)]
pub enum Verdict {
    /// Every claim held.
    Held(Held),
    /// A claim did not hold.
    Broken(Box<Breach>),
}

impl Verdict {
    /// The breach, if there is one.
    pub fn breach(&self) -> Option<&Breach> {
        match self {
            Verdict::Held(_) => None,
            Verdict::Broken(breach) => Some(breach),
        }
    }
}

/// What there is to say of a run that held.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Held {
    /// For each output of the plan the strongest level that held.
    pub levels: Vec<Level>,
    /// For each output of the plan whether a recovery needed what the source had forgotten.
    pub short: Vec<bool>,
    /// How its recoveries went.
    pub recoveries: Recoveries,
    /// Rows delivered that equal an owed row, copies included.
    pub rows_matched: u64,
    /// Of these, rows that had been delivered before.
    pub copies: u64,
    /// Rows not delivered, or delivered otherwise, inside announced gaps.
    pub rows_in_gaps: u64,
    /// Owed rows left out because the user chose a later start.
    pub rows_skipped: u64,
}

/// Recoveries of a run, counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Recoveries {
    /// That went on from a checkpoint.
    pub from_checkpoint: u64,
    /// By replay alone.
    pub replayed: u64,
    /// Of all, those that announced a gap.
    pub announced: u64,
    /// Entries replayed by all of them together.
    pub backlog: u64,
    /// Most entries replayed by one.
    pub backlog_max: u64,
    /// Longest catch-up that was not cut short.
    pub catch_up_max: Span,
    /// Longest catch-up by the formula.
    pub estimated_max: Span,
}

impl Held {
    /// Adds the job that took the place of this one; of its outputs those count that have the same place.
    fn add(&mut self, later: &Held) {
        self.levels.iter_mut().zip(&later.levels).for_each(|(own, &later)| *own = (*own).max(later));
        self.short.iter_mut().zip(&later.short).for_each(|(own, &later)| *own |= later);
        self.recoveries.add(later.recoveries);
        self.rows_matched += later.rows_matched;
        self.copies += later.copies;
        self.rows_in_gaps += later.rows_in_gaps;
        self.rows_skipped += later.rows_skipped;
    }
}

impl Recoveries {
    fn add(&mut self, later: Recoveries) {
        self.from_checkpoint += later.from_checkpoint;
        self.replayed += later.replayed;
        self.announced += later.announced;
        self.backlog += later.backlog;
        self.backlog_max = self.backlog_max.max(later.backlog_max);
        self.catch_up_max = self.catch_up_max.max(later.catch_up_max);
        self.estimated_max = self.estimated_max.max(later.estimated_max);
    }
}

/// The claims of design §5 that a run can break.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum Claim {
    /// Without a fault the output is the model's, however the input was cut into batches.
    Agree,
    /// Saving and loading changes nothing that follows.
    Resume,
    /// Where the guarantee is Identical, any schedule gives the uninterrupted output.
    Recover,
    /// Announced gaps cover what differs and are no wider than what was unavoidable.
    HonestGaps,
    /// Copies are copies, nothing is repeated without need, order is kept.
    Delivery,
    /// What a subject answers when it is opened is true and allowed.
    Answers,
    /// The job fails exactly when the model says so.
    Failure,
    /// Same case, same run.
    Deterministic,
    /// After the last fault the job catches up, within the estimate.
    Live,
    /// What a consumer of paired regions holds loses and repeats nothing; a faulty version reaches one of them.
    Regions,
}

impl Claim {
    /// The claim's word in slugs, tables and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Claim::Agree => "agree",
            Claim::Resume => "resume",
            Claim::Recover => "recover",
            Claim::HonestGaps => "honest-gaps",
            Claim::Delivery => "delivery",
            Claim::Answers => "answers",
            Claim::Failure => "failure",
            Claim::Deterministic => "deterministic",
            Claim::Live => "live",
            Claim::Regions => "regions",
        }
    }
}

/// In which way a claim did not hold. The order is that in which causes are preferred to effects among
/// rows of one timestamp.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum Kind {
    /// The subject panicked.
    Panicked,
    /// The subject would not open.
    Refused,
    /// A checkpoint was used that may not be (rules 13.2, 13.3), or that does not exist.
    CheckpointForbidden,
    /// A checkpoint was there, might have been used, and was not.
    CheckpointUnused,
    /// The coordinator refused a checkpoint of a task that may act, or could not clear away the older ones.
    PublishRefused,
    /// A replay reads more than one lookback.
    ReadTooFar,
    /// A replay reads less than one lookback.
    ReadTooLittle,
    /// The positions answered do not fit the checkpoint or the source.
    WrongPosition,
    /// A gap was announced where the guarantee is Identical.
    GapNeedless,
    /// An announced gap reaches beyond the unavoidable.
    GapTooWide,
    /// Rows differ inside an unavoidable gap that was not announced.
    GapSilent,
    /// The job failed, and should not have.
    FailedNeedlessly,
    /// The job should have failed, and did not.
    DidNotFail,
    /// The job failed at another timestamp than it should.
    FailedElsewhere,
    /// A row has a larger count or sum than it should.
    CountsMore,
    /// A row has a smaller count or sum than it should.
    CountsLess,
    /// A row has other content than it should.
    Differs,
    /// What a node gave or saved counted, though it had been replaced.
    Zombie,
    /// A row that nobody owes.
    Invented,
    /// An owed row never came.
    Lost,
    /// A row came again though the saved state had it behind it, or twice in one generation.
    Repeated,
    /// Rows of one generation came in another order than the canonical one.
    OutOfOrder,
    /// A row is stamped before the output time that was asked for.
    BeforeStart,
    /// A row was certain, everything that had arrived was read, and it did not come.
    LateRow,
    /// What was certain was read, and the worker does not say that it has given what lies before.
    FrontierBehind,
    /// Consumers never see an owed row, though it was written.
    NotVisible,
    /// Consumers see a row twice where the sink promises it once.
    VisibleTwice,
    /// Consumers see a row that is not owed, or not so.
    VisibleWrong,
    /// Consumers see a row later than the checkpoint that has it behind it was published.
    VisibleLate,
    /// Consumers see rows in another order than the canonical one where the sink promises it.
    VisibleOutOfOrder,
    /// A shard had not caught up at the end.
    NotLevel,
    /// Catch-up took longer or shorter than the formula says.
    CatchUp,
    /// Two runs of one case differ.
    NotDeterministic,
    /// A faulty version reached both members of a pair.
    BothFaulty,
    /// A faulty version showed itself, and the rollout was not stopped then.
    FaultUnnoticed,
    /// Both members of a pair were upgraded before the first had soaked.
    UpgradedTogether,
    /// Two regions say different things of what they owe alike, or a consumer holds what its region does not owe.
    RegionsDisagree,
    /// A consumer of paired regions holds a row twice.
    ConsumerRepeated,
    /// A consumer of paired regions lacks a row that both owe.
    ConsumerLost,
}

impl Kind {
    /// The kind's words in slugs and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Panicked => "panicked",
            Kind::Refused => "refused",
            Kind::CheckpointForbidden => "checkpoint-forbidden",
            Kind::CheckpointUnused => "checkpoint-unused",
            Kind::PublishRefused => "publish-refused",
            Kind::ReadTooFar => "read-too-far",
            Kind::ReadTooLittle => "read-too-little",
            Kind::WrongPosition => "wrong-position",
            Kind::GapNeedless => "gap-needless",
            Kind::GapTooWide => "gap-too-wide",
            Kind::GapSilent => "gap-silent",
            Kind::FailedNeedlessly => "failed-needlessly",
            Kind::DidNotFail => "did-not-fail",
            Kind::FailedElsewhere => "failed-elsewhere",
            Kind::CountsMore => "counted-twice",
            Kind::CountsLess => "counted-too-little",
            Kind::Differs => "differs",
            Kind::Zombie => "from-a-replaced-node",
            Kind::Invented => "invented",
            Kind::Lost => "lost",
            Kind::Repeated => "repeated",
            Kind::OutOfOrder => "out-of-order",
            Kind::BeforeStart => "before-start",
            Kind::LateRow => "late-row",
            Kind::FrontierBehind => "frontier-behind",
            Kind::NotVisible => "not-visible",
            Kind::VisibleTwice => "visible-twice",
            Kind::VisibleWrong => "visible-wrong",
            Kind::VisibleLate => "visible-late",
            Kind::VisibleOutOfOrder => "visible-out-of-order",
            Kind::NotLevel => "not-level",
            Kind::CatchUp => "catch-up",
            Kind::NotDeterministic => "not-deterministic",
            Kind::BothFaulty => "both-faulty",
            Kind::FaultUnnoticed => "fault-unnoticed",
            Kind::UpgradedTogether => "upgraded-together",
            Kind::RegionsDisagree => "regions-disagree",
            Kind::ConsumerRepeated => "consumer-repeated",
            Kind::ConsumerLost => "consumer-lost",
        }
    }
}

/// A claim that did not hold, with the first place where it shows.
#[derive(Clone, PartialEq, Debug)]
pub struct Breach {
    /// Which claim.
    pub claim: Claim,
    /// In which way.
    pub kind: Kind,
    /// The output concerned, as an index into the plan's outputs.
    pub output: Option<usize>,
    /// The output's name; the job's parts where no output is concerned.
    pub output_name: Arc<str>,
    /// The operator nearest to the output that keeps state.
    pub operator: &'static str,
    /// The shard concerned.
    pub shard: Option<usize>,
    /// The generation of the shard in which it shows; 0 before any recovery.
    pub generation: Option<u32>,
    /// The fault that led to this generation, by name.
    pub fault: Option<&'static str>,
    /// Timestamp of the row concerned, or the moment where no row is.
    pub at: Timestamp,
    /// The row that was owed.
    pub expected: Option<Row>,
    /// The row that came.
    pub actual: Option<Row>,
    /// A right copy of the row had been delivered before.
    pub copy: bool,
    /// The rest in words.
    pub message: String,
    /// The strongest level that held nevertheless for this output, or for all where none is concerned.
    pub level: Option<Level>,
    /// Of which of the jobs that took each other's place, from 0.
    pub leg: usize,
}

/// What makes two breaches the same sort of breach while a case is being shrunk.
pub type Class = (Claim, &'static str, Kind);

impl Breach {
    /// Claim, operator and kind.
    pub fn class(&self) -> Class {
        (self.claim, self.operator, self.kind)
    }
}

/// Judges a run of `case` against the truth of its query, history and ordering; where the user started another job in its
/// place, that one's run against its own.
pub fn judge(truth: &Truth, case: &Case, run: &Run) -> Verdict {
    let mut held = match judge_but(truth, case, run, &Excused::default()) {
        Verdict::Held(held) => held,
        broken => return broken,
    };
    match legs::next(truth, case, run) {
        None => Verdict::Held(held),
        Some(Err(error)) => {
            let message = error.to_string();
            let at = run.trace.last().map_or(Timestamp::MIN, |step| step.at);
            Verdict::Broken(Box::new(truth.breach(Claim::Answers, Kind::Refused, None, None, at, message)))
        }
        Some(Ok(leg)) => match judge(&leg.truth, &leg.case, leg.run) {
            Verdict::Held(later) => {
                held.add(&later);
                Verdict::Held(held)
            }
            Verdict::Broken(mut breach) => {
                breach.leg += 1;
                Verdict::Broken(breach)
            }
        },
    }
}

/// Likewise, but for what a faulty version is excused.
fn judge_but(truth: &Truth, case: &Case, run: &Run, excused: &Excused) -> Verdict {
    let (allowed, openings) = (Allowed::of(truth, run), Openings::of(run));
    let rows = rows::walk(truth, case, run, &allowed, excused, &openings);
    let breach = panicked(truth, case, run)
        .or_else(|| answers::stranger(truth, run))
        .or_else(|| answers::refusal(truth, run))
        .or_else(|| answers::unpublished(truth, run, &openings))
        .or_else(|| answers::breach(truth, &excused.answered(run), &allowed))
        .or_else(|| {
            let only_missing = |breach: &Breach| fails_too_late(truth, run, breach);
            failure(truth, case, run, &allowed)
                .filter(|breach| !(excused.stands_still_somewhere() && only_missing(breach)))
        })
        .or_else(|| fails_again(truth, run, &allowed, excused))
        .or_else(|| rows.first.clone())
        .or_else(|| sinks::breach(truth, case, run, &allowed))
        .or_else(|| withheld::breach(truth, case, run, &openings))
        .or_else(|| late::breach(truth, case, run, &allowed, excused, &openings, &rows.came))
        .or_else(|| frontier::breach(truth, case, run, &allowed, excused, &openings))
        .or_else(|| answers::catch_up(truth, run));
    match breach {
        None => Verdict::Held(Held {
            levels: level::of_held(truth, case, run, &allowed, &rows),
            short: allowed.short(truth),
            recoveries: recoveries(run),
            rows_matched: rows.matched,
            copies: rows.copies,
            rows_in_gaps: rows.in_gaps,
            rows_skipped: rows.skipped,
        }),
        Some(mut breach) => {
            let levels = level::of_outputs(truth, case, run, &allowed);
            breach.level = match breach.output {
                Some(output) => levels[output],
                // The weakest of all, and none if one held none: `None` is not the least for `min`.
                None => levels.iter().copied().collect::<Option<Vec<_>>>().and_then(|l| l.into_iter().max()),
            };
            Verdict::Broken(Box::new(breach))
        }
    }
}

/// Compares two runs of one case (claim 10).
pub fn deterministic(truth: &Truth, first: &Run, second: &Run) -> Option<Breach> {
    if first == second && same_bits(first, second) {
        return None;
    }
    if let (Some(a), Some(b)) = (&first.then, &second.then)
        && first.trace == second.trace
        && a != b
    {
        let mut breach = deterministic(truth, a, b)?;
        breach.leg += 1;
        return Some(breach);
    }
    let step = first.trace.iter().zip(&second.trace).position(|(a, b)| a != b);
    let step = step.unwrap_or(first.trace.len().min(second.trace.len()));
    let at = first.trace.get(step).or(second.trace.get(step)).map_or(Timestamp::MIN, |s| s.at);
    let shard = first.trace.get(step).and_then(|s| s.shard);
    let message = match (first.trace.get(step), second.trace.get(step)) {
        (None, None) => "the steps of two runs are the same, what came of them differs".to_owned(),
        (a, b) => {
            let (a, b) = first_line_that_differs(a, b);
            format!("step {} of two runs differs: first `{a}`, then `{b}`", step + 1)
        }
    };
    Some(truth.breach(Claim::Deterministic, Kind::NotDeterministic, None, shard, at, message))
}

/// Whether two runs that are equal gave rows that are the same to the bit.
fn same_bits(first: &Run, second: &Run) -> bool {
    fn rows(run: &Run) -> impl Iterator<Item = &Row> {
        run.deliveries.iter().flat_map(|d| &d.rows).chain(run.visible.iter().map(|visible| &visible.row))
    }
    let (first, second) = (first.legs().flat_map(rows), second.legs().flat_map(rows));
    first.zip(second).all(|(a, b)| a.record.same_bits(&b.record))
}

/// Of two steps the first line of each that the other does not have; steps with rows have several.
fn first_line_that_differs(a: Option<&Step>, b: Option<&Step>) -> (String, String) {
    let [a, b] = [a, b].map(|step| step.map_or("the end".to_owned(), step_text));
    let same = a.lines().zip(b.lines()).take_while(|(a, b)| a == b).count();
    let line = |text: &str| text.lines().nth(same).unwrap_or("no more").trim().to_owned();
    (line(&a), line(&b))
}

fn recoveries(run: &Run) -> Recoveries {
    let mut counted = Recoveries::default();
    for report in &run.recoveries {
        match report.answer.outcome {
            rewindow_query::Outcome::FromCheckpoint => counted.from_checkpoint += 1,
            _ => counted.replayed += 1,
        }
        counted.announced += u64::from(!report.answer.gaps.is_empty());
        counted.backlog += report.backlog;
        counted.backlog_max = counted.backlog_max.max(report.backlog);
        counted.catch_up_max = counted.catch_up_max.max(report.actual.unwrap_or(Span::ZERO));
        counted.estimated_max = counted.estimated_max.max(report.estimated);
    }
    counted
}

/// No subject may panic, whatever it is given: a bad checkpoint is refused, a bad row fails the job.
fn panicked(truth: &Truth, case: &Case, run: &Run) -> Option<Breach> {
    let panicked = run.panicked.as_ref()?;
    let claim = if case.faults.is_empty() { Claim::Agree } else { Claim::Failure };
    let (shard, message) = (Some(panicked.shard), format!("it panicked: {}", panicked.message));
    let mut breach = truth.breach(claim, Kind::Panicked, None, shard, panicked.at, message);
    let opening = |r: &&RecoveryReport| (r.shard, r.generation) == (panicked.shard, panicked.generation);
    breach.generation = Some(panicked.generation);
    breach.fault = run.recoveries.iter().find(opening).map(|report| report.fault);
    Some(breach)
}

/// The job fails at the model's timestamp, or not at all (C-FAIL). A failure that was met is a fact, which only a gap of
/// its own shard excuses. One that does not come is excused in an announced gap, and in a span that the user's choice of
/// start leaves out; so it is behind one that was excused, for what would have come after that is unknown.
fn failure(truth: &Truth, case: &Case, run: &Run, allowed: &Allowed) -> Option<Breach> {
    let owed = truth.answer.failure.as_ref();
    let early = run.failures.iter().filter(|met| owed.is_none_or(|owed| met.failure.at < owed.at));
    let in_gap = |met: &&Failed| {
        let [_, openings] = allowed.by(met.shard, met.at);
        allowed.announced(met.shard, openings, met.failure.at)
    };
    let (excused, needless): (Vec<&Failed>, Vec<&Failed>) = early.partition(in_gap);
    let needless = needless.into_iter().map(|met| &met.failure).min_by_key(|failure| failure.at);
    let claim = if case.faults.is_empty() { Claim::Agree } else { Claim::Failure };
    let breach = |kind, at, message| Some(truth.breach(claim, kind, None, None, at, message));
    let Some(owed) = owed else {
        return needless.and_then(|met| breach(Kind::FailedNeedlessly, met.at, met.message.clone()));
    };
    let comes = run.failures.iter().any(|met| met.failure.at == owed.at);
    let owed_in_gap =
        |shard| allowed.announced(shard, allowed.answers_for(shard, u32::MAX, owed.at), owed.at);
    let need_not_come = !excused.is_empty()
        || run.skipped.iter().any(|s| s.from <= owed.at && owed.at < s.until)
        || (0..truth.shards.len()).any(owed_in_gap);
    match needless.or(run.failure.as_ref()) {
        _ if needless.is_none() && (comes || need_not_come) => None,
        None => breach(Kind::DidNotFail, owed.at, owed.message.clone()),
        Some(got) => {
            let message =
                format!("failed at {} ({}), expected {} ({})", got.at, got.message, owed.at, owed.message);
            breach(Kind::FailedElsewhere, got.at, message)
        }
    }
}

/// The timestamp from which on a shard owes nothing, because it failed there and was not opened again.
fn ended(run: &Run, shard: usize) -> Option<Timestamp> {
    let last = run.failures.iter().rfind(|failed| failed.shard == shard)?;
    let again = run.recoveries.iter().any(|report| report.shard == shard && report.at > last.at);
    (!again).then_some(last.failure.at)
}

/// Whether what is wrong with a failure is that it has not come, or only a later one has: what stands still does not fail.
fn fails_too_late(truth: &Truth, run: &Run, breach: &Breach) -> bool {
    let (owed, got) = (truth.answer.failure.as_ref(), run.failure.as_ref());
    match breach.kind {
        Kind::DidNotFail => true,
        Kind::FailedElsewhere => owed.zip(got).is_some_and(|(owed, got)| owed.at < got.at),
        _ => false,
    }
}

/// A shard that failed and was opened again fails again, at the same timestamp (rule 14.2): its input is the
/// same. Not decided where no opening since was asked for the failing row and had the time to come there, or where it
/// is in an announced gap.
fn fails_again(truth: &Truth, run: &Run, allowed: &Allowed, excused: &Excused) -> Option<Breach> {
    run.failures.iter().find_map(|first| {
        let Failed { shard, generation, ref failure, .. } = *first;
        let later = |number: u32| number > generation;
        let reopened = |r: &&RecoveryReport| {
            let writes = r.shard == shard && r.role.writes() && later(r.generation);
            let in_gap = allowed.announced(shard, r.generation, failure.at);
            writes && allowed.comes_to(r, failure.at) && !in_gap
        };
        run.recoveries.iter().find(reopened)?;
        let again = run.failures.iter().find(|f| f.shard == shard && later(f.generation));
        // In a gap of the one or the other, either may be what the other is not.
        let [_, before] = allowed.by(shard, first.at);
        let after = match again {
            Some(again) => allowed.by(shard, again.at)[1],
            None => allowed.answers_for(shard, u32::MAX, failure.at),
        };
        let met = [failure.at, again.map_or(failure.at, |again| again.failure.at)];
        let in_gap = |openings| met.iter().any(|&at| allowed.announced(shard, openings, at));
        if [before, after].into_iter().any(in_gap) || excused.stands_still(shard) {
            return None;
        }
        // A start that goes back may meet a row that fails and that the one before was not asked for.
        let asked = run.recoveries.iter().find(|r| r.shard == shard && r.generation == generation);
        let asked_from = asked.map_or(Timestamp::MIN, |report| report.output_from);
        let (kind, message) = match again {
            Some(again) if again.failure.at < asked_from => return None,
            Some(again) if again.failure.at == failure.at => return None,
            Some(again) => (
                Kind::FailedElsewhere,
                format!("opened again, it failed at {} instead of {}", again.failure.at, failure.at),
            ),
            None => (Kind::DidNotFail, format!("opened again, it did not fail again: {}", failure.message)),
        };
        Some(truth.breach(Claim::Failure, kind, None, Some(shard), failure.at, message))
    })
}
