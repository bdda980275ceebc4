//! How a job is cut into tasks: each shard whole, or as stages on several nodes joined by links (rule 11.4).
//!
//! ```text
//!   partition tasks, one for each (input, partition)  ->  keyed tasks  ->  one merge task, which writes
//!        Source, Filter and Project above it              a keyed Group     everything else
//! ```
//!
//! Only the cut; who runs where is the world's business. Invariants: a task's upstream tasks stand before it; exactly one
//! task of a shard gives rows to the sink.

use rewindow_query::Shard;

/// The tasks of a job.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Layout {
    /// All of them, upstream before downstream, shard after shard.
    pub tasks: Vec<TaskSpec>,
}

/// A part of a shard that runs on one node, is checkpointed and recovers by itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TaskSpec {
    /// The shard it belongs to.
    pub shard: usize,
    /// What it does for it.
    pub role: Role,
    /// The (input, partition) pairs of the log it reads itself, sorted.
    pub reads: Vec<(usize, u32)>,
    /// The tasks it receives rows from, by their index in the layout.
    pub upstream: Vec<usize>,
    /// The tasks it sends rows to.
    pub downstream: Vec<usize>,
}

/// What a task does for its shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Everything.
    Whole,
    /// Reads and orders one partition.
    Partition {
        /// The stream.
        input: usize,
        /// The partition.
        partition: u32,
    },
    /// Groups the rows whose key is routed to it.
    Keyed {
        /// Its number among the keyed tasks of the shard.
        index: u32,
    },
    /// Takes everything together and writes the outputs.
    Merge,
}

impl Role {
    /// Whether a task of this role gives rows to the sink.
    pub fn writes(self) -> bool {
        matches!(self, Role::Whole | Role::Merge)
    }
}

impl Layout {
    /// Every shard as one task.
    pub fn whole(shards: &[Shard]) -> Layout {
        let task = |(shard, of): (usize, &Shard)| TaskSpec {
            shard,
            role: Role::Whole,
            reads: of.reads.clone(),
            upstream: Vec::new(),
            downstream: Vec::new(),
        };
        Layout { tasks: shards.iter().enumerate().map(task).collect() }
    }
}
