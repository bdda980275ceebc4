//! `udf.*` and `uda.*` in JavaScript (choice C-SCRIPT): what goes in and comes out, what a script may not do, and
//! model and engine of one mind over checkpoints.
//!
//! What no other suite would catch: something kept from one call to the next, a clock or dice within reach, a
//! script that never ends, a state lost by a checkpoint. Without the feature `javascript` it asks that scripts
//! are refused by name.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use rewindow::javascript::register;
use rewindow_query::Functions;
use rewindow_query::functions::Script;

fn script(name: &str, source: &str) -> Script {
    Script { name: name.to_owned(), source: source.into() }
}

#[test]
fn a_script_must_be_named_as_a_query_calls_it() {
    for name in ["f", "udf.", "udf.a b", "x.f", "udf.f.g"] {
        let error = register(Functions::default(), &[script(name, "function main() {}")]).unwrap_err();
        assert_eq!((error.name.as_str(), error.code), (name, "script-name"));
    }
}

#[cfg(not(feature = "javascript"))]
#[test]
fn without_the_feature_scripts_are_refused_by_name() {
    let error = register(Functions::default(), &[script("udf.f", "function main() {}")]).unwrap_err();
    assert_eq!((error.name.as_str(), error.code), ("udf.f", "script-feature"));
    assert!(error.help.contains("--features javascript"));
}

#[cfg(feature = "javascript")]
mod with_an_interpreter {
    use std::sync::Arc;

    use rewindow::choices::{Choices, Seeded};
    use rewindow_engine::Setup;
    use rewindow_query::json::{from_json, to_json};
    use rewindow_query::{
        Declared, Entry, Failure, History, Ordering, Payload, Plan, Policy, Record, Row, Span, Timestamp,
        Value, analyse_with,
    };
    use serde_json::{Value as Json, json};

    use super::{Functions, register, script};

    const ORDERING: Ordering = Ordering { late: Span(0), out_of_order: Span(0), policy: Policy::Adjust };

    fn plan(query: &str, scripts: &[(&str, &str)]) -> Arc<Plan> {
        let scripts: Vec<_> = scripts.iter().map(|(name, source)| script(name, source)).collect();
        let functions = register(Functions::default(), &scripts).unwrap();
        let declared = Declared { functions: Some(&functions), ..Declared::default() };
        Arc::new(analyse_with(query, &declared).unwrap())
    }

    fn event(offset: u64, second: i64, members: Vec<(Arc<str>, Value)>) -> Entry {
        let payload = Payload::Event(Arc::new(Record::new(members)));
        Entry { input: 0, partition: 0, offset, arrival: Timestamp(second * 10_000_000), payload }
    }

    /// What `main` gives for these arguments, or how it fails.
    fn call(source: &str, arguments: &[Value]) -> Result<Value, String> {
        let names: Vec<String> = (0..arguments.len()).map(|at| format!("a{at}")).collect();
        let query = format!("SELECT udf.f({}) AS r INTO o FROM s", names.join(", "));
        let plan = plan(&query, &[("udf.f", source)]);
        let members = names.iter().map(|name| name.as_str().into()).zip(arguments.iter().cloned()).collect();
        let history = History::of(vec![event(0, 100, members)]);
        let answer = rewindow_model::answer(&plan, &ORDERING, &[1], &history);
        match answer.failure {
            Some(failure) => Err(failure.message),
            None => Ok(answer.rows[0].record.get("r").unwrap().clone()),
        }
    }

    #[track_caller]
    fn gives(body: &str, arguments: Json, expected: Json) {
        let source = format!("function main(a, b) {{ {body} }}");
        let arguments: Vec<Value> =
            arguments.as_array().unwrap().iter().map(|json| from_json(json).unwrap()).collect();
        assert_eq!(call(&source, &arguments).map(|value| to_json(&value)), Ok(expected), "{body}");
    }

    #[track_caller]
    fn fails(source: &str, word: &str) {
        let error = call(source, &[Value::Int(1)]).unwrap_err();
        assert!(error.starts_with("udf.f: ") && error.contains(word), "{source}: {error}");
    }

    #[test]
    fn types_are_mapped_as_the_service_does() {
        gives("return a + b", json!([1, 2]), json!(3));
        gives("return a + b", json!([0.5, 2]), json!(2.5));
        gives("return a / 2", json!([4.0]), json!(2));
        gives("return typeof a + a.length", json!(["é"]), json!("string1"));
        gives("return a === null", json!([null]), json!(true));
        gives(
            "return [a.x, a.list[1], Object.keys(a)]",
            json!([{"x": 1, "list": [1, 2]}]),
            json!([1, 2, ["x", "list"]]),
        );
        gives(
            "return {z: a, y: [null, undefined], when: new Date('2024-03-05T10:20:30.5')}",
            json!([1]),
            json!({"z": 1, "y": [null, null], "when": "2024-03-05T10:20:30.5000000Z"}),
        );
        gives("", json!([1]), json!(null));
        gives("return a", json!([9007199254740993_i64]), json!(9007199254740992_i64));
        gives("return 1e300", json!([]), json!(1e300));
        gives("return -0", json!([]), json!(0));
        let at = Timestamp::parse("2024-03-05T23:59:59.1239999Z").unwrap();
        let source = "function main(d) { d.setHours(d.getHours() + 1); return [d instanceof Date, d, d.getDate(), String(d)]; }";
        let found = call(source, &[Value::Datetime(at)]).map(|value| to_json(&value));
        let expected = json!([true, "2024-03-06T00:59:59.1230000Z", 6, "2024-03-06T00:59:59.123Z"]);
        assert_eq!(found, Ok(expected));
    }

    #[test]
    fn what_is_no_value_of_the_language_fails() {
        for (result, word) in [
            ("NaN", "NaN"),
            ("1 / 0", "Infinity"),
            ("function () {}", "function is no value"),
            ("Symbol()", "symbol is no value"),
            ("10n", "bigint is no value"),
            ("new Date(NaN)", "invalid Date"),
            ("new Date(8.64e15)", "years 1 to 9999"),
            ("new Map()", "class of its own"),
            ("(function deep(n) { return n ? [deep(n - 1)] : 0; })(100)", "deeper than 64"),
            ("(function () { var a = []; a.push(a); return a; })()", "deeper than 64"),
        ] {
            fails(&format!("function main() {{ return {result}; }}"), word);
        }
        fails("function main() { throw new RangeError('no'); }", "RangeError: no");
        fails("function main() { throw 'no'; }", "threw no");
        fails("function main(a) { return a.b.c; }", "TypeError");
    }

    #[test]
    fn there_is_no_clock_no_dice_and_no_outside() {
        for source in [
            "Date.now()",
            "new Date()",
            "Date()",
            "Math.random()",
            "new Date(1).toLocaleString()",
            "new (new Date(1)).constructor()",
            "Object.getPrototypeOf(new Date(1)).constructor.now()",
        ] {
            fails(&format!("function main() {{ return {source}; }}"), "not available");
        }
        for name in [
            "require",
            "process",
            "fetch",
            "console",
            "setTimeout",
            "performance",
            "Promise",
            "WeakRef",
            "Deno",
            "os",
            "std",
        ] {
            gives(&format!("return typeof {name}"), json!([]), json!("undefined"));
        }
        // A script is in UTC wherever it runs.
        gives(
            "return [new Date(2024, 0, 1), new Date('2024-01-01T00:00'), new Date(0).getTimezoneOffset()]",
            json!([]),
            json!(["2024-01-01T00:00:00.0000000Z", "2024-01-01T00:00:00.0000000Z", 0]),
        );
        fails("function main() { return new Date('1 Jan 2024'); }", "invalid Date");
    }

    #[test]
    fn nothing_is_kept_from_one_call_to_the_next() {
        let keeps = [
            "var n = 0; function main() { n += 1; return n; }",
            "let n = 0; var main = function () { return ++n; }",
            "var main = (function () { var n = 0; return function () { return ++n; }; })();",
            "function main() { main.n = (main.n || 0) + 1; return main.n; }",
            "function main() { globalThis.n = (globalThis.n || 0) + 1; return 1; }",
            "function main() { Array.prototype.n = (Array.prototype.n || 0) + 1; return [].n === undefined ? 1 : [].n; }",
            "function main() { for (i = 0; i < 3; i++) m = typeof m === 'undefined' ? 1 : m; return m; }",
            "function main() { try { JSON = null; delete globalThis.Math; undefined = 3; } catch (e) {} return typeof JSON === 'object' && typeof Math === 'object' ? 1 : 2; }",
            "var r = /a/g; function main() { r.test('aa'); return r.lastIndex; }",
            "function main() { try { Math.n = 1; Object.prototype.toString = null; } catch (e) {} return String({}).length === 15 && Math.n === undefined ? 1 : 2; }",
        ];
        for source in keeps {
            let plan = plan("SELECT udf.f() AS r INTO o FROM s", &[("udf.f", source)]);
            let history = History::of((0..3).map(|at| event(at, 100, Vec::new())).collect());
            let answer = rewindow_model::answer(&plan, &ORDERING, &[1], &history);
            let found: Vec<_> = answer.rows.iter().map(|row| row.record.get("r").cloned()).collect();
            assert_eq!(answer.failure, None, "{source}");
            assert_eq!(found, vec![Some(Value::Int(1)); 3], "{source}");
        }
        for source in ["Object.defineProperty(globalThis, 'n', { value: 1 })", "Object.freeze(globalThis)"] {
            fails(&format!("function main() {{ {source}; return 1; }}"), "for good");
        }
        // Classes of errors are redefined in every second script.
        let source = "class E extends Error { constructor(m) { super(m); this.name = 'E'; } toString() { return 'x'; } }
            function main() { try { throw new E('m'); } catch (e) { return e.name + e.message + e; } }";
        assert_eq!(call(source, &[]), Ok(Value::text("Emx")));
    }

    #[test]
    fn a_script_that_goes_too_far_is_stopped() {
        fails("function main() { for (;;) {} }", "million steps");
        fails("function main() { try { for (;;) {} } catch (e) { return 1; } }", "million steps");
        fails("function main() { return (function f() { return f() + 1; })(); }", "");
        fails("function main() { var a = []; for (;;) a.push('x'.repeat(1 << 20) + a.length); }", "");
        fails("function main() { return /(a+)+$/.test('a'.repeat(40) + 'b'); }", "");
        // It goes on working for those after it.
        gives("return a", json!([1]), json!(1));
    }

    #[test]
    fn what_is_no_script_is_refused_when_it_is_read() {
        for (name, source, word) in [
            ("udf.f", "function main( {", "SyntaxError"),
            ("udf.f", "function mein() {}", "main"),
            ("udf.f", "var main = 1;", "no function"),
            ("udf.f", "for (;;) {}", "million steps"),
            ("udf.f", "throw new Error('early')", "early"),
            (
                "uda.f",
                "function main() { this.init = function () {}; this.accumulate = function () {}; }",
                "computeResult",
            ),
            ("uda.f", "function main() { return 1; }", "init"),
        ] {
            let error = register(Functions::default(), &[script(name, source)]).unwrap_err();
            assert_eq!((error.name.as_str(), error.code), (name, "script-invalid"));
            assert!(error.message.contains(word), "{source}: {}", error.message);
        }
    }

    const RANGE: &str = "// The mean, the times of the first and last value, and how many.
        function main() {
            this.init = function () { this.values = []; this.low = Infinity; this.none = -0; };
            this.accumulate = function (value, timestamp) {
                this.values.push([value, timestamp]);
                this.low = Math.min(this.low, value);
            };
            this.computeResult = function () {
                if (this.values.length === 0) return null;
                var last = this.values[this.values.length - 1];
                return { low: this.low, first: this.values[0][1], last: last[1], n: this.values.length, zero: 1 / this.none < 0 };
            };
        }";

    const SUM: &str = "function main() {
            this.init = function () { this.state = 0; }
            this.accumulate = function (value, timestamp) { this.state += value; }
            this.deaccumulate = function (value, timestamp) { this.state -= value; }
            this.deaccumulateState = function (otherState) { this.state -= otherState.state; }
            this.computeResult = function () { return this.state; }
        }";

    fn engine(plan: &Arc<Plan>, history: &History, saved: bool) -> Vec<Row> {
        let setup = Setup::new(plan.clone(), plan.shards(&[1]).remove(0), ORDERING);
        let mut instance = setup.clone().start(Timestamp::MIN);
        let mut rows = Vec::new();
        let mut run = || -> Result<(), Failure> {
            for entry in &history.entries {
                if saved {
                    instance = setup.clone().restore(&instance.checkpoint()).unwrap();
                }
                rows.extend(instance.feed(0, 0, std::slice::from_ref(entry))?.rows);
            }
            rows.extend(instance.finish()?.rows);
            Ok(())
        };
        run().unwrap();
        rows
    }

    #[test]
    fn aggregates_agree_with_the_model_over_checkpoints_and_with_sum() {
        let windows =
            ["Tumbling(second, 5)", "Hopping(second, 7, 3)", "Sliding(second, 4)", "Session(second, 2, 9)"];
        let mut rows = 0;
        for (number, window) in windows.iter().enumerate() {
            let query = format!(
                "SELECT k, SUM(v) AS s, uda.sum(v) AS u, uda.range(v) AS r INTO o FROM s GROUP BY k, {window}"
            );
            let plan = plan(&query, &[("uda.sum", SUM), ("uda.range", RANGE)]);
            for seed in 0..10 {
                let mut choices = Seeded::new(number as u64, seed);
                let mut second = 100;
                let entries = (0..20).map(|offset| {
                    second += choices.range(0, 3);
                    let v = choices.range(-5, 9);
                    let members = vec![
                        ("k".into(), Value::Int(choices.range(0, 1))),
                        ("v".into(), if v == 9 { Value::Null } else { Value::Int(v) }),
                    ];
                    event(offset, second, members)
                });
                let history = History::of(entries.collect());
                let answer = rewindow_model::answer(&plan, &ORDERING, &[1], &history);
                assert_eq!(answer.failure, None);
                for row in &answer.rows {
                    let (sum, own) = (row.record.get("s").unwrap(), row.record.get("u").unwrap());
                    assert_eq!(own, if sum.is_null() { &Value::Int(0) } else { sum });
                }
                assert_eq!(engine(&plan, &history, false), answer.rows, "{window}");
                assert_eq!(engine(&plan, &history, true), answer.rows, "{window}, saved");
                rows += answer.rows.len();
            }
        }
        assert!(rows > 300, "{rows}");
    }
}
