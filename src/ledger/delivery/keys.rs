//! Keys of rows that were sent: 16 bytes each, as one text for many.

use std::collections::BTreeSet;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

/// How many bytes a key has.
const LENGTH: usize = 16;

/// What a row is known by: the first 16 bytes of the SHA-256 of its key's values.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowKey([u8; LENGTH]);

impl RowKey {
    /// Makes the key of values, each as its JSON text.
    #[must_use]
    pub fn of<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        let mut hash = Sha256::new();
        for value in values {
            hash.update(u64::try_from(value.len()).unwrap_or(u64::MAX).to_le_bytes());
            hash.update(value);
        }
        Self::cut(&hash.finalize())
    }

    /// Makes one key of those of several rows.
    #[must_use]
    pub fn of_rows(keys: &[Self]) -> Self {
        let mut hash = Sha256::new();
        for key in keys {
            hash.update(key.0);
        }
        Self::cut(&hash.finalize())
    }

    fn cut(digest: &[u8]) -> Self {
        let mut key = [0; LENGTH];
        key.iter_mut().zip(digest).for_each(|(to, from)| *to = *from);
        Self(key)
    }
}

impl fmt::Display for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&hex::encode(self.0))
    }
}

impl fmt::Debug for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Several keys, in their order. Stored, they are one text in base64.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RowKeys(pub Vec<RowKey>);

impl RowKeys {
    /// Tells whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns what a request with these rows is known by.
    #[must_use]
    pub fn id(&self) -> String {
        RowKey::of_rows(&self.0).to_string()
    }
}

impl From<&BTreeSet<RowKey>> for RowKeys {
    fn from(keys: &BTreeSet<RowKey>) -> Self {
        Self(keys.iter().copied().collect())
    }
}

impl Serialize for RowKeys {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes: Vec<u8> = self.0.iter().flat_map(|key| key.0).collect();
        serializer.serialize_str(&STANDARD_NO_PAD.encode(bytes))
    }
}

impl<'de> Deserialize<'de> for RowKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD_NO_PAD.decode(text).map_err(D::Error::custom)?;
        let (keys, rest) = bytes.as_chunks::<LENGTH>();
        if !rest.is_empty() {
            return Err(D::Error::custom("the last key is cut off"));
        }
        Ok(Self(keys.iter().map(|key| RowKey(*key)).collect()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_that_join_alike_are_different_keys() {
        assert_ne!(RowKey::of(["1", "23"]), RowKey::of(["12", "3"]));
        assert_ne!(RowKey::of(["1"]), RowKey::of(["\"1\""]));
        assert_eq!(RowKey::of(["1"]).to_string().len(), 32);
    }

    #[test]
    fn a_key_that_is_cut_off_is_refused() {
        assert!(serde_json::from_str::<RowKeys>("\"AAAA\"").is_err());
    }

    proptest! {
        #[test]
        fn keys_read_back(values in prop::collection::vec("[a-z]{0,3}", 0..20)) {
            let keys = RowKeys(values.iter().map(|value| RowKey::of([value.as_str()])).collect());
            let text = serde_json::to_string(&keys).unwrap();
            prop_assert_eq!(serde_json::from_str::<RowKeys>(&text).unwrap(), keys);
        }
    }
}
