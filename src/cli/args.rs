//! What can be typed.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::ledger::Accept;
use crate::pipeline::file::ByteSize;

/// Exports data from paginated REST APIs into a data lake, without losing or doubling a row.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version, max_term_width = 100, arg_required_else_help = true)]
pub(super) struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub(super) command: Command,
    /// How results are printed.
    #[arg(long, global = true, display_order = 100, value_enum, value_name = "FORMAT", default_value_t = Output::Text)]
    pub(super) output: Output,
    /// What is logged to standard error: `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `tidegate=debug`.
    #[arg(
        long,
        global = true,
        display_order = 101,
        env = "TIDEGATE_LOG",
        default_value = "warn",
        value_name = "FILTER"
    )]
    pub(super) log: String,
    /// How it is logged.
    #[arg(long, global = true, display_order = 102, env = "TIDEGATE_LOG_FORMAT", value_enum, value_name = "FORMAT", default_value_t = LogFormat::Text)]
    pub(super) log_format: LogFormat,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// For people: tables and sentences.
    Text,
    /// For programs: one JSON document.
    Json,
}

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// One line an event, for people.
    Text,
    /// One JSON object an event.
    Json,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Export simulated appliances into a small lake on disk, to see how it goes.
    Demo(DemoArguments),
    /// Check pipeline files and report all their mistakes.
    Validate {
        /// The pipeline files.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Show what a run would do: the slices that are due and their first requests. Nothing is sent.
    Plan(RunArguments),
    /// Fetch a job's first rows and show what would land. Nothing is written.
    Preview(PreviewArguments),
    /// Extract what is due and land it.
    #[command(after_long_help = EXIT_CODES)]
    Run {
        #[command(flatten)]
        run: RunArguments,
        #[command(flatten)]
        bounds: BoundArguments,
    },
    /// Run every pipeline file of a folder on its own schedule, until told to end.
    #[command(after_long_help = SERVE_HELP)]
    Serve(ServeArguments),
    /// Pause pipelines: `tidegate serve` doesn't run them on schedule until they are resumed.
    Pause {
        /// The pipeline files.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        #[command(flatten)]
        state: StateArgument,
    },
    /// Resume paused pipelines with their next instant. What came while they were paused isn't made up for.
    Resume {
        /// The pipeline files.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        #[command(flatten)]
        state: StateArgument,
    },
    /// Read windows of the past: those that cover a time, landed or not.
    Backfill(BackfillArguments),
    /// Show what runs did, newest first.
    History(HistoryArguments),
    /// Remove what nothing names any more: files of lost runs, old entries of the log.
    Vacuum(VacuumArguments),
    /// Look into a pipeline's ledger.
    Ledger {
        /// What to do.
        #[command(subcommand)]
        command: LedgerCommand,
    },
    /// Show what has landed.
    Status {
        /// The pipeline files.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        #[command(flatten)]
        state: StateArgument,
    },
    /// Print the JSON Schema of pipeline files, for editors.
    Schema {
        /// Print that of run reports instead, as `tidegate run --report` writes them.
        #[arg(long)]
        report: bool,
    },
    /// Print the Kubernetes objects that run a pipeline file: a `CronJob`, or an Indexed Job for a backfill.
    K8s(super::k8s::K8sArguments),
}

/// What the exit codes of `run` mean, and what an orchestrator does about them.
const EXIT_CODES: &str = "\
Exit codes, and what whoever started the run does:
    0  all that was due has landed, or nothing was due: nothing
    1  slices were due, and none landed: try again later; what is due stays due
    2  the pipeline file or the usage was refused: don't try again, tell a person
    3  some slices landed and some failed: try again later; only the failed ones are read again
    4  another run of the pipeline is on (--no-wait): nothing, that run does the work
    5  stopped at --max-duration, --max-requests or --max-slices: run again for the rest
   70  a bug of Tidegate: trying again is safe; report it
  130  interrupted (SIGINT): run again; what wasn't published was thrown away
  143  told to end (SIGTERM): as 130";

/// What else there is to know about `serve`.
const SERVE_HELP: &str = "\
Files are looked at every second: a changed one counts from its next run on, one with mistakes leaves the old one running, \
and of one that is gone the run that goes on is the last. A pipeline without `schedule` is shown and not run.

SIGTERM or SIGINT: no run and no slice begins any more; slices that have begun land within --grace, or are thrown away and \
read again by the next run. A second signal ends the process at once. Exit codes:
    0  everything that had begun has landed
    2  the folder can't be read, or the usage was refused
   70  a bug of Tidegate
  130  SIGINT: something was thrown away
  143  SIGTERM: something was thrown away";

/// Where the ledger is.
#[derive(Debug, Clone, Args)]
pub(super) struct StateArgument {
    /// Where the ledger is kept: a folder, or `s3://bucket/prefix`.
    ///
    /// A folder must lie on a file system whose locks work between all machines that use it. A bucket must keep to conditional
    /// writes, as Amazon S3 does; credentials, region and end point come from the environment (`AWS_ACCESS_KEY_ID`,
    /// `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_REGION`, `AWS_ENDPOINT_URL`, `AWS_ALLOW_HTTP`) or from the machine's role.
    /// `gs://` and `az://` are experimental: they haven't been tried against the real services. What `memory://` keeps ends with the
    /// process.
    #[arg(long, env = "TIDEGATE_STATE", default_value = "./.tidegate", value_name = "URL")]
    pub(super) state: String,
}

/// How much memory the process takes.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct MemoryArgument {
    /// How much memory answers in flight may take, and the work on them, together, such as 64MiB or 1GiB.
    #[arg(long, env = "TIDEGATE_MEMORY_LIMIT", default_value = "256MiB", value_name = "SIZE", value_parser = size)]
    pub(super) memory_limit: ByteSize,
}

impl MemoryArgument {
    /// Returns the limit in bytes.
    pub(super) const fn bytes(self) -> u64 {
        self.memory_limit.0
    }
}

/// What `run` and `plan` take.
#[derive(Debug, Clone, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub(super) struct RunArguments {
    /// The pipeline files.
    #[arg(required = true, value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
    /// Only these jobs, and the jobs that they need the rows of.
    #[arg(long = "job", value_name = "NAME")]
    pub(super) jobs: Vec<String>,
    #[command(flatten)]
    pub(super) state: StateArgument,
    /// The instant to plan with, RFC 3339. Default: now.
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub(super) now: Option<DateTime<Utc>>,
    /// Leave with exit code 4 if another run of the pipeline is on, instead of waiting for it.
    #[arg(long)]
    pub(super) no_wait: bool,
    /// How long a run that was killed keeps the next one waiting where the state is in a bucket, which has no locks: 1s to 1h.
    ///
    /// It is also how long a run may be cut off from its state before it stops. Runs needn't agree on it.
    #[arg(long, env = "TIDEGATE_LEASE_TTL", default_value = "60s", value_name = "TIME", value_parser = lease_ttl)]
    pub(super) lease_ttl: Duration,
    /// Land windows even where they have fewer rows than what landed before.
    #[arg(long)]
    pub(super) allow_shrink: bool,
    /// Send a credential though the server refused it in the last five minutes, such as for an account that was unlocked.
    #[arg(long)]
    pub(super) retry_refused: bool,
    /// What becomes of what has landed where an edit of the pipeline file changes what names it, such as `key` or a sink's `url`.
    /// Say it once: a run without such an edit ignores it.
    #[arg(long, value_enum, value_name = "HOW")]
    pub(super) accept: Option<AcceptArgument>,
    /// Read windows that haven't ended yet by this machine's clock or the server's: what comes later is then missed.
    #[arg(long, env = "TIDEGATE_ALLOW_FUTURE", hide_env_values = true)]
    pub(super) allow_future: bool,
    #[command(flatten)]
    pub(super) memory: MemoryArgument,
}

/// Where a run stops, and what it leaves.
#[derive(Debug, Clone, Args)]
pub(super) struct BoundArguments {
    /// Show what the run would do, as `tidegate plan` does, and send nothing.
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Begin no slices after so long, such as 30m. What has begun lands, the rest is for the next run: exit code 5.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(super) max_duration: Option<Duration>,
    /// Begin no slices after so many requests, retries included. What has begun lands, at the cost of a few more: exit code 5.
    #[arg(long, value_name = "N")]
    pub(super) max_requests: Option<u64>,
    /// Begin so many slices at most: exit code 5 where more are due.
    #[arg(long, value_name = "N")]
    pub(super) max_slices: Option<u64>,
    /// Write the run's report as JSON to a file, or post it to a URL.
    ///
    /// `tidegate schema --report` prints its JSON Schema. A report that can't be delivered is an error message; the exit code stays
    /// that of the run.
    #[arg(long, value_name = "FILE|URL", hide_env_values = true, env = "TIDEGATE_REPORT")]
    pub(super) report: Option<String>,
}

/// What `serve` takes.
#[derive(Debug, Clone, Args)]
pub(super) struct ServeArguments {
    /// The folder of the pipeline files: every `*.yaml` and `*.yml` right in it, hidden ones apart.
    #[arg(value_name = "DIR")]
    pub(super) folder: PathBuf,
    #[command(flatten)]
    pub(super) state: StateArgument,
    /// How long slices that have begun may take to land once the process is told to end.
    #[arg(long, default_value = "30s", value_name = "TIME", value_parser = duration)]
    pub(super) grace: Duration,
    /// How many runs go on at once; further ones wait for their turn.
    #[arg(long, default_value = "4", value_name = "N")]
    pub(super) max_concurrent_runs: NonZeroUsize,
    /// How long a run that was killed keeps the next one waiting where the state is in a bucket, which has no locks: 1s to 1h.
    #[arg(long, env = "TIDEGATE_LEASE_TTL", default_value = "60s", value_name = "TIME", value_parser = lease_ttl)]
    pub(super) lease_ttl: Duration,
    #[command(flatten)]
    pub(super) memory: MemoryArgument,
}

/// How an edit is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum AcceptArgument {
    /// What has landed stays; the edit applies to what lands from now on.
    Future,
    /// What has landed is read again, and replaced.
    Reland,
}

impl From<AcceptArgument> for Accept {
    fn from(how: AcceptArgument) -> Self {
        match how {
            AcceptArgument::Future => Self::Future,
            AcceptArgument::Reland => Self::Reland,
        }
    }
}

/// What `backfill` takes.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  \
    tidegate backfill ntopng.yaml --from 2025-12-01T00:00:00Z --to 2026-01-01T00:00:00Z --job flow_alerts\n  \
    tidegate backfill ntopng.yaml --from 2025-12-01T00:00:00Z --to 2026-01-01T00:00:00Z --missing\n\n\
    Windows are read whole, so the time is rounded out to them. One that has landed is read again and replaced where the answer is \
    another; without `--allow-shrink` only by one with no fewer rows. A backfill that was killed is repeated, or goes on with `--missing`.")]
pub(super) struct BackfillArguments {
    /// The first instant to read, RFC 3339; it may lie before `window.start`.
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub(super) from: DateTime<Utc>,
    /// The instant to read up to, RFC 3339.
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub(super) to: DateTime<Utc>,
    /// Leave out windows that have landed.
    #[arg(long)]
    pub(super) missing: bool,
    #[command(flatten)]
    pub(super) run: RunArguments,
}

/// What `history` takes.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  tidegate history ntopng.yaml --last 5\n  tidegate history ntopng.yaml --run 1234")]
pub(super) struct HistoryArguments {
    /// The pipeline files.
    #[arg(required = true, value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) state: StateArgument,
    /// How many runs to show; the last 200 are kept.
    #[arg(long, default_value = "20", value_name = "N")]
    pub(super) last: usize,
    /// Show one run, by its number, with its jobs and what it wrote to the log.
    #[arg(long, value_name = "ID")]
    pub(super) run: Option<u64>,
}

/// What `vacuum` takes.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  tidegate vacuum ntopng.yaml --dry-run\n  tidegate vacuum ntopng.yaml")]
pub(super) struct VacuumArguments {
    /// The pipeline files.
    #[arg(required = true, value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) state: StateArgument,
    /// Show what would be removed, and why. Nothing is written, and no lease is taken.
    #[arg(long)]
    pub(super) dry_run: bool,
}

/// What can be done with a ledger.
#[derive(Debug, Clone, Subcommand)]
pub(super) enum LedgerCommand {
    /// Show the entries of the log, oldest first.
    Show(LedgerShowArguments),
}

/// What `ledger show` takes.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  tidegate ledger show ntopng.yaml\n  tidegate ledger show ntopng.yaml --from 120 --job hosts"
)]
pub(super) struct LedgerShowArguments {
    /// The pipeline file.
    pub(super) file: PathBuf,
    #[command(flatten)]
    pub(super) state: StateArgument,
    /// Begin with the entry of this number.
    #[arg(long, value_name = "N")]
    pub(super) from: Option<u64>,
    /// Without `--from`: how many of the last entries to show.
    #[arg(long, default_value = "50", value_name = "N")]
    pub(super) last: usize,
    /// Only what is of this job.
    #[arg(long, value_name = "NAME")]
    pub(super) job: Option<String>,
}

/// What `preview` takes.
#[derive(Debug, Clone, Args)]
pub(super) struct PreviewArguments {
    /// The pipeline file.
    pub(super) file: PathBuf,
    /// The job.
    pub(super) job: String,
    /// How many rows to show.
    #[arg(long, default_value = "10", value_name = "N")]
    pub(super) rows: NonZeroUsize,
    /// The instant to plan with, RFC 3339. Default: now.
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub(super) now: Option<DateTime<Utc>>,
    #[command(flatten)]
    pub(super) memory: MemoryArgument,
}

/// What `demo` takes.
#[derive(Debug, Clone, Args)]
pub(super) struct DemoArguments {
    /// The folder for the lake and the state.
    #[arg(long, default_value = "./tidegate-demo", value_name = "DIR")]
    pub(super) out: PathBuf,
    /// How many alerts the simulated ntopng has, and how many flows the simulated Scrutinizer and Secure Workload; Lastline has
    /// a twentieth as many log entries.
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    pub(super) records: usize,
}

/// Reads a size, for `--memory-limit`.
fn size(text: &str) -> Result<ByteSize, String> {
    ByteSize::try_from(text.to_owned())
}

/// Reads a duration, for `--lease-ttl`.
fn lease_ttl(text: &str) -> Result<Duration, String> {
    let ttl = humantime::parse_duration(text).ok();
    ttl.filter(|ttl| (Duration::from_secs(1)..=Duration::from_hours(1)).contains(ttl))
        .ok_or_else(|| "write a time from 1s to 1h, such as 60s".to_owned())
}

/// Reads a duration, for `--max-duration` and `--grace`.
fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|_| "write a time such as 30s, 15m or 1h 30m".to_owned())
}

/// Reads an instant, for `--now`.
pub(super) fn instant(text: &str) -> Result<DateTime<Utc>, String> {
    DateTime::parse_from_rfc3339(text)
        .map(|instant| instant.to_utc())
        .map_err(|_| "write an instant with an offset, such as 2026-01-01T00:00:00Z".to_owned())
}
