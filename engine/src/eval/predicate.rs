//! Predicates: two-valued, lazy (rules 2.1, 5.3; choices C-EVAL, C-IN).
//!
//! A part that cannot fail is computed for all rows at once; any other only for the rows on which the
//! result still depends.

use rewindow_query::expr::{CompareOp, Expr, Predicate};

use super::{Faults, Scope, compare, like};

impl Scope<'_> {
    /// For which rows of the scope the predicate holds; a row that failed does not count.
    pub(super) fn holds(&self, predicate: &Predicate, faults: &mut Faults) -> Vec<bool> {
        match predicate {
            Predicate::Constant(value) => vec![*value; self.len()],
            Predicate::And(parts) => self.chain(parts, true, faults),
            Predicate::Or(parts) => self.chain(parts, false, faults),
            Predicate::Not(inner) => {
                let mut held = self.holds(inner, faults);
                held.iter_mut().for_each(|h| *h = !*h);
                held
            }
            Predicate::Compare(op, left, right) => {
                let (left, right) = (self.eval(left, faults), self.eval(right, faults));
                compare::columns(*op, &left, &right, self.len())
            }
            Predicate::IsNull(expr) => {
                let operand = self.eval(expr, faults);
                (0..self.len()).map(|row| operand.is_null(row)).collect()
            }
            Predicate::Like { expr, pattern, escape, negated } => {
                let (text, pattern) = (self.eval(expr, faults), self.eval(pattern, faults));
                like::columns(&text, &pattern, *escape, *negated, self.len())
            }
            Predicate::Between { expr, low, high, negated } => {
                self.between(expr, low, high, *negated, faults)
            }
            Predicate::In { expr, list, negated } => self.is_in(expr, list, *negated, faults),
        }
    }

    /// AND (`until_false`) or OR: parts in order, each for the rows that are undecided.
    fn chain(&self, parts: &[Predicate], until_false: bool, faults: &mut Faults) -> Vec<bool> {
        let mut result = vec![until_false; self.len()];
        let mut open: Vec<u32> = (0..self.len() as u32).collect();
        for part in parts {
            if open.is_empty() {
                break;
            }
            if cannot_fail(part) {
                let held = self.holds(part, faults);
                result.iter_mut().zip(held).for_each(|(r, h)| *r = if until_false { *r & h } else { *r | h });
            } else {
                let held = self.narrowed(&open).holds(part, faults);
                open.iter().zip(held).for_each(|(&row, h)| result[row as usize] = h);
            }
            open.retain(|&row| result[row as usize] == until_false);
        }
        result
    }

    /// `low <= x AND x <= high`; NOT BETWEEN looks at all three operands (choice C-EVAL), and with NULL neither
    /// form holds.
    fn between(&self, expr: &Expr, low: &Expr, high: &Expr, negated: bool, faults: &mut Faults) -> Vec<bool> {
        let (x, low) = (self.eval(expr, faults), self.eval(low, faults));
        let above = compare::columns(CompareOp::LessOrEqual, &low, &x, self.len());
        let needs_high = |row: usize| above[row] || negated;
        let open: Vec<u32> = (0..self.len() as u32).filter(|&row| needs_high(row as usize)).collect();
        let mut result = vec![false; self.len()];
        if open.is_empty() {
            return result;
        }
        let high = self.narrowed(&open).eval(high, faults);
        for (index, &row) in open.iter().enumerate() {
            let row = row as usize;
            let high = high.value(index);
            let inside = above[row] && compare::holds(CompareOp::LessOrEqual, &x.value(row), &high);
            let known = !(x.is_null(row) || low.is_null(row) || high.is_null());
            result[row] = if negated { known && !inside } else { inside };
        }
        result
    }

    /// List elements in order, until one equals (choice C-IN); NOT IN is decided by a NULL element too.
    fn is_in(&self, expr: &Expr, list: &[Expr], negated: bool, faults: &mut Faults) -> Vec<bool> {
        let x = self.eval(expr, faults);
        let mut open: Vec<u32> = (0..self.len() as u32).filter(|&row| !x.is_null(row as usize)).collect();
        let mut result = vec![false; self.len()];
        for element in list {
            if open.is_empty() {
                break;
            }
            let element = self.narrowed(&open).eval(element, faults);
            let mut index = 0;
            open.retain(|&row| {
                let (element, row) = (element.value(index), row as usize);
                index += 1;
                let equal = compare::holds(CompareOp::Equal, &x.value(row), &element);
                result[row] = equal && !negated;
                !(equal || (negated && element.is_null()))
            });
        }
        if negated {
            open.iter().for_each(|&row| result[row as usize] = true);
        }
        result
    }
}

/// Whether no row can fail: then it does no harm to look at rows that are decided.
fn cannot_fail(predicate: &Predicate) -> bool {
    fn plain(expr: &Expr) -> bool {
        match expr {
            Expr::Literal(_) | Expr::Column(_) | Expr::Timestamp => true,
            Expr::Member(expr, _) => plain(expr),
            _ => false,
        }
    }
    match predicate {
        Predicate::Constant(_) => true,
        Predicate::And(parts) | Predicate::Or(parts) => parts.iter().all(cannot_fail),
        Predicate::Not(inner) => cannot_fail(inner),
        Predicate::Compare(_, left, right) => plain(left) && plain(right),
        Predicate::IsNull(expr) => plain(expr),
        Predicate::Like { expr, pattern, .. } => plain(expr) && plain(pattern),
        Predicate::Between { expr, low, high, .. } => plain(expr) && plain(low) && plain(high),
        Predicate::In { expr, list, .. } => plain(expr) && list.iter().all(plain),
    }
}
