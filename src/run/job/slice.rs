//! One slice: extract, transform, write, publish, commit.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use tokio::sync::RwLock;
use tracing::Instrument as _;

use super::edges::Neighbours;
use super::finished::{Finished, failed, finished};
use super::judge::{few_enough_are_bad, first_bad, reconcile, some_fit};
use super::shrink::lost;
use super::turns::Turns;
use crate::ledger::{
    Begin, Closed, DataStore as _, Fault, LedgerError, LedgerState, OutputColumn, PinnedSchema, Publication, SliceRef,
    Writer, digest, publish_all,
};
use crate::model::{
    EndReason, FileReceipt, PipelineName, RecordSchema, SchemaLock, SliceKind, SliceOutcome, Window, counted,
};
use crate::objects::chain;
use crate::pipeline::spec::Slicing;
use crate::run::collect::Collected;
use crate::run::early::Early;
use crate::run::extract::{Extracted, Extraction, Wanted};
use crate::run::land::{Staged, Target};
use crate::run::meter::Meter;
use crate::run::quarantine::SINK;
use crate::run::{Data, LossError, RunError, SchemaError, locked};
use crate::sink::SinkSpec;
use crate::transform::{Moment, Table};

/// All that the slices of a job share.
pub(super) struct SliceRun {
    pub(super) extraction: Extraction,
    pub(super) tables: Arc<[Table]>,
    pub(super) targets: Vec<Target>,
    pub(super) quarantine: SinkSpec,
    pub(super) data: Data,
    pub(super) writer: Writer,
    pub(super) pipeline: PipelineName,
    pub(super) allow_shrink: bool,
    pub(super) replay: bool,
    /// The schemas that mustn't be left.
    pub(super) lock: Option<Arc<SchemaLock>>,
    pub(super) turns: Turns,
    pub(super) neighbours: Neighbours,
    /// Read by slices that are being committed; whoever writes waits for those, and no other begins to be.
    pub(super) committing: RwLock<()>,
}

impl SliceRun {
    /// Runs a slice to its end, whatever that is. `place` is its own, or its chain's, in the plan.
    pub(super) async fn run(
        self: Arc<Self>,
        begin: Begin,
        pinned: Option<(u32, RecordSchema)>,
        place: usize,
    ) -> Finished {
        let key = begin.slice.key.as_ref().map(tracing::field::display);
        let span = tracing::error_span!("slice", job = %begin.slice.job, slice = %begin.slice.id, key);
        self.run_to_end(begin, pinned, place).instrument(span).await
    }

    async fn run_to_end(&self, begin: Begin, pinned: Option<(u32, RecordSchema)>, place: usize) -> Finished {
        let (meter, early) = (Meter::default(), Early::default());
        let landed = self.land(&begin, pinned, place, &meter, &early).await;
        early.give_up().await;
        let mut finished = match landed {
            Ok(finished) => finished,
            Err(error) => {
                // What fails after the lease was lost fails for that, and doesn't say so.
                let error = match (self.writer.still_held(), error) {
                    (_, error @ RunError::Ledger(_)) | (Ok(()), error) => error,
                    (Err(lost), _) => lost.into(),
                };
                // An answer that can't be read is quoted, and may echo what was sent.
                let remedy = error.remedy();
                let error = self.extraction.exchange.client.redactor().scrub(&error.told_of(&self.extraction.job));
                self.note_failure(SliceRef::of(&begin.slice), error.clone()).await;
                failed(&begin.slice, error, remedy)
            }
        };
        finished.note(meter.read());
        finished
    }

    /// Notes in the ledger that a slice failed. One that is published isn't over: the next run rolls it forward, or back.
    async fn note_failure(&self, at: SliceRef, error: String) {
        if self.writer.state(|state| state.slice(&at).is_some_and(|slice| slice.published.is_some())) {
            return;
        }
        // What it staged must be gone before the ledger forgets it.
        let staged = self.writer.state(|state| state.slice(&at).map(|slice| slice.staged.clone()));
        for place in staged.unwrap_or_default() {
            if let Err(lost) = self.data.discard(&place.into_receipt()).await {
                tracing::warn!(slice = %at.slice, error = %chain(&lost), "what a slice staged can't be removed: the next run does it");
                return;
            }
        }
        // Where the ledger itself is what fails, the slice stays begun, and the next run settles it.
        if let Err(lost) = self.writer.close(at.clone(), Closed::Failed { error }).await {
            tracing::warn!(slice = %at.slice, error = %chain(&lost), "the failure of a slice can't be noted in the ledger");
        }
    }

    async fn land(
        &self,
        begin: &Begin,
        pinned: Option<(u32, RecordSchema)>,
        place: usize,
        meter: &Meter,
        early: &Early,
    ) -> Result<Finished, RunError> {
        let mut pinned = self.schema_of(begin, pinned).await?;
        let mut again = None;
        loop {
            early.give_up().await;
            let wanted = Wanted {
                pinned: pinned.as_ref().map(|(_, schema)| schema.clone()),
                limit: None,
                early: self.opening(begin, pinned.as_ref()).map(|opening| (early.clone(), opening)),
            };
            let reading = Box::pin(self.extraction.slice(&begin.slice, begin.now, wanted, meter));
            let mut extracted = meter.time(|took| &mut took.read_ms, reading).await?;
            self.compare(&mut extracted, begin)?;
            meter.proved(&extracted.collected.reconciliation);
            let landing = self.check(&extracted.collected, begin)?;
            extracted.notes.extend(landing.map(|note| format!("{}: {note}", begin.slice.id)));
            extracted.notes.extend(self.late(begin, &extracted.collected));
            // Where a slice had several pages, the way on is looked for at the right place.
            let has_no_way_on =
                matches!(extracted.collected.reconciliation.end, EndReason::NoLink | EndReason::NoCursor);
            let is_known = has_no_way_on && self.writer.state(|state| state.has_had_pages(&begin.slice.job));
            extracted.notes.extend(extracted.unproven.take().filter(|_| !is_known));
            if is_empty_increment(begin, &extracted) {
                let waiting = self.waiting(begin, &extracted.collected)?;
                self.writer.close(SliceRef::of(&begin.slice), Closed::Empty).await?;
                let notes = extracted.notes.into_iter().chain(waiting).collect();
                let valued = BTreeSet::new();
                return Ok(Finished { outcome: SliceOutcome::Unchanged, report: None, next: None, notes, valued });
            }
            let version = match self.pin_records(pinned.as_ref(), &extracted, place).await {
                // Slices before it in the plan gave another type to a column that was only ever null.
                Err(RunError::Schema(SchemaError::Union(other))) if again.is_none() => {
                    let (column, slice) = (other.column, &begin.slice.id);
                    again = Some(format!(
                        "slice {slice} was read twice: an earlier one made `{column}` {}, and here it began as {}",
                        other.one, other.other
                    ));
                    let newest = self.writer.state(|state| state.schema_version(&begin.slice.job));
                    pinned = self.schema_of(&Begin { schema_version: newest, ..begin.clone() }, None).await?;
                    continue;
                }
                version => version?,
            };
            let staging = Box::pin(self.stage(begin, extracted, version.unwrap_or_default(), early));
            let (mut extracted, mut staged) = meter.time(|took| &mut took.write_ms, staging).await?;
            extracted.notes.append(&mut staged.notes);
            if pinned.as_ref().map(|(known, _)| *known) != version {
                extracted.notes.extend(staged.left_out());
            }
            extracted.notes.extend(again);
            let span = tracing::error_span!("commit", generation = begin.generation);
            let commit = Box::pin(self.commit(begin, extracted, staged, version).instrument(span));
            return meter.time(|took| &mut took.commit_ms, commit).await;
        }
    }

    /// Returns the schema that the slice was begun with: it may be older than the newest one.
    async fn schema_of(
        &self,
        begin: &Begin,
        newest: Option<(u32, RecordSchema)>,
    ) -> Result<Option<(u32, RecordSchema)>, RunError> {
        let Some(version) = begin.schema_version else { return Ok(None) };
        match newest {
            Some((newest, schema)) if newest == version => Ok(Some((newest, schema))),
            _ => Ok(Some((version, self.writer.schema(&begin.slice.job, version).await?.records))),
        }
    }

    /// Decides on what the reading proved. Returns what a person should know of what lands.
    fn check(&self, collected: &Collected, begin: &Begin) -> Result<Option<String>, RunError> {
        let job = &self.extraction.job;
        let note = reconcile(job, &collected.reconciliation)?;
        few_enough_are_bad(job, collected)?;
        let landed = self.writer.state(|state| state.landed(&SliceRef::of(&begin.slice)).cloned());
        let may_shrink = self.allow_shrink && landed.is_some();
        let loss = landed.filter(|_| !may_shrink).and_then(|landed| {
            let (counts, proved) = (&collected.counts, &collected.reconciliation);
            lost(&landed, &begin.slice.kind, counts, proved)
        });
        if let Some(loss) = loss {
            return Err(loss.error(|| first_bad(collected)).into());
        }
        // Of a chain such rows wait: see `waiting`.
        let waits = matches!(begin.slice.kind, SliceKind::Incremental { .. }) && collected.cursor_end.is_none();
        if !may_shrink && !waits {
            some_fit(job, collected)?;
        }
        Ok(note)
    }

    /// Tells of rows that came with the cursor of the last row that has landed, though more than landed: they came late, and are left out.
    fn late(&self, begin: &Begin, collected: &Collected) -> Option<String> {
        let SliceKind::Incremental { start, end: None, .. } = &begin.slice.kind else { return None };
        let (slice, came) = (&begin.slice, collected.at_start);
        let landed = self.writer.state(|state| {
            let goes_on = state.chain(&slice.job, slice.key.as_ref())?.end.as_ref() == Some(start);
            goes_on.then(|| state.rows_at_end(&slice.job, slice.key.as_ref()))?
        })?;
        (came > landed).then(|| {
            format!(
                "{} came with the cursor that the last slice ends with, {}, and {landed} of them have landed: the others came late, and never \
                 land; let `lag` leave young rows to the next slice",
                counted(came, "row"),
                start.text()
            )
        })
    }

    /// Tells of bad rows that have no good row after them: they come again, and go to quarantine with the next slice.
    ///
    /// # Errors
    /// Nothing of the chain has ever landed: then it isn't a row that is bad, but what the pipeline file says of all of them.
    fn waiting(&self, begin: &Begin, collected: &Collected) -> Result<Option<String>, RunError> {
        let (SliceKind::Incremental { start, .. }, Some(bad)) = (&begin.slice.kind, collected.bad.first(1)?.pop())
        else {
            return Ok(None);
        };
        let (slice, bad, first) = (&begin.slice, collected.counts.quarantined, bad.excerpt());
        let has_landed =
            |state: &LedgerState| state.chain(&slice.job, slice.key.as_ref()).is_some_and(|chain| chain.end.is_some());
        let error = RunError::NoCursor { bad, start: start.text(), first };
        let error = error.scrubbed(self.extraction.exchange.client.redactor());
        if self.writer.state(has_landed) { Ok(Some(error.to_string())) } else { Err(error) }
    }

    /// Pins what the slice added to the job's schema, before anything is encoded. The version that it returns holds all of
    /// the slice's columns, and maybe those of others.
    async fn pin_records(
        &self,
        pinned: Option<&(u32, RecordSchema)>,
        extracted: &Extracted,
        place: usize,
    ) -> Result<Option<u32>, RunError> {
        if let Some((version, schema)) = pinned
            && *schema == extracted.schema
        {
            return Ok(Some(*version));
        }
        if extracted.collected.rows.rows() == 0 {
            return Ok(pinned.map(|(version, _)| *version));
        }
        let job = &self.extraction.job.name;
        self.turns.wait(place).await;
        loop {
            let newest = self.writer.state(|state| state.schema_version(job));
            let base = match newest {
                Some(newest) => self.writer.schema(job, newest).await?.records,
                None => RecordSchema::default(),
            };
            let wanted = base.union(&extracted.schema).map_err(SchemaError::from)?;
            if let (true, Some(newest)) = (wanted == base, newest) {
                return Ok(Some(newest));
            }
            let output = self.output_columns(&wanted)?;
            let (next, wanted) = (newest.unwrap_or(0) + 1, PinnedSchema { records: wanted, output });
            if let Some(lock) = &self.lock {
                locked::check_pin(lock, job, &wanted)?;
            }
            let got = self.writer.pin_schema(job, next, wanted).await?;
            if got.records.union(&extracted.schema).map_err(SchemaError::from)? == got.records {
                return Ok(Some(next));
            }
        }
    }

    fn output_columns(&self, records: &RecordSchema) -> Result<Vec<OutputColumn>, RunError> {
        // Which instants these are makes no difference to the columns.
        let now = chrono::DateTime::UNIX_EPOCH;
        let is_window = matches!(self.extraction.job.slicing, Slicing::Window(_));
        let at = Moment { now, window: is_window.then_some(Window { from: now, to: now }) };
        Ok(columns(&self.shaping(at).plan(records)?.output_schema()))
    }

    async fn commit(
        &self,
        begin: &Begin,
        mut extracted: Extracted,
        staged: Staged,
        version: Option<u32>,
    ) -> Result<Finished, RunError> {
        let at = SliceRef::of(&begin.slice);
        let same = self.writer.state(|state| state.unchanged(&at, &digest(&staged.files)));
        let gone = if same { self.gone(&at).await? } else { None };
        if same && gone.is_none() {
            for file in &staged.files {
                self.data.discard(file).await?;
            }
            self.writer.close(at, Closed::Unchanged).await?;
            return Ok(finished(begin, extracted, staged, SliceOutcome::Unchanged));
        }
        if let Err(error) = self.keeps_all(begin, &extracted.collected, &staged).await {
            for file in &staged.files {
                self.data.discard(file).await?;
            }
            return Err(error);
        }
        let _committing = self.committing.read().await;
        let landing = self
            .writer
            .publish(Publication {
                slice: begin.slice.clone(),
                generation: begin.generation,
                cursor_end: extracted.collected.cursor_end.clone(),
                rows: staged.rows_out,
                records: extracted.collected.counts.decoded + extracted.collected.counts.quarantined,
                good: extracted.collected.counts.decoded,
                reconciliation: extracted.collected.reconciliation.clone(),
                schema_version: version,
                files: staged.files.clone(),
            })
            .await?;
        match publish_all(&self.data, &staged.files).await {
            // Its files can never have these names: so it isn't left open, which each further run would have to settle first.
            Err(error) if error.fault == Fault::Taken => {
                self.writer.take_back(at, begin.generation, &staged.files, &self.data).await?;
                return Err(error.into());
            }
            published => published?,
        }
        let replaces = landing.replaces.is_some();
        match self.writer.commit(landing).await {
            Err(error @ LedgerError::Refused { .. }) => {
                self.writer.take_back(at, begin.generation, &staged.files, &self.data).await?;
                return Err(error.into());
            }
            committed => committed?,
        }
        tracing::debug!(rows = staged.rows_out, files = staged.files.len(), "slice committed");
        if replaces && let Err(error) = self.writer.tidy_in_turn(&self.data).await {
            // The slice has landed; what it replaced goes with the end of the job, or with the next run.
            tracing::warn!(slice = %begin.slice.id, error = %chain(&error), "the files that a slice replaced can't be deleted yet");
        }
        extracted.notes.extend(gone);
        Ok(finished(begin, extracted, staged, SliceOutcome::Landed))
    }

    /// Says which files of a landed slice aren't there any more, so that it is no use to leave it as it is; none where all are.
    async fn gone(&self, at: &SliceRef) -> Result<Option<String>, RunError> {
        let list = self.writer.state(|state| state.landed(at).and_then(|landed| landed.list.clone()));
        let Some(list) = list else { return Ok(None) };
        let files = self.writer.files(&list).await?;
        let gone = self.data.missing(&files).await?;
        let say = |first: &FileReceipt| {
            let (count, all, slice, FileReceipt { root, path, .. }) = (gone.len(), files.len(), &at.slice, first);
            format!(
                "{count} of {all} files of slice {slice} were gone, and it has landed again; the first: {root}{path}"
            )
        };
        Ok(gone.first().map(say))
    }

    /// Refuses to replay a slice of a chain whose rows the server hasn't got any more. Windows are guarded by [`SliceRun::check`].
    async fn keeps_all(&self, begin: &Begin, collected: &Collected, staged: &Staged) -> Result<(), RunError> {
        let is_guarded = self.replay && !self.allow_shrink && begin.slice.window().is_none();
        let list = self.writer.state(|state| {
            let landed = state.landed(&SliceRef::of(&begin.slice))?;
            Some((landed.rows, landed.list.clone()?))
        });
        let (Some((rows, list)), true) = (list, is_guarded) else { return Ok(()) };
        let files = self.writer.files(&list).await?;
        let held = files.iter().filter(|file| file.sink.as_str() == SINK).map(|file| file.rows).sum::<u64>();
        let (now, landed) = (staged.rows_out + collected.counts.quarantined, rows + held);
        let before = match held {
            0 => format!("{} landed before", counted(landed, "row")),
            held => format!("{} came before: {rows} landed, {held} went to quarantine", counted(landed, "row")),
        };
        if now < landed { Err(LossError::Rows { what: "the slice".to_owned(), now, before }.into()) } else { Ok(()) }
    }
}

/// Tells whether there was nothing good after the slice's cursor: then it isn't a slice yet.
fn is_empty_increment(begin: &Begin, extracted: &Extracted) -> bool {
    matches!(begin.slice.kind, SliceKind::Incremental { .. }) && extracted.collected.cursor_end.is_none()
}

/// Returns the columns of the transform, as they are pinned.
pub(in crate::run) fn columns(schema: &SchemaRef) -> Vec<OutputColumn> {
    let column = |field: &arrow::datatypes::FieldRef| OutputColumn {
        name: field.name().clone(),
        kind: field.data_type().to_string(),
        nullable: field.is_nullable(),
    };
    schema.fields().iter().map(column).collect()
}
