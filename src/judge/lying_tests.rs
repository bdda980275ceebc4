//! Subjects that say something else than they do, and runs in which something was withheld: each is found.

use rewindow_query::{Entry, Failure, Recovered, Shard};
use rewindow_world::case::{Fault, FaultKind, SinkKind};
use rewindow_world::engine_subject::EngineSubject;
use rewindow_world::outcome::Unpublished;
use rewindow_world::subject::{Contract, Opening, Refusal, Subject, Worker};

use super::*;
use crate::{toy, trial};

/// The engine, whose workers say another frontier, and whose checkpoints are the engine's.
struct Lying {
    inner: EngineSubject,
    contract: Contract,
    says: fn(Timestamp) -> Timestamp,
}

impl Subject for Lying {
    fn name(&self) -> &str {
        "lying"
    }

    fn shards(&self) -> &[Shard] {
        self.inner.shards()
    }

    fn contract(&self) -> Contract {
        self.contract
    }

    fn open(&self, task: usize, opening: &Opening<'_>) -> Result<(Box<dyn Worker>, Recovered), Refusal> {
        let (inner, answer) = self.inner.open(task, opening)?;
        Ok((Box::new(LyingWorker { inner, says: self.says }), answer))
    }
}

struct LyingWorker {
    inner: Box<dyn Worker>,
    says: fn(Timestamp) -> Timestamp,
}

impl Worker for LyingWorker {
    fn feed(&mut self, input: usize, partition: u32, entries: &[Entry]) -> Result<Vec<Row>, Failure> {
        self.inner.feed(input, partition, entries)
    }

    fn finish(&mut self) -> Result<Vec<Row>, Failure> {
        self.inner.finish()
    }

    fn failure(&self) -> Option<Failure> {
        self.inner.failure()
    }

    fn frontier(&self) -> Timestamp {
        (self.says)(self.inner.frontier())
    }

    fn checkpoint(&self) -> Vec<u8> {
        self.inner.checkpoint()
    }
}

/// A job that is upgraded without its state, so that it goes on where its output stands.
fn upgraded() -> (Truth, Case) {
    let mut case = toy::case(1_000);
    case.faults.truncate(1);
    case.faults[0].at = toy::at(900);
    (Truth::of(&case).unwrap(), case)
}

/// What comes of it if workers say that as their frontier.
fn saying(contract: Contract, says: fn(Timestamp) -> Timestamp) -> (Run, Option<(Claim, Kind)>) {
    let (truth, case) = upgraded();
    let inner = EngineSubject::of_case(&truth.plan, &case);
    let (run, verdict) = trial::trial(&truth, &case, &Lying { inner, contract, says }, false);
    (run, verdict.breach().map(|breach| (breach.claim, breach.kind)))
}

/// All is read and given a second time, on the word of a worker that says it has given nothing.
#[test]
fn a_frontier_is_not_less_than_what_is_certain() {
    let prompt = Contract::default();
    let (right, verdict) = saying(prompt, |frontier| frontier);
    assert_eq!(verdict, None);
    let (nothing, verdict) = saying(prompt, |_| Timestamp::MIN);
    assert!(nothing.entries_fed > right.entries_fed);
    assert_eq!(verdict, Some((Claim::Live, Kind::FrontierBehind)));
    let (_, verdict) = saying(prompt, |frontier| frontier.minus(Span::TICK));
    assert_eq!(verdict, Some((Claim::Live, Kind::FrontierBehind)), "a tick is too little");

    // One that may replay more than it must is held to it all the same, one that may keep its rows is not.
    let (_, verdict) = saying(Contract { exact: false, ..prompt }, |_| Timestamp::MIN);
    assert_eq!(verdict, Some((Claim::Live, Kind::FrontierBehind)));
    let (_, verdict) = saying(Contract { prompt: false, ..prompt }, |_| Timestamp::MIN);
    assert_eq!(verdict, None);
}

/// With it nothing that comes again would be needless.
#[test]
fn a_checkpoint_does_not_say_less_than_its_worker_had_said() {
    let mut case = toy::case(1_000);
    case.faults = vec![case.faults[1].clone()];
    let truth = Truth::of(&case).unwrap();
    let subject = EngineSubject::of_case(&truth.plan, &case);
    let mut run = trial::run(&truth, &case, &subject, false);
    let kind = |run: &Run| judge(&truth, &case, run).breach().map(|breach| breach.kind);
    assert_eq!(kind(&run), None);
    let saved = run.recoveries[0].checkpoint.as_mut().unwrap();
    saved.frontier = saved.frontier.minus(Span::TICK);
    assert_eq!(kind(&run), Some(Kind::FrontierBehind));
}

/// Then there would be nothing to go on from, and a replay would be expected.
#[test]
fn a_coordinator_may_not_refuse_a_task_that_may_act() {
    let (truth, case) = upgraded();
    let subject = EngineSubject::of_case(&truth.plan, &case);
    let mut run = trial::run(&truth, &case, &subject, false);
    assert_eq!((run.unpublished.len(), judge(&truth, &case, &run).breach()), (0, None));
    let at = toy::at(700);
    let reason = "fenced".to_owned();
    run.unpublished.push(Unpublished { at, shard: 0, task: 0, generation: 0, reason });
    let verdict = judge(&truth, &case, &run);
    let breach = verdict.breach().unwrap();
    assert_eq!((breach.claim, breach.kind), (Claim::Answers, Kind::PublishRefused));
}

/// A job with a transactional sink that is away for a while, and its run.
fn transactional() -> (Truth, Case, Run) {
    let (_, mut case) = upgraded();
    case.deployment.sink = SinkKind::Transactional;
    case.faults =
        vec![Fault { at: toy::at(400), kind: FaultKind::SinkUnavailable { span: Span::seconds(50) } }];
    let truth = Truth::of(&case).unwrap();
    let subject = EngineSubject::of_case(&truth.plan, &case);
    let run = trial::run(&truth, &case, &subject, false);
    (truth, case, run)
}

/// A writer that commits nothing before the end: every row once and in order, and hours late.
#[test]
fn a_transactional_writer_holds_back_no_more_than_an_interval() {
    let (truth, case, run) = transactional();
    let kind = |run: &Run| judge(&truth, &case, run).breach().map(|breach| breach.kind);
    assert_eq!(kind(&run), None);
    let mut late = run.clone();
    let end = late.visible.last().unwrap().at;
    late.visible.iter_mut().for_each(|visible| visible.at = end);
    assert_eq!(kind(&late), Some(Kind::VisibleLate));
    let mut late = run.clone();
    let first = late.visible[0].at.plus(Span::TICK);
    late.visible[0].at = first;
    assert_eq!(kind(&late), Some(Kind::VisibleLate), "a tick is too late");
}

/// What was sealed just before the sink went away is due when it is back, and not before.
#[test]
fn what_is_sealed_while_the_sink_is_away_is_due_when_it_is_back() {
    let (truth, case, run) = transactional();
    let away = |wait: i64, back: i64| {
        let mut run = run.clone();
        let (at, until) = (run.visible[0].at, run.visible[0].at.plus(Span::seconds(back)));
        run.sealed.iter_mut().filter(|sealed| sealed.at == at).for_each(|sealed| sealed.away_until = until);
        let shown = run.visible.iter_mut().filter(|visible| visible.at == at);
        shown.for_each(|visible| visible.at = at.plus(Span::seconds(wait)));
        judge(&truth, &case, &run).breach().map(|breach| breach.kind)
    };
    assert_eq!(away(9, 9), None);
    assert_eq!(away(9, 8), Some(Kind::VisibleLate));
}

/// A subject may say that it has as many shards as it likes; those that the plan lacks are not judged, but refused.
#[test]
fn a_shard_that_the_plan_does_not_have_is_refused_in_words() {
    let (truth, case) = upgraded();
    let subject = EngineSubject::of_case(&truth.plan, &case);
    let run = trial::run(&truth, &case, &subject, false);
    let refused = |change: fn(&mut Run)| {
        let mut run = run.clone();
        change(&mut run);
        let verdict = judge(&truth, &case, &run);
        let breach = verdict.breach().expect("a shard too many");
        assert_eq!((breach.claim, breach.kind), (Claim::Answers, Kind::Refused));
        assert!(
            breach.message.contains("at shard 7, counted from 0, and the plan has 1"),
            "{}",
            breach.message
        );
    };
    refused(|run| run.recoveries.iter_mut().for_each(|report| report.shard = 7));
    refused(|run| run.deliveries[0].shard = 7);
    refused(|run| run.level.push((7, toy::at(1_000))));
}
