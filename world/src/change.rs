//! Another job in place of the one that ran: what it is, what is left behind for it, where it begins.
//!
//! ```text
//!   job before   --------stop|
//!   sink, store              | its rows stay, its checkpoints lie there
//!   other job                |.. down ..|start  replay, rows from the start on
//! ```
//!
//! The run of the job before ends with the stop. The other runs over the same source, on the same machines, over the same
//! store, and has a sink of its own; every process is new, so nothing hangs any more and nothing is under way. It must use
//! nothing of before (rule 13.3), and is offered it all the same: what it does with that is judged.
//! Invariant: the other job's case is a case like any other, and what it owes is what that owes from the start on.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use rewindow_query::{Entry, Timestamp, Why};

use crate::case::{Case, Damage, FaultKind};
use crate::checkpoints::Saved;
use crate::control::Harmed;
use crate::faults::strikes;
use crate::nodes::{Cause, Node, Renew};
use crate::outcome::{Run, Skipped};
use crate::queue::Event;
use crate::reached;
use crate::run::World;

impl Case {
    /// The case of the job that the fault of that index puts in place of this one; without such a fault itself.
    ///
    /// Streams with fewer partitions get more, and what arrives after the stop is dealt out to them in turn, stream by
    /// stream, in order of (arrival, partition, offset). What arrived before stays where it is.
    #[must_use]
    pub fn changed(&self, index: usize) -> Case {
        let mut case = self.clone();
        let Some(fault) = case.faults.get_mut(index) else { return case };
        let at = fault.at;
        let FaultKind::JobChange { query, partitions, .. } = &mut fault.kind else { return case };
        if let Some(query) = query.take() {
            case.query = query;
        }
        if let Some(count) = partitions.take() {
            case.add_partitions(count, at);
        }
        case
    }

    fn add_partitions(&mut self, count: u32, after: Timestamp) {
        // What was there before stands in front, so that in each partition arrivals never decrease.
        let (mut entries, mut later): (Vec<Entry>, Vec<Entry>) =
            self.history.entries.iter().cloned().partition(|entry| entry.arrival <= after);
        later.sort_by_key(|entry| (entry.arrival, entry.input, entry.partition, entry.offset));
        let mut turns = vec![0_u32; self.inputs.len()];
        for entry in &mut later {
            let turn = &mut turns[entry.input];
            entry.partition = *turn;
            *turn = (*turn + 1) % count.max(self.inputs[entry.input].partitions);
        }
        entries.append(&mut later);
        let mut next = BTreeMap::<(usize, u32), u64>::new();
        for entry in &mut entries {
            let next = next.entry((entry.input, entry.partition)).or_default();
            entry.offset = *next;
            *next += 1;
        }
        self.history = Arc::new(self.history.with_entries(entries));
        self.inputs.iter_mut().for_each(|input| input.partitions = input.partitions.max(count));
    }
}

/// How a job was stopped for another.
pub(crate) struct Stopped {
    /// The index of the fault.
    fault: usize,
    /// The output time of the other's start.
    start: Timestamp,
    /// When it comes up.
    up_at: Timestamp,
}

/// What a job leaves behind for another that takes its place.
pub struct Left {
    stopped: Stopped,
    at: Timestamp,
    /// Where "when last stopped" starts the other one.
    left_off: Timestamp,
    job: usize,
    /// The store of checkpoints and of the coordinator's records.
    pub(crate) store: Harmed,
    /// The newest checkpoint of each task.
    newest: Vec<Option<Saved>>,
    nodes: Vec<Node>,
    cut: Timestamp,
    sink: (Timestamp, u32),
    damages: BTreeMap<usize, VecDeque<Damage>>,
    /// Upgrades that are still going from node to node.
    reboots: Vec<(Timestamp, usize, usize)>,
}

impl Left {
    /// The index of the fault by which the user put another job in place of the one that ran.
    pub fn fault(&self) -> usize {
        self.stopped.fault
    }
}

impl World<'_> {
    /// The user stops the job, and will start another.
    pub(crate) fn stop_for_another(&mut self, fault: usize, start: Timestamp, up_at: Timestamp) {
        self.reach(reached::CHANGED);
        (0..self.parts.len()).for_each(|task| self.close(task));
        // Nobody is asked for what this job had not delivered yet.
        for shard in 0..self.shards.len() {
            self.note_stopped(shard);
            let from = self.sink[shard].covered;
            self.run.skipped.push(Skipped { at: self.now, shard, from, until: Timestamp::MAX });
        }
        self.run.changed_by = Some(fault);
        self.stopped = Some(Stopped { fault, start, up_at });
    }

    /// The run, and what it leaves behind for another job.
    pub(crate) fn end(self) -> (Run, Option<Left>) {
        let left_off = self.left_off();
        let Some(stopped) = self.stopped else { return (self.run, None) };
        let left = Left {
            stopped,
            at: self.now,
            left_off,
            job: self.job,
            reboots: self.queue.reboots(),
            store: self.control.into_store(),
            newest: self.saves.into_newest(),
            nodes: self.nodes,
            cut: self.log.cut_before(),
            sink: self.sink.troubles(),
            damages: self.damages,
        };
        (self.run, Some(left))
    }

    /// Begins where another job was stopped.
    pub(crate) fn take_over(&mut self, left: Left) {
        let Stopped { fault: change, start, up_at } = left.stopped;
        (self.now, self.stopped_until, self.job) = (left.at, up_at, left.job + 1);
        self.before = left.left_off;
        self.log.cut_as(left.cut);
        self.sink.trouble_as(left.sink);
        self.saves.take_over(left.newest);
        self.damages = left.damages;
        for state in &mut self.shards {
            // Number 0 is who was never opened before.
            (state.renew, state.opened) = (Some(Renew::Start(start)), 1);
        }
        for (index, fault) in self.case.faults.iter().enumerate().skip(change + 1) {
            self.queue.push(fault.at, Event::Fault(index));
        }
        for (at, node, fault) in left.reboots {
            self.queue.push(at, Event::Reboot(node, fault));
        }
        self.place_on(left.nodes, change);
        let cause = Cause { why: Why::UserRestart, fault: self.case.faults[change].kind.name() };
        self.parts.iter_mut().for_each(|part| part.cause = Some(cause));
        for index in 0..self.nodes.len() {
            let node = &mut self.nodes[index];
            let down_until = if node.up { up_at } else { node.up_at.max(up_at) };
            (node.up, node.up_at) = (false, down_until);
            self.queue.push(down_until, Event::Up(index));
        }
    }

    /// Places the tasks on the machines that there are, as they are.
    fn place_on(&mut self, machines: Vec<Node>, change: usize) {
        let scaled = |kind: &FaultKind| match kind {
            FaultKind::Scale { nodes, .. } => Some(*nodes),
            _ => None,
        };
        let before = self.case.faults.iter().take(change).rev();
        let count = before.map(|fault| &fault.kind).find_map(scaled).unwrap_or(self.case.deployment.nodes);
        self.nodes = machines;
        for (index, node) in self.nodes.iter_mut().enumerate() {
            node.tasks = (0..self.parts.len()).filter(|task| task % count as usize == index).collect();
            (node.saving, node.hung) = (false, None);
            node.strikes = strikes(self.case, index);
        }
        for (task, part) in self.parts.iter_mut().enumerate() {
            part.node = task % count as usize;
        }
    }
}
