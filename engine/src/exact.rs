//! Sums that do not depend on order: the exact mathematical sum of any bigints and floats (choice C-SUM,
//! design §3.2).
//!
//! Bigints are added into 128 bits. Floats are added into a fixed-point number whose unit is the smallest
//! float, 2^-1074, of which only the limbs between the lowest and the highest one touched are kept: a sum of
//! ordinary values is a handful of limbs. Adding and taking away are exact, so eviction, panes and replay
//! cannot leave a trace, and an emptied sum is zero.
//!
//! Invariant: the value is `ints + sum over i of limbs[i] * 2^(32 * (first + i) - 1074)`, every limb's
//! magnitude below `(adds + 1) * 2^33`. Knows nothing of NULL, of types or of which result type a SUM has.

use crate::codec::{Corrupt, Reader, Writer};

/// Bits of a limb.
pub(crate) const LIMB: usize = 32;
/// Additions between two carries; keeps every limb far inside 64 bits.
const ADDS_MAX: u32 = 1 << 28;
/// Bit of 2^0.
pub(crate) const UNIT: usize = 1074;
/// Limbs a canonical sum can have: floats reach 2^2098 units, 2^64 of them reach 2^2162.
const LIMBS_MAX: usize = 70;

/// An exact sum.
#[derive(Clone, Debug, Default)]
pub struct ExactSum {
    ints: i128,
    floats: Option<Box<Fixed>>,
}

/// The float part, in limbs of 32 bits with carries still inside.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fixed {
    first: usize,
    limbs: Vec<i64>,
    adds: u32,
}

impl ExactSum {
    /// Adds a bigint.
    #[inline]
    pub fn add_int(&mut self, value: i64) {
        self.ints += i128::from(value);
    }

    /// Takes a bigint away.
    #[inline]
    pub fn subtract_int(&mut self, value: i64) {
        self.ints -= i128::from(value);
    }

    /// Adds a finite float.
    pub fn add_float(&mut self, value: f64) {
        debug_assert!(value.is_finite(), "floats of the language are finite");
        if value != 0.0 {
            self.floats.get_or_insert_default().add(value);
        }
    }

    /// Takes a finite float away.
    pub fn subtract_float(&mut self, value: f64) {
        self.add_float(-value);
    }

    /// Adds another sum.
    pub fn add(&mut self, other: &ExactSum) {
        self.ints += other.ints;
        self.combine(other, 1);
    }

    /// Takes another sum away.
    pub fn subtract(&mut self, other: &ExactSum) {
        self.ints -= other.ints;
        self.combine(other, -1);
    }

    fn combine(&mut self, other: &ExactSum, sign: i64) {
        let Some(theirs) = &other.floats else { return };
        self.floats.get_or_insert_default().combine(theirs, sign);
    }

    /// Whether the sum is exactly zero.
    pub fn is_zero(&self) -> bool {
        self.magnitude().limbs.is_empty()
    }

    /// The sum of the bigints alone.
    pub fn ints(&self) -> i128 {
        self.ints
    }

    /// The float nearest to the sum, ties to even; `None` if that would be infinite.
    pub fn round(&self) -> Option<f64> {
        if self.floats.is_none() {
            // Up to 2^53 the conversion is exact; beyond it rounds to nearest even itself.
            return Some(self.ints as f64);
        }
        let sum = self.magnitude();
        nearest(&sum.limbs, sum.first * LIMB, 0, false, sum.negative)
    }

    /// The float nearest to sum / count, ties to even; `None` if that would be infinite. `0 < count`.
    pub fn mean(&self, count: u64) -> Option<f64> {
        debug_assert!(count > 0, "no mean of nothing");
        const EXACT: u128 = 1 << 53;
        if self.floats.is_none() && self.ints.unsigned_abs() <= EXACT && u128::from(count) <= EXACT {
            // Both operands are exact, so IEEE division rounds the exact quotient.
            return Some(self.ints as f64 / count as f64);
        }
        let sum = self.magnitude();
        // Four more limbs below: the quotient has more than 64 bits, the remainder decides ties.
        let mut quotient = vec![0_u32; 4];
        quotient.extend_from_slice(&sum.limbs);
        let mut rest = 0_u128;
        for limb in quotient.iter_mut().rev() {
            let part = rest << LIMB | u128::from(*limb);
            *limb = (part / u128::from(count)) as u32;
            rest = part % u128::from(count);
        }
        // Bit 0 of the quotient is bit `first - 4` of the sum; the offset keeps it from going below 0.
        nearest(&quotient, sum.first * LIMB, 4 * LIMB, rest != 0, sum.negative)
    }

    /// Sign and magnitude without superfluous limbs: the same for equal sums.
    pub(crate) fn magnitude(&self) -> Magnitude {
        let mut fixed = self.floats.as_deref().cloned().unwrap_or_default();
        if self.ints != 0 {
            // The bigints, shifted to their place in units of 2^-1074.
            let low = self.ints.unsigned_abs();
            let sign = if self.ints < 0 { -1 } else { 1 };
            let (limb, shift) = (UNIT / LIMB, UNIT % LIMB);
            fixed.cover(limb, limb + 5);
            fixed.carry();
            for i in 0..4 {
                let part = u64::from((low >> (i * LIMB)) as u32) << shift;
                let at = limb + i - fixed.first;
                fixed.limbs[at] += sign * ((part & 0xFFFF_FFFF) as i64);
                fixed.limbs[at + 1] += sign * ((part >> LIMB) as i64);
            }
        }
        fixed.into_magnitude()
    }

    /// Appends the sum to a checkpoint; equal sums (of bigints, of floats) give equal bytes.
    pub fn save(&self, writer: &mut Writer) {
        writer.i128(self.ints);
        self.floats.as_deref().cloned().unwrap_or_default().save(writer);
    }

    /// Reads what [`ExactSum::save`] wrote.
    ///
    /// # Errors
    /// Bytes that are no sum, or not in canonical form.
    pub fn load(reader: &mut Reader<'_>) -> Result<ExactSum, Corrupt> {
        let ints = reader.i128()?;
        if ints.unsigned_abs() >= 1 << 126 {
            return Err(reader.corrupt("a sum of bigints"));
        }
        let floats = Fixed::load(reader, LIMBS_MAX)?;
        Ok(ExactSum { ints, floats: Some(floats).filter(|floats| !floats.limbs.is_empty()).map(Box::new) })
    }
}

impl Fixed {
    /// Appends the number to a checkpoint; equal numbers give equal bytes.
    pub(crate) fn save(&self, writer: &mut Writer) {
        let number = self.clone().into_magnitude();
        writer.u8(u8::from(number.negative));
        writer.u8(number.limbs.len() as u8);
        if !number.limbs.is_empty() {
            writer.u8(number.first as u8);
            number.limbs.iter().for_each(|&limb| writer.u32(limb));
        }
    }

    /// Reads what [`Fixed::save`] wrote: a number of less than `limbs_max` limbs from the unit.
    pub(crate) fn load(reader: &mut Reader<'_>, limbs_max: usize) -> Result<Fixed, Corrupt> {
        let negative = reader.bool()?;
        let len = usize::from(reader.u8()?);
        if len == 0 {
            return if negative { Err(reader.corrupt("no minus zero")) } else { Ok(Fixed::default()) };
        }
        let first = usize::from(reader.u8()?);
        if first + len > limbs_max {
            return Err(reader.corrupt("a sum of floats"));
        }
        let limbs: Result<Vec<u32>, Corrupt> = (0..len).map(|_| reader.u32()).collect();
        let limbs = limbs?;
        if limbs[0] == 0 || limbs[len - 1] == 0 {
            return Err(reader.corrupt("a sum without outer zeros"));
        }
        let sign = if negative { -1 } else { 1 };
        let limbs = limbs.into_iter().map(|limb| sign * i64::from(limb)).collect();
        Ok(Fixed { first, limbs, adds: 1 })
    }

    fn add(&mut self, value: f64) {
        let (mantissa, shift) = parts(value);
        let limb = shift / LIMB;
        let wide = u128::from(mantissa) << (shift % LIMB);
        self.cover(limb, limb + 3);
        let sign = if value < 0.0 { -1 } else { 1 };
        let at = limb - self.first;
        for i in 0..3 {
            self.limbs[at + i] += sign * i64::from((wide >> (i * LIMB)) as u32);
        }
        self.count_add(1);
    }

    /// Adds `magnitude * 2^shift` units, or takes it away; `magnitude` is below 2^127.
    pub(crate) fn add_wide(&mut self, magnitude: u128, shift: usize, add: bool) {
        let (limb, bits) = (shift / LIMB, shift % LIMB);
        self.cover(limb, limb + 5);
        let (sign, at) = (if add { 1 } else { -1 }, limb - self.first);
        for i in 0..4 {
            let part = u64::from((magnitude >> (i * LIMB)) as u32) << bits;
            self.limbs[at + i] += sign * ((part & 0xFFFF_FFFF) as i64);
            self.limbs[at + i + 1] += sign * ((part >> LIMB) as i64);
        }
        self.count_add(1);
    }

    pub(crate) fn combine(&mut self, other: &Fixed, sign: i64) {
        if other.limbs.is_empty() {
            return;
        }
        self.cover(other.first, other.first + other.limbs.len());
        let mut theirs = other.clone();
        theirs.carry();
        self.cover(theirs.first, theirs.first + theirs.limbs.len());
        let at = theirs.first - self.first;
        for (i, limb) in theirs.limbs.iter().enumerate() {
            self.limbs[at + i] += sign * limb;
        }
        self.count_add(1);
    }

    fn count_add(&mut self, adds: u32) {
        self.adds += adds;
        if self.adds >= ADDS_MAX {
            self.carry();
        }
    }

    /// Makes room for the limbs `from..until`.
    fn cover(&mut self, from: usize, until: usize) {
        if self.limbs.is_empty() {
            self.first = from;
        }
        if from < self.first {
            let missing = self.first - from;
            self.limbs.splice(0..0, std::iter::repeat_n(0, missing));
            self.first = from;
        }
        if until > self.first + self.limbs.len() {
            self.limbs.resize(until - self.first, 0);
        }
    }

    /// Moves carries up: all limbs but the top one end in `0..2^32`, the top one carries the sign.
    fn carry(&mut self) {
        let Some(mut top) = self.limbs.pop() else { return };
        let mut carry = 0_i64;
        for limb in &mut self.limbs {
            let whole = *limb + carry;
            *limb = whole & 0xFFFF_FFFF;
            carry = whole >> LIMB;
        }
        top += carry;
        while i32::try_from(top).is_err() {
            self.limbs.push(top & 0xFFFF_FFFF);
            top >>= LIMB;
        }
        self.limbs.push(top);
        self.adds = 0;
    }

    pub(crate) fn into_magnitude(mut self) -> Magnitude {
        self.carry();
        let negative = self.limbs.last().is_some_and(|&top| top < 0);
        if negative {
            self.limbs.iter_mut().for_each(|limb| *limb = -*limb);
            self.carry();
        }
        let leading = self.limbs.iter().take_while(|&&limb| limb == 0).count();
        let mut limbs: Vec<u32> = self.limbs[leading..].iter().map(|&limb| limb as u32).collect();
        while limbs.last() == Some(&0) {
            limbs.pop();
        }
        let first = if limbs.is_empty() { 0 } else { self.first + leading };
        Magnitude { negative: negative && !limbs.is_empty(), first, limbs }
    }
}

/// A number by sign and magnitude: `limbs` from the lowest, no outer zeros; limb 0 is limb `first`.
pub(crate) struct Magnitude {
    pub(crate) negative: bool,
    pub(crate) first: usize,
    pub(crate) limbs: Vec<u32>,
}

/// Mantissa and shift of a finite float's magnitude, which is `mantissa * 2^shift` units of 2^-1074.
pub(crate) fn parts(value: f64) -> (u64, usize) {
    let bits = value.to_bits();
    let exponent = (bits >> 52 & 0x7FF) as usize;
    let fraction = bits & ((1 << 52) - 1);
    // A normal number is 1.fraction * 2^(exponent - 1023), that is mantissa * 2^(exponent - 1) units.
    if exponent == 0 { (fraction, 0) } else { (fraction | 1 << 52, exponent - 1) }
}

/// The float nearest to `limbs * 2^(shift - below - 1074)`, a little more if `more`; ties to even.
/// `None` if that is infinite. A zero has no sign.
pub(crate) fn nearest(limbs: &[u32], shift: usize, below: usize, more: bool, negative: bool) -> Option<f64> {
    let Some(top_limb) = limbs.iter().rposition(|&limb| limb != 0) else { return Some(0.0) };
    let top = top_limb * LIMB + (31 - limbs[top_limb].leading_zeros() as usize);
    // The lowest bit of the result, counted in bits of `limbs`: 53 bits from the top, but never finer
    // than the smallest float, which is bit `below - shift`.
    let finest = below as isize - shift as isize;
    let low = (top as isize - 52).max(finest);
    if low > top as isize + 1 {
        return Some(0.0);
    }
    let mut mantissa = bits(limbs, low, top);
    let half = low > 0 && bit(limbs, low - 1);
    let rest = more || (low > 1 && any_below(limbs, low - 1));
    if half && (rest || mantissa & 1 == 1) {
        mantissa += 1;
    }
    // As an integer the bit pattern of a float counts units through all exponents.
    let place = low - finest;
    let pattern = if place == 0 { mantissa } else { ((place as u64) << 52) + mantissa };
    let float = f64::from_bits(pattern);
    (float.is_finite() && place < 0x7FF).then_some(if negative && float != 0.0 { -float } else { float })
}

fn bit(limbs: &[u32], at: isize) -> bool {
    usize::try_from(at).is_ok_and(|at| limbs.get(at / LIMB).is_some_and(|limb| limb >> (at % LIMB) & 1 == 1))
}

/// The bits `low..=top` as a number, at most 53 of them; bits below 0 are 0.
fn bits(limbs: &[u32], low: isize, top: usize) -> u64 {
    (low..=top as isize).rev().fold(0, |number, at| number << 1 | u64::from(bit(limbs, at)))
}

fn any_below(limbs: &[u32], at: isize) -> bool {
    let at = usize::try_from(at).unwrap_or(0);
    limbs[..at / LIMB].iter().any(|&limb| limb != 0) || limbs[at / LIMB] & ((1_u32 << (at % LIMB)) - 1) != 0
}

#[cfg(test)]
mod tests {
    use num_bigint::BigInt;
    use proptest::prelude::*;

    use super::*;

    /// Units of 2^-1074 in a float.
    fn units(value: f64) -> BigInt {
        let bits = value.to_bits();
        let exponent = bits >> 52 & 0x7FF;
        let fraction = bits & ((1 << 52) - 1);
        let magnitude = match exponent {
            0 => BigInt::from(fraction),
            _ => BigInt::from(fraction | 1 << 52) << (exponent - 1),
        };
        if value < 0.0 { -magnitude } else { magnitude }
    }

    /// Asserts that no float is nearer to `exact / count` units than `found`, and that a tie went to even.
    fn assert_nearest(exact: &BigInt, count: u64, found: Option<f64>) {
        let zero = BigInt::from(0);
        let distance = |float: f64| {
            let off = units(float) * count - exact;
            if off < zero { -off } else { off }
        };
        let Some(found) = found else {
            // Infinite: at least half a unit in the last place above the largest float.
            let magnitude = if *exact < zero { -exact } else { exact.clone() };
            let limit = (units(f64::MAX) * 2 + (BigInt::from(1) << (1024 + UNIT - 53))) * count;
            assert!(magnitude * 2 >= limit, "a finite sum was called infinite");
            return;
        };
        for other in [found.next_up(), found.next_down()].into_iter().filter(|f| f.is_finite()) {
            let (mine, theirs) = (distance(found), distance(other));
            let even = found.to_bits() & 1 == 0;
            assert!(mine < theirs || (mine == theirs && even), "{found:e} is not nearest, {other:e} is");
        }
    }

    fn floats() -> impl Strategy<Value = f64> {
        prop_oneof![
            any::<u64>().prop_map(f64::from_bits).prop_filter("finite", |f| f.is_finite()),
            -1e3..1e3_f64,
            Just(f64::MAX),
            Just(f64::MIN),
            Just(f64::MIN_POSITIVE),
            Just(5e-324),
            Just(-5e-324),
            Just(0.1),
            Just(1e16),
            Just(-0.0),
        ]
    }

    fn oracle(ints: &[i64], floats: &[f64]) -> BigInt {
        let whole = ints.iter().map(|&int| BigInt::from(int) << UNIT).sum::<BigInt>();
        whole + floats.iter().map(|&float| units(float)).sum::<BigInt>()
    }

    fn bytes(sum: &ExactSum) -> Vec<u8> {
        let mut writer = Writer::default();
        sum.save(&mut writer);
        writer.finish()
    }

    proptest! {
        #[test]
        fn sum_and_mean_are_the_floats_nearest_to_the_exact_value(
            ints in prop::collection::vec(prop_oneof![any::<i64>(), -9_i64..9], 0..6),
            floats in prop::collection::vec(floats(), 0..9),
            count in prop_oneof![1_u64..9, any::<u64>().prop_map(|n| n.max(1))],
        ) {
            let mut sum = ExactSum::default();
            ints.iter().for_each(|&int| sum.add_int(int));
            floats.iter().for_each(|&float| sum.add_float(float));
            let exact = oracle(&ints, &floats);
            assert_nearest(&exact, 1, sum.round());
            assert_nearest(&exact, count, sum.mean(count));
            prop_assert_eq!(sum.is_zero(), exact == BigInt::from(0));
        }

        #[test]
        fn order_panes_and_eviction_leave_no_trace(
            kept in prop::collection::vec(floats(), 0..6),
            gone in prop::collection::vec(floats(), 0..6),
            ints in prop::collection::vec(any::<i64>(), 0..4),
        ) {
            let mut sum = ExactSum::default();
            let mut pane = ExactSum::default();
            gone.iter().for_each(|&float| pane.add_float(float));
            ints.iter().for_each(|&int| pane.add_int(int));
            kept.iter().for_each(|&float| sum.add_float(float));
            sum.add(&pane);
            gone.iter().rev().for_each(|&float| sum.subtract_float(float));
            ints.iter().for_each(|&int| sum.subtract_int(int));
            let mut fresh = ExactSum::default();
            kept.iter().rev().for_each(|&float| fresh.add_float(float));
            prop_assert_eq!(bytes(&sum), bytes(&fresh));
            sum.subtract(&fresh);
            prop_assert!(sum.is_zero());
        }

        #[test]
        fn a_sum_is_read_as_it_was_written_and_foreign_bytes_never_panic(
            floats in prop::collection::vec(floats(), 0..6),
            noise in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            let mut sum = ExactSum::default();
            floats.iter().for_each(|&float| sum.add_float(float));
            let saved = bytes(&sum);
            let mut read = ExactSum::load(&mut Reader::new(&saved)).expect("own bytes");
            prop_assert_eq!(bytes(&read), saved);
            sum.add_float(0.3);
            read.add_float(0.3);
            prop_assert_eq!(sum.round(), read.round());
            if let Ok(foreign) = ExactSum::load(&mut Reader::new(&noise)) {
                let _ = (foreign.round(), foreign.mean(3));
            }
        }
    }

    #[test]
    fn c_sum_ten_tenths_are_one_and_a_large_value_hides_nothing() {
        let mut sum = ExactSum::default();
        (0..10).for_each(|_| sum.add_float(0.1));
        assert_eq!(sum.round(), Some(1.0));
        sum.add_float(1e300);
        sum.subtract_float(1e300);
        assert_eq!(sum.round(), Some(1.0));
        sum.add_float(f64::MAX);
        sum.add_float(f64::MAX);
        assert_eq!((sum.round(), sum.mean(2)), (None, Some(f64::MAX)));
    }

    #[test]
    fn many_negative_values_carry_without_growing() {
        let mut sum = ExactSum::default();
        for _ in 0..1000 {
            sum.add_float(-1.5);
            sum.floats.as_mut().expect("a float was added").carry();
        }
        assert_eq!(sum.round(), Some(-1500.0));
        assert!(sum.floats.expect("a float was added").limbs.len() < 5);
    }
}
