//! Our filters. Instants are RFC 3339 texts, as `now` and parent rows hold them.

use std::fmt::Write as _;

use chrono::format::StrftimeItems;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use minijinja::value::Value;
use minijinja::{Environment, Error, ErrorKind};

/// Adds the filters to `environment`.
pub(super) fn install(environment: &mut Environment<'static>) {
    environment.add_filter("time", time);
    environment.add_filter("ago", ago);
}

/// `time(format)`: prints an instant, UTC. `epoch_s` and `epoch_ms` give whole numbers, `rfc3339` text such as
/// `2026-01-01T00:00:00Z`; anything else is an strftime format as `chrono` reads it.
fn time(instant: &str, format: &str) -> Result<Value, Error> {
    let instant = parse(instant)?;
    match format {
        "epoch_s" => Ok(Value::from(instant.timestamp())),
        "epoch_ms" => Ok(Value::from(instant.timestamp_millis())),
        "rfc3339" => Ok(Value::from(rfc3339(instant))),
        _ => {
            let items = StrftimeItems::new(format).parse();
            let items = items.map_err(|_| {
                invalid(format!("time('{format}') isn't an strftime format, epoch_s, epoch_ms or rfc3339"))
            })?;
            let mut text = String::new();
            write!(text, "{}", instant.format_with_items(items.iter()))
                .map_err(|_| invalid(format!("time('{format}') can't print an instant")))?;
            Ok(Value::from(text))
        }
    }
}

/// `ago('7d')`: the instant that long before. Units: `s`, `m`, `h`, `d`, `w`, and what `humantime` knows besides.
fn ago(instant: &str, duration: &str) -> Result<String, Error> {
    let span = humantime::parse_duration(duration).ok().and_then(|span| TimeDelta::from_std(span).ok());
    let span =
        span.ok_or_else(|| invalid(format!("ago('{duration}') isn't a duration such as 90s, 15m, 12h or 7d")))?;
    let earlier = parse(instant)?.checked_sub_signed(span);
    earlier.map(rfc3339).ok_or_else(|| invalid(format!("ago('{duration}') lies before all dates")))
}

fn parse(instant: &str) -> Result<DateTime<Utc>, Error> {
    DateTime::parse_from_rfc3339(instant)
        .map(|instant| instant.to_utc())
        .map_err(|_| invalid(format!("'{instant}' isn't an instant such as 2026-01-01T00:00:00Z")))
}

fn rfc3339(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// Returns the filters that an expression applies, each with the byte that it begins at.
pub(super) fn applied(expression: &str) -> Vec<(usize, &str)> {
    let mut quote = None;
    let mut found = Vec::new();
    for (at, char) in expression.char_indices() {
        match quote {
            Some(open) if char == open => quote = None,
            Some(_) => {}
            None if char == '\'' || char == '"' => quote = Some(char),
            None if char == '|' => {
                let rest = expression.get(at + 1..).unwrap_or_default();
                let start = at + 1 + rest.len() - rest.trim_start().len();
                let name = expression.get(start..).unwrap_or_default();
                let length = name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len());
                found.extend(name.get(..length).filter(|name| !name.is_empty()).map(|name| (start, name)));
            }
            None => {}
        }
    }
    found
}

/// Tells whether a filter exists. The engine has no list of them, but says so when one is used.
pub(super) fn exists(environment: &Environment<'static>, name: &str) -> bool {
    let tried = environment.compile_expression(&format!("1|{name}")).and_then(|it| it.eval(()));
    !matches!(tried, Err(error) if error.kind() == ErrorKind::UnknownFilter)
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}
