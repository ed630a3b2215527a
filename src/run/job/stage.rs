//! The writing of a slice, where no reader looks: as its pages come, where that can be, or once they are all in.

use std::sync::Arc;

use super::slice::SliceRun;
use crate::ledger::{Begin, SliceRef};
use crate::model::{RecordSchema, SliceKind};
use crate::run::RunError;
use crate::run::data::NotesInLedger;
use crate::run::early::{Early, LANDING, Opening};
use crate::run::extract::Extracted;
use crate::run::land::{Destination, Shaping, Staged, Target, land, write};
use crate::run::room::Writing;
use crate::sink::{Landing, SinkSpec, Staging};
use crate::transform::Moment;

/// What it takes to write a slice.
struct Desk {
    targets: Vec<Target>,
    quarantine: SinkSpec,
    shaping: Shaping,
    landing: Landing,
    staging: Staging,
}

impl Desk {
    fn destination(&self) -> Destination<'_> {
        Destination {
            targets: &self.targets,
            quarantine: &self.quarantine,
            landing: &self.landing,
            staging: &self.staging,
        }
    }

    /// Returns what it takes to write so many bytes of rows.
    fn writing(&self, rows: u64) -> Writing {
        let sinks = self.targets.iter().map(|target| &target.spec);
        Writing::of(rows, sinks, self.shaping.sql.is_some(), self.shaping.memory)
    }
}

impl SliceRun {
    /// Returns what becomes of the rows of a slice.
    pub(super) fn shaping(&self, at: Moment) -> Shaping {
        let job = &self.extraction.job;
        Shaping {
            sql: job.transform.clone(),
            tables: Arc::clone(&self.tables),
            expect: job.expect.as_slice().into(),
            at,
            memory: self.extraction.memory_of_sql(),
        }
    }

    fn desk(&self, begin: &Begin, version: u32) -> Desk {
        let notes = NotesInLedger { writer: self.writer.clone(), at: SliceRef::of(&begin.slice) };
        Desk {
            targets: self.targets.clone(),
            quarantine: self.quarantine.clone(),
            shaping: self.shaping(Moment { now: begin.now, window: begin.slice.window() }),
            landing: Landing {
                pipeline: self.pipeline.clone(),
                job: begin.slice.job.clone(),
                slice: begin.slice.id.clone(),
                generation: begin.generation,
                snapshot: match &begin.slice.kind {
                    SliceKind::Snapshot { label, .. } => Some(label.clone()),
                    _ => None,
                },
                schema_version: version,
            },
            staging: Staging::new(self.data.sets().clone(), Arc::new(notes)),
        }
    }

    /// Says how the slice is written as its pages come. Not where it was begun with no schema and the job has one by now: which it
    /// will be isn't known then.
    pub(super) fn opening(&self, begin: &Begin, pinned: Option<&(u32, RecordSchema)>) -> Option<Opening> {
        let newest = self.writer.state(|state| state.schema_version(&begin.slice.job));
        let (version, schema) = match (pinned, newest) {
            (Some((version, schema)), _) => (*version, Some(schema.clone())),
            (None, None) => (1, None),
            (None, Some(_)) => return None,
        };
        let desk = self.desk(begin, version);
        let (shaping, takes) = (desk.shaping.clone(), desk.writing(u64::MAX).while_they_come);
        // What can't be planned says so at the end of the slice.
        let streams = move |schema: &RecordSchema| shaping.plan(schema).is_ok_and(|plan| plan.streams());
        let span = tracing::Span::current();
        let write = move |schema, rows| span.in_scope(|| write(rows, &schema, &desk.shaping, &desk.destination()));
        let memory = Arc::clone(self.extraction.exchange.client.memory());
        Some(Opening { schema, version, streams: Box::new(streams), write: Box::new(write), memory, takes })
    }

    /// Writes the files, but for those that were written as the pages came. The slice comes back without its rows.
    pub(super) async fn stage(
        &self,
        begin: &Begin,
        mut extracted: Extracted,
        version: u32,
        early: &Early,
    ) -> Result<(Extracted, Staged), RunError> {
        let desk = self.desk(begin, version);
        let takes = desk.writing(extracted.collected.rows.bytes());
        let written = match extracted.collected.written.take() {
            Some(written) => {
                let _room = self.extraction.room(takes.sorted).await;
                written.keep(&extracted.schema, version).await
            }
            None => None,
        };
        early.give_up().await;
        let room = if written.is_none() {
            let pages = extracted.collected.rows.largest().saturating_mul(LANDING);
            Some(self.extraction.room(pages.saturating_add(takes.most())).await)
        } else {
            None
        };
        let span = tracing::Span::current();
        tokio::task::spawn_blocking(move || {
            let _entered = span.entered();
            let staged = land(&extracted.collected, &extracted.schema, &desk.shaping, &desk.destination(), written)?;
            drop(room);
            // A large temporary file takes its time to go, and nothing waits for it.
            let rows = std::mem::take(&mut extracted.collected.rows);
            tokio::task::spawn_blocking(|| drop(rows));
            Ok((extracted, staged))
        })
        .await?
    }
}
