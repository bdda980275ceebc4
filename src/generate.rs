//! Makes cases out of choices: failure schedules for a given job, and whole small cases.
//!
//! All dice are rolled here, before a run. The generator knows where trouble tends to be (ties, edges of
//! windows and tolerances, the moment after a recovery began) and nothing of what is right. Invariants:
//! every case it makes passes [`Case::check`], every query it writes is accepted by the analysis, and the
//! same choices make the same case: the order of draws is part of the format.

pub mod aggregate;
mod change;
pub mod expression;
mod features;
mod from;
mod history;
mod part;
mod pattern;
mod query;
pub mod regions;
mod relation;
mod schedule;
mod select;

use std::sync::Arc;

use rewindow_query::plan::{Op, Window};
use rewindow_query::{Declared, Ordering, Plan, Policy, Span};
use rewindow_world::case::{Case, CaseInput, Deployment, SinkKind};
use rewindow_world::language::Language;

use crate::choices::Choices;

pub use schedule::schedule;

/// Kinds of faults; in job.toml in words joined by hyphens: `node-kill`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trouble {
    /// A node dies.
    NodeKill,
    /// Every node is rebooted, one after the other.
    OsUpgrade,
    /// Service upgrade, state readable.
    UpgradeState,
    /// Service upgrade, state not readable.
    UpgradeReplay,
    /// The user stops and starts the job.
    Restart,
    /// The user stops the job and starts another in its place.
    JobChange,
    /// The source forgets.
    Retention,
    /// The sink takes nothing for a while.
    SinkUnavailable,
    /// A write is done, and not acknowledged.
    SinkAckLost,
    /// A node hangs, is replaced, and comes back.
    Hang,
    /// A node becomes slow.
    Slow,
    /// A new version reaches one node after the other.
    RollingUpgrade,
    /// The service goes back to the version before.
    Rollback,
    /// The number of nodes changes.
    Scale,
    /// A checkpoint comes to harm.
    Checkpoint,
    /// Packets between nodes are disturbed.
    Link,
}

impl Trouble {
    /// All of them, in the order of tables.
    pub const ALL: [Trouble; 16] = [
        Trouble::NodeKill,
        Trouble::OsUpgrade,
        Trouble::UpgradeState,
        Trouble::UpgradeReplay,
        Trouble::Restart,
        Trouble::JobChange,
        Trouble::Retention,
        Trouble::SinkUnavailable,
        Trouble::SinkAckLost,
        Trouble::Hang,
        Trouble::Slow,
        Trouble::RollingUpgrade,
        Trouble::Rollback,
        Trouble::Scale,
        Trouble::Checkpoint,
        Trouble::Link,
    ];

    /// The name, as in [`rewindow_world::case::FaultKind::name`].
    pub fn name(self) -> &'static str {
        match self {
            Trouble::NodeKill => "node kill",
            Trouble::OsUpgrade => "os upgrade",
            Trouble::UpgradeState => "upgrade, state",
            Trouble::UpgradeReplay => "upgrade, replay",
            Trouble::Restart => "restart",
            Trouble::JobChange => "restart, changed",
            Trouble::Retention => "retention",
            Trouble::SinkUnavailable => "sink unavailable",
            Trouble::SinkAckLost => "sink ack lost",
            Trouble::Hang => "hang",
            Trouble::Slow => "slow node",
            Trouble::RollingUpgrade => "rolling upgrade",
            Trouble::Rollback => "rollback",
            Trouble::Scale => "scale",
            Trouble::Checkpoint => "checkpoint",
            Trouble::Link => "link",
        }
    }
}

/// What may vary from schedule to schedule, and what the generator has to know of the job for it.
#[derive(Clone, PartialEq, Debug)]
pub struct Vary {
    /// Faults to choose from; each case uses some of them only. Empty: no faults.
    pub faults: Vec<Trouble>,
    /// Most faults of a case.
    pub faults_max: u64,
    /// Whether nodes, cadences, batches and rate vary, or stay as deployed.
    pub deployment: bool,
    /// Whether retention varies too.
    pub retention: bool,
    /// Take a run of at most so many entries of the history instead of all.
    pub slice: Option<usize>,
    /// Distances of window ends, whose multiples are interesting moments.
    pub grids: Vec<Span>,
    /// The lookback of the job, tolerances included: what retention must cover.
    pub lookback: Span,
}

impl Vary {
    /// Everything varies, over the whole history. A job that is fully parallel has no links to be disturbed.
    pub fn all(plan: &Plan, ordering: &Ordering) -> Vary {
        let outputs = 0..plan.outputs.len();
        let longest = outputs.map(|output| plan.lookback(output)).max().unwrap_or(Span::ZERO);
        Vary {
            faults: Trouble::ALL.into_iter().filter(|&t| t != Trouble::Link || !plan.parallel).collect(),
            faults_max: 6,
            deployment: true,
            retention: true,
            slice: None,
            grids: grids(plan),
            lookback: longest.plus(ordering.late).plus(Span::EARLY).plus(Span::EARLY),
        }
    }
}

/// Distances of window ends of a plan.
fn grids(plan: &Plan) -> Vec<Span> {
    let grid = |op: &Op| match op {
        Op::Group(group) => match group.window {
            Window::Tumbling { size, .. } | Window::Sliding { size } => Some(size),
            Window::Hopping { hop, .. } => Some(hop),
            Window::Session { max, .. } => Some(max),
            Window::Snapshot => None,
        },
        Op::IsFirst(first) => Some(first.interval),
        _ => None,
    };
    let mut grids: Vec<Span> = plan.nodes.iter().filter_map(|node| grid(&node.op)).collect();
    grids.sort_unstable();
    grids.dedup();
    grids
}

/// A whole case of a few entries: a random query of this language, a dense history, tolerances, a
/// deployment and faults. Small sizes make edges collide.
///
/// # Panics
/// If the analysis refuses the query it wrote, which is an error of the generator.
pub fn small_case(choices: &mut dyn Choices) -> Case {
    let query: Arc<str> = query::write(choices).into();
    let ordering = ordering(choices);
    let partitions = u32::try_from(choices.range(1, 3)).unwrap_or(1);
    let inputs: Vec<CaseInput> =
        relation::INPUTS.iter().map(|name| CaseInput { name: (*name).to_owned(), partitions }).collect();
    let names: Vec<String> = inputs.iter().map(|input| input.name.clone()).collect();
    let references = relation::reference_names(&query);
    let declared = Declared { inputs: Some(&names), references: Some(&references), ..Declared::default() };
    let plan = match rewindow_query::analyse_with(&query, &declared) {
        Ok(plan) => plan,
        Err(error) => panic!("the generator wrote a query that is refused: {error}\n{query}"),
    };
    let extras = relation::extras(&query);
    let mut history = history::small(choices, &inputs, &ordering, &extras);
    history.references = references.iter().map(|_| history::reference(choices)).collect();
    history.entries.truncate(entries_max(&plan));
    let deployment = Deployment {
        nodes: 1,
        keyed: 0,
        link_delay: Span::ZERO,
        checkpoint_interval: Span::seconds(5),
        poll_interval: Span::seconds(1),
        batch: 100,
        rate: 1_000,
        retention: None,
        retention_size: None,
        heartbeat: Span::seconds(10),
        sink: sink(choices),
    };
    let case = Case {
        name: "small case".to_owned(),
        query,
        language: Language::default(),
        inputs,
        references,
        ordering,
        deployment,
        history: Arc::new(history),
        faults: Vec::new(),
        turns: Vec::new(),
    };
    schedule(&case, &Vary::all(&plan, &ordering), choices)
}

/// Every kind of sink; half of all cases keep to the plainest.
fn sink(choices: &mut dyn Choices) -> SinkKind {
    SinkKind::ALL[choices.weighted(&[4, 1, 1, 2])]
}

/// So many entries that no operator of a plan can make much more than 100,000 rows of them: where joins follow on
/// joins, rows are counted in powers of the entries.
fn entries_max(plan: &Plan) -> usize {
    let mut powers: Vec<u32> = Vec::with_capacity(plan.nodes.len());
    for node in &plan.nodes {
        let inputs = node.inputs.iter().map(|&input| powers[input]);
        powers.push(match &node.op {
            Op::Source(_) => 1,
            Op::Join(_) => inputs.sum(),
            Op::Apply(_) | Op::ReferenceJoin(_) => inputs.max().unwrap_or(0) + 1,
            _ => inputs.max().unwrap_or(0),
        });
    }
    let power = powers.into_iter().max().unwrap_or(1);
    let few = |entries: &u64| entries.checked_pow(power).is_some_and(|rows| rows <= 100_000);
    (2..1_000).take_while(few).last().map_or(2, |entries| entries as usize)
}

fn ordering(choices: &mut dyn Choices) -> Ordering {
    let late = [Span::seconds(5), Span::ZERO, Span::seconds(1), Span::seconds(30), Span::minutes(10)];
    let out_of_order = [Span::ZERO, Span::seconds(1), Span::seconds(3), Span::seconds(20), Span::TICK];
    Ordering {
        late: *choices.pick(&late),
        out_of_order: *choices.pick(&out_of_order),
        policy: if choices.chance(1, 3) { Policy::Drop } else { Policy::Adjust },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choices::{Recorded, Seeded, Tape};

    #[test]
    fn every_small_case_is_valid_and_made_again_from_its_tape() {
        for number in 0..400 {
            let mut seeded = Seeded::new(7, number);
            let mut recorded = Recorded::new(&mut seeded);
            let case = small_case(&mut recorded);
            case.check().unwrap_or_else(|error| panic!("case {number}: {error}"));
            assert_eq!(small_case(&mut Tape::new(&recorded.tape())), case, "case {number}");
        }
    }

    #[test]
    fn an_empty_tape_gives_the_simplest_case() {
        let case = small_case(&mut Tape::new(&[]));
        assert!(case.faults.is_empty() && case.history.entries.is_empty(), "{case:?}");
        assert_eq!(case.deployment.nodes, 1);
    }

    #[test]
    fn small_cases_reach_every_operator() {
        let mut seen: Vec<&str> = Vec::new();
        for number in 0..400 {
            let case = small_case(&mut Seeded::new(7, number));
            let truth = crate::judge::Truth::of(&case).unwrap();
            seen.extend(truth.plan.nodes.iter().map(|node| node.op.name()));
        }
        for name in [
            "ordering",
            "filter",
            "project",
            "tumbling",
            "hopping",
            "sliding",
            "session",
            "snapshot",
            "join",
            "reference",
            "lag",
            "last",
            "isfirst",
            "over",
            "apply",
            "match",
            "union",
        ] {
            assert!(seen.contains(&name), "{name}");
        }
    }

    #[test]
    fn the_analysis_accepts_every_query() {
        for number in 0..4_000 {
            let query = query::write(&mut Seeded::new(8, number));
            let names = relation::INPUTS.map(str::to_owned);
            let references = relation::reference_names(&query);
            let declared =
                Declared { inputs: Some(&names), references: Some(&references), ..Declared::default() };
            rewindow_query::analyse_with(&query, &declared)
                .unwrap_or_else(|error| panic!("query {number}: {error}\n{query}"));
        }
    }
}
