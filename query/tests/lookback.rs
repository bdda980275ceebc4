//! Lookback of every operator, counted in ticks (rule 12.4), and its sum along paths.
//!
//! What this suite alone catches: a formula off by a tick or a unit. Whether the formulas are right is
//! settled elsewhere by histories on which one tick less fails; joins are settled here by brute force.

use rewindow_query::plan::{NodeId, Op};
use rewindow_query::time::SECOND;
use rewindow_query::{Plan, Span, analyse};

fn plan(query: &str) -> Plan {
    analyse(query, None).unwrap_or_else(|e| panic!("{query}: {} {}", e.code, e.message))
}

fn find(plan: &Plan, name: &str) -> NodeId {
    plan.nodes.iter().rposition(|node| node.op.name() == name).unwrap_or_else(|| panic!("{name} in\n{plan}"))
}

#[test]
fn operators_by_themselves() {
    for (select, name, ticks) in [
        ("SELECT COUNT(*) FROM A GROUP BY Tumbling(second, 6, 1)", "tumbling", 6 * SECOND),
        ("SELECT COUNT(*) FROM A GROUP BY Hopping(second, 6, 60)", "hopping", 6 * SECOND),
        ("SELECT COUNT(*) FROM A GROUP BY Sliding(second, 6)", "sliding", 6 * SECOND + 1),
        ("SELECT LAG(v, 3) OVER (LIMIT DURATION(second, 6)) FROM A", "lag", 6 * SECOND),
        ("SELECT LAST(v) OVER (LIMIT DURATION(second, 6)) FROM A", "last", 6 * SECOND),
        ("SELECT ISFIRST(second, 6) FROM A", "isfirst", 6 * SECOND),
        ("SELECT COUNT(*) FROM A GROUP BY Session(second, 2, 6)", "session", 14 * SECOND),
        ("SELECT COUNT(*) FROM A GROUP BY System.Timestamp()", "snapshot", 0),
        ("SELECT SUM(v) OVER (LIMIT DURATION(second, 6)) FROM A", "over", 6 * SECOND),
        ("SELECT e.ArrayValue FROM A CROSS APPLY GetArrayElements(A.list) e", "apply", 0),
        ("SELECT A.v FROM A JOIN R ON A.k = R.k", "reference", 0),
        (
            "SELECT * FROM A MATCH_RECOGNIZE (LIMIT DURATION(second, 6) MEASURES X.v AS v
             AFTER MATCH SKIP TO NEXT ROW PATTERN (X) DEFINE X AS X.v > 1) AS T",
            "match",
            6 * SECOND,
        ),
        ("SELECT a FROM A WHERE a > 1", "filter", 0),
        ("SELECT a FROM A", "project", 0),
        ("SELECT a FROM A", "ordering", 0),
        ("SELECT a FROM A UNION SELECT a FROM B", "union", 0),
    ] {
        let plan = plan(select);
        assert_eq!(plan.lookback_of(find(&plan, name)), Span(ticks), "{select}");
    }
}

/// For a unit of `UNIT` ticks, by trying every alignment: the farthest entry a row of the join can hang on.
fn farthest(left_outer: bool, low: i64, high: i64) -> i64 {
    const UNIT: i64 = 10;
    let mut farthest = 0;
    for left in 100 * UNIT..101 * UNIT {
        for right in 80 * UNIT..120 * UNIT {
            let boundaries = right.div_euclid(UNIT) - left.div_euclid(UNIT);
            if !(low..=high).contains(&boundaries) {
                continue;
            }
            farthest = farthest.max((left - right).abs());
            if left_outer {
                // Had it not come, the left row would have come out alone at this time instead.
                let alone = left + high.max(0) * UNIT;
                farthest = farthest.max(alone - right).max(alone - left);
            }
        }
    }
    farthest
}

#[test]
fn joins_reach_exactly_as_far_as_some_alignment_of_units() {
    for low in -4..=4_i64 {
        for high in low..=5 {
            for (kind, left_outer) in [("JOIN", false), ("LEFT JOIN", true)] {
                let query = format!(
                    "SELECT a.v FROM A a {kind} B b ON DATEDIFF(microsecond, a, b) BETWEEN {low} AND {high}"
                );
                let plan = plan(&query);
                // A microsecond is ten ticks, as in `farthest`; the span is open on the left.
                let expected = Span(farthest(left_outer, low, high) + 1);
                assert_eq!(plan.lookback_of(find(&plan, "join")), expected, "{query}");
                if left_outer {
                    let quoted = 10 * (high.max(0) + (-low).max(0) + 1);
                    assert_eq!(expected, Span(quoted), "the formula of rule 12.4");
                }
            }
        }
    }
}

#[test]
fn a_join_on_a_base_alias_reaches_back_by_the_lead_of_its_left_row() {
    let plan = plan(
        "SELECT a.v FROM A a JOIN B b ON DATEDIFF(second, a, b) BETWEEN 0 AND 60
         JOIN C c ON DATEDIFF(second, a, c) BETWEEN 0 AND 1",
    );
    // A pair may be stamped 61 s less a tick after its `a`, and `c` may lie anywhere in the second of `a`.
    let second = find(&plan, "join");
    assert_eq!(plan.lookback_of(second), Span(61 * SECOND - 1 + SECOND - 1 + 1));
    let first = plan.nodes[second].inputs[0];
    assert_eq!(plan.lookback_of(first), Span(61 * SECOND));
    assert!(matches!(plan.nodes[first].op, Op::Join(_)));
}

#[test]
fn lookbacks_add_along_the_longest_path() {
    let plan = plan(
        "WITH s AS (SELECT k, COUNT(*) AS n FROM A GROUP BY k, Tumbling(hour, 6)),
              t AS (SELECT k, n, LAG(n) OVER (LIMIT DURATION(day, 1)) AS p FROM s)
         SELECT t.k, b.v INTO x FROM t JOIN B b ON DATEDIFF(minute, t, b) BETWEEN 0 AND 39
         SELECT k INTO y FROM s",
    );
    assert_eq!(plan.lookback(0), Span::minutes((6 + 24) * 60 + 40));
    assert_eq!(plan.lookback(1), Span::hours(6));
    let path: Vec<&str> = plan.lookback_path(0).into_iter().map(|id| plan.nodes[id].op.name()).collect();
    assert_eq!(path, ["ordering", "tumbling", "project", "lag", "project", "project", "join", "project"]);
    assert_eq!(plan.lookback(0).to_string(), "30 h 40 min");
}
