//! A key that was edited: what was sent is known by the new one from then on.

use std::collections::{BTreeSet, HashMap};

use super::backlog::{Backlog, Row};
use super::error::OutboxError;
use super::key_of;
use crate::ledger::{DeliveryLog, DeliveryNote, DeliveryState, Ledger, LedgerState, RowKey, RowKeys};
use crate::model::JobName;
use crate::run::RunError;
use crate::sink::{DataSets, SinkSpec};

/// Notes by which columns the rows of a sink are known. Where they were others before, all rows that have landed are read, those that were
/// sent or refused are noted by their new keys, and the others wait as they did: that a key has other columns sends nothing twice.
pub(super) async fn note(
    log: &mut DeliveryLog,
    ledger: &Ledger,
    sets: &DataSets,
    (job, set, key): (&JobName, &SinkSpec, &[String]),
    state: &LedgerState,
) -> Result<(), RunError> {
    let before = log.state().key().to_vec();
    if before == key {
        return Ok(());
    }
    let mut known = Known::new(log.state());
    if !before.is_empty() {
        let lacks = |column: &str| OutboxError::Rekeyed {
            column: column.to_owned(),
            before: before.join(", "),
            now: key.join(", "),
        };
        let mut landed = Backlog::list(ledger, sets, (job, set, key), state, &DeliveryState::default()).await?;
        loop {
            let row = match landed.any().await {
                Ok(Some(row)) => row,
                Ok(None) => break,
                Err(RunError::Outbox(OutboxError::NoColumn { column, .. })) => return Err(lacks(&column).into()),
                Err(error) => return Err(error),
            };
            if let Some(column) = before.iter().find(|column| row.value.get(column.as_str()).is_none()) {
                return Err(lacks(column).into());
            }
            known.take(&row, key_of(&row.value, &before), log.state());
        }
        if landed.lacks_rows() {
            return Err(OutboxError::Landing.into());
        }
    }
    log.note(DeliveryNote { key: key.to_vec(), ..known.note() }).await?;
    Ok(())
}

/// What is known of rows, by their new keys.
struct Known {
    sent: BTreeSet<RowKey>,
    refused: BTreeSet<RowKey>,
    /// Requests in doubt, and which of them a row was in, by its old key.
    begun: Vec<RowKeys>,
    request: HashMap<RowKey, usize>,
}

impl Known {
    fn new(delivered: &DeliveryState) -> Self {
        let requests = delivered.in_doubt();
        let of = |(at, request): (usize, &RowKeys)| request.0.iter().map(|key| (*key, at)).collect::<Vec<_>>();
        Self {
            sent: BTreeSet::new(),
            refused: BTreeSet::new(),
            begun: vec![RowKeys::default(); requests.len()],
            request: requests.iter().enumerate().flat_map(of).collect(),
        }
    }

    /// Takes a row whose key was `before`.
    fn take(&mut self, row: &Row, before: RowKey, delivered: &DeliveryState) {
        if delivered.was_sent(before) {
            self.sent.insert(row.key);
        } else if delivered.was_refused(before) {
            self.refused.insert(row.key);
        } else if let Some(request) = self.request.get(&before).and_then(|at| self.begun.get_mut(*at))
            && !request.0.contains(&row.key)
        {
            request.0.push(row.key);
        }
    }

    fn note(self) -> DeliveryNote {
        let Self { sent, mut refused, mut begun, .. } = self;
        refused.retain(|key| !sent.contains(key));
        for request in &mut begun {
            request.0.retain(|key| !sent.contains(key) && !refused.contains(key));
        }
        begun.retain(|request| !request.is_empty());
        DeliveryNote { sent: RowKeys::from(&sent), refused: RowKeys::from(&refused), begun, ..DeliveryNote::default() }
    }
}
