//! The parts of a job that run, are placed and recover as one.
//!
//! A fully parallel job (rule 11.4) has one shard for each partition; any other has one for each output,
//! which reads all partitions its output depends on. Knows nothing of nodes. Invariant: every output row
//! of the job belongs to exactly one shard.

use std::ops::Range;

use crate::codes::{self, fail};
use crate::error::QueryError;
use crate::expr::Expr;
use crate::plan::{Abreast, NodeId, Op, Plan, SourceColumn};

/// A part of a job that runs and recovers as one: it is placed on a node as a whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shard {
    /// The outputs it writes, as indices into the plan's outputs.
    pub outputs: Vec<usize>,
    /// The partition it stands for, if the job is fully parallel; its rows carry it.
    pub partition: Option<u32>,
    /// The (input, partition) pairs it reads, sorted.
    pub reads: Vec<(usize, u32)>,
}

impl Plan {
    /// Whether the query can be asked of streams with these numbers of partitions: substreams of a stream with
    /// several need a fully parallel job, and PartitionId among the columns of OVER (rule 3.9); streams that are
    /// joined or united partition by partition have equally many (rules 5.6, 8.6).
    ///
    /// # Errors
    /// The first FROM, in the order of the text, whose substreams would span partitions; the first JOIN or UNION
    /// of streams with different numbers.
    pub fn check_partitions(&self, partitions: &[u32]) -> Result<(), QueryError> {
        self.check_abreast(partitions)?;
        let mut found: Vec<&Range<usize>> = Vec::new();
        for node in &self.nodes {
            let Op::Source(source) = &node.op else { continue };
            let several = partitions.get(source.input).is_some_and(|&count| count > 1);
            let is_partition = |key: &Expr| match key {
                Expr::Column(column) => source.columns[*column] == SourceColumn::PartitionId,
                _ => false,
            };
            let inside = self.parallel && source.over.iter().any(is_partition);
            if several && !source.over.is_empty() && !inside {
                found.push(&node.place);
            }
        }
        let Some(place) = found.into_iter().min_by_key(|place| place.start) else { return Ok(()) };
        let message = match self.parallel {
            true => "substreams of a stream with several partitions are named by PartitionId too (rule 3.9)",
            false => "substreams of a stream with several partitions need a fully parallel job (rule 3.9)",
        };
        let error = fail(codes::SUBSTREAMS, place, "several partitions", message);
        Err(error.help(
            "write TIMESTAMP BY t OVER k, PartitionId PARTITION BY PartitionId, in every step, and group by both",
        ))
    }

    fn check_abreast(&self, partitions: &[u32]) -> Result<(), QueryError> {
        let count = |input: usize| partitions.get(input).copied().unwrap_or(1);
        for Abreast { inputs, union, place } in &self.abreast {
            let Some(&other) = inputs.iter().find(|&&input| count(input) != count(inputs[0])) else {
                continue;
            };
            let of = |input: usize| format!("{} has {}", self.inputs[input].name, count(input));
            let (what, rule, code) = match union {
                true => ("united", "5.6", codes::UNION_PARTITION),
                false => ("joined", "8.6", codes::JOIN_PARTITION),
            };
            let message = format!(
                "streams {what} partition by partition have equally many (rule {rule}): {}, {}",
                of(inputs[0]),
                of(other)
            );
            let error = fail(code, place, "different numbers of partitions", message);
            return Err(error.help("give both as many partitions, or leave out PARTITION BY PartitionId"));
        }
        Ok(())
    }

    /// The shards of the job; `partitions[input]` is the number of partitions of each input.
    pub fn shards(&self, partitions: &[u32]) -> Vec<Shard> {
        let all: Vec<usize> = (0..self.outputs.len()).collect();
        if self.parallel {
            let inputs = self.inputs_of(&all);
            let count = inputs.iter().filter_map(|&i| partitions.get(i)).copied().max().unwrap_or(1);
            let shard = |partition| Shard {
                outputs: all.clone(),
                partition: Some(partition),
                reads: inputs.iter().map(|&input| (input, partition)).collect(),
            };
            return (0..count).map(shard).collect();
        }
        let shard = |output| {
            let inputs = self.inputs_of(&[output]);
            let of = |input: usize| (0..partitions.get(input).copied().unwrap_or(1)).map(move |p| (input, p));
            Shard { outputs: vec![output], partition: None, reads: inputs.into_iter().flat_map(of).collect() }
        };
        all.into_iter().map(shard).collect()
    }

    /// The nodes that the given outputs depend on, in order.
    pub fn nodes_of(&self, outputs: &[usize]) -> Vec<NodeId> {
        let mut needed = vec![false; self.nodes.len()];
        for &output in outputs {
            needed[self.outputs[output].node] = true;
        }
        for id in (0..self.nodes.len()).rev() {
            if needed[id] {
                self.nodes[id].inputs.iter().for_each(|&input| needed[input] = true);
            }
        }
        (0..self.nodes.len()).filter(|&id| needed[id]).collect()
    }

    /// The streams that the given outputs depend on, sorted.
    pub fn inputs_of(&self, outputs: &[usize]) -> Vec<usize> {
        let source = |id: NodeId| match &self.nodes[id].op {
            Op::Source(source) => Some(source.input),
            _ => None,
        };
        let mut inputs: Vec<usize> = self.nodes_of(outputs).into_iter().filter_map(source).collect();
        inputs.sort_unstable();
        inputs.dedup();
        inputs
    }
}
