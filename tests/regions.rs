//! Claim 9, *regions*: the consumer of a pair loses and repeats nothing, and a faulty version never reaches both.
//!
//! What no other suite would catch: what goes wrong between two jobs that are each right: a consumer that switches,
//! dedupes and goes back, an update service that goes on or stops. Four bugs planted there are found and made small;
//! the stories of the committed pairs are told line by line.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

mod support;

use std::ops::ControlFlow;
use std::process::Command;
use std::sync::Arc;

use rewindow::budget::Budget;
use rewindow::choices::Seeded;
use rewindow::generate::regions::small_pair;
use rewindow::judge::{Breach, Kind};
use rewindow::pool;
use rewindow::regions::{PairVerdict, REQUIRED, STRIKES, reached, shrink_pair, trial_pair};
use rewindow::report::title;
use rewindow_query::{Plan, Timestamp};
use rewindow_world::case::Case;
use rewindow_world::regions::{Played, RegionPlant, RegionsCase, Signal};
use rewindow_world::subject::Subject;
use support::{Reached, Search, engine};

/// Most smaller cases that are tried.
const TRIES_MAX: u64 = 3_000;

fn make(plan: &Arc<Plan>, case: &Case) -> Box<dyn Subject> {
    engine(plan, case)
}

fn trial(case: &RegionsCase, plant: Option<RegionPlant>) -> (Played, PairVerdict) {
    trial_pair(case, &make, plant).unwrap_or_else(|error| panic!("{error}\n{}", case.to_toml()))
}

fn told(breach: &Breach) -> String {
    format!("{} at {}: {} ({})", title(breach), breach.at, breach.message, breach.kind.name())
}

#[test]
fn consumers_of_pairs_lose_and_repeat_nothing() {
    let search = Search::new("regions", 4_000);
    let mut all = Reached::default();
    search.run(
        |_, choices| {
            let case = small_pair(choices);
            let (played, verdict) = trial(&case, None);
            match verdict {
                Ok(held) => Ok(reached(&played, Some(&held))),
                Err(breach) => {
                    let (case, breach, _) = shrink_pair(&case, &breach, &make, None, TRIES_MAX);
                    Err(format!("{}\n{}", told(&breach), case.to_toml()))
                }
            }
        },
        |names| names.into_iter().for_each(|name| all.note(name)),
    );
    search.require(&all, &REQUIRED);
}

#[test]
fn a_pair_is_played_twice_alike() {
    for number in 0..200 {
        let case = small_pair(&mut Seeded::new(3, number));
        assert_eq!(trial(&case, None), trial(&case, None), "{}", case.to_toml());
    }
}

/// How a plant must show.
fn shows(plant: RegionPlant, kind: Kind) -> bool {
    match plant {
        RegionPlant::BatchesTogether => matches!(kind, Kind::BothFaulty | Kind::UpgradedTogether),
        RegionPlant::FailoverNoDedupe => kind == Kind::ConsumerRepeated,
        RegionPlant::TakenBackTooEarly => matches!(kind, Kind::ConsumerLost | Kind::RegionsDisagree),
        RegionPlant::RolloutNeverStops => {
            matches!(kind, Kind::BothFaulty | Kind::FaultUnnoticed)
        }
    }
}

/// The command says of every kind of trouble how often it struck a pair of the example, and what consumers hold then.
#[test]
fn check_tells_what_struck_the_pairs_of_an_example() {
    let job = format!("{}/examples/delays/job.toml", env!("CARGO_MANIFEST_DIR"));
    let mut check = Command::new(env!("CARGO_BIN_EXE_rewindow"));
    check.args(["check", &job, "--cases", "1", "--format", "json"]).env_remove("REWINDOW_SEED");
    let said = check.current_dir(env!("CARGO_TARGET_TMPDIR")).output().unwrap();
    let value: serde_json::Value = serde_json::from_slice(&said.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&said.stderr)));
    let pairs = &value["pairs"];
    assert_eq!((&pairs["held"], &pairs["broken"]), (&200.into(), &false.into()));
    assert_eq!(pairs["never_reached"], serde_json::json!([]), "what check requires of pairs is reached");
    let cells = pairs["cells"].as_array().unwrap();
    for strike in STRIKES {
        let cell = cells.iter().find(|cell| cell["fault"] == strike);
        let cell = cell.unwrap_or_else(|| panic!("no pair was struck by: {strike}"));
        assert!(cell["alone"].as_u64() > Some(0), "{strike} never struck alone");
        assert_eq!(cell["operators"], serde_json::json!(["tumbling"]), "{strike}");
        // Where one region announced a gap, the other may have been gone: only then may a row be missing.
        let partial = strike == "gap" && cell["level"] == "gap announced, rest identical";
        assert!(partial || cell["level"] == "exact sequence", "{strike}: {cell}");
    }
}

fn find(plant: RegionPlant) -> Option<(u64, RegionsCase, Breach)> {
    let threads = Budget::from_environment().unwrap_or_else(|problem| panic!("{problem}")).threads();
    let mut found = None;
    let job = |number| {
        let case = small_pair(&mut Seeded::new(1, number));
        trial(&case, Some(plant)).1.err().map(|breach| (number, case, *breach))
    };
    pool::for_each_in_order(20_000, threads, job, |_, result| {
        found = result;
        if found.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    found
}

#[test]
fn every_plant_between_regions_is_found_and_made_small() {
    let mut wrong = Vec::new();
    for plant in RegionPlant::ALL {
        let Some((number, case, breach)) = find(plant) else {
            wrong.push(format!("{}: not found", plant.name()));
            continue;
        };
        let (small, breach, tries) = shrink_pair(&case, &breach, &make, Some(plant), TRIES_MAX);
        let (entries, faults) = (small.base.history.entries.len(), small.regions.iter());
        let faults: usize = faults.map(|region| region.faults.len() + region.outages.len()).sum();
        let line =
            format!("{}: pair {number}, {tries} tries to {entries} events, {faults} faults", plant.name());
        println!("{line}: {}", told(&breach));
        let healthy = trial(&small, None).1;
        if !shows(plant, breach.kind) || entries > 8 || faults > 2 || healthy.is_err() {
            wrong.push(format!("{line}: {}\n{healthy:?}\n{}", told(&breach), small.to_toml()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

// ---- stories ----------------------------------------------------------------------------------------

/// What update service and consumer did, line by line, as minutes and seconds since midnight.
fn story(case: &RegionsCase, played: &Played) -> Vec<String> {
    let clock = |at: Timestamp| at.to_string().get(14..19).unwrap().to_owned();
    let name = |region: usize| case.regions[region].name.as_str();
    let said = |what: Signal| match what {
        Signal::Upgraded => "upgraded".to_owned(),
        Signal::Good => "is well".to_owned(),
        Signal::Alarm(alarm) => alarm.name().to_owned(),
        Signal::RolledBack => "rolled back".to_owned(),
        Signal::Rests => "rests".to_owned(),
    };
    let decided = played.decisions.iter().map(|d| (d.at, format!("{} {}", name(d.region), said(d.what))));
    let switched = played.consumer.switches.iter();
    let switched = switched.map(|s| (s.at, format!("consumer to {}: {}", name(s.to), s.why.name())));
    let mut lines: Vec<(Timestamp, String)> = decided.chain(switched).collect();
    lines.sort_by_key(|line| line.0);
    lines.into_iter().map(|(at, line)| format!("{} {line}", clock(at))).collect()
}

/// Plays a committed pair; gives its story and how many rows the consumer holds, left aside and gave back.
fn committed(file: &str) -> (Vec<String>, [u64; 3]) {
    let path = format!("{}/tests/cases/regions/{file}.toml", env!("CARGO_MANIFEST_DIR"));
    let case = RegionsCase::from_toml(&std::fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(RegionsCase::from_toml(&case.to_toml()).as_ref(), Ok(&case), "{path}");
    let (played, verdict) = trial(&case, None);
    verdict.unwrap_or_else(|breach| panic!("{path}: {}", told(&breach)));
    let consumer = &played.consumer;
    (story(&case, &played), [consumer.rows.len() as u64, consumer.deduped, consumer.withdrawn])
}

/// How a committed pair breaks with a bug planted.
fn broken_by(file: &str, plant: RegionPlant) -> Option<Kind> {
    let path = format!("{}/tests/cases/regions/{file}.toml", env!("CARGO_MANIFEST_DIR"));
    let case = RegionsCase::from_toml(&std::fs::read_to_string(&path).unwrap()).unwrap();
    trial(&case, Some(plant)).1.err().map(|breach| breach.kind)
}

#[test]
fn paired_regions_upgrade_in_turn() {
    let file = "paired-regions-upgrade-in-turn";
    let (story, rows) = committed(file);
    let told = ["00:40 west upgraded", "01:05 west is well", "01:06 east upgraded", "01:31 east is well"];
    assert_eq!((story, rows), (told.map(str::to_owned).to_vec(), [17, 0, 0]));
    assert_eq!(broken_by(file, RegionPlant::BatchesTogether), Some(Kind::UpgradedTogether));
}

#[test]
fn faulty_version_stopped_at_the_first_batch() {
    let file = "faulty-version-stopped-at-the-first-batch";
    let (story, rows) = committed(file);
    let told = [
        "00:40 east upgraded",
        "00:50 east disagrees with its partner",
        "00:50 consumer to west: alarm of the update service",
        "00:51 east rolled back",
        "01:09 consumer to east: primary caught up",
    ];
    assert_eq!((story, rows), (told.map(str::to_owned).to_vec(), [17, 11, 2]));
    assert_eq!(broken_by(file, RegionPlant::BatchesTogether), Some(Kind::BothFaulty));
    assert_eq!(broken_by(file, RegionPlant::RolloutNeverStops), Some(Kind::BothFaulty));
}

#[test]
fn stalling_version_meets_a_node_that_is_down() {
    let file = "stalling-version-meets-a-node-that-is-down";
    let (story, rows) = committed(file);
    let told = [
        "00:40 east upgraded",
        "01:25 east is not whole in time",
        "01:25 consumer to west: alarm of the update service",
        "01:26 east rolled back",
        "03:05 consumer to east: primary caught up",
    ];
    assert_eq!((story, rows), (told.map(str::to_owned).to_vec(), [17, 23, 0]));
    assert_eq!(broken_by(file, RegionPlant::RolloutNeverStops), Some(Kind::BothFaulty));
}

#[test]
fn crashing_version_stopped_at_the_first_batch() {
    let file = "crashing-version-stopped-at-the-first-batch";
    let (story, rows) = committed(file);
    let told = [
        "00:40 east upgraded",
        "01:06 east restarts again and again",
        "01:06 consumer to west: alarm of the update service",
        "01:07 east rolled back",
        "01:12 consumer to east: primary caught up",
    ];
    assert_eq!((story, rows), (told.map(str::to_owned).to_vec(), [17, 13, 2]));
    assert_eq!(broken_by(file, RegionPlant::BatchesTogether), Some(Kind::BothFaulty));
    assert_eq!(broken_by(file, RegionPlant::RolloutNeverStops), Some(Kind::BothFaulty));
}

/// What a row says that came too late did not show while it was waited for.
#[test]
fn row_comes_after_it_was_due() {
    let (story, _) = committed("row-comes-after-it-was-due");
    assert!(story.iter().any(|line| line.ends_with("east is behind its partner")), "{story:#?}");
}

/// What is decided after a region's input ended would undo that end.
#[test]
fn difference_shows_after_the_input_ended() {
    let (story, rows) = committed("difference-shows-after-the-input-ended");
    assert_eq!(
        (story, rows),
        (["00:12 west upgraded", "00:12 west rests"].map(str::to_owned).to_vec(), [4, 0, 0])
    );
}

#[test]
fn region_failover_dedupes() {
    let file = "region-failover-dedupes";
    let (story, rows) = committed(file);
    let told = ["01:02 consumer to west: region gone", "06:40 consumer to east: primary caught up"];
    assert_eq!((story, rows), (told.map(str::to_owned).to_vec(), [17, 22, 0]));
    assert_eq!(broken_by(file, RegionPlant::FailoverNoDedupe), Some(Kind::ConsumerRepeated));
}

#[test]
fn primary_comes_back() {
    let file = "primary-comes-back";
    let (story, rows) = committed(file);
    let told = ["05:45 consumer to west: region gone", "20:31 consumer to east: primary caught up"];
    assert_eq!((story, rows), (told.map(str::to_owned).to_vec(), [11, 14, 0]));
    assert_eq!(broken_by(file, RegionPlant::TakenBackTooEarly), Some(Kind::RegionsDisagree));
}
