//! The judge of pairs, by pairs that were played well and tampered with afterwards.
//!
//! Each holds as it is; what is then changed is something that a fault next to it might be taken to excuse.

use std::sync::Arc;

use rewindow_query::{Row, Span};
use rewindow_world::engine_subject::EngineSubject;
use rewindow_world::regions::{Held, Outage, PlayOptions, Played, RegionsCase, Signal, Switch, Why, play};

use super::regions::judge_pair;
use super::{Kind, Level, Truth};

struct Scene {
    case: RegionsCase,
    played: Played,
    truths: Vec<Truth>,
}

impl Scene {
    fn of(file: &str, change: impl FnOnce(&mut RegionsCase)) -> Scene {
        let path = format!("{}/tests/cases/regions/{file}.toml", env!("CARGO_MANIFEST_DIR"));
        let mut case = RegionsCase::from_toml(&std::fs::read_to_string(path).unwrap()).unwrap();
        change(&mut case);
        let plan = Arc::new(crate::language::plan_of(&case.base).unwrap());
        let make = |own: &_| -> Box<dyn rewindow_world::subject::Subject> {
            Box::new(EngineSubject::of_case(&plan, own))
        };
        let played = play(&case, &plan, &make, PlayOptions::default()).unwrap();
        let truths = played.cases.iter().map(|own| Truth::of_plan(plan.clone(), own)).collect();
        let scene = Scene { case, played, truths };
        assert_eq!(scene.kind(), None, "it holds as it is");
        scene
    }

    fn kind(&self) -> Option<Kind> {
        judge_pair(&self.truths, &self.case, &self.played).err().map(|breach| breach.kind)
    }

    fn levels(&self) -> Vec<Level> {
        judge_pair(&self.truths, &self.case, &self.played).unwrap().levels
    }

    /// Takes a row out of all that a region gave.
    fn forget(&mut self, region: usize, row: &Row) {
        for delivery in &mut self.played.runs[region].deliveries {
            delivery.rows.retain(|given| given.identity() != row.identity());
        }
    }
}

/// The version in the primary is wrong, and is taken back.
const WRONG: &str = "faulty-version-stopped-at-the-first-batch";
/// The version in the primary stalls, and is taken back.
const STALLS: &str = "stalling-version-meets-a-node-that-is-down";

#[test]
fn a_wrong_version_excuses_no_row_of_the_version_before() {
    let mut scene = Scene::of(WRONG, |_| ());
    let first = scene.truths[0].answer.rows[0].clone();
    scene.forget(0, &first);
    assert_eq!(scene.kind(), Some(Kind::Lost));
}

#[test]
fn a_wrong_version_is_excused_for_what_it_says_and_for_no_row_that_nobody_owes() {
    let mut scene = Scene::of(WRONG, |_| ());
    let upgraded = scene.played.upgrades[0].at;
    let mut rows = scene.played.runs[0].deliveries.iter_mut().filter(|d| d.at > upgraded);
    let row = rows.find_map(|delivery| delivery.rows.last_mut()).unwrap();
    row.ordinal += 7;
    assert_eq!(scene.kind(), Some(Kind::Invented));
}

/// Where the wrong version gave its first row, and its second.
fn given_wrong(scene: &Scene) -> [(usize, usize); 2] {
    let (from, back) = (scene.played.upgrades[0].at, scene.played.upgrades[1].at);
    let deliveries = scene.played.runs[0].deliveries.iter().enumerate();
    let new = deliveries.filter(|(_, d)| from < d.at && d.at < back);
    let rows = new.flat_map(|(index, d)| (0..d.rows.len()).map(move |row| (index, row)));
    let mut rows = rows.filter(|&(index, row)| {
        let row = &scene.played.runs[0].deliveries[index].rows[row];
        scene.truths[0].find(row).is_some_and(|owed| scene.truths[0].answer.rows[owed] != *row)
    });
    [rows.next().unwrap(), rows.next().unwrap()]
}

#[test]
fn a_wrong_version_is_not_excused_for_the_order_of_its_rows_or_their_number() {
    let mut twice = Scene::of(WRONG, |_| ());
    let [(index, row), _] = given_wrong(&twice);
    let rows = &mut twice.played.runs[0].deliveries[index].rows;
    rows.insert(row, rows[row].clone());
    assert_eq!(twice.kind(), Some(Kind::Repeated));

    let mut turned = Scene::of(WRONG, |_| ());
    let [first, second] = given_wrong(&turned);
    let deliveries = &mut turned.played.runs[0].deliveries;
    let row = deliveries[first.0].rows[first.1].clone();
    deliveries[first.0].rows[first.1] = std::mem::replace(&mut deliveries[second.0].rows[second.1], row);
    assert_eq!(turned.kind(), Some(Kind::OutOfOrder));
}

#[test]
fn a_version_that_stalls_excuses_no_row_once_it_is_taken_back() {
    let mut scene = Scene::of(STALLS, |_| ());
    let last = scene.truths[0].answer.rows.last().unwrap().clone();
    assert!(scene.played.consumer.rows.iter().any(|held| held.row == last && held.region == 1));
    scene.forget(0, &last);
    assert_eq!(scene.kind(), Some(Kind::Lost));
}

/// The rollout begins so late that what the version withholds is not overdue before the input ends.
fn stalls_unseen() -> Scene {
    Scene::of(STALLS, |case| {
        let last = case.base.history.entries.last().unwrap().arrival;
        case.regions[0].faults.clear();
        let rollout = case.rollout.as_mut().unwrap();
        (rollout.at, rollout.lag) = (last.minus(Span::seconds(20)), Span::hours(1));
        rollout.soak = Span::hours(1);
    })
}

#[test]
fn a_version_that_stalls_unseen_excuses_only_the_consumer_that_reads_it() {
    let mut scene = stalls_unseen();
    let held = scene.played.consumer.rows.len();
    assert!(held < scene.truths[0].answer.rows.len(), "some rows were withheld");
    let at = scene.played.consumer.rows.last().map(|held: &Held| held.taken).unwrap();
    scene.played.consumer.switches.push(Switch { at, to: 1, why: Why::Gone });
    assert_eq!(scene.kind(), Some(Kind::ConsumerLost));
}

#[test]
fn a_version_that_stalls_excuses_no_row_that_was_due_before_it_came() {
    let mut scene = stalls_unseen();
    let first = scene.truths[0].answer.rows[0].clone();
    scene.forget(0, &first);
    scene.played.consumer.rows.retain(|held| held.row != first);
    assert_eq!(scene.kind(), Some(Kind::Lost));
}

#[test]
fn a_version_that_looks_right_after_it_showed_itself_misleads_nobody() {
    let mut scene = Scene::of(WRONG, |_| ());
    // No alarm was raised, and the last row of the version is by chance the partner's.
    let back = scene.played.upgrades.iter().find(|upgrade| upgrade.rollback).unwrap().at;
    scene.played.decisions.retain(|decision| !matches!(decision.what, Signal::Alarm(_)));
    let new = scene.played.runs[0].deliveries.iter_mut().filter(|delivery| delivery.at < back);
    let row = new.filter_map(|delivery| delivery.rows.last_mut()).next_back().unwrap();
    *row = scene.truths[1].answer.rows.iter().find(|owed| owed.identity() == row.identity()).unwrap().clone();
    assert_eq!(scene.kind(), Some(Kind::FaultUnnoticed));
}

#[test]
fn a_region_soaks_from_when_it_is_whole() {
    let mut scene = Scene::of("paired-regions-upgrade-in-turn", |_| ());
    let soak = scene.case.rollout.as_ref().unwrap().soak;
    let first = scene.played.upgrades[0].region;
    let report = scene.played.runs[first].recoveries.iter_mut().find(|report| report.version == 1);
    report.unwrap().at = scene.played.upgrades[1].at.minus(soak).plus(Span::TICK);
    assert_eq!(scene.kind(), Some(Kind::UpgradedTogether));
}

#[test]
fn the_level_is_that_of_the_rows_which_all_regions_owe() {
    let mut scene = Scene::of(WRONG, |_| ());
    assert_eq!(scene.levels(), [Level::ExactSequence]);
    let rows = &mut scene.played.consumer.rows;
    let apart = (1..rows.len()).find(|&i| rows[i - 1].row.key != rows[i].row.key).unwrap();
    rows.swap(apart - 1, apart);
    assert_eq!(scene.levels(), [Level::PerKeySequence]);
    let rows = &mut scene.played.consumer.rows;
    let first = rows[0].row.key.clone();
    let again = (1..rows.len()).find(|&i| rows[i].row.key == first).unwrap();
    rows.swap(0, again);
    assert_eq!(scene.levels(), [Level::Multiset]);
    assert_eq!(stalls_unseen().levels(), [Level::DeclaredPartial]);
}

/// East comes back to half a window, in which fails what would not have failed in the whole of it. West owes no failure
/// and met none.
#[test]
fn a_failure_in_the_gap_of_one_region_ends_nothing_for_a_consumer_of_the_other() {
    let mut scene = Scene::of("primary-comes-back", |case| {
        case.base.query = "SELECT sensor, 60 / (COUNT(*) - 4) AS n INTO counts FROM readings TIMESTAMP BY t
            GROUP BY sensor, TumblingWindow(minute, 5)"
            .into();
    });
    let failed = scene.played.runs[0].failure.as_ref().map(|failure| failure.at).expect("in the gap");
    assert!(scene.truths.iter().all(|truth| truth.answer.failure.is_none()));
    let lost = scene.played.consumer.rows.pop().unwrap();
    assert!(lost.row.timestamp > failed && lost.region == 1);
    assert_eq!(scene.kind(), Some(Kind::ConsumerLost));
}

/// It runs on nodes that crash again and again, so a third opening shows it.
const CRASHES: &str = "crashing-version-stopped-at-the-first-batch";

#[test]
fn a_version_that_crashes_shows_itself_by_its_second_restart() {
    let mut scene = Scene::of(CRASHES, |_| ());
    scene.played.decisions.retain(|decision| !matches!(decision.what, Signal::Alarm(_)));
    assert_eq!(scene.kind(), Some(Kind::FaultUnnoticed));
}

#[test]
fn a_version_that_crashes_in_a_region_that_is_gone_misleads() {
    let scene = Scene::of(CRASHES, |case| {
        let begin = case.base.history.entries[0].arrival;
        let [at, back] = [52, 100].map(|second| begin.plus(Span::seconds(second)));
        case.regions[0].outages = vec![Outage { at, back }];
    });
    let upgraded = scene.played.upgrades.iter().filter(|upgrade| !upgrade.rollback);
    assert_eq!(upgraded.map(|upgrade| upgrade.region).collect::<Vec<_>>(), [0, 1]);
}
