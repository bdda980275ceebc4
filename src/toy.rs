//! A subject for tests that needs no engine: it keeps the entries themselves and asks the model at the end.
//!
//! Right by construction, unless told to be wrong in one of a few ways. Its state is the list of entries
//! read; all rows come when the input ends.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

use rewindow_model::guarantee::replay_from;
use rewindow_query::time::SECOND;
use rewindow_query::{
    Entry, Failure, History, Ordering, Outcome, Payload, Plan, Policy, Record, Recovered, Row, Shard, Span,
    Timestamp, Value, Why,
};
use rewindow_world::case::{Case, CaseInput, Deployment, Fault, FaultKind, SinkKind, StartMode};
use rewindow_world::journal::Journal;
use rewindow_world::language::Language;
use rewindow_world::subject::{Contract, Opening, Refusal, Subject, Worker};

/// 2024-01-01T00:00:00Z.
pub(crate) const BEGIN: Timestamp = Timestamp(63_839_664_000 * SECOND);

pub(crate) fn at(seconds: i64) -> Timestamp {
    BEGIN.plus(Span::seconds(seconds))
}

/// `count` events a second apart over two partitions, three faults, counted in windows of ten seconds.
pub(crate) fn case(count: i64) -> Case {
    let mut next = [0, 0];
    let entry = |number: i64| {
        let partition = u32::from(number % 3 == 0);
        let members: [(Arc<str>, Value); 3] = [
            ("t".into(), Value::text(at(number).minus(Span(number * 1_234_567 % SECOND)).to_string())),
            ("k".into(), Value::text(["us", "ak", "ci"][usize::try_from(number % 3).unwrap()])),
            ("mag".into(), Value::Float(number as f64 / 7.0)),
        ];
        next[partition as usize] += 1;
        Entry {
            input: 0,
            partition,
            offset: next[partition as usize] - 1,
            arrival: at(number),
            payload: Payload::Event(Arc::new(Record::from_iter(members))),
        }
    };
    let second = |seconds, kind| Fault { at: at(seconds), kind };
    Case {
        name: "toy".to_owned(),
        query:
            "SELECT k, COUNT(*) AS c INTO counts FROM a TIMESTAMP BY t GROUP BY k, TumblingWindow(second, 10)"
                .into(),
        inputs: vec![CaseInput { name: "a".to_owned(), partitions: 2 }],
        language: Language::default(),
        references: Vec::new(),
        ordering: Ordering { late: Span::seconds(7), out_of_order: Span::seconds(2), policy: Policy::Adjust },
        deployment: Deployment {
            nodes: 2,
            keyed: 0,
            link_delay: Span::ZERO,
            checkpoint_interval: Span::seconds(17),
            poll_interval: Span::seconds(3),
            batch: 7,
            rate: 50,
            retention: None,
            retention_size: None,
            heartbeat: Span::seconds(40),
            sink: SinkKind::Append,
        },
        history: Arc::new(History::of((0..count).map(entry).collect())),
        turns: Vec::new(),
        faults: vec![
            second(count / 4, FaultKind::ServiceUpgrade { readable: false, down: Span::seconds(5) }),
            second(count / 2, FaultKind::NodeKill { node: 0, down: Span::seconds(9) }),
            second(
                count * 3 / 4,
                FaultKind::UserRestart { stopped: Span::seconds(2), start: StartMode::WhenLastStopped },
            ),
        ],
    }
}

/// In which way the toy is wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    Never,
    /// After a restore the newest entry of the checkpoint is in the state twice.
    CountsTwice,
    /// After a restore the state is empty.
    Forgets,
    /// The checkpoint is used whenever there is one.
    AlwaysRestores,
    /// After a restore the next entry makes it panic.
    Panics,
    /// A replay reads from the beginning.
    ReadsAll,
    /// A checkpoint is never used.
    NeverRestores,
    /// It says that rows come when they are certain, and gives them at the end.
    Withholds,
    /// Of its restores every second one is right, whatever the run.
    Drifts,
    /// The columns of its rows stand the other way round.
    Reverses,
}

pub(crate) struct Toy {
    plan: Arc<Plan>,
    ordering: Ordering,
    partitions: Vec<u32>,
    journal: Arc<Journal>,
    shards: Vec<Shard>,
    wrong: Wrong,
    restores: Cell<u32>,
}

impl Toy {
    pub(crate) fn new(plan: &Arc<Plan>, case: &Case, wrong: Wrong) -> Toy {
        let partitions = case.partitions(plan).unwrap();
        Toy {
            plan: plan.clone(),
            ordering: case.ordering,
            shards: plan.shards(&partitions),
            partitions,
            journal: Arc::new(Journal::of(case, plan).unwrap()),
            wrong,
            restores: Cell::new(0),
        }
    }
}

impl Subject for Toy {
    fn name(&self) -> &str {
        "toy"
    }

    fn shards(&self) -> &[Shard] {
        &self.shards
    }

    fn contract(&self) -> Contract {
        Contract { prompt: self.wrong == Wrong::Withholds, ..Contract::default() }
    }

    fn open(&self, shard: usize, opening: &Opening<'_>) -> Result<(Box<dyn Worker>, Recovered), Refusal> {
        let mut worker = ToyWorker {
            plan: self.plan.clone(),
            ordering: self.ordering,
            partitions: self.partitions.clone(),
            shard,
            output_from: opening.output_from,
            done: false,
            panics: false,
            reverses: self.wrong == Wrong::Reverses,
            entries: Vec::new(),
        };
        let may = match opening.why {
            Why::AfterKill | Why::AfterUpgrade { readable: true } => self.wrong != Wrong::NeverRestores,
            _ => self.wrong == Wrong::AlwaysRestores,
        };
        let mut positions: BTreeMap<(usize, u32), u64> =
            self.shards[shard].reads.iter().map(|&place| (place, 0)).collect();
        let outcome = match opening.checkpoint.filter(|_| may && opening.why != Why::Fresh) {
            Some(bytes) => {
                for line in std::str::from_utf8(bytes).map_err(|e| e.to_string())?.lines() {
                    let parts: Vec<u64> = line.split(' ').map(|part| part.parse().unwrap()).collect();
                    let (input, partition) = (parts[0] as usize, parts[1] as u32);
                    worker.entries.push(self.journal.entries(input, partition)[parts[2] as usize].clone());
                    let next = positions.entry((input, partition)).or_default();
                    *next = (*next).max(parts[2] + 1);
                }
                match self.wrong {
                    Wrong::CountsTwice => worker.entries.extend(worker.entries.last().cloned()),
                    Wrong::Forgets => worker.entries.clear(),
                    Wrong::Drifts if self.restores.replace(self.restores.get() + 1) % 2 == 1 => {}
                    Wrong::Drifts => worker.entries.clear(),
                    Wrong::Panics => worker.panics = true,
                    _ => {}
                }
                Outcome::FromCheckpoint
            }
            None if opening.why == Why::Fresh => Outcome::Fresh,
            None => {
                let from = replay_from(&self.plan, &self.shards[shard], opening.output_from);
                let from = if self.wrong == Wrong::ReadsAll { Timestamp::MIN } else { from };
                for (&(input, partition), position) in &mut positions {
                    *position = opening.log.first_since(input, partition, from);
                }
                Outcome::Replayed { from }
            }
        };
        Ok((Box::new(worker), Recovered { outcome, positions, gaps: Vec::new() }))
    }
}

struct ToyWorker {
    plan: Arc<Plan>,
    ordering: Ordering,
    partitions: Vec<u32>,
    shard: usize,
    output_from: Timestamp,
    done: bool,
    panics: bool,
    reverses: bool,
    entries: Vec<Entry>,
}

impl Worker for ToyWorker {
    fn feed(&mut self, _: usize, _: u32, entries: &[Entry]) -> Result<Vec<Row>, Failure> {
        assert!(!self.panics, "the toy panics");
        self.entries.extend_from_slice(entries);
        Ok(Vec::new())
    }

    fn finish(&mut self) -> Result<Vec<Row>, Failure> {
        self.done = true;
        let history = History::of(self.entries.clone());
        let answer = rewindow_model::answer(&self.plan, &self.ordering, &self.partitions, &history);
        let shard = &self.plan.shards(&self.partitions)[self.shard];
        let own = |row: &Row| {
            shard.outputs.contains(&row.output)
                && shard.partition == row.partition
                && row.timestamp >= self.output_from
        };
        let turned = |row: Row| match self.reverses {
            true => Row { record: Arc::new(row.record.members().iter().rev().cloned().collect()), ..row },
            false => row,
        };
        answer.failure.map_or_else(|| Ok(answer.rows.into_iter().filter(own).map(turned).collect()), Err)
    }

    fn frontier(&self) -> Timestamp {
        if self.done { Timestamp::MAX } else { Timestamp::MIN }
    }

    fn checkpoint(&self) -> Vec<u8> {
        let lines = self.entries.iter().map(|e| format!("{} {} {}\n", e.input, e.partition, e.offset));
        lines.collect::<String>().into_bytes()
    }

    fn explain(&self) -> BTreeMap<String, String> {
        let mut state: BTreeMap<String, String> = BTreeMap::new();
        for entry in &self.entries {
            let held = state.entry(format!("toy/{}/{}", entry.input, entry.partition)).or_default();
            held.push_str(&format!("{} ", entry.offset));
        }
        state
    }
}
