//! The system under test, as the command line names it: our engine, whole or with a bug planted.

use std::path::Path;
use std::sync::Arc;

use rewindow::errors::Problem;
use rewindow::trial::Maker;
use rewindow_query::Plan;
use rewindow_world::case::Case;
use rewindow_world::engine_subject::EngineSubject;
use rewindow_world::subject::Subject;

/// Makes subjects, with the bug of that name if one is asked for.
#[cfg(not(feature = "plant"))]
pub(super) fn maker(plant: Option<&str>) -> Result<Box<Maker<'static>>, Problem> {
    if let Some(name) = plant {
        let problem = Problem::new("plant-missing", "this rewindow was built without planted bugs");
        return Err(problem.help(format!("cargo run --release --features plant -- check JOB --plant {name}")));
    }
    Ok(Box::new(|plan: &Arc<Plan>, case: &Case| -> Box<dyn Subject> { Box::new(engine(plan, case)) }))
}

/// Makes subjects, with the bug of that name if one is asked for.
#[cfg(feature = "plant")]
pub(super) fn maker(plant: Option<&str>) -> Result<Box<Maker<'static>>, Problem> {
    use rewindow_engine::plant::Plant;
    let parse = |name: &str| {
        Plant::parse(name).ok_or_else(|| {
            let names: Vec<&str> = Plant::all().map(|plant| plant.name()).collect();
            Problem::new("unknown-plant", format!("there is no planted bug `{name}`"))
                .help(format!("one of {}", names.join(", ")))
        })
    };
    let Some(plant) = plant.map(parse).transpose()? else {
        return Ok(Box::new(|plan: &Arc<Plan>, case: &Case| -> Box<dyn Subject> {
            Box::new(engine(plan, case))
        }));
    };
    Ok(Box::new(move |plan: &Arc<Plan>, case: &Case| -> Box<dyn Subject> {
        Box::new(EngineSubject::planted(plan.clone(), case.ordering, &partitions(plan, case), plant))
    }))
}

fn engine(plan: &Arc<Plan>, case: &Case) -> EngineSubject {
    EngineSubject::new(plan.clone(), case.ordering, &partitions(plan, case))
}

/// Partitions of the plan's inputs. A case that lacks one of them is refused by the world, with the reason,
/// before the subject is asked for anything.
fn partitions(plan: &Plan, case: &Case) -> Vec<u32> {
    case.partitions(plan).unwrap_or_else(|_| vec![1; plan.inputs.len()])
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
