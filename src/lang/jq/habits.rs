//! What to say to those who write jq by the habits of another language.

/// Returns what is wrong with a whole program that is none of jq.
pub(super) fn of_program(text: &str) -> Option<&'static str> {
    let text = text.trim_start();
    if text.starts_with("$.") || text.starts_with("$[") {
        Some("a path begins with a dot, such as `.data[]`; `$.data[*]` is JSONPath")
    } else if text.contains("{{") && text.contains("}}") {
        Some("`{{ }}` is a template, for what goes into a request; this is jq, such as `.meta.total`")
    } else {
        None
    }
}

/// Returns what to write instead of what stands at the place of a mistake, with the text before it.
pub(super) fn of_symbol(before: &str, rest: &str) -> Option<&'static str> {
    const INSTEAD: [(&str, &str); 7] = [
        ("===", "equal is `==`"),
        ("&&", "it is `and` in jq"),
        ("||", "it is `or` in jq"),
        ("!=", "unequal is `.a != .b`, with something before it"),
        ("!", "the opposite is `.x | not`"),
        ("'", "a text stands in double quotes"),
        ("@", "a key with an `@` stands in quotes: `.\"@odata.nextLink\"`"),
    ];
    let found = INSTEAD.iter().find(|(symbol, _)| rest.starts_with(symbol)).map(|(_, instead)| *instead);
    found.filter(|_| !rest.starts_with('@') || before.trim_end().ends_with('.'))
}

/// Returns what is meant by a name that is no filter, and that stands between `before` and `after`.
pub(super) fn of_name(before: &str, name: &str, after: &str) -> Option<String> {
    let meant = match name {
        "None" | "nil" | "NULL" | "Null" | "undefined" => "null",
        "True" | "TRUE" => "true",
        "False" | "FALSE" => "false",
        _ => "",
    };
    if !meant.is_empty() {
        return Some(format!("did you mean `{meant}`?"));
    }
    let key = before.strip_suffix('-').filter(|key| key.ends_with(|c: char| c.is_alphanumeric() || c == '_'))?;
    let part = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    let start = key.rfind(|c: char| !part(c)).map_or(0, |at| at + 1);
    let end = after.find(|c: char| !part(c)).unwrap_or(after.len());
    let (key, after) = (key.get(start..).unwrap_or_default(), after.get(..end).unwrap_or_default());
    Some(format!("a key with a dash stands in quotes: `[\"{key}-{name}{after}\"]`"))
}

#[cfg(test)]
mod tests {
    use super::super::Jq;

    fn mistake(text: &str) -> String {
        Jq::compile(text, &["headers"]).unwrap_err().message
    }

    #[test]
    fn the_habits_of_other_languages_are_put_right() {
        let said: Vec<String> = [
            "$.data[*]",
            "{{ meta.total }}",
            "!.last",
            ".a && .b",
            ".a || .b",
            ".status == 'more'",
            ".@odata.nextLink",
            ".next != None",
            "$headers.x-total-count",
        ]
        .iter()
        .map(|text| format!("{text}\n    {}", mistake(text)))
        .collect();
        insta::assert_snapshot!(said.join("\n"), @r#"
        $.data[*]
            a path begins with a dot, such as `.data[]`; `$.data[*]` is JSONPath
        {{ meta.total }}
            `{{ }}` is a template, for what goes into a request; this is jq, such as `.meta.total`
        !.last
            expected term, found `!`; the opposite is `.x | not`
        .a && .b
            expected token, found `&&`; it is `and` in jq
        .a || .b
            expected the end, found `||`; it is `or` in jq
        .status == 'more'
            expected token, found `'more'`; a text stands in double quotes
        .@odata.nextLink
            expected the end, found `@odata`; a key with an `@` stands in quotes: `."@odata.nextLink"`
        .next != None
            there is no filter `None`; did you mean `null`?
        $headers.x-total-count
            there is no filter `total`; a key with a dash stands in quotes: `["x-total-count"]`
        "#);
    }

    #[test]
    fn what_is_right_is_left_alone() {
        for text in
            [".a - .b", "@base64", ". | @uri", ".a != 1", "1-1", "{a: {b: 1}}", "[.[] | select(.x == \"a - b\")]"]
        {
            assert!(Jq::compile(text, &[]).is_ok(), "{text}");
        }
    }
}
