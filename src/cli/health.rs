//! `tidegate health`: whether `tidegate serve` goes on, for who has no other way to ask: an image without a shell.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use serde_json::json;

use super::args::{HealthArguments, Listen, Output};
use super::{CliError, Exit, print};

/// How long the daemon may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks the daemon. The exit codes are those that a health check of a container knows: 0, and 1 for anything else.
pub(super) async fn run(arguments: &HealthArguments, output: Output) -> Result<Exit, CliError> {
    let Listen::At(address) = arguments.listen else {
        print::problem("with `none` there is nobody to ask: give the --listen of `tidegate serve`");
        return Ok(Exit::NothingLanded);
    };
    let url = format!("http://{}/{}", asked(address), if arguments.ready { "readyz" } else { "livez" });
    let problem = ask(&url).await.err();
    match (output, &problem) {
        (Output::Json, problem) => print::json(&json!({"url": url, "healthy": problem.is_none(), "error": problem}))?,
        (Output::Text, None) => print::text(&format!("{url}: ok"))?,
        (Output::Text, Some(problem)) => print::problem(&format!("{url}: {problem}")),
    }
    Ok(if problem.is_none() { Exit::Done } else { Exit::NothingLanded })
}

async fn ask(url: &str) -> Result<(), String> {
    // No proxy is asked, and no certificate is read: it is a process of this machine.
    let client = reqwest::Client::builder().no_proxy().tls_built_in_root_certs(false).timeout(PATIENCE).build();
    let answer = client.map_err(|error| print::chain(&error))?.get(url).send().await;
    let answer = answer.map_err(|error| print::chain(&error.without_url()))?;
    if answer.status().is_success() {
        return Ok(());
    }
    let status = answer.status();
    let said = answer.text().await.unwrap_or_default();
    Err(format!("{status}: {}", said.trim()))
}

/// Returns where one who listens is asked: one who listens everywhere, on this machine.
fn asked(listens: SocketAddr) -> SocketAddr {
    let ip = match listens.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listens.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_who_listens_everywhere_is_asked_here() {
        let ask = |listens: &str| asked(listens.parse().unwrap()).to_string();
        assert_eq!(ask("0.0.0.0:8321"), "127.0.0.1:8321");
        assert_eq!(ask("[::]:8321"), "[::1]:8321");
        assert_eq!(ask("10.0.0.1:80"), "10.0.0.1:80");
    }
}
