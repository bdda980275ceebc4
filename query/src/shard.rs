//! The parts of a job that run, are placed and recover as one.
//!
//! A fully parallel job (rule 11.4) has one shard for each partition; any other has one for each output,
//! which reads all partitions its output depends on. Knows nothing of nodes. Invariant: every output row
//! of the job belongs to exactly one shard.

use crate::plan::{NodeId, Op, Plan};

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
