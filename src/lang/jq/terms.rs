//! All parts of a program's syntax.

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Pattern, Term};
use jaq_core::path::Part;

/// Returns a term and all that it is made of, those that give the keys of patterns and the bodies of its definitions among them, in no order.
pub(super) fn within<'t, 's>(term: &'t Term<&'s str>) -> Vec<&'t Term<&'s str>> {
    let mut terms = vec![term];
    let mut at = 0;
    while let Some(term) = terms.get(at).copied() {
        parts(term, &mut terms);
        at += 1;
    }
    terms
}

/// Adds the terms that `term` is made of at once.
fn parts<'t, 's>(term: &'t Term<&'s str>, to: &mut Vec<&'t Term<&'s str>>) {
    match term {
        Term::Id | Term::Recurse | Term::Num(_) | Term::Break(_) | Term::Var(_) => {}
        Term::Str(_, parts) => to.extend(parts.iter().filter_map(|part| match part {
            StrPart::Term(inner) => Some(inner),
            StrPart::Str(_) | StrPart::Char(_) => None,
        })),
        Term::Arr(inner) => to.extend(inner.as_deref()),
        Term::Obj(entries) => to.extend(entries.iter().flat_map(|(key, value)| [key].into_iter().chain(value))),
        Term::Neg(inner) | Term::Label(_, inner) => to.push(inner),
        Term::BinOp(left, op, right) => {
            to.extend([&**left, &**right]);
            if let BinaryOp::Pipe(Some(pattern)) = op {
                keys(pattern, to);
            }
        }
        Term::Fold(_, source, pattern, arguments) => {
            to.push(source);
            to.extend(arguments);
            keys(pattern, to);
        }
        Term::TryCatch(inner, catch) => {
            to.push(inner);
            to.extend(catch.as_deref());
        }
        Term::IfThenElse(branches, otherwise) => {
            to.extend(branches.iter().flat_map(|(condition, then)| [condition, then]));
            to.extend(otherwise.as_deref());
        }
        Term::Def(definitions, inner) => {
            to.extend(definitions.iter().map(|definition| &definition.body));
            to.push(inner);
        }
        Term::Call(_, arguments) => to.extend(arguments),
        Term::Path(inner, parts) => {
            to.push(inner);
            for (part, _) in &parts.0 {
                match part {
                    Part::Index(index) => to.push(index),
                    Part::Range(from, until) => to.extend(from.iter().chain(until)),
                }
            }
        }
    }
}

/// Adds the terms that give the keys of a pattern.
fn keys<'t, 's>(pattern: &'t Pattern<&'s str>, to: &mut Vec<&'t Term<&'s str>>) {
    match pattern {
        Pattern::Var(_) => {}
        Pattern::Arr(items) => items.iter().for_each(|item| keys(item, to)),
        Pattern::Obj(entries) => entries.iter().for_each(|(key, value)| {
            to.push(key);
            keys(value, to);
        }),
    }
}
