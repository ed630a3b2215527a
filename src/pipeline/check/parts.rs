//! Cells that are read in parts, and a `seek` that moves an edge of the window.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};

use super::super::file::{EdgeBound, JobFile, Order, PaginateFile, ResolutionFile, SeekBound, SeekFile, WindowFile};
use super::super::load::{Span, Spanned};
use super::super::spec::{InstantFormat, LEAST_STEPS, PartsSpec, Request, Slicing, WindowSpec, most_steps};
use super::Findings;
use super::fits::Parts;
use super::places::names_of;
use super::request::Vars;
use super::slicing::length;
use crate::lang::place::Place;

impl Findings<'_> {
    /// Checks `split` and `resolution`.
    pub(super) fn parts(&mut self, window: &Spanned<WindowFile>, job: &JobFile, vars: &Vars) -> Option<PartsSpec> {
        match (&window.split, &window.resolution) {
            (Some(_), Some(resolution)) => {
                let message = "a window is halved for one reason: full pages, or points that were merged";
                self.error(resolution.span, message, "keep `split` or `resolution`");
                None
            }
            (Some(split), None) => {
                let size = split.value.size;
                if size.value < 2 {
                    let help = "write the limit that the request asks for, at least 2";
                    self.error(size.span, "a page of so few rows is always full", help);
                }
                Some(PartsSpec::Split { size: size.value })
            }
            (None, Some(resolution)) => self.resolution(&resolution.value, window, job, vars),
            (None, None) => Some(PartsSpec::Whole),
        }
    }

    fn resolution(
        &mut self,
        resolution: &ResolutionFile,
        window: &Spanned<WindowFile>,
        job: &JobFile,
        vars: &Vars,
    ) -> Option<PartsSpec> {
        let observed = self.envelope_jq(Some(&resolution.observed), &vars.page(), vars);
        for edge in [&window.from, &window.to].into_iter().flatten() {
            self.distinct(
                Some(&edge.value.into),
                resolution.into.as_ref(),
                "an edge of the window and the most points",
            );
        }
        let into = resolution.into.as_ref().map(|into| self.sent(into, job, vars));
        let (step, every) = (resolution.step.value.0, window.every.value.0);
        if step.is_zero() {
            self.error(resolution.step.span, "points have a step", "write a duration such as `30m`");
            return None;
        }
        if every.as_nanos() % step.as_nanos() != 0 {
            let (every, step) = (window.every.value, resolution.step.value);
            let message = format!("cells of {every} cut the steps of {step} apart");
            self.error(window.every.span, message, "make `every` a multiple of `resolution.step`");
        } else if every == step {
            let help = "make `every` longer: then the step that comes back can be checked";
            self.warn(window.every.span, "a cell of one step has one point, which shows no step", help);
        }
        let pad = window.pad.map(|pad| pad.value).unwrap_or_default();
        let pad = length(pad.before) + length(pad.after);
        let most = most_steps(step, resolution.max_points.value, pad);
        if most < u64::from(LEAST_STEPS) {
            let message = "`max_points` leaves no room for two steps, with a point at both edges and those of `pad`";
            self.error(resolution.max_points.span, message, "let answers have more points, or make `pad` smaller");
        }
        if length(window.lag) < step {
            let message = "the last point of a cell may still change when the cell is read";
            self.warn(resolution.step.span, message, "give the window a `lag` of one step or more");
        }
        if window.own_time().is_none() && !self.partial {
            let message = "servers put a point at both edges of what is asked for, and no `time` cuts the one that belongs elsewhere";
            let help = "add `time:`, SQL for a point's own time; else a point at an edge may land twice";
            self.warn(resolution.step.span, message, help);
        }
        let into = match into {
            Some(into) => Some(into?),
            None => None,
        };
        Some(PartsSpec::Resolution { step, max_points: resolution.max_points.value, into, observed: observed? })
    }

    /// Checks that cells that are read in parts can be.
    pub(super) fn parts_fit(&mut self, parts: &Parts<'_>) {
        let Some(window) = &parts.job.window else { return };
        let split = window.split.as_ref().map(|split| ("split", split.span));
        let resolution = window.resolution.as_ref().map(|resolution| ("resolution", resolution.span));
        let Some((name, span)) = split.or(resolution) else { return };
        if let PaginateFile::By(_) = &parts.job.paginate.value {
            let message = format!("with `{name}` each part of a window is one page, and this goes to further ones");
            self.error(parts.job.paginate.span, message, format!("write `paginate: none`, or remove `{name}`"));
        }
        if let Some(request) = parts.request {
            self.both_edges_are_sent(window, request, span, name);
        }
    }

    fn both_edges_are_sent(&mut self, window: &Spanned<WindowFile>, request: &Request, span: Span, name: &str) {
        let names = names_of(request);
        if window.at.is_some() || names.contains("window.at") {
            let message = format!("`{name}` asks for parts of a window, but `at` always sends the whole cell");
            return self.error(
                span,
                message,
                format!("name the places of both edges, `from:` and `to:`, or remove `{name}`"),
            );
        }
        let sent = |edge: bool, variable: &str| edge || names.contains(variable) || names.contains("window");
        let (from, to) = (sent(window.from.is_some(), "window.from"), sent(window.to.is_some(), "window.to"));
        // With neither, or where no `time` cuts what comes in excess, it has been said already.
        if from != to && window.own_time().is_some() {
            let message = format!("`{name}` asks for parts of a window, but one of its edges is never sent");
            self.missing(span, message, "name the places of both edges, `from:` and `to:`");
        }
    }

    /// Checks a `seek` against how the job is cut into slices.
    pub(super) fn seek_fits(&mut self, seek: &SeekFile, parts: &Parts<'_>, into: &Place) {
        let order = seek.order;
        if parts.job.incremental.is_some() && order.value == Order::Desc {
            let help = "sort upwards (`order: asc`); if the API can't, use a `window` or a `snapshot`";
            self.error(order.span, "an `incremental` job goes on after the greatest cursor, so it reads upwards", help);
        }
        let (Some(Slicing::Window(spec)), Some(window)) = (parts.slicing, &parts.job.window) else { return };
        let is = |edge: Option<&(Place, EdgeBound)>| edge.is_some_and(|(place, _)| place.as_str() == into.as_str());
        let (from, to) = (is(spec.from.as_ref()), is(spec.to.as_ref()));
        let place = seek.into.shown();
        match (order.value, from, to) {
            (Order::Asc, _, true) => {
                let message = format!("upwards, `{place}` would move the end of the window");
                self.error(seek.into.span(), message, "name the place of `window.from`, or say `order: desc`");
            }
            (Order::Desc, _, false) => {
                let message = format!("downwards, the end of the window moves, and `{place}` isn't its place");
                self.error(seek.into.span(), message, "make `paginate.seek.into` and `window.to` the same place");
            }
            (Order::Asc, false, false) => {}
            _ => self.edge_moves(seek, spec, window),
        }
    }

    /// Checks a `seek` that moves an edge of the window: values and edges must be treated, and compare, alike.
    fn edge_moves(&mut self, seek: &SeekFile, spec: &WindowSpec, window: &Spanned<WindowFile>) {
        let down = seek.order.value == Order::Desc;
        let (edge, written) = if down { (&spec.to, &window.to) } else { (&spec.from, &window.from) };
        let inclusive = |bound: EdgeBound| bound == EdgeBound::Inclusive;
        let same = edge.as_ref().is_some_and(|(_, bound)| inclusive(*bound) == (seek.bound == SeekBound::Inclusive));
        // Downwards with `time`, the window's end is asked for with itself, whatever the server does there.
        let open_ended = down && spec.time.is_some();
        if !(same || open_ended) {
            let name = if down { "to" } else { "from" };
            let message = format!(
                "`window.{name}` and `paginate.seek` are one place, and differ in how the server treats its value"
            );
            let help =
                "say `bound: inclusive` of both if rows with the very value are in the answer, else `bound: exclusive`";
            self.error(written.as_ref().map_or(window.span, |edge| edge.span), message, help);
        }
        if let InstantFormat::Strftime(format) = &spec.format
            && !sorts(format)
        {
            let message = format!("instants written as `{format}` don't sort as texts, and `seek` compares them");
            self.error(window.format.span, message, "write the year first, then month, day, hour, minute and second");
        }
    }
}

/// Tells whether the texts of instants sort as the instants do.
fn sorts(format: &str) -> bool {
    let days = [(2025, 12, 9), (2025, 12, 31), (2026, 1, 1), (2026, 1, 2), (2026, 2, 1), (2026, 9, 10), (2026, 10, 9)];
    let times =
        [(0, 0, 0), (0, 0, 9), (0, 1, 0), (0, 10, 0), (1, 0, 0), (9, 59, 59), (12, 0, 0), (13, 0, 0), (23, 0, 0)];
    let instants = days.iter().flat_map(|(year, month, day)| {
        let date = NaiveDate::from_ymd_opt(*year, *month, *day);
        times.iter().filter_map(move |(hour, minute, second)| {
            Some(date?.and_time(NaiveTime::from_hms_opt(*hour, *minute, *second)?).and_utc())
        })
    });
    let texts: Vec<String> = instants.map(|at: DateTime<Utc>| at.format(format).to_string()).collect();
    texts.is_sorted()
}

#[cfg(test)]
mod tests {
    use super::sorts;

    #[test]
    fn the_year_comes_first() {
        for format in ["%Y-%m-%d %H:%M:%S", "%Y%m%d", "%FT%TZ", "%Y-%m-%dT%H:%M:%S%.3f", "%s", "%Y-%j"] {
            assert!(sorts(format), "{format}");
        }
        for format in ["%d/%m/%Y %H:%M:%S", "%Y-%m-%d %I:%M", "%c", "%Y-%-m-%-d", "%Y-%m-%d %k:%M", "%b %Y"] {
            assert_eq!(sorts(format), format.contains("%k"), "{format}");
        }
    }
}
