//! One delivery of one sink: wave by wave, each noted before it is sent where its end must be known, and after it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::backlog::Backlog;
use super::parcels::{Packer, Parcel};
use super::sender::{Ended, Sender};
use crate::extract::http::RetryPolicy;
use crate::ledger::{DeliveryLog, DeliveryNote, Writer};
use crate::model::DeliveryCounts;
use crate::pipeline::spec::Outbox;
use crate::run::RunError;

/// Requests of a wave for each that may be out at once: a note is written for each wave.
const REQUESTS_AT_ONCE: usize = 8;

/// Where so many rows are refused before any was ever taken, it isn't the rows that are wrong.
const REFUSED_AT_FIRST: u64 = 10;

/// Delivers what waits of one sink.
pub(super) struct Courier<'c> {
    pub(super) outbox: &'c Outbox,
    pub(super) sender: &'c Sender,
    pub(super) writer: &'c Writer,
    pub(super) cancel: &'c CancellationToken,
    /// What the files of refused rows are named by: pipeline, job and sink.
    pub(super) name: String,
    pub(super) log: DeliveryLog,
    pub(super) backlog: Backlog,
    pub(super) packer: Packer,
    /// Parcels that go before all others.
    pub(super) again: VecDeque<Parcel>,
    /// What is to be noted next.
    pub(super) note: DeliveryNote,
    /// Refused rows that aren't in quarantine yet, with their reasons.
    pub(super) refused: Vec<(Parcel, String)>,
    pub(super) counts: DeliveryCounts,
    /// Rows of parcels that won't be sent in this delivery.
    pub(super) dropped: u64,
    /// How long to wait before the next wave.
    pub(super) pause: Duration,
    /// Why nothing more is sent.
    pub(super) stopped: Option<String>,
}

impl Courier<'_> {
    /// Sends what waits. What became of it is in `counts` and `stopped`, whatever is returned.
    pub(super) async fn deliver(&mut self) -> Result<(), RunError> {
        while self.stopped.is_none() && !self.cancel.is_cancelled() {
            let wave = self.next_wave().await?;
            if wave.is_empty() {
                break;
            }
            if let Err(error) = self.begin(&wave).await {
                self.drop_all(wave);
                return Err(error);
            }
            self.send(wave).await;
            self.pass();
        }
        self.settle_refused().await?;
        self.pass();
        // Those that were refused before it was known whether it is the rows that are wrong: they surely aren't there.
        let unsettled = self.refused.iter().flat_map(|(parcel, _)| parcel.keys().0);
        self.note.unsent.0.extend(unsettled);
        self.log.note(std::mem::take(&mut self.note)).await?;
        Ok(())
    }

    /// Notes the slices that were looked through as done, once all their rows have ended.
    fn pass(&mut self) {
        let waiting = !self.again.is_empty() || self.packer.rows() > 0 || !self.refused.is_empty() || self.dropped > 0;
        if !waiting {
            self.note.done.append(&mut self.backlog.passed);
        }
    }

    /// Puts the next requests together.
    async fn next_wave(&mut self) -> Result<Vec<Parcel>, RunError> {
        let at_once = self.outbox.source.concurrency as usize;
        let size = if self.outbox.knows_again() { at_once * REQUESTS_AT_ONCE } else { 1 };
        let mut wave: Vec<Parcel> = Vec::new();
        while wave.len() < size {
            if let Some(parcel) = self.again.pop_front().or_else(|| self.packer.take()) {
                wave.push(parcel);
                continue;
            }
            match self.backlog.next(self.log.state()).await {
                Ok(Some(row)) => self.packer.put(row),
                Ok(None) => {
                    self.packer.close();
                    match self.packer.take() {
                        Some(parcel) => wave.push(parcel),
                        None => break,
                    }
                }
                Err(error) => {
                    self.drop_all(wave);
                    return Err(error);
                }
            }
        }
        Ok(wave)
    }

    /// Notes what ended, and what is about to be sent where it must be known that it was.
    async fn begin(&mut self, wave: &[Parcel]) -> Result<(), RunError> {
        if !self.outbox.knows_again() || self.outbox.batch.is_some() {
            self.note.begun = wave.iter().map(Parcel::keys).collect();
        }
        if !self.outbox.knows_again() {
            let doubled: u64 =
                wave.iter().filter(|parcel| parcel.doubtful).map(|parcel| parcel.rows.len() as u64).sum();
            self.note.maybe_sent += doubled;
            self.counts.maybe_sent += doubled;
        }
        self.settle_refused().await?;
        self.log.note(std::mem::take(&mut self.note)).await?;
        Ok(())
    }

    async fn send(&mut self, wave: Vec<Parcel>) {
        tokio::select! {
            () = tokio::time::sleep(std::mem::take(&mut self.pause)) => {}
            () = self.cancel.cancelled() => {
                self.note.unsent.0.extend(wave.iter().filter(|parcel| !parcel.doubtful).flat_map(|parcel| parcel.keys().0));
                return self.drop_all(wave);
            }
        }
        let (stop, sender) = (AtomicBool::new(false), self.sender);
        let mut left: Vec<Option<Parcel>> = wave.into_iter().map(Some).collect();
        let requests = left.iter().flatten().cloned().enumerate().collect::<Vec<_>>();
        let requests = requests.into_iter().map(|(at, parcel)| {
            let stop = &stop;
            async move {
                if stop.load(Ordering::Relaxed) {
                    return (at, None);
                }
                let ended = sender.send(&parcel.rows).await;
                if matches!(ended, Ended::Stopped { .. }) {
                    stop.store(true, Ordering::Relaxed);
                }
                (at, Some(ended))
            }
        });
        let mut ends = futures::stream::iter(requests).buffer_unordered(self.outbox.source.concurrency as usize);
        loop {
            let end = tokio::select! {
                end = ends.next() => end,
                () = self.cancel.cancelled() => None,
            };
            let Some((at, ended)) = end else { break };
            let parcel = left.get_mut(at).and_then(Option::take);
            match (parcel, ended) {
                (Some(parcel), Some(ended)) => self.ended(parcel, ended),
                (Some(parcel), None) => {
                    self.note.unsent.0.extend(parcel.keys().0);
                    self.drop_all([parcel]);
                }
                (None, _) => {}
            }
        }
        drop(ends);
        // Those that were out when the run was interrupted stay in doubt.
        self.drop_all(left.into_iter().flatten());
    }

    /// Takes the end of a request.
    fn ended(&mut self, mut parcel: Parcel, ended: Ended) {
        let rows = parcel.rows.len() as u64;
        match ended {
            Ended::Sent => {
                self.counts.sent += rows;
                self.note.sent.0.extend(parcel.keys().0);
            }
            Ended::Found => {
                self.counts.found += rows;
                self.note.sent.0.extend(parcel.keys().0);
            }
            Ended::Refused(_) if rows > 1 => {
                self.note.unsent.0.extend(parcel.keys().0);
                for half in parcel.halves().into_iter().rev() {
                    self.again.push_front(half);
                }
            }
            Ended::Refused(reason) => self.refuse(parcel, reason),
            Ended::Unclear(error) => {
                parcel.tries += 1;
                let attempts = if self.outbox.idempotent { 1 } else { self.outbox.source.attempts };
                if parcel.tries >= attempts {
                    self.stopped.get_or_insert(error);
                    return self.drop_all([parcel]);
                }
                let policy = RetryPolicy { max_delay: self.outbox.source.max_delay, ..RetryPolicy::default() };
                self.pause = self.pause.max(policy.delay(parcel.tries, None, rand::random()));
                parcel.doubtful = true;
                self.again.push_back(parcel);
            }
            Ended::Stopped { error, unheard } => {
                // One that was in doubt before stays so: only this try is known not to have been heard.
                if unheard && !parcel.doubtful {
                    self.note.unsent.0.extend(parcel.keys().0);
                }
                self.stopped.get_or_insert(error);
                self.drop_all([parcel]);
            }
        }
    }

    fn refuse(&mut self, parcel: Parcel, reason: String) {
        self.refused.push((parcel, reason));
        let taken = self.log.state().sent() + self.note.sent.0.len() as u64;
        if taken > 0 || (self.refused.len() as u64) < REFUSED_AT_FIRST {
            return;
        }
        let (_, first) = self.refused.swap_remove(0);
        self.dropped += self.refused.len() as u64 + 1;
        let keys = std::mem::take(&mut self.refused);
        self.note.unsent.0.extend(keys.into_iter().flat_map(|(parcel, _)| parcel.keys().0));
        self.stopped.get_or_insert(format!(
            "the first {REFUSED_AT_FIRST} rows were all refused, so it is the request that is wrong, not the rows: they stay to be \
             sent; the first: {first}"
        ));
    }

    /// Puts refused rows into quarantine, and notes it. Before a sink has ever sent a row they wait for the verdict on the first few.
    async fn settle_refused(&mut self) -> Result<(), RunError> {
        let taken = self.log.state().sent() > 0 || !self.note.sent.is_empty();
        let over =
            self.stopped.is_none() && self.again.is_empty() && self.packer.rows() == 0 && self.backlog.unread() == 0;
        if self.refused.is_empty() || !(taken || over) {
            return Ok(());
        }
        let lines = self.refused.iter().flat_map(|(parcel, reason)| parcel.rows.iter().map(move |row| (row, reason)));
        let line = |(row, reason): (&super::backlog::Row, &String)| {
            let request = format!("sink {}", self.outbox.name);
            let row = self.sender.redactor().scrub_data(&row.value.to_string());
            format!("{}\n", json!({"reason": reason, "column": "", "request": request, "page": 0, "row": row}))
        };
        let lines: String = lines.map(line).collect();
        let name = format!("{}-delivery-{}", self.name, self.log.next());
        self.writer.quarantine(&name, lines).await?;
        for (parcel, _) in self.refused.drain(..) {
            self.counts.refused += parcel.rows.len() as u64;
            self.note.refused.0.extend(parcel.keys().0);
        }
        Ok(())
    }

    fn drop_all(&mut self, parcels: impl IntoIterator<Item = Parcel>) {
        self.dropped += parcels.into_iter().map(|parcel| parcel.rows.len() as u64).sum::<u64>();
    }

    /// Counts what is left, and sees that the numbers add up.
    pub(super) fn count(&mut self) -> Result<DeliveryCounts, RunError> {
        let waiting = self.again.iter().map(|parcel| parcel.rows.len() as u64).sum::<u64>();
        let refused = self.refused.iter().map(|(parcel, _)| parcel.rows.len() as u64).sum::<u64>();
        self.counts.rows = self.backlog.total;
        self.counts.known = self.backlog.known;
        self.counts.left = self.dropped + waiting + refused + self.packer.rows() + self.backlog.unread();
        if self.counts.adds_up() {
            return Ok(self.counts);
        }
        Err(RunError::Account { account: format!("rows of sink {}: {:?}", self.outbox.name, self.counts) })
    }
}
