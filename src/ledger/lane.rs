//! Lanes: how the writers of a pipeline keep out of each other's way.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::plan::Shard;

/// The part of a pipeline's slices that one writer may have at a time: all of them, or those of one shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Lane {
    index: u32,
    of: u32,
}

impl Lane {
    /// The whole pipeline.
    pub const WHOLE: Self = Self { index: 0, of: 1 };

    /// Makes the lane of shard `index` (from 0) of `of`; `None` unless `index < of`.
    #[must_use]
    pub const fn shard(index: u32, of: u32) -> Option<Self> {
        if index < of { Some(Self { index, of }) } else { None }
    }

    /// Returns into how many lanes it and its like divide the slices; 1 for the whole pipeline.
    #[must_use]
    pub const fn of(self) -> u32 {
        self.of
    }

    /// Returns it as `--shard` takes it: `0/5`.
    #[must_use]
    pub fn shard_argument(self) -> String {
        format!("{}/{}", self.index, self.of)
    }

    /// Tells whether the two can't be held at the same time: the same lane, or lanes that divide the slices differently.
    #[must_use]
    pub const fn excludes(self, other: Self) -> bool {
        self.of != other.of || self.index == other.index
    }

    /// Tells whether the two divide the slices differently.
    #[must_use]
    pub const fn divides_unlike(self, other: Self) -> bool {
        self.of != other.of
    }
}

impl From<Shard> for Lane {
    fn from(shard: Shard) -> Self {
        Self { index: shard.index(), of: shard.of() }
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.of == 1 { f.pad("all") } else { f.pad(&format!("{}-of-{}", self.index, self.of)) }
    }
}

impl FromStr for Lane {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let shard = |text: &str| {
            let (index, of) = text.split_once("-of-")?;
            Self::shard(index.parse().ok()?, of.parse().ok()?)
        };
        if text == "all" { Some(Self::WHOLE) } else { shard(text) }
            .ok_or_else(|| format!("'{text}' is no lane, expected 'all' or '0-of-4'"))
    }
}

impl TryFrom<String> for Lane {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Lane> for String {
    fn from(lane: Lane) -> Self {
        lane.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_print_and_parse() {
        let shard = Lane::shard(1, 4).unwrap();
        assert_eq!((Lane::WHOLE.to_string(), shard.to_string()), ("all".to_owned(), "1-of-4".to_owned()));
        assert_eq!("1-of-4".parse(), Ok(shard));
        assert_eq!("all".parse(), Ok(Lane::WHOLE));
        assert!("4-of-4".parse::<Lane>().is_err());
        assert!(shard.excludes(Lane::WHOLE) && shard.excludes(shard));
        assert!(!shard.excludes(Lane::shard(2, 4).unwrap()));
    }
}
