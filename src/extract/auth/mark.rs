//! What a run writes down of a credential that a server refused, for the runs after it.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::{Auth, CredentialId};

impl Auth {
    /// Returns the name under which a refusal by the server at `origin` is remembered; none for [`Auth::None`].
    ///
    /// It is to tell this credential from the one that replaces it, and nobody who reads it may guess a password by it. A salted
    /// hash isn't enough: the salt lies beside it, and a weak password is found by trying. So the name holds one byte of the
    /// credential's hash, the same byte wherever and however often it is written: of all passwords that one could try, each 256th
    /// fits. The rest is made of what isn't secret: the kind, the user's or the header's name, the origin. A new password that
    /// happens to have the byte of the old one has to wait for the five minutes as well.
    #[must_use]
    pub fn mark(&self, origin: &str) -> Option<String> {
        let secret = self.credential()?;
        let name = match self {
            Self::Basic { username: name, .. } | Self::Query { name, .. } | Self::Form { name, .. } => name.as_str(),
            Self::Headers(headers) => headers.first().map_or("", |(name, _)| name.as_str()),
            _ => "",
        };
        Some(secret.mark([self.kind(), name, origin]))
    }
}

impl CredentialId {
    /// Returns the identity of what the proxy at a URL is given, which is the value of a header; and, as [`Auth::mark`] does, the name under
    /// which its refusal is remembered.
    #[must_use]
    pub fn of_proxy(proxy: &str, given: &str) -> (String, Self) {
        // The byte that the name holds is the same at each proxy.
        let mark = Self::of("proxy", ["", given]).mark(["proxy", "", proxy]);
        (mark, Self::of("proxy", [proxy, given]))
    }

    fn mark(&self, public: [&str; 3]) -> String {
        let mut hash = Sha256::new();
        for part in public {
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
            hash.update(part);
        }
        let mut mark: String = hash.finalize().iter().take(8).fold(String::new(), |mut mark, byte| {
            let _ = write!(mark, "{byte:02x}");
            mark
        });
        let _ = write!(mark, "-{:02x}", self.0[0]);
        mark
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::secret::Secret;

    fn basic(username: &str, password: &str) -> Auth {
        Auth::Basic { username: username.to_owned(), password: Secret::new(password) }
    }

    #[test]
    fn a_changed_credential_another_user_and_another_server_have_marks_of_their_own() {
        let mark = |auth: &Auth, origin: &str| auth.mark(origin).unwrap();
        let old = mark(&basic("admin", "hunter2"), "https://a");
        assert_eq!(old, mark(&basic("admin", "hunter2"), "https://a"));
        for other in [
            mark(&basic("admin", "hunter3"), "https://a"),
            mark(&basic("root", "hunter2"), "https://a"),
            mark(&basic("admin", "hunter2"), "https://b"),
            mark(&Auth::Bearer(Secret::new("hunter2")), "https://a"),
        ] {
            assert_ne!(old, other);
        }
        assert_eq!(Auth::None.mark("https://a"), None);
    }

    #[test]
    fn what_a_proxy_is_given_has_a_mark_of_its_own() {
        let (old, id) = CredentialId::of_proxy("http://a/", "Basic one");
        assert_eq!((old.clone(), id.clone()), CredentialId::of_proxy("http://a/", "Basic one"));
        for (proxy, given) in [("http://b/", "Basic one"), ("http://a/", "Basic two")] {
            let (mark, other) = CredentialId::of_proxy(proxy, given);
            assert!(mark != old && other != id, "{proxy} {given}");
        }
    }

    #[test]
    fn a_mark_fits_many_passwords() {
        let mut fits: BTreeMap<String, u32> = BTreeMap::new();
        for number in 0..25_600 {
            *fits.entry(basic("admin", &format!("password{number}")).mark("https://a").unwrap()).or_default() += 1;
        }
        assert_eq!(fits.len(), 256, "a mark says one byte, and no more");
        assert!(fits.values().all(|count| (40..200).contains(count)), "{fits:?}");
    }
}
