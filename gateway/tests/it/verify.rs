//! `verify` changes nothing that is stored, whatever it is pointed at, and says what that is.

use crate::support::{flashlane, selling};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The exit code and what was said on both channels.
fn verify(data: &Path) -> (Option<i32>, String) {
    let output = flashlane().arg("verify").arg("--data").arg(data).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

/// The bytes of every file of the store.
fn stored(data: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let paths = fs::read_dir(data).unwrap().map(|entry| entry.unwrap().path());
    let is_stored = |path: &PathBuf| path.to_str().unwrap().contains("journal-");
    paths.filter(is_stored).map(|path| (path.clone(), fs::read(path).unwrap())).collect()
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
    let (data, mut server) = selling(3);
    server.order("ann", 1);
    server.terminate();
    assert!(server.ended().success());
    let path = stored(data.path()).into_keys().next_back().unwrap();
    let name = path.file_name().unwrap().to_str().unwrap().to_owned();
    let whole = fs::read(&path).unwrap();
    let with = |at: usize, byte: u8| {
        let mut bytes = whole.clone();
        bytes[at] = byte;
        bytes
    };
    // Where a file has the version of its format, and where its first block has its content.
    let (mut newer, changed) = (with(24, 9), with(100, !whole[100]));
    let checksum = crc32fast::hash(&newer[..28]).to_le_bytes();
    newer[28..32].copy_from_slice(&checksum);
    let cases: [(&str, Vec<u8>, &str); 4] = [
        ("an empty file", Vec::new(), "does not begin as it was written"),
        ("a text file", b"id = \"drop\"\n".to_vec(), "does not begin as it was written"),
        ("a newer version's", newer, "was written by a newer version of Flashlane"),
        ("a changed one", changed, "is not what was written"),
    ];
    for (what, bytes, expected) in cases {
        fs::write(&path, &bytes).unwrap();
        let (code, said) = verify(data.path());
        assert_eq!(code, Some(1), "{what}: {said}");
        assert!(said.contains(expected) && said.contains(&name), "{what}: {said}");
        assert!(fs::read(&path).unwrap() == bytes, "{what} has changed");
    }
}
