//! Where `run` tells besides what its runs did: the report, and the metrics. Both are written however the process ends, or a file would
//! go on saying what an earlier run did.

use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use url::Url;

use super::load::Refused;
use super::{Exit, print, written};
use crate::model::{Asked, PipelineName, Report, RunEnd};
use crate::pipeline::spec::Pipeline;
use crate::run::{self, Env};
use crate::server::{Exposition, Known, Metrics, Stands};

/// Where what runs did is told besides.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Deliver<'a> {
    /// The file or the URL of the report.
    pub(super) report: Option<&'a str>,
    /// The file of the metrics.
    pub(super) metrics: Option<&'a Path>,
}

impl Deliver<'_> {
    /// Writes the metrics and delivers the report. `pipelines` are those that could be read, and `state` is where their ledgers are.
    pub(super) async fn tell(self, pipelines: Vec<Pipeline>, ends: Vec<RunEnd>, exit: Exit, state: &str, env: &Env) {
        if let Some(path) = self.metrics {
            count(path, pipelines, &ends, state, env).await;
        }
        if let Some(to) = self.report {
            deliver(to, ends, exit, env).await;
        }
    }
}

/// Makes the ends of runs that didn't begin, one a file: those that were refused say why, the others that they weren't to blame.
pub(super) fn refused<T>(
    asked: &[Result<T, Refused>],
    name: impl Fn(&T) -> &PipelineName,
    now: DateTime<Utc>,
) -> Vec<RunEnd> {
    let others: Vec<String> =
        asked.iter().filter_map(|one| one.as_ref().err()).map(|refused| format!("`{}`", refused.name)).collect();
    let others =
        format!("not run, since {} was refused: files that are given together run together", others.join(", "));
    let end = |one: &Result<T, Refused>| {
        let (pipeline, error) = match one {
            Ok(fine) => (name(fine), &others),
            Err(Refused { name, why }) => (name, why),
        };
        RunEnd {
            pipeline: pipeline.clone(),
            run: run::new_id(now),
            asked: Asked::new("run"),
            scheduled_for: None,
            started: now,
            ended: now,
            exit_code: Exit::Refused,
            error: Some(error.clone()),
            remedy: None,
            report: None,
        }
    };
    asked.iter().map(end).collect()
}

/// Writes or posts the report. Where that fails it is told, and the exit code stays that of the runs: what has landed has landed.
async fn deliver(to: &str, runs: Vec<RunEnd>, exit_code: Exit, env: &Env) {
    let report = Report { version: 1, tidegate: env!("CARGO_PKG_VERSION").to_owned(), exit_code, runs };
    let delivered = match Url::parse(to) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => {
            run::post(&url, "--report", &report, Arc::clone(&env.clock)).await.map_err(|error| error.to_string())
        }
        _ => match serde_json::to_vec_pretty(&report) {
            Ok(text) => written::write(Path::new(to), &text).await.map_err(|error| format!("{to}: {error}")),
            Err(error) => Err(format!("{to}: {error}")),
        },
    };
    if let Err(error) = delivered {
        print::problem(&format!("the report can't be delivered to {error}"));
    }
}

/// Writes the metrics of the runs, and of what the ledgers say after them. Of a pipeline whose file was refused the ledger still says when
/// a run last succeeded.
async fn count(path: &Path, pipelines: Vec<Pipeline>, ends: &[RunEnd], state: &str, env: &Env) {
    let metrics = Metrics::default();
    for end in ends {
        metrics.ended(end);
    }
    let mut known = Vec::new();
    let unread = ends.iter().filter(|end| pipelines.iter().all(|pipeline| pipeline.name != end.pipeline));
    for end in unread {
        known.push((end.pipeline.clone(), None, Known::read_runs(&end.pipeline, state, env).await));
    }
    for pipeline in pipelines {
        let pipeline = Arc::new(pipeline);
        let read = Known::read(&pipeline, state, env).await;
        known.push((pipeline.name.clone(), Some(pipeline), read));
    }
    let stands = known.iter().map(|(pipeline, spec, known)| {
        let ends = ends.iter().filter(|end| end.pipeline == *pipeline).collect();
        Stands { pipeline, spec: spec.as_deref(), known, ends }
    });
    let text = metrics.render(&stands.collect::<Vec<_>>(), None, Exposition::Plain);
    let written = match text {
        Ok(text) => written::write(path, text.as_bytes()).await,
        Err(error) => Err(std::io::Error::other(error)),
    };
    if let Err(error) = written {
        print::problem(&format!("the metrics can't be written to {}: {error}", path.display()));
    }
}
