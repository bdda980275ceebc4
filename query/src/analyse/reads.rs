//! What a SELECT reads, as evidence of the columns its inputs have.
//!
//! Knows paths and where they stand, not what they come to. Invariant: a single name in double quotes, which may be a
//! text, is not read here, unless it is metadata, which is always a column.

use super::quoted::lone_quoted;
use super::scope::{METADATA, Rows, Scope};
use crate::parse::ast::{Ast, From, Kind, More, Name, Quote, Recognize, Select, What};

impl<'a> Scope<'a> {
    /// Whether a clause of the SELECT reads a column of a name like this, not in double quotes.
    pub(super) fn read_somewhere(&self, name: &str, alike: fn(&str, &str) -> bool) -> bool {
        let mut test = |ast: &Ast| match &ast.kind {
            Kind::Path(path) => {
                path.iter().take(2).any(|part| alike(&part.text, name))
                    && self.column_read(path).is_some_and(|read| alike(read, name))
            }
            _ => false,
        };
        self.expressions().chain(self.measures()).any(|ast| ast.any(&mut test))
    }

    /// Whether a clause of the SELECT reads a column of a side, its name spelled exactly so.
    pub(super) fn reads_of(&self, side: usize, name: &str) -> bool {
        self.expressions().chain(self.measures()).any(|ast| self.reads_exactly(ast, side, name))
    }

    /// Whether an expression reads that column, its name spelled exactly so.
    fn reads_exactly(&self, ast: &Ast, side: usize, name: &str) -> bool {
        ast.any(&mut |ast: &Ast| {
            let Kind::Path(path) = &ast.kind else { return false };
            match self.qualifier(path) {
                Some(own) => own == side && path[1].text == name,
                None => {
                    (lone_quoted(ast).is_none() || METADATA.contains(&name))
                        && path[0].text == name
                        && self.side_with(&path[0]).is_ok_and(|own| own == side)
                }
            }
        })
    }

    /// The side that the first part of a path names: its input, or the one a variable of the pattern stands for.
    fn qualifier(&self, path: &[Name]) -> Option<usize> {
        let alias = path.first().filter(|_| path.len() > 1)?;
        match &self.pattern {
            Some((_, variables)) if variables.contains(&alias.text.to_ascii_lowercase()) => Some(0),
            _ => self.side_named(&alias.text),
        }
    }

    /// All expressions of the SELECT; of a pattern those of PARTITION BY and DEFINE.
    pub(super) fn expressions(&self) -> impl Iterator<Item = &'a Ast> {
        let pattern = self.pattern.as_ref().map(|(what, _)| *what).into_iter();
        let terms = |what: &'a Recognize| what.partition.iter().chain(what.define.iter().map(|(_, ast)| ast));
        expressions(self.select).chain(pattern.flat_map(terms))
    }

    fn measures(&self) -> impl Iterator<Item = &'a Ast> {
        let pattern = self.pattern.as_ref().map(|(what, _)| *what).into_iter();
        pattern.flat_map(|what| what.measures.iter().map(|(ast, _)| ast))
    }

    /// Whether the SELECT list or a TIMESTAMP BY reads a column of that name.
    pub(super) fn reads(&self, name: &str) -> bool {
        let mut test = |ast: &Ast| match &ast.kind {
            Kind::Path(path) => self.column_read(path).is_some_and(|read| read.eq_ignore_ascii_case(name)),
            _ => false,
        };
        values(self.select)
            .chain(froms(self.select).filter_map(|f| f.timestamp_by.as_ref()))
            .any(|ast| ast.any(&mut test))
    }

    /// Whether the query itself says that a side gives a column spelled exactly so: CREATE TABLE declares it, or
    /// the SELECT list reads it (A-STAR-DUP).
    pub(super) fn surely_has(&self, side: usize, name: &str) -> bool {
        let table = match &self.sides[side].rows {
            Rows::Stream { input, .. } => self.build.table_of(*input),
            Rows::Reference { reference, .. } => self.build.table_of_reference(*reference),
            Rows::Step { .. } | Rows::Apply { .. } => &[],
        };
        let metadata = METADATA.iter().any(|m| m.eq_ignore_ascii_case(name));
        table.iter().any(|(column, _)| **column == *name)
            || !metadata && values(self.select).any(|ast| self.reads_exactly(ast, side, name))
    }

    /// The column a path begins with. A single name in double quotes may be a text, so it is no evidence of one.
    fn column_read<'p>(&self, path: &'p [Name]) -> Option<&'p str> {
        if path.len() == 1 && path[0].quote == Quote::Double {
            return None;
        }
        Some(&path[usize::from(self.qualifier(path).is_some())].text)
    }

    /// The expression behind an explicit alias of the SELECT list.
    pub(super) fn alias(&self, name: &str) -> Option<&'a Ast> {
        let aliased = self.select.items.iter().filter_map(|item| match (&item.what, &item.alias) {
            (What::Value(ast), Some(alias)) => Some((alias.text.as_str(), ast)),
            _ => None,
        });
        let exact = aliased.clone().find(|(alias, _)| *alias == name);
        exact
            .or_else(|| aliased.clone().find(|(alias, _)| alias.eq_ignore_ascii_case(name)))
            .map(|(_, ast)| ast)
    }
}

/// All expressions of a SELECT.
fn expressions(select: &Select) -> impl Iterator<Item = &Ast> {
    let inputs =
        froms(select).flat_map(|from| from.timestamp_by.iter().chain(&from.over).chain(&from.partition));
    let joins = select.joins.iter().map(|more| match more {
        More::Join(join) => &join.on,
        More::Apply(apply) => &apply.call,
    });
    let conditions = select.filter.iter().chain(&select.group).chain(&select.having);
    values(select).chain(inputs).chain(joins).chain(conditions)
}

/// The expressions of the SELECT list.
fn values(select: &Select) -> impl Iterator<Item = &Ast> {
    select.items.iter().filter_map(|item| match &item.what {
        What::Value(ast) => Some(ast),
        _ => None,
    })
}

/// FROM and the inputs of all joins.
pub(super) fn froms(select: &Select) -> impl Iterator<Item = &From> {
    let joined = select.joins.iter().filter_map(|more| match more {
        More::Join(join) => Some(&join.from),
        More::Apply(_) => None,
    });
    std::iter::once(&select.from).chain(joined)
}
