//! Several addresses, and a process that goes when balancers have looked away.

use crate::support::{Server, drop_of, flashlane, send, until};
use std::process::Stdio;

#[test]
fn each_address_serves_the_same_sale() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start_with(data.path(), &["--listen", "127.0.0.1:0,127.0.0.1:0"]);
    server.make(&drop_of(3));
    assert_eq!(server.also_public.len(), 2);
    for address in [&[server.public], &server.also_public[..]].concat() {
        let read = send(address, "GET", "/v1/sales/drop", "", b"");
        assert_eq!((read.status, read.json["left"].as_u64()), (200, Some(3)));
    }
}

#[test]
fn a_process_that_is_going_to_stop_says_so_first_and_goes_on_selling_meanwhile() {
    let data = tempfile::tempdir().unwrap();
    let mut server = Server::start_with(data.path(), &["--drain-delay", "1h"]);
    server.make(&drop_of(3));
    server.terminate();
    let ready = || send(server.public, "GET", "/readyz", "", b"");
    until("balancers are told", || ready().status == 503);
    assert!(ready().body.contains("stopping"), "{}", ready().body);
    assert_eq!(send(server.public, "GET", "/healthz", "", b"").status, 200);
    let order = server.order("ann", 1);
    assert_eq!(order["status"], "confirmed");
    // An operator in a hurry signals again.
    server.terminate();
    assert!(server.ended().success());
    let again = Server::start(data.path());
    assert_eq!(again.report()["confirmed"], 1);
}

#[test]
fn a_delay_that_is_none_is_refused_in_a_sentence() {
    let run = flashlane().args(["serve", "--drain-delay", "5"]).stderr(Stdio::piped()).output();
    let said = String::from_utf8(run.unwrap().stderr).unwrap();
    assert!(said.contains("a number from 1 and one of s, m, h, d"), "{said}");
}
