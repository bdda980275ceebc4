//! Windows and lengths of time in the text: every spelling to whole ticks (rules 4.5 to 4.8).
//!
//! Knows spellings and limits, nothing of groups. Invariant: what it gives is positive (offsets aside),
//! a whole number of ticks (A-FRACTION-SIZE) and at most seven days.

use std::ops::Range;

use super::function::unit;
use crate::codes::{self, fail, unsupported};
use crate::error::QueryError;
use crate::parse::ast::{Ast, Call, Kind};
use crate::plan::Window;
use crate::time::{Span, Unit};

/// The window a GROUP BY item is, if it is one.
pub(super) fn window(ast: &Ast) -> Result<Option<Window>, QueryError> {
    let Kind::Call(call) = &ast.kind else { return Ok(None) };
    let name = call.name.to_ascii_lowercase();
    let window = match name.as_str() {
        "tumblingwindow" | "tumbling" => {
            let [size, offset] = lengths(call, ast, ["duration", "offset"])?;
            Window::Tumbling { size: required(size, call, ast)?, offset: offset.unwrap_or_default() }
        }
        "hoppingwindow" | "hopping" => {
            let [size, hop, offset] = lengths(call, ast, ["duration", "hop", "offset"])?;
            let (size, hop) = (required(size, call, ast)?, required(hop, call, ast)?);
            few_enough(size, hop, &ast.place)?;
            Window::Hopping { size, hop, offset: offset.unwrap_or_default() }
        }
        "slidingwindow" | "sliding" => {
            let [size] = lengths(call, ast, ["duration"])?;
            Window::Sliding { size: required(size, call, ast)? }
        }
        _ => return misplaced_later(&name, &ast.place).map_or(Ok(None), Err),
    };
    if let Some(over) = &call.over {
        let message = format!("{} takes no OVER clause (section 4)", call.name);
        return Err(fail(codes::BAD_ARGUMENTS, &over.place, "not here", message));
    }
    Ok(Some(window))
}

/// Most windows that an event may be in (C-PANES).
const WINDOWS_MAX: i64 = 1_000_000;

/// Each event of a hopping window is in size/hop windows, and each of them may give a row.
fn few_enough(size: Span, hop: Span, place: &Range<usize>) -> Result<(), QueryError> {
    let windows = size.0 / hop.0;
    if windows <= WINDOWS_MAX {
        return Ok(());
    }
    let message = format!("an event is in at most 1,000,000 windows (choice C-PANES), here in {windows}");
    let least = size.0 / (WINDOWS_MAX + 1) + 1;
    let help = format!("a hop of {} or more, or a shorter window", Span(least));
    Err(fail(codes::LIMIT_PANES, place, format!("{size} / {hop}"), message).help(help))
}

/// A window function somewhere else than in GROUP BY.
pub(super) fn misplaced(name: &str, place: &Range<usize>) -> Option<QueryError> {
    let window = matches!(
        name,
        "tumblingwindow" | "tumbling" | "hoppingwindow" | "hopping" | "slidingwindow" | "sliding"
    );
    if window {
        let message = "a window stands in GROUP BY and nowhere else (rule 4.1)";
        return Some(fail(codes::WINDOW_PLACE, place, "not here", message));
    }
    misplaced_later(name, place)
}

fn misplaced_later(name: &str, place: &Range<usize>) -> Option<QueryError> {
    Some(match name {
        "sessionwindow" | "session" => unsupported("SessionWindow", "4.9", place),
        "snapshotwindow" | "snapshot" => unsupported("SnapshotWindow", "4.10", place),
        "windows" | "window" => unsupported("Windows()", "4.11", place),
        _ => return None,
    })
}

fn required(span: Option<Span>, call: &Call, ast: &Ast) -> Result<Span, QueryError> {
    span.ok_or_else(|| {
        let message = format!("{} lacks a length (rules 4.6 to 4.8)", call.name);
        fail(codes::BAD_ARGUMENTS, &ast.place, "incomplete", message)
    })
}

/// The lengths of a window, positional after one unit, or each in a call of its name.
fn lengths<const N: usize>(
    call: &Call,
    ast: &Ast,
    names: [&str; N],
) -> Result<[Option<Span>; N], QueryError> {
    let mut found = [None; N];
    let bad = |place: &Range<usize>, message: String| fail(codes::BAD_ARGUMENTS, place, "arguments", message);
    if call.star || call.distinct || call.args.is_empty() {
        return Err(bad(&ast.place, format!("{} takes a unit and a size (rules 4.5 to 4.8)", call.name)));
    }
    if !matches!(call.args[0].kind, Kind::Call(_)) {
        let unit_of = &call.args[0];
        for (place, number) in call.args[1..].iter().enumerate() {
            let Some(name) = names.get(place) else {
                return Err(bad(&number.place, format!("{} takes at most {N} numbers", call.name)));
            };
            found[place] = Some(length(unit_of, number, *name == "offset", codes::LIMIT_WINDOW)?);
        }
        return Ok(found);
    }
    for arg in &call.args {
        let Kind::Call(part) = &arg.kind else {
            return Err(bad(
                &arg.place,
                "either all of Duration(), Hop(), Offset(), or a unit and numbers".to_owned(),
            ));
        };
        let place = names.iter().position(|name| name.eq_ignore_ascii_case(&part.name));
        let Some(place) = place.filter(|&p| found[p].is_none() && part.args.len() == 2) else {
            return Err(bad(&arg.place, format!("{} does not take this (rules 4.6 to 4.8)", call.name)));
        };
        let offset = names[place] == "offset";
        found[place] = Some(length(&part.args[0], &part.args[1], offset, codes::LIMIT_WINDOW)?);
    }
    Ok(found)
}

/// A unit and a constant number as a span. `signed`: an offset, which may be zero or negative. `limit` is
/// the code for more than seven days.
pub(super) fn length(
    unit_ast: &Ast,
    number: &Ast,
    signed: bool,
    limit: &'static str,
) -> Result<Span, QueryError> {
    let unit = unit(unit_ast)?;
    let fixed = unit.fixed().filter(|_| unit != Unit::Week);
    let Some(Span(ticks)) = fixed else {
        let message = format!("{} is no unit for a length of time (rule 4.5)", unit.name());
        let help = "day, hour, minute, second, millisecond or microsecond";
        return Err(fail(codes::BAD_UNIT, &unit_ast.place, unit.name(), message).help(help));
    };
    let Some(total) = scaled(number, ticks) else {
        let message = "a size is a constant of whole ticks of 100 ns (rule 4.5, A-FRACTION-SIZE)";
        return Err(fail(codes::BAD_SIZE, &number.place, "no such constant", message));
    };
    let place = unit_ast.place.start..number.place.end;
    if !signed && total <= 0 {
        let message = "a size must be above zero (rule 4.5)";
        return Err(fail(codes::BAD_SIZE, &number.place, "not positive", message));
    }
    if total.abs() > i128::from(Span::LONGEST.0) {
        let (what, rule) = match limit {
            codes::LIMIT_DURATION => ("LIMIT DURATION", "section 16"),
            _ => ("a window", "rule 4.5"),
        };
        let span = i64::try_from(total).map_or_else(|_| "far too long".to_owned(), |t| Span(t).to_string());
        let message = format!("{what} lasts at most 7 days ({rule}), this one {span}");
        return Err(fail(limit, &place, span, message));
    }
    Ok(Span(i64::try_from(total).expect("at most seven days")))
}

/// A constant times a number of ticks, exactly; `None` if it is no constant or no whole number of ticks.
fn scaled(number: &Ast, ticks: i64) -> Option<i128> {
    match &number.kind {
        Kind::Integer(n) => Some(i128::from(*n) * i128::from(ticks)),
        Kind::Decimal(_, text) => {
            let (whole, fraction) = text.split_once('.')?;
            let fraction = fraction.trim_end_matches('0');
            if whole.len() + fraction.len() > 22 {
                return None;
            }
            let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
            let scale = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
            let total = digits * i128::from(ticks);
            (total % scale == 0).then_some(total / scale)
        }
        _ => None,
    }
}
