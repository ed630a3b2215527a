//! Names of fields, to compare keys with.

/// A name. What most keys differ in lies in itself, so that comparing follows no pointer.
pub(super) struct Known {
    text: Box<str>,
    ends: [u64; 2],
}

impl Known {
    pub(super) fn new(text: &str) -> Self {
        Self { text: text.into(), ends: ends(text.as_bytes()) }
    }

    /// Tells whether `key` is this name. As `==` does, which calls a function of the C library: names are too short for that.
    pub(super) fn is(&self, key: &str) -> bool {
        let key = key.as_bytes();
        self.text.len() == key.len()
            && self.ends == ends(key)
            && (key.len() <= size_of_val(&self.ends) || self.text.as_bytes() == key)
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

/// Returns the first and the last bytes. Up to 16 bytes are all of them: they may overlap.
fn ends(bytes: &[u8]) -> [u64; 2] {
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        return [u64::from_le_bytes(*first), u64::from_le_bytes(*last)];
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        return [u32::from_le_bytes(*first).into(), u32::from_le_bytes(*last).into()];
    }
    [bytes.iter().fold(0, |all, byte| all << 8 | u64::from(*byte)), 0]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_place_of_a_name_counts() {
        for length in 0..40 {
            let name = "n".repeat(length);
            assert!(Known::new(&name).is(&name));
            assert!(!Known::new(&name).is(&format!("{name}n")));
            for place in 0..length {
                let mut other = name.clone();
                other.replace_range(place..=place, "m");
                assert!(!Known::new(&name).is(&other), "{name} {other}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_key_is_a_name_where_they_are_equal(name in "[ab\0é]{0,20}", key in "[ab\0é]{0,20}") {
            prop_assert_eq!(Known::new(&name).is(&key), name == key);
        }
    }
}
