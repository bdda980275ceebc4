//! Every small history under every small schedule, for one small query of each operator.
//!
//! What no other suite would catch: a fault that needs an exact coincidence of few things, which dice may
//! miss for years. What it cannot catch: faults that need many entries or many keys; random search does.
//!
//! The generator below is driven by an [`Odometer`], which counts through all answers that the draws can
//! have, like the digits of a counter whose places appear as they are asked for. Values are distinct
//! powers of two, so that a row lost, doubled or misplaced always shows in a sum.
//!
//! `REWINDOW_EXHAUSTIVE=entries,faults` sets the bounds, without it 2,1 (230 thousand cases); 3,1 and 2,2 are some five
//! million each and take minutes, 3,2 an hour.

use std::sync::Arc;

use rewindow::choices::Choices;
use rewindow::judge::{Truth, Verdict};
use rewindow::trial::trial;
use rewindow_engine::Plant;
use rewindow_query::{Entry, History, Ordering, Payload, Policy, Record, Span, Timestamp, Value};
use rewindow_world::case::{Case, CaseInput, Deployment, Fault, FaultKind, SinkKind, StartMode};
use rewindow_world::engine_subject::EngineSubject;
use rewindow_world::language::Language;

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

/// Lengths of a step of time, in seconds. Within the short one everything happens inside the five minutes by which
/// every replay reaches further back (rule 12.3); the long one makes lookback decide.
const STEPS: [i64; 2] = [1, 200];

/// Midnight, where windows of every size met here begin.
fn start() -> Timestamp {
    Timestamp::parse("2024-01-01T00:00:00Z").expect("a date is an instant")
}

/// Up to `entries_max` entries: when it arrives after the one before, how late or early it is, and either its key or
/// its stream.
fn history(choices: &mut Odometer, entries_max: u64, streams: usize, step: i64) -> History {
    let mut arrival = start();
    let mut offsets = vec![0; streams];
    let count = choices.draw(entries_max + 1);
    let entry = |index: u64| {
        arrival = arrival.plus(Span::seconds(step * [1, 0, 4][choices.draw(3) as usize]));
        let late = Span::seconds(step * [0, 2, -1][choices.draw(3) as usize]);
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
    History::of((0..count).map(entry).collect())
}

/// Up to `faults_max` moves on a grid of steps around the history.
fn faults(choices: &mut Odometer, faults_max: u64, step: i64) -> Vec<Fault> {
    let mut at = start();
    let mut faults = Vec::new();
    for _ in 0..choices.draw(faults_max + 1) {
        at = at.plus(Span::seconds(step * (1 + choices.draw(5) as i64)));
        let down = Span::seconds(step);
        let restart = FaultKind::UserRestart { stopped: down, start: StartMode::WhenLastStopped };
        let cut = FaultKind::RetentionCut { keep: Span::seconds(step) };
        let kinds = match choices.draw(5) {
            0 => vec![FaultKind::NodeKill { node: 0, down }],
            1 => vec![FaultKind::ServiceUpgrade { readable: false, down }],
            2 => vec![restart],
            3 => vec![FaultKind::ServiceUpgrade { readable: true, down }],
            _ => vec![cut, restart],
        };
        faults.extend(kinds.into_iter().map(|kind| Fault { at, kind }));
    }
    faults
}

fn case(query: &str, streams: usize, step: i64, history: Arc<History>, faults: Vec<Fault>) -> Case {
    let name = |index: usize| ["a", "b"][index].to_owned();
    let steps = |count: i64| Span::seconds(count * step);
    Case {
        name: "exhaustive".to_owned(),
        query: query.into(),
        inputs: (0..streams).map(|index| CaseInput { name: name(index), partitions: 1 }).collect(),
        language: Language::default(),
        references: Vec::new(),
        ordering: Ordering { late: steps(2), out_of_order: steps(1), policy: Policy::Adjust },
        deployment: Deployment {
            nodes: 1,
            keyed: 0,
            link_delay: Span::ZERO,
            checkpoint_interval: steps(2),
            poll_interval: steps(1),
            batch: 1,
            rate: 1_000,
            retention: None,
            retention_size: None,
            heartbeat: steps(3),
            sink: SinkKind::Append,
        },
        history,
        faults,
        turns: Vec::new(),
    }
}

fn bounds() -> (u64, u64) {
    #[expect(clippy::disallowed_methods, reason = "a budget: how far to look, never what is right")]
    let text = std::env::var("REWINDOW_EXHAUSTIVE").unwrap_or_else(|_| "2,1".to_owned());
    let (entries, faults) = text.split_once(',').expect("REWINDOW_EXHAUSTIVE is entries,faults");
    (entries.parse().expect("a number of entries"), faults.parse().expect("a number of faults"))
}

/// What was met on the way.
#[derive(Default)]
struct Met {
    cases: u64,
    rows: u64,
    from_checkpoint: u64,
    replayed: u64,
    announced: u64,
}

/// Judges every case there is for a query within the bounds. Lengths of time in the query are written in steps,
/// `@3`. Ends at the first case that breaks, with its breach.
fn walk(query: &str, streams: usize, plant: Option<Plant>, bounds: (u64, u64)) -> Result<Met, String> {
    let (entries_max, faults_max) = bounds;
    let mut met = Met::default();
    let mut broken = None;
    for_all(|choices| {
        if broken.is_some() {
            return;
        }
        let step = STEPS[choices.draw(2) as usize];
        let query = in_seconds(query, step);
        let history = Arc::new(history(choices, entries_max, streams, step));
        let quiet = case(&query, streams, step, history.clone(), Vec::new());
        let truth = Truth::of(&quiet).unwrap_or_else(|error| panic!("{error}\n{query}"));
        met.rows += truth.answer.rows.len() as u64;
        let healthy = EngineSubject::of_case(&truth.plan, &quiet);
        let subject = match plant {
            None => healthy,
            Some(plant) => healthy.with_plant(plant),
        };
        for_all(|choices| {
            let case = case(&query, streams, step, history.clone(), faults(choices, faults_max, step));
            match trial(&truth, &case, &subject, false).1 {
                Verdict::Held(held) => {
                    met.from_checkpoint += held.recoveries.from_checkpoint;
                    met.replayed += held.recoveries.replayed;
                    met.announced += held.recoveries.announced;
                }
                Verdict::Broken(breach) if broken.is_none() => {
                    broken = Some(format!("{breach:#?}\n\n{}", case.to_toml()));
                }
                Verdict::Broken(_) => {}
            }
            met.cases += 1;
        });
    });
    broken.map_or(Ok(met), Err)
}

/// `@3` to the seconds in three steps.
fn in_seconds(query: &str, step: i64) -> String {
    (1..=4)
        .fold(query.to_owned(), |text, count| text.replace(&format!("@{count}"), &(count * step).to_string()))
}

fn check(query: &str, streams: usize) {
    let bounds = bounds();
    let met = walk(query, streams, None, bounds).unwrap_or_else(|broken| panic!("{broken}"));
    println!(
        "{} cases, {} rows owed; recoveries: {} from a checkpoint, {} by replay, {} with a gap",
        met.cases, met.rows, met.from_checkpoint, met.replayed, met.announced
    );
    assert!(met.rows > 0, "no history made a row");
    assert!(bounds.1 == 0 || met.from_checkpoint > 0, "no recovery from a checkpoint was met");
    assert!(bounds.1 == 0 || met.replayed > 0, "no recovery by replay was met");
}

macro_rules! exhaustive {
    ($($name:ident, $streams:expr, $query:expr;)*) => {
        $(
            #[test]
            fn $name() {
                check($query, $streams);
            }
        )*
        const QUERIES: &[(&str, usize, &str)] = &[$((stringify!($name), $streams, $query)),*];
    };
}

exhaustive! {
    filter_and_project, 1, "SELECT k, n + 1 AS m FROM a TIMESTAMP BY t WHERE n <> 2";
    tumbling, 1, "SELECT k, SUM(n) AS s FROM a TIMESTAMP BY t GROUP BY k, TumblingWindow(second, @4)";
    hopping, 1, "SELECT SUM(n) AS s, MIN(n) AS l FROM a TIMESTAMP BY t GROUP BY HoppingWindow(second, @4, @1)";
    sliding, 1, "SELECT k, SUM(n) AS s, MAX(n) AS h FROM a TIMESTAMP BY t GROUP BY k, SlidingWindow(second, @4)";
    join, 2, "SELECT l.n AS x, r.n AS y FROM a l TIMESTAMP BY t JOIN b r TIMESTAMP BY t \
              ON DATEDIFF(second, l, r) BETWEEN 0 AND @4";
    left_join, 2, "SELECT l.n AS x, r.n AS y FROM a l TIMESTAMP BY t LEFT JOIN b r TIMESTAMP BY t \
                   ON DATEDIFF(second, l, r) BETWEEN -@1 AND @3";
    lag, 1, "SELECT n, LAG(n, 1, 0) OVER (PARTITION BY k LIMIT DURATION(second, @4)) AS p FROM a TIMESTAMP BY t";
    last, 1, "SELECT n, LAST(n) OVER (LIMIT DURATION(second, @4) WHEN k = 'a') AS p FROM a TIMESTAMP BY t";
    isfirst, 1, "SELECT n, ISFIRST(second, @4) OVER (PARTITION BY k) AS f FROM a TIMESTAMP BY t";
    union, 2, "SELECT n FROM a TIMESTAMP BY t UNION SELECT n FROM b TIMESTAMP BY t";
    windows_in_a_chain, 1, "WITH s AS (SELECT k, SUM(n) AS n FROM a TIMESTAMP BY t GROUP BY k, TumblingWindow(second, @1)) \
                            SELECT SUM(n) AS m, COUNT(*) AS c FROM s GROUP BY HoppingWindow(second, @4, @2)";
    two_outputs, 1, "SELECT COUNT(*) AS c INTO x FROM a TIMESTAMP BY t GROUP BY TumblingWindow(second, @3); \
                     SELECT n INTO y FROM a TIMESTAMP BY t";
    by_arrival, 1, "SELECT SUM(n) AS s FROM a GROUP BY TumblingWindow(second, @4)";
}

/// What the enumeration is worth: planted bugs that cannot hide in it, whatever else it may miss. What goes
/// wrong between two streams needs a third entry, all else shows with two.
#[test]
fn planted_bugs_are_found() {
    let finds = |plant: Plant| {
        let join =
            matches!(plant, Plant::LeftJoinNullTwice | Plant::LeftJoinMatchForgotten | Plant::JoinSideLost);
        let (streams_min, bounds) = if join { (2, (3, 1)) } else { (1, (2, 1)) };
        let mut queries = QUERIES.iter().filter(|(_, streams, _)| *streams >= streams_min);
        queries.any(|(_, streams, query)| walk(query, *streams, Some(plant), bounds).is_err())
    };
    // Needs a partition that stays silent while another one runs ahead: too much for this scope.
    // The others need operators that no query above has.
    let hides = |plant: &Plant| {
        matches!(
            plant,
            Plant::IdlePartitionForgotten
                | Plant::SessionIndexLost
                | Plant::SessionRestartParity
                | Plant::MatchPartialLost
                | Plant::OverRowsLost
                | Plant::SubstreamsForgotten
                | Plant::ReferenceNewest
        )
    };
    let hidden: Vec<&str> =
        Plant::all().filter(|plant| !hides(plant)).filter(|&plant| !finds(plant)).map(Plant::name).collect();
    assert_eq!(hidden, [""; 0]);
}
