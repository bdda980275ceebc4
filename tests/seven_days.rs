//! A job of hours with a fault of another kind in each of them: `examples/seven_days.rs` in small.
//!
//! What only this suite would catch: something left behind by one fault that harms the recovery from another much
//! later, where generated schedules are short and hold few.

use rewindow::judge::{Truth, Verdict};
use rewindow::trial::trial;
use rewindow_world::engine_subject::EngineSubject;

#[path = "../examples/seven_days.rs"]
#[allow(dead_code)]
mod seven_days;

/// One hour for each kind, and one more for the first again.
const HOURS: i64 = 14;

#[test]
fn every_fault_of_a_long_day_is_recovered_from() {
    let case = seven_days::case(HOURS);
    let truth = Truth::of(&case).expect("the query is right");
    let (_, verdict) = trial(&truth, &case, &EngineSubject::of_case(&truth.plan, &case), false);
    let Verdict::Held(held) = verdict else { panic!("{verdict:?}") };
    assert_eq!(case.faults.len(), 14);
    assert!(held.recoveries.from_checkpoint >= 8, "{held:?}");
    assert!(held.recoveries.replayed >= 4, "two replays of two outputs: {held:?}");
    assert_eq!(held.short, [false, false], "the source keeps enough");
    assert!(held.rows_matched >= truth.answer.rows.len() as u64 && held.copies > 0, "{held:?}");
}
