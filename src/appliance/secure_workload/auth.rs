//! Who asks: the signature of `tetpyclient`, checked as the server has to. Written apart from the exporter's own, so that neither
//! can be wrong alone.

use base64::Engine as _;
use chrono::{DateTime, Utc};
use ring::hmac;
use sha2::{Digest as _, Sha256};

use super::SecureWorkloadConfig;
use crate::appliance::server::Request;

/// Checks the signature of a request; says what is wrong with it.
pub(super) fn verify(config: &SecureWorkloadConfig, request: &Request, now: DateTime<Utc>) -> Result<(), &'static str> {
    let header = |name: &str| request.header(name).unwrap_or_default();
    if header("id") != config.key {
        return Err("invalid API key");
    }
    let time = DateTime::parse_from_str(header("timestamp"), "%Y-%m-%dT%H:%M:%S%z").map_err(|_| "invalid timestamp")?;
    let off = (now - time.to_utc()).abs().to_std().unwrap_or_default();
    if config.skew.is_some_and(|skew| off > skew) {
        return Err("timestamp is too old");
    }
    let checked = matches!(request.method.as_str(), "POST" | "PUT" | "DELETE") && !request.body.is_empty();
    let checksum = if checked { hex::encode(Sha256::digest(&request.body)) } else { String::new() };
    if header("x-tetration-cksum") != checksum {
        return Err("checksum mismatch");
    }
    let mut text = String::new();
    for part in [request.method.as_str(), &request.target, &checksum, header("content-type"), header("timestamp")] {
        text.push_str(part);
        text.push('\n');
    }
    let given = base64::engine::general_purpose::STANDARD.decode(header("authorization"));
    let key = hmac::Key::new(hmac::HMAC_SHA256, config.secret.as_bytes());
    let valid = given.is_ok_and(|given| hmac::verify(&key, text.as_bytes(), &given).is_ok());
    if valid { Ok(()) } else { Err("signature mismatch") }
}
