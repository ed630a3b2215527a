//! Stores from the environment: the variables that each vendor's own tools read.

use std::time::Duration;

use std::sync::Arc;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::{BackoffConfig, ClientConfigKey, RetryConfig};

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
            Ok(Bucket::new(Arc::new(builder.build().map_err(|error| failed(&error))?)))
        }
        Scheme::Gs => {
            let timeout = GoogleConfigKey::Client(ClientConfigKey::Timeout);
            let mut builder =
                GoogleCloudStorageBuilder::from_env().with_bucket_name(at.bucket()).with_retry(retry(purpose));
            if builder.get_config_value(&timeout).is_none() {
                builder = builder.with_config(timeout, seconds(purpose));
            }
            Ok(Bucket::new(Arc::new(builder.build().map_err(|error| failed(&error))?)))
        }
        Scheme::Az => {
            let timeout = AzureConfigKey::Client(ClientConfigKey::Timeout);
            let mut builder =
                MicrosoftAzureBuilder::from_env().with_container_name(at.bucket()).with_retry(retry(purpose));
            if builder.get_config_value(&timeout).is_none() {
                builder = builder.with_config(timeout, seconds(purpose));
            }
            Ok(Bucket::new(Arc::new(builder.build().map_err(|error| failed(&error))?)))
        }
        Scheme::Memory => Err(StoreError::because(at, "a store in memory isn't opened, but made")),
    }
}

/// Refuses an end point without TLS unless the environment says that it is meant.
fn plain_http(at: &Location, builder: &AmazonS3Builder) -> Result<(), StoreError> {
    let value = |key| builder.get_config_value(&key);
    let endpoint = value(AmazonS3ConfigKey::S3Endpoint).or_else(|| value(AmazonS3ConfigKey::Endpoint));
    let plain = endpoint.is_some_and(|url| url.starts_with("http://"));
    let allowed = value(AmazonS3ConfigKey::Client(ClientConfigKey::AllowHttp));
    let allowed =
        allowed.is_some_and(|text| matches!(text.to_ascii_lowercase().as_str(), "1" | "true" | "on" | "yes" | "y"));
    if plain && !allowed {
        return Err(StoreError::because(
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
