//! What changes in the folder: files that come, change and go.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::daemon::{Daemon, Event};
use super::files::{self, FileDigest, Found, Read, Refusal, Stamps};
use super::looks::{Of, SILENT, Seen, silence};
use super::pipelines::{Entry, FileState};
use super::view::FileError;
use crate::ledger::Ledger;
use crate::model::PipelineName;
use crate::objects;
use crate::pipeline::spec::Pipeline;

/// A file that is new, or another one.
struct News {
    file: PathBuf,
    digest: FileDigest,
    loaded: Result<Pipeline, Refusal>,
    stamps: Stamps,
}

impl Daemon {
    /// Begins to look at the folder, where that is wanted and it isn't looked at already.
    pub(super) fn look_at_folder(&mut self) {
        if !self.look_again || self.looks.is_on(&Of::Folder) {
            return;
        }
        self.look_again = false;
        let known = self.files.iter().map(|(file, state)| (file.clone(), state.known())).collect();
        let busy = self.looks.files().map(|(file, _, sight)| (file.to_owned(), Arc::clone(sight))).collect();
        let (folder, load, now) = (self.config.folder.clone(), Arc::clone(&self.load), self.env.clock.now().into());
        let look = async move { Seen::Folder(files::look(folder, known, busy, load, now).await) };
        self.looks.begin(Of::Folder, look);
    }

    /// Looks at the folder as if nothing were known of files that were refused, and once more at all that hasn't answered.
    pub(super) fn look_anew(&mut self) {
        self.looks.forget(|_, since| since >= SILENT);
        self.files.values_mut().for_each(|state| state.stamps = None);
        self.look_again = true;
    }

    /// Takes what changed in the folder. Where it can't be read all stays as it is.
    pub(super) fn take_folder(&mut self, found: Result<Found, String>) {
        self.looked = true;
        match found {
            Ok(found) => {
                self.note_folder(None);
                self.changes(found);
            }
            Err(error) => {
                let folder = self.config.folder.display();
                self.note_folder(Some(format!("the folder {folder} can't be read: {error}")));
            }
        }
    }

    /// Tells of a folder that doesn't answer.
    pub(super) fn folder_is_silent(&mut self) {
        let what = format!("the folder {}", self.config.folder.display());
        self.note_folder(Some(format!("{what} can't be read: {}", silence("it", SILENT))));
    }

    /// Tells of a file that doesn't answer.
    pub(super) fn file_is_silent(&self, file: &Path) {
        self.tell(Event::Refused(self.silent_file(file, SILENT)));
    }

    fn silent_file(&self, file: &Path, since: Duration) -> FileError {
        let why = silence(&file.display().to_string(), since);
        let error =
            format!("error: {why}\n  = help: see whether it, or a file that it names with ${{file:...}}, can be read");
        let goes_on = self.files.get(file).is_some_and(|state| state.pipeline.is_some());
        FileError { file: file.to_owned(), error, other: None, goes_on }
    }

    /// Returns the files that can't be used, by path.
    pub(super) fn all_refused(&self) -> Vec<FileError> {
        let silent = self.looks.files().filter(|(_, since, _)| *since >= SILENT);
        let silent = silent.map(|(file, since, _)| (file.to_owned(), self.silent_file(file, since)));
        let refused = self.files.keys().filter_map(|file| Some((file.clone(), self.refused(file)?)));
        refused.chain(silent).collect::<BTreeMap<_, _>>().into_values().collect()
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

    fn changes(&mut self, found: Found) {
        let gone: Vec<PathBuf> = self.files.keys().filter(|file| !found.files.contains(*file)).cloned().collect();
        for file in gone {
            if let Some(name) = self.files.remove(&file).and_then(|state| state.pipeline) {
                self.remove(&name, &file);
            }
        }
        self.looks.forget(|of, _| matches!(of, Of::File(file) if !found.files.contains(file)));
        for slow in found.slow {
            let (file, since, sight) = (slow.file.clone(), slow.since, Arc::clone(&slow.sight));
            let look = async move { Seen::File(slow.file.clone(), slow.read().await) };
            self.looks.go_on(Of::File(file), since, sight, look);
        }
        // One that hung and is another one by now was read all the same.
        let is_new =
            |file: &Path| found.read.iter().any(|(other, read)| other == file && matches!(read, Read::New { .. }));
        self.looks.forget(|of, _| matches!(of, Of::File(file) if is_new(file)));
        let read = found.read.into_iter().filter_map(|(file, read)| self.news(file, read)).collect();
        self.take_files(read);
    }

    /// Takes a file that was slow, on its own.
    pub(super) fn take_slow(&mut self, file: PathBuf, read: Read) {
        if let Some(news) = self.news(file, read) {
            self.take_files(vec![news]);
        }
    }

    /// Says what a file has that wasn't taken from it yet. What kept it back may lie in another file: a pipeline of the same name.
    fn news(&mut self, file: PathBuf, read: Read) -> Option<News> {
        match read {
            Read::New { digest, loaded, stamps } => Some(News { file, digest, loaded, stamps }),
            Read::Same => {
                let state = self.files.get_mut(&file)?;
                let loaded = Ok(state.kept_back.take()?);
                Some(News { file, digest: state.digest, loaded, stamps: None })
            }
        }
    }

    /// Takes files that were read. Which names they have is known of all before one is taken: two may have swapped theirs.
    fn take_files(&mut self, read: Vec<News>) {
        for News { file, loaded, .. } in &read {
            if let Some(known) = self.files.get_mut(file) {
                known.names = loaded.as_ref().map_or_else(|_| known.pipeline.clone(), |read| Some(read.name.clone()));
            }
        }
        for news in read {
            self.loaded(news);
        }
    }

    /// Takes a file that was read.
    fn loaded(&mut self, news: News) {
        let News { file, digest, loaded, stamps } = news;
        let before = self.files.remove(&file);
        let had = before.as_ref().and_then(|before| before.pipeline.clone());
        let names = loaded.as_ref().map_or_else(|_| had.clone(), |pipeline| Some(pipeline.name.clone()));
        let mut kept_back = None;
        let result = loaded
            .map_err(|refusal| refusal.why)
            .and_then(|pipeline| self.adopt(&file, &pipeline).inspect_err(|_| kept_back = Some(pipeline)));
        let (pipeline, error) = match result {
            Ok(name) => {
                // Another file that was read with this one may have it from now on.
                if let Some(had) = had
                    .filter(|had| *had != name && !self.files.values().any(|other| other.names.as_ref() == Some(had)))
                {
                    self.remove(&had, &file);
                }
                (Some(name), None)
            }
            // Another file may have it by now.
            Err(error) => {
                (had.filter(|had| self.entries.get(had).is_some_and(|entry| entry.file == file)), Some(error))
            }
        };
        let changed = before.as_ref().is_none_or(|before| before.digest != digest || before.error != error);
        let state = FileState { digest, names, pipeline: pipeline.clone(), error, stamps, kept_back };
        self.files.insert(file.clone(), state);
        match (self.refused(&file).filter(|_| changed), pipeline) {
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

    pub(super) fn tell_of(&self, name: &PipelineName) {
        if let Some(entry) = self.entries.get(name) {
            let next = entry.next().map(|(_, begins)| begins);
            self.tell(Event::Loaded { file: entry.file.clone(), pipeline: name.clone(), next });
        }
    }

    fn adopt(&mut self, file: &Path, pipeline: &Pipeline) -> Result<PipelineName, String> {
        let name = pipeline.name.clone();
        if let Some(entry) = self.entries.get_mut(&name) {
            let still = self.files.get(&entry.file).is_some_and(|other| other.names.as_ref() == Some(&name));
            if entry.file != file && !entry.gone && still {
                return Err(format!(
                    "the pipeline `{name}` is in {} already: give one of them another name, or remove it",
                    entry.file.display()
                ));
            }
            let settled = entry.update(file.to_owned(), pipeline.clone(), self.env.clock.now());
            self.settle(&name, settled);
            return Ok(name);
        }
        let ledger = Ledger::open(&self.config.state, name.clone(), Arc::clone(&self.env.clock), &self.env.stores);
        let ledger = ledger.map_err(|error| objects::chain(&error))?;
        self.entries.insert(name.clone(), Entry::new(file.to_owned(), pipeline.clone(), ledger));
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
}
