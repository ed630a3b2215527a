//! How a job gets from page to page.

use super::super::file::{CursorFile, JobFile, NextLinkFile, PaginateBy, PaginateFile, SeekBound, SeekFile};
use super::super::load::{Jq as JqText, Span, Spanned};
use super::super::spec::{CursorSpec, GivenBy, LinkFrom, Paginate, PaginateKind};
use super::Findings;
use super::request::Vars;
use crate::lang::jq;
use crate::lang::place::Place;

/// A ceiling that no sane slice reaches: a hundred thousand requests.
const MAX_PAGES: u64 = 100_000;

impl Findings<'_> {
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
        if let Some(pages) = by.max_pages.filter(|pages| pages.value == 0) {
            self.error(pages.span, "`max_pages` can't be 0", "write the most pages that a slice can have");
        }
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
        let given = [
            by.offset.is_some(),
            by.page.is_some(),
            by.cursor.is_some(),
            by.next_link.is_some(),
            by.seek.is_some(),
            by.none.is_some(),
        ];
        match given.into_iter().filter(|given| *given).count() {
            0 => {
                let message = "`paginate` doesn't say how to get to the next page";
                let help = "add one of `offset`, `page`, `cursor`, `next_link` and `seek`, or write `paginate: none` for an API \
                            that answers with one page";
                self.missing(span, message, help);
                return None;
            }
            1 => {}
            _ => {
                let message = "`paginate` goes to the next page in several ways";
                self.error(span, message, "keep one of `offset`, `page`, `cursor`, `next_link`, `seek` and `none`");
                return None;
            }
        }
        if let Some(none) = by.none {
            return self.one_page(none, by);
        }
        if let Some(offset) = &by.offset {
            self.distinct(Some(&offset.into), offset.size_into.as_ref(), "the offset and the size");
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
            self.distinct(Some(&page.into), page.size_into.as_ref(), "the page and the size");
            let into = self.sent(&page.into, job, vars);
            let size_into = self.sent_maybe(page.size_into.as_ref(), job, vars);
            return Some(PaginateKind::Page { into: into?, size_into, size: self.size(page.size), first: page.first });
        }
        if let Some(cursor) = &by.cursor {
            return self.cursor(&cursor.value, job, vars).map(PaginateKind::Cursor);
        }
        if let Some(link) = &by.next_link {
            return self.next_link(link, vars).map(PaginateKind::NextLink);
        }
        by.seek.as_ref().and_then(|seek| self.seek(seek, job, vars))
    }

    fn one_page(&mut self, none: Spanned<bool>, by: &PaginateBy) -> Option<PaginateKind> {
        if !none.value {
            let help = "name the way to the next page, or write `none: true`";
            self.error(none.span, "`none: false` doesn't say how to get to the next page", help);
            return None;
        }
        let unused = [("short_page", by.short_page.is_some()), ("max_pages", by.max_pages.is_some())];
        for (name, _) in unused.into_iter().filter(|(_, is_given)| *is_given) {
            let message = format!("`{name}` doesn't go with `none`: one page is read");
            self.error(none.span, message, format!("remove `{name}`"));
        }
        Some(PaginateKind::None)
    }

    fn seek(&mut self, seek: &SeekFile, job: &JobFile, vars: &Vars) -> Option<PaginateKind> {
        self.distinct(Some(&seek.into), seek.size_into.as_ref(), "the value and the size");
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
            column: jq::key_of(seek.value.as_str(), "last"),
            order: seek.order.value,
            format: format.to_owned(),
            bound: seek.bound,
            overlap: self.overlap(seek, job),
            size_into,
            size: self.size(seek.size),
        })
    }

    fn overlap(&mut self, seek: &SeekFile, job: &JobFile) -> bool {
        let Some(overlap) = seek.overlap.filter(|overlap| overlap.value) else { return false };
        if seek.bound == SeekBound::Exclusive {
            let help = "remove `bound: exclusive`: what goes on at the value comes again anyway";
            self.error(overlap.span, "`overlap` doesn't go with an exclusive `bound`", help);
        }
        if job.window.as_ref().is_none_or(|window| window.value.own_time().is_none()) {
            let help =
                "add a `window` with `time:`, SQL for a row's own time: one that doesn't change as the row goes on";
            self.missing(
                overlap.span,
                "with `overlap` and without `window.time`, rows would land in several slices",
                help,
            );
        }
        true
    }

    fn cursor(&mut self, cursor: &CursorFile, job: &JobFile, vars: &Vars) -> Option<CursorSpec> {
        match cursor {
            CursorFile::One { into, value } => {
                let place = into.as_ref().map(|into| self.sent(into, job, vars));
                let value = self.given_by(value, vars);
                // A place that is wrong has been reported; it isn't one that is left out.
                let place = match place {
                    Some(place) => Some(place?),
                    None => None,
                };
                Some(CursorSpec::One(place, value?))
            }
            CursorFile::Many(values) => {
                let mut places = Vec::new();
                for (text, value) in values {
                    let place = self.sent_key(text, job, vars);
                    let value = self.given_by(value, vars);
                    places.extend(place.zip(value));
                }
                (places.len() == values.len()).then_some(CursorSpec::Several(places))
            }
        }
    }

    fn next_link(&mut self, link: &Spanned<NextLinkFile>, vars: &Vars) -> Option<LinkFrom> {
        match (&link.value.url, &link.value.header) {
            (Some(url), None) => self.given_by(url, vars).map(LinkFrom::Answer),
            (None, Some(header)) => Some(LinkFrom::Header(header.to_ascii_lowercase())),
            (url, _) => {
                // A second round of mistakes later helps nobody.
                self.envelope_jq(url.as_ref(), &vars.page(), vars);
                let help =
                    "write `{url: .links.next}` for a link in the answer, `{header: link}` for one in its headers";
                let message = "`next_link` needs `url` or `header`, one of them";
                match url {
                    Some(_) => self.error(link.span, message, help),
                    None => self.missing(link.span, message, help),
                }
                None
            }
        }
    }

    fn given_by(&mut self, text: &JqText, vars: &Vars) -> Option<GivenBy> {
        let value = self.envelope_jq(Some(text), &vars.page(), vars)?;
        let paths = jq::root_paths(text.as_str()).into_iter().filter(|path| !path.is_empty()).collect();
        let of_row = jq::variables(text.as_str()).iter().any(|name| matches!(name.as_str(), "last" | "first"));
        let column = jq::key_of(text.as_str(), "last");
        Some(GivenBy { value, paths, of_row, column })
    }

    /// Compiles a place that values are written to, and checks that the request has that part.
    pub(super) fn sent(&mut self, text: &JqText, job: &JobFile, vars: &Vars) -> Option<Place> {
        let place = self.place(text, vars)?;
        self.place_exists(text.shown(), text.span(), &place, job);
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
