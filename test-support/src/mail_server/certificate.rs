//! The certificate of a test's mail server, which nobody trusts who isn't told to.

use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{ServerConfig, crypto::aws_lc_rs};

#[derive(Debug)]
pub(super) struct Certificate {
    pub(super) file: PathBuf,
    pub(super) acceptor: Acceptor,
    _folder: TempDir,
}

#[derive(Clone)]
pub(super) struct Acceptor(pub(super) TlsAcceptor);

impl std::fmt::Debug for Acceptor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Acceptor")
    }
}

impl Certificate {
    pub(super) fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned(), "localhost".to_owned()])
            .expect("a certificate");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("authority.pem");
        std::fs::write(&file, made.cert.pem()).expect("the certificate can be written");
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("protocol versions")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .expect("a certificate with its key");
        Self { file, acceptor: Acceptor(TlsAcceptor::from(Arc::new(config))), _folder: folder }
    }
}
