//! What the list of a SELECT says of its columns.

use datafusion::sql::sqlparser::ast::{SelectItem, SetExpr, Statement};

/// Tells whether a SELECT takes all columns of something (`*`), so that its text doesn't say which columns it gives. One that can't be
/// parsed does.
#[must_use]
pub fn selects_all(text: &str) -> bool {
    let statement = super::parser(text).ok().and_then(|mut parser| parser.parse_statement().ok());
    match statement {
        Some(Statement::Query(query)) => has_star(&query.body),
        _ => true,
    }
}

fn has_star(body: &SetExpr) -> bool {
    match body {
        SetExpr::Select(select) => select
            .projection
            .iter()
            .any(|item| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..))),
        SetExpr::Query(query) => has_star(&query.body),
        // The names are those of the left side, and the right one must have as many columns.
        SetExpr::SetOperation { left, .. } => has_star(left),
        SetExpr::Values(_) => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_leaves_the_columns_to_the_records() {
        for sql in [
            "SELECT * FROM records",
            "SELECT r.*, 1 AS one FROM records r",
            "WITH x AS (SELECT a FROM records) SELECT * FROM x",
            "SELECT * FROM records UNION ALL SELECT * FROM records",
            "(SELECT * FROM records)",
            "SELEC",
        ] {
            assert!(selects_all(sql), "{sql}");
        }
        for sql in [
            "SELECT a, count(*) AS n FROM records GROUP BY a",
            "WITH x AS (SELECT * FROM records) SELECT a FROM x",
            "SELECT a FROM (SELECT * FROM records)",
            "SELECT a * 2 AS b FROM records UNION ALL SELECT b FROM records",
        ] {
            assert!(!selects_all(sql), "{sql}");
        }
    }
}
