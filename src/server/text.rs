//! Numbers and instants as people read them.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use minijinja::value::Value;

/// Writes a number with commas between its thousands.
pub(super) fn count(number: u64) -> String {
    indicatif::HumanCount(number).to_string()
}

/// Writes a number with what it counts: `1 row`, `2,000 rows`.
pub(super) fn plural(number: u64, what: &str) -> String {
    format!("{} {what}{}", count(number), if number == 1 { "" } else { "s" })
}

/// Writes a number of retries: `no retries`, `1 retry`, `2 retries`.
pub(super) fn retries(number: u64) -> String {
    match number {
        0 => "no retries".to_owned(),
        1 => "1 retry".to_owned(),
        _ => format!("{} retries", count(number)),
    }
}

/// Writes a size in bytes with its unit: `1.2 MiB`.
pub(super) fn size(bytes: u64) -> String {
    indicatif::HumanBytes(bytes).to_string()
}

/// Writes how long something took: `340 ms`, `12.3 s`, `4 min 5 s`, `2 h 3 min`.
pub(super) fn took(took: TimeDelta) -> String {
    let took = took.max(TimeDelta::zero());
    match took.num_seconds() {
        0 => format!("{} ms", took.num_milliseconds()),
        1..60 => format!("{:.1} s", took.as_seconds_f64()),
        seconds @ 60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        seconds => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// Says how far an instant is from now: `12 s ago`, `in 3 h`.
pub(super) fn distance(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let seconds = (now - at).num_seconds();
    let amount = match seconds.unsigned_abs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    };
    if seconds < 0 { format!("in {amount}") } else { format!("{amount} ago") }
}

/// Writes an instant as HTML: to the second, with the distance from `now`. Both are RFC 3339; what isn't stays as it is, escaped by
/// the template.
#[expect(clippy::needless_pass_by_value, reason = "the template engine passes what it has")]
pub(super) fn when(at: Value, now: Value) -> Value {
    let parse = |value: &Value| value.as_str().and_then(|text| text.parse::<DateTime<Utc>>().ok());
    let (Some(instant), Some(now)) = (parse(&at), parse(&now)) else { return at };
    Value::from_safe_string(format!(
        r#"<time datetime="{}" title="{} UTC">{}</time>"#,
        instant.to_rfc3339_opts(SecondsFormat::Secs, true),
        instant.format("%Y-%m-%d %H:%M:%S"),
        distance(instant, now)
    ))
}

/// Writes an instant as HTML, to the second.
pub(super) fn instant(at: Value) -> Value {
    let Some(instant) = at.as_str().and_then(|text| text.parse::<DateTime<Utc>>().ok()) else { return at };
    Value::from_safe_string(format!(
        r#"<time datetime="{}">{}</time>"#,
        instant.to_rfc3339_opts(SecondsFormat::Secs, true),
        instant.format("%Y-%m-%d %H:%M:%S"),
    ))
}

/// Writes a word of a command line so that a shell reads it as it is.
#[must_use]
pub fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./:@%+=,-".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_and_durations_have_units() {
        let now: DateTime<Utc> = "2026-01-10T00:00:00Z".parse().unwrap();
        let far = |seconds: i64| distance(now - TimeDelta::seconds(seconds), now);
        assert_eq!(
            [far(5), far(600), far(8000), far(900_000), far(-90)],
            ["5 s ago", "10 min ago", "2 h ago", "10 days ago", "in 90 s"]
        );
        let long = |millis: i64| took(TimeDelta::milliseconds(millis));
        assert_eq!(
            [long(340), long(12_340), long(245_000), long(7_400_000), long(-5)],
            ["340 ms", "12.3 s", "4 min 5 s", "2 h 3 min", "0 ms"]
        );
    }

    #[test]
    fn what_is_counted_has_its_number() {
        assert_eq!([plural(1, "row"), plural(0, "row"), plural(2000, "row")], ["1 row", "0 rows", "2,000 rows"]);
    }

    #[test]
    fn words_are_quoted_for_a_shell() {
        assert_eq!(word("pipelines/a.yaml"), "pipelines/a.yaml");
        assert_eq!(word("my files/it's.yaml"), r"'my files/it'\''s.yaml'");
        assert_eq!(word("$(rm)"), "'$(rm)'");
        assert_eq!(word(""), "''");
    }

    #[test]
    fn what_is_no_instant_stays_text_that_is_escaped() {
        let mut environment = minijinja::Environment::new();
        environment.add_filter("when", when);
        environment.add_template("a.html", "{{ at | when('2026-01-01T00:00:00Z') }}").unwrap();
        let page = environment.get_template("a.html").unwrap();
        assert_eq!(page.render(Value::from_pairs([("at", Value::from("<b>"))])).unwrap(), "&lt;b&gt;");
    }
}
