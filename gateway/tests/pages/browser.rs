//! A headless Chromium with a page of a server in it.

use crate::support::{PATIENCE, Server, until};
use axum::http::Method;
use fantoccini::wd::{Capabilities, WebDriverCompatibleCommand};
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use membership::Tier;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use url::{ParseError, Url};

/// The browser; it and its driver end with this.
pub(crate) struct Browser {
    driver: Child,
    port: u16,
    _profile: TempDir,
    client: Client,
}

impl Drop for Browser {
    fn drop(&mut self) {
        // A driver that is killed leaves its browser behind; one that is told to end answers when the browser has ended.
        end(self.port).ok();
        // The driver may have ended by itself.
        self.driver.kill().ok();
        self.driver.wait().ok();
    }
}

fn end(port: u16) -> std::io::Result<()> {
    let mut driver = TcpStream::connect(("127.0.0.1", port))?;
    driver.set_read_timeout(Some(PATIENCE))?;
    driver.write_all(b"GET /shutdown HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")?;
    driver.read_exact(&mut [0; 1])
}

/// How the browser is set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Set {
    pub(crate) language: &'static str,
    pub(crate) width: u32,
}

pub(crate) const PHONE: Set = Set { language: "en-US", width: 390 };
pub(crate) const DESK: Set = Set { language: "en-US", width: 1_280 };
/// Under this width it is a phone.
const WIDE: u32 = 600;

/// A call that only Chromium's driver knows.
#[derive(Debug)]
struct Own(&'static str, Value);

impl WebDriverCompatibleCommand for Own {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.0))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.1.to_string()))
    }
}

impl Browser {
    /// Opens a page of the server as this member, whose token is in the link.
    pub(crate) async fn open(set: Set, server: &Server, path: &str, of: &str, tier: Tier) -> Self {
        let token = server.token(of, tier);
        let browser = Self::start(set).await;
        browser.go(&format!("http://{}{path}#token={token}", server.public)).await;
        browser
    }

    pub(crate) async fn start(set: Set) -> Self {
        let (driver, port) = driver();
        let profile = tempfile::tempdir().unwrap();
        let args = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            &format!("--lang={}", set.language),
            &format!("--accept-lang={}", set.language),
            &format!("--window-size={},844", set.width),
            &format!("--user-data-dir={}", profile.path().display()),
        ];
        let mut chrome = json!({"args": args, "prefs": {"intl.accept_languages": set.language}});
        if set.width < WIDE {
            let metrics =
                json!({"width": set.width, "height": 844, "pixelRatio": 1.0, "touch": true});
            chrome["mobileEmulation"] = json!({"deviceMetrics": metrics});
        }
        let mut wanted = Capabilities::new();
        wanted.insert("goog:chromeOptions".into(), chrome);
        wanted.insert("goog:loggingPrefs".into(), json!({"browser": "ALL"}));
        let mut builder = ClientBuilder::new(HttpConnector::new());
        let address = format!("http://127.0.0.1:{port}");
        let client = builder.capabilities(wanted).connect(&address);
        Self { driver, port, _profile: profile, client: client.await.expect("a browser") }
    }

    /// Opens the desk and signs in with a key.
    pub(crate) async fn sign_in(set: Set, server: &Server, key: &str) -> Self {
        let browser = Self::start(set).await;
        browser.go(&format!("http://{}/", server.operator)).await;
        browser.enter("#key", key).await;
        browser.press("#enter button").await;
        browser.shows("#who", " · ").await;
        browser
    }

    /// Types into a field, in the place of what stands there.
    pub(crate) async fn enter(&self, css: &str, text: &str) {
        let field = self.client.find(Locator::Css(css)).await.unwrap();
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// Presses the button, or follows the link, that shows these words.
    pub(crate) async fn press_words(&self, words: &str) {
        let script = format!(
            "const found = [...document.querySelectorAll('#view button, #view a, nav a')].find((node) => node.checkVisibility() && node.textContent.trim() === {});
             found?.click(); return found ? 1 : null",
            json!(words)
        );
        self.told(&script).await;
    }

    /// Whether a button or a link with these words is to be seen.
    pub(crate) async fn offers(&self, words: &str) -> bool {
        let script = format!(
            "return [...document.querySelectorAll('button, a')].some((node) => node.checkVisibility() && node.textContent.trim() === {})",
            json!(words)
        );
        self.run(&script).await == json!(true)
    }

    pub(crate) async fn go(&self, url: &str) {
        self.client.goto(url).await.unwrap();
    }

    /// Looks into the frame with this number from now on.
    pub(crate) async fn enter_frame(&self, nth: u16) {
        self.client.enter_frame(nth).await.unwrap();
    }

    /// Looks at the page around the frame again.
    pub(crate) async fn leave_frame(&self) {
        self.client.enter_parent_frame().await.unwrap();
    }

    /// Has the page shown as to somebody who likes it dark.
    pub(crate) async fn dark(&self) {
        self.prefers("dark").await;
    }

    pub(crate) async fn light(&self) {
        self.prefers("light").await;
    }

    async fn prefers(&self, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        let emulate =
            json!({"cmd": "Emulation.setEmulatedMedia", "params": {"features": features}});
        self.client.issue_cmd(Own("goog/cdp/execute", emulate)).await.unwrap();
    }

    /// Runs a script in the page.
    pub(crate) async fn run(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.unwrap()
    }

    /// Presses an element, as a member does.
    pub(crate) async fn press(&self, css: &str) {
        self.client.find(Locator::Css(css)).await.unwrap().click().await.unwrap();
    }

    /// What an element shows; nothing while it is not there.
    pub(crate) async fn text(&self, css: &str) -> String {
        let script = format!("return document.querySelector({})?.innerText ?? ''", json!(css));
        self.run(&script).await.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until an element shows these words.
    pub(crate) async fn shows(&self, css: &str, words: &str) {
        let started = std::time::Instant::now();
        loop {
            let text = self.text(css).await;
            if text.contains(words) {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "{css} says {text:?}, and not {words:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until a script returns something.
    pub(crate) async fn told(&self, script: &str) -> Value {
        let started = std::time::Instant::now();
        loop {
            let told = self.run(script).await;
            if !told.is_null() {
                return told;
            }
            assert!(started.elapsed() < PATIENCE, "nothing came of {script}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What axe finds serious on the page.
    pub(crate) async fn serious(&self, axe: &str) -> Value {
        let ask = "axe.run({ resultTypes: ['violations'] }).then(({ violations }) => {
            window.told = violations.filter(({ impact }) => ['serious', 'critical'].includes(impact))
                .flatMap(({ id, nodes }) => nodes.map(({ html, any }) => `${id}: ${html} ${any.map(({ message }) => message)}`));
        }); ";
        self.run(&format!("{axe}; window.told = null; {ask}")).await;
        self.told("return window.told").await
    }

    /// Elements that end beyond the page's width and are in no box that scrolls. They make a phone show the whole page
    /// smaller, so the page's own width says nothing.
    pub(crate) async fn too_wide(&self, width: u32) -> Value {
        let script = format!(
            "return [...document.querySelectorAll('body *')]
                .filter((node) => node.checkVisibility() && !node.closest('.scrolls > *') && node.getBoundingClientRect().right > {width} + 0.5)
                .map((node) => `${{node.tagName}}.${{node.className}} ${{node.getBoundingClientRect().right}}`)"
        );
        self.run(&script).await
    }

    /// Cuts the page off from the network, or lets it go on.
    pub(crate) async fn offline(&self, is_offline: bool) {
        let conditions = json!({"network_conditions": {
            "offline": is_offline, "latency": 0, "download_throughput": -1, "upload_throughput": -1,
        }});
        self.client.issue_cmd(Own("chromium/network_conditions", conditions)).await.unwrap();
    }

    /// What the page's console says is wrong, but for calls that got no answer or a refusal.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let log = self.client.issue_cmd(Own("se/log", json!({"type": "browser"}))).await.unwrap();
        let lines = log.as_array().unwrap().iter();
        let severe = lines.filter(|line| line["level"] == "SEVERE" && line["source"] != "network");
        severe.map(|line| line["message"].to_string()).collect()
    }

    /// Ends the browser. A page that complained fails the test.
    pub(crate) async fn close(self) {
        assert_eq!(self.complaints().await, Vec::<String>::new());
        self.client.clone().close().await.unwrap();
    }

    /// Where everything that the page loaded came from.
    pub(crate) async fn origins(&self) -> Vec<String> {
        let script = "return [...new Set(performance.getEntriesByType('resource').map((e) => new URL(e.name).origin))]";
        serde_json::from_value(self.run(script).await).unwrap()
    }

    /// Keeps a picture for those who look.
    pub(crate) async fn picture(&self, name: &str) {
        let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("pages");
        std::fs::create_dir_all(&folder).unwrap();
        let png = self.client.screenshot().await.unwrap();
        std::fs::write(folder.join(format!("{name}.png")), png).unwrap();
    }
}

/// Starts a driver; returns it with its port. It takes a port that is free for one family of addresses, and ends if another
/// process has the same one for the other family: then it is started again.
fn driver() -> (Child, u16) {
    for _ in 0..20 {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .spawn()
            .expect("chromedriver; on Debian: apt-get install chromium chromium-driver");
        let lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = lines.map_while(Result::ok).find_map(|line| {
            let (_, port) = line.split_once("started successfully on port ")?;
            port.trim_end_matches('.').parse::<u16>().ok()
        });
        if let Some(port) = port {
            return (driver, port);
        }
        driver.wait().unwrap();
    }
    panic!("the driver finds no port");
}

/// Waits until the server has this many orders of the sale `drop`.
pub(crate) fn has_orders(server: &Server, orders: u64) {
    until("the order is there", || server.settled()["by_tier"]["gold"]["orders"] == orders);
}
