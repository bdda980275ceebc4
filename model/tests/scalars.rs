//! Scalar expressions and predicates as tables: what they give, where they fail, what they do not reach.
//! Catches a wrong answer that all rows share, which no comparison of two runs could see.

mod support;

use rewindow_query::expr::{BinaryOp, CompareOp, Expr, Function, Predicate};
use rewindow_query::{Timestamp, Type, Unit, Value};
use support::*;

fn int(int: i64) -> Expr {
    Expr::Literal(Value::Int(int))
}

fn float(float: f64) -> Expr {
    Expr::Literal(Value::Float(float))
}

fn txt(text: &str) -> Expr {
    Expr::Literal(Value::text(text))
}

fn bit(bit: bool) -> Expr {
    Expr::Literal(Value::Bit(bit))
}

fn time(text: &str) -> Expr {
    Expr::Literal(Value::Datetime(Timestamp::parse(text).expect("a test writes ISO text")))
}

fn null() -> Expr {
    Expr::Literal(Value::Null)
}

fn array(items: &[i64]) -> Expr {
    Expr::Literal(Value::Array(items.iter().copied().map(Value::Int).collect()))
}

/// An expression whose evaluation fails.
fn failing() -> Expr {
    op(int(1), BinaryOp::Divide, int(0))
}

fn op(left: Expr, op: BinaryOp, right: Expr) -> Expr {
    Expr::Binary(op, Box::new(left), Box::new(right))
}

fn call(function: Function, arguments: impl IntoIterator<Item = Expr>) -> Expr {
    Expr::Call(function, arguments.into_iter().collect())
}

fn cast_to(expr: Expr, to: Type) -> Expr {
    Expr::Cast { expr: Box::new(expr), to, lenient: false }
}

fn is(left: Expr, op: CompareOp, right: Expr) -> Predicate {
    Predicate::Compare(op, left, right)
}

/// The value as JSON, or `fails`.
fn shown(expr: Expr) -> String {
    let mut build = Build::default();
    let source = build.source(0, false);
    build.select(source, &[("x", expr)]);
    let answer = ask(&build.plan(), vec![event(0, "a", 1)]);
    match answer.rows.first().and_then(|row| row.record.get("x")) {
        Some(value) => value.to_string(),
        None => "fails".to_owned(),
    }
}

/// `yes`, `no`, or `fails`.
fn held(predicate: Predicate) -> String {
    let shown = shown(Expr::Case(vec![(predicate, txt("yes"))], Box::new(txt("no"))));
    shown.trim_matches('"').to_owned()
}

#[track_caller]
fn values<const N: usize>(table: [(Expr, &str); N]) {
    for (expr, expected) in table {
        assert_eq!(shown(expr.clone()), expected, "{expr:?}");
    }
}

#[track_caller]
fn predicates<const N: usize>(table: [(Predicate, &str); N]) {
    for (predicate, expected) in table {
        assert_eq!(held(predicate.clone()), expected, "{predicate:?}");
    }
}

#[test]
fn c_arith() {
    use BinaryOp::*;
    values([
        (op(int(7), Divide, int(2)), "3"),
        (op(int(-7), Divide, int(2)), "-3"),
        (op(int(-7), Modulo, int(2)), "-1"),
        (op(int(7), Modulo, int(-2)), "1"),
        (op(int(i64::MIN), Modulo, int(-1)), "0"),
        (op(int(i64::MIN), Divide, int(-1)), "fails"),
        (op(int(i64::MAX), Add, int(1)), "fails"),
        (op(int(1), Modulo, int(0)), "fails"),
        (op(int(7), Divide, float(2.0)), "3.5"),
        (op(float(1.0), Divide, float(0.0)), "fails"),
        (op(float(1e308), Multiply, float(10.0)), "fails"),
        (op(bit(true), Add, bit(true)), "2"),
        (op(bit(true), Subtract, float(0.5)), "0.5"),
        (op(null(), Add, array(&[])), "null"),
        (op(txt("a"), Add, txt("b")), "\"ab\""),
        (op(txt("at "), Add, time("2024-03-05")), "\"at 2024-03-05T00:00:00.0000000Z\""),
        (op(txt("a"), Add, int(1)), "fails"),
        (op(txt("1"), Subtract, txt("1")), "fails"),
        (op(time("2024-03-05"), Add, time("2024-03-05")), "fails"),
        (op(array(&[1]), Add, int(1)), "fails"),
        (Expr::Negate(Box::new(int(i64::MIN))), "fails"),
        (Expr::Negate(Box::new(bit(true))), "-1"),
        (Expr::Negate(Box::new(txt("1"))), "fails"),
    ]);
}

#[test]
fn rule_5_11_bitwise() {
    use BinaryOp::*;
    values([
        (op(int(170), BitAnd, int(75)), "10"),
        (op(int(170), BitOr, int(75)), "235"),
        (op(int(170), BitXor, int(75)), "225"),
        (op(bit(true), BitXor, bit(true)), "false"),
        (op(bit(true), BitAnd, int(3)), "1"),
        (op(null(), BitAnd, txt("x")), "null"),
        (op(float(1.0), BitAnd, int(1)), "fails"),
        (Expr::BitNot(Box::new(int(170))), "-171"),
        (Expr::BitNot(Box::new(bit(true))), "false"),
        (Expr::BitNot(Box::new(float(1.0))), "fails"),
    ]);
}

#[test]
fn c_compare() {
    use CompareOp::*;
    predicates([
        (is(int(1), Equal, float(1.0)), "yes"),
        (is(bit(true), Equal, int(1)), "yes"),
        (is(int(9_007_199_254_740_993), Greater, float(9_007_199_254_740_992.0)), "yes"),
        (is(txt("B"), Less, txt("a")), "yes"),
        (is(time("2024-03-05T12:00:00Z"), Equal, txt("2024-03-05T13:00:00+01:00")), "yes"),
        (is(txt("2024-03-05"), LessOrEqual, time("2024-03-06")), "yes"),
        (is(txt("2024-03-05"), Equal, txt("2024-03-05T00:00:00Z")), "no"),
        (is(int(1), NotEqual, txt("a")), "no"),
        (is(int(1), Equal, txt("1")), "no"),
        (is(time("2024-03-05"), NotEqual, txt("soon")), "no"),
        (is(null(), NotEqual, int(1)), "no"),
        (is(null(), Equal, null()), "no"),
        (Predicate::Not(Box::new(is(null(), Equal, int(1)))), "yes"),
        (is(array(&[1]), Equal, array(&[1])), "yes"),
        (is(array(&[1]), NotEqual, array(&[2])), "yes"),
        (is(array(&[1]), Less, array(&[2])), "no"),
        (Predicate::IsNull(null()), "yes"),
    ]);
}

#[test]
fn rule_2_1_neither_form_holds_with_null() {
    let like = |expr: Expr, pattern: Expr, negated| Predicate::Like { expr, pattern, escape: None, negated };
    let between =
        |expr: Expr, low: Expr, high: Expr, negated| Predicate::Between { expr, low, high, negated };
    let is_in = |expr: Expr, list: &[Expr], negated| Predicate::In { expr, list: list.to_vec(), negated };
    predicates([
        (like(txt("abc"), txt("a%"), false), "yes"),
        (like(txt("abc"), txt("a%"), true), "no"),
        (like(null(), txt("a%"), false), "no"),
        (like(null(), txt("a%"), true), "no"),
        (like(txt("abc"), null(), true), "no"),
        (like(int(7), txt("7"), false), "no"),
        (like(int(7), txt("7"), true), "yes"),
        (between(int(2), int(2), int(3), false), "yes"),
        (between(int(3), int(2), int(3), false), "yes"),
        (between(int(4), int(2), int(3), false), "no"),
        (between(int(4), int(2), int(3), true), "yes"),
        (between(null(), int(2), int(3), true), "no"),
        (between(int(1), int(2), null(), true), "no"),
        (between(int(1), int(2), failing(), false), "no"),
        (between(int(1), int(2), failing(), true), "fails"),
        (is_in(int(1), &[null(), int(1)], false), "yes"),
        (is_in(int(2), &[null(), int(1)], false), "no"),
        (is_in(int(2), &[int(1), null()], true), "no"),
        (is_in(int(2), &[int(1), txt("a")], true), "yes"),
        (is_in(null(), &[int(1)], true), "no"),
        (is_in(int(1), &[float(1.0), failing()], false), "yes"),
        (is_in(null(), &[failing()], false), "no"),
        (is_in(int(2), &[int(1), failing()], false), "fails"),
    ]);
}

#[test]
fn c_eval_what_is_not_reached_cannot_fail() {
    use CompareOp::*;
    let (yes, no, bad) =
        (|| Predicate::Constant(true), || Predicate::Constant(false), || is(failing(), Equal, int(1)));
    predicates([
        (Predicate::And(vec![no(), bad()]), "no"),
        (Predicate::And(vec![yes(), bad()]), "fails"),
        (Predicate::Or(vec![yes(), bad()]), "yes"),
        (Predicate::Or(vec![no(), bad()]), "fails"),
    ]);
    values([
        (call(Function::Coalesce, [null(), int(1), failing()]), "1"),
        (call(Function::Coalesce, [null(), null()]), "null"),
        (Expr::Case(vec![(yes(), int(1)), (bad(), int(2))], Box::new(failing())), "1"),
        (Expr::Case(vec![(no(), failing())], Box::new(int(3))), "3"),
        (op(null(), BinaryOp::Add, failing()), "fails"),
    ]);
}

#[test]
fn c_cast() {
    use Type::*;
    values([
        (cast_to(float(2.7), Bigint), "2"),
        (cast_to(float(-2.7), Bigint), "-2"),
        (cast_to(float(9_223_372_036_854_775_808.0), Bigint), "fails"),
        (cast_to(float(-9_223_372_036_854_775_808.0), Bigint), "-9223372036854775808"),
        (cast_to(txt("  +12 "), Bigint), "12"),
        (cast_to(txt("12.0"), Bigint), "fails"),
        (cast_to(txt(""), Bigint), "fails"),
        (cast_to(bit(true), Bigint), "1"),
        (cast_to(time("2024-03-05"), Bigint), "fails"),
        (cast_to(txt("-1.5e2"), Float), "-150.0"),
        (cast_to(txt("NaN"), Float), "fails"),
        (cast_to(txt("infinity"), Float), "fails"),
        (cast_to(txt("1e999"), Float), "fails"),
        (cast_to(bit(false), Float), "0.0"),
        (cast_to(float(70.0), Text), "\"70\""),
        (cast_to(float(-0.0), Text), "\"0\""),
        (cast_to(float(1e21), Text), "\"1000000000000000000000\""),
        (cast_to(float(0.1), Text), "\"0.1\""),
        (cast_to(bit(true), Text), "\"1\""),
        (cast_to(array(&[1, 2]), Text), "\"[1,2]\""),
        (cast_to(time("2024-03-05"), Text), "\"2024-03-05T00:00:00.0000000Z\""),
        (cast_to(txt("2024-03-05 06:00"), Datetime), "\"2024-03-05T06:00:00.0000000Z\""),
        (cast_to(int(5), Datetime), "fails"),
        (cast_to(float(0.25), Bit), "true"),
        (cast_to(txt("TRUE"), Bit), "true"),
        (cast_to(txt("yes"), Bit), "fails"),
        (cast_to(txt("[1]"), Array), "fails"),
        (cast_to(null(), Array), "null"),
        (Expr::Cast { expr: Box::new(txt("x")), to: Bigint, lenient: true }, "null"),
        (Expr::Cast { expr: Box::new(failing()), to: Bigint, lenient: true }, "fails"),
    ]);
}

#[test]
fn rule_10_datediff_counts_boundaries() {
    use Function::DateDiff;
    values([
        (call(DateDiff(Unit::Minute), [txt("2024-03-05T12:00:59Z"), txt("2024-03-05T12:01:00Z")]), "1"),
        (call(DateDiff(Unit::Minute), [txt("2024-03-05T12:00:00Z"), txt("2024-03-05T12:00:59Z")]), "0"),
        (call(DateDiff(Unit::Second), [txt("2024-03-05T12:00:10Z"), txt("2024-03-05T12:00:05Z")]), "-5"),
        (call(DateDiff(Unit::Year), [txt("2023-12-31T23:59:59Z"), txt("2024-01-01")]), "1"),
        (call(DateDiff(Unit::Quarter), [txt("2024-03-31"), txt("2024-04-01")]), "1"),
        (call(DateDiff(Unit::Month), [txt("2024-03-31"), txt("2023-02-01")]), "-13"),
        (call(DateDiff(Unit::Week), [txt("2024-03-02"), txt("2024-03-03")]), "1"),
        (call(DateDiff(Unit::Week), [txt("2024-03-03"), txt("2024-03-09")]), "0"),
        (call(DateDiff(Unit::Weekday), [txt("2024-03-03"), txt("2024-03-09")]), "6"),
        (call(DateDiff(Unit::Day), [txt("soon"), txt("2024-03-09")]), "fails"),
        (call(DateDiff(Unit::Day), [txt("soon"), null()]), "null"),
    ]);
}

#[test]
fn c_date() {
    use Function::*;
    let t = || txt("2024-02-29T13:14:15.1234567Z");
    values([
        (call(DateAdd(Unit::Month), [int(1), txt("2024-01-31")]), "\"2024-02-29T00:00:00.0000000Z\""),
        (call(DateAdd(Unit::Year), [int(-1), t()]), "\"2023-02-28T13:14:15.1234567Z\""),
        (call(DateAdd(Unit::Quarter), [int(1), txt("2024-11-30")]), "\"2025-02-28T00:00:00.0000000Z\""),
        (call(DateAdd(Unit::Day), [float(1.9), txt("2024-01-31")]), "\"2024-02-01T00:00:00.0000000Z\""),
        (call(DateAdd(Unit::Weekday), [int(-1), txt("2024-03-01")]), "\"2024-02-29T00:00:00.0000000Z\""),
        (call(DateAdd(Unit::Microsecond), [int(1), txt("2024-01-01")]), "\"2024-01-01T00:00:00.0000010Z\""),
        (call(DateAdd(Unit::Year), [int(8000), t()]), "fails"),
        (call(DateAdd(Unit::Hour), [int(i64::MAX), t()]), "fails"),
        (call(DateAdd(Unit::Hour), [txt("1"), t()]), "fails"),
        (call(DatePart(Unit::Year), [t()]), "2024"),
        (call(DatePart(Unit::Quarter), [t()]), "1"),
        (call(DatePart(Unit::DayOfYear), [t()]), "60"),
        (call(DatePart(Unit::Weekday), [t()]), "5"),
        (call(DatePart(Unit::Week), [txt("2024-01-06")]), "1"),
        (call(DatePart(Unit::Week), [txt("2024-01-07")]), "2"),
        (call(DatePart(Unit::Hour), [t()]), "13"),
        (call(DatePart(Unit::Millisecond), [t()]), "123"),
        (call(DatePart(Unit::Microsecond), [t()]), "123456"),
        (call(DateName(Unit::Month), [t()]), "\"February\""),
        (call(DateName(Unit::Weekday), [t()]), "\"Thursday\""),
        (call(DateName(Unit::Day), [t()]), "\"29\""),
        (call(DateTimeFromParts, [2024, 2, 29, 1, 2, 3, 4].map(int)), "\"2024-02-29T01:02:03.0040000Z\""),
        (call(DateTimeFromParts, [2023, 2, 29, 1, 2, 3, 4].map(int)), "fails"),
        (call(DateTimeFromParts, [2024, 2, 28, 24, 0, 0, 0].map(int)), "fails"),
        (call(DateTimeFromParts, [i64::MAX; 7].map(int)), "fails"),
    ]);
}

#[test]
fn c_call() {
    use Function::*;
    values([
        (call(NullIf, [int(1), float(1.0)]), "null"),
        (call(NullIf, [int(1), null()]), "1"),
        (call(NullIf, [int(1), txt("x")]), "1"),
        (call(GetType, [int(1)]), "\"bigint\""),
        (call(GetType, [txt("x")]), "\"nvarchar(max)\""),
        (call(GetType, [null()]), "null"),
        (call(Abs, [int(-3)]), "3"),
        (call(Abs, [int(i64::MIN)]), "fails"),
        (call(Abs, [float(-2.5)]), "2.5"),
        (call(Abs, [txt("1")]), "fails"),
        (call(Ceiling, [float(1.2)]), "2.0"),
        (call(Floor, [float(-1.2)]), "-2.0"),
        (call(Floor, [int(5)]), "5"),
        (call(Sign, [float(-0.5)]), "-1.0"),
        (call(Sign, [float(0.0)]), "0.0"),
        (call(Sign, [int(9)]), "1"),
        (call(Len, [txt("äb ")]), "2"),
        (call(Len, [txt(" ab")]), "3"),
        (call(Len, [time("2024-03-05")]), "28"),
        (call(Len, [int(12)]), "fails"),
        (call(Len, [null()]), "null"),
        (call(Upper, [txt("straße")]), "\"STRASSE\""),
        (call(Lower, [txt("ABC")]), "\"abc\""),
        (call(Concat, [txt("x"), null(), txt("y")]), "\"xy\""),
        (call(Concat, [null(), null()]), "\"\""),
        (call(Concat, [txt("x"), int(1)]), "fails"),
        (Expr::Member(Box::new(null()), "a".into()), "null"),
        (Expr::Member(Box::new(int(1)), "a".into()), "null"),
    ]);
}
