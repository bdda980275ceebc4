//! Nodes that hang: nobody hears of them, they are replaced, and later they go on as if nothing had happened.
//!
//! ```text
//!   node 1   ....hangs                     |back: reads on, writes rows, saves: all of it refused
//!   node 1'            noticed: opened with a larger incarnation, goes on
//! ```
//!
//! What waits in front of the sink waits in the memory of the process, so it stands still with it, and ends with it.
//! A node that comes back before anybody noticed just goes on, but for tasks that were moved to another node meanwhile.
//! Whether one that was replaced may write is
//! not decided here: the coordinator is asked, as it is for every other. Invariant: a worker is either its task's or a
//! zombie's.

use rewindow_query::{Row, Span, Timestamp};

use crate::control::Publish;
use crate::guarded::GuardedWorker;
use crate::links::Flying;
use crate::nodes::Lane;
use crate::outcome::{Delivery, What};
use crate::queue::Event;
use crate::reached;
use crate::run::World;
use crate::sink::Line;

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
    /// What waits to be written, of one that writes.
    line: Option<Line>,
    /// What has come for it since.
    mail: Vec<Flying>,
}

impl World<'_> {
    /// A node stops answering, and goes on after `back`.
    pub(crate) fn hang(&mut self, node: usize, back: Span) {
        let hang = self.hangs;
        self.hangs += 1;
        for task in self.nodes[node].tasks.clone() {
            let (shard, writes) = (self.parts[task].spec.shard, self.parts[task].spec.role.writes());
            let Some(worker) = self.parts[task].worker.take() else {
                // Of a shard that waits to be started again.
                if writes {
                    self.drop_writes(shard);
                }
                continue;
            };
            let line = writes.then(|| self.freeze_writes(shard));
            let part = &mut self.parts[task];
            let (lanes, generation, incarnation) = (part.lanes.clone(), part.generation, part.incarnation);
            let (catching, epoch) = (part.catching, self.shards[shard].epoch);
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
                line,
                mail: Vec::new(),
            });
        }
        self.nodes[node].hung = Some(hang);
        self.queue.push(self.now.plus(back), Event::Back(hang));
    }

    /// A machine that dies or is rebooted, or whose service is replaced, takes along what hangs on it.
    pub(crate) fn bury(&mut self, node: usize) {
        let dead = |zombie: &Zombie| zombie.node == node;
        let waits = |zombie: &&Zombie| dead(zombie) && zombie.line.as_ref().is_some_and(Line::waits);
        let lost = self.zombies.iter().filter(waits).count() as u64;
        self.zombies.retain(|zombie| !dead(zombie));
        self.reach_times(reached::WRITES_LOST, lost);
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
            // A job that failed for good is over for it too.
            if self.shards[self.parts[zombie.task].spec.shard].dead {
                continue;
            }
            let stays = unnoticed == Some(self.parts[zombie.task].node);
            if stays && self.control.admits(zombie.task, zombie.incarnation) {
                self.resume(zombie);
            } else {
                self.haunt(zombie);
            }
        }
        // What was placed there meanwhile, or whose shard has begun again.
        for task in unnoticed.map(|node| self.nodes[node].tasks.clone()).unwrap_or_default() {
            self.open_idle(task);
        }
    }

    /// Nobody noticed: it goes on where it stood.
    fn resume(&mut self, zombie: Zombie) {
        let Zombie { task, worker, lanes, catching, since, wake, stint, line, mail, .. } = zombie;
        let stood = self.now.since(since);
        let part = &mut self.parts[task];
        (part.worker, part.lanes, part.dirty, part.catching) = (Some(worker), lanes, true, catching);
        part.cause = None;
        // What it was busy with takes as long as it would have; what it slept for has come or not.
        part.stint = stint.map(|(begun, count)| (begun.plus(stood), count));
        let wake = wake.map(|at| if stint.is_some() { at.plus(stood) } else { at.max(self.now) });
        part.wake = wake;
        wake.into_iter().for_each(|at| self.queue.push(at, Event::Wake(task)));
        if let Some(report) = catching.map(|index| &mut self.run.recoveries[index]) {
            report.stood = report.stood.plus(stood);
        }
        self.note_slow(task);
        self.ask_to_save(self.parts[task].node);
        self.step(Some(task), || What::Resumed);
        let shard = self.parts[task].spec.shard;
        if let Some(line) = line {
            self.thaw_writes(shard, line);
        }
        mail.into_iter().for_each(|flying| self.take_packet(flying));
        self.relink(task);
    }

    /// It was replaced: it reads on, writes and saves, as far as it is let.
    fn haunt(&mut self, mut zombie: Zombie) {
        let task = zombie.task;
        self.step(Some(task), || What::CameBack);
        let shard = self.parts[task].spec.shard;
        let late =
            self.parts[task].incarnation != zombie.incarnation || self.shards[shard].epoch != zombie.epoch;
        let Some(line) = zombie.line.take() else { return self.go_on(zombie, late) };
        // It writes what waits in its own memory, whoever writes for the shard by now.
        let present = self.freeze_writes(shard);
        if self.control.admits(task, zombie.incarnation) {
            let line =
                if late { line.of_replaced(self.shards[shard].opened.saturating_sub(1)) } else { line };
            self.thaw_writes(shard, line);
        } else if line.waits() {
            self.refused(task);
        }
        self.go_on(zombie, late);
        // What it could not write there and then ends with it.
        if late {
            self.thaw_writes(shard, present);
        }
    }

    /// Takes what had come for it, reads what is there, writes, sends and saves.
    fn go_on(&mut self, mut zombie: Zombie, late: bool) {
        let task = zombie.task;
        // A panic or a failure of a node that nobody waits for ends it.
        let Some((rows, frontier)) = self.catch_on(&mut zombie) else { return };
        let shard = self.parts[task].spec.shard;
        let writes = self.parts[task].spec.role.writes();
        if !rows.is_empty() && writes {
            self.write_late(&zombie, rows, if late { Timestamp::MIN } else { frontier });
        }
        if let Ok(packets) = zombie.worker.outgoing() {
            packets.into_iter().for_each(|(to, packet)| self.post(task, zombie.node, to, packet));
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
            node: zombie.node,
            incarnation: zombie.incarnation,
            bytes,
            received,
            positions: positions.collect(),
            frontier,
            sealed: if writes { self.sink.seal(shard) } else { None },
            late,
        };
        self.publish(task, publish);
    }

    /// The rows that a node has to give that goes on, and its frontier; `None` where it ends.
    fn catch_on(&self, zombie: &mut Zombie) -> Option<(Vec<Row>, Timestamp)> {
        let batch = u64::from(self.case.deployment.batch);
        let (mut rows, mut frontier) = (Vec::new(), Timestamp::MIN);
        for flying in std::mem::take(&mut zombie.mail) {
            // What it would have to ask for, nobody sends to one that was replaced.
            let Ok(given) = zombie.worker.receive(flying.place, &flying.packet).ok()? else { continue };
            frontier = given.frontier;
            rows.extend(given.result.ok()?);
        }
        for lane in &mut zombie.lanes {
            let view = self.log.at(self.now);
            let (entries, _) = view.next(lane.input, lane.partition, lane.position, batch);
            if entries.is_empty() || view.is_forgotten(lane.input, lane.partition, lane.position) {
                continue;
            }
            lane.position += entries.len() as u64;
            let given = zombie.worker.feed(lane.input, lane.partition, entries).ok()?;
            frontier = given.frontier;
            rows.extend(given.result.ok()?);
        }
        Some((rows, frontier))
    }

    /// What a node writes that may have been replaced: while it has not been, it writes like any other. Of one that
    /// has been, the frontier says nothing about its shard, and is before time.
    fn write_late(&mut self, zombie: &Zombie, rows: Vec<Row>, frontier: Timestamp) {
        if !self.control.admits(zombie.task, zombie.incarnation) {
            return self.refused(zombie.task);
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
        self.write(delivery, frontier);
    }

    /// A shard failed for good, and writes what is left: also what waits in a node that hangs.
    pub(crate) fn thaw_dead(&mut self, shard: usize) {
        let parts = &self.parts;
        let acts = |zombie: &&mut Zombie| {
            let part = &parts[zombie.task];
            part.spec.shard == shard && part.incarnation == zombie.incarnation
        };
        let line = self.zombies.iter_mut().filter(acts).find_map(|zombie| zombie.line.take());
        if let Some(line) = line {
            self.thaw_writes(shard, line);
        }
    }

    fn refused(&mut self, task: usize) {
        self.reach(reached::FENCED);
        self.step(Some(task), || What::Fenced);
    }

    /// A packet comes for a task whose node hangs: it is at hand when that goes on. Gives whether there is one.
    pub(crate) fn keep_mail(&mut self, flying: Flying) -> bool {
        let (task, incarnation) = (flying.to, self.parts[flying.to].incarnation);
        let hangs = |zombie: &&mut Zombie| zombie.task == task && zombie.incarnation == incarnation;
        let Some(zombie) = self.zombies.iter_mut().find(hangs) else { return false };
        zombie.mail.push(flying);
        true
    }
}
