//! Texts that stand escaped in others, whichever way: servers echo a value as their own language escapes it.

/// Returns `text` with `with` in place of each `secret` of which at least one character may be escaped; none where there is none.
pub(super) fn replace(text: &str, secret: &str, with: &str) -> Option<String> {
    let mut chars = secret.chars();
    let (first, rest) = (chars.next()?, chars.as_str());
    let (mut clean, mut copied, mut at) = (String::new(), 0, 0);
    let begins = |c: char| c == first || matches!(c, '%' | '\\' | '&' | '+');
    while let Some(skipped) = text.get(at..).and_then(|rest| rest.find(begins)) {
        at += skipped;
        let here = &text[at..];
        let end = one(here, first).and_then(|length| Some(length + all(&here[length..], rest)?));
        if let Some(length) = end {
            clean.push_str(&text[copied..at]);
            clean.push_str(with);
            at += length;
            copied = at;
        } else {
            at += here.chars().next().map_or(1, char::len_utf8);
        }
    }
    (copied > 0).then(|| clean + &text[copied..])
}

/// Tells whether a text holds what may begin an escape.
pub(super) fn may_escape(text: &str) -> bool {
    text.contains(['%', '\\', '&'])
}

/// Returns how many bytes of `text` stand for `secret`, from its beginning.
fn all(text: &str, secret: &str) -> Option<usize> {
    let mut length = 0;
    for c in secret.chars() {
        length += one(&text[length..], c)?;
    }
    Some(length)
}

/// Returns how many bytes of `text` stand for the character, from its beginning.
fn one(text: &str, c: char) -> Option<usize> {
    let starts = text.chars().next()?;
    let escaped = match starts {
        '%' => percent(text, c),
        '\\' => backslash(text, c),
        '&' => entity(text, c),
        '+' if c == ' ' => Some(1),
        _ => None,
    };
    escaped.or_else(|| (starts == c).then(|| c.len_utf8()))
}

/// `%2F`, of each byte of the character; `%252F` where that was escaped once more.
fn percent(text: &str, c: char) -> Option<usize> {
    let mut length = 0;
    for byte in c.encode_utf8(&mut [0; 4]).bytes() {
        let rest = text[length..].strip_prefix('%')?;
        let more = rest.strip_prefix("25").filter(|more| is_hex(more, u32::from(byte), 2));
        let digits = more.or_else(|| is_hex(rest, u32::from(byte), 2).then_some(rest))?;
        length = text.len() - digits.len() + 2;
    }
    Some(length)
}

/// `\u00e9`, `\/`, `\"`, and the same with the backslash escaped in its turn.
fn backslash(text: &str, c: char) -> Option<usize> {
    let mut length = 0;
    for unit in c.encode_utf16(&mut [0; 2]) {
        let rest = text[length..].strip_prefix('\\')?;
        let rest = rest.strip_prefix('\\').unwrap_or(rest);
        let Some(digits) = rest.strip_prefix('u').filter(|digits| is_hex(digits, u32::from(*unit), 4)) else {
            return rest.starts_with(c).then(|| text.len() - rest.len() + c.len_utf8());
        };
        length = text.len() - digits.len() + 4;
    }
    Some(length)
}

/// `&lt;`, `&#60;`, `&#x3c;`.
fn entity(text: &str, c: char) -> Option<usize> {
    let (name, _) = text.strip_prefix('&')?.split_once(';')?;
    let is_it = match (name, c) {
        ("lt", '<') | ("gt", '>') | ("amp", '&') | ("quot", '"') | ("apos", '\'') => true,
        _ => {
            let number = name.strip_prefix('#')?;
            let value = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => number.parse(),
            };
            value == Ok(u32::from(c))
        }
    };
    is_it.then_some(name.len() + 2)
}

/// Tells whether a text begins with so many hexadecimal digits of a number.
fn is_hex(text: &str, number: u32, digits: usize) -> bool {
    text.get(..digits).is_some_and(|hex| u32::from_str_radix(hex, 16) == Ok(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "ab/cd+ef<gh>&é\"12345-zz😀";

    #[test]
    fn whichever_way_it_is_escaped_it_is_found() {
        for shown in [
            "ab/cd%2Bef%3Cgh%3E%26%C3%A9%2212345-zz%F0%9F%98%80",
            "ab/cd+ef%3cgh%3e&%c3%a9%2212345-zz%f0%9f%98%80",
            "ab%252Fcd%252Bef%253Cgh%253E%2526%25C3%25A9%252212345-zz%25F0%259F%2598%2580",
            r#"ab\/cd+ef<gh>&\u00e9\"12345-zz\ud83d\ude00"#,
            r"ab/cd\u002Bef\u003Cgh\u003E\u0026\u00E9\u002212345-zz\uD83D\uDE00",
            r#"ab\\/cd+ef\\u003cgh\\u003e&é\\"12345-zz😀"#,
            "ab/cd+ef&lt;gh&gt;&amp;é&quot;12345-zz&#128512;",
            "ab&#x2F;cd&#43;ef&lt;gh&gt;&amp;&#xe9;&#34;12345-zz&#x1F600;",
        ] {
            let text = format!("{{\"error\": \"key {shown} is bad, {shown}é\"}}");
            let clean = replace(&text, SECRET, "[x]").unwrap_or(text);
            assert_eq!(clean, "{\"error\": \"key [x] is bad, [x]é\"}", "{shown}");
        }
    }

    #[test]
    fn what_is_no_escape_of_it_stays() {
        for text in ["ab/cd+e", "%", "\\", "&", "é%é&;\\u12", "ab/cd%2Bef%3Cgh%3E%26%C3", ""] {
            assert_eq!(replace(text, SECRET, "[x]"), None, "{text}");
        }
    }
}
