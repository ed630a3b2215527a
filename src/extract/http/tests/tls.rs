//! TLS: whom we trust, who trusts us, and HTTP/2 where the server speaks it. The certificates are in `tests/fixtures/tls`.

use std::path::PathBuf;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use super::*;

pub(super) fn fixture(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tls")).join(name)
}

fn certificates(name: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_file_iter(fixture(name)).unwrap().map(Result::unwrap).collect()
}

/// Returns what speaks TLS with the certificate `name`.
pub(super) fn acceptor(protocols: &[&str], name: &str, wants_client: bool) -> TlsAcceptor {
    let builder = if wants_client {
        let mut roots = RootCertStore::empty();
        roots.add(certificates("ca.pem").remove(0)).unwrap();
        let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap();
        ServerConfig::builder().with_client_cert_verifier(verifier)
    } else {
        ServerConfig::builder().with_no_client_auth()
    };
    let key = PrivateKeyDer::from_pem_file(fixture(&format!("{name}.key"))).unwrap();
    let mut config = builder.with_single_cert(certificates(&format!("{name}.pem")), key).unwrap();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

/// Starts a TLS server that answers with the version of HTTP that it was spoken to in. Returns its URL.
async fn serve_tls(protocols: &[&str], wants_client: bool) -> String {
    serve_with(acceptor(protocols, "server", wants_client)).await
}

async fn serve_with(acceptor: TlsAcceptor) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://127.0.0.1:{}", listener.local_addr().unwrap().port());
    let app = Router::new().fallback(|request: axum::extract::Request| async move {
        format!(r#"{{"version":"{:?}"}}"#, request.version())
    });
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (acceptor, service) = (acceptor.clone(), TowerToHyperService::new(app.clone()));
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(socket).await else { return };
                let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    url
}

fn trusting() -> HttpOptions {
    HttpOptions { ca_file: Some(fixture("ca.pem")), ..options(3) }
}

#[tokio::test]
async fn http_2_is_spoken_where_the_server_speaks_it() {
    for (protocols, version) in [(&["h2", "http/1.1"][..], "HTTP/2.0"), (&["http/1.1"], "HTTP/1.1"), (&[], "HTTP/1.1")]
    {
        let url = serve_tls(protocols, false).await;
        let answer = fetch(&client(trusting()), &url).await.unwrap();
        assert_eq!(&answer.body[..], format!(r#"{{"version":"{version}"}}"#).as_bytes(), "{protocols:?}");
    }
}

#[tokio::test]
async fn a_server_that_nobody_vouches_for_is_not_trusted_and_not_asked_again() {
    let url = serve_tls(&[], false).await;
    for options in [options(3), HttpOptions { ca_file: Some(fixture("other-ca.pem")), ..options(3) }] {
        let error = fetch(&client(options), &url).await.unwrap_err();
        assert!(
            error.to_string().starts_with("GET /list: no TLS connection after 1 try to https://127.0.0.1:"),
            "{error}"
        );
        assert!(error.to_string().contains("invalid peer certificate: UnknownIssuer"), "{error}");
        assert!(
            error.to_string().ends_with(
                "check tls: ca_file must hold the server's certificate or the one that signed it, and client_cert be known to the server"
            ),
            "{error}"
        );
        assert_eq!(transport(error), (TransportKind::Tls, 1));
    }
    let careless = HttpOptions { insecure_skip_verify: true, ..options(3) };
    assert_eq!(fetch(&client(careless), &url).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_certificate_is_for_the_host_that_it_names() {
    let url = serve_tls(&[], false).await.replace("127.0.0.1", "127.0.0.2");
    // 127.0.0.2 is this machine as well, but not in the certificate; the server listens on 127.0.0.1 alone where that matters.
    let error = fetch(&client(trusting()), &url).await.unwrap_err();
    assert!(matches!(transport(error), (TransportKind::Tls | TransportKind::Connect, _)));
}

#[tokio::test]
async fn a_client_proves_itself_by_its_certificate() {
    let url = serve_tls(&["h2", "http/1.1"], true).await;
    let with = |cert: &str, key: Option<&str>| {
        let (client_cert, client_key) = (Some(fixture(cert)), key.map(fixture));
        HttpOptions { client_cert, client_key, ..trusting() }
    };
    assert_eq!(fetch(&client(with("client.pem", Some("client.key"))), &url).await.unwrap().status, 200);
    let mut both = tempfile::NamedTempFile::new().unwrap();
    for file in ["client.pem", "client.key"] {
        std::io::Write::write_all(&mut both, &std::fs::read(fixture(file)).unwrap()).unwrap();
    }
    let in_one = HttpOptions { client_cert: Some(both.path().to_owned()), ..trusting() };
    assert_eq!(fetch(&client(in_one), &url).await.unwrap().status, 200);

    let error = fetch(&client(trusting()), &url).await.unwrap_err();
    assert!(error.to_string().contains("no TLS connection after 1 try"), "{error}");
    assert!(error.to_string().contains("CertificateRequired"), "{error}");

    let make = |options| HttpClient::new(options, Arc::default(), Redactor::default(), Arc::new(SystemClock));
    let error = make(with("client.pem", Some("client-encrypted.key"))).unwrap_err().to_string();
    assert!(error.contains("tls.client_key '") && error.contains("holds an encrypted key"), "{error}");
    let error = make(with("client.pem", Some("server.key"))).unwrap_err().to_string();
    assert!(error.contains("the key doesn't belong to the certificate; check tls.client_cert '"), "{error}");
    assert!(error.contains("; check tls.client_key '"), "{error}");
}

#[tokio::test]
async fn a_server_is_trusted_whose_very_certificate_is_named() {
    let url = serve_with(acceptor(&["h2"], "self-signed", false)).await;
    let named = |file: &str| HttpOptions { ca_file: Some(fixture(file)), ..options(1) };
    assert_eq!(fetch(&client(named("self-signed.pem")), &url).await.unwrap().status, 200);
    let error = fetch(&client(named("ca.pem")), &url).await.unwrap_err();
    assert_eq!(transport(error), (TransportKind::Tls, 1), "another one is named");
    let other = serve_tls(&[], false).await;
    let error = fetch(&client(named("self-signed.pem")), &other).await.unwrap_err();
    assert_eq!(transport(error), (TransportKind::Tls, 1), "it vouches for itself alone");
}

#[tokio::test]
async fn a_server_is_trusted_whose_very_certificate_is_named_whoever_signed_it() {
    let named = HttpOptions { ca_file: Some(fixture("server.pem")), ..options(1) };
    let url = serve_tls(&["h2"], false).await;
    assert_eq!(fetch(&client(named.clone()), &url).await.unwrap().status, 200);
    let other = serve_with(acceptor(&["h2"], "self-signed", false)).await;
    let error = fetch(&client(named), &other).await.unwrap_err();
    assert_eq!(transport(error), (TransportKind::Tls, 1), "it vouches for itself alone");
}
