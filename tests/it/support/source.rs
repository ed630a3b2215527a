//! Reads Rust source just well enough to see what it uses: words, signs and texts. Comments are left out.

use std::ops::Range;

/// A piece of source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    /// Its line, from 1.
    pub(crate) line: usize,
    /// What it is.
    pub(crate) kind: Kind,
    /// Its text; a literal's without quotes.
    pub(crate) text: String,
}

/// What a piece of source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A name, a keyword or a number.
    Word,
    /// One sign, or `::`.
    Sign,
    /// The text of a string literal.
    Literal,
}

impl Token {
    /// Tells whether this is the word or sign `text`.
    pub(crate) fn is(&self, text: &str) -> bool {
        self.kind != Kind::Literal && self.text == text
    }
}

/// A module that is compiled for tests only and stands in a file of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TestModule {
    /// Its name.
    pub(crate) name: String,
    /// What `#[path = "..."]` says, where it is there.
    pub(crate) path: Option<String>,
}

/// Splits source into tokens.
pub(crate) fn tokens(source: &str) -> Vec<Token> {
    let mut lexer = Lexer { chars: source.chars().collect(), at: 0, line: 1, found: Vec::new() };
    while lexer.at < lexer.chars.len() {
        lexer.step();
    }
    lexer.found
}

struct Lexer {
    chars: Vec<char>,
    at: usize,
    line: usize,
    found: Vec<Token>,
}

impl Lexer {
    fn step(&mut self) {
        match (self.peek(0), self.peek(1)) {
            ('/', '/') => self.skip_while(|c| c != '\n'),
            ('/', '*') => self.block_comment(),
            ('"', _) => self.quoted(),
            ('\'', _) => self.char_or_lifetime(),
            (':', ':') => self.sign("::"),
            (c, _) if c.is_whitespace() => self.advance(1),
            (c, _) if is_word(c) => self.word(),
            (c, _) => self.sign(&c.to_string()),
        }
    }

    fn peek(&self, ahead: usize) -> char {
        self.chars.get(self.at + ahead).copied().unwrap_or('\0')
    }

    fn advance(&mut self, count: usize) {
        let end = (self.at + count).min(self.chars.len());
        self.line += self.chars[self.at..end].iter().filter(|c| **c == '\n').count();
        self.at = end;
    }

    fn skip_while(&mut self, keep: impl Fn(char) -> bool) {
        while self.at < self.chars.len() && keep(self.peek(0)) {
            self.advance(1);
        }
    }

    fn push(&mut self, kind: Kind, text: String) {
        self.found.push(Token { line: self.line, kind, text });
    }

    fn sign(&mut self, text: &str) {
        self.push(Kind::Sign, text.to_owned());
        self.advance(text.chars().count());
    }

    fn word(&mut self) {
        let start = self.at;
        self.skip_while(is_word);
        let text: String = self.chars[start..self.at].iter().collect();
        let hashes = self.chars[self.at..].iter().take_while(|c| **c == '#').count();
        match text.as_str() {
            "r" | "br" | "cr" if self.peek(hashes) == '"' => self.raw(hashes),
            "b" | "c" if self.peek(0) == '"' => self.quoted(),
            // A raw name, such as `r#type`.
            "r" if hashes == 1 => self.advance(1),
            _ => self.push(Kind::Word, text),
        }
    }

    fn quoted(&mut self) {
        let start = self.at + 1;
        self.advance(1);
        while self.at < self.chars.len() && self.peek(0) != '"' {
            self.advance(if self.peek(0) == '\\' { 2 } else { 1 });
        }
        self.literal(start..self.at);
        self.advance(1);
    }

    fn raw(&mut self, hashes: usize) {
        let start = self.at + hashes + 1;
        self.advance(hashes + 1);
        let closes = |lexer: &Self| lexer.peek(0) == '"' && (1..=hashes).all(|ahead| lexer.peek(ahead) == '#');
        while self.at < self.chars.len() && !closes(self) {
            self.advance(1);
        }
        self.literal(start..self.at);
        self.advance(hashes + 1);
    }

    fn literal(&mut self, range: Range<usize>) {
        let text: String = self.chars[range.start.min(range.end)..range.end].iter().collect();
        self.push(Kind::Literal, text);
    }

    fn char_or_lifetime(&mut self) {
        if self.peek(1) == '\\' {
            self.advance(3);
            self.skip_while(|c| c != '\'');
            self.advance(1);
        } else if self.peek(2) == '\'' {
            self.advance(3);
        } else {
            self.advance(1);
            self.skip_while(is_word);
        }
    }

    fn block_comment(&mut self) {
        let mut depth = 0;
        loop {
            match (self.peek(0), self.peek(1)) {
                ('/', '*') => (depth += 1, self.advance(2)),
                ('*', '/') => (depth -= 1, self.advance(2)),
                _ => ((), self.advance(1)),
            };
            if depth == 0 || self.at >= self.chars.len() {
                return;
            }
        }
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Takes out what is compiled for tests only; also returns the test modules that stand in files of their own.
pub(crate) fn without_tests(tokens: &[Token]) -> (Vec<Token>, Vec<TestModule>) {
    let (mut kept, mut modules) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at < tokens.len() {
        let inner = tokens[at].is("#") && is_at(tokens, at + 1, "!");
        let attribute = attribute(tokens, at + usize::from(inner), at);
        match attribute {
            Some(range) if is_for_tests(&tokens[range.clone()]) && inner => return (kept, modules),
            Some(range) if is_for_tests(&tokens[range.clone()]) => {
                let end = item_end(tokens, range.end);
                modules.extend(module_of(&tokens[range.end..end]));
                at = end;
            }
            Some(range) => {
                kept.extend_from_slice(&tokens[range.clone()]);
                at = range.end;
            }
            None => {
                kept.push(tokens[at].clone());
                at += 1;
            }
        }
    }
    (kept, modules)
}

fn is_at(tokens: &[Token], at: usize, text: &str) -> bool {
    tokens.get(at).is_some_and(|token| token.is(text))
}

/// Returns where the attribute that begins at `start` ends; its `#` (and `!`) come right before the bracket after `hash`.
fn attribute(tokens: &[Token], hash: usize, start: usize) -> Option<Range<usize>> {
    (tokens[start].is("#") && is_at(tokens, hash + 1, "[")).then(|| start..closing(tokens, hash + 1))
}

/// Returns the place after the bracket that closes the one at `open`.
fn closing(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        if ["(", "[", "{"].iter().any(|sign| token.is(sign)) {
            depth += 1;
        } else if [")", "]", "}"].iter().any(|sign| token.is(sign)) {
            depth -= 1;
            if depth == 0 {
                return at + 1;
            }
        }
    }
    tokens.len()
}

fn is_for_tests(attribute: &[Token]) -> bool {
    let has = |word| attribute.iter().any(|token| token.is(word));
    has("cfg") && has("test") && !has("not") && !has("cfg_attr")
}

/// Returns the place after the item (or field) that begins at `at`, its other attributes included.
fn item_end(tokens: &[Token], mut at: usize) -> usize {
    while let Some(range) = tokens.get(at).and_then(|_| attribute(tokens, at, at)) {
        at = range.end;
    }
    let mut angles = 0_i32;
    while let Some(token) = tokens.get(at) {
        match token.text.as_str() {
            "{" if token.kind == Kind::Sign => return closing(tokens, at),
            "(" | "[" if token.kind == Kind::Sign => at = closing(tokens, at) - 1,
            ";" if token.kind == Kind::Sign => return at + 1,
            "," if token.kind == Kind::Sign && angles == 0 => return at + 1,
            "}" | ")" if token.kind == Kind::Sign => return at,
            "<" => angles += 1,
            ">" if !tokens[at - 1].is("-") && !tokens[at - 1].is("=") => angles -= 1,
            _ => {}
        }
        at += 1;
    }
    tokens.len()
}

fn module_of(item: &[Token]) -> Option<TestModule> {
    let at = item.iter().position(|token| token.is("mod"))?;
    let name = item.get(at + 1)?;
    let path = item[..at].iter().zip(item.iter().skip(2)).find(|(word, _)| word.is("path"));
    is_at(item, at + 2, ";")
        .then(|| TestModule { name: name.text.clone(), path: path.map(|(_, literal)| literal.text.clone()) })
}

/// A name right below the root of the crate that source uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Use {
    /// The line.
    pub(crate) line: usize,
    /// The name: a module, where the rules are kept.
    pub(crate) name: String,
}

/// Returns what `tokens` use of the crate: by `crate::`, also in groups, in expressions and in the texts of attributes, by any other
/// of the names `roots`, and by as many `super::` as lead up to the root from a file `depth` modules below it.
pub(crate) fn uses(tokens: &[Token], roots: &[&str], depth: usize) -> Vec<Use> {
    let mut found = Vec::new();
    let mut braces = 0_usize;
    let mut inline_modules = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let starts_path = at == 0 || !is_at(tokens, at - 1, "::");
        if token.is("{") {
            if at >= 2 && tokens[at - 2].is("mod") {
                inline_modules.push(braces);
            }
            braces += 1;
        } else if token.is("}") {
            braces = braces.saturating_sub(1);
            inline_modules.pop_if(|opened| *opened == braces);
        } else if token.kind == Kind::Literal && token.text.starts_with("crate::") {
            let inside = uses(&self::tokens(&token.text), roots, depth);
            found.extend(inside.into_iter().map(|used| Use { line: token.line, ..used }));
        } else if starts_path && is_at(tokens, at + 1, "::") {
            let below = depth + inline_modules.len();
            if token.kind == Kind::Word && roots.contains(&token.text.as_str()) {
                tree(tokens, at + 2, 0, &mut found);
            } else if token.is("super") && below > 0 {
                tree(tokens, at + 2, below - 1, &mut found);
            }
        }
    }
    found
}

/// Follows the path at `at`, which is `below` modules below the root.
fn tree(tokens: &[Token], at: usize, below: usize, found: &mut Vec<Use>) {
    let Some(token) = tokens.get(at) else { return };
    if token.is("{") {
        let end = closing(tokens, at) - 1;
        let mut entry = at + 1;
        while entry < end {
            tree(tokens, entry, below, found);
            while entry < end && !tokens[entry].is(",") {
                entry = if tokens[entry].is("{") { closing(tokens, entry) } else { entry + 1 };
            }
            entry += 1;
        }
    } else if token.is("self") && is_at(tokens, at + 1, "::") {
        tree(tokens, at + 2, below, found);
    } else if below == 0 {
        found.push(Use { line: token.line, name: token.text.clone() });
    } else if token.is("super") && is_at(tokens, at + 1, "::") {
        tree(tokens, at + 2, below - 1, found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &str, depth: usize, expected: &[(usize, &str)]) {
        let (kept, _) = without_tests(&tokens(source));
        let found = uses(&kept, &["crate"], depth);
        let found: Vec<_> = found.iter().map(|used| (used.line, used.name.as_str())).collect();
        assert_eq!(found, expected, "{source}");
    }

    #[test]
    fn every_way_to_name_a_module_is_seen() {
        check("use crate::model::Slice;", 1, &[(1, "model")]);
        check(
            "use crate::{\n    model::{Slice, Window},\n    plan::{self},\n    secret,\n};",
            1,
            &[(2, "model"), (3, "plan"), (4, "secret")],
        );
        check("fn f() -> crate::run::Report { crate::sink::open() }", 1, &[(1, "run"), (1, "sink")]);
        check("pub(crate) fn f(x: &'static crate::sink::S<'_>) {}", 1, &[(1, "sink")]);
        check("#[serde(with = \"crate::decode::time\")] x: u8", 1, &[(1, "decode")]);
        check("macro_rules! m { () => { $crate::lang::f!() } }", 1, &[(1, "lang")]);
        check("use crate::*; use crate as c; use crate::{self as d};", 1, &[(1, "*"), (1, "self")]);
    }

    #[test]
    fn super_counts_where_it_leads_to_the_root() {
        check("use super::model::Slice;", 1, &[(1, "model")]);
        check("use super::model::Slice;", 2, &[]);
        check("use super::super::model::Slice;", 2, &[(1, "model")]);
        check("use super::{Grid, super::model};", 2, &[(1, "model")]);
        check("mod inner { use super::own; use super::super::sink; } use super::run;", 1, &[(1, "sink"), (1, "run")]);
    }

    #[test]
    fn comments_texts_and_tests_are_not_uses() {
        check("// use crate::run;\n/* crate::run /* crate::run */ crate::run */\n//! [`crate::run`]", 1, &[]);
        check(
            r##"const A: &str = "see crate::run"; const B: &str = r#"a " crate::run"#; const C: char = '"'; use crate::plan;"##,
            1,
            &[(1, "plan")],
        );
        check("#[cfg(test)]\nmod tests { use crate::run; }\nuse crate::plan;", 1, &[(3, "plan")]);
        check(
            "#[cfg(all(test, unix))] #[allow(x)] fn f<A, B>() -> [u8; 2] { crate::run::f() } use crate::plan;",
            1,
            &[(1, "plan")],
        );
        check("struct S { #[cfg(test)] a: M<crate::run::A, B>, b: crate::plan::P }", 1, &[(1, "plan")]);
        check("#[cfg(not(test))] use crate::run;", 1, &[(1, "run")]);
        check("#![cfg(test)]\nuse crate::run;", 1, &[]);
    }

    #[test]
    fn quotes_that_are_not_texts_hide_nothing() {
        check(
            "fn f<'a>(x: &'a u8) { let c = '\\''; let d = b'\\\\'; let e = b\"\\\"\"; let r#type = br\"\\\"; crate::plan::f() }",
            1,
            &[(1, "plan")],
        );
    }

    #[test]
    fn test_modules_in_files_are_found() {
        let (_, modules) = without_tests(&tokens(
            "#[cfg(test)] mod tests; #[cfg(test)] #[path = \"disk_tests.rs\"] mod more; mod kept; #[cfg(test)] mod inline {}",
        ));
        let expected = [("tests", None), ("more", Some("disk_tests.rs"))];
        let modules: Vec<_> = modules.iter().map(|module| (module.name.as_str(), module.path.as_deref())).collect();
        assert_eq!(modules, expected);
    }
}
