//! Which state first differs after a restore: the restored worker beside one that was never stopped.
//!
//! The run is made again with a subject that looks at every worker when it is opened; a fresh worker fed
//! up to the same positions says what should be there. Only meaningful after a checkpoint: a replay begins
//! with nothing by design. Knows states only as ordered text.

use std::cell::RefCell;
use std::collections::BTreeMap;

use rewindow_engine::Layout;
use rewindow_engine::plant::Plants;
use rewindow_query::{Entry, Outcome, Recovered, Shard};
use rewindow_world::case::Case;
use rewindow_world::journal::Journal;
use rewindow_world::outcome::RecoveryReport;
use rewindow_world::run::{RunOptions, try_run};
use rewindow_world::subject::{Contract, Opening, Refusal, Subject, Worker};

use super::words::clip;
use crate::judge::{Breach, Truth};
use crate::laws::fresh;

/// The first key of the state, in order, that differs right after a restore.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StateDifference {
    /// `operator/key`.
    pub key: String,
    /// What an uninterrupted worker holds at the same positions; `None` if nothing.
    pub expected: Option<String>,
    /// What the restored one holds; `None` if nothing.
    pub actual: Option<String>,
}

impl StateDifference {
    pub(super) fn sentence(&self) -> String {
        let say = |held: &Option<String>| {
            held.as_ref().map_or("empty".to_owned(), |t| format!("`{}`", clip(t, 80)))
        };
        format!(
            "First difference in state, right after the restore: `{}` is {}, should be {}.",
            clip(&self.key, 80),
            say(&self.actual),
            say(&self.expected)
        )
    }
}

type State = BTreeMap<String, String>;

/// The first difference in state at the restore that led to the breach, or at the first restore of its
/// shard where there is one. `None` if the breach has no shard, no restore shows a difference, or the
/// subject does not explain its state.
pub fn first_difference(
    truth: &Truth,
    case: &Case,
    breach: &Breach,
    subject: &dyn Subject,
) -> Option<StateDifference> {
    // A job that took the place of another begins without state.
    let shard = breach.shard.filter(|_| breach.leg == 0)?;
    let layout = subject.layout();
    let probe = Probe { inner: subject, opened: RefCell::new(Vec::new()) };
    let run = try_run(case, &truth.plan, &probe, RunOptions { trace: false }).ok()?;
    let journal = Journal::of(case, &truth.plan).ok()?;
    let opened = probe.opened.into_inner();
    let restored = |report: &&RecoveryReport| {
        report.shard == shard
            // What came over links is not to be had here.
            && layout.tasks.get(report.task).is_some_and(|task| task.upstream.is_empty())
            && report.answer.outcome == Outcome::FromCheckpoint
            && breach.generation.is_none_or(|generation| report.generation <= generation)
    };
    run.recoveries.iter().filter(restored).find_map(|report| {
        // The first opening of a task was no recovery.
        let before =
            run.recoveries.iter().filter(|r| r.task == report.task && r.generation < report.generation);
        let mut states = opened.iter().filter(|(task, _)| *task == report.task);
        let (_, actual) = states.nth(before.count() + 1)?;
        let expected = uninterrupted(subject, report.task, &journal, report)?;
        differ(&expected, actual)
    })
}

fn differ(expected: &State, actual: &State) -> Option<StateDifference> {
    let mut keys: Vec<&String> = expected.keys().chain(actual.keys()).collect();
    keys.sort();
    let key = keys.into_iter().find(|key| expected.get(*key) != actual.get(*key))?;
    let held = |state: &State| state.get(key).cloned();
    Some(StateDifference { key: key.clone(), expected: held(expected), actual: held(actual) })
}

/// The state of a fresh worker that was fed everything in front of the positions of a restore.
fn uninterrupted(
    subject: &dyn Subject,
    task: usize,
    journal: &Journal,
    report: &RecoveryReport,
) -> Option<State> {
    let mut worker = fresh(subject, task, journal).ok()?.ok()?;
    let mut entries: Vec<&Entry> = Vec::new();
    for (&(input, partition), &next) in &report.answer.positions {
        let all = journal.entries(input, partition);
        entries.extend(&all[..usize::try_from(next).ok()?.min(all.len())]);
    }
    entries.sort_by_key(|e| (e.arrival, e.input, e.partition, e.offset));
    for entry in entries {
        let given = worker.feed(entry.input, entry.partition, std::slice::from_ref(entry)).ok()?;
        given.result.ok()?;
    }
    worker.explain().ok()
}

/// A subject that looks at every worker when it is opened.
struct Probe<'a> {
    inner: &'a dyn Subject,
    opened: RefCell<Vec<(usize, State)>>,
}

impl Subject for Probe<'_> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn shards(&self) -> &[Shard] {
        self.inner.shards()
    }

    fn contract(&self) -> Contract {
        self.inner.contract()
    }

    fn layout(&self) -> Layout {
        self.inner.layout()
    }

    fn plants(&self) -> Plants {
        self.inner.plants()
    }

    fn open(&self, task: usize, opening: &Opening<'_>) -> Result<(Box<dyn Worker>, Recovered), Refusal> {
        let (worker, answer) = self.inner.open(task, opening)?;
        self.opened.borrow_mut().push((task, worker.explain()));
        Ok((worker, answer))
    }
}
