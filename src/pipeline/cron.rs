//! Cron expressions, and what is wrong with one.

use croner::Cron;
use croner::errors::CronError;
use croner::parser::{CronParser, Seconds};

use crate::model::counted;

/// What the fields are, from the left, with the second that may stand before them.
const FIELDS: [&str; 6] = [
    "second (0 to 59)",
    "minute (0 to 59)",
    "hour (0 to 23)",
    "day of the month (1 to 31)",
    "month (1 to 12)",
    "day of the week (0 to 7)",
];

/// Reads an expression of five fields, six with seconds first, or a name such as `@daily`.
///
/// As in Vixie cron a day must match one of day of month and day of week where both are given, and both where one of them begins
/// with `*`: croner takes only the whole `*` for that.
pub(super) fn parse(text: &str) -> Result<Cron, CronError> {
    // Vixie cron and Kubernetes have this name too, and croner hasn't.
    let text = if text.trim().eq_ignore_ascii_case("@midnight") { "@daily" } else { text };
    let mut last: Vec<&str> = text.split_whitespace().rev().take(3).collect();
    last.reverse();
    let both = matches!(last[..], [day, _, weekday] if day.starts_with('*') || weekday.starts_with('*'));
    let parsed = CronParser::builder().seconds(Seconds::Optional).dom_and_dow(both).build().parse(text)?;
    match text.split_whitespace().count() {
        1 | 5 | 6 => Ok(parsed),
        _ => Err(CronError::InvalidPattern("the year can't be given".to_owned())),
    }
}

/// Says why a text is no cron expression: which field it is, where that can be found out.
pub(super) fn why(text: &str, error: &CronError) -> String {
    let fields: Vec<&str> = text.split_whitespace().collect();
    if let [name] = fields[..]
        && name.starts_with('@')
    {
        return format!(
            "there is no `{name}`: @hourly, @daily or @midnight, @weekly, @monthly, @yearly and @annually are known"
        );
    }
    if !matches!(fields.len(), 5 | 6) {
        return format!("it has {}, not five", counted(fields.len() as u64, "field"));
    }
    let names = FIELDS.iter().skip(FIELDS.len() - fields.len());
    let wrong = fields.iter().zip(names).enumerate().find(|(at, (field, _))| {
        let alone: Vec<&str> = (0..fields.len()).map(|other| if other == *at { **field } else { "*" }).collect();
        parse(&alone.join(" ")).is_err()
    });
    wrong.map_or_else(|| error.to_string(), |(_, (field, name))| format!("`{field}` can't be the {name}"))
}
