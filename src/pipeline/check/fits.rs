//! What only several parts of a job together can get wrong.

use super::super::file::{Auth, JobFile, OnMismatch, PaginateFile, SeekBound};
use super::super::load::{Jq as JqText, Spanned, Text};
use super::super::spec::{CursorSpec, Paginate, PaginateKind, Request, Slicing};
use super::Findings;
use super::places::names_of;
use crate::lang::{PlainPath, Selector};

/// The parts of a job, as far as they could be made out.
pub(super) struct Parts<'a> {
    pub(super) name: &'a Spanned<String>,
    pub(super) job: &'a JobFile,
    pub(super) request: Option<&'a Request>,
    pub(super) records: Option<&'a Selector>,
    pub(super) paginate: Option<&'a Paginate>,
    pub(super) slicing: Option<&'a Slicing>,
    pub(super) key: &'a [String],
}

impl Findings<'_> {
    /// Checks how the parts of a job fit together.
    pub(super) fn fits(&mut self, parts: &Parts<'_>) {
        self.rows_can_be_counted(parts);
        self.pages_fit(parts);
        self.parts_fit(parts);
        self.slices_land(parts);
        self.can_be_read_again(parts);
    }

    /// Checks that rows can be told apart in several passes over a slice.
    fn can_be_read_again(&mut self, parts: &Parts<'_>) {
        let Some(on_mismatch) = parts.job.on_mismatch.filter(|on| on.value == OnMismatch::Refetch) else { return };
        if parts.job.incremental.is_some() {
            let help = "use `fail` or `warn`: rows that come while an increment is read are for the next one";
            self.error(on_mismatch.span, "`on_mismatch: refetch` has no meaning for an `incremental` job", help);
        } else if parts.job.latest_by.is_some() {
            let help = "remove `latest_by`: of the readings that prove a list whole, each row lands as it came last";
            self.error(on_mismatch.span, "`on_mismatch: refetch` doesn't go with `latest_by`", help);
        } else if parts.key.is_empty() && !parts.job.sinks.is_empty() {
            let message = "`on_mismatch: refetch` takes the rows of several readings together, and needs a `key` to tell them apart";
            self.missing(on_mismatch.span, message, "add `key:`, the columns that identify a row");
        }
    }

    fn rows_can_be_counted(&mut self, parts: &Parts<'_>) {
        let job = parts.job;
        match (parts.records, &job.rows) {
            (Some(Selector::Program(_)), None)
                if parts.paginate.is_some_and(counts_rows)
                    || job.window.as_ref().is_some_and(|window| window.split.is_some()) =>
            {
                let text = job.records.value.0.first().map(Text::as_str).unwrap_or_default();
                if PlainPath::parse(&format!("{text}[]")).is_some() {
                    let message = format!("`{text}` is one record, not the items of a list");
                    let help = format!("write `{text}[]` for the items; if it is one record indeed, add `rows: '1'`");
                    return self.error(job.records.span, message, help);
                }
                let help = "add `rows:`, jq for how many rows the server put on the page, such as `.items | length`";
                let message = "`records` is a jq program, so its records don't tell how many rows a page had";
                self.missing(job.records.span, message, help);
            }
            (Some(Selector::Plain { .. }), Some(rows)) => {
                let message = "`rows` has no meaning beside a plain path: its items are counted";
                self.error(rows.span(), message, "remove it");
            }
            _ => {}
        }
    }

    fn pages_fit(&mut self, parts: &Parts<'_>) {
        let Some(paginate) = parts.paginate else { return };
        let span = parts.job.paginate.span;
        let seeks = matches!(paginate.kind, PaginateKind::Seek { .. });
        if matches!(paginate.kind, PaginateKind::Seek { bound: SeekBound::Inclusive, .. }) && parts.key.is_empty() {
            let help = "add `key:`, or say `bound: exclusive` if the server leaves the value itself out";
            self.missing(span, "an inclusive `seek` sees rows twice and needs a `key` to drop them", help);
        }
        if let (PaginateFile::By(by), PaginateKind::Seek { into, .. }) = (&parts.job.paginate.value, &paginate.kind) {
            by.seek.iter().for_each(|seek| self.seek_fits(seek, parts, into));
        }
        let by_template = matches!(paginate.kind, PaginateKind::Cursor(CursorSpec::One(None, _)));
        if by_template && parts.request.is_some_and(|request| !names_of(request).contains("cursor")) {
            let help = "name its place (`into: body.offset`), or use `{{ cursor }}` in the request";
            self.missing(span, "the cursor is never sent: each page would be the first", help);
        }
        let Some(incremental) = &parts.job.incremental else { return };
        let has_place = incremental.into.as_ref().is_some_and(|sent| sent.into.is_some());
        let by_template = parts.request.is_none_or(|request| names_of(request).contains("increment.from"));
        if !has_place && !by_template && (incremental.into.is_some() || !seeks) {
            let help = "name its place (`into: query.since`), use `{{ increment.from }}` in the request, or page by `seek`, whose place \
                        also takes the cursor";
            self.error(span, "an `incremental` job has no way to send its cursor", help);
        }
    }

    fn slices_land(&mut self, parts: &Parts<'_>) {
        let name = parts.name;
        match (parts.slicing, parts.job.sinks.is_empty()) {
            (Some(Slicing::Parent), false) => {
                let message = format!("the job `{}` lands data, but doesn't say in which slices", name.value);
                let help = "add `window` (by time), `incremental` (by an id or a time that grows) or `snapshot: latest` (the \
                            whole list)";
                self.missing(name.span, message, help);
            }
            (Some(Slicing::Window(_) | Slicing::Incremental(_)), true) => {
                let message =
                    format!("the job `{}` is cut into slices, but has no `sinks` to land them in", name.value);
                self.missing(name.span, message, "add `sinks:`");
            }
            _ => {}
        }
    }

    /// Checks that no place is written to twice.
    pub(super) fn distinct(&mut self, first: Option<&JqText>, second: Option<&JqText>, what: &str) {
        if let (Some(first), Some(second)) = (first, second)
            && first.as_str() == second.as_str()
        {
            let message = format!("{what} would both be written to `{}`", second.shown());
            self.error(second.span(), message, "give each a place of its own");
        }
    }

    /// Checks that the credential has a place in the request.
    pub(super) fn credential_fits(&mut self, auth: Option<&Spanned<Auth>>, job: &JobFile) {
        if let (Some(auth), Some(_)) = (auth, &job.body)
            && let Auth::Form(form) = &auth.value
        {
            let message =
                format!("the credential `{}` goes into a form, but the request has a `body`", form.name.value);
            self.error(form.name.span, message, "use `auth: {header: ...}`, or send a `form`");
        }
    }
}

/// Whether the end of paging is found by counting rows.
fn counts_rows(paginate: &Paginate) -> bool {
    match paginate.kind {
        PaginateKind::Offset { .. } | PaginateKind::Page { .. } | PaginateKind::Seek { .. } => true,
        PaginateKind::None | PaginateKind::Cursor(_) | PaginateKind::NextLink(_) => paginate.total.is_some(),
    }
}
