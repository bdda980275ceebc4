//! Opening a shard: what the subject is told, what it answers, and the report of it.
//!
//! | why | output position | checkpoint |
//! |---|---|---|
//! | fresh | before time | none |
//! | kill, readable upgrade | that of the checkpoint's writer; without one, all that was delivered | latest |
//! | unreadable upgrade | all that was delivered | latest, must not be used, then gone |
//! | user restart | the user's start | latest, must not be used, then gone |
//!
//! "All that was delivered" is the frontier the sink has seen: every row before it was delivered. The
//! subject's answer is taken at its word and recorded; only what is forgotten cannot be read.

use std::collections::BTreeMap;

use rewindow_query::{LogView, Outcome, Recovered, Timestamp, Why};

use crate::guarded;
use crate::nodes::Cause;
use crate::outcome::{RecoveryReport, Skipped, What};
use crate::queue::{Event, effort};
use crate::reached;
use crate::run::World;
use crate::subject::Opening;

impl World<'_> {
    /// Opens a shard; unless it is the first time, reports how it recovered.
    pub(crate) fn open(&mut self, shard: usize, cause: Cause) {
        if self.parts[shard].dead {
            return;
        }
        if cause.why == Why::UserRestart {
            self.restart_output(shard, cause.start);
        }
        self.note_forgotten();
        let stored = self.store.latest(shard);
        let position = self.sink[shard].position;
        let output_from = match cause.why {
            Why::Fresh => Timestamp::MIN,
            // The sink was just told the user's start; all rows before its position are not wanted.
            Why::UserRestart | Why::AfterUpgrade { readable: false } => position,
            // With a checkpoint its writer's position goes on: what follows it may be delivered again.
            Why::AfterKill | Why::AfterUpgrade { readable: true } => {
                stored.map_or(position, |stored| stored.output_from)
            }
        };
        let view = self.log.at(self.now);
        let checkpoint = stored.map(|stored| stored.bytes.as_slice());
        let sealed = stored.and_then(|stored| stored.sealed);
        let opening = Opening { why: cause.why, output_from, checkpoint, log: &view };
        match guarded::open(self.subject, shard, &opening) {
            Ok(Ok((worker, answer))) => {
                let part = &mut self.parts[shard];
                part.close();
                (part.worker, part.output_from) = (Some(worker), output_from);
                part.opened += 1;
                let sealed = sealed.filter(|_| answer.outcome == Outcome::FromCheckpoint);
                self.open_writer(shard, self.parts[shard].generation(), sealed);
                self.begin(shard, cause, answer);
            }
            Ok(Err(reason)) => {
                self.step(Some(self.parts[shard].node), Some(shard), || {
                    What::Failed(format!("refused: {reason}"))
                });
                self.parts[shard].dead = true;
                self.run.refused.push((shard, reason));
            }
            // Not in `begin`: the generation that would have begun here has no report.
            Err(panic) => self.panicked(shard, self.parts[shard].opened, panic),
        }
        if matches!(cause.why, Why::UserRestart | Why::AfterUpgrade { readable: false }) {
            self.store.forget(shard);
        }
    }

    /// The sink learns of a user's start.
    fn restart_output(&mut self, shard: usize, start: Timestamp) {
        if start < self.sink[shard].covered {
            self.reach(reached::STARTED_BACK);
        }
        if let Some((from, until)) = self.sink.restart(shard, start) {
            self.reach(reached::SKIPPED);
            self.run.skipped.push(Skipped { shard, from, until });
        }
    }

    /// Puts the lanes where the subject said it goes on, and reports.
    fn begin(&mut self, shard: usize, cause: Cause, answer: Recovered) {
        let view = self.log.at(self.now);
        let part = &mut self.parts[shard];
        let (mut retained, mut since, mut largest, mut backlog) = (BTreeMap::new(), BTreeMap::new(), 0, 0);
        for lane in &mut part.lanes {
            let place = (lane.input, lane.partition);
            let kept = view.retained(lane.input, lane.partition);
            // What is forgotten cannot be read, and a partition the answer leaves out is read from
            // the oldest entry kept: the rows will tell.
            lane.position = answer.positions.get(&place).map_or(kept.first, |&next| next.max(kept.first));
            lane.backlog_end = kept.next;
            let behind = kept.next.saturating_sub(lane.position);
            (largest, backlog) = (largest.max(behind), backlog + behind);
            retained.insert(place, kept);
            if let Outcome::Replayed { from } = answer.outcome {
                since.insert(place, view.first_since(lane.input, lane.partition, from));
            }
        }
        (part.wake, part.stint) = (Some(self.now), Some((self.now, 0)));
        let (node, generation, output_from) = (part.node, part.generation(), part.output_from);
        self.queue.push(self.now, Event::Wake(shard));
        self.step(Some(node), Some(shard), || What::Opened(cause.why));
        if generation == 0 {
            return;
        }
        self.parts[shard].catching = Some(self.run.recoveries.len());
        let report = RecoveryReport {
            at: self.now,
            node: u32::try_from(node).unwrap_or(u32::MAX),
            shard,
            generation,
            why: cause.why,
            fault: cause.fault,
            output_from,
            checkpoint: self.store.latest(shard).map(|stored| stored.record.clone()),
            answer,
            retained,
            since,
            backlog,
            estimated: effort(largest, self.case.deployment.rate),
            actual: None,
        };
        self.reach_recovery(&report);
        self.run.recoveries.push(report);
    }

    fn reach_recovery(&mut self, report: &RecoveryReport) {
        let expired = match report.answer.outcome {
            Outcome::Fresh => false,
            Outcome::FromCheckpoint => report.checkpoint.as_ref().is_some_and(|record| {
                report
                    .retained
                    .iter()
                    .any(|(place, kept)| record.positions.get(place).is_some_and(|&p| p < kept.first))
            }),
            Outcome::Replayed { from } => report.retained.values().any(|kept| kept.lost_until >= Some(from)),
        };
        let from_checkpoint = report.answer.outcome == Outcome::FromCheckpoint;
        let names = [
            (reached::FROM_CHECKPOINT, from_checkpoint),
            (reached::REPLAYED, matches!(report.answer.outcome, Outcome::Replayed { .. })),
            (reached::RESTORED_OPEN, from_checkpoint && self.holds_state(report.shard)),
            (reached::NO_CHECKPOINT, report.why == Why::AfterKill && report.checkpoint.is_none()),
            (reached::EXPIRED, expired),
            (reached::GAP, !report.answer.gaps.is_empty()),
            (reached::UPGRADE_STATE, report.why == Why::AfterUpgrade { readable: true }),
            (reached::UPGRADE_REPLAY, report.why == Why::AfterUpgrade { readable: false }),
            (reached::EMPTY_BACKLOG, report.backlog == 0),
        ];
        names.into_iter().filter(|&(_, was)| was).for_each(|(name, _)| self.reach(name));
    }

    /// Whether a worker's operators hold anything; the ordering stage always does.
    fn holds_state(&mut self, shard: usize) -> bool {
        let Some(worker) = &mut self.parts[shard].worker else { return false };
        match worker.explain() {
            Ok(explain) => explain.keys().any(|key| !key.starts_with("ordering")),
            Err(panic) => {
                self.panicked(shard, self.parts[shard].generation(), panic);
                false
            }
        }
    }
}
