//! Why a case cannot be read or run: a stable code, the place where there is one, and what to do.

use std::fmt;

use toml::de::DeTable;

/// A case that cannot be read or run.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub struct CaseError {
    /// Stable name of the kind of error, such as `case-format`; never reused for something else.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// Line and column in the case file, from 1, columns in characters; `None` for a case that was
    /// not read from text.
    pub place: Option<(usize, usize)>,
    /// What to do instead.
    pub hint: Option<String>,
}

impl CaseError {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> CaseError {
        CaseError { code, message: message.into(), place: None, hint: None }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> CaseError {
        self.hint = Some(hint.into());
        self
    }

    /// Puts the error at a byte of the text, unless it has a place already.
    pub(crate) fn at(mut self, text: &str, byte: usize) -> CaseError {
        if self.place.is_none() {
            let mut end = byte.min(text.len());
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            let before = &text[..end];
            let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
            self.place = Some((before.matches('\n').count() + 1, column));
        }
        self
    }

    /// Puts the error where a value of the text stands, by the keys that lead there from the top.
    pub(crate) fn at_key(self, text: &str, keys: &[&str]) -> CaseError {
        match start_of(text, keys) {
            Some(start) => self.at(text, start),
            None => self,
        }
    }
}

/// What the reader of TOML says of a number, without the names of types.
#[must_use]
pub fn in_words(message: &str) -> String {
    let message = message.replace("expected u32", "expected a whole number from 0 to 4294967295");
    let least = "expected a whole number, at least 0";
    message.replace("expected u64", least).replace("expected usize", least)
}

fn start_of(text: &str, keys: &[&str]) -> Option<usize> {
    let document = DeTable::parse(text).ok()?;
    let (first, rest) = keys.split_first()?;
    let mut value = document.get_ref().get(*first)?;
    for key in rest {
        value = value.get_ref().as_table()?.get(*key)?;
    }
    Some(value.span().start)
}

impl fmt::Display for CaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] ", self.code)?;
        if let Some((line, column)) = self.place {
            write!(f, "line {line}, column {column}: ")?;
        }
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}
