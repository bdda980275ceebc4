//! Numeric functions (section 10; choices C-CALL, C-NUMBER). They keep the type of their argument, but for
//! SQUARE, SQRT and EXP, which give floats.
//!
//! Knows no columns. Invariant: a result is finite, and inside the bigint range where it is a bigint.

use rewindow_query::Value;
use rewindow_query::expr::Function;

use super::arithmetic::{Number, number, wrong};
use super::cast::whole;

/// The numeric function of these arguments, none of them NULL; `None` if it is no numeric function.
pub(super) fn call(function: Function, arguments: &[Value]) -> Option<Result<Value, String>> {
    Some(match (function, arguments) {
        (Function::Abs, [x]) => keep("ABS", x, i64::checked_abs, f64::abs),
        (Function::Ceiling, [x]) => keep("CEILING", x, Some, f64::ceil),
        (Function::Floor, [x]) => keep("FLOOR", x, Some, f64::floor),
        (Function::Sign, [x]) => keep("SIGN", x, |i| Some(i.signum()), sign),
        (Function::Square, [x]) => float("SQUARE", x, |x| x * x),
        (Function::Sqrt, [x]) => float("SQRT", x, f64::sqrt),
        (Function::Exp, [x]) => float("EXP", x, libm::exp),
        (Function::Power, [x, y]) => power(x, y),
        (Function::Round, [x, places]) => round(x, places),
        _ => return None,
    })
}

/// A number where a bigint is needed: a float is truncated (C-CALL).
pub(super) fn bigint(name: &str, value: &Value) -> Result<i64, String> {
    match number(value) {
        Some(Number::Int(int)) => Ok(int),
        Some(Number::Float(float)) => {
            whole(float).ok_or_else(|| format!("{name}: {float} is outside the bigint range"))
        }
        None => Err(wrong(name, value)),
    }
}

fn sign(x: f64) -> f64 {
    if x == 0.0 { 0.0 } else { x.signum() }
}

fn keep(
    name: &str,
    x: &Value,
    int: impl Fn(i64) -> Option<i64>,
    float: impl Fn(f64) -> f64,
) -> Result<Value, String> {
    match number(x).ok_or_else(|| wrong(name, x))? {
        Number::Int(i) => {
            int(i).map(Value::Int).ok_or_else(|| format!("{name}({i}) is outside the bigint range"))
        }
        Number::Float(f) => Ok(Value::Float(float(f))),
    }
}

fn float(name: &str, x: &Value, f: impl Fn(f64) -> f64) -> Result<Value, String> {
    let x = number(x).ok_or_else(|| wrong(name, x))?.float();
    finite(f(x)).ok_or_else(|| format!("{name}({x}) is no finite float"))
}

fn finite(float: f64) -> Option<Value> {
    float.is_finite().then_some(Value::Float(float))
}

/// Of the type of x: bigints exactly, where the exponent is a bigint that is not negative.
fn power(x: &Value, y: &Value) -> Result<Value, String> {
    let (base, exponent) = match (number(x), number(y)) {
        (None, _) => return Err(wrong("POWER", x)),
        (_, None) => return Err(wrong("POWER", y)),
        (Some(base), Some(exponent)) => (base, exponent),
    };
    let result = match (base, exponent) {
        (Number::Int(base), Number::Int(exponent @ 0..)) => exact_power(base, exponent).map(Value::Int),
        (Number::Int(base), exponent) => whole(libm::pow(base as f64, exponent.float())).map(Value::Int),
        (Number::Float(base), exponent) => finite(libm::pow(base, exponent.float())),
    };
    result.ok_or_else(|| format!("POWER({x}, {y}) is no number of the type of {x}"))
}

fn exact_power(base: i64, exponent: i64) -> Option<i64> {
    match base {
        0 | 1 => Some(if exponent == 0 { 1 } else { base }),
        -1 => Some(if exponent % 2 == 0 { 1 } else { -1 }),
        base => base.checked_pow(u32::try_from(exponent).ok()?),
    }
}

/// Half away from zero; a negative number of places rounds left of the point.
fn round(x: &Value, places: &Value) -> Result<Value, String> {
    let base = number(x).ok_or_else(|| wrong("ROUND", x))?;
    let places = bigint("ROUND", places)?;
    let rounded = match base {
        Number::Int(int) => round_int(int, places).map(Value::Int),
        Number::Float(float) => finite(round_float(float, places)),
    };
    rounded.ok_or_else(|| format!("ROUND({x}, {places}) is outside the range of its type"))
}

fn round_int(int: i64, places: i64) -> Option<i64> {
    if places >= 0 {
        return Some(int);
    }
    // 10^20 is more than twice every bigint.
    let Some(unit) = u32::try_from(-places.max(-20)).ok().map(|zeros| 10_i128.pow(zeros)) else {
        return Some(0);
    };
    let magnitude = (i128::from(int).abs() + unit / 2) / unit * unit;
    i64::try_from(if int < 0 { -magnitude } else { magnitude }).ok()
}

/// Rounds the shortest decimal form that reads back as the float.
fn round_float(float: f64, places: i64) -> f64 {
    let text = format!("{:e}", float.abs());
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let digits: String = mantissa.chars().filter(|c| c.is_ascii_digit()).collect();
    // The float is digits * 10^last; at most 17 digits.
    let number: u128 = digits.parse().unwrap_or_default();
    let last = exponent.parse::<i64>().unwrap_or_default() - (digits.len() as i64 - 1);
    let dropped = last.saturating_add(places).saturating_neg();
    if dropped <= 0 {
        return float;
    }
    let magnitude = match u32::try_from(dropped) {
        Ok(dropped) if dropped as usize <= digits.len() => {
            let unit = 10_u128.pow(dropped);
            let rounded = (number + unit / 2) / unit;
            format!("{rounded}e{}", -places).parse().unwrap_or(f64::INFINITY)
        }
        _ => 0.0,
    };
    if float.is_sign_negative() { -magnitude } else { magnitude }
}
