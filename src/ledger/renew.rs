//! What an accepted edit does to what has landed: which of it is due again, what readers see meanwhile, and what may go.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::entry::{Accept, Generation, SliceRef};
use super::lane::Lane;
use super::ranges::{self, LandedRange};
use super::state::{Chain, JobState, KeyState, Landed, LedgerState, Replaced, SliceState};
use crate::model::{FanoutKey, JobName, SliceKind, Window};

impl JobState {
    /// Does what an accepted edit says; `lane` deletes what that lets go.
    pub(super) fn accept(
        &mut self,
        accept: Accept,
        left: &[String],
        since: Option<DateTime<Utc>>,
        lane: Lane,
    ) -> Result<(), String> {
        self.left = left.iter().cloned().collect();
        if matches!(accept, Accept::Reland | Accept::Restart) {
            self.let_orphans_go(lane);
        }
        self.since = since.or(self.since);
        if accept == Accept::Sinks {
            return Ok(());
        }
        for slice in self.keys.values_mut().flat_map(|key| key.slices.values_mut()) {
            if let Some(landed) = &mut slice.landed {
                landed.again = accept == Accept::Reland;
            }
        }
        match accept {
            Accept::Future | Accept::Reland | Accept::Sinks => {}
            Accept::Restart => {
                self.since = None;
                let shadows = self.shadows();
                for key in self.keys.values_mut() {
                    key.restart(&key.shadow(&shadows), lane);
                }
            }
            Accept::GiveUp => {
                let shadows = self.shadows();
                for key in self.keys.values_mut() {
                    key.give_up(&key.shadow(&shadows), lane)?;
                }
            }
        }
        Ok(())
    }

    /// Returns the places of the roots in which no sink of the job writes any more.
    pub(super) fn left_places(&self) -> BTreeSet<usize> {
        let left = |(place, root): (usize, &String)| self.left.contains(root).then_some(place);
        self.roots.iter().enumerate().filter_map(left).collect()
    }

    /// Lets go what stands of slices as the job was cut once, in roots that its sinks write in again: all is read again, as other slices.
    fn let_orphans_go(&mut self, lane: Lane) {
        let left = self.left_places();
        let slices = self.keys.values_mut().flat_map(|key| key.slices.values_mut());
        for slice in slices.filter(|slice| slice.landed.is_none() && slice.outdated.is_empty()) {
            slice.let_kept_go(&left, lane);
        }
    }

    /// Returns what lies on fan-out values of each columns: what had landed before a restart, under values of other columns, and still
    /// stands. Values that are gone from a list of the same columns have no heirs, and are in nobody's way.
    fn shadows(&self) -> BTreeMap<Vec<String>, Shadow> {
        let mut outdated: BTreeMap<Vec<String>, Vec<&Landed>> = BTreeMap::new();
        for key in self.keys.values() {
            outdated.entry(names(key.key.as_ref())).or_default().extend(key.outdated());
        }
        let others = |names| outdated.iter().filter(move |(other, _)| *other != names).flat_map(|(_, landed)| landed);
        outdated.keys().map(|names| (names.clone(), Shadow::of(others(names).copied()))).collect()
    }
}

/// Returns the names of the columns of a fan-out value; none where a job doesn't fan out.
fn names(key: Option<&FanoutKey>) -> Vec<String> {
    key.map(FanoutKey::names).unwrap_or_default()
}

impl KeyState {
    /// Returns what this value had set aside, and the shadow of others that lies on it.
    fn shadow<'s>(&self, shadows: &'s BTreeMap<Vec<String>, Shadow>) -> Shadows<'s> {
        Shadows { own: Shadow::of(self.outdated()), others: shadows.get(&names(self.key.as_ref())) }
    }

    /// Sets all that has landed aside: it is read anew, under higher generations and series. What an earlier restart wanted and
    /// hasn't been shown yet goes: it would stand beside what is in its way.
    fn restart(&mut self, shadow: &Shadows<'_>, lane: Lane) {
        self.ranges.clear();
        self.chain = self.chain.take().map(|chain| Chain { series: chain.series + 1, end: None, last: None });
        for slice in self.slices.values_mut() {
            let Some(landed) = slice.landed.take() else { continue };
            if shadow.hides(&landed.kind) {
                slice.replaced.extend(landed.into_replaced(lane));
            } else {
                slice.outdated.extend(Some(landed).filter(|landed| landed.list.is_some()));
            }
        }
    }

    /// Takes windows that a restart has set aside back, in the place of what was read anew and isn't shown yet.
    fn give_up(&mut self, shadow: &Shadows<'_>, lane: Lane) -> Result<(), String> {
        if self.outdated().any(|landed| landed.window().is_none()) {
            return Err("what had landed before the job was cut otherwise isn't in windows".to_owned());
        }
        let mut windows = Vec::new();
        for slice in self.slices.values_mut() {
            if let Some(hidden) = slice.landed.take_if(|landed| shadow.hides(&landed.kind)) {
                slice.replaced.extend(hidden.into_replaced(lane));
            }
            if slice.landed.is_none() {
                slice.landed = slice.outdated.pop();
            }
            windows.extend(slice.landed.as_ref().and_then(Landed::window));
        }
        windows.sort();
        self.ranges.clear();
        for window in windows {
            ranges::insert(&mut self.ranges, window)
                .map_err(|at| format!("{} to {} has landed twice", at.from, at.to))?;
        }
        Ok(())
    }

    fn outdated(&self) -> impl Iterator<Item = &Landed> {
        self.slices.values().flat_map(|slice| &slice.outdated)
    }
}

impl SliceState {
    /// Lets go what was kept in the root of a sink that was removed and is there again, now that the slice has landed with it. `left` are
    /// the roots in which no sink writes.
    pub(super) fn let_kept_go(&mut self, left: &BTreeSet<usize>, lane: Lane) {
        let (stay, go) = std::mem::take(&mut self.kept)
            .into_iter()
            .partition(|kept: &Replaced| kept.roots.iter().all(|root| left.contains(root)));
        self.kept = stay;
        self.replaced.extend(Vec::into_iter(go).map(|gone| Replaced { lane: Some(lane), ..gone }));
    }
}

impl Replaced {
    /// Returns what stays of it; none where it has no file in the roots `left`.
    pub(super) fn kept_in(self, left: &BTreeSet<usize>) -> Option<Self> {
        let roots: Vec<usize> = self.roots.iter().copied().filter(|root| left.contains(root)).collect();
        (!roots.is_empty()).then_some(Self { roots, lane: None, ..self })
    }
}

impl Landed {
    /// Returns the window of a window slice.
    #[must_use]
    pub const fn window(&self) -> Option<Window> {
        match &self.kind {
            SliceKind::Window(window) => Some(*window),
            _ => None,
        }
    }
}

/// The parts of the data that still stand as they were before a restart: what was read anew of them isn't shown.
struct Shadow {
    /// Merged and sorted.
    windows: Vec<Window>,
    /// Something that isn't a window: all is in its shadow.
    whole: bool,
}

impl Shadow {
    fn of<'a>(outdated: impl Iterator<Item = &'a Landed>) -> Self {
        let (mut windows, mut whole) = (Vec::new(), false);
        for landed in outdated {
            match &landed.kind {
                SliceKind::Window(window) => windows.push(*window),
                _ => whole = true,
            }
        }
        Self { windows: merged(windows), whole }
    }

    fn hides(&self, kind: &SliceKind) -> bool {
        let SliceKind::Window(window) = kind else { return self.whole || !self.windows.is_empty() };
        let at = self.windows.partition_point(|other| other.to <= window.from);
        self.whole || self.windows.get(at).is_some_and(|other| other.overlaps(window))
    }
}

/// All that is in the way of what a fan-out value has read anew.
struct Shadows<'s> {
    own: Shadow,
    others: Option<&'s Shadow>,
}

impl Shadows<'_> {
    fn hides(&self, kind: &SliceKind) -> bool {
        self.own.hides(kind) || self.others.is_some_and(|others| others.hides(kind))
    }
}

/// Joins windows that touch or overlap.
fn merged(mut windows: Vec<Window>) -> Vec<Window> {
    windows.sort();
    let mut merged: Vec<Window> = Vec::new();
    for window in windows {
        match merged.last_mut() {
            Some(last) if window.from <= last.to => last.to = last.to.max(window.to),
            _ => merged.push(window),
        }
    }
    merged
}

impl LedgerState {
    /// Returns the landed windows under `key` that an accepted edit wants to be read again: sorted, and merged where they touch.
    #[must_use]
    pub fn due_again(&self, job: &JobName, key: Option<&FanoutKey>) -> Vec<Window> {
        let landed = self.slices(job, key).filter_map(|(_, slice)| slice.landed.as_ref());
        merged(landed.filter(|landed| landed.again).filter_map(Landed::window).collect())
    }

    /// Returns the windows under `key` that had landed before the job was cut otherwise and still stand: sorted and merged.
    #[must_use]
    pub fn due_anew(&self, job: &JobName, key: Option<&FanoutKey>) -> Vec<Window> {
        let outdated = self.slices(job, key).flat_map(|(_, slice)| &slice.outdated);
        merged(outdated.filter_map(Landed::window).collect())
    }

    /// Returns the fan-out values that the log knows of a job; one that is none where it doesn't fan out.
    pub fn keys<'a>(&'a self, job: &JobName) -> impl Iterator<Item = Option<&'a FanoutKey>> + Clone + use<'a> {
        self.jobs.get(job).into_iter().flat_map(|job| job.keys.values()).map(|key| key.key.as_ref())
    }

    /// Tells whether an accepted edit wants the landed snapshot `latest`, or another slice of the job, to be read again.
    #[must_use]
    pub fn relands(&self, job: &JobName) -> bool {
        self.jobs.get(job).into_iter().flat_map(|job| job.keys.values()).any(|key| {
            let again = |landed: &Landed| landed.again;
            key.slices.values().any(|slice| slice.landed.as_ref().is_some_and(again) || !slice.outdated.is_empty())
        })
    }

    /// Returns where fan-out values of the job that have landed nothing begin.
    #[must_use]
    pub fn since(&self, job: &JobName) -> Option<DateTime<Utc>> {
        self.jobs.get(job)?.since
    }

    /// Returns what had landed of a job before it was cut otherwise, and hasn't been covered yet.
    pub fn outdated(&self, job: &JobName) -> impl Iterator<Item = (SliceRef, &Landed)> {
        let keys = self
            .jobs
            .get_key_value(job)
            .into_iter()
            .flat_map(|(job, state)| state.keys.values().map(move |key| (job, key)));
        keys.flat_map(|(job, key)| {
            key.slices.iter().flat_map(move |(slice, state)| {
                let at = SliceRef { job: job.clone(), key: key.key.clone(), slice: slice.clone() };
                state.outdated.iter().map(move |landed| (at.clone(), landed))
            })
        })
    }

    /// Tells whether all of `window` has landed under `key`.
    #[must_use]
    pub fn covers(&self, job: &JobName, key: Option<&FanoutKey>, window: Window) -> bool {
        let ranges = self.landed_ranges(job, key).iter().map(LandedRange::window).collect();
        merged(ranges).iter().any(|range| range.from <= window.from && window.to <= range.to)
    }

    /// Tells whether no sink of the job writes below `root` any more, so that what lies there stays.
    #[must_use]
    pub fn has_left(&self, job: &JobName, root: &str) -> bool {
        self.jobs.get(job).is_some_and(|job| job.left.contains(root))
    }

    /// Tells whether no sink of the job writes below any of `roots` any more, which are one place.
    #[must_use]
    pub fn has_left_all(&self, job: &JobName, roots: &BTreeSet<String>) -> bool {
        let mut own = self.roots_of_job(job).filter(|root| roots.contains(*root)).peekable();
        own.peek().is_some() && own.all(|root| self.has_left(job, root))
    }

    /// Returns the roots in which no sink of a job writes any more, so that what lies below them stays, at whatever depth.
    pub fn left_roots(&self) -> impl Iterator<Item = (&JobName, &str)> {
        self.jobs.iter().flat_map(|(name, job)| job.left.iter().map(move |root| (name, root.as_str())))
    }

    /// Returns every root in which a slice of the job has or had a file.
    pub fn roots_of_job(&self, job: &JobName) -> impl Iterator<Item = &str> {
        self.jobs.get(job).into_iter().flat_map(|job| &job.roots).map(String::as_str)
    }

    /// Returns the generations that readers are to see below `root`, each with its list. What is read anew since a restart is
    /// among them once what it covers has gone; and what stands in the root of a sink that was removed, until the slice lands there again.
    #[must_use]
    pub fn landed_in(&self, root: &str) -> Vec<(SliceRef, u32, &str)> {
        let mut found = Vec::new();
        for (name, job) in &self.jobs {
            let is_there =
                |roots: &[usize]| roots.iter().any(|place| job.roots.get(*place).is_some_and(|known| known == root));
            let shadows = job.shadows();
            for key in job.keys.values() {
                let shadow = key.shadow(&shadows);
                for (slice, state) in &key.slices {
                    let shown = state.landed.iter().filter(|new| !shadow.hides(&new.kind)).chain(&state.outdated);
                    let shown = shown.filter_map(|it| Some((&it.roots, it.generation, it.list.as_deref()?)));
                    let kept = state.kept.iter().map(|it| (&it.roots, it.generation, it.list.as_str()));
                    for (_, generation, list) in shown.chain(kept).filter(|(roots, ..)| is_there(roots)) {
                        let at = SliceRef { job: name.clone(), key: key.key.clone(), slice: slice.clone() };
                        found.push((at, generation, list));
                    }
                }
            }
        }
        found
    }

    /// Returns the state of the job as it would be once an edit is accepted in this way; `since` is where fan-out values that have landed
    /// nothing begin then.
    ///
    /// # Errors
    ///
    /// Why that can't be.
    pub fn accepted(&self, job: &JobName, how: Accept, since: Option<DateTime<Utc>>) -> Result<Self, String> {
        let mut jobs = BTreeMap::new();
        if let Some(state) = self.jobs.get(job) {
            let mut state = state.clone();
            state.accept(how, &[], since, Lane::WHOLE)?;
            jobs.insert(job.clone(), state);
        }
        Ok(Self { jobs, ..Self::default() })
    }

    /// Lets a generation of before a restart go, or one of a fan-out value that is retired; `lane` deletes it.
    pub(super) fn supersede(&mut self, gone: &Generation, lane: Lane) {
        let job = self.jobs.get(&gone.at.job);
        let left = job.map(JobState::left_places).unwrap_or_default();
        let is_retired = gone.at.key.as_ref().is_some_and(|key| job.is_some_and(|job| job.retired.contains(key)));
        let slice = self.slice_mut(&gone.at);
        let landed = slice.landed.take_if(|landed| is_retired && landed.generation == gone.generation);
        slice.replaced.extend(landed.and_then(|landed| landed.into_replaced(lane)));
        let (stay, go) = std::mem::take(&mut slice.outdated)
            .into_iter()
            .partition(|landed: &Landed| landed.generation != gone.generation);
        slice.outdated = stay;
        slice.replaced.extend(Vec::into_iter(go).filter_map(|gone| gone.into_replaced(lane)));
        slice.let_kept_go(&left, lane);
    }
}
