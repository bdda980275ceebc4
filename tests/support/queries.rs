//! Queries over streams `a` and `b` and reference data `r`, none of which ever fails: each operator alone, and in chains.

/// An operator alone, by a query that never fails; with a second one where it looks through a chain.
pub(crate) const QUERIES: &[(&str, &str)] = &[
    ("ordering", "SELECT k, n FROM a TIMESTAMP BY t"),
    ("filter", "SELECT n FROM a TIMESTAMP BY t WHERE n > 1"),
    ("project", "SELECT n + 1 AS m, System.Timestamp() AS at FROM a TIMESTAMP BY t"),
    ("union", "SELECT n FROM a TIMESTAMP BY t UNION SELECT n FROM b TIMESTAMP BY t"),
    ("tumbling", "SELECT k, COUNT(*) AS c FROM a TIMESTAMP BY t GROUP BY k, Tumbling(second, 3)"),
    (
        "tumbling offset",
        "SELECT SUM(n) AS s FROM a TIMESTAMP BY t GROUP BY Tumbling(Duration(second, 3), Offset(millisecond, -1))",
    ),
    ("hopping", "SELECT SUM(n) AS s FROM a TIMESTAMP BY t GROUP BY Hopping(second, 5, 2)"),
    ("hopping apart", "SELECT COUNT(*) AS c FROM a TIMESTAMP BY t GROUP BY Hopping(second, 2, 3)"),
    ("sliding", "SELECT k, MIN(n) AS s FROM a TIMESTAMP BY t GROUP BY k, Sliding(second, 2)"),
    (
        "lag",
        "SELECT n, LAG(n, 2, -1) OVER (PARTITION BY k LIMIT DURATION(second, 3)) AS p FROM a TIMESTAMP BY t",
    ),
    ("lag when", "SELECT n, LAG(n) OVER (LIMIT DURATION(second, 3) WHEN n > 1) AS p FROM a TIMESTAMP BY t"),
    ("last", "SELECT n, LAST(n) OVER (LIMIT DURATION(second, 3) WHEN k = 'a') AS p FROM a TIMESTAMP BY t"),
    ("isfirst", "SELECT n, ISFIRST(second, 3) OVER (PARTITION BY k) AS f FROM a TIMESTAMP BY t"),
    (
        "join",
        "SELECT l.n AS x, r.n AS y FROM a l TIMESTAMP BY t JOIN b r TIMESTAMP BY t ON DATEDIFF(second, l, r) BETWEEN 0 AND 2",
    ),
    (
        "join back",
        "SELECT l.n AS x, r.n AS y FROM a l TIMESTAMP BY t JOIN b r TIMESTAMP BY t ON DATEDIFF(second, l, r) BETWEEN -3 AND -1",
    ),
    (
        "join across",
        "SELECT l.n AS x, r.n AS y FROM a l TIMESTAMP BY t JOIN b r TIMESTAMP BY t ON l.k = r.k AND DATEDIFF(second, l, r) BETWEEN -1 AND 1",
    ),
    (
        "left join",
        "SELECT l.n AS x, r.n AS y FROM a l TIMESTAMP BY t LEFT JOIN b r TIMESTAMP BY t ON DATEDIFF(second, l, r) BETWEEN -1 AND 2",
    ),
    (
        "left join after",
        "SELECT l.n AS x, r.n AS y FROM a l TIMESTAMP BY t LEFT JOIN b r TIMESTAMP BY t ON DATEDIFF(second, l, r) BETWEEN 1 AND 2",
    ),
    ("session", "SELECT COUNT(*) AS c, SUM(n) AS s FROM a TIMESTAMP BY t GROUP BY Session(second, 2, 3)"),
    (
        "session by key",
        "SELECT k, MAX(n) AS m FROM a TIMESTAMP BY t GROUP BY k, Session(second, 2, 2) OVER (PARTITION BY k)",
    ),
    (
        "session to the check point",
        "SELECT COUNT(*) AS c FROM a TIMESTAMP BY t GROUP BY Session(second, 2, 2)",
    ),
    ("snapshot", "SELECT k, COUNT(*) AS c FROM a TIMESTAMP BY t GROUP BY k, System.Timestamp()"),
    (
        "windows",
        "SELECT SUM(n) AS s FROM a TIMESTAMP BY t GROUP BY Windows(Tumbling(second, 2), Hopping(second, 4, 1), Sliding(second, 1))",
    ),
    ("over", "SELECT n, SUM(n) OVER (PARTITION BY k LIMIT DURATION(second, 3)) AS s FROM a TIMESTAMP BY t"),
    (
        "over when",
        "SELECT n, MAX(n) OVER (LIMIT DURATION(second, 3) WHEN k = 'a') AS m FROM a TIMESTAMP BY t",
    ),
    ("over list", "SELECT n, COLLECT() OVER (LIMIT DURATION(second, 2)) AS l FROM a TIMESTAMP BY t"),
    (
        "apply",
        "SELECT a.n, e.ArrayIndex AS i, e.ArrayValue AS v FROM a TIMESTAMP BY t CROSS APPLY GetArrayElements(a.list) AS e",
    ),
    ("reference", "SELECT a.n, r.says FROM a TIMESTAMP BY t JOIN r ON a.k = r.k"),
    ("left reference", "SELECT a.n, r.says FROM a TIMESTAMP BY t LEFT JOIN r ON a.n = r.n"),
    (
        "match",
        "SELECT * FROM a TIMESTAMP BY t MATCH_RECOGNIZE (LIMIT DURATION(second, 3) PARTITION BY k \
         MEASURES First(A.n) AS f, Last(B.n) AS l AFTER MATCH SKIP TO NEXT ROW PATTERN (A C* B) \
         DEFINE A AS A.n < 2, B AS B.n >= 2) AS m",
    ),
    ("substreams", "SELECT k, n FROM a TIMESTAMP BY t OVER k"),
    (
        "left join before",
        "SELECT l.n AS x, r.n AS y FROM a l TIMESTAMP BY t LEFT JOIN b r TIMESTAMP BY t ON DATEDIFF(second, l, r) BETWEEN -2 AND -1",
    ),
];

/// Lookbacks add along these. That is enough; to the tick it is not always needed (`Plan::lookback`).
pub(crate) const CHAINS: &[&str] = &[
    "WITH s AS (SELECT k, COUNT(*) AS c FROM a TIMESTAMP BY t GROUP BY k, Tumbling(second, 2)) \
     SELECT k, SUM(c) AS s FROM s GROUP BY k, Sliding(second, 3)",
    "WITH s AS (SELECT k, COUNT(*) AS c FROM a TIMESTAMP BY t GROUP BY k, Sliding(second, 1)) \
     SELECT k, c, LAG(c) OVER (LIMIT DURATION(second, 4)) AS p FROM s",
    "WITH s AS (SELECT k, n, LAG(n, 1, 0) OVER (LIMIT DURATION(second, 2)) AS p FROM a TIMESTAMP BY t) \
     SELECT SUM(p) AS s FROM s GROUP BY Hopping(second, 4, 1)",
    "WITH s AS (SELECT l.k AS k, r.n AS n FROM a l TIMESTAMP BY t LEFT JOIN b r TIMESTAMP BY t ON DATEDIFF(second, l, r) BETWEEN 0 AND 1) \
     SELECT k, COUNT(*) AS c, SUM(n) AS s FROM s GROUP BY k, Tumbling(second, 3)",
    "SELECT l.n AS x, m.n AS y, r.n AS z FROM a l TIMESTAMP BY t JOIN b m TIMESTAMP BY t ON DATEDIFF(second, l, m) BETWEEN 0 AND 2 \
     LEFT JOIN b r TIMESTAMP BY t ON DATEDIFF(second, l, r) BETWEEN -1 AND 1",
    "WITH s AS (SELECT k, COUNT(*) AS c FROM a TIMESTAMP BY t GROUP BY k, Session(second, 1, 2)) \
     SELECT k, c, SUM(c) OVER (PARTITION BY k LIMIT DURATION(second, 2)) AS p FROM s",
    "WITH s AS (SELECT n, COLLECT() OVER (LIMIT DURATION(second, 1)) AS l FROM a TIMESTAMP BY t), \
     e AS (SELECT s.n, e.ArrayIndex AS i FROM s CROSS APPLY GetArrayElements(s.l) AS e) \
     SELECT i, MAX(n) AS m FROM e GROUP BY i, Session(second, 2, 2)",
    "WITH s AS (SELECT * FROM a TIMESTAMP BY t MATCH_RECOGNIZE (LIMIT DURATION(second, 2) MEASURES First(A.n) AS f, Last(B.n) AS l \
     AFTER MATCH SKIP TO NEXT ROW PATTERN (A B+) DEFINE A AS A.n < 3, B AS B.n > First(A.n)) AS m) \
     SELECT COUNT(*) AS c, SUM(l) AS s FROM s GROUP BY Hopping(second, 3, 1)",
    "WITH s AS (SELECT k, COUNT(*) AS c FROM a TIMESTAMP BY t GROUP BY k, Tumbling(second, 1)) \
     SELECT c, COUNT(*) AS keys FROM s GROUP BY c, System.Timestamp()",
    "SELECT n, ISFIRST(second, 2) OVER (WHEN n > 0) AS f, LAST(n) OVER (LIMIT DURATION(second, 3) WHEN n < 3) AS p FROM a TIMESTAMP BY t",
];
