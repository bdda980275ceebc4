//! The grammar of MATCH_RECOGNIZE (rules 9.1, 9.2).
//!
//! Clauses in the order of the reference: LIMIT DURATION, PARTITION BY, MEASURES, AFTER MATCH SKIP TO NEXT
//! ROW, PATTERN, DEFINE. The pattern is read by precedence: `|`, sequence, then `* + ?` and, as an
//! extension, `{n}`, `{n,}`, `{n,m}` (A-MATCH-EXAMPLE). Invariant: a pattern is nested as deep as its text.

use sqlparser::tokenizer::Token;

use super::Cursor;
use super::ast::{Recognize, Shape};
use crate::codes::{self, fail};
use crate::error::QueryError;

/// Most often a `{n,m}` may repeat.
const REPEAT_MAX: u32 = 1_000;

impl Cursor {
    /// `MATCH_RECOGNIZE ( ... )`
    pub(super) fn recognize(&mut self) -> Result<Recognize, QueryError> {
        let start = self.start();
        self.expect("MATCH_RECOGNIZE")?;
        self.expect_token(&Token::LParen)?;
        if !self.is("limit") {
            let message = "MATCH_RECOGNIZE begins with LIMIT DURATION: how long a match may last (rule 9.1)";
            let error = fail(codes::NO_LIMIT, &self.place(), "no limit", message);
            return Err(error.help("write LIMIT DURATION(minute, 1)"));
        }
        let limit = self.limit()?;
        let mut partition = Vec::new();
        if self.eat("partition") {
            self.expect("BY")?;
            partition = self.list()?;
        }
        self.expect("MEASURES")?;
        let mut measures = Vec::new();
        loop {
            let measure = self.expression()?;
            self.expect("AS")?;
            measures.push((measure, self.name("the name of a measure")?));
            if !self.eat_token(&Token::Comma) {
                break;
            }
        }
        for word in ["AFTER", "MATCH", "SKIP", "TO", "NEXT", "ROW"] {
            if !self.eat(word) {
                let help = "AFTER MATCH SKIP TO NEXT ROW is the only way to go on (rule 9.1)";
                return Err(self.expected(word).help(help));
            }
        }
        self.expect("PATTERN")?;
        self.expect_token(&Token::LParen)?;
        let pattern = self.nested(Cursor::either)?;
        self.expect_token(&Token::RParen)?;
        self.expect("DEFINE")?;
        let mut define = Vec::new();
        loop {
            let variable = self.name("a variable of the pattern")?;
            self.expect("AS")?;
            define.push((variable, self.expression()?));
            if !self.eat_token(&Token::Comma) {
                break;
            }
        }
        self.expect_token(&Token::RParen)?;
        Ok(Recognize { limit, partition, measures, pattern, define, place: self.since(start) })
    }

    fn either(&mut self) -> Result<Shape, QueryError> {
        let mut branches = vec![self.sequence()?];
        while self.eat_token(&Token::Pipe) {
            branches.push(self.sequence()?);
        }
        Ok(if branches.len() == 1 { branches.remove(0) } else { Shape::Either(branches) })
    }

    fn sequence(&mut self) -> Result<Shape, QueryError> {
        let mut parts = vec![self.repeated()?];
        while matches!(self.peek(), Token::Word(_) | Token::LParen | Token::Period) {
            parts.push(self.repeated()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Shape::Sequence(parts) })
    }

    fn repeated(&mut self) -> Result<Shape, QueryError> {
        let shape = match self.peek() {
            Token::Period => {
                self.advance();
                Shape::Any
            }
            Token::LParen => {
                self.advance();
                let inner = self.nested(Cursor::either)?;
                self.expect_token(&Token::RParen)?;
                inner
            }
            _ => Shape::Variable(self.name("a variable")?),
        };
        let Some((least, most)) = self.count()? else { return Ok(shape) };
        let start = self.start();
        if self.count()?.is_some() {
            let message =
                "one repetition follows a part of a pattern; none is reluctant (rule 9.2, A-MATCH-GREEDY)";
            let error = fail(codes::BAD_PATTERN, &self.since(start), "second repetition", message);
            return Err(error.help("write (A+)? for a repetition that may be left out"));
        }
        Ok(Shape::Repeat(Box::new(shape), least, most))
    }

    /// `* + ? {n} {n,} {n,m}`, if one stands here.
    fn count(&mut self) -> Result<Option<(u32, Option<u32>)>, QueryError> {
        let question =
            matches!(self.peek(), Token::Placeholder(text) if text == "?") || *self.peek() == Token::Question;
        let bounds = match self.peek() {
            Token::Mul => (0, None),
            Token::Plus => (1, None),
            _ if question => (0, Some(1)),
            Token::LBrace => {
                let start = self.start();
                self.advance();
                let least = self.times()?;
                let most = match self.eat_token(&Token::Comma) {
                    false => Some(least),
                    true if *self.peek() == Token::RBrace => None,
                    true => Some(self.times()?),
                };
                self.expect_token(&Token::RBrace)?;
                if most.is_some_and(|most| most < least || most == 0) {
                    let message = "a repetition {n,m} needs n <= m and m > 0 (rule 9.2)";
                    return Err(fail(codes::BAD_PATTERN, &self.since(start), "never", message));
                }
                return Ok(Some((least, most)));
            }
            _ => return Ok(None),
        };
        self.advance();
        Ok(Some(bounds))
    }

    fn times(&mut self) -> Result<u32, QueryError> {
        match self.peek() {
            Token::Number(n, false) if n.parse::<u32>().is_ok_and(|n| n <= REPEAT_MAX) => {
                let n = n.parse().expect("seen to be a number");
                self.advance();
                Ok(n)
            }
            _ => Err(self.expected(&format!("a whole number up to {REPEAT_MAX}"))),
        }
    }
}
