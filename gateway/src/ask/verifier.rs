//! Verifier: checks members' tokens by the keys in a file, or in a folder in which a key's name is the
//! `kid` that a token names it by. So a platform can sign by a new key before the old one goes.

use super::token::Algorithm;
use crate::answer::error::ApiError;
use anyhow::{Context, bail};
use engine::sync::{AtomicU64, Ordering};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{DecodingKey, Validation};
use parking_lot::RwLock;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How far the platform's clock may be from this one, in seconds.
pub(super) const LEEWAY_S: u64 = 5;
/// Most keys in a folder.
const KEYS_MAX: usize = 64;

/// Checks tokens by one algorithm.
pub(crate) struct Verifier {
    place: PathBuf,
    algorithm: Algorithm,
    validation: Validation,
    /// Which claim names the member.
    member_claim: String,
    keys: RwLock<Arc<Keys>>,
    /// Counted up when the keys change.
    generation: AtomicU64,
}

enum Keys {
    /// The one key checks every token, whatever `kid` it has.
    One(Key),
    /// By `kid`.
    Named(BTreeMap<String, Key>),
}

struct Key {
    digest: [u8; 32],
    key: DecodingKey,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("place", &self.place).finish_non_exhaustive()
    }
}

/// What a token says.
pub(super) struct Claims {
    pub(super) member: Arc<str>,
    pub(super) tier: String,
    pub(super) exp: f64,
}

impl Verifier {
    /// Reads the keys at this place. If an issuer is given, tokens must name it.
    pub(crate) fn read(
        place: &Path,
        algorithm: Algorithm,
        issuer: Option<&str>,
        member_claim: &str,
    ) -> anyhow::Result<Self> {
        let mut validation = Validation::new(algorithm.jwt());
        validation.leeway = LEEWAY_S;
        validation.validate_nbf = true;
        validation.set_audience(&["flashlane"]);
        validation.set_required_spec_claims(&["exp", "aud"]);
        if let Some(issuer) = issuer {
            validation.set_issuer(&[issuer]);
            validation.required_spec_claims.insert("iss".into());
        }
        let keys = RwLock::new(Arc::new(Keys::read(place, algorithm)?));
        let (place, member_claim) = (place.to_owned(), member_claim.to_owned());
        let generation = AtomicU64::new(0);
        Ok(Self { place, algorithm, validation, member_claim, keys, generation })
    }

    /// Reads the keys again, and says what changed. If they cannot be used, they stay as they are.
    pub(crate) fn read_again(&self) {
        let place = self.place.display();
        match Keys::read(&self.place, self.algorithm) {
            Ok(now) if now.digests() == self.keys.read().digests() => {
                tracing::info!(%place, "no key of tokens has changed");
            }
            Ok(now) => {
                let kids: Vec<String> = now.digests().into_iter().map(|(kid, _)| kid).collect();
                tracing::info!(%place, "tokens are checked by: {}", kids.join(", "));
                *self.keys.write() = Arc::new(now);
                // Ordering: Release, paired with the Acquire in `generation`. A reader that sees
                // the new count checks by the new keys.
                self.generation.fetch_add(1, Ordering::Release);
            }
            Err(error) => tracing::error!("{error:#}; the keys stay as they were"),
        }
    }

    /// A number that is another one after the keys have changed. A token that was good before is to be
    /// checked again then.
    pub(super) fn generation(&self) -> u64 {
        // Ordering: Acquire, paired with the Release in `read_again`.
        self.generation.load(Ordering::Acquire)
    }

    pub(super) fn verify(&self, token: &str) -> Result<Claims, ApiError> {
        let keys = Arc::clone(&self.keys.read());
        let key = match &*keys {
            Keys::One(key) => key,
            Keys::Named(keys) => {
                let header = jsonwebtoken::decode_header(token).map_err(|error| refused(&error))?;
                let named = header.kid.and_then(|kid| keys.get(&kid));
                named.ok_or(ApiError::Unauthenticated(
                    "the token's kid names no key of this server",
                ))?
            }
        };
        let claims = jsonwebtoken::decode::<Map<String, Value>>(token, &key.key, &self.validation);
        let claims = claims.map_err(|error| refused(&error))?.claims;
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        let (member, tier) = (text(&self.member_claim), text("tier"));
        let exp = claims.get("exp").and_then(Value::as_f64);
        let claims = member.zip(tier).zip(exp);
        let claims = claims.map(|((member, tier), exp)| Claims {
            member: member.into(),
            tier: tier.to_owned(),
            exp,
        });
        claims.ok_or(ApiError::Unauthenticated(INCOMPLETE))
    }
}

impl Keys {
    fn read(place: &Path, algorithm: Algorithm) -> anyhow::Result<Self> {
        if !place.is_dir() {
            return Ok(Self::One(Key::read(place, algorithm)?));
        }
        let shown = place.display();
        let files = std::fs::read_dir(place);
        let files = files.with_context(|| format!("cannot read the folder of keys {shown}"))?;
        let mut keys = BTreeMap::new();
        for file in files {
            let path =
                file.with_context(|| format!("cannot read the folder of keys {shown}"))?.path();
            let stem = path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned);
            // Editors and orchestrators leave hidden files beside those that are meant.
            let Some(kid) = stem.filter(|stem| !stem.starts_with('.') && path.is_file()) else {
                continue;
            };
            let key = Key::read(&path, algorithm)?;
            if keys.insert(kid.clone(), key).is_some() {
                bail!("two files in {shown} are named `{kid}`; a key's name is its kid");
            }
        }
        match keys.len() {
            0 => bail!("there is no key in the folder {shown}; put one there as KID.pem"),
            1..=KEYS_MAX => Ok(Self::Named(keys)),
            many => bail!("there are {many} keys in {shown}, and at most {KEYS_MAX} are taken"),
        }
    }

    fn digests(&self) -> Vec<(String, [u8; 32])> {
        match self {
            Self::One(key) => vec![("the one key".into(), key.digest)],
            Self::Named(keys) => keys.iter().map(|(kid, key)| (kid.clone(), key.digest)).collect(),
        }
    }
}

impl Key {
    fn read(path: &Path, algorithm: Algorithm) -> anyhow::Result<Self> {
        let shown = path.display();
        let text = std::fs::read(path);
        let text = text.with_context(|| format!("cannot read the key file {shown}"))?;
        let key = algorithm.decoding_key(&text);
        let key = key.with_context(|| format!("the token key {shown} cannot be used"))?;
        Ok(Self { digest: Sha256::digest(&text).into(), key })
    }
}

const INCOMPLETE: &str = "the token is not a valid JWT with the claims sub, tier, aud and exp";

fn refused(error: &jsonwebtoken::errors::Error) -> ApiError {
    ApiError::Unauthenticated(match error.kind() {
        ErrorKind::ExpiredSignature => "the token has expired",
        ErrorKind::ImmatureSignature => "the token is not valid yet",
        ErrorKind::InvalidSignature => "the token's signature is wrong",
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName => {
            "the token is not signed by the algorithm used here"
        }
        ErrorKind::InvalidAudience => "the token is not for flashlane",
        ErrorKind::InvalidIssuer => "the token's issuer is not the one trusted here",
        ErrorKind::MissingRequiredClaim(_) => "the token lacks a required claim",
        _ => INCOMPLETE,
    })
}
