//! Threads that decode the pages of a slice before their turn: of answers that were asked for early, while no other slice of the job
//! keeps the machine busy. The pages are taken in one after the other all the same, and in their order.

use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::Semaphore;

use super::pages;
use crate::decode::{EarlyPage, PageDecoder, PageVars};
use crate::extract::http::{Dispatched, Exchange, RawAnswer, compute};
use crate::model::{AnswerFormat, Slice};
use crate::pipeline::spec::Job;

/// The sizes of bodies that are decoded early, in bytes: less takes no time, and what is made of more, several at once, takes memory that is
/// better left to answers.
const WORTH_IT: RangeInclusive<usize> = 64 << 10..=4 << 20;

/// Decodes pages of one slice before their turn.
pub(super) struct Readers {
    job: Arc<Job>,
    fan_out: Vec<Value>,
    idle: Mutex<Idle>,
    threads: Arc<Semaphore>,
}

/// Decoders that know what the slice's own one knows, and have nothing to do; none at all while it still learns.
#[derive(Default)]
struct Idle {
    /// The version of the slice's own one.
    version: u64,
    decoders: Vec<PageDecoder>,
}

/// An answer that was asked for, maybe early.
pub(super) struct Arrived {
    /// The answer.
    pub(super) asked: Dispatched,
    /// Its page, where that was decoded before its turn, and the answer judged to be one.
    pub(super) early: Option<EarlyPage>,
}

impl Readers {
    /// Prepares for a slice of `job`.
    pub(super) fn new(job: &Arc<Job>, slice: &Slice) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let (idle, threads) = (Mutex::default(), Arc::new(Semaphore::new(cores)));
        Self { job: Arc::clone(job), fan_out: pages::fan_out(job, slice), idle, threads }
    }

    /// Takes over what `decoder` knows after a page that it read in its turn, before which it had the version `before`. Where the page
    /// taught it something, the next ones will as well: none is read early until one has brought nothing new.
    pub(super) fn learn(&self, decoder: &PageDecoder, before: u64) {
        let mut idle = self.idle();
        idle.version = decoder.version();
        if idle.version != before {
            idle.decoders.clear();
        } else if idle.decoders.is_empty() && self.can_read() {
            idle.decoders.extend((0..self.threads.available_permits()).map(|_| decoder.fork()));
        }
    }

    /// Tells whether the job's pages can be read before their turn at all: of a table the first page decides how wide all are, and
    /// records of child requests are typed after these.
    fn can_read(&self) -> bool {
        self.job.enrich.is_empty() && self.job.source.format == AnswerFormat::Json
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decodes the page of an answer whose turn hasn't come yet, where there is memory for it, and it is worth it.
    pub(super) async fn read(self: Arc<Self>, exchange: &Exchange, mut asked: Dispatched) -> Arrived {
        let answer = asked.answer();
        let worth_it = answer.status.is_success() && WORTH_IT.contains(&answer.body.len());
        if !worth_it || self.idle().decoders.is_empty() || !exchange.make_room(&mut asked) {
            return Arrived { asked, early: None };
        }
        // It is never closed.
        let permit = Arc::clone(&self.threads).acquire_owned().await.ok();
        let rules = Arc::clone(&exchange.rules);
        let work = move || {
            let page = self.page(asked.answer());
            // Whatever else it is, is said in its turn.
            let early = page.filter(|page| asked.is_page(&rules, &page.page().envelope));
            drop(permit);
            Arrived { asked, early }
        };
        match compute(work).await {
            Ok(answered) => answered,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    fn page(&self, answer: &RawAnswer) -> Option<EarlyPage> {
        let decoder = self.idle().decoders.pop()?;
        let context = PageVars { status: answer.status.as_u16(), headers: answer.headers.clone() };
        let (page, decoder) = decoder.decode_early(&answer.body, &context, self.job.rows.as_ref(), &self.fan_out)?;
        let mut idle = self.idle();
        if idle.version == decoder.version() {
            idle.decoders.push(decoder);
        }
        drop(idle);
        Some(page)
    }
}
