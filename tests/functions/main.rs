//! Functions, operators, casts and aggregates over payloads of every kind: the engine's columns give bit for bit
//! what the model gives row by row, and fail where it fails.
//!
//! What no other suite would catch: the two evaluators read a rule of section 10 differently for some value that
//! nobody thought of (the ends of the numbers and of the calendar, characters of several code points, types that
//! do not belong), or both are wrong about something that can be said in a few lines ([`by_hand`]).

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

mod asked;
mod by_hand;
mod payload;
mod reached;
#[path = "../support/mod.rs"]
mod support;
mod worked;

use rewindow::choices::{Choices, Seeded};
use rewindow::generate::aggregate::{aggregate, over};
use rewindow::generate::expression::{Family, Scope, Want, predicate, typed};

use asked::{Asked, Question};
use support::{Reached, Search};

/// Expressions asked about together: one fault is one failure, so fewer would see more and cost more.
const TOGETHER: i64 = 3;

/// An expression over [`payload::columns`], without alias.
fn expression(choices: &mut dyn Choices, scope: &Scope<'_>) -> String {
    let depth = u32::try_from(choices.range(1, 3)).unwrap();
    match choices.weighted(&[6, 2, 1]) {
        1 => format!("CASE WHEN {} THEN 1 ELSE 0 END", predicate(choices, scope, depth)),
        2 => {
            let to = ["bigint", "float", "nvarchar(max)", "datetime", "bit", "array", "record"];
            let lenient = *choices.pick(&["CAST", "TRY_CAST", "TRY_CAST"]);
            format!("{lenient}({} AS {})", choices.pick(&["x", "y"]), choices.pick(&to))
        }
        _ => {
            let wants = [
                Want::Number,
                Want::Text,
                Want::Instant,
                Want::Array,
                Want::Record,
                Want::Shape,
                Want::Anything,
            ];
            let want = wants[choices.weighted(&[6, 5, 3, 1, 1, 2, 3])];
            typed(choices, scope, want, depth).text
        }
    }
}

#[test]
fn every_function_gives_what_the_model_gives() {
    let search = Search::new("functions", 20_000);
    let mut reached = Reached::default();
    let columns = payload::columns();
    search.run(
        |number, seeded| {
            let choices: &mut dyn Choices = seeded;
            let off = Family::some(choices);
            let risky = !choices.chance(1, 4);
            let scope = Scope { columns: &columns, qualifier: "", timestamp: true, off: &off, risky };
            let mut items = vec!["x".to_owned(), "y".to_owned()];
            items.extend((0..TOGETHER).map(|_| expression(choices, &scope)));
            let events = payload::events(choices, 8);
            Question::new(items, "FROM i", events).ask(&mut Seeded::new(1, number))
        },
        |asked: Vec<Asked>| asked.iter().for_each(|asked| reached::expressions(asked, &mut reached)),
    );
    search.require(&reached, &reached::required_of_expressions());
}

fn window(choices: &mut dyn Choices) -> &'static str {
    choices.pick::<&str>(&[
        "TumblingWindow(second, 4)",
        "HoppingWindow(second, 5, 2)",
        "SlidingWindow(second, 3)",
        "SessionWindow(second, 2, 5)",
        "System.Timestamp()",
    ])
}

/// Of whole events.
const WHOLE: [&str; 5] = [
    "COLLECT()",
    "COUNT(i)",
    "COUNT(DISTINCT i)",
    "TOPONE() OVER (ORDER BY m DESC)",
    "COLLECTTOP(2) OVER (ORDER BY m, n DESC)",
];

/// Aggregates over groups or with OVER, and what stands behind them.
fn aggregated(choices: &mut dyn Choices, scope: &Scope<'_>) -> (Vec<String>, String) {
    let per_row = choices.chance(1, 3);
    let limit = format!("second, {}", choices.range(1, 6));
    let mut items = Vec::new();
    for _ in 0..choices.range(1, 3) {
        let depth = u32::try_from(choices.range(0, 1)).unwrap();
        items.push(match per_row {
            false if choices.chance(1, 8) => choices.pick::<&str>(&WHOLE).to_string(),
            true => over(choices, scope, &limit, depth).text,
            false => aggregate(choices, scope, depth).text,
        });
    }
    let filter = if choices.chance(1, 8) { " WHERE n IS NOT NULL" } else { "" };
    if per_row {
        return (items, format!("FROM i{filter}"));
    }
    let key = if choices.chance(1, 3) { "b, " } else { "" };
    (items, format!("FROM i{filter} GROUP BY {key}{}", window(choices)))
}

#[test]
fn every_aggregate_gives_what_the_model_gives() {
    let search = Search::new("aggregates", 12_000);
    let mut reached = Reached::default();
    let columns = payload::columns();
    search.run(
        |number, seeded| {
            let choices: &mut dyn Choices = seeded;
            let off = Family::some(choices);
            let risky = choices.chance(1, 3);
            let scope = Scope { columns: &columns, qualifier: "", timestamp: true, off: &off, risky };
            let (items, tail) = aggregated(choices, &scope);
            // Now and then so many that lists are thinned out and panes add up.
            let most = if choices.chance(1, 16) { 60 } else { 14 };
            let events = payload::events(choices, most);
            Question::new(items, &tail, events).ask(&mut Seeded::new(2, number))
        },
        |asked: Vec<Asked>| asked.iter().for_each(|asked| reached::aggregates(asked, &mut reached)),
    );
    search.require(&reached, &reached::required_of_aggregates());
}
