//! Which way a request goes: straight to its server, or through a proxy.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::Matcher;
use url::Url;

use super::connect::HttpOptions;
use crate::secret::Secret;

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

/// What decides which way requests go.
#[derive(Debug, Clone)]
pub(super) struct Route {
    /// None where all go straight.
    matcher: Option<Arc<Matcher>>,
    /// The credential of the proxy of the pipeline file; one of the environment has it in its URL.
    credential: Option<HeaderValue>,
    of_file: bool,
}

/// The proxy that a request goes through.
pub(super) struct Via {
    pub(super) proxy: Uri,
    /// The value of `proxy-authorization`.
    pub(super) credential: Option<HeaderValue>,
}

impl Route {
    pub(super) fn of(options: &HttpOptions) -> Self {
        let no = variable("NO_PROXY");
        let matcher = match &options.proxy {
            // The matcher itself takes the star for names only, not for addresses.
            _ if no.split(',').any(|host| host.trim() == "*") => None,
            Some(proxy) => Some(Matcher::builder().all(proxy.url.as_str()).no(no).build()),
            None => options.environment_proxy.then(Matcher::from_env),
        };
        let credential = options.proxy.as_ref().filter(|proxy| !proxy.username.is_empty()).and_then(basic);
        Self { matcher: matcher.map(Arc::new), credential, of_file: options.proxy.is_some() }
    }

    /// Returns the proxy for `to`; none where it is asked directly.
    pub(super) fn via(&self, to: &Uri) -> Option<Via> {
        let proxy = self.matcher.as_ref()?.intercept(to)?;
        let credential = self.credential.clone().or_else(|| proxy.basic_auth().cloned());
        Some(Via { proxy: proxy.uri().clone(), credential })
    }

    /// Says by which proxy `to` is asked, and who named it; none where it is asked directly. It shows no user and no password.
    pub(super) fn shown(&self, to: &Url) -> Option<String> {
        let proxy = self.via(&to.as_str().parse().ok()?)?.proxy;
        let own = if to.scheme() == "https" { "HTTPS_PROXY" } else { "HTTP_PROXY" };
        let environment = if variable(own).is_empty() { "ALL_PROXY" } else { own };
        let from = if self.of_file { "`proxy`" } else { environment };
        Some(format!("the proxy {proxy} (of {from})"))
    }
}

fn variable(name: &str) -> String {
    std::env::var(name).or_else(|_| std::env::var(name.to_ascii_lowercase())).unwrap_or_default()
}

fn basic(proxy: &Proxy) -> Option<HeaderValue> {
    let text = STANDARD.encode(format!("{}:{}", proxy.username, proxy.password.expose()));
    let mut value = HeaderValue::try_from(format!("Basic {text}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}
