//! `tidegate demo`: simulated appliances, exported into a small lake.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, TimeZone as _, Utc};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::args::{DemoArguments, Output};
use super::{CliError, Exit, print, run};
use crate::appliance::lastline::{Lastline, LastlineConfig};
use crate::appliance::ntopng::{Ntopng, NtopngConfig};
use crate::appliance::scrutinizer::{Scrutinizer, ScrutinizerConfig};
use crate::appliance::secure_workload::{SecureWorkload, SecureWorkloadConfig};
use crate::clock::ManualClock;
use crate::ledger::Timing;
use crate::model::RunEnd;
use crate::pipeline::check;
use crate::pipeline::load::{Lookup, Source, diagnostic};
use crate::plan::Shard;
use crate::run::{Env, Options};

/// An appliance and the pipeline that exports it.
struct Exhibit {
    /// What is simulated.
    title: &'static str,
    /// How one logs in.
    login: &'static str,
    /// The pipeline's file, and its text: the one that is shipped, letter for letter.
    file: &'static str,
    text: &'static str,
    /// The values of its variables, beside the address and the lake.
    values: &'static [(&'static str, &'static str)],
    /// The variable of the address.
    url: &'static str,
    /// Serves the appliance with so many records, as of an instant.
    start: fn(TcpListener, usize, DateTime<Utc>, CancellationToken) -> JoinHandle<()>,
}

const EXHIBITS: [Exhibit; 4] = [
    Exhibit {
        title: "ntopng",
        login: "user admin, password admin",
        file: "pipelines/ntopng.yaml",
        text: include_str!("../../pipelines/ntopng.yaml"),
        values: &[("NTOPNG_USER", "admin"), ("NTOPNG_PASSWORD", "admin"), ("NTOPNG_START", "-3d")],
        url: "NTOPNG_URL",
        start: |listener, alerts, now, stop| {
            let config = NtopngConfig { alerts, days: 3, ..NtopngConfig::default() };
            tokio::spawn(Ntopng::new(config, Arc::new(ManualClock::new(now))).serve(listener, stop))
        },
    },
    Exhibit {
        title: "Scrutinizer",
        login: "token scrutinizer-token",
        file: "pipelines/scrutinizer.yaml",
        text: include_str!("../../pipelines/scrutinizer.yaml"),
        values: &[("SCRUTINIZER_TOKEN", "scrutinizer-token"), ("SCRUTINIZER_START", "-12h")],
        url: "SCRUTINIZER_URL",
        start: |listener, flows, now, stop| {
            let config = ScrutinizerConfig { flows, hours: 13, ..ScrutinizerConfig::default() };
            tokio::spawn(Scrutinizer::new(config, Arc::new(ManualClock::new(now))).serve(listener, stop))
        },
    },
    Exhibit {
        title: "Cisco Secure Workload",
        login: "each request is signed",
        file: "pipelines/secure_workload.yaml",
        text: include_str!("../../pipelines/secure_workload.yaml"),
        values: &[
            ("CSW_KEY", "00112233445566778899aabbccddeeff"),
            ("CSW_SECRET", "0123456789abcdef0123456789abcdef"),
            ("CSW_APPLICATION", "5c93da83497d4f33d7145960"),
            ("CSW_START", "-6h"),
        ],
        url: "CSW_URL",
        start: |listener, flows, now, stop| {
            // As many flows a page as are asked for: the pipeline sends five requests a second.
            let config = SecureWorkloadConfig { flows, hours: 7, max_limit: 500, ..SecureWorkloadConfig::default() };
            tokio::spawn(SecureWorkload::new(config, Arc::new(ManualClock::new(now))).serve(listener, stop))
        },
    },
    Exhibit {
        title: "Lastline",
        login: "user tidegate, password lastline-password",
        file: "pipelines/lastline.yaml",
        text: include_str!("../../pipelines/lastline.yaml"),
        values: &[("LASTLINE_USER", "tidegate"), ("LASTLINE_PASSWORD", "lastline-password"), ("LASTLINE_START", "-4d")],
        url: "LASTLINE_URL",
        start: |listener, records, now, stop| {
            let sensors = u32::try_from(records / 2500).unwrap_or(u32::MAX).clamp(1, 40);
            let config = LastlineConfig { entries: records / 20, sensors, days: 5, ..LastlineConfig::default() };
            tokio::spawn(Lastline::new(config, Arc::new(ManualClock::new(now))).serve(listener, stop))
        },
    },
];

/// Runs the demo.
pub(super) async fn run(arguments: &DemoArguments, output: Output, env: Env) -> Result<Exit, CliError> {
    let options = Options {
        shard: Shard::WHOLE,
        run: crate::run::new_id(now()),
        scheduled_for: None,
        state: shown(&arguments.out.join("state")),
        lease_ttl: Timing::default().ttl,
        now: now(),
        jobs: Vec::new(),
        wait: true,
        allow_shrink: false,
        retry_refused: false,
        accept: None,
        allow_future: true,
        lock: None,
        reads: crate::run::Reads::Due,
    };
    let mut reports = Vec::new();
    let mut exit: Option<Exit> = None;
    for exhibit in &EXHIBITS {
        let ended = match exhibit.run(arguments, output, &options, &env).await? {
            Ok(end) => {
                reports.extend(end.report);
                end.exit_code
            }
            Err(ended) => ended,
        };
        exit = Some(exit.map_or(ended, |exit| exit.and(ended)));
        if ended.is_interruption() {
            break;
        }
    }
    match output {
        Output::Json => print::json(&reports)?,
        Output::Text if reports.is_empty() => {}
        Output::Text => print::text(&next(&arguments.out, &options))?,
    }
    Ok(exit.unwrap_or(Exit::Done))
}

impl Exhibit {
    /// Serves the appliance, exports it and prints the report.
    async fn run(
        &self,
        arguments: &DemoArguments,
        output: Output,
        options: &Options,
        env: &Env,
    ) -> Result<Result<RunEnd, Exit>, CliError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let stop = CancellationToken::new();
        let server = (self.start)(listener, arguments.records, options.now, stop.clone());
        if output == Output::Text {
            print::text(&format!("A simulated {} answers at {url} ({}).\n", self.title, self.login))?;
        }
        let values = Values { exhibit: self, url, lake: shown(&arguments.out.join("lake")) };
        let source = Source { name: self.file.to_owned(), text: self.text.to_owned() };
        let ended = match check::load(&source, &values) {
            Ok(checked) => Ok(run::one(Path::new(self.file), &checked.pipeline, options, env, output).await),
            Err(mistakes) => {
                print::note(&diagnostic::render(&mistakes, &source, print::colour()));
                Err(Exit::Bug)
            }
        };
        stop.cancel();
        // A server that panicked is a bug, and the run above has told of its consequences already.
        let _ = server.await;
        Ok(ended)
    }
}

/// The demo's instant. It stands still, so that two demos give the same lake.
fn now() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 1, 8, 0, 20, 0).single().unwrap_or_default()
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn next(out: &Path, options: &Options) -> String {
    let lake = shown(&out.join("lake"));
    format!(
        "The lake is in {lake}, the ledgers in {state}. Look at it:\n\n  \
         duckdb -c \"SELECT severity, count(*) FROM '{lake}/ntopng/flow_alerts/**/*.parquet' GROUP BY ALL\"\n  \
         duckdb -c \"SELECT direction, sum(packets) FROM '{lake}/scrutinizer/conversations/**/*.parquet' GROUP BY ALL\"\n  \
         duckdb -c \"SELECT category, sum(fwd_pkts) FROM '{lake}/secure_workload/flows/**/*.parquet' GROUP BY ALL\"\n  \
         duckdb -c \"SELECT metric, avg(value), any_value(unit) FROM '{lake}/lastline/values/**/*.parquet' GROUP BY ALL\"\n\n\
         Run the demo again: nothing lands twice. Export a real appliance:\n\n  \
         NTOPNG_URL=http://ntopng:3000 NTOPNG_PASSWORD=... cargo run -- run pipelines/ntopng.yaml\n  \
         SCRUTINIZER_URL=https://scrutinizer SCRUTINIZER_TOKEN=... cargo run -- run pipelines/scrutinizer.yaml\n  \
         CSW_URL=https://csw CSW_KEY=... CSW_SECRET=... CSW_APPLICATION=... cargo run -- run pipelines/secure_workload.yaml\n  \
         LASTLINE_URL=https://lastline LASTLINE_USER=... LASTLINE_PASSWORD=... cargo run -- run pipelines/lastline.yaml",
        state = options.state,
    )
}

/// What `${...}` stands for in the demo; the environment has no say in it.
struct Values<'a> {
    exhibit: &'a Exhibit,
    url: String,
    lake: String,
}

impl Lookup for Values<'_> {
    fn var(&self, name: &str) -> Option<String> {
        match name {
            "LAKE" => Some(self.lake.clone()),
            url if url == self.exhibit.url => Some(self.url.clone()),
            _ => {
                let known = self.exhibit.values.iter().find(|(known, _)| *known == name);
                known.map(|(_, value)| (*value).to_owned())
            }
        }
    }

    fn file(&self, path: &str) -> Result<String, String> {
        Err(format!("the demo reads no file, and {path} least of all"))
    }
}
