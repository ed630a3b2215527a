//! A job: one paginated request, its slices, its rows and its sinks.

use std::fmt;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{self, Deserializer};

use super::super::load::{Jq, OneOrMany, RequestValue, Spanned, Sql, Tmpl};
use super::source::with_source_keys;
use super::{
    Auth, ByteSize, FormatFile, IncrementalFile, PaginateFile, Rate, RetryFile, SinkFile, SnapshotMode, TimeoutFile,
    TlsFile, WindowFile,
};

with_source_keys! {
    /// A job. One that lands data has `sinks` and exactly one of `window`, `incremental` and `snapshot`; one without `sinks`
    /// only feeds `for_each` of others, and is read in every run.
    #[derive(Debug, Clone, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    pub struct JobFile {
        /// A GET request; the path is appended to `base_url`. Values of templates in it are escaped as one segment, so a `/` in a
        /// value becomes `%2F`: give an owner and a name as two values.
        #[serde(default)]
        pub get: Option<Tmpl>,
        /// A POST request.
        #[serde(default)]
        pub post: Option<Tmpl>,
        /// A PUT request.
        #[serde(default)]
        pub put: Option<Tmpl>,
        /// A DELETE request.
        #[serde(default)]
        pub delete: Option<Tmpl>,
        /// The JSON body.
        #[serde(default)]
        pub body: Option<Spanned<RequestValue>>,
        /// The form fields, sent as `application/x-www-form-urlencoded`. A list is sent as one field for each item, an object as JSON.
        #[serde(default)]
        pub form: Option<Spanned<IndexMap<Spanned<String>, RequestValue>>>,
        /// Repeats the job for each row of another one, or for each of some values.
        #[serde(default)]
        pub for_each: Option<Spanned<ForEach>>,
        /// Slices by time.
        #[serde(default)]
        pub window: Option<Spanned<WindowFile>>,
        /// Slices by a growing cursor.
        #[serde(default)]
        pub incremental: Option<Spanned<IncrementalFile>>,
        /// Slices by the whole list.
        #[serde(default)]
        pub snapshot: Option<Spanned<SnapshotMode>>,
        /// How to get from one page to the next. There is no default.
        pub paginate: Spanned<PaginateFile>,
        /// Where the records are: a plain path such as `.rsp.records[]`, a list of them, or a jq program. With `[]?` at its end a path
        /// whose list is missing or null, or that meets `[]` in place of an object, means no rows, else it is an error. Where `format` is `jsonl` or
        /// `csv` a page is a list: `.[]` is one record a line or row.
        pub records: Spanned<OneOrMany<Jq>>,
        /// jq: how many rows the server put on the page, where `records` is a program.
        #[serde(default)]
        pub rows: Option<Jq>,
        /// Columns of `records` that identify a row within a slice; of equal ones the last received stays.
        #[serde(default)]
        pub key: Option<Spanned<OneOrMany<Spanned<String>>>>,
        /// SQL over `records`, such as `updated_at`: of rows with one `key` the one with the greatest value stays, instead of
        /// the last received. Null is smaller than any value; of equal ones the last received stays. Texts compare as texts,
        /// so cast what is a number or a time. A row in which it fails goes to quarantine, and replaces no other.
        #[serde(default)]
        pub latest_by: Option<Sql>,
        /// Types, and what happens when they change.
        #[serde(default)]
        pub schema: Option<SchemaFile>,
        /// SQL: one SELECT over the table `records`. Names are case-sensitive, as in the records; those with dots, blanks or `@` stand
        /// in double quotes. Default: all columns.
        ///
        /// It is the SELECT of Apache DataFusion, with all its functions but `random()`, `uuid()` and `version()`, and these:
        /// `parse_timestamp(text, '%Y-%m-%d %H:%M:%S', 'Europe/Rome')`; `ip_in(ip, '10.0.0.0/8')`; `ip_version(ip)`, 4 or 6;
        /// `html_text(html)`, the text of HTML of at most 1 MiB. For columns of JSON, with keys and indexes from 0 as the way in:
        /// `json_get_str(column, 'key', 0)`, `json_get_int`, `json_get_float`, `json_get_bool`, `json_get_array`, `json_get_json`,
        /// each null where there is nothing or something of another type; `json_as_text`, whatever it is, a number with all its
        /// digits; `json_contains`, `json_length`, `json_object_keys`. In jobs with a `window`, here and in `where` and `expect`,
        /// `_window_start` and `_window_end` are the edges of the slice's window, timestamps in UTC, unless a column has that name.
        #[serde(default)]
        pub transform: Option<Sql>,
        /// Reference tables that the transform may join.
        #[serde(default)]
        pub tables: Option<Spanned<IndexMap<Spanned<String>, TableFile>>>,
        /// Checks of the transform's rows, before anything of the slice lands: `{sql: count(*) > 0}`, `{not_null: [id, ts]}`,
        /// `{unique: [id]}`. A slice with no rows is checked too, by `sql`: a condition without an aggregate holds then.
        #[serde(default)]
        pub expect: Option<Spanned<Vec<Expectation>>>,
        /// Child requests, one for each row that is received, whose answers become columns of `records`, by name. The columns
        /// are typed like any other; a later one sees those before it in `row`. They are sent as the pages are: with the
        /// source's credential, tries, `rate_limit` and `concurrency`. A slice sends the same one only once, and a row whose
        /// `window.time` lies outside of the slice has none. Where the job feeds others, those see its rows without the columns.
        #[serde(default)]
        pub enrich: Option<Spanned<IndexMap<Spanned<String>, Enrich>>>,
        /// What happens when the rows received aren't those that the server said it has. Default: `fail`. A list that moves while
        /// it is read is a case for `refetch`.
        #[serde(default)]
        pub on_mismatch: Option<Spanned<OnMismatch>>,
        /// Where the rows land, by name (`[a-z0-9_]+`).
        #[serde(default)]
        pub sinks: IndexMap<Spanned<String>, SinkFile>,
    }
}

/// What a job is repeated for.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForEach {
    /// The rows of another job, which has no `window` and no `incremental`. It may have a `for_each` of its own: its rows then have the
    /// columns of that key too.
    #[serde(default)]
    pub rows_of: Option<Spanned<String>>,
    /// Some values: texts, numbers or booleans, or maps of several fields with a `key:` that names those that tell them apart.
    #[serde(default)]
    pub values: Option<Vec<Spanned<RequestValue>>>,
    /// The name under which templates see the row or value.
    #[serde(rename = "as")]
    pub name: Spanned<String>,
    /// The columns of the row that identify it, or the fields of a listed map. They become columns of `records`. Listed plain values
    /// are their own key, and a column by their `as` name. A record that has another value in such a column doesn't fit: where records
    /// have an `id` of their own, the parent's goes by another name, such as `records: '.customers[] | {customer: .id}'` there.
    #[serde(default)]
    pub key: Option<OneOrMany<Spanned<String>>>,
    /// Other columns of `records`, by name: jq on the row.
    #[serde(default)]
    pub columns: IndexMap<Spanned<String>, Jq>,
    /// The most keys; one more is an error. Default: `10000`.
    #[serde(default)]
    pub max_keys: Option<Spanned<u64>>,
}

/// Types, and what happens when they change.
///
/// The columns of the first slice with rows are pinned, and their types stay, so that the files of all days can be read as one table.
/// A value that doesn't fit its column is a bad row. `tidegate schema show` tells what is pinned, `tidegate schema diff` how the API
/// and this file differ from it, and `tidegate schema accept` takes that in. What a change does to the files that have landed:
///
/// | pinned | now | effect |
/// |---|---|---|
/// | `null` | `string` | joins: a column of nulls takes any type, and so does a new column |
/// | `list<null>` | `list<int64>` | joins |
/// | `struct<a: int64>` | `struct<a: int64, b: bool>` | joins |
/// | `int64` | `decimal(19, 0)` | widens: 19 digits before the point, or more |
/// | `uint64` | `decimal(20, 0)` | widens: 20 digits before the point, or more |
/// | `decimal(10, 2)` | `decimal(12, 3)` | widens: no fewer digits before the point, and none after it |
/// | `int64` | `decimal(20, 2)` | breaks: not all integers fit |
/// | `int64` | `uint64` | breaks: negative ones don't fit |
/// | `int64` | `float64` | breaks: digits beyond 2^53 get lost |
/// | `int64` | `string` | breaks: many readers don't cast |
/// | `date` | `timestamp` | breaks: readers take their own zone for it |
/// | `string` | `json` | breaks: the text `a` is `"a"` as JSON |
/// | `struct<a: int64>` | `json` | breaks, as does anything else |
///
/// A run takes in what `joins` by itself under `contract: evolve`. What `widens` is safe, too, but waits for `accept`. What `breaks` is
/// accepted only with `--breaking`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SchemaFile {
    /// What happens when the records change. Default: `evolve`.
    #[serde(default)]
    pub contract: Contract,
    /// What happens to a row that doesn't fit. Default: `quarantine`.
    #[serde(default)]
    pub bad_rows: Option<Spanned<BadRows>>,
    /// How many rows of a slice may land in quarantine: a number, or a share of the rows received such as `1%`. With more, the slice
    /// fails and nothing of it lands. Default: no bound, but a slice none of whose rows fits fails: `100%` lands it.
    #[serde(default)]
    pub max_bad_rows: Option<Spanned<RequestValue>>,
    /// Types by hand, by column: `bool`, `int64`, `uint64`, `float64`, `decimal(38, 2)`, `string`, `timestamp`, `date`, `json`,
    /// `list<string>`, `struct<id: int64, "a b": string>`. A column or field named here exists even if it is never seen; other
    /// fields of an object join it as `contract` says.
    ///
    /// `timestamp` reads RFC 3339; `timestamp(s)`, `(ms)`, `(us)`, `(ns)` read numbers since 1970-01-01T00:00Z; and
    /// `timestamp("%Y-%m-%d %H:%M:%S", "Europe/Rome")` reads texts of that strftime format, on the clocks of that zone (UTC where none
    /// is named): a time that the clocks showed twice is the first, one that they skipped counts with the offset from before. All land
    /// in microseconds, UTC; what is finer is cut. `date` reads `2026-01-31`, or another format: `date("%d/%m/%Y")`.
    ///
    /// Numbers and booleans by hand are taken from texts as well (`"42"`), and a `string` takes numbers and booleans as the text
    /// that they came as. A `decimal` keeps every digit, or the row doesn't fit; so does an integer, however it is written: `1e2` and
    /// `100.0` are 100, and `-0` is 0.
    #[serde(default)]
    pub columns: IndexMap<Spanned<String>, Spanned<String>>,
}

/// What happens when the records change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Contract {
    /// New fields become new columns, and a column of nulls takes the first type that comes.
    #[default]
    Evolve,
    /// A row with a new field doesn't fit.
    Freeze,
    /// New fields are dropped and counted.
    Discard,
}

/// What happens to a row that doesn't fit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BadRows {
    /// It lands in quarantine, with the reason.
    #[default]
    Quarantine,
    /// The slice fails.
    Fail,
    /// The values that don't fit become null, and are counted. What isn't an object, has a key twice, or has a field that
    /// `contract: freeze` doesn't know still lands in quarantine. Put it in single quotes: `'null'`.
    Null,
}

/// A table that a transform may join: a file, or a folder whose files of that kind are read in the order of their names. A relative
/// path counts from the pipeline file; `s3://bucket/path` and its like name an object, or a prefix that ends in `/`, and credentials
/// come from the environment, as for sinks. It is read once in every run of the job, into memory: 256 MiB for all tables together.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TableFile {
    /// CSV files (`.csv`), with a header. All columns are text: cast them.
    Csv(Spanned<String>),
    /// Parquet files (`.parquet`).
    Parquet(Spanned<String>),
    /// JSON Lines files (`.jsonl`, `.ndjson`, `.json`), typed as records are.
    Json(Spanned<String>),
}

/// A check of the transform's rows: one of `sql`, `not_null` and `unique`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// SQL that must be true: with aggregates once, over all rows of the slice, `count(*) > 0`, `max(score) <= 100`; without, of
    /// each row, `score <= 100`, and a null isn't true.
    #[serde(default)]
    pub sql: Option<Sql>,
    /// Columns without nulls.
    #[serde(default)]
    pub not_null: Option<OneOrMany<Spanned<String>>>,
    /// Columns whose values together come once.
    #[serde(default)]
    pub unique: Option<OneOrMany<Spanned<String>>>,
    /// What happens where it isn't met. Default: `fail`.
    #[serde(default)]
    pub severity: Severity,
}

/// What happens where an expectation isn't met.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The slice fails, and nothing of it lands.
    #[default]
    Fail,
    /// The slice lands, and the report warns.
    Warn,
}

/// A child request for each row.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Enrich {
    /// A GET request; the path is appended to `base_url`. Templates see `row`, the record as it came, and what those of the
    /// job see but `cursor`. A field that a row doesn't have is an error: `{{ row.id | default('') }}`.
    pub get: Tmpl,
    /// Query parameters, beside those of the source. Headers are those of the source and the job.
    #[serde(default)]
    pub query: IndexMap<Spanned<String>, RequestValue>,
    /// jq: the column's value in the answer, which is JSON, whatever `format` says, and which the source's `auth_failed`, `success` and `error_message` judge first
    /// (`empty` doesn't). No output is null; several are an error.
    pub value: Jq,
    /// What an answer that is an error does: one that the rules call so, a status such as 404 or 500, a body that isn't JSON.
    /// Default: `fail`.
    ///
    /// Whatever it says, the slice fails without an answer, with 429, 502, 503 or 504 after the last try, with a refused
    /// credential, and where a template or `value` fails.
    #[serde(default)]
    pub on_error: EnrichError,
}

/// What an answer to a child request that is an error does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum EnrichError {
    /// The slice fails.
    #[default]
    Fail,
    /// The column is null in that row, which the report counts. Put it in single quotes: `'null'`. A slice that is read
    /// again asks again: a detail that is gone by then is null in the rows that replace the landed ones.
    Null,
}

/// What happens when the rows received aren't those that the server said it has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnMismatch {
    /// The slice doesn't land.
    #[default]
    Fail,
    /// The slice lands, and the report warns.
    Warn,
    /// The slice is read until it is known to be whole: a slice of one page once, any other at least twice, and six times at most.
    /// It lands once a pass adds no row to those before, and all rows seen since some pass began were known before it, and are as
    /// many as its first page stated as the `total`: then they are the list as it was at that moment. Rows that were gone by then
    /// don't land. Without a `total` two passes must show the same rows, each once. A slice that never comes to rest fails. Rows
    /// are told apart by `key`, which is required; not for `incremental`. A parent is read so too, by its `key`, or else by all
    /// that its rows hold. It takes for granted that all answers come of one list (not of copies of which one is behind), and that a row
    /// which goes doesn't come back under its key meanwhile.
    Refetch,
}

impl<'de> Deserialize<'de> for EnrichError {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ErrorVisitor;

        impl de::Visitor<'_> for ErrorVisitor {
            type Value = EnrichError;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`fail` or `'null'`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<EnrichError, E> {
                match text {
                    "fail" => Ok(EnrichError::Fail),
                    "null" => Ok(EnrichError::Null),
                    other => Err(E::unknown_variant(other, &["fail", "null"])),
                }
            }

            fn visit_unit<E: de::Error>(self) -> Result<EnrichError, E> {
                Err(E::custom("without quotes this is nothing at all; write `fail` or, in single quotes, `'null'`"))
            }
        }

        deserializer.deserialize_any(ErrorVisitor)
    }
}
