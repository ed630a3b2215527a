//! The end of the daemon: what has begun lands, or is thrown away.

use std::time::Duration;

use tokio::time::Instant;

use super::daemon::{Daemon, Event};

/// How long runs have to throw away what they can't finish. What they leave then, the next run throws away.
const THROW_AWAY: Duration = Duration::from_secs(5);

impl Daemon {
    /// Lets nothing begin any more, waits for what has begun as long as the grace allows, and throws the rest away. Returns whether
    /// nothing had to be.
    pub(super) async fn drain(&mut self) -> bool {
        self.draining = true;
        self.starts.wind_down.cancel();
        self.publish();
        self.tell(Event::Draining { runs: self.starts.count() });
        let deadline = Instant::now() + self.config.grace;
        let mut whole = self.until_idle(deadline).await;
        if !self.starts.is_idle() {
            whole = false;
            self.starts.cancel.cancel();
            self.until_idle(Instant::now() + THROW_AWAY).await;
        }
        self.starts.hooks.drain(deadline).await;
        self.notes.close().await;
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
