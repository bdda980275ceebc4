//! The elapsed mode of DATEDIFF in ON (choice C-ELAPSED): what the analysis makes of it.
//!
//! What this suite alone catches: a bound in ticks that is not the one the condition has in its unit. That model
//! and engine join by it is asked in the root's `elapsed`.

use rewindow_query::plan::Op;
use rewindow_query::{Declared, Plan, Unit, analyse_with};

fn plan(on: &str, elapsed: bool) -> Result<Plan, &'static str> {
    let query = format!("SELECT a.v FROM A a JOIN B b ON {on}");
    let declared = Declared { elapsed, ..Declared::default() };
    analyse_with(&query, &declared).map_err(|error| error.code)
}

fn bound(on: &str, elapsed: bool) -> Result<(Unit, i64, i64), &'static str> {
    let plan = plan(on, elapsed)?;
    let join =
        plan.nodes.iter().find_map(|node| if let Op::Join(join) = &node.op { Some(join) } else { None });
    let bound = join.expect("a join").bound;
    Ok((bound.unit, bound.low, bound.high))
}

const MINUTE: i64 = 600_000_000;

#[test]
fn bounds_are_in_ticks_exactly() {
    for (on, low, high) in [
        ("DATEDIFF(minute, a, b) BETWEEN 0 AND 15", 0, 15 * MINUTE),
        ("DATEDIFF(minute, b, a) BETWEEN -15 AND 1", -MINUTE, 15 * MINUTE),
        ("DATEDIFF(minute, a, b) BETWEEN 0.1 AND 0.5", MINUTE / 10, MINUTE / 2),
        ("DATEDIFF(second, a, b) >= 0 AND DATEDIFF(second, a, b) < 5", 0, 49_999_999),
        ("5 > DATEDIFF(second, a, b) AND 0 < DATEDIFF(second, a, b)", 1, 49_999_999),
        ("DATEDIFF(hour, a, b) = 2", 120 * MINUTE, 120 * MINUTE),
        ("DATEDIFF(mcs, a, b) BETWEEN 1 AND 2.05", 10, 20),
    ] {
        assert_eq!(bound(on, true), Ok((Unit::Tick, low, high)), "{on}");
    }
    assert_eq!(bound("DATEDIFF(minute, a, b) BETWEEN 0 AND 15", false), Ok((Unit::Minute, 0, 15)));
}

#[test]
fn limits_hold_as_for_boundaries() {
    for (on, code) in [
        ("DATEDIFF(day, a, b) BETWEEN 0 AND 8", "limit-datediff"),
        ("DATEDIFF(minute, a, b) BETWEEN 5 AND 1", "empty-join"),
        ("DATEDIFF(minute, a, b) >= 0", "unbounded-join"),
        ("DATEDIFF(month, a, b) = 0", "bad-unit"),
    ] {
        assert_eq!(bound(on, true), Err(code), "{on}");
        assert_eq!(bound(on, false), Err(code), "{on}");
    }
}

#[test]
fn the_lookback_is_the_distance_itself() {
    let lookback =
        |elapsed| plan("DATEDIFF(minute, a, b) BETWEEN 0 AND 15", elapsed).expect("a query").lookback(0);
    assert_eq!(lookback(true).0, 15 * MINUTE + 1);
    assert_eq!(lookback(false).0, 16 * MINUTE);
}

#[test]
fn the_unit_of_ticks_cannot_be_written() {
    assert_eq!(bound("DATEDIFF(tick, a, b) = 0", true), Err("unknown-unit"));
}
