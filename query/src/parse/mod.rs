//! Text to syntax tree: a cursor over the tokens, shared by the statement and the expression grammar.
//!
//! Recursive descent, written out, because the language is a handful of clauses around T-SQL expressions
//! and its errors must say what is missing where. Invariant: the cursor never passes the `EOF` token, and
//! nested calls are counted, so hostile text cannot overflow the stack.

pub(crate) mod ast;
mod lex;
mod recognize;
mod scalar;
mod statement;

use std::ops::Range;

use sqlparser::tokenizer::Token;

use crate::codes::{self, fail};
use crate::error::QueryError;
use ast::{Name, Quote, Script};
use lex::Lexeme;

/// The tree of a whole text.
pub(crate) fn parse(text: &str) -> Result<Script, QueryError> {
    let mut cursor = Cursor { tokens: lex::lex(text)?, at: 0, depth: 0 };
    cursor.script()
}

struct Cursor {
    tokens: Vec<Lexeme>,
    at: usize,
    depth: usize,
}

/// Words that end an expression or begin a clause, and so are no names without quotes.
const RESERVED: &[&str] = &[
    "select",
    "from",
    "where",
    "group",
    "having",
    "into",
    "union",
    "join",
    "inner",
    "cross",
    "on",
    "order",
    "as",
    "with",
    "and",
    "or",
    "not",
    "in",
    "is",
    "like",
    "between",
    "case",
    "when",
    "then",
    "else",
    "end",
    "over",
    "escape",
    "create",
    "null",
    "distinct",
    "match_recognize",
    "cast",
    "try_cast",
    "exists",
    "full",
];

impl Cursor {
    fn peek(&self) -> &Token {
        self.ahead(0)
    }

    fn ahead(&self, n: usize) -> &Token {
        let last = self.tokens.len() - 1;
        &self.tokens[(self.at + n).min(last)].token
    }

    fn place(&self) -> Range<usize> {
        self.tokens[self.at].place.clone()
    }

    fn start(&self) -> usize {
        self.tokens[self.at].place.start
    }

    /// From `start` to the end of the token read last.
    fn since(&self, start: usize) -> Range<usize> {
        let end = self.at.checked_sub(1).map_or(start, |last| self.tokens[last].place.end);
        start..end.max(start)
    }

    fn advance(&mut self) {
        if self.at + 1 < self.tokens.len() {
            self.at += 1;
        }
    }

    /// The token `n` ahead is that word, unquoted.
    fn is_ahead(&self, n: usize, word: &str) -> bool {
        matches!(self.ahead(n), Token::Word(w) if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(word))
    }

    fn is(&self, word: &str) -> bool {
        self.is_ahead(0, word)
    }

    fn eat(&mut self, word: &str) -> bool {
        let found = self.is(word);
        if found {
            self.advance();
        }
        found
    }

    fn eat_token(&mut self, token: &Token) -> bool {
        let found = self.peek() == token;
        if found {
            self.advance();
        }
        found
    }

    fn expect(&mut self, word: &str) -> Result<(), QueryError> {
        if self.eat(word) { Ok(()) } else { Err(self.expected(word)) }
    }

    fn expect_token(&mut self, token: &Token) -> Result<(), QueryError> {
        if self.eat_token(token) { Ok(()) } else { Err(self.expected(&format!("`{token}`"))) }
    }

    fn expected(&self, what: &str) -> QueryError {
        let found = match self.peek() {
            Token::EOF => "the end of the text".to_owned(),
            token => format!("`{}`", shorten(&token.to_string())),
        };
        let message = format!("expected {what}, found {found}");
        fail(codes::SYNTAX, &self.place(), format!("expected {what}"), message)
    }

    /// Counts a level of nesting around `read`.
    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, QueryError>) -> Result<T, QueryError> {
        if self.depth >= ast::DEPTH_MAX {
            return Err(ast::too_deep(&self.place()));
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    /// A name that is no reserved word, or a quoted one.
    fn name(&mut self, what: &str) -> Result<Name, QueryError> {
        match self.peek() {
            Token::Word(w) if w.quote_style.is_some() || !is_reserved(&w.value) => Ok(self.any_name()),
            _ => Err(self.expected(what)),
        }
    }

    /// The word at hand, reserved or not; the caller has seen that it is one.
    fn any_name(&mut self) -> Name {
        let place = self.place();
        let (text, quote) = match self.peek() {
            Token::Word(w) => (w.value.clone(), w.quote_style),
            other => (other.to_string(), None),
        };
        let quote = match quote {
            None => Quote::None,
            Some('"') => Quote::Double,
            Some(_) => Quote::Bracket,
        };
        self.advance();
        Name { text, quote, place }
    }
}

fn is_reserved(word: &str) -> bool {
    RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(word))
}

/// At most thirty characters, for messages.
pub(crate) fn shorten(text: &str) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= 30 { line } else { line.chars().take(29).chain(['…']).collect() }
}
