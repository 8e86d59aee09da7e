//! Token: the algorithms by which members' tokens are signed, and making one to try things with.

use clap::ValueEnum;
use engine::clock::Clock;
use jsonwebtoken::{DecodingKey, EncodingKey, Header};
use membership::{MemberId, Tier};
use serde::Serialize;
use std::fmt;
use std::time::Duration;

/// The one algorithm by which tokens are signed; a token that names another one is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Algorithm {
    /// HMAC with SHA-256; the key file contains a shared secret of 32 bytes or more.
    #[value(name = "HS256")]
    Hs256,
    /// Ed25519; `serve` reads the public key in PEM, `token` the private one.
    #[value(name = "EdDSA")]
    EdDsa,
    /// ECDSA on P-256; keys as for EdDSA.
    #[value(name = "ES256")]
    Es256,
    /// RSA with SHA-256; keys as for EdDSA.
    #[value(name = "RS256")]
    Rs256,
}

/// Why a key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadKey {
    /// The key is too short to be secret.
    #[error("the key has {0} bytes; HS256 needs 32 or more")]
    TooShort(usize),
    /// The file has the other half of the key.
    #[error(
        "this is a private key, and `serve` reads the public one; `openssl pkey -in FILE -pubout` prints it"
    )]
    Private,
    /// The file is not the PEM that the algorithm needs.
    #[error("the file holds no key for this algorithm in PEM ({0})")]
    NotPem(#[from] jsonwebtoken::errors::Error),
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value().expect("each algorithm is an option");
        f.write_str(value.get_name())
    }
}

impl Algorithm {
    pub(crate) fn jwt(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::Hs256 => jsonwebtoken::Algorithm::HS256,
            Self::EdDsa => jsonwebtoken::Algorithm::EdDSA,
            Self::Es256 => jsonwebtoken::Algorithm::ES256,
            Self::Rs256 => jsonwebtoken::Algorithm::RS256,
        }
    }

    pub(crate) fn decoding_key(self, file: &[u8]) -> Result<DecodingKey, BadKey> {
        if self != Self::Hs256 && String::from_utf8_lossy(file).contains("PRIVATE KEY-----") {
            return Err(BadKey::Private);
        }
        Ok(match self {
            Self::Hs256 => DecodingKey::from_secret(secret(file)?),
            Self::EdDsa => DecodingKey::from_ed_pem(file)?,
            Self::Es256 => DecodingKey::from_ec_pem(file)?,
            Self::Rs256 => DecodingKey::from_rsa_pem(file)?,
        })
    }

    fn encoding_key(self, file: &[u8]) -> Result<EncodingKey, BadKey> {
        Ok(match self {
            Self::Hs256 => EncodingKey::from_secret(secret(file)?),
            Self::EdDsa => EncodingKey::from_ed_pem(file)?,
            Self::Es256 => EncodingKey::from_ec_pem(file)?,
            Self::Rs256 => EncodingKey::from_rsa_pem(file)?,
        })
    }
}

fn secret(file: &[u8]) -> Result<&[u8], BadKey> {
    // Only the newline that editors add is cut off: a secret of random bytes may end in any other
    // white space.
    let secret = file.strip_suffix(b"\n").unwrap_or(file);
    let secret = secret.strip_suffix(b"\r").unwrap_or(secret);
    if secret.len() < 32 { Err(BadKey::TooShort(secret.len())) } else { Ok(secret) }
}

#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    tier: &'a str,
    aud: &'a str,
    exp: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
}

/// Returns a member's token that is valid from now for `ttl`. `key` is the content of the key file,
/// and `kid` names it.
///
/// # Errors
/// [`BadKey`] when `key` cannot sign by this algorithm.
pub fn issue_token(
    algorithm: Algorithm,
    key: &[u8],
    issuer: Option<&str>,
    kid: Option<&str>,
    member: &MemberId,
    tier: Tier,
    ttl: Duration,
) -> Result<String, BadKey> {
    let until = Clock::Wall.now() + ttl;
    let claims = Claims {
        sub: member.as_str(),
        tier: tier.as_str(),
        aud: "flashlane",
        exp: until.0 / 1_000,
        iss: issuer,
    };
    let header = Header { kid: kid.map(str::to_owned), ..Header::new(algorithm.jwt()) };
    Ok(jsonwebtoken::encode(&header, &claims, &algorithm.encoding_key(key)?)?)
}
