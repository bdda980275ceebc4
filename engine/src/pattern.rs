//! MATCH_RECOGNIZE (section 9): from each event of a partition at most one match, overlapping ones included.
//!
//! Every event begins a search. It is decided when the match it has found can no longer grow, or when no
//! event within the limit is to come; until then it holds the output back to its own timestamp, because its
//! match may be stamped as early as that (A-MATCH-TIME). Knows no regular expressions beyond
//! [`program`]. Invariants: a partition keeps its events from the first undecided search on, so state is
//! bounded by the events within the limit; rows leave in the order of (timestamp, place of the first event).
//!
//! ```text
//!   pattern A+ B     A1 . A2 . . B . . . C     A1: A1 A2 B, stamped B, decided when B is known
//!   output until     |-> held at A1 ...  |     then free up to the next search undecided
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use rewindow_query::{Timestamp, Value, plan};

use crate::batch::{Batch, Context, Slice};
use crate::codec::{Corrupt, Reader, Writer};
use crate::column::{Column, ColumnBuilder};
use crate::eval::{evaluate, evaluate_leniently};
use crate::grouping::{read_key, read_ticks};
use crate::operator::Operator;
use crate::plant::{Plant, Plants};
use crate::slots::Slots;

pub mod program;
pub mod search;
pub mod terms;

use search::{Found, Machine, Search};
use terms::{Event, Terms};

/// MATCH_RECOGNIZE at work.
#[derive(Debug)]
pub struct Match {
    op: plan::Match,
    machine: Machine,
    /// The pattern has no program: it is too long.
    too_long: bool,
    slots: Slots,
    /// By slot.
    lines: Vec<Line>,
    /// First events in order of time: timestamp, slot, place. Decided ones stay until they are in front.
    starts: VecDeque<(i64, u32, u64)>,
    /// Matches that may have to stand behind others: by timestamp and place of the first event.
    pending: BTreeMap<(i64, u64), Vec<Value>>,
    /// The first failure; told when all rows in front of it are out.
    failed: Option<(i64, String)>,
    /// Place of the next event.
    place: u64,
    until: Timestamp,
    /// What fails before it is no failure of the job.
    counts_from: i64,
    ended: bool,
    plants: Plants,
}

/// The events of one partition key that undecided searches can see.
#[derive(Debug, Default)]
struct Line {
    /// Number of the first of `events`.
    first: u64,
    events: VecDeque<Event>,
    /// Undecided searches by the place of their first event.
    searches: BTreeMap<u64, Search>,
}

impl Match {
    /// Of a plan node.
    pub fn new(op: &plan::Match, plants: Plants) -> Match {
        let compiled = program::compile(&op.pattern);
        let too_long = compiled.is_none();
        let (program, marks) = compiled.unwrap_or_else(|| (vec![program::Step::Fail], 0));
        let machine = Machine { program, marks, terms: Terms::new(op), limit: op.limit.0 };
        Match {
            op: op.clone(),
            machine,
            too_long,
            slots: Slots::new(op.partition.len()),
            lines: Vec::new(),
            starts: VecDeque::new(),
            pending: BTreeMap::new(),
            failed: None,
            place: 0,
            until: Timestamp::MIN,
            counts_from: i64::MIN,
            ended: false,
            plants,
        }
    }

    /// Notes a failure; the earliest that counts is kept.
    fn fail(&mut self, at: i64, message: String) {
        if at >= self.counts_from && self.failed.as_ref().is_none_or(|(known, _)| at < *known) {
            self.failed = Some((at, message));
        }
    }

    /// Takes the rows of a batch in; one whose key fails counts as absent (C-FAIL).
    fn take(&mut self, batch: &Batch) {
        let marks: Vec<Vec<bool>> =
            self.op.partition.iter().map(|key| evaluate_leniently(key, batch).1).collect();
        let fails = |row: usize| marks.iter().any(|marks| marks.get(row).copied().unwrap_or(false));
        let (failed, sound): (Vec<u32>, Vec<u32>) =
            (0..batch.len() as u32).partition(|&row| fails(row as usize));
        if let Some(&row) = failed.iter().find(|&&row| batch.timestamps[row as usize] >= self.counts_from) {
            let alone = batch.gather(&[row]);
            let fault = self.op.partition.iter().find_map(|key| evaluate(key, &alone).err());
            let message = fault.map_or_else(String::new, |fault| fault.message);
            self.fail(batch.timestamps[row as usize], message);
        }
        let batch = if failed.is_empty() { batch.clone() } else { batch.gather(&sound) };
        if let (Some(&at), true) = (batch.timestamps.first(), self.too_long) {
            self.fail(at, format!("the pattern has more than {} places", program::PLACES_MAX));
            return;
        }
        let keys: Vec<Arc<Column>> =
            self.op.partition.iter().map(|key| evaluate_leniently(key, &batch).0).collect();
        let values = self.machine.terms.compute(&batch);
        for (row, values) in values.into_iter().enumerate() {
            let key: Vec<Value> = keys.iter().map(|column| column.value(row)).collect();
            // A line that has nothing undecided gives its slot back, so slots are given row by row.
            let slot = self.slots.assign_key(&key);
            self.event(slot, batch.timestamps[row], values);
        }
    }

    /// The next event of a line: it begins a search, and others may go on.
    fn event(&mut self, slot: u32, at: i64, values: Vec<Option<Value>>) {
        if slot as usize >= self.lines.len() {
            self.lines.resize_with(slot as usize + 1, Line::default);
        }
        let place = self.place;
        self.place += 1;
        let line = &mut self.lines[slot as usize];
        let number = line.first + line.events.len() as u64;
        line.events.push_back(Event { at, place, values });
        line.searches.insert(place, Search::new(&self.machine, number, at));
        self.starts.push_back((at, slot, place));
        let waiting: Vec<u64> = line.searches.keys().copied().collect();
        waiting.into_iter().for_each(|place| self.search(slot, place, i64::MIN));
        self.trim(slot);
    }

    /// Goes on with an undecided search; nothing of its line stamped before `until` is to come.
    fn search(&mut self, slot: u32, place: u64, until: i64) {
        let line = &mut self.lines[slot as usize];
        let Some(search) = line.searches.get_mut(&place) else { return };
        // What begins at or behind a failure gives no row, and fails no earlier.
        if self.failed.as_ref().is_some_and(|(at, _)| search.at >= *at) {
            line.searches.remove(&place);
            return;
        }
        let found = search.run(&self.machine, &line.events, line.first, until);
        if matches!(found, Found::Waits) {
            return;
        }
        let search = line.searches.remove(&place).expect("it was just run");
        match found {
            Found::Waits | Found::Nothing => {}
            Found::Failed(at, message) => self.fail(at, message),
            Found::Match => {
                let first = (search.first - line.first) as usize;
                let events: Vec<&Event> = line.events.range(first..first + search.path.len()).collect();
                let at = events.last().map_or(search.at, |event| event.at);
                match self.machine.terms.measure(&events, &search.path) {
                    Ok(row) => drop(self.pending.insert((at, place), row)),
                    Err(message) => self.fail(at, message),
                }
            }
        }
    }

    /// Forgets the events of a line that no undecided search can see, and the line if there is none.
    fn trim(&mut self, slot: u32) {
        let line = &mut self.lines[slot as usize];
        match line.searches.values().next() {
            Some(search) => {
                line.events.drain(..(search.first - line.first) as usize);
                line.first = search.first;
            }
            None => {
                *line = Line::default();
                self.slots.release(slot);
            }
        }
    }

    /// Decides what can be decided when nothing stamped before `until` is to come; gives how far all rows
    /// are known.
    fn decide(&mut self, until: i64) -> i64 {
        let limit = self.machine.limit;
        let over = self.starts.partition_point(|(at, _, _)| at.saturating_add(limit) <= until);
        for start in 0..over {
            let (_, slot, place) = self.starts[start];
            if self.is_open(slot, place) {
                self.search(slot, place, until);
                self.trim(slot);
            }
        }
        while let Some(&(_, slot, place)) = self.starts.front() {
            if self.is_open(slot, place) {
                break;
            }
            self.starts.pop_front();
        }
        self.starts.front().map_or(until, |(at, _, _)| until.min(*at))
    }

    fn is_open(&self, slot: u32, place: u64) -> bool {
        self.lines[slot as usize].searches.contains_key(&place)
    }

    /// The rows stamped before `until`.
    fn emit(&mut self, until: i64) -> Vec<Batch> {
        let later = self.pending.split_off(&(until, 0));
        let ready = std::mem::replace(&mut self.pending, later);
        if ready.is_empty() {
            return Vec::new();
        }
        let mut builders: Vec<ColumnBuilder> =
            self.op.measures.iter().map(|_| ColumnBuilder::with_capacity(ready.len())).collect();
        let timestamps = ready.keys().map(|(at, _)| *at).collect();
        for row in ready.into_values() {
            row.into_iter().zip(&mut builders).for_each(|(value, builder)| builder.push(value));
        }
        let columns = builders.into_iter().map(|builder| Arc::new(builder.finish())).collect();
        vec![Batch { timestamps, columns }]
    }
}

impl Operator for Match {
    fn step(&mut self, inputs: &[&Slice], context: &mut Context) -> Slice {
        if self.ended {
            return Slice::empty(Timestamp::MAX);
        }
        self.counts_from = context.from.0;
        inputs[0].batches.iter().for_each(|batch| self.take(batch));
        self.until = inputs[0].until;
        let until = self.decide(self.until.0);
        match self.failed.take_if(|(at, _)| *at <= until) {
            Some((at, message)) => {
                self.ended = true;
                context.fail(Timestamp(at), message);
                Slice { batches: self.emit(at), until: Timestamp::MAX }
            }
            None => Slice { batches: self.emit(until), until: Timestamp(until) },
        }
    }

    fn save(&self, writer: &mut Writer) {
        writer.timestamp(self.until);
        writer.u64(self.place);
        writer.u8(u8::from(self.failed.is_some()));
        if let Some((at, message)) = &self.failed {
            writer.i64(*at);
            writer.text(message);
        }
        let lost = self.plants.is(Plant::MatchPartialLost);
        let slots = if lost { Vec::new() } else { self.slots.sorted() };
        writer.len(slots.len());
        for slot in slots {
            self.slots.key(slot).iter().for_each(|value| writer.value(value));
            self.lines[slot as usize].save(writer);
        }
        writer.len(self.pending.len());
        for ((at, place), row) in &self.pending {
            writer.i64(*at);
            writer.u64(*place);
            row.iter().for_each(|value| writer.value(value));
        }
    }

    fn load(&mut self, reader: &mut Reader<'_>) -> Result<(), Corrupt> {
        self.until = reader.timestamp()?;
        self.place = reader.u64()?;
        if reader.bool()? {
            self.failed = Some((reader.i64()?, reader.text()?.to_string()));
        }
        let mut starts = Vec::new();
        for _ in 0..reader.len(8)? {
            let slot = read_key(&mut self.slots, self.op.partition.len(), reader)?;
            let line = Line::load(&self.machine, self.place, reader)?;
            starts.extend(line.searches.iter().map(|(&place, search)| (place, search.at, slot)));
            self.lines.resize_with(self.slots.len(), Line::default);
            self.lines[slot as usize] = line;
        }
        starts.sort_unstable();
        self.starts = starts.iter().map(|&(place, at, slot)| (at, slot, place)).collect();
        if !self.starts.iter().is_sorted_by_key(|(at, _, _)| *at) {
            return Err(reader.corrupt("events in the order of time"));
        }
        for _ in 0..reader.len(16)? {
            let key = (read_ticks(reader)?, reader.u64()?);
            let row = (0..self.op.measures.len()).map(|_| reader.value()).collect::<Result<_, _>>()?;
            self.pending.insert(key, row);
        }
        // Searches begin anew, and come to where they were.
        for (place, _, slot) in starts {
            self.search(slot, place, i64::MIN);
        }
        let slots: Vec<u32> = self.slots.sorted();
        slots.into_iter().for_each(|slot| self.trim(slot));
        Ok(())
    }

    fn explain(&self) -> BTreeMap<String, String> {
        let mut texts = BTreeMap::new();
        for slot in self.slots.sorted() {
            let line = &self.lines[slot as usize];
            let starts: Vec<String> =
                line.searches.values().map(|search| Timestamp(search.at).to_string()).collect();
            let text = format!("{} events, undecided from [{}]", line.events.len(), starts.join(", "));
            texts.insert(self.slots.text(slot), text);
        }
        texts
    }
}

impl Line {
    fn save(&self, writer: &mut Writer) {
        writer.len(self.events.len());
        for event in &self.events {
            writer.i64(event.at);
            writer.u64(event.place);
            writer.u8(u8::from(self.searches.contains_key(&event.place)));
            for value in &event.values {
                writer.u8(u8::from(value.is_some()));
                value.iter().for_each(|value| writer.value(value));
            }
        }
    }

    fn load(machine: &Machine, places: u64, reader: &mut Reader<'_>) -> Result<Line, Corrupt> {
        let mut line = Line::default();
        for number in 0..reader.len(17)? as u64 {
            let (at, place, open) = (read_ticks(reader)?, reader.u64()?, reader.bool()?);
            let behind = line.events.back().is_some_and(|last| at < last.at || place <= last.place);
            if behind || place >= places {
                return Err(reader.corrupt("events in their order"));
            }
            let mut values = Vec::with_capacity(machine.terms.exprs.len());
            for _ in &machine.terms.exprs {
                values.push(if reader.bool()? { Some(reader.value()?) } else { None });
            }
            line.events.push_back(Event { at, place, values });
            if open {
                line.searches.insert(place, Search::new(machine, number, at));
            }
        }
        Ok(line)
    }
}
