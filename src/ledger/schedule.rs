//! What a daemon must know of a pipeline after its machine is gone: up to which instant of the schedule all is settled, and
//! whether the pipeline is paused. Objects of their own, as refusals are: who reads only the log needn't know of them.
//!
//! `settled/<unix seconds, 20 digits>.json` names the instant; `paused.json` is there while the pipeline is paused.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::entry::FORMAT;
use super::store::numbered;
use super::{Ledger, LedgerError, log};

const PAUSED: &str = "paused.json";

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
    /// [`LedgerError::Store`].
    pub async fn settled(&self) -> Result<Option<DateTime<Utc>>, LedgerError> {
        let last = self.store.numbers("settled", None).await?.pop();
        Ok(last.and_then(|seconds| DateTime::from_timestamp(i64::try_from(seconds).ok()?, 0)))
    }

    /// Notes up to which instant nothing of the schedule is left to do, in whole seconds, in place of what was noted before.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Store`], [`LedgerError::Disk`].
    pub async fn settle(&self, until: DateTime<Utc>) -> Result<(), LedgerError> {
        let seconds = u64::try_from(until.timestamp()).unwrap_or_default();
        let text = serde_json::json!({ "format": FORMAT, "settled": until }).to_string();
        self.store.create(&numbered("settled", seconds), Bytes::from(text)).await?;
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
        for seconds in [1_800_000_000, 1_800_000_060, 1_700_000_000, 1_700_000_000] {
            ledger.settle(at(seconds)).await.unwrap();
            assert_eq!(ledger.settled().await.unwrap(), Some(at(seconds)));
        }
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
