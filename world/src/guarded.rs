//! Calls into a subject that may panic: a panic becomes a value, never the end of the program.
//!
//! Every call of the world, the laws and the reports into a [`Subject`] or a [`Worker`] goes through here.
//! While such a call runs on a thread, what the panic hook would print is kept instead, and becomes part of
//! the [`Panic`]; panics of our own code are printed as ever. Judges nothing. Invariant: a worker that has
//! panicked is not called again.

use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::Once;

use rewindow_engine::{Layout, Packet};
use rewindow_query::{Entry, Failure, Recovered, Row, Timestamp};

use crate::subject::{Opening, Refusal, Subject, Taken, Worker};

/// A subject panicked: what it said, and where in its source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Panic(pub String);

thread_local! {
    /// One place for each guarded call that runs on this thread; calls may nest.
    static KEPT: RefCell<Vec<Option<String>>> = const { RefCell::new(Vec::new()) };
}

/// Calls foreign code; if it panics, says how.
///
/// # Errors
/// It panicked. What it was about to change may be half changed and must not be used again.
pub fn guarded<T>(call: impl FnOnce() -> T) -> Result<T, Panic> {
    listen();
    KEPT.with_borrow_mut(|kept| kept.push(None));
    let result = catch_unwind(AssertUnwindSafe(call));
    let kept = KEPT.with_borrow_mut(Vec::pop).flatten();
    result.map_err(|payload| {
        // Without the words only if somebody replaced the hook.
        Panic(kept.unwrap_or_else(|| text_of(payload.as_ref()).to_owned()))
    })
}

/// Puts a hook in front of the one there is, once for the whole program.
fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !keep(info) {
                before(info);
            }
        }));
    });
}

/// Keeps the words of a panic if a guarded call runs on this thread.
fn keep(info: &PanicHookInfo<'_>) -> bool {
    let kept = KEPT.try_with(|kept| {
        let mut kept = kept.try_borrow_mut().ok()?;
        *kept.last_mut()? = Some(in_words(info));
        Some(())
    });
    matches!(kept, Ok(Some(())))
}

/// What was given to `panic!`.
fn text_of(payload: &(dyn Any + Send)) -> &str {
    let formatted = payload.downcast_ref::<String>().map(String::as_str);
    formatted.or(payload.downcast_ref::<&str>().copied()).unwrap_or("a panic without words")
}

fn in_words(info: &PanicHookInfo<'_>) -> String {
    let message = text_of(info.payload());
    match info.location() {
        Some(place) => format!("{message} ({}:{})", place.file(), place.line()),
        None => message.to_owned(),
    }
}

/// The number of shards and the tasks of a job, as a subject sees them.
///
/// # Errors
/// It panicked.
pub fn layout(subject: &dyn Subject) -> Result<(usize, Layout), Panic> {
    guarded(|| (subject.shards().len(), subject.layout()))
}

/// What a subject says when it is asked to open a task: a worker and its answer, or why not.
pub type Opened = Result<(GuardedWorker, Recovered), Refusal>;

/// [`Subject::open`], guarded.
///
/// # Errors
/// It panicked.
pub fn open(subject: &dyn Subject, task: usize, opening: &Opening<'_>) -> Result<Opened, Panic> {
    let opened = guarded(|| subject.open(task, opening))?;
    Ok(opened.map(|(worker, answer)| (GuardedWorker { inner: Some(worker) }, answer)))
}

/// A worker whose panics are values.
pub struct GuardedWorker {
    /// Gone once it has panicked.
    inner: Option<Box<dyn Worker>>,
}

/// What a call gave, with what is asked after every call.
#[derive(Clone, Debug)]
pub struct Given {
    /// Rows, or the failure.
    pub result: Result<Vec<Row>, Failure>,
    /// [`Worker::frontier`].
    pub frontier: Timestamp,
    /// [`Worker::failure`].
    pub behind: Option<Failure>,
}

impl GuardedWorker {
    /// [`Worker::feed`], and what is asked after it.
    ///
    /// # Errors
    /// It panicked, now or before.
    pub fn feed(&mut self, input: usize, partition: u32, entries: &[Entry]) -> Result<Given, Panic> {
        self.call(|worker| given(worker, |worker| worker.feed(input, partition, entries)))
    }

    /// [`Worker::finish`], and what is asked after it.
    ///
    /// # Errors
    /// It panicked, now or before.
    pub fn finish(&mut self) -> Result<Given, Panic> {
        self.call(|worker| given(worker, |worker| worker.finish()))
    }

    /// [`Worker::checkpoint`], and the frontier that goes with it.
    ///
    /// # Errors
    /// It panicked, now or before.
    pub fn checkpoint(&mut self) -> Result<(Vec<u8>, Timestamp), Panic> {
        self.call(|worker| (worker.checkpoint(), worker.frontier()))
    }

    /// [`Worker::receive`], and what is asked after it; `None` where the packet was not taken, with what
    /// became of it.
    ///
    /// # Errors
    /// It panicked, now or before.
    pub fn receive(&mut self, from: usize, packet: &Packet) -> Result<Result<Given, Taken>, Panic> {
        self.call(|worker| match worker.receive(from, packet) {
            Ok(Taken::Rows(rows)) => Ok(given(worker, |_| Ok(rows))),
            Ok(other) => Err(other),
            Err(failure) => Ok(given(worker, |_| Err(failure))),
        })
    }

    /// [`Worker::outgoing`].
    ///
    /// # Errors
    /// It panicked, now or before.
    pub fn outgoing(&mut self) -> Result<Vec<(usize, Packet)>, Panic> {
        self.call(|worker| worker.outgoing())
    }

    /// [`Worker::wanted`].
    ///
    /// # Errors
    /// It panicked, now or before.
    pub fn wanted(&mut self) -> Result<Vec<u64>, Panic> {
        self.call(|worker| worker.wanted())
    }

    /// [`Worker::resend`].
    ///
    /// # Errors
    /// It panicked, now or before.
    pub fn resend(&mut self, to: usize, from: u64) -> Result<Option<Packet>, Panic> {
        self.call(|worker| worker.resend(to, from))
    }

    /// [`Worker::forget`], and [`Worker::kept`] after it.
    ///
    /// # Errors
    /// It panicked, now or before.
    pub fn forget(&mut self, to: usize, before: u64) -> Result<u64, Panic> {
        self.call(|worker| {
            worker.forget(to, before);
            worker.kept(to)
        })
    }

    /// [`Worker::explain`].
    ///
    /// # Errors
    /// It panicked, now or before.
    pub fn explain(&mut self) -> Result<BTreeMap<String, String>, Panic> {
        self.call(|worker| worker.explain())
    }

    fn call<T>(&mut self, call: impl FnOnce(&mut dyn Worker) -> T) -> Result<T, Panic> {
        let Some(worker) = &mut self.inner else { return Err(Panic("it has panicked before".to_owned())) };
        guarded(|| call(worker.as_mut())).inspect_err(|_| self.let_go())
    }

    /// A worker that panics while it is dropped has nothing more to say.
    fn let_go(&mut self) {
        let _ = guarded(|| drop(self.inner.take()));
    }
}

impl Drop for GuardedWorker {
    fn drop(&mut self) {
        self.let_go();
    }
}

fn given(worker: &mut dyn Worker, call: impl FnOnce(&mut dyn Worker) -> Result<Vec<Row>, Failure>) -> Given {
    let result = call(worker);
    Given { result, frontier: worker.frontier(), behind: worker.failure() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_says_what_and_where_and_calls_may_nest() {
        assert_eq!(guarded(|| 7), Ok(7));
        let Err(Panic(said)) = guarded(|| -> u8 { panic!("no {}", "more") }) else { panic!("it panicked") };
        assert!(said.starts_with("no more (") && said.contains("guarded.rs:"), "{said}");
        let outer = guarded(|| {
            let inner = guarded(|| -> u8 { panic!("inner") });
            assert!(inner.is_err_and(|Panic(said)| said.starts_with("inner")));
            8
        });
        assert_eq!(outer, Ok(8), "a panic inside is none outside");
    }

    #[test]
    fn what_is_no_text_has_words_too() {
        let said = guarded(|| {
            if std::hint::black_box(true) {
                std::panic::panic_any(3)
            }
        });
        assert!(
            said.as_ref().is_err_and(|Panic(said)| said.starts_with("a panic without words")),
            "{said:?}"
        );
    }

    #[test]
    fn each_thread_keeps_its_own() {
        let one = |number: u32| move || guarded(|| -> u8 { panic!("thread {number}") });
        let threads: Vec<_> = (0..4).map(|number| std::thread::spawn(one(number))).collect();
        for (number, thread) in threads.into_iter().enumerate() {
            let said = thread.join().expect("a guarded panic ends no thread");
            assert!(said.is_err_and(|Panic(said)| said.starts_with(&format!("thread {number}"))));
        }
    }
}
