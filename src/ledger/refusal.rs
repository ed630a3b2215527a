//! Credentials that a server refused lately, each an object of its own: who reads only the log needn't know of them.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::entry::FORMAT;
use super::store::Put;
use super::{Ledger, LedgerError, log};

/// How long a refused credential isn't sent again: appliances that lock an account out do so after a few failures in some minutes.
pub const REFUSED_FOR: TimeDelta = TimeDelta::minutes(5);

/// How often a refusal is written anew that another run of the pipeline writes as well.
const TRIES: u32 = 3;

/// A credential that a server refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The format of the object.
    format: u32,
    /// When, UTC.
    pub at: DateTime<Utc>,
    /// Which request, and what the server said; secrets scrubbed.
    pub reason: String,
}

impl Refusal {
    /// Takes a refusal down.
    #[must_use]
    pub const fn new(at: DateTime<Utc>, reason: String) -> Self {
        Self { format: FORMAT, at, reason }
    }

    /// Returns how long the credential isn't to be sent yet; none where it may be. A refusal from a far future comes from a clock
    /// that was wrong.
    #[must_use]
    pub fn left(&self, now: DateTime<Utc>) -> Option<TimeDelta> {
        let left = self.at + REFUSED_FOR - now;
        (left > TimeDelta::zero() && left <= REFUSED_FOR * 2).then(|| left.min(REFUSED_FOR))
    }
}

impl Ledger {
    /// Reads the refusal of the credential with this mark.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Store`], [`LedgerError::NewerFormat`], [`LedgerError::Corrupt`].
    pub async fn refusal(&self, mark: &str) -> Result<Option<Refusal>, LedgerError> {
        let path = path(mark);
        let bytes = self.store.get(&path).await?;
        bytes.map(|bytes| log::decode(&path, &bytes)).transpose()
    }

    /// Notes that a credential was refused, in place of what was noted before.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Store`], [`LedgerError::Disk`].
    pub async fn note_refusal(&self, mark: &str, refusal: &Refusal) -> Result<(), LedgerError> {
        let path = path(mark);
        let bytes = log::encode(&path, refusal)?;
        for _ in 0..TRIES {
            self.forget_refusal(mark).await?;
            if self.store.create(&path, bytes.clone()).await? == Put::Written {
                break;
            }
        }
        // Where it never succeeds, others write the same, just now.
        Ok(())
    }

    /// Forgets a refusal, where there is one.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Store`].
    pub async fn forget_refusal(&self, mark: &str) -> Result<(), LedgerError> {
        self.store.delete(&path(mark)).await
    }
}

fn path(mark: &str) -> String {
    format!("refused/{mark}.json")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use object_store::memory::InMemory;

    use super::*;
    use crate::clock::SystemClock;
    use crate::model::PipelineName;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_000_000 + seconds, 0).unwrap()
    }

    #[test]
    fn a_refusal_counts_for_five_minutes() {
        let refusal = Refusal::new(at(0), String::new());
        let left = |seconds| refusal.left(at(seconds)).map(|left| left.num_seconds());
        assert_eq!([left(0), left(60), left(299), left(300), left(9999)], [Some(300), Some(240), Some(1), None, None]);
        assert_eq!(left(-60), Some(300), "the clocks of two machines differ a little");
        assert_eq!(left(-3600), None, "that clock was wrong");
    }

    #[tokio::test]
    async fn the_last_refusal_is_kept_until_it_is_forgotten() {
        let ledger =
            Ledger::in_store(Arc::new(InMemory::new()), "state", PipelineName::new("p"), Arc::new(SystemClock));
        assert_eq!(ledger.refusal("m").await.unwrap(), None);
        for reason in ["first", "second"] {
            let refusal = Refusal::new(at(0), reason.to_owned());
            ledger.note_refusal("m", &refusal).await.unwrap();
            assert_eq!(ledger.refusal("m").await.unwrap(), Some(refusal));
        }
        assert_eq!(ledger.refusal("n").await.unwrap(), None);
        ledger.forget_refusal("m").await.unwrap();
        ledger.forget_refusal("m").await.unwrap();
        assert_eq!(ledger.refusal("m").await.unwrap(), None);
    }
}
