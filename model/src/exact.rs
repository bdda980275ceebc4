//! Exact sums and spreads, rounded once (choices C-SUM and C-VAR, design §3.2).
//!
//! Every float is a whole multiple of 2^-1074, the smallest float above zero. A sum is therefore a whole
//! number of those units, and the only rounding is the last step. So nothing depends on the order of the
//! values, on panes or on where a replay began. Invariant: [`nearest`] is the float nearest to the exact
//! quotient, ties to even, as IEEE 754 demands of a single division.

use std::cmp::Ordering;

use num_bigint::BigInt;
use rewindow_query::Value;

/// A float's unit in the last place never falls below 2^-1074.
const SCALE: u64 = 1074;
/// Bits of a float's significand, the hidden one included.
const PRECISION: u64 = 53;

/// The exact sum of the bigints and floats, in units of 2^-1074. Other values count nothing.
pub(crate) fn total<'a>(values: impl IntoIterator<Item = &'a Value>) -> BigInt {
    let mut wholes = BigInt::ZERO;
    let mut units = BigInt::ZERO;
    for value in values {
        match value {
            Value::Int(int) => wholes += *int,
            Value::Float(float) => units += units_of(*float),
            _ => {}
        }
    }
    (wholes << SCALE) + units
}

/// A bigint or float in units of 2^-1074; zero for other values.
fn units(value: &Value) -> BigInt {
    match value {
        Value::Int(int) => BigInt::from(*int) << SCALE,
        Value::Float(float) => units_of(*float),
        _ => BigInt::ZERO,
    }
}

/// `n * sum of squares - square of the sum`, in units of 2^-2148: n² times the variance of the n values
/// (choice C-VAR). Never negative.
pub(crate) fn spread(values: &[&Value]) -> BigInt {
    let units: Vec<BigInt> = values.iter().map(|value| units(value)).collect();
    let sum: BigInt = units.iter().sum();
    let squares: BigInt = units.iter().map(|unit| unit * unit).sum();
    squares * units.len() - &sum * &sum
}

/// The float nearest to `spread / count`; `None` if that would be infinite.
pub(crate) fn nearest_of_squares(spread: &BigInt, count: u64) -> Option<f64> {
    quotient(spread, &(BigInt::from(count) << SCALE))
}

/// The float nearest to the square root of `spread / count`, ties to even; `None` if that would be infinite.
pub(crate) fn nearest_root(spread: &BigInt, count: u64) -> Option<f64> {
    // The root is a number of units, and the whole of it is the root of the whole of the quotient.
    let whole = (spread / count).sqrt();
    let shift = whole.bits().saturating_sub(PRECISION);
    let mut steps = whole >> shift;
    // Above or below the middle of two steps is seen by squaring: 4 * spread against count * (2 steps + 1)².
    let middle = (&steps * 2_u32 + 1_u32) << shift;
    match (spread * 4_u32).cmp(&(&middle * &middle * count)) {
        Ordering::Less => {}
        Ordering::Equal if !steps.bit(0) => {}
        _ => steps += 1,
    }
    float(&steps, shift)
}

/// A finite float as a whole number of units.
fn units_of(float: f64) -> BigInt {
    let bits = float.to_bits();
    let fraction = bits & ((1 << 52) - 1);
    let exponent = (bits >> 52) & 0x7ff;
    // A subnormal has no hidden bit and counts units directly, like the first normal binade.
    let magnitude = if exponent == 0 {
        BigInt::from(fraction)
    } else {
        BigInt::from(fraction | 1 << 52) << (exponent - 1)
    };
    if float.is_sign_negative() { -magnitude } else { magnitude }
}

/// The float nearest to `total / count`, ties to even; `None` if that would be infinite. `total` is in units
/// of 2^-1074, `count` is at least 1.
pub(crate) fn nearest(total: &BigInt, count: u64) -> Option<f64> {
    quotient(total, &BigInt::from(count))
}

fn quotient(total: &BigInt, count: &BigInt) -> Option<f64> {
    let magnitude = BigInt::from(total.magnitude().clone());
    // The result has steps of 2^shift units: the smallest that leave at most 53 bits.
    let shift = (&magnitude / count).bits().saturating_sub(PRECISION);
    let step = count << shift;
    let (mut steps, rest) = (&magnitude / &step, &magnitude % &step);
    let twice = rest * 2;
    if twice > step || (twice == step && steps.bit(0)) {
        steps += 1;
    }
    let magnitude = float(&steps, shift)?;
    // A zero has no sign.
    Some(if *total < BigInt::ZERO { 0.0 - magnitude } else { magnitude })
}

/// `steps * 2^shift` units, which is a float or would be infinite.
fn float(steps: &BigInt, shift: u64) -> Option<f64> {
    let steps = u64::try_from(steps).expect("at most 2^53 steps");
    let float = (steps as f64) * two_to_units(shift)?;
    float.is_finite().then_some(float)
}

/// The total as a bigint; `None` outside its range. The total is one of bigints, so nothing is cut off.
pub(crate) fn whole(total: &BigInt) -> Option<i64> {
    i64::try_from(total >> SCALE).ok()
}

/// 2^(shift - 1074), built from its bits; `None` above the largest power of two.
fn two_to_units(shift: u64) -> Option<f64> {
    match shift {
        0..52 => Some(f64::from_bits(1 << shift)),
        52..2098 => Some(f64::from_bits((shift - 51) << 52)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sum(values: &[f64]) -> Option<f64> {
        let values: Vec<Value> = values.iter().copied().map(Value::Float).collect();
        nearest(&total(&values), 1)
    }

    #[test]
    fn c_sum_is_rounded_once() {
        assert_eq!(sum(&[1e308, 1.0, -1e308]), Some(1.0));
        assert_eq!(sum(&[0.1; 10]), Some(1.0));
        assert_eq!(sum(&[f64::MAX, f64::MAX, -f64::MAX]), Some(f64::MAX));
        assert_eq!(sum(&[f64::MAX, f64::MAX]), None);
        assert_eq!(sum(&[f64::MAX, 2f64.powi(969)]), Some(f64::MAX), "under half a step above");
        assert_eq!(sum(&[f64::MAX, 2f64.powi(970)]), None, "half a step above rounds to even, to infinity");
        assert_eq!(sum(&[5e-324, 5e-324]), Some(1e-323));
        assert_eq!(sum(&[]), Some(0.0));
    }

    #[test]
    fn c_sum_ties_go_to_even() {
        let two_53 = 2f64.powi(53);
        assert_eq!(sum(&[two_53, 1.0]), Some(two_53));
        assert_eq!(sum(&[two_53, 3.0]), Some(two_53 + 4.0));
        assert_eq!(sum(&[two_53, 1.0, 5e-324]), Some(two_53 + 2.0), "the smallest float breaks the tie");
        assert_eq!(nearest(&total(&[Value::Float(5e-324)]), 2), Some(0.0));
        assert_eq!(
            nearest(&total(&[Value::Float(1.5e-323)]), 2),
            Some(1e-323),
            "3 halves of a unit: 2 units"
        );
    }

    #[test]
    fn c_sum_counts_bigints_exactly() {
        let mixed = [Value::Int(i64::MAX), Value::Int(1), Value::Float(0.5), Value::Float(-0.5)];
        assert_eq!(nearest(&total(&mixed), 1), Some(2f64.powi(63)));
        assert_eq!(nearest(&total(&[Value::Int(98), Value::Int(95)]), 2), Some(96.5));
    }

    fn var(values: &[f64]) -> (Option<f64>, Option<f64>) {
        let values: Vec<Value> = values.iter().copied().map(Value::Float).collect();
        let values: Vec<&Value> = values.iter().collect();
        let count = values.len() as u64;
        let spread = spread(&values);
        (nearest_of_squares(&spread, count * count), nearest_root(&spread, count * count))
    }

    #[test]
    fn c_var_is_rounded_once() {
        assert_eq!(var(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]), (Some(4.0), Some(2.0)));
        assert_eq!(var(&[0.1; 7]), (Some(0.0), Some(0.0)), "equal values do not spread, whatever the sum");
        assert_eq!(var(&[1e16, 1e16 + 2.0]), (Some(1.0), Some(1.0)));
        assert_eq!(var(&[f64::MAX, -f64::MAX]), (None, Some(f64::MAX)), "the root is of the exact variance");
        assert_eq!(var(&[5e-324, -5e-324]), (Some(0.0), Some(5e-324)));
    }

    fn finite() -> impl Strategy<Value = f64> {
        any::<f64>().prop_filter("finite", |float| float.is_finite())
    }

    proptest! {
        /// The processor adds two floats correctly rounded, and divides so too.
        #[test]
        fn c_sum_agrees_with_ieee_754(a in finite(), b in finite(), whole in -1_000_000i64..1_000_000, n in 1u64..1000) {
            let added = a + b;
            prop_assert_eq!(sum(&[a, b]), added.is_finite().then_some(added));
            prop_assert_eq!(sum(&[a]), Some(a));
            let square = BigInt::from(whole.unsigned_abs()) << (2 * SCALE);
            prop_assert_eq!(nearest_root(&square, 1), Some((whole.unsigned_abs() as f64).sqrt()));
            prop_assert_eq!(nearest(&total(&[Value::Float(a)]), n), Some(a / n as f64));
            prop_assert_eq!(nearest(&total(&[Value::Int(whole)]), n), Some(whole as f64 / n as f64));
        }
    }
}
