//! Token keys: what members' tokens are checked by, from a file, or from a folder in which a key's name is
//! the `kid` that a token names it by.

use super::token::Algorithm;
use anyhow::{Context, bail};
use jsonwebtoken::DecodingKey;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::Path;

/// Most keys that there may be.
pub(super) const KEYS_MAX: usize = 64;

/// The keys of one instant.
pub(super) enum Keys {
    /// The one key checks every token, whatever `kid` it has.
    One(Key),
    /// By `kid`.
    Named(BTreeMap<String, Key>),
}

/// One key, which checks tokens of one algorithm.
pub(super) struct Key {
    digest: [u8; 32],
    pub(super) algorithm: Algorithm,
    pub(super) key: DecodingKey,
}

impl Keys {
    /// Reads a file or a folder of keys.
    pub(super) fn read(place: &Path, algorithm: Algorithm) -> anyhow::Result<Self> {
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

    /// The names of the keys, each with what tells it from another one.
    pub(super) fn digests(&self) -> Vec<(String, [u8; 32])> {
        match self {
            Self::One(key) => vec![("the one key".into(), key.digest)],
            Self::Named(keys) => keys.iter().map(|(kid, key)| (kid.clone(), key.digest)).collect(),
        }
    }
}

impl Key {
    /// A key that was made of these bytes.
    pub(super) fn new(bytes: &[u8], algorithm: Algorithm, key: DecodingKey) -> Self {
        Self { digest: Sha256::digest(bytes).into(), algorithm, key }
    }

    fn read(path: &Path, algorithm: Algorithm) -> anyhow::Result<Self> {
        let shown = path.display();
        let text = std::fs::read(path);
        let text = text.with_context(|| format!("cannot read the key file {shown}"))?;
        let key = algorithm.decoding_key(&text);
        let key = key.with_context(|| format!("the token key {shown} cannot be used"))?;
        Ok(Self::new(&text, algorithm, key))
    }
}
