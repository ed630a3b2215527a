//! The definitions of the standard library that a program takes. jaq compiles all that it is given, and a program holds what was compiled
//! for it: of some two hundred a program calls a few, most of them none.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use jaq_core::load::parse::{Def, Term};

use super::{guard, terms};

/// A definition, and the names of what it calls.
struct Entry {
    definition: Def<&'static str>,
    calls: BTreeSet<&'static str>,
}

fn library() -> &'static [Entry] {
    static LIBRARY: OnceLock<Vec<Entry>> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let entry = |definition: Def<&'static str>| Entry { calls: calls(&definition.body), definition };
        guard::definitions().into_iter().map(entry).collect()
    })
}

/// Returns the names of all definitions.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    library().iter().map(|entry| entry.definition.name)
}

/// Returns the definitions that `program` calls, and those that they call, in the order of the library.
pub(super) fn for_program(program: &Term<&str>) -> Vec<Def<&'static str>> {
    let mut names = calls(program);
    let mut known = 0;
    while known < names.len() {
        known = names.len();
        for entry in library() {
            if names.contains(entry.definition.name) {
                names.extend(&entry.calls);
            }
        }
    }
    let called = library().iter().filter(|entry| names.contains(entry.definition.name));
    called.map(|entry| entry.definition.clone()).collect()
}

/// Returns the names that a term calls, however many arguments they have; those of its own definitions too.
fn calls<'s>(term: &Term<&'s str>) -> BTreeSet<&'s str> {
    let name = |term: &Term<&'s str>| match term {
        Term::Call(name, _) | Term::Str(Some(name), _) => Some(*name),
        _ => None,
    };
    terms::within(term).into_iter().filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Jq;
    use super::*;

    #[test]
    fn every_definition_can_be_called_wherever_it_stands() {
        for Entry { definition, .. } in library() {
            let arguments = vec!["."; definition.args.len()].join("; ");
            let call = if arguments.is_empty() {
                definition.name.to_owned()
            } else {
                format!("{}({arguments})", definition.name)
            };
            for program in [
                call.clone(),
                format!("[{{a: -(.b | {call})}}]"),
                format!("{{({call}): 1}}"),
                format!(r#""\({call})""#),
                format!(".[{call}]"),
                format!(".[{call}:]"),
                format!(".[:{call}]?"),
                format!("try . catch {call}"),
                format!("if {call} then 1 end"),
                format!("if 1 then {call} else {call} end"),
                format!("if 1 then 1 else {call} end"),
                format!("reduce {call} as $x (.; .)"),
                format!("reduce . as $x (.; {call})"),
                format!("reduce . as {{({call}): $x}} (.; .)"),
                format!(". as [{{({call}): $x}}] | $x"),
                format!("def f: {call}; f"),
                format!("label $l | {call}, break $l"),
                format!("map({call})"),
            ] {
                Jq::compile(&program, &[]).unwrap_or_else(|error| panic!("{program}: {error}"));
            }
        }
    }

    #[test]
    fn a_program_takes_what_it_calls() {
        let taken = |program: &str| -> Vec<&str> {
            for_program(&super::super::parse(program).unwrap()).into_iter().map(|definition| definition.name).collect()
        };
        assert_eq!(taken(".a.b[] | {c: $c, d: -.d}"), [""; 0]);
        assert!(taken("map(.a)").ends_with(&["map"]));
        assert!(taken("@json \"x\\(.)\"").contains(&"@json"));
        let recurse = taken("recurse(.a; .b)");
        assert!(["empty", "select", "recurse"].iter().all(|name| recurse.contains(name)), "{recurse:?}");
        assert!(recurse.len() < 10, "{recurse:?}");
    }
}
