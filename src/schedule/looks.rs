//! What the daemon reads and writes beside its loop, which waits for none of it: a folder, a file or a ledger that doesn't answer holds
//! up neither another pipeline nor the end of the process.
//!
//! Nothing is given up: a store has limits of its own, and a thread that hangs in a disk can't be ended. So nothing is asked twice at a
//! time either, unless it has changed or a person wants it (SIGHUP), and what hangs costs one thread for each file and ledger.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;

use super::files::{Found, Read, Refusal, Sight};
use super::ledgers::Answer;
use crate::model::PipelineName;
use crate::pipeline::spec::Pipeline;

/// How long an answer may take before that is a trouble which is told: as long as a request about the state.
pub(super) const SILENT: Duration = Duration::from_secs(15);

/// How long an answer takes that isn't slow.
pub(super) const PROMPT: Duration = Duration::from_secs(2);

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Of {
    /// The folder.
    Folder,
    /// A file, and what it names with `${file:...}`.
    File(PathBuf),
    /// The ledger of a pipeline.
    Ledger(PipelineName),
}

/// What was seen.
pub(super) enum Seen {
    /// The folder, or why it can't be read.
    Folder(Result<Found, String>),
    /// A file that was slow.
    File(PathBuf, Read),
    /// The file of a pipeline that is about to run.
    Fresh(PipelineName, Result<Pipeline, Refusal>),
    /// What a ledger said.
    Ledger(PipelineName, Answer),
}

/// What is under way.
#[derive(Default)]
pub(super) struct Looks {
    tasks: JoinSet<Seen>,
    under_way: HashMap<Id, UnderWay>,
}

struct UnderWay {
    of: Of,
    since: Instant,
    told: bool,
    /// How it looked when it was begun; of files only.
    sight: Sight,
}

impl Looks {
    /// Begins to look at something.
    pub(super) fn begin(&mut self, of: Of, look: impl Future<Output = Seen> + Send + 'static) {
        self.go_on(of, Instant::now(), Sight::default(), look);
    }

    /// Goes on with a look that began at `since`. What comes of one before it doesn't count any more.
    pub(super) fn go_on(
        &mut self,
        of: Of,
        since: Instant,
        sight: Sight,
        look: impl Future<Output = Seen> + Send + 'static,
    ) {
        self.forget(|other, _| *other == of);
        let id = self.tasks.spawn(look).id();
        self.under_way.insert(id, UnderWay { of, since, told: false, sight });
    }

    /// Has what comes of some looks not count any more; they are chosen by what they are of, and how long they take.
    pub(super) fn forget(&mut self, which: impl Fn(&Of, Duration) -> bool) {
        self.under_way.retain(|_, one| !which(&one.of, one.since.elapsed()));
    }

    /// Waits for what is seen next; for ever where nothing is under way.
    pub(super) async fn next(&mut self) -> Seen {
        loop {
            let Some(done) = self.tasks.join_next_with_id().await else { return std::future::pending().await };
            if let Some(seen) = self.done(done) {
                return seen;
            }
        }
    }

    /// Returns something that has been seen by now.
    pub(super) fn ready(&mut self) -> Option<Seen> {
        while let Some(done) = self.tasks.try_join_next_with_id() {
            if let Some(seen) = self.done(done) {
                return Some(seen);
            }
        }
        None
    }

    fn done(&mut self, done: Result<(Id, Seen), JoinError>) -> Option<Seen> {
        match done {
            Ok((id, seen)) => self.under_way.remove(&id).map(|_| seen),
            Err(error) => {
                let of = self.under_way.remove(&error.id()).map(|lost| lost.of);
                tracing::error!(?of, %error, "a look at it is lost, and made again; this is a bug of Tidegate");
                None
            }
        }
    }

    /// Tells whether nothing is under way.
    #[cfg(test)]
    pub(super) fn are_over(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Returns how long something has been under way; none where it isn't.
    pub(super) fn since(&self, of: &Of) -> Option<Duration> {
        self.all(|other| other == of).map(|one| one.since.elapsed()).max()
    }

    /// Tells whether something is under way.
    pub(super) fn is_on(&self, of: &Of) -> bool {
        self.all(|other| other == of).next().is_some()
    }

    /// Returns how long something hasn't answered, where that is a trouble.
    pub(super) fn silent(&self, of: &Of) -> Option<Duration> {
        self.since(of).filter(|since| *since >= SILENT)
    }

    /// Returns the files that are being read.
    pub(super) fn files(&self) -> impl Iterator<Item = (&Path, Duration, &Sight)> {
        self.under_way.values().filter_map(|one| match &one.of {
            Of::File(file) => Some((file.as_path(), one.since.elapsed(), &one.sight)),
            _ => None,
        })
    }

    /// Returns how many ledgers are asked that may answer any moment.
    pub(super) fn ledgers(&self) -> usize {
        self.all(|of| matches!(of, Of::Ledger(_))).filter(|one| one.since.elapsed() < PROMPT).count()
    }

    /// Returns what hasn't answered for so long by now that it is to be told, each once.
    pub(super) fn newly_silent(&mut self) -> Vec<Of> {
        let silent = self.under_way.values_mut().filter(|one| !one.told && one.since.elapsed() >= SILENT);
        silent
            .map(|one| {
                one.told = true;
                one.of.clone()
            })
            .collect()
    }

    fn all(&self, is: impl Fn(&Of) -> bool) -> impl Iterator<Item = &UnderWay> {
        self.under_way.values().filter(move |one| is(&one.of))
    }
}

/// Says that something hasn't answered.
pub(super) fn silence(what: &str, since: Duration) -> String {
    format!("{what} hasn't answered for {} s", since.as_secs())
}
