//! Hopping window (rule 4.7): windows `(end - size, end]` with ends at `k * hop + offset`.
//!
//! Time is cut into panes of gcd(size, hop); an event is added to its pane once, a window's total takes the
//! new panes in and the old ones out, extremes stand on two stacks of panes. Panes without events do not
//! exist, and stretches without content are skipped. hop may exceed size (A-HOP-GT-SIZE): events between
//! windows are in none. Knows nothing of other windows. Invariant: `total` is the sum of the sealed panes;
//! all panes lie in the next window to close, and there is a next window exactly while there are panes.
//!
//! ```text
//!   size 3, hop 2:   pane | 1 | 2 | 3 | 4 | 5 |
//!                    window ending 3: 1..3, ending 5: 3..5
//! ```

use std::collections::{BTreeMap, VecDeque};

use rewindow_query::Timestamp;
use rewindow_query::plan::{Group, Window};

use crate::aggregate::State;
use crate::batch::{Context, Slice};
use crate::calls::Refused;
use crate::codec::{Corrupt, Reader, Writer};
use crate::extremes::{Extremes, Queues};
use crate::grouping::{Ended, Grouping, Read, Rows, end_of, read_option, read_ticks, text, write_option};
use crate::operator::Operator;
use crate::plant::{Plant, Plants};
use crate::slots::NONE;

/// Most windows that one event may be in. More would mean more rows for each event than anyone reads;
/// the job fails at its first event, naming the limit.
pub const WINDOWS_MAX: i64 = 1_000_000;

/// A hopping window at work.
#[derive(Debug)]
pub struct Hopping {
    grouping: Grouping,
    size: i64,
    hop: i64,
    offset: i64,
    /// gcd(size, hop)
    pane: i64,
    /// End of the next window to close.
    next: Option<i64>,
    /// Panes in front of the open one, oldest first.
    sealed: VecDeque<Pane>,
    /// The pane that events are added to.
    open: Option<Pane>,
    /// Place of a slot in the open pane.
    local: Vec<u32>,
    total: State,
    /// Extremes of the sealed panes, for the lanes that ask for them.
    queues: Vec<(usize, Queues)>,
    /// Lanes whose values must go with those of the sealed panes.
    compared: Vec<usize>,
    ended: bool,
    plants: Plants,
}

/// The groups of a pane, in the order of their first events.
#[derive(Debug)]
struct Pane {
    end: i64,
    slots: Vec<u32>,
    state: State,
}

impl Hopping {
    /// Of a grouping whose window is hopping.
    pub fn new(op: &Group, plants: Plants) -> Hopping {
        let (size, hop, offset) = match op.window {
            Window::Hopping { size, hop, offset } => (size.0, hop.0, offset.0),
            other => unreachable!("a {} window is no hopping window", other.name()),
        };
        let mut grouping = Grouping::new(op);
        grouping.calls = grouping.calls.pruning();
        Hopping {
            size,
            hop,
            offset,
            pane: gcd(size, hop),
            next: None,
            sealed: VecDeque::new(),
            open: None,
            local: Vec::new(),
            total: State::new(&grouping.calls),
            queues: grouping
                .calls
                .extreme_lanes()
                .into_iter()
                .map(|lane| (lane, Queues::default()))
                .collect(),
            compared: grouping.calls.compared_lanes(),
            grouping,
            ended: false,
            plants,
        }
    }

    fn fit(&mut self) {
        let slots = self.grouping.slots.len();
        self.total.fit(slots);
        self.local.resize(slots.max(self.local.len()), NONE);
        self.queues.iter_mut().for_each(|(_, queues)| queues.fit(slots));
    }

    fn advance(&mut self, inputs: &[&Slice], rows: &mut Rows, context: &mut Context) -> Result<(), Ended> {
        for batch in inputs[0].batches.iter().filter(|batch| !batch.is_empty()) {
            if self.size / self.hop > WINDOWS_MAX {
                let message = format!("an event would be in more than {WINDOWS_MAX} windows");
                context.fail(Timestamp(batch.timestamps[0]), message);
                return Err(Ended);
            }
            let (size, hop, offset) = (self.size, self.hop, self.offset);
            let inside = |ticks| end_of(ticks, hop, offset) - size < ticks;
            let read = self.grouping.read(batch, inside, context);
            self.fit();
            self.take(&read, rows, context)?;
            if let Some(at) = read.failed {
                self.close(at, rows, context)?;
                return Err(Ended);
            }
        }
        self.close(inputs[0].until.0, rows, context)
    }

    /// Adds rows pane by pane, closing the windows that end before them.
    fn take(&mut self, read: &Read, rows: &mut Rows, context: &mut Context) -> Result<(), Ended> {
        let mut local = vec![NONE; read.slots.len()];
        let mut from = 0;
        while from < read.timestamps.len() {
            let first = read.timestamps[from];
            self.close(first, rows, context)?;
            self.next.get_or_insert(end_of(first, self.hop, self.offset));
            let end = end_of(first, self.pane, self.offset);
            if self.open.as_ref().is_none_or(|pane| pane.end != end) {
                self.seal();
                self.open = Some(Pane { end, slots: Vec::new(), state: State::new(&self.grouping.calls) });
            }
            let to = from + read.timestamps[from..].partition_point(|&timestamp| timestamp <= end);
            self.add(read, from..to, &mut local).map_err(|refused| {
                context.fail(Timestamp(read.timestamps[refused.row]), refused.message);
            })?;
            from = to;
        }
        Ok(())
    }

    /// Adds rows to the open pane.
    fn add(&mut self, read: &Read, range: std::ops::Range<usize>, local: &mut [u32]) -> Result<(), Refused> {
        let Some(pane) = &mut self.open else { return Ok(()) };
        for row in range.clone() {
            let place = &mut self.local[read.slots[row] as usize];
            if *place == NONE {
                *place = pane.slots.len() as u32;
                pane.slots.push(read.slots[row]);
            }
            local[row] = *place;
        }
        pane.state.fit(pane.slots.len());
        // A value must go with the sealed panes of the next window, too: all others it is in reach less
        // far back (C-MINMAX).
        let (calls, measures) = (&self.grouping.calls, &read.measures);
        let mut refused = pane.state.add(calls, local, measures, range.clone(), read.passed).err();
        let asked = range.start.max(read.passed)..range.end;
        for &lane in &self.compared {
            if read.measures[lane].ints().is_some() && self.total.is_ints(lane) {
                continue;
            }
            let check = |row| {
                let value = read.measures[lane].value(row);
                let checked = self.total.check_mix(&self.grouping.calls, lane, read.slots[row], &value);
                checked.err().map(|message| Refused { row, message })
            };
            refused = refused.into_iter().chain(asked.clone().find_map(check)).min_by_key(|r| r.row);
        }
        refused.map_or(Ok(()), Err)
    }

    /// Moves the open pane to the sealed ones.
    fn seal(&mut self) {
        let Some(pane) = self.open.take() else { return };
        for (place, &slot) in pane.slots.iter().enumerate() {
            let place = place as u32;
            self.local[slot as usize] = NONE;
            self.total.merge(slot, &pane.state, place, true);
            for (lane, queues) in &mut self.queues {
                queues.push(slot, pane.state.extremes(*lane, place));
            }
        }
        self.sealed.push_back(pane);
    }

    /// Emits the windows that end before `until`.
    ///
    /// # Errors
    /// A result outside its range fails at the window end (C-SUM); it is noted.
    fn close(&mut self, until: i64, rows: &mut Rows, context: &mut Context) -> Result<(), Ended> {
        while let Some(end) = self.next.filter(|&end| end < until) {
            self.seal();
            let total = &self.total;
            let order = self.grouping.slots.order().iter().copied();
            let used: Vec<u32> = order.filter(|&slot| total.rows(slot) > 0).collect();
            let extremes = |lane, slot| all(&self.queues, lane, slot);
            rows.push(end, &self.grouping, &self.total, &used, Some(&extremes), context)?;
            self.evict(end + self.hop - self.size);
            self.next = (!self.sealed.is_empty()).then_some(end + self.hop);
            self.grouping.sweep(used.len(), |slot| self.total.rows(slot) > 0);
        }
        Ok(())
    }

    /// Takes the panes out that end at `start` or before.
    fn evict(&mut self, start: i64) {
        while self.sealed.front().is_some_and(|pane| pane.end <= start) {
            let Some(pane) = self.sealed.pop_front() else { return };
            for (place, &slot) in pane.slots.iter().enumerate() {
                self.total.merge(slot, &pane.state, place as u32, false);
                let empty = self.total.rows(slot) == 0;
                if empty {
                    self.total.clear(slot);
                }
                for (_, queues) in &mut self.queues {
                    queues.pop(slot);
                    if empty {
                        queues.shrink(slot);
                    }
                }
            }
        }
    }

    fn panes(&self) -> impl Iterator<Item = &Pane> {
        let lost = self.plants.is(Plant::HoppingPanesLost);
        self.sealed.iter().filter(move |_| !lost).chain(&self.open)
    }
}

/// The extremes of a slot in a lane that asks for them.
fn all(queues: &[(usize, Queues)], lane: usize, slot: u32) -> Extremes {
    let found = queues.iter().find(|(known, _)| *known == lane);
    found.map(|(_, queues)| queues.all(slot)).unwrap_or_default()
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl Operator for Hopping {
    fn step(&mut self, inputs: &[&Slice], context: &mut Context) -> Slice {
        if self.ended {
            return Slice::empty(Timestamp::MAX);
        }
        let mut rows = Rows::new(&self.grouping);
        self.ended = self.advance(inputs, &mut rows, context).is_err();
        let until = if self.ended { Timestamp::MAX } else { inputs[0].until };
        Slice { batches: rows.finish(), until }
    }

    fn save(&self, writer: &mut Writer) {
        let mut used = vec![false; self.grouping.slots.len()];
        self.panes().flat_map(|pane| &pane.slots).for_each(|&slot| used[slot as usize] = true);
        let keys: Vec<u32> =
            self.grouping.slots.sorted().into_iter().filter(|&slot| used[slot as usize]).collect();
        let mut rank = vec![0; used.len()];
        keys.iter().enumerate().for_each(|(place, &slot)| rank[slot as usize] = place);
        let count = self.panes().count();
        write_option(writer, self.next.filter(|_| count > 0));
        writer.len(keys.len());
        keys.iter().for_each(|&slot| self.grouping.save_key(slot, writer));
        writer.len(count);
        for pane in self.panes() {
            writer.i64(pane.end);
            writer.len(pane.slots.len());
            let mut places: Vec<u32> = (0..pane.slots.len() as u32).collect();
            places.sort_unstable_by_key(|&place| rank[pane.slots[place as usize] as usize]);
            for place in places {
                writer.len(rank[pane.slots[place as usize] as usize]);
                pane.state.save(&self.grouping.calls, place, writer);
            }
        }
        if self.grouping.calls.is_external() {
            writer.u8(u8::from(self.open.is_some()));
            keys.iter().for_each(|&slot| self.total.save_running(&self.grouping.calls, slot, writer));
        }
    }

    fn load(&mut self, reader: &mut Reader<'_>) -> Result<(), Corrupt> {
        self.next = read_option(reader)?;
        let width = self.grouping.width();
        let mut keys = Vec::new();
        // Without keys in the GROUP BY there is at most one, of no bytes.
        let count = if width == 0 { reader.u64()?.min(2) as usize } else { reader.len(1)? };
        for _ in 0..count {
            keys.push(self.grouping.load_key(reader)?);
        }
        self.fit();
        let panes = reader.len(8)?;
        if (panes > 0) != self.next.is_some() {
            return Err(reader.corrupt("a next window if there are panes"));
        }
        for _ in 0..panes {
            self.seal();
            let end = read_ticks(reader)?;
            let next = self.next.unwrap_or(end);
            let after = self.sealed.back().is_none_or(|pane| pane.end < end);
            if !after || end <= next - self.size || end > next || end_of(end, self.pane, self.offset) != end {
                return Err(reader.corrupt("panes of the next window, in order"));
            }
            let mut pane = Pane { end, slots: Vec::new(), state: State::new(&self.grouping.calls) };
            for place in 0..reader.len(16)? {
                let rank = usize::try_from(reader.u64()?).ok().and_then(|rank| keys.get(rank));
                let slot = *rank.ok_or_else(|| reader.corrupt("one of the keys"))?;
                if self.local[slot as usize] != NONE {
                    return Err(reader.corrupt("a key once in a pane"));
                }
                self.local[slot as usize] = place as u32;
                pane.slots.push(slot);
                pane.state.fit(place + 1);
                pane.state.load(&self.grouping.calls, place as u32, reader)?;
            }
            self.open = Some(pane);
        }
        if self.grouping.calls.is_external() {
            // What the total has seen hangs on whether the last pane was sealed.
            if !reader.bool()? {
                self.seal();
            }
            for slot in keys {
                self.total.load_running(&self.grouping.calls, slot, reader)?;
            }
        }
        Ok(())
    }

    fn explain(&self) -> BTreeMap<String, String> {
        let mut known: BTreeMap<String, String> = BTreeMap::new();
        for pane in self.panes() {
            for (place, &slot) in pane.slots.iter().enumerate() {
                let content = text(&self.grouping.calls, &pane.state, place as u32, None);
                let part = format!("until {}: {content}", Timestamp(pane.end));
                let so_far = known.entry(self.grouping.slots.text(slot)).or_default();
                *so_far = if so_far.is_empty() { part } else { format!("{so_far}; {part}") };
            }
        }
        known
    }
}
