//! Programs that take a list apart, `.a.b[] | rest`: `rest` can be run on one item after the other.
//!
//! The list of a large page as one tree of values is slow to build, and slower to free.

use jaq_core::load::parse::{BinaryOp, Term};
use jaq_core::path::{Opt, Part};
use serde_json::Value;

use super::paths::literal;

/// The keys from the root of the input to a list.
pub(super) struct Along(Vec<Key>);

enum Key {
    Name(String),
    /// What the variable of this number holds.
    Variable(usize),
}

impl Along {
    /// Returns the keys; none where a variable isn't a text.
    pub(super) fn keys(&self, values: &[Value]) -> Option<Vec<String>> {
        let key = |key: &Key| match key {
            Key::Name(name) => Some(name.clone()),
            Key::Variable(at) => values.get(*at)?.as_str().map(str::to_owned),
        };
        self.0.iter().map(key).collect()
    }

    /// Tells whether a path surely leads neither into the list nor to something that holds it.
    pub(super) fn is_apart_from(&self, path: &[String]) -> bool {
        self.0.iter().zip(path).any(|(key, step)| matches!(key, Key::Name(name) if name != step))
    }
}

/// Splits `.a[$b][] | rest` into the way to the list and `rest`, which is `.` where there is none.
pub(super) fn split<'s>(program: Term<&'s str>, variables: &[&str]) -> Option<(Along, Term<&'s str>)> {
    let (path, rest) = match program {
        Term::BinOp(path, BinaryOp::Pipe(None), rest) => (*path, *rest),
        path => (path, Term::Id),
    };
    let (end, way) = steps(&path)?.split_last()?;
    matches!(end, (Part::Range(None, None), Opt::Essential)).then_some(())?;
    Some((along(way, variables)?, rest))
}

/// Returns the way to the list of which `.a[$b] | length` is the length.
pub(super) fn counted(program: &Term<&str>, variables: &[&str]) -> Option<Along> {
    match program {
        Term::BinOp(path, BinaryOp::Pipe(None), rest) => match rest.as_ref() {
            Term::Call("length", arguments) if arguments.is_empty() => along(steps(path)?, variables),
            _ => None,
        },
        _ => None,
    }
}

type Step<'s> = (Part<Term<&'s str>>, Opt);

/// Returns the steps of a path that begins at the root.
fn steps<'t, 's>(term: &'t Term<&'s str>) -> Option<&'t [Step<'s>]> {
    match term {
        Term::Path(base, path) if matches!(**base, Term::Id) => Some(&path.0),
        _ => None,
    }
}

fn along(steps: &[Step<'_>], variables: &[&str]) -> Option<Along> {
    let key = |step: &Step<'_>| match step {
        (Part::Index(Term::Var(name)), Opt::Essential) => {
            let name = name.strip_prefix('$')?;
            variables.iter().position(|variable| *variable == name).map(Key::Variable)
        }
        (Part::Index(index), Opt::Essential) => literal(index).map(Key::Name),
        _ => None,
    };
    Some(Along(steps.iter().map(key).collect::<Option<_>>()?))
}
