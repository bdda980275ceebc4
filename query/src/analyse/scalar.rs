//! Expressions and conditions: tree to [`Expr`] and [`Predicate`], with types where they are known.
//!
//! Rules 2, 5.3, 5.9, 5.11; C-PREDICATE, C-ARITH, C-CAST. In the SELECT list and HAVING of a grouping an
//! expression ranges over keys and aggregates; everywhere else over the rows of the inputs.

use std::ops::Range;

use super::PARTS_MAX;
use super::scope::{Clause, Scope, Typed};
use super::types::{self, Ty};
use crate::codes::{self, fail};
use crate::error::QueryError;
use crate::expr::{BinaryOp, CompareOp, Expr, Function, Predicate};
use crate::parse::ast::{Ast, Kind};
use crate::parse::shorten;
use crate::value::{Type, Value};

impl Scope<'_> {
    /// An expression.
    pub(super) fn value(&mut self, ast: &Ast, clause: Clause) -> Result<Typed, QueryError> {
        self.charge(1, &ast.place)?;
        if self.matching.is_some()
            && let Some(term) = self.match_term(ast)?
        {
            return Ok(term);
        }
        if let Some(key) = self.as_key(ast, clause) {
            return Ok(key);
        }
        let typed = |expr, ty| Ok(Typed { expr, ty });
        match &ast.kind {
            Kind::Null => typed(Expr::Literal(Value::Null), None),
            Kind::Integer(int) => typed(Expr::Literal(Value::Int(*int)), Some(Type::Bigint)),
            Kind::Decimal(float, _) => typed(Expr::Literal(Value::Float(*float)), Some(Type::Float)),
            Kind::Text(text) => typed(Expr::Literal(Value::text(text.as_str())), Some(Type::Text)),
            Kind::Timestamp => self.timestamp(&ast.place, clause),
            Kind::WindowId => self.window_id(&ast.place, clause),
            Kind::Path(path) => {
                if !self.is_grouped(clause) {
                    return self.path(path, clause);
                }
                if let Some(name) = super::quoted::lone_quoted(ast)
                    && self.is_text_of_group(name, clause)
                {
                    return Ok(self.double_quoted(name));
                }
                // An alias, unless it is a column of the input as well (A-HAVING-ALIAS).
                if clause == Clause::Having
                    && path.len() == 1
                    && let Some(alias) = self.alias(&path[0].text)
                    && !(0..self.sides.len()).any(|side| self.known(side, &path[0]))
                {
                    return self.value(alias, Clause::Items);
                }
                let name = path.iter().map(|n| n.text.as_str()).collect::<Vec<_>>().join(".");
                let message = format!("{name} is neither a grouping key nor inside an aggregate (rule 5.4)");
                let error = fail(codes::NOT_GROUPED, &ast.place, "not grouped", message);
                Err(error.help(format!("add {name} to GROUP BY, or aggregate it, as in MAX({name})")))
            }
            Kind::Negate(inner) => {
                let inner = self.value(inner, clause)?;
                if !types::numeric(inner.ty) {
                    self.doubt(&ast.place, inner.ty, "the sign `-` takes a number (choice C-ARITH)");
                }
                let ty = inner.ty.map(|ty| if ty == Type::Bit { Type::Bigint } else { ty });
                typed(Expr::Negate(Box::new(inner.expr)), ty)
            }
            Kind::BitNot(inner) => {
                let inner = self.value(inner, clause)?;
                if !inner.ty.is_none_or(|ty| matches!(ty, Type::Bit | Type::Bigint)) {
                    self.doubt(&ast.place, inner.ty, "`~` takes bigint or bit (rule 5.11)");
                }
                typed(Expr::BitNot(Box::new(inner.expr)), inner.ty)
            }
            Kind::Binary(op, a, b) => self.binary(*op, a, b, ast, clause),
            Kind::Case { operand, branches, otherwise } => {
                self.case(operand.as_deref(), branches, otherwise, clause)
            }
            Kind::Cast { expr, to, to_place, lenient } => self.cast(expr, to, to_place, *lenient, clause),
            Kind::Call(call) => self.call(call, ast, clause),
            _ => {
                let message = "a condition is no value (choice C-PREDICATE)";
                let error = fail(codes::PREDICATE_AS_VALUE, &ast.place, "condition", message);
                Err(error.help("write CASE WHEN ... THEN 1 ELSE 0 END"))
            }
        }
    }

    /// A condition.
    pub(super) fn predicate(&mut self, ast: &Ast, clause: Clause) -> Result<Predicate, QueryError> {
        self.charge(1, &ast.place)?;
        Ok(match &ast.kind {
            Kind::And(parts) => Predicate::And(self.predicates(parts, clause)?),
            Kind::Or(parts) => Predicate::Or(self.predicates(parts, clause)?),
            Kind::Not(inner) => Predicate::Not(Box::new(self.predicate(inner, clause)?)),
            Kind::Compare(op, a, b) => {
                let (a, b) = (self.value(a, clause)?, self.value(b, clause)?);
                self.remark_on_compare(&a, &b, ast);
                Predicate::Compare(*op, a.expr, b.expr)
            }
            Kind::IsNull(inner, negated) => {
                let test = Predicate::IsNull(self.value(inner, clause)?.expr);
                if *negated { Predicate::Not(Box::new(test)) } else { test }
            }
            Kind::Like { expr, pattern, escape, negated } => {
                let escape = escape.as_ref().map(|e| escape_character(e)).transpose()?;
                let (expr, pattern) = (self.value(expr, clause)?.expr, self.value(pattern, clause)?.expr);
                Predicate::Like { expr, pattern, escape, negated: *negated }
            }
            Kind::Between { expr, low, high, negated } => Predicate::Between {
                expr: self.value(expr, clause)?.expr,
                low: self.value(low, clause)?.expr,
                high: self.value(high, clause)?.expr,
                negated: *negated,
            },
            Kind::In { expr, list, negated } => Predicate::In {
                expr: self.value(expr, clause)?.expr,
                list: list.iter().map(|e| Ok(self.value(e, clause)?.expr)).collect::<Result<_, _>>()?,
                negated: *negated,
            },
            _ => {
                let message = "a value is no condition (choice C-PREDICATE)";
                let error = fail(codes::VALUE_AS_PREDICATE, &ast.place, "value", message);
                return Err(error.help("compare it, as in x = 1"));
            }
        })
    }

    fn predicates(&mut self, parts: &[Ast], clause: Clause) -> Result<Vec<Predicate>, QueryError> {
        parts.iter().map(|part| self.predicate(part, clause)).collect()
    }

    /// Counts parts of expressions against what one plan may have.
    pub(super) fn charge(&mut self, parts: usize, place: &Range<usize>) -> Result<(), QueryError> {
        self.build.parts = self.build.parts.saturating_add(parts);
        if self.build.parts > PARTS_MAX {
            let message = format!("the query has more than {PARTS_MAX} parts");
            return Err(fail(codes::TOO_LONG, place, "one too many", message));
        }
        Ok(())
    }

    /// `System.Timestamp()`: of the event, of the pair, or the window end, depending on the clause.
    fn timestamp(&mut self, place: &Range<usize>, clause: Clause) -> Result<Typed, QueryError> {
        match clause {
            Clause::TimestampBy => {
                let message = "TIMESTAMP BY defines System.Timestamp() and cannot use it (rule 3.3)";
                Err(fail(codes::TIMESTAMP_BY, place, "not defined yet", message))
            }
            Clause::On => {
                let message =
                    "System.Timestamp() has no meaning in ON, where a pair has no timestamp yet (rule 8.1)";
                let error = fail(codes::TIMESTAMP_IN_ON, place, "of which side?", message);
                Err(error.help("bound the distance with DATEDIFF(unit, a, b) on the aliases"))
            }
            _ => Ok(Typed { expr: Expr::Timestamp, ty: Some(Type::Datetime) }),
        }
    }

    fn binary(
        &mut self,
        op: BinaryOp,
        a: &Ast,
        b: &Ast,
        ast: &Ast,
        clause: Clause,
    ) -> Result<Typed, QueryError> {
        let (a, b) = (self.value(a, clause)?, self.value(b, clause)?);
        let ty = types::binary(op, a.ty, b.ty).unwrap_or_else(|message| {
            self.will_fail(&ast.place, &message);
            None
        });
        Ok(Typed { expr: Expr::Binary(op, Box::new(a.expr), Box::new(b.expr)), ty })
    }

    /// CASE; the simple form becomes `=` conditions, its operand repeated (rule 5.9).
    fn case(
        &mut self,
        operand: Option<&Ast>,
        branches: &[(Ast, Ast)],
        otherwise: &Ast,
        clause: Clause,
    ) -> Result<Typed, QueryError> {
        let operand = match operand {
            Some(operand) => Some((self.value(operand, clause)?.expr, &operand.place)),
            None => None,
        };
        let mut types: Vec<Ty> = Vec::new();
        let mut result = Vec::new();
        for (when, then) in branches {
            let condition = match &operand {
                Some((operand, place)) => {
                    let mut size = 0;
                    operand.visit(&mut |_| size += 1);
                    self.charge(size, place)?;
                    Predicate::Compare(CompareOp::Equal, operand.clone(), self.value(when, clause)?.expr)
                }
                None => self.predicate(when, clause)?,
            };
            let then = self.value(then, clause)?;
            types.push(then.ty);
            result.push((condition, then.expr));
        }
        let place = &otherwise.place;
        let otherwise = self.value(otherwise, clause)?;
        types.push(otherwise.ty);
        let mut results: Vec<&mut Expr> = result.iter_mut().map(|(_, then)| then).collect();
        let mut otherwise = otherwise.expr;
        results.push(&mut otherwise);
        if let Some(highest) = types::highest(&types) {
            for (expr, ty) in results.into_iter().zip(&mut types) {
                self.raise(expr, ty, highest, place)?;
            }
        }
        let ty = types[0].filter(|ty| types.iter().all(|other| *other == Some(*ty)));
        Ok(Typed { expr: Expr::Case(result, Box::new(otherwise)), ty })
    }

    /// A result of CASE as the number that all its results are (rule 5.9, C-CASE). One whose type only its
    /// values tell becomes a float where it is a bigint.
    fn raise(
        &mut self,
        expr: &mut Expr,
        ty: &mut Ty,
        highest: Type,
        place: &Range<usize>,
    ) -> Result<(), QueryError> {
        if *ty == Some(highest) || matches!(expr, Expr::Literal(Value::Null)) {
            return Ok(());
        }
        if ty.is_some() {
            (*expr, *ty) = (cast_to(highest, expr), Some(highest));
            return Ok(());
        }
        if highest == Type::Float { self.bigint_to_float(expr, place) } else { Ok(()) }
    }

    /// A value of any type as a float where it is a bigint; of a CASE, each of its results, so that what is nested
    /// is not repeated.
    fn bigint_to_float(&mut self, expr: &mut Expr, place: &Range<usize>) -> Result<(), QueryError> {
        if is_never_bigint(expr) {
            return Ok(());
        }
        if let Expr::Case(branches, otherwise) = expr {
            for (_, then) in branches {
                self.bigint_to_float(then, place)?;
            }
            return self.bigint_to_float(otherwise, place);
        }
        if matches!(expr, Expr::Literal(Value::Int(_)) | Expr::Cast { to: Type::Bigint, .. }) {
            *expr = cast_to(Type::Float, expr);
            return Ok(());
        }
        let mut size = 0;
        expr.visit(&mut |_| size += 1);
        self.charge(2 * size, place)?;
        let raised = cast_to(Type::Float, expr);
        *expr = Expr::Case(vec![(is_bigint(expr), raised)], Box::new(expr.clone()));
        Ok(())
    }

    fn cast(
        &mut self,
        expr: &Ast,
        to: &str,
        place: &Range<usize>,
        lenient: bool,
        clause: Clause,
    ) -> Result<Typed, QueryError> {
        let Some(to) = types::named(to) else {
            return Err(types::unknown(to, place));
        };
        let literal_null = matches!(expr.kind, Kind::Null);
        let from = self.value(expr, clause)?;
        if let Some(ty) = from.ty
            && !lenient
            && !types::casts(ty, to)
        {
            let message =
                format!("no {} can be cast to {} (choice C-CAST; TRY_CAST gives NULL)", ty.name(), to.name());
            self.will_fail(&expr.place, &message);
        }
        // CAST(NULL AS t) is NULL, which fits everywhere (rule 1.8).
        let ty = if literal_null { None } else { Some(to) };
        Ok(Typed { expr: Expr::Cast { expr: Box::new(from.expr), to, lenient }, ty })
    }

    /// Remarks that an operand is of a type that cannot work: that fails the job and not the query (rule 14.2).
    pub(super) fn doubt(&mut self, place: &Range<usize>, ty: Ty, message: &str) {
        let label = ty.map_or("NULL", Type::name);
        self.will_fail(place, &format!("{message}, not {label}"));
    }

    fn will_fail(&mut self, place: &Range<usize>, message: &str) {
        let at = place.start;
        self.warn(format!("{message}: the job fails at the first row that asks for it, at byte {at}"));
    }

    fn remark_on_compare(&mut self, a: &Typed, b: &Typed, ast: &Ast) {
        if let (Some(left), Some(right)) = (a.ty, b.ty)
            && !types::compares(left, right)
        {
            let (left, right) = (left.name(), right.name());
            self.warn(format!(
                "a comparison of {left} with {right} never holds (choice C-COMPARE), at byte {}",
                ast.place.start
            ));
        }
    }
}

fn cast_to(to: Type, expr: &Expr) -> Expr {
    Expr::Cast { expr: Box::new(expr.clone()), to, lenient: false }
}

fn is_bigint(expr: &Expr) -> Predicate {
    let kind = Expr::Call(Function::GetType, vec![expr.clone()]);
    Predicate::Compare(CompareOp::Equal, kind, Expr::Literal(Value::text(Type::Bigint.name())))
}

/// Whether an expression shows by itself that it is no bigint.
fn is_never_bigint(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(value) => !matches!(value, Value::Int(_)),
        Expr::Cast { to, .. } => *to != Type::Bigint,
        // What was raised before.
        Expr::Case(branches, otherwise) => {
            let [(Predicate::Compare(CompareOp::Equal, Expr::Call(Function::GetType, of), kind), then)] =
                branches.as_slice()
            else {
                return false;
            };
            let Expr::Cast { expr: cast, to: Type::Float, .. } = then else { return false };
            let bigint = matches!(kind, Expr::Literal(Value::Text(kind)) if **kind == *Type::Bigint.name());
            bigint && of.first() == Some(&**otherwise) && cast == otherwise
        }
        _ => false,
    }
}

fn escape_character(ast: &Ast) -> Result<char, QueryError> {
    let one = match &ast.kind {
        Kind::Text(text) => text.chars().next().filter(|first| first.len_utf8() == text.len()),
        _ => None,
    };
    one.ok_or_else(|| {
        let message = "ESCAPE takes one character in quotes (rule 5.3)";
        fail(codes::BAD_ESCAPE, &ast.place, "not one character", message)
    })
}

/// An operand that can never work.
pub(super) fn mismatch(place: &Range<usize>, ty: Ty, message: &str) -> QueryError {
    let label = ty.map_or("NULL", Type::name);
    fail(codes::TYPE_MISMATCH, place, label, format!("{message}, not {label}"))
}

/// The text of a place, short, for messages and names.
pub(super) fn excerpt(text: &str, place: &Range<usize>) -> String {
    shorten(text.get(place.clone()).unwrap_or_default())
}
