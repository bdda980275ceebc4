//! Random aggregates over the columns of a scope.
//!
//! Knows what each aggregate takes (rule 6.1), not what it gives in numbers. Invariant: the analysis accepts
//! every text made here, in the SELECT or HAVING of a grouping ([`aggregate`]) or per row ([`over`]).

use rewindow_query::value::Type;

use super::expression::{Family, Scope, Want, Written, argument, predicate, typed};
use crate::choices::Choices;

const PERCENTS: [&str; 9] = ["0.5", "0", "1", "0.95", "0.25", "0.3333333333333333", "0.1", "0.999", "5e-324"];

/// An aggregate for the SELECT or HAVING of a grouping; its arguments are at most `depth` calls deep.
pub fn aggregate(choices: &mut dyn Choices, scope: &Scope<'_>, depth: u32) -> Written {
    let (text, order, ty, usual) = parts(choices, scope, depth, true);
    let text = match order.is_empty() {
        true => text,
        false => format!("{text} OVER (ORDER BY {order})"),
    };
    Written { text, ty, usual }
}

/// An aggregate with OVER, one result for each row: for the SELECT or WHERE of a query without grouping.
/// `limit` is its LIMIT DURATION, such as `second, 5`.
pub fn over(choices: &mut dyn Choices, scope: &Scope<'_>, limit: &str, depth: u32) -> Written {
    let (call, order, ty, usual) = parts(choices, scope, depth, false);
    let mut over = Vec::new();
    if choices.chance(1, 2) {
        over.push(format!("PARTITION BY {}", typed(choices, scope, Want::Anything, depth.min(1)).text));
    }
    if !order.is_empty() {
        over.push(format!("ORDER BY {order}"));
    }
    over.push(format!("LIMIT DURATION({limit})"));
    if choices.chance(1, 3) {
        over.push(format!("WHEN {}", predicate(choices, scope, depth.min(1))));
    }
    Written { text: format!("{call} OVER ({})", over.join(" ")), ty, usual }
}

/// The call, the ORDER BY it needs (or nothing), and what it gives.
fn parts(
    choices: &mut dyn Choices,
    scope: &Scope<'_>,
    depth: u32,
    grouped: bool,
) -> (String, String, Option<Type>, Want) {
    let on = |family: Family, weight: u64| if scope.off.contains(&family) { 0 } else { weight };
    let percentile = if grouped { on(Family::Percentile, 3) } else { 0 };
    let distinct = if grouped { on(Family::Distinct, 2) } else { 0 };
    // VAR and its like have no form with OVER.
    let spread = if grouped { on(Family::Spread, 4) } else { 0 };
    match choices.weighted(&[3, distinct, 4, 2, 3, spread, percentile, on(Family::Collected, 4)]) {
        0 => (counted(choices, scope, depth), String::new(), Some(Type::Bigint), Want::Number),
        1 => {
            let of = typed(choices, scope, Want::Anything, depth).text;
            (format!("COUNT(DISTINCT {of})"), String::new(), Some(Type::Bigint), Want::Number)
        }
        2 => {
            let of = argument(choices, scope, Want::Number, depth);
            let ty = of.ty.filter(|ty| matches!(ty, Type::Bigint | Type::Float));
            (format!("SUM({})", of.text), String::new(), ty, Want::Number)
        }
        3 => {
            let of = argument(choices, scope, Want::Number, depth);
            (format!("AVG({})", of.text), String::new(), Some(Type::Float), Want::Number)
        }
        4 => extreme(choices, scope, depth),
        5 => {
            let name = *choices.pick(&["VAR", "VARP", "STDEV", "STDEVP"]);
            let of = argument(choices, scope, Want::Number, depth);
            (format!("{name}({})", of.text), String::new(), Some(Type::Float), Want::Number)
        }
        6 => percentile_of(choices, scope, depth),
        _ => collected(choices, scope, depth),
    }
}

fn counted(choices: &mut dyn Choices, scope: &Scope<'_>, depth: u32) -> String {
    match choices.chance(1, 2) {
        true => format!("COUNT({})", typed(choices, scope, Want::Anything, depth).text),
        false => "COUNT(*)".to_owned(),
    }
}

fn extreme(choices: &mut dyn Choices, scope: &Scope<'_>, depth: u32) -> (String, String, Option<Type>, Want) {
    let name = *choices.pick(&["MIN", "MAX"]);
    let (of, usual, ty) = match choices.weighted(&[4, 1, 1]) {
        1 => {
            let of = typed(choices, scope, Want::Text, depth);
            // Text is compared as text only where it is cast in so many words (rule 6.1).
            let ty = if of.text == "NULL" { None } else { Some(Type::Text) };
            (format!("CAST({} AS nvarchar(max))", of.text), Want::Text, ty)
        }
        2 => {
            let of = argument(choices, scope, Want::Instant, depth);
            let ty = if of.text == "NULL" { None } else { Some(Type::Datetime) };
            (format!("TRY_CAST({} AS datetime)", of.text), Want::Instant, ty)
        }
        _ => {
            let of = argument(choices, scope, Want::Number, depth);
            (of.text, Want::Number, of.ty)
        }
    };
    (format!("{name}({of})"), String::new(), ty, usual)
}

fn percentile_of(
    choices: &mut dyn Choices,
    scope: &Scope<'_>,
    depth: u32,
) -> (String, String, Option<Type>, Want) {
    let (name, continuous) = *choices.pick(&[("PERCENTILE_CONT", true), ("PERCENTILE_DISC", false)]);
    let share = *choices.pick(&PERCENTS);
    let of = argument(choices, scope, Want::Number, depth);
    let ty = if continuous { Some(Type::Float) } else { of.ty };
    let order = format!("{}{}", of.text, direction(choices));
    (format!("{name}({share})"), order, ty, Want::Number)
}

fn collected(
    choices: &mut dyn Choices,
    scope: &Scope<'_>,
    depth: u32,
) -> (String, String, Option<Type>, Want) {
    let of = typed(choices, scope, Want::Anything, depth);
    let name = *choices.pick(&["COLLECT", "COLLECTTOP", "TOPONE"]);
    if name == "COLLECT" {
        return (format!("COLLECT({})", of.text), String::new(), Some(Type::Array), Want::Array);
    }
    let count = choices.range(1, 2);
    let keys: Vec<String> = (0..count).map(|_| key(choices, scope, depth)).collect();
    let order = keys.join(", ");
    match name {
        "TOPONE" => (format!("TOPONE({})", of.text), order, of.ty, of.usual),
        _ => {
            let most = choices.range(1, 4);
            (format!("COLLECTTOP({most}, {})", of.text), order, Some(Type::Array), Want::Array)
        }
    }
}

/// What is ordered by: numbers, now and then instants.
fn key(choices: &mut dyn Choices, scope: &Scope<'_>, depth: u32) -> String {
    let text = match choices.chance(1, 4) {
        true => format!("TRY_CAST({} AS datetime)", argument(choices, scope, Want::Instant, depth).text),
        false => argument(choices, scope, Want::Number, depth).text,
    };
    format!("{text}{}", direction(choices))
}

fn direction(choices: &mut dyn Choices) -> &'static str {
    choices.pick::<&str>(&["", " DESC", " ASC"])
}

#[cfg(test)]
mod tests {
    use rewindow_query::analyse;

    use super::*;
    use crate::choices::Seeded;
    use crate::generate::expression::Column;

    #[test]
    fn every_aggregate_is_accepted() {
        let names = [("n", Want::Number), ("s", Want::Text), ("d", Want::Instant), ("x", Want::Anything)];
        let columns = names.map(|(name, usual)| Column { name: name.to_owned(), usual, ty: None });
        for number in 0..4_000 {
            let choices: &mut dyn Choices = &mut Seeded::new(13, number);
            let off = Family::some(choices);
            let risky = choices.chance(1, 2);
            let scope = Scope { columns: &columns, qualifier: "", timestamp: true, off: &off, risky };
            let text = aggregate(choices, &scope, 2).text;
            let query = format!("SELECT {text} AS v INTO o FROM i GROUP BY TumblingWindow(second, 1)");
            analyse(&query, None).unwrap_or_else(|error| panic!("{number}: {error}\n{query}"));
            let text = over(choices, &scope, "second, 5", 2).text;
            let query = format!("SELECT {text} AS v INTO o FROM i");
            analyse(&query, None).unwrap_or_else(|error| panic!("{number}: {error}\n{query}"));
        }
    }
}
