//! The record of runs: who took a lease when, and what came of it. A run that took one and never said how it ended has died.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::ends::{Ended, Ends};
use super::entry::Entry;
use super::lane::Lane;
use super::state::LedgerState;
use super::summary::RunSummary;
use super::{Ledger, LedgerError};
use crate::model::Asked;

/// How many runs the state keeps: half a year of nightly ones.
const KEPT: usize = 200;

/// A run, as the log tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunState {
    /// The number of the entry that took its lease: it names the run.
    pub id: u64,
    /// The lane.
    pub lane: Lane,
    /// Which lease of the lane it held.
    pub lease: u64,
    /// Who it was, for people: host and process.
    pub holder: String,
    /// When it took the lease, UTC, by its own clock.
    pub started: DateTime<Utc>,
    /// What it was asked for; absent in records of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Asked>,
    /// How it ended; none for one that died, or still runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<RunEnd>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunEnd {
    /// The number of the entry that says so; it has the jobs one by one.
    pub entry: u64,
    /// When it ended, UTC, by its own clock.
    pub at: DateTime<Utc>,
    /// What it did, without its jobs.
    #[serde(flatten)]
    pub summary: RunSummary,
}

/// What became of a run of which the log doesn't say how it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RunLife {
    /// It said how it ended.
    Ended,
    /// It holds its lease: it runs, or it died and nobody has taken the lease since.
    Holds,
    /// Another run took the lease, and this one had never given it back.
    Died,
}

impl RunState {
    /// Says which run it is and what it was asked for, with the entry that tells how it ended: of one that died, its first. Older
    /// versions didn't note what was asked for: that is taken for all jobs of which `ends` knows something.
    #[must_use]
    pub fn ended(&self, ends: &Ends) -> Ended {
        let summary = self.end.as_ref().map(|end| &end.summary);
        let named = summary.and_then(|summary| summary.run.as_ref());
        let all = || Asked { jobs: ends.jobs().cloned().collect(), ..Asked::new(self.verb()) };
        Ended {
            entry: self.end.as_ref().map_or(self.id, |end| end.entry),
            run: named.map_or_else(|| self.id.to_string(), ToString::to_string),
            at: self.end.as_ref().map_or(self.started, |end| end.at),
            lane: self.lane,
            asked: self.asked.clone().unwrap_or_else(all),
        }
    }

    /// Returns the verb, as far as it is known.
    #[must_use]
    pub fn verb(&self) -> &str {
        let asked = self.asked.as_ref().map(|asked| asked.verb.as_str());
        asked.or_else(|| Some(self.end.as_ref()?.summary.verb.as_str())).unwrap_or("run")
    }
}

impl LedgerState {
    /// Returns the last runs, newest first.
    pub fn runs(&self) -> impl Iterator<Item = (&RunState, RunLife)> {
        self.runs.iter().rev().map(|run| {
            let holds = self.lanes.get(&run.lane).is_some_and(|lane| lane.lease == run.lease && lane.holder.is_some());
            let life = match &run.end {
                Some(_) => RunLife::Ended,
                None if holds => RunLife::Holds,
                None => RunLife::Died,
            };
            (run, life)
        })
    }

    /// As [`Self::runs`], where it is known of lanes that their holders have died: see [`Ledger::dead`].
    pub fn runs_but(&self, dead: &BTreeSet<Lane>) -> impl Iterator<Item = (&RunState, RunLife)> {
        self.runs().map(|(run, life)| match life {
            RunLife::Holds if dead.contains(&run.lane) => (run, RunLife::Died),
            life => (run, life),
        })
    }

    /// Returns how the jobs ended.
    #[must_use]
    pub const fn ends(&self) -> &Ends {
        &self.ends
    }

    /// Notes a run that has taken a lease.
    pub(super) fn started(&mut self, entry: &Entry, holder: &str, asked: Option<&Asked>) {
        self.runs.push(RunState {
            id: entry.sequence,
            lane: entry.lane,
            lease: entry.lease,
            holder: holder.to_owned(),
            started: entry.at,
            asked: asked.cloned(),
            end: None,
        });
        let excess = self.runs.len().saturating_sub(KEPT);
        self.runs.drain(..excess);
    }

    /// Notes that the run that holds the last lease of `lane` has died, unless it said how it ended.
    pub(super) fn died(&mut self, lane: Lane) {
        let last = self.runs.iter().rev().find(|run| run.lane == lane);
        if let Some(died) = last.filter(|run| run.end.is_none()) {
            let died = died.ended(&self.ends);
            self.ends.died(&died);
        }
    }

    /// Notes how the holder of the entry's lease ended.
    pub(super) fn ran(&mut self, entry: &Entry, summary: &RunSummary) {
        let run = self.runs.iter_mut().rev().find(|run| run.lane == entry.lane && run.lease == entry.lease);
        if let Some(run) = run {
            let short = RunSummary { jobs: Vec::new(), deliveries: Vec::new(), ..summary.clone() };
            run.end = Some(RunEnd { entry: entry.sequence, at: entry.at, summary: short });
            let ended = run.ended(&self.ends);
            self.ends.ended(&ended, summary);
        }
    }
}

impl Ledger {
    /// Reads the entries that a run wrote, oldest first, as far as they are still kept.
    ///
    /// # Errors
    ///
    /// As [`Ledger::entries`].
    pub async fn entries_of(&self, state: &LedgerState, run: &RunState) -> Result<Vec<Entry>, LedgerError> {
        let last = run.end.as_ref().map_or(state.sequence(), |end| end.entry);
        let entries = self.entries(run.id, last).await?;
        Ok(entries.into_iter().filter(|entry| entry.lane == run.lane && entry.lease == run.lease).collect())
    }
}
