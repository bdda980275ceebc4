//! GROUP BY: the window, the keys, and what an expression above the grouping means.
//!
//! Rules 4.1, 5.4, 11.1; C-PARTITION. Above a grouping an expression is a key, an aggregate, or made of
//! those; equality with a key is equality of the lowered expressions. Invariant: a partitioned SELECT has
//! its partition key among the keys.

use std::ops::Range;
use std::sync::Arc;

use super::scope::{Clause, Scope, Symbol, Typed};
use super::types::Ty;
use super::window::{self, Member};
use crate::codes::{self, fail};
use crate::error::QueryError;
use crate::expr::Expr;
use crate::parse::ast::{Ast, Kind};
use crate::plan::{AggregateCall, Window};
use crate::value::{Type, Value};

/// A grouping while its SELECT is lowered.
pub(super) struct Grouping {
    pub(super) windows: Vec<Grouped>,
    /// The ids of the windows as a column, once System.Window().Id has asked for it.
    pub(super) id: Option<Symbol>,
    pub(super) keys: Vec<Key>,
    pub(super) calls: Vec<Aggregated>,
}

/// One window of a grouping.
pub(super) struct Grouped {
    pub(super) window: Window,
    pub(super) id: Option<Arc<str>>,
    /// Whose events set the borders of its sessions, over symbols of the inputs.
    pub(super) session_by: Vec<Expr>,
    pub(super) place: Range<usize>,
}

/// A grouping key, over symbols of the inputs.
pub(super) struct Key {
    pub(super) typed: Typed,
    pub(super) symbol: Symbol,
    pub(super) name: Arc<str>,
}

/// An aggregate, over symbols of the inputs.
pub(super) struct Aggregated {
    pub(super) call: AggregateCall,
    pub(super) ty: Ty,
    pub(super) symbol: Symbol,
    pub(super) name: Arc<str>,
}

impl Scope<'_> {
    /// Whether an expression of that clause ranges over groups.
    pub(super) fn is_grouped(&self, clause: Clause) -> bool {
        self.group.is_some() && matches!(clause, Clause::Items | Clause::Having)
    }

    /// Lowers GROUP BY, if there is one.
    pub(super) fn group_by(&mut self) -> Result<(), QueryError> {
        let select = self.select;
        let mut found: Option<(Vec<Member<'_>>, &Range<usize>)> = None;
        let mut snapshot = None;
        let mut keys: Vec<(Typed, Arc<str>)> = Vec::new();
        for item in &select.group {
            if let Some(windows) = window::windows(item)? {
                if let Some((_, first)) = &found {
                    let message = "one GROUP BY has one window (rule 4.1)";
                    let error = fail(codes::TWO_WINDOWS, &item.place, "second window", message);
                    let first = &self.build.text_at(first);
                    return Err(error.help(format!("the first is {first}; several at once need Windows()")));
                }
                found = Some((windows, &item.place));
                continue;
            }
            if matches!(item.kind, Kind::Timestamp) {
                snapshot = Some(&item.place);
            }
            let typed = self.value(item, Clause::Key)?;
            if !keys.iter().any(|(key, _)| key.expr == typed.expr) {
                let name = match &item.kind {
                    Kind::Path(path) => path[path.len() - 1].text.as_str().into(),
                    _ => format!("$key{}", keys.len()).into(),
                };
                keys.push((typed, name));
            }
        }
        let Some((first, last)) = select.group.first().zip(select.group.last()) else { return Ok(()) };
        let members = match (found, snapshot) {
            (Some((members, _)), _) => members,
            (None, Some(place)) => {
                // Alone it is the window, next to another one a key (rule 4.1).
                keys.retain(|(key, _)| key.expr != Expr::Timestamp);
                vec![Member { window: Window::Snapshot, id: None, partition: &[], place }]
            }
            (None, None) => {
                let message = "GROUP BY needs a window (rule 4.1)";
                let error =
                    fail(codes::NO_WINDOW, &(first.place.start..last.place.end), "no window", message);
                return Err(error.help("add one, such as TumblingWindow(minute, 5)"));
            }
        };
        self.check_grouped_substreams(&keys, &(first.place.start..last.place.end))?;
        let windows = members.into_iter().map(|m| self.member(m)).collect::<Result<_, _>>()?;
        if let Some(key) = self.sides[0].key.clone()
            && !keys.iter().any(|(have, _)| self.alike(&have.expr, &key))
        {
            keys.push((Typed { expr: key, ty: None }, "$partition".into()));
        }
        let keys =
            keys.into_iter().map(|(typed, name)| Key { typed, name, symbol: self.symbol(None) }).collect();
        self.group = Some(Grouping { windows, id: None, keys, calls: Vec::new() });
        Ok(())
    }

    /// Every substream is grouped by itself (rule 3.9).
    fn check_grouped_substreams(
        &self,
        keys: &[(Typed, Arc<str>)],
        place: &Range<usize>,
    ) -> Result<(), QueryError> {
        let has = |key: &Option<Expr>| {
            key.as_ref().is_some_and(|key| keys.iter().any(|(have, _)| self.alike(&have.expr, key)))
        };
        if self.sides[0].over.iter().all(has) {
            return Ok(());
        }
        let message = "the columns of TIMESTAMP BY ... OVER must be among the keys of GROUP BY (rule 3.9)";
        let error = fail(codes::SUBSTREAMS, place, "substreams not grouped", message);
        Err(error.help("add them to GROUP BY, and select them in every step before"))
    }

    /// Lowers what a window says of its partitions.
    fn member(&mut self, member: Member<'_>) -> Result<Grouped, QueryError> {
        let mut session_by: Vec<Expr> = Vec::new();
        for key in member.partition {
            let expr = self.value(key, Clause::Key)?.expr;
            if !session_by.contains(&expr) {
                session_by.push(expr);
            }
        }
        if let (Window::Session { .. }, Some(key)) = (member.window, &self.sides[0].key)
            && !session_by.contains(key)
        {
            session_by.push(key.clone());
        }
        let (window, id, place) = (member.window, member.id.map(Arc::from), member.place.clone());
        Ok(Grouped { window, id, session_by, place })
    }

    /// Every window of Windows() has keys and aggregates of its own.
    pub(super) fn charge_windows(&mut self) -> Result<(), QueryError> {
        let Some(group) = &self.group else { return Ok(()) };
        let mut parts = group.keys.len() + group.calls.len();
        let arguments = group.calls.iter().flat_map(|c| &c.call.argument);
        let orders = group.calls.iter().flat_map(|c| &c.call.order).map(|(expr, _)| expr);
        for expr in group.keys.iter().map(|key| &key.typed.expr).chain(arguments).chain(orders) {
            expr.visit(&mut |_| parts += 1);
        }
        let (copies, place) = (group.windows.len() - 1, group.windows[0].place.clone());
        self.charge(parts.saturating_mul(copies), &place)
    }

    /// `System.Window().Id` (rule 4.11): NULL without ids and outside Windows().
    pub(super) fn window_id(&mut self, place: &Range<usize>, clause: Clause) -> Result<Typed, QueryError> {
        if clause != Clause::Items {
            let message = "System.Window().Id stands in the SELECT list only (rule 4.11)";
            let error = fail(codes::WINDOW_ID_PLACE, place, "not here", message);
            return Err(error.help("give it an alias in a step of WITH, and use that"));
        }
        let known = self.group.as_ref().is_some_and(|group| group.windows.iter().all(|w| w.id.is_some()));
        if !known {
            return Ok(Typed { expr: Expr::Literal(Value::Null), ty: None });
        }
        let asked = self.group.as_ref().and_then(|group| group.id);
        let symbol = asked.unwrap_or_else(|| self.symbol(None));
        if let Some(group) = &mut self.group {
            group.id = Some(symbol);
        }
        Ok(Typed { expr: Expr::Column(symbol), ty: Some(Type::Text) })
    }

    /// The key an expression above the grouping is, if it is one.
    pub(super) fn as_key(&mut self, ast: &Ast, clause: Clause) -> Option<Typed> {
        if !self.is_grouped(clause) {
            return None;
        }
        // Above the grouping System.Timestamp() is the window end, also where it is a key as well.
        let candidate = !matches!(
            ast.kind,
            Kind::Null
                | Kind::Integer(_)
                | Kind::Decimal(..)
                | Kind::Text(_)
                | Kind::Timestamp
                | Kind::WindowId
        );
        if !candidate {
            return None;
        }
        let parts = self.build.parts;
        let before = std::mem::replace(&mut self.probing, true);
        let probe = self.value(ast, Clause::Key);
        self.probing = before;
        self.build.parts = parts;
        let expr = probe.ok()?.expr;
        let keys = &self.group.as_ref()?.keys;
        let exact = keys.iter().find(|key| key.typed.expr == expr);
        let key = exact.or_else(|| keys.iter().find(|key| self.alike(&key.typed.expr, &expr)))?;
        Some(Typed { expr: Expr::Column(key.symbol), ty: key.typed.ty })
    }
}
