//! The event queue: what happens next, in virtual time.
//!
//! Invariant: the order is (time, kind, number), so it never depends on who asked first. At one instant
//! entries have arrived, then faults strike, nodes are rebooted, hung nodes come back, nodes come up, failed
//! shards are started again, writes are tried again, packets arrive in the order in which they were sent, tasks read in order of their numbers, nodes
//! save. Of several packets or readers of one instant the case may choose another order ([`Queue::turns`]).

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rewindow_query::{Span, Timestamp};

/// Something to do; the order of the variants is the order within an instant.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Event {
    /// The fault with that index strikes.
    Fault(usize),
    /// An upgrade that goes from node to node reaches this one; with the index of the fault.
    Reboot(usize, usize),
    /// A node that hung goes on as if nothing had happened; with the number of the hang.
    Back(u64),
    /// A node starts, unless its start was put off.
    Up(usize),
    /// Tasks that were moved to other nodes are opened there.
    Placed,
    /// The service starts a shard again that failed, unless something else opened it since.
    Restart(usize),
    /// What a shard has to write and could not is tried again.
    Retry(usize),
    /// The packet of that number arrives.
    Packet(u64),
    /// A task looks for entries, unless it was told another time since.
    Wake(usize),
    /// A node saves its tasks.
    Save(usize),
}

impl Event {
    /// Whether another event of the same kind and instant may come first as well.
    fn is_turn(self) -> bool {
        matches!(self, Event::Packet(_) | Event::Wake(_))
    }
}

/// What is still to happen.
#[derive(Default)]
pub(crate) struct Queue {
    heap: BinaryHeap<Reverse<(Timestamp, Event)>>,
    /// Which of several that could move next does, counted modulo their number; behind the end the first.
    turns: Vec<u32>,
    turn: usize,
}

impl Queue {
    /// Upgrades that go from node to node and have not reached all, in order: when, which node, by which fault.
    pub(crate) fn reboots(&self) -> Vec<(Timestamp, usize, usize)> {
        let reboot = |Reverse((at, event)): &Reverse<(Timestamp, Event)>| match *event {
            Event::Reboot(node, fault) => Some((*at, node, fault)),
            _ => None,
        };
        let mut reboots: Vec<_> = self.heap.iter().filter_map(reboot).collect();
        reboots.sort_unstable();
        reboots
    }

    /// Upgrades that go from node to node by such faults go no further.
    pub(crate) fn call_off(&mut self, such: impl Fn(usize) -> bool) {
        self.heap.retain(|Reverse((_, event))| !matches!(event, Event::Reboot(_, fault) if such(*fault)));
    }

    /// An empty queue with the choices of a case.
    pub(crate) fn new(turns: Vec<u32>) -> Queue {
        Queue { heap: BinaryHeap::new(), turns, turn: 0 }
    }

    pub(crate) fn push(&mut self, at: Timestamp, event: Event) {
        self.heap.push(Reverse((at, event)));
    }

    pub(crate) fn pop(&mut self) -> Option<(Timestamp, Event)> {
        let Reverse(next) = self.heap.pop()?;
        if self.turn >= self.turns.len() || !next.1.is_turn() {
            return Some(next);
        }
        let mut ready = vec![next];
        let same = |other: &(Timestamp, Event)| {
            other.0 == next.0 && std::mem::discriminant(&other.1) == std::mem::discriminant(&next.1)
        };
        while self.heap.peek().is_some_and(|Reverse(other)| same(other)) {
            ready.extend(self.heap.pop().map(|Reverse(other)| other));
        }
        if ready.len() == 1 {
            return Some(next);
        }
        let chosen = ready.swap_remove(self.turns[self.turn] as usize % ready.len());
        self.turn += 1;
        self.heap.extend(ready.into_iter().map(Reverse));
        Some(chosen)
    }
}

/// The first instant at or after `at` of the grid `phase + k * interval`, counted from tick zero.
/// `interval` is positive.
pub(crate) fn grid(at: Timestamp, interval: Span, phase: Span) -> Timestamp {
    let behind = at.0.saturating_sub(phase.0).rem_euclid(interval.0);
    if behind == 0 { at } else { at.plus(Span(interval.0 - behind)) }
}

/// How long a node needs for that many entries of one partition, rounded up to a tick. `rate` is
/// positive, in entries per second.
pub(crate) fn effort(entries: u64, rate: u64) -> Span {
    let second = rewindow_query::time::SECOND.unsigned_abs();
    let ticks = (u128::from(entries) * u128::from(second)).div_ceil(u128::from(rate));
    Span(i64::try_from(ticks).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_ordered_by_kind_then_number() {
        let mut queue = Queue::default();
        let events = [Event::Save(0), Event::Wake(1), Event::Wake(0), Event::Up(3), Event::Fault(1)];
        events.into_iter().for_each(|event| queue.push(Timestamp(5), event));
        queue.push(Timestamp(4), Event::Save(9));
        let order: Vec<Event> = std::iter::from_fn(|| queue.pop()).map(|(_, event)| event).collect();
        let want =
            [Event::Save(9), Event::Fault(1), Event::Up(3), Event::Wake(0), Event::Wake(1), Event::Save(0)];
        assert_eq!(order, want);
    }

    #[test]
    fn the_grid_has_a_phase_and_includes_its_points() {
        for (at, want) in [(0, 3), (3, 3), (4, 13), (13, 13), (-8, -7)] {
            assert_eq!(grid(Timestamp(at), Span(10), Span(3)), Timestamp(want), "{at}");
        }
    }

    #[test]
    fn effort_is_rounded_up_once() {
        assert_eq!(effort(0, 7), Span::ZERO);
        assert_eq!(effort(1, 3), Span(3_333_334));
        assert_eq!(effort(3, 3), Span::seconds(1));
        assert_eq!(effort(1, u64::MAX), Span::TICK);
    }
}
