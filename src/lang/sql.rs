//! SQL as the pipeline file writes it, before there is data: is it one SELECT, or one scalar expression, of what we allow.
//!
//! The text is read with the parser that the engine uses, so what passes here fails later only over columns and types.

mod columns;
mod functions;
mod select_list;
mod window;

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::LazyLock;

use datafusion::functions_aggregate::all_default_aggregate_functions;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Function, ObjectName, ObjectNamePart, Query, Select, SetExpr, Spanned, Statement,
    TableFactor, Visit, VisitMut, Visitor, VisitorMut,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Location, Token, Tokenizer};

pub use columns::{columns_named_in, select_columns, unnamed_fields};
pub use functions::{ADDED_FUNCTIONS, unknown as unknown_function};
pub use select_list::selects_all;
pub use window::{WINDOW_NAMES, bind_window, find_window};

static DIALECT: GenericDialect = GenericDialect {};

/// The one table of a transform: the records of the slice.
pub const RECORDS_TABLE: &str = "records";

/// How deep expressions may be nested. The engine walks them recursively; unoptimised, 128 deep overflows the 2 MiB of
/// stack that a blocking thread has.
const MAX_DEPTH: usize = 64;

/// How long a SQL text may be, in tokens: a chain of operators is a tree as deep as it is long, and to drop it takes stack.
const MAX_TOKENS: usize = 8_000;

/// The table functions of the engine; none of them reads anything from outside.
const TABLE_FUNCTIONS: [&str; 3] = ["unnest", "generate_series", "range"];

/// Functions that give another answer each time, so that a slice that is read again wouldn't give the same rows.
const REFUSED_FUNCTIONS: [&str; 2] = ["random", "uuid"];

/// Functions whose values may be of any type, which no column of a file can hold.
const UNTYPED_FUNCTIONS: [&str; 3] = ["json_get", "json_from_scalar", "json_union_to_text"];

/// How other databases reach into JSON.
const JSON_OPERATORS: [BinaryOperator; 4] =
    [BinaryOperator::Arrow, BinaryOperator::LongArrow, BinaryOperator::HashArrow, BinaryOperator::HashLongArrow];

static AGGREGATES: LazyLock<HashSet<String>> = LazyLock::new(|| {
    all_default_aggregate_functions()
        .iter()
        .flat_map(|function| std::iter::once(function.name().to_owned()).chain(function.aliases().iter().cloned()))
        .collect()
});

/// A text that isn't the SQL that is allowed in its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SqlSyntaxError {
    /// Where in the text the mistake is, in bytes from its start.
    pub offset: usize,
    /// What is wrong and what is allowed.
    pub message: String,
}

/// Parses `text` as one SELECT (or WITH) over `records`, its own CTEs and `extra_tables`, and refuses all else.
pub fn parse_select(text: &str, extra_tables: &[&str]) -> Result<Statement, SqlSyntaxError> {
    let mut parser = parser(text)?;
    let first = parser.peek_token();
    if !opens_a_select(&first.token) {
        let found = describe(&first.token);
        return Err(at(
            text,
            first.span.start,
            format!("only one SELECT is allowed here, and this begins with {found}"),
        ));
    }
    let mut statement = parser.parse_statement().map_err(|e| parse_error(text, &e))?;
    while parser.consume_token(&Token::SemiColon) {}
    let next = parser.peek_token();
    if next.token != Token::EOF {
        let found = describe(&next.token);
        return Err(at(text, next.span.start, format!("only one SELECT is allowed here, and it ended before {found}")));
    }
    let tables = known_tables(&statement, extra_tables);
    walk(text, &statement, Rules::Select { tables })?;
    // The walk above has found nothing to break off for, and this visitor never does.
    let _ = VisitMut::visit(&mut statement, &mut LowercaseTableFunctions);
    Ok(statement)
}

/// Lets table functions be written in any case, as the engine does for all others, where columns are case-sensitive.
struct LowercaseTableFunctions;

impl VisitorMut for LowercaseTableFunctions {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, args: Some(_), .. } | TableFactor::Function { name, .. } = factor {
            for part in &mut name.0 {
                if let ObjectNamePart::Identifier(ident) = part {
                    ident.value = ident.value.to_lowercase();
                }
            }
        }
        ControlFlow::Continue(())
    }
}

/// Checks that `text` is one SELECT (or WITH) over `records`, its own CTEs and `extra_tables`.
pub fn check_select(text: &str, extra_tables: &[&str]) -> Result<(), SqlSyntaxError> {
    parse_select(text, extra_tables).map(drop)
}

/// Parses `text` as one scalar expression over the columns of a row: no subquery, no aggregate, no window.
pub fn parse_expr(text: &str) -> Result<Expr, SqlSyntaxError> {
    one_expr(text, Rules::Scalar)
}

/// Checks that `text` is one expression over all rows, such as `count(*) > 0`: no subquery, no window.
pub fn check_aggregate(text: &str) -> Result<(), SqlSyntaxError> {
    one_expr(text, Rules::Aggregate).map(drop)
}

fn one_expr(text: &str, rules: Rules) -> Result<Expr, SqlSyntaxError> {
    let mut parser = parser(text)?;
    let expr = parser.parse_expr().map_err(|e| parse_error(text, &e))?;
    let next = parser.peek_token();
    if next.token != Token::EOF {
        let found = describe(&next.token);
        return Err(at(
            text,
            next.span.start,
            format!("the expression ended before {found}: only one expression is allowed here"),
        ));
    }
    walk(text, &expr, rules)?;
    Ok(expr)
}

/// Checks that `text` is one scalar expression over the columns of a row, as in `window.time`, `incremental.cursor` and `where`.
pub fn check_expr(text: &str) -> Result<(), SqlSyntaxError> {
    parse_expr(text).map(drop)
}

/// Turns a place given as line and column (both from 1, the column in characters) into bytes from the start of `text`.
pub(crate) fn byte_offset(text: &str, line: u64, column: u64) -> usize {
    let skipped = usize::try_from(line.saturating_sub(1)).unwrap_or(usize::MAX);
    let start = text.split_inclusive('\n').take(skipped).map(str::len).sum::<usize>();
    let characters = usize::try_from(column.saturating_sub(1)).unwrap_or(usize::MAX);
    let rest = text.get(start..).unwrap_or_default();
    start + rest.chars().take(characters).map(char::len_utf8).sum::<usize>()
}

/// Splits the place off a parser's message, which ends in ` at Line: 1, Column: 8`.
pub(crate) fn split_place(message: &str) -> (&str, Option<(u64, u64)>) {
    let place = message.rfind(" at Line: ").and_then(|at| {
        let (line, column) = message.get(at + " at Line: ".len()..)?.split_once(", Column: ")?;
        Some((at, (line.trim().parse().ok()?, column.trim().parse().ok()?)))
    });
    place.map_or((message, None), |(at, place)| (message.get(..at).unwrap_or(message), Some(place)))
}

fn parser(text: &str) -> Result<Parser<'static>, SqlSyntaxError> {
    let tokens = Tokenizer::new(&DIALECT, text).tokenize_with_location().map_err(|e| {
        let place = Location::new(e.location.line, e.location.column);
        at(text, place, lowercase_first(&e.message))
    })?;
    if tokens.len() > MAX_TOKENS {
        let message = format!("this SQL has {} tokens, and may have {MAX_TOKENS}", tokens.len());
        return Err(SqlSyntaxError { offset: 0, message });
    }
    Ok(Parser::new(&DIALECT).with_tokens_with_locations(tokens))
}

/// Returns what tells two SQL texts apart that differ in more than comments and blanks. It isn't SQL, and nothing to show.
#[must_use]
pub fn normal_form(text: &str) -> String {
    let Ok(tokens) = Tokenizer::new(&DIALECT, text).tokenize() else { return text.to_owned() };
    let told: Vec<&Token> = tokens.iter().filter(|token| !matches!(token, Token::Whitespace(_))).collect();
    let end = told.iter().rposition(|token| **token != Token::SemiColon).map_or(0, |last| last + 1);
    format!("{:?}", &told[..end])
}

fn opens_a_select(token: &Token) -> bool {
    match token {
        Token::LParen => true,
        Token::Word(word) => ["SELECT", "WITH"].iter().any(|keyword| word.value.eq_ignore_ascii_case(keyword)),
        _ => false,
    }
}

fn describe(token: &Token) -> String {
    match token {
        Token::EOF => "the end of the text".to_owned(),
        token => format!("`{token}`"),
    }
}

fn parse_error(text: &str, error: &ParserError) -> SqlSyntaxError {
    let message = match error {
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => message.as_str(),
        ParserError::RecursionLimitExceeded => "this SQL is nested too deep: split it with WITH",
    };
    let (message, place) = split_place(message);
    let offset = place.map_or(0, |(line, column)| byte_offset(text, line, column));
    SqlSyntaxError { offset, message: lowercase_first(message) }
}

/// Puts the parser's sentence into our manner: no capital at its start.
pub(crate) fn lowercase_first(message: &str) -> String {
    let mut characters = message.chars();
    match (characters.next(), characters.clone().next()) {
        (Some(first), Some(second)) if second.is_lowercase() => first.to_lowercase().chain(characters).collect(),
        _ => message.to_owned(),
    }
}

fn at(text: &str, place: Location, message: String) -> SqlSyntaxError {
    SqlSyntaxError { offset: byte_offset(text, place.line, place.column), message }
}

/// What a table in FROM may be called: `records`, the extra tables, and every CTE of the statement.
fn known_tables(statement: &Statement, extra_tables: &[&str]) -> Vec<String> {
    struct Ctes(Vec<String>);
    impl Visitor for Ctes {
        type Break = ();
        fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
            let ctes = query.with.iter().flat_map(|with| &with.cte_tables);
            self.0.extend(ctes.map(|cte| cte.alias.name.value.clone()));
            ControlFlow::Continue(())
        }
    }
    let mut ctes = Ctes(Vec::new());
    // This visitor never breaks off, so there is nothing to look at.
    let _ = Visit::visit(statement, &mut ctes);
    let tables = std::iter::once(RECORDS_TABLE).chain(extra_tables.iter().copied()).map(str::to_owned);
    tables.chain(ctes.0).collect()
}

enum Rules {
    Select { tables: Vec<String> },
    Scalar,
    Aggregate,
}

struct Checker<'a> {
    text: &'a str,
    rules: Rules,
    depth: usize,
}

fn walk(text: &str, tree: &impl Visit, rules: Rules) -> Result<(), SqlSyntaxError> {
    match Visit::visit(tree, &mut Checker { text, rules, depth: 0 }) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

type Step = ControlFlow<SqlSyntaxError>;

impl Checker<'_> {
    fn refuse(&self, place: &impl Spanned, message: String) -> Step {
        ControlFlow::Break(at(self.text, place.span().start, message))
    }

    /// As `refuse`, for a name: one that is written as a text has no place of its own.
    fn refuse_name(&self, name: &ObjectName, message: String) -> Step {
        let place = name.span().start;
        if place.line > 0 {
            return ControlFlow::Break(at(self.text, place, message));
        }
        let offset = self.text.find(&name.to_string()).unwrap_or(0);
        ControlFlow::Break(SqlSyntaxError { offset, message })
    }

    fn function(&self, function: &Function) -> Step {
        let name = function.name.to_string().to_lowercase();
        if REFUSED_FUNCTIONS.contains(&name.as_str()) {
            let message = format!("{name}() is refused: a slice that is read again has to give the same rows");
            return self.refuse(&function.name, message);
        }
        if UNTYPED_FUNCTIONS.contains(&name.as_str()) {
            let message = format!(
                "{name}() has no type of its own: write json_get_str, json_get_int, json_get_float, json_get_bool, json_get_array, \
                 json_get_json, or json_as_text"
            );
            return self.refuse(&function.name, message);
        }
        // A name in double quotes is as it stands there: the engine says whether there is one.
        if let Some(message) = functions::unknown(&name).filter(|_| !name.contains('"')) {
            return self.refuse(&function.name, message);
        }
        let over = match self.rules {
            Rules::Select { .. } => return ControlFlow::Continue(()),
            Rules::Scalar => "this is worked out for each row by itself",
            Rules::Aggregate => "this is worked out once, over all rows",
        };
        if function.over.is_some() {
            return self.refuse(&function.name, format!("{name}() OVER is a window function: {over}"));
        }
        if matches!(self.rules, Rules::Scalar) && AGGREGATES.contains(&name) {
            let message = format!("{name}() is an aggregate: this is worked out for each row by itself");
            return self.refuse(&function.name, message);
        }
        ControlFlow::Continue(())
    }

    fn table(&self, name: &ObjectName) -> Step {
        let Rules::Select { tables } = &self.rules else { return ControlFlow::Continue(()) };
        let parts: Vec<_> =
            name.0.iter().filter_map(|part| part.as_ident()).map(|ident| ident.value.as_str()).collect();
        if let [only] = parts.as_slice()
            && tables.iter().any(|table| table == only)
        {
            return ControlFlow::Continue(());
        }
        let known: Vec<_> = tables.iter().map(|table| format!("`{table}`")).collect();
        let known = known.join(", ");
        self.refuse_name(
            name,
            format!("there is no table `{name}`: this SQL can read {known} (names are case-sensitive)"),
        )
    }

    fn table_function(&self, name: &ObjectName) -> Step {
        if TABLE_FUNCTIONS.contains(&name.to_string().to_lowercase().as_str()) {
            return ControlFlow::Continue(());
        }
        let known = TABLE_FUNCTIONS.join(", ");
        self.refuse_name(name, format!("there is no table function `{name}`: there are {known}"))
    }
}

impl Visitor for Checker<'_> {
    type Break = SqlSyntaxError;

    fn pre_visit_query(&mut self, query: &Query) -> Step {
        let only = match self.rules {
            Rules::Select { .. } => None,
            Rules::Scalar => Some("only an expression over one row"),
            Rules::Aggregate => Some("only an expression over all rows"),
        };
        if let Some(only) = only {
            return self.refuse(query, format!("a subquery isn't allowed here: {only}"));
        }
        if query.locks.is_empty() && query.pipe_operators.is_empty() {
            return body(query.body.as_ref()).map_or(ControlFlow::Continue(()), |message| self.refuse(query, message));
        }
        self.refuse(query, "only a plain SELECT is allowed here: no FOR UPDATE, no pipe operators".to_owned())
    }

    fn pre_visit_select(&mut self, select: &Select) -> Step {
        match &select.into {
            Some(into) => {
                self.refuse(into, "only one SELECT is allowed here, and SELECT INTO makes a table".to_owned())
            }
            None => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> Step {
        match factor {
            TableFactor::Table { name, args: None, .. } => self.table(name),
            TableFactor::Table { name, args: Some(_), .. } | TableFactor::Function { name, .. } => {
                self.table_function(name)
            }
            TableFactor::Derived { .. } | TableFactor::NestedJoin { .. } | TableFactor::UNNEST { .. } => {
                ControlFlow::Continue(())
            }
            other => self.refuse(other, format!("`{other}` isn't supported in FROM")),
        }
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> Step {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            // No place: finding it walks what is left of the tree, to its full depth.
            let message = format!("an expression is nested more than {MAX_DEPTH} deep: use IN, or split it with WITH");
            return ControlFlow::Break(SqlSyntaxError { offset: 0, message });
        }
        match expr {
            Expr::Function(function) => self.function(function),
            Expr::BinaryOp { op, left, .. } if JSON_OPERATORS.contains(op) => {
                let message =
                    format!("`{op}` isn't an operator here: write json_as_text({left}, 'key'), or json_get_int");
                self.refuse(expr, message)
            }
            _ => ControlFlow::Continue(()),
        }
    }

    fn post_visit_expr(&mut self, _: &Expr) -> Step {
        self.depth -= 1;
        ControlFlow::Continue(())
    }
}

/// Says why the body of a query isn't a SELECT, if it isn't.
fn body(body: &SetExpr) -> Option<String> {
    match body {
        SetExpr::Select(_) | SetExpr::Query(_) | SetExpr::Values(_) => None,
        SetExpr::SetOperation { left, right, .. } => self::body(left).or_else(|| self::body(right)),
        _ => Some("only one SELECT is allowed here".to_owned()),
    }
}

#[cfg(test)]
#[path = "sql_tests.rs"]
mod tests;
