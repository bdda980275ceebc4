//! Plans as text: what a query becomes, read as prose.
//!
//! What this suite alone catches: operators in a wrong order, a column too many, a name that resolves to
//! something else, and a fingerprint that moves.

use rewindow_query::analyse;

#[track_caller]
fn check(query: &str, expected: &str) {
    let plan = analyse(query, None).unwrap_or_else(|e| panic!("{query}: {} {}", e.code, e.message));
    let shown: Vec<String> = plan.to_string().lines().map(str::to_owned).collect();
    let expected: Vec<&str> = expected.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    assert_eq!(shown, expected, "{query}\n{plan}");
}

#[test]
fn analytics_stand_below_where_and_equal_ones_are_one() {
    check(
        "SELECT id, LAG(v) OVER (PARTITION BY k LIMIT DURATION(minute, 5)) AS a,
                lag(v, 1) over (partition by k limit duration(mi, 5)) + 1 AS b
         FROM A TIMESTAMP BY t WHERE ISFIRST(hour, 1) = 1",
        "0 ordering A [t, id, v, k] timestamp by t
         1 isfirst 1 h <- 0
         2 lag v 1 default null by [k] limit 5 min <- 1
         3 filter $isfirst4 = 1 <- 2
         4 project id, a = $lag5, b = ($lag5 + 1) <- 3
         output <- 4",
    );
}

#[test]
fn an_analytic_over_a_join_goes_below_its_side() {
    check(
        "SELECT a.id, LAST(b.v) OVER (LIMIT DURATION(second, 30)) AS latest, DATEDIFF(second, a, b) AS gap
         FROM A a JOIN B b ON 5 >= DATEDIFF(minute, b, a) AND DATEDIFF(minute, b, a) > -3 AND b.k = a.k",
        "0 ordering A [$timestamp, k, id]
         1 ordering B [$timestamp, k, v]
         2 last v default null limit 30 s <- 1
         3 join minute -5..=2 of a.$timestamp b.$timestamp on (5 >= datediff minute(b.$timestamp, a.$timestamp) \
         and datediff minute(b.$timestamp, a.$timestamp) > -3 and b.k = a.k) <- 0, 2
         4 project id = a.id, latest = b.$last3, gap = datediff second(a.$timestamp, b.$timestamp) <- 3
         output <- 4",
    );
}

#[test]
fn a_partitioned_grouping_has_its_key_and_steps_pass_it_on_hidden() {
    check(
        "WITH s AS (SELECT k, COUNT(*) AS n FROM A PARTITION BY PartitionId GROUP BY k, Tumbling(minute, 1))
         SELECT SUM(n) AS n FROM s PARTITION BY PartitionId GROUP BY Tumbling(hour, 1)",
        "0 ordering A [$partition, k]
         1 tumbling 1 min by [k, PartitionId] of [count(*)] <- 0
         2 project k, n = $count0, $PartitionId = $partition <- 1
         3 tumbling 1 h by [$PartitionId] of [sum(n)] <- 2
         4 project n = $sum0 <- 3
         output <- 4
         parallel",
    );
}

#[test]
fn a_step_that_passes_a_stream_on_stays_open() {
    check(
        "WITH s AS (SELECT *, v + 1 AS w FROM A) SELECT * INTO all_of FROM s WHERE w > 2 AND other = 1
         SELECT PartitionId, other.inner.[0] INTO some_of FROM s",
        "0 ordering A [$payload, v, $partition]
         1 project $star0 = $payload, w = (v + 1), $PartitionId = PartitionId <- 0
         2 filter (w > 2 and $star0.other = 1) <- 1
         3 project $star0.*, w <- 2
         4 project PartitionId = $PartitionId, 0 = getarrayelement($star0.other.inner, 0) <- 1
         all_of <- 3
         some_of <- 4",
    );
}

#[test]
fn keys_are_found_in_larger_expressions_and_having_knows_aliases() {
    check(
        "SELECT UPPER(k) + '!' AS u, AVG(v) AS mean FROM A
         GROUP BY UPPER(k), HoppingWindow(Duration(minute, 10), Hop(second, 30), Offset(ms, -1))
         HAVING mean > 1 AND UPPER(k) <> 'X' AND COUNT(*) > 1",
        "0 ordering A [k, v]
         1 hopping 10 min every 30 s offset -0.001 s by [upper(k)] of [avg(v), count(*)] <- 0
         2 filter ($avg0 > 1 and $key0 <> 'X' and $count1 > 1) <- 1
         3 project u = ($key0 + '!'), mean = $avg0 <- 2
         output <- 3",
    );
}

#[test]
fn an_analytic_may_be_a_grouping_key() {
    check(
        "SELECT LAG(v) OVER (LIMIT DURATION(minute, 5)) AS p, COUNT(*) AS n FROM A
         GROUP BY LAG(v) OVER (LIMIT DURATION(minute, 5)), Sliding(minute, 3)",
        "0 ordering A [v]
         1 lag v 1 default null limit 5 min <- 0
         2 sliding 3 min by [$lag1] of [count(*)] <- 1
         3 project p = $key0, n = $count0 <- 2
         output <- 3",
    );
}

#[test]
fn double_quotes_are_a_text_where_no_column_is_known() {
    let joined = "FROM A JOIN B ON DATEDIFF(minute, A, B) = 0";
    for (table, from) in [("CREATE TABLE A (v nvarchar(max))", "FROM A"), ("", joined)] {
        let plan = analyse(&format!("{table} SELECT A.v {from} WHERE A.v > \"x y\""), None).unwrap();
        assert!(plan.to_string().contains("> 'x y'"), "{plan}");
        assert_eq!(plan.warnings.len(), 1);
    }
    let plan = analyse("WITH s AS (SELECT v AS [x y] FROM A) SELECT \"x y\" FROM s", None).unwrap();
    assert!(plan.to_string().contains("2 project x y <- 1"), "{plan}");
}

#[test]
fn stars_and_names_follow_their_rules() {
    check(
        "WITH s AS (SELECT a, B, a + 1 FROM A) SELECT b = 'x', * FROM s",
        "0 ordering A [a, B]
         1 project a, B, Col3 = (a + 1) <- 0
         2 project b = 'x', a, B, Col3 <- 1
         output <- 2",
    );
    check(
        "SELECT [a b] AS 'c d', \"e\".f g, r.*, COUNT.x FROM A COUNT",
        "0 ordering A [a b, e, r, x]
         1 project c d = a b, g = e.f, r.*, x <- 0
         output <- 1",
    );
}

#[test]
fn unknown_columns_of_a_step_are_null_with_a_remark() {
    let plan = analyse("WITH s AS (SELECT a FROM A) SELECT a, z FROM s WHERE s.y = 1", None).unwrap();
    assert_eq!(plan.warnings.len(), 2, "{:?}", plan.warnings);
    assert!(plan.to_string().contains("filter null = 1"), "{plan}");
    assert!(plan.to_string().contains("project a, z = null"), "{plan}");
}

#[test]
fn a_name_read_elsewhere_is_a_column_in_where_and_not_its_alias() {
    let plan = analyse("SELECT TRY_CAST(v AS bigint) AS v FROM A WHERE v > 1", None).unwrap();
    assert!(plan.to_string().contains("1 filter v > 1 <- 0"), "{plan}");
}

#[test]
fn a_stream_with_an_alias_is_known_by_the_alias_alone() {
    let plan = analyse("SELECT Lane.brand FROM Lane l", None).unwrap();
    assert!(plan.warnings.iter().any(|w| w.contains("l.brand")), "{:?}", plan.warnings);
}

#[test]
fn left_joins_chain_and_a_base_alias_keeps_its_own_timestamp() {
    check(
        "SELECT a.k, c.v FROM A a LEFT JOIN B b ON DATEDIFF(minute, a, b) BETWEEN 0 AND 1
         LEFT JOIN s c ON a.k = c.k AND DATEDIFF(minute, c, b) = 0",
        "0 ordering A [$timestamp, k]
         1 ordering B [$timestamp]
         2 ordering s [k, $timestamp, v]
         3 join left minute 0..=1 of a.$timestamp b.$timestamp on datediff minute(a.$timestamp, b.$timestamp) \
         between 0 and 1 <- 0, 1
         4 join left minute 0..=0 of b.$timestamp c.$timestamp on (a.k = c.k and \
         datediff minute(c.$timestamp, b.$timestamp) = 0) <- 3, 2
         5 project k = a.k, v = c.v <- 4
         output <- 5",
    );
}

#[test]
fn a_step_in_a_join_carries_its_timestamp() {
    check(
        "WITH s AS (SELECT k, COUNT(*) AS n FROM A GROUP BY k, Tumbling(minute, 1))
         SELECT x.n, y.n AS m FROM s x JOIN s y ON x.k = y.k AND DATEDIFF(mi, x, y) = 1",
        "0 ordering A [k]
         1 tumbling 1 min by [k] of [count(*)] <- 0
         2 project k, n = $count0 <- 1
         3 project k, n, $timestamp = timestamp() <- 2
         4 project k, n, $timestamp = timestamp() <- 2
         5 join minute 1..=1 of x.$timestamp y.$timestamp on (x.k = y.k and \
         datediff minute(x.$timestamp, y.$timestamp) = 1) <- 3, 4
         6 project n = x.n, m = y.n <- 5
         output <- 6",
    );
}

#[test]
fn declared_streams_are_the_inputs_in_their_order() {
    let declared = ["B".to_owned(), "A".to_owned(), "C".to_owned()];
    let plan = analyse("SELECT a FROM a UNION SELECT a FROM c", Some(&declared)).unwrap();
    assert_eq!(plan.inputs.iter().map(|i| &*i.name).collect::<Vec<_>>(), ["B", "A", "C"]);
    assert_eq!(plan.inputs_of(&[0]), [1, 2]);
    let free = analyse("SELECT a FROM z UNION SELECT a FROM Y", None).unwrap();
    assert_eq!(free.inputs.iter().map(|i| &*i.name).collect::<Vec<_>>(), ["z", "Y"]);
}

#[test]
fn operators_are_described_in_the_words_of_their_user() {
    let query = "SELECT LAG(v) OVER (PARTITION BY k LIMIT  DURATION( hour, 24 ) WHEN v > 1) AS p, ISFIRST(mi, 10) AS f
                 INTO o FROM A WHERE v > 1
                 SELECT COUNT(*) AS n INTO q FROM A GROUP BY TumblingWindow(hour,  6)
                 SELECT a.v INTO r FROM A a LEFT JOIN B b ON DATEDIFF(ss, a, b) BETWEEN 0 AND 5";
    let plan = analyse(query, None).unwrap();
    let described: Vec<String> = (0..plan.nodes.len()).map(|id| plan.describe(id)).collect();
    for expected in [
        "A",
        "LAG(…) LIMIT DURATION(hour, 24)",
        "ISFIRST(mi, 10)",
        "WHERE v > 1",
        "TumblingWindow(hour, 6)",
        "LEFT JOIN … DATEDIFF(second, …) BETWEEN 0 AND 5",
        "SELECT",
    ] {
        assert!(described.iter().any(|d| d == expected), "{expected} in {described:?}");
    }
    let mut bare = plan.clone();
    bare.text = "".into();
    let lag = bare.nodes.iter().position(|node| node.op.name() == "lag").unwrap();
    assert_eq!(bare.describe(lag), "LAG(…) LIMIT DURATION(day, 1)");
}

#[test]
fn a_fingerprint_is_of_the_meaning() {
    let print = |query: &str| analyse(query, None).unwrap().fingerprint();
    let base = "SELECT k, COUNT(*) AS n FROM A GROUP BY k, Tumbling(minute, 60)";
    // Fixed for ever: checkpoints name their query by it.
    assert_eq!(print(base), FINGERPRINT);
    for same in [
        "select k,count( * ) as n -- remark\nfrom A group by Tumbling(minute,60), k;",
        "/* x */ SELECT [k], COUNT(*) n FROM A GROUP BY k, TumblingWindow(Duration(hour, 1))",
        "SELECT k, n = COUNT(*) INTO output FROM A x GROUP BY x.k, Hopping(minute, 60, 60)",
    ] {
        let equal = print(same) == print(base);
        assert_eq!(equal, !same.contains("Hopping"), "{same}");
    }
    for other in [
        "SELECT k, COUNT(*) AS m FROM A GROUP BY k, Tumbling(minute, 60)",
        "SELECT k, COUNT(*) AS n FROM B GROUP BY k, Tumbling(minute, 60)",
        "SELECT k, COUNT(*) AS n INTO o FROM A GROUP BY k, Tumbling(minute, 60)",
        "SELECT k, COUNT(k) AS n FROM A GROUP BY k, Tumbling(minute, 60)",
        "SELECT k, COUNT(*) AS n FROM A GROUP BY k, Tumbling(minute, 61)",
        "SELECT k, COUNT(*) AS n FROM A GROUP BY k, Tumbling(minute, 60, 1)",
        "SELECT k, COUNT(*) AS n FROM A GROUP BY k, Sliding(minute, 60)",
        "SELECT k, COUNT(*) AS n FROM A TIMESTAMP BY t GROUP BY k, Tumbling(minute, 60)",
        "SELECT k, COUNT(*) AS n FROM A WHERE k = 1 GROUP BY k, Tumbling(minute, 60)",
        "SELECT k, COUNT(*) AS n FROM A WHERE k = 1.0 GROUP BY k, Tumbling(minute, 60)",
        "SELECT k, COUNT(*) AS n FROM A WHERE k = '1' GROUP BY k, Tumbling(minute, 60)",
    ] {
        assert_ne!(print(other), print(base), "{other}");
    }
    assert_ne!(
        print("SELECT k, COUNT(*) AS n FROM A WHERE k = 1 GROUP BY k, Tumbling(minute, 60)"),
        print("SELECT k, COUNT(*) AS n FROM A WHERE k = 1.0 GROUP BY k, Tumbling(minute, 60)")
    );
}

const FINGERPRINT: u64 = 1_302_078_520_557_180_679;

#[test]
fn several_windows_are_a_union_of_groupings() {
    check(
        "SELECT System.Window().Id, k, COUNT(*) AS n FROM A GROUP BY k,
         Windows(Window('a', Tumbling(minute, 1)), Window('b', System.Timestamp()))",
        "0 ordering A [k]
         1 tumbling 1 min by [k] of [count(*)] <- 0
         2 project k, $count0, $id = 'a' <- 1
         3 snapshot by [k] of [count(*)] <- 0
         4 project k, $count0, $id = 'b' <- 3
         5 union <- 2, 4
         6 project Id = $id, k, n = $count0 <- 5
         output <- 6",
    );
    check(
        "SELECT System.Window().Id, MAX(v) FROM A PARTITION BY PartitionId
         GROUP BY Windows(Session(Timeout(minute, 1), MaxDuration(hour, 1)) OVER (PARTITION BY k), Sliding(second, 2))",
        "0 ordering A [$partition, k, v]
         1 session timeout 1 min max 1 h by [PartitionId] of [max(v)] sessions by [k, PartitionId] <- 0
         2 sliding 2 s by [PartitionId] of [max(v)] <- 0
         3 union <- 1, 2
         4 project Id = null, max = $max0 <- 3
         output <- 4
         parallel",
    );
}

#[test]
fn a_timestamp_beside_a_window_is_a_key_and_alone_the_window() {
    check(
        "WITH s AS (SELECT k, COUNT(*) FROM A GROUP BY k, System.Timestamp(), Tumbling(minute, 1))
         SELECT SUM(count) AS total, COLLECT() AS all_of FROM s GROUP BY System.Timestamp()",
        "0 ordering A [k]
         1 tumbling 1 min by [k, timestamp()] of [count(*)] <- 0
         2 project k, count = $count0 <- 1
         3 snapshot by [] of [sum(count), collect({k: k, count: count})] <- 2
         4 project total = $sum0, all_of = $collect1 <- 3
         output <- 4",
    );
}

#[test]
fn ordered_aggregates_and_over_keep_their_orders_apart() {
    check(
        "SELECT TopOne() OVER (ORDER BY a DESC, b) AS first, PERCENTILE_CONT(0.5) OVER (ORDER BY a DESC) AS p
         FROM A GROUP BY Tumbling(minute, 1)",
        "0 ordering A [a, b, $payload]
         1 tumbling 1 min by [] of [topone($payload) order by [a desc, b], percentile_cont 0.5(a) order by [a desc]] <- 0
         2 project first = $topone0, p = $percentile_cont1 <- 1
         output <- 2",
    );
    check(
        "SELECT CollectTop(2, v) OVER (PARTITION BY k ORDER BY v LIMIT DURATION(minute, 1) WHEN v > 1) AS two FROM A
         WHERE COUNT(*) OVER (LIMIT DURATION(hour, 1)) > 3",
        "0 ordering A [v, k]
         1 over count(*) limit 1 h <- 0
         2 over collecttop 2(v) order by [v] by [k] limit 1 min when v > 1 <- 1
         3 filter $over2 > 3 <- 2
         4 project two = $over3 <- 3
         output <- 4",
    );
}

#[test]
fn apply_and_reference_data_stand_in_the_order_of_the_text() {
    check(
        "CREATE TABLE A (t datetime, list array)
         SELECT r.w, e.ArrayValue.x.[1] AS x, System.Timestamp() AS at, LAG(a.v) OVER (LIMIT DURATION(hour, 1)) AS p
         FROM A a TIMESTAMP BY t OUTER APPLY GetArrayElements(a.list) AS e LEFT JOIN R r ON r.k = e.ArrayValue.k",
        "0 ordering A [t, list, v] table [t datetime, list array] timestamp by t
         1 lag v 1 default null limit 1 h <- 0
         2 apply outer elements of list <- 1
         3 reference R left [k, w] on r.k = e.ArrayValue.k <- 2
         4 project w = r.w, x = getarrayelement(e.ArrayValue.x, 1), at = timestamp(), p = $lag3 <- 3
         output <- 4",
    );
    check(
        "SELECT * FROM A JOIN R ON A.k = R.k CROSS APPLY GetRecordProperties(A.r) p",
        "0 ordering A [k, r, $payload]
         1 reference R [k, *] on A.k = R.k <- 0
         2 apply cross properties of A.r <- 1
         3 project A.$payload.*, R.$row.*, PropertyName = p.PropertyName, PropertyValue = p.PropertyValue <- 2
         output <- 3",
    );
}

#[test]
fn a_pattern_emits_its_measures_and_the_partition_key() {
    check(
        "WITH s AS (SELECT * FROM A TIMESTAMP BY t PARTITION BY PartitionId MATCH_RECOGNIZE (
            LIMIT DURATION(minute, 5) PARTITION BY k
            MEASURES First(X.v) AS a, Y.v - Max(X.v) AS b, Classifier() AS c
            AFTER MATCH SKIP TO NEXT ROW PATTERN (X (Y | Z)* W?)
            DEFINE X AS v > 1, Y AS Y.v > Last(X.v)) AS T)
         SELECT a, COUNT(*) AS n FROM s PARTITION BY PartitionId GROUP BY a, Tumbling(hour, 1)",
        "0 ordering A [t, $partition, k, v] timestamp by t
         1 match (X (Y | Z){0,} W{0,1}) by [k, PartitionId] limit 5 min \
         define X as v > 1 define Y as v > last(X, v) define Z as true define W as true \
         measure a = first(X, v) measure b = (last(Y, v) - max(X, v)) measure c = classifier() \
         measure $PartitionId = coalesce(last(X, PartitionId), last(Y, PartitionId), last(Z, PartitionId), last(W, PartitionId)) <- 0
         2 tumbling 1 h by [a, $PartitionId] of [count(*)] <- 1
         3 project a, n = $count0 <- 2
         output <- 3
         parallel",
    );
}

#[test]
fn substreams_are_followed_through_steps() {
    check(
        "WITH u AS (SELECT d, e, v FROM A TIMESTAMP BY t OVER d, e)
         SELECT d, e, SUM(v) AS v FROM u GROUP BY d, e, Tumbling(minute, 1)",
        "0 ordering A [t, d, e, v] timestamp by t over [d, e]
         1 project d, e, v <- 0
         2 tumbling 1 min by [d, e] of [sum(v)] <- 1
         3 project d, e, v = $sum0 <- 2
         output <- 3",
    );
}

/// A-TIMESTAMP-BY-STEP: the stream is read as if it stood there itself.
#[test]
fn a_step_that_only_passes_a_stream_on_is_read_through() {
    check(
        "WITH p AS (SELECT * FROM A PARTITION BY k INTO 2), q AS (SELECT * FROM p)
         SELECT id FROM p TIMESTAMP BY t UNION SELECT id FROM q TIMESTAMP BY u",
        "0 ordering A [t, id] timestamp by t
         1 project id <- 0
         2 ordering A [u, id] timestamp by u
         3 project id <- 2
         4 union <- 1, 3
         5 project id <- 4
         output <- 5",
    );
    let plan =
        analyse("WITH p AS (SELECT * FROM A) SELECT id, PartitionId FROM p TIMESTAMP BY t OVER id", None);
    assert_eq!(plan.expect("a plan").warnings, Vec::<String>::new());
}

/// Rule 14.2: an argument of the wrong type fails the job, not the query; the plan says so beforehand.
#[test]
fn what_can_never_work_is_a_remark() {
    for (item, remark) in [
        ("'a' - 1 AS x", "nvarchar(max) and bigint cannot be combined so"),
        ("-'a' AS x", "the sign `-` takes a number"),
        ("~1.5 AS x", "`~` takes bigint or bit"),
        ("CAST(5 AS datetime) AS x", "no bigint can be cast to datetime"),
        ("GetArrayLength(5) AS x", "GetArrayLength takes an array"),
        ("ABS(s) AS x", "ABS takes a number (section 10), not nvarchar(max)"),
        ("DATEADD(day, 'x', t) AS x", "DATEADD takes a number here"),
        ("s.*", "`.*` takes a record (rule 5.2), not nvarchar(max)"),
    ] {
        let query = format!("CREATE TABLE A (s nvarchar(max), t datetime) SELECT {item} FROM A");
        let plan = analyse(&query, None).unwrap_or_else(|error| panic!("{item}: {error:?}"));
        assert_eq!(plan.warnings.len(), 1, "{item}: {:?}", plan.warnings);
        assert!(plan.warnings[0].contains(remark), "{item}: {:?}", plan.warnings);
    }
    let query = "CREATE TABLE A (d datetime) SELECT SUM(d) AS x FROM A GROUP BY Tumbling(minute, 1)";
    let plan = analyse(query, None).expect("a plan");
    assert!(plan.warnings[0].contains("SUM takes numbers"), "{:?}", plan.warnings);
}

/// A-DOUBLE-QUOTES, C-QUOTES: where the columns are known a plan says which it is, else it asks every event.
#[test]
fn double_quotes_are_a_column_or_a_text() {
    check(
        "SELECT id FROM A WHERE b = \"go\"",
        "0 ordering A [b, go, id]
         1 filter b = coalesce(go, 'go') <- 0
         2 project id <- 1
         output <- 2",
    );
    check(
        "SELECT [go] AS id FROM A WHERE b = \"go\"",
        "0 ordering A [b, go]
         1 filter b = go <- 0
         2 project id = go <- 1
         output <- 2",
    );
    check(
        "WITH s AS (SELECT b FROM A) SELECT b FROM s WHERE b = \"go\" OR \"b\" = 'x'",
        "0 ordering A [b]
         1 project b <- 0
         2 filter (b = 'go' or b = 'x') <- 1
         3 project b <- 2
         output <- 3",
    );
    // Where a constant makes no sense it is a column, whose it is as of the plain name; elsewhere a text.
    let join = "FROM A a JOIN B b ON DATEDIFF(minute, a, b) BETWEEN 0 AND 1 AND a.k = b.k";
    for place in ["\"q\" * 2", "DATEADD(day, \"q\", a.t)", "COALESCE(\"q\", 1)", "\"q\" + 1", "YEAR(\"q\")"] {
        for name in ["\"q\"", "q"] {
            let query = format!("SELECT {} AS x {join}", place.replace("\"q\"", name));
            let error = analyse(&query, None).expect_err(&query);
            assert_eq!(error.code, "ambiguous-column", "{query}");
        }
    }
    let query = format!("SELECT a.k, YEAR(\"2024-01-02\") AS y {join} WHERE a.v = \"q\"");
    check(
        &query,
        "0 ordering A [$timestamp, k, v]
         1 ordering B [$timestamp, k]
         2 join minute 0..=1 of a.$timestamp b.$timestamp on (datediff minute(a.$timestamp, b.$timestamp) between 0 and 1 and a.k = b.k) <- 0, 1
         3 filter a.v = 'q' <- 2
         4 project k = a.k, y = datepart year('2024-01-02') <- 3
         output <- 4",
    );
}

/// C-CASE: of a CASE inside another each result is raised once, so a plan grows no faster than its text.
#[test]
fn results_of_a_nested_case_are_raised_one_by_one() {
    check(
        "SELECT CASE WHEN a = 1 THEN 1.5 ELSE CASE WHEN a = 2 THEN 'x' WHEN a = 3 THEN 3 ELSE
            CASE WHEN a = 4 THEN 4.5 ELSE b END END END AS y FROM A",
        "0 ordering A [a, b]
         1 project y = case when a = 1 then 1.5 else case when a = 2 then 'x' when a = 3 then cast(3 as float) \
         else case when a = 4 then 4.5 else case when gettype(b) = 'bigint' then cast(b as float) else b end end end end <- 0
         output <- 1",
    );
    let nested = |levels: usize| {
        let case = |inner: String, level| format!("CASE WHEN a = {level} THEN {level}.5 ELSE {inner} END");
        let text = format!("SELECT {} AS y FROM A", (0..levels).fold("b".to_owned(), case));
        analyse(&text, None).expect("a plan").to_string().len()
    };
    assert!(nested(40) < 5 * nested(10), "{} and {}", nested(40), nested(10));
}

/// C-NAME: as a key, a name is itself in any case.
#[test]
fn a_key_is_found_in_any_case() {
    check(
        "SELECT deviceid, COUNT(*) AS n FROM A TIMESTAMP BY t OVER DeviceId GROUP BY deviceId, Tumbling(minute, 1)",
        "0 ordering A [t, DeviceId, deviceId] timestamp by t over [DeviceId]
         1 tumbling 1 min by [deviceId] of [count(*)] <- 0
         2 project deviceid = deviceId, n = $count0 <- 1
         output <- 2",
    );
    check(
        "WITH s AS (SELECT * FROM A) SELECT upper(b.ID) AS id FROM s GROUP BY UPPER(B.id), Tumbling(minute, 1)",
        "0 ordering A [$payload]
         1 tumbling 1 min by [upper($payload.B.id)] of [] <- 0
         2 project id = $key0 <- 1
         output <- 2",
    );
}

/// Rule 1.8, C-TABLE; a declared column needs no alias in a join.
#[test]
fn reference_data_is_declared_like_a_stream() {
    check(
        "CREATE TABLE rules (k bigint, high float)
         SELECT a.v FROM A a JOIN rules r ON a.k = r.k WHERE a.v > high",
        "0 ordering A [k, v]
         1 reference rules [k, high] table [k bigint, high float] on a.k = r.k <- 0
         2 filter a.v > r.high <- 1
         3 project v = a.v <- 2
         output <- 3",
    );
}
