//! MATCH_RECOGNIZE by hand-made plans, against a matcher that lists every way through the pattern. Catches a
//! search that misses a way, takes them in the wrong order, or looks past its limit.

mod support;

use proptest::prelude::*;
use rewindow_query::expr::{CompareOp, Expr, Predicate};
use rewindow_query::plan::{Match, MatchExpr, MatchTerm, Op, Pattern, Variable};
use rewindow_query::{Entry, Plan, Span, Value};
use support::*;

fn var(variable: usize) -> Pattern {
    Pattern::Variable(variable)
}

fn some(pattern: Pattern, least: u32, most: Option<u32>) -> Pattern {
    Pattern::Repeat(Box::new(pattern), least, most)
}

fn seq(parts: impl IntoIterator<Item = Pattern>) -> Pattern {
    Pattern::Sequence(parts.into_iter().collect())
}

/// `V AS V.v = letter`, over the first term.
fn letter(name: &str, letter: &str) -> Variable {
    let define = Predicate::Compare(CompareOp::Equal, Expr::Column(0), Expr::Literal(Value::text(letter)));
    Variable { name: name.into(), define, terms: vec![MatchTerm::Current(Expr::Column(V))] }
}

fn measure(term: MatchTerm) -> MatchExpr {
    MatchExpr { expr: Expr::Column(0), terms: vec![term] }
}

/// Partitioned by `k`, with the classifier and the measures given.
fn matching(pattern: Pattern, variables: Vec<Variable>, limit: i64, measures: Vec<MatchTerm>) -> Plan {
    let mut build = Build::default();
    let source = build.source(0, false);
    let mut names = vec!["by".to_owned()];
    names.extend((0..measures.len()).map(|i| format!("m{i}")));
    let mut all = vec![("by".into(), measure(MatchTerm::Classifier))];
    let measures = measures.into_iter().map(measure);
    all.extend(measures.enumerate().map(|(i, measure)| (format!("m{i}").into(), measure)));
    let partition = vec![Expr::Column(K)];
    let op = Op::Match(Match { limit: Span::seconds(limit), partition, variables, pattern, measures: all });
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    build.add(op, &[source], &names);
    build.plan()
}

/// One event a second from 1 on, of one key.
fn spelled(letters: &str) -> Vec<Entry> {
    (1..).zip(letters.chars()).map(|(t, c)| event(t, "x", c.to_string().as_str())).collect()
}

fn abc() -> Vec<Variable> {
    vec![letter("A", "a"), letter("B", "b"), letter("C", "c")]
}

#[test]
fn rule_9_2_a_pattern_is_a_regular_expression() {
    let plan = |pattern| matching(pattern, abc(), 100, vec![]);
    let a_bs_c = seq([var(0), some(var(1), 1, None), var(2)]);
    check(&plan(a_bs_c), spelled("abbcac"), r#"4 ["A","B","B","C"]"#);
    let greedy = some(var(0), 1, None);
    check(&plan(greedy), spelled("aab"), "2 [\"A\",\"A\"] \n 2 [\"A\"]"); // skip to the next row
    let leftmost = Pattern::Either(vec![var(0), seq([var(0), var(1)])]);
    check(&plan(leftmost), spelled("ab"), r#"1 ["A"]"#);
    let backtracks = seq([some(Pattern::Any, 0, None), var(1)]);
    check(&plan(backtracks), spelled("abab"), "4 [\"B\"] \n 4 [\"B\"] \n 4 [\"B\"] \n 4 [\"B\"]");
    let empty_first = Pattern::Either(vec![some(var(1), 0, None), var(0)]);
    check(&plan(empty_first), spelled("a"), r#"1 ["A"]"#);
    check(&plan(some(some(var(0), 0, None), 0, None)), spelled("ab"), r#"1 ["A"]"#);
    check(&plan(some(some(var(0), 0, None), 3, None)), spelled("ab"), r#"1 ["A"]"#);
    check(
        &plan(seq([some(var(0), 2, None), some(var(1), 0, Some(1))])),
        spelled("aab"),
        r#"3 ["A","A","B"]"#,
    );
}

#[test]
fn rule_9_2_all_events_lie_within_the_limit() {
    let plan = |limit| matching(some(var(0), 1, None), abc(), limit, vec![]);
    check(&plan(2), spelled("aaa"), "2 [\"A\",\"A\"] \n 3 [\"A\",\"A\"] \n 3 [\"A\"]");
    check(&plan(3), vec![event(1, "x", "a"), event(4, "x", "a")], "1 [\"A\"] \n 4 [\"A\"]");
}

#[test]
fn rule_9_4_definitions_see_the_events_so_far_and_their_own() {
    // UP AS UP.v >= Max(UP.v) AND Last(UP.v) < 9
    let up = Variable {
        name: "UP".into(),
        define: Predicate::And(vec![
            Predicate::Compare(CompareOp::GreaterOrEqual, Expr::Column(0), Expr::Column(1)),
            Predicate::Compare(CompareOp::Less, Expr::Column(2), Expr::Literal(Value::Int(9))),
        ]),
        terms: vec![
            MatchTerm::Current(Expr::Column(V)),
            MatchTerm::Max(0, Expr::Column(V)),
            MatchTerm::Last(0, Expr::Column(V)),
        ],
    };
    let x = || Expr::Column(V);
    let measures = vec![
        MatchTerm::First(0, x()),
        MatchTerm::Last(0, x()),
        MatchTerm::Min(0, x()),
        MatchTerm::Max(0, x()),
        MatchTerm::First(1, x()),
    ];
    let none = letter("NONE", "-");
    let plan = matching(some(var(0), 2, None), vec![up, none], 100, measures);
    let entries =
        vec![event(1, "a", 1), event(2, "b", 9), event(3, "a", 4), event(4, "a", 6), event(5, "a", 2)];
    let expected = r#"4 ["UP","UP","UP"] 1 6 1 6 null
        4 ["UP","UP"] 4 6 4 6 null"#;
    check(&plan, entries, expected);
}

#[test]
fn c_match_fails_where_it_tests() {
    // B AS CAST(B.v AS bigint) = 1: text fails when it is tested, and only then.
    let is_one = Variable {
        name: "B".into(),
        define: Predicate::Compare(CompareOp::Equal, cast(0), Expr::Literal(Value::Int(1))),
        terms: vec![MatchTerm::Current(Expr::Column(V))],
    };
    let plan = matching(seq([var(0), var(1)]), vec![letter("A", "a"), is_one], 100, vec![]);
    check(&plan, vec![event(1, "x", "z"), event(2, "x", "z")], "");
    check(
        &plan,
        vec![event(1, "x", "a"), event(2, "x", 1), event(3, "x", "a"), event(4, "x", "z")],
        "2 [\"A\",\"B\"] \n 4 failed",
    );
    let hopeless = seq([some(some(Pattern::Any, 0, None), 0, None), var(0)]);
    check(&matching(hopeless, abc(), 100, vec![]), spelled(&"b".repeat(30)), "1 failed");
}

/// Every way of taking a pattern from a place on, in order of preference: how many events each has taken.
fn ways(pattern: &Pattern, letters: &[char], from: usize) -> Vec<usize> {
    let one = |fits: bool| if fits { vec![from + 1] } else { Vec::new() };
    match pattern {
        Pattern::Variable(v) => one(letters.get(from) == Some(&['a', 'b', 'c'][*v])),
        Pattern::Any => one(from < letters.len()),
        Pattern::Either(branches) => branches.iter().flat_map(|branch| ways(branch, letters, from)).collect(),
        Pattern::Sequence(parts) => parts
            .iter()
            .fold(vec![from], |at, part| at.into_iter().flat_map(|at| ways(part, letters, at)).collect()),
        Pattern::Repeat(part, 0, most) => {
            let mut all = Vec::new();
            if *most != Some(0) {
                let rest = Pattern::Repeat(part.clone(), 0, most.map(|most| most - 1));
                for at in ways(part, letters, from).into_iter().filter(|&at| at > from) {
                    all.extend(ways(&rest, letters, at));
                }
            }
            all.push(from);
            all
        }
        Pattern::Repeat(part, least, most) => {
            let rest = Pattern::Repeat(part.clone(), least - 1, most.map(|most| most - 1));
            ways(part, letters, from).into_iter().flat_map(|at| ways(&rest, letters, at)).collect()
        }
    }
}

fn pattern() -> impl Strategy<Value = Pattern> {
    let leaf = prop_oneof![(0usize..3).prop_map(Pattern::Variable), Just(Pattern::Any)];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..3).prop_map(Pattern::Sequence),
            prop::collection::vec(inner.clone(), 1..3).prop_map(Pattern::Either),
            (inner, 0u32..3, prop::option::of(0u32..2)).prop_map(|(part, least, more)| some(
                part,
                least,
                more.map(|more| least + more)
            )),
        ]
    })
}

proptest! {
    #[test]
    fn rule_9_3_the_first_way_that_takes_an_event_is_the_match(pattern in pattern(), letters in "[abc]{0,5}") {
        let characters: Vec<char> = letters.chars().collect();
        let mut expected: Vec<(usize, usize)> = Vec::new();
        for first in 0..characters.len() {
            let found = ways(&pattern, &characters, first).into_iter().find(|&end| end > first);
            expected.extend(found.map(|end| (end, first)));
        }
        expected.sort_unstable();
        let plan = matching(pattern, abc(), 100, vec![]);
        let answer = ask(&plan, spelled(&letters));
        prop_assume!(answer.failure.is_none());
        let ends: Vec<String> = answer.rows.iter().map(|row| seconds(row.timestamp)).collect();
        let expected: Vec<String> = expected.iter().map(|(end, _)| end.to_string()).collect();
        prop_assert_eq!(ends, expected);
    }
}
