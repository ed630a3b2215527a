//! What becomes of what has landed, where the pipeline file was edited since.

use std::collections::HashSet;

use super::Runner;
use crate::ledger::Accepted;
use crate::model::{JobReport, SinkName};
use crate::objects::place;
use crate::run::edit::keep_places;
use crate::run::{RunError, deliver, fingerprint, quarantine};

impl Runner<'_> {
    /// Refuses an edit that changes what names the data, unless it was accepted; notes the fingerprint, and what becomes of what
    /// has landed.
    pub(super) async fn check_fingerprint(&self, report: &mut JobReport) -> Result<(), RunError> {
        let (job, mut now) = (self.job, fingerprint::of(self.job));
        self.writer.state(|state| keep_places(&mut now, state.fingerprint(&job.name)));
        let decided = self.writer.state(|state| fingerprint::look(job, &now, self.options.accept, state))?;
        let Some(decision) = decided else { return Ok(self.writer.set_fingerprint(&job.name, now, None).await?) };
        let mut here: HashSet<String> =
            HashSet::from([place(&quarantine::sink(&self.options.state, &self.pipeline.name).root()?)]);
        for target in self.targets()? {
            here.insert(place(&target.spec.root()?));
        }
        let left = self.writer.state(|state| {
            let roots = state.roots_of_job(&job.name).filter(|root| !here.contains(&place(root)));
            // What was moved, by `url`, goes on to be replaced; only where a sink is gone it stays.
            roots.filter(|root| decision.leaves || state.has_left(&job.name, root)).map(str::to_owned).collect()
        });
        report.warnings.push(decision.note);
        for sink in decision.gone_senders.iter().map(|sink| SinkName::new(sink.clone())) {
            let key = self.writer.state(|state| fingerprint::sender_key(state.fingerprint(&job.name)?, &sink));
            let at = (self.pipeline, &job.name, &sink);
            match deliver::unsent(at, &key.unwrap_or_default(), &self.options.state, self.ledger, self.data).await? {
                0 => {}
                rows => report.warnings.push(format!(
                    "sink `{sink}` was removed before all that had landed for it was sent; left to send: {rows}; to send that, put it back, \
                     and run once with `--accept future`"
                )),
            }
        }
        let accepted = Accepted { how: decision.how, left, since: decision.since };
        Ok(self.writer.set_fingerprint(&job.name, now, Some(accepted)).await?)
    }
}
