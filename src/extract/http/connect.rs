//! How a source is connected to: timeouts, TLS, proxies.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http::HeaderValue;
use http::header::ACCEPT_ENCODING;
use hyper_util::client::proxy::matcher::Matcher;
use url::{Host, Url};

use super::error::{HttpError, TransportKind};
use super::limit::RateLimit;
use super::retry::RetryPolicy;
use crate::objects::chain;
use crate::secret::Secret;

/// The largest body that is read unless a source says otherwise: a page beyond it should be asked for in parts.
pub const DEFAULT_MAX_RESPONSE: u64 = 64 * 1024 * 1024;

/// What a source says of its transport.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// The longest time that a connection may take to be made.
    pub connect_timeout: Duration,
    /// The longest time that one try may take, body included.
    pub request_timeout: Duration,
    /// The longest silence while a body is read.
    pub read_timeout: Duration,
    /// A PEM file with certificates to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// A PEM file with the client's certificate, and maybe its key.
    pub client_cert: Option<PathBuf>,
    /// A PEM file with the key, where it is in another file.
    pub client_key: Option<PathBuf>,
    /// Whether any certificate is taken.
    pub insecure_skip_verify: bool,
    /// The proxy; none leaves it to the environment, if that may say.
    pub proxy: Option<Proxy>,
    /// Whether the environment may name a proxy.
    pub environment_proxy: bool,
    /// Requests per span of time.
    pub rate_limit: Option<RateLimit>,
    /// Requests at once to the host.
    pub concurrency: usize,
    /// The largest body, in bytes after decompression.
    pub max_response: u64,
    /// Tries.
    pub retry: RetryPolicy,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(120),
            read_timeout: Duration::from_secs(60),
            ca_file: None,
            client_cert: None,
            client_key: None,
            insecure_skip_verify: false,
            proxy: None,
            environment_proxy: true,
            rate_limit: None,
            concurrency: 4,
            max_response: DEFAULT_MAX_RESPONSE,
            retry: RetryPolicy::default(),
        }
    }
}

/// A proxy. Hosts that `NO_PROXY` names are asked directly all the same, as `curl --proxy` does.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// Its URL, with no user and no password.
    pub url: Url,
    /// The user; empty for none.
    pub username: String,
    /// The password.
    pub password: Secret,
}

/// Tells whether `url` is on this very machine, by its name or its number.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Makes the client. Fails where a file can't be used.
pub(super) fn build(options: &HttpOptions) -> Result<reqwest::Client, HttpError> {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("tidegate/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        // These are undone by `unpack`, and asked for all the same.
        .no_gzip()
        .no_deflate()
        .no_brotli()
        .default_headers([(ACCEPT_ENCODING, HeaderValue::from_static("zstd,gzip,deflate,br"))].into_iter().collect())
        .connect_timeout(options.connect_timeout)
        .timeout(options.request_timeout)
        .danger_accept_invalid_certs(options.insecure_skip_verify);
    if let Some(path) = &options.ca_file {
        builder = certificates(path)?.into_iter().fold(builder, reqwest::ClientBuilder::add_root_certificate);
    }
    if let Some(path) = &options.client_cert {
        builder = builder.identity(identity(path, options.client_key.as_deref())?);
    }
    if let Some(proxy) = &options.proxy {
        builder = builder.proxy(through(proxy)?);
    } else if !options.environment_proxy {
        builder = builder.no_proxy();
    }
    // Whether the key is one, and belongs to the certificate, is found out here.
    let files = [("client_cert", &options.client_cert), ("client_key", &options.client_key)];
    let file = |(name, path): (&str, &Option<PathBuf>)| {
        path.as_ref().map(|path| format!("; check tls.{name} '{}'", path.display()))
    };
    let files: String = files.into_iter().filter_map(file).collect();
    builder.build().map_err(|error| HttpError::Client { reason: chain(&error) + &files })
}

fn through(proxy: &Proxy) -> Result<reqwest::Proxy, HttpError> {
    let made = reqwest::Proxy::all(proxy.url.clone());
    let made = made.map_err(|error| HttpError::Client { reason: format!("proxy: {}", chain(&error)) })?;
    let made = made.no_proxy(reqwest::NoProxy::from_env());
    Ok(if proxy.username.is_empty() { made } else { made.basic_auth(&proxy.username, proxy.password.expose()) })
}

/// Says by which proxy `url` is asked, as the client decides it; none where it is asked directly.
pub(super) fn proxy_of(options: &HttpOptions, url: &Url) -> Option<String> {
    let variable =
        |name: &str| std::env::var(name).or_else(|_| std::env::var(name.to_ascii_lowercase())).unwrap_or_default();
    let (matcher, from) = match &options.proxy {
        Some(proxy) => {
            let all = proxy.url.as_str().to_owned();
            (Matcher::builder().all(all).no(variable("NO_PROXY")).build(), "`proxy`")
        }
        None if options.environment_proxy => {
            let own = if url.scheme() == "https" { "HTTPS_PROXY" } else { "HTTP_PROXY" };
            (Matcher::from_env(), if variable(own).is_empty() { "ALL_PROXY" } else { own })
        }
        None => return None,
    };
    // It has no user and no password.
    let proxy = matcher.intercept(&url.as_str().parse().ok()?)?;
    Some(format!("the proxy {} (of {from})", proxy.uri()))
}

fn refuse(field: &str, path: &Path, why: &str) -> HttpError {
    HttpError::Client { reason: format!("tls.{field} '{}' {why}", path.display()) }
}

fn read(field: &str, path: &Path) -> Result<Vec<u8>, HttpError> {
    std::fs::read(path).map_err(|error| refuse(field, path, &format!("can't be read: {error}")))
}

fn certificates(path: &Path) -> Result<Vec<reqwest::Certificate>, HttpError> {
    let pem = read("ca_file", path)?;
    let found = reqwest::Certificate::from_pem_bundle(&pem);
    let found = found.map_err(|error| refuse("ca_file", path, &format!("isn't PEM: {error}")))?;
    if found.is_empty() {
        return Err(refuse("ca_file", path, "holds no certificate; it must be PEM"));
    }
    Ok(found)
}

/// Reads the client's certificate and its key, from one file or from two. No message holds any part of the key.
fn identity(cert: &Path, key: Option<&Path>) -> Result<reqwest::Identity, HttpError> {
    let mut pem = read("client_cert", cert)?;
    if !holds(&pem, "CERTIFICATE-----") {
        return Err(refuse(
            "client_cert",
            cert,
            "holds no certificate; it must be PEM (`-----BEGIN CERTIFICATE-----`)",
        ));
    }
    let (field, path) = key.map_or(("client_cert", cert), |key| ("client_key", key));
    if let Some(key) = key {
        let key = read("client_key", key)?;
        pem.push(b'\n');
        pem.extend_from_slice(&key);
    }
    if holds(&pem, "ENCRYPTED PRIVATE KEY-----") || holds(&pem, "Proc-Type: 4,ENCRYPTED") {
        let why = "holds an encrypted key, and there is nobody to ask for its password: decrypt it (`openssl pkey -in key.pem -out \
                   plain.pem`), and let only the user who runs Tidegate read it";
        return Err(refuse(field, path, why));
    }
    if !holds(&pem, "PRIVATE KEY-----") {
        let why = "holds no private key; name the file of the key, in PEM, as tls.client_key";
        return Err(refuse(field, path, why));
    }
    reqwest::Identity::from_pem(&pem).map_err(|_| refuse(field, path, "can't be used: check that it is whole, and PEM"))
}

fn holds(pem: &[u8], text: &str) -> bool {
    pem.windows(text.len()).any(|window| window == text.as_bytes())
}

/// Sorts an error of the network. In a body, all but a timeout means that it is incomplete.
pub(super) fn transport(error: reqwest::Error, in_body: bool) -> (TransportKind, String) {
    // The URL may hold a credential, and the request is named by its line anyway.
    let error = error.without_url();
    let text = chain(&error);
    let kind = if error.is_timeout() {
        TransportKind::Timeout
    } else if text.contains("proxy authorization required") {
        TransportKind::ProxyAuth
    } else if text.contains("invalid peer certificate") || text.contains("fatal alert") {
        TransportKind::Tls
    } else if in_body {
        TransportKind::TornBody
    } else if error.is_connect() {
        TransportKind::Connect
    } else if error.is_builder() {
        TransportKind::Unsendable
    } else {
        TransportKind::Broken
    };
    (kind, text)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    fn why(cert: &str, key: Option<&str>) -> String {
        let (cert, key) = (file(cert), key.map(file));
        let key = key.as_ref().map(|key| key.path().to_owned());
        let options =
            HttpOptions { client_cert: Some(cert.path().to_owned()), client_key: key, ..HttpOptions::default() };
        build(&options).unwrap_err().to_string()
    }

    #[test]
    fn a_client_certificate_that_cannot_be_used_is_named_with_what_to_do() {
        const CERT: &str = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
        let none = why("", None);
        assert!(none.contains("tls.client_cert '") && none.contains("holds no certificate"), "{none}");
        let no_key = why(CERT, None);
        assert!(no_key.contains("holds no private key; name the file of the key"), "{no_key}");
        for header in
            ["-----BEGIN ENCRYPTED PRIVATE KEY-----", "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED"]
        {
            let text = why(CERT, Some(&format!("{header}\nhunter2\n")));
            assert!(text.contains("tls.client_key '") && text.contains("an encrypted key"), "{text}");
            assert!(text.contains("openssl pkey") && !text.contains("hunter2"), "{text}");
        }
        let broken = why(CERT, Some("-----BEGIN PRIVATE KEY-----\nhunter2 and more\n-----END PRIVATE KEY-----\n"));
        assert!(broken.contains("failed to parse private key"), "{broken}");
        assert!(
            broken.contains("; check tls.client_cert '") && broken.contains("; check tls.client_key '"),
            "{broken}"
        );
        assert!(!broken.contains("hunter2"), "{broken}");
        let missing = HttpOptions { client_cert: Some("/nowhere/at.pem".into()), ..HttpOptions::default() };
        assert!(build(&missing).unwrap_err().to_string().contains("tls.client_cert '/nowhere/at.pem' can't be read"));
    }

    #[test]
    fn this_machine_is_known_by_name_and_number() {
        for url in ["http://localhost:1/", "http://a.localhost/", "https://127.9.9.9/", "http://[::1]:3000/"] {
            assert!(is_loopback(&Url::parse(url).unwrap()), "{url}");
        }
        for url in ["http://example.com/", "http://10.0.0.1/", "http://[fe80::1]/", "http://localhost.example.com/"] {
            assert!(!is_loopback(&Url::parse(url).unwrap()), "{url}");
        }
    }
}
