//! The part of a state that some records touch: a writer checks them on it before it writes them.

use super::entry::{Landing, Record, SliceRef};
use super::state::{JobState, KeyState, LedgerState, key_text};
use crate::model::{FanoutKey, JobName, SliceKind};

impl LedgerState {
    /// Copies what folding `records` reads, so that applying them to the copy fails exactly where it would fail here.
    ///
    /// The whole state may hold a hundred thousand slices; a group of records touches a few.
    pub(super) fn excerpt<'a>(&self, records: impl IntoIterator<Item = &'a Record>) -> Self {
        let mut part =
            Self { sequence: self.sequence, id: self.id.clone(), lanes: self.lanes.clone(), ..Self::default() };
        for record in records {
            match touched(record) {
                Touched::Slice(at) => self.copy_slice(&at, &mut part),
                Touched::Key(job, key) => self.copy_key(job, key, &mut part),
                Touched::Job(job) => {
                    if let Some(state) = self.jobs.get(job) {
                        part.jobs.insert(job.clone(), state.clone());
                    }
                }
                Touched::Nothing => {}
            }
        }
        part
    }

    /// Says which of `records`, which are folded in, publishes a window that another publish which is still open has a part of: only one
    /// of the two could be committed. A log that has both, as earlier versions wrote them, is read all the same.
    pub(super) fn collision<'a>(&self, records: impl IntoIterator<Item = &'a Record>) -> Option<String> {
        let publishes = records.into_iter().filter_map(|record| match record {
            Record::Publish(landing) => Some(landing),
            _ => None,
        });
        publishes.filter(|landing| self.collides(landing)).map(|landing| &landing.at).next().map(|at| {
            format!("{at} publishes a part of the data that another slice has published, and not committed yet")
        })
    }

    fn collides(&self, landing: &Landing) -> bool {
        let (SliceKind::Window(window), Some(key)) =
            (&landing.kind, self.key(&landing.at.job, landing.at.key.as_ref()))
        else {
            return false;
        };
        key.publishing.iter().filter(|open| open.overlaps(window)).count() > 1
    }

    fn copy_slice(&self, at: &SliceRef, part: &mut Self) {
        self.copy_key(&at.job, at.key.as_ref(), part);
        let text = key_text(at.key.as_ref());
        let slice = self.slice(at).cloned();
        let key = part.jobs.get_mut(&at.job).and_then(|job| job.keys.get_mut(text));
        if let (Some(key), Some(slice)) = (key, slice) {
            key.slices.insert(at.slice.clone(), slice);
        }
    }

    fn copy_key(&self, job: &JobName, key: Option<&FanoutKey>, part: &mut Self) {
        let Some(state) = self.jobs.get(job) else { return };
        let Some(found) = state.keys.get(key_text(key)) else { return };
        let copy = part.jobs.entry(job.clone()).or_insert_with(|| JobState {
            roots: state.roots.clone(),
            schema_version: state.schema_version,
            start: state.start,
            ..JobState::default()
        });
        copy.keys.entry(key_text(key).to_owned()).or_insert_with(|| KeyState {
            key: found.key.clone(),
            ranges: found.ranges.clone(),
            chain: found.chain.clone(),
            publishing: found.publishing.clone(),
            ..KeyState::default()
        });
    }
}

enum Touched<'a> {
    Slice(SliceRef),
    Key(&'a JobName, Option<&'a FanoutKey>),
    Job(&'a JobName),
    Nothing,
}

fn touched(record: &Record) -> Touched<'_> {
    match record {
        Record::Begin(begin) => Touched::Slice(SliceRef::of(&begin.slice)),
        Record::Stage(stage) => Touched::Slice(stage.at.clone()),
        Record::Publish(landing) | Record::Commit(landing) => Touched::Slice(landing.at.clone()),
        Record::Cleaned(generation) | Record::Void(generation) => Touched::Slice(generation.at.clone()),
        Record::Close(close) => Touched::Slice(close.at.clone()),
        Record::Series { job, key, .. } => Touched::Key(job, key.as_ref()),
        Record::Fingerprint { job, accept: Some(_), .. } => Touched::Job(job),
        // These can't contradict anything.
        Record::Lease(_)
        | Record::PinStart { .. }
        | Record::PinSchema { .. }
        | Record::Parents { .. }
        | Record::Superseded(_)
        | Record::Ran(_)
        | Record::Fingerprint { .. } => Touched::Nothing,
    }
}
