//! Opening a task: what the subject is told, what it answers, and the report of it.
//!
//! A shard's state belongs to an epoch. A new one begins with the first start, with every user's restart and every upgrade
//! that cannot read the state, and whenever the coordinator finds no set of checkpoints to go on from.
//!
//! | why | output position | checkpoint |
//! |---|---|---|
//! | fresh | before time | none |
//! | kill, readable upgrade | that of the epoch | latest whole one of the epoch |
//! | the same, without one | a task with links: that of the epoch, which it begins again; else: all that was delivered | none |
//! | unreadable upgrade | all that was delivered | latest, must not be used |
//! | user restart | the user's start | latest, must not be used |
//!
//! "All that was delivered" is the frontier the sink has seen: every row before it was delivered. The
//! subject's answer is taken at its word and recorded; only what is forgotten cannot be read.

use std::collections::BTreeMap;

use rewindow_query::{LogView, Outcome, Recovered, Span, Timestamp, Why};

use crate::control::{Granted, Kept};
use crate::guarded;
use crate::nodes::{Cause, Renew};
use crate::outcome::{CheckpointRecord, RecoveryReport, Skipped, Stopped, What};
use crate::queue::{Event, effort};
use crate::reached;
use crate::run::World;
use crate::subject::{Opening, Refusal};

impl World<'_> {
    /// Opens a task; unless it is the first time, reports how it recovered.
    pub(crate) fn open(&mut self, task: usize, cause: Cause) {
        let shard = self.parts[task].spec.shard;
        if self.shards[shard].dead {
            return;
        }
        self.parts[task].cause = None;
        self.note_forgotten();
        let renewed = self.shards[shard].renew.take();
        if let Some(Err(reason)) = renewed.map(|renew| self.begin_epoch(shard, renew)) {
            return self.refuse(task, reason);
        }
        // What may not be used is handed over all the same: not using it is part of what is judged.
        let void = self.saves.take_voided(task);
        let known = self.usable(task);
        let version = self.nodes[self.parts[task].node].version;
        self.saves.pass_over(task, version);
        let (incarnation, checkpoint, begin) = match self.control.open(task, version) {
            Ok(Granted::GoOn { incarnation, checkpoint, begin, skipped }) => {
                self.reach_times(reached::SKIPPED_CHECKPOINT, skipped);
                (incarnation, checkpoint, begin)
            }
            // Nothing is newer than an epoch that has just begun: to begin once more would never end.
            Ok(Granted::Again) if renewed.is_some() => {
                return self
                    .refuse(task, "the coordinator refuses the epoch that it has just begun".to_owned());
            }
            Ok(Granted::Again) => return self.renew_over(task, known, cause),
            Err(reason) => return self.refuse(task, reason),
        };
        let linked = self.parts[task].is_linked();
        if checkpoint.is_none() && renewed.is_none() && !linked {
            // A task by itself goes on where its output stands, and gives no row again.
            return self.renew_over(task, known, cause);
        }
        let void = void.filter(|_| !cause.keeps_state() && cause.why != Why::Fresh);
        let offered = checkpoint.as_deref().or(void.as_ref().map(|kept| &kept.bytes[..]));
        let output_from = self.shards[shard].output_from;
        let view = self.log.at(self.now);
        let opening = Opening {
            why: cause.why,
            version,
            epoch: self.shards[shard].epoch,
            incarnation,
            begin: begin.as_ref().filter(|_| linked),
            output_from,
            checkpoint: offered,
            log: &view,
        };
        let sealed = known.as_ref().filter(|_| checkpoint.is_some()).and_then(|kept| kept.sealed);
        let opened = guarded::open(self.subject, task, &opening);
        let state = &mut self.shards[shard];
        match opened {
            Ok(Ok((worker, answer))) => {
                state.opened += 1;
                if !linked {
                    state.restart = None;
                }
                let generation = state.opened - 1;
                let part = &mut self.parts[task];
                part.close();
                part.worker = Some(worker);
                (part.incarnation, part.generation) = (incarnation, generation);
                let begins = checkpoint.is_none() && begin.is_none();
                let told = begins.then(|| self.control.began(task, incarnation, &answer.positions));
                if let Some(Err(reason)) = told {
                    return self.refuse(task, reason);
                }
                let record = if cause.keeps_state() { known } else { void };
                let record = record.map(|kept| kept.record);
                if self.parts[task].spec.role.writes() {
                    let sealed = sealed.filter(|_| answer.outcome == Outcome::FromCheckpoint);
                    self.open_writer(shard, generation, sealed);
                }
                // What the coordinator says of where the epoch began is judged by where the world saw it begin.
                let began =
                    begin.filter(|_| linked).map(|_| self.parts[task].began.clone().unwrap_or_default());
                self.begin(task, cause, version, answer, record, began);
                if begins {
                    let lanes = self.parts[task].lanes.iter();
                    let began = lanes.map(|lane| ((lane.input, lane.partition), lane.position)).collect();
                    self.parts[task].began = Some(began);
                }
                self.relink(task);
            }
            Ok(Err(Refusal::Overtaken)) if renewed.is_some() => {
                self.refuse(task, "it was overtaken in the epoch that was begun for it".to_owned());
            }
            // What it would read next is gone: no checkpoint was passed over.
            Ok(Err(Refusal::Overtaken)) => self.renew_over(task, None, cause),
            Ok(Err(Refusal::Refused(reason))) => self.refuse(task, reason),
            // Not in `begin`: the generation that would have begun here has no report.
            Err(panic) => self.panicked(task, self.shards[shard].opened, panic),
        }
    }

    fn refuse(&mut self, task: usize, reason: String) {
        self.step(Some(task), || What::Failed(format!("refused: {reason}")));
        let shard = self.parts[task].spec.shard;
        self.close_shard(shard);
        self.shards[shard].dead = true;
        self.run.refused.push((shard, reason));
    }

    /// The state of a shard is void from now on.
    fn begin_epoch(&mut self, shard: usize, renew: Renew) -> Result<(), String> {
        if let Renew::Start(start) = renew {
            self.restart_output(shard, start);
        }
        let state = &mut self.shards[shard];
        state.output_from = match renew {
            Renew::Fresh => Timestamp::MIN,
            Renew::Start(_) | Renew::Position => self.sink[shard].position,
        };
        state.restart = None;
        state.epoch = self.control.begin(shard, state.output_from)?;
        for &task in &state.tasks {
            self.saves.void(task);
            self.parts[task].began = None;
        }
        Ok(())
    }

    /// The coordinator found nothing to go on from, or the task cannot: the shard begins a new epoch, beginning with
    /// this task. `known` is the whole checkpoint that the world knows of.
    pub(crate) fn renew_over(&mut self, task: usize, known: Option<Kept>, cause: Cause) {
        let passed_over = known.filter(|kept| !self.is_behind(&kept.record)).map(|kept| kept.record);
        self.parts[task].passed_over = passed_over;
        self.begin_again(task, cause);
    }

    /// A new epoch of a task's shard, where its output stands.
    pub(crate) fn begin_again(&mut self, task: usize, cause: Cause) {
        let shard = self.parts[task].spec.shard;
        self.close_shard(shard);
        self.shards[shard].renew = Some(Renew::Position);
        self.reach_times(reached::BEGUN_AGAIN, self.parts[task].is_linked().into());
        self.open(task, cause);
        let others: Vec<usize> = self.shards[shard].tasks.iter().copied().filter(|&t| t != task).collect();
        for other in others {
            if self.can_open(other) {
                self.open(other, Cause { why: Why::AfterKill, fault: cause.fault });
            }
        }
    }

    /// Whether the log has forgotten what would be read next behind a checkpoint.
    fn is_behind(&self, record: &CheckpointRecord) -> bool {
        let view = self.log.at(self.now);
        record
            .positions
            .iter()
            .any(|(&(input, partition), &next)| view.retained(input, partition).first > next)
    }

    /// The sink learns of a user's start.
    fn restart_output(&mut self, shard: usize, start: Timestamp) {
        self.note_stopped(shard);
        if start < self.sink[shard].covered {
            self.reach(reached::STARTED_BACK);
        }
        if let Some((from, until)) = self.sink.restart(shard, start) {
            self.reach(reached::SKIPPED);
            self.run.skipped.push(Skipped { at: self.now, shard, from, until });
        }
    }

    /// How far a shard has come that the user stopped.
    pub(crate) fn note_stopped(&mut self, shard: usize) {
        let (openings, position) = (self.shards[shard].opened, self.sink[shard].position);
        self.run.stopped.push(Stopped { shard, openings, position });
    }

    /// Puts the lanes where the subject said it goes on, and reports.
    fn begin(
        &mut self,
        task: usize,
        cause: Cause,
        version: u32,
        answer: Recovered,
        checkpoint: Option<CheckpointRecord>,
        begin: Option<BTreeMap<(usize, u32), u64>>,
    ) {
        let view = self.log.at(self.now);
        let part = &mut self.parts[task];
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
        let (node, generation) = (part.node, part.generation);
        let (shard, passed_over) = (part.spec.shard, part.passed_over.take());
        self.queue.push(self.now, Event::Wake(task));
        self.step(Some(task), || What::Opened(cause.why));
        if cause.why == Why::Fresh {
            return;
        }
        self.parts[task].catching = Some(self.run.recoveries.len());
        let report = RecoveryReport {
            at: self.now,
            node: u32::try_from(node).unwrap_or(u32::MAX),
            shard,
            task,
            role: self.parts[task].spec.role,
            epoch: self.shards[shard].epoch,
            generation,
            version,
            why: cause.why,
            fault: cause.fault,
            output_from: self.shards[shard].output_from,
            checkpoint: checkpoint.or(passed_over),
            begin,
            answer,
            retained,
            since,
            backlog,
            estimated: effort(largest, self.case.deployment.rate),
            slowness: self.slowness_of(task),
            stood: Span::ZERO,
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
            (reached::RESTORED_OPEN, from_checkpoint && self.holds_state(report.task)),
            (reached::NO_CHECKPOINT, report.why == Why::AfterKill && report.checkpoint.is_none()),
            (reached::EXPIRED, expired),
            (reached::GAP, !report.answer.gaps.is_empty()),
            (reached::UPGRADE_STATE, report.why == Why::AfterUpgrade { readable: true }),
            (reached::UPGRADE_REPLAY, report.why == Why::AfterUpgrade { readable: false }),
            (reached::EMPTY_BACKLOG, report.backlog == 0),
            (reached::EPOCH_AGAIN, report.begin.is_some()),
        ];
        names.into_iter().filter(|&(_, was)| was).for_each(|(name, _)| self.reach(name));
    }

    /// Whether a worker's operators hold anything; the ordering stage always does.
    fn holds_state(&mut self, task: usize) -> bool {
        let Some(worker) = &mut self.parts[task].worker else { return false };
        match worker.explain() {
            Ok(explain) => explain.keys().any(|key| !key.starts_with("ordering")),
            Err(panic) => {
                self.panicked(task, self.parts[task].generation, panic);
                false
            }
        }
    }
}
