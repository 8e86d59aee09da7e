//! `verify` changes nothing that is stored, whatever it is pointed at, and says what that is.

use crate::support::{flashlane, selling};
use std::fs;
use std::path::Path;

/// The exit code and what was said on both channels.
fn verify(data: &Path) -> (Option<i32>, String) {
    let output = flashlane().arg("verify").arg("--data").arg(data).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

fn stored(data: &Path) -> Vec<u8> {
    fs::read(data.join("store.redb")).unwrap()
}

#[test]
fn a_sound_store_is_left_as_it_is() {
    let (data, mut server) = selling(3);
    server.order("ann", 1);
    server.terminate();
    assert!(server.ended().success());
    let before = stored(data.path());
    let (code, said) = verify(data.path());
    assert_eq!((code, said.lines().last()), (Some(0), Some("1 sales, everything adds up")));
    assert!(stored(data.path()) == before, "the file has changed");
}

#[test]
fn a_store_whose_process_died_is_repaired_and_read() {
    let (data, server) = selling(3);
    server.order("ann", 1);
    // The server is killed.
    drop(server);
    let (code, said) = verify(data.path());
    assert_eq!((code, said.lines().last()), (Some(0), Some("1 sales, everything adds up")));
}

#[test]
fn a_folder_without_a_store_gets_none() {
    let data = tempfile::tempdir().unwrap();
    let (code, said) = verify(data.path());
    assert_eq!(code, Some(1));
    assert!(said.contains("there is no") && said.contains("--data"), "{said}");
    assert_eq!(fs::read_dir(data.path()).unwrap().count(), 0);
}

#[test]
fn what_is_no_store_is_named_and_left_as_it_is() {
    let whole = {
        let (data, mut server) = selling(3);
        server.terminate();
        assert!(server.ended().success());
        stored(data.path())
    };
    let mut newer = whole.clone();
    // Where redb keeps the version of the file's format.
    newer[64] = 9;
    let other = {
        let data = tempfile::tempdir().unwrap();
        let path = data.path().join("store.redb");
        let database = redb::Database::create(&path).unwrap();
        let write = database.begin_write().unwrap();
        write.open_table(redb::TableDefinition::<u64, u64>::new("notes")).unwrap();
        write.commit().unwrap();
        drop(database);
        fs::read(path).unwrap()
    };
    let cases: [(&str, Vec<u8>, &str); 5] = [
        ("an empty file", Vec::new(), "is empty: nothing was stored"),
        ("a text file", b"id = \"drop\"\n".to_vec(), "is not a store of Flashlane"),
        ("another program's file", other, "is not a store of Flashlane"),
        ("a newer version's", newer, "was written by a newer version of Flashlane"),
        ("a file cut short", whole[..5_000].to_vec(), "restore the file from a backup"),
    ];
    for (what, bytes, expected) in cases {
        let data = tempfile::tempdir().unwrap();
        fs::write(data.path().join("store.redb"), &bytes).unwrap();
        let (code, said) = verify(data.path());
        assert_eq!(code, Some(1), "{what}: {said}");
        assert!(said.contains(expected), "{what}: {said}");
        assert!(stored(data.path()) == bytes, "{what} has changed");
    }
}
