//! The source and the ordering stage: entries of a log in, rows in order of timestamp out (section 3).
//!
//! Every partition judges its events by itself, in order of arrival: early, late, out of order (rule 3.4).
//! What passes waits until the watermark of the whole instance is beyond it (rules 3.7, 3.8, 3.10): rows
//! stamped *before* the watermark are released, because one stamped exactly at it may still come
//! (A-WATERMARK-CLOSE).
//!
//! ```text
//!   seen - O          seen                 a later event stamped here ...
//!      |---------------|                   < seen - O: adjusted to it, or dropped
//!      W  <- released is what lies left    >= W: waits
//! ```
//!
//! The watermark of a partition is the largest of `seen - O` and `arrival - L`, where `arrival` is that of
//! any estimate and of any event that is not dropped as early or unusable: later arrivals are not earlier,
//! and rule 3.4.2 keeps their timestamps at or above `arrival - L`. It changes only when rows appear. Without
//! TIMESTAMP BY timestamp and watermark are the arrival.
//!
//! With substreams (rule 3.9) disorder is judged within each of them, and a new one may begin at any time, so
//! the watermark is `arrival - L` alone.
//!
//! Knows no operator. Invariants: nothing is released twice or below what was released before; a lane's
//! rows wait in order of arrival, so offsets need not be kept.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::sync::Arc;

use rewindow_query::expr::Expr;
use rewindow_query::plan::{self, SourceColumn};
use rewindow_query::{Dropped, Entry, Ordering, Payload, Policy, Reason, Span, Timestamp, Type};

use crate::batch::{Batch, Slice};
use crate::codec::{Corrupt, Reader, Writer};
use crate::column::{Column, ColumnBuilder, Data};
use crate::eval;
use crate::plant::{Plant, Plants};
use crate::substream::{Substreams, Tuples};
use crate::table;

/// No instant: what is compared below any.
const NEVER: i64 = i64::MIN;

/// One Source node over the partitions of an instance.
#[derive(Debug)]
pub struct Source {
    input: usize,
    columns: Vec<SourceColumn>,
    table: Vec<(Arc<str>, Type)>,
    timestamp_by: Option<Expr>,
    /// TIMESTAMP BY … OVER.
    over: Vec<Expr>,
    ordering: Ordering,
    lanes: Vec<Lane>,
    /// Everything stamped before it has been released.
    until: i64,
    plants: Plants,
}

/// One partition.
#[derive(Debug)]
struct Lane {
    partition: u32,
    /// Largest timestamp so far, after the policies.
    seen: i64,
    /// Arrival of the last entry.
    arrived: i64,
    /// Nothing earlier is awaited.
    watermark: i64,
    waiting: Waiting,
    /// With TIMESTAMP BY … OVER.
    substreams: Option<Substreams>,
    /// Restored and not heard of since; only a planted bug looks at it.
    silent: bool,
}

/// Rows waiting for the watermark, in order of arrival.
#[derive(Debug, Default)]
struct Waiting {
    /// A column for each column of the source; rows released stay until there are more of them than live ones.
    store: Vec<Column>,
    stored: usize,
    /// Timestamps and places in `store` of rows that came in order.
    ready: VecDeque<(i64, u32)>,
    /// Those of rows that came behind a later one.
    strays: BinaryHeap<Reverse<(i64, u32)>>,
}

impl Source {
    /// The source of a plan node over these partitions of its input.
    pub fn new(source: &plan::Source, partitions: &[u32], ordering: Ordering, plants: Plants) -> Source {
        // Without TIMESTAMP BY there is no disorder to be judged.
        let over = if source.timestamp_by.is_some() { source.over.clone() } else { Vec::new() };
        let lane = |&partition: &u32| Lane {
            partition,
            seen: NEVER,
            arrived: NEVER,
            watermark: NEVER,
            waiting: Waiting::new(source.columns.len()),
            substreams: (!over.is_empty()).then(|| Substreams::new(over.len())),
            silent: false,
        };
        Source {
            input: source.input,
            columns: source.columns.clone(),
            table: source.table.clone(),
            timestamp_by: source.timestamp_by.clone(),
            ordering,
            lanes: partitions.iter().map(lane).collect(),
            over,
            until: NEVER,
            plants,
        }
    }

    /// The stream it reads, as an index into the plan's inputs.
    pub fn input(&self) -> usize {
        self.input
    }

    /// Takes entries of one partition in order of offsets; notes what is dropped. A partition that is not
    /// this source's is none of its business.
    pub fn feed(&mut self, partition: u32, entries: &[Entry], dropped: &mut Vec<Dropped>) {
        let Some(lane) = self.lanes.iter().position(|lane| lane.partition == partition) else { return };
        let input = self.input;
        let mut drop = |offset, reason| dropped.push(Dropped { input, partition, offset, reason });
        let mut events = Vec::with_capacity(entries.len());
        let mut estimate = NEVER;
        for entry in entries {
            match &entry.payload {
                Payload::Event(record) => match table::fit(record, &self.table) {
                    Some(record) => events.push((entry, record)),
                    None => drop(entry.offset, Reason::Deserialization),
                },
                Payload::Malformed(_) => drop(entry.offset, Reason::Deserialization),
                Payload::Estimate => estimate = estimate.max(entry.arrival.0),
            }
        }
        let member = |name: &str| {
            let mut column = ColumnBuilder::with_capacity(events.len());
            events.iter().for_each(|(_, record)| column.push(record.get(name).cloned().unwrap_or_default()));
            column.finish()
        };
        let payload = || events.iter().map(|(_, record)| rewindow_query::Value::Record(record.clone()));
        let columns = self.columns.iter().map(|column| match column {
            SourceColumn::Member(name) => member(name),
            SourceColumn::Payload => Column::from_values(payload().collect()),
            _ => Column { data: Data::Null(0), nulls: None },
        });
        let columns: Vec<Column> = columns.collect();
        let arrivals: Vec<i64> = events.iter().map(|(entry, _)| entry.arrival.0).collect();
        self.accept(lane, &arrivals, columns, |row, reason| drop(events[row].0.offset, reason));
        self.advance(lane, estimate);
    }

    /// Takes events of one partition that are decoded already and fit their CREATE TABLE, column by column as
    /// the plan's Source lists them; PartitionId, arrival and timestamp columns are filled in here, whatever
    /// they hold. Offsets count from `first_offset`. Arrivals are in ticks.
    pub fn feed_columns(
        &mut self,
        partition: u32,
        first_offset: u64,
        arrivals: &[i64],
        columns: Vec<Column>,
        dropped: &mut Vec<Dropped>,
    ) {
        let Some(lane) = self.lanes.iter().position(|lane| lane.partition == partition) else { return };
        let input = self.input;
        self.accept(lane, arrivals, columns, |row, reason| {
            dropped.push(Dropped { input, partition, offset: first_offset + row as u64, reason });
        });
    }

    /// Judges events in order of arrival and lets those wait that pass (rule 3.4).
    fn accept(
        &mut self,
        lane: usize,
        arrivals: &[i64],
        mut columns: Vec<Column>,
        mut drop: impl FnMut(usize, Reason),
    ) {
        let len = arrivals.len();
        if len == 0 {
            return;
        }
        for (column, kind) in columns.iter_mut().zip(&self.columns) {
            match kind {
                SourceColumn::PartitionId => {
                    *column = Column::ints(vec![i64::from(self.lanes[lane].partition); len]);
                }
                SourceColumn::Arrival => *column = Column::datetimes(arrivals.to_vec()),
                SourceColumn::Timestamp => *column = Column { data: Data::Null(len), nulls: None },
                SourceColumn::Member(_) | SourceColumn::Payload => {}
            }
        }
        let (instants, tuples, columns) = self.instants(arrivals, columns);
        let (released, again) = (self.until, self.plants.is(Plant::OffsetOneShort));
        let lane = &mut self.lanes[lane];
        let slots = match (&mut lane.substreams, &tuples) {
            (Some(substreams), Some(tuples)) => substreams.assign(&tuples.columns, len),
            _ => Vec::new(),
        };
        lane.silent = false;
        let base = lane.waiting.hold(columns, len);
        let Some(instants) = instants else {
            for (row, &arrival) in arrivals.iter().enumerate() {
                lane.arrived = lane.arrived.max(arrival);
                let released = if cfg!(feature = "plant") { released } else { NEVER };
                lane.waiting.push(lane.arrived.max(released), base + row as u32);
            }
            lane.watermark = lane.watermark.max(lane.arrived);
            return;
        };
        let Ordering { late: Span(late), out_of_order: Span(disorder), policy } = self.ordering;
        for (row, (&arrival, &instant)) in arrivals.iter().zip(&instants).enumerate() {
            // In a log arrivals never go back; were one to, it counts as the one in front of it.
            let arrival = arrival.max(lane.arrived);
            lane.arrived = arrival;
            if instant == NEVER {
                drop(row, Reason::Timestamp);
                continue;
            }
            if tuples.as_ref().is_some_and(|tuples| tuples.is_missing(row)) {
                drop(row, Reason::TimestampKey);
                continue;
            }
            if instant > arrival.saturating_add(Span::EARLY.0) {
                drop(row, Reason::Early);
                continue;
            }
            let oldest = arrival.saturating_sub(late);
            lane.watermark = lane.watermark.max(oldest);
            let mut timestamp = instant;
            if timestamp < oldest {
                if policy == Policy::Drop {
                    drop(row, Reason::Late);
                    continue;
                }
                timestamp = oldest;
            }
            let seen = match &mut lane.substreams {
                Some(substreams) => substreams.seen(slots[row]),
                None => &mut lane.seen,
            };
            let behind = seen.saturating_sub(disorder);
            if timestamp < behind {
                if policy == Policy::Drop {
                    drop(row, Reason::OutOfOrder);
                    continue;
                }
                timestamp = behind;
            }
            *seen = timestamp.max(*seen);
            if cfg!(feature = "plant") && timestamp < released {
                // Only a planted bug comes here: a row read twice is late, a row misjudged is lost.
                if !again {
                    continue;
                }
                timestamp = released;
            }
            lane.waiting.push(timestamp, base + row as u32);
        }
        let floor = lane.floor(self.ordering);
        match &mut lane.substreams {
            Some(substreams) => substreams.sweep(floor),
            None => lane.watermark = lane.watermark.max(lane.seen.saturating_sub(disorder)),
        }
    }

    /// What TIMESTAMP BY says of each event, [`NEVER`] where it is no instant or fails: such an event is
    /// dropped, the job goes on (rule 2.8). `None` without TIMESTAMP BY. The tuples of the substreams come
    /// with it, and the columns come back.
    fn instants(
        &self,
        arrivals: &[i64],
        columns: Vec<Column>,
    ) -> (Option<Vec<i64>>, Option<Tuples>, Vec<Column>) {
        let Some(expr) = &self.timestamp_by else { return (None, None, columns) };
        let columns = columns.into_iter().map(Arc::new).collect();
        let batch = Batch { timestamps: arrivals.to_vec(), columns };
        let (column, _) = eval::evaluate_leniently(expr, &batch);
        let mut instants: Vec<i64> = match &column.data {
            Data::Datetime(ticks) => ticks.clone(),
            Data::Text(texts) => {
                texts.iter().map(|text| eval::instant(text).map_or(NEVER, |t| t.0)).collect()
            }
            Data::Mixed(values) => values
                .iter()
                .map(|value| match value {
                    rewindow_query::Value::Datetime(t) => t.0,
                    rewindow_query::Value::Text(text) => eval::instant(text).map_or(NEVER, |t| t.0),
                    _ => NEVER,
                })
                .collect(),
            _ => vec![NEVER; arrivals.len()],
        };
        for (row, instant) in instants.iter_mut().enumerate() {
            if column.is_null(row) {
                *instant = NEVER;
            }
        }
        drop(column);
        let tuples = (!self.over.is_empty()).then(|| Tuples::new(&self.over, &batch));
        (Some(instants), tuples, batch.columns.into_iter().map(Arc::unwrap_or_clone).collect())
    }

    /// A journaled estimate of the arrival clock (rule 3.7).
    fn advance(&mut self, lane: usize, estimate: i64) {
        if estimate == NEVER {
            return;
        }
        let late = if self.timestamp_by.is_some() { self.ordering.late.0 } else { 0 };
        let lane = &mut self.lanes[lane];
        lane.silent = false;
        lane.arrived = lane.arrived.max(estimate);
        lane.watermark = lane.watermark.max(estimate.saturating_sub(late));
    }

    /// Up to where no row is awaited from any partition (rule 3.8).
    pub fn watermark(&self) -> Timestamp {
        let forgetful = self.plants.is(Plant::IdlePartitionForgotten);
        let heard = self.lanes.iter().filter(|lane| !(forgetful && lane.silent));
        // Without any partition nothing is awaited at all.
        let none = if self.lanes.is_empty() { i64::MAX } else { self.until };
        Timestamp(heard.map(|lane| lane.watermark).min().unwrap_or(none).max(self.until))
    }

    /// Releases the rows stamped before `until`, in (timestamp, partition, offset) order.
    pub fn release(&mut self, until: Timestamp) -> Slice {
        let floor = self.until;
        let mut timestamps = Vec::new();
        let mut columns: Vec<Column> = Vec::new();
        for lane in &mut self.lanes {
            let (stamps, parts) = lane.waiting.release(until.0);
            if stamps.is_empty() {
                continue;
            }
            if timestamps.is_empty() {
                (timestamps, columns) = (stamps, parts);
            } else {
                timestamps.extend(stamps);
                columns.iter_mut().zip(parts).for_each(|(column, part)| column.append(part));
            }
        }
        self.until = floor.max(until.0);
        if timestamps.is_empty() {
            return Slice::empty(until);
        }
        let mut columns: Vec<Arc<Column>> = columns.into_iter().map(Arc::new).collect();
        if !timestamps.is_sorted() {
            let mut order: Vec<u32> = (0..timestamps.len() as u32).collect();
            // Stable: lanes were taken in order of partitions, each in order of arrival.
            order.sort_by_key(|&row| timestamps[row as usize]);
            let sorted = Batch { timestamps, columns }.gather(&order);
            (timestamps, columns) = (sorted.timestamps, sorted.columns);
        }
        assert!(timestamps[0] >= floor, "rows lie at or after what was released");
        for (column, kind) in columns.iter_mut().zip(&self.columns) {
            if *kind == SourceColumn::Timestamp {
                *column = Arc::new(Column::datetimes(timestamps.clone()));
            }
        }
        Slice { batches: vec![Batch { timestamps, columns }], until }
    }

    /// Appends the state to a checkpoint.
    pub fn save(&self, writer: &mut Writer) {
        let forget = self.plants.is(Plant::CheckpointForgetsWatermark);
        writer.i64(self.until);
        for lane in &self.lanes {
            writer.i64(if forget { NEVER } else { lane.seen });
            writer.i64(lane.arrived);
            writer.i64(if forget { NEVER } else { lane.watermark });
            if let Some(substreams) = &lane.substreams {
                let forget = forget || self.plants.is(Plant::SubstreamsForgotten);
                substreams.save(if forget { i64::MAX } else { lane.floor(self.ordering) }, writer);
            }
            let rows = lane.waiting.in_order_of_arrival();
            let rows = if self.plants.is(Plant::PendingRowsLost) { &[] } else { rows.as_slice() };
            writer.len(rows.len());
            for &(place, timestamp) in rows {
                writer.i64(timestamp);
                lane.waiting.store.iter().for_each(|column| column.save(place as usize, writer));
            }
        }
    }

    /// Takes the state out of a checkpoint, into a new source of the same node and partitions.
    ///
    /// # Errors
    /// Bytes that are no such state.
    pub fn load(&mut self, reader: &mut Reader<'_>) -> Result<(), Corrupt> {
        self.until = reader.i64()?;
        for lane in &mut self.lanes {
            (lane.seen, lane.arrived, lane.watermark) = (reader.i64()?, reader.i64()?, reader.i64()?);
            lane.silent = true;
            if let Some(substreams) = &mut lane.substreams {
                *substreams = Substreams::new(self.over.len());
                substreams.load(reader)?;
            }
            let count = reader.len(8 + self.columns.len())?;
            let mut builders: Vec<ColumnBuilder> = Vec::new();
            builders.resize_with(self.columns.len(), || ColumnBuilder::with_capacity(count));
            let mut stamps = Vec::with_capacity(count);
            for _ in 0..count {
                let timestamp = reader.i64()?;
                if timestamp < self.until {
                    return Err(reader.corrupt("a row that is not yet released"));
                }
                stamps.push(timestamp);
                for builder in &mut builders {
                    builder.push(reader.value()?);
                }
            }
            lane.waiting = Waiting::new(self.columns.len());
            let base = lane.waiting.hold(builders.into_iter().map(ColumnBuilder::finish).collect(), count);
            for (row, timestamp) in stamps.into_iter().enumerate() {
                lane.waiting.push(timestamp, base + row as u32);
            }
        }
        Ok(())
    }

    /// The state as text: for each partition its watermark and the stamps of the rows that wait.
    pub fn explain(&self) -> BTreeMap<String, String> {
        let mut texts = BTreeMap::new();
        for lane in &self.lanes {
            let rows = lane.waiting.in_order_of_arrival();
            let stamps: Vec<String> = rows.iter().map(|&(_, t)| Timestamp(t).to_string()).collect();
            let (seen, watermark) = (Timestamp(lane.seen), Timestamp(lane.watermark));
            let seen = match &lane.substreams {
                Some(substreams) => substreams.explain(lane.floor(self.ordering)),
                None => seen.to_string(),
            };
            let text = format!("seen {seen}, watermark {watermark}, waiting [{}]", stamps.join(", "));
            texts.insert(format!("partition {}", lane.partition), text);
        }
        texts
    }
}

impl Lane {
    /// A substream seen up to here, or less far, puts no event out of order that is in time: that is stamped
    /// `arrived - L` or later.
    fn floor(&self, ordering: Ordering) -> i64 {
        self.arrived.saturating_sub(ordering.late.0).saturating_add(ordering.out_of_order.0)
    }
}

impl Waiting {
    fn new(columns: usize) -> Waiting {
        let empty = || Column { data: Data::Null(0), nulls: None };
        Waiting { store: std::iter::repeat_with(empty).take(columns).collect(), ..Waiting::default() }
    }

    /// Stores rows; gives the place of the first. They count only once they are pushed.
    fn hold(&mut self, columns: Vec<Column>, len: usize) -> u32 {
        let base = u32::try_from(self.stored).expect("fewer than 2^32 rows wait");
        self.store.iter_mut().zip(columns).for_each(|(held, column)| held.append(column));
        self.stored += len;
        base
    }

    fn push(&mut self, timestamp: i64, place: u32) {
        match self.ready.back() {
            Some(&(last, _)) if timestamp < last => self.strays.push(Reverse((timestamp, place))),
            _ => self.ready.push_back((timestamp, place)),
        }
    }

    /// Takes out the rows stamped before `until`, ordered by (timestamp, arrival).
    fn release(&mut self, until: i64) -> (Vec<i64>, Vec<Column>) {
        if self.strays.is_empty() {
            let due = self.ready.partition_point(|&(timestamp, _)| timestamp < until);
            let (stamps, places): (Vec<i64>, Vec<u32>) = self.ready.drain(..due).unzip();
            return self.taken(stamps, &places);
        }
        let (mut stamps, mut places) = (Vec::new(), Vec::new());
        loop {
            let stray = self.strays.peek().map(|&Reverse(row)| row);
            let ready = self.ready.front().copied();
            let (row, from_strays) = match (ready, stray) {
                (Some(ready), Some(stray)) if stray < ready => (stray, true),
                (Some(ready), _) => (ready, false),
                (None, Some(stray)) => (stray, true),
                (None, None) => break,
            };
            if row.0 >= until {
                break;
            }
            if from_strays {
                self.strays.pop();
            } else {
                self.ready.pop_front();
            }
            stamps.push(row.0);
            places.push(row.1);
        }
        self.taken(stamps, &places)
    }

    /// The rows at these places, which wait no more.
    fn taken(&mut self, stamps: Vec<i64>, places: &[u32]) -> (Vec<i64>, Vec<Column>) {
        if stamps.is_empty() {
            return (stamps, Vec::new());
        }
        let columns = self.take(places);
        self.compact();
        (stamps, columns)
    }

    fn take(&mut self, places: &[u32]) -> Vec<Column> {
        let (first, last) = (places[0] as usize, places[places.len() - 1] as usize);
        let adjacent = last >= first && last - first + 1 == places.len() && places.is_sorted();
        if adjacent && places.len() == self.stored {
            self.stored = 0;
            let empty = || Column { data: Data::Null(0), nulls: None };
            return self.store.iter_mut().map(|column| std::mem::replace(column, empty())).collect();
        }
        let pick = |column: &Column| {
            if adjacent { column.slice(first..last + 1) } else { column.gather(places) }
        };
        self.store.iter().map(pick).collect()
    }

    /// Forgets released rows once they are more than half, so that each is moved less than once on average.
    fn compact(&mut self) {
        let live = self.ready.len() + self.strays.len();
        if live * 2 > self.stored {
            return;
        }
        // Rows that came in order stand in the order of their places; the few others are put between them.
        let mut strays: Vec<Reverse<(i64, u32)>> = std::mem::take(&mut self.strays).into_vec();
        strays.sort_unstable_by_key(|&Reverse((_, place))| place);
        let mut places: Vec<u32> = Vec::with_capacity(live);
        let mut others = strays.iter_mut().peekable();
        for (_, place) in &mut self.ready {
            while let Some(Reverse((_, other))) = others.next_if(|Reverse((_, other))| *other < *place) {
                places.push(std::mem::replace(other, places.len() as u32));
            }
            places.push(std::mem::replace(place, places.len() as u32));
        }
        for Reverse((_, other)) in others {
            places.push(std::mem::replace(other, places.len() as u32));
        }
        self.strays = BinaryHeap::from(strays);
        for column in &mut self.store {
            *column = column.gather(&places);
        }
        self.stored = live;
    }

    /// Place and timestamp of each row that waits.
    fn in_order_of_arrival(&self) -> Vec<(u32, i64)> {
        let strays = self.strays.iter().map(|&Reverse((timestamp, place))| (place, timestamp));
        let ready = self.ready.iter().map(|&(timestamp, place)| (place, timestamp));
        let mut rows: Vec<(u32, i64)> = ready.chain(strays).collect();
        rows.sort_unstable();
        rows
    }
}
