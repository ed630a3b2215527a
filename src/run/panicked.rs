//! A panic is a bug of ours. It ends the run that it comes about in, as an error that says what it said, and no other.

use std::any::Any;
use std::panic::AssertUnwindSafe;

use futures::FutureExt as _;

use super::RunError;

/// Does some work of a run, and takes a panic for an error. What the panic left half done goes with the work; what it had begun in
/// the ledger is settled by the next run, as after a crash.
pub(super) async fn caught<T, E: From<RunError>>(work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    let ended = AssertUnwindSafe(work).catch_unwind().await;
    ended.unwrap_or_else(|panic| Err(RunError::panicked(panic.as_ref()).into()))
}

impl RunError {
    /// Says what a panic said.
    pub(crate) fn panicked(panic: &(dyn Any + Send)) -> Self {
        let said = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let said = said.or_else(|| panic.downcast_ref::<String>().cloned());
        Self::Panicked { said: said.unwrap_or_else(|| "it said nothing".to_owned()) }
    }
}
