//! The system under test, as the command line names it: our engine, whole or with a bug planted.

use std::path::Path;
use std::sync::Arc;

use rewindow::errors::Problem;
use rewindow::trial::Maker;
use rewindow_engine::plant::Plant;
use rewindow_query::Plan;
use rewindow_world::case::{Case, SinkKind};
use rewindow_world::engine_subject::EngineSubject;
use rewindow_world::subject::Subject;

/// Makes subjects, with the bug of that name if one is asked for.
#[cfg(not(feature = "plant"))]
pub(super) fn maker(plant: Option<&str>) -> Result<Box<Maker<'static>>, Problem> {
    if let Some(name) = plant {
        let problem = Problem::new("plant-missing", "this rewindow was built without planted bugs");
        return Err(problem.help(format!("cargo run --release --features plant -- check JOB --plant {name}")));
    }
    Ok(Box::new(|plan: &Arc<Plan>, case: &Case| -> Box<dyn Subject> {
        Box::new(EngineSubject::of_case(plan, case))
    }))
}

#[cfg(feature = "plant")]
fn parse(name: &str) -> Result<Plant, Problem> {
    Plant::parse(name).ok_or_else(|| {
        let names: Vec<&str> = Plant::all().chain(Plant::across()).map(|plant| plant.name()).collect();
        Problem::new("unknown-plant", format!("there is no planted bug `{name}`"))
            .help(format!("one of {}", names.join(", ")))
    })
}

/// Refuses a bug that does nothing in this job: a search that cannot find it would look like health.
pub(super) fn can_show(plant: Option<&str>, plan: &Plan, sink: SinkKind) -> Result<(), Problem> {
    let commits = |plant: &Plant| matches!(plant, Plant::TransactionBySlot | Plant::CommitForgotten);
    let inert = |plant: &Plant| !plant.can_show(plan) || commits(plant) && sink != SinkKind::Transactional;
    let Some(plant) = plant.and_then(Plant::parse).filter(inert) else { return Ok(()) };
    let needs = plant.needs().unwrap_or("something else");
    let message = format!("`{}` does nothing in this job: it needs {needs}", plant.name());
    let help = format!("examples/{}/job.toml has {needs}", example(plant));
    Err(Problem::new("plant-inert", message).help(help))
}

/// What to say of a bug that was not found, so that nobody takes it for health.
pub(super) fn not_found(plant: &str) -> String {
    let needs = Plant::parse(plant).and_then(Plant::needs);
    let needs = needs.map_or(String::new(), |needs| format!(" It needs {needs}."));
    format!(
        "`{plant}` was planted and not found.{needs} More schedules (--cases), another seed or other \
         events may show it"
    )
}

/// A job of `examples/` in which it is found.
fn example(plant: Plant) -> &'static str {
    match plant {
        Plant::HoppingPanesLost
        | Plant::LastStateNotSaved
        | Plant::IsFirstForgets
        | Plant::SessionIndexLost
        | Plant::SessionRestartParity
        | Plant::MatchPartialLost
        | Plant::OverRowsLost => "swarms",
        Plant::LeftJoinNullTwice
        | Plant::LeftJoinMatchForgotten
        | Plant::JoinSideLost
        | Plant::TransactionBySlot
        | Plant::CommitForgotten => "flights-landed",
        Plant::LagStateNotSaved => "turnaround",
        Plant::SubstreamsForgotten | Plant::ReferenceNewest => "carriers",
        Plant::FencingAbsent
        | Plant::PublishNotAtomic
        | Plant::CollectTooEarly
        | Plant::ForgetBeforeCheckpoint
        | Plant::LinkHistoryDropped
        | Plant::LinkNumbersRestart
        | Plant::LinkDuplicatesTaken
        | Plant::MergeByArrival
        | Plant::LinkEpochIgnored
        | Plant::KeyedRouteChanges => "delays",
        _ => "earthquakes",
    }
}

/// Makes subjects, with the bug of that name if one is asked for.
#[cfg(feature = "plant")]
pub(super) fn maker(plant: Option<&str>) -> Result<Box<Maker<'static>>, Problem> {
    let Some(plant) = plant.map(parse).transpose()? else {
        return Ok(Box::new(|plan: &Arc<Plan>, case: &Case| -> Box<dyn Subject> {
            Box::new(EngineSubject::of_case(plan, case))
        }));
    };
    Ok(Box::new(move |plan: &Arc<Plan>, case: &Case| -> Box<dyn Subject> {
        Box::new(EngineSubject::of_case(plan, case).with_plant(plant))
    }))
}

/// The command that runs a case again, as a user would type it.
pub(super) fn replay_command(case: &Path, plant: Option<&str>) -> String {
    let path = case.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "-_./\\:".contains(c);
    let path = if path.chars().all(plain) { path } else { format!("'{}'", path.replace('\'', "'\\''")) };
    match plant {
        None => format!("rewindow replay {path}"),
        Some(name) => format!("cargo run --release --features plant -- replay {path} --plant {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan_of(example: &str) -> Plan {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(example).join("job.asaql");
        rewindow_query::analyse(&std::fs::read_to_string(path).unwrap(), None).unwrap()
    }

    #[test]
    fn a_plant_is_refused_where_it_does_nothing_and_the_help_names_a_job_that_has_what_it_needs() {
        let sink = |name| if name == "flights-landed" { SinkKind::Transactional } else { SinkKind::Append };
        for plant in Plant::all().chain(Plant::across()) {
            let shown = example(plant);
            assert_eq!(can_show(Some(plant.name()), &plan_of(shown), sink(shown)), Ok(()));
            let examples = ["carriers", "delays", "earthquakes", "flights-landed", "swarms", "turnaround"];
            for inert in examples.map(plan_of).iter().filter(|plan| !plant.can_show(plan)) {
                let problem = can_show(Some(plant.name()), inert, SinkKind::Append).unwrap_err();
                assert_eq!(problem.code, "plant-inert");
                assert!(problem.help.is_some_and(|help| help.contains(example(plant))), "{}", plant.name());
                assert!(not_found(plant.name()).contains(plant.needs().unwrap()));
            }
        }
        let problem =
            can_show(Some("commit-forgotten"), &plan_of("flights-landed"), SinkKind::Append).unwrap_err();
        assert_eq!(problem.code, "plant-inert");
        assert_eq!(can_show(None, &plan_of("swarms"), SinkKind::Append), Ok(()));
    }
}
