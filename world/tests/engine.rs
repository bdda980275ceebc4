//! The engine in the world, end to end: a life with faults says what a life without them says.
//!
//! Catches wiring: a shard, position or output position handed on wrongly. Whether the engine is right is
//! asked elsewhere.

mod toy;

use std::collections::BTreeMap;
use std::sync::Arc;

use rewindow_query::{Outcome, Span, Timestamp, analyse};
use rewindow_world::case::{Case, FaultKind, StartMode};
use rewindow_world::engine_subject::EngineSubject;
use rewindow_world::outcome::Run;
use rewindow_world::run;
use rewindow_world::subject::Subject;
use toy::{case, minute};

const QUERY: &str =
    "SELECT COUNT(*) AS n, MAX(id) AS latest INTO counts FROM Feed GROUP BY TumblingWindow(minute, 10)";

fn live(case: &Case) -> Run {
    let plan = Arc::new(analyse(QUERY, None).expect("a query"));
    let partitions = case.partitions(&plan).expect("a stream of the case");
    let subject = EngineSubject::new(plan.clone(), case.ordering, &partitions);
    assert_eq!(subject.name(), "engine");
    run(case, &plan, &subject)
}

fn rows(run: &Run) -> BTreeMap<Timestamp, String> {
    assert_eq!((&run.refused, &run.failure), (&vec![], &None));
    let rows = run.deliveries.iter().flat_map(|delivery| &delivery.rows);
    let mut told = BTreeMap::new();
    for row in rows {
        let text = row.record.to_string();
        let known = told.entry(row.timestamp).or_insert_with(|| text.clone());
        assert_eq!(*known, text, "copies are equal");
    }
    told
}

#[test]
fn faults_change_nothing() {
    let events: Vec<(u32, i64)> = (1..240).map(|m| (m as u32 % 3, m)).collect();
    let quiet = rows(&live(&case(3, &events, vec![])));
    assert_eq!(quiet.len(), 24);
    let down = Span::minutes(2);
    let kill = |node| FaultKind::NodeKill { node, down };
    let restart = FaultKind::UserRestart { stopped: down, start: StartMode::WhenLastStopped };
    let faults = vec![
        (5, kill(0)),
        (47, kill(0)),
        (93, FaultKind::ServiceUpgrade { readable: false, down }),
        (131, FaultKind::ServiceUpgrade { readable: true, down }),
        (155, restart),
        (197, FaultKind::OsUpgrade { down }),
    ];
    let stormy = live(&case(3, &events, faults));
    assert_eq!(rows(&stormy), quiet);
    let answers: Vec<bool> =
        stormy.recoveries.iter().map(|report| report.answer.outcome == Outcome::FromCheckpoint).collect();
    assert_eq!(answers, [false, true, false, true, false, true]);
    assert_eq!(stormy.recoveries[4].output_from, minute(150));
}
