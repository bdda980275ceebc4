//! A subject small enough to be right by inspection, and twins of it that are not.
//!
//! For every event one row, stamped with its arrival: how many events of its partition arrived in the
//! hour up to it, itself included. Lookback: one hour. It recovers as the contract asks; each [`Fault`]
//! breaks one sentence of it.

#![allow(dead_code, unreachable_pub)] // every suite uses its own part

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rewindow_query::plan::{Input, Plan};
use rewindow_query::{
    Entry, Failure, Gap, History, Ordering, Outcome, Payload, Policy, Record, Recovered, Row, Shard, Span,
    Timestamp, Value, Why,
};
use rewindow_world::case::{Case, CaseInput, Deployment, Fault, FaultKind, SinkKind};
use rewindow_world::language::Language;
use rewindow_world::outcome::Run;
use rewindow_world::subject::{Opening, Refusal, Subject, Worker};

pub const HOUR: Span = Span::hours(1);

/// Which sentence of the contract is broken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bug {
    None,
    /// Goes on at the checkpoint's positions with empty state.
    LosesState,
    /// Restores a checkpoint after a user's restart and after an unreadable upgrade.
    TrustsOldState,
    /// Goes on at the end of the log.
    Jumps,
    /// Says nothing of what the source forgot.
    Silent,
    /// Will not open after a kill.
    Refuses,
}

pub struct Toy {
    pub bug: Bug,
    pub shards: Vec<Shard>,
}

impl Toy {
    /// One shard per partition of input 0.
    pub fn parallel(partitions: u32) -> Toy {
        let shard = |p| Shard { outputs: vec![0], partition: Some(p), reads: vec![(0, p)] };
        Toy { bug: Bug::None, shards: (0..partitions).map(shard).collect() }
    }

    /// One shard that reads all partitions.
    pub fn single(partitions: u32) -> Toy {
        let reads = (0..partitions).map(|p| (0, p)).collect();
        Toy { bug: Bug::None, shards: vec![Shard { outputs: vec![0], partition: None, reads }] }
    }

    pub fn with(self, bug: Bug) -> Toy {
        Toy { bug, ..self }
    }
}

#[derive(Clone)]
struct State {
    output_from: Timestamp,
    /// Per partition: next offset, latest arrival seen, arrivals of the last hour.
    lanes: BTreeMap<(usize, u32), (u64, Timestamp, Vec<Timestamp>)>,
    /// A failure that comes out behind the rows of `finish`.
    doomed: Option<Failure>,
    failure: Option<Failure>,
}

impl Subject for Toy {
    fn name(&self) -> &str {
        "toy"
    }

    fn shards(&self) -> &[Shard] {
        &self.shards
    }

    fn open(&self, shard: usize, opening: &Opening<'_>) -> Result<(Box<dyn Worker>, Recovered), Refusal> {
        if self.bug == Bug::Refuses && opening.why == Why::AfterKill {
            return Err("not after a kill".to_owned().into());
        }
        let usable = match opening.why {
            Why::Fresh => false,
            Why::AfterKill | Why::AfterUpgrade { readable: true } => true,
            Why::UserRestart | Why::AfterUpgrade { readable: false } => self.bug == Bug::TrustsOldState,
        };
        let reads = &self.shards[shard].reads;
        let (mut state, outcome, from) = match opening.checkpoint.filter(|_| usable) {
            Some(bytes) => {
                let state = decode(bytes, reads);
                let frontier = state.frontier();
                (state, Outcome::FromCheckpoint, frontier)
            }
            None => {
                let from = opening.output_from.minus(HOUR);
                let lane = |&(i, p): &(usize, u32)| {
                    ((i, p), (opening.log.first_since(i, p, from), opening.output_from, Vec::new()))
                };
                let state =
                    State { lanes: reads.iter().map(lane).collect(), ..State::new(opening.output_from) };
                let fresh = opening.why == Why::Fresh;
                let outcome = if fresh { Outcome::Fresh } else { Outcome::Replayed { from } };
                (state, outcome, opening.output_from)
            }
        };
        let mut gaps = Vec::new();
        for (&(input, partition), (next, _, recent)) in &mut state.lanes {
            let kept = opening.log.retained(input, partition);
            let lost = kept.lost_until.filter(|&lost| match outcome {
                Outcome::FromCheckpoint => *next < kept.first,
                _ => lost >= from.minus(HOUR),
            });
            gaps.extend(lost.map(|lost| Gap { from, until: lost.plus(HOUR) }));
            *next = (*next).max(kept.first);
            match self.bug {
                Bug::LosesState => recent.clear(),
                Bug::Jumps => *next = kept.next,
                _ => {}
            }
        }
        if self.bug == Bug::Silent {
            gaps.clear();
        }
        let positions = state.lanes.iter().map(|(&place, lane)| (place, lane.0)).collect();
        Ok((Box::new(state), Recovered { outcome, positions, gaps: Gap::merge(gaps) }))
    }
}

impl State {
    fn new(output_from: Timestamp) -> State {
        State { output_from, lanes: BTreeMap::new(), doomed: None, failure: None }
    }

    fn frontier(&self) -> Timestamp {
        let least = self.lanes.values().map(|lane| lane.1).min().unwrap_or(Timestamp::MIN);
        least.max(self.output_from)
    }
}

impl Worker for State {
    fn feed(&mut self, input: usize, partition: u32, entries: &[Entry]) -> Result<Vec<Row>, Failure> {
        let output_from = self.output_from;
        let (next, seen, recent) = self.lanes.get_mut(&(input, partition)).expect("a partition of the shard");
        let mut rows = Vec::new();
        for entry in entries {
            assert_eq!(entry.offset, *next, "entries come in the order of offsets");
            *next += 1;
            *seen = entry.arrival.max(*seen);
            let record = match &entry.payload {
                Payload::Event(record) => record,
                Payload::Malformed(text) if &**text == "fatal" => {
                    return Err(Failure { at: entry.arrival, message: "fatal".to_owned() });
                }
                Payload::Malformed(text) if &**text == "doomed" => {
                    self.doomed = Some(Failure { at: entry.arrival, message: "doomed".to_owned() });
                    continue;
                }
                _ => continue,
            };
            recent.retain(|&at| at > entry.arrival.minus(HOUR));
            recent.push(entry.arrival);
            if entry.arrival >= output_from {
                rows.push(row(partition, entry.arrival, record, recent.len()));
            }
        }
        Ok(rows)
    }

    fn failure(&self) -> Option<Failure> {
        self.failure.clone()
    }

    fn finish(&mut self) -> Result<Vec<Row>, Failure> {
        self.failure = self.doomed.take();
        self.lanes.values_mut().for_each(|lane| lane.1 = Timestamp::MAX);
        Ok(Vec::new())
    }

    fn frontier(&self) -> Timestamp {
        State::frontier(self)
    }

    fn checkpoint(&self) -> Vec<u8> {
        let mut numbers = vec![self.output_from.0];
        for (next, seen, recent) in self.lanes.values() {
            numbers.extend([i64::try_from(*next).expect("small"), seen.0, recent.len() as i64]);
            numbers.extend(recent.iter().map(|at| at.0));
        }
        numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
    }

    fn explain(&self) -> BTreeMap<String, String> {
        let lanes = self.lanes.iter().filter(|(_, lane)| !lane.2.is_empty());
        lanes.map(|(place, lane)| (format!("hour/{place:?}"), format!("{:?}", lane.2))).collect()
    }
}

fn decode(bytes: &[u8], reads: &[(usize, u32)]) -> State {
    let mut numbers = bytes.chunks(8).map(|chunk| i64::from_le_bytes(chunk.try_into().expect("8 bytes")));
    let mut number = || numbers.next().expect("a complete checkpoint");
    let output_from = Timestamp(number());
    let mut lanes = BTreeMap::new();
    for &place in reads {
        let (next, seen, count) = (number() as u64, Timestamp(number()), number());
        lanes.insert(place, (next, seen, (0..count).map(|_| Timestamp(number())).collect()));
    }
    State { lanes, ..State::new(output_from) }
}

fn row(partition: u32, at: Timestamp, record: &Record, count: usize) -> Row {
    let id = record.get("id").cloned().unwrap_or_default();
    Row {
        output: 0,
        partition: Some(partition),
        timestamp: at,
        key: [id].into(),
        ordinal: 0,
        record: Arc::new(Record::new(vec![("n".into(), Value::Int(count as i64))])),
    }
}

/// A plan that reads one stream `Feed`; the world looks at nothing else of it.
pub fn plan() -> Plan {
    Plan {
        text: "".into(),
        inputs: vec![Input { name: "Feed".into() }],
        references: Vec::new(),
        nodes: Vec::new(),
        outputs: Vec::new(),
        parallel: true,
        abreast: Vec::new(),
        warnings: Vec::new(),
    }
}

/// An instant `minutes` after the start of the scene.
pub fn minute(minutes: i64) -> Timestamp {
    Timestamp::parse("2018-01-31T00:00:00Z").expect("an instant").plus(Span::minutes(minutes))
}

/// A case of events at (partition, minute), which must be sorted per partition.
pub fn case(partitions: u32, events: &[(u32, i64)], faults: Vec<(i64, FaultKind)>) -> Case {
    let mut next = BTreeMap::<u32, u64>::new();
    let entry = |(id, &(partition, at)): (usize, &(u32, i64))| {
        let next = next.entry(partition).or_default();
        *next += 1;
        let record = Record::new(vec![("id".into(), Value::Int(id as i64))]);
        let payload = Payload::Event(Arc::new(record));
        Entry { input: 0, partition, offset: *next - 1, arrival: minute(at), payload }
    };
    Case {
        name: "toy".to_owned(),
        query: "SELECT 1".into(),
        inputs: vec![CaseInput { name: "feed".to_owned(), partitions }],
        language: Language::default(),
        references: Vec::new(),
        ordering: Ordering { late: Span::ZERO, out_of_order: Span::ZERO, policy: Policy::Adjust },
        deployment: Deployment {
            nodes: 2,
            keyed: 0,
            link_delay: Span::ZERO,
            checkpoint_interval: Span::minutes(10),
            poll_interval: Span::minutes(1),
            batch: 3,
            rate: 7,
            retention: None,
            retention_size: None,
            heartbeat: Span::minutes(20),
            sink: SinkKind::Append,
        },
        history: Arc::new(History::of(events.iter().enumerate().map(entry).collect())),
        faults: faults.into_iter().map(|(at, kind)| Fault { at: minute(at), kind }).collect(),
        turns: Vec::new(),
    }
}

/// The rows of a life without faults, straight from the case.
pub fn truth(case: &Case) -> Vec<Row> {
    let events = || case.history.entries.iter();
    let one = |entry: &Entry| {
        let Payload::Event(record) = &entry.payload else { return None };
        let near = |other: &&Entry| {
            other.partition == entry.partition
                && other.offset <= entry.offset
                && other.arrival > entry.arrival.minus(HOUR)
                && matches!(other.payload, Payload::Event(_))
        };
        Some(row(entry.partition, entry.arrival, record, events().filter(near).count()))
    };
    events().filter_map(one).collect()
}

/// What is wrong with a run, in words; empty if nothing is.
pub fn breaches(case: &Case, subject: &Toy, run: &Run) -> Vec<String> {
    let truth = truth(case);
    let shard_of = |row: &Row| {
        let of = |shard: &Shard| shard.reads.iter().any(|&(_, p)| Some(p) == row.partition);
        subject.shards.iter().position(of).expect("every partition has a shard")
    };
    let in_gap = |row: &Row| {
        let mine = |r: &&rewindow_world::outcome::RecoveryReport| r.shard == shard_of(row);
        run.recoveries.iter().filter(mine).any(|r| r.answer.gaps.iter().any(|g| g.contains(row.timestamp)))
    };
    let skipped = |row: &Row| {
        let over = |s: &rewindow_world::outcome::Skipped| s.from <= row.timestamp && row.timestamp < s.until;
        run.skipped.iter().any(|s| s.shard == shard_of(row) && over(s))
    };
    let mut breaches = Vec::new();
    let delivered: Vec<&Row> = run.deliveries.iter().flat_map(|d| &d.rows).collect();
    for row in &delivered {
        if !in_gap(row) && !truth.contains(row) {
            breaches.push(format!("wrong row {row:?}"));
        }
    }
    let identities: BTreeSet<_> = delivered.iter().map(|row| row.identity()).collect();
    for row in &truth {
        if !in_gap(row) && !skipped(row) && !identities.contains(&row.identity()) {
            breaches.push(format!("missing row {row:?}"));
        }
    }
    for report in &run.recoveries {
        let kept_out = |d: &&rewindow_world::outcome::Delivery| {
            d.shard == report.shard && d.generation == report.generation
        };
        let early = |row: &Row| row.timestamp < report.output_from;
        if run.deliveries.iter().filter(kept_out).any(|d| d.rows.iter().any(early)) {
            breaches.push(format!("rows before the output position of generation {}", report.generation));
        }
    }
    breaches
}
