//! Seven days of a job, an event a second, with a fault every hour: laid out, answered, run and judged.
//!
//! ```text
//! cargo run --release --example seven_days
//! ```
//!
//! Prints how long each part took, and how much faster than the job itself that is. No dice: delays, readings
//! and faults go round in lists whose lengths have no factor in common.

use std::sync::Arc;
use std::time::Duration;

use rewindow::budget::Stopwatch;
use rewindow::judge::{Held, Truth, Verdict, judge};
use rewindow_query::{Entry, History, Ordering, Payload, Policy, Record, Span, Timestamp, Value};
use rewindow_world::case::{
    Case, CaseInput, Damage, Deployment, Fault, FaultKind, LinkTrouble, SinkKind, StartMode,
};
use rewindow_world::engine_subject::EngineSubject;
use rewindow_world::language::Language;
use rewindow_world::run::{RunOptions, try_run};

const QUERY: &str = "SELECT sensor, COUNT(*) AS readings, AVG(celsius) AS mean, MAX(celsius) AS highest \
    INTO hourly FROM readings TIMESTAMP BY at GROUP BY sensor, TumblingWindow(hour, 1) \
    SELECT sensor, COUNT(*) AS readings, SUM(celsius) AS total, MIN(celsius) AS lowest \
    INTO lately FROM readings TIMESTAMP BY at GROUP BY sensor, HoppingWindow(minute, 30, 10)";

/// Days of the job.
const DAYS: i64 = 7;

/// A case of so many hours: four sensors that take turns, each reading up to six seconds under way.
pub(crate) fn case(hours: i64) -> Case {
    Case {
        name: "seven days".to_owned(),
        query: QUERY.into(),
        language: Language::default(),
        inputs: vec![CaseInput { name: "readings".to_owned(), partitions: 2 }],
        references: Vec::new(),
        ordering: Ordering { late: Span::seconds(5), out_of_order: Span::seconds(5), policy: Policy::Adjust },
        deployment: Deployment {
            nodes: 2,
            keyed: 0,
            link_delay: Span::ZERO,
            checkpoint_interval: Span::minutes(3),
            poll_interval: Span::seconds(10),
            batch: 1_000,
            rate: 100,
            retention: Some(Span::hours(24)),
            retention_size: None,
            heartbeat: Span::seconds(5),
            sink: SinkKind::Append,
        },
        history: Arc::new(history(hours * 3_600)),
        turns: Vec::new(),
        faults: (1..=hours).map(fault).collect(),
    }
}

fn start() -> Timestamp {
    Timestamp::parse("2024-03-04T00:00:00Z").expect("a time")
}

/// An event a second; each arrives up to six seconds later than it says, so that some are out of order, and one
/// delay is longer than what is waited for.
fn history(seconds: i64) -> History {
    let names = ["at", "sensor", "celsius"].map(Arc::<str>::from);
    let sensors = ["attic", "cellar", "roof", "yard"].map(Value::text);
    let reading = |second: i64| {
        let arrival = start().plus(Span::seconds(second));
        let at = arrival.minus(Span::seconds([0, 2, 1, 4, 0, 6, 3][second as usize % 7]));
        let values =
            [Value::Datetime(at), sensors[second as usize % 4].clone(), Value::Int(second * second % 61)];
        let payload = Payload::Event(Arc::new(Record::new(names.iter().cloned().zip(values).collect())));
        // Sensors keep to their partition.
        let (partition, offset) = ((second % 2) as u32, (second / 2) as u64);
        Entry { input: 0, partition, offset, arrival, payload }
    };
    History::of((0..seconds).map(reading).collect())
}

/// The fault of an hour; it strikes somewhere in the middle of it.
fn fault(hour: i64) -> Fault {
    let at = start().plus(Span::minutes(60 * hour - 55 + 7 * hour % 50)).plus(Span::seconds(17));
    let (node, other) = ((hour % 2) as u32, (hour % 3) as usize);
    let [short, down, long] = [20, 60, 200].map(Span::seconds);
    let kind = match hour % 13 {
        0 => FaultKind::NodeKill { node, down },
        1 => FaultKind::ServiceUpgrade { readable: true, down },
        2 => FaultKind::ServiceUpgrade { readable: false, down },
        3 => FaultKind::UserRestart {
            stopped: down,
            start: [StartMode::WhenLastStopped, StartMode::Now][other % 2],
        },
        4 => FaultKind::OsUpgrade { down: short },
        5 => FaultKind::Hang { node, noticed: down, back: long },
        6 => FaultKind::RollingUpgrade { down: short },
        7 => FaultKind::SinkUnavailable { span: long },
        8 => FaultKind::Rollback { down },
        9 => FaultKind::Checkpoint { node, damage: Damage::ALL[other] },
        10 => FaultKind::Slow { node, times: 5, during: long },
        11 => FaultKind::SinkAckLost,
        _ => FaultKind::Link { node, trouble: LinkTrouble::Delay(short), during: long },
    };
    Fault { at, kind }
}

fn main() {
    let watch = Stopwatch::start();
    let case = case(DAYS * 24);
    let laid_out = watch.elapsed();
    let truth = Truth::of(&case).expect("the query is right");
    let answered = watch.elapsed();
    let subject = EngineSubject::of_case(&truth.plan, &case);
    let run = try_run(&case, &truth.plan, &subject, RunOptions { trace: false }).expect("it can be run");
    let ran = watch.elapsed();
    let verdict = judge(&truth, &case, &run);
    let all = watch.elapsed();

    println!("{} events, {} faults", case.history.entries.len(), case.faults.len());
    match verdict {
        Verdict::Held(Held { levels, recoveries, rows_matched, copies, .. }) => {
            println!("held: {}", levels.iter().map(|level| level.name()).collect::<Vec<_>>().join(", "));
            println!("{rows_matched} rows, {copies} of them copies");
            let recovered = recoveries.from_checkpoint + recoveries.replayed;
            println!("{recovered} recoveries, {} of them by replay", recoveries.replayed);
        }
        Verdict::Broken(breach) => println!("broken: {}", breach.message),
    }
    let seconds = |span: Duration| span.as_secs_f64();
    println!(
        "laid out {:.2} s, model {:.2} s, run {:.2} s, judge {:.2} s, all {:.2} s: {:.0} times faster than the job",
        seconds(laid_out),
        seconds(answered - laid_out),
        seconds(ran - answered),
        seconds(all - ran),
        seconds(all),
        (DAYS * 86_400) as f64 / seconds(all),
    );
}
