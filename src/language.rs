//! The plan of a case: its query, read as the case says, with what its scripts compute.
//!
//! The only place where text, level, streams, reference data and functions come together. Knows no files.
//! Invariant: equal cases have equal plans.

use rewindow_query::{Declared, Functions, Plan, QueryError, analyse_with};
use rewindow_world::case::Case;
use rewindow_world::language::Language;

use crate::javascript;

/// The plan of a case.
///
/// # Errors
/// The query is refused, or a script cannot be used; a script's error stands where the query calls it.
pub fn plan_of(case: &Case) -> Result<Plan, QueryError> {
    let inputs: Vec<String> = case.inputs.iter().map(|input| input.name.clone()).collect();
    plan(&case.query, &case.language, Some(&inputs), &case.references)
}

/// The plan of a query among streams, any where they are not named, and reference data.
///
/// # Errors
/// As [`plan_of`].
pub fn plan(
    text: &str,
    language: &Language,
    inputs: Option<&[String]>,
    references: &[String],
) -> Result<Plan, QueryError> {
    let functions = functions(text, language)?;
    let declared =
        Declared { inputs, references: Some(references), functions: Some(&functions), ..language.declared() };
    analyse_with(text, &declared)
}

fn functions(text: &str, language: &Language) -> Result<Functions, QueryError> {
    javascript::register(Functions::default(), &language.scripts).map_err(|error| {
        let start = text.to_ascii_lowercase().find(&error.name.to_ascii_lowercase());
        let place = start.map_or(0..0, |start| start..start + error.name.len());
        QueryError {
            code: error.code,
            message: format!("`{}` cannot be used: {}", error.name, error.message),
            place,
            label: "called here".to_owned(),
            help: Some(error.help.to_owned()),
        }
    })
}
