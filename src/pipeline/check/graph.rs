//! Which job needs the rows of which: references and cycles.

use indexmap::IndexMap;

use super::super::file::JobFile;
use super::super::load::{Diagnostic, Spanned, nearest};
use super::Findings;

/// Returns the jobs' names, each after the one whose rows it needs, otherwise in the order of the file.
pub(super) fn order<'f>(findings: &mut Findings<'_>, jobs: &'f IndexMap<Spanned<String>, JobFile>) -> Vec<&'f str> {
    let mut order: Vec<&str> = Vec::with_capacity(jobs.len());
    for name in jobs.keys() {
        let mut chain = Vec::new();
        visit(findings, jobs, name, &mut chain, &mut order);
    }
    order
}

fn visit<'f>(
    findings: &mut Findings<'_>,
    jobs: &'f IndexMap<Spanned<String>, JobFile>,
    name: &'f str,
    chain: &mut Vec<&'f str>,
    order: &mut Vec<&'f str>,
) {
    if order.contains(&name) {
        return;
    }
    chain.push(name);
    if let Some(parent) = jobs.get(name).and_then(parent) {
        if let Some(start) = chain.iter().position(|job| *job == parent.value) {
            let mut circle: Vec<String> = chain[start..].iter().map(|job| format!("`{job}`")).collect();
            circle.push(format!("`{}`", parent.value));
            let message = format!("the jobs wait for one another: {}", circle.join(" -> "));
            findings.error(parent.span, message, "one of them must get its rows without the others");
        } else if jobs.contains_key(parent.value.as_str()) {
            visit(findings, jobs, &parent.value, chain, order);
            check_parent(findings, jobs, parent);
        } else {
            unknown(findings, jobs, parent);
        }
    }
    order.push(name);
}

fn parent(job: &JobFile) -> Option<&Spanned<String>> {
    job.for_each.as_ref().and_then(|for_each| for_each.rows_of.as_ref())
}

fn check_parent(findings: &mut Findings<'_>, jobs: &IndexMap<Spanned<String>, JobFile>, name: &Spanned<String>) {
    let Some(job) = jobs.get(name.value.as_str()) else { return };
    if job.window.is_some() || job.incremental.is_some() {
        let message = format!("`{}` can't feed other jobs: it is read in slices, not whole", name.value);
        findings.error(name.span, message, "name a job that has no `window` and no `incremental`");
    }
}

fn unknown(findings: &mut Findings<'_>, jobs: &IndexMap<Spanned<String>, JobFile>, name: &Spanned<String>) {
    let known: Vec<&str> = jobs.keys().map(|job| job.value.as_str()).collect();
    let help = nearest(&name.value, &known).map_or_else(
        || format!("the jobs are {}", known.iter().map(|job| format!("`{job}`")).collect::<Vec<_>>().join(", ")),
        |near| format!("did you mean `{near}`?"),
    );
    let message = format!("there is no job `{}`", name.value);
    if !findings.is_written(&name.value) {
        findings.add(Diagnostic::error(name.span, message).expected("the name of another job").help(help));
    }
}
