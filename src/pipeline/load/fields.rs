//! Field types that know where they were written, and refuse what YAML or a careless hand made of them.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::ops::Deref;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::SeqDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IntoDeserializer, SeqAccess, Visitor};
use serde::{Deserialize, de};

use super::diagnostic::Span;
use super::interpolate;
use super::node_de::NodeDe;
use super::offsets::{self, Segment};
use super::problem::Problem;
use super::traps;
use super::tree::Kind;

pub(super) const SPANNED: &str = "$tidegate::Spanned";
pub(super) const ONE_OR_MANY: &str = "$tidegate::OneOrMany";
/// The name under which a field asks for a map, or for anything else as it is: a [`Text`] keeps its place that way.
pub(in crate::pipeline) const TEXT_OR_MAP: &str = "$tidegate::TextOrMap";

/// A value and where it stands in the file. Two are equal where their values are.
#[derive(Debug, Clone, Copy, Default)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub span: Span,
}

impl<T> Deref for Spanned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: PartialEq> PartialEq for Spanned<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for Spanned<T> {}

impl<T: Hash> Hash for Spanned<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.value.hash(state);
    }
}

impl Borrow<str> for Spanned<String> {
    fn borrow(&self) -> &str {
        &self.value
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Spanned<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Parts<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Parts<T> {
            type Value = Spanned<T>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a value with its place")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Spanned<T>, A::Error> {
                let (start, end) = (next(&mut parts)?, next(&mut parts)?);
                Ok(Spanned { value: next(&mut parts)?, span: Span::new(start, end) })
            }
        }
        deserializer.deserialize_struct(SPANNED, &["start", "end", "value"], Parts(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for Spanned<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

fn next<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(parts: &mut A) -> Result<T, A::Error> {
    parts.next_element()?.ok_or_else(|| A::Error::custom("a part of a field is missing"))
}

/// Hands out the parts of a [`Spanned`]: start, end, value.
pub(super) struct SpannedAccess<D> {
    span: Span,
    given: usize,
    value: Option<D>,
}

impl<D> SpannedAccess<D> {
    pub(super) fn new(span: Span, value: D) -> Self {
        Self { span, given: 0, value: Some(value) }
    }
}

impl<'de, D: Deserializer<'de, Error = Problem>> SeqAccess<'de> for SpannedAccess<D> {
    type Error = Problem;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Problem> {
        self.given += 1;
        match self.given {
            1 => seed.deserialize((self.span.start as u64).into_deserializer()).map(Some),
            2 => seed.deserialize((self.span.end as u64).into_deserializer()).map(Some),
            _ => self.value.take().map(|value| seed.deserialize(value)).transpose(),
        }
    }
}

/// A language whose texts YAML likes to mangle.
pub trait Language {
    /// The name under which a field asks for this language.
    const FIELD: &'static str;
    /// What a text of it is called.
    const NAME: &'static str;
}

/// The language of values that come out of a response.
#[derive(Debug, Clone, Copy)]
pub enum JqLanguage {}
/// The language of rows.
#[derive(Debug, Clone, Copy)]
pub enum SqlLanguage {}
/// The language of values that go into a request.
#[derive(Debug, Clone, Copy)]
pub enum TmplLanguage {}

impl Language for JqLanguage {
    const FIELD: &'static str = "$tidegate::Jq";
    const NAME: &'static str = "a jq expression";
}

impl Language for SqlLanguage {
    const FIELD: &'static str = "$tidegate::Sql";
    const NAME: &'static str = "an SQL text";
}

impl Language for TmplLanguage {
    const FIELD: &'static str = "$tidegate::Tmpl";
    const NAME: &'static str = "a text or template";
}

/// A jq program or path.
pub type Jq = Text<JqLanguage>;
/// A query or an expression in SQL.
pub type Sql = Text<SqlLanguage>;
/// A text that may hold `{{ }}`.
pub type Tmpl = Text<TmplLanguage>;

/// A text of some language, which knows where each of its bytes stands in the file. Two are equal where their texts are.
pub struct Text<L> {
    text: String,
    raw: Option<String>,
    span: Span,
    segments: Vec<Segment>,
    language: PhantomData<L>,
}

impl<L> Text<L> {
    /// Makes a text that comes from no file.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), raw: None, span: Span::default(), segments: Vec::new(), language: PhantomData }
    }

    /// Returns the text, with `${...}` replaced.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the text as the file has it, with `${...}` still in it: the one that may be shown and logged.
    #[must_use]
    pub fn shown(&self) -> &str {
        self.raw.as_deref().unwrap_or(&self.text)
    }

    /// Returns the values that stand for its `${...}`, each with the byte where it begins, but for those that have a default in the file:
    /// a secret can't have one.
    pub fn looked_up(&self) -> impl Iterator<Item = (usize, &str)> {
        let ends = self.segments.iter().skip(1).map(|next| next.text).chain([self.text.len()]);
        let values = self.segments.iter().zip(ends).filter(|(part, _)| !part.linear);
        let values = values.map(|(part, end)| (part.text, self.text.get(part.text..end).unwrap_or_default()));
        values.zip(interpolate::defaults(self.shown())).filter(|(_, has_default)| !has_default).map(|(value, _)| value)
    }

    /// Returns where the text stands in the file, its quotes included.
    #[must_use]
    pub fn span(&self) -> Span {
        self.span
    }

    /// Returns the byte of the file where a byte of the text was written. All bytes of a replaced `${...}` stand at its `$`.
    #[must_use]
    pub fn file_offset(&self, text_offset: usize) -> usize {
        offsets::locate(&self.segments, text_offset, self.span)
    }

    /// Returns the span in the file of a range of bytes of the text.
    #[must_use]
    pub fn file_span(&self, start: usize, end: usize) -> Span {
        let first = self.file_offset(start);
        let last = if end > start { self.file_offset(end - 1) + 1 } else { first };
        Span::new(first, last.max(first))
    }
}

impl<L> Clone for Text<L> {
    fn clone(&self) -> Self {
        let (text, raw, segments) = (self.text.clone(), self.raw.clone(), self.segments.clone());
        Self { text, raw, span: self.span, segments, language: PhantomData }
    }
}

impl<L> fmt::Debug for Text<L> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.shown(), out)
    }
}

impl<L> PartialEq for Text<L> {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl<L> Eq for Text<L> {}

impl<'de, L: Language> Deserialize<'de> for Text<L> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const PARTS: &[&str] = &["text", "raw", "start", "end", "segments"];
        deserializer.deserialize_struct(L::FIELD, PARTS, TextVisitor(PhantomData))
    }
}

struct TextVisitor<L>(PhantomData<L>);

impl<'de, L: Language> Visitor<'de> for TextVisitor<L> {
    type Value = Text<L>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(L::NAME)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Text<L>, E> {
        Ok(Text::new(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Text<L>, A::Error> {
        let (text, raw): (String, String) = (next(&mut parts)?, next(&mut parts)?);
        let span = Span::new(next(&mut parts)?, next(&mut parts)?);
        let flat: Vec<usize> = next(&mut parts)?;
        let segment = |part: &[usize; 3]| Segment { text: part[0], origin: part[1], linear: part[2] == 1 };
        let segments = flat.as_chunks().0.iter().map(segment).collect();
        let raw = (raw != text).then_some(raw);
        Ok(Text { text, raw, span, segments, language: PhantomData })
    }
}

impl<L: Language> JsonSchema for Text<L> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        L::FIELD.trim_start_matches("$tidegate::").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string"})
    }
}

/// Returns what a text of the field type `name` is called, if it is one of a [`Language`].
pub(super) fn language(name: &str) -> Option<&'static str> {
    match name {
        JqLanguage::FIELD => Some(JqLanguage::NAME),
        SqlLanguage::FIELD => Some(SqlLanguage::NAME),
        TmplLanguage::FIELD => Some(TmplLanguage::NAME),
        _ => None,
    }
}

/// The parts of a [`Text`], in the order of its visitor.
pub(super) struct TextAccess {
    text: String,
    raw: String,
    span: Span,
    segments: Vec<usize>,
    given: usize,
}

/// Takes the parts of a text out of a node, unless YAML may have mangled it.
pub(super) fn text_access(de: NodeDe<'_>, language: &str) -> Result<TextAccess, Problem> {
    let Kind::Scalar(scalar) = &de.node.kind else {
        return Err(traps::not_a_text(de, language));
    };
    if let Some(trap) = traps::mangled(de, scalar, language) {
        return Err(Problem::ready(trap));
    }
    let span = de.node.span;
    let aligned = offsets::align(&scalar.raw, scalar.style, span, de.text);
    let segments = match &scalar.filled {
        Some(filled) => offsets::compose(&filled.segments, &aligned, filled.text.len(), span),
        None => aligned,
    };
    let segments = segments.iter().flat_map(|part| [part.text, part.origin, usize::from(part.linear)]).collect();
    Ok(TextAccess { text: scalar.text().to_owned(), raw: scalar.raw.clone(), span, segments, given: 0 })
}

impl<'de> SeqAccess<'de> for TextAccess {
    type Error = Problem;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Problem> {
        self.given += 1;
        let read = match self.given {
            1 => seed.deserialize(self.text.as_str().into_deserializer()),
            2 => seed.deserialize(self.raw.as_str().into_deserializer()),
            3 => seed.deserialize((self.span.start as u64).into_deserializer()),
            4 => seed.deserialize((self.span.end as u64).into_deserializer()),
            _ => seed.deserialize(SeqDeserializer::new(self.segments.iter().map(|part| *part as u64))),
        };
        read.map(Some)
    }
}

/// One value, or a list of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OneOrMany<T>(pub Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Items<T> {
            type Value = OneOrMany<T>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("one value or a list of them")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<OneOrMany<T>, A::Error> {
                let mut all = Vec::new();
                while let Some(item) = items.next_element()? {
                    all.push(item);
                }
                Ok(OneOrMany(all))
            }
        }
        deserializer.deserialize_newtype_struct(ONE_OR_MANY, Items(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for OneOrMany<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("OneOrMany_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        json_schema!({"anyOf": [one, {"type": "array", "items": one}]})
    }
}
