//! Windows and lengths of time in the text: every spelling to whole ticks (rules 4.5 to 4.9).
//!
//! Knows spellings and limits, nothing of groups. Invariant: what it gives is positive (offsets aside),
//! a whole number of ticks (A-FRACTION-SIZE) and at most seven days.

use std::ops::Range;

use super::function::unit;
use crate::codes::{self, fail};
use crate::error::QueryError;
use crate::parse::ast::{Ast, Call, Kind};
use crate::plan::Window;
use crate::time::{Span, Unit};

/// One window of a GROUP BY, before its expressions are lowered.
pub(super) struct Member<'a> {
    pub(super) window: Window,
    /// The id that Windows() gives it.
    pub(super) id: Option<&'a str>,
    /// OVER (PARTITION BY ...) of a session.
    pub(super) partition: &'a [Ast],
    pub(super) place: &'a Range<usize>,
}

/// The windows a GROUP BY item is, if it is any; more than one only of Windows().
pub(super) fn windows(ast: &Ast) -> Result<Option<Vec<Member<'_>>>, QueryError> {
    match &ast.kind {
        Kind::Call(call) if call.name.eq_ignore_ascii_case("windows") => members(call, ast).map(Some),
        _ => Ok(window(ast)?.map(|member| vec![member])),
    }
}

/// The members of Windows() (rule 4.11).
fn members<'a>(call: &'a Call, ast: &'a Ast) -> Result<Vec<Member<'a>>, QueryError> {
    if call.args.is_empty() || call.star || call.distinct || call.over.is_some() {
        let message = "Windows() takes windows, or Window('id', window) for each (rule 4.11)";
        return Err(fail(codes::BAD_ARGUMENTS, &ast.place, "arguments", message));
    }
    let mut members: Vec<Member<'a>> = Vec::new();
    for arg in &call.args {
        let (id, inner) = match &arg.kind {
            Kind::Call(named) if named.name.eq_ignore_ascii_case("window") => {
                let [id, inner] = named.args.as_slice() else {
                    let message = "Window() takes an id and a window (rule 4.11)";
                    return Err(fail(codes::BAD_ARGUMENTS, &arg.place, "arguments", message));
                };
                let Kind::Text(text) = &id.kind else {
                    let message = "the id of a window is a text in quotes (rule 4.11)";
                    return Err(fail(codes::WINDOW_IDS, &id.place, "no text", message));
                };
                (Some((text.as_str(), &id.place)), inner)
            }
            _ => (None, arg),
        };
        let nested = |name: &str| ["windows", "window"].iter().any(|w| w.eq_ignore_ascii_case(name));
        if matches!(&inner.kind, Kind::Call(call) if nested(&call.name)) {
            let message = "Windows() cannot stand inside Windows() (rule 4.11)";
            let error = fail(codes::NESTED_WINDOWS, &inner.place, "nested", message);
            return Err(error.help("list all windows in one Windows()"));
        }
        let member = match inner.kind {
            Kind::Timestamp => {
                Some(Member { window: Window::Snapshot, id: None, partition: &[], place: &inner.place })
            }
            _ => window(inner)?,
        };
        let Some(mut member) = member else {
            let message = "a member of Windows() is a window or System.Timestamp() (rule 4.11)";
            return Err(fail(codes::BAD_ARGUMENTS, &inner.place, "no window", message));
        };
        if let Some(first) = members.first()
            && first.id.is_some() != id.is_some()
        {
            let message = "Windows() takes ids for all its members or for none (rule 4.11)";
            let error = fail(codes::WINDOW_IDS, &arg.place, "unlike the first", message);
            return Err(error.help("write Window('id', window) for each"));
        }
        if let Some((id, place)) = id {
            if members.iter().any(|m| m.id.is_some_and(|have| have.to_lowercase() == id.to_lowercase())) {
                let message = format!("two windows have the id '{id}', case ignored (rule 4.11)");
                return Err(fail(codes::DUPLICATE_WINDOW_ID, place, "second of this id", message));
            }
            member.id = Some(id);
        }
        members.push(member);
    }
    Ok(members)
}

/// A single window.
fn window(ast: &Ast) -> Result<Option<Member<'_>>, QueryError> {
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
        "sessionwindow" | "session" => {
            let [timeout, max] = lengths(call, ast, ["timeout", "maxduration"])?;
            Window::Session { timeout: required(timeout, call, ast)?, max: required(max, call, ast)? }
        }
        _ => return Ok(None),
    };
    let mut partition: &[Ast] = &[];
    if let Some(over) = &call.over {
        let only_keys = over.order.is_empty() && over.limit.is_none() && over.when.is_none();
        if !matches!(window, Window::Session { .. }) || !only_keys || over.partition.is_empty() {
            let message = format!("{} takes no such OVER clause (section 4)", call.name);
            let error = fail(codes::BAD_ARGUMENTS, &over.place, "not here", message);
            return Err(error.help("a session window takes OVER (PARTITION BY key)"));
        }
        partition = &over.partition;
    }
    Ok(Some(Member { window, id: None, partition, place: &ast.place }))
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
    ) || matches!(name, "sessionwindow" | "session" | "windows" | "window");
    if window {
        let message = "a window stands in GROUP BY and nowhere else (rule 4.1)";
        return Some(fail(codes::WINDOW_PLACE, place, "not here", message));
    }
    matches!(name, "snapshotwindow" | "snapshot").then(|| {
        let message = "the snapshot window is written GROUP BY System.Timestamp() (rule 4.10)";
        fail(codes::WINDOW_PLACE, place, "not in the language", message)
    })
}

fn required(span: Option<Span>, call: &Call, ast: &Ast) -> Result<Span, QueryError> {
    span.ok_or_else(|| {
        let message = format!("{} lacks a length (rules 4.6 to 4.9)", call.name);
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
        return Err(bad(&ast.place, format!("{} takes a unit and a size (rules 4.5 to 4.9)", call.name)));
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
                "either each length in a call of its name, such as Duration(), or a unit and numbers"
                    .to_owned(),
            ));
        };
        let place = names.iter().position(|name| name.eq_ignore_ascii_case(&part.name));
        let Some(place) = place.filter(|&p| found[p].is_none() && part.args.len() == 2) else {
            return Err(bad(&arg.place, format!("{} does not take this (rules 4.6 to 4.9)", call.name)));
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
