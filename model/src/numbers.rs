//! Section 10 (numeric functions), choice C-NUMBER.
//!
//! ABS, CEILING, FLOOR, SIGN, POWER and ROUND keep the type of their argument, SQUARE, SQRT and EXP give a
//! float. Text is an error (A-IMPLICIT-CAST), a bit counts as bigint. Invariant: floats are finite.

use rewindow_query::Value;

use crate::arithmetic::{Number, as_float, number, overflow};
use crate::cast::whole;

/// The argument of a numeric function.
pub(crate) fn numeric(value: &Value) -> Result<Number, String> {
    number(value).ok_or_else(|| format!("{value} is no number"))
}

/// A number without its fraction, as a bigint.
pub(crate) fn truncated(value: &Value) -> Result<i64, String> {
    match numeric(value)? {
        Number::Int(int) => Ok(int),
        Number::Float(float) => whole(float).ok_or_else(|| format!("{value} is no bigint")),
    }
}

/// ABS
pub(crate) fn abs(value: &Value) -> Result<Value, String> {
    Ok(match numeric(value)? {
        Number::Int(int) => Value::Int(int.checked_abs().ok_or_else(|| overflow("ABS", value))?),
        Number::Float(float) => Value::Float(float.abs()),
    })
}

/// SIGN
pub(crate) fn sign(value: &Value) -> Result<Value, String> {
    Ok(match numeric(value)? {
        Number::Int(int) => Value::Int(int.signum()),
        Number::Float(0.0) => Value::Float(0.0),
        Number::Float(float) => Value::Float(float.signum()),
    })
}

/// CEILING and FLOOR change floats only.
pub(crate) fn float_only(value: &Value, round: fn(f64) -> f64) -> Result<Value, String> {
    Ok(match numeric(value)? {
        Number::Int(int) => Value::Int(int),
        Number::Float(float) => Value::Float(round(float)),
    })
}

/// SQUARE
pub(crate) fn square(value: &Value) -> Result<Value, String> {
    let float = as_float(&numeric(value)?);
    finite("SQUARE", value, float * float)
}

/// SQRT; of a negative number it is no number.
pub(crate) fn sqrt(value: &Value) -> Result<Value, String> {
    finite("SQRT", value, as_float(&numeric(value)?).sqrt())
}

/// EXP
pub(crate) fn exp(value: &Value) -> Result<Value, String> {
    finite("EXP", value, libm::exp(as_float(&numeric(value)?)))
}

/// POWER: exact between bigints, unless the exponent is negative.
pub(crate) fn power(base: &Value, exponent: &Value) -> Result<Value, String> {
    let (b, e) = (numeric(base)?, numeric(exponent)?);
    if let (Number::Int(base_int), Number::Int(0..)) = (&b, &e) {
        return integer_power(*base_int, &e).map(Value::Int).ok_or_else(|| overflow("POWER", base));
    }
    let power = libm::pow(as_float(&b), as_float(&e));
    match b {
        Number::Int(_) => whole(power).map(Value::Int).ok_or_else(|| overflow("POWER", base)),
        Number::Float(_) => finite("POWER", base, power),
    }
}

fn integer_power(base: i64, exponent: &Number) -> Option<i64> {
    let Number::Int(exponent) = *exponent else { return None };
    match base {
        0 | 1 => Some(if exponent == 0 { 1 } else { base }),
        -1 => Some(if exponent % 2 == 0 { 1 } else { -1 }),
        _ => base.checked_pow(u32::try_from(exponent).ok()?),
    }
}

fn finite(function: &str, of: &Value, result: f64) -> Result<Value, String> {
    if result.is_finite() {
        Ok(Value::Float(result))
    } else {
        Err(format!("{function} of {of} is no finite float"))
    }
}

/// ROUND, half away from zero; a negative number of places rounds left of the point.
pub(crate) fn round(value: &Value, places: i64) -> Result<Value, String> {
    match numeric(value)? {
        Number::Int(int) => round_bigint(int, places).map(Value::Int).ok_or_else(|| overflow("ROUND", value)),
        Number::Float(float) => finite("ROUND", value, round_float(float, places)),
    }
}

fn round_bigint(int: i64, places: i64) -> Option<i64> {
    match places {
        0.. => Some(int),
        -19..0 => {
            let step = 10_i128.pow(u32::try_from(-places).ok()?);
            let int = i128::from(int);
            let steps = (int.abs() + step / 2) / step;
            i64::try_from(steps * step * int.signum()).ok()
        }
        _ => Some(0), // half a step is more than any bigint
    }
}

/// The shortest decimal form that reads back as the float, rounded digit by digit.
fn round_float(float: f64, places: i64) -> f64 {
    let text = float.abs().to_string(); // without exponent, shortest
    let (before, behind) = text.split_once('.').unwrap_or((&text, ""));
    let digits: Vec<u8> = before.bytes().chain(behind.bytes()).map(|digit| digit - b'0').collect();
    let (before, count) = (before.len() as i64, digits.len() as i64);
    let kept = before.saturating_add(places); // digits that stay
    if kept >= count {
        return float;
    }
    if kept < 0 {
        return 0.0_f64.copysign(float);
    }
    let kept = kept as usize;
    let mut rounded = vec![0];
    rounded.extend(&digits[..kept]);
    if digits[kept] >= 5 {
        let mut at = kept;
        while rounded[at] == 9 {
            rounded[at] = 0;
            at -= 1; // the leading 0 ends it
        }
        rounded[at] += 1;
    }
    let written: String = rounded.iter().map(|digit| char::from(b'0' + digit)).collect();
    let magnitude: f64 = format!("{written}e{}", -places).parse().expect("digits and an exponent");
    magnitude.copysign(float)
}
