//! The rows of all writers as one text in one order, and where to go on with it after a kill.
//!
//! ```text
//!   writer a:  ------------------X        rows up to its frontier; those behind the least one wait
//!   writer b:  ----------X
//!   text:      ----------| released       ordered by (timestamp, output, partition)
//! ```
//!
//! With its checkpoint each writer saves how long the text was, up to where it was released, and its own rows that waited.
//! The text goes on from the longest of those that are used: whatever a writer gives again below that is in it already.
//! Knows nothing of tasks. Invariant: the text is the same whatever the order in which writers give.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};

use rewindow_engine::codec::{Corrupt, Reader, Writer};
use rewindow_query::{Failure, Row, Timestamp};

use crate::errors::Problem;

/// Most rows that wait, and most bytes of them.
const WAITING_MAX: (usize, usize) = (5_000_000, 1 << 30);
const FORMAT: u32 = 1;

/// Where the text goes.
pub trait Output: Write + Send {
    /// Makes what was written outlast a kill.
    ///
    /// # Errors
    /// As the system says.
    fn settle(&mut self) -> io::Result<()>;

    /// Takes away what stands behind so many bytes, where that can be done.
    ///
    /// # Errors
    /// As the system says, and if there are not so many.
    fn cut(&mut self, at: u64) -> io::Result<()>;
}

impl Output for Vec<u8> {
    fn settle(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn cut(&mut self, at: u64) -> io::Result<()> {
        let at =
            usize::try_from(at).ok().filter(|&at| at <= self.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        self.truncate(at);
        Ok(())
    }
}

impl Output for File {
    fn settle(&mut self) -> io::Result<()> {
        self.sync_all()
    }

    fn cut(&mut self, at: u64) -> io::Result<()> {
        let found = self.metadata()?.len();
        if found < at {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("it has {found} bytes where the checkpoints know of {at}"),
            ));
        }
        self.set_len(at)?;
        self.seek(SeekFrom::Start(at)).map(drop)
    }
}

/// Output and partition of a row behind its timestamp: the order of the text.
type Place = (Timestamp, usize, Option<u32>);
/// Lines by place, those of one place in the order in which they were given.
type Lines = BTreeMap<Place, Vec<String>>;

/// How far the text has come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Mark {
    /// Every row stamped before this stands in it.
    released: Timestamp,
    pub(super) bytes: u64,
    pub(super) rows: u64,
}

impl Mark {
    pub(super) const START: Mark = Mark { released: Timestamp::MIN, bytes: 0, rows: 0 };
}

/// What a writer saves with its checkpoint.
pub(super) struct Saved {
    pub(super) mark: Mark,
    waiting: Lines,
}

/// The text in the making.
pub(super) struct Ledger<'a> {
    out: &'a mut dyn Output,
    writers: BTreeMap<usize, Told>,
    mark: Mark,
    /// Rows and bytes that wait.
    waiting: (usize, usize),
    failure: Option<Failure>,
    /// A write has failed: how much of it is in the text is not known, so nobody may save behind it.
    torn: Option<Problem>,
}

struct Told {
    frontier: Timestamp,
    waiting: Lines,
}

impl<'a> Ledger<'a> {
    /// Goes on with the text where the writers' checkpoints left it; `None`: a writer that begins.
    pub(super) fn new(
        out: &'a mut dyn Output,
        writers: BTreeMap<usize, Option<Saved>>,
    ) -> Result<Ledger<'a>, Problem> {
        let mark = writers.values().flatten().map(|saved| saved.mark).max().unwrap_or(Mark::START);
        out.cut(mark.bytes).map_err(|error| cannot_write(&error))?;
        let mut ledger =
            Ledger { out, writers: BTreeMap::new(), mark, waiting: (0, 0), failure: None, torn: None };
        for (task, saved) in writers {
            ledger.writers.insert(task, Told { frontier: Timestamp::MIN, waiting: Lines::new() });
            for (place, lines) in saved.into_iter().flat_map(|saved| saved.waiting) {
                lines.into_iter().for_each(|line| ledger.keep(task, place, line));
            }
        }
        Ok(ledger)
    }

    /// Takes rows of a writer, with their lines, and that it has come so far.
    pub(super) fn give(
        &mut self,
        task: usize,
        lines: Vec<(Row, String)>,
        frontier: Timestamp,
    ) -> Result<(), Problem> {
        for (row, line) in lines {
            self.keep(task, (row.timestamp, row.output, row.partition), line);
        }
        let told = self.writers.get_mut(&task).expect("writers are known from the start");
        told.frontier = frontier.max(told.frontier);
        let least = self.writers.values().map(|told| told.frontier).min().unwrap_or(Timestamp::MIN);
        self.release(least)?;
        if self.waiting.0 > WAITING_MAX.0 || self.waiting.1 > WAITING_MAX.1 {
            let message = "more rows wait for others stamped before them than can be held";
            return Err(Problem::new("limit-rows", message).help("a narrower join, or a longer hop"));
        }
        Ok(())
    }

    /// A writer has failed: nothing at or after that instant is given by anybody (rule 14.2).
    pub(super) fn fail(&mut self, task: usize, failure: Failure) -> Result<(), Problem> {
        let at = failure.at;
        let earlier = |known: &Failure| known.at <= failure.at;
        if !self.failure.as_ref().is_some_and(earlier) {
            self.failure = Some(failure);
        }
        self.give(task, Vec::new(), at)
    }

    /// What a writer saves with its checkpoint; everything in front of it outlasts a kill.
    pub(super) fn save(&mut self, task: usize) -> Result<Vec<u8>, Problem> {
        self.check()?;
        self.out.settle().map_err(|error| cannot_write(&error))?;
        let mut writer = Writer::default();
        writer.u32(FORMAT);
        writer.timestamp(self.mark.released);
        writer.u64(self.mark.bytes);
        writer.u64(self.mark.rows);
        let waiting = &self.writers[&task].waiting;
        writer.len(waiting.values().map(Vec::len).sum());
        for (&(at, output, partition), lines) in waiting {
            for line in lines {
                writer.timestamp(at);
                writer.len(output);
                writer.u64(partition.map_or(0, |partition| u64::from(partition) + 1));
                writer.text(line);
            }
        }
        Ok(writer.finish())
    }

    /// Everything has been given: the last of the text. How many rows it has, and the failure it ends with.
    pub(super) fn finish(mut self) -> Result<(u64, Option<Failure>), Problem> {
        if self.failure.is_none() {
            self.release_below(None)?;
        }
        self.out.flush().map_err(|error| cannot_write(&error))?;
        Ok((self.mark.rows, self.failure))
    }

    fn keep(&mut self, task: usize, place: Place, line: String) {
        // What comes again stands in the text already.
        if place.0 >= self.mark.released {
            self.waiting.0 += 1;
            self.waiting.1 += line.len();
            let told = self.writers.get_mut(&task).expect("writers are known from the start");
            told.waiting.entry(place).or_default().push(line);
        }
    }

    fn release(&mut self, until: Timestamp) -> Result<(), Problem> {
        let until = self.failure.as_ref().map_or(until, |failure| failure.at.min(until));
        if until <= self.mark.released {
            return Ok(());
        }
        self.mark.released = until;
        self.release_below(Some((until, 0, None)))
    }

    /// Writes the rows in front of a place, or all.
    fn release_below(&mut self, end: Option<Place>) -> Result<(), Problem> {
        self.check()?;
        // No two writers give to one output and partition.
        let mut ready = Lines::new();
        for told in self.writers.values_mut() {
            let rest = end.map_or_else(Lines::new, |end| told.waiting.split_off(&end));
            ready.append(&mut std::mem::replace(&mut told.waiting, rest));
        }
        let rows: usize = ready.values().map(Vec::len).sum();
        if rows == 0 {
            return Ok(());
        }
        let text: String = ready.into_values().flatten().collect();
        self.waiting = (self.waiting.0 - rows, self.waiting.1 - text.len());
        self.mark.rows += rows as u64;
        self.mark.bytes += text.len() as u64;
        if let Err(error) = self.out.write_all(text.as_bytes()) {
            self.torn = Some(cannot_write(&error));
        }
        self.check()
    }

    fn check(&self) -> Result<(), Problem> {
        self.torn.clone().map_or(Ok(()), Err)
    }
}

impl Saved {
    /// Reads what [`Ledger::save`] wrote.
    pub(super) fn load(reader: &mut Reader<'_>) -> Result<Saved, Corrupt> {
        if reader.u32()? != FORMAT {
            return Err(reader.corrupt("a format that this program reads"));
        }
        let mark = Mark { released: reader.timestamp()?, bytes: reader.u64()?, rows: reader.u64()? };
        let mut waiting = Lines::new();
        for _ in 0..reader.len(32)? {
            let at = reader.timestamp()?;
            let output = usize::try_from(reader.u64()?).map_err(|_| reader.corrupt("an output"))?;
            let partition = u32::try_from(reader.u64()?).map_err(|_| reader.corrupt("a partition"))?;
            let line = reader.text()?.to_string();
            waiting.entry((at, output, partition.checked_sub(1))).or_default().push(line);
        }
        Ok(Saved { mark, waiting })
    }
}

fn cannot_write(error: &io::Error) -> Problem {
    Problem::new("output", format!("the rows cannot be written: {error}"))
}
