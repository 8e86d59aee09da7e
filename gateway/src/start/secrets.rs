//! Secrets: key files. They are read where the options name them, made where they do not, and never
//! printed.

use crate::ask::guard::Guard;
use crate::ask::signature::PaymentKeys;
use crate::ask::token::Algorithm;
use crate::ask::verifier::{Place, Verifier};
use crate::start::options::ServeOptions;
use anyhow::{Context, bail};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What tokens, operators and payments are checked by, and the key files that it was read from.
pub(crate) struct Secrets {
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) payment_keys: Arc<PaymentKeys>,
    pub(crate) guards: Guards,
    /// Which key stands where.
    pub(crate) files: Vec<(&'static str, PathBuf)>,
}

/// Keys that are read again while this process serves.
#[derive(Debug, Clone)]
pub(crate) struct Guards {
    verifier: Arc<Verifier>,
    payments: (PathBuf, Arc<PaymentKeys>),
    pub(crate) operators: Guard,
    /// `None` while the platform's listener is off.
    pub(crate) platform: Option<Guard>,
    /// `None` without `--node-key`.
    pub(crate) nodes: Option<Guard>,
}

impl Guards {
    /// Reads the key files again; returns a line on each, or why it could not be read.
    pub(crate) fn read_again(&self) -> Vec<Result<String, String>> {
        let mut said = vec![self.verifier.read_again(), self.operators.read_again()];
        said.extend(self.platform.iter().chain(&self.nodes).map(Guard::read_again));
        let (path, keys) = &self.payments;
        let file = path.display();
        said.push(match read(path).and_then(|text| keys.replace(&text)) {
            Ok(many) => Ok(format!("{file}: payments are checked by {many} keys")),
            Err(error) => Err(format!("{error:#}; the payment keys stay as they were")),
        });
        said
    }
}

impl Secrets {
    /// Reads the key files that the options name, and makes the ones that they do not name.
    pub(crate) fn read(options: &ServeOptions) -> anyhow::Result<Self> {
        let (token_place, token_file) = token_place(options)?;
        let operator = options.operator_key.as_deref();
        let (operator_file, _) = given_or_made(operator, &options.data.join("operator.key"), "")?;
        let issuer = options.token_issuer.as_deref();
        let claim = &options.token_member_claim;
        let verifier = Arc::new(Verifier::read(token_place, issuer, claim)?);
        let (payment_file, payment_key) = given_or_made(
            options.payment_key.as_deref(),
            &options.data.join("payment.key"),
            "whsec_",
        )?;
        let payment_keys = PaymentKeys::new(&payment_key).map(Arc::new).with_context(|| {
            let file = payment_file.display();
            format!(
                "the payment keys in {file} cannot be used; one key a line, `whsec_` and base64"
            )
        })?;
        let operators = Guard::read(&operator_file, true)?;
        let payments = (payment_file.clone(), Arc::clone(&payment_keys));
        let mut files =
            vec![("token", token_file), ("operator", operator_file), ("payment", payment_file)];
        let mut platform = None;
        // Other nodes may pass on what came to theirs.
        if options.platform_listen.is_some() || options.platform_key.is_some() {
            let given = options.platform_key.as_deref();
            let (file, _) = given_or_made(given, &options.data.join("platform.key"), "")?;
            platform = Some(Guard::read(&file, false)?);
            files.push(("platform", file));
        }
        let nodes = options.nodes.node_key.as_deref();
        let nodes = nodes.map(|file| Guard::read(file, false)).transpose()?;
        let guards =
            Guards { verifier: Arc::clone(&verifier), payments, operators, platform, nodes };
        Ok(Self { verifier, payment_keys, guards, files })
    }
}

/// Where the keys of tokens stand, and the file, folder or URL.
fn token_place(options: &ServeOptions) -> anyhow::Result<(Place, PathBuf)> {
    let algorithm = options.token_alg;
    let path = match (&options.token_jwks, &options.token_key, algorithm) {
        (Some(_), Some(_), _) => bail!("give --token-jwks or --token-key, and not both"),
        (Some(place), None, _) => {
            return Ok((Place::Jwks(place.clone()), PathBuf::from(place.to_string())));
        }
        (None, Some(path), _) => path.clone(),
        (None, None, Algorithm::Hs256) => {
            let path = options.data.join("token.key");
            read_or_make(&path, "")?;
            path
        }
        (None, None, other) => {
            bail!("--token-alg {other} needs --token-key FILE with the public key in PEM")
        }
    };
    Ok((Place::Files(path.clone(), algorithm), path))
}

fn given_or_made(
    given: Option<&Path>,
    made: &Path,
    prefix: &str,
) -> anyhow::Result<(PathBuf, Vec<u8>)> {
    match given {
        Some(path) => Ok((path.to_owned(), read(path)?)),
        None => Ok((made.to_owned(), read_or_make(made, prefix)?)),
    }
}

/// Reads a secret. Where its file is missing, makes a random one first, in base64 behind `prefix`,
/// that only this process's user can read.
fn read_or_make(path: &Path, prefix: &str) -> anyhow::Result<Vec<u8>> {
    if !path.exists() {
        make(path, prefix)
            .with_context(|| format!("cannot make the key file {}", path.display()))?;
    }
    read(path)
}

/// Makes a key file. The file gets its name when it is whole, so that a crash leaves no half key.
fn make(path: &Path, prefix: &str) -> anyhow::Result<()> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).context("the system gives no random bytes")?;
    let unnamed = path.with_extension(format!("{}.new", std::process::id()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unnamed)?;
    writeln!(file, "{prefix}{}", BASE64_STANDARD.encode(random))?;
    file.sync_all()?;
    std::fs::rename(&unnamed, path)?;
    Ok(())
}

/// Reads a key file as it is.
fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read the key file {}", path.display()))
}
