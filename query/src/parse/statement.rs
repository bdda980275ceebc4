//! The grammar around expressions: WITH, SELECT, INTO, FROM, TIMESTAMP BY, PARTITION BY, JOIN, UNION.
//!
//! Sections 5 and 11. Knows clauses and their order, no names. What the language has and this grammar
//! leaves out is refused by name where it begins.

use sqlparser::tokenizer::Token;

use super::ast::{
    ApplyClause, From, Item, JoinClause, More, Name, Query, Quote, Script, Select, Step, Table, What,
};
use super::{Cursor, is_reserved};
use crate::codes::{self, fail, unsupported};
use crate::error::QueryError;

impl Cursor {
    /// `{CREATE TABLE ...} [WITH steps] query {[;] query} [;]`
    pub(super) fn script(&mut self) -> Result<Script, QueryError> {
        let mut script = Script { tables: Vec::new(), steps: Vec::new(), statements: Vec::new() };
        self.skip_semicolons();
        while self.is("create") {
            script.tables.push(self.table()?);
            self.skip_semicolons();
        }
        if self.eat("with") {
            loop {
                script.steps.push(self.step()?);
                if !self.eat_token(&Token::Comma) {
                    break;
                }
            }
        }
        loop {
            self.skip_semicolons();
            if *self.peek() == Token::EOF && !script.statements.is_empty() {
                return Ok(script);
            }
            script.statements.push(self.query()?);
        }
    }

    /// `CREATE TABLE name (column type, ...)` (rule 1.8)
    fn table(&mut self) -> Result<Table, QueryError> {
        self.expect("CREATE")?;
        self.expect("TABLE")?;
        let name = self.name("the name of a stream")?;
        self.expect_token(&Token::LParen)?;
        let mut columns = Vec::new();
        loop {
            let column = self.name("a column")?;
            let (ty, place) = self.type_name()?;
            columns.push((column, ty, place));
            if !self.eat_token(&Token::Comma) {
                break;
            }
        }
        self.expect_token(&Token::RParen)?;
        let end = self.since(name.place.start).end;
        Ok(Table { name, columns, end })
    }

    fn skip_semicolons(&mut self) {
        while self.eat_token(&Token::SemiColon) {}
    }

    fn step(&mut self) -> Result<Step, QueryError> {
        let name = self.name("the name of a step")?;
        self.expect("AS")?;
        self.expect_token(&Token::LParen)?;
        let query = self.query()?;
        self.expect_token(&Token::RParen)?;
        Ok(Step { name, query })
    }

    fn query(&mut self) -> Result<Query, QueryError> {
        let start = self.start();
        let mut branches = vec![self.select()?];
        while self.eat("union") {
            self.eat("all");
            branches.push(self.select()?);
        }
        Ok(Query { branches, place: self.since(start) })
    }

    fn select(&mut self) -> Result<Select, QueryError> {
        let start = self.start();
        if self.is("create") {
            let message = "CREATE TABLE stands before WITH and every SELECT (rule 1.8)";
            return Err(fail(codes::SYNTAX, &self.place(), "too late", message));
        }
        self.expect("SELECT")?;
        for (word, rule) in [("distinct", "5.2"), ("top", "5.2")] {
            // `SELECT top, ...` selects a column of that name; `TOP 5` is the clause.
            let clause = word == "distinct" || matches!(self.ahead(1), Token::Number(..));
            if self.is(word) && clause {
                return Err(unsupported(&format!("SELECT {}", word.to_uppercase()), rule, &self.place()));
            }
        }
        let mut items = vec![self.item()?];
        while self.eat_token(&Token::Comma) {
            items.push(self.item()?);
        }
        let into = if self.eat("into") { Some(self.name("the name of an output")?) } else { None };
        if !self.eat("from") {
            return Err(self.expected("FROM").help("every SELECT reads from a stream or a step (rule 5.3)"));
        }
        let from = self.source()?;
        let mut joins = Vec::new();
        while let Some(more) = self.more()? {
            joins.push(more);
        }
        let filter = if self.eat("where") { Some(self.expression()?) } else { None };
        let mut group = Vec::new();
        if self.eat("group") {
            self.expect("BY")?;
            group.push(self.expression()?);
            while self.eat_token(&Token::Comma) {
                group.push(self.expression()?);
            }
        }
        let having = if self.eat("having") { Some(self.expression()?) } else { None };
        if self.is("order") {
            return Err(fail(
                codes::SYNTAX,
                &self.place(),
                "no ORDER BY",
                "a query has no ORDER BY: its rows are in the order of their timestamps (rule 3.10)",
            ));
        }
        Ok(Select { items, into, from, joins, filter, group, having, place: self.since(start) })
    }

    fn item(&mut self) -> Result<Item, QueryError> {
        let start = self.start();
        if self.eat_token(&Token::Mul) {
            return Ok(Item { what: What::Star, alias: None, place: self.since(start) });
        }
        if let Some(path) = self.path_star()? {
            return Ok(Item { what: What::PathStar(path), alias: None, place: self.since(start) });
        }
        // `a = x`: a condition is no value, so at the start of an item this is an alias (rule 1.9).
        let named = match self.peek() {
            Token::Word(w) => w.quote_style.is_some() || !is_reserved(&w.value),
            Token::SingleQuotedString(_) => true,
            _ => false,
        };
        if named && *self.ahead(1) == Token::Eq {
            let alias = self.alias()?;
            self.advance();
            let value = self.expression()?;
            return Ok(Item { what: What::Value(value), alias: Some(alias), place: self.since(start) });
        }
        let value = self.expression()?;
        let alias = if self.eat("as") || self.at_alias() { Some(self.alias()?) } else { None };
        Ok(Item { what: What::Value(value), alias, place: self.since(start) })
    }

    fn at_alias(&self) -> bool {
        match self.peek() {
            Token::Word(w) => w.quote_style.is_some() || !is_reserved(&w.value),
            Token::SingleQuotedString(_) => true,
            _ => false,
        }
    }

    /// A name, or a text used as one (`x AS 'a'`).
    fn alias(&mut self) -> Result<Name, QueryError> {
        let place = self.place();
        let name = match self.peek() {
            Token::SingleQuotedString(text) => {
                let name = Name { text: text.clone(), quote: Quote::Bracket, place: place.clone() };
                self.advance();
                name
            }
            // Behind AS a reserved word can only be meant as a name, unless a clause begins with it.
            Token::Word(w) if ["from", "into"].iter().all(|k| !w.value.eq_ignore_ascii_case(k)) => {
                self.any_name()
            }
            _ => self.name("an alias")?,
        };
        if name.text.is_empty() {
            return Err(fail(codes::SYNTAX, &place, "empty name", "an alias must not be empty"));
        }
        Ok(name)
    }

    /// `a.b.*`, or nothing read at all.
    fn path_star(&mut self) -> Result<Option<Vec<Name>>, QueryError> {
        let begin = self.at;
        let mut path = Vec::new();
        while let Token::Word(w) = self.peek() {
            if path.is_empty() && w.quote_style.is_none() && is_reserved(&w.value) {
                break;
            }
            path.push(self.any_name());
            if !self.eat_token(&Token::Period) {
                break;
            }
            if self.eat_token(&Token::Mul) {
                if path.len() > super::ast::DEPTH_MAX {
                    return Err(super::ast::too_deep(&path[0].place));
                }
                return Ok(Some(path));
            }
        }
        self.at = begin;
        Ok(None)
    }

    fn source(&mut self) -> Result<From, QueryError> {
        let start = self.start();
        if *self.peek() == Token::LParen {
            return Err(unsupported("a query inside FROM", "5.3", &self.place())
                .help("write it as a step: WITH name AS (SELECT ...)"));
        }
        let stream = self.name("a stream or a step")?;
        let mut from = From {
            stream,
            alias: None,
            timestamp_by: None,
            over: Vec::new(),
            partition: None,
            pattern: None,
            place: 0..0,
        };
        from.alias = self.stream_alias()?;
        loop {
            if from.timestamp_by.is_none() && self.is("timestamp") && self.is_ahead(1, "by") {
                self.advance();
                self.advance();
                from.timestamp_by = Some(self.expression()?);
                if self.eat("over") {
                    from.over = self.list()?;
                }
            } else if from.partition.is_none() && self.is("partition") && self.is_ahead(1, "by") {
                self.advance();
                self.advance();
                from.partition = Some(self.expression()?);
                if self.eat("into") {
                    self.partition_count()?;
                }
            } else {
                break;
            }
        }
        if self.is("match_recognize") {
            from.pattern = Some(Box::new(self.recognize()?));
            // The alias of the matches stands behind them and hides that of the stream.
            from.alias = self.stream_alias()?.or(from.alias);
        }
        from.place = self.since(start);
        self.refuse_after_from()?;
        Ok(from)
    }

    fn stream_alias(&mut self) -> Result<Option<Name>, QueryError> {
        if self.eat("as") {
            return Ok(Some(self.name("an alias")?));
        }
        Ok(if self.at_from_alias() { Some(self.any_name()) } else { None })
    }

    fn at_from_alias(&self) -> bool {
        let Token::Word(w) = self.peek() else { return false };
        if w.quote_style.is_some() {
            return true;
        }
        let clause = ["timestamp", "partition"].iter().any(|k| self.is(k)) && self.is_ahead(1, "by")
            || ["left", "right"].iter().any(|k| self.is(k))
                && (self.is_ahead(1, "join") || self.is_ahead(1, "outer"))
            || self.is("outer") && self.is_ahead(1, "apply");
        !clause && !is_reserved(&w.value)
    }

    /// INTO n of PARTITION BY: a hint without meaning for results (rule 11.3), but it must be one.
    fn partition_count(&mut self) -> Result<(), QueryError> {
        match self.peek() {
            Token::Number(n, false) if n.parse::<u32>().is_ok_and(|n| n > 1) => {
                self.advance();
                Ok(())
            }
            _ => Err(self.expected("a whole number above 1").help("PARTITION BY key INTO n (rule 11.3)")),
        }
    }

    fn refuse_after_from(&self) -> Result<(), QueryError> {
        let place = self.place();
        if *self.peek() == Token::Comma {
            return Err(fail(
                codes::SYNTAX,
                &place,
                "one stream",
                "FROM takes one stream; others are joined (rule 8.1)",
            )
            .help("write JOIN ... ON DATEDIFF(...) BETWEEN ... AND ..."));
        }
        Ok(())
    }

    fn more(&mut self) -> Result<Option<More>, QueryError> {
        if (self.is("cross") || self.is("outer")) && self.is_ahead(1, "apply") {
            return Ok(Some(More::Apply(self.apply()?)));
        }
        Ok(self.join()?.map(|join| More::Join(Box::new(join))))
    }

    /// `CROSS APPLY GetArrayElements(a) [AS] x` (rule 5.10)
    fn apply(&mut self) -> Result<ApplyClause, QueryError> {
        let start = self.start();
        let outer = self.is("outer");
        self.advance();
        self.expect("APPLY")?;
        let call = self.expression()?;
        let Some(alias) = self.stream_alias()? else {
            let error = self.expected("an alias").help("CROSS APPLY GetArrayElements(a) AS x (rule 5.10)");
            return Err(error);
        };
        self.refuse_after_from()?;
        Ok(ApplyClause { outer, call, alias, place: self.since(start) })
    }

    fn join(&mut self) -> Result<Option<JoinClause>, QueryError> {
        let start = self.start();
        for kind in ["right", "full", "cross"] {
            if self.is(kind) && !self.is_ahead(1, "apply") {
                let message = format!(
                    "streams are joined by INNER or LEFT JOIN, not by {} (rule 8.1)",
                    kind.to_uppercase()
                );
                return Err(fail(codes::SYNTAX, &self.place(), "not in the language", message));
            }
        }
        let left_outer = self.is("left");
        if left_outer {
            self.advance();
            self.eat("outer");
        } else if self.is("inner") {
            self.advance();
        } else if !self.is("join") {
            return Ok(None);
        }
        self.expect("JOIN")?;
        let from = self.source()?;
        if !self.eat("on") {
            return Err(self.expected("ON").help("a join needs a condition with DATEDIFF (rule 8.1)"));
        }
        let on = self.expression()?;
        self.refuse_after_from()?;
        Ok(Some(JoinClause { left_outer, from, on, place: self.since(start) }))
    }
}
