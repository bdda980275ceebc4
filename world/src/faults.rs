//! What each fault does to nodes, log and sink, at any moment.
//!
//! | fault | on a node that is up | on a node that is down |
//! |---|---|---|
//! | node kill, reboot | down for `down` | comes up `down` later than now, or when it would have anyway |
//! | service upgrade | all nodes down for `down` | likewise |
//! | user restart | all nodes down for `stopped` | likewise |
//! | retention | the log forgets; nodes notice when they read or open | |
//! | sink unavailable, acknowledgement lost | writes wait or are said again (`sink/writing.rs`) | |
//!
//! What several faults during one downtime amount to is one opening, with the strongest cause: a kill is
//! weaker than an upgrade with state, that weaker than one without, that weaker than the user's restart,
//! whose last start counts. An OS upgrade reboots node `i` at `at + i * down`. A user's restart takes
//! effect shard by shard as they are opened; until then, a second one sees the outputs of before.

use rewindow_query::{Span, Timestamp, Why};

use crate::case::{FaultKind, StartMode};
use crate::nodes::{Cause, Node};
use crate::outcome::What;
use crate::queue::Event;
use crate::reached;
use crate::run::World;

impl World<'_> {
    /// The fault with that index strikes now.
    pub(crate) fn strike(&mut self, index: usize) {
        let fault = &self.case.faults[index];
        if self.case.faults.get(index + 1).is_some_and(|next| next.at == fault.at) {
            self.reach(reached::TWO_AT_ONCE);
        }
        self.step(None, None, || What::Fault(fault.kind.describe()));
        let name = fault.kind.name();
        let cause = |why| Cause { why, fault: name, start: Timestamp::MIN };
        match fault.kind {
            FaultKind::NodeKill { node, down } => self.take_down(node as usize, down, cause(Why::AfterKill)),
            FaultKind::OsUpgrade { down } => {
                for node in 0..self.nodes.len() {
                    self.queue.push(reboot_at(self.now, down, node), Event::Reboot(node, down));
                }
            }
            FaultKind::ServiceUpgrade { readable, down } => {
                self.take_all_down(down, cause(Why::AfterUpgrade { readable }));
            }
            FaultKind::UserRestart { stopped, start } => {
                let start = self.start_of(start, self.now.plus(stopped));
                self.take_all_down(stopped, Cause { start, ..cause(Why::UserRestart) });
            }
            FaultKind::RetentionCut { keep } => {
                self.log.cut(self.now, keep);
                self.note_forgotten();
            }
            FaultKind::SinkUnavailable { span } => self.sink.go_away_until(self.now.plus(span)),
            FaultKind::SinkAckLost => self.sink.lose_an_acknowledgement(),
        }
    }

    /// An OS upgrade reaches a node.
    pub(crate) fn reboot(&mut self, node: usize, down: Span) {
        self.reach(reached::OS_UPGRADE);
        let fault = FaultKind::OsUpgrade { down }.name();
        self.take_down(node, down, Cause { why: Why::AfterKill, fault, start: Timestamp::MIN });
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
                self.sink.seen().map(|seen| seen.last_stopped()).min().unwrap_or(Timestamp::MIN)
            }
        }
    }

    fn take_all_down(&mut self, down: Span, cause: Cause) {
        for node in 0..self.nodes.len() {
            self.take_down(node, down, cause);
        }
    }

    fn take_down(&mut self, index: usize, down: Span, cause: Cause) {
        let until = self.now.plus(down);
        if self.nodes[index].up {
            for place in 0..self.nodes[index].shards.len() {
                let shard = self.nodes[index].shards[place];
                if self.parts[shard].catching.is_some() {
                    self.reach(reached::STRUCK_AGAIN);
                }
                // A save that fell due and whose state nothing has changed since is still to be had.
                self.write_due(shard);
                self.parts[shard].close();
                self.drop_writes(shard);
            }
            let node = &mut self.nodes[index];
            (node.up, node.up_at, node.cause) = (false, until, cause);
        } else {
            self.reach(reached::STRUCK_DOWN);
            let node = &mut self.nodes[index];
            (node.up_at, node.cause) = (node.up_at.max(until), node.cause.merge(cause));
        }
        self.queue.push(self.nodes[index].up_at, Event::Up(index));
    }
}

/// When an OS upgrade that began at `at` reaches a node.
fn reboot_at(at: Timestamp, down: Span, node: usize) -> Timestamp {
    // Bounded by `check.rs`; saturation cannot happen for a case that passed it.
    at.plus(Span(down.0.saturating_mul(i64::try_from(node).unwrap_or(i64::MAX))))
}

/// Tells every node when faults will take it down.
pub(crate) fn foresee(case: &crate::case::Case, nodes: &mut [Node]) {
    for (index, node) in nodes.iter_mut().enumerate() {
        let strike = |fault: &crate::case::Fault| match fault.kind {
            FaultKind::NodeKill { node, .. } => (node as usize == index).then_some(fault.at),
            FaultKind::OsUpgrade { down } => Some(reboot_at(fault.at, down, index)),
            FaultKind::ServiceUpgrade { .. } | FaultKind::UserRestart { .. } => Some(fault.at),
            FaultKind::RetentionCut { .. } => None,
            FaultKind::SinkUnavailable { .. } | FaultKind::SinkAckLost => None,
        };
        node.strikes = case.faults.iter().filter_map(strike).collect();
        node.strikes.sort_unstable();
    }
}

impl FaultKind {
    /// The fault's name and particulars, in words: `node kill, node 1, down 30 s`.
    pub fn describe(&self) -> String {
        let name = self.name();
        match self {
            FaultKind::NodeKill { node, down } => format!("{name}, node {node}, down {down}"),
            FaultKind::OsUpgrade { down } => format!("{name}, each node down {down}"),
            FaultKind::ServiceUpgrade { down, .. } => format!("{name}, down {down}"),
            FaultKind::UserRestart { stopped, start } => match start {
                StartMode::Now => format!("{name}, stopped {stopped}, output from now"),
                StartMode::Custom(at) => format!("{name}, stopped {stopped}, output from {at}"),
                StartMode::WhenLastStopped => format!("{name}, stopped {stopped}, output from the last one"),
            },
            FaultKind::RetentionCut { keep } => format!("{name}, the source keeps {keep}"),
            FaultKind::SinkUnavailable { span } => format!("{name} for {span}"),
            FaultKind::SinkAckLost => name.to_owned(),
        }
    }
}
