//! Functions of your own, registered from Rust: a `udf`, and a `uda` that takes values back.
//!
//! ```text
//! cargo run --example functions
//! ```
//!
//! The query is planned without them, refused by name when it is opened, and with them run by model and engine
//! alike, here through a node kill, an upgrade that loses its state, and a user restart.

use std::sync::Arc;

use rewindow::judge::{Truth, Verdict};
use rewindow::trial::trial;
use rewindow_query::{
    Accumulator, Declared, Entry, Functions, History, Ordering, Payload, Policy, Record, Span, Timestamp,
    Value, analyse_with,
};
use rewindow_world::case::{Case, CaseInput, Deployment, Fault, FaultKind, SinkKind, StartMode};
use rewindow_world::engine_subject::EngineSubject;
use rewindow_world::language::Language;

const QUERY: &str = "SELECT sensor, uda.range(udf.fahrenheit(celsius)) AS range, COUNT(*) AS readings \
    INTO report FROM readings TIMESTAMP BY at GROUP BY sensor, HoppingWindow(minute, 10, 5)";

/// Degrees Celsius as Fahrenheit; NULL stays NULL.
fn fahrenheit(arguments: &[Value]) -> Result<Value, String> {
    match arguments {
        [Value::Null] => Ok(Value::Null),
        [Value::Int(celsius)] => Ok(Value::Float(*celsius as f64 * 1.8 + 32.0)),
        [Value::Float(celsius)] => Ok(Value::Float(celsius * 1.8 + 32.0)),
        _ => Err("takes one number".to_owned()),
    }
}

/// The difference of the greatest and the least value. Its state is all values in order, oldest first, so
/// that the oldest can be taken back.
struct Range;

fn values(state: &Value) -> Result<Vec<Value>, String> {
    match state {
        Value::Array(values) => Ok(values.to_vec()),
        _ => Err("no state of a range".to_owned()),
    }
}

impl Accumulator for Range {
    fn init(&self, _: &[Value]) -> Result<Value, String> {
        Ok(Value::Array([].into()))
    }

    fn accumulate(&self, state: Value, value: &Value, _: Timestamp) -> Result<Value, String> {
        let mut values = values(&state)?;
        values.push(value.clone());
        Ok(Value::Array(values.into()))
    }

    fn takes_back(&self) -> bool {
        true
    }

    fn deaccumulate(&self, state: Value, _oldest: &Value, _: Timestamp) -> Result<Value, String> {
        Ok(Value::Array(values(&state)?.drain(1..).collect()))
    }

    fn compute(&self, state: &Value) -> Result<Value, String> {
        let values = values(state)?;
        let floats =
            values.iter().filter_map(|value| if let Value::Float(f) = value { Some(*f) } else { None });
        let (low, high) = floats.fold((f64::MAX, f64::MIN), |(low, high), f| (low.min(f), high.max(f)));
        Ok(if low > high { Value::Null } else { Value::Float(high - low) })
    }
}

fn minute(minute: i64) -> Timestamp {
    Timestamp::parse("2024-03-05T08:00:00Z").expect("a time").plus(Span::minutes(minute))
}

/// Two sensors, a reading each every minute of an hour.
fn history() -> History {
    let reading = |n: i64| {
        let at = minute(n / 2);
        let members = vec![
            ("at".into(), Value::Datetime(at)),
            ("sensor".into(), Value::text(if n % 2 == 0 { "roof" } else { "yard" })),
            ("celsius".into(), if n % 17 == 0 { Value::Null } else { Value::Int(n * n % 23) }),
        ];
        let payload = Payload::Event(Arc::new(Record::new(members)));
        Entry { input: 0, partition: 0, offset: n as u64, arrival: at, payload }
    };
    History::of((0..120).map(reading).collect())
}

fn main() {
    let bare = analyse_with(QUERY, &Declared::default()).expect("it can be planned");
    println!("lookback {}", bare.lookback(0));
    if let Err(refused) = bare.check_functions() {
        println!("refused: {refused}\n  {}", refused.help.as_deref().unwrap_or_default());
    }

    let functions =
        Functions::default().scalar("udf.fahrenheit", 1, fahrenheit).aggregate("uda.range", 1, Range);
    let declared = Declared { functions: Some(&functions), ..Declared::default() };
    let plan = Arc::new(analyse_with(QUERY, &declared).expect("it can be planned"));
    let fault = |at: i64, kind: FaultKind| Fault { at: minute(at), kind };
    let down = Span::minutes(2);
    let case = Case {
        name: "functions".to_owned(),
        query: QUERY.into(),
        language: Language::default(),
        inputs: vec![CaseInput { name: "readings".to_owned(), partitions: 1 }],
        references: Vec::new(),
        ordering: Ordering { late: Span::minutes(5), out_of_order: Span::ZERO, policy: Policy::Adjust },
        deployment: Deployment {
            nodes: 1,
            keyed: 0,
            link_delay: Span::ZERO,
            checkpoint_interval: Span::minutes(3),
            poll_interval: Span::minutes(1),
            batch: 7,
            rate: 10,
            retention: None,
            retention_size: None,
            heartbeat: Span::minutes(1),
            sink: SinkKind::Append,
        },
        history: Arc::new(history()),
        turns: Vec::new(),
        faults: vec![
            fault(13, FaultKind::NodeKill { node: 0, down }),
            fault(27, FaultKind::ServiceUpgrade { readable: false, down }),
            fault(41, FaultKind::UserRestart { stopped: down, start: StartMode::WhenLastStopped }),
        ],
    };
    let truth = Truth::of_plan(plan.clone(), &case);
    for row in truth.answer.rows.iter().take(4) {
        println!("{} {}", row.timestamp, row.record);
    }
    println!("... {} rows in all", truth.answer.rows.len());
    let subject = EngineSubject::new(plan, case.ordering, &[1]);
    match trial(&truth, &case, &subject, false).1 {
        Verdict::Held(_) => println!("held through {} faults", case.faults.len()),
        Verdict::Broken(breach) => println!("broken: {}", breach.message),
    }
}
