//! TLS between nodes: what this node shows, and by whom the others' must be signed.

use super::node_options::NodeArgs;
use anyhow::{Context, ensure};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::path::Path;
use std::sync::Arc;

/// What a node speaks TLS with; neither part without `--node-roots`.
pub(super) struct NodeTls {
    pub(super) listens: Option<Arc<ServerConfig>>,
    pub(super) connects: Option<ClientConfig>,
}

/// Reads the files that the options name.
pub(super) fn read(args: &NodeArgs) -> anyhow::Result<NodeTls> {
    let NodeArgs { node_cert, node_cert_key, node_roots, node_listen, .. } = args;
    ensure!(
        node_cert.is_some() == node_cert_key.is_some(),
        "--node-cert FILE and --node-cert-key FILE go together"
    );
    ensure!(
        node_cert.is_none() || node_roots.is_some(),
        "--node-cert needs --node-roots FILE: the certificates that those of all nodes are signed by"
    );
    ensure!(
        node_cert.is_none() || node_listen.is_some(),
        "--node-cert is what --node-listen shows; give both"
    );
    ensure!(
        node_cert.is_some() || node_roots.is_none() || node_listen.is_none(),
        "--node-listen with --node-roots needs --node-cert FILE and --node-cert-key FILE"
    );
    let connects = node_roots.as_deref().map(client).transpose()?;
    let own = node_cert.as_deref().zip(node_cert_key.as_deref());
    let listens = own.map(|(cert, key)| server(cert, key)).transpose()?;
    Ok(NodeTls { listens, connects })
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn certificates(file: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let shown = file.display();
    let read = || CertificateDer::pem_file_iter(file)?.collect::<Result<Vec<_>, _>>();
    let certificates =
        read().with_context(|| format!("cannot read the certificates in {shown}"))?;
    ensure!(!certificates.is_empty(), "{shown} has no certificate in PEM");
    Ok(certificates)
}

fn server(cert: &Path, key: &Path) -> anyhow::Result<Arc<ServerConfig>> {
    let (certificates, shown) = (certificates(cert)?, key.display());
    let key = PrivateKeyDer::from_pem_file(key);
    let key = key.with_context(|| format!("cannot read the private key in {shown}"))?;
    let builder = ServerConfig::builder_with_provider(provider());
    let builder = builder.with_safe_default_protocol_versions()?.with_no_client_auth();
    let config = builder.with_single_cert(certificates, key);
    let mut config = config.with_context(|| {
        format!("the key in {shown} does not fit the certificate in {}", cert.display())
    })?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

fn client(roots: &Path) -> anyhow::Result<ClientConfig> {
    let mut store = RootCertStore::empty();
    for root in certificates(roots)? {
        let added = store.add(root);
        added.with_context(|| format!("a certificate in {} is none", roots.display()))?;
    }
    let builder = ClientConfig::builder_with_provider(provider());
    let builder = builder.with_safe_default_protocol_versions()?.with_root_certificates(store);
    Ok(builder.with_no_client_auth())
}
