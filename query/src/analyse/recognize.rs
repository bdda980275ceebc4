//! MATCH_RECOGNIZE: a pattern over one stream becomes a node that emits its measures (section 9).
//!
//! What it reads is lowered as a SELECT of its own; its rows then are a relation like those of a step.
//! DEFINE and MEASURES are expressions over *terms*, such as `Last(A.v)`: a term is a column of theirs, and
//! its argument ranges over the events. Invariant: a definition names no variable defined after it.

use std::ops::Range;
use std::sync::Arc;

use super::scope::{Clause, Scope, Symbol, Typed};
use super::types::Ty;
use super::{Builder, Relation, Shown};
use crate::codes::{self, fail};
use crate::error::QueryError;
use crate::expr::{Expr, Function, Predicate};
use crate::parse::ast::{Ast, Call, From, Kind, Name, Recognize, Select, Shape};
use crate::plan::{Match, MatchExpr, MatchTerm, Op, Pattern, Variable};
use crate::value::Type;

/// The state while DEFINE and MEASURES are lowered.
pub(super) struct Matching {
    variables: Vec<String>,
    /// The variable whose definition is read; `None` in MEASURES.
    own: Option<usize>,
    /// What has been read so far, with its type, over symbols.
    terms: Vec<(MatchTerm, Ty)>,
}

impl Builder {
    /// Lowers FROM with a pattern, and pushes its nodes.
    pub(super) fn recognized(&mut self, from: &From, what: &Recognize) -> Result<Relation, QueryError> {
        let base = From {
            stream: from.stream.clone(),
            alias: None,
            timestamp_by: from.timestamp_by.clone(),
            over: from.over.clone(),
            partition: from.partition.clone(),
            pattern: None,
            place: from.place.clone(),
        };
        let select = Select {
            items: Vec::new(),
            into: None,
            from: base,
            joins: Vec::new(),
            filter: None,
            group: Vec::new(),
            having: None,
            place: from.place.clone(),
        };
        let mut scope = Scope::new(self, &select);
        scope.input(&select.from)?;
        scope.recognize(what)
    }
}

impl<'a> Scope<'a> {
    fn recognize(mut self, what: &'a Recognize) -> Result<Relation, QueryError> {
        let limit = super::analytic::limit_of(&what.limit.0, &what.limit.1)?;
        let names = variables(what)?;
        self.pattern = Some((what, names.iter().map(|name| name.to_ascii_lowercase()).collect()));
        let mut partition: Vec<Expr> = Vec::new();
        for key in &what.partition {
            let expr = self.value(key, Clause::Where)?.expr;
            if !partition.contains(&expr) {
                partition.push(expr);
            }
        }
        let key = self.sides[0].key.clone();
        partition.extend(key.clone().filter(|key| !partition.contains(key)));
        let inside = |key: &Option<Expr>| {
            key.as_ref().is_some_and(|key| partition.iter().any(|have| self.alike(have, key)))
        };
        if !self.sides[0].over.iter().all(inside) {
            let message =
                "the columns of TIMESTAMP BY ... OVER must be in PARTITION BY of the pattern (rule 3.9)";
            return Err(fail(codes::SUBSTREAMS, &what.place, "substreams mixed", message));
        }
        self.remark_on_unused(what);
        let pattern = self.shape(&what.pattern, &names)?;
        check_places(&pattern, &what.place)?;
        let mut variables = Vec::new();
        for (own, name) in names.iter().enumerate() {
            let (define, terms) = match what.define.get(own) {
                Some((_, ast)) => {
                    self.terms(&names, Some(own), |scope| scope.predicate(ast, Clause::Where))?
                }
                None => (Predicate::Constant(true), Vec::new()),
            };
            variables.push(Variable { name: name.as_str().into(), define, terms });
        }
        let (mut measures, mut shown) = (Vec::new(), Vec::<Shown>::new());
        for (column, (ast, name)) in what.measures.iter().enumerate() {
            if shown.iter().any(|have| *have.name == *name.text) {
                let message = format!("two measures are named {} (choice C-NAME)", name.text);
                return Err(fail(codes::DUPLICATE_COLUMN, &name.place, "second of this name", message));
            }
            let (typed, terms) = self.terms(&names, None, |scope| scope.value(ast, Clause::Where))?;
            let name: Arc<str> = name.text.as_str().into();
            measures.push((name.clone(), MatchExpr { expr: typed.expr, terms }));
            shown.push(Shown { name, column, open: false, ty: typed.ty });
        }
        let hidden = self.carried_key(key, &names, &what.pattern, &mut measures);
        let op = Match { limit, partition, variables, pattern, measures };
        Ok(self.push_match(op, shown, hidden, &what.place))
    }

    /// A variable that is defined and stands nowhere in the pattern matches no event.
    fn remark_on_unused(&mut self, what: &Recognize) {
        let mut used: Vec<&Name> = Vec::new();
        collect(&what.pattern, &mut used);
        for (name, _) in &what.define {
            if !used.iter().any(|u| u.text.eq_ignore_ascii_case(&name.text)) {
                self.warn(format!("{} is defined, but PATTERN does not use it (rule 9.4)", name.text));
            }
        }
    }

    /// The partition key of the rows as a hidden measure (rule 11.1): it is the same in all events of a
    /// match, so any variable that has one tells it. Behind `.` no variable need have one.
    fn carried_key(
        &self,
        key: Option<Expr>,
        names: &[String],
        shape: &Shape,
        measures: &mut Vec<(Arc<str>, MatchExpr)>,
    ) -> Vec<Shown> {
        let (Some(key), Some(name), false) = (key, self.partition.clone(), has_any(shape)) else {
            return Vec::new();
        };
        let terms = (0..names.len()).map(|v| MatchTerm::Last(v, key.clone())).collect();
        let expr = Expr::Call(Function::Coalesce, (0..names.len()).map(Expr::Column).collect());
        let known = super::scope::METADATA.iter().find(|m| m.eq_ignore_ascii_case(&name));
        let name: Arc<str> = known.map_or(name.as_str(), |m| m).into();
        let column = measures.len();
        measures.push((format!("${name}").into(), MatchExpr { expr, terms }));
        vec![Shown { name, column, open: false, ty: None }]
    }

    fn push_match(
        mut self,
        mut op: Match,
        shown: Vec<Shown>,
        hidden: Vec<Shown>,
        place: &Range<usize>,
    ) -> Relation {
        let parallel = self.partition.as_deref() == Some("partitionid") && self.sides[0].parallel;
        let partition = if hidden.is_empty() { None } else { self.partition.clone() };
        let parallel = parallel && partition.is_some();
        let over = vec![None; self.sides[0].over.len()];
        let step = self.build.step.clone();
        let (input, places) = self.lone(&step);
        let mut change = |symbol: &mut Symbol| *symbol = places[*symbol];
        op.partition.iter_mut().for_each(|expr| expr.columns_mut(&mut change));
        let measures = op.measures.iter_mut().flat_map(|(_, measure)| &mut measure.terms);
        for term in op.variables.iter_mut().flat_map(|v| &mut v.terms).chain(measures) {
            match term {
                MatchTerm::Current(expr)
                | MatchTerm::First(_, expr)
                | MatchTerm::Last(_, expr)
                | MatchTerm::Min(_, expr)
                | MatchTerm::Max(_, expr) => expr.columns_mut(&mut change),
                MatchTerm::Classifier => {}
            }
        }
        let columns = op.measures.iter().map(|(name, _)| name.clone()).collect();
        let node = self.build.push(Op::Match(op), vec![input], columns, &step, place);
        Relation { node, shown, hidden, partition, parallel, over }
    }

    /// Lowers a definition or a measure, and gives the terms it reads.
    fn terms<T>(
        &mut self,
        names: &[String],
        own: Option<usize>,
        lower: impl FnOnce(&mut Self) -> Result<T, QueryError>,
    ) -> Result<(T, Vec<MatchTerm>), QueryError> {
        self.matching = Some(Matching { variables: names.to_vec(), own, terms: Vec::new() });
        let lowered = lower(self);
        let terms = self.matching.take().map(|matching| matching.terms).unwrap_or_default();
        Ok((lowered?, terms.into_iter().map(|(term, _)| term).collect()))
    }

    /// What an expression in DEFINE or MEASURES reads, if it is a term; `None` for what is made of terms.
    pub(super) fn match_term(&mut self, ast: &Ast) -> Result<Option<Typed>, QueryError> {
        let Some(mut matching) = self.matching.take() else { return Ok(None) };
        if let Some(name) = super::quoted::lone_quoted(ast).filter(|_| matching.own.is_none()) {
            // A measure reads columns by their variables only.
            self.matching = Some(matching);
            return Ok(Some(self.double_quoted(name)));
        }
        let term = self.read_term(ast, &matching);
        let found = match term {
            Ok(Some((term, ty))) => {
                let have = matching.terms.iter().position(|(have, _)| *have == term);
                let column = have.unwrap_or_else(|| {
                    matching.terms.push((term, ty));
                    matching.terms.len() - 1
                });
                Ok(Some(Typed { expr: Expr::Column(column), ty: matching.terms[column].1 }))
            }
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        };
        self.matching = Some(matching);
        found
    }

    fn read_term(&mut self, ast: &Ast, matching: &Matching) -> Result<Option<(MatchTerm, Ty)>, QueryError> {
        match &ast.kind {
            Kind::Path(path) if super::quoted::lone_quoted(ast).is_some() && matching.own.is_some() => {
                // A name or a text, as everywhere (A-DOUBLE-QUOTES).
                let typed = self.path(path, Clause::Where)?;
                Ok(Some((MatchTerm::Current(typed.expr), typed.ty)))
            }
            Kind::Path(path) => {
                let variable = if path.len() > 1 { matching.variable(&path[0]) } else { None };
                self.plain_term(path, variable, matching, ast).map(Some)
            }
            Kind::Call(call) => match call.name.to_ascii_lowercase().as_str() {
                "first" | "last" | "min" | "max" => self.called_term(call, matching, ast).map(Some),
                "classifier" if matching.own.is_none() => {
                    self.count_arguments(call, ast, 0, 0)?;
                    Ok(Some((MatchTerm::Classifier, Some(Type::Array))))
                }
                name if super::aggregate::named(name).is_some()
                    || matches!(name, "lag" | "isfirst" | "classifier") =>
                {
                    let message =
                        format!("{} has no meaning here (rules 9.4, 9.5)", call.name.to_uppercase());
                    let error = fail(codes::PATTERN_PLACE, &ast.place, "not here", message);
                    Err(error
                        .help("First, Last, Min and Max of a variable's column; in MEASURES Classifier()"))
                }
                _ => Ok(None),
            },
            _ => Ok(None),
        }
    }

    /// `V.col`, or `col` in DEFINE.
    fn plain_term(
        &mut self,
        path: &[Name],
        variable: Option<usize>,
        matching: &Matching,
        ast: &Ast,
    ) -> Result<(MatchTerm, Ty), QueryError> {
        match (variable, matching.own) {
            (Some(variable), Some(own)) if variable != own => {
                let (name, column) = (&path[0].text, &path[1].text);
                let message = format!(
                    "{name}.{column} without First, Last, Min or Max is of the event being tested, which is no {name} (rule 9.4)"
                );
                let error = fail(codes::PATTERN_PLACE, &ast.place, "of which event?", message);
                Err(error.help(format!("write Last({name}.{column})")))
            }
            (Some(_), Some(_)) => {
                let typed = self.event_path(&path[1..], Clause::Where)?;
                Ok((MatchTerm::Current(typed.expr), typed.ty))
            }
            (Some(variable), None) => {
                let typed = self.event_path(&path[1..], Clause::Where)?;
                Ok((MatchTerm::Last(variable, typed.expr), typed.ty))
            }
            (None, Some(_)) => {
                let typed = self.event_path(path, Clause::Where)?;
                Ok((MatchTerm::Current(typed.expr), typed.ty))
            }
            (None, None) => {
                let message = "a measure reads columns of the pattern's variables (rule 9.5)";
                let error = fail(codes::UNKNOWN_VARIABLE, &ast.place, "of which variable?", message);
                Err(error.help(format!("variables: {}", matching.variables.join(", "))))
            }
        }
    }

    /// First, Last, Min, Max of one plain field.
    fn called_term(
        &mut self,
        call: &Call,
        matching: &Matching,
        ast: &Ast,
    ) -> Result<(MatchTerm, Ty), QueryError> {
        self.count_arguments(call, ast, 1, 1)?;
        let arg = &call.args[0];
        let path = match &arg.kind {
            Kind::Path(path) if path.len() > 1 && call.over.is_none() && !call.distinct => path,
            _ => {
                let message = format!("{} takes one plain column of a variable here (rule 9.4)", call.name);
                let error = fail(codes::PATTERN_PLACE, &arg.place, "no such column", message);
                return Err(error.help(format!("write {}(V.column)", call.name)));
            }
        };
        let variable = matching.variable(&path[0]);
        let Some(variable) = variable.filter(|v| matching.own.is_none_or(|own| *v <= own)) else {
            let message = match variable {
                Some(_) => format!("{} is defined later (rule 9.4)", path[0].text),
                None => format!("the pattern has no variable {} (rule 9.4)", path[0].text),
            };
            let error = fail(codes::UNKNOWN_VARIABLE, &path[0].place, "unknown here", message);
            return Err(error.help(format!("variables: {}", matching.variables.join(", "))));
        };
        let typed = self.event_path(&path[1..], Clause::Where)?;
        let number = typed.ty.filter(|ty| *ty != Type::Text);
        if typed.ty.is_some_and(|ty| matches!(ty, Type::Record | Type::Array))
            && matches!(call.name.to_ascii_lowercase().as_str(), "min" | "max")
        {
            let message = format!("{} takes numbers (rule 6.1)", call.name);
            self.doubt(&arg.place, typed.ty, &message);
        }
        Ok(match call.name.to_ascii_lowercase().as_str() {
            "first" => (MatchTerm::First(variable, typed.expr), typed.ty),
            "last" => (MatchTerm::Last(variable, typed.expr), typed.ty),
            "min" => (MatchTerm::Min(variable, typed.expr), number),
            _ => (MatchTerm::Max(variable, typed.expr), number),
        })
    }

    fn shape(&mut self, shape: &Shape, names: &[String]) -> Result<Pattern, QueryError> {
        let all = |scope: &mut Self, parts: &[Shape]| {
            parts.iter().map(|part| scope.shape(part, names)).collect::<Result<Vec<_>, _>>()
        };
        Ok(match shape {
            Shape::Variable(name) => {
                let found = names.iter().position(|have| have.eq_ignore_ascii_case(&name.text));
                Pattern::Variable(found.expect("every variable of the pattern has been collected"))
            }
            Shape::Any => Pattern::Any,
            Shape::Sequence(parts) => Pattern::Sequence(all(self, parts)?),
            Shape::Either(parts) => Pattern::Either(all(self, parts)?),
            Shape::Repeat(inner, least, most) => {
                Pattern::Repeat(Box::new(self.shape(inner, names)?), *least, *most)
            }
        })
    }
}

impl Matching {
    fn variable(&self, name: &Name) -> Option<usize> {
        self.variables.iter().position(|have| have.eq_ignore_ascii_case(&name.text))
    }
}

/// Most places of a pattern (choice C-MATCH-LIMIT).
const PLACES_MAX: u64 = 10_000;

fn check_places(pattern: &Pattern, place: &Range<usize>) -> Result<(), QueryError> {
    let found = places(pattern);
    if found <= PLACES_MAX {
        return Ok(());
    }
    let message = format!(
        "a pattern has at most {PLACES_MAX} places, repetitions written out (rule 9.2, choice C-MATCH-LIMIT)"
    );
    let error = fail(codes::LIMIT_PATTERN, place, format!("{found} places"), message);
    Err(error.help("repeat less often, or use `+` or `*`"))
}

/// Variables and `.` with repetitions written out; each branch and each turn is one more.
fn places(pattern: &Pattern) -> u64 {
    let sum = |parts: &[Pattern]| parts.iter().map(places).fold(0, u64::saturating_add);
    match pattern {
        Pattern::Variable(_) | Pattern::Any => 1,
        Pattern::Sequence(parts) => sum(parts),
        Pattern::Either(parts) => sum(parts).saturating_add(parts.len() as u64),
        Pattern::Repeat(inner, least, most) => {
            let turns = u64::from(most.unwrap_or_else(|| least.saturating_add(1)));
            places(inner).saturating_add(1).saturating_mul(turns)
        }
    }
}

/// The variables: those of DEFINE in order, then those of the pattern that are not defined.
fn variables(what: &Recognize) -> Result<Vec<String>, QueryError> {
    let mut used: Vec<&Name> = Vec::new();
    collect(&what.pattern, &mut used);
    let mut names: Vec<String> = Vec::new();
    for (name, _) in &what.define {
        if names.iter().any(|have| have.eq_ignore_ascii_case(&name.text)) {
            let message = format!("{} is defined twice (rule 9.4)", name.text);
            return Err(fail(codes::DUPLICATE_VARIABLE, &name.place, "second definition", message));
        }
        names.push(name.text.clone());
    }
    for name in used {
        if !names.iter().any(|have| have.eq_ignore_ascii_case(&name.text)) {
            names.push(name.text.clone());
        }
        if names.len() > super::COLUMNS_MAX {
            return Err(super::too_many_columns(&name.place));
        }
    }
    Ok(names)
}

fn collect<'a>(shape: &'a Shape, found: &mut Vec<&'a Name>) {
    match shape {
        Shape::Variable(name) => found.push(name),
        Shape::Any => {}
        Shape::Sequence(parts) | Shape::Either(parts) => parts.iter().for_each(|p| collect(p, found)),
        Shape::Repeat(inner, ..) => collect(inner, found),
    }
}

fn has_any(shape: &Shape) -> bool {
    match shape {
        Shape::Variable(_) => false,
        Shape::Any => true,
        Shape::Sequence(parts) | Shape::Either(parts) => parts.iter().any(has_any),
        Shape::Repeat(inner, ..) => has_any(inner),
    }
}
