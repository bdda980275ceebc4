//! Our engine as a subject: its tasks, opened, fed, linked and saved as they ask to be.
//!
//! Only wiring: what to do after a failure is decided in the engine's `recovery` and `task`. Invariant: it adds
//! nothing and leaves nothing out, save that dropped events, which are no output, are not passed on.

use std::collections::BTreeMap;
use std::sync::Arc;

#[cfg(feature = "plant")]
use rewindow_engine::plant::Plant;
use rewindow_engine::plant::Plants;
use rewindow_engine::task::Received;
use rewindow_engine::{Layout, OpenError, Packet, References, Setup, Task, TaskOpening};
use rewindow_query::event::Reference;
use rewindow_query::{Entry, Failure, Ordering, Plan, Recovered, Row, Shard, Timestamp};

use crate::case::Case;
use crate::subject::{Opening, Refusal, Subject, Taken, Worker};

/// Our engine.
pub struct EngineSubject {
    shards: Vec<Shard>,
    /// Of each shard, but for which it is.
    setup: Setup,
    layout: Arc<Layout>,
    plants: Plants,
}

impl EngineSubject {
    /// The engine for a plan, each shard whole; `partitions` are those of the plan's inputs, in their order, as
    /// [`Case::partitions`] gives them.
    pub fn new(plan: Arc<Plan>, ordering: Ordering, partitions: &[u32]) -> EngineSubject {
        EngineSubject::staged(plan, ordering, partitions, 0)
    }

    /// The engine for a plan, each shard cut into stages with so many keyed tasks; see [`Layout::staged`].
    pub fn staged(plan: Arc<Plan>, ordering: Ordering, partitions: &[u32], keyed: u32) -> EngineSubject {
        let shards = plan.shards(partitions);
        let layout = Arc::new(Layout::staged(&plan, partitions, keyed));
        let any = Shard { partition: None, reads: Vec::new(), outputs: Vec::new() };
        EngineSubject { shards, setup: Setup::new(plan, any, ordering), layout, plants: Plants::none() }
    }

    /// The engine as a case deploys it, with its reference data. Streams that the case lacks have one partition: such a
    /// case is refused before the engine is asked for anything.
    pub fn of_case(plan: &Arc<Plan>, case: &Case) -> EngineSubject {
        let partitions = case.partitions(plan).unwrap_or_else(|_| vec![1; plan.inputs.len()]);
        EngineSubject::staged(plan.clone(), case.ordering, &partitions, case.deployment.keyed)
            .with_references(&case.references_of(plan))
    }

    /// With reference data, in the order of the plan's references. Without it a join finds no rows there.
    #[must_use]
    pub fn with_references(self, references: &[Reference]) -> EngineSubject {
        EngineSubject { setup: self.setup.with_references(Arc::new(References::new(references))), ..self }
    }

    /// With a bug planted on purpose.
    #[cfg(feature = "plant")]
    #[must_use]
    pub fn with_plant(self, plant: Plant) -> EngineSubject {
        EngineSubject { plants: Plants::only(Some(plant)), ..self }
    }
}

impl Subject for EngineSubject {
    fn name(&self) -> &str {
        "engine"
    }

    fn shards(&self) -> &[Shard] {
        &self.shards
    }

    fn layout(&self) -> Layout {
        Layout::clone(&self.layout)
    }

    fn plants(&self) -> Plants {
        self.plants
    }

    fn at_another(&self, plan: &Arc<Plan>, case: &Case) -> Option<Box<dyn Subject>> {
        Some(Box::new(EngineSubject { plants: self.plants, ..EngineSubject::of_case(plan, case) }))
    }

    fn open(&self, task: usize, opening: &Opening<'_>) -> Result<(Box<dyn Worker>, Recovered), Refusal> {
        let spec = self.layout.tasks.get(task).ok_or_else(|| format!("there is no task {task}"))?;
        let setup = self.setup.of_shard(&self.shards[spec.shard]);
        let opening = TaskOpening {
            why: opening.why,
            output_from: opening.output_from,
            epoch: opening.epoch,
            incarnation: opening.incarnation,
            checkpoint: opening.checkpoint,
            begin: opening.begin,
            log: opening.log,
        };
        match Task::open(setup, &self.layout, task, opening, self.plants) {
            Ok((task, recovered)) => Ok((Box::new(EngineWorker(task)), recovered)),
            Err(OpenError::Overtaken { .. }) => Err(Refusal::Overtaken),
            Err(error) => Err(Refusal::Refused(error.to_string())),
        }
    }
}

struct EngineWorker(Task);

impl Worker for EngineWorker {
    fn feed(&mut self, input: usize, partition: u32, entries: &[Entry]) -> Result<Vec<Row>, Failure> {
        Ok(self.0.feed(input, partition, entries)?.rows)
    }

    fn finish(&mut self) -> Result<Vec<Row>, Failure> {
        Ok(self.0.finish()?.rows)
    }

    fn failure(&self) -> Option<Failure> {
        self.0.failure().cloned()
    }

    fn frontier(&self) -> Timestamp {
        self.0.frontier()
    }

    fn checkpoint(&self) -> Vec<u8> {
        self.0.checkpoint()
    }

    fn explain(&self) -> BTreeMap<String, String> {
        self.0.explain()
    }

    fn receive(&mut self, from: usize, packet: &Packet) -> Result<Taken, Failure> {
        Ok(match self.0.receive(from, packet)? {
            Received::Rows(produced) => Taken::Rows(produced.rows),
            Received::Missing { from } => Taken::Missing { from },
            Received::Stale => Taken::Stale,
        })
    }

    fn outgoing(&mut self) -> Vec<(usize, Packet)> {
        self.0.outgoing()
    }

    fn wanted(&self) -> Vec<u64> {
        self.0.received()
    }

    fn resend(&self, to: usize, from: u64) -> Option<Packet> {
        self.0.resend(to, from).ok()
    }

    fn forget(&mut self, to: usize, before: u64) {
        self.0.forget(to, before);
    }

    fn kept(&self, to: usize) -> u64 {
        let held = self.0.held(to);
        held.end - held.start
    }
}
