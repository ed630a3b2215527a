//! Seeded chance: the same seed gives the same data on every platform and in every release.

/// The step of `SplitMix64`, 2^64 divided by the golden ratio.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// Mixes two words into one that looks random (the finisher of `SplitMix64`).
#[must_use]
pub const fn mix(a: u64, b: u64) -> u64 {
    let mut z = a ^ b.wrapping_add(1).wrapping_mul(STEP);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A stream of seeded chance (`SplitMix64`): no cryptography, no dependence on a library's choice of generator.
#[derive(Debug, Clone)]
pub struct Dice {
    seed: u64,
    rolled: u64,
}

impl Dice {
    /// Starts the stream of `seed`; `purpose` keeps streams of one seed apart.
    #[must_use]
    pub const fn new(seed: u64, purpose: u64) -> Self {
        Self { seed: mix(seed, purpose), rolled: 0 }
    }

    /// Returns the next word.
    pub const fn word(&mut self) -> u64 {
        self.rolled += 1;
        mix(self.seed, self.rolled)
    }

    /// Returns a number in `0..bound`, or 0 where `bound` is 0.
    pub fn below(&mut self, bound: u32) -> u32 {
        below(self.word(), bound)
    }

    /// Returns a number in `low..=high`.
    pub fn between(&mut self, low: u32, high: u32) -> u32 {
        low + self.below((high - low).saturating_add(1))
    }

    /// Tells yes in `per_mille` of a thousand cases.
    pub fn chance(&mut self, per_mille: u32) -> bool {
        self.below(1000) < per_mille
    }
}

/// Cuts the word down to `0..bound`, or 0 where `bound` is 0.
#[must_use]
pub fn below(word: u64, bound: u32) -> u32 {
    u32::try_from(word % u64::from(bound.max(1))).unwrap_or(0)
}

/// Picks the entry of `list` that `word` stands for; the list must have one.
#[must_use]
pub const fn pick<const N: usize, T>(list: &[T; N], word: u64) -> &T {
    // usize is never wider than u64, and the remainder is below N.
    #[expect(clippy::cast_possible_truncation, reason = "the remainder is below N, a usize")]
    let index = (word % N as u64) as usize;
    &list[index]
}

#[cfg(test)]
mod tests {
    use super::{Dice, below, mix, pick};

    #[test]
    fn the_same_seed_rolls_the_same() {
        let roll = |seed| {
            let mut dice = Dice::new(seed, 1);
            (0..5).map(|_| dice.word()).collect::<Vec<_>>()
        };
        assert_eq!(roll(7), roll(7));
        assert_ne!(roll(7), roll(8));
        assert_eq!(mix(0, 0), 0xE220_A839_7B1D_CDAF, "the first word of SplitMix64 with seed 0");
    }

    #[test]
    fn bounds_hold() {
        let mut dice = Dice::new(1, 1);
        assert!((0..1000).map(|_| dice.between(3, 5)).all(|n| (3..=5).contains(&n)));
        assert_eq!(below(99, 0), 0);
        assert_eq!(*pick(&[1, 2, 3], 5), 3);
    }
}
