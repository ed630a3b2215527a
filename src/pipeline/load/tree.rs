//! The tree of a file: what each value is, where it stands and how it was written.

use super::diagnostic::Span;
use super::interpolate::Filled;

/// A value of the file.
#[derive(Debug, Clone)]
pub struct Node {
    /// Names the node within its tree, so that it can be found again for repair. Copies by alias have their own.
    pub id: u32,
    /// Where it stands. A copy by alias stands where its anchor does.
    pub span: Span,
    /// Where the alias stands that made this copy, on the topmost node of the copy.
    pub alias: Option<Span>,
    /// What it is.
    pub kind: Kind,
}

/// What a node is.
#[derive(Debug, Clone)]
pub enum Kind {
    /// A text, number, boolean or null.
    Scalar(Scalar),
    /// A map, in the order of the file; keys are distinct.
    Map(Vec<Entry>),
    /// A list.
    Seq(Vec<Node>),
    /// A value that was refused and reported: skipped, as if absent.
    Hole,
    /// Stands in for a missing field that was reported, so that the next missing field of the map can be found.
    /// The number says which of the guessed texts is tried.
    Wild(usize),
}

/// A key of a map and its value.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The key.
    pub key: Key,
    /// Its value.
    pub value: Node,
}

/// A key of a map: always a text, however it was written.
#[derive(Debug, Clone)]
pub struct Key {
    /// The text.
    pub text: String,
    /// Where it stands.
    pub span: Span,
}

/// How a scalar was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// With no quotes.
    Plain,
    /// In single quotes.
    Single,
    /// In double quotes.
    Double,
    /// A block after `|`.
    Literal,
    /// A block after `>`.
    Folded,
}

/// A scalar as written, and as it reads once `${...}` is replaced.
#[derive(Debug, Clone)]
pub struct Scalar {
    /// The decoded text, with `${...}` still in it.
    pub raw: String,
    /// How it was written.
    pub style: Style,
    /// The text with `${...}` replaced, where there was any.
    pub filled: Option<Filled>,
}

/// What a scalar is by the strict rules.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Resolved<'a> {
    /// A plain `null`, `~` or nothing.
    Null,
    /// A plain `true` or `false`.
    Bool(bool),
    /// A plain number of the JSON grammar, with its text.
    Number(&'a str),
    /// All the rest.
    Str(&'a str),
}

impl Scalar {
    /// Returns the text, with `${...}` replaced.
    #[must_use]
    pub fn text(&self) -> &str {
        self.filled.as_ref().map_or(&self.raw, |filled| &filled.text)
    }

    /// Tells what the scalar is when its field doesn't say.
    ///
    /// A plain scalar that was replaced is a boolean or a number where it reads like one, and never null.
    #[must_use]
    pub fn resolve(&self) -> Resolved<'_> {
        let text = self.text();
        match text {
            _ if self.style != Style::Plain => Resolved::Str(text),
            "" | "~" | "null" if self.filled.is_none() => Resolved::Null,
            "true" => Resolved::Bool(true),
            "false" => Resolved::Bool(false),
            _ if is_json_number(text) => Resolved::Number(text),
            _ => Resolved::Str(text),
        }
    }
}

impl Node {
    /// Returns the node with this id, in this tree.
    pub fn find_mut(&mut self, id: u32) -> Option<&mut Self> {
        if self.id == id {
            return Some(self);
        }
        match &mut self.kind {
            Kind::Map(entries) => entries.iter_mut().find_map(|entry| entry.value.find_mut(id)),
            Kind::Seq(items) => items.iter_mut().find_map(|item| item.find_mut(id)),
            Kind::Scalar(_) | Kind::Hole | Kind::Wild(_) => None,
        }
    }

    /// Returns the place that names the node: its key, or where there is none its first key or itself.
    #[must_use]
    pub fn headline(&self, id: u32) -> Option<Span> {
        if self.id == id {
            return Some(self.first_span());
        }
        match &self.kind {
            Kind::Map(entries) => entries
                .iter()
                .find_map(|entry| if entry.value.id == id { Some(entry.key.span) } else { entry.value.headline(id) }),
            Kind::Seq(items) => items.iter().find_map(|item| item.headline(id)),
            Kind::Scalar(_) | Kind::Hole | Kind::Wild(_) => None,
        }
    }

    /// Whether the node is a hole.
    #[must_use]
    pub fn is_hole(&self) -> bool {
        matches!(self.kind, Kind::Hole)
    }

    pub(super) fn height(&self) -> usize {
        match &self.kind {
            Kind::Map(entries) => 1 + entries.iter().map(|entry| entry.value.height()).max().unwrap_or_default(),
            Kind::Seq(items) => 1 + items.iter().map(Self::height).max().unwrap_or_default(),
            Kind::Scalar(_) | Kind::Hole | Kind::Wild(_) => 0,
        }
    }

    fn first_span(&self) -> Span {
        match &self.kind {
            Kind::Map(entries) => {
                let written = entries.iter().find(|entry| !matches!(entry.value.kind, Kind::Wild(_)));
                written.map_or(self.span, |entry| entry.key.span)
            }
            _ => self.span,
        }
    }

    /// Calls `visit` with each scalar under the node.
    pub fn each_scalar<'n>(&'n self, visit: &mut dyn FnMut(&'n Scalar)) {
        match &self.kind {
            Kind::Scalar(scalar) => visit(scalar),
            Kind::Map(entries) => entries.iter().for_each(|entry| entry.value.each_scalar(visit)),
            Kind::Seq(items) => items.iter().for_each(|item| item.each_scalar(visit)),
            Kind::Hole | Kind::Wild(_) => {}
        }
    }
}

/// Whether a text is a number by the grammar of JSON.
#[must_use]
pub fn is_json_number(text: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).map_or((unsigned, None), |(m, e)| (m, Some(e)));
    let (whole, fraction) = mantissa.split_once('.').map_or((mantissa, None), |(w, f)| (w, Some(f)));
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|exponent| digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_json() {
        for text in ["0", "-1", "1.50", "1e3", "1.5E-7", "12345678901234567890123"] {
            assert!(is_json_number(text), "{text}");
        }
        for text in ["", "-", "010", "1.", ".5", "+1", "1e", "0x1f", "1_000", "--1", "1.-5", "NaN"] {
            assert!(!is_json_number(text), "{text}");
        }
    }

    #[test]
    fn plain_scalars_are_typed_strictly() {
        let plain = |raw: &str| Scalar { raw: raw.to_owned(), style: Style::Plain, filled: None };
        assert_eq!(plain("").resolve(), Resolved::Null);
        assert_eq!(plain("true").resolve(), Resolved::Bool(true));
        for text in ["yes", "no", "True", "NULL", "010", ".inf"] {
            assert_eq!(plain(text).resolve(), Resolved::Str(text));
        }
        let quoted = Scalar { style: Style::Single, ..plain("true") };
        assert_eq!(quoted.resolve(), Resolved::Str("true"));
    }
}
