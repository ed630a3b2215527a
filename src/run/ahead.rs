//! Answers that were asked for before their turn: requests that are known to follow are sent early, up to as many at once as the
//! source allows, and their answers wait here.
//!
//! It is no more than a cache by the exact request. The order of the pages, their number and the end are decided by the paginator
//! alone, page by page; an answer to a request that it doesn't ask for is dropped.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use serde_json::Value;
use tokio::task::JoinHandle;
use tracing::{Instrument as _, Span};

use super::RunError;
use super::readers::{Arrived, Readers};
use crate::extract::http::{Exchange, ExchangeError, HttpError, Turn};
use crate::extract::request::RenderedRequest;

/// The slices of a job that are being read: they share what the source allows at once.
#[derive(Debug, Clone)]
pub(super) struct Lanes {
    running: Arc<AtomicUsize>,
    at_once: usize,
}

/// One slice that is being read.
#[derive(Debug)]
struct Lane(Lanes);

/// The requests of one slice that were sent early.
pub(super) struct Ahead {
    exchange: Exchange,
    extra: Arc<[Value]>,
    lane: Lane,
    /// What decodes their pages.
    readers: Option<Arc<Readers>>,
    /// In the order in which they are going to be asked for.
    out: VecDeque<Early>,
    /// The largest body so far, in bytes: what is expected of the next one.
    largest: u64,
    /// Whether the slice was foreseen wrongly: its pages come short, or its total changes.
    surprised: bool,
    /// The slice, for logs: a request that is sent early belongs to no page that is being read.
    slice: Span,
}

/// A request that was sent early. It is cancelled when dropped.
struct Early {
    request: RenderedRequest,
    turn: Turn,
    answer: JoinHandle<Result<Arrived, ExchangeError>>,
}

impl Drop for Early {
    fn drop(&mut self) {
        self.answer.abort();
    }
}

impl Lanes {
    /// Shares `at_once` requests out.
    pub(super) fn new(at_once: usize) -> Self {
        Self { running: Arc::default(), at_once }
    }

    fn enter(&self) -> Lane {
        self.running.fetch_add(1, Ordering::Relaxed);
        Lane(self.clone())
    }
}

impl Lane {
    /// Returns how many requests the slice may have sent early: its share of those that may be out, and, where it is alone, one that
    /// waits for the slot that is free first.
    fn most(&self) -> usize {
        let running = self.0.running.load(Ordering::Relaxed).max(1);
        let waiting = usize::from(running == 1 && self.0.at_once > 1);
        (self.0.at_once / running).max(1) + waiting
    }

    /// Tells whether no other slice is being read.
    fn is_alone(&self) -> bool {
        self.0.running.load(Ordering::Relaxed) <= 1
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Ahead {
    /// Begins a slice. `extra` are the values of the further variables of the rules about answers.
    pub(super) fn new(exchange: &Exchange, extra: Vec<Value>, lanes: &Lanes) -> Self {
        Self {
            exchange: exchange.clone(),
            extra: extra.into(),
            lane: lanes.enter(),
            readers: None,
            out: VecDeque::new(),
            largest: 0,
            surprised: false,
            slice: Span::current(),
        }
    }

    /// Lets `readers` decode pages before their turn.
    pub(super) fn read_by(self, readers: Arc<Readers>) -> Self {
        Self { readers: Some(readers), ..self }
    }

    /// Returns the answer to `request`, which is the slice's next one: the one that was asked for early, or one that is now.
    pub(super) async fn answer(&mut self, request: &RenderedRequest) -> Result<Arrived, RunError> {
        if let Some(mut early) = self.out.pop_front() {
            if early.request == *request {
                early.turn.comes();
                match (&mut early.answer).await? {
                    // Answers are larger than was thought: with more room for each there are fewer of them.
                    Err(ExchangeError::Http(HttpError::NoRoom { .. })) => self.largest = self.largest.saturating_mul(2),
                    answer => return Ok(answer?),
                }
            } else {
                self.surprise();
            }
        }
        let asked = self.exchange.ask(request, Arc::clone(&self.extra), self.largest).await?;
        Ok(Arrived { asked, early: None })
    }

    /// Takes the size of a body.
    pub(super) fn note_size(&mut self, bytes: u64) {
        self.largest = self.largest.max(bytes);
    }

    /// Returns how many of the requests that follow are worth to be foreseen: after a surprise the next one.
    pub(super) fn most(&self) -> usize {
        if self.surprised { 1 } else { self.lane.most() }
    }

    /// Tells whether the slice was foreseen wrongly.
    pub(super) const fn is_surprised(&self) -> bool {
        self.surprised
    }

    /// Tells whether as much is out as the source allows at once: what was sent now would wait.
    pub(super) fn is_full(&self) -> bool {
        self.lane.is_alone() && self.out.len() >= self.lane.0.at_once
    }

    /// Sends `requests`, which are foreseen to follow, in this order, as far as there is room. Those that are out already are not
    /// sent again.
    pub(super) async fn send(&mut self, requests: Vec<RenderedRequest>) {
        if self.out.iter().zip(&requests).any(|(early, request)| early.request != *request) {
            self.surprise();
        }
        for request in requests.into_iter().take(self.most()).skip(self.out.len()) {
            let turn = Turn::later();
            let extra = Arc::clone(&self.extra);
            let Some(answer) = self.exchange.ask_early(request.clone(), extra, self.largest, turn.clone()) else {
                return;
            };
            let (exchange, readers) = (self.exchange.clone(), self.readers.clone().filter(|_| self.lane.is_alone()));
            let answer = async move {
                let asked = answer.await?;
                Ok(match readers {
                    Some(readers) => readers.read(&exchange, asked).await,
                    None => Arrived { asked, early: None },
                })
            };
            // Polled here once, so that they get their slots of the host in this order, whichever thread goes on with them.
            let mut answer = Box::pin(answer.instrument(self.slice.clone()));
            let answer = match futures::poll!(&mut answer) {
                Poll::Ready(done) => tokio::spawn(async { done }),
                Poll::Pending => tokio::spawn(answer),
            };
            self.out.push_back(Early { request, turn, answer });
        }
    }

    fn surprise(&mut self) {
        self.out.clear();
        self.surprised = true;
    }
}
