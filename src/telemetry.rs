//! Log set-up. Logs go to standard error; bodies, credentials and query strings with secrets never go anywhere.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One line an event, for people.
    Text,
    /// One JSON object an event, for programs.
    Json,
}

/// Starts logging, once a process. `filter` is a level (`info`) or a list of them by module (`tidegate=debug,warn`).
///
/// # Errors
/// A filter that can't be read.
pub fn start(filter: &str, format: LogFormat) -> Result<(), ParseError> {
    let filter = EnvFilter::builder().parse(filter)?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second start in one process (tests) keeps the first: there is one log.
    let _ = match format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    Ok(())
}
