//! What an object store's answer means, without what it echoes: answers to a wrong signature quote the request, session token
//! included.

use std::error::Error;
use std::fmt;

/// Variables whose values are never shown.
const SECRETS: [&str; 7] = [
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_ACCESS_KEY_ID",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_SAS_KEY",
    "AZURE_STORAGE_CLIENT_SECRET",
    "GOOGLE_SERVICE_ACCOUNT_KEY",
];

/// How long a text of a store may be before it is cut.
const LONGEST: usize = 600;

/// What kind of failure it is, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// There is no such object, or no such upload.
    Missing,
    /// There is such an object already.
    Taken,
    /// The object isn't the one that was read.
    Changed,
    /// It can't be used, however often it is tried, until a person does something: it has no conditional writes, there is no such bucket,
    /// the environment says something else than is meant.
    Unfit,
    /// The credentials don't suffice, the store can't be reached: anything else, said in the text.
    Other,
}

/// Why an object store failed, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreError {
    url: String,
    why: String,
    kind: Kind,
}

impl StoreError {
    /// Makes one of an error of `object_store` about the object, or the place, at `url`.
    pub fn of(url: impl fmt::Display, error: &object_store::Error) -> Self {
        let url = url.to_string();
        let text = scrubbed(chain(error), |name| std::env::var(name).ok());
        let kind = kind(error, &text);
        let why = advised(&url, &text);
        Self { url, why, kind }
    }

    /// Makes one of an answer of the store to a request of our own.
    pub(super) fn answered(url: impl fmt::Display, status: http::StatusCode, body: &str) -> Self {
        let url = url.to_string();
        let text = scrubbed(body.to_owned(), |name| std::env::var(name).ok());
        Self { why: format!("{status}: {}", advised(&url, &text)), url, kind: Kind::Other }
    }

    /// Makes one with a reason of our own.
    pub fn because(url: impl fmt::Display, why: impl Into<String>) -> Self {
        Self { url: url.to_string(), why: why.into(), kind: Kind::Other }
    }

    /// Makes one of a store that can't be used.
    pub(super) fn unfit(url: impl fmt::Display, why: impl Into<String>) -> Self {
        Self { kind: Kind::Unfit, ..Self::because(url, why) }
    }

    /// Returns its kind.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.url.is_empty() { f.write_str(&self.why) } else { write!(f, "{}: {}", self.url, self.why) }
    }
}

impl Error for StoreError {}

fn kind(error: &object_store::Error, text: &str) -> Kind {
    // A bucket that is gone is no reason to believe that the upload is.
    if text.contains("NoSuchBucket") {
        return Kind::Unfit;
    }
    match error {
        object_store::Error::NotFound { .. } => Kind::Missing,
        object_store::Error::AlreadyExists { .. } => Kind::Taken,
        object_store::Error::Precondition { .. } | object_store::Error::NotModified { .. } => Kind::Changed,
        _ if ["NoSuchUpload", "InvalidPart", "MultipartUpload not found", "Missing part at index"]
            .iter()
            .any(|gone| text.contains(gone)) =>
        {
            Kind::Missing
        }
        _ => Kind::Other,
    }
}

/// Joins an error and its causes in one line, the outermost first: those causes that it doesn't tell itself.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

/// Shows a text of the store at `url`, with what to do about it where that can be known.
fn advised(url: &str, text: &str) -> String {
    match advice(url.split("://").next().unwrap_or_default(), text) {
        Some(advice) => format!("{}; {advice}", shown(text)),
        None => shown(text),
    }
}

/// Reduces the XML of an answer to what it says, and cuts what is long.
fn shown(text: &str) -> String {
    let element = |name: &str| {
        let from = text.split_once(&format!("<{name}>"))?.1;
        Some(from.split_once(&format!("</{name}>"))?.0.trim().to_owned())
    };
    match (element("Code"), element("Message")) {
        (Some(code), Some(message)) => format!("{code} ({})", message.trim_end_matches('.')),
        (Some(code), None) => code,
        _ => {
            let text = text.trim().trim_end_matches(':');
            match text.char_indices().nth(LONGEST) {
                Some((end, _)) => format!("{}…", &text[..end]),
                None => text.to_owned(),
            }
        }
    }
}

fn scrubbed(mut text: String, variable: impl Fn(&str) -> Option<String>) -> String {
    for name in SECRETS {
        if let Some(secret) = variable(name).filter(|secret| secret.len() >= 4) {
            text = text.replace(&secret, &format!("[{name}]"));
        }
    }
    text
}

/// Says what to do, where that can be known.
fn advice(scheme: &str, text: &str) -> Option<&'static str> {
    let has = |marks: &[&str]| marks.iter().any(|mark| text.contains(mark));
    Some(match scheme {
        "s3" if has(&["169.254.169.254", "169.254.170.2", "fd00:ec2::254"]) => {
            "no credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine a role that may use \
             the bucket"
        }
        "s3" if has(&["InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"]) => {
            "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, for temporary ones, AWS_SESSION_TOKEN"
        }
        "s3" if has(&[
            "configured region",
            "PermanentRedirect",
            "AuthorizationHeaderMalformed",
            "IllegalLocationConstraint",
        ]) =>
        {
            "set AWS_REGION to the region of the bucket"
        }
        _ if has(&["NoSuchBucket", "bucket does not exist", "ContainerNotFound"]) => "make the bucket, or mend the url",
        "s3" if has(&["AccessDenied", "403 Forbidden", "401 Unauthorized"]) => {
            "the credentials (AWS_ACCESS_KEY_ID, or the machine's role) must be allowed to get, put, delete and list objects there, \
             to abort uploads and, for `vacuum`, to list them"
        }
        "s3" if has(&["error sending request", "tcp connect", "dns error", "timed out", "connection closed"]) => {
            "check the network, AWS_ENDPOINT_URL and AWS_REGION"
        }
        "gs" if has(&["401 ", "403 ", "metadata"]) => {
            "check GOOGLE_APPLICATION_CREDENTIALS or GOOGLE_SERVICE_ACCOUNT, and what the account may do"
        }
        "az" if has(&["401 ", "403 ", "169.254.169.254"]) => {
            "check AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, or the identity and its role"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> StoreError {
        let error = object_store::Error::Generic { store: "S3", source: text.to_owned().into() };
        StoreError::of("s3://lake/x/a.csv", &error)
    }

    #[test]
    fn an_answer_is_told_by_its_code_and_nothing_that_it_echoes() {
        let error = of(
            "Server returned non-2xx status code: 403 Forbidden: <?xml?><Error><Code>SignatureDoesNotMatch</Code>\
             <Message>The signature does not match.</Message><CanonicalRequest>x-amz-security-token:TOKEN</CanonicalRequest></Error>",
        );
        assert_eq!(
            error.to_string(),
            "s3://lake/x/a.csv: SignatureDoesNotMatch (The signature does not match); check AWS_ACCESS_KEY_ID, \
             AWS_SECRET_ACCESS_KEY and, for temporary ones, AWS_SESSION_TOKEN"
        );
    }

    #[test]
    fn secrets_of_the_environment_are_not_shown() {
        let variable = |name: &str| (name == "AWS_SECRET_ACCESS_KEY").then(|| "s3cr3t".to_owned());
        assert_eq!(scrubbed("a s3cr3t b".to_owned(), variable), "a [AWS_SECRET_ACCESS_KEY] b");
    }

    #[test]
    fn what_is_gone_is_told_from_what_is_forbidden() {
        assert_eq!(of("<Error><Code>NoSuchUpload</Code></Error>").kind(), Kind::Missing);
        assert_eq!(of("<Error><Code>InvalidPart</Code></Error>").kind(), Kind::Missing);
        assert_eq!(of("<Error><Code>AccessDenied</Code></Error>").kind(), Kind::Other);
        let missing =
            |text: &str| object_store::Error::NotFound { path: "x".to_owned(), source: text.to_owned().into() };
        assert_eq!(StoreError::of("s3://lake/x", &missing("<Code>NoSuchKey</Code>")).kind(), Kind::Missing);
        assert_eq!(StoreError::of("s3://lake/x", &missing("<Code>NoSuchBucket</Code>")).kind(), Kind::Unfit);
    }
}
