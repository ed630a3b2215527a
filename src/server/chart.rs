//! Bars of a chart: geometry alone, in the units of an SVG's view box.

use serde::Serialize;

/// The height of a chart.
pub(super) const HEIGHT: f64 = 60.0;

/// The width of a bar with its gap.
const STEP: f64 = 10.0;

/// The least height of a bar, so that zero is seen.
const LEAST: f64 = 1.5;

/// A bar.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Bar {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) tone: &'static str,
    pub(super) label: String,
}

/// A chart.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Chart {
    pub(super) title: &'static str,
    /// What it shows, in words.
    pub(super) summary: String,
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) bars: Vec<Bar>,
}

/// Something to show: its value, not negative, the class of its colour, and what it says when pointed at.
#[derive(Debug, Clone)]
pub(super) struct Point {
    pub(super) value: f64,
    pub(super) tone: &'static str,
    pub(super) label: String,
}

/// Draws points from left to right. None where there are none.
pub(super) fn bars(title: &'static str, points: Vec<Point>, show: impl Fn(f64) -> String) -> Option<Chart> {
    let last = points.last()?.value;
    let most = points.iter().map(|point| point.value).fold(0.0, f64::max);
    let runs = if points.len() == 1 { "last run".to_owned() } else { format!("last {} runs", points.len()) };
    let summary = format!("{title} of the {runs}: {} at most, {} the last time", show(most), show(last));
    let mut x = 0.0;
    let bars: Vec<Bar> = points
        .into_iter()
        .map(|point| {
            let share = if most > 0.0 { point.value / most } else { 0.0 };
            let height = (share * HEIGHT).max(LEAST);
            let bar = Bar { x, y: HEIGHT - height, width: STEP - 2.0, height, tone: point.tone, label: point.label };
            x += STEP;
            bar
        })
        .collect();
    Some(Chart { title, summary, width: x, height: HEIGHT, bars })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(values: &[f64]) -> Vec<Point> {
        values.iter().map(|value| Point { value: *value, tone: "good", label: String::new() }).collect()
    }

    #[test]
    fn bars_stand_side_by_side_and_within_the_chart() {
        let chart = bars("Rows", points(&[0.0, 50.0, 100.0]), |value| format!("{value:.0}")).unwrap();
        assert_eq!(chart.summary, "Rows of the last 3 runs: 100 at most, 100 the last time");
        let shape: Vec<_> = chart.bars.iter().map(|bar| (bar.x, bar.y, bar.height)).collect();
        assert_eq!(shape, [(0.0, 58.5, 1.5), (10.0, 30.0, 30.0), (20.0, 0.0, 60.0)]);
        assert!((chart.width - 30.0).abs() < f64::EPSILON);
    }

    #[test]
    fn nothing_and_zeros_are_no_division_by_zero() {
        assert_eq!(bars("Rows", Vec::new(), |_| String::new()), None);
        let chart = bars("Rows", points(&[0.0, 0.0]), |_| String::new()).unwrap();
        assert!(chart.bars.iter().all(|bar| (bar.height - 1.5).abs() < f64::EPSILON));
    }
}
