//! What came out against what is expected.
//!
//! Numbers are compared by value, datetimes by instant, everything else exactly. Rows stand in the order of their
//! timestamps; rows of one timestamp in any order, because nobody says in which. Invariant: no differences
//! exactly where a one-to-one assignment of rows to expected rows exists within these bounds.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;
use std::path::PathBuf;

use rewindow_query::json::to_json;
use rewindow_query::{Dropped, Plan, Record, Row, Timestamp, Value};
use serde_json::{Map, Value as Json};

use super::feed::Fed;
use super::play::Played;
use super::{Drop, Expected, ExpectedOutput, ExpectedRow, Test, Tolerance};

/// Most rows of one timestamp for which the best assignment is searched; beyond, the first near one that fits
/// is taken.
const SEARCH_MAX: usize = 512;
/// Most differences of an output that are looked into.
const DIFFERENCES_MAX: usize = 100;

/// One thing that is not as expected.
#[derive(Clone, PartialEq, Debug)]
pub enum Difference {
    /// The program itself is at fault: it panicked or did not read its own state.
    Fault(String),
    /// The job fails and should not.
    Fails {
        /// When.
        at: Timestamp,
        /// Why.
        message: String,
    },
    /// The job should fail and does not.
    DoesNotFail,
    /// The query writes no such output.
    NoOutput {
        /// The output that is expected.
        name: String,
        /// Those there are.
        known: Vec<String>,
    },
    /// A row that is expected, a row that came, or one in place of the other.
    Row {
        /// The output.
        output: String,
        /// The row that is expected, and where that is said.
        expected: Option<Box<Wanted>>,
        /// The row that came.
        actual: Option<(Timestamp, Map<String, Json>)>,
        /// The columns in which they differ, where there are both.
        apart: Vec<String>,
    },
    /// The rows are those expected, in another order.
    Order {
        /// The output.
        output: String,
        /// The first row that is expected elsewhere, and where it came.
        expected: Box<Wanted>,
        /// Its place among the rows that came, from 1.
        came: usize,
    },
    /// Differences that were not looked into.
    More {
        /// The output.
        output: String,
        /// Expected rows that found no partner.
        expected: usize,
        /// Rows that found none.
        actual: usize,
    },
    /// An event that was dropped and should not be, or the other way round.
    Drop {
        /// The event and the reason.
        event: Drop,
        /// It should be dropped, and was not.
        expected: bool,
    },
}

/// A row that is expected, and where that is said.
#[derive(Clone, PartialEq, Debug)]
pub struct Wanted {
    /// The file.
    pub file: PathBuf,
    /// The line in it, from 1.
    pub line: usize,
    /// The number of the row in its output, from 1.
    pub number: usize,
    /// The row.
    pub columns: Map<String, Json>,
}

/// Everything that is not as expected, in the order of the outputs; empty if all is.
pub fn compare(test: &Test, plan: &Plan, fed: &Fed, played: &Played) -> Vec<Difference> {
    if let Some(words) = &played.fault {
        return vec![Difference::Fault(words.clone())];
    }
    let start = test.start.unwrap_or(Timestamp::MIN);
    let (outputs, fails) = match &test.expected {
        Expected::Rows(outputs) => (outputs, false),
        Expected::Fails(outputs) => (outputs, true),
        Expected::Refused(_) => return Vec::new(), // the plan was never asked for
    };
    match &played.failure {
        None if fails => return vec![Difference::DoesNotFail],
        // What fails before the output starts is never computed; the model, which computes all, cannot tell.
        Some((at, _)) if !fails && *at < start => return Vec::new(),
        Some((at, message)) if !fails => {
            return vec![Difference::Fails { at: *at, message: message.clone() }];
        }
        _ => {}
    }
    let mut differences = Vec::new();
    for expected in outputs {
        let Some(output) = plan.output(&expected.name) else {
            let known = plan.outputs.iter().map(|output| output.name.to_string()).collect();
            differences.push(Difference::NoOutput { name: expected.name.clone(), known });
            continue;
        };
        let until = test.until.unwrap_or(Timestamp::MAX);
        let mut rows: Vec<&Row> = played.rows.iter().filter(|row| row.output == output).collect();
        rows.retain(|row| (start..=until).contains(&row.timestamp));
        rows.sort_by_key(|row| row.timestamp); // stable: parts of the job are merged by time
        differences.extend(compare_output(test, expected, &rows));
    }
    if let (Some(drops), Some(dropped), false) = (&test.drops, &played.dropped, fails) {
        differences.extend(compare_drops(test, fed, drops, dropped));
    }
    differences
}

fn compare_drops(test: &Test, fed: &Fed, drops: &[Drop], dropped: &[Dropped]) -> Vec<Difference> {
    let named = |drop: &Dropped| {
        let (stream, row) = fed.places[&(drop.input, drop.partition, drop.offset)];
        Drop { stream: test.inputs[stream].name.clone(), row, reason: drop.reason }
    };
    let actual: BTreeSet<Drop> = dropped.iter().map(named).collect();
    let expected: BTreeSet<Drop> = drops.iter().cloned().collect();
    let of = |from: &BTreeSet<Drop>, other: &BTreeSet<Drop>, expected| -> Vec<Difference> {
        from.difference(other).map(|event| Difference::Drop { event: event.clone(), expected }).collect()
    };
    [of(&expected, &actual, true), of(&actual, &expected, false)].concat()
}

fn compare_output(test: &Test, expected: &ExpectedOutput, rows: &[&Row]) -> Vec<Difference> {
    let fits = |wanted: usize, row: usize| {
        let ExpectedOutput { rows: all, ignored, .. } = expected;
        same_row(&rows[row].record, &all[wanted].columns, ignored, test.tolerance)
    };
    // Spans of rows inside which the order is free.
    let mut spans: Vec<usize> = match test.unordered {
        true => vec![rows.len()],
        false => rows.chunk_by(|a, b| a.timestamp == b.timestamp).map(<[&Row]>::len).collect(),
    };
    let mut pairs = Vec::new();
    let mut at = 0;
    if rows.len() == expected.rows.len() {
        spans.retain(|len| {
            let found = assign(expected, rows, at..at + len, at..at + len, &fits);
            let complete = found.len() == *len;
            pairs.extend(found);
            at += len;
            !complete
        });
        if spans.is_empty() {
            return Vec::new();
        }
    }
    // They differ: say which rows are at fault, wherever they stand.
    let pairs = assign(expected, rows, 0..expected.rows.len(), 0..rows.len(), &fits);
    if pairs.len() == rows.len() && rows.len() == expected.rows.len() {
        let moved = pairs.iter().find(|(wanted, row)| rows[*row].timestamp != rows[*wanted].timestamp);
        return moved.map(|&(place, row)| misplaced(expected, place, row)).into_iter().collect();
    }
    beside(test, expected, rows, &pairs)
}

fn misplaced(expected: &ExpectedOutput, place: usize, row: usize) -> Difference {
    let output = expected.name.clone();
    Difference::Order { output, expected: Box::new(wanted(expected, place)), came: row + 1 }
}

/// What found no partner, each expected row beside the row that is most like it.
fn beside(
    test: &Test,
    expected: &ExpectedOutput,
    rows: &[&Row],
    pairs: &[(usize, usize)],
) -> Vec<Difference> {
    let paired: (BTreeSet<usize>, BTreeSet<usize>) = pairs.iter().copied().unzip();
    let mut left: Vec<usize> = (0..rows.len()).filter(|row| !paired.1.contains(row)).collect();
    let mut differences = Vec::new();
    let lost = (0..expected.rows.len()).filter(|place| !paired.0.contains(place));
    let count = expected.rows.len() - paired.0.len();
    for place in lost.take(DIFFERENCES_MAX) {
        let row = &expected.rows[place];
        // Far more than anybody reads are not worth a search.
        let near = left.iter().take(SEARCH_MAX).enumerate();
        let likeness = |row_at: usize| likeness(&rows[row_at].record, row, &expected.ignored, test.tolerance);
        let best = near.map(|(at, &row)| (likeness(row), at)).filter(|(alike, _)| *alike > 0);
        let best =
            best.max_by_key(|&(alike, at)| (alike, std::cmp::Reverse(at))).map(|(_, at)| left.remove(at));
        let apart =
            best.map_or_else(Vec::new, |best| apart(test, &rows[best].record, row, &expected.ignored));
        let actual = best.map(|row| shown(rows[row], &expected.ignored));
        let (output, expected) = (expected.name.clone(), Some(Box::new(wanted(expected, place))));
        differences.push(Difference::Row { output, expected, actual, apart });
    }
    let room = DIFFERENCES_MAX - differences.len();
    let more = (count.saturating_sub(DIFFERENCES_MAX), left.len().saturating_sub(room));
    for row in left.into_iter().take(room) {
        let actual = Some(shown(rows[row], &expected.ignored));
        let output = expected.name.clone();
        differences.push(Difference::Row { output, expected: None, actual, apart: Vec::new() });
    }
    if more != (0, 0) {
        differences.push(Difference::More {
            output: expected.name.clone(),
            expected: more.0,
            actual: more.1,
        });
    }
    differences
}

fn shown(row: &Row, ignored: &[String]) -> (Timestamp, Map<String, Json>) {
    let kept = row.record.members().iter().filter(|(name, _)| !is_ignored(name, ignored));
    (row.timestamp, kept.map(|(name, value)| (name.to_string(), to_json(value))).collect())
}

fn wanted(expected: &ExpectedOutput, place: usize) -> Wanted {
    let ExpectedRow { columns, line } = &expected.rows[place];
    let mut columns = columns.clone();
    columns.retain(|name, _| !is_ignored(name, &expected.ignored));
    Wanted { file: expected.file.clone(), line: *line, number: place + 1, columns }
}

/// The columns in which a row is not the one expected.
fn apart(test: &Test, record: &Record, row: &ExpectedRow, ignored: &[String]) -> Vec<String> {
    let differs = |(name, wanted): &(&String, &Json)| {
        let value = member(record, name).unwrap_or(&Value::Null);
        !is_ignored(name, ignored) && !same(value, wanted, test.tolerance)
    };
    let wrong = row.columns.iter().filter(differs).map(|(name, _)| name.clone());
    let unknown = |name: &str| !row.columns.contains_key(name) && !is_ignored(name, ignored);
    let new = record.members().iter().map(|(name, _)| name.to_string()).filter(|name| unknown(name));
    wrong.chain(new).collect()
}

/// Number of columns that agree, and one more if the columns have the same names.
fn likeness(record: &Record, row: &ExpectedRow, ignored: &[String], tolerance: Tolerance) -> usize {
    let agrees = |(name, wanted): &(&String, &Json)| {
        !is_ignored(name, ignored) && member(record, name).is_some_and(|value| same(value, wanted, tolerance))
    };
    let named = record.members().iter().all(|(name, _)| row.columns.contains_key(&**name));
    row.columns.iter().filter(agrees).count() + usize::from(named)
}

// ---- assignment -----------------------------------------------------------------------------------------

/// A largest one-to-one assignment of expected rows to rows, as pairs sorted by expected row: those that are
/// written alike first, wherever they stand, then those that fit.
fn assign(
    expected: &ExpectedOutput,
    rows: &[&Row],
    wanted: Range<usize>,
    came: Range<usize>,
    fits: &dyn Fn(usize, usize) -> bool,
) -> Vec<(usize, usize)> {
    let mut by_text: BTreeMap<String, VecDeque<usize>> = BTreeMap::new();
    for row in came.clone() {
        by_text.entry(text_of_row(&rows[row].record, &expected.ignored)).or_default().push_back(row);
    }
    let (mut pairs, mut left) = (Vec::new(), Vec::new());
    for place in wanted {
        let alike = by_text.get_mut(&text_of_wanted(&expected.rows[place].columns, &expected.ignored));
        match alike.and_then(VecDeque::pop_front).filter(|row| fits(place, *row)) {
            Some(row) => pairs.push((place, row)),
            None => left.push(place),
        }
    }
    let taken: BTreeSet<usize> = pairs.iter().map(|(_, row)| *row).collect();
    let mut free: Vec<usize> = came.filter(|row| !taken.contains(row)).collect();
    if left.len() <= SEARCH_MAX && free.len() <= SEARCH_MAX {
        let mut of_row: Vec<Option<usize>> = vec![None; free.len()];
        let fits = |place: usize, at: usize| fits(left[place], free[at]);
        for place in 0..left.len() {
            augment(place, &mut of_row, &mut vec![false; free.len()], &fits);
        }
        pairs.extend(of_row.iter().zip(&free).filter_map(|(place, row)| Some((left[(*place)?], *row))));
    } else {
        for place in left {
            let near = free.iter().take(SEARCH_MAX).position(|row| fits(place, *row));
            pairs.extend(near.map(|at| (place, free.remove(at))));
        }
    }
    pairs.sort_unstable();
    pairs
}

/// A row as text, such that rows of equal text are equal: without NULLs and what is ignored, by name.
fn text_of_row(record: &Record, ignored: &[String]) -> String {
    let members = record.members().iter().map(|(name, value)| (&**name, to_json(value)));
    text_of(members.filter(|(name, _)| !is_ignored(name, ignored)))
}

fn text_of_wanted(columns: &Map<String, Json>, ignored: &[String]) -> String {
    let members = columns.iter().map(|(name, value)| (name.as_str(), value.clone()));
    text_of(members.filter(|(name, _)| !is_ignored(name, ignored)))
}

fn text_of<'a>(members: impl Iterator<Item = (&'a str, Json)>) -> String {
    let plain = |value: Json| match value {
        Json::Number(number) => match number.as_i64() {
            Some(whole) => whole.to_string(),
            None => number.as_f64().unwrap_or(f64::NAN).to_string(),
        },
        Json::String(text) => is_instant(&text).map_or(text, |at| at.to_string()),
        other => other.to_string(),
    };
    let parts = members.filter(|(_, value)| !value.is_null());
    let mut parts: Vec<String> = parts.map(|(name, value)| format!("{name}={}", plain(value))).collect();
    parts.sort_unstable();
    parts.join("\n")
}

/// Finds a row for `place`, moving others on if that helps: numbers that differ a little may have taken each
/// other's partners. At most [`SEARCH_MAX`] deep.
fn augment(
    place: usize,
    of_row: &mut [Option<usize>],
    seen: &mut [bool],
    fits: &dyn Fn(usize, usize) -> bool,
) -> bool {
    for at in 0..of_row.len() {
        if seen[at] || !fits(place, at) {
            continue;
        }
        seen[at] = true;
        let free = match of_row[at] {
            None => true,
            Some(other) => augment(other, of_row, seen, fits),
        };
        if free {
            of_row[at] = Some(place);
            return true;
        }
    }
    false
}

// ---- equality -------------------------------------------------------------------------------------------

fn is_ignored(name: &str, ignored: &[String]) -> bool {
    ignored.iter().any(|other| other.eq_ignore_ascii_case(name))
}

/// The member of exactly that name.
fn member<'a>(record: &'a Record, name: &str) -> Option<&'a Value> {
    record.members().iter().find(|(own, _)| &**own == name).map(|(_, value)| value)
}

/// A missing member equals null only where the expected row shows null.
fn same_row(record: &Record, wanted: &Map<String, Json>, ignored: &[String], tolerance: Tolerance) -> bool {
    let known = |name: &str| wanted.contains_key(name) || is_ignored(name, ignored);
    let same = |(name, wanted): (&String, &Json)| {
        is_ignored(name, ignored) || same(member(record, name).unwrap_or(&Value::Null), wanted, tolerance)
    };
    record.members().iter().all(|(name, _)| known(name)) && wanted.iter().all(same)
}

/// Whether a value is the one expected.
pub(super) fn same(value: &Value, wanted: &Json, tolerance: Tolerance) -> bool {
    match (value, wanted) {
        (Value::Int(_) | Value::Float(_), Json::Number(number)) => same_number(value, number, tolerance),
        (Value::Datetime(at), Json::String(text)) => Timestamp::parse(text) == Some(*at),
        // Text that came through unchanged may be a datetime in another spelling.
        (Value::Text(own), Json::String(text)) => {
            **own == **text || is_instant(own).is_some_and(|at| is_instant(text) == Some(at))
        }
        (Value::Array(items), Json::Array(wanted)) => {
            let same = |(item, wanted)| same(item, wanted, tolerance);
            items.len() == wanted.len() && items.iter().zip(wanted).all(same)
        }
        (Value::Record(record), Json::Object(wanted)) => same_row(record, wanted, &[], tolerance),
        _ => to_json(value) == *wanted,
    }
}

/// Date and time in ISO 8601 form.
fn is_instant(text: &str) -> Option<Timestamp> {
    text.contains('T').then(|| Timestamp::parse(text))?
}

fn same_number(value: &Value, wanted: &serde_json::Number, tolerance: Tolerance) -> bool {
    if let (Value::Int(own), Some(wanted), Tolerance::Relative) = (value, wanted.as_i64(), tolerance) {
        return *own == wanted;
    }
    let own = match value {
        Value::Float(float) => *float,
        other => to_json(other).as_f64().unwrap_or(f64::NAN),
    };
    let wanted = wanted.as_f64().unwrap_or(f64::NAN);
    let distance = match tolerance {
        Tolerance::Relative => 1e-9 * own.abs().max(wanted.abs()),
        Tolerance::Absolute(distance) => distance,
    };
    own == wanted || (own - wanted).abs() <= distance
}
