//! The fingerprint of a plan: what it means as a number, the same on every machine and for ever.
//!
//! A checkpoint names its query by it. Blanks, comments, places and remarks do not matter; names of
//! streams, outputs and columns, every expression and every length of time do. Algorithm: FNV-1a, 64 bits,
//! over the canonical text of [`crate::show`], which is part of the format. Invariant: equal plans up to
//! text, place, step names and warnings have equal fingerprints.

use crate::plan::Plan;

/// Changes when the canonical text does, so that old fingerprints never mean something new.
const VERSION: &str = "rewindow plan 1";

impl Plan {
    /// The plan's fingerprint.
    pub fn fingerprint(&self) -> u64 {
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        for byte in VERSION.bytes().chain(self.canonical().bytes()) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        hash
    }
}
