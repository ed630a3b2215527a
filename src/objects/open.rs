//! Stores from the environment: the variables that each vendor's own tools read.

use std::time::Duration;

use std::sync::Arc;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::{BackoffConfig, ClientConfigKey, ClientOptions, RetryConfig};

use super::uploads::{Listing, S3Uploads};
use super::{Bucket, Location, Purpose, Scheme, StoreError};

/// Opens a bucket. Nothing is sent.
pub(super) fn open(at: &Location, purpose: Purpose) -> Result<Bucket, StoreError> {
    let failed = |error: &object_store::Error| StoreError::of(at, error);
    match at.scheme() {
        Scheme::S3 => {
            let timeout = AmazonS3ConfigKey::Client(ClientConfigKey::Timeout);
            let mut builder = AmazonS3Builder::from_env().with_bucket_name(at.bucket()).with_retry(retry(purpose));
            if builder.get_config_value(&timeout).is_none() {
                builder = builder.with_config(timeout, seconds(purpose));
            }
            plain_http(at, &builder)?;
            s3(builder).map_err(|error| failed(&error))
        }
        Scheme::Gs => {
            let timeout = GoogleConfigKey::Client(ClientConfigKey::Timeout);
            let mut builder =
                GoogleCloudStorageBuilder::from_env().with_bucket_name(at.bucket()).with_retry(retry(purpose));
            if builder.get_config_value(&timeout).is_none() {
                builder = builder.with_config(timeout, seconds(purpose));
            }
            let store = builder.build().map_err(|error| failed(&error))?;
            let why = "Tidegate doesn't list the uploads of Google Cloud Storage";
            Ok(Bucket::listed(Arc::new(store), Listing::None(why)))
        }
        Scheme::Az => {
            let timeout = AzureConfigKey::Client(ClientConfigKey::Timeout);
            let mut builder =
                MicrosoftAzureBuilder::from_env().with_container_name(at.bucket()).with_retry(retry(purpose));
            if builder.get_config_value(&timeout).is_none() {
                builder = builder.with_config(timeout, seconds(purpose));
            }
            // Azure itself throws blocks away that nobody has committed for a week.
            Ok(Bucket::new(Arc::new(builder.build().map_err(|error| failed(&error))?)))
        }
        Scheme::Memory => Err(StoreError::because(at, "a store in memory isn't opened, but made")),
    }
}

/// Opens a bucket of S3, and says how its uploads are listed: with the same credentials and options.
fn s3(builder: AmazonS3Builder) -> object_store::Result<Bucket> {
    let is_on = |key| builder.get_config_value(&key).is_some_and(|text| is_true(&text));
    let (unsigned, request_payer) = (is_on(AmazonS3ConfigKey::SkipSignature), is_on(AmazonS3ConfigKey::RequestPayer));
    let region = builder.get_config_value(&AmazonS3ConfigKey::Region).unwrap_or_else(|| "us-east-1".to_owned());
    let store = Arc::new(builder.build()?);
    let listing = if unsigned {
        Listing::None("a list of uploads takes signed requests, and AWS_SKIP_SIGNATURE is set")
    } else {
        Listing::S3(Arc::new(S3Uploads { store: Arc::clone(&store), options: client_options(), region, request_payer }))
    };
    Ok(Bucket::listed(store, listing))
}

/// Reads the options of HTTP clients as `object_store` does, whose builder has them, but doesn't give them.
fn client_options() -> ClientOptions {
    let variables =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    variables.filter(|(name, _)| name.starts_with("AWS_")).fold(ClientOptions::new(), |options, (name, value)| {
        match name.to_ascii_lowercase().parse() {
            Ok(AmazonS3ConfigKey::Client(key)) => options.with_config(key, value),
            _ => options,
        }
    })
}

fn is_true(text: &str) -> bool {
    matches!(text.to_ascii_lowercase().as_str(), "1" | "true" | "on" | "yes" | "y")
}

/// Refuses an end point without TLS unless the environment says that it is meant.
fn plain_http(at: &Location, builder: &AmazonS3Builder) -> Result<(), StoreError> {
    let value = |key| builder.get_config_value(&key);
    let endpoint = value(AmazonS3ConfigKey::S3Endpoint).or_else(|| value(AmazonS3ConfigKey::Endpoint));
    let plain = endpoint.is_some_and(|url| url.starts_with("http://"));
    let allowed = value(AmazonS3ConfigKey::Client(ClientConfigKey::AllowHttp));
    if plain && !allowed.is_some_and(|text| is_true(&text)) {
        return Err(StoreError::unfit(
            at,
            "AWS_ENDPOINT_URL has no TLS, so that anyone on the way could read the data: use https://, or set AWS_ALLOW_HTTP=true",
        ));
    }
    Ok(())
}

/// A lease lasts about a minute: a request about the state that takes half of it has failed.
fn seconds(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::State => "15 s",
        Purpose::Data => "300 s",
    }
}

fn retry(purpose: Purpose) -> RetryConfig {
    let (max_retries, retry_timeout) = match purpose {
        Purpose::State => (4, Duration::from_secs(20)),
        Purpose::Data => (8, Duration::from_secs(180)),
    };
    let backoff = BackoffConfig { max_backoff: Duration::from_secs(5), ..BackoffConfig::default() };
    RetryConfig { backoff, max_retries, retry_timeout }
}
