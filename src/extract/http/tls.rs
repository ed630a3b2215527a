//! TLS: whom we trust, and by what we are known.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::{WebPkiServerVerifier, verify_server_name};
use tokio_rustls::rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, InconsistentKeys, RootCertStore, SignatureScheme,
};

use super::connect::HttpOptions;
use super::error::HttpError;

/// What the verifier says of a server's certificate that may sign others: `webpki::Error::CaUsedAsEndEntity`.
const SIGNS_OTHERS: &str = "CaUsedAsEndEntity";

/// A client's certificate with those that vouch for it, and its key.
type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// Makes the configuration. Fails where a file can't be used.
pub(super) fn config(options: &HttpOptions) -> Result<ClientConfig, HttpError> {
    let provider = Arc::new(ring::default_provider());
    let own = options.ca_file.as_deref().map(certificates).transpose()?.unwrap_or_default();
    let verifier: Arc<dyn ServerCertVerifier> = if options.insecure_skip_verify {
        Arc::new(TrustsAll(provider.signature_verification_algorithms))
    } else {
        Arc::new(Verifier::new(&provider, own, options.ca_file.as_deref())?)
    };
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| unusable(&error.to_string()))?;
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    let mut config = match &options.client_cert {
        None => builder.with_no_client_auth(),
        Some(cert) => {
            let (chain, key) = identity(cert, options.client_key.as_deref())?;
            let made = builder.with_client_auth_cert(chain, key);
            made.map_err(|error| unusable(&(pair(&error) + &named(options))))?
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Says what is wrong with a certificate and a key that are whole, each for itself.
fn pair(error: &Error) -> String {
    match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            "the key doesn't belong to the certificate".to_owned()
        }
        other => format!("the certificate and the key can't be used: {other}"),
    }
}

fn named(options: &HttpOptions) -> String {
    let files = [("client_cert", &options.client_cert), ("client_key", &options.client_key)];
    let file = |(name, path): (&str, &Option<std::path::PathBuf>)| {
        path.as_ref().map(|path| format!("; check tls.{name} '{}'", path.display()))
    };
    files.into_iter().filter_map(file).collect()
}

/// Trusts who is vouched for by the system's certificates or by those of `ca_file`, and a server whose very certificate stands there: who
/// signed it may be unknown, and a self-signed one mostly says that it may sign others, which a server's may not otherwise.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    own: Vec<CertificateDer<'static>>,
    /// Who vouches for servers, once one has to be verified: to read the system's certificates takes as long as to write a small load,
    /// and many appliances have no TLS. None where there is nobody to vouch for anyone.
    roots: OnceLock<Result<Option<Arc<WebPkiServerVerifier>>, Error>>,
}

impl Verifier {
    fn new(
        provider: &Arc<CryptoProvider>,
        own: Vec<CertificateDer<'static>>,
        ca_file: Option<&Path>,
    ) -> Result<Self, HttpError> {
        for certificate in &own {
            let added = RootCertStore::empty().add(certificate.clone());
            let odd = |error: Error| match ca_file {
                Some(path) => refuse("ca_file", path, &format!("holds a certificate that can't be used: {error}")),
                None => unusable(&error.to_string()),
            };
            added.map_err(odd)?;
        }
        Ok(Self { provider: Arc::clone(provider), own, roots: OnceLock::new() })
    }

    /// Reads the certificates of those who vouch for servers.
    fn read_roots(&self) -> Result<Option<Arc<WebPkiServerVerifier>>, Error> {
        let mut roots = RootCertStore::empty();
        // Systems have odd ones among theirs, which nobody needs.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        roots.add_parsable_certificates(self.own.iter().cloned());
        let verifier = (!roots.is_empty())
            .then(|| WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.provider)).build());
        verifier.transpose().map_err(|error| Error::General(error.to_string()))
    }

    fn algorithms(&self) -> &WebPkiSupportedAlgorithms {
        &self.provider.signature_verification_algorithms
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        server: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let roots = self.roots.get_or_init(|| self.read_roots()).as_ref().map_err(Clone::clone)?;
        let Some(roots) = roots else { return Err(CertificateError::UnknownIssuer.into()) };
        match roots.verify_server_cert(server, between, name, ocsp, now) {
            // Whether it is valid now, and for servers, was looked at before.
            Err(Error::InvalidCertificate(why))
                if is_for_lack_of_a_signer(&why) && self.own.iter().any(|own| own.as_ref() == server.as_ref()) =>
            {
                verify_server_name(&ParsedCertificate::try_from(server)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        server: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, server, signed, self.algorithms())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        server: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, server, signed, self.algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms().supported_schemes()
    }
}

/// Tells whether a certificate has no other fault than that nobody who is known vouches for it.
fn is_for_lack_of_a_signer(why: &CertificateError) -> bool {
    match why {
        CertificateError::UnknownIssuer => true,
        CertificateError::Other(why) => why.to_string() == SIGNS_OTHERS,
        _ => false,
    }
}

/// Says what to do where there is no TLS, as far as what was `said` tells more than that.
pub(super) fn what_to_do(said: &str) -> Option<String> {
    const OTHER_HOST: &str = "base_url must name the server by a name or an address that stands in its certificate as a subjectAltName; \
                              take such a one, or have a certificate made that has this one";
    const EXPIRED: &str = "the server's certificate must be renewed there; check this machine's clock, too";
    const NOT_YET: &str =
        "the server's certificate isn't valid before that: check this machine's clock, and the server's";
    let known = [("not valid for name", OTHER_HOST), ("certificate expired", EXPIRED), ("not valid yet", NOT_YET)];
    known.into_iter().find(|(sign, _)| said.contains(sign)).map(|(_, hint)| hint.to_owned())
}

/// Trusts anybody, for `insecure_skip_verify`: with a certificate that nobody could read, as well.
#[derive(Debug)]
struct TrustsAll(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for TrustsAll {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

fn unusable(reason: &str) -> HttpError {
    HttpError::Client { reason: format!("tls: {reason}") }
}

fn refuse(field: &str, path: &Path, why: &str) -> HttpError {
    HttpError::Client { reason: format!("tls.{field} '{}' {why}", path.display()) }
}

fn read(field: &str, path: &Path) -> Result<Vec<u8>, HttpError> {
    std::fs::read(path).map_err(|error| refuse(field, path, &format!("can't be read: {error}")))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, HttpError> {
    let pem = read("ca_file", path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let found = found.map_err(|_| refuse("ca_file", path, "holds a certificate that isn't whole, or isn't PEM"))?;
    if found.is_empty() {
        return Err(refuse("ca_file", path, "holds no certificate; it must be PEM"));
    }
    Ok(found)
}

/// Reads the client's certificate and its key, from one file or from two. No message holds any part of the key.
fn identity(cert: &Path, key: Option<&Path>) -> Result<Identity, HttpError> {
    let own = read("client_cert", cert)?;
    if !holds(&own, "CERTIFICATE-----") {
        return Err(refuse(
            "client_cert",
            cert,
            "holds no certificate; it must be PEM (`-----BEGIN CERTIFICATE-----`)",
        ));
    }
    let (field, path) = key.map_or(("client_cert", cert), |key| ("client_key", key));
    let other = key.map(|key| read("client_key", key)).transpose()?;
    let key = other.as_ref().unwrap_or(&own);
    if holds(key, "ENCRYPTED PRIVATE KEY-----") || holds(key, "Proc-Type: 4,ENCRYPTED") {
        let why = "holds an encrypted key, and there is nobody to ask for its password: decrypt it (`openssl pkey -in key.pem -out \
                   plain.pem`), and let only the user who runs Tidegate read it";
        return Err(refuse(field, path, why));
    }
    if !holds(key, "PRIVATE KEY-----") {
        let why = "holds no private key; name the file of the key, in PEM, as tls.client_key";
        return Err(refuse(field, path, why));
    }
    let broken = |field, path| refuse(field, path, "can't be used: check that it is whole, and PEM");
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&own).collect();
    let chain = chain.map_err(|_| broken("client_cert", cert))?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| broken(field, path))?;
    Ok((chain, key))
}

fn holds(pem: &[u8], text: &str) -> bool {
    pem.windows(text.len()).any(|window| window == text.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    fn why(cert: &str, key: Option<&str>) -> String {
        let (cert, key) = (file(cert), key.map(file));
        let key = key.as_ref().map(|key| key.path().to_owned());
        let options =
            HttpOptions { client_cert: Some(cert.path().to_owned()), client_key: key, ..HttpOptions::default() };
        config(&options).unwrap_err().to_string()
    }

    #[test]
    fn a_certificate_that_is_named_itself_is_for_its_host_and_its_time() {
        let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tls/self-signed.pem"));
        let own = certificates(path).unwrap();
        let verifier = Verifier::new(&Arc::new(ring::default_provider()), own.clone(), Some(path)).unwrap();
        let says = |name: &str, year: u64| {
            let since = std::time::Duration::from_secs((year - 1970) * 31_557_600);
            let (name, now) = (ServerName::try_from(name).unwrap(), UnixTime::since_unix_epoch(since));
            verifier.verify_server_cert(&own[0], &[], &name, &[], now).map(|_| ()).map_err(|error| error.to_string())
        };
        assert_eq!(says("127.0.0.1", 2050), Ok(()));
        assert!(says("127.0.0.2", 2050).unwrap_err().contains("not valid for name"), "{:?}", says("127.0.0.2", 2050));
        assert!(says("127.0.0.1", 2200).unwrap_err().contains("expired"), "{:?}", says("127.0.0.1", 2200));
        assert!(says("127.0.0.1", 2020).unwrap_err().contains("not valid yet"), "{:?}", says("127.0.0.1", 2020));
    }

    #[test]
    fn a_certificate_that_is_named_itself_is_for_its_host_and_its_time_whoever_signed_it() {
        let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tls/server.pem"));
        let own = certificates(path).unwrap();
        let verifier = |own: &[_]| Verifier::new(&Arc::new(ring::default_provider()), own.to_vec(), None).unwrap();
        let says = |verifier: &Verifier, name: &str, year: u64| {
            let since = std::time::Duration::from_secs((year - 1970) * 31_557_600);
            let (name, now) = (ServerName::try_from(name.to_owned()).unwrap(), UnixTime::since_unix_epoch(since));
            verifier.verify_server_cert(&own[0], &[], &name, &[], now).map(|_| ()).map_err(|error| error.to_string())
        };
        let named = verifier(&own);
        assert_eq!(says(&named, "127.0.0.1", 2050), Ok(()));
        assert!(says(&verifier(&[]), "127.0.0.1", 2050).unwrap_err().contains("UnknownIssuer"));
        for (name, year, why, hint) in [
            ("127.0.0.2", 2050, "not valid for name", "must name the server by a name"),
            ("127.0.0.1", 2200, "expired", "must be renewed there"),
            ("127.0.0.1", 2020, "not valid yet", "isn't valid before that"),
        ] {
            let said = says(&named, name, year).unwrap_err();
            assert!(said.contains(why) && what_to_do(&said).unwrap().contains(hint), "{said}");
        }
        assert_eq!(what_to_do("invalid peer certificate: UnknownIssuer"), None);
    }

    #[test]
    fn a_client_certificate_that_cannot_be_used_is_named_with_what_to_do() {
        const CERT: &str = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
        let none = why("", None);
        assert!(none.contains("tls.client_cert '") && none.contains("holds no certificate"), "{none}");
        let no_key = why(CERT, None);
        assert!(no_key.contains("holds no private key; name the file of the key"), "{no_key}");
        for header in
            ["-----BEGIN ENCRYPTED PRIVATE KEY-----", "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED"]
        {
            let text = why(CERT, Some(&format!("{header}\nhunter2\n")));
            assert!(text.contains("tls.client_key '") && text.contains("an encrypted key"), "{text}");
            assert!(text.contains("openssl pkey") && !text.contains("hunter2"), "{text}");
        }
        let odd = why(CERT, Some("-----BEGIN PRIVATE KEY-----\nhunter2+and/more\n-----END PRIVATE KEY-----\n"));
        assert!(odd.contains("the certificate and the key can't be used"), "{odd}");
        assert!(odd.contains("; check tls.client_cert '") && odd.contains("; check tls.client_key '"), "{odd}");
        let torn = why(CERT, Some("-----BEGIN PRIVATE KEY-----\nhunter2+and/more\n"));
        assert!(torn.contains("tls.client_key '") && torn.contains("check that it is whole, and PEM"), "{torn}");
        assert!(!odd.contains("hunter2") && !torn.contains("hunter2"), "{odd} {torn}");
        let missing = HttpOptions { client_cert: Some("/nowhere/at.pem".into()), ..HttpOptions::default() };
        assert!(config(&missing).unwrap_err().to_string().contains("tls.client_cert '/nowhere/at.pem' can't be read"));
    }
}
