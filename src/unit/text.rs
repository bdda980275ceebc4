//! JSON read level by level, every value knowing where it stands in its file.
//!
//! A value is kept as the text it was written as until somebody asks for what it is, so that events are read
//! exactly as written and each complaint has its place. Knows nothing of tests. Invariant: a node's text is a
//! part of its document's.

use std::fmt;
use std::path::Path;

use serde::Deserializer;
use serde::de::{MapAccess, Visitor};
use serde_json::Value as Json;
use serde_json::value::RawValue;

use crate::errors::Problem;

/// A file of JSON.
pub(super) struct Document<'a> {
    pub(super) path: &'a Path,
    pub(super) text: &'a str,
    /// The place of each line's first byte.
    lines: Vec<usize>,
}

/// A value of a document.
#[derive(Clone, Copy)]
pub(super) struct Node<'a> {
    document: &'a Document<'a>,
    text: &'a str,
}

impl<'a> Document<'a> {
    pub(super) fn new(path: &'a Path, text: &'a str) -> Document<'a> {
        let starts = text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| at + 1);
        Document { path, text, lines: std::iter::once(0).chain(starts).collect() }
    }

    /// The one value of the file.
    pub(super) fn root(&'a self) -> Result<Node<'a>, Problem> {
        let raw: &RawValue = serde_json::from_str(self.text).map_err(|e| self.broken(0, &e))?;
        Ok(Node { document: self, text: raw.get() })
    }

    /// All values of the file, one after the other, as in JSON lines.
    pub(super) fn roots(&'a self) -> Result<Vec<Node<'a>>, Problem> {
        let stream = serde_json::Deserializer::from_str(self.text).into_iter::<&'a RawValue>();
        let node = |raw: Result<&'a RawValue, serde_json::Error>| match raw {
            Ok(raw) => Ok(Node { document: self, text: raw.get() }),
            Err(error) => Err(self.broken(0, &error)),
        };
        stream.map(node).collect()
    }

    /// The first value of the file; `None` if there is nothing in it.
    pub(super) fn first(&'a self) -> Result<Option<Node<'a>>, Problem> {
        let mut stream = serde_json::Deserializer::from_str(self.text).into_iter::<&'a RawValue>();
        let first = stream.next().transpose().map_err(|e| self.broken(0, &e))?;
        Ok(first.map(|raw| Node { document: self, text: raw.get() }))
    }

    /// The line a byte stands in, from 1.
    fn line(&self, at: usize) -> usize {
        self.lines.partition_point(|start| *start <= at)
    }

    /// Text from `from` on that is no JSON.
    fn broken(&self, from: usize, error: &serde_json::Error) -> Problem {
        let first = self.line(from) + error.line().max(1) - 2;
        let start = self.lines.get(first).copied().unwrap_or(self.text.len());
        let start = if error.line() <= 1 { start.max(from) } else { start };
        let at = (start + error.column().saturating_sub(1)).min(self.text.len());
        let words = error.to_string();
        let words = words.split(" at line ").next().unwrap_or(&words);
        Problem::new("test-syntax", format!("the file is no JSON: {words}")).in_text(
            self.path,
            self.text,
            at..at + 1,
            "here",
        )
    }
}

impl<'a> Node<'a> {
    /// The place of its first byte.
    fn start(&self) -> usize {
        self.text.as_ptr() as usize - self.document.text.as_ptr() as usize
    }

    /// The line it begins in, from 1.
    pub(super) fn line(&self) -> usize {
        self.document.line(self.start())
    }

    /// As it is written.
    pub(super) fn raw(&self) -> &'a str {
        self.text
    }

    /// A complaint about it; only its first line is pointed at.
    pub(super) fn problem(&self, code: &'static str, message: impl Into<String>) -> Problem {
        let start = self.start();
        let end = start + self.text.find('\n').unwrap_or(self.text.len());
        Problem::new(code, message).in_text(self.document.path, self.document.text, start..end, "here")
    }

    /// A complaint about the name in front of it.
    pub(super) fn problem_of_name(&self, code: &'static str, message: impl Into<String>) -> Problem {
        let before = self.document.text[..self.start()].trim_end();
        let before = before.strip_suffix(':').unwrap_or(before).trim_end();
        let end = before.len();
        let inner = before.strip_suffix('"').unwrap_or(before);
        // The first quote that no backslash hides, going back, is the opening one.
        let is_open = |at: &usize| {
            let slashes = inner[..*at].bytes().rev().take_while(|b| *b == b'\\').count();
            slashes % 2 == 0
        };
        let quotes = inner.bytes().enumerate().rev().filter(|(_, b)| *b == b'"').map(|(at, _)| at);
        let start = quotes.into_iter().find(is_open).unwrap_or(0);
        Problem::new(code, message).in_text(self.document.path, self.document.text, start..end, "here")
    }

    fn is_a(&self, what: &str, wanted: &str) -> Problem {
        let found = match self.text.bytes().next() {
            Some(b'{') => "an object",
            Some(b'[') => "a list",
            Some(b'"') => "text",
            Some(b't' | b'f') => "true or false",
            Some(b'n') => "null",
            _ => "a number",
        };
        let found = if found == wanted { "something else" } else { found };
        self.problem("test-value", format!("{what} must be {wanted}; it is {found}"))
    }

    pub(super) fn is_null(&self) -> bool {
        self.text == "null"
    }

    /// Its members in order, `what` being its name in a complaint.
    pub(super) fn object(&self, what: &str) -> Result<Vec<(String, Node<'a>)>, Problem> {
        if !self.text.starts_with('{') {
            return Err(self.is_a(what, "an object"));
        }
        let mut read = serde_json::Deserializer::from_str(self.text);
        let members = read.deserialize_map(Members).map_err(|e| self.document.broken(self.start(), &e))?;
        let members: Vec<(String, Node<'a>)> = members
            .into_iter()
            .map(|(name, raw)| (name, Node { document: self.document, text: raw.get() }))
            .collect();
        let mut names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            let again = members.iter().rev().find(|(name, _)| name == pair[0]);
            let message = format!("{what} has `{}` twice", pair[0]);
            return Err(again.map_or(*self, |(_, node)| *node).problem_of_name("test-member", message));
        }
        Ok(members)
    }

    /// Its items.
    pub(super) fn list(&self, what: &str) -> Result<Vec<Node<'a>>, Problem> {
        if !self.text.starts_with('[') {
            return Err(self.is_a(what, "a list"));
        }
        let items: Vec<&'a RawValue> =
            serde_json::from_str(self.text).map_err(|e| self.document.broken(self.start(), &e))?;
        Ok(items.into_iter().map(|raw| Node { document: self.document, text: raw.get() }).collect())
    }

    pub(super) fn text(&self, what: &str) -> Result<String, Problem> {
        serde_json::from_str(self.text).map_err(|_| self.is_a(what, "text"))
    }

    pub(super) fn flag(&self, what: &str) -> Result<bool, Problem> {
        serde_json::from_str(self.text).map_err(|_| self.is_a(what, "true or false"))
    }

    /// A whole number that is not negative.
    pub(super) fn whole(&self, what: &str) -> Result<u64, Problem> {
        serde_json::from_str(self.text).map_err(|_| self.is_a(what, "a whole number of at least 0"))
    }

    pub(super) fn number(&self, what: &str) -> Result<f64, Problem> {
        serde_json::from_str(self.text).map_err(|_| self.is_a(what, "a number"))
    }

    /// The value itself.
    pub(super) fn json(&self) -> Result<Json, Problem> {
        serde_json::from_str(self.text).map_err(|e| self.document.broken(self.start(), &e))
    }
}

/// Reads an object without looking into its members.
struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry::<String, &'de RawValue>()? {
            members.push(member);
        }
        Ok(members)
    }
}
