//! Random aggregates over the columns of a scope.
//!
//! Knows what each aggregate takes (rule 6.1), not what it gives in numbers. Invariant: the analysis accepts
//! every text made here, in a grouping (`aggregate`) or with OVER (`over`).

use rewindow_query::value::Type;

use super::expression::{Scope, Want, Written, scalar};
use crate::choices::Choices;

/// An aggregate for the SELECT or HAVING of a grouping.
pub fn aggregate(choices: &mut dyn Choices, scope: &Scope<'_>, depth: u32) -> Written {
    let argument = scalar(choices, scope, Want::Number, depth);
    let (name, ty) = *choices.pick(&[("COUNT", Some(Type::Bigint)), ("AVG", Some(Type::Float))]);
    Written { text: format!("{name}({argument})"), ty, usual: Want::Number }
}
