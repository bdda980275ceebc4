//! Aggregates from outside the language: `uda.*` and AnomalyDetection_* (rule 6.1, choice C-EXTERNAL).
//!
//! Values are accumulated as they come. One that leaves is taken back where the aggregate can do that; where
//! it cannot, its state is given up, and a result is computed from the values kept. A method that fails fails
//! the row that is computed, so the failure is kept in place of the state. Knows no windows. Invariant: with
//! an aggregate that takes back exactly, a result depends on the values inside alone.

use std::collections::VecDeque;
use std::sync::Arc;

use rewindow_query::expr::Expr;
use rewindow_query::functions::ExternalAggregate;
use rewindow_query::{Timestamp, Value};

use crate::codec::{Corrupt, Reader, Writer};

/// What is evaluated for an argument: a record of its value and the timestamp.
pub fn expr(argument: &Expr) -> Expr {
    Expr::Record(vec![("value".into(), argument.clone()), ("timestamp".into(), Expr::Timestamp)])
}

/// Value and timestamp of such a record.
pub fn parts(value: &Value) -> Option<(&Value, Timestamp)> {
    let Value::Record(record) = value else { return None };
    match record.members() {
        [(_, value), (_, Value::Datetime(timestamp))] => Some((value, *timestamp)),
        _ => None,
    }
}

/// Why a value is no such record, if it is none.
pub fn refuse(value: &Value) -> Option<String> {
    parts(value).is_none().then(|| "no value with a timestamp".to_owned())
}

/// The state of an aggregate that has seen a value.
#[derive(Clone, Debug)]
pub struct Running {
    aggregate: Arc<ExternalAggregate>,
    /// What it has accumulated, or how that failed; `None` once a value left that it cannot take back.
    state: Option<Result<Value, String>>,
}

impl Running {
    /// The state of an empty group.
    pub fn new(aggregate: &Arc<ExternalAggregate>) -> Running {
        Running { aggregate: aggregate.clone(), state: Some(aggregate.init()) }
    }

    /// The state of an empty group of the same aggregate.
    pub fn empty(&self) -> Running {
        Running::new(&self.aggregate)
    }

    /// Takes a value in, the newest.
    pub fn enter(&mut self, value: &Value) {
        self.change(|aggregate, state| {
            let (value, at) = parts(value).ok_or("no value with a timestamp")?;
            aggregate.accumulate(state, value, at)
        });
    }

    /// Takes the oldest value back.
    pub fn leave(&mut self, value: &Value) {
        self.forgive();
        if !self.aggregate.takes_back() {
            self.state = None;
            return;
        }
        self.change(|aggregate, state| {
            let (value, at) = parts(value).ok_or("no value with a timestamp")?;
            aggregate.deaccumulate(state, value, at)
        });
    }

    /// Takes the oldest values back, whose own state is known.
    pub fn leave_all(&mut self, leaving: &Running, values: &VecDeque<Value>) {
        self.forgive();
        match &leaving.state {
            Some(Ok(theirs)) if self.aggregate.takes_back_states() => {
                self.change(|aggregate, state| aggregate.deaccumulate_state(state, theirs));
            }
            _ => values.iter().for_each(|value| self.leave(value)),
        }
    }

    /// What failed may have failed because of what leaves.
    fn forgive(&mut self) {
        self.state = self.state.take().filter(Result::is_ok);
    }

    fn change(&mut self, step: impl FnOnce(&ExternalAggregate, Value) -> Result<Value, String>) {
        self.state = match self.state.take() {
            Some(Ok(state)) => Some(step(&self.aggregate, state)),
            failed => failed,
        };
    }

    /// The result; `values` are those inside, oldest first.
    ///
    /// # Errors
    /// A method that failed.
    pub fn result(&self, values: &VecDeque<Value>) -> Result<Value, String> {
        if let Some(state) = &self.state {
            return self.aggregate.compute(state.as_ref().map_err(String::clone)?);
        }
        let mut again = self.empty();
        values.iter().for_each(|value| again.enter(value));
        match again.state {
            Some(state) => self.aggregate.compute(&state?),
            None => Err("a state is there while nothing leaves".to_owned()),
        }
    }
}

/// Writes a state, or none.
pub fn save(running: Option<&Running>, writer: &mut Writer) {
    match running.map(|running| &running.state) {
        None => writer.u8(0),
        Some(None) => writer.u8(1),
        Some(Some(Ok(state))) => {
            writer.u8(2);
            writer.value(state);
        }
        Some(Some(Err(message))) => {
            writer.u8(3);
            writer.text(message);
        }
    }
}

/// Reads what [`save`] wrote.
///
/// # Errors
/// Bytes that are no such state.
pub fn load(aggregate: &Arc<ExternalAggregate>, reader: &mut Reader<'_>) -> Result<Option<Running>, Corrupt> {
    let state = match reader.u8()? {
        0 => return Ok(None),
        1 => None,
        2 => Some(Ok(reader.value()?)),
        3 => Some(Err(reader.text()?.to_string())),
        _ => return Err(reader.corrupt("the state of an aggregate")),
    };
    Ok(Some(Running { aggregate: aggregate.clone(), state }))
}
