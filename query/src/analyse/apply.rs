//! CROSS APPLY and OUTER APPLY (rule 5.10): one more side, of two columns with fixed names.
//!
//! The argument ranges over what stands left of it. Rows keep their timestamps, so everything that asks
//! for the one stream of a SELECT still finds it.

use super::join::{Beside, Joined};
use super::scope::{Clause, Rows, Scope};
use crate::codes::{self, fail};
use crate::error::QueryError;
use crate::parse::ast::{ApplyClause, Kind};
use crate::plan::{Apply, ApplyKind};
use crate::value::Type;

/// What a function of APPLY takes apart, by its name in lower case.
pub(super) fn named(name: &str) -> Option<ApplyKind> {
    match name {
        "getarrayelements" => Some(ApplyKind::Elements),
        "getrecordproperties" => Some(ApplyKind::Properties),
        _ => None,
    }
}

impl Scope<'_> {
    /// Lowers an APPLY and adds its side.
    pub(super) fn apply(&mut self, clause: &ApplyClause) -> Result<(), QueryError> {
        let found = match &clause.call.kind {
            Kind::Call(call) => named(&call.name.to_ascii_lowercase()).map(|kind| (call, kind)),
            _ => None,
        };
        let Some((call, kind)) = found else {
            let message = "APPLY takes GetArrayElements(array) or GetRecordProperties(record) (rule 5.10)";
            return Err(fail(codes::APPLY_PLACE, &clause.call.place, "not these", message));
        };
        self.count_arguments(call, &clause.call, 1, 1)?;
        if call.distinct || call.over.is_some() {
            let message = format!("{} takes neither DISTINCT nor OVER (rule 5.10)", call.name);
            return Err(fail(codes::BAD_ARGUMENTS, &clause.call.place, "arguments", message));
        }
        let typed = self.value(&call.args[0], Clause::Beside)?;
        let wanted = match kind {
            ApplyKind::Elements => Type::Array,
            ApplyKind::Properties => Type::Record,
        };
        if typed.ty.is_some_and(|ty| ty != wanted) {
            let message = format!("{} takes an {} (rule 5.10)", call.name, wanted.name());
            self.doubt(&call.args[0].place, typed.ty, &message);
        }
        self.check_name(&clause.alias)?;
        let side = Some(self.sides.len());
        let symbols = [self.symbol(side), self.symbol(side)];
        self.push_side(&clause.alias, Rows::Apply { names: names(kind), symbols }, true, Vec::new());
        let apply = Apply { kind, argument: typed.expr, outer: clause.outer };
        self.joins.push(Joined { what: Beside::Apply(apply), place: clause.place.clone() });
        Ok(())
    }
}

/// The two columns APPLY adds.
fn names(kind: ApplyKind) -> [&'static str; 2] {
    match kind {
        ApplyKind::Elements => ["ArrayIndex", "ArrayValue"],
        ApplyKind::Properties => ["PropertyName", "PropertyValue"],
    }
}
