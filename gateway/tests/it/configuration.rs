//! A file may say whatever a flag can; it is read again at SIGHUP, and what is wrong in it is named with
//! its line.

use crate::support::{Server, drop_of, flashlane, send, until};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

const OPERATING: &str = include_str!("../../../docs/operating.md");

fn write(data: &Path, text: &str) -> String {
    let file = data.join("flashlane.toml");
    std::fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

/// What `serve` says and its exit code with this configuration, which it must not take.
fn refused(data: &Path, text: &str) -> String {
    let file = write(data, text);
    let serve = flashlane().args(["serve", "--config", &file, "--data"]).arg(data).output();
    let output = serve.unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_file_says_what_flags_say_and_an_argument_counts_more() {
    let data = tempfile::tempdir().unwrap();
    let key = data.path().join("team");
    std::fs::write(&key, "ann admin never ann-key-0123456789\n").unwrap();
    let file = write(
        data.path(),
        &format!(
            "operator-key = {key:?}\nplatform-listen = \"127.0.0.1:0\"\norders-per-member = 2\n\
             allow-origins = [\"https://a.example\", \"https://b.example\"]\nmember-rate = 0\n"
        ),
    );
    let server = Server::start_with(data.path(), &["--config", &file, "--orders-per-member", "1"]);
    assert!(server.platform.is_some());
    let admin = "authorization: Bearer ann-key-0123456789\r\n";
    let sale = drop_of(9).to_string();
    assert_eq!(send(server.operator, "POST", "/v1/sales", admin, sale.as_bytes()).status, 201);
    for origin in ["https://a.example", "https://b.example"] {
        let more = format!("origin: {origin}\r\n");
        let answer = send(server.public, "GET", "/v1/sales", &more, b"");
        assert_eq!(answer.header("access-control-allow-origin"), Some(origin));
    }
    assert_eq!(server.click("bob", 1, "").status, 202);
    server.click("bob", 1, "").is_problem(409, "too_many_orders");
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    let data = tempfile::tempdir().unwrap();
    for (text, said) in [
        ("\nlisten = 8080\n", "line 2: invalid value '8080' for '--listen"),
        ("member-rate = 5\nmember-rte = 5\n", "line 2: there is no option `member-rte`"),
        ("config = \"other.toml\"", "line 1: there is no option `config`"),
        ("log-format = \"xml\"", "line 1: invalid value 'xml' for '--log-format"),
        ("data = [\"a\", \"b\"]", "line 1: data: a text or a number is needed"),
        ("drain-delay = true", "line 1: drain-delay: a text or a number is needed"),
        ("data = \"a\"\n\ndata = ", "line 3"),
        ("[serve]\nlisten = \"x\"", "line 1: there is no option `serve`"),
    ] {
        let stderr = refused(data.path(), text);
        assert!(stderr.contains(said) && stderr.contains("flashlane.toml"), "{text}: {stderr}");
        assert_eq!(stderr.trim().lines().count(), 1, "{stderr}");
    }
    let none = data.path().join("none.toml");
    let serve = flashlane().args(["serve", "--config"]).arg(none).output().unwrap();
    let stderr = String::from_utf8(serve.stderr).unwrap();
    assert!(stderr.contains("cannot read the configuration"), "{stderr}");
}

#[test]
fn sighup_takes_over_what_can_change_at_once_and_says_what_waits_for_the_next_start() {
    let data = tempfile::tempdir().unwrap();
    let file = write(data.path(), "member-rate = 1\noutbox-keep = \"7d\"\n");
    let log = data.path().join("log");
    let server = Server::start_logged(data.path(), &["--config", &file], &log);
    let says = |said: &str| std::fs::read_to_string(&log).unwrap().contains(said);
    server.make(&drop_of(9));
    let refused = || (0..6).any(|_| server.click("ann", 10_000, "").status == 429);
    assert!(refused(), "one call a second");

    write(data.path(), "member-rate = 0\noutbox-keep = \"1d\"\naccess-log = 1\n");
    server.signal("-HUP");
    until("the options are read again", || says("--member-rate: 1 -> 0 (now)"));
    until("all changes are told", || says("--outbox-keep: 7d -> 1d (at the next start)"));
    assert!(!refused(), "any number");
    until("the access log has this", || says("path=\"/v1/sales/drop/orders\""));

    write(data.path(), "member-rate = -1\n");
    server.signal("-HUP");
    until("the fault is told", || says("line 1: invalid value '-1' for '--member-rate"));
    assert!(says("the options stay as they were") && !refused());
}

/// The flags in a table of the page, and in a text.
fn flags(text: &str) -> BTreeSet<String> {
    let flag = |rest: &str| {
        let end = rest.find(|c: char| !(c.is_ascii_lowercase() || c == '-'));
        rest[..end.unwrap_or(rest.len())].to_owned()
    };
    text.split("--").skip(1).map(flag).filter(|flag| flag.len() > 1).collect()
}

#[test]
fn the_table_of_options_has_each_of_them_and_no_other() {
    let help = Command::new(env!("CARGO_BIN_EXE_flashlane")).args(["serve", "--help"]).output();
    let help = String::from_utf8(help.unwrap().stdout).unwrap();
    let options = help.lines().filter(|line| line.trim_start().starts_with("--"));
    let there: BTreeSet<String> = options.flat_map(flags).collect();
    assert!(there.len() > 20, "{there:?}");
    let table = OPERATING.split("## Options").nth(1).expect("the page has a table of options");
    let rows = table.lines().filter(|line| line.starts_with("| `--"));
    let told: BTreeSet<String> =
        rows.flat_map(|row| flags(row.split('|').nth(1).unwrap())).collect();
    assert_eq!(told, there);
}
