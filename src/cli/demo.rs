//! `tidegate demo`: a simulated appliance, exported into a small lake.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, TimeZone as _, Utc};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::args::{DemoArguments, Output};
use super::{CliError, Exit, print, run};
use crate::appliance::ntopng::{Ntopng, NtopngConfig};
use crate::clock::ManualClock;
use crate::pipeline::check;
use crate::pipeline::load::{Lookup, Source, diagnostic};
use crate::run::{Env, Options};

/// The pipeline that the demo runs is the one that is shipped, letter for letter.
const NTOPNG: &str = include_str!("../../pipelines/ntopng.yaml");

/// Days of history that the simulated appliance has.
const DAYS: u32 = 7;

/// Runs the demo.
pub(super) async fn run(arguments: &DemoArguments, output: Output, env: Env) -> Result<Exit, CliError> {
    let now = now();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let config = NtopngConfig { alerts: arguments.records, days: DAYS, ..NtopngConfig::default() };
    let appliance = Ntopng::new(config, Arc::new(ManualClock::new(now)));
    let stop = CancellationToken::new();
    let server = tokio::spawn(Arc::clone(&appliance).serve(listener, stop.clone()));
    if output == Output::Text {
        print::text(&format!("A simulated ntopng answers at http://{address} (user admin, password admin).\n"))?;
    }
    let values = Values { url: format!("http://{address}"), lake: shown(&arguments.out.join("lake")) };
    let source = Source { name: "pipelines/ntopng.yaml".to_owned(), text: NTOPNG.to_owned() };
    let exit = match check::load(&source, &values) {
        Ok(checked) => {
            let options = Options {
                state: shown(&arguments.out.join("state")),
                now,
                jobs: Vec::new(),
                wait: true,
                allow_shrink: false,
            };
            match run::one(&checked.pipeline, &options, &env, output).await? {
                Ok(report) => {
                    match output {
                        Output::Json => print::json(&report)?,
                        Output::Text => print::text(&next(&arguments.out, &options))?,
                    }
                    Exit::of(&report)
                }
                Err(exit) => exit,
            }
        }
        Err(mistakes) => {
            print::note(&diagnostic::render(&mistakes, &source, print::colour()));
            Exit::Bug
        }
    };
    stop.cancel();
    // A server that panicked is a bug, and the run above has told of its consequences already.
    let _ = server.await;
    Ok(exit)
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
        "The lake is in {lake}, the ledger in {state}. Look at it:\n\n  \
         duckdb -c \"SELECT severity, count(*) FROM '{lake}/ntopng/flow_alerts/**/*.parquet' GROUP BY ALL\"\n\n\
         Run the demo again: nothing lands twice. Export a real ntopng:\n\n  \
         NTOPNG_URL=http://ntopng:3000 NTOPNG_PASSWORD=... cargo run -- run pipelines/ntopng.yaml",
        state = options.state,
    )
}

/// What `${...}` stands for in the demo; the environment has no say in it.
struct Values {
    url: String,
    lake: String,
}

impl Lookup for Values {
    fn var(&self, name: &str) -> Option<String> {
        match name {
            "NTOPNG_URL" => Some(self.url.clone()),
            "NTOPNG_USER" | "NTOPNG_PASSWORD" => Some("admin".to_owned()),
            "NTOPNG_START" => Some("-7d".to_owned()),
            "LAKE" => Some(self.lake.clone()),
            _ => None,
        }
    }

    fn file(&self, path: &str) -> Result<String, String> {
        Err(format!("the demo reads no file, and {path} least of all"))
    }
}
