//! What bounds a program: the filters that it may call, and the steps that it may take.
//!
//! jaq has no limits of its own, and a program such as `def f: f; f` never comes back to its caller. So every definition (those of the
//! standard library too) and every turn of a fold first calls a native filter that counts; whatever can go on for ever goes through one
//! of the two. Used up is told by jaq's halt exception, which no `try` catches.

use std::cell::Cell;
use std::time::{Duration, Instant};

use jaq_core::box_iter::box_once;
use jaq_core::data::HasLut;
use jaq_core::load;
use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Def, Pattern, Term};
use jaq_core::native::{Fun, run, v};
use jaq_core::path::{Part, Path};
use jaq_core::{DataT, Exn, Lut};
use jaq_json::Val;

use super::library;

/// Filters of jq that would let a program see or do something other than compute: none of them exists.
const BLOCKED: [&str; 13] = [
    "env",
    "now",
    "halt",
    "halt_error",
    "debug",
    "stderr",
    "input",
    "inputs",
    "input_filename",
    "localtime",
    "strflocaltime",
    "debug_empty",
    "stderr_empty",
];

/// `range` as definitions: the native one can go on for ever without a step.
const RANGE: &str = "def range($from; $to; $by): $from |
    if $by > 0 then while(. < $to; . + $by) elif $by < 0 then while(. > $to; . + $by) else while(. != $to; . + $by) end;";

/// The counting filter and the variable that takes its output: no program can spell these names.
const STEP: &str = "!step";
const IGNORED: &str = "$!step";

/// The kind of data that our programs work on: [`Val`], with a budget at hand.
pub(super) struct Engine;

impl DataT for Engine {
    type V<'a> = Val;
    type Data<'a> = Guarded<'a>;
}

/// What native filters can reach: the compiled terms, and the budget of this run.
#[derive(Clone)]
pub(super) struct Guarded<'a> {
    lut: &'a Lut<Engine>,
    budget: &'a Budget,
}

impl<'a> Guarded<'a> {
    pub(super) const fn new(lut: &'a Lut<Engine>, budget: &'a Budget) -> Self {
        Self { lut, budget }
    }
}

impl<'a> HasLut<'a, Engine> for Guarded<'a> {
    fn lut(&self) -> &'a Lut<Engine> {
        self.lut
    }
}

/// The steps that a run may still take.
pub(super) struct Budget {
    steps: Cell<u64>,
    limit: u64,
    deadline: Option<Instant>,
    /// Where the stack stood when the run began.
    base: usize,
    deep: Cell<bool>,
}

/// The most stack that a run may use: half of what the smallest of our threads has. A definition that calls itself other than as its
/// last step takes stack at each turn, and an overflow would end the process.
const MAX_STACK: usize = 1 << 20;

#[inline(never)]
fn stack_position() -> usize {
    let marker = 0_u8;
    std::ptr::from_ref(std::hint::black_box(&marker)).addr()
}

impl Budget {
    pub(super) fn new(limit: u64, time: Duration) -> Self {
        Self {
            steps: Cell::new(0),
            limit,
            deadline: Instant::now().checked_add(time),
            base: stack_position(),
            deep: Cell::new(false),
        }
    }

    pub(super) const fn taken(&self) -> u64 {
        self.steps.get()
    }

    /// Tells whether the run was stopped because it used up its stack.
    pub(super) const fn is_deep(&self) -> bool {
        self.deep.get()
    }

    fn step(&self) -> bool {
        if stack_position().abs_diff(self.base) > MAX_STACK {
            self.deep.set(true);
            return false;
        }
        let steps = self.steps.get() + 1;
        self.steps.set(steps);
        // The clock is read every so often: it costs more than a step.
        let late = steps.is_multiple_of(4096) && self.deadline.is_some_and(|deadline| Instant::now() > deadline);
        steps <= self.limit && !late
    }
}

/// What jq 1.8 has and jaq hasn't, as far as it is of use for an answer.
const MORE: &str = r#"
def toarray: if type == "array" then . else [.] end;
def trimstr($text): ltrimstr($text) | rtrimstr($text);
def ascii: [.] | implode;
def IN(values): . as $it | any(values; . == $it);
def IN(these; values): . as $all | any(these; . as $it | any($all | values; . == $it));
def INDEX(items; key): reduce items as $item ({}; .[$item | key | tostring] = $item);
def INDEX(key): INDEX(.[]; key);
"#;

/// Returns the definitions of the standard library that a program may use.
pub(super) fn definitions() -> Vec<Def<&'static str>> {
    let range = load::parse(RANGE, |parser| parser.defs()).unwrap_or_default();
    let more = load::parse(MORE, |parser| parser.defs()).unwrap_or_default();
    let all = range.into_iter().chain(jaq_core::defs()).chain(jaq_std::defs()).chain(jaq_json::defs()).chain(more);
    let (range, rest): (Vec<_>, Vec<_>) =
        all.filter(|def| !BLOCKED.contains(&def.name)).partition(|def| def.name == "range" && def.args.len() == 3);
    // `range` of three arguments needs `while`, and the other two need it: it takes its place right after `while`.
    let mut defs: Vec<_> = rest;
    let place = defs.iter().position(|def| def.name == "while").map_or(0, |at| at + 1);
    let shorter: Vec<_> = extract(&mut defs, |def| def.name == "range");
    let place = place - shorter.len().min(place);
    defs.splice(place..place, range.into_iter().chain(shorter));
    defs.into_iter().map(guard_def).collect()
}

fn extract(defs: &mut Vec<Def<&'static str>>, which: impl Fn(&Def<&'static str>) -> bool) -> Vec<Def<&'static str>> {
    let (out, rest) = std::mem::take(defs).into_iter().partition(|def| which(def));
    *defs = rest;
    out
}

/// Returns the native filters that a program may use.
pub(super) fn functions() -> impl Iterator<Item = Fun<Engine>> {
    let all = jaq_core::funs::<Engine>().chain(jaq_std::funs()).chain(jaq_json::funs());
    let step = run::<Engine>((STEP, v(0), |cv| {
        let allowed = cv.0.data().budget.step();
        box_once(if allowed { Ok(Val::Null) } else { Err(Exn::halt(1)) })
    }));
    all.filter(|(name, ..)| !BLOCKED.contains(name) && *name != "range").chain([step])
}

/// Tells whether jq has the filter `name` and we don't.
pub(super) fn is_blocked(name: &str) -> bool {
    BLOCKED.contains(&name)
}

/// Returns the filter whose name is most like `name`, if one is.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    let names = library::names().chain(functions().map(|(name, ..)| name));
    names
        .filter(|known| !known.starts_with('!'))
        .map(|known| (strsim::jaro_winkler(name, known), known))
        .filter(|(likeness, _)| *likeness > 0.85)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

fn guard_def(def: Def<&str>) -> Def<&str> {
    Def { body: stepping(term(def.body)), ..def }
}

/// Makes `body` count a step before it runs. The binding keeps `body` a tail call and a path.
fn stepping(body: Term<&str>) -> Term<&str> {
    let step = Box::new(Term::Call(STEP, Vec::new()));
    Term::BinOp(step, BinaryOp::Pipe(Some(Pattern::Var(IGNORED))), Box::new(body))
}

#[expect(clippy::boxed_local, reason = "jaq's terms are boxed")]
fn boxed(inner: Box<Term<&str>>) -> Box<Term<&str>> {
    Box::new(term(*inner))
}

fn terms(inner: Vec<Term<&str>>) -> Vec<Term<&str>> {
    inner.into_iter().map(term).collect()
}

/// Puts a step before every definition and every turn of a fold in `program`.
pub(super) fn term(program: Term<&str>) -> Term<&str> {
    match program {
        leaf @ (Term::Id | Term::Recurse | Term::Num(_) | Term::Break(_) | Term::Var(_)) => leaf,
        Term::Str(format, parts) => Term::Str(format, parts.into_iter().map(part).collect()),
        Term::Arr(inner) => Term::Arr(inner.map(boxed)),
        Term::Obj(entries) => Term::Obj(entries.into_iter().map(|(key, value)| (term(key), value.map(term))).collect()),
        Term::Neg(inner) => Term::Neg(boxed(inner)),
        Term::BinOp(left, op, right) => Term::BinOp(boxed(left), op, boxed(right)),
        Term::Label(name, inner) => Term::Label(name, boxed(inner)),
        Term::Fold(kind, source, pattern, arguments) => {
            // The first argument is the start value; the others run at every turn.
            let arguments = terms(arguments).into_iter().enumerate();
            let arguments = arguments.map(|(at, inner)| if at == 1 { stepping(inner) } else { inner }).collect();
            Term::Fold(kind, boxed(source), pattern, arguments)
        }
        Term::TryCatch(inner, catch) => Term::TryCatch(boxed(inner), catch.map(boxed)),
        Term::IfThenElse(branches, otherwise) => {
            let branches = branches.into_iter().map(|(condition, then)| (term(condition), term(then))).collect();
            Term::IfThenElse(branches, otherwise.map(boxed))
        }
        Term::Def(defs, inner) => Term::Def(defs.into_iter().map(guard_def).collect(), boxed(inner)),
        Term::Call(name, arguments) => Term::Call(name, terms(arguments)),
        Term::Path(inner, Path(parts)) => {
            let parts = parts.into_iter().map(|(part, optional)| {
                let part = match part {
                    Part::Index(index) => Part::Index(term(index)),
                    Part::Range(from, to) => Part::Range(from.map(term), to.map(term)),
                };
                (part, optional)
            });
            Term::Path(boxed(inner), Path(parts.collect()))
        }
    }
}

fn part<'s>(part: StrPart<&'s str, Term<&'s str>>) -> StrPart<&'s str, Term<&'s str>> {
    match part {
        StrPart::Term(inner) => StrPart::Term(term(inner)),
        other => other,
    }
}
