//! Where the API is and how it is talked to: the keys that `source` and each job share.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use super::super::load::{Jq, RequestValue, Spanned, Tmpl};
use super::{Auth, ByteSize, Duration, Rate};

/// Adds the keys that `source` and every job share to a struct, so that each has one comment and one type.
macro_rules! with_source_keys {
    ($(#[$attribute:meta])* pub struct $name:ident { $($own:tt)* }) => {
        $(#[$attribute])*
        pub struct $name {
            $($own)*
            /// The origin of the API and a path that all requests begin with: `https://host:3000/api`. It holds no template.
            #[serde(default)]
            pub base_url: Option<Tmpl>,
            /// How requests are authenticated. Default: `none`.
            #[serde(default)]
            pub auth: Option<Spanned<Auth>>,
            /// jq: whether an answer says that the credential was refused. Sees `$status`, `$headers` and the body.
            /// Default: `$status == 401`.
            #[serde(default)]
            pub auth_failed: Option<Jq>,
            /// jq: whether an answer is a success, beside its 2xx status. Default: every 2xx is.
            #[serde(default)]
            pub success: Option<Jq>,
            /// jq: the server's own words about a failure, for our error message.
            #[serde(default)]
            pub error_message: Option<Jq>,
            /// jq: whether an answer is a page with no rows, such as 204, or 404 for a missing day. Sees `$status`.
            #[serde(default)]
            pub empty: Option<Jq>,
            /// Headers of every request. Values may hold templates.
            #[serde(default)]
            pub headers: IndexMap<Spanned<String>, RequestValue>,
            /// Query parameters of every request. A list is sent as one parameter for each item (`status: [open, done]`), an object as JSON.
            #[serde(default)]
            pub query: IndexMap<Spanned<String>, RequestValue>,
            /// How long to wait for the server. Default: as its parts say.
            #[serde(default)]
            pub timeout: Option<TimeoutFile>,
            /// How often to try again, and when. Default: as its parts say.
            #[serde(default)]
            pub retry: Option<RetryFile>,
            /// The most requests in a time, over all jobs that share the credential and the host: `10/s`. Default: no bound.
            #[serde(default)]
            pub rate_limit: Option<Rate>,
            /// The most requests to the host at one time, of all slices and their pages. Default: `4`. `1` for a server whose session
            /// moves on with every answer.
            #[serde(default)]
            #[schemars(range(min = 1, max = 256))]
            pub concurrency: Option<Spanned<u32>>,
            /// How TLS is verified.
            #[serde(default)]
            pub tls: Option<TlsFile>,
            /// The proxy's URL: `http://proxy:3128`, or `https://`. A user and a password come from the environment:
            /// `http://${PROXY_USER}:${PROXY_PASSWORD}@proxy:3128`, each percent-encoded where it holds `@`, `:` or `/`. Hosts that
            /// `NO_PROXY` names are asked directly. Default: as the environment says (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`,
            /// `NO_PROXY`), but never for this very machine.
            #[serde(default)]
            pub proxy: Option<Tmpl>,
            /// The format of answers. Default: `json`.
            #[serde(default)]
            pub format: Option<Spanned<FormatFile>>,
            /// The largest answer that is read, after decompression. Default: `64MiB`.
            #[serde(default)]
            pub max_response: Option<ByteSize>,
        }
    };
}
pub(super) use with_source_keys;

with_source_keys! {
    /// What all jobs share.
    #[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    pub struct SourceFile {}
}

/// How long to wait for the server.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TimeoutFile {
    /// Until a connection stands. Default: `10s`.
    #[serde(default)]
    pub connect: Option<Duration>,
    /// Until the whole answer is there. Default: `2m`.
    #[serde(default)]
    pub request: Option<Duration>,
    /// The longest silence in the middle of an answer, once its headers have come. Default: `1m`.
    #[serde(default)]
    pub read: Option<Duration>,
}

/// How often to try again, and when. A connection that fails or breaks, a timeout, an answer that is cut off, and the statuses
/// 408, 421, 425, 429 and 5xx (but 501 and 505) are tried again, after a pause that doubles and is partly random, or that `Retry-After`
/// names. An answer that `auth_failed` or `empty` takes is never tried again. A connection that was kept and that the server has closed
/// meanwhile is no try: the request goes by another at once.
///
/// In one run a job has a hundred retries, and one more for every two requests that are answered; pauses that the server itself
/// asks for aren't counted. Once three requests in a row have failed, each with all its tries, and that for two minutes, the
/// server is taken for dead, and the job's other slices fail at once. 429 and 503 also halve the requests that are out to the host at
/// one time; each full round of other answers adds one again, up to `concurrency`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryFile {
    /// Tries in all, the first included. Default: `5`.
    #[serde(default)]
    #[schemars(range(min = 1, max = 100))]
    pub attempts: Option<Spanned<u32>>,
    /// The longest pause between two tries, also where `Retry-After` asks for more. Default: `1m`.
    #[serde(default)]
    pub max_delay: Option<Duration>,
    /// jq: other answers that are worth another try, such as `.status == "busy"`. Sees what `success` sees. An answer for which
    /// it still holds after the last try is an error.
    #[serde(default)]
    pub when: Option<Jq>,
    /// jq: how many seconds to wait, where it isn't in `Retry-After`; null says nothing. Sees what `success` sees, and `$now`, the
    /// present instant in seconds since 1970: `($headers["x-ratelimit-reset"] | tonumber) - $now`.
    #[serde(default)]
    pub after: Option<Jq>,
}

/// How TLS is verified.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsFile {
    /// A PEM file of certificates to trust, beside those of the system: of the authority that signed the server's, or the server's own.
    /// A relative path counts from the pipeline file.
    #[serde(default)]
    pub ca_file: Option<Spanned<String>>,
    /// A PEM file with the client's certificate, and those between it and its authority. A relative path counts from the pipeline
    /// file.
    #[serde(default)]
    pub client_cert: Option<Spanned<String>>,
    /// A PEM file with the client's private key, not encrypted. Default: the key stands in `client_cert`.
    #[serde(default)]
    pub client_key: Option<Spanned<String>>,
    /// Trusts any certificate. Whoever stands between can read the credential: use `ca_file` instead where you can. `validate` and each
    /// run say that it is set. Default: `false`.
    #[serde(default)]
    pub insecure_skip_verify: Option<Spanned<bool>>,
}

/// The format of answers. They may be compressed: `content-encoding` with `gzip`, `deflate`, `br` or `zstd`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FormatFile {
    /// One JSON document.
    #[default]
    Json,
    /// One JSON document a line (JSON Lines, NDJSON). A page is the list of them: `records: '.[]'` takes each for a record, and a
    /// jq program sees the list, such as `.[] | .results[]`. Blank lines are skipped; a line that isn't JSON is an error that
    /// names it. An empty body is an error, unless `records` is `.[]?`. With `.[]` the other expressions see null of the page,
    /// beside `$rows`, `$first`, `$last`, `$status` and `$headers`.
    Jsonl,
    /// Comma-separated values (RFC 4180). A page is the list of its rows, as objects by the names of the columns:
    /// `records: '.[]'` takes each for a record, and a jq program sees the list. All values are texts, which
    /// `schema.columns` can type by hand. A cell with nothing in it is null, and `""` is an empty text (null in a column
    /// that another type was given to by hand). A row with too many cells or too few goes to quarantine, or is an error where
    /// a program sees it. Blank lines are skipped. Of empty bodies and of other expressions the same holds as for `jsonl`;
    /// `success` and `error_message` also see a JSON document that comes instead of a table.
    Csv(CsvFormat),
}

/// The dialect of CSV answers.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CsvFormat {
    /// The character between two cells, ASCII. Default: `,`.
    #[serde(default)]
    pub delimiter: Option<Spanned<String>>,
    /// Whether the first line of a page names its columns. Default: `true`. A name that comes twice is an error, an empty one
    /// is `c` and the number of the column. Without a header the columns are `c1`, `c2` and so on, as many as the first
    /// row had that ever came: later rows with another number of cells don't fit, since all that follows may have moved.
    /// With one, a page fails its slice that doesn't name the `key`, or a column that the slice's first page has: see `sparse`.
    #[serde(default)]
    pub header: Option<bool>,
    /// Whether the server leaves out columns that have no value on a page: they are null there. Default: `false`, since an error message
    /// or a table of another kind would pass for a page with other columns.
    #[serde(default)]
    pub sparse: Option<Spanned<bool>>,
}
