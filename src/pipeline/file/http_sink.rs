//! Rows that are sent to an HTTP end point: an outbox.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use super::super::load::{Jq, OneOrMany, RequestValue, Spanned, Tmpl};
use super::source::with_source_keys;
use super::{Auth, ByteSize, Duration, FormatFile, Rate, RetryFile, TimeoutFile, TlsFile};

with_source_keys! {
    /// Requests to an HTTP end point, one for each row or each batch of rows.
    ///
    /// The rows land in an outbox beside the state (`<state>/<pipeline>/outbox/<job>/<sink>`), in the same commit as those of the
    /// other sinks. At the end of each run, and by `tidegate deliver`, those are sent whose `key` this sink never sent before, over all
    /// slices, in the order of the slices and their rows. A row that a later reading of its slice no longer has, and that wasn't
    /// sent by then, isn't sent any more.
    ///
    /// Each row is sent at least once. With a `find` that shows what was created once `lag` has passed, with a server that refuses what is
    /// there already as `exists` says, or with an `idempotency_key` that it honours, it is created once, whatever happens: a request with
    /// such a key of which nobody knows whether it was heard is sent again before all others, as it was, whatever the source has by then
    /// (`deliver --refused` sends it as it has landed since). With none of them, the requests go one by one, and each that may have been
    /// heard though no answer came (a process that was killed, a timeout, a broken connection, a status of 500 and above) is sent again:
    /// the report counts the rows in it as `maybe_sent`.
    ///
    /// An answer with a 2xx status, for which `success` holds, is the end of a row; without `success` a page of HTML isn't, which is what
    /// proxies and logins answer with. What `refused` takes goes to quarantine, with the
    /// answer; so does a row that no request can be made of, unless none can be made of any. Where all rows of a delivery are refused it
    /// has failed. All else stops the delivery of this sink, after the tries of `retry`; the next run goes on there. What has landed
    /// stays landed.
    ///
    /// The keys of `source` don't count here: name the end point's own `base_url`, `auth` and so on. `empty` and `format` have no
    /// meaning.
    #[derive(Debug, Clone, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    pub struct HttpSinkFile {
        /// A POST request; the path is appended to `base_url`. Templates here and in `query`, `headers` and `body` see `row` (with
        /// `batch`: `rows`, a list), and `key`, 32 hexadecimal digits that are made of the row's `key` (with `batch`, of those of all its
        /// rows) and are the same each time it is sent. Decimals are texts in `row`, so that they keep their digits.
        #[serde(default)]
        pub post: Option<Tmpl>,
        /// A PUT request.
        #[serde(default)]
        pub put: Option<Tmpl>,
        /// A PATCH request.
        #[serde(default)]
        pub patch: Option<Tmpl>,
        /// A DELETE request.
        #[serde(default)]
        pub delete: Option<Tmpl>,
        /// A request whose method depends on the row.
        #[serde(default)]
        pub request: Option<Spanned<RowRequestFile>>,
        /// The JSON body; texts may hold templates.
        #[serde(default)]
        pub body: Option<Spanned<RequestValue>>,
        /// The form fields, sent as `application/x-www-form-urlencoded`. A list is sent as one field for each item, an object as JSON.
        #[serde(default)]
        pub form: Option<Spanned<IndexMap<Spanned<String>, RequestValue>>>,
        /// Columns of the transform that identify a row: no row is sent twice. None of them may be null. Where other columns are named
        /// after rows have landed, the first delivery looks through those: what was sent by the columns of before counts as sent.
        pub key: Spanned<OneOrMany<Spanned<String>>>,
        /// Sends several rows with one request. Default: one.
        #[serde(default)]
        pub batch: Option<Spanned<BatchFile>>,
        /// The header by which the server knows a request that it has heard before. Only for servers that honour it, and for as long as
        /// they do (often a day): then nothing is created twice. Up to 1 MiB of rows is kept beside the state while it is sent; a request
        /// that is larger, and whose rows have changed or gone since, can't be sent again as it was: its rows count as `maybe_sent`.
        #[serde(default)]
        pub idempotency_key: Option<Spanned<IdempotencyFile>>,
        /// A request that looks whether a row is there already, before each time that it would be sent. It names the row.
        #[serde(default)]
        pub find: Option<Spanned<FindFile>>,
        /// jq: whether an answer says that the row is there already, whatever its status: `$status == 409`. It then counts as found. Only
        /// for a server that never makes a row twice: one that may be there is sent again, and its answer tells.
        /// With `batch` it may be said of one of the rows: they are sent again in halves, down to those that are there.
        #[serde(default)]
        pub exists: Option<Jq>,
        /// jq: whether an answer that is no success refuses the row for good: it goes to quarantine, and the delivery goes on. Sees
        /// `$status`, `$headers` and the body. Default: one of the statuses 400, 410, 413, 415, 422 and 431. A batch that is refused
        /// is sent again in halves, down to the rows at fault. Until the sink has sent a row, no row is given up: where the first ten, or
        /// all that there are, are refused, the delivery fails, and they stay to be sent.
        #[serde(default)]
        pub refused: Option<Jq>,
    }
}

/// A request whose method depends on the row.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RowRequestFile {
    /// A template that gives POST, PUT, PATCH or DELETE, such as `{{ 'PATCH' if row.ticket else 'POST' }}`. A row of which it gives
    /// something else is refused.
    pub method: Tmpl,
    /// A template of the path that is appended to `base_url`.
    pub path: Tmpl,
}

/// How many rows a request has.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchFile {
    /// The most rows of one request. Templates see them as `rows`.
    #[schemars(range(min = 1, max = 10_000))]
    pub rows: Spanned<u32>,
}

/// The header by which a server knows a request again.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IdempotencyFile {
    /// Its name, such as `Idempotency-Key`.
    pub header: Spanned<String>,
    /// Its value, a template that must give the same for the same row each time. Default: `{{ key }}`.
    #[serde(default)]
    pub value: Option<Tmpl>,
}

/// A request that looks a row up, with the headers and the credential of the sink.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FindFile {
    /// A GET request; the path is appended to `base_url`. Templates see `row` and `key`.
    #[serde(default)]
    pub get: Option<Tmpl>,
    /// A POST request.
    #[serde(default)]
    pub post: Option<Tmpl>,
    /// Query parameters, instead of those of the sink.
    #[serde(default)]
    pub query: IndexMap<Spanned<String>, RequestValue>,
    /// The JSON body.
    #[serde(default)]
    pub body: Option<Spanned<RequestValue>>,
    /// jq: whether the answer shows that the row is there. It must give true or false: `.total > 0`. Sees `$status`, `$headers` and
    /// the body.
    pub found: Jq,
    /// jq: whether an answer says that it isn't there though the status is an error, such as `$status == 404`.
    #[serde(default)]
    pub absent: Option<Jq>,
    /// How long the server may take until it shows what was created, as search indexes do. A row that may have been created is looked for,
    /// and sent again, after as long a wait. Default: `0s`, it shows at once.
    #[serde(default)]
    pub lag: Option<Spanned<Duration>>,
}
