//! Functions from outside the language: `udf.*`, `uda.*`, AnomalyDetection_*, machine-learning endpoints,
//! GetMetadataPropertyValue (rules 6.1, 7.5 and section 10, choice C-EXTERNAL).
//!
//! Their results are defined by whoever registers an implementation, so both answers call the same one:
//! it is part of the question, as a stream's events are. An [`External`] is a call in a plan; the analysis
//! gives it the implementation that [`Functions`] has under its name, if it has one. Without, the query can
//! be planned and not run: [`Plan::check_functions`]. Invariant: a value that comes back is one of the
//! language, finite and not nested deeper than [`DEPTH_MAX`].

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::codes::{self, fail};
use crate::error::QueryError;
use crate::expr::Expr;
use crate::json::DEPTH_MAX;
use crate::plan::{Op, Plan};
use crate::time::Timestamp;
use crate::value::Value;

/// A function of values. It must be pure: the same arguments, the same result (section 10). An error fails
/// the job at the row (rule 14.2).
pub type Scalar = dyn Fn(&[Value]) -> Result<Value, String> + Send + Sync;

/// An aggregate of values: state in, state out (rule 6.1).
///
/// States are values, so that they can be kept in a checkpoint. Every method must be pure; an error fails the
/// job at the row that is computed (rule 14.2). `parameters` are the constants of the call: confidence,
/// length of history and mode of AnomalyDetection_*, none of `uda.*`.
pub trait Accumulator: Send + Sync {
    /// The state of an empty group.
    ///
    /// # Errors
    /// What fails the job, in words; likewise below.
    fn init(&self, parameters: &[Value]) -> Result<Value, String>;

    /// The state with one value more; the timestamp is that of its event. Values come in processing order
    /// and are never NULL (rule 2.5).
    ///
    /// # Errors
    /// What fails the job, in words.
    fn accumulate(&self, state: Value, value: &Value, timestamp: Timestamp) -> Result<Value, String>;

    /// The result for a state.
    ///
    /// # Errors
    /// What fails the job, in words.
    fn compute(&self, state: &Value) -> Result<Value, String>;

    /// Whether [`Accumulator::deaccumulate`] can be called.
    fn takes_back(&self) -> bool {
        false
    }

    /// The state without its oldest value: exactly what it would be had that value never come.
    ///
    /// # Errors
    /// What fails the job, in words.
    fn deaccumulate(&self, _: Value, _: &Value, _: Timestamp) -> Result<Value, String> {
        Err("there is no deaccumulate".to_owned())
    }

    /// Whether [`Accumulator::deaccumulate_state`] can be called.
    fn takes_back_states(&self) -> bool {
        false
    }

    /// The state without its oldest values, of which `leaving` is the state.
    ///
    /// # Errors
    /// What fails the job, in words.
    fn deaccumulate_state(&self, _: Value, _leaving: &Value) -> Result<Value, String> {
        Err("there is no deaccumulateState".to_owned())
    }
}

/// A function written elsewhere, as text: of the case and its files, not yet of anything that can run it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Script {
    /// Its name in queries: `udf.f`, `uda.f`.
    pub name: String,
    /// Its text.
    pub source: Arc<str>,
}

/// What is registered, by name. Names ignore case and are written as in the query: `udf.f`, `uda.f`,
/// `AnomalyDetection_ChangePoint`, `sentiment`.
#[derive(Clone, Default)]
pub struct Functions {
    scalars: BTreeMap<String, Known<Scalar>>,
    aggregates: BTreeMap<String, Known<dyn Accumulator>>,
}

struct Known<I: ?Sized> {
    version: u64,
    implementation: Arc<I>,
}

impl<I: ?Sized> Clone for Known<I> {
    fn clone(&self) -> Self {
        Known { version: self.version, implementation: self.implementation.clone() }
    }
}

/// By name and version: what a function does is not looked at.
impl PartialEq for Functions {
    fn eq(&self, other: &Functions) -> bool {
        self.names().eq(other.names())
    }
}

impl fmt::Debug for Functions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.names()).finish()
    }
}

impl Functions {
    /// Registers a function. `version` is to change whenever what it computes does: a checkpoint taken under
    /// another version is refused.
    #[must_use]
    pub fn scalar(
        mut self,
        name: &str,
        version: u64,
        function: impl Fn(&[Value]) -> Result<Value, String> + Send + Sync + 'static,
    ) -> Functions {
        let implementation: Arc<Scalar> = Arc::new(function);
        self.scalars.insert(name.to_ascii_lowercase(), Known { version, implementation });
        self
    }

    /// Registers an aggregate, or a function over the events of a LIMIT DURATION; `version` as for
    /// [`Functions::scalar`].
    #[must_use]
    pub fn aggregate(mut self, name: &str, version: u64, aggregate: impl Accumulator + 'static) -> Functions {
        let implementation: Arc<dyn Accumulator> = Arc::new(aggregate);
        self.aggregates.insert(name.to_ascii_lowercase(), Known { version, implementation });
        self
    }

    /// Whether nothing is registered.
    pub fn is_empty(&self) -> bool {
        self.scalars.is_empty() && self.aggregates.is_empty()
    }

    /// What is registered, in lower case and in order, with its version.
    pub fn names(&self) -> impl Iterator<Item = (&str, u64)> {
        let scalars = self.scalars.iter().map(|(name, known)| (name.as_str(), known.version));
        scalars.chain(self.aggregates.iter().map(|(name, known)| (name.as_str(), known.version)))
    }

    pub(crate) fn is_scalar(&self, name: &str) -> bool {
        self.scalars.contains_key(&name.to_ascii_lowercase())
    }
}

/// A call of a function from outside.
pub struct External<I: ?Sized> {
    /// Its name as written.
    pub name: Arc<str>,
    /// Where it is called, in bytes of the query.
    pub place: Range<usize>,
    /// The constants of the call; none of a scalar function.
    pub parameters: Arc<[Value]>,
    /// The version of its implementation; 0 without one.
    pub version: u64,
    implementation: Option<Arc<I>>,
}

impl<I: ?Sized> Clone for External<I> {
    fn clone(&self) -> Self {
        External {
            name: self.name.clone(),
            place: self.place.clone(),
            parameters: self.parameters.clone(),
            version: self.version,
            implementation: self.implementation.clone(),
        }
    }
}

/// Two calls of one function in two places are one.
impl<I: ?Sized> PartialEq for External<I> {
    fn eq(&self, other: &Self) -> bool {
        let same = self.name.eq_ignore_ascii_case(&other.name) && self.version == other.version;
        same && self.parameters == other.parameters
    }
}

impl<I: ?Sized> Eq for External<I> {}

impl<I: ?Sized> fmt::Debug for External<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("External").field(&self.name).field(&self.parameters).field(&self.version).finish()
    }
}

impl<I: ?Sized> External<I> {
    fn new(name: &str, place: &Range<usize>, parameters: Vec<Value>, known: Option<&Known<I>>) -> Self {
        External {
            name: name.into(),
            place: place.clone(),
            parameters: parameters.into(),
            version: known.map_or(0, |known| known.version),
            implementation: known.map(|known| known.implementation.clone()),
        }
    }

    /// Whether there is something to call.
    pub fn is_registered(&self) -> bool {
        self.implementation.is_some()
    }

    fn run<T>(&self, call: impl FnOnce(&I) -> Result<T, String>) -> Result<T, String> {
        let Some(implementation) = &self.implementation else {
            return Err(format!("{} is not registered", self.name));
        };
        call(implementation).map_err(|message| format!("{}: {message}", self.name))
    }

    fn value(&self, call: impl FnOnce(&I) -> Result<Value, String>) -> Result<Value, String> {
        self.run(|implementation| {
            let value = call(implementation)?;
            check(&value, 0)?;
            Ok(value)
        })
    }
}

/// A call of a scalar function.
pub type ExternalScalar = External<Scalar>;

/// A call of an aggregate.
pub type ExternalAggregate = External<dyn Accumulator>;

impl ExternalScalar {
    pub(crate) fn scalar(name: &str, place: &Range<usize>, functions: Option<&Functions>) -> Self {
        let known = functions.and_then(|f| f.scalars.get(&name.to_ascii_lowercase()));
        External::new(name, place, Vec::new(), known)
    }

    /// The function of these arguments.
    ///
    /// # Errors
    /// What fails the job, in words.
    pub fn call(&self, arguments: &[Value]) -> Result<Value, String> {
        self.value(|function| function(arguments))
    }
}

impl ExternalAggregate {
    pub(crate) fn aggregate(
        name: &str,
        place: &Range<usize>,
        parameters: Vec<Value>,
        functions: Option<&Functions>,
    ) -> Self {
        let known = functions.and_then(|f| f.aggregates.get(&name.to_ascii_lowercase()));
        External::new(name, place, parameters, known)
    }

    /// [`Accumulator::init`]
    ///
    /// # Errors
    /// What fails the job, in words; likewise below.
    pub fn init(&self) -> Result<Value, String> {
        self.value(|aggregate| aggregate.init(&self.parameters))
    }

    /// [`Accumulator::accumulate`]
    ///
    /// # Errors
    /// What fails the job, in words.
    pub fn accumulate(&self, state: Value, value: &Value, timestamp: Timestamp) -> Result<Value, String> {
        self.value(|aggregate| aggregate.accumulate(state, value, timestamp))
    }

    /// [`Accumulator::takes_back`]
    pub fn takes_back(&self) -> bool {
        self.implementation.as_ref().is_some_and(|aggregate| aggregate.takes_back())
    }

    /// [`Accumulator::deaccumulate`]
    ///
    /// # Errors
    /// What fails the job, in words.
    pub fn deaccumulate(&self, state: Value, value: &Value, timestamp: Timestamp) -> Result<Value, String> {
        self.value(|aggregate| aggregate.deaccumulate(state, value, timestamp))
    }

    /// [`Accumulator::takes_back_states`]
    pub fn takes_back_states(&self) -> bool {
        self.implementation.as_ref().is_some_and(|aggregate| aggregate.takes_back_states())
    }

    /// [`Accumulator::deaccumulate_state`]
    ///
    /// # Errors
    /// What fails the job, in words.
    pub fn deaccumulate_state(&self, state: Value, leaving: &Value) -> Result<Value, String> {
        self.value(|aggregate| aggregate.deaccumulate_state(state, leaving))
    }

    /// [`Accumulator::compute`]
    ///
    /// # Errors
    /// What fails the job, in words.
    pub fn compute(&self, state: &Value) -> Result<Value, String> {
        self.value(|aggregate| aggregate.compute(state))
    }
}

/// Whether a value is one of the language (rule 1.1).
fn check(value: &Value, depth: usize) -> Result<(), String> {
    if depth > DEPTH_MAX {
        return Err(format!("gave a value nested deeper than {DEPTH_MAX} levels"));
    }
    match value {
        Value::Float(float) if !float.is_finite() => {
            Err(format!("gave {float}, which is no finite float (rule 1.1)"))
        }
        Value::Array(items) => items.iter().try_for_each(|item| check(item, depth + 1)),
        Value::Record(record) => record.members().iter().try_for_each(|(_, value)| check(value, depth + 1)),
        _ => Ok(()),
    }
}

impl Plan {
    /// The functions from outside that the plan calls: name, place, and whether something is registered.
    pub fn externals(&self) -> Vec<(Arc<str>, Range<usize>, bool)> {
        let mut found = Vec::new();
        for node in &self.nodes {
            node.op.visit(&mut |expr| {
                if let Expr::External(external, _) = expr {
                    found.push((external.name.clone(), external.place.clone(), external.is_registered()));
                }
            });
            let calls = match &node.op {
                Op::Group(group) => group.calls.as_slice(),
                Op::Over(over) => std::slice::from_ref(&over.call),
                _ => &[],
            };
            for user in calls.iter().filter_map(|call| call.user.as_ref()) {
                found.push((user.name.clone(), user.place.clone(), user.is_registered()));
            }
        }
        found.sort_by_key(|(_, place, _)| (place.start, place.end));
        found.dedup();
        found
    }

    /// Whether every function the plan calls can be computed.
    ///
    /// # Errors
    /// The first call, in the order of the text, of a function nothing is registered for.
    pub fn check_functions(&self) -> Result<(), QueryError> {
        let Some((name, place, _)) = self.externals().into_iter().find(|(.., registered)| !registered) else {
            return Ok(());
        };
        let lower = name.to_ascii_lowercase();
        let (rule, help) = match lower.split('.').next() {
            Some("udf") => (
                "section 10",
                "register it from Rust (rewindow_query::Functions), or as a script (rewindow::javascript)",
            ),
            Some("uda") => (
                "rule 6.1",
                "register it from Rust (rewindow_query::Functions), or as a script (rewindow::javascript)",
            ),
            _ if lower.starts_with("anomalydetection") => (
                "rule 7.5",
                "its model is not published: register an implementation from Rust, or plan the query only",
            ),
            _ => (
                "section 10",
                "register an implementation from Rust (rewindow_query::Functions), or plan the query only",
            ),
        };
        let message = format!("nothing says what {name} computes ({rule}, choice C-EXTERNAL)");
        Err(fail(codes::UNREGISTERED_FUNCTION, &place, "not registered", message).help(help))
    }
}
