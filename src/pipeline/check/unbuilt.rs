//! What the language has and this version doesn't do yet: refused, never ignored.

use super::super::file::JobFile;
use super::super::load::Span;
use super::Findings;

impl Findings<'_> {
    fn not_built(&mut self, span: Span, what: &str, instead: &str) {
        self.error(span, format!("{what} is not built yet"), instead);
    }
}

/// Refuses what a job can't do yet.
pub(super) fn job(findings: &mut Findings<'_>, job: &JobFile) {
    for sink in job.sinks.values() {
        if let Some(stdout) = &sink.stdout {
            findings.not_built(stdout.span, "the `stdout` sink", "land the rows in `jsonl`, or use `tidegate preview`");
        }
    }
}
