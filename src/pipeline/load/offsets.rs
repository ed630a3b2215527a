//! From a place in a decoded scalar to the byte of the file where it was written.

use super::diagnostic::Span;
use super::tree::Style;

/// From here on, bytes of a text stand at `origin` in another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    /// The first byte in the text.
    pub(super) text: usize,
    /// The byte it comes from.
    pub(super) origin: usize,
    /// Whether the following bytes follow there too, or all come from this one place.
    pub(super) linear: bool,
}

/// Returns the byte of the file for a byte of the text, within the span of the scalar.
pub(super) fn locate(segments: &[Segment], offset: usize, span: Span) -> usize {
    let next = segments.partition_point(|segment| segment.text <= offset);
    let at = next.checked_sub(1).and_then(|index| segments.get(index)).map_or(span.start, |segment| {
        if segment.linear { segment.origin + (offset - segment.text) } else { segment.origin }
    });
    at.clamp(span.start, span.end.max(span.start))
}

/// Combines `outer` (text to raw text) with `inner` (raw text to file).
pub(super) fn compose(outer: &[Segment], inner: &[Segment], text_len: usize, span: Span) -> Vec<Segment> {
    let mut composed = Vec::new();
    for (index, segment) in outer.iter().enumerate() {
        let end = outer.get(index + 1).map_or(text_len, |next| next.text);
        composed.push(Segment { origin: locate(inner, segment.origin, span), ..*segment });
        if segment.linear {
            let raw = segment.origin + 1..segment.origin + (end - segment.text);
            let first = inner.partition_point(|part| part.text < raw.start);
            let inside = inner.iter().skip(first).take_while(|part| part.text < raw.end);
            composed.extend(inside.map(|part| Segment { text: segment.text + (part.text - segment.origin), ..*part }));
        }
    }
    composed
}

/// Finds where each part of a decoded scalar stands in its source.
///
/// All characters that aren't white space come through decoding in order, so they are matched one by one; white space,
/// which folding and indentation change, only roughly.
pub(super) fn align(decoded: &str, style: Style, span: Span, file: &str) -> Vec<Segment> {
    let slice = span.slice(file);
    let mut walker = Walker { source: slice, at: content_start(slice, style), style };
    let mut segments: Vec<Segment> = Vec::new();
    for (text, char) in decoded.char_indices() {
        let Some(at) = walker.find(char) else { break };
        let origin = span.start + at;
        let follows = segments.last().is_some_and(|last| last.origin + (text - last.text) == origin);
        if !follows {
            segments.push(Segment { text, origin, linear: true });
        }
    }
    segments
}

/// Returns where the content starts within the source of a scalar: after a quote, or after the line of `|` or `>`.
fn content_start(slice: &str, style: Style) -> usize {
    match style {
        Style::Single | Style::Double => slice.find(['\'', '"']).map_or(0, |at| at + 1),
        Style::Literal | Style::Folded if slice.starts_with(['|', '>']) => slice.find('\n').map_or(0, |at| at + 1),
        Style::Plain | Style::Literal | Style::Folded => 0,
    }
}

struct Walker<'a> {
    source: &'a str,
    at: usize,
    style: Style,
}

impl Walker<'_> {
    /// Returns where `char` of the decoded text stands, and moves behind it.
    fn find(&mut self, char: char) -> Option<usize> {
        if !char.is_whitespace() {
            let rest = self.source.get(self.at..)?;
            self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
        }
        self.skip_continuation();
        let start = self.at;
        let next = self.source.get(start..)?.chars().next()?;
        match next {
            '\\' if self.style == Style::Double => self.at += escape_len(self.source.get(start..)?),
            '\'' if self.style == Style::Single => self.at += 2,
            _ if next == char => self.at += next.len_utf8(),
            // A folded line break: the next visible character finds the place again.
            _ if char.is_whitespace() => {}
            _ => return None,
        }
        self.at = self.source.floor_char_boundary(self.at.min(self.source.len()));
        Some(start)
    }

    /// In double quotes, a backslash at the end of a line joins it with the next one.
    fn skip_continuation(&mut self) {
        while self.style == Style::Double
            && let Some(rest) = self.source.get(self.at..)
            && let Some(joined) = rest.strip_prefix("\\\n").or_else(|| rest.strip_prefix("\\\r\n"))
        {
            self.at = self.source.len() - joined.trim_start_matches([' ', '\t', '\r', '\n']).len();
        }
    }
}

fn escape_len(rest: &str) -> usize {
    match rest.chars().nth(1) {
        Some('x') => 4,
        // Two escapes of a surrogate pair are one character.
        Some('u') if rest.get(2..4).is_some_and(|hex| ["d8", "d9", "da", "db"].contains(&&*hex.to_lowercase())) => 12,
        Some('u') => 6,
        Some('U') => 10,
        Some(char) => 1 + char.len_utf8(),
        None => 1,
    }
}
