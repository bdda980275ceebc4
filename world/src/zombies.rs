//! Nodes that hang: nobody hears of them, they are replaced, and later they go on as if nothing had happened.
//!
//! ```text
//!   node 1   ....hangs                     |back: reads on, writes rows, saves: all of it refused
//!   node 1'            noticed: opened with a larger incarnation, goes on
//! ```
//!
//! A node that comes back before anybody noticed just goes on. Whether one that was replaced may write is
//! not decided here: the coordinator is asked, as it is for every other. Invariant: a worker is either its task's or a
//! zombie's.

use rewindow_query::{Row, Span, Timestamp, Why};

use crate::control::Publish;
use crate::guarded::GuardedWorker;
use crate::nodes::{Cause, Lane};
use crate::outcome::{Delivery, What};
use crate::queue::Event;
use crate::reached;
use crate::run::World;

/// A worker that nobody hears of.
pub(crate) struct Zombie {
    hang: u64,
    node: usize,
    task: usize,
    worker: GuardedWorker,
    lanes: Vec<Lane>,
    generation: u32,
    incarnation: u64,
    epoch: u64,
    catching: Option<usize>,
    /// Since when it stands still.
    since: Timestamp,
    wake: Option<Timestamp>,
    stint: Option<(Timestamp, u64)>,
}

impl World<'_> {
    /// A node stops answering, and goes on after `back`.
    pub(crate) fn hang(&mut self, node: usize, back: Span) {
        let hang = self.hangs;
        self.hangs += 1;
        for task in self.nodes[node].tasks.clone() {
            let part = &mut self.parts[task];
            let Some(worker) = part.worker.take() else { continue };
            let (lanes, generation, incarnation) = (part.lanes.clone(), part.generation, part.incarnation);
            let (catching, epoch) = (part.catching, self.shards[part.spec.shard].epoch);
            let (wake, stint, since) = (part.wake, part.stint, self.now);
            part.close();
            self.zombies.push(Zombie {
                hang,
                node,
                task,
                worker,
                lanes,
                generation,
                incarnation,
                epoch,
                catching,
                since,
                wake,
                stint,
            });
        }
        self.nodes[node].hung = Some(hang);
        self.queue.push(self.now.plus(back), Event::Back(hang));
    }

    /// A machine that dies takes along what hangs on it.
    pub(crate) fn bury(&mut self, node: usize) {
        self.zombies.retain(|zombie| zombie.node != node);
    }

    /// The node of that hang goes on.
    pub(crate) fn come_back(&mut self, hang: u64) {
        let (back, rest): (Vec<Zombie>, Vec<Zombie>) =
            std::mem::take(&mut self.zombies).into_iter().partition(|zombie| zombie.hang == hang);
        self.zombies = rest;
        let unnoticed = self.nodes.iter().position(|node| node.hung == Some(hang));
        if let Some(node) = unnoticed {
            (self.nodes[node].up, self.nodes[node].hung) = (true, None);
            self.reach(reached::PAUSED);
        }
        for zombie in back {
            if unnoticed.is_some() && self.control.admits(zombie.task, zombie.incarnation) {
                self.resume(zombie);
            } else {
                self.haunt(zombie);
            }
        }
        // What was placed there meanwhile, or whose shard has begun again.
        for task in unnoticed.map(|node| self.nodes[node].tasks.clone()).unwrap_or_default() {
            if self.parts[task].worker.is_none() && self.shards[self.parts[task].spec.shard].restart.is_none()
            {
                self.open(task, Cause { why: Why::AfterKill, fault: "hang" });
            }
        }
    }

    /// Nobody noticed: it goes on where it stood.
    fn resume(&mut self, zombie: Zombie) {
        let Zombie { task, worker, lanes, catching, since, wake, stint, .. } = zombie;
        let stood = self.now.since(since);
        let part = &mut self.parts[task];
        (part.worker, part.lanes, part.dirty, part.catching) = (Some(worker), lanes, true, catching);
        // What it was busy with takes as long as it would have; what it slept for has come or not.
        part.stint = stint.map(|(begun, count)| (begun.plus(stood), count));
        let wake = wake.map(|at| if stint.is_some() { at.plus(stood) } else { at.max(self.now) });
        part.wake = wake;
        wake.into_iter().for_each(|at| self.queue.push(at, Event::Wake(task)));
        if let Some(report) = catching {
            self.run.recoveries[report].slowed = true;
        }
        self.ask_to_save(self.parts[task].node);
        self.step(Some(task), || What::Resumed);
        self.relink(task);
    }

    /// It was replaced: it reads on, writes and saves, as far as it is let.
    fn haunt(&mut self, mut zombie: Zombie) {
        let task = zombie.task;
        self.step(Some(task), || What::CameBack);
        let batch = u64::from(self.case.deployment.batch);
        let (mut rows, mut frontier) = (Vec::new(), Timestamp::MIN);
        for lane in &mut zombie.lanes {
            let view = self.log.at(self.now);
            let (entries, _) = view.next(lane.input, lane.partition, lane.position, batch);
            if entries.is_empty() || view.is_forgotten(lane.input, lane.partition, lane.position) {
                continue;
            }
            lane.position += entries.len() as u64;
            // A panic of a node that nobody waits for ends it.
            let Ok(given) = zombie.worker.feed(lane.input, lane.partition, entries) else { return };
            frontier = given.frontier;
            let Ok(given) = given.result else { return };
            rows.extend(given);
        }
        let shard = self.parts[task].spec.shard;
        let writes = self.parts[task].spec.role.writes();
        let late =
            self.parts[task].incarnation != zombie.incarnation || self.shards[shard].epoch != zombie.epoch;
        if !rows.is_empty() && writes {
            self.write_late(&zombie, rows, frontier, late);
        }
        if let Ok(packets) = zombie.worker.outgoing() {
            packets.into_iter().for_each(|(to, packet)| self.post(task, to, packet));
        }
        // A save has behind it only what was written.
        if writes && self.sink.waits(shard) {
            return;
        }
        let Ok((bytes, frontier)) = zombie.worker.checkpoint() else { return };
        let Ok(received) = zombie.worker.wanted() else { return };
        let positions = zombie.lanes.iter().map(|lane| ((lane.input, lane.partition), lane.position));
        let publish = Publish {
            at: self.now,
            incarnation: zombie.incarnation,
            bytes,
            received,
            positions: positions.collect(),
            frontier,
            sealed: if writes && !late { self.sink.seal(shard) } else { None },
            late,
        };
        self.publish(task, publish);
    }

    /// What a node writes that may have been replaced: while it has not been, it writes like any other.
    fn write_late(&mut self, zombie: &Zombie, rows: Vec<Row>, frontier: Timestamp, late: bool) {
        if !self.control.admits(zombie.task, zombie.incarnation) {
            self.reach(reached::FENCED);
            return self.step(Some(zombie.task), || What::Fenced);
        }
        let shard = self.parts[zombie.task].spec.shard;
        let delivery = Delivery {
            at: self.now,
            node: u32::try_from(zombie.node).unwrap_or(u32::MAX),
            shard,
            generation: self.shards[shard].opened.saturating_sub(1),
            opened: zombie.generation,
            rows,
        };
        if late {
            self.step(Some(zombie.task), || What::Delivered(delivery.rows.clone()));
            self.run.deliveries.push(delivery);
        } else {
            self.write(delivery, frontier);
        }
    }
}
