//! Scalar expressions and predicates over columns (choices C-EVAL to C-DATE).
//!
//! Whole columns are computed at once, typed where they are typed. What the language evaluates only on
//! demand (branches of CASE, later arguments of COALESCE, later parts of AND, OR, IN, BETWEEN) is computed
//! only for the rows that demand it, so an item not reached cannot fail the job. Knows nothing of
//! operators or time beyond a row's timestamp. Invariant: a [`Fault`] names the lowest row for which
//! evaluation row by row, left to right, would fail.

use std::borrow::Cow;
use std::sync::Arc;

use rewindow_query::Timestamp;
use rewindow_query::Value;
use rewindow_query::expr::{Expr, Function, Predicate};

use crate::batch::{Batch, Context};
use crate::column::{Column, ColumnBuilder, Data};

mod arithmetic;
mod cast;
mod compare;
mod date;
mod function;
mod geo;
mod instant;
mod like;
mod numbers;
mod predicate;
mod records;
mod text;

pub use compare::equal;
pub use instant::instant;

pub(crate) use cast::whole;

/// A row whose evaluation fails.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Its place in the batch; of several, the lowest.
    pub row: usize,
    /// What went wrong.
    pub message: String,
}

/// The value of an expression for every row of a batch.
///
/// # Errors
/// The first row whose evaluation fails.
pub fn evaluate(expr: &Expr, batch: &Batch) -> Result<Arc<Column>, Fault> {
    let mut faults = Faults::default();
    let column = Scope::whole(batch).eval(expr, &mut faults).into_column(batch.len());
    faults.first.map_or(Ok(column), Err)
}

/// For which rows of a batch a predicate holds.
///
/// # Errors
/// The first row whose evaluation fails.
pub fn holds(predicate: &Predicate, batch: &Batch) -> Result<Vec<bool>, Fault> {
    let mut faults = Faults::default();
    let held = Scope::whole(batch).holds(predicate, &mut faults);
    faults.first.map_or(Ok(held), Err)
}

/// Like [`evaluate`], but a row that fails reads NULL and is marked in the second list, which is empty
/// when none fails.
pub fn evaluate_leniently(expr: &Expr, batch: &Batch) -> (Arc<Column>, Vec<bool>) {
    let mut faults = Faults { marks: Some(Vec::new()), ..Faults::default() };
    let column = Scope::whole(batch).eval(expr, &mut faults).into_column(batch.len());
    (column, faults.marks.unwrap_or_default())
}

/// What [`evaluate_all`] gives.
#[derive(Debug)]
pub struct Evaluated {
    /// The rows in front of the first failure; all of them if none failed.
    pub batch: Batch,
    /// A column for each expression, as long as the batch.
    pub columns: Vec<Arc<Column>>,
    /// The timestamp of the first row that failed: the operator has ended (choice C-FAIL).
    pub failed: Option<i64>,
}

/// The values of several expressions. Where a row fails, the failure is noted in the context at the row's
/// timestamp, and the rows stamped before it remain. Rows that fail and do not count are left out.
pub fn evaluate_all(exprs: &[&Expr], batch: Batch, context: &mut Context) -> Evaluated {
    let mut faults = Faults::default();
    let scope = Scope::whole(&batch);
    let columns: Vec<Arc<Column>> =
        exprs.iter().map(|expr| scope.eval(expr, &mut faults).into_column(batch.len())).collect();
    let Some(fault) = faults.first else { return Evaluated { batch, columns, failed: None } };
    let at = batch.timestamps[fault.row];
    if !context.counts(at) {
        let marks: Vec<Vec<bool>> = exprs.iter().map(|expr| evaluate_leniently(expr, &batch).1).collect();
        return evaluate_all(exprs, without(&batch, &marks, context), context);
    }
    let kept = note(&fault, &batch, context);
    let columns = columns.into_iter().map(|column| shortened(column, kept)).collect();
    Evaluated { batch: batch.truncated(kept), columns, failed: Some(at) }
}

/// The rows but those for which the predicate fails without that counting.
pub fn spared(predicate: &Predicate, batch: Batch, context: &Context) -> Batch {
    if batch.timestamps.first().is_none_or(|&first| context.counts(first)) {
        return batch;
    }
    let mut faults = Faults { marks: Some(Vec::new()), ..Faults::default() };
    Scope::whole(&batch).holds(predicate, &mut faults);
    match faults.first {
        Some(_) => without(&batch, &[faults.marks.unwrap_or_default()], context),
        None => batch,
    }
}

/// The rows but those that are marked in one of the lists and do not count.
fn without(batch: &Batch, marks: &[Vec<bool>], context: &Context) -> Batch {
    let failed = |row: usize| marks.iter().any(|marks| marks.get(row).copied().unwrap_or(false));
    let kept = |row: usize| context.counts(batch.timestamps[row]) || !failed(row);
    let rows: Vec<u32> = (0..batch.len() as u32).filter(|&row| kept(row as usize)).collect();
    batch.gather(&rows)
}

/// For which rows a predicate holds; failures as in [`evaluate_all`]. The batch comes back shortened, and
/// whether the operator has ended.
pub fn holds_all(predicate: &Predicate, batch: Batch, context: &mut Context) -> (Batch, Vec<bool>, bool) {
    let batch = spared(predicate, batch, context);
    let mut faults = Faults::default();
    let mut held = Scope::whole(&batch).holds(predicate, &mut faults);
    let Some(fault) = faults.first else { return (batch, held, false) };
    let kept = note(&fault, &batch, context);
    held.truncate(kept);
    (batch.truncated(kept), held, true)
}

/// Notes a failure at its row's timestamp; gives how many rows are stamped before it.
fn note(fault: &Fault, batch: &Batch, context: &mut Context) -> usize {
    let at = batch.timestamps[fault.row];
    context.fail(Timestamp(at), fault.message.clone());
    batch.timestamps.partition_point(|&timestamp| timestamp < at)
}

fn shortened(column: Arc<Column>, len: usize) -> Arc<Column> {
    let mut column = Arc::unwrap_or_clone(column);
    column.truncate(len);
    Arc::new(column)
}

/// The failures met so far; the lowest row is kept, and all are marked where that is asked for.
#[derive(Debug, Default)]
struct Faults {
    first: Option<Fault>,
    marks: Option<Vec<bool>>,
}

impl Faults {
    fn add(&mut self, row: usize, batch: &Batch, message: impl FnOnce() -> String) {
        if let Some(marks) = &mut self.marks {
            marks.resize(batch.len(), false);
            marks[row] = true;
        }
        if self.first.as_ref().is_none_or(|known| row < known.row) {
            self.first = Some(Fault { row, message: message() });
        }
    }
}

/// The rows an evaluation is asked for: all of a batch, or some of them in ascending order.
#[derive(Clone)]
struct Scope<'a> {
    batch: &'a Batch,
    rows: Option<Cow<'a, [u32]>>,
}

/// A value for every row of a scope: one for all, or a column. A row that failed reads NULL.
enum Operand {
    Constant(Value),
    Column(Arc<Column>),
}

impl Operand {
    fn value(&self, row: usize) -> Value {
        match self {
            Operand::Constant(value) => value.clone(),
            Operand::Column(column) => column.value(row),
        }
    }

    fn is_null(&self, row: usize) -> bool {
        match self {
            Operand::Constant(value) => value.is_null(),
            Operand::Column(column) => column.is_null(row),
        }
    }

    fn into_column(self, len: usize) -> Arc<Column> {
        match self {
            Operand::Constant(value) => Arc::new(Column::constant(&value, len)),
            Operand::Column(column) => column,
        }
    }

    fn typed(data: Data, nulls: Option<Vec<bool>>) -> Operand {
        Operand::Column(Arc::new(Column { data, nulls: nulls.filter(|nulls| nulls.contains(&true)) }))
    }
}

impl<'a> Scope<'a> {
    fn whole(batch: &'a Batch) -> Scope<'a> {
        Scope { batch, rows: None }
    }

    fn len(&self) -> usize {
        self.rows.as_ref().map_or(self.batch.len(), |rows| rows.len())
    }

    /// The place in the batch of this scope's row.
    fn place(&self, row: usize) -> usize {
        self.rows.as_ref().map_or(row, |rows| rows[row] as usize)
    }

    /// These rows of this scope as a scope of their own.
    fn subset(&self, rows: &[u32]) -> Scope<'a> {
        let rows = rows.iter().map(|&row| self.place(row as usize) as u32).collect();
        Scope { batch: self.batch, rows: Some(Cow::Owned(rows)) }
    }

    fn fail(&self, row: usize, faults: &mut Faults, message: impl FnOnce() -> String) {
        faults.add(self.place(row), self.batch, message);
    }

    fn eval(&self, expr: &Expr, faults: &mut Faults) -> Operand {
        match expr {
            Expr::Literal(value) => Operand::Constant(value.clone()),
            Expr::Column(column) => Operand::Column(match &self.rows {
                None => self.batch.columns[*column].clone(),
                Some(rows) => Arc::new(self.batch.columns[*column].gather(rows)),
            }),
            Expr::Timestamp => Operand::Column(Arc::new(Column::datetimes(match &self.rows {
                None => self.batch.timestamps.clone(),
                Some(rows) => rows.iter().map(|&row| self.batch.timestamps[row as usize]).collect(),
            }))),
            Expr::Member(expr, name) => member(&self.eval(expr, faults), name, self.len()),
            Expr::Negate(expr) => self.map1(expr, faults, arithmetic::negate),
            Expr::BitNot(expr) => self.map1(expr, faults, arithmetic::bit_not),
            Expr::Binary(op, left, right) => {
                let (left, right) = (self.eval(left, faults), self.eval(right, faults));
                match arithmetic::typed(*op, &left, &right, self.len()) {
                    Some(result) => result,
                    None => self.zip(&[left, right], faults, |v| arithmetic::binary(*op, &v[0], &v[1])),
                }
            }
            Expr::Case(branches, otherwise) => self.case(branches, otherwise, faults),
            Expr::Cast { expr, to, lenient } => {
                let operand = self.eval(expr, faults);
                if cast::is_already(&operand, *to) {
                    return operand;
                }
                self.zip(&[operand], faults, |v| match cast::cast(&v[0], *to) {
                    Err(_) if *lenient => Ok(Value::Null),
                    result => result,
                })
            }
            Expr::Record(members) => {
                let operands: Vec<Operand> = members.iter().map(|(_, e)| self.eval(e, faults)).collect();
                self.zip(&operands, faults, |values| {
                    let named = members.iter().map(|(name, _)| name.clone()).zip(values.iter().cloned());
                    Ok(Value::Record(Arc::new(named.collect())))
                })
            }
            Expr::External(function, arguments) => {
                let operands: Vec<Operand> = arguments.iter().map(|a| self.eval(a, faults)).collect();
                self.zip(&operands, faults, |values| function.call(values))
            }
            Expr::Call(Function::Coalesce, arguments) => self.coalesce(arguments, faults),
            Expr::Call(function, arguments) => {
                let operands: Vec<Operand> = arguments.iter().map(|a| self.eval(a, faults)).collect();
                match date::typed(*function, &operands, self.len()) {
                    Some(result) => result,
                    None => self.zip(&operands, faults, |v| function::call(*function, v)),
                }
            }
        }
    }

    fn map1(&self, expr: &Expr, faults: &mut Faults, f: fn(&Value) -> Result<Value, String>) -> Operand {
        let operand = self.eval(expr, faults);
        self.zip(&[operand], faults, |v| f(&v[0]))
    }

    /// Row by row over the operands' values; once, if all are constant.
    fn zip(
        &self,
        operands: &[Operand],
        faults: &mut Faults,
        f: impl Fn(&[Value]) -> Result<Value, String>,
    ) -> Operand {
        let mut values: Vec<Value> = operands
            .iter()
            .map(|operand| match operand {
                Operand::Constant(value) => value.clone(),
                Operand::Column(_) => Value::Null,
            })
            .collect();
        if operands.iter().all(|operand| matches!(operand, Operand::Constant(_))) {
            return match f(&values) {
                Ok(value) => Operand::Constant(value),
                Err(message) => {
                    (0..self.len()).for_each(|row| self.fail(row, faults, || message.clone()));
                    Operand::Constant(Value::Null)
                }
            };
        }
        let mut result = ColumnBuilder::with_capacity(self.len());
        for row in 0..self.len() {
            for (value, operand) in values.iter_mut().zip(operands) {
                if let Operand::Column(column) = operand {
                    *value = column.value(row);
                }
            }
            result.push(f(&values).unwrap_or_else(|message| {
                self.fail(row, faults, || message);
                Value::Null
            }));
        }
        Operand::Column(Arc::new(result.finish()))
    }

    /// Branches in order, each only for the rows no earlier one took (rule 5.9).
    fn case(&self, branches: &[(Predicate, Expr)], otherwise: &Expr, faults: &mut Faults) -> Operand {
        let mut pieces = Pieces::new(self.len());
        for (condition, result) in branches {
            if pieces.open.is_empty() {
                return pieces.join();
            }
            let scope = pieces.scope(self);
            let taken = scope.holds(condition, faults);
            let rows: Vec<u32> = (0..taken.len() as u32).filter(|&row| taken[row as usize]).collect();
            if rows.is_empty() {
                continue;
            }
            let operand = scope.narrowed(&rows).eval(result, faults);
            pieces.take(&taken, operand);
        }
        let rest = vec![true; pieces.open.len()];
        let operand = pieces.scope(self).eval(otherwise, faults);
        pieces.take(&rest, operand);
        pieces.join()
    }

    /// The first argument that is not NULL; each only for the rows without one so far (rule 2.4).
    fn coalesce(&self, arguments: &[Expr], faults: &mut Faults) -> Operand {
        let mut pieces = Pieces::new(self.len());
        for argument in arguments {
            if pieces.open.is_empty() {
                break;
            }
            let operand = pieces.scope(self).eval(argument, faults);
            let len = pieces.open.len();
            let taken: Vec<bool> = (0..len).map(|row| !operand.is_null(row)).collect();
            let found: Vec<u32> = (0..len as u32).filter(|&row| taken[row as usize]).collect();
            let operand = match operand {
                Operand::Column(column) if found.len() < len => {
                    Operand::Column(Arc::new(column.gather(&found)))
                }
                operand => operand,
            };
            pieces.take(&taken, operand);
        }
        pieces.join()
    }

    /// Like [`Scope::subset`], without a copy where all rows remain.
    fn narrowed(&self, rows: &[u32]) -> Scope<'a> {
        if rows.len() == self.len() { self.clone() } else { self.subset(rows) }
    }
}

/// A column put together from results for disjoint sets of rows; rows never taken are NULL.
struct Pieces {
    len: usize,
    /// Rows not taken yet, ascending.
    open: Vec<u32>,
    taken: Vec<(Vec<u32>, Operand)>,
}

impl Pieces {
    fn new(len: usize) -> Pieces {
        Pieces { len, open: (0..len as u32).collect(), taken: Vec::new() }
    }

    /// The open rows as a scope.
    fn scope<'a>(&self, of: &Scope<'a>) -> Scope<'a> {
        of.narrowed(&self.open)
    }

    /// The open rows marked get the operand's values, in order.
    fn take(&mut self, marked: &[bool], operand: Operand) {
        let pick =
            |mark: bool| self.open.iter().zip(marked).filter(move |(_, m)| **m == mark).map(|(&r, _)| r);
        let rows: Vec<u32> = pick(true).collect();
        let open = pick(false).collect();
        if !rows.is_empty() {
            self.taken.push((rows, operand));
        }
        self.open = open;
    }

    fn join(mut self) -> Operand {
        if self.taken.len() == 1 && self.taken[0].0.len() == self.len {
            return self.taken.remove(0).1;
        }
        let mut values = vec![Value::Null; self.len];
        for (rows, operand) in &self.taken {
            for (index, &row) in rows.iter().enumerate() {
                values[row as usize] = operand.value(index);
            }
        }
        Operand::Column(Arc::new(Column::from_values(values)))
    }
}

/// The member of each record (A-FIELD-OF-NULL, A-NAME-CASE).
fn member(operand: &Operand, name: &str, len: usize) -> Operand {
    fn of(value: &Value, name: &str) -> Value {
        match value {
            Value::Record(record) => record.get(name).cloned().unwrap_or_default(),
            _ => Value::Null,
        }
    }
    match operand {
        Operand::Constant(value) => Operand::Constant(of(value, name)),
        Operand::Column(column) => match &column.data {
            Data::Mixed(values) => {
                let mut result = ColumnBuilder::with_capacity(len);
                values.iter().for_each(|value| result.push(of(value, name)));
                Operand::Column(Arc::new(result.finish()))
            }
            _ => Operand::Constant(Value::Null),
        },
    }
}
