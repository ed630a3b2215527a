//! Filters, order and pages of the alert lists (vendors.md A6 and A10 "Alerts").

use super::answer::with_commas;
use super::generate::MAX_LATENESS;
use super::journal::Inserted;
use super::json::{Json, table};
use super::params::Params;
use crate::appliance::dice::{below, mix};

/// A column of an alert table.
pub(super) enum Column<T> {
    Int(fn(&T) -> i64),
    Text(fn(&T) -> String),
}

/// A row of an alert table.
pub(super) trait Alert: Inserted + Sized {
    /// The first columns and the table of the query that `stats` shows.
    const SELECT: &'static str;
    fn acknowledged(&self) -> bool;
    fn row_id(&self) -> i64;
    /// The column called `name` in requests and queries.
    fn column(name: &str) -> Option<Column<Self>>;
}

/// Which alerts a list shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Historical,
    Acknowledged,
    Engaged,
    Any,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    Eq,
    Neq,
    Lt,
    Lte,
    Gt,
    Gte,
}

impl Op {
    fn parse(name: &str) -> Self {
        match name {
            "neq" => Self::Neq,
            "lt" => Self::Lt,
            "lte" => Self::Lte,
            "gt" => Self::Gt,
            "gte" => Self::Gte,
            _ => Self::Eq,
        }
    }

    const fn sql(self) -> &'static str {
        match self {
            Self::Eq => "=",
            Self::Neq => "!=",
            Self::Lt => "<",
            Self::Lte => "<=",
            Self::Gt => ">",
            Self::Gte => ">=",
        }
    }

    fn holds<V: PartialOrd>(self, left: &V, right: &V) -> bool {
        match self {
            Self::Eq => left == right,
            Self::Neq => left != right,
            Self::Lt => left < right,
            Self::Lte => left <= right,
            Self::Gt => left > right,
            Self::Gte => left >= right,
        }
    }
}

/// The tests of one column: any of its equalities and all of its other comparisons must hold.
#[derive(Debug)]
struct Condition {
    column: String,
    tests: Vec<(String, Op)>,
}

/// A request for a list of alerts.
#[derive(Debug)]
pub(super) struct AlertQuery {
    pub(super) status: Status,
    /// First and last second, both included; only where both were given.
    pub(super) epoch: Option<(i64, i64)>,
    conditions: Vec<Condition>,
    sort: Option<(String, bool)>,
    start: i64,
    pub(super) length: Option<i64>,
}

/// What a list request selects.
#[derive(Debug)]
pub(super) struct Selection<'a, T> {
    pub(super) rows: Vec<&'a T>,
    /// Rows under the filter, whatever the page.
    pub(super) total: usize,
}

/// How a selection may differ from `SQLite`'s.
#[derive(Debug, Clone, Copy)]
pub(super) struct Oddities {
    /// Decides on the order of rows that the query leaves open.
    pub(super) shuffle: Option<u64>,
    pub(super) cap: Option<usize>,
}

impl AlertQuery {
    /// Reads the request. Parameters that aren't columns of `T` are no filter.
    pub(super) fn read<T: Alert>(params: &Params) -> Self {
        let conditions = params
            .iter()
            .filter(|(name, _)| is_filter(name) && T::column(name).is_some())
            .map(|(name, value)| Condition { column: name.to_owned(), tests: tests_of(value) })
            .collect();
        Self {
            status: match params.get("status") {
                Some("acknowledged") => Status::Acknowledged,
                Some("engaged") => Status::Engaged,
                Some("any") => Status::Any,
                _ => Status::Historical,
            },
            epoch: params.number("epoch_begin").zip(params.number("epoch_end")),
            conditions,
            sort: params.get("sort").map(|column| (column.to_owned(), params.get("order") == Some("desc"))),
            start: params.number("start").unwrap_or(0),
            length: params.number("length"),
        }
    }

    /// Applies the query to `rows`, which are in order of insertion.
    pub(super) fn select<'a, T: Alert>(&self, rows: &'a [T], oddities: Oddities) -> Selection<'a, T> {
        let filters: Vec<_> = self.conditions.iter().filter_map(Filter::<T>::compile).collect();
        let mut selected: Vec<&T> = self
            .candidates(rows)
            .iter()
            .filter(|row| self.shows(*row) && filters.iter().all(|filter| filter.holds(row)))
            .collect();
        let total = selected.len();
        if let Some(salt) = oddities.shuffle {
            selected.sort_by_cached_key(|row| mix(salt, row.row_id().unsigned_abs()));
        }
        if !self.sort(&mut selected) {
            selected.clear();
        }
        let mut rows = self.page(selected);
        rows.truncate(oddities.cap.unwrap_or(usize::MAX));
        Selection { rows, total }
    }

    /// Cuts `rows` down by what insertion order tells, so that a page of a million rows doesn't cost a look at each.
    fn candidates<'a, T: Alert>(&self, rows: &'a [T]) -> &'a [T] {
        let (mut from, mut to) = (0, rows.len());
        if let Some((begin, end)) = self.epoch {
            from = rows.partition_point(|row| row.inserted_at() < begin);
            to = rows.partition_point(|row| row.inserted_at() <= end.saturating_add(MAX_LATENESS));
        }
        let floor = self.conditions.iter().filter(|condition| condition.column == "row_id").flat_map(|c| &c.tests);
        for (value, op) in floor {
            if let (Op::Gt | Op::Gte, Ok(value)) = (op, value.parse::<i64>()) {
                from = from.max(rows.partition_point(|row| row.row_id() < value));
            }
        }
        rows.get(from..to.max(from)).unwrap_or_default()
    }

    fn shows<T: Alert>(&self, row: &T) -> bool {
        let status = match self.status {
            Status::Historical => !row.acknowledged(),
            Status::Acknowledged => row.acknowledged(),
            Status::Engaged | Status::Any => true,
        };
        status && self.epoch.is_none_or(|(begin, end)| begin <= row.tstamp() && row.tstamp() <= end)
    }

    /// Sorts; `false` where the column is an error in SQL, which the real one swallows.
    fn sort<T: Alert>(&self, rows: &mut [&T]) -> bool {
        let Some((name, descending)) = &self.sort else { return true };
        let column = match name.as_str() {
            "rowid" => Some(Column::Int(T::row_id)),
            // A name of the API only: in the table the column is called rowid.
            "row_id" => None,
            name => T::column(name),
        };
        match column {
            None => return false,
            Some(Column::Int(key)) => rows.sort_by_key(|row| if *descending { -key(row) } else { key(row) }),
            Some(Column::Text(key)) if *descending => rows.sort_by_cached_key(|row| std::cmp::Reverse(key(row))),
            Some(Column::Text(key)) => rows.sort_by_cached_key(|row| key(row)),
        }
        true
    }

    /// Cuts out the page. Without a length there is no limit, and the start is ignored too.
    fn page<'a, T>(&self, rows: Vec<&'a T>) -> Vec<&'a T> {
        let Some(length) = self.length else { return rows };
        let start = usize::try_from(self.start).unwrap_or(0);
        let length = usize::try_from(length).unwrap_or(0);
        rows.into_iter().skip(start).take(length).collect()
    }

    /// The query and its cost, as `stats` shows them.
    pub(super) fn stats<T: Alert>(&self, total: usize, salt: u64) -> Json {
        // Between 0.25 and 1.75 ms, as where the fixtures were taken.
        let micros = 250 + below(salt, 1500);
        let per_second = total * 1_000_000 / micros as usize;
        let processed = format!("Processed {} records [{} records/sec]", with_commas(total), with_commas(per_second));
        table([
            ("query", self.sql::<T>().into()),
            ("query_duration_msec", (f64::from(micros) / 1000.0).into()),
            ("num_records_processed", processed.into()),
        ])
    }

    fn sql<T: Alert>(&self) -> String {
        let mut clauses = Vec::new();
        if let Some((begin, end)) = self.epoch {
            clauses.push(format!(" tstamp >= {begin} AND tstamp <= {end} "));
        }
        match self.status {
            Status::Historical => clauses.push(" alert_status = 0 ".to_owned()),
            Status::Acknowledged => clauses.push(" alert_status = 2 ".to_owned()),
            Status::Engaged | Status::Any => {}
        }
        for condition in &self.conditions {
            let column = if condition.column == "row_id" { "rowid" } else { &condition.column };
            let tests = condition.tests.iter().map(|(value, op)| format!("{column} {} '{value}'", op.sql()));
            clauses.push(format!(" {} ", tests.collect::<Vec<_>>().join(" OR ")));
        }
        let filter = if clauses.is_empty() { " 1 = 1 ".to_owned() } else { clauses.join("AND") };
        let order = self.sort.as_ref().map_or(String::new(), |(column, descending)| {
            format!("ORDER BY {column} {}", if *descending { "desc" } else { "asc" })
        });
        let limit = self.length.map_or(String::new(), |length| format!(" LIMIT {length} OFFSET {}", self.start));
        format!(" SELECT {} WHERE ({filter}) {order}{limit}", T::SELECT)
    }
}

/// Tells whether a parameter is a filter: not what a column's name means elsewhere in the request.
fn is_filter(name: &str) -> bool {
    !matches!(name, "sort" | "order" | "start" | "length" | "status" | "format" | "ifid")
}

/// Reads `5,7;neq`: values with their operators, `eq` where none is given.
fn tests_of(value: &str) -> Vec<(String, Op)> {
    let test = |part: &str| {
        let (value, op) = part.rsplit_once(';').unwrap_or((part, "eq"));
        (value.to_owned(), Op::parse(op))
    };
    value.split(',').filter(|part| !part.is_empty()).map(test).collect()
}

/// A condition with its column looked up and its values read.
enum Filter<T> {
    Int(fn(&T) -> i64, Vec<(i64, Op)>),
    Text(fn(&T) -> String, Vec<(String, Op)>),
}

impl<T: Alert> Filter<T> {
    /// `None` where the column is unknown or none of the values fits it: the real one drops those.
    fn compile(condition: &Condition) -> Option<Self> {
        let numbers = || condition.tests.iter().filter_map(|(value, op)| Some((value.parse().ok()?, *op))).collect();
        match T::column(&condition.column)? {
            Column::Int(column) => Some(Self::Int(column, numbers())),
            Column::Text(column) => Some(Self::Text(column, condition.tests.clone())),
        }
    }

    fn holds(&self, row: &T) -> bool {
        match self {
            Self::Int(column, tests) => all_hold(&column(row), tests),
            Self::Text(column, tests) => all_hold(&column(row), tests),
        }
    }
}

fn all_hold<V: PartialOrd>(value: &V, tests: &[(V, Op)]) -> bool {
    let (equal, other): (Vec<_>, Vec<_>) = tests.iter().partition(|(_, op)| *op == Op::Eq);
    let any_equal = equal.is_empty() || equal.iter().any(|(wanted, _)| value == wanted);
    any_equal && other.iter().all(|(bound, op)| op.holds(value, bound))
}

#[cfg(test)]
#[path = "alert_query_tests.rs"]
mod tests;
