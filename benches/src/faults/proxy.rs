//! A proxy on loopback between Flashlane and Redis: it can cut a connection after any byte of a
//! commit, of its reply or of a change, delay, slice, throttle, swallow everything, turn connections away, lead
//! elsewhere, and put other bytes in the place of a commit.

use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// The bytes by which the proxy knows a commit.
const COMMIT: &[u8] = b"_commit\r\n";

/// The bytes by which the proxy knows a change: a payment, a cancellation or the like.
const CHANGE: &[u8] = b"_change\r\n";

/// How long after one commit of a batch the next one may come.
const TOGETHER: Duration = Duration::from_millis(50);

/// What the proxy does with all the bytes that it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// Bytes are sent on at once.
    Fair,
    /// Bytes are sent on after this time.
    Slow(Duration),
    /// Bytes are sent on in pieces of this many.
    Sliced(usize),
    /// This many bytes are sent on each millisecond.
    Throttled(usize),
    /// No bytes are sent on, and neither side is told.
    Swallowed,
    /// Open connections are ended, and new ones are turned away.
    Refused,
}

/// What the proxy does to the next commit or change, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trick {
    /// The connection is cut after this many bytes of the request, modulo its length.
    CutRequest(usize),
    /// The connection is cut after this many bytes of the reply to it, modulo its length.
    CutReply(usize),
    /// The connection is cut after this many bytes of a change, modulo the length of what is sent
    /// with it.
    CutChange(usize),
    /// These bytes are sent in place of the commit.
    Replace(Vec<u8>),
    /// Of a batch that comes in several commits, the first alone is sent on and answered; then the
    /// connection is cut, and no other is let in until the proxy leads elsewhere.
    OnePart,
}

/// Where a reply is cut.
#[derive(Debug, Clone, Copy)]
enum Cut {
    /// After this many bytes, modulo its length.
    After(usize),
    /// Behind its end.
    Behind,
}

/// What becomes of the rest of what the client sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    GoesOn,
    /// The connection ends here.
    IsCut,
    /// It is held back, and the connection ends with the next reply.
    IsHeld,
}

#[derive(Debug)]
struct State {
    target: SocketAddr,
    trick: Option<Trick>,
    played: u64,
    errors: BTreeSet<String>,
    commits: u64,
    longest_request: usize,
    longest_reply: usize,
    /// Set by a trick: no connection is let in until the proxy leads elsewhere.
    is_shut: bool,
}

/// A running proxy. Its connections end when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    /// Where the proxy listens.
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
    weather: watch::Sender<Weather>,
    /// A number that is raised to end every open connection.
    era: watch::Sender<u64>,
}

impl Proxy {
    /// Starts a proxy that listens on a free port and leads to `target`.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start(target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let state = Arc::new(Mutex::new(State {
            target,
            trick: None,
            played: 0,
            errors: BTreeSet::new(),
            commits: 0,
            longest_request: 0,
            longest_reply: 0,
            is_shut: false,
        }));
        let address = listener.local_addr()?;
        let (weather, _) = watch::channel(Weather::Fair);
        let (era, _) = watch::channel(0);
        let line = Line { state: Arc::clone(&state), weather: weather.subscribe() };
        let eras = era.subscribe();
        tokio::spawn(accept(listener, line, eras));
        Ok(Self { address, state, weather, era })
    }

    /// Changes what the proxy does with all bytes from now on.
    pub fn weather(&self, weather: Weather) {
        self.weather.send_replace(weather);
        if weather == Weather::Refused {
            self.cut();
        }
    }

    /// Leads new connections to another Redis, and ends the old ones.
    pub fn lead_to(&self, target: SocketAddr) {
        let mut state = self.state.lock();
        (state.target, state.is_shut) = (target, false);
        drop(state);
        self.cut();
    }

    /// Ends every connection.
    pub fn cut(&self) {
        self.era.send_modify(|era| *era += 1);
    }

    /// Plays this trick on the next commit, or on the next change if it is one for changes.
    pub fn play(&self, trick: Trick) {
        self.state.lock().trick = Some(trick);
    }

    /// How many tricks were played.
    #[must_use]
    pub fn played(&self) -> u64 {
        self.state.lock().played
    }

    /// How many commits were sent on or tampered with.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.state.lock().commits
    }

    /// Forgets the errors seen so far, so that `errors` lists only later ones.
    pub fn forget_errors(&self) {
        self.state.lock().errors.clear();
    }

    /// The codes of errors that Redis has answered with.
    #[must_use]
    pub fn errors(&self) -> BTreeSet<String> {
        self.state.lock().errors.clone()
    }

    /// Returns the bytes of the longest commit and of the longest reply to a commit.
    #[must_use]
    pub fn longest(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.longest_request, state.longest_reply)
    }
}

#[derive(Debug, Clone)]
struct Line {
    state: Arc<Mutex<State>>,
    weather: watch::Receiver<Weather>,
}

async fn accept(listener: TcpListener, line: Line, eras: watch::Receiver<u64>) {
    while let Ok((client, _)) = listener.accept().await {
        if *line.weather.borrow() == Weather::Refused || line.state.lock().is_shut {
            continue;
        }
        let (line, mut eras) = (line.clone(), eras.clone());
        eras.mark_unchanged();
        tokio::spawn(async move {
            tokio::select! {
                () = carry(client, line) => {}
                _ = eras.changed() => {}
            }
        });
    }
}

/// Carries bytes in both directions between a client and Redis, until one direction ends.
async fn carry(client: TcpStream, line: Line) {
    let target = line.state.lock().target;
    let Ok(server) = TcpStream::connect(target).await else { return };
    client.set_nodelay(true).ok();
    server.set_nodelay(true).ok();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    // Where the next reply is cut, if a commit was sent on so that its reply can be cut.
    let cut_reply = Arc::new(Mutex::new(None::<Cut>));
    let requests = async {
        let mut bytes = vec![0; 1 << 18];
        while let Some(chunk) = read(&mut from_client, &mut bytes).await {
            let mut chunk = chunk.to_vec();
            // The commits of one batch are sent together, and may be read one by one.
            while line.waits_for_more(&chunk) {
                let more = read(&mut from_client, &mut bytes);
                let Ok(Some(more)) = tokio::time::timeout(TOGETHER, more).await else { break };
                chunk.extend_from_slice(more);
            }
            let (chunk, rest) = line.tamper(&chunk, &mut cut_reply.lock());
            if !line.forward(&mut to_server, &chunk).await || rest == Rest::IsCut {
                return;
            }
            if rest == Rest::IsHeld {
                std::future::pending::<()>().await;
            }
        }
    };
    let replies = async {
        let mut bytes = vec![0; 1 << 18];
        while let Some(chunk) = read(&mut from_server, &mut bytes).await {
            // The answer to an earlier call may come first.
            let is_it = |cut: &mut Cut| !matches!(cut, Cut::Behind) || has_verdicts(chunk);
            let cut = cut_reply.lock().take_if(is_it);
            let cut = cut.map(|cut| match cut {
                Cut::After(after) => after % chunk.len(),
                Cut::Behind => {
                    line.state.lock().is_shut = true;
                    chunk.len()
                }
            });
            line.note(chunk, cut.is_some());
            if !line.forward(&mut to_client, &chunk[..cut.unwrap_or(chunk.len())]).await
                || cut.is_some()
            {
                return;
            }
        }
    };
    tokio::select! { () = requests => {} () = replies => {} }
}

/// Whether these bytes are one whole command: `*2`, then two words with their lengths.
fn is_one_command(chunk: &[u8]) -> bool {
    let number = |at: usize| -> Option<(usize, usize)> {
        let end = at + chunk.get(at..)?.windows(2).position(|two| two == b"\r\n")?;
        Some((str::from_utf8(&chunk[at..end]).ok()?.parse().ok()?, end + 2))
    };
    let end = || {
        let (words, mut at) =
            number(chunk.iter().position(|byte| *byte == b'*').filter(|at| *at == 0)? + 1)?;
        for _ in 0..words {
            let (length, begin) = number(at + 1)?;
            at = begin + length + 2;
        }
        Some(at)
    };
    end() == Some(chunk.len())
}

/// Returns the places at which these words stand.
fn places(chunk: &[u8], words: &[u8]) -> Vec<usize> {
    let all = chunk.windows(words.len()).enumerate();
    all.filter(|(_, window)| *window == words).map(|(at, _)| at).collect()
}

fn has_verdicts(reply: &[u8]) -> bool {
    reply.windows(9).any(|word| word == b"confirmed")
}

async fn read<'a>(from: &mut (impl AsyncReadExt + Unpin), bytes: &'a mut [u8]) -> Option<&'a [u8]> {
    let n = from.read(bytes).await.ok().filter(|n| *n > 0)?;
    Some(&bytes[..n])
}

impl Line {
    /// Returns the bytes to send in place of these, and what becomes of the rest.
    fn tamper(&self, chunk: &[u8], cut_reply: &mut Option<Cut>) -> (Vec<u8>, Rest) {
        let commits = places(chunk, COMMIT);
        let mut state = self.state.lock();
        if !commits.is_empty() {
            state.commits += 1;
            state.longest_request = state.longest_request.max(chunk.len());
        }
        let trick = state.trick.take_if(|trick| match trick {
            Trick::CutRequest(_) | Trick::CutReply(_) => !commits.is_empty(),
            // One answer comes in its place, so no other command may be lost with it.
            Trick::Replace(_) => !commits.is_empty() && is_one_command(chunk),
            Trick::CutChange(_) => !places(chunk, CHANGE).is_empty(),
            Trick::OnePart => commits.len() > 1,
        });
        let Some(trick) = trick else { return (chunk.to_vec(), Rest::GoesOn) };
        state.played += u64::from(!matches!(trick, Trick::CutReply(_) | Trick::OnePart));
        match trick {
            Trick::CutRequest(after) | Trick::CutChange(after) => {
                (chunk[..after % chunk.len()].to_vec(), Rest::IsCut)
            }
            Trick::CutReply(after) => {
                *cut_reply = Some(Cut::After(after));
                (chunk.to_vec(), Rest::GoesOn)
            }
            Trick::Replace(bytes) => (bytes, Rest::GoesOn),
            Trick::OnePart => {
                // The second commit begins at the last `*` before its name.
                let second =
                    commits.get(1).and_then(|at| chunk[..*at].iter().rposition(|b| *b == b'*'));
                *cut_reply = Some(Cut::Behind);
                (chunk[..second.unwrap_or(chunk.len())].to_vec(), Rest::IsHeld)
            }
        }
    }

    /// Whether the trick needs a second commit behind the one that was read.
    fn waits_for_more(&self, chunk: &[u8]) -> bool {
        let is_armed = self.state.lock().trick == Some(Trick::OnePart);
        is_armed && places(chunk, COMMIT).len() == 1
    }

    fn note(&self, reply: &[u8], is_cut: bool) {
        let mut state = self.state.lock();
        state.played += u64::from(is_cut);
        if has_verdicts(reply) {
            state.longest_reply = state.longest_reply.max(reply.len());
        }
        // One read may bring several answers.
        for line in String::from_utf8_lossy(reply).lines() {
            let Some(error) = line.strip_prefix('-') else { continue };
            let code = match error.strip_prefix("ERR ") {
                Some(rest) => rest,
                None => error.split(' ').next().unwrap_or_default(),
            };
            state.errors.insert(code.to_owned());
        }
    }

    /// Sends bytes on as the weather allows. Returns false when the connection is over.
    async fn forward(&self, to: &mut (impl AsyncWriteExt + Unpin), bytes: &[u8]) -> bool {
        let weather = *self.weather.borrow();
        let pieces = match weather {
            Weather::Sliced(bytes) | Weather::Throttled(bytes) => bytes,
            Weather::Fair | Weather::Slow(_) | Weather::Swallowed | Weather::Refused => usize::MAX,
        };
        match weather {
            Weather::Swallowed => return true,
            Weather::Slow(by) => tokio::time::sleep(by).await,
            Weather::Fair | Weather::Sliced(_) | Weather::Throttled(_) | Weather::Refused => {}
        }
        for piece in bytes.chunks(pieces) {
            if to.write_all(piece).await.is_err() || to.flush().await.is_err() {
                return false;
            }
            if matches!(weather, Weather::Throttled(_)) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        true
    }
}
