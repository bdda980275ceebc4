//! Tasks of one shard and what lies between them: packets that come late, twice, in another order or not at all,
//! tasks that are killed and opened again from any checkpoint that is kept, shards that begin anew.
//!
//! Does by hand what coordinator and world do together, and nothing for the sake of an order. Draws come from
//! whoever runs it. Invariant: what a kept checkpoint does not hold can be asked for upstream.

use std::collections::BTreeMap;
use std::sync::Arc;

use rewindow_engine::{Layout, OpenError, Packet, Plants, Received, Role, Setup, Task, TaskOpening};
use rewindow_query::{Entry, Failure, LogView, Row, Timestamp, Why};

/// A number below its argument, which is at least 1.
pub type Draw<'a> = &'a mut dyn FnMut(usize) -> usize;

/// What is run.
pub struct Job<'a> {
    pub setup: Setup,
    pub layout: Arc<Layout>,
    pub shard: usize,
    pub entries: &'a dyn Fn(usize, u32) -> &'a [Entry],
    pub log: &'a dyn LogView,
    pub plants: Plants,
}

/// What came out, and what happened meanwhile.
#[derive(Debug, Default)]
pub struct Ran {
    /// Each row when it came first.
    pub rows: Vec<Row>,
    pub failure: Option<Failure>,
    pub happened: BTreeMap<&'static str, u64>,
}

struct Member {
    task: Task,
    /// The two newest checkpoints, with what was received of each link.
    kept: Vec<(Vec<u8>, Vec<u64>)>,
    /// Upstream has forgotten what the older one holds.
    covered: bool,
    ended: bool,
}

struct Net<'a, 'b> {
    job: &'b Job<'a>,
    draw: Draw<'b>,
    members: BTreeMap<usize, Member>,
    /// From, to, what.
    flying: Vec<(usize, usize, Packet)>,
    epoch: u64,
    incarnation: u64,
    begin: BTreeMap<(usize, u32), u64>,
    output_from: Timestamp,
    ran: Ran,
}

/// Runs the shard to its end, `steps` of them in disorder. What is wrong is told.
pub fn run(job: &Job<'_>, draw: Draw<'_>, steps: usize) -> Result<Ran, String> {
    let mut net = Net {
        job,
        draw,
        members: BTreeMap::new(),
        flying: Vec::new(),
        epoch: 0,
        incarnation: 0,
        begin: BTreeMap::new(),
        output_from: Timestamp::MIN,
        ran: Ran::default(),
    };
    net.begin_epoch();
    for _ in 0..steps {
        net.step()?;
    }
    net.settle()?;
    Ok(net.ran)
}

impl<'a> Net<'a, '_> {
    fn note(&mut self, what: &'static str) {
        *self.ran.happened.entry(what).or_default() += 1;
    }

    fn pick<T: Copy>(&mut self, items: &[T]) -> Option<T> {
        (!items.is_empty()).then(|| items[(self.draw)(items.len())])
    }

    fn ids(&self) -> Vec<usize> {
        let tasks = self.job.layout.tasks.iter().enumerate();
        tasks.filter(|(_, task)| task.shard == self.job.shard).map(|(id, _)| id).collect()
    }

    fn merge(&self) -> usize {
        *self.ids().last().unwrap()
    }

    fn open(&mut self, id: usize, checkpoint: Option<&[u8]>, begin: bool) -> Result<Task, OpenError> {
        self.incarnation += 1;
        let opening = TaskOpening {
            why: match (begin, self.epoch) {
                (true, _) => Why::AfterKill,
                (false, 1) => Why::Fresh,
                (false, _) => Why::UserRestart,
            },
            output_from: self.output_from,
            epoch: self.epoch,
            incarnation: self.incarnation,
            checkpoint,
            begin: begin.then_some(&self.begin),
            log: self.job.log,
        };
        let (task, recovered) =
            Task::open(self.job.setup.clone(), &self.job.layout, id, opening, self.job.plants)?;
        assert_eq!(recovered.positions, task.positions());
        assert!(recovered.gaps.is_empty(), "nothing was forgotten");
        Ok(task)
    }

    /// A user's restart behind the last row that was given.
    fn begin_epoch(&mut self) {
        if let Some(merge) = self.members.get(&self.merge()) {
            if merge.task.frontier() == Timestamp::MAX || merge.task.failure().is_some() {
                return;
            }
            self.output_from = self.output_from.max(merge.task.frontier());
            self.note(if self.output_from > Timestamp::MIN { "new epoch, on the way" } else { "new epoch" });
        }
        self.epoch += 1;
        self.begin.clear();
        for id in self.ids() {
            let task = self.open(id, None, false).unwrap();
            self.begin.extend(task.positions());
            self.members.insert(id, Member { task, kept: Vec::new(), covered: false, ended: false });
        }
    }

    fn step(&mut self) -> Result<(), String> {
        match (self.draw)(20) {
            0..=5 => self.feed(3),
            6..=12 => self.deliver(),
            13 => {
                if !self.flying.is_empty() {
                    let lost = (self.draw)(self.flying.len());
                    self.flying.swap_remove(lost);
                    self.note("packet lost");
                }
                Ok(())
            }
            14..=16 => {
                self.save();
                Ok(())
            }
            17 | 18 => self.kill(),
            _ if (self.draw)(8) == 0 => {
                self.begin_epoch();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The entries that a task has yet to read, of one partition.
    fn unread(&self, id: usize) -> Option<&'a [Entry]> {
        let &((input, partition), next) =
            self.members[&id].task.positions().iter().next().map(|(a, b)| (*a, *b)).as_ref()?;
        let entries = (self.job.entries)(input, partition);
        Some(&entries[entries.partition_point(|entry| entry.offset < next)..])
    }

    fn readers(&self) -> Vec<usize> {
        let reads = |id: &usize| matches!(self.job.layout.tasks[*id].role, Role::Partition { .. });
        self.ids().into_iter().filter(reads).collect()
    }

    fn feed(&mut self, at_most: usize) -> Result<(), String> {
        let Some(id) = self.pick(&self.readers()) else { return Ok(()) };
        let entries = self.unread(id).unwrap();
        let count = (1 + (self.draw)(at_most)).min(entries.len());
        let member = self.members.get_mut(&id).unwrap();
        if let Some(first) = entries.first() {
            let fed = member.task.feed(first.input, first.partition, &entries[..count]);
            let produced = fed.map_err(|failure| format!("a reader tells {failure:?}"))?;
            assert!(produced.rows.is_empty(), "only the merge task writes");
        } else if !member.ended {
            member.ended = true;
            member.task.finish().map_err(|failure| format!("a reader tells {failure:?}"))?;
        }
        self.send(id);
        Ok(())
    }

    fn send(&mut self, id: usize) {
        let packets = self.members.get_mut(&id).unwrap().task.outgoing();
        for (to, packet) in packets {
            self.flying.push((id, self.job.layout.tasks[id].downstream[to], packet));
        }
    }

    fn resend(&mut self, from: usize, to: usize) -> Result<(), String> {
        let (place, wanted) = (self.upstream(from, to), self.downstream(from, to));
        let wanted_from = self.members[&to].task.wanted(place);
        let packet = self.members[&from].task.resend(wanted, wanted_from);
        self.flying.push((from, to, packet.map_err(|error| format!("task {from} to {to}: {error}"))?));
        Ok(())
    }

    fn upstream(&self, from: usize, to: usize) -> usize {
        self.job.layout.tasks[to].upstream.iter().position(|&id| id == from).unwrap()
    }

    fn downstream(&self, from: usize, to: usize) -> usize {
        self.job.layout.tasks[from].downstream.iter().position(|&id| id == to).unwrap()
    }

    fn deliver(&mut self) -> Result<(), String> {
        if self.flying.is_empty() {
            return Ok(());
        }
        let place = (self.draw)(self.flying.len());
        let (from, to, packet) = match (self.draw)(5) {
            0 => {
                let (from, to, packet) = &self.flying[place];
                (*from, *to, packet.clone())
            }
            _ => self.flying.swap_remove(place),
        };
        let link = self.upstream(from, to);
        let member = self.members.get_mut(&to).unwrap();
        let received = member.task.receive(link, &packet);
        match received {
            Ok(Received::Rows(produced)) => {
                self.take(to, produced.rows)?;
                self.send(to);
            }
            Ok(Received::Missing { from: number }) => {
                assert_eq!(number, self.members[&to].task.wanted(link));
                self.note("asked again");
                self.resend(from, to)?;
            }
            Ok(Received::Stale) => self.note("stale packet"),
            Err(_) => assert_eq!(to, self.merge(), "only the merge task tells a failure"),
        }
        Ok(())
    }

    fn take(&mut self, id: usize, rows: Vec<Row>) -> Result<(), String> {
        assert!(rows.is_empty() || id == self.merge(), "only the merge task writes");
        for row in rows {
            let known = self.ran.rows.iter().find(|known| known.identity() == row.identity());
            match known {
                None => self.ran.rows.push(row),
                Some(known) if *known == row => {}
                Some(known) => return Err(format!("no copy: {known:?} and {row:?}")),
            }
        }
        Ok(())
    }

    /// A checkpoint of some task; upstream may forget what the older of the two kept has.
    fn save(&mut self) {
        let id = self.pick(&self.ids()).unwrap();
        let member = self.members.get_mut(&id).unwrap();
        let bytes = member.task.checkpoint();
        assert_eq!(bytes, member.task.checkpoint(), "saving changes nothing");
        member.kept.push((bytes, member.task.received()));
        if member.kept.len() < 3 {
            return;
        }
        member.kept.remove(0);
        member.covered = true;
        let covered = member.kept[0].1.clone();
        for (&from, before) in self.job.layout.tasks[id].upstream.iter().zip(covered) {
            let to = self.downstream(from, id);
            self.members.get_mut(&from).unwrap().task.forget(to, before);
        }
    }

    fn kill(&mut self) -> Result<(), String> {
        let id = self.pick(&self.ids()).unwrap();
        let Member { kept, covered, .. } = &self.members[&id];
        let (kept, covered) = (kept.len(), *covered);
        // As long as nothing was forgotten the whole epoch may be done again.
        let chosen = (self.draw)(if covered { kept } else { kept + 1 });
        let from = if covered { Some(chosen) } else { chosen.checked_sub(1) };
        self.note(if from.is_some() { "restored" } else { "from the beginning of the epoch" });
        let mut kept = std::mem::take(&mut self.members.get_mut(&id).unwrap().kept);
        kept.truncate(from.map_or(0, |from| from + 1));
        let bytes = kept.last().map(|(bytes, _)| bytes.clone());
        let task = self.open(id, bytes.as_deref(), true).map_err(|error| error.to_string())?;
        if let Some(bytes) = bytes.filter(|_| self.job.plants.is_none()) {
            assert_eq!(task.checkpoint(), bytes, "a restored task is saved as it was");
        }
        self.members.insert(id, Member { task, kept, covered, ended: false });
        if (self.draw)(2) == 0 { self.ask_again(id) } else { Ok(()) }
    }

    /// Every link at the task is asked for what lacks.
    fn ask_again(&mut self, id: usize) -> Result<(), String> {
        for from in self.job.layout.tasks[id].upstream.clone() {
            self.resend(from, id)?;
        }
        for to in self.job.layout.tasks[id].downstream.clone() {
            self.resend(id, to)?;
        }
        Ok(())
    }

    /// From now on all that is sent arrives, some time.
    fn settle(&mut self) -> Result<(), String> {
        for _ in 0..50 {
            for _ in 0..self.readers().len() * 4 {
                self.feed(1000)?;
            }
            for _ in 0..2000 {
                if self.flying.is_empty() {
                    break;
                }
                self.deliver()?;
            }
            let merge = &self.members[&self.merge()].task;
            self.ran.failure = merge.failure().cloned();
            if self.ran.failure.is_some() || merge.frontier() == Timestamp::MAX {
                return Ok(());
            }
            self.flying.clear();
            for id in self.ids() {
                self.ask_again(id)?;
            }
        }
        Err("the shard does not come to its end".to_owned())
    }
}
