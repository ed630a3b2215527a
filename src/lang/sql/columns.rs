//! Which columns a SELECT gives, and an expression names, as far as the text alone says so.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, SelectItem, SetExpr, Statement, TableFactor, Visit, Visitor};
use datafusion::sql::sqlparser::tokenizer::Token;

use super::{RECORDS_TABLE, byte_offset, parse_select, parser};

/// Returns the columns that a SELECT gives, in their order. None where only the engine knows: with `*`, or where a column has no plain name.
#[must_use]
pub fn select_columns(text: &str, extra_tables: &[&str]) -> Option<Vec<String>> {
    match parse_select(text, extra_tables).ok()? {
        Statement::Query(query) => of_body(&query.body),
        _ => None,
    }
}

fn of_body(body: &SetExpr) -> Option<Vec<String>> {
    match body {
        SetExpr::Select(select) => select.projection.iter().map(name).collect(),
        SetExpr::Query(query) => of_body(&query.body),
        SetExpr::SetOperation { left, .. } => of_body(left),
        _ => None,
    }
}

fn name(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(alias.value.clone()),
        SelectItem::UnnamedExpr(Expr::Identifier(column)) => Some(column.value.clone()),
        SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) => match parts.as_slice() {
            [table, column] if table.value == RECORDS_TABLE => Some(column.value.clone()),
            _ => None,
        },
        _ => None,
    }
}

/// Returns the columns of a SELECT that are a field of another and have no name of their own, as they are written, and where each stands, in
/// bytes. The engine makes a name of them, such as `records.a[b]`.
#[must_use]
pub fn unnamed_fields(text: &str, extra_tables: &[&str]) -> Vec<(String, usize)> {
    let Ok(Statement::Query(query)) = parse_select(text, extra_tables) else { return Vec::new() };
    let SetExpr::Select(select) = &*query.body else { return Vec::new() };
    let factors = select
        .from
        .iter()
        .flat_map(|from| std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation)));
    let tables: Vec<String> = factors.filter_map(table_name).collect();
    let field = |item: &SelectItem| match item {
        SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) => {
            let is_column = matches!(parts.as_slice(), [table, _] if tables.contains(&table.value));
            let place = parts.first()?.span.start;
            let written: Vec<&str> = parts.iter().map(|part| part.value.as_str()).collect();
            (!is_column).then(|| (written.join("."), byte_offset(text, place.line, place.column)))
        }
        _ => None,
    };
    select.projection.iter().filter_map(field).collect()
}

/// Returns what columns of a table are qualified by.
fn table_name(factor: &TableFactor) -> Option<String> {
    match factor {
        TableFactor::Table { alias: Some(alias), .. } | TableFactor::Derived { alias: Some(alias), .. } => {
            Some(alias.name.value.clone())
        }
        TableFactor::Table { name, .. } => Some(name.0.last()?.as_ident()?.value.clone()),
        _ => None,
    }
}

/// Returns the columns that an expression names by a single word, each once; nothing where it is no expression.
#[must_use]
pub fn columns_named_in(text: &str) -> Vec<String> {
    struct Names(Vec<String>);
    impl Visitor for Names {
        type Break = ();
        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            if let Expr::Identifier(column) = expr
                && !self.0.contains(&column.value)
            {
                self.0.push(column.value.clone());
            }
            ControlFlow::Continue(())
        }
    }
    let mut names = Names(Vec::new());
    let Ok(mut parser) = parser(text) else { return Vec::new() };
    if let (Ok(expr), Token::EOF) = (parser.parse_expr(), parser.peek_token().token) {
        // This visitor never breaks off.
        let _ = Visit::visit(&expr, &mut names);
    }
    names.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_known_where_the_text_names_them() {
        let of = |text: &str| select_columns(text, &["t"]).map(|columns| columns.join(" "));
        let known = [
            ("SELECT id, upper(name) AS name, records.ts FROM records", "id name ts"),
            ("WITH a AS (SELECT * FROM records) SELECT x AS \"X y\" FROM a UNION ALL SELECT z FROM a", "X y"),
            ("(SELECT a FROM records) ORDER BY a", "a"),
        ];
        for (text, columns) in known {
            assert_eq!(of(text).as_deref(), Some(columns), "{text}");
        }
        for text in [
            "SELECT * FROM records",
            "SELECT t.* FROM t",
            "SELECT customer.name FROM records",
            "SELECT count(*) FROM records",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
    }

    #[test]
    fn fields_without_a_name_are_found() {
        let of = |text: &str| unnamed_fields(text, &["t"]);
        assert_eq!(
            of("SELECT id, o.b,\n  r.id, o.b AS c, r.o.b FROM records r JOIN t ON t.id = r.id WHERE o.x = 1"),
            [("o.b".to_owned(), 11), ("r.o.b".to_owned(), 34)]
        );
        assert_eq!(of("SELECT records.a, x.b FROM records, (SELECT 1 AS b) AS x"), []);
        assert_eq!(of("SELEC"), []);
    }

    #[test]
    fn an_expression_names_its_columns() {
        let of = |text: &str| columns_named_in(text).join(" ");
        assert_eq!(
            of("count(*) > 0 AND max(score) <= \"upper Bound\" AND max(score) > date_trunc('day', ts)"),
            "score upper Bound ts"
        );
        assert_eq!(of("extract(year FROM ts) = 2026 AND true AND a.b = CURRENT_DATE AND CAST(n AS INT) = 1"), "ts n");
        assert_eq!(of("count(") + &of("a = 1; DROP TABLE x"), "");
    }
}
