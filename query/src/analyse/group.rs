//! GROUP BY: the window, the keys, and what an expression above the grouping means.
//!
//! Rules 4.1, 5.4, 11.1; C-PARTITION. Above a grouping an expression is a key, an aggregate, or made of
//! those; equality with a key is equality of the lowered expressions. Invariant: a partitioned SELECT has
//! its partition key among the keys.

use std::ops::Range;
use std::sync::Arc;

use super::scope::{Clause, Scope, Symbol, Typed};
use super::types::Ty;
use super::window;
use crate::codes::{self, fail, unsupported};
use crate::error::QueryError;
use crate::expr::Expr;
use crate::parse::ast::{Ast, Kind};
use crate::plan::{AggregateCall, Window};

/// A grouping while its SELECT is lowered.
pub(super) struct Grouping {
    pub(super) window: Window,
    pub(super) place: Range<usize>,
    pub(super) keys: Vec<Key>,
    pub(super) calls: Vec<Aggregated>,
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
        let mut found: Option<(Window, Range<usize>)> = None;
        let mut snapshot = None;
        let mut keys: Vec<(Typed, Arc<str>)> = Vec::new();
        for item in &select.group {
            if let Some(window) = window::window(item)? {
                if let Some((_, first)) = &found {
                    let message = "one GROUP BY has one window (rule 4.1)";
                    let error = fail(codes::TWO_WINDOWS, &item.place, "second window", message);
                    let first = &self.build.text_at(first);
                    return Err(error.help(format!("the first is {first}; several at once need Windows()")));
                }
                found = Some((window, item.place.clone()));
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
        let Some((window, place)) = found else {
            if let Some(place) = snapshot {
                return Err(unsupported("the snapshot window, GROUP BY System.Timestamp(),", "4.10", place));
            }
            let message = "GROUP BY needs a window (rule 4.1)";
            let error = fail(codes::NO_WINDOW, &(first.place.start..last.place.end), "no window", message);
            return Err(error.help("add one, such as TumblingWindow(minute, 5)"));
        };
        if let Some(key) = self.sides[0].key.clone()
            && !keys.iter().any(|(have, _)| have.expr == key)
        {
            keys.push((Typed { expr: key, ty: None }, "$partition".into()));
        }
        let keys =
            keys.into_iter().map(|(typed, name)| Key { typed, name, symbol: self.symbol(None) }).collect();
        self.group = Some(Grouping { window, place, keys, calls: Vec::new() });
        Ok(())
    }

    /// The key an expression above the grouping is, if it is one.
    pub(super) fn as_key(&mut self, ast: &Ast, clause: Clause) -> Option<Typed> {
        if !self.is_grouped(clause) {
            return None;
        }
        // Above the grouping System.Timestamp() is the window end, also where it is a key as well.
        let candidate = !matches!(
            ast.kind,
            Kind::Null | Kind::Integer(_) | Kind::Decimal(..) | Kind::Text(_) | Kind::Timestamp
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
        let key = self.group.as_ref()?.keys.iter().find(|key| key.typed.expr == expr)?;
        Some(Typed { expr: Expr::Column(key.symbol), ty: key.typed.ty })
    }
}
