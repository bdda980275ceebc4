//! What the source log will hold: the case's history, and estimates of the arrival clock in between.
//!
//! While a partition is idle the service journals estimates of its arrival clock, so that a replay sees
//! the same ones (rule 3.7). They are laid down here before a run begins, from the case alone:
//!
//! ```text
//!   arrival   |e0 . . . h . . . h . . e1 . . . h . |      h: last arrival + k * heartbeat,
//!             first arrival of the case        last arrival     strictly before the next arrival
//! ```
//!
//! A partition whose first entry is still to come counts from the first arrival of the case; estimates
//! end with the last arrival of the case. Invariant: an estimate never runs ahead of a true arrival, and
//! in each partition offsets are consecutive and arrivals never decrease. Offsets count estimates;
//! [`Journal::original`] leads back to the entry the user wrote.

use rewindow_query::{Entry, Payload, Plan, Span, Timestamp};

use crate::case::Case;
use crate::check::ENTRIES_MAX;
use crate::error::CaseError;

/// The entries of all partitions that a plan reads, in the numbering of the plan's inputs.
#[derive(Clone, Debug)]
pub struct Journal {
    /// `partitions[input][partition]`.
    partitions: Vec<Vec<Partition>>,
}

#[derive(Clone, Debug, Default)]
struct Partition {
    entries: Vec<Entry>,
    /// For each entry its index in the case's history; `None` for an estimate added here.
    originals: Vec<Option<usize>>,
}

impl Journal {
    /// The journal of a case for a plan. Streams the plan does not read are left out, but their
    /// arrivals count for where the case begins and ends.
    ///
    /// # Errors
    /// A case that [`Case::check`] refuses, that lacks a stream of the plan, or whose heartbeats would
    /// make more than [`ENTRIES_MAX`] entries.
    pub fn of(case: &Case, plan: &Plan) -> Result<Journal, CaseError> {
        case.check()?;
        let inputs = case.inputs_of(plan)?;
        let mut own = vec![None; case.inputs.len()];
        inputs.iter().enumerate().for_each(|(to, &from)| own[from] = Some(to));
        let blank = |&from: &usize| vec![Vec::new(); case.inputs[from].partitions as usize];
        let mut indices: Vec<Vec<Vec<usize>>> = inputs.iter().map(blank).collect();
        for (index, entry) in case.history.entries.iter().enumerate() {
            if let Some(input) = own[entry.input] {
                indices[input][entry.partition as usize].push(index);
            }
        }
        let arrivals = || case.history.entries.iter().map(|entry| entry.arrival);
        let (Some(first), Some(last)) = (arrivals().min(), arrivals().max()) else {
            let empty = |of: &Vec<Vec<usize>>| vec![Partition::default(); of.len()];
            return Ok(Journal { partitions: indices.iter().map(empty).collect() });
        };
        let mut writer = Writer { case, first, last, left: ENTRIES_MAX };
        let mut partitions = Vec::with_capacity(indices.len());
        for (input, of) in indices.iter().enumerate() {
            let made: Result<Vec<Partition>, CaseError> =
                of.iter().zip(0..).map(|(own, partition)| writer.partition(input, partition, own)).collect();
            partitions.push(made?);
        }
        Ok(Journal { partitions })
    }

    /// The entries of a partition in order of offsets; none for one that does not exist.
    pub fn entries(&self, input: usize, partition: u32) -> &[Entry] {
        self.get(input, partition).map_or(&[], |partition| &partition.entries)
    }

    /// The index in the case's `history.entries` of what stands at an offset of the log; `None` for an
    /// estimate the log journaled itself, and where the log has no such offset.
    pub fn original(&self, input: usize, partition: u32, offset: u64) -> Option<usize> {
        *self.get(input, partition)?.originals.get(usize::try_from(offset).ok()?)?
    }

    /// Every (input, partition), in order.
    pub fn places(&self) -> impl Iterator<Item = (usize, u32)> {
        let of = |(input, of): (usize, &Vec<Partition>)| (0..).take(of.len()).map(move |p| (input, p));
        self.partitions.iter().enumerate().flat_map(of)
    }

    fn get(&self, input: usize, partition: u32) -> Option<&Partition> {
        self.partitions.get(input)?.get(partition as usize)
    }
}

/// How many bytes an entry takes up in the source: an event those of its text as JSON, an unreadable one its own. An
/// estimate takes up none: it is the job's, not the application's.
pub fn stored_bytes(payload: &Payload) -> u64 {
    match payload {
        Payload::Event(record) => record.to_string().len() as u64,
        Payload::Malformed(text) => text.len() as u64,
        Payload::Estimate => 0,
    }
}

struct Writer<'a> {
    case: &'a Case,
    first: Timestamp,
    last: Timestamp,
    /// How many entries may still be written, over all partitions.
    left: usize,
}

impl Writer<'_> {
    fn partition(&mut self, input: usize, number: u32, own: &[usize]) -> Result<Partition, CaseError> {
        let mut partition = Partition::default();
        let mut since = self.first;
        for &index in own {
            let entry = &self.case.history.entries[index];
            self.estimates(&mut partition, (input, number), since, entry.arrival)?;
            self.take(1)?;
            partition.push(input, number, entry.arrival, self.case.language.read(entry).payload, Some(index));
            since = entry.arrival;
        }
        self.estimates(&mut partition, (input, number), since, self.last.plus(Span::TICK))?;
        Ok(partition)
    }

    /// Journals estimates after `since`, strictly before `until`.
    fn estimates(
        &mut self,
        partition: &mut Partition,
        (input, number): (usize, u32),
        since: Timestamp,
        until: Timestamp,
    ) -> Result<(), CaseError> {
        let heartbeat = self.case.deployment.heartbeat.0;
        let idle = until.since(since).0;
        // The greatest k with since + k * heartbeat < until; negative spans do not occur.
        let count = if idle > 0 { (idle - 1) / heartbeat } else { 0 };
        self.take(usize::try_from(count).unwrap_or(usize::MAX))?;
        for k in 1..=count {
            let arrival = since.plus(Span(k * heartbeat));
            partition.push(input, number, arrival, Payload::Estimate, None);
        }
        Ok(())
    }

    fn take(&mut self, count: usize) -> Result<(), CaseError> {
        self.left = self.left.checked_sub(count).ok_or_else(|| {
            let found = format!("a heartbeat of {} makes too many estimates", self.case.deployment.heartbeat);
            CaseError::new("case-heartbeat", found)
                .hint(format!("at most {ENTRIES_MAX} entries in all; lengthen `heartbeat`"))
        })?;
        Ok(())
    }
}

impl Partition {
    fn push(
        &mut self,
        input: usize,
        partition: u32,
        arrival: Timestamp,
        payload: Payload,
        from: Option<usize>,
    ) {
        let offset = self.entries.len() as u64;
        self.entries.push(Entry { input, partition, offset, arrival, payload });
        self.originals.push(from);
    }
}
