//! `_window_start` and `_window_end` in SQL: the edges of the slice's window, where the text names them.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Ident, Select, SelectItem, VisitMut, VisitorMut};
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use super::{DIALECT, SqlSyntaxError, at, parser};

/// The first instant of a window, and the first after it: their names in SQL.
pub const WINDOW_NAMES: [&str; 2] = ["_window_start", "_window_end"];

/// Finds where a text first names an edge of the window; none where it names none, or isn't SQL.
#[must_use]
pub fn find_window(text: &str) -> Option<SqlSyntaxError> {
    let tokens = Tokenizer::new(&DIALECT, text).tokenize_with_location().ok()?;
    tokens.into_iter().find_map(|token| match &token.token {
        Token::Word(word) if WINDOW_NAMES.contains(&word.value.as_str()) => {
            let message =
                format!("`{}` is an edge of the slice's window, and this job's slices have no `window`", word.value);
            Some(at(text, token.span.start, message))
        }
        _ => None,
    })
}

/// Puts the edges of a window, RFC 3339, in the place of their names, those in `hidden` excepted. A column that is nothing but a name
/// keeps it.
pub fn bind_window(tree: &mut impl VisitMut, edges: &[String; 2], hidden: &[&str]) {
    let bound = |(name, edge): (&&'static str, &String)| {
        let instant = format!("arrow_cast('{edge}', 'Timestamp(Microsecond, Some(\"UTC\"))')");
        let instant = parser(&instant).ok()?.parse_expr().ok()?;
        (!hidden.contains(name)).then_some((*name, instant))
    };
    let mut edges = Edges(WINDOW_NAMES.iter().zip(edges).filter_map(bound).collect());
    // This visitor never breaks off.
    let _ = VisitMut::visit(tree, &mut edges);
}

struct Edges(Vec<(&'static str, Expr)>);

impl Edges {
    fn of(&self, expr: &Expr) -> Option<(Ident, Expr)> {
        let Expr::Identifier(name) = expr else { return None };
        let (_, edge) = self.0.iter().find(|(edge, _)| *edge == name.value)?;
        Some((name.clone(), edge.clone()))
    }
}

impl VisitorMut for Edges {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        for item in &mut select.projection {
            if let SelectItem::UnnamedExpr(expr) = item
                && let Some((alias, expr)) = self.of(expr)
            {
                *item = SelectItem::ExprWithAlias { expr, alias };
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Some((_, edge)) = self.of(expr) {
            *expr = edge;
        }
        ControlFlow::Continue(())
    }
}
