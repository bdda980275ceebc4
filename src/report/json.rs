//! The report for machines: `result.json`.
//!
//! Invariant: fields are added, never renamed or removed, while [`VERSION`] stays.

use rewindow_query::Row;
use rewindow_query::json::record_to_json;
use serde::Serialize;
use serde_json::{Value as Json, json as object};

use super::recoveries::{Recovery, recoveries};
use super::{Finding, Origin, Shrinking, words};
use crate::judge::Breach;

/// The version of this form.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Result<'a> {
    version: u32,
    fingerprint: String,
    title: String,
    claim: &'static str,
    kind: &'static str,
    operator: &'static str,
    output: &'a str,
    fault: Option<&'static str>,
    at: String,
    expected: Option<Json>,
    actual: Option<Json>,
    message: &'a str,
    level: Option<&'static str>,
    state: Option<Json>,
    shrinking: Option<Shrinking>,
    recoveries: Vec<Recovery>,
    origin: &'a Origin,
    program: &'static str,
    replay: &'a str,
    case: String,
}

/// The finding as JSON text, ended by a line end.
pub fn json(finding: &Finding<'_>) -> String {
    let breach = finding.breach;
    let result = Result {
        version: VERSION,
        fingerprint: finding.fingerprint(),
        title: words::title(breach),
        claim: breach.claim.name(),
        kind: breach.kind.name(),
        operator: breach.operator,
        output: &breach.output_name,
        fault: breach.fault,
        at: breach.at.to_string(),
        expected: breach.expected.as_ref().map(row),
        actual: breach.actual.as_ref().map(row),
        message: &breach.message,
        level: breach.level.map(crate::judge::Level::name),
        state: finding
            .state
            .map(|state| object!({ "key": state.key, "expected": state.expected, "actual": state.actual })),
        shrinking: finding.shrinking,
        recoveries: recoveries(finding.truth, finding.case, finding.run),
        origin: finding.origin,
        program: env!("CARGO_PKG_VERSION"),
        replay: finding.replay,
        case: finding.case.to_toml(),
    };
    let mut text = serde_json::to_string_pretty(&result).expect("strings, numbers and lists are JSON");
    text.push('\n');
    text
}

/// What a breach says, in the words of a finding.
pub fn breach_json(breach: &Breach) -> Json {
    object!({
        "title": words::title(breach),
        "claim": breach.claim.name(),
        "kind": breach.kind.name(),
        "operator": breach.operator,
        "output": &*breach.output_name,
        "fault": breach.fault,
        "at": breach.at.to_string(),
        "expected": breach.expected.as_ref().map(row),
        "actual": breach.actual.as_ref().map(row),
        "message": breach.message,
        "level": breach.level.map(crate::judge::Level::name),
    })
}

fn row(row: &Row) -> Json {
    object!({
        "output": row.output,
        "partition": row.partition,
        "timestamp": row.timestamp.to_string(),
        "key": row.key.iter().map(rewindow_query::json::to_json).collect::<Vec<Json>>(),
        "ordinal": row.ordinal,
        "record": record_to_json(&row.record),
    })
}
