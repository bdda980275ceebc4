//! Hostile text: whatever the bytes, an answer comes back, and an error points inside the text.
//!
//! What this suite alone catches: panics and runaway recursion of lexer, grammar and analysis, and plans
//! that break the invariants of `plan.rs`, on texts nobody would write.

use proptest::prelude::*;
use rewindow_query::expr::Expr;
use rewindow_query::plan::{Item, Match, MatchTerm, Op};
use rewindow_query::{Plan, analyse};

/// How many of the pieces are whole queries.
const WHOLE: usize = 7;

/// Whole queries and pieces that texts are cut and sewn from.
const PIECES: &[&str] = &[
    "SELECT a.x, LAG(a.v, 2, 0) OVER (PARTITION BY a.k LIMIT DURATION(minute, 5) WHEN a.v > 1) AS p \
     FROM A a TIMESTAMP BY t LEFT JOIN B b TIMESTAMP BY t ON a.k = b.k AND DATEDIFF(second, a, b) BETWEEN -1 AND 5",
    "WITH s AS (SELECT *, v * 2 AS w FROM A PARTITION BY PartitionId WHERE v BETWEEN 1 AND 2), \
     t AS (SELECT k, COUNT(*) AS n, MAX(v) FROM s PARTITION BY PartitionId GROUP BY k, Hopping(minute, 10, 5)) \
     SELECT * INTO o FROM t PARTITION BY PartitionId WHERE n > 3 SELECT k FROM s UNION ALL SELECT k FROM t",
    "SELECT CASE k WHEN 1 THEN 'x' ELSE CAST(v AS nvarchar(max)) END AS c, System.Timestamp() AS at FROM A \
     WHERE v LIKE '%a!_' ESCAPE '!' OR NOT (v IN (1, 2.5, NULL)) AND -v % 3 !< ~1 ^ 2",
    "SELECT SUM(v) AS s, AVG(v + 1), COUNT(DISTINCT A) FROM A GROUP BY Sliding(Duration(second, 1.5)), x.[0].y \
     HAVING s > 1",
    "CREATE TABLE A (t datetime, v float); SELECT System.Window().Id, k, CollectTop(2, v) OVER (ORDER BY v DESC, t), \
     PERCENTILE_DISC(0.5) OVER (ORDER BY v), COLLECT() FROM A TIMESTAMP BY t OVER k GROUP BY k, \
     Windows(Window('a', Session(minute, 1, 5) OVER (PARTITION BY k)), Window('b', System.Timestamp()))",
    "SELECT m.k, r.w, e.ArrayValue.z, SUM(m.v) OVER (PARTITION BY m.k LIMIT DURATION(hour, 1) WHEN m.v > 1) AS s, *, \
     REGEXMATCH(m.k, 'x') AS g FROM M m JOIN R r ON m.k = r.k AND r.x > 1 OUTER APPLY GetArrayElements(m.list.[0]) e",
    "SELECT * FROM A TIMESTAMP BY t PARTITION BY PartitionId MATCH_RECOGNIZE (LIMIT DURATION(minute, 1) PARTITION BY k \
     MEASURES First(X.v) AS a, Max(Y.v) - Y.v AS b, Classifier() AS c AFTER MATCH SKIP TO NEXT ROW \
     PATTERN (X+ (Y | Z){2,3}W?) DEFINE X AS X.v > 1, Y AS v < Last(X.v) AND Y.v > Min(Y.v)) AS T WHERE T.a > 1",
    " SELECT ",
    " FROM ",
    " ( ",
    " ) ",
    ",",
    ".",
    "*",
    " OVER ",
    " AS ",
    " GROUP BY ",
    "'",
    "\"",
    "[",
    "]",
    "--",
    "/*",
    "*/",
    ";",
    " NULL ",
    " 1e308 ",
    " 9223372036854775807 ",
    " - ",
    " CASE WHEN ",
    " é ",
    "\u{0}",
    " TIMESTAMP BY ",
    " PARTITION BY ",
    " JOIN ",
    " ON ",
    " UNION ",
    " INTO ",
    " WITH ",
    " Tumbling(minute, 1) ",
    " LAST(*) OVER (LIMIT DURATION(hour, 1)) ",
    " ISFIRST(day, 7) ",
    " DATEDIFF(minute, a, b) = 0 ",
    " CROSS APPLY GetRecordProperties(a) p ",
    " TopOne() OVER (ORDER BY v) ",
    " System.Window().Id ",
    " MATCH_RECOGNIZE ( ",
    " CREATE TABLE B (k bigint) ",
    " JOIN R ON R.k = A.k ",
    " Session(hour, 1, 2) ",
    " {2,} ",
    "?",
    " System.Timestamp ",
];

fn text() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(PIECES);
    let cut =
        (piece, any::<prop::sample::Index>(), any::<prop::sample::Index>()).prop_map(|(piece, a, b)| {
            let mut ends: Vec<usize> = piece.char_indices().map(|(i, _)| i).chain([piece.len()]).collect();
            let (a, b) = (ends[a.index(ends.len())], ends[b.index(ends.len())]);
            ends.clear();
            // Half of the pieces stay whole, so that deep parts of the analysis are reached as well.
            if a % 2 == 0 { piece.to_owned() } else { piece[a.min(b)..a.max(b)].to_owned() }
        });
    prop_oneof![
        prop::collection::vec(cut, 1..6).prop_map(|pieces| pieces.concat()),
        mutated(),
        any::<String>(),
    ]
}

/// A whole query with one place overwritten, taken out or doubled.
fn mutated() -> impl Strategy<Value = String> {
    let whole = prop::sample::select(&PIECES[..WHOLE]);
    let patch = prop::sample::select(&PIECES[WHOLE..]);
    (whole, patch, any::<prop::sample::Index>(), 0_usize..12).prop_map(|(whole, patch, at, gone)| {
        let starts: Vec<usize> = whole.char_indices().map(|(i, _)| i).collect();
        let at = starts[at.index(starts.len())];
        let end = (at + gone).min(whole.len());
        format!("{}{patch}{}", &whole[..at], &whole[end..])
    })
}

fn check(text: &str) {
    match analyse(text, None) {
        Ok(plan) => check_plan(&plan),
        Err(error) => {
            assert!(
                error.place.start <= error.place.end && text.get(error.place.clone()).is_some(),
                "{error:?}"
            );
            assert!(rewindow_query::codes::ALL.iter().any(|(code, _)| *code == error.code), "{error:?}");
        }
    }
}

/// The invariants of `plan.rs`.
fn check_plan(plan: &Plan) {
    for (id, node) in plan.nodes.iter().enumerate() {
        assert!(node.inputs.iter().all(|&input| input < id), "inputs stand before their readers");
        assert!(plan.text.get(node.place.clone()).is_some());
        let width: usize = node.inputs.iter().map(|&input| plan.nodes[input].columns.len()).sum();
        let below = |expr: &Expr| {
            expr.visit(&mut |e| {
                assert!(!matches!(e, Expr::Column(i) if *i >= width), "{expr:?} over {width} columns")
            });
        };
        let emitted = match &node.op {
            Op::Source(source) => {
                let own = source.columns.len();
                source.timestamp_by.iter().for_each(|by| {
                    by.visit(&mut |e| assert!(!matches!(e, Expr::Column(i) if *i >= own)));
                });
                source.over.iter().for_each(|key| {
                    key.visit(&mut |e| assert!(!matches!(e, Expr::Column(i) if *i >= own)));
                });
                own
            }
            Op::Filter(predicate) => {
                predicate.visit(&mut |e| below(e));
                width
            }
            Op::Project(project) => {
                for item in &project.items {
                    let (Item::Column(_, expr) | Item::Spread(expr)) = item;
                    below(expr);
                    let last = plan.outputs.iter().any(|output| output.node == id);
                    assert!(last || matches!(item, Item::Column(..)), "only the last projection spreads");
                }
                project.items.len()
            }
            Op::Group(group) => {
                group.keys.iter().chain(&group.session_by).for_each(below);
                group.calls.iter().flat_map(|call| &call.order).for_each(|(key, _)| below(key));
                group.calls.iter().filter_map(|call| call.argument.as_ref()).for_each(below);
                group.keys.len() + group.calls.len()
            }
            Op::Join(join) => {
                join.on.visit(&mut |e| below(e));
                assert!(join.bound.left < join.left_columns && join.left_columns + join.bound.right < width);
                width
            }
            Op::Union => {
                let first = plan.nodes[node.inputs[0]].columns.len();
                assert!(node.inputs.iter().all(|&input| plan.nodes[input].columns.len() == first));
                first
            }
            Op::Lag(_) | Op::Last(_) | Op::IsFirst(_) => width + 1,
            Op::Over(over) => {
                over.partition.iter().chain(&over.call.argument).for_each(below);
                over.when.iter().for_each(|when| when.visit(&mut |e| below(e)));
                width + 1
            }
            Op::Apply(apply) => {
                below(&apply.argument);
                width + 2
            }
            Op::ReferenceJoin(join) => {
                assert!(join.left_columns == width && join.reference < plan.references.len());
                let all = width + join.columns.len();
                join.on.visit(&mut |e| assert!(!matches!(e, Expr::Column(i) if *i >= all)));
                join.equal.iter().for_each(|(left, right)| {
                    below(left);
                    let own = join.columns.len();
                    right.visit(&mut |e| assert!(!matches!(e, Expr::Column(i) if *i >= own)));
                });
                all
            }
            Op::Match(pattern) => {
                check_match(pattern, &below);
                pattern.measures.len()
            }
        };
        assert_eq!(node.columns.len(), emitted, "{id} of\n{plan}");
        assert!(!plan.describe(id).is_empty());
    }
    for (index, output) in plan.outputs.iter().enumerate() {
        assert!(matches!(plan.nodes[output.node].op, Op::Project(_)), "an output ends in a projection");
        assert_eq!(plan.lookback_path(index).last(), Some(&output.node));
    }
    let _ = plan.fingerprint();
}

/// Terms range over the events, definitions and measures over their terms.
fn check_match(pattern: &Match, below: &dyn Fn(&Expr)) {
    pattern.partition.iter().for_each(below);
    let term = |term: &MatchTerm| match term {
        MatchTerm::Current(expr) => below(expr),
        MatchTerm::First(variable, expr)
        | MatchTerm::Last(variable, expr)
        | MatchTerm::Min(variable, expr)
        | MatchTerm::Max(variable, expr) => {
            assert!(*variable < pattern.variables.len());
            below(expr);
        }
        MatchTerm::Classifier => {}
    };
    for variable in &pattern.variables {
        variable.terms.iter().for_each(term);
        let own = variable.terms.len();
        variable.define.visit(&mut |e| assert!(!matches!(e, Expr::Column(i) if *i >= own)));
    }
    for (_, measure) in &pattern.measures {
        measure.terms.iter().for_each(term);
        let own = measure.terms.len();
        measure.expr.visit(&mut |e| assert!(!matches!(e, Expr::Column(i) if *i >= own)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_gets_an_answer(text in text()) {
        check(&text);
    }
}

#[test]
fn the_whole_pieces_are_accepted_so_that_their_mutants_reach_far() {
    for whole in &PIECES[..WHOLE] {
        let plan = analyse(whole, None).unwrap_or_else(|e| panic!("{whole}: {} {}", e.code, e.message));
        check_plan(&plan);
    }
}

#[test]
fn what_repeats_without_end_is_refused_and_does_not_overflow() {
    let n = 20_000;
    for text in [
        format!("SELECT {}1 AS x FROM A", "-".repeat(n).replace("--", "- -")),
        format!("SELECT {}1 AS x FROM A", "~".repeat(n)),
        format!("SELECT 1{} AS x FROM A", " + 1".repeat(n)),
        format!("SELECT a FROM A WHERE {}a = 1", "NOT ".repeat(n)),
        format!("SELECT {}1{} AS x FROM A", "CASE WHEN 1 = 1 THEN ".repeat(n / 10), " END".repeat(n / 10)),
        format!("SELECT {}1{} AS x FROM A", "COALESCE(".repeat(n), ")".repeat(n)),
        format!("SELECT a{} FROM A", ".b".repeat(n)),
        format!("SELECT a{}.* FROM A", ".b".repeat(n)),
        format!("SELECT a FROM A WHERE a IN (1{})", ", 1".repeat(n)),
        format!("SELECT a FROM A WHERE a = 1{}", " OR a = 1".repeat(n)),
        format!(
            "SELECT {}1{} AS x FROM A",
            "CASE ".repeat(40),
            " WHEN 1 THEN 2 WHEN 3 THEN 4 END".repeat(40)
        ),
        doubling_steps(40),
        matching(&"(".repeat(n), "A", &")".repeat(n)),
        matching("A", &"*".repeat(n), ""),
        format!(
            "SELECT {} FROM A GROUP BY Windows({})",
            (0..2_000).map(|i| format!("MAX(a{i})x{i}")).collect::<Vec<_>>().join(","),
            vec!["Tumbling(s,1)"; 6_000].join(",")
        ),
        matching("A", &"{2}".repeat(n / 3), ""),
        matching("A", &" | B A".repeat(n / 5), ""),
        format!("SELECT a{} FROM A", ".[0]".repeat(n)),
        format!("SELECT 1 AS x FROM A {}", "CROSS APPLY GetArrayElements(A.x) AS y ".repeat(1_000)),
        // As many names as fit, so that what is looked up by walking a list is seen to stay bearable.
        format!("SELECT {} FROM A", (0..n).map(|i| format!("a{i}")).collect::<Vec<_>>().join(",")),
        format!(
            "SELECT 1 AS x FROM A WHERE {}",
            (0..n / 2).map(|i| format!("a{i}=1")).collect::<Vec<_>>().join(" OR ")
        ),
    ] {
        check(&text);
    }
}

fn matching(open: &str, inner: &str, close: &str) -> String {
    format!(
        "SELECT * FROM I MATCH_RECOGNIZE (LIMIT DURATION(minute, 1) MEASURES First(A.v) AS v \
         AFTER MATCH SKIP TO NEXT ROW PATTERN ({open}{inner}{close}) DEFINE A AS A.v > 1) AS T"
    )
}

/// Each step joins the one before with itself and passes all columns on.
fn doubling_steps(steps: usize) -> String {
    let mut text = "WITH s0 AS (SELECT a, b FROM A)".to_owned();
    for i in 1..steps {
        let before = i - 1;
        text.push_str(&format!(
            ", s{i} AS (SELECT x.*, y.* FROM s{before} x JOIN s{before} y ON DATEDIFF(minute, x, y) = 0)"
        ));
    }
    format!("{text} SELECT a FROM s{}", steps - 1)
}
