//! TLS for everything that we connect to: rustls with aws-lc-rs and the system's authorities
//! (`SSL_CERT_FILE` and `SSL_CERT_DIR` name others, as everywhere).

use rustls::{ClientConfig, RootCertStore};

/// The system has no certificate authority that could be read.
#[derive(Debug, thiserror::Error)]
#[error("no certificate authority could be loaded; set SSL_CERT_FILE")]
pub struct NoAuthorities;

/// Makes aws-lc-rs the process's provider. Every `main` calls it once, first.
pub fn install_provider() {
    // An error means that one is installed already, and there is only this one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// A client that verifies certificates and names.
///
/// # Errors
/// [`NoAuthorities`]: it could verify nothing.
pub fn client_config() -> Result<ClientConfig, NoAuthorities> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(NoAuthorities);
    }
    Ok(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}
