//! Tokens that are checked by the keys that an identity provider publishes.

use crate::support::{Answer, Server, drop_of, flashlane, send, until};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PublicKeyData};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

/// A signing key and the entry by which it is published.
struct Signer {
    kid: &'static str,
    algorithm: Algorithm,
    key: EncodingKey,
    entry: Value,
}

impl Signer {
    fn ed25519(kid: &'static str) -> Self {
        let pair = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let key = EncodingKey::from_ed_pem(pair.serialize_pem().as_bytes()).unwrap();
        let x = BASE64.encode(pair.der_bytes());
        let entry = json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": x, "use": "sig"});
        Self { kid, algorithm: Algorithm::EdDSA, key, entry }
    }

    fn p256(kid: &'static str) -> Self {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let key = EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes()).unwrap();
        let (x, y) = pair.der_bytes()[1..].split_at(32);
        let (x, y) = (BASE64.encode(x), BASE64.encode(y));
        let entry =
            json!({"kty": "EC", "crv": "P-256", "kid": kid, "x": x, "y": y, "alg": "ES256"});
        Self { kid, algorithm: Algorithm::ES256, key, entry }
    }

    fn token(&self) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let claims = json!({"sub": "ann", "tier": "gold", "aud": "flashlane", "exp": now + 600});
        let header = Header { kid: Some(self.kid.to_owned()), ..Header::new(self.algorithm) };
        jsonwebtoken::encode(&header, &claims, &self.key).unwrap()
    }
}

fn set(signers: &[&Signer]) -> String {
    json!({"keys": signers.iter().map(|signer| &signer.entry).collect::<Vec<_>>()}).to_string()
}

/// What a provider answers, and how often it was asked.
#[derive(Default)]
struct Published {
    head: String,
    body: String,
    asked: u32,
}

/// A provider that speaks TLS, by a certificate of its own.
struct Provider {
    url: String,
    roots: PathBuf,
    published: Arc<Mutex<Published>>,
}

impl Provider {
    fn start(folder: &Path, body: &str) -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let roots = folder.join("roots.pem");
        std::fs::write(&roots, made.cert.pem()).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let tls = rustls::ServerConfig::builder_with_provider(Arc::new(
            rustls::crypto::ring::default_provider(),
        ));
        let tls = tls.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let tls = Arc::new(tls.with_single_cert(vec![made.cert.der().clone()], key).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://localhost:{}/keys", listener.local_addr().unwrap().port());
        let published = Arc::new(Mutex::new(Published::default()));
        let telling = Arc::clone(&published);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                // Err: the client did not like what it was told.
                answer(&tls, stream.unwrap(), &telling).ok();
            }
        });
        let provider = Self { url, roots, published };
        provider.publish("200 OK", body);
        provider
    }

    fn publish(&self, head: &str, body: &str) {
        let mut published = self.published.lock().unwrap();
        (published.head, published.body) = (head.to_owned(), body.to_owned());
    }

    fn asked(&self) -> u32 {
        self.published.lock().unwrap().asked
    }
}

fn answer(
    tls: &Arc<rustls::ServerConfig>,
    stream: TcpStream,
    published: &Mutex<Published>,
) -> std::io::Result<()> {
    let connection = rustls::ServerConnection::new(Arc::clone(tls)).unwrap();
    let mut stream = rustls::StreamOwned::new(connection, stream);
    let mut asked = Vec::new();
    let mut byte = [0];
    while !asked.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        asked.push(byte[0]);
    }
    let text = {
        let mut published = published.lock().unwrap();
        published.asked += 1;
        let Published { head, body, .. } = &*published;
        format!(
            "HTTP/1.1 {head}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        )
    };
    stream.write_all(text.as_bytes())?;
    stream.flush()
}

fn click(server: &Server, token: &str) -> Answer {
    let headers = format!("authorization: Bearer {token}\r\n");
    send(server.public, "POST", "/v1/sales/drop/orders", &headers, br#"{"units":1}"#)
}

#[test]
fn a_published_set_is_fetched_again_for_a_new_key_and_the_last_good_one_is_kept() {
    let data = tempfile::tempdir().unwrap();
    let (a, b, c) = (Signer::ed25519("a"), Signer::p256("b"), Signer::ed25519("c"));
    let provider = Provider::start(data.path(), &set(&[&a]));
    let log = data.path().join("log");
    let server = Server::start_trusting(
        data.path(),
        &["--token-jwks", &provider.url, "--member-rate", "0"],
        &provider.roots,
        &log,
    );
    let says = |said: &str| std::fs::read_to_string(&log).unwrap().matches(said).count();
    server.make(&drop_of(100));
    assert_eq!((click(&server, &a.token()).status, provider.asked()), (202, 1));
    click(&server, &b.token()).is_problem(401, "unauthenticated");
    assert_eq!(provider.asked(), 2, "b may have been published meanwhile");
    for _ in 0..5 {
        click(&server, &c.token()).is_problem(401, "unauthenticated");
    }
    assert_eq!(provider.asked(), 2, "once a minute");

    provider.publish("200 OK", &set(&[&b, &c]));
    server.signal("-HUP");
    until("the set is fetched", || click(&server, &c.token()).status == 202);
    assert_eq!(click(&server, &b.token()).status, 202);
    click(&server, &a.token()).is_problem(401, "unauthenticated");

    let elsewhere = format!("302 Found\r\nlocation: {}", provider.url);
    let large = format!("{{\"keys\":[],\"x\":\"{}\"}}", "y".repeat(300 << 10));
    let good = set(&[&a]);
    for (nth, (head, body)) in [
        (elsewhere.as_str(), good.as_str()),
        ("500 Internal Server Error", &good),
        ("200 OK", &large),
        ("200 OK", "<html>"),
        ("200 OK", "{\"keys\":[]}"),
    ]
    .into_iter()
    .enumerate()
    {
        provider.publish(head, body);
        server.signal("-HUP");
        until("that it was of no use is told", || says("the keys stay as they were") == nth + 1);
        assert_ne!(click(&server, &c.token()).status, 401, "{head}");
        click(&server, &a.token()).is_problem(401, "unauthenticated");
    }
}

#[test]
fn each_key_checks_tokens_of_its_own_algorithm_alone() {
    let data = tempfile::tempdir().unwrap();
    let (a, b) = (Signer::ed25519("a"), Signer::p256("b"));
    let secret = json!({"kty": "oct", "kid": "s", "k": BASE64.encode([7; 32]), "alg": "HS256"});
    let encryption = json!({"kty": "OKP", "crv": "Ed25519", "kid": "e", "use": "enc"});
    let unknown = json!({"kty": "LATTICE", "kid": "l"});
    let keys = json!({"keys": [a.entry, secret, b.entry, encryption, unknown]});
    let file = data.path().join("keys.json");
    std::fs::write(&file, keys.to_string()).unwrap();
    let server = Server::start_with(data.path(), &["--token-jwks", file.to_str().unwrap()]);
    server.make(&drop_of(9));
    assert_eq!(click(&server, &a.token()).status, 202);
    assert_eq!(click(&server, &b.token()).status, 202);
    // Signed by what is public of `a`, as a shared secret; by the secret of the set; and by b as a.
    let public = BASE64.decode(a.entry["x"].as_str().unwrap()).unwrap();
    let secret = |kid, key: &[u8]| {
        let key = EncodingKey::from_secret(key);
        Signer { kid, algorithm: Algorithm::HS256, key, entry: Value::Null }.token()
    };
    let as_a = Signer { kid: "a", ..Signer::p256("b") }.token();
    for token in [secret("a", &public), secret("s", &[7; 32]), as_a] {
        click(&server, &token).is_problem(401, "unauthenticated");
    }
}

#[test]
fn a_set_that_cannot_be_used_is_named_at_the_start() {
    let data = tempfile::tempdir().unwrap();
    let write = |text: &str| {
        let file = data.path().join("keys.json");
        std::fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let nobody: SocketAddr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let short = BASE64.encode([255; 128]);
    let rsa = json!({"keys": [{"kty": "RSA", "kid": "r", "n": short, "e": "AQAB"}]}).to_string();
    let nameless = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "x"}]}).to_string();
    for (place, said) in [
        (write("{}"), "it is no JSON Web Key Set"),
        (format!("https://{nobody}/keys"), "cannot read the key set"),
        ("http://127.0.0.1/keys".into(), "only https URLs are fetched"),
    ] {
        refused(data.path(), &place, said);
    }
    for (text, said) in [
        (rsa.as_str(), "fewer than 2,048 bits"),
        (&nameless, "has no kid"),
        ("{\"keys\":[]}", "no key in it signs by"),
    ] {
        refused(data.path(), &write(text), said);
    }
}

fn refused(data: &Path, place: &str, said: &str) {
    let serve = flashlane().args(["serve", "--token-jwks", place, "--data"]).arg(data).output();
    let output = serve.unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && stderr.contains(said), "{said}: {stderr}");
}
