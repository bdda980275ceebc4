//! The source log: partitioned, append-only, forgetting by age.
//!
//! An entry is visible once it has arrived and is kept while it arrived at or after a floor that only
//! rises: `now - retention`, or higher after a cut. It knows nothing of readers: a reader that is too
//! slow meets offsets that are gone. Invariant: `first <= next`, and both only grow.

use rewindow_query::{Entry, LogView, Retained, Span, Timestamp};

use crate::journal::Journal;

/// The log of one run.
pub(crate) struct Log {
    journal: Journal,
    retention: Option<Span>,
    /// Cuts so far have forgotten everything that arrived before this.
    cut: Timestamp,
}

impl Log {
    pub(crate) fn new(journal: Journal, retention: Option<Span>) -> Log {
        Log { journal, retention, cut: Timestamp::MIN }
    }

    pub(crate) fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Forgets what arrived more than `keep` before `now`.
    pub(crate) fn cut(&mut self, now: Timestamp, keep: Span) {
        self.cut = self.cut.max(now.minus(keep));
    }

    /// The log as it stands at `now`.
    pub(crate) fn at(&self, now: Timestamp) -> At<'_> {
        let by_age = self.retention.map_or(Timestamp::MIN, |keep| now.minus(keep));
        At { journal: &self.journal, now, floor: self.cut.max(by_age) }
    }

    /// Arrival of the entry at an offset; `None` if no such entry will ever come.
    pub(crate) fn arrival(&self, input: usize, partition: u32, offset: u64) -> Option<Timestamp> {
        let entries = self.journal.entries(input, partition);
        Some(entries.get(usize::try_from(offset).ok()?)?.arrival)
    }
}

/// The log at one moment.
#[derive(Clone, Copy)]
pub(crate) struct At<'a> {
    journal: &'a Journal,
    now: Timestamp,
    floor: Timestamp,
}

impl<'a> At<'a> {
    /// The entries from an offset on that have arrived, at most `limit`, and whether there are more.
    pub(crate) fn next(&self, input: usize, partition: u32, offset: u64, limit: u64) -> (&'a [Entry], bool) {
        let entries = self.journal.entries(input, partition);
        let from = usize::try_from(offset).map_or(entries.len(), |offset| offset.min(entries.len()));
        let most = usize::try_from(limit).unwrap_or(usize::MAX).min(entries.len() - from);
        let near = &entries[from..from + most];
        // A reader that is level finds little: look at the ends before searching.
        let count = match (near.first(), near.last()) {
            (Some(first), _) if first.arrival > self.now => 0,
            (_, Some(last)) if last.arrival <= self.now => most,
            _ => near.partition_point(|entry| entry.arrival <= self.now),
        };
        let more = count == most && entries.get(from + most).is_some_and(|entry| entry.arrival <= self.now);
        (&near[..count], more)
    }

    /// Whether the entry at an offset has arrived and is forgotten.
    pub(crate) fn is_forgotten(&self, input: usize, partition: u32, offset: u64) -> bool {
        let entries = self.journal.entries(input, partition);
        let entry = usize::try_from(offset).ok().and_then(|offset| entries.get(offset));
        entry.is_some_and(|entry| entry.arrival < self.floor && entry.arrival <= self.now)
    }

    /// Entries that have arrived, forgotten ones included.
    fn arrived(&self, input: usize, partition: u32) -> &'a [Entry] {
        let entries = self.journal.entries(input, partition);
        &entries[..entries.partition_point(|entry| entry.arrival <= self.now)]
    }

    /// Entries at the head of `arrived` that are forgotten.
    fn forgotten(&self, arrived: &[Entry]) -> usize {
        // Most logs keep most entries: look at the oldest before searching.
        match arrived.first() {
            Some(oldest) if oldest.arrival < self.floor => {
                arrived.partition_point(|entry| entry.arrival < self.floor)
            }
            _ => 0,
        }
    }
}

impl LogView for At<'_> {
    fn retained(&self, input: usize, partition: u32) -> Retained {
        let arrived = self.arrived(input, partition);
        let first = self.forgotten(arrived);
        let lost_until = first.checked_sub(1).map(|newest| arrived[newest].arrival);
        Retained { first: first as u64, next: arrived.len() as u64, lost_until }
    }

    fn first_since(&self, input: usize, partition: u32, arrival: Timestamp) -> u64 {
        let arrived = self.arrived(input, partition);
        let since = arrived.partition_point(|entry| entry.arrival < arrival);
        since.max(self.forgotten(arrived)) as u64
    }
}
