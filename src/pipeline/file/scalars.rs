//! Values with a unit: durations, rates, sizes.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::num::NonZeroU32;
use std::time;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Visitor};

/// A duration: a whole number and a unit (`ms`, `s`, `m`, `h`, `d`, `w`), or several of them: `90s`, `1h30m`, `7d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub time::Duration);

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        parse_duration(&text).map(Self).ok_or_else(|| {
            format!("`{text}` is not a duration; write a whole number and a unit of ms, s, m, h, d or w, such as `90s`, `1h30m` or `7d`")
        })
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::lang::spell(self.0).fmt(f)
    }
}

fn parse_duration(text: &str) -> Option<time::Duration> {
    let mut total = 0u64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let unit_length =
            rest[digits..].len() - rest[digits..].trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
        let milliseconds = match &rest[digits..digits + unit_length] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 604_800_000,
            _ => return None,
        };
        let number: u64 = rest[..digits].parse().ok()?;
        total = total.checked_add(number.checked_mul(milliseconds)?)?;
        rest = &rest[digits + unit_length..];
    }
    (!text.is_empty()).then(|| time::Duration::from_millis(total))
}

impl JsonSchema for Span {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": r"^([0-9]+(ms|s|m|h|d|w))+$", "examples": ["90s", "15m", "1d"]})
    }
}

/// A rate: how many in a second, a minute or an hour: `10/s`, `600/m`, `100/h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: NonZeroU32,
    /// In how long a time.
    pub per: time::Duration,
}

impl TryFrom<String> for Rate {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        parse_rate(&text).ok_or_else(|| {
            format!("`{text}` is not a rate; write a whole number above 0, `/` and a unit of s, m or h, such as `10/s`")
        })
    }
}

fn parse_rate(text: &str) -> Option<Rate> {
    let (count, unit) = text.split_once('/')?;
    let per = match unit.trim() {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return None,
    };
    Some(Rate { count: count.trim().parse().ok()?, per: time::Duration::from_secs(per) })
}

impl JsonSchema for Rate {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Rate".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": r"^[1-9][0-9]* */ *[smh]$", "examples": ["10/s"]})
    }
}

/// A size in bytes: a whole number and a unit of `B`, `KiB`, `MiB`, `GiB`: `64MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

impl TryFrom<String> for ByteSize {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        parse_size(&text).map(Self).ok_or_else(|| {
            format!(
                "`{text}` is not a size; write a whole number above 0 and a unit of B, KiB, MiB or GiB, such as `64MiB`"
            )
        })
    }
}

fn parse_size(text: &str) -> Option<u64> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let unit: u64 = match text[digits..].trim() {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    text[..digits].parse::<u64>().ok()?.checked_mul(unit).filter(|size| *size > 0)
}

impl JsonSchema for ByteSize {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ByteSize".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^[1-9][0-9]* *(B|KiB|MiB|GiB)$", "examples": ["64MiB"]})
    }
}

/// How files are compressed: `none`, `snappy`, `gzip`, `zstd`, or `zstd(level)` with a level from 1 to 22.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// Snappy, in Parquet only.
    Snappy,
    /// gzip.
    Gzip,
    /// Zstandard, at a level from 1 to 22 or at the format's own.
    Zstd(Option<u8>),
}

impl TryFrom<String> for Compression {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        parse_compression(&text).ok_or_else(|| {
            let lower = text.to_lowercase();
            let near = parse_compression(&lower).map(|_| format!("; did you mean `{lower}`?")).unwrap_or_default();
            format!("`{text}` is not a compression; write `none`, `snappy`, `gzip`, `zstd` or `zstd(level)` with a level from 1 to 22{near}")
        })
    }
}

fn parse_compression(text: &str) -> Option<Compression> {
    Some(match text {
        "none" => Compression::None,
        "snappy" => Compression::Snappy,
        "gzip" => Compression::Gzip,
        "zstd" => Compression::Zstd(None),
        _ => {
            let level = text.strip_prefix("zstd(")?.strip_suffix(')')?;
            Compression::Zstd(Some((1..=22).find(|known: &u8| known.to_string() == level)?))
        }
    })
}

impl JsonSchema for Compression {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Compression".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let pattern = r"^(none|snappy|gzip|zstd(\(([1-9]|1[0-9]|2[0-2])\))?)$";
        json_schema!({"type": "string", "pattern": pattern, "examples": ["zstd", "zstd(9)", "none"]})
    }
}

/// Reads a value with a unit from a text; `what` names it where there is no text.
fn from_text<'de, T, D>(deserializer: D, what: &'static str) -> Result<T, D::Error>
where
    T: TryFrom<String, Error = String>,
    D: Deserializer<'de>,
{
    struct TextVisitor<T>(&'static str, PhantomData<T>);

    impl<T: TryFrom<String, Error = String>> Visitor<'_> for TextVisitor<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
            T::try_from(text.to_owned()).map_err(E::custom)
        }
    }

    deserializer.deserialize_str(TextVisitor(what, PhantomData))
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer, "a duration such as `90s`, `1h30m` or `7d`")
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer, "a rate such as `10/s`")
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer, "a size such as `64MiB`")
    }
}

impl<'de> Deserialize<'de> for Compression {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer, "a compression such as `zstd`, `zstd(9)` or `none`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        let seconds = |text: &str| parse_duration(text).map(|duration| duration.as_millis());
        assert_eq!(seconds("90s"), Some(90_000));
        assert_eq!(seconds("1h30m"), Some(5_400_000));
        assert_eq!(seconds("250ms"), Some(250));
        assert_eq!(seconds("1w"), Some(604_800_000));
        for bad in ["", "10", "s", "1.5h", "-1d", "1M", "1 d", "99999999999999999999d"] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
    }

    #[test]
    fn rates_and_sizes_are_above_zero() {
        assert_eq!(parse_rate("10/s").map(|rate| (rate.count.get(), rate.per.as_secs())), Some((10, 1)));
        assert_eq!(parse_rate("0/s"), None);
        assert_eq!(parse_rate("10"), None);
        assert_eq!(parse_size("64MiB"), Some(64 << 20));
        assert_eq!(parse_size("0B"), None);
        assert_eq!(parse_size("64MB"), None);
    }

    #[test]
    fn compressions_may_have_a_level() {
        assert_eq!(parse_compression("zstd"), Some(Compression::Zstd(None)));
        assert_eq!(parse_compression("zstd(22)"), Some(Compression::Zstd(Some(22))));
        assert_eq!(parse_compression("none"), Some(Compression::None));
        for bad in [
            "", "lz4", "zstd()", "zstd(0)", "zstd(23)", "zstd(-1)", "zstd(+9)", "zstd(09)", "gzip(6)", "Zstd", "zstd(9",
        ] {
            assert_eq!(parse_compression(bad), None, "{bad}");
        }
    }
}
