//! What a daemon must know of a pipeline after its machine is gone: up to which instant of the schedule all is settled, and
//! whether the pipeline is paused. Objects of their own, as refusals are: who reads only the log needn't know of them.
//!
//! `settled/<unix seconds, 20 digits>.json` names the instant, and says by which schedule; `paused.json` is there while the
//! pipeline is paused.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::entry::FORMAT;
use super::store::{Put, numbered};
use super::{Ledger, LedgerError, log};

const PAUSED: &str = "paused.json";

/// Up to which instant nothing of a schedule is left to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The instant, itself included, UTC; kept in whole seconds.
    pub until: DateTime<Utc>,
    /// The schedule that it was decided by; none where a version noted it that didn't say so.
    pub schedule: Option<String>,
}

/// What the object of a [`Settled`] says beside its name.
#[derive(Deserialize)]
struct Note {
    #[serde(default)]
    schedule: Option<String>,
}

/// That a pipeline is paused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// The format of the object.
    format: u32,
    /// Since when, UTC.
    pub at: DateTime<Utc>,
}

impl Pause {
    /// Notes a pause.
    #[must_use]
    pub const fn new(at: DateTime<Utc>) -> Self {
        Self { format: FORMAT, at }
    }
}

impl Ledger {
    /// Reads up to which instant, itself included, nothing of the schedule is left to do. None where no daemon has had the pipeline.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Store`], [`LedgerError::NewerFormat`], [`LedgerError::Corrupt`].
    pub async fn settled(&self) -> Result<Option<Settled>, LedgerError> {
        while let Some(seconds) = self.store.numbers("settled", None).await?.pop() {
            let path = numbered("settled", seconds);
            // Who replaces a note may have deleted it meanwhile.
            let Some(bytes) = self.store.get(&path).await? else { continue };
            let Note { schedule } = log::decode(&path, &bytes)?;
            let until = i64::try_from(seconds).ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
            return Ok(until.map(|until| Settled { until, schedule }));
        }
        Ok(None)
    }

    async fn schedule_of(&self, path: &str) -> Result<Option<String>, LedgerError> {
        let Some(bytes) = self.store.get(path).await? else { return Ok(None) };
        Ok(log::decode::<Note>(path, &bytes)?.schedule)
    }

    /// Tells whether anything was ever written for the pipeline.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Store`].
    pub async fn is_there(&self) -> Result<bool, LedgerError> {
        Ok(!self.store.is_empty().await?)
    }

    /// Notes up to which instant nothing of the schedule is left to do, in whole seconds, in place of what was noted before.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Store`], [`LedgerError::Disk`].
    pub async fn settle(&self, settled: &Settled) -> Result<(), LedgerError> {
        let seconds = u64::try_from(settled.until.timestamp()).unwrap_or_default();
        let (path, until) = (numbered("settled", seconds), settled.until);
        let text = serde_json::json!({ "format": FORMAT, "settled": until, "schedule": settled.schedule }).to_string();
        if self.store.create(&path, Bytes::from(text.clone())).await? == Put::Taken
            && self.schedule_of(&path).await? != settled.schedule
        {
            // The same second, by another schedule. Where the process dies in between, what was missed isn't made up for.
            self.store.delete(&path).await?;
            self.store.create(&path, Bytes::from(text)).await?;
        }
        for other in self.store.numbers("settled", None).await? {
            if other != seconds {
                self.store.delete(&numbered("settled", other)).await?;
            }
        }
        Ok(())
    }

    /// Reads whether the pipeline is paused.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Store`], [`LedgerError::NewerFormat`], [`LedgerError::Corrupt`].
    pub async fn paused(&self) -> Result<Option<Pause>, LedgerError> {
        self.store.get(PAUSED).await?.map(|bytes| log::decode(PAUSED, &bytes)).transpose()
    }

    /// Pauses the pipeline; one that is paused stays as it is.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Store`], [`LedgerError::Disk`].
    pub async fn pause(&self, pause: &Pause) -> Result<(), LedgerError> {
        let text = serde_json::json!(pause).to_string();
        self.store.create(PAUSED, Bytes::from(text)).await.map(|_| ())
    }

    /// Ends a pause.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Store`].
    pub async fn resume(&self) -> Result<(), LedgerError> {
        self.store.delete(PAUSED).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use object_store::memory::InMemory;

    use super::*;
    use crate::clock::SystemClock;
    use crate::model::PipelineName;

    fn ledger() -> Ledger {
        Ledger::in_store(Arc::new(InMemory::new()), "state", PipelineName::new("p"), Arc::new(SystemClock))
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    #[tokio::test]
    async fn the_last_note_counts_also_where_the_clock_was_set_back() {
        let ledger = ledger();
        assert_eq!(ledger.settled().await.unwrap(), None);
        assert!(!ledger.is_there().await.unwrap());
        for (seconds, schedule) in
            [(1_800_000_000, "a"), (1_800_000_060, "a"), (1_700_000_000, "a"), (1_700_000_000, "b")]
        {
            let settled = Settled { until: at(seconds), schedule: Some(schedule.to_owned()) };
            ledger.settle(&settled).await.unwrap();
            assert_eq!(ledger.settled().await.unwrap(), Some(settled));
        }
        assert!(ledger.is_there().await.unwrap());
    }

    #[tokio::test]
    async fn a_pause_lasts_until_it_is_ended() {
        let ledger = ledger();
        assert_eq!(ledger.paused().await.unwrap(), None);
        ledger.pause(&Pause::new(at(1))).await.unwrap();
        ledger.pause(&Pause::new(at(2))).await.unwrap();
        assert_eq!(ledger.paused().await.unwrap(), Some(Pause::new(at(1))));
        ledger.resume().await.unwrap();
        ledger.resume().await.unwrap();
        assert_eq!(ledger.paused().await.unwrap(), None);
    }
}
