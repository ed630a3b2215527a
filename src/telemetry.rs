//! Log set-up. Logs go to standard error; bodies, credentials and query strings with secrets never go anywhere.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{LevelFilter, ParseError};

/// The crate that wakes the daemon, which tells of each instant that it is armed for as if that were news, and the parser of SQL, which at
/// `debug` tells of each token.
const CHATTY: [&str; 2] = ["tokio_cron_scheduler", "sqlparser"];

/// The target of events that the report of a run tells as well.
pub const IN_REPORT: &str = "tidegate::in_report";

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One line an event, for people.
    Text,
    /// One JSON object an event, for programs.
    Json,
}

/// Starts logging, once a process. `filter` is a level (`info`) or a list of them by module (`tidegate=debug,warn`). `reports`: who reads
/// the log reads the report of the run below it, so what that tells isn't told twice.
///
/// # Errors
/// A filter that can't be read.
pub fn start(filter: &str, format: LogFormat, reports: bool) -> Result<(), ParseError> {
    let builder = tracing_subscriber::fmt().with_env_filter(filter_of(filter, reports)?).with_writer(std::io::stderr);
    // It would tell of a line that can't be written where that line can't be written, and panic.
    let builder = builder.log_internal_errors(false);
    // A second start in one process (tests) keeps the first: there is one log.
    let _ = match format {
        LogFormat::Text => builder.with_target(false).with_ansi(colour()).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    Ok(())
}

/// Tells whether standard error may be coloured: it is a terminal, and `NO_COLOR` isn't set (<https://no-color.org>).
#[must_use]
pub fn colour() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Reads a filter. What [`CHATTY`] tells below a warning is left out, unless the filter names the crate; what stands [`IN_REPORT`] is left
/// out where that is read, unless the filter asks for more than warnings.
fn filter_of(filter: &str, reports: bool) -> Result<EnvFilter, ParseError> {
    let mut parsed = EnvFilter::builder().parse(filter)?;
    if reports && parsed.max_level_hint().is_some_and(|most| most <= LevelFilter::WARN) {
        parsed = parsed.add_directive(format!("{IN_REPORT}=off").parse()?);
    }
    let hears_it = parsed.max_level_hint().is_none_or(|most| most > LevelFilter::WARN);
    for name in CHATTY.into_iter().filter(|name| hears_it && !filter.contains(name)) {
        parsed = parsed.add_directive(format!("{name}=warn").parse()?);
    }
    Ok(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chatty_crates_only_warn_unless_they_are_asked_for() {
        for (filter, expect) in [
            ("info", "tokio_cron_scheduler=warn,sqlparser=warn,info"),
            ("error", "error"),
            ("off", "off"),
            ("tokio_cron_scheduler=debug,warn", "tokio_cron_scheduler=debug,sqlparser=warn,warn"),
        ] {
            assert_eq!(filter_of(filter, false).unwrap().to_string(), expect);
        }
        assert!(filter_of("tidegate=loud", false).is_err());
    }

    #[test]
    fn what_the_report_tells_is_told_once_unless_more_is_asked_for() {
        for (filter, expect) in [
            ("warn", "tidegate::in_report=off,warn"),
            ("tidegate=warn", "tidegate::in_report=off,tidegate=warn"),
            ("debug,tokio_cron_scheduler=info,sqlparser=trace", "tokio_cron_scheduler=info,sqlparser=trace,debug"),
        ] {
            assert_eq!(filter_of(filter, true).unwrap().to_string(), expect);
        }
    }
}
