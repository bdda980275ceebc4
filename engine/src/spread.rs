//! Variances that do not depend on order (choice C-VAR): from the exact sum and the exact sum of squares.
//!
//! With n values, `D = n * sum(x^2) - sum(x)^2` is exact; VARP is `D / n^2`, VAR `D / (n (n-1))`, rounded once,
//! and the deviations are the roots of these exact quotients, rounded once. Invariant: taking back what was
//! added leaves nothing behind, and equal sums of squares are saved as equal bytes.

use num_bigint::BigUint;
use rewindow_query::Value;

use crate::calls::decimal;
use crate::codec::{Corrupt, Reader, Writer};
use crate::exact::{ExactSum, Fixed, LIMB, UNIT, nearest, parts};

/// Limbs that a sum of squares can have: squares reach 2^4196 units of 2^-2148, 2^64 of them 2^4260.
const LIMBS_MAX: usize = 134;

/// An exact sum of squares of bigints and floats, in units of 2^-2148.
#[derive(Clone, Debug, Default)]
pub struct Squares {
    sum: Option<Box<Fixed>>,
}

impl Squares {
    /// Adds the square of a value, or takes it away; what is no number counts as 0.
    pub fn change(&mut self, value: &Value, add: bool) {
        match value {
            Value::Int(int) => self.change_int(*int, add),
            Value::Bit(bit) => self.change_int(i64::from(*bit), add),
            Value::Float(float) => self.change_float(*float, add),
            Value::Text(text) => self.change_float(decimal(text).unwrap_or_default(), add),
            _ => {}
        }
    }

    fn change_int(&mut self, int: i64, add: bool) {
        if int != 0 {
            let magnitude = u128::from(int.unsigned_abs());
            self.sum.get_or_insert_default().add_wide(magnitude * magnitude, 2 * UNIT, add);
        }
    }

    fn change_float(&mut self, float: f64, add: bool) {
        if float != 0.0 {
            let (mantissa, shift) = parts(float);
            let magnitude = u128::from(mantissa);
            self.sum.get_or_insert_default().add_wide(magnitude * magnitude, 2 * shift, add);
        }
    }

    /// Adds another sum, or takes it away.
    pub fn combine(&mut self, other: &Squares, add: bool) {
        if let Some(theirs) = &other.sum {
            self.sum.get_or_insert_default().combine(theirs, if add { 1 } else { -1 });
        }
    }

    /// Appends the sum to a checkpoint.
    pub fn save(&self, writer: &mut Writer) {
        self.sum.as_deref().cloned().unwrap_or_default().save(writer);
    }

    /// Reads what [`Squares::save`] wrote.
    ///
    /// # Errors
    /// Bytes that are no sum of squares.
    pub fn load(reader: &mut Reader<'_>) -> Result<Squares, Corrupt> {
        let sum = Fixed::load(reader, LIMBS_MAX)?;
        if sum.clone().into_magnitude().negative {
            return Err(reader.corrupt("a sum of squares"));
        }
        Ok(Squares { sum: Some(Box::new(sum)) })
    }
}

/// An exact variance: `above / below * 2^(32 * shift - 2148)`.
#[derive(Debug)]
pub struct Spread {
    above: BigUint,
    below: BigUint,
    shift: usize,
}

impl Spread {
    /// Of `count` values with this sum and sum of squares; divisor n - 1 if it is a `sample`, else n. There
    /// are at least two values, or one and it is no sample.
    pub fn new(sum: &ExactSum, squares: &Squares, count: u64, sample: bool) -> Spread {
        let sum = sum.magnitude();
        let squares = squares.sum.as_deref().cloned().unwrap_or_default().into_magnitude();
        // A zero has no place of its own.
        let places = [(2 * sum.first, !sum.limbs.is_empty()), (squares.first, !squares.limbs.is_empty())];
        let shift = places.iter().filter(|(_, any)| *any).map(|(first, _)| *first).min().unwrap_or(0);
        let aligned = |limbs: Vec<u32>, first: usize| match limbs.is_empty() {
            true => BigUint::ZERO,
            false => BigUint::new(limbs) << (LIMB * (first - shift).min(4 * LIMBS_MAX)),
        };
        let (root, squares) = (BigUint::new(sum.limbs), aligned(squares.limbs, squares.first));
        let square = aligned((&root * &root).to_u32_digits(), 2 * sum.first);
        let all = squares * count;
        // Only forged state has a square of the sum that is larger (n sum(x^2) >= sum(x)^2).
        let above = if all > square { all - square } else { BigUint::ZERO };
        let divisor = if sample { count.saturating_sub(1).max(1) } else { count };
        Spread { above, below: BigUint::from(count) * divisor, shift }
    }

    /// The float nearest to the variance; `None` if that would be infinite.
    pub fn variance(&self) -> Option<f64> {
        let (quotient, limbs, more) = self.quotient(66);
        nearest(&quotient.to_u32_digits(), self.shift * LIMB, UNIT + limbs * LIMB, more, false)
    }

    /// The float nearest to the root of the variance.
    pub fn deviation(&self) -> Option<f64> {
        let (quotient, limbs, more) = self.quotient(134);
        let root = quotient.sqrt();
        let more = more || &root * &root != quotient;
        // The root halves the exponent, which is even: 32 * (shift - limbs) - 2148.
        nearest(&root.to_u32_digits(), self.shift * LIMB / 2, limbs * LIMB / 2, more, false)
    }

    /// The quotient times 2^(32 * limbs), with at least so many bits (or zero), and whether there is more.
    fn quotient(&self, bits: u64) -> (BigUint, usize, bool) {
        let missing = (bits + self.below.bits()).saturating_sub(self.above.bits());
        let limbs = missing.div_ceil(LIMB as u64) as usize;
        let above = &self.above << (limbs * LIMB);
        let quotient = &above / &self.below;
        let more = &quotient * &self.below != above;
        (quotient, limbs, more)
    }
}

#[cfg(test)]
mod tests {
    use num_bigint::BigInt;
    use proptest::prelude::*;

    use super::*;

    /// A float in units of 2^-1074.
    fn units(float: f64) -> BigInt {
        let (mantissa, shift) = parts(float);
        let magnitude = BigInt::from(mantissa) << shift;
        if float < 0.0 { -magnitude } else { magnitude }
    }

    fn of(value: &Value) -> BigInt {
        match value {
            Value::Int(int) => BigInt::from(*int) << UNIT,
            Value::Float(float) => units(*float),
            _ => BigInt::ZERO,
        }
    }

    fn state(values: &[Value]) -> (ExactSum, Squares) {
        let (mut sum, mut squares) = (ExactSum::default(), Squares::default());
        for value in values {
            squares.change(value, true);
            match value {
                Value::Int(int) => sum.add_int(*int),
                Value::Float(float) => sum.add_float(*float),
                _ => {}
            }
        }
        (sum, squares)
    }

    /// That no float is nearer to `above / below` (units of 2^-1074, to the power of `power`) than `found`:
    /// the middle between it and each neighbour, as a fraction of units, lies on the right side.
    fn assert_nearest(above: &BigInt, below: &BigInt, power: u32, found: f64) {
        let side = |other: f64| {
            let middle = units(found) + units(other);
            let factor = BigInt::from(2).pow(power);
            // middle / 2 against the power-th root of above / below.
            (middle.pow(power) * below).cmp(&(above * factor))
        };
        let even = found.to_bits() & 1 == 0;
        let higher = side(found.next_up());
        assert!(higher.is_gt() || (higher.is_eq() && even), "{found:e} is too low");
        if found > 0.0 {
            let lower = side(found.next_down());
            assert!(lower.is_lt() || (lower.is_eq() && even), "{found:e} is too high");
        }
    }

    fn numbers() -> impl Strategy<Value = Value> {
        prop_oneof![
            any::<i64>().prop_map(Value::Int),
            (-4_i64..5).prop_map(Value::Int),
            (-1e3..1e3_f64).prop_map(Value::Float),
            (-1e150..1e150_f64).prop_map(Value::Float),
            (-40_i64..40).prop_map(|tenth| Value::Float(tenth as f64 / 10.0)),
            Just(Value::Float(5e-324)),
            Just(Value::Float(1e-160)),
            Just(Value::Float(1e16)),
        ]
    }

    proptest! {
        #[test]
        fn c_var_variance_and_deviation_are_rounded_once(
            values in prop::collection::vec(numbers(), 1..7), sample in any::<bool>(),
        ) {
            let sample = sample && values.len() > 1;
            let n = BigInt::from(values.len());
            let total: BigInt = values.iter().map(of).sum();
            let squares: BigInt = values.iter().map(|value| of(value).pow(2)).sum();
            // In units of 2^-2148; the float's unit is 2^-1074.
            let above = &n * squares - &total * &total;
            let below = if sample { &n * (&n - 1) } else { &n * &n };
            let (sum, squares) = state(&values);
            let spread = Spread::new(&sum, &squares, values.len() as u64, sample);
            assert_nearest(&above, &(&below << UNIT), 1, spread.variance().expect("finite"));
            assert_nearest(&above, &below, 2, spread.deviation().expect("finite"));
        }

        #[test]
        fn what_is_taken_back_leaves_nothing_behind(
            values in prop::collection::vec(numbers(), 0..7), gone in prop::collection::vec(numbers(), 0..5),
        ) {
            let (_, plain) = state(&values);
            let (_, mut squares) = state(&gone);
            values.iter().for_each(|value| squares.change(value, true));
            gone.iter().for_each(|value| squares.change(value, false));
            let bytes = |squares: &Squares| {
                let mut writer = Writer::default();
                squares.save(&mut writer);
                writer.finish()
            };
            prop_assert_eq!(bytes(&squares), bytes(&plain));
            let loaded = Squares::load(&mut Reader::new(&bytes(&plain))).expect("own bytes");
            prop_assert_eq!(bytes(&loaded), bytes(&plain));
        }
    }

    #[test]
    fn an_infinite_variance_is_none_and_its_root_is_not() {
        let (sum, squares) = state(&[Value::Float(f64::MAX), Value::Float(f64::MIN)]);
        let spread = Spread::new(&sum, &squares, 2, false);
        assert_eq!((spread.variance(), spread.deviation()), (None, Some(f64::MAX)));
    }
}
