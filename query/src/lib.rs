//! The room of the question: timestamps, values, rows, and the query language from text to plan.
//!
//! [`analyse`] turns the text of a query into a [`plan::Plan`]: names resolved, limits checked, lookback
//! known. This room holds no operator state, reads no clock, no file and no dice, and knows neither of
//! its two answers, `model` and `engine`.

mod analyse;
pub mod codes;
mod describe;
pub mod error;
pub mod event;
pub mod expr;
mod fingerprint;
pub mod functions;
pub mod json;
pub mod level;
mod lookback;
mod parse;
pub mod plan;
pub mod recovery;
pub mod shard;
mod show;
mod smaller;
pub mod time;
pub mod value;
mod walk;

pub use analyse::{Declared, analyse, analyse_with};
pub use error::QueryError;
pub use event::{Dropped, Entry, Failure, History, Identity, Ordering, Payload, Policy, Reason, Row};
pub use functions::{Accumulator, Functions};
pub use level::Level;
pub use plan::Plan;
pub use recovery::{Gap, LogView, Outcome, Recovered, Retained, Why};
pub use shard::Shard;
pub use smaller::smaller;
pub use time::{Span, Timestamp, Unit};
pub use value::{Record, Type, Value};
