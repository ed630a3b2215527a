//! `tidegate backfill`: read windows of the past.

use super::args::{BackfillArguments, Output};
use super::{CliError, Exit, print, run};
use crate::model::Window;
use crate::run::{Backfill, Env, Reads};

/// Reads the windows of pipeline files that cover a time.
pub(super) async fn run(arguments: &BackfillArguments, output: Output, env: Env) -> Result<Exit, CliError> {
    let window = Window { from: arguments.from, to: arguments.to };
    if window.from >= window.to {
        print::problem("--from must be earlier than --to");
        return Ok(Exit::Refused);
    }
    let backfill = Backfill { window, missing: arguments.missing };
    run::bounded(&arguments.run, &arguments.bounds, Reads::Backfill(backfill), output, env).await
}
