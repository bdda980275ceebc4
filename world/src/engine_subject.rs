//! Our engine as a subject: each shard one instance, opened, fed and saved as it asks to be.
//!
//! Only wiring: what to do after a failure is decided in the engine's `recovery`. Invariant: it adds
//! nothing and leaves nothing out, save that dropped events, which are no output, are not passed on.

use std::collections::BTreeMap;
use std::sync::Arc;

#[cfg(feature = "plant")]
use rewindow_engine::plant::Plant;
use rewindow_engine::{Instance, Opening as EngineOpening, References, Setup};
use rewindow_query::event::Reference;
use rewindow_query::{Entry, Failure, Ordering, Plan, Recovered, Row, Shard, Timestamp};

use crate::subject::{Opening, Subject, Worker};

/// Our engine.
pub struct EngineSubject {
    plan: Arc<Plan>,
    ordering: Ordering,
    shards: Vec<Shard>,
    references: Arc<References>,
    #[cfg(feature = "plant")]
    plant: Option<Plant>,
}

impl EngineSubject {
    /// The engine for a plan; `partitions` are those of the plan's inputs, in their order, as
    /// [`Case::partitions`](crate::case::Case::partitions) gives them.
    pub fn new(plan: Arc<Plan>, ordering: Ordering, partitions: &[u32]) -> EngineSubject {
        let shards = plan.shards(partitions);
        EngineSubject {
            plan,
            ordering,
            shards,
            references: Arc::default(),
            #[cfg(feature = "plant")]
            plant: None,
        }
    }

    /// With reference data, in the order of the plan's references. Without it a join finds no rows there.
    #[must_use]
    pub fn with_references(self, references: &[Reference]) -> EngineSubject {
        EngineSubject { references: Arc::new(References::new(references)), ..self }
    }

    /// The engine with a bug planted on purpose.
    #[cfg(feature = "plant")]
    pub fn planted(plan: Arc<Plan>, ordering: Ordering, partitions: &[u32], plant: Plant) -> EngineSubject {
        EngineSubject { plant: Some(plant), ..EngineSubject::new(plan, ordering, partitions) }
    }

    fn instance(&self, shard: usize, opening: &Opening<'_>) -> Result<(Instance, Recovered), String> {
        let part = self.shards.get(shard).ok_or_else(|| format!("there is no shard {shard}"))?.clone();
        let opening = EngineOpening {
            why: opening.why,
            output_from: opening.output_from,
            checkpoint: opening.checkpoint,
            log: opening.log,
        };
        let setup = Setup::new(self.plan.clone(), part, self.ordering);
        let setup = setup.with_references(self.references.clone());
        #[cfg(feature = "plant")]
        let opened = setup.open_planted(opening, self.plant);
        #[cfg(not(feature = "plant"))]
        let opened = setup.open(opening);
        opened.map_err(|error| error.to_string())
    }
}

impl Subject for EngineSubject {
    fn name(&self) -> &str {
        "engine"
    }

    fn shards(&self) -> &[Shard] {
        &self.shards
    }

    #[cfg(feature = "plant")]
    fn plants(&self) -> rewindow_engine::Plants {
        rewindow_engine::Plants::only(self.plant)
    }

    fn open(&self, shard: usize, opening: &Opening<'_>) -> Result<(Box<dyn Worker>, Recovered), String> {
        let (instance, recovered) = self.instance(shard, opening)?;
        Ok((Box::new(EngineWorker(instance)), recovered))
    }
}

struct EngineWorker(Instance);

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
}
