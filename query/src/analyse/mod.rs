//! Syntax tree to plan: names resolved, types and limits checked, operators in order (section 5).
//!
//! This page holds what outlives one SELECT: streams, steps and the nodes made so far. One SELECT is
//! lowered by [`scope`] (names), [`scalar`] (expressions), [`group`], [`join`], [`analytic`] and put
//! together by [`select`]. While a SELECT is lowered its columns are symbols, because the columns of a
//! stream become known only with the last expression that reads it; [`select`] turns symbols into places.
//! Invariant: nodes are pushed after their inputs; the node of an output is a projection.

mod aggregate;
mod analytic;
mod apply;
mod assemble;
mod external;
mod function;
mod group;
mod join;
mod quoted;
mod reads;
mod recognize;
mod scalar;
mod scope;
mod select;
mod types;
mod window;

use std::ops::Range;
use std::sync::Arc;

use crate::codes::{self, fail};
use crate::error::QueryError;
use crate::expr::Expr;
use crate::functions::Functions;
use crate::level::Level;
use crate::parse::ast::{Ast, JoinClause, Kind, Name, Query, Script, Table};
use crate::parse::parse;
use crate::plan::{Abreast, Input, Item, Node, NodeId, Op, Output, Plan, Project};
use crate::value::Type;

/// Most parts of expressions a plan may have in all; a simple CASE repeats its operand.
const PARTS_MAX: usize = 200_000;

/// Most columns of one SELECT list, and most read of one stream: lists of names are walked.
const COLUMNS_MAX: usize = 4_096;

/// What the world around a query declares.
#[derive(Clone, Copy, Debug, Default)]
pub struct Declared<'a> {
    /// The streams: the plan's inputs are exactly these, in this order, and FROM may name no other. With
    /// `None` every name is accepted, and the inputs stand in order of first mention.
    pub inputs: Option<&'a [String]>,
    /// The reference data: the plan's references are exactly these, in this order, and only these are
    /// joined without a bound in time. With `None` whatever is joined without DATEDIFF, and is neither a
    /// step nor a declared stream, is reference data, in order of first mention.
    pub references: Option<&'a [String]>,
    /// What functions from outside the language compute. A function that is not there can be planned and not
    /// run: [`Plan::check_functions`].
    pub functions: Option<&'a Functions>,
    /// Whether a name that no function of the language has, nor is close to, is a machine-learning endpoint
    /// that was declared elsewhere (choice C-EXTERNAL): for queries found without their job.
    pub endpoints: bool,
    /// The compatibility level (section 15).
    pub level: Level,
    /// Whether `DATEDIFF(unit, a, b)` of aliases in ON is the time elapsed, a float, instead of the number of
    /// boundaries crossed (A-JOIN-DATEDIFF).
    pub elapsed: bool,
}

/// Analyses a query: [`analyse_with`] where reference data is not declared.
///
/// # Errors
/// The first thing found that keeps the query from running; [`crate::codes`] lists the kinds.
pub fn analyse(text: &str, inputs: Option<&[String]>) -> Result<Plan, QueryError> {
    analyse_with(text, &Declared { inputs, ..Declared::default() })
}

/// Analyses a query among declared streams and reference data.
///
/// # Errors
/// The first thing found that keeps the query from running; [`crate::codes`] lists the kinds.
pub fn analyse_with(text: &str, declared: &Declared<'_>) -> Result<Plan, QueryError> {
    let script = parse(text)?;
    let list = |names: Option<&[String]>| {
        names.unwrap_or_default().iter().map(|n| Input { name: n.as_str().into() }).collect()
    };
    let mut builder = Builder {
        text: text.into(),
        inputs: list(declared.inputs),
        declared: declared.inputs.is_some(),
        references: list(declared.references),
        references_declared: declared.references.is_some(),
        functions: declared.functions.cloned().unwrap_or_default(),
        endpoints: declared.endpoints,
        level: declared.level,
        elapsed: declared.elapsed,
        tables: Vec::new(),
        passed: Vec::new(),
        nodes: Vec::new(),
        steps: Vec::new(),
        step: String::new(),
        abreast: Vec::new(),
        warnings: Vec::new(),
        parts: 0,
        mentions: ["partitionid", "eventenqueuedutctime", "eventprocessedutctime"]
            .map(|name| text.to_ascii_lowercase().contains(name)),
    };
    let (outputs, parallel) = builder.script(&script)?;
    let mut plan = Plan {
        text: builder.text,
        inputs: builder.inputs,
        references: builder.references,
        nodes: builder.nodes,
        outputs,
        parallel,
        abreast: builder.abreast,
        warnings: builder.warnings,
    };
    prune(&mut plan, &builder.passed);
    check_substreams(&plan)?;
    Ok(plan)
}

/// What is known across the whole text.
struct Builder {
    text: Arc<str>,
    inputs: Vec<Input>,
    declared: bool,
    references: Vec<Input>,
    references_declared: bool,
    functions: Functions,
    endpoints: bool,
    level: Level,
    elapsed: bool,
    /// CREATE TABLE: the stream, its columns, and whether something reads it.
    tables: Vec<Declaration>,
    /// Steps, in lower case, whose stream is read in their place (A-TIMESTAMP-BY-STEP).
    passed: Vec<String>,
    nodes: Vec<Node>,
    steps: Vec<(String, Relation)>,
    /// The step or output whose SELECT is being lowered.
    step: String,
    abreast: Vec<Abreast>,
    warnings: Vec<String>,
    parts: usize,
    /// Whether the text mentions a metadata column, in the order of [`scope::METADATA`].
    mentions: [bool; 3],
}

/// A CREATE TABLE (rule 1.8).
struct Declaration {
    name: Name,
    columns: Vec<(Arc<str>, Type)>,
}

/// The rows of a step, or of a branch, as its readers see them.
#[derive(Clone, Debug)]
struct Relation {
    node: NodeId,
    /// What `*` gives, in order.
    shown: Vec<Shown>,
    /// Columns that can be named but are not part of `*`: the partition key, metadata.
    hidden: Vec<Shown>,
    /// The key its rows are partitioned by, in lower case.
    partition: Option<String>,
    /// Partitioned by PartitionId all the way from the sources (rule 11.4).
    parallel: bool,
    /// The columns that name the substream of a row (rule 3.9); `None` for one that is not carried.
    over: Vec<Option<usize>>,
}

/// A visible column, or all members of a record column whose names show only while the job runs.
#[derive(Clone, Debug)]
struct Shown {
    name: Arc<str>,
    column: usize,
    open: bool,
    ty: Option<Type>,
}

impl Builder {
    fn script(&mut self, script: &Script) -> Result<(Vec<Output>, bool), QueryError> {
        self.declare(&script.tables)?;
        for step in &script.steps {
            if self.steps.iter().any(|(name, _)| name.eq_ignore_ascii_case(&step.name.text)) {
                let message = format!("there are two steps named {} (rule 5.7)", step.name.text);
                return Err(fail(
                    codes::DUPLICATE_STEP,
                    &step.name.place,
                    "second step of this name",
                    message,
                ));
            }
            if let Some(into) = step.query.branches.iter().find_map(|b| b.into.as_ref()) {
                return Err(into_in_step(into));
            }
            let relation = self.relation(&step.query, &step.name.text)?;
            self.steps.push((step.name.text.clone(), relation));
        }
        let mut outputs: Vec<Output> = Vec::new();
        let mut parallel = true;
        for statement in &script.statements {
            if let Some(into) = statement.branches[1..].iter().find_map(|b| b.into.as_ref()) {
                return Err(into_in_step(into));
            }
            let first = &statement.branches[0];
            let name = first.into.as_ref().map_or("output", |name| name.text.as_str());
            if outputs.iter().any(|o| o.name.eq_ignore_ascii_case(name)) {
                let place = first.into.as_ref().map_or(&first.place, |name| &name.place);
                let message = format!("two statements write to {name} (rule 5.8)");
                let error = fail(codes::DUPLICATE_OUTPUT, place, "second output of this name", message);
                return Err(error.help("give each an INTO name of its own, or combine them with UNION"));
            }
            let relation = self.output(statement, name)?;
            parallel &= relation.parallel;
            outputs.push(Output { name: name.into(), node: relation.node });
        }
        for table in std::mem::take(&mut self.tables) {
            let mut named = self.inputs.iter().chain(&self.references);
            if !named.any(|input| input.name.eq_ignore_ascii_case(&table.name.text)) {
                self.warn(format!("CREATE TABLE {}: nothing reads an input of this name", table.name.text));
            }
        }
        Ok((outputs, parallel))
    }

    /// CREATE TABLE (rule 1.8).
    fn declare(&mut self, tables: &[Table]) -> Result<(), QueryError> {
        for table in tables {
            let name = &table.name;
            if self.tables.iter().any(|have| have.name.text.eq_ignore_ascii_case(&name.text)) {
                let message = format!("there are two CREATE TABLE {} (rule 1.8)", name.text);
                return Err(fail(codes::DUPLICATE_TABLE, &name.place, "second of this name", message));
            }
            let mut columns: Vec<(Arc<str>, Type)> = Vec::new();
            for (column, ty, place) in &table.columns {
                let Some(ty) = types::named(ty) else { return Err(types::unknown(ty, place)) };
                if columns.iter().any(|(have, _)| **have == *column.text) {
                    let message = format!("{} has two columns {} (rule 1.8)", name.text, column.text);
                    let label = "second of this name";
                    return Err(fail(codes::DUPLICATE_COLUMN, &column.place, label, message));
                }
                columns.push((column.text.as_str().into(), ty));
            }
            if columns.len() > COLUMNS_MAX {
                return Err(too_many_columns(&name.place));
            }
            self.tables.push(Declaration { name: name.clone(), columns });
        }
        Ok(())
    }

    /// The columns CREATE TABLE declares of a stream; none without one.
    fn table_of(&self, input: usize) -> &[(Arc<str>, Type)] {
        self.declared_as(&self.inputs[input].name)
    }

    /// The columns CREATE TABLE declares of reference data; none without one.
    fn table_of_reference(&self, reference: usize) -> &[(Arc<str>, Type)] {
        self.declared_as(&self.references[reference].name)
    }

    fn declared_as(&self, name: &str) -> &[(Arc<str>, Type)] {
        let found = self.tables.iter().find(|table| table.name.text.eq_ignore_ascii_case(name));
        found.map_or(&[], |table| &table.columns)
    }

    /// The rows of a step.
    fn relation(&mut self, query: &Query, step: &str) -> Result<Relation, QueryError> {
        match query.branches.as_slice() {
            [only] => self.select(only, step, select::Use::Step),
            _ => self.union(query, step),
        }
    }

    /// The rows of an output: a step's, with a projection at the end.
    fn output(&mut self, query: &Query, step: &str) -> Result<Relation, QueryError> {
        if let [only] = query.branches.as_slice() {
            return self.select(only, step, select::Use::Output);
        }
        let mut relation = self.union(query, step)?;
        let items = relation.shown.iter().map(|shown| match shown.open {
            true => Item::Spread(Expr::Column(shown.column)),
            false => Item::Column(shown.name.clone(), Expr::Column(shown.column)),
        });
        let op = Op::Project(Project { items: items.collect() });
        let columns = relation.shown.iter().map(|shown| shown.name.clone()).collect();
        relation.node = self.push(op, vec![relation.node], columns, step, &query.place);
        Ok(relation)
    }

    /// UNION (rule 5.6): columns by position, after a check that they agree.
    fn union(&mut self, query: &Query, step: &str) -> Result<Relation, QueryError> {
        let mut branches = Vec::new();
        for branch in &query.branches {
            branches.push((self.select(branch, step, select::Use::Branch)?, &branch.place));
        }
        let (first, rest) = branches.split_first().expect("a query has a branch");
        let mut result = first.0.clone();
        for (branch, place) in rest {
            self.check_branch(&result, branch, place)?;
            for (mine, theirs) in result.shown.iter_mut().zip(&branch.shown) {
                mine.ty = mine.ty.filter(|ty| Some(*ty) == theirs.ty);
            }
            result.parallel &= branch.parallel;
            if result.over != branch.over {
                result.over.iter_mut().for_each(|key| *key = None);
            }
            // Metadata is addressable behind a UNION only if every branch carries it at the same place.
            let carried = |h: &Shown| branch.hidden.iter().any(|o| o.name == h.name && o.column == h.column);
            result.hidden.retain(carried);
        }
        if result.partition.as_deref() == Some("partitionid") {
            let inputs = branches.iter().flat_map(|(branch, _)| self.below(branch.node)).collect();
            self.align(inputs, true, &query.place);
        }
        let inputs = branches.iter().map(|(branch, _)| branch.node).collect();
        let columns = self.nodes[first.0.node].columns.clone();
        result.node = self.push(Op::Union, inputs, columns, step, &query.place);
        Ok(result)
    }

    fn check_branch(
        &self,
        first: &Relation,
        other: &Relation,
        place: &Range<usize>,
    ) -> Result<(), QueryError> {
        let list = |r: &Relation| {
            r.shown.iter().map(|s| if s.open { "*" } else { &s.name }).collect::<Vec<_>>().join(", ")
        };
        let same = first.shown.len() == other.shown.len()
            && first
                .shown
                .iter()
                .zip(&other.shown)
                .all(|(a, b)| a.open == b.open && (a.open || a.name.eq_ignore_ascii_case(&b.name)));
        if !same {
            let message = format!(
                "the branches of a UNION need the same columns in the same order (rule 5.6): first ({}), here ({})",
                list(first),
                list(other)
            );
            return Err(fail(codes::UNION_COLUMNS, place, "other columns", message));
        }
        for (a, b) in first.shown.iter().zip(&other.shown) {
            if let (Some(left), Some(right)) = (a.ty, b.ty)
                && !types::unites(left, right)
            {
                let (left, right) = (left.name(), right.name());
                let message = format!(
                    "column {} is {left} in one branch of the UNION and {right} in another (rule 5.6)",
                    a.name
                );
                return Err(fail(codes::UNION_TYPES, place, right, message));
            }
        }
        if first.partition != other.partition {
            let message = "the branches of a UNION must be partitioned by the same key (rule 5.6)";
            return Err(fail(codes::UNION_PARTITION, place, "partitioned differently", message));
        }
        if self.nodes[first.node].columns.len() != self.nodes[other.node].columns.len() {
            let message = "the branches of a UNION of stars carry different metadata (rules 3.11, 5.6)";
            let error = fail(codes::UNION_COLUMNS, place, "other metadata", message);
            return Err(error.help("name the columns in every branch"));
        }
        Ok(())
    }

    /// Whether a join without a bound in time is meant for that name: it is reference data.
    fn is_reference(&self, join: &JoinClause) -> bool {
        let named = |list: &[Input]| list.iter().any(|i| i.name.eq_ignore_ascii_case(&join.from.stream.text));
        if join.from.pattern.is_some() || self.step_named(&join.from.stream.text).is_some() {
            return false;
        }
        if self.references_declared {
            return named(&self.references);
        }
        let dated = |ast: &Ast| matches!(&ast.kind, Kind::Call(c) if c.name.eq_ignore_ascii_case("datediff"));
        let stream = self.declared && named(&self.inputs);
        !stream && !join.on.any(&mut |ast| dated(ast))
    }

    /// The streams whose partitions are those of a side of a JOIN.
    fn aligned(&self, side: &scope::Side) -> Vec<usize> {
        match &side.rows {
            scope::Rows::Stream { input, .. } => vec![*input],
            scope::Rows::Step { relation, .. } if relation.partition.as_deref() == Some("partitionid") => {
                self.below(relation.node)
            }
            _ => Vec::new(),
        }
    }

    /// The streams below a node.
    fn below(&self, node: NodeId) -> Vec<usize> {
        let (mut below, mut inputs) = (vec![node], Vec::new());
        while let Some(node) = below.pop() {
            below.extend(&self.nodes[node].inputs);
            if let Op::Source(source) = &self.nodes[node].op {
                inputs.push(source.input);
            }
        }
        inputs
    }

    /// These streams must have equally many partitions.
    fn align(&mut self, mut inputs: Vec<usize>, union: bool, place: &Range<usize>) {
        inputs.sort_unstable();
        inputs.dedup();
        if inputs.len() > 1 {
            self.abreast.push(Abreast { inputs, union, place: place.clone() });
        }
    }

    /// The index of reference data; a new one is added where none is declared.
    fn reference(&mut self, name: &Name) -> Result<usize, QueryError> {
        let found = self.references.iter().position(|r| r.name.eq_ignore_ascii_case(&name.text));
        if let Some(reference) = found {
            return Ok(reference);
        }
        self.references.push(Input { name: name.text.as_str().into() });
        Ok(self.references.len() - 1)
    }

    /// The index of a stream; a new one is added where none are declared.
    fn stream(&mut self, name: &Name) -> Result<usize, QueryError> {
        let reference = self.references.iter().any(|r| r.name.eq_ignore_ascii_case(&name.text));
        if self.references_declared && reference {
            let message =
                format!("{} is reference data: it is joined, not read by FROM (rule 8.7)", name.text);
            return Err(fail(codes::REFERENCE_PLACE, &name.place, "reference data", message));
        }
        let exact = self.inputs.iter().position(|i| *i.name == *name.text);
        let found =
            exact.or_else(|| self.inputs.iter().position(|i| i.name.eq_ignore_ascii_case(&name.text)));
        if let Some(input) = found {
            return Ok(input);
        }
        if self.declared {
            let known: Vec<&str> = self.inputs.iter().map(|i| &*i.name).collect();
            let message = format!("there is no stream or step named {}", name.text);
            let error = fail(codes::UNKNOWN_STREAM, &name.place, "unknown", message);
            return Err(error.help(format!("declared streams: {}", known.join(", "))));
        }
        self.inputs.push(Input { name: name.text.as_str().into() });
        Ok(self.inputs.len() - 1)
    }

    fn step_named(&self, name: &str) -> Option<&Relation> {
        let exact = self.steps.iter().find(|(n, _)| n == name);
        let found = exact.or_else(|| self.steps.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)));
        found.map(|(_, relation)| relation)
    }

    fn push(
        &mut self,
        op: Op,
        inputs: Vec<NodeId>,
        columns: Vec<Arc<str>>,
        step: &str,
        place: &Range<usize>,
    ) -> NodeId {
        self.nodes.push(Node { op, inputs, columns, step: step.into(), place: place.clone() });
        self.nodes.len() - 1
    }

    fn warn(&mut self, warning: String) {
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }
}

fn too_many_columns(place: &Range<usize>) -> QueryError {
    let message = format!("a SELECT has at most {COLUMNS_MAX} columns, and reads as many of one stream");
    fail(codes::TOO_LONG, place, "one too many", message)
}

fn into_in_step(into: &Name) -> QueryError {
    let message = "INTO stands only in an outermost statement, in its first SELECT (rule 5.7)";
    fail(codes::INTO_IN_STEP, &into.place, "not here", message)
}

/// All streams are split into substreams, or none is (rule 3.9).
fn check_substreams(plan: &Plan) -> Result<(), QueryError> {
    let mut sources = plan.nodes.iter().filter_map(|node| match &node.op {
        Op::Source(source) => Some((!source.over.is_empty(), &node.place)),
        _ => None,
    });
    let first = sources.next().is_some_and(|(split, _)| split);
    let Some((_, place)) = sources.find(|(split, _)| *split != first) else { return Ok(()) };
    let message = "TIMESTAMP BY ... OVER stands on all inputs or on none (rule 3.9)";
    Err(fail(codes::SUBSTREAMS, place, "unlike the one before", message))
}

/// Leaves out the nodes that no output depends on; the steps in `passed` are used all the same.
fn prune(plan: &mut Plan, passed: &[String]) {
    let all: Vec<usize> = (0..plan.outputs.len()).collect();
    let kept = plan.nodes_of(&all);
    for (id, node) in plan.nodes.iter().enumerate() {
        let warning = format!("step {} is not used by any output", node.step);
        let used = kept.iter().any(|&k| plan.nodes[k].step == node.step)
            || passed.contains(&node.step.to_ascii_lowercase());
        if !kept.contains(&id) && !used && !plan.warnings.contains(&warning) {
            plan.warnings.push(warning);
        }
    }
    let place = |old: NodeId| kept.binary_search(&old).expect("a kept node's inputs are kept");
    plan.outputs.iter_mut().for_each(|output| output.node = place(output.node));
    let nodes = std::mem::take(&mut plan.nodes);
    for (id, mut node) in nodes.into_iter().enumerate() {
        if kept.binary_search(&id).is_ok() {
            node.inputs.iter_mut().for_each(|input| *input = place(*input));
            plan.nodes.push(node);
        }
    }
}
