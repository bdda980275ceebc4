//! What a name in double quotes stands for (A-DOUBLE-QUOTES, C-QUOTES): a column, a text, or whichever the event has.
//!
//! The language writes both so, and streams do not tell their columns: the query's own words are the evidence
//! (`reads`). Invariant: a word in double quotes is no evidence for itself.

use std::sync::Arc;

use super::reads::froms;
use super::scope::{Clause, METADATA, Rows, Scope, Typed};
use crate::error::QueryError;
use crate::expr::{BinaryOp, Expr, Function};
use crate::parse::ast::{Ast, From, Kind, Name, Quote, What};
use crate::time::Timestamp;
use crate::value::{Type, Value};

impl<'a> Scope<'a> {
    /// What a name in double quotes stands for (A-DOUBLE-QUOTES, C-QUOTES).
    pub(super) fn quoted(&self, name: &Name, clause: Clause) -> Quoted {
        // TIMESTAMP BY and PARTITION BY see the input they belong to alone.
        let own = matches!(clause, Clause::TimestampBy | Clause::Partition);
        let sides = if own { self.sides.len() - 1 } else { 0 }..self.sides.len();
        let open: Vec<usize> = sides.clone().filter(|&side| self.is_open(side)).collect();
        let exact = |have: &str, name: &str| have == name;
        let loose = |have: &str, name: &str| have.eq_ignore_ascii_case(name);
        let known = |alike| {
            sides.clone().any(|side| self.has(side, &name.text, alike))
                || self.read_somewhere(&name.text, alike)
        };
        let metadata = METADATA.iter().any(|m| m.eq_ignore_ascii_case(&name.text))
            && sides.clone().any(|side| self.has(side, &name.text, loose));
        match open.as_slice() {
            _ if metadata || known(exact) => Quoted::Column,
            // Of several open inputs, it is refused as ambiguous, like the plain name.
            [_, ..] if self.placed_as_name(&name.text) => Quoted::Column,
            _ if known(loose) && self.placed_as_name(&name.text) => Quoted::Column,
            // A column the query knows in another spelling: `ELSE "B"` beside a column b.
            _ if known(loose) => Quoted::Text,
            [one] => Quoted::Either(*one),
            // None has it; or nobody can say whose column it would be.
            _ => Quoted::Text,
        }
    }

    /// Whether a name in double quotes above a grouping is a text: as a column it could not stand there.
    pub(super) fn is_text_of_group(&self, name: &Name, clause: Clause) -> bool {
        let alias = clause == Clause::Having && self.alias(&name.text).is_some();
        !alias && !matches!(self.quoted(name, clause), Quoted::Column)
    }

    /// Whether a side is known, without the query's own words, to have a column of a name like this.
    fn has(&self, side: usize, name: &str, alike: fn(&str, &str) -> bool) -> bool {
        let table = |table: &[(Arc<str>, Type)]| table.iter().any(|(column, _)| alike(column, name));
        match &self.sides[side].rows {
            Rows::Stream { input, .. } => {
                METADATA.iter().any(|m| alike(m, name)) || table(self.build.table_of(*input))
            }
            Rows::Reference { reference, .. } => table(self.build.table_of_reference(*reference)),
            Rows::Apply { names, .. } => names.iter().any(|n| alike(n, name)),
            Rows::Step { relation, .. } => {
                let mut all = relation.shown.iter().chain(&relation.hidden);
                all.any(|shown| !shown.open && alike(&shown.name, name))
            }
        }
    }

    /// Whether names of a side show only while the job runs.
    pub(super) fn is_open(&self, side: usize) -> bool {
        match &self.sides[side].rows {
            Rows::Stream { input, .. } => self.build.table_of(*input).is_empty(),
            Rows::Reference { reference, .. } => self.build.table_of_reference(*reference).is_empty(),
            Rows::Apply { .. } => false,
            Rows::Step { relation, .. } => relation.shown.iter().any(|s| s.open),
        }
    }

    /// The member of that name where the event has it, else the name as a text.
    pub(super) fn either(&mut self, side: usize, name: &Name) -> Result<Typed, QueryError> {
        self.charge(2, &name.place)?;
        let column = self.column(side, name)?;
        let text = Expr::Literal(Value::text(name.text.as_str()));
        self.warn(format!(
            "\"{0}\" is read as the column {0} where an event has it, else as a text (A-DOUBLE-QUOTES): [{0}] is always the column, '{0}' always the text",
            name.text
        ));
        Ok(Typed { expr: Expr::Call(Function::Coalesce, vec![column.expr, text]), ty: None })
    }

    /// Whether the name stands, in double quotes, where a constant text makes no sense: a whole item without
    /// alias, a whole key, the argument of an aggregate, an operand of arithmetic, a number, a date or a shape
    /// wanted, before the other arguments of COALESCE and NULLIF.
    fn placed_as_name(&self, name: &str) -> bool {
        let is = |ast: &Ast| lone_quoted(ast).is_some_and(|quoted| quoted.text.eq_ignore_ascii_case(name));
        let items = self.select.items.iter();
        let items = items.filter(|item| item.alias.as_ref().is_none_or(|alias| alias.text == name));
        let items = items.filter_map(|item| match &item.what {
            What::Value(ast) => Some(ast),
            _ => None,
        });
        let of_input = |from: &'a From| from.timestamp_by.iter().chain(&from.over).chain(&from.partition);
        let of_pattern = self.pattern.iter().flat_map(|(what, _)| &what.partition);
        let of_inputs = froms(self.select).flat_map(of_input);
        let mut keys = items.chain(&self.select.group).chain(of_inputs).chain(of_pattern);
        if keys.any(is) {
            return true;
        }
        // A constant that reads as a time is a date, one in WKT or GeoJSON a shape; the name of an input is its
        // timestamp (rule 8.1).
        let a_time = Timestamp::parse(name).is_some() || self.side_named(name).is_some();
        let a_shape = name.contains(['(', '{']);
        let mut test = |ast: &Ast| match &ast.kind {
            Kind::Negate(inner) | Kind::BitNot(inner) | Kind::IsNull(inner, _) => is(inner),
            Kind::Binary(BinaryOp::Add, a, b) => is(a) && is_number(b) || is(b) && is_number(a),
            Kind::Binary(_, a, b) => is(a) || is(b),
            Kind::Like { expr, .. } => is(expr),
            Kind::Cast { expr, to, .. } if to == "datetime" => is(expr) && !a_time,
            Kind::Cast { expr, to, .. } => is(expr) && to != "nvarchar(max)",
            Kind::Call(call) => {
                let over = call.over.iter();
                let mut keys = over.flat_map(|o| o.partition.iter().chain(o.order.iter().map(|(e, _)| e)));
                keys.any(is)
                    || super::function::named_arguments(call).any(is)
                    || !a_shape && super::function::shapes(call).any(is)
                    || !a_time && super::function::dates(call).iter().any(is)
            }
            _ => false,
        };
        self.expressions().any(|ast| ast.any(&mut test))
    }

    /// A text in double quotes (A-DOUBLE-QUOTES).
    pub(super) fn double_quoted(&mut self, name: &Name) -> Typed {
        self.warn(format!(
            "\"{}\" is read as a text: no column or stream has this name (A-DOUBLE-QUOTES)",
            name.text
        ));
        Typed { expr: Expr::Literal(Value::text(name.text.as_str())), ty: Some(Type::Text) }
    }
}

/// What a single name in double quotes stands for.
pub(super) enum Quoted {
    Column,
    Text,
    /// The column of this side where the event has it, else the text.
    Either(usize),
}

/// The name, where an expression is nothing but one in double quotes.
pub(super) fn lone_quoted(ast: &Ast) -> Option<&Name> {
    match &ast.kind {
        Kind::Path(path) if path.len() == 1 && path[0].quote == Quote::Double => path.first(),
        _ => None,
    }
}

/// Whether an expression is a number as it is written.
fn is_number(ast: &Ast) -> bool {
    match &ast.kind {
        Kind::Integer(_) | Kind::Decimal(..) => true,
        Kind::Negate(inner) => is_number(inner),
        _ => false,
    }
}
