//! Threads of a campaign: jobs by number, results in order.
//!
//! The one place of this crate where threads share anything. Workers take the next index, the caller gets
//! the results in the order of indices, and a stop is heeded at the smallest index that asks for it: what
//! the caller sees depends neither on the number of threads nor on their timing. What is shared is all in
//! `exchange`, whose every interleaving for a few indices is walked through in `proofs/loom`.

mod exchange;
mod sync;

use std::ops::ControlFlow;

use exchange::Exchange;

/// How far workers may run ahead of the consumer, in indices for each thread. Enough that one slow job does
/// not leave the others idle, little enough that finished results stay few.
const AHEAD: u64 = 16;

/// Computes `job(0)`, `job(1)`, … `job(n - 1)` on this many threads (0 counts as 1) and hands the results to
/// `consume` on the calling thread, in that order, until it breaks or all are done. At most
/// `16 * threads` indices are under way or waiting at any moment; those past a break are thrown away.
///
/// ```
/// use std::ops::ControlFlow;
/// let mut seen = Vec::new();
/// rewindow::pool::for_each_in_order(1_000, 4, |i| i * i, |i, square| {
///     seen.push(square);
///     if i == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
/// });
/// assert_eq!(seen, [0, 1, 4, 9]);
/// ```
///
/// # Panics
/// If a job or the consumer panics, once all threads have come to rest.
pub fn for_each_in_order<R: Send>(
    n: u64,
    threads: usize,
    job: impl Fn(u64) -> R + Sync,
    consume: impl FnMut(u64, R) -> ControlFlow<()>,
) {
    let threads = threads.max(1);
    let exchange = Exchange::new(n, AHEAD.saturating_mul(threads as u64));
    std::thread::scope(|scope| {
        for _ in 0..threads.min(usize::try_from(n).unwrap_or(usize::MAX)) {
            scope.spawn(|| exchange.work(&job));
        }
        exchange.drain(consume);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(n: u64, threads: usize, stop_at: u64) -> Vec<(u64, u64)> {
        let mut seen = Vec::new();
        // Early jobs are the long ones, so that later ones finish first.
        let job = |index: u64| (0..(n - index) * 50).fold(index, |sum, x| std::hint::black_box(sum ^ x ^ x));
        for_each_in_order(n, threads, job, |index, result| {
            seen.push((index, result));
            if index >= stop_at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        seen
    }

    #[test]
    fn the_number_of_threads_does_not_show() {
        for (n, stop_at) in [(0, 9), (1, 9), (7, 3), (500, 499), (500, 123), (500, 0), (500, 1_000)] {
            let alone = seen(n, 1, stop_at);
            assert_eq!(alone.len() as u64, n.min(stop_at + 1));
            assert!(alone.iter().zip(0..).all(|(&seen, index)| seen == (index, index)));
            for threads in [0, 2, 3, 8, 40] {
                assert_eq!(seen(n, threads, stop_at), alone, "{n} jobs on {threads} threads");
            }
        }
    }

    #[test]
    fn workers_do_not_run_ahead_of_the_consumer() {
        use std::sync::atomic::{AtomicU64, Ordering};
        let started = AtomicU64::new(0);
        let job = |_| started.fetch_add(1, Ordering::SeqCst);
        for_each_in_order(2_000, 3, job, |index, _| {
            // At this moment indices up to `index` are handed over, and at most a window is beyond.
            assert!(started.load(Ordering::SeqCst) <= index + 1 + 3 * AHEAD);
            ControlFlow::Continue(())
        });
        assert_eq!(started.into_inner(), 2_000);
    }

    #[test]
    #[should_panic(expected = "a scoped thread panicked")]
    fn a_panicking_job_ends_the_campaign_instead_of_hanging_it() {
        for_each_in_order(100, 2, |index| assert!(index < 50, "planted"), |_, ()| ControlFlow::Continue(()));
    }

    #[test]
    #[should_panic(expected = "planted")]
    fn a_panicking_consumer_ends_the_campaign_instead_of_hanging_it() {
        for_each_in_order(
            10_000,
            2,
            |index| index,
            |index, _| {
                assert!(index < 50, "planted");
                ControlFlow::Continue(())
            },
        );
    }
}
