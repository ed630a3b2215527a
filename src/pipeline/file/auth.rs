//! How a request proves who sends it.

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
    /// A query parameter of that name.
    Query(NamedSecret),
    /// A form field of that name.
    Form(NamedSecret),
    /// A request whose cookie or token the other requests then carry.
    Login(Box<LoginAuth>),
    /// OAuth 2.0: client credentials, or a refresh token.
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
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginAuth {
    /// The path of the request, appended to `base_url`.
    pub post: Tmpl,
    /// Its form fields.
    #[serde(default)]
    pub form: Option<RequestValue>,
    /// Its JSON body.
    #[serde(default)]
    pub body: Option<RequestValue>,
    /// Whether the login succeeded, beside a 2xx status (jq).
    #[serde(default)]
    pub success: Option<Jq>,
    /// The token in the answer (jq). Without it, the cookie is used.
    #[serde(default)]
    pub token: Option<Jq>,
    /// The place that the token is written to, such as `headers.authorization`.
    #[serde(default)]
    pub into: Option<Jq>,
}

/// An OAuth 2.0 client.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OAuth2Auth {
    /// The token end point, a whole URL.
    pub token_url: Spanned<String>,
    /// The client's id.
    pub client_id: Spanned<String>,
    /// The client's secret.
    pub client_secret: SecretText,
    /// The scope to ask for.
    #[serde(default)]
    pub scope: Option<String>,
    /// A refresh token, instead of client credentials.
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
