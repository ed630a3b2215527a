//! The command line: one file a verb. Only here is anything printed, and only the caller of [`main`] ends the process.

mod args;
mod backfill;
mod deliver;
mod demo;
mod events;
mod health;
mod history;
mod init;
mod k8s;
mod ledger;
mod load;
mod lock;
mod page;
mod pause;
mod pinned;
mod plan;
mod preview;
mod print;
mod progress;
mod quarantine;
mod recording;
mod remedies;
mod report;
mod run;
mod schema;
mod serve;
mod signal;
mod status;
mod timeline;
mod told;
mod vacuum;
mod validate;
mod written;

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use clap::{CommandFactory as _, Parser as _};
use clap_complete::Shell;
use tokio_util::sync::CancellationToken;

use self::args::{Arguments, Command, LedgerCommand, LogFormat, Output};
pub use self::schema::{json_schema, report_schema};
use self::signal::HangUp;
use crate::clock::SystemClock;
use crate::extract::http::DEFAULT_MEMORY_LIMIT;
pub use crate::model::Exit;
use crate::objects::Stores;
use crate::run::{Bounds, Env, Progress, Reads, RunError, Silent, Sources, Terminated};
use crate::telemetry;

/// How often a worker that has nothing to do is woken: see [`keep_watch`].
const WATCH_EVERY: Duration = Duration::from_millis(200);

/// How long a blocking thread lives that has nothing to do. They take turns, so that with the default of ten seconds a daemon whose pipelines
/// all begin at once keeps the hundreds of threads that it needed for a moment, and what the allocator keeps for each.
const IDLE_THREAD: Duration = Duration::from_secs(1);

/// Threads for work that blocks, at most. Each run of `serve` has one for as long as it goes on, also one that waits for another process, and
/// what it does needs further ones.
const BLOCKING_THREADS: usize = 8 * args::MOST_RUNS;

/// Why a verb ended without an exit code of its own.
#[derive(Debug, thiserror::Error)]
enum CliError {
    /// The reader of our output has gone, or the disk is full.
    #[error("the output can't be written")]
    Output(#[from] io::Error),
    /// The runtime can't be started.
    #[error("the threads of the program can't be started")]
    Runtime(#[source] io::Error),
}

/// Parses the arguments, does what they say, and returns the exit code.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version come this way too, and are no mistake.
            let exit = if error.use_stderr() { Exit::Refused } else { Exit::Done };
            return printed(exit, &error.print()).into();
        }
    };
    let exit = std::panic::catch_unwind(|| start(&arguments)).unwrap_or_else(|_| {
        print::problem("this is a bug of Tidegate; what had landed is safe, and the next run goes on from there");
        Exit::Bug
    });
    exit.into()
}

/// Returns how the process ends that had to print help, or what is wrong with its arguments. A mistake stays one where nobody reads of it,
/// and so does help that is read by nobody.
fn printed(exit: Exit, printed: &io::Result<()>) -> Exit {
    match printed {
        Err(error) if exit == Exit::Done && error.kind() != io::ErrorKind::BrokenPipe => Exit::Bug,
        _ => exit,
    }
}

fn start(arguments: &Arguments) -> Exit {
    let format = match arguments.log_format {
        LogFormat::Text => telemetry::LogFormat::Text,
        LogFormat::Json => telemetry::LogFormat::Json,
    };
    let at_a_terminal = io::stdout().is_terminal() && io::stderr().is_terminal();
    let reports = at_a_terminal && arguments.output == Output::Text && !matches!(arguments.command, Command::Serve(_));
    if let Err(error) = telemetry::start(&arguments.log, format, reports) {
        print::problem(&format!("--log `{}` can't be read: {error}", arguments.log));
        return Exit::Refused;
    }
    match dispatch(arguments) {
        Ok(exit) => exit,
        Err(CliError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Done,
        Err(error) => {
            print::problem(&print::chain(&error));
            Exit::Bug
        }
    }
}

fn dispatch(arguments: &Arguments) -> Result<Exit, CliError> {
    let output = arguments.output;
    match &arguments.command {
        Command::Completions { shell } => completions(*shell),
        Command::K8s(k8s) => k8s::run(k8s, output),
        Command::Validate { files, locked } => validate::run(files, *locked, output),
        Command::Schema { report, command: None } => schema::run(*report),
        Command::Schema { command: Some(command), .. } => {
            block_on(DEFAULT_MEMORY_LIMIT, |env| pinned::run(command, output, env))
        }
        Command::Quarantine { command } => {
            block_on(quarantine::memory(command), |env| quarantine::run(command, output, env))
        }
        Command::Init(init) => look_on(DEFAULT_MEMORY_LIMIT, |env| init::run(init, output, env)),
        Command::Demo(demo) => block_on(DEFAULT_MEMORY_LIMIT, |env| demo::run(demo, output, env)),
        Command::Plan(plan) => look_on(plan.how.memory.bytes(), |env| plan::run(plan, Reads::Due, None, output, env)),
        Command::Preview(preview) => look_on(preview.memory.bytes(), |env| preview::run(preview, output, env)),
        Command::Record(these) => look_on(DEFAULT_MEMORY_LIMIT, |env| recording::record(these, output, env)),
        Command::Test(these) => look_on(DEFAULT_MEMORY_LIMIT, |env| recording::test(these, output, env)),
        Command::Deliver(deliver) => block_on(deliver.memory.bytes(), |env| deliver::run(deliver, output, env)),
        Command::Run { run, bounds } => {
            block_on(run.how.memory.bytes(), |env| run::bounded(run, bounds, Reads::Due, output, env))
        }
        Command::Serve(serve) => {
            with_signals(HangUp::GoesOn, serve.memory.bytes(), |env| serve::run(serve, output, env))
        }
        Command::Health(health) => look_on(DEFAULT_MEMORY_LIMIT, |_| health::run(health, output)),
        Command::Pause(these) => block_on(DEFAULT_MEMORY_LIMIT, |env| pause::run(these, true, output, env)),
        Command::Resume(these) => block_on(DEFAULT_MEMORY_LIMIT, |env| pause::run(these, false, output, env)),
        Command::Backfill(backfill) => {
            block_on(backfill.run.how.memory.bytes(), |env| backfill::run(backfill, output, env))
        }
        Command::History(history) => look_on(DEFAULT_MEMORY_LIMIT, |env| history::run(history, output, env)),
        Command::Vacuum(vacuum) => block_on(DEFAULT_MEMORY_LIMIT, |env| vacuum::run(vacuum, output, env)),
        Command::Ledger { command: LedgerCommand::Show(show) } => {
            look_on(DEFAULT_MEMORY_LIMIT, |env| ledger::show(show, output, env))
        }
        Command::Status { files, state } => look_on(DEFAULT_MEMORY_LIMIT, |env| status::run(files, state, output, env)),
    }
}

/// Prints what lets a shell complete command lines.
fn completions(shell: Shell) -> Result<Exit, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "tidegate", &mut script);
    print::text(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}

/// Runs a verb that does I/O, with a signal as its end. `memory_limit` is in bytes.
fn block_on<F: Future<Output = Result<Exit, CliError>>>(
    memory_limit: u64,
    verb: impl FnOnce(Env) -> F,
) -> Result<Exit, CliError> {
    with_signals(HangUp::Ends, memory_limit, verb)
}

/// As [`block_on`], for a verb that only looks: the first signal ends it, whatever it waits for.
fn look_on<F: Future<Output = Result<Exit, CliError>>>(
    memory_limit: u64,
    verb: impl FnOnce(Env) -> F,
) -> Result<Exit, CliError> {
    block_on(memory_limit, |env| {
        let (told, looking) = (env.clone(), verb(env));
        async move {
            tokio::select! {
                exit = looking => exit,
                () = told.cancel.cancelled() => Ok(told.exit(&RunError::Interrupted)),
            }
        }
    })
}

/// As [`block_on`], where a hang-up isn't the end for all.
fn with_signals<F: Future<Output = Result<Exit, CliError>>>(
    hang_up: HangUp,
    memory_limit: u64,
    verb: impl FnOnce(Env) -> F,
) -> Result<Exit, CliError> {
    let workers = thread::available_parallelism().map_or(2, |cores| cores.get().max(2));
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(workers).max_blocking_threads(BLOCKING_THREADS).thread_keep_alive(IDLE_THREAD);
    let runtime = runtime.enable_all().build();
    let runtime = runtime.map_err(CliError::Runtime)?;
    keep_watch(runtime.handle().clone())?;
    let (cancel, terminated) = (CancellationToken::new(), Terminated::default());
    let progress: Arc<dyn Progress> = match progress::Bars::on_terminal() {
        Some(bars) => Arc::new(bars),
        None => Arc::new(Silent),
    };
    let env = Env {
        clock: Arc::new(SystemClock),
        progress,
        sources: Arc::new(Sources::new(memory_limit)),
        stores: Arc::new(Stores::default()),
        cancel: cancel.clone(),
        terminated: terminated.clone(),
        bounds: Bounds::default(),
    };
    let exit = runtime.block_on(async {
        let hurry = signal::listen(cancel, terminated, hang_up).map_err(CliError::Runtime)?;
        tokio::select! {
            exit = verb(env) => exit,
            exit = hurry => Ok(exit),
        }
    });
    // What still runs on blocking threads writes only where no reader looks.
    runtime.shutdown_background();
    exit
}

/// Sees to it that timers, sockets and signals are looked after while a worker is busy for long: one of the workers does that whenever it has
/// nothing else to do, and until then nobody does, though others are idle. Such a time is what a server makes that sends interim
/// answers (1xx) without end: the HTTP client reads them on and on, some 50 MB in one go. Another worker that is woken takes over.
fn keep_watch(runtime: tokio::runtime::Handle) -> Result<(), CliError> {
    let watch = move || loop {
        thread::sleep(WATCH_EVERY);
        drop(runtime.spawn(async {}));
    };
    thread::Builder::new().name("watch".to_owned()).spawn(watch).map(drop).map_err(CliError::Runtime)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_of_usage_is_one_where_nobody_reads_of_it() {
        let closed = || Err(io::Error::from_raw_os_error(9));
        assert_eq!(printed(Exit::Refused, &closed()), Exit::Refused);
        assert_eq!(printed(Exit::Refused, &Ok(())), Exit::Refused);
        assert_eq!(printed(Exit::Done, &closed()), Exit::Bug, "help was asked for, and there is none");
        assert_eq!(printed(Exit::Done, &Err(io::ErrorKind::BrokenPipe.into())), Exit::Done);
    }
}
