//! JOIN: the condition, and the bound in time that must be found in it (rules 8.1 to 8.6).
//!
//! ON is lowered whole; bound and equalities are read off its top-level AND. A comparison of
//! `DATEDIFF(unit, a, b)` with a constant bounds one side or both, whichever way round it is written.
//! Invariant: a bound found is finite, not empty and within seven days.

use std::ops::Range;

use super::scope::{Clause, Rows, Scope, Symbol};
use crate::codes::{self, fail};
use crate::error::QueryError;
use crate::expr::{BinaryOp, CompareOp, Expr, Function, Predicate};
use crate::parse::ast::{Ast, JoinClause, Kind};
use crate::plan::{Apply, Bound, Join, ReferenceJoin};
use crate::time::{Span, Unit};
use crate::value::{Type, Value};

/// What stands behind the first input, over symbols; its side is the one of the same place.
pub(super) struct Joined {
    pub(super) what: Beside,
    pub(super) place: Range<usize>,
}

/// What one side is combined by with those left of it.
pub(super) enum Beside {
    Stream(Join),
    Reference(ReferenceJoin),
    Apply(Apply),
}

/// `DATEDIFF(unit, left, right)` within `low..=high`, each end perhaps open.
struct Candidate {
    unit: Unit,
    left: Symbol,
    right: Symbol,
    low: Option<i64>,
    high: Option<i64>,
}

impl Scope<'_> {
    /// A JOIN whose right side was added last.
    pub(super) fn join(&mut self, clause: &JoinClause) -> Result<(), QueryError> {
        let right = self.sides.len() - 1;
        let on = self.predicate(&clause.on, Clause::On)?;
        let parts: Vec<&Predicate> = match &on {
            Predicate::And(parts) => parts.iter().collect(),
            other => vec![other],
        };
        let mut candidates: Vec<Candidate> = Vec::new();
        let mut equal = Vec::new();
        for part in parts {
            if let Some(bound) = self.bounds(part, right) {
                tighten(&mut candidates, bound);
            }
            if let Some(pair) = self.equates(part, right) {
                equal.push(pair);
            }
        }
        let bound = self.choose(&candidates, clause)?;
        self.check_partition(&equal, right, &clause.on)?;
        self.check_substreams(&equal, right, &clause.on)?;
        let join = Join { left_outer: clause.left_outer, on, bound, equal, left_columns: 0 };
        self.joins.push(Joined { what: Beside::Stream(join), place: clause.place.clone() });
        Ok(())
    }

    /// A JOIN of reference data (rule 8.7), whose side was added last. Its columns are not all known yet.
    pub(super) fn reference_join(&mut self, clause: &JoinClause) -> Result<(), QueryError> {
        let right = self.sides.len() - 1;
        let on = self.predicate(&clause.on, Clause::Beside)?;
        let parts: Vec<&Predicate> = match &on {
            Predicate::And(parts) => parts.iter().collect(),
            other => vec![other],
        };
        let equal = parts.into_iter().filter_map(|part| self.equates(part, right)).collect();
        let Rows::Reference { reference, .. } = self.sides[right].rows else {
            unreachable!("the caller has added reference data");
        };
        let (left_outer, columns, left_columns) = (clause.left_outer, Vec::new(), 0);
        let table = self.build.table_of_reference(reference).to_vec();
        let join = ReferenceJoin { reference, table, columns, left_outer, on, equal, left_columns };
        self.joins.push(Joined { what: Beside::Reference(join), place: clause.place.clone() });
        Ok(())
    }

    /// The side all columns of an expression belong to; `None` if they are of several or it has none.
    fn only_side(&self, expr: &Expr) -> Option<usize> {
        let mut sides = Vec::new();
        expr.visit(&mut |e| {
            if let Expr::Column(symbol) = e {
                sides.push(self.owners[*symbol]);
            }
        });
        let first = sides.first().copied().flatten()?;
        sides.iter().all(|side| *side == Some(first)).then_some(first)
    }

    /// Whether every column of an expression, and at least one, belongs to a side left of `right`.
    fn is_left(&self, expr: &Expr, right: usize) -> bool {
        let mut any = false;
        let mut all = true;
        expr.visit(&mut |e| {
            if let Expr::Column(symbol) = e {
                any = true;
                all &= self.owners[*symbol].is_some_and(|side| side < right);
            }
        });
        any && all
    }

    /// `left = right`, whichever way round.
    fn equates(&self, part: &Predicate, right: usize) -> Option<(Expr, Expr)> {
        let Predicate::Compare(CompareOp::Equal, a, b) = part else { return None };
        for (l, r) in [(a, b), (b, a)] {
            if self.is_left(l, right) && self.only_side(r) == Some(right) {
                return Some((l.clone(), r.clone()));
            }
        }
        None
    }

    /// What a condition says about the distance in time to the right side.
    fn bounds(&self, part: &Predicate, right: usize) -> Option<Candidate> {
        let part = &in_ticks(part);
        let (diff, low, high) = match part {
            Predicate::Between { expr, low, high, negated: false } => (expr, at_least(low), at_most(high)),
            Predicate::In { expr, list, negated: false } => {
                // Between the least and the greatest of them.
                let all = list.iter().map(constant).collect::<Option<Vec<f64>>>()?;
                let ordered = |a: &f64, b: &f64| a.total_cmp(b);
                let of = |found: f64| list.iter().find(|e| constant(e) == Some(found));
                let (low, high) =
                    (of(all.iter().copied().min_by(ordered)?)?, of(all.into_iter().max_by(ordered)?)?);
                (expr, at_least(low), at_most(high))
            }
            Predicate::Compare(op, a, b) => match (constant(a), constant(b)) {
                (None, Some(_)) => {
                    let (low, high) = range(*op, b)?;
                    (a, low, high)
                }
                (Some(_), None) => {
                    let (low, high) = range(flipped(*op), a)?;
                    (b, low, high)
                }
                _ => return None,
            },
            _ => return None,
        };
        let Expr::Call(Function::DateDiff(unit), args) = diff else { return None };
        let [Expr::Column(a), Expr::Column(b)] = args.as_slice() else { return None };
        let side = |symbol: &Symbol| {
            self.owners[*symbol].filter(|&side| self.sides[side].timestamp == Some(*symbol))
        };
        let (of_a, of_b) = (side(a)?, side(b)?);
        let unit = *unit;
        if of_b == right && of_a < right {
            return Some(Candidate { unit, left: *a, right: *b, low, high });
        }
        if of_a == right && of_b < right {
            // Boundaries counted backwards: DATEDIFF(unit, b, a) = -DATEDIFF(unit, a, b).
            let minus = |n: Option<i64>| n.map(|n| n.saturating_neg());
            return Some(Candidate { unit, left: *b, right: *a, low: minus(high), high: minus(low) });
        }
        None
    }

    /// The tightest finite bound, or why there is none.
    fn choose(&self, candidates: &[Candidate], clause: &JoinClause) -> Result<Bound, QueryError> {
        let place = bound_place(&clause.on);
        if candidates.is_empty() {
            return Err(self.no_bound(clause));
        }
        let usable = |c: &&Candidate| c.unit.fixed().is_some() && c.unit != Unit::Week;
        if let Some(c) = candidates.iter().find(|c| !usable(c))
            && !candidates.iter().any(|c| usable(&c) && c.low.is_some() && c.high.is_some())
        {
            let message = format!(
                "a join is bounded in a unit of fixed length up to day, not in {} (rules 8.1, 8.2)",
                c.unit.name()
            );
            return Err(fail(codes::BAD_UNIT, &place, c.unit.name(), message));
        }
        let ticks = |unit: Unit| i128::from(unit.fixed().unwrap_or_default().0);
        let finite = candidates.iter().filter(usable).filter_map(|c| {
            let bound = Bound { unit: c.unit, low: c.low?, high: c.high?, left: c.left, right: c.right };
            Some((bound, (i128::from(c.high?) - i128::from(c.low?)) * ticks(c.unit)))
        });
        let Some((bound, width)) = finite.min_by_key(|(_, width)| *width) else {
            let message = "DATEDIFF must bound the distance in time on both sides (rule 8.1)";
            let error = fail(codes::UNBOUNDED_JOIN, &place, "open on a side", message);
            return Err(error.help("write DATEDIFF(minute, a, b) BETWEEN 0 AND 15"));
        };
        if width < 0 {
            let message = "no distance in time satisfies this (rule 8.1)";
            return Err(
                fail(codes::EMPTY_JOIN, &place, "never", message).help("BETWEEN takes the lower bound first")
            );
        }
        let farthest = i128::from(bound.low).abs().max(i128::from(bound.high).abs()) * ticks(bound.unit);
        if farthest > i128::from(Span::LONGEST.0) {
            let span =
                i64::try_from(farthest).map_or_else(|_| "far too long".to_owned(), |t| Span(t).to_string());
            let message = format!("a join reaches over at most 7 days (rule 8.1), this one over {span}");
            return Err(fail(codes::LIMIT_DATEDIFF, &place, span, message));
        }
        Ok(bound)
    }

    fn no_bound(&self, clause: &JoinClause) -> QueryError {
        let mentions = clause.on.any(
            &mut |ast| matches!(&ast.kind, Kind::Call(call) if call.name.eq_ignore_ascii_case("datediff")),
        );
        let names: Vec<&str> = self.sides.iter().map(|s| s.name.as_str()).collect();
        let (a, b) = (names[0], names[names.len() - 1]);
        let help =
            format!("write DATEDIFF(minute, {a}, {b}) BETWEEN 0 AND 15, on the aliases, joined by AND");
        if mentions {
            let message = "the join is not bounded in time: DATEDIFF must compare the aliases with constants (rule 8.1)";
            return fail(codes::UNBOUNDED_JOIN, &bound_place(&clause.on), "no bound", message).help(help);
        }
        let name = self.sides.last().map_or("it", |side| side.name.as_str());
        let message = format!(
            "a join of streams is bounded in time by DATEDIFF (rule 8.1); without it {name} would be reference data (rule 8.7)"
        );
        let error = fail(codes::UNBOUNDED_JOIN, &clause.place, "no bound", message);
        error.help(format!("{help}; or declare the input as reference data"))
    }

    /// Substreams are joined inside themselves (rule 3.9).
    fn check_substreams(&self, equal: &[(Expr, Expr)], right: usize, on: &Ast) -> Result<(), QueryError> {
        let lefts: Vec<&Expr> = self.sides[..right].iter().flat_map(|s| s.over.iter().flatten()).collect();
        let rights: Vec<&Option<Expr>> = self.sides[right].over.iter().collect();
        let joined = |key: &&Option<Expr>| key.as_ref().is_some_and(|key| self.equated(key, &lefts, equal));
        if rights.iter().all(joined) {
            return Ok(());
        }
        let message = "the columns of TIMESTAMP BY ... OVER must be equated in ON (rule 3.9)";
        Err(fail(codes::SUBSTREAMS, &on.place, "substreams not equated", message))
    }

    /// Whether ON demands that a key of the right side is equal to one of the left.
    fn equated(&self, key: &Expr, lefts: &[&Expr], equal: &[(Expr, Expr)]) -> bool {
        let left = |l: &Expr| lefts.iter().any(|have| self.alike(have, l));
        equal.iter().any(|(l, r)| self.alike(r, key) && left(l))
    }

    /// Partitioned inputs are joined inside their partitions (rule 8.6).
    fn check_partition(&self, equal: &[(Expr, Expr)], right: usize, on: &Ast) -> Result<(), QueryError> {
        let keys = (self.sides[right].key.as_ref(), self.partition.as_ref());
        let (Some(right_key), Some(name)) = keys else { return Ok(()) };
        let lefts: Vec<&Expr> = self.sides[..right].iter().filter_map(|side| side.key.as_ref()).collect();
        if self.equated(right_key, &lefts, equal) {
            return Ok(());
        }
        let message = format!("the inputs are partitioned by {name}: ON must equate it (rule 8.6)");
        let (a, b) = (&self.sides[0].name, &self.sides[right].name);
        let error = fail(codes::JOIN_PARTITION, &on.place, "keys not equated", message);
        Err(error.help(format!("add AND {a}.{name} = {b}.{name}")))
    }
}

/// The part of ON that speaks of DATEDIFF, else all of it.
fn bound_place(on: &Ast) -> Range<usize> {
    let speaks = |ast: &Ast| {
        ast.any(&mut |a| matches!(&a.kind, Kind::Call(call) if call.name.eq_ignore_ascii_case("datediff")))
    };
    match &on.kind {
        Kind::And(parts) => parts.iter().find(|part| speaks(part)).unwrap_or(on).place.clone(),
        _ => on.place.clone(),
    }
}

/// Several conditions on one pair of sides in one unit hold together.
fn tighten(candidates: &mut Vec<Candidate>, new: Candidate) {
    let same = |c: &&mut Candidate| c.unit == new.unit && c.left == new.left && c.right == new.right;
    match candidates.iter_mut().find(same) {
        Some(have) => {
            have.low = have.low.max(new.low);
            have.high = match (have.high, new.high) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
        }
        None => candidates.push(new),
    }
}

/// `DATEDIFF` as elapsed time: ticks over the length of the unit.
pub(super) fn elapsed(args: Vec<Expr>, unit: Span) -> Expr {
    let ticks = Expr::Call(Function::DateDiff(Unit::Tick), args);
    let ticks = Expr::Cast { expr: Box::new(ticks), to: Type::Float, lenient: false };
    let length = Expr::Literal(Value::Float(unit.0 as f64));
    Expr::Binary(BinaryOp::Divide, Box::new(ticks), Box::new(length))
}

/// A comparison of elapsed time with constants as one of ticks; any other as it is.
fn in_ticks(part: &Predicate) -> Predicate {
    let scaled = |expr: &Expr, length: f64| {
        let ticks = constant(expr)? * length;
        // A product of decimals misses whole ticks by a hair.
        let whole = (ticks - ticks.round()).abs() < 1e-3 && ticks.abs() < 9e18;
        Some(Expr::Literal(if whole { Value::Int(ticks.round() as i64) } else { Value::Float(ticks) }))
    };
    let found = match part {
        Predicate::Between { expr, low, high, negated: false } => {
            unscaled(expr).and_then(|(diff, length)| {
                let (low, high) = (scaled(low, length)?, scaled(high, length)?);
                Some(Predicate::Between { expr: diff, low, high, negated: false })
            })
        }
        Predicate::Compare(op, a, b) => match (unscaled(a), unscaled(b)) {
            (Some((diff, length)), None) => scaled(b, length).map(|b| Predicate::Compare(*op, diff, b)),
            (None, Some((diff, length))) => scaled(a, length).map(|a| Predicate::Compare(*op, a, diff)),
            _ => None,
        },
        _ => None,
    };
    found.unwrap_or_else(|| part.clone())
}

/// The ticks of elapsed time, and the length of its unit.
fn unscaled(expr: &Expr) -> Option<(Expr, f64)> {
    let Expr::Binary(BinaryOp::Divide, ticks, length) = expr else { return None };
    let (Expr::Cast { expr: diff, .. }, Expr::Literal(Value::Float(length))) = (&**ticks, &**length) else {
        return None;
    };
    matches!(**diff, Expr::Call(Function::DateDiff(Unit::Tick), _)).then(|| ((**diff).clone(), *length))
}

/// A numeric constant.
fn constant(expr: &Expr) -> Option<f64> {
    match expr {
        Expr::Literal(Value::Int(n)) => Some(*n as f64),
        Expr::Literal(Value::Float(f)) => Some(*f),
        _ => None,
    }
}

/// The least whole number not below a constant. Floats of this size are whole numbers' neighbours, so
/// rounding towards the inside is exact.
fn at_least(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::Literal(Value::Int(n)) => Some(*n),
        Expr::Literal(Value::Float(f)) => Some(f.ceil() as i64),
        _ => None,
    }
}

/// The greatest whole number not above a constant.
fn at_most(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::Literal(Value::Int(n)) => Some(*n),
        Expr::Literal(Value::Float(f)) => Some(f.floor() as i64),
        _ => None,
    }
}

/// The whole numbers `d` with `d op constant`; `None` where that is no range.
fn range(op: CompareOp, constant: &Expr) -> Option<(Option<i64>, Option<i64>)> {
    let whole = matches!(constant, Expr::Literal(Value::Int(_)))
        || matches!(constant, Expr::Literal(Value::Float(f)) if f.fract() == 0.0);
    let (least, most) = (at_least(constant)?, at_most(constant)?);
    Some(match op {
        CompareOp::Equal => (Some(least), Some(most)),
        CompareOp::LessOrEqual => (None, Some(most)),
        CompareOp::GreaterOrEqual => (Some(least), None),
        CompareOp::Less => (None, Some(if whole { most.saturating_sub(1) } else { most })),
        CompareOp::Greater => (Some(if whole { least.saturating_add(1) } else { least }), None),
        CompareOp::NotEqual => return None,
    })
}

fn flipped(op: CompareOp) -> CompareOp {
    match op {
        CompareOp::Less => CompareOp::Greater,
        CompareOp::LessOrEqual => CompareOp::GreaterOrEqual,
        CompareOp::Greater => CompareOp::Less,
        CompareOp::GreaterOrEqual => CompareOp::LessOrEqual,
        same => same,
    }
}
