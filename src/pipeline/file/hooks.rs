//! Requests that are sent after a run.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::pipeline::load::{RequestValue, Spanned};

/// What a hook's templates see of a run, below `run`.
pub const RUN_FIELDS: [&str; 15] = [
    "pipeline",
    "id",
    "scheduled_for",
    "started",
    "ended",
    "seconds",
    "exit_code",
    "outcome",
    "error",
    "slices.landed",
    "slices.unchanged",
    "slices.failed",
    "rows.received",
    "rows.landed",
    "rows.quarantined",
];

/// A request that is sent once after a run, tried a few times, and never fails the run. Its templates see `run`: `pipeline`, `id`,
/// `scheduled_for`, `started`, `ended`, `seconds`, `exit_code`, `outcome` (`succeeded` or `failed`), `error` (the first one),
/// `slices.landed`, `slices.unchanged`, `slices.failed`, `rows.received`, `rows.landed` and `rows.quarantined`. A try that wasn't answered
/// may have been heard, so it may come twice: its header `Idempotency-Key`, unless `headers` has one, is the same then. `tidegate serve` sends it beside
/// further runs; what isn't answered within `--grace`, once the process is told to end, is given up and told in the log.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HookFile {
    /// The URL that the request is posted to. Where it is a secret in itself, as those of Slack are, write `${NAME}` or
    /// `${file:path}`: messages show its host only.
    pub post: Spanned<String>,
    /// Headers. Values may hold templates; a secret comes from `${NAME}` or `${file:path}`.
    #[serde(default)]
    pub headers: IndexMap<Spanned<String>, RequestValue>,
    /// The JSON body. Texts may hold templates: `{text: '{{ run.pipeline }} failed: {{ run.error }}'}`. Default: the run and its
    /// report, as `schema/report.json` describes one of `runs`.
    #[serde(default)]
    pub body: Option<RequestValue>,
}
