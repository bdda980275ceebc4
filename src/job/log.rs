//! Files of events as a source log: which partition, in what order, and from which line.
//!
//! Knows the plan only to find out when an event says that it happened. An event is placed so:
//!
//! - **Arrival** is the value of the input's arrival column, an instant. An event without one was never
//!   accepted by the log: it is left out, with a remark naming the line. Where no column is named, see
//!   [`Arrival::Own`].
//! - A line that is **no event** (malformed JSON, no object, an integer too large) is kept as
//!   [`Payload::Malformed`]: the log accepts any bytes. It arrives together with the line in front of it, in
//!   the same partition; malformed lines at the beginning go with the first line that can be read.
//! - **Partition** is `fnv1a64(text) % partitions`, where `text` is the partition column's value as JSON
//!   (`"us"` with its quotes, `12`, `null` where the column is missing). It is part of the format: the same
//!   value is in the same partition for ever.
//! - Within a partition entries stand in order of arrival, equal arrivals in order of file and line.
//!
//! Invariant: every event, and everything that stands where one was expected, is an entry or a remark.

use std::path::PathBuf;
use std::sync::Arc;

use rewindow_query::{Entry, History, Payload, Plan, Record, Timestamp, Value};

use super::own_time;
use super::read::{self, Budget, Format, Found};
use super::{Arrival, InputFile, table_of};
use crate::errors::Problem;
use crate::fingerprint::fnv1a;

pub use super::read::{BYTES_MAX, ENTRIES_MAX, LINE_MAX};

/// Most partitions of an input.
pub const PARTITIONS_MAX: u32 = 1_024;

/// The source log of a job, and where its entries come from.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Log {
    /// The entries, by input, partition and offset; and the reference data.
    pub history: Arc<History>,
    /// Lines that are not what one would expect, in order of file and line.
    pub remarks: Vec<Remark>,
    /// The files, in the order they were read.
    pub files: Vec<(PathBuf, Format)>,
    /// For each entry of `history`, in the same order: file and line.
    lines: Vec<Origin>,
    /// Index into `history` of the first entry of each (input, partition).
    first: Vec<Vec<usize>>,
}

/// Index of the file, and number of the line or row in it.
type Origin = (u32, u64);

/// Something about a line of an input file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Remark {
    /// `malformed-line`, `malformed-reference`, `missing-arrival`, `unreadable-arrival` or `no-time`.
    pub code: &'static str,
    /// The place: `file`, `file:line`, `file:line:column` or `file:row 17`.
    pub place: String,
    /// What is wrong with it.
    pub message: String,
}

impl Remark {
    /// The place, as shown.
    pub fn place(&self) -> String {
        self.place.clone()
    }
}

/// A line on its way into the log.
struct Line {
    partition: u32,
    /// `None` until it is known.
    arrival: Option<Timestamp>,
    payload: Payload,
    origin: Origin,
}

impl Log {
    /// Reads the files of the inputs, in order, which is that of the plan's inputs.
    ///
    /// # Errors
    /// Files that cannot be read, a line or a log beyond the bounds, an input without a readable line.
    pub fn read(inputs: &[InputFile], plan: &Plan, budget: &mut Budget) -> Result<Log, Problem> {
        let mut log = Log::default();
        let mut entries = Vec::new();
        for (index, input) in inputs.iter().enumerate() {
            let mut lines = log.lines_of(index, input, plan, budget)?;
            lines.sort_by_key(|line| (line.partition, line.arrival));
            log.enter(index, input, lines, &mut entries);
        }
        log.history = Arc::new(History::of(entries));
        Ok(log)
    }

    /// The line an entry comes from: `earthquakes.jsonl:17`.
    pub fn place(&self, input: usize, partition: u32, offset: u64) -> Option<String> {
        let first = *self.first.get(input)?.get(partition as usize)?;
        let at = first.checked_add(usize::try_from(offset).ok()?)?;
        let entry = self.history.entries.get(at)?;
        if (entry.input, entry.partition, entry.offset) != (input, partition, offset) {
            return None;
        }
        let (file, line) = self.lines.get(at)?;
        let (path, format) = self.files.get(*file as usize)?;
        Some(format.place(&path.display().to_string(), *line))
    }

    /// The lines of all files of an input, with their arrivals.
    fn lines_of(
        &mut self,
        index: usize,
        input: &InputFile,
        plan: &Plan,
        budget: &mut Budget,
    ) -> Result<Vec<Line>, Problem> {
        let table = table_of(plan, index);
        let mut lines: Vec<Line> = Vec::new();
        for path in &input.paths {
            let file = u32::try_from(self.files.len()).unwrap_or(u32::MAX);
            let format = input.format_of(path);
            self.files.push((path.clone(), format));
            let begun = lines.len();
            let what = format!("input `{}`", input.name);
            let source = read::Source { path, format, delimiter: input.delimiter(), what: &what, table };
            read::read(&source, budget, &mut |number, found| {
                self.take(input, (file, number), found, &mut lines);
                Ok(())
            })
            .map_err(|problem| match (problem.code, &input.arrival) {
                ("input-unreadable", Arrival::Column(_)) if problem.help.is_none() => {
                    problem.help("paths of a job are relative to the folder of its job.toml")
                }
                _ => problem,
            })?;
            let default = match input.arrival {
                Arrival::Column(_) => None,
                Arrival::Own => Some(self.own_arrivals(index, plan, &mut lines[begun..])),
            };
            self.settle(begun, default, &mut lines);
        }
        if lines.is_empty() {
            let message = format!("input `{}` has no event with an arrival", input.name);
            let help = match &input.arrival {
                Arrival::Column(name) => {
                    format!("each event needs a column `{name}` with an ISO 8601 instant")
                }
                Arrival::Own => "an event is an object of JSON, or a row of CSV or Parquet".to_owned(),
            };
            return Err(Problem::new("input-empty", message).in_file(&input.paths[0]).help(help));
        }
        check_partition_by(input, &lines)?;
        Ok(lines)
    }

    /// What was found in a line, as an entry or a remark.
    fn take(&mut self, input: &InputFile, origin: Origin, found: Found, lines: &mut Vec<Line>) {
        let line = match found {
            Err(malformed) => {
                self.remark("malformed-line", origin, malformed.column, malformed.message);
                let payload = Payload::Malformed(malformed.text);
                Line { partition: 0, arrival: None, payload, origin }
            }
            Ok(event) => {
                let arrival = match &input.arrival {
                    Arrival::Own => None,
                    Arrival::Column(column) => match arrival(&event, column) {
                        Ok(arrival) => Some(arrival),
                        Err((code, message)) => return self.remark(code, origin, None, message),
                    },
                };
                let partition = partition(&event, input);
                Line { partition, arrival, payload: Payload::Event(Arc::new(event)), origin }
            }
        };
        lines.push(line);
    }

    /// The times that the events of a file say themselves; gives one for those that say none.
    fn own_arrivals(&mut self, input: usize, plan: &Plan, lines: &mut [Line]) -> Timestamp {
        let payloads: Vec<&Payload> = lines.iter().map(|line| &line.payload).collect();
        let times = own_time::of(plan, input, &payloads);
        if times.iter().all(Option::is_none)
            && !own_time::says(plan, input)
            && let Some((path, _)) = self.files.last()
        {
            let message = format!(
                "neither TIMESTAMP BY nor a column EventEnqueuedUtcTime says when an event was: all have the \
                 timestamp {}",
                own_time::NOT_SAID
            );
            self.remarks.push(Remark { code: "no-time", place: path.display().to_string(), message });
        }
        for (line, time) in lines.iter_mut().zip(times) {
            line.arrival = time;
        }
        own_time::NOT_SAID
    }

    /// Gives the lines of a file that have no arrival that of the line in front of them, or behind them.
    /// Where no line has one, all get `default`, or are left out.
    fn settle(&mut self, begun: usize, default: Option<Timestamp>, lines: &mut Vec<Line>) {
        let known = |line: &Line| line.arrival.map(|arrival| (line.partition, arrival));
        let first = lines[begun..].iter().find_map(known).or(default.map(|at| (0, at)));
        let Some(mut last) = first else {
            for line in lines.split_off(begun) {
                let message = "left out: no line of the file has an arrival".to_owned();
                self.remark("malformed-line", line.origin, None, message);
            }
            return;
        };
        for line in &mut lines[begun..] {
            match known(line) {
                Some(own) => last = own,
                // An event has a partition of its own, whenever it came.
                None if matches!(line.payload, Payload::Event(_)) => line.arrival = Some(last.1),
                None => (line.partition, line.arrival) = (last.0, Some(last.1)),
            }
        }
    }

    /// Puts the sorted lines of an input into the log.
    fn enter(&mut self, index: usize, input: &InputFile, lines: Vec<Line>, entries: &mut Vec<Entry>) {
        let mut firsts = vec![0; input.partitions as usize];
        let mut counts = vec![0_usize; input.partitions as usize];
        for line in &lines {
            counts[line.partition as usize] += 1;
        }
        let mut next = entries.len();
        for (first, count) in firsts.iter_mut().zip(&counts) {
            *first = next;
            next += count;
        }
        for line in lines {
            let offset = (entries.len() - firsts[line.partition as usize]) as u64;
            self.lines.push(line.origin);
            let Line { partition, arrival, payload, .. } = line;
            let arrival = arrival.expect("every line was settled");
            entries.push(Entry { input: index, partition, offset, arrival, payload });
        }
        self.first.push(firsts);
    }

    fn remark(&mut self, code: &'static str, (file, line): Origin, column: Option<u64>, message: String) {
        let (path, format) = &self.files[file as usize];
        let place = format.place(&path.display().to_string(), line);
        let place = column.map_or(place.clone(), |column| format!("{place}:{column}"));
        self.remarks.push(Remark { code, place, message });
    }
}

fn arrival(event: &Record, column: &str) -> Result<Timestamp, (&'static str, String)> {
    let instant = match event.get(column) {
        None | Some(Value::Null) => {
            return Err(("missing-arrival", format!("left out: it has no arrival column `{column}`")));
        }
        Some(value) => (own_time::instant(value), value),
    };
    match instant {
        (Some(instant), _) => Ok(instant),
        (None, other) => {
            let shown = crate::text::clip(&other.to_string(), 40);
            Err(("unreadable-arrival", format!("left out: `{column}` is {shown}, no ISO 8601 instant")))
        }
    }
}

/// Refuses a column that no event has: all would be in one partition.
fn check_partition_by(input: &InputFile, lines: &[Line]) -> Result<(), Problem> {
    let Some(column) = &input.partition_by else { return Ok(()) };
    let mut events = lines.iter().filter_map(|line| match &line.payload {
        Payload::Event(event) => Some(event),
        _ => None,
    });
    let Some(first) = events.clone().next() else { return Ok(()) };
    if events.any(|event| event.get(column).is_some()) {
        return Ok(());
    }
    let names: Vec<&str> = first.members().iter().map(|(name, _)| &**name).collect();
    let message = format!("input `{}`: no event has the column `{column}` of partition_by", input.name);
    let help = match names.is_empty() {
        true => "the first event has no columns at all".to_owned(),
        false => crate::text::clip(&format!("the first event has {}", names.join(", ")), 400),
    };
    Err(Problem::new("input-partition", message).in_file(&input.paths[0]).help(help))
}

fn partition(event: &Record, input: &InputFile) -> u32 {
    let Some(column) = &input.partition_by else { return 0 };
    let text = event.get(column).unwrap_or(&Value::Null).to_string();
    let partition = fnv1a(text.as_bytes()) % u64::from(input.partitions.max(1));
    u32::try_from(partition).expect("a remainder is below its divisor, which was a u32")
}

#[cfg(test)]
mod tests {
    use rewindow_query::json;

    use std::path::Path;

    use super::*;

    fn input(path: &Path, partitions: u32) -> InputFile {
        InputFile {
            partitions,
            partition_by: Some("k".into()),
            ..InputFile::new("i", vec![path.to_owned()], Arrival::Column("at".into()))
        }
    }

    /// Partitions are part of the format: these numbers are never changed.
    #[test]
    fn a_value_is_in_the_same_partition_for_ever() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
        let input = input(Path::new(""), 4);
        let of = |text: &str| partition(&json::read_event(text).unwrap(), &input);
        let all = [r#"{"k":"us"}"#, r#"{"k":"ak"}"#, r#"{"k":12}"#, r#"{"k":null}"#, r#"{}"#].map(of);
        assert_eq!(all, PINNED);
    }

    const PINNED: [u32; 5] = [1, 1, 2, 0, 0];

    fn log(text: &str, partitions: u32) -> Result<Log, Problem> {
        // The name is the hash of the content, so that tests at the same time do not meet.
        let name = format!("rewindow-log-{:x}.jsonl", fnv1a(text.as_bytes()));
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).unwrap();
        let plan = rewindow_query::analyse("SELECT k FROM i", None).unwrap();
        let log = Log::read(&[input(&path, partitions)], &plan, &mut Budget::default());
        std::fs::remove_file(path).unwrap();
        log
    }

    #[test]
    fn every_line_is_an_entry_or_a_remark_in_order_of_arrival() {
        let text = concat!(
            "{broken\n",
            r#"{"k":1,"at":"2024-01-01T00:00:02Z"}"#,
            "\n\n",
            r#"{"k":1}"#,
            "\n",
            r#"{"k":1,"at":"2024-01-01T00:00:01Z"}"#,
            "\n",
            r#"{"k":1,"at":12}"#,
            "\n[]\n",
        );
        let log = log(text, 1).unwrap();
        let lines: Vec<u64> = log.lines.iter().map(|l| l.1).collect();
        assert_eq!(lines, [5, 7, 1, 2], "sorted by arrival; what does not decode goes with its neighbour");
        let remarks: Vec<_> =
            log.remarks.iter().map(|r| (r.code, r.place.split(':').nth(1).unwrap())).collect();
        let expected = [("malformed-line", "1"), ("missing-arrival", "4"), ("unreadable-arrival", "6")];
        assert_eq!((&remarks[..3], remarks[3]), (&expected[..], ("malformed-line", "7")));
        assert!(log.place(0, 0, 0).unwrap().ends_with(".jsonl:5"));
        assert_eq!((log.place(0, 0, 4), log.place(0, 1, 0), log.place(1, 0, 0)), (None, None, None));
    }

    #[test]
    fn what_is_no_log_is_refused() {
        assert_eq!(log("[{}]", 1).unwrap_err().code, "input-empty");
        assert_eq!(log("{}\n", 1).unwrap_err().code, "input-empty");
        assert_eq!(log("", 1).unwrap_err().code, "input-empty");
        assert_eq!(log(&"x".repeat(LINE_MAX + 2), 1).unwrap_err().code, "limit-line");
        let long = format!("\n {}", "[".repeat(100_000));
        assert_eq!(log(&long, 1).unwrap_err().code, "input-empty", "deep nesting is no event");
    }
}
