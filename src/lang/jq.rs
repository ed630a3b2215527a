//! jq, by the `jaq` crates: programs that pick values out of a response.
//!
//! A program sees its input and its variables, nothing else: `env`, `$ENV`, `input`, `inputs`, `input_filename`, `halt`, `halt_error`,
//! `debug`, `stderr`, `now`, `localtime`, `strflocaltime` and modules don't exist here. It is bounded as well: by [`MAX_OUTPUTS`], [`MAX_STEPS`] and
//! [`MAX_TIME`], none of which `try` can catch. A step is a call of a definition (`map`, `recurse`, `range`, a `def` of the program) or
//! a turn of `reduce` or `foreach`, so a program that never ends is stopped, and what it can pile up in memory is bounded by the same
//! number. One value made by a single operation isn't counted (`"x" * 1000000000`).
//!
//! Running is CPU work: call it off the async threads.

mod convert;
mod exact;
mod guard;
mod habits;
mod input;
mod items;
mod library;
mod paths;
mod terms;

use std::sync::Arc;
use std::time::Duration;

use jaq_core::load::lex::Lexer;
use jaq_core::load::parse::{Def, Parser, Term};
use jaq_core::load::{Arena, File, Loader};
use jaq_core::{Compiler, Ctx, Filter, Vars, compile};
use jaq_json::Val;
use serde_json::Value;

use guard::{Budget, Engine, Guarded};
pub use input::JqInput;
use items::Along;
pub use paths::{is_path, key_of, reaches_into, root_paths, variables};

/// The most values that one run of a program may emit: ten times the rows of the largest page we know of.
pub const MAX_OUTPUTS: usize = 1_000_000;

/// The most steps that one run may take: some seconds of work, and far more than a page of a million rows needs.
pub const MAX_STEPS: u64 = 50_000_000;

/// The longest that one run may take, whatever its steps cost.
pub const MAX_TIME: Duration = Duration::from_mins(1);

/// The deepest nesting of brackets in a program's text: the parser recurses.
const MAX_NESTING: usize = 100;

/// The name that the program itself has among the definitions; a program can't sensibly call it.
const MAIN: &str = "tidegate__main";

/// A program that can't be run: where in its text, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} (at byte {offset} of the jq program)")]
pub struct JqError {
    /// The byte offset in the program's text, from 0; the length of the text where something is missing at its end.
    pub offset: usize,
    /// What is wrong, and what exists instead.
    pub message: String,
}

/// A run that gave no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JqRunError {
    /// The program raised an error, such as an index into a string.
    #[error("the jq program failed: {message}")]
    Failed {
        /// What jaq says, cut after 200 characters, since it prints the value it failed on.
        message: String,
    },
    /// The program emitted more than [`MAX_OUTPUTS`] values.
    #[error("the jq program emitted more than {limit} values")]
    Outputs {
        /// The limit.
        limit: usize,
    },
    /// The program took more than [`MAX_STEPS`] steps or [`MAX_TIME`].
    #[error("the jq program was stopped after {steps} steps: does it end?")]
    Endless {
        /// The steps taken.
        steps: u64,
    },
    /// Definitions called each other too deep.
    #[error("the jq program calls itself too deep: a definition must end, or call itself as its last step")]
    TooDeep,
    /// A value that JSON can't hold, such as `nan` or a key that is no string.
    #[error("the jq program emitted {what}, which JSON can't hold")]
    NotJson {
        /// The value.
        what: String,
    },
    /// The input isn't JSON.
    #[error("the input of the jq program isn't json: {message}")]
    Input {
        /// Why not, and where.
        message: String,
    },
    /// The number of values isn't the number of variables that the program was compiled with.
    #[error("the jq program has {expected} variables and was given {got}")]
    Variables {
        /// How many names it was compiled with.
        expected: usize,
        /// How many values came.
        got: usize,
    },
}

/// A compiled program. It is cheap to clone, and any number of threads may run it at once.
#[derive(Clone)]
pub struct Jq(Arc<Compiled>);

struct Compiled {
    text: String,
    variables: usize,
    steps: u64,
    filter: Filter<Engine>,
    /// The way to the list that the program takes apart, and what it does with each item.
    items: Option<(Along, Filter<Engine>)>,
    /// The way to the list whose length the program says.
    counted: Option<Along>,
}

impl std::fmt::Debug for Jq {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Jq").field(&self.0.text).finish()
    }
}

impl PartialEq for Jq {
    fn eq(&self, other: &Self) -> bool {
        self.0.text == other.0.text && self.0.variables == other.0.variables
    }
}

impl Jq {
    /// Compiles `text`, which may use the variables `vars` (names without `$`).
    ///
    /// # Errors
    /// Where the text isn't jq, or names a variable or a filter that doesn't exist.
    pub fn compile(text: &str, vars: &[&str]) -> Result<Self, JqError> {
        Self::bounded(text, vars, MAX_STEPS)
    }

    /// Compiles a program that may take so many steps.
    fn bounded(text: &str, vars: &[&str], steps: u64) -> Result<Self, JqError> {
        let compile = |program| compile(text, program, vars);
        let filter = compile(parse(text)?)?;
        let items = items::split(parse(text)?, vars);
        let items = items.map(|(along, rest)| Ok::<_, JqError>((along, compile(rest)?))).transpose()?;
        let counted = items::counted(&parse(text)?, vars);
        Ok(Self(Arc::new(Compiled { text: text.to_owned(), variables: vars.len(), steps, filter, items, counted })))
    }

    /// Returns the program's text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// Tells whether the program names one of these variables (names without `$`); one that it binds itself counts too.
    #[must_use]
    pub fn names(&self, variables: &[&str]) -> bool {
        paths::variables(&self.0.text).iter().any(|name| variables.contains(&name.as_str()))
    }

    /// Runs the program on `input` and returns all its outputs; `vars` are the values of the variables, in the order of their names.
    ///
    /// # Errors
    /// Where the program fails, exceeds a limit, or emits an integer beyond 64 bits or another value that [`Value`] can't hold.
    pub fn values(&self, input: &Value, vars: &[Value]) -> Result<Vec<Value>, JqRunError> {
        let mut values = Vec::new();
        self.each(&self.0.filter, [Ok(convert::from_value(input))], vars, |output| {
            values.push(convert::to_value(&output)?);
            Ok(values.len() < MAX_OUTPUTS)
        })?;
        Ok(values)
    }

    /// Runs the program on `input` and returns its first output, or null where it has none.
    ///
    /// # Errors
    /// As [`Jq::values`].
    pub fn one(&self, input: &Value, vars: &[Value]) -> Result<Value, JqRunError> {
        self.one_of(&JqInput::new(input), vars)
    }

    /// As [`Jq::one`], on a value that several programs run on.
    ///
    /// # Errors
    /// As [`Jq::values`].
    pub fn one_of(&self, input: &JqInput<'_>, vars: &[Value]) -> Result<Value, JqRunError> {
        let mut first = Value::Null;
        self.each_until(&self.0.filter, [Ok(input.get())], convert::from_values(vars), |output| {
            first = convert::to_value(&output)?;
            Ok(false)
        })?;
        Ok(first)
    }

    /// Tells whether the program's first output is neither null nor false; no output is false.
    ///
    /// # Errors
    /// As [`Jq::values`].
    pub fn truthy(&self, input: &Value, vars: &[Value]) -> Result<bool, JqRunError> {
        self.truthy_of(&JqInput::new(input), vars)
    }

    /// As [`Jq::truthy`], on a value that several programs run on.
    ///
    /// # Errors
    /// As [`Jq::values`].
    pub fn truthy_of(&self, input: &JqInput<'_>, vars: &[Value]) -> Result<bool, JqRunError> {
        Ok(!matches!(self.one_of(input, vars)?, Value::Null | Value::Bool(false)))
    }

    /// Runs the program on a JSON text and returns its outputs as JSON texts; numbers keep all their digits on the way.
    ///
    /// # Errors
    /// Where `body` isn't JSON, and as [`Jq::values`].
    pub fn run_on_bytes(&self, body: &[u8], vars: &[Value]) -> Result<Vec<String>, JqRunError> {
        self.texts(&self.0.filter, [convert::parse(body)], vars)
    }

    /// Returns the keys of the list whose items the program takes one by one, each by itself: of `.a[$b][] | f` those of `.a[$b]`.
    /// Where a list lies there, [`Jq::run_on_items`] gives what [`Jq::run_on_bytes`] would, and faster.
    #[must_use]
    pub fn items(&self, vars: &[Value]) -> Option<Vec<String>> {
        self.0.items.as_ref()?.0.keys(vars)
    }

    /// Tells whether the program `other` sees the same where the list that [`Jq::items`] names is left out of its input.
    #[must_use]
    pub fn hides_items_from(&self, other: &str) -> bool {
        let Some((along, _)) = &self.0.items else { return false };
        root_paths(other).iter().all(|path| along.is_apart_from(path))
    }

    /// Runs the program on the items of its list, each a text that was found to be JSON, and no deeper than 128 levels.
    ///
    /// # Errors
    /// As [`Jq::run_on_bytes`].
    pub fn run_on_items(&self, items: &[&str], vars: &[Value]) -> Result<Vec<String>, JqRunError> {
        let inputs = items.iter().map(|item| convert::parse_checked(item.as_bytes()));
        self.texts(self.0.items.as_ref().map_or(&self.0.filter, |(_, each)| each), inputs, vars)
    }

    /// Returns the keys of the list whose length the program says: of `.a[$b] | length` those of `.a[$b]`.
    #[must_use]
    pub fn counted(&self, vars: &[Value]) -> Option<Vec<String>> {
        self.0.counted.as_ref()?.keys(vars)
    }

    fn texts(
        &self,
        filter: &Filter<Engine>,
        inputs: impl IntoIterator<Item = Result<Val, JqRunError>>,
        vars: &[Value],
    ) -> Result<Vec<String>, JqRunError> {
        let mut texts = Vec::new();
        self.each(filter, inputs, vars, |output| {
            texts.push(convert::to_text(&output)?);
            Ok(texts.len() < MAX_OUTPUTS)
        })?;
        Ok(texts)
    }

    /// Calls `visit` with every output; where it returns false there may be no further one.
    fn each(
        &self,
        filter: &Filter<Engine>,
        inputs: impl IntoIterator<Item = Result<Val, JqRunError>>,
        vars: &[Value],
        mut visit: impl FnMut(Val) -> Result<bool, JqRunError>,
    ) -> Result<(), JqRunError> {
        let mut full = false;
        self.each_until(filter, inputs, convert::from_values(vars), |output| {
            if full {
                return Err(JqRunError::Outputs { limit: MAX_OUTPUTS });
            }
            full = !visit(output)?;
            Ok(true)
        })
    }

    /// Calls `visit` with every output until it returns false.
    fn each_until(
        &self,
        filter: &Filter<Engine>,
        inputs: impl IntoIterator<Item = Result<Val, JqRunError>>,
        vars: Vec<Val>,
        mut visit: impl FnMut(Val) -> Result<bool, JqRunError>,
    ) -> Result<(), JqRunError> {
        if vars.len() != self.0.variables {
            return Err(JqRunError::Variables { expected: self.0.variables, got: vars.len() });
        }
        let budget = Budget::new(self.0.steps, MAX_TIME);
        let data = Guarded::new(&filter.lut, &budget);
        let context = Ctx::<Engine>::new(data, Vars::new(vars));
        let outputs = |input: Result<Val, JqRunError>| input.map(|input| filter.id.run((context.clone(), input)));
        for outputs in inputs.into_iter().map(outputs) {
            for output in outputs? {
                match output {
                    Ok(value) => {
                        if !visit(value)? {
                            return Ok(());
                        }
                    }
                    Err(exception) => {
                        return Err(match exception.get_err() {
                            Ok(error) => JqRunError::Failed { message: short(&error.to_string(), 200) },
                            Err(_) if budget.is_deep() => JqRunError::TooDeep,
                            Err(_) => JqRunError::Endless { steps: budget.taken() },
                        });
                    }
                }
            }
        }
        Ok(())
    }
}

fn compile(text: &str, program: Term<&str>, vars: &[&str]) -> Result<Filter<Engine>, JqError> {
    let definitions: Vec<Def<&str>> = library::for_program(&program);
    let main = Def { name: MAIN, args: Vec::new(), body: guard::term(program) };
    let arena = Arena::default();
    let modules = Loader::new(definitions.into_iter().chain([main]))
        .load(&arena, File { code: MAIN, path: () })
        .map_err(|_| JqError { offset: 0, message: "the program can't be loaded".to_owned() })?;
    let globals: Vec<String> = vars.iter().map(|name| format!("${name}")).collect();
    Compiler::default()
        .with_funs(guard::functions())
        .with_global_vars(globals.iter().map(String::as_str))
        .compile(modules)
        .map_err(|errors| undefined(text, vars, errors.into_iter().flat_map(|(_, errors)| errors)))
}

/// Parses a program; the terms borrow from `text`, which is how mistakes find their offset.
fn parse(text: &str) -> Result<Term<&str>, JqError> {
    if let Some(message) = habits::of_program(text) {
        return Err(JqError { offset: text.len() - text.trim_start().len(), message: message.to_owned() });
    }
    if let Some(offset) = too_deep(text) {
        return Err(JqError { offset, message: format!("brackets are nested more than {MAX_NESTING} deep") });
    }
    let tokens = Lexer::new(text).lex().map_err(|errors| {
        first(
            errors
                .into_iter()
                .map(|(expected, rest)| unexpected(text, expected.as_str(), text.len() - rest.len(), rest)),
        )
    })?;
    Parser::new(&tokens).parse(Parser::term).map_err(|errors| {
        first(errors.into_iter().map(|(expected, token)| {
            let token = token.map_or("", |token| token.as_str());
            let offset = offset_of(text, token).filter(|_| !token.is_empty()).unwrap_or(text.len());
            unexpected(text, expected.as_str(), offset, token)
        }))
    })
}

/// Says what was expected at a place, and what to write there.
fn unexpected(text: &str, expected: &str, offset: usize, rest: &str) -> JqError {
    let instead = habits::of_symbol(text.get(..offset).unwrap_or_default(), rest);
    let instead = instead.map(|instead| format!("; {instead}")).unwrap_or_default();
    let expected = if expected == "nothing" { "the end" } else { expected };
    JqError { offset, message: format!("expected {expected}, found {}{instead}", found(rest)) }
}

/// Names the first symbol that doesn't exist, and what does.
fn undefined<'s>(text: &str, vars: &[&str], errors: impl Iterator<Item = compile::Error<&'s str>>) -> JqError {
    first(errors.map(|(name, what)| {
        let message = match what {
            compile::Undefined::Var => match vars {
                [] => format!("there is no variable `{name}`: no variable can be used here"),
                vars => {
                    let known: Vec<String> = vars.iter().map(|name| format!("`${name}`")).collect();
                    format!("there is no variable `{name}`: there are {}", known.join(", "))
                }
            },
            compile::Undefined::Filter(_) if guard::is_blocked(name) => {
                format!("the filter `{name}` can't be used: a program sees only its input and its variables")
            }
            compile::Undefined::Filter(arity) => {
                let offset = offset_of(text, name).unwrap_or(0);
                let (before, rest) = text.split_at_checked(offset).unwrap_or_default();
                let after = rest.strip_prefix(name).unwrap_or_default();
                if let Some(meant) = habits::of_name(before, name, after) {
                    return JqError { offset, message: format!("there is no filter `{name}`; {meant}") };
                }
                let hint = match guard::nearest(name) {
                    Some(near) if near == name => ": it takes another number of them".to_owned(),
                    Some(near) => format!(": did you mean `{near}`?"),
                    None => format!("; a field is written with a dot: `.{name}`"),
                };
                match arity {
                    0 => format!("there is no filter `{name}`{hint}"),
                    arity => format!("there is no filter `{name}` with {arity} argument(s){hint}"),
                }
            }
            other => format!("there is no {} `{name}`", other.as_str()),
        };
        JqError { offset: offset_of(text, name).unwrap_or(0), message }
    }))
}

fn first(errors: impl Iterator<Item = JqError>) -> JqError {
    let fallback = JqError { offset: 0, message: "the program isn't jq".to_owned() };
    errors.min_by_key(|error| error.offset).unwrap_or(fallback)
}

/// Finds where `part` lies in `whole`, if it is a slice of it.
fn offset_of(whole: &str, part: &str) -> Option<usize> {
    let offset = (part.as_ptr() as usize).checked_sub(whole.as_ptr() as usize)?;
    (offset + part.len() <= whole.len()).then_some(offset)
}

fn found(rest: &str) -> String {
    match rest.split_whitespace().next() {
        None => "the end of the program".to_owned(),
        Some(word) => format!("`{}`", short(word, 20)),
    }
}

/// Cuts `text` after `most` characters.
fn short(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}...", &text[..at]),
    }
}

/// Returns the offset of the first bracket that is nested too deep. Brackets in strings count too: that errs on the safe side.
fn too_deep(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (offset, byte) in text.bytes().enumerate() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_NESTING {
            return Some(offset);
        }
    }
    None
}

#[cfg(test)]
mod tests;
