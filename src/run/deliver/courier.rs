//! One delivery of one sink: wave by wave, each noted before it is sent where its end must be known, and after it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::backlog::Backlog;
use super::parcels::{Packer, Parcel};
use super::sender::{Ended, Made, Sender};
use crate::extract::http::RetryPolicy;
use crate::ledger::{DeliveryLog, DeliveryNote, KeptRequest, Writer};
use crate::model::DeliveryCounts;
use crate::pipeline::spec::Outbox;
use crate::run::RunError;

/// Requests of a wave for each that may be out at once: a note is written for each wave.
const REQUESTS_AT_ONCE: usize = 8;

/// Where so many rows are refused before any was ever taken, it isn't the rows that are wrong.
const REFUSED_AT_FIRST: usize = 10;

/// Where no request can be made of so many rows before one could be made of any, it isn't the rows that are wrong. That costs no requests.
const UNMADE_AT_FIRST: usize = 1000;

/// The most bytes of rows that a note keeps, for requests that must be sent again as they were: 1 MiB. Of a request that alone is larger
/// the mark is kept, which tells whether its rows still are what they were.
const KEPT_BYTES: usize = 1 << 20;

/// What to know of a request that was in doubt and can't be sent again either.
const AS_IT_WAS: &str = "; it was sent once before, and nobody knows whether it was heard, so it is sent again as it was: if its rows are why \
                         it fails, correct them in the transform, and `tidegate deliver --refused` sends them as they have landed since";

/// What to know of a row that was refused though it had been sent before.
const MAYBE_THERE: &str =
    "; an earlier try may have been acted upon, so look whether it is there before it is sent again";

/// Why a row is refused that nothing can be sent for.
const UNMADE: &str = "no request can be made of it: ";

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
    /// Rows that no request can be made of, with the reasons, and that aren't in quarantine yet.
    pub(super) unmade: Vec<(Parcel, String)>,
    /// Whether a request could be made of any row.
    pub(super) has_made: bool,
    /// Rows of requests in doubt, which are sent as they were, whatever has landed since.
    pub(super) stand_ins: u64,
    pub(super) counts: DeliveryCounts,
    /// Rows of parcels that won't be sent in this delivery.
    pub(super) dropped: u64,
    /// How long to wait before the next wave.
    pub(super) pause: Duration,
    /// When the last request was sent that may have been heard, or this delivery began: one may have been sent right before.
    pub(super) doubted: Instant,
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
                self.drop_all(wave.into_iter().map(|(parcel, _)| parcel));
                return Err(error);
            }
            self.send(wave).await;
            self.pass();
        }
        self.settle_refused().await?;
        self.pass();
        if self.stopped.is_none() && !self.cancel.is_cancelled() {
            self.stopped = self.all_refused();
        }
        self.log.note(std::mem::take(&mut self.note)).await?;
        Ok(())
    }

    /// Notes the slices that were looked through as done, once all their rows have ended.
    fn pass(&mut self) {
        let held = !self.refused.is_empty() || !self.unmade.is_empty();
        let waiting = !self.again.is_empty() || self.packer.rows() > 0 || held || self.dropped > 0;
        if !waiting {
            self.note.done.append(&mut self.backlog.passed);
        }
    }

    /// Puts the next requests together.
    async fn next_wave(&mut self) -> Result<Vec<(Parcel, Made)>, RunError> {
        let at_once = self.outbox.source.concurrency as usize;
        let size = if self.outbox.knows_again() { at_once * REQUESTS_AT_ONCE } else { 1 };
        let (mut wave, mut kept): (Vec<(Parcel, Made)>, usize) = (Vec::new(), 0);
        while wave.len() < size && self.stopped.is_none() {
            let parcel = match self.next_parcel().await {
                Ok(Some(parcel)) => parcel,
                Ok(None) => break,
                Err(error) => {
                    self.drop_all(wave.into_iter().map(|(parcel, _)| parcel));
                    return Err(error);
                }
            };
            match self.sender.make(&parcel.rows) {
                Err(reason) => self.leave_unmade(parcel, reason),
                Ok(made) => {
                    // So what can't be made is the fault of its rows.
                    self.has_made = true;
                    let keeps = if keeps(&made) { made.bytes } else { 0 };
                    if !wave.is_empty() && kept + keeps > KEPT_BYTES {
                        self.again.push_front(parcel);
                        break;
                    }
                    kept += keeps;
                    wave.push((parcel, made));
                }
            }
        }
        Ok(wave)
    }

    async fn next_parcel(&mut self) -> Result<Option<Parcel>, RunError> {
        loop {
            if let Some(parcel) = self.again.pop_front().or_else(|| self.packer.take()) {
                return Ok(Some(parcel));
            }
            let Some(row) = self.backlog.next(self.log.state()).await? else {
                self.packer.close();
                return Ok(self.packer.take());
            };
            self.packer.put(row);
        }
    }

    /// Takes rows that no request can be made of: down to single ones, since of the others one may be.
    fn leave_unmade(&mut self, parcel: Parcel, reason: String) {
        if parcel.rows.len() > 1 {
            let doubtful = parcel.doubtful;
            return self.halve(parcel, doubtful);
        }
        self.unmade.push((parcel, reason));
        if !self.has_made && self.unmade.len() >= UNMADE_AT_FIRST {
            self.stopped = self.all_refused();
        }
    }

    /// Sends the halves of a request next; `doubtful` says whether the whole may have been heard.
    fn halve(&mut self, parcel: Parcel, doubtful: bool) {
        let halves = parcel.halves().map(|half| Parcel { doubtful, ..half });
        halves.into_iter().rev().for_each(|half| self.again.push_front(half));
    }

    /// Notes what ended, and what is about to be sent where it must be known that it was.
    async fn begin(&mut self, wave: &[(Parcel, Made)]) -> Result<(), RunError> {
        let is_keyed = self.outbox.idempotency_header.is_some();
        if is_keyed || !self.outbox.knows_rows() || !self.outbox.lag().is_zero() {
            self.note.begun = wave.iter().map(|(parcel, _)| parcel.keys()).collect();
        }
        self.note.kept = wave.iter().filter_map(|(parcel, made)| kept(parcel, made)).collect();
        if !self.outbox.knows_rows() {
            // The server knows it again only if it is what it was.
            let is_doubled =
                |parcel: &Parcel, made: &Made| parcel.doubtful && (made.mark.is_none() || parcel.mark != made.mark);
            let doubled = wave.iter().filter(|(parcel, made)| is_doubled(parcel, made));
            let doubled: u64 = doubled.map(|(parcel, _)| parcel.rows.len() as u64).sum();
            self.note.maybe_sent += doubled;
            self.counts.maybe_sent += doubled;
        }
        self.settle_refused().await?;
        self.log.note(std::mem::take(&mut self.note)).await?;
        Ok(())
    }

    /// Returns how long to wait before a wave.
    fn due(&mut self, wave: &[(Parcel, Made)]) -> Duration {
        let may_show = if wave.iter().any(|(parcel, _)| parcel.doubtful) {
            (self.doubted + self.outbox.lag()).saturating_duration_since(Instant::now())
        } else {
            Duration::ZERO
        };
        std::mem::take(&mut self.pause).max(may_show)
    }

    async fn send(&mut self, wave: Vec<(Parcel, Made)>) {
        let due = self.due(&wave);
        tokio::select! {
            () = tokio::time::sleep(due) => {}
            () = self.cancel.cancelled() => {
                for (parcel, _) in &wave {
                    self.unheard(parcel);
                }
                return self.drop_all(wave.into_iter().map(|(parcel, _)| parcel));
            }
        }
        let (stop, sender) = (AtomicBool::new(false), self.sender);
        let mut left: Vec<Option<Parcel>> = wave.iter().map(|(parcel, _)| Some(parcel.clone())).collect();
        let requests = wave.into_iter().enumerate().map(|(at, (parcel, made))| {
            let stop = &stop;
            async move {
                if stop.load(Ordering::Relaxed) {
                    return (at, None);
                }
                let ended = sender.send(&parcel.rows, &made, parcel.tries).await;
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
                    self.unheard(&parcel);
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
            // Of several rows one that is there may be why: which of them are shows only one by one.
            Ended::Found if rows == 1 => {
                self.counts.found += rows;
                self.note.sent.0.extend(parcel.keys().0);
            }
            Ended::Found if rows > 1 => {
                self.note.unsent.0.extend(parcel.keys().0);
                self.halve(parcel, false);
            }
            Ended::Found => {}
            Ended::Refused { reason, maybe_heard } => {
                parcel.doubtful |= maybe_heard;
                if rows == 1 {
                    return self.refuse(parcel, reason);
                }
                self.unheard(&parcel);
                let doubtful = parcel.doubtful;
                self.halve(parcel, doubtful);
            }
            Ended::Unclear(error) => {
                parcel.tries += 1;
                let attempts = if self.outbox.idempotency_header.is_some() { 1 } else { self.outbox.source.attempts };
                if parcel.tries >= attempts {
                    let again = if parcel.doubtful && parcel.mark.is_some() { AS_IT_WAS } else { "" };
                    self.stopped.get_or_insert(error + again);
                    return self.drop_all([parcel]);
                }
                let policy = RetryPolicy { max_delay: self.outbox.source.max_delay, ..RetryPolicy::default() };
                self.pause = self.pause.max(policy.delay(parcel.tries, None, rand::random()));
                (parcel.doubtful, self.doubted) = (true, Instant::now());
                self.again.push_back(parcel);
            }
            Ended::Stopped { error, unheard } => {
                if unheard {
                    self.unheard(&parcel);
                }
                self.stopped.get_or_insert(error);
                self.drop_all([parcel]);
            }
        }
    }

    /// Notes that a request surely wasn't acted upon. One that was in doubt before stays so: only this try is known not to have been heard.
    fn unheard(&mut self, parcel: &Parcel) {
        if !parcel.doubtful {
            self.note.unsent.0.extend(parcel.keys().0);
        }
    }

    fn refuse(&mut self, parcel: Parcel, mut reason: String) {
        self.unheard(&parcel);
        if parcel.doubtful && !self.outbox.knows_rows() {
            reason += MAYBE_THERE;
        }
        self.refused.push((parcel, reason));
        if !self.has_ever_sent() && self.refused.len() >= REFUSED_AT_FIRST && self.stopped.is_none() {
            self.stopped = self.all_refused();
        }
    }

    /// Tells whether the sink has ever sent a row, so that its requests are right.
    fn has_ever_sent(&self) -> bool {
        self.log.state().sent() > 0 || !self.note.sent.is_empty()
    }

    /// Says that no row was taken, where some were to be sent, and none was.
    fn all_refused(&self) -> Option<String> {
        if let Some((_, first)) = self.unmade.first().filter(|_| !self.has_made) {
            let rows = self.unmade.len();
            return Some(format!(
                "no request can be made of any of the {rows} rows that came first, so it is the pipeline file that is wrong, not the rows: \
                 they stay to be sent; the first: {first}"
            ));
        }
        if let Some((_, first)) = self.refused.first() {
            let rows = self.refused.len();
            return Some(format!(
                "the first {rows} rows were all refused, so it is the request that is wrong, not the rows: they stay to be sent; the \
                 first: {first}"
            ));
        }
        let none = self.counts.refused > 0 && self.counts.sent + self.counts.found == 0;
        none.then(|| {
            "all rows that were to be sent were refused; they are in quarantine, with the reasons: once the pipeline file is right, \
             `tidegate deliver --refused` sends them again"
                .to_owned()
        })
    }

    /// Puts refused rows into quarantine, and notes it. Before a sink has ever sent a row they wait: it may be the request that is wrong.
    async fn settle_refused(&mut self) -> Result<(), RunError> {
        let unmade = if self.has_made { self.unmade.len() } else { 0 };
        if self.refused.len() + unmade == 0 || !self.has_ever_sent() {
            return Ok(());
        }
        let unmade = self.unmade.drain(..unmade).map(|(parcel, reason)| (parcel, UNMADE.to_owned() + &reason));
        self.refused.extend(unmade);
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
        let refused = self.refused.iter().chain(&self.unmade).map(|(parcel, _)| parcel.rows.len() as u64).sum::<u64>();
        // The rows of requests in doubt lie among those that weren't looked at, too.
        let unread = self.backlog.unread();
        let twice = unread.min(self.backlog.stood_for.len() as u64);
        self.counts.rows = self.backlog.total + self.stand_ins - twice;
        self.counts.known = self.backlog.known;
        self.counts.left = self.dropped + waiting + refused + self.packer.rows() + unread - twice;
        if self.counts.adds_up() {
            return Ok(self.counts);
        }
        Err(RunError::Account { account: format!("rows of sink {}: {:?}", self.outbox.name, self.counts) })
    }
}

/// Tells whether a note keeps the rows of a request.
const fn keeps(made: &Made) -> bool {
    made.mark.is_some() && made.bytes <= KEPT_BYTES
}

/// Returns what is to be kept of a request, where the server knows it again.
fn kept(parcel: &Parcel, made: &Made) -> Option<KeptRequest> {
    let rows = if keeps(made) { parcel.rows.iter().map(|row| row.value.clone()).collect() } else { Vec::new() };
    Some(KeptRequest { request: parcel.keys().id(), mark: made.mark.clone()?, rows })
}
