//! Section 10 (text functions), choices C-TEXT, C-REGEX and C-JSON.
//!
//! A place is a number of characters (code points) from 1, 0 where nothing is found. NULL is the caller's
//! business, except that some results are NULL. Case counts, except in REGEXMATCH.

use std::sync::Arc;

use regex::RegexBuilder;
use rewindow_query::Value;
use rewindow_query::json::read_event;

use crate::like::like;

/// The longest text that is made of several, or of one several times, in characters (C-TEXT).
const LONGEST: i64 = 1 << 20;

/// Texts one behind the other.
pub(crate) fn joined(texts: &[String]) -> Result<Value, String> {
    within(texts.iter().map(|text| characters(text)).sum())?;
    Ok(Value::text(texts.concat()))
}

fn within(characters: i64) -> Result<(), String> {
    if characters <= LONGEST {
        Ok(())
    } else {
        Err(format!("a text of {characters} characters, more than {LONGEST}"))
    }
}

/// CHARINDEX: the first place of `pattern` at or behind `start`.
pub(crate) fn char_index(pattern: &str, text: &str, start: i64) -> Value {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let first = usize::try_from(start.max(1) - 1).unwrap_or(usize::MAX);
    let found = (first..text.len()).find(|&at| !pattern.is_empty() && text[at..].starts_with(&pattern));
    place(found)
}

/// PATINDEX: the first place from which on the text is LIKE the pattern behind its leading `%`.
pub(crate) fn pat_index(pattern: &str, text: &str) -> Value {
    let Some(rest) = pattern.strip_prefix('%') else {
        return Value::Int(like(text, pattern, None).into());
    };
    if rest.is_empty() {
        return Value::Int(1);
    }
    let mut starts = text.char_indices().map(|(start, _)| start).chain([text.len()]);
    place(starts.position(|start| like(&text[start..], rest, None)))
}

/// Most bytes a compiled pattern takes (choice C-REGEX); a larger one is invalid.
const REGEX_BYTES_MAX: usize = 10 << 20;

/// REGEXMATCH: the place of the leftmost match.
pub(crate) fn regex_match(text: &str, pattern: &str) -> Value {
    let mut builder = RegexBuilder::new(pattern);
    let builder = builder.case_insensitive(true).dot_matches_new_line(true).size_limit(REGEX_BYTES_MAX);
    let compiled = builder.build();
    let found = compiled.ok().and_then(|regex| regex.find(text).map(|found| found.start()));
    place(found.map(|bytes| text[..bytes].chars().count()))
}

/// A number of characters in front as a place.
fn place(found: Option<usize>) -> Value {
    Value::Int(found.map_or(0, |before| i64::try_from(before + 1).expect("texts are short")))
}

/// SUBSTRING: a start below 1 takes its missing places from the length.
pub(crate) fn substring(text: &str, start: i64, length: i64) -> Result<Value, String> {
    let length = positive("SUBSTRING", length)?;
    let end = start.saturating_add(length).max(1);
    let (start, end) = (start.max(1), end.max(start));
    Ok(slice(text, start - 1, end - start))
}

/// LEFT
pub(crate) fn left(text: &str, length: i64) -> Result<Value, String> {
    Ok(slice(text, 0, positive("LEFT", length)?))
}

/// RIGHT
pub(crate) fn right(text: &str, length: i64) -> Result<Value, String> {
    let length = positive("RIGHT", length)?;
    Ok(slice(text, (characters(text) - length).max(0), length))
}

fn positive(function: &str, length: i64) -> Result<i64, String> {
    if length < 0 { Err(format!("{function} of the length {length}")) } else { Ok(length) }
}

/// `length` characters behind the first `before`, or as many as there are.
fn slice(text: &str, before: i64, length: i64) -> Value {
    let (before, length) = (size(before), size(length));
    Value::text(text.chars().skip(before).take(length).collect::<String>())
}

fn size(number: i64) -> usize {
    usize::try_from(number).unwrap_or(if number < 0 { 0 } else { usize::MAX })
}

fn characters(text: &str) -> i64 {
    i64::try_from(text.chars().count()).unwrap_or(i64::MAX)
}

/// STUFF: `insert` in the place of `length` characters from `start` on.
pub(crate) fn stuff(text: &str, start: i64, length: i64, insert: &str) -> Result<Value, String> {
    if length < 0 {
        return Err(format!("STUFF of {length} characters"));
    }
    let start = start.max(1);
    if start > characters(text) {
        return Ok(Value::text(""));
    }
    let before = text.chars().take(size(start - 1)).collect();
    let behind = text.chars().skip(size((start - 1).saturating_add(length))).collect();
    joined(&[before, insert.to_owned(), behind])
}

/// REPLACE, left to right without overlap; an empty pattern is nowhere.
pub(crate) fn replace(text: &str, pattern: &str, with: &str) -> Result<Value, String> {
    if pattern.is_empty() || !text.contains(pattern) {
        return Ok(Value::text(text));
    }
    let times = i64::try_from(text.matches(pattern).count()).unwrap_or(i64::MAX);
    within(characters(text) + times.saturating_mul(characters(with) - characters(pattern)))?;
    Ok(Value::text(text.replace(pattern, with)))
}

/// TRANSLATE: each character of `from` becomes the one at its place in `to`.
pub(crate) fn translate(text: &str, from: &str, to: &str) -> Result<Value, String> {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    if from.len() != to.len() {
        return Err(format!("TRANSLATE of {} characters to {}", from.len(), to.len()));
    }
    let translated = |c: char| from.iter().position(|&f| f == c).map_or(c, |place| to[place]);
    Ok(Value::text(text.chars().map(translated).collect::<String>()))
}

/// REPLICATE and SPACE; NULL for a negative number.
pub(crate) fn replicate(text: &str, number: i64) -> Result<Value, String> {
    if number < 0 {
        return Ok(Value::Null);
    }
    within(characters(text).saturating_mul(number))?;
    Ok(Value::text(if text.is_empty() { String::new() } else { text.repeat(size(number)) }))
}

/// NCHAR: NULL for what is no character.
pub(crate) fn nchar(code: i64) -> Value {
    let character = u32::try_from(code).ok().and_then(char::from_u32);
    character.map_or(Value::Null, |c| Value::text(c.to_string()))
}

/// UNICODE: the code of the first character.
pub(crate) fn unicode(text: &str) -> Value {
    text.chars().next().map_or(Value::Null, |c| Value::Int(u32::from(c).into()))
}

/// CONCAT_WS: NULL and its separator are left out (rule 2.3). The separator stands first.
pub(crate) fn concat_ws(separator: &str, texts: &[String]) -> Result<Value, String> {
    let between = characters(separator).saturating_mul(i64::try_from(texts.len()).unwrap_or(i64::MAX) - 1);
    within(texts.iter().map(|text| characters(text)).sum::<i64>().saturating_add(between.max(0)))?;
    Ok(Value::text(texts.join(separator)))
}

/// JSON_PARSE: a record or NULL.
pub(crate) fn json_parse(value: &Value) -> Value {
    let Value::Text(text) = value else { return Value::Null };
    read_event(text).map_or(Value::Null, |record| Value::Record(Arc::new(record)))
}
