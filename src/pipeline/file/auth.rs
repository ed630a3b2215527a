//! How a request proves who sends it.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use super::super::load::{Jq, PrefixedSecret, RequestValue, SecretText, Spanned, Tmpl};

/// How requests are authenticated. Secrets come from `${NAME}` or `${file:path}`, never from the file itself.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Auth {
    /// Not at all.
    #[default]
    None,
    /// HTTP Basic.
    Basic(BasicAuth),
    /// `Authorization: Bearer ...`.
    Bearer(SecretText),
    /// A header of that name.
    Header(NamedSecret),
    /// Several headers, for servers that want more than one secret: `{DD-API-KEY: '${API_KEY}', DD-APPLICATION-KEY: '${APP_KEY}'}`.
    Headers(IndexMap<Spanned<String>, PrefixedSecret>),
    /// A query parameter of that name.
    Query(NamedSecret),
    /// A form field of that name.
    Form(NamedSecret),
    /// A request whose cookies or token the other requests then carry.
    ///
    /// It is sent by the first request that needs it, once for all jobs that use it. Where `auth_failed` says that the session has
    /// expired, one new login is made and the request is sent again. If that is refused too, only its slice fails: the account may
    /// lack the right to it. A login that is refused itself is never sent again: all jobs that use it stop, so that no account is
    /// locked out.
    Login(Box<LoginAuth>),
    /// OAuth 2.0: client credentials, or a refresh token. Requests carry the token as `Authorization: Bearer ...`.
    ///
    /// The token is renewed shortly before it expires, and where `auth_failed` refuses it, once for all jobs that use it. If the new
    /// one is refused too, only that slice fails. If the token end point refuses the client, all jobs that use it stop.
    Oauth2(Box<OAuth2Auth>),
    /// A signature over each request.
    Hmac(HmacAuth),
}

/// A user and a password.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BasicAuth {
    /// The user's name.
    pub username: Spanned<String>,
    /// The password.
    pub password: SecretText,
}

/// A secret under a name.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NamedSecret {
    /// The name of the header, parameter or field.
    pub name: Spanned<String>,
    /// The secret; a literal text before it is fine: `Token ${TOKEN}`.
    pub value: PrefixedSecret,
}

/// A login request and what to take from its answer.
///
/// Values from `${...}` in `headers`, `form` and `body` are secrets: they, the token and the cookies are kept out of all that is
/// shown and logged. What stands under `user`, `username`, `login`, `email` and the like is no secret.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginAuth {
    /// The path of the request, appended to `base_url`. Templates here and below see `now` only, the instant of the login. A text
    /// with `${...}` in it is no template.
    pub post: Tmpl,
    /// A user and a password that it carries as HTTP Basic, where the server takes them so at the login alone.
    #[serde(default)]
    pub basic: Option<BasicAuth>,
    /// Its headers; those of `source` and of the jobs aren't sent with it.
    #[serde(default)]
    pub headers: IndexMap<Spanned<String>, RequestValue>,
    /// Its form fields.
    #[serde(default)]
    pub form: Option<RequestValue>,
    /// Its JSON body.
    #[serde(default)]
    pub body: Option<RequestValue>,
    /// jq: whether the login succeeded. Sees `$status`, `$headers` and the body. Default: every 2xx status is a success. Say
    /// it where the server answers 200 to a wrong password: else that is noticed only when the first request is refused. With it, a
    /// redirect can be one too, which isn't followed: `$status == 302 and ($headers.location | contains("login") | not)`.
    #[serde(default)]
    pub success: Option<Jq>,
    /// jq: the token in the answer, such as `.token` or `"Bearer " + .token`. Sees the same. Without it, the answer must set a
    /// cookie. Cookies are kept in either case: later answers may replace and clear them, and they go to the same origin only.
    #[serde(default)]
    pub token: Option<Jq>,
    /// The place that the token is written to: `headers.authorization`, `query.token`, `form.token` or a place in `body`.
    #[serde(default)]
    pub into: Option<Jq>,
}

/// An OAuth 2.0 client.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OAuth2Auth {
    /// The token end point, a whole URL: https, or on this machine. It may lie elsewhere than `base_url`; only the client's id and
    /// secret and the refresh token go there. `timeout`, `retry` and `tls` of the source are its own too.
    pub token_url: Spanned<String>,
    /// The client's id.
    pub client_id: Spanned<String>,
    /// The client's secret.
    pub client_secret: SecretText,
    /// The scope to ask for: names with blanks between them.
    #[serde(default)]
    pub scope: Option<String>,
    /// A refresh token, instead of client credentials. Where the server gives a new one with each token, it is used from then on,
    /// for as long as the process lives. It isn't written anywhere: a token that can be used only once is refused in the next run.
    #[serde(default)]
    pub refresh_token: Option<SecretText>,
    /// Where the client's id and secret go. Default: `header`.
    #[serde(default)]
    pub client_auth: Option<ClientAuth>,
}

/// Where an OAuth 2.0 client's credentials go (RFC 6749, section 2.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuth {
    /// Into an HTTP Basic header.
    Header,
    /// Into the body.
    Body,
}

/// A signature over each request.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HmacAuth {
    /// What is signed, and how.
    pub profile: HmacProfile,
    /// The key's id.
    pub key: SecretText,
    /// The key's secret.
    pub secret: SecretText,
}

/// A signing scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HmacProfile {
    /// Cisco Secure Workload (Tetration) `OpenAPI`.
    SecureWorkload,
}
