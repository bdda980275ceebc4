//! One shard of a plan at work: entries in, rows out, step by step along the watermark.
//!
//! Whenever the merged watermark has moved, every node takes one step, inputs before readers. It knows
//! nothing of why it was opened (`recovery`) or how its state is written (`checkpoint`). Invariants: rows
//! do not depend on where entries are cut into batches; a row leaves once, and only when it is certain.
//!
//! A failure (choice C-FAIL) ends the operator that met it, and what it feeds. The instance goes on until
//! every row stamped before the failure has been given, and only then fails.

use std::collections::BTreeMap;
use std::sync::Arc;

use rewindow_query::plan::{NodeId, Op, Plan};
use rewindow_query::{Dropped, Entry, Failure, Ordering, Row, Shard, Timestamp};

use crate::batch::{Batch, Context, Slice};
use crate::build;
use crate::column::Column;
use crate::layout::{Channel, Part};
use crate::operator::Operator;
use crate::ordering::Source;
use crate::output::{Output, OutputBatch};
use crate::plant::Plants;
use crate::reference::References;
use crate::setup::Setup;

/// What a call gives.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Produced {
    /// Rows that have become certain, for each output in order of timestamp.
    pub rows: Vec<Row>,
    /// Events that did not reach the query.
    pub dropped: Vec<Dropped>,
}

/// What a call gives, by column.
#[derive(Clone, Debug, Default)]
pub struct ProducedColumns {
    /// Rows that have become certain, for each output in order of timestamp.
    pub batches: Vec<OutputBatch>,
    /// Events that did not reach the query.
    pub dropped: Vec<Dropped>,
}

/// A shard at work.
pub struct Instance {
    pub(crate) plan: Arc<Plan>,
    /// The plan's.
    pub(crate) fingerprint: u64,
    pub(crate) shard: Shard,
    pub(crate) ordering: Ordering,
    pub(crate) output_from: Timestamp,
    pub(crate) plants: Plants,
    pub(crate) references: Arc<References>,
    pub(crate) stages: Vec<Stage>,
    outputs: Vec<Output>,
    /// Whose rows are wanted.
    exports: Vec<NodeId>,
    /// Whether it writes the outputs of its shard; else its steps leave slices behind.
    writes: bool,
    /// What the last steps gave, where nothing is written: for each step a slice of each export.
    exported: Vec<Vec<Slice>>,
    /// Next offset to read of each partition.
    pub(crate) positions: BTreeMap<(usize, u32), u64>,
    /// Everything stamped before it has left the sources.
    pub(crate) frontier: Timestamp,
    /// The earliest failure; the instance fails once all rows before it have been given.
    pub(crate) failure: Option<Failure>,
}

/// A node at work.
pub(crate) struct Stage {
    pub(crate) node: NodeId,
    /// Places of its inputs among the stages.
    inputs: Vec<usize>,
    /// Columns of each input it may see; `None` for all.
    widths: Vec<Option<usize>>,
    pub(crate) work: Work,
    /// Everything stamped before it has been emitted.
    pub(crate) until: Timestamp,
    /// Where a failure ended it, or what it takes row by row.
    ended: Option<Timestamp>,
}

pub(crate) enum Work {
    Source(Box<Source>),
    Operator(Box<dyn Operator>),
    /// Given from outside, for one reader or for all: rows up to the next frontier.
    Fed(Option<NodeId>, Vec<Batch>),
}

impl Instance {
    /// The shard with empty state: it has read nothing and gives rows stamped at or after `output_from`.
    pub fn new(plan: Arc<Plan>, shard: Shard, ordering: Ordering, output_from: Timestamp) -> Instance {
        Setup::new(plan, shard, ordering).start(output_from)
    }

    pub(crate) fn planted(setup: Setup, output_from: Timestamp, plants: Plants) -> Instance {
        let part = Part::whole(&setup.plan, &setup.shard);
        Instance::part(setup, part, output_from, plants)
    }

    /// A part of the shard; the shard's reads are those of the part.
    pub(crate) fn part(setup: Setup, part: Part, output_from: Timestamp, plants: Plants) -> Instance {
        let Setup { plan, fingerprint, shard, ordering, references } = setup;
        let Part { nodes, fed, exports, writes } = part;
        let place = |reader: NodeId, id: NodeId| {
            let given = fed
                .iter()
                .position(|channel| channel.node == id && channel.reader.is_none_or(|only| only == reader));
            let made = || nodes.iter().position(|&n| n == id).map(|place| fed.len() + place);
            given.or_else(made).expect("a node's inputs are needed too")
        };
        let given = fed.iter().map(|channel| Stage {
            node: channel.node,
            inputs: Vec::new(),
            widths: Vec::new(),
            work: Work::Fed(channel.reader, Vec::new()),
            until: Timestamp::MIN,
            ended: None,
        });
        let stage = |&id: &NodeId| {
            let node = &plan.nodes[id];
            let spared = |&input: &NodeId| (!build::passes_key(&node.op)).then(|| build::width(&plan, input));
            let work = match (&node.op, build::build(&plan, id, &references, plants)) {
                (_, Some(operator)) => Work::Operator(operator),
                (Op::Source(source), None) => {
                    let mine = shard.reads.iter().filter(|(input, _)| *input == source.input);
                    let partitions: Vec<u32> = mine.map(|&(_, partition)| partition).collect();
                    Work::Source(Box::new(Source::new(source, &partitions, ordering, plants)))
                }
                (op, None) => unreachable!("{} is an operator", op.name()),
            };
            Stage {
                node: id,
                inputs: node.inputs.iter().map(|&input| place(id, input)).collect(),
                widths: node.inputs.iter().map(spared).collect(),
                work,
                until: Timestamp::MIN,
                ended: None,
            }
        };
        let stages = given.chain(nodes.iter().map(stage)).collect();
        let written = if writes { shard.outputs.as_slice() } else { &[] };
        let outputs = written.iter().map(|&o| Output::new(&plan, o, shard.partition)).collect();
        let positions = shard.reads.iter().map(|&read| (read, 0)).collect();
        let frontier = Timestamp::MIN;
        Instance {
            fingerprint,
            plan,
            shard,
            ordering,
            output_from,
            plants,
            references,
            stages,
            outputs,
            exports,
            writes,
            exported: Vec::new(),
            positions,
            frontier,
            failure: None,
        }
    }

    /// Takes the next entries of one partition, in the order of offsets. Entries in front of the position
    /// have been read and are skipped; so is a partition that is not the shard's.
    ///
    /// # Errors
    /// The failure of an earlier call, once every row stamped before it has been given.
    pub fn feed(&mut self, input: usize, partition: u32, entries: &[Entry]) -> Result<Produced, Failure> {
        self.check()?;
        let Some(position) = self.positions.get_mut(&(input, partition)) else {
            return Ok(Produced::default());
        };
        let read = entries.partition_point(|entry| entry.offset < *position);
        let entries = &entries[read..];
        if let Some(last) = entries.last() {
            *position = last.offset + 1;
        }
        let mut dropped = Vec::new();
        for source in self.sources_of(input) {
            source.feed(partition, entries, &mut dropped);
        }
        Ok(self.advance(dropped))
    }

    /// Like [`Instance::feed`] for events that are decoded already: one column for each column of the Source
    /// node that reads this input, arrivals in ticks, offsets counted from `first_offset`. Gives columns, too.
    ///
    /// # Errors
    /// As for [`Instance::feed`].
    ///
    /// # Panics
    /// When the plan reads the input through more than one Source node, or the number of columns differs.
    pub fn feed_columns(
        &mut self,
        input: usize,
        partition: u32,
        first_offset: u64,
        arrivals: &[i64],
        columns: Vec<Column>,
    ) -> Result<ProducedColumns, Failure> {
        self.check()?;
        let Some(position) = self.positions.get_mut(&(input, partition)) else {
            return Ok(ProducedColumns::default());
        };
        *position = first_offset + arrivals.len() as u64;
        let mut dropped = Vec::new();
        let mut sources = self.sources_of(input);
        let source = sources.next().expect("a shard reads what its sources read");
        source.feed_columns(partition, first_offset, arrivals, columns, &mut dropped);
        assert!(sources.next().is_none(), "columns are fed to a single Source node");
        drop(sources);
        let batches = self.due().map_or_else(Vec::new, |until| self.step_columns(until));
        Ok(ProducedColumns { batches, dropped: distinct(dropped) })
    }

    /// The input has ended: gives all rows that are left.
    ///
    /// # Errors
    /// As for [`Instance::feed`]. A failure that lies behind rows still to be given is told by the next call.
    pub fn finish(&mut self) -> Result<Produced, Failure> {
        self.check()?;
        Ok(self.step(Timestamp::MAX, Vec::new()))
    }

    /// [`Instance::finish`], by column.
    ///
    /// # Errors
    /// As there.
    pub fn finish_columns(&mut self) -> Result<ProducedColumns, Failure> {
        self.check()?;
        Ok(ProducedColumns { batches: self.step_columns(Timestamp::MAX), dropped: Vec::new() })
    }

    /// Every row stamped before this has been given; the least of the shard's outputs.
    pub fn frontier(&self) -> Timestamp {
        let emitted = self.emitted();
        self.failure.as_ref().map_or(emitted, |failure| emitted.min(failure.at))
    }

    /// The failure that the next call tells, once every row before it has been given. A part of a shard that
    /// does not write tells none.
    pub fn failure(&self) -> Option<&Failure> {
        let emitted = self.emitted();
        self.failure.as_ref().filter(|failure| self.writes && emitted >= failure.at)
    }

    /// Next offset to read of each partition.
    pub fn positions(&self) -> BTreeMap<(usize, u32), u64> {
        self.positions.clone()
    }

    /// The state as text, `operator#node/key` to content; equal states give equal text.
    pub fn explain(&self) -> BTreeMap<String, String> {
        let mut texts = BTreeMap::new();
        for stage in &self.stages {
            let own = match &stage.work {
                Work::Source(source) => source.explain(),
                Work::Operator(operator) => operator.explain(),
                Work::Fed(..) => BTreeMap::new(),
            };
            let name = format!("{}#{}", self.plan.nodes[stage.node].op.name(), stage.node);
            texts.extend(own.into_iter().map(|(key, text)| (format!("{name}/{key}"), text)));
        }
        texts
    }

    /// Hands in the rows of a channel stamped before the frontier that the next [`Instance::step`] goes to.
    pub(crate) fn give(&mut self, channel: Channel, rows: Batch) {
        let given = self.stages.iter_mut().find_map(|stage| match &mut stage.work {
            Work::Fed(reader, batches) if stage.node == channel.node && *reader == channel.reader => {
                Some(batches)
            }
            _ => None,
        });
        given.expect("a channel is fed").push(rows);
    }

    /// Where a failure ended what an operator takes row by row; what it makes of it ends there, too.
    fn ended_before(&self, place: usize) -> Option<Timestamp> {
        let stage = &self.stages[place];
        let by_row = matches!(
            self.plan.nodes[stage.node].op,
            Op::Filter(_) | Op::Project(_) | Op::Apply(_) | Op::ReferenceJoin(_)
        );
        let inputs = stage.inputs.iter().filter(|_| by_row);
        inputs.filter_map(|&input| self.stages[input].ended).min()
    }

    /// Where a failure ended a node that gives rows to other parts.
    pub(crate) fn ended(&self, node: NodeId) -> Option<Timestamp> {
        self.stages.iter().filter(|stage| stage.node == node).find_map(|stage| stage.ended)
    }

    /// A failure met in front of this part.
    pub(crate) fn note(&mut self, failure: &Failure) {
        if self.failure.as_ref().is_none_or(|known| failure.at < known.at) {
            self.failure = Some(failure.clone());
        }
    }

    /// Takes what the steps gave that were not written: for each step a slice of each export.
    pub(crate) fn take_exported(&mut self) -> Vec<Vec<Slice>> {
        std::mem::take(&mut self.exported)
    }

    /// Whose rows are wanted, in the order of [`Instance::take_exported`].
    pub(crate) fn exports(&self) -> &[NodeId] {
        &self.exports
    }

    pub(crate) fn check(&self) -> Result<(), Failure> {
        self.failure().map_or(Ok(()), |failure| Err(failure.clone()))
    }

    pub(crate) fn emitted(&self) -> Timestamp {
        let until = |&id: &NodeId| self.stages.iter().find(|stage| stage.node == id).map(|stage| stage.until);
        self.exports.iter().filter_map(until).min().unwrap_or(Timestamp::MAX)
    }

    fn sources_of(&mut self, input: usize) -> impl Iterator<Item = &mut Source> {
        self.stages.iter_mut().filter_map(move |stage| match &mut stage.work {
            Work::Source(source) if source.input() == input => Some(&mut **source),
            _ => None,
        })
    }

    /// Where a step would go to, if no row is awaited below a later instant than before (rule 3.8).
    fn due(&self) -> Option<Timestamp> {
        let watermark = |stage: &Stage| match &stage.work {
            Work::Source(source) => Some(source.watermark()),
            Work::Operator(_) | Work::Fed(..) => None,
        };
        self.stages.iter().filter_map(watermark).min().filter(|&until| until > self.frontier)
    }

    /// Steps, if one is due.
    fn advance(&mut self, dropped: Vec<Dropped>) -> Produced {
        match self.due() {
            Some(until) => self.step(until, dropped),
            None => Produced { rows: Vec::new(), dropped: distinct(dropped) },
        }
    }

    /// Every node takes one step; the rows of the outputs are given.
    pub(crate) fn step(&mut self, until: Timestamp, dropped: Vec<Dropped>) -> Produced {
        let mut rows = Vec::new();
        self.step_into(until, |output, slice, from, end| output.write(slice, from, end, &mut rows));
        Produced { rows, dropped: distinct(dropped) }
    }

    /// [`Instance::step`], by column.
    fn step_columns(&mut self, until: Timestamp) -> Vec<OutputBatch> {
        let mut batches = Vec::new();
        self.step_into(until, |output, slice, from, end| output.columns(slice, from, end, &mut batches));
        batches
    }

    /// Every node takes one step; `write` gets what is new for each output, and between which instants rows
    /// of it are given.
    fn step_into(&mut self, until: Timestamp, mut write: impl FnMut(&Output, &Slice, Timestamp, Timestamp)) {
        self.frontier = until;
        let mut context = Context { failure: self.failure.take(), met: None, from: self.output_from };
        let mut slices: Vec<Slice> = Vec::with_capacity(self.stages.len());
        for place in 0..self.stages.len() {
            context.met = None;
            let before = self.ended_before(place);
            let stage = &mut self.stages[place];
            let slice = stage.step(until, &slices, &mut context);
            assert!(slice.until >= stage.until, "a frontier does not go back");
            stage.until = slice.until;
            stage.ended = [stage.ended, context.met, before].into_iter().flatten().min();
            slices.push(slice);
        }
        self.failure = context.failure;
        let end = self.failure.as_ref().map_or(Timestamp::MAX, |failure| failure.at);
        let place = |node: NodeId| {
            let place = self.stages.iter().position(|stage| stage.node == node);
            place.expect("an output's node is needed")
        };
        if !self.writes {
            let wanted = self.exports.iter().map(|&node| slices[place(node)].clone());
            self.exported.push(wanted.collect());
        }
        for (output, &index) in self.outputs.iter().zip(&self.shard.outputs) {
            write(output, &slices[place(self.plan.outputs[index].node)], self.output_from, end);
        }
    }
}

impl Stage {
    fn step(&mut self, until: Timestamp, slices: &[Slice], context: &mut Context) -> Slice {
        if self.until == Timestamp::MAX {
            return Slice::empty(Timestamp::MAX);
        }
        let operator = match &mut self.work {
            Work::Source(source) => return source.release(until),
            Work::Fed(_, batches) => return Slice { batches: std::mem::take(batches), until },
            Work::Operator(operator) => operator,
        };
        let spared: Vec<Option<Slice>> = self
            .inputs
            .iter()
            .zip(&self.widths)
            .map(|(&input, &width)| narrowed(&slices[input], width))
            .collect();
        let inputs: Vec<&Slice> = self
            .inputs
            .iter()
            .zip(&spared)
            .map(|(&input, own)| own.as_ref().unwrap_or(&slices[input]))
            .collect();
        operator.step(&inputs, context)
    }
}

/// The slice with only its first columns, where it has more.
fn narrowed(slice: &Slice, width: Option<usize>) -> Option<Slice> {
    let width = width.filter(|&width| slice.batches.iter().any(|batch| batch.columns.len() > width))?;
    let narrow = |batch: &Batch| Batch {
        timestamps: batch.timestamps.clone(),
        columns: batch.columns.iter().take(width).cloned().collect(),
    };
    Some(Slice { batches: slice.batches.iter().map(narrow).collect(), until: slice.until })
}

/// A stream read by several Source nodes tells of a dropped event once for each reason.
fn distinct(mut dropped: Vec<Dropped>) -> Vec<Dropped> {
    dropped.sort();
    dropped.dedup();
    dropped
}
