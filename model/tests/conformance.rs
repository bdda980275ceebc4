//! The conformance cases of `tests/conformance` against the model: queries, inputs and rows taken from the
//! reference's own pages. Catches a rule that both model and engine read wrongly.
//!
//! Every case is named here, so that none is lost in silence.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use rewindow_model::{Answer, answer};
use rewindow_query::event::Reference;
use rewindow_query::json::{read_event, to_json};
use rewindow_query::plan::Input;
use rewindow_query::{
    Entry, History, Ordering, Payload, Plan, Policy, Reason, Record, Span, Timestamp, Value, analyse,
};
use serde_json::Value as Json;

/// Cases that must hold.
const CASES: &[&str] = &[
    "aggregates_skip_null_and_missing",
    "array_element_and_length",
    "bit_float_conversion",
    "bitwise_and_bit",
    "bitwise_not_and_types",
    "bitwise_or_bigint",
    "boolean_input_level_1_2",
    "case_lane_by_brand",
    "coalesce_table",
    "collecttop_two_per_group",
    "comparisons_with_null_are_false",
    "concat_and_concat_ws",
    "count_of_stream_name",
    "create_table_drops_rows_that_deviate",
    "cross_and_outer_apply",
    "datediff_counts_boundaries",
    "default_output_name",
    "dot_notation_nested",
    "error_alias_in_where",
    "error_count_distinct_over",
    "error_lag_offset_zero",
    "error_nested_analytic_functions",
    "error_select_star_in_join",
    "error_two_window_functions",
    "error_windows_mixed_ids",
    "gettype_names",
    "hopping_periodic_last_value",
    "hopping_size_not_multiple_of_hop",
    "isfirst_every_ten_minutes",
    "isfirst_interval_end_inclusive",
    "join_datediff_counts_boundaries_upper",
    "join_entry_exit_fifteen_minutes",
    "join_null_keys_do_not_match",
    "join_on_partition_id",
    "json_parse_record_and_null",
    "lag_duration_expires",
    "lag_evaluated_before_where",
    "lag_offset_two_with_default",
    "lag_ties_in_arrival_order",
    "lag_value_changed",
    "lag_when_threshold_crossing",
    "last_duration_start_to_end",
    "last_timestamp_when_threshold",
    "left_join_result_timestamps",
    "len_charindex_patindex",
    "like_and_not_like_both_reject_null",
    "malformed_json_event_dropped",
    "match_partitions_are_independent",
    "match_plus_is_greedy_until_other_row",
    "match_two_consecutive_warnings",
    "min_max_datetime_and_cast_text",
    "multi_output_archive_and_alert",
    "nchar_unicode",
    "nested_arrays_two_steps",
    "order_policy_adjust_late10_ooo3",
    "order_policy_late15s_ooo8s",
    "over_max_last_hour_per_class",
    "over_when_filters_history",
    "partitioned_step_counts_per_partition",
    "percentile_cont_95",
    "percentile_disc_median_even_count",
    "reference_join_expired_registration",
    "reference_threshold_rules",
    "reorder_buffer_changes_lag",
    "repartition_by_key_same_result",
    "replicate_and_space",
    "round_table",
    "self_join_same_sim_two_switches",
    "session_diagram_timeout_and_max",
    "session_gap_over_timeout_splits",
    "session_max_duration_continues_from_check",
    "session_partitioned_splits_per_key",
    "session_per_user_min_max",
    "sliding_counts_empty_after_last_exit",
    "sliding_diagram_all_rows",
    "sliding_enter_and_exit_points",
    "sliding_max_drops_on_exit_per_group",
    "snapshot_after_tumbling_default_name_count",
    "snapshot_removes_duplicates_then_average",
    "spread_sample_and_population",
    "st_within_point_polygon",
    "star_does_not_override_earlier_column",
    "start_custom_first_window_is_complete",
    "start_join_sees_earlier_left_event",
    "start_passthrough_inclusive",
    "substream_key_null_drops_event",
    "substring_and_stuff_edges",
    "sum_mixes_bigint_and_float",
    "three_way_join_errors_inside_transaction",
    "timestamp_by_epoch_milliseconds",
    "timestamp_by_unusable_value_drops_event",
    "topone_null_is_smallest",
    "try_cast_and_is_not_null_filter",
    "tumbling_count_distinct_2s",
    "tumbling_diagram_10s",
    "tumbling_duration_form_and_short_name",
    "tumbling_empty_windows_silent",
    "tumbling_having_alias",
    "tumbling_offset_minus_1ms",
    "two_outputs_from_one_step",
    "union_keeps_duplicates",
    "validation_base_query_snapshot_count",
    "watermark_illustration_substreams",
    "where_like_pattern",
    "windows_with_snapshot_member",
    "windows_without_ids_null_id",
];

struct Case {
    name: String,
    json: Json,
}

fn cases() -> Vec<Case> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/conformance");
    let files = std::fs::read_dir(folder).expect("the conformance cases are in the repository");
    let mut cases = Vec::new();
    for file in files {
        let path = file.expect("a folder can be listed").path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let text = std::fs::read_to_string(&path).expect("a case can be read");
            let json = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            let name = path.file_stem().expect("it has a name").to_string_lossy().into_owned();
            cases.push(Case { name, json });
        }
    }
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    cases
}

#[test]
fn every_case_is_named() {
    let files: Vec<String> = cases().into_iter().map(|case| case.name).collect();
    assert_eq!(files, CASES);
}

#[test]
fn every_case_holds() {
    let mut wrong = Vec::new();
    for case in cases() {
        wrong.extend(verdict(&case.json).err().map(|why| format!("{}: {why}", case.name)));
    }
    assert!(wrong.is_empty(), "{} of {} do not hold:\n{}", wrong.len(), CASES.len(), wrong.join("\n"));
}

/// Whether the case holds, or why not.
fn verdict(case: &Json) -> Result<(), String> {
    let query = case["query"].as_str().expect("a case has a query");
    let phase = case["expected_error"]["phase"].as_str();
    let streams: Vec<String> =
        case["inputs"].as_object().map(|i| i.keys().cloned().collect()).unwrap_or_default();
    let plan = match (analyse(query, None), phase) {
        (Err(error), Some("compile")) if error.code != "unsupported" => return Ok(()),
        (Err(error), _) => return Err(format!("refused: {error}")),
        (Ok(_), Some("compile")) => return Err("the query must be refused".to_owned()),
        (Ok(plan), _) => plan,
    };
    let (partitions, history, places) = history(case, &plan, &streams);
    let answer = answer(&plan, &ordering(&case["settings"]), &partitions, &history);
    match phase {
        Some(_) if answer.failure.is_none() => Err("the job must fail".to_owned()),
        Some(_) => Ok(()),
        None => check_rows(case, &plan, &answer).and_then(|()| check_drops(case, &answer, &places)),
    }
}

fn ordering(settings: &Json) -> Ordering {
    let span =
        |name: &str| settings[name].as_str().and_then(Span::parse).expect("a case states its tolerances");
    let policy = match settings["policy"].as_str() {
        Some("drop") => Policy::Drop,
        _ => Policy::Adjust,
    };
    let (late, out_of_order) = (span("late_arrival_tolerance"), span("out_of_order_tolerance"));
    Ordering { late, out_of_order, policy }
}

/// Partitions, entries, and which (stream, row) each entry was.
type Fed = (Vec<u32>, History, BTreeMap<(usize, u32, u64), (String, u64)>);

fn history(case: &Json, plan: &Plan, streams: &[String]) -> Fed {
    let mut partitions = vec![1; plan.inputs.len()];
    let mut rows = Vec::new();
    for stream in streams {
        let Some(input) = plan.input(stream) else { continue };
        if let Some(count) = case["settings"]["partitions"][stream].as_u64() {
            partitions[input] = u32::try_from(count).expect("few partitions");
        }
        for (number, row) in case["inputs"][stream].as_array().expect("a stream has rows").iter().enumerate()
        {
            rows.push((
                stream.clone(),
                input,
                u64::try_from(number).expect("few rows"),
                entry(plan, input, row),
            ));
        }
    }
    rows.sort_by_key(|(_, _, _, entry)| entry.arrival); // stable: ties in the order of streams
    let mut next: BTreeMap<(usize, u32), u64> = BTreeMap::new();
    let (mut entries, mut places) = (Vec::new(), BTreeMap::new());
    for (stream, input, number, mut entry) in rows {
        let offset = next.entry((input, entry.partition)).or_insert(0);
        entry.offset = *offset;
        *offset += 1;
        partitions[input] = partitions[input].max(entry.partition + 1);
        places.insert((input, entry.partition, entry.offset), (stream, number));
        entries.push(entry);
    }
    (partitions, History { entries, references: references(case, plan).into() }, places)
}

/// Reference data has one version, in force from the beginning.
fn references(case: &Json, plan: &Plan) -> Vec<Reference> {
    let rows = |input: &Input| {
        let named = case["reference_inputs"].as_object().into_iter().flatten();
        let rows = named.filter(|(name, _)| name.eq_ignore_ascii_case(&input.name)).flat_map(|(_, rows)| {
            rows.as_array().expect("reference data has rows").iter().map(|row| {
                Arc::new(read_event(&row.to_string()).expect("a row of reference data is an event"))
            })
        });
        Reference { versions: vec![(Timestamp::MIN, rows.collect())] }
    };
    plan.references.iter().map(rows).collect()
}

fn entry(plan: &Plan, input: usize, row: &Json) -> Entry {
    let members = row.as_object().expect("a row is an object");
    let plain: serde_json::Map<String, Json> = members
        .iter()
        .filter(|(name, _)| !name.starts_with('@'))
        .map(|(n, v)| (n.clone(), v.clone()))
        .collect();
    let text = row["@raw"].as_str().map_or_else(|| Json::Object(plain).to_string(), str::to_owned);
    let payload = match read_event(&text) {
        Ok(record) => Payload::Event(Arc::new(record)),
        Err(_) => Payload::Malformed(text.into()),
    };
    let partition = u32::try_from(row["@partition"].as_u64().unwrap_or(0)).expect("few partitions");
    let arrival = match row["@arrival"].as_str() {
        Some(text) => Timestamp::parse(text).expect("an arrival is ISO text"),
        None => own_time(plan, input, &payload),
    };
    Entry { input, partition, offset: 0, arrival, payload }
}

/// "Default: the value of the TIMESTAMP BY expression", found by asking the plan's own source: with every
/// tolerance wide open its timestamp column is that value.
fn own_time(plan: &Plan, input: usize, payload: &Payload) -> Timestamp {
    use rewindow_query::plan::{Op, Output};
    let is_source = |op: &Op| matches!(op, Op::Source(s) if s.input == input && s.timestamp_by.is_some());
    let node = plan.nodes.iter().position(|node| is_source(&node.op)).expect("@arrival or TIMESTAMP BY");
    let output = Output { name: "own".into(), node };
    let plan = Plan { outputs: vec![output], parallel: false, ..plan.clone() };
    let wide = Ordering { late: Span(i64::MAX), out_of_order: Span::ZERO, policy: Policy::Adjust };
    let arrival = Timestamp::parse("9999-01-01").expect("it is ISO text");
    let entry = Entry { input, partition: 0, offset: 0, arrival, payload: payload.clone() };
    let answer = answer(&plan, &wide, &vec![1; plan.inputs.len()], &History::of(vec![entry]));
    answer.rows.first().expect("TIMESTAMP BY gives an instant, or @arrival is stated").timestamp
}

fn check_rows(case: &Json, plan: &Plan, answer: &Answer) -> Result<(), String> {
    if let Some(failure) = &answer.failure {
        return Err(format!("failed at {}: {}", failure.at, failure.message));
    }
    let instant = |text: &Json| text.as_str().and_then(Timestamp::parse);
    let start = instant(&case["settings"]["start"]["time"]).unwrap_or(Timestamp::MIN);
    let end = instant(&case["compare_until"]).unwrap_or(Timestamp::MAX);
    for (name, expected) in case["expected"].as_object().expect("rows are expected") {
        let output = plan.output(name).ok_or_else(|| format!("no output {name}"))?;
        let owed = |row: &&rewindow_query::Row| {
            row.output == output && start <= row.timestamp && row.timestamp <= end
        };
        let mut rows: Vec<_> = answer.rows.iter().filter(owed).collect();
        rows.sort_by_key(|row| row.timestamp); // partitions are merged by time
        let actual: Vec<&Record> = rows.into_iter().map(|row| &*row.record).collect();
        let expected = expected.as_array().expect("an output has rows");
        let tolerance = case["tolerance"].as_f64();
        let unordered = case["unordered"].as_bool().unwrap_or(false);
        if !same_rows(&actual, expected, tolerance, unordered) {
            let lines = |rows: Vec<String>| rows.join("\n    ");
            return Err(format!(
                "{name}\n  expected\n    {}\n  actual\n    {}",
                lines(expected.iter().map(Json::to_string).collect()),
                lines(actual.iter().map(ToString::to_string).collect()),
            ));
        }
    }
    Ok(())
}

fn same_rows(actual: &[&Record], expected: &[Json], tolerance: Option<f64>, unordered: bool) -> bool {
    let same = |actual: &Record, expected: &Json| {
        let expected = expected.as_object().expect("a row is an object");
        let known = actual.members().iter().all(|(name, _)| expected.contains_key(&**name));
        known && expected.iter().all(|(name, e)| same(actual.get(name).unwrap_or(&Value::Null), e, tolerance))
    };
    if actual.len() != expected.len() {
        return false;
    }
    if !unordered {
        return actual.iter().zip(expected).all(|(a, e)| same(a, e));
    }
    let mut left: Vec<&Json> = expected.iter().collect();
    actual.iter().all(|a| left.iter().position(|e| same(a, e)).map(|place| left.remove(place)).is_some())
}

/// Numbers by value, datetimes by instant, everything else exactly.
fn same(actual: &Value, expected: &Json, tolerance: Option<f64>) -> bool {
    match (actual, expected) {
        (Value::Int(_) | Value::Float(_), Json::Number(e)) => {
            let (a, e) = (to_json(actual).as_f64().unwrap_or(f64::NAN), e.as_f64().unwrap_or(f64::NAN));
            (a - e).abs() <= tolerance.unwrap_or(1e-9 * a.abs().max(e.abs()))
        }
        (Value::Datetime(a), Json::String(e)) => Timestamp::parse(e) == Some(*a),
        (Value::Array(a), Json::Array(e)) => {
            a.len() == e.len() && a.iter().zip(e).all(|(a, e)| same(a, e, tolerance))
        }
        (Value::Record(a), Json::Object(e)) => {
            a.members().len() == e.len()
                && e.iter().all(|(n, e)| a.get(n).is_some_and(|a| same(a, e, tolerance)))
        }
        _ => to_json(actual) == *expected,
    }
}

fn check_drops(
    case: &Json,
    answer: &Answer,
    places: &BTreeMap<(usize, u32, u64), (String, u64)>,
) -> Result<(), String> {
    let expected: BTreeSet<(String, u64, String)> = case["expected_drops"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|drop| {
            let text = |name: &str| drop[name].as_str().expect("a drop names it").to_owned();
            (text("stream"), drop["row"].as_u64().expect("a drop has a row"), text("reason"))
        })
        .collect();
    let name = |reason: Reason| reason.name().to_owned();
    let actual: BTreeSet<(String, u64, String)> = answer
        .dropped
        .iter()
        .map(|drop| {
            let (stream, row) = places[&(drop.input, drop.partition, drop.offset)].clone();
            (stream, row, name(drop.reason))
        })
        .collect();
    if actual == expected { Ok(()) } else { Err(format!("dropped {actual:?}, expected {expected:?}")) }
}
