//! How a source is connected to: its proxy, and its certificates.

use url::Url;

use super::super::file::TlsFile;
use super::super::load::{Diagnostic, Tmpl};
use super::super::spec::Proxy;
use super::Findings;
use crate::secret::Secret;

impl Findings<'_> {
    /// Takes a proxy's URL apart: its password is a secret from here on.
    pub(super) fn proxy(&mut self, text: &Tmpl) -> Option<Proxy> {
        let shape = "write the scheme, the host and the port, such as `http://proxy:3128`";
        let mut refuse = |why: &str, help: &str| {
            let found = Diagnostic::error(text.span(), format!("`proxy` {why}")).help(help);
            // The URL may hold a password, whatever else is wrong with it.
            self.add(if text.shown().contains('@') { found.redacted() } else { found });
            None
        };
        if holds_literal_password(text.shown()) {
            return refuse(
                "holds a password, which can't be written in the file",
                "use ${NAME} or ${file:path} for it; if it was ever committed or shared, change it",
            );
        }
        let Ok(mut url) = Url::parse(text.as_str()) else { return refuse("is not a URL", shape) };
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return refuse("must begin with `http://` or `https://`", shape);
        }
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return refuse("can't hold a path or a query", shape);
        }
        let decoded =
            |part: &str| percent_encoding::percent_decode_str(part).decode_utf8().map(std::borrow::Cow::into_owned);
        let (username, password) = (decoded(url.username()), decoded(url.password().unwrap_or_default()));
        let (Ok(username), Ok(password)) = (username, password) else {
            return refuse("has a user or a password that isn't UTF-8", "percent-encode it from UTF-8");
        };
        if url.set_username("").and(url.set_password(None)).is_err() {
            return refuse("is not a URL", shape);
        }
        Some(Proxy { url, username, password: Secret::new(password) })
    }

    /// Checks what files can say together; they are opened when the first request is sent.
    pub(super) fn tls(&mut self, tls: &TlsFile, base_url: &Url) {
        if let (Some(key), None) = (&tls.client_key, &tls.client_cert) {
            let help = "add `client_cert:`, the file of the certificate that the key belongs to";
            self.error(key.span, "a client's key proves nothing without its certificate", help);
        }
        let files = [("ca_file", &tls.ca_file), ("client_cert", &tls.client_cert), ("client_key", &tls.client_key)];
        for (name, file) in files {
            let Some(file) = file else { continue };
            if file.value.trim().is_empty() {
                self.error(file.span, format!("`{name}` is empty"), "name a PEM file, or remove it");
            } else if base_url.scheme() == "http" && name == "client_cert" {
                let message = format!("`{name}` has no use: `base_url` begins with `http://`");
                self.warn(file.span, message, "begin it with `https://` if the server speaks TLS");
            }
        }
        if let Some(skip) = tls.insecure_skip_verify.as_ref().filter(|skip| skip.value) {
            let message =
                "any certificate is trusted, so whoever stands between can read the credential and change the rows";
            self.advise(skip.span, message, "name the server's certificate, or its authority's, as `ca_file` instead");
        }
    }
}

/// Tells whether a URL, as the file has it, holds a password or a part of one. `raw` still has `${...}` in it.
fn holds_literal_password(raw: &str) -> bool {
    let Some((_, rest)) = raw.split_once("://") else { return false };
    let Some((user_info, _)) = rest.rsplit_once('@') else { return false };
    // The first colon outside of `${...}`, which may hold some of its own.
    let mut depth = 0_u32;
    let colon = user_info.char_indices().find(|(_, c)| {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        *c == ':' && depth == 0
    });
    let Some((at, _)) = colon else { return false };
    let mut rest = user_info.get(at + 1..).unwrap_or_default();
    while let Some(inside) = rest.strip_prefix("${") {
        match inside.split_once('}') {
            Some((name, after)) if !name.contains(":-") => rest = after,
            _ => return true,
        }
    }
    !rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_comes_from_elsewhere_as_a_whole() {
        for fine in [
            "http://proxy:3128",
            "${PROXY}",
            "http://${PROXY_HOST}:3128",
            "http://user@proxy:3128",
            "http://user:${PASSWORD}@proxy:3128",
            "http://${USER}:${A}${B}@proxy",
            "http://${USER:-x}:${file:/run/p}@proxy:1",
            "http://u:@proxy",
        ] {
            assert!(!holds_literal_password(fine), "{fine}");
        }
        for bad in [
            "http://user:hunter2@proxy:3128",
            "http://user:${A}2@proxy",
            "http://user:x${A}@proxy",
            "http://user:${A:-hunter2}@proxy",
            "${PROXY:-http://user:hunter2@proxy:1}",
            "http://user:hunt@er2@proxy",
        ] {
            assert!(holds_literal_password(bad), "{bad}");
        }
    }
}
