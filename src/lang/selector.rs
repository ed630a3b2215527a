//! Where the records lie in a response: plain paths, which are read in one pass, or a jq program.

use super::jq::{Jq, JqError};

/// A path of fixed keys to the array whose items are the records: `.rsp.records[]`, `.results[]?`, `.[]`, `.a."b c"[]`, `.["x y"][]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlainPath {
    /// The keys from the root of the body to the array; none where the body itself is the array.
    pub keys: Vec<String>,
    /// The path ends in `[]?`: where the array is missing or null, or `[]` stands for an object on the way to it, as Lua and PHP print
    /// an empty table, there are no records, instead of an error.
    pub optional: bool,
}

/// What picks the records out of a response.
#[derive(Debug, Clone, PartialEq)]
pub enum Selector {
    /// Paths, of which the first whose last key exists wins, even where it is null.
    Plain {
        /// The paths, at least one.
        paths: Vec<PlainPath>,
    },
    /// A jq program: each of its outputs is a record.
    Program(Jq),
}

/// A selector that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SelectorError {
    /// There is no text at all.
    #[error("`records` is empty: give a path such as `.data[]`")]
    Empty,
    /// One of several texts isn't a plain path.
    #[error("`{text}` isn't a plain path such as `.data[]`: a list holds plain paths only")]
    NotPlain {
        /// Which of the texts, from 0.
        index: usize,
        /// The text.
        text: String,
    },
    /// The text is neither a plain path nor a jq program.
    #[error(transparent)]
    Program(#[from] JqError),
}

impl Selector {
    /// Reads what `records` says. A program may use the variables `vars` (names without `$`).
    ///
    /// # Errors
    /// Where there is no text, a list holds anything but plain paths, or a program can't be compiled.
    pub fn parse_with(texts: &[String], vars: &[&str]) -> Result<Self, SelectorError> {
        match texts {
            [] => Err(SelectorError::Empty),
            [text] => Ok(match PlainPath::parse(text) {
                Some(path) => Self::Plain { paths: vec![path] },
                None => Self::Program(Jq::compile(text, vars)?),
            }),
            texts => {
                let parse = |(index, text): (usize, &String)| {
                    PlainPath::parse(text).ok_or_else(|| SelectorError::NotPlain { index, text: text.clone() })
                };
                Ok(Self::Plain { paths: texts.iter().enumerate().map(parse).collect::<Result<_, _>>()? })
            }
        }
    }

    /// Reads what `records` says, where a program sees no variables.
    ///
    /// # Errors
    /// As [`Selector::parse_with`].
    pub fn parse(texts: &[String]) -> Result<Self, SelectorError> {
        Self::parse_with(texts, &[])
    }
}

impl PlainPath {
    /// Reads a plain path; `None` where the text is anything else, such as a jq program.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut rest = text.trim().strip_prefix('.')?;
        let mut keys = Vec::new();
        loop {
            match rest {
                "[]" => return Some(Self { keys, optional: false }),
                "[]?" => return Some(Self { keys, optional: true }),
                _ => {}
            }
            let dotted = rest.strip_prefix('.');
            // `.a.b`, and `.a` or `."a"` at the start; `["a"]` may come with a dot before it or without.
            let bare = dotted.or_else(|| keys.is_empty().then_some(rest));
            let (key, after) = if let Some(inside) = dotted.unwrap_or(rest).strip_prefix('[') {
                let (key, after) = quoted(inside)?;
                (key, after.strip_prefix(']')?)
            } else if let Some(inside) = bare.filter(|bare| bare.starts_with('"')) {
                quoted(inside)?
            } else {
                identifier(bare?)?
            };
            keys.push(key);
            rest = after;
        }
    }
}

impl std::fmt::Display for PlainPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for key in &self.keys {
            match identifier(key) {
                Some((_, "")) => write!(f, ".{key}")?,
                _ => write!(f, ".{}", serde_json::Value::from(key.as_str()))?,
            }
        }
        f.write_str(if self.keys.is_empty() { ".[]" } else { "[]" })?;
        f.write_str(if self.optional { "?" } else { "" })
    }
}

fn identifier(text: &str) -> Option<(String, &str)> {
    let inside = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let end = text.find(|c| !inside(c)).unwrap_or(text.len());
    let starts_well = !text.starts_with(|c: char| c.is_ascii_digit());
    (end > 0 && starts_well).then(|| (text[..end].to_owned(), &text[end..]))
}

/// Reads a JSON string at the start of `text`. jq's `\(...)` isn't JSON, so a key that is computed is no plain path.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<String>();
    let key = stream.next()?.ok()?;
    let end = stream.byte_offset();
    Some((key, &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Option<(Vec<String>, bool)> {
        PlainPath::parse(text).map(|path| (path.keys, path.optional))
    }

    fn plain(keys: &[&str], optional: bool) -> Option<(Vec<String>, bool)> {
        Some((keys.iter().map(|&key| key.to_owned()).collect(), optional))
    }

    #[test]
    fn plain_paths_are_recognised() {
        assert_eq!(keys(".rsp.records[]"), plain(&["rsp", "records"], false));
        assert_eq!(keys(".results[]?"), plain(&["results"], true));
        assert_eq!(keys(".[]"), plain(&[], false));
        assert_eq!(keys(".a.\"b c\"[]"), plain(&["a", "b c"], false));
        assert_eq!(keys(".[\"x y\"][]"), plain(&["x y"], false));
        assert_eq!(keys(".a[\"\\u0062\"].c[]"), plain(&["a", "b", "c"], false));
        assert_eq!(keys(".\"@x\"[]"), plain(&["@x"], false));
    }

    #[test]
    fn anything_else_is_no_plain_path() {
        for text in [
            ".",
            ".a",
            ".a[].b[]",
            ".a[0][]",
            ".a?[]",
            ".a | .[]",
            ".[$x][]",
            ".\"\\(.x)\"[]",
            ".1a[]",
            "..[]",
            ".a..b[]",
            "",
            "a[]",
            ".[\"a]",
        ] {
            assert_eq!(keys(text), None, "{text}");
        }
    }

    #[test]
    fn a_path_prints_as_it_reads() {
        for text in [".rsp.records[]", ".[]", ".results[]?", ".a.\"b c\"[]", ".[]?"] {
            assert_eq!(PlainPath::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn one_text_may_be_a_program_and_a_list_may_not() {
        let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        let two = Selector::parse(&texts(&[".results[]", ".Results[]?"])).unwrap();
        assert!(matches!(two, Selector::Plain { paths } if paths.len() == 2));
        assert!(matches!(Selector::parse(&texts(&[".data | to_entries[]"])).unwrap(), Selector::Program(_)));
        let error = Selector::parse(&texts(&[".a[]", ".b"])).unwrap_err();
        assert_eq!(error.to_string(), "`.b` isn't a plain path such as `.data[]`: a list holds plain paths only");
        assert!(matches!(Selector::parse(&texts(&[".a |"])), Err(SelectorError::Program(_))));
        assert_eq!(Selector::parse(&[]), Err(SelectorError::Empty));
        assert!(Selector::parse_with(&texts(&[".[$x]"]), &["x"]).is_ok());
    }
}
