//! A new version of the service that is faulty: a subject around a subject.
//!
//! Which version a task runs is said when it is opened. Crashes are no matter of this page: a version that crashes is
//! right while it runs, and its crashes are faults of the case. Invariant: with no faulty version every call is passed
//! on as it is.

use std::rc::Rc;
use std::sync::Arc;

use rewindow_engine::plant::Plants;
use rewindow_engine::{Layout, Packet, TaskSpec};
use rewindow_query::{Entry, Failure, Record, Recovered, Row, Shard, Span, Timestamp, Value};

use crate::subject::{Contract, Opening, Refusal, Subject, Taken, Worker};

/// What is wrong with a version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Faulty {
    /// Its nodes crash, again and again.
    Crash {
        /// How long after the start, and after each crash before.
        every: Span,
    },
    /// It takes entries and gives nothing; its frontier stands.
    Stall,
    /// Every row is wrong: its last number is one more, or it has a member more; all else is right, so only a
    /// comparison with another region finds it.
    Wrong,
}

impl Faulty {
    /// The word in case files and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Faulty::Crash { .. } => "crash",
            Faulty::Stall => "stall",
            Faulty::Wrong => "wrong",
        }
    }
}

/// A subject that is upgraded from version to version, some of them faulty.
pub(crate) struct Versions {
    inner: Rc<dyn Subject>,
    /// Of version 1, 2 ...
    faulty: Vec<Option<Faulty>>,
}

impl Versions {
    pub(crate) fn new(inner: Rc<dyn Subject>, faulty: Vec<Option<Faulty>>) -> Versions {
        Versions { inner, faulty }
    }

    fn faulty(&self, version: u32) -> Option<Faulty> {
        let index = usize::try_from(version.checked_sub(1)?).ok()?;
        self.faulty.get(index).copied().flatten()
    }
}

impl Subject for Versions {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn shards(&self) -> &[Shard] {
        self.inner.shards()
    }

    fn layout(&self) -> Layout {
        self.inner.layout()
    }

    fn contract(&self) -> Contract {
        self.inner.contract()
    }

    fn plants(&self) -> Plants {
        self.inner.plants()
    }

    fn open(&self, task: usize, opening: &Opening<'_>) -> Result<(Box<dyn Worker>, Recovered), Refusal> {
        // Of several tasks the one that writes shows it.
        let writes = |spec: &TaskSpec| spec.role.writes();
        let faulty =
            self.faulty(opening.version).filter(|_| self.inner.layout().tasks.get(task).is_none_or(writes));
        let (worker, recovered) = self.inner.open(task, opening)?;
        let worker: Box<dyn Worker> = match faulty {
            Some(Faulty::Stall) => Box::new(Stalled(worker)),
            Some(Faulty::Wrong) => Box::new(Wrong(worker)),
            Some(Faulty::Crash { .. }) | None => worker,
        };
        Ok((worker, recovered))
    }
}

/// Takes entries and forgets them.
struct Stalled(Box<dyn Worker>);

impl Worker for Stalled {
    fn feed(&mut self, _: usize, _: u32, _: &[Entry]) -> Result<Vec<Row>, Failure> {
        Ok(Vec::new())
    }

    fn finish(&mut self) -> Result<Vec<Row>, Failure> {
        Ok(Vec::new())
    }

    fn frontier(&self) -> Timestamp {
        self.0.frontier()
    }

    fn checkpoint(&self) -> Vec<u8> {
        self.0.checkpoint()
    }

    fn receive(&mut self, _: usize, _: &Packet) -> Result<Taken, Failure> {
        Ok(Taken::Rows(Vec::new()))
    }

    fn wanted(&self) -> Vec<u64> {
        self.0.wanted()
    }

    fn resend(&self, to: usize, from: u64) -> Option<Packet> {
        self.0.resend(to, from)
    }

    fn forget(&mut self, to: usize, before: u64) {
        self.0.forget(to, before);
    }

    fn kept(&self, to: usize) -> u64 {
        self.0.kept(to)
    }
}

/// Says something else than it should, in every row.
struct Wrong(Box<dyn Worker>);

impl Worker for Wrong {
    fn feed(&mut self, input: usize, partition: u32, entries: &[Entry]) -> Result<Vec<Row>, Failure> {
        Ok(self.0.feed(input, partition, entries)?.into_iter().map(another).collect())
    }

    fn finish(&mut self) -> Result<Vec<Row>, Failure> {
        Ok(self.0.finish()?.into_iter().map(another).collect())
    }

    fn failure(&self) -> Option<Failure> {
        self.0.failure()
    }

    fn frontier(&self) -> Timestamp {
        self.0.frontier()
    }

    fn checkpoint(&self) -> Vec<u8> {
        self.0.checkpoint()
    }

    fn receive(&mut self, from: usize, packet: &Packet) -> Result<Taken, Failure> {
        Ok(match self.0.receive(from, packet)? {
            Taken::Rows(rows) => Taken::Rows(rows.into_iter().map(another).collect()),
            other => other,
        })
    }

    fn outgoing(&mut self) -> Vec<(usize, Packet)> {
        self.0.outgoing()
    }

    fn wanted(&self) -> Vec<u64> {
        self.0.wanted()
    }

    fn resend(&self, to: usize, from: u64) -> Option<Packet> {
        self.0.resend(to, from)
    }

    fn forget(&mut self, to: usize, before: u64) {
        self.0.forget(to, before);
    }

    fn kept(&self, to: usize) -> u64 {
        self.0.kept(to)
    }
}

/// A row of the same identity that says something else.
fn another(row: Row) -> Row {
    let mut members = row.record.members().to_vec();
    let change = |value: &mut Value| match value {
        Value::Int(number) => {
            *number = number.wrapping_add(1);
            true
        }
        Value::Float(number) if number.is_finite() && *number + 1.0 != *number => {
            *number += 1.0;
            true
        }
        _ => false,
    };
    if !members.iter_mut().rev().any(|(_, value)| change(value)) {
        members.push(("wrong".into(), Value::Int(1)));
    }
    Row { record: Arc::new(Record::new(members)), ..row }
}
