//! Every small history under every small schedule, for one small query of each operator.
//!
//! What no other suite would catch: a fault that needs an exact coincidence of few things, which dice may
//! miss for years. What it cannot catch: faults that need many entries or many keys; random search does.
//!
//! The generator below is driven by an [`Odometer`], which counts through all answers that the draws can
//! have, like the digits of a counter whose places appear as they are asked for. Values are distinct
//! powers of two, so that a row lost, doubled or misplaced always shows in a sum.
//!
//! `REWINDOW_EXHAUSTIVE=entries,faults` sets the bounds, without it 2,1; each one more costs ten to thirty times as much.

use std::sync::Arc;

use rewindow::choices::Choices;
use rewindow::judge::{Truth, Verdict, judge};
use rewindow_query::{Entry, History, Ordering, Payload, Policy, Record, Span, Timestamp, Value};
use rewindow_world::RunOptions;
use rewindow_world::case::{Case, CaseInput, Deployment, Fault, FaultKind, StartMode};
use rewindow_world::engine_subject::EngineSubject;

// ---- the enumerator ---------------------------------------------------------------------------------

/// Counts through all sequences of choices. Later draws may depend on the answers of earlier ones.
#[derive(Default)]
struct Odometer {
    /// Answer and bound of each draw, as far as they are known.
    digits: Vec<(u64, u64)>,
    next: usize,
}

impl Odometer {
    /// Turns to the next sequence: the last digit that can still grow does, what comes after it is
    /// forgotten. `false` once all have been seen.
    fn turn(&mut self) -> bool {
        self.next = 0;
        while let Some((answer, bound)) = self.digits.pop() {
            if answer + 1 < bound {
                self.digits.push((answer + 1, bound));
                return true;
            }
        }
        false
    }
}

impl Choices for Odometer {
    fn draw(&mut self, bound: u64) -> u64 {
        if bound <= 1 {
            return 0;
        }
        if self.next == self.digits.len() {
            self.digits.push((0, bound));
        }
        let (answer, known) = self.digits[self.next];
        assert_eq!(known, bound, "equal answers lead to equal questions");
        self.next += 1;
        answer
    }
}

/// Calls `each` once for every sequence of choices.
fn for_all(mut each: impl FnMut(&mut Odometer)) {
    let mut odometer = Odometer::default();
    loop {
        each(&mut odometer);
        if !odometer.turn() {
            return;
        }
    }
}

#[test]
fn the_odometer_visits_every_sequence_once() {
    let mut seen = Vec::new();
    for_all(|choices| {
        let length = choices.draw(3);
        seen.push((0..length).map(|digit| choices.draw(digit + 2)).collect::<Vec<_>>());
    });
    let all =
        [vec![], vec![0], vec![1], vec![0, 0], vec![0, 1], vec![0, 2], vec![1, 0], vec![1, 1], vec![1, 2]];
    assert_eq!(seen, all);
}

// ---- the small world --------------------------------------------------------------------------------

/// Midnight, where windows of every size of whole seconds begin.
fn start() -> Timestamp {
    Timestamp::parse("2024-01-01T00:00:00Z").expect("a date is an instant")
}

/// Up to `entries_max` entries: when it arrives after the one before, how late it is, and either its key or
/// its stream.
fn history(choices: &mut Odometer, entries_max: u64, streams: usize) -> History {
    let mut arrival = start();
    let mut offsets = vec![0; streams];
    let count = choices.draw(entries_max + 1);
    let entry = |index: u64| {
        arrival = arrival.plus(Span::seconds([1, 0, 2][choices.draw(3) as usize]));
        let late = Span::seconds([0, 2][choices.draw(2) as usize]);
        let which = choices.draw(2);
        let input = if streams == 2 { which as usize } else { 0 };
        let key = if streams == 2 { "a" } else { ["a", "b"][which as usize] };
        let member = |name: &str, value| (Arc::from(name), value);
        let record = Record::new(vec![
            member("t", Value::text(arrival.minus(late).to_string())),
            member("k", Value::text(key)),
            member("n", Value::Int(1 << index)),
        ]);
        offsets[input] += 1;
        let offset = offsets[input] - 1;
        Entry { input, partition: 0, offset, arrival, payload: Payload::Event(Arc::new(record)) }
    };
    History { entries: (0..count).map(entry).collect() }
}

/// Up to `faults_max` faults on a grid of seconds around the history.
fn faults(choices: &mut Odometer, faults_max: u64) -> Vec<Fault> {
    let mut at = start();
    let count = choices.draw(faults_max + 1);
    let fault = |_| {
        at = at.plus(Span::seconds(1 + choices.draw(5) as i64));
        let down = Span::seconds(1);
        let kind = match choices.draw(5) {
            0 => FaultKind::NodeKill { node: 0, down },
            1 => FaultKind::ServiceUpgrade { readable: false, down },
            2 => FaultKind::UserRestart { stopped: down, start: StartMode::WhenLastStopped },
            3 => FaultKind::ServiceUpgrade { readable: true, down },
            _ => FaultKind::RetentionCut { keep: Span::seconds(1) },
        };
        Fault { at, kind }
    };
    (0..count).map(fault).collect()
}

fn case(query: &str, streams: usize, history: Arc<History>, faults: Vec<Fault>) -> Case {
    let name = |index: usize| ["a", "b"][index].to_owned();
    Case {
        name: "exhaustive".to_owned(),
        query: query.into(),
        inputs: (0..streams).map(|index| CaseInput { name: name(index), partitions: 1 }).collect(),
        ordering: Ordering { late: Span::seconds(3), out_of_order: Span::seconds(1), policy: Policy::Adjust },
        deployment: Deployment {
            nodes: 1,
            checkpoint_interval: Span::seconds(2),
            poll_interval: Span::seconds(1),
            batch: 1,
            rate: 1_000,
            retention: None,
            heartbeat: Span::seconds(4),
        },
        history,
        faults,
    }
}

fn bounds() -> (u64, u64) {
    #[expect(clippy::disallowed_methods, reason = "a budget: how far to look, never what is right")]
    let text = std::env::var("REWINDOW_EXHAUSTIVE").unwrap_or_else(|_| "2,1".to_owned());
    let (entries, faults) = text.split_once(',').expect("REWINDOW_EXHAUSTIVE is entries,faults");
    (entries.parse().expect("a number of entries"), faults.parse().expect("a number of faults"))
}

/// Judges every case there is for a query within the bounds.
fn check(query: &str, streams: usize) {
    let (entries_max, faults_max) = bounds();
    let (mut cases, mut rows, mut from_checkpoint, mut replayed) = (0u64, 0u64, 0u64, 0u64);
    for_all(|choices| {
        let history = Arc::new(history(choices, entries_max, streams));
        let quiet = case(query, streams, history.clone(), Vec::new());
        let truth = Truth::of(&quiet).unwrap_or_else(|error| panic!("{error}\n{query}"));
        rows += truth.answer.rows.len() as u64;
        let subject = EngineSubject::new(truth.plan.clone(), quiet.ordering, &truth.partitions);
        for_all(|choices| {
            let case = case(query, streams, history.clone(), faults(choices, faults_max));
            let run = rewindow_world::try_run(&case, &truth.plan, &subject, RunOptions { trace: false });
            let run = run.unwrap_or_else(|error| panic!("{error}\n{}", case.to_toml()));
            match judge(&truth, &case, &run) {
                Verdict::Held(held) => {
                    from_checkpoint += held.recoveries.from_checkpoint;
                    replayed += held.recoveries.replayed;
                }
                Verdict::Broken(breach) => panic!("{breach:#?}\n\n{}", case.to_toml()),
            }
            cases += 1;
        });
    });
    println!(
        "{cases} cases, {rows} rows owed, {from_checkpoint} recoveries from a checkpoint, {replayed} by replay"
    );
    assert!(rows > 0, "no history made a row");
    if faults_max > 0 {
        assert!(from_checkpoint > 0 && replayed > 0, "both ways of recovery are met");
    }
}

macro_rules! exhaustive {
    ($($name:ident, $streams:expr, $query:expr;)*) => { $(
        #[test]
        fn $name() {
            check($query, $streams);
        }
    )* };
}

exhaustive! {
    filter_and_project, 1, "SELECT k, n + 1 AS m FROM a TIMESTAMP BY t WHERE n <> 2";
    tumbling, 1, "SELECT k, SUM(n) AS s FROM a TIMESTAMP BY t GROUP BY k, TumblingWindow(second, 2)";
    hopping, 1, "SELECT SUM(n) AS s, MIN(n) AS l FROM a TIMESTAMP BY t GROUP BY HoppingWindow(second, 3, 1)";
    sliding, 1, "SELECT k, SUM(n) AS s, MAX(n) AS h FROM a TIMESTAMP BY t GROUP BY k, SlidingWindow(second, 2)";
    join, 2, "SELECT l.n AS x, r.n AS y FROM a l TIMESTAMP BY t JOIN b r TIMESTAMP BY t \
              ON DATEDIFF(second, l, r) BETWEEN 0 AND 2";
    left_join, 2, "SELECT l.n AS x, r.n AS y FROM a l TIMESTAMP BY t LEFT JOIN b r TIMESTAMP BY t \
                   ON DATEDIFF(second, l, r) BETWEEN -1 AND 1";
    lag, 1, "SELECT n, LAG(n, 1, 0) OVER (PARTITION BY k LIMIT DURATION(second, 2)) AS p FROM a TIMESTAMP BY t";
    last, 1, "SELECT n, LAST(n) OVER (LIMIT DURATION(second, 2) WHEN k = 'a') AS p FROM a TIMESTAMP BY t";
    isfirst, 1, "SELECT n, ISFIRST(second, 2) OVER (PARTITION BY k) AS f FROM a TIMESTAMP BY t";
    union, 2, "SELECT n FROM a TIMESTAMP BY t UNION SELECT n FROM b TIMESTAMP BY t";
    windows_in_a_chain, 1, "WITH s AS (SELECT k, SUM(n) AS n FROM a TIMESTAMP BY t GROUP BY k, TumblingWindow(second, 1)) \
                            SELECT SUM(n) AS m, COUNT(*) AS c FROM s GROUP BY HoppingWindow(second, 4, 2)";
    two_outputs, 1, "SELECT COUNT(*) AS c INTO x FROM a TIMESTAMP BY t GROUP BY TumblingWindow(second, 3); \
                     SELECT n INTO y FROM a TIMESTAMP BY t";
    by_arrival, 1, "SELECT SUM(n) AS s FROM a GROUP BY TumblingWindow(second, 2)";
}
