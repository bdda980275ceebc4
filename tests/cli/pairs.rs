//! Jobs in two regions, as a user meets them: what `check` says of their pairs, and `replay` of the file of one.
//!
//! A part of `tests/cli.rs`. Schedules of these jobs have no faults, so that what is said is said of the pairs.

use serde_json::Value;

use super::{Fixture, Said, narrow};

/// A job in two regions, with so many pairs.
fn fixture(name: &str, pairs: u64) -> Fixture {
    let fixture = Fixture::new(name);
    let regions =
        format!("cases = 40\nfaults = []\n\n[regions]\nnames = [\"east\", \"west\"]\ncases = {pairs}\n");
    fixture.replace("job.toml", "cases = 40\n", &regions);
    fixture
}

fn json(said: &Said) -> Value {
    serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {}{}", said.out, said.err))
}

#[test]
fn pairs_that_reached_too_little_are_undecided() {
    let one = fixture("pairs-undecided", 1);
    let said = one.run(&["check", "job.toml", "--seed", "1"]);
    assert_eq!(said.exit, 2, "{}{}", said.out, said.err);
    assert!(said.out.contains("40 schedules held, none broke."), "{}", said.out);
    assert!(said.out.contains("  regions    1 pair held"), "{}", said.out);
    assert!(said.out.contains("\n  undecided  never "), "{}", said.out);
    narrow(&said);
    let value = json(&one.run(&["check", "job.toml", "--seed", "1", "--format", "json"]));
    assert_eq!((&value["verdict"], &value["never_reached"]), (&"undecided".into(), &Value::Array(vec![])));
    assert!(value["pairs"]["never_reached"].as_array().is_some_and(|never| !never.is_empty()), "{value}");

    let many = fixture("pairs-held", 120);
    let said = many.run(&["check", "job.toml", "--seed", "1", "--format", "json"]);
    let value = json(&said);
    assert_eq!((said.exit, &value["verdict"]), (0, &"held".into()), "{value}");
    assert_eq!(value["pairs"]["never_reached"], Value::Array(vec![]));
    assert_eq!(value["pairs"]["cut_short"], Value::Bool(false));
}

/// A shard has its part of schedules and of pairs, and is not undecided for what it alone did not reach.
#[test]
fn shards_are_the_whole_campaign_in_parts() {
    let fixture = fixture("shards", 3);
    let check =
        |more: &[&str]| fixture.run(&[&["check", "job.toml", "--seed", "1", "--cases", "41"], more].concat());
    let whole = json(&check(&["--format", "json"]));
    assert_eq!((&whole["verdict"], whole.get("shard")), (&"undecided".into(), None), "{whole}");
    let mut sums = [0; 4];
    let members = ["/schedules", "/rows/matched", "/pairs/held", "/pairs/rows"];
    for shard in ["1/2", "2/2"] {
        let said = check(&["--format", "json", "--shard", shard]);
        let value = json(&said);
        assert_eq!((said.exit, &value["verdict"]), (0, &"held".into()), "{value}");
        assert_eq!(value["shard"]["of"], 2);
        assert!(value["pairs"]["never_reached"].as_array().is_some_and(|never| !never.is_empty()), "{value}");
        for (sum, member) in sums.iter_mut().zip(members) {
            *sum += value.pointer(member).and_then(Value::as_u64).unwrap();
        }
    }
    assert_eq!(sums.to_vec(), members.map(|member| whole.pointer(member).and_then(Value::as_u64).unwrap()));
    let said = check(&["--shard", "2/2"]);
    assert!(said.out.contains("20 schedules held, none broke; shard 2/2 of 41 schedules."), "{}", said.out);
    assert!(said.out.contains("\n  not here   never ") && !said.out.contains("undecided"), "{}", said.out);
    narrow(&said);
    for bad in ["0/2", "3/2", "2", "1/0"] {
        let said = check(&["--shard", bad]);
        assert!(said.exit == 4 && said.err.contains("is no shard"), "{bad}: {}", said.err);
    }
}

#[test]
fn pairs_that_time_cut_short_say_so() {
    let fixture = fixture("pairs-cut-short", 120);
    let said = fixture.run(&["check", "job.toml", "--time", "1 tick"]);
    assert_eq!(said.exit, 2, "{}{}", said.out, said.err);
    let words = said.out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("0 schedules held, none broke; the budget of time ended"), "{}", said.out);
    assert!(words.contains("0 pairs upgraded in turn; the budget of time ended the search"), "{}", said.out);
    narrow(&said);
    let value = json(&fixture.run(&["check", "job.toml", "--time", "1 tick", "--format", "json"]));
    assert_eq!((&value["cut_short"], &value["pairs"]["cut_short"]), (&true.into(), &true.into()));
}

#[test]
fn the_file_of_a_pair_is_replayed_for_machines_and_with_its_recoveries() {
    let fixture = Fixture::new("pair-file");
    let name = "region-failover-dedupes";
    let file = format!("{}/tests/cases/regions/{name}.toml", env!("CARGO_MANIFEST_DIR"));
    let said = fixture.run(&["replay", &file]);
    assert_eq!((said.exit, said.out.contains("region east")), (0, false), "{}{}", said.out, said.err);
    let value = json(&fixture.run(&["replay", &file, "--format", "json"]));
    assert_eq!((&value["verdict"], value.get("regions")), (&"held".into(), None));
    let value = json(&fixture.run(&["replay", &file, "--format", "json", "--recoveries"]));
    let regions = value["regions"].as_array().unwrap();
    let names: Vec<&str> = regions.iter().filter_map(|region| region["region"].as_str()).collect();
    assert_eq!(names, ["east", "west"]);
    assert!(regions[0]["recoveries"].as_array().is_some_and(|all| !all.is_empty()), "{value}");
    let said = fixture.run(&["replay", &file, "--recoveries"]);
    assert!(said.out.contains("\nregion east\n\n  1  "), "{}", said.out);
    assert!(said.out.contains("\nregion west\n\n"), "{}", said.out);
    narrow(&said);
}

#[test]
fn what_service_and_consumer_did_is_told_in_order() {
    let fixture = Fixture::new("pair-told");
    let replay = |name: &str, more: &[&str]| {
        let file = format!("{}/tests/cases/regions/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        let said = fixture.run(&[&["replay", file.as_str()], more].concat());
        assert_eq!(said.exit, 0, "{}{}", said.out, said.err);
        said
    };
    let said = replay("crashing-version-stopped-at-the-first-batch", &[]);
    narrow(&said);
    let words = said.out.split_whitespace().collect::<Vec<_>>().join(" ");
    let told = [
        "held crashing version stopped at the first batch does not break",
        "2024-01-01T00:00:40Z service brings the new version to east",
        "2024-01-01T00:01:06Z service raises the alarm: east restarts again and again; the rollout is stopped",
        "2024-01-01T00:01:06Z consumer reads west from now on: alarm of the update service",
        "2024-01-01T00:01:07Z service takes the version back in east",
        "2024-01-01T00:01:12.018Z consumer reads east again: primary caught up",
    ];
    let places: Vec<Option<usize>> = told.iter().map(|told| words.find(told)).collect();
    assert!(places[0] == Some(0) && places.is_sorted(), "{places:?} {}", said.out);
    let value = json(&replay("crashing-version-stopped-at-the-first-batch", &["--format", "json"]));
    let steps = value["steps"].as_array().unwrap();
    let of = |step: &Value, name: &str| step[name].as_str().unwrap_or("nothing").to_owned();
    let steps: Vec<String> = steps
        .iter()
        .map(|step| ["who", "what", "region", "why"].map(|name| of(step, name)).join(", "))
        .collect();
    let told = [
        "service, upgraded, east, nothing",
        "service, alarm, east, restarts again and again",
        "consumer, switched, west, alarm of the update service",
        "service, rolled back, east, nothing",
        "consumer, took back, east, primary caught up",
    ];
    assert_eq!(steps, told, "{value}");
    assert_eq!(value["steps"][0]["at"], "2024-01-01T00:00:40.0000000Z");
    assert_eq!(value["consumer"], serde_json::json!({ "rows": 17, "deduped": 13, "withdrawn": 2 }));
}

/// The bug shows only where something is opened again, and schedules without faults open nothing.
#[test]
#[cfg(feature = "plant")]
fn a_planted_bug_that_breaks_a_pair_is_written_down_and_replayed() {
    let fixture = fixture("pair-planted", 120);
    let check = ["check", "job.toml", "--plant", "tumbling-window-lost", "--report", "of two"];
    let said = fixture.run(&check);
    assert_eq!(said.exit, 1, "{}{}", said.out, said.err);
    narrow(&said);
    let value = json(&fixture.run(&[&check[..], &["--format", "json"]].concat()));
    let pairs = &value["pairs"];
    assert_eq!((&value["verdict"], &pairs["broken"]), (&"broken".into(), &true.into()));
    assert!(pairs["breach"]["title"].is_string() && pairs["pair"].is_u64(), "{pairs}");
    let file = pairs["case_file"].as_str().unwrap();
    let line = said.out.lines().find_map(|line| line.strip_prefix("  replay    ")).unwrap();
    assert_eq!(pairs["replay"], line);
    assert!(line.contains(&format!("replay '{file}' --plant tumbling-window-lost")), "{line}");
    let replay = fixture.run(&["replay", file, "--plant", "tumbling-window-lost", "--format", "json"]);
    let again = json(&replay);
    assert_eq!((replay.exit, &again["verdict"]), (1, &"broken".into()));
    assert_eq!(again["breach"], pairs["breach"]);
    assert_eq!(fixture.run(&["replay", file]).exit, 0, "without the bug it is fixed");
    // Where it cannot be written, it is told all the same.
    std::fs::remove_dir_all(fixture.folder.join("of two")).unwrap();
    fixture.write("target", "");
    let said = fixture.run(&check[..4]);
    assert_eq!(said.exit, 1, "{}{}", said.out, said.err);
    assert!(said.out.contains("\nbroken  ") && !said.out.contains("  replay  "), "{}", said.out);
    assert!(said.err.contains("error[output]: the report cannot be written"), "{}", said.err);
}
