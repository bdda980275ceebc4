//! What is on its way between tasks, and who asks whom again.
//!
//! A packet takes `link_delay`, longer, twice or out of order while a fault says so, and arrives whatever has become of its
//! sender. A task that is down hears nothing; what comes for one whose node hangs is at hand when
//! that goes on. Whenever a task is opened it asks its upstream tasks from the number it wants,
//! and its downstream tasks ask it.
//!
//! ```text
//!   task 0   --0..3-->  --3..5-->           (dies, is opened)       --3..5-->  --5..6-->
//!   task 2         0..3        X dies, is opened, wants 3: asks
//! ```
//!
//! It knows no rows and no numbers but those in the packets. Invariant: nothing is lost on the way to a task that is up.

use std::collections::BTreeMap;

use rewindow_engine::Packet;
use rewindow_query::{Span, Timestamp};

use crate::case::LinkTrouble;
use crate::nodes::{Cause, Lane};
use crate::outcome::What;
use crate::queue::Event;
use crate::reached;
use crate::run::World;

/// Packets under way.
#[derive(Default)]
pub(crate) struct Links {
    /// By number, in the order in which they were sent.
    flying: BTreeMap<u64, Flying>,
    sent: u64,
    /// Packets posted so far, of each link from one task to another.
    posted: BTreeMap<(usize, usize), u64>,
    /// What disturbs packets sent by a node, and until when.
    pub(crate) troubles: Vec<Trouble>,
}

/// What disturbs the packets that a node sends.
pub(crate) struct Trouble {
    pub(crate) node: usize,
    pub(crate) until: Timestamp,
    pub(crate) what: LinkTrouble,
}

/// A packet under way.
pub(crate) struct Flying {
    from: usize,
    pub(crate) to: usize,
    /// The place of the sender among the receiver's upstream tasks.
    pub(crate) place: usize,
    pub(crate) packet: Packet,
}

impl World<'_> {
    /// Sends what a task has for its downstream tasks.
    pub(crate) fn send(&mut self, task: usize) {
        if self.parts[task].spec.downstream.is_empty() {
            return;
        }
        let node = self.parts[task].node;
        let Some(worker) = &mut self.parts[task].worker else { return };
        match worker.outgoing() {
            Ok(packets) => packets.into_iter().for_each(|(to, packet)| self.post(task, node, to, packet)),
            Err(panic) => self.panicked(task, self.parts[task].generation, panic),
        }
    }

    /// Puts a packet of a process on that node on its way to the task at that place among the downstream ones.
    pub(crate) fn post(&mut self, from: usize, node: usize, to: usize, packet: Packet) {
        let to = self.parts[from].spec.downstream[to];
        let place = self.place_of(from, to);
        let number = self.links.next_number();
        let turn = self.links.turn(from, to);
        let delay = self.case.deployment.link_delay;
        let now = self.now;
        self.links.troubles.retain(|trouble| trouble.until > now);
        let mut arrivals = vec![now.plus(delay)];
        for trouble in self.links.troubles.iter().filter(|trouble| trouble.node == node) {
            match trouble.what {
                LinkTrouble::Delay(by) => arrivals[0] = arrivals[0].plus(by),
                LinkTrouble::Twice(after) => arrivals.push(arrivals[0].plus(after)),
                // Every second packet of a link overtakes the one in front of it.
                LinkTrouble::Swap(by) if turn.is_multiple_of(2) => arrivals[0] = arrivals[0].plus(by),
                LinkTrouble::Swap(_) => {}
            }
        }
        let disturbed = arrivals.len() > 1 || arrivals[0] > now.plus(delay);
        self.reach_times(reached::LINK_DISTURBED, disturbed.into());
        let (first, next, until) = (packet.first, packet.next(), packet.until);
        self.step(Some(from), || What::Sent { to, first, next, until });
        for (copy, at) in arrivals.into_iter().enumerate() {
            let number = if copy == 0 { number } else { self.links.next_number() };
            self.links.flying.insert(number, Flying { from, to, place, packet: packet.clone() });
            self.queue.push(at, Event::Packet(number));
        }
    }

    /// A packet arrives.
    pub(crate) fn arrive(&mut self, number: u64) {
        let Some(flying) = self.links.flying.remove(&number) else { return };
        let shard = self.parts[flying.to].spec.shard;
        self.take_packet(flying);
        self.note_still(shard);
    }

    /// Records that nothing is left to do for a shard: all its tasks are up, all that has arrived is read, nothing is
    /// on its way and nothing waits in front of the sink.
    fn note_still(&mut self, shard: usize) {
        let still = |&task: &usize| {
            let part = &self.parts[task];
            let arrival = |l: &Lane| self.log.arrival(l.input, l.partition, l.position);
            part.worker.is_some() && !part.lanes.iter().filter_map(arrival).any(|at| at <= self.now)
        };
        let under_way = |flying: &Flying| self.parts[flying.to].spec.shard == shard;
        let quiet = !self.links.flying.values().any(under_way) && !self.sink.waits(shard);
        if quiet && self.shards[shard].tasks.iter().all(still) {
            self.run.level.push((shard, self.now));
        }
    }

    /// A task takes what has come for it.
    pub(crate) fn take_packet(&mut self, flying: Flying) {
        if self.parts[flying.to].worker.is_none() {
            if !self.keep_mail(flying) {
                self.reach(reached::PACKET_LOST);
            }
            return;
        }
        let Flying { from, to, place, packet } = flying;
        // A save that fell due holds the state from before.
        self.keep_due(to);
        let Some(worker) = &mut self.parts[to].worker else { return };
        let received = worker.receive(place, &packet);
        match received {
            Err(panic) => self.panicked(to, self.parts[to].generation, panic),
            Ok(Ok(given)) => {
                let (first, next) = (packet.first, packet.next());
                self.step(Some(to), || What::Received { from, first, next });
                self.parts[to].dirty = true;
                self.ask_to_save(self.parts[to].node);
                self.take(to, Ok(given));
            }
            Ok(Err(crate::subject::Taken::Missing { .. })) => {
                self.reach(reached::PACKET_MISSING);
                self.ask(to, place);
            }
            Ok(Err(_)) => self.reach(reached::PACKET_STALE),
        }
    }

    /// A task that was just opened finds its neighbours.
    pub(crate) fn relink(&mut self, task: usize) {
        if !self.parts[task].is_linked() {
            return;
        }
        let generation = self.parts[task].generation;
        for place in 0..self.parts[task].spec.upstream.len() {
            if self.parts[task].generation == generation {
                self.ask(task, place);
            }
        }
        for to in self.parts[task].spec.downstream.clone() {
            if self.parts[task].generation == generation {
                let place = self.place_of(task, to);
                self.ask(to, place);
            }
        }
    }

    /// A task asks the one at that place upstream for what it wants next.
    fn ask(&mut self, reader: usize, place: usize) {
        let from = self.parts[reader].spec.upstream[place];
        let to = self.parts[from].spec.downstream.iter().position(|&task| task == reader);
        let (Some(to), Some(_)) = (to, &self.parts[from].worker) else { return };
        let Some(worker) = &mut self.parts[reader].worker else { return };
        let wanted = match worker.wanted() {
            Ok(wanted) => wanted.get(place).copied().unwrap_or(0),
            Err(panic) => return self.panicked(reader, self.parts[reader].generation, panic),
        };
        let Some(worker) = &mut self.parts[from].worker else { return };
        match worker.resend(to, wanted) {
            Ok(Some(packet)) => {
                self.reach_times(reached::RESENT, packet.rows.len() as u64);
                self.post(from, self.parts[from].node, to, packet);
            }
            Ok(None) => {
                // What the reader needs is gone: the shard has to begin again.
                self.reach(reached::HISTORY_GONE);
                self.step(Some(reader), || What::HistoryGone { from, wanted });
                let cause = Cause { why: rewindow_query::Why::AfterKill, fault: "link history" };
                let known = self.usable(reader);
                self.renew_over(reader, known, cause);
            }
            Err(panic) => self.panicked(from, self.parts[from].generation, panic),
        }
    }

    /// The place of a task among the upstream tasks of another.
    fn place_of(&self, from: usize, to: usize) -> usize {
        let upstream = &self.parts[to].spec.upstream;
        upstream.iter().position(|&task| task == from).expect("a link has two ends")
    }

    /// What a node sends is disturbed for so long.
    pub(crate) fn disturb(&mut self, node: usize, during: Span, what: LinkTrouble) {
        self.links.troubles.push(Trouble { node, until: self.now.plus(during), what });
    }
}

impl Links {
    fn next_number(&mut self) -> u64 {
        self.sent += 1;
        self.sent - 1
    }

    /// How many packets went that way before this one.
    fn turn(&mut self, from: usize, to: usize) -> u64 {
        let posted = self.posted.entry((from, to)).or_default();
        *posted += 1;
        *posted - 1
    }
}
