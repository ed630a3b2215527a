//! What changes in the folder: files that come, change and go.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::daemon::{Daemon, Event};
use super::files::{self, FileDigest};
use super::pipelines::{Entry, FileState};
use super::view::FileError;
use super::{Skip, Step, Turn};
use crate::ledger::{Ledger, LedgerError, Pause, Settled};
use crate::model::PipelineName;
use crate::objects;
use crate::pipeline::file::CatchUp;
use crate::pipeline::spec::Pipeline;

impl Daemon {
    /// Looks at the folder, and takes what changed. Where it can't be read all stays as it is.
    pub(super) async fn reload(&mut self) {
        let folder = self.config.folder.clone();
        let found = match tokio::task::spawn_blocking(move || files::scan(&folder)).await {
            Ok(found) => found.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match found {
            Ok(found) => {
                self.note_folder(None);
                self.changes(found).await;
            }
            Err(error) => {
                let folder = self.config.folder.display();
                self.note_folder(Some(format!("the folder {folder} can't be read: {error}")));
            }
        }
        self.take_up().await;
    }

    /// Notes whether the folder can be read, and tells it where that is news.
    fn note_folder(&mut self, unread: Option<String>) {
        if self.unread == unread {
            return;
        }
        if let Some(error) = &unread {
            tracing::error!(error, "what was read before goes on; new and changed files aren't taken up");
        }
        self.tell(Event::Folder(unread.clone()));
        self.unread = unread;
    }

    async fn changes(&mut self, found: BTreeMap<PathBuf, FileDigest>) {
        let gone: Vec<PathBuf> = self.files.keys().filter(|file| !found.contains_key(*file)).cloned().collect();
        for file in gone {
            if let Some(name) = self.files.remove(&file).and_then(|state| state.pipeline) {
                self.remove(&name, &file);
            }
        }
        let mut read = Vec::new();
        for (file, digest) in found {
            let known = self.files.get(&file);
            // What was wrong may lie in another file: a secret, or a pipeline of the same name.
            if known.is_some_and(|known| known.digest == digest && known.error.is_none()) {
                continue;
            }
            let loaded = files::load(&self.load, &file).await;
            read.push((file, digest, loaded));
        }
        self.take_files(read);
    }

    /// Takes files that were read. Which names they have is known of all before one is taken: two may have swapped theirs.
    fn take_files(&mut self, read: Vec<(PathBuf, FileDigest, Result<Pipeline, String>)>) {
        for (file, _, loaded) in &read {
            if let Some(known) = self.files.get_mut(file) {
                known.names = loaded.as_ref().map_or_else(|_| known.pipeline.clone(), |read| Some(read.name.clone()));
            }
        }
        for (file, digest, loaded) in read {
            self.loaded(&file, digest, loaded);
        }
    }

    /// Takes a file that was read.
    fn loaded(&mut self, file: &Path, digest: FileDigest, loaded: Result<Pipeline, String>) {
        let before = self.files.remove(file);
        let had = before.as_ref().and_then(|before| before.pipeline.clone());
        let names = loaded.as_ref().map_or_else(|_| had.clone(), |pipeline| Some(pipeline.name.clone()));
        let result = loaded.and_then(|pipeline| self.adopt(file, pipeline));
        let (pipeline, error) = match result {
            Ok(name) => {
                // Another file that was read with this one may have it from now on.
                if let Some(had) = had
                    .filter(|had| *had != name && !self.files.values().any(|other| other.names.as_ref() == Some(had)))
                {
                    self.remove(&had, file);
                }
                (Some(name), None)
            }
            // Another file may have it by now.
            Err(error) => {
                (had.filter(|had| self.entries.get(had).is_some_and(|entry| entry.file == file)), Some(error))
            }
        };
        let changed = before.as_ref().is_none_or(|before| before.digest != digest || before.error != error);
        self.files.insert(file.to_owned(), FileState { digest, names, pipeline: pipeline.clone(), error });
        match (self.refused(file).filter(|_| changed), pipeline) {
            (Some(refused), _) => self.tell(Event::Refused(refused)),
            // Of one that is new more is known once its ledger was read.
            (None, Some(name)) if changed && self.entries.get(&name).is_some_and(|entry| entry.turn.is_some()) => {
                self.tell_of(&name);
            }
            _ => {}
        }
    }

    /// Says why a file can't be used; nothing where it can.
    pub(super) fn refused(&self, file: &Path) -> Option<FileError> {
        let state = self.files.get(file)?;
        let error = state.error.clone()?;
        let namesake = state.names.as_ref().and_then(|name| self.entries.get(name)).map(|entry| entry.file.clone());
        let other = namesake.filter(|other| other != file);
        Some(FileError { file: file.to_owned(), error, other, goes_on: state.pipeline.is_some() })
    }

    fn tell_of(&self, name: &PipelineName) {
        if let Some(entry) = self.entries.get(name) {
            let next = entry.next(self.env.clock.now()).map(|(_, begins)| begins);
            self.tell(Event::Loaded { file: entry.file.clone(), pipeline: name.clone(), next });
        }
    }

    fn adopt(&mut self, file: &Path, pipeline: Pipeline) -> Result<PipelineName, String> {
        let name = pipeline.name.clone();
        if let Some(entry) = self.entries.get_mut(&name) {
            let still = self.files.get(&entry.file).is_some_and(|other| other.names.as_ref() == Some(&name));
            if entry.file != file && !entry.gone && still {
                return Err(format!(
                    "the pipeline `{name}` is in {} already: give one of them another name, or remove it",
                    entry.file.display()
                ));
            }
            let settled = entry.update(file.to_owned(), pipeline, self.env.clock.now());
            self.settle(&name, settled);
            return Ok(name);
        }
        let ledger = Ledger::open(&self.config.state, name.clone(), Arc::clone(&self.env.clock), &self.env.stores);
        let ledger = ledger.map_err(|error| objects::chain(&error))?;
        self.entries.insert(name.clone(), Entry::new(file.to_owned(), pipeline, ledger));
        Ok(name)
    }

    /// Removes a pipeline whose file is gone, once its run has ended.
    fn remove(&mut self, name: &PipelineName, file: &Path) {
        let Some(entry) = self.entries.get_mut(name).filter(|entry| entry.file == file) else { return };
        self.starts.forget(name);
        if entry.running.is_some() {
            entry.gone = true;
        } else {
            self.entries.remove(name);
        }
        self.tell(Event::Gone(name.clone()));
    }

    /// Takes up the schedules of pipelines that are new: their ledgers know where they stand.
    async fn take_up(&mut self) {
        let fresh: Vec<PipelineName> =
            self.entries.iter().filter(|(_, entry)| entry.turn.is_none()).map(|(name, _)| name.clone()).collect();
        for name in fresh {
            let Some(entry) = self.entries.get_mut(&name) else { continue };
            match remembered(&entry.ledger).await {
                Ok((noted, pause)) => {
                    entry.paused = pause.map(|pause| pause.at);
                    let catch_up =
                        entry.pipeline.schedule.as_ref().map(|schedule| schedule.catch_up).unwrap_or_default();
                    let (table, now) = (entry.table.as_ref(), self.env.clock.now());
                    let paused = entry.paused.is_some();
                    let catch_up = if paused { CatchUp::None } else { catch_up };
                    let (turn, step, settled) = Turn::begin(entry.believed(noted), now, table, catch_up);
                    let step = match step {
                        Some(Step::Skipped(instant, _)) if paused => Some(Step::Skipped(instant, Skip::Paused)),
                        step => step,
                    };
                    entry.turn = Some(turn);
                    entry.trouble = None;
                    self.tell_of(&name);
                    self.go_on(&name, step, settled);
                }
                Err(error) => {
                    let trouble = objects::chain(&error);
                    if entry.trouble.as_ref() != Some(&trouble) {
                        entry.trouble = Some(trouble.clone());
                        self.tell(Event::Trouble(name, trouble));
                    }
                }
            }
        }
    }
}

async fn remembered(ledger: &Ledger) -> Result<(Option<Settled>, Option<Pause>), LedgerError> {
    Ok((ledger.settled().await?, ledger.paused().await?))
}
