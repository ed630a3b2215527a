//! The end of the daemon: what has begun lands, or is thrown away.

use std::time::Duration;

use futures::FutureExt as _;
use tokio::time::Instant;

use super::daemon::{Daemon, Event};
use super::view::RunningView;

/// How long runs have to throw away what they can't finish. What they leave then, the next run throws away.
const THROW_AWAY: Duration = Duration::from_secs(5);

/// How long the ledgers have to note where the schedules stand.
const LAST_NOTES: Duration = Duration::from_secs(10);

impl Daemon {
    /// Lets nothing begin any more, waits for what has begun as long as the grace allows, and throws the rest away. Returns whether
    /// nothing had to be.
    pub(super) async fn drain(&mut self) -> bool {
        self.draining = true;
        // Who asks for something hears at once that it is too late.
        self.commands.close();
        self.starts.wind_down.cancel();
        // What has ended by now isn't waited for, but its hook may be.
        while let Some(end) = self.starts.ended().now_or_never() {
            self.take(end);
        }
        self.publish();
        let goes_on = |running: &RunningView| running.end.get().is_none();
        let runs = self.entries.values().filter(|entry| entry.running.as_ref().is_some_and(goes_on)).count();
        let hooks = self.starts.hooks.count();
        self.tell(Event::Draining { runs, hooks });
        let deadline = Instant::now() + self.config.grace;
        let mut whole = self.until_idle(deadline).await;
        if !self.starts.is_idle() {
            whole = false;
            self.starts.cancel.cancel();
            self.until_idle(Instant::now() + THROW_AWAY).await;
        }
        self.starts.hooks.drain(deadline).await;
        self.notes.close(Instant::now() + LAST_NOTES).await;
        self.publish();
        whole
    }

    /// Takes the ends of runs until none goes on, or until `deadline`. Returns whether all of them came to an end of their own.
    async fn until_idle(&mut self, deadline: Instant) -> bool {
        let mut whole = true;
        while !self.starts.is_idle() {
            let Ok(end) = tokio::time::timeout_at(deadline, self.starts.ended()).await else { break };
            whole &= !end.exit_code.is_interruption();
            self.take(end);
            self.publish();
        }
        whole
    }
}
