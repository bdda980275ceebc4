//! From the events of a test to the history of a job.
//!
//! Events are delivered in order of arrival, at equal arrival in the order of the streams. An event without an
//! arrival of its own arrives at the value of its TIMESTAMP BY, and so is neither early nor late; where there is
//! none, with the event before it. Invariant: within a partition arrivals never fall.

use std::collections::BTreeMap;
use std::sync::Arc;

use rewindow_query::event::Reference;
use rewindow_query::plan::{Op, Output};
use rewindow_query::{Entry, History, Ordering, Payload, Plan, Policy, Span, Timestamp};

use super::{Event, Stream, Test};

/// The input of a test, for a plan.
#[derive(Clone, PartialEq, Debug)]
pub struct Fed {
    /// Partitions of each input of the plan.
    pub partitions: Vec<u32>,
    /// The entries in order of delivery, and the reference data in the order of the plan.
    pub history: History,
    /// Which stream and event of the test stands at (input, partition, offset).
    pub places: BTreeMap<(usize, u32, u64), (usize, usize)>,
}

impl Fed {
    /// The events of a test; of streams that the plan does not read, none.
    pub fn of(test: &Test, plan: &Plan) -> Fed {
        let mut partitions = vec![1; plan.inputs.len()];
        let mut rows: Vec<((usize, usize), Entry)> = Vec::new();
        for (place, stream) in test.inputs.iter().enumerate() {
            let Some(input) = plan.input(&stream.name) else { continue };
            let needed = stream.events.iter().map(|event| event.partition + 1).max().unwrap_or(1);
            partitions[input] = stream.partitions.unwrap_or(1).max(needed);
            let arrivals = arrivals(test, plan, input, stream);
            for (number, (event, arrival)) in stream.events.iter().zip(arrivals).enumerate() {
                let (partition, payload) = (event.partition, read(test, event));
                let arrival = arrival.unwrap_or(Timestamp::MAX); // known below
                rows.push(((place, number), Entry { input, partition, offset: 0, arrival, payload }));
            }
        }
        // Streams in which nothing has a time stand at one instant: the latest there is.
        let known = rows.iter().map(|(_, entry)| entry.arrival).filter(|at| *at != Timestamp::MAX).max();
        let otherwise = known.unwrap_or_else(|| Timestamp::parse("2000-01-01").expect("it is ISO text"));
        for (_, entry) in rows.iter_mut().filter(|(_, entry)| entry.arrival == Timestamp::MAX) {
            entry.arrival = otherwise;
        }
        rows.sort_by_key(|(_, entry)| entry.arrival); // stable: at equal arrival in the order of streams
        let mut next = BTreeMap::new();
        let (mut entries, mut places) = (Vec::new(), BTreeMap::new());
        for (place, mut entry) in rows {
            let offset = next.entry((entry.input, entry.partition)).or_insert(0);
            entry.offset = *offset;
            *offset += 1;
            places.insert((entry.input, entry.partition, entry.offset), place);
            entries.push(entry);
        }
        let references = plan.references.iter().map(|input| reference(test, &input.name)).collect();
        Fed { partitions, history: History { entries, references }, places }
    }
}

/// What an event carries, as a job of the test's compatibility level reads it.
fn read(test: &Test, event: &Event) -> Payload {
    match &event.payload {
        Payload::Event(record) => Payload::Event(Arc::new(test.level.read((**record).clone()))),
        other => other.clone(),
    }
}

/// Reference data has one version, in force from the beginning.
fn reference(test: &Test, name: &str) -> Reference {
    let table = test.references.iter().find(|table| table.name.eq_ignore_ascii_case(name));
    let rows =
        table.iter().flat_map(|table| &table.rows).map(|row| Arc::new(test.level.read((**row).clone())));
    Reference { versions: vec![(Timestamp::MIN, rows.collect())] }
}

/// When the events of a stream arrive; `None` for all if none of them has a time.
fn arrivals(test: &Test, plan: &Plan, input: usize, stream: &Stream) -> Vec<Option<Timestamp>> {
    let clock = OwnTime::of(plan, input);
    let own = |event: &Event| event.arrival.or_else(|| clock.as_ref()?.of_event(read(test, event)));
    let mut arrivals: Vec<Option<Timestamp>> = stream.events.iter().map(own).collect();
    let mut last = arrivals.iter().find_map(|arrival| *arrival);
    for arrival in &mut arrivals {
        *arrival = arrival.or(last);
        last = *arrival;
    }
    arrivals
}

/// Reads TIMESTAMP BY by asking the model for the source alone, with every tolerance wide open.
struct OwnTime {
    plan: Plan,
    input: usize,
}

impl OwnTime {
    /// `None` where the input has no TIMESTAMP BY.
    fn of(plan: &Plan, input: usize) -> Option<OwnTime> {
        let is_source = |op: &Op| matches!(op, Op::Source(s) if s.input == input && s.timestamp_by.is_some());
        let node = plan.nodes.iter().position(|node| is_source(&node.op))?;
        let outputs = vec![Output { name: "own".into(), node }];
        let mut plan = Plan { outputs, parallel: false, ..plan.clone() };
        plan.nodes.truncate(node + 1);
        // An event without a substream is dropped, but has a time all the same.
        if let Op::Source(source) = &mut plan.nodes[node].op {
            source.over.clear();
        }
        Some(OwnTime { plan, input })
    }

    fn of_event(&self, payload: Payload) -> Option<Timestamp> {
        let wide = Ordering { late: Span(i64::MAX), out_of_order: Span::ZERO, policy: Policy::Adjust };
        let arrival = Timestamp::parse("9999-12-31").expect("it is ISO text");
        let entry = Entry { input: self.input, partition: 0, offset: 0, arrival, payload };
        let history = History::of(vec![entry]);
        let answer = rewindow_model::answer(&self.plan, &wide, &vec![1; self.plan.inputs.len()], &history);
        answer.rows.first().map(|row| row.timestamp)
    }
}
