//! The signals that end the process.

use std::io;

use tokio_util::sync::CancellationToken;

use super::Exit;
use crate::run::Terminated;

/// Cancels `cancel` at the first SIGINT or SIGTERM, once `terminated` says which of them it was. Must be called within the runtime.
pub(super) fn listen(cancel: CancellationToken, terminated: Terminated) -> io::Result<()> {
    let mut next = Next::new()?;
    tokio::spawn(async move {
        note(next.signal().await, &terminated);
        cancel.cancel();
    });
    Ok(())
}

/// Notes a signal that is about to end runs.
pub(super) fn note(signal: Exit, terminated: &Terminated) {
    if signal == Exit::Terminated {
        terminated.note();
    }
}

/// Waits for one signal after the other, as the exit code that each stands for.
#[cfg(unix)]
pub(super) struct Next {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Next {
    pub(super) fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    pub(super) async fn signal(&mut self) -> Exit {
        tokio::select! {
            _ = self.interrupt.recv() => Exit::Interrupted,
            _ = self.terminate.recv() => Exit::Terminated,
        }
    }
}

/// Waits for one Ctrl-C after the other.
#[cfg(not(unix))]
pub(super) struct Next;

#[cfg(not(unix))]
impl Next {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self)
    }

    pub(super) async fn signal(&mut self) -> Exit {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        Exit::Interrupted
    }
}
