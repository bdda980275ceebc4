//! The grammar of expressions and conditions, by precedence as in T-SQL.
//!
//! From loose to tight: OR; AND; NOT; comparisons, BETWEEN, IN, LIKE, IS; `+ - & | ^`; `* / %`; signs and
//! `~`. One grammar for values and conditions; which of them stands where is checked later, with better
//! words (choice C-PREDICATE). Rules 1.9, 5.3, 5.9, 6.2, 7.

use std::ops::Range;

use sqlparser::tokenizer::Token;

use super::ast::{Ast, Call, Kind, Name, Over};
use super::{Cursor, is_reserved};
use crate::codes::{self, fail};
use crate::error::QueryError;
use crate::expr::{BinaryOp, CompareOp};

type Read = Result<Ast, QueryError>;

impl Cursor {
    /// An expression or condition.
    pub(super) fn expression(&mut self) -> Read {
        self.nested(Cursor::or)
    }

    fn or(&mut self) -> Read {
        let start = self.start();
        let mut parts = vec![self.and()?];
        while self.eat("or") {
            parts.push(self.and()?);
        }
        self.joined(parts, Kind::Or, start)
    }

    fn and(&mut self) -> Read {
        let start = self.start();
        let mut parts = vec![self.not()?];
        while self.eat("and") {
            parts.push(self.not()?);
        }
        self.joined(parts, Kind::And, start)
    }

    fn joined(&mut self, mut parts: Vec<Ast>, kind: fn(Vec<Ast>) -> Kind, start: usize) -> Read {
        match parts.len() {
            1 => Ok(parts.remove(0)),
            _ => Ast::new(kind(parts), self.since(start)),
        }
    }

    fn not(&mut self) -> Read {
        let start = self.start();
        if self.eat("not") {
            let inner = self.nested(Cursor::not)?;
            return Ast::new(Kind::Not(Box::new(inner)), self.since(start));
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Read {
        let start = self.start();
        let left = Box::new(self.sum()?);
        if let Some(op) = self.compare_op() {
            let right = Box::new(self.sum()?);
            return Ast::new(Kind::Compare(op, left, right), self.since(start));
        }
        if self.eat("is") {
            let negated = self.eat("not");
            self.expect("NULL")?;
            return Ast::new(Kind::IsNull(left, negated), self.since(start));
        }
        let negated = self.is("not") && ["between", "in", "like"].iter().any(|k| self.is_ahead(1, k));
        if negated {
            self.advance();
        }
        let kind = if self.eat("between") {
            let low = Box::new(self.sum()?);
            self.expect("AND")?;
            let high = Box::new(self.sum()?);
            Kind::Between { expr: left, low, high, negated }
        } else if self.eat("like") {
            let pattern = Box::new(self.sum()?);
            let escape = if self.eat("escape") { Some(Box::new(self.sum()?)) } else { None };
            Kind::Like { expr: left, pattern, escape, negated }
        } else if self.eat("in") {
            self.expect_token(&Token::LParen)?;
            let list = self.list()?;
            self.expect_token(&Token::RParen)?;
            Kind::In { expr: left, list, negated }
        } else {
            return Ok(*left);
        };
        Ast::new(kind, self.since(start))
    }

    /// `= <> != < <= > >= !< !>` (rule 2.1)
    fn compare_op(&mut self) -> Option<CompareOp> {
        let op = match (self.peek(), self.ahead(1)) {
            (Token::Eq, _) => CompareOp::Equal,
            (Token::Neq, _) => CompareOp::NotEqual,
            (Token::Lt, _) => CompareOp::Less,
            (Token::LtEq, _) => CompareOp::LessOrEqual,
            (Token::Gt, _) => CompareOp::Greater,
            (Token::GtEq, _) => CompareOp::GreaterOrEqual,
            (Token::ExclamationMark, Token::Lt) => CompareOp::GreaterOrEqual,
            (Token::ExclamationMark, Token::Gt) => CompareOp::LessOrEqual,
            (Token::ExclamationMark, Token::LtEq) => CompareOp::Greater,
            (Token::ExclamationMark, Token::GtEq) => CompareOp::Less,
            _ => return None,
        };
        if *self.peek() == Token::ExclamationMark {
            self.advance();
        }
        self.advance();
        Some(op)
    }

    fn sum(&mut self) -> Read {
        let start = self.start();
        let mut left = self.product()?;
        loop {
            let op = match self.peek() {
                Token::Plus => BinaryOp::Add,
                Token::Minus => BinaryOp::Subtract,
                Token::Ampersand => BinaryOp::BitAnd,
                Token::Pipe => BinaryOp::BitOr,
                Token::Caret => BinaryOp::BitXor,
                _ => return Ok(left),
            };
            self.advance();
            let right = self.product()?;
            left = self.combined(op, left, right, start)?;
        }
    }

    fn product(&mut self) -> Read {
        let start = self.start();
        let mut left = self.signed()?;
        loop {
            let op = match self.peek() {
                Token::Mul => BinaryOp::Multiply,
                Token::Div => BinaryOp::Divide,
                Token::Mod => BinaryOp::Modulo,
                _ => return Ok(left),
            };
            self.advance();
            let right = self.signed()?;
            left = self.combined(op, left, right, start)?;
        }
    }

    /// Two operands; of whole constants their result, if there is one, so that `5 * 2` can stand where the
    /// language wants a constant (C-CONSTANT).
    fn combined(&mut self, op: BinaryOp, a: Ast, b: Ast, start: usize) -> Read {
        let folded = match (&a.kind, &b.kind) {
            (Kind::Integer(a), Kind::Integer(b)) => match op {
                BinaryOp::Add => a.checked_add(*b),
                BinaryOp::Subtract => a.checked_sub(*b),
                BinaryOp::Multiply => a.checked_mul(*b),
                BinaryOp::Divide => a.checked_div(*b),
                BinaryOp::Modulo => a.checked_rem(*b),
                _ => None,
            },
            _ => None,
        };
        let kind = match folded {
            Some(value) => Kind::Integer(value),
            None => Kind::Binary(op, Box::new(a), Box::new(b)),
        };
        Ast::new(kind, self.since(start))
    }

    fn signed(&mut self) -> Read {
        let start = self.start();
        match self.peek() {
            Token::Plus => {
                self.advance();
                self.nested(Cursor::signed)
            }
            Token::Minus => {
                self.advance();
                if let Token::Number(..) = self.peek() {
                    return self.number(start, "-");
                }
                let inner = self.nested(Cursor::signed)?;
                Ast::new(Kind::Negate(Box::new(inner)), self.since(start))
            }
            Token::Tilde | Token::DoubleTilde => {
                let twice = *self.peek() == Token::DoubleTilde;
                self.advance();
                let inner = self.nested(Cursor::signed)?;
                let once = Ast::new(Kind::BitNot(Box::new(inner)), self.since(start))?;
                if twice { Ast::new(Kind::BitNot(Box::new(once)), self.since(start)) } else { Ok(once) }
            }
            _ => self.primary(),
        }
    }

    fn primary(&mut self) -> Read {
        let start = self.start();
        match self.peek().clone() {
            Token::Number(..) => self.number(start, ""),
            Token::SingleQuotedString(text) | Token::NationalStringLiteral(text) => {
                self.advance();
                Ast::new(Kind::Text(text), self.since(start))
            }
            Token::LParen => {
                self.advance();
                if self.is("select") {
                    return Err(fail(
                        codes::SYNTAX,
                        &self.place(),
                        "no query here",
                        "a query inside an expression is not in the language",
                    ));
                }
                let inner = self.expression()?;
                self.expect_token(&Token::RParen)?;
                Ok(Ast { place: self.since(start), ..inner })
            }
            Token::Word(w) if w.quote_style.is_none() => {
                let word = w.value.to_ascii_lowercase();
                match word.as_str() {
                    "null" => {
                        self.advance();
                        Ast::new(Kind::Null, self.since(start))
                    }
                    "case" => self.nested(Cursor::case),
                    "cast" | "try_cast" if *self.ahead(1) == Token::LParen => self.nested(Cursor::cast),
                    _ if is_reserved(&word) => Err(self.expected("an expression")),
                    _ => self.path_or_call(),
                }
            }
            Token::Word(_) => self.path_or_call(),
            _ => Err(self.expected("an expression")),
        }
    }

    /// A number token; `sign` was read before it. Whole digits are a bigint, all else a float (rule 1.1).
    fn number(&mut self, start: usize, sign: &str) -> Read {
        let Token::Number(digits, long) = self.peek().clone() else {
            return Err(self.expected("a number"));
        };
        self.advance();
        let place = self.since(start);
        let text = format!("{sign}{digits}");
        // What follows a number without a blank is a slip (`5min`), not an alias.
        let glued =
            matches!(self.peek(), Token::Word(w) if w.quote_style.is_none()) && self.start() == place.end;
        if long || glued {
            return Err(fail(codes::SYNTAX, &place, "no number", format!("`{text}` is followed by letters")));
        }
        let kind = if digits.bytes().all(|b| b.is_ascii_digit()) {
            let Ok(whole) = text.parse::<i64>() else {
                let message = format!("{text} is outside the bigint range (rule 1.1)");
                return Err(fail(codes::BAD_NUMBER, &place, "too large", message));
            };
            Kind::Integer(whole)
        } else {
            match text.parse::<f64>() {
                Ok(float) if float.is_finite() => Kind::Decimal(float, text),
                _ => {
                    let message = format!("{text} is no finite float (rule 1.1)");
                    return Err(fail(codes::BAD_NUMBER, &place, "no float", message));
                }
            }
        };
        Ast::new(kind, place)
    }

    pub(super) fn list(&mut self) -> Result<Vec<Ast>, QueryError> {
        let mut list = vec![self.expression()?];
        while self.eat_token(&Token::Comma) {
            list.push(self.expression()?);
        }
        Ok(list)
    }

    fn case(&mut self) -> Read {
        let start = self.start();
        self.expect("CASE")?;
        let operand = if self.is("when") { None } else { Some(Box::new(self.expression()?)) };
        let mut branches = Vec::new();
        while self.eat("when") {
            let when = self.expression()?;
            self.expect("THEN")?;
            branches.push((when, self.expression()?));
        }
        if branches.is_empty() {
            return Err(self.expected("WHEN"));
        }
        if self.is("end") {
            return Err(self.expected("ELSE").help("CASE needs an ELSE (rule 5.9): write ELSE NULL"));
        }
        self.expect("ELSE")?;
        let otherwise = Box::new(self.expression()?);
        self.expect("END")?;
        Ast::new(Kind::Case { operand, branches, otherwise }, self.since(start))
    }

    fn cast(&mut self) -> Read {
        let start = self.start();
        let lenient = self.is("try_cast");
        self.advance();
        self.expect_token(&Token::LParen)?;
        let expr = Box::new(self.expression()?);
        self.expect("AS")?;
        let (to, to_place) = self.type_name()?;
        self.expect_token(&Token::RParen)?;
        Ast::new(Kind::Cast { expr, to, to_place, lenient }, self.since(start))
    }

    /// A type with its length: in lower case without blanks, and its place.
    pub(super) fn type_name(&mut self) -> Result<(String, Range<usize>), QueryError> {
        let start = self.start();
        let mut to = self.name("a type")?.text.to_ascii_lowercase();
        if self.eat_token(&Token::LParen) {
            let length = self.peek().to_string().to_ascii_lowercase();
            self.advance();
            self.expect_token(&Token::RParen)?;
            to = format!("{to}({length})");
        }
        Ok((to, self.since(start)))
    }

    /// `a`, `a.b.[0]`, `f(...)`, `udf.f(...)`, `System.Timestamp[()]`
    fn path_or_call(&mut self) -> Read {
        let start = self.start();
        let mut path: Vec<Name> = vec![self.any_name()];
        while *self.peek() == Token::Period {
            self.advance();
            match self.peek() {
                Token::Word(_) => path.push(self.any_name()),
                _ => return Err(self.expected("a name behind the dot")),
            }
        }
        let place = self.since(start);
        let system = path.len() >= 2 && path[0].text.eq_ignore_ascii_case("system");
        if system && path.len() == 2 && path[1].text.eq_ignore_ascii_case("timestamp") {
            if self.eat_token(&Token::LParen) {
                self.expect_token(&Token::RParen)?;
            }
            return Ast::new(Kind::Timestamp, self.since(start));
        }
        if *self.peek() != Token::LParen {
            return Ast::new(Kind::Path(path), place);
        }
        let name = path.iter().map(|n| n.text.as_str()).collect::<Vec<_>>().join(".");
        let call = self.nested(|cursor| cursor.call(name, place))?;
        if system && call.name.eq_ignore_ascii_case("system.window") {
            return self.window_field(start);
        }
        Ast::new(Kind::Call(Box::new(call)), self.since(start))
    }

    /// `.Id` behind `System.Window()`: its single field (A-SYSTEM-WINDOW).
    fn window_field(&mut self, start: usize) -> Read {
        let field = match self.eat_token(&Token::Period) {
            true => self.name("a field")?.text,
            false => String::new(),
        };
        if field.eq_ignore_ascii_case("id") {
            return Ast::new(Kind::WindowId, self.since(start));
        }
        let help = match field.to_ascii_lowercase().as_str() {
            "start" => "the start is DATEADD(unit, -size, System.Timestamp())",
            "end" => "the end is System.Timestamp()",
            _ => "write System.Window().Id",
        };
        let message = "System.Window() has the single field Id (rule 4.11, A-SYSTEM-WINDOW)";
        Err(fail(codes::WINDOW_FIELD, &self.since(start), "no such field", message).help(help))
    }

    fn call(&mut self, name: String, name_place: Range<usize>) -> Result<Call, QueryError> {
        self.expect_token(&Token::LParen)?;
        let mut call = Call { name, name_place, args: Vec::new(), star: false, distinct: false, over: None };
        if *self.peek() == Token::Mul && *self.ahead(1) == Token::RParen {
            self.advance();
            call.star = true;
        } else if *self.peek() != Token::RParen {
            call.distinct = self.eat("distinct");
            if !call.distinct
                && self.is("all")
                && !matches!(self.ahead(1), Token::RParen | Token::Comma | Token::Period)
            {
                self.advance();
            }
            call.args = self.list()?;
        }
        self.expect_token(&Token::RParen)?;
        // TIMESTAMP BY f(x) OVER k has no parenthesis: that OVER belongs to the clause.
        if self.is("over") && *self.ahead(1) == Token::LParen {
            call.over = Some(self.over()?);
        }
        Ok(call)
    }

    /// `LIMIT DURATION(unit, n)`: its arguments and its place.
    pub(super) fn limit(&mut self) -> Result<(Vec<Ast>, Range<usize>), QueryError> {
        let start = self.start();
        self.expect("LIMIT")?;
        self.expect("DURATION")?;
        self.expect_token(&Token::LParen)?;
        let args = self.list()?;
        self.expect_token(&Token::RParen)?;
        Ok((args, self.since(start)))
    }

    /// `OVER ([PARTITION BY k, ...] [ORDER BY ...] [LIMIT DURATION(unit, n)] [WHEN condition])`
    fn over(&mut self) -> Result<Over, QueryError> {
        let start = self.start();
        self.expect("OVER")?;
        self.expect_token(&Token::LParen)?;
        let mut over =
            Over { partition: Vec::new(), order: Vec::new(), limit: None, when: None, place: 0..0 };
        if self.eat("partition") {
            self.expect("BY")?;
            over.partition = self.list()?;
        }
        if self.eat("order") {
            self.expect("BY")?;
            loop {
                let key = self.expression()?;
                let descending = !self.eat("asc") && self.eat("desc");
                over.order.push((key, descending));
                if !self.eat_token(&Token::Comma) {
                    break;
                }
            }
        }
        if self.is("limit") {
            over.limit = Some(self.limit()?);
        }
        if self.eat("when") {
            over.when = Some(self.expression()?);
        }
        self.expect_token(&Token::RParen)?;
        over.place = self.since(start);
        Ok(over)
    }
}
