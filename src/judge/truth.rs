//! The truth: what a case owes, prepared once for a query, a history and an ordering.
//!
//! The rows are the model's; here they are only put in place: which shard owes which row, and where in
//! the order of its output. Deployment and faults play no part, so one truth serves a whole campaign.
//! Invariant: every owed row belongs to exactly one shard, at one place.

use std::collections::BTreeMap;
use std::sync::Arc;

use rewindow_model::Answer;
use rewindow_model::release::{self, Clock, Lane};
use rewindow_query::plan::Op;
use rewindow_query::{Entry, History, Identity, Plan, QueryError, Row, Shard, Timestamp};
use rewindow_world::case::Case;

use crate::language::plan_of;

use super::{Breach, Claim, Kind};

/// What a case owes.
#[derive(Clone, Debug)]
pub struct Truth {
    /// The analysed query.
    pub plan: Arc<Plan>,
    /// The model's answer to the whole history.
    pub answer: Answer,
    /// The parts of the job.
    pub shards: Vec<Shard>,
    /// Partitions of each input of the plan.
    pub partitions: Vec<u32>,
    /// The partitions of each shard, with how far their watermarks have come; empty where that is not known.
    lanes: Vec<Vec<Lane>>,
    /// First and last arrival of the case.
    arrivals: (Timestamp, Timestamp),
    /// Of each row of the answer: shard and place among the rows of its (shard, output).
    places: Vec<(usize, usize)>,
    /// Rows of each (shard, output), as indices into the answer, in canonical order.
    sequences: BTreeMap<(usize, usize), Vec<usize>>,
    /// The row of an identity.
    index: BTreeMap<Identity, usize>,
}

impl Truth {
    /// The truth of a case. A stream that the plan reads and the case does not declare is empty.
    ///
    /// # Errors
    /// The query is refused.
    pub fn of(case: &Case) -> Result<Truth, QueryError> {
        Ok(Truth::of_plan(Arc::new(plan_of(case)?), case))
    }

    /// The truth of a case that was made from the one this is of: only another query is analysed anew.
    ///
    /// # Errors
    /// The query is refused.
    pub fn of_another(&self, made_from: &Case, case: &Case) -> Result<Truth, QueryError> {
        self.of_another_from(made_from, case, Timestamp::MIN)
    }

    /// The truth of a case that was made from the one this is of, and whose job gives rows from then on.
    pub(super) fn of_another_from(
        &self,
        made_from: &Case,
        case: &Case,
        from: Timestamp,
    ) -> Result<Truth, QueryError> {
        let plan = match case.query == made_from.query && case.language == made_from.language {
            true => self.plan.clone(),
            false => Arc::new(plan_of(case)?),
        };
        Ok(Truth::of_plan_from(plan, case, from))
    }

    /// The truth of a case whose query is analysed already.
    pub fn of_plan(plan: Arc<Plan>, case: &Case) -> Truth {
        Truth::of_plan_from(plan, case, Timestamp::MIN)
    }

    fn of_plan_from(plan: Arc<Plan>, case: &Case, from: Timestamp) -> Truth {
        let (partitions, history) = own_inputs(&plan, case);
        let answer = rewindow_model::answer_from(&plan, &case.ordering, &partitions, &history, from);
        let mut truth = Truth::from_answer(plan, answer, partitions);
        let lanes = |shard| release::lanes(&truth.plan, shard, &case.ordering, &history);
        truth.lanes = truth.shards.iter().map(lanes).collect();
        let arrivals = || case.history.entries.iter().map(|entry| entry.arrival);
        truth.arrivals = (arrivals().min().unwrap_or_default(), arrivals().max().unwrap_or_default());
        truth
    }

    /// A truth from an answer, whoever gave it: without a model, an uninterrupted run of the subject.
    /// Rows that belong to no shard are owed by nobody.
    pub fn from_answer(plan: Arc<Plan>, answer: Answer, partitions: Vec<u32>) -> Truth {
        let shards = plan.shards(&partitions);
        let mut sequences: BTreeMap<(usize, usize), Vec<usize>> = BTreeMap::new();
        let mut places = Vec::with_capacity(answer.rows.len());
        let mut index = BTreeMap::new();
        for (at, row) in answer.rows.iter().enumerate() {
            let shard = shard_of(&shards, row).unwrap_or(usize::MAX);
            let sequence = sequences.entry((shard, row.output)).or_default();
            places.push((shard, sequence.len()));
            sequence.push(at);
            index.insert(row.identity(), at);
        }
        let (lanes, arrivals) = (Vec::new(), Default::default());
        Truth { plan, answer, shards, partitions, lanes, arrivals, places, sequences, index }
    }

    /// The rows that a shard owes to an output, in canonical order.
    pub fn owed(&self, shard: usize, output: usize) -> impl Iterator<Item = &Row> {
        self.sequence(shard, output).iter().map(|&row| &self.answer.rows[row])
    }

    /// The shard that owes a row of the answer.
    pub fn shard_of(&self, row: usize) -> usize {
        self.places[row].0
    }

    /// The owed row of an identity, as an index into the answer.
    pub fn find(&self, row: &Row) -> Option<usize> {
        self.index.get(&row.identity()).copied()
    }

    /// The operators on all paths of an output that keep state, with the step each belongs to, those next to
    /// the sources first; the ordering stage, which every output has, is not among them.
    pub fn operators(&self, output: usize) -> Vec<(&'static str, Arc<str>)> {
        let mut on_path = vec![false; self.plan.nodes.len()];
        on_path[self.plan.outputs[output].node] = true;
        // Inputs stand before their node.
        for id in (0..on_path.len()).rev() {
            if on_path[id] {
                self.plan.nodes[id].inputs.iter().for_each(|&input| on_path[input] = true);
            }
        }
        let nodes = self.plan.nodes.iter().zip(on_path).filter(|(node, on)| *on && keeps_state(&node.op));
        let mut operators: Vec<(&'static str, Arc<str>)> = Vec::new();
        for (node, _) in nodes {
            let operator = (node.op.name(), node.step.clone());
            if !operators.contains(&operator) {
                operators.push(operator);
            }
        }
        operators
    }

    /// The operator nearest to an output that keeps state; `ordering` where none but the source does.
    pub fn operator(&self, output: usize) -> &'static str {
        let mut front = vec![self.plan.outputs[output].node];
        while let Some(id) = front.first().copied() {
            front.remove(0);
            let node = &self.plan.nodes[id];
            if keeps_state(&node.op) {
                return node.op.name();
            }
            front.extend(&node.inputs);
        }
        "ordering"
    }

    /// The partitions of a shard, with how far their watermarks have come.
    pub(super) fn lanes(&self, shard: usize) -> &[Lane] {
        self.lanes.get(shard).map_or(&[], Vec::as_slice)
    }

    /// When estimates of the arrival clock are journaled in a case.
    pub(super) fn clock(&self, case: &Case) -> Clock {
        let (first, last) = self.arrivals;
        Clock { heartbeat: case.deployment.heartbeat, first, last }
    }

    pub(super) fn sequence(&self, shard: usize, output: usize) -> &[usize] {
        self.sequences.get(&(shard, output)).map_or(&[], Vec::as_slice)
    }

    pub(super) fn place(&self, row: usize) -> usize {
        self.places[row].1
    }

    /// A breach with what the truth knows filled in.
    pub(crate) fn breach(
        &self,
        claim: Claim,
        kind: Kind,
        output: Option<usize>,
        shard: Option<usize>,
        at: Timestamp,
        message: String,
    ) -> Breach {
        let nearest = output.or_else(|| shard.and_then(|s| self.shards.get(s)?.outputs.first().copied()));
        let name = |output: usize| self.plan.outputs[output].name.clone();
        Breach {
            claim,
            kind,
            output,
            output_name: nearest.map_or_else(|| Arc::from("job"), name),
            operator: nearest.map_or("job", |output| self.operator(output)),
            shard,
            generation: None,
            fault: None,
            at,
            expected: None,
            actual: None,
            copy: false,
            message,
            level: None,
            leg: 0,
        }
    }
}

fn keeps_state(op: &Op) -> bool {
    match op {
        Op::Group(_) | Op::Join(_) | Op::Match(_) => true,
        Op::Lag(_) | Op::Last(_) | Op::IsFirst(_) | Op::Over(_) => true,
        Op::Source(_) | Op::Filter(_) | Op::Project(_) | Op::Union => false,
        Op::Apply(_) | Op::ReferenceJoin(_) => false,
    }
}

fn shard_of(shards: &[Shard], row: &Row) -> Option<usize> {
    shards.iter().position(|s| s.partition == row.partition && s.outputs.contains(&row.output))
}

/// Partitions and history in the numbering of the plan's inputs; streams the plan does not read are left
/// out.
pub(crate) fn own_inputs(plan: &Plan, case: &Case) -> (Vec<u32>, History) {
    let own: Vec<Option<usize>> = case.inputs.iter().map(|input| plan.input(&input.name)).collect();
    let mut partitions = vec![1; plan.inputs.len()];
    for (input, own) in case.inputs.iter().zip(&own) {
        if let Some(own) = own {
            partitions[*own] = input.partitions;
        }
    }
    let renumber =
        |entry: &Entry| Some(Entry { input: own.get(entry.input).copied()??, ..case.language.read(entry) });
    let entries = case.history.entries.iter().filter_map(renumber).collect();
    (partitions, History { entries, references: case.references_of(plan).into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toy;

    #[test]
    fn the_operators_of_an_output_are_all_on_its_paths_sources_first() {
        let query = "WITH gaps AS (
            SELECT k, DATEDIFF(second, LAG(t) OVER (LIMIT DURATION(minute, 1)), t) AS gap FROM a TIMESTAMP BY t
        ), sums AS (SELECT k, SUM(gap) AS gap FROM gaps GROUP BY k, TumblingWindow(second, 5))
        SELECT k, MAX(gap) AS gap INTO long FROM sums GROUP BY k, TumblingWindow(minute, 1)
        SELECT k INTO plain FROM a TIMESTAMP BY t";
        let truth = Truth::of(&Case { query: query.into(), ..toy::case(3) }).unwrap();
        let operators = |output: usize| -> Vec<String> {
            truth.operators(output).into_iter().map(|(name, step)| format!("{name} {step}")).collect()
        };
        assert_eq!(operators(0), ["lag gaps", "tumbling sums", "tumbling long"]);
        assert_eq!(operators(1), [""; 0]);
        assert_eq!((truth.operator(0), truth.operator(1)), ("tumbling", "ordering"));
    }
}
