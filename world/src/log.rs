//! The source log: partitioned, append-only, forgetting by age and by size.
//!
//! An entry is visible once it has arrived and is kept while it arrived at or after a floor that only
//! rises: `now - retention`, or higher after a cut; and while it and all behind it in its partition fit into
//! `retention_size` bytes. What arrives at this very instant is kept in any case:
//!
//! ```text
//!   arrived   e0   e1   e2   e3   e4|            bytes of e2, e3, e4 fit, those of e1 no more: `first` is e2
//!             forgotten][------kept-|now
//! ```
//!
//! It knows nothing of readers: a reader that is too slow meets offsets that are gone. Invariant: `first <= next`, and
//! both only grow.

use rewindow_query::{Entry, LogView, Retained, Span, Timestamp};

use crate::case::Case;
use crate::journal::{Journal, stored_bytes};

/// The log of one run.
pub(crate) struct Log {
    journal: Journal,
    retention: Option<Span>,
    sizes: Option<Sizes>,
    /// Cuts so far have forgotten everything that arrived before this.
    cut: Timestamp,
}

impl Log {
    /// The log of a case, whose journal this is.
    pub(crate) fn new(journal: Journal, case: &Case) -> Log {
        let sizes = case.deployment.retention_size.map(|most| Sizes::of(&journal, case, most));
        Log { journal, retention: case.deployment.retention, sizes, cut: Timestamp::MIN }
    }

    pub(crate) fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Forgets what arrived more than `keep` before `now`.
    pub(crate) fn cut(&mut self, now: Timestamp, keep: Span) {
        self.cut = self.cut.max(now.minus(keep));
    }

    /// Before which arrival cuts so far have forgotten everything.
    pub(crate) fn cut_before(&self) -> Timestamp {
        self.cut
    }

    /// The cuts of another log of the same source.
    pub(crate) fn cut_as(&mut self, before: Timestamp) {
        self.cut = before;
    }

    /// The log as it stands at `now`.
    pub(crate) fn at(&self, now: Timestamp) -> At<'_> {
        let by_age = self.retention.map_or(Timestamp::MIN, |keep| now.minus(keep));
        At { journal: &self.journal, sizes: self.sizes.as_ref(), now, floor: self.cut.max(by_age) }
    }

    /// Arrival of the entry at an offset; `None` if no such entry will ever come.
    pub(crate) fn arrival(&self, input: usize, partition: u32, offset: u64) -> Option<Timestamp> {
        let entries = self.journal.entries(input, partition);
        Some(entries.get(usize::try_from(offset).ok()?)?.arrival)
    }
}

/// How much the partitions hold, where that is limited.
struct Sizes {
    /// Most bytes of a partition.
    most: u64,
    /// `before[input][partition][offset]`: bytes of all entries in front of the offset, up to the end.
    before: Vec<Vec<Vec<u64>>>,
}

impl Sizes {
    fn of(journal: &Journal, case: &Case, most: u64) -> Sizes {
        let mut before: Vec<Vec<Vec<u64>>> = Vec::new();
        for (input, partition) in journal.places() {
            let bytes = |offset| {
                let original = journal.original(input, partition, offset)?;
                Some(stored_bytes(&case.history.entries.get(original)?.payload))
            };
            let mut sums = vec![0_u64];
            for offset in 0..journal.entries(input, partition).len() as u64 {
                sums.push(sums[sums.len() - 1].saturating_add(bytes(offset).unwrap_or(0)));
            }
            before.resize(before.len().max(input + 1), Vec::new());
            before[input].push(sums);
        }
        Sizes { most, before }
    }

    /// The oldest of the first `arrived` entries of a partition that is kept for its size.
    fn first(&self, input: usize, partition: u32, arrived: usize) -> usize {
        let sums = self.before.get(input).and_then(|of| of.get(partition as usize));
        let Some(sums) = sums.and_then(|sums| sums.get(..=arrived)) else { return 0 };
        let over = sums[arrived].saturating_sub(self.most);
        sums.partition_point(|&before| before < over)
    }
}

/// The log at one moment.
#[derive(Clone, Copy)]
pub(crate) struct At<'a> {
    journal: &'a Journal,
    sizes: Option<&'a Sizes>,
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
        // Most are not: the limits are asked for only where they can matter.
        entry.is_some_and(|entry| entry.arrival <= self.now)
            && (entry.is_some_and(|entry| entry.arrival < self.floor)
                || self.sizes.is_some()
                    && offset < self.forgotten(input, partition, self.arrived(input, partition)) as u64)
    }

    /// Entries that have arrived, forgotten ones included.
    fn arrived(&self, input: usize, partition: u32) -> &'a [Entry] {
        let entries = self.journal.entries(input, partition);
        &entries[..entries.partition_point(|entry| entry.arrival <= self.now)]
    }

    /// Entries at the head of `arrived` that are forgotten.
    fn forgotten(&self, input: usize, partition: u32, arrived: &[Entry]) -> usize {
        // Most logs keep most entries: look at the oldest before searching.
        let by_age = match arrived.first() {
            Some(oldest) if oldest.arrival < self.floor => {
                arrived.partition_point(|entry| entry.arrival < self.floor)
            }
            _ => 0,
        };
        let Some(sizes) = self.sizes else { return by_age };
        let of_before = arrived.partition_point(|entry| entry.arrival < self.now);
        by_age.max(sizes.first(input, partition, arrived.len()).min(of_before))
    }
}

impl LogView for At<'_> {
    fn retained(&self, input: usize, partition: u32) -> Retained {
        let arrived = self.arrived(input, partition);
        let first = self.forgotten(input, partition, arrived);
        let lost_until = first.checked_sub(1).map(|newest| arrived[newest].arrival);
        Retained { first: first as u64, next: arrived.len() as u64, lost_until }
    }

    fn first_since(&self, input: usize, partition: u32, arrival: Timestamp) -> u64 {
        let arrived = self.arrived(input, partition);
        let since = arrived.partition_point(|entry| entry.arrival < arrival);
        since.max(self.forgotten(input, partition, arrived)) as u64
    }
}
