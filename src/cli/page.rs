//! The status page of `tidegate serve`: where it listens, and who may act on it.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::json;
use tokio::net::TcpListener;

use super::args::{Listen, Output, PageArguments};
use super::print;
use crate::secret::Secret;
use crate::server::{self, LEAST_TOKEN, Site};

/// The environment variable with the token.
const TOKEN: &str = "TIDEGATE_TOKEN";

/// What the page is served with.
pub(super) struct Page {
    /// Where it is asked for; none where it isn't served.
    pub(super) listener: Option<TcpListener>,
    /// What lets a person act.
    pub(super) token: Option<Secret>,
    /// Names that it may be asked for under.
    pub(super) hosts: Vec<String>,
    /// The line that says where it is, if anywhere.
    pub(super) line: Option<String>,
}

/// Begins to listen. None where that is refused, which is shown.
pub(super) async fn open(arguments: &PageArguments, output: Output) -> Option<Page> {
    let token = match token(arguments.token_file.as_deref()) {
        Ok(token) => token,
        Err(problem) => {
            print::problem(&problem);
            return None;
        }
    };
    let hosts = arguments.allowed_hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
    let Listen::At(address) = arguments.listen else { return Some(Page { listener: None, token, hosts, line: None }) };
    let bound = async {
        let listener = TcpListener::bind(address).await?;
        let at = listener.local_addr()?;
        Ok::<_, std::io::Error>((listener, at))
    };
    match bound.await {
        Ok((listener, at)) => {
            let line = Some(said(at, output));
            Some(Page { listener: Some(listener), token, hosts, line })
        }
        Err(error) => {
            print::problem(&format!(
                "the status page can't listen on {address}: {error}; give another address with --listen, or `--listen none`"
            ));
            None
        }
    }
}

/// Makes the line that says where the page is, and warns where others reach it.
fn said(at: SocketAddr, output: Output) -> String {
    let url = format!("http://{at}/");
    if !at.ip().is_loopback() {
        print::note(&format!(
            "warning: the status page at {url} isn't encrypted, and everyone who reaches it may look: put a proxy before it"
        ));
    }
    match output {
        Output::Text => format!("the status page is at {url}"),
        Output::Json => json!({"event": "listening", "url": url}).to_string(),
    }
}

/// Serves the page until the process ends.
pub(super) fn show(listener: Option<TcpListener>, site: Site) {
    let Some(listener) = listener else { return };
    tokio::spawn(async move {
        if let Err(error) = server::serve(listener, site).await {
            print::problem(&format!("the status page isn't served any more: {error}; the pipelines run on"));
        }
    });
}

/// Reads the token from a file, or from the environment.
fn token(file: Option<&Path>) -> Result<Option<Secret>, String> {
    let (text, from) = match (file, std::env::var_os(TOKEN)) {
        (Some(file), _) => {
            let read = std::fs::read_to_string(file);
            (
                read.map_err(|error| format!("the token file {} can't be read: {error}", file.display()))?,
                "the token file",
            )
        }
        (None, Some(text)) => (text.into_string().map_err(|_| format!("{TOKEN} isn't a text in UTF-8"))?, TOKEN),
        (None, None) => return Ok(None),
    };
    let text = text.trim();
    if text.chars().count() < LEAST_TOKEN {
        return Err(format!(
            "{from} has a token of fewer than {LEAST_TOKEN} characters, which can be guessed: make one with `openssl rand -hex 24`"
        ));
    }
    Ok(Some(Secret::new(text)))
}
