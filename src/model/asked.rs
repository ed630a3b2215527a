//! What a run is asked for: how it ends tells of that, and of nothing else.

use chrono::{DateTime, SecondsFormat, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{JobName, Remedy, Window};

/// What a run is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Asked {
    /// The verb: `run`, `backfill`, `replay`, `deliver`, `accept`, `dismiss`, `vacuum`.
    pub verb: String,
    /// The jobs that it is to land, or to send for: those that were named, or all of them. None where that isn't known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<JobName>,
    /// The time that a backfill covers, as it was asked for; for `dismiss` the time that the failed ones lie in, any where it is absent;
    /// absent for other verbs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// Whether a backfill leaves out what has landed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub missing: bool,
}

impl Asked {
    /// The verb that forgets failed backfills which nobody wants any more.
    pub const DISMISS: &str = "dismiss";

    /// Asks for no job in particular.
    #[must_use]
    pub fn new(verb: &str) -> Self {
        Self { verb: verb.to_owned(), ..Self::default() }
    }

    /// Returns what forgets this, should it fail; none where it isn't a backfill, since runs make up for what they left undone.
    #[must_use]
    pub fn dismissal(&self) -> Option<Self> {
        let Self { jobs, window, .. } = self.clone();
        window.is_some().then(|| Self { jobs, window, ..Self::new(Self::DISMISS) })
    }

    /// Tells whether this is about a job.
    #[must_use]
    pub fn is_about(&self, job: &JobName) -> bool {
        self.jobs.is_empty() || self.jobs.contains(job)
    }

    /// Tells whether this, a dismissal, forgets a backfill that failed: one that lies within its time.
    #[must_use]
    pub fn dismisses(&self, failed: &Self) -> bool {
        let is_within = |asked: Window| self.window.is_none_or(|all| all.from <= asked.from && asked.to <= all.to);
        failed.window.is_some_and(is_within)
    }

    /// Returns the command line that asks for the same of `jobs`, all where there is none, with one more option. `file` and `state` are
    /// words of a shell.
    #[must_use]
    pub fn command(&self, file: &str, jobs: &[JobName], option: &str, state: &str) -> String {
        let mut words = match self.verb.as_str() {
            "replay" => vec!["tidegate quarantine replay".to_owned(), file.to_owned()],
            Self::DISMISS => vec!["tidegate backfill".to_owned(), file.to_owned(), "--dismiss".to_owned()],
            verb => vec![format!("tidegate {verb}"), file.to_owned()],
        };
        match (self.verb.as_str(), jobs) {
            // It takes one, or all.
            ("replay", [job]) => words.push(job.to_string()),
            ("replay", _) => {}
            _ => words.extend(jobs.iter().map(|job| format!("--job {job}"))),
        }
        if let Some(window) = &self.window {
            let at = |instant: DateTime<Utc>| instant.to_rfc3339_opts(SecondsFormat::Secs, true);
            words.push(format!("--from {} --to {}", at(window.from), at(window.to)));
        }
        if self.missing {
            words.push("--missing".to_owned());
        }
        if !option.is_empty() {
            words.push(option.to_owned());
        }
        words.push(format!("--state {state}"));
        words.join(" ")
    }

    /// Returns what to type where this has failed of `jobs`: the same with what helps, one line a way; nothing where no command does.
    /// `more` is an option that is said again.
    #[must_use]
    pub fn against(
        &self,
        remedy: Option<Remedy>,
        file: &str,
        jobs: &[JobName],
        more: &str,
        state: &str,
    ) -> Vec<String> {
        match remedy {
            Some(Remedy::ChooseState) => Vec::new(),
            Some(Remedy::AcceptSchema) => {
                jobs.iter().map(|job| format!("tidegate schema accept {file} {job} --state {state}")).collect()
            }
            Some(remedy) if !remedy.options().is_empty() => {
                let with = |option: &&str| self.command(file, jobs, format!("{more} {option}").trim(), state);
                remedy.options().iter().map(with).collect()
            }
            _ => vec![self.command(file, jobs, more, state)],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_asked_for_again_of_some_jobs() {
        let window =
            Window { from: "2026-11-10T00:00:00Z".parse().unwrap(), to: "2026-11-15T12:00:00Z".parse().unwrap() };
        let backfill = Asked { window: Some(window), missing: true, ..Asked::new("backfill") };
        let [a, b] = ["a", "b"].map(JobName::new);
        assert_eq!(
            backfill.command("p.yaml", std::slice::from_ref(&a), "", "./state"),
            "tidegate backfill p.yaml --job a --from 2026-11-10T00:00:00Z --to 2026-11-15T12:00:00Z --missing --state ./state"
        );
        assert_eq!(
            backfill.dismissal().unwrap().command("p.yaml", &[], "", "s"),
            "tidegate backfill p.yaml --dismiss --from 2026-11-10T00:00:00Z --to 2026-11-15T12:00:00Z --state s"
        );
        let run = Asked::new("run");
        assert_eq!(run.dismissal(), None);
        assert_eq!(
            run.command("'p q.yaml'", &[a.clone(), b], "--allow-shrink", "s"),
            "tidegate run 'p q.yaml' --job a --job b --allow-shrink --state s"
        );
        assert_eq!(
            backfill.against(Some(Remedy::Accept), "p.yaml", &[], "--shard 0/2", "s"),
            ["future", "reland"].map(|how| {
                format!(
                    "tidegate backfill p.yaml --from 2026-11-10T00:00:00Z --to 2026-11-15T12:00:00Z --missing --shard 0/2 --accept {how} \
                     --state s"
                )
            })
        );
        assert!(run.against(Some(Remedy::ChooseState), "p.yaml", &[], "", "s").is_empty());
        assert_eq!(
            Asked::new("replay").command("p.yaml", &[a], "", "s"),
            "tidegate quarantine replay p.yaml a --state s"
        );
    }
}
