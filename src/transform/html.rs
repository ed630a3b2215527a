//! `html_text`: what a person would read of a piece of HTML.

use std::sync::Arc;

use arrow::array::{AsArray, StringArray};
use arrow::datatypes::DataType;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};
use html2text::config;
use html2text::render::TrivialDecorator;

use super::addresses::as_scalar_or_array;

/// The longest text that is taken for HTML, in bytes. What nests costs more than it is long.
const MOST_BYTES: usize = 1 << 20;

/// The deepest nesting of elements, by the tags that open and aren't closed.
const MOST_OPEN: usize = 256;

/// The width of the page, in characters: no paragraph of a record is as long, so that none is wrapped.
const WIDTH: usize = 1_000_000;

/// `html_text(text)`: the text of HTML, paragraphs, items and rows of tables as lines of their own. Links leave their words, pictures
/// their `alt`; scripts and styles leave nothing. What isn't HTML stays as it is, but for white space, of which one blank is left.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct HtmlText {
    signature: Signature,
}

impl HtmlText {
    pub(super) fn new() -> Self {
        Self { signature: Signature::exact(vec![DataType::Utf8], Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for HtmlText {
    fn name(&self) -> &'static str {
        "html_text"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let texts = arrays.first().ok_or_else(|| DataFusionError::Execution("html_text takes a text".to_owned()))?;
        let read = |html: Option<&str>| html.map(text_of).transpose();
        let texts = texts.as_string::<i32>().iter().map(read).collect::<Result<StringArray>>()?;
        as_scalar_or_array(&args, Arc::new(texts))
    }
}

fn text_of(html: &str) -> Result<String> {
    let refused = |why: String| DataFusionError::Execution(format!("html_text: {why}"));
    if html.len() > MOST_BYTES {
        let why = format!("a text has {} bytes, and may have {MOST_BYTES}; cut it with left()", html.len());
        return Err(refused(why));
    }
    if depth(html) > MOST_OPEN {
        return Err(refused(format!("elements are nested more than {MOST_OPEN} deep")));
    }
    let page = config::with_decorator(TrivialDecorator::new())
        .raw_mode(true)
        .no_table_borders()
        .no_link_wrapping()
        .allow_width_overflow();
    let text =
        page.string_from_read(without_rules(html).as_bytes(), WIDTH).map_err(|error| refused(error.to_string()))?;
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    Ok(lines.join("\n").trim().to_owned())
}

/// Makes line breaks of rules: a rule would be as long as the page is wide, or nothing at all between two words.
fn without_rules(html: &str) -> String {
    let mut parts = html.split('<');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push('<');
        let name = part.split(|end: char| !end.is_ascii_alphanumeric()).next().unwrap_or_default();
        let is_rule = name.eq_ignore_ascii_case("hr");
        out.push_str(if is_rule { "br" } else { name });
        out.push_str(&part[name.len()..]);
    }
    out
}

/// Returns how deep elements are nested at most: never less than a browser would find, and more where tags are left open.
fn depth(html: &str) -> usize {
    let (mut open, mut deepest) = (0_usize, 0);
    for (at, _) in html.match_indices('<') {
        let rest = html.as_bytes().get(at + 1).copied().unwrap_or_default();
        match rest {
            b'/' => open = open.saturating_sub(1),
            letter if letter.is_ascii_alphabetic() && !is_void(&html[at + 1..]) => open += 1,
            _ => {}
        }
        deepest = deepest.max(open);
    }
    deepest
}

/// Tells whether an element has no content, or is commonly left open by those that end with the next of its kind.
fn is_void(tag: &str) -> bool {
    const VOID: [&str; 14] =
        ["br", "hr", "img", "input", "meta", "link", "wbr", "col", "p", "li", "td", "tr", "option", "area"];
    let name = tag.split(|end: char| !end.is_ascii_alphanumeric()).next().unwrap_or_default();
    VOID.iter().any(|void| name.eq_ignore_ascii_case(void))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_person_would_read_is_left() {
        for (html, expected) in [
            ("<b>3</b> hosts on <a href='/lua/x?a=1'>eth0</a>", "3 hosts on eth0"),
            ("plain text", "plain text"),
            ("a &amp; b &lt;c&gt; &eacute; &#x1F600;", "a & b <c> é 😀"),
            ("<p>one</p><p>two<br>three</p>", "one\n\ntwo\nthree"),
            ("<style>p {}</style><script>alert(1)</script>x", "x"),
            ("a<hr>b", "a\nb"),
            ("<img src='x.png' alt='a picture'>", "a picture"),
            ("", ""),
            ("<b>open", "open"),
            ("5 < 6 > 4", "5 < 6 > 4"),
        ] {
            assert_eq!(text_of(html).unwrap(), expected, "{html}");
        }
        let table = text_of("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td><td>d</td></tr></table>").unwrap();
        let words: Vec<&str> = table.split_whitespace().collect();
        assert_eq!(words, ["a", "b", "c", "d"]);
        let long = "word ".repeat(5000);
        assert_eq!(text_of(&format!("<p>{long}</p>")).unwrap(), long.trim(), "a paragraph is one line");
    }

    #[test]
    fn what_would_take_too_long_is_refused() {
        let error = text_of(&"x".repeat(MOST_BYTES + 1)).unwrap_err().to_string();
        assert!(error.contains("html_text: a text has 1048577 bytes, and may have 1048576"), "{error}");
        let error = text_of(&"<div>".repeat(MOST_OPEN + 1)).unwrap_err().to_string();
        assert!(error.contains("nested more than 256 deep"), "{error}");
        assert!(text_of(&"<div>".repeat(MOST_OPEN)).is_ok());
        assert!(text_of(&"<p>x</p>".repeat(10_000)).is_ok());
        assert!(text_of(&"<p><li><td>".repeat(2_000)).is_ok());
    }
}
