//! A subject that panics, in each call there is: recorded, its shard stays down, and the run ends.
//!
//! What no other suite would catch: a call into a subject that is not guarded.

mod toy;

use std::collections::BTreeMap;

use rewindow_query::{Entry, Failure, Recovered, Row, Shard, Timestamp, Why};
use rewindow_world::case::{Case, FaultKind};
use rewindow_world::guarded::guarded;
use rewindow_world::run;
use rewindow_world::subject::{Opening, Refusal, Subject, Worker};
use toy::{Toy, case, minute, plan};

/// The call that panics; of a worker only once it has been restored.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Call {
    None,
    Shards,
    FirstOpen,
    Open,
    Feed,
    Finish,
    Failure,
    Frontier,
    Checkpoint,
    Explain,
    Drop,
}

struct Panicky {
    inner: Toy,
    call: Call,
}

impl Subject for Panicky {
    fn name(&self) -> &str {
        "panicky"
    }

    fn shards(&self) -> &[Shard] {
        assert_ne!(self.call, Call::Shards);
        self.inner.shards()
    }

    fn open(&self, shard: usize, opening: &Opening<'_>) -> Result<(Box<dyn Worker>, Recovered), Refusal> {
        let again = opening.why != Why::Fresh && shard == 1;
        assert!(self.call != Call::FirstOpen || shard != 1);
        assert!(self.call != Call::Open || !again);
        let (inner, answer) = self.inner.open(shard, opening)?;
        let call = if again { self.call } else { Call::None };
        Ok((Box::new(PanickyWorker { inner, call }), answer))
    }
}

struct PanickyWorker {
    inner: Box<dyn Worker>,
    call: Call,
}

impl Worker for PanickyWorker {
    fn feed(&mut self, input: usize, partition: u32, entries: &[Entry]) -> Result<Vec<Row>, Failure> {
        assert_ne!(self.call, Call::Feed);
        self.inner.feed(input, partition, entries)
    }

    fn finish(&mut self) -> Result<Vec<Row>, Failure> {
        assert_ne!(self.call, Call::Finish);
        self.inner.finish()
    }

    fn failure(&self) -> Option<Failure> {
        assert_ne!(self.call, Call::Failure);
        self.inner.failure()
    }

    fn frontier(&self) -> Timestamp {
        assert_ne!(self.call, Call::Frontier);
        self.inner.frontier()
    }

    fn checkpoint(&self) -> Vec<u8> {
        assert_ne!(self.call, Call::Checkpoint);
        self.inner.checkpoint()
    }

    fn explain(&self) -> BTreeMap<String, String> {
        assert_ne!(self.call, Call::Explain);
        self.inner.explain()
    }
}

impl Drop for PanickyWorker {
    fn drop(&mut self) {
        assert_ne!(self.call, Call::Drop);
    }
}

/// Two partitions with an event a minute each, and both nodes killed after half an hour.
fn killed() -> Case {
    let events: Vec<(u32, i64)> = (0..120).map(|number| (u32::from(number % 2 == 1), number / 2)).collect();
    let kill = |node| (30, FaultKind::NodeKill { node, down: rewindow_query::Span::minutes(2) });
    case(2, &events, vec![kill(0), kill(1)])
}

#[test]
fn a_panic_in_any_call_is_recorded_and_the_other_shard_goes_on() {
    let case = killed();
    let whole = run(&case, &plan(), &Panicky { inner: Toy::parallel(2), call: Call::None });
    assert_eq!(whole.panicked, None);
    let calls = [Call::FirstOpen, Call::Open, Call::Feed, Call::Finish, Call::Failure, Call::Frontier];
    for call in calls.into_iter().chain([Call::Checkpoint, Call::Explain]) {
        let subject = Panicky { inner: Toy::parallel(2), call };
        let ran = run(&case, &plan(), &subject);
        let panicked = ran.panicked.clone().unwrap_or_else(|| panic!("{call:?} goes unnoticed"));
        assert_eq!(
            (panicked.shard, panicked.generation),
            (1, u32::from(call != Call::FirstOpen)),
            "{call:?}"
        );
        assert!(panicked.at >= minute(0) && panicked.message.contains("panics.rs:"), "{panicked:?}");
        let of_other = |run: &rewindow_world::outcome::Run| -> Vec<Row> {
            run.deliveries.iter().filter(|d| d.shard == 0).flat_map(|d| d.rows.clone()).collect()
        };
        assert_eq!(of_other(&ran), of_other(&whole), "{call:?}");
        assert_eq!(ran, run(&case, &plan(), &subject), "{call:?}");
        let text = rewindow_world::trace_text(&ran);
        assert!(text.contains("panicked: ") && text.contains("panicked shard 1"), "{text}");
    }
}

#[test]
fn a_panic_before_there_is_a_shard_is_recorded_too() {
    let ran = run(&killed(), &plan(), &Panicky { inner: Toy::parallel(2), call: Call::Shards });
    assert!(ran.panicked.is_some_and(|panicked| panicked.shard == 0) && ran.deliveries.is_empty());
}

#[test]
fn a_worker_that_panics_while_it_is_dropped_has_nothing_more_to_say() {
    let subject = Panicky { inner: Toy::parallel(2), call: Call::Drop };
    let ran = guarded(|| run(&killed(), &plan(), &subject)).expect("the run ends as ever");
    assert_eq!(ran.panicked, None);
}
