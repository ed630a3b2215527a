//! The signals that end the process.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_util::sync::CancellationToken;

use super::Exit;

/// The signals that came.
pub(super) struct Signals {
    terminated: Arc<AtomicBool>,
}

/// Cancels `cancel` at the first SIGINT or SIGTERM. Must be called within the runtime.
pub(super) fn listen(cancel: CancellationToken) -> io::Result<Signals> {
    let terminated = Arc::new(AtomicBool::new(false));
    let noted = Arc::clone(&terminated);
    let mut next = Next::new()?;
    tokio::spawn(async move {
        let exit = next.signal().await;
        noted.store(exit == Exit::Terminated, Ordering::Relaxed);
        cancel.cancel();
    });
    Ok(Signals { terminated })
}

impl Signals {
    /// Names an interruption by its signal.
    pub(super) fn name(&self, exit: Exit) -> Exit {
        match exit {
            Exit::Interrupted if self.terminated.load(Ordering::Relaxed) => Exit::Terminated,
            exit => exit,
        }
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
