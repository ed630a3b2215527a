//! A folder of its own for a test, and the `tidegate` binary run in it.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::python;

/// How long a run may take before it counts as stuck: far more than any needs, also on a busy machine.
const PATIENCE: Duration = Duration::from_mins(5);

/// A temporary folder; it goes with the value.
#[derive(Debug)]
pub(crate) struct Workspace {
    folder: TempDir,
}

/// How a run of the binary ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The exit code; none where a signal ended it.
    pub(crate) code: Option<i32>,
    /// What it printed.
    pub(crate) stdout: String,
    /// What it said besides.
    pub(crate) stderr: String,
}

impl Workspace {
    /// Makes an empty folder.
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::Builder::new().prefix("tidegate-it-").tempdir().unwrap() }
    }

    /// Returns a path in the folder.
    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    /// Writes a file, such as a pipeline file, and the folders above it.
    pub(crate) fn write(&self, below: &str, text: &str) -> PathBuf {
        let path = self.path(below);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// Starts a command line: `tidegate`, in the folder, with nothing of this process's environment but `PATH`.
    pub(crate) fn tidegate<'a>(&'a self, arguments: &[&str]) -> Run<'a> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        command.args(arguments).current_dir(self.folder.path()).env_clear().env("HOME", self.folder.path());
        command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        // Runs of tests plan with instants of their own, which may be later than the clock of the machine.
        command.env("TIDEGATE_ALLOW_FUTURE", "true");
        Run { command, _workspace: self }
    }

    /// Replaces what differs from run to run, for snapshots: this folder by `[DIR]`, loopback ports by `[PORT]`, durations such as
    /// `1.25s` and `340ms` by `[TIME]`.
    pub(crate) fn redact(&self, text: &str) -> String {
        let canonical = self.folder.path().canonicalize().unwrap();
        let mut text = text.to_owned();
        for folder in [canonical.as_path(), self.folder.path()] {
            text = text.replace(folder.to_str().unwrap(), "[DIR]");
        }
        durations(&ports(&text))
    }
}

/// A command line that is about to be run.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    command: Command,
    _workspace: &'a Workspace,
}

impl Run<'_> {
    /// Sets a variable of its environment.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<Path>) -> Self {
        self.command.env(name, value.as_ref());
        self
    }

    /// Gives it no more than so many KiB of addresses, beyond which memory is refused, and the process dies.
    pub(crate) fn limited(self, kibibytes: u32) -> Self {
        self.under(&format!("ulimit -v {kibibytes}"))
    }

    /// Lets no file of it grow beyond so many blocks of 512 bytes: a write beyond them fails.
    pub(crate) fn with_small_files(self, blocks: u32) -> Self {
        self.under(&format!("trap '' XFSZ; ulimit -f {blocks}"))
    }

    /// Starts it with SIGHUP ignored, as `nohup` does, or not, whatever this process was started by.
    pub(crate) fn outliving_its_terminal(self, outlives: bool) -> Self {
        let mut command = Command::new("env");
        command.arg(if outlives { "--ignore-signal=HUP" } else { "--default-signal=HUP" });
        self.through(command)
    }

    /// Has it write to where a shell's redirections such as `>/dev/full` lead.
    pub(crate) fn redirected(self, to: &str) -> Self {
        self.under(&format!("exec {to}"))
    }

    /// Closes its standard output after the first line was read.
    pub(crate) fn read_for_one_line(self) -> Self {
        self.under("mkfifo said && { head -n 1 said >/dev/null & } && exec >said")
    }

    /// Starts it from a shell that was told something before.
    fn under(self, told: &str) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{told} && exec \"$0\" \"$@\"")]);
        self.through(command)
    }

    /// Has another command start it, whose last arguments are its own command line.
    fn through(self, mut command: Command) -> Self {
        command.arg(self.command.get_program()).args(self.command.get_args()).env_clear();
        command.envs(self.command.get_envs().filter_map(|(name, value)| value.map(|value| (name, value))));
        command.current_dir(self.command.get_current_dir().unwrap());
        Self { command, ..self }
    }

    /// Kills it before its `nth` change to the folder, from 1; 0 lets it live. Its changes are listed in the file `listing`, see
    /// `stop_before.py`.
    pub(crate) fn stopped_before(self, nth: usize, folder: &Path, listing: &Path) -> Self {
        let mut command = python::command("stop_before.py");
        command.arg(folder).arg(nth.to_string()).arg(listing);
        self.through(command)
    }

    /// Runs it to its end.
    pub(crate) fn run(self) -> Outcome {
        self.spawn().wait()
    }

    /// Starts it and leaves it running.
    pub(crate) fn spawn(self) -> Running {
        Running::start(self.command)
    }
}

/// A run that goes on. It is killed when dropped.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
}

impl Running {
    fn start(mut command: Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdout = collect(child.stdout.take().unwrap());
        let stderr = collect(child.stderr.take().unwrap());
        Self { child, stdout, stderr }
    }

    /// Kills it, as a power cut would, and returns what it had said. A run that had ended before keeps its exit code.
    pub(crate) fn kill(mut self) -> Outcome {
        // It fails only where the process is gone already.
        let _ = self.child.kill();
        self.wait()
    }

    /// The number of the process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name, such as `INT` or `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success(), "kill -s {name}: {sent}");
    }

    /// Tells whether it has ended by itself.
    pub(crate) fn has_ended(&self) -> bool {
        let state = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        // A process that has ended, and that nobody has waited for, is a zombie.
        state.map_or(true, |state| state.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('Z')))
    }

    /// Waits for its end.
    pub(crate) fn wait(mut self) -> Outcome {
        let deadline = Instant::now() + PATIENCE;
        let left = || deadline.saturating_duration_since(Instant::now());
        let said = (self.stdout.recv_timeout(left()), self.stderr.recv_timeout(left()));
        let (Ok(stdout), Ok(stderr)) = said else {
            self.child.kill().unwrap();
            panic!("still running after {PATIENCE:?}: {said:?}, {:?}, {:?}", self.stdout.recv(), self.stderr.recv());
        };
        let status = self.child.wait().unwrap();
        Outcome { code: status.code(), stdout, stderr }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads all of `from` on a thread of its own, so that the child never waits for us.
fn collect(mut from: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}

fn ports(text: &str) -> String {
    let mut parts = text.split("127.0.0.1:");
    let mut redacted = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
        redacted.push_str(if rest.len() < part.len() { "127.0.0.1:[PORT]" } else { "127.0.0.1:" });
        redacted.push_str(rest);
    }
    redacted
}

fn durations(text: &str) -> String {
    let is_part = |c: char| c.is_alphanumeric() || "._-µ".contains(c);
    let mut redacted = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let word = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let gap = rest[word..].find(is_part).map_or(rest.len(), |at| word + at);
        let bare = rest[..word].trim_end_matches('.');
        redacted.push_str(if is_duration(bare) { "[TIME]" } else { bare });
        redacted.push_str(&rest[bare.len()..word]);
        redacted.push_str(&rest[word..gap]);
        rest = &rest[gap..];
    }
    redacted
}

fn is_duration(word: &str) -> bool {
    let units = ["ns", "µs", "us", "ms", "s"];
    let number = units.iter().find_map(|unit| word.strip_suffix(unit)).unwrap_or_default();
    number.starts_with(|c: char| c.is_ascii_digit()) && number.chars().all(|c| c.is_ascii_digit() || c == '.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binary_says_its_version_and_refuses_what_it_does_not_know() {
        let workspace = Workspace::new();
        let version = workspace.tidegate(&["--version"]).run();
        assert_eq!(version.stdout, concat!("tidegate ", env!("CARGO_PKG_VERSION"), "\n"), "{version:?}");
        assert_eq!(version.code, Some(0));
        let refused = workspace.tidegate(&["no-such-verb"]).run();
        assert_eq!(refused.code, Some(2), "{refused:?}");
        assert!(refused.stderr.contains("no-such-verb"), "{refused:?}");
    }

    #[test]
    fn its_environment_is_empty_but_for_what_a_test_sets() {
        let workspace = Workspace::new();
        let refused = workspace.tidegate(&["schema"]).env("TIDEGATE_LOG_FORMAT", "no-such-format").run();
        assert!(refused.stderr.contains("no-such-format"), "{refused:?}");
    }

    #[test]
    fn a_run_can_be_killed_told_to_end_and_waited_for() {
        let start = |line: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", line]);
            Running::start(command)
        };
        assert_eq!(start("exec sleep 1000").kill().code, None);
        let running = start("exec sleep 1000");
        running.signal("TERM");
        assert_eq!(running.wait().code, None);
        let ended = start("echo said; echo besides >&2; exit 3").wait();
        assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (Some(3), "said\n", "besides\n"));
    }

    #[test]
    fn what_differs_from_run_to_run_is_redacted() {
        let workspace = Workspace::new();
        let path = workspace.write("below/file.yaml", "");
        let text = format!(
            "{}: http://127.0.0.1:34567/x took 1.25s, 340ms and 12s. Window 20260101T000000Z, s1-2s, keys",
            path.display()
        );
        let expected = "[DIR]/below/file.yaml: http://127.0.0.1:[PORT]/x took [TIME], [TIME] and [TIME]. Window 20260101T000000Z, s1-2s, keys";
        assert_eq!(workspace.redact(&text), expected);
    }
}
