//! A task: a part of a shard that runs on one node, with links to the others.
//!
//! ```text
//!   entries --> Instance of the partition stage --> outboxes ==> inboxes --> Instance of the next --> rows
//!                         numbers, history, asked again ---^      ^--- numbers, merged when all have come so far
//! ```
//!
//! A task with links goes as far as the least of them. It knows nothing of nodes, nor of who carries its packets
//! or opens it again (the coordinator does). Invariants: within an epoch the rows of a link, and their numbers,
//! are the same after every restore; a whole shard is exactly an [`Instance`], also in its checkpoint. Only
//! tasks that write tell a failure; in the others it travels in packets.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use rewindow_query::plan::{NodeId, Op};
use rewindow_query::{Entry, Failure, LogView, Outcome, Plan, Recovered, Shard, Timestamp, Why};

use crate::batch::Batch;
use crate::build;
use crate::checkpoint::{CheckpointError, FORMAT, checked, seal};
use crate::codec::{Reader, Writer};
use crate::instance::{Instance, Produced};
use crate::layout::{Channel, Cut, Layout, Part, Role, routed_by};
use crate::link::{Forgotten, Inbox, Outbox, Packet, Taken};
use crate::merge::{merge, pack, routes, unpack, wire_width};
use crate::plant::{Plant, Plants};
use crate::recovery::{self, OpenError, Opening, is_usable};
use crate::setup::Setup;

const MAGIC: &[u8; 4] = b"RWTK";

/// What a task is told when it is opened.
pub struct TaskOpening<'a> {
    /// What happened.
    pub why: Why,
    /// Rows stamped at or after this are wanted; the same for all tasks of a shard.
    pub output_from: Timestamp,
    /// The epoch of the shard.
    pub epoch: u64,
    /// Larger than that of every earlier opening of the task.
    pub incarnation: u64,
    /// The checkpoint to go on from, of this epoch; whether it may be used is decided here.
    pub checkpoint: Option<&'a [u8]>,
    /// Without a checkpoint: the positions at which this epoch began. `None`: it begins now, by replay.
    pub begin: Option<&'a BTreeMap<(usize, u32), u64>>,
    /// The source.
    pub log: &'a dyn LogView,
}

/// What a task makes of a packet.
#[derive(Clone, Debug, PartialEq)]
pub enum Received {
    /// It has taken what was new, and gives these rows.
    Rows(Produced),
    /// Rows in front of it have not come: they are to be asked for again, from this number on. Nothing was
    /// taken.
    Missing {
        /// The number.
        from: u64,
    },
    /// It is of another epoch, or from an incarnation that has been replaced. Nothing was taken.
    Stale,
}

/// A part of a shard at work.
pub struct Task {
    role: Role,
    epoch: u64,
    incarnation: u64,
    instance: Instance,
    fed: Vec<Channel>,
    inboxes: Vec<(Wire, Inbox)>,
    outboxes: Vec<(Wire, Outbox)>,
    /// How many keyed tasks the shard has.
    keyed: usize,
    /// Links in the order in which rows last came, and whether it was restored; only planted bugs ask.
    arrivals: Vec<usize>,
    restored: bool,
    plants: Plants,
}

/// What goes over a link.
#[derive(Clone, Debug)]
struct Wire {
    channels: Vec<Channel>,
    widths: Vec<usize>,
    /// The keyed task at its end.
    keyed: Option<u32>,
}

impl Task {
    /// Opens a task of the layout after what happened, and says how. `setup` is that of its whole shard.
    ///
    /// # Errors
    /// A whole checkpoint of another query, shard, task, epoch, setting or version; a log that has forgotten
    /// what the task would read next in its epoch.
    pub fn open(
        setup: Setup,
        layout: &Arc<Layout>,
        task: usize,
        opening: TaskOpening<'_>,
        plants: Plants,
    ) -> Result<(Task, Recovered), OpenError> {
        let role = layout.tasks[task].role;
        let whole = Opening {
            why: opening.why,
            output_from: opening.output_from,
            checkpoint: opening.checkpoint,
            log: opening.log,
        };
        if role == Role::Whole {
            let (instance, recovered) = recovery::open(setup, &whole, plants)?;
            return Ok((Task::around(instance, layout, task, None, &opening, plants), recovered));
        }
        setup.plan.check_functions()?;
        let cut = Cut::new(&setup.plan, &setup.shard);
        let reads = layout.tasks[task].reads.clone();
        let setup = Setup { shard: Shard { reads, ..setup.shard.clone() }, ..setup };
        let part = cut.part(role);
        let start = |instance| Task::around(instance, layout, task, Some(&cut), &opening, plants);
        let usable = opening.checkpoint.filter(|_| is_usable(opening.why, plants));
        let restored = match usable.map(|bytes| Task::restore(&setup, &part, bytes, &start, plants)) {
            None => None,
            Some(Ok(task)) => Some(task),
            Some(Err(error)) if error.is_damage() => None,
            Some(Err(error)) => return Err(error.into()),
        };
        let restored = restored.filter(|task| task.instance.output_from <= opening.output_from);
        if let Some(mut task) = restored {
            task.instance.output_from = opening.output_from;
            check_log(&task.instance, opening.log)?;
            let (outcome, positions) = (Outcome::FromCheckpoint, task.positions());
            return Ok((task, Recovered { outcome, positions, gaps: Vec::new() }));
        }
        let instance = Instance::part(setup, part, opening.output_from, plants);
        let (mut instance, mut recovered) = recovery::replay(instance, &whole);
        if let Some(begin) = opening.begin {
            for (place, position) in &mut instance.positions {
                *position = begin.get(place).copied().unwrap_or(0);
            }
            check_log(&instance, opening.log)?;
            // What the log lacked was announced when the epoch began.
            recovered = Recovered { positions: instance.positions(), gaps: Vec::new(), ..recovered };
        }
        if plants.is(Plant::RetentionGapSilent) {
            recovered.gaps.clear();
        }
        let restored = opening.begin.is_some();
        Ok((Task { restored, ..start(instance) }, recovered))
    }

    fn around(
        instance: Instance,
        layout: &Layout,
        task: usize,
        cut: Option<&Cut>,
        opening: &TaskOpening<'_>,
        plants: Plants,
    ) -> Task {
        let spec = &layout.tasks[task];
        let wire = |from: Role, to: Role| {
            let channels = cut.map_or_else(Vec::new, |cut| cut.channels(from, to));
            let widths = channels.iter().map(|channel| build::width(&instance.plan, channel.node)).collect();
            let keyed = match to {
                Role::Keyed { index } => Some(index),
                _ => None,
            };
            Wire { channels, widths, keyed }
        };
        let inbox = |&from: &usize| {
            let wire = wire(layout.tasks[from].role, spec.role);
            let inbox = Inbox::new(wire_width(&wire.widths), plants);
            (wire, inbox)
        };
        let outbox = |&to: &usize| {
            let wire = wire(spec.role, layout.tasks[to].role);
            let outbox = Outbox::new(wire_width(&wire.widths), plants);
            (wire, outbox)
        };
        let inboxes = spec.upstream.iter().map(inbox).collect();
        let outboxes = spec.downstream.iter().map(outbox).collect();
        Task {
            role: spec.role,
            epoch: opening.epoch,
            incarnation: opening.incarnation,
            fed: cut.map_or_else(Vec::new, |cut| cut.part(spec.role).fed),
            inboxes,
            outboxes,
            keyed: layout.keyed(spec.shard),
            arrivals: (0..spec.upstream.len()).collect(),
            restored: false,
            plants,
            instance,
        }
    }

    /// Takes the next entries of one partition, as [`Instance::feed`].
    ///
    /// # Errors
    /// As there, from a task that writes.
    pub fn feed(&mut self, input: usize, partition: u32, entries: &[Entry]) -> Result<Produced, Failure> {
        let produced = self.instance.feed(input, partition, entries)?;
        self.send();
        Ok(produced)
    }

    /// What the task reads itself has ended, as [`Instance::finish`]; one that reads nothing ends with its links.
    ///
    /// # Errors
    /// As there, from a task that writes.
    pub fn finish(&mut self) -> Result<Produced, Failure> {
        if !self.inboxes.is_empty() {
            self.instance.check()?;
            return Ok(Produced::default());
        }
        let produced = self.instance.finish()?;
        self.send();
        Ok(produced)
    }

    /// Takes a packet from one of the upstream tasks, counted as in the layout.
    ///
    /// # Errors
    /// The failure of an earlier call, once every row stamped before it has been given; from a task that writes.
    pub fn receive(&mut self, from: usize, packet: &Packet) -> Result<Received, Failure> {
        self.instance.check()?;
        let Some((_, inbox)) = self.inboxes.get_mut(from) else { return Ok(Received::Stale) };
        match inbox.take(packet, self.epoch) {
            Taken::Stale => return Ok(Received::Stale),
            Taken::Missing(from) => return Ok(Received::Missing { from }),
            Taken::New => {}
        }
        if let Some(failure) = &inbox.failure {
            self.instance.note(failure);
        }
        self.arrivals.retain(|&link| link != from);
        self.arrivals.push(from);
        Ok(Received::Rows(self.advance()))
    }

    /// What is new for the downstream tasks since the last call: which of them, counted as in the layout, and
    /// what it is to be sent.
    pub fn outgoing(&mut self) -> Vec<(usize, Packet)> {
        let (epoch, incarnation) = (self.epoch, self.incarnation);
        let news = self.outboxes.iter_mut().enumerate();
        news.filter_map(|(to, (_, outbox))| Some((to, outbox.outgoing(epoch, incarnation)?))).collect()
    }

    /// Number of the next row wanted from an upstream task.
    pub fn wanted(&self, from: usize) -> u64 {
        self.inboxes[from].1.next
    }

    /// [`Task::wanted`] of every link: what the coordinator is told with a checkpoint.
    pub fn received(&self) -> Vec<u64> {
        self.inboxes.iter().map(|(_, inbox)| inbox.next).collect()
    }

    /// The rows for a downstream task from a number on, sent before or not.
    ///
    /// # Errors
    /// Rows that are not kept any more.
    pub fn resend(&self, to: usize, from: u64) -> Result<Packet, Forgotten> {
        self.outboxes[to].1.resend(from, self.epoch, self.incarnation)
    }

    /// Forgets the rows for a downstream task in front of a number: its kept checkpoints have them.
    pub fn forget(&mut self, to: usize, before: u64) {
        self.outboxes[to].1.forget(before);
    }

    /// Numbers of the rows that are kept for a downstream task.
    pub fn held(&self, to: usize) -> Range<u64> {
        self.outboxes[to].1.held.clone()
    }

    /// What it does for its shard.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The epoch it belongs to.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Which of its openings this is.
    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// Everything stamped before this has been given, as rows or to the links.
    pub fn frontier(&self) -> Timestamp {
        self.instance.frontier()
    }

    /// The failure that the next call tells, from a task that writes, once every row before it has been given.
    pub fn failure(&self) -> Option<&Failure> {
        self.instance.failure()
    }

    /// Next offset to read of each partition.
    pub fn positions(&self) -> BTreeMap<(usize, u32), u64> {
        self.instance.positions()
    }

    /// The state as text; equal states give equal text.
    pub fn explain(&self) -> BTreeMap<String, String> {
        let mut texts = self.instance.explain();
        let inboxes = self.inboxes.iter().enumerate();
        texts.extend(inboxes.map(|(from, (_, inbox))| (format!("from link {from}"), inbox.explain())));
        let outboxes = self.outboxes.iter().enumerate();
        texts.extend(outboxes.map(|(to, (_, outbox))| (format!("to link {to}"), outbox.explain())));
        texts
    }

    /// Goes as far as all links have come.
    fn advance(&mut self) -> Produced {
        let until = self.inboxes.iter().map(|(_, inbox)| inbox.until).min().unwrap_or(Timestamp::MAX);
        if until <= self.instance.frontier {
            self.send();
            return Produced::default();
        }
        let by_arrival = self.plants.is(Plant::MergeByArrival);
        let order = if by_arrival { self.arrivals.clone() } else { (0..self.inboxes.len()).collect() };
        let mut parts: Vec<Vec<Batch>> = vec![Vec::new(); self.fed.len()];
        for link in order {
            let (wire, inbox) = &mut self.inboxes[link];
            let streams = unpack(inbox.release(until), &wire.widths);
            for (channel, rows) in wire.channels.iter().zip(streams) {
                let place = self.fed.iter().position(|fed| fed == channel);
                parts[place.expect("what comes over a link is fed")].push(rows);
            }
        }
        for (channel, mut parts) in self.fed.iter().zip(parts) {
            if let Some(end) = self.ended(channel) {
                let early = |rows: Batch| {
                    let len = rows.timestamps.partition_point(|&at| at < end.0);
                    rows.truncated(len)
                };
                parts = parts.into_iter().map(early).collect();
            }
            let keys = if by_arrival { 0 } else { keys_of(&self.instance.plan, channel.node) };
            let rows = merge(parts, keys);
            if !rows.is_empty() {
                self.instance.give(*channel, rows);
            }
        }
        let produced = self.instance.step(until, Vec::new());
        self.send();
        produced
    }

    /// Where a failure in any of the tasks that give a stream ended the operator that gives it.
    fn ended(&self, channel: &Channel) -> Option<Timestamp> {
        let of_link = |(wire, inbox): &(Wire, Inbox)| {
            let place = wire.channels.iter().position(|other| other == channel)?;
            inbox.ended.get(place).copied().flatten()
        };
        self.inboxes.iter().filter_map(of_link).min()
    }

    /// Puts what the last steps gave, and how far they came, into the outboxes.
    fn send(&mut self) {
        if self.outboxes.is_empty() {
            return;
        }
        let exports = self.instance.exports().to_vec();
        let mut rows: BTreeMap<NodeId, Batch> = BTreeMap::new();
        for slices in self.instance.take_exported() {
            for (&node, slice) in exports.iter().zip(slices) {
                slice.batches.into_iter().for_each(|batch| rows.entry(node).or_default().append(batch));
            }
        }
        rows.retain(|_, batch| !batch.is_empty());
        let (until, failure) = (self.instance.emitted(), self.instance.failure.as_ref());
        let changed = self.restored && self.plants.is(Plant::KeyedRouteChanges);
        let mut dealt: BTreeMap<NodeId, Vec<usize>> = BTreeMap::new();
        for (wire, outbox) in &mut self.outboxes {
            let mut streams = Vec::with_capacity(wire.channels.len());
            for channel in &wire.channels {
                let Some(rows) = rows.get(&channel.node) else {
                    streams.push(Batch::default());
                    continue;
                };
                let (Some(reader), Some(index)) = (channel.reader, wire.keyed) else {
                    streams.push(rows.clone());
                    continue;
                };
                let routes = dealt.entry(reader).or_insert_with(|| {
                    routes(keyed_by(&self.instance.plan, reader), rows, self.keyed, changed)
                });
                let is_its = |row: &u32| routes[*row as usize] == index as usize;
                let its: Vec<u32> = (0..rows.len() as u32).filter(is_its).collect();
                streams.push(if its.len() == rows.len() { rows.clone() } else { rows.gather(&its) });
            }
            let ended = |channel: &Channel| self.instance.ended(channel.node);
            let ended: Vec<Option<Timestamp>> = wire.channels.iter().map(ended).collect();
            outbox.push(pack(streams, wire_width(&wire.widths)), until, failure, &ended);
        }
    }

    /// The state as bytes. Changes nothing.
    pub fn checkpoint(&self) -> Vec<u8> {
        if self.role == Role::Whole {
            return self.instance.checkpoint();
        }
        let mut writer = Writer::default();
        writer.raw(MAGIC);
        writer.u32(FORMAT);
        writer.u64(self.epoch);
        self.save_place(&mut writer);
        let state = self.instance.checkpoint();
        writer.len(state.len());
        writer.raw(&state);
        self.inboxes.iter().for_each(|(_, inbox)| inbox.save(&mut writer));
        self.outboxes.iter().for_each(|(_, outbox)| outbox.save(&mut writer));
        let mut bytes = writer.finish();
        seal(&mut bytes);
        bytes
    }

    /// Which task it is, among how many.
    fn save_place(&self, writer: &mut Writer) {
        let (tag, number) = match self.role {
            Role::Whole => (0, 0),
            // Its reads are in the checkpoint of its instance.
            Role::Partition { .. } => (1, 0),
            Role::Keyed { index } => (2, index),
            Role::Merge => (3, 0),
        };
        writer.u8(tag);
        writer.u32(number);
        [self.keyed, self.inboxes.len(), self.outboxes.len()].iter().for_each(|&count| writer.len(count));
    }

    fn restore(
        setup: &Setup,
        part: &Part,
        bytes: &[u8],
        start: &dyn Fn(Instance) -> Task,
        plants: Plants,
    ) -> Result<Task, CheckpointError> {
        let mut reader = Reader::new(checked(bytes, MAGIC)?);
        reader.raw(MAGIC.len())?;
        let found = reader.u32()?;
        if found != FORMAT {
            return Err(CheckpointError::Version { found });
        }
        let found = reader.u64()?;
        let mut place = Writer::default();
        let empty = start(Instance::part(setup.clone(), part.clone(), Timestamp::MIN, plants));
        empty.save_place(&mut place);
        let place = place.finish();
        if reader.raw(place.len())? != place {
            return Err(CheckpointError::Shard);
        }
        if found != empty.epoch {
            return Err(CheckpointError::Epoch { found, expected: empty.epoch });
        }
        let len = reader.len(1)?;
        let instance = Instance::restore_part(setup.clone(), part.clone(), reader.raw(len)?, plants)?;
        let released = instance.frontier;
        let mut task = Task { restored: true, ..start(instance) };
        for (_, inbox) in &mut task.inboxes {
            inbox.load(released, &mut reader)?;
        }
        for (_, outbox) in &mut task.outboxes {
            outbox.load(&mut reader)?;
        }
        reader.end()?;
        Ok(task)
    }
}

/// A log that has forgotten what is read next shifts the numbers of rows.
fn check_log(instance: &Instance, log: &dyn LogView) -> Result<(), OpenError> {
    for (&(input, partition), &wanted) in &instance.positions {
        let kept = log.retained(input, partition).first;
        if kept > wanted {
            return Err(OpenError::Overtaken { input, partition, wanted, kept });
        }
    }
    Ok(())
}

/// By what the rows of a grouping are dealt out.
fn keyed_by(plan: &Plan, group: NodeId) -> &[rewindow_query::expr::Expr] {
    match &plan.nodes[group].op {
        Op::Group(group) => routed_by(group).expect("only groupings that can be are keyed"),
        _ => unreachable!("only groupings are keyed"),
    }
}

/// How many columns of a grouping hold its key, by which its rows of one timestamp are ordered; 0 for what
/// comes from partitions.
fn keys_of(plan: &Plan, node: NodeId) -> usize {
    match &plan.nodes[node].op {
        Op::Group(group) => group.keys.len(),
        _ => 0,
    }
}
