//! Which cases can be run: bounds, and the invariants of history and schedule.
//!
//! Checked once, where a case enters the world; behind this gate nothing looks again. It does not read
//! the query: whether that can run is said by its analysis.

use rewindow_query::event::Reference;
use rewindow_query::{Plan, Span, Timestamp};

use crate::case::{Case, Deployment, Fault, FaultKind, StartMode};
use crate::error::CaseError;

/// Most streams of a case.
pub const INPUTS_MAX: usize = 64;
/// Most partitions of a stream.
pub const PARTITIONS_MAX: u32 = 1_024;
/// Most entries of a history, estimates included, those the log journals itself too.
pub const ENTRIES_MAX: usize = 1_000_000;
/// Most faults of a schedule.
pub const FAULTS_MAX: usize = 10_000;
/// Most jobs that a user starts in place of another: each is a run of its own, kept with all before it. Of starts of a
/// job that has failed as many again; it stays failed at more.
pub const JOB_CHANGES_MAX: usize = 32;
/// Most choices of who moves next.
pub const TURNS_MAX: usize = 100_000;
/// Most worker nodes.
pub const NODES_MAX: u32 = 256;
/// Highest rate, in entries per second.
pub const RATE_MAX: u64 = 1_000_000_000_000;
/// Most times slower that a node can become.
pub const TIMES_MAX: u32 = 10_000;
/// Most bytes of a partition that a source can be told to keep.
pub const RETENTION_SIZE_MAX: u64 = 1 << 50;
/// Longest span of a deployment or a fault. With [`NODES_MAX`] it keeps sums far inside an `i64`.
pub const SPAN_MAX: Span = Span::hours(3_660 * 24);

impl Case {
    /// Whether the case can be run at all: counts, spans and instants within bounds, offsets
    /// consecutive, arrivals of a partition never decreasing, faults sorted and naming nodes that exist.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), CaseError> {
        self.check_inputs()?;
        self.check_references()?;
        within("late", self.ordering.late, Span::ZERO, Span::LATE_MAX)?;
        within("out_of_order", self.ordering.out_of_order, Span::ZERO, SPAN_MAX)?;
        self.deployment.check()?;
        for index in self.check_entries() {
            index?;
        }
        if self.turns.len() > TURNS_MAX {
            return Err(too_many("turns", self.turns.len(), TURNS_MAX));
        }
        if self.faults.len() > FAULTS_MAX {
            return Err(too_many("faults", self.faults.len(), FAULTS_MAX));
        }
        let changes = self.faults.iter().filter(|fault| matches!(fault.kind, FaultKind::JobChange { .. }));
        let changes = changes.count();
        if changes > JOB_CHANGES_MAX {
            return Err(too_many("restarts as another job", changes, JOB_CHANGES_MAX));
        }
        let mut before = Before::all(self.deployment.nodes);
        let mut partitions = self.inputs.iter().map(|input| input.partitions).max().unwrap_or(1);
        for (index, fault) in self.faults.iter().enumerate() {
            fault.check(&mut before).map_err(|e| named(e, "fault", index))?;
            if let FaultKind::JobChange { partitions: Some(more), .. } = fault.kind {
                if more < partitions {
                    let found = format!("it leaves {more} of the {partitions} partitions of a stream");
                    let error = CaseError::new("case-fault", found);
                    return Err(named(error.hint("a source can be given more, never less"), "fault", index));
                }
                partitions = more;
            }
        }
        Ok(())
    }

    /// Names of reference data: each once, and none that of a stream; a table for each.
    fn check_references(&self) -> Result<(), CaseError> {
        if self.references.len() > INPUTS_MAX {
            return Err(too_many("references", self.references.len(), INPUTS_MAX));
        }
        if self.references.len() != self.history.references.len() {
            let found = "every reference has its data, and no other".to_owned();
            return Err(CaseError::new("case-reference", found));
        }
        let inputs = self.inputs.iter().map(|input| &input.name);
        for (index, name) in self.references.iter().enumerate() {
            let mut others = inputs.clone().chain(&self.references[..index]);
            if others.any(|other| other.eq_ignore_ascii_case(name)) {
                let found = format!("`{name}` is declared twice");
                return Err(CaseError::new("case-reference", found).hint("names ignore case"));
            }
        }
        Ok(())
    }

    pub(crate) fn check_inputs(&self) -> Result<(), CaseError> {
        if self.inputs.len() > INPUTS_MAX {
            return Err(too_many("inputs", self.inputs.len(), INPUTS_MAX));
        }
        for (index, input) in self.inputs.iter().enumerate() {
            if !(1..=PARTITIONS_MAX).contains(&input.partitions) {
                let found = format!("input `{}` has {} partitions", input.name, input.partitions);
                return Err(CaseError::new("case-bound", found).hint(format!("1 to {PARTITIONS_MAX}")));
            }
            if self.inputs[..index].iter().any(|other| other.name.eq_ignore_ascii_case(&input.name)) {
                let found = format!("input `{}` is declared twice", input.name);
                return Err(CaseError::new("case-input", found).hint("names ignore case"));
            }
        }
        Ok(())
    }

    /// One verdict per entry, so that a reader can put the first error at its line.
    pub(crate) fn check_entries(&self) -> impl Iterator<Item = Result<(), CaseError>> {
        // Next offset and least arrival of each partition.
        let blank = |count: u32| vec![(0_u64, Timestamp(0)); count as usize];
        let mut state: Vec<_> = self.inputs.iter().map(|input| blank(input.partitions)).collect();
        self.history.entries.iter().enumerate().map(move |(index, entry)| {
            let error = |code, text: String| Err(named(CaseError::new(code, text), "entry", index));
            if index >= ENTRIES_MAX {
                return Err(too_many("entries", self.history.entries.len(), ENTRIES_MAX));
            }
            let partitions = state.get_mut(entry.input).map(Vec::as_mut_slice).unwrap_or_default();
            let Some((next, least)) = partitions.get_mut(entry.partition as usize) else {
                let of = self.inputs.get(entry.input).map_or_else(
                    || format!("input {}, which is not declared", entry.input),
                    |input| format!("`{}`, which has {}", input.name, input.partitions),
                );
                return error("case-entry", format!("there is no partition {} of {of}", entry.partition));
            };
            if entry.offset != *next {
                return error("case-entry", format!("offset {} where {next} is next", entry.offset));
            }
            if !entry.arrival.is_calendar() {
                return error("case-entry", "the arrival lies outside the years 1 to 9999".to_owned());
            }
            if entry.arrival < *least {
                let text = format!("it arrived at {}, before the entry in front of it", entry.arrival);
                return error("case-entry", text);
            }
            (*next, *least) = (*next + 1, entry.arrival);
            Ok(())
        })
    }

    /// Number of partitions of each stream the plan reads, in the order of the plan's inputs.
    ///
    /// # Errors
    /// A stream of the plan that the case does not declare.
    pub fn partitions(&self, plan: &Plan) -> Result<Vec<u32>, CaseError> {
        Ok(self.inputs_of(plan)?.into_iter().map(|input| self.inputs[input].partitions).collect())
    }

    /// The reference data in the order of the plan's references; what the case does not have is empty.
    pub fn references_of(&self, plan: &Plan) -> Vec<Reference> {
        let find = |name: &str| self.references.iter().position(|own| own.eq_ignore_ascii_case(name));
        let table = |name: &str| self.history.references.get(find(name)?).cloned();
        plan.references.iter().map(|reference| table(&reference.name).unwrap_or_default()).collect()
    }

    /// For each stream of the plan its index in `inputs`, by name, ignoring case.
    pub(crate) fn inputs_of(&self, plan: &Plan) -> Result<Vec<usize>, CaseError> {
        let find = |input: &rewindow_query::plan::Input| {
            self.inputs.iter().position(|own| own.name.eq_ignore_ascii_case(&input.name)).ok_or_else(|| {
                let found = format!("the query reads `{}`, which the case does not declare", input.name);
                CaseError::new("case-input", found).hint("add it to `inputs`")
            })
        };
        plan.inputs.iter().map(find).collect()
    }
}

impl Deployment {
    fn check(&self) -> Result<(), CaseError> {
        if !(1..=NODES_MAX).contains(&self.nodes) {
            let found = format!("nodes is {}", self.nodes);
            return Err(CaseError::new("case-bound", found).hint(format!("1 to {NODES_MAX}")));
        }
        if self.batch == 0 {
            return Err(CaseError::new("case-bound", "batch is 0").hint("at least 1"));
        }
        if !(1..=RATE_MAX).contains(&self.rate) {
            let found = format!("rate is {}", self.rate);
            return Err(
                CaseError::new("case-bound", found).hint(format!("1 to {RATE_MAX} entries per second"))
            );
        }
        if self.keyed > NODES_MAX {
            let found = format!("keyed is {}", self.keyed);
            return Err(CaseError::new("case-bound", found).hint(format!("0 to {NODES_MAX}")));
        }
        within("link_delay", self.link_delay, Span::ZERO, SPAN_MAX)?;
        within("checkpoint_interval", self.checkpoint_interval, Span::TICK, SPAN_MAX)?;
        within("poll_interval", self.poll_interval, Span::TICK, SPAN_MAX)?;
        within("heartbeat", self.heartbeat, Span::TICK, SPAN_MAX)?;
        if let Some(bytes) = self.retention_size.filter(|&bytes| bytes > RETENTION_SIZE_MAX) {
            let found = format!("retention_size is {bytes}");
            return Err(CaseError::new("case-bound", found).hint(format!("0 to {RETENTION_SIZE_MAX} bytes")));
        }
        self.retention.map_or(Ok(()), |keep| within("retention", keep, Span::ZERO, SPAN_MAX))
    }
}

/// What came before a fault.
pub(crate) struct Before {
    at: Timestamp,
    /// Nodes there have been by then: those that were taken away again can be struck still, to no effect.
    nodes: u32,
}

impl Before {
    /// Before the first fault, on so many nodes.
    pub(crate) fn all(nodes: u32) -> Before {
        Before { at: Timestamp::MIN, nodes }
    }
}

impl Fault {
    pub(crate) fn check(&self, before: &mut Before) -> Result<(), CaseError> {
        if !self.at.is_calendar() {
            return Err(CaseError::new("case-fault", "it strikes outside the years 1 to 9999"));
        }
        if self.at < before.at {
            let found = format!("it strikes at {}, before the one in front of it", self.at);
            return Err(CaseError::new("case-fault", found).hint("sort faults by time"));
        }
        before.at = self.at;
        let nodes = before.nodes;
        if let FaultKind::Scale { nodes, .. } = self.kind {
            before.nodes = nodes.max(before.nodes);
        }
        let span = |name, span| within(name, span, Span::ZERO, SPAN_MAX);
        match self.kind {
            FaultKind::NodeKill { node, .. }
            | FaultKind::Hang { node, .. }
            | FaultKind::Slow { node, .. }
            | FaultKind::Checkpoint { node, .. }
            | FaultKind::Link { node, .. }
                if node >= nodes =>
            {
                let found = format!("node {node} of {nodes} does not exist");
                Err(CaseError::new("case-fault", found).hint("nodes count from 0"))
            }
            FaultKind::Scale { nodes, .. } if !(1..=NODES_MAX).contains(&nodes) => {
                let found = format!("the job would go on with {nodes} nodes");
                Err(CaseError::new("case-fault", found).hint(format!("1 to {NODES_MAX}")))
            }
            FaultKind::Slow { times, .. } if !(1..=TIMES_MAX).contains(&times) => {
                let found = format!("the node would be {times} times slower");
                Err(CaseError::new("case-fault", found).hint(format!("1 to {TIMES_MAX}")))
            }
            FaultKind::NodeKill { down, .. }
            | FaultKind::OsUpgrade { down }
            | FaultKind::RollingUpgrade { down }
            | FaultKind::Rollback { down }
            | FaultKind::Scale { down, .. }
            | FaultKind::ServiceUpgrade { down, .. } => span("down", down),
            FaultKind::UserRestart { start: StartMode::Custom(at), .. }
            | FaultKind::JobChange { start: StartMode::Custom(at), .. }
                if !at.is_calendar() =>
            {
                Err(CaseError::new("case-fault", "the start lies outside the years 1 to 9999"))
            }
            FaultKind::JobChange { partitions: Some(more), .. } if !(1..=PARTITIONS_MAX).contains(&more) => {
                let found = format!("streams would have {more} partitions");
                Err(CaseError::new("case-fault", found).hint(format!("1 to {PARTITIONS_MAX}")))
            }
            FaultKind::UserRestart { stopped, .. } | FaultKind::JobChange { stopped, .. } => {
                span("stopped", stopped)
            }
            FaultKind::RetentionCut { keep } => span("keep", keep),
            FaultKind::SinkUnavailable { span: away } => span("span", away),
            FaultKind::SinkAckLost => Ok(()),
            FaultKind::Hang { noticed, back, .. } => {
                span("noticed", noticed).and_then(|()| span("back", back))
            }
            FaultKind::Slow { during, .. } => span("during", during),
            FaultKind::Checkpoint { .. } => Ok(()),
            FaultKind::Link { trouble, during, .. } => {
                span("by", trouble.parts().1).and_then(|()| span("during", during))
            }
        }
    }
}

pub(crate) fn within(name: &str, span: Span, least: Span, most: Span) -> Result<(), CaseError> {
    if (least..=most).contains(&span) {
        return Ok(());
    }
    let error = CaseError::new("case-bound", format!("{name} is {span}"));
    Err(error.hint(format!("{least} to {most}")))
}

fn too_many(what: &str, found: usize, most: usize) -> CaseError {
    CaseError::new("case-bound", format!("{found} {what}")).hint(format!("at most {most}"))
}

fn named(mut error: CaseError, what: &str, index: usize) -> CaseError {
    error.message = format!("{what} {}: {}", index + 1, error.message);
    error
}
