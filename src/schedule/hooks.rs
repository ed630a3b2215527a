//! Hooks, sent beside the daemon: a server that is slow to hear of a run holds up neither its schedule nor another run.

use std::sync::Arc;

use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::model::RunEnd;
use crate::pipeline::spec::Pipeline;
use crate::run::{Env, hook, notify};

/// The hooks that are being sent.
#[derive(Default)]
pub(super) struct Hooks {
    tasks: JoinSet<()>,
    give_up: CancellationToken,
}

impl Hooks {
    /// Sends the hook that the pipeline has for such an end, if it has one.
    pub(super) fn send(&mut self, pipeline: &Arc<Pipeline>, end: &RunEnd, env: &Env) {
        while let Some(sent) = self.tasks.try_join_next() {
            told(sent);
        }
        let Some((field, _)) = hook(pipeline, end.exit_code) else { return };
        let (pipeline, end, env, give_up) = (Arc::clone(pipeline), end.clone(), env.clone(), self.give_up.clone());
        self.tasks.spawn(async move {
            tokio::select! {
                biased;
                () = notify(&pipeline, &end, &env) => {}
                () = give_up.cancelled() => tracing::error!(
                    pipeline = %end.pipeline, run = %end.run, hook = field,
                    "a hook wasn't sent, or not answered: the process ends"
                ),
            }
        });
    }

    /// Returns how many are being sent.
    pub(super) fn count(&mut self) -> usize {
        while let Some(sent) = self.tasks.try_join_next() {
            told(sent);
        }
        self.tasks.len()
    }

    /// Waits until all are sent, or until `deadline`: then the rest is given up, and told in the log.
    pub(super) async fn drain(&mut self, deadline: Instant) {
        if tokio::time::timeout_at(deadline, self.all()).await.is_err() {
            self.give_up.cancel();
            self.all().await;
        }
    }

    async fn all(&mut self) {
        while let Some(sent) = self.tasks.join_next().await {
            told(sent);
        }
    }
}

fn told(sent: Result<(), JoinError>) {
    if let Err(error) = sent {
        tracing::error!(%error, "a hook can't be sent; this is a bug of Tidegate");
    }
}
