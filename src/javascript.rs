//! `udf.*` and `uda.*` in JavaScript (section 10, rule 6.1, choice C-SCRIPT).
//!
//! A script has a function `main`: of a `udf` it is the function, of a `uda` it makes an object with init,
//! accumulate, computeResult and perhaps deaccumulate and deaccumulateState. The interpreter is behind the
//! feature `javascript`; without it scripts are refused by name. Knows no queries and no files. Invariant: what
//! a call gives hangs on its arguments alone: no clock, no dice, no input or output, nothing left over from
//! calls before.

use rewindow_query::Functions;
use rewindow_query::functions::Script;

#[cfg(feature = "javascript")]
mod realm;
#[cfg(feature = "javascript")]
mod values;

/// A script that cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{name}: {message}")]
pub struct ScriptError {
    /// The function, such as `udf.f`.
    pub name: String,
    /// Stable name of the kind of error: `script-name`, `script-feature` or `script-invalid`.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: &'static str,
}

/// Registers scripts beside what is registered already.
///
/// # Errors
/// The first script that has no usable name, does not parse or lacks what its kind needs; any at all where the
/// program was built without the feature `javascript`.
pub fn register(functions: Functions, scripts: &[Script]) -> Result<Functions, ScriptError> {
    scripts.iter().try_fold(functions, |functions, script| {
        let lower = script.name.to_ascii_lowercase();
        let kind = match lower.split_once('.') {
            Some(("udf", name)) if is_name(name) => Kind::Function,
            Some(("uda", name)) if is_name(name) => Kind::Aggregate,
            _ => {
                return Err(ScriptError {
                    name: script.name.clone(),
                    code: "script-name",
                    message: "a script is a udf.name or a uda.name".to_owned(),
                    help: "name it as the query calls it",
                });
            }
        };
        add(functions, script, kind)
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Function,
    Aggregate,
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_')
}

#[cfg(not(feature = "javascript"))]
fn add(_: Functions, script: &Script, _: Kind) -> Result<Functions, ScriptError> {
    Err(ScriptError {
        name: script.name.clone(),
        code: "script-feature",
        message: "it is written in JavaScript, and this program was built without an interpreter".to_owned(),
        help: "build it with `cargo build --features javascript`, or register the function from Rust",
    })
}

#[cfg(feature = "javascript")]
fn add(functions: Functions, script: &Script, kind: Kind) -> Result<Functions, ScriptError> {
    let invalid = |message: String| ScriptError {
        name: script.name.clone(),
        code: "script-invalid",
        message,
        help: "a udf is `function main(a, b) { ... }`; the object of a uda has init, accumulate and computeResult",
    };
    let version = version(&script.source);
    let realm = realm::Source::new(script.source.clone());
    match kind {
        Kind::Function => {
            realm.check().map_err(invalid)?;
            Ok(functions.scalar(&script.name, version, move |arguments| realm.call(arguments)))
        }
        Kind::Aggregate => {
            let aggregate = realm::Aggregate::new(realm).map_err(invalid)?;
            Ok(functions.aggregate(&script.name, version, aggregate))
        }
    }
}

/// FNV-1a, 64 bits, of the text: a checkpoint of another text is another query's.
#[cfg(feature = "javascript")]
fn version(source: &str) -> u64 {
    source
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}
