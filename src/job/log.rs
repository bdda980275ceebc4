//! Files of JSON lines as a source log: which partition, in what order, and from which line.
//!
//! Lines are streamed and never held twice. Knows nothing of queries. A line is placed so:
//!
//! - **Arrival** is the value of the input's arrival column, an ISO 8601 instant. A line that is an event but
//!   has no readable arrival was never accepted by the log: it is left out, with a remark naming the line.
//! - A line that is **no event** (malformed JSON, no object, an integer too large) is kept as
//!   [`Payload::Malformed`]: the log accepts any bytes. It arrives together with the line in front of it, in
//!   the same partition; malformed lines at the beginning go with the first line that can be read.
//! - **Partition** is `fnv1a64(text) % partitions`, where `text` is the partition column's value as JSON
//!   (`"us"` with its quotes, `12`, `null` where the column is missing). It is part of the format: the same
//!   value is in the same partition for ever.
//! - Within a partition entries stand in order of arrival, equal arrivals in order of file and line.
//!
//! Invariant: every line that is not blank is an entry or a remark.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rewindow_query::{Entry, History, Payload, Record, Timestamp, Value, json};

use super::InputFile;
use crate::errors::{Place, Problem};
use crate::fingerprint::fnv1a;

/// Longest line that is read, in bytes.
pub const LINE_MAX: usize = 1 << 20;
/// Most entries of a job, all inputs together.
pub const ENTRIES_MAX: usize = 1_000_000;
/// Most bytes of all files of a job together.
pub const BYTES_MAX: u64 = 1 << 30;
/// Most partitions of an input.
pub const PARTITIONS_MAX: u32 = 1_024;

/// The source log of a job, and where its entries come from.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Log {
    /// The entries, by input, partition and offset.
    pub history: Arc<History>,
    /// Lines that are not what one would expect, in order of file and line.
    pub remarks: Vec<Remark>,
    /// The files, in the order they were read.
    pub files: Vec<PathBuf>,
    /// For each entry of `history`, in the same order: file and line.
    lines: Vec<(u32, u64)>,
    /// Index into `history` of the first entry of each (input, partition).
    first: Vec<Vec<usize>>,
}

/// Something about a line of an input file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Remark {
    /// `malformed-line`, `missing-arrival` or `unreadable-arrival`.
    pub code: &'static str,
    /// The file.
    pub file: String,
    /// Its line, from 1.
    pub line: u64,
    /// The column, where it is known.
    pub column: Option<u64>,
    /// What is wrong with it.
    pub message: String,
}

impl Remark {
    /// `file:line`, or `file:line:column`.
    pub fn place(&self) -> String {
        let column = self.column.map_or(String::new(), |column| format!(":{column}"));
        format!("{}:{}{column}", self.file, self.line)
    }
}

/// A line on its way into the log.
struct Line {
    partition: u32,
    arrival: Timestamp,
    payload: Payload,
    origin: (u32, u64),
}

impl Log {
    /// Reads the files of the inputs, in order.
    ///
    /// # Errors
    /// Files that cannot be read, a line or a log beyond the bounds, an input without a readable line.
    pub fn read(inputs: &[InputFile]) -> Result<Log, Problem> {
        let mut log = Log::default();
        let mut entries = Vec::new();
        let mut budget = Budget { entries: 0, bytes: 0 };
        for (index, input) in inputs.iter().enumerate() {
            let mut lines: Vec<Line> = Vec::new();
            for path in &input.paths {
                log.read_file(path, input, &mut lines, &mut budget)?;
            }
            if lines.is_empty() {
                let message = format!("input `{}` has no event with an arrival", input.name);
                let help = format!("each line needs a column `{}` with an ISO 8601 instant", input.arrival);
                return Err(Problem::new("input-empty", message).in_file(&input.paths[0]).help(help));
            }
            lines.sort_by_key(|line| (line.partition, line.arrival));
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
                log.lines.push(line.origin);
                let Line { partition, arrival, payload, .. } = line;
                entries.push(Entry { input: index, partition, offset, arrival, payload });
            }
            log.first.push(firsts);
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
        Some(format!("{}:{line}", self.files.get(*file as usize)?.display()))
    }

    fn read_file(
        &mut self,
        path: &Path,
        input: &InputFile,
        lines: &mut Vec<Line>,
        budget: &mut Budget,
    ) -> Result<(), Problem> {
        let unreadable = |error: &std::io::Error| {
            Problem::of_io("input-unreadable", &format!("input `{}`", input.name), path, error)
                .help("paths of a job are relative to the folder of its job.toml")
        };
        let mut reader = BufReader::new(File::open(path).map_err(|e| unreadable(&e))?);
        let file = u32::try_from(self.files.len()).unwrap_or(u32::MAX);
        self.files.push(path.to_owned());
        let begun = lines.len();
        let mut waiting: Vec<(Payload, u64)> = Vec::new();
        let mut bytes = Vec::new();
        for number in 1.. {
            bytes.clear();
            let read = (&mut reader).take(LINE_MAX as u64 + 1).read_until(b'\n', &mut bytes);
            if read.map_err(|e| unreadable(&e))? == 0 {
                break;
            }
            budget.spend(bytes.len(), path, number)?;
            let text = String::from_utf8_lossy(&bytes);
            let text = if number == 1 { text.trim_start_matches('\u{feff}') } else { &text };
            let text = text.trim();
            if text.is_empty() {
                continue;
            }
            if number == 1 && text.starts_with('[') {
                return Err(array(path, text));
            }
            budget.enter(path, number)?;
            let event = match std::str::from_utf8(&bytes) {
                Ok(_) => json::read_event(text),
                Err(_) => Err("it is not UTF-8".to_owned()),
            };
            match event {
                Err(message) => {
                    // The reader sees one line, and counts from its first column.
                    let (message, column) = match message.split_once(" at line 1 column ") {
                        Some((what, column)) => (what.to_owned(), column.parse().ok()),
                        None => (message, None),
                    };
                    self.remark("malformed-line", path, number, message);
                    if let Some(remark) = self.remarks.last_mut() {
                        remark.column = column;
                    }
                    let payload = Payload::Malformed(text.into());
                    match lines[begun..].last() {
                        Some(&Line { partition, arrival, .. }) => {
                            lines.push(Line { partition, arrival, payload, origin: (file, number) });
                        }
                        None => waiting.push((payload, number)),
                    }
                }
                Ok(event) => match arrival(&event, &input.arrival) {
                    Err((code, message)) => self.remark(code, path, number, message),
                    Ok(arrival) => {
                        let partition = partition(&event, input);
                        for (payload, line) in waiting.drain(..) {
                            lines.push(Line { partition, arrival, payload, origin: (file, line) });
                        }
                        let payload = Payload::Event(Arc::new(event));
                        lines.push(Line { partition, arrival, payload, origin: (file, number) });
                    }
                },
            }
        }
        for (_, line) in waiting {
            self.remark(
                "malformed-line",
                path,
                line,
                "left out: no line of the file has an arrival".to_owned(),
            );
        }
        Ok(())
    }

    fn remark(&mut self, code: &'static str, path: &Path, line: u64, message: String) {
        self.remarks.push(Remark { code, file: path.display().to_string(), line, column: None, message });
    }
}

/// What may still be read.
struct Budget {
    entries: usize,
    bytes: u64,
}

impl Budget {
    fn spend(&mut self, bytes: usize, path: &Path, line: u64) -> Result<(), Problem> {
        self.bytes += bytes as u64;
        if bytes > LINE_MAX {
            let message = format!("a line is longer than {} MiB", LINE_MAX >> 20);
            return Err(at_line(Problem::new("limit-line", message), path, line)
                .help("is it a file of JSON lines, one event on each line?"));
        }
        if self.bytes > BYTES_MAX {
            let message = format!("the inputs of a job are larger than {} GiB", BYTES_MAX >> 30);
            return Err(at_line(Problem::new("limit-input", message), path, line)
                .help("a sample of the events finds the same bugs sooner"));
        }
        Ok(())
    }

    fn enter(&mut self, path: &Path, line: u64) -> Result<(), Problem> {
        self.entries += 1;
        if self.entries > ENTRIES_MAX {
            let message = format!("the inputs of a job have more than {ENTRIES_MAX} lines");
            return Err(at_line(Problem::new("limit-input", message), path, line)
                .help("a sample of the events finds the same bugs sooner"));
        }
        Ok(())
    }
}

fn at_line(problem: Problem, path: &Path, line: u64) -> Problem {
    let first_line = usize::try_from(line).unwrap_or(usize::MAX);
    let file = path.display().to_string();
    problem.at(Place { file, text: String::new(), first_line, range: 0..0, label: String::new() })
}

fn array(path: &Path, text: &str) -> Problem {
    let problem = Problem::new("input-array", "the file is one JSON array, not JSON lines");
    problem.in_text(path, text, 0..1, "one event on each line is expected").help(format!(
        "jq -c '.[]' {} writes it as lines",
        path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    ))
}

fn arrival(event: &Record, column: &str) -> Result<Timestamp, (&'static str, String)> {
    match event.get(column) {
        None | Some(Value::Null) => {
            Err(("missing-arrival", format!("left out: it has no arrival column `{column}`")))
        }
        Some(Value::Text(text)) if Timestamp::parse(text).is_some() => {
            Ok(Timestamp::parse(text).unwrap_or_default())
        }
        Some(other) => Err((
            "unreadable-arrival",
            format!(
                "left out: `{column}` is {}, no ISO 8601 instant",
                crate::text::clip(&other.to_string(), 40)
            ),
        )),
    }
}

fn partition(event: &Record, input: &InputFile) -> u32 {
    let Some(column) = &input.partition_by else { return 0 };
    let text = event.get(column).unwrap_or(&Value::Null).to_string();
    let partition = fnv1a(text.as_bytes()) % u64::from(input.partitions.max(1));
    u32::try_from(partition).expect("a remainder is below its divisor, which was a u32")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Partitions are part of the format: these numbers are never changed.
    #[test]
    fn a_value_is_in_the_same_partition_for_ever() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
        let input = InputFile {
            name: "i".into(),
            paths: vec![],
            arrival: "at".into(),
            partitions: 4,
            partition_by: Some("k".into()),
        };
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
        let input = InputFile {
            name: "i".into(),
            paths: vec![path.clone()],
            arrival: "at".into(),
            partitions,
            partition_by: Some("k".into()),
        };
        let log = Log::read(&[input]);
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
        let remarks: Vec<_> = log.remarks.iter().map(|r| (r.code, r.line)).collect();
        assert_eq!(
            remarks,
            [("malformed-line", 1), ("missing-arrival", 4), ("unreadable-arrival", 6), ("malformed-line", 7)]
        );
        assert!(log.place(0, 0, 0).unwrap().ends_with(".jsonl:5"));
        assert_eq!((log.place(0, 0, 4), log.place(0, 1, 0), log.place(1, 0, 0)), (None, None, None));
    }

    #[test]
    fn what_is_no_log_is_refused() {
        assert_eq!(log("[{}]", 1).unwrap_err().code, "input-array");
        assert_eq!(log("{}\n", 1).unwrap_err().code, "input-empty");
        assert_eq!(log("", 1).unwrap_err().code, "input-empty");
        assert_eq!(log(&"x".repeat(LINE_MAX + 2), 1).unwrap_err().code, "limit-line");
        let long = format!("\n{}", "[".repeat(100_000));
        assert_eq!(log(&long, 1).unwrap_err().code, "input-empty", "deep nesting is no event");
    }
}
