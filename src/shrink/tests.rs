//! Shrinking ends, keeps the class, and leaves nothing that can be left out.

use std::sync::Arc;

use rewindow_query::Plan;
use rewindow_world::case::{Case, FaultKind};
use rewindow_world::subject::Subject;

use super::*;
use crate::judge::{Kind, Truth, Verdict};
use crate::toy::{self, Toy, Wrong};
use crate::trial::{shrink_trial, trial};

fn broken(case: &Case, wrong: Wrong) -> (Truth, Breach) {
    let truth = Truth::of(case).unwrap();
    let toy = Toy::new(&truth.plan, case, wrong);
    match trial(&truth, case, &toy, false) {
        (_, Verdict::Broken(breach)) => (truth, *breach),
        (_, Verdict::Held(held)) => panic!("{held:?}"),
    }
}

fn shrunk(case: &Case, wrong: Wrong, tries_max: u64) -> Shrunk {
    let (truth, breach) = broken(case, wrong);
    let make =
        move |plan: &Arc<Plan>, case: &Case| -> Box<dyn Subject> { Box::new(Toy::new(plan, case, wrong)) };
    let shrunk = shrink_trial(&truth, case, &breach, &make, tries_max);
    assert_eq!(shrunk.breach.class(), breach.class());
    assert_eq!(shrunk, shrink_trial(&truth, case, &breach, &make, tries_max), "shrinking rolls no dice");
    let (_, again) = broken(&shrunk.case, wrong);
    assert_eq!(again, shrunk.breach, "the breach is that of the shrunk case");
    shrunk
}

#[test]
fn a_right_toy_holds() {
    let case = toy::case(300);
    let truth = Truth::of(&case).unwrap();
    let (_, verdict) = trial(&truth, &case, &Toy::new(&truth.plan, &case, Wrong::Never), false);
    assert_eq!(verdict.breach(), None);
}

#[test]
fn an_entry_counted_twice_shrinks_to_one_entry_and_one_kill() {
    let mut case = toy::case(400);
    case.faults.truncate(2);
    let shrunk = shrunk(&case, Wrong::CountsTwice, 10_000);
    assert_eq!(shrunk.breach.kind, Kind::CountsMore);
    assert!(shrunk.minimal, "{shrunk:?}");
    let Size { entries, faults, partitions, nodes } = shrunk.after;
    assert_eq!((entries, faults, partitions, nodes), (1, 1, 1, 1));
    assert!(matches!(shrunk.case.faults[0].kind, FaultKind::NodeKill { node: 0, .. }));
    assert!(shrunk.tries < 400, "{} tries", shrunk.tries);
    shrunk.case.check().unwrap();
}

#[test]
fn a_panic_is_a_breach_that_shrinks_like_any_other() {
    let shrunk = shrunk(&toy::case(200), Wrong::Panics, 10_000);
    let breach = &shrunk.breach;
    assert_eq!((breach.kind, breach.fault), (Kind::Panicked, Some("node kill")));
    assert!(breach.message.starts_with("it panicked: the toy panics (src/toy.rs:"), "{}", breach.message);
    let Size { entries, faults, partitions, nodes } = shrunk.after;
    assert_eq!((entries, faults, partitions, nodes), (2, 1, 1, 1), "one to be saved, one to panic at");
}

#[test]
fn a_forbidden_checkpoint_shrinks_to_the_restart() {
    let shrunk = shrunk(&toy::case(200), Wrong::AlwaysRestores, 10_000);
    assert_eq!(shrunk.breach.kind, Kind::CheckpointForbidden);
    assert!(shrunk.minimal);
    assert_eq!((shrunk.after.entries, shrunk.after.faults), (1, 1), "{}", shrunk.case.to_toml());
}

#[test]
fn a_spent_budget_gives_the_best_so_far() {
    let mut case = toy::case(100);
    case.faults.truncate(2);
    let shrunk = shrunk(&case, Wrong::Forgets, 3);
    assert!(!shrunk.minimal && shrunk.tries == 3 && shrunk.after.entries <= 100);
}
