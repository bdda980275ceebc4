//! The tasks of a run as they begin: from their checkpoints where there are any, with what their links lack.
//!
//! A shard of which one task can neither go on nor begin again begins anew as a whole; the log is whole, so that gives the
//! same rows. Knows nothing of threads. Invariant: in front of the first packet a task sends stands everything its
//! reader has not got.

use std::sync::Arc;

use rewindow_engine::codec::Reader;
use rewindow_engine::coordinator::Grant;
use rewindow_engine::{Coordinator, GrantError, Layout, Packet, Plants, Setup, Store, Task, TaskOpening};
use rewindow_query::{Entry, LogView, Outcome, Retained, Timestamp, Why};

use super::output::Saved;
use super::{SavedOf, of_store};
use crate::errors::Problem;

/// Everything that a run begins with, by task.
pub(super) struct Opened {
    pub(super) tasks: Vec<Task>,
    /// What its readers lack: which of the downstream tasks, and the packet.
    pub(super) letters: Vec<Vec<(usize, Packet)>>,
    pub(super) saved: SavedOf,
    /// Tasks that go on from a checkpoint.
    pub(super) resumed: usize,
}

/// A task that was opened, and what it had saved beside its state.
struct Member {
    id: usize,
    task: Task,
    saved: Option<Saved>,
    resumed: bool,
}

/// Why a shard is not open.
enum Failed {
    /// It has to begin a new epoch.
    Again,
    Problem(Problem),
}

impl From<Problem> for Failed {
    fn from(problem: Problem) -> Failed {
        Failed::Problem(problem)
    }
}

/// Opens every task of the layout.
pub(super) fn open<S: Store>(
    coordinator: &mut Coordinator<S>,
    layout: &Arc<Layout>,
    setups: &[Setup],
    entries: &[&Entry],
) -> Result<Opened, Problem> {
    let log = WholeLog::new(entries);
    let mut opened = Opened { tasks: Vec::new(), letters: Vec::new(), saved: SavedOf::new(), resumed: 0 };
    for (shard, setup) in setups.iter().enumerate() {
        let first = opened.tasks.len();
        let members = match open_shard(coordinator, layout, shard, setup, &log) {
            Err(Failed::Again) => {
                coordinator.begin(shard, Timestamp::MIN).map_err(|error| of_store(&error))?;
                open_shard(coordinator, layout, shard, setup, &log)
            }
            done => done,
        };
        let members = members.map_err(|failed| match failed {
            Failed::Problem(problem) => problem,
            Failed::Again => Problem::new("store-damaged", "the checkpoints cannot be used, nor begun anew")
                .help("begin with an empty folder"),
        })?;
        for Member { id, task, saved, resumed } in members {
            assert_eq!(id, opened.tasks.len(), "tasks stand shard after shard");
            if task.role().writes() {
                opened.saved.insert(id, saved);
            }
            opened.resumed += usize::from(resumed);
            opened.tasks.push(task);
        }
        let lacking = lacking(layout, first, &opened.tasks);
        opened.letters.extend(lacking.expect("links that lack too much were found before"));
    }
    coordinator.collect().map_err(|error| of_store(&error))?;
    Ok(opened)
}

fn open_shard<S: Store>(
    coordinator: &mut Coordinator<S>,
    layout: &Arc<Layout>,
    shard: usize,
    setup: &Setup,
    log: &WholeLog<'_>,
) -> Result<Vec<Member>, Failed> {
    let mut members = Vec::new();
    for (id, _) in layout.tasks.iter().enumerate().filter(|(_, task)| task.shard == shard) {
        let grant = match coordinator.open(id, true, &|version| version == 0) {
            Ok(grant) => grant,
            Err(GrantError::Again(_)) => return Err(Failed::Again),
            Err(GrantError::Store(error)) => return Err(of_store(&error).into()),
        };
        let begins = grant.checkpoint.is_none() && grant.begin.is_none();
        let incarnation = grant.incarnation;
        let member = open_task(layout, id, setup, &grant, log)?;
        if begins {
            let told = coordinator.began(id, incarnation, &member.task.positions());
            told.map_err(|error| Problem::new("checkpoint-store", error.to_string()))?;
        }
        members.push(member);
    }
    let first = members.first().map_or(0, |member| member.id);
    let is_whole = |of: &Member| {
        let downstream = &layout.tasks[of.id].downstream;
        downstream.iter().enumerate().all(|(place, &reader)| {
            let wanted = members[reader - first].task.wanted(place_of(layout, of.id, reader));
            of.task.resend(place, wanted).is_ok()
        })
    };
    if members.iter().all(is_whole) { Ok(members) } else { Err(Failed::Again) }
}

fn open_task(
    layout: &Arc<Layout>,
    id: usize,
    setup: &Setup,
    grant: &Grant,
    log: &WholeLog<'_>,
) -> Result<Member, Failed> {
    let writes = layout.tasks[id].role.writes();
    let (mut saved, mut state) = (None, None);
    if let Some(kept) = &grant.checkpoint {
        let mut reader = Reader::new(&kept.bytes);
        if writes {
            // Whole bytes, as the coordinator has seen: of another program.
            saved = Some(Saved::load(&mut reader).map_err(|_| Failed::Again)?);
        }
        state = Some(reader.raw(reader.left()).map_err(|_| Failed::Again)?);
    }
    let opening = TaskOpening {
        why: if state.is_some() || grant.begin.is_some() { Why::AfterKill } else { Why::Fresh },
        output_from: grant.output_from,
        epoch: grant.epoch,
        incarnation: grant.incarnation,
        checkpoint: state,
        begin: grant.begin.as_ref(),
        log,
    };
    let resumed = state.is_some();
    let opened = Task::open(setup.clone(), layout, id, opening, Plants::none());
    let (task, recovered) = opened.map_err(|error| {
        Problem::new(error.code(), error.to_string())
            .help("the checkpoints are of another query or setting: begin with an empty folder")
    })?;
    if resumed && recovered.outcome != Outcome::FromCheckpoint {
        return Err(Failed::Again);
    }
    assert!(recovered.gaps.is_empty(), "the log is whole");
    Ok(Member { id, task, saved, resumed })
}

/// What the links of a shard lack, for each of its tasks; `None` if something of it is gone.
fn lacking(layout: &Layout, first: usize, tasks: &[Task]) -> Option<Vec<Vec<(usize, Packet)>>> {
    let of = |(id, task): (usize, &Task)| {
        let downstream = layout.tasks[id].downstream.iter().enumerate();
        let packet = |(place, &reader): (usize, &usize)| {
            let wanted = tasks[reader].wanted(place_of(layout, id, reader));
            task.resend(place, wanted).ok().map(|packet| (place, packet))
        };
        downstream.map(packet).collect()
    };
    tasks.iter().enumerate().skip(first).map(of).collect()
}

/// The place of a task among the upstream tasks of its reader.
pub(super) fn place_of(layout: &Layout, from: usize, reader: usize) -> usize {
    let place = layout.tasks[reader].upstream.iter().position(|&task| task == from);
    place.expect("a link has two ends")
}

/// A log that forgets nothing.
struct WholeLog<'a> {
    entries: &'a [&'a Entry],
}

impl<'a> WholeLog<'a> {
    fn new(entries: &'a [&'a Entry]) -> WholeLog<'a> {
        WholeLog { entries }
    }

    fn of(&self, input: usize, partition: u32) -> impl DoubleEndedIterator<Item = &'a &'a Entry> {
        self.entries.iter().filter(move |entry| (entry.input, entry.partition) == (input, partition))
    }
}

impl LogView for WholeLog<'_> {
    fn retained(&self, input: usize, partition: u32) -> Retained {
        let next = self.of(input, partition).next_back().map_or(0, |last| last.offset + 1);
        Retained { first: 0, next, lost_until: None }
    }

    fn first_since(&self, input: usize, partition: u32, arrival: Timestamp) -> u64 {
        let first = self.of(input, partition).find(|entry| entry.arrival >= arrival);
        first.map_or_else(|| self.retained(input, partition).next, |first| first.offset)
    }
}
