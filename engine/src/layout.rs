//! How a job is cut into tasks: each shard whole, or as stages on several nodes joined by links (rule 11.4).
//!
//! ```text
//!   partition tasks, one for each (input, partition)  ->  keyed tasks  ->  one merge task, which writes
//!   Source and what goes row by row above it             Groups by key     everything else
//! ```
//!
//! A grouping is keyed where its rows depend on nothing but the rows that agree in what it is routed by. Only
//! the cut; who runs where is the world's business. Invariants: a task's upstream tasks stand before it; exactly one
//! task of a shard gives rows to the sink.

use rewindow_query::Shard;
use rewindow_query::expr::Expr;
use rewindow_query::plan::{Group, NodeId, Op, Plan, Window};

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

    /// Every shard in stages, with so many keyed tasks where there is a grouping for them; whole where `keyed`
    /// is 0 or the job is fully parallel. `partitions[input]` is the number of partitions of each input.
    pub fn staged(plan: &Plan, partitions: &[u32], keyed: u32) -> Layout {
        let shards = plan.shards(partitions);
        if keyed == 0 || plan.parallel {
            return Layout::whole(&shards);
        }
        let mut tasks = Vec::new();
        for (shard, of) in shards.iter().enumerate() {
            stages(shard, of, &Cut::new(plan, of), keyed, &mut tasks);
        }
        Layout { tasks }
    }

    /// How many keyed tasks a shard has.
    pub(crate) fn keyed(&self, shard: usize) -> usize {
        let keyed = |task: &&TaskSpec| task.shard == shard && matches!(task.role, Role::Keyed { .. });
        self.tasks.iter().filter(keyed).count()
    }
}

/// Appends the tasks of a shard, linked wherever rows go.
fn stages(shard: usize, of: &Shard, cut: &Cut, keyed: u32, tasks: &mut Vec<TaskSpec>) {
    let first = tasks.len();
    let partitions = of
        .reads
        .iter()
        .map(|&(input, partition)| (Role::Partition { input, partition }, vec![(input, partition)]));
    let keyed = if cut.groups.is_empty() { 0 } else { keyed };
    let keyed = (0..keyed).map(|index| (Role::Keyed { index }, Vec::new()));
    for (role, reads) in partitions.chain(keyed).chain([(Role::Merge, Vec::new())]) {
        tasks.push(TaskSpec { shard, role, reads, upstream: Vec::new(), downstream: Vec::new() });
    }
    for from in first..tasks.len() {
        for to in from + 1..tasks.len() {
            if !cut.channels(tasks[from].role, tasks[to].role).is_empty() {
                tasks[from].downstream.push(to);
                tasks[to].upstream.push(from);
            }
        }
    }
}

/// Rows of a node on their way to other tasks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Channel {
    /// Whose rows.
    pub node: NodeId,
    /// The grouping they are routed for; `None` for those that go to the merge task as they are.
    pub reader: Option<NodeId>,
}

/// Where the plan of a shard is cut.
#[derive(Debug)]
pub(crate) struct Cut {
    /// Nodes that a partition task computes, each with the input it reads.
    front: Vec<(NodeId, usize)>,
    /// Groupings that are keyed, and the nodes they read.
    groups: Vec<Channel>,
    /// What the merge task computes.
    behind: Vec<NodeId>,
    /// Nodes of the front that it reads, or writes as they are.
    direct: Vec<NodeId>,
    /// The nodes of the outputs.
    outputs: Vec<NodeId>,
}

impl Cut {
    pub(crate) fn new(plan: &Plan, shard: &Shard) -> Cut {
        let mut front: Vec<(NodeId, usize)> = Vec::new();
        let (mut groups, mut behind): (Vec<Channel>, Vec<NodeId>) = (Vec::new(), Vec::new());
        let input_of = |front: &[(NodeId, usize)], id: NodeId| {
            front.iter().find(|(node, _)| *node == id).map(|&(_, input)| input)
        };
        for id in plan.nodes_of(&shard.outputs) {
            let node = &plan.nodes[id];
            let below = node.inputs.first().copied();
            match (&node.op, below.and_then(|below| input_of(&front, below))) {
                (Op::Source(source), _) => front.push((id, source.input)),
                (Op::Filter(_) | Op::Project(_) | Op::Apply(_) | Op::ReferenceJoin(_), Some(input)) => {
                    front.push((id, input));
                }
                (Op::Group(group), Some(_)) if routed_by(group).is_some() => {
                    groups.push(Channel { node: node.inputs[0], reader: Some(id) });
                }
                _ => behind.push(id),
            }
        }
        let outputs: Vec<NodeId> = shard.outputs.iter().map(|&output| plan.outputs[output].node).collect();
        let direct = front
            .iter()
            .map(|&(id, _)| id)
            .filter(|id| {
                outputs.contains(id) || behind.iter().any(|&reader| plan.nodes[reader].inputs.contains(id))
            })
            .collect();
        Cut { front, groups, behind, direct, outputs }
    }

    /// What goes over the link between tasks of these roles; nothing where there is no link.
    pub(crate) fn channels(&self, from: Role, to: Role) -> Vec<Channel> {
        let of = |id: NodeId, input: usize| self.front.contains(&(id, input));
        match (from, to) {
            (Role::Partition { input, .. }, Role::Keyed { .. }) => {
                self.groups.iter().copied().filter(|channel| of(channel.node, input)).collect()
            }
            (Role::Partition { input, .. }, Role::Merge) => {
                let direct = self.direct.iter().copied().filter(|&node| of(node, input));
                direct.map(|node| Channel { node, reader: None }).collect()
            }
            (Role::Keyed { .. }, Role::Merge) => {
                self.grouped().map(|node| Channel { node, reader: None }).collect()
            }
            _ => Vec::new(),
        }
    }

    /// What a task of that role computes, of what it is given, and what of it is wanted.
    pub(crate) fn part(&self, role: Role) -> Part {
        match role {
            Role::Whole => unreachable!("a shard that is whole is not cut"),
            Role::Partition { input, .. } => {
                let nodes: Vec<NodeId> =
                    self.front.iter().filter(|(_, of)| *of == input).map(|&(id, _)| id).collect();
                let wanted = |id: &NodeId| {
                    self.direct.contains(id) || self.groups.iter().any(|channel| channel.node == *id)
                };
                let exports = nodes.iter().copied().filter(wanted).collect();
                Part { nodes, fed: Vec::new(), exports, writes: false }
            }
            Role::Keyed { .. } => {
                let nodes: Vec<NodeId> = self.grouped().collect();
                Part { exports: nodes.clone(), nodes, fed: self.groups.clone(), writes: false }
            }
            Role::Merge => {
                let fed = self.direct.iter().copied().chain(self.grouped());
                let fed = fed.map(|node| Channel { node, reader: None }).collect();
                Part { nodes: self.behind.clone(), fed, exports: self.outputs.clone(), writes: true }
            }
        }
    }

    fn grouped(&self) -> impl Iterator<Item = NodeId> {
        self.groups.iter().filter_map(|channel| channel.reader)
    }
}

/// The part of a shard's nodes that one instance runs.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    /// What it computes, inputs before readers.
    pub nodes: Vec<NodeId>,
    /// What it is given instead of computing it.
    pub fed: Vec<Channel>,
    /// Whose rows are wanted from it.
    pub exports: Vec<NodeId>,
    /// Whether it writes the outputs of the shard.
    pub writes: bool,
}

impl Part {
    /// All of it.
    pub(crate) fn whole(plan: &Plan, shard: &Shard) -> Part {
        let exports = shard.outputs.iter().map(|&output| plan.outputs[output].node).collect();
        Part { nodes: plan.nodes_of(&shard.outputs), fed: Vec::new(), exports, writes: true }
    }
}

/// By what the rows of a grouping can be dealt out, so that what agrees in it, and only that, meets in one task.
/// `None` where all rows have something in common: one group, or the borders of sessions (A-SESSION-NOPART).
pub(crate) fn routed_by(group: &Group) -> Option<&[Expr]> {
    let by = match group.window {
        Window::Session { .. } => &group.session_by,
        _ => &group.keys,
    };
    // Rows of one window end are merged by key: a key may not come from two tasks.
    (!by.is_empty() && by.iter().all(|expr| group.keys.contains(expr))).then_some(by)
}
