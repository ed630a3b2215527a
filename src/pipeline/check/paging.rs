//! How a job gets from page to page.

use super::super::file::{CursorFile, JobFile, NextLinkFile, PaginateBy, PaginateFile};
use super::super::load::{Jq as JqText, Span, Spanned};
use super::super::spec::{CursorSpec, GivenBy, LinkFrom, Paginate, PaginateKind, Request};
use super::Findings;
use super::request::Vars;
use crate::lang::jq;
use crate::lang::place::Place;

/// A ceiling that no sane slice reaches: a hundred thousand requests.
const MAX_PAGES: u64 = 100_000;

impl Findings {
    pub(super) fn paginate(&mut self, job: &JobFile, vars: &Vars) -> Option<Paginate> {
        let span = job.paginate.span;
        let PaginateFile::By(by) = &job.paginate.value else {
            return Some(Paginate {
                kind: PaginateKind::None,
                more: None,
                total: None,
                short_page_ends: false,
                max_pages: 1,
            });
        };
        let more = self.envelope_jq(by.more.as_ref(), &vars.page(), vars);
        let total = self.envelope_jq(by.total.as_ref(), &vars.page(), vars);
        let kind = self.paginate_kind(span, by, job, vars)?;
        Some(Paginate {
            kind,
            more,
            total,
            short_page_ends: by.short_page.is_some(),
            max_pages: by.max_pages.map_or(MAX_PAGES, |pages| pages.value),
        })
    }

    fn paginate_kind(&mut self, span: Span, by: &PaginateBy, job: &JobFile, vars: &Vars) -> Option<PaginateKind> {
        let given =
            [by.offset.is_some(), by.page.is_some(), by.cursor.is_some(), by.next_link.is_some(), by.seek.is_some()];
        if given.into_iter().filter(|given| *given).count() != 1 {
            let message = "`paginate` needs exactly one of `offset`, `page`, `cursor`, `next_link` and `seek`";
            self.error(span, message, "keep one, or write `paginate: none` for an API that answers with one page");
            return None;
        }
        if let Some(offset) = &by.offset {
            let into = self.sent(&offset.into, job, vars);
            let size_into = self.sent_maybe(offset.size_into.as_ref(), job, vars);
            let size = self.size(offset.size);
            return Some(PaginateKind::Offset {
                into: into?,
                size_into,
                size,
                first: offset.first,
                advance: offset.advance,
            });
        }
        if let Some(page) = &by.page {
            let into = self.sent(&page.into, job, vars);
            let size_into = self.sent_maybe(page.size_into.as_ref(), job, vars);
            return Some(PaginateKind::Page { into: into?, size_into, size: self.size(page.size), first: page.first });
        }
        if let Some(cursor) = &by.cursor {
            return self.cursor(span, cursor, job, vars).map(PaginateKind::Cursor);
        }
        if let Some(link) = &by.next_link {
            return self.next_link(span, link, vars).map(PaginateKind::NextLink);
        }
        let seek = by.seek.as_ref()?;
        let into = self.sent(&seek.into, job, vars);
        let size_into = self.sent_maybe(seek.size_into.as_ref(), job, vars);
        let value = self.envelope_jq(Some(&seek.value), &vars.page(), vars);
        let format = seek.format.as_ref().map_or("{}", |format| format.value.as_str());
        if let Some(text) = &seek.format
            && text.value.matches("{}").count() != 1
        {
            let message = format!("`{}` doesn't say where the value goes", text.value);
            self.error(text.span, message, "write `{}` once in its place, such as '{};gt'");
        }
        Some(PaginateKind::Seek {
            into: into?,
            value: value?,
            order: seek.order,
            format: format.to_owned(),
            bound: seek.bound,
            size_into,
            size: self.size(seek.size),
        })
    }

    fn cursor(&mut self, span: Span, cursor: &CursorFile, job: &JobFile, vars: &Vars) -> Option<CursorSpec> {
        match (&cursor.value, cursor.values.is_empty()) {
            (Some(value), true) => {
                let into = cursor.into.as_ref().map(|into| self.sent(into, job, vars));
                let value = self.given_by(value, vars);
                // A place that is wrong has been reported; it isn't one that is left out.
                let into = match into {
                    Some(place) => Some(place?),
                    None => None,
                };
                Some(CursorSpec::One(into, value?))
            }
            (None, false) if cursor.into.is_none() => {
                let mut places = Vec::new();
                for (text, value) in &cursor.values {
                    let place = self.place_of(text, job, vars);
                    let value = self.given_by(value, vars);
                    places.extend(place.zip(value));
                }
                (places.len() == cursor.values.len()).then_some(CursorSpec::Several(places))
            }
            _ => {
                let help = "write `{into: body.offset, value: .offset}`, or `values:`, a map of places and their jq";
                self.error(span, "`cursor` needs `value` and the place it goes `into`, or `values`", help);
                None
            }
        }
    }

    fn next_link(&mut self, span: Span, link: &NextLinkFile, vars: &Vars) -> Option<LinkFrom> {
        match (&link.url, &link.header) {
            (Some(url), None) => self.given_by(url, vars).map(LinkFrom::Answer),
            (None, Some(header)) => Some(LinkFrom::Header(header.to_ascii_lowercase())),
            _ => {
                let help =
                    "write `{url: .links.next}` for a link in the answer, `{header: link}` for one in its headers";
                self.error(span, "`next_link` needs `url` or `header`, one of them", help);
                None
            }
        }
    }

    fn given_by(&mut self, text: &JqText, vars: &Vars) -> Option<GivenBy> {
        let value = self.envelope_jq(Some(text), &vars.page(), vars)?;
        let paths = jq::root_paths(text.as_str()).into_iter().filter(|path| !path.is_empty()).collect();
        Some(GivenBy { value, paths })
    }

    /// Checks that a cursor without a place is sent by a template.
    pub(super) fn cursor_is_sent(&mut self, span: Span, kind: &PaginateKind, request: &Request) {
        if matches!(kind, PaginateKind::Cursor(CursorSpec::One(None, _))) && !super::request::names(request, "cursor") {
            let help = "name its place (`into: body.offset`), or use `{{ cursor }}` in the request";
            self.error(span, "the cursor is never sent: each page would be the first", help);
        }
    }

    /// Compiles a place that values are written to, and checks that the request has that part.
    pub(super) fn sent(&mut self, text: &JqText, job: &JobFile, vars: &Vars) -> Option<Place> {
        let place = self.place(text, vars)?;
        self.place_exists(text.as_str(), text.span(), job);
        Some(place)
    }

    fn sent_maybe(&mut self, text: Option<&JqText>, job: &JobFile, vars: &Vars) -> Option<Place> {
        text.and_then(|text| self.sent(text, job, vars))
    }

    fn size(&mut self, size: Spanned<u64>) -> u64 {
        if size.value == 0 {
            self.error(size.span, "a page of no rows never moves on", "write how many rows to ask for");
        }
        size.value
    }
}
