//! Text to tokens with byte ranges: the tokenizer of `sqlparser` under a dialect of our own.
//!
//! Of `sqlparser` only the tokenizer is used. Its expression grammar cannot hold `LIMIT DURATION` and
//! `WHEN` inside OVER, `System.Timestamp`, aliases `a = x` or paths `a.[0].b`, and its tree carries no
//! place for literals and operators, which every error of ours must have. Invariant: places are ascending,
//! lie inside the text and on character boundaries; the last token is `EOF`.

use std::ops::Range;

use sqlparser::dialect::Dialect;
use sqlparser::tokenizer::{Location, Token, Tokenizer};

use crate::codes::{self, fail};
use crate::error::QueryError;

/// Longest text an analysis accepts, in bytes.
pub(crate) const TEXT_MAX: usize = 128 * 1024;

/// Lexical rules of the language: T-SQL's, with names in brackets or double quotes (rule 1.9).
#[derive(Debug)]
struct StreamAnalytics;

impl Dialect for StreamAnalytics {
    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        ch == '"' || ch == '['
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        ch.is_alphabetic() || ch == '_' || ch == '@'
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        ch.is_alphanumeric() || matches!(ch, '_' | '@' | '$' | '#')
    }
}

/// A token and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Lexeme {
    pub(crate) token: Token,
    pub(crate) place: Range<usize>,
}

/// The tokens of a text without blanks and comments.
pub(crate) fn lex(text: &str) -> Result<Vec<Lexeme>, QueryError> {
    if text.len() > TEXT_MAX {
        let message = format!("a query has at most {TEXT_MAX} bytes, this one has {}", text.len());
        return Err(fail(codes::TOO_LONG, &(0..0), "too long", message));
    }
    let mut places = Places { text, at: 0, line: 1, column: 1 };
    let mut lexemes = Vec::new();
    let mut tokens = Vec::new();
    let result = Tokenizer::new(&StreamAnalytics, text).tokenize_with_location_into_buf(&mut tokens);
    for token in tokens {
        let start = places.offset(token.span.start);
        let end = places.offset(token.span.end);
        if !matches!(token.token, Token::Whitespace(_)) {
            lexemes.push(Lexeme { token: token.token, place: start..end });
        }
    }
    if let Err(error) = result {
        // What the tokenizer could not finish begins behind the last whole token.
        let start = text.len() - text[places.at..].trim_start().len();
        let first = text[start..].chars().next().map_or(0, char::len_utf8);
        let message = format!("this cannot be read: {}", error.message.trim_end_matches('.'));
        return Err(fail(codes::SYNTAX, &(start..start + first), "begins here", message));
    }
    lexemes.push(Lexeme { token: Token::EOF, place: text.len()..text.len() });
    Ok(lexemes)
}

/// Turns lines and columns, which only grow, into byte offsets.
struct Places<'a> {
    text: &'a str,
    at: usize,
    line: u64,
    column: u64,
}

impl Places<'_> {
    fn offset(&mut self, to: Location) -> usize {
        while (self.line, self.column) < (to.line, to.column) {
            let Some(ch) = self.text[self.at..].chars().next() else { break };
            self.at += ch.len_utf8();
            if ch == '\n' {
                self.line += 1;
                self.column = 1;
            } else {
                self.column += 1;
            }
        }
        self.at
    }
}
