//! What a faulty version of the service is excused for in the region that ran it, and nothing else.
//!
//! ```text
//!   version       0        | 1, faulty     | 2, the old one again
//!   stalls        r1 r2 r3 |               |       r4 r5 r6      late: excused; absent: only if 2 never comes
//!   wrong         r1 r2 r3 | x4 x5         | r6                  r4, r5: excused, 2 was not asked for them
//! ```
//!
//! Only what was written by openings of that version counts as its doing. Knows nothing of consumers. Invariant:
//! without a faulty version nothing is excused.

use rewindow_query::{Outcome, Timestamp};
use rewindow_world::outcome::{RecoveryReport, Run};
use rewindow_world::regions::{Faulty, generations};

/// The excuses of one run.
#[derive(Default)]
pub(super) struct Excused {
    stalls: bool,
    ran: Vec<Ran>,
}

/// The faulty version at work in one shard.
struct Ran {
    shard: usize,
    /// Generations of the task that writes, by openings: the first, and one past the last.
    first: u32,
    next: u32,
    /// Rows stamped before this had been given when it came.
    position: Timestamp,
    /// The next version gives rows stamped at this or later; the end of time if there is none.
    taken_over: Timestamp,
    /// When it was opened, and when the next version was.
    at: Timestamp,
    until: Timestamp,
}

impl Excused {
    /// Of a run whose first upgrade brought the version. One that crashes is right while it runs, so nothing is excused.
    pub(super) fn of(run: &Run, faulty: Option<Faulty>) -> Excused {
        let stalls = match faulty {
            Some(Faulty::Stall) => true,
            Some(Faulty::Wrong) => false,
            Some(Faulty::Crash { .. }) | None => return Excused::default(),
        };
        let opening = |shard, generation| {
            run.recoveries.iter().find(move |r| (r.shard, r.generation) == (shard, generation))
        };
        let ran = |(shard, first, next): (usize, u32, u32)| {
            let (came, left) = (opening(shard, first)?, opening(shard, next));
            Some(Ran {
                shard,
                first,
                next,
                position: position(came),
                taken_over: left.map_or(Timestamp::MAX, |left| left.output_from),
                at: came.at,
                until: left.map_or(Timestamp::MAX, |left| left.at),
            })
        };
        Excused { stalls, ran: generations(run, 0).into_iter().filter_map(ran).collect() }
    }

    fn ran(&self, shard: usize) -> Option<&Ran> {
        self.ran.iter().find(|ran| ran.shard == shard)
    }

    /// Whether the faulty version wrote what a shard gave in that opening.
    pub(super) fn wrote(&self, shard: usize, opened: u32) -> bool {
        self.ran(shard).is_some_and(|ran| (ran.first..ran.next).contains(&opened))
    }

    /// Whether a row may say something else than is owed: a wrong version wrote it.
    pub(super) fn content(&self, shard: usize, opened: u32) -> bool {
        !self.stalls && self.wrote(shard, opened)
    }

    /// Whether an owed row may be absent; `mistaken` if it was given by the faulty version, with other content.
    pub(super) fn absent(&self, shard: usize, at: Timestamp, mistaken: bool) -> bool {
        self.ran(shard).is_some_and(|ran| match self.stalls {
            // Whoever takes over begins where the output stands, and a version that gives nothing does not move it.
            true => ran.next == u32::MAX && at >= ran.position,
            false => mistaken && at < ran.taken_over,
        })
    }

    /// Whether rows that are certain may be kept at that moment.
    pub(super) fn late(&self, shard: usize, now: Timestamp) -> bool {
        self.stalls && self.ran(shard).is_some_and(|ran| ran.at <= now && now < ran.until)
    }

    /// Whether a shard may not fail where it should: nothing of its input was processed, to the end.
    pub(super) fn stands_still(&self, shard: usize) -> bool {
        self.stalls && self.ran(shard).is_some_and(|ran| ran.next == u32::MAX)
    }

    /// Whether the whole job may not fail where it should.
    pub(super) fn stands_still_somewhere(&self) -> bool {
        self.ran.iter().any(|ran| self.stands_still(ran.shard))
    }

    /// The run as far as answers are judged. What a version that stalls saved says that it read what it did not, so
    /// what it answers when it goes on from there is its own affair.
    pub(super) fn answered<'r>(&self, run: &'r Run) -> std::borrow::Cow<'r, Run> {
        let own = |report: &RecoveryReport| {
            let of = |ran: &Ran| (ran.first + 1..ran.next).contains(&report.generation);
            report.role.writes() && self.stalls && self.ran(report.shard).is_some_and(of)
        };
        if !run.recoveries.iter().any(own) {
            return std::borrow::Cow::Borrowed(run);
        }
        let recoveries = run.recoveries.iter().filter(|report| !own(report)).cloned().collect();
        std::borrow::Cow::Owned(Run { contract: run.contract, recoveries, ..Run::default() })
    }
}

/// Rows stamped before this had been given when a task was opened: what its checkpoint or its order says.
fn position(report: &RecoveryReport) -> Timestamp {
    let saved = report.checkpoint.as_ref().filter(|_| report.answer.outcome == Outcome::FromCheckpoint);
    saved.map_or(report.output_from, |saved| saved.frontier.max(report.output_from))
}
