//! When a pipeline is due: pure.

use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, SubsecRound as _, TimeDelta, TimeZone as _, Utc};
use chrono_tz::Tz;
use croner::Cron;
use sha2::{Digest as _, Sha256};

use crate::model::PipelineName;
use crate::pipeline::spec::Pipeline;

/// The longest time that is looked back over, when firings were missed.
const LONGEST: TimeDelta = TimeDelta::days(366 * 8);

/// The longest that a zone's clocks were ever set forward by, in minutes: a whole day, where a zone changed sides of the date line.
const LONGEST_GAP: i64 = 24 * 60;

/// The instants of a schedule, and how long after each its run begins.
#[derive(Debug, Clone)]
pub struct Timetable {
    cron: Cron,
    zone: Tz,
    /// Whether second, minute and hour are all given: then each time of the day comes once, whatever the clocks do.
    fixed: bool,
    delay: TimeDelta,
}

impl Timetable {
    /// Takes the schedule of a pipeline; none where it has none.
    #[must_use]
    pub fn of(pipeline: &Pipeline) -> Option<Self> {
        let schedule = pipeline.schedule.as_ref()?;
        let delay = jitter(&pipeline.name, schedule.jitter);
        let cron = schedule.read()?;
        let fields = [&cron.pattern.seconds, &cron.pattern.minutes, &cron.pattern.hours];
        let fixed = !fields.iter().any(|field| field.from_wildcard);
        Some(Self { cron, zone: pipeline.timezone, fixed, delay })
    }

    /// Says by which schedule a pipeline goes, so that the same text means the same instants; the delay is no part of it.
    #[must_use]
    pub fn known_as(pipeline: &Pipeline) -> String {
        pipeline.schedule.as_ref().map_or_else(
            || "none".to_owned(),
            |schedule| {
                let fields: Vec<&str> = schedule.cron.split_whitespace().collect();
                format!("{} {}", fields.join(" "), pipeline.timezone.name())
            },
        )
    }

    /// Returns the first instant after `after`, UTC; none where there is none in the next years.
    #[must_use]
    pub fn next_after(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        if self.fixed {
            return self.next_fixed(after);
        }
        let next = self.cron.find_next_occurrence(&after.with_timezone(&self.zone), false).ok()?.to_utc();
        (next > after).then_some(next)
    }

    /// As Vixie cron has it for times that are given, and croner for a single one only: what the clocks skip comes right after the
    /// gap, what they repeat comes the first time. The clock on the wall is followed as if it never were set.
    fn next_fixed(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let mut wall = after.with_timezone(&self.zone).naive_local().and_utc();
        loop {
            wall = self.cron.find_next_occurrence(&wall, false).ok()?;
            // In an hour that comes again the times of its first coming are over.
            if let Some(next) = self.instant(wall.naive_utc()).filter(|next| *next > after) {
                return Some(next);
            }
        }
    }

    /// Returns when the clock on the wall shows a time: the first time that it does, or right after the gap that the time is in.
    fn instant(&self, wall: NaiveDateTime) -> Option<DateTime<Utc>> {
        let shown = |wall: NaiveDateTime| self.zone.from_local_datetime(&wall).earliest();
        let minute = || wall.trunc_subsecs(0) - TimeDelta::seconds(wall.and_utc().timestamp().rem_euclid(60));
        let after_gap = || (1..=LONGEST_GAP).find_map(|minutes| shown(minute() + TimeDelta::minutes(minutes)));
        shown(wall).or_else(after_gap).map(|instant| instant.to_utc())
    }

    /// Returns the last instant in `(after, until]`. It goes by [`Timetable::next_after`] alone, so that both know the same instants.
    #[must_use]
    pub fn last_within(&self, after: DateTime<Utc>, until: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let after = after.max(until - LONGEST);
        let mut span = TimeDelta::minutes(1);
        loop {
            let from = after.max(until - span);
            let mut last = self.next_after(from).filter(|first| *first <= until);
            while let Some(next) = last.and_then(|last| self.next_after(last)).filter(|next| *next <= until) {
                last = Some(next);
            }
            if last.is_some() || from <= after {
                return last;
            }
            span = span * 2;
        }
    }

    /// Returns how long after an instant its run begins.
    #[must_use]
    pub const fn delay(&self) -> TimeDelta {
        self.delay
    }
}

/// Returns the delay of a pipeline, from zero to `longest`: by its name, so that it is the same each time, on each machine.
fn jitter(name: &PipelineName, longest: Duration) -> TimeDelta {
    let digest = Sha256::digest(name.as_str().as_bytes());
    let number = digest.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    let most = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX).saturating_add(1);
    TimeDelta::milliseconds(i64::try_from(number % most).unwrap_or_default())
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::pipeline::check;
    use crate::pipeline::load::{Lookup, Source};

    struct Nothing;

    impl Lookup for Nothing {
        fn var(&self, _: &str) -> Option<String> {
            None
        }

        fn file(&self, path: &str) -> Result<String, String> {
            Err(path.to_owned())
        }
    }

    /// A pipeline with a schedule, as `schedule: {...}` says it.
    pub(crate) fn pipeline(name: &str, schedule: &str) -> Pipeline {
        let text = format!(
            "version: 1\nname: {name}\nschedule: {{{schedule}}}\nsource: {{base_url: 'http://h'}}\njobs: {{a: {{get: /x, paginate: none, records: '.[]'}}}}\n"
        );
        check::load(&Source { name: "p.yaml".to_owned(), text }, &Nothing).unwrap().pipeline
    }

    pub(crate) fn timetable(schedule: &str) -> Timetable {
        Timetable::of(&pipeline("x", schedule)).unwrap()
    }

    fn instants(schedule: &str, after: &str, count: usize) -> Vec<String> {
        let table = timetable(schedule);
        let mut at: DateTime<Utc> = after.parse().unwrap();
        let mut found = Vec::new();
        for _ in 0..count {
            at = table.next_after(at).unwrap();
            found.push(at.format("%m-%dT%H:%M:%S").to_string());
        }
        found
    }

    #[test]
    fn days_are_joined_as_vixie_cron_joins_them() {
        // 2026-11-01 is a Sunday.
        let from = "2026-11-01T12:00:00Z";
        assert_eq!(
            instants("cron: '0 0 13 * FRI'", from, 3),
            ["11-06T00:00:00", "11-13T00:00:00", "11-20T00:00:00"],
            "one of both"
        );
        assert_eq!(instants("cron: '0 0 1 * *'", from, 2), ["12-01T00:00:00", "01-01T00:00:00"]);
        assert_eq!(instants("cron: '0 0 * * 1'", from, 2), ["11-02T00:00:00", "11-09T00:00:00"]);
        assert_eq!(
            instants("cron: '0 0 */2 * MON'", from, 3),
            ["11-09T00:00:00", "11-23T00:00:00", "12-07T00:00:00"],
            "both, since one begins with a star: odd days that are Mondays"
        );
        assert_eq!(instants("cron: '0 0 13 * */7'", from, 1), ["12-13T00:00:00"], "a Sunday that is a 13th");
    }

    #[test]
    fn seconds_and_names_are_known() {
        assert_eq!(instants("cron: '*/20 0 5 * * *'", "2026-01-01T00:00:00Z", 2), ["01-01T05:00:00", "01-01T05:00:20"]);
        let from = "2026-01-01T12:34:56Z";
        let named = [
            ("@hourly", "01-01T13:00:00"),
            ("@daily", "01-02T00:00:00"),
            ("@weekly", "01-04T00:00:00"),
            ("@monthly", "02-01T00:00:00"),
            ("@yearly", "01-01T00:00:00"),
        ];
        for (name, first) in named {
            assert_eq!(instants(&format!("cron: '{name}'"), from, 1), [first], "{name}");
        }
    }

    #[test]
    fn daylight_saving_skips_no_day_and_repeats_none() {
        let rome = |cron: &str| format!("cron: '{cron}', timezone: Europe/Rome");
        // 02:00 becomes 03:00 on 2026-03-29, at 01:00 UTC.
        assert_eq!(
            instants(&rome("30 2 * * *"), "2026-03-28T00:00:00Z", 3),
            ["03-28T01:30:00", "03-29T01:00:00", "03-30T00:30:00"],
            "02:30 isn't there: it comes right after the gap"
        );
        assert_eq!(
            instants(&rome("0 * * * *"), "2026-03-28T23:30:00Z", 3),
            ["03-29T00:00:00", "03-29T01:00:00", "03-29T02:00:00"],
            "every hour that there is"
        );
        // 03:00 becomes 02:00 on 2026-10-25, at 01:00 UTC.
        assert_eq!(
            instants(&rome("30 2 * * *"), "2026-10-24T00:00:00Z", 3),
            ["10-24T00:30:00", "10-25T00:30:00", "10-26T01:30:00"],
            "02:30 is there twice: the first counts"
        );
        assert_eq!(
            instants(&rome("30 * * * *"), "2026-10-24T23:00:00Z", 3),
            ["10-24T23:30:00", "10-25T00:30:00", "10-25T01:30:00"],
            "every hour, the repeated one too"
        );
    }

    #[test]
    fn lists_and_ranges_keep_to_daylight_saving_as_single_times_do() {
        let on = |cron: &str, from: &str, count: usize| {
            instants(&format!("cron: '{cron}', timezone: Europe/Rome"), from, count)
        };
        let (spring, autumn) = ("2026-03-28T23:00:00Z", "2026-10-24T22:00:00Z");
        assert_eq!(
            on("0,30 2 * * *", spring, 2),
            ["03-29T01:00:00", "03-30T00:00:00"],
            "both right after the gap, at once"
        );
        assert_eq!(on("0,30 2 * * *", autumn, 3), ["10-25T00:00:00", "10-25T00:30:00", "10-26T01:00:00"]);
        assert_eq!(on("30 2,3 * * *", autumn, 3), ["10-25T00:30:00", "10-25T02:30:00", "10-26T01:30:00"]);
        assert_eq!(on("30 1-3 * * *", autumn, 3), ["10-24T23:30:00", "10-25T00:30:00", "10-25T02:30:00"]);
        assert_eq!(on("*/30 2 * * *", spring, 1), ["03-30T00:00:00"], "a star goes by the clock on the wall");
        assert_eq!(
            on("*/30 2 * * *", autumn, 4),
            ["10-25T00:00:00", "10-25T00:30:00", "10-25T01:00:00", "10-25T01:30:00"]
        );
        // Where midnight is skipped.
        let cairo = instants("cron: '0,30 0 * * *', timezone: Africa/Cairo", "2026-04-23T20:00:00Z", 2);
        assert_eq!(cairo, ["04-23T22:00:00", "04-24T21:00:00"]);
    }

    #[test]
    fn the_delay_is_stable_and_within_bounds() {
        let of = |name: &str| Timetable::of(&pipeline(name, "cron: '@daily', jitter: 10m")).unwrap().delay();
        assert_eq!(of("ntopng"), of("ntopng"));
        assert_ne!(of("ntopng"), of("lastline"));
        assert!((0..200).all(|n| (TimeDelta::zero()..=TimeDelta::minutes(10)).contains(&of(&format!("p{n}")))));
        assert_eq!(timetable("cron: '@daily'").delay(), TimeDelta::zero());
    }

    proptest! {
        /// Whatever times are listed: each day has each of them once, and what is skipped comes once, when the gap ends.
        #[test]
        fn each_listed_time_comes_once_on_the_days_that_clocks_are_set(
            minutes in prop::collection::btree_set(0_u32..60, 1..4),
            hours in prop::collection::btree_set(0_u32..24, 1..6),
            zone in prop::sample::select(vec!["Europe/Rome", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "UTC"]),
            date in prop::sample::select(vec![
                (2026, 3, 29), (2026, 10, 25), (2026, 3, 8), (2026, 11, 1), (2026, 4, 5), (2026, 10, 4), (2026, 4, 24), (2026, 10, 29), (2026, 6, 1),
            ]),
        ) {
            let list = |all: &std::collections::BTreeSet<u32>| all.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
            let table = timetable(&format!("cron: '{} {} * * *', timezone: {zone}", list(&minutes), list(&hours)));
            let zone: Tz = zone.parse().unwrap();
            let day = chrono::NaiveDate::from_ymd_opt(date.0, date.1, date.2).unwrap();
            let mut expected = std::collections::BTreeSet::new();
            for wall in hours.iter().flat_map(|hour| minutes.iter().map(|minute| day.and_hms_opt(*hour, *minute, 0).unwrap())) {
                // A time that isn't shown comes with the first second whose clock shows a later one.
                let mut shown = wall;
                while zone.from_local_datetime(&shown).earliest().is_none() {
                    shown += TimeDelta::seconds(1);
                }
                expected.insert(zone.from_local_datetime(&shown).earliest().unwrap().to_utc());
            }
            let mut found = Vec::new();
            let mut at = *expected.first().unwrap() - TimeDelta::seconds(1);
            while found.len() < expected.len() {
                at = table.next_after(at).unwrap();
                found.push(at);
            }
            prop_assert_eq!(&found, &expected.iter().copied().collect::<Vec<_>>());
            let next = table.next_after(at).unwrap().with_timezone(&zone);
            prop_assert!(next.date_naive() > day, "{} comes as well", next);
        }

        #[test]
        fn the_last_missed_instant_is_the_last_of_all(
            from in 1_760_000_000_i64..1_800_000_000,
            span in 0_i64..300_000,
            cron in prop::sample::select(vec!["*/7 * * * *", "30 2 * * *", "0 0 13 * FRI", "0 */5 1-3 * * *", "15 * * * *"]),
        ) {
            let table = timetable(&format!("cron: '{cron}', timezone: Europe/Rome"));
            let after = DateTime::from_timestamp(from, 0).unwrap();
            let until = after + TimeDelta::seconds(span);
            let mut all = Vec::new();
            let mut at = after;
            while let Some(next) = table.next_after(at).filter(|next| *next <= until) {
                all.push(next);
                at = next;
            }
            prop_assert_eq!(table.last_within(after, until), all.last().copied());
        }
    }
}
