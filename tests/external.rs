//! Functions from outside the language, registered from Rust (choice C-EXTERNAL): model and engine agree on
//! them, over checkpoints too.
//!
//! What no other suite would catch: a window that takes back a value the aggregate never saw, or in another
//! order, a state that a checkpoint loses, and a query that runs although nobody says what it computes. The
//! generator of the other suites writes no such calls, because what they compute is registered, not drawn.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::sync::Arc;

use rewindow::choices::{Choices, Seeded};
use rewindow_engine::{Instance, Setup};
use rewindow_query::{
    Accumulator, Declared, Entry, Failure, Functions, History, Ordering, Payload, Plan, Policy, Record, Row,
    Span, Timestamp, Value, analyse_with,
};

const ORDERING: Ordering = Ordering { late: Span(0), out_of_order: Span(0), policy: Policy::Adjust };

/// A value that every aggregate here fails at.
const UNLUCKY: i64 = 13;

fn whole(value: &Value) -> Result<i64, String> {
    match value {
        Value::Int(UNLUCKY) => Err("unlucky".to_owned()),
        Value::Int(int) => Ok(*int),
        other => Err(format!("{other} is no bigint")),
    }
}

/// What an aggregate can take back.
#[derive(Clone, Copy)]
struct Back {
    values: bool,
    states: bool,
}

/// The sum, exactly.
struct Sum(Back);

impl Accumulator for Sum {
    fn init(&self, _: &[Value]) -> Result<Value, String> {
        Ok(Value::Int(0))
    }

    fn accumulate(&self, state: Value, value: &Value, _: Timestamp) -> Result<Value, String> {
        Ok(Value::Int(whole(&state)? + whole(value)?))
    }

    fn compute(&self, state: &Value) -> Result<Value, String> {
        Ok(state.clone())
    }

    fn takes_back(&self) -> bool {
        self.0.values
    }

    fn deaccumulate(&self, state: Value, value: &Value, _: Timestamp) -> Result<Value, String> {
        assert!(self.0.values, "not asked for what it has not");
        Ok(Value::Int(whole(&state)? - whole(value)?))
    }

    fn takes_back_states(&self) -> bool {
        self.0.states
    }

    fn deaccumulate_state(&self, state: Value, leaving: &Value) -> Result<Value, String> {
        assert!(self.0.states, "not asked for what it has not");
        Ok(Value::Int(whole(&state)? - whole(leaving)?))
    }
}

/// All it was told, in order: text that begins with the parameters.
struct Told(Back);

impl Told {
    fn word(value: &Value, at: Timestamp) -> String {
        format!("{value}@{} ", at.0 / 10_000_000 % 1000)
    }
}

impl Accumulator for Told {
    fn init(&self, parameters: &[Value]) -> Result<Value, String> {
        Ok(Value::text(format!("{}:", Value::Array(parameters.to_vec().into()))))
    }

    fn accumulate(&self, state: Value, value: &Value, at: Timestamp) -> Result<Value, String> {
        whole(value)?;
        let Value::Text(told) = &state else { return Err("a text".to_owned()) };
        Ok(Value::text(format!("{told}{}", Told::word(value, at))))
    }

    fn compute(&self, state: &Value) -> Result<Value, String> {
        let members = vec![("told".into(), state.clone()), ("half".into(), Value::Float(0.5))];
        Ok(Value::Record(Arc::new(Record::new(members))))
    }

    fn takes_back(&self) -> bool {
        self.0.values
    }

    fn deaccumulate(&self, state: Value, value: &Value, at: Timestamp) -> Result<Value, String> {
        let Value::Text(told) = &state else { return Err("a text".to_owned()) };
        let word = Told::word(value, at);
        let (head, tail) = told.split_once(':').ok_or("a colon")?;
        let rest = tail.strip_prefix(&word).ok_or_else(|| format!("{word} is not the oldest of {told}"))?;
        Ok(Value::text(format!("{head}:{rest}")))
    }
}

fn functions(back: Back) -> Functions {
    Functions::default()
        .aggregate("uda.sum", 1, Sum(back))
        .aggregate("UDA.Told", 1, Told(back))
        .aggregate("AnomalyDetection_SpikeAndDip", 1, Told(back))
        .scalar("udf.twice", 1, |arguments| match arguments {
            [Value::Null] => Ok(Value::text("none")),
            [value] => Ok(Value::Int(2 * whole(value)?)),
            _ => Err("one argument".to_owned()),
        })
}

const QUERIES: &[&str] = &[
    "SELECT k, SUM(v) AS s, uda.sum(v) AS u, uda.told(v) AS t INTO o FROM s GROUP BY k, Tumbling(second, 5)",
    "SELECT k, SUM(v) AS s, UDA.Sum(v) AS u, uda.told(v) AS t INTO o FROM s GROUP BY k, HoppingWindow(second, 7, 3)",
    "SELECT uda.sum(v) AS u, SUM(v) AS s, COUNT(*) AS n INTO o FROM s GROUP BY Hopping(second, 2, 5)",
    "SELECT k, SUM(v) AS s, uda.sum(v) AS u, uda.told(v) AS t INTO o FROM s GROUP BY k, Sliding(second, 4)",
    "SELECT k, SUM(v) AS s, uda.sum(v) AS u, uda.told(v) AS t INTO o FROM s GROUP BY k, Session(second, 2, 9)",
    "SELECT SUM(v) AS s, uda.sum(v) AS u, uda.told(v) AS t INTO o FROM s GROUP BY System.Timestamp() HAVING uda.sum(v) > 0",
    "SELECT k, AnomalyDetection_SpikeAndDip(v, 95, 120, 'spikes') OVER (PARTITION BY k LIMIT DURATION(second, 4)) AS a INTO o FROM s",
    "SELECT AnomalyDetection_SpikeAndDip(v, 95.5, 120, 'dips') OVER (LIMIT DURATION(second, 3) WHEN k = 'a') AS a INTO o FROM s",
    "SELECT udf.twice(v) AS d INTO o FROM s WHERE udf.twice(v) <> 4",
    "SELECT uda.told(d) AS t INTO o FROM (s) GROUP BY Tumbling(second, 3)",
];

fn plan(query: &str, functions: &Functions) -> Arc<Plan> {
    let query = query.replace("FROM (s)", "FROM d");
    let query = match query.contains("FROM d") {
        true => format!("WITH d AS (SELECT udf.twice(v) AS d FROM s WHERE v IS NOT NULL) {query}"),
        false => query,
    };
    let declared = Declared { functions: Some(functions), ..Declared::default() };
    Arc::new(analyse_with(&query, &declared).unwrap_or_else(|error| panic!("{error}\n{query}")))
}

fn history(choices: &mut dyn Choices, lucky: bool) -> History {
    let (mut entries, mut second) = (Vec::new(), 100);
    for offset in 0..choices.range(0, 24) as u64 {
        second += [0, 0, 1, 1, 2, 3, 9][choices.range(0, 6) as usize];
        let v = match choices.range(0, 40) {
            0..=3 => Value::Null,
            4 if !lucky => Value::Int(UNLUCKY),
            n => Value::Int([-7, -1, 0, 2, 5, 100][n as usize % 6]),
        };
        let k = Value::text(["a", "b"][choices.range(0, 1) as usize]);
        let payload = Payload::Event(Arc::new(Record::new(vec![("k".into(), k), ("v".into(), v)])));
        let arrival = Timestamp(second * 10_000_000);
        entries.push(Entry { input: 0, partition: 0, offset, arrival, payload });
    }
    History::of(entries)
}

/// The engine's rows, entry by entry; made again out of its checkpoint in front of those `saved` says.
fn engine(
    plan: &Arc<Plan>,
    history: &History,
    saved: &dyn Fn(usize) -> bool,
) -> (Vec<Row>, Option<Timestamp>) {
    let shard = plan.shards(&[1]).remove(0);
    let setup = Setup::new(plan.clone(), shard, ORDERING);
    let mut instance = setup.clone().start(Timestamp::MIN);
    let mut rows = Vec::new();
    let mut run = || -> Result<(), Failure> {
        for (place, entry) in history.entries.iter().enumerate() {
            if saved(place) {
                let bytes = instance.checkpoint();
                instance = setup.clone().restore(&bytes).unwrap();
                assert_eq!(instance.checkpoint(), bytes, "a state made again is the same state");
            }
            rows.extend(instance.feed(0, 0, std::slice::from_ref(entry))?.rows);
        }
        rows.extend(instance.finish()?.rows);
        instance.failure().map_or(Ok(()), |failure| Err(failure.clone()))
    };
    let failed = run().err().map(|failure| failure.at);
    rows.retain(|row| failed.is_none_or(|at| row.timestamp < at));
    (rows, failed)
}

fn model(plan: &Arc<Plan>, history: &History) -> (Vec<Row>, Option<Timestamp>) {
    let answer = rewindow_model::answer(plan, &ORDERING, &[1], history);
    (answer.rows, answer.failure.map(|failure| failure.at))
}

#[test]
fn model_and_engine_agree_with_and_without_taking_back() {
    let (mut rows, mut failures) = (0, 0);
    for (number, query) in QUERIES.iter().enumerate() {
        let all = [(false, false), (true, false), (false, true), (true, true)];
        for (values, states) in all {
            // Told cannot take back states, Sum can do both.
            let plan = plan(query, &functions(Back { values, states: states && !query.contains("told") }));
            for seed in 0..60 {
                let mut choices = Seeded::new(number as u64, seed);
                let history = history(&mut choices, seed % 3 > 0);
                let expected = model(&plan, &history);
                let at = choices.range(0, 24) as usize;
                let ways: [&dyn Fn(usize) -> bool; 3] = [&|_| false, &|_| true, &|place| place == at];
                for saved in ways {
                    assert_eq!(engine(&plan, &history, saved), expected, "{query}\n{history:?}");
                }
                for row in &expected.0 {
                    if let (Some(sum), Some(own)) = (row.record.get("s"), row.record.get("u")) {
                        let none = Value::Int(0);
                        assert_eq!(own, if sum.is_null() { &none } else { sum }, "{query}");
                    }
                }
                rows += expected.0.len();
                failures += usize::from(expected.1.is_some());
            }
        }
    }
    assert!(rows > 10_000 && failures > 100, "{rows} rows, {failures} failures");
}

#[test]
fn a_deaccumulate_that_does_not_undo_is_noticed() {
    struct Careless;
    impl Accumulator for Careless {
        fn init(&self, _: &[Value]) -> Result<Value, String> {
            Ok(Value::Float(0.0))
        }
        fn accumulate(&self, state: Value, value: &Value, _: Timestamp) -> Result<Value, String> {
            let (Value::Float(sum), Value::Int(int)) = (&state, value) else { return Err("a sum".into()) };
            Ok(Value::Float(sum + *int as f64 * 0.1))
        }
        fn compute(&self, state: &Value) -> Result<Value, String> {
            Ok(state.clone())
        }
        fn takes_back(&self) -> bool {
            true
        }
        fn deaccumulate(&self, state: Value, value: &Value, _: Timestamp) -> Result<Value, String> {
            let (Value::Float(sum), Value::Int(int)) = (&state, value) else { return Err("a sum".into()) };
            Ok(Value::Float(sum - *int as f64 * 0.1))
        }
    }
    let functions = Functions::default().aggregate("uda.sum", 1, Careless);
    let plan = plan("SELECT uda.sum(v) AS u INTO o FROM s GROUP BY Sliding(second, 4)", &functions);
    let differ = (0..50).any(|seed| {
        let history = history(&mut Seeded::new(7, seed), true);
        let plain = engine(&plan, &history, &|_| false);
        // A checkpoint goes on with the very state, drift included.
        assert_eq!(engine(&plan, &history, &|_| true), plain);
        plain != model(&plan, &history)
    });
    assert!(differ, "sums of tenths drift");
}

#[test]
fn without_an_implementation_a_query_is_planned_and_not_opened() {
    use rewindow_engine::{OpenError, Opening};
    use rewindow_query::{LogView, Retained, Why};
    struct NoLog;
    impl LogView for NoLog {
        fn retained(&self, _: usize, _: u32) -> Retained {
            Retained { first: 0, next: 0, lost_until: None }
        }
        fn first_since(&self, _: usize, _: u32, _: Timestamp) -> u64 {
            0
        }
    }
    let query = "SELECT UDA.Rate(v) AS r FROM s GROUP BY Hopping(minute, 10, 5)";
    let bare = plan(query, &Functions::default());
    assert_eq!(bare.lookback(0), Span::minutes(10));
    let open = |plan: &Arc<Plan>| {
        let setup = Setup::new(plan.clone(), plan.shards(&[1]).remove(0), ORDERING);
        let opening = Opening { why: Why::Fresh, output_from: Timestamp::MIN, checkpoint: None, log: &NoLog };
        setup.open(opening).map(|_| ())
    };
    let Err(OpenError::Function(error)) = open(&bare) else { panic!("it opened") };
    assert_eq!((error.code, &query[error.place.clone()]), ("unregistered-function", "UDA.Rate"));
    assert!(error.message.contains("UDA.Rate") && error.help.is_some());
    // Whoever runs it all the same meets the name at the first row.
    let history = history(&mut Seeded::new(1, 1), true);
    assert!(!history.entries.is_empty());
    let answer = rewindow_model::answer(&bare, &ORDERING, &[1], &history);
    assert!(answer.failure.unwrap().message.contains("UDA.Rate"));
    let back = Back { values: false, states: false };
    let linked = plan(query, &Functions::default().aggregate("uda.rate", 1, Sum(back)));
    assert!(open(&linked).is_ok());
}

#[test]
fn a_checkpoint_of_another_version_of_a_function_is_refused() {
    let back = Back { values: false, states: false };
    let of = |version| {
        let functions = Functions::default().aggregate("uda.sum", version, Sum(back));
        let plan = plan("SELECT uda.sum(v) AS u FROM s GROUP BY Sliding(second, 4)", &functions);
        let shard = plan.shards(&[1]).remove(0);
        Setup::new(plan, shard, ORDERING)
    };
    let bytes = of(1).start(Timestamp::MIN).checkpoint();
    assert!(of(1).restore(&bytes).is_ok());
    assert!(
        matches!(of(2).restore(&bytes).map(|_: Instance| ()), Err(error) if error.code() == "checkpoint-query")
    );
}

#[test]
fn what_comes_back_must_be_a_value_of_the_language() {
    let nested = |depth: usize| (0..depth).fold(Value::Null, |inner, _| Value::Array([inner].into()));
    for (value, fits) in [
        (Value::Float(f64::NAN), false),
        (Value::Array([Value::Float(f64::INFINITY)].into()), false),
        (nested(200), false),
        (nested(20), true),
        (Value::Float(-0.0), true),
    ] {
        let functions = Functions::default().scalar("udf.odd", 1, move |_| Ok(value.clone()));
        let plan = plan("SELECT udf.odd() AS u INTO o FROM s", &functions);
        let mut history = history(&mut Seeded::new(1, 1), true);
        history.entries.truncate(1);
        assert_eq!(model(&plan, &history).1.is_none(), fits);
        assert_eq!(engine(&plan, &history, &|_| false), model(&plan, &history));
    }
}
