//! Text functions (rule 2.3, section 10; choices C-TEXT, C-REGEX).
//!
//! Places count from 1, and places and lengths count characters; 0 means not found. Knows no columns.
//! Invariant: no result is longer than its arguments allow, or than 2^20 characters where a number decides.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use regex::{Regex, RegexBuilder};
use rewindow_query::Value;
use rewindow_query::expr::Function;

use super::arithmetic::wrong;
use super::like;
use super::numbers::bigint;

/// Most characters of a text made of several, or of one several times (C-TEXT): else a few steps that double
/// a text fill any memory.
const CHARS_MAX: i64 = 1 << 20;
/// Patterns of REGEXMATCH kept compiled; one can take tens of megabytes.
const PATTERNS_MAX: usize = 16;
/// Bytes a compiled pattern may take, so that one with nested repetitions is refused soon (C-REGEX).
const PATTERN_BYTES: usize = 10 << 20;

/// The text function of these arguments, none of them NULL; `None` if it is no text function.
pub(super) fn call(function: Function, arguments: &[Value]) -> Option<Result<Value, String>> {
    let name = match function {
        Function::CharIndex => "CHARINDEX",
        Function::PatIndex => "PATINDEX",
        Function::Substring => "SUBSTRING",
        Function::Left => "LEFT",
        Function::Right => "RIGHT",
        Function::Stuff => "STUFF",
        Function::Replace => "REPLACE",
        Function::Translate => "TRANSLATE",
        Function::Replicate => "REPLICATE",
        Function::Space => "SPACE",
        Function::NChar => "NCHAR",
        Function::Unicode => "UNICODE",
        Function::Reverse => "REVERSE",
        Function::Trim => "TRIM",
        Function::LTrim => "LTRIM",
        Function::RTrim => "RTRIM",
        Function::RegexMatch => "REGEXMATCH",
        _ => return None,
    };
    Some(named(function, name, arguments))
}

fn named(function: Function, name: &str, arguments: &[Value]) -> Result<Value, String> {
    let text = |at: usize| match arguments.get(at) {
        Some(value) => text(name, value),
        None => Err(format!("{name} does not take {} arguments", arguments.len())),
    };
    let int = |at: usize| match arguments.get(at) {
        Some(value) => bigint(name, value),
        None => Err(format!("{name} does not take {} arguments", arguments.len())),
    };
    Ok(match function {
        Function::CharIndex => {
            let start = if arguments.len() > 2 { int(2)? } else { 1 };
            Value::Int(char_index(&text(0)?, &text(1)?, start))
        }
        Function::PatIndex => Value::Int(pat_index(&text(0)?, &text(1)?)),
        Function::Substring => substring(&text(0)?, int(1)?, not_negative(name, int(2)?)?),
        Function::Left => substring(&text(0)?, 1, not_negative(name, int(1)?)?),
        Function::Right => {
            let (text, length) = (text(0)?, not_negative(name, int(1)?)?);
            let chars = text.chars().count() as i64;
            substring(&text, chars.saturating_sub(length).max(0) + 1, chars)
        }
        Function::Stuff => stuff(&text(0)?, int(1)?, int(2)?, &text(3)?)?,
        Function::Replace => replace(text(0)?, &text(1)?, &text(2)?)?,
        Function::Translate => translate(&text(0)?, &text(1)?, &text(2)?)?,
        Function::Replicate => replicate(name, &text(0)?, int(1)?)?,
        Function::Space => replicate(name, " ", int(0)?)?,
        Function::NChar => {
            let char = u32::try_from(int(0)?).ok().and_then(char::from_u32);
            char.map_or(Value::Null, |char| Value::text(char.to_string()))
        }
        Function::Unicode => {
            text(0)?.chars().next().map_or(Value::Null, |char| Value::Int(i64::from(u32::from(char))))
        }
        Function::Reverse => Value::text(text(0)?.chars().rev().collect::<String>()),
        Function::Trim => Value::text(text(0)?.trim()),
        Function::LTrim => Value::text(text(0)?.trim_start()),
        Function::RTrim => Value::text(text(0)?.trim_end()),
        _ => Value::Int(regex_place(&text(0)?, &text(1)?)),
    })
}

/// Text, or a datetime in ISO form (C-CALL).
pub(super) fn text(name: &str, value: &Value) -> Result<Arc<str>, String> {
    like::as_text(value).ok_or_else(|| wrong(name, value))
}

/// NULL counts as empty text; nothing but NULL gives empty text (rule 2.3).
pub(super) fn concat(parts: &[Value]) -> Result<Value, String> {
    let present = parts.iter().filter(|part| !part.is_null());
    let parts: Vec<Arc<str>> = present.map(|part| text("CONCAT", part)).collect::<Result<_, _>>()?;
    join("CONCAT", "", &parts)
}

/// NULL and its separator are left out (rule 2.3); a NULL separator is empty.
pub(super) fn concat_ws(arguments: &[Value]) -> Result<Value, String> {
    let (separator, parts) = arguments.split_first().ok_or("CONCAT_WS needs a separator")?;
    let separator = if separator.is_null() { "".into() } else { text("CONCAT_WS", separator)? };
    let present = parts.iter().filter(|part| !part.is_null());
    let parts: Vec<Arc<str>> = present.map(|part| text("CONCAT_WS", part)).collect::<Result<_, _>>()?;
    join("CONCAT_WS", &separator, &parts)
}

/// Texts one behind the other; none may be so long that this would be too long to make.
pub(super) fn join(name: &str, separator: &str, parts: &[Arc<str>]) -> Result<Value, String> {
    let bytes: usize = parts.iter().map(|part| part.len().saturating_add(separator.len())).sum();
    // No text has more characters than bytes, so most need not be counted.
    if bytes as u64 > CHARS_MAX as u64 {
        let own: usize = parts.iter().map(|part| part.chars().count()).sum();
        let between = separator.chars().count().saturating_mul(parts.len().saturating_sub(1));
        bounded(name, own.saturating_add(between) as i64)?;
    }
    Ok(Value::text(parts.join(separator)))
}

fn bounded(name: &str, chars: i64) -> Result<(), String> {
    if chars > CHARS_MAX { Err(format!("{name}: {chars} characters, more than {CHARS_MAX}")) } else { Ok(()) }
}

/// From left to right without overlap; an empty pattern is nowhere.
fn replace(text: Arc<str>, pattern: &str, with: &str) -> Result<Value, String> {
    let times = if pattern.is_empty() { 0 } else { text.matches(pattern).count() };
    if times == 0 {
        return Ok(Value::Text(text));
    }
    let count = |text: &str| text.chars().count() as i64;
    let growth = (times as i64).saturating_mul(count(with) - count(pattern));
    bounded("REPLACE", count(&text).saturating_add(growth))?;
    Ok(Value::text(text.replace(pattern, with)))
}

fn not_negative(name: &str, length: i64) -> Result<i64, String> {
    if length < 0 { Err(format!("{name}: the length {length} is negative")) } else { Ok(length) }
}

/// The byte at which the character of this index begins; the end if there are fewer.
fn byte_of(text: &str, index: i64) -> usize {
    let index = usize::try_from(index).unwrap_or(if index < 0 { 0 } else { usize::MAX });
    text.char_indices().nth(index).map_or(text.len(), |(byte, _)| byte)
}

fn char_index(pattern: &str, text: &str, start: i64) -> i64 {
    let skipped = start.max(1) - 1;
    let from = byte_of(text, skipped);
    match text[from..].find(pattern) {
        Some(at) if !pattern.is_empty() => skipped + text[from..from + at].chars().count() as i64 + 1,
        _ => 0,
    }
}

fn pat_index(pattern: &str, text: &str) -> i64 {
    match pattern.strip_prefix('%') {
        Some("") => 1,
        Some(rest) => like::first_place(rest, text).map_or(0, |place| place as i64 + 1),
        None => i64::from(like::is_like(text, pattern)),
    }
}

/// With a start below 1 the characters in front of the text count into the length (section 10).
fn substring(text: &str, start: i64, length: i64) -> Value {
    let end = start.saturating_add(length).max(1);
    let (from, to) = (byte_of(text, start.max(1) - 1), byte_of(text, end - 1));
    Value::text(&text[from..to.max(from)])
}

fn stuff(text: &str, start: i64, length: i64, insert: &str) -> Result<Value, String> {
    if length < 0 {
        return Err(format!("STUFF: the length is {length}"));
    }
    let skipped = start.max(1) - 1;
    let (from, to) = (byte_of(text, skipped), byte_of(text, skipped.saturating_add(length)));
    if from == text.len() {
        return Ok(Value::text(""));
    }
    join("STUFF", "", &[text[..from].into(), insert.into(), text[to..].into()])
}

fn translate(text: &str, from: &str, to: &str) -> Result<Value, String> {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    if from.len() != to.len() {
        return Err(format!("TRANSLATE: {} characters for {}", to.len(), from.len()));
    }
    let moved = |c: char| from.iter().position(|known| *known == c).map_or(c, |at| to[at]);
    Ok(Value::text(text.chars().map(moved).collect::<String>()))
}

fn replicate(name: &str, text: &str, times: i64) -> Result<Value, String> {
    if times < 0 {
        return Ok(Value::Null);
    }
    let chars = (text.chars().count() as i64).saturating_mul(times);
    bounded(name, chars)?;
    // Empty text any number of times is empty.
    Ok(Value::text(if text.is_empty() { String::new() } else { text.repeat(times as usize) }))
}

/// Place of the leftmost match; a pattern that is refused matches nothing (C-REGEX).
fn regex_place(text: &str, pattern: &str) -> i64 {
    thread_local! {
        /// What a pattern compiles to depends on nothing else, so remembering it changes no result.
        static COMPILED: RefCell<BTreeMap<Box<str>, Option<Regex>>> = const { RefCell::new(BTreeMap::new()) };
    }
    COMPILED.with_borrow_mut(|compiled| {
        if !compiled.contains_key(pattern) {
            if compiled.len() >= PATTERNS_MAX {
                compiled.clear();
            }
            let regex = RegexBuilder::new(pattern)
                .case_insensitive(true)
                .dot_matches_new_line(true)
                .size_limit(PATTERN_BYTES)
                .build();
            compiled.insert(pattern.into(), regex.ok());
        }
        let found = compiled.get(pattern).and_then(Option::as_ref).and_then(|regex| regex.find(text));
        found.map_or(0, |found| text[..found.start()].chars().count() as i64 + 1)
    })
}
