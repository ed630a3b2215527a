//! A schedule as Kubernetes has it. Pure.

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;

use crate::pipeline::file::{CatchUp, Overlap};
use crate::pipeline::spec::Schedule;

/// How many firings may be missed before Kubernetes gives up a `CronJob` is 100 ("Too many missed start times"); half of that is safe.
/// See <https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/#cron-job-limitations>.
const MISSED: i32 = 50;

/// The time within which a pod that couldn't be started in time is still started, in seconds: below 10 the controller may never do it.
const LEAST_DEADLINE: i64 = 10;

/// When a `CronJob` runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cron5 {
    /// Five fields, or a nickname such as `@daily`.
    pub(super) cron: String,
    /// The zone that they are in.
    pub(super) zone: Tz,
    /// For how many seconds a firing that was missed is made up for.
    pub(super) deadline: i64,
}

/// Says a schedule in Kubernetes' words, at `now`. An error says what it has no words for, and what to do.
pub(super) fn of(schedule: &Schedule, zone: Tz, now: DateTime<Utc>) -> Result<Cron5, String> {
    let words: Vec<&str> = schedule.cron.split_whitespace().collect();
    let fields = match words.as_slice() {
        ["0", rest @ ..] if rest.len() == 5 => rest,
        [_] | [_, _, _, _, _] => words.as_slice(),
        _ => {
            return Err(format!(
                "Kubernetes starts jobs on the minute, and `{}` has seconds: let its first field be 0, or use `tidegate serve`",
                schedule.cron
            ));
        }
    };
    if let Some(field) = fields.iter().find(|field| is_beyond(field)) {
        return Err(format!(
            "Kubernetes' cron has no `{field}` (no L, W and #): write the schedule without, or use `tidegate serve`"
        ));
    }
    if let [_, _, day, _, weekday] = fields {
        check_days(day, weekday)?;
    }
    let cron = fields.join(" ");
    // Kubernetes knows names in lower case only.
    let cron = if cron.starts_with('@') { cron.to_ascii_lowercase() } else { cron };
    let deadline = match schedule.catch_up {
        CatchUp::Latest => made_up_for(schedule, zone, now).unwrap_or(TimeDelta::days(1)).min(TimeDelta::days(1)),
        CatchUp::None => TimeDelta::minutes(5),
    };
    Ok(Cron5 { cron, zone, deadline: deadline.num_seconds().max(LEAST_DEADLINE) })
}

/// Says what of a schedule a `CronJob` doesn't keep, a line each.
pub(super) fn unkept(schedule: &Schedule) -> Vec<&'static str> {
    let mut unkept = Vec::new();
    if !schedule.jitter.is_zero() {
        unkept.push("`jitter` isn't kept: Kubernetes starts each run at its minute. `tidegate serve` keeps it.");
    }
    if schedule.overlap == Overlap::Queue {
        unkept.push(
            "`overlap: queue` isn't kept: Kubernetes skips a run that meets the one before it. `tidegate serve` keeps it.",
        );
    }
    unkept
}

/// Refuses days that Kubernetes' parser reads otherwise, or not at all: <https://github.com/robfig/cron/blob/v3.0.1/parser.go>.
fn check_days(day: &str, weekday: &str) -> Result<(), String> {
    for part in weekday.split(',').map(|part| part.split_once('/').map_or(part, |(days, _)| days)) {
        if part.split('-').any(|end| end == "7") {
            return Err(format!("Kubernetes' cron has no day 7 (in `{weekday}`): write 0 or SUN for Sunday"));
        }
        if part.split_once('-').is_some_and(|(from, to)| {
            to.eq_ignore_ascii_case("SUN") && !["0", "SUN"].contains(&from.to_ascii_uppercase().as_str())
        }) {
            return Err(format!(
                "for Kubernetes' cron a week begins with Sunday, so that `{part}` ends before it begins: name the days one by one, such as `SAT,SUN`"
            ));
        }
    }
    let steps = |field: &str| field.starts_with("*/") && field != "*/1";
    let limits = |field: &str| !field.starts_with('*');
    if (steps(day) && (limits(weekday) || steps(weekday))) || (steps(weekday) && limits(day)) {
        return Err(format!(
            "Kubernetes' cron takes a day that fits one of `{day}` and `{weekday}`, and here it must fit both: give one of them, or use `tidegate serve`"
        ));
    }
    Ok(())
}

/// Whether a field says what croner knows and Kubernetes doesn't.
fn is_beyond(field: &str) -> bool {
    let upper = field.to_ascii_uppercase();
    let names = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
    let days = ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"];
    let bare = names.iter().chain(&days).fold(upper, |text, name| text.replace(name, ""));
    !field.starts_with('@') && bare.contains(['L', 'W', '#'])
}

/// The time in which as many firings come due as may safely be missed.
fn made_up_for(schedule: &Schedule, zone: Tz, now: DateTime<Utc>) -> Option<TimeDelta> {
    let cron = schedule.read()?;
    let first = cron.find_next_occurrence(&now.with_timezone(&zone), false).ok()?;
    let second = cron.find_next_occurrence(&first, false).ok()?;
    (second - first).checked_mul(MISSED)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(cron: &str, expect: Result<(&str, i64), &str>) {
        let schedule = Schedule {
            cron: cron.to_owned(),
            overlap: Overlap::Skip,
            catch_up: CatchUp::Latest,
            jitter: std::time::Duration::ZERO,
        };
        let now = "2026-11-25T12:00:00Z".parse().unwrap();
        match (of(&schedule, Tz::Europe__Rome, now), expect) {
            (Ok(found), Ok((cron, deadline))) => assert_eq!((found.cron.as_str(), found.deadline), (cron, deadline)),
            (Err(message), Err(part)) => assert!(message.contains(part), "{message}"),
            (found, _) => panic!("{cron}: {found:?}"),
        }
    }

    #[test]
    fn what_kubernetes_has_no_words_for_is_refused() {
        check("15 2 * * *", Ok(("15 2 * * *", 86_400)));
        check("0 15 2 * * *", Ok(("15 2 * * *", 86_400)));
        check("* * * * *", Ok(("* * * * *", 3_000)));
        check("@daily", Ok(("@daily", 86_400)));
        check("@DAILY", Ok(("@daily", 86_400)));
        check("@Midnight", Ok(("@midnight", 86_400)));
        check("0 6 * JUL WED", Ok(("0 6 * JUL WED", 86_400)));
        check("*/10 * * * * *", Err("has seconds"));
        check("0 6 L * *", Err("has no `L`"));
        check("0 6 * * FRI#1", Err("has no `FRI#1`"));
        check("0 6 * * 5-7", Err("no day 7 (in `5-7`)"));
        check("0 3 * * SAT-SUN", Err("`SAT-SUN` ends before it begins"));
        check("0 3 * * MON,fri-sun/2", Err("`fri-sun` ends before it begins"));
        check("0 3 * * SUN-TUE", Ok(("0 3 * * SUN-TUE", 86_400)));
        check("0 3 * * SAT,SUN", Ok(("0 3 * * SAT,SUN", 86_400)));
        check("0 6 */2 * MON", Err("one of `*/2` and `MON`"));
        check("0 6 13 * */2", Err("one of `13` and `*/2`"));
        check("0 6 */7 * *", Ok(("0 6 */7 * *", 86_400)));
        check("0 6 13 * FRI", Ok(("0 6 13 * FRI", 86_400)));
    }

    #[test]
    fn what_is_not_kept_is_said() {
        let said = |overlap: Overlap, jitter: u64| {
            let jitter = std::time::Duration::from_secs(jitter);
            let schedule = Schedule { cron: "@daily".to_owned(), overlap, catch_up: CatchUp::Latest, jitter };
            unkept(&schedule).iter().filter_map(|line| line.split('`').nth(1)).collect::<Vec<_>>()
        };
        assert!(said(Overlap::Skip, 0).is_empty());
        assert_eq!(said(Overlap::Skip, 1), ["jitter"]);
        assert_eq!(said(Overlap::Queue, 1), ["jitter", "overlap: queue"]);
    }

    #[test]
    fn what_may_be_missed_goes_by_the_schedule_that_the_daemon_keeps() {
        // A day must fit both, since one begins with a star: Mondays.
        let schedule = Schedule {
            cron: "0 0 */1 * MON".to_owned(),
            overlap: Overlap::Skip,
            catch_up: CatchUp::Latest,
            jitter: std::time::Duration::ZERO,
        };
        let now = "2026-11-25T12:00:00Z".parse().unwrap();
        assert_eq!(made_up_for(&schedule, Tz::UTC, now), Some(TimeDelta::days(350)));
    }
}
