//! TLS for the server REMOTE: only with the feature `remote`.

use std::sync::Arc;

use reqwest::ClientBuilder;
use rustls::{ClientConfig, RootCertStore, crypto::ring};

/// Has the client trust the web's usual certificates, which are compiled in: neither files of the
/// system nor a provider that the whole process shares are needed.
pub(crate) fn add(client: ClientBuilder) -> ClientBuilder {
    let roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring knows the usual versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.tls_backend_preconfigured(config)
}
