//! What `serve` takes, and what keeps a `run` within bounds.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{MemoryArgument, StateArgument, lease_ttl};

/// What the exit codes of `run` mean, and what an orchestrator does about them.
pub(super) const EXIT_CODES: &str = "\
Exit codes, and what whoever started the run does:
    0  all that was due has landed, or nothing was due: nothing
    1  slices were due, and none landed: try again later; what is due stays due
    2  the pipeline file or the usage was refused: don't try again, tell a person
    3  some slices landed and some failed: try again later; only the failed ones are read again
    4  another run of the pipeline is on (--no-wait): nothing, that run does the work
    5  stopped at --max-duration, --max-requests or --max-slices: run again for the rest
   70  a bug of Tidegate: trying again is safe; report it
  130  interrupted (SIGINT): run again; what wasn't published was thrown away
  143  told to end (SIGTERM, or SIGHUP but under nohup): as 130";

/// What else there is to know about `serve`.
pub(super) const SERVE_HELP: &str = "\
Files are looked at every second: a changed one counts from its next run on, one with mistakes leaves the old one running, \
and of one that is gone the run that goes on is the last. A pipeline without `schedule` is shown and not run.

The status page is at http://127.0.0.1:8321/ unless --listen says otherwise, with /livez, /readyz and /metrics.

SIGTERM or SIGINT: no run and no slice begins any more; slices that have begun land within --grace, or are thrown away and \
read again by the next run. A second signal ends the process at once. Exit codes:
    0  everything that had begun has landed
    2  the folder can't be read, the address can't be listened on, or the usage was refused
   70  a bug of Tidegate
  130  SIGINT: something was thrown away
  143  SIGTERM: something was thrown away

SIGHUP: the folder is looked at again at once, refused files among it, and all goes on.

One `serve` for a folder and state: two would both run every instant, one after the other.";

/// Where a run stops, and what it leaves.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct BoundArguments {
    /// Show what the run would do, as `tidegate plan` does, and send nothing.
    #[arg(long)]
    pub(in crate::cli) dry_run: bool,
    /// Begin no slices after so long, such as 30m. What has begun lands, the rest is for the next run: exit code 5.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(in crate::cli) max_duration: Option<Duration>,
    /// Begin no slices after so many requests, retries included. What has begun lands, at the cost of a few more: exit code 5.
    #[arg(long, value_name = "N")]
    pub(in crate::cli) max_requests: Option<u64>,
    /// Begin so many slices at most: exit code 5 where more are due.
    #[arg(long, value_name = "N")]
    pub(in crate::cli) max_slices: Option<u64>,
    /// Write the run's report as JSON to a file, or post it to a URL.
    ///
    /// `tidegate schema --report` prints its JSON Schema. A report that can't be delivered is an error message; the exit code stays
    /// that of the run. A file is replaced as a whole, behind a link too; a pipe or a device, such as `/dev/stdout`, is written to.
    #[arg(long, value_name = "FILE|URL", hide_env_values = true, env = "TIDEGATE_REPORT")]
    pub(in crate::cli) report: Option<String>,
    /// Write the run's metrics to a file, for the textfile collector of the node exporter: give it a name that ends with `.prom`.
    ///
    /// docs/metrics.md lists them. A file that can't be written is an error message; the exit code stays that of the run.
    #[arg(long, value_name = "FILE", env = "TIDEGATE_METRICS_FILE")]
    pub(in crate::cli) metrics_file: Option<PathBuf>,
}

/// What `serve` takes.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct ServeArguments {
    /// The folder of the pipeline files: every `*.yaml` and `*.yml` right in it, hidden ones apart.
    #[arg(value_name = "DIR")]
    pub(in crate::cli) folder: PathBuf,
    #[command(flatten)]
    pub(in crate::cli) state: StateArgument,
    /// How long slices that have begun may take to land once the process is told to end.
    #[arg(long, default_value = "30s", value_name = "TIME", value_parser = duration)]
    pub(in crate::cli) grace: Duration,
    /// How many runs go on at once, 1 to 1000; further ones wait for their turn.
    #[arg(long, default_value = "4", value_name = "N", value_parser = runs)]
    pub(in crate::cli) max_concurrent_runs: NonZeroUsize,
    /// How long a run that was killed keeps the next one waiting where the state is in a bucket, which has no locks: 1s to 1h.
    #[arg(long, env = "TIDEGATE_LEASE_TTL", default_value = "60s", value_name = "TIME", value_parser = lease_ttl)]
    pub(in crate::cli) lease_ttl: Duration,
    #[command(flatten)]
    pub(in crate::cli) page: PageArguments,
    #[command(flatten)]
    pub(in crate::cli) memory: MemoryArgument,
}

/// Where the status page is, and who may act on it.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct PageArguments {
    /// Where the status page, the health checks and the metrics are served, without encryption; `none` serves nothing.
    ///
    /// Everyone who reaches it may look. An address that others reach belongs behind a proxy that encrypts and asks who they are.
    #[arg(long, env = "TIDEGATE_LISTEN", default_value = "127.0.0.1:8321", value_name = "ADDRESS:PORT", value_parser = listen)]
    pub(in crate::cli) listen: Listen,
    /// A name under which the page may be asked for, besides `localhost` and addresses, such as that of a proxy. May be repeated.
    #[arg(long = "allowed-host", value_name = "NAME")]
    pub(in crate::cli) allowed_hosts: Vec<String>,
    /// A file with the token that lets a person run, pause and backfill from the page, 16 characters at least. Without it, or
    /// `TIDEGATE_TOKEN` in the environment, nobody may.
    #[arg(long, env = "TIDEGATE_TOKEN_FILE", value_name = "FILE")]
    pub(in crate::cli) token_file: Option<PathBuf>,
}

/// What `health` takes.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct HealthArguments {
    /// Where `tidegate serve` listens; where that is everywhere, it is asked on this machine.
    #[arg(long, env = "TIDEGATE_LISTEN", default_value = "127.0.0.1:8321", value_name = "ADDRESS:PORT", value_parser = listen)]
    pub(in crate::cli) listen: Listen,
    /// Ask whether it is ready, not only whether it goes on: it isn't once it was told to end.
    #[arg(long)]
    pub(in crate::cli) ready: bool,
}

/// Where to listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Listen {
    /// Nowhere.
    Nowhere,
    /// There.
    At(SocketAddr),
}

/// Runs at once, at most: each has a thread.
pub(in crate::cli) const MOST_RUNS: usize = 1000;

/// Reads how many runs may go on at once.
fn runs(text: &str) -> Result<NonZeroUsize, String> {
    let runs = text.parse().ok().filter(|runs: &NonZeroUsize| runs.get() <= MOST_RUNS);
    runs.ok_or_else(|| format!("write a number from 1 to {MOST_RUNS}"))
}

/// Reads where to listen.
fn listen(text: &str) -> Result<Listen, String> {
    if text == "none" {
        return Ok(Listen::Nowhere);
    }
    text.parse()
        .map(Listen::At)
        .map_err(|_| "write an address and a port such as 127.0.0.1:8321 or [::1]:8321, or `none`".to_owned())
}

/// What `pause` and `resume` take.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct SwitchArguments {
    /// The pipeline files.
    #[arg(required = true, value_name = "FILE")]
    pub(in crate::cli) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(in crate::cli) state: StateArgument,
}

/// Reads a duration, for `--max-duration` and `--grace`.
fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|_| "write a time such as 30s, 15m or 1h 30m".to_owned())
}
