//! What definitions and measures read of the events of a match (rules 9.4, 9.5).
//!
//! Expressions over the input are computed once for each event; here they are only picked and folded. Knows
//! no search. Invariant: `None` stands for a value whose computation failed, and fails whoever reads it.

use std::sync::Arc;

use rewindow_query::Value;
use rewindow_query::expr::Expr;
use rewindow_query::plan::{self, MatchTerm};

use crate::batch::Batch;
use crate::calls::decimal;
use crate::column::Column;
use crate::eval::{evaluate, evaluate_leniently, holds};
use crate::extremes::Extremes;

/// An event of a partition.
#[derive(Clone, Debug)]
pub struct Event {
    /// Its timestamp.
    pub at: i64,
    /// Its place in the input.
    pub place: u64,
    /// The values of [`Terms::exprs`].
    pub values: Vec<Option<Value>>,
}

/// Which event, or fold over events, of a variable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fold {
    /// First(V.x)
    First,
    /// Last(V.x)
    Last,
    /// Min(V.x)
    Min,
    /// Max(V.x)
    Max,
}

/// What a term reads; numbers are places in [`Terms::exprs`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Term {
    /// Of the event being tested.
    Current(usize),
    /// Over the events of a variable.
    Folded(Fold, usize, usize),
    /// Names of the variables so far.
    Classifier,
}

/// The terms of an operator.
#[derive(Debug)]
pub struct Terms {
    /// What is computed for each event, each once.
    pub exprs: Vec<Expr>,
    /// What definitions fold, each once.
    pub folds: Vec<(Fold, usize, usize)>,
    names: Vec<Value>,
    defines: Vec<(plan::Variable, Vec<Term>)>,
    measures: Vec<(Expr, Vec<Term>)>,
}

impl Terms {
    /// Of a plan node.
    pub fn new(op: &plan::Match) -> Terms {
        let mut exprs: Vec<Expr> = Vec::new();
        let mut at = |expr: &Expr| {
            exprs.iter().position(|known| known == expr).unwrap_or_else(|| {
                exprs.push(expr.clone());
                exprs.len() - 1
            })
        };
        let mut term = |term: &MatchTerm| match term {
            MatchTerm::Current(expr) => Term::Current(at(expr)),
            MatchTerm::First(variable, expr) => Term::Folded(Fold::First, *variable, at(expr)),
            MatchTerm::Last(variable, expr) => Term::Folded(Fold::Last, *variable, at(expr)),
            MatchTerm::Min(variable, expr) => Term::Folded(Fold::Min, *variable, at(expr)),
            MatchTerm::Max(variable, expr) => Term::Folded(Fold::Max, *variable, at(expr)),
            MatchTerm::Classifier => Term::Classifier,
        };
        let defines: Vec<(plan::Variable, Vec<Term>)> =
            op.variables.iter().map(|v| (v.clone(), v.terms.iter().map(&mut term).collect())).collect();
        let measure =
            |(_, m): &(Arc<str>, plan::MatchExpr)| (m.expr.clone(), m.terms.iter().map(&mut term).collect());
        let measures = op.measures.iter().map(measure).collect();
        let mut folds = Vec::new();
        for term in defines.iter().flat_map(|(_, terms)| terms) {
            match *term {
                Term::Folded(fold, variable, expr) if !folds.contains(&(fold, variable, expr)) => {
                    folds.push((fold, variable, expr));
                }
                _ => {}
            }
        }
        let names = op.variables.iter().map(|v| Value::Text(v.name.clone())).collect();
        Terms { exprs, folds, names, defines, measures }
    }

    /// The values of all expressions for the rows of a batch.
    pub fn compute(&self, batch: &Batch) -> Vec<Vec<Option<Value>>> {
        let columns: Vec<_> = self.exprs.iter().map(|expr| evaluate_leniently(expr, batch)).collect();
        let value = |row: usize, (column, failed): &(Arc<Column>, Vec<bool>)| {
            (!failed.get(row).copied().unwrap_or(false)).then(|| column.value(row))
        };
        (0..batch.len()).map(|row| columns.iter().map(|column| value(row, column)).collect()).collect()
    }

    /// Whether an event satisfies a variable. `folded` gives what [`Terms::folds`] have come to.
    ///
    /// # Errors
    /// A definition, or a term of it, that fails.
    pub fn test(
        &self,
        variable: usize,
        event: &Event,
        path: &[Option<usize>],
        folded: impl Fn(usize) -> Option<Value>,
    ) -> Result<bool, String> {
        let Some((variable, terms)) = self.defines.get(variable) else { return Ok(true) };
        let value = |term: &Term| match term {
            Term::Current(expr) => event.values[*expr].clone(),
            Term::Folded(fold, of, expr) => {
                let known = self.folds.iter().position(|known| known == &(*fold, *of, *expr));
                known.map_or(Some(Value::Null), &folded)
            }
            Term::Classifier => Some(self.classifier(path)),
        };
        let batch = one_row(event.at, terms.iter().map(value), &variable.name)?;
        let held = holds(&variable.define, &batch).map_err(|fault| fault.message)?;
        Ok(held.first().copied().unwrap_or(false))
    }

    /// The measures of a match.
    ///
    /// # Errors
    /// A measure, or a term of it, that fails.
    pub fn measure(&self, events: &[&Event], path: &[Option<usize>]) -> Result<Vec<Value>, String> {
        let at = events.last().map_or(0, |event| event.at);
        let value = |term: &Term| match *term {
            Term::Current(expr) => {
                events.last().map_or(Some(Value::Null), |event| event.values[expr].clone())
            }
            Term::Folded(fold, variable, expr) => {
                let own = events.iter().zip(path).filter(|(_, of)| **of == Some(variable));
                let mut folded = None;
                own.for_each(|(event, _)| folded = Some(fold.add(folded.take(), &event.values[expr])));
                folded.unwrap_or(Some(Value::Null))
            }
            Term::Classifier => Some(self.classifier(path)),
        };
        let measure = |(expr, terms): &(Expr, Vec<Term>)| {
            let batch = one_row(at, terms.iter().map(value), "MEASURES")?;
            evaluate(expr, &batch).map(|column| column.value(0)).map_err(|fault| fault.message)
        };
        self.measures.iter().map(measure).collect()
    }

    fn classifier(&self, path: &[Option<usize>]) -> Value {
        let names = path.iter().flatten().filter_map(|&variable| self.names.get(variable).cloned());
        Value::Array(names.collect())
    }
}

impl Fold {
    /// Takes one more value in; `None` in front of the first.
    pub fn add(self, so_far: Option<Option<Value>>, value: &Option<Value>) -> Option<Value> {
        let Some(so_far) = so_far else {
            return match self {
                Fold::First | Fold::Last => value.clone(),
                Fold::Min | Fold::Max => self.extreme(&Value::Null, value.as_ref()?),
            };
        };
        match self {
            Fold::First => so_far,
            Fold::Last => value.clone(),
            Fold::Min | Fold::Max => self.extreme(&so_far?, value.as_ref()?),
        }
    }

    /// By choice C-MINMAX, text as numbers; `None` where it fails.
    fn extreme(self, so_far: &Value, value: &Value) -> Option<Value> {
        let value = match value {
            Value::Text(text) => &Value::Float(decimal(text)?),
            Value::Array(_) | Value::Record(_) => return None,
            value => value,
        };
        let kind = |value: &Value| match value {
            Value::Bit(_) => 1,
            Value::Datetime(_) => 2,
            _ => 0,
        };
        if !so_far.is_null() && !value.is_null() && kind(so_far) != kind(value) {
            return None;
        }
        let mut both = Extremes::of(so_far);
        both.add(value);
        Some(if self == Fold::Min { both.min } else { both.max })
    }
}

/// The values as the columns of one row.
fn one_row(at: i64, values: impl Iterator<Item = Option<Value>>, who: &str) -> Result<Batch, String> {
    let column = |value: Option<Value>| {
        let value = value.ok_or_else(|| format!("what {who} reads cannot be computed"))?;
        Ok(Arc::new(Column::constant(&value, 1)))
    };
    Ok(Batch { timestamps: vec![at], columns: values.map(column).collect::<Result<_, String>>()? })
}
