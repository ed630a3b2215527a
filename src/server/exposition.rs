//! The two texts in which metrics are told: `OpenMetrics`, and the text format 0.0.4 of Prometheus, the only one that the node
//! exporter's textfile collector reads, and what a scraper gets that doesn't ask for the other.
//!
//! Source: <https://prometheus.io/docs/instrumenting/exposition_formats/>.

/// How metrics are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposition {
    /// `OpenMetrics` 1.0.
    OpenMetrics,
    /// The text format 0.0.4.
    Plain,
}

impl Exposition {
    /// Returns what a scraper prefers, by its `Accept` header: `OpenMetrics` only where it is named, and no less welcome than plain text.
    #[must_use]
    pub fn accepted(accept: &str) -> Self {
        let weight = |kind: &str| {
            let ranges = accept.split(',').map(|range| range.split(';').map(str::trim));
            let weights = ranges.filter_map(|mut parts| {
                let is_it = parts.next()?.eq_ignore_ascii_case(kind);
                let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
                is_it.then(|| weight.map_or(1.0, |weight| weight.trim().parse::<f32>().unwrap_or(0.0)))
            });
            weights.fold(0.0, f32::max)
        };
        let open = weight("application/openmetrics-text");
        if open > 0.0 && open >= weight("text/plain") { Self::OpenMetrics } else { Self::Plain }
    }

    /// Returns the content type.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Plain => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// Makes the text format 0.0.4 of an `OpenMetrics` text. The samples are the same; `# TYPE` and `# HELP` name them as they are called,
/// with `_total` and `_info`, an info is a gauge, and there is neither `# UNIT` nor `# EOF`.
pub(super) fn plain(open: &str) -> String {
    let mut out = String::with_capacity(open.len());
    let mut help = None;
    for line in open.lines() {
        if line == "# EOF" || line.starts_with("# UNIT ") {
            continue;
        }
        if let Some(text) = line.strip_prefix("# HELP ") {
            help = text.split_once(' ');
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|text| text.split_once(' ')) {
            let (suffix, kind) = match kind {
                "counter" => ("_total", kind),
                "info" => ("_info", "gauge"),
                "unknown" => ("", "untyped"),
                _ => ("", kind),
            };
            if let Some((_, text)) = help.take().filter(|(of, _)| *of == name) {
                out += &format!("# HELP {name}{suffix} {text}\n");
            }
            out += &format!("# TYPE {name}{suffix} {kind}\n");
        } else {
            out += line;
            out.push('\n');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scraper_gets_what_it_asks_for() {
        let prometheus = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                          text/plain;version=0.0.4;q=0.3,*/*;q=0.1";
        for accept in [prometheus, "application/openmetrics-text", "text/plain, Application/OpenMetrics-Text; q=1"] {
            assert_eq!(Exposition::accepted(accept), Exposition::OpenMetrics, "{accept}");
        }
        let plain = "text/plain;version=0.0.4;q=0.6,application/openmetrics-text;q=0.5";
        for accept in ["", "*/*", "text/html", plain, "application/openmetrics-text;q=0"] {
            assert_eq!(Exposition::accepted(accept), Exposition::Plain, "{accept}");
        }
    }

    #[test]
    fn what_describes_a_metric_names_its_samples() {
        let open = "# HELP a_build The version.\n# TYPE a_build info\na_build_info{version=\"1\"} 1\n\
                    # HELP a_runs Runs.\n# TYPE a_runs counter\na_runs_total{p=\"x # EOF\"} 2\n\
                    # HELP a_got_bytes Got.\n# TYPE a_got_bytes counter\n# UNIT a_got_bytes bytes\na_got_bytes_total 3\n\
                    # HELP a_up Up.\n# TYPE a_up gauge\na_up 1\n# EOF\n";
        let expect = "# HELP a_build_info The version.\n# TYPE a_build_info gauge\na_build_info{version=\"1\"} 1\n\
                      # HELP a_runs_total Runs.\n# TYPE a_runs_total counter\na_runs_total{p=\"x # EOF\"} 2\n\
                      # HELP a_got_bytes_total Got.\n# TYPE a_got_bytes_total counter\na_got_bytes_total 3\n\
                      # HELP a_up Up.\n# TYPE a_up gauge\na_up 1\n";
        assert_eq!(plain(open), expect);
    }
}
