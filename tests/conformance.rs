//! The worked examples of `tests/conformance`, through the model and through the engine: whole, cut anywhere, and
//! over a checkpoint at every place.
//!
//! What no other suite would catch: a rule that model and engine read alike, and wrongly. The expected rows are
//! the reference's own. Every file is run, save those named here, which must be refused as `unsupported`.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use rewindow::choices::{Choices, Seeded};
use rewindow_engine::instance::{Instance, Produced};
use rewindow_query::json::{read_event, to_json};
use rewindow_query::plan::{Op, Output};
use rewindow_query::{
    Dropped, Entry, History, Ordering, Payload, Plan, Policy, Row, Shard, Span, Timestamp, Value, analyse,
};
use serde_json::{Map, Value as Json};

/// How often the input of each case is cut anew.
const CUTS: u64 = 6;

/// What this version of the language leaves out, and the words that name it in the refusal.
const OUT_OF_SCOPE: &[(&str, &str)] = &[
    ("array_element_and_length", "GetArrayElement"),
    ("collecttop_two_per_group", "CollectTop"),
    ("concat_and_concat_ws", "CONCAT_WS"),
    ("create_table_drops_rows_that_deviate", "CREATE TABLE"),
    ("cross_and_outer_apply", "APPLY"),
    ("error_windows_mixed_ids", "Windows()"),
    ("hopping_periodic_last_value", "CREATE TABLE"),
    ("json_parse_record_and_null", "JSON_PARSE"),
    ("len_charindex_patindex", "CHARINDEX"),
    ("match_partitions_are_independent", "MATCH_RECOGNIZE"),
    ("match_plus_is_greedy_until_other_row", "MATCH_RECOGNIZE"),
    ("match_two_consecutive_warnings", "MATCH_RECOGNIZE"),
    ("nchar_unicode", "NCHAR"),
    ("nested_arrays_two_steps", "APPLY"),
    ("over_max_last_hour_per_class", "MAX OVER"),
    ("over_when_filters_history", "MIN OVER"),
    ("percentile_cont_95", "PERCENTILE_CONT"),
    ("percentile_disc_median_even_count", "PERCENTILE_DISC"),
    ("reference_join_expired_registration", "reference data"),
    ("reference_threshold_rules", "reference data"),
    ("replicate_and_space", "REPLICATE"),
    ("round_table", "ROUND"),
    ("session_diagram_timeout_and_max", "SessionWindow"),
    ("session_gap_over_timeout_splits", "SessionWindow"),
    ("session_max_duration_continues_from_check", "SessionWindow"),
    ("session_partitioned_splits_per_key", "SessionWindow"),
    ("session_per_user_min_max", "CREATE TABLE"),
    ("snapshot_after_tumbling_default_name_count", "snapshot window"),
    ("snapshot_removes_duplicates_then_average", "snapshot window"),
    ("spread_sample_and_population", "VARP"),
    ("st_within_point_polygon", "ST_WITHIN"),
    ("substream_key_null_drops_event", "TIMESTAMP BY ... OVER"),
    ("substring_and_stuff_edges", "SUBSTRING"),
    ("topone_null_is_smallest", "TopOne"),
    ("validation_base_query_snapshot_count", "APPLY"),
    ("watermark_illustration_substreams", "TIMESTAMP BY ... OVER"),
    ("windows_with_snapshot_member", "Windows()"),
    ("windows_without_ids_null_id", "Windows()"),
];

/// Name and content of every file.
fn cases() -> Vec<(String, Json)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    let read = |path: &std::path::PathBuf| {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        (name, serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap())
    };
    files.iter().map(read).collect()
}

#[test]
fn worked_examples_come_out_as_published() {
    let cases = cases();
    let mut wrong = Vec::new();
    let mut refused = BTreeSet::new();
    for (name, case) in &cases {
        let verdict = match OUT_OF_SCOPE.iter().find(|(known, _)| known == name) {
            Some((known, words)) => {
                refused.insert(*known);
                is_unsupported(case, words)
            }
            None => check(case),
        };
        wrong.extend(verdict.err().map(|why| format!("{name}: {why}")));
    }
    assert!(wrong.is_empty(), "{} of {} do not hold:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    assert_eq!(refused.len(), OUT_OF_SCOPE.len(), "every case named above has a file");
    assert!(cases.len() >= 106, "cases are never deleted");
}

/// The comparison itself: with a row left out, doubled or changed, no case holds.
#[test]
fn a_row_otherwise_than_published_is_seen() {
    let mut spoiled = 0;
    for (name, case) in
        cases().iter().filter(|(name, _)| !OUT_OF_SCOPE.iter().any(|(known, _)| known == name))
    {
        for (output, rows) in case["expected"].as_object().into_iter().flatten() {
            let Some(last) = rows.as_array().unwrap().last() else { continue };
            let mut changed = last.clone();
            let (_, value) = changed.as_object_mut().unwrap().iter_mut().next_back().unwrap();
            *value = Json::String("no such value".to_owned());
            let rows = rows.as_array().unwrap().as_slice();
            let short = &rows[..rows.len() - 1];
            for other in
                [short.to_vec(), [rows, std::slice::from_ref(last)].concat(), [short, &[changed]].concat()]
            {
                let mut case = case.clone();
                case["expected"][output] = Json::Array(other);
                assert!(check(&case).is_err(), "{name}: {output}");
                spoiled += 1;
            }
        }
    }
    assert!(spoiled > 150, "{spoiled} cases were spoiled");
}

fn is_unsupported(case: &Json, words: &str) -> Result<(), String> {
    match analyse(case["query"].as_str().unwrap(), None) {
        Err(error) if error.code == "unsupported" && error.message.contains(words) => Ok(()),
        Err(error) => Err(format!("refused as {}: {}", error.code, error.message)),
        Ok(_) => Err("is supported by now: take it off the list".to_owned()),
    }
}

/// One case by every way through both rooms.
fn check(case: &Json) -> Result<(), String> {
    let phase = case["expected_error"]["phase"].as_str();
    let plan = match (analyse(case["query"].as_str().unwrap(), None), phase) {
        (Err(error), Some("compile")) if error.code != "unsupported" => return Ok(()),
        (Err(error), _) => return Err(format!("refused: {}: {}", error.code, error.message)),
        (Ok(_), Some("compile")) => return Err("must be refused".to_owned()),
        (Ok(plan), _) => Arc::new(plan),
    };
    let fed = Fed::of(case, &plan);
    let start = instant(&case["settings"]["start"]["time"]).unwrap_or(Timestamp::MIN);
    let answer = rewindow_model::answer(&plan, &fed.ordering, &fed.partitions, &fed.history);
    let model = Said { rows: answer.rows, dropped: answer.dropped, failed: answer.failure.is_some() };
    compare(case, &plan, &fed, start, model).map_err(|why| format!("model: {why}"))?;
    let engine = |way: &str, said| {
        compare(case, &plan, &fed, start, said).map_err(|why| format!("engine, {way}: {why}"))
    };
    engine("whole", fed.engine(&plan, start, None, &mut |left| left))?;
    for seed in 0..CUTS {
        let mut choices = Seeded::new(seed, 0);
        let mut cut = |left| 1 + usize::try_from(choices.draw(left as u64)).unwrap();
        engine("cut", fed.engine(&plan, start, None, &mut cut))?;
    }
    for place in 0..=fed.history.entries.len() {
        engine(&format!("saved at {place}"), fed.engine(&plan, start, Some(place), &mut |_| 1))?;
    }
    Ok(())
}

fn instant(text: &Json) -> Option<Timestamp> {
    text.as_str().and_then(Timestamp::parse)
}

// ---- what goes in ---------------------------------------------------------------------------------------

/// The input of a case.
struct Fed {
    ordering: Ordering,
    partitions: Vec<u32>,
    history: History,
    /// Which row of which stream stands at (input, partition, offset).
    places: BTreeMap<(usize, u32, u64), (String, u64)>,
}

impl Fed {
    fn of(case: &Json, plan: &Plan) -> Fed {
        let span = |name: &str| Span::parse(case["settings"][name].as_str().unwrap()).unwrap();
        let ordering = Ordering {
            late: span("late_arrival_tolerance"),
            out_of_order: span("out_of_order_tolerance"),
            policy: if case["settings"]["policy"] == "drop" { Policy::Drop } else { Policy::Adjust },
        };
        let (mut partitions, mut rows) = (vec![1; plan.inputs.len()], Vec::new());
        for (stream, own) in case["inputs"].as_object().unwrap() {
            let Some(input) = plan.input(stream) else { continue };
            if let Some(count) = case["settings"]["partitions"][stream].as_u64() {
                partitions[input] = u32::try_from(count).unwrap();
            }
            for (number, row) in (0u64..).zip(own.as_array().unwrap()) {
                rows.push(((stream.clone(), number), entry(plan, input, row)));
            }
        }
        rows.sort_by_key(|(_, entry)| entry.arrival); // stable: at equal arrival in the order of streams
        let mut next = BTreeMap::new();
        let (mut entries, mut places) = (Vec::new(), BTreeMap::new());
        for (place, mut entry) in rows {
            let offset = next.entry((entry.input, entry.partition)).or_insert(0);
            entry.offset = *offset;
            *offset += 1;
            partitions[entry.input] = partitions[entry.input].max(entry.partition + 1);
            places.insert((entry.input, entry.partition, entry.offset), place);
            entries.push(entry);
        }
        Fed { ordering, partitions, history: History::of(entries), places }
    }

    /// What the engine says if `cut` says how many of the entries left of a partition go into a batch, and each
    /// part of the job is saved and loaded after `saved` entries.
    fn engine(
        &self,
        plan: &Arc<Plan>,
        start: Timestamp,
        saved: Option<usize>,
        cut: &mut dyn FnMut(usize) -> usize,
    ) -> Said {
        let mut said = Said { rows: Vec::new(), dropped: Vec::new(), failed: false };
        for shard in plan.shards(&self.partitions) {
            said.failed |= self.shard(plan, &shard, start, saved, cut, &mut said).is_err();
        }
        said.rows.sort_by_key(|row| (row.output, row.partition));
        said.dropped.sort();
        said.dropped.dedup();
        said
    }

    fn shard(
        &self,
        plan: &Arc<Plan>,
        shard: &Shard,
        start: Timestamp,
        saved: Option<usize>,
        cut: &mut dyn FnMut(usize) -> usize,
        said: &mut Said,
    ) -> Result<(), rewindow_query::Failure> {
        let mut instance = Instance::new(plan.clone(), shard.clone(), self.ordering, start);
        let mut keep = |produced: Produced| {
            said.rows.extend(produced.rows);
            said.dropped.extend(produced.dropped);
        };
        let (mut left, mut taken) = (self.history.entries.as_slice(), 0);
        loop {
            if saved.is_some_and(|saved| saved == taken) {
                let bytes = instance.checkpoint();
                instance = Instance::restore(plan.clone(), shard.clone(), self.ordering, &bytes)
                    .expect("the engine reads its own checkpoint");
            }
            let Some(first) = left.first() else { break };
            let same = |entry: &&Entry| (entry.input, entry.partition) == (first.input, first.partition);
            let run = left.iter().take_while(same).count();
            let (batch, rest) = left.split_at(cut(run));
            (left, taken) = (rest, taken + batch.len());
            keep(instance.feed(first.input, first.partition, batch)?);
        }
        keep(instance.finish()?);
        instance.failure().map_or(Ok(()), |failure| Err(failure.clone()))
    }
}

fn entry(plan: &Plan, input: usize, row: &Json) -> Entry {
    let members = row.as_object().unwrap().iter().filter(|(name, _)| !name.starts_with('@'));
    let plain: Map<String, Json> = members.map(|(name, value)| (name.clone(), value.clone())).collect();
    let text = row["@raw"].as_str().map_or_else(|| Json::Object(plain).to_string(), str::to_owned);
    let payload = match read_event(&text) {
        Ok(record) => Payload::Event(Arc::new(record)),
        Err(_) => Payload::Malformed(text.into()),
    };
    let partition = u32::try_from(row["@partition"].as_u64().unwrap_or(0)).unwrap();
    let arrival = instant(&row["@arrival"]).unwrap_or_else(|| own_time(plan, input, &payload));
    Entry { input, partition, offset: 0, arrival, payload }
}

/// The value of TIMESTAMP BY: the timestamp of the event where nothing is early, late or out of order.
fn own_time(plan: &Plan, input: usize, payload: &Payload) -> Timestamp {
    let of_input = |op: &Op| matches!(op, Op::Source(s) if s.input == input && s.timestamp_by.is_some());
    let node = plan.nodes.iter().position(|node| of_input(&node.op)).unwrap();
    let outputs = vec![Output { name: "own".into(), node }];
    let plan = Plan { outputs, parallel: false, ..plan.clone() };
    let wide = Ordering { late: Span(i64::MAX), out_of_order: Span::ZERO, policy: Policy::Adjust };
    let arrival = Timestamp::parse("9999-01-01").unwrap();
    let entry = Entry { input, partition: 0, offset: 0, arrival, payload: payload.clone() };
    let history = History::of(vec![entry]);
    let answer = rewindow_model::answer(&plan, &wide, &vec![1; plan.inputs.len()], &history);
    answer.rows.first().expect("a row without @arrival has an own time").timestamp
}

// ---- what comes out -------------------------------------------------------------------------------------

/// What a room says of a case.
struct Said {
    rows: Vec<Row>,
    dropped: Vec<Dropped>,
    failed: bool,
}

fn compare(case: &Json, plan: &Plan, fed: &Fed, start: Timestamp, said: Said) -> Result<(), String> {
    let owed = case["expected_error"]["phase"] == "runtime";
    if said.failed != owed {
        return Err(if owed { "must fail".to_owned() } else { "fails".to_owned() });
    }
    if owed {
        return Ok(());
    }
    let until = instant(&case["compare_until"]).unwrap_or(Timestamp::MAX);
    for (name, expected) in case["expected"].as_object().unwrap() {
        let output = plan.output(name).ok_or_else(|| format!("no output {name}"))?;
        let mut rows: Vec<&Row> = said.rows.iter().filter(|row| row.output == output).collect();
        rows.retain(|row| (start..=until).contains(&row.timestamp));
        rows.sort_by_key(|row| row.timestamp); // stable: parts of the job are merged by time
        same_rows(case, &rows, expected.as_array().unwrap()).map_err(|why| format!("{name}: {why}"))?;
    }
    let expected: BTreeSet<(String, u64, &str)> = (case["expected_drops"].as_array().into_iter().flatten())
        .map(|d| {
            (
                d["stream"].as_str().unwrap().to_owned(),
                d["row"].as_u64().unwrap(),
                d["reason"].as_str().unwrap(),
            )
        })
        .collect();
    let of = |drop: &Dropped| {
        let (stream, row) = fed.places[&(drop.input, drop.partition, drop.offset)].clone();
        (stream, row, drop.reason.name())
    };
    let dropped: BTreeSet<(String, u64, &str)> = said.dropped.iter().map(of).collect();
    if dropped == expected { Ok(()) } else { Err(format!("dropped {dropped:?}, expected {expected:?}")) }
}

fn same_rows(case: &Json, rows: &[&Row], expected: &[Json]) -> Result<(), String> {
    let tolerance = case["tolerance"].as_f64();
    let mut left: Vec<&&Row> = rows.iter().collect();
    for (place, wanted) in expected.iter().enumerate() {
        let fits = |row: &&&Row| same_row(row, wanted.as_object().unwrap(), tolerance);
        let found = match case["unordered"] == true {
            true => left.iter().position(fits),
            false => left.first().filter(|row| fits(row)).map(|_| 0),
        };
        let Some(found) = found else {
            let rows: Vec<String> = rows.iter().map(|row| row.record.to_string()).collect();
            return Err(format!(
                "row {place} {wanted} is missing or out of place in\n  {}",
                rows.join("\n  ")
            ));
        };
        left.remove(found);
    }
    left.first().map_or(Ok(()), |row| Err(format!("{} is not expected", row.record)))
}

/// A missing member equals null only where the expected row shows null.
fn same_row(row: &Row, wanted: &Map<String, Json>, tolerance: Option<f64>) -> bool {
    let known = row.record.members().iter().all(|(name, _)| wanted.contains_key(&**name));
    let same = |(name, wanted): (&String, &Json)| {
        same_value(row.record.get(name).unwrap_or(&Value::Null), wanted, tolerance)
    };
    known && wanted.iter().all(same)
}

/// Numbers by value, datetimes by instant, everything else exactly.
fn same_value(value: &Value, wanted: &Json, tolerance: Option<f64>) -> bool {
    match (value, wanted) {
        (Value::Int(_) | Value::Float(_), Json::Number(wanted)) => {
            let (a, b) = (to_json(value).as_f64().unwrap(), wanted.as_f64().unwrap());
            (a - b).abs() <= tolerance.unwrap_or(1e-9 * a.abs().max(b.abs()))
        }
        (Value::Datetime(at), Json::String(wanted)) => Timestamp::parse(wanted) == Some(*at),
        (Value::Array(items), Json::Array(wanted)) => {
            let same = |(item, wanted)| same_value(item, wanted, tolerance);
            items.len() == wanted.len() && items.iter().zip(wanted).all(same)
        }
        (Value::Record(record), Json::Object(wanted)) => {
            let same = |(name, wanted): (&String, &Json)| {
                record.get(name).is_some_and(|value| same_value(value, wanted, tolerance))
            };
            record.members().len() == wanted.len() && wanted.iter().all(same)
        }
        _ => to_json(value) == *wanted,
    }
}
