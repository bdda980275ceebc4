//! Choices: the one place where dice come from, behind one abstract source.
//!
//! Random search, fuzzers, property tests and exhaustive counters all drive the same generator through
//! [`Choices`], so they explore the same space. Zero is always the simplest choice, so an exhausted or
//! zeroed tape gives the simplest case. Nothing here knows what is chosen.
//!
//! Invariant: **the algorithm is part of the format.** The number of draws and how a draw is made from bits
//! are fixed: the same seed gives the same choices in every version, on every machine.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A source of choices.
pub trait Choices {
    /// A number in `0..bound`, each equally likely where the source is random; 0 if `bound` is 0 or 1.
    /// 0 stands for the simplest choice.
    fn draw(&mut self, bound: u64) -> u64;

    /// True with a probability of `part` in `whole`; `false` is the simple choice.
    fn chance(&mut self, part: u64, whole: u64) -> bool {
        self.draw(whole) >= whole.saturating_sub(part)
    }

    /// A number in `low..=high`; `low` is the simple choice, and the answer where `high < low`.
    fn range(&mut self, low: i64, high: i64) -> i64 {
        if high <= low {
            return low;
        }
        let width = high.wrapping_sub(low).cast_unsigned().saturating_add(1);
        low.wrapping_add(self.draw(width).cast_signed())
    }
}

impl dyn Choices + '_ {
    /// One of the items; the first is the simple choice.
    ///
    /// # Panics
    /// If there are no items: what can be picked from is written in the generator, never read.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.index(items.len())]
    }

    /// An index below `len`; 0 is the simple choice.
    pub fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.draw(len as u64)).expect("a draw is below its bound, which was a usize")
    }

    /// An index, each as likely as its weight.
    pub fn weighted(&mut self, weights: &[u64]) -> usize {
        let mut left = self.draw(weights.iter().sum());
        for (index, &weight) in weights.iter().enumerate() {
            if left < weight {
                return index;
            }
            left -= weight;
        }
        0
    }
}

/// Random choices from a seed and the number of a case: ChaCha with 8 rounds, keyed by
/// `seed (8 bytes LE) ‖ number (8 bytes LE) ‖ "rewindow choices"`; a draw is the widening product of
/// the next 64 bits and the bound, with Lemire's rejection.
pub struct Seeded {
    stream: ChaCha8Rng,
}

impl Seeded {
    /// The choices of case `number` of a campaign with this seed. Cases are independent of each other, so
    /// a campaign can be sharded, and any case made again alone.
    pub fn new(seed: u64, number: u64) -> Seeded {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&number.to_le_bytes());
        key[16..].copy_from_slice(b"rewindow choices");
        Seeded { stream: ChaCha8Rng::from_seed(key) }
    }
}

impl Choices for Seeded {
    fn draw(&mut self, bound: u64) -> u64 {
        if bound <= 1 {
            return 0;
        }
        let reject_below = bound.wrapping_neg() % bound;
        loop {
            let product = u128::from(self.stream.next_u64()) * u128::from(bound);
            // The low half is the position inside the share of an answer; positions in the short first
            // share of every answer are thrown away, which leaves all answers equally likely.
            if product as u64 >= reject_below {
                return (product >> 64) as u64;
            }
        }
    }
}

/// Choices read from bytes, as fuzzers and property tests give them: each draw takes as many bytes as its
/// bound needs, little endian, modulo the bound. A tape that has run out draws 0.
pub struct Tape<'a> {
    left: &'a [u8],
}

impl<'a> Tape<'a> {
    /// A tape from its beginning.
    pub fn new(bytes: &'a [u8]) -> Tape<'a> {
        Tape { left: bytes }
    }

    /// Whether everything was read: what follows is all zeros.
    pub fn is_exhausted(&self) -> bool {
        self.left.is_empty()
    }
}

impl Choices for Tape<'_> {
    fn draw(&mut self, bound: u64) -> u64 {
        if bound <= 1 {
            return 0;
        }
        let width = (71 - (bound - 1).leading_zeros() as usize) / 8;
        let (taken, left) = self.left.split_at(width.min(self.left.len()));
        self.left = left;
        let mut bytes = [0; 8];
        bytes[..taken.len()].copy_from_slice(taken);
        u64::from_le_bytes(bytes) % bound
    }
}

/// Passes on the draws of another source and keeps them.
pub struct Recorded<'a> {
    inner: &'a mut dyn Choices,
    draws: Vec<(u64, u64)>,
}

impl<'a> Recorded<'a> {
    /// Records what `inner` draws from here on.
    pub fn new(inner: &'a mut dyn Choices) -> Recorded<'a> {
        Recorded { inner, draws: Vec::new() }
    }

    /// What was drawn so far: bound and answer of each.
    pub fn draws(&self) -> &[(u64, u64)] {
        &self.draws
    }

    /// The bytes from which a [`Tape`] draws the same: a seeded case as a corpus file.
    pub fn tape(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for &(bound, answer) in self.draws.iter().filter(|(bound, _)| *bound > 1) {
            let width = (71 - (bound - 1).leading_zeros() as usize) / 8;
            bytes.extend_from_slice(&answer.to_le_bytes()[..width]);
        }
        bytes
    }
}

impl Choices for Recorded<'_> {
    fn draw(&mut self, bound: u64) -> u64 {
        let answer = self.inner.draw(bound);
        self.draws.push((bound, answer));
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(choices: &mut dyn Choices) -> Vec<u64> {
        [2, 10, 256, 257, 1 << 40, u64::MAX, 1, 0].iter().map(|&bound| choices.draw(bound)).collect()
    }

    /// Old seeds must not rot: these numbers are part of the format and are never changed.
    #[test]
    fn a_seed_draws_the_same_for_ever() {
        let drawn = some(&mut Seeded::new(0x8f21_c0de, 61));
        assert_eq!(drawn, PINNED);
        assert_ne!(some(&mut Seeded::new(0x8f21_c0de, 62)), drawn);
    }

    const PINNED: [u64; 8] = [1, 8, 185, 223, 263_375_693_773, 3_205_956_038_118_336_477, 0, 0];

    #[test]
    fn draws_stay_below_the_bound_and_reach_all_of_it() {
        let mut choices = Seeded::new(1, 1);
        let mut seen = [0; 7];
        for _ in 0..7_000 {
            seen[usize::try_from(choices.draw(7)).unwrap()] += 1;
        }
        assert!(seen.iter().all(|&n| (800..1_200).contains(&n)), "{seen:?}");
        assert_eq!((0..100).map(|_| choices.range(-3, -3)).max(), Some(-3));
        assert!((0..100).all(|_| (-3..=4).contains(&choices.range(-3, 4))));
        choices.range(i64::MIN, i64::MAX);
    }

    #[test]
    fn a_tape_that_has_run_out_chooses_the_simplest() {
        let mut tape = Tape::new(&[255, 255, 7]);
        assert_eq!((tape.draw(256), tape.draw(300), tape.is_exhausted()), (255, (7 * 256 + 255) % 300, true));
        let tape: &mut dyn Choices = &mut tape;
        assert_eq!((tape.draw(9), tape.range(-2, 9), tape.chance(99, 100)), (0, -2, false));
        assert_eq!((*tape.pick(&[5, 6]), tape.weighted(&[0, 3, 4])), (5, 1));
    }

    #[test]
    fn a_recording_plays_back_as_a_tape() {
        let mut seeded = Seeded::new(3, 4);
        let mut recorded = Recorded::new(&mut seeded);
        let drawn = some(&mut recorded);
        let bytes = recorded.tape();
        assert_eq!(some(&mut Tape::new(&bytes)), drawn);
    }
}
