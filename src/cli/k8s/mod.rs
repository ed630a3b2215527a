//! `tidegate k8s`: a pipeline file as objects of Kubernetes, to read, to commit and to apply.

mod manifest;
mod needs;
mod schedule;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use chrono::{DateTime, SubsecRound as _, Utc};
use clap::Args;
use url::{Host, Url};

use self::manifest::{Kind, Manifest};
use self::needs::Needs;
use super::args::{MemoryArgument, Output, instant};
use super::{CliError, Exit, load, print};
use crate::clock::{Clock as _, SystemClock};
use crate::pipeline::file::PipelineFile;
use crate::pipeline::load::{Diagnostic, references};
use crate::pipeline::spec::Pipeline;

/// What `k8s` takes.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  tidegate k8s ntopng.yaml --state s3://lake/_tidegate --set LAKE=s3://lake/data --set NTOPNG_URL=https://ntopng | kubectl apply -f -
  tidegate k8s ntopng.yaml --state s3://lake/_tidegate --set LAKE=s3://lake/data --from 2026-01-01T00:00:00Z --shards 5")]
pub(super) struct K8sArguments {
    /// The pipeline file.
    pub(super) file: PathBuf,
    /// The image, as the cluster pulls it.
    #[arg(long, default_value = concat!("tidegate:", env!("CARGO_PKG_VERSION")), value_name = "IMAGE")]
    image: String,
    /// The namespace. Without it, that of the one who applies it.
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,
    /// Where the ledger is kept: `s3://bucket/prefix`, or a folder under /data with `--pvc`. Default with `--pvc`: /data/state.
    #[arg(long, env = "TIDEGATE_STATE", value_name = "URL")]
    state: Option<String>,
    /// A value that isn't secret, for a variable of the pipeline file or of the store, such as `AWS_REGION`. May be repeated.
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = assignment)]
    values: Vec<(String, String)>,
    /// The Secret that holds what is secret. Default: `tidegate-` and the pipeline's name.
    #[arg(long, value_name = "NAME")]
    secret: Option<String>,
    /// A volume claim, mounted as /data, for a state or a lake that isn't in a store.
    #[arg(long, value_name = "CLAIM")]
    pvc: Option<String>,
    /// The service account, such as one with a role for the bucket.
    #[arg(long, value_name = "NAME")]
    service_account: Option<String>,
    /// Print a Job for a backfill from then on, RFC 3339, instead of a `CronJob`.
    #[arg(long, value_name = "TIME", value_parser = instant)]
    from: Option<DateTime<Utc>>,
    /// Where the backfill ends, RFC 3339. Default: now.
    #[arg(long, value_name = "TIME", value_parser = instant, requires = "from")]
    to: Option<DateTime<Utc>>,
    /// Divide the backfill between so many pods at once: print an Indexed Job. They share the `rate_limit`, and each has its
    /// `concurrency`.
    #[arg(long, value_name = "N", requires = "from")]
    shards: Option<NonZeroU32>,
    #[command(flatten)]
    memory: MemoryArgument,
}

/// Prints the objects.
pub(super) fn run(arguments: &K8sArguments, output: Output) -> Result<Exit, CliError> {
    match manifest(arguments, output) {
        Ok(Some(manifest)) => {
            print::text(&manifest)?;
            Ok(Exit::Done)
        }
        Ok(None) => Ok(Exit::Refused),
        Err(message) => {
            print::problem(&message);
            Ok(Exit::Refused)
        }
    }
}

/// Makes the objects; none where the pipeline file was refused, and that has been said. An error says what is wrong, and what to do.
fn manifest(arguments: &K8sArguments, output: Output) -> Result<Option<String>, String> {
    let source = match load::source(&arguments.file) {
        Ok(source) => source,
        Err(found) => return Err(found.message),
    };
    let shown = |found: &[Diagnostic]| load::show(found, &source, output);
    let referred = match references::<PipelineFile>(&source) {
        Ok(referred) => referred,
        Err(found) => {
            shown(&found);
            return Ok(None);
        }
    };
    let values: BTreeMap<_, _> = arguments.values.iter().cloned().collect();
    let needs = Needs::of(&referred, &values)?;
    let Some(pipeline) = load::pipeline_with(&arguments.file, &needs, output) else { return Ok(None) };
    let mut needs = needs;
    needs.add_certificates(&pipeline, folder(&arguments.file))?;
    let state = state(arguments, &pipeline)?;
    if let Some(url) = loopback(&pipeline) {
        print::note(&format!(
            "note: {url} is the pod itself; by --set NAME=VALUE the pipeline file's variables get other values"
        ));
    }
    let kind = kind(arguments, &pipeline)?;
    let manifest = Manifest {
        pipeline: &pipeline,
        file: file_name(&arguments.file)?,
        text: &source.text,
        image: &arguments.image,
        namespace: arguments.namespace.as_deref(),
        secret: arguments.secret.clone().unwrap_or_else(|| format!("tidegate-{}", pipeline.name)),
        needs: &needs,
        state: &state,
        pvc: arguments.pvc.as_deref(),
        service_account: arguments.service_account.as_deref(),
        memory: arguments.memory.bytes(),
        kind,
    };
    manifest.render().map(Some)
}

/// Returns where the state goes, once all that the pods write goes where it stays.
fn state(arguments: &K8sArguments, pipeline: &Pipeline) -> Result<String, String> {
    let claimed = arguments.pvc.as_ref();
    let state = match (&arguments.state, claimed) {
        (Some(state), _) => state.clone(),
        (None, Some(_)) => "/data/state".to_owned(),
        (None, None) => return Err(format!("a pod's own disk ends with it, so the state needs a place: {PLACES}")),
    };
    let stays = |url: &str| match url.split_once("://") {
        Some(("file", path)) => path.starts_with("/data/") && claimed.is_some(),
        Some((scheme, _)) => scheme != "memory",
        None => url.starts_with("/data/") && claimed.is_some(),
    };
    if !stays(&state) {
        return Err(format!("the state at {state} would end with its pod: {PLACES}"));
    }
    for job in &pipeline.jobs {
        if let Some(sink) = job.sinks.iter().find(|sink| !stays(&sink.url)) {
            let message = "jobs.{job}.sinks.{sink} writes to {url}, which would end with its pod: let its `url` begin with s3:// (by --set \
                           NAME=VALUE, if it has a variable), or give a volume (--pvc CLAIM) and a path under /data";
            return Err(message
                .replace("{job}", job.name.as_str())
                .replace("{sink}", sink.name.as_str())
                .replace("{url}", &sink.url));
        }
        if let Some((name, _)) = job.tables.first() {
            return Err(format!(
                "jobs.{}.tables.{name} is a file beside the pipeline file, which pods don't have: put it in a store",
                job.name
            ));
        }
    }
    Ok(state)
}

/// Returns the first address that is the pod itself.
fn loopback(pipeline: &Pipeline) -> Option<&Url> {
    let urls = pipeline.jobs.iter().map(|job| &job.source.base_url);
    let itself = |url: &Url| match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    urls.into_iter().find(|url| itself(url))
}

const PLACES: &str = "give --state s3://bucket/prefix, or a volume by --pvc CLAIM and a path under /data";

fn kind(arguments: &K8sArguments, pipeline: &Pipeline) -> Result<Kind, String> {
    if let Some(from) = arguments.from {
        let to = arguments.to.unwrap_or_else(|| SystemClock.now().trunc_subsecs(0));
        let shards = arguments.shards.map(NonZeroU32::get).filter(|shards| *shards > 1);
        let backfill = Kind::Backfill { from, to, shards };
        return if from < to { Ok(backfill) } else { Err("--from must be before --to".to_owned()) };
    }
    let Some(schedule) = &pipeline.schedule else {
        return Err(format!(
            "{} has no schedule: add one, such as `schedule: {{cron: '15 2 * * *', timezone: UTC}}`, or print a backfill with --from",
            arguments.file.display()
        ));
    };
    schedule::of(schedule, pipeline.timezone, SystemClock.now()).map(Kind::Cron)
}

fn folder(file: &Path) -> &Path {
    file.parent().unwrap_or(Path::new(""))
}

fn file_name(file: &Path) -> Result<&str, String> {
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let plain = |char: char| char.is_ascii_alphanumeric() || matches!(char, '.' | '-' | '_');
    if name.is_empty() || !name.chars().all(plain) {
        return Err(format!(
            "a ConfigMap has no key for a file called {name:?}: name it by letters, digits, `.`, `-` and `_`"
        ));
    }
    Ok(name)
}

/// Reads `NAME=VALUE`.
fn assignment(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE, such as LAKE=s3://lake/data")?;
    let head = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    if !head || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Err(format!("{name:?} is no name of a variable"));
    }
    Ok((name.to_owned(), value.to_owned()))
}
