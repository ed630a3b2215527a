//! What a window asks the server for: its edges as values of the request.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::extract::paginate::Edit;
use crate::lang::place::Place;
use crate::model::Window;
use crate::pipeline::file::EdgeBound;
use crate::pipeline::spec::{InstantFormat, PartsSpec, WindowSpec};
use crate::plan::delta;

/// Returns the edits that put a window's edges into the request, and the most points that its answer may have.
///
/// With `time`, the request covers the closed `[from, to]`, whatever the server's rule at the edges is, and rows are cut by
/// their own time. Without it, an edge that the server treats otherwise than half-open is sent one unit of `as` earlier.
pub(super) fn edits(spec: &WindowSpec, window: Window) -> Vec<Edit> {
    let (from, to) = edges(spec, window);
    let edit = |place: Option<&(Place, EdgeBound)>, value| place.map(|(place, _)| Edit { place: place.clone(), value });
    let edges = edit(spec.from.as_ref(), from).into_iter().chain(edit(spec.to.as_ref(), to));
    let points = match &spec.parts {
        PartsSpec::Resolution { into: Some(into), max_points, .. } => {
            Some(Edit { place: into.clone(), value: (*max_points).into() })
        }
        _ => None,
    };
    let at = spec.at.as_ref().map(|place| Edit { place: place.clone(), value: print(&spec.format, window.from) });
    edges.chain(points).chain(at).collect()
}

/// Returns the values of the window's edges.
fn edges(spec: &WindowSpec, window: Window) -> (Value, Value) {
    let padded = padded(spec, window);
    let unit = unit(&spec.format);
    let bound = |edge: Option<&(Place, EdgeBound)>| edge.map(|(_, bound)| *bound);
    let from_earlier = bound(spec.from.as_ref()) == Some(EdgeBound::Exclusive);
    let to_earlier = bound(spec.to.as_ref()) == Some(EdgeBound::Inclusive) && spec.time.is_none();
    let value = |instant, earlier| print(&spec.format, if earlier { instant - unit } else { instant });
    (value(padded.from, from_earlier), value(padded.to, to_earlier))
}

/// Returns where a `seek` begins and how far it may go, where the place that it writes to is that of an edge of the window.
pub(super) fn reach(spec: &WindowSpec, window: Window, into: &Place) -> Option<(Value, Value)> {
    let is = |edge: Option<&(Place, EdgeBound)>| edge.is_some_and(|(place, _)| place.as_str() == into.as_str());
    let (from, to) = edges(spec, window);
    if is(spec.to.as_ref()) {
        Some((to, from))
    } else if is(spec.from.as_ref()) {
        Some((from, to))
    } else {
        None
    }
}

/// Returns what templates see as `window`: its two edges and the cell itself, in the format of `as`.
pub(super) fn variable(spec: &WindowSpec, window: Window) -> Value {
    let padded = padded(spec, window);
    let [from, to, at] = [padded.from, padded.to, window.from].map(|instant| print(&spec.format, instant));
    json!({"from": from, "to": to, "at": at})
}

/// Returns the window that is asked for.
pub(super) fn padded(spec: &WindowSpec, window: Window) -> Window {
    let earlier = |instant: DateTime<Utc>, by: Duration| instant.checked_sub_signed(delta(by)).unwrap_or(instant);
    let later = |instant: DateTime<Utc>, by: Duration| instant.checked_add_signed(delta(by)).unwrap_or(instant);
    Window { from: earlier(window.from, spec.pad_before), to: later(window.to, spec.pad_after) }
}

pub(super) fn print(format: &InstantFormat, instant: DateTime<Utc>) -> Value {
    match format {
        InstantFormat::EpochSeconds => instant.timestamp().into(),
        InstantFormat::EpochMillis => instant.timestamp_millis().into(),
        InstantFormat::Rfc3339 => instant.to_rfc3339_opts(SecondsFormat::AutoSi, true).into(),
        InstantFormat::Strftime(format) => instant.format(format).to_string().into(),
    }
}

/// Returns the smallest difference that two printed instants can show.
pub(super) fn unit(format: &InstantFormat) -> TimeDelta {
    match format {
        InstantFormat::EpochSeconds => TimeDelta::seconds(1),
        InstantFormat::EpochMillis => TimeDelta::milliseconds(1),
        InstantFormat::Rfc3339 => TimeDelta::microseconds(1),
        InstantFormat::Strftime(format) => {
            let has = |items: &[&str]| items.iter().any(|item| format.contains(item));
            if has(&["%f", "%.f", "%6f", "%.6f"]) {
                TimeDelta::microseconds(1)
            } else if has(&["%3f", "%.3f"]) {
                TimeDelta::milliseconds(1)
            } else if has(&["%S", "%T", "%s", "%X", "%c", "%r", "%+"]) {
                TimeDelta::seconds(1)
            } else if has(&["%M", "%R"]) {
                TimeDelta::minutes(1)
            } else if has(&["%H", "%I", "%k", "%l"]) {
                TimeDelta::hours(1)
            } else {
                TimeDelta::days(1)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::load::Sql;
    use crate::pipeline::spec::Start;

    fn spec(format: InstantFormat, bounds: (EdgeBound, EdgeBound), time: bool) -> WindowSpec {
        let place = |text: &str| Place::compile(text, &[]).unwrap();
        WindowSpec {
            every: Duration::from_secs(86_400),
            start: Start::At(DateTime::UNIX_EPOCH),
            lag: Duration::ZERO,
            lookback: Duration::ZERO,
            format,
            from: Some((place("query.from"), bounds.0)),
            to: Some((place("query.to"), bounds.1)),
            time: time.then(|| Sql::new("ts")),
            at: None,
            pad_before: Duration::ZERO,
            pad_after: Duration::ZERO,
            parts: PartsSpec::Whole,
        }
    }

    fn sent(spec: &WindowSpec) -> Vec<String> {
        let window =
            Window { from: "2026-01-01T00:00:00Z".parse().unwrap(), to: "2026-01-02T00:00:00Z".parse().unwrap() };
        edits(spec, window).into_iter().map(|edit| edit.value.to_string()).collect()
    }

    #[test]
    fn without_a_time_the_bounds_decide_what_is_sent() {
        use EdgeBound::{Exclusive, Inclusive};
        let seconds = InstantFormat::EpochSeconds;
        assert_eq!(sent(&spec(seconds.clone(), (Inclusive, Exclusive), false)), ["1767225600", "1767312000"]);
        assert_eq!(sent(&spec(seconds.clone(), (Inclusive, Inclusive), false)), ["1767225600", "1767311999"]);
        assert_eq!(sent(&spec(seconds, (Exclusive, Exclusive), false)), ["1767225599", "1767312000"]);
        let day = InstantFormat::Strftime("%Y-%m-%d".to_owned());
        assert_eq!(sent(&spec(day, (Inclusive, Inclusive), false)), [r#""2026-01-01""#, r#""2026-01-01""#]);
    }

    #[test]
    fn with_a_time_the_closed_window_is_asked_for() {
        use EdgeBound::{Exclusive, Inclusive};
        let rfc3339 = InstantFormat::Rfc3339;
        let both = [r#""2026-01-01T00:00:00Z""#, r#""2026-01-02T00:00:00Z""#];
        assert_eq!(sent(&spec(rfc3339.clone(), (Inclusive, Inclusive), true)), both);
        assert_eq!(sent(&spec(rfc3339, (Inclusive, Exclusive), true)), both);
    }
}
