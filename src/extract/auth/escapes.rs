//! Texts that stand escaped in others, whichever way: servers echo a value as their own language escapes it.

/// How many backslashes may stand for one: none is escaped, or it is in JSON, or in JSON within JSON.
const OF_ONE: [usize; 3] = [1, 2, 4];

/// Returns `text` with `with` in place of each `secret` of which at least one character may be escaped; none where there is none.
pub(super) fn replace(text: &str, secret: &str, with: &str) -> Option<String> {
    let first = secret.chars().next()?;
    let (mut clean, mut copied, mut at) = (String::new(), 0, 0);
    let begins = |c: char| c == first || matches!(c, '%' | '\\' | '&' | '+');
    while let Some(skipped) = text.get(at..).and_then(|rest| rest.find(begins)) {
        at += skipped;
        let here = &text[at..];
        if let Some(length) = all(here, secret) {
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

/// Returns how many bytes of `text` stand for `secret`, from its beginning: the most that may. Where backslashes follow each other,
/// how many of them belong to one character shows only with the next.
fn all(text: &str, secret: &str) -> Option<usize> {
    let mut chars = secret.chars();
    let mut ends = one(text, chars.next()?);
    for c in chars {
        if ends.is_empty() {
            return None;
        }
        let mut next: Vec<usize> =
            ends.iter().flat_map(|end| one(&text[*end..], c).into_iter().map(move |length| end + length)).collect();
        next.sort_unstable();
        next.dedup();
        ends = next;
    }
    ends.into_iter().max()
}

/// Returns how many bytes of `text` may stand for the character, from its beginning.
fn one(text: &str, c: char) -> Vec<usize> {
    let mut lengths = match text.chars().next() {
        Some('%') => percent(text, c).into_iter().collect(),
        Some('\\') => backslash(text, c),
        Some('&') => entity(text, c).into_iter().collect(),
        Some('+') if c == ' ' => vec![1],
        _ => Vec::new(),
    };
    if text.starts_with(c) && !lengths.contains(&c.len_utf8()) {
        lengths.push(c.len_utf8());
    }
    lengths
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

/// `\u00e9`, `\/`, `\"`, `\n`, and the same with the backslash escaped in its turn; of a backslash, each number of them that
/// may stand for it.
fn backslash(text: &str, c: char) -> Vec<usize> {
    let run = slashes(text);
    if c == '\\' {
        return OF_ONE.into_iter().filter(|count| *count <= run).chain(escaped_units(text, c)).collect();
    }
    let short = match c {
        '\n' => 'n',
        '\r' => 'r',
        '\t' => 't',
        '\u{8}' => 'b',
        '\u{c}' => 'f',
        other => other,
    };
    let short = text[run..].starts_with(short).then(|| run + short.len_utf8());
    escaped_units(text, c).or(short).into_iter().collect()
}

/// `\ud83d\ude00`: each unit of the character in UTF-16.
fn escaped_units(text: &str, c: char) -> Option<usize> {
    let mut length = 0;
    for unit in c.encode_utf16(&mut [0; 2]) {
        let rest = &text[length..];
        let run = slashes(rest);
        let digits = rest[run..].strip_prefix('u').filter(|digits| run > 0 && is_hex(digits, u32::from(*unit), 4))?;
        length = text.len() - digits.len() + 4;
    }
    Some(length)
}

/// Returns how many backslashes a text begins with.
fn slashes(text: &str) -> usize {
    text.bytes().take(OF_ONE[2]).take_while(|byte| *byte == b'\\').count()
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
    fn a_backslash_before_an_escaped_character_is_found() {
        for (secret, shown) in [
            (r"pass\üwort9", r"pass\\\u00fcwort9"),
            (r"pass\üwort9", r"pass\\üwort9"),
            (r"pass\üwort9", r"pass\\\\\\u00fcwort9"),
            (r"pass\üwort9", r"pass\u005c\u00fcwort9"),
            (r"pass\üwort9", r"pass\üwort9"),
            (r"abc\<def12345", r"abc\\\u003cdef12345"),
            (r"a\\\b\\c<1", r"a\\\\\\b\\\\c\u003c1"),
            ("tab\tand<line\n", r"tab\tand\u003cline\n"),
            (r"\ends<with\", r"\\ends\u003cwith\\"),
        ] {
            let text = format!("{{\"error\":\"no such key: {shown}\"}}");
            let clean = replace(&text, secret, "[x]").unwrap_or_else(|| panic!("{shown} isn't found"));
            assert_eq!(clean, "{\"error\":\"no such key: [x]\"}", "{shown}");
        }
    }

    #[test]
    fn many_backslashes_take_no_time_to_speak_of() {
        let (text, secret) = (r"\".repeat(16_000), format!("{}<", r"\".repeat(6)));
        assert_eq!(replace(&text, &secret, "[x]"), None);
    }

    #[test]
    fn what_is_no_escape_of_it_stays() {
        for text in ["ab/cd+e", "%", "\\", "&", "é%é&;\\u12", "ab/cd%2Bef%3Cgh%3E%26%C3", ""] {
            assert_eq!(replace(text, SECRET, "[x]"), None, "{text}");
        }
    }
}
