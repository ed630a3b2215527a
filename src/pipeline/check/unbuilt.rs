//! What the language has and this version doesn't do yet: refused, never ignored.

use super::super::file::{JobFile, OnReset, PipelineFile};
use super::super::load::Span;
use super::Findings;

impl Findings<'_> {
    fn not_built(&mut self, span: Span, what: &str, instead: &str) {
        self.error(span, format!("{what} is not built yet"), instead);
    }
}

/// Refuses what a pipeline can't do yet.
pub(super) fn pipeline(findings: &mut Findings<'_>, file: &PipelineFile) {
    let hooks = [("on_failure", &file.on_failure), ("on_success", &file.on_success)];
    for (name, hook) in hooks {
        if let Some(hook) = hook {
            findings.not_built(
                hook.span,
                &format!("`{name}`"),
                "remove it, and act on the exit code of `tidegate run`",
            );
        }
    }
}

/// Refuses what a job can't do yet.
pub(super) fn job(findings: &mut Findings<'_>, job: &JobFile) {
    slicing(findings, job);
    rows(findings, job);
    for sink in job.sinks.values() {
        if let Some(http) = &sink.http {
            findings.not_built(http.span, "the `http` sink", "land the rows in `jsonl`, and send them from there");
        }
        if let Some(stdout) = &sink.stdout {
            findings.not_built(stdout.span, "the `stdout` sink", "land the rows in `jsonl`, or use `tidegate preview`");
        }
    }
}

fn slicing(findings: &mut Findings<'_>, job: &JobFile) {
    if let Some(incremental) = &job.incremental {
        if let Some(lag) = incremental.lag {
            findings.not_built(lag.span, "`incremental.lag`", "use a `window` for rows that come late");
        }
        if let Some(into) = &incremental.into {
            findings.not_built(into.span(), "`incremental.into`", "page by `seek`, which sends the cursor");
        }
        if let Some(newest) = &incremental.newest {
            findings.not_built(newest.span, "`incremental.newest`", "remove it");
        }
        if let Some(on_reset) = incremental.on_reset
            && on_reset.value == OnReset::Restart
        {
            findings.not_built(on_reset.span, "`on_reset: restart`", "remove it");
        }
    }
}

fn rows(findings: &mut Findings<'_>, job: &JobFile) {
    if let Some(enrich) = &job.enrich {
        findings.not_built(enrich.span, "`enrich`", "read the details in a job of their own, with `for_each`");
    }
    if let Some(latest_by) = &job.latest_by {
        findings.not_built(latest_by.span(), "`latest_by`", "remove it: of rows with one key the last received stays");
    }
}
