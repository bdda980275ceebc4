//! Walking over expressions: every column an expression reads, to look at or to renumber.
//!
//! Shared by the analysis and by anyone who moves an expression from one layout of columns to another.
//! Invariant: each column is visited once per occurrence, left to right.

use std::sync::Arc;

use crate::expr::{Expr, Predicate};
use crate::plan::{AggregateCall, Item, MatchTerm, Op};

impl Expr {
    /// Calls `change` with every column index in the expression.
    pub fn columns_mut(&mut self, change: &mut dyn FnMut(&mut usize)) {
        match self {
            Expr::Column(index) => change(index),
            Expr::Literal(_) | Expr::Timestamp => {}
            Expr::Member(e, _) | Expr::Negate(e) | Expr::BitNot(e) | Expr::Cast { expr: e, .. } => {
                e.columns_mut(change);
            }
            Expr::Binary(_, a, b) => {
                a.columns_mut(change);
                b.columns_mut(change);
            }
            Expr::Case(branches, otherwise) => {
                for (when, then) in branches {
                    when.columns_mut(change);
                    then.columns_mut(change);
                }
                otherwise.columns_mut(change);
            }
            Expr::Call(_, args) | Expr::External(_, args) => {
                args.iter_mut().for_each(|e| e.columns_mut(change))
            }
            Expr::Record(members) => members.iter_mut().for_each(|(_, e)| e.columns_mut(change)),
        }
    }

    /// Calls `change` with every name of a member that the expression reads.
    pub fn members_mut(&mut self, change: &mut dyn FnMut(&mut Arc<str>)) {
        match self {
            Expr::Column(_) | Expr::Literal(_) | Expr::Timestamp => {}
            Expr::Member(e, name) => {
                e.members_mut(change);
                change(name);
            }
            Expr::Negate(e) | Expr::BitNot(e) | Expr::Cast { expr: e, .. } => e.members_mut(change),
            Expr::Binary(_, a, b) => {
                a.members_mut(change);
                b.members_mut(change);
            }
            Expr::Case(branches, otherwise) => {
                for (when, then) in branches {
                    when.members_mut(change);
                    then.members_mut(change);
                }
                otherwise.members_mut(change);
            }
            Expr::Call(_, args) | Expr::External(_, args) => {
                args.iter_mut().for_each(|e| e.members_mut(change))
            }
            Expr::Record(members) => members.iter_mut().for_each(|(_, e)| e.members_mut(change)),
        }
    }

    /// Calls `see` with this expression and every one below it, conditions of CASE included.
    pub fn visit<'a>(&'a self, see: &mut dyn FnMut(&'a Expr)) {
        see(self);
        match self {
            Expr::Column(_) | Expr::Literal(_) | Expr::Timestamp => {}
            Expr::Member(e, _) | Expr::Negate(e) | Expr::BitNot(e) | Expr::Cast { expr: e, .. } => {
                e.visit(see)
            }
            Expr::Binary(_, a, b) => {
                a.visit(see);
                b.visit(see);
            }
            Expr::Case(branches, otherwise) => {
                for (when, then) in branches {
                    when.visit(see);
                    then.visit(see);
                }
                otherwise.visit(see);
            }
            Expr::Call(_, args) | Expr::External(_, args) => args.iter().for_each(|e| e.visit(see)),
            Expr::Record(members) => members.iter().for_each(|(_, e)| e.visit(see)),
        }
    }
}

impl Predicate {
    /// Calls `change` with every column index in the condition.
    pub fn columns_mut(&mut self, change: &mut dyn FnMut(&mut usize)) {
        match self {
            Predicate::Constant(_) => {}
            Predicate::And(parts) | Predicate::Or(parts) => {
                parts.iter_mut().for_each(|p| p.columns_mut(change))
            }
            Predicate::Not(inner) => inner.columns_mut(change),
            Predicate::IsNull(e) => e.columns_mut(change),
            Predicate::Compare(_, a, b) | Predicate::Like { expr: a, pattern: b, .. } => {
                a.columns_mut(change);
                b.columns_mut(change);
            }
            Predicate::Between { expr, low, high, .. } => {
                [expr, low, high].into_iter().for_each(|e| e.columns_mut(change));
            }
            Predicate::In { expr, list, .. } => {
                expr.columns_mut(change);
                list.iter_mut().for_each(|e| e.columns_mut(change));
            }
        }
    }

    /// Calls `change` with every name of a member that the condition reads.
    pub fn members_mut(&mut self, change: &mut dyn FnMut(&mut Arc<str>)) {
        match self {
            Predicate::Constant(_) => {}
            Predicate::And(parts) | Predicate::Or(parts) => {
                parts.iter_mut().for_each(|p| p.members_mut(change))
            }
            Predicate::Not(inner) => inner.members_mut(change),
            Predicate::IsNull(e) => e.members_mut(change),
            Predicate::Compare(_, a, b) | Predicate::Like { expr: a, pattern: b, .. } => {
                a.members_mut(change);
                b.members_mut(change);
            }
            Predicate::Between { expr, low, high, .. } => {
                [expr, low, high].into_iter().for_each(|e| e.members_mut(change));
            }
            Predicate::In { expr, list, .. } => {
                expr.members_mut(change);
                list.iter_mut().for_each(|e| e.members_mut(change));
            }
        }
    }

    /// Calls `see` with every expression in the condition.
    pub fn visit<'a>(&'a self, see: &mut dyn FnMut(&'a Expr)) {
        match self {
            Predicate::Constant(_) => {}
            Predicate::And(parts) | Predicate::Or(parts) => parts.iter().for_each(|p| p.visit(see)),
            Predicate::Not(inner) => inner.visit(see),
            Predicate::IsNull(e) => e.visit(see),
            Predicate::Compare(_, a, b) | Predicate::Like { expr: a, pattern: b, .. } => {
                a.visit(see);
                b.visit(see);
            }
            Predicate::Between { expr, low, high, .. } => {
                [expr, low, high].into_iter().for_each(|e| e.visit(see))
            }
            Predicate::In { expr, list, .. } => {
                expr.visit(see);
                list.iter().for_each(|e| e.visit(see));
            }
        }
    }
}

impl Op {
    /// Calls `see` with every expression of the operator.
    pub fn visit<'a>(&'a self, see: &mut dyn FnMut(&'a Expr)) {
        let mut predicate: Option<&Predicate> = None;
        let mut all = |exprs: &'a [Expr]| exprs.iter().for_each(|expr| expr.visit(see));
        match self {
            Op::Union => {}
            Op::Source(source) => {
                all(&source.over);
                source.timestamp_by.iter().for_each(|expr| expr.visit(see));
            }
            Op::Filter(filter) => predicate = Some(filter),
            Op::Project(project) => project.items.iter().for_each(|item| match item {
                Item::Column(_, expr) | Item::Spread(expr) => expr.visit(see),
            }),
            Op::Group(group) => {
                all(&group.keys);
                all(&group.session_by);
                group.calls.iter().for_each(|call| call.visit(see));
            }
            Op::Join(join) => predicate = Some(&join.on),
            Op::ReferenceJoin(join) => predicate = Some(&join.on),
            Op::Lag(lag) => {
                all(&lag.partition);
                [&lag.argument, &lag.default].into_iter().for_each(|expr| expr.visit(see));
                predicate = lag.when.as_ref();
            }
            Op::Last(last) => {
                all(&last.partition);
                [&last.argument, &last.default].into_iter().for_each(|expr| expr.visit(see));
                predicate = last.when.as_ref();
            }
            Op::IsFirst(first) => {
                all(&first.partition);
                predicate = first.when.as_ref();
            }
            Op::Over(over) => {
                all(&over.partition);
                over.call.visit(see);
                predicate = over.when.as_ref();
            }
            Op::Apply(apply) => apply.argument.visit(see),
            Op::Match(pattern) => {
                all(&pattern.partition);
                for variable in &pattern.variables {
                    variable.define.visit(see);
                    variable.terms.iter().filter_map(MatchTerm::expr).for_each(|expr| expr.visit(see));
                }
                for (_, measure) in &pattern.measures {
                    measure.expr.visit(see);
                    measure.terms.iter().filter_map(MatchTerm::expr).for_each(|expr| expr.visit(see));
                }
            }
        }
        predicate.into_iter().for_each(|predicate| predicate.visit(see));
    }
}

impl AggregateCall {
    fn visit<'a>(&'a self, see: &mut dyn FnMut(&'a Expr)) {
        let order = self.order.iter().map(|(expr, _)| expr);
        self.argument.iter().chain(order).for_each(|expr| expr.visit(see));
    }
}

impl MatchTerm {
    fn expr(&self) -> Option<&Expr> {
        match self {
            MatchTerm::Current(expr) | MatchTerm::First(_, expr) | MatchTerm::Last(_, expr) => Some(expr),
            MatchTerm::Min(_, expr) | MatchTerm::Max(_, expr) => Some(expr),
            MatchTerm::Classifier => None,
        }
    }
}
