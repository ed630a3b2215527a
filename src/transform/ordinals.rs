//! Sets of a slice's rows.

use fixedbitset::FixedBitSet;

/// A set of rows, by their ordinals. It takes a bit for each row of the slice up to the last one in the set, and at most twice that
/// while it grows: 25 MB for a hundred million rows.
#[derive(Debug, Clone, Default)]
pub struct Ordinals(FixedBitSet);

impl Ordinals {
    /// Adds a row; tells whether it is new.
    pub fn insert(&mut self, ordinal: u64) -> bool {
        let is_new = !self.contains(ordinal);
        if is_new {
            self.0.grow_and_insert(bit(ordinal));
        }
        is_new
    }

    /// Takes a row out.
    pub fn remove(&mut self, ordinal: u64) {
        if self.contains(ordinal) {
            self.0.remove(bit(ordinal));
        }
    }

    /// Takes all rows before `first` out.
    pub fn remove_before(&mut self, first: u64) {
        let end = bit(first).min(self.0.len());
        self.0.remove_range(..end);
    }

    /// Tells whether a row is in the set.
    #[must_use]
    pub fn contains(&self, ordinal: u64) -> bool {
        self.0.contains(bit(ordinal))
    }

    /// Tells whether a row of `from..to` is in the set.
    #[must_use]
    pub fn any_in(&self, from: u64, to: u64) -> bool {
        let end = bit(to).min(self.0.len());
        self.0.contains_any_in_range(bit(from).min(end)..end)
    }

    /// Returns how many rows there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.0.count_ones(..) as u64
    }

    /// Returns how many rows before `end` there are.
    #[must_use]
    pub fn count_before(&self, end: u64) -> u64 {
        self.0.count_ones(..bit(end).min(self.0.len())) as u64
    }

    /// Tells whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_clear()
    }

    /// Returns the rows, in their order.
    pub fn iter(&self) -> impl Iterator<Item = u64> {
        self.0.ones().map(|bit| bit as u64)
    }
}

impl Extend<u64> for Ordinals {
    fn extend<I: IntoIterator<Item = u64>>(&mut self, ordinals: I) {
        for ordinal in ordinals {
            self.insert(ordinal);
        }
    }
}

impl FromIterator<u64> for Ordinals {
    fn from_iter<I: IntoIterator<Item = u64>>(ordinals: I) -> Self {
        let mut set = Self::default();
        set.extend(ordinals);
        set
    }
}

/// Returns the place of a row. All that can be counted fits where there are 64 bits.
fn bit(ordinal: u64) -> usize {
    usize::try_from(ordinal).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_set(steps in prop::collection::vec((0_u64..300, 0..8), 0..60), cut in 0_u64..400, span in 0_u64..400) {
            let (mut set, mut model) = (Ordinals::default(), BTreeSet::new());
            for (ordinal, what) in steps {
                if what == 0 {
                    set.remove(ordinal);
                    model.remove(&ordinal);
                } else {
                    prop_assert_eq!(set.insert(ordinal), model.insert(ordinal));
                }
            }
            for cut in [0, cut] {
                set.remove_before(cut);
                model = model.split_off(&cut);
                prop_assert_eq!(set.iter().collect::<Vec<_>>(), model.iter().copied().collect::<Vec<_>>());
                prop_assert_eq!((set.len(), set.is_empty()), (model.len() as u64, model.is_empty()));
                prop_assert_eq!(set.count_before(cut + span), model.range(..cut + span).count() as u64);
                prop_assert_eq!(set.any_in(cut, cut + span), model.range(cut..cut + span).next().is_some());
                prop_assert!((0..500).all(|ordinal| set.contains(ordinal) == model.contains(&ordinal)));
            }
        }
    }
}
