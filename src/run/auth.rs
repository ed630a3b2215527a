//! From the `auth` of a pipeline file to the credential of its requests.

use std::sync::Arc;

use indexmap::IndexMap;

use super::{RunError, build};
use crate::extract::auth::{Auth, CREDENTIALS, ClientAuth, Login, OAuth2, SecureWorkload, Session, basic};
use crate::extract::request::{RequestSpec, RequestTree};
use crate::lang::tree::Tree;
use crate::pipeline::file::{self, LoginAuth, NamedSecret, OAuth2Auth};
use crate::pipeline::load::RequestValue;
use crate::pipeline::spec::{SessionSpec, Source};
use crate::secret::Secret;

/// A number as long as this may be a secret that was written without quotes.
const LONG_NUMBER: usize = 6;

/// Builds the credential of a source. That of a session is a new one: jobs must share it.
pub(super) fn auth(source: &Source) -> Result<Auth, RunError> {
    let named = |named: &NamedSecret| (named.name.value.clone(), named.value.0.clone());
    Ok(match (&source.auth, &source.session) {
        (file::Auth::Basic(basic), _) => {
            Auth::Basic { username: basic.username.value.clone(), password: basic.password.0.clone() }
        }
        (file::Auth::Bearer(token), _) => Auth::Bearer(token.0.clone()),
        (file::Auth::Header(secret), _) => Auth::Headers(vec![named(secret)]),
        (file::Auth::Headers(headers), _) => {
            Auth::Headers(headers.iter().map(|(name, value)| (name.value.clone(), value.0.clone())).collect())
        }
        (file::Auth::Query(secret), _) => {
            let (name, value) = named(secret);
            Auth::Query { name, value }
        }
        (file::Auth::Form(secret), _) => {
            let (name, value) = named(secret);
            Auth::Form { name, value }
        }
        (file::Auth::Hmac(hmac), _) => match hmac.profile {
            file::HmacProfile::SecureWorkload => {
                Auth::SecureWorkload(SecureWorkload::new(hmac.key.0.clone(), hmac.secret.0.clone()))
            }
        },
        (file::Auth::Login(keys), Some(SessionSpec::Login { success, token })) => {
            let (success, token) = (success.clone(), token.clone());
            let login = Login { success, token, error_message: source.error_message.clone(), ..login(source, keys)? };
            Auth::Session(Arc::new(Session::of_login(login)))
        }
        (file::Auth::Oauth2(keys), Some(SessionSpec::OAuth2 { token_url })) => {
            Auth::Session(Arc::new(Session::of_oauth2(client(keys, token_url.clone()))))
        }
        // The check of the pipeline file lets no login and no client through without what its session is got with.
        (file::Auth::None | file::Auth::Login(_) | file::Auth::Oauth2(_), _) => Auth::None,
    })
}

fn client(keys: &OAuth2Auth, token_url: url::Url) -> OAuth2 {
    OAuth2 {
        token_url,
        client_id: keys.client_id.value.clone(),
        client_secret: keys.client_secret.0.clone(),
        scope: keys.scope.clone(),
        refresh_token: keys.refresh_token.as_ref().map(|token| token.0.clone()),
        client_auth: match keys.client_auth {
            Some(file::ClientAuth::Body) => ClientAuth::Body,
            Some(file::ClientAuth::Header) | None => ClientAuth::Header,
        },
    }
}

fn login(source: &Source, keys: &LoginAuth) -> Result<Login, RunError> {
    let mut taken = Taken::default();
    let carried = keys.basic.as_ref().map(|basic| taken.basic(&basic.username.value, &basic.password.0));
    let spec = RequestSpec {
        method: http::Method::POST.into(),
        path: keys.post.as_str().to_owned(),
        headers: keys
            .headers
            .iter()
            .map(|(name, value)| (name.value.clone(), taken.tree(&name.value, value)))
            .chain(carried.map(|value| ("authorization".to_owned(), value)))
            .collect(),
        body: keys.body.as_ref().map(|body| taken.tree("", body)),
        form: match keys.form.as_ref().map(|form| taken.tree("", form)) {
            Some(Tree::Map(fields)) => Some(fields),
            _ => None,
        },
        ..RequestSpec::default()
    };
    let tree = RequestTree::compile(source.base_url.as_str(), spec)?;
    Ok(Login { tree, values: taken.values, secrets: taken.secrets, success: None, error_message: None, token: None })
}

/// The values of a login that come from outside of the file. Templates stand in their places.
#[derive(Default)]
struct Taken {
    values: Vec<Secret>,
    secrets: Vec<Secret>,
}

impl Taken {
    /// Returns the header of a user and a password, taken out.
    fn basic(&mut self, username: &str, password: &Secret) -> Tree {
        let value = basic(username, password);
        self.secrets.extend([password.clone(), value.clone()]);
        self.value(value)
    }

    /// Takes out a value, and returns what stands in its place.
    fn value(&mut self, value: Secret) -> Tree {
        self.values.push(value);
        Tree::Text(format!("{{{{ {CREDENTIALS}[{}] }}}}", self.values.len() - 1))
    }

    /// Returns the tree of a value under a name, with its outside values taken out.
    fn tree(&mut self, name: &str, value: &RequestValue) -> Tree {
        match value {
            RequestValue::String(text) if text.shown().contains("${") => {
                let value = Secret::new(text.as_str());
                if !is_user(name) {
                    self.secrets.push(value.clone());
                }
                self.value(value)
            }
            RequestValue::Number(text) if text.len() >= LONG_NUMBER && !is_user(name) => {
                self.secrets.push(Secret::new(text.as_str()));
                Tree::Number(text.clone())
            }
            RequestValue::List(items) => Tree::List(items.iter().map(|item| self.tree(name, item)).collect()),
            RequestValue::Map(map) => {
                let entries = map.iter().map(|(name, value)| (name.value.clone(), self.tree(&name.value, value)));
                Tree::Map(entries.collect::<IndexMap<_, _>>())
            }
            value => build::tree(value),
        }
    }
}

/// Tells whether what stands under a name says who logs in, which is no secret.
fn is_user(name: &str) -> bool {
    const USERS: [&str; 9] =
        ["user", "username", "userid", "login", "loginname", "email", "account", "domain", "tenant"];
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    USERS.contains(&plain.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::load::{Spanned, Tmpl};

    #[test]
    fn a_user_is_no_secret_and_all_else_from_outside_is() {
        for name in ["user", "User-Name", "email", "user_id"] {
            assert!(is_user(name), "{name}");
        }
        for name in ["password", "api_key", "api_token", "users_password", ""] {
            assert!(!is_user(name), "{name}");
        }
    }

    #[test]
    fn values_of_the_file_stay_in_the_tree() {
        let text = |text: &str| RequestValue::String(Tmpl::new(text));
        let key = |name: &str| Spanned { value: name.to_owned(), ..Spanned::default() };
        let number = RequestValue::Number("12345678".to_owned());
        let map = RequestValue::Map(IndexMap::from([(key("grant"), text("password")), (key("pin"), number)]));
        let mut taken = Taken::default();
        assert_eq!(taken.tree("", &map).to_json(), r#"{"grant":"password","pin":12345678}"#);
        assert_eq!((taken.values.len(), taken.secrets.len()), (0, 1));
    }
}
