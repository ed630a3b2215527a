//! What can be typed.

mod backfill;
mod serve;

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub(super) use self::backfill::BackfillArguments;
pub(super) use self::serve::{
    BoundArguments, HealthArguments, Listen, MOST_RUNS, PageArguments, ServeArguments, SwitchArguments,
};
use self::serve::{EXIT_CODES, SERVE_HELP};
use crate::ledger::Accept;
use crate::pipeline::file::ByteSize;
use crate::plan::Shard;

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

/// Where a script of `completions` goes.
const COMPLETIONS_HELP: &str = "Examples:
  bash   tidegate completions bash > ~/.local/share/bash-completion/completions/tidegate
  zsh    tidegate completions zsh > ~/.zfunc/_tidegate    # with `fpath+=~/.zfunc` before `compinit` in ~/.zshrc
  fish   tidegate completions fish > ~/.config/fish/completions/tidegate.fish";

/// The verbs.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Export simulated appliances into a small lake on disk, to see how it goes.
    Demo(DemoArguments),
    /// Write a pipeline file to begin with, by what one answer of an API shows.
    Init(super::init::InitArguments),
    /// Check pipeline files and report all their mistakes.
    Validate {
        /// The pipeline files.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Compare jobs and `schema.columns` with the lock file, `FILE.lock`.
        #[arg(long)]
        locked: bool,
    },
    /// Show what a run would do: the slices that are due and their first requests. Nothing is sent.
    Plan(RunArguments),
    /// Fetch a job's first rows and show what would land. Nothing lands.
    Preview(PreviewArguments),
    /// Take an API's answers down, so that a pipeline file can be tried without it. Nothing lands.
    Record(super::recording::RecordArguments),
    /// Try pipeline files against recorded answers: what would land, compared with what would have. Nothing is sent.
    Test(super::recording::TestArguments),
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
    /// Ask whether `tidegate serve` goes on: a health check for an image without a shell. Exit code 1 where it doesn't.
    Health(HealthArguments),
    /// Pause pipelines: `tidegate serve` doesn't run them on schedule until they are resumed.
    Pause(SwitchArguments),
    /// Resume paused pipelines with their next instant. What came while they were paused isn't made up for.
    Resume(SwitchArguments),
    /// Send what has landed for `http` sinks and wasn't sent yet. Each run does it as well, at its end.
    Deliver(super::deliver::DeliverArguments),
    /// Read windows of the past: those that cover a time, landed or not.
    Backfill(BackfillArguments),
    /// Show what runs did, newest first.
    History(super::history::HistoryArguments),
    /// Remove what nothing names any more: files of lost runs, old entries of the log.
    Vacuum(super::vacuum::VacuumArguments),
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
    /// Print the Kubernetes objects that run a pipeline file: a `CronJob`, or a Job for a backfill.
    K8s(super::k8s::K8sArguments),
    /// Print the JSON Schema of pipeline files, for editors; or show, compare and accept what is pinned of a job's columns.
    #[command(args_conflicts_with_subcommands = true)]
    Schema {
        /// Print the JSON Schema of run reports instead, as `tidegate run --report` writes them.
        #[arg(long)]
        report: bool,
        #[command(subcommand)]
        command: Option<SchemaCommand>,
    },
    /// List, show and replay the rows that didn't fit.
    Quarantine {
        #[command(subcommand)]
        command: QuarantineCommand,
    },
    /// Print a script that lets a shell complete verbs, options and files.
    #[command(after_help = COMPLETIONS_HELP)]
    Completions {
        /// The shell.
        shell: Shell,
    },
}

/// What can be done about pinned schemas.
#[derive(Debug, Clone, Subcommand)]
pub(super) enum SchemaCommand {
    /// Show the columns that are pinned, their types, and since when.
    Show(JobArguments),
    /// Compare what the API answers now, and `schema.columns`, with what is pinned. Nothing is written.
    Diff {
        #[command(flatten)]
        of: JobArguments,
        #[command(flatten)]
        sample: SampleArguments,
    },
    /// Take the differences that `diff` shows into a new pinned version.
    ///
    /// Files that have landed keep their types. So a change that readers of old and new files together can't follow is refused, unless
    /// `--breaking` says that it is meant.
    Accept {
        /// The pipeline file.
        file: PathBuf,
        /// The job.
        job: String,
        #[command(flatten)]
        state: StateArgument,
        #[command(flatten)]
        sample: SampleArguments,
        /// Take in changes too that break the files that have landed.
        #[arg(long)]
        breaking: bool,
        /// Leave with exit code 4 if a run of the pipeline is on, instead of waiting for it.
        #[arg(long)]
        no_wait: bool,
    },
    /// Write what is pinned into the lock file, `FILE.lock`, for review and for `--locked`.
    Lock {
        /// The pipeline file.
        file: PathBuf,
        #[command(flatten)]
        state: StateArgument,
    },
}

/// What can be done about rows that didn't fit.
#[derive(Debug, Clone, Subcommand)]
pub(super) enum QuarantineCommand {
    /// List the slices with rows in quarantine, with columns and reasons.
    List(JobArguments),
    /// Show rows in quarantine: the row, the reason, the column, the request, the page.
    Show {
        #[command(flatten)]
        of: JobArguments,
        /// Only this slice.
        #[arg(long, value_name = "SLICE")]
        slice: Option<String>,
        /// How many rows to show.
        #[arg(long, default_value = "20", value_name = "N")]
        limit: NonZeroUsize,
    },
    /// Read the slices with rows in quarantine again, under today's types: what fits by now lands.
    ///
    /// Each slice is replaced as a whole, in one commit, so no row lands twice. Rows that still don't fit stay in quarantine, and so
    /// does what the server can't be asked for again.
    Replay {
        /// The pipeline file.
        file: PathBuf,
        /// Only this job.
        job: Option<String>,
        #[command(flatten)]
        how: HowToRun,
    },
}

/// What verbs take that look at the jobs of a pipeline.
#[derive(Debug, Clone, Args)]
pub(super) struct JobArguments {
    /// The pipeline file.
    pub(super) file: PathBuf,
    /// Only this job.
    pub(super) job: Option<String>,
    #[command(flatten)]
    pub(super) state: StateArgument,
}

/// What is compared with a pinned schema.
#[derive(Debug, Clone, Args)]
pub(super) struct SampleArguments {
    /// How many rows to ask the API for.
    #[arg(long, default_value = "1000", value_name = "N", conflicts_with = "file_only")]
    pub(super) rows: NonZeroUsize,
    /// Compare only `schema.columns`, and send nothing.
    #[arg(long)]
    pub(super) file_only: bool,
    /// The instant to plan with, RFC 3339. Default: now.
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub(super) now: Option<DateTime<Utc>>,
}

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
pub(super) struct RunArguments {
    /// The pipeline files.
    #[arg(required = true, value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
    /// Only these jobs, and the jobs that they need the rows of.
    #[arg(long = "job", value_name = "NAME")]
    pub(super) jobs: Vec<String>,
    /// Only the slices of one of N parts, I from 0: N runs at once, each with its own I, divide the work, in one ledger.
    ///
    /// Which slices are whose follows from their names, and never changes. Runs that divide by another N, or not at all, wait; one that
    /// was killed is repeated with the same I/N. Together they keep to the file's `rate_limit`; each has `concurrency` requests out, and
    /// a session of its own. Snapshots carry the instant of the run that reads them: give all runs one `--now` where it must be the same.
    #[arg(long, env = "TIDEGATE_SHARD", value_name = "I/N", conflicts_with_all = ["shards", "accept"])]
    pub(super) shard: Option<Shard>,
    /// As `--shard`, with I from `JOB_COMPLETION_INDEX`, which Kubernetes sets in an Indexed Job.
    #[arg(long, env = "TIDEGATE_SHARDS", value_name = "N", conflicts_with = "accept")]
    pub(super) shards: Option<NonZeroU32>,
    /// Set by Kubernetes in an Indexed Job.
    #[arg(long, env = "JOB_COMPLETION_INDEX", value_name = "I", hide = true)]
    pub(super) completion_index: Option<u32>,
    #[command(flatten)]
    pub(super) how: HowToRun,
    /// Refuse to leave the schemas of the lock file, which lies beside the pipeline file: `FILE.lock`, as `tidegate schema lock` writes it.
    #[arg(long)]
    pub(super) locked: bool,
}

/// What all verbs take that run slices.
#[derive(Debug, Clone, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub(super) struct HowToRun {
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
    /// Replace what landed even by fewer rows, or by rows that don't fit.
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
    /// Send a credential though the server refused it in the last five minutes, such as for an account that was unlocked.
    #[arg(long)]
    pub(super) retry_refused: bool,
    #[command(flatten)]
    pub(super) state: StateArgument,
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
pub(super) fn lease_ttl(text: &str) -> Result<Duration, String> {
    let ttl = humantime::parse_duration(text).ok();
    ttl.filter(|ttl| (Duration::from_secs(1)..=Duration::from_hours(1)).contains(ttl))
        .ok_or_else(|| "write a time from 1s to 1h, such as 60s".to_owned())
}

/// Reads an instant, for `--now`.
pub(super) fn instant(text: &str) -> Result<DateTime<Utc>, String> {
    DateTime::parse_from_rfc3339(text)
        .map(|instant| instant.to_utc())
        .map_err(|_| "write an instant with an offset, such as 2026-01-01T00:00:00Z".to_owned())
}
