//! Text that comes from others, as people may see it.

/// Tells whether a character of a text that isn't ours stays within its place on a page and on a terminal: no control character, and none
/// that turns the direction of what follows or breaks its line. Source: Unicode, UAX 9, 2.1 to 2.7, and the separators of UAX 14.
#[must_use]
pub fn stays_in_place(c: char) -> bool {
    let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let breaks = matches!(c, '\u{2028}' | '\u{2029}');
    !turns && !breaks && !c.is_control()
}

/// Returns a text with each character that doesn't stay in place escaped, such as `\u{202e}`.
#[must_use]
pub fn held_in_place(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if stays_in_place(c) { shown.push(c) } else { shown.extend(c.escape_default()) }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_turn_or_break_a_line_is_escaped_and_letters_of_any_script_stay() {
        assert_eq!(
            held_in_place("a\u{202e}txt.exe\u{202c}\u{2066}\u{200f}"),
            "a\\u{202e}txt.exe\\u{202c}\\u{2066}\\u{200f}"
        );
        assert_eq!(held_in_place("a\r\n\u{1b}[31m\u{2028}"), "a\\r\\n\\u{1b}[31m\\u{2028}");
        let letters = "é שלום مرحبا 東京 👩\u{200d}🔬 \"'<";
        assert_eq!(held_in_place(letters), letters);
    }
}
