//! What each fault does to nodes, log and sink, at any moment.
//!
//! | fault | on a node that is up | on a node that is down |
//! |---|---|---|
//! | node kill, reboot | down for `down` | comes up `down` later than now, or when it would have anyway |
//! | service upgrade | all nodes down for `down` | likewise |
//! | user restart | all nodes down for `stopped` | likewise |
//! | user restart of a job that failed | as another job | likewise |
//! | another job | the run of this one ends (`change.rs`) | likewise |
//! | hang | nobody hears of it; replaced after `noticed`, goes on after `back` (`zombies.rs`) | as a kill |
//! | rolling upgrade | like reboots; each node then runs the next version | likewise |
//! | rollback | all nodes down for `down`, then run the version before | likewise |
//! | scale | tasks that move are closed, and opened on their new node `down` later | likewise |
//! | slow node, link, checkpoint | nothing goes down | |
//! | retention | the log forgets; nodes notice when they read or open | |
//! | sink unavailable, acknowledgement lost | writes wait or are said again (`sink/writing.rs`) | |
//!
//! What several faults that befall a task while it is down amount to is one opening, with the strongest cause: a kill is
//! weaker than an upgrade with state, that weaker than one without, that weaker than the user's restart,
//! whose last start counts. A kill, a reboot and another version end every process on the node, also what hangs there;
//! a user's stop does not reach it. What goes from node to node reaches node `i` at `at + i * down`. A user's restart takes
//! effect shard by shard as they are opened; until then, a second one sees the outputs of before.

use std::collections::BTreeSet;

use rewindow_query::{Span, Timestamp, Why};

use crate::case::{Case, Fault, FaultKind, StartMode};
use crate::check::JOB_CHANGES_MAX;
use crate::nodes::{self, Cause, Node, Renew, ShardState};
use crate::outcome::What;
use crate::queue::Event;
use crate::reached;
use crate::run::World;

/// Most jobs that take each other's place.
const MOST_JOBS: usize = 2 * JOB_CHANGES_MAX;

impl World<'_> {
    /// The fault with that index strikes now.
    pub(crate) fn strike(&mut self, index: usize) {
        let fault = &self.case.faults[index];
        if self.case.faults.get(index + 1).is_some_and(|next| next.at == fault.at) {
            self.reach(reached::TWO_AT_ONCE);
        }
        self.step(None, || What::Fault(fault.kind.describe()));
        let cause = |why| Cause { why, fault: fault.kind.name() };
        match fault.kind {
            FaultKind::NodeKill { node, down } => {
                self.bury(node as usize);
                self.take_down(node as usize, down, cause(Why::AfterKill));
            }
            FaultKind::OsUpgrade { down } | FaultKind::RollingUpgrade { down } => {
                for node in 0..self.nodes.len() {
                    self.queue.push(reboot_at(self.now, down, node), Event::Reboot(node, index));
                }
            }
            FaultKind::ServiceUpgrade { readable, down } => {
                if !readable {
                    self.renew_all(Renew::Position);
                }
                (0..self.nodes.len()).for_each(|node| self.bury(node));
                self.install(self.newest() + 1);
                self.take_all_down(down, cause(Why::AfterUpgrade { readable }));
                self.control.restart();
            }
            FaultKind::Rollback { down } => {
                self.reach(reached::ROLLED_BACK);
                (0..self.nodes.len()).for_each(|node| self.bury(node));
                self.install(self.newest().saturating_sub(1));
                self.take_all_down(down, cause(Why::AfterUpgrade { readable: true }));
                self.control.restart();
            }
            FaultKind::UserRestart { stopped, start } if self.has_failed() => {
                self.reach(reached::STARTED_FAILED);
                let up_at = self.now.plus(stopped);
                let start = self.start_of(start, up_at);
                self.stop_for_another(index, start, up_at);
            }
            FaultKind::UserRestart { stopped, start } => {
                let start = self.start_of(start, self.now.plus(stopped));
                self.renew_all(Renew::Start(start));
                self.take_all_down(stopped, cause(Why::UserRestart));
            }
            FaultKind::JobChange { stopped, start, .. } => {
                let up_at = self.now.plus(stopped);
                let start = self.start_of(start, up_at);
                self.stop_for_another(index, start, up_at);
            }
            FaultKind::RetentionCut { keep } => {
                self.log.cut(self.now, keep);
                self.note_forgotten();
            }
            FaultKind::SinkUnavailable { span } => self.sink.go_away_until(self.now.plus(span)),
            FaultKind::SinkAckLost => self.sink.lose_an_acknowledgement(),
            FaultKind::Hang { node, noticed, back } => {
                let node = node as usize;
                if self.nodes.get(node).is_some_and(|node| node.up) {
                    self.hang(node, back);
                    self.nodes[node].up = false;
                    self.nodes[node].up_at = self.now.plus(noticed);
                    self.befall(node, cause(Why::AfterKill));
                    self.queue.push(self.nodes[node].up_at, Event::Up(node));
                } else {
                    self.take_down(node, noticed, cause(Why::AfterKill));
                }
            }
            FaultKind::Slow { node, times, during } => {
                let until = self.now.plus(during);
                if let Some(node) = self.nodes.get_mut(node as usize) {
                    node.slow = Some((until, times));
                    node.tasks.clone().into_iter().for_each(|task| self.note_slow(task));
                    self.reach(reached::SLOWED);
                }
            }
            FaultKind::Scale { nodes, down } => self.scale(nodes, down, cause(Why::AfterKill)),
            FaultKind::Checkpoint { node, damage } => {
                self.damages.entry(node as usize).or_default().push_back(damage);
            }
            FaultKind::Link { node, trouble, during } => self.disturb(node as usize, during, trouble),
        }
    }

    /// The newest version that a node runs.
    fn newest(&self) -> u32 {
        self.nodes.iter().map(|node| node.version).max().unwrap_or(0)
    }

    /// All nodes run that version; a rolling upgrade that has not reached all of them is over.
    fn install(&mut self, version: u32) {
        self.nodes.iter_mut().for_each(|node| node.version = version);
        let faults = &self.case.faults;
        self.queue.call_off(|fault| matches!(faults[fault].kind, FaultKind::RollingUpgrade { .. }));
    }

    /// Whether what the job owes has changed: one that failed owes nothing behind that, and what is started anew does.
    fn has_failed(&self) -> bool {
        self.job < MOST_JOBS && self.shards.iter().any(|shard| shard.failed)
    }

    /// What goes from node to node reaches one.
    pub(crate) fn reboot(&mut self, node: usize, fault: usize) {
        let kind = &self.case.faults[fault].kind;
        let (down, why) = match *kind {
            FaultKind::RollingUpgrade { down } => (down, Why::AfterUpgrade { readable: true }),
            FaultKind::OsUpgrade { down } => (down, Why::AfterKill),
            _ => return,
        };
        if node >= self.nodes.len() {
            return;
        }
        if matches!(kind, FaultKind::RollingUpgrade { .. }) {
            self.nodes[node].version += 1;
            let mixed = self.nodes.iter().any(|other| other.version != self.nodes[node].version);
            self.reach_times(reached::MIXED_VERSIONS, mixed.into());
        } else {
            self.reach(reached::OS_UPGRADE);
        }
        self.bury(node);
        self.take_down(node, down, Cause { why, fault: kind.name() });
    }

    /// The output time of a start (rule 12.2, C-LAST).
    fn start_of(&mut self, mode: StartMode, starts_at: Timestamp) -> Timestamp {
        match mode {
            StartMode::Now => {
                self.reach(reached::START_NOW);
                starts_at
            }
            StartMode::Custom(at) => {
                self.reach(reached::START_CUSTOM);
                at
            }
            StartMode::WhenLastStopped => {
                self.reach(reached::START_LAST);
                self.left_off()
            }
        }
    }

    /// How far the output had come when the job was last stopped: of a job that took the place of another and has not
    /// come up yet, that one's.
    pub(crate) fn left_off(&self) -> Timestamp {
        let waits = |shard: &ShardState| self.job > 0 && shard.opened == 1 && shard.renew.is_some();
        let seen = self.sink.seen().map(|seen| seen.last_stopped());
        let of = |(shard, seen)| if waits(shard) { self.before } else { seen };
        self.shards.iter().zip(seen).map(of).min().unwrap_or(Timestamp::MIN)
    }

    /// The state of all shards is void; a user's start counts more than an upgrade.
    fn renew_all(&mut self, renew: Renew) {
        for shard in &mut self.shards {
            if renew != Renew::Position || shard.renew.is_none() {
                shard.renew = Some(renew);
            }
        }
    }

    pub(crate) fn take_all_down(&mut self, down: Span, cause: Cause) {
        self.stopped_until = self.stopped_until.max(self.now.plus(down));
        for node in 0..self.nodes.len() {
            self.take_down(node, down, cause);
        }
    }

    fn take_down(&mut self, index: usize, down: Span, cause: Cause) {
        let until = self.now.plus(down);
        let Some(node) = self.nodes.get(index) else { return };
        if node.up {
            for place in 0..self.nodes[index].tasks.len() {
                self.close(self.nodes[index].tasks[place]);
            }
            let node = &mut self.nodes[index];
            (node.up, node.up_at) = (false, until);
        } else {
            self.reach(reached::STRUCK_DOWN);
            let node = &mut self.nodes[index];
            node.hung = None;
            node.up_at = node.up_at.max(until);
        }
        self.befall(index, cause);
        self.queue.push(self.nodes[index].up_at, Event::Up(index));
    }

    fn befall(&mut self, node: usize, cause: Cause) {
        for &task in &self.nodes[node].tasks {
            self.parts[task].befall(cause);
        }
    }

    /// A task loses what is in memory.
    pub(crate) fn close(&mut self, task: usize) {
        if self.parts[task].catching.is_some() {
            self.reach(reached::STRUCK_AGAIN);
        }
        // A save that fell due and whose state nothing has changed since is still to be had.
        self.write_due(task);
        let part = &mut self.parts[task];
        part.close();
        let (shard, writes) = (part.spec.shard, part.spec.role.writes());
        if !part.is_linked() {
            self.shards[shard].restart = None;
        }
        if writes {
            self.drop_writes(shard);
        }
    }

    /// Tasks are placed anew; those that move are opened `down` later, or when they would have been after an earlier
    /// move.
    fn scale(&mut self, nodes: u32, down: Span, cause: Cause) {
        self.reach(reached::SCALED);
        let interval = self.case.deployment.checkpoint_interval;
        let ready = self.now.plus(down);
        let mut moments = BTreeSet::new();
        for task in 0..self.parts.len() {
            let node = task % nodes as usize;
            if self.parts[task].node != node {
                self.close(task);
                let part = &mut self.parts[task];
                (part.node, part.ready) = (node, part.ready.max(ready));
                part.befall(cause);
                moments.insert(part.ready);
            }
        }
        moments.into_iter().for_each(|at| self.queue.push(at, Event::Placed));
        let version = self.newest();
        let count = self.nodes.len();
        for index in count..nodes as usize {
            let number = u32::try_from(index).unwrap_or(u32::MAX);
            let blank = nodes::node(number, nodes, interval, self.parts.len());
            self.nodes.push(Node { version, strikes: strikes(self.case, index), ..blank });
        }
        // Nodes that are no longer there keep their place in the list, without tasks.
        for index in 0..self.nodes.len() {
            let of = |&task: &usize| self.parts[task].node == index;
            self.nodes[index].tasks = (0..self.parts.len()).filter(of).collect();
        }
        for index in count..self.nodes.len() {
            self.nodes[index].up_at = ready.max(self.stopped_until);
            self.queue.push(self.nodes[index].up_at, Event::Up(index));
        }
    }

    /// Tasks that were moved to a node that is up are opened there.
    pub(crate) fn placed(&mut self) {
        (0..self.parts.len()).for_each(|task| self.open_idle(task));
    }

    /// Opens a task that nothing is there of, unless its shard lies failed.
    pub(crate) fn open_idle(&mut self, task: usize) {
        let part = &self.parts[task];
        if part.worker.is_none() && self.shards[part.spec.shard].restart.is_none() {
            self.open_waiting(task);
        }
    }

    /// A task may have become slow while it catches up.
    pub(crate) fn note_slow(&mut self, task: usize) {
        let slowness = self.slowness_of(task);
        if let Some(report) = self.parts[task].catching.map(|index| &mut self.run.recoveries[index]) {
            report.slowness = report.slowness.max(slowness);
        }
    }

    /// How many times fewer entries a second a task's node processes at the moment.
    pub(crate) fn slowness_of(&self, task: usize) -> u64 {
        let slow = self.nodes[self.parts[task].node].slow.filter(|(until, _)| *until > self.now);
        slow.map_or(1, |(_, times)| u64::from(times))
    }
}

/// A start by the user, in words.
fn started(name: &str, stopped: Span, start: StartMode) -> String {
    match start {
        StartMode::Now => format!("{name}, stopped {stopped}, output from now"),
        StartMode::Custom(at) => format!("{name}, stopped {stopped}, output from {at}"),
        StartMode::WhenLastStopped => format!("{name}, stopped {stopped}, output from the last one"),
    }
}

/// When what goes from node to node, and began at `at`, reaches a node.
fn reboot_at(at: Timestamp, down: Span, node: usize) -> Timestamp {
    // Bounded by `check.rs`; saturation cannot happen for a case that passed it.
    at.plus(Span(down.0.saturating_mul(i64::try_from(node).unwrap_or(i64::MAX))))
}

/// When faults will take a node down, in order.
pub(crate) fn strikes(case: &Case, index: usize) -> Vec<Timestamp> {
    let strike = |fault: &Fault| match fault.kind {
        FaultKind::NodeKill { node, .. } | FaultKind::Hang { node, .. } => {
            (node as usize == index).then_some(fault.at)
        }
        FaultKind::OsUpgrade { down } | FaultKind::RollingUpgrade { down } => {
            Some(reboot_at(fault.at, down, index))
        }
        FaultKind::ServiceUpgrade { .. }
        | FaultKind::UserRestart { .. }
        | FaultKind::JobChange { .. }
        | FaultKind::Rollback { .. }
        | FaultKind::Scale { .. } => Some(fault.at),
        FaultKind::RetentionCut { .. }
        | FaultKind::Slow { .. }
        | FaultKind::Checkpoint { .. }
        | FaultKind::SinkUnavailable { .. }
        | FaultKind::SinkAckLost
        | FaultKind::Link { .. } => None,
    };
    let mut strikes: Vec<Timestamp> = case.faults.iter().filter_map(strike).collect();
    strikes.sort_unstable();
    strikes
}

impl FaultKind {
    /// The fault's name and particulars, in words: `node kill, node 1, down 30 s`.
    pub fn describe(&self) -> String {
        let name = self.name();
        match self {
            FaultKind::NodeKill { node, down } => format!("{name}, node {node}, down {down}"),
            FaultKind::OsUpgrade { down } => format!("{name}, each node down {down}"),
            FaultKind::ServiceUpgrade { down, .. } => format!("{name}, down {down}"),
            FaultKind::UserRestart { stopped, start } => started(name, *stopped, *start),
            FaultKind::JobChange { stopped, start, query, partitions } => {
                let query = query.as_ref().map_or("", |_| ", another query");
                let partitions = partitions.map_or(String::new(), |count| format!(", {count} partitions"));
                format!("{}{query}{partitions}", started(name, *stopped, *start))
            }
            FaultKind::RetentionCut { keep } => format!("{name}, the source keeps {keep}"),
            FaultKind::SinkUnavailable { span } => format!("{name} for {span}"),
            FaultKind::SinkAckLost => name.to_owned(),
            FaultKind::Hang { node, noticed, back } => {
                format!("{name}, node {node}, replaced after {noticed}, back after {back}")
            }
            FaultKind::Slow { node, times, during } => {
                format!("{name}, node {node}, {times} times slower for {during}")
            }
            FaultKind::RollingUpgrade { down } => format!("{name}, each node down {down}"),
            FaultKind::Rollback { down } => format!("{name}, down {down}"),
            FaultKind::Scale { nodes, down } => format!("{name}, {nodes} nodes, tasks that move down {down}"),
            FaultKind::Checkpoint { node, damage } => {
                format!("{name}, the next of node {node} is {}", damage.name())
            }
            FaultKind::Link { node, trouble, during } => {
                let (word, span) = trouble.parts();
                format!("{name}, what node {node} sends: {word} {span}, for {during}")
            }
        }
    }
}
