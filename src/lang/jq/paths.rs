//! Which parts of its input a program reads, by its syntax: rather too many than too few.

use std::collections::BTreeSet;

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Def, Pattern, Term};
use jaq_core::path::Part;

use super::terms;

type Keys = Vec<String>;

/// Filters that look at nothing, unless the program defines them anew.
const CONSTANTS: [&str; 3] = ["null", "true", "false"];

/// Returns the plain paths, from the root of the input, that the program reads: `.rsp.records | length` gives `rsp`, `records`.
///
/// A path ends where its next step isn't a fixed key. The empty path stands for the whole input. The arguments of a filter are taken to
/// start where the filter's input stands, and what a filter returns may be, or hold, its input or what its arguments give; that names a few
/// paths too many (`.a | map(.b)` gives `a.b` too). A text that isn't jq reads nothing.
#[must_use]
pub fn root_paths(text: &str) -> Vec<Keys> {
    let Ok(program) = super::parse(text) else { return Vec::new() };
    let mut walk = Walk::new();
    walk.used(&program, &[root()]);
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

/// Tells whether the program is a path, such as `.meta.next` or `$last.id`: what it gives is a part of what it was given.
#[must_use]
pub fn is_path(text: &str) -> bool {
    let Ok(program) = super::parse(text) else { return false };
    let is_given = |term: &Term<&str>| matches!(term, Term::Id | Term::Var(_));
    match &program {
        Term::Path(base, _) => is_given(base),
        term => is_given(term),
    }
}

/// Returns the variables that the program names, without their `$`; those that it binds itself too.
#[must_use]
pub fn variables(text: &str) -> Vec<String> {
    let Ok(program) = super::parse(text) else { return Vec::new() };
    let name = |term: &Term<&str>| match term {
        Term::Var(name) => Some(name.trim_start_matches('$').to_owned()),
        _ => None,
    };
    let names: BTreeSet<String> = terms::within(&program).into_iter().filter_map(name).collect();
    names.into_iter().collect()
}

/// Returns the key of `variable` whose value the program gives, as it is or as another type: `$last.id | tostring` gives `id`.
/// `None` where it gives anything else.
#[must_use]
pub fn key_of(text: &str, variable: &str) -> Option<String> {
    fn key(term: &Term<&str>, variable: &str) -> Option<String> {
        match term {
            Term::Path(base, parts) => match (base.as_ref(), parts.0.as_slice()) {
                (Term::Var(name), [(Part::Index(index), _)]) if name.strip_prefix('$') == Some(variable) => {
                    literal(index)
                }
                _ => None,
            },
            Term::BinOp(left, BinaryOp::Pipe(None), right) => match right.as_ref() {
                Term::Call("tostring" | "tonumber", arguments) if arguments.is_empty() => key(left, variable),
                _ => None,
            },
            _ => None,
        }
    }
    key(&super::parse(text).ok()?, variable)
}

/// Where a value may stand in the input.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    keys: Keys,
    /// Whether it may be wrapped in what the program made: then a key may lead out of the wrapping, not on in the input.
    wrapped: bool,
}

/// The places where a value may stand: of several the one or the other; none where it holds nothing of the input.
type Places = Vec<Place>;

/// The most places that are followed; of a program with more each stands for the whole input.
const MOST_PLACES: usize = 64;

/// How deep calls of the program's own definitions are followed.
const MOST_CALLS: usize = 4;

struct Walk<'s, 't> {
    read: Vec<Keys>,
    bound: Vec<(&'s str, Places)>,
    defined: Vec<(&'s str, &'t Term<&'s str>)>,
    calls: usize,
}

impl<'s, 't> Walk<'s, 't> {
    fn new() -> Self {
        Self { read: Vec::new(), bound: Vec::new(), defined: Vec::new(), calls: 0 }
    }

    fn note(&mut self, places: &[Place]) {
        self.read.extend(places.iter().map(|place| place.keys.clone()));
    }

    /// Walks a term whose value is used up on the spot.
    fn used(&mut self, term: &'t Term<&'s str>, at: &[Place]) -> Places {
        let end = self.term(term, at);
        self.note(&end);
        end
    }

    fn all(&mut self, terms: impl IntoIterator<Item = &'t Term<&'s str>>, at: &[Place]) -> Places {
        terms.into_iter().flat_map(|term| self.used(term, at)).collect()
    }

    /// Walks a term whose input stands at `at`, and returns where its output stands.
    fn term(&mut self, term: &'t Term<&'s str>, at: &[Place]) -> Places {
        let places = match term {
            Term::Id => at.to_vec(),
            Term::Path(base, parts) => {
                let base = self.term(base, at);
                self.path(base, &parts.0, at)
            }
            Term::Var(name) => self
                .bound
                .iter()
                .rev()
                .find(|(bound, _)| bound == name)
                .map(|(_, places)| places.clone())
                .unwrap_or_default(),
            Term::BinOp(left, op, right) => self.operator(left, op, right, at),
            Term::TryCatch(inner, catch) => {
                let caught = self.all(catch.as_deref(), at);
                joined(self.term(inner, at), caught)
            }
            Term::Call(name, arguments) => self.call(name, arguments, at),
            Term::Recurse => {
                self.note(at);
                wrapped(at.to_vec())
            }
            Term::Neg(inner) => {
                self.used(inner, at);
                Places::new()
            }
            Term::Label(_, inner) => self.used(inner, at),
            Term::Arr(inner) => wrapped(self.all(inner.as_deref(), at)),
            Term::Obj(entries) => {
                wrapped(entries.iter().flat_map(|(key, value)| self.entry(key, value.as_ref(), at)).collect())
            }
            Term::Str(_, parts) => wrapped(
                parts
                    .iter()
                    .flat_map(|part| match part {
                        StrPart::Term(inner) => self.used(inner, at),
                        StrPart::Str(_) | StrPart::Char(_) => Places::new(),
                    })
                    .collect(),
            ),
            Term::IfThenElse(branches, otherwise) => self.branches(branches, otherwise.as_deref(), at),
            Term::Fold(_, source, pattern, arguments) => self.fold(source, pattern, arguments, at),
            Term::Def(defs, inner) => self.definitions(defs, inner, at),
            Term::Num(_) | Term::Break(_) => Places::new(),
        };
        bounded(places)
    }

    fn branches(
        &mut self,
        branches: &'t [(Term<&'s str>, Term<&'s str>)],
        otherwise: Option<&'t Term<&'s str>>,
        at: &[Place],
    ) -> Places {
        let mut ends = Places::new();
        for (condition, then) in branches {
            self.used(condition, at);
            ends.extend(self.term(then, at));
        }
        // Without `else` the input comes out.
        ends.extend(otherwise.map_or_else(|| at.to_vec(), |otherwise| self.term(otherwise, at)));
        // What is used of them isn't known to the one who looks at the places alone.
        self.note(&ends);
        ends
    }

    fn fold(
        &mut self,
        source: &'t Term<&'s str>,
        pattern: &'t Pattern<&'s str>,
        arguments: &'t [Term<&'s str>],
        at: &[Place],
    ) -> Places {
        let (items, before) = (self.used(source, at), self.bound.len());
        self.bind(pattern, &wrapped(items.clone()), at);
        let mut state = Places::new();
        if let Some((start, turns)) = arguments.split_first() {
            state = wrapped(self.used(start, at));
            state.extend(wrapped(items));
            state.extend(self.all(turns, &state.clone()));
        }
        self.bound.truncate(before);
        wrapped(state)
    }

    fn definitions(&mut self, defs: &'t [Def<&'s str>], inner: &'t Term<&'s str>, at: &[Place]) -> Places {
        let before = self.defined.len();
        for def in defs {
            self.used(&def.body, at);
            if CONSTANTS.contains(&def.name) {
                self.note(&[root()]);
            }
            self.defined.push((def.name, &def.body));
        }
        let end = self.term(inner, at);
        self.defined.truncate(before);
        end
    }

    /// Walks a call: what comes out may be its input, or what its arguments give, or may hold either.
    fn call(&mut self, name: &&'s str, arguments: &'t [Term<&'s str>], at: &[Place]) -> Places {
        let own = self.defined.iter().rev().find(|(defined, _)| defined == name).map(|(_, body)| *body);
        match (own, *name) {
            (None, "select") => {
                self.all(arguments, at);
                return at.to_vec();
            }
            (None, constant) if CONSTANTS.contains(&constant) => return Places::new(),
            _ => {}
        }
        self.note(at);
        let given = self.all(arguments, at);
        let mut end = wrapped(joined(at.to_vec(), given));
        if let Some(body) = own
            && self.calls < MOST_CALLS
        {
            self.calls += 1;
            let input = end.clone();
            end.extend(self.used(body, &input));
            self.calls -= 1;
        }
        end
    }

    /// Walks an entry of an object: `{a}` is short for `{a: .a}`.
    fn entry(&mut self, key: &'t Term<&'s str>, value: Option<&'t Term<&'s str>>, at: &[Place]) -> Places {
        match (value, literal(key)) {
            (Some(value), _) => {
                self.used(key, at);
                self.used(value, at)
            }
            (None, Some(key)) => {
                let end = stepped(at.to_vec(), &key);
                self.note(&end);
                end
            }
            (None, None) => self.used(key, at),
        }
    }

    fn operator(
        &mut self,
        left: &'t Term<&'s str>,
        op: &'t BinaryOp<&'s str>,
        right: &'t Term<&'s str>,
        at: &[Place],
    ) -> Places {
        match op {
            BinaryOp::Pipe(None) => {
                let middle = self.term(left, at);
                self.term(right, &middle)
            }
            BinaryOp::Pipe(Some(pattern)) => {
                let (bound, before) = (self.term(left, at), self.bound.len());
                self.bind(pattern, &bound, at);
                let end = self.term(right, at);
                self.bound.truncate(before);
                end
            }
            BinaryOp::Comma | BinaryOp::Alt => joined(self.used(left, at), self.used(right, at)),
            BinaryOp::Math(_) => wrapped(joined(self.used(left, at), self.used(right, at))),
            BinaryOp::Or | BinaryOp::And | BinaryOp::Cmp(_) => {
                self.used(left, at);
                self.used(right, at);
                Places::new()
            }
            // The whole input comes out, with something changed.
            BinaryOp::Assign | BinaryOp::Update | BinaryOp::UpdateMath(_) | BinaryOp::UpdateAlt => {
                self.note(at);
                let changed = self.used(left, at);
                let given = joined(self.used(right, at), self.used(right, &changed));
                joined(at.to_vec(), wrapped(given))
            }
        }
    }

    fn bind(&mut self, pattern: &'t Pattern<&'s str>, places: &[Place], at: &[Place]) {
        match pattern {
            Pattern::Var(name) => self.bound.push((name, places.to_vec())),
            Pattern::Arr(parts) => {
                self.note(places);
                for part in parts {
                    self.bind(part, &wrapped(places.to_vec()), at);
                }
            }
            Pattern::Obj(parts) => {
                self.note(places);
                for (key, part) in parts {
                    self.used(key, at);
                    self.bind(part, &wrapped(places.to_vec()), at);
                }
            }
        }
    }

    /// Notes what a step starts from that isn't a fixed key: what comes out lies below that, but for what the program has wrapped.
    fn used_up(&mut self, base: &mut Places) {
        self.note(base);
        base.retain(|place| place.wrapped);
    }

    /// Follows fixed keys.
    fn path(&mut self, base: Places, parts: &'t [(Part<Term<&'s str>>, jaq_core::path::Opt)], at: &[Place]) -> Places {
        let mut base = base;
        for (part, _) in parts {
            match part {
                Part::Index(index) => {
                    if let Some(key) = literal(index) {
                        base = stepped(base, &key);
                    } else {
                        self.used_up(&mut base);
                        self.used(index, at);
                    }
                }
                Part::Range(from, to) => {
                    self.used_up(&mut base);
                    self.all(from.iter().chain(to), at);
                }
            }
        }
        base
    }
}

fn root() -> Place {
    Place { keys: Keys::new(), wrapped: false }
}

fn joined(mut one: Places, other: Places) -> Places {
    one.extend(other);
    one
}

fn wrapped(places: Places) -> Places {
    places.into_iter().map(|place| Place { wrapped: true, ..place }).collect()
}

/// Goes one key further from each place; out of a wrapping it may not have gone at all.
fn stepped(places: Places, key: &str) -> Places {
    let step = |place: Place| {
        let on = Place { keys: place.keys.iter().cloned().chain([key.to_owned()]).collect(), wrapped: place.wrapped };
        let stays = place.wrapped.then_some(place);
        stays.into_iter().chain([on])
    };
    bounded(places.into_iter().flat_map(step).collect())
}

fn bounded(mut places: Places) -> Places {
    places.sort_unstable();
    places.dedup();
    if places.len() > MOST_PLACES { vec![Place { wrapped: true, ..root() }] } else { places }
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
