//! A question, put to the model and to the engine in every way the engine can be asked.
//!
//! The event that fails a job is taken out and the rest asked again, so that one failure does not hide the others.
//! Invariant: two values are the same only if their types and bits are, so -0.0 is not 0.0 here.

use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use rewindow::choices::{Choices, Seeded};
use rewindow_engine::instance::Instance;
use rewindow_query::{
    Entry, History, Ordering, Payload, Plan, Policy, Record, Row, Shard, Span, Timestamp, Value, analyse,
};

const ORDERING: Ordering =
    Ordering { late: Span::hours(24), out_of_order: Span::ZERO, policy: Policy::Adjust };

/// A query over one partition of one stream, timestamped by arrival.
#[derive(Clone)]
pub(crate) struct Question {
    /// Expressions without alias.
    items: Vec<String>,
    /// From INTO on.
    tail: String,
    plan: Arc<Plan>,
    entries: Vec<Entry>,
}

/// What was asked, and what both said.
pub(crate) struct Asked {
    pub(crate) plan: Arc<Plan>,
    pub(crate) rows: Vec<Row>,
    pub(crate) failed: bool,
}

/// Rows and the instant of the failure.
type Said = (Vec<Row>, Option<Timestamp>);

impl Question {
    /// Events arrive a second apart, from a Friday on, some at the same instant as the one before.
    pub(crate) fn new(items: Vec<String>, tail: &str, events: Vec<Record>) -> Question {
        let query = query(&items, tail);
        let plan = analyse(&query, None).unwrap_or_else(|error| panic!("{error}\n{query}"));
        let begin = Timestamp::parse("2024-03-01T12:00:00Z").unwrap();
        let entry = |(offset, event): (usize, Record)| {
            let together = offset - usize::from(offset % 5 == 4);
            let arrival = begin.plus(Span::seconds(i64::try_from(together).unwrap()));
            let payload = Payload::Event(Arc::new(event));
            Entry { input: 0, partition: 0, offset: offset as u64, arrival, payload }
        };
        let entries = events.into_iter().enumerate().map(entry).collect();
        Question { items, tail: tail.to_owned(), plan: Arc::new(plan), entries }
    }

    /// Asks, and asks again without what failed, until nothing fails.
    pub(crate) fn ask(mut self, choices: &mut dyn Choices) -> Result<Vec<Asked>, String> {
        let mut all = Vec::new();
        loop {
            let saved = choices.index(self.entries.len() + 1);
            let (rows, failure) = match self.once(choices, saved..=saved) {
                Ok(said) => said,
                Err(first) => return Err(self.smaller().unwrap_or(first)),
            };
            all.push(Asked { plan: self.plan.clone(), rows, failed: failure.is_some() });
            let Some(at) = failure else { return Ok(all) };
            // The failure of a group comes at the end of its window, maybe long after its events.
            self.remove(self.entries.iter().rposition(|entry| entry.arrival <= at).unwrap_or(0));
            if self.entries.is_empty() {
                return Ok(all);
            }
        }
    }

    /// Asks once, saved and restored at every place.
    pub(crate) fn ask_everywhere(&self) -> Result<Asked, String> {
        let (rows, failure) = self.once(&mut Seeded::new(0, 0), 0..=self.entries.len())?;
        Ok(Asked { plan: self.plan.clone(), rows, failed: failure.is_some() })
    }

    fn remove(&mut self, at: usize) {
        self.entries.remove(at);
        for (offset, entry) in self.entries.iter_mut().enumerate() {
            entry.offset = offset as u64;
        }
    }

    /// What is said of the smallest question below this one that is answered in two ways.
    fn smaller(mut self) -> Option<String> {
        let mut found = None;
        while let Some((smaller, said)) = self.parts().into_iter().find_map(|part| {
            let said = part.once(&mut Seeded::new(0, 0), 0..=part.entries.len()).err()?;
            Some((part, said))
        }) {
            (self, found) = (smaller, Some(said));
        }
        found
    }

    /// This question without an item, an event, or a member of one.
    fn parts(&self) -> Vec<Question> {
        let mut parts = Vec::new();
        for at in 0..self.items.len() {
            let mut part = self.clone();
            part.items.remove(at);
            if let Ok(plan) = analyse(&query(&part.items, &part.tail), None) {
                part.plan = Arc::new(plan);
                parts.push(part);
            }
        }
        for at in 0..self.entries.len() {
            let mut part = self.clone();
            part.remove(at);
            parts.push(part);
        }
        for (at, entry) in self.entries.iter().enumerate() {
            let Payload::Event(event) = &entry.payload else { continue };
            for member in 0..event.members().len() {
                let mut members = event.members().to_vec();
                members.remove(member);
                let mut part = self.clone();
                part.entries[at].payload = Payload::Event(Arc::new(Record::new(members)));
                parts.push(part);
            }
        }
        parts
    }

    fn once(&self, choices: &mut dyn Choices, saved: RangeInclusive<usize>) -> Result<Said, String> {
        let once = catch_unwind(AssertUnwindSafe(|| self.all_ways(choices, saved)));
        once.unwrap_or_else(|_| Err(format!("a panic, of\n{}", self.shown())))
    }

    fn all_ways(&self, choices: &mut dyn Choices, saved: RangeInclusive<usize>) -> Result<Said, String> {
        let history = History::of(self.entries.clone());
        let answer = rewindow_model::answer(&self.plan, &ORDERING, &[1], &history);
        let model: Said = (answer.rows, answer.failure.as_ref().map(|failure| failure.at));
        let mut ways = vec![
            ("at once", self.engine(&mut |left| left, None)),
            ("cut", self.engine(&mut |left| 1 + choices.index(left), None)),
        ];
        ways.extend(saved.map(|at| ("saved", self.engine(&mut |_| 1, Some(at)))));
        for (how, engine) in &ways {
            if !same_rows(&model.0, &engine.0) || model.1 != engine.1 {
                let why = answer.failure.as_ref().map_or("", |failure| &failure.message);
                let (model, engine) = (said(&model), said(engine));
                return Err(format!("model {why}\n{model}engine, {how}\n{engine}of\n{}", self.shown()));
            }
        }
        Ok(model)
    }

    /// What the engine says, given `cut(left)` events at a time, saved and restored behind `saved` of them.
    fn engine(&self, cut: &mut dyn FnMut(usize) -> usize, saved: Option<usize>) -> Said {
        let shard: Shard = self.plan.shards(&[1]).remove(0);
        let mut instance = Instance::new(self.plan.clone(), shard.clone(), ORDERING, Timestamp::MIN);
        let mut rows: Vec<Row> = Vec::new();
        let mut left = self.entries.as_slice();
        let result = (|| {
            while !left.is_empty() {
                if saved == Some(self.entries.len() - left.len()) {
                    let bytes = instance.checkpoint();
                    let plan = self.plan.clone();
                    instance = Instance::restore(plan, shard.clone(), ORDERING, &bytes).unwrap();
                }
                let (batch, rest) = left.split_at(cut(left.len()));
                left = rest;
                rows.extend(instance.feed(0, 0, batch)?.rows);
            }
            rows.extend(instance.finish()?.rows);
            instance.failure().map_or(Ok(()), |failure| Err(failure.clone()))
        })();
        let failure = result.err().map(|failure| failure.at);
        rows.retain(|row| failure.is_none_or(|failure| row.timestamp < failure));
        (rows, failure)
    }

    fn shown(&self) -> String {
        let event = |entry: &Entry| match &entry.payload {
            Payload::Event(event) => format!("  {} {event:?}\n", entry.arrival),
            other => format!("{other:?}\n"),
        };
        format!("{}\n{}", query(&self.items, &self.tail), self.entries.iter().map(event).collect::<String>())
    }
}

fn query(items: &[String], tail: &str) -> String {
    let items: Vec<String> = items.iter().enumerate().map(|(at, item)| format!("{item} AS v{at}")).collect();
    format!("SELECT {} INTO o {tail}", items.join(", "))
}

fn said((rows, failure): &Said) -> String {
    let row = |row: &Row| format!("  {} {:?}\n", row.timestamp, row.record.members());
    let rows: String = rows.iter().map(row).collect();
    format!("{rows}  fails {failure:?}\n")
}

fn same_rows(a: &[Row], b: &[Row]) -> bool {
    let same = |(a, b): (&Row, &Row)| {
        let place = |row: &Row| (row.output, row.partition, row.timestamp, row.ordinal);
        place(a) == place(b) && same_record(&a.record, &b.record)
    };
    a.len() == b.len() && a.iter().zip(b).all(same)
}

fn same_record(a: &Record, b: &Record) -> bool {
    let (a, b) = (a.members(), b.members());
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.0 == b.0 && same(&a.1, &b.1))
}

/// Of the same type and the same bits.
pub(crate) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Float(a), Value::Float(b)) => a.to_bits() == b.to_bits(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| same(a, b))
        }
        (Value::Record(a), Value::Record(b)) => same_record(a, b),
        (a, b) => a == b,
    }
}
