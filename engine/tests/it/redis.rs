//! What only the Redis store can get wrong: settings, rights, functions that are gone, lost history.

use crate::lost_history::Selling;
use crate::redis_server::RedisServer;
use crate::support::{CALM, batch, id, reserved, terms};
use engine::rules::order::Status::Confirmed;
use engine::rules::units::Units;
use engine::store::{RedisOptions, RedisStore, Store, StoreError, Switch, Verdict};
use membership::Tier::{self, Gold};
use std::time::Duration;
use tempfile::TempDir;

pub(crate) fn started(settings: &[&str]) -> (TempDir, RedisServer) {
    let folder = tempfile::tempdir().unwrap();
    let server = RedisServer::with(folder.path(), settings);
    (folder, server)
}

/// A store that keeps its outbox, although the tests' clock stands in 1970.
pub(crate) async fn connect(server: &RedisServer) -> Store {
    let outbox_keep = Duration::from_secs(10_000_000_000);
    let options = RedisOptions { outbox_keep, ..RedisOptions::new(server.url()) };
    RedisStore::connect(&options).await.unwrap().0.into()
}

/// Returns why this Redis may not be used.
async fn unusable(options: &RedisOptions) -> String {
    match RedisStore::connect(options).await {
        Err(StoreError::Unusable(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn bad_settings_are_refused_in_a_sentence_that_says_what_to_do() {
    let (_folder, server) = started(&[]);
    let cases = [
        ("appendonly no", "appendonly yes", "appendonly"),
        ("maxmemory-policy allkeys-lru", "maxmemory-policy noeviction", "noeviction"),
    ];
    for (bad, good, said) in cases {
        server.must(&format!("CONFIG SET {bad}"));
        let why = unusable(&RedisOptions::new(server.url())).await;
        assert!(why.contains(said), "{why}");
        server.must(&format!("CONFIG SET {good}"));
    }
    server.must("CONFIG SET appendfsync everysec");
    let (_, warnings) = RedisStore::connect(&RedisOptions::new(server.url())).await.unwrap();
    assert!(warnings[0].contains("appendfsync always"), "{warnings:?}");
    server.must("REPLICAOF 127.0.0.1 1");
    let why = unusable(&RedisOptions::new(server.url())).await;
    assert!(why.contains("primary"), "{why}");
}

#[tokio::test]
async fn a_wrong_address_or_password_is_refused_and_never_repeated() {
    let (_folder, server) = started(&["--requirepass", "right-canary"]);
    for url in
        ["http://canary@x", "redis:/canary", "canary", "rediss://canary@", "redis://canary@:x"]
    {
        let why = unusable(&RedisOptions::new(url)).await;
        assert!(why.contains("redis://[user") && !why.contains("canary"), "{why}");
    }
    for user in ["", ":wrong-canary@", "nobody:wrong-canary@"] {
        let url = format!("redis://{user}{}", server.address());
        let why = unusable(&RedisOptions::new(url)).await;
        assert!(why.contains("password") && !why.contains("canary"), "{why}");
    }
    let gone = unusable(&RedisOptions::new("redis://127.0.0.1:1")).await;
    assert!(gone.contains("cannot reach Redis"), "{gone}");
    let url = format!("redis://:right-canary@{}", server.address());
    RedisStore::connect(&RedisOptions::new(url)).await.unwrap();
}

#[tokio::test]
async fn a_redis_that_is_too_old_is_refused() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut bytes = [0; 4_096];
            loop {
                let n = stream.read(&mut bytes).await.unwrap();
                let asked = String::from_utf8_lossy(&bytes[..n]).into_owned();
                let text = "redis_version:6.2.14\r\naof_enabled:1\r\nrole:master\r\n";
                let answer = match asked.as_str() {
                    "*1\r\n$4\r\nINFO\r\n" => format!("${}\r\n{text}\r\n", text.len()),
                    _ => "-ERR syntax error\r\n".to_owned(),
                };
                if n == 0 || stream.write_all(answer.as_bytes()).await.is_err() {
                    break;
                }
            }
        }
    });
    let why = unusable(&RedisOptions::new(url)).await;
    assert!(why.contains("6.2.14") && why.contains("7.0"), "{why}");
}

/// The documented rights: see docs/redis.md.
pub(crate) const RIGHTS: &str = "on ~flashlane:* resetchannels -@all +fcall +hget +hgetall +hmget +hset +hlen \
     +hscan +hdel +unlink +xadd +xrange +xtrim +xinfo|stream +type +exists +time +sadd +srem +smembers +sismember +zadd +zrem +zrange +incr +info +config|get";

#[tokio::test]
async fn the_documented_rights_are_enough_and_not_more() {
    let documented = include_str!("../../../docs/redis.md");
    assert!(documented.contains(&RIGHTS.split_whitespace().collect::<Vec<_>>().join(" ")));
    let (_folder, server) = started(&[]);
    server.must(&format!("ACL SETUSER seller >s3cret {RIGHTS}"));
    server.must("ACL SETUSER loader >l0ad on -@all +function|load");
    let url = |user: &str| format!("redis://{user}@{}", server.address());
    let alone = RedisOptions::new(url("seller:s3cret"));
    let why = unusable(&alone).await;
    assert!(why.contains("--redis-loader"), "{why}");
    let both = RedisOptions { loader_url: Some(url("loader:l0ad")), ..alone.clone() };
    let (store, warnings) = RedisStore::connect(&both).await.unwrap();
    let store = Store::from(store);
    assert_eq!(warnings, [""; 0]);
    store.opening.create(&terms(9)).await.unwrap();
    let epoch = store.opening.open(&id()).await.unwrap().epoch;
    store.operating.top_up(&id(), epoch, "k", Units(1)).await.unwrap();
    store.operating.switch(&id(), epoch, Switch::Pause).await.unwrap();
    store.selling.still_sells(&id(), epoch).await.unwrap();
    store.opening.restore(&id(), epoch, &[]).await.unwrap();
    let orders = vec![reserved(1, "ann", Gold, 1), reserved(2, "bob", Tier::Regular, 9)];
    store.selling.commit(&batch(epoch, orders)).await.unwrap();
    assert_eq!(
        store.reading.orders_of(&id(), &"ann".parse().unwrap(), None, 9).await.unwrap().len(),
        1
    );
    assert!(store.reading.audit().await.unwrap().is_clean());
    // A user who may not load functions may use those that another user has loaded.
    RedisStore::connect(&alone).await.unwrap();
    for right in RIGHTS.split_whitespace().filter(|word| word.starts_with('+')) {
        server.must(&format!("ACL SETUSER seller {}", right.replacen('+', "-", 1)));
        let connected = RedisStore::connect(&alone).await.map(|(_, warnings)| warnings);
        let told = match connected {
            Err(StoreError::Unusable(why)) => why,
            Ok(warnings) => warnings.join(""),
            Err(other) => panic!("{right}: {other}"),
        };
        assert!(!told.is_empty(), "nobody misses {right}");
        server.must(&format!("ACL SETUSER seller {right}"));
    }
}

#[tokio::test]
async fn a_right_that_is_withdrawn_while_selling_changes_nothing() {
    let (_folder, server) = started(&[]);
    let store = connect(&server).await;
    store.opening.create(&terms(9)).await.unwrap();
    let epoch = store.opening.open(&id()).await.unwrap().epoch;
    for right in ["hset", "xadd", "hmget", "fcall"] {
        server.must(&format!("ACL SETUSER default -{right}"));
        let refused = store.selling.commit(&batch(epoch, vec![reserved(1, "ann", Gold, 1)])).await;
        assert!(refused.is_err(), "{right}");
        server.must(&format!("ACL SETUSER default +{right}"));
        assert!(store.reading.audit().await.unwrap().is_clean(), "{right}: written by halves");
    }
    let verdicts = store.selling.commit(&batch(epoch, vec![reserved(1, "ann", Gold, 1)])).await;
    assert!(matches!(verdicts.unwrap()[..], [Verdict::Stored(Confirmed, _)]));
}

#[tokio::test]
async fn tls_is_spoken_to_a_server_with_a_certificate_that_is_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let port = RedisServer::free_port().to_string();
    let path = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let tls = [
        ["--tls-port", &port],
        ["--tls-cert-file", &path(&cert)],
        ["--tls-key-file", &path(&key)],
        ["--tls-auth-clients", "no"],
    ];
    let _server = RedisServer::with(folder.path(), &tls.concat());
    let strange = RedisOptions::new(format!("rediss://localhost:{port}"));
    let why = unusable(&strange).await;
    assert!(why.contains("certificate") || why.contains("UnknownIssuer"), "{why}");
    let trusted = RedisOptions { tls_roots: Some(std::fs::read(&cert).unwrap()), ..strange };
    let (store, _) = RedisStore::connect(&trusted).await.unwrap();
    let store = Store::from(store);
    store.opening.create(&terms(9)).await.unwrap();
    assert_eq!(store.reading.sales().await.unwrap(), [id()]);
}

#[tokio::test]
async fn functions_that_are_gone_are_loaded_again() {
    let (_folder, server) = started(&[]);
    let store = connect(&server).await;
    store.opening.create(&terms(9)).await.unwrap();
    let epoch = store.opening.open(&id()).await.unwrap().epoch;
    server.must("FUNCTION FLUSH SYNC");
    let verdicts = store.selling.commit(&batch(epoch, vec![reserved(1, "ann", Gold, 1)])).await;
    assert!(matches!(verdicts.unwrap()[..], [Verdict::Stored(Confirmed, _)]));
}

#[tokio::test]
async fn a_key_of_another_type_changes_nothing_and_is_named() {
    let (_folder, server) = started(&[]);
    let store = connect(&server).await;
    store.opening.create(&terms(9)).await.unwrap();
    let epoch = store.opening.open(&id()).await.unwrap().epoch;
    store.selling.commit(&batch(epoch, vec![reserved(1, "ann", Gold, 1)])).await.unwrap();
    for rows in ["sale", "orders", "holders", "members", "outbox", "top_ups"] {
        let key = format!("flashlane:{{drop}}:{rows}");
        server.must(&format!("COPY {key} kept REPLACE"));
        server.must(&format!("SET {key} junk"));
        let damaged = store.selling.commit(&batch(epoch, vec![reserved(2, "bob", Gold, 1)])).await;
        let named = |why: &str| why.contains(rows);
        let damaged = damaged.map_err(|broken| broken.error);
        assert!(matches!(&damaged, Err(StoreError::Damaged(why)) if named(why)), "{damaged:?}");
        server.must(&format!("DEL {key}"));
        // Of these keys, only the top-ups may be missing.
        if rows != "top_ups" {
            server.must(&format!("COPY kept {key} REPLACE"));
        }
    }
    assert!(store.reading.audit().await.unwrap().is_clean(), "nothing was written by halves");
    assert_eq!(store.reading.order(&id(), 2).await.unwrap(), None);
}

#[tokio::test]
async fn an_outbox_or_orders_that_others_changed_stop_the_sale() {
    let (_folder, server) = started(&[]);
    let store = connect(&server).await;
    store.opening.create(&terms(9)).await.unwrap();
    let epoch = store.opening.open(&id()).await.unwrap().epoch;
    store.selling.commit(&batch(epoch, vec![reserved(1, "ann", Gold, 1)])).await.unwrap();
    for (harm, heal) in [
        (
            "XADD flashlane:{drop}:outbox 7-0 order x",
            "EVAL \"redis.call('XDEL', KEYS[1], '7-0') return redis.call('XSETID', KEYS[1], '1-0')\" \
             1 flashlane:{drop}:outbox",
        ),
        ("HSET flashlane:{drop}:sale left 9", "HSET flashlane:{drop}:sale left 8"),
        ("HSET flashlane:{drop}:orders 9 junk", "HDEL flashlane:{drop}:orders 9"),
    ] {
        server.must(harm);
        let damaged = store.selling.still_sells(&id(), epoch).await;
        assert!(matches!(damaged, Err(StoreError::Damaged(_))), "{damaged:?}");
        assert!(!store.reading.audit().await.unwrap().is_clean(), "{harm}");
        server.must(heal);
        assert_eq!(store.selling.still_sells(&id(), epoch).await, Ok(()));
    }
}

#[tokio::test]
async fn outbox_entries_are_trimmed_once_they_are_old_enough() {
    let (_folder, server) = started(&[]);
    let (store, _) = RedisStore::connect(&RedisOptions::new(server.url())).await.unwrap();
    let store = Store::from(store);
    store.opening.create(&terms(9)).await.unwrap();
    let epoch = store.opening.open(&id()).await.unwrap().epoch;
    // Committed in 1970, as the tests' clock goes, and just now.
    store.selling.commit(&batch(epoch, vec![reserved(1, "ann", Gold, 1)])).await.unwrap();
    let now = engine::clock::Clock::Wall.now();
    let late = engine::store::Batch { at: now, ..batch(epoch, vec![reserved(2, "bob", Gold, 1)]) };
    store.selling.commit(&late).await.unwrap();
    let seqs = async || -> Vec<u64> {
        let entries = store.reading.outbox_after(&id(), 0, 9).await.unwrap();
        entries.iter().map(|entry| entry.seq).collect()
    };
    assert_eq!(seqs().await, [1, 2]);
    // What the book has not taken in is kept, however old.
    store.selling.still_sells(&id(), epoch).await.unwrap();
    assert_eq!(seqs().await, [1, 2]);
    store.book.take_in(1, 1).await.unwrap();
    // A look is asked for.
    store.members.forget().await.unwrap();
    store.selling.still_sells(&id(), epoch).await.unwrap();
    assert_eq!(seqs().await, [2]);
    store.selling.commit(&batch(epoch, vec![reserved(3, "cyd", Gold, 1)])).await.unwrap();
    assert_eq!(seqs().await, [2, 3], "the next look is an hour away");
}

#[tokio::test]
async fn an_outbox_that_was_trimmed_adds_up_and_says_so() {
    let (_folder, server) = started(&[]);
    let mut world = Selling::start(&server, 9, CALM).await;
    for _ in 0..5 {
        world.confirmed().await;
    }
    server.must("XTRIM flashlane:{drop}:outbox MINID 4-0");
    world.confirmed().await;
    let store = connect(&server).await;
    let audit = store.reading.audit().await.unwrap();
    assert!(audit.is_clean(), "{audit:?}");
    assert_eq!(audit.sales[0].trimmed_to, 3);
    server.must("XDEL flashlane:{drop}:outbox 5-0");
    let audit = store.reading.audit().await.unwrap();
    assert!(audit.sales[0].differences[0].contains("entry 5 is missing"), "{audit:?}");
}

#[tokio::test]
async fn an_outbox_of_many_entries_is_read_to_its_end() {
    let (_folder, server) = started(&[]);
    let store = connect(&server).await;
    store.opening.create(&terms(9)).await.unwrap();
    let add = "for i = 1, 9000 do redis.call('XADD', KEYS[1], i .. '-0', 'v', '2', 'changes', \
               '1.' .. i .. ' ann gold 1 confirmed 5 -') end";
    server.must(&format!("EVAL \"{add}\" 1 flashlane:{{drop}}:outbox"));
    let all = store.reading.outbox_after(&id(), 0, usize::MAX).await.unwrap();
    assert!(all.iter().map(|change| change.seq).eq(1..=9_000), "{}", all.len());
    // An entry that tells of more than its numbers leave room for.
    let twice = "1.1 ann gold 1 paid 5 -\\n1.2 bob gold 1 paid 5 -";
    server.must(&format!("XADD flashlane:{{drop}}:outbox 9001-0 v 2 changes \"{twice}\""));
    let damaged = store.reading.outbox_after(&id(), 0, usize::MAX).await;
    assert!(
        matches!(&damaged, Err(StoreError::Damaged(why)) if why.contains("9001-0")),
        "{damaged:?}"
    );
}

/// Returns the shell block of docs/redis.md that begins with this line.
pub(crate) fn documented(first: &str) -> String {
    let page = include_str!("../../../docs/redis.md");
    let (_, block) = page.split_once(&format!("```sh\n{first}")).expect("the block is there");
    block.split("```").next().unwrap().split_once('\n').unwrap().1.to_owned()
}

pub(crate) fn run(script: &str, server: &RedisServer) -> String {
    let mut shell = std::process::Command::new("sh");
    shell.args(["-ec", script]).env("REDIS", server.url());
    let output = shell.env("STREAM", "flashlane:{drop}:outbox").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn the_documented_consumer_reads_each_change_and_the_documented_trim_spares_the_rest() {
    let consume = documented("# One pass of a consumer");
    let trim = documented("# What the group still has to do");
    let (_folder, server) = started(&[]);
    let mut world = Selling::start(&server, 9, CALM).await;
    for _ in 0..3 {
        world.confirmed().await;
    }
    let said = run(&consume, &server);
    let epoch = world.open.sale.epoch();
    let expected: String =
        (1..=3).map(|n| format!("{epoch}.{n} confirmed m{n} diamond 1\n")).collect();
    assert_eq!(said, expected);
    assert_eq!(run(&consume, &server), "", "each change once");
    world.confirmed().await;
    world.confirmed().await;
    // One entry is delivered to a consumer that ends before it has done anything with it.
    server.must("XREADGROUP GROUP ledger gone COUNT 1 STREAMS flashlane:{drop}:outbox >");
    run(&trim, &server);
    let kept = connect(&server).await.reading.outbox_after(&id(), 0, 10).await.unwrap();
    assert_eq!(kept.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [4, 5]);
    assert!(connect(&server).await.reading.audit().await.unwrap().is_clean());
}
