//! Which parts of its input a program reads: a best effort on its syntax.

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Pattern, Term};
use jaq_core::path::Part;

type Keys = Vec<String>;

/// Filters that look at nothing, unless the program defines them anew.
const CONSTANTS: [&str; 3] = ["null", "true", "false"];

/// Returns the plain paths, from the root of the input, that the program reads: `.rsp.records | length` gives `rsp`, `records`.
///
/// A path ends where its next step isn't a fixed key. The empty path stands for the whole input. The arguments of a filter are taken to
/// start where the filter's input stands, which names a few paths too many (`.a | map(.b)` gives `a.b` too), and what a filter returns
/// isn't followed. A text that isn't jq reads nothing.
#[must_use]
pub fn root_paths(text: &str) -> Vec<Keys> {
    let Ok(program) = super::parse(text) else { return Vec::new() };
    let mut walk = Walk { read: Vec::new(), bound: Vec::new(), named: Vec::new() };
    let end = walk.term(&program, Some(&[]));
    walk.note(end.as_deref());
    let mut read = walk.read;
    read.sort();
    read.dedup();
    read
}

/// Tells whether the program reads what lies at `keys`, or below: `.rsp.records | length` reaches into `rsp.records`.
///
/// A program that takes a whole object above `keys` doesn't: it sees the envelope, from which the records are taken out.
#[must_use]
pub fn reaches_into(text: &str, keys: &[String]) -> bool {
    root_paths(text).iter().any(|path| !path.is_empty() && path.starts_with(keys))
}

/// Returns the variables that the program names, without their `$`; those that it binds itself too.
#[must_use]
pub fn variables(text: &str) -> Vec<String> {
    let Ok(program) = super::parse(text) else { return Vec::new() };
    let mut walk = Walk { read: Vec::new(), bound: Vec::new(), named: Vec::new() };
    walk.term(&program, None);
    walk.named.sort_unstable();
    walk.named.dedup();
    walk.named.into_iter().map(|name| name.trim_start_matches('$').to_owned()).collect()
}

struct Walk<'s> {
    read: Vec<Keys>,
    bound: Vec<(&'s str, Keys)>,
    named: Vec<&'s str>,
}

impl<'s> Walk<'s> {
    fn note(&mut self, path: Option<&[String]>) {
        if let Some(path) = path {
            self.read.push(path.to_vec());
        }
    }

    /// Walks a term whose value is used up on the spot.
    fn used(&mut self, term: &Term<&'s str>, at: Option<&[String]>) {
        let end = self.term(term, at);
        self.note(end.as_deref());
    }

    /// Walks a term whose input stands at `at` (`None`: not known), and returns where its output stands.
    #[expect(clippy::too_many_lines, reason = "one arm for each kind of term")]
    fn term(&mut self, term: &Term<&'s str>, at: Option<&[String]>) -> Option<Keys> {
        match term {
            Term::Id => return at.map(<[String]>::to_vec),
            Term::Path(base, parts) => {
                let base = self.term(base, at);
                return self.path(base, &parts.0, at);
            }
            Term::Var(name) => {
                self.named.push(name);
                return self.bound.iter().rev().find(|(bound, _)| bound == name).map(|(_, path)| path.clone());
            }
            Term::BinOp(left, op, right) => return self.operator(left, op, right, at),
            Term::TryCatch(inner, catch) => {
                if let Some(catch) = catch {
                    self.used(catch, None);
                }
                return self.term(inner, at);
            }
            Term::Call("select", arguments) => {
                self.all(arguments, at);
                return at.map(<[String]>::to_vec);
            }
            Term::Call(name, _) if CONSTANTS.contains(name) => {}
            Term::Call(_, arguments) => {
                self.note(at);
                self.all(arguments, at);
            }
            Term::Recurse => self.note(at),
            Term::Neg(inner) | Term::Label(_, inner) => self.used(inner, at),
            Term::Arr(inner) => {
                if let Some(inner) = inner {
                    self.used(inner, at);
                }
            }
            Term::Obj(entries) => {
                for (key, value) in entries {
                    self.entry(key, value.as_ref(), at);
                }
            }
            Term::Str(_, parts) => self.interpolated(parts, at),
            Term::IfThenElse(branches, otherwise) => {
                for (condition, then) in branches {
                    self.used(condition, at);
                    self.used(then, at);
                }
                if let Some(otherwise) = otherwise {
                    self.used(otherwise, at);
                }
            }
            Term::Fold(_, source, _, arguments) => {
                self.used(source, at);
                if let Some((start, turns)) = arguments.split_first() {
                    self.used(start, at);
                    self.all(turns, None);
                }
            }
            Term::Def(defs, inner) => {
                for def in defs {
                    self.used(&def.body, at);
                    if CONSTANTS.contains(&def.name) {
                        self.note(Some(&[]));
                    }
                }
                return self.term(inner, at);
            }
            Term::Num(_) | Term::Break(_) => {}
        }
        None
    }

    fn all(&mut self, terms: &[Term<&'s str>], at: Option<&[String]>) {
        for term in terms {
            self.used(term, at);
        }
    }

    fn interpolated(&mut self, parts: &[StrPart<&'s str, Term<&'s str>>], at: Option<&[String]>) {
        for part in parts {
            if let StrPart::Term(inner) = part {
                self.used(inner, at);
            }
        }
    }

    /// Walks an entry of an object: `{a}` is short for `{a: .a}`.
    fn entry(&mut self, key: &Term<&'s str>, value: Option<&Term<&'s str>>, at: Option<&[String]>) {
        match (value, literal(key), at) {
            (Some(value), ..) => {
                self.used(key, at);
                self.used(value, at);
            }
            (None, Some(key), Some(at)) => self.read.push(at.iter().cloned().chain([key]).collect()),
            (None, ..) => self.used(key, at),
        }
    }

    fn operator(
        &mut self,
        left: &Term<&'s str>,
        op: &BinaryOp<&'s str>,
        right: &Term<&'s str>,
        at: Option<&[String]>,
    ) -> Option<Keys> {
        match op {
            BinaryOp::Pipe(None) => {
                let middle = self.term(left, at);
                self.term(right, middle.as_deref())
            }
            BinaryOp::Pipe(Some(pattern)) => {
                let bound = self.term(left, at);
                let before = self.bound.len();
                match (pattern, bound) {
                    (Pattern::Var(name), Some(path)) => self.bound.push((name, path)),
                    (_, bound) => self.note(bound.as_deref()),
                }
                let end = self.term(right, at);
                self.bound.truncate(before);
                end
            }
            _ => {
                self.used(left, at);
                self.used(right, at);
                None
            }
        }
    }

    /// Follows fixed keys; the first step that isn't one ends the path.
    fn path(
        &mut self,
        base: Option<Keys>,
        parts: &[(Part<Term<&'s str>>, jaq_core::path::Opt)],
        at: Option<&[String]>,
    ) -> Option<Keys> {
        let mut base = base;
        for (part, _) in parts {
            match part {
                Part::Index(index) => {
                    let key = literal(index);
                    if key.is_none() {
                        self.note(base.take().as_deref());
                        self.used(index, at);
                    }
                    if let (Some(path), Some(key)) = (base.as_mut(), key) {
                        path.push(key);
                    }
                }
                Part::Range(from, to) => {
                    self.note(base.take().as_deref());
                    for bound in from.iter().chain(to) {
                        self.used(bound, at);
                    }
                }
            }
        }
        base
    }
}

/// Returns the text of a string that holds no expression.
pub(super) fn literal(term: &Term<&str>) -> Option<String> {
    let Term::Str(None, parts) = term else { return None };
    let mut text = String::new();
    for part in parts {
        match part {
            StrPart::Str(piece) => text.push_str(piece),
            StrPart::Char(one) => text.push(*one),
            StrPart::Term(_) => return None,
        }
    }
    Some(text)
}
