//! What `backfill` takes.

use chrono::{DateTime, Utc};
use clap::Args;

use super::{BoundArguments, RunArguments, instant};

/// What says how `backfill` is to read.
const DISMISS_READS_NOTHING: [&str; 10] = [
    "missing",
    "locked",
    "now",
    "allow_shrink",
    "retry_refused",
    "accept",
    "dry_run",
    "max_duration",
    "max_requests",
    "max_slices",
];

/// What `backfill` takes.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  \
    tidegate backfill ntopng.yaml --from 2025-12-01T00:00:00Z --to 2026-01-01T00:00:00Z --job flow_alerts\n  \
    tidegate backfill ntopng.yaml --from 2025-12-01T00:00:00Z --to 2026-01-01T00:00:00Z --missing\n  \
    tidegate backfill ntopng.yaml --dismiss --job flow_alerts\n\n\
    Windows are read whole, so the time is rounded out to them. One that has landed is read again and replaced where the answer is \
    another; without `--allow-shrink` only by one with no fewer rows, and none that doesn't fit any more. A backfill that was killed, or stopped at a limit, is repeated, or goes on with \
    `--missing`. Its exit codes are those of `tidegate run`.")]
pub(in crate::cli) struct BackfillArguments {
    /// The first instant to read, RFC 3339; it may lie before `window.start`.
    #[arg(long, value_name = "TIME", value_parser = instant, required_unless_present = "dismiss", requires = "to")]
    pub(in crate::cli) from: Option<DateTime<Utc>>,
    /// The instant to read up to, RFC 3339.
    #[arg(long, value_name = "TIME", value_parser = instant, required_unless_present = "dismiss", requires = "from")]
    pub(in crate::cli) to: Option<DateTime<Utc>>,
    /// Leave out windows that have landed.
    #[arg(long)]
    pub(in crate::cli) missing: bool,
    /// Read nothing, and forget backfills that failed and that nobody wants any more: those of `--job` that lie within `--from` and `--to`,
    /// or all without these. Until then, or until their windows have landed, `status`, the page and the metrics tell of them.
    #[arg(long, conflicts_with_all = DISMISS_READS_NOTHING)]
    pub(in crate::cli) dismiss: bool,
    #[command(flatten)]
    pub(in crate::cli) run: RunArguments,
    #[command(flatten)]
    pub(in crate::cli) bounds: BoundArguments,
}
