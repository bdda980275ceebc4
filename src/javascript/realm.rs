//! The interpreter: a script at work, within limits of steps, memory and depth.
//!
//! Each thread keeps a realm for each script, in which everything is frozen and the script is made anew for
//! every call. A call that fails there, or takes more than half of what is allowed, is made once more in a realm
//! of its own, which alone decides; so a limit is met at the same place whatever was called before. Knows
//! values only as JSON. Invariant: a realm is entered by one call at a time.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use rewindow_query::{Accumulator, Timestamp, Value};
use rquickjs::context::EvalOptions;
use rquickjs::context::intrinsic::{
    Date, Eval, Json as JsonObject, MapSet, RegExp, RegExpCompiler, TypedArrays,
};
use rquickjs::function::Function;
use rquickjs::{CatchResultExt, Context, Ctx, Persistent, Runtime};
use serde_json::{Value as Json, json};

use super::values::{decode, encode};

/// What there is of the language: no Promise, Proxy, WeakRef, performance.
type Parts = (Date, Eval, RegExpCompiler, RegExp, JsonObject, MapSet, TypedArrays);

const PRELUDE: &str = include_str!("prelude.js");

/// Most bytes a call may hold.
const MEMORY_MAX: usize = 64 << 20;

/// Most bytes of stack a call may use.
const STACK_MAX: usize = 256 << 10;

/// How often a call may be asked whether to go on: about once in ten thousand steps.
const LOOKS_MAX: u32 = 2_000;

/// Most realms a thread keeps.
const REALMS_MAX: usize = 64;

/// The text of a script.
#[derive(Clone)]
pub(super) struct Source(Arc<str>);

impl Source {
    pub(super) fn new(text: Arc<str>) -> Source {
        Source(text)
    }

    /// Whether it has a function `main`.
    pub(super) fn check(&self) -> Result<(), String> {
        Realm::new(&self.0, LOOKS_MAX, MEMORY_MAX).map(|_| ())
    }

    /// The function of these values.
    pub(super) fn call(&self, arguments: &[Value]) -> Result<Value, String> {
        let arguments = encode(&Value::Array(arguments.to_vec().into()));
        decode(&self.run("call", &arguments)?)
    }

    fn run(&self, kind: &str, argument: &Json) -> Result<Json, String> {
        thread_local! {
            static REALMS: RefCell<BTreeMap<Arc<str>, Realm>> = const { RefCell::new(BTreeMap::new()) };
        }
        let text = argument.to_string();
        let quick = REALMS.with_borrow_mut(|realms| {
            if !realms.contains_key(&self.0) {
                if realms.len() >= REALMS_MAX {
                    realms.clear();
                }
                let realm = Realm::new(&self.0, LOOKS_MAX / 2, MEMORY_MAX / 2).ok()?;
                realms.insert(self.0.clone(), realm);
            }
            let found = realms.get(&self.0)?.run(kind, &text);
            if found.is_err() {
                // It may have been left in the middle of something.
                realms.remove(&self.0);
            }
            found.ok()
        });
        let found = match quick {
            Some(found) => found,
            None => Realm::new(&self.0, LOOKS_MAX, MEMORY_MAX)?.run(kind, &text)?,
        };
        serde_json::from_str(&found).map_err(|error| format!("gave no JSON: {error}"))
    }
}

/// An interpreter with one script in it. Fields are given up in this order.
struct Realm {
    /// Calls the script: (make, kind, argument as JSON) to the result as JSON.
    caller: Persistent<Function<'static>>,
    /// Makes the script anew, gives its `main`.
    make: Persistent<Function<'static>>,
    context: Context,
    looks: Rc<RefCell<u32>>,
    looks_max: u32,
    runtime: Runtime,
}

impl Realm {
    fn new(source: &str, looks_max: u32, memory_max: usize) -> Result<Realm, String> {
        let broken = |error: rquickjs::Error| format!("the interpreter does not start: {error}");
        let runtime = Runtime::new().map_err(broken)?;
        runtime.set_memory_limit(memory_max);
        runtime.set_max_stack_size(STACK_MAX);
        let looks = Rc::new(RefCell::new(0));
        let looked = looks.clone();
        runtime.set_interrupt_handler(Some(Box::new(move || {
            let mut looks = looked.borrow_mut();
            *looks += 1;
            *looks > looks_max
        })));
        let context = Context::custom::<Parts>(&runtime).map_err(broken)?;
        // The line in front keeps the numbers of lines in messages those of the file.
        let made = format!("(function () {{ {source}\n; return main; }})");
        let functions = context.with(|ctx| {
            let caller: Function<'_> = ctx.eval(PRELUDE).catch(&ctx).map_err(words(&looks, looks_max))?;
            let mut sloppy = EvalOptions::default();
            sloppy.strict = false;
            let evaluated = ctx.eval_with_options(made, sloppy).catch(&ctx);
            let make: Function<'_> = evaluated.map_err(words(&looks, looks_max))?;
            let main: rquickjs::Value<'_> = make.call(()).catch(&ctx).map_err(words(&looks, looks_max))?;
            if !main.is_function() {
                return Err("`main` is no function".to_owned());
            }
            Ok((Persistent::save(&ctx, caller), Persistent::save(&ctx, make)))
        });
        let (caller, make) = functions?;
        Ok(Realm { caller, make, context, looks, looks_max, runtime })
    }

    fn run(&self, kind: &str, text: &str) -> Result<String, String> {
        *self.looks.borrow_mut() = 0;
        self.runtime.set_max_stack_size(STACK_MAX);
        self.context.with(|ctx: Ctx<'_>| {
            let restored = (self.caller.clone().restore(&ctx), self.make.clone().restore(&ctx));
            let (Ok(caller), Ok(make)) = restored else { return Err("a realm of another thread".to_owned()) };
            let found = caller.call::<_, String>((make, kind, text)).catch(&ctx);
            found.map_err(words(&self.looks, self.looks_max))
        })
    }
}

/// What went wrong, in words.
fn words<'js>(looks: &RefCell<u32>, looks_max: u32) -> impl Fn(rquickjs::CaughtError<'js>) -> String {
    let stopped = *looks.borrow() > looks_max;
    move |error| match error {
        _ if stopped => format!("stopped after about {} million steps", looks_max / 100),
        rquickjs::CaughtError::Exception(exception) => {
            let message = exception.message().unwrap_or_default();
            let name = exception.get::<_, String>("name").unwrap_or_else(|_| "Error".to_owned());
            format!("{name}: {message}")
        }
        rquickjs::CaughtError::Value(value) => match value.as_string().and_then(|text| text.to_string().ok())
        {
            Some(text) => format!("threw {text}"),
            None => format!("threw a {}", value.type_name()),
        },
        rquickjs::CaughtError::Error(error) => error.to_string(),
    }
}

/// A `uda`: its state is what its object holds besides functions, as text.
pub(super) struct Aggregate {
    source: Source,
    takes_back: bool,
    takes_back_states: bool,
}

impl Aggregate {
    /// Whether it has what an aggregate needs.
    pub(super) fn new(source: Source) -> Result<Aggregate, String> {
        source.check()?;
        let methods = source.run("methods", &Json::Null)?;
        let has = |name: &str| methods.as_array().is_some_and(|all| all.iter().any(|have| have == name));
        for needed in ["init", "accumulate", "computeResult"] {
            if !has(needed) {
                return Err(format!("the object it makes has no {needed}"));
            }
        }
        let (takes_back, takes_back_states) = (has("deaccumulate"), has("deaccumulateState"));
        Ok(Aggregate { source, takes_back, takes_back_states })
    }

    fn method(&self, name: &str, state: Json, arguments: &[Json]) -> Result<Json, String> {
        let all = [json!(name), state].into_iter().chain(arguments.iter().cloned()).collect();
        self.source.run("method", &Json::Array(all))
    }

    fn step(&self, name: &str, state: &Value, arguments: &[Json]) -> Result<Value, String> {
        Ok(Value::text(self.method(name, parsed(state)?, arguments)?.to_string()))
    }
}

/// The state that an aggregate gave.
fn parsed(state: &Value) -> Result<Json, String> {
    match state {
        Value::Text(text) => serde_json::from_str(text).map_err(|error| format!("no state: {error}")),
        _ => Err("no state".to_owned()),
    }
}

impl Accumulator for Aggregate {
    fn init(&self, _: &[Value]) -> Result<Value, String> {
        Ok(Value::text(self.method("init", Json::Null, &[])?.to_string()))
    }

    fn accumulate(&self, state: Value, value: &Value, timestamp: Timestamp) -> Result<Value, String> {
        self.step("accumulate", &state, &[encode(value), encode(&Value::Datetime(timestamp))])
    }

    fn compute(&self, state: &Value) -> Result<Value, String> {
        decode(&self.method("computeResult", parsed(state)?, &[])?)
    }

    fn takes_back(&self) -> bool {
        self.takes_back
    }

    fn deaccumulate(&self, state: Value, value: &Value, timestamp: Timestamp) -> Result<Value, String> {
        self.step("deaccumulate", &state, &[encode(value), encode(&Value::Datetime(timestamp))])
    }

    fn takes_back_states(&self) -> bool {
        self.takes_back_states
    }

    fn deaccumulate_state(&self, state: Value, leaving: &Value) -> Result<Value, String> {
        self.step("deaccumulateState", &state, &[parsed(leaving)?])
    }
}
