//! What the threads of a campaign share: which index is next, and results waiting for their turn.
//!
//! Knows nothing of what a job is, nor how threads are started. Locks come from `super::sync`, so that
//! `proofs/loom` can compile this very text against loom and walk through every interleaving.
//! Invariant, whenever the lock is free: `due <= next <= min(n, due + window)`, and `results[i]` belongs to
//! index `due + i`. No job and no consumer runs while the lock is held.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use super::sync::{Condvar, Mutex, MutexGuard};

/// Indices go out, results come in any order and leave in order.
pub(super) struct Exchange<R> {
    n: u64,
    window: u64,
    state: Mutex<State<R>>,
    /// Told when `due` moves or all stops: workers wait here.
    room: Condvar,
    /// Told when the result that is due arrives or all stops: the consumer waits here.
    ready: Condvar,
}

struct State<R> {
    /// The next index to be taken.
    next: u64,
    /// The index the consumer gets next.
    due: u64,
    /// Results of `due`, `due + 1`, …, as far as they have come in.
    results: VecDeque<Option<R>>,
    /// No more indices go out, no more results leave.
    stopped: bool,
}

impl<R> Exchange<R> {
    /// An exchange for indices below `n`; at most `window` (at least 1) are out at a time.
    pub(super) fn new(n: u64, window: u64) -> Exchange<R> {
        let state = State { next: 0, due: 0, results: VecDeque::new(), stopped: false };
        Exchange {
            n,
            window: window.max(1),
            state: Mutex::new(state),
            room: Condvar::new(),
            ready: Condvar::new(),
        }
    }

    /// The life of a worker: takes indices and puts results until there are no more.
    pub(super) fn work(&self, job: impl Fn(u64) -> R) {
        let stop = StopOnUnwind(self);
        while let Some(index) = self.take() {
            self.put(index, job(index));
        }
        std::mem::forget(stop);
    }

    /// The life of the consumer: receives results in order until there are no more, or it breaks.
    pub(super) fn drain(&self, mut consume: impl FnMut(u64, R) -> ControlFlow<()>) {
        // Whether it ends by a break, at the end or by a panic: nobody is left waiting.
        let _stop = StopOnUnwind(self);
        while let Some((index, result)) = self.receive() {
            if consume(index, result).is_break() {
                break;
            }
        }
    }

    fn take(&self) -> Option<u64> {
        let mut state = self.lock();
        while !state.stopped && state.next < self.n && state.next - state.due >= self.window {
            state = self.room.wait(state).expect(UNPOISONED);
        }
        if state.stopped || state.next >= self.n {
            return None;
        }
        let index = state.next;
        state.next += 1;
        state.results.push_back(None);
        Some(index)
    }

    fn put(&self, index: u64, result: R) {
        let mut state = self.lock();
        if state.stopped {
            return;
        }
        let place = usize::try_from(index - state.due).expect("a place in the window is a usize");
        state.results[place] = Some(result);
        if place == 0 {
            self.ready.notify_one();
        }
    }

    fn receive(&self) -> Option<(u64, R)> {
        let mut state = self.lock();
        loop {
            if state.stopped || state.due >= self.n {
                return None;
            }
            if let Some(result) = state.results.front_mut().and_then(Option::take) {
                state.results.pop_front();
                let index = state.due;
                state.due += 1;
                self.room.notify_one();
                return Some((index, result));
            }
            state = self.ready.wait(state).expect(UNPOISONED);
        }
    }

    fn stop(&self) {
        self.lock().stopped = true;
        self.room.notify_all();
        self.ready.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State<R>> {
        self.state.lock().expect(UNPOISONED)
    }
}

const UNPOISONED: &str = "nothing that can panic runs while the lock is held";

/// Stops the exchange when dropped.
struct StopOnUnwind<'a, R>(&'a Exchange<R>);

impl<R> Drop for StopOnUnwind<'_, R> {
    fn drop(&mut self) {
        self.0.stop();
    }
}
