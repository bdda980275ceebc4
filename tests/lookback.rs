//! Claims 5 and 6: lookback is *enough*, and it is *tight*.
//!
//! ```text
//!   stamped      t - w  ]( t - w + 1 tick ................... t
//!                not seen |  all that rows at t can hang on    |
//! ```
//!
//! What no other suite would catch: a span that is a tick too short on a history nobody drew, or longer than it
//! needs to be, which makes users keep and replay for nothing. Enough: rows at `t` and later are the same
//! without all that is stamped at or before `t - w`. Tight: for each operator a history is found on which they
//! differ without the next tick too. Both are asked of the model, and then of the engine by a user's restart
//! over a log that has forgotten exactly that much.

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use rewindow::choices::Choices;
use rewindow::generate::small_case;
use rewindow_model::guarantee::replay_from;
use rewindow_query::event::Reference;
use rewindow_query::plan::Op;
use rewindow_query::{
    Entry, Gap, History, LogView, Ordering, Payload, Plan, Policy, Record, Retained, Row, Shard, Span,
    Timestamp, Value, Why,
};
use rewindow_world::engine_subject::EngineSubject;
use rewindow_world::subject::{Opening, Subject};
use support::queries::{CHAINS, QUERIES};
use support::{Reached, Search, plan};

/// Queries that fail on some content, and may fail on part of what does not fail as a whole.
const FRAGILE: &[&str] = &[
    "SELECT 6 / (COUNT(*) - 1) AS c FROM a TIMESTAMP BY t GROUP BY Tumbling(second, 3)",
    "SELECT COUNT(*) AS c FROM a TIMESTAMP BY t GROUP BY Hopping(second, 4, 2) HAVING 6 / (COUNT(*) - 1) > 2",
    "SELECT CASE WHEN n = 0 THEN 0 ELSE 6 / LAG(n + 1, 1, 0) OVER (LIMIT DURATION(second, 3)) END AS p FROM a TIMESTAMP BY t",
    "SELECT n FROM a TIMESTAMP BY t WHERE n = 0 OR 6 / LAG(n + 1, 1, 0) OVER (LIMIT DURATION(second, 3)) > 1",
    "WITH s AS (SELECT COUNT(*) AS c FROM a TIMESTAMP BY t GROUP BY Tumbling(second, 2)) \
     SELECT SUM(6 / (c - 1)) AS s FROM s GROUP BY Sliding(second, 3)",
    "WITH s AS (SELECT COUNT(*) AS c FROM a TIMESTAMP BY t GROUP BY Tumbling(second, 2)) \
     SELECT l.c AS c, r.n AS n FROM s l LEFT JOIN a r TIMESTAMP BY t ON DATEDIFF(second, l, r) BETWEEN -1 AND 1 AND 6 / (l.c - 1) > 1",
    "WITH s AS (SELECT COUNT(*) AS c FROM a TIMESTAMP BY t GROUP BY Tumbling(second, 2)) \
     SELECT l.c AS c, r.n AS n FROM s l JOIN a r TIMESTAMP BY t ON DATEDIFF(second, l, r) BETWEEN -1 AND 1 AND 6 / (l.c - 1) = r.n",
    "SELECT SUM(CASE WHEN n = 1 THEN 9223372036854775807 WHEN n = 2 THEN -9223372036854775807 ELSE 0 END) AS s \
     FROM a TIMESTAMP BY t GROUP BY Tumbling(second, 4)",
    "SELECT SUM(CASE WHEN n = 1 THEN 9223372036854775807 WHEN n = 2 THEN -9223372036854775807 ELSE 0 END) AS s \
     FROM a TIMESTAMP BY t GROUP BY Hopping(second, 6, 2)",
    "SELECT k, SUM(CASE WHEN n = 1 THEN 9223372036854775807 WHEN n = 2 THEN -9223372036854775807 ELSE 0 END) AS s \
     FROM a TIMESTAMP BY t GROUP BY k, Sliding(second, 4)",
    "SELECT 6 / (COUNT(*) - 1) AS c FROM a TIMESTAMP BY t GROUP BY Session(second, 1, 2)",
    "SELECT k, SUM(CASE WHEN n = 1 THEN 9223372036854775807 WHEN n = 2 THEN -9223372036854775807 ELSE 0 END) AS s \
     FROM a TIMESTAMP BY t GROUP BY k, Session(second, 1, 2)",
    "SELECT n, 6 / (SUM(n) OVER (LIMIT DURATION(second, 3)) - 2) AS p FROM a TIMESTAMP BY t",
    "SELECT n, SUM(CASE WHEN n = 1 THEN 9223372036854775807 WHEN n = 2 THEN -9223372036854775807 ELSE 0 END) \
     OVER (PARTITION BY k LIMIT DURATION(second, 4)) AS s FROM a TIMESTAMP BY t",
    "WITH s AS (SELECT COUNT(*) AS c FROM a TIMESTAMP BY t GROUP BY Tumbling(second, 2)) \
     SELECT * FROM s MATCH_RECOGNIZE (LIMIT DURATION(second, 4) MEASURES Last(A.c) AS m AFTER MATCH SKIP TO NEXT ROW \
     PATTERN (A A) DEFINE A AS 6 / (A.c - 1) > 0) AS m",
    "WITH s AS (SELECT COUNT(*) AS c FROM a TIMESTAMP BY t GROUP BY Tumbling(second, 2)) \
     SELECT s.c, e.ArrayIndex AS i FROM s CROSS APPLY GetArrayElements(CASE WHEN c = 1 THEN c ELSE NULL END) AS e",
    "WITH s AS (SELECT COUNT(*) AS c FROM a TIMESTAMP BY t GROUP BY Tumbling(second, 2)) \
     SELECT s.c, r.says FROM s JOIN r ON 6 / (s.c - 1) = r.n",
    "WITH s AS (SELECT COUNT(*) AS c FROM a TIMESTAMP BY t GROUP BY Tumbling(second, 2)) \
     SELECT s.c, r.says FROM s LEFT JOIN r ON s.c = r.n AND 6 / (s.c - 1) > 1",
    // Where LAG finds nothing, MIN meets a number among bits (C-MINMAX).
    "WITH s AS (SELECT LAG(yes, 1, 0) OVER (LIMIT DURATION(second, 3)) AS p FROM a TIMESTAMP BY t) \
     SELECT MIN(p) AS m FROM s GROUP BY Tumbling(second, 1)",
    "WITH s AS (SELECT LAG(yes, 1, 0) OVER (LIMIT DURATION(second, 3)) AS p FROM a TIMESTAMP BY t) \
     SELECT MIN(p) AS m FROM s GROUP BY Hopping(second, 2, 1)",
    "WITH s AS (SELECT LAG(yes, 1, 0) OVER (LIMIT DURATION(second, 3)) AS p FROM a TIMESTAMP BY t) \
     SELECT MAX(p) AS m FROM s GROUP BY Sliding(second, 1)",
    // Likewise a text that is no number.
    "WITH s AS (SELECT n, LAG(k, 1, 'none') OVER (LIMIT DURATION(second, 3)) AS p FROM a TIMESTAMP BY t) \
     SELECT SUM(CASE WHEN n = 0 OR p = 'a' OR p = 'b' THEN '1' ELSE p END) AS m FROM s GROUP BY Hopping(second, 2, 1)",
];

const ORDERING: Ordering = Ordering { late: Span::hours(1), out_of_order: Span::ZERO, policy: Policy::Drop };

fn start() -> Timestamp {
    Timestamp::parse("2024-01-01T00:01:00Z").expect("a date is an instant")
}

/// Instants on a grid of seconds or a tick beside, in order; each entry arrives as long before its own time as
/// is allowed, so that its stamp and the reach of a replay meet to the tick.
fn history(plan: &Plan, choices: &mut dyn Choices, most: i64) -> History {
    let mut stamps: Vec<Timestamp> = Vec::new();
    for _ in 0..choices.range(2, most) {
        let beside = *choices.pick(&[Span::ZERO, Span::TICK, Span(-1)]);
        let offset = if choices.chance(1, 6) { Span(choices.range(-10_001, -9_999)) } else { beside };
        stamps.push(start().plus(Span::seconds(choices.range(0, 9))).plus(offset));
    }
    stamps.sort_unstable();
    let mut next = BTreeMap::new();
    let entry = |stamp: Timestamp| {
        let input = choices.index(plan.inputs.len());
        let offset = next.entry(input).or_insert(0u64);
        *offset += 1;
        let key = *choices.pick(&["a", "b"]);
        let n = choices.range(0, 4);
        let members: [(Arc<str>, Value); 5] = [
            ("t".into(), Value::text(stamp.to_string())),
            ("k".into(), Value::text(key)),
            ("n".into(), Value::Int(n)),
            ("list".into(), Value::Array((0..n).map(Value::Int).collect())),
            ("yes".into(), Value::Bit(true)),
        ];
        let payload = Payload::Event(Arc::new(Record::from_iter(members)));
        Entry { input, partition: 0, offset: *offset - 1, arrival: stamp.minus(Span::EARLY), payload }
    };
    let entries = stamps.into_iter().map(entry).collect();
    History { entries, references: plan.references.iter().map(|_| reference()).collect() }
}

/// Two versions, of which the second is in force from the middle on.
fn reference() -> Reference {
    let row = |key: &str, n: i64, says: &str| {
        let members: [(Arc<str>, Value); 3] =
            [("k".into(), Value::text(key)), ("n".into(), Value::Int(n)), ("says".into(), Value::text(says))];
        Arc::new(Record::from_iter(members))
    };
    let later = start().plus(Span::seconds(5));
    Reference {
        versions: vec![
            (Timestamp::MIN, vec![row("a", 1, "x"), row("b", 2, "y")]),
            (later, vec![row("b", 1, "z"), row("b", 4, "w")]),
        ],
    }
}

fn stamp(entry: &Entry) -> Timestamp {
    entry.arrival.plus(Span::EARLY)
}

/// Rows at `from` and later, from what is stamped after `after`.
fn rows(plan: &Plan, history: &History, after: Timestamp, from: Timestamp) -> Vec<Row> {
    let entries = history.entries.iter().filter(|entry| stamp(entry) > after).cloned().collect();
    let answer =
        rewindow_model::answer(plan, &ORDERING, &vec![1; plan.inputs.len()], &history.with_entries(entries));
    assert_eq!(answer.failure, None, "the queries here never fail");
    assert!(answer.dropped.is_empty(), "and nothing is dropped: {:?}", answer.dropped);
    answer.rows.into_iter().filter(|row| row.timestamp >= from).collect()
}

/// Instants at which a start makes a difference: those of the rows, and so far behind each entry that it just
/// is, or just is not, within reach.
fn starts(plan: &Plan, history: &History, w: Span) -> Vec<Timestamp> {
    starts_of(&rows(plan, history, Timestamp::MIN, Timestamp::MIN), history, w)
}

fn starts_of(everything: &[Row], history: &History, w: Span) -> Vec<Timestamp> {
    let mut starts: Vec<Timestamp> = everything.iter().map(|row| row.timestamp).collect();
    for entry in &history.entries {
        starts.extend([0, -1, 1].map(|beside| stamp(entry).plus(w).plus(Span(beside))));
    }
    starts.sort_unstable();
    starts.dedup();
    starts
}

/// The lookback of the only output, at least a tick: the row itself.
fn lookback(plan: &Plan) -> Span {
    plan.lookback(0).max(Span::TICK)
}

/// What a history shows.
struct Shown {
    rows: u64,
    /// Rows differ if the replay begins a tick too late.
    tight: Option<(History, Timestamp)>,
}

/// Whether one lookback is enough for every start over a history.
fn enough(plan: &Plan, history: History) -> Result<Shown, String> {
    let w = lookback(plan);
    let mut shown = Shown { rows: 0, tight: None };
    for from in starts(plan, &history, w) {
        let owed = rows(plan, &history, Timestamp::MIN, from);
        let after = from.minus(w);
        let given = rows(plan, &history, after, from);
        if given != owed {
            return Err(format!(
                "w = {w} is not enough from {from}\nowed {owed:#?}\ngiven {given:#?}\n{history:#?}\n{}",
                plan.text
            ));
        }
        shown.rows += owed.len() as u64;
        if shown.tight.is_none() && rows(plan, &history, after.plus(Span::TICK), from) != owed {
            shown.tight = Some((history.clone(), from));
        }
    }
    Ok(shown)
}

/// A log that forgot what arrived before an instant.
struct Forgetful<'a> {
    entries: &'a [Entry],
    before: Timestamp,
}

impl Forgetful<'_> {
    fn of(&self, input: usize, partition: u32) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |e| (e.input, e.partition) == (input, partition))
    }
}

impl LogView for Forgetful<'_> {
    fn retained(&self, input: usize, partition: u32) -> Retained {
        let lost = || self.of(input, partition).filter(|e| e.arrival < self.before);
        let first = lost().count() as u64;
        let next = self.of(input, partition).count() as u64;
        Retained { first, next, lost_until: lost().map(|e| e.arrival).max() }
    }

    fn first_since(&self, input: usize, partition: u32, arrival: Timestamp) -> u64 {
        let since = arrival.max(self.before);
        self.of(input, partition).filter(|e| e.arrival < since).count() as u64
    }
}

/// What the engine says after a user's restart.
#[derive(PartialEq, Debug, Default)]
struct Restarted {
    rows: Vec<Row>,
    gaps: Vec<Gap>,
    failed: Option<Timestamp>,
}

/// A user's restart from `from`, shard by shard; entries are read one by one or in one go.
fn restarted(
    plan: &Arc<Plan>,
    ordering: Ordering,
    partitions: &[u32],
    references: &[Reference],
    log: &Forgetful<'_>,
    from: Timestamp,
    one_by_one: bool,
) -> Restarted {
    let subject = EngineSubject::new(plan.clone(), ordering, partitions).with_references(references);
    let mut said = Restarted::default();
    for (index, shard) in subject.shards().iter().enumerate() {
        let opening = Opening {
            why: Why::UserRestart,
            version: 0,
            epoch: 1,
            incarnation: 1,
            begin: None,
            output_from: from,
            checkpoint: None,
            log,
        };
        let (mut worker, recovered) = subject.open(index, &opening).expect("a restart is possible");
        said.gaps.extend(recovered.gaps);
        let read = |entry: &&Entry| {
            let place = (entry.input, entry.partition);
            shard.reads.contains(&place) && entry.offset >= recovered.positions[&place]
        };
        let mut entries: Vec<Entry> = log.entries.iter().filter(read).cloned().collect();
        match one_by_one {
            true => entries.sort_by_key(|e| (e.arrival, e.input, e.partition, e.offset)),
            false => entries.sort_by_key(|e| (e.input, e.partition, e.offset)),
        }
        let together = |a: &Entry, b: &Entry| !one_by_one && (a.input, a.partition) == (b.input, b.partition);
        let mut calls = entries.chunk_by(together).map(Some).chain([None]);
        let mut failed = None;
        while let (None, Some(call)) = (&failed, calls.next()) {
            let given = match call {
                Some(batch) => worker.feed(batch[0].input, batch[0].partition, batch),
                None => worker.finish(),
            };
            failed = match given {
                Ok(rows) => {
                    said.rows.extend(rows);
                    worker.failure()
                }
                Err(failure) => Some(failure),
            };
        }
        said.failed = said.failed.into_iter().chain(failed.map(|failure| failure.at)).min();
    }
    said.rows.sort_by_key(|row| (row.output, row.partition, row.timestamp));
    said
}

/// The engine on a history that shows tightness: right, and silent, over a log that keeps just what is needed;
/// neither over one that forgot an instant more.
fn engine_is_tight(plan: &Arc<Plan>, history: &History, from: Timestamp) {
    let owed = rows(plan, history, Timestamp::MIN, from);
    let partitions = vec![1; plan.inputs.len()];
    let needed = replay_from(plan, &plan.shards(&partitions)[0], from);
    let over = |before| {
        let log = Forgetful { entries: &history.entries, before };
        restarted(plan, ORDERING, &partitions, &history.references, &log, from, true)
    };
    let right = Restarted { rows: owed.clone(), ..Restarted::default() };
    assert_eq!(over(needed), right, "from {from}: {history:#?}\n{}", plan.text);
    let Restarted { rows: given, gaps, .. } = over(needed.plus(Span::TICK));
    assert_ne!(given, owed, "from {from}: {history:#?}\n{}", plan.text);
    let differ: Vec<&Row> = owed
        .iter()
        .filter(|row| !given.contains(row))
        .chain(given.iter().filter(|row| !owed.contains(row)))
        .collect();
    for row in differ {
        assert!(gaps.iter().any(|gap| gap.contains(row.timestamp)), "{row:?} is not announced in {gaps:?}");
    }
}

#[test]
fn lookback_of_every_operator_is_enough_and_tight() {
    for &(name, query) in QUERIES {
        let plan = Arc::new(plan(query));
        // Where the timeout is shorter than the longest duration, four events have to stand just so.
        let search = Search::new("lookback", if name == "session" { 12_000 } else { 1_500 });
        let (mut tight, mut reached) = (Vec::new(), Reached::default());
        search.run(
            |_, choices| enough(&plan, history(&plan, choices, 8)),
            |shown| {
                reached.add("rows", shown.rows);
                if let Some(found) = shown.tight {
                    reached.note("a tick less differs");
                    tight.push(found);
                }
            },
        );
        println!("{name}");
        search.require(&reached, &["rows", "a tick less differs"]);
        tight.iter().take(20).for_each(|(history, from)| engine_is_tight(&plan, history, *from));
    }
}

#[test]
fn lookbacks_add_along_chains() {
    for query in CHAINS {
        let plan = plan(query);
        let search = Search::new("lookback-chains", 1_000);
        let mut reached = Reached::default();
        search.run(
            |_, choices| enough(&plan, history(&plan, choices, 8)),
            |shown| reached.add("rows", shown.rows),
        );
        search.require(&reached, &["rows"]);
    }
}

/// What a replay makes in front of the output position may be incomplete, and may fail for that alone. That is
/// no failure of the job (choice C-FAIL); one that lies at the output position or behind it is.
#[test]
fn a_replay_fails_where_the_whole_run_does_and_nowhere_else() {
    for query in FRAGILE {
        let plan = Arc::new(plan(query));
        let partitions = vec![1; plan.inputs.len()];
        let references: Arc<[Reference]> = plan.references.iter().map(|_| reference()).collect();
        let answer = |entries: Vec<Entry>| {
            let history = History { entries, references: references.clone() };
            rewindow_model::answer(&plan, &ORDERING, &partitions, &history)
        };
        let search = Search::new("lookback-fragile", 2_000);
        let mut reached = Reached::default();
        search.run(
            |_, choices| {
                let history = history(&plan, choices, 14);
                let whole = answer(history.entries.clone());
                let end = whole.failure.as_ref().map_or(Timestamp::MAX, |failure| failure.at);
                let mut seen = Vec::new();
                for from in starts_of(&whole.rows, &history, lookback(&plan)) {
                    // From behind its failure nothing is owed.
                    if from > end {
                        continue;
                    }
                    let needed = replay_from(&plan, &plan.shards(&partitions)[0], from);
                    let kept = history.entries.iter().filter(|entry| entry.arrival >= needed);
                    let part = answer(kept.cloned().collect()).failure.map(|failure| failure.at);
                    let alone = part.is_some_and(|at| at < from);
                    seen.push((alone, whole.failure.is_some()));
                    let mut rows = whole.rows.clone();
                    rows.retain(|row| row.timestamp >= from);
                    let failed = whole.failure.as_ref().map(|failure| failure.at);
                    let owed = Restarted { rows, failed, ..Restarted::default() };
                    let log = Forgetful { entries: &history.entries, before: needed };
                    let given = restarted(
                        &plan,
                        ORDERING,
                        &partitions,
                        &references,
                        &log,
                        from,
                        choices.chance(1, 2),
                    );
                    if given != owed {
                        let what = format!("from {from}\nowed {owed:#?}\ngiven {given:#?}");
                        return Err(format!("{what}\n{history:#?}\n{query}"));
                    }
                }
                Ok(seen)
            },
            |seen| {
                for (alone, whole) in seen {
                    reached.note(match (alone, whole) {
                        (true, true) => "a part fails before the whole does",
                        (true, false) => "a part fails, the whole does not",
                        (false, true) => "the whole fails, no part before it",
                        (false, false) => "neither fails",
                    });
                }
            },
        );
        let all = [
            "a part fails before the whole does",
            "a part fails, the whole does not",
            "the whole fails, no part before it",
            "neither fails",
        ];
        search.require(&reached, &all);
    }
}

/// Every operator of the language is among the queries.
#[test]
fn no_operator_is_left_out() {
    let mut names: Vec<&str> = QUERIES
        .iter()
        .flat_map(|(_, query)| plan(query).nodes)
        .map(|node| support::operator(&node.op))
        .collect();
    names.sort_unstable();
    names.dedup();
    let all = [
        "apply",
        "filter",
        "hopping",
        "isfirst",
        "join",
        "lag",
        "last",
        "left join",
        "left reference",
        "match",
        "ordering",
        "over",
        "project",
        "reference",
        "session",
        "sliding",
        "snapshot",
        "tumbling",
        "union",
    ];
    assert_eq!(names, all);
    // A new operator makes this match fail to compile, and asks for a query above.
    let _ = |op: &Op| match op {
        Op::Source(_) | Op::Filter(_) | Op::Project(_) | Op::Group(_) | Op::Join(_) => (),
        Op::Lag(_) | Op::Last(_) | Op::IsFirst(_) | Op::Union => (),
        Op::Over(_) | Op::Apply(_) | Op::ReferenceJoin(_) | Op::Match(_) => (),
    };
}

/// Rule 12.5, on queries and histories of all sorts, late, early and out of order: a restart over a log that
/// forgot all that the plan says is not needed gives the rows of the uninterrupted run, and says nothing.
#[test]
fn a_replay_needs_no_more_than_the_plan_says() {
    let search = Search::new("lookback-replay", 6_000);
    let mut reached = Reached::default();
    search.run(
        |_, choices| {
            let case = small_case(choices);
            let truth = support::truth(&case);
            if truth.answer.failure.is_some() || truth.answer.rows.is_empty() {
                return Ok(None);
            }
            let choices: &mut dyn Choices = choices;
            let from = truth.answer.rows[choices.index(truth.answer.rows.len())].timestamp;
            let from = from.plus(Span(choices.range(-1, 1)));
            let partitions = &truth.partitions;
            let needed = truth.shards.iter().map(|shard: &Shard| replay_from(&truth.plan, shard, from)).min();
            let journal = rewindow_world::journal::Journal::of(&case, &truth.plan).expect("it can be run");
            let entries: Vec<Entry> =
                journal.places().flat_map(|(input, p)| journal.entries(input, p).to_vec()).collect();
            let references = case.references_of(&truth.plan);
            let log = Forgetful { entries: &entries, before: needed.unwrap_or(Timestamp::MIN) };
            let forgot = entries.iter().filter(|entry| entry.arrival < log.before).count();
            let given = restarted(
                &truth.plan,
                case.ordering,
                partitions,
                &references,
                &log,
                from,
                choices.chance(1, 2),
            );
            let mut owed: Vec<Row> = truth.answer.rows.clone();
            owed.retain(|row| row.timestamp >= from);
            let owed = Restarted { rows: owed, ..Restarted::default() };
            if given != owed {
                return Err(format!("from {from}\nowed {owed:#?}\ngiven {given:#?}\n{}", case.to_toml()));
            }
            Ok(Some((owed.rows.len() as u64, forgot as u64)))
        },
        |seen| {
            let Some((rows, forgot)) = seen else { return reached.note("failed or without rows") };
            reached.add("rows", rows);
            reached.add("a log that forgot", u64::from(forgot > 0));
            reached.add("a log that forgot nothing", u64::from(forgot == 0));
        },
    );
    search.require(&reached, &["rows", "a log that forgot"]);
}
