//! Every interleaving of the exchange that campaigns run on and of what the threads of a run share, and broken twins
//! that must be caught.
//!
//! The text under test is the shipped `src/pool/exchange.rs` and `src/runtime/shared.rs`, compiled against loom's locks.
//! The twins are that text with one piece replaced (`build.rs`). What no other suite would catch: a wake-up lost, or a
//! lock let go too early, in one schedule out of thousands.
//!
//! `cargo run` walks the shipped text, then starts itself once for each twin (loom aborts the process when
//! a thread is unwound in the middle of a walk) and demands that it fails. With the name of a twin as
//! argument it walks that twin alone. Exit code 0: all held and every twin was caught.

use std::ops::ControlFlow;
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

mod sync {
    pub(super) use loom::sync::{Condvar, Mutex, MutexGuard};
}

#[path = "../../../src/pool/exchange.rs"]
mod exchange;

mod runtime;
#[path = "../../../src/runtime/shared.rs"]
mod shared;

/// The claim, on an exchange of the given module: each index is worked on at most once and never further
/// ahead than the window, results arrive in order and complete up to the stop, and nobody waits for ever
/// (loom reports a deadlock by a panic). Gives the number of interleavings.
macro_rules! walk {
    ($exchange:path, $workers:expr, $preemptions:expr, $n:expr, $window:expr, $stop_at:expr) => {{
        let (n, window, stop_at): (u64, u64, u64) = ($n, $window, $stop_at);
        let count = std::sync::Arc::new(AtomicUsize::new(0));
        let counted = count.clone();
        let mut model = loom::model::Builder::new();
        model.preemption_bound = $preemptions;
        model.check(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            let exchange = loom::sync::Arc::new(<$exchange>::new(n, window));
            // How often each index was worked on, and how many the consumer has got.
            let book = loom::sync::Arc::new(loom::sync::Mutex::new((vec![0; n as usize], 0u64)));
            let worker = || {
                let (exchange, book) = (exchange.clone(), book.clone());
                loom::thread::spawn(move || {
                    exchange.work(|index| {
                        let mut book = book.lock().unwrap();
                        book.0[index as usize] += 1;
                        // The consumer books what it got after it got it, hence the one more.
                        assert!(index < book.1 + window + 1, "further ahead than the window");
                        index * 10
                    });
                })
            };
            let workers: Vec<_> = (0..$workers).map(|_| worker()).collect();
            let mut seen = Vec::new();
            exchange.drain(|index, result| {
                book.lock().unwrap().1 = index + 1;
                seen.push((index, result));
                if index == stop_at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            for worker in workers {
                worker.join().unwrap();
            }
            let until = n.min(stop_at + 1);
            assert_eq!(seen, (0..until).map(|index| (index, index * 10)).collect::<Vec<_>>(), "order");
            let book = book.lock().unwrap();
            assert!(book.0.iter().all(|&times| times <= 1), "an index was worked on twice");
            assert!(book.0[..until as usize].iter().all(|&times| times == 1), "an index was left out");
        });
        count.load(Ordering::Relaxed)
    }};
}

/// Never asked for.
const NO_STOP: u64 = 99;

fn shipped() {
    for (n, window, stop_at) in [(0, 1, NO_STOP), (3, 1, NO_STOP), (3, 2, NO_STOP), (4, 2, 1), (3, 3, 0)] {
        let count = walk!(exchange::Exchange<u64>, 1, None, n, window, stop_at);
        println!("1 worker, {n} indices, window {window}, stop at {stop_at}: {count} interleavings, all");
    }
    for (n, window, stop_at) in [(2, 1, NO_STOP), (2, 2, NO_STOP), (2, 2, 0), (3, 2, NO_STOP), (3, 2, 1)] {
        let count = walk!(exchange::Exchange<u64>, 2, Some(3), n, window, stop_at);
        println!(
            "2 workers, {n} indices, window {window}, stop at {stop_at}: {count} interleavings, all with up \
             to 3 preemptions"
        );
        assert!(count > 1, "two workers have more than one order");
    }
}

macro_rules! twins {
    ($($name:ident),*; $($of_runtime:ident),*) => {
        $( mod $name {
            include!(concat!(env!("OUT_DIR"), "/", stringify!($name), ".rs"));
        } )*
        $(
            #[allow(unused)]
            mod $of_runtime {
                include!(concat!(env!("OUT_DIR"), "/", stringify!($of_runtime), ".rs"));
            }
        )*
        const TWINS: &[&str] = &[$(stringify!($name),)* $(stringify!($of_runtime)),*];
        fn twin(name: &str) {
            match name {
                $( stringify!($name) => for (n, window, stop_at) in [(3, 1, NO_STOP), (3, 2, NO_STOP), (3, 2, 0)] {
                    walk!($name::Exchange<u64>, 2, Some(2), n, window, stop_at);
                } )*
                $( stringify!($of_runtime) => runtime::walks!($of_runtime, 2), )*
                _ => println!("no twin of this name; there are {TWINS:?}"),
            }
        }
    };
}

twins!(
    no_wake_for_the_consumer,
    no_wake_for_the_workers,
    end_wakes_nobody,
    window_not_kept,
    result_in_the_wrong_place,
    index_moved_outside_the_lock;
    change_not_counted,
    change_wakes_nobody,
    post_tells_nobody,
    take_tells_nobody,
    close_tells_nobody,
    read_tells_nobody,
    room_not_kept,
    close_hides_what_was_posted,
    looks_after_the_round,
    waits_without_looking,
    stop_wakes_nobody,
    stopped_waits_on,
    lock_let_go_in_front_of_the_write
);

fn main() -> ExitCode {
    if let Some(name) = std::env::args().nth(1) {
        twin(&name);
        return ExitCode::SUCCESS;
    }
    shipped();
    runtime::walks!(shared, 3);
    let myself = std::env::current_exe().expect("a running program has a path");
    let mut all_caught = true;
    for name in TWINS {
        let run = Command::new(&myself).arg(name).env("RUST_BACKTRACE", "0").stdin(Stdio::null()).output();
        let run = run.expect("a program can start itself");
        let errors = String::from_utf8_lossy(&run.stderr);
        let reason = errors.lines().skip_while(|line| !line.contains("panicked at")).nth(1).unwrap_or("");
        let caught = !run.status.success() && !reason.is_empty();
        println!("twin {name}: {}", if caught { format!("caught: {reason}") } else { "NOT CAUGHT".into() });
        all_caught &= caught;
    }
    if all_caught { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
