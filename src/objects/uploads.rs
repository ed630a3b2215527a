//! The uploads in parts that are open in a bucket, as S3 lists them: [ListMultipartUploads].
//!
//! `object_store` has neither that call nor a way to make one of its own. So the request is made here, signed by its authorizer with
//! the store's own credentials, and sent by a client with the store's own options.
//!
//! [ListMultipartUploads]: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListMultipartUploads.html

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use http::StatusCode;
use object_store::ClientOptions;
use object_store::aws::{AmazonS3, AwsAuthorizer};
use object_store::client::{HttpClient, HttpConnector as _, HttpRequest, HttpRequestBody, ReqwestConnector};
use object_store::path::Path;
use object_store::signer::Signer as _;
use serde::Deserialize;
use url::Url;

use super::error::{StoreError, chain};
use super::location::Location;

/// How often a page is asked for.
const TRIES: u32 = 4;

/// The pause after the first try; after the n-th it is n times as long.
const PAUSE: Duration = Duration::from_millis(500);

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// An upload that is neither completed nor aborted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenUpload {
    /// What it is to become: a path below the place that was asked about.
    pub path: String,
    /// The store's id of it.
    pub id: String,
    /// When it was begun, UTC, by the store's clock.
    pub begun: DateTime<Utc>,
}

/// What is known of the open uploads below a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpenUploads {
    /// All that there are.
    Listed(Vec<OpenUpload>),
    /// The store doesn't list them, or not for these credentials: why.
    NotListed(String),
}

/// How one learns of the uploads that are open in a bucket.
#[derive(Debug, Clone)]
pub(super) enum Listing {
    /// By a call.
    S3(Arc<S3Uploads>),
    /// There is no need to: the store itself throws away what isn't completed.
    Needless,
    /// Not at all, for this reason.
    None(&'static str),
}

impl Listing {
    /// Lists the uploads below a place.
    pub(super) async fn below(&self, at: &Location) -> Result<OpenUploads, StoreError> {
        match self {
            Self::S3(uploads) => uploads.below(at).await,
            Self::Needless => Ok(OpenUploads::Listed(Vec::new())),
            Self::None(why) => Ok(OpenUploads::NotListed((*why).to_owned())),
        }
    }
}

/// Lists the uploads of a bucket.
#[derive(Debug)]
pub(super) struct S3Uploads {
    pub(super) store: Arc<AmazonS3>,
    pub(super) options: ClientOptions,
    pub(super) region: String,
    pub(super) request_payer: bool,
}

/// A page of the list, as the store answers.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Page {
    #[serde(default)]
    is_truncated: bool,
    #[serde(default)]
    next_key_marker: String,
    #[serde(default)]
    next_upload_id_marker: String,
    /// `url` where keys are encoded, as was asked for; not every store does.
    #[serde(default)]
    encoding_type: String,
    #[serde(default, rename = "Upload")]
    uploads: Vec<Listed>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    key: String,
    upload_id: String,
    initiated: DateTime<Utc>,
}

/// Where the next page begins: a key, and an upload of it.
type Marker = (String, String);

impl S3Uploads {
    async fn below(&self, at: &Location) -> Result<OpenUploads, StoreError> {
        let prefix = if at.prefix().is_empty() { String::new() } else { format!("{}/", at.prefix()) };
        let client = ReqwestConnector::default().connect(&self.options).map_err(|error| StoreError::of(at, &error))?;
        let (mut found, mut marker) = (Vec::new(), None);
        loop {
            let (status, text) = self.page(&client, at, &prefix, marker.as_ref()).await?;
            if !status.is_success() {
                let error = StoreError::answered(at, status, &text);
                // What the store refuses, or has no such call for, it refuses the next time as well.
                let is_refusal = status.is_client_error() || status == StatusCode::NOT_IMPLEMENTED;
                return if is_refusal { Ok(OpenUploads::NotListed(error.to_string())) } else { Err(error) };
            }
            let (page, next) = read(&text, &prefix).map_err(|why| StoreError::because(at, why))?;
            found.extend(page);
            if next.is_none() {
                return Ok(OpenUploads::Listed(found));
            }
            if next == marker {
                return Err(StoreError::because(
                    at,
                    "the store lists its uploads without an end: a page leads to itself",
                ));
            }
            marker = next;
        }
    }

    /// Asks for a page until there is an answer that another try wouldn't change.
    async fn page(
        &self,
        client: &HttpClient,
        at: &Location,
        prefix: &str,
        marker: Option<&Marker>,
    ) -> Result<(StatusCode, String), StoreError> {
        let mut tried = 0;
        loop {
            tried += 1;
            let sent = self.request(at, prefix, marker).await?;
            let answer = tokio::time::timeout(PATIENCE, async {
                let (parts, body) = client.execute(sent).await?.into_parts();
                Ok::<_, object_store::client::HttpError>((parts.status, body.bytes().await?))
            });
            let answer = match answer.await {
                Ok(Ok((status, bytes))) => Ok((status, String::from_utf8_lossy(&bytes).into_owned())),
                Ok(Err(error)) => Err(StoreError::because(at, format!("can't list its uploads: {}", chain(&error)))),
                Err(_elapsed) => Err(StoreError::because(at, format!("no answer for {} s", PATIENCE.as_secs()))),
            };
            let passes = match &answer {
                Ok((status, _)) => {
                    *status == StatusCode::TOO_MANY_REQUESTS
                        || status.is_server_error() && *status != StatusCode::NOT_IMPLEMENTED
                }
                Err(_) => true,
            };
            if !passes || tried == TRIES {
                return answer;
            }
            tokio::time::sleep(PAUSE * tried).await;
        }
    }

    async fn request(&self, at: &Location, prefix: &str, marker: Option<&Marker>) -> Result<HttpRequest, StoreError> {
        let failed = |error: &object_store::Error| StoreError::of(at, error);
        // The store knows its own address: of that of an object with no name, what follows the path is a signature.
        let bucket = self.store.signed_url(http::Method::GET, &Path::default(), Duration::from_secs(1)).await;
        let url = query(bucket.map_err(|error| failed(&error))?, prefix, marker);
        let request = http::Request::get(url.as_str()).body(HttpRequestBody::empty());
        let mut request = request.map_err(|error| StoreError::because(at, error.to_string()))?;
        let credential = self.store.credentials().get_credential().await.map_err(|error| failed(&error))?;
        let authorizer = AwsAuthorizer::new(&credential, "s3", &self.region).with_request_payer(self.request_payer);
        authorizer.authorize(&mut request, None);
        Ok(request)
    }
}

/// Makes the address of a page of the list of that of the bucket.
fn query(mut url: Url, prefix: &str, marker: Option<&Marker>) -> Url {
    url.set_query(None);
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    {
        let mut query = url.query_pairs_mut();
        query.append_pair("uploads", "").append_pair("encoding-type", "url").append_pair("prefix", prefix);
        if let Some((key, id)) = marker {
            query.append_pair("key-marker", key).append_pair("upload-id-marker", id);
        }
    }
    url
}

/// Reads a page: uploads by what follows `prefix` in their keys, and where the next page begins.
fn read(text: &str, prefix: &str) -> Result<(Vec<OpenUpload>, Option<Marker>), String> {
    let page: Page =
        quick_xml::de::from_str(text).map_err(|error| format!("its list of uploads can't be read: {error}"))?;
    let is_encoded = page.encoding_type == "url";
    let plain = |text: String| {
        if !is_encoded {
            return Ok(text);
        }
        let spaced = text.replace('+', " ");
        let decoded = percent_encoding::percent_decode_str(&spaced).decode_utf8();
        decoded.map(Into::into).map_err(|_| format!("its list of uploads has a key that isn't UTF-8: {text}"))
    };
    let mut found = Vec::new();
    for Listed { key, upload_id: id, initiated: begun } in page.uploads {
        // A store that knows no prefix lists all.
        if let Some(path) = plain(key)?.strip_prefix(prefix) {
            found.push(OpenUpload { path: path.to_owned(), id, begun });
        }
    }
    if !page.is_truncated {
        return Ok((found, None));
    }
    Ok((found, Some((plain(page.next_key_marker)?, page.next_upload_id_marker))))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn a_page_is_asked_for_at_the_bucket() {
        let ask = |url: &str, marker: Option<&Marker>| query(url.parse().unwrap(), "a b/", marker).to_string();
        assert_eq!(
            ask("http://127.0.0.1:9000/lake/?X-Amz-Signature=0", None),
            "http://127.0.0.1:9000/lake?uploads=&encoding-type=url&prefix=a+b%2F"
        );
        let marker = ("a b/c=1%2F2".to_owned(), "id+/=".to_owned());
        assert_eq!(
            ask("https://lake.s3.eu-west-1.amazonaws.com/", Some(&marker)),
            "https://lake.s3.eu-west-1.amazonaws.com/?uploads=&encoding-type=url&prefix=a+b%2F&key-marker=a+b%2Fc%3D1%252F2&upload-id-marker=id%2B%2F%3D"
        );
    }

    #[test]
    fn a_page_is_read_in_whichever_way_keys_are_written() {
        let page = |encoding: &str, key: &str| {
            format!(
                r#"<?xml version="1.0" encoding="UTF-8"?>
<ListMultipartUploadsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Bucket>lake</Bucket><KeyMarker></KeyMarker>{encoding}
  <NextKeyMarker>{key}</NextKeyMarker><NextUploadIdMarker>two</NextUploadIdMarker><MaxUploads>1000</MaxUploads>
  <IsTruncated>true</IsTruncated>
  <Upload><Key>{key}</Key><UploadId>one&amp;1</UploadId><Initiator><ID>x</ID></Initiator><Initiated>2026-01-03T10:00:00.000Z</Initiated></Upload>
  <CommonPrefixes><Prefix>x/</Prefix></CommonPrefixes>
  <Upload><Key>elsewhere</Key><UploadId>two</UploadId><Initiated>2026-01-03T10:00:01Z</Initiated></Upload>
</ListMultipartUploadsResult>"#
            )
        };
        let begun = "2026-01-03T10:00:00Z".parse().unwrap();
        let expected = vec![OpenUpload { path: "c=1%2F2/f".to_owned(), id: "one&1".to_owned(), begun }];
        let next = Some(("a b/c=1%2F2/f".to_owned(), "two".to_owned()));
        for text in [page("<EncodingType>url</EncodingType>", "a+b/c%3D1%252F2/f"), page("", "a b/c=1%2F2/f")] {
            assert_eq!(read(&text, "a b/"), Ok((expected.clone(), next.clone())));
        }
        let last = "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>";
        assert_eq!(read(last, ""), Ok((Vec::new(), None)));
        let error = read("<ListMultipartUploadsResult><Upload><Key>x", "").unwrap_err();
        assert!(error.starts_with("its list of uploads can't be read: "), "{error}");
    }

    /// Answers one request after the other, and notes what was asked.
    async fn server(answers: Vec<(u16, String)>) -> (S3Uploads, Arc<Mutex<Vec<String>>>) {
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let (noted, answers) = (Arc::clone(&asked), Arc::new(Mutex::new(answers.into_iter())));
        let router = axum::Router::new().fallback(move |request: axum::extract::Request| {
            let is_signed =
                request.headers()["authorization"].to_str().unwrap().starts_with("AWS4-HMAC-SHA256 Credential=key/");
            noted.lock().unwrap().push(format!("{} {is_signed}", request.uri()));
            let (status, body) = answers.lock().unwrap().next().unwrap();
            async move { (StatusCode::from_u16(status).unwrap(), body) }
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let builder =
            object_store::aws::AmazonS3Builder::new().with_bucket_name("lake").with_endpoint(url).with_allow_http(true);
        let store = Arc::new(builder.with_access_key_id("key").with_secret_access_key("secret").build().unwrap());
        let options = ClientOptions::new().with_allow_http(true);
        (S3Uploads { store, options, region: "eu-west-1".to_owned(), request_payer: false }, asked)
    }

    async fn below(answers: Vec<(u16, String)>) -> (Result<OpenUploads, StoreError>, Vec<String>) {
        let (uploads, asked) = server(answers).await;
        let listed = uploads.below(&Location::parse("s3://lake/a").unwrap().unwrap()).await;
        let asked = asked.lock().unwrap().clone();
        (listed, asked)
    }

    fn page(key: &str, next: Option<&str>) -> (u16, String) {
        let next = next.map_or_else(String::new, |next| {
            format!("<IsTruncated>true</IsTruncated><NextKeyMarker>{next}</NextKeyMarker><NextUploadIdMarker>id</NextUploadIdMarker>")
        });
        let upload = format!(
            "<Upload><Key>{key}</Key><UploadId>id</UploadId><Initiated>2026-01-03T10:00:00Z</Initiated></Upload>"
        );
        (200, format!("<ListMultipartUploadsResult>{upload}{next}</ListMultipartUploadsResult>"))
    }

    #[tokio::test]
    async fn all_pages_are_asked_for_and_again_where_the_store_is_busy() {
        let busy = || (503, "<Error><Code>SlowDown</Code></Error>".to_owned());
        let (listed, asked) = below(vec![page("a/1", Some("a/1")), busy(), page("a/2", None)]).await;
        let Ok(OpenUploads::Listed(listed)) = listed else { panic!("{listed:?}") };
        assert_eq!(listed.iter().map(|upload| upload.path.as_str()).collect::<Vec<_>>(), ["1", "2"]);
        let first = "/lake?uploads=&encoding-type=url&prefix=a%2F";
        let second = format!("{first}&key-marker=a%2F1&upload-id-marker=id true");
        assert_eq!(asked, [format!("{first} true"), second.clone(), second]);
    }

    #[tokio::test]
    async fn a_list_without_an_end_and_a_refusal_are_told() {
        let (listed, _) = below(vec![page("a/1", Some("a/1")), page("a/1", Some("a/1"))]).await;
        let error = listed.unwrap_err().to_string();
        assert_eq!(error, "s3://lake/a: the store lists its uploads without an end: a page leads to itself");
        for (status, code) in [(403, "AccessDenied"), (501, "NotImplemented")] {
            let (listed, asked) = below(vec![(status, format!("<Error><Code>{code}</Code></Error>"))]).await;
            let Ok(OpenUploads::NotListed(why)) = listed else { panic!("{listed:?}") };
            assert!(why.starts_with("s3://lake/a: ") && why.contains(code), "{why}");
            assert_eq!(asked.len(), 1, "it isn't asked again");
        }
    }
}
