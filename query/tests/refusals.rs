//! One text for each way a query can be refused: its code, and the words of the text it points at.
//!
//! What this suite alone catches: an error that points beside the mistake, a code that changed its
//! meaning, and a code of the list that nothing gives any more.

use std::collections::BTreeSet;

use rewindow_query::{Declared, analyse, analyse_with, codes};

/// Code, the text pointed at, the query. `Meter` and `Gate` are declared, and `rules` as reference data.
const REFUSALS: &[(&str, &str, &str)] = &[
    ("syntax", "", ""),
    ("syntax", "", "SELECT a FROM"),
    ("syntax", "x", "SELECT a FROM Meter GROUP x BY"),
    ("syntax", "5", "SELECT a FROM Meter WHERE v = 5min"),
    ("syntax", "'", "SELECT 'a FROM Meter"),
    ("syntax", "/", "SELECT a FROM Meter /* never closed"),
    ("syntax", "ORDER", "SELECT a FROM Meter ORDER BY a"),
    ("syntax", "CROSS", "SELECT a FROM Meter CROSS JOIN Gate ON 1 = 1"),
    ("too-deep", "", "DEEP"),
    ("too-long", "", "LONG"),
    ("unregistered-function", "udf.f", "SELECT udf.f(a) FROM Meter"),
    ("unregistered-function", "ml.score", "SELECT a FROM Meter WHERE ml.score(a, NULL) > 1"),
    ("unregistered-function", "uda.f", "SELECT uda.f(a) FROM Meter GROUP BY Tumbling(minute, 1)"),
    (
        "unregistered-function",
        "AnomalyDetection_ChangePoint",
        "SELECT AnomalyDetection_ChangePoint(a, 95, 120) OVER (LIMIT DURATION(hour, 1)) FROM Meter",
    ),
    (
        "unregistered-function",
        "GetMetadataPropertyValue",
        "SELECT GetMetadataPropertyValue(Meter, 'EventId') FROM Meter",
    ),
    ("bad-arguments", "a", "SELECT GetMetadataPropertyValue(a, 'EventId') FROM Meter"),
    (
        "bad-arguments",
        "S",
        "WITH S AS (SELECT a FROM Meter) SELECT GetMetadataPropertyValue(S, 'EventId') FROM S",
    ),
    ("bad-arguments", "uda.f(a, b)", "SELECT uda.f(a, b) FROM Meter GROUP BY Tumbling(minute, 1)"),
    ("bad-arguments", "udf.f(a) OVER (PARTITION BY a)", "SELECT udf.f(a) OVER (PARTITION BY a) FROM Meter"),
    ("no-window", "uda.f(a)", "SELECT uda.f(a) FROM Meter"),
    ("no-over", "LIMIT DURATION(hour, 1)", "SELECT uda.f(a) OVER (LIMIT DURATION(hour, 1)) FROM Meter"),
    ("nested-analytic", "udf.f", "SELECT LAG(udf.f(a)) OVER (LIMIT DURATION(hour, 1)) FROM Meter"),
    ("nested-analytic", "udf.f", "SELECT ISFIRST(hour, 1) OVER (WHEN udf.f(a) = 1) FROM Meter"),
    (
        "no-limit",
        "AnomalyDetection_ChangePoint(a, 95, 120) OVER (PARTITION BY a)",
        "SELECT AnomalyDetection_ChangePoint(a, 95, 120) OVER (PARTITION BY a) FROM Meter",
    ),
    (
        "bad-arguments",
        "'both'",
        "SELECT AnomalyDetection_SpikeAndDip(a, 95, 120, 'both') OVER (LIMIT DURATION(hour, 1)) FROM Meter",
    ),
    (
        "bad-arguments",
        "0.99",
        "SELECT AnomalyDetection_ChangePoint(a, 0.99, 120) OVER (LIMIT DURATION(hour, 1)) FROM Meter",
    ),
    (
        "bad-arguments",
        "101",
        "SELECT AnomalyDetection_ChangePoint(a, 101, 120) OVER (LIMIT DURATION(hour, 1)) FROM Meter",
    ),
    (
        "bad-arguments",
        "12.5",
        "SELECT AnomalyDetection_ChangePoint(a, 99.5, 12.5) OVER (LIMIT DURATION(hour, 1)) FROM Meter",
    ),
    (
        "bad-arguments",
        "0",
        "SELECT AnomalyDetection_ChangePoint(a, 1.00, 0) OVER (LIMIT DURATION(hour, 1)) FROM Meter",
    ),
    (
        "nested-analytic",
        "LAG(a) OVER (LIMIT DURATION(hour, 1))",
        "SELECT AnomalyDetection_ChangePoint(LAG(a) OVER (LIMIT DURATION(hour, 1)), 95, 120) OVER (LIMIT DURATION(hour, 1)) FROM Meter",
    ),
    (
        "nested-analytic",
        "udf.f",
        "SELECT AnomalyDetection_ChangePoint(udf.f(a), 95, 120) OVER (LIMIT DURATION(hour, 1)) FROM Meter",
    ),
    (
        "bad-arguments",
        "n",
        "SELECT AnomalyDetection_ChangePoint(a, n, 120) OVER (LIMIT DURATION(hour, 1)) FROM Meter",
    ),
    (
        "type-mismatch",
        "'x'",
        "SELECT AnomalyDetection_ChangePoint('x', 95, 120) OVER (LIMIT DURATION(hour, 1)) FROM Meter",
    ),
    ("function-prefix", "x.SUM", "SELECT x.SUM(a) FROM Meter GROUP BY Tumbling(minute, 1)"),
    ("function-prefix", "system.f", "SELECT system.f(a) FROM Meter"),
    ("unknown-function", "ISNULL", "SELECT ISNULL(a, 0) FROM Meter"),
    ("unknown-function", "SUBSTRNIG", "SELECT SUBSTRNIG(a, 1, 2) FROM Meter"),
    ("unsupported", "DISTINCT", "SELECT DISTINCT a FROM Meter"),
    ("unsupported", "(", "SELECT a FROM (SELECT a FROM Meter)"),
    ("unbounded-join", "JOIN Gate g ON m.k = g.k", "SELECT m.k FROM Meter m JOIN Gate g ON m.k = g.k"),
    ("syntax", "CREATE", "SELECT a FROM Meter CREATE TABLE Meter (a bigint)"),
    ("unknown-type", "money", "CREATE TABLE Meter (a money) SELECT a FROM Meter"),
    ("duplicate-table", "METER", "CREATE TABLE Meter (a bit) CREATE TABLE METER (a bit) SELECT a FROM Meter"),
    ("duplicate-column", "a", "CREATE TABLE Meter (a bit, a float) SELECT a FROM Meter"),
    ("bad-arguments", "ROUND(a)", "SELECT ROUND(a) FROM Meter"),
    (
        "bad-arguments",
        "1.5",
        "SELECT PERCENTILE_CONT(1.5) OVER (ORDER BY a) FROM Meter GROUP BY Tumbling(minute, 1)",
    ),
    ("bad-arguments", "0", "SELECT CollectTop(0) OVER (ORDER BY a) FROM Meter GROUP BY Tumbling(minute, 1)"),
    ("no-order", "TopOne()", "SELECT TopOne() FROM Meter GROUP BY Tumbling(minute, 1)"),
    ("no-window", "TopOne() OVER (ORDER BY a)", "SELECT TopOne() OVER (ORDER BY a) FROM Meter"),
    ("no-over", "LIMIT DURATION(hour, 1)", "SELECT VAR(a) OVER (LIMIT DURATION(hour, 1)) FROM Meter"),
    ("no-limit", "SUM(a) OVER (PARTITION BY b)", "SELECT SUM(a) OVER (PARTITION BY b) FROM Meter"),
    (
        "nested-analytic",
        "SUM(b) OVER (LIMIT DURATION(hour, 1))",
        "SELECT MAX(SUM(b) OVER (LIMIT DURATION(hour, 1))) OVER (LIMIT DURATION(hour, 1)) FROM Meter",
    ),
    (
        "window-field",
        "System.Window().Start",
        "SELECT System.Window().Start FROM Meter GROUP BY Tumbling(minute, 1)",
    ),
    ("window-field", "System.Window()", "SELECT System.Window() FROM Meter GROUP BY Tumbling(minute, 1)"),
    ("window-id-place", "System.Window().Id", "SELECT a FROM Meter WHERE System.Window().Id = 'x'"),
    (
        "window-ids",
        "Tumbling(minute, 2)",
        "SELECT COUNT(*) FROM Meter GROUP BY Windows(Window('a', Tumbling(minute, 1)), Tumbling(minute, 2))",
    ),
    ("window-ids", "NULL", "SELECT COUNT(*) FROM Meter GROUP BY Windows(Window(NULL, Tumbling(minute, 1)))"),
    (
        "duplicate-window-id",
        "'A'",
        "SELECT COUNT(*) FROM Meter GROUP BY Windows(Window('a', Tumbling(minute, 1)), Window('A', Tumbling(hour, 1)))",
    ),
    (
        "nested-windows",
        "Windows(Tumbling(minute, 1))",
        "SELECT COUNT(*) FROM Meter GROUP BY Windows(Windows(Tumbling(minute, 1)))",
    ),
    ("bad-arguments", "Session(minute, 1)", "SELECT COUNT(*) FROM Meter GROUP BY Session(minute, 1)"),
    (
        "bad-arguments",
        "OVER (PARTITION BY a)",
        "SELECT COUNT(*) FROM Meter GROUP BY Tumbling(minute, 1) OVER (PARTITION BY a)",
    ),
    (
        "no-window",
        "DATEADD(hour, 1, System.Timestamp())",
        "SELECT 1 AS x FROM Meter GROUP BY DATEADD(hour, 1, System.Timestamp())",
    ),
    ("apply-place", "GetArrayElements(a)", "SELECT GetArrayElements(a) FROM Meter"),
    ("apply-place", "LEN(Meter.a)", "SELECT 1 AS x FROM Meter CROSS APPLY LEN(Meter.a) AS y"),
    ("apply-place", "Value", "SELECT y.Value FROM Meter CROSS APPLY GetArrayElements(Meter.a) AS y"),
    (
        "analytic-side",
        "LAG(y.ArrayValue) OVER (LIMIT DURATION(hour, 1))",
        "SELECT LAG(y.ArrayValue) OVER (LIMIT DURATION(hour, 1)) FROM Meter CROSS APPLY GetArrayElements(Meter.a) AS y",
    ),
    (
        "reference-place",
        "r",
        "SELECT m.a FROM Meter m JOIN rules r ON DATEDIFF(minute, m, r) = 0 AND m.k = r.k",
    ),
    ("reference-place", "t", "SELECT m.a FROM Meter m JOIN rules r TIMESTAMP BY t ON m.k = r.k"),
    ("timestamp-by", "t", "WITH S AS (SELECT a FROM Meter) SELECT a FROM S TIMESTAMP BY t OVER k"),
    ("timestamp-by", "t", "WITH S AS (SELECT * FROM Meter WHERE a = 1) SELECT a FROM S TIMESTAMP BY t"),
    ("timestamp-by", "t", "WITH S AS (SELECT r.* FROM Meter) SELECT a FROM S TIMESTAMP BY t"),
    ("timestamp-by", "t", "WITH S AS (SELECT * FROM Meter TIMESTAMP BY u) SELECT a FROM S TIMESTAMP BY t"),
    (
        "timestamp-by",
        "t",
        "WITH S AS (SELECT * FROM Meter UNION SELECT * FROM Gate) SELECT a FROM S TIMESTAMP BY t",
    ),
    (
        "substreams",
        "k, Tumbling(minute, 1)",
        "SELECT k, COUNT(*) FROM Meter TIMESTAMP BY t OVER d GROUP BY k, Tumbling(minute, 1)",
    ),
    ("substreams", "Gate", "SELECT a FROM Meter TIMESTAMP BY t OVER d UNION SELECT a FROM Gate"),
    (
        "substreams",
        "DATEDIFF(minute, m, g) = 0",
        "SELECT m.a FROM Meter m TIMESTAMP BY t OVER d JOIN Gate g TIMESTAMP BY t OVER d ON DATEDIFF(minute, m, g) = 0",
    ),
    (
        "no-limit",
        "PARTITION",
        "MATCH:PARTITION BY k MEASURES A.v AS v AFTER MATCH SKIP TO NEXT ROW PATTERN (A) DEFINE A AS A.v > 1",
    ),
    (
        "syntax",
        "PATTERN",
        "MATCH:LIMIT DURATION(minute, 1) MEASURES A.v AS v PATTERN (A) DEFINE A AS A.v > 1",
    ),
    ("unknown-variable", "B.v", "DEFINE:A AS A.v > 1 MEASURES B.v AS v"),
    ("unknown-variable", "C", "DEFINE:A AS A.v > Last(C.v), C AS C.v > 1"),
    ("duplicate-variable", "a", "DEFINE:A AS A.v > 1, a AS A.v > 1"),
    ("pattern-place", "A.v", "DEFINE:A AS A.v > 1, C AS A.v > C.v"),
    ("pattern-place", "COUNT(A.v)", "DEFINE:A AS COUNT(A.v) > 1"),
    ("pattern-place", "v", "DEFINE:A AS Last(v) > 1"),
    (
        "bad-pattern",
        "?",
        "MATCH:LIMIT DURATION(minute, 1) MEASURES A.v AS v AFTER MATCH SKIP TO NEXT ROW PATTERN (A+?) DEFINE A AS A.v > 1",
    ),
    (
        "bad-pattern",
        "{3,2}",
        "MATCH:LIMIT DURATION(minute, 1) MEASURES A.v AS v AFTER MATCH SKIP TO NEXT ROW PATTERN (A{3,2}) DEFINE A AS A.v > 1",
    ),
    (
        "limit-pattern",
        "MATCH_RECOGNIZE (LIMIT DURATION(minute, 1) MEASURES A.v AS v AFTER MATCH SKIP TO NEXT ROW PATTERN ((A{100,}){100}) DEFINE A AS A.v > 1)",
        "MATCH:LIMIT DURATION(minute, 1) MEASURES A.v AS v AFTER MATCH SKIP TO NEXT ROW PATTERN ((A{100,}){100}) DEFINE A AS A.v > 1",
    ),
    ("unsupported", "SUM(DISTINCT a)", "SELECT SUM(DISTINCT a) FROM Meter GROUP BY Tumbling(minute, 1)"),
    ("unknown-stream", "Metre", "SELECT a FROM Metre"),
    ("unknown-function", "FROB", "SELECT FROB(a) FROM Meter"),
    ("unknown-unit", "parsec", "SELECT DATEADD(parsec, 1, t) FROM Meter"),
    ("unknown-type", "nvarchar(50)", "SELECT CAST(a AS nvarchar(50)) FROM Meter"),
    ("duplicate-step", "s", "WITH S AS (SELECT a FROM Meter), s AS (SELECT a FROM Meter) SELECT a FROM S"),
    ("duplicate-output", "O", "SELECT a INTO o FROM Meter SELECT a INTO O FROM Meter"),
    ("duplicate-alias", "Meter", "SELECT 1 AS x FROM Meter JOIN Meter ON DATEDIFF(minute, Meter, Meter) = 0"),
    ("duplicate-column", "b", "SELECT a AS b, c AS b FROM Meter"),
    ("duplicate-column", "g.id", "SELECT m.id, g.id FROM Meter m JOIN Gate g ON DATEDIFF(minute, m, g) = 0"),
    ("star-duplicate", "a", "WITH S AS (SELECT a, b FROM Meter) SELECT *, b + 1 AS a FROM S"),
    ("star-in-join", "*", "SELECT * FROM Meter m JOIN Gate g ON DATEDIFF(minute, m, g) = 0"),
    ("star-in-group", "*", "SELECT * FROM Meter GROUP BY Tumbling(minute, 1)"),
    ("ambiguous-column", "k", "SELECT k FROM Meter m JOIN Gate g ON DATEDIFF(minute, m, g) = 0"),
    ("alias-in-where", "w", "SELECT v * 2 AS w FROM Meter WHERE w > 1"),
    ("alias-in-where", "w", "SELECT v * 2 AS w, COUNT(*) FROM Meter GROUP BY w, Tumbling(minute, 1)"),
    ("into-in-step", "o", "WITH S AS (SELECT a INTO o FROM Meter) SELECT a FROM S"),
    ("predicate-as-value", "a = 1", "SELECT COALESCE(a = 1, b) FROM Meter"),
    ("predicate-as-value", "a > 1", "SELECT a > 1 AS big FROM Meter"),
    ("value-as-predicate", "a", "SELECT a FROM Meter WHERE a"),
    ("type-mismatch", "'none'", "SELECT LAG(LEN(a), 1, 'none') OVER (LIMIT DURATION(hour, 1)) FROM Meter"),
    ("bad-arguments", "NULLIF(a)", "SELECT NULLIF(a) FROM Meter"),
    ("bad-number", "9223372036854775808", "SELECT 9223372036854775808 AS x FROM Meter"),
    ("bad-unit", "month", "SELECT COUNT(*) FROM Meter GROUP BY Tumbling(month, 1)"),
    (
        "bad-unit",
        "DATEDIFF(month, m, g) BETWEEN 0 AND 1",
        "SELECT m.k FROM Meter m JOIN Gate g ON m.k = g.k AND DATEDIFF(month, m, g) BETWEEN 0 AND 1",
    ),
    ("bad-size", "0.00000001", "SELECT COUNT(*) FROM Meter GROUP BY Tumbling(second, 0.00000001)"),
    ("bad-size", "0", "SELECT COUNT(*) FROM Meter GROUP BY Tumbling(second, 0)"),
    ("bad-size", "n", "SELECT COUNT(*) FROM Meter GROUP BY Tumbling(second, n)"),
    ("bad-escape", "'ab'", "SELECT a FROM Meter WHERE a LIKE 'x' ESCAPE 'ab'"),
    ("limit-window", "day, 2 * 4", "SELECT COUNT(*) FROM Meter GROUP BY TumblingWindow(day, 2 * 4)"),
    ("star-duplicate", "v", "CREATE TABLE Meter (v bigint) SELECT *, 2 AS v FROM Meter"),
    (
        "star-duplicate",
        "v",
        "SELECT g.*, m.a AS v, g.v + 1 AS w FROM Meter m JOIN Gate g ON DATEDIFF(minute, m, g) = 0",
    ),
    ("limit-window", "day, 8", "SELECT COUNT(*) FROM Meter GROUP BY TumblingWindow(day, 8)"),
    (
        "limit-panes",
        "HoppingWindow(Duration(day, 7), Hop(ms, 604))",
        "SELECT COUNT(*) FROM Meter GROUP BY a, HoppingWindow(Duration(day, 7), Hop(ms, 604))",
    ),
    ("limit-window", "hour, 169", "SELECT ISFIRST(hour, 169) FROM Meter"),
    (
        "limit-datediff",
        "DATEDIFF(hour, m, g) BETWEEN -169 AND 0",
        "SELECT m.k FROM Meter m JOIN Gate g ON DATEDIFF(hour, m, g) BETWEEN -169 AND 0",
    ),
    ("limit-duration", "day, 7.5", "SELECT LAG(a) OVER (LIMIT DURATION(day, 7.5)) FROM Meter"),
    ("no-window", "COUNT(*)", "SELECT COUNT(*) FROM Meter"),
    ("no-window", "a, b", "SELECT a FROM Meter GROUP BY a, b"),
    (
        "two-windows",
        "Sliding(minute, 1)",
        "SELECT COUNT(*) FROM Meter GROUP BY Tumbling(minute, 1), Sliding(minute, 1)",
    ),
    ("window-place", "Tumbling(minute, 1)", "SELECT Tumbling(minute, 1) FROM Meter"),
    ("not-grouped", "b", "SELECT a + b AS x, COUNT(*) FROM Meter GROUP BY a, Tumbling(minute, 1)"),
    (
        "not-grouped",
        "LAG(a) OVER (LIMIT DURATION(hour, 1))",
        "SELECT LAG(a) OVER (LIMIT DURATION(hour, 1)) FROM Meter GROUP BY Tumbling(minute, 1)",
    ),
    ("aggregate-place", "COUNT(*)", "SELECT a FROM Meter WHERE COUNT(*) > 1"),
    ("aggregate-place", "MAX(a)", "SELECT SUM(MAX(a)) FROM Meter GROUP BY Tumbling(minute, 1)"),
    (
        "distinct-over",
        "COUNT(DISTINCT a) OVER (LIMIT DURATION(hour, 1))",
        "SELECT COUNT(DISTINCT a) OVER (LIMIT DURATION(hour, 1)) FROM Meter",
    ),
    ("analytic-place", "ISFIRST(hour, 1)", "SELECT a FROM Meter TIMESTAMP BY ISFIRST(hour, 1)"),
    (
        "nested-analytic",
        "ISFIRST(hour, 1)",
        "SELECT LAG(a) OVER (LIMIT DURATION(hour, 1) WHEN ISFIRST(hour, 1) = 1) FROM Meter",
    ),
    (
        "analytic-side",
        "LAG(m.a + g.a) OVER (LIMIT DURATION(hour, 1))",
        "SELECT LAG(m.a + g.a) OVER (LIMIT DURATION(hour, 1)) FROM Meter m JOIN Gate g ON DATEDIFF(minute, m, g) = 0",
    ),
    (
        "analytic-side",
        "ISFIRST(hour, 1)",
        "SELECT ISFIRST(hour, 1) FROM Meter m JOIN Gate g ON DATEDIFF(minute, m, g) = 0",
    ),
    ("no-limit", "LAG(a) OVER (PARTITION BY b)", "SELECT LAG(a) OVER (PARTITION BY b) FROM Meter"),
    ("lag-offset", "0", "SELECT LAG(a, 0) OVER (LIMIT DURATION(hour, 1)) FROM Meter"),
    ("lag-offset", "1 - 1", "SELECT LAG(a, 1 - 1) OVER (LIMIT DURATION(hour, 1)) FROM Meter"),
    ("lag-offset", "n", "SELECT LAG(a, n) OVER (LIMIT DURATION(hour, 1)) FROM Meter"),
    ("timestamp-by", "t", "WITH S AS (SELECT *, 1 AS b FROM Meter) SELECT a FROM S TIMESTAMP BY t"),
    ("timestamp-by", "System.Timestamp()", "SELECT a FROM Meter TIMESTAMP BY System.Timestamp()"),
    (
        "timestamp-in-on",
        "System.Timestamp()",
        "SELECT m.a FROM Meter m JOIN Gate g ON DATEDIFF(minute, m, g) = 0 AND System.Timestamp() > m.t",
    ),
    (
        "unbounded-join",
        "DATEDIFF(minute, m, g) >= 0",
        "SELECT m.a FROM Meter m JOIN Gate g ON m.k = g.k AND DATEDIFF(minute, m, g) >= 0",
    ),
    (
        "unbounded-join",
        "DATEDIFF(minute, m.t, g.t) = 0",
        "SELECT m.a FROM Meter m JOIN Gate g ON DATEDIFF(minute, m.t, g.t) = 0",
    ),
    (
        "empty-join",
        "DATEDIFF(minute, m, g) BETWEEN 5 AND 1",
        "SELECT m.a FROM Meter m JOIN Gate g ON DATEDIFF(minute, m, g) BETWEEN 5 AND 1",
    ),
    ("not-grouped", "v", "SELECT SUM(v) AS v FROM Meter GROUP BY Tumbling(minute, 1) HAVING v > 1"),
    (
        "partition-key",
        "PartitionId",
        "WITH S AS (SELECT a FROM Meter) SELECT a FROM S PARTITION BY PartitionId",
    ),
    ("partition-key", "a + 1", "SELECT a FROM Meter PARTITION BY a + 1"),
    (
        "join-partition",
        "DATEDIFF(minute, m, g) = 0",
        "SELECT m.a FROM Meter m PARTITION BY PartitionId JOIN Gate g PARTITION BY PartitionId ON DATEDIFF(minute, m, g) = 0",
    ),
    (
        "join-partition",
        "Gate g",
        "SELECT m.a FROM Meter m PARTITION BY PartitionId JOIN Gate g ON DATEDIFF(minute, m, g) = 0 AND m.PartitionId = g.PartitionId",
    ),
    ("union-columns", "SELECT b FROM Gate", "SELECT a FROM Meter UNION SELECT b FROM Gate"),
    ("union-types", "SELECT 'x' AS a FROM Gate", "SELECT 1 AS a FROM Meter UNION SELECT 'x' AS a FROM Gate"),
    (
        "union-columns",
        "SELECT * FROM S",
        "WITH S AS (SELECT r AS PartitionId, r AS q FROM Gate), T AS (SELECT * FROM Meter UNION SELECT * FROM S) SELECT a FROM T",
    ),
    (
        "union-partition",
        "SELECT a, PartitionId FROM Gate",
        "SELECT a, PartitionId FROM Meter PARTITION BY PartitionId UNION SELECT a, PartitionId FROM Gate",
    ),
];

fn written(query: &str) -> String {
    match query {
        "DEEP" => format!("SELECT {}1{} AS x FROM Meter", "(".repeat(5_000), ")".repeat(5_000)),
        "LONG" => format!("SELECT a FROM Meter --{}", "x".repeat(300_000)),
        query => match query.split_once(':') {
            Some(("MATCH", inside)) => format!("SELECT * FROM Meter MATCH_RECOGNIZE ({inside}) AS T"),
            Some(("DEFINE", define)) => {
                let (define, measures) = define.split_once(" MEASURES ").unwrap_or((define, "A.v AS v"));
                format!(
                    "SELECT * FROM Meter MATCH_RECOGNIZE (LIMIT DURATION(minute, 1) MEASURES {measures} \
                     AFTER MATCH SKIP TO NEXT ROW PATTERN (A C) DEFINE {define}) AS T"
                )
            }
            _ => query.to_owned(),
        },
    }
}

#[test]
fn every_refusal_has_its_code_and_points_at_the_mistake() {
    let inputs = ["Meter".to_owned(), "Gate".to_owned()];
    let references = ["rules".to_owned()];
    let mut wrong = String::new();
    for (code, pointed, query) in REFUSALS {
        let text = written(query);
        let declared =
            Declared { inputs: Some(&inputs), references: Some(&references), ..Declared::default() };
        let found = match analyse_with(&text, &declared) {
            Ok(plan) if plan.check_functions().is_ok() => format!("accepted:\n{plan}"),
            refused => {
                let error = refused.and_then(|plan| plan.check_functions()).unwrap_err();
                let place = text.get(error.place.clone());
                let hit = ["DEEP", "LONG"].contains(query) || place == Some(*pointed);
                let words = !error.message.is_empty() && !error.label.is_empty();
                if error.code == *code && hit && words && place.is_some() {
                    continue;
                }
                format!("{} at {place:?}: {}", error.code, error.message)
            }
        };
        wrong.push_str(&format!("{query}\n  expected {code} at {pointed:?}\n  found {found}\n"));
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_code_of_the_list_is_given_by_some_text_and_listed_once() {
    let listed: BTreeSet<&str> = codes::ALL.iter().map(|(code, _)| *code).collect();
    assert_eq!(listed.len(), codes::ALL.len(), "a code is listed twice");
    let given: BTreeSet<&str> = REFUSALS.iter().map(|(code, ..)| *code).collect();
    assert_eq!(listed, given);
}

#[test]
fn line_and_column_are_those_of_an_editor() {
    let error = analyse("SELECT 'é',\r\n  FROB(a)\nFROM Meter", None).unwrap_err();
    assert_eq!(error.line_and_column("SELECT 'é',\r\n  FROB(a)\nFROM Meter"), (2, 3));
}

#[test]
fn a_million_windows_is_the_most_and_the_help_says_how_to_get_there() {
    let query = |hop: i64| {
        format!(
            "SELECT COUNT(*) FROM Meter GROUP BY HoppingWindow(Duration(second, 1), Hop(microsecond, {hop}))"
        )
    };
    assert!(analyse(&query(1), None).is_ok(), "exactly a million");
    let fine = |hop: &str| {
        format!(
            "SELECT COUNT(*) FROM Meter GROUP BY HoppingWindow(Duration(day, 7), Hop(microsecond, {hop}))"
        )
    };
    let refused = analyse(&fine("604799"), None).unwrap_err();
    assert_eq!(refused.code, "limit-panes");
    // 7 days / 1,000,001, rounded up to a tick.
    assert_eq!(refused.help.as_deref(), Some("a hop of 0.6047994 s or more, or a shorter window"));
    assert!(analyse(&fine("604799.4"), None).is_ok());
    assert!(analyse(&fine("604799.3"), None).is_err());
}

/// Rule 3.9: what one partition allows, several refuse.
#[test]
fn substreams_stay_inside_partitions() {
    let refused = |query: &str, partitions: &[u32]| {
        let plan = analyse(query, None).unwrap_or_else(|e| panic!("{query}: {}", e.message));
        plan.check_partitions(partitions).err().map(|error| (error.code, query[error.place].to_owned()))
    };
    let alone = "SELECT k, COUNT(*) FROM Meter TIMESTAMP BY t OVER k GROUP BY k, Tumbling(minute, 1)";
    assert_eq!(refused(alone, &[1]), None);
    assert_eq!(refused(alone, &[2]), Some(("substreams", "Meter TIMESTAMP BY t OVER k".to_owned())));
    let unnamed = "SELECT k FROM Meter TIMESTAMP BY t OVER k PARTITION BY PartitionId";
    assert_eq!(refused(unnamed, &[1]), None);
    assert!(refused(unnamed, &[2]).is_some());
    let mixed = "SELECT k FROM Meter TIMESTAMP BY t OVER k, PartitionId";
    assert!(refused(mixed, &[2]).is_some());
    let whole = "SELECT k FROM Meter TIMESTAMP BY t OVER k, PartitionId PARTITION BY PartitionId";
    assert_eq!(refused(whole, &[2]), None);
    // A statement that mixes partitions makes the job no fully parallel one.
    let both =
        format!("WITH S AS ({whole}) SELECT k INTO a FROM S PARTITION BY PartitionId SELECT k INTO b FROM S");
    assert_eq!(refused(&both, &[1]), None);
    assert!(refused(&both, &[2]).is_some());
    assert_eq!(refused("SELECT k FROM Meter TIMESTAMP BY t", &[8]), None);
}
