//! Hand-made runs, each wrong in one way, and what the judge says of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use rewindow_engine::Role;
use rewindow_model::guarantee::replay_from;
use rewindow_query::{
    Entry, Failure, Gap, History, Ordering, Outcome, Payload, Policy, Recovered, Retained, Row, Span,
    Timestamp, Value, Why,
};
use rewindow_world::case::{Case, CaseInput, Deployment, Fault, FaultKind, SinkKind, StartMode};
use rewindow_world::language::Language;
use rewindow_world::outcome::{
    CheckpointRecord, Delivery, Failed, RecoveryReport, Run, Skipped, Stopped, Visible,
};

use super::*;

const BEGIN: Timestamp = Timestamp(63_839_664_000 * rewindow_query::time::SECOND);

fn at(seconds: i64) -> Timestamp {
    BEGIN.plus(Span::seconds(seconds))
}

/// Events of two keys at seconds 1 to 6, counted in tumbling windows of two seconds: six rows.
fn case() -> Case {
    let entry = |offset: i64| {
        let members = [
            (Arc::from("t"), Value::text(at(offset + 1).to_string())),
            (Arc::from("k"), Value::text(if offset % 2 == 0 { "a" } else { "b" })),
        ];
        Entry {
            input: 0,
            partition: 0,
            offset: offset.unsigned_abs(),
            arrival: at(offset + 1),
            payload: Payload::Event(Arc::new(members.into_iter().collect())),
        }
    };
    Case {
        name: "hand made".to_owned(),
        query:
            "SELECT k, COUNT(*) AS c INTO counts FROM a TIMESTAMP BY t GROUP BY k, TumblingWindow(second, 2)"
                .into(),
        inputs: vec![CaseInput { name: "a".to_owned(), partitions: 1 }],
        language: Language::default(),
        references: Vec::new(),
        ordering: Ordering { late: Span::ZERO, out_of_order: Span::ZERO, policy: Policy::Adjust },
        deployment: Deployment {
            nodes: 1,
            keyed: 0,
            link_delay: Span::ZERO,
            checkpoint_interval: Span::seconds(2),
            poll_interval: Span::seconds(1),
            batch: 10,
            rate: 10,
            retention: None,
            retention_size: None,
            heartbeat: Span::seconds(60),
            sink: SinkKind::Append,
        },
        history: Arc::new(History::of((0..6).map(entry).collect())),
        turns: Vec::new(),
        faults: vec![Fault { at: at(5), kind: FaultKind::NodeKill { node: 0, down: Span::ZERO } }],
    }
}

fn delivery(generation: u32, rows: &[Row]) -> Delivery {
    Delivery { at: at(4), node: 0, shard: 0, generation, opened: generation, rows: rows.to_vec() }
}

/// A kill after the first four rows; the checkpoint's frontier lies before the third and fourth.
pub(super) fn kill() -> RecoveryReport {
    RecoveryReport {
        at: at(5),
        node: 0,
        shard: 0,
        generation: 1,
        version: 0,
        why: Why::AfterKill,
        fault: "node kill",
        output_from: Timestamp::MIN,
        task: 0,
        role: Role::Whole,
        epoch: 1,
        begin: None,
        slowness: 1,
        stood: Span::ZERO,
        checkpoint: Some(CheckpointRecord {
            late: false,
            at: at(2),
            positions: BTreeMap::from([((0, 0), 2)]),
            frontier: at(4),
        }),
        answer: Recovered {
            outcome: Outcome::FromCheckpoint,
            positions: BTreeMap::from([((0, 0), 2)]),
            gaps: Vec::new(),
        },
        retained: BTreeMap::from([((0, 0), Retained { first: 0, next: 5, lost_until: None })]),
        since: BTreeMap::new(),
        backlog: 3,
        estimated: Span::seconds(1),
        actual: Some(Span::seconds(1)),
    }
}

struct Scene {
    truth: Truth,
    case: Case,
    rows: Vec<Row>,
    run: Run,
}

/// A run that held: rows 0 to 3, the kill, rows 2 to 5.
fn scene() -> Scene {
    let case = case();
    let truth = Truth::of(&case).unwrap();
    let rows = truth.answer.rows.clone();
    assert_eq!(rows.len(), 6);
    let run = Run {
        deliveries: vec![delivery(0, &rows[..4]), delivery(1, &rows[2..])],
        recoveries: vec![kill()],
        ..Run::default()
    };
    Scene { truth, case, rows, run }
}

impl Scene {
    fn held(&self) -> Held {
        match judge(&self.truth, &self.case, &self.run) {
            Verdict::Held(held) => held,
            Verdict::Broken(breach) => panic!("{breach:?}"),
        }
    }

    fn broken(&self) -> (Claim, Kind, Option<Level>) {
        let verdict = judge(&self.truth, &self.case, &self.run);
        let breach = verdict.breach().expect("a breach");
        assert!(breach.operator == "tumbling", "{breach:?}");
        (breach.claim, breach.kind, breach.level)
    }

    /// The recovery is a replay of exactly what rows stamped `output_from` and later need.
    fn replay(&mut self, output_from: Timestamp) {
        let from = replay_from(&self.truth.plan, &self.truth.shards[0], output_from);
        let report = &mut self.run.recoveries[0];
        (report.output_from, report.checkpoint, report.epoch) = (output_from, None, report.epoch + 1);
        report.answer.outcome = Outcome::Replayed { from };
        report.answer.positions.insert((0, 0), 0);
        report.since.insert((0, 0), 0);
    }

    /// The source has forgotten the third entry before the recovery, whatever is announced.
    fn forget(&mut self, announced: Vec<Gap>) {
        let report = &mut self.run.recoveries[0];
        report.retained.insert((0, 0), Retained { first: 3, next: 5, lost_until: Some(at(3)) });
        report.answer.positions.insert((0, 0), 3);
        report.answer.gaps = announced;
    }
}

fn with_count(row: &Row, count: i64) -> Row {
    let members = row.record.members().iter().map(|(name, value)| match &**name {
        "c" => (name.clone(), Value::Int(count)),
        _ => (name.clone(), value.clone()),
    });
    Row { record: Arc::new(members.collect()), ..row.clone() }
}

#[test]
fn copies_after_a_checkpoint_hold() {
    let held = scene().held();
    assert_eq!(held.levels, [Level::AfterRemovingCopies]);
    assert_eq!((held.rows_matched, held.copies, held.recoveries.from_checkpoint), (8, 2, 1));
}

#[test]
fn an_uninterrupted_run_is_the_exact_sequence() {
    let mut scene = scene();
    scene.case.faults.clear();
    scene.run = Run { deliveries: vec![delivery(0, &scene.rows)], ..Run::default() };
    assert_eq!(scene.held().levels, [Level::ExactSequence]);
    scene.run.deliveries[0].rows.pop();
    assert_eq!(scene.broken(), (Claim::Agree, Kind::Lost, None));
}

#[test]
fn rows_lost_invented_and_wrong_are_told_apart() {
    let mut missing = scene();
    missing.run.deliveries[1].rows.remove(2);
    assert_eq!(missing.broken(), (Claim::Recover, Kind::Lost, None));

    let mut extra = scene();
    let invented = Row { ordinal: 7, ..extra.rows[4].clone() };
    extra.run.deliveries[1].rows.insert(3, invented);
    assert_eq!(extra.broken(), (Claim::Recover, Kind::Invented, None));

    for (count, kind) in [(9, Kind::CountsMore), (0, Kind::CountsLess)] {
        let mut wrong = scene();
        wrong.run.deliveries[1].rows[3] = with_count(&wrong.rows[5], count);
        assert_eq!(wrong.broken(), (Claim::Recover, kind, None));
    }
}

#[test]
fn a_copy_that_is_no_copy_is_a_breach() {
    let mut scene = scene();
    scene.run.deliveries[1].rows[0] = with_count(&scene.rows[2], 9);
    assert_eq!(scene.broken(), (Claim::Recover, Kind::CountsMore, None));
    let verdict = judge(&scene.truth, &scene.case, &scene.run);
    assert!(verdict.breach().unwrap().copy);
    assert_eq!(verdict.breach().unwrap().fault, Some("node kill"));
}

#[test]
fn order_inside_a_generation_is_kept() {
    let mut scene = scene();
    scene.run.deliveries[1].rows.swap(2, 3);
    let (claim, kind, level) = scene.broken();
    assert_eq!((claim, kind), (Claim::Delivery, Kind::OutOfOrder));
    assert_eq!(level, Some(Level::AfterRemovingCopies), "nothing is lost by it");
}

#[test]
fn only_rows_behind_the_checkpoint_come_again() {
    let mut again = scene();
    again.run.deliveries[1] = delivery(1, &again.rows);
    assert_eq!((again.broken().0, again.broken().1), (Claim::Delivery, Kind::Repeated));

    let mut twice = scene();
    twice.run.deliveries.push(delivery(1, &twice.rows[5..]));
    assert_eq!((twice.broken().0, twice.broken().1), (Claim::Delivery, Kind::Repeated));

    let mut early = scene();
    early.replay(at(6));
    assert_eq!((early.broken().0, early.broken().1), (Claim::Delivery, Kind::BeforeStart));
}

#[test]
fn a_gap_is_announced_or_a_breach() {
    let unavoidable = {
        let mut probe = scene();
        probe.forget(Vec::new());
        answers::Allowed::of(&probe.truth, &probe.run)
    };
    let from = (0..100).map(at).find(|&t| unavoidable.unavoidable(0, 1, t)).unwrap();
    let until = (0..10_000).map(at).filter(|&t| unavoidable.unavoidable(0, 1, t)).max().unwrap();
    let gap = Gap { from, until: until.plus(Span::TICK) };

    // The third entry is gone, so the first row behind the checkpoint lacks it.
    let lossy = |announced: Vec<Gap>| {
        let mut scene = scene();
        scene.forget(announced);
        scene.run.deliveries = vec![delivery(0, &scene.rows[..2]), delivery(1, &scene.rows[3..])];
        scene
    };
    let held = lossy(vec![gap]).held();
    assert_eq!(
        (held.levels, held.rows_in_gaps, held.recoveries.announced),
        (vec![Level::DeclaredPartial], 1, 1)
    );
    assert_eq!(lossy(Vec::new()).broken(), (Claim::HonestGaps, Kind::GapSilent, None));
    let wide = Gap { from: gap.from.minus(Span::TICK), until: gap.until };
    assert_eq!(
        (lossy(vec![wide]).broken().0, lossy(vec![wide]).broken().1),
        (Claim::HonestGaps, Kind::GapTooWide)
    );

    let mut needless = scene();
    needless.run.recoveries[0].answer.gaps = vec![gap];
    assert_eq!(needless.broken(), (Claim::HonestGaps, Kind::GapNeedless, Some(Level::AfterRemovingCopies)));
}

/// Rows of the scene whose third entry is gone: the one it lacks is 2, and whatever is in the gap may be otherwise.
fn in_a_gap(change: impl Fn(&mut Run, &[Row])) -> Option<Kind> {
    let mut probe = scene();
    probe.forget(Vec::new());
    let allowed = answers::Allowed::of(&probe.truth, &probe.run);
    let unavoidable: Vec<Timestamp> = (0..100).map(at).filter(|&t| allowed.unavoidable(0, 1, t)).collect();
    let (&from, &last) = (unavoidable.first().unwrap(), unavoidable.last().unwrap());
    let mut scene = scene();
    scene.forget(vec![Gap { from, until: last.plus(Span::TICK) }]);
    scene.run.deliveries = vec![delivery(0, &scene.rows[..2]), delivery(1, &scene.rows[3..])];
    assert!(unavoidable.contains(&scene.rows[2].timestamp));
    let rows = scene.rows.clone();
    change(&mut scene.run, &rows);
    judge(&scene.truth, &scene.case, &scene.run).breach().map(|breach| breach.kind)
}

#[test]
fn in_a_gap_a_row_may_be_wrong_once_in_a_generation() {
    let give = |run: &mut Run, row: Row| run.deliveries[1].rows.insert(0, row);
    let wrong = |rows: &[Row]| with_count(&rows[2], 9);
    assert_eq!(in_a_gap(|run, rows| give(run, wrong(rows))), None);
    let twice = |run: &mut Run, rows: &[Row]| [0, 1].into_iter().for_each(|_| give(run, wrong(rows)));
    assert_eq!(in_a_gap(twice), Some(Kind::Repeated));
    // The right one beside the wrong one is the second as well.
    let both = |run: &mut Run, rows: &[Row]| {
        [wrong(rows), rows[2].clone()].into_iter().for_each(|row| give(run, row))
    };
    assert_eq!(in_a_gap(both), Some(Kind::Repeated));

    let invented = |rows: &[Row]| Row { ordinal: 7, ..rows[2].clone() };
    assert_eq!(in_a_gap(|run, rows| give(run, invented(rows))), None);
    let twice = |run: &mut Run, rows: &[Row]| [0, 1].into_iter().for_each(|_| give(run, invented(rows)));
    assert_eq!(in_a_gap(twice), Some(Kind::Repeated));
    let foreign = |rows: &[Row]| Row { partition: Some(1), ..rows[2].clone() };
    assert_eq!(in_a_gap(|run, rows| give(run, foreign(rows))), Some(Kind::Invented));
}

#[test]
fn a_gap_announced_before_a_replay_is_no_excuse_after_it() {
    let mut probe = scene();
    probe.forget(Vec::new());
    let allowed = answers::Allowed::of(&probe.truth, &probe.run);
    let until = (0..10_000).map(at).filter(|&t| allowed.unavoidable(0, 1, t)).max().unwrap();
    let gap = |from: i64| Gap { from: at(from), until: until.plus(Span::TICK) };
    // After the first recovery rows from 4 on may lack something, and it says so; the second one replays.
    let twice = |announced: Vec<Gap>| {
        let mut scene = scene();
        scene.forget(vec![gap(4)]);
        let first = scene.run.recoveries[0].clone();
        scene.replay(at(6));
        let second = &mut scene.run.recoveries[0];
        (second.generation, second.at, second.retained) = (2, at(6), first.retained.clone());
        second.answer.positions.insert((0, 0), 3);
        second.since.insert((0, 0), 3);
        second.answer.gaps = announced;
        let second = second.clone();
        scene.run.recoveries = vec![first, second];
        scene.run.deliveries = vec![delivery(0, &scene.rows[..2]), delivery(2, &scene.rows[5..])];
        scene
    };
    // Rows 2 and 3 are the first recovery's, row 4 the second's.
    let held = twice(vec![gap(6)]).held();
    assert_eq!((held.rows_in_gaps, held.recoveries.announced), (3, 2));
    assert_eq!(twice(Vec::new()).broken().1, Kind::GapSilent);
}

#[test]
fn right_rows_do_not_excuse_a_wrong_answer() {
    let mut restart = scene();
    restart.run.recoveries[0].why = Why::UserRestart;
    restart.run.recoveries[0].fault = "restart";
    assert_eq!((restart.broken().0, restart.broken().1), (Claim::Answers, Kind::CheckpointForbidden));

    let mut none = scene();
    none.run.recoveries[0].checkpoint = None;
    assert_eq!((none.broken().0, none.broken().1), (Claim::Answers, Kind::CheckpointForbidden));

    for position in [1, 3, 6] {
        let mut moved = scene();
        moved.run.recoveries[0].answer.positions.insert((0, 0), position);
        assert_eq!((moved.broken().0, moved.broken().1), (Claim::Answers, Kind::WrongPosition));
    }

    let mut refused = scene();
    refused.run.refused.push((0, "cannot".to_owned()));
    assert_eq!((refused.broken().0, refused.broken().1), (Claim::Answers, Kind::Refused));
}

#[test]
fn a_replay_reads_one_lookback_and_no_more() {
    let replay = |change: &dyn Fn(&mut RecoveryReport)| {
        let mut scene = scene();
        scene.replay(at(4));
        change(&mut scene.run.recoveries[0]);
        scene
    };
    let shifted = |ticks: i64| {
        replay(&|report: &mut RecoveryReport| {
            let Outcome::Replayed { from } = report.answer.outcome else { panic!("a replay") };
            report.answer.outcome = Outcome::Replayed { from: Timestamp(from.0 + ticks) };
        })
    };
    assert_eq!(shifted(0).held().recoveries.replayed, 1);
    let kind = |scene: &Scene| (scene.broken().0, scene.broken().1);
    assert_eq!(kind(&shifted(-1)), (Claim::Answers, Kind::ReadTooFar));
    assert_eq!(kind(&shifted(1)), (Claim::Answers, Kind::ReadTooLittle));
    let at_position = |position: u64| {
        replay(&move |report: &mut RecoveryReport| {
            report.since.insert((0, 0), 2);
            report.answer.positions.insert((0, 0), position);
        })
    };
    assert_eq!(at_position(2).held().recoveries.replayed, 1);
    assert_eq!(kind(&at_position(1)), (Claim::Answers, Kind::ReadTooFar));
    assert_eq!(kind(&at_position(3)), (Claim::Answers, Kind::ReadTooLittle));
    let fresh = replay(&|report: &mut RecoveryReport| report.answer.outcome = Outcome::Fresh);
    assert_eq!(kind(&fresh), (Claim::Answers, Kind::ReadTooLittle));

    // A checkpoint that is there is used.
    let mut unused = replay(&|_| {});
    unused.run.recoveries[0].checkpoint = kill().checkpoint;
    assert_eq!(kind(&unused), (Claim::Answers, Kind::CheckpointUnused));

    // What a laxer contract allows, and what it does not.
    for (mut scene, held) in [
        (unused, true),
        (shifted(-1), true),
        (at_position(1), true),
        (shifted(1), false),
        (at_position(3), false),
    ] {
        scene.run.contract.exact = false;
        let verdict = judge(&scene.truth, &scene.case, &scene.run);
        assert_eq!(verdict.breach().is_none(), held, "{verdict:?}");
    }
}

#[test]
fn catch_up_is_as_estimated() {
    let mut late = scene();
    late.run.recoveries[0].actual = Some(Span::seconds(2));
    assert_eq!((late.broken().0, late.broken().1), (Claim::Live, Kind::CatchUp));
    late.run.recoveries[0].actual = None;
    assert_eq!((late.broken().0, late.broken().1), (Claim::Live, Kind::NotLevel));
}

/// Twice slower at most, and a second in which the node stood still.
#[test]
fn catch_up_of_a_slow_node_has_a_bound() {
    let mut slow = scene();
    let took = |slow: &mut Scene, actual| {
        let report = &mut slow.run.recoveries[0];
        (report.slowness, report.stood) = (2, Span::seconds(1));
        report.actual = Some(actual);
        judge(&slow.truth, &slow.case, &slow.run).breach().map(|breach| breach.kind)
    };
    assert_eq!(took(&mut slow, Span::seconds(1)), None, "it was slow for no time at all");
    assert_eq!(took(&mut slow, Span::seconds(3)), None);
    assert_eq!(took(&mut slow, Span::seconds(3).plus(Span::TICK)), Some(Kind::CatchUp));
    assert_eq!(took(&mut slow, Span::ZERO), Some(Kind::CatchUp));
}

#[test]
fn what_the_user_left_out_is_not_owed_but_must_be_right() {
    let mut skipped = scene();
    skipped.run.skipped.push(Skipped { at: at(5), shard: 0, from: at(6), until: at(7) });
    skipped.run.deliveries[1].rows.truncate(2);
    assert_eq!((skipped.held().rows_skipped, skipped.held().levels), (2, vec![Level::AfterRemovingCopies]));
    skipped.run.deliveries[1].rows.push(with_count(&skipped.rows[4], 9));
    assert_eq!((skipped.broken().0, skipped.broken().1), (Claim::Recover, Kind::CountsMore));
}

/// The shard fails in its first generation, stamped so.
fn fail(run: &mut Run, shard: usize, seconds: i64) {
    let failure = Failure { at: at(seconds), message: "overflow".to_owned() };
    run.failure = Some(failure.clone());
    run.failures = vec![Failed { at: at(9), shard, generation: 1, failure }];
}

#[test]
fn the_job_fails_exactly_when_it_must() {
    let mut needless = scene();
    fail(&mut needless.run, 0, 6);
    let verdict = judge(&needless.truth, &needless.case, &needless.run);
    assert_eq!(verdict.breach().map(|b| (b.claim, b.kind)), Some((Claim::Failure, Kind::FailedNeedlessly)));

    let mut owed = scene();
    owed.truth.answer.failure = Some(Failure { at: at(6), message: "overflow".to_owned() });
    let verdict = judge(&owed.truth, &owed.case, &owed.run);
    assert_eq!(verdict.breach().map(|b| b.kind), Some(Kind::DidNotFail));
    fail(&mut owed.run, 0, 7);
    let verdict = judge(&owed.truth, &owed.case, &owed.run);
    assert_eq!(verdict.breach().map(|b| b.kind), Some(Kind::FailedElsewhere));

    // That the owed failure is left out by the user's start does not excuse an earlier one.
    fail(&mut owed.run, 0, 3);
    owed.run.skipped.push(Skipped { at: at(5), shard: 0, from: at(6), until: at(7) });
    let verdict = judge(&owed.truth, &owed.case, &owed.run);
    assert_eq!(verdict.breach().map(|b| b.kind), Some(Kind::FailedElsewhere));
    (owed.run.failure, owed.run.failures) = (None, Vec::new());
    assert_eq!(judge(&owed.truth, &owed.case, &owed.run).breach(), None);
}

/// The job fails, and another takes its place: nobody is asked for what came after, but it did fail.
#[test]
fn a_failure_that_was_met_is_not_left_out() {
    let mut left = scene();
    fail(&mut left.run, 0, 6);
    left.run.deliveries[1].rows.truncate(2);
    left.run.skipped.push(Skipped { at: at(20), shard: 0, from: at(5), until: Timestamp::MAX });
    let kind = |scene: &Scene| judge(&scene.truth, &scene.case, &scene.run).breach().map(|b| b.kind);
    assert_eq!(kind(&left), Some(Kind::FailedNeedlessly));

    // It failed otherwise when it was opened again, long before anything was left out.
    let again = Failed { at: at(12), generation: 2, ..left.run.failures[0].clone() };
    let mut second = again.clone();
    second.failure.at = at(7);
    left.truth.answer.failure = left.run.failure.clone();
    left.run.recoveries.push(RecoveryReport { at: at(11), generation: 2, ..kill() });
    left.run.failures.push(again);
    assert_eq!(kind(&left), None);
    left.run.failures[1] = second;
    assert_eq!(kind(&left), Some(Kind::FailedElsewhere));
    // It need not meet it again: it was stopped before, or not asked for it.
    left.run.stopped = vec![Stopped { shard: 0, openings: 3, position: at(5) }];
    assert_eq!(kind(&left), None);
    left.run.stopped.clear();
    left.run.recoveries[1].output_from = at(7);
    assert_eq!(kind(&left), None);
}

/// Two partitions, each with the events of [`case`], and a kill of the second one's node, after which it lacks its third
/// event and says so from the second window on.
fn two_shards() -> Scene {
    let mut case = case();
    case.query = "SELECT k, COUNT(*) AS c INTO counts FROM a TIMESTAMP BY t PARTITION BY PartitionId
        GROUP BY k, PartitionId, TumblingWindow(second, 2)"
        .into();
    case.inputs[0].partitions = 2;
    let own = case.history.entries.clone();
    let other = own.iter().map(|entry| Entry { partition: 1, ..entry.clone() });
    case.history = Arc::new(History::of(own.iter().cloned().chain(other).collect()));
    let truth = Truth::of(&case).unwrap();
    let rows = truth.answer.rows.clone();
    assert_eq!((rows.len(), truth.shards.len()), (12, 2));
    let mut report = RecoveryReport { shard: 1, task: 1, ..kill() };
    report.checkpoint.as_mut().unwrap().positions = BTreeMap::from([((0, 1), 2)]);
    report.answer.positions = BTreeMap::from([((0, 1), 3)]);
    let kept = Retained { first: 3, next: 5, lost_until: Some(at(3)) };
    report.retained = BTreeMap::from([((0, 1), kept)]);
    report.answer.gaps = vec![Gap { from: at(4), until: at(5) }];
    let of = |shard, opened, rows: &[Row]| Delivery { shard, ..delivery(opened, rows) };
    let run = Run {
        deliveries: vec![of(0, 0, &rows[..6]), of(1, 0, &rows[6..8]), of(1, 1, &rows[9..])],
        recoveries: vec![report],
        ..Run::default()
    };
    Scene { truth, case, rows, run }
}

#[test]
fn a_failure_is_excused_by_a_gap_of_its_own_shard_alone() {
    let kind = |scene: &Scene| judge(&scene.truth, &scene.case, &scene.run).breach().map(|b| b.kind);
    let mut scene = two_shards();
    assert_eq!(kind(&scene), None);
    fail(&mut scene.run, 0, 4);
    scene.run.deliveries[0].rows.truncate(2);
    assert_eq!(kind(&scene), Some(Kind::FailedNeedlessly));

    let mut own = two_shards();
    fail(&mut own.run, 1, 4);
    own.run.deliveries.pop();
    assert_eq!(kind(&own), None, "and what lies behind is not owed");
    // That of another shard is.
    own.run.deliveries[0].rows.pop();
    assert_eq!(kind(&own), Some(Kind::Lost));
    // One that is excused does not excuse another.
    own.run.failures.push(Failed { shard: 0, generation: 0, ..own.run.failures[0].clone() });
    assert_eq!(kind(&own), Some(Kind::FailedNeedlessly));
}

#[test]
fn a_gap_announced_before_a_replay_excuses_no_failure_after_it() {
    let mut scene = scene();
    announced_then_replayed(&mut scene, Gap { from: at(6), until: at(7) });
    fail(&mut scene.run, 0, 6);
    let kind = |scene: &Scene| {
        let Scene { truth, case, run, .. } = scene;
        failure(truth, case, run, &Allowed::of(truth, run)).map(|breach| breach.kind)
    };
    assert_eq!(kind(&scene), Some(Kind::FailedNeedlessly));
    scene.run.failures[0].at = at(6);
    assert_eq!(kind(&scene), None, "it came before the replay");
}

/// Nothing came although all was read, and then the user put another job in its place.
#[test]
fn what_is_left_out_later_was_late_all_the_same() {
    let mut late = scene();
    late.case.faults.clear();
    late.run = Run { level: vec![(0, at(6))], ..Run::default() };
    late.run.contract.prompt = true;
    late.run.skipped.push(Skipped { at: at(9), shard: 0, from: Timestamp::MIN, until: Timestamp::MAX });
    assert_eq!((late.broken().0, late.broken().1), (Claim::Live, Kind::LateRow));
    late.run.skipped[0].at = at(6);
    assert_eq!(late.held().rows_skipped, 6);
}

/// A job that counts, and another that divides by what becomes zero at the second event and at the event `zero`.
fn changed(zero: i64, faults: Vec<Fault>) -> (Case, Truth, Run) {
    let event = |offset: i64| {
        let n = if offset == 1 || offset == zero { 3 } else { offset + 10 };
        let t = (Arc::from("t"), Value::text(at(60 * offset + 1).to_string()));
        let members = [t, (Arc::from("n"), Value::Int(n))];
        Entry {
            input: 0,
            partition: 0,
            offset: offset.unsigned_abs(),
            arrival: at(60 * offset + 1),
            payload: Payload::Event(Arc::new(members.into_iter().collect())),
        }
    };
    let mut case = case();
    case.query = "SELECT n INTO out FROM a TIMESTAMP BY t".into();
    case.history = Arc::new(History::of((0..6).map(event).collect()));
    (case.faults, case.deployment.batch) = (faults, 1);
    let truth = Truth::of(&case).unwrap();
    let subject = rewindow_world::engine_subject::EngineSubject::of_case(&truth.plan, &case);
    let run = crate::trial::run(&truth, &case, &subject, false);
    (case, truth, run)
}

fn divides(seconds: i64) -> Fault {
    let query = Some("SELECT 100 / (n - 3) AS q INTO out FROM a TIMESTAMP BY t".into());
    let (stopped, start) = (Span::ZERO, StartMode::Now);
    Fault { at: at(seconds), kind: FaultKind::JobChange { stopped, start, query, partitions: None } }
}

#[test]
fn what_would_have_failed_before_its_start_excuses_nothing_of_another_job() {
    let kind = |(case, truth, run): &(Case, Truth, Run)| judge(truth, case, run).breach().map(|b| b.kind);
    let mut other = changed(9, vec![divides(150)]);
    assert_eq!(kind(&other), None);
    let deliveries = &mut other.2.then.as_mut().unwrap().deliveries;
    assert!(deliveries.pop().is_some_and(|last| !last.rows.is_empty()));
    assert_eq!(kind(&other), Some(Kind::Lost));

    // What fails after the start is owed.
    let mut fails = changed(4, vec![divides(150)]);
    assert_eq!(kind(&fails), None);
    let then = fails.2.then.as_mut().unwrap();
    assert_eq!(then.failures.len(), 2);
    (then.failure, then.failures) = (None, Vec::new());
    assert_eq!(kind(&fails), Some(Kind::DidNotFail));
}

/// The user goes back, and puts another job in place of this one before it has come level.
#[test]
fn what_was_given_before_a_start_back_is_owed_though_the_job_was_stopped_for_another() {
    let (stopped, start) = (Span::ZERO, StartMode::Custom(at(1)));
    let back = Fault { at: at(290), kind: FaultKind::UserRestart { stopped, start } };
    let mut change = divides(290);
    change.at = change.at.plus(Span(rewindow_query::time::SECOND / 20));
    let (case, truth, mut run) = changed(9, vec![back, change]);
    assert_eq!(judge(&truth, &case, &run).breach(), None);
    let second = &truth.answer.rows[1];
    let has = |run: &Run| run.deliveries.iter().filter(|d| d.rows.contains(second)).count();
    assert_eq!(has(&run), 1, "it was not given again");
    run.deliveries.iter_mut().for_each(|delivery| delivery.rows.retain(|row| row != second));
    assert_eq!(judge(&truth, &case, &run).breach().map(|b| b.kind), Some(Kind::Lost));
}

#[test]
fn a_job_that_failed_and_is_started_again_fails_again() {
    let failed = |generation, seconds| Failed {
        at: at(9),
        shard: 0,
        generation,
        failure: Failure { at: at(seconds), message: "overflow".to_owned() },
    };
    let mut scene = scene();
    let owed = failed(0, 7).failure;
    (scene.truth.answer.failure, scene.run.failure) = (Some(owed.clone()), Some(owed));
    let mut kind_with = |failures: Vec<Failed>| {
        scene.run.failures = failures;
        judge(&scene.truth, &scene.case, &scene.run).breach().map(|b| b.kind)
    };
    assert_eq!(kind_with(vec![failed(0, 7), failed(1, 7)]), None);
    assert_eq!(kind_with(vec![failed(1, 7)]), None, "it was not opened since");
    assert_eq!(kind_with(vec![failed(0, 7)]), Some(Kind::DidNotFail));
    assert_eq!(kind_with(vec![failed(0, 7), failed(1, 8)]), Some(Kind::FailedElsewhere));
}

#[test]
fn two_runs_that_differ_are_told_by_the_first_step() {
    let scene = scene();
    assert_eq!(deterministic(&scene.truth, &scene.run, &scene.run), None);
    let mut other = scene.run.clone();
    other.entries_fed += 1;
    let breach = deterministic(&scene.truth, &scene.run, &other).unwrap();
    assert_eq!((breach.claim, breach.kind), (Claim::Deterministic, Kind::NotDeterministic));

    // Equal, and not the same to the bit.
    let mut turned = scene.run.clone();
    let row = &mut turned.deliveries[1].rows[3];
    row.record = Arc::new(row.record.members().iter().rev().cloned().collect());
    assert_eq!(turned, scene.run);
    let breach = deterministic(&scene.truth, &scene.run, &turned).unwrap();
    assert_eq!(breach.kind, Kind::NotDeterministic);
}

/// The scene with another sink: what was written is right, and consumers see these rows.
fn shown(sink: SinkKind, rows: impl Fn(&[Row]) -> Vec<Row>) -> Scene {
    let mut scene = scene();
    scene.case.deployment.sink = sink;
    let visible = |row| Visible { at: at(9), shard: 0, generation: 1, openings: 1, row };
    scene.run.visible = rows(&scene.rows).into_iter().map(visible).collect();
    scene
}

#[test]
fn a_sink_is_held_to_its_own_promise() {
    let all = |rows: &[Row]| rows.to_vec();
    assert_eq!(shown(SinkKind::Transactional, all).held().levels, [Level::ExactSequence]);
    assert_eq!(shown(SinkKind::Upsert, all).held().levels, [Level::Multiset], "a table has no order");

    let backwards = |rows: &[Row]| rows.iter().rev().cloned().collect();
    assert_eq!(shown(SinkKind::Unique, backwards).held().levels, [Level::Multiset]);
    let broken = |sink, rows: fn(&[Row]) -> Vec<Row>| shown(sink, rows).broken().1;
    let ordered = broken(SinkKind::Transactional, |rows| rows.iter().rev().cloned().collect());
    assert_eq!(ordered, Kind::VisibleOutOfOrder);

    for sink in [SinkKind::Upsert, SinkKind::Unique, SinkKind::Transactional] {
        assert_eq!(broken(sink, |rows| rows[..5].to_vec()), Kind::NotVisible);
        assert_eq!(broken(sink, |rows| [&rows[..2], &rows[1..]].concat()), Kind::VisibleTwice);
        let wrong = |rows: &[Row]| [&[with_count(&rows[0], 9)], &rows[1..]].concat();
        assert_eq!(broken(sink, wrong), Kind::VisibleWrong);
    }
}

#[test]
fn what_consumers_do_not_see_is_excused_as_what_never_came() {
    let mut skipped = shown(SinkKind::Transactional, |rows| rows[..5].to_vec());
    skipped.run.skipped.push(Skipped { at: at(5), shard: 0, from: at(6), until: at(7) });
    assert_eq!(skipped.held().levels, [Level::ExactSequence]);
}

/// A recovery announces a gap; a replay without state follows, and announces nothing.
fn announced_then_replayed(scene: &mut Scene, gap: Gap) {
    scene.replay(at(1));
    let mut again = scene.run.recoveries[0].clone();
    scene.run.recoveries[0].answer.gaps = vec![gap];
    (again.generation, again.epoch, again.at) = (2, 3, at(7));
    scene.run.recoveries.push(again);
}

/// Of each sink: the recovery announced a gap over the last row, which is missing or otherwise; a replay without state
/// followed, which wanted it as well and announced nothing.
#[test]
fn a_gap_announced_before_a_replay_excuses_nothing_that_came_of_it() {
    let gap = Gap { from: at(6), until: at(7) };
    let with = |sink, openings: u32, rows: fn(&[Row]) -> Vec<Row>| {
        let mut scene = shown(sink, rows);
        announced_then_replayed(&mut scene, gap);
        scene.run.visible.iter_mut().for_each(|v| v.openings = openings);
        let Scene { truth, case, run, .. } = &scene;
        let allowed = Allowed::of(truth, run);
        sinks::breach(truth, case, run, &allowed).map(|breach| breach.kind)
    };
    let wrong = |rows: &[Row]| [&rows[..5], &[with_count(&rows[5], 9)]].concat();
    let missing = |rows: &[Row]| rows[..4].to_vec();
    for sink in [SinkKind::Upsert, SinkKind::Unique, SinkKind::Transactional] {
        assert_eq!(with(sink, 1, wrong), None, "{sink:?}: it was written in the epoch of the gap");
        assert_eq!(with(sink, 2, wrong), Some(Kind::VisibleWrong), "{sink:?}");
        assert_eq!(with(sink, 2, missing), Some(Kind::NotVisible), "{sink:?}");
    }
}

/// Nothing is filled in in front of a visible row: what was missing when that came is answered for by then.
#[test]
fn a_transactional_sink_is_not_asked_to_fill_in() {
    let gap = Gap { from: at(2), until: at(3) };
    let kind = |sink, seen_at| {
        let mut scene = shown(sink, |rows| rows[2..].to_vec());
        announced_then_replayed(&mut scene, gap);
        scene.run.visible.iter_mut().for_each(|v| v.at = seen_at);
        let Scene { truth, case, run, .. } = &scene;
        sinks::breach(truth, case, run, &Allowed::of(truth, run)).map(|breach| breach.kind)
    };
    assert_eq!(kind(SinkKind::Transactional, at(6)), None);
    assert_eq!(kind(SinkKind::Transactional, at(8)), Some(Kind::NotVisible), "it could have come until then");
    assert_eq!(kind(SinkKind::Upsert, at(6)), Some(Kind::NotVisible), "a table takes it at any time");
}

#[test]
fn a_write_whose_acknowledgement_was_lost_is_a_copy() {
    let mut again = scene();
    again.run.deliveries.insert(1, delivery(0, &again.rows[2..4]));
    assert_eq!(again.broken().1, Kind::Repeated);
    again.run.written_again.push(1);
    assert_eq!((again.held().levels, again.held().copies), (vec![Level::AfterRemovingCopies], 4));
}

/// What is one key need not be one row: a consumer sees minus zero, and which member stands first.
#[test]
fn rows_are_the_same_to_the_bit_or_not_the_same() {
    let with = |value: Value| {
        let mut scene = scene();
        let row = scene.rows[5].clone();
        let members: Vec<_> = row.record.members().to_vec();
        let owed = |members: Vec<(Arc<str>, Value)>| Row {
            record: Arc::new(members.into_iter().collect()),
            ..row.clone()
        };
        let (owed, came) = match value {
            Value::Null => (owed(members.clone()), owed(members.into_iter().rev().collect())),
            other => {
                let zero = |value| owed(members.iter().cloned().chain([(Arc::from("z"), value)]).collect());
                (zero(Value::Float(0.0)), zero(other))
            }
        };
        scene.truth.answer.rows[5] = owed.clone();
        scene.run.deliveries[1].rows[3] = came.clone();
        let written = judge(&scene.truth, &scene.case, &scene.run).breach().map(|breach| breach.kind);
        let mut seen =
            shown(SinkKind::Transactional, |rows| [&rows[..5], std::slice::from_ref(&came)].concat());
        seen.truth.answer.rows[5] = owed.clone();
        seen.run.deliveries[1].rows[3] = owed;
        let visible = judge(&seen.truth, &seen.case, &seen.run).breach().map(|breach| breach.kind);
        [written, visible]
    };
    assert_eq!(with(Value::Float(0.0)), [None, None]);
    assert_eq!(with(Value::Float(-0.0)), [Some(Kind::Differs), Some(Kind::VisibleWrong)]);
    assert_eq!(with(Value::Null), [Some(Kind::Differs), Some(Kind::VisibleWrong)], "members turned round");
}
