//! What the threads of a run share: trays of letters, how far each reader of the log has come, and a gate.
//!
//! ```text
//!   sender:  post, post, close          a full tray gives the letter back: the sender keeps it and waits
//!   reader:  take, take, take -> Ended  only when every sender has closed and the tray is empty
//!   node:    look at the counter | try everything | nothing moved: wait until the counter is another
//! ```
//!
//! Knows nothing of tasks, letters and rows. Locks come from `super::sync`, so that `proofs/loom` can compile this
//! very text against loom and walk through every interleaving. Invariants: letters of one sender are taken in the order
//! in which they were posted, each once, and all of them before the end; a tray never holds more than its room; whatever
//! could let somebody go on raises the counter; what is written at the gate is written by one who is admitted then.

use std::collections::VecDeque;

use super::sync::{Condvar, Mutex, MutexGuard};

/// Another thread has failed: there is nothing left to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stopped;

/// What a reader finds in its tray.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Taken<L> {
    Letter(L),
    /// Nothing yet.
    Empty,
    /// Nothing any more.
    Ended,
}

/// What came of trying everything once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Round {
    Moved,
    /// Nothing can go on until somebody else does something.
    Waits,
    Done,
}

/// The trays of all readers.
pub(super) struct Mail<L> {
    /// Most letters in a tray.
    room: usize,
    /// How far a reader of the log may be ahead of the last one.
    window: u64,
    state: Mutex<State<L>>,
    changed: Condvar,
}

struct State<L> {
    trays: Vec<Tray<L>>,
    /// How far each reader of the log has come.
    lanes: Vec<u64>,
    /// Raised with everything that could let somebody go on.
    changes: u64,
    stopped: bool,
}

struct Tray<L> {
    letters: VecDeque<L>,
    /// Senders that have not closed.
    open: usize,
}

impl<L> Mail<L> {
    /// A tray for each reader, with so many senders and room for so many letters (at least 1); readers of the log stand at
    /// `lanes` and stay within `window` of the last.
    pub(super) fn new(senders: &[usize], room: usize, lanes: Vec<u64>, window: u64) -> Mail<L> {
        let trays = senders.iter().map(|&open| Tray { letters: VecDeque::new(), open }).collect();
        let state = Mutex::new(State { trays, lanes, changes: 0, stopped: false });
        Mail { room: room.max(1), window, state, changed: Condvar::new() }
    }

    /// The life of a node: rounds until all is done, waiting where nothing moves. Whatever ends it before that, an error or
    /// a panic, stops everybody.
    pub(super) fn work<E: From<Stopped>>(
        &self,
        mut round: impl FnMut() -> Result<Round, E>,
    ) -> Result<(), E> {
        let stop = StopOnUnwind(self);
        loop {
            let seen = self.lock()?.changes;
            let came = round()?;
            match came {
                Round::Moved => {}
                Round::Waits => self.wait(seen)?,
                Round::Done => break,
            }
        }
        std::mem::forget(stop);
        Ok(())
    }

    /// Puts a letter into a tray; gives it back where that is full.
    pub(super) fn post(&self, to: usize, letter: L) -> Result<Option<L>, Stopped> {
        let mut state = self.lock()?;
        let tray = &mut state.trays[to];
        if tray.letters.len() >= self.room {
            return Ok(Some(letter));
        }
        tray.letters.push_back(letter);
        self.tell(state);
        Ok(None)
    }

    /// One of the senders has posted its last.
    pub(super) fn close(&self, to: usize) -> Result<(), Stopped> {
        let mut state = self.lock()?;
        state.trays[to].open -= 1;
        self.tell(state);
        Ok(())
    }

    /// The next letter of a tray.
    pub(super) fn take(&self, at: usize) -> Result<Taken<L>, Stopped> {
        let mut state = self.lock()?;
        let tray = &mut state.trays[at];
        if let Some(letter) = tray.letters.pop_front() {
            self.tell(state);
            return Ok(Taken::Letter(letter));
        }
        Ok(if tray.open == 0 { Taken::Ended } else { Taken::Empty })
    }

    /// Whether a reader of the log is not too far ahead.
    pub(super) fn may_read(&self, lane: usize) -> Result<bool, Stopped> {
        let state = self.lock()?;
        let last = state.lanes.iter().min().copied().unwrap_or(0);
        Ok(state.lanes[lane] <= last.saturating_add(self.window))
    }

    /// A reader of the log has come to this place.
    pub(super) fn read(&self, lane: usize, to: u64) -> Result<(), Stopped> {
        let mut state = self.lock()?;
        state.lanes[lane] = to;
        self.tell(state);
        Ok(())
    }

    fn wait(&self, seen: u64) -> Result<(), Stopped> {
        let mut state = self.lock()?;
        while state.changes == seen {
            state = self.changed.wait(state).map_err(|_| Stopped)?;
            if state.stopped {
                return Err(Stopped);
            }
        }
        Ok(())
    }

    fn tell(&self, mut state: MutexGuard<'_, State<L>>) {
        state.changes += 1;
        self.changed.notify_all();
    }

    fn stop(&self) {
        // A lock that somebody panicked with stops everybody by itself.
        if let Ok(mut state) = self.state.lock() {
            state.stopped = true;
        }
        self.changed.notify_all();
    }

    fn lock(&self) -> Result<MutexGuard<'_, State<L>>, Stopped> {
        let state = self.state.lock().map_err(|_| Stopped)?;
        if state.stopped { Err(Stopped) } else { Ok(state) }
    }
}

/// Stops everybody when dropped.
struct StopOnUnwind<'a, L>(&'a Mail<L>);

impl<L> Drop for StopOnUnwind<'_, L> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// Who knows which incarnation of a task may act.
pub(super) trait Fence {
    fn admits(&self, task: usize, incarnation: u64) -> bool;
}

/// What is written at the gate was not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Refused {
    /// Another one acts for the task by now.
    Fenced,
    /// A thread has failed while it wrote.
    Stopped,
}

/// The one place where what counts is changed: rows that were given, checkpoints, who may act.
pub(super) struct Gate<F>(Mutex<F>);

impl<F: Fence> Gate<F> {
    pub(super) fn new(fence: F) -> Gate<F> {
        Gate(Mutex::new(fence))
    }

    /// Writes for a task, if this incarnation may.
    pub(super) fn write<T>(
        &self,
        task: usize,
        incarnation: u64,
        write: impl FnOnce(&mut F) -> T,
    ) -> Result<T, Refused> {
        let mut fence = self.0.lock().map_err(|_| Refused::Stopped)?;
        if !fence.admits(task, incarnation) {
            return Err(Refused::Fenced);
        }
        Ok(write(&mut fence))
    }

    /// What was written in the end.
    pub(super) fn into_inner(self) -> Option<F> {
        self.0.into_inner().ok()
    }
}
