//! The fold: how an entry changes the state, and which entries contradict it.

use chrono::{DateTime, Utc};

use super::LedgerError;
use super::entry::{
    Begin, Close, Closed, Entry, FORMAT, Generation, Landing, LeaseEvent, ParentRow, Record, SliceRef, Stage,
};
use super::lane::Lane;
use super::ranges;
use super::state::{Chain, JobState, KeyState, Landed, LedgerState, Replaced, SliceState, key_text};
use crate::model::{CursorValue, FanoutKey, JobName, SliceKind, Window};

/// Why an entry contradicts the state, for [`LedgerError::Corrupt`] and [`LedgerError::Refused`].
type Contradiction = String;

impl LedgerState {
    /// Folds the next entry in. Its records are ignored where the lane has a newer lease by now.
    ///
    /// After an error the state is half changed and must be thrown away.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Corrupt`] where the entry isn't the next one or contradicts what came before, such as a commit that
    /// overlaps a landed slice.
    pub fn apply(&mut self, entry: &Entry) -> Result<(), LedgerError> {
        self.try_apply(entry)
            .map_err(|why| LedgerError::Corrupt { object: super::log::entry_path(entry.sequence), why })
    }

    /// As [`Self::apply`], for a writer that wants to know before it writes.
    pub(super) fn try_apply(&mut self, entry: &Entry) -> Result<(), Contradiction> {
        if entry.sequence != self.sequence + 1 {
            return Err(format!("entry {} follows entry {}", entry.sequence, self.sequence));
        }
        debug_assert!(entry.format <= FORMAT, "the reader refuses newer formats");
        self.sequence = entry.sequence;
        if entry.sequence == 1 {
            self.id = Some(entry.nonce.clone());
        }
        if !self.admit(entry)? {
            return Ok(());
        }
        for record in &entry.records {
            self.record(entry, record)?;
        }
        if let Some(lane) = self.lanes.get_mut(&entry.lane) {
            lane.last_sequence = entry.sequence;
        }
        Ok(())
    }

    /// Tells whether the entry's writer held its lane; a new lease is noted.
    fn admit(&mut self, entry: &Entry) -> Result<bool, Contradiction> {
        let lane = self.lanes.entry(entry.lane).or_default();
        if let Some(Record::Lease(LeaseEvent::Taken { holder, adopts, ttl_ms, asked })) = entry.records.first() {
            if entry.lease <= lane.lease {
                return Ok(false);
            }
            if entry.lease != lane.lease + 1 {
                return Err(format!("lease {} of lane {} follows lease {}", entry.lease, entry.lane, lane.lease));
            }
            lane.lease = entry.lease;
            lane.holder = Some(holder.clone());
            lane.since = entry.at;
            lane.ttl_ms = *ttl_ms;
            lane.settling = !adopts.is_empty();
            for adopted in adopts {
                self.died(*adopted);
                self.adopt(*adopted, entry.lane);
            }
            self.died(entry.lane);
            self.started(entry, holder, asked.as_ref());
            return Ok(true);
        }
        if entry.lease > lane.lease {
            return Err(format!("lane {} has no lease {} yet", entry.lane, entry.lease));
        }
        Ok(entry.lease == lane.lease && lane.holder.is_some())
    }

    /// Makes what the dead lane `from` left open the business of `to`, and raises its lease so that it can't go on.
    fn adopt(&mut self, from: Lane, to: Lane) {
        let lane = self.lanes.entry(from).or_default();
        lane.lease += 1;
        lane.holder = None;
        lane.settling = false;
        let slices =
            self.jobs.values_mut().flat_map(|job| job.keys.values_mut()).flat_map(|key| key.slices.values_mut());
        for slice in slices {
            let lanes = slice.replaced.iter_mut().map(|gone| &mut gone.lane).chain([&mut slice.lane]);
            lanes.filter(|lane| **lane == Some(from)).for_each(|lane| *lane = Some(to));
        }
    }

    fn record(&mut self, entry: &Entry, record: &Record) -> Result<(), Contradiction> {
        match record {
            Record::Lease(event) => {
                self.lease(entry.lane, event);
                Ok(())
            }
            Record::Begin(begin) => self.begin(begin, entry.lane),
            Record::Stage(stage) => self.stage(stage),
            Record::Publish(landing) => self.publish(landing, entry.lane),
            Record::Commit(landing) => self.commit(landing, entry),
            Record::Cleaned(generation) => {
                self.cleaned(generation);
                Ok(())
            }
            Record::Void(generation) => self.void(generation),
            Record::Close(close) => self.close(close),
            Record::Series { job, key, series } => self.series(job, key.as_ref(), *series),
            Record::PinStart { job, instant } => {
                self.job(job).start.get_or_insert(*instant);
                Ok(())
            }
            Record::PinSchema { job, version } => {
                let job = self.job(job);
                job.schema_version = job.schema_version.max(Some(*version));
                Ok(())
            }
            Record::Parents { job, rows } => {
                self.job(job).see_parents(rows);
                Ok(())
            }
            Record::Fingerprint { job, fingerprint, accept, left, since } => {
                let job = self.job(job);
                job.fingerprint = Some(fingerprint.clone());
                if let Some(accept) = accept {
                    job.accept(*accept, left, *since, entry.lane)?;
                }
                Ok(())
            }
            Record::Superseded(generations) => {
                for generation in generations {
                    self.supersede(generation, entry.lane);
                }
                Ok(())
            }
            Record::Ran(summary) => {
                self.ran(entry, summary);
                Ok(())
            }
        }
    }

    fn lease(&mut self, lane: Lane, event: &LeaseEvent) {
        let lane = self.lanes.entry(lane).or_default();
        match event {
            LeaseEvent::Taken { .. } | LeaseEvent::Renewed => {}
            LeaseEvent::Settled => lane.settling = false,
            // A holder that leaves before it has settled leaves that to the next: `settling` stays.
            LeaseEvent::Released => lane.holder = None,
        }
    }

    fn begin(&mut self, begin: &Begin, lane: Lane) -> Result<(), Contradiction> {
        let at = SliceRef::of(&begin.slice);
        let slice = self.slice_mut(&at);
        if let Some(published) = &slice.published {
            return Err(format!("{at} begins while its generation {} is published", published.generation));
        }
        if begin.generation <= slice.highest {
            return Err(format!("{at} begins generation {} after generation {}", begin.generation, slice.highest));
        }
        slice.lane = Some(lane);
        slice.begun = Some(begin.clone());
        slice.staged.clear();
        Ok(())
    }

    fn stage(&mut self, stage: &Stage) -> Result<(), Contradiction> {
        let slice = self.slice_mut(&stage.at);
        if slice.begun.is_none() {
            return Err(format!("{} stages files but hasn't begun", stage.at));
        }
        slice.staged.extend_from_slice(&stage.places);
        Ok(())
    }

    fn publish(&mut self, landing: &Landing, lane: Lane) -> Result<(), Contradiction> {
        let key = self.key_mut(&landing.at.job, landing.at.key.as_ref());
        key.may_land(landing)?;
        let slice = key.slices.entry(landing.at.slice.clone()).or_default();
        slice.may_publish(landing)?;
        if landing.list.is_none() {
            return Err(format!("{} publishes no files", landing.at));
        }
        slice.highest = landing.generation;
        slice.lane = Some(lane);
        slice.staged.clear();
        slice.published = Some(landing.clone());
        if let SliceKind::Window(window) = landing.kind {
            key.publishing.push(window);
        }
        Ok(())
    }

    fn commit(&mut self, landing: &Landing, entry: &Entry) -> Result<(), Contradiction> {
        let job = self.job(&landing.at.job);
        let roots = job.places(&landing.roots);
        let left = job.left_places();
        let key = job.key_mut(landing.at.key.as_ref());
        let again = key.may_land(landing)?;
        key.published(&landing.kind);
        let slice = key.slices.entry(landing.at.slice.clone()).or_default();
        match slice.published.take() {
            Some(published) if published == *landing => {}
            Some(published) => {
                return Err(format!("{} commits other than its generation {}", landing.at, published.generation));
            }
            None if landing.list.is_none() => slice.may_publish(landing)?,
            None => return Err(format!("{} commits files that it hasn't published", landing.at)),
        }
        slice.highest = landing.generation;
        slice.lane = Some(entry.lane);
        slice.begun = None;
        slice.staged.clear();
        let before = slice.landed.replace(Landed::of(landing, roots, entry.at));
        slice.replaced.extend(before.and_then(|before| before.into_replaced(entry.lane)));
        slice.let_kept_go(&left, entry.lane);
        if !again {
            key.extend(landing)?;
        }
        if let SliceKind::Window(window) = landing.kind {
            self.ends.was_read(&landing.at.job, landing.at.key.as_ref(), window);
        }
        Ok(())
    }

    fn cleaned(&mut self, done: &Generation) {
        let left = self.job(&done.at.job).left_places();
        let slice = self.slice_mut(&done.at);
        let (gone, stay) = std::mem::take(&mut slice.replaced)
            .into_iter()
            .partition(|replaced: &Replaced| replaced.generation == done.generation);
        slice.replaced = stay;
        // What lies where a sink was removed has not been deleted.
        slice.kept.extend(Vec::into_iter(gone).filter_map(|gone| gone.kept_in(&left)));
    }

    fn void(&mut self, void: &Generation) -> Result<(), Contradiction> {
        let key = self.key_mut(&void.at.job, void.at.key.as_ref());
        let slice = key.slices.entry(void.at.slice.clone()).or_default();
        if slice.published.as_ref().is_none_or(|published| published.generation != void.generation) {
            return Err(format!("{} voids generation {}, which isn't published", void.at, void.generation));
        }
        let published = slice.published.take();
        if let Some(begun) = &mut slice.begun {
            begun.generation = void.generation + 1;
        }
        if let Some(published) = published {
            key.published(&published.kind);
        }
        Ok(())
    }

    fn close(&mut self, close: &Close) -> Result<(), Contradiction> {
        let slice = self.slice_mut(&close.at);
        if slice.published.is_some() {
            return Err(format!("{} closes while it is published", close.at));
        }
        slice.begun = None;
        slice.staged.clear();
        let mut read = None;
        if let (Closed::Unchanged, Some(landed)) = (&close.why, &mut slice.landed) {
            landed.again = false;
            read = landed.window();
        }
        if *slice == (SliceState { lane: slice.lane, ..SliceState::default() }) {
            self.key_mut(&close.at.job, close.at.key.as_ref()).slices.remove(&close.at.slice);
        }
        if let Some(window) = read {
            self.ends.was_read(&close.at.job, close.at.key.as_ref(), window);
        }
        Ok(())
    }

    fn series(&mut self, job: &JobName, key: Option<&FanoutKey>, series: u32) -> Result<(), Contradiction> {
        let chain = &mut self.key_mut(job, key).chain;
        if let Some(before) = chain.as_ref().filter(|before| before.series >= series) {
            return Err(format!("series {series} of job {job} follows series {}", before.series));
        }
        *chain = Some(Chain { series, end: None, last: None });
        Ok(())
    }

    fn job(&mut self, job: &JobName) -> &mut JobState {
        self.jobs.entry(job.clone()).or_default()
    }

    fn key_mut(&mut self, job: &JobName, key: Option<&FanoutKey>) -> &mut KeyState {
        self.job(job).key_mut(key)
    }

    pub(super) fn slice_mut(&mut self, at: &SliceRef) -> &mut SliceState {
        self.key_mut(&at.job, at.key.as_ref()).slices.entry(at.slice.clone()).or_default()
    }
}

impl JobState {
    fn key_mut(&mut self, key: Option<&FanoutKey>) -> &mut KeyState {
        self.keys
            .entry(key_text(key).to_owned())
            .or_insert_with(|| KeyState { key: key.cloned(), ..KeyState::default() })
    }

    /// Returns the places of `roots` in the job's roots, which new ones join.
    fn places(&mut self, roots: &[String]) -> Vec<usize> {
        roots
            .iter()
            .map(|root| {
                self.roots.iter().position(|known| known == root).unwrap_or_else(|| {
                    self.roots.push(root.clone());
                    self.roots.len() - 1
                })
            })
            .collect()
    }

    fn see_parents(&mut self, rows: &[ParentRow]) {
        let before = self.parents.replace(rows.to_vec()).unwrap_or_default();
        self.retired.extend(before.into_iter().map(|row| row.key));
        for row in rows {
            self.retired.remove(&row.key);
        }
    }
}

impl KeyState {
    /// Tells whether the slice has landed before, as the same part of the data; if not, that part must be free.
    fn may_land(&self, landing: &Landing) -> Result<bool, Contradiction> {
        let landed = self.slices.get(&landing.at.slice).and_then(|slice| slice.landed.as_ref());
        if let Some(landed) = landed {
            return if landed.is_the_part(&landing.kind) {
                Ok(true)
            } else {
                Err(format!("{} lands as another part of the data than before", landing.at))
            };
        }
        match &landing.kind {
            SliceKind::Window(window) => self.is_free(*window).map_err(|why| format!("{} {why}", landing.at))?,
            SliceKind::Incremental { series, start, end } => {
                self.is_next(*series, start, end.as_ref()).map_err(|why| format!("{} {why}", landing.at))?;
            }
            SliceKind::Snapshot { .. } => {}
        }
        Ok(false)
    }

    fn is_free(&self, window: Window) -> Result<(), Contradiction> {
        let at = self.ranges.partition_point(|range| range.to <= window.from);
        match self.ranges.get(at) {
            Some(next) if next.window().overlaps(&window) => {
                Err(format!("overlaps what has landed from {} to {}", next.from, next.to))
            }
            _ => Ok(()),
        }
    }

    fn is_next(&self, series: u32, start: &CursorValue, end: Option<&CursorValue>) -> Result<(), Contradiction> {
        if end.is_none() {
            return Err("lands without its last cursor".to_owned());
        }
        match &self.chain {
            Some(chain) if chain.series != series => Err(format!("isn't of series {}, the present one", chain.series)),
            Some(Chain { end: Some(end), .. }) if end != start => {
                Err(format!("starts after {}, but what has landed ends at {}", start.text(), end.text()))
            }
            _ => Ok(()),
        }
    }

    /// Notes that a publish is over.
    fn published(&mut self, kind: &SliceKind) {
        if let SliceKind::Window(window) = kind {
            self.publishing.retain(|open| open != window);
        }
    }

    /// Adds a part that [`Self::may_land`] found to be free.
    fn extend(&mut self, landing: &Landing) -> Result<(), Contradiction> {
        match &landing.kind {
            SliceKind::Window(window) => ranges::insert(&mut self.ranges, *window)
                .map_err(|other| format!("{} overlaps {} to {}", landing.at, other.from, other.to)),
            SliceKind::Incremental { series, end, .. } => {
                self.chain = Some(Chain { series: *series, end: end.clone(), last: Some(landing.at.slice.clone()) });
                Ok(())
            }
            SliceKind::Snapshot { .. } => Ok(()),
        }
    }
}

impl SliceState {
    fn may_publish(&self, landing: &Landing) -> Result<(), Contradiction> {
        let at = &landing.at;
        if let Some(published) = &self.published {
            return Err(format!("{at} publishes while its generation {} is published", published.generation));
        }
        if self.begun.as_ref().is_none_or(|begun| begun.generation != landing.generation) {
            return Err(format!("{at} publishes generation {}, which hasn't begun", landing.generation));
        }
        let landed = self.landed.as_ref().map(|landed| landed.generation);
        if landed != landing.replaces {
            return Err(format!("{at} replaces generation {:?}, but {landed:?} has landed", landing.replaces));
        }
        Ok(())
    }
}

impl Landed {
    fn of(landing: &Landing, roots: Vec<usize>, committed: DateTime<Utc>) -> Self {
        Self {
            generation: landing.generation,
            kind: landing.kind.clone(),
            rows: landing.rows,
            records: landing.records,
            good: landing.good,
            distinct: landing.reconciliation.distinct,
            verdict: landing.reconciliation.verdict,
            largest_page: landing.reconciliation.largest_page,
            rows_at_end: landing.reconciliation.rows_at_end,
            digest: landing.digest.clone(),
            schema_version: landing.schema_version,
            committed,
            list: landing.list.clone(),
            roots,
            again: false,
        }
    }

    /// Tells whether `kind` is the same part of the data: the same window, the same `(start, end]`, the same label.
    fn is_the_part(&self, kind: &SliceKind) -> bool {
        match (&self.kind, kind) {
            (SliceKind::Snapshot { label, .. }, SliceKind::Snapshot { label: other, .. }) => label == other,
            (landed, kind) => landed == kind,
        }
    }

    /// Returns what is to be deleted of it by `lane`.
    pub(super) fn into_replaced(self, lane: Lane) -> Option<Replaced> {
        Some(Replaced { generation: self.generation, list: self.list?, lane: Some(lane), roots: self.roots })
    }
}
