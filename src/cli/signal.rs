//! The signals that end the process, and the one that has a daemon look again.

use std::io;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::Exit;
use crate::run::Terminated;

/// How far a second signal is from the first one at least: a terminal that goes, or a wrapper that hands on what its whole group got, sends
/// one twice.
const APART: Duration = Duration::from_secs(1);

/// What SIGHUP means to a verb: a terminal that is gone, or `kill -HUP`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HangUp {
    /// As SIGTERM, but where the process was started to outlive it (`nohup`).
    Ends,
    /// It looks again at what it was told, and goes on.
    GoesOn,
}

/// A signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    /// The process is to end, with an exit code that tells by which signal.
    End(Exit),
    /// SIGHUP.
    HangUp,
}

/// Cancels `cancel` at the first signal that ends the process, once `terminated` says which of them it was. Returns what waits for the
/// second one, which says that the process is to end at once, with this exit code: what it leaves, the next run settles. Must be called
/// within the runtime.
pub(super) fn listen(
    cancel: CancellationToken,
    terminated: Terminated,
    hang_up: HangUp,
) -> io::Result<impl Future<Output = Exit>> {
    let mut next = Next::new(hang_up == HangUp::Ends && !is_hang_up_ignored())?;
    let (hurry, hurried) = oneshot::channel();
    tokio::spawn(async move {
        let mut end = async || match next.signal().await {
            Signal::End(exit) => exit,
            Signal::HangUp => Exit::Terminated,
        };
        note(end().await, &terminated);
        cancel.cancel();
        let first = Instant::now();
        let second = loop {
            let again = end().await;
            if first.elapsed() >= APART {
                break again;
            }
        };
        // Nobody waits where the verb has ended.
        let _ = hurry.send(second);
    });
    Ok(async {
        match hurried.await {
            Ok(exit) => exit,
            Err(_) => std::future::pending().await,
        }
    })
}

/// Notes a signal that is about to end runs.
pub(super) fn note(signal: Exit, terminated: &Terminated) {
    if signal == Exit::Terminated {
        terminated.note();
    }
}

/// Tells whether the process was started with SIGHUP ignored, as `nohup` does. Linux says so; elsewhere it isn't known, and it counts.
fn is_hang_up_ignored() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores_hang_up(&status))
}

/// Reads the mask of ignored signals, whose lowest bit is SIGHUP's. Source: `proc_pid_status(5)`.
fn ignores_hang_up(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

/// Waits for one signal after the other.
#[cfg(unix)]
pub(super) struct Next {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hang_up: Option<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Next {
    /// Listens, for SIGHUP only where it is told to.
    pub(super) fn new(hang_up: bool) -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let hang_up = hang_up.then(|| signal(SignalKind::hangup())).transpose()?;
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())?, hang_up })
    }

    pub(super) async fn signal(&mut self) -> Signal {
        let hang_up = async {
            match &mut self.hang_up {
                Some(hang_up) => hang_up.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => Signal::End(Exit::Interrupted),
            _ = self.terminate.recv() => Signal::End(Exit::Terminated),
            _ = hang_up => Signal::HangUp,
        }
    }
}

/// Waits for one Ctrl-C after the other.
#[cfg(not(unix))]
pub(super) struct Next;

#[cfg(not(unix))]
impl Next {
    pub(super) fn new(_: bool) -> io::Result<Self> {
        Ok(Self)
    }

    pub(super) async fn signal(&mut self) -> Signal {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        Signal::End(Exit::Interrupted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nohup_starts_says_so() {
        let status = |mask: &str| format!("Name:\ttidegate\nSigBlk:\t0000000000000001\nSigIgn:\t{mask}\nSigCgt:\t0\n");
        assert!(ignores_hang_up(&status("0000000000000001")) && ignores_hang_up(&status("0000000000001001")));
        assert!(!ignores_hang_up(&status("0000000000001000")) && !ignores_hang_up(""));
    }
}
