//! The rows of a slice on their way to the sinks while its pages still come, so that reading and writing take the time of one.
//!
//! Nothing depends on it. What was written early stands only where it is what would be written at the end: the same rows, in the
//! same schema, of the same version. As soon as a page shows that it won't be, the writing is given up, what it staged is removed,
//! and the slice is written from its spool. So does an error of the writing: it comes again there, if it is one that stays.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::{BooleanArray, RecordBatch};
use tokio::task::JoinHandle;

use super::RunError;
use super::collect::keep;
use super::land::Staged;
use crate::decode::{DecodeOptions, Widener};
use crate::extract::http::{Memory, Turn};
use crate::model::RecordSchema;
use crate::transform::Ordinals;

/// Bytes of decoded rows from which on a slice is written early. A smaller one is written in no time.
const WORTH_IT: usize = 4 * 1024 * 1024;

/// Bytes of rows that may wait for the thread that writes: twice as many as are encoded in one go; at least one page.
const WAITING: usize = 4 * 1024 * 1024;

/// The most pages that may wait.
const MOST_WAITING: usize = 64;

/// How many bytes of memory the writing of a slice takes for each of its largest batch of rows: it, what SQL makes of it, and what the
/// file's format makes of that.
pub(super) const LANDING: u64 = 3;

/// Writes rows of a schema, and stages the files.
type Write = Box<dyn FnOnce(RecordSchema, Rows) -> Result<Staged, RunError> + Send>;

/// How a slice would be written, if it turned out to have a certain schema.
pub(super) struct Opening {
    /// The only schema that it may have; any, where the job has none yet.
    pub(super) schema: Option<RecordSchema>,
    /// The version that the schema has, or will get.
    pub(super) version: u32,
    /// Tells whether rows of a schema go through one by one. What sorts or groups them goes by how they lie in memory, where equal
    /// rows may come out in another order; and it takes memory of its own.
    pub(super) streams: Box<dyn FnOnce(&RecordSchema) -> bool + Send>,
    /// Writes the rows. It blocks.
    pub(super) write: Write,
    /// What the writing takes its memory of.
    pub(super) memory: Arc<Memory>,
    /// How many bytes it takes beside the pages, however many they are.
    pub(super) takes: u64,
}

/// What goes to the thread that writes.
enum Fed {
    Rows(RecordBatch),
    /// All rows have come, and count.
    End,
}

/// The rows, as the thread that writes gets them.
pub(super) struct Rows(Receiver<Fed>);

impl Iterator for Rows {
    type Item = Result<RecordBatch, RunError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.0.recv() {
            Ok(Fed::Rows(batch)) => Some(Ok(batch)),
            Ok(Fed::End) => None,
            Err(_) => Some(Err(RunError::GivenUp)),
        }
    }
}

/// The writing of one slice, held by who reads its pages and by who commits it. Copies are one.
#[derive(Clone, Default)]
pub(super) struct Early(Arc<Mutex<Link>>);

#[derive(Default)]
struct Link {
    feed: Option<SyncSender<Fed>>,
    writing: Option<JoinHandle<Result<Staged, RunError>>>,
}

impl Early {
    /// Ends the writing, and waits until what it staged is gone. Does nothing where there is none.
    pub(super) async fn give_up(&self) {
        let writing = {
            let mut link = self.link();
            link.feed = None;
            link.writing.take()
        };
        if let Some(writing) = writing {
            // Whatever it says, the slice is written again.
            let _ = writing.await;
        }
    }

    fn link(&self) -> MutexGuard<'_, Link> {
        // What a panic leaves behind is whole: every change is one assignment.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells whether somebody takes it.
    fn send(&self, fed: Fed) -> bool {
        // Not locked while it waits.
        let taker = self.link().feed.clone();
        taker.is_some_and(|taker| taker.send(fed).is_ok())
    }
}

/// Gives the rows of a slice away as they come. It may wait for the thread that writes: not for an async thread.
pub(super) struct Feeder {
    early: Early,
    state: State,
    /// How the pages are decoded.
    options: DecodeOptions,
    /// The largest batch so far, in bytes.
    largest: usize,
    /// The rows given away.
    rows: u64,
    /// Those that weren't, up to the last page.
    left_out: Ordinals,
}

enum State {
    /// The slice is small yet.
    Small {
        opening: Opening,
        batches: Vec<(RecordBatch, RecordSchema)>,
        bytes: usize,
    },
    /// It is being written.
    Large {
        schema: RecordSchema,
        version: u32,
        widener: Widener,
    },
    GivenUp,
}

/// What was written of a slice before its end, with what it has to have for that to be all of it.
pub(super) struct Written {
    early: Early,
    schema: RecordSchema,
    version: u32,
}

impl Feeder {
    /// Waits for rows.
    pub(super) fn new(early: Early, opening: Opening, options: DecodeOptions) -> Self {
        let state = State::Small { opening, batches: Vec::new(), bytes: 0 };
        Self { early, state, options, largest: 0, rows: 0, left_out: Ordinals::default() }
    }

    /// Stops for good: a row that was given away won't land.
    pub(super) fn give_up(&mut self) {
        self.state = State::GivenUp;
        self.early.link().feed = None;
    }

    /// Takes the rows of a page, as it is held, numbered from `first` on, without those that are in one of the sets of `left_out`.
    pub(super) fn take(
        &mut self,
        batch: &RecordBatch,
        schema: &RecordSchema,
        first: u64,
        left_out: [&Ordinals; 2],
    ) -> Result<(), RunError> {
        if matches!(self.state, State::GivenUp) || batch.num_rows() == 0 {
            return Ok(());
        }
        let batch = self.without(batch, first, left_out)?;
        if batch.num_rows() == 0 {
            return Ok(());
        }
        self.rows += batch.num_rows() as u64;
        self.largest = self.largest.max(batch.get_array_memory_size());
        let goes_on = match &mut self.state {
            State::Small { opening, batches, bytes } => {
                let fits = opening.schema.as_ref().is_none_or(|wanted| wanted == schema);
                *bytes += batch.get_array_memory_size();
                batches.push((batch, schema.clone()));
                fits && (*bytes < WORTH_IT || self.begin(schema)?)
            }
            State::Large { schema: wanted, widener, .. } => {
                wanted == schema && self.early.send(Fed::Rows(widened(widener, &batch, schema)?))
            }
            State::GivenUp => false,
        };
        if !goes_on {
            self.give_up();
        }
        Ok(())
    }

    fn without(&mut self, batch: &RecordBatch, first: u64, left_out: [&Ordinals; 2]) -> Result<RecordBatch, RunError> {
        let end = first + batch.num_rows() as u64;
        if !left_out.iter().any(|set| set.any_in(first, end)) {
            return Ok(batch.clone());
        }
        let is_out = |ordinal: &u64| left_out.iter().any(|set| set.contains(*ordinal));
        self.left_out.extend((first..end).filter(is_out));
        let mask: BooleanArray = (first..end).map(|ordinal| Some(!is_out(&ordinal))).collect();
        keep(batch, &mask)
    }

    /// Begins to write, where there is memory for it: it isn't worth to make others wait.
    fn begin(&mut self, schema: &RecordSchema) -> Result<bool, RunError> {
        let State::Small { opening, batches, .. } = std::mem::replace(&mut self.state, State::GivenUp) else {
            return Ok(false);
        };
        if !(opening.streams)(schema) {
            return Ok(false);
        }
        let pages = (self.largest as u64).saturating_mul(LANDING);
        let mut room = opening.memory.room(Turn::later(), pages.saturating_add(opening.takes));
        if !room.reserve_expected(0) {
            return Ok(false);
        }
        // So many that reading goes on while a part of a row group is encoded.
        let (feed, rows) = sync_channel((WAITING / self.largest.max(1)).clamp(1, MOST_WAITING));
        let (to, write) = (schema.clone(), opening.write);
        {
            let mut link = self.early.link();
            link.feed = Some(feed);
            link.writing = Some(tokio::task::spawn_blocking(move || {
                let staged = write(to, Rows(rows));
                drop(room);
                staged
            }));
        }
        let widener = Widener::new(&self.options, schema.clone());
        for (batch, from) in batches {
            if !self.early.send(Fed::Rows(widened(&widener, &batch, &from)?)) {
                return Ok(false);
            }
        }
        self.state = State::Large { schema: schema.clone(), version: opening.version, widener };
        Ok(true)
    }

    /// Says what was written, if it is all that lands: `rows`, which are all but those of `left_out`.
    pub(super) fn end(self, rows: u64, left_out: &Ordinals) -> Option<Written> {
        match self.state {
            State::Large { schema, version, .. } if self.rows == rows && self.left_out.iter().eq(left_out.iter()) => {
                Some(Written { early: self.early, schema, version })
            }
            _ => None,
        }
    }
}

/// Brings rows of a page to the schema of the slice.
pub(super) fn widened(widener: &Widener, held: &RecordBatch, from: &RecordSchema) -> Result<RecordBatch, RunError> {
    widener.widen(held, from).map_err(|source| RunError::Decode { request: "the slice".to_owned(), source })
}

impl Written {
    /// Ends the writing. Returns what is staged, if that is the slice in the schema that it ended with.
    pub(super) async fn keep(self, schema: &RecordSchema, version: u32) -> Option<Staged> {
        if self.schema != *schema || self.version != version {
            return None;
        }
        let early = self.early.clone();
        // It waits while the thread that writes waits for a store.
        if !tokio::task::spawn_blocking(move || early.send(Fed::End)).await.unwrap_or_default() {
            return None;
        }
        let writing = self.early.link().writing.take()?;
        match writing.await {
            Ok(Ok(staged)) => Some(staged),
            Ok(Err(error)) => {
                tracing::debug!(error = %error.chain(), "the slice is written again");
                None
            }
            Err(lost) => {
                tracing::error!(error = %lost, "the writing of a slice ended early; it is written again");
                None
            }
        }
    }
}

#[cfg(test)]
#[path = "early_tests.rs"]
mod tests;
