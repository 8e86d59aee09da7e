//! JWKS: the keys of an identity provider, as it publishes them (RFC 7517), from a file or by https.

use super::token::Algorithm;
use super::token_keys::{KEYS_MAX, Key, Keys};
use anyhow::{Context, bail, ensure};
use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// Most bytes of a set.
const BYTES_MAX: u64 = 256 << 10;
/// How long a server may take to send it.
const PATIENCE: Duration = Duration::from_secs(5);
/// The fewest bytes of an RSA key's modulus: 2,048 bits.
const RSA_BYTES_MIN: usize = 256;

/// Where a set of keys is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JwksPlace {
    /// A file.
    File(PathBuf),
    /// An https URL.
    Url(String),
}

impl FromStr for JwksPlace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once("://") {
            None => Ok(Self::File(text.into())),
            Some(("https", _)) => Ok(Self::Url(text.to_owned())),
            Some(_) => {
                Err("only https URLs are fetched, so that nobody on the way adds keys".into())
            }
        }
    }
}

impl fmt::Display for JwksPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Url(url) => f.write_str(url),
        }
    }
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

impl JwksPlace {
    /// Reads the set. This may take as long as a server may take to send it.
    pub(super) fn read(&self) -> anyhow::Result<Keys> {
        let bytes = match self {
            Self::File(path) => std::fs::read(path).map_err(Into::into),
            Self::Url(url) => fetch(url),
        };
        let bytes = bytes.with_context(|| format!("cannot read the key set {self}"))?;
        let keys = keys(&bytes).with_context(|| format!("the key set {self} cannot be used"))?;
        Ok(Keys::Named(keys))
    }
}

/// Fetches without following redirects: those could lead anywhere.
fn fetch(url: &str) -> anyhow::Result<Vec<u8>> {
    let roots = rustls_native_certs::load_native_certs().certs;
    let roots = roots.iter().map(|der| Certificate::from_der(der).to_owned());
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&roots.collect::<Vec<_>>()))
        .build();
    let agent = ureq::Agent::config_builder()
        .https_only(true)
        .max_redirects(0)
        .proxy(None)
        .timeout_global(Some(PATIENCE))
        .tls_config(tls)
        .build()
        .new_agent();
    let mut answer = agent.get(url).call()?;
    ensure!(answer.status().as_u16() == 200, "it answers {}", answer.status());
    let mut bytes = Vec::new();
    let most = BYTES_MAX + 1;
    answer.body_mut().as_reader().take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The keys of a set that are meant for signatures of an algorithm that is known here.
fn keys(bytes: &[u8]) -> anyhow::Result<BTreeMap<String, Key>> {
    ensure!(bytes.len() as u64 <= BYTES_MAX, "it is over {} KiB", BYTES_MAX >> 10);
    let set: Set = serde_json::from_slice(bytes).context("it is no JSON Web Key Set")?;
    let mut keys = BTreeMap::new();
    for value in set.keys {
        if value.get("use").is_some_and(|of| of != "sig") {
            continue;
        }
        let bytes = serde_json::to_vec(&value)?;
        let Ok(jwk) = serde_json::from_value::<Jwk>(value) else { continue };
        let Some(algorithm) = algorithm(&jwk) else { continue };
        let kid = jwk.common.key_id.clone();
        let kid = kid.context("a key in it has no kid, by which tokens could name it")?;
        if let AlgorithmParameters::RSA(rsa) = &jwk.algorithm {
            let fits = rsa.n.len() * 3 / 4 >= RSA_BYTES_MIN;
            ensure!(fits, "the RSA key `{kid}` has fewer than 2,048 bits");
        }
        let key = DecodingKey::from_jwk(&jwk).with_context(|| format!("its key `{kid}`"))?;
        if keys.insert(kid.clone(), Key::new(&bytes, algorithm, key)).is_some() {
            bail!("two of its keys have the kid `{kid}`");
        }
        ensure!(keys.len() <= KEYS_MAX, "it has more than {KEYS_MAX} keys");
    }
    ensure!(!keys.is_empty(), "no key in it signs by EdDSA, ES256 or RS256");
    Ok(keys)
}

/// The one algorithm that a key is for; `None` if it is not used here. A shared secret is not: a set is
/// published.
fn algorithm(jwk: &Jwk) -> Option<Algorithm> {
    let of_key = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => Algorithm::Rs256,
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            Algorithm::Es256
        }
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            Algorithm::EdDsa
        }
        _ => return None,
    };
    let named = match jwk.common.key_algorithm {
        None => return Some(of_key),
        Some(KeyAlgorithm::RS256) => Algorithm::Rs256,
        Some(KeyAlgorithm::ES256) => Algorithm::Es256,
        Some(KeyAlgorithm::EdDSA) => Algorithm::EdDsa,
        Some(_) => return None,
    };
    (named == of_key).then_some(named)
}
