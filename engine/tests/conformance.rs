//! The engine against the published worked examples: rows, order and drops. Would catch what engine and
//! model get wrong alike.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Conformance, agrees, row_json};
use serde_json::Value as Json;

#[test]
fn worked_examples_come_out_as_published() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/conformance");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let (mut ran, mut wrong) = (0, Vec::new());
    for path in paths.iter().filter(|path| path.extension().is_some_and(|e| e == "json")) {
        let Some(case) = Conformance::read(&std::fs::read_to_string(path).unwrap()) else { continue };
        ran += 1;
        if let Err(why) = check(&case) {
            wrong.push(format!("{}: {why}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{} of {ran} are wrong\n{}", wrong.len(), wrong.join("\n"));
    assert!(ran >= 40, "only {ran} cases are covered");
}

fn check(case: &Conformance) -> Result<(), String> {
    let (produced, failure) = case.run();
    match (&failure, case.json["expected_error"]["phase"].as_str()) {
        (None, None) | (Some(_), Some("runtime")) => {}
        (failure, expected) => return Err(format!("failure {failure:?}, expected {expected:?}")),
    }
    if let Some(expected) = case.json["expected_drops"].as_array() {
        let mut expected: Vec<String> = expected
            .iter()
            .map(|drop| {
                let row =
                    (drop["stream"].as_str().unwrap().to_owned(), drop["row"].as_u64().unwrap() as usize);
                format!("{:?} {}", case.places[&row], drop["reason"].as_str().unwrap())
            })
            .collect();
        expected.sort();
        let drops = produced.dropped.iter();
        let mut found: Vec<String> =
            drops.map(|d| format!("{:?} {}", (d.input, d.partition, d.offset), d.reason.name())).collect();
        found.sort();
        if found != expected {
            return Err(format!("dropped {found:?}, expected {expected:?}"));
        }
    }
    let until = case.json["compare_until"].as_str().map(|t| rewindow_query::Timestamp::parse(t).unwrap());
    let none = serde_json::Map::new();
    for (name, expected) in case.json["expected"].as_object().unwrap_or(&none) {
        let output = case.plan.output(name).ok_or(format!("no output {name}"))?;
        let mut rows: Vec<_> = produced.rows.iter().filter(|row| row.output == output).collect();
        rows.retain(|row| until.is_none_or(|until| row.timestamp <= until));
        rows.sort_by_key(|row| row.timestamp);
        let found: Vec<Json> = rows.iter().map(|row| row_json(&row.record)).collect();
        compare(found, expected.as_array().unwrap(), case.json["unordered"] == true)
            .map_err(|why| format!("{name}: {why}"))?;
    }
    Ok(())
}

fn compare(mut found: Vec<Json>, expected: &[Json], unordered: bool) -> Result<(), String> {
    let shown = format!("{found:?}");
    for (place, row) in expected.iter().enumerate() {
        let fits = |candidate: &Json| agrees(candidate, row);
        match found.iter().position(fits) {
            Some(at) if unordered || at == 0 => drop(found.remove(at)),
            _ => return Err(format!("row {place} {row} is missing or out of place in {shown}")),
        }
    }
    if found.is_empty() { Ok(()) } else { Err(format!("unexpected {found:?}")) }
}
