//! One of several parts of a campaign that are run apart from each other.
//!
//! Shard `i` of `n` takes the cases `i - 1`, `i - 1 + n`, `i - 1 + 2 n` and so on of the same seed: no case is in two shards,
//! and together they are the whole campaign. Knows nothing of cases. Invariant: `1 <= index <= of`.

use std::fmt;

use serde::Serialize;

/// Most shards.
const MAX: u64 = 1_000_000;

/// Shard `index` of `of`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Shard {
    index: u64,
    of: u64,
}

impl Shard {
    /// The whole campaign.
    pub const WHOLE: Shard = Shard { index: 1, of: 1 };

    /// Reads `2/4`.
    ///
    /// # Errors
    /// Text that is no shard.
    pub fn parse(text: &str) -> Result<Shard, String> {
        let numbers =
            text.split_once('/').and_then(|(index, of)| Some((index.parse().ok()?, of.parse().ok()?)));
        match numbers {
            Some((index, of)) if (1..=of).contains(&index) && of <= MAX => Ok(Shard { index, of }),
            _ => Err(format!("`{text}` is no shard: write 1/4 for the first of four, up to 4/4")),
        }
    }

    /// How many of so many cases are in it.
    #[must_use]
    pub fn count(self, cases: u64) -> u64 {
        cases.saturating_sub(self.index - 1).div_ceil(self.of)
    }

    /// The number of its case at a place, from 0.
    #[must_use]
    pub fn case(self, place: u64) -> u64 {
        place * self.of + self.index - 1
    }
}

/// `2/4`
impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_disjoint_and_together_the_whole() {
        for cases in [0, 1, 2, 7, 40] {
            for of in 1..=9 {
                let shards = (1..=of).map(|index| Shard { index, of });
                let mut all: Vec<u64> = shards
                    .flat_map(|shard| (0..shard.count(cases)).map(move |place| shard.case(place)))
                    .collect();
                all.sort_unstable();
                assert_eq!(all, (0..cases).collect::<Vec<u64>>(), "{cases} cases in {of} shards");
            }
        }
        assert_eq!(Shard::WHOLE.count(u64::MAX), u64::MAX);
    }

    #[test]
    fn a_shard_is_read_or_refused() {
        assert_eq!(Shard::parse("2/4").map(|shard| shard.to_string()), Ok("2/4".to_owned()));
        assert_eq!(Shard::parse("1/1"), Ok(Shard::WHOLE));
        for bad in
            ["", "1", "0/4", "5/4", "1/0", "-1/4", "a/b", "1/2/3", "1/99999999999999999999", "1/1000001"]
        {
            assert!(Shard::parse(bad).is_err(), "{bad}");
        }
    }
}
