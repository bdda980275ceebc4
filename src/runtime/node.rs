//! A node: a thread that lets its tasks go on in turn, each by one batch of entries or one letter.
//!
//! A task that cannot send keeps its letters and does nothing else meanwhile; the merge tasks send nothing, so there is
//! always somebody who can go on. Knows nothing of who else there is. Invariant: what a task gives is told at the
//! gate before anything it saves.

use std::any::Any;
use std::collections::VecDeque;

use rewindow_engine::{Layout, Packet, Produced, Received, Task};
use rewindow_query::{Dropped, Entry, Failure, Row, Timestamp};

use super::opening::place_of;
use super::shared::{Gate, Mail, Refused, Round, Stopped, Taken};
use super::{Desk, Work, of_store};
use crate::errors::Problem;

/// Most entries handed over at once, and the rows of one batch above which the next one is smaller.
const BATCH: usize = 256;
const ROWS_OF_BATCH: usize = 1 << 16;

/// A packet, and by which of its reader's links it comes.
pub(super) struct Letter {
    link: usize,
    packet: Packet,
}

/// Who carries packets.
pub(super) type Post = Mail<Letter>;

/// Why a node came to rest before its end.
pub(super) enum Halt {
    /// Because another one did.
    Stopped,
    Problem(Problem),
    Panicked(Box<dyn Any + Send>),
}

impl From<Stopped> for Halt {
    fn from(_: Stopped) -> Halt {
        Halt::Stopped
    }
}

impl From<Problem> for Halt {
    fn from(problem: Problem) -> Halt {
        Halt::Problem(problem)
    }
}

/// A thread's tasks.
pub(super) struct Node<'a, 'w> {
    mail: &'a Post,
    gate: &'a Gate<Desk<'w>>,
    runners: Vec<Runner<'a>>,
}

impl<'a, 'w> Node<'a, 'w> {
    pub(super) fn new(mail: &'a Post, gate: &'a Gate<Desk<'w>>) -> Node<'a, 'w> {
        Node { mail, gate, runners: Vec::new() }
    }

    pub(super) fn place(&mut self, runner: Runner<'a>) {
        self.runners.push(runner);
    }

    /// Runs until all its tasks have ended; tells what they dropped.
    pub(super) fn run(mut self) -> Result<Vec<Dropped>, Halt> {
        let (mail, gate) = (self.mail, self.gate);
        mail.work(|| {
            let mut moved = false;
            for runner in &mut self.runners {
                moved |= runner.step(mail, gate)?;
            }
            let done = self.runners.iter().all(|runner| runner.phase == Phase::Done);
            Ok::<Round, Halt>(match (done, moved) {
                (true, _) => Round::Done,
                (false, true) => Round::Moved,
                (false, false) => Round::Waits,
            })
        })?;
        Ok(self.runners.into_iter().flat_map(|runner| runner.dropped).collect())
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Working,
    /// Everything was given; letters may still have to go.
    Ended,
    Done,
}

/// A task, what it has yet to read and what it has yet to send.
pub(super) struct Runner<'a> {
    id: usize,
    task: Task,
    layout: &'a Layout,
    work: &'a Work<'a>,
    /// Places of its entries among all.
    unread: VecDeque<u64>,
    /// Reader and letter.
    held: VecDeque<(usize, Letter)>,
    phase: Phase,
    failed: bool,
    dropped: Vec<Dropped>,
    /// Entries and rows taken since it was saved, and when it will be.
    taken: u64,
    save_every: u64,
    /// Entries of the next batch.
    most: usize,
    /// What the gate was told last.
    told: Timestamp,
}

impl<'a> Runner<'a> {
    /// A task as it was opened, with what its readers lack.
    pub(super) fn new(
        id: usize,
        task: Task,
        layout: &'a Layout,
        lacking: Vec<(usize, Packet)>,
        work: &'a Work<'a>,
        save_every: u64,
    ) -> Runner<'a> {
        let positions = task.positions();
        let is_unread = |entry: &Entry| {
            let position = positions.get(&(entry.input, entry.partition));
            position.is_some_and(|&position| entry.offset >= position)
        };
        let places = work.entries.iter().zip(0..).filter(|(entry, _)| is_unread(entry));
        let unread =
            if positions.is_empty() { VecDeque::new() } else { places.map(|(_, place)| place).collect() };
        let mut runner = Runner {
            id,
            task,
            layout,
            work,
            unread,
            held: VecDeque::new(),
            phase: Phase::Working,
            failed: false,
            dropped: Vec::new(),
            taken: 0,
            save_every,
            most: BATCH / 64,
            told: Timestamp::MIN,
        };
        runner.hold(lacking);
        runner
    }

    /// How far it has come in the log.
    pub(super) fn next_read(&self) -> u64 {
        self.unread.front().copied().unwrap_or(u64::MAX)
    }

    /// Goes on by one batch or letter; tells whether anything came of it.
    fn step(&mut self, mail: &Post, gate: &Gate<Desk<'_>>) -> Result<bool, Halt> {
        if self.phase == Phase::Done {
            return Ok(false);
        }
        let moved = self.send(mail)?;
        if !self.held.is_empty() {
            return Ok(moved);
        }
        if self.phase == Phase::Ended {
            for &reader in &self.layout.tasks[self.id].downstream {
                mail.close(reader)?;
            }
            self.phase = Phase::Done;
            return Ok(true);
        }
        let went_on = if self.layout.tasks[self.id].upstream.is_empty() {
            self.read(mail, gate)?
        } else {
            self.receive(mail, gate)?
        };
        if !went_on {
            return Ok(moved);
        }
        if self.taken >= self.save_every && self.phase == Phase::Working && !self.failed {
            self.save(gate)?;
        }
        self.send(mail)?;
        Ok(true)
    }

    /// Feeds the next batch from the log.
    fn read(&mut self, mail: &Post, gate: &Gate<Desk<'_>>) -> Result<bool, Halt> {
        if self.unread.is_empty() {
            let produced = self.task.finish();
            self.take(produced, gate)?;
            self.end(gate)?;
            return Ok(true);
        }
        if !mail.may_read(self.id)? {
            return Ok(false);
        }
        let entry = |&place: &u64| self.work.entries[place as usize];
        let of = |entry: &Entry| (entry.input, entry.partition);
        let (input, partition) = of(entry(&self.unread[0]));
        let next = self.unread.iter().take(self.most).map(entry);
        let batch: Vec<Entry> =
            next.take_while(|entry| of(entry) == (input, partition)).map(self.work.read).collect();
        self.unread.drain(..batch.len());
        self.taken += batch.len() as u64;
        let produced = self.task.feed(input, partition, &batch);
        let rows = self.take(produced, gate)?;
        self.most = if rows > ROWS_OF_BATCH { (self.most / 2).max(1) } else { (self.most * 2).min(BATCH) };
        if self.failed {
            self.unread.clear();
            self.end(gate)?;
        }
        mail.read(self.id, self.next_read())?;
        Ok(true)
    }

    /// Takes the next letter.
    fn receive(&mut self, mail: &Post, gate: &Gate<Desk<'_>>) -> Result<bool, Halt> {
        match mail.take(self.id)? {
            Taken::Empty => return Ok(false),
            Taken::Ended => self.end(gate)?,
            // What came before the failure was given.
            Taken::Letter(_) if self.failed => {}
            Taken::Letter(Letter { link, packet }) => {
                self.taken += packet.rows.len() as u64;
                let received = self.task.receive(link, &packet).map(|received| match received {
                    Received::Rows(produced) => produced,
                    other => {
                        unreachable!("packets of a link come in order, once, from who sends now: {other:?}")
                    }
                });
                self.take(received, gate)?;
            }
        }
        Ok(true)
    }

    /// Hands on what the task gave: rows at the gate, packets to be sent.
    fn take(&mut self, produced: Result<Produced, Failure>, gate: &Gate<Desk<'_>>) -> Result<usize, Halt> {
        let outgoing = self.task.outgoing();
        self.hold(outgoing);
        let (rows, mut failure) = match produced {
            Ok(Produced { rows, dropped }) => {
                self.dropped.extend(dropped);
                (rows, None)
            }
            Err(failure) => (Vec::new(), Some(failure)),
        };
        let count = rows.len();
        if self.task.role().writes() {
            // What fails in the rows of the end has no later call to be told by.
            failure = failure.or_else(|| self.task.failure().cloned());
            let frontier = self.task.frontier();
            let line = |row: Row| (self.work.line)(&row).map(|line| (row, line));
            let lines: Vec<(Row, String)> = rows.into_iter().filter_map(line).collect();
            if !lines.is_empty() || frontier > self.told {
                self.told = frontier;
                self.write(gate, |desk, task| desk.ledger.give(task, lines, frontier))?;
            }
        }
        if let Some(failure) = failure.filter(|_| !self.failed) {
            self.failed = true;
            self.write(gate, |desk, task| desk.ledger.fail(task, failure))?;
        }
        Ok(count)
    }

    /// Nothing more will come.
    fn end(&mut self, gate: &Gate<Desk<'_>>) -> Result<(), Halt> {
        self.phase = Phase::Ended;
        if self.task.role().writes() && !self.failed {
            self.write(gate, |desk, task| desk.ledger.give(task, Vec::new(), Timestamp::MAX))?;
        }
        Ok(())
    }

    /// Saves the task; what its readers have saved twice is forgotten first.
    fn save(&mut self, gate: &Gate<Desk<'_>>) -> Result<(), Halt> {
        let links = self.layout.tasks[self.id].downstream.len();
        let forgettable = self.write(gate, |desk, task| {
            Ok((0..links).map(|link| desk.coordinator.forgettable(task, link)).collect::<Vec<u64>>())
        })?;
        for (link, before) in forgettable.into_iter().enumerate() {
            self.task.forget(link, before);
        }
        let (state, received, incarnation) =
            (self.task.checkpoint(), self.task.received(), self.task.incarnation());
        let writes = self.task.role().writes();
        self.write(gate, |desk, task| {
            let mut bytes = if writes { desk.ledger.save(task)? } else { Vec::new() };
            bytes.extend(state);
            let published = desk.coordinator.publish(task, incarnation, &bytes, &received);
            published.map_err(|error| Problem::new("checkpoint-store", error.to_string()))?;
            desk.coordinator.collect().map(drop).map_err(|error| of_store(&error))
        })?;
        self.taken = 0;
        Ok(())
    }

    /// Changes what counts, if this incarnation of the task may.
    fn write<T>(
        &self,
        gate: &Gate<Desk<'_>>,
        write: impl FnOnce(&mut Desk<'_>, usize) -> Result<T, Problem>,
    ) -> Result<T, Halt> {
        match gate.write(self.id, self.task.incarnation(), |desk| write(desk, self.id)) {
            Ok(written) => Ok(written?),
            Err(Refused::Stopped) => Err(Halt::Stopped),
            Err(Refused::Fenced) => {
                let message = format!("another run acts for task {} by now", self.id);
                Err(Problem::new("fenced", message).help("let one run at a time use the checkpoints").into())
            }
        }
    }

    fn hold(&mut self, packets: Vec<(usize, Packet)>) {
        for (place, packet) in packets {
            let reader = self.layout.tasks[self.id].downstream[place];
            let letter = Letter { link: place_of(self.layout, self.id, reader), packet };
            self.held.push_back((reader, letter));
        }
    }

    /// Posts what is held, as far as there is room; tells whether there was any.
    fn send(&mut self, mail: &Post) -> Result<bool, Halt> {
        let mut moved = false;
        while let Some((reader, letter)) = self.held.pop_front() {
            if let Some(letter) = mail.post(reader, letter)? {
                self.held.push_front((reader, letter));
                break;
            }
            moved = true;
        }
        Ok(moved)
    }
}
