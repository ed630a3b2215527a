//! What the program says about itself, and about a command line that it doesn't understand.

use crate::support::workspace::Workspace;

/// Returns what a command line prints on standard output, where it ends well.
fn print(arguments: &[&str]) -> String {
    let outcome = Workspace::new().tidegate(arguments).run();
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{arguments:?}");
    outcome.stdout.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// Returns what is said about a command line that is refused.
fn refuse(arguments: &[&str]) -> String {
    let outcome = Workspace::new().tidegate(arguments).run();
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""), "{arguments:?}: {outcome:?}");
    outcome.stderr
}

#[test]
fn help() {
    insta::assert_snapshot!(print(&["-h"]), @"
    Exports data from paginated REST APIs into a data lake, without losing or doubling a row

    Usage: tidegate [OPTIONS] <COMMAND>

    Commands:
      demo         Export simulated appliances into a small lake on disk, to see how it goes
      init         Write a pipeline file to begin with, by what one answer of an API shows
      validate     Check pipeline files and report all their mistakes
      plan         Show what a run would do: the slices that are due and their first requests. Nothing
                   is sent
      preview      Fetch a job's first rows and show what would land. Nothing lands
      record       Take an API's answers down, so that a pipeline file can be tried without it. Nothing
                   lands
      test         Try pipeline files against recorded answers: what would land, compared with what
                   would have. Nothing is sent
      run          Extract what is due and land it
      serve        Run every pipeline file of a folder on its own schedule, until told to end
      health       Ask whether `tidegate serve` goes on: a health check for an image without a shell.
                   Exit code 1 where it doesn't
      pause        Pause pipelines: `tidegate serve` doesn't run them on schedule until they are resumed
      resume       Resume paused pipelines with their next instant. What came while they were paused
                   isn't made up for
      deliver      Send what has landed for `http` sinks and wasn't sent yet. Each run does it as well,
                   at its end
      backfill     Read windows of the past: those that cover a time, landed or not
      history      Show what runs did, newest first
      vacuum       Remove what nothing names any more: files of lost runs, old entries of the log
      ledger       Look into a pipeline's ledger
      status       Show what has landed
      k8s          Print the Kubernetes objects that run a pipeline file: a `CronJob`, or a Job for a
                   backfill
      schema       Print the JSON Schema of pipeline files, for editors; or show, compare and accept
                   what is pinned of a job's columns
      quarantine   List, show and replay the rows that didn't fit
      completions  Print a script that lets a shell complete verbs, options and files
      help         Print this message or the help of the given subcommand(s)

    Options:
          --output <FORMAT>      How results are printed [default: text] [possible values: text, json]
          --log <FILTER>         What is logged to standard error: `error`, `warn`, `info`, `debug`,
                                 `trace`, or a filter such as `tidegate=debug` [env: TIDEGATE_LOG=]
                                 [default: warn]
          --log-format <FORMAT>  How it is logged [env: TIDEGATE_LOG_FORMAT=] [default: text] [possible
                                 values: text, json]
      -h, --help                 Print help (see more with '--help')
      -V, --version              Print version
    ");
}

#[test]
fn help_of_each_verb() {
    let verbs =
        ["demo", "validate", "plan", "preview", "run", "deliver", "backfill", "serve", "pause", "resume", "history"];
    for verb in verbs.into_iter().chain(["vacuum", "ledger", "status", "schema", "k8s", "init", "completions"]) {
        let long = print(&["help", verb]);
        assert_eq!(long, print(&[verb, "--help"]), "{verb}");
        assert!(long.contains(&format!("Usage: tidegate {verb}")), "{long}");
        // Each option says what it does.
        for option in long.split("\n      --").skip(1) {
            let words = option.lines().nth(1).map(str::trim).unwrap_or_default();
            assert!(words.len() > 10, "{verb}: --{option}");
        }
    }
    insta::assert_snapshot!(print(&["validate", "-h"]), @"
    Check pipeline files and report all their mistakes

    Usage: tidegate validate [OPTIONS] <FILE>...

    Arguments:
      <FILE>...  The pipeline files

    Options:
          --locked               Compare jobs and `schema.columns` with the lock file, `FILE.lock`
          --output <FORMAT>      How results are printed [default: text] [possible values: text, json]
          --log <FILTER>         What is logged to standard error: `error`, `warn`, `info`, `debug`,
                                 `trace`, or a filter such as `tidegate=debug` [env: TIDEGATE_LOG=]
                                 [default: warn]
          --log-format <FORMAT>  How it is logged [env: TIDEGATE_LOG_FORMAT=] [default: text] [possible
                                 values: text, json]
      -h, --help                 Print help (see more with '--help')
    ");
    insta::assert_snapshot!(print(&["plan", "-h"]), @"
    Show what a run would do: the slices that are due and their first requests. Nothing is sent

    Usage: tidegate plan [OPTIONS] <FILE>...

    Arguments:
      <FILE>...  The pipeline files

    Options:
          --job <NAME>           Only these jobs, and the jobs that they need the rows of
          --shard <I/N>          Only the slices of one of N parts, I from 0: N runs at once, each with
                                 its own I, divide the work, in one ledger [env: TIDEGATE_SHARD=]
          --shards <N>           As `--shard`, with I from `JOB_COMPLETION_INDEX`, which Kubernetes sets
                                 in an Indexed Job [env: TIDEGATE_SHARDS=]
          --state <URL>          Where the ledger is kept: a folder, or `s3://bucket/prefix` [env:
                                 TIDEGATE_STATE=] [default: ./.tidegate]
          --now <TIME>           The instant to plan with, RFC 3339. Default: now
          --no-wait              Leave with exit code 4 if another run of the pipeline is on, instead of
                                 waiting for it
          --lease-ttl <TIME>     How long a run that was killed keeps the next one waiting where the
                                 state is in a bucket, which has no locks: 1s to 1h [env:
                                 TIDEGATE_LEASE_TTL=] [default: 60s]
          --allow-shrink         Replace what landed even by fewer rows, or by rows that don't fit
          --retry-refused        Send a credential though the server refused it in the last five
                                 minutes, such as for an account that was unlocked
          --accept <HOW>         What becomes of what has landed where an edit of the pipeline file
                                 changes what names it, such as `key` or a sink's `url`. Say it once: a
                                 run without such an edit ignores it [possible values: future, reland]
          --allow-future         Read windows that haven't ended yet by this machine's clock or the
                                 server's: what comes later is then missed [env: TIDEGATE_ALLOW_FUTURE]
          --memory-limit <SIZE>  How much memory answers in flight may take, and the work on them,
                                 together, such as 64MiB or 1GiB [env: TIDEGATE_MEMORY_LIMIT=] [default:
                                 256MiB]
          --locked               Refuse to leave the schemas of the lock file, which lies beside the
                                 pipeline file: `FILE.lock`, as `tidegate schema lock` writes it
          --output <FORMAT>      How results are printed [default: text] [possible values: text, json]
          --log <FILTER>         What is logged to standard error: `error`, `warn`, `info`, `debug`,
                                 `trace`, or a filter such as `tidegate=debug` [env: TIDEGATE_LOG=]
                                 [default: warn]
          --log-format <FORMAT>  How it is logged [env: TIDEGATE_LOG_FORMAT=] [default: text] [possible
                                 values: text, json]
      -h, --help                 Print help (see more with '--help')
    ");
    insta::assert_snapshot!(print(&["preview", "-h"]), @"
    Fetch a job's first rows and show what would land. Nothing lands

    Usage: tidegate preview [OPTIONS] <FILE> <JOB>

    Arguments:
      <FILE>  The pipeline file
      <JOB>   The job

    Options:
          --rows <N>             How many rows to show [default: 10]
          --now <TIME>           The instant to plan with, RFC 3339. Default: now
          --retry-refused        Send a credential though the server refused it in the last five
                                 minutes, such as for an account that was unlocked
          --state <URL>          Where the ledger is kept: a folder, or `s3://bucket/prefix` [env:
                                 TIDEGATE_STATE=] [default: ./.tidegate]
          --memory-limit <SIZE>  How much memory answers in flight may take, and the work on them,
                                 together, such as 64MiB or 1GiB [env: TIDEGATE_MEMORY_LIMIT=] [default:
                                 256MiB]
          --output <FORMAT>      How results are printed [default: text] [possible values: text, json]
          --log <FILTER>         What is logged to standard error: `error`, `warn`, `info`, `debug`,
                                 `trace`, or a filter such as `tidegate=debug` [env: TIDEGATE_LOG=]
                                 [default: warn]
          --log-format <FORMAT>  How it is logged [env: TIDEGATE_LOG_FORMAT=] [default: text] [possible
                                 values: text, json]
      -h, --help                 Print help (see more with '--help')
    ");
    insta::assert_snapshot!(print(&["run", "-h"]), @"
    Extract what is due and land it

    Usage: tidegate run [OPTIONS] <FILE>...

    Arguments:
      <FILE>...  The pipeline files

    Options:
          --job <NAME>           Only these jobs, and the jobs that they need the rows of
          --shard <I/N>          Only the slices of one of N parts, I from 0: N runs at once, each with
                                 its own I, divide the work, in one ledger [env: TIDEGATE_SHARD=]
          --shards <N>           As `--shard`, with I from `JOB_COMPLETION_INDEX`, which Kubernetes sets
                                 in an Indexed Job [env: TIDEGATE_SHARDS=]
          --state <URL>          Where the ledger is kept: a folder, or `s3://bucket/prefix` [env:
                                 TIDEGATE_STATE=] [default: ./.tidegate]
          --now <TIME>           The instant to plan with, RFC 3339. Default: now
          --no-wait              Leave with exit code 4 if another run of the pipeline is on, instead of
                                 waiting for it
          --lease-ttl <TIME>     How long a run that was killed keeps the next one waiting where the
                                 state is in a bucket, which has no locks: 1s to 1h [env:
                                 TIDEGATE_LEASE_TTL=] [default: 60s]
          --allow-shrink         Replace what landed even by fewer rows, or by rows that don't fit
          --retry-refused        Send a credential though the server refused it in the last five
                                 minutes, such as for an account that was unlocked
          --accept <HOW>         What becomes of what has landed where an edit of the pipeline file
                                 changes what names it, such as `key` or a sink's `url`. Say it once: a
                                 run without such an edit ignores it [possible values: future, reland]
          --allow-future         Read windows that haven't ended yet by this machine's clock or the
                                 server's: what comes later is then missed [env: TIDEGATE_ALLOW_FUTURE]
          --memory-limit <SIZE>  How much memory answers in flight may take, and the work on them,
                                 together, such as 64MiB or 1GiB [env: TIDEGATE_MEMORY_LIMIT=] [default:
                                 256MiB]
          --locked               Refuse to leave the schemas of the lock file, which lies beside the
                                 pipeline file: `FILE.lock`, as `tidegate schema lock` writes it
          --dry-run              Show what the run would do, as `tidegate plan` does, and send nothing
          --max-duration <TIME>  Begin no slices after so long, such as 30m. What has begun lands, the
                                 rest is for the next run: exit code 5
          --max-requests <N>     Begin no slices after so many requests, retries included. What has
                                 begun lands, at the cost of a few more: exit code 5
          --max-slices <N>       Begin so many slices at most: exit code 5 where more are due
          --report <FILE|URL>    Write the run's report as JSON to a file, or post it to a URL [env:
                                 TIDEGATE_REPORT]
          --metrics-file <FILE>  Write the run's metrics to a file, for the textfile collector of the
                                 node exporter: give it a name that ends with `.prom` [env:
                                 TIDEGATE_METRICS_FILE=]
          --output <FORMAT>      How results are printed [default: text] [possible values: text, json]
          --log <FILTER>         What is logged to standard error: `error`, `warn`, `info`, `debug`,
                                 `trace`, or a filter such as `tidegate=debug` [env: TIDEGATE_LOG=]
                                 [default: warn]
          --log-format <FORMAT>  How it is logged [env: TIDEGATE_LOG_FORMAT=] [default: text] [possible
                                 values: text, json]
      -h, --help                 Print help (see more with '--help')
    ");
    insta::assert_snapshot!(print(&["status", "-h"]), @r"
    Show what has landed

    Usage: tidegate status [OPTIONS] <FILE>...

    Arguments:
      <FILE>...  The pipeline files

    Options:
          --state <URL>          Where the ledger is kept: a folder, or `s3://bucket/prefix` [env:
                                 TIDEGATE_STATE=] [default: ./.tidegate]
          --output <FORMAT>      How results are printed [default: text] [possible values: text, json]
          --log <FILTER>         What is logged to standard error: `error`, `warn`, `info`, `debug`,
                                 `trace`, or a filter such as `tidegate=debug` [env: TIDEGATE_LOG=]
                                 [default: warn]
          --log-format <FORMAT>  How it is logged [env: TIDEGATE_LOG_FORMAT=] [default: text] [possible
                                 values: text, json]
      -h, --help                 Print help (see more with '--help')
    ");
    insta::assert_snapshot!(print(&["demo", "-h"]), @r"
    Export simulated appliances into a small lake on disk, to see how it goes

    Usage: tidegate demo [OPTIONS]

    Options:
          --out <DIR>            The folder for the lake and the state [default: ./tidegate-demo]
          --records <N>          How many alerts the simulated ntopng has, and how many flows the
                                 simulated Scrutinizer and Secure Workload; Lastline has a twentieth as
                                 many log entries [default: 10000]
          --output <FORMAT>      How results are printed [default: text] [possible values: text, json]
          --log <FILTER>         What is logged to standard error: `error`, `warn`, `info`, `debug`,
                                 `trace`, or a filter such as `tidegate=debug` [env: TIDEGATE_LOG=]
                                 [default: warn]
          --log-format <FORMAT>  How it is logged [env: TIDEGATE_LOG_FORMAT=] [default: text] [possible
                                 values: text, json]
      -h, --help                 Print help (see more with '--help')
    ");
}

#[test]
fn long_help() {
    insta::assert_snapshot!(print(&["help", "run"]), @"
    Extract what is due and land it

    Usage: tidegate run [OPTIONS] <FILE>...

    Arguments:
      <FILE>...
              The pipeline files

    Options:
          --job <NAME>
              Only these jobs, and the jobs that they need the rows of

          --shard <I/N>
              Only the slices of one of N parts, I from 0: N runs at once, each with its own I, divide
              the work, in one ledger.

              Which slices are whose follows from their names, and never changes. Runs that divide by
              another N, or not at all, wait; one that was killed is repeated with the same I/N.
              Together they keep to the file's `rate_limit`; each has `concurrency` requests out, and a
              session of its own. Snapshots carry the instant of the run that reads them: give all runs
              one `--now` where it must be the same.

              [env: TIDEGATE_SHARD=]

          --shards <N>
              As `--shard`, with I from `JOB_COMPLETION_INDEX`, which Kubernetes sets in an Indexed Job

              [env: TIDEGATE_SHARDS=]

          --state <URL>
              Where the ledger is kept: a folder, or `s3://bucket/prefix`.

              A folder must lie on a file system whose locks work between all machines that use it. A
              bucket must keep to conditional writes, as Amazon S3 does; credentials, region and end
              point come from the environment (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`,
              `AWS_SESSION_TOKEN`, `AWS_REGION`, `AWS_ENDPOINT_URL`, `AWS_ALLOW_HTTP`) or from the
              machine's role. `gs://` and `az://` are experimental: they haven't been tried against the
              real services. What `memory://` keeps ends with the process.

              [env: TIDEGATE_STATE=]
              [default: ./.tidegate]

          --now <TIME>
              The instant to plan with, RFC 3339. Default: now

          --no-wait
              Leave with exit code 4 if another run of the pipeline is on, instead of waiting for it

          --lease-ttl <TIME>
              How long a run that was killed keeps the next one waiting where the state is in a bucket,
              which has no locks: 1s to 1h.

              It is also how long a run may be cut off from its state before it stops. Runs needn't
              agree on it.

              [env: TIDEGATE_LEASE_TTL=]
              [default: 60s]

          --allow-shrink
              Replace what landed even by fewer rows, or by rows that don't fit

          --retry-refused
              Send a credential though the server refused it in the last five minutes, such as for an
              account that was unlocked

          --accept <HOW>
              What becomes of what has landed where an edit of the pipeline file changes what names it,
              such as `key` or a sink's `url`. Say it once: a run without such an edit ignores it

              Possible values:
              - future: What has landed stays; the edit applies to what lands from now on
              - reland: What has landed is read again, and replaced

          --allow-future
              Read windows that haven't ended yet by this machine's clock or the server's: what comes
              later is then missed

              [env: TIDEGATE_ALLOW_FUTURE]

          --memory-limit <SIZE>
              How much memory answers in flight may take, and the work on them, together, such as 64MiB
              or 1GiB

              [env: TIDEGATE_MEMORY_LIMIT=]
              [default: 256MiB]

          --locked
              Refuse to leave the schemas of the lock file, which lies beside the pipeline file:
              `FILE.lock`, as `tidegate schema lock` writes it

          --dry-run
              Show what the run would do, as `tidegate plan` does, and send nothing

          --max-duration <TIME>
              Begin no slices after so long, such as 30m. What has begun lands, the rest is for the next
              run: exit code 5

          --max-requests <N>
              Begin no slices after so many requests, retries included. What has begun lands, at the
              cost of a few more: exit code 5

          --max-slices <N>
              Begin so many slices at most: exit code 5 where more are due

          --report <FILE|URL>
              Write the run's report as JSON to a file, or post it to a URL.

              `tidegate schema --report` prints its JSON Schema. A report that can't be delivered is an
              error message; the exit code stays that of the run. A file is replaced as a whole, behind
              a link too; a pipe or a device, such as `/dev/stdout`, is written to.

              [env: TIDEGATE_REPORT]

          --metrics-file <FILE>
              Write the run's metrics to a file, for the textfile collector of the node exporter: give
              it a name that ends with `.prom`.

              docs/metrics.md lists them. A file that can't be written is an error message; the exit
              code stays that of the run.

              [env: TIDEGATE_METRICS_FILE=]

          --output <FORMAT>
              How results are printed

              Possible values:
              - text: For people: tables and sentences
              - json: For programs: one JSON document

              [default: text]

          --log <FILTER>
              What is logged to standard error: `error`, `warn`, `info`, `debug`, `trace`, or a filter
              such as `tidegate=debug`

              [env: TIDEGATE_LOG=]
              [default: warn]

          --log-format <FORMAT>
              How it is logged

              Possible values:
              - text: One line an event, for people
              - json: One JSON object an event

              [env: TIDEGATE_LOG_FORMAT=]
              [default: text]

      -h, --help
              Print help (see a summary with '-h')

    Exit codes, and what whoever started the run does:
        0  all that was due has landed, or nothing was due: nothing
        1  slices were due, and none landed: try again later; what is due stays due
        2  the pipeline file or the usage was refused: don't try again, tell a person
        3  some slices landed and some failed: try again later; only the failed ones are read again
        4  another run of the pipeline is on (--no-wait): nothing, that run does the work
        5  stopped at --max-duration, --max-requests or --max-slices: run again for the rest
       70  a bug of Tidegate: trying again is safe; report it
      130  interrupted (SIGINT): run again; what wasn't published was thrown away
      143  told to end (SIGTERM, or SIGHUP but under nohup): as 130
    ");
}

#[test]
fn usage_mistakes() {
    insta::assert_snapshot!(refuse(&["vaildate", "x.yaml"]), @r"
    error: unrecognized subcommand 'vaildate'

      tip: a similar subcommand exists: 'validate'

    Usage: tidegate [OPTIONS] <COMMAND>

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(refuse(&["validate"]), @r"
    error: the following required arguments were not provided:
      <FILE>...

    Usage: tidegate validate <FILE>...

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(refuse(&["run", "--jobs", "a", "x.yaml"]), @r"
    error: unexpected argument '--jobs' found

      tip: a similar argument exists: '--job'

    Usage: tidegate run --job <NAME> <FILE>...

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(refuse(&["schema", "--output", "xml"]), @r"
    error: invalid value 'xml' for '--output <FORMAT>'
      [possible values: text, json]

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(refuse(&["run", "--now", "yesterday", "x.yaml"]), @r"
    error: invalid value 'yesterday' for '--now <TIME>': write an instant with an offset, such as 2026-01-01T00:00:00Z

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(refuse(&["preview", "x.yaml", "a", "--rows", "0"]), @r"
    error: invalid value '0' for '--rows <N>': number would be zero for non-zero type

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(refuse(&["--log", "a=b=c", "schema"]), @r#"
    error: --log `a=b=c` can't be read: error parsing level filter: expected one of "off", "error", "warn", "info", "debug", "trace", or a number 0-5
    "#);
}

#[test]
fn without_a_verb_the_help_is_shown() {
    assert!(refuse(&[]).contains("Usage: tidegate [OPTIONS] <COMMAND>"));
}

/// The scripts are the crate's own; that they are ours, and complete, bash tells.
#[test]
fn bash_completes_verbs_and_options() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(print(&["completions", shell]).contains("quarantine"), "{shell}");
    }
    let workspace = Workspace::new();
    workspace.write("script", &print(&["completions", "bash"]));
    let complete = |words: &str, last: &str| {
        let script = format!(
            "source {}; COMP_WORDS=(tidegate {words} {last}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _tidegate tidegate {last} x; echo ${{COMPREPLY[@]}}",
            workspace.path("script").display()
        );
        let bash = std::process::Command::new("bash").args(["-c", &script]).output().unwrap();
        String::from_utf8(bash.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(complete("", "vali"), "validate");
    assert_eq!(complete("run", "--allow"), "--allow-shrink --allow-future");
    assert_eq!(complete("quarantine", "re"), "replay");
}
