//! Which way a request goes: straight to its server, or through a proxy.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::uri::Scheme;
use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::Matcher;
use percent_encoding::percent_decode_str;
use url::Url;

use super::connect::HttpOptions;
use crate::extract::auth::CredentialId;
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
    secrets: Vec<Secret>,
}

/// Returns the credential that the proxy is given through which `to` is asked, and the name under which its refusal is remembered; none
/// where there is no proxy, or it is given none.
#[must_use]
pub fn proxy_credential(options: &HttpOptions, to: &Url) -> Option<(String, CredentialId)> {
    Route::of(options).credential_for(to)
}

/// The proxy that a request goes through.
pub(super) struct Via {
    pub(super) proxy: Uri,
    /// The value of `proxy-authorization`.
    pub(super) credential: Option<HeaderValue>,
}

/// Stands for a proxy of the environment that can't be used, so that hosts which go around it still do.
const UNUSABLE: &str = "unusable-proxy.invalid";

impl Route {
    pub(super) fn of(options: &HttpOptions) -> Self {
        let listed = variable("NO_PROXY");
        let no: Vec<_> = listed.split(',').map(host).collect();
        let (own, given) = (&options.proxy, [named("HTTP_PROXY"), named("HTTPS_PROXY")]);
        let no_list = no.join(",");
        let (matcher, secrets) = match own {
            // The matcher itself takes the star for names only, not for addresses.
            _ if no.contains(&"*") => (None, Vec::new()),
            Some(proxy) => {
                (Some(Matcher::builder().all(proxy.url.as_str()).no(no_list).build()), vec![proxy.password.clone()])
            }
            // In a CGI script HTTP_PROXY is what the client wrote into a header.
            None if !options.environment_proxy || std::env::var_os("REQUEST_METHOD").is_some() => (None, Vec::new()),
            None => {
                let [http, https] = given.each_ref().map(|named| named.as_ref().map_or("", Named::usable));
                let secrets = given.iter().flatten().flat_map(Named::secrets).collect();
                (Some(Matcher::builder().http(http).https(https).no(no_list).build()), secrets)
            }
        };
        let credential = own.as_ref().filter(|proxy| !proxy.username.is_empty()).and_then(basic);
        Self { matcher: matcher.map(Arc::new), credential, of_file: own.is_some(), secrets }
    }

    /// Returns what must not show of the credentials of proxies, the environment's included.
    pub(super) fn secrets(&self) -> &[Secret] {
        &self.secrets
    }

    /// Returns the proxy for `to`; none where it is asked directly.
    pub(super) fn via(&self, to: &Uri) -> Option<Via> {
        let proxy = self.matcher.as_ref()?.intercept(to)?;
        let credential = self.credential.clone().or_else(|| proxy.basic_auth().cloned());
        Some(Via { proxy: proxy.uri().clone(), credential })
    }

    /// Returns the credential that the proxy for `to` is given, and the name under which its refusal is remembered; none where there is no
    /// proxy, or it is given none.
    pub(super) fn credential_for(&self, to: &Url) -> Option<(String, CredentialId)> {
        let via = self.via(&to.as_str().parse().ok()?)?;
        Some(CredentialId::of_proxy(&via.proxy.to_string(), via.credential?.to_str().ok()?))
    }

    /// Says why `to` can't be asked, where the environment names a proxy for it that can't be used. It doesn't show its text, which may
    /// hold a password.
    pub(super) fn unusable(&self, to: &Url) -> Option<String> {
        let proxy = self.via(&to.as_str().parse().ok()?)?.proxy;
        let named = named(own_variable(to)).filter(|_| proxy.host() == Some(UNUSABLE))?.variable;
        Some(format!(
            "{named}, of the environment, isn't the URL of a proxy that can be used: it must be like `http://proxy:3128`, or `https://`, \
             a user and a password percent-encoded; correct it, or name the host in NO_PROXY to ask it directly"
        ))
    }

    /// Says by which proxy `to` is asked, and who named it; none where it is asked directly. It shows no user and no password.
    pub(super) fn shown(&self, to: &Url) -> Option<String> {
        let proxy = self.via(&to.as_str().parse().ok()?)?.proxy;
        let from = match named(own_variable(to)) {
            Some(named) if !self.of_file => named.variable,
            _ => "`proxy`",
        };
        Some(format!("the proxy {proxy} (of {from})"))
    }
}

/// A proxy that the environment names.
struct Named {
    variable: &'static str,
    text: String,
}

impl Named {
    /// Returns the proxy's URL as the matcher takes it.
    fn usable(&self) -> &str {
        let uri = self.text.parse::<Uri>().ok().filter(|uri| uri.host().is_some_and(|host| !host.is_empty()));
        let is_http = |scheme: &Scheme| [Scheme::HTTP, Scheme::HTTPS].contains(scheme);
        if uri.is_some_and(|uri| uri.scheme().is_none_or(is_http)) { &self.text } else { UNUSABLE }
    }

    /// Returns its password, or its user where it has none, as it is and as it is written.
    fn secrets(&self) -> Vec<Secret> {
        let rest = self.text.split_once("://").map_or(self.text.as_str(), |(_, rest)| rest);
        let Some((credential, _)) = rest.rsplit_once('@') else { return Vec::new() };
        let written = credential.split_once(':').map_or(credential, |(_, password)| password);
        let plain = percent_decode_str(written).decode_utf8_lossy();
        [plain.as_ref(), written].into_iter().filter(|text| !text.is_empty()).map(Secret::new).collect()
    }
}

/// Returns the proxy that the environment names for requests that `own` is for.
fn named(own: &'static str) -> Option<Named> {
    let named = [own, "ALL_PROXY"].map(|variable_of| Named { variable: variable_of, text: variable(variable_of) });
    named.into_iter().find(|named| !named.text.is_empty())
}

fn own_variable(to: &Url) -> &'static str {
    if to.scheme() == "https" { "HTTPS_PROXY" } else { "HTTP_PROXY" }
}

/// Returns a host of `NO_PROXY` as the matcher takes it: domains without a star, addresses without brackets.
fn host(listed: &str) -> &str {
    let listed = listed.trim();
    let bare = listed.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(listed);
    if bare.starts_with("*.") { &bare[1..] } else { bare }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_no_proxy_may_have_a_star_or_brackets() {
        for (listed, bare) in [
            (" *.example.test ", ".example.test"),
            ("[::1]", "::1"),
            ("*", "*"),
            ("a.b", "a.b"),
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("", ""),
        ] {
            assert_eq!(host(listed), bare);
        }
        let no = ["*.example.test", "[::1]"].map(host).join(",");
        let matcher = Matcher::builder().all("http://proxy:3128").no(no).build();
        for (to, through) in
            [("http://a.example.test/", false), ("http://[::1]:8/", false), ("http://example.org/", true)]
        {
            assert_eq!(matcher.intercept(&to.parse().unwrap()).is_some(), through, "{to}");
        }
    }

    #[test]
    fn a_proxy_of_the_environment_is_a_url_with_a_password_or_none() {
        let of = |text: &str| Named { variable: "HTTP_PROXY", text: text.to_owned() };
        for text in ["http://proxy:3128", "https://u:p@proxy", "proxy:3128", "proxy", "u:p@proxy:3128"] {
            assert_eq!(of(text).usable(), text);
        }
        for text in ["http://[bad", "ftp://proxy", "socks5://proxy:1080", "http://", "http://a b"] {
            assert_eq!(of(text).usable(), UNUSABLE, "{text}");
        }
        let secrets =
            |text: &str| of(text).secrets().iter().map(|secret| secret.expose().to_owned()).collect::<Vec<_>>();
        assert_eq!(secrets("http://u:a%2Fb@proxy:3128"), ["a/b", "a%2Fb"]);
        assert_eq!(secrets("token-1@proxy"), ["token-1", "token-1"]);
        assert!(secrets("http://proxy:3128").is_empty());
    }
}
